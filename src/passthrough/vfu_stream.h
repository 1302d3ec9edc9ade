/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfu_stream.h - vfio-user messages over a stream socket, for both ends
 * Threads: one reader and one sender at a time for each socket.
 */
#ifndef ORIEL_PASSTHROUGH_VFU_STREAM_H
#define ORIEL_PASSTHROUGH_VFU_STREAM_H

#include "base/error.h"
#include "passthrough/vfu_proto.h"

#include <stddef.h>

/* A received message.  Valid until the next vfu_reader_pull(). */
struct vfu_message {
	struct vfu_header header;
	const uint8_t *body;
	size_t len;
	int fds[VFU_MAX_FDS]; /* owned by the reader; set to -1 what is taken */
	size_t fd_count;
};

struct vfu_reader {
	struct vfu_message message;
	uint8_t *body; /* as long as the longest so far */
	size_t room, got,
		want; /* bytes of header and body: received, and needed before the next step */
};

void vfu_reader_init(struct vfu_reader *reader);
void vfu_reader_finish(struct vfu_reader *reader);
/*
 * Receive from @socket what is there.  1: a whole message is in *message; 0: the socket, which is
 * non-blocking, has no more now; -ENODATA: the peer closed; -EPROTO: sizes no message can have;
 * other errors of the socket.  After an error the stream is of no use.
 */
int vfu_reader_pull(struct vfu_reader *reader, int socket, struct vfu_message **message) MUST_CHECK;
/* Move descriptor @index out of the message; -1 if there is none.  The caller owns it. */
int vfu_message_take_fd(struct vfu_message *message, size_t index);

struct vfu_part {
	const void *data;
	size_t len;
};

enum { VFU_MAX_PARTS = 3 };

/*
 * Send a message: @header (its size is filled in), the parts, and descriptors (borrowed).  Waits up
 * to @timeout_ms for a peer that does not read, then -ETIMEDOUT, and the stream is of no use.
 */
int vfu_send(int socket, struct vfu_header *header, const struct vfu_part *parts, size_t part_count,
	     const int *fds, size_t fd_count, unsigned timeout_ms) MUST_CHECK;

#endif
