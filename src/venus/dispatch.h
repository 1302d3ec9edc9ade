/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch.h - entry points of one instance, physical device or device, and what it understands
 * Threads: made once, then constant.
 */
#ifndef ORIEL_VENUS_DISPATCH_H
#define ORIEL_VENUS_DISPATCH_H

#include "venus/codec.h"

struct venus_driver {
	uint64_t known[VENUS_STRUCT_WORDS]; /* structs that may be put into chains */
	uint32_t api_version;
	PFN_vkGetInstanceProcAddr get_instance_proc;
	PFN_vkGetDeviceProcAddr get_device_proc; /* NULL above devices */
	VkInstance instance;
	VkDevice device;
	PFN_vkDeviceWaitIdle wait_idle;
	PFN_vkVoidFunction fn[]; /* by command number */
};

static inline bool venus_driver_knows(const struct venus_driver *driver, uint32_t index)
{
	return driver->known[index / 64] >> index % 64 & 1;
}

/* Entry points without an instance (VK_NULL_HANDLE), or of @instance.  Knows every struct.  NULL if
 * out of memory. */
struct venus_driver *venus_driver_create(PFN_vkGetInstanceProcAddr get_proc, VkInstance instance);

/* The same entry points, but only the structs that @physical can understand. */
struct venus_driver *venus_driver_for_physical(const struct venus_driver *instance,
					       VkPhysicalDevice physical);

/* Keeps the structs of the extension @name from the driver, though it may know them. */
void venus_driver_hide(struct venus_driver *driver, const char *name);

/* Entry points of @device, made from @physical with @info (what was really enabled). */
struct venus_driver *venus_driver_for_device(const struct venus_driver *physical, VkDevice device,
					     const VkDeviceCreateInfo *info);

/* By name, best level first. */
PFN_vkVoidFunction venus_driver_lookup(const struct venus_driver *driver, const char *name);

#endif
