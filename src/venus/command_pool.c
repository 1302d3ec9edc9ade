/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_pool.c - the memory in which the driver keeps what it records
 * Threads: any.
 */
#include "venus/command_pool.h"

#include "base/own.h"
#include "venus/context.h"
#include "venus_args.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	POOL_ALIGN = 16,
	POOL_LONG = COMMAND_POOL_BLOCK / 4, /* bytes that get a block of their own */
	POOL_LONGEST = 1 << 30,		    /* more than a guest can send at once */
	POOL_MALLOC = 32, /* at a block's end: malloc() has room there for what it notes before the
			     next one */
};

struct command_block {
	struct command_pool *pool;
	uint32_t live; /* pieces in use; guarded by the pool's lock, as next */
	uint32_t next; /* where the free part begins */
	uint64_t bytes;
	SLIST_ENTRY(command_block) link; /* while it is spare */
};

struct command_pool {
	VkAllocationCallbacks callbacks;
	struct command_store *store;
	atomic_flag locked;
	struct command_block *block; /* that is handed out, or NULL; guarded by locked */
};

/* What stands before each piece. */
struct command_piece {
	uint64_t bytes;
};

/* --- blocks --- */

static struct command_block *block_make(struct command_store *store, uint64_t bytes)
{
	void *block;
	if (posix_memalign(&block, COMMAND_POOL_BLOCK, bytes - POOL_MALLOC)) {
		return NULL;
	}
	((struct command_block *)block)->bytes = bytes;
	atomic_fetch_add(&store->budget->inside, bytes);
	if (!budget_charge_anyway(store->budget, bytes)) {
		atomic_store(&store->dispatch->end,
			     "what it records is beyond " BUDGET_LIMIT);
	}
	return block;
}

static void block_free(struct command_store *store, struct command_block *block)
{
	budget_release(store->budget, block->bytes);
	atomic_fetch_sub(&store->budget->inside, block->bytes);
	free(block);
}

static struct command_block *store_take(struct command_store *store)
{
	LOCKED(&store->lock);
	struct command_block *block = SLIST_FIRST(&store->spare);
	if (block) {
		SLIST_REMOVE_HEAD(&store->spare, link);
		store->spares--;
	}
	return block;
}

/* False if there are enough, or @block is longer than others. */
static bool store_keep(struct command_store *store, struct command_block *block)
{
	LOCKED(&store->lock);
	if (block->bytes != COMMAND_POOL_BLOCK || store->spares == COMMAND_POOL_SPARES) {
		return false;
	}
	SLIST_INSERT_HEAD(&store->spare, block, link);
	store->spares++;
	return true;
}

void command_store_trim(struct command_store *store)
{
	struct command_block *block;
	while ((block = store_take(store)) != NULL) {
		block_free(store, block);
	}
}

void command_store_init(struct command_store *store, struct budget *budget,
			struct venus_dispatch *dispatch)
{
	*store = (struct command_store){.budget = budget, .dispatch = dispatch};
	pthread_mutex_init(&store->lock, NULL);
	SLIST_INIT(&store->spare);
}

void command_store_finish(struct command_store *store)
{
	command_store_trim(store);
	pthread_mutex_destroy(&store->lock);
}

/* An empty block of @bytes, or NULL. */
static struct command_block *pool_take(struct command_pool *pool, uint64_t bytes)
{
	struct command_block *block = bytes == COMMAND_POOL_BLOCK ? store_take(pool->store) : NULL;
	if (!block) {
		block = block_make(pool->store, bytes);
	}
	if (block) {
		block->pool = pool;
		block->live = 0;
		block->next = sizeof(*block);
	}
	return block;
}

static void pool_leave(struct command_pool *pool, struct command_block *block)
{
	if (!store_keep(pool->store, block)) {
		block_free(pool->store, block);
	}
}

/* --- pieces --- */

static void pool_lock(struct command_pool *pool)
{
	while (atomic_flag_test_and_set_explicit(&pool->locked, memory_order_acquire)) {
		sched_yield();
	}
}

static void pool_unlock(struct command_pool *pool)
{
	atomic_flag_clear_explicit(&pool->locked, memory_order_release);
}

/* Cuts @bytes off the free part, or NULL if it is too short. */
static void *block_cut(struct command_block *block, uint64_t bytes, uint64_t align)
{
	uint64_t at = (block->next + sizeof(struct command_piece) + align - 1) & ~(align - 1);
	if (at + bytes > block->bytes - POOL_MALLOC) {
		return NULL;
	}
	unsigned char *piece = (unsigned char *)block + at;
	((struct command_piece *)piece)[-1].bytes = bytes;
	block->live++;
	block->next = (uint32_t)(at + bytes);
	return piece;
}

/* A piece with a block of its own. */
static void *pool_cut_long(struct command_pool *pool, uint64_t bytes, uint64_t align)
{
	if (bytes > POOL_LONGEST || align > COMMAND_POOL_BLOCK / 2) {
		return NULL;
	}
	uint64_t all = sizeof(struct command_block) + sizeof(struct command_piece) + align + bytes +
		       POOL_MALLOC;
	struct command_block *block = pool_take(pool, pages_round(all, COMMAND_POOL_BLOCK));
	return block ? block_cut(block, bytes, align) : NULL;
}

/* Locked. */
static void *pool_cut(struct command_pool *pool, uint64_t bytes, uint64_t align)
{
	void *piece = pool->block ? block_cut(pool->block, bytes, align) : NULL;
	if (!piece) {
		struct command_block *block = pool_take(pool, COMMAND_POOL_BLOCK);
		if (!block) {
			return NULL;
		}
		pool->block = block; /* the one before is left when its last piece is */
		piece = block_cut(block, bytes, align);
	}
	return piece;
}

static void *VKAPI_CALL pool_allocate(void *opaque, size_t bytes, size_t align,
				      VkSystemAllocationScope scope)
{
	struct command_pool *pool = opaque;
	align = align > POOL_ALIGN ? align : POOL_ALIGN;
	if (bytes > POOL_LONG || align > POOL_LONG) {
		return pool_cut_long(pool, bytes, align);
	}
	pool_lock(pool);
	void *piece = pool_cut(pool, bytes, align);
	pool_unlock(pool);
	return piece;
}

static void VKAPI_CALL pool_free(void *opaque, void *piece)
{
	if (!piece) {
		return;
	}
	struct command_block *block =
		(void *)((uintptr_t)piece & ~(uintptr_t)(COMMAND_POOL_BLOCK - 1));
	struct command_pool *pool = block->pool;
	pool_lock(pool);
	bool empty = !--block->live, left = empty && block != pool->block;
	if (empty) {
		block->next = sizeof(*block);
	}
	pool_unlock(pool);
	if (left) {
		pool_leave(pool, block);
	}
}

static void *VKAPI_CALL pool_reallocate(void *opaque, void *old, size_t bytes, size_t align,
					VkSystemAllocationScope scope)
{
	void *piece = bytes ? pool_allocate(opaque, bytes, align, scope) : NULL;
	if (piece && old) {
		uint64_t had = ((struct command_piece *)old)[-1].bytes;
		memcpy(piece, old, had < bytes ? had : bytes);
	}
	if (piece || !bytes) {
		pool_free(opaque, old);
	}
	return piece;
}

/* --- pools --- */

VkAllocationCallbacks *command_pool_create(struct command_store *store)
{
	struct command_pool *pool = malloc(sizeof(*pool));
	if (!pool) {
		return NULL;
	}
	*pool = (struct command_pool){
		.callbacks = {.pUserData = pool,
			      .pfnAllocation = pool_allocate,
			      .pfnReallocation = pool_reallocate,
			      .pfnFree = pool_free},
		.store = store,
		.locked = ATOMIC_FLAG_INIT,
	};
	return &pool->callbacks;
}

void command_pool_destroy(VkAllocationCallbacks *allocator)
{
	struct command_pool *pool = allocator ? allocator->pUserData : NULL;
	if (pool && pool->block) {
		pool_leave(pool, pool->block);
	}
	free(pool);
}

const VkAllocationCallbacks *command_pool_allocator(const struct venus_object *object)
{
	return object && object->type == VK_OBJECT_TYPE_COMMAND_POOL ? object->data : NULL;
}

int command_pool_create_hook(struct venus_call *call)
{
	struct vkCreateCommandPool_args *args = call->args;
	VkAllocationCallbacks *allocator =
		command_pool_create(context_command_store(context_of(call)));
	args->ret = VK_ERROR_OUT_OF_HOST_MEMORY;
	if (!allocator) {
		return 0;
	}
	args->pAllocator = allocator;
	int status = venus_call_driver(call);
	if (status || args->ret != VK_SUCCESS) {
		command_pool_destroy(allocator);
		return status;
	}
	struct venus_object *object = venus_call_register(call, 0);
	if (object) {
		object->data = allocator;
		return 0;
	}
	PFN_vkDestroyCommandPool destroy = (PFN_vkDestroyCommandPool)venus_driver_fn(
		call->dispatch, call->object, VENUS_vkDestroyCommandPool);
	destroy(args->device, *args->pCommandPool, allocator);
	command_pool_destroy(allocator);
	return -EPROTO;
}

int command_pool_destroy_hook(struct venus_call *call)
{
	struct vkDestroyCommandPool_args *args = call->args;
	args->pAllocator = command_pool_allocator(args->commandPool_obj);
	return venus_call_driver(call);
}
