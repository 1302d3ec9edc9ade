/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane.c - one sequence of commands with its replies
 * Threads: one at a time.
 */
#include "venus/lane.h"

#include "venus/context.h"

#include <stdlib.h>
#include <string.h>

void lane_init(struct lane *lane, struct context *context, struct ring *ring,
	       struct wire_ring_state *record)
{
	*lane = (struct lane){.context = context, .ring = ring, .record = record};
	venus_decoder_init(&lane->decoder, context_dispatch(context), lane, LANE_ARENA_MAX);
}

void lane_finish(struct lane *lane)
{
	venus_decoder_finish(&lane->decoder);
	pages_put(lane->reply_pages);
	free(lane->copy);
	*lane = (struct lane){0};
}

void lane_record_reply(struct lane *lane)
{
	if (!lane->reply_base || lane->decoder.reply.cur == lane->reply_noted) {
		return;
	}
	lane->reply_noted = lane->decoder.reply.cur;
	context_count_reply(lane->context);
	if (lane->record) {
		__atomic_store_n(&lane->record->reply_position,
				 (uint64_t)(lane->decoder.reply.cur - lane->reply_base),
				 __ATOMIC_RELAXED);
	}
}

const char *lane_set_reply(struct lane *lane, uint32_t id, uint64_t offset, uint64_t bytes)
{
	struct pages *pages;
	unsigned char *memory;
	if (offset % 4 || bytes % 4 ||
	    !resource_find_shmem(context_resources(lane->context), id, offset, bytes, &pages,
				 &memory)) {
		return "reply stream outside a shared memory resource";
	}
	pages_put(lane->reply_pages);
	lane->reply_pages = pages;
	lane->reply_base = memory;
	lane->reply_bytes = bytes;
	lane->decoder.reply = (struct venus_reply){.cur = memory, .end = memory + bytes};
	lane->reply_noted = memory;
	if (lane->record) {
		lane->record->reply_resource_id = id;
		lane->record->reply_offset = offset;
		lane->record->reply_size = bytes;
		__atomic_store_n(&lane->record->reply_position, 0, __ATOMIC_RELAXED);
	}
	return NULL;
}

const char *lane_seek_reply(struct lane *lane, uint64_t position)
{
	if (!lane->reply_base || position > lane->reply_bytes || position % 4) {
		return "seek outside the reply stream";
	}
	lane->decoder.reply.cur = lane->reply_base + position;
	lane->reply_noted = lane->decoder.reply.cur;
	if (lane->record) {
		__atomic_store_n(&lane->record->reply_position, position, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Room for @bytes in the copy buffer.  False if out of memory. */
static bool lane_reserve_copy(struct lane *lane, size_t bytes)
{
	if (bytes <= lane->copy_size) {
		return true;
	}
	free(lane->copy);
	lane->copy_size = 0;
	lane->copy = malloc(bytes);
	if (!lane->copy) {
		return false;
	}
	lane->copy_size = bytes;
	return true;
}

int lane_execute(struct lane *lane, uint32_t id, uint64_t offset, uint64_t bytes)
{
	struct pages *pages;
	unsigned char *memory;
	if (bytes > LANE_STREAM_MAX) {
		return venus_decoder_fail(&lane->decoder, "command stream too long");
	}
	if (!resource_find_shmem(context_resources(lane->context), id, offset, bytes, &pages,
				 &memory)) {
		return venus_decoder_fail(&lane->decoder,
					  "command stream outside a shared memory resource");
	}
	int status;
	if (lane_reserve_copy(lane, bytes)) {
		memcpy(lane->copy, memory, bytes);
		status = venus_decoder_run(&lane->decoder, lane->copy, bytes);
	} else {
		status = venus_decoder_fail(&lane->decoder, "no memory for a command stream");
	}
	pages_put(pages);
	if (lane->copy_size > LANE_STREAM_KEPT) {
		free(lane->copy);
		lane->copy = NULL;
		lane->copy_size = 0;
	}
	return status;
}
