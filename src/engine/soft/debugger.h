/* SPDX-License-Identifier: Apache-2.0 */
/*
 * debugger.h - breakpoints, watchpoints and single step for a debugger of the host
 * (engine_debug_*())
 *
 * How it works: pages that hold a breakpoint never enter the exec tables, and pages with a
 * watchpoint never enter the TLBs.  So whatever reaches them comes to run.c and mem.c, which ask
 * here; everything else runs as fast as ever.  In a page with a breakpoint, and for a single step,
 * RUN_STEP lets the run loop interpret one instruction at a time.  A stop sets RUN_KICK.
 * Invariants: a stop leaves the vCPU before the instruction, so going on without the point executes
 * it. Threads: points change only while no vCPU runs; the rest on the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_DEBUGGER_H
#define ORIEL_ENGINE_SOFT_DEBUGGER_H

#include "engine/soft/run.h"

enum { DEBUGGER_POINTS = 128 };

struct debugger {
	struct engine_point points[DEBUGGER_POINTS];
	unsigned count;
};

/* Of a vCPU. */
struct debugger_vcpu {
	struct engine_stop stop;
	bool step;
	bool guarded;		 /* GP of the running page, if it is withheld */
	struct exec_entry entry; /* what a withheld page fills */
};

extern const struct engine_debug_ops debugger_ops;

/* Is there a breakpoint in the code page of @va? */
bool debugger_withholds_code(const struct cpu *cpu, uint64_t va);
/* Is there a watchpoint in the page of @va? */
bool debugger_withholds_data(const struct cpu *cpu, uint64_t va);
/* Must instructions run one by one here? */
bool debugger_is_active(const struct cpu *cpu);
/* True: a breakpoint stops the vCPU before the instruction at cpu->pc. */
bool debugger_stops(struct cpu *cpu);
/* An instruction was executed, or its exception taken. */
void debugger_stepped(struct cpu *cpu);
/* Is one of @size bytes at @va watched for such an access?  Then *first is the first of them.  The
 * last point, or NULL. */
const struct engine_point *debugger_find_watched(const struct cpu *cpu, uint64_t va, unsigned size,
						 bool write, uint64_t *first);
/* Stop before the instruction @i, which was about to access @address as @point watches. */
void debugger_stop_at_access(struct cpu *cpu, const struct insn *i,
			     const struct engine_point *point, uint64_t address);

#endif
