/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.c - a VkDevice of the guest
 *
 * How it works: the guest's list of extensions is replaced by those the driver is to be told, plus what memory.c needs; all
 * queues are fetched at once, so that later requests only look them up.
 * Threads: the lane's.
 */
#include "venus/device.h"

#include "venus/chain.h"
#include "venus/context.h"
#include "venus/physical.h"
#include "venus_args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICE_OWN_EXTENSIONS = 5, DEVICE_MAX_EXTENSIONS = 1024 };

struct device_names {
	const char **list;
	uint32_t count;
};

static void device_add_name(struct device_names *names, const char *name)
{
	for (uint32_t i = 0; i < names->count; i++) {
		if (!strcmp(names->list[i], name)) {
			return;
		}
	}
	names->list[names->count++] = name;
}

/* The extensions the driver is told.  VK_ERROR_EXTENSION_NOT_PRESENT if the guest wants one that is not offered. */
static VkResult device_pick_extensions(struct venus_call *call, const struct physical *physical,
				       VkDeviceCreateInfo *info)
{
	struct device_names names = {0};
	if (info->enabledExtensionCount > DEVICE_MAX_EXTENSIONS) {
		return VK_ERROR_EXTENSION_NOT_PRESENT;
	}
	names.list = arena_array(call->arena, info->enabledExtensionCount + DEVICE_OWN_EXTENSIONS,
				 sizeof(*names.list));
	if (!names.list) {
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	for (uint32_t i = 0; info->ppEnabledExtensionNames && i < info->enabledExtensionCount; i++) {
		const char *name = info->ppEnabledExtensionNames[i];
		bool pass;
		if (!name || !physical_offers_extension(physical, name, &pass)) {
			return VK_ERROR_EXTENSION_NOT_PRESENT;
		}
		if (pass) {
			device_add_name(&names, name);
		}
	}
	if (physical->probe->backing == WIRE_BACKING_HOST_POINTER) {
		device_add_name(&names, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
	}
	if (probe_has_dma_bufs(physical->probe)) {
		device_add_name(&names, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME);
		device_add_name(&names, VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME);
	}
	if (physical->probe->has_portability_subset) {
		device_add_name(&names, "VK_KHR_portability_subset");
	}
	if (physical->draws_linear) {
		device_add_name(&names, VK_NV_LINEAR_COLOR_ATTACHMENT_EXTENSION_NAME);
	}
	info->ppEnabledExtensionNames = names.list;
	info->enabledExtensionCount = names.count;
	return VK_SUCCESS;
}

/* The features that the driver is told beside the guest's. */
static VkResult device_add_features(struct venus_call *call, const struct physical *physical,
				    VkDeviceCreateInfo *info)
{
	if (!physical->draws_linear) {
		return VK_SUCCESS;
	}
	VkPhysicalDeviceLinearColorAttachmentFeaturesNV *linear =
		arena_alloc(call->arena, sizeof(*linear));
	if (!linear) {
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	*linear = (VkPhysicalDeviceLinearColorAttachmentFeaturesNV){
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_LINEAR_COLOR_ATTACHMENT_FEATURES_NV,
		.linearColorAttachment = VK_TRUE,
	};
	chain_push(info, linear);
	return VK_SUCCESS;
}

/* True if the host's family has what is wanted: so many, protected ones only if it knows them. */
static bool device_has_queues(const struct physical *physical, const VkDeviceQueueCreateInfo *wanted)
{
	const VkQueueFamilyProperties *family = &physical->families[wanted->queueFamilyIndex];
	bool known = !wanted->flags || (wanted->flags == VK_DEVICE_QUEUE_CREATE_PROTECTED_BIT &&
					family->queueFlags & VK_QUEUE_PROTECTED_BIT);
	return known && wanted->queueCount && wanted->queueCount <= family->queueCount;
}

/* True if every wanted queue exists and none is wanted twice; counts them. */
static bool device_check_queues(const struct physical *physical, const VkDeviceCreateInfo *info,
				uint32_t *count)
{
	*count = 0;
	if (!info->queueCreateInfoCount || !info->pQueueCreateInfos) {
		return false;
	}
	for (uint32_t i = 0; i < info->queueCreateInfoCount; i++) {
		const VkDeviceQueueCreateInfo *queue = &info->pQueueCreateInfos[i];
		if (queue->queueFamilyIndex >= physical->family_count || !queue->pQueuePriorities ||
		    !device_has_queues(physical, queue)) {
			return false;
		}
		for (uint32_t j = 0; j < i; j++) {
			const VkDeviceQueueCreateInfo *other = &info->pQueueCreateInfos[j];
			if (other->queueFamilyIndex == queue->queueFamilyIndex &&
			    other->flags == queue->flags) {
				return false;
			}
		}
		*count += queue->queueCount;
	}
	return true;
}

#define DEVICE_FN(call, object, name)                                                              \
	((PFN_##name)venus_driver_proc((call)->dispatch, object, #name))

static bool device_load(struct venus_call *call, struct device *device,
			const struct venus_object *object)
{
	device->driver = (struct queue_driver){
		.device = device->handle,
		.create_fence = DEVICE_FN(call, object, vkCreateFence),
		.destroy_fence = DEVICE_FN(call, object, vkDestroyFence),
		.wait_for_fences = DEVICE_FN(call, object, vkWaitForFences),
		.reset_fences = DEVICE_FN(call, object, vkResetFences),
		.submit = DEVICE_FN(call, object, vkQueueSubmit),
	};
	device->wait_idle = DEVICE_FN(call, object, vkDeviceWaitIdle);
	if (probe_has_dma_bufs(device->physical->probe)) {
		device->get_memory_fd = DEVICE_FN(call, object, vkGetMemoryFdKHR);
		device->get_fd_properties = DEVICE_FN(call, object, vkGetMemoryFdPropertiesKHR);
	}
	return device->driver.create_fence && device->driver.destroy_fence &&
	       device->driver.wait_for_fences && device->driver.reset_fences &&
	       device->driver.submit && device->wait_idle;
}

/* Devices without protected queues may know the first function only. */
static VkQueue device_fetch_queue(struct venus_call *call, const struct venus_object *object,
				  const struct queue_place *place)
{
	VkDevice device = (VkDevice)(uintptr_t)object->handle;
	PFN_vkGetDeviceQueue get = DEVICE_FN(call, object, vkGetDeviceQueue);
	PFN_vkGetDeviceQueue2 get2 = place->flags ? DEVICE_FN(call, object, vkGetDeviceQueue2) : NULL;
	VkQueue handle = VK_NULL_HANDLE;
	const VkDeviceQueueInfo2 info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_INFO_2,
		.flags = place->flags,
		.queueFamilyIndex = place->family,
		.queueIndex = place->index,
	};
	if (get2) {
		get2(device, &info, &handle);
	} else if (get && !place->flags) {
		get(device, place->family, place->index, &handle);
	}
	return handle;
}

static bool device_fetch_queues(struct venus_call *call, struct device *device,
				const struct venus_object *object, const VkDeviceCreateInfo *info)
{
	for (uint32_t i = 0; i < info->queueCreateInfoCount; i++) {
		const VkDeviceQueueCreateInfo *wanted = &info->pQueueCreateInfos[i];
		for (uint32_t j = 0; j < wanted->queueCount; j++) {
			const struct queue_place place = {wanted->queueFamilyIndex, j, wanted->flags};
			VkQueue handle = device_fetch_queue(call, object, &place);
			struct queue *queue =
				handle ? queue_create(device->context, &device->driver, handle, &place)
				       : NULL;
			if (!queue) {
				return false;
			}
			device->queues[device->queue_count++] = queue;
		}
	}
	return true;
}

/* The created device gets its data.  False if out of memory. */
static bool device_attach(struct venus_call *call, struct venus_object *object,
			  const VkDeviceCreateInfo *info, uint32_t queue_count)
{
	struct device *device = calloc(1, sizeof(*device));
	if (!device) {
		return false;
	}
	device->context = context_of(call);
	device->physical = call->object->data;
	device->handle = (VkDevice)(uintptr_t)object->handle;
	device->queues = calloc(queue_count, sizeof(struct queue *));
	object->data = device;
	context_add_device(device->context, device);
	return device->queues && device_load(call, device, object) &&
	       device_fetch_queues(call, device, object, info);
}

int device_create(struct venus_call *call)
{
	struct vkCreateDevice_args *args = call->args;
	VkDeviceCreateInfo *info = (VkDeviceCreateInfo *)args->pCreateInfo;
	const struct physical *physical = call->object ? call->object->data : NULL;
	uint32_t queue_count;
	if (!physical || !info || !args->pDevice || info->enabledLayerCount) {
		return venus_decoder_fail(call->decoder, "device that cannot be made");
	}
	args->ret = VK_ERROR_INITIALIZATION_FAILED;
	if (!device_check_queues(physical, info, &queue_count)) {
		return 0;
	}
	args->ret = device_pick_extensions(call, physical, info);
	if (args->ret == VK_SUCCESS) {
		args->ret = device_add_features(call, physical, info);
	}
	if (args->ret != VK_SUCCESS) {
		return 0;
	}
	/* Groups of one device: nothing to say about them. */
	chain_unlink(info, VK_STRUCTURE_TYPE_DEVICE_GROUP_DEVICE_CREATE_INFO);
	int status = venus_call_driver(call);
	if (status || args->ret != VK_SUCCESS) {
		return status;
	}
	struct venus_object *object = venus_call_register(call, 0);
	if (!object || !device_attach(call, object, info, queue_count)) {
		return venus_decoder_fail(call->decoder, "no memory for a device");
	}
	return 0;
}

void device_quiet(struct device *device)
{
	for (uint32_t i = 0; i < device->queue_count; i++) {
		queue_stop(device->queues[i]);
	}
	if (device->queue_count) {
		device->wait_idle(device->handle);
	}
	for (uint32_t i = 0; i < device->queue_count; i++) {
		queue_destroy(device->queues[i]);
	}
	device->queue_count = 0;
}

void device_free(struct device *device)
{
	context_quiet_devices(device->context, device);
	free(device->queues);
	free(device);
}

void device_note_told(struct device *device)
{
	for (uint32_t i = 0; i < device->queue_count; i++) {
		queue_note_told(device->queues[i]);
	}
}

int device_destroy(struct venus_call *call)
{
	if (!call->object) {
		return 0;
	}
	if (call->object->data) {
		context_quiet_devices(context_of(call), call->object->data);
	}
	return venus_call_driver(call);
}

int device_destroy_instance(struct venus_call *call)
{
	if (!call->object) {
		return 0;
	}
	context_quiet_devices(context_of(call), NULL);
	return venus_call_driver(call);
}

int device_get_queue2(struct venus_call *call)
{
	struct vkGetDeviceQueue2_args *args = call->args;
	struct device *device = call->object ? call->object->data : NULL;
	const VkDeviceQueueInfo2 *info = args->pQueueInfo;
	struct queue *queue = NULL;
	for (uint32_t i = 0; device && info && i < device->queue_count; i++) {
		const struct queue_place place = {info->queueFamilyIndex, info->queueIndex, info->flags};
		if (queue_is(device->queues[i], &place)) {
			queue = device->queues[i];
		}
	}
	if (!queue || !args->pQueue) {
		return venus_decoder_fail(call->decoder, "no such queue");
	}
	const VkDeviceQueueTimelineInfoMESA *timeline =
		chain_find(info, VK_STRUCTURE_TYPE_DEVICE_QUEUE_TIMELINE_INFO_MESA);
	if (timeline && !queue_bind(queue, timeline->ringIdx)) {
		return venus_decoder_fail(call->decoder, "queue timeline in use");
	}
	*args->pQueue = queue_handle(queue);
	struct venus_object *object = venus_call_register(call, 0);
	if (!object) {
		return -EPROTO;
	}
	object->data = queue;
	return 0;
}
