/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.c - event loop of one thread over epoll
 *
 * How it works: each source is one epoll entry; posted work is a list behind a mutex with an eventfd
 * as its bell.  A removed source is parked until the current batch of events is done, so that an
 * event already fetched for it is ignored instead of touching freed memory.
 * Threads: the loop's thread, except loop_post() and loop_stop().
 */
#include "base/loop.h"

#include "base/own.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static_assert(LOOP_IN + 0 == EPOLLIN + 0 && LOOP_OUT + 0 == EPOLLOUT + 0 && LOOP_ERR + 0 == EPOLLERR + 0 && LOOP_HUP + 0 == EPOLLHUP + 0 &&
		      (unsigned)LOOP_ONCE == (unsigned)EPOLLONESHOT,
	      "the kernel's own");

struct loop_source {
	struct loop *loop;
	struct loop_source *next;
	int fd;
	bool is_timer; /* the loop owns fd */
	bool dead;
	loop_fd_fn on_fd;
	loop_fn on_timer;
	void *opaque;
};

struct loop_job {
	struct loop_job *next;
	loop_fn fn;
	void *opaque;
};

struct loop {
	int epoll_fd, bell_fd;
	atomic_bool stopping;
	struct loop_source *sources;
	struct loop_source *graveyard; /* removed, freed after the batch */
	pthread_mutex_t jobs_lock;     /* guards the two below */
	struct loop_job *jobs_head, **jobs_tail;
};

struct loop *loop_create(struct error *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	if (!loop) {
		error_set(err, -ENOMEM, "event loop: out of memory");
		return NULL;
	}
	pthread_mutex_init(&loop->jobs_lock, NULL);
	loop->jobs_tail = &loop->jobs_head;
	loop->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	if (loop->bell_fd < 0 || loop->epoll_fd < 0 ||
	    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->bell_fd, &event) < 0) {
		error_errno(err, "event loop");
		loop_destroy(loop);
		return NULL;
	}
	return loop;
}

static void loop_bury(struct loop *loop)
{
	while (loop->graveyard) {
		struct loop_source *source = loop->graveyard;
		loop->graveyard = source->next;
		free(source);
	}
}

void loop_destroy(struct loop *loop)
{
	if (!loop) {
		return;
	}
	while (loop->sources) {
		loop_remove(loop->sources);
	}
	loop_bury(loop);
	while (loop->jobs_head) {
		struct loop_job *job = loop->jobs_head;
		loop->jobs_head = job->next;
		free(job);
	}
	own_close(&loop->epoll_fd);
	own_close(&loop->bell_fd);
	pthread_mutex_destroy(&loop->jobs_lock);
	free(loop);
}

static struct loop_source *loop_add(struct loop *loop, int fd, uint32_t events)
{
	struct loop_source *source = calloc(1, sizeof(*source));
	if (!source) {
		return NULL;
	}
	struct epoll_event event = {.events = events, .data.ptr = source};
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		free(source);
		return NULL;
	}
	source->loop = loop;
	source->fd = fd;
	source->next = loop->sources;
	loop->sources = source;
	return source;
}

struct loop_source *loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn,
				void *opaque)
{
	struct loop_source *source = loop_add(loop, fd, events);
	if (source) {
		source->on_fd = fn;
		source->opaque = opaque;
	}
	return source;
}

void loop_mod_fd(struct loop_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};
	epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event);
}

struct loop_source *loop_add_timer(struct loop *loop, loop_fn fn, void *opaque)
{
	AUTO_FD int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd < 0) {
		return NULL;
	}
	struct loop_source *source = loop_add(loop, fd, EPOLLIN);
	if (source) {
		source->is_timer = true;
		source->on_timer = fn;
		source->opaque = opaque;
		fd_take(&fd);
	}
	return source;
}

void loop_timer_set(struct loop_source *timer, uint64_t deadline_ns)
{
	struct itimerspec when = {
		.it_value = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
			     .tv_nsec = (long)(deadline_ns % 1000000000u)},
	};
	timerfd_settime(timer->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void loop_remove(struct loop_source *source)
{
	if (!source) {
		return;
	}
	struct loop *loop = source->loop;
	struct loop_source **link = &loop->sources;
	while (*link != source) {
		link = &(*link)->next;
	}
	*link = source->next;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	if (source->is_timer) {
		close(source->fd);
	}
	source->dead = true;
	source->next = loop->graveyard;
	loop->graveyard = source;
}

static void loop_ring(struct loop *loop)
{
	uint64_t one = 1;
	(void)!write(loop->bell_fd, &one, sizeof(one));
}

int loop_post(struct loop *loop, loop_fn fn, void *opaque)
{
	struct loop_job *job = malloc(sizeof(*job));
	if (!job) {
		return -ENOMEM;
	}
	*job = (struct loop_job){.fn = fn, .opaque = opaque};
	{
		LOCKED(&loop->jobs_lock);
		*loop->jobs_tail = job;
		loop->jobs_tail = &job->next;
	}
	loop_ring(loop);
	return 0;
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stopping, true);
	loop_ring(loop);
}

static void loop_run_jobs(struct loop *loop)
{
	uint64_t rings;
	(void)!read(loop->bell_fd, &rings, sizeof(rings));
	struct loop_job *jobs;
	{
		LOCKED(&loop->jobs_lock);
		jobs = loop->jobs_head;
		loop->jobs_head = NULL;
		loop->jobs_tail = &loop->jobs_head;
	}
	while (jobs) {
		struct loop_job *job = jobs;
		jobs = job->next;
		job->fn(job->opaque);
		free(job);
	}
}

static void loop_dispatch(struct loop_source *source, uint32_t events)
{
	if (source->dead) {
		return;
	}
	if (!source->is_timer) {
		source->on_fd(source->opaque, events);
		return;
	}
	uint64_t expirations;
	if (read(source->fd, &expirations, sizeof(expirations)) == sizeof(expirations)) {
		source->on_timer(source->opaque);
	}
}

void loop_run(struct loop *loop)
{
	struct epoll_event events[32];
	while (!atomic_load(&loop->stopping)) {
		int count = epoll_wait(loop->epoll_fd, events, 32, -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr) {
				loop_dispatch(events[i].data.ptr, events[i].events);
			} else {
				loop_run_jobs(loop);
			}
		}
		loop_bury(loop);
	}
	atomic_store(&loop->stopping, false);
}
