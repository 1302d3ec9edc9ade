/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nisv.h - accesses to devices which hardware does not describe (ISV=0), done by hand
 *
 * How it works: the instruction is fetched through the guest's own tables, read by a64/access.h,
 * its addresses are translated and compared with the one that faulted, then its bytes are moved and
 * the registers changed.  What can not be done becomes a synchronous external abort in the guest.
 * Other engines hand the state of their vCPU to one of this engine that never runs (nisv_assist()).
 * Threads: the vCPU thread; a vCPU that never runs: one thread at a time.
 */
#ifndef ORIEL_ENGINE_SOFT_NISV_H
#define ORIEL_ENGINE_SOFT_NISV_H

#include "a64/access.h"
#include "engine/soft/cpu.h"

/* True if hardware describes an access by the instruction @word, so that nothing has to be done by
 * hand. */
bool nisv_is_described(uint32_t word);

enum nisv_result {
	NISV_DONE,	/* the instruction is behind us */
	NISV_FAULT,	/* an exception was taken: a stage 1 fault of the guest's own, or nothing
			   answers there */
	NISV_UNDECODED, /* not understood: a synchronous external abort was taken */
};

/* The address that faulted is not known: any access that touches a device will do. */
#define NISV_ANY_GPA UINT64_MAX

/*
 * The load or store at @pc wanted the device at @fault_gpa (any byte of the access).  cpu->pc
 * becomes the next instruction's, or that of the exception's vector.
 */
enum nisv_result nisv_complete(struct cpu *cpu, uint64_t pc, uint64_t fault_gpa);

/* What a vCPU of another engine knows of itself. */
struct nisv_state {
	struct a64_registers regs; /* regs.x[31] is unused */
	uint64_t sp_el[2], pc, pstate;
	uint64_t sctlr, tcr, ttbr0, ttbr1, mair, vbar, elr, spsr, esr, far;
	unsigned zva_bytes;
	bool wide; /* its CPU has addresses of 52 bits */
};

/* Has a CPU with these ID_AA64MMFR0_EL1 and MMFR2 addresses of 52 bits: LPA2 with 4K or 16K pages, LVA with 64K? */
bool nisv_is_wide(uint64_t mmfr0, uint64_t mmfr2);

/* As nisv_complete(), for @state; @shadow is a vCPU of the built-in engine with the same memory and
 * host. */
enum nisv_result nisv_assist(struct engine_vcpu *shadow, struct nisv_state *state,
			     uint64_t fault_gpa);
/* Give @state's vCPU a synchronous exception (exception_take()) whose return address is its pc. */
void nisv_raise(struct engine_vcpu *shadow, struct nisv_state *state, unsigned ec, uint32_t iss,
		bool has_far, uint64_t far);

#endif
