/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory for one command: grows in blocks up to a ceiling, given back all at once
 * Threads: one owner.
 */
#ifndef ORIEL_BASE_ARENA_H
#define ORIEL_BASE_ARENA_H

#include <stddef.h>
#include <string.h>

enum { ARENA_ALIGN = 16 };

struct arena_block {
	struct arena_block *next; /* older */
	size_t size;
	_Alignas(ARENA_ALIGN) unsigned char data[];
};

struct arena {
	struct arena_block *blocks; /* newest first */
	unsigned char *next,
		*limit;		/* the newest block's free part, as far as the ceiling allows */
	size_t closed, ceiling; /* bytes used in older blocks, and what all may be */
};

/* Make an empty arena that hands out at most @ceiling bytes between two resets. */
void arena_init(struct arena *arena, size_t ceiling);
void arena_finish(struct arena *arena);
/* What arena_alloc() does when the newest block has no room. */
void *arena_alloc_slowly(struct arena *arena, size_t len);

/* Zeroed memory aligned to 16, valid until the next reset.  NULL at the ceiling or out of memory.
 */
static inline void *arena_alloc(struct arena *arena, size_t len)
{
	size_t room = (size_t)(arena->limit - arena->next);
	if (__builtin_expect(len > room || room - len < ARENA_ALIGN, 0)) {
		return arena_alloc_slowly(arena, len);
	}
	unsigned char *memory = arena->next;
	if (!memory) {
		__builtin_unreachable(); /* there is room, but sanitizers let compilers doubt it */
	}
	size_t rounded = (len + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	arena->next = memory + rounded;
	if (rounded > 8 * ARENA_ALIGN) {
		return memset(memory, 0, len);
	}
	for (size_t i = 0; i < rounded; i += ARENA_ALIGN) { /* small and many: without a call */
		memset(memory + i, 0, ARENA_ALIGN);
	}
	return memory;
}

/* Like arena_alloc() for @count elements of @size bytes; NULL also on overflow. */
void *arena_array(struct arena *arena, size_t count, size_t size);
/* What arena_reset() does when there are several blocks. */
void arena_reset_slowly(struct arena *arena);

/* Forget everything; the first block is kept for reuse. */
static inline void arena_reset(struct arena *arena)
{
	if (arena->blocks && arena->blocks->next) {
		arena_reset_slowly(arena);
	} else if (arena->blocks) {
		arena->next = arena->blocks->data;
	}
}

#endif
