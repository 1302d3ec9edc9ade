/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtq_priv.h - a queue's state, shared by virtq.c and the device core
 * Threads: the device's loop.
 */
#ifndef ORIEL_VIRTIO_VIRTQ_PRIV_H
#define ORIEL_VIRTIO_VIRTQ_PRIV_H

#include "virtio/transport.h"
#include "virtio/virtq.h"

enum { VIRTQ_MAX_INDIRECT = 1024 }; /* buffers of a chain, whatever the queue's size */

struct virtq {
	struct virtio_device *device;
	unsigned index;
	bool ready, event_idx, indirect;
	uint16_t size, next_avail, next_used, signalled_used;
	uint16_t seen_avail; /* the driver's index when virtq_pop() last looked */
	const struct virtq_desc *descriptors; /* the three parts in guest RAM */
	struct virtq_avail *avail;
	struct virtq_used *used;
	unsigned in_flight;
	uint64_t head_busy[VIRTIO_MAX_QUEUE_SIZE / 64]; /* heads that the device holds */
};

/* Start at index 0 with the driver's @setup and @features.  -EINVAL if it makes no sense, -EFAULT if outside RAM. */
int virtq_start(struct virtq *queue, const struct virtio_queue_setup *setup, uint64_t features) MUST_CHECK;
/* Forget the driver's memory.  Nothing may be in flight. */
void virtq_stop(struct virtq *queue);

#endif
