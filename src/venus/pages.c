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
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

enum {
	BUDGET_LEAVINGS = 256,
	BUDGET_BITE = 32 * 1024, /* bytes: some 5 us */
	BUDGET_PATIENCE_MS = 2 * BUDGET_REST_MS + 50,
	BUDGET_TRIES = 64,	 /* against others that want the same bytes at the same time */
};

/* What others leave of @most. */
static uint64_t budget_share_of(const struct budget *budget, uint64_t most)
{
	uint64_t others = budget->ledger ? ledger_others(budget->ledger, budget->slot) : 0;
	return others < most ? most - others : 0;
}

uint64_t budget_share(const struct budget *budget)
{
	return budget_share_of(budget, budget->limit);
}

/* Locked. */
static void budget_set(struct budget *budget, uint64_t used)
{
	atomic_store_explicit(&budget->used, used, memory_order_relaxed);
	if (budget->ledger) {
		ledger_store(budget->ledger, budget->slot, used);
	}
}

/* Others may store theirs between our look and our store, so we look again; what does not fit at first disturbs nobody. */
static bool budget_take(struct budget *budget, uint64_t bytes, uint64_t most)
{
	LOCKED(&budget->lock);
	uint64_t before = budget->used, after;
	if (__builtin_add_overflow(before, bytes, &after)) {
		return false;
	}
	for (int i = 0; i < BUDGET_TRIES && after <= budget_share_of(budget, most); i++) {
		budget_set(budget, after);
		if (!budget->ledger || after <= budget_share_of(budget, most)) {
			return true;
		}
		budget_set(budget, before);
		sched_yield();
	}
	return false;
}

/* So that all together have @most. */
static bool budget_charge_to(struct budget *budget, uint64_t bytes, uint64_t most)
{
	while (!budget_take(budget, bytes, most)) {
		if (bytes > budget_share_of(budget, most) || !budget_tidy(budget)) {
			return false;
		}
	}
	return true;
}

bool budget_charge(struct budget *budget, uint64_t bytes)
{
	return budget_charge_to(budget, bytes, budget->limit);
}

bool budget_charge_anyway(struct budget *budget, uint64_t bytes)
{
	uint64_t most;
	if (__builtin_add_overflow(budget->limit, (uint64_t)BUDGET_RESERVE, &most)) {
		most = UINT64_MAX;
	}
	if (budget_charge_to(budget, bytes, most)) {
		return true;
	}
	LOCKED(&budget->lock);
	budget_set(budget, budget->used + bytes);
	return false;
}

/* Would all be within @most? */
static bool budget_is_within(const struct budget *budget, uint64_t bytes, uint64_t most)
{
	uint64_t after;
	return !__builtin_add_overflow(budget->used, bytes, &after) && after <= most;
}

bool budget_fits_alone(const struct budget *budget, uint64_t bytes)
{
	return budget_is_within(budget, bytes, budget->limit);
}

void budget_await_room(struct budget *budget, uint64_t bytes)
{
	for (int i = 0; bytes <= budget->limit && i < BUDGET_PATIENCE_MS &&
			!budget_is_within(budget, bytes, budget_share(budget));
	     i++) {
		if (!budget_tidy(budget)) {
			nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
		}
	}
}

void budget_release(struct budget *budget, uint64_t bytes)
{
	LOCKED(&budget->lock);
	budget_set(budget, budget->used - bytes);
}

uint64_t pages_round(uint64_t bytes, uint64_t granule)
{
	uint64_t sum;
	if (__builtin_add_overflow(bytes, granule - 1, &sum)) {
		return 0;
	}
	return sum & ~(granule - 1);
}

/* A record around @fd, which may be -1; takes @fd, also on failure. */
static int pages_new(struct pages **out, struct budget *budget, int fd, void *map, uint64_t bytes)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	if (!pages) {
		if (fd >= 0) {
			close(fd);
		}
		return -ENOMEM;
	}
	*pages = (struct pages){
		.references = 1, .fd = fd, .map = map, .bytes = bytes, .budget = budget};
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
static int pages_map(struct pages **out, struct budget *budget, int fd, uint64_t bytes)
{
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		int status = -errno;
		close(fd);
		return status;
	}
	int status = pages_new(out, budget, fd, map, bytes);
	if (status) {
		munmap(map, bytes);
	}
	return status;
}

int pages_create(struct pages **pages, struct budget *budget, uint64_t bytes)
{
	if (!bytes) {
		return -EINVAL;
	}
	if (!budget_charge(budget, bytes)) {
		return -EDQUOT;
	}
	int fd = pages_make_memfd(bytes);
	int status = fd < 0 ? fd : pages_map(pages, budget, fd, bytes);
	if (status) {
		budget_release(budget, bytes);
	}
	return status;
}

int pages_count(struct pages **pages, struct budget *budget, uint64_t bytes)
{
	if (!budget_charge(budget, bytes)) {
		return -EDQUOT;
	}
	int status = pages_new(pages, budget, -1, NULL, bytes);
	if (status) {
		budget_release(budget, bytes);
		return status;
	}
	atomic_fetch_add(&budget->inside, bytes);
	return 0;
}

int pages_wrap(struct pages **pages, struct budget *budget, int fd, uint64_t bytes)
{
	off_t size = lseek(fd, 0, SEEK_END);
	bool fits = size > 0 && (uint64_t)size >= bytes;
	if (!fits || (budget && !budget_charge(budget, (uint64_t)size))) {
		close(fd);
		return fits ? -EDQUOT : -EINVAL;
	}
	int status = pages_new(pages, budget, fd, NULL, (uint64_t)size);
	if (status && budget) {
		budget_release(budget, (uint64_t)size);
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

void pages_inherit(struct pages *pages, struct budget *budget)
{
	if (pages->budget || atomic_load(&pages->references) == 1) {
		return;
	}
	(void)budget_charge_anyway(budget, pages->bytes);
	atomic_store(&pages->shared, true); /* never to be new memory */
	pages->budget = budget;
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
		atomic_fetch_sub(&pages->budget->inside, pages->bytes);
	}
	if (pages->budget) {
		budget_release(pages->budget, pages->bytes);
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
static bool budget_keep(struct budget *budget, struct pages *pages)
{
	pages->left_ns = loop_now_ns();
	LOCKED(&budget->lock);
	if (atomic_load_explicit(&budget->leaving, memory_order_relaxed) >= BUDGET_LEAVINGS) {
		return false;
	}
	atomic_fetch_add(&budget->leaving, 1);
	TAILQ_INSERT_HEAD(&budget->leavings, pages, link);
	return true;
}

void pages_leave(struct pages *pages)
{
	if (pages_drop(pages) && (pages->fd < 0 || !pages->budget || !budget_keep(pages->budget, pages))) {
		pages_free(pages);
	}
}

/* Locked.  How long @pages have yet to rest. */
static uint64_t pages_rest_ns(const struct pages *pages, uint64_t now)
{
	uint64_t until = pages->left_ns + BUDGET_REST_MS * 1000000u;
	return until > now ? until - now : 0;
}

uint64_t budget_due_ns(struct budget *budget, uint64_t now)
{
	if (!atomic_load_explicit(&budget->leaving, memory_order_relaxed)) {
		return UINT64_MAX;
	}
	LOCKED(&budget->lock);
	const struct pages *oldest = TAILQ_LAST(&budget->leavings, pages_list);
	return oldest ? pages_rest_ns(oldest, now) : UINT64_MAX;
}

/* Takes the pages that have rested longest, or NULL if there are none or they have to rest more at @now. */
static struct pages *budget_take_oldest(struct budget *budget, uint64_t now)
{
	if (!atomic_load_explicit(&budget->leaving, memory_order_relaxed)) {
		return NULL;
	}
	LOCKED(&budget->lock);
	struct pages *oldest = TAILQ_LAST(&budget->leavings, pages_list);
	if (!oldest || pages_rest_ns(oldest, now)) {
		return NULL;
	}
	TAILQ_REMOVE(&budget->leavings, oldest, link);
	return oldest;
}

/* Takes mapped pages of exactly @bytes that nobody else may look at, or NULL. */
static struct pages *budget_take_same(struct budget *budget, uint64_t bytes)
{
	if (!atomic_load_explicit(&budget->leaving, memory_order_relaxed)) {
		return NULL;
	}
	LOCKED(&budget->lock);
	struct pages *pages;
	TAILQ_FOREACH(pages, &budget->leavings, link) {
		if (pages->bytes == bytes && pages->map && !pages->shared) {
			TAILQ_REMOVE(&budget->leavings, pages, link);
			atomic_fetch_sub(&budget->leaving, 1);
			return pages;
		}
	}
	return NULL;
}

int pages_create_dirty(struct pages **pages, struct budget *budget, uint64_t bytes)
{
	*pages = budget_take_same(budget, bytes);
	if (!*pages) {
		return pages_create(pages, budget, bytes);
	}
	(*pages)->discarded = 0;
	atomic_store(&(*pages)->references, 1);
	return 0;
}

static void budget_free(struct budget *budget, struct pages *pages)
{
	atomic_fetch_sub(&budget->leaving, 1);
	pages_free(pages);
}

bool budget_tidy(struct budget *budget)
{
	struct pages *pages = budget_take_oldest(budget, UINT64_MAX);
	if (pages) {
		budget_free(budget, pages);
	}
	return pages;
}

bool budget_tidy_some(struct budget *budget, uint64_t now)
{
	struct pages *pages = budget_take_oldest(budget, now);
	if (!pages) {
		return false;
	}
	if (pages->map && !pages->shared && os_discard_some(pages->fd, &pages->discarded, BUDGET_BITE)) {
		LOCKED(&budget->lock);
		TAILQ_INSERT_TAIL(&budget->leavings, pages, link);
	} else {
		budget_free(budget, pages);
	}
	return true;
}

void budget_init(struct budget *budget, uint64_t limit)
{
	*budget = (struct budget){.limit = limit};
	pthread_mutex_init(&budget->lock, NULL);
	TAILQ_INIT(&budget->leavings);
}

void budget_join(struct budget *budget, struct ledger *ledger, unsigned slot)
{
	budget->ledger = ledger;
	budget->slot = slot;
}

void budget_finish(struct budget *budget)
{
	while (budget_tidy(budget)) {
	}
	pthread_mutex_destroy(&budget->lock);
}
