/* SPDX-License-Identifier: Apache-2.0 */
/*
 * board.h - the generic Arm board: memory map, interrupt numbers, and the devices every VM has
 *
 * The map is the well-known `virt` one, which stock firmware builds assume.  PCI devices are not the board's: it only says where
 * the host bridge's windows are.
 * Threads: creation, reset and destruction while no vCPU runs.
 */
#ifndef ORIEL_BOARD_BOARD_H
#define ORIEL_BOARD_BOARD_H

#include "base/loop.h"
#include "bus/bus.h"
#include "devices/gicv2m.h"
#include "devices/gicv3.h"
#include "devices/pl011.h"
#include "devices/pl031.h"
#include "devices/pl061.h"

/* Guest physical addresses. */
#define BOARD_GICD_BASE	    UINT64_C(0x08000000)
#define BOARD_V2M_BASE	    UINT64_C(0x08020000)
#define BOARD_GICR_BASE	    UINT64_C(0x080a0000)
#define BOARD_UART_BASE	    UINT64_C(0x09000000)
#define BOARD_RTC_BASE	    UINT64_C(0x09010000)
#define BOARD_GPIO_BASE	    UINT64_C(0x09030000)
#define BOARD_PCI_MEM32	    UINT64_C(0x10000000)
#define BOARD_PCI_MEM32_LEN UINT64_C(0x2eff0000)
#define BOARD_PCI_IO	    UINT64_C(0x3eff0000) /* no device has I/O ports: reads as ones */
#define BOARD_PCI_IO_LEN    UINT64_C(0x10000)
#define BOARD_RAM_BASE	    UINT64_C(0x40000000)
#define BOARD_RAM_MAX	    (UINT64_C(255) << 30)
#define BOARD_PCI_ECAM	    UINT64_C(0x4010000000)
#define BOARD_PCI_ECAM_LEN  UINT64_C(0x10000000)
#define BOARD_PCI_MEM64	    UINT64_C(0x8000000000)
#define BOARD_PCI_MEM64_LEN UINT64_C(0x8000000000) /* unless devices need more */
#define BOARD_PCI_MEM64_MAX (UINT64_C(1) << 46)

enum {
	/* SPI numbers. */
	BOARD_SPI_UART = 1,
	BOARD_SPI_RTC = 2,
	BOARD_SPI_PCI_INTX = 3, /* four of them */
	BOARD_SPI_GPIO = 7,
	BOARD_SPI_MSI = 64, /* first one behind the GICv2m frame */
	BOARD_MSI_COUNT = 192,
	BOARD_SPI_COUNT = 256,
	BOARD_GPIO_POWER_KEY = 3, /* line of the GPIO */
	BOARD_MAX_VCPUS = GICV3_MAX_VCPUS,
};

struct board_config {
	unsigned vcpus;
	struct bus *bus;   /* borrowed, outlives the board */
	struct loop *loop; /* borrowed, outlives the board */
	struct irq_chip *irq_chip; /* the engine's interrupt controller, borrowed; NULL: the board has its own */
	const struct gicv3_cpu_ops *cpu_ops; /* for its own */
	void *cpu_opaque;
	const struct pl011_backend *serial;
	void *serial_opaque;
};

struct board {
	struct bus *bus;
	struct gicv3 *gic;	  /* NULL: the engine has one */
	struct irq_chip *irq_chip; /* that one, or the engine's */
	struct gicv2m v2m;
	struct pl011 *uart;
	struct pl031 *rtc;
	struct pl061 *gpio;
	struct loop_source *key_timer; /* lets go of the power key */
};

/* On failure nothing is kept. */
int board_init(struct board *board, const struct board_config *config, struct error *err) MUST_CHECK;
/* Accepts a zeroed or half-built board. */
void board_finish(struct board *board);
/* System reset of all of the board's devices. */
void board_reset(struct board *board);
/* Press the power key for a moment.  Loop thread. */
void board_press_power_key(struct board *board);

#endif
