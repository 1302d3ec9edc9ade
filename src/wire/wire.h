/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - messages between oriel (the VMM) and oriel-gpu (one Vulkan server per guest context)
 *
 * A SOCK_SEQPACKET socket pair; one message per packet, little endian, fixed layouts without padding surprises (all
 * members naturally aligned).  oriel never trusts what comes back: kinds, lengths, sequence numbers, descriptors are
 * checked.  Requests take effect in the order sent; SUBMIT and CREATE_BLOB may block inside the server, never in oriel.
 *
 * Start: the broker executes `oriel-gpu --wire`; the socket is descriptor WIRE_SOCKET_FD, 0 and 1 are /dev/null, 2 is
 * oriel's stderr, nothing else is open.  End of stream on the socket ends the server, whatever it is doing.  The requests
 * that follow HELLO may be in the socket before WELCOME was sent.  FENCE for a fenced stream may come before or after
 * its SUBMITTED, and comes whatever the status; FENCEs of one timeline come in order.
 *
 * Blob descriptors: memfds of page-multiple size, sealed F_SEAL_SHRINK | F_SEAL_GROW, or dma-buf of the host driver;
 * read-write, data at offset 0.
 *
 * Memory that outlives a server: blobs (oriel keeps their descriptors) and struct wire_state, a memfd made by
 * oriel and handed over in HELLO, in which the server keeps what a stand-in would need to answer the guest after a crash.
 * What the servers hold together is in the ledger (ledger.h), a second memfd of HELLO.
 * Threads: values.
 */
#ifndef ORIEL_WIRE_WIRE_H
#define ORIEL_WIRE_WIRE_H

#include <stdint.h>

enum {
	WIRE_VERSION = 3,
	WIRE_SOCKET_FD = 3,
	WIRE_CAPSET_BYTES = 160,
	WIRE_MAX_INLINE = 64 * 1024, /* longer streams travel in a sealed memfd */
	WIRE_MAX_RINGS = 64,
	WIRE_MAX_TIMELINES = 64,
};

enum wire_kind {
	/* oriel -> server */
	WIRE_HELLO = 1,	     /* + fds: wire_state memfd, and the ledger unless query_only */
	WIRE_CREATE_BLOB,    /* answered by WIRE_BLOB */
	WIRE_UNREF_RESOURCE, /* answered by WIRE_UNREFERENCED if its seq is not 0 */
	WIRE_ATTACH_RESOURCE, /* + fd: a resource another context made; no answer */
	WIRE_SUBMIT,	     /* + bytes or + fd; answered by WIRE_SUBMITTED */
	WIRE_ARBITER_GRANT,  /* GPU time granted (reserved: everything is granted at once) */
	/* server -> oriel */
	WIRE_WELCOME = 0x100,
	WIRE_BLOB,	     /* + fd if status is 0 */
	WIRE_SUBMITTED,	     /* the stream was processed (not: executed by the GPU) */
	WIRE_FENCE,	     /* a fence of a timeline completed */
	WIRE_FATAL,	     /* the guest broke a rule; the context is over */
	WIRE_ARBITER_REQUEST, /* GPU time wanted (reserved) */
	WIRE_UNREFERENCED,   /* a bare header: what the context still has of the resource's memory is in the ledger */
};

struct wire_header {
	uint32_t kind; /* enum wire_kind */
	uint32_t len;  /* bytes of the whole message with this header */
	uint64_t seq;  /* chosen by the requester, echoed in the answer; 0 in unsolicited messages */
};

struct wire_hello {
	struct wire_header header;
	uint32_t version; /* WIRE_VERSION */
	uint32_t ctx_id;
	uint64_t max_blob_bytes;  /* limit for all host memory of the VM's contexts together */
	uint32_t blob_alignment;  /* blobs are multiples of it: the host's page, 4096 or more */
	uint32_t query_only;	  /* 1: answer with WELCOME and exit */
	uint32_t ledger_slot;	  /* of this server */
	uint32_t reserved;
	char name[64];		  /* guest's debug name, NUL-terminated */
};

/* How host-visible memory is backed, in the order tried. */
enum wire_backing { WIRE_BACKING_NONE, WIRE_BACKING_HOST_POINTER, WIRE_BACKING_DMA_BUF };

struct wire_welcome {
	struct wire_header header;
	int32_t status;	  /* 0, or negative errno with the reason in text */
	uint32_t version; /* WIRE_VERSION */
	uint32_t backing; /* enum wire_backing */
	uint32_t api_version; /* of the host's first device, VK_MAKE_API_VERSION */
	uint8_t capset[WIRE_CAPSET_BYTES];
	char driver[128]; /* host device and driver name */
	char text[256];	  /* error line, or empty */
};

struct wire_create_blob {
	struct wire_header header;
	uint32_t resource_id, blob_flags; /* VIRTIO_GPU_BLOB_FLAG_* */
	uint64_t blob_id, size;
};

struct wire_blob {
	struct wire_header header;
	int32_t status;	   /* 0 or negative errno */
	uint32_t map_info; /* VIRTIO_GPU_MAP_CACHE_*; 0: not mappable */
	uint64_t size;	   /* bytes of the descriptor that belong to the blob, >= requested */
};

struct wire_resource {
	struct wire_header header;
	uint32_t resource_id, reserved;
	uint64_t size; /* ATTACH: bytes of the descriptor */
};

struct wire_submit {
	struct wire_header header;
	uint32_t ring_idx; /* timeline of the fence */
	uint32_t fenced;   /* 1: a WIRE_FENCE for fence_id must follow */
	uint64_t fence_id;
	uint32_t bytes;	   /* stream length; follows inline if <= WIRE_MAX_INLINE, else in the fd */
	uint32_t reserved;
};

struct wire_submitted {
	struct wire_header header;
	int32_t status, reserved;
};

struct wire_fence {
	struct wire_header header;
	uint32_t ring_idx, reserved;
	uint64_t fence_id;
};

struct wire_fatal {
	struct wire_header header;
	char text[256];
};

struct wire_arbiter {
	struct wire_header header;
	uint32_t ring_idx, reserved;
	uint64_t gpu_time_ns; /* wanted or granted */
};

/* One ring as the guest made it, enough for a stand-in to answer it. */
struct wire_ring_state {
	uint32_t in_use, resource_id;
	uint64_t ring_id;
	uint64_t offset, size; /* of the ring in its resource */
	uint64_t head_offset, tail_offset, status_offset, buffer_offset, buffer_size, extra_offset,
		extra_size;
	uint32_t reply_resource_id, reserved;
	uint64_t reply_offset, reply_size, reply_position; /* where this ring's next reply goes */
};

/* Shared by oriel and one server; written by the server only, counters with relaxed atomics.  oriel trusts none of it. */
struct wire_state {
	uint32_t version, pid;
	uint64_t commands, draws, dispatches, submits, replies; /* counters */
	uint64_t record_bytes; /* now kept to make the context's objects again */
	struct wire_ring_state rings[WIRE_MAX_RINGS];
};

#endif
