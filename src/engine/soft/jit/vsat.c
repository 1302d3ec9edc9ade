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

/* Elements with the top bit alone. */
static struct x86_mem sign_of(struct jit_block *t, unsigned log2)
{
	const struct x86_mem signs[] = {JIT_CONSTANT(t, right_signs[0]), JIT_CONSTANT(t, sign_h),
					JIT_CONSTANT(t, sign_s), JIT_CONSTANT(t, sign_d)};
	return signs[log2];
}

/* ----- FPSR.QC ----- */

/* QC if @test (V_PTEST: any bit; V_TESTPS, V_TESTPD: any sign) finds something in the low @bytes of
 * @mask.  T1 changes. */
static void note(struct jit_block *t, unsigned test, unsigned mask, unsigned bytes)
{
	struct x86 *x = &t->x;
	if (bytes < 16) {
		x86_vshift(x, V_PSLLDQ, T1, mask, 16 - bytes);
		mask = T1;
	}
	x86_v(x, test, mask, 0, mask);
	uint8_t *none = x86_jcc_later(x, CC_E);
	x86_alu_imm_mem(x, ALU_OR, false, JIT_CPU(fpsr), FPSR_QC);
	x86_land(x, none);
}

/* QC if the low @bytes of two registers differ.  T1 changes. */
static void note_difference(struct jit_block *t, unsigned result, unsigned exact, unsigned bytes)
{
	x86_v(&t->x, V_PXOR, T1, result, exact);
	note(t, V_PTEST, T1, bytes);
}

/* QC unless all of the low @bytes are ones.  T1 changes. */
static void note_unless(struct jit_block *t, unsigned mask, unsigned bytes)
{
	simd_invert(t, T1, mask);
	note(t, V_PTEST, T1, bytes);
}

/* Before anything else: the host's flags change. */
static void enter(struct jit_block *t)
{
	jit_flags_clobber(t);
	jit_fp_enter(t);
}

/* ----- sums and differences ----- */

static void add_small(struct jit_block *t, unsigned log2, bool is_signed, bool sub, unsigned n,
		      unsigned m, unsigned bytes)
{
	static const unsigned ops[2][2][2] = {{{V_PADDUSB, V_PADDUSW}, {V_PADDSB, V_PADDSW}},
					      {{V_PSUBUSB, V_PSUBUSW}, {V_PSUBSB, V_PSUBSW}}};
	x86_v(&t->x, ops[sub][is_signed][log2], T0, n, m);
	x86_v(&t->x, (sub ? subs : adds)[log2], T1, n, m);
	note_difference(t, T0, T1, bytes);
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
	x86_vm(x, V_PXOR, T0, T0, sign_of(t, log2));
	x86_vrr_imm(x, log2 == 2 ? V_BLENDVPS : V_BLENDVPD, T0, T1, T0, T2 << 4);
	note(t, log2 == 2 ? V_TESTPS : V_TESTPD, T2, bytes);
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
	note(t, V_PTEST, T1, bytes);
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
	note(t, V_PTEST, T1, bytes);
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
	enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	add_saturated(t, log2, !is_unsigned(t), t->raw >> 13 & 1, n, m, bytes);
	simd_put_low(t, bytes);
}

/* ----- where only the most negative number is too much ----- */

/* Elements of T0 that are the most negative number become the most positive one, with QC. */
static void limit_most_negative(struct jit_block *t, unsigned log2, unsigned bytes)
{
	x86_vm(&t->x, equals[log2], T1, T0, sign_of(t, log2));
	x86_v(&t->x, V_PXOR, T0, T0, T1);
	note(t, V_PTEST, T1, bytes);
}

/* SQABS, SQNEG. */
void jit_simd_saturate_unary(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned log2 = simd_log2(t), bytes = simd_live(t, log2);
	enter(t);
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

/* The element of rows by element, in all lanes of T2. */
static void spread_element(struct jit_block *t, unsigned log2)
{
	uint32_t w = t->raw;
	unsigned index = A64_ixh(w) << 1 | A64_ixl(w);
	unsigned m = jit_vread(t, log2 == 1 ? A64_Rm4(w) : A64_Rm(w), 16);
	simd_spread(t, T2, m, log2, log2 == 1 ? index << 1 | A64_ixm(w) : index);
}

/* SQDMULH, SQRDMULH. */
void jit_simd_double_high(struct jit_block *t)
{
	unsigned log2 = simd_log2(t), bytes = simd_live(t, log2);
	enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	multiply_high(t, log2, is_unsigned(t), n, m);
	limit_most_negative(t, log2, bytes);
	simd_put_low(t, bytes);
}

void jit_simd_double_high_elem(struct jit_block *t)
{
	unsigned log2 = simd_log2(t), bytes = simd_live(t, log2);
	enter(t);
	unsigned n = simd_rn(t);
	spread_element(t, log2);
	multiply_high(t, log2, t->raw >> 12 & 1, n, T2);
	limit_most_negative(t, log2, bytes);
	simd_put_low(t, bytes);
}

/* Twice the product in T0 to the destination, or added there, or subtracted. */
static void double_long(struct jit_block *t, unsigned log2, bool accumulates, bool sub)
{
	unsigned bytes = t->raw >> 28 & 1 ? 2u << log2 : 16;
	x86_v(&t->x, adds[log2 + 1], T0, T0, T0);
	limit_most_negative(t, log2 + 1, bytes);
	if (accumulates) {
		unsigned d = jit_vread(t, A64_Rd(t->raw), 16);
		add_saturated(t, log2 + 1, true, sub, d, T0, bytes);
	}
	simd_put_low(t, bytes);
}

/* SQDMULL, SQDMLAL, SQDMLSL. */
void jit_simd_double_long(struct jit_block *t)
{
	unsigned log2 = simd_log2(t), opcode = t->raw >> 12 & 15;
	enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	simd_multiply_long(t, log2, n, m);
	double_long(t, log2, opcode != 13, opcode == 11);
}

void jit_simd_double_long_elem(struct jit_block *t)
{
	unsigned log2 = simd_log2(t), opcode = t->raw >> 12 & 15;
	enter(t);
	unsigned n = simd_rn(t);
	spread_element(t, log2);
	simd_multiply_long(t, log2, n, T2);
	double_long(t, log2, opcode != 11, opcode == 7);
}

/* ----- narrowing ----- */

/* How elements narrow: signed to signed, signed to unsigned, unsigned to unsigned. */
enum narrowing { SIGNED, TO_UNSIGNED, UNSIGNED };

/* Doublewords by the halves, each twice in T0 and T1: exact if the upper is the lower's sign. */
static void narrow_d(struct jit_block *t, enum narrowing how, unsigned n)
{
	struct x86 *x = &t->x;
	x86_vrr_imm(x, V_SHUFPS, T0, n, n, 0x88);
	x86_vrr_imm(x, V_SHUFPS, T1, n, n, 0xdd);
	if (how == SIGNED) {
		x86_vshift(x, V_PSRAD, T2, T0, 31);
	} else {
		simd_zero(t, T2);
	}
	x86_v(x, V_PCMPEQD, T2, T2, T1);
	if (how == SIGNED) { /* the limit on the upper half's side */
		x86_vshift(x, V_PSRAD, T1, T1, 31);
		x86_vm(x, V_PXOR, T1, T1, JIT_CONSTANT(t, abs_s));
	} else if (how == TO_UNSIGNED) {
		x86_vshift(x, V_PSRAD, T1, T1, 31);
		simd_invert(t, T1, T1);
	} else {
		simd_ones(t, T1);
	}
	x86_vrr_imm(x, V_BLENDVPS, T0, T1, T0, T2 << 4);
	note_unless(t, T2, t->raw >> 28 & 1 ? 4 : 16);
}

static void narrow_d_avx512(struct jit_block *t, enum narrowing how, unsigned n)
{
	struct x86 *x = &t->x;
	unsigned from = n;
	if (how == TO_UNSIGNED) {
		simd_zero(t, T0);
		x86_v(x, E_PMAXSQ, T0, n, T0);
		from = T0;
	}
	x86_v(x, how == SIGNED ? E_PMOVSQD : E_PMOVUSQD, from, 0, T0);
	x86_v(x, how == SIGNED ? V_PMOVSXDQ : V_PMOVZXDQ, T1, 0, T0);
	note_difference(t, T1, n, t->raw >> 28 & 1 ? 8 : 16);
}

/* The host's saturating packs. */
static void narrow_packed(struct jit_block *t, unsigned log2, enum narrowing how, unsigned n)
{
	static const unsigned packs[][2] = {{V_PACKSSWB, V_PACKSSDW}, {V_PACKUSWB, V_PACKUSDW}};
	static const unsigned extends[][2] = {{V_PMOVSXBW, V_PMOVSXWD}, {V_PMOVZXBW, V_PMOVZXWD}};
	struct x86 *x = &t->x;
	if (how == UNSIGNED) { /* large ones look negative to the host */
		x86_vm(x, log2 ? V_PMINUD : V_PMINUW, T0, n,
		       log2 ? JIT_CONSTANT(t, low_s) : JIT_CONSTANT(t, low_h));
		x86_v(x, packs[1][log2], T0, T0, T0);
	} else {
		x86_v(x, packs[how][log2], T0, n, n);
	}
	x86_v(x, extends[how != SIGNED][log2], T1, 0, T0);
	note_difference(t, T1, n, t->raw >> 28 & 1 ? 2u << log2 : 16);
}

/* The elements of @n (not T0, T1) to the destination, or the half of it that Q selects. */
static void narrow(struct jit_block *t, unsigned log2, enum narrowing how, unsigned n)
{
	if (log2 < 2) {
		narrow_packed(t, log2, how, n);
	} else if (t->jit->host & JIT_HOST_AVX512) {
		narrow_d_avx512(t, how, n);
	} else {
		narrow_d(t, how, n);
	}
	if (t->raw >> 28 & 1) {
		simd_put_low(t, 1u << log2);
	} else {
		simd_to_half(t);
	}
}

/* SQXTN, SQXTUN, UQXTN. */
void jit_simd_saturate_narrow(struct jit_block *t)
{
	bool same_kind = (t->raw >> 12 & 0x1f) == 0x14;
	enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16);
	narrow(t, simd_log2(t), !is_unsigned(t) ? SIGNED : same_kind ? UNSIGNED : TO_UNSIGNED, n);
}

/* SQSHRN, SQRSHRN, UQSHRN, UQRSHRN, SQSHRUN, SQRSHRUN. */
void jit_simd_saturate_shift_narrow(struct jit_block *t)
{
	unsigned log2 = simd_imm_log2(t->raw), s = simd_imm_right(t->raw, 8u << log2);
	bool same_kind = t->raw >> 12 & 1, rounds = t->raw >> 11 & 1;
	enum narrowing how = !is_unsigned(t) ? SIGNED : same_kind ? UNSIGNED : TO_UNSIGNED;
	enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16);
	simd_shift_right(t, log2 + 1, how != UNSIGNED, rounds, n, s);
	x86_v(&t->x, V_MOVDQA, T2, 0, T0);
	narrow(t, log2, how, T2);
}

/* ----- shifts ----- */

/* SQSHL and UQSHL by an immediate: exact if the shift back gives the operand. */
void jit_simd_saturate_shift_left(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned log2 = simd_imm_log2(t->raw), bytes = simd_live(t, log2);
	unsigned s = simd_imm_left(t->raw, 8u << log2);
	enter(t);
	unsigned n = simd_rn(t);
	simd_shift_left(t, T2, log2, n, s);
	simd_shift_right(t, log2, !is_unsigned(t), false, T2, s);
	x86_v(x, equals[log2], T0, T0, n);
	simd_ones(t, T1);
	if (!is_unsigned(t)) {
		x86_v(x, greaters[log2], T1, n, T1);
		x86_vm(x, V_PXOR, T1, T1, sign_of(t, log2));
	}
	x86_vrr_imm(x, V_PBLENDVB, T2, T1, T2, T0 << 4);
	note_unless(t, T0, bytes);
	x86_v(x, V_MOVDQA, T0, 0, T2);
	simd_put_low(t, bytes);
}
