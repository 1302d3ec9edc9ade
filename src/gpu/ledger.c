/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.c - the device's part in what all servers hold together (wire/ledger.h)
 *
 * How it works: a server counts all that it has made, blobs included, until its process has ended.
 * The device counts what servers can not: blobs whose maker is gone, and memory of a resource that
 * is gone, but which other servers still know, until they have counted it themselves.  That a
 * process has ended may be heard before the last messages it sent: its slot is kept until those are
 * through, which is when its context stops it. Threads: the device's loop.
 */
#include "gpu/gpu.h"

#include <assert.h>

static void ledger_publish(struct gpu *gpu)
{
	uint64_t bytes = gpu->bytes_orphan;
	for (unsigned i = 0; i < 1 + GPU_LEDGER_SLOTS; i++) {
		bytes += gpu->owed[i];
	}
	ledger_store(&gpu->ledger, LEDGER_PARENT, bytes);
}

static void ledger_keep_one(struct gpu *gpu, struct gpu_resource *resource, void *opaque)
{
	if (resource->owner == opaque && resource->fd >= 0 && !resource->orphan) {
		resource->orphan = true;
		gpu->bytes_orphan += resource->charged;
	}
}

void gpu_ledger_keep_blobs(struct gpu *gpu, struct gpu_context *context)
{
	gpu_resource_for_each(gpu, ledger_keep_one, context);
	ledger_publish(gpu);
}

void gpu_ledger_drop(struct gpu *gpu, struct gpu_resource *resource)
{
	if (resource->orphan) {
		gpu->bytes_orphan -= resource->charged;
		ledger_publish(gpu);
	}
	for (unsigned i = 0; resource->kind == GPU_RESOURCE_HOST && i < 1 + GPU_LEDGER_SLOTS; i++) {
		if (resource->known[i]) {
			(void)gpu_ledger_owe(gpu, i, resource->charged);
		}
	}
}

uint64_t gpu_ledger_owe(struct gpu *gpu, unsigned slot, uint64_t bytes)
{
	if (gpu->owed[slot] > gpu->config.memory_limit) {
		return 0;
	}
	gpu->owed[slot] += bytes;
	ledger_publish(gpu);
	return bytes;
}

void gpu_ledger_settle(struct gpu *gpu, unsigned slot, uint64_t bytes)
{
	assert(bytes <= gpu->owed[slot]);
	gpu->owed[slot] -= bytes;
	ledger_publish(gpu);
}

static void ledger_forget_one(struct gpu *gpu, struct gpu_resource *resource, void *opaque)
{
	resource->known[*(const unsigned *)opaque] = false;
}

void gpu_ledger_ended(void *opaque, uint32_t token)
{
	struct gpu *gpu = opaque;
	for (unsigned i = 0; i < GPU_MAX_CONTEXTS; i++) {
		struct gpu_context *context = gpu->contexts[i];
		if (context && context->server && context->token == token) {
			context->process_ended = true;
			return;
		}
	}
	gpu_ledger_release(gpu, token);
}

void gpu_ledger_release(struct gpu *gpu, uint32_t token)
{
	unsigned slot = ledger_end(&gpu->ledger, token);
	gpu_resource_for_each(gpu, ledger_forget_one, &slot);
	gpu->owed[slot] = 0;
	ledger_publish(gpu);
}
