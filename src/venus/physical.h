/* SPDX-License-Identifier: Apache-2.0 */
/*
 * physical.h - what guests are told about instances and physical devices
 *
 * Threads: the lane's; a struct physical is read-only once its object exists.
 */
#ifndef ORIEL_VENUS_PHYSICAL_H
#define ORIEL_VENUS_PHYSICAL_H

#include "venus/instance.h"
#include "venus/probe.h"

#include <stdbool.h>

struct venus_call;
struct venus_object;
struct context;

/* Data of a VkPhysicalDevice object. */
struct physical {
	const struct probe_device *probe; /* of the context's configuration */
	VkInstance instance;
	VkPhysicalDevice handle;
	struct instance_extensions extensions;	/* of the host */
	VkPhysicalDeviceMemoryProperties memory; /* as guests see it */
	VkQueueFamilyProperties *families;	 /* shown ones */
	uint32_t family_count;
	bool draws_linear; /* to linear images by VK_NV_linear_color_attachment, which the driver has to be told */
};

void physical_free(struct physical *physical);
/* Of what the driver says in ->memory, types that cannot be mapped lose the flags that say so, and heaps end at @max_bytes. */
void physical_limit_memory(struct physical *physical, uint64_t max_bytes);
/* No heap can give more than it has, nor than @share, which is what the context may have now.  Accepts NULL. */
void physical_limit_budget(const struct physical *physical, uint64_t share, VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget);
/* True if memory of @type can be mapped by the guest. */
bool physical_type_is_visible(const struct physical *physical, uint32_t type);
/*
 * Of the memory types @types that the driver allows for something, those that guests may take if it is shared: what can be mapped.
 * Where none of these is the device's own, which some programs insist on (Zink for what is shown), those that are and cannot be mapped, too:
 * shared memory of such a type is made of physical_stand_in().
 */
uint32_t physical_shared_types(const struct physical *physical, uint32_t types);
/* The type that shared memory is made of if the guest calls it @type. */
uint32_t physical_stand_in(const struct physical *physical, uint32_t type);
/*
 * True if guests may enable device extension @name; *pass tells whether the host driver is to be told, or we do it ourselves.
 */
bool physical_offers_extension(const struct physical *physical, const char *name, bool *pass);

int physical_enumerate_version(struct venus_call *call);
int physical_create_instance(struct venus_call *call);
int physical_enumerate(struct venus_call *call);
int physical_enumerate_groups(struct venus_call *call);
int physical_get_properties(struct venus_call *call);
int physical_get_properties2(struct venus_call *call);
int physical_get_memory_properties2(struct venus_call *call);
int physical_get_queue_families2(struct venus_call *call);
int physical_enumerate_extensions(struct venus_call *call);
int physical_get_external_semaphore(struct venus_call *call);
int physical_get_external_fence(struct venus_call *call);

#endif
