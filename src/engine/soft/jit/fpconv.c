/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fpconv.c - translate conversions between FP formats and integers, and rounding to integral
 * numbers
 *
 * How it works: the host marks what it can not convert by the lowest integer, which goes to the
 * handler; so do NaNs.  Conversions to integers say "inexact" at most, conversions from integers
 * never leave the normal numbers. Threads: the vCPU thread.
 */
#include "engine/soft/jit/fp.h"

static unsigned fp_bytes(const struct jit_block *t)
{
	return fp_is_double(t) ? 8 : 4;
}

/* FCVT between single and double. */
void jit_fp_convert(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool widens = t->op == A64_FCVT_sd;
	jit_fp_enter(t);
	if (!widens) {
		jit_fp_need(t, JIT_FP_INEXACT);
	}
	jit_flags_clobber(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), widens ? 4 : 8);
	x86_v(x, widens ? V_CVTSS2SD : V_CVTSD2SS, T0, n, n);
	jit_fp_check(t, widens, widens);
	x86_v(x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), widens ? 8 : 4), 0, T0);
}

void jit_fp_from_register(struct jit_block *t, unsigned to, bool wide, bool is_unsigned)
{
	struct x86 *x = &t->x;
	unsigned op = fp_is_double(t) ? V_CVTSI2SD : V_CVTSI2SS;
	if (is_unsigned && wide && t->jit->host & JIT_HOST_AVX512) {
		op = fp_is_double(t) ? E_CVTUSI2SD : E_CVTUSI2SS;
	} else if (is_unsigned && wide) {
		x86_rr(x, X_TEST, true, RDX, RDX);
		jit_slow(t, x86_jcc_later(x, CC_S));
	}
	simd_zero(t, to);
	x86_vrr(x, op, wide || is_unsigned, to, to, RDX);
}

/* Bits behind the point of what a general register holds. */
static int fixed_bits(const struct jit_block *t)
{
	return t->raw >> 21 & 1 ? 0 : 64 - (int)A64_scale(t->raw);
}

/* SCVTF, UCVTF from general registers. */
void jit_fp_from_general(struct jit_block *t)
{
	bool wide = t->raw >> 31, is_unsigned = t->raw >> 16 & 1;
	unsigned n = A64_Rn(t->raw) == 31 ? CPU_ZR : A64_Rn(t->raw);
	int bits = fixed_bits(t);
	jit_fp_enter(t);
	if (wide || !fp_is_double(t)) {
		jit_fp_need(t, JIT_FP_INEXACT);
	}
	jit_flags_clobber(t);
	jit_load(t, n, RDX, wide);
	jit_fp_from_register(t, T0, wide, is_unsigned);
	if (bits) {
		jit_fp_scale(t, T0, T1, -bits);
	}
	x86_v(&t->x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), 16), 0, T0);
}

void jit_fp_truncate(struct jit_block *t, unsigned from, bool wide, bool is_unsigned)
{
	struct x86 *x = &t->x;
	if (is_unsigned && wide && t->jit->host & JIT_HOST_AVX512) {
		x86_vrr(x, fp_is_double(t) ? E_CVTTSD2USI : E_CVTTSS2USI, true, RDX, 0, from);
		x86_alu_imm(x, ALU_CMP, true, RDX, -1); /* no such number: it has too many digits */
		jit_slow(t, x86_jcc_later(x, CC_E));
		return;
	}
	x86_vrr(x, fp_is_double(t) ? V_CVTTSD2SI : V_CVTTSS2SI, wide || is_unsigned, RDX, 0, from);
	if (is_unsigned && !wide) {
		x86_mov(x, true, RCX, RDX);
		x86_shift_imm(x, SH_SHR, true, RCX, 32);
		jit_slow(t, x86_jcc_later(x, CC_NE));
	} else if (is_unsigned) {
		x86_rr(x, X_TEST, true, RDX, RDX);
		jit_slow(t, x86_jcc_later(x, CC_S));
	} else { /* the lowest integer less one overflows */
		x86_alu_imm(x, ALU_CMP, wide, RDX, 1);
		jit_slow(t, x86_jcc_later(x, CC_O));
	}
}

/* ----- rounding ----- */

/* By U and the bits 23 and 12; U is not looked at for integers. */
static const uint8_t vector_roundings[] = {FP_NEAREST, FP_DOWN,	 FP_UP, FP_ZERO,
					   FP_AWAY,    FP_EXACT, 0,	FP_CURRENT};

enum fp_rounding fp_rounding(const struct jit_block *t)
{
	unsigned kind = (t->raw >> 27 & 4) | (t->raw >> 22 & 2) | (t->raw >> 12 & 1);
	return (enum fp_rounding)(fp_is_general(t) ? t->raw >> 15 & 7 : vector_roundings[kind]);
}

enum fp_rounding fp_rounding_to_integer(const struct jit_block *t)
{
	bool to_away = t->raw >> (fp_is_general(t) ? 18 : 14) & 1;
	unsigned kind = (t->raw >> 22 & 2) | (t->raw >> 12 & 1);
	return to_away ? FP_AWAY
		       : (enum fp_rounding)(fp_is_general(t) ? t->raw >> 19 & 3
							     : vector_roundings[kind]);
}

/* T0 = @n rounded, but not away from zero. */
static void round_to(struct jit_block *t, unsigned n, enum fp_rounding how)
{
	/* the host's: nearest, down, up, to zero, by MXCSR; all without "inexact" */
	enum { NEAREST = 8, DOWN, UP, ZERO, CURRENT };
	static const uint8_t modes[] = {NEAREST, UP, DOWN, ZERO, 0, 0, CURRENT, CURRENT};
	static const fp_forms ops = {{V_ROUNDPS, V_ROUNDPD}, {V_ROUNDSS, V_ROUNDSD}};
	x86_vrr_imm(&t->x, fp_form(t, ops), T0, fp_is_scalar(t) ? n : 0, n, modes[how]);
}

/* T0 = @n and the largest number below 0.5, with its sign. */
static void add_half(struct jit_block *t, unsigned n)
{
	static const fp_forms ops = {{V_ADDPS, V_ADDPD}, {V_ADDSS, V_ADDSD}};
	struct x86 *x = &t->x;
	bool wide = fp_is_double(t);
	x86_vm(x, V_PAND, T0, n, wide ? JIT_CONSTANT(t, sign_d) : JIT_CONSTANT(t, sign_s));
	x86_vm(x, V_POR, T0, T0,
	       wide ? JIT_CONSTANT(t, near_half_d) : JIT_CONSTANT(t, near_half_s));
	x86_v(x, fp_form(t, ops), T0, n, T0);
}

unsigned jit_fp_to_truncate(struct jit_block *t, unsigned n, enum fp_rounding how)
{
	if (how == FP_ZERO) {
		return n;
	}
	if (how == FP_AWAY) {
		add_half(t, n);
	} else {
		round_to(t, n, how);
	}
	return T0;
}

/* FCVTNS, FCVTMS, FCVTPS, FCVTZS, FCVTAS and the unsigned ones, to general registers. */
void jit_fp_to_general(struct jit_block *t)
{
	enum fp_rounding how = fp_rounding_to_integer(t);
	bool wide = t->raw >> 31, is_unsigned = t->raw >> 16 & 1;
	unsigned rd = A64_Rd(t->raw) == 31 ? CPU_SINK : A64_Rd(t->raw);
	int bits = fixed_bits(t);
	jit_fp_enter(t);
	jit_fp_need(t, JIT_FP_KEPT);
	jit_fp_need(t, JIT_FP_INEXACT);
	if (how == FP_AWAY) {
		jit_fp_need(t, JIT_FP_NEAREST);
	}
	if (fp_is_half(t)) {
		jit_fp_need(t, JIT_FP_HALF);
	}
	jit_flags_clobber(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), fp_bytes(t));
	if (fp_is_half(t)) { /* as doubles, which its encoding looks like */
		x86_v(&t->x, V_CVTPH2PS, T2, 0, n);
		x86_v(&t->x, V_CVTSS2SD, T2, T2, T2);
		n = T2;
	}
	if (bits) {
		jit_fp_scale(t, n, T1, bits);
		n = T0;
	}
	jit_fp_truncate(t, jit_fp_to_truncate(t, n, how), wide, is_unsigned);
	jit_write(t, rd, RDX);
}

/* FJCVTZS: Z says whether the number was such an integer, which -0 is not.  What has more than 32
 * bits goes to the handler. */
void jit_fp_to_javascript(struct jit_block *t)
{
	struct x86 *x = &t->x;
	jit_fp_enter(t);
	jit_fp_need(t, JIT_FP_KEPT);
	jit_fp_need(t, JIT_FP_INEXACT);
	jit_flags_clobber(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 8);
	x86_vrr(x, V_CVTTSD2SI, false, RDX, 0, n);
	x86_alu_imm(x, ALU_CMP, false, RDX, 1); /* the lowest integer less one overflows */
	jit_slow_next(t, x86_jcc_later(x, CC_O));
	simd_zero(t, T0);
	x86_vrr(x, V_CVTSI2SD, false, T0, T0, RDX);
	jit_write(t, A64_Rd(t->raw) == 31 ? CPU_SINK : A64_Rd(t->raw), RDX);
	x86_v(x, V_MOVQ_OUT, n, 0, RCX);
	x86_v(x, V_MOVQ_OUT, T0, 0, RDX);
	x86_rr(x, X_CMP, true, RCX, RDX);
	x86_setcc(x, CC_NE, RDX);
	x86_rr(x, X_MOVZX8, false, RDX, RDX);
	x86_rr(x, X_TEST, false, RDX, RDX);
	jit_flags_set(t, JIT_FLAGS_LOGIC);
}

/* FRINTN, FRINTP, FRINTM, FRINTZ, FRINTA, FRINTX, FRINTI; scalars and vectors. */
void jit_fp_round(struct jit_block *t)
{
	enum fp_rounding how = fp_rounding(t);
	bool scalar = fp_is_scalar(t), wide = fp_is_double(t);
	unsigned bytes = scalar ? fp_bytes(t) : simd_bytes(t);
	jit_fp_enter(t);
	jit_fp_need(t, JIT_FP_KEPT);
	if (how == FP_EXACT) {
		jit_fp_need(t, JIT_FP_INEXACT);
	} else if (how == FP_AWAY) {
		jit_fp_need(t, JIT_FP_NEAREST);
	}
	jit_flags_clobber(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), bytes);
	if (how == FP_AWAY) {
		n = jit_fp_to_truncate(t, n, how);
		how = FP_ZERO;
	}
	round_to(t, n, how);
	if (scalar) {
		jit_fp_check(t, wide, true);
	} else {
		jit_fp_check_lanes(t, wide, true);
	}
	x86_v(&t->x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), bytes), 0, T0);
}
