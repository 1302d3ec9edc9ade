/* SPDX-License-Identifier: Apache-2.0 */
/* test_fp.c - Arm floating point: against the host where IEEE 754 leaves no choice, against the Arm ARM where it does */
#include "engine/soft/fp_fast.h"
#include "unit.h"

#include <fenv.h>
#include <math.h>

enum { ROUNDS = 20000 };
enum { FROM_HOST = FPSR_IOC | FPSR_DZC | FPSR_OFC | FPSR_IXC };

static uint64_t next_random(uint64_t *state)
{
	uint64_t v = *state += 0x9e3779b97f4a7c15;
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
	v = (v ^ v >> 27) * 0x94d049bb133111eb;
	return v ^ v >> 31;
}

/* Doubles and singles whose exponents meet: random bits, values around 1, the ends of the range, specials. */
static uint64_t random_double(uint64_t *state)
{
	static const uint64_t special[] = {0, 1ull << 63, 1, 0x000fffffffffffff, 0x0010000000000000,
					   0x3ff0000000000000, 0x7fefffffffffffff, 0x7ff0000000000000};
	uint64_t v = next_random(state);
	switch (v & 3) {
	case 0: return next_random(state);
	case 1: return (next_random(state) & 0x803fffffffffffff) | 0x3fc0000000000000;
	case 2: return next_random(state) & (v & 4 ? 0x801fffffffffffff : 0xffffffff00000000);
	default: return special[v >> 2 & 7] | (v & 0x8000000000000000);
	}
}

static uint64_t random_single(uint64_t *state)
{
	static const uint32_t special[] = {0, 1, 0x007fffff, 0x00800000, 0x3f800000, 0x7f7fffff, 0x7f800000, 3};
	uint64_t v = next_random(state);
	switch (v & 3) {
	case 0: return v >> 32;
	case 1: return (v >> 32 & 0x83ffffff) | 0x3c000000;
	case 2: return v >> 32 & 0x81ffffff;
	default: return special[v >> 2 & 7] | (v >> 32 & 0x80000000);
	}
}

static const int host_modes[4] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

static uint32_t host_flags(void)
{
	int f = fetestexcept(FE_ALL_EXCEPT);
	return (f & FE_INVALID ? FPSR_IOC : 0) | (f & FE_DIVBYZERO ? FPSR_DZC : 0) |
	       (f & FE_OVERFLOW ? FPSR_OFC : 0) | (f & FE_INEXACT ? FPSR_IXC : 0);
}

static uint64_t host_double(unsigned op, double a, double b, double c)
{
	switch (op) {
	case 0: return fp_of_double(a + b);
	case 1: return fp_of_double(a - b);
	case 2: return fp_of_double(a * b);
	case 3: return fp_of_double(a / b);
	case 4: return fp_of_double(sqrt(a));
	case 5: return fp_of_float((float)a);
	default: return fp_of_double(fma(a, b, c));
	}
}

static uint64_t our_double(struct fp_env *e, unsigned op, uint64_t a, uint64_t b, uint64_t c)
{
	switch (op) {
	case 0: return fp_add(e, FP_D, a, b);
	case 1: return fp_sub(e, FP_D, a, b);
	case 2: return fp_mul(e, FP_D, a, b);
	case 3: return fp_div(e, FP_D, a, b);
	case 4: return fp_sqrt(e, FP_D, a);
	case 5: return fp_convert(e, FP_S, FP_D, a, fp_rmode(e));
	default: return fp_muladd(e, FP_D, c, a, b);
	}
}

/* Volatile, so that nothing is computed before the mode is set. */
static void check_double(unsigned op, unsigned mode, uint64_t a, uint64_t b, uint64_t c)
{
	volatile double x = fp_to_double(a), y = fp_to_double(b), z = fp_to_double(c);
	struct fp_env e = {mode << FPCR_RMODE_SHIFT, 0};
	fesetround(host_modes[mode]);
	feclearexcept(FE_ALL_EXCEPT);
	volatile uint64_t want = host_double(op, x, y, z);
	uint32_t flags = host_flags();
	fesetround(FE_TONEAREST);
	uint64_t got = our_double(&e, op, a, b, c);
	if (got != want || (e.sr & FROM_HOST) != flags) {
		fail_msg("op %u mode %u: %llx %llx %llx gave %llx, %x; want %llx, %x", op, mode,
			 (unsigned long long)a, (unsigned long long)b, (unsigned long long)c,
			 (unsigned long long)got, e.sr & FROM_HOST, (unsigned long long)want, flags);
	}
}

static void double_arithmetic_agrees_with_the_host(void **state)
{
	uint64_t seed = 1;
	for (unsigned n = 0; n < ROUNDS; n++) {
		uint64_t a = random_double(&seed), b = random_double(&seed), c = random_double(&seed);
		if (isnan(fp_to_double(a)) || isnan(fp_to_double(b)) || isnan(fp_to_double(c))) {
			continue;
		}
		for (unsigned op = 0; op < 7; op++) {
			struct fp_env e = {0};
			if (!isnan(fp_to_double(our_double(&e, op, a, b, c)))) {
				check_double(op, n & 3, a, b, c);
			}
		}
	}
}

/* Products, sums and quotients of halves: double precision is wide enough to round only once more. */
static void half_arithmetic_rounds_the_exact_value(void **state)
{
	uint64_t seed = 2;
	for (unsigned n = 0; n < ROUNDS; n++) {
		uint64_t a = next_random(&seed) & 0x83ff, b = next_random(&seed) & 0xffff;
		a |= next_random(&seed) & 0x7c00;
		if ((a & 0x7c00) == 0x7c00 || (b & 0x7c00) == 0x7c00) {
			continue;
		}
		struct fp_env e = {(n & 3) << FPCR_RMODE_SHIFT, 0}, exact = {0}, want = e;
		double x = fp_to_double(fp_convert(&exact, FP_D, FP_H, a, FP_TIES_EVEN));
		double y = fp_to_double(fp_convert(&exact, FP_D, FP_H, b, FP_TIES_EVEN));
		assert_int_equal(exact.sr, 0);
		assert_int_equal(fp_mul(&e, FP_H, a, b),
				 fp_convert(&want, FP_H, FP_D, fp_of_double(x * y), fp_rmode(&e)));
		if (x + y != 0) {
			assert_int_equal(fp_add(&e, FP_H, a, b),
					 fp_convert(&want, FP_H, FP_D, fp_of_double(x + y), fp_rmode(&e)));
		}
		assert_int_equal(e.sr, want.sr);
	}
}

static void every_half_survives_a_trip_through_single(void **state)
{
	for (uint32_t a = 0; a < 0x10000; a++) {
		struct fp_env e = {0};
		uint64_t wide = fp_convert(&e, FP_S, FP_H, a, FP_TIES_EVEN);
		bool signalling = (a & 0x7e00) == 0x7c00 && (a & 0x1ff);
		uint64_t back = fp_convert(&e, FP_H, FP_S, wide, FP_TIES_EVEN);
		assert_int_equal(back, signalling ? a | 0x200 : a);
		assert_int_equal(e.sr, signalling ? FPSR_IOC : 0);
	}
}

#define SAME(z, name, format)                                                                      \
	do {                                                                                       \
		struct fp_env quick = start, exact = start;                                          \
		assert_int_equal(fp_fast_##name##_##z(&quick, a, b), fp_##name(&exact, format, a, b)); \
		assert_int_equal(quick.sr, exact.sr);                                                \
	} while (0)
#define SAME_ALL(z, format)                                                                        \
	SAME(z, add, format);                                                                      \
	SAME(z, sub, format);                                                                      \
	SAME(z, mul, format);                                                                      \
	SAME(z, div, format);                                                                      \
	SAME(z, max, format);                                                                      \
	SAME(z, min, format);                                                                      \
	SAME(z, maxnm, format);                                                                    \
	SAME(z, minnm, format);                                                                    \
	SAME(z, eq, format);                                                                       \
	SAME(z, ge, format);                                                                       \
	SAME(z, gt, format);                                                                       \
	do {                                                                                       \
		struct fp_env quick = start, exact = start;                                          \
		assert_int_equal(fp_fast_muladd_##z(&quick, c, a, b), fp_muladd(&exact, format, c, a, b)); \
		assert_int_equal(fp_fast_sqrt_##z(&quick, a), fp_sqrt(&exact, format, a));           \
		assert_int_equal(fp_fast_compare_##z(&quick, a, b, true),                           \
				 fp_compare(&exact, format, a, b, true));                           \
		assert_int_equal(quick.sr, exact.sr);                                                \
	} while (0)

static void shortcuts_change_nothing(void **state)
{
	static const uint32_t modes[] = {0, 0, FPCR_FZ, FPCR_DN, 1 << FPCR_RMODE_SHIFT, 3 << FPCR_RMODE_SHIFT};
	uint64_t seed = 3;
	for (unsigned n = 0; n < ROUNDS; n++) {
		struct fp_env start = {modes[n % 6], n & 1 ? FPSR_IXC : 0};
		uint64_t a = random_double(&seed), b = random_double(&seed), c = random_double(&seed);
		SAME_ALL(d, FP_D);
		struct fp_env fast = start, slow = start;
		assert_int_equal(fp_fast_d_to_s(&fast, a), fp_convert(&slow, FP_S, FP_D, a, fp_rmode(&slow)));
		assert_int_equal(fp_fast_d_to_int(&fast, a, 32),
				 fp_to_int(&slow, FP_D, a, 32, 0, false, FP_TO_ZERO));
		assert_int_equal(fp_fast_d_to_int(&fast, a, 64),
				 fp_to_int(&slow, FP_D, a, 64, 0, false, FP_TO_ZERO));
		assert_int_equal(fp_fast_d_from_int(&fast, (int64_t)a),
				 fp_from_int(&slow, FP_D, a, 0, false, fp_rmode(&slow)));
		assert_int_equal(fast.sr, slow.sr);
		a = random_single(&seed), b = random_single(&seed), c = random_single(&seed);
		SAME_ALL(s, FP_S);
		assert_int_equal(fp_fast_s_to_d(&fast, a), fp_convert(&slow, FP_D, FP_S, a, fp_rmode(&slow)));
		assert_int_equal(fast.sr, slow.sr);
	}
}

/* FPProcessNaNs: signalling first, then the first operand; DN replaces all. */
static void nans_propagate_in_arms_order(void **state)
{
	enum { QUIET1 = 0x7fc00001, QUIET2 = 0xffc00002, SIGNAL = 0x7f800003, ONE = 0x3f800000 };
	struct fp_env e = {0};
	assert_int_equal(fp_add(&e, FP_S, QUIET1, QUIET2), QUIET1);
	assert_int_equal(fp_add(&e, FP_S, ONE, QUIET2), QUIET2);
	assert_int_equal(e.sr, 0);
	assert_int_equal(fp_add(&e, FP_S, QUIET1, SIGNAL), SIGNAL | 0x400000);
	assert_int_equal(e.sr, FPSR_IOC);
	assert_int_equal(fp_muladd(&e, FP_S, QUIET2, QUIET1, ONE), QUIET2);
	assert_int_equal(fp_muladd(&e, FP_S, QUIET2, 0, 0x7f800000), 0x7fc00000);
	e.cr = FPCR_DN;
	assert_int_equal(fp_add(&e, FP_S, QUIET2, ONE), 0x7fc00000);
	assert_int_equal(fp_neg(FP_S, QUIET1), 0xffc00001);
}

static void number_wins_against_quiet_nan_in_maxnm(void **state)
{
	struct fp_env e = {0};
	assert_int_equal(fp_maxnm(&e, FP_S, 0x7fc00000, 0xbf800000), 0xbf800000);
	assert_int_equal(fp_minnm(&e, FP_S, 0x3f800000, 0x7fc00000), 0x3f800000);
	assert_int_equal(e.sr, 0);
	assert_int_equal(fp_max(&e, FP_S, 0x7fc00000, 0xbf800000), 0x7fc00000);
	assert_int_equal(fp_max(&e, FP_S, 0x80000000, 0), 0);
	assert_int_equal(fp_min(&e, FP_S, 0, 0x80000000), 0x80000000);
	assert_int_equal(e.sr, 0);
}

/* Tiny is judged before rounding, and flushing sets only UFC (output) or IDC (input, but not for half). */
static void flags_follow_arms_rules(void **state)
{
	struct fp_env e = {0};
	/* The largest value below the smallest normal rounds up to it. */
	assert_int_equal(fp_mul(&e, FP_S, 0x00ffffff, 0x3f000000), 0x00800000);
	assert_int_equal(e.sr, FPSR_UFC | FPSR_IXC);
	e = (struct fp_env){FPCR_FZ, 0};
	assert_int_equal(fp_mul(&e, FP_S, 0x00ffffff, 0xbf000000), 0x80000000);
	assert_int_equal(e.sr, FPSR_UFC);
	e.sr = 0;
	assert_int_equal(fp_add(&e, FP_S, 0x00400000, 0x80000000), 0);
	assert_int_equal(e.sr, FPSR_IDC);
	e = (struct fp_env){FPCR_FZ16, 0};
	assert_int_equal(fp_add(&e, FP_H, 0x0200, 0x0000), 0);
	assert_int_equal(e.sr, 0);
	assert_int_equal(fp_convert(&e, FP_S, FP_H, 0x0200, FP_TIES_EVEN), 0x38000000); /* FZ16 is not for this */
	assert_int_equal(fp_div(&e, FP_D, 0x3ff0000000000000, 0), 0x7ff0000000000000);
	assert_int_equal(e.sr, FPSR_DZC);
}

static void alternative_half_has_no_infinities(void **state)
{
	struct fp_env e = {FPCR_AHP, 0};
	assert_int_equal(fp_convert(&e, FP_S, FP_H, 0x7c00, FP_TIES_EVEN), 0x47800000);
	assert_int_equal(e.sr, 0);
	assert_int_equal(fp_convert(&e, FP_H, FP_S, 0xff800000, FP_TIES_EVEN), 0xffff);
	assert_int_equal(fp_convert(&e, FP_H, FP_S, 0x7fc00000, FP_TIES_EVEN), 0);
	assert_int_equal(e.sr, FPSR_IOC);
}

static void conversions_to_integers_saturate(void **state)
{
	struct fp_env e = {0};
	assert_int_equal(fp_to_int(&e, FP_S, 0x4f000000, 32, 0, false, FP_TO_ZERO), 0x7fffffff);
	assert_int_equal(e.sr, FPSR_IOC);
	assert_int_equal(fp_to_int(&e, FP_S, 0xbf800000, 32, 0, true, FP_TO_ZERO), 0);
	assert_int_equal(fp_to_int(&e, FP_D, 0xc3e0000000000000, 64, 0, false, FP_TO_ZERO), 1ull << 63);
	e.sr = 0;
	assert_int_equal(fp_to_int(&e, FP_S, 0x40200000, 32, 0, false, FP_TIES_EVEN), 2);
	assert_int_equal(fp_to_int(&e, FP_S, 0x40200000, 32, 0, false, FP_TIES_AWAY), 3);
	assert_int_equal(fp_to_int(&e, FP_S, 0xbf000000, 32, 0, true, FP_TO_ZERO), 0);
	assert_int_equal(e.sr, FPSR_IXC);
	e.sr = 0;
	assert_int_equal(fp_to_int(&e, FP_S, 0x3e800000, 32, 2, false, FP_TO_ZERO), 1);
	assert_int_equal(fp_from_int(&e, FP_S, 3, 1, false, FP_TIES_EVEN), 0x3fc00000);
	assert_int_equal(e.sr, 0);
	assert_int_equal(fp_to_int_js(&e, fp_of_double(4294967301.0)), 5);
	assert_int_equal(e.sr, FPSR_IOC);
	assert_int_equal(fp_to_int_js(&e, fp_of_double(-7)), FP_JS_EXACT | 0xfffffff9);
	assert_int_equal(fp_to_int_js(&e, fp_of_double(-0.0)), 0);
}

static void estimates_are_arms(void **state)
{
	struct fp_env e = {0};
	assert_int_equal(fp_recpe(&e, FP_S, 0x3f800000), 0x3f7f8000);
	assert_int_equal(fp_rsqrte(&e, FP_S, 0x3f800000), 0x3f7f8000);
	assert_int_equal(fp_recpe(&e, FP_D, 0x4000000000000000), 0x3fdff00000000000);
	assert_int_equal(e.sr, 0);
	assert_int_equal(fp_rsqrte(&e, FP_S, 0x80000000), 0xff800000);
	assert_int_equal(e.sr, FPSR_DZC);
	assert_int_equal(fp_recps(&e, FP_S, 0, 0x7f800000), 0x40000000);
	assert_int_equal(fp_rsqrts(&e, FP_S, 0, 0x7f800000), 0x3fc00000);
	assert_int_equal(fp_mulx(&e, FP_S, 0x80000000, 0x7f800000), 0xc0000000);
}

static void rounding_to_odd_keeps_the_sticky_bit(void **state)
{
	struct fp_env e = {0};
	assert_int_equal(fp_convert(&e, FP_S, FP_D, 0x3ff0000000000001, FP_TO_ODD), 0x3f800001);
	assert_int_equal(fp_convert(&e, FP_S, FP_D, 0x7fefffffffffffff, FP_TO_ODD), 0x7f7fffff);
	assert_int_equal(e.sr, FPSR_IXC | FPSR_OFC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(double_arithmetic_agrees_with_the_host),
		cmocka_unit_test(half_arithmetic_rounds_the_exact_value),
		cmocka_unit_test(every_half_survives_a_trip_through_single),
		cmocka_unit_test(shortcuts_change_nothing),
		cmocka_unit_test(nans_propagate_in_arms_order),
		cmocka_unit_test(number_wins_against_quiet_nan_in_maxnm),
		cmocka_unit_test(flags_follow_arms_rules),
		cmocka_unit_test(alternative_half_has_no_infinities),
		cmocka_unit_test(conversions_to_integers_saturate),
		cmocka_unit_test(estimates_are_arms),
		cmocka_unit_test(rounding_to_odd_keeps_the_sticky_bit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
