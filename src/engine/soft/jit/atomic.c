/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atomic.c - translate exclusives, ordered accesses and LSE atomics
 *
 * How it works: as op_atomic.c does them: exclusives compare and swap with what was loaded; atomics
 * are locked instructions of the host, or a loop around one.  Acquire is a plain load here, release
 * is an exchange, so that no later load passes it. LOCK CMPXCHG needs RAX, where NZCV is: it waits
 * in cpu->result. Threads: the vCPU thread; guest memory is shared with others.
 */
#include "engine/soft/jit/mem.h"

static const unsigned plain_loads[] = {X_MOVZX8, X_MOVZX16, X_MOV, X_MOV};

static unsigned log2_size(const struct jit_block *t)
{
	return t->raw >> 30;
}

/* RCX = host address of the operand. */
static void locate(struct jit_block *t, enum jit_access access)
{
	jit_flags_clobber(t);
	jit_check_sp(t);
	jit_base_address(t, 0);
	jit_probe(t, 1u << log2_size(t), access | JIT_ALIGNED);
}

/* 16-bit forms have the operand-size prefix, which stands behind LOCK. */
static void size_prefix(struct jit_block *t)
{
	if (log2_size(t) == 1) {
		x86_byte(&t->x, 0x66);
	}
}

static unsigned sized(const struct jit_block *t, unsigned op, unsigned op8)
{
	return log2_size(t) ? op : op8;
}

/* Zero-extend @reg from the operand's size. */
static void zero_extend(struct jit_block *t, unsigned reg)
{
	unsigned log2 = log2_size(t);
	if (log2 < 3) {
		x86_rr(&t->x, plain_loads[log2], false, reg, reg);
	}
}

static void load_host(struct jit_block *t, unsigned to)
{
	unsigned log2 = log2_size(t);
	x86_rm(&t->x, plain_loads[log2], log2 == 3, to, x86_at(RCX, 0));
}

void jit_load_acquire(struct jit_block *t)
{
	locate(t, JIT_READ);
	unsigned to = jit_target(t, t->i.rd, RDX);
	load_host(t, to);
	jit_write(t, t->i.rd, to);
}

void jit_store_release(struct jit_block *t)
{
	locate(t, JIT_WRITE);
	jit_load(t, t->i.rd, RDX, true);
	size_prefix(t);
	x86_rm(&t->x, sized(t, X_XCHG, X_XCHG8), log2_size(t) == 3, RDX, x86_at(RCX, 0));
}

void jit_load_exclusive(struct jit_block *t)
{
	struct x86 *x = &t->x;
	locate(t, JIT_READ);
	x86_rm(x, X_STORE, true, RCX, JIT_CPU(ex_ptr));
	load_host(t, RDX);
	x86_rm(x, X_STORE, true, RDX, JIT_CPU(ex_value));
	x86_mov_imm(x, RSI, 1u << log2_size(t));
	x86_rm(x, X_STORE8, false, RSI, JIT_CPU(ex_size));
	jit_write(t, t->i.rd, RDX);
}

/* LOCK CMPXCHG of [RCX] with RDX; RAX is what is expected. */
static void compare_exchange(struct jit_block *t)
{
	x86_lock(&t->x);
	size_prefix(t);
	x86_rm(&t->x, sized(t, X_CMPXCHG, X_CMPXCHG8), log2_size(t) == 3, RDX, x86_at(RCX, 0));
}

void jit_store_exclusive(struct jit_block *t)
{
	struct x86 *x = &t->x;
	locate(t, JIT_WRITE);
	x86_mov_imm(x, RSI, 1);
	x86_rm(x, X_CMP, true, RCX, JIT_CPU(ex_ptr));
	uint8_t *other_place = x86_jcc_later(x, CC_NE);
	x86_cmp8_mem(x, JIT_CPU(ex_size), (uint8_t)(1u << log2_size(t)));
	uint8_t *other_size = x86_jcc_later(x, CC_NE);
	jit_load(t, t->i.rd, RDX, true);
	x86_rm(x, X_STORE, true, RAX, JIT_CPU(result));
	x86_rm(x, X_MOV, true, RAX, JIT_CPU(ex_value));
	compare_exchange(t);
	x86_setcc(x, CC_NE, RSI);
	x86_rm(x, X_MOV, true, RAX, JIT_CPU(result));
	x86_land(x, other_place);
	x86_land(x, other_size);
	x86_mov_imm(x, RDX, 0);
	x86_rm(x, X_STORE, true, RDX, JIT_CPU(ex_ptr));
	jit_write(t, t->i.rm, RSI);
}

void jit_clear_exclusive(struct jit_block *t)
{
	x86_mov_imm(&t->x, RDX, 0);
	x86_rm(&t->x, X_STORE, true, RDX, JIT_CPU(ex_ptr));
}

/* LDADD and SWP have an instruction of the host. */
void jit_exchange(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool swaps = t->raw >> 15 & 1, wide = log2_size(t) == 3;
	locate(t, JIT_READ | JIT_WRITE);
	jit_load(t, t->i.rm, RDX, true);
	if (!swaps) {
		x86_lock(x);
	}
	size_prefix(t);
	x86_rm(x, swaps ? sized(t, X_XCHG, X_XCHG8) : sized(t, X_XADD, X_XADD8), wide, RDX,
	       x86_at(RCX, 0));
	zero_extend(t, RDX);
	jit_write(t, t->i.rd, RDX);
}

/* LDCLR, LDEOR, LDSET: a loop.  RDX = what the old value in RAX becomes; RSI is the operand. */
void jit_modify(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned kind = t->raw >> 12 & 7;
	locate(t, JIT_READ | JIT_WRITE);
	jit_load(t, t->i.rm, RSI, true);
	if (kind == 1) {
		x86_unary(x, UN_NOT, true, RSI);
	}
	x86_rm(x, X_STORE, true, RAX, JIT_CPU(result));
	load_host(t, RAX);
	const uint8_t *again = x86_here(x);
	x86_mov(x, true, RDX, RAX);
	x86_rr(x, kind == 1 ? X_AND : kind == 2 ? X_XOR : X_OR, true, RDX, RSI);
	compare_exchange(t);
	x86_jcc(x, CC_NE, again);
	x86_mov(x, true, RDX, RAX);
	x86_rm(x, X_MOV, true, RAX, JIT_CPU(result));
	zero_extend(t, RDX);
	jit_write(t, t->i.rd, RDX);
}

void jit_compare_swap(struct jit_block *t)
{
	struct x86 *x = &t->x;
	locate(t, JIT_READ | JIT_WRITE);
	jit_load(t, t->i.rd, RDX, true);
	x86_rm(x, X_STORE, true, RAX, JIT_CPU(result));
	/* Rs is decoded as a target: number 31 is still 0 when read. */
	jit_load(t, t->i.rm == CPU_SINK ? CPU_ZR : t->i.rm, RAX, true);
	compare_exchange(t);
	x86_mov(x, true, RDX, RAX);
	x86_rm(x, X_MOV, true, RAX, JIT_CPU(result));
	zero_extend(t, RDX);
	jit_write(t, t->i.rm, RDX);
}
