/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resource.c - the virtio-gpu resources of one context
 * Threads: any.
 */
#include "venus/resource.h"

#include "base/own.h"
#include "base/span.h"

#include <errno.h>

struct resource {
	enum resource_kind kind;
	struct pages *pages;
	uint64_t bytes;
};

void resource_table_init(struct resource_table *table, size_t limit, struct shelf *shelf)
{
	*table = (struct resource_table){.limit = limit, .shelf = shelf};
	pthread_mutex_init(&table->lock, NULL);
}

static void resource_free(struct resource *resource)
{
	pages_leave(resource->pages);
	free(resource);
}

void resource_table_finish(struct resource_table *table)
{
	struct resource *resource;
	while ((resource = idmap_take_any(&table->resources))) {
		resource_free(resource);
	}
	idmap_finish(&table->resources);
	pthread_mutex_destroy(&table->lock);
}

static int resource_insert(struct resource_table *table, uint32_t id, struct resource *resource)
{
	LOCKED(&table->lock);
	if (table->resources.count >= table->limit) {
		return -ENOSPC;
	}
	return idmap_put(&table->resources, id, resource);
}

int resource_add(struct resource_table *table, uint32_t id, enum resource_kind kind,
		 struct pages *pages, uint64_t bytes)
{
	struct resource *resource = malloc(sizeof(*resource));
	if (!resource) {
		pages_put(pages);
		return -ENOMEM;
	}
	*resource = (struct resource){.kind = kind, .pages = pages, .bytes = bytes};
	int status = resource_insert(table, id, resource);
	if (status) {
		resource_free(resource);
	}
	return status;
}

int resource_remove(struct resource_table *table, uint32_t id)
{
	struct resource *resource;
	{
		LOCKED(&table->lock);
		resource = idmap_take(&table->resources, id);
	}
	if (!resource) {
		return -ENOENT;
	}
	if (resource->kind == RESOURCE_FOREIGN) {
		pages_inherit(resource->pages, table->shelf);
	}
	resource_free(resource);
	return 0;
}

bool resource_find(struct resource_table *table, uint32_t id, struct resource_view *view)
{
	LOCKED(&table->lock);
	struct resource *resource = idmap_get(&table->resources, id);
	if (!resource) {
		return false;
	}
	*view = (struct resource_view){
		.kind = resource->kind,
		.pages = pages_get(resource->pages),
		.bytes = resource->bytes,
	};
	return true;
}

bool resource_find_shmem(struct resource_table *table, uint32_t id, uint64_t offset, uint64_t bytes,
			 struct pages **pages, unsigned char **memory)
{
	struct resource_view view;
	struct span range;
	if (!resource_find(table, id, &view)) {
		return false;
	}
	if (view.kind != RESOURCE_SHMEM ||
	    !span_make(&range, (struct span){0, view.bytes}, offset, bytes)) {
		pages_put(view.pages);
		return false;
	}
	*pages = view.pages;
	*memory = (unsigned char *)view.pages->map + range.start;
	return true;
}
