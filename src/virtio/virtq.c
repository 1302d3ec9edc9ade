/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtq.c - walk split virtqueues whose memory a hostile driver owns
 *
 * How it works: see virtq.h.  A walk collects the buffers in an array on the stack, then makes a chain of the right size.
 * Invariants: a head is handed out at most once at a time, so at most queue-size chains are in flight.
 * Threads: the owning device's loop only.  The driver runs at the same time on vCPUs: indices are loaded with
 * acquire and stored with release; a full fence stands between a store and the load that decides about a notification.
 */
#include "virtio/virtq_priv.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are little endian, as our hosts are");

/* virtio 1.2, 2.7.5 */
enum { VIRTQ_DESC_NEXT = 1, VIRTQ_DESC_WRITE = 2, VIRTQ_DESC_INDIRECT = 4 };
struct virtq_desc {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags, next;
};

/* 2.7.6; `ring` is followed by used_event */
enum { VIRTQ_AVAIL_NO_INTERRUPT = 1 };
struct virtq_avail {
	uint16_t flags, idx;
	uint16_t ring[];
};

/* 2.7.8; `ring` is followed by avail_event */
enum { VIRTQ_USED_NO_NOTIFY = 1 };
struct virtq_used_elem {
	uint32_t id, len;
};
struct virtq_used {
	uint16_t flags, idx;
	struct virtq_used_elem ring[];
};

enum { VIRTQ_BATCH = 512 }; /* chains handled before others on the loop get their turn */

/* A walk in progress: iovecs of the readable part, then of the writable part. */
struct virtq_walk {
	struct virtq *queue;
	unsigned readable_count, writable_count;
	uint64_t readable_len, writable_len;
	const char *mistake;
	struct iovec iov[VIRTQ_MAX_INDIRECT];
};

int virtq_start(struct virtq *queue, const struct virtio_queue_setup *setup, uint64_t features)
{
	size_t size = setup->size;
	if (!size || (size & (size - 1)) || size > VIRTIO_MAX_QUEUE_SIZE || (setup->descriptors & 15) ||
	    (setup->driver_area & 1) || (setup->device_area & 3)) {
		return -EINVAL;
	}
	const struct gmem *gmem = queue->device->gmem;
	queue->descriptors = gmem_ring(gmem, setup->descriptors, size * sizeof(struct virtq_desc));
	queue->avail = gmem_ring(gmem, setup->driver_area, sizeof(struct virtq_avail) + 2 * size + 2);
	queue->used = gmem_ring(gmem, setup->device_area,
				sizeof(struct virtq_used) + sizeof(struct virtq_used_elem) * size + 2);
	if (!queue->descriptors || !queue->avail || !queue->used) {
		return -EFAULT;
	}
	queue->size = (uint16_t)size;
	queue->next_avail = queue->seen_avail = queue->next_used = queue->signalled_used = 0;
	queue->event_idx = features & VIRTIO_F_EVENT_IDX;
	queue->indirect = features & VIRTIO_F_INDIRECT_DESC;
	queue->ready = true;
	return 0;
}

void virtq_stop(struct virtq *queue)
{
	assert(queue->in_flight == 0);
	queue->ready = false;
	queue->size = 0;
	memset(queue->head_busy, 0, sizeof(queue->head_busy));
}

bool virtq_is_ready(const struct virtq *queue)
{
	return queue->ready;
}

unsigned virtq_size(const struct virtq *queue)
{
	return queue->size;
}

unsigned virtq_in_flight(const struct virtq *queue)
{
	return queue->in_flight;
}

static bool virtq_is_live(const struct virtq *queue)
{
	return queue->ready && !atomic_load_explicit(&queue->device->broken, memory_order_relaxed);
}

static bool virtq_walk_fail(struct virtq_walk *walk, const char *mistake)
{
	walk->mistake = mistake;
	return false;
}

/* Check one buffer and append it. */
static bool virtq_walk_add(struct virtq_walk *walk, const struct virtq_desc *desc)
{
	bool writable = desc->flags & VIRTQ_DESC_WRITE;
	unsigned count = walk->readable_count + walk->writable_count;
	if (!writable && walk->writable_count) {
		return virtq_walk_fail(walk, "readable buffer after a writable one");
	}
	if (!desc->len) {
		return true;
	}
	if (count == VIRTQ_MAX_INDIRECT) {
		return virtq_walk_fail(walk, "too many buffers");
	}
	if (gmem_iov(walk->queue->device->gmem, desc->gpa, desc->len, writable, &walk->iov[count]) < 0) {
		return virtq_walk_fail(walk, "buffer outside of memory");
	}
	*(writable ? &walk->writable_len : &walk->readable_len) += desc->len;
	*(writable ? &walk->writable_count : &walk->readable_count) += 1;
	if (walk->readable_len + walk->writable_len > UINT32_MAX) {
		return virtq_walk_fail(walk, "more than 4 GiB in a chain");
	}
	return true;
}

/* One load of each field; the guest may write at the same time. */
static struct virtq_desc virtq_load_desc(const struct virtq_desc *table, unsigned index)
{
	struct virtq_desc desc;
	memcpy(&desc, &table[index], sizeof(desc));
	__asm__ volatile("" : "+m"(desc) : : "memory");
	return desc;
}

static bool virtq_walk_table(struct virtq_walk *walk, const struct virtq_desc *table, unsigned count,
			     unsigned index, bool may_nest);

static bool virtq_walk_indirect(struct virtq_walk *walk, const struct virtq_desc *desc, bool may_nest)
{
	struct iovec table;
	if (!walk->queue->indirect || !may_nest || (desc->flags & VIRTQ_DESC_NEXT)) {
		return virtq_walk_fail(walk, "indirect table where none is allowed");
	}
	if (!desc->len || desc->len % sizeof(*desc) || desc->len / sizeof(*desc) > VIRTQ_MAX_INDIRECT) {
		return virtq_walk_fail(walk, "indirect table of a bad length");
	}
	if (gmem_iov(walk->queue->device->gmem, desc->gpa, desc->len, false, &table) < 0) {
		return virtq_walk_fail(walk, "indirect table outside of memory");
	}
	return virtq_walk_table(walk, table.iov_base, desc->len / sizeof(*desc), 0, false);
}

/* Follow the list from @index; it can be no longer than its table. */
static bool virtq_walk_table(struct virtq_walk *walk, const struct virtq_desc *table, unsigned count,
			     unsigned index, bool may_nest)
{
	for (unsigned hops = 0; hops < count; hops++) {
		if (index >= count) {
			return virtq_walk_fail(walk, "descriptor number out of range");
		}
		struct virtq_desc desc = virtq_load_desc(table, index);
		if (desc.flags & VIRTQ_DESC_INDIRECT) {
			return virtq_walk_indirect(walk, &desc, may_nest);
		}
		if (!virtq_walk_add(walk, &desc)) {
			return false;
		}
		if (!(desc.flags & VIRTQ_DESC_NEXT)) {
			return true;
		}
		index = desc.next;
	}
	return virtq_walk_fail(walk, "descriptors in a loop");
}

static struct virtq_chain *virtq_make_chain(const struct virtq_walk *walk, uint16_t head)
{
	size_t count = walk->readable_count + walk->writable_count;
	struct virtq_chain *chain = malloc(sizeof(*chain) + count * sizeof(walk->iov[0]));
	if (!chain) {
		return NULL;
	}
	struct iovec *iov = (struct iovec *)(chain + 1);
	memcpy(iov, walk->iov, count * sizeof(walk->iov[0]));
	*chain = (struct virtq_chain){
		.head = head,
		.readable_count = walk->readable_count,
		.writable_count = walk->writable_count,
		.readable_len = walk->readable_len,
		.writable_len = walk->writable_len,
		.readable = iov,
		.writable = iov + walk->readable_count,
	};
	return chain;
}

static struct virtq_chain *virtq_fail(struct virtq *queue, const char *mistake)
{
	virtio_device_break(queue->device, mistake);
	return NULL;
}

static bool virtq_is_busy(const struct virtq *queue, uint16_t head)
{
	return queue->head_busy[head / 64] >> (head % 64) & 1;
}

static void virtq_toggle_busy(struct virtq *queue, uint16_t head)
{
	queue->head_busy[head / 64] ^= UINT64_C(1) << (head % 64);
}

struct virtq_chain *virtq_pop(struct virtq *queue)
{
	if (!virtq_is_live(queue)) {
		return NULL;
	}
	queue->seen_avail = __atomic_load_n(&queue->avail->idx, __ATOMIC_ACQUIRE);
	uint16_t waiting = queue->seen_avail - queue->next_avail;
	if (!waiting) {
		return NULL;
	}
	if (waiting > queue->size) {
		return virtq_fail(queue, "available index out of range");
	}
	uint16_t head = __atomic_load_n(&queue->avail->ring[queue->next_avail & (queue->size - 1)],
					__ATOMIC_RELAXED);
	if (head >= queue->size || virtq_is_busy(queue, head)) {
		return virtq_fail(queue, "head out of range or not given back yet");
	}
	struct virtq_walk walk; /* the array stays uninitialised */
	walk.queue = queue;
	walk.readable_count = walk.writable_count = 0;
	walk.readable_len = walk.writable_len = 0;
	if (!virtq_walk_table(&walk, queue->descriptors, queue->size, head, true)) {
		return virtq_fail(queue, walk.mistake);
	}
	struct virtq_chain *chain = virtq_make_chain(&walk, head);
	if (!chain) {
		return virtq_fail(queue, "or rather, the host is out of memory");
	}
	queue->next_avail++;
	queue->in_flight++;
	virtq_toggle_busy(queue, head);
	return chain;
}

bool virtq_has_next(struct virtq *queue)
{
	return virtq_is_live(queue) &&
	       __atomic_load_n(&queue->avail->idx, __ATOMIC_ACQUIRE) != queue->next_avail;
}

void virtq_drop(struct virtq *queue, struct virtq_chain *chain)
{
	assert(queue->in_flight && virtq_is_busy(queue, chain->head));
	queue->in_flight--;
	virtq_toggle_busy(queue, chain->head);
	free(chain);
}

void virtq_unpop(struct virtq *queue, struct virtq_chain *chain)
{
	queue->next_avail--;
	virtq_drop(queue, chain);
}

/* Write the used element after @ahead unpublished ones, free the chain. */
static void virtq_write_used(struct virtq *queue, struct virtq_chain *chain, uint32_t written, uint16_t ahead)
{
	assert(written <= chain->writable_len);
	uint16_t head = chain->head;
	virtq_drop(queue, chain);
	if (virtq_is_live(queue)) {
		unsigned slot = (queue->next_used + ahead) & (queue->size - 1);
		struct virtq_used_elem *elem = &queue->used->ring[slot];
		__atomic_store_n(&elem->id, head, __ATOMIC_RELAXED);
		__atomic_store_n(&elem->len, written, __ATOMIC_RELAXED);
	}
}

static void virtq_publish_used(struct virtq *queue, uint16_t count)
{
	if (virtq_is_live(queue)) {
		queue->next_used += count;
		__atomic_store_n(&queue->used->idx, queue->next_used, __ATOMIC_RELEASE);
	}
}

void virtq_push(struct virtq *queue, struct virtq_chain *chain, uint32_t written)
{
	virtq_write_used(queue, chain, written, 0);
	virtq_publish_used(queue, 1);
}

void virtq_push_list(struct virtq *queue, struct virtq_chain *chains)
{
	uint16_t count = 0;
	while (chains) {
		struct virtq_chain *next = chains->next;
		virtq_write_used(queue, chains, chains->written, count++);
		chains = next;
	}
	virtq_publish_used(queue, count);
}

/* virtio 1.2, 2.7.7.1: does the driver want to hear that the used index moved from @before to @now? */
static bool virtq_interrupt_is_wanted(const struct virtq *queue, uint16_t before, uint16_t now)
{
	if (queue->event_idx) {
		uint16_t event = __atomic_load_n(&queue->avail->ring[queue->size], __ATOMIC_RELAXED);
		return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
	}
	return !(__atomic_load_n(&queue->avail->flags, __ATOMIC_RELAXED) & VIRTQ_AVAIL_NO_INTERRUPT);
}

void virtq_interrupt(struct virtq *queue)
{
	uint16_t before = queue->signalled_used, now = queue->next_used;
	if (!virtq_is_live(queue) || before == now) {
		return;
	}
	queue->signalled_used = now;
	atomic_thread_fence(memory_order_seq_cst);
	if (virtq_interrupt_is_wanted(queue, before, now)) {
		struct virtio_device *device = queue->device;
		device->transport_ops->queue_interrupt(device->transport, queue->index);
	}
}

void virtq_stop_kicks(struct virtq *queue)
{
	if (virtq_is_live(queue) && !queue->event_idx) {
		__atomic_store_n(&queue->used->flags, VIRTQ_USED_NO_NOTIFY, __ATOMIC_RELAXED);
	}
}

bool virtq_want_kicks(struct virtq *queue)
{
	if (!virtq_is_live(queue)) {
		return false;
	}
	if (queue->event_idx) {
		uint16_t *avail_event = (uint16_t *)&queue->used->ring[queue->size];
		__atomic_store_n(avail_event, queue->seen_avail, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(&queue->used->flags, 0, __ATOMIC_RELAXED);
	}
	atomic_thread_fence(memory_order_seq_cst);
	return __atomic_load_n(&queue->avail->idx, __ATOMIC_ACQUIRE) != queue->seen_avail;
}

/* Handle chains while *@left lasts.  True if the ring was found empty. */
static bool virtq_drain_batch(struct virtq *queue, virtq_chain_fn handle, void *opaque, unsigned *left)
{
	while (*left) {
		--*left;
		struct virtq_chain *chain = virtq_pop(queue);
		if (!chain) {
			return true;
		}
		if (!handle(opaque, queue, chain)) {
			return false;
		}
	}
	virtio_device_kick(queue->device, queue->index);
	return false;
}

void virtq_drain(struct virtq *queue, virtq_chain_fn handle, void *opaque)
{
	unsigned left = VIRTQ_BATCH;
	virtq_stop_kicks(queue);
	while (virtq_drain_batch(queue, handle, opaque, &left) && virtq_want_kicks(queue)) {
	}
	virtq_interrupt(queue);
}
