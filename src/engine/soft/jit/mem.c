/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.c - translate loads and stores of general registers
 *
 * How it works: as mem.h does it: the entry of the first byte's page is compared with the page of
 * the last byte; what misses goes to the handler, with nothing changed.  Loads from tables, by a
 * small index, probe the table's first page, so that a load whose index comes from another load
 * does not wait for the probe too.  The host's loads and stores keep the order that Arm asks of
 * plain ones. Threads: the vCPU thread; guest memory is shared.
 */
#include "engine/soft/jit/mem.h"

void jit_check_sp(struct jit_block *t)
{
	if (t->i.rn == CPU_SP && !t->sp_aligned) {
		x86_test_imm(&t->x, false, (unsigned)jit_pinned(t, CPU_SP), 15);
		jit_slow(t, x86_jcc_later(&t->x, CC_NE));
		t->sp_aligned = true;
	}
}

unsigned jit_probe_holes(struct x86 *x, unsigned size, enum jit_access access, uint8_t *holes[2])
{
	static_assert(sizeof(struct tlb_entry) == 32, "as the code assumes");
	bool write = access & JIT_WRITE;
	x86_rorx(x, false, RDX, RCX, TLB_PAGE_SHIFT - 5);
	x86_alu_imm(x, ALU_AND, false, RDX, (TLB_ENTRIES - 1) * 32);
	x86_rm(x, X_ADD, true, RDX, access & JIT_USER ? JIT_CPU(tlb_user) : JIT_CPU(tlb));
	x86_point(x, RDX); /* an entry of the table */
	if (size == 1 || (access & JIT_ALIGNED)) {
		x86_mov(x, true, RSI, RCX);
		x86_alu_imm(x, ALU_AND, true, RSI, -GUEST_PAGE | (int32_t)(size - 1));
	} else {
		x86_rm(x, X_LEA, true, RSI, x86_at(RCX, (int32_t)size - 1));
		x86_alu_imm(x, ALU_AND, true, RSI, -GUEST_PAGE);
	}
	unsigned count = 0;
	if (access & JIT_READ) {
		x86_rm(x, X_CMP, true, RSI, x86_at(RDX, offsetof(struct tlb_entry, read)));
		holes[count++] = x86_jcc_later(x, CC_NE);
	}
	if (write) {
		x86_rm(x, X_CMP, true, RSI, x86_at(RDX, offsetof(struct tlb_entry, write)));
		holes[count++] = x86_jcc_later(x, CC_NE);
	}
	x86_rm(x, X_ADD, true, RCX, x86_at(RDX, offsetof(struct tlb_entry, addend)));
	x86_point(x, RCX); /* the entry was found to be that of all bytes */
	return count;
}

void jit_probe(struct jit_block *t, unsigned size, enum jit_access access)
{
	uint8_t *holes[2];
	unsigned count = jit_probe_holes(&t->x, size, access, holes);
	for (unsigned n = 0; n < count; n++) {
		jit_slow(t, holes[n]);
	}
}

struct x86_mem jit_locate(struct jit_block *t, int32_t imm, unsigned size, enum jit_access access)
{
	if (t->in_group) {
		return x86_at(RSI, t->group_delta + imm);
	}
	jit_flags_clobber(t);
	jit_check_sp(t);
	jit_base_address(t, imm);
	jit_probe(t, size, access);
	return x86_at(RCX, 0);
}

/* A load of 2^@log2 bytes, sign-extended to 32 or 64 bits or zero-extended. */
static void load(struct jit_block *t, unsigned n, unsigned log2, bool is_signed, bool wide,
		 struct x86_mem m)
{
	static const unsigned plain[] = {X_MOVZX8, X_MOVZX16, X_MOV, X_MOV};
	static const unsigned extended[] = {X_MOVSX8, X_MOVSX16, X_MOVSXD, X_MOV};
	unsigned to = jit_target(t, n, RDX);
	x86_rm(&t->x, is_signed ? extended[log2] : plain[log2], is_signed ? wide : log2 == 3, to,
	       m);
	jit_write(t, n, to);
}

static void store(struct jit_block *t, unsigned n, unsigned log2, struct x86_mem m)
{
	static const unsigned stores[] = {X_STORE8, X_STORE16, X_STORE, X_STORE};
	unsigned from = jit_read(t, n, RDX);
	x86_rm(&t->x, stores[log2], log2 == 3, from, m);
}

void jit_write_base(struct jit_block *t, int32_t imm)
{
	int own = jit_pinned(t, t->i.rn);
	if (own >= 0) {
		x86_rm(&t->x, X_LEA, true, (unsigned)own, x86_at((unsigned)own, imm));
		t->sp_aligned &= t->i.rn != CPU_SP || !(imm & 15);
	} else {
		jit_flags_clobber(t);
		x86_alu_imm_mem(&t->x, ALU_ADD, true, jit_slot(t->i.rn), imm);
	}
}

void jit_base_address(struct jit_block *t, int32_t imm)
{
	unsigned base = jit_read(t, t->i.rn, RCX);
	if (imm) {
		x86_rm(&t->x, X_LEA, true, RCX, x86_at(base, imm));
	} else {
		x86_mov(&t->x, true, RCX, base);
	}
}

void jit_indexed_address(struct jit_block *t, unsigned option, unsigned shift)
{
	struct x86 *x = &t->x;
	unsigned index = RDX, rm = t->i.rm;
	if (option == 2) {
		jit_load(t, rm, RDX, false);
	} else if (option == 6) {
		jit_load(t, rm, RDX, false);
		x86_rr(x, X_MOVSXD, true, RDX, RDX);
	} else {
		index = jit_read(t, rm, RDX);
	}
	unsigned base = jit_read(t, t->i.rn, RCX);
	if (shift > 3) {
		x86_mov(x, true, RDX, index);
		x86_shift_imm(x, SH_SHL, true, RDX, shift);
		index = RDX;
		shift = 0;
	}
	x86_rm(x, X_LEA, true, RCX, x86_indexed(base, index, shift, 0));
}

/* AND (immediate): how many bits are left. */
static unsigned mask_bits(uint32_t raw)
{
	unsigned width = raw >> 31 ? 64 : 32;
	return 64 - (unsigned)__builtin_clzll(
			    a64_bitmask(raw >> 22 & 1, A64_imms(raw), A64_immr(raw), width));
}

/* How many bits x[@n] has, going by the instructions before this one.  A guess. */
static unsigned index_bits(struct jit_block *t, unsigned n)
{
	enum { FAR = 8 };
	for (unsigned k = t->n; k > t->first && t->n - k < FAR;) {
		uint32_t raw = jit_peek(t, --k);
		if (A64_Rd(raw) != n) {
			continue;
		}
		switch (jit_peek_op(t, k)) {
		case A64_AND_imm_w:
		case A64_AND_imm_x: return mask_bits(raw);
		case A64_UBFM_w:
		case A64_UBFM_x:
			return A64_imms(raw) >= A64_immr(raw) ? A64_imms(raw) - A64_immr(raw) + 1
							      : 64;
		case A64_LDR_b_ui:
		case A64_LDR_b_ur:
		case A64_LDR_b_pre:
		case A64_LDR_b_post:
		case A64_LDR_b_reg: return 8;
		default: return 64;
		}
	}
	return 64;
}

/* Does the access by register load from a table that is likely to lie in one page? */
static bool is_table(struct jit_block *t, unsigned log2)
{
	enum { TABLE_BITS = 11 };
	return index_bits(t, t->i.rm) + t->i.imm <= TABLE_BITS && t->i.imm == log2;
}

/* RCX, an address in a table at x[rn]: as jit_probe() to read. */
static void probe_table(struct jit_block *t, unsigned size)
{
	struct x86 *x = &t->x;
	uint8_t *away[2];
	x86_rm(x, X_LEA, true, RSI, x86_at(RCX, (int32_t)size - 1));
	jit_op(t, X_XOR, true, RSI, t->i.rn);
	x86_alu_imm(x, ALU_CMP, true, RSI, GUEST_PAGE - 1);
	away[0] = x86_jcc_later(x, CC_A);
	jit_load(t, t->i.rn, RSI, true);
	x86_rorx(x, false, RDX, RSI, TLB_PAGE_SHIFT - 5);
	x86_alu_imm(x, ALU_AND, false, RDX, (TLB_ENTRIES - 1) * 32);
	x86_rm(x, X_ADD, true, RDX, JIT_CPU(tlb));
	x86_point(x, RDX); /* an entry of the table */
	x86_alu_imm(x, ALU_AND, true, RSI, -GUEST_PAGE);
	x86_rm(x, X_CMP, true, RSI, x86_at(RDX, offsetof(struct tlb_entry, read)));
	away[1] = x86_jcc_later(x, CC_NE);
	x86_rm(x, X_ADD, true, RCX, x86_at(RDX, offsetof(struct tlb_entry, addend)));
	jit_probe_later(t, away, size);
	x86_point(x, RCX); /* the entry was found to be that of all bytes, here or there */
}

void jit_access(struct jit_block *t)
{
	unsigned log2 = t->raw >> 30, opc = t->raw >> 22 & 3, format = a64_infos[t->op].format;
	bool is_load = opc != 0, is_user = format == A64_FORMAT_ldst_ur && (t->raw >> 10 & 3) == 2;
	bool writes_back = format == A64_FORMAT_ldst_wb, post = writes_back && !(t->raw >> 11 & 1);
	int32_t imm = format == A64_FORMAT_ldst_reg ? 0 : (int32_t)t->i.imm;
	if (writes_back && is_load && t->i.rd == t->i.rn) {
		jit_call_handler(t);
		return;
	}
	enum jit_access access = (is_load ? JIT_READ : JIT_WRITE) | (is_user ? JIT_USER : 0);
	struct x86_mem m = x86_at(RCX, 0);
	if (format == A64_FORMAT_ldst_reg) {
		jit_flags_clobber(t);
		jit_check_sp(t);
		jit_indexed_address(t, A64_option(t->raw), (unsigned)t->i.imm);
		if (is_load && is_table(t, log2)) {
			probe_table(t, 1u << log2);
		} else {
			jit_probe(t, 1u << log2, access);
		}
	} else {
		m = jit_locate(t, post ? 0 : imm, 1u << log2, access);
	}
	if (is_load) {
		load(t, t->i.rd, log2, opc & 2, opc == 2, m);
	} else {
		store(t, t->i.rd, log2, m);
	}
	if (writes_back) {
		jit_write_base(t, imm);
	}
}

void jit_access_pair(struct jit_block *t)
{
	unsigned log2 = t->raw >> 31 ? 3 : 2, mode = t->raw >> 23 & 3;
	bool is_load = t->raw >> 22 & 1, is_signed = (t->raw >> 30) == 1;
	bool writes_back = mode & 1, post = mode == 1;
	int32_t imm = (int32_t)t->i.imm;
	if (writes_back && is_load && (t->i.rd == t->i.rn || t->i.rm == t->i.rn)) {
		jit_call_handler(t);
		return;
	}
	struct x86_mem first = jit_locate(t, post ? 0 : imm, 2u << log2,
					  is_load ? JIT_READ : JIT_WRITE),
		       second = first;
	second.disp += 1 << log2;
	if (is_load) {
		load(t, t->i.rd, log2, is_signed, is_signed, first);
		load(t, t->i.rm, log2, is_signed, is_signed, second);
	} else {
		store(t, t->i.rd, log2, first);
		store(t, t->i.rm, log2, second);
	}
	if (writes_back) {
		jit_write_base(t, imm);
	}
}

void jit_access_literal(struct jit_block *t)
{
	bool is_signed = t->op == A64_LDR_lit_sw;
	unsigned log2 = t->op == A64_LDR_lit_x ? 3 : 2;
	jit_flags_clobber(t);
	x86_rm(&t->x, X_MOV, true, RCX, JIT_CPU(block_pc));
	x86_alu_imm(&t->x, ALU_ADD, true, RCX, (int32_t)t->i.imm);
	jit_probe(t, 1u << log2, JIT_READ);
	load(t, t->i.rd, log2, is_signed, is_signed, x86_at(RCX, 0));
}

/* Only a full barrier does something: the host orders loads among themselves, and stores. */
void jit_barrier(struct jit_block *t)
{
	unsigned kind = A64_CRm(t->raw) & 3;
	if (kind != 1 && kind != 2) {
		jit_flags_clobber(t);
		x86_lock(&t->x);
		x86_alu_imm_mem(&t->x, ALU_OR, false, x86_at(RSP, 0), 0);
	}
}
