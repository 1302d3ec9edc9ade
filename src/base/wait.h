/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait.h - sleep on a condition for a time, by a clock that nobody sets
 *
 * Threads: any.
 */
#ifndef ORIEL_BASE_WAIT_H
#define ORIEL_BASE_WAIT_H

#include <pthread.h>
#include <stdint.h>

/* A clock that runs on and is never set, in nanoseconds. */
uint64_t wait_now_ns(void);

/* pthread_cond_wait() until wait_now_ns() is @deadline_ns at most.  0, or ETIMEDOUT.  @cond has no
 * attributes. */
int wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline_ns);

#endif
