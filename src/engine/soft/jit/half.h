/* SPDX-License-Identifier: Apache-2.0 */
/*
 * half.h - the stubs that compute with half-precision numbers
 *
 * How it works: eight lanes at once, as single precision.  That is exact: each operation rounds to
 * 24 bits first and to 11 then, which gives what one rounding would if the first has at least
 * 2 * 11 + 2 bits (S. A. Figueroa, "When is double rounding innocuous?", 1995), or if both round
 * in the same direction.  A fused multiply-add is neither; it is rounded to odd first.  What is
 * subnormal as half precision is normal as single precision, so MXCSR notices nothing (mxcsr.h)
 * until the result is converted; an underflow is found by converting it back.  NaNs, infinities and
 * what overflows are left to the handler.
 * Threads: set-up; what is emitted runs on the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_JIT_HALF_H
#define ORIEL_ENGINE_SOFT_JIT_HALF_H

/*
 * T0 = OP(T0, T1, T2), all half precision, T0 single for HALF_NARROW; lanes outside of the mask in
 * RCX must be 0 and are undefined afterwards.  NE if a lane in the mask is for the handler.
 * Compares give masks of 16 bits.  T1, T2 and RDX change.
 */
enum jit_half {
	HALF_ADD,
	HALF_SUB,
	HALF_MUL,
	HALF_DIV,
	HALF_SQRT,
	HALF_MADD,	    /* T0 * T1 + T2 */
	HALF_ROUND_NEAREST, /* to integral numbers */
	HALF_ROUND_DOWN,
	HALF_ROUND_UP,
	HALF_ROUND_ZERO,
	HALF_ROUND_CURRENT,
	HALF_NARROW, /* at most four lanes */
	HALF_FROM_S, /* T0: integers of 16 bits */
	HALF_FROM_U,
	HALF_MAX,    /* FPCR.FZ must be 0 */
	HALF_MIN,
	HALF_EQ,
	HALF_GE,
	HALF_GT,
	HALF_TO_S, /* integers of 16 bits, rounded to zero */
	HALF_TO_U,
	HALF_STUBS,
};

#endif
