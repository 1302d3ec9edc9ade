/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.h - counted references to the bytes of a frame buffer, wherever they are
 *
 * A buffer has a size that never changes and is read by copying, checked against that size; so a
 * consumer on another thread can neither read out of bounds nor touch freed memory when the guest
 * drops the resource meanwhile.  It may see a half-drawn picture, as on a real screen. Threads:
 * any.
 */
#ifndef ORIEL_DISPLAY_PAGES_H
#define ORIEL_DISPLAY_PAGES_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct display_pages;

struct display_pages_ops {
	/* Before the first and after the last read of a frame; may wait for a device.  May be NULL,
	 * both.  Any thread; frames of several readers may overlap. */
	void (*begin)(struct display_pages *pages);
	void (*end)(struct display_pages *pages);
	/* Copy [offset, offset+len), already checked to lie inside the size.  Any thread.  0 or
	 * -errno. */
	int (*read)(struct display_pages *pages, uint64_t offset, void *to, size_t len);
	/* The last reference is gone.  Any thread. */
	void (*destroy)(struct display_pages *pages);
};

/* Base of every kind of buffer. */
struct display_pages {
	const struct display_pages_ops *ops;
	atomic_uint references;
	uint64_t size;	  /* bytes */
	atomic_bool lost; /* the host has no pages any more for what was here: it is zeros now */
};

/* One reference, the caller's. */
void display_pages_init(struct display_pages *pages, const struct display_pages_ops *ops,
			uint64_t size);
struct display_pages *display_pages_get(struct display_pages *pages);
/* Accepts NULL. */
void display_pages_put(struct display_pages *pages);
/* Around the reads of one frame, see the ops. */
void display_pages_begin(struct display_pages *pages);
void display_pages_end(struct display_pages *pages);
/* -EFAULT if the range is not inside, else what the buffer says. */
int display_pages_read(struct display_pages *pages, uint64_t offset, void *to,
		       size_t len) MUST_CHECK;
/* A read found that the host has no pages any more; all of the buffer reads as zero since. */
bool display_pages_are_lost(const struct display_pages *pages);

/* Zeroed host memory; *bytes is for its maker to write while it holds a reference.  NULL if out of
 * memory. */
struct display_pages *display_pages_host(uint64_t size, uint8_t **bytes) MUST_CHECK;
/* The first @size bytes of @fd (borrowed), which must not be able to shrink: sealed, or a dma-buf;
 * pages that go all the same are survived.  NULL if it can not be mapped. */
struct display_pages *display_pages_map(int fd, uint64_t size) MUST_CHECK;

#endif
