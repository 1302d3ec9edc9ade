/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fpcomplex.c - translate arithmetic of complex numbers: pairs of lanes, the real part first
 *
 * How it works: a rotation by 90 degrees is an exchange of both parts and a change of one's sign.
 * Half precision goes to the handlers. Threads: the vCPU thread.
 */
#include "engine/soft/jit/fp.h"

static bool is_wide(const struct jit_block *t)
{
	return t->op == A64_FCADD_v_d || t->op == A64_FCMLA_v_d;
}

static void begin(struct jit_block *t)
{
	jit_fp_enter(t);
	jit_fp_need(t, JIT_FP_INEXACT);
	jit_flags_clobber(t);
}

/* @to = @from with the parts of each pair exchanged. */
static void exchange(struct jit_block *t, unsigned to, unsigned from)
{
	x86_vrr_imm(&t->x, V_PSHUFD, to, 0, from, is_wide(t) ? 0x4e : 0xb1);
}

/* Change the signs of the real or the imaginary parts of @reg. */
static void negate(struct jit_block *t, unsigned reg, bool imaginary, unsigned temp)
{
	struct x86 *x = &t->x;
	x86_vm(x, V_MOVDQA, temp, 0, JIT_CONSTANT(t, sign_d)); /* the upper half of each 64 bits */
	if (is_wide(t)) {
		x86_vshift(x, imaginary ? V_PSLLDQ : V_PSRLDQ, temp, temp, 8);
	} else if (!imaginary) {
		x86_vshift(x, V_PSRLQ, temp, temp, 32);
	}
	x86_v(x, V_PXOR, reg, reg, temp);
}

/* FCADD: n + m * i, or n - m * i. */
void jit_simd_complex_add(struct jit_block *t)
{
	bool backwards = t->raw >> 12 & 1;
	begin(t);
	unsigned n = fp_only_lanes(t, A64_Rn(t->raw), T0), m = fp_only_lanes(t, A64_Rm(t->raw), T1);
	exchange(t, T1, m);
	negate(t, T1, backwards, T2);
	x86_v(&t->x, is_wide(t) ? V_ADDPD : V_ADDPS, T0, n, T1);
	jit_fp_check_lanes(t, is_wide(t), true);
	x86_v(&t->x, V_MOVDQA, simd_to(t), 0, T0);
}

/*
 * FCMLA, of vectors and by element: d + one part of n, times m turned by as many quarters as the
 * part and the sign of the result ask for.
 */
void jit_simd_complex_multiply(struct jit_block *t)
{
	static const unsigned ops[2][2] = {{V_FMADDPS, V_FMADDPD}, {V_FNMADDPS, V_FNMADDPD}};
	struct x86 *x = &t->x;
	bool by_element = t->op == A64_FCMLA_elem_s;
	unsigned quarters = by_element ? A64_rot13(t->raw) : A64_rot12(t->raw);
	bool turns = quarters & 1, wide = is_wide(t);
	begin(t);
	unsigned m;
	if (by_element) {
		m = jit_vread(t, A64_ixm(t->raw) << 4 | A64_Rm4(t->raw), 16);
		x86_vrr_imm(x, V_PSHUFD, T2, 0, m, A64_ixh(t->raw) ? 0xee : 0x44);
	} else {
		m = fp_only_lanes(t, A64_Rm(t->raw), T2);
		x86_v(x, V_MOVDQA, T2, 0, m);
	}
	if (turns) {
		exchange(t, T2, T2);
		negate(t, T2, quarters == 3, T1);
	}
	unsigned n = fp_only_lanes(t, A64_Rn(t->raw), T1);
	x86_vrr_imm(x, V_PSHUFD, T1, 0, n, wide ? (turns ? 0xee : 0x44) : (turns ? 0xf5 : 0xa0));
	unsigned d = fp_only_lanes(t, A64_Rd(t->raw), T0);
	x86_v(x, V_MOVDQA, T0, 0, d);
	x86_v(x, ops[quarters == 2][wide], T0, T1, T2);
	jit_fp_check_lanes(t, wide, false);
	x86_v(x, V_MOVDQA, simd_to(t), 0, T0);
}
