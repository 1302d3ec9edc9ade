/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exception.c - taking exceptions to EL1, and returning (Arm ARM D1.3)
 *
 * Threads: the vCPU thread.
 */
#include "engine/soft/exception.h"

#include "engine/soft/debug.h"
#include "engine/soft/soft.h"

#define ESR_IL (UINT64_C(1) << 25)

enum {
	SPSR_SS = 1 << 21,
	SPSR_IL = 1 << 20,
	SPSR_PAN = 1 << 22,
	SPSR_AARCH32 = 1 << 4,
	SPSR_BTYPE_SHIFT = 10,
	DAIF_ALL = 0xf << 6,
	VECTOR_SPX = 0x200,
	VECTOR_LOWER = 0x400,
	VECTOR_IRQ = 0x80,
	VECTOR_FIQ = 0x100,
	LINUX_SCHED_YIELD = 124, /* in x8; a hint only */
};

uint64_t exception_pstate(const struct cpu *cpu)
{
	return cpu->nzcv | (cpu->pan ? SPSR_PAN : 0) | (cpu->ss ? SPSR_SS : 0) | (cpu->il ? SPSR_IL : 0) |
	       (uint64_t)cpu->btype << SPSR_BTYPE_SHIFT | cpu->daif | cpu->el << 2 | cpu->spsel;
}

void exception_set_level(struct cpu *cpu, unsigned el, unsigned spsel)
{
	unsigned old = cpu->el & cpu->spsel, new = el & spsel;
	if (old != new) {
		cpu->sp_el[old] = cpu->x[CPU_SP];
		cpu->x[CPU_SP] = cpu->sp_el[new];
	}
	cpu->el = el;
	cpu->spsel = spsel;
	sysreg_update_traps(cpu);
	mmu_select(cpu);
}

/* Everything that all exceptions do; @offset is that of the vector in its group. */
static void enter(struct cpu *cpu, uint64_t elr, unsigned offset)
{
	struct sysregs *sys = cpu->sys;
	offset += cpu->el == 0 ? VECTOR_LOWER : cpu->spsel ? VECTOR_SPX : 0;
	sys->spsr = exception_pstate(cpu);
	sys->elr = elr;
	cpu->daif = DAIF_ALL;
	cpu->btype = 0;
	cpu->ss = cpu->il = false;
	if (!(sys->sctlr & SCTLR_SPAN)) {
		cpu->pan = true;
	}
	exception_set_level(cpu, 1, 1);
	cpu->pc = sys->vbar + offset;
	cpu->next = NULL;
	mem_clear_exclusive(cpu);
}

/* Classes that differ by whether they come from EL0 are named by their EL0 number. */
static bool has_level(unsigned ec)
{
	return ec == EC_INSN_ABORT_EL0 || ec == EC_DATA_ABORT_EL0 || ec == EC_BREAKPOINT_EL0 ||
	       ec == EC_STEP_EL0 || ec == EC_WATCHPOINT_EL0;
}

void exception_take(struct cpu *cpu, unsigned ec, uint32_t iss, uint64_t elr, bool has_far, uint64_t far)
{
	if (has_level(ec) && cpu->el) {
		ec++;
	}
	cpu->sys->esr = (uint64_t)ec << 26 | ESR_IL | iss;
	if (has_far) {
		cpu->sys->far = far;
	}
	enter(cpu, elr, 0);
}

void exception_take_interrupt(struct cpu *cpu, bool fiq)
{
	enter(cpu, cpu->pc, fiq ? VECTOR_FIQ : VECTOR_IRQ);
}

void cpu_exception(struct cpu *cpu, const struct insn *i, unsigned ec, uint32_t iss)
{
	exception_take(cpu, ec, iss, insn_pc(cpu, i), false, 0);
}

void cpu_undefined(struct cpu *cpu, const struct insn *i)
{
	cpu_exception(cpu, i, EC_UNKNOWN, 0);
}

bool cpu_fp_trap(struct cpu *cpu, const struct insn *i)
{
	cpu_exception(cpu, i, EC_FP_ACCESS, 1u << 24 | 0xeu << 20); /* CV, COND */
	return false;
}

void exception_op_svc(struct cpu *cpu, const struct insn *i)
{
	cpu->ss = false;
	if (cpu->x[8] == LINUX_SCHED_YIELD && !cpu->el) {
		sleep_yield(cpu->vcpu);
	}
	exception_take(cpu, EC_SVC, (uint16_t)i->imm, insn_pc(cpu, i) + 4, false, 0);
}

/* There is no EL2 or EL3: the host answers, from EL1 only. */
static void call_host(struct cpu *cpu, const struct insn *i)
{
	if (!cpu->el) {
		cpu_undefined(cpu, i);
		return;
	}
	if (trap_take(cpu, EC_HVC, (uint16_t)i->imm, insn_pc(cpu, i) + 4)) {
		return;
	}
	const struct engine_config *config = &cpu->vcpu->engine->config;
	cpu->ss = false;
	cpu->pc = insn_pc(cpu, i) + 4;
	uint64_t x[8];
	memcpy(x, cpu->x, sizeof(x));
	config->host_ops->hypercall(config->host, cpu->vcpu->base.index, x);
	memcpy(cpu->x, x, sizeof(x));
}

void exception_op_hvc(struct cpu *cpu, const struct insn *i)
{
	call_host(cpu, i);
}

/* Without EL3, SMC is UNDEFINED (Arm ARM C6.2 SMC) unless a hypervisor traps it; the conduit of the board is HVC. */
void exception_op_smc(struct cpu *cpu, const struct insn *i)
{
	if (!cpu->el || !trap_take(cpu, EC_SMC, (uint16_t)i->imm, insn_pc(cpu, i))) {
		cpu_undefined(cpu, i);
	}
}

void exception_op_brk(struct cpu *cpu, const struct insn *i)
{
	exception_take(cpu, EC_BRK, (uint16_t)i->imm, insn_pc(cpu, i), false, 0);
}

/* Halting debug is never allowed. */
void exception_op_hlt(struct cpu *cpu, const struct insn *i)
{
	cpu_undefined(cpu, i);
}

/* AArch32, EL2, EL3, and EL0 with its SP_EL1 do not exist. */
static bool is_legal(uint64_t spsr)
{
	unsigned mode = spsr & 0xf;
	return !(spsr & SPSR_AARCH32) && (mode == 0 || mode == 4 || mode == 5);
}

static bool step_enabled(const struct cpu *cpu, unsigned el, uint64_t daif)
{
	const struct sysregs *sys = cpu->sys;
	return (sys->mdscr & 1) && !sys->oslar_locked &&
	       (el == 0 || ((sys->mdscr & 1 << 13) && !(daif & 1 << 9)));
}

bool exception_step_enabled(const struct cpu *cpu)
{
	return step_enabled(cpu, cpu->el, cpu->daif);
}

void exception_update_step(struct cpu *cpu)
{
	if (step_enabled(cpu, cpu->el, cpu->daif) || debug_is_active(cpu)) {
		atomic_fetch_or(&cpu->pending, RUN_STEP); /* the run loop clears it */
	}
}

void exception_return(struct cpu *cpu, const struct insn *i, uint64_t target)
{
	uint64_t spsr = cpu->sys->spsr;
	bool legal = is_legal(spsr);
	bool was_stepped = step_enabled(cpu, cpu->el, cpu->daif);
	cpu->nzcv = spsr & 0xf0000000;
	cpu->pan = (spsr & SPSR_PAN) && (cpu->sys->mmfr1 >> 20 & 0xf);
	cpu->daif = spsr & DAIF_ALL;
	cpu->il = (spsr & SPSR_IL) || !legal;
	cpu->btype = cpu->sys->pfr1 & 0xf ? spsr >> SPSR_BTYPE_SHIFT & 3 : 0; /* FEAT_BTI */
	if (legal) {
		exception_set_level(cpu, spsr >> 2 & 3, spsr & 1);
	} else {
		mmu_select(cpu);
	}
	cpu->ss = (spsr & SPSR_SS) && !was_stepped && step_enabled(cpu, cpu->el, cpu->daif);
	exception_update_step(cpu);
	mem_clear_exclusive(cpu);
	cpu->pc = mmu_canonical(cpu, target, true);
	atomic_store_explicit(&cpu->vcpu->event, true, memory_order_relaxed);
	if (atomic_load_explicit(&cpu->vcpu->lines, memory_order_relaxed)) {
		atomic_fetch_or(&cpu->pending, RUN_IRQ);
	}
	if (cpu->il) {
		exception_take(cpu, EC_ILLEGAL_STATE, 0, cpu->pc, false, 0);
	}
}

void exception_op_eret(struct cpu *cpu, const struct insn *i)
{
	if (!cpu->el) {
		cpu_undefined(cpu, i);
		return;
	}
	exception_return(cpu, i, cpu->sys->elr);
}
