/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hide_layer.c - a Vulkan layer that hides external memory, so that any driver looks like one without a memory backing
 *
 * Loader and Layer Interface, version 2 (Vulkan-Loader documentation).  Only what is needed: physical-device extension
 * lists lose VK_EXT_external_memory_host and VK_EXT_external_memory_dma_buf, or those that HIDE_EXTENSIONS names.
 * Threads: one instance, one thread.
 */
#include <stdlib.h>
#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

static struct {
	PFN_vkGetInstanceProcAddr next_instance;
	PFN_vkEnumerateDeviceExtensionProperties enumerate;
} hide;

static int is_hidden(const char *name)
{
	const char *names = getenv("HIDE_EXTENSIONS");
	return strstr(names ? names : "VK_EXT_external_memory_host VK_EXT_external_memory_dma_buf", name) != NULL;
}

static VKAPI_ATTR VkResult VKAPI_CALL hide_enumerate(VkPhysicalDevice device, const char *layer, uint32_t *count,
						     VkExtensionProperties *out)
{
	VkExtensionProperties all[512];
	uint32_t total = 512, kept = 0;
	VkResult result = hide.enumerate(device, layer, &total, all);
	if (result < 0) {
		return result;
	}
	for (uint32_t i = 0; i < total; i++) {
		if (!is_hidden(all[i].extensionName)) {
			if (out && kept < *count) {
				out[kept] = all[i];
			}
			kept++;
		}
	}
	result = out && kept > *count ? VK_INCOMPLETE : VK_SUCCESS;
	*count = out && kept > *count ? *count : kept;
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL hide_create_instance(const VkInstanceCreateInfo *info,
							   const VkAllocationCallbacks *allocator, VkInstance *instance)
{
	VkLayerInstanceCreateInfo *link = (VkLayerInstanceCreateInfo *)info->pNext;
	while (link && (link->sType != VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO ||
			link->function != VK_LAYER_LINK_INFO)) {
		link = (VkLayerInstanceCreateInfo *)link->pNext;
	}
	if (!link) {
		return VK_ERROR_INITIALIZATION_FAILED;
	}
	hide.next_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	PFN_vkCreateInstance create = (PFN_vkCreateInstance)hide.next_instance(NULL, "vkCreateInstance");
	VkResult result = create(info, allocator, instance);
	if (result == VK_SUCCESS) {
		hide.enumerate = (PFN_vkEnumerateDeviceExtensionProperties)hide.next_instance(
			*instance, "vkEnumerateDeviceExtensionProperties");
	}
	return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL hide_instance_proc(VkInstance instance, const char *name)
{
	if (!strcmp(name, "vkCreateInstance")) {
		return (PFN_vkVoidFunction)hide_create_instance;
	}
	if (!strcmp(name, "vkEnumerateDeviceExtensionProperties")) {
		return (PFN_vkVoidFunction)hide_enumerate;
	}
	return hide.next_instance ? hide.next_instance(instance, name) : NULL;
}

__attribute__((visibility("default"))) VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *interface);
VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *interface)
{
	interface->loaderLayerInterfaceVersion = 2;
	interface->pfnGetInstanceProcAddr = hide_instance_proc;
	interface->pfnGetDeviceProcAddr = NULL;
	interface->pfnGetPhysicalDeviceProcAddr = NULL;
	return VK_SUCCESS;
}
