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

/* Rows of single and double precision. */
static inline bool fp_is_double(const struct jit_block *t)
{
	return t->raw >> 22 & 1;
}

static inline bool fp_is_scalar(const struct jit_block *t)
{
	return t->raw >> 28 & 1;
}

/* Of the scalar group, which has its opcodes elsewhere than Advanced SIMD. */
static inline bool fp_is_general(const struct jit_block *t)
{
	return (t->raw >> 25 & 0x3f) == 0xf;
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

/* Of FMAX, FMIN and their relatives: is it a minimum? */
static inline bool fp_is_min(const struct jit_block *t)
{
	return t->raw >> (fp_is_general(t) ? 12 : 23) & 1;
}

/* What rows for arithmetic compute; FNMUL and FABD change the sign of that. */
enum fp_operation { FP_ADD, FP_SUB, FP_MUL, FP_DIV, FP_SQRT };
enum fp_operation fp_operation(const struct jit_block *t);

/* What FCMcc and FACcc of vectors compare: n with m, or m with n (@swaps); m may be 0. */
enum fp_order { FP_EQ, FP_GE, FP_GT };
struct fp_comparison {
	enum fp_order order;
	bool with_zero, swaps, magnitudes;
};
struct fp_comparison fp_comparison(const struct jit_block *t);

/* How rows round to integral numbers, as the general ones encode it; FP_EXACT: as FPCR says, and
 * FPSR.IXC tells. */
enum fp_rounding { FP_NEAREST, FP_UP, FP_DOWN, FP_ZERO, FP_AWAY, FP_EXACT = 6, FP_CURRENT };
/* Of FRINTcc. */
enum fp_rounding fp_rounding(const struct jit_block *t);
/* Of FCVTcc. */
enum fp_rounding fp_rounding_to_integer(const struct jit_block *t);

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
/* A register that, truncated, is @n rounded: @n or T0.  FP_AWAY: JIT_FP_KEPT and JIT_FP_NEAREST
 * must be asked for first. */
unsigned jit_fp_to_truncate(struct jit_block *t, unsigned n, enum fp_rounding how);
/* @to = the integer in RDX, 64 or 32 bits, as the instruction's precision. */
void jit_fp_from_register(struct jit_block *t, unsigned to, bool wide, bool is_unsigned);
/* RDX = the integer in @from, truncated to 64 or 32 bits; to the handler if it does not fit.
 * RCX changes. */
void jit_fp_truncate(struct jit_block *t, unsigned from, bool wide, bool is_unsigned);

#endif
