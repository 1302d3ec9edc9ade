/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.c - counted host memory that guest and server share
 * Threads: any.
 */
#include "venus/pages.h"

#include "base/os.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
	BUDGET_LEAVINGS = 256,
	BUDGET_BITE = 32 * 1024, /* bytes: some 5 us */
};

bool budget_charge(struct budget *budget, uint64_t bytes)
{
	uint64_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
	do {
		while (bytes > budget->limit || used > budget->limit - bytes) {
			if (bytes > budget->limit || !budget_tidy(budget)) {
				return false;
			}
			used = atomic_load(&budget->used);
		}
	} while (!atomic_compare_exchange_weak(&budget->used, &used, used + bytes));
	return true;
}

void budget_release(struct budget *budget, uint64_t bytes)
{
	atomic_fetch_sub(&budget->used, bytes);
}

uint64_t pages_round(uint64_t bytes, uint64_t granule)
{
	uint64_t sum;
	if (__builtin_add_overflow(bytes, granule - 1, &sum)) {
		return 0;
	}
	return sum & ~(granule - 1);
}

/* A record around @fd; takes @fd, also on failure. */
static int pages_new(struct pages **out, struct budget *budget, int fd, void *map, uint64_t bytes)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	if (!pages) {
		close(fd);
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
	struct stat stat;
	int seals = os_seals(fd);
	if (!bytes || seals < 0 || !(seals & OS_SEAL_SHRINK) || fstat(fd, &stat) < 0 ||
	    (uint64_t)stat.st_size < bytes) {
		close(fd);
		return -EINVAL;
	}
	return pages_map(pages, NULL, fd, bytes);
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
	close(pages->fd);
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

static void budget_push(struct budget *budget, struct pages *first, struct pages *last)
{
	struct pages *head = atomic_load(&budget->leavings);
	do {
		last->next = head;
	} while (!atomic_compare_exchange_weak(&budget->leavings, &head, first));
}

void pages_leave(struct pages *pages)
{
	if (!pages_drop(pages)) {
		return;
	}
	struct budget *budget = pages->budget;
	if (!budget || atomic_load(&budget->leaving) >= BUDGET_LEAVINGS) {
		pages_free(pages);
		return;
	}
	atomic_fetch_add(&budget->leaving, 1);
	budget_push(budget, pages, pages);
}

/* Takes one of those that are left, or NULL. */
static struct pages *budget_pop(struct budget *budget)
{
	/* All are taken, so that nobody else can be looking at them, and the rest is put back. */
	struct pages *first =
		budget_has_leavings(budget) ? atomic_exchange(&budget->leavings, NULL) : NULL;
	if (first && first->next) {
		struct pages *last = first->next;
		while (last->next) {
			last = last->next;
		}
		budget_push(budget, first->next, last);
	}
	return first;
}

static void budget_free(struct budget *budget, struct pages *pages)
{
	atomic_fetch_sub(&budget->leaving, 1);
	pages_free(pages);
}

bool budget_tidy(struct budget *budget)
{
	struct pages *pages = budget_pop(budget);
	if (pages) {
		budget_free(budget, pages);
	}
	return pages;
}

bool budget_tidy_some(struct budget *budget)
{
	struct pages *pages = budget_pop(budget);
	if (!pages) {
		return false;
	}
	if (pages->map && !pages->shared && os_discard_some(pages->fd, &pages->discarded, BUDGET_BITE)) {
		budget_push(budget, pages, pages);
	} else {
		budget_free(budget, pages);
	}
	return true;
}
