/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp_convert.c - between FP formats, integers and fixed point
 *
 * How it works: towards integers a number becomes 64.64 fixed point with a sticky lowest bit, which decides every rounding mode.
 * Threads: any.
 */
#include "engine/soft/fp_priv.h"

uint64_t fp_convert(struct fp_env *e, unsigned to, unsigned from, uint64_t a, enum fp_round mode)
{
	struct fp_num n = fp_unpack(e, from, a, true);
	bool alternative = to == FP_H && (e->cr & FPCR_AHP);
	if (fp_is_nan(n.class)) {
		e->sr |= n.class == FP_CLASS_SNAN || alternative ? FPSR_IOC : 0;
		if (alternative) {
			return fp_zero(to, n.sign);
		}
		return e->cr & FPCR_DN ? fp_default_nan(to) : fp_convert_nan(to, from, a);
	}
	if (n.class == FP_CLASS_INF) {
		e->sr |= alternative ? FPSR_IOC : 0;
		return alternative ? fp_zero(to, n.sign) | 0x7fff : fp_infinity(to, n.sign);
	}
	if (n.class == FP_CLASS_ZERO) {
		return fp_zero(to, n.sign);
	}
	struct fp_wide w = {n.sign, n.exp, (fp_u128)n.frac << 64};
	return fp_pack(e, to, &w, mode, true);
}

/* |n| * 2^scale rounded to an integer; 2^64 or more comes back as 2^65.  *@inexact: something was rounded away. */
static fp_u128 fp_to_magnitude(const struct fp_num *n, int scale, enum fp_round mode, bool *inexact)
{
	int exp = n->exp + scale;
	*inexact = false;
	if (n->class == FP_CLASS_ZERO) {
		return 0;
	}
	if (n->class == FP_CLASS_INF || exp > 63) {
		return (fp_u128)1 << 65;
	}
	fp_u128 fixed = (fp_u128)n->frac << 1;
	fixed = exp >= 0 ? fixed << exp : fp_shift_jam(fixed, -exp);
	uint64_t rest = (uint64_t)fixed, half = 1ull << 63;
	fp_u128 whole = fixed >> 64;
	*inexact = rest != 0;
	switch (mode) {
	case FP_TIES_EVEN: return whole + (rest > half || (rest == half && (whole & 1)));
	case FP_TIES_AWAY: return whole + (rest >= half);
	case FP_PLUS_INF: return whole + (rest && !n->sign);
	case FP_MINUS_INF: return whole + (rest && n->sign);
	case FP_TO_ODD: return whole | (rest != 0);
	case FP_TO_ZERO: break;
	}
	return whole;
}

uint64_t fp_round_int(struct fp_env *e, unsigned size, uint64_t a, enum fp_round mode, bool exact)
{
	struct fp_num n = fp_unpack(e, size, a, false);
	if (fp_is_nan(n.class)) {
		return fp_process_nan(e, size, n.class, a);
	}
	if (n.class == FP_CLASS_ZERO) {
		return fp_zero(size, n.sign);
	}
	if (n.class == FP_CLASS_INF || n.exp >= fp_formats[size].mant) {
		return a;
	}
	bool inexact;
	fp_u128 whole = fp_to_magnitude(&n, 0, mode, &inexact);
	e->sr |= inexact && exact ? FPSR_IXC : 0;
	if (!whole) {
		return fp_zero(size, n.sign);
	}
	struct fp_wide w = {n.sign, 127, whole};
	fp_normalise(&w);
	return fp_pack(e, size, &w, FP_TO_ZERO, false);
}

uint64_t fp_to_int(struct fp_env *e, unsigned size, uint64_t a, unsigned bits, unsigned fbits,
		   bool is_unsigned, enum fp_round mode)
{
	struct fp_num n = fp_unpack(e, size, a, false);
	if (fp_is_nan(n.class)) {
		e->sr |= FPSR_IOC;
		return 0;
	}
	bool inexact;
	fp_u128 whole = fp_to_magnitude(&n, (int)fbits, mode, &inexact);
	fp_u128 limit = is_unsigned ? n.sign ? 0 : ((fp_u128)1 << bits) - 1
				    : ((fp_u128)1 << (bits - 1)) - !n.sign;
	if (whole > limit) {
		whole = limit;
		e->sr |= FPSR_IOC;
	} else if (inexact) {
		e->sr |= FPSR_IXC;
	}
	uint64_t value = n.sign ? -(uint64_t)whole : (uint64_t)whole;
	return value & (~0ull >> (64 - bits));
}

uint64_t fp_from_int(struct fp_env *e, unsigned size, uint64_t value, unsigned fbits, bool is_unsigned,
		     enum fp_round mode)
{
	if (!value) {
		return 0;
	}
	bool sign = !is_unsigned && value >> 63;
	struct fp_wide w = {sign, 63 - (int)fbits, (fp_u128)(sign ? -value : value) << 64};
	fp_normalise(&w);
	return fp_pack(e, size, &w, mode, false);
}

uint64_t fp_to_int_js(struct fp_env *e, uint64_t a)
{
	struct fp_num n = fp_unpack(e, FP_D, a, false);
	if (fp_is_nan(n.class) || n.class == FP_CLASS_INF) {
		e->sr |= FPSR_IOC;
		return 0;
	}
	if (n.exp > 63) {
		e->sr |= FPSR_IOC;
		uint32_t low = n.exp < 95 ? (uint32_t)(n.frac << (n.exp - 63)) : 0;
		return n.sign ? -low : low;
	}
	bool inexact;
	uint64_t whole = (uint64_t)fp_to_magnitude(&n, 0, FP_TO_ZERO, &inexact), exact = 0;
	if (whole > (n.sign ? 1ull << 31 : (1ull << 31) - 1)) {
		e->sr |= FPSR_IOC;
	} else if (inexact) {
		e->sr |= FPSR_IXC;
	} else if (n.class == FP_CLASS_NUMBER || a == 0) { /* neither -0 nor a flushed subnormal */
		exact = FP_JS_EXACT;
	}
	return (uint32_t)(n.sign ? -whole : whole) | exact;
}

uint64_t fp_round_to_width(struct fp_env *e, unsigned size, uint64_t a, unsigned bits, enum fp_round mode)
{
	struct fp_num n = fp_unpack(e, size, a, false);
	uint64_t lowest = (uint64_t)(fp_formats[size].bias + (int)bits - 1) << fp_formats[size].mant |
			  fp_sign_bit(size);
	if (n.class == FP_CLASS_ZERO) {
		return fp_zero(size, n.sign);
	}
	if (n.class != FP_CLASS_NUMBER) {
		e->sr |= FPSR_IOC;
		return lowest;
	}
	bool inexact;
	fp_u128 whole = fp_to_magnitude(&n, 0, mode, &inexact);
	if (whole > ((fp_u128)1 << (bits - 1)) - !n.sign) {
		e->sr |= FPSR_IOC;
		return lowest;
	}
	e->sr |= inexact ? FPSR_IXC : 0;
	if (!whole) {
		return fp_zero(size, n.sign);
	}
	struct fp_wide w = {n.sign, 127, whole};
	fp_normalise(&w);
	return fp_pack(e, size, &w, FP_TO_ZERO, false);
}
