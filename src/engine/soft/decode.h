/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode.h - from words to struct insn (see also decode_insn() in run.h)
 *
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_DECODE_H
#define ORIEL_ENGINE_SOFT_DECODE_H

#include "engine/soft/cpu.h"

/*
 * decode_insn(), but the handler may do the instruction after it as well.  @next: the word of that, which must be in the same cache
 * line (64 bytes) and page.
 */
void decode_pair(struct cpu *cpu, struct insn *i, uint32_t next);

/*
 * FEAT_BTI: may an indirect branch that left PSTATE.BTYPE = @btype (1..3) end at the instruction @raw of a guarded page?
 * @strict: SCTLR_EL1.BT0 or BT1 for the current EL.  If not: Branch Target exception.
 */
bool decode_is_branch_target(const struct cpu *cpu, uint32_t raw, unsigned btype, bool strict);

#endif
