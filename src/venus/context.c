/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context.c - one Venus context
 *
 * How it works: the front end's thread runs the virtqueue's lane; each ring has its own thread; the monitor thread tells the
 * guest that monitored rings live.  Whatever turns fatal first ends everything: the FATAL bit is set on all rings, and
 * every blocked call returns.
 * Threads: as context.h says.  Lock order: context.lock, then a ring's lock.
 */
#include "venus/context.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/own.h"
#include "base/wait.h"
#include "venus/command_pool.h"
#include "venus/device.h"
#include "venus/driver_memory.h"
#include "venus/hooks.h"
#include "venus/lane.h"
#include "venus/memory.h"
#include "venus/physical.h"
#include "venus/queue.h"
#include "venus/ring.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>

enum {
	CONTEXT_MAX_RESOURCES = 256 * 1024,
	CONTEXT_MONITOR_MIN_US = 10 * 1000, /* a guest cannot make the monitor run more often */
	CONTEXT_MAP_CACHED = 1,		    /* VIRTIO_GPU_MAP_CACHE_CACHED */
	CONTEXT_MAP_COMBINED = 3,	    /* VIRTIO_GPU_MAP_CACHE_WC */
	CONTEXT_BLOB_MAPPABLE = 1,
	CONTEXT_BLOB_OTHERS = 2 | 4, /* VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE, _CROSS_DEVICE */
};

struct context {
	struct context_config config;
	struct shelf shelf;
	atomic_uint busy;	  /* threads that work for the guest */
	struct driver_memory driver_memory;
	struct command_store command_store;
	struct resource_table resources;
	struct venus_dispatch dispatch;
	struct lane virtqueue;	  /* front end */
	atomic_bool over;
	atomic_bool failed;
	pthread_mutex_t lock;
	pthread_cond_t changed;	  /* monitor thread */
	struct ring *rings[WIRE_MAX_RINGS];	   /* guarded by lock; changed by the front end */
	struct queue *timelines[WIRE_MAX_TIMELINES]; /* guarded by lock */
	struct device *devices;	  /* guarded by lock; linked by device->next */
	bool monitoring;	  /* guarded by lock: the monitor thread runs */
	uint32_t monitor_us;	  /* guarded by lock */
	pthread_t monitor;
};

struct venus_dispatch *context_dispatch(struct context *context)
{
	return &context->dispatch;
}

struct resource_table *context_resources(struct context *context)
{
	return &context->resources;
}

struct command_store *context_command_store(struct context *context)
{
	return &context->command_store;
}

void context_begin_work(struct context *context)
{
	atomic_fetch_add(&context->busy, 1);
	driver_memory_wake(&context->driver_memory);
}

void context_end_work(struct context *context)
{
	atomic_fetch_sub(&context->busy, 1);
}

bool context_is_busy(const struct context *context)
{
	return atomic_load(&context->busy);
}

struct shelf *context_shelf(struct context *context)
{
	return &context->shelf;
}

struct budget *context_budget(struct context *context)
{
	return &context->shelf.budget;
}

const struct context_config *context_config(const struct context *context)
{
	return &context->config;
}

bool context_is_over(const struct context *context)
{
	return atomic_load_explicit(&context->over, memory_order_relaxed);
}

void context_count_commands(struct context *context, struct venus_decoder *decoder)
{
	struct wire_state *state = context->config.state;
	uint64_t *tally = decoder->tally, draws = tally[VENUS_TALLY_DRAWS], dispatches = tally[VENUS_TALLY_DISPATCHES];
	__atomic_fetch_add(&state->commands, tally[VENUS_TALLY_OTHERS] + draws + dispatches, __ATOMIC_RELAXED);
	if (draws + dispatches) {
		__atomic_fetch_add(&state->draws, draws, __ATOMIC_RELAXED);
		__atomic_fetch_add(&state->dispatches, dispatches, __ATOMIC_RELAXED);
	}
	memset(tally, 0, sizeof(decoder->tally));
}

void context_count_reply(struct context *context)
{
	__atomic_fetch_add(&context->config.state->replies, 1, __ATOMIC_RELAXED);
}

void context_count_submit(struct context *context)
{
	__atomic_fetch_add(&context->config.state->submits, 1, __ATOMIC_RELAXED);
}

void context_end(struct context *context)
{
	atomic_store(&context->over, true);
	LOCKED(&context->lock);
	for (size_t i = 0; i < WIRE_MAX_RINGS; i++) {
		if (context->rings[i]) {
			ring_notify(context->rings[i]);
		}
	}
	pthread_cond_broadcast(&context->changed);
}

/* @reason is static; @name: of what was being done, or NULL. */
static void context_fail_for(struct context *context, const char *reason, const char *name)
{
	if (atomic_exchange(&context->failed, true)) {
		return;
	}
	if (!context_is_over(context)) {
		log_limited(LOG_WARN, "context ended: %s%s%s", reason, name ? " in " : "", name ? name : "");
	}
	context_end(context);
	{
		LOCKED(&context->lock);
		for (size_t i = 0; i < WIRE_MAX_RINGS; i++) {
			if (context->rings[i]) {
				ring_set_fatal(context->rings[i]);
			}
		}
	}
	context->config.ops->fatal(context->config.opaque, reason);
}

void context_fail(struct context *context, const struct venus_decoder *decoder)
{
	context_fail_for(context, decoder->fatal ? decoder->fatal : "rule broken",
			 venus_command_name(decoder->fatal_command));
}

void context_lose_device(struct context *context, const char *name)
{
	context_fail_for(context, VENUS_DEVICE_LOST, name);
}

/* A driver that takes so much may not end soon when it is asked to, so the process does. */
static void context_on_too_much(void *opaque)
{
	context_fail_for(opaque, "what its driver keeps is beyond " BUDGET_LIMIT, NULL);
	_exit(EXIT_FAILURE);
}

static void context_free(struct context *context)
{
	lane_finish(&context->virtqueue);
	context_quiet_devices(context, NULL);
	venus_dispatch_finish(&context->dispatch);
	resource_table_finish(&context->resources);
	command_store_finish(&context->command_store);
	shelf_finish(&context->shelf);
	pthread_cond_destroy(&context->changed);
	pthread_mutex_destroy(&context->lock);
	free(context);
}

struct context *context_create(const struct context_config *config, struct error *err)
{
	struct context *context = calloc(1, sizeof(*context));
	if (!context) {
		error_set(err, -ENOMEM, "no memory for a context");
		return NULL;
	}
	context->config = *config;
	shelf_init(&context->shelf, config->max_bytes);
	budget_join(&context->shelf.budget, config->ledger, config->ledger_slot);
	if (venus_dispatch_init(&context->dispatch, config->probe->get_proc, hooks_table, context)) {
		free(context);
		error_set(err, -ENOMEM, "no memory for a context");
		return NULL;
	}
	context->dispatch.data_free = hooks_free_data;
	context->dispatch.told_lost = hooks_note_told;
	context->dispatch.allocator = command_pool_allocator;
	command_store_init(&context->command_store, context_budget(context), &context->dispatch);
	venus_objects_report(&context->dispatch.objects, &config->state->record_bytes);
	resource_table_init(&context->resources, CONTEXT_MAX_RESOURCES, &context->shelf);
	pthread_mutex_init(&context->lock, NULL);
	pthread_cond_init(&context->changed, NULL);
	lane_init(&context->virtqueue, context, NULL, NULL);
	context->driver_memory = (struct driver_memory){
		.budget = context_budget(context), .busy = &context->busy, .beyond = context_on_too_much, .opaque = context};
	if (driver_memory_start(&context->driver_memory)) {
		context_free(context);
		error_set(err, -EAGAIN, "no thread for a context");
		return NULL;
	}
	return context;
}

void context_await(struct context *context, int socket)
{
	struct pollfd request = {.fd = socket, .events = POLLIN};
	uint64_t due;
	while ((due = shelf_due_ns(&context->shelf, loop_now_ns())) != UINT64_MAX &&
	       poll(&request, 1, due ? (int)(due / 1000000) + 1 : 0) == 0) {
		shelf_tidy_some(&context->shelf, loop_now_ns());
	}
}

int context_submit(struct context *context, const void *bytes, size_t len)
{
	struct venus_decoder *decoder = &context->virtqueue.decoder;
	if (context_is_over(context)) {
		return -EPROTO;
	}
	context_begin_work(context);
	int status = venus_decoder_run(decoder, bytes, len);
	context_end_work(context);
	context_count_commands(context, decoder);
	if (status || decoder->fatal) {
		context_fail(context, decoder);
		return -EPROTO;
	}
	return 0;
}

/* Blobs */

static uint64_t context_page(const struct context *context)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	return page > context->config.granule ? page : context->config.granule;
}

static int context_new_shmem(struct context *context, uint64_t bytes, struct pages **pages)
{
	uint64_t rounded = pages_round(bytes, context_page(context));
	if (!bytes || !rounded) {
		return -EINVAL;
	}
	if (budget_fits_alone(context_budget(context), rounded)) {
		budget_await_room(context_budget(context), rounded); /* of others */
	}
	return pages_create(pages, &context->shelf, rounded);
}

int context_create_blob(struct context *context, uint32_t id, uint32_t blob_flags, uint64_t blob_id,
			uint64_t bytes, struct context_blob *blob)
{
	struct pages *pages;
	int status = blob_id ? memory_export(context, blob_id, bytes, &pages)
			     : context_new_shmem(context, bytes, &pages);
	if (status) {
		return status;
	}
	if (blob_flags & CONTEXT_BLOB_OTHERS) {
		atomic_store(&pages->shared, true);
	}
	uint32_t map_info = pages->combined ? CONTEXT_MAP_COMBINED : CONTEXT_MAP_CACHED;
	*blob = (struct context_blob){
		.fd = pages->fd,
		.map_info = blob_flags & CONTEXT_BLOB_MAPPABLE ? map_info : 0,
		.bytes = pages->bytes,
	};
	return resource_add(&context->resources, id, blob_id ? RESOURCE_MEMORY : RESOURCE_SHMEM,
			    pages, bytes);
}

int context_attach(struct context *context, uint32_t id, int fd, uint64_t bytes)
{
	struct pages *pages;
	uint64_t rounded = pages_round(bytes, (uint64_t)sysconf(_SC_PAGESIZE));
	int status = pages_adopt(&pages, fd, rounded);
	if (status) {
		return status;
	}
	return resource_add(&context->resources, id, RESOURCE_FOREIGN, pages, bytes);
}

int context_unref(struct context *context, uint32_t id)
{
	return resource_remove(&context->resources, id);
}

/* Rings */

/* Sleeps until the next report is due.  False once the context is over. */
static bool context_monitor_wait(struct context *context)
{
	uint64_t wake = loop_now_ns() + (uint64_t)context->monitor_us * 1000 / 3;
	(void)wait_until(&context->changed, &context->lock, wake);
	return !context_is_over(context);
}

static void *context_monitor_main(void *opaque)
{
	struct context *context = opaque;
	LOCKED(&context->lock);
	while (!context_is_over(context)) {
		for (size_t i = 0; i < WIRE_MAX_RINGS; i++) {
			if (context->rings[i] && ring_monitor_period_us(context->rings[i])) {
				ring_set_alive(context->rings[i]);
			}
		}
		if (!context_monitor_wait(context)) {
			break;
		}
	}
	return NULL;
}

/* Locked.  Makes sure that @period_us is kept. */
static const char *context_monitor_start(struct context *context, uint32_t period_us)
{
	if (period_us < CONTEXT_MONITOR_MIN_US) {
		period_us = CONTEXT_MONITOR_MIN_US;
	}
	if (!context->monitoring || period_us < context->monitor_us) {
		context->monitor_us = period_us;
		pthread_cond_broadcast(&context->changed);
	}
	if (context->monitoring) {
		return NULL;
	}
	if (pthread_create(&context->monitor, NULL, context_monitor_main, context)) {
		return "no thread to monitor a ring";
	}
	context->monitoring = true;
	return NULL;
}

/* Locked. */
static const char *context_ring_slot(struct context *context, uint64_t id, size_t *slot)
{
	*slot = WIRE_MAX_RINGS;
	for (size_t i = WIRE_MAX_RINGS; i-- > 0;) {
		if (!context->rings[i]) {
			*slot = i;
		} else if (ring_id(context->rings[i]) == id) {
			return "ring id in use";
		}
	}
	return *slot == WIRE_MAX_RINGS ? "too many rings" : NULL;
}

const char *context_create_ring(struct context *context, const struct ring_config *config,
				struct pages *pages)
{
	LOCKED(&context->lock);
	size_t slot;
	const char *problem = context_ring_slot(context, config->id, &slot);
	if (!problem && config->monitor_period_us) {
		problem = context_monitor_start(context, config->monitor_period_us);
	}
	if (problem) {
		pages_put(pages);
		return problem;
	}
	return ring_create(&context->rings[slot], context, config, pages,
			   &context->config.state->rings[slot]);
}

struct ring *context_find_ring(struct context *context, uint64_t id)
{
	LOCKED(&context->lock);
	for (size_t i = 0; i < WIRE_MAX_RINGS; i++) {
		if (context->rings[i] && ring_id(context->rings[i]) == id) {
			return context->rings[i];
		}
	}
	return NULL;
}

void context_destroy_ring(struct context *context, struct ring *ring)
{
	{
		LOCKED(&context->lock);
		for (size_t i = 0; i < WIRE_MAX_RINGS; i++) {
			if (context->rings[i] == ring) {
				context->rings[i] = NULL;
			}
		}
	}
	ring_destroy(ring);
}

/* Timelines */

bool context_bind_timeline(struct context *context, uint32_t ring_idx, struct queue *queue)
{
	LOCKED(&context->lock);
	if (!ring_idx || ring_idx >= WIRE_MAX_TIMELINES || context->timelines[ring_idx]) {
		return false;
	}
	context->timelines[ring_idx] = queue;
	return true;
}

void context_unbind_timeline(struct context *context, uint32_t ring_idx)
{
	LOCKED(&context->lock);
	assert(ring_idx < WIRE_MAX_TIMELINES);
	context->timelines[ring_idx] = NULL;
}

void context_fence_done(struct context *context, uint32_t ring_idx, uint64_t fence_id)
{
	context->config.ops->fence(context->config.opaque, ring_idx, fence_id);
}

void context_fence(struct context *context, uint32_t ring_idx, uint64_t fence_id)
{
	bool pending = false;
	{
		/* Under the lock: the queue cannot be unbound and freed meanwhile. */
		LOCKED(&context->lock);
		struct queue *queue =
			ring_idx < WIRE_MAX_TIMELINES ? context->timelines[ring_idx] : NULL;
		pending = queue && queue_add_fence(queue, fence_id);
	}
	if (!pending) {
		context_fence_done(context, ring_idx, fence_id);
	}
}

/* Devices */

void context_add_device(struct context *context, struct device *device)
{
	LOCKED(&context->lock);
	device->next = context->devices;
	context->devices = device;
}

/* Unlinks @device, or any if NULL.  NULL if there is none. */
static struct device *context_take_device(struct context *context, struct device *device)
{
	LOCKED(&context->lock);
	struct device **link = &context->devices;
	while (*link && device && *link != device) {
		link = &(*link)->next;
	}
	struct device *found = *link;
	if (found) {
		*link = found->next;
	}
	return found;
}

void context_quiet_devices(struct context *context, struct device *device)
{
	struct device *found;
	while ((found = context_take_device(context, device))) {
		device_quiet(found);
	}
}

void context_destroy(struct context *context)
{
	context_end(context);
	for (size_t i = 0; i < WIRE_MAX_RINGS; i++) {
		if (context->rings[i]) {
			context_destroy_ring(context, context->rings[i]);
		}
	}
	if (context->monitoring) {
		pthread_join(context->monitor, NULL);
	}
	driver_memory_finish(&context->driver_memory);
	context_free(context);
}
