/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver_memory.h - what drivers keep for a context in the server's own memory, counted
 *
 * How it works: shaders, pipelines, descriptors and what compilers need are of no size that we know,
 * so a thread asks the kernel every 10 ms how much memory the process has to itself.  What
 * is beyond what any driver needs, and is not charged as something else, is charged to the context's
 * budget.  The thread sleeps while nobody works for the guest and the memory stays as it is.
 *
 * One context a process.  Where the kernel does not tell (os_own_memory()), nothing is counted.
 * Threads: any; one of its own.
 */
#ifndef ORIEL_VENUS_DRIVER_MEMORY_H
#define ORIEL_VENUS_DRIVER_MEMORY_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <pthread.h>

struct budget;

enum {
	DRIVER_MEMORY_FREE = 128 * 1024 * 1024, /* bytes that a context need not pay for */
};

struct driver_memory {
	struct budget *budget;		/* borrowed */
	atomic_uint *busy;		/* borrowed; threads that work for the guest */
	void (*beyond)(void *opaque);	/* its thread: the limit has been passed, with its reserve */
	void *opaque;

	/* private */
	uint64_t charged, trimmed, last; /* bytes; the thread's */
	atomic_bool asleep;
	pthread_mutex_t lock;
	bool over;			/* guarded by lock */
	pthread_cond_t changed;
	pthread_t thread;
};

/* Starts to look.  The public members are set, the others zero. */
int driver_memory_start(struct driver_memory *memory) MUST_CHECK;
/* After *busy was increased.  Costs next to nothing but after a pause. */
void driver_memory_wake(struct driver_memory *memory);
/* Stops, and gives back what was charged. */
void driver_memory_finish(struct driver_memory *memory);

#endif
