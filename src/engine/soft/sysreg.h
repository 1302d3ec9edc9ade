/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysreg.h - system registers and system instructions (MRS, MSR, SYS, SYSL)
 *
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_SYSREG_H
#define ORIEL_ENGINE_SOFT_SYSREG_H

#include "engine/soft/cpu.h"

/*
 * For the decoder: an instruction of the classes "System register move" (MRS, MSR register), "System instructions" (SYS,
 * SYSL: IC, DC, AT, TLBI, ...) and "PSTATE" (MSR immediate, CFINV, XAFLAG, AXFLAG); not hints, barriers or
 * exception generation.  Chooses i->fn and fills the operands from i->raw.
 */
void sysreg_decode(struct cpu *cpu, struct insn *i);

#endif
