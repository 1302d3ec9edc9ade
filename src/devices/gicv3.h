/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gicv3.h - Arm GICv3 interrupt controller that takes MSIs of a GICv2m frame, for engines without one of their own
 *
 * One security state (GICD_CTLR.DS = 1), affinity routing always on, system register CPU interface, 5 bits of priority,
 * no LPIs, no 1-of-N routing.  Group 1 interrupts drive the IRQ input of a vCPU, group 0 the FIQ input.
 * "Section" in comments means Arm IHI 0069H.
 * Threads: creation and destruction single-threaded; all else from any thread (one internal lock, which is held
 * while gicv3_cpu_ops are called).
 */
#ifndef ORIEL_DEVICES_GICV3_H
#define ORIEL_DEVICES_GICV3_H

#include "bus/bus.h"
#include "bus/irq.h"
#include "engine/engine.h"

enum {
	GICV3_MAX_VCPUS = 64,
	GICV3_MAX_SPIS = 960,
	GICV3_FIRST_SPI = 32,
	GICV3_DIST_BYTES = 0x10000,
	GICV3_REDIST_BYTES = 0x20000, /* each vCPU */
};

struct gicv3;

/* The interrupt inputs of the vCPUs.  Called with the GIC's lock held: must not call back. */
struct gicv3_cpu_ops {
	void (*set_line)(void *opaque, unsigned vcpu, enum engine_line line, bool level);
};

struct gicv3_config {
	unsigned vcpus; /* 1..GICV3_MAX_VCPUS */
	unsigned spis;	/* multiple of 32, up to GICV3_MAX_SPIS */
	uint64_t v2m_base;			/* GPA of the GICv2m frame: where MSIs are written to */
	unsigned v2m_first_spi, v2m_spi_count;	/* SPI numbers that are MSIs */
	const struct gicv3_cpu_ops *cpu_ops;
	void *cpu_opaque; /* borrowed */
};

struct gicv3_counters {
	uint64_t acks;	       /* interrupts acknowledged by vCPUs */
	uint64_t sgis;	       /* interrupts between vCPUs */
	uint64_t msis;	       /* messages delivered */
	uint64_t msis_dropped; /* messages with an address or data of no MSI */
};

/* Affinity of vCPU @index: Aff0 = index % 16, Aff1 = index / 16 (SGI target lists have 16 bits). */
static inline uint64_t gicv3_affinity(unsigned index)
{
	return (uint64_t)(index / 16) << 8 | index % 16;
}

struct gicv3 *gicv3_create(const struct gicv3_config *config) MUST_CHECK;
/* Accepts NULL. */
void gicv3_destroy(struct gicv3 *gic);

/* Back to power-on state; input levels stay as the devices drive them. */
void gicv3_reset(struct gicv3 *gic);
/* Reset one vCPU's CPU interface (CPU_ON). */
void gicv3_reset_cpu(struct gicv3 *gic, unsigned vcpu);

/* The controller as devices see it; lines are SPI numbers. */
struct irq_chip *gicv3_irq_chip(struct gicv3 *gic);
/* Drive private peripheral interrupt @intid (16..31) of @vcpu. */
void gicv3_set_ppi(struct gicv3 *gic, unsigned vcpu, unsigned intid, bool level);

/* ICC_* system registers, as engine_host wants them: false is UNDEFINED. */
bool gicv3_icc_read(struct gicv3 *gic, unsigned vcpu, uint32_t reg, uint64_t *value);
bool gicv3_icc_write(struct gicv3 *gic, unsigned vcpu, uint32_t reg, uint64_t value);

/* MMIO frames; the device argument of each is the struct gicv3. */
extern const struct bus_ops gicv3_dist_ops;   /* GICV3_DIST_BYTES */
extern const struct bus_ops gicv3_redist_ops; /* GICV3_REDIST_BYTES x vCPUs */

void gicv3_counters(struct gicv3 *gic, struct gicv3_counters *out);

#endif
