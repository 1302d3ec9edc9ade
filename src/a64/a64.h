/* SPDX-License-Identifier: Apache-2.0 */
/*
 * a64.h - which A64 instruction a word is
 *
 * How it works: gen/a64.py makes the decoder from the tables in gen/a64: an enum a64_op with one value a row, a function
 * A64_FIELD(word) for each field name, and the tables below.  Nothing here knows an engine: the interpreter, messages
 * and syndrome-less access decoding share it.
 * Threads: any; all data is constant.
 */
#ifndef ORIEL_A64_A64_H
#define ORIEL_A64_A64_H

#include "a64_gen.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	A64_ENDS = 1, /* may go on elsewhere than at the next instruction, or under other rules */
	A64_HINT = 2, /* a NOP, not UNDEFINED, where the feature is off */
};

/* A row of the encoding tables: words with (word & mask) == value, if also the row's constraints hold. */
struct a64_info {
	const char *name;
	uint32_t mask, value;
	uint8_t feature; /* enum a64_feature */
	uint8_t format;	 /* enum a64_format: how the operands are arranged */
	uint8_t flags;	 /* A64_ENDS, A64_HINT */
};

extern const struct a64_info a64_infos[A64_OPS];

/* A feature exists where the 4-bit field at @low of ID register @id (enum a64_id) is at least @minimum. */
struct a64_feature_info {
	const char *name;
	uint8_t id, low, minimum;
};

extern const struct a64_feature_info a64_feature_infos[A64_FEATURES];

/* The row that @word matches, whatever features exist; A64_UNDEFINED if the word is unallocated. */
enum a64_op a64_decode(uint32_t word);

/* The low @width (1..32) bits of @value as a signed number. */
static inline int64_t a64_sign(uint32_t value, unsigned width)
{
	return (int32_t)(value << (32 - width)) >> (32 - width);
}

/*
 * DecodeBitMasks() for the logical immediates (Arm ARM J1.1.2): @n, @imms, @immr as encoded and allocated, @width 32 or 64.
 */
uint64_t a64_bitmask(unsigned n, unsigned imms, unsigned immr, unsigned width);

#endif
