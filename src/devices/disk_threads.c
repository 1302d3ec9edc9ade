/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_threads.c - disk I/O by a few worker threads, for hosts without io_uring
 *
 * How it works: workers take steps from one list and put them in another when done; a bell tells the loop.
 * Threads: the lists under the lock; everything else see disk_io.h.  Workers block all signals.
 */
#include "base/os.h"
#include "devices/disk_io_priv.h"

#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

enum { DISK_WORKERS = 4 };

struct disk_threads {
	struct disk_backend base;
	int event;
	struct loop_source *source;
	unsigned worker_count;
	pthread_t workers[DISK_WORKERS];
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t more;
	bool stopping;
	struct disk_request *todo, **todo_tail, *done;
};

static int disk_do_step(int fd, const struct disk_request *r)
{
	ssize_t result = 0;
	switch (r->step) {
	case DISK_STEP_TRANSFER:
		result = r->op == DISK_READ ?
				 preadv(fd, r->iov, (int)r->iov_count, (off_t)r->offset) :
				 os_pwritev(fd, r->iov, (int)r->iov_count, (off_t)r->offset, r->durable);
		break;
	case DISK_STEP_FALLOCATE:
		result = os_zero(fd, (off_t)r->offset, (off_t)r->len, disk_keeps_blocks(r));
		break;
	case DISK_STEP_SYNC: result = os_sync_data(fd); break;
	}
	return result < 0 ? -errno : (int)result;
}

/* Next step to do, or NULL when it is time to stop. */
static struct disk_request *disk_threads_take(struct disk_threads *t)
{
	LOCKED(&t->lock);
	while (!t->todo && !t->stopping) {
		pthread_cond_wait(&t->more, &t->lock);
	}
	struct disk_request *request = t->todo;
	if (request) {
		t->todo = request->next;
		if (!t->todo) {
			t->todo_tail = &t->todo;
		}
	}
	return request;
}

static void *disk_worker(void *opaque)
{
	struct disk_threads *t = opaque;
	struct disk_request *request;
	while ((request = disk_threads_take(t))) {
		request->result = disk_do_step(t->base.fd, request);
		{
			LOCKED(&t->lock);
			request->next = t->done;
			t->done = request;
		}
		os_bell_ring(t->event);
	}
	return NULL;
}

static void disk_threads_start(struct disk_backend *backend, struct disk_request *request)
{
	struct disk_threads *t = (struct disk_threads *)backend;
	LOCKED(&t->lock);
	request->next = NULL;
	*t->todo_tail = request;
	t->todo_tail = &request->next;
	pthread_cond_signal(&t->more);
}

static void disk_threads_send(struct disk_backend *backend)
{
}

static void disk_threads_reap(struct disk_threads *t)
{
	(void)os_bell_clear(t->event);
	struct disk_request *done;
	{
		LOCKED(&t->lock);
		done = t->done;
		t->done = NULL;
	}
	bool any = done != NULL;
	while (done) {
		struct disk_request *request = done;
		done = request->next;
		disk_io_step_done(t->base.io, request, request->result);
	}
	if (any) {
		disk_io_batch_done(t->base.io);
	}
}

static void disk_threads_on_event(void *opaque, uint32_t events)
{
	disk_threads_reap(opaque);
}

static void disk_threads_wait(struct disk_backend *backend)
{
	struct disk_threads *t = (struct disk_threads *)backend;
	struct pollfd poll_fd = {.fd = t->event, .events = POLLIN};
	poll(&poll_fd, 1, -1);
	disk_threads_reap(t);
}

static void disk_threads_destroy(struct disk_backend *backend)
{
	struct disk_threads *t = (struct disk_threads *)backend;
	{
		LOCKED(&t->lock);
		t->stopping = true;
		pthread_cond_broadcast(&t->more);
	}
	for (unsigned i = 0; i < t->worker_count; i++) {
		pthread_join(t->workers[i], NULL);
	}
	loop_remove(t->source);
	own_close(&t->event);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->more);
	free(t);
}

static const struct disk_backend_ops disk_threads_ops = {
	.name = "threads",
	.start = disk_threads_start,
	.send = disk_threads_send,
	.wait = disk_threads_wait,
	.destroy = disk_threads_destroy,
};

static void disk_threads_spawn(struct disk_threads *t)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (t->worker_count < DISK_WORKERS &&
	       pthread_create(&t->workers[t->worker_count], NULL, disk_worker, t) == 0) {
		t->worker_count++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct disk_backend *disk_threads_create(struct disk_io *io, int fd, struct loop *loop)
{
	struct disk_threads *t = calloc(1, sizeof(*t));
	if (!t) {
		return NULL;
	}
	t->base = (struct disk_backend){.ops = &disk_threads_ops, .io = io, .fd = fd};
	t->todo_tail = &t->todo;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->more, NULL);
	t->event = os_bell();
	if (t->event >= 0) {
		t->source = loop_add_fd(loop, t->event, LOOP_IN, disk_threads_on_event, t);
	}
	if (t->source) {
		disk_threads_spawn(t);
	}
	if (!t->worker_count) {
		disk_threads_destroy(&t->base);
		return NULL;
	}
	return &t->base;
}
