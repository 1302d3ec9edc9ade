/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vshift.c - translate Advanced SIMD shifts by immediates, and widening
 *
 * How it works: the host shifts elements of 16 bits and more; bytes are shifted as 16-bit elements
 * and what came in from the neighbour is masked.  A signed shift that the host lacks is an unsigned
 * one, then (v ^ s) - s with the sign's new place s. Threads: the vCPU thread.
 */
#include "engine/soft/jit/simd.h"
#include "engine/soft/simd.h"

static const unsigned lefts[] = {V_PSLLW, V_PSLLW, V_PSLLD, V_PSLLQ};
static const unsigned rights[] = {V_PSRLW, V_PSRLW, V_PSRLD, V_PSRLQ};
static const unsigned arithmetic[] = {0, V_PSRAW, V_PSRAD, 0};
static const unsigned adds[] = {V_PADDB, V_PADDW, V_PADDD, V_PADDQ};
static const unsigned subs[] = {V_PSUBB, V_PSUBW, V_PSUBD, V_PSUBQ};

/* T0 = n >> s; T1 changes. */
static void shift_right(struct jit_block *t, unsigned log2, bool is_signed, unsigned n, unsigned s)
{
	struct x86 *x = &t->x;
	if (is_signed && log2 == 3 && t->jit->host & JIT_HOST_AVX512) {
		x86_vshift(x, E_PSRAQ, T0, n, s);
		return;
	}
	if (is_signed && arithmetic[log2]) {
		x86_vshift(x, arithmetic[log2], T0, n, s);
		return;
	}
	unsigned bits = 8u << log2;
	if (is_signed && s == bits) {
		s = bits - 1; /* the same */
	}
	x86_vshift(x, rights[log2], T0, n, s);
	if (log2 == 0) {
		x86_vm(x, V_PAND, T0, T0, JIT_CONSTANT(t, right_masks[s]));
	}
	if (is_signed && log2 == 0) {
		x86_vm(x, V_PXOR, T0, T0, JIT_CONSTANT(t, right_signs[s]));
		x86_vm(x, V_PSUBB, T0, T0, JIT_CONSTANT(t, right_signs[s]));
	} else if (is_signed) {
		x86_vm(x, V_MOVDQA, T1, 0, JIT_CONSTANT(t, sign_d));
		x86_vshift(x, V_PSRLQ, T1, T1, s);
		x86_v(x, V_PXOR, T0, T0, T1);
		x86_v(x, V_PSUBQ, T0, T0, T1);
	}
}

void simd_shift_right(struct jit_block *t, unsigned log2, bool is_signed, bool rounds, unsigned n,
		      unsigned s)
{
	struct x86 *x = &t->x;
	if (!rounds) {
		shift_right(t, log2, is_signed, n, s);
		return;
	}
	/* y = n >> (s - 1), and half of y rounded up is y - (y >> 1) */
	if (s > 1) {
		shift_right(t, log2, is_signed, n, s - 1);
	} else {
		x86_v(x, V_MOVDQA, T0, 0, n);
	}
	const unsigned *host = is_signed ? arithmetic : rights;
	if (log2 && host[log2]) {
		x86_vshift(x, host[log2], T1, T0, 1);
		x86_v(x, subs[log2], T0, T0, T1);
	} else if (!is_signed) {
		simd_zero(t, T1);
		x86_v(x, V_PAVGB, T0, T0, T1);
	} else {
		x86_v(x, V_MOVDQA, T2, 0, T0);
		shift_right(t, log2, true, T0, 1);
		x86_v(x, subs[log2], T0, T2, T0);
	}
}

/* ----- turns: SHL with SRI or USRA, USHR with SLI ----- */

/* Does the next instruction make this shift a turn of words or doublewords? */
static bool becomes_turn(struct jit_block *t, unsigned log2)
{
	/* all but U and opcode; with immh and immb the same, a left and a right shift make a turn
	 */
	const uint32_t same = 0xdfff07ff;
	uint32_t w = t->raw, next;
	if (log2 < 2 || A64_Rd(w) == A64_Rn(w) || !simd_next(t, &next) || (w ^ next) & same) {
		return false;
	}
	bool is_left = t->op == A64_SHL_s || t->op == A64_SHL_d;
	switch (a64_decode(next)) {
	case A64_SLI_s:
	case A64_SLI_d: return !is_left;
	case A64_SRI_s:
	case A64_SRI_d:
	case A64_USRA_s:
	case A64_USRA_d: return is_left;
	default: return false;
	}
}

static void turn(struct jit_block *t, unsigned log2)
{
	struct x86 *x = &t->x;
	unsigned n = simd_rn(t), amount = simd_imm_left(t->raw, 8u << log2);
	if (t->jit->host & JIT_HOST_AVX512) {
		x86_vshift(x, log2 == 2 ? E_PROLD : E_PROLQ, simd_to(t), n, amount);
	} else {
		x86_vshift(x, lefts[log2], T0, n, amount);
		x86_vshift(x, rights[log2], T1, n, (8u << log2) - amount);
		x86_v(x, V_POR, simd_to(t), T0, T1);
	}
	t->n++;
}

/* ----- by immediates ----- */

/* SSHR, USHR, SSRA, USRA, SRSHR, URSHR, SRSRA, URSRA. */
void jit_simd_shift_right(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned log2 = simd_imm_log2(t->raw), s = simd_imm_right(t->raw, 8u << log2);
	bool is_signed = !(t->raw >> 29 & 1), rounds = t->raw >> 13 & 1, adds_up = t->raw >> 12 & 1;
	jit_fp_enter(t);
	if (!is_signed && !rounds && !adds_up && becomes_turn(t, log2)) {
		turn(t, log2);
		return;
	}
	unsigned n = simd_rn(t);
	simd_shift_right(t, log2, is_signed, rounds, n, s);
	if (adds_up) {
		unsigned d = simd_rd(t);
		x86_v(x, adds[log2], simd_to(t), d, T0);
	} else {
		x86_v(x, V_MOVDQA, simd_to(t), 0, T0);
	}
}

void simd_shift_left(struct jit_block *t, unsigned to, unsigned log2, unsigned n, unsigned s)
{
	x86_vshift(&t->x, lefts[log2], to, n, s);
	if (log2 == 0) {
		x86_vm(&t->x, V_PAND, to, to, JIT_CONSTANT(t, left_masks[s]));
	}
}

void jit_simd_shift_left(struct jit_block *t)
{
	unsigned log2 = simd_imm_log2(t->raw), s = simd_imm_left(t->raw, 8u << log2);
	jit_fp_enter(t);
	if (becomes_turn(t, log2)) {
		turn(t, log2);
		return;
	}
	unsigned n = simd_rn(t);
	simd_shift_left(t, simd_to(t), log2, n, s);
}

/* Bytes: T0 and T1 are what comes in and what stays. */
static void shift_insert_b(struct jit_block *t, bool right, unsigned s, unsigned n, unsigned d)
{
	struct x86 *x = &t->x;
	if (right) {
		x86_vshift(x, V_PSRLW, T0, n, s);
		x86_vm(x, V_PAND, T0, T0, JIT_CONSTANT(t, right_masks[s]));
		x86_vm(x, V_PAND, T1, d, JIT_CONSTANT(t, left_masks[8 - s]));
	} else {
		simd_shift_left(t, T0, 0, n, s);
		x86_vm(x, V_PAND, T1, d, JIT_CONSTANT(t, right_masks[8 - s]));
	}
}

/* SLI, SRI: the destination keeps the bits that nothing is shifted to. */
void jit_simd_shift_insert(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned log2 = simd_imm_log2(t->raw), bits = 8u << log2;
	bool right = !(t->raw >> 12 & 1);
	unsigned s = right ? simd_imm_right(t->raw, bits) : simd_imm_left(t->raw, bits);
	const unsigned *there = right ? rights : lefts, *back = right ? lefts : rights;
	jit_fp_enter(t);
	unsigned n = simd_rn(t), d = simd_rd(t);
	if (log2 == 0) {
		shift_insert_b(t, right, s, n, d);
	} else {
		x86_vshift(x, there[log2], T0, n, s);
		x86_vshift(x, there[log2], T1, d, bits - s);
		x86_vshift(x, back[log2], T1, T1, bits - s);
	}
	x86_v(x, V_POR, simd_to(t), T0, T1);
}

/* ----- widening and narrowing ----- */

void simd_widen(struct jit_block *t, unsigned to, unsigned from, unsigned log2, bool is_signed)
{
	static const unsigned ops[][3] = {{V_PMOVZXBW, V_PMOVZXWD, V_PMOVZXDQ},
					  {V_PMOVSXBW, V_PMOVSXWD, V_PMOVSXDQ}};
	static const unsigned zips[] = {V_PUNPCKHBW, V_PUNPCKHWD, V_PUNPCKHDQ};
	bool upper = simd_bytes(t) == 16;
	if (upper && !is_signed && to != from) {
		simd_zero(t, to);
		x86_v(&t->x, zips[log2], to, from, to);
		return;
	}
	if (upper) {
		x86_vrr_imm(&t->x, V_PSHUFD, to, 0, from, 0xee);
		from = to;
	}
	x86_v(&t->x, ops[is_signed][log2], to, 0, from);
}

/* SSHLL, USHLL. */
void jit_simd_shift_long(struct jit_block *t)
{
	unsigned log2 = simd_imm_log2(t->raw), s = simd_imm_left(t->raw, 8u << log2);
	jit_fp_enter(t);
	unsigned n = simd_rn(t), to = jit_vwrite(t, A64_Rd(t->raw), 16);
	simd_widen(t, to, n, log2, !(t->raw >> 29 & 1));
	if (s) {
		x86_vshift(&t->x, lefts[log2 + 1], to, to, s);
	}
}

/* SHLL: by the element's width. */
void jit_simd_shift_long_whole(struct jit_block *t)
{
	unsigned log2 = simd_log2(t);
	jit_fp_enter(t);
	unsigned n = simd_rn(t), to = jit_vwrite(t, A64_Rd(t->raw), 16);
	simd_widen(t, to, n, log2, false);
	x86_vshift(&t->x, lefts[log2 + 1], to, to, 8u << log2);
}
