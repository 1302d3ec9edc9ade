/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysreg.c - MRS and MSR
 *
 * How it works: the decoder finds the register (sysreg_table.c) once; registers that are plain storage get a handler that loads or
 * stores at an offset, the hottest ones get their own, all others a call.
 * Threads: the vCPU thread.
 */
#include "engine/soft/sysreg.h"

#include "engine/soft/exception.h"
#include "engine/soft/soft.h"
#include "engine/soft/sysreg_priv.h"

#define REG ENGINE_SYSREG

static uint64_t *storage(struct cpu *cpu, uint64_t offset)
{
	return (uint64_t *)((char *)cpu->sys + offset);
}

void sysreg_update_traps(struct cpu *cpu)
{
	unsigned fpen = cpu->sys->cpacr >> 20 & 3;
	cpu->fp_trapped = fpen != 3 && !(fpen == 1 && cpu->el);
	cpu->mops_off = !cpu->el && !(cpu->sys->sctlr & SCTLR_MSCEN);
}

static uint32_t iss_of(uint32_t raw)
{
	return (raw >> 19 & 3) << 20 | (raw >> 5 & 7) << 17 | (raw >> 16 & 7) << 14 |
		       (raw >> 12 & 0xf) << 10 | (raw & 31) << 5 | (raw >> 8 & 0xf) << 1 | (raw >> 21 & 1);
}

void sysreg_trap(struct cpu *cpu, const struct insn *i)
{
	cpu_exception(cpu, i, EC_SYSREG, iss_of(i->raw));
}

/* ICC_*_EL1 of GICv3. */
static bool is_icc(uint32_t number)
{
	return number == REG(3, 0, 4, 6, 0) ||
	       (number >= REG(3, 0, 12, 8, 0) && number <= REG(3, 0, 12, 12, 7));
}

/* Handlers. */

static bool may_access(struct cpu *cpu, const struct insn *i, const struct sysreg_info *info, unsigned el0)
{
	if (cpu->el) {
		return true;
	}
	if (!(info->access & el0)) {
		cpu_undefined(cpu, i);
		return false;
	}
	if (info->allowed && !info->allowed(cpu)) {
		sysreg_trap(cpu, i);
		return false;
	}
	return true;
}

static const struct sysreg_info *info_of(const struct insn *i)
{
	return (const struct sysreg_info *)(uintptr_t)i->imm;
}

static void op_mrs(struct cpu *cpu, const struct insn *i)
{
	const struct sysreg_info *info = info_of(i);
	if (!may_access(cpu, i, info, R0)) {
		return;
	}
	cpu->x[i->rd] = info->read ? info->read(cpu) : *storage(cpu, info->offset);
	NEXT(cpu, i);
}

static void op_msr(struct cpu *cpu, const struct insn *i)
{
	const struct sysreg_info *info = info_of(i);
	if (!may_access(cpu, i, info, W0)) {
		return;
	}
	uint64_t value = cpu->x[i->rd];
	if (info->write) {
		info->write(cpu, value);
	} else {
		*storage(cpu, info->offset) = value & info->mask;
	}
	LEAVE(cpu, i);
}

static void op_mrs_plain(struct cpu *cpu, const struct insn *i)
{
	if (UNLIKELY(!cpu->el)) {
		cpu_undefined(cpu, i);
		return;
	}
	cpu->x[i->rd] = *storage(cpu, i->imm);
	NEXT(cpu, i);
}

static void op_msr_plain(struct cpu *cpu, const struct insn *i)
{
	if (UNLIKELY(!cpu->el)) {
		cpu_undefined(cpu, i);
		return;
	}
	*storage(cpu, i->imm) = cpu->x[i->rd];
	NEXT(cpu, i);
}

static void op_mrs_plain_el0(struct cpu *cpu, const struct insn *i)
{
	cpu->x[i->rd] = *storage(cpu, i->imm);
	NEXT(cpu, i);
}

static void op_msr_plain_el0(struct cpu *cpu, const struct insn *i)
{
	*storage(cpu, i->imm) = cpu->x[i->rd];
	NEXT(cpu, i);
}

enum sysreg_plain sysreg_plain(const struct insn *i)
{
	if (i->fn == op_mrs_plain || i->fn == op_msr_plain) {
		return SYSREG_PLAIN_EL1;
	}
	return i->fn == op_mrs_plain_el0 || i->fn == op_msr_plain_el0 ? SYSREG_PLAIN_ANY : SYSREG_NOT_PLAIN;
}

/* SP_EL0 is UNDEFINED while it is the stack pointer in use. */
static bool sp_el0_visible(struct cpu *cpu, const struct insn *i)
{
	if (LIKELY(cpu->el && cpu->spsel)) {
		return true;
	}
	cpu_undefined(cpu, i);
	return false;
}

static void op_mrs_sp_el0(struct cpu *cpu, const struct insn *i)
{
	if (!sp_el0_visible(cpu, i)) {
		return;
	}
	cpu->x[i->rd] = cpu->sp_el[0];
	NEXT(cpu, i);
}

static void op_msr_sp_el0(struct cpu *cpu, const struct insn *i)
{
	if (!sp_el0_visible(cpu, i)) {
		return;
	}
	cpu->sp_el[0] = cpu->x[i->rd];
	NEXT(cpu, i);
}

/* The hypervisor's; at EL0 the guest's own rules come first. */
static void op_trapped(struct cpu *cpu, const struct insn *i)
{
	if (may_access(cpu, i, info_of(i), i->raw >> 21 & 1 ? R0 : W0)) {
		(void)trap_take(cpu, EC_SYSREG, iss_of(i->raw), insn_pc(cpu, i));
	}
}

static bool icc_trapped(struct cpu *cpu, const struct insn *i)
{
	return cpu->el && trap_take(cpu, EC_SYSREG, iss_of(i->raw), insn_pc(cpu, i));
}

static void op_mrs_icc(struct cpu *cpu, const struct insn *i)
{
	if (icc_trapped(cpu, i)) {
		return;
	}
	const struct engine_config *config = &cpu->vcpu->engine->config;
	if (!cpu->el || !config->host_ops->icc_read(config->host, cpu->vcpu->base.index,
						    sysreg_number(i->raw), &cpu->result[0])) {
		cpu_undefined(cpu, i);
		return;
	}
	cpu->x[i->rd] = cpu->result[0];
	NEXT(cpu, i);
}

static void op_msr_icc(struct cpu *cpu, const struct insn *i)
{
	if (icc_trapped(cpu, i)) {
		return;
	}
	const struct engine_config *config = &cpu->vcpu->engine->config;
	if (!cpu->el || !config->host_ops->icc_write(config->host, cpu->vcpu->base.index,
						     sysreg_number(i->raw), cpu->x[i->rd])) {
		cpu_undefined(cpu, i);
		return;
	}
	LEAVE(cpu, i);
}

static void op_undefined(struct cpu *cpu, const struct insn *i)
{
	cpu_undefined(cpu, i);
}

/* FPCR and FPSR also obey CPACR_EL1.FPEN. */
static void op_mrs_fp(struct cpu *cpu, const struct insn *i)
{
	if (!cpu_fp_enabled(cpu, i)) {
		return;
	}
	cpu->x[i->rd] = info_of(i)->read(cpu);
	NEXT(cpu, i);
}

static void op_msr_fp(struct cpu *cpu, const struct insn *i)
{
	if (!cpu_fp_enabled(cpu, i)) {
		return;
	}
	info_of(i)->write(cpu, cpu->x[i->rd]);
	NEXT(cpu, i);
}

/* MSR (immediate): CRm in rm. */

static void op_daifset(struct cpu *cpu, const struct insn *i)
{
	if (UNLIKELY(!cpu->el && !sysreg_uma_allows(cpu))) {
		sysreg_trap(cpu, i);
		return;
	}
	cpu->daif |= (uint32_t)i->rm << 6;
	NEXT(cpu, i);
}

static void op_daifclr(struct cpu *cpu, const struct insn *i)
{
	if (UNLIKELY(!cpu->el && !sysreg_uma_allows(cpu))) {
		sysreg_trap(cpu, i);
		return;
	}
	cpu->daif &= ~((uint32_t)i->rm << 6);
	sysreg_look_at_lines(cpu);
	if (run_is_pending(cpu)) {
		LEAVE(cpu, i);
	}
	NEXT(cpu, i);
}

static void op_msr_pan(struct cpu *cpu, const struct insn *i)
{
	if (!cpu->el) {
		cpu_undefined(cpu, i);
		return;
	}
	cpu->pan = i->rm & 1;
	mmu_select(cpu);
	NEXT(cpu, i);
}

static void op_msr_spsel(struct cpu *cpu, const struct insn *i)
{
	if (!cpu->el) {
		cpu_undefined(cpu, i);
		return;
	}
	exception_set_level(cpu, 1, i->rm & 1);
	NEXT(cpu, i);
}

static void decode_immediate(struct cpu *cpu, struct insn *i)
{
	uint32_t raw = i->raw;
	unsigned op1 = raw >> 16 & 7, op2 = raw >> 5 & 7;
	i->rm = raw >> 8 & 0xf;
	i->fn = op_undefined;
	if ((raw & 31) != 31) {
		return;
	}
	switch (op1 << 3 | op2) {
	case 0 << 3 | 4:
		i->fn = sysreg_has(cpu->sys, NEED_PAN) ? op_msr_pan : op_undefined;
		break;
	case 0 << 3 | 5:
		i->fn = op_msr_spsel;
		break;
	case 3 << 3 | 6:
		i->fn = op_daifset;
		break;
	case 3 << 3 | 7:
		i->fn = op_daifclr;
		break;
	default:
		break;
	}
}

static void choose_plain(struct insn *i, const struct sysreg_info *info, bool read)
{
	bool el0 = info->access & (read ? R0 : W0);
	i->imm = info->offset;
	if (read) {
		i->fn = el0 ? op_mrs_plain_el0 : op_mrs_plain;
	} else {
		i->fn = el0 ? op_msr_plain_el0 : op_msr_plain;
	}
}

static void decode_register(struct cpu *cpu, struct insn *i, bool read)
{
	uint32_t number = sysreg_number(i->raw);
	const struct sysreg_info *info = sysreg_find(cpu, number);
	if (number == REG(3, 0, 4, 1, 0)) {
		i->fn = read ? op_mrs_sp_el0 : op_msr_sp_el0;
	} else if (is_icc(number)) {
		i->fn = read ? op_mrs_icc : op_msr_icc;
	} else if (!info || !(info->access & (read ? R1 : W1))) {
		i->fn = op_undefined;
	} else if (trap_has_register(cpu, number)) {
		i->imm = (uintptr_t)info;
		i->fn = op_trapped;
	} else if (info->plain) {
		choose_plain(i, info, read);
	} else if (info->read == sysreg_read_fpcr || info->read == sysreg_read_fpsr) {
		i->imm = (uintptr_t)info;
		i->fn = read ? op_mrs_fp : op_msr_fp;
	} else {
		i->imm = (uintptr_t)info;
		i->fn = read ? op_mrs : op_msr;
	}
}

void sysreg_decode(struct cpu *cpu, struct insn *i)
{
	uint32_t raw = i->raw;
	bool read = raw >> 21 & 1;
	i->rd = sysreg_rt(raw, read);
	switch (raw >> 19 & 3) {
	case 0:
		decode_immediate(cpu, i);
		break;
	case 1:
		sysop_decode(cpu, i);
		break;
	default:
		decode_register(cpu, i, read);
		break;
	}
}
