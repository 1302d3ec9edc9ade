/* SPDX-License-Identifier: Apache-2.0 */
/*
 * physical.c - what guests are told about instances and physical devices
 *
 * How it works: guests see the devices that the probe found usable, at most Vulkan 1.3, with the extensions that the
 * host has and we decode, memory types without HOST_VISIBLE where we could not map them, and no queue family from the first
 * sparse-only one on (Venus drops those by compacting its list, which would shift later indices).  External semaphores
 * and fences of type SYNC_FD are ours (sync.c), so that any driver gets them.
 * Threads: the lane's.
 */
#include "venus/physical.h"

#include "venus/chain.h"
#include "venus/context.h"
#include "venus/dispatch.h"
#include "venus/external.h"
#include "venus/memory.h"
#include "venus_args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHYSICAL_FN(physical, get_proc, name)                                                      \
	((PFN_##name)(get_proc)((physical)->instance, #name))

static uint32_t physical_cap_version(uint32_t version)
{
	return version > INSTANCE_API_MAX ? INSTANCE_API_MAX : version;
}

int physical_enumerate_version(struct venus_call *call)
{
	struct vkEnumerateInstanceVersion_args *args = call->args;
	int status = venus_call_driver(call);
	if (!status && args->pApiVersion) {
		*args->pApiVersion = physical_cap_version(*args->pApiVersion);
	}
	return status;
}

int physical_create_instance(struct venus_call *call)
{
	struct vkCreateInstance_args *args = call->args;
	VkInstanceCreateInfo *info = (VkInstanceCreateInfo *)args->pCreateInfo;
	static const char *const portability = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
	if (!info || info->enabledExtensionCount || info->enabledLayerCount) {
		return venus_decoder_fail(call->decoder, "instance with layers or extensions");
	}
	VkApplicationInfo *application = (VkApplicationInfo *)info->pApplicationInfo;
	if (application) {
		application->apiVersion = physical_cap_version(application->apiVersion);
	}
	info->flags = 0;
	if (instance_needs_portability(call->dispatch->get_proc)) {
		info->flags = VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
		info->enabledExtensionCount = 1;
		info->ppEnabledExtensionNames = &portability;
	}
	return venus_call_driver(call);
}

/* Devices */

void physical_free(struct physical *physical)
{
	instance_free_extensions(&physical->extensions);
	free(physical->families);
	free(physical);
}

/* What the probe said about the @index-th device of the loader, NULL if guests do not see it. */
static const struct probe_device *physical_probe(const struct context *context, uint32_t index)
{
	const struct probe *probe = context_config(context)->probe;
	for (size_t i = 0; i < probe->count; i++) {
		if (probe->devices[i].index == index) {
			return probe->devices[i].problem[0] ? NULL : &probe->devices[i];
		}
	}
	return NULL;
}

/* Where sharing is emulated, what is shared and drawn to is linear. */
static bool physical_draws_linear(const struct physical *physical, PFN_vkGetInstanceProcAddr get_proc)
{
	VkPhysicalDeviceLinearColorAttachmentFeaturesNV linear = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_LINEAR_COLOR_ATTACHMENT_FEATURES_NV};
	VkPhysicalDeviceFeatures2 features = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &linear, {0}};
	if (!external_is_emulated(physical) ||
	    !instance_has_extension(&physical->extensions, VK_NV_LINEAR_COLOR_ATTACHMENT_EXTENSION_NAME)) {
		return false;
	}
	PHYSICAL_FN(physical, get_proc, vkGetPhysicalDeviceFeatures2)(physical->handle, &features);
	return linear.linearColorAttachment;
}

static bool physical_fill_families(struct physical *physical, PFN_vkGetInstanceProcAddr get_proc)
{
	const VkQueueFlags useful =
		VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT | VK_QUEUE_TRANSFER_BIT;
	uint32_t count = 0;
	PFN_vkGetPhysicalDeviceQueueFamilyProperties get =
		PHYSICAL_FN(physical, get_proc, vkGetPhysicalDeviceQueueFamilyProperties);
	get(physical->handle, &count, NULL);
	physical->families = calloc(count + 1, sizeof(*physical->families));
	if (!physical->families) {
		return false;
	}
	get(physical->handle, &count, physical->families);
	while (physical->family_count < count &&
	       (physical->families[physical->family_count].queueFlags & useful)) {
		physical->family_count++;
	}
	return true;
}

static struct physical *physical_create(struct context *context, VkInstance instance,
					VkPhysicalDevice handle, const struct probe_device *probe)
{
	PFN_vkGetInstanceProcAddr get_proc = context_config(context)->probe->get_proc;
	struct physical *physical = calloc(1, sizeof(*physical));
	if (!physical) {
		return NULL;
	}
	*physical = (struct physical){.probe = probe, .instance = instance, .handle = handle};
	if (!instance_list_extensions(&physical->extensions, get_proc, instance, handle) ||
	    !physical_fill_families(physical, get_proc)) {
		physical_free(physical);
		return NULL;
	}
	PHYSICAL_FN(physical, get_proc, vkGetPhysicalDeviceMemoryProperties)(handle, &physical->memory);
	physical_limit_memory(physical, context_config(context)->max_bytes);
	physical->draws_linear = physical_draws_linear(physical, get_proc);
	return physical;
}

/* The devices of the instance that guests see, with what the probe knows; at most PROBE_MAX_DEVICES. */
static VkResult physical_list(struct venus_call *call, VkInstance instance,
			      VkPhysicalDevice *handles, const struct probe_device **probes,
			      uint32_t *count)
{
	PFN_vkEnumeratePhysicalDevices enumerate =
		(PFN_vkEnumeratePhysicalDevices)venus_driver_fn(call->dispatch, call->object,
								VENUS_vkEnumeratePhysicalDevices);
	VkPhysicalDevice all[PROBE_MAX_DEVICES];
	uint32_t total = PROBE_MAX_DEVICES;
	VkResult result = enumerate(instance, &total, all);
	*count = 0;
	for (uint32_t i = 0; result >= 0 && i < total; i++) {
		const struct probe_device *probe = physical_probe(context_of(call), i);
		if (probe) {
			probes[*count] = probe;
			handles[(*count)++] = all[i];
		}
	}
	return result < 0 ? result : VK_SUCCESS;
}

/* Gives the @index-th enumerated device its id and its data.  0 or -EPROTO. */
static int physical_register(struct venus_call *call, uint32_t index,
			     const struct probe_device *probe)
{
	struct vkEnumeratePhysicalDevices_args *args = call->args;
	VkPhysicalDevice handle = args->pPhysicalDevices[index];
	struct venus_object *object =
		venus_objects_find(&call->dispatch->objects, args->pPhysicalDevices_ids[index],
				   VK_OBJECT_TYPE_PHYSICAL_DEVICE);
	if (object) {
		return object->handle == (uint64_t)(uintptr_t)handle
			       ? 0
			       : venus_decoder_fail(call->decoder, "physical device renamed");
	}
	object = venus_call_register(call, index);
	if (!object) {
		return -EPROTO;
	}
	object->data = physical_create(context_of(call), args->instance, handle, probe);
	if (!object->data) {
		return venus_decoder_fail(call->decoder, "no memory for a physical device");
	}
	if (external_is_emulated(object->data)) {
		venus_driver_hide(object->driver, VK_EXT_IMAGE_DRM_FORMAT_MODIFIER_EXTENSION_NAME);
	}
	return 0;
}

int physical_enumerate(struct venus_call *call)
{
	struct vkEnumeratePhysicalDevices_args *args = call->args;
	VkPhysicalDevice handles[PROBE_MAX_DEVICES];
	const struct probe_device *probes[PROBE_MAX_DEVICES];
	uint32_t count;
	if (!args->pPhysicalDeviceCount) {
		return venus_decoder_fail(call->decoder, "enumeration without a count");
	}
	args->ret = physical_list(call, args->instance, handles, probes, &count);
	uint32_t room = *args->pPhysicalDeviceCount;
	*args->pPhysicalDeviceCount = count;
	call->keep_objects = true;
	if (args->ret != VK_SUCCESS || !args->pPhysicalDevices) {
		return 0;
	}
	if (count > room) {
		*args->pPhysicalDeviceCount = room;
		args->ret = VK_INCOMPLETE;
	}
	for (uint32_t i = 0; i < *args->pPhysicalDeviceCount; i++) {
		args->pPhysicalDevices[i] = handles[i];
		int status = physical_register(call, i, probes[i]);
		if (status) {
			return status;
		}
	}
	return 0;
}

/* Each device is a group of its own: groups of several would need every device in it to be usable. */
int physical_enumerate_groups(struct venus_call *call)
{
	struct vkEnumeratePhysicalDeviceGroups_args *args = call->args;
	VkPhysicalDevice handles[PROBE_MAX_DEVICES];
	const struct probe_device *probes[PROBE_MAX_DEVICES];
	uint32_t count;
	if (!args->pPhysicalDeviceGroupCount) {
		return venus_decoder_fail(call->decoder, "enumeration without a count");
	}
	args->ret = physical_list(call, args->instance, handles, probes, &count);
	uint32_t room = *args->pPhysicalDeviceGroupCount;
	*args->pPhysicalDeviceGroupCount = count;
	if (args->ret != VK_SUCCESS || !args->pPhysicalDeviceGroupProperties) {
		return 0;
	}
	if (count > room) {
		*args->pPhysicalDeviceGroupCount = room;
		args->ret = VK_INCOMPLETE;
	}
	for (uint32_t i = 0; i < *args->pPhysicalDeviceGroupCount; i++) {
		VkPhysicalDeviceGroupProperties *group = &args->pPhysicalDeviceGroupProperties[i];
		group->physicalDeviceCount = 1;
		memset(group->physicalDevices, 0, sizeof(group->physicalDevices));
		group->physicalDevices[0] = handles[i];
		group->subsetAllocation = VK_FALSE;
	}
	return 0;
}

/* Properties */

static void physical_cap_properties(VkPhysicalDeviceProperties *properties)
{
	uint32_t most = memory_max_allocations();
	properties->apiVersion = physical_cap_version(properties->apiVersion);
	if (properties->limits.maxMemoryAllocationCount > most) {
		properties->limits.maxMemoryAllocationCount = most;
	}
}

int physical_get_properties(struct venus_call *call)
{
	struct vkGetPhysicalDeviceProperties_args *args = call->args;
	int status = venus_call_driver(call);
	if (!status && args->pProperties) {
		physical_cap_properties(args->pProperties);
	}
	return status;
}

int physical_get_properties2(struct venus_call *call)
{
	struct vkGetPhysicalDeviceProperties2_args *args = call->args;
	int status = venus_call_driver(call);
	if (!status && args->pProperties) {
		physical_cap_properties(&args->pProperties->properties);
	}
	return status;
}

int physical_get_memory_properties2(struct venus_call *call)
{
	struct vkGetPhysicalDeviceMemoryProperties2_args *args = call->args;
	const struct physical *physical = call->object ? call->object->data : NULL;
	int status = venus_call_driver(call);
	if (!status && physical && args->pMemoryProperties) {
		args->pMemoryProperties->memoryProperties = physical->memory;
		physical_limit_budget(physical, budget_share(context_budget(context_of(call))),
				      chain_find(args->pMemoryProperties,
						 VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT));
	}
	return status;
}

int physical_get_queue_families2(struct venus_call *call)
{
	struct vkGetPhysicalDeviceQueueFamilyProperties2_args *args = call->args;
	const struct physical *physical = call->object ? call->object->data : NULL;
	if (!physical || !args->pQueueFamilyPropertyCount) {
		return venus_decoder_fail(call->decoder, "enumeration without a count");
	}
	/* Never more than we show: the driver fills the first ones. */
	if (*args->pQueueFamilyPropertyCount > physical->family_count ||
	    !args->pQueueFamilyProperties) {
		*args->pQueueFamilyPropertyCount = physical->family_count;
	}
	return args->pQueueFamilyProperties ? venus_call_driver(call) : 0;
}

/* Extensions */

/* Done by us on top of what every driver has (sync.c).  More follow where memory is ours too (external.c). */
static const char *const physical_emulated[] = {
	VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME,
	VK_KHR_EXTERNAL_FENCE_FD_EXTENSION_NAME,
	NULL,
};

/* What it means to a driver that memory comes from elsewhere we do not know. */
static const char *const physical_hidden[] = {
	"VK_EXT_external_memory_acquire_unmodified",
	NULL,
};

static bool physical_name_is_in(const char *name, const char *const *list)
{
	while (*list && strcmp(name, *list)) {
		list++;
	}
	return *list != NULL;
}

bool physical_offers_extension(const struct physical *physical, const char *name, bool *pass)
{
	uint32_t spec;
	bool has = instance_has_extension(&physical->extensions, name);
	*pass = !physical_name_is_in(name, physical_emulated) &&
		(!physical_name_is_in(name, external_emulated) ||
		 (has && !external_is_emulated(physical)));
	if (!*pass) {
		return true;
	}
	return has && venus_extension_known(name, &spec) && !physical_name_is_in(name, physical_hidden);
}

/* Appends to the guest's array while there is room; counts in any case. */
static void physical_add_extension(struct vkEnumerateDeviceExtensionProperties_args *args,
				   uint32_t room, uint32_t *count, const char *name, uint32_t spec)
{
	if (args->pProperties && *count < room) {
		VkExtensionProperties *entry = &args->pProperties[*count];
		memset(entry, 0, sizeof(*entry));
		snprintf(entry->extensionName, sizeof(entry->extensionName), "%s", name);
		entry->specVersion = spec;
	}
	(*count)++;
}

int physical_enumerate_extensions(struct venus_call *call)
{
	struct vkEnumerateDeviceExtensionProperties_args *args = call->args;
	const struct physical *physical = call->object ? call->object->data : NULL;
	if (!physical || !args->pPropertyCount || args->pLayerName) {
		return venus_decoder_fail(call->decoder, "enumeration without a count");
	}
	uint32_t room = *args->pPropertyCount, count = 0;
	for (uint32_t i = 0; i < physical->extensions.count; i++) {
		const VkExtensionProperties *entry = &physical->extensions.list[i];
		bool pass;
		uint32_t spec;
		if (physical_offers_extension(physical, entry->extensionName, &pass) && pass &&
		    venus_extension_known(entry->extensionName, &spec)) {
			spec = spec < entry->specVersion ? spec : entry->specVersion;
			physical_add_extension(args, room, &count, entry->extensionName, spec);
		}
	}
	for (size_t i = 0; physical_emulated[i]; i++) {
		physical_add_extension(args, room, &count, physical_emulated[i], 1);
	}
	for (size_t i = 0; external_emulated[i]; i++) {
		uint32_t spec = 0;
		bool pass;
		(void)physical_offers_extension(physical, external_emulated[i], &pass);
		if (!pass && venus_extension_known(external_emulated[i], &spec)) {
			physical_add_extension(args, room, &count, external_emulated[i], spec);
		}
	}
	args->ret = args->pProperties && count > room ? VK_INCOMPLETE : VK_SUCCESS;
	*args->pPropertyCount = args->pProperties && count > room ? room : count;
	return 0;
}

/* External objects */

int physical_get_external_semaphore(struct venus_call *call)
{
	struct vkGetPhysicalDeviceExternalSemaphoreProperties_args *args = call->args;
	const VkPhysicalDeviceExternalSemaphoreInfo *info = args->pExternalSemaphoreInfo;
	VkExternalSemaphoreProperties *properties = args->pExternalSemaphoreProperties;
	if (!info || !properties) {
		return venus_decoder_fail(call->decoder, "query without a question");
	}
	const VkSemaphoreTypeCreateInfo *type =
		chain_find(info, VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO);
	bool ours = info->handleType == VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT &&
		    (!type || type->semaphoreType == VK_SEMAPHORE_TYPE_BINARY);
	properties->exportFromImportedHandleTypes =
		ours ? VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT : 0;
	properties->compatibleHandleTypes = properties->exportFromImportedHandleTypes;
	properties->externalSemaphoreFeatures =
		ours ? VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT |
			       VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT
		     : 0;
	return 0;
}

int physical_get_external_fence(struct venus_call *call)
{
	struct vkGetPhysicalDeviceExternalFenceProperties_args *args = call->args;
	const VkPhysicalDeviceExternalFenceInfo *info = args->pExternalFenceInfo;
	VkExternalFenceProperties *properties = args->pExternalFenceProperties;
	if (!info || !properties) {
		return venus_decoder_fail(call->decoder, "query without a question");
	}
	bool ours = info->handleType == VK_EXTERNAL_FENCE_HANDLE_TYPE_SYNC_FD_BIT;
	properties->exportFromImportedHandleTypes =
		ours ? VK_EXTERNAL_FENCE_HANDLE_TYPE_SYNC_FD_BIT : 0;
	properties->compatibleHandleTypes = properties->exportFromImportedHandleTypes;
	properties->externalFenceFeatures = ours ? VK_EXTERNAL_FENCE_FEATURE_EXPORTABLE_BIT |
							   VK_EXTERNAL_FENCE_FEATURE_IMPORTABLE_BIT
						 : 0;
	return 0;
}
