/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.c - hooks of the commands that carry the others
 *
 * Which lane may send what: rings are made, ended, woken and waited for by the virtqueue; streams are executed and the
 * virtqueue is waited for by rings.  So no ring can wait for itself.
 * Threads: the lane's.
 */
#include "venus/transport.h"

#include "venus/chain.h"
#include "venus/context.h"
#include "venus/lane.h"
#include "venus/ring.h"
#include "venus_args.h"

#include <errno.h>

enum { TRANSPORT_MAX_STREAMS = 4096 };

static int transport_fail(struct venus_call *call, const char *reason)
{
	return reason ? venus_decoder_fail(call->decoder, reason) : 0;
}

int transport_set_reply_stream(struct venus_call *call)
{
	struct vkSetReplyCommandStreamMESA_args *args = call->args;
	if (!args->pStream) {
		return transport_fail(call, "no reply stream");
	}
	return transport_fail(call, lane_set_reply(lane_of(call), args->pStream->resourceId,
						   args->pStream->offset, args->pStream->size));
}

int transport_seek_reply_stream(struct venus_call *call)
{
	struct vkSeekReplyCommandStreamMESA_args *args = call->args;
	return transport_fail(call, lane_seek_reply(lane_of(call), args->position));
}

int transport_execute_streams(struct venus_call *call)
{
	struct vkExecuteCommandStreamsMESA_args *args = call->args;
	struct lane *lane = lane_of(call);
	if (!lane->ring || args->streamCount > TRANSPORT_MAX_STREAMS || args->flags ||
	    args->dependencyCount || (args->streamCount && !args->pStreams)) {
		return transport_fail(call, "streams that cannot be executed");
	}
	for (uint32_t i = 0; i < args->streamCount; i++) {
		if (args->pReplyPositions) {
			const char *problem = lane_seek_reply(lane, args->pReplyPositions[i]);
			if (problem) {
				return transport_fail(call, problem);
			}
		}
		const VkCommandStreamDescriptionMESA *stream = &args->pStreams[i];
		int status =
			lane_execute(lane, stream->resourceId, stream->offset, stream->size);
		if (status) {
			return status;
		}
	}
	return 0;
}

static void transport_fill_config(struct ring_config *config, uint64_t id,
				  const VkRingCreateInfoMESA *info)
{
	const VkRingMonitorInfoMESA *monitor =
		chain_find(info, VK_STRUCTURE_TYPE_RING_MONITOR_INFO_MESA);
	const VkRingPriorityInfoMESA *priority =
		chain_find(info, VK_STRUCTURE_TYPE_RING_PRIORITY_INFO_MESA);
	*config = (struct ring_config){
		.id = id,
		.resource_id = info->resourceId,
		.request = {
			.offset = info->offset,
			.size = info->size,
			.head_offset = info->headOffset,
			.tail_offset = info->tailOffset,
			.status_offset = info->statusOffset,
			.buffer_offset = info->bufferOffset,
			.buffer_size = info->bufferSize,
			.extra_offset = info->extraOffset,
			.extra_size = info->extraSize,
		},
		.idle_timeout_ns = info->idleTimeout,
		.monitor_period_us = monitor ? monitor->maxReportingPeriodMicroseconds : 0,
		.nice = priority ? priority->priority : 0,
	};
}

int transport_create_ring(struct venus_call *call)
{
	struct vkCreateRingMESA_args *args = call->args;
	struct context *context = context_of(call);
	struct ring_config config;
	struct resource_view view;
	if (lane_of(call)->ring || !args->pCreateInfo || args->pCreateInfo->flags) {
		return transport_fail(call, "ring that cannot be made");
	}
	transport_fill_config(&config, args->ring, args->pCreateInfo);
	if (!resource_find(context_resources(context), config.resource_id, &view)) {
		return transport_fail(call, "ring without a resource");
	}
	const char *problem =
		view.kind == RESOURCE_SHMEM
			? ring_layout_check(&config.layout, &config.request, view.bytes)
			: "ring outside shared memory";
	if (problem) {
		pages_put(view.pages);
		return transport_fail(call, problem);
	}
	return transport_fail(call, context_create_ring(context, &config, view.pages));
}

/* The ring of @id for a command of the virtqueue, or NULL with the decoder fatal. */
static struct ring *transport_ring(struct venus_call *call, uint64_t id)
{
	struct ring *ring = lane_of(call)->ring ? NULL : context_find_ring(context_of(call), id);
	if (!ring) {
		venus_decoder_fail(call->decoder, "no such ring");
	}
	return ring;
}

int transport_destroy_ring(struct venus_call *call)
{
	struct vkDestroyRingMESA_args *args = call->args;
	struct ring *ring = transport_ring(call, args->ring);
	if (!ring) {
		return -EPROTO;
	}
	context_destroy_ring(context_of(call), ring);
	return 0;
}

int transport_notify_ring(struct venus_call *call)
{
	struct vkNotifyRingMESA_args *args = call->args;
	struct ring *ring = transport_ring(call, args->ring);
	if (!ring) {
		return -EPROTO;
	}
	ring_notify(ring);
	return 0;
}

int transport_write_ring_extra(struct venus_call *call)
{
	struct vkWriteRingExtraMESA_args *args = call->args;
	struct ring *ring = transport_ring(call, args->ring);
	if (!ring) {
		return -EPROTO;
	}
	return transport_fail(call, ring_write_extra(ring, args->offset, args->value)
					    ? NULL
					    : "write outside a ring's extra area");
}

int transport_submit_virtqueue_seqno(struct venus_call *call)
{
	struct vkSubmitVirtqueueSeqnoMESA_args *args = call->args;
	struct ring *ring = transport_ring(call, args->ring);
	if (!ring) {
		return -EPROTO;
	}
	ring_submit_virtqueue_seqno(ring, args->seqno);
	return 0;
}

int transport_wait_virtqueue_seqno(struct venus_call *call)
{
	struct vkWaitVirtqueueSeqnoMESA_args *args = call->args;
	struct ring *ring = lane_of(call)->ring;
	if (!ring) {
		return transport_fail(call, "the virtqueue cannot wait for itself");
	}
	if (!ring_wait_virtqueue_seqno(ring, args->seqno)) {
		return transport_fail(call, "ended while waiting for the virtqueue");
	}
	return 0;
}

int transport_wait_ring_seqno(struct venus_call *call)
{
	struct vkWaitRingSeqnoMESA_args *args = call->args;
	struct ring *ring = transport_ring(call, args->ring);
	if (!ring) {
		return -EPROTO;
	}
	if (!ring_wait_seqno(ring, (uint32_t)args->seqno)) {
		return transport_fail(call, "ended while waiting for a ring");
	}
	return 0;
}
