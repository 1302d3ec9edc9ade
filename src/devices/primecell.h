/* SPDX-License-Identifier: Apache-2.0 */
/*
 * primecell.h - identification registers that Arm's PrimeCell peripherals have at 0xfe0..0xfff
 * Threads: values.
 */
#ifndef ORIEL_DEVICES_PRIMECELL_H
#define ORIEL_DEVICES_PRIMECELL_H

#include <stdint.h>

enum { PRIMECELL_BYTES = 0x1000, PRIMECELL_IDS = 0xfe0 };

/* Id register at @offset >= PRIMECELL_IDS of the peripheral with the 32-bit PeriphID @peripheral. */
static inline uint32_t primecell_read_id(uint32_t peripheral, uint64_t offset)
{
	const uint64_t cell = 0xb105f00d;
	uint64_t ids = cell << 32 | peripheral;
	return (uint32_t)(ids >> ((offset - PRIMECELL_IDS) / 4 * 8)) & 0xff;
}

#endif
