/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysreg_id.c - what the ID registers say about the CPU
 *
 * How it works: one list of fields with their value in each model; the decoder and the system
 * registers take their features from the same registers, so what a field does not show is
 * UNDEFINED. Invariants: the column of ENGINE_CPU_BASELINE never changes. Threads: any.
 */
#include "engine/soft/sysreg.h"

#include <string.h>

/*
 * Implementer 0 ("reserved for software use") is on no list of errata, so kernels switch no
 * workarounds on.
 */
enum { MIDR_OURS = 0x000f0010 };

/* 64-byte lines, IDC: no cleaning to make code visible; but not DIC: code has to be invalidated. */
#define CTR_OURS   UINT64_C(0x9444c004)
#define CLIDR_OURS UINT64_C(0x02000023) /* separate L1, unified L2, coherency at level 2 */
#define DCZID_OURS UINT64_C(4)		/* 64 bytes */

struct field {
	uint16_t reg; /* offset in struct sysregs */
	uint8_t low;
	uint8_t baseline, usual, max; /* usual: ENGINE_CPU_DEFAULT, ENGINE_CPU_HOST */
};

#define FIELD(reg, low, baseline, usual, max)                                                      \
	{                                                                                          \
		offsetof(struct sysregs, reg), low, baseline, usual, max                           \
	}

static const struct field fields[] = {
	FIELD(pfr0, 0, 1, 1, 1),  /* EL0, AArch64 only */
	FIELD(pfr0, 4, 1, 1, 1),  /* EL1 */
	FIELD(pfr0, 16, 0, 1, 1), /* FP; 1: with half precision */
	FIELD(pfr0, 20, 0, 1, 1), /* AdvSIMD, as FP */
	FIELD(pfr0, 24, 1, 1, 1), /* GIC by system registers */
	FIELD(pfr0, 56, 1, 3, 3), /* CSV2: no branch history to mitigate; 3 with SCXTNUM */
	FIELD(pfr0, 60, 1, 1, 1), /* CSV3 */
	FIELD(pfr1, 0, 0, 0, 1),  /* BTI */
	FIELD(dfr0, 0, 6, 6, 6),  /* Armv8 debug, and no PMU */
	FIELD(dfr0, 12, SYSREG_BREAKPOINTS - 1, SYSREG_BREAKPOINTS - 1, SYSREG_BREAKPOINTS - 1),
	FIELD(dfr0, 20, SYSREG_WATCHPOINTS - 1, SYSREG_WATCHPOINTS - 1, SYSREG_WATCHPOINTS - 1),
	FIELD(dfr0, 28, SYSREG_CONTEXTS - 1, SYSREG_CONTEXTS - 1, SYSREG_CONTEXTS - 1),
	FIELD(isar0, 4, 2, 2, 2),  /* AES, PMULL */
	FIELD(isar0, 8, 1, 1, 1),  /* SHA1 */
	FIELD(isar0, 12, 1, 2, 2), /* SHA256, SHA512 */
	FIELD(isar0, 16, 1, 1, 1), /* CRC32 */
	FIELD(isar0, 20, 0, 2, 2), /* LSE */
	FIELD(isar0, 28, 0, 1, 1), /* RDM */
	FIELD(isar0, 32, 0, 1, 1), /* SHA3 */
	FIELD(isar0, 44, 0, 1, 1), /* DotProd */
	FIELD(isar0, 48, 0, 0, 1), /* FHM */
	FIELD(isar0, 52, 0, 0, 1), /* FlagM */
	FIELD(isar0, 56, 0, 2, 2), /* TLBI by range, outer shareable */
	FIELD(isar1, 0, 0, 1, 1),  /* DC CVAP */
	FIELD(isar1, 8, 0, 0, 1),  /* PAuth, implementation defined algorithm: addresses */
	FIELD(isar1, 12, 0, 1, 1), /* JSCVT */
	FIELD(isar1, 16, 0, 1, 1), /* FCMA */
	FIELD(isar1, 20, 0, 1, 2), /* LRCPC, LRCPC2 */
	FIELD(isar1, 28, 0, 0, 1), /* PAuth: generic */
	FIELD(isar1, 32, 0, 1, 1), /* FRINTTS */
	FIELD(isar1, 36, 0, 1, 1), /* SB */
	FIELD(isar2, 16, 0, 1, 1), /* MOPS */
	FIELD(mmfr0, 0, 5, 5, 5),  /* 48 bits of physical address */
	FIELD(mmfr0, 4, 2, 2, 2),  /* 16 bits of ASID */
	FIELD(mmfr0, 20, 1, 1, 1), /* 16 KiB granule; 4 and 64 are fields of 0 */
	FIELD(mmfr0, 60, 0, 1, 1), /* CNTVCTSS */
	FIELD(mmfr1, 0, 0, 2, 2),  /* access flag and dirty state by hardware */
	FIELD(mmfr1, 12, 0, 1, 1), /* HPDS */
	FIELD(mmfr1, 20, 0, 2, 2), /* PAN, AT S1E1RP */
	FIELD(mmfr2, 60, 1, 1, 1), /* E0PD: with it kernels need no second set of tables */
};

/* ENGINE_CPU_HOST: without what this host has to compute step by step. */
static void hide_slow(struct sysregs *sys)
{
#ifdef __x86_64__
	unsigned aes = !__builtin_cpu_supports("aes")	  ? 0
		       : __builtin_cpu_supports("pclmul") ? 2
							  : 1;
	sys->isar0 = (sys->isar0 & ~UINT64_C(0xf0)) | (uint64_t)aes << 4;
#endif
}

static unsigned value_in(const struct field *field, enum engine_cpu_model model)
{
	switch (model) {
	case ENGINE_CPU_BASELINE: return field->baseline;
	case ENGINE_CPU_MAX: return field->max;
	default: return field->usual;
	}
}

void sysreg_identify(struct sysregs *sys, enum engine_cpu_model model, uint64_t mpidr)
{
	sys->mpidr = mpidr | UINT64_C(1) << 31;
	sys->midr = MIDR_OURS;
	sys->ctr = CTR_OURS;
	sys->clidr = CLIDR_OURS;
	sys->dczid = DCZID_OURS;
	for (size_t n = 0; n < sizeof(fields) / sizeof(fields[0]); n++) {
		uint64_t *reg = (uint64_t *)((char *)sys + fields[n].reg);
		*reg |= (uint64_t)value_in(&fields[n], model) << fields[n].low;
	}
	if (model == ENGINE_CPU_HOST) {
		hide_slow(sys);
	}
}

bool sysreg_has_feature(const struct sysregs *sys, enum a64_feature feature)
{
	const struct a64_feature_info *info = &a64_feature_infos[feature];
	uint64_t value = 0;
	if (feature == A64_FEATURE_BASE) {
		return true;
	}
	switch ((enum a64_id)info->id) {
	case A64_ID_PFR0: value = sys->pfr0; break;
	case A64_ID_PFR1: value = sys->pfr1; break;
	case A64_ID_ISAR0: value = sys->isar0; break;
	case A64_ID_ISAR1: value = sys->isar1; break;
	case A64_ID_ISAR2: value = sys->isar2; break;
	case A64_ID_MMFR0: value = sys->mmfr0; break;
	case A64_ID_MMFR1: value = sys->mmfr1; break;
	case A64_ID_MMFR2: value = sys->mmfr2; break;
	case A64_IDS: break;
	}
	return (value >> info->low & 0xf) >= info->minimum;
}
