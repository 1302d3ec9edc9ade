/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver_memory.c - what drivers keep for a context in the server's own memory, counted
 * Threads: one of its own.
 */
#include "venus/driver_memory.h"

#include "base/os.h"
#include "base/own.h"
#include "base/wait.h"
#include "venus/budget.h"

enum {
	LOOK_NS = 10 * 1000 * 1000,
	LOOKS = 10,		  /* without work or change before the thread sleeps */
	CHANGE = 1024 * 1024,	  /* bytes: drivers have threads that go on when ours have done their part */
	GROWTH = 16 * 1024 * 1024, /* bytes more than ever since the last time, then malloc() gives back what it can */
};

/* What the driver keeps beyond what is free; *own gets all that the process has to itself. */
static uint64_t memory_kept(const struct driver_memory *memory, uint64_t *own)
{
	uint64_t others = atomic_load(&memory->budget->inside) + DRIVER_MEMORY_FREE;
	*own = os_own_memory();
	return *own > others ? *own - others : 0;
}

static void memory_charge(struct driver_memory *memory, uint64_t kept)
{
	uint64_t before = memory->charged;
	memory->charged = kept;
	if (kept < before) {
		budget_release(memory->budget, before - kept);
	} else if (kept > before && !budget_charge_anyway(memory->budget, kept - before)) {
		memory->beyond(memory->opaque);
	}
}

/* True if the memory is not what it was. */
static bool memory_look(struct driver_memory *memory)
{
	uint64_t own, kept = memory_kept(memory, &own);
	if (kept > memory->trimmed + GROWTH) { /* of which the driver may have freed all */
		os_trim_heap();
		kept = memory->trimmed = memory_kept(memory, &own);
	} else if (kept < memory->trimmed) {
		memory->trimmed = kept;
	}
	memory_charge(memory, kept);
	uint64_t change = own > memory->last ? own - memory->last : memory->last - own;
	if (change < CHANGE) {
		return false;
	}
	memory->last = own;
	return true;
}

/* Until somebody works.  Who starts to counts itself and then looks at asleep; we do it the other way round. */
static void memory_sleep(struct driver_memory *memory)
{
	LOCKED(&memory->lock);
	atomic_store(&memory->asleep, true);
	while (!memory->over && !atomic_load(memory->busy) && atomic_load(&memory->asleep)) {
		pthread_cond_wait(&memory->changed, &memory->lock);
	}
	atomic_store(&memory->asleep, false);
}

/* Until it is time to look.  False if it is over. */
static bool memory_wait(struct driver_memory *memory)
{
	uint64_t then = wait_now_ns() + LOOK_NS;
	LOCKED(&memory->lock);
	while (!memory->over && !wait_until(&memory->changed, &memory->lock, then)) {
	}
	return !memory->over;
}

static void *memory_main(void *opaque)
{
	struct driver_memory *memory = opaque;
	for (int still = 0; memory_wait(memory); still++) {
		if (memory_look(memory) || atomic_load(memory->busy)) {
			still = 0;
		} else if (still == LOOKS) {
			memory_sleep(memory);
			still = 0;
		}
	}
	return NULL;
}

int driver_memory_start(struct driver_memory *memory)
{
	pthread_mutex_init(&memory->lock, NULL);
	pthread_cond_init(&memory->changed, NULL);
	return -pthread_create(&memory->thread, NULL, memory_main, memory);
}

void driver_memory_wake(struct driver_memory *memory)
{
	if (atomic_load(&memory->asleep)) {
		LOCKED(&memory->lock);
		atomic_store(&memory->asleep, false);
		pthread_cond_signal(&memory->changed);
	}
}

void driver_memory_finish(struct driver_memory *memory)
{
	{
		LOCKED(&memory->lock);
		memory->over = true;
		pthread_cond_signal(&memory->changed);
	}
	pthread_join(memory->thread, NULL);
	budget_release(memory->budget, memory->charged);
	pthread_cond_destroy(&memory->changed);
	pthread_mutex_destroy(&memory->lock);
}
