/* SPDX-License-Identifier: Apache-2.0 */
/*
 * debug.h - breakpoints and watchpoints of the guest (Arm ARM D2.8 to D2.10)
 *
 * How it works: while a breakpoint could fire at the current EL, the run loop interprets one instruction at a time (RUN_STEP)
 * and asks before each.  While a watchpoint could fire, the translations that it concerns are kept out of the tables, so all
 * such accesses come to mem.c, which asks.  With none enabled nothing is asked anywhere.
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_DEBUG_H
#define ORIEL_ENGINE_SOFT_DEBUG_H

#include "engine/soft/mmu.h"

/* MDSCR_EL1 */
#define MDSCR_SS  (UINT64_C(1) << 0)
#define MDSCR_KDE (UINT64_C(1) << 13)
#define MDSCR_MDE (UINT64_C(1) << 15)

/* Must instructions run one by one, because a breakpoint may fire here? */
bool debug_is_active(const struct cpu *cpu);
/* Registers that enable watchpoints or breakpoints changed. */
void debug_update(struct cpu *cpu);
/* Does a breakpoint match the instruction at @pc now? */
bool debug_has_breakpoint(const struct cpu *cpu, uint64_t pc);
/* Must accesses with the rights of @regime come to mem.c, because a watchpoint may fire? */
bool debug_withholds(const struct cpu *cpu, enum mmu_regime regime);
/*
 * Does a watchpoint match an access of @size bytes at @va, with the rights of @regime?  Then *far is the first byte that is
 * watched.
 */
bool debug_has_watchpoint(const struct cpu *cpu, uint64_t va, unsigned size, bool write, enum mmu_regime regime,
			  uint64_t *far);

#endif
