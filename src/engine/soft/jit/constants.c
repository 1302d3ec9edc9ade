/* SPDX-License-Identifier: Apache-2.0 */
/* constants.c - see constants.h */
#include "engine/soft/jit/constants.h"

#include "engine/soft/jit/mxcsr.h"

#include <string.h>

/* For each byte of the result, the byte it comes from. */
static void reverse(uint8_t *mask, unsigned container, unsigned element)
{
	for (unsigned n = 0; n < 16; n++) {
		mask[n] = (uint8_t)(n ^ (container - element));
	}
}

static void unzip(uint8_t *mask, unsigned element)
{
	for (unsigned n = 0; n < 16; n++) {
		unsigned lane = n / element, odd = n / 8, from = 2 * (lane % (8 / element)) + odd;
		mask[n] = (uint8_t)(from * element + n % element);
	}
}

static void fill_spreads(struct jit_constants *c)
{
	for (unsigned n = 0; n < 16; n++) {
		memset(c->spread_b[n], (int)n, 16);
		for (unsigned index = 0; index < 8; index++) {
			c->spread_h[index][n] = (uint8_t)(index * 2 + n % 2);
		}
	}
}

static void fill_nibbles(struct jit_constants *c)
{
	for (unsigned n = 0; n < 16; n++) {
		unsigned reversed = (n & 1) << 3 | (n & 2) << 1 | (n & 4) >> 1 | n >> 3;
		c->bit_counts[n] = (uint8_t)__builtin_popcount(n);
		c->bit_reversed_low[n] = (uint8_t)(reversed << 4);
		c->bit_reversed_high[n] = (uint8_t)reversed;
		c->zeros_low[n] = (uint8_t)(n ? __builtin_clz(n) - 24 : 8);
		c->zeros_high[n] = (uint8_t)(n ? __builtin_clz(n) - 28 : 8);
	}
}

static void fill_bytes(struct jit_constants *c)
{
	memset(c->all_bits, 0xff, 16);
	memset(c->ones_b, 1, 16);
	memset(c->low_nibbles, 0x0f, 16);
	memset(c->high_70, 0x70, 16);
	memset(c->b_10, 0x10, 16);
	memset(c->b_20, 0x20, 16);
	memset(c->b_30, 0x30, 16);
	memset(c->b_40, 0x40, 16);
	memset(c->minus_8_b, -8, 16);
	memset(c->eights_b, 8, 16);
	c->low_byte[0] = 0xff;
	for (unsigned s = 0; s <= 8; s++) {
		memset(c->right_masks[s], 0xff >> s, 16);
		memset(c->right_signs[s], 0x80 >> s, 16);
	}
	for (unsigned s = 0; s < 8; s++) {
		memset(c->left_masks[s], 0xff << s & 0xff, 16);
		c->powers_left[s] = (uint8_t)(1 << s);
		c->powers_right[8 - s] = (uint8_t)(1 << s);
	}
}

/* See fp.c for bias and beyond. */
static void fill_lanes(struct jit_constants *c)
{
	for (unsigned n = 0; n < 8; n++) {
		c->ones_h[n] = 1;
		c->low_h[n] = 0x00ff;
		c->high_h[n] = 0xff00;
		c->sign_h[n] = 0x8000;
		c->sixteens_h[n] = 16;
		c->ones_s[n] = 1;
		/* Twice a single, as unsigned: the smallest normal half and the largest one. */
		c->half_bias[n] = 0x80000000u - 2 * 0x38800000u;
		c->half_beyond[n] = 0x80000000u + 2 * (0x477fe000u - 0x38800000u);
		c->half_large[n] = 0x80000000u + 2 * 0x477fe000u;
		c->signs[n] = 0x80000000u;
	}
	for (unsigned n = 0; n < 4; n++) {
		c->sha1_k[0][n] = 0x5a827999; /* FIPS 180-4, 4.2.1 */
		c->sha1_k[1][n] = 0x6ed9eba1;
		c->sha1_k[2][n] = 0x8f1bbcdc;
		c->low_s[n] = 0xffff;
		c->fifteen_s[n] = 15;
		c->sixteen_s[n] = 16;
		c->abs_s[n] = 0x7fffffff;
		c->sign_s[n] = 0x80000000;
		c->large_s[n] = 0x7effffff;
		c->normal_s[n] = 0x00800000;
		c->two_three_s[0][n] = 0x40000000;
		c->two_three_s[1][n] = 0x40400000;
		c->near_half_s[n] = 0x3effffff;
		c->float_65536[n] = 0x47800000;
		c->bias_s[n] = 0x80000000u - (2u << 23);
		c->beyond_s[n] = 0x80000000u + (0xfcu << 23) - 1;
		c->bias_d[n] = 0x80000000u - (2u << 20);
		c->beyond_d[n] = 0x80000000u + (0x7fcu << 20) - 1;
	}
	for (unsigned n = 0; n < 2; n++) {
		c->abs_d[n] = INT64_MAX;
		c->sign_d[n] = UINT64_C(1) << 63;
		c->bit_30_d[n] = 1 << 30;
		c->large_d[n] = 0x7fdfffffffffffff;
		c->normal_d[n] = 0x0010000000000000;
		c->two_three_d[0][n] = 0x4000000000000000;
		c->two_three_d[1][n] = 0x4008000000000000;
		c->near_half_d[n] = 0x3fdfffffffffffff;
	}
}

/* Structures of three elements: byte @at of all of them is byte @in of register @reg. */
static void fill_structures(struct jit_constants *c)
{
	memset(c->split_3, 0x80, sizeof(c->split_3)); /* a zero */
	memset(c->merge_3, 0x80, sizeof(c->merge_3));
	for (unsigned log2 = 0; log2 < 4; log2++) {
		for (unsigned at = 0; at < 48; at++) {
			unsigned element = at >> log2, reg = element % 3;
			unsigned in = (element / 3 << log2) + (at & ((1u << log2) - 1));
			c->split_3[log2][reg][at / 16][in] = at % 16;
			c->merge_3[log2][at / 16][reg][at % 16] = (uint8_t)in;
		}
	}
}

void jit_fill_constants(struct jit_constants *c)
{
	fill_bytes(c);
	fill_nibbles(c);
	fill_lanes(c);
	fill_spreads(c);
	fill_structures(c);
	c->mxcsr_default = MXCSR_DEFAULT;
	unzip(c->unzip_b, 1);
	unzip(c->unzip_h, 2);
	reverse(c->rev16_b, 2, 1);
	reverse(c->rev32_b, 4, 1);
	reverse(c->rev32_h, 4, 2);
	reverse(c->rev64_b, 8, 1);
	reverse(c->rev64_h, 8, 2);
}
