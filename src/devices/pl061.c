/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pl061.c - Arm PrimeCell GPIO (PL061)
 *
 * How it works: address bits 9:2 of a data access choose the lines it touches.  Interrupts are by level or by edge for each line.
 * Threads: any, under gpio->lock.
 */
#include "devices/pl061.h"

#include "base/own.h"
#include "devices/lanes.h"
#include "devices/primecell.h"

#include <assert.h>

enum {
	GPIODATA_END = 0x400,
	GPIODIR = 0x400,
	GPIOIS = 0x404,
	GPIOIBE = 0x408,
	GPIOIEV = 0x40c,
	GPIOIE = 0x410,
	GPIORIS = 0x414,
	GPIOMIS = 0x418,
	GPIOIC = 0x41c,
	GPIOAFSEL = 0x420,
	PL061_PERIPHERAL_ID = 0x00041061,
};

struct pl061 {
	struct irq_line irq;
	pthread_mutex_t lock; /* guards all below */
	uint8_t input, output, direction; /* direction: 1 = output */
	uint8_t by_level, both_edges, event, enabled, alternate;
	uint8_t edges; /* latched edge interrupts */
	bool irq_level;
};

/* Levels on the pins. */
static uint8_t pl061_pins(const struct pl061 *gpio)
{
	return (gpio->output & gpio->direction) | (gpio->input & ~gpio->direction);
}

static uint8_t pl061_raw(const struct pl061 *gpio)
{
	uint8_t levels = (uint8_t)~(pl061_pins(gpio) ^ gpio->event);
	return (levels & gpio->by_level) | (gpio->edges & ~gpio->by_level);
}

/* @before: pins before the change that led here. */
static void pl061_update_locked(struct pl061 *gpio, uint8_t before)
{
	uint8_t now = pl061_pins(gpio), changed = now ^ before;
	gpio->edges |= changed & ~gpio->by_level & (gpio->both_edges | (uint8_t)~(now ^ gpio->event));
	bool level = pl061_raw(gpio) & gpio->enabled;
	if (level != gpio->irq_level) {
		gpio->irq_level = level;
		irq_line_set(&gpio->irq, level);
	}
}

/* The plain 8-bit register at @offset, or NULL. */
static uint8_t *pl061_register(struct pl061 *gpio, uint64_t offset)
{
	switch (offset) {
	case GPIODIR:
		return &gpio->direction;
	case GPIOIS:
		return &gpio->by_level;
	case GPIOIBE:
		return &gpio->both_edges;
	case GPIOIEV:
		return &gpio->event;
	case GPIOIE:
		return &gpio->enabled;
	case GPIOAFSEL:
		return &gpio->alternate;
	default:
		return NULL;
	}
}

static uint32_t pl061_read_lane(void *device, uint64_t offset, uint32_t mask)
{
	struct pl061 *gpio = device;
	LOCKED(&gpio->lock);
	const uint8_t *reg = pl061_register(gpio, offset);
	if (reg) {
		return *reg;
	}
	if (offset < GPIODATA_END) {
		return pl061_pins(gpio) & (offset >> 2 & 0xff);
	}
	switch (offset) {
	case GPIORIS:
		return pl061_raw(gpio);
	case GPIOMIS:
		return pl061_raw(gpio) & gpio->enabled;
	default:
		return offset >= PRIMECELL_IDS ? primecell_read_id(PL061_PERIPHERAL_ID, offset) : 0;
	}
}

static void pl061_write_lane(void *device, uint64_t offset, uint32_t mask, uint32_t value)
{
	struct pl061 *gpio = device;
	LOCKED(&gpio->lock);
	uint8_t before = pl061_pins(gpio);
	uint8_t *reg = pl061_register(gpio, offset);
	if (!(mask & 0xff)) {
		return;
	}
	if (reg) {
		*reg = (uint8_t)value;
	} else if (offset < GPIODATA_END) {
		uint8_t lines = (offset >> 2 & 0xff) & gpio->direction;
		gpio->output = (gpio->output & ~lines) | ((uint8_t)value & lines);
	} else if (offset == GPIOIC) {
		gpio->edges &= ~(uint8_t)value;
	}
	pl061_update_locked(gpio, before);
}

static uint64_t pl061_read(void *device, uint64_t offset, unsigned size)
{
	return lanes_read(device, offset, size, pl061_read_lane);
}

static void pl061_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	lanes_write(device, offset, size, value, pl061_write_lane);
}

const struct bus_ops pl061_ops = {pl061_read, pl061_write};

void pl061_set_input(struct pl061 *gpio, unsigned line, bool level)
{
	assert(line < 8);
	LOCKED(&gpio->lock);
	uint8_t before = pl061_pins(gpio);
	uint8_t bit = (uint8_t)(1u << line);
	gpio->input = level ? gpio->input | bit : gpio->input & ~bit;
	pl061_update_locked(gpio, before);
}

void pl061_reset(struct pl061 *gpio)
{
	LOCKED(&gpio->lock);
	gpio->output = gpio->direction = 0;
	gpio->by_level = gpio->both_edges = gpio->event = gpio->enabled = gpio->alternate = 0;
	gpio->edges = 0;
	pl061_update_locked(gpio, pl061_pins(gpio));
}

struct pl061 *pl061_create(struct irq_line irq)
{
	struct pl061 *gpio = calloc(1, sizeof(*gpio));
	if (gpio) {
		pthread_mutex_init(&gpio->lock, NULL);
		gpio->irq = irq;
	}
	return gpio;
}

void pl061_destroy(struct pl061 *gpio)
{
	if (gpio) {
		pthread_mutex_destroy(&gpio->lock);
		free(gpio);
	}
}
