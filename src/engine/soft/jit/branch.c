/* SPDX-License-Identifier: Apache-2.0 */
/*
 * branch.c - translate branches
 *
 * How it works: a jump inside the page leads to a late path, which has it linked to its target's
 * code once that was translated.  All others look the target's page up in the exec table and jump
 * through the page's entries. Every way back (in the page) and out of the page tests cpu->pending,
 * so no loop misses it. Threads: the vCPU thread.
 */
#include "engine/soft/jit/priv.h"
#include "engine/soft/sysreg.h"

enum { LINK = 30, COND_ALWAYS = 14 };

/* Jump, if @cc (-1: always), to word @n of this page. */
static void jump_local(struct jit_block *t, int cc, unsigned n)
{
	jit_link_later(t, cc < 0 ? x86_jmp_later(&t->x) : x86_jcc_later(&t->x, (enum x86_cc)cc), n);
}

/* RCX has the target's page, RSI a copy of it, RDX the slot of the exec table: on to its entry at
 * offset RCX (or @offset). */
static void enter_page(struct jit_block *t, int offset)
{
	struct x86 *x = &t->x;
	x86_rm(x, X_CMP, true, RSI, x86_at(RDX, offsetof(struct exec_entry, tag)));
	jit_jcc_stub(t, CC_NE, t->jit->stubs.exit_pc);
	x86_rm(x, X_MOV, true, RDX, x86_at(RDX, offsetof(struct exec_entry, page)));
	x86_point(x, RDX); /* a page of ours, with an entry for each offset up to 0xffc */
	x86_rm(x, X_STORE, true, RSI, JIT_CPU(block_pc));
	if (offset >= 0) {
		x86_mov_imm(x, RCX, (uint64_t)offset);
		x86_rm(x, X_MOV, false, RDX, x86_at(RDX, offset));
	} else {
		x86_alu_imm(x, ALU_AND, false, RCX, 0xffc);
		x86_rm(x, X_MOV, false, RDX, x86_indexed(RDX, RCX, 0, 0));
	}
	x86_jmp_reg(x, RDX);
}

/* RDX = slot of the exec table for the address in RCX. */
static void find_slot(struct x86 *x)
{
	static_assert(sizeof(struct exec_entry) == 16 && offsetof(struct jit_page, entry) == 0,
		      "as the code assumes");
	x86_rorx(x, false, RDX, RCX, 8);
	x86_alu_imm(x, ALU_AND, false, RDX, (EXEC_ENTRIES - 1) * 16);
	x86_rm(x, X_ADD, true, RDX, JIT_CPU(jit_exec));
	x86_point(x, RDX); /* an entry of the table */
}

static void test_pending(struct jit_block *t, const uint8_t *leave)
{
	x86_alu_imm_mem(&t->x, ALU_CMP, false, JIT_CPU(pending), 0);
	jit_jcc_stub(t, CC_NE, leave);
}

/* To the address in RCX. */
static void go_indirect(struct jit_block *t)
{
	struct x86 *x = &t->x;
	jit_flags_save(t);
	jit_vregs_clean(t);
	jit_give_registers(t);
	test_pending(t, t->jit->stubs.exit_pc);
	find_slot(x);
	x86_mov(x, true, RSI, RCX);
	x86_alu_imm(x, ALU_AND, true, RSI, ~0xffc);
	enter_page(t, -1);
	t->ended = true;
}

/* To the instruction at @offset bytes from this page's start, through the exec table. */
static void go_far(struct jit_block *t, int64_t offset)
{
	struct x86 *x = &t->x;
	jit_flags_save(t);
	jit_vregs_clean(t);
	jit_give_registers(t);
	x86_rm(x, X_MOV, true, RCX, JIT_CPU(block_pc));
	x86_alu_imm(x, ALU_ADD, true, RCX, (int32_t)offset); /* +-128 MiB */
	test_pending(t, t->jit->stubs.exit_pc);
	find_slot(x);
	x86_mov(x, true, RSI, RCX);
	x86_alu_imm(x, ALU_AND, true, RSI, ~0xffc);
	enter_page(t, (int)(offset & 0xffc));
	t->ended = true;
}

void jit_go(struct jit_block *t, unsigned n)
{
	if (n == PAGE_INSNS) {
		go_far(t, GUEST_PAGE);
		return;
	}
	jit_flags_save(t);
	jit_vregs_clean(t);
	jit_give_registers(t);
	jump_local(t, -1, n);
	t->ended = true;
}

/* A loop has come around: someone may want to interrupt it. */
static void test_pending_at(struct jit_block *t, unsigned n)
{
	x86_alu_imm_mem(&t->x, ALU_CMP, false, JIT_CPU(pending), 0);
	jit_late_hole(jit_late_leave(t, n), x86_jcc_later(&t->x, CC_NE));
}

/* Jump to a label of the region, if @cc (-1: always). */
static void jump_label(struct jit_block *t, int cc, struct jit_label *label)
{
	if (label->code && cc < 0) {
		x86_jmp(&t->x, label->code);
	} else if (label->code) {
		x86_jcc(&t->x, (enum x86_cc)cc, label->code);
	} else {
		uint8_t *hole =
			cc < 0 ? x86_jmp_later(&t->x) : x86_jcc_later(&t->x, (enum x86_cc)cc);
		int32_t back = label->hole ? (int32_t)(hole - label->hole) : 0;
		memcpy(hole, &back, sizeof(back));
		label->hole = hole;
	}
}

void jit_go_distance(struct jit_block *t, int64_t distance)
{
	if ((uint64_t)distance >= GUEST_PAGE) {
		go_far(t, distance);
	} else {
		if (distance <= t->i.offset) {
			test_pending_at(t, (unsigned)distance / 4);
		}
		jit_go(t, (unsigned)distance / 4);
	}
}

static struct jit_label *label_of(struct jit_block *t, int64_t distance)
{
	return (uint64_t)distance < GUEST_PAGE ? jit_label_at(t, (unsigned)distance / 4) : NULL;
}

/* Before a branch by the instruction's displacement: V registers as its target wants them, or
 * stored. */
static void prepare(struct jit_block *t)
{
	struct jit_label *label = label_of(t, t->i.offset + (int64_t)t->i.imm);
	jit_flags_save(t);
	if (label) {
		jit_vregs_match(t, &t->kept);
	} else if (!t->is_region) {
		jit_vregs_clean(t);
	}
}

/* Branch by the instruction's displacement.  prepare() was called. */
static void go_displaced(struct jit_block *t)
{
	int64_t distance = t->i.offset + (int64_t)t->i.imm;
	struct jit_label *label = label_of(t, distance);
	if (label) {
		if (distance <= t->i.offset) {
			test_pending_at(t, (unsigned)distance / 4);
		}
		jump_label(t, -1, label);
	} else {
		jit_go_distance(t, distance);
	}
	t->ended = true;
}

void jit_branch(struct jit_block *t)
{
	if (t->op == A64_BL) {
		x86_rm(&t->x, X_MOV, true, RCX, JIT_CPU(block_pc));
		x86_rm(&t->x, X_LEA, true, RCX, x86_at(RCX, t->i.offset + 4));
		jit_write(t, LINK, RCX);
	}
	prepare(t);
	go_displaced(t);
}

/* Branch if @cc holds; else the block goes on.  prepare() was called. */
static void go_if(struct jit_block *t, enum x86_cc cc)
{
	int64_t distance = t->i.offset + (int64_t)t->i.imm;
	struct jit_label *label = label_of(t, distance);
	bool forward = distance > t->i.offset;
	if (label && forward) {
		jump_label(t, (int)cc, label);
	} else if (t->is_region && !label) {
		jit_late_hole(jit_late_branch(t, distance), x86_jcc_later(&t->x, cc));
	} else if (forward && distance < GUEST_PAGE && !t->exchange_count) {
		jump_local(t, (int)cc, (unsigned)distance / 4);
	} else {
		enum jit_flags flags = t->flags;
		uint8_t *other = x86_jcc_later(&t->x, cc ^ 1);
		go_displaced(t);
		x86_land(&t->x, other);
		t->flags = flags;
		t->ended = false;
	}
}

void jit_branch_cond(struct jit_block *t)
{
	unsigned cond = t->raw & 15;
	prepare(t);
	if (cond >= COND_ALWAYS) {
		go_displaced(t);
		return;
	}
	go_if(t, jit_flags_test(t, cond));
}

void jit_branch_zero(struct jit_block *t)
{
	bool wide = t->raw >> 31;
	bool nonzero = t->op == A64_CBNZ_w || t->op == A64_CBNZ_x;
	prepare(t);
	t->flags = JIT_FLAGS_NONE;
	int own = jit_pinned(t, t->i.rd);
	if (own >= 0) {
		x86_rr(&t->x, X_TEST, wide, (unsigned)own, (unsigned)own);
	} else {
		x86_alu_imm_mem(&t->x, ALU_CMP, wide, jit_slot(t->i.rd), 0);
	}
	go_if(t, nonzero ? CC_NE : CC_E);
}

void jit_branch_bit(struct jit_block *t)
{
	unsigned bit = t->i.ra;
	prepare(t);
	t->flags = JIT_FLAGS_NONE;
	unsigned reg = jit_read(t, t->i.rd, RCX);
	if (bit < 31) {
		x86_test_imm(&t->x, false, reg, 1u << bit);
		go_if(t, t->op == A64_TBNZ ? CC_NE : CC_E);
	} else {
		x86_bt_imm(&t->x, reg, bit);
		go_if(t, t->op == A64_TBNZ ? CC_B : CC_AE);
	}
}

void jit_branch_reg(struct jit_block *t)
{
	if (sysreg_has_feature(t->cpu->sys, A64_FEATURE_BTI) && t->op != A64_RET) {
		jit_call_handler(
			t); /* sets PSTATE.BTYPE; leaves by the run loop, which checks it */
		t->ended = true;
		return;
	}
	jit_load(t, t->i.rn, RSI, true);
	if (t->op == A64_BLR) {
		x86_rm(&t->x, X_MOV, true, RCX, JIT_CPU(block_pc));
		x86_rm(&t->x, X_LEA, true, RCX, x86_at(RCX, t->i.offset + 4));
		jit_write(t, LINK, RCX);
	}
	x86_mov(&t->x, true, RCX, RSI);
	go_indirect(t);
}

/* ISB: find the next instruction anew, as what it is translated by may have changed. */
void jit_synchronize(struct jit_block *t)
{
	go_far(t, t->i.offset + 4);
}
