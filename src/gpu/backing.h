/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backing.h - guest pages behind a resource: a checked list of ranges of guest RAM
 * Threads: made on the device's loop; reading on any thread.
 */
#ifndef ORIEL_GPU_BACKING_H
#define ORIEL_GPU_BACKING_H

#include "base/error.h"
#include "display/pages.h"
#include "gpu/proto.h"
#include "mem/gmem.h"

#include <stddef.h>
#include <stdint.h>

enum {
	GPU_BACKING_MAX_ENTRIES = 65536,
	GPU_BACKING_MAX_TOTAL = 1 << 20, /* entries of all resources together */
};

/* What all backings of a device use up.  Counted: a frame buffer in the hands of a display may
 * outlive the device. */
struct gpu_backing_budget;
struct gpu_backing_budget *gpu_backing_budget_create(void) MUST_CHECK;
/* Accepts NULL. */
void gpu_backing_budget_put(struct gpu_backing_budget *budget);

struct gpu_backing;

/*
 * Make a list of @count ranges (copied; 1..GPU_BACKING_MAX_ENTRIES), each not empty and inside RAM.
 * NULL with *code = -EINVAL, -ENOSPC (budget) or -ENOMEM.  @gmem is borrowed for its life.
 */
struct gpu_backing *gpu_backing_create(const struct gmem *gmem, struct gpu_backing_budget *budget,
				       const struct gpu_mem_entry *entries, uint32_t count,
				       int *code) MUST_CHECK;
/* Accepts NULL. */
void gpu_backing_destroy(struct gpu_backing *backing);
uint64_t gpu_backing_size(const struct gpu_backing *backing);
/* Copy [offset, offset+len) of the ranges put one after another.  -EFAULT if not inside (some bytes
 * may be copied). */
int gpu_backing_read(const struct gpu_backing *backing, uint64_t offset, void *to,
		     size_t len) MUST_CHECK;
/* The first @size bytes as a frame buffer; takes @backing, also on failure.  NULL if out of memory.
 */
struct display_pages *gpu_backing_pages(struct gpu_backing *backing, uint64_t size) MUST_CHECK;

#endif
