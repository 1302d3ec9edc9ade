/* SPDX-License-Identifier: Apache-2.0 */
/*
 * code.h - decoded code, by physical page
 *
 * How it works: a code page has an entry for each of its 1024 words; an entry not decoded yet has a handler that decodes it and
 * runs it.  So there are no blocks to find, link or split, and invalidating a cache line resets 16 entries.  Each
 * vCPU has its own, so nothing is locked; maintenance that is broadcast reaches the others through invalidate.h.
 * When the pool is used up all is forgotten.
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_CODE_H
#define ORIEL_ENGINE_SOFT_CODE_H

#include "engine/soft/run.h"

enum { CODE_PAGES = 4096, CODE_BUCKETS = 4096 };

struct code_page {
	uint64_t gpa;
	const uint32_t *words; /* the guest's memory */
	struct code_page *next; /* in the bucket */
	struct insn insns[PAGE_INSNS + 1]; /* the last one leaves for the next page */
};

struct code {
	struct code_page *pool; /* reserved, touched as needed */
	unsigned used;
	struct code_page *buckets[CODE_BUCKETS];
};

/* Of a vCPU that does not run.  NULL: no memory; code_destroy() accepts NULL. */
struct code *code_create(void);
void code_destroy(struct code *code);
/*
 * The decoded page of guest page @gpa, whose memory is @words.  May forget all other pages: nothing but the run loop
 * may call this.
 */
const struct insn *code_find(struct cpu *cpu, uint64_t gpa, const uint8_t *words);
/* Make sure that the entry @i of a code page is decoded. */
void code_decode(struct cpu *cpu, const struct insn *i);
/* Decode anew what lies in the 64 bytes around @gpa. */
void code_drop_line(struct cpu *cpu, uint64_t gpa);
/* Decode everything anew.  Also forgets the exec tables. */
void code_drop_all(struct cpu *cpu);

#endif
