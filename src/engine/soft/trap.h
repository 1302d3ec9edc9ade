/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trap.h - leave a vCPU of the built-in engine where hardware would leave it for a hypervisor
 *
 * For those who offer a hypervisor's interface over this engine.  What needs the machine around the
 * CPU is then not asked of struct engine_host but abandoned: the instruction changed nothing,
 * pc is where hardware leaves it, and engine_run() returns as if kicked.  Trapped are accesses to
 * what is no memory, HVC, SMC, WFI, and the system registers of the interrupt controller, the
 * physical timer and the OS locks.  Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_TRAP_H
#define ORIEL_ENGINE_SOFT_TRAP_H

#include "engine/engine.h"
#include "engine/soft/cpu.h"

/* As ESR_EL2 would have it; addresses are valid for aborts. */
struct trap {
	uint64_t syndrome, va, gpa;
};

typedef void trap_fn(void *opaque, struct engine_vcpu *vcpu, const struct trap *trap);

/* Trap from now on, to @fn(@opaque).  Before the first run. */
void trap_enable(struct engine *engine, trap_fn *fn, void *opaque);

/* Are there traps, and was this one taken with the guest's pc at @pc?  False: go on as usual. */
bool trap_take(struct cpu *cpu, unsigned ec, uint32_t iss, uint64_t pc);
/* The same for the load or store @i of @size bytes, whose part at @va is none of memory. */
bool trap_access(struct cpu *cpu, const struct insn *i, uint64_t va, uint64_t gpa, bool write,
		 bool whole);
/* The same for an instruction at cpu->pc that is none of memory. */
bool trap_fetch(struct cpu *cpu, uint64_t gpa);
/* A system register that hypervisors keep for themselves: @number is ENGINE_SYSREG(). */
bool trap_has_register(const struct cpu *cpu, uint32_t number);

#endif
