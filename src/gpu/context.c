/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context.c - 3D contexts: one server process each, queue order, fences
 *
 * How it works: a command goes to the server at once, or into `waiting` if something before it
 * could not.  What was sent is in `sent` until it is answered: streams without fence when the
 * server has processed them, fenced ones when their timeline gets there.  A server that dies or
 * breaks the rules is lost: everything it owes is answered with errors (fences included, so that no
 * guest process hangs), and the memory it made stays.  A context that the guest destroys leaves its
 * id at once and its slot when its last fence is done, or after GPU_CLOSE_LIMIT_S. Threads: the
 * device's loop.
 */
#include "base/log.h"
#include "gpu/gpu.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum context_step { STEP_DONE, STEP_SENT, STEP_BLOCKED };

#define NS_PER_S UINT64_C(1000000000)

struct gpu_context *gpu_context_find(struct gpu *gpu, uint32_t id)
{
	for (unsigned i = 0; i < GPU_MAX_CONTEXTS; i++) {
		struct gpu_context *context = gpu->contexts[i];
		if (context && context->id == id && !context->closing) {
			return context;
		}
	}
	return NULL;
}

bool gpu_context_hold(struct gpu_context *context, struct gpu_command *command)
{
	struct gpu *gpu = context->gpu;
	bool room = (context->held < GPU_MIN_HELD_CONTEXT && gpu->queue_size == GPU_QUEUE_SIZE) ||
		    (context->held < gpu->queue_size / GPU_HELD_CONTEXT_DIVISOR &&
		     gpu->held < gpu->queue_size / GPU_HELD_DIVISOR);
	if (!room || command->len > GPU_MAX_HELD_BYTES - gpu->held_bytes) {
		log_limited(LOG_WARN, "gpu: context %u: too many commands without answer",
			    context->id);
		return false;
	}
	command->held = context;
	context->held++;
	gpu->held++;
	gpu->held_bytes += command->len;
	return true;
}

/* The command will not happen. */
static void context_refuse(struct gpu *gpu, struct gpu_command *command, uint32_t type)
{
	if (command->is_note) {
		free(command);
		return;
	}
	if (command->header.type == GPU_RESOURCE_CREATE_BLOB) {
		gpu_blob_settle(gpu, command->resource_id, NULL, -1);
	}
	gpu_answer(gpu, command, type);
}

static void context_refuse_list(struct gpu *gpu, struct gpu_commands *list)
{
	struct gpu_command *command;
	while ((command = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, command, link);
		context_refuse(gpu, command, GPU_ERR_UNSPEC);
	}
}

/* Brings the statistics up to date with what the server counted. */
static void context_count(struct gpu_context *context)
{
	if (!context->server) {
		return;
	}
	struct gpu_server_counters counters;
	gpu_server_read_counters(context->server, &counters);
	context->stats.commands = counters.commands;
	context->stats.draws = counters.draws;
	context->stats.dispatches = counters.dispatches;
	context->stats.submits = counters.submits;
	context->stats.record_bytes = counters.record_bytes;
	context->stats.memory_bytes = ledger_load(&context->gpu->ledger, context->ledger_slot);
	pid_t pid = gpu_server_pid(context->server);
	context->stats.pid = pid ? pid : context->stats.pid;
}

void gpu_context_stats(struct gpu_context *context, struct virtio_gpu_context_stats *stats)
{
	context_count(context);
	*stats = context->stats;
}

static void context_stop_server(struct gpu_context *context)
{
	context_count(context);
	if (context->server) {
		gpu_ledger_keep_blobs(context->gpu, context);
	}
	gpu_server_stop(context->server);
	context->server = NULL;
	if (context->process_ended) {
		context->process_ended = false;
		gpu_ledger_release(context->gpu, context->token);
	}
	context->stats.memory_bytes = 0;
}

void gpu_context_lose(struct gpu_context *context, const char *why)
{
	struct gpu *gpu = context->gpu;
	log_limited(LOG_WARN, "gpu: context %u (%s): server is gone: %s", context->id,
		    context->stats.name, why);
	context_stop_server(context);
	context->lost = true;
	gpu->contexts_lost++;
	context_refuse_list(gpu, &context->sent);
	context_refuse_list(gpu, &context->waiting);
}

static void context_release_resource(struct gpu *gpu, struct gpu_resource *resource, void *opaque)
{
	struct gpu_context *context = opaque;
	if (resource->owner == context) {
		resource->owner = NULL;
	}
}

static void context_remember(struct gpu *gpu, const struct gpu_context *context)
{
	gpu->ended[gpu->ended_count++ % GPU_ENDED_KEPT] = context->stats;
	gpu->ended_totals.commands += context->stats.commands;
	gpu->ended_totals.draws += context->stats.draws;
	gpu->ended_totals.dispatches += context->stats.dispatches;
	gpu->ended_totals.submits += context->stats.submits;
}

static void context_free(struct gpu_context *context)
{
	struct gpu *gpu = context->gpu;
	context_stop_server(context);
	context->lost = true;
	context_refuse_list(gpu, &context->sent);
	context_refuse_list(gpu, &context->waiting);
	context->stats.live = false;
	context->stats.record_bytes = 0;
	if (!context->plain) {
		context_remember(gpu, context);
	}
	gpu_resource_for_each(gpu, context_release_resource, context);
	gpu->contexts[context->slot] = NULL;
	gpu->context_count--;
	assert(context->held == 0);
	free(context);
}

static struct gpu_command *context_find_sent(struct gpu_context *context, uint32_t type,
					     uint64_t seq)
{
	struct gpu_command *command;
	TAILQ_FOREACH(command, &context->sent, link)
	{
		if (command->header.type == type && command->seq == seq) {
			return command;
		}
	}
	return NULL;
}

static void context_answer_sent(struct gpu_context *context, struct gpu_command *command,
				uint32_t result)
{
	TAILQ_REMOVE(&context->sent, command, link);
	gpu_answer(context->gpu, command, result);
}

/* Answers fenced streams of @timeline from the oldest on, as far as they are done. */
static void context_advance(struct gpu_context *context, uint32_t timeline)
{
	struct gpu_command *next;
	for (struct gpu_command *command = TAILQ_FIRST(&context->sent); command; command = next) {
		next = TAILQ_NEXT(command, link);
		if (!command->fenced || command->timeline != timeline) {
			continue;
		}
		if (!command->answered || !command->fence_done) {
			return;
		}
		context_answer_sent(context, command, command->result);
	}
}

/* A closing context goes when nothing is owed any more.  The context may be gone after this. */
static void context_finish_closing(struct gpu_context *context)
{
	if (context->closing && TAILQ_EMPTY(&context->sent)) {
		context_free(context);
	}
}

static void context_on_welcome(void *opaque, const struct wire_welcome *welcome)
{
	struct gpu_context *context = opaque;
	struct gpu_command *command = context_find_sent(context, GPU_CTX_CREATE, 0);
	if (command) {
		context_answer_sent(context, command, GPU_OK_NODATA);
	}
}

static bool context_on_blob(void *opaque, const struct wire_blob *blob, int fd)
{
	struct gpu_context *context = opaque;
	struct gpu_command *command =
		context_find_sent(context, GPU_RESOURCE_CREATE_BLOB, blob->header.seq);
	if (!command) {
		if (fd >= 0) {
			close(fd);
		}
		return context->closing;
	}
	TAILQ_REMOVE(&context->sent, command, link);
	uint32_t result = gpu_blob_settle(context->gpu, command->resource_id, blob, fd);
	gpu_answer(context->gpu, command, result);
	return true;
}

static bool context_on_submitted(void *opaque, const struct wire_submitted *submitted)
{
	struct gpu_context *context = opaque;
	struct gpu_command *command =
		context_find_sent(context, GPU_SUBMIT_3D, submitted->header.seq);
	if (!command || command->answered) {
		return context->closing;
	}
	command->answered = true;
	command->result = submitted->status ? GPU_ERR_UNSPEC : GPU_OK_NODATA;
	if (!command->fenced) {
		context_answer_sent(context, command, command->result);
		return true;
	}
	context_advance(context, command->timeline);
	context_finish_closing(context);
	return true;
}

static bool context_on_fence(void *opaque, const struct wire_fence *fence)
{
	struct gpu_context *context = opaque;
	struct gpu_command *command;
	TAILQ_FOREACH(command, &context->sent, link)
	{
		if (command->fenced && !command->fence_done &&
		    command->timeline == fence->ring_idx &&
		    command->header.fence_id == fence->fence_id) {
			break;
		}
	}
	if (!command) {
		return context->closing;
	}
	command->fence_done = true;
	context_advance(context, fence->ring_idx);
	context_finish_closing(context);
	return true;
}

static bool context_on_unreferenced(void *opaque, uint64_t seq)
{
	struct gpu_context *context = opaque;
	struct gpu_command *note = context_find_sent(context, GPU_RESOURCE_UNREF, seq);
	if (!note) {
		return context->closing;
	}
	TAILQ_REMOVE(&context->sent, note, link);
	gpu_ledger_settle(context->gpu, context->ledger_slot, note->owed);
	free(note);
	context_finish_closing(context);
	return true;
}

static void context_pump(struct gpu_context *context);

static void context_on_room(void *opaque)
{
	context_pump(opaque);
}

static void context_on_lost(void *opaque, const char *why)
{
	struct gpu_context *context = opaque;
	if (context->closing) {
		context_free(context);
	} else {
		gpu_context_lose(context, why);
	}
}

static const struct gpu_server_events context_events = {
	.welcome = context_on_welcome,
	.blob = context_on_blob,
	.submitted = context_on_submitted,
	.fence = context_on_fence,
	.unreferenced = context_on_unreferenced,
	.room = context_on_room,
	.lost = context_on_lost,
};

/* What the result of a gpu_server_*() call for a request with an answer means. */
static enum context_step context_sent(struct gpu_context *context, struct gpu_command *command,
				      int status)
{
	if (status == -EAGAIN) {
		return STEP_BLOCKED;
	}
	if (status < 0) {
		context_refuse(context->gpu, command, GPU_ERR_UNSPEC);
		return STEP_DONE;
	}
	command->sent_ns = loop_now_ns();
	TAILQ_INSERT_TAIL(&context->sent, command, link);
	return STEP_SENT;
}

static enum context_step context_try_blob(struct gpu_context *context, struct gpu_command *command)
{
	const struct gpu_create_blob *request = (const void *)command->bytes;
	command->seq = ++context->next_seq;
	struct wire_create_blob message = {
		.header = {.kind = WIRE_CREATE_BLOB, .len = sizeof(message), .seq = command->seq},
		.resource_id = request->resource_id,
		.blob_flags = request->blob_flags,
		.blob_id = request->blob_id,
		.size = request->size,
	};
	return context_sent(context, command, gpu_server_create_blob(context->server, &message));
}

static enum context_step context_try_submit(struct gpu_context *context,
					    struct gpu_command *command)
{
	const struct gpu_submit_3d *request = (const void *)command->bytes;
	command->seq = ++context->next_seq;
	struct wire_submit message = {
		.header = {.kind = WIRE_SUBMIT, .len = sizeof(message), .seq = command->seq},
		.ring_idx = command->timeline,
		.fenced = command->fenced,
		.fence_id = command->header.fence_id,
		.bytes = request->size,
	};
	return context_sent(context, command,
			    gpu_server_submit(context->server, &message, request + 1));
}

/* What another context made becomes known to this one's server. */
static enum context_step context_try_attach(struct gpu_context *context,
					    struct gpu_command *command)
{
	struct gpu *gpu = context->gpu;
	struct gpu_resource *resource = gpu_resource_find(gpu, command->resource_id);
	uint32_t result = GPU_OK_NODATA;
	if (!resource) {
		result = GPU_ERR_INVALID_RESOURCE_ID;
	} else if (resource->kind == GPU_RESOURCE_HOST && resource->owner != context &&
		   !resource->known[context->ledger_slot]) {
		if (resource->pending) {
			return STEP_BLOCKED;
		}
		int status = -EPERM;
		if (resource->blob_flags & GPU_BLOB_SHAREABLE) {
			status = gpu_server_attach(context->server, resource->id, resource->fd,
						   resource->size);
		}
		if (status == -EAGAIN) {
			return STEP_BLOCKED;
		}
		resource->known[context->ledger_slot] = status == 0;
		result = status == 0 ? GPU_OK_NODATA : GPU_ERR_INVALID_PARAMETER;
	}
	gpu_answer(gpu, command, result);
	return STEP_DONE;
}

static enum context_step context_try_note(struct gpu_context *context, struct gpu_command *note)
{
	note->seq = note->owed ? ++context->next_seq : 0;
	int status = gpu_server_unref(context->server, note->resource_id, note->seq);
	if (note->owed || status == -EAGAIN) {
		return context_sent(context, note, status);
	}
	free(note);
	return STEP_DONE;
}

static enum context_step context_try(struct gpu_context *context, struct gpu_command *command)
{
	if (command->is_note) {
		return context_try_note(context, command);
	}
	switch (command->header.type) {
	case GPU_RESOURCE_CREATE_BLOB: return context_try_blob(context, command);
	case GPU_SUBMIT_3D: return context_try_submit(context, command);
	case GPU_CTX_ATTACH_RESOURCE: return context_try_attach(context, command);
	default:
		/* DETACH: the server may keep knowing a resource until it is unreferenced. */
		gpu_answer(context->gpu, command,
			   gpu_resource_find(context->gpu, command->resource_id)
				   ? GPU_OK_NODATA
				   : GPU_ERR_INVALID_RESOURCE_ID);
		return STEP_DONE;
	}
}

static void context_pump(struct gpu_context *context)
{
	struct gpu_command *command;
	while (!context->lost && (command = TAILQ_FIRST(&context->waiting))) {
		TAILQ_REMOVE(&context->waiting, command, link);
		if (context_try(context, command) == STEP_BLOCKED) {
			TAILQ_INSERT_HEAD(&context->waiting, command, link);
			return;
		}
	}
}

void gpu_context_resume_all(struct gpu *gpu)
{
	for (unsigned i = 0; i < GPU_MAX_CONTEXTS; i++) {
		if (gpu->contexts[i]) {
			context_pump(gpu->contexts[i]);
		}
	}
}

/* In queue order, after what already waits. */
static void context_enqueue(struct gpu_context *context, struct gpu_command *command)
{
	bool first = TAILQ_EMPTY(&context->waiting);
	TAILQ_INSERT_TAIL(&context->waiting, command, link);
	if (first) {
		context_pump(context);
	}
}

/* Loads and checks what the lists need to know of a SUBMIT_3D.  Returns an error type or
 * GPU_OK_NODATA. */
static uint32_t context_check_submit(struct gpu_command *command)
{
	const struct gpu_submit_3d *request = (const void *)command->bytes;
	if (request->size > GPU_MAX_SUBMIT || request->size > command->len - sizeof(*request)) {
		return GPU_ERR_INVALID_PARAMETER;
	}
	command->fenced = command->header.flags & GPU_FLAG_FENCE;
	command->timeline =
		command->header.flags & GPU_FLAG_RING_IDX ? command->header.ring_idx : 0;
	return command->timeline < WIRE_MAX_TIMELINES ? GPU_OK_NODATA : GPU_ERR_INVALID_PARAMETER;
}

/* A plain context runs no commands; resources come and go without anyone to tell. */
static void context_plain_command(struct gpu_context *context, struct gpu_command *command)
{
	uint32_t type = command->header.type;
	bool harmless = type == GPU_CTX_ATTACH_RESOURCE || type == GPU_CTX_DETACH_RESOURCE;
	context_refuse(context->gpu, command, harmless ? GPU_OK_NODATA : GPU_ERR_INVALID_PARAMETER);
}

void gpu_context_command(struct gpu_context *context, struct gpu_command *command)
{
	if (context->plain) {
		context_plain_command(context, command);
		return;
	}
	uint32_t status = context->lost ? GPU_ERR_UNSPEC : GPU_OK_NODATA;
	if (command->header.type == GPU_SUBMIT_3D && status == GPU_OK_NODATA) {
		status = context_check_submit(command);
	} else if (command->header.type != GPU_RESOURCE_CREATE_BLOB) {
		command->resource_id =
			((const struct gpu_resource_ref *)command->bytes)->resource_id;
	}
	if (status == GPU_OK_NODATA && !gpu_context_hold(context, command)) {
		status = GPU_ERR_OUT_OF_MEMORY;
	}
	if (status != GPU_OK_NODATA) {
		context_refuse(context->gpu, command, status);
		return;
	}
	context_enqueue(context, command);
}

void gpu_context_forget_resource(struct gpu *gpu, struct gpu_resource *resource)
{
	for (unsigned i = 0; i < GPU_MAX_CONTEXTS; i++) {
		struct gpu_context *context = gpu->contexts[i];
		if (!context || context->lost ||
		    (resource->owner != context && !resource->known[context->ledger_slot])) {
			continue;
		}
		struct gpu_command *note = calloc(1, sizeof(*note));
		if (!note) {
			continue; /* the server keeps the memory until it ends */
		}
		note->is_note = true;
		note->header.type = GPU_RESOURCE_UNREF;
		note->resource_id = resource->id;
		if (resource->owner != context) {
			resource->known[context->ledger_slot] = false;
			note->owed = gpu_ledger_owe(gpu, context->ledger_slot, resource->charged);
		}
		context_enqueue(context, note);
	}
}

void gpu_context_watch(void *opaque)
{
	struct gpu *gpu = opaque;
	uint64_t now = loop_now_ns();
	for (unsigned i = 0; i < GPU_MAX_CONTEXTS; i++) {
		struct gpu_context *context = gpu->contexts[i];
		if (!context) {
			continue;
		}
		if (context->closing) {
			if (now - context->closing_ns > GPU_CLOSE_LIMIT_S * NS_PER_S) {
				context_free(context);
			}
			continue;
		}
		if (context->lost) {
			continue;
		}
		struct gpu_command *oldest = TAILQ_FIRST(&context->sent);
		while (oldest && oldest->answered) {
			oldest = TAILQ_NEXT(oldest, link);
		}
		if (!gpu_server_is_welcomed(context->server) &&
		    now - context->started_ns > gpu->config.start_limit_ms * UINT64_C(1000000)) {
			gpu_context_lose(context, "it was not ready in time");
		} else if (oldest && now - oldest->sent_ns > GPU_ANSWER_LIMIT_S * NS_PER_S) {
			gpu_context_lose(context, "it does not answer");
		}
	}
	loop_timer_set(gpu->watch, gpu->context_count ? now + NS_PER_S : 0);
}

static void context_copy_name(char to[64], const char from[64])
{
	for (unsigned i = 0; i < 63 && from[i]; i++) {
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	}
}

static struct gpu_context *context_alloc(struct gpu *gpu, const struct gpu_ctx_create *request,
					 unsigned slot)
{
	struct gpu_context *context = calloc(1, sizeof(*context));
	if (!context) {
		return NULL;
	}
	context->gpu = gpu;
	context->id = request->header.ctx_id;
	context->slot = slot;
	context->started_ns = loop_now_ns();
	TAILQ_INIT(&context->waiting);
	TAILQ_INIT(&context->sent);
	context->stats.ctx_id = context->id;
	context->stats.live = true;
	context_copy_name(context->stats.name, request->debug_name);
	return context;
}

static bool context_start_server(struct gpu_context *context)
{
	struct gpu *gpu = context->gpu;
	context->ledger_slot = ledger_find_free(&gpu->ledger);
	if (!context->ledger_slot) {
		log_limited(LOG_WARN, "gpu: too many servers have not ended yet");
		return false;
	}
	struct gpu_server_config config = {
		.loop = gpu->parts.loop,
		.spawner = gpu->parts.spawner,
		.token = ++gpu->next_token,
		.ctx_id = context->id,
		.max_blob_bytes = gpu->config.memory_limit,
		.ledger_fd = gpu->ledger.fd,
		.ledger_slot = context->ledger_slot,
		.blob_alignment = gpu_window_granule(gpu->window),
		.name = context->stats.name,
		.events = &context_events,
		.opaque = context,
	};
	struct error err = {0};
	context->server = gpu_server_start(&config, &err);
	if (!context->server) {
		log_limited(LOG_WARN, "%s", err.text);
		return false;
	}
	context->token = config.token;
	ledger_give(&gpu->ledger, context->ledger_slot, config.token);
	return true;
}

/* A new context in a free slot with its server under way, or NULL and *error. */
static struct gpu_context *context_make(struct gpu *gpu, const struct gpu_ctx_create *request,
					uint32_t *error)
{
	if (!request->header.ctx_id || gpu_context_find(gpu, request->header.ctx_id)) {
		*error = GPU_ERR_INVALID_CONTEXT_ID;
		return NULL;
	}
	uint32_t capset = request->context_init & 0xff;
	if (capset != GPU_CAPSET_VENUS && capset != 0) {
		*error = GPU_ERR_INVALID_PARAMETER;
		return NULL;
	}
	*error = GPU_ERR_OUT_OF_MEMORY;
	unsigned slot = 0;
	while (slot < GPU_MAX_CONTEXTS && gpu->contexts[slot]) {
		slot++;
	}
	struct gpu_context *context =
		slot < GPU_MAX_CONTEXTS ? context_alloc(gpu, request, slot) : NULL;
	if (context && capset == 0) {
		context->plain = context->lost = true;
	} else if (context && !context_start_server(context)) {
		free(context);
		context = NULL;
	}
	return context;
}

void gpu_context_create(struct gpu *gpu, struct gpu_command *command)
{
	uint32_t error;
	struct gpu_context *context = context_make(gpu, (const void *)command->bytes, &error);
	if (!context) {
		gpu_answer(gpu, command, error);
		return;
	}
	gpu->contexts[context->slot] = context;
	if (gpu->context_count++ == 0) {
		loop_timer_set(gpu->watch, loop_now_ns() + NS_PER_S);
	}
	if (context->plain) {
		gpu_answer(gpu, command, GPU_OK_NODATA);
		return;
	}
	gpu->contexts_started++;
	if (!gpu_context_hold(context, command)) {
		gpu_answer(gpu, command, GPU_ERR_OUT_OF_MEMORY);
		context_free(context);
		return;
	}
	command->sent_ns = loop_now_ns();
	TAILQ_INSERT_TAIL(&context->sent, command, link);
}

void gpu_context_destroy(struct gpu *gpu, struct gpu_command *command)
{
	struct gpu_context *context = gpu_context_find(gpu, command->header.ctx_id);
	if (!context) {
		gpu_answer(gpu, command, GPU_ERR_INVALID_CONTEXT_ID);
		return;
	}
	context->closing = true;
	context->closing_ns = loop_now_ns();
	context_refuse_list(gpu, &context->waiting);
	struct gpu_command *next;
	for (struct gpu_command *sent = TAILQ_FIRST(&context->sent); sent; sent = next) {
		next = TAILQ_NEXT(sent, link);
		if (!sent->fenced) {
			TAILQ_REMOVE(&context->sent, sent, link);
			/* A stream's effects end with the context, which is what the guest asked
			 * for. */
			context_refuse(gpu, sent,
				       sent->header.type == GPU_SUBMIT_3D ? GPU_OK_NODATA
									  : GPU_ERR_UNSPEC);
		}
	}
	gpu_answer(gpu, command, GPU_OK_NODATA);
	context_finish_closing(context);
}

void gpu_context_destroy_all(struct gpu *gpu)
{
	for (unsigned i = 0; i < GPU_MAX_CONTEXTS; i++) {
		if (gpu->contexts[i]) {
			context_free(gpu->contexts[i]);
		}
	}
}
