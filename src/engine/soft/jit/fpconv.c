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

/* ROUNDSD's immediates: nearest, down, up, to zero, by MXCSR; without the host's "inexact". */
enum { NEAREST = 8, DOWN, UP, ZERO, CURRENT };

static bool is_double(const struct jit_block *t)
{
	return t->raw >> 22 & 1;
}

static unsigned fp_bytes(const struct jit_block *t)
{
	return is_double(t) ? 8 : 4;
}

/* FCVT between single and double. */
void jit_fp_convert(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool widens = t->op == A64_FCVT_sd;
	jit_fp_enter(t);
	if (!widens) {
		jit_fp_need_inexact(t);
	}
	jit_flags_clobber(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), widens ? 4 : 8);
	x86_v(x, widens ? V_CVTSS2SD : V_CVTSD2SS, T0, n, n);
	jit_fp_check(t, widens, widens);
	x86_v(x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), widens ? 8 : 4), 0, T0);
}

/* SCVTF, UCVTF from general registers. */
void jit_fp_from_general(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool wide = t->raw >> 31, is_unsigned = t->raw >> 16 & 1;
	unsigned n = A64_Rn(t->raw) == 31 ? CPU_ZR : A64_Rn(t->raw);
	jit_fp_enter(t);
	if (wide || !is_double(t)) {
		jit_fp_need_inexact(t);
	}
	if (is_unsigned && wide) {
		jit_flags_clobber(t);
		jit_load(t, n, RDX, true);
		x86_rr(x, X_TEST, true, RDX, RDX);
		jit_slow(t, x86_jcc_later(x, CC_S));
	} else {
		jit_load(t, n, RDX, wide);
	}
	unsigned to = jit_vwrite(t, A64_Rd(t->raw), 16);
	simd_zero(t, to);
	x86_vrr(x, is_double(t) ? V_CVTSI2SD : V_CVTSI2SS, wide || is_unsigned, to, to, RDX);
}

/* T0 = @n rounded by @mode. */
static void round_to(struct jit_block *t, unsigned n, unsigned mode)
{
	x86_vrr_imm(&t->x, is_double(t) ? V_ROUNDSD : V_ROUNDSS, T0, n, n, (uint8_t)mode);
}

/* RDX = the integer in @from, truncated: signed to 32 or 64 bits, or as far as those reach
 * unsigned; else to the handler. */
static void truncate(struct jit_block *t, unsigned from, bool wide, bool is_unsigned)
{
	struct x86 *x = &t->x;
	x86_vrr(x, is_double(t) ? V_CVTTSD2SI : V_CVTTSS2SI, wide || is_unsigned, RDX, 0, from);
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

/* FCVTNS, FCVTMS, FCVTPS, FCVTZS and the unsigned ones, to general registers. */
void jit_fp_to_general(struct jit_block *t)
{
	static const uint8_t modes[] = {NEAREST, UP, DOWN, ZERO};
	bool wide = t->raw >> 31, is_unsigned = t->raw >> 16 & 1;
	unsigned mode = modes[t->raw >> 19 & 3],
		 rd = A64_Rd(t->raw) == 31 ? CPU_SINK : A64_Rd(t->raw);
	jit_fp_enter(t);
	jit_fp_need_kept(t);
	jit_fp_need_inexact(t);
	jit_flags_clobber(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), fp_bytes(t));
	if (mode != ZERO) {
		round_to(t, n, mode);
		n = T0;
	}
	truncate(t, n, wide, is_unsigned);
	jit_write(t, rd, RDX);
}

/* FRINTN, FRINTP, FRINTM, FRINTZ, FRINTX, FRINTI. */
void jit_fp_round(struct jit_block *t)
{
	static const uint8_t modes[] = {NEAREST, UP, DOWN, ZERO, 0, 0, CURRENT, CURRENT};
	unsigned opcode = t->raw >> 15 & 7;
	jit_fp_enter(t);
	jit_fp_need_kept(t);
	if (opcode == 6) { /* FRINTX tells that it rounded */
		jit_fp_need_inexact(t);
	}
	jit_flags_clobber(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), fp_bytes(t));
	round_to(t, n, modes[opcode]);
	jit_fp_check(t, is_double(t), true);
	x86_v(&t->x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), fp_bytes(t)), 0, T0);
}

/* ----- vectors, and scalars that stay in V registers ----- */

static bool is_scalar(const struct jit_block *t)
{
	return t->raw >> 28 & 1;
}

/* SCVTF, UCVTF: single precision as the host has it; doubles one by one, which only scalars are
 * worth. */
void jit_simd_from_integer(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool is_unsigned = t->raw >> 29 & 1;
	if (is_scalar(t)) {
		jit_fp_enter(t);
		jit_fp_need_inexact(t);
		jit_flags_clobber(t);
		unsigned n = jit_vread(t, A64_Rn(t->raw), fp_bytes(t));
		x86_v(x, is_double(t) ? V_MOVQ_OUT : V_MOVD_OUT, n, 0, RDX);
		if (is_unsigned && is_double(t)) {
			x86_rr(x, X_TEST, true, RDX, RDX);
			jit_slow(t, x86_jcc_later(x, CC_S));
		}
		unsigned to = jit_vwrite(t, A64_Rd(t->raw), 16);
		simd_zero(t, to);
		x86_vrr(x, is_double(t) ? V_CVTSI2SD : V_CVTSI2SS, is_double(t) || is_unsigned, to,
			to, RDX);
		return;
	}
	if (is_double(t) || is_unsigned) {
		jit_call_handler(t);
		return;
	}
	jit_fp_enter(t);
	jit_fp_need_inexact(t);
	unsigned n = simd_rn(t);
	x86_v(x, V_CVTDQ2PS, simd_to(t), 0, n);
}

/* FCVTZS, FCVTZU. */
void jit_simd_to_integer(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool is_unsigned = t->raw >> 29 & 1;
	if (!is_scalar(t) && (is_double(t) || is_unsigned)) {
		jit_call_handler(t);
		return;
	}
	jit_fp_enter(t);
	jit_fp_need_kept(t);
	jit_fp_need_inexact(t);
	jit_flags_clobber(t);
	if (is_scalar(t)) {
		unsigned n = jit_vread(t, A64_Rn(t->raw), fp_bytes(t));
		truncate(t, n, is_double(t), is_unsigned);
		x86_v(x, is_double(t) ? V_MOVQ_IN : V_MOVD_IN, jit_vwrite(t, A64_Rd(t->raw), 16), 0,
		      RDX);
		return;
	}
	unsigned n = simd_rn(t);
	x86_v(x, V_CVTTPS2DQ, T0, 0, n);
	x86_vm(x, V_PCMPEQD, T1, T0, JIT_CONSTANT(t, sign_s));
	jit_fp_check_signs(t, false);
	x86_v(x, V_MOVDQA, simd_to(t), 0, T0);
}

/* FCVTL from single, FCVTN to single. */
void jit_simd_convert(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool widens = t->op == A64_FCVTL_s;
	jit_fp_enter(t);
	if (!widens) {
		jit_fp_need_inexact(t);
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

/* FRINT of vectors. */
void jit_simd_round(struct jit_block *t)
{
	/* by U, bit 23, bit 12: N 0/0/0, M 0/0/1, P 0/1/0, Z 0/1/1, A 1/0/0, X 1/0/1, I 1/1/1 */
	static const uint8_t modes[] = {NEAREST, DOWN, UP, ZERO, 0, CURRENT, 0, CURRENT};
	unsigned kind = (t->raw >> 29 & 1) << 2 | (t->raw >> 23 & 1) << 1 | (t->raw >> 12 & 1);
	jit_fp_enter(t);
	jit_fp_need_kept(t);
	if (kind == 5) {
		jit_fp_need_inexact(t);
	}
	jit_flags_clobber(t);
	unsigned n = simd_rn(t);
	x86_vrr_imm(&t->x, is_double(t) ? V_ROUNDPD : V_ROUNDPS, T0, 0, n, modes[kind]);
	jit_fp_check_lanes(t, is_double(t), true);
	x86_v(&t->x, V_MOVDQA, simd_to(t), 0, T0);
}
