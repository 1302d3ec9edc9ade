/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window.c - the host-visible window, one bit for each granule
 * Threads: the device's loop.
 */
#include "gpu/window.h"
#include "base/log.h"
#include "engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

struct gpu_window {
	struct engine *engine;
	uint64_t len;
	uint32_t granule;
	uint64_t used[]; /* bit set: mapped */
};

struct gpu_window *gpu_window_create(struct engine *engine, uint64_t len)
{
	uint32_t granule = engine->window_granule;
	assert(len && granule && len % (64 * (uint64_t)granule) == 0);
	uint64_t words = len / granule / 64;
	struct gpu_window *window = calloc(1, sizeof(*window) + words * sizeof(window->used[0]));
	if (window) {
		window->engine = engine;
		window->len = len;
		window->granule = granule;
	}
	return window;
}

uint32_t gpu_window_granule(const struct gpu_window *window)
{
	return window->granule;
}

void gpu_window_destroy(struct gpu_window *window)
{
	if (window) {
		engine_window_unmap(window->engine, 0, window->len);
		free(window);
	}
}

/* The bits of word @word that belong to granules [first, end). */
static uint64_t window_mask(uint64_t word, uint64_t first, uint64_t end)
{
	uint64_t base = word * 64;
	uint64_t low = first > base ? first - base : 0;
	uint64_t high = end < base + 64 ? end - base : 64;
	uint64_t mask = high == 64 ? ~UINT64_C(0) : (UINT64_C(1) << high) - 1;
	return mask & ~((UINT64_C(1) << low) - 1);
}

static bool window_is_free(const struct gpu_window *window, uint64_t first, uint64_t end)
{
	for (uint64_t word = first / 64; word * 64 < end; word++) {
		if (window->used[word] & window_mask(word, first, end)) {
			return false;
		}
	}
	return true;
}

static void window_mark(struct gpu_window *window, uint64_t first, uint64_t end, bool used)
{
	for (uint64_t word = first / 64; word * 64 < end; word++) {
		uint64_t mask = window_mask(word, first, end);
		window->used[word] = used ? window->used[word] | mask : window->used[word] & ~mask;
	}
}

int gpu_window_map(struct gpu_window *window, uint64_t offset, int fd, uint64_t len,
		   const char **why)
{
	if (offset % window->granule || len % window->granule || !len) {
		*why = window->granule > 4096 ? "not aligned to this host's pages (needs a kernel "
						"with such pages, or Linux 7.2)"
					      : "not page aligned";
		return -EINVAL;
	}
	if (offset > window->len || len > window->len - offset) {
		*why = "outside the window";
		return -EINVAL;
	}
	uint64_t first = offset / window->granule, end = (offset + len) / window->granule;
	if (!window_is_free(window, first, end)) {
		*why = "over another blob";
		return -EEXIST;
	}
	struct error err = {0};
	int status = engine_window_map(window->engine, offset, fd, 0, len, &err);
	if (status < 0) {
		log_limited(LOG_WARN, "gpu: %s", err.text);
		*why = "refused by the engine";
		return status;
	}
	window_mark(window, first, end, true);
	return 0;
}

void gpu_window_unmap(struct gpu_window *window, uint64_t offset, uint64_t len)
{
	window_mark(window, offset / window->granule, (offset + len) / window->granule, false);
	engine_window_unmap(window->engine, offset, len);
}
