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
#include "wire/ledger.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <pthread.h>
#include <sys/queue.h>

enum {
	BUDGET_REST_MS = 100,
	BUDGET_RESERVE = 64 * 1024 * 1024, /* bytes beyond the limit, of all together, for what cannot be refused */
};

TAILQ_HEAD(pages_list, pages);

/* Bytes of memory one context holds, what it may hold with all others, and pages that rest before they are given back. */
struct budget {
	_Atomic uint64_t used;	    /* changed under lock */
	_Atomic uint64_t inside;    /* of these, what lies in the server's own memory or in its GPU's */
	uint64_t limit;
	struct ledger *ledger;	    /* of all contexts, borrowed; NULL: there is no other */
	unsigned slot;		    /* of this one in the ledger */
	atomic_uint leaving;	    /* how many rest, or are being given back */
	pthread_mutex_t lock;
	struct pages_list leavings; /* guarded by lock; the one left last is the first */
};

void budget_init(struct budget *budget, uint64_t limit);
/* From now on the limit is for all who share @ledger (borrowed).  Before anything is charged. */
void budget_join(struct budget *budget, struct ledger *ledger, unsigned slot);
/* Gives back all that rests. */
void budget_finish(struct budget *budget);
/* True if @bytes were charged, false if that would pass the limit even with nothing of ours at rest. */
bool budget_charge(struct budget *budget, uint64_t bytes);
/* Charges @bytes of memory that is there in any case.  False if the limit and the reserve do not have them. */
bool budget_charge_anyway(struct budget *budget, uint64_t bytes);
void budget_release(struct budget *budget, uint64_t bytes);
/* What this context may hold, all it has included, while others keep what they have. */
uint64_t budget_share(const struct budget *budget);
/* Would @bytes fit if there were no others? */
bool budget_fits_alone(const struct budget *budget, uint64_t bytes);
/* Wait until @bytes fit, for as long as what was freed, by others too, may take to be given back. */
void budget_await_room(struct budget *budget, uint64_t bytes);
/* Give back the pages that have rested longest, though they may not have rested enough.  False if there are none. */
bool budget_tidy(struct budget *budget);
/* Nanoseconds until some pages have rested enough at loop_now_ns() @now: 0 if some have, UINT64_MAX if none rest. */
uint64_t budget_due_ns(struct budget *budget, uint64_t now);
/* Give back a part of pages that have rested enough, in some microseconds if they are a memfd that was not shared.  False if there are none. */
bool budget_tidy_some(struct budget *budget, uint64_t now);

struct pages {
	atomic_uint references;
	int fd;		/* memfd, or a dma-buf of a driver; data starts at offset 0.  -1: memory that leaves the driver in no way */
	void *map;	/* read-write mapping of all bytes, or NULL: not a memfd */
	bool combined;	/* the driver maps it for writing in bursts, without caches */
	uint64_t bytes; /* multiple of the page size */
	struct budget *budget; /* charged with @bytes, or NULL */
	atomic_bool shared;    /* others than the guest's program may look at the bytes for longer than we do */
	TAILQ_ENTRY(pages) link; /* private: of those that rest */
	uint64_t left_ns;	 /* private: since when */
	uint64_t discarded;	 /* private: up to here there are no bytes any more */
};

/* Bytes rounded up to a multiple of @granule (a power of two); 0 on overflow. */
uint64_t pages_round(uint64_t bytes, uint64_t granule);

/*
 * New zeroed memory of exactly @bytes (a non-zero multiple of the page size) charged to @budget (borrowed, outlives the pages).
 * *pages gets one reference.  -EDQUOT beyond the budget, -ENOMEM, -EMFILE, ...
 */
int pages_create(struct pages **pages, struct budget *budget, uint64_t bytes) MUST_CHECK;
/* The same without the zeros: what the memory holds is of no matter, and may be what this context had in memory that it freed. */
int pages_create_dirty(struct pages **pages, struct budget *budget, uint64_t bytes) MUST_CHECK;
/* Charges @bytes, not 0, of memory that the driver makes and keeps.  -EDQUOT or -ENOMEM. */
int pages_count(struct pages **pages, struct budget *budget, uint64_t bytes) MUST_CHECK;
/*
 * Wraps a driver's dma-buf, unmapped and as large as it is, which must be @bytes at least.  Takes @fd, also on failure.
 */
int pages_wrap(struct pages **pages, struct budget *budget, int fd, uint64_t bytes) MUST_CHECK;
/*
 * A resource made by another process, which must hold @bytes: a memfd that carries F_SEAL_SHRINK, which is mapped, or a dma-buf.
 * Takes @fd, also on failure.  Not charged: its maker pays.
 */
int pages_adopt(struct pages **pages, int fd, uint64_t bytes) MUST_CHECK;
/*
 * Their resource has gone: if others than the caller hold adopted @pages, @budget is charged with them from here on, beyond its limit
 * if need be, since they are there.
 */
void pages_inherit(struct pages *pages, struct budget *budget);

struct pages *pages_get(struct pages *pages);
/* Accepts NULL. */
void pages_put(struct pages *pages);
/* The same, but the last reference leaves the pages to their budget, to rest there, unless too many do. */
void pages_leave(struct pages *pages);

#endif
