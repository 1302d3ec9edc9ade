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
typedef void (*irq_end_fn)(void *opaque, unsigned line);

struct irq_chip_ops {
	/* Drive wired interrupt @line (0-based SPI number, as in the device tree) to @level. */
	void (*set_line)(struct irq_chip *chip, unsigned line, bool level);
	/* Deliver an MSI: a write of @data to @address by PCI requester @requester_id. */
	void (*send_msi)(struct irq_chip *chip, uint64_t address, uint32_t data, uint16_t requester_id);
	/*
	 * Call fn(opaque, line) each time a vCPU has ended wired interrupt @line, with no lock of the chip held: on that
	 * vCPU's thread before its next instruction, or (a chip in a kernel) on a thread of the chip soon after, with
	 * the line low for the guest until then.  It must not block.  Before any vCPU runs.  Optional: NULL if
	 * the chip can not tell.  -ENOSPC if it watches no more lines.
	 */
	int (*watch_end)(struct irq_chip *chip, unsigned line, irq_end_fn fn, void *opaque);
	/*
	 * The next four are of a chip in a kernel; NULL in others.  From now on each signal of eventfd @fd (borrowed) is the
	 * message that send_msi() would deliver, with no thread of ours in between; one that is in it already counts.  Its
	 * counter means nothing meanwhile.  -errno: not such a message, or no resources.
	 */
	int (*bind_msi)(struct irq_chip *chip, int fd, uint64_t address, uint32_t data);
	/* After return no signal is a message any more; those that come are left in @fd. */
	void (*unbind_msi)(struct irq_chip *chip, int fd, uint32_t data);
	/*
	 * The same for a level: a signal of @fd raises @line.  The line falls when a vCPU ends the interrupt, or when all that
	 * holds it by set_line() has let go; @ended (borrowed) is signalled then, and who still wants it signals @fd anew.
	 */
	int (*bind_line)(struct irq_chip *chip, unsigned line, int fd, int ended);
	/* The line is what set_line() says after return. */
	void (*unbind_line)(struct irq_chip *chip, unsigned line, int fd);
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
