/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resource.c - the table of resources, and 2D resources
 *
 * How it works: chained hash by id.  A 2D resource is a host copy that TRANSFER_TO_HOST_2D fills
 * from the guest pages. Threads: the device's loop.
 */
#include "gpu/gpu.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct gpu_resource **resource_bucket(struct gpu *gpu, uint32_t id)
{
	return &gpu->resources[id % GPU_RESOURCE_BUCKETS];
}

struct gpu_resource *gpu_resource_find(struct gpu *gpu, uint32_t id)
{
	struct gpu_resource *resource = *resource_bucket(gpu, id);
	while (resource && resource->id != id) {
		resource = resource->next;
	}
	return resource;
}

struct gpu_resource *gpu_resource_create(struct gpu *gpu, uint32_t id, enum gpu_resource_kind kind,
					 uint32_t *error)
{
	if (!id || gpu_resource_find(gpu, id)) {
		*error = GPU_ERR_INVALID_RESOURCE_ID;
		return NULL;
	}
	struct gpu_resource *resource =
		gpu->resource_count < GPU_MAX_RESOURCES ? calloc(1, sizeof(*resource)) : NULL;
	if (!resource) {
		*error = GPU_ERR_OUT_OF_MEMORY;
		return NULL;
	}
	resource->id = id;
	resource->kind = kind;
	resource->fd = -1;
	TAILQ_INIT(&resource->waiters);
	resource->next = *resource_bucket(gpu, id);
	*resource_bucket(gpu, id) = resource;
	gpu->resource_count++;
	return resource;
}

static void resource_unlink(struct gpu *gpu, struct gpu_resource *resource)
{
	struct gpu_resource **link = resource_bucket(gpu, resource->id);
	while (*link != resource) {
		link = &(*link)->next;
	}
	*link = resource->next;
	gpu->resource_count--;
}

void gpu_resource_destroy(struct gpu *gpu, struct gpu_resource *resource)
{
	assert(TAILQ_EMPTY(&resource->waiters));
	gpu_scanout_forget(gpu, resource->id);
	gpu_ledger_drop(gpu, resource);
	resource_unlink(gpu, resource);
	if (resource->mapped) {
		gpu_window_unmap(gpu->window, resource->window_offset, resource->window_len);
		gpu->bytes_mapped -= resource->window_len;
	}
	if (resource->kind == GPU_RESOURCE_2D) {
		gpu->bytes_2d -= resource->charged;
	} else {
		gpu->bytes_blob -= resource->charged;
	}
	display_pages_put(resource->pages);
	gpu_backing_destroy(resource->backing);
	if (resource->fd >= 0) {
		close(resource->fd);
	}
	free(resource);
}

void gpu_resource_for_each(struct gpu *gpu, void (*fn)(struct gpu *, struct gpu_resource *, void *),
			   void *opaque)
{
	for (unsigned i = 0; i < GPU_RESOURCE_BUCKETS; i++) {
		struct gpu_resource *next;
		for (struct gpu_resource *resource = gpu->resources[i]; resource; resource = next) {
			next = resource->next;
			fn(gpu, resource, opaque);
		}
	}
}

static void resource_destroy_one(struct gpu *gpu, struct gpu_resource *resource, void *opaque)
{
	gpu_resource_destroy(gpu, resource);
}

void gpu_resource_destroy_all(struct gpu *gpu)
{
	gpu_resource_for_each(gpu, resource_destroy_one, NULL);
}

uint32_t gpu_create_2d(struct gpu *gpu, const struct gpu_command *command)
{
	const struct gpu_create_2d *request = (const void *)command->bytes;
	uint32_t width = request->width, height = request->height, error;
	if (!width || !height || width > DISPLAY_MAX_SIDE || height > DISPLAY_MAX_SIDE ||
	    !pixel_format_is_known(request->format)) {
		return GPU_ERR_INVALID_PARAMETER;
	}
	uint64_t size = (uint64_t)width * height * PIXEL_BYTES;
	if (size > gpu->config.limit_2d - gpu->bytes_2d) {
		return GPU_ERR_OUT_OF_MEMORY;
	}
	struct gpu_resource *resource =
		gpu_resource_create(gpu, request->resource_id, GPU_RESOURCE_2D, &error);
	if (!resource) {
		return error;
	}
	resource->pages = display_pages_host(size, &resource->bytes);
	if (!resource->pages) {
		gpu_resource_destroy(gpu, resource);
		return GPU_ERR_OUT_OF_MEMORY;
	}
	resource->format = request->format;
	resource->width = width;
	resource->height = height;
	resource->size = size;
	resource->charged = size;
	gpu->bytes_2d += size;
	return GPU_OK_NODATA;
}

struct gpu_backing *gpu_resource_load_backing(struct gpu *gpu, const struct gpu_command *command,
					      size_t offset, uint32_t count, uint32_t *error)
{
	*error = GPU_ERR_INVALID_PARAMETER;
	if (count > GPU_BACKING_MAX_ENTRIES ||
	    command->len - offset < count * sizeof(struct gpu_mem_entry)) {
		return NULL;
	}
	int code = 0;
	struct gpu_backing *backing =
		gpu_backing_create(gpu->parts.gmem, gpu->backing_budget,
				   (const void *)(command->bytes + offset), count, &code);
	if (!backing && code != -EINVAL) {
		*error = GPU_ERR_OUT_OF_MEMORY;
	}
	return backing;
}

uint32_t gpu_attach_backing(struct gpu *gpu, const struct gpu_command *command)
{
	const struct gpu_attach_backing *request = (const void *)command->bytes;
	struct gpu_resource *resource = gpu_resource_find(gpu, request->resource_id);
	if (!resource) {
		return GPU_ERR_INVALID_RESOURCE_ID;
	}
	if (resource->kind != GPU_RESOURCE_2D || resource->backing) {
		return GPU_ERR_INVALID_PARAMETER;
	}
	uint32_t error;
	resource->backing = gpu_resource_load_backing(gpu, command, sizeof(*request),
						      request->nr_entries, &error);
	return resource->backing ? GPU_OK_NODATA : error;
}

uint32_t gpu_detach_backing(struct gpu *gpu, const struct gpu_command *command)
{
	const struct gpu_resource_ref *request = (const void *)command->bytes;
	struct gpu_resource *resource = gpu_resource_find(gpu, request->resource_id);
	if (!resource) {
		return GPU_ERR_INVALID_RESOURCE_ID;
	}
	if (!resource->backing) {
		return GPU_ERR_INVALID_PARAMETER;
	}
	gpu_backing_destroy(resource->backing);
	resource->backing = NULL;
	return GPU_OK_NODATA;
}

/* 5.7.6.8: the offset is that of the rectangle's first pixel; rows are as far apart as in the
 * resource. */
uint32_t gpu_transfer_2d(struct gpu *gpu, const struct gpu_command *command)
{
	const struct gpu_transfer_2d *request = (const void *)command->bytes;
	struct gpu_resource *resource = gpu_resource_find(gpu, request->resource_id);
	if (!resource) {
		return GPU_ERR_INVALID_RESOURCE_ID;
	}
	struct gpu_rect r = request->rect;
	if (resource->kind == GPU_RESOURCE_GUEST) {
		return GPU_OK_NODATA; /* a display reads the guest's pages themselves */
	}
	if (resource->kind != GPU_RESOURCE_2D || !resource->backing || r.x > resource->width ||
	    r.width > resource->width - r.x || r.y > resource->height ||
	    r.height > resource->height - r.y) {
		return GPU_ERR_INVALID_PARAMETER;
	}
	uint64_t stride = (uint64_t)resource->width * PIXEL_BYTES, from = request->offset;
	if (from > gpu_backing_size(resource->backing)) {
		return GPU_ERR_INVALID_PARAMETER;
	}
	uint8_t *to = resource->bytes + r.y * stride + (uint64_t)r.x * PIXEL_BYTES;
	size_t row = (size_t)r.width * PIXEL_BYTES;
	uint32_t rows = r.height;
	if (row == stride) {
		row *= rows;
		rows = rows ? 1 : 0;
	}
	for (uint32_t y = 0; y < rows; y++, from += stride, to += stride) {
		if (gpu_backing_read(resource->backing, from, to, row) < 0) {
			return GPU_ERR_INVALID_PARAMETER;
		}
	}
	return GPU_OK_NODATA;
}
