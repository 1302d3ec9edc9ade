/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foreign.c - barriers that hand memory to foreign queues, for drivers that know external ones only
 * Threads: the lane's.
 */
#include "venus/foreign.h"

#include "venus/context.h"
#include "venus/external.h"
#include "venus/feedback.h"
#include "venus/physical.h"
#include "venus/twin.h"
#include "venus_args.h"

/* Drivers that lack VK_EXT_queue_family_foreign, or are not told of it, know one outside, not two.
 */
static bool foreign_is_unknown(const struct venus_call *call)
{
	const struct physical *physical = external_physical(call);
	return physical && (external_is_emulated(physical) ||
			    !instance_has_extension(&physical->extensions,
						    VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME));
}

#define FOREIGN_ADAPT(barriers, count)                                                             \
	for (uint32_t i = 0; (barriers) && i < (count); i++) {                                     \
		foreign_adapt_family((uint32_t *)&(barriers)[i].srcQueueFamilyIndex);              \
		foreign_adapt_family((uint32_t *)&(barriers)[i].dstQueueFamilyIndex);              \
	}

static void foreign_adapt_family(uint32_t *family)
{
	if (*family == VK_QUEUE_FAMILY_FOREIGN_EXT) {
		*family = VK_QUEUE_FAMILY_EXTERNAL;
	}
}

static void foreign_adapt_dependency(const VkDependencyInfo *info)
{
	if (info) {
		FOREIGN_ADAPT(info->pBufferMemoryBarriers, info->bufferMemoryBarrierCount);
		FOREIGN_ADAPT(info->pImageMemoryBarriers, info->imageMemoryBarrierCount);
	}
}

/* The barriers as they are now, and the copies that have to follow. */
static int foreign_record(struct venus_call *call, const struct twin_copies *copies)
{
	if (!copies->count) {
		feedback_barrier(call);
	}
	int status = venus_call_driver(call);
	if (!status) {
		twin_record(call, copies);
	}
	return status;
}

int foreign_pipeline_barrier(struct venus_call *call)
{
	struct vkCmdPipelineBarrier_args *args = call->args;
	struct twin_copies copies;
	int status = twin_take_barriers(call, (VkImageMemoryBarrier *)args->pImageMemoryBarriers,
					args->imageMemoryBarrierCount, &args->srcStageMask,
					&args->dstStageMask, &copies);
	if (foreign_is_unknown(call)) {
		FOREIGN_ADAPT(args->pBufferMemoryBarriers, args->bufferMemoryBarrierCount);
		FOREIGN_ADAPT(args->pImageMemoryBarriers, args->imageMemoryBarrierCount);
	}
	return status ? status : foreign_record(call, &copies);
}

int foreign_pipeline_barrier2(struct venus_call *call)
{
	struct vkCmdPipelineBarrier2_args *args = call->args;
	struct twin_copies copies;
	int status = twin_take_dependency(call, args->pDependencyInfo, &copies);
	if (foreign_is_unknown(call)) {
		foreign_adapt_dependency(args->pDependencyInfo);
	}
	return status ? status : foreign_record(call, &copies);
}

int foreign_wait_events(struct venus_call *call)
{
	struct vkCmdWaitEvents_args *args = call->args;
	if (foreign_is_unknown(call)) {
		FOREIGN_ADAPT(args->pBufferMemoryBarriers, args->bufferMemoryBarrierCount);
		FOREIGN_ADAPT(args->pImageMemoryBarriers, args->imageMemoryBarrierCount);
	}
	return venus_call_driver(call);
}

int foreign_wait_events2(struct venus_call *call)
{
	struct vkCmdWaitEvents2_args *args = call->args;
	for (uint32_t i = 0;
	     foreign_is_unknown(call) && args->pDependencyInfos && i < args->eventCount; i++) {
		foreign_adapt_dependency(&args->pDependencyInfos[i]);
	}
	return venus_call_driver(call);
}

int foreign_set_event2(struct venus_call *call)
{
	struct vkCmdSetEvent2_args *args = call->args;
	if (foreign_is_unknown(call)) {
		foreign_adapt_dependency(args->pDependencyInfo);
	}
	return venus_call_driver(call);
}
