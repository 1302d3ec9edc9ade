/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h - one VkQueue of the host: its lock, its timeline, its fences, and whether it still lives
 *
 * Invariants: every call that takes the VkQueue is made under its lock.  Fences complete in the order added, and only when
 * all work submitted to the queue before them is done.
 * When nobody hears for a second of submissions that are not known to be done, the driver is asked whether it still has its device;
 * if not, and the guest is not told by a call, the context ends by name.
 * Threads: any; a thread of the queue's own waits for its fences and asks, started with the first submission or fence.
 */
#ifndef ORIEL_VENUS_QUEUE_H
#define ORIEL_VENUS_QUEUE_H

#include "base/error.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <vulkan/vulkan_core.h>

struct context;
struct queue;

/* The driver's functions that a queue needs. */
struct queue_driver {
	VkDevice device;
	PFN_vkCreateFence create_fence;
	PFN_vkDestroyFence destroy_fence;
	PFN_vkWaitForFences wait_for_fences;
	PFN_vkResetFences reset_fences;
	PFN_vkQueueSubmit submit;
};

/* Which of its device's queues one is. */
struct queue_place {
	uint32_t family, index;
	VkDeviceQueueCreateFlags flags; /* a protected queue is another one */
};

/* @driver is borrowed and outlives the queue.  NULL if out of memory. */
struct queue *queue_create(struct context *context, const struct queue_driver *driver, VkQueue handle,
			   const struct queue_place *place) MUST_CHECK;
/* Reports what fences are left as they complete, or at once if the context is over; ends the thread and the timeline. */
void queue_stop(struct queue *queue);
/* After queue_stop(), the device being idle or lost. */
void queue_destroy(struct queue *queue);

VkQueue queue_handle(const struct queue *queue);
bool queue_is(const struct queue *queue, const struct queue_place *place);
/* Bind to a timeline of the context.  False if the queue or the timeline is bound already. */
bool queue_bind(struct queue *queue, uint32_t ring_idx);

/* The lock around every use of the VkQueue. */
pthread_mutex_t *queue_lock(struct queue *queue);

/*
 * The one gate in front of every submission: locks the queue once the arbiter lets more work in, counts.
 * Today everything is granted at once.  Pair with queue_leave().
 */
void queue_enter(struct queue *queue);
void queue_leave(struct queue *queue);

/* Between the two: a submission goes to the driver; its number. */
uint64_t queue_count_submission(struct queue *queue);
/* Between the two: true if every one of them is known to be done. */
bool queue_is_idle(const struct queue *queue);
/* Any thread: the submission @seqno and those before it are done. */
void queue_note_done(struct queue *queue, uint64_t seqno);
/* Any thread: a call told the guest that the device is lost, so nobody needs to find out. */
void queue_note_told(struct queue *queue);

/* Signal @fence_id of the queue's timeline when all that was submitted so far is done.  False: it is done already. */
bool queue_add_fence(struct queue *queue, uint64_t fence_id);

#endif
