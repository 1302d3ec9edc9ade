/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - translations that are kept between runs
 *
 * How it works: a folder, oriel/translations in the user's cache folder, has one file for each
 * combination of program, host CPU and configuration.  The file is mapped when the engine starts;
 * vCPUs find blocks in it by what they were translated from: their place in the page and all words
 * that the translator looked at, compared in full.  So no address matters (a kernel may lie
 * elsewhere in each boot), and no guest can have another one run code for other words.  When the
 * engine ends, new blocks are added and the file is replaced.
 * Trust: whoever can write the file can run code as the user, so folder and file must belong to the
 * user and be closed to all others.  The hash in the file finds damage, not intent. Invariants:
 * paths are only looked at by jit_store_open(); afterwards all goes by the folder's descriptor.
 * Nothing that goes wrong here is an error of the VM: it is one line in the log, and code is
 * translated anew. Threads: open and close at set-up and end; the rest any, a mutex guards it.
 */
#ifndef ORIEL_ENGINE_SOFT_JIT_STORE_H
#define ORIEL_ENGINE_SOFT_JIT_STORE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jit_store;

/* A block as it is kept.  Behind it: words, notes (priv.h), instructions with a record, code.
 */
struct jit_packed {
	uint32_t size; /* of all, a multiple of 8 */
	uint32_t used; /* the run of the file that used it last */
	uint32_t code_len;
	uint16_t first; /* word of the page */
	uint16_t word_count, note_count, record_count;
	uint32_t reserved; /* 0 */
};

static inline const uint32_t *jit_packed_words(const struct jit_packed *p)
{
	return (const uint32_t *)(p + 1);
}

static inline const uint32_t *jit_packed_notes(const struct jit_packed *p)
{
	return jit_packed_words(p) + p->word_count;
}

/* Words of the page whose instructions have records. */
static inline const uint16_t *jit_packed_records(const struct jit_packed *p)
{
	return (const uint16_t *)(jit_packed_notes(p) + p->note_count);
}

static inline const uint8_t *jit_packed_code(const struct jit_packed *p)
{
	return (const uint8_t *)(jit_packed_records(p) + p->record_count);
}

/* What jit_packed.size has to be. */
static inline size_t jit_packed_size(const struct jit_packed *p)
{
	size_t len = sizeof(*p) + 4u * (p->word_count + p->note_count) + 2u * p->record_count +
		     p->code_len;
	return (len + 7) & ~(size_t)7;
}

/* What translations depend on beside the words: the file is for exactly that. */
enum { JIT_IDENTITY_BYTES = 192 };
struct jit_identity {
	uint8_t bytes[JIT_IDENTITY_BYTES];
};

/*
 * Open the store in the cache folder @folder, which is made if it is missing.  NULL: there can be
 * none; said in the log. A file that is no good is reported in the log and replaced later.  @limit:
 * bytes that the file may have, 0: 64 MiB.
 */
struct jit_store *jit_store_open(const char *folder, const struct jit_identity *identity,
				 size_t limit);
/* Write what is new and forget all.  No vCPU uses it any more.  Accepts NULL. */
void jit_store_close(struct jit_store *store);

/*
 * The block that was translated at word @first of a page with these @words (from @first to the
 * page's end).  NULL: none.
 * @last: the one that was found before, as a hint, or NULL.  Stays valid until the store is closed.
 */
const struct jit_packed *jit_store_find(struct jit_store *store, const struct jit_packed *last,
					unsigned first, const uint32_t *words);
/* Keep a copy of @block, unless there is one or no room. */
void jit_store_add(struct jit_store *store, const struct jit_packed *block);

#endif
