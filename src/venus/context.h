/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context.h - one Venus context: what one VkInstance of the guest needs, whatever front end serves it
 *
 * A front end (the wire to oriel, or a vtest socket) makes the context, passes on what arrives in the order it arrives,
 * and is told about fences and the end.
 *
 * Invariants: requests are made by one thread, the front end's; context_submit() and context_create_blob() may block for
 * as long as the guest's rings take, and return early once context_end() was called.
 * Threads: each function says so; callbacks come from any thread.
 */
#ifndef ORIEL_VENUS_CONTEXT_H
#define ORIEL_VENUS_CONTEXT_H

#include "base/error.h"
#include "venus/call.h"
#include "venus/pages.h"
#include "venus/probe.h"
#include "venus/resource.h"
#include "wire/wire.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct command_store;
struct context;
struct device;
struct queue;
struct ring_config;

struct context_ops {
	/* The fence of context_fence() completed. */
	void (*fence)(void *opaque, uint32_t ring_idx, uint64_t fence_id);
	/* The guest broke a rule: the context is over.  @text: static, no guest data. */
	void (*fatal)(void *opaque, const char *text);
};

struct context_config {
	uint64_t max_bytes;	       /* host memory all contexts together may hold */
	struct ledger *ledger;	       /* where they tell each other what they have; borrowed; NULL: this is the only one */
	unsigned ledger_slot;	       /* this one's */
	uint32_t granule;	       /* guest-visible page size */
	uint32_t ask_ms;	       /* how long a queue with work may be silent until its driver is asked; 0: a second */
	const struct probe *probe;     /* devices the guest may see; borrowed */
	struct wire_state *state;      /* borrowed; counters and rings are kept here */
	const struct context_ops *ops; /* borrowed */
	void *opaque;		       /* for ops */
};

/* Front end.  NULL with @err. */
struct context *context_create(const struct context_config *config, struct error *err) MUST_CHECK;
/* Make every blocked call return and every ring stop.  Any thread; more than once is fine. */
void context_end(struct context *context);
/* Front end: stop the rings, wait for the devices, destroy all objects.  May take as long as the driver does. */
void context_destroy(struct context *context);

/*
 * Front end: before it waits for the next request on @socket.  Returns when there is one, or nothing left of what was freed, which is
 * given back here once it has rested, if no ring without work has done it.
 */
void context_await(struct context *context, int socket);
/* Front end: execute a stream that came by the virtqueue; @bytes is private memory.  -EPROTO if the context is over. */
int context_submit(struct context *context, const void *bytes, size_t len) MUST_CHECK;

/* A new resource as the front end passes it on. */
struct context_blob {
	int fd;		   /* borrowed until the resource is dropped */
	uint32_t map_info; /* VIRTIO_GPU_MAP_CACHE_*; 0: not mappable */
	uint64_t bytes;	   /* of fd that belong to the blob, >= requested */
};
/*
 * Front end: make resource @id of @bytes.  @blob_id 0: new shared memory; else an export of that VkDeviceMemory.
 * -EINVAL, -EEXIST, -ENOENT (no such memory), -EDQUOT, -ENOMEM...
 */
int context_create_blob(struct context *context, uint32_t id, uint32_t blob_flags, uint64_t blob_id,
			uint64_t bytes, struct context_blob *blob) MUST_CHECK;
/* Front end: a resource another context made.  Takes @fd. */
int context_attach(struct context *context, uint32_t id, int fd, uint64_t bytes) MUST_CHECK;
/* Front end: -ENOENT if there is no such resource. */
int context_unref(struct context *context, uint32_t id);
/*
 * Front end: ops->fence() is called, perhaps before this returns, when what was submitted to the timeline's queue so far is
 * done.  Timelines without a queue complete at once.
 */
void context_fence(struct context *context, uint32_t ring_idx, uint64_t fence_id);

/* For the parts of the server.  Any thread. */

struct venus_dispatch *context_dispatch(struct context *context);
struct resource_table *context_resources(struct context *context);
struct shelf *context_shelf(struct context *context);
/* The shelf's. */
struct budget *context_budget(struct context *context);
struct command_store *context_command_store(struct context *context);
/* The calling thread works for the guest until context_end_work(). */
void context_begin_work(struct context *context);
void context_end_work(struct context *context);
bool context_is_busy(const struct context *context);
const struct context_config *context_config(const struct context *context);
static inline struct context *context_of(const struct venus_call *call)
{
	return call->dispatch->context;
}

/* True once the context ended or turned fatal. */
bool context_is_over(const struct context *context);
/* The decoder is fatal: so is the context. */
void context_fail(struct context *context, const struct venus_decoder *decoder);
/* The driver's function @name said that the device is lost, and the guest will not hear it: the same.  No lock is held. */
void context_lose_device(struct context *context, const char *name);

/* Takes the decoder's tally. */
void context_count_commands(struct context *context, struct venus_decoder *decoder);
void context_count_reply(struct context *context);
void context_count_submit(struct context *context);

/* Rings, called by the virtqueue's lane only.  NULL, or the broken rule. */
const char *context_create_ring(struct context *context, const struct ring_config *config,
				struct pages *pages);
/* The ring of that id or NULL; it lives until the virtqueue destroys it. */
struct ring *context_find_ring(struct context *context, uint64_t ring_id);
void context_destroy_ring(struct context *context, struct ring *ring);

/* Bind timeline @ring_idx to @queue.  False if it is taken or out of range. */
bool context_bind_timeline(struct context *context, uint32_t ring_idx, struct queue *queue);
void context_unbind_timeline(struct context *context, uint32_t ring_idx);
/* Devices with threads of their own: remembered from creation until they have been quieted. */
void context_add_device(struct context *context, struct device *device);
/* Before the driver destroys devices: quiet @device, or all of them if NULL.  See device_quiet(). */
void context_quiet_devices(struct context *context, struct device *device);
/* ops->fence(), for queues. */
void context_fence_done(struct context *context, uint32_t ring_idx, uint64_t fence_id);

#endif
