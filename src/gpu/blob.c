/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob.c - blob resources: guest pages, or memory of a server, mapped into the host-visible window
 *
 * How it works: a host blob is in the table from the moment its CREATE_BLOB arrives; until the
 * server has answered, what else the guest says about it waits on the resource, in order. Threads:
 * the device's loop.
 */
#include "base/log.h"
#include "gpu/gpu.h"

#include <assert.h>
#include <stdio.h>
#include <unistd.h>

static uint64_t blob_round(const struct gpu *gpu, uint64_t size)
{
	uint64_t granule = gpu_window_granule(gpu->window);
	return (size + granule - 1) / granule * granule;
}

static uint32_t blob_create_guest(struct gpu *gpu, const struct gpu_command *command)
{
	const struct gpu_create_blob *request = (const void *)command->bytes;
	uint32_t error;
	struct gpu_resource *resource =
		gpu_resource_create(gpu, request->resource_id, GPU_RESOURCE_GUEST, &error);
	if (!resource) {
		return error;
	}
	struct gpu_backing *backing = gpu_resource_load_backing(gpu, command, sizeof(*request),
								request->nr_entries, &error);
	if (backing && request->size > gpu_backing_size(backing)) {
		gpu_backing_destroy(backing);
		backing = NULL;
		error = GPU_ERR_INVALID_PARAMETER;
	}
	resource->pages = backing ? gpu_backing_pages(backing, request->size) : NULL;
	if (!resource->pages) {
		gpu_resource_destroy(gpu, resource);
		return backing ? GPU_ERR_OUT_OF_MEMORY : error;
	}
	resource->size = request->size;
	return GPU_OK_NODATA;
}

/* Makes the pending resource; the server is asked by the context. */
static uint32_t blob_prepare_host(struct gpu *gpu, struct gpu_context *context,
				  const struct gpu_create_blob *request)
{
	uint32_t error;
	if (request->size > gpu->config.memory_limit - gpu->bytes_blob || context->lost) {
		return context->lost ? GPU_ERR_UNSPEC : GPU_ERR_OUT_OF_MEMORY;
	}
	struct gpu_resource *resource =
		gpu_resource_create(gpu, request->resource_id, GPU_RESOURCE_HOST, &error);
	if (!resource) {
		return error;
	}
	resource->pending = true;
	resource->owner = context;
	resource->blob_flags = request->blob_flags;
	resource->size = request->size;
	resource->charged = request->size;
	gpu->bytes_blob += request->size;
	return GPU_OK_NODATA;
}

void gpu_create_blob(struct gpu *gpu, struct gpu_command *command)
{
	const struct gpu_create_blob *request = (const void *)command->bytes;
	uint32_t known_flags = GPU_BLOB_MAPPABLE | GPU_BLOB_SHAREABLE | GPU_BLOB_CROSS_DEVICE;
	if (!request->size || (request->blob_flags & ~known_flags)) {
		gpu_answer(gpu, command, GPU_ERR_INVALID_PARAMETER);
		return;
	}
	if (gpu->blobs_aligned && request->size % gpu_window_granule(gpu->window)) {
		gpu_answer(gpu, command, GPU_ERR_INVALID_PARAMETER);
		return;
	}
	if (request->blob_mem == GPU_BLOB_MEM_GUEST) {
		gpu_answer(gpu, command, blob_create_guest(gpu, command));
		return;
	}
	if (request->blob_mem != GPU_BLOB_MEM_HOST3D || request->nr_entries) {
		gpu_answer(gpu, command, GPU_ERR_INVALID_PARAMETER);
		return;
	}
	struct gpu_context *context = gpu_context_find(gpu, command->header.ctx_id);
	uint32_t status =
		context ? blob_prepare_host(gpu, context, request) : GPU_ERR_INVALID_CONTEXT_ID;
	if (status != GPU_OK_NODATA) {
		gpu_answer(gpu, command, status);
		return;
	}
	command->resource_id = request->resource_id;
	gpu_context_command(context, command);
}

/* On success *info is the map_info of the answer. */
static uint32_t blob_map(struct gpu *gpu, struct gpu_resource *resource, uint64_t offset,
			 uint32_t *info)
{
	if (resource->kind != GPU_RESOURCE_HOST || !(resource->blob_flags & GPU_BLOB_MAPPABLE) ||
	    resource->mapped || !resource->map_info) {
		return GPU_ERR_INVALID_PARAMETER;
	}
	uint64_t len = blob_round(gpu, resource->size);
	const char *why = "";
	if (gpu_window_map(gpu->window, offset, resource->fd, len, &why) < 0) {
		log_limited(LOG_WARN, "gpu: guest maps a blob of 0x%llx bytes at 0x%llx: %s",
			    (unsigned long long)len, (unsigned long long)offset, why);
		return GPU_ERR_INVALID_PARAMETER;
	}
	resource->mapped = true;
	resource->window_offset = offset;
	resource->window_len = len;
	gpu->bytes_mapped += len;
	*info = resource->map_info;
	return GPU_OK_MAP_INFO;
}

static uint32_t blob_unmap(struct gpu *gpu, struct gpu_resource *resource)
{
	if (!resource->mapped) {
		return GPU_ERR_INVALID_PARAMETER;
	}
	gpu_window_unmap(gpu->window, resource->window_offset, resource->window_len);
	gpu->bytes_mapped -= resource->window_len;
	resource->mapped = false;
	return GPU_OK_NODATA;
}

static void blob_answer_map(struct gpu *gpu, struct gpu_resource *resource,
			    struct gpu_command *command)
{
	const struct gpu_map_blob *request = (const void *)command->bytes;
	struct gpu_map_info answer = {0};
	uint32_t type = blob_map(gpu, resource, request->offset, &answer.map_info);
	if (type == GPU_OK_MAP_INFO) {
		gpu_answer_with(gpu, command, type, &answer, sizeof(answer));
	} else {
		gpu_answer(gpu, command, type);
	}
}

/* Now: @command's resource does not wait for a server any more, or does not exist. */
static void blob_resource_command(struct gpu *gpu, struct gpu_command *command)
{
	struct gpu_resource *resource = gpu_resource_find(gpu, command->resource_id);
	if (!resource) {
		gpu_answer(gpu, command, GPU_ERR_INVALID_RESOURCE_ID);
		return;
	}
	assert(!resource->pending);
	switch (command->header.type) {
	case GPU_RESOURCE_MAP_BLOB: blob_answer_map(gpu, resource, command); break;
	case GPU_RESOURCE_UNMAP_BLOB: gpu_answer(gpu, command, blob_unmap(gpu, resource)); break;
	default:
		gpu_context_forget_resource(gpu, resource);
		gpu_resource_destroy(gpu, resource);
		gpu_answer(gpu, command, GPU_OK_NODATA);
	}
}

void gpu_resource_command(struct gpu *gpu, struct gpu_command *command)
{
	/* All three start with the resource's id. */
	command->resource_id = ((const struct gpu_resource_ref *)command->bytes)->resource_id;
	struct gpu_resource *resource = gpu_resource_find(gpu, command->resource_id);
	if (!resource || !resource->pending) {
		blob_resource_command(gpu, command);
	} else if (gpu_context_hold(resource->owner, command)) {
		TAILQ_INSERT_TAIL(&resource->waiters, command, link);
	} else {
		gpu_answer(gpu, command, GPU_ERR_OUT_OF_MEMORY);
	}
}

/* Keeps what the server gave.  False: it is more than the VM may have. */
static bool blob_keep(struct gpu *gpu, struct gpu_resource *resource, const struct wire_blob *blob,
		      int fd)
{
	if (blob->size < blob_round(gpu, resource->size) ||
	    blob->size - resource->charged > gpu->config.memory_limit - gpu->bytes_blob) {
		return false;
	}
	gpu->bytes_blob += blob->size - resource->charged;
	resource->charged = blob->size;
	resource->fd = fd;
	resource->map_info = blob->map_info <= 3 ? blob->map_info : 0;
	return true;
}

uint32_t gpu_blob_settle(struct gpu *gpu, uint32_t resource_id, const struct wire_blob *blob,
			 int fd)
{
	struct gpu_resource *resource = gpu_resource_find(gpu, resource_id);
	assert(resource && resource->pending);
	struct gpu_commands waiters = TAILQ_HEAD_INITIALIZER(waiters);
	TAILQ_CONCAT(&waiters, &resource->waiters, link);
	resource->pending = false;
	uint32_t result = GPU_OK_NODATA;
	if (!blob || blob->status != 0 || fd < 0 || !blob_keep(gpu, resource, blob, fd)) {
		result = blob ? GPU_ERR_OUT_OF_MEMORY : GPU_ERR_UNSPEC;
		gpu_resource_destroy(gpu, resource);
		if (fd >= 0) {
			close(fd);
		}
	}
	struct gpu_command *command;
	while ((command = TAILQ_FIRST(&waiters))) {
		TAILQ_REMOVE(&waiters, command, link);
		blob_resource_command(gpu, command);
	}
	gpu_context_resume_all(gpu);
	return result;
}

void gpu_resource_lost(struct gpu_resource *resource)
{
	struct gpu_context *owner = resource->owner;
	if (!owner || owner->lost || owner->closing) {
		log_limited(LOG_WARN,
			    "gpu: the host has no pages any more for resource %u, whose context "
			    "has ended before",
			    resource->id);
		return;
	}
	char why[96];
	snprintf(why, sizeof(why), "the host has no pages any more for its resource %u",
		 resource->id);
	gpu_context_lose(owner, why);
}

static void blob_lost_one(struct gpu *gpu, struct gpu_resource *resource, void *opaque)
{
	uint64_t offset = *(const uint64_t *)opaque;
	if (resource->mapped && offset - resource->window_offset < resource->window_len) {
		gpu_resource_lost(resource);
	}
}

void gpu_blob_lost(struct gpu *gpu, uint64_t offset)
{
	gpu_resource_for_each(gpu, blob_lost_one, &offset);
}
