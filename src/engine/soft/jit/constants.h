/* SPDX-License-Identifier: Apache-2.0 */
/*
 * constants.h - vectors that translated code refers to
 *
 * How it works: they are part of struct cpu, because translated code reaches that wherever either
 * of them lies. Threads: written when the vCPU is made, then constant.
 */
#ifndef ORIEL_ENGINE_SOFT_JIT_CONSTANTS_H
#define ORIEL_ENGINE_SOFT_JIT_CONSTANTS_H

#include <stdint.h>

/* 16 bytes each. */
struct jit_constants {
	uint8_t all_bits[16], ones_b[16], low_nibbles[16], high_70[16], b_10[16], b_20[16],
		b_30[16], b_40[16], minus_8_b[16];
	uint8_t unzip_b[16],
		unzip_h[16]; /* PSHUFB: even elements to the low half, odd ones to the high half */
	uint8_t spread_b[16][16], spread_h[8][16]; /* PSHUFB, by index */
	uint8_t low_byte[16];
	uint8_t rev16_b[16], rev32_b[16], rev32_h[16], rev64_b[16], rev64_h[16];
	uint8_t bit_counts[16], bit_reversed_low[16], bit_reversed_high[16]; /* by nibble */
	uint8_t right_masks[9][16], left_masks[8][16],
		right_signs[9][16]; /* of bytes, by shift amount */
	uint8_t zeros_low[16],
		zeros_high[16]; /* leading zeros of a byte by a nibble, 8: the other one decides */
	uint8_t eights_b[16];
	uint8_t split_3[4][3][3][16]; /* PSHUFB: by element size, register, 16 bytes of memory */
	uint8_t merge_3[4][3][3][16]; /* by element size, 16 bytes of memory, register */
	uint8_t powers_left[16],
		powers_right[16]; /* bytes of 2 to the power of 8 + s, by s and by -s */
	uint16_t ones_h[8], low_h[8], high_h[8], sign_h[8], sixteens_h[8];
	uint32_t ones_s[8], low_s[4], fifteen_s[4], sixteen_s[4];
	uint32_t abs_s[4], sign_s[4], large_s[4], bias_s[4], beyond_s[4];
	uint64_t abs_d[2], sign_d[2], large_d[2], bit_30_d[2];
	uint32_t two_three_s[2][4]; /* 2 and 3 */
	uint64_t two_three_d[2][2];
	uint32_t near_half_s[4], float_65536[4]; /* the largest number below 0.5 */
	uint64_t near_half_d[2];
	uint32_t normal_s[4]; /* the smallest normal number */
	uint64_t normal_d[2];
	uint32_t bias_d[4], beyond_d[4];
	uint32_t sha1_k[3][4];
	uint32_t half_bias[8], half_beyond[8], half_large[8], zeros[8], signs[8]; /* half_stubs.c */
	uint32_t mxcsr_default;
};

/* Set-up. */
void jit_fill_constants(struct jit_constants *c);

#endif
