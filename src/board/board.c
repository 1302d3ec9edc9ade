/* SPDX-License-Identifier: Apache-2.0 */
/*
 * board.c - puts the board's own devices on the bus
 * Threads: see board.h.
 */
#include "board/board.h"

#include <errno.h>
#include <string.h>

enum { BOARD_KEY_PRESS_NS = 100 * 1000 * 1000 };

static uint64_t no_ports_read(void *device, uint64_t offset, unsigned size)
{
	return UINT64_MAX;
}

static void no_ports_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
}

/* The I/O window of the PCI bridge: nothing lives there. */
static const struct bus_ops no_ports_ops = {no_ports_read, no_ports_write};

static void board_release_power_key(void *opaque)
{
	struct board *board = opaque;
	pl061_set_input(board->gpio, BOARD_GPIO_POWER_KEY, false);
}

void board_press_power_key(struct board *board)
{
	pl061_set_input(board->gpio, BOARD_GPIO_POWER_KEY, true);
	loop_timer_set(board->key_timer, loop_now_ns() + BOARD_KEY_PRESS_NS);
}

/* The board's own interrupt controller, unless the engine has one. */
static int board_create_gic(struct board *board, const struct board_config *config)
{
	const struct gicv3_config gic_config = {
		.vcpus = config->vcpus,
		.spis = BOARD_SPI_COUNT,
		.v2m_base = BOARD_V2M_BASE,
		.v2m_first_spi = BOARD_SPI_MSI,
		.v2m_spi_count = BOARD_MSI_COUNT,
		.cpu_ops = config->cpu_ops,
		.cpu_opaque = config->cpu_opaque,
	};
	board->irq_chip = config->irq_chip;
	if (!board->irq_chip) {
		board->gic = gicv3_create(&gic_config);
		if (!board->gic) {
			return -ENOMEM;
		}
		board->irq_chip = gicv3_irq_chip(board->gic);
	}
	board->v2m = (struct gicv2m){board->irq_chip, BOARD_V2M_BASE, GICV3_FIRST_SPI + BOARD_SPI_MSI,
				     BOARD_MSI_COUNT};
	return 0;
}

static int board_create_devices(struct board *board, const struct board_config *config)
{
	int rc = board_create_gic(board, config);
	if (rc < 0) {
		return rc;
	}
	struct irq_chip *chip = board->irq_chip;
	board->uart = pl011_create((struct irq_line){chip, BOARD_SPI_UART}, config->serial,
				   config->serial_opaque);
	board->rtc = pl031_create(config->loop, pl031_host_clock, (struct irq_line){chip, BOARD_SPI_RTC});
	board->gpio = pl061_create((struct irq_line){chip, BOARD_SPI_GPIO});
	board->key_timer = loop_add_timer(config->loop, board_release_power_key, board);
	return board->uart && board->rtc && board->gpio && board->key_timer ? 0 : -ENOMEM;
}

static int board_map_devices(struct board *board, unsigned vcpus)
{
	const struct {
		uint64_t base, len;
		const struct bus_ops *ops;
		void *device;
		const char *name;
	} map[] = {
		{BOARD_GICD_BASE, GICV3_DIST_BYTES, &gicv3_dist_ops, board->gic, "gicd"},
		{BOARD_V2M_BASE, GICV2M_BYTES, &gicv2m_ops, &board->v2m, "gicv2m"},
		{BOARD_GICR_BASE, (uint64_t)vcpus * GICV3_REDIST_BYTES, &gicv3_redist_ops, board->gic, "gicr"},
		{BOARD_UART_BASE, 0x1000, &pl011_ops, board->uart, "pl011"},
		{BOARD_RTC_BASE, 0x1000, &pl031_ops, board->rtc, "pl031"},
		{BOARD_GPIO_BASE, 0x1000, &pl061_ops, board->gpio, "pl061"},
		{BOARD_PCI_IO, BOARD_PCI_IO_LEN, &no_ports_ops, board, "pci-io"},
	};
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		if (!map[i].device) {
			continue; /* the engine has the interrupt controller */
		}
		int rc = bus_add(board->bus, map[i].base, map[i].len, map[i].ops, map[i].device, map[i].name);
		if (rc < 0) {
			return rc;
		}
	}
	return 0;
}

static void board_unmap_devices(struct board *board)
{
	bus_remove(board->bus, BOARD_GICD_BASE, board->gic);
	bus_remove(board->bus, BOARD_V2M_BASE, &board->v2m);
	bus_remove(board->bus, BOARD_GICR_BASE, board->gic);
	bus_remove(board->bus, BOARD_UART_BASE, board->uart);
	bus_remove(board->bus, BOARD_RTC_BASE, board->rtc);
	bus_remove(board->bus, BOARD_GPIO_BASE, board->gpio);
	bus_remove(board->bus, BOARD_PCI_IO, board);
}

int board_init(struct board *board, const struct board_config *config, struct error *err)
{
	memset(board, 0, sizeof(*board));
	board->bus = config->bus;
	int rc = board_create_devices(board, config);
	if (rc == 0) {
		rc = board_map_devices(board, config->vcpus);
	}
	if (rc < 0) {
		board_finish(board);
		return error_set(err, rc, "board: %s", strerror(-rc));
	}
	return 0;
}

void board_finish(struct board *board)
{
	if (!board->bus) {
		return;
	}
	board_unmap_devices(board);
	loop_remove(board->key_timer);
	pl061_destroy(board->gpio);
	pl031_destroy(board->rtc);
	pl011_destroy(board->uart);
	gicv3_destroy(board->gic);
	memset(board, 0, sizeof(*board));
}

void board_reset(struct board *board)
{
	pl011_reset(board->uart);
	pl031_reset(board->rtc);
	pl061_reset(board->gpio);
	if (board->gic) {
		gicv3_reset(board->gic);
	}
}
