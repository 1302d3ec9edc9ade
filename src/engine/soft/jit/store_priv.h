/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_priv.h - the file of kept translations, shared by reading and writing it
 *
 * How it works: header, blocks one after the other in the order in which they were made, index.
 * Opening checks header and hash and reads the index; a block is checked when it is first used. All
 * numbers are little-endian, as the host is. Threads: as store.h.
 */
#ifndef ORIEL_ENGINE_SOFT_JIT_STORE_PRIV_H
#define ORIEL_ENGINE_SOFT_JIT_STORE_PRIV_H

#include "engine/soft/jit/store.h"

#include <pthread.h>
#include <sys/types.h>

#define STORE_MAGIC "OrielTC1"

enum {
	STORE_LIMIT = 64 << 20, /* bytes of a file */
	STORE_FRESH = 48 << 20, /* of new blocks */
	STORE_KEY_WORDS = 4,	/* that blocks are found by */
	STORE_PROBES = 32,	/* slots that a block may be in */
	STORE_NEAR = 4,		/* blocks behind the last one that are tried before the table */
	/* Bytes of blocks that are looked at before the files' pages go: the first time, so that a
	 * boot does without, and each time after. */
	STORE_FIRST = 16 << 20,
	STORE_RESIDENT = 128 << 10,
};

struct store_header {
	char magic[8];
	uint8_t hash[16]; /* XXH3, 128 bits, of all that follows */
	uint64_t size;	  /* of the file */
	uint32_t run;	  /* counts how often the file was written */
	uint32_t count;	  /* of blocks */
	struct jit_identity identity;
};

/* The index has one for each block. */
struct store_place {
	uint32_t key;
	uint32_t at; /* in the file, in units of 8 bytes */
};

struct store_slot {
	const struct jit_packed *block; /* NULL: empty */
	uint32_t key;
};

struct store_map {
	const uint8_t *bytes; /* NULL: no file */
	size_t size, blocks_end;
	uint64_t *checked,
		*used; /* a bit for every 8 bytes: the block there is good; it was used */
};

struct jit_store {
	int folder;
	char name[48], path[256]; /* of the file; path: for messages */
	size_t limit;
	struct jit_identity identity;
	struct store_map file, newer; /* as it was opened; as another VM replaced it meanwhile */
	dev_t dev;		      /* which file was looked at last, good or not */
	ino_t ino;
	uint32_t run;
	pthread_mutex_t lock; /* guards what follows */
	struct store_slot *slots;
	size_t slot_count, used; /* used: slots that are not empty */
	int fresh_fd;	      /* new blocks: a file without a name, or -1 if there can be no more */
	const uint8_t *fresh; /* a view of it */
	size_t fresh_len;     /* bytes */
	size_t found;	      /* bytes of blocks that were looked at, since the files' pages went */
	bool settled;	      /* they did */
};

static inline const struct store_header *store_header(const struct store_map *map)
{
	return (const struct store_header *)map->bytes;
}

/* Map the file as it is now.  False: none (then @map is empty), or no good, which is said in the
 * log. */
bool store_map(struct jit_store *store, struct store_map *map);
/* Accepts an empty one; @map is empty then. */
void store_unmap(struct store_map *map);
/* Enter all blocks of @map that are not there.  @distinct: the table is empty, so all are new. */
void store_enter(struct jit_store *store, const struct store_map *map, bool distinct);
/* Is @p, which lies in @map, good?  Looks only once. */
bool store_check(struct store_map *map, const struct jit_packed *p);
/* Does @p lie in @map, and was it used? */
bool store_was_used(const struct store_map *map, const struct jit_packed *p);
/* Is @p a good block, wherever it lies? */
bool store_is_good(struct jit_store *store, const struct jit_packed *p);
/* Of a file with these bytes. */
void store_hash(const uint8_t *bytes, size_t len, uint8_t hash[16]);
/* To look up a block that starts at word @first of its page with @words: the next STORE_KEY_WORDS, or those to the page's end. */
uint32_t store_key(unsigned first, const uint32_t *words);
/* Accepts a half-built one.  jit_store_close() without saving. */
void store_free(struct jit_store *store);

#endif
