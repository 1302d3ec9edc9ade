/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exception.h - instructions that generate exceptions or return from them, and taking exceptions
 *
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_EXCEPTION_H
#define ORIEL_ENGINE_SOFT_EXCEPTION_H

#include "engine/soft/cpu.h"

/* ESR_EL1.EC (Arm ARM D24.2.40). */
enum exception_class {
	EC_UNKNOWN = 0x00,
	EC_WFX = 0x01,
	EC_FP_ACCESS = 0x07,
	EC_PAUTH = 0x09,
	EC_BTI = 0x0d,
	EC_ILLEGAL_STATE = 0x0e,
	EC_SVC = 0x15,
	EC_HVC = 0x16,
	EC_SMC = 0x17,
	EC_SYSREG = 0x18,
	EC_FPAC = 0x1c,
	EC_INSN_ABORT_EL0 = 0x20,
	EC_INSN_ABORT = 0x21,
	EC_PC_ALIGN = 0x22,
	EC_DATA_ABORT_EL0 = 0x24,
	EC_DATA_ABORT = 0x25,
	EC_SP_ALIGN = 0x26,
	EC_MOPS = 0x27, /* Memory Copy and Memory Set */
	EC_FP_TRAP = 0x2c,
	EC_BREAKPOINT_EL0 = 0x30,
	EC_STEP_EL0 = 0x32,
	EC_WATCHPOINT_EL0 = 0x34,
	EC_BRK = 0x3c,
};

/* Whole instructions; the 16-bit immediate is @i->imm.  Handlers for the decoder's table: nothing else to do. */
void exception_op_svc(struct cpu *cpu, const struct insn *i);
void exception_op_hvc(struct cpu *cpu, const struct insn *i);
void exception_op_smc(struct cpu *cpu, const struct insn *i);
void exception_op_brk(struct cpu *cpu, const struct insn *i);
void exception_op_hlt(struct cpu *cpu, const struct insn *i);
void exception_op_eret(struct cpu *cpu, const struct insn *i);

/* ERET to @target instead of ELR_EL1 (ERETAA/ERETAB after authentication); sets cpu->pc, the handler returns. */
void exception_return(struct cpu *cpu, const struct insn *i, uint64_t target);

/* Take a synchronous exception to EL1 with return address @elr.  ISS without IL; FAR_EL1 is written if @has_far. */
void exception_take(struct cpu *cpu, unsigned ec, uint32_t iss, uint64_t elr, bool has_far, uint64_t far);
/* Take IRQ (or FIQ) at cpu->pc.  The caller has checked the masks. */
void exception_take_interrupt(struct cpu *cpu, bool fiq);

/* MDSCR_EL1, the OS lock, PSTATE.D or the EL changed: have the run loop look if software step or breakpoints are active now. */
void exception_update_step(struct cpu *cpu);
/* Is software step enabled for the next instruction (Arm ARM D2.12)? */
bool exception_step_enabled(const struct cpu *cpu);

/* PSTATE as SPSR_EL1 holds it. */
uint64_t exception_pstate(const struct cpu *cpu);
/* Change to @el with stack selection @spsel: swaps x[31] and selects the translation tables. */
void exception_set_level(struct cpu *cpu, unsigned el, unsigned spsel);

#endif
