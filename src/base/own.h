/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own.h - ownership of locals: closed, freed or unlocked on every return
 *
 * AUTO_FD int fd = open(...);      closed at scope end if >= 0
 * AUTO_FREE char *p = malloc(...); freed at scope end
 * LOCKED(&mutex);                  locked here, unlocked at scope end
 * Threads: locals only.
 */
#ifndef ORIEL_BASE_OWN_H
#define ORIEL_BASE_OWN_H

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static inline void own_close(int *fd)
{
	if (*fd >= 0) {
		close(*fd);
		*fd = -1;
	}
}

static inline void own_free(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

static inline pthread_mutex_t *own_lock(pthread_mutex_t *mutex)
{
	pthread_mutex_lock(mutex);
	return mutex;
}

static inline void own_unlock(pthread_mutex_t **mutex)
{
	pthread_mutex_unlock(*mutex);
}

/* Moves the descriptor out of @fd: the caller owns it from here. */
static inline int fd_take(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

#define AUTO_FD       __attribute__((cleanup(own_close)))
#define AUTO_FREE     __attribute__((cleanup(own_free)))
#define OWN_CAT2(a, b) a##b
#define OWN_CAT(a, b) OWN_CAT2(a, b)
#define LOCKED(mutex)                                                                              \
	__attribute__((cleanup(own_unlock), unused)) pthread_mutex_t *OWN_CAT(own_locked_, __LINE__) = \
		own_lock(mutex)

#endif
