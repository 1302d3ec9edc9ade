/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.c - one VkQueue of the host: its lock, its timeline, its fences, and whether it still lives
 *
 * How it works: a fence of the timeline is an empty submission with a VkFence of our own; the queue's thread waits for the
 * oldest and reports it.  A fence whose submission failed (device lost) waits for nothing but its turn.
 * When the context is over, fences that the GPU still holds are kept until the device is idle.
 *
 * A guest's driver polls words in memory that the GPU writes when it is done; it would never hear that the device is lost.  So while
 * there are submissions of which nobody has heard that they are done, the thread wakes up each period.  If nothing was heard in it,
 * the driver is asked: by an empty submission with a fence of our own, made once and then looked at after each period until it
 * is signalled, however long the work takes.  Who has heard of the end of everything sleeps until the next submission.
 * A loss must be seen twice: a guest that waits by a call hears of it meanwhile, and goes on by itself.
 * Threads: any; queue_main() is the queue's own.
 */
#include "venus/queue.h"

#include "base/own.h"
#include "base/wait.h"
#include "venus/context.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { QUEUE_WAIT_SLICE_NS = 100 * 1000 * 1000, QUEUE_MAX_SPARE = 16, QUEUE_ASK_MS = 1000 };

struct queue_fence {
	struct queue_fence *next;
	VkFence fence;	/* VK_NULL_HANDLE: nothing to wait for */
	uint64_t seqno; /* submissions before it */
	uint64_t id;
};

struct queue {
	struct context *context;
	const struct queue_driver *driver;
	VkQueue handle;
	struct queue_place place;
	uint32_t ring_idx; /* 0: not bound */
	pthread_mutex_t host_lock; /* around uses of handle */
	uint64_t submitted;	   /* submissions made; changed under both locks, read under one */
	_Atomic uint64_t done;	   /* of these */
	atomic_bool told;	   /* the guest knows that the device is lost */

	pthread_mutex_t lock; /* guards what follows; taken inside host_lock */
	pthread_cond_t changed;
	struct queue_fence *first, **last; /* pending, oldest first */
	struct queue_fence *held;	   /* the thread's: not signalled when the context ended */
	VkFence spare[QUEUE_MAX_SPARE];	   /* unsignalled */
	uint32_t spare_count;
	bool running, stopping;
	bool watching; /* the thread looks at submitted by itself */
	pthread_t thread;

	/* The thread's: */
	VkFence question; /* submitted to ask how far the queue is */
	uint64_t question_seqno;
	uint64_t heard; /* done when the period began */
	bool lost;	/* said the driver when it was asked last */
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

void queue_note_told(struct queue *queue)
{
	atomic_store(&queue->told, true);
}

/* Waits for the GPU, or until the context is over.  VK_TIMEOUT: the fence may still be in use. */
static VkResult queue_wait_fence(struct queue *queue, VkFence fence)
{
	const struct queue_driver *driver = queue->driver;
	VkResult result = VK_TIMEOUT;
	while (result == VK_TIMEOUT && !context_is_over(queue->context)) {
		result = driver->wait_for_fences(driver->device, 1, &fence, VK_TRUE,
						 QUEUE_WAIT_SLICE_NS);
	}
	return result;
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

/* Submits the question.  VK_SUCCESS: it is out. */
static VkResult queue_ask(struct queue *queue)
{
	VkFence fence = queue_take_spare(queue);
	if (!fence) {
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	pthread_mutex_lock(&queue->host_lock);
	queue->question_seqno = queue->submitted;
	VkResult result = queue->driver->submit(queue->handle, 0, NULL, fence);
	pthread_mutex_unlock(&queue->host_lock);
	if (result == VK_SUCCESS) {
		queue->question = fence;
	} else {
		queue->driver->destroy_fence(queue->driver->device, fence, NULL);
	}
	return result;
}

/* Looks for the answer.  Not vkGetFenceStatus(): only a wait makes all drivers look whether the device is still there. */
static VkResult queue_look(struct queue *queue)
{
	const struct queue_driver *driver = queue->driver;
	VkResult result = driver->wait_for_fences(driver->device, 1, &queue->question, VK_TRUE, 0);
	if (result == VK_SUCCESS) {
		queue_note_done(queue, queue->question_seqno);
		queue_recycle(queue, queue->question);
		queue->question = VK_NULL_HANDLE;
	}
	return result;
}

/* A period is over. */
static void queue_check(struct queue *queue)
{
	bool silent = queue->question || atomic_load(&queue->done) == queue->heard;
	if (!silent || context_is_over(queue->context)) {
		return;
	}
	VkResult asked = queue->question ? VK_SUCCESS : queue_ask(queue);
	VkResult result = asked == VK_SUCCESS ? queue_look(queue) : asked;
	bool lost = result == VK_ERROR_DEVICE_LOST;
	if (lost && queue->lost && !atomic_load(&queue->told)) {
		context_lose_device(queue->context, asked == VK_SUCCESS ? "vkWaitForFences" : "vkQueueSubmit");
	}
	queue->lost = lost;
}

/* How long the next period is: after a loss short, for a guest that hears it by a call. */
static uint64_t queue_period_ns(const struct queue *queue)
{
	uint32_t ask_ms = context_config(queue->context)->ask_ms;
	uint64_t period_ns = (ask_ms ? ask_ms : QUEUE_ASK_MS) * UINT64_C(1000000);
	return queue->lost ? period_ns / 4 : period_ns;
}

/* Locked.  True if there are submissions of which nobody has heard that they are done, and it matters. */
static bool queue_is_open(const struct queue *queue)
{
	return (queue->question || !queue_is_idle(queue)) && !atomic_load(&queue->told) &&
	       !context_is_over(queue->context);
}

/* Locked.  Sleeps until there is a fence to wait for, a period without any is over, or the queue stops. */
static void queue_sleep(struct queue *queue)
{
	uint64_t due = 0;
	int status = 0;
	while (!queue->first && !queue->stopping && !status) {
		queue->watching = queue_is_open(queue);
		if (!queue->watching) {
			due = 0;
			pthread_cond_wait(&queue->changed, &queue->lock);
			continue;
		}
		if (!due) {
			due = wait_now_ns() + queue_period_ns(queue);
			queue->heard = atomic_load(&queue->done);
		}
		status = wait_until(&queue->changed, &queue->lock, due);
	}
}

/* Sleeps.  *@out: the oldest fence, unlinked, or NULL.  False when the queue stops and none is left. */
static bool queue_next(struct queue *queue, struct queue_fence **out)
{
	LOCKED(&queue->lock);
	queue_sleep(queue);
	*out = queue->first;
	if (queue->first) {
		queue->first = queue->first->next;
		if (!queue->first) {
			queue->last = &queue->first;
		}
	}
	return *out || !queue->stopping;
}

/* Waits for a fence of the timeline and reports it. */
static void queue_finish_fence(struct queue *queue, struct queue_fence *pending)
{
	VkResult result = pending->fence ? queue_wait_fence(queue, pending->fence) : VK_NOT_READY;
	if (result == VK_SUCCESS) {
		queue_note_done(queue, pending->seqno);
	}
	context_fence_done(queue->context, queue->ring_idx, pending->id);
	if (result == VK_TIMEOUT) {
		pending->next = queue->held;
		queue->held = pending;
		return;
	}
	if (pending->fence) {
		queue_recycle(queue, pending->fence);
	}
	free(pending);
}

static void *queue_main(void *opaque)
{
	struct queue *queue = opaque;
	struct queue_fence *pending;
	while (queue_next(queue, &pending)) {
		if (pending) {
			queue_finish_fence(queue, pending);
		} else {
			queue_check(queue);
		}
	}
	return NULL;
}

/* Locked.  False if there is no thread. */
static bool queue_start(struct queue *queue)
{
	queue->running = queue->running || !pthread_create(&queue->thread, NULL, queue_main, queue);
	return queue->running;
}

uint64_t queue_count_submission(struct queue *queue)
{
	LOCKED(&queue->lock);
	if (!queue->watching && queue_start(queue)) {
		pthread_cond_signal(&queue->changed);
	}
	return ++queue->submitted;
}

/* Appends to the pending fences.  False if there is no thread. */
static bool queue_push(struct queue *queue, struct queue_fence *pending)
{
	LOCKED(&queue->lock);
	if (!queue_start(queue)) {
		return false;
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
	pending->seqno = queue->submitted;
	if (pending->fence &&
	    queue->driver->submit(queue->handle, 0, NULL, pending->fence) != VK_SUCCESS) {
		queue->driver->destroy_fence(queue->driver->device, pending->fence, NULL);
		pending->fence = VK_NULL_HANDLE;
	}
	if (queue_push(queue, pending)) {
		return true;
	}
	if (pending->fence && queue_wait_fence(queue, pending->fence) != VK_TIMEOUT) {
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
	if (queue->question) {
		queue->driver->destroy_fence(queue->driver->device, queue->question, NULL);
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
