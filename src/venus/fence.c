/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fence.c - VkFence: waits, exports on drivers that have none, submissions that were done when they
 * came
 *
 * How it works: a fence is the driver's, with data of ours where that is not all:
 *  - exported (vkResetFenceResourceMESA): reset after it was signalled; done before its next use.
 *  - signalled by us: its submission had nothing for the driver to do (feedback.h).  The driver's
 * fence stays unsignalled.
 *  - submitted: which submission it tells of, so that a queue knows how much of it is done.
 * Waits are made in slices, so that they end with the context.
 * Threads: the lane's; the counters in struct device only say that there may be something to do.
 */
#include "venus/fence.h"

#include "base/loop.h"
#include "venus/chain.h"
#include "venus/context.h"
#include "venus/device.h"
#include "venus_args.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

enum {
	FENCE_SLICE_NS = 100 * 1000 * 1000,
	FENCE_SPIN_NS = 20 * 1000, /* guests mostly wait for what they have seen done: the driver is
				      about to signal it */
	FENCE_SPINS = 8, /* Mesa asks 16 times, then sleeps for 160 us and more between questions */
	FENCE_LONG_NS = 1000 * 1000,  /* from here on the end of the work is worth sleeping for */
	FENCE_HASTE_NS = 1000 * 1000, /* who asks again so soon does nothing else */
	FENCE_HOLD_NS = 2000 * 1000,
};

/* Data of VkFence objects that need it. */
struct fence {
	struct device *device;
	bool resetting; /* to be reset once signalled */
	bool signalled; /* by us */
	struct queue
		*queue; /* of the submission that signals it; NULL: none, or it was seen done */
	uint64_t seqno; /* of that submission */
	uint64_t submitted_ns; /* when that was */
	uint64_t answered_ns;  /* when a question about it was answered last */
	unsigned spins;	       /* that questions about it may still cost */
};

static struct device *fence_device(const struct venus_object *object)
{
	return object && object->type == VK_OBJECT_TYPE_DEVICE ? object->data : NULL;
}

/* The data of @object, made if there is none.  NULL if out of memory. */
static struct fence *fence_of(struct device *device, struct venus_object *object)
{
	if (!object->data) {
		struct fence *fence = calloc(1, sizeof(*fence));
		if (fence) {
			fence->device = device;
		}
		object->data = fence;
	}
	return object->data;
}

static void fence_set(atomic_uint *count, bool *flag, bool value)
{
	if (*flag != value) {
		*flag = value;
		atomic_fetch_add(count, value ? 1u : -1u);
	}
}

void fence_free_data(struct venus_object *object)
{
	struct fence *fence = object->data;
	fence_set(&fence->device->resetting, &fence->resetting, false);
	fence_set(&fence->device->signalled, &fence->signalled, false);
	free(fence);
}

int fence_create(struct venus_call *call)
{
	struct vkCreateFence_args *args = call->args;
	VkFenceCreateInfo *info = (VkFenceCreateInfo *)args->pCreateInfo;
	if (!info) {
		return venus_decoder_fail(call->decoder, "fence that cannot be made");
	}
	chain_unlink(info, VK_STRUCTURE_TYPE_EXPORT_FENCE_CREATE_INFO);
	return venus_call_driver(call);
}

/* What the driver is about to signal is had without sleeping.  VK_TIMEOUT: not soon. */
static VkResult fence_spin(struct device *device, uint32_t count, const VkFence *fences,
			   VkBool32 all)
{
	uint64_t start = loop_now_ns();
	VkResult result;
	do {
		result = device->driver.wait_for_fences(device->handle, count, fences, all, 0);
	} while (result == VK_TIMEOUT && loop_now_ns() - start < FENCE_SPIN_NS && !sched_yield());
	return result;
}

VkResult fence_wait_driver(struct device *device, uint32_t count, const VkFence *fences,
			   VkBool32 all, uint64_t timeout)
{
	uint64_t start = loop_now_ns();
	VkResult result = fence_spin(device, count, fences, all);
	while (result == VK_TIMEOUT && !context_is_over(device->context)) {
		uint64_t gone = loop_now_ns() - start;
		uint64_t left = gone < timeout ? timeout - gone : 0;
		uint64_t slice = left < FENCE_SLICE_NS ? left : FENCE_SLICE_NS;
		result = device->driver.wait_for_fences(device->handle, count, fences, all, slice);
		if (left <= FENCE_SLICE_NS) {
			return result;
		}
	}
	return result == VK_TIMEOUT ? VK_ERROR_DEVICE_LOST : result;
}

/* The submission that signals the fence is done, and with it all before. */
static void fence_seen_done(struct venus_object *object)
{
	struct fence *fence = object ? object->data : NULL;
	if (fence && fence->queue) {
		queue_note_done(fence->queue, fence->seqno);
		fence->queue = NULL;
	}
}

void fence_prepare(struct device *device, struct venus_object *object)
{
	struct fence *fence = object ? object->data : NULL;
	if (!fence) {
		return;
	}
	fence_set(&device->signalled, &fence->signalled, false);
	if (fence->resetting) {
		VkFence handle = (VkFence)(uintptr_t)object->handle;
		if (fence_wait_driver(device, 1, &handle, VK_TRUE, UINT64_MAX) == VK_SUCCESS) {
			device->driver.reset_fences(device->handle, 1, &handle);
		}
		fence_set(&device->resetting, &fence->resetting, false);
	}
}

void fence_submitted(struct device *device, struct venus_object *object, struct queue *queue,
		     uint64_t seqno)
{
	struct fence *fence = object ? fence_of(device, object) : NULL;
	if (fence) {
		fence->queue = queue;
		fence->seqno = seqno;
		fence->spins = FENCE_SPINS;
		fence->submitted_ns = loop_now_ns();
	}
}

bool fence_signal(struct device *device, struct venus_object *object)
{
	struct fence *fence = fence_of(device, object);
	if (fence) {
		fence->queue = NULL;
		fence_set(&device->signalled, &fence->signalled, true);
	}
	return fence != NULL;
}

/* Resets of exported fences that were put off. */
static void fence_settle(struct venus_call *call, struct device *device, uint32_t count,
			 const VkFence *fences)
{
	for (uint32_t i = 0; atomic_load(&device->resetting) && i < count; i++) {
		struct venus_object *object = venus_call_object_at(call, &fences[i]);
		struct fence *fence = object ? object->data : NULL;
		if (fence && fence->resetting) {
			fence_prepare(device, object);
		}
	}
}

static bool fence_is_signalled(struct venus_call *call, const VkFence *slot)
{
	struct venus_object *object = venus_call_object_at(call, slot);
	const struct fence *fence = object ? object->data : NULL;
	return fence && fence->signalled;
}

/*
 * What is asked for is not signalled yet.  The answer is held back for a moment where that is
 * cheaper than another question: at first by looking again, later asleep, since a question costs
 * the CPU of who does the work.  VK_TIMEOUT: it has to be no.
 */
static VkResult fence_linger(struct device *device, struct fence *fence, const VkFence *handle)
{
	uint64_t now = loop_now_ns();
	if (!fence->queue) {
		return VK_TIMEOUT;
	}
	if (fence->spins) {
		fence->spins--;
		return fence_spin(device, 1, handle, VK_TRUE);
	}
	if (now - fence->submitted_ns < FENCE_LONG_NS ||
	    now - fence->answered_ns > FENCE_HASTE_NS) {
		return VK_TIMEOUT;
	}
	return device->driver.wait_for_fences(device->handle, 1, handle, VK_TRUE, FENCE_HOLD_NS);
}

/* Takes those that we signalled out of a wait.  True if that is all it waits for. */
static bool fence_filter(struct venus_call *call, struct device *device,
			 struct vkWaitForFences_args *args)
{
	VkFence *fences = (VkFence *)args->pFences;
	uint32_t kept = 0;
	if (!atomic_load(&device->signalled)) {
		return false;
	}
	for (uint32_t i = 0; i < args->fenceCount; i++) {
		if (!fence_is_signalled(call, &args->pFences[i])) {
			fences[kept++] = fences[i];
		}
	}
	bool done = args->waitAll ? !kept : kept < args->fenceCount;
	args->fenceCount = kept;
	return done;
}

int fence_wait(struct venus_call *call)
{
	struct vkWaitForFences_args *args = call->args;
	struct device *device = fence_device(call->object);
	if (!device || !args->pFences || !args->fenceCount) {
		return venus_decoder_fail(call->decoder, "wait for nothing");
	}
	struct venus_object *only =
		args->fenceCount == 1 ? venus_call_object_at(call, args->pFences) : NULL;
	fence_settle(call, device, args->fenceCount, args->pFences);
	if (fence_filter(call, device, args)) {
		args->ret = VK_SUCCESS;
		return 0;
	}
	args->ret = fence_wait_driver(device, args->fenceCount, args->pFences, args->waitAll,
				      args->timeout);
	if (args->ret == VK_SUCCESS) {
		fence_seen_done(only);
	}
	return 0;
}

int fence_get_status(struct venus_call *call)
{
	struct vkGetFenceStatus_args *args = call->args;
	struct device *device = fence_device(call->object);
	if (device && args->fence_obj) {
		fence_settle(call, device, 1, &args->fence);
		if (fence_is_signalled(call, &args->fence)) {
			args->ret = VK_SUCCESS;
			return 0;
		}
	}
	int status = venus_call_driver(call);
	struct fence *fence = device && args->fence_obj ? args->fence_obj->data : NULL;
	if (!status && args->ret == VK_NOT_READY && fence) {
		VkResult result = fence_linger(device, fence, &args->fence);
		args->ret = result == VK_TIMEOUT ? VK_NOT_READY : result;
		fence->answered_ns = loop_now_ns();
	}
	if (!status && args->ret == VK_SUCCESS) {
		fence_seen_done(args->fence_obj);
	}
	return status;
}

int fence_reset(struct venus_call *call)
{
	struct vkResetFences_args *args = call->args;
	struct device *device = fence_device(call->object);
	uint32_t ours = 0;
	for (uint32_t i = 0; device && args->pFences && i < args->fenceCount; i++) {
		struct venus_object *object = venus_call_object_at(call, &args->pFences[i]);
		struct fence *fence = object ? object->data : NULL;
		if (fence) {
			ours += fence->signalled;
			fence_prepare(device, object);
			fence->queue = NULL;
		}
	}
	if (args->fenceCount && ours == args->fenceCount) {
		args->ret = VK_SUCCESS; /* the driver never saw them */
		return 0;
	}
	return venus_call_driver(call);
}

int fence_reset_resource(struct venus_call *call)
{
	struct vkResetFenceResourceMESA_args *args = call->args;
	struct device *device = fence_device(call->object);
	struct fence *fence = device && args->fence_obj ? fence_of(device, args->fence_obj) : NULL;
	if (!fence) {
		return venus_decoder_fail(call->decoder, "fence that cannot be reset");
	}
	if (fence->signalled) {
		fence_set(&device->signalled, &fence->signalled, false);
	} else {
		fence_set(&device->resetting, &fence->resetting, true);
	}
	return 0;
}
