/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfpconv.c - translate conversions between FP formats and integers that stay in V registers
 *
 * How it works: as fpconv.c.  What SSE does not have for vectors is done by AVX-512, or lane by
 * lane. Threads: the vCPU thread.
 */
#include "engine/soft/jit/fp.h"

static bool is_unsigned(const struct jit_block *t)
{
	return t->raw >> 29 & 1;
}

/* The rows with bits behind the point. */
static bool is_fixed(const struct jit_block *t)
{
	return t->raw >> 10 & 1;
}

static int fixed_bits(const struct jit_block *t)
{
	return fp_is_double(t) ? 64 - (int)A64_sh6(t->raw) : 32 - (int)A64_sh5(t->raw);
}

static bool has_avx512(const struct jit_block *t)
{
	return t->jit->host & JIT_HOST_AVX512;
}

static void scalar_from_integer(struct jit_block *t)
{
	unsigned n = jit_vread(t, A64_Rn(t->raw), fp_is_double(t) ? 8 : 4);
	x86_v(&t->x, fp_is_double(t) ? V_MOVQ_OUT : V_MOVD_OUT, n, 0, RDX);
	jit_fp_from_register(t, T0, fp_is_double(t), is_unsigned(t));
}

/* Single precision: the upper half of the digits is exact, and so is the lower one; their sum
 * rounds once. */
static void from_unsigned_words(struct jit_block *t, unsigned n)
{
	struct x86 *x = &t->x;
	x86_vshift(x, V_PSRLD, T1, n, 16);
	x86_vm(x, V_PAND, T0, n, JIT_CONSTANT(t, low_s));
	x86_v(x, V_CVTDQ2PS, T1, 0, T1);
	x86_v(x, V_CVTDQ2PS, T0, 0, T0);
	x86_vm(x, V_MULPS, T1, T1, JIT_CONSTANT(t, float_65536));
	x86_v(x, V_ADDPS, T0, T0, T1);
}

/* Two doubles, one by one. */
static void from_two(struct jit_block *t, unsigned n)
{
	struct x86 *x = &t->x;
	x86_v(x, V_MOVQ_OUT, n, 0, RDX);
	jit_fp_from_register(t, T2, true, is_unsigned(t));
	x86_vrr_imm(x, V_PEXTRQ, n, 0, RDX, 1);
	jit_fp_from_register(t, T0, true, is_unsigned(t));
	x86_v(x, V_PUNPCKLQDQ, T0, T2, T0);
}

static void vector_from_integer(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned n = simd_rn(t);
	if (fp_is_double(t) && has_avx512(t)) {
		x86_v(x, is_unsigned(t) ? E_CVTUQQ2PD : E_CVTQQ2PD, T0, 0, n);
	} else if (fp_is_double(t)) {
		from_two(t, n);
	} else if (!is_unsigned(t)) {
		x86_v(x, V_CVTDQ2PS, T0, 0, n);
	} else if (has_avx512(t)) {
		x86_v(x, E_CVTUDQ2PS, T0, 0, n);
	} else {
		from_unsigned_words(t, n);
	}
}

/* SCVTF, UCVTF. */
void jit_simd_from_integer(struct jit_block *t)
{
	jit_fp_enter(t);
	jit_fp_need(t, JIT_FP_INEXACT);
	jit_flags_clobber(t);
	if (fp_is_scalar(t)) {
		scalar_from_integer(t);
	} else {
		vector_from_integer(t);
	}
	if (is_fixed(t)) {
		jit_fp_scale(t, T0, T1, -fixed_bits(t));
	}
	bool single = fp_is_scalar(t) && !fp_is_double(t);
	x86_v(&t->x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), single ? 4 : simd_bytes(t)), 0, T0);
}

/* Two doubles, one by one. */
static void truncate_two(struct jit_block *t, unsigned n)
{
	struct x86 *x = &t->x;
	jit_fp_truncate(t, n, true, is_unsigned(t));
	x86_v(x, V_MOVQ_IN, T2, 0, RDX);
	x86_vrr_imm(x, V_PSHUFD, T0, 0, n, 0xee);
	jit_fp_truncate(t, T0, true, is_unsigned(t));
	x86_vrr_imm(x, V_PINSRQ, T0, T2, RDX, 1);
}

/* T0 = @n truncated to unsigned; what has too many digits, as all negative numbers, becomes the
 * highest one. */
static void truncate_avx512(struct jit_block *t, unsigned n)
{
	struct x86 *x = &t->x;
	x86_v(x, fp_is_double(t) ? E_CVTTPD2UQQ : E_CVTTPS2UDQ, T0, 0, n);
	simd_ones(t, T1);
	x86_v(x, fp_is_double(t) ? V_PCMPEQQ : V_PCMPEQD, T1, T1, T0);
	jit_fp_check_signs(t, fp_is_double(t));
}

static void truncate_vector(struct jit_block *t, unsigned n)
{
	struct x86 *x = &t->x;
	if (is_unsigned(t) && has_avx512(t)) {
		truncate_avx512(t, n);
	} else if (fp_is_double(t) && has_avx512(t)) {
		x86_v(x, E_CVTTPD2QQ, T0, 0, n);
		x86_vm(x, V_PCMPEQQ, T1, T0, JIT_CONSTANT(t, sign_d));
		jit_fp_check_signs(t, true);
	} else if (fp_is_double(t)) {
		truncate_two(t, n);
	} else {
		x86_v(x, V_CVTTPS2DQ, T0, 0, n);
		if (is_unsigned(t)) { /* up to 2^31 */
			x86_v(x, V_MOVDQA, T1, 0, T0);
		} else {
			x86_vm(x, V_PCMPEQD, T1, T0, JIT_CONSTANT(t, sign_s));
		}
		jit_fp_check_signs(t, false);
	}
}

/* @n, or T0 if it has to be scaled or rounded before it is truncated. */
static unsigned prepare(struct jit_block *t, unsigned n)
{
	if (is_fixed(t)) {
		jit_fp_scale(t, n, T1, fixed_bits(t));
		return T0;
	}
	return jit_fp_to_truncate(t, n, fp_rounding_to_integer(t));
}

/* FCVTNS, FCVTMS, FCVTPS, FCVTZS, FCVTAS and the unsigned ones. */
void jit_simd_to_integer(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool wide = fp_is_double(t);
	jit_fp_enter(t);
	jit_fp_need(t, JIT_FP_KEPT);
	jit_fp_need(t, JIT_FP_INEXACT);
	if (!is_fixed(t) && fp_rounding_to_integer(t) == FP_AWAY) {
		jit_fp_need(t, JIT_FP_NEAREST);
	}
	jit_flags_clobber(t);
	if (fp_is_scalar(t)) {
		unsigned n = prepare(t, jit_vread(t, A64_Rn(t->raw), wide ? 8 : 4));
		jit_fp_truncate(t, n, wide, is_unsigned(t));
		x86_v(x, wide ? V_MOVQ_IN : V_MOVD_IN, jit_vwrite(t, A64_Rd(t->raw), 16), 0, RDX);
		return;
	}
	truncate_vector(t, prepare(t, simd_rn(t)));
	x86_v(x, V_MOVDQA, simd_to(t), 0, T0);
}

/* FCVTL from single, FCVTN to single. */
void jit_simd_convert(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool widens = t->op == A64_FCVTL_s;
	jit_fp_enter(t);
	if (!widens) {
		jit_fp_need(t, JIT_FP_INEXACT);
	}
	jit_flags_clobber(t);
	if (widens) {
		unsigned n = simd_rn(t);
		if (simd_bytes(t) == 16) {
			x86_vrr_imm(x, V_PSHUFD, T0, 0, n, 0xee);
			n = T0;
		}
		x86_v(x, V_CVTPS2PD, T0, 0, n);
		x86_vm(x, V_PAND, T1, T0, JIT_CONSTANT(t, abs_d));
		x86_vm(x, V_PCMPGTD, T1, T1, JIT_CONSTANT(t, large_d));
		x86_v(x, V_MOVMSKPD, RDX, 0, T1);
		x86_rr(x, X_TEST, false, RDX, RDX);
		jit_slow(t, x86_jcc_later(x, CC_NE));
		x86_v(x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), 16), 0, T0);
		return;
	}
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16);
	x86_v(x, V_CVTPD2PS, T0, 0, n);
	x86_v(x, V_PUNPCKLQDQ, T0, T0, T0); /* so that no lane is 0 */
	jit_fp_check_lanes(t, false, false);
	simd_to_half(t);
}
