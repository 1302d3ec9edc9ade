/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.c - control commands: which there are, how long they must be, who does them
 *
 * How it works: one table.  A command shorter than its struct is refused before anybody looks at
 * it. Threads: the device's loop.
 */
#include "gpu/edid.h"
#include "gpu/gpu.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gpu_command *gpu_command_create(size_t len)
{
	if (len < sizeof(struct gpu_header) || len > GPU_MAX_REQUEST) {
		return NULL;
	}
	struct gpu_command *command = calloc(1, sizeof(*command));
	uint8_t *bytes = malloc(len);
	if (!command || !bytes) {
		free(command);
		free(bytes);
		return NULL;
	}
	command->bytes = bytes;
	command->len = len;
	return command;
}

/* 5.7.6.7: a fence is echoed, also by an error, and its completion is this answer. */
static void command_fill_header(const struct gpu_command *command, uint32_t type,
				struct gpu_header *header)
{
	*header = (struct gpu_header){.type = type};
	if (command->header.flags & GPU_FLAG_FENCE) {
		header->flags = command->header.flags & (GPU_FLAG_FENCE | GPU_FLAG_RING_IDX);
		header->fence_id = command->header.fence_id;
		header->ctx_id = command->header.ctx_id;
		header->ring_idx = command->header.ring_idx;
	}
}

void gpu_answer_with(struct gpu *gpu, struct gpu_command *command, uint32_t type, void *answer,
		     size_t len)
{
	assert(!command->is_note);
	command_fill_header(command, type, answer);
	if (type >= GPU_ERR_UNSPEC) {
		gpu->refused++;
	}
	if (command->held) {
		command->held->held--;
		gpu->held--;
		gpu->held_bytes -= command->len;
	}
	gpu->answer(gpu, command, answer, len);
	free(command->bytes);
	free(command);
}

void gpu_answer(struct gpu *gpu, struct gpu_command *command, uint32_t type)
{
	struct gpu_header header;
	gpu_answer_with(gpu, command, type, &header, sizeof(header));
}

static void command_display_info(struct gpu *gpu, struct gpu_command *command)
{
	struct gpu_display_info answer = {0};
	for (unsigned i = 0; i < display_count(gpu->parts.display); i++) {
		display_mode(gpu->parts.display, &answer.modes[i].rect.width,
			     &answer.modes[i].rect.height);
		answer.modes[i].enabled = 1;
	}
	gpu_answer_with(gpu, command, GPU_OK_DISPLAY_INFO, &answer, sizeof(answer));
}

static void command_edid(struct gpu *gpu, struct gpu_command *command)
{
	const struct gpu_get_edid *request = (const void *)command->bytes;
	if (request->scanout >= display_count(gpu->parts.display)) {
		gpu_answer(gpu, command, GPU_ERR_INVALID_SCANOUT_ID);
		return;
	}
	struct gpu_edid answer = {.size = EDID_BYTES};
	uint32_t width, height;
	display_mode(gpu->parts.display, &width, &height);
	edid_make(answer.edid, width, height);
	gpu_answer_with(gpu, command, GPU_OK_EDID, &answer, sizeof(answer));
}

static void command_capset_info(struct gpu *gpu, struct gpu_command *command)
{
	const struct gpu_get_capset_info *request = (const void *)command->bytes;
	if (request->index != 0) {
		gpu_answer(gpu, command, GPU_ERR_INVALID_PARAMETER);
		return;
	}
	struct gpu_capset_info answer = {.id = GPU_CAPSET_VENUS, .max_size = WIRE_CAPSET_BYTES};
	gpu_answer_with(gpu, command, GPU_OK_CAPSET_INFO, &answer, sizeof(answer));
}

static void command_capset(struct gpu *gpu, struct gpu_command *command)
{
	const struct gpu_get_capset *request = (const void *)command->bytes;
	if (request->id != GPU_CAPSET_VENUS || request->version != 0) {
		gpu_answer(gpu, command, GPU_ERR_INVALID_PARAMETER);
		return;
	}
	struct {
		struct gpu_header header;
		uint8_t capset[WIRE_CAPSET_BYTES];
	} answer;
	memcpy(answer.capset, gpu->welcome.capset, WIRE_CAPSET_BYTES);
	gpu_answer_with(gpu, command, GPU_OK_CAPSET, &answer, sizeof(answer));
}

static void command_for_context(struct gpu *gpu, struct gpu_command *command)
{
	struct gpu_context *context = gpu_context_find(gpu, command->header.ctx_id);
	if (context) {
		gpu_context_command(context, command);
	} else {
		gpu_answer(gpu, command, GPU_ERR_INVALID_CONTEXT_ID);
	}
}

struct command_entry {
	uint32_t type;
	bool shared; /* only with Vulkan contexts */
	size_t len;  /* at least so many bytes */
	/* One of them: returns the type of the answer, or takes the command. */
	uint32_t (*now)(struct gpu *gpu, const struct gpu_command *command);
	void (*take)(struct gpu *gpu, struct gpu_command *command);
};

static const struct command_entry command_table[] = {
	{GPU_GET_DISPLAY_INFO, false, sizeof(struct gpu_header), .take = command_display_info},
	{GPU_RESOURCE_CREATE_2D, false, sizeof(struct gpu_create_2d), .now = gpu_create_2d},
	{GPU_RESOURCE_UNREF, false, sizeof(struct gpu_resource_ref), .take = gpu_resource_command},
	{GPU_SET_SCANOUT, false, sizeof(struct gpu_set_scanout), .now = gpu_set_scanout},
	{GPU_RESOURCE_FLUSH, false, sizeof(struct gpu_flush), .now = gpu_flush},
	{GPU_TRANSFER_TO_HOST_2D, false, sizeof(struct gpu_transfer_2d), .now = gpu_transfer_2d},
	{GPU_RESOURCE_ATTACH_BACKING, false, sizeof(struct gpu_attach_backing),
	 .now = gpu_attach_backing},
	{GPU_RESOURCE_DETACH_BACKING, false, sizeof(struct gpu_resource_ref),
	 .now = gpu_detach_backing},
	{GPU_GET_EDID, false, sizeof(struct gpu_get_edid), .take = command_edid},
	{GPU_GET_CAPSET_INFO, true, sizeof(struct gpu_get_capset_info),
	 .take = command_capset_info},
	{GPU_GET_CAPSET, true, sizeof(struct gpu_get_capset), .take = command_capset},
	{GPU_RESOURCE_CREATE_BLOB, true, sizeof(struct gpu_create_blob), .take = gpu_create_blob},
	{GPU_SET_SCANOUT_BLOB, true, sizeof(struct gpu_set_scanout_blob),
	 .now = gpu_set_scanout_blob},
	{GPU_RESOURCE_MAP_BLOB, true, sizeof(struct gpu_map_blob), .take = gpu_resource_command},
	{GPU_RESOURCE_UNMAP_BLOB, true, sizeof(struct gpu_resource_ref),
	 .take = gpu_resource_command},
	{GPU_CTX_CREATE, true, sizeof(struct gpu_ctx_create), .take = gpu_context_create},
	{GPU_CTX_DESTROY, true, sizeof(struct gpu_header), .take = gpu_context_destroy},
	{GPU_CTX_ATTACH_RESOURCE, true, sizeof(struct gpu_resource_ref),
	 .take = command_for_context},
	{GPU_CTX_DETACH_RESOURCE, true, sizeof(struct gpu_resource_ref),
	 .take = command_for_context},
	{GPU_SUBMIT_3D, true, sizeof(struct gpu_submit_3d), .take = command_for_context},
};

static const struct command_entry *command_find(const struct gpu *gpu, uint32_t type)
{
	for (size_t i = 0; i < sizeof(command_table) / sizeof(command_table[0]); i++) {
		const struct command_entry *entry = &command_table[i];
		if (entry->type == type) {
			return entry->shared && !gpu->config.shared ? NULL : entry;
		}
	}
	return NULL;
}

void gpu_execute(struct gpu *gpu, struct gpu_command *command)
{
	memcpy(&command->header, command->bytes, sizeof(command->header));
	const struct command_entry *entry = command_find(gpu, command->header.type);
	if (!entry) {
		gpu_answer(gpu, command, GPU_ERR_UNSPEC);
	} else if (command->len < entry->len) {
		gpu_answer(gpu, command, GPU_ERR_INVALID_PARAMETER);
	} else if (entry->take) {
		entry->take(gpu, command);
	} else {
		gpu_answer(gpu, command, entry->now(gpu, command));
	}
}

void gpu_execute_cursor(struct gpu *gpu, struct gpu_command *command)
{
	memcpy(&command->header, command->bytes, sizeof(command->header));
	uint32_t type = command->header.type, result = GPU_ERR_UNSPEC;
	if (type == GPU_UPDATE_CURSOR || type == GPU_MOVE_CURSOR) {
		result = command->len < sizeof(struct gpu_cursor) ? GPU_ERR_INVALID_PARAMETER
								  : gpu_cursor(gpu, command);
	}
	gpu_answer(gpu, command, result);
}

/* What is 0 gets its default. */
static void gpu_set_defaults(struct gpu *gpu)
{
	struct virtio_gpu_config *config = &gpu->config;
	uint64_t ram = 0;
	for (size_t i = 0; i < gmem_region_count(gpu->parts.gmem); i++) {
		ram += gmem_region(gpu->parts.gmem, i)->len;
	}
	if (!config->memory_limit) {
		uint64_t least = UINT64_C(1) << 30;
		config->memory_limit = ram > least ? ram : least;
	}
	if (!config->window_bytes) {
		config->window_bytes = virtio_gpu_default_window(config->memory_limit);
	}
	config->limit_2d = config->limit_2d ? config->limit_2d : UINT64_C(256) << 20;
	config->start_limit_ms = config->start_limit_ms ? config->start_limit_ms : 30000;
}

static int gpu_set_up_shared(struct gpu *gpu, struct error *err)
{
	if (gpu->config.window_bytes & (gpu->config.window_bytes - 1) ||
	    gpu->config.window_bytes < 1 << 20) {
		return error_set(err, -EINVAL,
				 "gpu: the window must be a power of two of at least 1 MiB");
	}
	gpu->watch = loop_add_timer(gpu->parts.loop, gpu_context_watch, gpu);
	gpu->window = gpu_window_create(gpu->parts.engine, gpu->config.window_bytes);
	if (!gpu->watch || !gpu->window) {
		return error_set(err, -ENOMEM, "gpu: out of memory");
	}
	int status = ledger_create(&gpu->ledger, GPU_LEDGER_SLOTS, err);
	if (status < 0) {
		return status;
	}
	const struct gpu_spawner *spawner = gpu->parts.spawner;
	spawner->watch(spawner->opaque, gpu_ledger_ended, gpu);
	return gpu_server_query(gpu->parts.spawner, ++gpu->next_token, gpu->config.start_limit_ms,
				&gpu->welcome, err);
}

struct gpu *gpu_create(const struct virtio_gpu_config *config, const struct virtio_gpu_parts *parts,
		       struct error *err)
{
	struct gpu *gpu = calloc(1, sizeof(*gpu));
	if (!gpu) {
		error_set(err, -ENOMEM, "gpu: out of memory");
		return NULL;
	}
	gpu->config = *config;
	gpu->parts = *parts;
	gpu_set_defaults(gpu);
	gpu->queue_size = GPU_QUEUE_SIZE;
	gpu->backing_budget = gpu_backing_budget_create();
	if (!gpu->backing_budget || (config->shared && gpu_set_up_shared(gpu, err) < 0)) {
		gpu_destroy(gpu);
		return NULL;
	}
	return gpu;
}

void gpu_reset(struct gpu *gpu)
{
	gpu_context_destroy_all(gpu);
	gpu_resource_destroy_all(gpu);
	for (unsigned i = 0; i < display_count(gpu->parts.display); i++) {
		struct display_cursor hidden = {0};
		display_off(gpu->parts.display, i);
		(void)!display_set_cursor(gpu->parts.display, i, &hidden);
	}
}

void gpu_destroy(struct gpu *gpu)
{
	if (!gpu) {
		return;
	}
	gpu_reset(gpu);
	if (gpu->ledger.slots) {
		gpu->parts.spawner->watch(gpu->parts.spawner->opaque, NULL, NULL);
		ledger_finish(&gpu->ledger);
	}
	gpu_window_destroy(gpu->window);
	loop_remove(gpu->watch);
	gpu_backing_budget_put(gpu->backing_budget);
	free(gpu);
}

static void gpu_add_counters(struct virtio_gpu_stats *stats,
			     const struct virtio_gpu_context_stats *context)
{
	stats->commands += context->commands;
	stats->draws += context->draws;
	stats->dispatches += context->dispatches;
	stats->submits += context->submits;
}

/* Adds a resource to what its owner has. */
static void gpu_add_use(struct gpu *gpu, struct gpu_resource *resource, void *opaque)
{
	struct virtio_gpu_stats *stats = opaque;
	for (unsigned i = 0; resource->owner && i < stats->context_count; i++) {
		struct virtio_gpu_context_stats *context = &stats->contexts[i];
		if (context->ctx_id == resource->owner->id) {
			context->blob_bytes += resource->charged;
			context->mapped_bytes += resource->mapped ? resource->window_len : 0;
			return;
		}
	}
}

void gpu_copy_stats(struct gpu *gpu, struct virtio_gpu_stats *stats)
{
	*stats = (struct virtio_gpu_stats){
		.api_version = gpu->welcome.api_version,
		.contexts_started = gpu->contexts_started,
		.contexts_lost = gpu->contexts_lost,
		.commands = gpu->ended_totals.commands,
		.draws = gpu->ended_totals.draws,
		.dispatches = gpu->ended_totals.dispatches,
		.submits = gpu->ended_totals.submits,
		.window_bytes = gpu->window ? gpu->config.window_bytes : 0,
		.blob_bytes = gpu->bytes_blob,
		.mapped_bytes = gpu->bytes_mapped,
		.memory_bytes = ledger_others(&gpu->ledger, UINT_MAX),
		.memory_limit = gpu->window ? gpu->config.memory_limit : 0,
		.refused = gpu->refused,
	};
	snprintf(stats->driver, sizeof(stats->driver), "%s", gpu->welcome.driver);
	for (unsigned i = 0;
	     i < GPU_MAX_CONTEXTS && stats->context_count < VIRTIO_GPU_STATS_CONTEXTS; i++) {
		if (gpu->contexts[i] && !gpu->contexts[i]->plain) {
			struct virtio_gpu_context_stats *to =
				&stats->contexts[stats->context_count++];
			gpu_context_stats(gpu->contexts[i], to);
			gpu_add_counters(stats, to);
		}
	}
	gpu_resource_for_each(gpu, gpu_add_use, stats);
	uint64_t kept = gpu->ended_count < GPU_ENDED_KEPT ? gpu->ended_count : GPU_ENDED_KEPT;
	for (uint64_t i = 1; i <= kept && stats->context_count < VIRTIO_GPU_STATS_CONTEXTS; i++) {
		stats->contexts[stats->context_count++] =
			gpu->ended[(gpu->ended_count - i) % GPU_ENDED_KEPT];
	}
}
