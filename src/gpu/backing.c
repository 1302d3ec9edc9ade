/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backing.c - guest pages behind a resource
 *
 * How it works: each range is kept with the offset at which it starts, so that a place is found by
 * bisection. Bytes are copied by gmem, which checks them again. Threads: immutable once made.
 */
#include "gpu/backing.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

struct gpu_backing_budget {
	atomic_uint references, entries;
};

struct backing_range {
	uint64_t start, gpa; /* offset in the resource; guest address */
	uint32_t len;
};

struct gpu_backing {
	const struct gmem *gmem;
	struct gpu_backing_budget *budget;
	uint64_t size;
	uint32_t count;
	struct backing_range ranges[];
};

struct gpu_backing_budget *gpu_backing_budget_create(void)
{
	struct gpu_backing_budget *budget = calloc(1, sizeof(*budget));
	if (budget) {
		atomic_init(&budget->references, 1);
	}
	return budget;
}

void gpu_backing_budget_put(struct gpu_backing_budget *budget)
{
	if (budget && atomic_fetch_sub(&budget->references, 1) == 1) {
		free(budget);
	}
}

static bool backing_charge(struct gpu_backing_budget *budget, uint32_t count)
{
	uint32_t before = atomic_fetch_add(&budget->entries, count);
	if (before + count > GPU_BACKING_MAX_TOTAL) {
		atomic_fetch_sub(&budget->entries, count);
		return false;
	}
	return true;
}

static bool backing_fill(struct gpu_backing *backing, const struct gpu_mem_entry *entries)
{
	for (uint32_t i = 0; i < backing->count; i++) {
		struct backing_range *range = &backing->ranges[i];
		struct iovec probe;
		range->start = backing->size;
		range->gpa = entries[i].addr;
		range->len = entries[i].length;
		if (!range->len ||
		    gmem_iov(backing->gmem, range->gpa, range->len, false, &probe) < 0) {
			return false;
		}
		backing->size += range->len;
	}
	return true;
}

struct gpu_backing *gpu_backing_create(const struct gmem *gmem, struct gpu_backing_budget *budget,
				       const struct gpu_mem_entry *entries, uint32_t count,
				       int *code)
{
	if (!count || count > GPU_BACKING_MAX_ENTRIES) {
		*code = -EINVAL;
		return NULL;
	}
	if (!backing_charge(budget, count)) {
		*code = -ENOSPC;
		return NULL;
	}
	struct gpu_backing *backing =
		calloc(1, sizeof(*backing) + count * sizeof(backing->ranges[0]));
	if (!backing) {
		atomic_fetch_sub(&budget->entries, count);
		*code = -ENOMEM;
		return NULL;
	}
	backing->gmem = gmem;
	backing->budget = budget;
	atomic_fetch_add(&budget->references, 1);
	backing->count = count;
	if (!backing_fill(backing, entries)) {
		gpu_backing_destroy(backing);
		*code = -EINVAL;
		return NULL;
	}
	return backing;
}

void gpu_backing_destroy(struct gpu_backing *backing)
{
	if (backing) {
		atomic_fetch_sub(&backing->budget->entries, backing->count);
		gpu_backing_budget_put(backing->budget);
		free(backing);
	}
}

uint64_t gpu_backing_size(const struct gpu_backing *backing)
{
	return backing->size;
}

/* Index of the range that contains @offset, which is below the size. */
static uint32_t backing_find(const struct gpu_backing *backing, uint64_t offset)
{
	uint32_t low = 0, high = backing->count;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (backing->ranges[middle].start <= offset) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low;
}

int gpu_backing_read(const struct gpu_backing *backing, uint64_t offset, void *to, size_t len)
{
	if (offset > backing->size || len > backing->size - offset) {
		return -EFAULT;
	}
	uint8_t *out = to;
	for (uint32_t i = len ? backing_find(backing, offset) : 0; len; i++) {
		const struct backing_range *range = &backing->ranges[i];
		uint64_t skip = offset - range->start;
		size_t part = range->len - skip < len ? range->len - skip : len;
		int status = gmem_read(backing->gmem, range->gpa + skip, out, part);
		if (status < 0) {
			return status;
		}
		out += part;
		offset += part;
		len -= part;
	}
	return 0;
}

struct backing_pages {
	struct display_pages pages;
	struct gpu_backing *backing;
};

static int backing_pages_read(struct display_pages *pages, uint64_t offset, void *to, size_t len)
{
	return gpu_backing_read(((struct backing_pages *)pages)->backing, offset, to, len);
}

static void backing_pages_destroy(struct display_pages *pages)
{
	gpu_backing_destroy(((struct backing_pages *)pages)->backing);
	free(pages);
}

static const struct display_pages_ops backing_pages_ops = {
	.read = backing_pages_read,
	.destroy = backing_pages_destroy,
};

struct display_pages *gpu_backing_pages(struct gpu_backing *backing, uint64_t size)
{
	struct backing_pages *pages = size <= backing->size ? calloc(1, sizeof(*pages)) : NULL;
	if (!pages) {
		gpu_backing_destroy(backing);
		return NULL;
	}
	pages->backing = backing;
	display_pages_init(&pages->pages, &backing_pages_ops, size);
	return &pages->pages;
}
