/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gicv3_mmio.c - memory-mapped frames: distributor, redistributors
 *
 * How it works: registers from 0x80 to 0xcff are the same in the distributor (blocks 1 and up) and in a redistributor's second
 * frame (block 0), so they share one pair of functions.
 * Threads: any, under gic->lock.
 */
#include "devices/gicv3_priv.h"
#include "devices/lanes.h"

enum {
	GICD_CTLR = 0x0000,
	GICD_TYPER = 0x0004,
	GICD_IROUTER = 0x6000,
	GIC_PIDR2 = 0xffe8,
	GICD_CTLR_GROUP0 = 1 << 0,
	GICD_CTLR_GROUP1 = 1 << 1,
	GICD_CTLR_FIXED = 1 << 4 | 1 << 6, /* ARE, DS */
	GICR_TYPER = 0x0008,
	GICR_TYPER_HIGH = 0x000c,
	GICR_WAKER = 0x0014,
	GICR_SGI_FRAME = 0x10000,
};

/* Registers with one bit an interrupt, 0x80 bytes each. */
enum gicv3_bits_reg {
	BITS_IGROUPR = 0x080 / 0x80,
	BITS_ISENABLER = 0x100 / 0x80,
	BITS_ICENABLER = 0x180 / 0x80,
	BITS_ISPENDR = 0x200 / 0x80,
	BITS_ICPENDR = 0x280 / 0x80,
	BITS_ISACTIVER = 0x300 / 0x80,
	BITS_ICACTIVER = 0x380 / 0x80,
};

static uint32_t gicv3_read_bits(const struct gicv3_block *block, unsigned reg)
{
	switch (reg) {
	case BITS_IGROUPR:
		return block->group;
	case BITS_ISENABLER:
	case BITS_ICENABLER:
		return block->enabled;
	case BITS_ISPENDR:
	case BITS_ICPENDR:
		return gicv3_pending(block);
	default:
		return block->active;
	}
}

static void gicv3_write_bits(struct gicv3_block *block, unsigned reg, uint32_t mask, uint32_t value)
{
	switch (reg) {
	case BITS_IGROUPR:
		block->group = lanes_merge(block->group, mask, value);
		break;
	case BITS_ISENABLER:
		block->enabled |= value;
		break;
	case BITS_ICENABLER:
		block->enabled &= ~value;
		break;
	case BITS_ISPENDR:
		block->latch |= value;
		break;
	case BITS_ICPENDR:
		block->latch &= ~value;
		break;
	case BITS_ISACTIVER:
		block->active |= value;
		break;
	default:
		block->active &= ~value;
		break;
	}
}

/* ICFGR has two bits an interrupt, the upper one says edge; @half is 0 for interrupts 0-15 of the block. */
static uint32_t gicv3_read_config(const struct gicv3_block *block, unsigned half)
{
	uint32_t value = 0;
	for (unsigned i = 0; i < 16; i++) {
		value |= (block->edge >> (half * 16 + i) & 1) << (2 * i + 1);
	}
	return value;
}

static void gicv3_write_config(struct gicv3_block *block, unsigned half, uint32_t mask, uint32_t value)
{
	value = lanes_merge(gicv3_read_config(block, half), mask, value);
	for (unsigned i = 0; i < 16; i++) {
		uint32_t bit = 1u << (half * 16 + i);
		block->edge = value >> (2 * i + 1) & 1 ? block->edge | bit : block->edge & ~bit;
	}
}

/* Which block and what of it a register at @offset in 0x80..0xcff is about. */
struct gicv3_where {
	enum { WHERE_NOTHING, WHERE_BITS, WHERE_PRIORITY, WHERE_CONFIG } kind;
	unsigned block, reg; /* reg: gicv3_bits_reg, first interrupt of four, or half */
};

static struct gicv3_where gicv3_locate(uint64_t offset)
{
	unsigned at = (unsigned)offset;
	if (at >= 0x080 && at < 0x400) {
		return (struct gicv3_where){WHERE_BITS, at % 0x80 / 4, at / 0x80};
	}
	if (at >= 0x400 && at < 0x800) {
		return (struct gicv3_where){WHERE_PRIORITY, (at - 0x400) / 32, at % 32};
	}
	if (at >= 0xc00 && at < 0xd00) {
		return (struct gicv3_where){WHERE_CONFIG, (at - 0xc00) / 8, at / 4 % 2};
	}
	return (struct gicv3_where){WHERE_NOTHING, 0, 0};
}

static uint32_t gicv3_read_block(const struct gicv3_block *block, struct gicv3_where where)
{
	switch (where.kind) {
	case WHERE_BITS:
		return gicv3_read_bits(block, where.reg);
	case WHERE_PRIORITY:
		return block->priority[where.reg] | (uint32_t)block->priority[where.reg + 1] << 8 |
		       (uint32_t)block->priority[where.reg + 2] << 16 |
		       (uint32_t)block->priority[where.reg + 3] << 24;
	case WHERE_CONFIG:
		return gicv3_read_config(block, where.reg);
	default:
		return 0;
	}
}

/* Returns which interrupts may have changed. */
static uint32_t gicv3_write_block(struct gicv3_block *block, struct gicv3_where where, uint32_t mask,
				  uint32_t value)
{
	switch (where.kind) {
	case WHERE_BITS:
		gicv3_write_bits(block, where.reg, mask, value);
		return mask;
	case WHERE_PRIORITY:
		for (unsigned i = 0; i < 4; i++) {
			if (mask >> (8 * i) & 1) {
				block->priority[where.reg + i] = value >> (8 * i) & GICV3_PRIORITY_MASK;
			}
		}
		return 15u << where.reg;
	case WHERE_CONFIG:
		gicv3_write_config(block, where.reg, mask, value);
		return 0xffffu << (16 * where.reg);
	default:
		return 0;
	}
}

/* ----- distributor ----- */

static uint32_t dist_read_lane(void *device, uint64_t offset, uint32_t mask)
{
	struct gicv3 *gic = device;
	LOCKED(&gic->lock);
	switch (offset) {
	case GICD_CTLR:
		return GICD_CTLR_FIXED | (gic->group_enabled[0] ? GICD_CTLR_GROUP0 : 0) |
		       (gic->group_enabled[1] ? GICD_CTLR_GROUP1 : 0);
	case GICD_TYPER: /* No1N, A3V, 16 bits of INTID, no LPIs, no message SPIs */
		return 1u << 25 | 1u << 24 | 15u << 19 | (gic->blocks - 1);
	case GIC_PIDR2:
		return GICV3_PIDR2_V3;
	default:
		break;
	}
	if (offset >= GICD_IROUTER && offset < GICD_IROUTER + gic->blocks * 32 * 8) {
		unsigned intid = (unsigned)(offset - GICD_IROUTER) / 8;
		uint64_t route = intid < GICV3_FIRST_SPI ? 0 : gic->route[intid - GICV3_FIRST_SPI];
		return (uint32_t)(offset & 4 ? route >> 32 : route);
	}
	struct gicv3_where where = gicv3_locate(offset);
	bool ours = where.block >= 1 && where.block < gic->blocks;
	return ours ? gicv3_read_block(&gic->spi[where.block - 1], where) : 0;
}

static void dist_write_router(struct gicv3 *gic, uint64_t offset, uint32_t mask, uint32_t value)
{
	unsigned intid = (unsigned)(offset - GICD_IROUTER) / 8;
	if (intid < GICV3_FIRST_SPI) {
		return;
	}
	unsigned spi = intid - GICV3_FIRST_SPI;
	uint64_t old = gic->route[spi];
	if (offset & 4) {
		uint32_t high = lanes_merge((uint32_t)(old >> 32), mask, value) & 0xff;
		gic->route[spi] = (uint64_t)high << 32 | (uint32_t)old;
	} else {
		uint32_t low = lanes_merge((uint32_t)old, mask, value) & 0xffffff;
		gic->route[spi] = (old & ~(uint64_t)UINT32_MAX) | low;
	}
	gicv3_route_locked(gic, spi);
	gicv3_update_all_locked(gic);
}

static void dist_write_lane(void *device, uint64_t offset, uint32_t mask, uint32_t value)
{
	struct gicv3 *gic = device;
	LOCKED(&gic->lock);
	if (offset == GICD_CTLR && mask & 0xff) {
		gic->group_enabled[0] = value & GICD_CTLR_GROUP0;
		gic->group_enabled[1] = value & GICD_CTLR_GROUP1;
		gicv3_update_all_locked(gic);
		return;
	}
	if (offset >= GICD_IROUTER && offset < GICD_IROUTER + gic->blocks * 32 * 8) {
		dist_write_router(gic, offset, mask, value);
		return;
	}
	struct gicv3_where where = gicv3_locate(offset);
	if (where.block >= 1 && where.block < gic->blocks) {
		uint32_t bits = gicv3_write_block(&gic->spi[where.block - 1], where, mask, value);
		gicv3_update_block_locked(gic, NULL, where.block, bits);
	}
}

static uint64_t dist_read(void *device, uint64_t offset, unsigned size)
{
	return lanes_read(device, offset, size, dist_read_lane);
}

static void dist_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	lanes_write(device, offset, size, value, dist_write_lane);
}

const struct bus_ops gicv3_dist_ops = {dist_read, dist_write};

/* ----- redistributors ----- */

static uint32_t redist_read_control(struct gicv3 *gic, unsigned vcpu, uint64_t offset)
{
	switch (offset) {
	case GICR_TYPER: /* processor number; Last */
		return vcpu << 8 | (vcpu == gic->config.vcpus - 1) << 4;
	case GICR_TYPER_HIGH: /* affinity with Aff3 next to the others */
		return (uint32_t)gicv3_affinity(vcpu);
	case GICR_WAKER: /* ChildrenAsleep follows ProcessorSleep at once */
		return gic->cpu[vcpu].processor_sleep ? 6 : 0;
	case GIC_PIDR2:
		return GICV3_PIDR2_V3;
	default:
		return 0;
	}
}

static uint32_t redist_read_lane(void *device, uint64_t offset, uint32_t mask)
{
	struct gicv3 *gic = device;
	unsigned vcpu = (unsigned)(offset / GICV3_REDIST_BYTES);
	offset %= GICV3_REDIST_BYTES;
	LOCKED(&gic->lock);
	if (offset < GICR_SGI_FRAME) {
		return redist_read_control(gic, vcpu, offset);
	}
	struct gicv3_where where = gicv3_locate(offset - GICR_SGI_FRAME);
	return where.block == 0 ? gicv3_read_block(&gic->cpu[vcpu].private_block, where) : 0;
}

static void redist_write_lane(void *device, uint64_t offset, uint32_t mask, uint32_t value)
{
	struct gicv3 *gic = device;
	struct gicv3_cpu *cpu = &gic->cpu[offset / GICV3_REDIST_BYTES];
	offset %= GICV3_REDIST_BYTES;
	LOCKED(&gic->lock);
	if (offset == GICR_WAKER && mask & 0xff) {
		cpu->processor_sleep = value >> 1 & 1;
		return;
	}
	struct gicv3_where where = gicv3_locate(offset - GICR_SGI_FRAME);
	bool read_only = where.kind == WHERE_CONFIG && where.reg == 0; /* SGIs */
	if (offset >= GICR_SGI_FRAME && where.block == 0 && !read_only) {
		gicv3_write_block(&cpu->private_block, where, mask, value);
		gicv3_update_cpu_locked(gic, cpu);
	}
}

static uint64_t redist_read(void *device, uint64_t offset, unsigned size)
{
	return lanes_read(device, offset, size, redist_read_lane);
}

static void redist_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	lanes_write(device, offset, size, value, redist_write_lane);
}

const struct bus_ops gicv3_redist_ops = {redist_read, redist_write};
