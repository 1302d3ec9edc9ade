/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vpair.c - translate Advanced SIMD operations on pairs of elements and across all lanes
 *
 * Threads: the vCPU thread.
 */
#include "engine/soft/jit/simd.h"

static const unsigned adds[] = {V_PADDB, V_PADDW, V_PADDD, V_PADDQ};
static const unsigned signed_max[] = {V_PMAXSB, V_PMAXSW, V_PMAXSD},
		      signed_min[] = {V_PMINSB, V_PMINSW, V_PMINSD};
static const unsigned unsigned_max[] = {V_PMAXUB, V_PMAXUW, V_PMAXUD},
		      unsigned_min[] = {V_PMINUB, V_PMINUW, V_PMINUD};

/* ----- pairs ----- */

/* ADDP, SMAXP, UMAXP, SMINP, UMINP. */
void jit_simd_pairwise(struct jit_block *t)
{
	unsigned log2 = simd_log2(t), op;
	bool is_unsigned = t->raw >> 29 & 1;
	jit_fp_enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	switch (t->raw >> 11 & 0x1f) {
	case 0x14: op = is_unsigned ? unsigned_max[log2] : signed_max[log2]; break;
	case 0x15: op = is_unsigned ? unsigned_min[log2] : signed_min[log2]; break;
	default: op = adds[log2]; break;
	}
	simd_unzip(t, n, m, log2);
	x86_v(&t->x, op, simd_to(t), T0, T1);
}

void jit_simd_pair_d(struct jit_block *t)
{
	jit_fp_enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16);
	x86_vrr_imm(&t->x, V_PSHUFD, T0, 0, n, 0xee);
	x86_v(&t->x, V_PADDQ, jit_vwrite(t, A64_Rd(t->raw), 8), n, T0);
}

/* T0 = sums of neighbours of n, twice as wide. */
static void add_neighbours(struct jit_block *t, unsigned log2, bool is_signed, unsigned n)
{
	struct x86 *x = &t->x;
	if (log2 == 0 && is_signed) {
		x86_vm(x, V_MOVDQA, T0, 0, JIT_CONSTANT(t, ones_b));
		x86_v(x, V_PMADDUBSW, T0, T0, n);
	} else if (log2 == 0) {
		x86_vm(x, V_PMADDUBSW, T0, n, JIT_CONSTANT(t, ones_b));
	} else if (log2 == 1 && is_signed) {
		x86_vm(x, V_PMADDWD, T0, n, JIT_CONSTANT(t, ones_h));
	} else if (log2 == 1) {
		x86_vm(x, V_PAND, T0, n, JIT_CONSTANT(t, low_s));
		x86_vshift(x, V_PSRLD, T1, n, 16);
		x86_v(x, V_PADDD, T0, T0, T1);
	} else {
		unsigned product = is_signed ? V_PMULDQ : V_PMULUDQ;
		x86_vm(x, product, T0, n, JIT_CONSTANT(t, ones_s));
		x86_vshift(x, V_PSRLQ, T1, n, 32);
		x86_vm(x, product, T1, T1, JIT_CONSTANT(t, ones_s));
		x86_v(x, V_PADDQ, T0, T0, T1);
	}
}

/* SADDLP, UADDLP, SADALP, UADALP. */
void jit_simd_add_long_pairs(struct jit_block *t)
{
	unsigned log2 = simd_log2(t);
	bool is_signed = !(t->raw >> 29 & 1), adds_up = t->raw >> 14 & 1;
	jit_fp_enter(t);
	add_neighbours(t, log2, is_signed, simd_rn(t));
	simd_accumulate(t, log2 + 1, adds_up, false);
}

/* ----- across lanes ----- */

/* Fold T0 (@bytes) by @op until one element of 2^@log2 bytes is left. */
static void fold(struct jit_block *t, unsigned op, unsigned bytes, unsigned log2)
{
	for (unsigned half = bytes / 2; half >= 1u << log2; half /= 2) {
		x86_vshift(&t->x, V_PSRLDQ, T1, T0, half);
		x86_v(&t->x, op, T0, T0, T1);
	}
}

/* T0's low doubleword = the sum of n's bytes. */
static void add_bytes(struct jit_block *t, unsigned n)
{
	struct x86 *x = &t->x;
	simd_zero(t, T0);
	x86_v(x, V_PSADBW, T0, n, T0);
	if (simd_bytes(t) == 16) {
		x86_vrr_imm(x, V_PSHUFD, T1, 0, T0, 0xee);
		x86_v(x, V_PADDD, T0, T0, T1);
	}
}

/* ADDV, SMAXV, UMAXV, SMINV, UMINV. */
void jit_simd_across(struct jit_block *t)
{
	unsigned log2 = simd_log2(t), op;
	bool is_unsigned = t->raw >> 29 & 1;
	jit_fp_enter(t);
	switch (t->raw >> 12 & 0x1f) {
	case 0x0a: op = is_unsigned ? unsigned_max[log2] : signed_max[log2]; break;
	case 0x1a: op = is_unsigned ? unsigned_min[log2] : signed_min[log2]; break;
	default: op = adds[log2]; break;
	}
	unsigned n = simd_rn(t);
	if (op == V_PADDB) {
		add_bytes(t, n);
		x86_vm(&t->x, V_PAND, jit_vwrite(t, A64_Rd(t->raw), 16), T0,
		       JIT_CONSTANT(t, low_byte));
		return;
	}
	x86_v(&t->x, V_MOVDQA, T0, 0, n);
	fold(t, op, simd_bytes(t), log2);
	simd_put_low(t, 1u << log2);
}

/* SADDLV, UADDLV: the sums of neighbours, folded. */
void jit_simd_across_long(struct jit_block *t)
{
	unsigned log2 = simd_log2(t);
	bool is_unsigned = t->raw >> 29 & 1;
	jit_fp_enter(t);
	if (log2 == 0 && is_unsigned) {
		add_bytes(t, simd_rn(t));
		simd_put_low(t, 8);
		return;
	}
	add_neighbours(t, log2, !is_unsigned, simd_rn(t));
	fold(t, adds[log2 + 1], simd_bytes(t), log2 + 1);
	simd_put_low(t, 2u << log2);
}
