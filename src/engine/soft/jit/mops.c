/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mops.c - translate memory copy and memory set (FEAT_MOPS)
 *
 * How it works: most copies are short.  A prologue whose bytes lie in one page on each side, both
 * in the TLB, moves them by a stub that needs no registers saved; main and epilogue find nothing
 * left.  All else goes to the handlers (op_mops.c). Threads: the vCPU thread; guest memory is
 * shared with others.
 */
#include "engine/soft/jit/mem.h"

enum {
	MOST = 512, /* bytes that a stub moves; it is no faster than the handler for more */
	CHUNK = 16,
	NZCV_CLEAR = 0x100, /* as EAX has it: C is inverted */
	CPY_WRITE_USER = 1, /* options in the encoding */
	CPY_READ_USER = 2,
	SET_USER = 1,
};

static bool is_set(const struct jit_block *t)
{
	return t->op == A64_SETP;
}

/* SCTLR_EL1.MSCEn. */
static void check_enabled(struct jit_block *t)
{
	jit_flags_clobber(t);
	x86_cmp8_mem(&t->x, JIT_CPU(mops_off), 0);
	jit_slow(t, x86_jcc_later(&t->x, CC_NE));
}

/* RCX = host address of the x[rn] bytes at x[@n].  RDX and RSI change. */
static void probe(struct jit_block *t, unsigned n, bool write, bool user)
{
	struct x86 *x = &t->x;
	size_t tag = write ? offsetof(struct tlb_entry, write) : offsetof(struct tlb_entry, read);
	jit_load(t, n, RCX, true);
	unsigned size = jit_read(t, t->i.rn, RSI);
	x86_rm(x, X_LEA, true, RSI, x86_indexed(RCX, size, 0, -1));
	x86_alu_imm(x, ALU_AND, true, RSI, -GUEST_PAGE);
	x86_rorx(x, false, RDX, RCX, TLB_PAGE_SHIFT - 5);
	x86_alu_imm(x, ALU_AND, false, RDX, (TLB_ENTRIES - 1) * (int32_t)sizeof(struct tlb_entry));
	x86_rm(x, X_ADD, true, RDX, user ? JIT_CPU(tlb_user) : JIT_CPU(tlb));
	x86_point(x, RDX); /* an entry of the table */
	x86_rm(x, X_CMP, true, RSI, x86_at(RDX, (int32_t)tag));
	jit_slow(t, x86_jcc_later(x, CC_NE));
	x86_rm(x, X_ADD, true, RCX, x86_at(RDX, offsetof(struct tlb_entry, addend)));
	x86_point(x, RCX); /* the entry is that of all bytes */
}

/* 1 to MOST bytes. */
static void check_size(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned size = jit_read(t, t->i.rn, RSI);
	x86_rm(x, X_LEA, true, RSI, x86_at(size, -1));
	x86_alu_imm(x, ALU_CMP, true, RSI, MOST - 1);
	jit_slow(t, x86_jcc_later(x, CC_A));
}

/* x[@n] += RDX. */
static void advance(struct jit_block *t, unsigned n)
{
	jit_load(t, n, RCX, true);
	x86_rr(&t->x, X_ADD, true, RCX, RDX);
	jit_write(t, n, RCX);
}

/* The registers as a prologue leaves them that has done all, by option A. */
static void finish(struct jit_block *t)
{
	struct x86 *x = &t->x;
	jit_load(t, t->i.rn, RDX, true);
	advance(t, t->i.rd);
	if (!is_set(t)) {
		advance(t, t->i.rm);
	}
	x86_mov_imm(x, RCX, 0);
	jit_write(t, t->i.rn, RCX);
	x86_mov_imm(x, RAX, NZCV_CLEAR);
}

void jit_mops_begin(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned bits = is_set(t) ? A64_set_options(t->raw) : A64_cpy_options(t->raw);
	check_enabled(t);
	check_size(t);
	probe(t, t->i.rd, true, bits & (is_set(t) ? SET_USER : CPY_WRITE_USER));
	if (is_set(t)) {
		jit_load(t, t->i.rm, RAX, true);
		x86_v(x, V_MOVQ_IN, JIT_XMM_TEMP0, 0, RAX);
		jit_load(t, t->i.rn, RDX, true);
		jit_call_stub(t, t->jit->stubs.set_bytes);
	} else {
		x86_rm(x, X_STORE, true, RCX, JIT_CPU(result));
		probe(t, t->i.rm, false, bits & CPY_READ_USER);
		/* Bytes that would be written before they are read: the handler knows what to do.
		 */
		x86_mov(x, true, RSI, RCX);
		x86_rm(x, X_MOV, true, RCX, JIT_CPU(result));
		x86_mov(x, true, RDX, RCX);
		x86_rr(x, X_SUB, true, RDX, RSI);
		jit_op(t, X_CMP, true, RDX, t->i.rn);
		jit_slow(t, x86_jcc_later(x, CC_B));
		jit_load(t, t->i.rn, RDX, true);
		jit_call_stub(t, t->jit->stubs.copy_bytes);
	}
	finish(t);
}

void jit_mops_continue(struct jit_block *t)
{
	struct x86 *x = &t->x;
	check_enabled(t);
	unsigned left = jit_read(t, t->i.rn, RCX);
	x86_rr(x, X_TEST, true, left, left);
	jit_slow(t, x86_jcc_later(x, CC_NE));
}

/* ----- stubs: RDX bytes (1 to MOST) to RCX; RAX, RCX, RDX, RSI and the temporary XMM registers
 * change ----- */

static uint8_t *unless_at_least(struct x86 *x, int32_t bytes)
{
	x86_alu_imm(x, ALU_CMP, true, RDX, bytes);
	return x86_jcc_later(x, CC_B);
}

/* RCX and RSI are where all RDX bytes are, as probe() found. */
static void point_at_bytes(struct x86 *x)
{
	x86_point(x, RCX);
	x86_point(x, RSI);
}

/* Move @reg on, or @reg is where the last chunk is: still among the bytes. */
static void next_chunk(struct x86 *x, unsigned reg)
{
	x86_alu_imm(x, ALU_ADD, true, reg, CHUNK);
	x86_point(x, reg);
}

static void last_chunk(struct x86 *x)
{
	x86_rm(x, X_LEA, true, RAX, x86_indexed(RCX, RDX, 0, -CHUNK));
	x86_point(x, RAX);
}

/* The last @bytes of those at @base. */
static struct x86_mem last(unsigned base, int32_t bytes)
{
	return x86_indexed(base, RDX, 0, -bytes);
}

/* From RSI.  What a step stores was loaded before: targets below the source may overlap. */
static void emit_copy(struct x86 *x)
{
	point_at_bytes(x);
	uint8_t *less = unless_at_least(x, CHUNK);
	x86_vm(x, V_MOVDQU, JIT_XMM_TEMP0, 0, last(RSI, CHUNK));
	last_chunk(x);
	const uint8_t *again = x86_here(x);
	x86_vm(x, V_MOVDQU, JIT_XMM_TEMP1, 0, x86_at(RSI, 0));
	next_chunk(x, RSI);
	x86_vm(x, V_MOVDQU_STORE, JIT_XMM_TEMP1, 0, x86_at(RCX, 0));
	next_chunk(x, RCX);
	x86_rr(x, X_CMP, true, RCX, RAX);
	x86_jcc(x, CC_B, again);
	x86_vm(x, V_MOVDQU_STORE, JIT_XMM_TEMP0, 0, x86_at(RAX, 0));
	x86_ret(x);
	x86_land(x, less);
	point_at_bytes(x);
	for (int32_t bytes = 8; bytes >= 4; bytes /= 2) {
		less = unless_at_least(x, bytes);
		x86_rm(x, X_MOV, bytes == 8, RAX, x86_at(RSI, 0));
		x86_rm(x, X_MOV, bytes == 8, RSI, last(RSI, bytes));
		x86_rm(x, X_STORE, bytes == 8, RAX, x86_at(RCX, 0));
		x86_rm(x, X_STORE, bytes == 8, RSI, last(RCX, bytes));
		x86_ret(x);
		x86_land(x, less);
		point_at_bytes(x);
	}
	/* 1 to 3: the first, the middle, the last one; some may be the same. */
	x86_rm(x, X_MOVZX8, false, RAX, x86_at(RSI, 0));
	less = unless_at_least(x, 2);
	x86_rm(x, X_MOVZX16, false, RAX, x86_at(RSI, 0));
	x86_rm(x, X_MOVZX8, false, RSI, last(RSI, 1));
	x86_rm(x, X_STORE16, false, RAX, x86_at(RCX, 0));
	x86_rm(x, X_STORE8, false, RSI, last(RCX, 1));
	x86_ret(x);
	x86_land(x, less);
	point_at_bytes(x);
	x86_rm(x, X_STORE8, false, RAX, x86_at(RCX, 0));
	x86_ret(x);
}

/* To the low byte of the first temporary XMM register. */
static void emit_set(struct x86 *x)
{
	x86_v(x, V_PBROADCASTB, JIT_XMM_TEMP0, 0, JIT_XMM_TEMP0);
	x86_point(x, RCX);
	uint8_t *less = unless_at_least(x, CHUNK);
	last_chunk(x);
	const uint8_t *again = x86_here(x);
	x86_vm(x, V_MOVDQU_STORE, JIT_XMM_TEMP0, 0, x86_at(RCX, 0));
	next_chunk(x, RCX);
	x86_rr(x, X_CMP, true, RCX, RAX);
	x86_jcc(x, CC_B, again);
	x86_vm(x, V_MOVDQU_STORE, JIT_XMM_TEMP0, 0, x86_at(RAX, 0));
	x86_ret(x);
	x86_land(x, less);
	x86_point(x, RCX);
	x86_v(x, V_MOVQ_OUT, JIT_XMM_TEMP0, 0, RAX);
	for (int32_t bytes = 8; bytes >= 4; bytes /= 2) {
		less = unless_at_least(x, bytes);
		x86_rm(x, X_STORE, bytes == 8, RAX, x86_at(RCX, 0));
		x86_rm(x, X_STORE, bytes == 8, RAX, last(RCX, bytes));
		x86_ret(x);
		x86_land(x, less);
		x86_point(x, RCX);
	}
	less = unless_at_least(x, 2);
	x86_rm(x, X_STORE16, false, RAX, x86_at(RCX, 0));
	x86_land(x, less);
	x86_point(x, RCX);
	x86_rm(x, X_STORE8, false, RAX, last(RCX, 1));
	x86_ret(x);
}

void jit_emit_byte_stubs(struct x86 *x, struct jit_stubs *stubs)
{
	stubs->copy_bytes = x86_here(x);
	emit_copy(x);
	stubs->set_bytes = x86_here(x);
	emit_set(x);
}
