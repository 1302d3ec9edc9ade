/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmove.c - translate moves of elements: DUP, INS, SMOV, UMOV, FMOV, permutations, EXT, TBL,
 * immediates
 *
 * Threads: the vCPU thread.
 */
#include "engine/soft/jit/simd.h"
#include "engine/soft/simd.h"

void simd_spread(struct jit_block *t, unsigned to, unsigned from, unsigned log2, unsigned index)
{
	struct x86 *x = &t->x;
	switch (log2) {
	case 0: x86_vm(x, V_PSHUFB, to, from, JIT_CONSTANT(t, spread_b[index])); break;
	case 1: x86_vm(x, V_PSHUFB, to, from, JIT_CONSTANT(t, spread_h[index])); break;
	case 2: x86_vrr_imm(x, V_PSHUFD, to, 0, from, (uint8_t)(index * 0x55)); break;
	default: x86_vrr_imm(x, V_PSHUFD, to, 0, from, index ? 0xee : 0x44); break;
	}
}

unsigned simd_factor(struct jit_block *t, unsigned log2, unsigned temp)
{
	if (!simd_by_element(t)) {
		return simd_rm(t);
	}
	uint32_t w = t->raw;
	unsigned m = jit_vread(t, log2 == 1 ? A64_Rm4(w) : A64_Rm(w), 16);
	unsigned index = A64_ixh(w) << 2 | A64_ixl(w) << 1 | A64_ixm(w); /* of halfwords */
	simd_spread(t, temp, m, log2, index >> (log2 - 1));
	return temp;
}

void simd_unzip(struct jit_block *t, unsigned n, unsigned m, unsigned log2)
{
	struct x86 *x = &t->x;
	bool whole = simd_bytes(t) == 16;
	if (log2 < 2) {
		struct x86_mem mask = log2 ? JIT_CONSTANT(t, unzip_h) : JIT_CONSTANT(t, unzip_b);
		if (!whole) {
			x86_v(x, V_PUNPCKLQDQ, T0, n, m);
			x86_vm(x, V_PSHUFB, T0, T0, mask);
			x86_vshift(x, V_PSRLDQ, T1, T0, 8);
			return;
		}
		x86_vm(x, V_PSHUFB, T1, m, mask);
		x86_vm(x, V_PSHUFB, T0, n, mask);
		x86_v(x, V_PUNPCKHQDQ, T2, T0, T1);
		x86_v(x, V_PUNPCKLQDQ, T0, T0, T1);
		x86_v(x, V_MOVDQA, T1, 0, T2);
	} else if (log2 == 2 && !whole) {
		x86_v(x, V_PUNPCKLDQ, T0, n, m); /* n0 m0 n1 m1 */
		x86_vshift(x, V_PSRLDQ, T1, T0, 8);
	} else if (log2 == 2) {
		x86_vrr_imm(x, V_SHUFPS, T1, n, m, 0xdd);
		x86_vrr_imm(x, V_SHUFPS, T0, n, m, 0x88);
	} else {
		x86_v(x, V_PUNPCKHQDQ, T1, n, m);
		x86_v(x, V_PUNPCKLQDQ, T0, n, m);
	}
}

void simd_to_half(struct jit_block *t)
{
	struct x86 *x = &t->x;
	if (simd_bytes(t) == 16) {
		unsigned d = jit_vread(t, A64_Rd(t->raw), 8);
		x86_v(x, V_PUNPCKLQDQ, jit_vwrite(t, A64_Rd(t->raw), 16), d, T0);
	} else {
		x86_v(x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), 8), 0, T0);
	}
}

/* T0: the low halves of its elements to its low half. */
static void narrow_lanes(struct jit_block *t, unsigned log2)
{
	struct x86 *x = &t->x;
	switch (log2) {
	case 0: x86_vm(x, V_PSHUFB, T0, T0, JIT_CONSTANT(t, unzip_b)); break;
	case 1: x86_vm(x, V_PSHUFB, T0, T0, JIT_CONSTANT(t, unzip_h)); break;
	default: x86_vrr_imm(x, V_PSHUFD, T0, 0, T0, 0x08); break;
	}
}

void simd_narrow(struct jit_block *t, unsigned log2)
{
	narrow_lanes(t, log2);
	simd_to_half(t);
}

/* ----- elements ----- */

static unsigned imm5_log2(uint32_t imm5)
{
	return (unsigned)__builtin_ctz(imm5);
}

static unsigned imm5_index(uint32_t imm5)
{
	return imm5 >> (imm5_log2(imm5) + 1);
}

void jit_simd_dup_elem(struct jit_block *t)
{
	uint32_t imm5 = A64_imm5(t->raw);
	jit_fp_enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16);
	simd_spread(t, simd_to(t), n, imm5_log2(imm5), imm5_index(imm5));
}

/* DUP (scalar): shifted down, and the rest cut off. */
void jit_simd_dup_scalar(struct jit_block *t)
{
	struct x86 *x = &t->x;
	uint32_t imm5 = A64_imm5(t->raw);
	unsigned log2 = imm5_log2(imm5), bytes = 1u << log2, at = imm5_index(imm5) << log2;
	jit_fp_enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16);
	if (log2 >= 2) {
		x86_vrr_imm(x, V_PSHUFD, jit_vwrite(t, A64_Rd(t->raw), bytes), 0, n,
			    (uint8_t)(0xe4 >> at / 4 * 2));
		return;
	}
	x86_vshift(x, V_PSLLDQ, T0, n, 16 - bytes - at);
	x86_vshift(x, V_PSRLDQ, jit_vwrite(t, A64_Rd(t->raw), 16), T0, 16 - bytes);
}

/* General register @n as simd rows name it: 31 is ZR. */
static unsigned general(struct jit_block *t, unsigned n)
{
	return jit_read(t, n == 31 ? CPU_ZR : n, RDX);
}

void jit_simd_dup_gen(struct jit_block *t)
{
	static const unsigned ops[] = {V_PBROADCASTB, V_PBROADCASTW, V_PBROADCASTD, V_PBROADCASTQ};
	unsigned log2 = imm5_log2(A64_imm5(t->raw));
	jit_fp_enter(t);
	unsigned from = general(t, A64_Rn(t->raw)), to = simd_to(t);
	x86_v(&t->x, V_MOVQ_IN, to, 0, from);
	x86_v(&t->x, ops[log2], to, 0, to);
}

/* RDX (or the register's own) = element @index of @from, zero-extended. */
static unsigned extract(struct jit_block *t, unsigned to, unsigned from, unsigned log2,
			unsigned index)
{
	static const unsigned ops[] = {V_PEXTRB, V_PEXTRW, V_PEXTRD, V_PEXTRQ};
	if (index == 0 && log2 >= 2) {
		x86_v(&t->x, log2 == 2 ? V_MOVD_OUT : V_MOVQ_OUT, from, 0, to);
	} else {
		x86_vrr_imm(&t->x, ops[log2], from, 0, to, (uint8_t)index);
	}
	return to;
}

/* UMOV, SMOV. */
void jit_simd_to_general(struct jit_block *t)
{
	static const unsigned extends[] = {X_MOVSX8, X_MOVSX16, X_MOVSXD};
	uint32_t imm5 = A64_imm5(t->raw);
	unsigned log2 = imm5_log2(imm5), rd = A64_Rd(t->raw) == 31 ? CPU_SINK : A64_Rd(t->raw);
	unsigned index = imm5_index(imm5);
	jit_fp_enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw),
			       (index + 1) << log2 <= 4	  ? 4
			       : (index + 1) << log2 <= 8 ? 8
							  : 16);
	unsigned to = extract(t, jit_target(t, rd, RDX), n, log2, index);
	if (t->op == A64_SMOV) {
		x86_rr(&t->x, extends[log2], A64_Q(t->raw), to, to);
	}
	jit_write(t, rd, to);
}

static void insert(struct jit_block *t, unsigned from, unsigned log2, unsigned index)
{
	static const unsigned ops[] = {V_PINSRB, V_PINSRW, V_PINSRD, V_PINSRQ};
	unsigned d = jit_vread(t, A64_Rd(t->raw), 16);
	x86_vrr_imm(&t->x, ops[log2], jit_vwrite(t, A64_Rd(t->raw), 16), d, from, (uint8_t)index);
}

void jit_simd_ins_gen(struct jit_block *t)
{
	uint32_t imm5 = A64_imm5(t->raw);
	jit_fp_enter(t);
	insert(t, general(t, A64_Rn(t->raw)), imm5_log2(imm5), imm5_index(imm5));
}

void jit_simd_ins_elem(struct jit_block *t)
{
	struct x86 *x = &t->x;
	uint32_t imm5 = A64_imm5(t->raw);
	unsigned log2 = imm5_log2(imm5), index = imm5_index(imm5), from = A64_imm4(t->raw) >> log2;
	jit_fp_enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 16);
	if (log2 == 2) {
		unsigned d = jit_vread(t, A64_Rd(t->raw), 16);
		x86_vrr_imm(x, V_INSERTPS, jit_vwrite(t, A64_Rd(t->raw), 16), d, n,
			    (uint8_t)(from << 6 | index << 4));
	} else if (log2 == 3) {
		unsigned d = jit_vread(t, A64_Rd(t->raw), 16);
		unsigned to = jit_vwrite(t, A64_Rd(t->raw), 16);
		/* SHUFPD: the low element from the first operand, the high one from the second */
		x86_vrr_imm(x, V_SHUFPD, to, index ? d : n, index ? n : d,
			    (uint8_t)(index ? from << 1 : from | 2));
	} else if (log2 == 1) {
		unsigned d = jit_vread(t, A64_Rd(t->raw), 16);
		simd_spread(t, T0, n, 1, from);
		x86_vrr_imm(x, V_PBLENDW, jit_vwrite(t, A64_Rd(t->raw), 16), d, T0,
			    (uint8_t)(1 << index));
	} else {
		insert(t, extract(t, RDX, n, log2, from), log2, index);
	}
}

/* FMOV between general registers and V registers. */
void jit_fmov_to_general(struct jit_block *t)
{
	unsigned rd = A64_Rd(t->raw) == 31 ? CPU_SINK : A64_Rd(t->raw), to = jit_target(t, rd, RDX);
	unsigned log2 = t->op == A64_FMOV_to_h ? 1 : t->op == A64_FMOV_to_w ? 2 : 3;
	bool top = t->op == A64_FMOV_to_x_top;
	jit_fp_enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), top ? 16 : log2 == 3 ? 8 : 4);
	extract(t, to, n, log2, top);
	jit_write(t, rd, to);
}

void jit_fmov_from_general(struct jit_block *t)
{
	jit_fp_enter(t);
	unsigned from = general(t, A64_Rn(t->raw));
	switch (t->op) {
	case A64_FMOV_from_x_top: insert(t, from, 3, 1); break;
	case A64_FMOV_from_x:
		x86_v(&t->x, V_MOVQ_IN, jit_vwrite(t, A64_Rd(t->raw), 16), 0, from);
		break;
	case A64_FMOV_from_w:
		x86_v(&t->x, V_MOVD_IN, jit_vwrite(t, A64_Rd(t->raw), 16), 0, from);
		break;
	default:
		x86_rr(&t->x, X_MOVZX16, false, RDX, from);
		x86_v(&t->x, V_MOVD_IN, jit_vwrite(t, A64_Rd(t->raw), 16), 0, RDX);
		break;
	}
}

/* ----- permutations ----- */

static void zip(struct jit_block *t, unsigned n, unsigned m, unsigned log2, bool second)
{
	static const unsigned low[] = {V_PUNPCKLBW, V_PUNPCKLWD, V_PUNPCKLDQ, V_PUNPCKLQDQ};
	static const unsigned high[] = {V_PUNPCKHBW, V_PUNPCKHWD, V_PUNPCKHDQ, V_PUNPCKHQDQ};
	if (second && simd_bytes(t) == 8) {
		x86_v(&t->x, low[log2], T0, n, m);
		x86_vshift(&t->x, V_PSRLDQ, simd_to(t), T0, 8);
	} else {
		x86_v(&t->x, second ? high[log2] : low[log2], simd_to(t), n, m);
	}
}

static void transpose(struct jit_block *t, unsigned n, unsigned m, unsigned log2, bool second)
{
	static const unsigned left[] = {V_PSLLW, V_PSLLD, V_PSLLQ},
			      right[] = {V_PSRLW, V_PSRLD, V_PSRLQ};
	struct x86 *x = &t->x;
	if (log2 == 3) {
		x86_v(x, second ? V_PUNPCKHQDQ : V_PUNPCKLQDQ, simd_to(t), n, m);
		return;
	}
	unsigned bits = 8u << log2;
	if (second) {
		x86_vshift(x, right[log2], T0, n, bits);
		n = T0;
	} else {
		x86_vshift(x, left[log2], T0, m, bits);
		m = T0;
	}
	if (log2) {
		x86_vrr_imm(x, V_PBLENDW, simd_to(t), n, m, log2 == 1 ? 0xaa : 0xcc);
		return;
	}
	unsigned other = second ? m : n;
	x86_vm(x, V_PAND, T1, other, second ? JIT_CONSTANT(t, high_h) : JIT_CONSTANT(t, low_h));
	x86_v(x, V_POR, simd_to(t), T0, T1);
}

/* UZP1, UZP2: as simd_unzip(), but only one of both. */
static void unzip_one(struct jit_block *t, unsigned n, unsigned m, unsigned log2, bool second)
{
	struct x86 *x = &t->x;
	if (simd_bytes(t) != 16) {
		simd_unzip(t, n, m, log2);
		x86_v(x, V_MOVDQA, simd_to(t), 0, second ? T1 : T0);
	} else if (log2 == 2) {
		x86_vrr_imm(x, V_SHUFPS, simd_to(t), n, m, second ? 0xdd : 0x88);
	} else {
		if (log2 < 2) {
			struct x86_mem mask =
				log2 ? JIT_CONSTANT(t, unzip_h) : JIT_CONSTANT(t, unzip_b);
			x86_vm(x, V_PSHUFB, T0, n, mask);
			x86_vm(x, V_PSHUFB, T1, m, mask);
			n = T0;
			m = T1;
		}
		x86_v(x, second ? V_PUNPCKHQDQ : V_PUNPCKLQDQ, simd_to(t), n, m);
	}
}

/* ZIP, UZP, TRN. */
void jit_simd_permute(struct jit_block *t)
{
	unsigned log2 = simd_log2(t), opcode = t->raw >> 12 & 3;
	bool second = t->raw >> 14 & 1;
	jit_fp_enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	if (opcode == 3) {
		zip(t, n, m, log2, second);
	} else if (opcode == 2) {
		transpose(t, n, m, log2, second);
	} else {
		unzip_one(t, n, m, log2, second);
	}
}

void jit_simd_ext(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned at = A64_imm4(t->raw);
	jit_fp_enter(t);
	unsigned n = simd_rn(t), m = simd_rm(t);
	if (simd_bytes(t) == 16) {
		x86_vrr_imm(x, V_PALIGNR, simd_to(t), m, n, (uint8_t)at);
	} else {
		x86_v(x, V_PUNPCKLQDQ, T0, n, m);
		x86_vshift(x, V_PSRLDQ, simd_to(t), T0, at);
	}
}

/* T0 = bytes of the tables, by the host's look-up in two registers; T1, T2 change. */
static void look_up_pairs(struct jit_block *t, unsigned index, unsigned first, unsigned regs)
{
	struct x86 *x = &t->x;
	for (unsigned k = 0; k < regs; k += 2) {
		unsigned low = jit_vread(t, (first + k) % 32, 16);
		unsigned high = k + 1 < regs ? jit_vread(t, (first + k + 1) % 32, 16) : low;
		unsigned to = k ? T1 : T0;
		x86_v(x, V_MOVDQA, to, 0, index);
		x86_v(x, E_PERMI2B, to, low, high);
	}
	if (regs > 2) { /* bit 5 chooses */
		x86_vshift(x, V_PSLLW, T2, index, 2);
		x86_vrr_imm(x, V_PBLENDVB, T0, T0, T1, T2 << 4);
	}
}

/* The same register by register: indexes beyond 15 become negative, for which PSHUFB gives 0. */
static void look_up_singles(struct jit_block *t, unsigned index, unsigned first, unsigned regs)
{
	struct x86 *x = &t->x;
	const struct x86_mem starts[] = {JIT_CONSTANT(t, b_10), JIT_CONSTANT(t, b_20),
					 JIT_CONSTANT(t, b_30)};
	for (unsigned k = 0; k < regs; k++) {
		unsigned table = jit_vread(t, (first + k) % 32, 16), to = k ? T1 : T0, from = index;
		if (k) {
			x86_vm(x, V_PSUBB, T1, index, starts[k - 1]);
			from = T1;
		}
		x86_vm(x, V_PADDUSB, to, from, JIT_CONSTANT(t, high_70));
		x86_v(x, V_PSHUFB, to, table, to);
		if (k) {
			x86_v(x, V_POR, T0, T0, T1);
		}
	}
}

/* TBL, TBX. */
void jit_simd_table(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned first = A64_Rn(t->raw), regs = A64_len(t->raw) + 1;
	const struct x86_mem ends[] = {JIT_CONSTANT(t, b_10), JIT_CONSTANT(t, b_20),
				       JIT_CONSTANT(t, b_30), JIT_CONSTANT(t, b_40)};
	bool keeps = t->raw >> 12 & 1, by_pairs = regs > 1 && t->jit->host & JIT_HOST_BYTES;
	jit_fp_enter(t);
	unsigned index = simd_rm(t);
	if (by_pairs) {
		look_up_pairs(t, index, first, regs);
	} else {
		look_up_singles(t, index, first, regs);
	}
	if (keeps || by_pairs) { /* those beyond all tables */
		x86_vm(x, V_PMAXUB, T1, index, ends[regs - 1]);
		x86_v(x, V_PCMPEQB, T1, T1, index);
	}
	if (by_pairs) {
		x86_v(x, V_PANDN, T0, T1, T0);
	}
	if (keeps) {
		unsigned d = simd_rd(t);
		x86_v(x, V_PAND, T1, T1, d);
		x86_v(x, V_POR, T0, T0, T1);
	}
	x86_v(x, V_MOVDQA, simd_to(t), 0, T0);
}

/* ----- immediates ----- */

/* @to = @value in both halves. */
static void move_imm(struct jit_block *t, unsigned to, uint64_t value)
{
	struct x86 *x = &t->x;
	if (value == 0) {
		simd_zero(t, to);
	} else if (value == UINT64_MAX) {
		simd_ones(t, to);
	} else {
		x86_mov_imm(x, RDX, value);
		x86_v(x, V_MOVQ_IN, to, 0, RDX);
		x86_v(x, V_PBROADCASTQ, to, 0, to);
	}
}

void jit_simd_movi(struct jit_block *t)
{
	jit_fp_enter(t);
	uint64_t value = simd_expand_imm(t->raw);
	bool inverts = A64_op29(t->raw) && A64_cmode(t->raw) < 14; /* MVNI */
	move_imm(t, simd_to(t), inverts ? ~value : value);
}

/* ORR and BIC with an immediate. */
void jit_simd_logic_imm(struct jit_block *t)
{
	jit_fp_enter(t);
	unsigned d = simd_rd(t);
	bool clears = t->op == A64_BIC_v_imm;
	move_imm(t, T0, simd_expand_imm(t->raw));
	x86_v(&t->x, clears ? V_PANDN : V_POR, simd_to(t), clears ? T0 : d, clears ? d : T0);
}
