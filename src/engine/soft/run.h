/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.h - how branches continue, and what stops the flow of instructions
 *
 * How it works: the exec table maps virtual code pages (of the current EL and ASID) to their decoded pages.  A branch finds its
 * target there and goes on without the run loop; a miss, a misaligned target or anything pending stores cpu->pc and
 * returns.  Branches inside the page need no table: the target is at a fixed distance from the branch itself.
 * Threads: handlers are on the vCPU thread; run_request() is for any thread.
 */
#ifndef ORIEL_ENGINE_SOFT_RUN_H
#define ORIEL_ENGINE_SOFT_RUN_H

#include "engine/soft/cpu.h"

/* Bits of cpu->pending. */
enum run_pending {
	RUN_IRQ = 1 << 0,      /* an interrupt line is high, maybe not masked */
	RUN_KICK = 1 << 1,     /* leave engine_run() */
	RUN_TIMER = 1 << 2,    /* a generic timer's deadline has passed or was changed */
	RUN_WFI = 1 << 3,      /* sleep until an interrupt */
	RUN_WORK = 1 << 4,     /* another thread asks for TLB or code invalidation */
	RUN_STEP = 1 << 5,     /* software step or breakpoints are active: one instruction a time */
};

enum {
	EXEC_ENTRIES = 512, /* power of two */
	PAGE_INSNS = 1024,
	GUEST_PAGE = 4096,
};

/*
 * A code page.  @tag: virtual address, or TLB_NONE: of a target only bits 11:2 are masked, so misaligned ones never match, and
 * none has bit 11.
 */
struct exec_entry {
	uint64_t tag;
	union {
		const struct insn *insns;
		struct jit_page *page; /* with the translator */
	};
};

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define SOFT_INLINE static inline __attribute__((always_inline))

SOFT_INLINE bool run_is_pending(struct cpu *cpu)
{
	return UNLIKELY(atomic_load_explicit(&cpu->pending, memory_order_relaxed) != 0);
}

SOFT_INLINE struct exec_entry *run_exec_slot(struct exec_entry *table, uint64_t va)
{
	return &table[va / GUEST_PAGE % EXEC_ENTRIES];
}

/* The decoded instruction at @target, or NULL: then leave with cpu->pc = target. */
SOFT_INLINE const struct insn *run_find(struct cpu *cpu, uint64_t target)
{
	const struct exec_entry *e = run_exec_slot(cpu->exec, target);
	if (LIKELY(e->tag == (target & ~(uint64_t)0xffc)) && !run_is_pending(cpu)) {
		cpu->block_pc = target & ~(uint64_t)0xfff;
		return e->insns + (target & 0xffc) / 4;
	}
	return NULL;
}

/* Is the target of a branch at @i by @displacement bytes in the same page?  (Known when decoding.) */
SOFT_INLINE bool run_is_local(const struct insn *i, int64_t displacement)
{
	return (uint64_t)(i->offset + displacement) < GUEST_PAGE;
}

#ifdef SOFT_TAILCALLS
#define RUN_GO(cpu, t) SOFT_TAIL return (t)->fn((cpu), (t))
#else
#define RUN_GO(cpu, t)                                                                             \
	do {                                                                                       \
		(cpu)->next = (t);                                                                 \
		return;                                                                            \
	} while (0)
#endif

/* End a handler: branch to the virtual address @target (any value; alignment and tags are dealt with). */
#define BRANCH(cpu, target)                                                                        \
	do {                                                                                       \
		uint64_t run_target_ = (target);                                                   \
		const struct insn *run_next_ = run_find((cpu), run_target_);                       \
		if (LIKELY(run_next_ != NULL)) {                                                   \
			RUN_GO((cpu), run_next_);                                                  \
		}                                                                                  \
		(cpu)->pc = run_target_;                                                           \
		return;                                                                            \
	} while (0)

/* End a handler: branch by @displacement bytes (multiple of 4) to an instruction of the same page (run_is_local()). */
#define BRANCH_LOCAL(cpu, i, displacement)                                                         \
	do {                                                                                       \
		const struct insn *run_next_ = (const struct insn *)((const char *)(i) +           \
			(int64_t)(displacement) * (int64_t)(sizeof(struct insn) / 4));             \
		if (run_is_pending(cpu)) {                                                         \
			(cpu)->pc = insn_pc((cpu), (i)) + (displacement);                          \
			return;                                                                    \
		}                                                                                  \
		RUN_GO((cpu), run_next_);                                                          \
	} while (0)

/* End a handler: branch by @displacement bytes, local or not. */
#define BRANCH_DIRECT(cpu, i, displacement)                                                        \
	do {                                                                                       \
		if (LIKELY(run_is_local((i), (displacement)))) {                                   \
			BRANCH_LOCAL((cpu), (i), (displacement));                                  \
		}                                                                                  \
		BRANCH((cpu), insn_pc((cpu), (i)) + (displacement));                               \
	} while (0)

/*
 * End a handler whose effects need a look by the run loop before the next instruction (unmasked interrupts, changed
 * translation, ISB).
 */
#define LEAVE(cpu, i)                                                                              \
	do {                                                                                       \
		(cpu)->pc = insn_pc((cpu), (i)) + 4;                                               \
		return;                                                                            \
	} while (0)

/* Handlers of hints and barriers; whole instructions. */
void run_op_wfi(struct cpu *cpu, const struct insn *i);
void run_op_wfe(struct cpu *cpu, const struct insn *i);
void run_op_yield(struct cpu *cpu, const struct insn *i);
void run_op_sev(struct cpu *cpu, const struct insn *i);
void run_op_sevl(struct cpu *cpu, const struct insn *i);
void run_op_isb(struct cpu *cpu, const struct insn *i);
void run_op_dsb(struct cpu *cpu, const struct insn *i); /* any DSB: also completes broadcast invalidations */

/* FEAT_BTI: does the running instruction's page have the GP bit?  Asked only when the feature is shown. */
bool run_is_guarded(struct cpu *cpu);

/* Set bits of @cpu->pending and wake it if it sleeps.  Any thread. */
void run_request(struct cpu *cpu, unsigned bits);
/* The same without waking it: it sees them when it wakes.  Any thread. */
static inline void run_note(struct cpu *cpu, unsigned bits)
{
	atomic_fetch_or(&cpu->pending, bits);
}

/*
 * Provided by the decoder (decode.c): @i->raw and @i->offset are set; fill fn, rd, rn, rm, ra and imm.  Never fails:
 * an unallocated encoding gets a handler that calls cpu_undefined().  vCPU thread.
 */
void decode_insn(struct cpu *cpu, struct insn *i);

#endif
