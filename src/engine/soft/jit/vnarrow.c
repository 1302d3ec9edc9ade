/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vnarrow.c - translate Advanced SIMD moves and shifts to elements of half the width, with and
 * without saturation
 *
 * How it works: see vsat.c for FPSR.QC. Threads: the vCPU thread.
 */
#include "engine/soft/jit/simd.h"
#include "engine/soft/simd.h"

void jit_simd_narrow(struct jit_block *t)
{
	jit_fp_enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16);
	x86_v(&t->x, V_MOVDQA, T0, 0, n);
	simd_narrow(t, simd_log2(t));
}

/* SHRN, RSHRN. */
void jit_simd_shift_narrow(struct jit_block *t)
{
	unsigned log2 = simd_imm_log2(t->raw), s = simd_imm_right(t->raw, 8u << log2);
	jit_fp_enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16);
	simd_shift_right(t, log2 + 1, false, t->raw >> 11 & 1, n, s);
	simd_narrow(t, log2);
}

/* ----- with saturation ----- */

/* How elements narrow: signed to signed, signed to unsigned, unsigned to unsigned. */
enum narrowing { SIGNED, TO_UNSIGNED, UNSIGNED };

/* @same_kind: where the row has U, it is not from signed to unsigned. */
static enum narrowing narrowing(const struct jit_block *t, bool same_kind)
{
	if (!(t->raw >> 29 & 1)) {
		return SIGNED;
	}
	return same_kind ? UNSIGNED : TO_UNSIGNED;
}

/* Doublewords by the halves, each twice in T0 and T1: exact if the upper is the lower's sign. */
static void narrow_d(struct jit_block *t, enum narrowing how, unsigned n)
{
	struct x86 *x = &t->x;
	x86_vrr_imm(x, V_SHUFPS, T0, n, n, 0x88);
	x86_vrr_imm(x, V_SHUFPS, T1, n, n, 0xdd);
	if (how == SIGNED) {
		x86_vshift(x, V_PSRAD, T2, T0, 31);
	} else {
		simd_zero(t, T2);
	}
	x86_v(x, V_PCMPEQD, T2, T2, T1);
	if (how == SIGNED) { /* the limit on the upper half's side */
		x86_vshift(x, V_PSRAD, T1, T1, 31);
		x86_vm(x, V_PXOR, T1, T1, JIT_CONSTANT(t, abs_s));
	} else if (how == TO_UNSIGNED) {
		x86_vshift(x, V_PSRAD, T1, T1, 31);
		simd_invert(t, T1, T1);
	} else {
		simd_ones(t, T1);
	}
	x86_vrr_imm(x, V_BLENDVPS, T0, T1, T0, T2 << 4);
	simd_note_unless(t, T2, T1, t->raw >> 28 & 1 ? 4 : 16);
}

static void narrow_d_avx512(struct jit_block *t, enum narrowing how, unsigned n)
{
	struct x86 *x = &t->x;
	unsigned from = n;
	if (how == TO_UNSIGNED) {
		simd_zero(t, T0);
		x86_v(x, E_PMAXSQ, T0, n, T0);
		from = T0;
	}
	x86_v(x, how == SIGNED ? E_PMOVSQD : E_PMOVUSQD, from, 0, T0);
	x86_v(x, how == SIGNED ? V_PMOVSXDQ : V_PMOVZXDQ, T1, 0, T0);
	simd_note_difference(t, T1, n, t->raw >> 28 & 1 ? 8 : 16);
}

/* The host's saturating packs. */
static void narrow_packed(struct jit_block *t, unsigned log2, enum narrowing how, unsigned n)
{
	static const unsigned packs[][2] = {{V_PACKSSWB, V_PACKSSDW}, {V_PACKUSWB, V_PACKUSDW}};
	static const unsigned extends[][2] = {{V_PMOVSXBW, V_PMOVSXWD}, {V_PMOVZXBW, V_PMOVZXWD}};
	struct x86 *x = &t->x;
	if (how == UNSIGNED) { /* large ones look negative to the host */
		x86_vm(x, log2 ? V_PMINUD : V_PMINUW, T0, n,
		       log2 ? JIT_CONSTANT(t, low_s) : JIT_CONSTANT(t, low_h));
		x86_v(x, packs[1][log2], T0, T0, T0);
	} else {
		x86_v(x, packs[how][log2], T0, n, n);
	}
	x86_v(x, extends[how != SIGNED][log2], T1, 0, T0);
	simd_note_difference(t, T1, n, t->raw >> 28 & 1 ? 2u << log2 : 16);
}

/* The elements of @n (not T0, T1) to the destination, or the half of it that Q selects. */
static void narrow(struct jit_block *t, unsigned log2, enum narrowing how, unsigned n)
{
	if (log2 < 2) {
		narrow_packed(t, log2, how, n);
	} else if (t->jit->host & JIT_HOST_AVX512) {
		narrow_d_avx512(t, how, n);
	} else {
		narrow_d(t, how, n);
	}
	if (t->raw >> 28 & 1) {
		simd_put_low(t, 1u << log2);
	} else {
		simd_to_half(t);
	}
}

/* SQXTN, SQXTUN, UQXTN. */
void jit_simd_saturate_narrow(struct jit_block *t)
{
	simd_enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16);
	narrow(t, simd_log2(t), narrowing(t, t->raw >> 14 & 1), n);
}

/* SQSHRN, SQRSHRN, UQSHRN, UQRSHRN, SQSHRUN, SQRSHRUN. */
void jit_simd_saturate_shift_narrow(struct jit_block *t)
{
	unsigned log2 = simd_imm_log2(t->raw), s = simd_imm_right(t->raw, 8u << log2);
	enum narrowing how = narrowing(t, t->raw >> 12 & 1);
	simd_enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16);
	simd_shift_right(t, log2 + 1, how != UNSIGNED, t->raw >> 11 & 1, n, s);
	x86_v(&t->x, V_MOVDQA, T2, 0, T0);
	narrow(t, log2, how, T2);
}
