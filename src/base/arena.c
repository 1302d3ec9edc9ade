/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.c - memory for one command
 *
 * How it works: blocks of at least 64 KiB; a request that does not fit opens a new block.
 * Threads: one owner.
 */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 64 * 1024 };

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	_Alignas(16) unsigned char data[];
};

void arena_init(struct arena *arena, size_t ceiling)
{
	*arena = (struct arena){.ceiling = ceiling};
}

void arena_finish(struct arena *arena)
{
	while (arena->blocks) {
		struct arena_block *block = arena->blocks;
		arena->blocks = block->next;
		free(block);
	}
	arena->used = 0;
}

static struct arena_block *arena_grow(struct arena *arena, size_t len)
{
	size_t size = len > ARENA_BLOCK ? len : ARENA_BLOCK;
	struct arena_block *block = malloc(sizeof(*block) + size);
	if (!block) {
		return NULL;
	}
	*block = (struct arena_block){.next = arena->blocks, .size = size};
	arena->blocks = block;
	return block;
}

void *arena_alloc(struct arena *arena, size_t len)
{
	if (len > arena->ceiling - arena->used) {
		return NULL;
	}
	size_t rounded = (len + 15) & ~(size_t)15;
	struct arena_block *block = arena->blocks;
	if (!block || rounded > block->size - block->used) {
		block = arena_grow(arena, rounded);
		if (!block) {
			return NULL;
		}
	}
	void *memory = block->data + block->used;
	block->used += rounded;
	arena->used += len;
	return memset(memory, 0, rounded);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	size_t len;
	if (__builtin_mul_overflow(count, size, &len)) {
		return NULL;
	}
	return arena_alloc(arena, len);
}

void arena_reset(struct arena *arena)
{
	while (arena->blocks && arena->blocks->next) {
		struct arena_block *block = arena->blocks;
		arena->blocks = block->next;
		free(block);
	}
	if (arena->blocks) {
		arena->blocks->used = 0;
	}
	arena->used = 0;
}
