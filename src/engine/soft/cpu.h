/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu.h - state of one emulated vCPU, and how an instruction's handler looks
 *
 * How it works: code is pre-decoded into arrays of struct insn, one array for each 4 KiB page of physical memory (a
 * "block" is a page: entry n is the instruction at byte 4n, decoded when first reached).  A handler does its instruction and
 * tail-calls the next one (NEXT), or branches (run.h); a handler that faults or must leave stores cpu->pc and
 * returns to the run loop.  Exceptions are precise: a handler checks every access before it changes any register, so returning
 * in the middle is safe.  Blocks are found by physical address, so instructions know their address only relative to the page
 * (insn_pc()).
 * Invariants: the tail calls must stay tail calls, so no handler may let the address of a local escape to a function that is
 * not inlined (slow paths hand values back in cpu->result).  Builds without tail calls (SOFT_TAILCALLS undefined: -O0,
 * sanitizers) go back to the run loop after each instruction.
 * Threads: a cpu belongs to its vCPU thread, except the fields marked "any thread".
 */
#ifndef ORIEL_ENGINE_SOFT_CPU_H
#define ORIEL_ENGINE_SOFT_CPU_H

#include "engine/engine.h"
#include "engine/soft/fp.h"
#include "engine/soft/jit/constants.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;
struct insn;

typedef void (*insn_fn)(struct cpu *cpu, const struct insn *i);

/*
 * One pre-decoded instruction.  rd/rn/rm/ra index cpu->x after the decoder has replaced number 31: SP is x[31],
 * a read of ZR is x[CPU_ZR], a write to ZR is x[CPU_SINK]; so handlers of the base set do not test for 31.
 * SIMD&FP handlers use plain register numbers.  `raw` is always the encoding.
 */
struct insn {
	insn_fn fn;
	uint32_t raw;
	uint16_t offset; /* bytes from the page's start, 0..4092 */
	uint8_t rd, rn, rm, ra;
	uint64_t imm;
};

enum {
	CPU_SP = 31,
	CPU_ZR = 32,   /* always 0 */
	CPU_SINK = 33, /* never read */
};

union vreg {
	uint8_t b[16];
	uint16_t h[8];
	uint32_t s[4];
	uint64_t d[2];
	__uint128_t q;
};

/* PSTATE.NZCV packed as in SPSR: N is bit 31 ... V is bit 28, all other bits 0. */
struct cpu {
	uint64_t x[34]; /* x[31] is the current SP */
	uint64_t pc;	/* where the run loop goes on; inside handlers see insn_pc() */
	uint64_t block_pc; /* virtual address of the running page's start */
	uint32_t nzcv;
	/* Any thread: non-zero makes the run loop look at why (bits in run.h). */
	atomic_uint pending;
	/* Translations of the current EL, PAN and ASID (mem.h, run.h); tlb_user: as an EL0 access sees it (LDTR). */
	struct tlb_entry *tlb, *tlb_user;
	struct exec_entry *exec, *jit_exec; /* code pages, decoded and translated */
	const struct insn *next; /* builds without tail calls: the instruction to go on with, NULL = at pc */
	uint64_t result[2];	 /* what a slow path hands back to its inline wrapper */

	_Alignas(16) union vreg v[32];
	union {
		struct {
			uint32_t fpcr, fpsr;
		};
		struct fp_env fp; /* the same two, for fp.h */
	};

	/* Other PSTATE fields. */
	uint8_t el;    /* 0 or 1 */
	uint8_t spsel; /* 1: SP_EL1 at EL1 */
	uint8_t btype; /* FEAT_BTI, 0..3 */
	bool pan, ss, il;
	uint32_t mxcsr; /* the host's while translated code runs (jit/mxcsr.h) */
	bool fp_trapped; /* CPACR_EL1.FPEN forbids SIMD&FP at this EL */
	bool mops_off;	 /* SCTLR_EL1.MSCEn does, for memory copy and set */
	uint32_t daif; /* bits 9:6 as in SPSR */
	uint64_t sp_el[2]; /* SP_EL0 and SP_EL1; the one in use is stale here, it is x[31] */

	/* Exclusive monitor (mem.h): host address (NULL if open), size and what was read. */
	void *ex_ptr;
	uint64_t ex_value[2];
	uint8_t ex_size;

	/* Translator (jit/jit.h), NULL with the interpreter; a jump that waits to be linked, and where it is to lead. */
	struct jit *jit;
	uint64_t jit_link;
	uint32_t jit_link_page, jit_link_word;
	uint64_t jit_handler_calls;

	_Alignas(16) union vreg jit_scratch[2];
	_Alignas(16) struct jit_constants jit_constants;

	struct sysregs *sys;   /* soft/sysreg.h */
	struct mmu *mmu;       /* soft/mmu.h */
	struct soft_vcpu *vcpu; /* soft/soft.h */
};

/* Address of the instruction a handler is running. */
static inline uint64_t insn_pc(const struct cpu *cpu, const struct insn *i)
{
	return cpu->block_pc + i->offset;
}

/* Go on with the next instruction (each page ends with an entry that goes to the next page). */
#if defined(SOFT_TAILCALLS) && defined(__clang__)
#define SOFT_TAIL __attribute__((musttail))
#else
#define SOFT_TAIL
#endif
#ifdef SOFT_TAILCALLS
#define NEXT(cpu, i) SOFT_TAIL return (i)[1].fn((cpu), (i) + 1)
#else
#define NEXT(cpu, i)                                                                               \
	do {                                                                                       \
		(cpu)->next = (i) + 1;                                                             \
		return;                                                                            \
	} while (0)
#endif

/*
 * Take a synchronous exception at this instruction to EL1; the handler must return right after.
 * @ec and @iss as in ESR_EL1; ELR is insn_pc() (for SVC/HVC/BRK see exception.h).
 */
void cpu_exception(struct cpu *cpu, const struct insn *i, unsigned ec, uint32_t iss);
/* The instruction does not exist here (or not at this EL): EC 0. */
void cpu_undefined(struct cpu *cpu, const struct insn *i);
/* Take the trap of a disabled SIMD&FP (EC 7); false. */
bool cpu_fp_trap(struct cpu *cpu, const struct insn *i);
/* CPACR_EL1.FPEN check for SIMD&FP handlers; false: the trap (EC 7) was taken, return. */
static inline bool cpu_fp_enabled(struct cpu *cpu, const struct insn *i)
{
	return __builtin_expect(!cpu->fp_trapped, 1) || cpu_fp_trap(cpu, i);
}

#endif
