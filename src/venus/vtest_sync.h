/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtest_sync.h - the sync objects of one vtest client: 64-bit counters that only grow, and waits for them
 * Threads: any; one lock.
 */
#ifndef ORIEL_VENUS_VTEST_SYNC_H
#define ORIEL_VENUS_VTEST_SYNC_H

#include "base/error.h"
#include "venus/idmap.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	VTEST_MAX_SYNCS = 64 * 1024,
	VTEST_MAX_WAITS = 256,	    /* pending at once */
	VTEST_MAX_WAIT_ITEMS = 1024, /* in one wait */
};

struct vtest_sync_item {
	uint32_t id;
	uint64_t value;
};

struct vtest_wait;
struct vtest_syncs {
	pthread_mutex_t lock;
	struct idmap syncs; /* values are allocated */
	uint32_t next_id;
	struct vtest_wait *waits;
	unsigned wait_count;
};

void vtest_syncs_init(struct vtest_syncs *syncs);
void vtest_syncs_finish(struct vtest_syncs *syncs);

/* The new sync's id, or 0: too many, or out of memory. */
uint32_t vtest_sync_create(struct vtest_syncs *syncs, uint64_t value);
/* False if there is no such sync. */
bool vtest_sync_unref(struct vtest_syncs *syncs, uint32_t id);
bool vtest_sync_read(struct vtest_syncs *syncs, uint32_t id, uint64_t *value);
/* Sets the value, which may be smaller, and wakes waits. */
bool vtest_sync_write(struct vtest_syncs *syncs, uint32_t id, uint64_t value);
/*
 * An eventfd (the caller owns it) that becomes readable when all items (or @any) have reached their value; after @timeout_ms
 * nobody looks at it any more (UINT32_MAX: never).  -EINVAL for an unknown sync, -ENOSPC beyond the limits.
 */
int vtest_sync_wait(struct vtest_syncs *syncs, const struct vtest_sync_item *items, uint32_t count,
		    bool any, uint32_t timeout_ms) MUST_CHECK;

#endif
