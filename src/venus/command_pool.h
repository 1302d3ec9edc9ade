/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_pool.h - the memory in which the driver keeps what it records
 *
 * How it works: each VkCommandPool has an allocator of its own, which hands out a block from its
 * front to its end, and then takes another.  A block counts what of it is in use; at none it is
 * empty again.  What a command buffer records lies together and goes together, so nothing else
 * needs to be known.  Empty blocks return to the context's store, which keeps some for the next
 * recording.  A piece costs some ten instructions, where malloc() takes as long as all else that
 * lavapipe does to record a command.
 *
 * All is charged as the guest's memory.  Drivers are not to be relied on where recording fails
 * (lavapipe crashes), so it does not: who records beyond the limit is ended.
 *
 * Invariants: blocks stand at multiples of their size, so a piece leads to its block; longer pieces
 * have a block of their own.
 *
 * Threads: any.  Two threads use one pool at a time only if the driver or the guest breaks Vulkan's
 * rules.
 *
 * Source: Vulkan 1.3, 11.1 "Host Memory".
 */
#ifndef ORIEL_VENUS_COMMAND_POOL_H
#define ORIEL_VENUS_COMMAND_POOL_H

#include "base/error.h"
#include "venus/objects.h"

#include <pthread.h>
#include <sys/queue.h>

struct budget;
struct command_pool;
struct venus_call;
struct venus_dispatch;

enum {
	COMMAND_POOL_BLOCK = 64 * 1024,
	COMMAND_POOL_SPARES = 128, /* empty blocks that a context keeps at most */
};

SLIST_HEAD(command_blocks, command_block);

/* What the pools of one context share. */
struct command_store {
	struct budget *budget;		 /* borrowed, charged with all blocks */
	struct venus_dispatch *dispatch; /* borrowed, ended where there is too much */
	pthread_mutex_t lock;
	struct command_blocks spare; /* guarded by lock */
	unsigned spares;	     /* guarded by lock */
};

void command_store_init(struct command_store *store, struct budget *budget,
			struct venus_dispatch *dispatch);
/* All pools have gone. */
void command_store_finish(struct command_store *store);
/* Gives back the empty blocks. */
void command_store_trim(struct command_store *store);

/* For the driver's functions that make and destroy one pool; owned by the caller.  NULL if out of
 * memory. */
VkAllocationCallbacks *command_pool_create(struct command_store *store);
/* The driver has destroyed its pool.  Accepts NULL. */
void command_pool_destroy(VkAllocationCallbacks *allocator);
/* What a VkCommandPool object was made with, else NULL. */
const VkAllocationCallbacks *command_pool_allocator(const struct venus_object *object);

int command_pool_create_hook(struct venus_call *call);
int command_pool_destroy_hook(struct venus_call *call);

#endif
