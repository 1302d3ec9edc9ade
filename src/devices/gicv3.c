/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gicv3.c - GICv3 core: creation, input wires and messages, choice of the next interrupt
 *
 * How it works: see gicv3_priv.h.  Registers are in gicv3_mmio.c and gicv3_icc.c.
 * Threads: see gicv3.h.
 */
#include "devices/gicv2m.h"
#include "devices/gicv3_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

uint8_t gicv3_running_priority(const struct gicv3_cpu *cpu)
{
	uint32_t active = cpu->active_priorities[0] | cpu->active_priorities[1];
	return active ? (uint8_t)(__builtin_ctz(active) << 3) : GICV3_IDLE_PRIORITY;
}

uint8_t gicv3_group_priority_mask(const struct gicv3_cpu *cpu, unsigned group)
{
	/* Group 1 of the non-secure state counts its binary point from one bit further right. */
	unsigned low_bits = group == 0 || cpu->common_bpr ? cpu->bpr[0] + 1u : cpu->bpr[1];
	return (uint8_t)(0xffu << low_bits);
}

bool gicv3_can_take(const struct gicv3_cpu *cpu)
{
	if (cpu->hppi == GICV3_SPURIOUS || cpu->hppi_priority >= cpu->pmr) {
		return false;
	}
	uint8_t running = gicv3_running_priority(cpu);
	if (running == GICV3_IDLE_PRIORITY) {
		return true;
	}
	uint8_t mask = gicv3_group_priority_mask(cpu, cpu->hppi_group);
	return (cpu->hppi_priority & mask) < (running & mask);
}

/* Look through 32 interrupts for one that beats cpu->hppi; lower INTIDs win among equals. */
static void gicv3_scan_block(struct gicv3_cpu *cpu, const struct gicv3_block *block, uint32_t candidates,
			     unsigned first_intid)
{
	while (candidates) {
		unsigned bit = (unsigned)__builtin_ctz(candidates);
		candidates &= candidates - 1;
		if (cpu->hppi == GICV3_SPURIOUS || block->priority[bit] < cpu->hppi_priority) {
			cpu->hppi = first_intid + bit;
			cpu->hppi_priority = block->priority[bit];
			cpu->hppi_group = block->group >> bit & 1;
		}
	}
}

void gicv3_update_lines_locked(struct gicv3 *gic, struct gicv3_cpu *cpu)
{
	bool take = gicv3_can_take(cpu);
	bool want[2] = {
		[ENGINE_IRQ] = take && cpu->hppi_group == 1,
		[ENGINE_FIQ] = take && cpu->hppi_group == 0,
	};
	for (unsigned line = 0; line < 2; line++) {
		if (want[line] != cpu->line[line]) {
			cpu->line[line] = want[line];
			gic->config.cpu_ops->set_line(gic->config.cpu_opaque, (unsigned)(cpu - gic->cpu),
						      line, want[line]);
		}
	}
}

void gicv3_update_cpu_locked(struct gicv3 *gic, struct gicv3_cpu *cpu)
{
	bool on0 = gic->group_enabled[0] && cpu->group_enabled[0];
	bool on1 = gic->group_enabled[1] && cpu->group_enabled[1];
	cpu->hppi = GICV3_SPURIOUS;
	for (unsigned i = 0; (on0 || on1) && i < gic->blocks; i++) {
		const struct gicv3_block *block = gicv3_block(gic, cpu, i);
		uint32_t groups = (on1 ? block->group : 0) | (on0 ? ~block->group : 0);
		uint32_t candidates = gicv3_pending(block) & block->enabled & ~block->active &
				      cpu->targeted[i] & groups;
		gicv3_scan_block(cpu, block, candidates, i * 32);
	}
	gicv3_update_lines_locked(gic, cpu);
}

void gicv3_update_block_locked(struct gicv3 *gic, struct gicv3_cpu *cpu, unsigned index, uint32_t bits)
{
	if (index == 0) {
		gicv3_update_cpu_locked(gic, cpu);
		return;
	}
	for (unsigned i = 0; i < gic->config.vcpus; i++) {
		if (gic->cpu[i].targeted[index] & bits) {
			gicv3_update_cpu_locked(gic, &gic->cpu[i]);
		}
	}
}

void gicv3_update_all_locked(struct gicv3 *gic)
{
	for (unsigned i = 0; i < gic->config.vcpus; i++) {
		gicv3_update_cpu_locked(gic, &gic->cpu[i]);
	}
}

void gicv3_route_locked(struct gicv3 *gic, unsigned spi)
{
	unsigned block = 1 + spi / 32;
	uint32_t bit = 1u << spi % 32;
	for (unsigned i = 0; i < gic->config.vcpus; i++) {
		bool here = gic->route[spi] == gicv3_affinity(i);
		uint32_t old = gic->cpu[i].targeted[block];
		gic->cpu[i].targeted[block] = here ? old | bit : old & ~bit;
	}
}

static void gicv3_drive_locked(struct gicv3 *gic, struct gicv3_cpu *cpu, unsigned intid, bool level)
{
	struct gicv3_block *block = gicv3_block(gic, cpu, intid / 32);
	uint32_t bit = 1u << intid % 32;
	if (level == ((block->level & bit) != 0)) {
		return;
	}
	block->level ^= bit;
	if (level) {
		block->latch |= block->edge & bit;
	}
	gicv3_update_block_locked(gic, cpu, intid / 32, bit);
}

static void gicv3_set_spi(struct irq_chip *chip, unsigned line, bool level)
{
	struct gicv3 *gic = (struct gicv3 *)chip;
	assert(line < gic->config.spis);
	LOCKED(&gic->lock);
	gicv3_drive_locked(gic, NULL, GICV3_FIRST_SPI + line, level);
}

void gicv3_set_ppi(struct gicv3 *gic, unsigned vcpu, unsigned intid, bool level)
{
	assert(vcpu < gic->config.vcpus && intid >= 16 && intid < 32);
	LOCKED(&gic->lock);
	gicv3_drive_locked(gic, &gic->cpu[vcpu], intid, level);
}

/* A message is a pulse: it sets the latch whatever the trigger mode is. */
static void gicv3_send_msi(struct irq_chip *chip, uint64_t address, uint32_t data, uint16_t requester_id)
{
	struct gicv3 *gic = (struct gicv3 *)chip;
	const struct gicv3_config *config = &gic->config;
	uint64_t first = GICV3_FIRST_SPI + config->v2m_first_spi;
	LOCKED(&gic->lock);
	if (address != config->v2m_base + GICV2M_SETSPI || data < first || data - first >= config->v2m_spi_count) {
		gic->counters.msis_dropped++;
		return;
	}
	gic->counters.msis++;
	gicv3_block(gic, NULL, data / 32)->latch |= 1u << data % 32;
	gicv3_update_block_locked(gic, NULL, data / 32, 1u << data % 32);
}

static int gicv3_watch_end(struct irq_chip *chip, unsigned line, irq_end_fn fn, void *opaque)
{
	struct gicv3 *gic = (struct gicv3 *)chip;
	if (gic->watch_count == GICV3_MAX_WATCHES) {
		return -ENOSPC;
	}
	gic->watches[gic->watch_count++] = (struct gicv3_watch){line, fn, opaque};
	return 0;
}

static void gicv3_reset_cpu_locked(struct gicv3 *gic, struct gicv3_cpu *cpu)
{
	cpu->pmr = 0;
	cpu->bpr[0] = 2;
	cpu->bpr[1] = 3;
	cpu->group_enabled[0] = cpu->group_enabled[1] = false;
	cpu->eoi_mode = cpu->common_bpr = false;
	cpu->active_priorities[0] = cpu->active_priorities[1] = 0;
	gicv3_update_cpu_locked(gic, cpu);
}

void gicv3_reset_cpu(struct gicv3 *gic, unsigned vcpu)
{
	LOCKED(&gic->lock);
	gicv3_reset_cpu_locked(gic, &gic->cpu[vcpu]);
}

static void gicv3_reset_block(struct gicv3_block *block, uint32_t edge)
{
	*block = (struct gicv3_block){.level = block->level, .edge = edge};
}

void gicv3_reset(struct gicv3 *gic)
{
	LOCKED(&gic->lock);
	gic->group_enabled[0] = gic->group_enabled[1] = false;
	for (unsigned i = 1; i < gic->blocks; i++) {
		gicv3_reset_block(&gic->spi[i - 1], 0);
	}
	for (unsigned i = 0; i < gic->config.vcpus; i++) {
		struct gicv3_cpu *cpu = &gic->cpu[i];
		gicv3_reset_block(&cpu->private_block, 0xffff); /* SGIs are edges */
		cpu->processor_sleep = true;
		cpu->targeted[0] = UINT32_MAX;
	}
	for (unsigned i = 0; i < gic->config.spis; i++) {
		gic->route[i] = 0;
		gicv3_route_locked(gic, i);
	}
	for (unsigned i = 0; i < gic->config.vcpus; i++) {
		gicv3_reset_cpu_locked(gic, &gic->cpu[i]);
	}
}

struct gicv3 *gicv3_create(const struct gicv3_config *config)
{
	static const struct irq_chip_ops ops = {gicv3_set_spi, gicv3_send_msi, gicv3_watch_end};
	assert(config->vcpus >= 1 && config->vcpus <= GICV3_MAX_VCPUS);
	assert(config->spis >= 32 && config->spis <= GICV3_MAX_SPIS && config->spis % 32 == 0);
	assert(config->v2m_first_spi + config->v2m_spi_count <= config->spis);
	struct gicv3 *gic = calloc(1, sizeof(*gic));
	if (!gic) {
		return NULL;
	}
	gic->chip.ops = &ops;
	gic->config = *config;
	gic->blocks = 1 + config->spis / 32;
	pthread_mutex_init(&gic->lock, NULL);
	gic->spi = calloc(config->spis / 32, sizeof(gic->spi[0]));
	gic->route = calloc(config->spis, sizeof(gic->route[0]));
	gic->cpu = calloc(config->vcpus, sizeof(gic->cpu[0]));
	if (!gic->spi || !gic->route || !gic->cpu) {
		gicv3_destroy(gic);
		return NULL;
	}
	gicv3_reset(gic);
	return gic;
}

void gicv3_destroy(struct gicv3 *gic)
{
	if (!gic) {
		return;
	}
	pthread_mutex_destroy(&gic->lock);
	free(gic->spi);
	free(gic->route);
	free(gic->cpu);
	free(gic);
}

struct irq_chip *gicv3_irq_chip(struct gicv3 *gic)
{
	return &gic->chip;
}

void gicv3_counters(struct gicv3 *gic, struct gicv3_counters *out)
{
	LOCKED(&gic->lock);
	*out = gic->counters;
}
