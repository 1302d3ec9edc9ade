/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pthread.h - the little of macOS that our engine uses, so that it compiles without Apple's SDK
 *
 * Our own declarations; sizes and values are those of macOS on arm64.  Threads: as POSIX says.
 */
#ifndef ORIEL_TESTS_MACOS_PTHREAD_H
#define ORIEL_TESTS_MACOS_PTHREAD_H

#include <time.h>

typedef struct _opaque_pthread_t *pthread_t;
typedef struct {
	long sig;
	char opaque[56];
} pthread_mutex_t;
#define PTHREAD_MUTEX_INITIALIZER {0x32aaaba7, {0}}
typedef struct {
	long sig;
	char opaque[40];
} pthread_cond_t;

int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes);
int pthread_mutex_destroy(pthread_mutex_t *mutex);
int pthread_mutex_lock(pthread_mutex_t *mutex);
int pthread_mutex_unlock(pthread_mutex_t *mutex);
int pthread_cond_init(pthread_cond_t *cond, const void *attributes);
int pthread_cond_destroy(pthread_cond_t *cond);
int pthread_cond_signal(pthread_cond_t *cond);
int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int pthread_cond_timedwait_relative_np(pthread_cond_t *cond, pthread_mutex_t *mutex,
				       const struct timespec *limit);
int pthread_create(pthread_t *thread, const void *attributes, void *(*start)(void *), void *argument);
int pthread_join(pthread_t thread, void **result);
pthread_t pthread_self(void);
int pthread_equal(pthread_t a, pthread_t b);

#endif
