/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_rng.c - random bytes from the host's kernel (virtio 1.2, 5.4)
 *
 * How it works: each request gets what the allowance of the current tenth of a second still has; when it is used up,
 * requests wait in the ring for the timer.
 * Threads: the device's loop.
 */
#include "devices/virtio_rng.h"

#include "base/os.h"
#include "virtio/virtq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	RNG_QUEUE_SIZE = 8,
	RNG_MAX_REQUEST = 64 * 1024,
	RNG_ALLOWANCE = 104858, /* bytes a period */
	RNG_PERIOD_NS = 100000000,
};

struct rng {
	struct virtio_device base;
	char *name;
	struct loop_source *timer;
	bool waiting; /* the timer runs */
	size_t allowance;
};

/* Fill up to @len bytes of the chain.  Returns how many. */
static size_t rng_fill(struct virtq_chain *chain, size_t len)
{
	uint8_t bytes[1024];
	size_t done = 0;
	while (done < len) {
		size_t part = len - done < sizeof(bytes) ? len - done : sizeof(bytes);
		ssize_t got = os_random(bytes, part, false);
		if (got <= 0) {
			break;
		}
		done += virtq_chain_write(chain, done, bytes, (size_t)got);
	}
	explicit_bzero(bytes, sizeof(bytes));
	return done;
}

static void rng_wait(struct rng *rng)
{
	rng->waiting = true;
	loop_timer_set(rng->timer, loop_now_ns() + RNG_PERIOD_NS);
}

static bool rng_on_chain(void *opaque, struct virtq *queue, struct virtq_chain *chain)
{
	struct rng *rng = opaque;
	if (!rng->allowance) {
		virtq_unpop(queue, chain);
		rng_wait(rng);
		return false;
	}
	size_t len = chain->writable_len < RNG_MAX_REQUEST ? chain->writable_len : RNG_MAX_REQUEST;
	len = rng_fill(chain, len < rng->allowance ? len : rng->allowance);
	rng->allowance -= len;
	virtq_push(queue, chain, (uint32_t)len);
	return true;
}

static void rng_notify(struct virtio_device *device, unsigned index)
{
	struct rng *rng = (struct rng *)device;
	if (!rng->waiting) {
		virtq_drain(virtio_device_queue(device, 0), rng_on_chain, rng);
	}
}

static void rng_on_timer(void *opaque)
{
	struct rng *rng = opaque;
	rng->waiting = false;
	rng->allowance = RNG_ALLOWANCE;
	virtio_device_kick(&rng->base, 0);
}

static void rng_destroy(struct virtio_device *device)
{
	struct rng *rng = (struct rng *)device;
	virtio_device_finish(device);
	loop_remove(rng->timer);
	free(rng->name);
	free(rng);
}

static const struct virtio_device_ops rng_ops = {
	.notify = rng_notify,
	.destroy = rng_destroy,
};

static int rng_init(struct rng *rng, const char *name, struct error *err)
{
	rng->name = strdup(name);
	rng->timer = loop_add_timer(rng->base.loop, rng_on_timer, rng);
	if (!rng->name || !rng->timer) {
		return error_set(err, -ENOMEM, "%s: out of memory", name);
	}
	rng->base.name = rng->name;
	rng->allowance = RNG_ALLOWANCE;
	return virtio_device_init(&rng->base, err);
}

struct virtio_device *virtio_rng_create(const char *name, const struct gmem *gmem, struct loop *loop,
					struct error *err)
{
	struct rng *rng = calloc(1, sizeof(*rng));
	if (!rng) {
		error_set(err, -ENOMEM, "%s: out of memory", name);
		return NULL;
	}
	rng->base = (struct virtio_device){
		.ops = &rng_ops,
		.loop = loop,
		.gmem = gmem,
		.id = VIRTIO_ID_RNG,
		.pci_class = 0x00ff00,
		.queue_count = 1,
		.queue_size = RNG_QUEUE_SIZE,
	};
	if (rng_init(rng, name, err) < 0) {
		virtio_device_destroy(&rng->base);
		return NULL;
	}
	return &rng->base;
}
