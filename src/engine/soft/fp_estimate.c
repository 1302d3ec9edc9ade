/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp_estimate.c - FRECPE, FRSQRTE, FRECPX
 *
 * How it works: Arm defines the 8-bit estimates by integer formulas (DDI 0487, RecipEstimate, RecipSqrtEstimate); the rest
 * is special cases and exponents.
 * Threads: any.
 */
#include "engine/soft/fp_priv.h"

unsigned fp_recip_estimate(unsigned a)
{
	unsigned middle = a * 2 + 1; /* the middle of the interval that @a stands for */
	return ((1u << 19) / middle + 1) / 2;
}

unsigned fp_rsqrt_estimate(unsigned a)
{
	unsigned middle = a < 256 ? a * 2 + 1 : (a | 1) * 2;
	unsigned b = 512;
	while (middle * (b + 1) * (b + 1) < 1u << 28) {
		b++;
	}
	return (b + 1) / 2;
}

/* Biased exponent @exp (-1 or more) and an estimate of 256..511, which stands for 1.0 to 2.0. */
static uint64_t estimate_pack(unsigned size, bool sign, int exp, unsigned estimate)
{
	const struct fp_format *f = &fp_formats[size];
	uint64_t mant = (uint64_t)(estimate | 0x100) << (f->mant - 8);
	if (exp < 1) {
		mant >>= 1 - exp; /* subnormal: at most two bits, which are zeros of the estimate's tail */
		exp = 0;
	}
	mant &= (1ull << f->mant) - 1;
	return fp_zero(size, sign) | (uint64_t)exp << f->mant | mant;
}

static uint64_t recpe_overflow(struct fp_env *e, unsigned size, bool sign)
{
	enum fp_round mode = fp_rmode(e);
	e->sr |= FPSR_OFC | FPSR_IXC;
	bool to_inf = mode == FP_TIES_EVEN || mode == (sign ? FP_MINUS_INF : FP_PLUS_INF);
	return to_inf ? fp_infinity(size, sign) : fp_max_normal(size, sign);
}

uint64_t fp_recpe(struct fp_env *e, unsigned size, uint64_t a)
{
	const struct fp_format *f = &fp_formats[size];
	struct fp_num n = fp_unpack(e, size, a, false);
	if (fp_is_nan(n.class)) {
		return fp_process_nan(e, size, n.class, a);
	}
	if (n.class == FP_CLASS_INF) {
		return fp_zero(size, n.sign);
	}
	if (n.class == FP_CLASS_ZERO) {
		e->sr |= FPSR_DZC;
		return fp_infinity(size, n.sign);
	}
	if (n.exp < -f->bias - 1) {
		return recpe_overflow(e, size, n.sign);
	}
	if ((e->cr & (size == FP_H ? FPCR_FZ16 : FPCR_FZ)) && n.exp >= f->bias - 1) {
		e->sr |= FPSR_UFC;
		return fp_zero(size, n.sign);
	}
	unsigned estimate = fp_recip_estimate((unsigned)(n.frac >> 55));
	/* 1/(m * 2^exp) with m in [1, 2) is (estimate / 256) * 2^(-exp - 1). */
	return estimate_pack(size, n.sign, f->bias - n.exp - 1, estimate);
}

uint64_t fp_rsqrte(struct fp_env *e, unsigned size, uint64_t a)
{
	const struct fp_format *f = &fp_formats[size];
	struct fp_num n = fp_unpack(e, size, a, false);
	if (fp_is_nan(n.class)) {
		return fp_process_nan(e, size, n.class, a);
	}
	if (n.class == FP_CLASS_ZERO) {
		e->sr |= FPSR_DZC;
		return fp_infinity(size, n.sign);
	}
	if (n.sign) {
		return fp_invalid(e, size);
	}
	if (n.class == FP_CLASS_INF) {
		return 0;
	}
	/* Even exponents leave a mantissa in [1, 2), odd ones in [2, 4). */
	bool odd = n.exp & 1;
	unsigned scaled = odd ? (unsigned)(n.frac >> 55) : (unsigned)(n.frac >> 56);
	int half = (n.exp - odd) / 2;
	return estimate_pack(size, false, f->bias - half - 1, fp_rsqrt_estimate(scaled));
}

uint64_t fp_recpx(struct fp_env *e, unsigned size, uint64_t a)
{
	const struct fp_format *f = &fp_formats[size];
	struct fp_num n = fp_unpack(e, size, a, false);
	if (fp_is_nan(n.class)) {
		return fp_process_nan(e, size, n.class, a);
	}
	uint64_t exp = a >> f->mant & f->exp_mask;
	exp = exp ? ~exp & f->exp_mask : f->exp_mask - 1;
	return fp_zero(size, n.sign) | exp << f->mant;
}
