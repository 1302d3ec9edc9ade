/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.c - one VkQueue of the host: its lock, its timeline, its fences
 *
 * How it works: a fence of the timeline is an empty submission with a VkFence of our own; the queue's thread waits for the
 * oldest and reports it.  A fence whose submission failed (device lost) waits for nothing but its turn.
 * When the context is over, fences that the GPU still holds are kept until the device is idle.
 * Threads: any; queue_main() is the queue's own.
 */
#include "venus/queue.h"

#include "base/own.h"
#include "venus/context.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { QUEUE_WAIT_SLICE_NS = 100 * 1000 * 1000, QUEUE_MAX_SPARE = 16 };

struct queue_fence {
	struct queue_fence *next;
	VkFence fence; /* VK_NULL_HANDLE: nothing to wait for */
	uint64_t id;
};

struct queue {
	struct context *context;
	const struct queue_driver *driver;
	VkQueue handle;
	struct queue_place place;
	uint32_t ring_idx; /* 0: not bound */
	pthread_mutex_t host_lock; /* around uses of handle, and: */
	uint64_t submitted;	   /* submissions made */
	_Atomic uint64_t done;	   /* of these; without the lock */

	pthread_mutex_t lock; /* guards what follows; taken inside host_lock */
	pthread_cond_t changed;
	struct queue_fence *first, **last; /* pending, oldest first */
	struct queue_fence *held;	   /* the thread's: not signalled when the context ended */
	VkFence spare[QUEUE_MAX_SPARE];	   /* unsignalled */
	uint32_t spare_count;
	bool running, stopping;
	pthread_t thread;
};

struct queue *queue_create(struct context *context, const struct queue_driver *driver,
			   VkQueue handle, const struct queue_place *place)
{
	struct queue *queue = calloc(1, sizeof(*queue));
	if (!queue) {
		return NULL;
	}
	*queue = (struct queue){
		.context = context,
		.driver = driver,
		.handle = handle,
		.place = *place,
	};
	queue->last = &queue->first;
	pthread_mutex_init(&queue->host_lock, NULL);
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	return queue;
}

VkQueue queue_handle(const struct queue *queue)
{
	return queue->handle;
}

bool queue_is(const struct queue *queue, const struct queue_place *place)
{
	return queue->place.family == place->family && queue->place.index == place->index &&
	       queue->place.flags == place->flags;
}

bool queue_bind(struct queue *queue, uint32_t ring_idx)
{
	if (queue->ring_idx || !context_bind_timeline(queue->context, ring_idx, queue)) {
		return false;
	}
	queue->ring_idx = ring_idx;
	return true;
}

pthread_mutex_t *queue_lock(struct queue *queue)
{
	return &queue->host_lock;
}

void queue_enter(struct queue *queue)
{
	context_count_submit(queue->context);
	pthread_mutex_lock(&queue->host_lock);
}

void queue_leave(struct queue *queue)
{
	pthread_mutex_unlock(&queue->host_lock);
}

uint64_t queue_count_submission(struct queue *queue)
{
	return ++queue->submitted;
}

bool queue_is_idle(const struct queue *queue)
{
	return queue->submitted == atomic_load(&queue->done);
}

void queue_note_done(struct queue *queue, uint64_t seqno)
{
	uint64_t done = atomic_load(&queue->done);
	while (done < seqno && !atomic_compare_exchange_weak(&queue->done, &done, seqno)) {
	}
}

/* Waits for the GPU, or until the context is over.  False if the fence may still be in use. */
static bool queue_wait_fence(struct queue *queue, VkFence fence)
{
	const struct queue_driver *driver = queue->driver;
	VkResult result = VK_TIMEOUT;
	while (result == VK_TIMEOUT && !context_is_over(queue->context)) {
		result = driver->wait_for_fences(driver->device, 1, &fence, VK_TRUE,
						 QUEUE_WAIT_SLICE_NS);
	}
	return result != VK_TIMEOUT;
}

/* Keeps a fence for reuse, or destroys it.  Only fences that were waited for. */
static void queue_recycle(struct queue *queue, VkFence fence)
{
	const struct queue_driver *driver = queue->driver;
	if (!context_is_over(queue->context) &&
	    driver->reset_fences(driver->device, 1, &fence) == VK_SUCCESS) {
		LOCKED(&queue->lock);
		if (queue->spare_count < QUEUE_MAX_SPARE) {
			queue->spare[queue->spare_count++] = fence;
			return;
		}
	}
	driver->destroy_fence(driver->device, fence, NULL);
}

/* The oldest fence, unlinked; waits for one.  NULL when the queue stops and none is left. */
static struct queue_fence *queue_pop(struct queue *queue)
{
	LOCKED(&queue->lock);
	while (!queue->first && !queue->stopping) {
		pthread_cond_wait(&queue->changed, &queue->lock);
	}
	struct queue_fence *pending = queue->first;
	if (pending) {
		queue->first = pending->next;
		if (!queue->first) {
			queue->last = &queue->first;
		}
	}
	return pending;
}

static void *queue_main(void *opaque)
{
	struct queue *queue = opaque;
	struct queue_fence *pending;
	while ((pending = queue_pop(queue))) {
		bool idle = pending->fence && queue_wait_fence(queue, pending->fence);
		context_fence_done(queue->context, queue->ring_idx, pending->id);
		if (pending->fence && !idle) {
			pending->next = queue->held;
			queue->held = pending;
			continue;
		}
		if (idle) {
			queue_recycle(queue, pending->fence);
		}
		free(pending);
	}
	return NULL;
}

static VkFence queue_take_spare(struct queue *queue)
{
	{
		LOCKED(&queue->lock);
		if (queue->spare_count) {
			return queue->spare[--queue->spare_count];
		}
	}
	VkFenceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
	VkFence fence = VK_NULL_HANDLE;
	const struct queue_driver *driver = queue->driver;
	if (driver->create_fence(driver->device, &info, NULL, &fence) != VK_SUCCESS) {
		return VK_NULL_HANDLE;
	}
	return fence;
}

/* Appends to the pending fences; starts the thread with the first.  False if there is no thread. */
static bool queue_push(struct queue *queue, struct queue_fence *pending)
{
	LOCKED(&queue->lock);
	if (!queue->running) {
		if (pthread_create(&queue->thread, NULL, queue_main, queue)) {
			return false;
		}
		queue->running = true;
	}
	*queue->last = pending;
	queue->last = &pending->next;
	pthread_cond_signal(&queue->changed);
	return true;
}

bool queue_add_fence(struct queue *queue, uint64_t fence_id)
{
	struct queue_fence *pending = calloc(1, sizeof(*pending));
	if (!pending) {
		return false;
	}
	pending->id = fence_id;
	pending->fence = queue_take_spare(queue);
	LOCKED(&queue->host_lock); /* submission and list stay in the same order */
	if (pending->fence &&
	    queue->driver->submit(queue->handle, 0, NULL, pending->fence) != VK_SUCCESS) {
		queue->driver->destroy_fence(queue->driver->device, pending->fence, NULL);
		pending->fence = VK_NULL_HANDLE;
	}
	if (queue_push(queue, pending)) {
		return true;
	}
	if (pending->fence && queue_wait_fence(queue, pending->fence)) {
		queue->driver->destroy_fence(queue->driver->device, pending->fence, NULL);
	}
	free(pending);
	return false;
}

void queue_stop(struct queue *queue)
{
	if (queue->ring_idx) {
		context_unbind_timeline(queue->context, queue->ring_idx);
	}
	if (queue->running) {
		{
			LOCKED(&queue->lock);
			queue->stopping = true;
			pthread_cond_signal(&queue->changed);
		}
		pthread_join(queue->thread, NULL);
	}
}

void queue_destroy(struct queue *queue)
{
	while (queue->held) {
		struct queue_fence *held = queue->held;
		queue->held = held->next;
		queue->driver->destroy_fence(queue->driver->device, held->fence, NULL);
		free(held);
	}
	while (queue->spare_count) {
		queue->driver->destroy_fence(queue->driver->device,
					     queue->spare[--queue->spare_count], NULL);
	}
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->lock);
	pthread_mutex_destroy(&queue->host_lock);
	free(queue);
}
