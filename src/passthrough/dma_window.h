/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma_window.h - DMA mappings where a host can map only a part of guest memory at once, at
 * addresses of its own choice
 *
 * How it works: a guest asks for each piece of memory that a device is to reach, mostly single
 * pages.  Guest memory is cut into windows; a piece that lies in one maps its whole window once,
 * and shares it with the others that lie there, by count.  A piece that does not fit a window is
 * mapped as it is.  So far fewer mappings are live, at the price of some bytes. Invariants: what is
 * mapped is a whole window or exactly what was asked for; records exist before the host maps, so a
 * failure can never leave a device mapping behind that nobody knows. Threads: one at a time.
 */
#ifndef ORIEL_PASSTHROUGH_DMA_WINDOW_H
#define ORIEL_PASSTHROUGH_DMA_WINDOW_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct dma_windows;

struct dma_window_ops {
	/* Let the device reach guest memory [gpa, gpa+len), at *iova by the host's choice. */
	int (*map)(void *opaque, uint64_t gpa, uint64_t len, uint64_t *iova);
	void (*unmap)(void *opaque, uint64_t iova, uint64_t len);
};

struct dma_window_config {
	uint64_t window_bytes; /* power of two of at least 4096; 0: no windows, each piece by itself
				*/
	uint64_t memory_start, memory_len; /* guest memory, to which windows are cut */
	uint64_t max_bytes;		   /* mapped at once */
	size_t max_mappings;
	const struct dma_window_ops *ops;
	void *opaque;
};

struct dma_window_usage {
	uint64_t bytes;	  /* mapped now */
	size_t mappings;  /* now */
	uint64_t pieces;  /* asked for and not given back */
	uint64_t refused; /* pieces that found no room, ever */
};

/* NULL if out of memory. */
struct dma_windows *dma_windows_create(const struct dma_window_config *config) MUST_CHECK;
/* Accepts NULL.  Unmaps what is left. */
void dma_windows_destroy(struct dma_windows *windows);
/*
 * Map [gpa, gpa+len); *iova is where the device finds @gpa.  -EFAULT: not guest memory; -ENOSPC:
 * over a limit; or the host's error.
 */
int dma_windows_map(struct dma_windows *windows, uint64_t gpa, uint64_t len,
		    uint64_t *iova) MUST_CHECK;
/* Give a piece back, by what dma_windows_map() said.  -ENOENT if no such piece can be out. */
int dma_windows_unmap(struct dma_windows *windows, uint64_t iova, uint64_t len) MUST_CHECK;
void dma_windows_usage(const struct dma_windows *windows, struct dma_window_usage *out);

#endif
