/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.h - counted memory of a guest: a sealed memfd and its mapping, or a dma-buf of a driver, which guest and server share, or
 * a driver's own
 *
 * A VkDeviceMemory and the resource made of it hold one reference each; the pages go when both are gone.
 * Invariants: a memfd made here can neither shrink nor grow, so a mapping of it never faults.  Dma-bufs are of one size by
 * definition; the server never touches their bytes itself.
 * Giving back a page that was touched takes up to 700 ns and touching a new one as long, and a ring's guest may be waiting.  So
 * what is freed rests for a while, and new memory of the same context and size is made of it.
 * Threads: any.
 */
#ifndef ORIEL_VENUS_PAGES_H
#define ORIEL_VENUS_PAGES_H

#include "base/error.h"
#include "venus/budget.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <pthread.h>
#include <sys/queue.h>

enum { SHELF_REST_MS = 100 };

TAILQ_HEAD(pages_list, pages);

/* What the pages of one context are charged to, and where they rest before they are given back. */
struct shelf {
	struct budget budget;	  /* makes room by what rests */
	atomic_uint count;	  /* how many rest, or are being given back */
	pthread_mutex_t lock;
	struct pages_list resting; /* guarded by lock; the one left last is the first */
};

void shelf_init(struct shelf *shelf, uint64_t limit);
/* Gives back all that rests. */
void shelf_finish(struct shelf *shelf);
/* Nanoseconds until some pages have rested enough at loop_now_ns() @now: 0 if some have, UINT64_MAX if none rest. */
uint64_t shelf_due_ns(struct shelf *shelf, uint64_t now);
/* Give back a part of pages that have rested enough, in some microseconds if they are a memfd that was not shared.  False if there are none. */
bool shelf_tidy_some(struct shelf *shelf, uint64_t now);

struct pages {
	atomic_uint references;
	int fd;		/* memfd, or a dma-buf of a driver; data starts at offset 0.  -1: memory that leaves the driver in no way */
	void *map;	/* read-write mapping of all bytes, or NULL: not a memfd */
	bool combined;	/* the driver maps it for writing in bursts, without caches */
	uint64_t bytes; /* multiple of the page size */
	struct shelf *shelf; /* charged with @bytes, or NULL */
	atomic_bool shared;    /* others than the guest's program may look at the bytes for longer than we do */
	TAILQ_ENTRY(pages) link; /* private: of those that rest */
	uint64_t left_ns;	 /* private: since when */
	uint64_t discarded;	 /* private: up to here there are no bytes any more */
};

/* Bytes rounded up to a multiple of @granule (a power of two); 0 on overflow. */
uint64_t pages_round(uint64_t bytes, uint64_t granule);

/*
 * New zeroed memory of exactly @bytes (a non-zero multiple of the page size) charged to @shelf (borrowed, outlives the pages).
 * *pages gets one reference.  -EDQUOT beyond its limit, -ENOMEM, -EMFILE, ...
 */
int pages_create(struct pages **pages, struct shelf *shelf, uint64_t bytes) MUST_CHECK;
/* The same without the zeros: what the memory holds is of no matter, and may be what this context had in memory that it freed. */
int pages_create_dirty(struct pages **pages, struct shelf *shelf, uint64_t bytes) MUST_CHECK;
/* Charges @bytes, not 0, of memory that the driver makes and keeps.  -EDQUOT or -ENOMEM. */
int pages_count(struct pages **pages, struct shelf *shelf, uint64_t bytes) MUST_CHECK;
/*
 * Wraps a driver's dma-buf, unmapped and as large as it is, which must be @bytes at least.  Takes @fd, also on failure.
 */
int pages_wrap(struct pages **pages, struct shelf *shelf, int fd, uint64_t bytes) MUST_CHECK;
/*
 * A resource made by another process, which must hold @bytes: a memfd that carries F_SEAL_SHRINK, which is mapped, or a dma-buf.
 * Takes @fd, also on failure.  Not charged: its maker pays.
 */
int pages_adopt(struct pages **pages, int fd, uint64_t bytes) MUST_CHECK;
/*
 * Their resource has gone: if others than the caller hold adopted @pages, @shelf is charged with them from here on, beyond its limit
 * if need be, since they are there.
 */
void pages_inherit(struct pages *pages, struct shelf *shelf);

struct pages *pages_get(struct pages *pages);
/* Accepts NULL. */
void pages_put(struct pages *pages);
/* The same, but the last reference leaves the pages to their shelf, to rest there, unless too many do. */
void pages_leave(struct pages *pages);

#endif
