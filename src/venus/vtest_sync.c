/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtest_sync.c - the sync objects of one vtest client
 *
 * How it works: waits are a list, looked through whenever a sync changes; those whose client has stopped waiting are
 * dropped when a new one is made.
 * Threads: any.
 */
#include "venus/vtest_sync.h"

#include "base/loop.h"
#include "base/os.h"
#include "base/own.h"

#include <errno.h>
#include <string.h>
#include <fcntl.h>

struct vtest_wait {
	struct vtest_wait *next;
	int fd;
	bool any;
	uint64_t deadline_ns;
	uint32_t count;
	struct vtest_sync_item items[];
};

void vtest_syncs_init(struct vtest_syncs *syncs)
{
	*syncs = (struct vtest_syncs){.next_id = 1};
	pthread_mutex_init(&syncs->lock, NULL);
}

static void vtest_wait_free(struct vtest_wait *wait)
{
	close(wait->fd);
	free(wait);
}

void vtest_syncs_finish(struct vtest_syncs *syncs)
{
	void *value;
	while ((value = idmap_take_any(&syncs->syncs))) {
		free(value);
	}
	idmap_finish(&syncs->syncs);
	while (syncs->waits) {
		struct vtest_wait *wait = syncs->waits;
		syncs->waits = wait->next;
		vtest_wait_free(wait);
	}
	pthread_mutex_destroy(&syncs->lock);
}

uint32_t vtest_sync_create(struct vtest_syncs *syncs, uint64_t value)
{
	uint64_t *sync = malloc(sizeof(*sync));
	if (!sync) {
		return 0;
	}
	*sync = value;
	LOCKED(&syncs->lock);
	if (syncs->syncs.count >= VTEST_MAX_SYNCS ||
	    idmap_put(&syncs->syncs, syncs->next_id, sync)) {
		free(sync);
		return 0;
	}
	uint32_t id = syncs->next_id++;
	return id;
}

bool vtest_sync_unref(struct vtest_syncs *syncs, uint32_t id)
{
	LOCKED(&syncs->lock);
	uint64_t *sync = idmap_take(&syncs->syncs, id);
	free(sync);
	return sync != NULL;
}

bool vtest_sync_read(struct vtest_syncs *syncs, uint32_t id, uint64_t *value)
{
	LOCKED(&syncs->lock);
	uint64_t *sync = idmap_get(&syncs->syncs, id);
	if (sync) {
		*value = *sync;
	}
	return sync != NULL;
}

/* Locked.  A sync that is gone counts as reached: nobody will write it. */
static bool vtest_wait_is_over(struct vtest_syncs *syncs, const struct vtest_wait *wait)
{
	uint32_t reached = 0;
	for (uint32_t i = 0; i < wait->count; i++) {
		uint64_t *sync = idmap_get(&syncs->syncs, wait->items[i].id);
		reached += !sync || *sync >= wait->items[i].value;
	}
	return reached == wait->count || (wait->any && reached);
}

/* Locked.  Wakes and drops waits that are over; drops those nobody waits for. */
static void vtest_syncs_check(struct vtest_syncs *syncs)
{
	uint64_t now = loop_now_ns();
	struct vtest_wait **link = &syncs->waits;
	while (*link) {
		struct vtest_wait *wait = *link;
		bool over = vtest_wait_is_over(syncs, wait);
		if (!over && now < wait->deadline_ns) {
			link = &wait->next;
			continue;
		}
		if (over) {
			os_bell_ring(wait->fd);
		}
		*link = wait->next;
		syncs->wait_count--;
		vtest_wait_free(wait);
	}
}

bool vtest_sync_write(struct vtest_syncs *syncs, uint32_t id, uint64_t value)
{
	LOCKED(&syncs->lock);
	uint64_t *sync = idmap_get(&syncs->syncs, id);
	if (!sync) {
		return false;
	}
	*sync = value;
	vtest_syncs_check(syncs);
	return true;
}

static struct vtest_wait *vtest_wait_create(const struct vtest_sync_item *items, uint32_t count,
					    bool any, uint32_t timeout_ms)
{
	struct vtest_wait *wait = calloc(1, sizeof(*wait) + count * sizeof(*items));
	if (!wait) {
		return NULL;
	}
	wait->fd = os_bell();
	if (wait->fd < 0) {
		free(wait);
		return NULL;
	}
	wait->any = any;
	wait->count = count;
	wait->deadline_ns = timeout_ms == UINT32_MAX
				    ? UINT64_MAX
				    : loop_now_ns() + (uint64_t)timeout_ms * 1000000u;
	if (count) {
		memcpy(wait->items, items, count * sizeof(*items));
	}
	return wait;
}

int vtest_sync_wait(struct vtest_syncs *syncs, const struct vtest_sync_item *items, uint32_t count,
		    bool any, uint32_t timeout_ms)
{
	LOCKED(&syncs->lock);
	for (uint32_t i = 0; i < count; i++) {
		if (!idmap_get(&syncs->syncs, items[i].id)) {
			return -EINVAL;
		}
	}
	vtest_syncs_check(syncs);
	if (count > VTEST_MAX_WAIT_ITEMS || syncs->wait_count >= VTEST_MAX_WAITS) {
		return -ENOSPC;
	}
	struct vtest_wait *wait = vtest_wait_create(items, count, any, timeout_ms);
	AUTO_FD int fd = wait ? fcntl(wait->fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (fd < 0) {
		if (wait) {
			vtest_wait_free(wait);
		}
		return -ENOMEM;
	}
	wait->next = syncs->waits;
	syncs->waits = wait;
	syncs->wait_count++;
	vtest_syncs_check(syncs);
	return fd_take(&fd);
}
