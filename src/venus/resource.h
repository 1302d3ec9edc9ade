/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resource.h - the virtio-gpu resources of one context: 32-bit id -> shared pages
 * Threads: any; the table has its own lock, what a lookup returns is counted.
 */
#ifndef ORIEL_VENUS_RESOURCE_H
#define ORIEL_VENUS_RESOURCE_H

#include "venus/idmap.h"
#include "venus/pages.h"

#include <pthread.h>

enum resource_kind {
	RESOURCE_SHMEM,	  /* blob id 0: rings, streams, replies */
	RESOURCE_MEMORY,  /* export of a VkDeviceMemory of this context */
	RESOURCE_FOREIGN, /* made by another context */
};

struct resource_table {
	pthread_mutex_t lock;
	struct idmap resources; /* guarded by lock */
	size_t limit;
	struct shelf *shelf; /* pays for what outlives a resource that others made; borrowed */
};

void resource_table_init(struct resource_table *table, size_t limit, struct shelf *shelf);
void resource_table_finish(struct resource_table *table);

/*
 * Adds a resource of @bytes (<= pages->bytes, as the guest knows it).  Takes the reference to @pages, also on failure.
 * -EINVAL for id 0, -EEXIST, -ENOSPC beyond the limit, -ENOMEM.
 */
int resource_add(struct resource_table *table, uint32_t id, enum resource_kind kind,
		 struct pages *pages, uint64_t bytes) MUST_CHECK;
/* Drops a resource, whose pages may be left to their shelf (pages_leave()); -ENOENT if there is none. */
int resource_remove(struct resource_table *table, uint32_t id);

/* A resource as looked up; pages is counted, release it with pages_put(). */
struct resource_view {
	enum resource_kind kind;
	struct pages *pages;
	uint64_t bytes;
};
/* False if there is no such resource. */
bool resource_find(struct resource_table *table, uint32_t id, struct resource_view *view) MUST_CHECK;
/*
 * A counted view of [offset, offset + bytes) of a shmem resource; *memory is its first byte.  False if there is no
 * such resource, it is not shmem, or the range leaves it.
 */
bool resource_find_shmem(struct resource_table *table, uint32_t id, uint64_t offset, uint64_t bytes,
			 struct pages **pages, unsigned char **memory) MUST_CHECK;

#endif
