/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp.h - what the emitters of floating point share
 *
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_JIT_FP_H
#define ORIEL_ENGINE_SOFT_JIT_FP_H

#include "engine/soft/jit/simd.h"

enum { COND_ALWAYS = 14 };
/* ROUNDSD's immediates: nearest, down, up, to zero, by MXCSR; without the host's "inexact". */
enum { NEAREST = 8, DOWN, UP, ZERO, CURRENT };

/* Rows of single and double precision. */
static inline bool fp_is_double(const struct jit_block *t)
{
	return t->raw >> 22 & 1;
}

static inline bool fp_is_scalar(const struct jit_block *t)
{
	return t->raw >> 28 & 1;
}

/* Of scalar rows with all three precisions. */
static inline bool fp_is_half(const struct jit_block *t)
{
	return (t->raw >> 22 & 3) == 3;
}

/* An operation of the host: PS, PD, SS, SD; the one for the instruction. */
typedef unsigned fp_forms[2][2];

static inline unsigned fp_form(const struct jit_block *t, const fp_forms forms)
{
	return forms[fp_is_scalar(t)][fp_is_double(t)];
}

/* V register @n with no lanes but the instruction's: itself, or @temp. */
static inline unsigned fp_only_lanes(struct jit_block *t, unsigned n, unsigned temp)
{
	unsigned from = jit_vread(t, n, simd_bytes(t));
	if (fp_is_scalar(t) || simd_bytes(t) == 16) {
		return from;
	}
	x86_v(&t->x, V_MOVQ, temp, 0, from);
	return temp;
}

/*
 * T0 holds a result, single or double (@is_wide): what is not a normal number well above the
 * smallest goes to the handler; of a sum only infinities and NaNs.  The host's flags and RDX
 * change: jit_flags_clobber() must come first.
 */
void jit_fp_check(struct jit_block *t, bool is_wide, bool is_sum);
/* The same of all lanes that the instruction works on.  T1 changes. */
void jit_fp_check_lanes(struct jit_block *t, bool is_wide, bool is_sum);
/* Lanes of T1 with the top bit set go to the handler. */
void jit_fp_check_signs(struct jit_block *t, bool is_wide);
/* T0 = @reg * 2^@exponent, which is exact or overflows.  @temp and RDX change. */
void jit_fp_scale(struct jit_block *t, unsigned reg, unsigned temp, int exponent);
/*
 * T0 = @n and the largest number below 0.5, with its sign: truncated, that is @n rounded to nearest with ties away from 0.
 * JIT_FP_KEPT and JIT_FP_NEAREST must be asked for first.
 */
void jit_fp_add_half(struct jit_block *t, unsigned n);
/* @to = the integer in RDX, 64 or 32 bits, as the instruction's precision. */
void jit_fp_from_register(struct jit_block *t, unsigned to, bool wide, bool is_unsigned);
/* RDX = the integer in @from, truncated to 64 or 32 bits; to the handler if it does not fit.  RCX changes. */
void jit_fp_truncate(struct jit_block *t, unsigned from, bool wide, bool is_unsigned);

#endif
