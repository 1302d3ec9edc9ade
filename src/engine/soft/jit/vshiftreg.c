/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vshiftreg.c - translate Advanced SIMD shifts by registers: SSHL, USHL, SRSHL, URSHL, and those
 * that saturate
 *
 * How it works: an amount is the low byte of its element, a negative one shifts right.  The host's
 * variable shifts give 0 (or the sign) for amounts of the width and more, so both directions are
 * computed and one of them is nothing, or not chosen.  A shift right by k that rounds is
 * y - (y >> 1) with y = n >> (k - 1), and k - 1 is ~amount. Threads: the vCPU thread.
 */
#include "engine/soft/jit/simd.h"

static const unsigned lefts[] = {0, E_PSLLVW, V_PSLLVD, V_PSLLVQ};
static const unsigned rights[2][4] = {{0, E_PSRLVW, V_PSRLVD, V_PSRLVQ},
				      {0, E_PSRAVW, V_PSRAVD, E_PSRAVQ}};
static const unsigned by_imm[2][4] = {{0, V_PSRLW, V_PSRLD, V_PSRLQ},
				      {0, V_PSRAW, V_PSRAD, E_PSRAQ}};
static const unsigned blends[] = {0, V_PBLENDVB, V_BLENDVPS, V_BLENDVPD};
static const unsigned subs[] = {V_PSUBB, V_PSUBW, V_PSUBD, V_PSUBQ};

static bool is_signed(const struct jit_block *t)
{
	return !(t->raw >> 29 & 1);
}

static bool rounds(const struct jit_block *t)
{
	return t->raw >> 12 & 1;
}

/* T0 = the low bytes of @m's elements, sign-extended. */
static void take_amounts(struct jit_block *t, unsigned log2, unsigned m)
{
	struct x86 *x = &t->x;
	if (log2 == 1) {
		x86_vshift(x, V_PSLLW, T0, m, 8);
		x86_vshift(x, V_PSRAW, T0, T0, 8);
		return;
	}
	x86_vshift(x, V_PSLLD, T0, m, 24);
	x86_vshift(x, V_PSRAD, T0, T0, 24);
	if (log2 == 3) {
		x86_vrr_imm(x, V_PSHUFD, T0, 0, T0, 0x08);
		x86_v(x, V_PMOVSXDQ, T0, 0, T0);
	}
}

/* @value = (@value + 1) / 2; @temp changes. */
static void halve(struct jit_block *t, unsigned log2, unsigned value, unsigned temp)
{
	x86_vshift(&t->x, by_imm[is_signed(t)][log2], temp, value, 1);
	x86_v(&t->x, subs[log2], value, value, temp);
}

/* T2 = n to the right, by T0 where that is negative; @temp (may be T0) changes if it rounds. */
static void shift_right_elements(struct jit_block *t, unsigned log2, unsigned n, unsigned temp)
{
	struct x86 *x = &t->x;
	if (rounds(t)) {
		simd_invert(t, T2, T0);
	} else {
		simd_zero(t, T2);
		x86_v(x, subs[log2], T2, T2, T0);
	}
	x86_v(x, rights[is_signed(t)][log2], T2, n, T2);
	if (rounds(t)) {
		halve(t, log2, T2, temp);
	}
}

/* Elements that the host shifts by elements. */
static void shift_elements(struct jit_block *t, unsigned log2, unsigned n, unsigned m)
{
	struct x86 *x = &t->x;
	take_amounts(t, log2, m);
	shift_right_elements(t, log2, n, T1);
	x86_v(x, lefts[log2], T1, n, T0);
	if (is_signed(t)) {
		x86_vrr_imm(x, blends[log2], simd_to(t), T1, T2, T0 << 4);
	} else {
		x86_v(x, V_POR, simd_to(t), T1, T2);
	}
}

/* SSHL of doublewords where the host has no such shift right: of the magnitude of n's sign. */
static void shift_signed_d(struct jit_block *t, unsigned n, unsigned m)
{
	struct x86 *x = &t->x;
	take_amounts(t, 3, m);
	simd_zero(t, T1);
	x86_v(x, V_PSUBQ, T0, T1, T0); /* to the right */
	x86_v(x, V_PCMPGTQ, T1, T1, n);
	x86_v(x, V_PXOR, T2, n, T1);
	x86_v(x, V_PSRLVQ, T2, T2, T0);
	x86_v(x, V_PXOR, T1, T1, T2);
	simd_zero(t, T2);
	x86_v(x, V_PSUBQ, T2, T2, T0);
	x86_v(x, V_PSLLVQ, T2, n, T2);
	x86_vrr_imm(x, V_BLENDVPD, simd_to(t), T1, T2, T0 << 4);
}

/*
 * Halfwords where the host shifts words: each stands in the upper half of a word, and goes right by
 * 16 less the amount (15 if it rounds).  @to = what is in the lower halves then; T2 changes.
 */
static void shift_half(struct jit_block *t, unsigned to, bool odd, unsigned n)
{
	struct x86 *x = &t->x;
	x86_vshift(x, V_PSLLD, to, T0, odd ? 8 : 24);
	x86_vshift(x, V_PSRAD, to, to, 24);
	x86_vm(x, V_MOVDQA, T2, 0,
	       rounds(t) ? JIT_CONSTANT(t, fifteen_s) : JIT_CONSTANT(t, sixteen_s));
	x86_v(x, V_PSUBD, to, T2, to);
	if (odd) {
		simd_zero(t, T2);
		x86_vrr_imm(x, V_PBLENDW, T2, T2, n, 0xaa);
	} else {
		x86_vshift(x, V_PSLLD, T2, n, 16);
	}
	x86_v(x, rights[is_signed(t)][2], to, T2, to);
	if (rounds(t)) {
		halve(t, 2, to, T2);
	}
}

static void shift_halfwords(struct jit_block *t, unsigned n, unsigned m)
{
	struct x86 *x = &t->x;
	if (is_signed(t) && !rounds(t)) { /* or what is shifted out would leave the sign */
		x86_vm(x, V_PMINSB, T0, m, JIT_CONSTANT(t, b_10));
	} else {
		x86_v(x, V_MOVDQA, T0, 0, m);
	}
	shift_half(t, T1, true, n);
	shift_half(t, T0, false, n);
	x86_vshift(x, V_PSLLD, T1, T1, 16);
	x86_vrr_imm(x, V_PBLENDW, simd_to(t), T0, T1, 0xaa);
}

/* The upper bytes of the products of 8 bytes of @n with @factors, to @factors; T1 changes. */
static void multiply_bytes(struct jit_block *t, unsigned factors, unsigned n, bool high)
{
	struct x86 *x = &t->x;
	if (high) {
		x86_vrr_imm(x, V_PSHUFD, T1, 0, n, 0xee);
		n = T1;
	}
	x86_v(x, is_signed(t) ? V_PMOVSXBW : V_PMOVZXBW, T1, 0, n);
	x86_v(x, V_PMULLW, factors, factors, T1);
	x86_vshift(x, V_PSRLW, factors, factors, 8);
}

/* Bytes: a shift by s from -8 to 7 is a multiplication by 2 to the power of 8 + s. */
static void shift_bytes(struct jit_block *t, unsigned n, unsigned m)
{
	struct x86 *x = &t->x;
	x86_vm(x, V_PMAXSB, T2, m, JIT_CONSTANT(t, minus_8_b));
	x86_vm(x, V_PADDUSB, T0, T2, JIT_CONSTANT(t, high_70)); /* others look up 0 */
	simd_zero(t, T1);
	x86_v(x, V_PSUBB, T1, T1, T2);
	x86_vm(x, V_PADDUSB, T1, T1, JIT_CONSTANT(t, high_70));
	x86_vm(x, V_MOVDQA, T2, 0, JIT_CONSTANT(t, powers_left));
	x86_v(x, V_PSHUFB, T0, T2, T0); /* the factors' upper bytes */
	x86_vm(x, V_MOVDQA, T2, 0, JIT_CONSTANT(t, powers_right));
	x86_v(x, V_PSHUFB, T1, T2, T1);
	x86_v(x, V_PUNPCKHBW, T2, T1, T0);
	x86_v(x, V_PUNPCKLBW, T0, T1, T0);
	multiply_bytes(t, T0, n, false);
	if (simd_bytes(t) == 16) {
		multiply_bytes(t, T2, n, true);
	}
	x86_v(x, V_PACKUSWB, simd_to(t), T0, T2);
}

void jit_simd_shift_reg(struct jit_block *t)
{
	unsigned log2 = simd_log2(t);
	bool avx512 = t->jit->host & JIT_HOST_AVX512;
	if (rounds(t) && (log2 == 0 || (log2 == 3 && is_signed(t) && !avx512))) {
		jit_call_handler(t); /* seldom */
		return;
	}
	jit_fp_enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	if (log2 == 0) {
		shift_bytes(t, n, m);
	} else if (log2 == 1 && !avx512) {
		shift_halfwords(t, n, m);
	} else if (log2 == 3 && is_signed(t) && !avx512) {
		shift_signed_d(t, n, m);
	} else {
		shift_elements(t, log2, n, m);
	}
}

/* ----- SQSHL, UQSHL, SQRSHL, UQRSHL ----- */

/* T1 = n to the left, or the limit, with FPSR.QC; T0 and T2 change. */
static void shift_left_saturated(struct jit_block *t, unsigned log2, unsigned n, unsigned m,
				 unsigned bytes)
{
	static const unsigned equals[] = {0, V_PCMPEQW, V_PCMPEQD, V_PCMPEQQ};
	static const unsigned greaters[] = {0, V_PCMPGTW, V_PCMPGTD, V_PCMPGTQ};
	struct x86 *x = &t->x;
	take_amounts(t, log2, m);
	x86_v(x, lefts[log2], T1, n, T0);
	x86_v(x, rights[is_signed(t)][log2], T2, T1, T0);
	x86_v(x, equals[log2], T2, T2, n); /* exact */
	simd_ones(t, T0);
	if (is_signed(t)) {
		x86_v(x, greaters[log2], T0, n, T0);
		x86_vm(x, V_PXOR, T0, T0, simd_sign(t, log2));
	}
	x86_vrr_imm(x, V_PBLENDVB, T1, T0, T1, T2 << 4);
	take_amounts(t, log2, m);
	x86_v(x, rights[1][log2], T0, T0, T0); /* ones where it goes right: k < 1 << k */
	x86_v(x, V_POR, T2, T2, T0);
	simd_note_unless(t, T2, T0, bytes);
}

void jit_simd_saturate_shift_reg(struct jit_block *t)
{
	unsigned log2 = simd_log2(t), bytes = simd_live(t, log2);
	if (log2 == 0 || (log2 != 2 && !(t->jit->host & JIT_HOST_AVX512))) {
		jit_call_handler(t); /* seldom */
		return;
	}
	simd_enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	shift_left_saturated(t, log2, n, m, bytes);
	take_amounts(t, log2, m);
	shift_right_elements(t, log2, n, T0);
	if (rounds(t)) {
		take_amounts(t, log2, m);
	}
	x86_vrr_imm(&t->x, blends[log2], T0, T1, T2, T0 << 4);
	simd_put_low(t, bytes);
}
