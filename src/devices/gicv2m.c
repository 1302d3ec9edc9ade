/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gicv2m.c - the GICv2m frame (Arm SBSA 3.0, appendix I)
 *
 * Threads: any.
 */
#include "devices/gicv2m.h"

#include "devices/lanes.h"

enum { V2M_TYPER = 0x008 };

static uint32_t v2m_read_lane(void *device, uint64_t offset, uint32_t mask)
{
	const struct gicv2m *frame = device;
	return offset == V2M_TYPER ? frame->first_intid << 16 | frame->count : 0;
}

static void v2m_write_lane(void *device, uint64_t offset, uint32_t mask, uint32_t value)
{
	const struct gicv2m *frame = device;
	if (offset == GICV2M_SETSPI && mask & 0xff) {
		frame->chip->ops->send_msi(frame->chip, frame->base + GICV2M_SETSPI, value, 0);
	}
}

static uint64_t v2m_read(void *device, uint64_t offset, unsigned size)
{
	return lanes_read(device, offset, size, v2m_read_lane);
}

static void v2m_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	lanes_write(device, offset, size, value, v2m_write_lane);
}

const struct bus_ops gicv2m_ops = {v2m_read, v2m_write};
