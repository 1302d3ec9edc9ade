/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hide_layer.c - a Vulkan layer that hides external memory, so that any driver looks like one
 * without a memory backing
 *
 * Physical devices' lists of extensions lose VK_EXT_external_memory_host and
 * VK_EXT_external_memory_dma_buf, or those that HIDE_EXTENSIONS names.
 * Threads: one instance, one thread.
 */
#include <stdlib.h>

#define LAYER_INSTANCE(X) X(vkEnumerateDeviceExtensionProperties)
#define LAYER_DEVICE(X)
#include "../wire/layer.h"

static bool is_hidden(const char *name)
{
	const char *names = getenv("HIDE_EXTENSIONS");
	return strstr(names ? names : "VK_EXT_external_memory_host VK_EXT_external_memory_dma_buf",
		      name) != NULL;
}

static VKAPI_ATTR VkResult VKAPI_CALL layer_vkEnumerateDeviceExtensionProperties(
	VkPhysicalDevice device, const char *layer, uint32_t *count, VkExtensionProperties *out)
{
	VkExtensionProperties all[512];
	uint32_t total = 512, kept = 0;
	VkResult result = next.vkEnumerateDeviceExtensionProperties(device, layer, &total, all);
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
