/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lost_layer.c - a Vulkan layer whose GPU dies after LOST_AFTER submissions
 *
 * What is submitted later is never done, though submitting it succeeds, as it does for what is
 * queued behind the one that kills a GPU.  Only who waits for a fence of those is told.
 * Threads: one instance, one device; any.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define LAYER_INSTANCE(X)
#define LAYER_DEVICE(X)                                                                            \
	X(vkQueueSubmit);                                                                          \
	X(vkQueueSubmit2);                                                                         \
	X(vkWaitForFences);                                                                        \
	X(vkGetFenceStatus)
#include "layer.h"

static struct {
	pthread_mutex_t lock;
	long submitted;
	VkFence lost[64]; /* of what is never done */
	size_t lost_count;
} gpu = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Counts a submission.  True if it is never done. */
static bool gpu_dies(VkFence fence)
{
	const char *after = getenv("LOST_AFTER");
	pthread_mutex_lock(&gpu.lock);
	bool dies = ++gpu.submitted > (after ? atol(after) : 0);
	if (dies && fence && gpu.lost_count < sizeof(gpu.lost) / sizeof(gpu.lost[0])) {
		gpu.lost[gpu.lost_count++] = fence;
	}
	pthread_mutex_unlock(&gpu.lock);
	return dies;
}

static bool gpu_is_lost(VkFence fence)
{
	bool found = false;
	pthread_mutex_lock(&gpu.lock);
	for (size_t i = 0; i < gpu.lost_count; i++) {
		found |= gpu.lost[i] == fence;
	}
	pthread_mutex_unlock(&gpu.lock);
	return found;
}

static VKAPI_ATTR VkResult VKAPI_CALL layer_vkQueueSubmit(VkQueue queue, uint32_t count,
							  const VkSubmitInfo *batches,
							  VkFence fence)
{
	return gpu_dies(fence) ? VK_SUCCESS : next.vkQueueSubmit(queue, count, batches, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL layer_vkQueueSubmit2(VkQueue queue, uint32_t count,
							   const VkSubmitInfo2 *batches,
							   VkFence fence)
{
	return gpu_dies(fence) ? VK_SUCCESS : next.vkQueueSubmit2(queue, count, batches, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL layer_vkWaitForFences(VkDevice device, uint32_t count,
							    const VkFence *fences, VkBool32 all,
							    uint64_t timeout)
{
	for (uint32_t i = 0; i < count; i++) {
		if (gpu_is_lost(fences[i])) {
			return VK_ERROR_DEVICE_LOST;
		}
	}
	return next.vkWaitForFences(device, count, fences, all, timeout);
}

static VKAPI_ATTR VkResult VKAPI_CALL layer_vkGetFenceStatus(VkDevice device, VkFence fence)
{
	return gpu_is_lost(fence) ? VK_ERROR_DEVICE_LOST : next.vkGetFenceStatus(device, fence);
}
