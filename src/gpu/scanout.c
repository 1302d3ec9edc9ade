/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scanout.c - which resource is shown where, and the pointer
 * Threads: the device's loop.
 */
#include "gpu/gpu.h"

#include <string.h>

static unsigned scanout_count(const struct gpu *gpu)
{
	return display_count(gpu->parts.display);
}

static void scanout_set_off(struct gpu *gpu, uint32_t scanout_id)
{
	gpu->scanouts[scanout_id] = (struct gpu_scanout){0};
	display_off(gpu->parts.display, scanout_id);
}

void gpu_scanout_forget(struct gpu *gpu, uint32_t resource_id)
{
	for (uint32_t i = 0; i < scanout_count(gpu); i++) {
		if (gpu->scanouts[i].resource_id == resource_id) {
			scanout_set_off(gpu, i);
		}
	}
}

static bool scanout_rect_fits(const struct gpu_rect *r, uint32_t width, uint32_t height)
{
	return r->width && r->height && r->x <= width && r->width <= width - r->x &&
	       r->y <= height && r->height <= height - r->y;
}

/* Shows the part @r of the picture @frame; its offset and size are adjusted here. */
static uint32_t scanout_show(struct gpu *gpu, uint32_t scanout_id, uint32_t resource_id,
			     const struct gpu_rect *r, struct display_frame *frame)
{
	if (!scanout_rect_fits(r, frame->width, frame->height)) {
		return GPU_ERR_INVALID_PARAMETER;
	}
	frame->offset += (uint64_t)r->y * frame->stride + (uint64_t)r->x * PIXEL_BYTES;
	frame->width = r->width;
	frame->height = r->height;
	if (display_show(gpu->parts.display, scanout_id, frame) < 0) {
		return GPU_ERR_INVALID_PARAMETER;
	}
	gpu->scanouts[scanout_id] = (struct gpu_scanout){.resource_id = resource_id, .rect = *r};
	return GPU_OK_NODATA;
}

uint32_t gpu_set_scanout(struct gpu *gpu, const struct gpu_command *command)
{
	const struct gpu_set_scanout *request = (const void *)command->bytes;
	if (request->scanout_id >= scanout_count(gpu)) {
		return GPU_ERR_INVALID_SCANOUT_ID;
	}
	if (!request->resource_id) {
		scanout_set_off(gpu, request->scanout_id);
		return GPU_OK_NODATA;
	}
	struct gpu_resource *resource = gpu_resource_find(gpu, request->resource_id);
	if (!resource || resource->kind != GPU_RESOURCE_2D) {
		return GPU_ERR_INVALID_RESOURCE_ID;
	}
	struct display_frame frame = {
		.pages = resource->pages,
		.stride = resource->width * PIXEL_BYTES,
		.width = resource->width,
		.height = resource->height,
		.format = resource->format,
	};
	return scanout_show(gpu, request->scanout_id, resource->id, &request->rect, &frame);
}

/* What a display can read of a blob; NULL if nothing. */
static struct display_pages *scanout_blob_pages(struct gpu_resource *resource)
{
	if (!resource->pages && resource->kind == GPU_RESOURCE_HOST && !resource->pending &&
	    resource->fd >= 0) {
		resource->pages = display_pages_map(resource->fd, resource->size);
	}
	return resource->pages;
}

uint32_t gpu_set_scanout_blob(struct gpu *gpu, const struct gpu_command *command)
{
	const struct gpu_set_scanout_blob *request = (const void *)command->bytes;
	if (request->scanout_id >= scanout_count(gpu)) {
		return GPU_ERR_INVALID_SCANOUT_ID;
	}
	if (!request->resource_id) {
		scanout_set_off(gpu, request->scanout_id);
		return GPU_OK_NODATA;
	}
	struct gpu_resource *resource = gpu_resource_find(gpu, request->resource_id);
	if (!resource || resource->kind == GPU_RESOURCE_2D || !scanout_blob_pages(resource)) {
		return GPU_ERR_INVALID_RESOURCE_ID;
	}
	struct display_frame frame = {
		.pages = resource->pages,
		.offset = request->offsets[0],
		.stride = request->strides[0],
		.width = request->width,
		.height = request->height,
		.format = request->format,
	};
	return scanout_show(gpu, request->scanout_id, resource->id, &request->rect, &frame);
}

/* [start, start+len) of the resource as seen from @origin; both cut so that nothing wraps. */
static void scanout_shift(uint32_t *start, uint32_t *len, uint32_t origin)
{
	uint64_t end = (uint64_t)*start + *len;
	uint64_t from = *start > origin ? *start - origin : 0;
	uint64_t to = end > origin ? end - origin : 0;
	*start = (uint32_t)from;
	*len = to - from > UINT32_MAX ? UINT32_MAX : (uint32_t)(to - from);
}

uint32_t gpu_flush(struct gpu *gpu, const struct gpu_command *command)
{
	const struct gpu_flush *request = (const void *)command->bytes;
	struct gpu_resource *resource = gpu_resource_find(gpu, request->resource_id);
	if (!resource) {
		return GPU_ERR_INVALID_RESOURCE_ID;
	}
	if (resource->pages && display_pages_are_lost(resource->pages)) {
		gpu_resource_lost(resource); /* a display found that out */
	}
	for (uint32_t i = 0; i < scanout_count(gpu); i++) {
		const struct gpu_scanout *scanout = &gpu->scanouts[i];
		if (scanout->resource_id != request->resource_id) {
			continue;
		}
		struct display_rect damage = {request->rect.x, request->rect.y, request->rect.width,
					      request->rect.height};
		scanout_shift(&damage.x, &damage.width, scanout->rect.x);
		scanout_shift(&damage.y, &damage.height, scanout->rect.y);
		display_damage(gpu->parts.display, i, damage);
	}
	return GPU_OK_NODATA;
}

uint32_t gpu_cursor(struct gpu *gpu, const struct gpu_command *command)
{
	const struct gpu_cursor *request = (const void *)command->bytes;
	if (request->pos.scanout_id >= scanout_count(gpu)) {
		return GPU_ERR_INVALID_SCANOUT_ID;
	}
	int32_t x = (int32_t)request->pos.x, y = (int32_t)request->pos.y;
	if (request->header.type == GPU_MOVE_CURSOR) {
		display_move_cursor(gpu->parts.display, request->pos.scanout_id, x, y);
		return GPU_OK_NODATA;
	}
	struct display_cursor cursor = {
		.x = x, .y = y, .hot_x = request->hot_x, .hot_y = request->hot_y};
	if (request->resource_id) {
		struct gpu_resource *resource = gpu_resource_find(gpu, request->resource_id);
		if (!resource || resource->kind != GPU_RESOURCE_2D) {
			return GPU_ERR_INVALID_RESOURCE_ID;
		}
		cursor.image = (struct display_frame){
			.pages = resource->pages,
			.stride = resource->width * PIXEL_BYTES,
			.width = resource->width,
			.height = resource->height,
			.format = resource->format,
		};
	}
	return display_set_cursor(gpu->parts.display, request->pos.scanout_id, &cursor) < 0
		       ? GPU_ERR_INVALID_PARAMETER
		       : GPU_OK_NODATA;
}
