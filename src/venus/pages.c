/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.c - counted memory of a guest
 * Threads: any.
 */
#include "venus/pages.h"

#include "base/loop.h"
#include "base/os.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>

enum {
	SHELF_MOST = 256,
	SHELF_BITE = 32 * 1024, /* bytes: some 5 us */
};

uint64_t pages_round(uint64_t bytes, uint64_t granule)
{
	uint64_t sum;
	if (__builtin_add_overflow(bytes, granule - 1, &sum)) {
		return 0;
	}
	return sum & ~(granule - 1);
}

/* A record around @fd, which may be -1; takes @fd, also on failure. */
static int pages_new(struct pages **out, struct shelf *shelf, int fd, void *map, uint64_t bytes)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	if (!pages) {
		if (fd >= 0) {
			close(fd);
		}
		return -ENOMEM;
	}
	*pages = (struct pages){
		.references = 1, .fd = fd, .map = map, .bytes = bytes, .shelf = shelf};
	*out = pages;
	return 0;
}

/* A sized and sealed memfd, or a negative errno. */
static int pages_make_memfd(uint64_t bytes)
{
	AUTO_FD int fd = os_memory("oriel-gpu");
	if (fd < 0) {
		return -errno;
	}
	if (bytes > INT64_MAX || ftruncate(fd, (off_t)bytes) < 0) {
		return bytes > INT64_MAX ? -ENOMEM : -errno;
	}
	if (os_seal(fd, OS_SEAL_SHRINK | OS_SEAL_GROW) < 0) {
		return -errno;
	}
	return fd_take(&fd);
}

/* Maps @fd and makes the record; takes @fd, also on failure. */
static int pages_map(struct pages **out, struct shelf *shelf, int fd, uint64_t bytes)
{
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		int status = -errno;
		close(fd);
		return status;
	}
	int status = pages_new(out, shelf, fd, map, bytes);
	if (status) {
		munmap(map, bytes);
	}
	return status;
}

int pages_create(struct pages **pages, struct shelf *shelf, uint64_t bytes)
{
	if (!bytes) {
		return -EINVAL;
	}
	if (!budget_charge(&shelf->budget, bytes)) {
		return -EDQUOT;
	}
	int fd = pages_make_memfd(bytes);
	int status = fd < 0 ? fd : pages_map(pages, shelf, fd, bytes);
	if (status) {
		budget_release(&shelf->budget, bytes);
	}
	return status;
}

int pages_count(struct pages **pages, struct shelf *shelf, uint64_t bytes)
{
	if (!budget_charge(&shelf->budget, bytes)) {
		return -EDQUOT;
	}
	int status = pages_new(pages, shelf, -1, NULL, bytes);
	if (status) {
		budget_release(&shelf->budget, bytes);
		return status;
	}
	atomic_fetch_add(&shelf->budget.inside, bytes);
	return 0;
}

int pages_wrap(struct pages **pages, struct shelf *shelf, int fd, uint64_t bytes)
{
	off_t size = lseek(fd, 0, SEEK_END);
	bool fits = size > 0 && (uint64_t)size >= bytes;
	if (!fits || (shelf && !budget_charge(&shelf->budget, (uint64_t)size))) {
		close(fd);
		return fits ? -EDQUOT : -EINVAL;
	}
	int status = pages_new(pages, shelf, fd, NULL, (uint64_t)size);
	if (status && shelf) {
		budget_release(&shelf->budget, (uint64_t)size);
	}
	return status;
}

int pages_adopt(struct pages **pages, int fd, uint64_t bytes)
{
	if (bytes && os_is_dma_buf(fd)) {
		return pages_wrap(pages, NULL, fd, bytes);
	}
	if (!bytes || !os_is_sealed(fd, OS_SEAL_SHRINK) || !os_file_has(fd, 0, bytes)) {
		close(fd);
		return -EINVAL;
	}
	return pages_map(pages, NULL, fd, bytes);
}

void pages_inherit(struct pages *pages, struct shelf *shelf)
{
	if (pages->shelf || atomic_load(&pages->references) == 1) {
		return;
	}
	(void)budget_charge_anyway(&shelf->budget, pages->bytes);
	atomic_store(&pages->shared, true); /* never to be new memory */
	pages->shelf = shelf;
}

struct pages *pages_get(struct pages *pages)
{
	atomic_fetch_add_explicit(&pages->references, 1, memory_order_relaxed);
	return pages;
}

static void pages_free(struct pages *pages)
{
	if (pages->map) {
		munmap(pages->map, pages->bytes);
	}
	if (pages->fd >= 0) {
		close(pages->fd);
	} else {
		atomic_fetch_sub(&pages->shelf->budget.inside, pages->bytes);
	}
	if (pages->shelf) {
		budget_release(&pages->shelf->budget, pages->bytes);
	}
	free(pages);
}

/* True if the last reference is gone. */
static bool pages_drop(struct pages *pages)
{
	return pages && atomic_fetch_sub(&pages->references, 1) == 1;
}

void pages_put(struct pages *pages)
{
	if (pages_drop(pages)) {
		pages_free(pages);
	}
}

/* Lets @pages rest.  False if too many do. */
static bool shelf_keep(struct shelf *shelf, struct pages *pages)
{
	pages->left_ns = loop_now_ns();
	LOCKED(&shelf->lock);
	if (atomic_load_explicit(&shelf->count, memory_order_relaxed) >= SHELF_MOST) {
		return false;
	}
	atomic_fetch_add(&shelf->count, 1);
	TAILQ_INSERT_HEAD(&shelf->resting, pages, link);
	return true;
}

void pages_leave(struct pages *pages)
{
	if (pages_drop(pages) && (pages->fd < 0 || !pages->shelf || !shelf_keep(pages->shelf, pages))) {
		pages_free(pages);
	}
}

/* Locked.  How long @pages have yet to rest. */
static uint64_t pages_rest_ns(const struct pages *pages, uint64_t now)
{
	uint64_t until = pages->left_ns + SHELF_REST_MS * 1000000u;
	return until > now ? until - now : 0;
}

uint64_t shelf_due_ns(struct shelf *shelf, uint64_t now)
{
	if (!atomic_load_explicit(&shelf->count, memory_order_relaxed)) {
		return UINT64_MAX;
	}
	LOCKED(&shelf->lock);
	const struct pages *oldest = TAILQ_LAST(&shelf->resting, pages_list);
	return oldest ? pages_rest_ns(oldest, now) : UINT64_MAX;
}

/* Takes the pages that have rested longest, or NULL if there are none or they have to rest more at @now. */
static struct pages *shelf_take_oldest(struct shelf *shelf, uint64_t now)
{
	if (!atomic_load_explicit(&shelf->count, memory_order_relaxed)) {
		return NULL;
	}
	LOCKED(&shelf->lock);
	struct pages *oldest = TAILQ_LAST(&shelf->resting, pages_list);
	if (!oldest || pages_rest_ns(oldest, now)) {
		return NULL;
	}
	TAILQ_REMOVE(&shelf->resting, oldest, link);
	return oldest;
}

/* Takes mapped pages of exactly @bytes that nobody else may look at, or NULL. */
static struct pages *shelf_take_same(struct shelf *shelf, uint64_t bytes)
{
	if (!atomic_load_explicit(&shelf->count, memory_order_relaxed)) {
		return NULL;
	}
	LOCKED(&shelf->lock);
	struct pages *pages;
	TAILQ_FOREACH(pages, &shelf->resting, link) {
		if (pages->bytes == bytes && pages->map && !pages->shared) {
			TAILQ_REMOVE(&shelf->resting, pages, link);
			atomic_fetch_sub(&shelf->count, 1);
			return pages;
		}
	}
	return NULL;
}

int pages_create_dirty(struct pages **pages, struct shelf *shelf, uint64_t bytes)
{
	*pages = shelf_take_same(shelf, bytes);
	if (!*pages) {
		return pages_create(pages, shelf, bytes);
	}
	(*pages)->discarded = 0;
	atomic_store(&(*pages)->references, 1);
	return 0;
}

static void shelf_free(struct shelf *shelf, struct pages *pages)
{
	atomic_fetch_sub(&shelf->count, 1);
	pages_free(pages);
}

bool shelf_tidy_some(struct shelf *shelf, uint64_t now)
{
	struct pages *pages = shelf_take_oldest(shelf, now);
	if (!pages) {
		return false;
	}
	if (pages->map && !pages->shared && os_discard_some(pages->fd, &pages->discarded, SHELF_BITE)) {
		LOCKED(&shelf->lock);
		TAILQ_INSERT_TAIL(&shelf->resting, pages, link);
	} else {
		shelf_free(shelf, pages);
	}
	return true;
}

/* The budget's way to make room: pages that have rested longest go, though they may not have rested enough. */
static bool shelf_make_room(struct budget *budget)
{
	struct shelf *shelf = (struct shelf *)((char *)budget - offsetof(struct shelf, budget));
	struct pages *pages = shelf_take_oldest(shelf, UINT64_MAX);
	if (pages) {
		shelf_free(shelf, pages);
	}
	return pages;
}

void shelf_init(struct shelf *shelf, uint64_t limit)
{
	budget_init(&shelf->budget, limit, shelf_make_room);
	atomic_init(&shelf->count, 0);
	pthread_mutex_init(&shelf->lock, NULL);
	TAILQ_INIT(&shelf->resting);
}

void shelf_finish(struct shelf *shelf)
{
	while (shelf_make_room(&shelf->budget)) {
	}
	pthread_mutex_destroy(&shelf->lock);
	budget_finish(&shelf->budget);
}
