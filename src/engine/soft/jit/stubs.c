/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stubs.c - how translated code is entered and left, and how it calls handlers
 *
 * Invariants: inside translated code the stack is aligned to 16 bytes.
 * Threads: set-up; what is emitted runs on the vCPU thread.
 */
#include "engine/soft/jit/mxcsr.h"
#include "engine/soft/jit/priv.h"

/* EAX between our form and NZCV: V, inverse C, Z, N. */
enum { FLAG_BITS = 0xc101, FLAG_NOT_C = 2 };

static const uint8_t saved[] = {RBX, RBP, R12, R13, R14, R15};

static void store_state(struct x86 *x)
{
	for (unsigned n = 0; n <= CPU_SP; n++) {
		if (jit_home(n) >= 0) {
			x86_rm(x, X_STORE, true, (unsigned)jit_home(n), jit_slot(n));
		}
	}
	x86_mov_imm(x, RDX, FLAG_BITS);
	x86_vrr(x, V_PEXT, false, RCX, RAX, RDX);
	x86_alu_imm(x, ALU_XOR, false, RCX, FLAG_NOT_C);
	x86_shift_imm(x, SH_SHL, false, RCX, 28);
	x86_rm(x, X_STORE, false, RCX, JIT_CPU(nzcv));
}

static void load_state(struct x86 *x)
{
	for (unsigned n = 0; n <= CPU_SP; n++) {
		if (jit_home(n) >= 0) {
			x86_rm(x, X_MOV, true, (unsigned)jit_home(n), jit_slot(n));
		}
	}
	x86_rm(x, X_MOV, false, RCX, JIT_CPU(nzcv));
	x86_shift_imm(x, SH_SHR, false, RCX, 28);
	x86_alu_imm(x, ALU_XOR, false, RCX, FLAG_NOT_C);
	x86_mov_imm(x, RDX, FLAG_BITS);
	x86_vrr(x, V_PDEP, false, RAX, RCX, RDX);
}

/* Go over to the guest's FP mode, or back; the host's flags change. */
static void change_fp_mode(struct x86 *x, bool to_guest)
{
	x86_alu_imm_mem(x, ALU_CMP, false, JIT_CPU(mxcsr), MXCSR_DEFAULT);
	uint8_t *same = x86_jcc_later(x, CC_E);
	x86_mxcsr(x, false, to_guest ? JIT_CPU(mxcsr) : JIT_CPU(jit_constants.mxcsr_default));
	x86_land(x, same);
}

/* void enter(&cpu->x[16] in RDI, code in RSI) */
static void emit_enter(struct x86 *x)
{
	for (unsigned n = 0; n < sizeof(saved); n++) {
		x86_push(x, saved[n]);
	}
	x86_alu_imm(x, ALU_SUB, true, RSP, 8);
	x86_mov(x, true, RBP, RDI);
	x86_push(x, RSI);
	change_fp_mode(x, true);
	load_state(x);
	x86_pop(x, RSI);
	x86_jmp_reg(x, RSI);
}

static void emit_return(struct x86 *x)
{
	x86_alu_imm(x, ALU_ADD, true, RSP, 8);
	for (unsigned n = sizeof(saved); n-- > 0;) {
		x86_pop(x, saved[n]);
	}
	x86_ret(x);
}

/* Called with the record in RSI; @by_hand: and a count in EDX. */
static void emit_handler(struct x86 *x, bool by_hand)
{
	if (by_hand) {
		x86_rm(x, X_STORE, true, RDX, JIT_CPU(result));
	}
	store_state(x);
	change_fp_mode(x, false);
	x86_rm(x, X_LEA, true, RDI, x86_at(RBP, -(int32_t)offsetof(struct cpu, x[16])));
	x86_mov_imm(x, RCX, 0);
	x86_rm(x, X_STORE, true, RCX, JIT_CPU(next));
	x86_alu_imm_mem(x, ALU_ADD, true, JIT_CPU(jit_handler_calls), 1);
	x86_alu_imm(x, ALU_SUB, true, RSP, 8);
	if (by_hand) {
		x86_opcode(x, 0xb8, true, 0, 0, 0, false); /* mov rax, imm64: as long in each run */
		x86_u64(x, (uintptr_t)jit_group_by_hand);
		x86_call_reg(x, RAX);
	} else {
		x86_point(x, RSI); /* a record: code has its address as a constant */
		x86_call_mem(x, x86_at(RSI, offsetof(struct jit_record, i.fn)));
	}
	x86_alu_imm(x, ALU_ADD, true, RSP, 8);
	x86_alu_imm_mem(x, ALU_CMP, true, JIT_CPU(next), 0);
	uint8_t *left = x86_jcc_later(x, CC_E);
	change_fp_mode(x, true);
	load_state(x);
	x86_ret(x);
	x86_land(x, left);
	x86_alu_imm(x, ALU_ADD, true, RSP, 8); /* the return address */
	emit_return(x);
}

void jit_emit_stubs(struct jit *jit)
{
	struct x86 x = {.at = jit->at,
			.end = jit->write + jit->size,
			.bias = jit->code - jit->write,
			.rbp_low = JIT_RBP_LOW,
			.rbp_high = JIT_RBP_HIGH};
	struct jit_stubs *s = &jit->stubs;
	s->enter = x86_here(&x);
	emit_enter(&x);
	s->handler = x86_here(&x);
	emit_handler(&x, false);
	s->group = x86_here(&x);
	emit_handler(&x, true);
	s->link = x86_here(&x);
	x86_rm(&x, X_STORE, true, RDX, JIT_CPU(jit_link));
	x86_rm(&x, X_STORE, false, RSI, JIT_CPU(jit_link_page));
	x86_mov(&x, false, RDX, RCX);
	x86_shift_imm(&x, SH_SHR, false, RDX, 2);
	x86_rm(&x, X_STORE, false, RDX, JIT_CPU(jit_link_word));
	s->untranslated = s->exit_offset = x86_here(&x);
	x86_rm(&x, X_ADD, true, RCX, JIT_CPU(block_pc));
	s->exit_pc = x86_here(&x);
	x86_rm(&x, X_STORE, true, RCX, JIT_CPU(pc));
	store_state(&x);
	change_fp_mode(&x, false);
	emit_return(&x);
	jit_emit_byte_stubs(&x, s);
	jit_emit_fp_stubs(&x, s);
	jit_emit_half_stubs(&x, s);
	jit->at = x.at;
}
