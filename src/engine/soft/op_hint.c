/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_hint.c - hints and barriers that need nothing of the run loop
 *
 * Threads: the vCPU thread.
 */
#include "engine/soft/mem.h"
#include "engine/soft/ops.h"
#include "engine/soft/run.h"

#define OP(name) void op_##name(struct cpu *cpu, const struct insn *i)

OP(UNDEFINED)
{
	cpu_undefined(cpu, i);
}

OP(NOP)
{
	NEXT(cpu, i);
}

OP(CLREX)
{
	mem_clear_exclusive(cpu);
	NEXT(cpu, i);
}

/* DMB of loads or of stores alone orders nothing that x86 would not order: decode.c makes those NOPs there. */
OP(DMB)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	NEXT(cpu, i);
}

OP(SB)
{
	NEXT(cpu, i);
}
