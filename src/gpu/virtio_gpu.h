/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_gpu.h - the virtio GPU device: 2D, blobs, and Vulkan contexts served by other processes
 *
 * Threads: create before the loop runs; the device and everything behind it belong to that loop.
 */
#ifndef ORIEL_GPU_VIRTIO_GPU_H
#define ORIEL_GPU_VIRTIO_GPU_H

#include "base/error.h"
#include "base/loop.h"
#include "display/display.h"
#include "engine/engine.h"
#include "gpu/spawn.h"
#include "mem/gmem.h"
#include "virtio/device.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct virtio_gpu_config {
	bool shared;		 /* offer Vulkan contexts; false: 2D only, no window, no servers */
	uint64_t window_bytes;	 /* host-visible window, a power of two; 0:
				    virtio_gpu_default_window() of guest RAM */
	uint64_t memory_limit;	 /* host memory of all contexts together, bytes; 0: the larger of
				    guest RAM and 1 GiB */
	uint64_t limit_2d;	 /* host memory of all 2D resources together, bytes; 0: 256 MiB */
	unsigned start_limit_ms; /* a server must be ready within; 0: 30 s */
};

/* What is needed around the device.  All borrowed, all outlive it. */
struct virtio_gpu_parts {
	struct loop *loop;
	const struct gmem *gmem;
	struct engine *engine; /* NULL only without shared */
	struct display *display;
	const struct gpu_spawner *spawner; /* NULL only without shared */
};

/*
 * A window for @memory_bytes of blobs: twice as much and more, up to the next power of two, since
 * the guest's kernel gives places back late and leaves gaps; 512 MiB to 256 GiB.
 */
uint64_t virtio_gpu_default_window(uint64_t memory_bytes);

/*
 * With config->shared this starts a server to ask what the host's Vulkan driver offers, and waits
 * for it for at most start_limit_ms; its error line ("no Vulkan driver") becomes @err.  NULL on
 * failure.
 */
struct virtio_device *virtio_gpu_create(const struct virtio_gpu_config *config,
					const struct virtio_gpu_parts *parts,
					struct error *err) MUST_CHECK;

/* The host has no pages any more for what is mapped at @offset of the window: the context that it
 * belongs to ends.  Any thread. */
void virtio_gpu_window_lost(struct virtio_device *device, uint64_t offset);

enum { VIRTIO_GPU_STATS_CONTEXTS = 64 };

struct virtio_gpu_context_stats {
	uint32_t ctx_id;
	pid_t pid;
	bool live;     /* false: ended, one of the last ones */
	char name[64]; /* what the guest calls it; printable ASCII */
	uint64_t commands, draws, dispatches, submits; /* as the server counted them */
	uint64_t blob_bytes,
		mapped_bytes;  /* of live ones: host memory, and how much of it is in the window */
	uint64_t record_bytes; /* of live ones: what the server keeps to make objects again */
	uint64_t memory_bytes; /* of live ones: all that the server holds, as it says; blobs
				  included */
};

struct virtio_gpu_stats {
	char driver[128]; /* host device and driver; empty without shared */
	uint32_t api_version;
	uint64_t contexts_started, contexts_lost;
	uint64_t commands, draws, dispatches, submits; /* of all contexts, also ended ones */
	uint64_t window_bytes, blob_bytes,
		mapped_bytes; /* the rest of the window's use is ended contexts' */
	uint64_t memory_bytes,
		memory_limit; /* what all contexts hold, ended ones' blobs included; and may hold */
	uint64_t refused;     /* refused: control commands answered with an error */
	unsigned context_count;
	struct virtio_gpu_context_stats contexts[VIRTIO_GPU_STATS_CONTEXTS]; /* live ones first */
};

/* Loop thread, or after the loop has stopped. */
void virtio_gpu_stats(struct virtio_device *device, struct virtio_gpu_stats *stats);

#endif
