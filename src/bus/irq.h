/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irq.h - interrupts as devices raise them: a line, or a message
 *
 * Implemented by the board's interrupt controller (our GICv3, or an engine's own).
 * Threads: any; implementations lock.
 */
#ifndef ORIEL_BUS_IRQ_H
#define ORIEL_BUS_IRQ_H

#include <stdbool.h>
#include <stdint.h>

struct irq_chip;
struct irq_chip_ops {
	/* Drive wired interrupt @line (0-based SPI number, as in the device tree) to @level. */
	void (*set_line)(struct irq_chip *chip, unsigned line, bool level);
	/* Deliver an MSI: a write of @data to @address by PCI requester @requester_id. */
	void (*send_msi)(struct irq_chip *chip, uint64_t address, uint32_t data, uint16_t requester_id);
};
struct irq_chip {
	const struct irq_chip_ops *ops;
};

/* A wired line handed to a device. */
struct irq_line {
	struct irq_chip *chip;
	unsigned line;
};

static inline void irq_line_set(const struct irq_line *line, bool level)
{
	line->chip->ops->set_line(line->chip, line->line, level);
}

#endif
