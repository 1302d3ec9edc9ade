/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - ends a context when its peer goes away, and the process if the driver does not let it end
 *
 * A front end may be blocked in a guest's request while the peer hangs up; the watch is the thread that notices.
 * Threads: watch_start() and watch_finish() the front end's.
 */
#ifndef ORIEL_VENUS_WATCH_H
#define ORIEL_VENUS_WATCH_H

#include "base/error.h"

#include <stdbool.h>

#include <pthread.h>

struct context;

enum { WATCH_GRACE_SECONDS = 10 };

struct watch {
	struct context *context;
	int socket;   /* borrowed */
	int stop_fd;  /* eventfd */
	pthread_t thread;
};

/* Watch @socket (borrowed).  From the hang-up on, the process has WATCH_GRACE_SECONDS to end. */
int watch_start(struct watch *watch, struct context *context, int socket) MUST_CHECK;
/* Does what a hang-up does and returns when the watch no longer knows the context. */
void watch_finish(struct watch *watch);
/* The context has ended in time: the process may go on. */
void watch_release(void);

#endif
