/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bits.c - translate bit fields, shifts, multiplication, division, bit counts and CRC32C
 *
 * Threads: the vCPU thread.
 */
#include "engine/soft/jit/priv.h"

static bool is_wide(const struct jit_block *t)
{
	return t->raw >> 31;
}

/* SBFM, UBFM as LSL, LSR, ASR, extension, or two shifts. */
static void move_field(struct jit_block *t, bool is_signed)
{
	struct x86 *x = &t->x;
	bool wide = is_wide(t);
	unsigned width = wide ? 64 : 32, immr = A64_immr(t->raw), imms = A64_imms(t->raw);
	unsigned left = width - 1 - imms,
		 right = imms >= immr ? left + immr : left - (width - immr);
	unsigned to = jit_target(t, t->i.rd, RCX);
	unsigned bits = imms + 1;
	if (immr == 0 &&
	    (bits == 8 || bits == 16 || bits == 32)) { /* SXTB and so on: no flags change */
		unsigned from = jit_read(t, t->i.rn, RCX);
		if (bits == 32) {
			x86_rr(x, is_signed && wide ? X_MOVSXD : X_MOV, is_signed && wide, to,
			       from);
		} else {
			unsigned op = is_signed	  ? (bits == 8 ? X_MOVSX8 : X_MOVSX16)
				      : bits == 8 ? X_MOVZX8
						  : X_MOVZX16;
			x86_rr(x, op, is_signed && wide, to, from);
		}
		jit_write(t, t->i.rd, to);
		return;
	}
	jit_flags_clobber(t);
	jit_load(t, t->i.rn, to, wide);
	if (left) {
		x86_shift_imm(x, SH_SHL, wide, to, left);
	}
	if (right) {
		x86_shift_imm(x, is_signed ? SH_SAR : SH_SHR, wide, to, right);
	}
	jit_write(t, t->i.rd, to);
}

static uint64_t low_ones(unsigned count)
{
	return count >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1;
}

/* BFM: RCX gets the field at its place, the target keeps the rest. */
static void insert_field(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool wide = is_wide(t);
	unsigned width = wide ? 64 : 32, immr = A64_immr(t->raw), imms = A64_imms(t->raw);
	bool extracts = imms >= immr;
	unsigned bits = extracts ? imms - immr + 1 : imms + 1, at = extracts ? 0 : width - immr;
	uint64_t mask = low_ones(bits) << at;
	jit_flags_clobber(t);
	jit_load(t, t->i.rn, RCX, wide);
	x86_shift_imm(x, SH_SHL, wide, RCX, width - 1 - imms);
	x86_shift_imm(x, SH_SHR, wide, RCX, width - bits - at);
	unsigned to = jit_target(t, t->i.rd, RSI);
	jit_load(t, t->i.rd == CPU_SINK ? CPU_ZR : t->i.rd, to, wide);
	if (wide && (int64_t)~mask != (int32_t)~mask) {
		x86_mov_imm(x, RDX, ~mask);
		x86_rr(x, X_AND, true, to, RDX);
	} else {
		x86_alu_imm(x, ALU_AND, wide, to, (int32_t)~mask);
	}
	x86_rr(x, X_OR, wide, to, RCX);
	jit_write(t, t->i.rd, to);
}

void jit_bitfield(struct jit_block *t)
{
	if (t->op == A64_BFM_w || t->op == A64_BFM_x) {
		insert_field(t);
	} else {
		move_field(t, t->op == A64_SBFM_w || t->op == A64_SBFM_x);
	}
}

void jit_extract(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool wide = is_wide(t);
	unsigned width = wide ? 64 : 32, amount = A64_imms(t->raw);
	if (t->i.rn == t->i.rm && amount) {
		unsigned from = jit_read(t, t->i.rn, RCX), to = jit_target(t, t->i.rd, RCX);
		x86_rorx(x, wide, to, from, amount);
		jit_write(t, t->i.rd, to);
		return;
	}
	jit_flags_clobber(t);
	jit_load(t, t->i.rm, RCX, wide);
	if (amount) {
		jit_load(t, t->i.rn, RDX, wide);
		x86_shift_imm(x, SH_SHR, wide, RCX, amount);
		x86_shift_imm(x, SH_SHL, wide, RDX, width - amount);
		x86_rr(x, X_OR, wide, RCX, RDX);
	}
	jit_write(t, t->i.rd, RCX);
}

void jit_multiply(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool wide = is_wide(t), sub = t->raw >> 15 & 1;
	jit_flags_clobber(t);
	jit_load(t, t->i.rn, RCX, wide);
	jit_op(t, X_IMUL, wide, RCX, t->i.rm);
	if (t->i.ra != CPU_ZR && !sub) {
		jit_op(t, X_ADD, wide, RCX, t->i.ra);
	} else if (sub) {
		x86_unary(x, UN_NEG, wide, RCX);
		jit_op(t, X_ADD, wide, RCX, t->i.ra);
	}
	jit_write(t, t->i.rd, RCX);
}

void jit_multiply_long(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool sub = t->raw >> 15 & 1, is_unsigned = t->raw >> 23 & 1;
	jit_flags_clobber(t);
	jit_load(t, t->i.rn, RCX, false);
	jit_load(t, t->i.rm, RDX, false);
	if (!is_unsigned) {
		x86_rr(x, X_MOVSXD, true, RCX, RCX);
		x86_rr(x, X_MOVSXD, true, RDX, RDX);
	}
	x86_rr(x, X_IMUL, true, RCX, RDX);
	if (sub) {
		x86_unary(x, UN_NEG, true, RCX);
	}
	if (t->i.ra != CPU_ZR) {
		jit_op(t, X_ADD, true, RCX, t->i.ra);
	}
	jit_write(t, t->i.rd, RCX);
}

void jit_multiply_high(struct jit_block *t)
{
	struct x86 *x = &t->x;
	if (t->op == A64_UMULH) {
		jit_load(t, t->i.rn, RDX, true);
		unsigned b = jit_read(t, t->i.rm, RSI);
		x86_vrr(x, V_MULX, true, RCX, RSI, b);
	} else {
		jit_flags_clobber(t);
		x86_mov(x, true, RSI, RAX); /* our NZCV */
		jit_load(t, t->i.rn, RAX, true);
		jit_load(t, t->i.rm, RCX, true);
		x86_unary(x, UN_IMUL, true, RCX);
		x86_mov(x, true, RCX, RDX);
		x86_mov(x, true, RAX, RSI);
	}
	jit_write(t, t->i.rd, RCX);
}

/* Division by zero is 0; the smallest number by -1 is itself. */
void jit_divide(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool wide = is_wide(t), is_signed = t->op == A64_SDIV_w || t->op == A64_SDIV_x;
	jit_flags_clobber(t);
	x86_mov(x, true, RSI, RAX); /* our NZCV */
	jit_load(t, t->i.rm, RCX, wide);
	x86_mov_imm(x, RAX, 0);
	x86_rr(x, X_TEST, wide, RCX, RCX);
	uint8_t *zero = x86_jcc_later(x, CC_E), *minus = NULL;
	jit_load(t, t->i.rn, RAX, wide);
	if (is_signed) {
		x86_alu_imm(x, ALU_CMP, wide, RCX, -1);
		minus = x86_jcc_later(x, CC_E);
		x86_opcode(x, 0x99, wide, 0, 0, 0, false); /* cdq, cqo */
		x86_unary(x, UN_IDIV, wide, RCX);
	} else {
		x86_mov_imm(x, RDX, 0);
		x86_unary(x, UN_DIV, wide, RCX);
	}
	if (minus) {
		uint8_t *done = x86_jmp_later(x);
		x86_land(x, minus);
		x86_unary(x, UN_NEG, wide, RAX);
		x86_land(x, done);
	}
	x86_land(x, zero);
	x86_mov(x, true, RCX, RAX);
	x86_mov(x, true, RAX, RSI);
	jit_write(t, t->i.rd, RCX);
}

void jit_shift_reg(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool wide = is_wide(t);
	unsigned kind = t->raw >> 10 & 3, to = jit_target(t, t->i.rd, RDX);
	static const unsigned shifts[] = {V_SHLX, V_SHRX, V_SARX};
	if (kind == 3) {
		jit_flags_clobber(t);
		jit_load(t, t->i.rm, RCX, false);
		jit_load(t, t->i.rn, RDX, wide);
		x86_shift_cl(x, SH_ROR, wide, RDX);
		jit_write(t, t->i.rd, RDX);
		return;
	}
	unsigned amount = jit_read(t, t->i.rm, RCX), from = jit_read(t, t->i.rn, RDX);
	x86_vrr(x, shifts[kind], wide, to, amount, from);
	jit_write(t, t->i.rd, to);
}

/* RCX = (RCX >> shift & mask) | (RCX & mask) << shift. */
static void swap_groups(struct x86 *x, uint64_t mask, unsigned shift)
{
	x86_mov_imm(x, RSI, mask);
	x86_mov(x, true, RDX, RCX);
	x86_shift_imm(x, SH_SHR, true, RDX, shift);
	x86_rr(x, X_AND, true, RDX, RSI);
	x86_rr(x, X_AND, true, RCX, RSI);
	x86_shift_imm(x, SH_SHL, true, RCX, shift);
	x86_rr(x, X_OR, true, RCX, RDX);
}

static void reverse_bits(struct x86 *x, bool wide)
{
	swap_groups(x, 0x5555555555555555, 1);
	swap_groups(x, 0x3333333333333333, 2);
	swap_groups(x, 0x0f0f0f0f0f0f0f0f, 4);
	x86_bswap(x, wide, RCX);
}

static void count_sign_bits(struct jit_block *t, bool wide)
{
	struct x86 *x = &t->x;
	x86_mov(x, wide, RDX, RCX);
	x86_shift_imm(x, SH_SAR, wide, RDX, wide ? 63 : 31);
	x86_rr(x, X_XOR, wide, RCX, RDX);
	x86_rr(x, X_LZCNT, wide, RCX, RCX);
	x86_alu_imm(x, ALU_SUB, false, RCX, 1);
}

/* Rows of one source. */
void jit_bits(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool wide = is_wide(t);
	jit_flags_clobber(t);
	jit_load(t, t->i.rn, RCX, wide);
	switch (t->op) {
	case A64_CLZ_w:
	case A64_CLZ_x: x86_rr(x, X_LZCNT, wide, RCX, RCX); break;
	case A64_CLS_w:
	case A64_CLS_x: count_sign_bits(t, wide); break;
	case A64_REV_w:
	case A64_REV_x: x86_bswap(x, wide, RCX); break;
	case A64_REV32_x:
		x86_bswap(x, true, RCX);
		x86_rorx(x, true, RCX, RCX, 32);
		break;
	case A64_REV16_w:
	case A64_REV16_x: swap_groups(x, 0x00ff00ff00ff00ff, 8); break;
	default: reverse_bits(x, wide); break;
	}
	jit_write(t, t->i.rd, RCX);
}

/*
 * CRC32W, CRC32X by carry-less multiplication.  X is Rn ^ Rm, for CRC32W shifted to the high half;
 * P is the reflected polynomial. With Q = X / P modulo x^64 the low half of Q * P is X, so X ^ Q *
 * P, which leaves the same remainder, is the high half alone.
 */
void jit_crc32(struct jit_block *t)
{
	const uint64_t polynomial = 0x1db710641;
	const uint64_t inverse = 0xb4e5b025f7011641; /* times the polynomial: 1 modulo x^64 */
	enum { A = JIT_XMM_TEMP0, B = JIT_XMM_TEMP1 };
	struct x86 *x = &t->x;
	if (!__builtin_cpu_supports("pclmul")) {
		jit_call_handler(t);
		return;
	}
	jit_load(t, t->i.rn, RCX, false);
	x86_v(x, V_MOVQ_IN, A, 0, RCX);
	jit_load(t, t->i.rm, RDX, t->op == A64_CRC32X);
	x86_v(x, V_MOVQ_IN, B, 0, RDX);
	x86_v(x, V_PXOR, A, A, B);
	if (t->op == A64_CRC32W) {
		x86_vshift(x, V_PSLLQ, A, A, 32);
	}
	x86_mov_imm(x, RCX, inverse);
	x86_v(x, V_MOVQ_IN, B, 0, RCX);
	x86_vrr_imm(x, V_PCLMULQDQ, A, A, B, 0);
	x86_mov_imm(x, RCX, polynomial);
	x86_v(x, V_MOVQ_IN, B, 0, RCX);
	x86_vrr_imm(x, V_PCLMULQDQ, A, A, B, 0);
	x86_vshift(x, V_PSRLDQ, A, A, 8);
	x86_v(x, V_MOVQ_OUT, A, 0, RCX);
	jit_write(t, t->i.rd, RCX);
}

void jit_crc32c(struct jit_block *t)
{
	struct x86 *x = &t->x;
	jit_load(t, t->i.rn, RCX, false);
	jit_load(t, t->i.rm, RDX, true);
	switch (t->op) {
	case A64_CRC32CB: x86_rr(x, X_CRC32_8, false, RCX, RDX); break;
	case A64_CRC32CH:
		x86_byte(x, 0x66);
		x86_rr(x, X_CRC32, false, RCX, RDX);
		break;
	case A64_CRC32CW: x86_rr(x, X_CRC32, false, RCX, RDX); break;
	default: x86_rr(x, X_CRC32, true, RCX, RDX); break;
	}
	jit_write(t, t->i.rd, RCX);
}
