/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window.h - the host-visible window: which parts of it have pages
 *
 * A place in the window is mapped at most once; the engine does the mapping, by granules as large
 * as the host's pages. Threads: the device's loop.
 */
#ifndef ORIEL_GPU_WINDOW_H
#define ORIEL_GPU_WINDOW_H

#include "base/error.h"

#include <stdint.h>

struct engine;
struct gpu_window;

/* @len bytes, a multiple of 64 granules.  @engine is borrowed.  NULL if out of memory. */
struct gpu_window *gpu_window_create(struct engine *engine, uint64_t len) MUST_CHECK;
/* What offsets and sizes are multiples of: the engine's granule, bytes. */
uint32_t gpu_window_granule(const struct gpu_window *window);
/* Accepts NULL.  Unmaps what is left. */
void gpu_window_destroy(struct gpu_window *window);
/*
 * Map the first @len bytes of @fd (borrowed, sealed) at @offset.  -EINVAL: not multiples of the
 * granule, or outside; -EEXIST: something is mapped there; or the engine's error.  *why tells a
 * person.
 */
int gpu_window_map(struct gpu_window *window, uint64_t offset, int fd, uint64_t len,
		   const char **why) MUST_CHECK;
/* The range must have been mapped as such. */
void gpu_window_unmap(struct gpu_window *window, uint64_t offset, uint64_t len);

#endif
