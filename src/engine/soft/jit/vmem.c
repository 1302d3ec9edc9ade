/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmem.c - translate loads and stores of SIMD&FP registers, but for structures
 *
 * How it works: as mem.c.  A load clears what lies above it in the register, as the host's MOVD
 * and MOVQ do. Threads: the vCPU thread; guest memory is shared.
 */
#include "engine/soft/jit/mem.h"

static void load(struct jit_block *t, unsigned n, unsigned log2, int32_t disp)
{
	struct x86 *x = &t->x;
	struct x86_mem m = x86_at(RCX, disp);
	unsigned to = jit_vwrite(t, n, 16);
	switch (log2) {
	case 0:
	case 1:
		x86_rm(x, log2 ? X_MOVZX16 : X_MOVZX8, false, RDX, m);
		x86_v(x, V_MOVD_IN, to, 0, RDX);
		break;
	case 2: x86_vm(x, V_MOVSS, to, 0, m); break;
	case 3: x86_vm(x, V_MOVQ, to, 0, m); break;
	default: x86_vm(x, V_MOVDQU, to, 0, m); break;
	}
}

static void store(struct jit_block *t, unsigned n, unsigned log2, int32_t disp)
{
	static const unsigned ops[] = {V_PEXTRB, V_PEXTRW, V_MOVSS_STORE, V_MOVQ_STORE,
				       V_MOVDQU_STORE};
	struct x86_mem m = x86_at(RCX, disp);
	unsigned from = jit_vread(t, n, log2 < 2 ? 4 : 1u << log2);
	x86_vm(&t->x, ops[log2], from, 0, m);
	if (log2 < 2) {
		x86_byte(&t->x, 0); /* the element */
	}
}

/* decode_insn() leaves rows of this group as they are. */
static void take_base(struct jit_block *t)
{
	t->i.rn = (uint8_t)A64_Rn(t->raw);
	t->i.rm = A64_Rm(t->raw) == 31 ? CPU_ZR : (uint8_t)A64_Rm(t->raw);
	jit_fp_enter(t);
	jit_flags_clobber(t);
	jit_check_sp(t);
}

/* One register, all ways to form the address. */
void jit_vaccess(struct jit_block *t)
{
	uint32_t w = t->raw;
	unsigned log2 = (w >> 30) | (w >> 21 & 4), mode = w >> 10 & 3;
	bool is_load = w >> 22 & 1, scaled = w >> 24 & 1, indexed = !scaled && (w >> 21 & 1);
	bool writes_back = !scaled && !indexed && (mode & 1);
	int32_t imm = scaled ? (int32_t)(A64_imm12(w) << log2) : (int32_t)a64_sign(A64_imm9(w), 9);
	take_base(t);
	if (indexed) {
		jit_indexed_address(t, A64_option(w), A64_S(w) ? log2 : 0);
	} else {
		jit_base_address(t, writes_back && mode == 1 ? 0 : imm);
	}
	jit_probe(t, 1u << log2, is_load ? JIT_READ : JIT_WRITE);
	if (is_load) {
		load(t, A64_Rt(w), log2, 0);
	} else {
		store(t, A64_Rt(w), log2, 0);
	}
	if (writes_back) {
		jit_write_base(t, imm);
	}
}

void jit_vaccess_pair(struct jit_block *t)
{
	uint32_t w = t->raw;
	unsigned log2 = 2 + (w >> 30), mode = w >> 23 & 3;
	int32_t size = 1 << log2, imm = (int32_t)a64_sign(A64_imm7(w), 7) * size;
	bool is_load = w >> 22 & 1;
	take_base(t);
	jit_base_address(t, mode == 1 ? 0 : imm);
	jit_probe(t, 2u << log2, is_load ? JIT_READ : JIT_WRITE);
	if (is_load) {
		load(t, A64_Rt(w), log2, 0);
		load(t, A64_Rt2(w), log2, size);
	} else {
		store(t, A64_Rt(w), log2, 0);
		store(t, A64_Rt2(w), log2, size);
	}
	if (mode & 1) {
		jit_write_base(t, imm);
	}
}

void jit_vaccess_literal(struct jit_block *t)
{
	unsigned log2 = 2 + (t->raw >> 30);
	jit_fp_enter(t);
	jit_flags_clobber(t);
	x86_rm(&t->x, X_MOV, true, RCX, JIT_CPU(block_pc));
	x86_alu_imm(&t->x, ALU_ADD, true, RCX,
		    t->i.offset + (int32_t)a64_sign(A64_imm19(t->raw), 19) * 4);
	jit_probe(t, 1u << log2, JIT_READ);
	load(t, A64_Rt(t->raw), log2, 0);
}
