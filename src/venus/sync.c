/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync.c - submissions, waits, and emulated SYNC_FD semaphores and fences
 *
 * How it works: a sync file never crosses to us; the guest only tells what importing or exporting one does to the payload.
 *  - imported (vkImportSemaphoreResourceMESA): the semaphore has a signalled payload.  We keep that in its data
 *    and take it out of the wait list of the next submission.
 *  - exported semaphore (vkWaitSemaphoreResourceMESA): the pending signal is consumed by an empty submission that waits for
 *    it, on the queue that signals it.
 *  - exported fence (vkResetFenceResourceMESA): reset after it was signalled; done before its next use.
 * Waits are made in slices, so that they end with the context.
 * Threads: the lane's; the counters in struct device only say that there may be something to do.
 */
#include "venus/sync.h"

#include "base/loop.h"
#include "base/own.h"
#include "venus/chain.h"
#include "venus/context.h"
#include "venus/device.h"
#include "venus_args.h"

#include <errno.h>
#include <stdlib.h>

enum { SYNC_SLICE_NS = 100 * 1000 * 1000 };

/* Data of VkSemaphore and VkFence objects that need it. */
struct sync {
	struct device *device;
	bool imported;	       /* semaphore: signalled payload, not in the host's object */
	bool tracked;	       /* semaphore: may be exported */
	bool resetting;	       /* fence: to be reset once signalled */
	struct queue *last;    /* semaphore: that was told to signal it last */
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
	atomic_fetch_sub(&sync->device->resetting, sync->resetting);
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

static void sync_set_resetting(struct sync *sync, bool resetting)
{
	if (resetting != sync->resetting) {
		sync->resetting = resetting;
		atomic_fetch_add(&sync->device->resetting, resetting ? 1u : -1u);
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

int sync_create_fence(struct venus_call *call)
{
	struct vkCreateFence_args *args = call->args;
	VkFenceCreateInfo *info = (VkFenceCreateInfo *)args->pCreateInfo;
	if (!info) {
		return venus_decoder_fail(call->decoder, "fence that cannot be made");
	}
	chain_unlink(info, VK_STRUCTURE_TYPE_EXPORT_FENCE_CREATE_INFO);
	return venus_call_driver(call);
}

/* Waits */

struct sync_wait {
	struct device *device;
	PFN_vkWaitForFences for_fences;
	PFN_vkWaitSemaphores for_semaphores;
	uint32_t count;
	const VkFence *fences; /* or */
	const VkSemaphoreWaitInfo *semaphores;
	VkBool32 all;
};

static VkResult sync_wait_slice(const struct sync_wait *wait, uint64_t slice)
{
	if (wait->fences) {
		return wait->for_fences(wait->device->handle, wait->count, wait->fences, wait->all,
					slice);
	}
	return wait->for_semaphores(wait->device->handle, wait->semaphores, slice);
}

/* Waits up to @timeout ns.  VK_ERROR_DEVICE_LOST when the context ends first. */
static VkResult sync_wait(const struct sync_wait *wait, uint64_t timeout)
{
	uint64_t start = loop_now_ns();
	while (!context_is_over(wait->device->context)) {
		uint64_t gone = loop_now_ns() - start;
		uint64_t left = gone < timeout ? timeout - gone : 0;
		uint64_t slice = left < SYNC_SLICE_NS ? left : SYNC_SLICE_NS;
		VkResult result = sync_wait_slice(wait, slice);
		if (result != VK_TIMEOUT || left <= SYNC_SLICE_NS) {
			return result;
		}
	}
	return VK_ERROR_DEVICE_LOST;
}

/* If the fence at @slot is to be reset, wait for it and do it. */
static void sync_settle_fence(struct venus_call *call, struct device *device,
			      struct venus_object *object)
{
	struct sync *sync = object ? object->data : NULL;
	if (!sync || !sync->resetting) {
		return;
	}
	VkFence fence = (VkFence)(uintptr_t)object->handle;
	struct sync_wait wait = {
		.device = device,
		.for_fences = device->driver.wait_for_fences,
		.count = 1,
		.fences = &fence,
		.all = VK_TRUE,
	};
	(void)call;
	if (sync_wait(&wait, UINT64_MAX) == VK_SUCCESS) {
		device->driver.reset_fences(device->handle, 1, &fence);
	}
	sync_set_resetting(sync, false);
}

static void sync_settle_fences(struct venus_call *call, struct device *device, uint32_t count,
			       const VkFence *fences)
{
	if (!atomic_load(&device->resetting)) {
		return;
	}
	for (uint32_t i = 0; fences && i < count; i++) {
		sync_settle_fence(call, device, venus_call_object_at(call, &fences[i]));
	}
}

int sync_wait_for_fences(struct venus_call *call)
{
	struct vkWaitForFences_args *args = call->args;
	struct device *device = sync_device(call->object);
	if (!device || !args->pFences || !args->fenceCount) {
		return venus_decoder_fail(call->decoder, "wait for nothing");
	}
	sync_settle_fences(call, device, args->fenceCount, args->pFences);
	struct sync_wait wait = {
		.device = device,
		.for_fences = device->driver.wait_for_fences,
		.count = args->fenceCount,
		.fences = args->pFences,
		.all = args->waitAll,
	};
	args->ret = sync_wait(&wait, args->timeout);
	return 0;
}

int sync_wait_semaphores(struct venus_call *call)
{
	struct vkWaitSemaphores_args *args = call->args;
	struct device *device = sync_device(call->object);
	if (!device || !args->pWaitInfo) {
		return venus_decoder_fail(call->decoder, "wait for nothing");
	}
	struct sync_wait wait = {
		.device = device,
		.for_semaphores = (PFN_vkWaitSemaphores)venus_driver_fn(call->dispatch, call->object,
									call->command),
		.semaphores = args->pWaitInfo,
	};
	if (!wait.for_semaphores) {
		return -ENOSYS;
	}
	args->ret = sync_wait(&wait, args->timeout);
	return 0;
}

int sync_get_fence_status(struct venus_call *call)
{
	struct vkGetFenceStatus_args *args = call->args;
	struct device *device = sync_device(call->object);
	if (device && atomic_load(&device->resetting)) {
		sync_settle_fence(call, device, args->fence_obj);
	}
	return venus_call_driver(call);
}

int sync_reset_fences(struct venus_call *call)
{
	struct vkResetFences_args *args = call->args;
	struct device *device = sync_device(call->object);
	if (device) {
		sync_settle_fences(call, device, args->fenceCount, args->pFences);
	}
	return venus_call_driver(call);
}

/* Submissions */

/* Passes the submission through the queue's gate. */
static int sync_submit(struct venus_call *call, struct device *device, struct venus_object *fence)
{
	struct queue *queue = call->object->data;
	if (fence && atomic_load(&device->resetting)) {
		sync_settle_fence(call, device, fence);
	}
	queue_enter(queue);
	int status = venus_call_driver(call);
	queue_leave(queue);
	return status;
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

int sync_queue_submit(struct venus_call *call)
{
	struct vkQueueSubmit_args *args = call->args;
	struct device *device = sync_device_of_queue(call);
	if (!device || (args->submitCount && !args->pSubmits)) {
		return venus_decoder_fail(call->decoder, "submission without batches");
	}
	bool filter = atomic_load(&device->imported), track = atomic_load(&device->tracked);
	for (uint32_t i = 0; i < args->submitCount; i++) {
		VkSubmitInfo *batch = (VkSubmitInfo *)&args->pSubmits[i];
		if (filter) {
			sync_filter_batch(call, batch);
		}
		for (uint32_t j = 0; track && batch->pSignalSemaphores && j < batch->signalSemaphoreCount;
		     j++) {
			sync_note_signal(call, &batch->pSignalSemaphores[j]);
		}
	}
	return sync_submit(call, device, args->fence_obj);
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

int sync_queue_submit2(struct venus_call *call)
{
	struct vkQueueSubmit2_args *args = call->args;
	struct device *device = sync_device_of_queue(call);
	if (!device || (args->submitCount && !args->pSubmits)) {
		return venus_decoder_fail(call->decoder, "submission without batches");
	}
	bool filter = atomic_load(&device->imported), track = atomic_load(&device->tracked);
	for (uint32_t i = 0; i < args->submitCount; i++) {
		VkSubmitInfo2 *batch = (VkSubmitInfo2 *)&args->pSubmits[i];
		if (filter) {
			sync_filter_batch2(call, batch);
		}
		for (uint32_t j = 0;
		     track && batch->pSignalSemaphoreInfos && j < batch->signalSemaphoreInfoCount;
		     j++) {
			sync_note_signal(call, &batch->pSignalSemaphoreInfos[j].semaphore);
		}
	}
	return sync_submit(call, device, args->fence_obj);
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
	return sync_submit(call, device, args->fence_obj);
}

/* Emulated sync files */

int sync_import_semaphore_resource(struct venus_call *call)
{
	struct vkImportSemaphoreResourceMESA_args *args = call->args;
	const VkImportSemaphoreResourceInfoMESA *info = args->pImportSemaphoreResourceInfo;
	struct device *device = sync_device(call->object);
	struct venus_object *object =
		info ? venus_call_object_at(call, &info->semaphore) : NULL;
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

int sync_reset_fence_resource(struct venus_call *call)
{
	struct vkResetFenceResourceMESA_args *args = call->args;
	struct device *device = sync_device(call->object);
	struct sync *sync =
		device && args->fence_obj ? sync_of(device, args->fence_obj) : NULL;
	if (!sync) {
		return venus_decoder_fail(call->decoder, "fence that cannot be reset");
	}
	sync_set_resetting(sync, true);
	return 0;
}
