/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vlong.c - translate Advanced SIMD operations with operands of different widths
 *
 * How it works: the narrow operands are widened, or for products multiplied in two halves, as the
 * host offers. Threads: the vCPU thread.
 */
#include "engine/soft/jit/simd.h"

static const unsigned adds[] = {V_PADDB, V_PADDW, V_PADDD, V_PADDQ};
static const unsigned subs[] = {V_PSUBB, V_PSUBW, V_PSUBD, V_PSUBQ};

static unsigned wide_to(struct jit_block *t)
{
	return jit_vwrite(t, A64_Rd(t->raw), 16);
}

static bool is_signed(const struct jit_block *t)
{
	return !(t->raw >> 29 & 1);
}

/* SADDL, UADDL, SSUBL, USUBL; with a wide first operand SADDW, UADDW, SSUBW, USUBW. */
void jit_simd_add_long(struct jit_block *t)
{
	unsigned log2 = simd_log2(t);
	bool wide = t->raw >> 12 & 1, sub = t->raw >> 13 & 1;
	jit_fp_enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16), m = simd_rm(t);
	simd_widen(t, T1, m, log2, is_signed(t));
	if (!wide) {
		simd_widen(t, T0, n, log2, is_signed(t));
		n = T0;
	}
	x86_v(&t->x, (sub ? subs : adds)[log2 + 1], wide_to(t), n, T1);
}

/* ADDHN, RADDHN, SUBHN, RSUBHN. */
void jit_simd_add_high_narrow(struct jit_block *t)
{
	static const unsigned rights[] = {V_PSRLW, V_PSRLD, V_PSRLQ},
			      lefts[] = {V_PSLLW, V_PSLLD, V_PSLLQ};
	struct x86 *x = &t->x;
	unsigned log2 = simd_log2(t), bits = 8u << log2;
	bool rounds = t->raw >> 29 & 1, sub = t->raw >> 13 & 1;
	jit_fp_enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16), m = jit_vread(t, A64_Rm(t->raw), 16);
	x86_v(x, (sub ? subs : adds)[log2 + 1], T0, n, m);
	if (rounds) {
		simd_ones(t, T1);
		x86_vshift(x, rights[log2], T1, T1, 2 * bits - 1);
		x86_vshift(x, lefts[log2], T1, T1, bits - 1);
		x86_v(x, adds[log2 + 1], T0, T0, T1);
	}
	x86_vshift(x, rights[log2], T0, T0, bits);
	simd_narrow(t, log2);
}

/* SABDL, UABDL, SABAL, UABAL: the difference fits the narrow element as an unsigned number. */
void jit_simd_difference_long(struct jit_block *t)
{
	static const unsigned max[][3] = {{V_PMAXUB, V_PMAXUW, V_PMAXUD},
					  {V_PMAXSB, V_PMAXSW, V_PMAXSD}};
	static const unsigned min[][3] = {{V_PMINUB, V_PMINUW, V_PMINUD},
					  {V_PMINSB, V_PMINSW, V_PMINSD}};
	struct x86 *x = &t->x;
	unsigned log2 = simd_log2(t);
	bool adds_up = !(t->raw >> 13 & 1);
	jit_fp_enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	x86_v(x, max[is_signed(t)][log2], T0, n, m);
	x86_v(x, min[is_signed(t)][log2], T1, n, m);
	x86_v(x, subs[log2], T0, T0, T1);
	simd_widen(t, T0, T0, log2, false);
	if (adds_up) {
		unsigned d = jit_vread(t, A64_Rd(t->raw), 16);
		x86_v(x, adds[log2 + 1], wide_to(t), d, T0);
	} else {
		x86_v(x, V_MOVDQA, wide_to(t), 0, T0);
	}
}

void simd_multiply_long(struct jit_block *t, unsigned log2, unsigned n, unsigned m)
{
	struct x86 *x = &t->x;
	bool upper = simd_bytes(t) == 16;
	switch (log2) {
	case 0:
		simd_widen(t, T1, m, 0, is_signed(t));
		simd_widen(t, T0, n, 0, is_signed(t));
		x86_v(x, V_PMULLW, T0, T0, T1);
		break;
	case 1:
		x86_v(x, is_signed(t) ? V_PMULHW : V_PMULHUW, T1, n, m);
		x86_v(x, V_PMULLW, T0, n, m);
		x86_v(x, upper ? V_PUNPCKHWD : V_PUNPCKLWD, T0, T0, T1);
		break;
	default:
		x86_vrr_imm(x, V_PSHUFD, T1, 0, m, upper ? 0xfa : 0x50);
		x86_vrr_imm(x, V_PSHUFD, T0, 0, n, upper ? 0xfa : 0x50);
		x86_v(x, is_signed(t) ? V_PMULDQ : V_PMULUDQ, T0, T0, T1);
		break;
	}
}

static void accumulate(struct jit_block *t, unsigned log2, bool adds_up, bool subtracts)
{
	if (adds_up || subtracts) {
		unsigned d = jit_vread(t, A64_Rd(t->raw), 16);
		x86_v(&t->x, (adds_up ? adds : subs)[log2 + 1], wide_to(t), d, T0);
	} else {
		x86_v(&t->x, V_MOVDQA, wide_to(t), 0, T0);
	}
}

/* SMULL, UMULL, SMLAL, UMLAL, SMLSL, UMLSL. */
void jit_simd_multiply_long(struct jit_block *t)
{
	unsigned log2 = simd_log2(t);
	unsigned opcode = t->raw >> (simd_by_element(t) ? 14 : 13) & 3; /* 0: adds, 1: subtracts */
	jit_fp_enter(t);
	unsigned n = simd_rn(t), m = simd_factor(t, log2, T2);
	simd_multiply_long(t, log2, n, m);
	accumulate(t, log2, opcode == 0, opcode == 1);
}
