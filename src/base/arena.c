/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.c - memory for one command
 *
 * How it works: blocks of at least 64 KiB; a request that does not fit opens a new block.
 * Threads: one owner.
 */
#include "base/arena.h"

#include <stdbool.h>
#include <stdlib.h>

enum { ARENA_BLOCK = 64 * 1024 };

void arena_init(struct arena *arena, size_t ceiling)
{
	*arena = (struct arena){.ceiling = ceiling};
}

static void arena_drop_newest(struct arena *arena)
{
	struct arena_block *block = arena->blocks;
	arena->blocks = block->next;
	free(block);
}

void arena_finish(struct arena *arena)
{
	while (arena->blocks) {
		arena_drop_newest(arena);
	}
	arena_init(arena, arena->ceiling);
}

/* Hand out from the start of the newest block. */
static void arena_rewind(struct arena *arena)
{
	struct arena_block *block = arena->blocks;
	size_t left = arena->ceiling - arena->closed;
	arena->next = block->data;
	arena->limit = block->data + (left < block->size ? left : block->size);
}

/* A block with room for @len, if the ceiling allows. */
static bool arena_grow(struct arena *arena, size_t len)
{
	size_t used = arena->blocks ? (size_t)(arena->next - arena->blocks->data) : 0;
	if (len > arena->ceiling - arena->closed - used) {
		return false;
	}
	size_t size = len > ARENA_BLOCK ? len : ARENA_BLOCK;
	struct arena_block *block = malloc(sizeof(*block) + size);
	if (!block) {
		return false;
	}
	block->next = arena->blocks;
	block->size = size;
	arena->blocks = block;
	arena->closed += used;
	arena_rewind(arena);
	return true;
}

void *arena_alloc_slowly(struct arena *arena, size_t len)
{
	if (len > (size_t)(arena->limit - arena->next) && !arena_grow(arena, len)) {
		return NULL;
	}
	unsigned char *memory = arena->next;
	size_t padding = -len & (ARENA_ALIGN - 1), rest = (size_t)(arena->limit - memory) - len;
	arena->next += len + (padding < rest ? padding : rest);
	return memset(memory, 0, len);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	size_t len;
	if (__builtin_mul_overflow(count, size, &len)) {
		return NULL;
	}
	return arena_alloc(arena, len);
}

void arena_reset_slowly(struct arena *arena)
{
	while (arena->blocks->next) {
		arena_drop_newest(arena);
	}
	arena->closed = 0;
	arena_rewind(arena);
}
