/* SPDX-License-Identifier: Apache-2.0 */
/*
 * a64.c - operand encodings that are more than a bit field
 *
 * Threads: any.
 */
#include "a64/a64.h"

uint64_t a64_bitmask(unsigned n, unsigned imms, unsigned immr, unsigned width)
{
	unsigned size_log2 = 31 - (unsigned)__builtin_clz(n << 6 | (~imms & 0x3f));
	unsigned size = 1u << size_log2;
	unsigned ones = (imms & (size - 1)) + 1;
	unsigned rotate = immr & (size - 1);
	uint64_t element = ones == 64 ? ~0ull : (1ull << ones) - 1;
	if (rotate) {
		element = element >> rotate | element << (size - rotate);
	}
	if (size < 64) {
		element &= (1ull << size) - 1;
	}
	for (unsigned filled = size; filled < width; filled *= 2) {
		element |= element << filled;
	}
	return element;
}
