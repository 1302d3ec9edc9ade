/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pl011.h - Arm PrimeCell UART (PL011, DDI 0183)
 *
 * Both directions have flow control: what the back end does not take stays in the transmit FIFO (the guest sees it full and
 * waits), and what the guest does not read stays with the back end.
 * Threads: any; one internal lock, held while the back end's functions are called.
 */
#ifndef ORIEL_DEVICES_PL011_H
#define ORIEL_DEVICES_PL011_H

#include "base/error.h"
#include "bus/bus.h"
#include "bus/irq.h"

#include <stddef.h>

struct pl011;

/* Where bytes go.  Must not call back into the UART from inside. */
struct pl011_backend {
	/* Take up to @len bytes, never waiting; returns how many.  After fewer than @len, call pl011_tx_ready() some time. */
	size_t (*write)(void *opaque, const uint8_t *bytes, size_t len);
	/* The receive FIFO was full and now has room: try pl011_receive() again. */
	void (*rx_room)(void *opaque);
};

/* @backend and @opaque are borrowed. */
struct pl011 *pl011_create(struct irq_line irq, const struct pl011_backend *backend, void *opaque) MUST_CHECK;
/* Accepts NULL. */
void pl011_destroy(struct pl011 *uart);
void pl011_reset(struct pl011 *uart);

/* Bytes from the line.  Returns how many fit. */
size_t pl011_receive(struct pl011 *uart, const uint8_t *bytes, size_t len);
/* The back end takes bytes again. */
void pl011_tx_ready(struct pl011 *uart);

extern const struct bus_ops pl011_ops; /* 4 KiB, device is the struct pl011 */

#endif
