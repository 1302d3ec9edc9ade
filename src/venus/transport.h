/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.h - hooks of the commands that carry the others: rings, streams, replies, sequence numbers
 * Threads: the lane's.
 */
#ifndef ORIEL_VENUS_TRANSPORT_H
#define ORIEL_VENUS_TRANSPORT_H

struct venus_call;

int transport_set_reply_stream(struct venus_call *call);
int transport_seek_reply_stream(struct venus_call *call);
int transport_execute_streams(struct venus_call *call);
int transport_create_ring(struct venus_call *call);
int transport_destroy_ring(struct venus_call *call);
int transport_notify_ring(struct venus_call *call);
int transport_write_ring_extra(struct venus_call *call);
int transport_submit_virtqueue_seqno(struct venus_call *call);
int transport_wait_virtqueue_seqno(struct venus_call *call);
int transport_wait_ring_seqno(struct venus_call *call);

#endif
