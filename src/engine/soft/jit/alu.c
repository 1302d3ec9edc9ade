/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alu.c - translate addition, subtraction, logic, conditional selects and comparisons
 *
 * How it works: sums that set no flags use LEA, which leaves the host's flags alone; so flags of a
 * comparison stay usable for longer. Threads: the vCPU thread.
 */
#include "engine/soft/jit/priv.h"

static bool is_wide(const struct jit_block *t)
{
	return t->raw >> 31;
}

static bool fits(int64_t value)
{
	return value == (int32_t)value;
}

/* SP stays aligned when multiples of 16 are added. */
static void write_sum(struct jit_block *t, unsigned reg, bool keeps_alignment)
{
	bool aligned = t->sp_aligned && keeps_alignment;
	jit_write(t, t->i.rd, reg);
	if (t->i.rd == CPU_SP) {
		t->sp_aligned = aligned;
	}
}

/* ----- sums ----- */

static void sum_imm_flags(struct jit_block *t, bool sub, int32_t imm)
{
	bool wide = is_wide(t);
	jit_flags_clobber(t);
	if (sub && t->i.rd == CPU_SINK) {
		int own = jit_pinned(t, t->i.rn);
		if (own >= 0 && imm == 0) {
			x86_rr(&t->x, X_TEST, wide, (unsigned)own,
			       (unsigned)own); /* as CMP: no borrow, no overflow */
		} else if (own >= 0) {
			x86_alu_imm(&t->x, ALU_CMP, wide, (unsigned)own, imm);
		} else {
			x86_alu_imm_mem(&t->x, ALU_CMP, wide, jit_slot(t->i.rn), imm);
		}
		jit_flags_set(t, JIT_FLAGS_SUB);
		return;
	}
	unsigned to = jit_target(t, t->i.rd, RCX);
	jit_load(t, t->i.rn, to, wide);
	x86_alu_imm(&t->x, sub ? ALU_SUB : ALU_ADD, wide, to, imm);
	jit_write(t, t->i.rd, to);
	jit_flags_set(t, sub ? JIT_FLAGS_SUB : JIT_FLAGS_ADD);
}

void jit_add_sub_imm(struct jit_block *t)
{
	bool sub = t->raw >> 30 & 1, flags = t->raw >> 29 & 1, wide = is_wide(t);
	int32_t imm = (int32_t)((A64_imm12(t->raw)) << (A64_sh(t->raw) ? 12 : 0));
	if (flags) {
		sum_imm_flags(t, sub, imm);
		return;
	}
	unsigned from = jit_read(t, t->i.rn, RCX), to = jit_target(t, t->i.rd, RCX);
	if (imm) {
		x86_rm(&t->x, X_LEA, wide, to, x86_at(from, sub ? -imm : imm));
	} else {
		x86_mov(&t->x, wide, to, from);
	}
	write_sum(t, to, t->i.rn == CPU_SP && wide && !(imm & 15));
}

void jit_address(struct jit_block *t)
{
	int64_t imm = (int64_t)t->i.imm;
	unsigned to = jit_target(t, t->i.rd, RCX);
	x86_rm(&t->x, X_MOV, true, RCX, JIT_CPU(block_pc));
	if (fits(imm)) {
		x86_rm(&t->x, X_LEA, true, to, x86_at(RCX, (int32_t)imm));
	} else {
		x86_mov_imm(&t->x, RDX, (uint64_t)imm);
		x86_rm(&t->x, X_LEA, true, to, x86_indexed(RCX, RDX, 0, 0));
	}
	jit_write(t, t->i.rd, to);
}

/* RDX = guest register @n shifted (0 LSL, 1 LSR, 2 ASR, 3 ROR) by @amount; the flags of the host
 * change unless it is LSL by 0. */
static void load_shifted(struct jit_block *t, unsigned n, unsigned kind, unsigned amount, bool wide)
{
	static const enum x86_shift shifts[] = {SH_SHL, SH_SHR, SH_SAR, SH_ROR};
	jit_load(t, n, RDX, wide);
	if (amount) {
		x86_shift_imm(&t->x, shifts[kind], wide, RDX, amount);
	}
}

/* rd = rn +- RDX. */
static void sum_with_rdx(struct jit_block *t, bool sub, bool flags, bool wide)
{
	unsigned to = jit_target(t, t->i.rd, RCX);
	if (!sub && !flags) {
		unsigned from = jit_read(t, t->i.rn, RCX);
		x86_rm(&t->x, X_LEA, wide, to, x86_indexed(from, RDX, 0, 0));
	} else if (flags && sub && t->i.rd == CPU_SINK) {
		unsigned from = jit_read(t, t->i.rn, RCX);
		x86_rr(&t->x, X_CMP, wide, from, RDX);
	} else {
		jit_load(t, t->i.rn, to, wide);
		x86_rr(&t->x, sub ? X_SUB : X_ADD, wide, to, RDX);
	}
	write_sum(t, to, false);
	if (flags) {
		jit_flags_set(t, sub ? JIT_FLAGS_SUB : JIT_FLAGS_ADD);
	}
}

/* rd = rn +- rm. */
static void sum_plain(struct jit_block *t, bool sub, bool flags, bool wide)
{
	unsigned to = jit_target(t, t->i.rd, RCX);
	if (!sub && !flags) {
		unsigned b = jit_read(t, t->i.rm, RDX), a = jit_read(t, t->i.rn, RCX);
		x86_rm(&t->x, X_LEA, wide, to, x86_indexed(a, b, 0, 0));
		jit_write(t, t->i.rd, to);
		return;
	}
	jit_flags_clobber(t);
	if (sub && flags && t->i.rd == CPU_SINK) {
		unsigned a = jit_read(t, t->i.rn, RCX);
		jit_op(t, X_CMP, wide, a, t->i.rm);
		jit_flags_set(t, JIT_FLAGS_SUB);
		return;
	}
	bool overlaps = t->i.rd == t->i.rm && t->i.rd != t->i.rn;
	to = overlaps ? RCX : to;
	if (sub && t->i.rn == CPU_ZR && !flags) {
		jit_load(t, t->i.rm, to, wide);
		x86_unary(&t->x, UN_NEG, wide, to);
	} else {
		jit_load(t, t->i.rn, to, wide);
		jit_op(t, sub ? X_SUB : X_ADD, wide, to, t->i.rm);
	}
	jit_write(t, t->i.rd, to);
	if (flags) {
		jit_flags_set(t, sub ? JIT_FLAGS_SUB : JIT_FLAGS_ADD);
	}
}

void jit_add_sub_reg(struct jit_block *t)
{
	bool sub = t->raw >> 30 & 1, flags = t->raw >> 29 & 1, wide = is_wide(t);
	unsigned kind = A64_shift(t->raw), amount = A64_imm6(t->raw);
	if (!amount) {
		sum_plain(t, sub, flags, wide);
		return;
	}
	if (!sub && !flags && kind == 0 && amount <= 3) {
		unsigned b = jit_read(t, t->i.rm, RDX), a = jit_read(t, t->i.rn, RCX),
			 to = jit_target(t, t->i.rd, RCX);
		x86_rm(&t->x, X_LEA, wide, to, x86_indexed(a, b, amount, 0));
		jit_write(t, t->i.rd, to);
		return;
	}
	jit_flags_clobber(t);
	load_shifted(t, t->i.rm, kind, amount, wide);
	sum_with_rdx(t, sub, flags, wide);
}

void jit_add_sub_ext(struct jit_block *t)
{
	static const unsigned extends[] = {X_MOVZX8, X_MOVZX16, 0,	  0,
					   X_MOVSX8, X_MOVSX16, X_MOVSXD, 0};
	bool sub = t->raw >> 30 & 1, flags = t->raw >> 29 & 1, wide = is_wide(t);
	unsigned option = A64_option(t->raw), amount = A64_imm3(t->raw);
	if (sub || flags || amount) {
		jit_flags_clobber(t);
	}
	if (extends[option]) {
		jit_load(t, t->i.rm, RDX, true);
		x86_rr(&t->x, extends[option], option >= 4, RDX, RDX);
	} else {
		jit_load(t, t->i.rm, RDX, option != 2);
	}
	if (amount) {
		x86_shift_imm(&t->x, SH_SHL, true, RDX, amount);
	}
	sum_with_rdx(t, sub, flags, wide);
}

/* ADC, SBC and the flag-setting forms. */
void jit_carry(struct jit_block *t)
{
	bool sub = t->raw >> 30 & 1, flags = t->raw >> 29 & 1, wide = is_wide(t);
	jit_flags_save(t); /* the sum reads and changes the host's flags */
	(void)jit_flags_test(t, 2);
	jit_load(t, t->i.rn, RCX, wide);
	jit_load(t, t->i.rm, RDX, wide);
	if (!sub) {
		x86_cmc(&t->x);
	}
	x86_rr(&t->x, sub ? X_SBB : X_ADC, wide, RCX, RDX);
	jit_write(t, t->i.rd, RCX);
	t->flags = JIT_FLAGS_NONE;
	if (flags) {
		jit_flags_set(t, sub ? JIT_FLAGS_SUB : JIT_FLAGS_ADD);
	}
}

/* ----- logic ----- */

enum logic { LOGIC_AND, LOGIC_ORR, LOGIC_EOR, LOGIC_ANDS };

static const unsigned logic_ops[] = {X_AND, X_OR, X_XOR, X_AND};
static const enum x86_alu logic_alus[] = {ALU_AND, ALU_OR, ALU_XOR, ALU_AND};

static void move_imm(struct jit_block *t, unsigned n, uint64_t imm)
{
	unsigned to = jit_target(t, n, RCX);
	x86_mov_imm(&t->x, to, imm);
	jit_write(t, n, to);
}

void jit_logic_imm(struct jit_block *t)
{
	enum logic logic = t->raw >> 29 & 3;
	bool wide = is_wide(t);
	int64_t imm = wide ? (int64_t)t->i.imm : (int32_t)t->i.imm;
	if (logic == LOGIC_ORR && t->i.rn == CPU_ZR) {
		move_imm(t, t->i.rd, t->i.imm);
		return;
	}
	unsigned to = jit_target(t, t->i.rd, RCX);
	if (logic == LOGIC_AND && (imm == 0xff || imm == 0xffff || imm == UINT32_MAX)) {
		unsigned from = jit_read(t, t->i.rn, RCX);
		if (imm == UINT32_MAX) {
			x86_mov(&t->x, false, to, from);
		} else {
			x86_rr(&t->x, imm == 0xff ? X_MOVZX8 : X_MOVZX16, false, to, from);
		}
		jit_write(t, t->i.rd, to);
		return;
	}
	jit_flags_clobber(t);
	int own = jit_pinned(t, t->i.rn);
	if (logic == LOGIC_ANDS && t->i.rd == CPU_SINK && own >= 0 && fits(imm)) {
		x86_test_imm(&t->x, wide, (unsigned)own, (uint32_t)imm);
		jit_flags_set(t, JIT_FLAGS_LOGIC);
		return;
	}
	if (fits(imm)) {
		jit_load(t, t->i.rn, to, wide);
		x86_alu_imm(&t->x, logic_alus[logic], wide, to, (int32_t)imm);
	} else {
		x86_mov_imm(&t->x, RDX, (uint64_t)imm);
		jit_load(t, t->i.rn, to, wide);
		x86_rr(&t->x, logic_ops[logic], wide, to, RDX);
	}
	jit_write(t, t->i.rd, to);
	if (logic == LOGIC_ANDS) {
		jit_flags_set(t, JIT_FLAGS_LOGIC);
	}
}

static void move_register(struct jit_block *t, bool wide)
{
	unsigned to = jit_target(t, t->i.rd, RCX);
	jit_load(t, t->i.rm, to, wide);
	jit_write(t, t->i.rd, to);
}

void jit_logic_reg(struct jit_block *t)
{
	enum logic logic = t->raw >> 29 & 3;
	bool wide = is_wide(t), invert = t->raw >> 21 & 1;
	unsigned kind = A64_shift(t->raw), amount = A64_imm6(t->raw);
	if (logic == LOGIC_ORR && !invert && t->i.rn == CPU_ZR && !amount) {
		move_register(t, wide);
		return;
	}
	jit_flags_clobber(t);
	if (!amount && !invert) {
		bool overlaps = t->i.rd == t->i.rm && t->i.rd != t->i.rn;
		unsigned to = jit_target(t, t->i.rd, RCX);
		unsigned a = overlaps ? t->i.rm : t->i.rn, b = overlaps ? t->i.rn : t->i.rm;
		jit_load(t, a, to, wide);
		jit_op(t, logic_ops[logic], wide, to, b);
		jit_write(t, t->i.rd, to);
	} else {
		load_shifted(t, t->i.rm, kind, amount, wide);
		if (invert) {
			x86_unary(&t->x, UN_NOT, wide, RDX);
		}
		if (!(logic == LOGIC_ORR && t->i.rn == CPU_ZR)) {
			jit_op(t, logic_ops[logic], wide, RDX, t->i.rn);
		}
		jit_write(t, t->i.rd, RDX);
	}
	if (logic == LOGIC_ANDS) {
		jit_flags_set(t, JIT_FLAGS_LOGIC);
	}
}

void jit_mov_wide(struct jit_block *t)
{
	bool wide = is_wide(t);
	if (t->op != A64_MOVK_w && t->op != A64_MOVK_x) {
		move_imm(t, t->i.rd, t->i.imm);
		return;
	}
	unsigned to = jit_target(t, t->i.rd, RCX);
	if (t->i.rd == CPU_SINK) {
		return;
	}
	jit_flags_clobber(t);
	jit_load(t, t->i.rd, to, wide);
	if (t->i.ra == 0 && t->i.imm == 0xffff) {
		x86_alu_imm(&t->x, ALU_OR, wide, to, 0xffff);
	} else {
		uint64_t keep = ~(UINT64_C(0xffff) << t->i.ra);
		if (wide && !fits((int64_t)keep)) {
			x86_mov_imm(&t->x, RDX, keep);
			x86_rr(&t->x, X_AND, true, to, RDX);
		} else {
			x86_alu_imm(&t->x, ALU_AND, wide, to, (int32_t)keep);
		}
		if (t->i.imm > INT32_MAX && wide) {
			x86_mov_imm(&t->x, RDX, t->i.imm);
			x86_rr(&t->x, X_OR, true, to, RDX);
		} else if (t->i.imm) {
			x86_alu_imm(&t->x, ALU_OR, wide, to, (int32_t)t->i.imm);
		}
	}
	jit_write(t, t->i.rd, to);
}

/* ----- conditions ----- */

enum { COND_ALWAYS = 14 };

void jit_select(struct jit_block *t)
{
	unsigned cond = A64_cc(t->raw);
	bool wide = is_wide(t), inverts = t->raw >> 30 & 1, increments = t->raw >> 10 & 1;
	struct x86 *x = &t->x;
	if (cond >= COND_ALWAYS) {
		jit_load(t, t->i.rn, RCX, wide);
		jit_write(t, t->i.rd, RCX);
		return;
	}
	enum x86_cc cc = jit_flags_test(t, cond);
	if (t->i.rn == CPU_ZR && t->i.rm == CPU_ZR && (inverts != increments)) { /* CSET, CSETM */
		x86_setcc(x, cc ^ 1, RCX);
		x86_rr(x, X_MOVZX8, false, RCX, RCX);
		if (inverts) {
			jit_flags_save(t);
			x86_unary(x, UN_NEG, wide, RCX);
			t->flags = JIT_FLAGS_NONE;
		}
		jit_write(t, t->i.rd, RCX);
		return;
	}
	jit_load(t, t->i.rm, RCX, wide);
	if (inverts && increments) { /* NEG, without changing the flags: ~v + 1 */
		x86_unary(x, UN_NOT, wide, RCX);
		x86_rm(x, X_LEA, wide, RCX, x86_at(RCX, 1));
	} else if (increments) {
		x86_rm(x, X_LEA, wide, RCX, x86_at(RCX, 1));
	} else if (inverts) {
		x86_unary(x, UN_NOT, wide, RCX);
	}
	jit_op(t, X_CMOV + cc, wide, RCX, t->i.rn);
	jit_write(t, t->i.rd, RCX);
}

/* CCMP, CCMN: without a branch, as such conditions are seldom predictable. */
void jit_compare_cond(struct jit_block *t)
{
	unsigned cond = A64_cc(t->raw), nzcv = A64_nzcv(t->raw);
	bool wide = is_wide(t), sub = t->raw >> 30 & 1, immediate = t->raw >> 11 & 1;
	struct x86 *x = &t->x;
	if (cond < COND_ALWAYS) {
		enum x86_cc cc = jit_flags_test(t, cond);
		x86_setcc(x, cc, RSI);
		x86_rr(x, X_MOVZX8, false, RSI, RSI);
	}
	jit_load(t, t->i.rn, RCX, wide);
	if (immediate) {
		x86_alu_imm(x, sub ? ALU_CMP : ALU_ADD, wide, RCX, t->i.ra);
	} else {
		jit_op(t, sub ? X_CMP : X_ADD, wide, RCX, t->i.rm);
	}
	jit_flags_set(t, sub ? JIT_FLAGS_SUB : JIT_FLAGS_ADD);
	if (cond >= COND_ALWAYS) {
		return;
	}
	jit_flags_save(t);
	uint32_t otherwise = jit_flags_word(nzcv);
	x86_mov_imm(x, RDX, otherwise);
	x86_rr(x, X_TEST, false, RSI, RSI);
	t->flags = JIT_FLAGS_NONE;
	x86_cmov(x, CC_E, false, RAX, RDX);
}

void jit_nothing(struct jit_block *t)
{
}
