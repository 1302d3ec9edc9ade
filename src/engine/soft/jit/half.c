/* SPDX-License-Identifier: Apache-2.0 */
/*
 * half.c - translate half precision, scalars and vectors
 *
 * How it works: operands go to T0 to T2, with zeros in the lanes that the instruction does not
 * have, and one of half.h's stubs computes.  Estimates and complex numbers are left to the
 * handlers. Threads: the vCPU thread.
 */
#include "engine/soft/jit/fp.h"

static unsigned lane_count(const struct jit_block *t)
{
	return fp_is_scalar(t) ? 1 : simd_bytes(t) / 2;
}

/* @to = the one half at the bottom of @from. */
static void only_first(struct jit_block *t, unsigned to, unsigned from, unsigned zero)
{
	simd_zero(t, zero);
	x86_vrr_imm(&t->x, V_PBLENDW, to, zero, from, 1);
}

/* @to = V register @n, lanes of the instruction only. */
static void load(struct jit_block *t, unsigned to, unsigned n)
{
	unsigned lanes = lane_count(t), from = jit_vread(t, n, lanes == 1 ? 4 : simd_bytes(t));
	if (lanes == 1) {
		only_first(t, to, from, to);
	} else {
		x86_v(&t->x, lanes == 8 ? V_MOVDQA : V_MOVQ, to, 0, from);
	}
}

static void begin(struct jit_block *t, bool rounds)
{
	jit_fp_enter(t);
	jit_fp_need(t, JIT_FP_HALF);
	if (rounds) {
		jit_fp_need(t, JIT_FP_INEXACT);
	}
	jit_flags_clobber(t);
}

static void call(struct jit_block *t, enum jit_half kind, unsigned lanes)
{
	x86_mov_imm(&t->x, RCX, (1u << lanes) - 1);
	jit_call_stub(t, t->jit->stubs.half[kind]);
	jit_slow(t, x86_jcc_later(&t->x, CC_NE));
}

/* T0 is the result. */
static void put(struct jit_block *t)
{
	if (fp_is_scalar(t)) {
		only_first(t, T0, T0, T1);
	}
	x86_v(&t->x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), lane_count(t) == 4 ? 8 : 16), 0, T0);
}

/* All lanes of @to: the sign bit, or all others. */
static void sign_mask(struct jit_block *t, unsigned to, bool sign)
{
	simd_ones(t, to);
	x86_vshift(&t->x, sign ? V_PSLLW : V_PSRLW, to, to, sign ? 15 : 1);
}

/* FADD, FSUB, FMUL, FDIV, FNMUL, FABD, FSQRT. */
void jit_half_arithmetic(struct jit_block *t)
{
	_Static_assert(HALF_SQRT - HALF_ADD == FP_SQRT,
		       "the stubs are in the order of enum fp_operation");
	enum jit_half kind = (enum jit_half)(HALF_ADD + fp_operation(t));
	begin(t, true);
	load(t, T0, A64_Rn(t->raw));
	if (kind != HALF_SQRT) {
		load(t, T1, A64_Rm(t->raw));
	}
	call(t, kind, lane_count(t));
	if (t->op == A64_FNMUL_f_h || t->op == A64_FABD_v_h) {
		bool negates = t->op == A64_FNMUL_f_h;
		sign_mask(t, T1, negates);
		x86_v(&t->x, negates ? V_PXOR : V_PAND, T0, T0, T1);
	}
	put(t);
}

static void negate(struct jit_block *t, unsigned reg, unsigned temp)
{
	sign_mask(t, temp, true);
	x86_v(&t->x, V_PXOR, reg, reg, temp);
}

/* FMADD, FMSUB, FNMADD, FNMSUB; FMLA, FMLS. */
void jit_half_fuse(struct jit_block *t)
{
	bool general = fp_is_scalar(t),
	     negates_product = general ? (t->raw >> 21 ^ t->raw >> 15) & 1 : t->raw >> 23 & 1,
	     negates_addend = general && (t->raw >> 21 & 1);
	begin(t, true);
	load(t, T0, A64_Rn(t->raw));
	if (negates_product) {
		negate(t, T0, T1);
	}
	load(t, T2, general ? A64_Ra(t->raw) : A64_Rd(t->raw));
	if (negates_addend) {
		negate(t, T2, T1);
	}
	load(t, T1, A64_Rm(t->raw));
	call(t, HALF_MADD, lane_count(t));
	put(t);
}

/* FMUL, FMLA, FMLS by element. */
void jit_half_elem(struct jit_block *t)
{
	bool fuses = t->op != A64_FMUL_elem_h;
	begin(t, true);
	load(t, T0, A64_Rn(t->raw));
	if (t->op == A64_FMLS_elem_h) {
		negate(t, T0, T1);
	}
	if (fuses) {
		load(t, T2, A64_Rd(t->raw));
	}
	simd_factor(t, 1, T1);
	call(t, fuses ? HALF_MADD : HALF_MUL, lane_count(t));
	put(t);
}

/* T0, T1 = even and odd elements of both operands. */
static void load_pairs(struct jit_block *t)
{
	unsigned n = simd_rn(t), m = simd_rm(t);
	simd_unzip(t, n, m, 1);
	if (lane_count(t) == 4) {
		x86_v(&t->x, V_MOVQ, T0, 0, T0);
	}
}

static enum jit_half selection(const struct jit_block *t)
{
	if (t->op == A64_FADDP_v_h || t->op == A64_FADDP_pair_h) {
		return HALF_ADD;
	}
	return fp_is_min(t) ? HALF_MIN : HALF_MAX;
}

/* FMAX, FMIN, FMAXNM, FMINNM. */
void jit_half_select(struct jit_block *t)
{
	begin(t, false);
	jit_fp_need(t, JIT_FP_KEPT);
	load(t, T0, A64_Rn(t->raw));
	load(t, T1, A64_Rm(t->raw));
	call(t, selection(t), lane_count(t));
	put(t);
}

static void begin_pairs(struct jit_block *t, enum jit_half kind)
{
	begin(t, kind == HALF_ADD);
	if (kind != HALF_ADD) {
		jit_fp_need(t, JIT_FP_KEPT);
	}
}

/* FADDP, FMAXP, FMINP, FMAXNMP, FMINNMP of vectors. */
void jit_half_pairs(struct jit_block *t)
{
	enum jit_half kind = selection(t);
	begin_pairs(t, kind);
	load_pairs(t);
	call(t, kind, lane_count(t));
	put(t);
}

/* The same of one pair. */
void jit_half_pair(struct jit_block *t)
{
	enum jit_half kind = selection(t);
	begin_pairs(t, kind);
	load(t, T0, A64_Rn(t->raw));
	x86_vshift(&t->x, V_PSRLD, T1, jit_vread(t, A64_Rn(t->raw), 4), 16);
	only_first(t, T1, T1, T2);
	call(t, kind, 1);
	put(t);
}

/* FCMEQ, FCMGE, FCMGT, FACGE, FACGT and the comparisons with zero. */
void jit_half_compare(struct jit_block *t)
{
	_Static_assert(HALF_GT - HALF_EQ == FP_GT, "the stubs are in the order of enum fp_order");
	const struct fp_comparison c = fp_comparison(t);
	begin(t, false);
	load(t, c.swaps ? T1 : T0, A64_Rn(t->raw));
	if (c.with_zero) {
		simd_zero(t, c.swaps ? T0 : T1);
	} else {
		load(t, T1, A64_Rm(t->raw));
	}
	if (c.magnitudes) {
		sign_mask(t, T2, false);
		x86_v(&t->x, V_PAND, T0, T0, T2);
		x86_v(&t->x, V_PAND, T1, T1, T2);
	}
	call(t, (enum jit_half)(HALF_EQ + c.order), lane_count(t));
	put(t);
}

/* FMOV, FABS, FNEG. */
void jit_half_sign(struct jit_block *t)
{
	jit_fp_enter(t);
	load(t, T0, A64_Rn(t->raw));
	if (t->op != A64_FMOV_f_h) {
		bool negates = t->op == A64_FNEG_f_h || t->op == A64_FNEG_v_h;
		sign_mask(t, T1, negates);
		x86_v(&t->x, negates ? V_PXOR : V_PAND, T0, T0, T1);
	}
	put(t);
}

static const uint8_t roundings[] = {
	[FP_NEAREST] = HALF_ROUND_NEAREST, [FP_UP] = HALF_ROUND_UP,
	[FP_DOWN] = HALF_ROUND_DOWN,	   [FP_ZERO] = HALF_ROUND_ZERO,
	[FP_EXACT] = HALF_ROUND_CURRENT,   [FP_CURRENT] = HALF_ROUND_CURRENT};

/* FRINTN, FRINTM, FRINTP, FRINTZ, FRINTX, FRINTI. */
void jit_half_round(struct jit_block *t)
{
	enum fp_rounding how = fp_rounding(t);
	begin(t, how == FP_EXACT);
	load(t, T0, A64_Rn(t->raw));
	call(t, (enum jit_half)roundings[how], lane_count(t));
	put(t);
}

/* ----- conversions ----- */

/* FCVT from single to half, FCVTN to half. */
void jit_half_narrow(struct jit_block *t)
{
	bool scalar = t->op == A64_FCVT_sh;
	begin(t, true);
	if (scalar) {
		unsigned n = jit_vread(t, A64_Rn(t->raw), 4);
		x86_vrr_imm(&t->x, V_INSERTPS, T0, n, n, 0xe);
	} else {
		x86_v(&t->x, V_MOVDQA, T0, 0, jit_vread(t, A64_Rn(t->raw), 16));
	}
	call(t, HALF_NARROW, scalar ? 1 : 4);
	if (scalar) {
		put(t);
	} else {
		simd_to_half(t);
	}
}

/* FCVT from half, FCVTL from half: exact, but for NaNs. */
void jit_half_widen(struct jit_block *t)
{
	enum { UNORDERED = 3 };
	struct x86 *x = &t->x;
	bool scalar = t->op != A64_FCVTL_h, to_double = t->op == A64_FCVT_hd;
	begin(t, false);
	unsigned n = jit_vread(t, A64_Rn(t->raw), scalar ? 4 : simd_bytes(t));
	if (scalar) {
		only_first(t, T0, n, T0);
		n = T0;
	} else if (simd_bytes(t) == 16) {
		x86_vrr_imm(x, V_PSHUFD, T0, 0, n, 0xee);
		n = T0;
	}
	x86_v(x, V_CVTPH2PS, T0, 0, n);
	x86_vrr_imm(x, V_CMPPS, T1, T0, T0, UNORDERED);
	x86_v(x, V_MOVMSKPS, RDX, 0, T1);
	x86_rr(x, X_TEST, false, RDX, RDX);
	jit_slow(t, x86_jcc_later(x, CC_NE));
	if (to_double) {
		x86_v(x, V_CVTSS2SD, T0, T0, T0);
	}
	x86_v(x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), to_double ? 8 : 16), 0, T0);
}

/* @to = the halves of @from that FMLAL or FMLAL2 works on, as single precision. */
static void widen_part(struct jit_block *t, unsigned to, unsigned from, bool upper)
{
	unsigned bytes = simd_bytes(t) / 2; /* of halves */
	if (upper) {
		x86_vshift(&t->x, V_PSRLDQ, to, from, bytes);
		from = to;
	}
	if (bytes == 4) {
		x86_vrr_imm(&t->x, V_INSERTPS, to, from, from, 0xe);
		from = to;
	}
	x86_v(&t->x, V_CVTPH2PS, to, 0, from);
}

/* FMLAL, FMLAL2, FMLSL, FMLSL2: the product is exact as single precision. */
void jit_half_fuse_long(struct jit_block *t)
{
	bool by_element = simd_by_element(t), upper = t->raw >> 29 & 1,
	     subtracts = t->raw >> (by_element ? 14 : 23) & 1;
	begin(t, true);
	if (by_element) {
		x86_v(&t->x, V_CVTPH2PS, T2, 0, simd_factor(t, 1, T2));
	} else {
		widen_part(t, T2, simd_rm(t), upper);
	}
	widen_part(t, T1, simd_rn(t), upper);
	x86_v(&t->x, simd_bytes(t) == 16 ? V_MOVDQA : V_MOVQ, T0, 0, simd_rd(t));
	x86_v(&t->x, subtracts ? V_FNMADDPS : V_FMADDPS, T0, T1, T2);
	jit_fp_check_lanes(t, false, false);
	x86_v(&t->x, V_MOVDQA, simd_to(t), 0, T0);
}

/* SCVTF, UCVTF from general registers: what has more than 24 digits overflows. */
void jit_half_from_general(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool wide = t->raw >> 31, is_unsigned = t->raw >> 16 & 1;
	begin(t, true);
	jit_load(t, A64_Rn(t->raw) == 31 ? CPU_ZR : A64_Rn(t->raw), RDX, wide);
	if (wide && is_unsigned) {
		x86_rr(x, X_TEST, true, RDX, RDX);
		jit_slow(t, x86_jcc_later(x, CC_S));
	}
	simd_zero(t, T0);
	x86_vrr(x, V_CVTSI2SS, wide || is_unsigned, T0, T0, RDX);
	call(t, HALF_NARROW, 1);
	put(t);
}

/* SCVTF, UCVTF of vectors and scalars. */
void jit_half_from_integer(struct jit_block *t)
{
	begin(t, true);
	load(t, T0, A64_Rn(t->raw));
	call(t, t->raw >> 29 & 1 ? HALF_FROM_U : HALF_FROM_S, lane_count(t));
	put(t);
}

/* FCVTNS, FCVTMS, FCVTPS, FCVTZS and the unsigned ones, of vectors and scalars. */
void jit_half_to_integer(struct jit_block *t)
{
	enum fp_rounding how = fp_rounding_to_integer(t);
	begin(t, true);
	load(t, T0, A64_Rn(t->raw));
	if (how != FP_ZERO) {
		call(t, (enum jit_half)roundings[how], lane_count(t));
	}
	call(t, t->raw >> 29 & 1 ? HALF_TO_U : HALF_TO_S, lane_count(t));
	put(t);
}
