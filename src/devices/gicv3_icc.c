/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gicv3_icc.c - GICv3 CPU interface: the ICC_* system registers of a vCPU
 *
 * How it works: acknowledging sets the interrupt active and its group priority in ICC_APxR0, whose lowest set bit is the running
 * priority; end of interrupt clears that bit.  So nesting needs no stack.
 * Threads: the vCPU's own, under gic->lock.
 */
#include "devices/gicv3_priv.h"

#define ICC(crn, crm, op2) ENGINE_SYSREG(3, 0, crn, crm, op2)

enum {
	ICC_PMR = ICC(4, 6, 0),
	ICC_IAR0 = ICC(12, 8, 0),
	ICC_EOIR0 = ICC(12, 8, 1),
	ICC_HPPIR0 = ICC(12, 8, 2),
	ICC_BPR0 = ICC(12, 8, 3),
	ICC_AP0R0 = ICC(12, 8, 4),
	ICC_AP1R0 = ICC(12, 9, 0),
	ICC_DIR = ICC(12, 11, 1),
	ICC_RPR = ICC(12, 11, 3),
	ICC_SGI1R = ICC(12, 11, 5),
	ICC_ASGI1R = ICC(12, 11, 6),
	ICC_SGI0R = ICC(12, 11, 7),
	ICC_IAR1 = ICC(12, 12, 0),
	ICC_EOIR1 = ICC(12, 12, 1),
	ICC_HPPIR1 = ICC(12, 12, 2),
	ICC_BPR1 = ICC(12, 12, 3),
	ICC_CTLR = ICC(12, 12, 4),
	ICC_SRE = ICC(12, 12, 5),
	ICC_IGRPEN0 = ICC(12, 12, 6),
	ICC_IGRPEN1 = ICC(12, 12, 7),
};

enum {
	ICC_CTLR_CBPR = 1 << 0,
	ICC_CTLR_EOIMODE = 1 << 1,
	ICC_CTLR_FIXED = 4 << 8 | 1 << 15, /* 5 priority bits, 16 INTID bits, Aff3 valid */
	ICC_MIN_BPR0 = 2,
	ICC_MIN_BPR1 = 3,
};

/* Section 4.4: take the hppi if it is of @group and beats what runs. */
static unsigned icc_acknowledge(struct gicv3 *gic, struct gicv3_cpu *cpu, unsigned group)
{
	if (cpu->hppi_group != group || !gicv3_can_take(cpu)) {
		return GICV3_SPURIOUS;
	}
	unsigned intid = cpu->hppi;
	struct gicv3_block *block = gicv3_block(gic, cpu, intid / 32);
	uint8_t priority = cpu->hppi_priority & gicv3_group_priority_mask(cpu, group);
	block->active |= 1u << intid % 32;
	block->latch &= ~(1u << intid % 32);
	cpu->active_priorities[group] |= 1u << (priority >> 3);
	gic->counters.acks++;
	gicv3_update_cpu_locked(gic, cpu);
	return intid;
}

static unsigned icc_highest_pending(const struct gicv3_cpu *cpu, unsigned group)
{
	return cpu->hppi != GICV3_SPURIOUS && cpu->hppi_group == group ? cpu->hppi : GICV3_SPURIOUS;
}

/* Returns true if an interrupt was deactivated. */
static bool icc_deactivate(struct gicv3 *gic, struct gicv3_cpu *cpu, uint64_t intid)
{
	if (intid >= gic->blocks * 32) {
		return false;
	}
	uint32_t bit = 1u << intid % 32;
	gicv3_block(gic, cpu, (unsigned)intid / 32)->active &= ~bit;
	gicv3_update_block_locked(gic, cpu, (unsigned)intid / 32, bit);
	return true;
}

/*
 * Priority drop of the running interrupt, and deactivation in EOImode 0 (then true).  A wrong group or a special INTID does
 * nothing.
 */
static bool icc_end(struct gicv3 *gic, struct gicv3_cpu *cpu, unsigned group, uint64_t value)
{
	uint64_t intid = value & 0xffffff;
	uint32_t mine = cpu->active_priorities[group], other = cpu->active_priorities[!group];
	if (intid >= 1020 || !mine || (other && __builtin_ctz(other) < __builtin_ctz(mine))) {
		return false;
	}
	cpu->active_priorities[group] = mine & (mine - 1);
	bool ended = !cpu->eoi_mode && icc_deactivate(gic, cpu, intid);
	gicv3_update_cpu_locked(gic, cpu);
	return ended;
}

/* Section 12.2.14 (ICC_SGI1R_EL1): an SGI reaches those targets that have it in @group. */
static void icc_send_sgi(struct gicv3 *gic, struct gicv3_cpu *self, unsigned group, uint64_t value)
{
	uint32_t bit = 1u << (value >> 24 & 15);
	bool all_others = value >> 40 & 1;
	uint64_t cluster = (value >> 48 & 0xff) << 32 | (value >> 32 & 0xff) << 16 | (value >> 16 & 0xff) << 8;
	uint64_t range = value >> 44 & 15;
	gic->counters.sgis++;
	for (unsigned i = 0; i < gic->config.vcpus; i++) {
		struct gicv3_cpu *cpu = &gic->cpu[i];
		uint64_t affinity = gicv3_affinity(i);
		bool listed = range == 0 && (affinity & ~(uint64_t)0xff) == cluster &&
			      (value >> (affinity & 15) & 1);
		if (!(all_others ? cpu != self : listed) ||
		    ((cpu->private_block.group & bit) != 0) != (group == 1)) {
			continue;
		}
		cpu->private_block.latch |= bit;
		gicv3_update_cpu_locked(gic, cpu);
	}
}

static uint64_t icc_read_bpr1(const struct gicv3_cpu *cpu)
{
	if (cpu->common_bpr) {
		return cpu->bpr[0] < 7 ? cpu->bpr[0] + 1u : 7;
	}
	return cpu->bpr[1];
}

static uint8_t icc_clamp_bpr(uint64_t value, uint8_t minimum)
{
	uint8_t bpr = value & 7;
	return bpr < minimum ? minimum : bpr;
}

bool gicv3_icc_read(struct gicv3 *gic, unsigned vcpu, uint32_t reg, uint64_t *value)
{
	struct gicv3_cpu *cpu = &gic->cpu[vcpu];
	LOCKED(&gic->lock);
	switch (reg) {
	case ICC_IAR1:
		*value = icc_acknowledge(gic, cpu, 1);
		return true;
	case ICC_IAR0:
		*value = icc_acknowledge(gic, cpu, 0);
		return true;
	case ICC_PMR:
		*value = cpu->pmr;
		return true;
	case ICC_HPPIR0:
		*value = icc_highest_pending(cpu, 0);
		return true;
	case ICC_HPPIR1:
		*value = icc_highest_pending(cpu, 1);
		return true;
	case ICC_RPR:
		*value = gicv3_running_priority(cpu);
		return true;
	case ICC_BPR0:
		*value = cpu->bpr[0];
		return true;
	case ICC_BPR1:
		*value = icc_read_bpr1(cpu);
		return true;
	case ICC_AP0R0:
		*value = cpu->active_priorities[0];
		return true;
	case ICC_AP1R0:
		*value = cpu->active_priorities[1];
		return true;
	case ICC_CTLR:
		*value = ICC_CTLR_FIXED | (cpu->common_bpr ? ICC_CTLR_CBPR : 0) |
			 (cpu->eoi_mode ? ICC_CTLR_EOIMODE : 0);
		return true;
	case ICC_SRE: /* system registers only, no bypass */
		*value = 7;
		return true;
	case ICC_IGRPEN0:
		*value = cpu->group_enabled[0];
		return true;
	case ICC_IGRPEN1:
		*value = cpu->group_enabled[1];
		return true;
	default:
		return false;
	}
}

/* Registers whose write may let another interrupt through. */
static bool icc_write_state(struct gicv3_cpu *cpu, uint32_t reg, uint64_t value)
{
	switch (reg) {
	case ICC_PMR:
		cpu->pmr = value & GICV3_PRIORITY_MASK;
		return true;
	case ICC_BPR0:
		cpu->bpr[0] = icc_clamp_bpr(value, ICC_MIN_BPR0);
		return true;
	case ICC_BPR1:
		if (!cpu->common_bpr) {
			cpu->bpr[1] = icc_clamp_bpr(value, ICC_MIN_BPR1);
		}
		return true;
	case ICC_AP0R0:
		cpu->active_priorities[0] = (uint32_t)value;
		return true;
	case ICC_AP1R0:
		cpu->active_priorities[1] = (uint32_t)value;
		return true;
	case ICC_CTLR:
		cpu->common_bpr = value & ICC_CTLR_CBPR;
		cpu->eoi_mode = value & ICC_CTLR_EOIMODE;
		return true;
	case ICC_IGRPEN0:
		cpu->group_enabled[0] = value & 1;
		return true;
	case ICC_IGRPEN1:
		cpu->group_enabled[1] = value & 1;
		return true;
	case ICC_SRE:
		return true;
	default:
		return false;
	}
}

/* The register write itself.  *ended becomes true if it deactivated an interrupt. */
static bool icc_write_locked(struct gicv3 *gic, struct gicv3_cpu *cpu, uint32_t reg, uint64_t value, bool *ended)
{
	switch (reg) {
	case ICC_EOIR1:
		*ended = icc_end(gic, cpu, 1, value);
		return true;
	case ICC_EOIR0:
		*ended = icc_end(gic, cpu, 0, value);
		return true;
	case ICC_DIR:
		*ended = cpu->eoi_mode && icc_deactivate(gic, cpu, value & 0xffffff);
		return true;
	case ICC_SGI1R:
		icc_send_sgi(gic, cpu, 1, value);
		return true;
	case ICC_SGI0R:
		icc_send_sgi(gic, cpu, 0, value);
		return true;
	case ICC_ASGI1R: /* the other security state, which does not exist */
		return true;
	case ICC_PMR: /* hot: the set of pending interrupts stays the same */
		icc_write_state(cpu, reg, value);
		gicv3_update_lines_locked(gic, cpu);
		return true;
	default:
		if (!icc_write_state(cpu, reg, value)) {
			return false;
		}
		gicv3_update_cpu_locked(gic, cpu);
		return true;
	}
}

static bool icc_write(struct gicv3 *gic, unsigned vcpu, uint32_t reg, uint64_t value, bool *ended)
{
	LOCKED(&gic->lock);
	return icc_write_locked(gic, &gic->cpu[vcpu], reg, value, ended);
}

bool gicv3_icc_write(struct gicv3 *gic, unsigned vcpu, uint32_t reg, uint64_t value)
{
	bool ended = false;
	bool known = icc_write(gic, vcpu, reg, value, &ended);
	for (unsigned i = 0; ended && i < gic->watch_count; i++) {
		const struct gicv3_watch *watch = &gic->watches[i];
		if ((value & 0xffffff) == GICV3_FIRST_SPI + watch->line) {
			watch->fn(watch->opaque, watch->line);
		}
	}
	return known;
}
