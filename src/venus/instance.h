/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance.h - instances and extension lists of the host, whatever they are needed for
 * Threads: any.
 */
#ifndef ORIEL_VENUS_INSTANCE_H
#define ORIEL_VENUS_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>
#include <vulkan/vulkan_core.h>

/* The highest Vulkan version a guest is shown. */
#define INSTANCE_API_MAX VK_MAKE_API_VERSION(0, 1, 3, 269)

struct instance_extensions {
	VkExtensionProperties *list;
	uint32_t count;
};

/* Device extensions of @physical.  False if the driver fails or out of memory. */
bool instance_list_extensions(struct instance_extensions *extensions,
			      PFN_vkGetInstanceProcAddr get_proc, VkInstance instance,
			      VkPhysicalDevice physical);
void instance_free_extensions(struct instance_extensions *extensions);
bool instance_has_extension(const struct instance_extensions *extensions, const char *name);

/* True if the loader hides non-conformant drivers (MoltenVK) unless asked with VK_KHR_portability_enumeration. */
bool instance_needs_portability(PFN_vkGetInstanceProcAddr get_proc);

/* An instance for our own purposes: newest version up to INSTANCE_API_MAX, no layers. */
VkResult instance_create_plain(PFN_vkGetInstanceProcAddr get_proc, VkInstance *instance);

#endif
