/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - the run loop of a vCPU
 *
 * How it works: look at cpu->pending, find the decoded instruction at cpu->pc, call it; it comes back when something has
 * to be looked at.  Everything that other threads want from a vCPU is a bit of pending.
 * Invariants: the bits of interrupts and timers are cleared before their causes are looked at, so a cause that
 * appears later sets them again; a sleeping vCPU has looked at pending after it said that it sleeps.
 * Threads: the vCPU thread; run_request() any.
 */
#include "engine/soft/run.h"

#include "base/os.h"
#include "engine/soft/debug.h"
#include "engine/soft/decode.h"
#include "engine/soft/exception.h"
#include "engine/soft/jit/jit.h"
#include "engine/soft/sleep.h"
#include "engine/soft/soft.h"

#include <sched.h>

#define ISS_CONDITION (1u << 24 | 0xeu << 20) /* CV, COND = always */

void run_request(struct cpu *cpu, unsigned bits)
{
	atomic_fetch_or(&cpu->pending, bits);
	sleep_wake(cpu->vcpu);
}

/* Take the interrupt that is due, if any.  Not while the debugger of the host steps: it wants to see what comes next. */
static void look_at_lines(struct soft_vcpu *vcpu)
{
	struct cpu *cpu = &vcpu->cpu;
	unsigned lines = vcpu->debugger.step ? 0 : atomic_load(&vcpu->lines);
	if ((lines & 1u << ENGINE_FIQ) && !(cpu->daif & 1u << 6)) {
		exception_take_interrupt(cpu, true);
	} else if ((lines & 1u << ENGINE_IRQ) && !(cpu->daif & 1u << 7)) {
		exception_take_interrupt(cpu, false);
	}
}

/* False: leave engine_run(). */
static bool look_at_pending(struct soft_vcpu *vcpu)
{
	struct cpu *cpu = &vcpu->cpu;
	unsigned bits = atomic_fetch_and(&cpu->pending, (unsigned)RUN_STEP);
	if (bits & RUN_WORK) {
		invalidate_work(cpu);
	}
	if (bits & RUN_TIMER) {
		timer_update(cpu);
	}
	if (bits & RUN_KICK) {
		/* When run again: sleep on, and take the interrupt. */
		atomic_fetch_or(&cpu->pending, bits & (RUN_WFI | RUN_IRQ));
		return false;
	}
	if ((bits & RUN_WFI) && !atomic_load(&vcpu->lines)) {
		sleep_wfi(vcpu);
		if (!atomic_load(&vcpu->lines)) {
			/* Work and timers are no wake-up events by themselves; their interrupts are. */
			atomic_fetch_or(&cpu->pending, RUN_WFI);
			return true;
		}
	}
	look_at_lines(vcpu);
	return true;
}

/* Enter the page at cpu->pc into the exec table, without what is known of its code.  NULL: an abort was taken. */
static struct exec_entry *fetch(struct cpu *cpu, struct mmu_page *page, uint8_t **words)
{
	uint64_t pc = cpu->pc = mmu_canonical(cpu, cpu->pc, true);
	if (pc & 3) {
		exception_take(cpu, EC_PC_ALIGN, 0, pc, true, pc);
		return NULL;
	}
	enum mmu_regime regime = cpu->el ? MMU_EL1 : MMU_EL0;
	int fault = mmu_walk(cpu, pc, regime, MMU_EXEC, false, true, page);
	uint8_t *hva = NULL;
	if (fault == MMU_OK) {
		enum memory_kind kind = memory_find(&cpu->vcpu->engine->memory, page->pa, &hva);
		if (kind != MEMORY_RAM && kind != MEMORY_ROM) {
			if (trap_fetch(cpu, page->pa)) {
				return NULL;
			}
			fault = MMU_FAULT_EXTERNAL;
		}
	}
	if (fault != MMU_OK) {
		exception_take(cpu, EC_INSN_ABORT_EL0, (uint32_t)fault, pc, true, pc);
		return NULL;
	}
	uint64_t offset = pc % GUEST_PAGE;
	page->pa -= offset;
	*words = hva - offset;
	cpu->block_pc = pc - offset;
	if (debugger_withholds_code(cpu, pc)) {
		cpu->vcpu->debugger.guarded = page->guarded;
		return &cpu->vcpu->debugger.entry;
	}
	return mmu_fill_exec(mmu_space(cpu, regime), pc, page);
}

/* True: a page with a breakpoint of the host is reached, so instructions have to be run one by one. */
static bool must_step(struct cpu *cpu)
{
	if ((atomic_load(&cpu->pending) & RUN_STEP) || !debugger_withholds_code(cpu, cpu->pc)) {
		return false;
	}
	atomic_fetch_or(&cpu->pending, RUN_STEP);
	return true;
}

static const struct insn *find_decoded(struct cpu *cpu)
{
	struct mmu_page page;
	uint8_t *words;
	if (must_step(cpu)) {
		return NULL;
	}
	struct exec_entry *e = fetch(cpu, &page, &words);
	if (!e) {
		return NULL;
	}
	const struct insn *insns = code_find(cpu, page.pa, words);
	if (cpu->jit) {
		e->page = jit_find_page(cpu, page.pa, words);
	} else {
		e->insns = insns;
	}
	return insns + cpu->pc % GUEST_PAGE / 4;
}

bool run_is_guarded(struct cpu *cpu)
{
	struct mmu_space *space = mmu_space(cpu, cpu->el ? MMU_EL1 : MMU_EL0);
	const struct exec_entry *e = run_exec_slot(space->exec, cpu->block_pc);
	if (e->tag == cpu->block_pc) {
		return space->guarded[e - space->exec];
	}
	return cpu->vcpu->debugger.guarded && debugger_withholds_code(cpu, cpu->block_pc);
}

/* FEAT_BTI: PSTATE.BTYPE says how an indirect branch came here.  False: Branch Target exception taken. */
static bool may_land(struct cpu *cpu, const struct insn *i)
{
	unsigned btype = cpu->btype;
	uint64_t strict = cpu->el ? SCTLR_BT1 : SCTLR_BT0;
	code_decode(cpu, i);
	if (run_is_guarded(cpu) &&
	    !decode_is_branch_target(cpu, i->raw, btype, cpu->sys->sctlr & strict)) {
		cpu_exception(cpu, i, EC_BTI, btype);
		return false;
	}
	cpu->btype = 0;
	return true;
}

static const struct insn *find(struct cpu *cpu)
{
	uint64_t pc = cpu->pc;
	const struct exec_entry *e = run_exec_slot(cpu->exec, pc);
	const struct insn *i;
	if (LIKELY(e->tag == (pc & ~UINT64_C(0xffc)))) {
		cpu->block_pc = pc & ~UINT64_C(0xfff);
		i = e->insns + (pc & 0xffc) / 4;
	} else {
		i = find_decoded(cpu);
	}
	if (UNLIKELY(cpu->btype) && i && !may_land(cpu, i)) {
		return NULL;
	}
	return i;
}

/* Translated code at cpu->pc, or take the abort. */
static void run_translated(struct cpu *cpu)
{
	uint64_t pc = cpu->pc;
	const struct exec_entry *e = run_exec_slot(cpu->jit_exec, pc);
	if (LIKELY(e->tag == (pc & ~UINT64_C(0xffc)))) {
		cpu->block_pc = pc & ~UINT64_C(0xfff);
		jit_run(cpu, e->page);
		return;
	}
	struct mmu_page page;
	uint8_t *words;
	if (must_step(cpu)) {
		return;
	}
	struct exec_entry *fresh = fetch(cpu, &page, &words);
	if (fresh) {
		struct jit_page *code = jit_find_page(cpu, page.pa, words);
		fresh = run_exec_slot(cpu->jit_exec, pc);
		fresh->page = code;
	}
}

static void call(struct cpu *cpu, const struct insn *i)
{
	cpu->next = NULL;
	i->fn(cpu, i);
#ifndef SOFT_TAILCALLS
	while (cpu->next) {
		i = cpu->next;
		cpu->next = NULL;
		i->fn(cpu, i);
	}
#endif
}

/* Entry behind a stepped instruction. */
static void stop_here(struct cpu *cpu, const struct insn *i)
{
	cpu->pc = insn_pc(cpu, i);
}

/* One instruction at cpu->pc by a copy of it that has nothing behind it, with software step (Arm ARM D2.12) and breakpoints. */
static void run_one(struct soft_vcpu *vcpu, bool steps)
{
	struct cpu *cpu = &vcpu->cpu;
	if (steps && !cpu->ss) {
		/* ISV is clear: no syndrome about the stepped instruction is kept. */
		exception_take(cpu, EC_STEP_EL0, MMU_FAULT_DEBUG, cpu->pc, false, 0);
		return;
	}
	uint8_t btype = cpu->btype;
	const struct insn *i = find(cpu);
	if (!i) {
		return;
	}
	if (debug_has_breakpoint(cpu, cpu->pc)) {
		cpu->btype = btype;
		exception_take(cpu, EC_BREAKPOINT_EL0, MMU_FAULT_DEBUG, cpu->pc, false, 0);
		return;
	}
	code_decode(cpu, i);
	unsigned el = cpu->el;
	vcpu->step[0] = *i;
	decode_insn(cpu, &vcpu->step[0]); /* it alone, if it was decoded with the next one */
	vcpu->step[1] = (struct insn){.fn = stop_here, .offset = i->offset + 4};
	call(cpu, vcpu->step);
	if (steps && cpu->el == el && exception_step_enabled(cpu)) {
		cpu->ss = false;
	}
}

/* RUN_STEP: the guest or the debugger of the host wants to look at each instruction, or did before. */
static void step_one(struct soft_vcpu *vcpu)
{
	struct cpu *cpu = &vcpu->cpu;
	bool steps = exception_step_enabled(cpu);
	if (!steps && !debug_is_active(cpu) && !debugger_is_active(cpu)) {
		atomic_fetch_and(&cpu->pending, ~(unsigned)RUN_STEP);
		return;
	}
	if (!debugger_stops(cpu)) {
		run_one(vcpu, steps);
		debugger_stepped(cpu);
	}
}

enum engine_exit run_vcpu(struct soft_vcpu *vcpu)
{
	struct cpu *cpu = &vcpu->cpu;
	os_wake_precisely(); /* from WFI, at a timer */
	atomic_store(&vcpu->running, true);
	if (vcpu->debugger.step) {
		atomic_fetch_or(&cpu->pending, RUN_STEP);
	}
	for (;;) {
		if (atomic_load_explicit(&cpu->pending, memory_order_relaxed)) {
			if (!look_at_pending(vcpu)) {
				break;
			}
			unsigned bits = atomic_load(&cpu->pending);
			if (bits & (RUN_WFI | RUN_WORK)) {
				continue; /* work that came while it slept is done before anything else */
			}
			if (bits & RUN_STEP) {
				step_one(vcpu);
				continue;
			}
		}
		if (cpu->jit) {
			if (!cpu->btype || find(cpu)) {
				run_translated(cpu);
			}
			continue;
		}
		const struct insn *i = find(cpu);
		if (i) {
			call(cpu, i);
		}
	}
	atomic_store(&vcpu->running, false);
	return vcpu->debugger.stop.why == ENGINE_STOP_NONE ? ENGINE_EXIT_KICKED : ENGINE_EXIT_DEBUG;
}

static bool wfx_trapped(struct cpu *cpu, const struct insn *i, uint64_t allow, unsigned ti)
{
	if (cpu->el || (cpu->sys->sctlr & allow)) {
		return false;
	}
	cpu_exception(cpu, i, EC_WFX, ISS_CONDITION | ti);
	return true;
}

void run_op_wfi(struct cpu *cpu, const struct insn *i)
{
	if (wfx_trapped(cpu, i, SCTLR_NTWI, 0)) {
		return;
	}
	if (trap_take(cpu, EC_WFX, ISS_CONDITION, insn_pc(cpu, i))) {
		return;
	}
	atomic_fetch_or(&cpu->pending, RUN_WFI);
	LEAVE(cpu, i);
}

void run_op_wfe(struct cpu *cpu, const struct insn *i)
{
	struct soft_vcpu *vcpu = cpu->vcpu;
	bool event = atomic_exchange(&vcpu->event, false);
	if (!event && wfx_trapped(cpu, i, SCTLR_NTWE, 1)) {
		return;
	}
	if (event) {
		vcpu->sleep.wfe_last = 0;
	} else {
		sleep_wfe(vcpu);
	}
	LEAVE(cpu, i);
}

void run_op_yield(struct cpu *cpu, const struct insn *i)
{
	if (cpu->vcpu->engine->vcpu_count > 1) {
		sched_yield();
	}
	NEXT(cpu, i);
}

void run_op_sev(struct cpu *cpu, const struct insn *i)
{
	struct soft_engine *engine = cpu->vcpu->engine;
	for (unsigned n = 0; n < engine->vcpu_count; n++) {
		atomic_store(&engine->vcpus[n]->event, true);
		sleep_wake(engine->vcpus[n]);
	}
	NEXT(cpu, i);
}

void run_op_sevl(struct cpu *cpu, const struct insn *i)
{
	atomic_store(&cpu->vcpu->event, true);
	NEXT(cpu, i);
}

void run_op_isb(struct cpu *cpu, const struct insn *i)
{
	LEAVE(cpu, i);
}

void run_op_dsb(struct cpu *cpu, const struct insn *i)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (UNLIKELY(cpu->vcpu->invalidate.waits)) {
		invalidate_wait(cpu);
		LEAVE(cpu, i);
	}
	NEXT(cpu, i);
}
