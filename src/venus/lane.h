/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane.h - one sequence of commands: a ring, or the virtqueue of a context
 *
 * A lane is a decoder with its reply stream and the private memory that streams are copied to before decoding.
 * Threads: one at a time, the ring's or the front end's.
 */
#ifndef ORIEL_VENUS_LANE_H
#define ORIEL_VENUS_LANE_H

#include "venus/call.h"
#include "venus/feedback.h"
#include "venus/pages.h"
#include "wire/wire.h"

struct context;
struct ring;

enum {
	LANE_ARENA_MAX = 256 * 1024 * 1024,  /* decoded form of one command */
	LANE_STREAM_MAX = 256 * 1024 * 1024, /* one executed stream */
	LANE_STREAM_KEPT = 1024 * 1024,	     /* copy buffer kept between streams */
};

struct lane {
	struct context *context;
	struct ring *ring; /* NULL: the virtqueue */
	struct venus_decoder decoder;
	struct pages *reply_pages; /* counted; NULL while no reply stream is set */
	uint8_t *reply_base;
	const uint8_t *reply_noted; /* as counted and recorded last */
	uint64_t reply_bytes;
	uint8_t *copy; /* private copy of the stream being executed */
	size_t copy_size;
	struct feedback_tape tape;
	/* What a stand-in needs to go on; NULL for the virtqueue. */
	struct wire_ring_state *record;
};

void lane_init(struct lane *lane, struct context *context, struct ring *ring,
	       struct wire_ring_state *record);
void lane_finish(struct lane *lane);

static inline struct lane *lane_of(const struct venus_call *call)
{
	return call->decoder->owner;
}

/* Replies go to [offset, offset + bytes) of shmem resource @id from now on.  NULL, or the broken rule. */
const char *lane_set_reply(struct lane *lane, uint32_t id, uint64_t offset, uint64_t bytes);
/* The next reply goes @position bytes into the reply stream.  NULL, or the broken rule. */
const char *lane_seek_reply(struct lane *lane, uint64_t position);
/* Copies [offset, offset + bytes) of shmem resource @id and executes it.  0 or -EPROTO. */
int lane_execute(struct lane *lane, uint32_t id, uint64_t offset, uint64_t bytes) MUST_CHECK;
/* After a command: if it replied, count that and note in the record where the next reply goes. */
void lane_record_reply(struct lane *lane);

#endif
