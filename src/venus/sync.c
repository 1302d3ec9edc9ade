/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync.c - submissions, and emulated SYNC_FD semaphores
 *
 * How it works: a submission that only writes words the guest polls, on a queue that is idle, is
 * done here (feedback.h).  All others are the driver's.  A sync file never crosses to us; the guest
 * only tells what importing or exporting one does to the payload.
 * One that is imported (vkImportSemaphoreResourceMESA) makes the semaphore's payload signalled: we
 * keep that in its data and take it out of the wait list of the next submission.  Where one is
 * exported (vkWaitSemaphoreResourceMESA) the pending signal is consumed by an empty submission that
 * waits for it, on the queue that signals it.  Command buffers that could not be recorded are left
 * out.  Waits are made in slices, so that they end with the context.
 *
 * Threads: the lane's; the counters in struct device only say that there may be something to do.
 */
#include "venus/sync.h"

#include "base/loop.h"
#include "base/own.h"
#include "venus/chain.h"
#include "venus/context.h"
#include "venus/device.h"
#include "venus/feedback.h"
#include "venus/fence.h"
#include "venus_args.h"

#include <errno.h>
#include <stdlib.h>

enum { SYNC_SLICE_NS = 100 * 1000 * 1000 };

/* Data of VkSemaphore objects that need it. */
struct sync {
	struct device *device;
	bool imported;	    /* signalled payload, not in the host's object */
	bool tracked;	    /* may be exported */
	struct queue *last; /* that was told to signal it last */
};

static struct device *sync_device(const struct venus_object *object)
{
	return object && object->type == VK_OBJECT_TYPE_DEVICE ? object->data : NULL;
}

static struct device *sync_device_of_queue(const struct venus_call *call)
{
	return call->object && call->object->parent ? sync_device(call->object->parent) : NULL;
}

void sync_free_data(struct venus_object *object)
{
	struct sync *sync = object->data;
	atomic_fetch_sub(&sync->device->imported, sync->imported);
	atomic_fetch_sub(&sync->device->tracked, sync->tracked);
	free(sync);
}

/* The data of @object, made if there is none.  NULL if out of memory. */
static struct sync *sync_of(struct device *device, struct venus_object *object)
{
	if (!object->data) {
		struct sync *sync = calloc(1, sizeof(*sync));
		if (sync) {
			sync->device = device;
		}
		object->data = sync;
	}
	return object->data;
}

static void sync_set_imported(struct sync *sync, bool imported)
{
	if (imported != sync->imported) {
		sync->imported = imported;
		atomic_fetch_add(&sync->device->imported, imported ? 1u : -1u);
	}
}

/* True if the payload at @slot was imported; it is consumed by the question. */
static bool sync_take_imported(struct venus_call *call, const VkSemaphore *slot)
{
	struct venus_object *object = venus_call_object_at(call, slot);
	struct sync *sync = object ? object->data : NULL;
	if (!sync || !sync->imported) {
		return false;
	}
	sync_set_imported(sync, false);
	return true;
}

static void sync_note_signal(struct venus_call *call, const VkSemaphore *slot)
{
	struct venus_object *object = venus_call_object_at(call, slot);
	struct sync *sync = object ? object->data : NULL;
	if (sync) {
		sync->last = call->object->data;
	}
}

int sync_create_semaphore(struct venus_call *call)
{
	struct vkCreateSemaphore_args *args = call->args;
	VkSemaphoreCreateInfo *info = (VkSemaphoreCreateInfo *)args->pCreateInfo;
	struct device *device = sync_device(call->object);
	if (!info || !device) {
		return venus_decoder_fail(call->decoder, "semaphore that cannot be made");
	}
	bool exported = chain_unlink(info, VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO) != NULL;
	int status = venus_call_driver(call);
	if (status || args->ret != VK_SUCCESS || !exported) {
		return status;
	}
	struct venus_object *object = venus_call_register(call, 0);
	struct sync *sync = object ? sync_of(device, object) : NULL;
	if (!sync) {
		return venus_decoder_fail(call->decoder, "no memory for a semaphore");
	}
	sync->tracked = true;
	atomic_fetch_add(&device->tracked, 1);
	return 0;
}

int sync_wait_semaphores(struct venus_call *call)
{
	struct vkWaitSemaphores_args *args = call->args;
	struct device *device = sync_device(call->object);
	if (!device || !args->pWaitInfo) {
		return venus_decoder_fail(call->decoder, "wait for nothing");
	}
	PFN_vkWaitSemaphores wait =
		(PFN_vkWaitSemaphores)venus_driver_fn(call->dispatch, call->object, call->command);
	if (!wait) {
		return -ENOSYS;
	}
	uint64_t start = loop_now_ns(), left = args->timeout;
	do {
		uint64_t slice = left < SYNC_SLICE_NS ? left : SYNC_SLICE_NS;
		args->ret = wait(device->handle, args->pWaitInfo, slice);
		if (args->ret != VK_TIMEOUT || slice == left) {
			return 0;
		}
		uint64_t gone = loop_now_ns() - start;
		left = gone < args->timeout ? args->timeout - gone : 0;
	} while (!context_is_over(device->context));
	args->ret = VK_ERROR_DEVICE_LOST;
	return 0;
}

/* Submissions */

/* Passes the submission through the queue's gate.  @list: its command buffers. */
static int sync_submit(struct venus_call *call, struct device *device, struct venus_object *fence,
		       VkResult *result, const struct feedback_list *list)
{
	struct queue *queue = call->object->data;
	int status = 0;
	fence_prepare(device, fence);
	queue_enter(queue);
	if (!list->others && queue_is_idle(queue) && feedback_write(list, call) &&
	    (!fence || fence_signal(device, fence))) {
		*result = VK_SUCCESS;
	} else {
		uint64_t seqno = queue_count_submission(queue);
		status = venus_call_driver(call);
		fence_submitted(device, fence, queue, seqno);
	}
	queue_leave(queue);
	return status;
}

/* What the driver would have to do for a batch besides running its command buffers. */
static bool sync_has_more(const VkSubmitInfo *batch)
{
	return batch->pNext || batch->waitSemaphoreCount || batch->signalSemaphoreCount ||
	       (batch->commandBufferCount && !batch->pCommandBuffers);
}

/* Takes imported payloads out of a batch. */
static void sync_filter_batch(struct venus_call *call, VkSubmitInfo *batch)
{
	VkSemaphore *semaphores = (VkSemaphore *)batch->pWaitSemaphores;
	VkPipelineStageFlags *stages = (VkPipelineStageFlags *)batch->pWaitDstStageMask;
	VkTimelineSemaphoreSubmitInfo *timeline =
		chain_find(batch, VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO);
	VkDeviceGroupSubmitInfo *group =
		chain_find(batch, VK_STRUCTURE_TYPE_DEVICE_GROUP_SUBMIT_INFO);
	uint64_t *values = timeline && timeline->waitSemaphoreValueCount
				   ? (uint64_t *)timeline->pWaitSemaphoreValues
				   : NULL;
	uint32_t *indices = group && group->waitSemaphoreCount
				    ? (uint32_t *)group->pWaitSemaphoreDeviceIndices
				    : NULL;
	uint32_t kept = 0;
	for (uint32_t i = 0; semaphores && i < batch->waitSemaphoreCount; i++) {
		if (sync_take_imported(call, &batch->pWaitSemaphores[i])) {
			continue;
		}
		semaphores[kept] = semaphores[i];
		if (stages) {
			stages[kept] = stages[i];
		}
		if (values && i < timeline->waitSemaphoreValueCount) {
			values[kept] = values[i];
		}
		if (indices && i < group->waitSemaphoreCount) {
			indices[kept] = indices[i];
		}
		kept++;
	}
	batch->waitSemaphoreCount = kept;
	if (values && timeline->waitSemaphoreValueCount > kept) {
		timeline->waitSemaphoreValueCount = kept;
	}
	if (indices) {
		group->waitSemaphoreCount = kept;
	}
}

/* Looks at the batch's command buffers; those that could not be recorded are left out. */
static void sync_look_at_commands(struct venus_call *call, VkSubmitInfo *batch,
				  struct feedback_list *list)
{
	VkCommandBuffer *commands = (VkCommandBuffer *)batch->pCommandBuffers;
	VkDeviceGroupSubmitInfo *group =
		chain_find(batch, VK_STRUCTURE_TYPE_DEVICE_GROUP_SUBMIT_INFO);
	uint32_t *masks = group && group->commandBufferCount
				  ? (uint32_t *)group->pCommandBufferDeviceMasks
				  : NULL;
	uint32_t kept = 0;
	for (uint32_t i = 0; commands && i < batch->commandBufferCount; i++) {
		if (!feedback_add(list, call, &commands[i])) {
			continue;
		}
		commands[kept] = commands[i];
		if (masks && i < group->commandBufferCount) {
			masks[kept] = masks[i];
		}
		kept++;
	}
	batch->commandBufferCount = kept;
	if (masks) {
		group->commandBufferCount = kept;
	}
}

static void sync_look_at_commands2(struct venus_call *call, VkSubmitInfo2 *batch,
				   struct feedback_list *list)
{
	VkCommandBufferSubmitInfo *commands =
		(VkCommandBufferSubmitInfo *)batch->pCommandBufferInfos;
	uint32_t kept = 0;
	for (uint32_t i = 0; commands && i < batch->commandBufferInfoCount; i++) {
		if (feedback_add(list, call, &commands[i].commandBuffer)) {
			commands[kept++] = commands[i];
		}
	}
	batch->commandBufferInfoCount = kept;
}

int sync_queue_submit(struct venus_call *call)
{
	struct vkQueueSubmit_args *args = call->args;
	struct device *device = sync_device_of_queue(call);
	if (!device || (args->submitCount && !args->pSubmits)) {
		return venus_decoder_fail(call->decoder, "submission without batches");
	}
	bool filter = atomic_load(&device->imported), track = atomic_load(&device->tracked);
	struct feedback_list list = {0};
	for (uint32_t i = 0; i < args->submitCount; i++) {
		VkSubmitInfo *batch = (VkSubmitInfo *)&args->pSubmits[i];
		list.others |= sync_has_more(batch);
		sync_look_at_commands(call, batch, &list);
		if (filter) {
			sync_filter_batch(call, batch);
		}
		for (uint32_t j = 0;
		     track && batch->pSignalSemaphores && j < batch->signalSemaphoreCount; j++) {
			sync_note_signal(call, &batch->pSignalSemaphores[j]);
		}
	}
	return sync_submit(call, device, args->fence_obj, &args->ret, &list);
}

static void sync_filter_batch2(struct venus_call *call, VkSubmitInfo2 *batch)
{
	VkSemaphoreSubmitInfo *waits = (VkSemaphoreSubmitInfo *)batch->pWaitSemaphoreInfos;
	uint32_t kept = 0;
	for (uint32_t i = 0; waits && i < batch->waitSemaphoreInfoCount; i++) {
		if (!sync_take_imported(call, &waits[i].semaphore)) {
			waits[kept++] = waits[i];
		}
	}
	batch->waitSemaphoreInfoCount = kept;
}

static bool sync_has_more2(const VkSubmitInfo2 *batch)
{
	return batch->pNext || batch->flags || batch->waitSemaphoreInfoCount ||
	       batch->signalSemaphoreInfoCount ||
	       (batch->commandBufferInfoCount && !batch->pCommandBufferInfos);
}

int sync_queue_submit2(struct venus_call *call)
{
	struct vkQueueSubmit2_args *args = call->args;
	struct device *device = sync_device_of_queue(call);
	if (!device || (args->submitCount && !args->pSubmits)) {
		return venus_decoder_fail(call->decoder, "submission without batches");
	}
	bool filter = atomic_load(&device->imported), track = atomic_load(&device->tracked);
	struct feedback_list list = {0};
	for (uint32_t i = 0; i < args->submitCount; i++) {
		VkSubmitInfo2 *batch = (VkSubmitInfo2 *)&args->pSubmits[i];
		list.others |= sync_has_more2(batch);
		sync_look_at_commands2(call, batch, &list);
		if (filter) {
			sync_filter_batch2(call, batch);
		}
		for (uint32_t j = 0;
		     track && batch->pSignalSemaphoreInfos && j < batch->signalSemaphoreInfoCount;
		     j++) {
			sync_note_signal(call, &batch->pSignalSemaphoreInfos[j].semaphore);
		}
	}
	return sync_submit(call, device, args->fence_obj, &args->ret, &list);
}

int sync_queue_bind_sparse(struct venus_call *call)
{
	struct vkQueueBindSparse_args *args = call->args;
	struct device *device = sync_device_of_queue(call);
	if (!device || (args->bindInfoCount && !args->pBindInfo)) {
		return venus_decoder_fail(call->decoder, "submission without batches");
	}
	for (uint32_t i = 0; i < args->bindInfoCount && atomic_load(&device->imported); i++) {
		VkBindSparseInfo *batch = (VkBindSparseInfo *)&args->pBindInfo[i];
		VkSemaphore *waits = (VkSemaphore *)batch->pWaitSemaphores;
		uint32_t kept = 0;
		for (uint32_t j = 0; waits && j < batch->waitSemaphoreCount; j++) {
			if (!sync_take_imported(call, &waits[j])) {
				waits[kept++] = waits[j];
			}
		}
		batch->waitSemaphoreCount = kept;
	}
	return sync_submit(call, device, args->fence_obj, &args->ret,
			   &(struct feedback_list){.others = true});
}

/* Emulated sync files */

int sync_import_semaphore_resource(struct venus_call *call)
{
	struct vkImportSemaphoreResourceMESA_args *args = call->args;
	const VkImportSemaphoreResourceInfoMESA *info = args->pImportSemaphoreResourceInfo;
	struct device *device = sync_device(call->object);
	struct venus_object *object = info ? venus_call_object_at(call, &info->semaphore) : NULL;
	if (!device || !object || info->resourceId) {
		return venus_decoder_fail(call->decoder, "semaphore payload that is not there");
	}
	struct sync *sync = sync_of(device, object);
	if (!sync) {
		return venus_decoder_fail(call->decoder, "no memory for a semaphore");
	}
	sync_set_imported(sync, true);
	return 0;
}

/* An empty submission that waits for @semaphore on @queue, holding nothing up. */
static void sync_consume(struct device *device, struct queue *queue, VkSemaphore semaphore)
{
	const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT;
	VkSubmitInfo batch = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.waitSemaphoreCount = 1,
		.pWaitSemaphores = &semaphore,
		.pWaitDstStageMask = &stage,
	};
	LOCKED(queue_lock(queue));
	queue_count_submission(queue);
	device->driver.submit(queue_handle(queue), 1, &batch, VK_NULL_HANDLE);
}

int sync_wait_semaphore_resource(struct venus_call *call)
{
	struct vkWaitSemaphoreResourceMESA_args *args = call->args;
	struct device *device = sync_device(call->object);
	struct venus_object *object = args->semaphore_obj;
	if (!device || !object || !device->queue_count) {
		return venus_decoder_fail(call->decoder, "semaphore that cannot be waited for");
	}
	struct sync *sync = object->data;
	if (sync && sync->imported) {
		sync_set_imported(sync, false);
		return 0;
	}
	sync_consume(device, sync && sync->last ? sync->last : device->queues[0], args->semaphore);
	return 0;
}
