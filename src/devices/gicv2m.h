/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gicv2m.h - the GICv2m frame: one page where writes become edge interrupts (MSIs), in front of any
 * interrupt controller
 *
 * Threads: accesses from any thread; the frame is constant.
 */
#ifndef ORIEL_DEVICES_GICV2M_H
#define ORIEL_DEVICES_GICV2M_H

#include "bus/bus.h"
#include "bus/irq.h"

enum { GICV2M_BYTES = 0x1000, GICV2M_SETSPI = 0x040 };

struct gicv2m {
	struct irq_chip *chip; /* takes the messages: writes of an INTID to @base + GICV2M_SETSPI */
	uint64_t base;
	unsigned first_intid, count;
};

/* The device argument is the struct gicv2m. */
extern const struct bus_ops gicv2m_ops;

#endif
