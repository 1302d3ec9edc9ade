/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance.c - instances and extension lists of the host
 * Threads: any.
 */
#include "venus/instance.h"

#include <stdlib.h>
#include <string.h>

bool instance_list_extensions(struct instance_extensions *extensions,
			      PFN_vkGetInstanceProcAddr get_proc, VkInstance instance,
			      VkPhysicalDevice physical)
{
	PFN_vkEnumerateDeviceExtensionProperties enumerate =
		(PFN_vkEnumerateDeviceExtensionProperties)get_proc(
			instance, "vkEnumerateDeviceExtensionProperties");
	*extensions = (struct instance_extensions){0};
	if (enumerate(physical, NULL, &extensions->count, NULL) != VK_SUCCESS) {
		return false;
	}
	extensions->list = calloc(extensions->count + 1, sizeof(*extensions->list));
	if (!extensions->list ||
	    enumerate(physical, NULL, &extensions->count, extensions->list) != VK_SUCCESS) {
		instance_free_extensions(extensions);
		return false;
	}
	return true;
}

void instance_free_extensions(struct instance_extensions *extensions)
{
	free(extensions->list);
	*extensions = (struct instance_extensions){0};
}

bool instance_has_extension(const struct instance_extensions *extensions, const char *name)
{
	for (uint32_t i = 0; i < extensions->count; i++) {
		if (!strcmp(extensions->list[i].extensionName, name)) {
			return true;
		}
	}
	return false;
}

bool instance_needs_portability(PFN_vkGetInstanceProcAddr get_proc)
{
	PFN_vkEnumerateInstanceExtensionProperties enumerate =
		(PFN_vkEnumerateInstanceExtensionProperties)get_proc(
			NULL, "vkEnumerateInstanceExtensionProperties");
	VkExtensionProperties list[128];
	struct instance_extensions extensions = {.list = list, .count = 128};
	VkResult result = enumerate(NULL, &extensions.count, list);
	return result >= 0 &&
	       instance_has_extension(&extensions,
				      VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);
}

VkResult instance_create_plain(PFN_vkGetInstanceProcAddr get_proc, VkInstance *instance)
{
	const char *portability = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
	VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.pApplicationName = "oriel-gpu",
		.apiVersion = INSTANCE_API_MAX,
	};
	VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
		.ppEnabledExtensionNames = &portability,
	};
	if (instance_needs_portability(get_proc)) {
		info.flags = VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
		info.enabledExtensionCount = 1;
	}
	PFN_vkCreateInstance create = (PFN_vkCreateInstance)get_proc(NULL, "vkCreateInstance");
	return create(&info, NULL, instance);
}
