/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fpselect.c - translate maximum and minimum of single and double precision
 *
 * How it works: the host gives its second operand if both are equal, which zeros of different
 * signs are.  So it is asked both ways: AND makes 0 of 0 and -0, OR makes -0, and equal bits stay.
 * NaNs go to the handler. Threads: the vCPU thread.
 */
#include "engine/soft/jit/fp.h"

static const fp_forms max_forms = {{V_MAXPS, V_MAXPD}, {V_MAXSS, V_MAXSD}},
		      min_forms = {{V_MINPS, V_MINPD}, {V_MINSS, V_MINSD}};

static void begin(struct jit_block *t)
{
	jit_fp_enter(t);
	jit_fp_need(t, JIT_FP_KEPT);
	jit_flags_clobber(t);
}

/* T0 = the one of @n and @m; T1 changes.  @m is not T1, and neither is T0 unless @n is. */
static void choose(struct jit_block *t, unsigned n, unsigned m)
{
	bool least = fp_is_min(t);
	unsigned op = fp_form(t, least ? min_forms : max_forms);
	x86_v(&t->x, op, T1, m, n);
	x86_v(&t->x, op, T0, n, m);
	x86_v(&t->x, least ? V_POR : V_PAND, T0, T0, T1);
}

static void check_scalars(struct jit_block *t, unsigned n, unsigned m)
{
	x86_v(&t->x, fp_is_double(t) ? V_UCOMISD : V_UCOMISS, n, 0, m);
	jit_slow(t, x86_jcc_later(&t->x, CC_P));
}

static void check_lanes(struct jit_block *t, unsigned n, unsigned m)
{
	enum { UNORDERED = 3 };
	x86_vrr_imm(&t->x, fp_is_double(t) ? V_CMPPD : V_CMPPS, T1, n, m, UNORDERED);
	jit_fp_check_signs(t, fp_is_double(t));
}

static void put(struct jit_block *t, unsigned bytes)
{
	x86_v(&t->x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), bytes), 0, T0);
}

/* FMAX, FMIN, FMAXNM, FMINNM of scalars. */
void jit_fp_select_by_value(struct jit_block *t)
{
	unsigned bytes = fp_is_double(t) ? 8 : 4;
	begin(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), bytes), m = jit_vread(t, A64_Rm(t->raw), bytes);
	check_scalars(t, n, m);
	choose(t, n, m);
	put(t, bytes);
}

/* The same of vectors, and FMAXP, FMINP, FMAXNMP, FMINNMP. */
void jit_simd_fp_select(struct jit_block *t)
{
	bool pairs = t->raw >> 29 & 1;
	begin(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	if (pairs) {
		simd_unzip(t, n, m, fp_is_double(t) ? 3 : 2);
		x86_v(&t->x, V_MOVDQA, T2, 0, T1);
		n = T0;
		m = T2;
	}
	check_lanes(t, n, m);
	choose(t, n, m);
	put(t, simd_bytes(t));
}

/* FMAXP, FMINP, FMAXNMP, FMINNMP of one pair. */
void jit_simd_fp_select_pair(struct jit_block *t)
{
	bool wide = fp_is_double(t);
	begin(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), wide ? 16 : 8);
	x86_vrr_imm(&t->x, V_PSHUFD, T2, 0, n, wide ? 0xee : 0xe5);
	check_scalars(t, n, T2);
	choose(t, n, T2);
	put(t, wide ? 8 : 4);
}

/* FMAXV, FMINV, FMAXNMV, FMINNMV of four singles. */
void jit_simd_fp_select_across(struct jit_block *t)
{
	begin(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16);
	check_lanes(t, n, n);
	x86_vrr_imm(&t->x, V_PSHUFD, T2, 0, n, 0x4e);
	choose(t, n, T2);
	x86_vrr_imm(&t->x, V_PSHUFD, T2, 0, T0, 0xb1);
	choose(t, T0, T2);
	put(t, 4);
}
