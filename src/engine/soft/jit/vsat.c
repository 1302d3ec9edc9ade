/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsat.c - translate Advanced SIMD arithmetic that saturates, and its flag FPSR.QC
 *
 * How it works: the saturated result is compared with what it would be without limits, in the bytes
 * that are elements of the vector or scalar; QC is set if they differ.
 * Threads: the vCPU thread.
 */
#include "engine/soft/jit/simd.h"
#include "engine/soft/simd.h"

static const unsigned adds[] = {V_PADDB, V_PADDW, V_PADDD, V_PADDQ};
static const unsigned subs[] = {V_PSUBB, V_PSUBW, V_PSUBD, V_PSUBQ};
static const unsigned equals[] = {V_PCMPEQB, V_PCMPEQW, V_PCMPEQD, V_PCMPEQQ};
static const unsigned greaters[] = {V_PCMPGTB, V_PCMPGTW, V_PCMPGTD, V_PCMPGTQ};

static bool is_unsigned(const struct jit_block *t)
{
	return t->raw >> 29 & 1;
}

struct x86_mem simd_sign(struct jit_block *t, unsigned log2)
{
	const struct x86_mem signs[] = {JIT_CONSTANT(t, right_signs[0]), JIT_CONSTANT(t, sign_h),
					JIT_CONSTANT(t, sign_s), JIT_CONSTANT(t, sign_d)};
	return signs[log2];
}

/* ----- FPSR.QC ----- */

/* QC if @test (V_PTEST: any bit; V_TESTPS, V_TESTPD: any sign) finds something in the low @bytes of
 * @mask.  @temp changes. */
static void note(struct jit_block *t, unsigned test, unsigned mask, unsigned temp, unsigned bytes)
{
	struct x86 *x = &t->x;
	/* Where it is set already, nothing depends on the data, which can not be predicted. */
	x86_test_imm_mem(x, JIT_CPU(fpsr), FPSR_QC);
	uint8_t *already = x86_jcc_later(x, CC_NE);
	if (bytes < 16) {
		x86_vshift(x, V_PSLLDQ, temp, mask, 16 - bytes);
		mask = temp;
	}
	x86_v(x, test, mask, 0, mask);
	uint8_t *none = x86_jcc_later(x, CC_E);
	x86_alu_imm_mem(x, ALU_OR, false, JIT_CPU(fpsr), FPSR_QC);
	x86_land(x, none);
	x86_land(x, already);
}

void simd_note_difference(struct jit_block *t, unsigned result, unsigned exact, unsigned bytes)
{
	x86_v(&t->x, V_PXOR, T1, result, exact);
	note(t, V_PTEST, T1, T1, bytes);
}

void simd_note_unless(struct jit_block *t, unsigned mask, unsigned temp, unsigned bytes)
{
	simd_invert(t, temp, mask);
	note(t, V_PTEST, temp, temp, bytes);
}

/* ----- sums and differences ----- */

static void add_small(struct jit_block *t, unsigned log2, bool is_signed, bool sub, unsigned n,
		      unsigned m, unsigned bytes)
{
	static const unsigned ops[2][2][2] = {{{V_PADDUSB, V_PADDUSW}, {V_PADDSB, V_PADDSW}},
					      {{V_PSUBUSB, V_PSUBUSW}, {V_PSUBSB, V_PSUBSW}}};
	x86_v(&t->x, ops[sub][is_signed][log2], T0, n, m);
	x86_v(&t->x, (sub ? subs : adds)[log2], T1, n, m);
	simd_note_difference(t, T0, T1, bytes);
}

/* Words and doublewords: the limit on n's side, where the result's sign can not be. */
static void add_signed(struct jit_block *t, unsigned log2, bool sub, unsigned n, unsigned m,
		       unsigned bytes)
{
	struct x86 *x = &t->x;
	x86_v(x, (sub ? subs : adds)[log2], T1, n, m);
	x86_v(x, V_PXOR, T2, n, m);
	x86_v(x, V_PXOR, T0, n, T1);
	x86_v(x, sub ? V_PAND : V_PANDN, T2, T2, T0);
	simd_ones(t, T0);
	x86_v(x, greaters[log2], T0, n, T0);
	x86_vm(x, V_PXOR, T0, T0, simd_sign(t, log2));
	x86_vrr_imm(x, log2 == 2 ? V_BLENDVPS : V_BLENDVPD, T0, T1, T0, T2 << 4);
	note(t, log2 == 2 ? V_TESTPS : V_TESTPD, T2, T1, bytes);
}

/* n + min(m, ~n), max(n, m) - m. */
static void add_unsigned(struct jit_block *t, unsigned log2, bool sub, unsigned n, unsigned m,
			 unsigned bytes)
{
	struct x86 *x = &t->x;
	if (sub) {
		x86_v(x, log2 == 2 ? V_PMAXUD : E_PMAXUQ, T0, n, m);
		x86_v(x, V_PXOR, T1, T0, n);
		x86_v(x, subs[log2], T0, T0, m);
	} else {
		simd_invert(t, T0, n);
		x86_v(x, log2 == 2 ? V_PMINUD : E_PMINUQ, T0, T0, m);
		x86_v(x, V_PXOR, T1, T0, m);
		x86_v(x, adds[log2], T0, T0, n);
	}
	note(t, V_PTEST, T1, T1, bytes);
}

/* Doublewords where the host has no such minimum: m > ~n, or m > n, as signed numbers. */
static void add_unsigned_d(struct jit_block *t, bool sub, unsigned n, unsigned m, unsigned bytes)
{
	struct x86 *x = &t->x;
	x86_vm(x, V_PXOR, T0, n, sub ? JIT_CONSTANT(t, sign_d) : JIT_CONSTANT(t, abs_d));
	x86_vm(x, V_PXOR, T1, m, JIT_CONSTANT(t, sign_d));
	x86_v(x, V_PCMPGTQ, T1, T1, T0);
	x86_v(x, sub ? V_PSUBQ : V_PADDQ, T0, n, m);
	x86_v(x, sub ? V_PANDN : V_POR, T0, T1, T0);
	note(t, V_PTEST, T1, T1, bytes);
}

/* T0 = n + m or n - m; n is not T0 to T2, m is none but T0 if words or more are added with sign. */
static void add_saturated(struct jit_block *t, unsigned log2, bool is_signed, bool sub, unsigned n,
			  unsigned m, unsigned bytes)
{
	if (log2 < 2) {
		add_small(t, log2, is_signed, sub, n, m, bytes);
	} else if (is_signed) {
		add_signed(t, log2, sub, n, m, bytes);
	} else if (log2 == 2 || t->jit->host & JIT_HOST_AVX512) {
		add_unsigned(t, log2, sub, n, m, bytes);
	} else {
		add_unsigned_d(t, sub, n, m, bytes);
	}
}

/* SQADD, UQADD, SQSUB, UQSUB. */
void jit_simd_saturate(struct jit_block *t)
{
	unsigned log2 = simd_log2(t), bytes = simd_live(t, log2);
	simd_enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	add_saturated(t, log2, !is_unsigned(t), t->raw >> 13 & 1, n, m, bytes);
	simd_put_low(t, bytes);
}

/* SUQADD, USQADD of bytes and halfwords: signed and unsigned numbers, 128 apart; or the positive
 * and the negative numbers one after the other. */
void jit_simd_saturate_mixed(struct jit_block *t)
{
	static const unsigned max[] = {V_PMAXSB, V_PMAXSW};
	static const unsigned up[] = {V_PADDUSB, V_PADDUSW}, down[] = {V_PSUBUSB, V_PSUBUSW};
	struct x86 *x = &t->x;
	unsigned log2 = simd_log2(t), bytes = simd_live(t, log2);
	if (log2 > 1) {
		jit_call_handler(t); /* seldom */
		return;
	}
	simd_enter(t);
	unsigned n = simd_rn(t), d = simd_rd(t);
	if (is_unsigned(t)) {
		simd_zero(t, T1);
		x86_v(x, max[log2], T1, T1, n);
		x86_v(x, up[log2], T0, d, T1);
		x86_v(x, subs[log2], T1, T1, n);
		x86_v(x, down[log2], T0, T0, T1);
	} else {
		x86_vm(x, V_PXOR, T0, d, simd_sign(t, log2));
		x86_v(x, up[log2], T0, T0, n);
		x86_vm(x, V_PXOR, T0, T0, simd_sign(t, log2));
	}
	x86_v(x, adds[log2], T2, d, n);
	simd_note_difference(t, T0, T2, bytes);
	simd_put_low(t, bytes);
}

/* ----- where only the most negative number is too much ----- */

/* Elements of T0 that are the most negative number become the most positive one, with QC. */
static void limit_most_negative(struct jit_block *t, unsigned log2, unsigned bytes)
{
	x86_vm(&t->x, equals[log2], T1, T0, simd_sign(t, log2));
	x86_v(&t->x, V_PXOR, T0, T0, T1);
	note(t, V_PTEST, T1, T1, bytes);
}

/* SQABS, SQNEG. */
void jit_simd_saturate_unary(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned log2 = simd_log2(t), bytes = simd_live(t, log2);
	simd_enter(t);
	unsigned n = simd_rn(t);
	if (is_unsigned(t)) {
		simd_zero(t, T0);
		x86_v(x, subs[log2], T0, T0, n);
	} else {
		simd_abs(t, T0, n, log2);
	}
	limit_most_negative(t, log2, bytes);
	simd_put_low(t, bytes);
}

/* T0 = high halves of twice the products; m may be T2. */
static void multiply_high(struct jit_block *t, unsigned log2, bool rounds, unsigned n, unsigned m)
{
	struct x86 *x = &t->x;
	if (log2 == 1 && rounds) {
		x86_v(x, V_PMULHRSW, T0, n, m);
	} else if (log2 == 1) {
		x86_v(x, V_PMULHW, T0, n, m);
		x86_v(x, V_PMULLW, T1, n, m);
		x86_vshift(x, V_PSLLW, T0, T0, 1);
		x86_vshift(x, V_PSRLW, T1, T1, 15);
		x86_v(x, V_POR, T0, T0, T1);
	} else { /* even and odd elements */
		x86_v(x, V_PMULDQ, T0, n, m);
		x86_vshift(x, V_PSRLQ, T1, n, 32);
		x86_vshift(x, V_PSRLQ, T2, m, 32);
		x86_v(x, V_PMULDQ, T1, T1, T2);
		if (rounds) {
			x86_vm(x, V_PADDQ, T0, T0, JIT_CONSTANT(t, bit_30_d));
			x86_vm(x, V_PADDQ, T1, T1, JIT_CONSTANT(t, bit_30_d));
		}
		x86_vshift(x, V_PSRLQ, T0, T0, 31);
		x86_vshift(x, V_PSLLQ, T1, T1, 1);
		x86_vrr_imm(x, V_BLENDPS, T0, T0, T1, 0xa);
	}
}

/* SQDMULH, SQRDMULH. */
void jit_simd_double_high(struct jit_block *t)
{
	unsigned log2 = simd_log2(t), bytes = simd_live(t, log2);
	bool rounds = t->raw >> (simd_by_element(t) ? 12 : 29) & 1;
	simd_enter(t);
	unsigned n = simd_rn(t), m = simd_factor(t, log2, T2);
	multiply_high(t, log2, rounds, n, m);
	limit_most_negative(t, log2, bytes);
	simd_put_low(t, bytes);
}

/* SQDMULL, SQDMLAL, SQDMLSL. */
void jit_simd_double_long(struct jit_block *t)
{
	unsigned log2 = simd_log2(t), bytes = t->raw >> 28 & 1 ? 2u << log2 : 16;
	unsigned opcode = t->raw >> (simd_by_element(t) ? 14 : 13) & 3; /* 0: adds, 1: subtracts */
	simd_enter(t);
	unsigned n = simd_rn(t), m = simd_factor(t, log2, T2);
	simd_multiply_long(t, log2, n, m);
	x86_v(&t->x, adds[log2 + 1], T0, T0, T0);
	limit_most_negative(t, log2 + 1, bytes);
	if (opcode < 2) {
		unsigned d = jit_vread(t, A64_Rd(t->raw), 16);
		add_saturated(t, log2 + 1, true, opcode == 1, d, T0, bytes);
	}
	simd_put_low(t, bytes);
}

/* ----- shifts ----- */

/* SQSHL, UQSHL, SQSHLU by an immediate: exact if the shift back gives the operand. */
void jit_simd_saturate_shift_left(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned log2 = simd_imm_log2(t->raw), bytes = simd_live(t, log2);
	unsigned s = simd_imm_left(t->raw, 8u << log2);
	bool to_unsigned = !(t->raw >> 12 & 1);
	simd_enter(t);
	unsigned n = simd_rn(t);
	simd_shift_left(t, T2, log2, n, s);
	simd_shift_right(t, log2, !is_unsigned(t), false, T2, s);
	x86_v(x, equals[log2], T0, T0, n);
	simd_ones(t, T1); /* the limit: all ones, or by n's sign */
	if (to_unsigned || !is_unsigned(t)) {
		x86_v(x, greaters[log2], T1, n, T1);
	}
	if (to_unsigned) {
		x86_v(x, V_PAND, T0, T0, T1);
	} else if (!is_unsigned(t)) {
		x86_vm(x, V_PXOR, T1, T1, simd_sign(t, log2));
	}
	x86_vrr_imm(x, V_PBLENDVB, T2, T1, T2, T0 << 4);
	simd_note_unless(t, T0, T1, bytes);
	x86_v(x, V_MOVDQA, T0, 0, T2);
	simd_put_low(t, bytes);
}
