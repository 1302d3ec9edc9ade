/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jit.h - the translator from A64 to x86-64
 *
 * How it works: a code page has a table with the entry point of each of its 1024 words; an entry that was not
 * translated yet leads to a stub that leaves to the run loop, which translates from there to the end of the block and goes on.
 * Code of a page depends on its contents alone: virtual addresses are computed from cpu->block_pc, so one translation serves all
 * mappings of a page.  Jumps inside a page are linked directly; all others look their target's page up in the exec table, which
 * the MMU keeps right, so changed mappings need no unlinking.  Maintenance of a line forgets its page's entries.
 * What has no translation of its own calls the interpreter's handler: every encoding runs, and there is one definition of it.
 * Each vCPU has its own code, so nothing is locked.
 * Invariants: no page is writable and executable: the code has two views of one memfd.  Between instructions of a
 * block all guest state is where priv.h says, so every instruction can fault precisely.
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_JIT_JIT_H
#define ORIEL_ENGINE_SOFT_JIT_JIT_H

#include "engine/soft/run.h"

struct jit;
struct jit_page;
struct jit_store;
struct sysregs;

/* What one vCPU's translator did so far. */
struct jit_stats {
	uint64_t blocks, insns; /* translated */
	uint64_t blocks_loaded; /* taken from the store of earlier runs instead */
	uint64_t code_bytes;	/* in use now */
	uint64_t flushes;	/* all was forgotten: no room, or the guest asked for it */
	uint64_t pages_dropped; /* the guest changed code */
	uint64_t entries;	/* from the run loop */
	uint64_t handler_calls; /* instructions that the interpreter's handlers did */
};

struct jit_options {
	bool perf_map;	 /* append each block's place and guest address to /tmp/perf-PID.map, as perf reads it */
	bool plain_host; /* as for a host with no more than jit_is_supported() asks for */
};

/* What hosts may have, with the system's support for it. */
enum jit_host {
	JIT_HOST_AVX512 = 1, /* AVX-512 F, BW, CD, DQ, VL */
	JIT_HOST_BYTES = 2,  /* that, VBMI and BITALG */
	JIT_HOST_DOT = 4,    /* that (not VBMI and BITALG) and VNNI */
};

#ifdef __x86_64__

/* Can this host run translated code?  It needs AVX2, BMI2, LZCNT, FMA and F16C (x86-64-v3). */
bool jit_is_supported(void);
/* What translations use beyond that, enum jit_host; nothing of it if the host is @plain. */
unsigned jit_host_features(bool plain);
/* NULL: no memory.  @share: how many such caches the process has; they share the address space below 2 GiB. */
struct jit *jit_create(struct cpu *cpu, unsigned share, const struct jit_options *options);
/*
 * The store of kept translations as @config says, for a CPU with the ID registers in @sys.  NULL: none, by choice or as
 * the log says.  jit_close_store() saves.
 */
struct jit_store *jit_open_store(const struct engine_config *config, const struct sysregs *sys);
void jit_close_store(struct jit_store *store);
/* Take translations from @store, and give it new ones.  Set-up; @store outlives @jit. */
void jit_use_store(struct jit *jit, struct jit_store *store);
/* Accepts NULL.  What it translated goes to its store.  Its vCPU does not run. */
void jit_destroy(struct jit *jit);
/* Its vCPU does not run. */
void jit_stats(const struct cpu *cpu, struct jit_stats *stats);

/*
 * The translated page of guest page @gpa, whose memory is @words.  May forget all translations: nothing but the run loop
 * may call this.
 */
struct jit_page *jit_find_page(struct cpu *cpu, uint64_t gpa, const uint8_t *words);
/*
 * Run from cpu->pc, which lies in @page, until something has to be looked at.  cpu->block_pc is set.  Translates
 * what is missing.
 */
void jit_run(struct cpu *cpu, struct jit_page *page);

/* Forget the translations of the page around @gpa, or all.  cpu->jit may be NULL. */
void jit_drop_page(struct cpu *cpu, uint64_t gpa);
void jit_drop_all(struct cpu *cpu);

#else

static inline bool jit_is_supported(void)
{
	return false;
}

static inline void jit_stats(const struct cpu *cpu, struct jit_stats *stats)
{
	*stats = (struct jit_stats){0};
}

static inline struct jit *jit_create(struct cpu *cpu, unsigned share, const struct jit_options *options)
{
	return NULL;
}

static inline struct jit_store *jit_open_store(const struct engine_config *config, const struct sysregs *sys)
{
	return NULL;
}

static inline void jit_close_store(struct jit_store *store)
{
}

static inline void jit_use_store(struct jit *jit, struct jit_store *store)
{
}

static inline void jit_destroy(struct jit *jit)
{
}

static inline struct jit_page *jit_find_page(struct cpu *cpu, uint64_t gpa, const uint8_t *words)
{
	return NULL;
}

static inline void jit_run(struct cpu *cpu, struct jit_page *page)
{
}

static inline void jit_drop_page(struct cpu *cpu, uint64_t gpa)
{
}

static inline void jit_drop_all(struct cpu *cpu)
{
}

#endif
#endif
