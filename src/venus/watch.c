/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - ends a context when its peer goes away
 *
 * How it works: SIGALRM, which nobody handles, is the last resort against a driver that never returns.
 * Threads: one of its own.
 */
#include "venus/watch.h"

#include "base/os.h"
#include "venus/context.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

static void *watch_main(void *opaque)
{
	struct watch *watch = opaque;
	struct pollfd fds[2] = {
		{.fd = watch->socket, .events = OS_POLL_GONE},
		{.fd = watch->stop_fd, .events = POLLIN},
	};
	while (poll(fds, 2, -1) < 0 && errno == EINTR) {
	}
	alarm(WATCH_GRACE_SECONDS);
	context_end(watch->context);
	return NULL;
}

int watch_start(struct watch *watch, struct context *context, int socket)
{
	*watch = (struct watch){.context = context, .socket = socket};
	watch->stop_fd = os_bell();
	if (watch->stop_fd < 0) {
		return -errno;
	}
	int status = -pthread_create(&watch->thread, NULL, watch_main, watch);
	if (status) {
		close(watch->stop_fd);
	}
	return status;
}

void watch_release(void)
{
	alarm(0);
}

void watch_finish(struct watch *watch)
{
	os_bell_ring(watch->stop_fd);
	pthread_join(watch->thread, NULL);
	close(watch->stop_fd);
}
