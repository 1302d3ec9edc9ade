/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysreg_priv.h - shared by sysreg.c (registers) and sysop.c (SYS instructions)
 *
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_SYSREG_PRIV_H
#define ORIEL_ENGINE_SOFT_SYSREG_PRIV_H

#include "engine/soft/cpu.h"

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

/* Choose the handler of a SYS instruction (op0 = 1). */
void sysop_decode(struct insn *i);

#endif
