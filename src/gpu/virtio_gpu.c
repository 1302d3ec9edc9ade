/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_gpu.c - the virtio side of the GPU device (virtio 1.2, 5.7): queues, configuration, window
 * placement
 *
 * How it works: each chain is copied out of guest memory once, as a whole, then executed from the
 * copy.  Answers that come later find their chain in the command. Threads: the device's loop;
 * config_* and the placement on a vCPU thread, touching only `events` and the engine.
 */
#include "gpu/virtio_gpu.h"
#include "base/log.h"
#include "gpu/gpu.h"
#include "virtio/virtq.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { VIRTIO_GPU_BATCH = 64 };

struct virtio_gpu {
	struct virtio_device device; /* first: callbacks cast it */
	struct gpu *gpu;
	struct engine *engine;
	atomic_uint events; /* config.events_read */
	uint32_t scanouts, capsets;
	bool in_batch; /* the interrupt comes at its end */
};

uint64_t virtio_gpu_default_window(uint64_t memory_bytes)
{
	uint64_t window = UINT64_C(512) << 20, most = UINT64_C(256)
						      << 30; /* half of the board's room for BARs */
	while (window / 2 < memory_bytes && window < most) {
		window *= 2;
	}
	return window;
}

static uint64_t virtio_gpu_config_read(struct virtio_device *device, unsigned offset, unsigned size)
{
	struct virtio_gpu *self = (struct virtio_gpu *)device;
	struct gpu_config config = {
		.events_read = atomic_load(&self->events),
		.num_scanouts = self->scanouts,
		.num_capsets = self->capsets,
		.blob_alignment = self->gpu->window ? gpu_window_granule(self->gpu->window) : 0,
	};
	return virtio_config_load(&config, device->config_len, offset, size);
}

static void virtio_gpu_config_write(struct virtio_device *device, unsigned offset, unsigned size,
				    uint64_t value)
{
	struct virtio_gpu *self = (struct virtio_gpu *)device;
	if (offset == offsetof(struct gpu_config, events_clear) && size == 4) {
		atomic_fetch_and(&self->events, ~(uint32_t)value);
	}
}

static void virtio_gpu_place(struct virtio_device *device, uint64_t gpa)
{
	struct virtio_gpu *self = (struct virtio_gpu *)device;
	struct error err = {0};
	if (engine_window_place(self->engine, gpa, device->shm.len, &err) < 0) {
		log_limited(LOG_WARN, "gpu: %s", err.text);
	}
}

struct virtio_gpu_loss {
	struct gpu *gpu;
	uint64_t offset;
};

static void virtio_gpu_lose(void *opaque)
{
	struct virtio_gpu_loss *loss = opaque;
	gpu_blob_lost(loss->gpu, loss->offset);
	free(loss);
}

void virtio_gpu_window_lost(struct virtio_device *device, uint64_t offset)
{
	struct virtio_gpu_loss *loss = malloc(sizeof(*loss));
	if (!loss) {
		return; /* the context lives on with zeros */
	}
	*loss = (struct virtio_gpu_loss){((struct virtio_gpu *)device)->gpu, offset};
	if (loop_post(device->loop, virtio_gpu_lose, loss) < 0) {
		free(loss);
	}
}

static struct gpu *virtio_gpu_inner(struct virtio_device *device)
{
	return ((struct virtio_gpu *)device)->gpu;
}

static void virtio_gpu_answer(struct gpu *gpu, struct gpu_command *command, const void *answer,
			      size_t len)
{
	struct virtio_gpu *self = gpu->owner;
	struct virtq *queue = virtio_device_queue(&self->device, command->queue);
	size_t written = virtq_chain_write(command->chain, 0, answer, len);
	virtq_push(queue, command->chain, (uint32_t)written);
	if (!self->in_batch) {
		virtq_interrupt(queue);
	}
}

/* A chain that is no command: too short, too long, or there is no memory for it. */
static void virtio_gpu_reject(struct virtq *queue, struct virtq_chain *chain)
{
	struct gpu_header request = {0}, answer = {.type = GPU_ERR_OUT_OF_MEMORY};
	if (virtq_chain_read(chain, 0, &request, sizeof(request)) < sizeof(request)) {
		answer.type = GPU_ERR_UNSPEC;
	} else if (request.flags & GPU_FLAG_FENCE) {
		answer = request;
		answer.flags &= GPU_FLAG_FENCE | GPU_FLAG_RING_IDX;
		answer.type = GPU_ERR_OUT_OF_MEMORY;
		memset(answer.padding, 0, sizeof(answer.padding));
	}
	virtq_push(queue, chain, (uint32_t)virtq_chain_write(chain, 0, &answer, sizeof(answer)));
}

static void virtio_gpu_take(struct virtio_gpu *self, unsigned index, struct virtq_chain *chain)
{
	struct virtq *queue = virtio_device_queue(&self->device, index);
	struct gpu_command *command = chain->readable_len <= GPU_MAX_REQUEST
					      ? gpu_command_create((size_t)chain->readable_len)
					      : NULL;
	if (!command) {
		self->gpu->refused++;
		virtio_gpu_reject(queue, chain);
		return;
	}
	command->chain = chain;
	command->queue = index;
	command->len = virtq_chain_read(chain, 0, command->bytes, command->len);
	if (index == GPU_QUEUE_CURSOR) {
		gpu_execute_cursor(self->gpu, command);
	} else {
		gpu_execute(self->gpu, command);
	}
}

static void virtio_gpu_activate(struct virtio_device *device)
{
	virtio_gpu_inner(device)->queue_size =
		virtq_size(virtio_device_queue(device, GPU_QUEUE_CONTROL));
	virtio_gpu_inner(device)->blobs_aligned =
		virtio_device_negotiated(device, GPU_F_BLOB_ALIGNMENT);
}

static void virtio_gpu_notify(struct virtio_device *device, unsigned index)
{
	struct virtio_gpu *self = (struct virtio_gpu *)device;
	struct virtq *queue = virtio_device_queue(device, index);
	unsigned left = VIRTIO_GPU_BATCH;
	self->in_batch = true;
	do {
		struct virtq_chain *chain;
		virtq_stop_kicks(queue);
		while (left && (chain = virtq_pop(queue))) {
			left--;
			virtio_gpu_take(self, index, chain);
		}
	} while (left && virtq_want_kicks(queue));
	self->in_batch = false;
	if (!left) {
		virtio_device_kick(device, index); /* let others on the loop have their turn */
	}
	for (unsigned i = 0; i < GPU_QUEUE_COUNT; i++) {
		if (virtq_is_ready(virtio_device_queue(device, i))) {
			virtq_interrupt(virtio_device_queue(device, i));
		}
	}
}

/* Held commands are answered with errors on the way, so no chain is left. */
static void virtio_gpu_reset(struct virtio_device *device)
{
	gpu_reset(virtio_gpu_inner(device));
	atomic_store(&((struct virtio_gpu *)device)->events, 0);
	virtio_device_reset_done(device);
}

static void virtio_gpu_destroy(struct virtio_device *device)
{
	gpu_destroy(virtio_gpu_inner(device));
	virtio_device_finish(device);
	free(device);
}

static const struct virtio_device_ops virtio_gpu_ops = {
	.config_read = virtio_gpu_config_read,
	.config_write = virtio_gpu_config_write,
	.activate = virtio_gpu_activate,
	.notify = virtio_gpu_notify,
	.reset = virtio_gpu_reset,
	.destroy = virtio_gpu_destroy,
};

static void virtio_gpu_describe(struct virtio_gpu *self, const struct virtio_gpu_parts *parts)
{
	struct virtio_device *device = &self->device;
	device->name = "gpu";
	device->ops = &virtio_gpu_ops;
	device->loop = parts->loop;
	device->gmem = parts->gmem;
	device->id = VIRTIO_ID_GPU;
	device->pci_class = 0x038000; /* display controller, not VGA */
	device->features = GPU_F_EDID;
	device->queue_count = GPU_QUEUE_COUNT;
	device->queue_size = GPU_QUEUE_SIZE;
	device->config_len = offsetof(struct gpu_config, blob_alignment);
	self->scanouts = display_count(parts->display);
	if (self->gpu->config.shared) {
		device->features |= GPU_F_VIRGL | GPU_F_RESOURCE_BLOB | GPU_F_CONTEXT_INIT;
		device->shm.id = GPU_SHM_HOST_VISIBLE;
		device->shm.len = self->gpu->config.window_bytes;
		device->shm.place = virtio_gpu_place;
		self->capsets = 1;
		if (gpu_window_granule(self->gpu->window) >
		    4096) { /* smaller pages than these no guest has */
			device->features |= GPU_F_BLOB_ALIGNMENT;
			device->config_len = sizeof(struct gpu_config);
		}
	}
}

/* Each blob is a descriptor of ours: take as many as the system lets us have. */
static void virtio_gpu_raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)!setrlimit(RLIMIT_NOFILE, &limit);
	}
}

struct virtio_device *virtio_gpu_create(const struct virtio_gpu_config *config,
					const struct virtio_gpu_parts *parts, struct error *err)
{
	assert(!config->shared || (parts->engine && parts->spawner));
	struct virtio_gpu *self = calloc(1, sizeof(*self));
	if (!self) {
		error_set(err, -ENOMEM, "gpu: out of memory");
		return NULL;
	}
	self->engine = parts->engine;
	self->gpu = gpu_create(config, parts, err);
	if (!self->gpu) {
		free(self);
		return NULL;
	}
	self->gpu->owner = self;
	self->gpu->answer = virtio_gpu_answer;
	virtio_gpu_describe(self, parts);
	if (virtio_device_init(&self->device, err) < 0) {
		gpu_destroy(self->gpu);
		free(self);
		return NULL;
	}
	if (config->shared) {
		virtio_gpu_raise_descriptor_limit();
	}
	return &self->device;
}

void virtio_gpu_stats(struct virtio_device *device, struct virtio_gpu_stats *stats)
{
	gpu_copy_stats(virtio_gpu_inner(device), stats);
}
