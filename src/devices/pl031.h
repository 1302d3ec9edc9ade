/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pl031.h - Arm PrimeCell real time clock (PL031, DDI 0224): seconds of host time, and an alarm
 * Threads: creation and destruction with the loop at rest; accesses from any thread.
 */
#ifndef ORIEL_DEVICES_PL031_H
#define ORIEL_DEVICES_PL031_H

#include "base/loop.h"
#include "bus/bus.h"
#include "bus/irq.h"

struct pl031;

/* The host's clock in nanoseconds since 1970; replaceable for tests. */
typedef uint64_t (*pl031_clock_fn)(void);
uint64_t pl031_host_clock(void);

/* The alarm's timer lives on @loop (borrowed). */
struct pl031 *pl031_create(struct loop *loop, pl031_clock_fn clock, struct irq_line irq) MUST_CHECK;
/* Accepts NULL.  The loop must not run. */
void pl031_destroy(struct pl031 *rtc);
void pl031_reset(struct pl031 *rtc);

extern const struct bus_ops pl031_ops; /* 4 KiB, device is the struct pl031 */

#endif
