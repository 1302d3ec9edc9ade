/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma_window.c - DMA mappings by windows
 *
 * How it works: mappings are kept in one array sorted by the device's address, for giving back, and
 * in a hash table by guest address, for finding a window that is mapped already. Threads: one at a
 * time.
 */
#include "passthrough/dma_window.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 };

struct mapping {
	struct mapping *next; /* in its bucket */
	uint64_t gpa, len, iova;
	bool window; /* may be shared */
	uint64_t users;
};

struct dma_windows {
	struct dma_window_config config;
	struct dma_window_usage usage;
	struct mapping **by_iova; /* usage.mappings of them, sorted */
	size_t room;
	struct mapping *buckets[BUCKETS];
};

struct dma_windows *dma_windows_create(const struct dma_window_config *config)
{
	uint64_t window = config->window_bytes;
	assert(!window || (window >= 4096 && !(window & (window - 1))));
	struct dma_windows *windows = calloc(1, sizeof(*windows));
	if (windows) {
		windows->config = *config;
	}
	return windows;
}

void dma_windows_destroy(struct dma_windows *windows)
{
	if (!windows) {
		return;
	}
	for (size_t i = 0; i < windows->usage.mappings; i++) {
		struct mapping *m = windows->by_iova[i];
		windows->config.ops->unmap(windows->config.opaque, m->iova, m->len);
		free(m);
	}
	free(windows->by_iova);
	free(windows);
}

static struct mapping **bucket_of(struct dma_windows *windows, uint64_t gpa)
{
	uint64_t hash = (gpa >> 12) * UINT64_C(0x9e3779b97f4a7c15);
	return &windows->buckets[hash >> 52];
}

/* Index of the first mapping whose device address is above @iova. */
static size_t position_after(const struct dma_windows *windows, uint64_t iova)
{
	size_t low = 0, high = windows->usage.mappings;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (windows->by_iova[middle]->iova <= iova) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static struct mapping *find_window(struct dma_windows *windows, uint64_t gpa)
{
	struct mapping *m = *bucket_of(windows, gpa);
	while (m && !(m->window && m->gpa == gpa)) {
		m = m->next;
	}
	return m;
}

/* The window that [gpa, gpa+len) lies in, cut to guest memory; false if it does not lie in one. */
static bool window_of(const struct dma_windows *windows, uint64_t gpa, uint64_t len,
		      struct mapping *out)
{
	const struct dma_window_config *c = &windows->config;
	uint64_t end = c->memory_start + c->memory_len, start = gpa & ~(c->window_bytes - 1);
	if (!c->window_bytes || gpa - start + len > c->window_bytes) {
		return false;
	}
	uint64_t window_end = start + c->window_bytes;
	out->gpa = start > c->memory_start ? start : c->memory_start;
	out->len = (window_end < end ? window_end : end) - out->gpa;
	out->window = true;
	return true;
}

static int make_room(struct dma_windows *windows)
{
	if (windows->usage.mappings < windows->room) {
		return 0;
	}
	size_t room = windows->room ? windows->room * 2 : 64;
	struct mapping **more = realloc(windows->by_iova, room * sizeof(more[0]));
	if (!more) {
		return -ENOMEM;
	}
	windows->by_iova = more;
	windows->room = room;
	return 0;
}

static void remember(struct dma_windows *windows, struct mapping *m)
{
	size_t at = position_after(windows, m->iova);
	memmove(windows->by_iova + at + 1, windows->by_iova + at,
		(windows->usage.mappings - at) * sizeof(windows->by_iova[0]));
	windows->by_iova[at] = m;
	struct mapping **bucket = bucket_of(windows, m->gpa);
	m->next = *bucket;
	*bucket = m;
	windows->usage.mappings++;
	windows->usage.bytes += m->len;
}

static void forget(struct dma_windows *windows, size_t at)
{
	struct mapping *m = windows->by_iova[at];
	struct mapping **link = bucket_of(windows, m->gpa);
	while (*link != m) {
		link = &(*link)->next;
	}
	*link = m->next;
	windows->usage.mappings--;
	windows->usage.bytes -= m->len;
	memmove(windows->by_iova + at, windows->by_iova + at + 1,
		(windows->usage.mappings - at) * sizeof(windows->by_iova[0]));
	free(m);
}

/* A new mapping like @want, known before the host makes it. */
static int map_new(struct dma_windows *windows, const struct mapping *want, struct mapping **out)
{
	const struct dma_window_config *c = &windows->config;
	if (windows->usage.mappings >= c->max_mappings ||
	    want->len > c->max_bytes - windows->usage.bytes) {
		return -ENOSPC;
	}
	struct mapping *m = malloc(sizeof(*m));
	if (!m || make_room(windows) < 0) {
		free(m);
		return -ENOMEM;
	}
	*m = *want;
	int status = c->ops->map(c->opaque, m->gpa, m->len, &m->iova);
	if (status < 0) {
		free(m);
		return status;
	}
	remember(windows, m);
	*out = m;
	return 0;
}

static int get_mapping(struct dma_windows *windows, uint64_t gpa, uint64_t len,
		       struct mapping **out)
{
	struct mapping want = {.gpa = gpa, .len = len};
	struct mapping window = {0};
	if (!window_of(windows, gpa, len, &window)) {
		return map_new(windows, &want, out);
	}
	*out = find_window(windows, window.gpa);
	if (*out) {
		return 0;
	}
	int status = map_new(windows, &window, out);
	/* Near the limit the exact piece may still fit. */
	return status == -ENOSPC ? map_new(windows, &want, out) : status;
}

int dma_windows_map(struct dma_windows *windows, uint64_t gpa, uint64_t len, uint64_t *iova)
{
	const struct dma_window_config *c = &windows->config;
	struct mapping *m;
	if (!len || gpa < c->memory_start || gpa - c->memory_start >= c->memory_len ||
	    len > c->memory_len - (gpa - c->memory_start)) {
		return -EFAULT;
	}
	int status = get_mapping(windows, gpa, len, &m);
	if (status < 0) {
		windows->usage.refused += status == -ENOSPC;
		return status;
	}
	m->users++;
	windows->usage.pieces++;
	*iova = m->iova + (gpa - m->gpa);
	return 0;
}

int dma_windows_unmap(struct dma_windows *windows, uint64_t iova, uint64_t len)
{
	size_t after = position_after(windows, iova);
	struct mapping *m = after ? windows->by_iova[after - 1] : NULL;
	if (!m || !len || iova - m->iova >= m->len || len > m->len - (iova - m->iova) ||
	    (!m->window && (iova != m->iova || len != m->len))) {
		return -ENOENT;
	}
	windows->usage.pieces--;
	if (--m->users == 0) {
		windows->config.ops->unmap(windows->config.opaque, m->iova, m->len);
		forget(windows, after - 1);
	}
	return 0;
}

void dma_windows_usage(const struct dma_windows *windows, struct dma_window_usage *out)
{
	*out = windows->usage;
}
