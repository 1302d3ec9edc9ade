/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysreg_priv.h - shared by sysreg.c (MRS and MSR), sysreg_table.c (registers) and sysop.c (SYS instructions)
 *
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_SYSREG_PRIV_H
#define ORIEL_ENGINE_SOFT_SYSREG_PRIV_H

#include "engine/soft/sysreg.h"

/* op1, CRn, CRm, op2 of a SYS instruction as one number. */
#define SYSOP(op1, crn, crm, op2) ((op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))

static inline uint32_t sysreg_number(uint32_t raw)
{
	return raw >> 5 & 0xffff; /* op0..op2, as ENGINE_SYSREG() */
}

static inline uint8_t sysreg_rt(uint32_t raw, bool written)
{
	unsigned rt = raw & 31;
	return rt != 31 ? rt : written ? CPU_SINK : CPU_ZR;
}

/* A feature that registers and SYS instructions belong to. */
enum sysreg_need {
	NEED_NOTHING,
	NEED_PAN,
	NEED_PAN2,
	NEED_SCXTNUM,
	NEED_COUNTERS_SS,
	NEED_CVAP,
	NEED_TLBI_OS,
	NEED_TLBI_RANGE
};

static inline bool sysreg_has(const struct sysregs *sys, enum sysreg_need need)
{
	switch (need) {
	case NEED_NOTHING: return true;
	case NEED_PAN: return (sys->mmfr1 >> 20 & 0xf) >= 1;
	case NEED_PAN2: return (sys->mmfr1 >> 20 & 0xf) >= 2;
	case NEED_SCXTNUM: return (sys->pfr0 >> 56 & 0xf) >= 2;
	case NEED_COUNTERS_SS: return (sys->mmfr0 >> 60 & 0xf) >= 1;
	case NEED_CVAP: return (sys->isar1 & 0xf) >= 1;
	case NEED_TLBI_OS: return (sys->isar0 >> 56 & 0xf) >= 1;
	case NEED_TLBI_RANGE: return (sys->isar0 >> 56 & 0xf) >= 2;
	}
	return false;
}

/* Who may do what: at EL1, and at EL0 (also subject to sysreg_info.allowed). */
enum sysreg_access {
	R1 = 1,
	W1 = 2,
	RW1 = R1 | W1,
	R0 = 4,
	W0 = 8,
	RW0 = R0 | W0,
};

struct sysreg_info {
	uint32_t number;
	uint8_t access;
	bool plain;	 /* no function: storage */
	uint8_t need;	 /* enum sysreg_need */
	uint16_t offset; /* in struct sysregs */
	uint64_t mask;	 /* bits that can be written */
	uint64_t (*read)(struct cpu *cpu);
	void (*write)(struct cpu *cpu, uint64_t value);
	/* May EL0 use it now?  False: trap with EC 0x18. */
	bool (*allowed)(struct cpu *cpu);
};

/* The register as the table and the CPU's features have it; NULL: UNDEFINED. */
const struct sysreg_info *sysreg_find(const struct cpu *cpu, uint32_t number);
/* An interrupt that was masked may be due now. */
void sysreg_look_at_lines(struct cpu *cpu);
/* FPCR and FPSR as MRS reads them. */
uint64_t sysreg_read_fpcr(struct cpu *cpu);
uint64_t sysreg_read_fpsr(struct cpu *cpu);
/* SCTLR_EL1.UMA, for EL0. */
bool sysreg_uma_allows(struct cpu *cpu);

/* Choose the handler of a SYS instruction (op0 = 1). */
void sysop_decode(struct cpu *cpu, struct insn *i);

#endif
