/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - a command ring in memory shared with the guest, and the thread that executes it
 *
 * How it works: the thread polls tail, copies what is new out of shared memory, decodes and executes the copy, and stores head
 * after each command, when its reply is written.  After idleTimeout without work it sets IDLE, looks once more, and
 * sleeps until it is notified.
 *
 * Invariants: a notify is never lost (it is remembered until the thread has looked at tail again).  No pointer into shared
 * memory reaches the decoder.
 * Threads: each ring has its own; the functions below may be called from any other.
 */
#ifndef ORIEL_VENUS_RING_H
#define ORIEL_VENUS_RING_H

#include "venus/ring_layout.h"
#include "venus/pages.h"
#include "wire/wire.h"

struct context;
struct ring;

enum { RING_STATUS_IDLE = 1, RING_STATUS_FATAL = 2, RING_STATUS_ALIVE = 4 };

struct ring_config {
	uint64_t id;		 /* chosen by the guest */
	uint32_t resource_id;
	struct ring_request request; /* as checked to get @layout */
	struct ring_layout layout;
	uint64_t idle_timeout_ns;
	uint32_t monitor_period_us; /* 0: not monitored */
	int32_t nice;		    /* of the guest's process */
};

/*
 * Start a ring.  Takes the reference to @pages, also on failure.  @record (borrowed) is filled for a stand-in.
 * NULL, or why not (static text): head or status not zero, no thread.
 */
const char *ring_create(struct ring **ring, struct context *context, const struct ring_config *config,
			struct pages *pages, struct wire_ring_state *record);
/* Stop the thread after the command it executes, and free the ring. */
void ring_destroy(struct ring *ring);

uint64_t ring_id(const struct ring *ring);
uint32_t ring_monitor_period_us(const struct ring *ring);
/* Look at tail again. */
void ring_notify(struct ring *ring);
/* Tell the guest that the ring lives. */
void ring_set_alive(struct ring *ring);
/* Tell the guest that the context is over. */
void ring_set_fatal(struct ring *ring);
/* Store @value in the extra area; false if @offset lies outside. */
bool ring_write_extra(struct ring *ring, uint64_t offset, uint32_t value);

/* The virtqueue has reached @seqno, as far as this ring is concerned. */
void ring_submit_virtqueue_seqno(struct ring *ring, uint64_t seqno);
/* Ring thread: wait for the virtqueue to reach @seqno.  False if the ring or the context ended first. */
bool ring_wait_virtqueue_seqno(struct ring *ring, uint64_t seqno);
/* Wait until head has reached @seqno.  False if the ring or the context ended first. */
bool ring_wait_seqno(struct ring *ring, uint32_t seqno);

#endif
