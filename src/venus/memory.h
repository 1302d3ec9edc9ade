/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.h - VkDeviceMemory that guests can map
 * Threads: the lane's; memory_export() the front end's.
 */
#ifndef ORIEL_VENUS_MEMORY_H
#define ORIEL_VENUS_MEMORY_H

#include "base/error.h"

#include <stdint.h>

struct context;
struct pages;
struct venus_call;
struct venus_dispatch;
struct venus_object;

/* Frees the data of a VkDeviceMemory object, which the driver has freed already. */
void memory_free(struct venus_object *object);
/*
 * The pages of memory object @id, which must hold @bytes; *pages is counted.  -ENOENT (no such memory), -EINVAL (too
 * small, or not mappable), or the driver's failure to export.
 */
int memory_export(struct context *context, uint64_t id, uint64_t bytes,
		  struct pages **pages) MUST_CHECK;
/* How many allocations a guest may make: each takes a descriptor and a mapping. */
uint32_t memory_max_allocations(void);

int memory_allocate_hook(struct venus_call *call);
int memory_get_resource_properties(struct venus_call *call);

#endif
