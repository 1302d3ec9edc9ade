/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfp.c - translate Advanced SIMD floating point, vectors and scalars
 *
 * How it works: as fp.c, all lanes at once; one lane that needs care sends the instruction to
 * its handler.  What the host computes in lanes that the instruction does not have must not be seen
 * in MXCSR (mxcsr.h): scalars are computed as such, 64-bit vectors with zeros above them.
 * Threads: the vCPU thread.
 */
#include "engine/soft/jit/fp.h"

static unsigned lane_count(const struct jit_block *t, bool is_wide)
{
	return fp_is_scalar(t) ? 1 : simd_bytes(t) / (is_wide ? 8 : 4);
}

/* A jump that is taken if the top bit of a lane of T1 is set. */
static uint8_t *any_sign(struct jit_block *t, bool is_wide)
{
	struct x86 *x = &t->x;
	unsigned lanes = lane_count(t, is_wide);
	x86_v(x, is_wide ? V_MOVMSKPD : V_MOVMSKPS, RDX, 0, T1);
	if (lanes == (is_wide ? 2 : 4)) {
		x86_rr(x, X_TEST, false, RDX, RDX);
	} else {
		x86_test_imm(x, false, RDX, (1u << lanes) - 1);
	}
	return x86_jcc_later(x, CC_NE);
}

void jit_fp_check_signs(struct jit_block *t, bool is_wide)
{
	jit_slow(t, any_sign(t, is_wide));
}

void jit_fp_check_lanes(struct jit_block *t, bool is_wide, bool is_sum)
{
	struct x86 *x = &t->x;
	x86_vm(x, V_PAND, T1, T0, is_wide ? JIT_CONSTANT(t, abs_d) : JIT_CONSTANT(t, abs_s));
	if (is_sum) {
		x86_vm(x, V_PCMPGTD, T1, T1,
		       is_wide ? JIT_CONSTANT(t, large_d) : JIT_CONSTANT(t, large_s));
		jit_fp_check_signs(t, is_wide);
	} else { /* as unsigned: exponent less 2 */
		x86_vm(x, V_PADDD, T1, T1,
		       is_wide ? JIT_CONSTANT(t, bias_d) : JIT_CONSTANT(t, bias_s));
		x86_vm(x, V_PCMPGTD, T1, T1,
		       is_wide ? JIT_CONSTANT(t, beyond_d) : JIT_CONSTANT(t, beyond_s));
		jit_slow_unless_tiny(t, any_sign(t, is_wide), is_wide, lane_count(t, is_wide));
	}
}

void jit_fp_scale(struct jit_block *t, unsigned reg, unsigned temp, int exponent)
{
	static const fp_forms ops = {{V_MULPS, V_MULPD}, {V_MULSS, V_MULSD}};
	struct x86 *x = &t->x;
	bool wide = fp_is_double(t);
	uint64_t factor =
		wide ? (uint64_t)(1023 + exponent) << 52 : (uint64_t)(127 + exponent) << 23;
	x86_mov_imm(x, RDX, factor);
	x86_v(x, V_MOVQ_IN, temp, 0, RDX);
	if (!fp_is_scalar(t)) {
		simd_spread(t, temp, temp, wide ? 3 : 2, 0);
	}
	x86_v(x, fp_form(t, ops), T0, reg, temp);
}

static void begin(struct jit_block *t, bool rounds)
{
	jit_fp_enter(t);
	if (rounds) {
		jit_fp_need(t, JIT_FP_INEXACT);
	}
	jit_flags_clobber(t);
}

static void put(struct jit_block *t)
{
	bool single = fp_is_scalar(t) && !fp_is_double(t);
	x86_v(&t->x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), single ? 4 : simd_bytes(t)), 0, T0);
}

/* FADD, FSUB, FMUL, FDIV, FABD, FSQRT; FMULX, but for infinities times 0, which the handler does.
 */
void jit_simd_fp_arithmetic(struct jit_block *t)
{
	static const fp_forms ops[] = {
		[FP_ADD] = {{V_ADDPS, V_ADDPD}}, /* scalar forms are of the general rows */
		[FP_SUB] = {{V_SUBPS, V_SUBPD}, {V_SUBSS, V_SUBSD}}, /* FABD */
		[FP_MUL] = {{V_MULPS, V_MULPD}, {V_MULSS, V_MULSD}}, /* FMULX */
		[FP_DIV] = {{V_DIVPS, V_DIVPD}},
		[FP_SQRT] = {{V_SQRTPS, V_SQRTPD}}};
	enum fp_operation operation = fp_operation(t);
	bool root = operation == FP_SQRT, magnitude = operation == FP_SUB && t->raw >> 29 & 1;
	begin(t, true);
	unsigned n = fp_only_lanes(t, A64_Rn(t->raw), T0),
		 m = root ? n : fp_only_lanes(t, A64_Rm(t->raw), T1);
	x86_v(&t->x, fp_form(t, ops[operation]), T0, root ? 0 : n, m);
	jit_fp_check_lanes(t, fp_is_double(t), operation <= FP_SUB);
	if (magnitude) {
		x86_vm(&t->x, V_PAND, T0, T0,
		       fp_is_double(t) ? JIT_CONSTANT(t, abs_d) : JIT_CONSTANT(t, abs_s));
	}
	put(t);
}

/* T0 = d +- n * m. */
static void fuse(struct jit_block *t, bool subtracts, unsigned n, unsigned m)
{
	static const fp_forms ops[] = {{{V_FMADDPS, V_FMADDPD}, {V_FMADDSS, V_FMADDSD}},
				       {{V_FNMADDPS, V_FNMADDPD}, {V_FNMADDSS, V_FNMADDSD}}};
	unsigned d = fp_only_lanes(t, A64_Rd(t->raw), T0);
	x86_v(&t->x, V_MOVDQA, T0, 0, d);
	x86_v(&t->x, fp_form(t, ops[subtracts]), T0, n, m);
}

/* FMLA, FMLS. */
void jit_simd_fp_fuse(struct jit_block *t)
{
	begin(t, true);
	unsigned n = fp_only_lanes(t, A64_Rn(t->raw), T1), m = fp_only_lanes(t, A64_Rm(t->raw), T2);
	fuse(t, t->raw >> 23 & 1, n, m);
	jit_fp_check_lanes(t, fp_is_double(t), false);
	put(t);
}

/* FMUL, FMULX, FMLA, FMLS by element. */
void jit_simd_fp_elem(struct jit_block *t)
{
	static const fp_forms mul = {{V_MULPS, V_MULPD}, {V_MULSS, V_MULSD}};
	unsigned opcode = t->raw >> 12 & 15;
	begin(t, true);
	unsigned n = fp_only_lanes(t, A64_Rn(t->raw), T2),
		 m = simd_factor(t, fp_is_double(t) ? 3 : 2, T1);
	if (opcode == 9) {
		x86_v(&t->x, fp_form(t, mul), T0, n, m);
	} else {
		fuse(t, opcode == 5, n, m);
	}
	jit_fp_check_lanes(t, fp_is_double(t), false);
	put(t);
}

/* FRECPS: 2 - n * m, FRSQRTS: (3 - n * m) / 2.  0 times infinity, which counts as 0, is left to the
 * handler. */
void jit_simd_fp_step(struct jit_block *t)
{
	static const fp_forms fuses = {{V_FNMADDPS, V_FNMADDPD}, {V_FNMADDSS, V_FNMADDSD}};
	bool root = t->raw >> 23 & 1;
	begin(t, true);
	unsigned n = fp_only_lanes(t, A64_Rn(t->raw), T1), m = fp_only_lanes(t, A64_Rm(t->raw), T2);
	x86_vm(&t->x, V_MOVDQA, T0, 0,
	       fp_is_double(t) ? JIT_CONSTANT(t, two_three_d[root])
			       : JIT_CONSTANT(t, two_three_s[root]));
	x86_v(&t->x, fp_form(t, fuses), T0, n, m);
	jit_fp_check_lanes(t, fp_is_double(t), false);
	if (root) { /* exact: it is no small number */
		jit_fp_scale(t, T0, T1, -1);
	}
	put(t);
}

/* FABS, FNEG. */
void jit_simd_fp_sign(struct jit_block *t)
{
	bool negates = t->raw >> 29 & 1;
	jit_fp_enter(t);
	unsigned n = simd_rn(t), to = simd_to(t);
	if (negates) {
		x86_vm(&t->x, V_PXOR, to, n,
		       fp_is_double(t) ? JIT_CONSTANT(t, sign_d) : JIT_CONSTANT(t, sign_s));
	} else {
		x86_vm(&t->x, V_PAND, to, n,
		       fp_is_double(t) ? JIT_CONSTANT(t, abs_d) : JIT_CONSTANT(t, abs_s));
	}
}

/* FADDP of vectors. */
void jit_simd_fp_add_pairs(struct jit_block *t)
{
	begin(t, true);
	unsigned n = simd_rn(t), m = simd_rm(t);
	simd_unzip(t, n, m, fp_is_double(t) ? 3 : 2); /* lanes of 64-bit vectors are operands too */
	x86_v(&t->x, fp_is_double(t) ? V_ADDPD : V_ADDPS, T0, T0, T1);
	jit_fp_check_lanes(t, fp_is_double(t), true);
	put(t);
}

/* FADDP of one pair. */
void jit_simd_fp_add_pair(struct jit_block *t)
{
	begin(t, true);
	unsigned n = jit_vread(t, A64_Rn(t->raw), fp_is_double(t) ? 16 : 8);
	x86_vrr_imm(&t->x, V_PSHUFD, T0, 0, n, fp_is_double(t) ? 0xee : 0xe5);
	x86_v(&t->x, fp_is_double(t) ? V_ADDSD : V_ADDSS, T0, n, T0);
	jit_fp_check(t, fp_is_double(t), true);
	put(t);
}

struct fp_comparison fp_comparison(const struct jit_block *t)
{
	bool u = t->raw >> 29 & 1, a = t->raw >> 23 & 1;
	unsigned opcode = t->raw >> 12 & 0x1f; /* 12: GT, GE; 13: EQ, LE; 14: LT */
	struct fp_comparison c = {.with_zero = !(t->raw >> 10 & 1)};
	if (c.with_zero) {
		c.order = opcode == 13 && !u ? FP_EQ : u ? FP_GE : FP_GT;
		c.swaps = opcode == 14 || (opcode == 13 && u);
	} else {
		c.order = !u ? FP_EQ : a ? FP_GT : FP_GE;
		c.magnitudes = t->raw >> 11 & 1;
	}
	return c;
}

/* FCMEQ, FCMGE, FCMGT, FACGE, FACGT and the comparisons with zero. */
void jit_simd_fp_compare(struct jit_block *t)
{
	enum { EQUAL, LESS, LESS_OR_EQUAL, UNORDERED };
	static const uint8_t predicates[] = {
		[FP_EQ] = EQUAL, [FP_GE] = LESS_OR_EQUAL, [FP_GT] = LESS}; /* of m and n */
	static const fp_forms ops = {{V_CMPPS, V_CMPPD}, {V_CMPSS, V_CMPSD}};
	struct x86 *x = &t->x;
	const unsigned op = fp_form(t, ops);
	const struct fp_comparison c = fp_comparison(t);
	begin(t, false);
	unsigned n = fp_only_lanes(t, A64_Rn(t->raw), T0), m = T2;
	if (c.with_zero) {
		simd_zero(t, T2);
	} else {
		m = fp_only_lanes(t, A64_Rm(t->raw), T2);
	}
	if (c.magnitudes) {
		x86_vm(x, V_PAND, T0, n,
		       fp_is_double(t) ? JIT_CONSTANT(t, abs_d) : JIT_CONSTANT(t, abs_s));
		x86_vm(x, V_PAND, T2, m,
		       fp_is_double(t) ? JIT_CONSTANT(t, abs_d) : JIT_CONSTANT(t, abs_s));
		n = T0;
		m = T2;
	}
	x86_vrr_imm(x, op, T1, n, m, UNORDERED);
	jit_fp_check_signs(t, fp_is_double(t));
	x86_vrr_imm(x, op, T0, c.swaps ? n : m, c.swaps ? m : n, predicates[c.order]);
	put(t);
}
