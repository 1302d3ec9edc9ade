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

/* pthread_cond_wait() for @ns at most.  0, or ETIMEDOUT. */
int wait_cond(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t ns);

#endif
