/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpu.h - inside of the GPU device: state shared by command.c, resource.c, scanout.c, blob.c,
 * context.c
 *
 * How it works: virtio_gpu.c copies each control command out of guest memory into a struct
 * gpu_command and gives it to gpu_execute().  It is answered exactly once with gpu_answer*(),
 * mostly at once.  Commands that depend on a server are held: in their context's lists, or on the
 * resource they wait for.
 *
 * Order: what goes to a server goes through its context's `waiting` list, in queue order; the list
 * is empty unless the socket is full or an attached resource is not ready.  MAP, UNMAP and UNREF of
 * a blob whose CREATE is not answered yet wait on the resource. Invariants: each held command is
 * counted against its context and all of them together stay below the queue's size, so a stuck
 * context can not stop the control queue.  Numbers of the guest are checked in the function that
 * first loads them. Threads: the device's loop.  No locks.
 */
#ifndef ORIEL_GPU_GPU_H
#define ORIEL_GPU_GPU_H

#include "gpu/backing.h"
#include "gpu/proto.h"
#include "gpu/server.h"
#include "gpu/virtio_gpu.h"
#include "gpu/window.h"
#include "mem/gmem.h"
#include "wire/ledger.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum {
	GPU_QUEUE_SIZE = 1024,
	GPU_MAX_RESOURCES = 16384,
	GPU_RESOURCE_BUCKETS = 4096,
	GPU_MAX_CONTEXTS = 64,
	GPU_LEDGER_SLOTS = 2 * GPU_MAX_CONTEXTS, /* servers, those included that are about to end */
	GPU_MAX_SUBMIT = 1 << 20,		 /* bytes of one stream */
	GPU_MAX_REQUEST = (1 << 20) + 256,	 /* bytes of one control command */
	GPU_MAX_HELD_BYTES = 64 << 20,		 /* of all commands not answered yet */
	/* Unanswered commands, in parts of the control queue: of one context, and of all. */
	GPU_HELD_CONTEXT_DIVISOR = 4,
	GPU_HELD_DIVISOR = 2,
	GPU_MIN_HELD_CONTEXT = 3, /* granted to each context of a queue of GPU_QUEUE_SIZE anyhow */
	GPU_ENDED_KEPT = 16,	  /* ended contexts remembered for statistics */
	GPU_ANSWER_LIMIT_S = 900, /* a server that answers nothing for so long is given up */
	GPU_CLOSE_LIMIT_S = 2,	  /* fences of a destroyed context may still complete within */
};

struct gpu;
struct gpu_context;
struct virtq_chain;

struct gpu_command {
	TAILQ_ENTRY(gpu_command) link;
	struct gpu_header header; /* copy of bytes */
	uint8_t *bytes;		  /* the whole command as it was loaded; NULL in a note */
	size_t len;
	struct virtq_chain *chain; /* for gpu->answer */
	unsigned queue;		   /* it came from */
	struct gpu_context *held;  /* counted against it, or NULL */
	/* While in a context's list: */
	uint32_t resource_id;
	uint64_t seq, sent_ns;
	uint32_t timeline;
	bool fenced, fence_done, answered;
	uint32_t result; /* enum gpu_type, final once answered */
	bool is_note;	 /* made here, no chain: UNREF of resource_id */
	uint64_t owed; /* note: the resource's bytes, counted as ours until the server has answered
			*/
};
TAILQ_HEAD(gpu_commands, gpu_command);

enum gpu_resource_kind { GPU_RESOURCE_2D, GPU_RESOURCE_GUEST, GPU_RESOURCE_HOST };

struct gpu_resource {
	struct gpu_resource *next; /* in its bucket */
	uint32_t id;
	enum gpu_resource_kind kind;
	bool pending; /* HOST: the server has not answered CREATE_BLOB */
	uint64_t size, charged;
	struct display_pages
		*pages; /* what a display reads; HOST: made at the first SET_SCANOUT_BLOB */
	/* 2D */
	uint32_t format, width, height;
	uint8_t *bytes; /* of pages */
	struct gpu_backing *backing;
	/* HOST */
	int fd;
	uint32_t blob_flags, map_info;
	struct gpu_context *owner;   /* NULL once that context is gone */
	bool orphan;		     /* its maker's server is gone: counted as ours in the ledger */
	bool known[1 + GPU_LEDGER_SLOTS]; /* by slots of other servers, until their processes have
					     ended */
	struct gpu_commands waiters; /* MAP, UNMAP, UNREF in order, while pending */
	bool mapped;
	uint64_t window_offset, window_len;
};

struct gpu_context {
	struct gpu *gpu;
	uint32_t id;
	unsigned slot;
	bool lost;  /* no server (any more); commands fail */
	bool plain; /* capset 0: what Linux makes for a program that only wants a display; never has
		       a server */
	bool closing; /* destroyed by the guest; only fences are awaited */
	uint64_t closing_ns, started_ns;
	struct gpu_server *server; /* NULL if lost */
	unsigned ledger_slot;	   /* the server's */
	uint32_t token;		   /* the server's */
	bool process_ended;	   /* the server's */
	struct gpu_commands waiting, sent;
	unsigned held;
	uint64_t next_seq;
	struct virtio_gpu_context_stats stats;
};

struct gpu_scanout {
	uint32_t resource_id; /* 0: off */
	struct gpu_rect rect; /* part of the resource (2D) or of its picture (blob) shown */
};

struct gpu {
	struct virtio_gpu_config config;
	struct virtio_gpu_parts parts;
	struct wire_welcome welcome; /* shared only */
	/* Gives the answer to the guest; the command itself stays the caller's. */
	void (*answer)(struct gpu *gpu, struct gpu_command *command, const void *answer,
		       size_t len);
	void *owner; /* for answer */

	struct gpu_resource *resources[GPU_RESOURCE_BUCKETS];
	unsigned resource_count;
	struct gpu_backing_budget *backing_budget;
	uint64_t bytes_2d, bytes_blob, bytes_mapped;
	struct ledger ledger; /* of what servers hold; owners are their tokens */
	uint64_t bytes_orphan;
	uint64_t owed[1 + GPU_LEDGER_SLOTS]; /* by servers' slots: of notes without an answer */
	struct gpu_window *window;
	struct gpu_scanout scanouts[GPU_MAX_SCANOUTS];

	struct gpu_context *contexts[GPU_MAX_CONTEXTS]; /* by slot, also closing ones */
	struct loop_source *watch;			/* timer, runs while there are contexts */
	unsigned context_count, held;
	unsigned queue_size; /* entries of the control queue */
	bool blobs_aligned;  /* the driver took GPU_F_BLOB_ALIGNMENT: sizes are multiples of the
				window's granule */
	uint64_t held_bytes;
	uint32_t next_token;

	uint64_t refused, contexts_started, contexts_lost;
	struct virtio_gpu_context_stats
		ended[GPU_ENDED_KEPT]; /* ring, next at ended_count % GPU_ENDED_KEPT */
	uint64_t ended_count;
	struct gpu_server_counters ended_totals;
};

/* command.c */
/* Everything but the virtio device around it.  gpu->answer is to be set before the first command.
 */
struct gpu *gpu_create(const struct virtio_gpu_config *config, const struct virtio_gpu_parts *parts,
		       struct error *err) MUST_CHECK;
/* Accepts NULL. */
void gpu_destroy(struct gpu *gpu);
/* Forget everything the driver made.  Held commands are answered with errors. */
void gpu_reset(struct gpu *gpu);
/* A command of @len bytes with room for them at command->bytes.  NULL if out of memory or @len is
 * out of range. */
struct gpu_command *gpu_command_create(size_t len) MUST_CHECK;
/* Takes @command, whose bytes and chain are filled. */
void gpu_execute(struct gpu *gpu, struct gpu_command *command);
/* The same for the cursor queue. */
void gpu_execute_cursor(struct gpu *gpu, struct gpu_command *command);
/* Answer with a bare header of @type and free @command. */
void gpu_answer(struct gpu *gpu, struct gpu_command *command, uint32_t type);
/* Answer with a struct whose first member is a header, filled in here but for padding. */
void gpu_answer_with(struct gpu *gpu, struct gpu_command *command, uint32_t type, void *answer,
		     size_t len);
void gpu_copy_stats(struct gpu *gpu, struct virtio_gpu_stats *stats);

/* resource.c */
struct gpu_resource *gpu_resource_find(struct gpu *gpu, uint32_t id);
/* New, in the table.  NULL and *error (an enum gpu_type) if @id is 0 or taken, or there are too
 * many. */
struct gpu_resource *gpu_resource_create(struct gpu *gpu, uint32_t id, enum gpu_resource_kind kind,
					 uint32_t *error) MUST_CHECK;
/* Off the scanouts, out of the window and the table.  No waiters may be left. */
void gpu_resource_destroy(struct gpu *gpu, struct gpu_resource *resource);
void gpu_resource_destroy_all(struct gpu *gpu);
/* Calls fn for every resource; fn may destroy the one it is given. */
void gpu_resource_for_each(struct gpu *gpu, void (*fn)(struct gpu *, struct gpu_resource *, void *),
			   void *opaque);
/* Entries for a backing that follow the @offset bytes of a command. */
struct gpu_backing *gpu_resource_load_backing(struct gpu *gpu, const struct gpu_command *command,
					      size_t offset, uint32_t count,
					      uint32_t *error) MUST_CHECK;
uint32_t gpu_create_2d(struct gpu *gpu, const struct gpu_command *command);
uint32_t gpu_attach_backing(struct gpu *gpu, const struct gpu_command *command);
uint32_t gpu_detach_backing(struct gpu *gpu, const struct gpu_command *command);
uint32_t gpu_transfer_2d(struct gpu *gpu, const struct gpu_command *command);

/* scanout.c: each returns the type of the answer */
uint32_t gpu_set_scanout(struct gpu *gpu, const struct gpu_command *command);
uint32_t gpu_set_scanout_blob(struct gpu *gpu, const struct gpu_command *command);
uint32_t gpu_flush(struct gpu *gpu, const struct gpu_command *command);
uint32_t gpu_cursor(struct gpu *gpu, const struct gpu_command *command);
/* @resource_id is shown nowhere from here on. */
void gpu_scanout_forget(struct gpu *gpu, uint32_t resource_id);

/* ledger.c */
/* The server of @context is about to go: what the guest has of its blobs is counted as ours. */
void gpu_ledger_keep_blobs(struct gpu *gpu, struct gpu_context *context);
/* @resource is about to go.  Servers that can not be told may have it until they have ended. */
void gpu_ledger_drop(struct gpu *gpu, struct gpu_resource *resource);
/*
 * A resource of @bytes is gone; until it says what it keeps of it, the server of @slot may still
 * have all.  How many bytes are to be settled then; 0 if it owes more than the limit, so that
 * nobody gets anything and there need not be any more to remember.
 */
uint64_t gpu_ledger_owe(struct gpu *gpu, unsigned slot, uint64_t bytes);
void gpu_ledger_settle(struct gpu *gpu, unsigned slot, uint64_t bytes);
/* For the spawner: the process of the server with @token has ended. */
void gpu_ledger_ended(void *gpu, uint32_t token);
/* It has, and it was stopped. */
void gpu_ledger_release(struct gpu *gpu, uint32_t token);

/* blob.c: these take the command */
void gpu_create_blob(struct gpu *gpu, struct gpu_command *command);
void gpu_resource_command(struct gpu *gpu, struct gpu_command *command); /* MAP, UNMAP, UNREF */
/* The server's answer to CREATE_BLOB.  @blob NULL: it will not come.  Takes @fd.  Returns the
 * answer for the guest. */
uint32_t gpu_blob_settle(struct gpu *gpu, uint32_t resource_id, const struct wire_blob *blob,
			 int fd);

/* The host has no pages any more for a blob: its context ends. */
void gpu_resource_lost(struct gpu_resource *resource);
/* The same of what is mapped at @offset of the window. */
void gpu_blob_lost(struct gpu *gpu, uint64_t offset);

/* context.c */
struct gpu_context *gpu_context_find(struct gpu *gpu, uint32_t id);
void gpu_context_create(struct gpu *gpu, struct gpu_command *command);
void gpu_context_destroy(struct gpu *gpu, struct gpu_command *command);
void gpu_context_destroy_all(struct gpu *gpu);
/* Count @command as unanswered by @context.  False if that would be too much: the caller refuses
 * the command. */
bool gpu_context_hold(struct gpu_context *context, struct gpu_command *command) MUST_CHECK;
/* Takes a SUBMIT_3D, CTX_ATTACH_RESOURCE, CTX_DETACH_RESOURCE, or host CREATE_BLOB whose resource
 * exists. */
void gpu_context_command(struct gpu_context *context, struct gpu_command *command);
/* Its server is ended, its commands fail from here on; @why is for a person.  Not of a lost one. */
void gpu_context_lose(struct gpu_context *context, const char *why);
/* Tell every server that knows @resource to forget it, each in its order. */
void gpu_context_forget_resource(struct gpu *gpu, struct gpu_resource *resource);
/* A blob became ready or failed: attachments that waited for it go on. */
void gpu_context_resume_all(struct gpu *gpu);
/* Timer of gpu->watch: gives up on servers that are not ready or do not answer in time. */
void gpu_context_watch(void *gpu);
/* Its statistics as of now. */
void gpu_context_stats(struct gpu_context *context, struct virtio_gpu_context_stats *stats);

#endif
