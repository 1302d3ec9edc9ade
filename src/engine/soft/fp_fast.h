/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp_fast.h - shortcuts through the host's FP unit for single and double precision
 *
 * How it works: with FPCR.RMode nearest, an operation of the host gives Arm's result if that result is a
 * normal number above the smallest (so no operand was a NaN or infinity that needs care, nothing overflowed and nothing was
 * tiny), or an exact zero.  FPCR.FZ changes nothing then but subnormal operands, which are looked for if it is set.  Only IXC is left: it is set already (the usual case), or the operation is shown to be exact.
 * Everything else goes to fp.h.  Names: fp_fast_OP_s, fp_fast_OP_d.
 * Invariants: compiled with -ffp-contract=off; the host's rounding mode and exception masks are the default ones.
 * Threads: pure apart from *@e.
 */
#ifndef ORIEL_ENGINE_SOFT_FP_FAST_H
#define ORIEL_ENGINE_SOFT_FP_FAST_H

#include "engine/soft/fp.h"

#include <math.h>
#include <string.h>

#define FP_FAST static inline __attribute__((always_inline))

FP_FAST float fp_to_float(uint64_t a)
{
	uint32_t bits = (uint32_t)a;
	float f;
	memcpy(&f, &bits, 4);
	return f;
}

FP_FAST uint64_t fp_of_float(float f)
{
	uint32_t bits;
	memcpy(&bits, &f, 4);
	return bits;
}

FP_FAST double fp_to_double(uint64_t a)
{
	double d;
	memcpy(&d, &a, 8);
	return d;
}

FP_FAST uint64_t fp_of_double(double d)
{
	uint64_t bits;
	memcpy(&bits, &d, 8);
	return bits;
}

/* Does FPCR.FZ leave @a as it is? */
FP_FAST bool fp_is_kept_s(uint64_t a)
{
	return (uint32_t)((a & 0x7fffffff) - 1) >= 0x007fffff;
}

FP_FAST bool fp_is_kept_d(uint64_t a)
{
	return (a & 0x7fffffffffffffff) - 1 >= 0x000fffffffffffff;
}

#define FP_FAST_MODE(z)                                                                            \
	FP_FAST bool fp_fast_keeps_##z(const struct fp_env *e, uint64_t a, uint64_t b)             \
	{                                                                                          \
		return __builtin_expect(!(e->cr & FPCR_FZ), 1) ||                                  \
		       (fp_is_kept_##z(a) && fp_is_kept_##z(b));                                   \
	}                                                                                          \
	FP_FAST bool fp_fast_mode_##z(const struct fp_env *e, uint64_t a, uint64_t b)              \
	{                                                                                          \
		return !(e->cr & FPCR_RMODE) && fp_fast_keeps_##z(e, a, b);                        \
	}
FP_FAST_MODE(s)
FP_FAST_MODE(d)

/* Normal and larger than the smallest normal number. */
FP_FAST bool fp_is_safe_s(uint64_t r)
{
	return (uint32_t)((r & 0x7fffffff) - 0x00800001) < 0x7f800000u - 0x00800001u;
}

FP_FAST bool fp_is_safe_d(uint64_t r)
{
	return (r & 0x7fffffffffffffff) - 0x0010000000000001 < 0x7ff0000000000000 - 0x0010000000000001;
}

/* So large that the rounding error of a product or quotient is itself a normal number. */
FP_FAST bool fp_has_error_d(uint64_t r)
{
	return (r >> 52 & 0x7ff) > 0x80;
}

FP_FAST bool fp_is_zero_s(uint64_t a)
{
	return (uint32_t)(a << 1) == 0;
}

FP_FAST bool fp_is_zero_d(uint64_t a)
{
	return a << 1 == 0;
}

/* Is r = a + b exact?  (The error term of a two-sum; the intermediate results cannot overflow.) */
#define FP_SUM_IS_EXACT(type, a, b, r)                                                             \
	({                                                                                         \
		type part_ = (r) - (a);                                                            \
		((a) - ((r) - part_)) + ((b)-part_) == 0;                                          \
	})

#define FP_FAST_SUM(name, z, type, convert, slow, sign)                                            \
	FP_FAST uint64_t fp_fast_##name##_##z(struct fp_env *e, uint64_t a, uint64_t b)            \
	{                                                                                          \
		type x = fp_to_##type(a), y = sign fp_to_##type(b), r = x + y;                     \
		uint64_t bits = fp_of_##type(r);                                                   \
		if (fp_fast_mode_##z(e, a, b) && (fp_is_safe_##z(bits) || r == 0) &&                         \
		    ((e->sr & FPSR_IXC) || FP_SUM_IS_EXACT(type, x, y, r))) {                      \
			return bits;                                                               \
		}                                                                                  \
		return slow(e, convert, a, b);                                                     \
	}
FP_FAST_SUM(add, s, float, FP_S, fp_add, +)
FP_FAST_SUM(add, d, double, FP_D, fp_add, +)
FP_FAST_SUM(sub, s, float, FP_S, fp_sub, -)
FP_FAST_SUM(sub, d, double, FP_D, fp_sub, -)

FP_FAST uint64_t fp_fast_mul_s(struct fp_env *e, uint64_t a, uint64_t b)
{
	float r = fp_to_float(a) * fp_to_float(b);
	uint64_t bits = fp_of_float(r);
	if (fp_fast_mode_s(e, a, b)) {
		if (fp_is_safe_s(bits) && ((e->sr & FPSR_IXC) ||
					   (double)fp_to_float(a) * (double)fp_to_float(b) == (double)r)) {
			return bits;
		}
		if (r == 0 && (fp_is_zero_s(a) || fp_is_zero_s(b))) {
			return bits;
		}
	}
	return fp_mul(e, FP_S, a, b);
}

FP_FAST uint64_t fp_fast_mul_d(struct fp_env *e, uint64_t a, uint64_t b)
{
	double r = fp_to_double(a) * fp_to_double(b);
	uint64_t bits = fp_of_double(r);
	if (fp_fast_mode_d(e, a, b)) {
		if (fp_is_safe_d(bits) &&
		    ((e->sr & FPSR_IXC) ||
		     (fp_has_error_d(bits) && fma(fp_to_double(a), fp_to_double(b), -r) == 0))) {
			return bits;
		}
		if (r == 0 && (fp_is_zero_d(a) || fp_is_zero_d(b))) {
			return bits;
		}
	}
	return fp_mul(e, FP_D, a, b);
}

FP_FAST uint64_t fp_fast_div_s(struct fp_env *e, uint64_t a, uint64_t b)
{
	float r = fp_to_float(a) / fp_to_float(b);
	uint64_t bits = fp_of_float(r);
	if (fp_fast_mode_s(e, a, b) && fp_is_safe_s(bits) &&
	    ((e->sr & FPSR_IXC) || (double)r * (double)fp_to_float(b) == (double)fp_to_float(a))) {
		return bits;
	}
	return fp_div(e, FP_S, a, b);
}

FP_FAST uint64_t fp_fast_div_d(struct fp_env *e, uint64_t a, uint64_t b)
{
	double r = fp_to_double(a) / fp_to_double(b);
	uint64_t bits = fp_of_double(r);
	if (fp_fast_mode_d(e, a, b) && fp_is_safe_d(bits) &&
	    ((e->sr & FPSR_IXC) ||
	     (fp_has_error_d(a) && fma(r, fp_to_double(b), -fp_to_double(a)) == 0))) {
		return bits;
	}
	return fp_div(e, FP_D, a, b);
}

FP_FAST uint64_t fp_fast_sqrt_s(struct fp_env *e, uint64_t a)
{
	float r = __builtin_sqrtf(fp_to_float(a));
	uint64_t bits = fp_of_float(r);
	if (fp_fast_mode_s(e, a, a) && fp_is_safe_s(bits) &&
	    ((e->sr & FPSR_IXC) || (double)r * (double)r == (double)fp_to_float(a))) {
		return bits;
	}
	return fp_sqrt(e, FP_S, a);
}

FP_FAST uint64_t fp_fast_sqrt_d(struct fp_env *e, uint64_t a)
{
	double r = __builtin_sqrt(fp_to_double(a));
	uint64_t bits = fp_of_double(r);
	if (fp_fast_mode_d(e, a, a) && fp_is_safe_d(bits) &&
	    ((e->sr & FPSR_IXC) || (fp_has_error_d(a) && fma(r, r, -fp_to_double(a)) == 0))) {
		return bits;
	}
	return fp_sqrt(e, FP_D, a);
}

FP_FAST uint64_t fp_fast_muladd_s(struct fp_env *e, uint64_t c, uint64_t a, uint64_t b)
{
	if (fp_fast_mode_s(e, a, b) && fp_fast_keeps_s(e, c, c) && (e->sr & FPSR_IXC)) {
		uint64_t bits = fp_of_float(fmaf(fp_to_float(a), fp_to_float(b), fp_to_float(c)));
		if (fp_is_safe_s(bits)) {
			return bits;
		}
	}
	return fp_muladd(e, FP_S, c, a, b);
}

FP_FAST uint64_t fp_fast_muladd_d(struct fp_env *e, uint64_t c, uint64_t a, uint64_t b)
{
	if (fp_fast_mode_d(e, a, b) && fp_fast_keeps_d(e, c, c) && (e->sr & FPSR_IXC)) {
		uint64_t bits = fp_of_double(fma(fp_to_double(a), fp_to_double(b), fp_to_double(c)));
		if (fp_is_safe_d(bits)) {
			return bits;
		}
	}
	return fp_muladd(e, FP_D, c, a, b);
}

/* Selections and comparisons without NaNs raise nothing and do not round; zeros of both signs are left to fp.h. */
#define FP_FAST_SELECT(name, z, type, format, op)                                                  \
	FP_FAST uint64_t fp_fast_##name##_##z(struct fp_env *e, uint64_t a, uint64_t b)            \
	{                                                                                          \
		type x = fp_to_##type(a), y = fp_to_##type(b);                                     \
		if (fp_fast_keeps_##z(e, a, b) && (x < y || x > y)) {                                      \
			return x op y ? a : b;                                                     \
		}                                                                                  \
		return fp_##name(e, format, a, b);                                                 \
	}
FP_FAST_SELECT(max, s, float, FP_S, >)
FP_FAST_SELECT(max, d, double, FP_D, >)
FP_FAST_SELECT(min, s, float, FP_S, <)
FP_FAST_SELECT(min, d, double, FP_D, <)
FP_FAST_SELECT(maxnm, s, float, FP_S, >)
FP_FAST_SELECT(maxnm, d, double, FP_D, >)
FP_FAST_SELECT(minnm, s, float, FP_S, <)
FP_FAST_SELECT(minnm, d, double, FP_D, <)

#define FP_FAST_PREDICATE(name, z, type, format, op)                                               \
	FP_FAST bool fp_fast_##name##_##z(struct fp_env *e, uint64_t a, uint64_t b)                \
	{                                                                                          \
		type x = fp_to_##type(a), y = fp_to_##type(b);                                     \
		if (fp_fast_keeps_##z(e, a, b) && x == x && y == y) {                                      \
			return x op y;                                                             \
		}                                                                                  \
		return fp_##name(e, format, a, b);                                                 \
	}
FP_FAST_PREDICATE(eq, s, float, FP_S, ==)
FP_FAST_PREDICATE(eq, d, double, FP_D, ==)
FP_FAST_PREDICATE(ge, s, float, FP_S, >=)
FP_FAST_PREDICATE(ge, d, double, FP_D, >=)
FP_FAST_PREDICATE(gt, s, float, FP_S, >)
FP_FAST_PREDICATE(gt, d, double, FP_D, >)

#define FP_FAST_COMPARE(z, type, format)                                                           \
	FP_FAST uint32_t fp_fast_compare_##z(struct fp_env *e, uint64_t a, uint64_t b, bool sig)   \
	{                                                                                          \
		type x = fp_to_##type(a), y = fp_to_##type(b);                                     \
		if (fp_fast_keeps_##z(e, a, b) && x == x && y == y) {                                      \
			return x < y ? 8u << 28 : x == y ? 6u << 28 : 2u << 28;                    \
		}                                                                                  \
		return fp_compare(e, format, a, b, sig);                                           \
	}
FP_FAST_COMPARE(s, float, FP_S)
FP_FAST_COMPARE(d, double, FP_D)

/* Widening is exact; narrowing as any other operation. */
FP_FAST uint64_t fp_fast_s_to_d(struct fp_env *e, uint64_t a)
{
	if (fp_is_safe_s(a) || fp_is_zero_s(a)) {
		return fp_of_double((double)fp_to_float(a));
	}
	return fp_convert(e, FP_D, FP_S, a, fp_rmode(e));
}

FP_FAST uint64_t fp_fast_d_to_s(struct fp_env *e, uint64_t a)
{
	float r = (float)fp_to_double(a);
	uint64_t bits = fp_of_float(r);
	if (fp_fast_mode_d(e, a, a) && fp_is_safe_s(bits) &&
	    ((e->sr & FPSR_IXC) || (double)r == fp_to_double(a))) {
		return bits;
	}
	return fp_convert(e, FP_S, FP_D, a, fp_rmode(e));
}

/* FCVTZS from double, to 32 or 64 bits. */
FP_FAST uint64_t fp_fast_d_to_int(struct fp_env *e, uint64_t a, unsigned bits)
{
	double d = fp_to_double(a), limit = bits == 64 ? 0x1p62 : 0x1p31;
	if (fp_fast_keeps_d(e, a, a) && d < limit && d > -limit) {
		int64_t whole = (int64_t)d;
		if ((e->sr & FPSR_IXC) || (double)whole == d) {
			return bits == 64 ? (uint64_t)whole : (uint32_t)whole;
		}
	}
	return fp_to_int(e, FP_D, a, bits, 0, false, FP_TO_ZERO);
}

/* SCVTF to double. */
FP_FAST uint64_t fp_fast_d_from_int(struct fp_env *e, int64_t value)
{
	if (value == (int32_t)value || (!(e->cr & FPCR_RMODE) && (e->sr & FPSR_IXC))) {
		return fp_of_double((double)value);
	}
	return fp_from_int(e, FP_D, (uint64_t)value, 0, false, fp_rmode(e));
}

/* Half precision has no shortcut; names for macros over sizes. */
#define FP_NO_FAST(name)                                                                           \
	FP_FAST uint64_t fp_fast_##name##_h(struct fp_env *e, uint64_t a, uint64_t b)              \
	{                                                                                          \
		return fp_##name(e, FP_H, a, b);                                                   \
	}
FP_NO_FAST(add)
FP_NO_FAST(sub)
FP_NO_FAST(mul)
FP_NO_FAST(div)
FP_NO_FAST(max)
FP_NO_FAST(min)
FP_NO_FAST(maxnm)
FP_NO_FAST(minnm)
FP_NO_FAST(eq)
FP_NO_FAST(ge)
FP_NO_FAST(gt)

FP_FAST uint64_t fp_fast_muladd_h(struct fp_env *e, uint64_t c, uint64_t a, uint64_t b)
{
	return fp_muladd(e, FP_H, c, a, b);
}

FP_FAST uint64_t fp_fast_sqrt_h(struct fp_env *e, uint64_t a)
{
	return fp_sqrt(e, FP_H, a);
}

FP_FAST uint32_t fp_fast_compare_h(struct fp_env *e, uint64_t a, uint64_t b, bool signalling)
{
	return fp_compare(e, FP_H, a, b, signalling);
}

#endif
