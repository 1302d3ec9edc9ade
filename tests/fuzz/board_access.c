/* SPDX-License-Identifier: Apache-2.0 */
/*
 * board_access.c - fuzz target: any bytes as accesses of two vCPUs to the board's registers, and firmware calls
 *
 * Each record of 12 bytes: what (device, write or read, vCPU, size), offset, value.
 * Invariant checked: a vCPU input line is only told to change when it changes.
 * Threads: one.
 */
#include "board/board.h"
#include "board/psci.h"

#include "fuzz.h"

#include <assert.h>
#include <string.h>

enum { RECORD_BYTES = 12, MAX_RECORDS = 4096 };

struct world {
	bool lines[2][2];
	uint8_t output; /* how greedy the console is */
};

static void world_line(void *opaque, unsigned vcpu, enum engine_line line, bool level)
{
	struct world *world = opaque;
	assert(world->lines[vcpu][line] != level);
	world->lines[vcpu][line] = level;
}

static size_t world_write(void *opaque, const uint8_t *bytes, size_t len)
{
	struct world *world = opaque;
	world->output = (uint8_t)(world->output * 5 + 1);
	return world->output % 3 ? len : len / 2;
}

static void world_room(void *opaque)
{
}

static int world_cpu_on(void *opaque, unsigned target, uint64_t entry, uint64_t context)
{
	assert(target < 2);
	return PSCI_SUCCESS;
}

static void world_cpu_off(void *opaque, unsigned vcpu)
{
}

static enum psci_affinity world_affinity(void *opaque, unsigned target)
{
	assert(target < 2);
	return PSCI_AFFINITY_OFF;
}

static void world_end(void *opaque, unsigned vcpu, bool reset)
{
}

static void access_bus(struct bus *bus, const uint8_t *r, uint32_t offset, uint64_t value)
{
	static const uint64_t bases[] = {BOARD_GICD_BASE, BOARD_V2M_BASE, BOARD_GICR_BASE, BOARD_UART_BASE,
					 BOARD_RTC_BASE,  BOARD_GPIO_BASE, BOARD_PCI_IO,    BOARD_GICD_BASE};
	uint64_t gpa = bases[r[0] & 7] + offset % 0x40000;
	unsigned size = 1u << (r[0] >> 6 & 3);
	if (r[0] & 8) {
		bus_write(bus, gpa, size, value);
	} else {
		bus_read(bus, gpa, size, &value);
	}
}

static void access_other(struct board *board, const uint8_t *r, uint32_t offset, uint64_t value)
{
	static const struct psci_ops ops = {world_cpu_on, world_cpu_off, world_affinity, world_end};
	const struct psci psci = {&ops, NULL, 2};
	struct irq_chip *chip = gicv3_irq_chip(board->gic);
	unsigned vcpu = r[0] >> 7;
	uint64_t x[8] = {0x84000000u | (offset & 0x4000001f), value, value >> 3};
	uint32_t reg = ENGINE_SYSREG(3, 0, offset & 15, offset >> 4 & 15, offset >> 8 & 7);
	uint8_t byte = (uint8_t)value;
	switch (r[0] & 7) {
	case 0:
		gicv3_icc_read(board->gic, vcpu, reg, &value);
		break;
	case 1:
		gicv3_icc_write(board->gic, vcpu, reg, value);
		break;
	case 2:
		chip->ops->set_line(chip, offset % BOARD_SPI_COUNT, value & 1);
		break;
	case 3:
		chip->ops->send_msi(chip, BOARD_V2M_BASE + 0x40, offset & 0x1ff, 0);
		break;
	case 4:
		gicv3_set_ppi(board->gic, vcpu, 16 + offset % 16, value & 1);
		break;
	case 5:
		psci_call(&psci, vcpu, x);
		break;
	case 6:
		pl011_receive(board->uart, &byte, 1);
		break;
	default:
		if (value % 16 == 0) {
			board_reset(board);
		}
		pl011_tx_ready(board->uart);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct gicv3_cpu_ops cpu_ops = {world_line};
	static const struct pl011_backend serial = {world_write, world_room};
	struct world world = {0};
	struct board board;
	struct board_config config = {
		.vcpus = 2,
		.bus = bus_create(),
		.loop = loop_create(NULL),
		.cpu_ops = &cpu_ops,
		.cpu_opaque = &world,
		.serial = &serial,
		.serial_opaque = &world,
	};
	if (board_init(&board, &config, NULL) == 0) {
		for (size_t i = 0; i + RECORD_BYTES <= size && i / RECORD_BYTES < MAX_RECORDS; i += RECORD_BYTES) {
			const uint8_t *r = data + i;
			uint32_t offset = r[1] | (uint32_t)r[2] << 8 | (uint32_t)r[3] << 16;
			uint64_t value;
			memcpy(&value, r + 4, 8);
			if (r[0] & 0x10) {
				access_other(&board, r, offset, value);
			} else {
				access_bus(config.bus, r, offset, value);
			}
		}
		board_finish(&board);
	}
	loop_destroy(config.loop);
	bus_destroy(config.bus);
	return 0;
}
