/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - client of one oriel-gpu process (src/wire/wire.h)
 *
 * Nothing here waits, save gpu_server_query() with a bound.  What does not fit into the socket is
 * refused with -EAGAIN and the room event tells when to try again.  Every message and descriptor of
 * the server is checked; a server that breaks the rules is reported as lost. Threads: the device's
 * loop.
 */
#ifndef ORIEL_GPU_SERVER_H
#define ORIEL_GPU_SERVER_H

#include "base/error.h"
#include "base/loop.h"
#include "gpu/spawn.h"
#include "wire/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gpu_server;

/*
 * What the server says.  Inside any of these the server may be stopped with gpu_server_stop().
 * blob, submitted, fence and unreferenced return false if the server answered what nobody asked; it
 * is lost then.
 */
struct gpu_server_events {
	void (*welcome)(void *opaque, const struct wire_welcome *welcome);
	/* @fd (-1 if status is not 0) is verified, at least blob->size bytes; the callee owns it.
	 */
	bool (*blob)(void *opaque, const struct wire_blob *blob, int fd);
	bool (*submitted)(void *opaque, const struct wire_submitted *submitted);
	bool (*fence)(void *opaque, const struct wire_fence *fence);
	/* To the request with that @seq. */
	bool (*unreferenced)(void *opaque, uint64_t seq);
	/* The socket takes messages again after a -EAGAIN. */
	void (*room)(void *opaque);
	/* It is dead, stuck or broke the rules; nothing more will come.  @why is printable.  To be
	 * stopped. */
	void (*lost)(void *opaque, const char *why);
};

struct gpu_server_config {
	struct loop *loop;
	const struct gpu_spawner *spawner;
	uint32_t token, ctx_id;
	uint64_t max_blob_bytes;
	int ledger_fd;		 /* borrowed for the start only */
	uint32_t ledger_slot;	 /* the server's */
	uint32_t blob_alignment; /* of blobs' sizes */
	const char *name;	 /* guest's debug name, at most 63 bytes are used */
	const struct gpu_server_events *events;
	void *opaque;
};

/* Counters of the server, read from memory that it may scribble on: plausible numbers only, no
 * promise. */
struct gpu_server_counters {
	uint64_t commands, draws, dispatches, submits;
	uint64_t record_bytes; /* now */
};

/* Ask for a server and say hello.  Requests may follow at once.  NULL with @err on failure. */
struct gpu_server *gpu_server_start(const struct gpu_server_config *config,
				    struct error *err) MUST_CHECK;
/* Close the socket and have the process ended.  No event comes any more.  Legal inside events.
 * Accepts NULL. */
void gpu_server_stop(struct gpu_server *server);

/* Requests; 0, or -EAGAIN if there is no room, or -EPIPE etc. (lost is reported through the loop).
 */
int gpu_server_create_blob(struct gpu_server *server,
			   const struct wire_create_blob *request) MUST_CHECK;
int gpu_server_submit(struct gpu_server *server, const struct wire_submit *request,
		      const void *stream) MUST_CHECK;
/* @seq not 0: to be answered. */
int gpu_server_unref(struct gpu_server *server, uint32_t resource_id, uint64_t seq) MUST_CHECK;
int gpu_server_attach(struct gpu_server *server, uint32_t resource_id, int fd,
		      uint64_t size) MUST_CHECK;

bool gpu_server_is_welcomed(const struct gpu_server *server);
void gpu_server_read_counters(const struct gpu_server *server,
			      struct gpu_server_counters *counters);
pid_t gpu_server_pid(const struct gpu_server *server);

/*
 * 0 if @fd is memory that can be mapped and can not change its size: a memfd sealed against
 * shrinking and growing and not against writing, or a dma-buf, both of at least @size bytes and
 * whole pages and open for writing.  *actual becomes its size.  Else -EINVAL and a reason in *why.
 * A driver may not let its dma-buf be mapped, and its pages may go with the device: mapping says
 * so, and an access is then as one to a memfd without pages (gpu_blob_lost()).
 */
int gpu_server_check_fd(int fd, uint64_t size, uint64_t *actual, const char **why) MUST_CHECK;

/* Start a server only to ask what it offers.  Waits up to @limit_ms.  @err has the server's reason
 * on failure. */
int gpu_server_query(const struct gpu_spawner *spawner, uint32_t token, unsigned limit_ms,
		     struct wire_welcome *welcome, struct error *err) MUST_CHECK;

#endif
