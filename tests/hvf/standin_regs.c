/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standin_regs.c - registers, the virtual timer and the clock of the stand-in
 *
 * Threads: the vCPU's own.
 */
#include "standin_priv.h"

#include "base/wait.h"
#include "engine/soft/exception.h"
#include "engine/soft/soft.h"

#include <string.h>

static struct cpu *own_cpu(hv_vcpu_t id)
{
	struct standin_vcpu *vcpu = standin_own(id);
	return vcpu ? &soft_vcpu(vcpu->inner)->cpu : NULL;
}

/* ----- general registers ----- */

static uint64_t *field(struct cpu *cpu, hv_reg_t reg)
{
	return reg <= 30 ? &cpu->x[reg] : reg == HV_REG_PC ? &cpu->pc : NULL;
}

hv_return_t hv_vcpu_get_reg(hv_vcpu_t id, hv_reg_t reg, uint64_t *value)
{
	struct cpu *cpu = own_cpu(id);
	if (!cpu || reg > HV_REG_CPSR) {
		return HV_BAD_ARGUMENT;
	}
	switch (reg) {
	case HV_REG_FPCR: *value = cpu->fpcr; break;
	case HV_REG_FPSR: *value = cpu->fpsr; break;
	case HV_REG_CPSR: *value = exception_pstate(cpu); break;
	default: *value = *field(cpu, reg); break;
	}
	return HV_SUCCESS;
}

static void set_pstate(struct cpu *cpu, uint64_t value)
{
	cpu->nzcv = value & 0xf0000000;
	cpu->pan = value >> 22 & 1;
	cpu->ss = value >> 21 & 1;
	cpu->il = value >> 20 & 1;
	cpu->btype = value >> 10 & 3;
	cpu->daif = value & 0x3c0;
	exception_set_level(cpu, value >> 2 & 1, value & 1);
	exception_update_step(cpu);
	atomic_fetch_or(&cpu->pending, RUN_IRQ);
}

hv_return_t hv_vcpu_set_reg(hv_vcpu_t id, hv_reg_t reg, uint64_t value)
{
	struct cpu *cpu = own_cpu(id);
	if (!cpu || reg > HV_REG_CPSR) {
		return HV_BAD_ARGUMENT;
	}
	switch (reg) {
	case HV_REG_FPCR: cpu->fpcr = (uint32_t)value & SYSREG_FPCR_RW; break;
	case HV_REG_FPSR: cpu->fpsr = (uint32_t)value & SYSREG_FPSR_RW; break;
	case HV_REG_CPSR: set_pstate(cpu, value); break;
	default: *field(cpu, reg) = value; break;
	}
	return HV_SUCCESS;
}

hv_return_t hv_vcpu_get_simd_fp_reg(hv_vcpu_t id, hv_simd_fp_reg_t reg, hv_simd_fp_uchar16_t *value)
{
	struct cpu *cpu = own_cpu(id);
	if (!cpu || reg > 31) {
		return HV_BAD_ARGUMENT;
	}
	memcpy(value, &cpu->v[reg], sizeof(*value));
	return HV_SUCCESS;
}

hv_return_t hv_vcpu_set_simd_fp_reg(hv_vcpu_t id, hv_simd_fp_reg_t reg, hv_simd_fp_uchar16_t value)
{
	struct cpu *cpu = own_cpu(id);
	if (!cpu || reg > 31) {
		return HV_BAD_ARGUMENT;
	}
	memcpy(&cpu->v[reg], &value, sizeof(value));
	return HV_SUCCESS;
}

/* ----- system registers: those that a hypervisor's engine may need ----- */

#define AT(field) offsetof(struct sysregs, field)

static const struct {
	hv_sys_reg_t reg;
	size_t at;
} storage[] = {
	{ENGINE_SYSREG(3, 0, 0, 0, 5), AT(mpidr)},
	{ENGINE_SYSREG(3, 0, 0, 4, 0), AT(pfr0)},
	{ENGINE_SYSREG(3, 0, 0, 4, 1), AT(pfr1)},
	{ENGINE_SYSREG(3, 0, 0, 5, 0), AT(dfr0)},
	{ENGINE_SYSREG(3, 0, 0, 6, 0), AT(isar0)},
	{ENGINE_SYSREG(3, 0, 0, 6, 1), AT(isar1)},
	{ENGINE_SYSREG(3, 0, 0, 6, 2), AT(isar2)},
	{ENGINE_SYSREG(3, 0, 0, 7, 0), AT(mmfr0)},
	{ENGINE_SYSREG(3, 0, 0, 7, 1), AT(mmfr1)},
	{ENGINE_SYSREG(3, 0, 0, 7, 2), AT(mmfr2)},
	{ENGINE_SYSREG(3, 0, 1, 0, 0), AT(sctlr)},
	{ENGINE_SYSREG(3, 0, 2, 0, 0), AT(ttbr0)},
	{ENGINE_SYSREG(3, 0, 2, 0, 1), AT(ttbr1)},
	{ENGINE_SYSREG(3, 0, 2, 0, 2), AT(tcr)},
	{ENGINE_SYSREG(3, 0, 4, 0, 0), AT(spsr)},
	{ENGINE_SYSREG(3, 0, 4, 0, 1), AT(elr)},
	{ENGINE_SYSREG(3, 0, 5, 2, 0), AT(esr)},
	{ENGINE_SYSREG(3, 0, 6, 0, 0), AT(far)},
	{ENGINE_SYSREG(3, 0, 10, 2, 0), AT(mair)},
	{ENGINE_SYSREG(3, 0, 12, 0, 0), AT(vbar)},
	{ENGINE_SYSREG(3, 0, 2, 1, 0), AT(apkey[KEY_IA][0])},
	{ENGINE_SYSREG(3, 0, 2, 1, 1), AT(apkey[KEY_IA][1])},
	{ENGINE_SYSREG(3, 0, 2, 1, 2), AT(apkey[KEY_IB][0])},
	{ENGINE_SYSREG(3, 0, 2, 1, 3), AT(apkey[KEY_IB][1])},
	{ENGINE_SYSREG(3, 0, 2, 2, 0), AT(apkey[KEY_DA][0])},
	{ENGINE_SYSREG(3, 0, 2, 2, 1), AT(apkey[KEY_DA][1])},
	{ENGINE_SYSREG(3, 0, 2, 2, 2), AT(apkey[KEY_DB][0])},
	{ENGINE_SYSREG(3, 0, 2, 2, 3), AT(apkey[KEY_DB][1])},
	{ENGINE_SYSREG(3, 0, 2, 3, 0), AT(apkey[KEY_GA][0])},
	{ENGINE_SYSREG(3, 0, 2, 3, 1), AT(apkey[KEY_GA][1])},
};

/* SP_EL0 or SP_EL1: the one in use is x[31]. */
static uint64_t *stack(struct cpu *cpu, unsigned el)
{
	return (cpu->el & cpu->spsel) == el ? &cpu->x[CPU_SP] : &cpu->sp_el[el];
}

static uint64_t *find(struct cpu *cpu, hv_sys_reg_t reg)
{
	switch (reg) {
	case ENGINE_SYSREG(3, 0, 4, 1, 0): return stack(cpu, 0);
	case ENGINE_SYSREG(3, 4, 4, 1, 0): return stack(cpu, 1);
	default: break;
	}
	for (size_t n = 0; n < sizeof(storage) / sizeof(storage[0]); n++) {
		if (storage[n].reg == reg) {
			return (uint64_t *)((char *)cpu->sys + storage[n].at);
		}
	}
	return NULL;
}

hv_return_t hv_vcpu_get_sys_reg(hv_vcpu_t id, hv_sys_reg_t reg, uint64_t *value)
{
	struct cpu *cpu = own_cpu(id);
	if (!cpu) {
		return HV_BAD_ARGUMENT;
	}
	switch (reg) {
	case ENGINE_SYSREG(3, 3, 14, 3, 1):
		*value = timer_read_ctl(cpu, TIMER_VIRTUAL);
		return HV_SUCCESS;
	case ENGINE_SYSREG(3, 3, 14, 3, 2):
		*value = cpu->vcpu->timers.timer[TIMER_VIRTUAL].cval;
		return HV_SUCCESS;
	default: break;
	}
	const uint64_t *from = find(cpu, reg);
	if (!from) {
		return HV_BAD_ARGUMENT;
	}
	*value = *from;
	return HV_SUCCESS;
}

hv_return_t hv_vcpu_set_sys_reg(hv_vcpu_t id, hv_sys_reg_t reg, uint64_t value)
{
	struct cpu *cpu = own_cpu(id);
	uint64_t *to = cpu ? find(cpu, reg) : NULL;
	if (!to) {
		return HV_BAD_ARGUMENT;
	}
	*to = value;
	mmu_flush_all(cpu);
	mmu_select_asid(cpu);
	return HV_SUCCESS;
}

/* What guests debug never leaves here. */
static hv_return_t never(hv_vcpu_t id, bool value)
{
	return !standin_own(id) ? HV_BAD_ARGUMENT : value ? HV_UNSUPPORTED : HV_SUCCESS;
}

hv_return_t hv_vcpu_set_trap_debug_exceptions(hv_vcpu_t id, bool value)
{
	return never(id, value);
}

hv_return_t hv_vcpu_set_trap_debug_reg_accesses(hv_vcpu_t id, bool value)
{
	return never(id, value);
}

/* ----- time ----- */

uint64_t mach_absolute_time(void)
{
	return wait_now_ns() / TIMER_NS;
}

int mach_timebase_info(struct mach_timebase_info *info)
{
	*info = (struct mach_timebase_info){.numer = TIMER_NS, .denom = 1};
	return 0;
}

hv_return_t hv_vcpu_set_vtimer_mask(hv_vcpu_t id, bool masked)
{
	struct standin_vcpu *vcpu = standin_own(id);
	if (!vcpu) {
		return HV_BAD_ARGUMENT;
	}
	vcpu->timer_masked = masked;
	timer_update(&soft_vcpu(vcpu->inner)->cpu);
	return HV_SUCCESS;
}

/* The built-in engine has one counter for all vCPUs. */
hv_return_t hv_vcpu_set_vtimer_offset(hv_vcpu_t id, uint64_t offset)
{
	struct standin_vcpu *vcpu = standin_own(id);
	if (!vcpu) {
		return HV_BAD_ARGUMENT;
	}
	struct soft_vcpu *inner = soft_vcpu(vcpu->inner);
	__atomic_store_n(&inner->engine->timer_thread.start, offset * TIMER_NS, __ATOMIC_RELAXED); /* all set the same */
	timer_update(&inner->cpu);
	return HV_SUCCESS;
}
