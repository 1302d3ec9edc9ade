/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pl011.c - Arm PrimeCell UART (PL011)
 *
 * How it works: the wire is infinitely fast: bytes written to DR are offered to the back end at once, and the receive timeout
 * strikes as soon as the FIFO holds anything.  Baud rate and modem lines are storage only.
 * Invariants: uart->irq_level is what the irq chip was last told.
 * Threads: any, under uart->lock.
 */
#include "devices/pl011.h"

#include "base/own.h"
#include "devices/lanes.h"
#include "devices/primecell.h"

#include <string.h>

enum {
	UARTDR = 0x00,
	UARTRSR = 0x04,
	UARTFR = 0x18,
	UARTILPR = 0x20,
	UARTIBRD = 0x24,
	UARTFBRD = 0x28,
	UARTLCR_H = 0x2c,
	UARTCR = 0x30,
	UARTIFLS = 0x34,
	UARTIMSC = 0x38,
	UARTRIS = 0x3c,
	UARTMIS = 0x40,
	UARTICR = 0x44,
	UARTDMACR = 0x48,
};

enum {
	FR_BUSY = 1 << 3,
	FR_RXFE = 1 << 4,
	FR_TXFF = 1 << 5,
	FR_RXFF = 1 << 6,
	FR_TXFE = 1 << 7,
	LCR_H_FEN = 1 << 4,
	CR_LBE = 1 << 7,
	INT_RX = 1 << 4,
	INT_TX = 1 << 5,
	INT_RT = 1 << 6,
	INT_ALL = 0x7ff,
	PL011_DEPTH = 16,
	PL011_PERIPHERAL_ID = 0x00141011,
};

struct pl011_fifo {
	uint8_t bytes[PL011_DEPTH];
	unsigned first, count;
};

struct pl011 {
	struct irq_line irq;
	const struct pl011_backend *backend;
	void *opaque;
	pthread_mutex_t lock; /* guards all below */
	struct pl011_fifo tx, rx;
	uint32_t ilpr, ibrd, fbrd, lcr_h, cr, ifls, imsc, dmacr;
	bool tx_interrupt; /* latched when the FIFO drains to its trigger level */
	bool rt_interrupt; /* latched when bytes come in */
	bool irq_level;
};

static void fifo_push(struct pl011_fifo *fifo, uint8_t byte)
{
	fifo->bytes[(fifo->first + fifo->count++) % PL011_DEPTH] = byte;
}

static uint8_t fifo_pop(struct pl011_fifo *fifo)
{
	uint8_t byte = fifo->bytes[fifo->first];
	fifo->first = (fifo->first + 1) % PL011_DEPTH;
	fifo->count--;
	return byte;
}

static unsigned pl011_depth(const struct pl011 *uart)
{
	return uart->lcr_h & LCR_H_FEN ? PL011_DEPTH : 1;
}

/* Trigger levels in eighths of the FIFO by the IFLS code (DDI 0183, 3.3.9). */
static unsigned pl011_trigger(const struct pl011 *uart, unsigned ifls_shift)
{
	static const uint8_t eighths[8] = {1, 2, 4, 6, 7, 7, 7, 7};
	return uart->lcr_h & LCR_H_FEN ? PL011_DEPTH * eighths[uart->ifls >> ifls_shift & 7] / 8 : 1;
}

static uint32_t pl011_raw_interrupts(const struct pl011 *uart)
{
	return (uart->rx.count >= pl011_trigger(uart, 3) ? INT_RX : 0) | (uart->tx_interrupt ? INT_TX : 0) |
	       (uart->rt_interrupt && uart->rx.count ? INT_RT : 0);
}

static void pl011_update_locked(struct pl011 *uart)
{
	bool level = pl011_raw_interrupts(uart) & uart->imsc;
	if (level != uart->irq_level) {
		uart->irq_level = level;
		irq_line_set(&uart->irq, level);
	}
}

static size_t pl011_accept(struct pl011 *uart, const uint8_t *bytes, size_t len)
{
	size_t taken = 0;
	while (taken < len && uart->rx.count < pl011_depth(uart)) {
		fifo_push(&uart->rx, bytes[taken++]);
		uart->rt_interrupt = true;
	}
	return taken;
}

/* Offer what the transmit FIFO holds to the back end (or to ourselves in loop-back). */
static void pl011_drain_locked(struct pl011 *uart)
{
	bool blocked = false;
	while (uart->tx.count && !blocked) {
		unsigned run = PL011_DEPTH - uart->tx.first;
		run = run < uart->tx.count ? run : uart->tx.count;
		const uint8_t *bytes = &uart->tx.bytes[uart->tx.first];
		size_t taken = run;
		if (uart->cr & CR_LBE) {
			pl011_accept(uart, bytes, run); /* an overrun loses bytes */
		} else {
			taken = uart->backend->write(uart->opaque, bytes, run);
		}
		blocked = taken < run;
		uart->tx.first = (uart->tx.first + (unsigned)taken) % PL011_DEPTH;
		uart->tx.count -= (unsigned)taken;
	}
	unsigned trigger = uart->lcr_h & LCR_H_FEN ? pl011_trigger(uart, 0) : 0;
	if (uart->tx.count <= trigger) {
		uart->tx_interrupt = true;
	}
}

static uint32_t pl011_read_data(struct pl011 *uart)
{
	if (!uart->rx.count) {
		return 0;
	}
	bool was_full = uart->rx.count >= pl011_depth(uart);
	uint8_t byte = fifo_pop(&uart->rx);
	if (was_full && !(uart->cr & CR_LBE)) {
		uart->backend->rx_room(uart->opaque);
	}
	return byte;
}

static uint32_t pl011_flags(const struct pl011 *uart)
{
	unsigned depth = pl011_depth(uart);
	return (uart->tx.count ? FR_BUSY : FR_TXFE) | (uart->tx.count >= depth ? FR_TXFF : 0) |
	       (uart->rx.count ? 0 : FR_RXFE) | (uart->rx.count >= depth ? FR_RXFF : 0);
}

static uint32_t pl011_read_lane(void *device, uint64_t offset, uint32_t mask)
{
	struct pl011 *uart = device;
	LOCKED(&uart->lock);
	switch (offset) {
	case UARTDR: {
		uint32_t value = mask & 0xff ? pl011_read_data(uart) : 0;
		pl011_update_locked(uart);
		return value;
	}
	case UARTFR:
		return pl011_flags(uart);
	case UARTILPR:
		return uart->ilpr;
	case UARTIBRD:
		return uart->ibrd;
	case UARTFBRD:
		return uart->fbrd;
	case UARTLCR_H:
		return uart->lcr_h;
	case UARTCR:
		return uart->cr;
	case UARTIFLS:
		return uart->ifls;
	case UARTIMSC:
		return uart->imsc;
	case UARTRIS:
		return pl011_raw_interrupts(uart);
	case UARTMIS:
		return pl011_raw_interrupts(uart) & uart->imsc;
	case UARTDMACR:
		return uart->dmacr;
	default:
		return offset >= PRIMECELL_IDS ? primecell_read_id(PL011_PERIPHERAL_ID, offset) : 0;
	}
}

static void pl011_write_data(struct pl011 *uart, uint8_t byte)
{
	if (uart->tx.count >= pl011_depth(uart)) {
		return; /* the guest did not look at TXFF: lost, as on the wire */
	}
	fifo_push(&uart->tx, byte);
	uart->tx_interrupt = false;
	pl011_drain_locked(uart);
}

static void pl011_clear_interrupts(struct pl011 *uart, uint32_t bits)
{
	if (bits & INT_TX) {
		uart->tx_interrupt = false;
	}
	if (bits & INT_RT) {
		uart->rt_interrupt = false;
	}
}

/* Switching the FIFOs off or on flushes them. */
static void pl011_write_lcr_h(struct pl011 *uart, uint32_t value)
{
	if ((uart->lcr_h ^ value) & LCR_H_FEN) {
		uart->tx.count = uart->rx.count = 0;
		uart->backend->rx_room(uart->opaque);
	}
	uart->lcr_h = value & 0xff;
}

static void pl011_write_lane(void *device, uint64_t offset, uint32_t mask, uint32_t value)
{
	struct pl011 *uart = device;
	LOCKED(&uart->lock);
	switch (offset) {
	case UARTDR:
		if (mask & 0xff) {
			pl011_write_data(uart, (uint8_t)value);
		}
		break;
	case UARTILPR:
		uart->ilpr = lanes_merge(uart->ilpr, mask, value) & 0xff;
		break;
	case UARTIBRD:
		uart->ibrd = lanes_merge(uart->ibrd, mask, value) & 0xffff;
		break;
	case UARTFBRD:
		uart->fbrd = lanes_merge(uart->fbrd, mask, value) & 0x3f;
		break;
	case UARTLCR_H:
		pl011_write_lcr_h(uart, lanes_merge(uart->lcr_h, mask, value));
		break;
	case UARTCR:
		uart->cr = lanes_merge(uart->cr, mask, value) & 0xffff;
		break;
	case UARTIFLS:
		uart->ifls = lanes_merge(uart->ifls, mask, value) & 0x3f;
		break;
	case UARTIMSC:
		uart->imsc = lanes_merge(uart->imsc, mask, value) & INT_ALL;
		break;
	case UARTICR:
		pl011_clear_interrupts(uart, value);
		break;
	case UARTDMACR:
		uart->dmacr = lanes_merge(uart->dmacr, mask, value) & 7;
		break;
	default:
		break;
	}
	pl011_update_locked(uart);
}

static uint64_t pl011_read(void *device, uint64_t offset, unsigned size)
{
	return lanes_read(device, offset, size, pl011_read_lane);
}

static void pl011_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	lanes_write(device, offset, size, value, pl011_write_lane);
}

const struct bus_ops pl011_ops = {pl011_read, pl011_write};

size_t pl011_receive(struct pl011 *uart, const uint8_t *bytes, size_t len)
{
	LOCKED(&uart->lock);
	size_t taken = uart->cr & CR_LBE ? 0 : pl011_accept(uart, bytes, len);
	pl011_update_locked(uart);
	return taken;
}

void pl011_tx_ready(struct pl011 *uart)
{
	LOCKED(&uart->lock);
	if (uart->tx.count) {
		pl011_drain_locked(uart);
		pl011_update_locked(uart);
	}
}

void pl011_reset(struct pl011 *uart)
{
	LOCKED(&uart->lock);
	memset(&uart->tx, 0, sizeof(uart->tx));
	memset(&uart->rx, 0, sizeof(uart->rx));
	uart->ilpr = uart->ibrd = uart->fbrd = uart->lcr_h = uart->imsc = uart->dmacr = 0;
	uart->cr = 0x300;
	uart->ifls = 0x12;
	uart->tx_interrupt = uart->rt_interrupt = false;
	pl011_update_locked(uart);
}

struct pl011 *pl011_create(struct irq_line irq, const struct pl011_backend *backend, void *opaque)
{
	struct pl011 *uart = calloc(1, sizeof(*uart));
	if (!uart) {
		return NULL;
	}
	pthread_mutex_init(&uart->lock, NULL);
	uart->irq = irq;
	uart->backend = backend;
	uart->opaque = opaque;
	pl011_reset(uart);
	return uart;
}

void pl011_destroy(struct pl011 *uart)
{
	if (uart) {
		pthread_mutex_destroy(&uart->lock);
		free(uart);
	}
}
