/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - event loop of one thread: descriptors, timers and work posted from other threads
 *
 * Threads: all calls belong to the loop's thread, except loop_post(), loop_stop() and loop_timer_set(): any thread.
 */
#ifndef ORIEL_BASE_LOOP_H
#define ORIEL_BASE_LOOP_H

#include "base/error.h"
#include "base/wait.h"

#include <stdint.h>

struct loop;
struct loop_source; /* a watched descriptor or a timer */

/* What a descriptor can be watched for; the last two are always told. */
enum loop_event {
	LOOP_IN = 0x001,
	LOOP_OUT = 0x004,
	LOOP_ERR = 0x008,
	LOOP_HUP = 0x010,
	LOOP_ONCE = 1 << 30, /* watched for no more than one event, until loop_mod_fd() */
};

typedef void (*loop_fd_fn)(void *opaque, uint32_t events);
typedef void (*loop_fn)(void *opaque);

struct loop *loop_create(struct error *err) MUST_CHECK;
/* Accepts NULL.  Remaining sources are freed; their descriptors stay open. */
void loop_destroy(struct loop *loop);

/* Watch @fd (borrowed) for @events of enum loop_event.  NULL if the kernel refuses. */
struct loop_source *loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn,
				void *opaque) MUST_CHECK;
/* Change what is watched; 0 pauses the source. */
void loop_mod_fd(struct loop_source *source, uint32_t events);
/* A timer, at rest until loop_timer_set(). */
struct loop_source *loop_add_timer(struct loop *loop, loop_fn fn, void *opaque) MUST_CHECK;
/* Fire once at @deadline_ns of loop_now_ns(); 0 puts the timer to rest. */
void loop_timer_set(struct loop_source *timer, uint64_t deadline_ns);
/* Stop watching and free; legal inside any callback.  Accepts NULL. */
void loop_remove(struct loop_source *source);

/* Run fn(opaque) on the loop's thread soon.  Any thread.  -ENOMEM if it could not be queued. */
int loop_post(struct loop *loop, loop_fn fn, void *opaque);
/* Dispatch until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* The clock of timers. */
static inline uint64_t loop_now_ns(void)
{
	return wait_now_ns();
}

#endif
