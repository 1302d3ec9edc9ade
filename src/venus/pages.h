/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.h - counted host memory that guest and server share: a sealed memfd and its mapping, or a dma-buf of a driver
 *
 * A VkDeviceMemory and the resource made of it hold one reference each; the pages go when both are gone.
 * Invariants: a memfd made here can neither shrink nor grow, so a mapping of it never faults.  Dma-bufs are of one size by
 * definition; the server never touches their bytes itself.
 * Giving back a page that was touched takes up to 700 ns, and a ring's guest may be waiting for what comes next.
 * Threads: any; references and the budget are atomic.
 */
#ifndef ORIEL_VENUS_PAGES_H
#define ORIEL_VENUS_PAGES_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pages;

/* Bytes of host memory one context may hold, and pages that are still to be given back. */
struct budget {
	_Atomic uint64_t used;
	uint64_t limit;
	struct pages *_Atomic leavings; /* linked by next */
	atomic_uint leaving;		/* how many, roughly */
};

/* True if @bytes were charged, false if that would pass the limit. */
bool budget_charge(struct budget *budget, uint64_t bytes);
void budget_release(struct budget *budget, uint64_t bytes);
static inline bool budget_has_leavings(struct budget *budget)
{
	return atomic_load_explicit(&budget->leavings, memory_order_relaxed);
}
/* Give back one of the pages that were left.  False if there are none. */
bool budget_tidy(struct budget *budget);
/* Give back a part of one, in some microseconds if it is a memfd that was not shared.  False if there are none. */
bool budget_tidy_some(struct budget *budget);

struct pages {
	atomic_uint references;
	int fd;		/* memfd, or a dma-buf of a driver; data starts at offset 0 */
	void *map;	/* read-write mapping of all bytes, or NULL: a dma-buf */
	bool combined;	/* the driver maps it for writing in bursts, without caches */
	uint64_t bytes; /* multiple of the page size */
	struct budget *budget; /* charged with @bytes, or NULL */
	atomic_bool shared;    /* others than the guest's program may look at the bytes for longer than we do */
	struct pages *next;    /* private: of those that are left */
	uint64_t discarded;    /* private: up to here there are no bytes any more */
};

/* Bytes rounded up to a multiple of @granule (a power of two); 0 on overflow. */
uint64_t pages_round(uint64_t bytes, uint64_t granule);

/*
 * New zeroed memory of exactly @bytes (a non-zero multiple of the page size) charged to @budget (borrowed, outlives the pages).
 * *pages gets one reference.  -EDQUOT beyond the budget, -ENOMEM, -EMFILE, ...
 */
int pages_create(struct pages **pages, struct budget *budget, uint64_t bytes) MUST_CHECK;
/*
 * Wraps a driver's dma-buf, unmapped and as large as it is, which must be @bytes at least.  Takes @fd, also on failure.
 */
int pages_wrap(struct pages **pages, struct budget *budget, int fd, uint64_t bytes) MUST_CHECK;
/*
 * A resource made by another process, which must hold @bytes: a memfd that carries F_SEAL_SHRINK, which is mapped, or a dma-buf.
 * Takes @fd, also on failure.  Not charged: its maker pays.
 */
int pages_adopt(struct pages **pages, int fd, uint64_t bytes) MUST_CHECK;

struct pages *pages_get(struct pages *pages);
/* Accepts NULL. */
void pages_put(struct pages *pages);
/* The same for those who are in a hurry: what it takes to give memory back is left to budget_tidy(), if not too much is. */
void pages_leave(struct pages *pages);

#endif
