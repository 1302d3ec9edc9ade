/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.c - frame buffer bytes: host memory, or a mapped descriptor
 *
 * How it works: both kinds are one mmap, private or of the descriptor; the last reference unmaps
 * it.  A dma-buf's descriptor is kept too, for its driver to hear of reads.  What the host loses of
 * a descriptor's pages becomes zeros. Threads: any; the count and the loss are atomic, the rest
 * never changes.
 */
#include "display/pages.h"

#include "base/guard.h"
#include "base/os.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct mapped_pages {
	struct display_pages pages;
	uint8_t *bytes;
	int dma_buf; /* what is mapped, or -1 if that is no dma-buf */
	struct guard guard;
};

void display_pages_init(struct display_pages *pages, const struct display_pages_ops *ops,
			uint64_t size)
{
	assert(ops->read && ops->destroy);
	pages->ops = ops;
	pages->size = size;
	atomic_init(&pages->references, 1);
	atomic_init(&pages->lost, false);
}

struct display_pages *display_pages_get(struct display_pages *pages)
{
	atomic_fetch_add_explicit(&pages->references, 1, memory_order_relaxed);
	return pages;
}

void display_pages_put(struct display_pages *pages)
{
	if (pages && atomic_fetch_sub_explicit(&pages->references, 1, memory_order_acq_rel) == 1) {
		pages->ops->destroy(pages);
	}
}

void display_pages_begin(struct display_pages *pages)
{
	if (pages->ops->begin) {
		pages->ops->begin(pages);
	}
}

void display_pages_end(struct display_pages *pages)
{
	if (pages->ops->end) {
		pages->ops->end(pages);
	}
}

int display_pages_read(struct display_pages *pages, uint64_t offset, void *to, size_t len)
{
	if (offset > pages->size || len > pages->size - offset) {
		return -EFAULT;
	}
	return pages->ops->read(pages, offset, to, len);
}

bool display_pages_are_lost(const struct display_pages *pages)
{
	return atomic_load(&pages->lost);
}

static int mapped_read(struct display_pages *pages, uint64_t offset, void *to, size_t len)
{
	memcpy(to, ((struct mapped_pages *)pages)->bytes + offset, len);
	return 0;
}

static void mapped_destroy(struct display_pages *pages)
{
	struct mapped_pages *mapped = (struct mapped_pages *)pages;
	guard_remove(&mapped->guard);
	munmap(mapped->bytes, pages->size);
	if (mapped->dma_buf >= 0) {
		close(mapped->dma_buf);
	}
	free(mapped);
}

static void mapped_begin(struct display_pages *pages)
{
	const struct mapped_pages *mapped = (struct mapped_pages *)pages;
	if (mapped->dma_buf >= 0) {
		os_dma_buf_begin_read(mapped->dma_buf);
	}
}

static void mapped_end(struct display_pages *pages)
{
	const struct mapped_pages *mapped = (struct mapped_pages *)pages;
	if (mapped->dma_buf >= 0) {
		os_dma_buf_end_read(mapped->dma_buf);
	}
}

static const struct display_pages_ops mapped_ops = {
	.begin = mapped_begin,
	.end = mapped_end,
	.read = mapped_read,
	.destroy = mapped_destroy,
};

static struct mapped_pages *mapped_create(int fd, int protection, int flags, uint64_t size)
{
	struct mapped_pages *mapped = size ? calloc(1, sizeof(*mapped)) : NULL;
	if (!mapped) {
		return NULL;
	}
	void *bytes = mmap(NULL, size, protection, flags, fd, 0);
	if (bytes == MAP_FAILED) {
		free(mapped);
		return NULL;
	}
	mapped->bytes = bytes;
	mapped->dma_buf = -1;
	display_pages_init(&mapped->pages, &mapped_ops, size);
	return mapped;
}

struct display_pages *display_pages_host(uint64_t size, uint8_t **bytes)
{
	struct mapped_pages *mapped =
		mapped_create(-1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, size);
	if (!mapped) {
		return NULL;
	}
	*bytes = mapped->bytes;
	return &mapped->pages;
}

static bool mapped_loses(struct guard *guard, const uint8_t *at)
{
	struct mapped_pages *mapped =
		(struct mapped_pages *)((uint8_t *)guard - offsetof(struct mapped_pages, guard));
	atomic_store(&mapped->pages.lost, true);
	return guard_renew(guard->start, guard->len) == 0;
}

struct display_pages *display_pages_map(int fd, uint64_t size)
{
	struct mapped_pages *mapped = mapped_create(fd, PROT_READ, MAP_SHARED, size);
	if (!mapped) {
		return NULL;
	}
	mapped->guard = (struct guard){.start = mapped->bytes, .len = size, .lost = mapped_loses};
	guard_add(&mapped->guard);
	if (os_is_dma_buf(fd)) {
		mapped->dma_buf = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	}
	return &mapped->pages;
}
