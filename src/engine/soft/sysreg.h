/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysreg.h - system registers and system instructions (MRS, MSR, SYS, SYSL)
 *
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_SYSREG_H
#define ORIEL_ENGINE_SOFT_SYSREG_H

#include "a64/a64.h"
#include "engine/soft/cpu.h"

#define SCTLR_M	   (UINT64_C(1) << 0)
#define SCTLR_A	   (UINT64_C(1) << 1)
#define SCTLR_C	   (UINT64_C(1) << 2)
#define SCTLR_SA   (UINT64_C(1) << 3)
#define SCTLR_SA0  (UINT64_C(1) << 4)
#define SCTLR_UMA  (UINT64_C(1) << 9)
#define SCTLR_I	   (UINT64_C(1) << 12)
#define SCTLR_ENDB (UINT64_C(1) << 13)
#define SCTLR_DZE  (UINT64_C(1) << 14)
#define SCTLR_UCT  (UINT64_C(1) << 15)
#define SCTLR_NTWI (UINT64_C(1) << 16)
#define SCTLR_NTWE (UINT64_C(1) << 18)
#define SCTLR_WXN  (UINT64_C(1) << 19)
#define SCTLR_TSCXT (UINT64_C(1) << 20)
#define SCTLR_SPAN (UINT64_C(1) << 23)
#define SCTLR_UCI  (UINT64_C(1) << 26)
#define SCTLR_ENDA (UINT64_C(1) << 27)
#define SCTLR_ENIB (UINT64_C(1) << 30)
#define SCTLR_ENIA (UINT64_C(1) << 31)
#define SCTLR_MSCEN (UINT64_C(1) << 33)
#define SCTLR_BT0  (UINT64_C(1) << 35)
#define SCTLR_BT1  (UINT64_C(1) << 36)

#define TCR_TBI0  (UINT64_C(1) << 37)
#define TCR_TBI1  (UINT64_C(1) << 38)
#define TCR_TBID0 (UINT64_C(1) << 51)
#define TCR_TBID1 (UINT64_C(1) << 52)

/* Bits that exist.  FPCR: AHP, DN, FZ, RMode, FZ16; traps of FP exceptions are not implemented and read as zero. */
#define SYSREG_FPCR_RW 0x07c80000u
#define SYSREG_FPSR_RW 0x0800009fu

/* As ID_AA64DFR0_EL1 says; the last SYSREG_CONTEXTS breakpoints can match a context. */
enum { SYSREG_BREAKPOINTS = 6, SYSREG_WATCHPOINTS = 4, SYSREG_CONTEXTS = 1 };

/* Keys of FEAT_PAuth, as indexes of sysregs.apkey. */
enum sysreg_key { KEY_IA, KEY_IB, KEY_DA, KEY_DB, KEY_GA, KEY_COUNT };

/* What MRS and MSR see.  Values are as written, reduced to the bits that exist. */
struct sysregs {
	uint64_t sctlr, cpacr, ttbr0, ttbr1, tcr, mair, amair, contextidr;
	uint64_t esr, far, elr, spsr, vbar, par, afsr0, afsr1;
	uint64_t tpidr_el0, tpidrro_el0, tpidr_el1, scxtnum_el0, scxtnum_el1;
	uint64_t actlr, csselr, cntkctl, mdscr, oslar_locked, osdlr;
	uint64_t mdccint, dspsr, dlr, osdtrrx, osdtrtx, oseccr, dbgclaim;
	uint64_t dbgbvr[SYSREG_BREAKPOINTS], dbgbcr[SYSREG_BREAKPOINTS];
	uint64_t dbgwvr[SYSREG_WATCHPOINTS], dbgwcr[SYSREG_WATCHPOINTS];
	uint64_t apkey[KEY_COUNT][2]; /* Lo, Hi */
	uint64_t diversifier[2]; /* mixed into all but GA at the levels of `diversified` (engine.h) */
	unsigned diversified;
	uint64_t mpidr;
	/* Identification, fixed at creation (sysreg_id.c). */
	uint64_t midr, ctr, clidr, dczid;
	uint64_t pfr0, pfr1, dfr0, isar0, isar1, isar2, mmfr0, mmfr1, mmfr2;
	bool wide; /* addresses of 52 bits (LPA2; LVA and LPA): only for a vCPU of another engine, see nisv.h */
};

/*
 * For the decoder: an instruction of the classes "System register move" (MRS, MSR register), "System instructions" (SYS,
 * SYSL: IC, DC, AT, TLBI, ...) and "PSTATE" (MSR immediate, CFINV, XAFLAG, AXFLAG); not hints, barriers or
 * exception generation.  Chooses i->fn and fills the operands from i->raw.
 */
void sysreg_decode(struct cpu *cpu, struct insn *i);

/* Is the MRS or MSR @i, which sysreg_decode() has seen, a plain access to the field at @i->imm, and who may make it? */
enum sysreg_plain { SYSREG_NOT_PLAIN, SYSREG_PLAIN_EL1, SYSREG_PLAIN_ANY };
enum sysreg_plain sysreg_plain(const struct insn *i);

/* Fill the identification registers, which are 0 before. */
void sysreg_identify(struct sysregs *sys, enum engine_cpu_model model, uint64_t mpidr);
/* Do the identification registers show @feature?  (What they do not show is UNDEFINED.) */
bool sysreg_has_feature(const struct sysregs *sys, enum a64_feature feature);
/* Architectural reset of everything but identification. */
void sysreg_reset(struct cpu *cpu);
/* Trap a system register access or instruction to EL1 with EC 0x18. */
void sysreg_trap(struct cpu *cpu, const struct insn *i);
/* Recompute cpu->fp_trapped and cpu->mops_off. */
void sysreg_update_traps(struct cpu *cpu);

#endif
