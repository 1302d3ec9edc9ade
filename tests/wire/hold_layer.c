/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_layer.c - a Vulkan layer that stops a program for ever once it has presented HOLD_FRAMES frames
 *
 * So its window keeps showing that frame.  "held" on standard error says that it has come.
 * Loader and Layer Interface, version 2 (Vulkan-Loader documentation).
 * Threads: one instance, one device, one thread that presents.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

static struct {
	PFN_vkGetInstanceProcAddr next_instance;
	PFN_vkGetDeviceProcAddr next_device;
	PFN_vkCreateDevice create_device;
	PFN_vkQueuePresentKHR present;
	long presented;
} hold;

/* The link of @type's chain that names the next layer, or NULL. */
static void *hold_link(const void *chain, VkStructureType type)
{
	const VkLayerInstanceCreateInfo *link = chain;
	while (link && (link->sType != type || link->function != VK_LAYER_LINK_INFO)) {
		link = link->pNext;
	}
	return (void *)link;
}

static VKAPI_ATTR VkResult VKAPI_CALL hold_present(VkQueue queue, const VkPresentInfoKHR *info)
{
	VkResult result = hold.present(queue, info);
	const char *frames = getenv("HOLD_FRAMES");
	if (++hold.presented == (frames ? atol(frames) : 1)) {
		while (write(2, "held\n", 5) == 5) {
			for (;;) {
				pause();
			}
		}
	}
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL hold_create_device(VkPhysicalDevice physical,
							 const VkDeviceCreateInfo *info,
							 const VkAllocationCallbacks *allocator,
							 VkDevice *device)
{
	VkLayerDeviceCreateInfo *link =
		hold_link(info->pNext, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
	if (!link) {
		return VK_ERROR_INITIALIZATION_FAILED;
	}
	hold.next_device = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	VkResult result = hold.create_device(physical, info, allocator, device);
	if (result == VK_SUCCESS) {
		hold.present = (PFN_vkQueuePresentKHR)hold.next_device(*device, "vkQueuePresentKHR");
	}
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL hold_create_instance(const VkInstanceCreateInfo *info,
							   const VkAllocationCallbacks *allocator,
							   VkInstance *instance)
{
	VkLayerInstanceCreateInfo *link =
		hold_link(info->pNext, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
	if (!link) {
		return VK_ERROR_INITIALIZATION_FAILED;
	}
	hold.next_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	PFN_vkCreateInstance create =
		(PFN_vkCreateInstance)hold.next_instance(NULL, "vkCreateInstance");
	VkResult result = create(info, allocator, instance);
	if (result == VK_SUCCESS) {
		hold.create_device =
			(PFN_vkCreateDevice)hold.next_instance(*instance, "vkCreateDevice");
	}
	return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL hold_device_proc(VkDevice device, const char *name)
{
	if (!strcmp(name, "vkQueuePresentKHR") && hold.present) {
		return (PFN_vkVoidFunction)hold_present;
	}
	return hold.next_device ? hold.next_device(device, name) : NULL;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL hold_instance_proc(VkInstance instance,
								   const char *name)
{
	if (!strcmp(name, "vkCreateInstance")) {
		return (PFN_vkVoidFunction)hold_create_instance;
	}
	if (!strcmp(name, "vkCreateDevice")) {
		return (PFN_vkVoidFunction)hold_create_device;
	}
	if (!strcmp(name, "vkGetDeviceProcAddr")) {
		return (PFN_vkVoidFunction)hold_device_proc;
	}
	if (!strcmp(name, "vkQueuePresentKHR")) {
		return (PFN_vkVoidFunction)hold_present;
	}
	return hold.next_instance ? hold.next_instance(instance, name) : NULL;
}

__attribute__((visibility("default"))) VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *interface);
VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *interface)
{
	interface->loaderLayerInterfaceVersion = 2;
	interface->pfnGetInstanceProcAddr = hold_instance_proc;
	interface->pfnGetDeviceProcAddr = hold_device_proc;
	interface->pfnGetPhysicalDeviceProcAddr = NULL;
	return VK_SUCCESS;
}
