/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flags.h - NZCV and the conditions on it
 *
 * How it works: cpu->nzcv is always packed as in SPSR.  On x86 hosts LAHF and SETO give all four flags of a sum or
 * difference at once; one multiplication puts them in place.
 * Threads: any; pure functions.
 */
#ifndef ORIEL_ENGINE_SOFT_FLAGS_H
#define ORIEL_ENGINE_SOFT_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#define FLAG_N 0x80000000u
#define FLAG_Z 0x40000000u
#define FLAG_C 0x20000000u
#define FLAG_V 0x10000000u

#define FLAGS_INLINE static inline __attribute__((always_inline))

#ifdef __x86_64__
/* AH as LAHF leaves it (SF is bit 15, ZF 14, CF 8) with V in bit 0: to NZCV. */
FLAGS_INLINE uint32_t flags_from_lahf(uint32_t ax)
{
	return ((ax & 0xc101) * 0x10210000u) & 0xf0000000u;
}

#define FLAGS_DEFINE(bits, type, suffix)                                                           \
	FLAGS_INLINE type flags_add##bits(type a, type b, uint32_t *nzcv)                          \
	{                                                                                          \
		uint32_t ax;                                                                       \
		__asm__("add" suffix " %[b], %[a]\n\tlahf\n\tseto %%al"                            \
			: [a] "+r"(a), "=&a"(ax)                                                   \
			: [b] "r"(b)                                                               \
			: "cc");                                                                   \
		*nzcv = flags_from_lahf(ax);                                                       \
		return a;                                                                          \
	}                                                                                          \
	FLAGS_INLINE type flags_sub##bits(type a, type b, uint32_t *nzcv)                          \
	{                                                                                          \
		uint32_t ax;                                                                       \
		__asm__("sub" suffix " %[b], %[a]\n\tcmc\n\tlahf\n\tseto %%al"                     \
			: [a] "+r"(a), "=&a"(ax)                                                   \
			: [b] "r"(b)                                                               \
			: "cc");                                                                   \
		*nzcv = flags_from_lahf(ax);                                                       \
		return a;                                                                          \
	}
FLAGS_DEFINE(32, uint32_t, "l")
FLAGS_DEFINE(64, uint64_t, "q")
#else
#define FLAGS_DEFINE(bits, type)                                                                   \
	FLAGS_INLINE type flags_add##bits(type a, type b, uint32_t *nzcv)                          \
	{                                                                                          \
		type r = a + b;                                                                    \
		*nzcv = (uint32_t)(r >> (bits - 1)) << 31 | (uint32_t)(r == 0) << 30 |             \
			(uint32_t)(r < a) << 29 |                                                  \
			(uint32_t)(((a ^ r) & (b ^ r)) >> (bits - 1)) << 28;                       \
		return r;                                                                          \
	}                                                                                          \
	FLAGS_INLINE type flags_sub##bits(type a, type b, uint32_t *nzcv)                          \
	{                                                                                          \
		type r = a - b;                                                                    \
		*nzcv = (uint32_t)(r >> (bits - 1)) << 31 | (uint32_t)(r == 0) << 30 |             \
			(uint32_t)(a >= b) << 29 |                                                 \
			(uint32_t)(((a ^ b) & (a ^ r)) >> (bits - 1)) << 28;                       \
		return r;                                                                          \
	}
FLAGS_DEFINE(32, uint32_t)
FLAGS_DEFINE(64, uint64_t)
#endif

/* AddWithCarry(): a + b + carry. */
FLAGS_INLINE uint64_t flags_adc64(uint64_t a, uint64_t b, bool carry, uint32_t *nzcv)
{
	uint64_t sum;
	bool c = __builtin_add_overflow(a, b, &sum);
	c |= __builtin_add_overflow(sum, (uint64_t)carry, &sum);
	*nzcv = (uint32_t)(sum >> 63) << 31 | (uint32_t)(sum == 0) << 30 | (uint32_t)c << 29 |
		(uint32_t)(((a ^ sum) & (b ^ sum)) >> 63) << 28;
	return sum;
}

FLAGS_INLINE uint32_t flags_adc32(uint32_t a, uint32_t b, bool carry, uint32_t *nzcv)
{
	uint64_t wide = (uint64_t)a + b + carry;
	uint32_t sum = (uint32_t)wide;
	*nzcv = (sum & FLAG_N) | (uint32_t)(sum == 0) << 30 | (uint32_t)(wide >> 32) << 29 |
		((a ^ sum) & (b ^ sum)) >> 31 << 28;
	return sum;
}

/* N and Z of a logical result; C and V are 0. */
FLAGS_INLINE uint32_t flags_logical64(uint64_t r)
{
	return ((uint32_t)(r >> 32) & FLAG_N) | (uint32_t)(r == 0) << 30;
}

FLAGS_INLINE uint32_t flags_logical32(uint32_t r)
{
	return (r & FLAG_N) | (uint32_t)(r == 0) << 30;
}

/* ConditionHolds() for a constant @cond. */
FLAGS_INLINE bool flags_condition(uint32_t nzcv, unsigned cond)
{
	bool holds;
	switch (cond >> 1) {
	case 0: holds = nzcv & FLAG_Z; break;
	case 1: holds = nzcv & FLAG_C; break;
	case 2: holds = nzcv & FLAG_N; break;
	case 3: holds = nzcv & FLAG_V; break;
	case 4: holds = (nzcv & (FLAG_C | FLAG_Z)) == FLAG_C; break;
	case 5: holds = !((nzcv ^ nzcv << 3) & FLAG_N); break;
	case 6: holds = !((nzcv ^ nzcv << 3) & FLAG_N) && !(nzcv & FLAG_Z); break;
	default: return true;
	}
	return holds != (cond & 1);
}

/* The conditions pre-computed: bit n of the result tells whether @cond holds for NZCV = n. */
static inline uint16_t flags_condition_mask(unsigned cond)
{
	uint16_t mask = 0;
	for (uint32_t n = 0; n < 16; n++) {
		mask |= (uint16_t)(flags_condition(n << 28, cond) << n);
	}
	return mask;
}

FLAGS_INLINE bool flags_test_mask(uint32_t nzcv, uint64_t mask)
{
	return mask >> (nzcv >> 28) & 1;
}

#endif
