/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gicv3_priv.h - state shared by the files of the GICv3
 *
 * How it works: interrupts come in blocks of 32, one bit each, which is also the shape of most registers.  Block 0 is private to
 * each vCPU (SGIs, PPIs), the others are SPIs.  Each vCPU caches its highest priority pending interrupt
 * ("hppi"); whatever changes state calls gicv3_update_cpu_locked() or gicv3_update_locked().
 * Threads: everything here under gic->lock.
 */
#ifndef ORIEL_DEVICES_GICV3_PRIV_H
#define ORIEL_DEVICES_GICV3_PRIV_H

#include "base/own.h"
#include "devices/gicv3.h"

enum {
	GICV3_SPURIOUS = 1023,
	GICV3_IDLE_PRIORITY = 0xff,
	GICV3_PRIORITY_MASK = 0xf8, /* 5 implemented bits */
	GICV3_PIDR2_V3 = 0x3b,
	GICV3_MAX_BLOCKS = 1 + GICV3_MAX_SPIS / 32,
	GICV3_MAX_WATCHES = 8,
};

/* 32 interrupts, one bit each. */
struct gicv3_block {
	uint32_t group;	  /* 1: group 1 */
	uint32_t enabled, active;
	uint32_t latch;	  /* pending by an edge, a message, an SGI or software */
	uint32_t level;	  /* input wires */
	uint32_t edge;	  /* 1: edge-triggered */
	uint8_t priority[32];
};

struct gicv3_cpu {
	struct gicv3_block private_block;
	uint32_t targeted[GICV3_MAX_BLOCKS]; /* SPIs routed here; entry 0 is all ones */
	bool processor_sleep;		     /* GICR_WAKER */
	/* CPU interface; index 0 or 1 is the group. */
	uint8_t pmr, bpr[2];
	bool group_enabled[2];
	bool eoi_mode, common_bpr;
	uint32_t active_priorities[2]; /* ICC_APxR0: one bit a group priority */
	/* Highest priority pending interrupt in enabled groups, before PMR and running priority. */
	unsigned hppi; /* GICV3_SPURIOUS: none */
	uint8_t hppi_priority;
	unsigned hppi_group;
	bool line[2]; /* as last told to the engine, by enum engine_line */
};

/* Who wants to know that a wired interrupt was ended. */
struct gicv3_watch {
	unsigned line;
	irq_end_fn fn;
	void *opaque;
};

struct gicv3 {
	struct irq_chip chip;
	struct gicv3_config config;
	struct gicv3_watch watches[GICV3_MAX_WATCHES]; /* fixed before vCPUs run */
	unsigned watch_count;
	pthread_mutex_t lock; /* guards all below */
	bool group_enabled[2]; /* GICD_CTLR */
	unsigned blocks;       /* with block 0 */
	struct gicv3_block *spi; /* blocks - 1 of them */
	uint64_t *route;	 /* IROUTER, by SPI number */
	struct gicv3_cpu *cpu;
	struct gicv3_counters counters;
};

/* Block @index as @cpu sees it. */
static inline struct gicv3_block *gicv3_block(struct gicv3 *gic, struct gicv3_cpu *cpu, unsigned index)
{
	return index == 0 ? &cpu->private_block : &gic->spi[index - 1];
}

static inline uint32_t gicv3_pending(const struct gicv3_block *block)
{
	return block->latch | (block->level & ~block->edge);
}

/* Find @cpu's hppi again and drive its lines. */
void gicv3_update_cpu_locked(struct gicv3 *gic, struct gicv3_cpu *cpu);
/* Drive @cpu's lines from the hppi it has: after changes of PMR or running priority only. */
void gicv3_update_lines_locked(struct gicv3 *gic, struct gicv3_cpu *cpu);
/* The same for all vCPUs that see block @index; @cpu owns it if it is 0. */
void gicv3_update_block_locked(struct gicv3 *gic, struct gicv3_cpu *cpu, unsigned index, uint32_t bits);
void gicv3_update_all_locked(struct gicv3 *gic);
/* Recompute which vCPU SPI @spi goes to. */
void gicv3_route_locked(struct gicv3 *gic, unsigned spi);

/* Priority that an interrupt must beat to be taken: that of the running one, GICV3_IDLE_PRIORITY if none. */
uint8_t gicv3_running_priority(const struct gicv3_cpu *cpu);
/* Mask of the group priority bits (section 4.8.2). */
uint8_t gicv3_group_priority_mask(const struct gicv3_cpu *cpu, unsigned group);
/* True if the hppi would be signalled now. */
bool gicv3_can_take(const struct gicv3_cpu *cpu);

#endif
