/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp_priv.h - what fp.c, fp_convert.c and fp_estimate.c share: unpacked numbers, rounding, NaNs
 *
 * A number is frac/2^63 * 2^exp with bit 63 of frac set; a wide one is frac/2^127 * 2^exp with bit 127 set, where the lowest bit
 * also stands for "something non-zero was below".
 * Threads: any.
 */
#ifndef ORIEL_ENGINE_SOFT_FP_PRIV_H
#define ORIEL_ENGINE_SOFT_FP_PRIV_H

#include "engine/soft/fp.h"

typedef unsigned __int128 fp_u128;

enum fp_class { FP_CLASS_ZERO, FP_CLASS_NUMBER, FP_CLASS_INF, FP_CLASS_QNAN, FP_CLASS_SNAN };

struct fp_num {
	enum fp_class class;
	bool sign;
	int exp;
	uint64_t frac; /* 0 if not FP_CLASS_NUMBER */
};

struct fp_wide {
	bool sign;
	int exp;
	fp_u128 frac; /* 0 for zero */
};

struct fp_format {
	int mant;  /* stored fraction bits */
	int bias;  /* of the exponent */
	uint64_t exp_mask; /* all ones, at bit 0 */
};

extern const struct fp_format fp_formats[4]; /* by enum fp_size */

static inline bool fp_is_nan(enum fp_class class)
{
	return class >= FP_CLASS_QNAN;
}

static inline uint64_t fp_zero(unsigned size, bool sign)
{
	return sign ? fp_sign_bit(size) : 0;
}

static inline uint64_t fp_infinity(unsigned size, bool sign)
{
	return fp_zero(size, sign) | fp_formats[size].exp_mask << fp_formats[size].mant;
}

static inline uint64_t fp_max_normal(unsigned size, bool sign)
{
	return fp_infinity(size, sign) - 1;
}

static inline uint64_t fp_default_nan(unsigned size)
{
	return fp_infinity(size, false) | 1ull << (fp_formats[size].mant - 1);
}

/* An operation without a result: IOC and the default NaN. */
static inline uint64_t fp_invalid(struct fp_env *e, unsigned size)
{
	e->sr |= FPSR_IOC;
	return fp_default_nan(size);
}

/* @a times 2^-@n, remembering lost bits in the lowest one. */
static inline fp_u128 fp_shift_jam(fp_u128 a, int n)
{
	if (n <= 0) {
		return a;
	}
	if (n > 127) {
		return a != 0;
	}
	return a >> n | ((a << (128 - n)) != 0);
}

/* Unpack an operand of arithmetic (@convert false) or of a conversion between formats. */
struct fp_num fp_unpack(struct fp_env *e, unsigned size, uint64_t bits, bool convert);
/* Bring bit 127 up.  frac must not be 0. */
void fp_normalise(struct fp_wide *w);
/* Round a non-zero normalised number into @size. */
uint64_t fp_pack(struct fp_env *e, unsigned size, const struct fp_wide *w, enum fp_round mode,
		 bool convert);
/* FPProcessNaN: @bits is a NaN of class @class. */
uint64_t fp_process_nan(struct fp_env *e, unsigned size, enum fp_class class, uint64_t bits);
/* FPProcessNaNs: true if one operand is a NaN, then *@out is the result. */
bool fp_process_nans(struct fp_env *e, unsigned size, enum fp_class class_a, enum fp_class class_b,
		     uint64_t a, uint64_t b, uint64_t *out);
/* The exact product of two numbers or zeros. */
struct fp_wide fp_product(const struct fp_num *a, const struct fp_num *b);
/* a + b, exact but for the sticky bit. */
struct fp_wide fp_sum(struct fp_wide a, struct fp_wide b);
/* FPConvertNaN with the quietening that FPConvert asks for. */
uint64_t fp_convert_nan(unsigned to, unsigned from, uint64_t a);

#endif
