/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd.c - translate Advanced SIMD integer arithmetic, logic and comparisons
 *
 * How it works: rows that are one host instruction are in a table; the others are a few
 * instructions each. Threads: the vCPU thread.
 */
#include "engine/soft/jit/simd.h"

#define SIZES_BHS(name, b, h, s)     [A64_##name##_b] = b, [A64_##name##_h] = h, [A64_##name##_s] = s,
#define SIZES_BHSD(name, b, h, s, d) SIZES_BHS(name, b, h, s)[A64_##name##_d] = d,

/* d = n op m. */
static const unsigned plain_ops[A64_OPS] = {
	SIZES_BHSD(ADD_v, V_PADDB, V_PADDW, V_PADDD, V_PADDQ) SIZES_BHSD(SUB_v, V_PSUBB, V_PSUBW,
									 V_PSUBD, V_PSUBQ)
		SIZES_BHSD(CMEQ_v, V_PCMPEQB, V_PCMPEQW, V_PCMPEQD,
			   V_PCMPEQQ) SIZES_BHSD(CMGT_v, V_PCMPGTB, V_PCMPGTW, V_PCMPGTD, V_PCMPGTQ)
			SIZES_BHS(SMAX_v, V_PMAXSB, V_PMAXSW, V_PMAXSD)
				SIZES_BHS(UMAX_v, V_PMAXUB, V_PMAXUW, V_PMAXUD)
					SIZES_BHS(SMIN_v, V_PMINSB, V_PMINSW, V_PMINSD)
						SIZES_BHS(UMIN_v, V_PMINUB, V_PMINUW,
							  V_PMINUD)[A64_URHADD_v_b] = V_PAVGB,
	[A64_URHADD_v_h] = V_PAVGW,
	[A64_AND_v] = V_PAND,
	[A64_ORR_v] = V_POR,
	[A64_EOR_v] = V_PXOR,
};

static const unsigned adds[] = {V_PADDB, V_PADDW, V_PADDD, V_PADDQ};
static const unsigned subs[] = {V_PSUBB, V_PSUBW, V_PSUBD, V_PSUBQ};
static const unsigned equals[] = {V_PCMPEQB, V_PCMPEQW, V_PCMPEQD, V_PCMPEQQ};
static const unsigned greaters[] = {V_PCMPGTB, V_PCMPGTW, V_PCMPGTD, V_PCMPGTQ};
/* Those of doublewords with AVX-512. */
static const unsigned signed_max[] = {V_PMAXSB, V_PMAXSW, V_PMAXSD, E_PMAXSQ},
		      signed_min[] = {V_PMINSB, V_PMINSW, V_PMINSD, E_PMINSQ};
static const unsigned unsigned_max[] = {V_PMAXUB, V_PMAXUW, V_PMAXUD, E_PMAXUQ},
		      unsigned_min[] = {V_PMINUB, V_PMINUW, V_PMINUD, E_PMINUQ};

void jit_simd_plain(struct jit_block *t)
{
	jit_fp_enter(t);
	if (t->op == A64_ORR_v && A64_Rn(t->raw) == A64_Rm(t->raw)) { /* MOV */
		unsigned n = simd_rn(t);
		x86_v(&t->x, V_MOVDQA, simd_to(t), 0, n);
		return;
	}
	unsigned n = simd_rn(t), m = simd_rm(t);
	x86_v(&t->x, plain_ops[t->op], simd_to(t), n, m);
}

/* BIC, ORN, BSL, BIT, BIF. */
void jit_simd_logic(struct jit_block *t)
{
	struct x86 *x = &t->x;
	jit_fp_enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t), d;
	switch (t->op) {
	case A64_BIC_v: x86_v(x, V_PANDN, simd_to(t), m, n); return;
	case A64_ORN_v:
		simd_invert(t, T0, m);
		x86_v(x, V_POR, simd_to(t), n, T0);
		return;
	default: break;
	}
	d = simd_rd(t);
	if (t->jit->host & JIT_HOST_AVX512) { /* d ? n : m, m ? n : d, m ? d : n; simd_to() is d */
		uint8_t function = t->op == A64_BSL_v ? 0xca : t->op == A64_BIT_v ? 0xd8 : 0xe4;
		x86_vrr_imm(x, E_PTERNLOGD, simd_to(t), n, m, function);
		return;
	}
	unsigned mask = t->op == A64_BSL_v ? d : m, one = t->op == A64_BIF_v ? d : n;
	unsigned zero = t->op == A64_BSL_v ? m : t->op == A64_BIT_v ? d : n;
	x86_v(x, V_PAND, T0, mask, one);
	x86_v(x, V_PANDN, T1, mask, zero);
	x86_v(x, V_POR, simd_to(t), T0, T1);
}

/* Unsigned 64-bit comparison: with the top bits turned, T0 > T1. */
static void compare_unsigned_d(struct jit_block *t, unsigned a, unsigned b, unsigned to)
{
	struct x86 *x = &t->x;
	x86_vm(x, V_PXOR, T0, a, JIT_CONSTANT(t, sign_d));
	x86_vm(x, V_PXOR, T1, b, JIT_CONSTANT(t, sign_d));
	x86_v(x, V_PCMPGTQ, to, T0, T1);
}

/* CMGE, CMHS: n is the greater one of both; CMHI: not the smaller one. */
static void compare_by_limit(struct jit_block *t, unsigned log2, unsigned n, unsigned m)
{
	struct x86 *x = &t->x;
	bool is_unsigned = t->raw >> 29 & 1, is_hi = !(t->raw >> 11 & 1);
	x86_v(x, (is_hi ? unsigned_min : is_unsigned ? unsigned_max : signed_max)[log2], T0, n, m);
	if (is_hi) {
		x86_v(x, equals[log2], T0, T0, n);
		simd_invert(t, simd_to(t), T0);
	} else {
		x86_v(x, equals[log2], simd_to(t), T0, n);
	}
}

/* The comparisons that the host does not have: CMGE, CMHI, CMHS, CMTST. */
void jit_simd_compare(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned log2 = simd_log2(t);
	jit_fp_enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	if ((t->raw >> 11 & 0x1f) == 0x11) { /* CMTST */
		x86_v(x, V_PAND, T0, n, m);
		simd_zero(t, T1);
		x86_v(x, equals[log2], T0, T0, T1);
		simd_invert(t, simd_to(t), T0);
	} else if (log2 < 3 || t->jit->host & JIT_HOST_AVX512) {
		compare_by_limit(t, log2, n, m);
	} else if (t->op == A64_CMHI_v_d) {
		compare_unsigned_d(t, n, m, simd_to(t));
	} else {
		if (t->op == A64_CMHS_v_d) {
			compare_unsigned_d(t, m, n, T0);
		} else {
			x86_v(x, V_PCMPGTQ, T0, m, n);
		}
		simd_invert(t, simd_to(t), T0);
	}
}

void simd_abs(struct jit_block *t, unsigned to, unsigned n, unsigned log2)
{
	static const unsigned ops[] = {V_PABSB, V_PABSW, V_PABSD, E_PABSQ};
	struct x86 *x = &t->x;
	if (log2 < 3 || t->jit->host & JIT_HOST_AVX512) {
		x86_v(x, ops[log2], to, 0, n);
		return;
	}
	simd_zero(t, T1);
	x86_v(x, V_PCMPGTQ, T1, T1, n);
	x86_v(x, V_PXOR, T2, n, T1);
	x86_v(x, V_PSUBQ, to, T2, T1);
}

/* With zero: CMGT, CMGE, CMEQ, CMLE, CMLT; also NEG, ABS, NOT. */
void jit_simd_unary(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned log2 = simd_log2(t), n;
	jit_fp_enter(t);
	n = simd_rn(t);
	switch (t->op) {
	case A64_NOT_v: simd_invert(t, simd_to(t), n); return;
	case A64_ABS_v_b:
	case A64_ABS_v_h:
	case A64_ABS_v_s:
	case A64_ABS_v_d: simd_abs(t, simd_to(t), n, log2); return;
	default: break;
	}
	simd_zero(t, T0);
	switch (t->raw >> 12 & 0x1f) { /* opcode */
	case 8:
		if (!(t->raw >> 29 & 1)) {
			x86_v(x, greaters[log2], simd_to(t), n, T0); /* > */
			return;
		}
		x86_v(x, greaters[log2], T0, T0, n); /* not < */
		break;
	case 9:
		if (!(t->raw >> 29 & 1)) {
			x86_v(x, equals[log2], simd_to(t), n, T0);
			return;
		}
		x86_v(x, greaters[log2], T0, n, T0); /* not > */
		break;
	case 10: x86_v(x, greaters[log2], simd_to(t), T0, n); return; /* < */
	default: x86_v(x, subs[log2], simd_to(t), T0, n); return;     /* NEG */
	}
	simd_invert(t, simd_to(t), T0);
}

void simd_put_low(struct jit_block *t, unsigned bytes)
{
	if (bytes < 4) {
		x86_vshift(&t->x, V_PSLLDQ, T0, T0, 16 - bytes);
		x86_vshift(&t->x, V_PSRLDQ, jit_vwrite(t, A64_Rd(t->raw), 16), T0, 16 - bytes);
	} else {
		x86_v(&t->x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), bytes), 0, T0);
	}
}

/* ----- products ----- */

/* T0 = a * b, elements of 1, 2 or 4 bytes. */
static void multiply(struct jit_block *t, unsigned log2, unsigned a, unsigned b)
{
	struct x86 *x = &t->x;
	if (log2) {
		x86_v(x, log2 == 1 ? V_PMULLW : V_PMULLD, T0, a, b);
		return;
	}
	x86_vshift(x, V_PSRLW, T1, a, 8);
	x86_vm(x, V_PAND, T2, b, JIT_CONSTANT(t, high_h));
	x86_v(x, V_PMULLW, T1, T1, T2);
	x86_v(x, V_PMULLW, T0, a, b);
	x86_vm(x, V_PAND, T0, T0, JIT_CONSTANT(t, low_h));
	x86_v(x, V_POR, T0, T0, T1);
}

void simd_accumulate(struct jit_block *t, unsigned log2, bool adds_up, bool subtracts)
{
	if (adds_up || subtracts) {
		unsigned d = simd_rd(t);
		x86_v(&t->x, adds_up ? adds[log2] : subs[log2], simd_to(t), d, T0);
	} else {
		x86_v(&t->x, V_MOVDQA, simd_to(t), 0, T0);
	}
}

void jit_simd_multiply(struct jit_block *t)
{
	unsigned log2 = simd_log2(t);
	bool is_mul = (t->raw >> 11 & 0x1f) == 0x13, subtracts = t->raw >> 29 & 1;
	jit_fp_enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	if (is_mul && log2) {
		x86_v(&t->x, log2 == 1 ? V_PMULLW : V_PMULLD, simd_to(t), n, m);
		return;
	}
	multiply(t, log2, n, m);
	simd_accumulate(t, log2, !is_mul && !subtracts, !is_mul && subtracts);
}

/* MUL, MLA, MLS by element. */
void jit_simd_multiply_elem(struct jit_block *t)
{
	unsigned log2 = simd_log2(t), opcode = t->raw >> 12 & 15;
	jit_fp_enter(t);
	unsigned n = simd_rn(t), m = simd_factor(t, log2, T0);
	multiply(t, log2, n, m);
	simd_accumulate(t, log2, opcode == 0, opcode == 4);
}

/* ----- averages and differences ----- */

/* SHADD, UHADD, SRHADD, SHSUB, UHSUB of bytes, by the host's average that rounds up. */
static void average_bytes(struct jit_block *t, bool is_signed, bool rounds, bool sub)
{
	struct x86 *x = &t->x;
	unsigned n = simd_rn(t), m = simd_rm(t);
	if (is_signed) { /* as unsigned ones, 128 more */
		x86_vm(x, V_PXOR, T0, n, JIT_CONSTANT(t, right_signs[0]));
		x86_vm(x, V_PXOR, T1, m, JIT_CONSTANT(t, right_signs[0]));
		n = T0;
		m = T1;
	}
	if (sub) {
		x86_v(x, V_PAVGB, T1, n, m);
		x86_v(x, V_PSUBB, simd_to(t), n, T1);
		return;
	}
	if (!rounds) {
		x86_v(x, V_PXOR, T2, n, m);
		x86_vm(x, V_PAND, T2, T2, JIT_CONSTANT(t, ones_b));
	}
	x86_v(x, V_PAVGB, T0, n, m);
	if (!rounds) {
		x86_v(x, V_PSUBB, T0, T0, T2);
	}
	if (is_signed) {
		x86_vm(x, V_PXOR, T0, T0, JIT_CONSTANT(t, right_signs[0]));
	}
	x86_v(x, V_MOVDQA, simd_to(t), 0, T0);
}

/* SHADD, UHADD, SRHADD: n + m and half of what differs, rounded down or up; SHSUB, UHSUB. */
void jit_simd_average(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned log2 = simd_log2(t), opcode = t->raw >> 11 & 0x1f;
	bool rounds = opcode == 2, sub = opcode == 4, is_unsigned = t->raw >> 29 & 1;
	static const unsigned halves[][3] = {{0, V_PSRAW, V_PSRAD}, {0, V_PSRLW, V_PSRLD}};
	jit_fp_enter(t);
	if (!log2) {
		average_bytes(t, !is_unsigned, rounds, sub);
		return;
	}
	unsigned n = simd_rn(t), m = simd_rm(t);
	x86_v(x, V_PXOR, T0, n, m);
	x86_vshift(x, halves[is_unsigned][log2], T0, T0, 1);
	x86_v(x, rounds ? V_POR : sub ? V_PANDN : V_PAND, T1, n, m);
	if (sub) { /* half of what differs, less what m has and n has not */
		x86_v(x, subs[log2], simd_to(t), T0, T1);
	} else {
		x86_v(x, rounds ? subs[log2] : adds[log2], simd_to(t), T1, T0);
	}
}

/* SABD, UABD, SABA, UABA. */
void jit_simd_difference(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned log2 = simd_log2(t);
	bool is_unsigned = t->raw >> 29 & 1, adds_up = t->raw >> 11 & 1;
	jit_fp_enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	x86_v(x, is_unsigned ? unsigned_max[log2] : signed_max[log2], T0, n, m);
	x86_v(x, is_unsigned ? unsigned_min[log2] : signed_min[log2], T1, n, m);
	x86_v(x, subs[log2], T0, T0, T1);
	simd_accumulate(t, log2, adds_up, false);
}

/* ----- dot products ----- */

/* With the host's sums of unsigned by signed bytes: one operand is moved by 128, whose share is
 * taken back. */
static void dot_by_host(struct jit_block *t, bool is_unsigned, unsigned d, unsigned n, unsigned m)
{
	struct x86 *x = &t->x;
	struct x86_mem move = JIT_CONSTANT(t, right_signs[0]);
	simd_zero(t, T0);
	if (is_unsigned) { /* n * (m - 128) - n * -128 */
		x86_vm(x, E_PDPBUSD, T0, n, move);
		x86_vm(x, V_PXOR, T1, m, move);
		x86_v(x, V_PSUBD, T0, d, T0);
		x86_v(x, E_PDPBUSD, T0, n, T1);
	} else { /* (n + 128) * m - 128 * m */
		x86_vm(x, V_MOVDQA, T1, 0, move);
		x86_v(x, E_PDPBUSD, T0, T1, m);
		x86_vm(x, V_PXOR, T1, n, move);
		x86_v(x, V_PSUBD, T0, d, T0);
		x86_v(x, E_PDPBUSD, T0, T1, m);
	}
	x86_v(x, V_MOVDQA, simd_to(t), 0, T0);
}

/* SDOT, UDOT: products of even and of odd bytes, as 16-bit numbers. */
void jit_simd_dot(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool is_unsigned = t->raw >> 29 & 1;
	jit_fp_enter(t);
	unsigned n = simd_rn(t), d = simd_rd(t), m = simd_factor(t, 2, T2);
	if (t->jit->host & JIT_HOST_DOT) {
		dot_by_host(t, is_unsigned, d, n, m);
		return;
	}
	unsigned odd = is_unsigned ? V_PSRLW : V_PSRAW;
	x86_vshift(x, odd, T0, n, 8);
	x86_vshift(x, odd, T1, m, 8);
	x86_v(x, V_PMADDWD, T0, T0, T1);
	x86_v(x, V_PADDD, T0, T0, d);
	if (is_unsigned) {
		x86_vm(x, V_PAND, T1, n, JIT_CONSTANT(t, low_h));
		x86_vm(x, V_PAND, T2, m, JIT_CONSTANT(t, low_h));
	} else {
		x86_vshift(x, V_PSLLW, T1, n, 8);
		x86_vshift(x, V_PSRAW, T1, T1, 8);
		x86_vshift(x, V_PSLLW, T2, m, 8);
		x86_vshift(x, V_PSRAW, T2, T2, 8);
	}
	x86_v(x, V_PMADDWD, T1, T1, T2);
	x86_v(x, V_PADDD, simd_to(t), T0, T1);
}
