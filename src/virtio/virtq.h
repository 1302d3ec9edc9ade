/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtq.h - split virtqueues (virtio 1.2, 2.7) whose memory a hostile driver owns
 *
 * How it works: ring fields are loaded once into locals, then checked, then used.  A chain reaches the device only after
 * all of its buffers were checked: inside guest RAM, readable ones before writable ones, no loop, no more than 1024 of
 * them, no nested indirect tables, less than 4 GiB in total.  Otherwise the device is broken (virtio_device_break)
 * and the queue stays silent until the driver resets it.
 * The bytes behind a chain can be changed by the guest at any time: copy a header once with virtq_chain_read(), check and
 * use the copy.
 *
 * Use: in ops->notify call virtq_drain() with a function that handles one chain; answer with virtq_push() there or later.
 * Whoever pushes outside of virtq_drain() calls virtq_interrupt() after the last push of a batch.
 *
 * Threads: the owning device's loop only.  No locks.
 */
#ifndef ORIEL_VIRTIO_VIRTQ_H
#define ORIEL_VIRTIO_VIRTQ_H

#include "virtio/device.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * A request of the driver: first the buffers that the device reads, then those it writes.  Owned by the device between
 * virtq_pop() and virtq_push() or virtq_drop().  Buffers of length 0 are left out.
 */
struct virtq_chain {
	struct virtq_chain *next;  /* for lists of the device */
	uint16_t head;		   /* descriptor that the driver will get back */
	uint32_t written;	   /* for virtq_push_list() */
	unsigned readable_count, writable_count;
	uint64_t readable_len, writable_len; /* bytes; both together below 4 GiB */
	struct iovec *readable, *writable;   /* in guest RAM */
};

/* True if the driver enabled the queue. */
bool virtq_is_ready(const struct virtq *queue);
/* Number of entries the driver chose; 0 if not ready. */
unsigned virtq_size(const struct virtq *queue);

/* Next chain of the available ring, or NULL if there is none (or the device is broken). */
struct virtq_chain *virtq_pop(struct virtq *queue) MUST_CHECK;
/* True if virtq_pop() would look at a chain. */
bool virtq_has_next(struct virtq *queue);
/* Give @chain back: @written bytes at the start of its writable part were filled.  Frees @chain.  No interrupt yet. */
void virtq_push(struct virtq *queue, struct virtq_chain *chain, uint32_t written);
/* Give back chains linked by ->next, each with ->written bytes filled, so that the driver sees all of them at once. */
void virtq_push_list(struct virtq *queue, struct virtq_chain *chains);
/* Free @chain without telling the driver (reset). */
void virtq_drop(struct virtq *queue, struct virtq_chain *chain);
/* Put back the most recently popped chain: the next virtq_pop() finds it again.  For devices that lack room now. */
void virtq_unpop(struct virtq *queue, struct virtq_chain *chain);
/* Interrupt the driver if something was pushed since the last call and the driver wants to hear of it. */
void virtq_interrupt(struct virtq *queue);
/* Chains popped and not yet given back. */
unsigned virtq_in_flight(const struct virtq *queue);

/* Advise the driver not to notify.  It may nevertheless. */
void virtq_stop_kicks(struct virtq *queue);
/*
 * Ask for a notification of the next chain that virtq_pop() has not seen.  True if there is one already: pop again.
 * Only after virtq_pop() found nothing, or found too little (and it was put back).
 */
bool virtq_want_kicks(struct virtq *queue) MUST_CHECK;

/*
 * Handle one chain: push, drop, keep or unpop it.  False: no more chains now; the device calls virtq_drain() again when
 * it can go on, and until then no kick is asked for.
 */
typedef bool (*virtq_chain_fn)(void *opaque, struct virtq *queue, struct virtq_chain *chain);
/*
 * Pop chains for @handle until none is left.  A driver that adds chains as fast as they are handled does not keep the
 * loop: after a batch the rest waits for its turn.  Ends with virtq_interrupt().
 */
void virtq_drain(struct virtq *queue, virtq_chain_fn handle, void *opaque);

/* Copy from the readable part, from byte @offset.  Returns bytes copied: less than @len at the end of the part. */
size_t virtq_chain_read(const struct virtq_chain *chain, uint64_t offset, void *to, size_t len);
/* Copy into the writable part, from byte @offset.  Returns bytes copied. */
size_t virtq_chain_write(const struct virtq_chain *chain, uint64_t offset, const void *from, size_t len);
/*
 * Make iovecs for bytes [offset, offset+len) of @count iovecs at @from.  @to has room for @count.
 * Returns the number made; the range must lie inside (else 0).  For one system call or request.
 */
unsigned virtq_slice(const struct iovec *from, unsigned count, uint64_t offset, uint64_t len,
		     struct iovec *to);

#endif
