/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soft.h - the built-in engine's objects
 *
 * Threads: fields of a vCPU belong to its thread unless marked.
 */
#ifndef ORIEL_ENGINE_SOFT_SOFT_H
#define ORIEL_ENGINE_SOFT_SOFT_H

#include "engine/soft/code.h"
#include "engine/soft/debugger.h"
#include "engine/soft/invalidate.h"
#include "engine/soft/memory.h"
#include "engine/soft/mmu.h"
#include "engine/soft/sysreg.h"
#include "engine/soft/sleep.h"
#include "engine/soft/timer.h"
#include "engine/soft/trap.h"

struct soft_vcpu {
	struct engine_vcpu base;
	struct soft_engine *engine;
	struct cpu cpu;
	struct sysregs sys;
	struct code *code;
	struct timers timers;
	struct debugger_vcpu debugger;
	struct invalidate_box invalidate;
	struct sleep sleep;
	_Alignas(64) uint8_t scratch[64]; /* stands in for memory where the window has a gap */
	struct insn step[2];		  /* software step runs a copy of the instruction */

	/* Any thread. */
	atomic_uint lines;    /* a bit for each enum engine_line */
	atomic_bool event;    /* event register of WFE */
	atomic_bool running;  /* may use tables; others must wait for it */
};

struct soft_engine {
	struct engine base;
	struct engine_config config;
	bool translates; /* vCPUs have a cpu->jit */
	struct jit_store *store; /* kept translations; NULL: none */
	trap_fn *trap; /* NULL: the host's functions are called */
	void *trap_opaque;
	struct memory memory;
	struct debugger debugger; /* of the host */
	struct timer_thread timer_thread;
	struct soft_vcpu *vcpus[SOFT_VCPUS];
	unsigned vcpu_count;
};

static inline struct soft_vcpu *soft_vcpu(struct engine_vcpu *vcpu)
{
	return (struct soft_vcpu *)vcpu; /* base is the first member */
}

static inline struct soft_engine *soft_engine(struct engine *engine)
{
	return (struct soft_engine *)engine;
}

/* The run loop (run.c). */
enum engine_exit run_vcpu(struct soft_vcpu *vcpu);

#endif
