/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pl061.h - Arm PrimeCell GPIO (PL061, DDI 0190): eight lines, of which the board drives some as inputs
 * Threads: any.
 */
#ifndef ORIEL_DEVICES_PL061_H
#define ORIEL_DEVICES_PL061_H

#include "base/error.h"
#include "bus/bus.h"
#include "bus/irq.h"

struct pl061;

struct pl061 *pl061_create(struct irq_line irq) MUST_CHECK;
/* Accepts NULL. */
void pl061_destroy(struct pl061 *gpio);
/* Input levels stay. */
void pl061_reset(struct pl061 *gpio);

/* Drive input @line (0..7) from outside. */
void pl061_set_input(struct pl061 *gpio, unsigned line, bool level);

extern const struct bus_ops pl061_ops; /* 4 KiB, device is the struct pl061 */

#endif
