/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait.c - sleep on a condition for a time
 *
 * Threads: see wait.h.
 */
#include "base/wait.h"

#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
				 .tv_nsec = (long)(ns % NS_PER_S)};
}

uint64_t wait_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

int wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline_ns)
{
#ifdef __APPLE__
	uint64_t now = wait_now_ns();
	const struct timespec limit = to_timespec(deadline_ns > now ? deadline_ns - now : 0);
	return pthread_cond_timedwait_relative_np(cond, mutex, &limit);
#else
	const struct timespec limit = to_timespec(deadline_ns);
	return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &limit);
#endif
}
