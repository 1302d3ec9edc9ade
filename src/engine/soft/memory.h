/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.h - what lies at a guest physical page: RAM, ROM, the GPU window, or devices
 *
 * How it works: RAM regions are fixed before the first run.  The window is one host range that stays mapped for the engine's
 * life, so a host address into it is always valid: a bitmap says which of its pages show something.  The pages taken away are
 * replaced by private zero pages first, and the TLBs are flushed later; what a guest still writes there is lost.
 * A mapping whose pages the host no longer has becomes private zero pages at the first touch of one of them.
 * Threads: memory_find() on any vCPU thread, without a lock; changes to the window are serialized by its lock.
 */
#ifndef ORIEL_ENGINE_SOFT_MEMORY_H
#define ORIEL_ENGINE_SOFT_MEMORY_H

#include "base/error.h"
#include "base/guard.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { MEMORY_REGIONS = 32, MEMORY_PAGE = 4096 };

#define MEMORY_NOWHERE (~UINT64_C(0))

struct memory_region {
	uint64_t gpa, len;
	uint8_t *hva;
	bool read_only;
};

struct memory {
	struct memory_region regions[MEMORY_REGIONS];
	unsigned count;

	pthread_mutex_t lock; /* window changes; the window's pages are not touched under it */
	_Atomic uint64_t window_gpa;
	uint64_t window_len; /* fixed once set */
	uint8_t *window_hva;
	atomic_ulong *window_mapped;	/* a bit for each page */
	unsigned long *window_starts;	/* a bit for each page that a mapping begins with; under lock */
	struct guard window_guard;
	void (*on_loss)(void *opaque, uint64_t offset);
	void *opaque;
	atomic_ulong window_misses; /* accesses to unmapped parts */
};

enum memory_kind {
	MEMORY_DEVICE, /* MMIO, or nothing */
	MEMORY_RAM,
	MEMORY_ROM,	   /* reads are memory, writes are MMIO */
	MEMORY_WINDOW,	   /* a mapped page of the window */
	MEMORY_WINDOW_GAP, /* reads as zero, ignores writes */
};

/*
 * @on_loss hears of a mapping at @offset of the window that became zero pages, on the thread that touched it, within that access
 * (guard.h).
 */
void memory_init(struct memory *memory, void (*on_loss)(void *opaque, uint64_t offset), void *opaque);
/* No vCPU runs any more.  RAM stays the caller's; the window's pages go. */
void memory_finish(struct memory *memory);
/* @hva stays the caller's, until memory_finish().  Set-up.  -EINVAL: not whole pages; -EEXIST: overlaps; -ENOSPC. */
int memory_add(struct memory *memory, uint64_t gpa, uint64_t len, void *hva, bool read_only,
	       struct error *err) MUST_CHECK;
/* As engine_window_place/map/unmap, without the flushing that must follow place and unmap.  False: no such part. */
int memory_window_place(struct memory *memory, uint64_t gpa, uint64_t len, struct error *err) MUST_CHECK;
int memory_window_map(struct memory *memory, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
		      struct error *err) MUST_CHECK;
bool memory_window_unmap(struct memory *memory, uint64_t offset, uint64_t len);

/* What is at the page of @gpa; *hva becomes the host address of @gpa itself unless MEMORY_DEVICE or a gap. */
enum memory_kind memory_find(struct memory *memory, uint64_t gpa, uint8_t **hva);

#endif
