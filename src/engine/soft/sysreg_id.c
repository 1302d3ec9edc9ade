/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysreg_id.c - what the ID registers say about the CPU
 *
 * How it works: one list of fields; the decoder takes its features from the same registers, so a field that is zero here makes
 * its instructions UNDEFINED.
 * Threads: any.
 */
#include "engine/soft/sysreg.h"

#define FIELD(value, low) ((uint64_t)(value) << (low))

/*
 * Implementer 0 ("reserved for software use") is on no list of errata, so kernels switch no workarounds on.
 */
enum { MIDR_OURS = 0x000f0010 };

/* 64-byte lines, IDC: no cleaning to make code visible; but not DIC: code has to be invalidated. */
#define CTR_OURS   UINT64_C(0x9444c004)
#define CLIDR_OURS UINT64_C(0x02000023) /* separate L1, unified L2, coherency at level 2 */
#define DCZID_OURS UINT64_C(4)		/* 64 bytes */

static void identify_instructions(struct sysregs *sys, bool pauth)
{
	sys->isar0 = FIELD(2, 4) |  /* AES, PMULL */
		     FIELD(1, 8) |  /* SHA1 */
		     FIELD(2, 12) | /* SHA256, SHA512 */
		     FIELD(1, 16) | /* CRC32 */
		     FIELD(2, 20) | /* LSE */
		     FIELD(1, 28) | /* RDM */
		     FIELD(1, 32) | /* SHA3 */
		     FIELD(1, 44) | /* DotProd */
		     FIELD(2, 56);  /* TLBI by range, outer shareable */
	sys->isar1 = FIELD(1, 0) |  /* DC CVAP */
		     FIELD(1, 12) | /* JSCVT */
		     FIELD(1, 16) | /* FCMA */
		     FIELD(1, 20) | /* LRCPC */
		     FIELD(1, 32) | /* FRINTTS */
		     FIELD(1, 36);  /* SB */
	if (pauth) {
		sys->isar1 |= FIELD(1, 8) | FIELD(1, 28); /* implementation defined algorithm */
	}
	sys->isar2 = 0;
}

void sysreg_identify(struct sysregs *sys, bool pauth, bool bti, uint64_t mpidr)
{
	sys->mpidr = mpidr | UINT64_C(1) << 31;
	sys->midr = MIDR_OURS;
	sys->ctr = CTR_OURS;
	sys->clidr = CLIDR_OURS;
	sys->dczid = DCZID_OURS;
	sys->pfr0 = FIELD(1, 0) | FIELD(1, 4) |	  /* EL0 and EL1, AArch64 only */
		    FIELD(1, 16) | FIELD(1, 20) | /* FP and AdvSIMD with half precision */
		    FIELD(1, 24) |		  /* GIC by system registers */
		    FIELD(3, 56) | FIELD(1, 60);  /* CSV2_3: no branch history to mitigate; CSV3 */
	sys->pfr1 = bti ? FIELD(1, 0) : 0;
	sys->dfr0 = FIELD(6, 0) | FIELD(SYSREG_BREAKPOINTS - 1, 12) | FIELD(SYSREG_WATCHPOINTS - 1, 20);
	sys->mmfr0 = FIELD(5, 0) |  /* 48 bits of physical address */
		     FIELD(2, 4) |  /* 16 bits of ASID */
		     FIELD(1, 20) | /* 16 KiB granule; 4 and 64 are fields of 0 */
		     FIELD(1, 60);  /* CNTVCTSS */
	sys->mmfr1 = FIELD(2, 0) |  /* access flag and dirty state by hardware */
		     FIELD(1, 12) | /* HPDS */
		     FIELD(2, 20);  /* PAN, AT S1E1RP */
	sys->mmfr2 = FIELD(1, 60);  /* E0PD */
	identify_instructions(sys, pauth);
}
