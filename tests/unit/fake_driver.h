/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_driver.h - a guest's virtio driver in miniature, for unit tests and fuzz programs
 *
 * How it works: guest memory is one region; the driver writes rings there and drives the device's registers through
 * transport.h.  The device's loop runs in the test's own thread, for as long as fake_pump() or fake_wait() say.
 * Threads: one.
 */
#ifndef ORIEL_TESTS_UNIT_FAKE_DRIVER_H
#define ORIEL_TESTS_UNIT_FAKE_DRIVER_H

#include "base/loop.h"
#include "mem/gmem.h"
#include "virtio/device.h"
#include "virtio/transport.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	FAKE_RAM_BASE = 0x40000000,
	FAKE_RAM_LEN = 16 << 20,
	FAKE_QUEUES = 8,
	FAKE_NEXT = 1,
	FAKE_WRITE = 2,
	FAKE_INDIRECT = 4,
};

struct fake_desc {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags, next;
};

struct fake_queue {
	uint16_t size, next_desc, last_used;
	struct fake_desc *desc;
	uint16_t *avail; /* flags, idx, ring[size], used_event */
	uint8_t *used;	 /* flags, idx, {id, len}[size], avail_event */
	unsigned interrupts;
};

struct fake_driver {
	struct gmem *gmem;
	struct loop *loop;
	struct loop_source *timer;
	struct virtio_device *device;
	uint64_t next_gpa;
	struct fake_queue queues[FAKE_QUEUES];
	unsigned config_interrupts;
};

static inline void fake_on_stop(void *opaque)
{
	loop_stop(((struct fake_driver *)opaque)->loop);
}

static inline void fake_init(struct fake_driver *d)
{
	*d = (struct fake_driver){.next_gpa = FAKE_RAM_BASE};
	d->gmem = gmem_create();
	assert(d->gmem && gmem_add_ram(d->gmem, FAKE_RAM_BASE, FAKE_RAM_LEN, NULL) == 0);
	gmem_seal(d->gmem);
	d->loop = loop_create(NULL);
	d->timer = loop_add_timer(d->loop, fake_on_stop, d);
	assert(d->loop && d->timer);
}

/* The device goes first. */
static inline void fake_finish(struct fake_driver *d)
{
	virtio_device_destroy(d->device);
	loop_destroy(d->loop);
	gmem_destroy(d->gmem);
}

/* Zeroed guest memory, aligned to 4096. */
static inline uint64_t fake_alloc(struct fake_driver *d, size_t len)
{
	uint64_t gpa = d->next_gpa;
	d->next_gpa += (len + 4095) & ~(size_t)4095;
	assert(d->next_gpa <= FAKE_RAM_BASE + FAKE_RAM_LEN);
	return gpa;
}

static inline void *fake_ptr(struct fake_driver *d, uint64_t gpa)
{
	void *p = gmem_ring(d->gmem, gpa, 1);
	assert(p);
	return p;
}

static inline void fake_on_queue_interrupt(void *opaque, unsigned queue)
{
	((struct fake_driver *)opaque)->queues[queue].interrupts++;
}

static inline void fake_on_config_interrupt(void *opaque)
{
	((struct fake_driver *)opaque)->config_interrupts++;
}

/* Let the loop do what is ready now. */
static inline void fake_pump(struct fake_driver *d)
{
	for (int i = 0; i < 3; i++) {
		assert(loop_post(d->loop, fake_on_stop, d) == 0);
		loop_run(d->loop);
	}
}

static inline uint16_t fake_used_idx(const struct fake_queue *q)
{
	uint16_t idx;
	memcpy(&idx, q->used + 2, 2);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return idx;
}

/* Let the loop run until a chain of queue @index came back, for 5 seconds at most. */
static inline bool fake_wait(struct fake_driver *d, unsigned index)
{
	struct fake_queue *q = &d->queues[index];
	for (int i = 0; i < 5000 && fake_used_idx(q) == q->last_used; i++) {
		loop_timer_set(d->timer, loop_now_ns() + 1000000);
		loop_run(d->loop);
	}
	return fake_used_idx(q) != q->last_used;
}

static inline void fake_setup_queue(struct fake_driver *d, unsigned index, uint16_t size)
{
	struct fake_queue *q = &d->queues[index];
	uint64_t desc = fake_alloc(d, size * 16u), avail = fake_alloc(d, size * 2u + 6),
		 used = fake_alloc(d, size * 8u + 6);
	*q = (struct fake_queue){
		.size = size,
		.desc = fake_ptr(d, desc),
		.avail = fake_ptr(d, avail),
		.used = fake_ptr(d, used),
	};
	struct virtio_queue_setup setup = {size, true, desc, avail, used};
	virtio_transport_set_queue(d->device, index, &setup);
}

/* ACKNOWLEDGE to FEATURES_OK.  False if the device refuses. */
static inline bool fake_negotiate(struct fake_driver *d, struct virtio_device *device, uint64_t features)
{
	static const struct virtio_transport_ops ops = {fake_on_queue_interrupt, fake_on_config_interrupt};
	d->device = device;
	virtio_transport_connect(device, &ops, d);
	virtio_transport_set_status(device, 1, 0);
	virtio_transport_set_status(device, 3, 0);
	virtio_transport_accept(device, 0, (uint32_t)features);
	virtio_transport_accept(device, 1, (uint32_t)(features >> 32));
	virtio_transport_set_status(device, 0xb, 0);
	return virtio_transport_status(device) == 0xb;
}

/* The whole way to DRIVER_OK, with VERSION_1 | @features and @size entries in each queue. */
static inline void fake_start(struct fake_driver *d, struct virtio_device *device, uint64_t features,
			      uint16_t size)
{
	assert(device && device->queue_count <= FAKE_QUEUES);
	bool accepted = fake_negotiate(d, device, features | VIRTIO_F_VERSION_1);
	assert(accepted);
	for (unsigned i = 0; i < device->queue_count; i++) {
		fake_setup_queue(d, i, size);
	}
	virtio_transport_set_status(device, 0xf, 0);
	fake_pump(d);
}

static inline void fake_reset(struct fake_driver *d)
{
	virtio_transport_set_status(d->device, 0, 0);
	for (int i = 0; i < 2000 && virtio_transport_status(d->device); i++) {
		loop_timer_set(d->timer, loop_now_ns() + 1000000);
		loop_run(d->loop);
	}
}

static inline void fake_desc_set(struct fake_queue *q, unsigned i, uint64_t gpa, uint32_t len, unsigned flags,
				 unsigned next)
{
	q->desc[i] = (struct fake_desc){gpa, len, (uint16_t)flags, (uint16_t)next};
}

/* Put @head in the available ring. */
static inline void fake_offer(struct fake_queue *q, uint16_t head)
{
	q->avail[2 + q->avail[1] % q->size] = head;
	__atomic_store_n(&q->avail[1], (uint16_t)(q->avail[1] + 1), __ATOMIC_RELEASE);
}

static inline void fake_kick(struct fake_driver *d, unsigned index)
{
	virtio_transport_notify(d->device, index);
	fake_pump(d);
}

struct fake_buffer {
	uint64_t gpa;
	uint32_t len;
	bool writable;
};

/* Offer a chain of @count buffers in fresh descriptors.  Returns its head. */
static inline uint16_t fake_offer_chain(struct fake_driver *d, unsigned index,
					const struct fake_buffer *buffers, unsigned count)
{
	struct fake_queue *q = &d->queues[index];
	uint16_t head = q->next_desc % q->size;
	for (unsigned i = 0; i < count; i++) {
		unsigned at = q->next_desc++ % q->size;
		unsigned flags = (buffers[i].writable ? FAKE_WRITE : 0u) | (i + 1 < count ? FAKE_NEXT : 0u);
		fake_desc_set(q, at, buffers[i].gpa, buffers[i].len, flags, q->next_desc % q->size);
	}
	fake_offer(q, head);
	return head;
}

/* Take the next used element.  False if there is none. */
static inline bool fake_take_used(struct fake_queue *q, uint32_t *id, uint32_t *len)
{
	if (fake_used_idx(q) == q->last_used) {
		return false;
	}
	const uint8_t *elem = q->used + 4 + (size_t)(q->last_used++ % q->size) * 8;
	memcpy(id, elem, 4);
	memcpy(len, elem + 4, 4);
	return true;
}

static inline bool fake_is_broken(struct fake_driver *d)
{
	return virtio_transport_status(d->device) & VIRTIO_STATUS_NEEDS_RESET;
}

#endif
