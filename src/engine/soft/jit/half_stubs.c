/* SPDX-License-Identifier: Apache-2.0 */
/* half_stubs.c - see half.h */
#include "engine/soft/jit/half.h"

#include "engine/soft/jit/simd.h"

enum { FROM_MXCSR = 4 }; /* the rounding mode, as VCVTPS2PH's immediate */

/* The lanes of T1 in RCX's mask.  NE: some of them have the top bit set. */
static void test_lanes(struct x86 *x)
{
	x86_y(x, V_MOVMSKPS, RDX, 0, T1);
	x86_rr(x, X_AND, false, RDX, RCX);
}

/* NE if a lane of T0 is neither 0 nor what a normal half can be rounded to without an overflow. */
static void test_range(struct x86 *x)
{
	x86_y(x, V_PADDD, T1, T0, T0); /* without the sign */
	x86_ym(x, V_PADDD, T2, T1, JIT_CPU(jit_constants.half_bias));
	x86_ym(x, V_PCMPGTD, T2, T2, JIT_CPU(jit_constants.half_beyond));
	x86_ym(x, V_PCMPEQD, T1, T1, JIT_CPU(jit_constants.zeros));
	x86_y(x, V_PANDN, T1, T1, T2);
	test_lanes(x);
}

/*
 * NE if a lane of T0 is too large, or FPSR.UFC has to be set: subnormal halves come out right too,
 * but those that are inexact are an underflow.  With FPCR.FZ, the conversion to half would have
 * MXCSR note the exact ones as well; and a fused sum that was rounded in one direction may be exact
 * as a half only since.
 */
static const uint8_t *emit_second_look(struct x86 *x)
{
	enum { NOT_EQUAL = 4 };
	const uint8_t *here = x86_here(x);
	x86_y(x, V_PADDD, T1, T0, T0);
	x86_ym(x, V_PADDD, T1, T1, JIT_CPU(jit_constants.signs));
	x86_ym(x, V_PCMPGTD, T1, T1, JIT_CPU(jit_constants.half_large));
	test_lanes(x);
	uint8_t *large = x86_jcc_later(x, CC_NE);
	x86_test_imm_mem(x, JIT_CPU(fpsr), FPSR_UFC);
	uint8_t *known = x86_jcc_later(x, CC_NE);
	x86_test_imm_mem(x, JIT_CPU(fpcr), FPCR_FZ | FPCR_RMODE);
	uint8_t *noted = x86_jcc_later(x, CC_NE);
	x86_y_imm(x, V_CVTPS2PH, T0, 0, T1, FROM_MXCSR);
	x86_y(x, V_CVTPH2PS, T1, 0, T1);
	x86_y_imm(x, V_CMPPS, T1, T1, T0, NOT_EQUAL);
	test_lanes(x);
	x86_land(x, large);
	x86_land(x, noted);
	x86_ret(x);
	x86_land(x, known);
	x86_rr(x, X_CMP, false, RDX, RDX);
	x86_ret(x);
	return here;
}

/*
 * T0 = T0 * T1 + T2, rounded to odd: the product is exact, and of the sum the error is known (a
 * two-sum).  If there is one and the sum is even, its neighbour on the error's side is odd.
 */
static void emit_madd_to_odd(struct x86 *x)
{
	enum { Y0, Y1 };
	x86_vm(x, V_MOVDQA_STORE, Y0, 0, JIT_CPU(jit_scratch[0]));
	x86_vm(x, V_MOVDQA_STORE, Y1, 0, JIT_CPU(jit_scratch[1]));
	x86_y(x, V_MULPS, T0, T0, T1);
	x86_y(x, V_ADDPS, T1, T0, T2); /* the sum */
	x86_y(x, V_SUBPS, Y0, T1, T0);
	x86_y(x, V_SUBPS, Y1, T1, Y0);
	x86_y(x, V_SUBPS, T0, T0, Y1);
	x86_y(x, V_SUBPS, T2, T2, Y0);
	x86_y(x, V_ADDPS, T0, T0, T2); /* its error */
	x86_ym_imm(x, V_CMPPS, Y0, T0, JIT_CPU(jit_constants.zeros), 0);
	x86_y(x, V_PXOR, T0, T0, T1);
	x86_yshift(x, V_PSRAD, T0, T0, 31);
	x86_ym(x, V_POR, T0, T0, JIT_CPU(jit_constants.ones_s)); /* 1 or -1 */
	x86_yshift(x, V_PSLLD, Y1, T1, 31);
	x86_yshift(x, V_PSRAD, Y1, Y1, 31);
	x86_y(x, V_POR, Y0, Y0, Y1); /* exact, or odd */
	x86_y(x, V_PANDN, T0, Y0, T0);
	x86_y(x, V_PADDD, T0, T0, T1);
	x86_vm(x, V_MOVDQA, Y0, 0, JIT_CPU(jit_scratch[0]));
	x86_vm(x, V_MOVDQA, Y1, 0, JIT_CPU(jit_scratch[1]));
}

static void emit_madd(struct x86 *x)
{
	x86_test_imm_mem(x, JIT_CPU(fpcr), FPCR_RMODE);
	uint8_t *directed = x86_jcc_later(x, CC_NE);
	emit_madd_to_odd(x);
	uint8_t *done = x86_jmp_later(x);
	x86_land(x, directed);
	x86_y(x, V_FMADDPS, T2, T0, T1);
	x86_y(x, V_MOVDQA, T0, 0, T2);
	x86_land(x, done);
}

/* T0 = the larger or smaller of T0 and T1; the host's second operand if they are equal, so both
 * ways. */
static void emit_select(struct x86 *x, bool is_min)
{
	unsigned op = is_min ? V_MINPS : V_MAXPS;
	x86_y(x, op, T2, T0, T1);
	x86_y(x, op, T0, T1, T0);
	x86_y(x, is_min ? V_POR : V_PAND, T0, T0, T2); /* -0 is less than 0 */
}

static void emit_operation(struct x86 *x, enum jit_half kind)
{
	static const unsigned ops[] = {[HALF_ADD] = V_ADDPS,
				       [HALF_SUB] = V_SUBPS,
				       [HALF_MUL] = V_MULPS,
				       [HALF_DIV] = V_DIVPS};
	enum { WITHOUT_INEXACT = 8 };
	if (kind <= HALF_DIV) {
		x86_y(x, ops[kind], T0, T0, T1);
	} else if (kind == HALF_SQRT) {
		x86_y(x, V_SQRTPS, T0, 0, T0);
	} else if (kind == HALF_MADD) {
		emit_madd(x);
	} else if (kind == HALF_FROM_S || kind == HALF_FROM_U) {
		x86_y(x, kind == HALF_FROM_S ? V_PMOVSXWD : V_PMOVZXWD, T0, 0, T0);
		x86_y(x, V_CVTDQ2PS, T0, 0, T0);
	} else if (kind >= HALF_ROUND_NEAREST && kind <= HALF_ROUND_CURRENT) {
		x86_y_imm(x, V_ROUNDPS, T0, 0, T0,
			  (uint8_t)(WITHOUT_INEXACT + kind - HALF_ROUND_NEAREST));
	}
}

/* T0 = the eight lanes of T0 as 16 bits. */
static void pack(struct x86 *x, unsigned op)
{
	x86_y_imm(x, V_EXTRACTI128, T0, 0, T1, 1);
	x86_v(x, op, T0, T0, T1);
}

/* MAX, MIN and comparisons: of numbers only. */
static uint8_t *emit_by_order(struct x86 *x, enum jit_half kind)
{
	enum { EQUAL, LESS, LESS_OR_EQUAL, UNORDERED };
	static const uint8_t predicates[] = {EQUAL, LESS_OR_EQUAL, LESS}; /* of T1 and T0 */
	x86_y(x, V_MOVDQA, T2, 0, T1);
	x86_y_imm(x, V_CMPPS, T1, T0, T1, UNORDERED);
	test_lanes(x);
	x86_y(x, V_MOVDQA, T1, 0, T2);
	uint8_t *unordered = x86_jcc_later(x, CC_NE);
	if (kind <= HALF_MIN) {
		emit_select(x, kind == HALF_MIN);
		x86_y_imm(x, V_CVTPS2PH, T0, 0, T0, FROM_MXCSR);
	} else {
		x86_y_imm(x, V_CMPPS, T0, T1, T0, predicates[kind - HALF_EQ]);
		pack(x, V_PACKSSDW);
	}
	return unordered;
}

/* What does not fit is for the handler: the host gives its lowest integer for what has more than 32
 * bits. */
static uint8_t *emit_to_integer(struct x86 *x, bool is_signed)
{
	x86_y(x, V_CVTTPS2DQ, T0, 0, T0);
	x86_yshift(x, V_PSLLD, T1, T0, 16);
	x86_yshift(x, is_signed ? V_PSRAD : V_PSRLD, T1, T1, 16);
	x86_y(x, V_PCMPEQD, T1, T1, T0);
	x86_ym(x, V_PCMPEQD, T1, T1, JIT_CPU(jit_constants.zeros)); /* not equal */
	test_lanes(x);
	uint8_t *other = x86_jcc_later(x, CC_NE);
	pack(x, is_signed ? V_PACKSSDW : V_PACKUSDW);
	return other;
}

static const uint8_t *emit_stub(struct x86 *x, enum jit_half kind, const uint8_t *second_look)
{
	/* that are half precision */
	static const uint8_t operands[HALF_STUBS] = {
		[HALF_ADD] = 2,
		[HALF_SUB] = 2,
		[HALF_MUL] = 2,
		[HALF_DIV] = 2,
		[HALF_SQRT] = 1,
		[HALF_MADD] = 3,
		[HALF_ROUND_NEAREST] = 1,
		[HALF_ROUND_DOWN] = 1,
		[HALF_ROUND_UP] = 1,
		[HALF_ROUND_ZERO] = 1,
		[HALF_ROUND_CURRENT] = 1,
		[HALF_MAX] = 2,
		[HALF_MIN] = 2,
		[HALF_EQ] = 2,
		[HALF_GE] = 2,
		[HALF_GT] = 2,
		[HALF_TO_S] = 1,
		[HALF_TO_U] = 1,
	};
	const uint8_t *here = x86_here(x);
	uint8_t *other;
	for (unsigned n = 0; n < operands[kind]; n++) {
		x86_y(x, V_CVTPH2PS, T0 + n, 0, T0 + n);
	}
	if (kind >= HALF_TO_S) {
		other = emit_to_integer(x, kind == HALF_TO_S);
	} else if (kind >= HALF_MAX) {
		other = emit_by_order(x, kind);
	} else {
		emit_operation(x, kind);
		test_range(x);
		uint8_t *fine = x86_jcc_later(x, CC_E);
		x86_call(x, second_look);
		other = x86_jcc_later(x, CC_NE);
		x86_land(x, fine);
		x86_y_imm(x, V_CVTPS2PH, T0, 0, T0, FROM_MXCSR);
	}
	x86_land(x, other);
	x86_vzeroupper(x);
	x86_ret(x);
	return here;
}

void jit_emit_half_stubs(struct x86 *x, struct jit_stubs *stubs)
{
	const uint8_t *second_look = emit_second_look(x);
	for (unsigned kind = 0; kind < HALF_STUBS; kind++) {
		stubs->half[kind] = emit_stub(x, (enum jit_half)kind, second_look);
	}
}
