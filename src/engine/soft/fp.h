/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp.h - IEEE 754 arithmetic exactly as the Arm architecture defines it
 *
 * How it works: operands and results are bit patterns in the low bits of a uint64_t, of a format given by @size (log2 of its
 * bytes).  One implementation unpacks to sign, exponent and a 64-bit fraction, computes with 128 bits and rounds once.  fp_fast.h
 * has shortcuts through the host's FP unit for the common cases and falls back to these functions.
 * Each function does what the pseudocode function of the Arm ARM (DDI 0487, "Shared Pseudocode: functions/float") of about the
 * same name does, with all traps disabled: it obeys FPCR.{AHP,DN,FZ,RMode,FZ16} and accumulates FPSR.{IOC,DZC,OFC,UFC,IXC,IDC}.
 * Threads: pure apart from *@e.
 */
#ifndef ORIEL_ENGINE_SOFT_FP_H
#define ORIEL_ENGINE_SOFT_FP_H

#include <stdbool.h>
#include <stdint.h>

struct fp_env {
	uint32_t cr, sr; /* FPCR, FPSR */
};

enum {
	FPCR_FZ16 = 1u << 19,
	FPCR_RMODE_SHIFT = 22,
	FPCR_RMODE = 3u << FPCR_RMODE_SHIFT,
	FPCR_FZ = 1u << 24,
	FPCR_DN = 1u << 25,
	FPCR_AHP = 1u << 26,

	FPSR_IOC = 1u << 0,
	FPSR_DZC = 1u << 1,
	FPSR_OFC = 1u << 2,
	FPSR_UFC = 1u << 3,
	FPSR_IXC = 1u << 4,
	FPSR_IDC = 1u << 7,
	FPSR_QC = 1u << 27,
};

/* Format: log2 of the size in bytes. */
enum fp_size { FP_H = 1, FP_S = 2, FP_D = 3 };

/* The first four are FPCR.RMode. */
enum fp_round {
	FP_TIES_EVEN,
	FP_PLUS_INF,
	FP_MINUS_INF,
	FP_TO_ZERO,
	FP_TIES_AWAY,
	FP_TO_ODD, /* FCVTXN */
};

static inline enum fp_round fp_rmode(const struct fp_env *e)
{
	return (enum fp_round)(e->cr >> FPCR_RMODE_SHIFT & 3);
}

static inline uint64_t fp_sign_bit(unsigned size)
{
	return 1ull << ((8u << size) - 1);
}

/* FPAbs, FPNeg: no flags, NaNs keep their payload. */
static inline uint64_t fp_abs(unsigned size, uint64_t a)
{
	return a & ~fp_sign_bit(size);
}

static inline uint64_t fp_neg(unsigned size, uint64_t a)
{
	return a ^ fp_sign_bit(size);
}

typedef uint64_t fp_unary(struct fp_env *e, unsigned size, uint64_t a);
typedef uint64_t fp_binary(struct fp_env *e, unsigned size, uint64_t a, uint64_t b);
typedef bool fp_predicate(struct fp_env *e, unsigned size, uint64_t a, uint64_t b);

/* FPAdd, FPSub and so on (Arm ARM J1.3.3). */
fp_binary fp_add, fp_sub, fp_mul, fp_div, fp_mulx, fp_abd, fp_nmul;
fp_binary fp_max, fp_min, fp_maxnm, fp_minnm;
/* FRECPS: 2 - a*b; FRSQRTS: (3 - a*b) / 2; both rounded once. */
fp_binary fp_recps, fp_rsqrts;
fp_unary fp_sqrt, fp_recpe, fp_rsqrte, fp_recpx;

/* addend + a*b, rounded once. */
uint64_t fp_muladd(struct fp_env *e, unsigned size, uint64_t addend, uint64_t a, uint64_t b);
/* The same with a single-precision addend and result and half-precision factors (FMLAL). */
uint64_t fp_muladd_half(struct fp_env *e, uint64_t addend, uint64_t a, uint64_t b);

/* FPCompare: NZCV in bits 31:28.  @signalling: a quiet NaN also raises IOC. */
uint32_t fp_compare(struct fp_env *e, unsigned size, uint64_t a, uint64_t b, bool signalling);
/* a == b (quiet), a >= b, a > b, |a| >= |b|, |a| > |b| (signalling). */
fp_predicate fp_eq, fp_ge, fp_gt, fp_abs_ge, fp_abs_gt;

/* FPConvert between formats. */
uint64_t fp_convert(struct fp_env *e, unsigned to, unsigned from, uint64_t a, enum fp_round mode);
/* FPRoundInt.  @exact: raise IXC when the value changes (FRINTX). */
uint64_t fp_round_int(struct fp_env *e, unsigned size, uint64_t a, enum fp_round mode, bool exact);
/* FPToFixed to an integer of @bits (16, 32 or 64) with @fbits fraction bits; the result has zeros above @bits. */
uint64_t fp_to_int(struct fp_env *e, unsigned size, uint64_t a, unsigned bits, unsigned fbits,
		   bool is_unsigned, enum fp_round mode);
/* FixedToFP; @value is sign- or zero-extended to 64 bits. */
uint64_t fp_from_int(struct fp_env *e, unsigned size, uint64_t value, unsigned fbits, bool is_unsigned,
		     enum fp_round mode);
/* FPToFixedJS (FJCVTZS): the value modulo 2^32 in the low half; FP_JS_EXACT if it was an integer in range (and not -0). */
#define FP_JS_EXACT (1ull << 32)
uint64_t fp_to_int_js(struct fp_env *e, uint64_t a);
/* FPRoundIntN (FRINT32Z...): as fp_round_int() with @exact, but what does not fit an integer of @bits becomes the lowest one. */
uint64_t fp_round_to_width(struct fp_env *e, unsigned size, uint64_t a, unsigned bits, enum fp_round mode);

/* The integer estimates behind FRECPE/URECPE (@a 256..511) and FRSQRTE/URSQRTE (@a 128..511); results 256..511. */
unsigned fp_recip_estimate(unsigned a);
unsigned fp_rsqrt_estimate(unsigned a);

#endif
