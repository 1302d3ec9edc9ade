/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory for one command: grows in blocks up to a ceiling, given back all at once
 * Threads: one owner.
 */
#ifndef ORIEL_BASE_ARENA_H
#define ORIEL_BASE_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
	struct arena_block *blocks; /* newest first */
	size_t used, ceiling;       /* bytes handed out since the last reset, and their limit */
};

/* Make an empty arena that hands out at most @ceiling bytes between two resets. */
void arena_init(struct arena *arena, size_t ceiling);
void arena_finish(struct arena *arena);
/* Zeroed memory aligned to 16, valid until the next reset.  NULL at the ceiling or out of memory. */
void *arena_alloc(struct arena *arena, size_t len);
/* Like arena_alloc() for @count elements of @size bytes; NULL also on overflow. */
void *arena_array(struct arena *arena, size_t count, size_t size);
/* Forget everything; the first block is kept for reuse. */
void arena_reset(struct arena *arena);

#endif
