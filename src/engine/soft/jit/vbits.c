/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vbits.c - translate Advanced SIMD on the bits and bytes of elements: CNT, RBIT, CLZ, CLS, REV
 *
 * How it works: what the host has no instruction for is looked up by nibbles. Threads: the vCPU
 * thread.
 */
#include "engine/soft/jit/simd.h"

/* T0 and T1 = the low and high nibbles of n. */
static void split_nibbles(struct jit_block *t, unsigned n)
{
	struct x86 *x = &t->x;
	x86_vshift(x, V_PSRLW, T1, n, 4);
	x86_vm(x, V_PAND, T0, n, JIT_CONSTANT(t, low_nibbles));
	x86_vm(x, V_PAND, T1, T1, JIT_CONSTANT(t, low_nibbles));
}

/* T0 = @op of what @low and @high have for the nibbles of n. */
static void look_up(struct jit_block *t, unsigned n, struct x86_mem low, struct x86_mem high,
		    unsigned op)
{
	struct x86 *x = &t->x;
	split_nibbles(t, n);
	x86_vm(x, V_MOVDQA, T2, 0, low);
	x86_v(x, V_PSHUFB, T0, T2, T0);
	x86_vm(x, V_MOVDQA, T2, 0, high);
	x86_v(x, V_PSHUFB, T1, T2, T1);
	x86_v(x, op, T0, T0, T1);
}

void jit_simd_count(struct jit_block *t)
{
	jit_fp_enter(t);
	unsigned n = simd_rn(t);
	if (t->jit->host & JIT_HOST_BYTES) {
		x86_v(&t->x, E_POPCNTB, simd_to(t), 0, n);
		return;
	}
	look_up(t, n, JIT_CONSTANT(t, bit_counts), JIT_CONSTANT(t, bit_counts), V_PADDB);
	x86_v(&t->x, V_MOVDQA, simd_to(t), 0, T0);
}

void jit_simd_reverse_bits(struct jit_block *t)
{
	jit_fp_enter(t);
	look_up(t, simd_rn(t), JIT_CONSTANT(t, bit_reversed_low),
		JIT_CONSTANT(t, bit_reversed_high), V_POR);
	x86_v(&t->x, V_MOVDQA, simd_to(t), 0, T0);
}

/* From the halves of elements to elements, in T0: the lower half counts if the upper one is @full.
 */
static void join_counts(struct jit_block *t, unsigned equals, unsigned shift, unsigned bits,
			unsigned add, struct x86_mem full)
{
	struct x86 *x = &t->x;
	x86_vshift(x, shift, T1, T0, bits);
	x86_vm(x, equals, T2, T0, full);
	x86_vshift(x, shift, T2, T2, bits);
	x86_v(x, V_PAND, T0, T0, T2);
	x86_v(x, add, T0, T0, T1);
}

/* T0 = numbers of leading zeros of n's elements; n may be T0. */
static void count_zeros(struct jit_block *t, unsigned log2, unsigned n)
{
	if (log2 == 2 && t->jit->host & JIT_HOST_AVX512) {
		x86_v(&t->x, E_PLZCNTD, T0, 0, n);
		return;
	}
	look_up(t, n, JIT_CONSTANT(t, zeros_low), JIT_CONSTANT(t, zeros_high), V_PMINUB);
	if (log2 > 0) {
		join_counts(t, V_PCMPEQB, V_PSRLW, 8, V_PADDW, JIT_CONSTANT(t, eights_b));
	}
	if (log2 > 1) {
		join_counts(t, V_PCMPEQW, V_PSRLD, 16, V_PADDD, JIT_CONSTANT(t, sixteens_h));
	}
}

/* CLZ, CLS: with its sign bits turned to zeros, a number has one more of them. */
void jit_simd_leading(struct jit_block *t)
{
	static const unsigned greaters[] = {V_PCMPGTB, V_PCMPGTW, V_PCMPGTD};
	static const unsigned adds[] = {V_PADDB, V_PADDW, V_PADDD};
	struct x86 *x = &t->x;
	unsigned log2 = simd_log2(t);
	bool signs = !(t->raw >> 29 & 1);
	jit_fp_enter(t);
	unsigned n = simd_rn(t);
	if (signs) {
		simd_zero(t, T0);
		x86_v(x, greaters[log2], T0, T0, n);
		x86_v(x, V_PXOR, T0, T0, n);
		n = T0;
	}
	count_zeros(t, log2, n);
	if (signs) {
		x86_vm(x, adds[log2], simd_to(t), T0, JIT_CONSTANT(t, all_bits));
	} else {
		x86_v(x, V_MOVDQA, simd_to(t), 0, T0);
	}
}

/* REV16, REV32, REV64. */
void jit_simd_reverse(struct jit_block *t)
{
	struct x86 *x = &t->x;
	struct x86_mem mask;
	jit_fp_enter(t);
	unsigned n = simd_rn(t);
	switch (t->op) {
	case A64_REV16_b: mask = JIT_CONSTANT(t, rev16_b); break;
	case A64_REV32_b: mask = JIT_CONSTANT(t, rev32_b); break;
	case A64_REV32_h: mask = JIT_CONSTANT(t, rev32_h); break;
	case A64_REV64_b: mask = JIT_CONSTANT(t, rev64_b); break;
	case A64_REV64_h: mask = JIT_CONSTANT(t, rev64_h); break;
	default: x86_vrr_imm(x, V_PSHUFD, simd_to(t), 0, n, 0xb1); return;
	}
	x86_vm(x, V_PSHUFB, simd_to(t), n, mask);
}
