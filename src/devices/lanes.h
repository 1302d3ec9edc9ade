/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lanes.h - accesses of 1 to 8 bytes at any offset, as accesses to 32-bit registers with byte lanes
 *
 * How it works: a device implements 32-bit registers only, and is told which bytes of one are touched (@mask has 0xff in
 * each of those).  What crosses registers is split, lowest first, so a 64-bit register is two halves.
 * Threads: values.
 */
#ifndef ORIEL_DEVICES_LANES_H
#define ORIEL_DEVICES_LANES_H

#include <stdint.h>

/* @offset is a multiple of 4.  Side effects of a read belong to the bytes in @mask only. */
typedef uint32_t (*lanes_read_fn)(void *device, uint64_t offset, uint32_t mask);
/* @value has zeros outside @mask. */
typedef void (*lanes_write_fn)(void *device, uint64_t offset, uint32_t mask, uint32_t value);

/* The part of [offset, offset+size) in the register at @reg, as a mask of its bytes. */
static inline uint32_t lanes_mask(uint64_t offset, unsigned size, uint64_t reg)
{
	uint32_t mask = 0;
	for (unsigned i = 0; i < 4; i++) {
		if (reg + i >= offset && reg + i < offset + size) {
			mask |= (uint32_t)0xff << (8 * i);
		}
	}
	return mask;
}

static inline uint64_t lanes_shift(uint64_t value, int64_t bytes)
{
	return bytes >= 0 ? value << (8 * bytes) : value >> (8 * -bytes);
}

static inline uint64_t lanes_read(void *device, uint64_t offset, unsigned size, lanes_read_fn read)
{
	uint64_t value = 0;
	for (uint64_t reg = offset & ~(uint64_t)3; reg < offset + size; reg += 4) {
		uint32_t mask = lanes_mask(offset, size, reg);
		value |= lanes_shift(read(device, reg, mask) & mask, (int64_t)(reg - offset));
	}
	return value;
}

static inline void lanes_write(void *device, uint64_t offset, unsigned size, uint64_t value,
			       lanes_write_fn write)
{
	for (uint64_t reg = offset & ~(uint64_t)3; reg < offset + size; reg += 4) {
		uint32_t mask = lanes_mask(offset, size, reg);
		write(device, reg, mask, (uint32_t)lanes_shift(value, (int64_t)(offset - reg)) & mask);
	}
}

/* Replace the bytes of @old in @mask by those of @value. */
static inline uint32_t lanes_merge(uint32_t old, uint32_t mask, uint32_t value)
{
	return (old & ~mask) | (value & mask);
}

#endif
