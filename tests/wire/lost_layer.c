/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lost_layer.c - a Vulkan layer whose GPU dies after LOST_AFTER submissions
 *
 * What is submitted later is never done, though submitting it succeeds, as it does for what is queued behind the one that kills a
 * GPU.  Only who waits for a fence of those is told.
 * Loader and Layer Interface, version 2 (Vulkan-Loader documentation).
 * Threads: one instance, one device; any.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

static struct {
	PFN_vkGetInstanceProcAddr next_instance;
	PFN_vkGetDeviceProcAddr next_device;
	PFN_vkCreateDevice create_device;
	PFN_vkQueueSubmit submit;
	PFN_vkQueueSubmit2 submit2;
	PFN_vkWaitForFences wait;
	PFN_vkGetFenceStatus status;
	pthread_mutex_t lock;
	long submitted;
	VkFence lost[64]; /* of what is never done */
	size_t lost_count;
} gpu = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The link of @type's chain that names the next layer, or NULL. */
static void *gpu_link(const void *chain, VkStructureType type)
{
	const VkLayerInstanceCreateInfo *link = chain;
	while (link && (link->sType != type || link->function != VK_LAYER_LINK_INFO)) {
		link = link->pNext;
	}
	return (void *)link;
}

/* Counts a submission.  True if it is never done. */
static bool gpu_dies(VkFence fence)
{
	const char *after = getenv("LOST_AFTER");
	pthread_mutex_lock(&gpu.lock);
	bool dies = ++gpu.submitted > (after ? atol(after) : 0);
	if (dies && fence && gpu.lost_count < sizeof(gpu.lost) / sizeof(gpu.lost[0])) {
		gpu.lost[gpu.lost_count++] = fence;
	}
	pthread_mutex_unlock(&gpu.lock);
	return dies;
}

static bool gpu_is_lost(VkFence fence)
{
	bool found = false;
	pthread_mutex_lock(&gpu.lock);
	for (size_t i = 0; i < gpu.lost_count; i++) {
		found |= gpu.lost[i] == fence;
	}
	pthread_mutex_unlock(&gpu.lock);
	return found;
}

static VKAPI_ATTR VkResult VKAPI_CALL gpu_submit(VkQueue queue, uint32_t count,
						 const VkSubmitInfo *batches, VkFence fence)
{
	return gpu_dies(fence) ? VK_SUCCESS : gpu.submit(queue, count, batches, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL gpu_submit2(VkQueue queue, uint32_t count,
						  const VkSubmitInfo2 *batches, VkFence fence)
{
	return gpu_dies(fence) ? VK_SUCCESS : gpu.submit2(queue, count, batches, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL gpu_wait(VkDevice device, uint32_t count,
					       const VkFence *fences, VkBool32 all,
					       uint64_t timeout)
{
	for (uint32_t i = 0; i < count; i++) {
		if (gpu_is_lost(fences[i])) {
			return VK_ERROR_DEVICE_LOST;
		}
	}
	return gpu.wait(device, count, fences, all, timeout);
}

static VKAPI_ATTR VkResult VKAPI_CALL gpu_status(VkDevice device, VkFence fence)
{
	return gpu_is_lost(fence) ? VK_ERROR_DEVICE_LOST : gpu.status(device, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL gpu_create_device(VkPhysicalDevice physical,
							const VkDeviceCreateInfo *info,
							const VkAllocationCallbacks *allocator,
							VkDevice *device)
{
	VkLayerDeviceCreateInfo *link =
		gpu_link(info->pNext, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
	if (!link) {
		return VK_ERROR_INITIALIZATION_FAILED;
	}
	gpu.next_device = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	VkResult result = gpu.create_device(physical, info, allocator, device);
	if (result == VK_SUCCESS) {
		gpu.submit = (PFN_vkQueueSubmit)gpu.next_device(*device, "vkQueueSubmit");
		gpu.submit2 = (PFN_vkQueueSubmit2)gpu.next_device(*device, "vkQueueSubmit2");
		gpu.wait = (PFN_vkWaitForFences)gpu.next_device(*device, "vkWaitForFences");
		gpu.status = (PFN_vkGetFenceStatus)gpu.next_device(*device, "vkGetFenceStatus");
	}
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL gpu_create_instance(const VkInstanceCreateInfo *info,
							  const VkAllocationCallbacks *allocator,
							  VkInstance *instance)
{
	VkLayerInstanceCreateInfo *link =
		gpu_link(info->pNext, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
	if (!link) {
		return VK_ERROR_INITIALIZATION_FAILED;
	}
	gpu.next_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	PFN_vkCreateInstance create =
		(PFN_vkCreateInstance)gpu.next_instance(NULL, "vkCreateInstance");
	VkResult result = create(info, allocator, instance);
	if (result == VK_SUCCESS) {
		gpu.create_device =
			(PFN_vkCreateDevice)gpu.next_instance(*instance, "vkCreateDevice");
	}
	return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL gpu_device_proc(VkDevice device, const char *name)
{
	static const struct {
		const char *name;
		PFN_vkVoidFunction fn;
	} table[] = {
		{"vkQueueSubmit", (PFN_vkVoidFunction)gpu_submit},
		{"vkQueueSubmit2", (PFN_vkVoidFunction)gpu_submit2},
		{"vkQueueSubmit2KHR", (PFN_vkVoidFunction)gpu_submit2},
		{"vkWaitForFences", (PFN_vkVoidFunction)gpu_wait},
		{"vkGetFenceStatus", (PFN_vkVoidFunction)gpu_status},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (!strcmp(name, table[i].name)) {
			return table[i].fn;
		}
	}
	return gpu.next_device(device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL gpu_instance_proc(VkInstance instance,
								  const char *name)
{
	if (!strcmp(name, "vkCreateInstance")) {
		return (PFN_vkVoidFunction)gpu_create_instance;
	}
	if (!strcmp(name, "vkCreateDevice")) {
		return (PFN_vkVoidFunction)gpu_create_device;
	}
	if (!strcmp(name, "vkGetDeviceProcAddr")) {
		return (PFN_vkVoidFunction)gpu_device_proc;
	}
	return gpu.next_instance ? gpu.next_instance(instance, name) : NULL;
}

__attribute__((visibility("default"))) VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *interface);
VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *interface)
{
	interface->loaderLayerInterfaceVersion = 2;
	interface->pfnGetInstanceProcAddr = gpu_instance_proc;
	interface->pfnGetDeviceProcAddr = gpu_device_proc;
	interface->pfnGetPhysicalDeviceProcAddr = NULL;
	return VK_SUCCESS;
}
