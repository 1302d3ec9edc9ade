/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system.c - translate the system instructions that kernels run all the time
 *
 * How it works: registers that are plain storage, the interrupt masks, SP_EL0, FPCR, FPSR,
 * DCZID_EL0 and DC ZVA are done here if nothing has to be looked at; else the handler does.
 * Threads: the vCPU thread.
 */
#include "engine/soft/jit/mem.h"
#include "engine/soft/jit/mxcsr.h"

/* A field of the vCPU around the cpu. */
#define JIT_VCPU(field)                                                                            \
	x86_at(RBP, (int32_t)offsetof(struct soft_vcpu, field) -                                   \
			    (int32_t)offsetof(struct soft_vcpu, cpu.x[16]))

enum { MDSCR_ANY = 0xa001 }; /* SS, KDE, MDE: debugging is on */

enum {
	REG_SP_EL0 = ENGINE_SYSREG(3, 0, 4, 1, 0),
	REG_DAIF = ENGINE_SYSREG(3, 3, 4, 2, 1),
	REG_FPCR = ENGINE_SYSREG(3, 3, 4, 4, 0),
	REG_FPSR = ENGINE_SYSREG(3, 3, 4, 4, 1),
	REG_DCZID = ENGINE_SYSREG(3, 3, 0, 0, 7),
	DC_ZVA = ENGINE_SYSREG(1, 3, 7, 4, 1),
};

static unsigned number(const struct jit_block *t)
{
	return t->raw >> 5 & 0xffff;
}

static void only_el1(struct jit_block *t)
{
	jit_flags_clobber(t);
	x86_cmp8_mem(&t->x, JIT_CPU(el), 0);
	jit_slow(t, x86_jcc_later(&t->x, CC_E));
}

/* SP_EL0 can be named while EL1 uses its own. */
static void only_el1_with_own_sp(struct jit_block *t)
{
	only_el1(t);
	x86_cmp8_mem(&t->x, JIT_CPU(spsel), 0);
	jit_slow(t, x86_jcc_later(&t->x, CC_E));
}

static void move_register(struct jit_block *t, struct x86_mem m, bool read, bool wide)
{
	if (read) {
		unsigned to = jit_target(t, t->i.rd, RDX);
		x86_rm(&t->x, X_MOV, wide, to, m);
		jit_write(t, t->i.rd, to);
	} else {
		unsigned from = jit_read(t, t->i.rd, RDX);
		x86_rm(&t->x, X_STORE, wide, from, m);
	}
}

static void check_dze(struct jit_block *t)
{
	struct x86 *x = &t->x;
	jit_flags_clobber(t);
	x86_rm(x, X_MOV, false, RDX, JIT_VCPU(sys.sctlr));
	x86_test_imm(x, false, RDX, (uint32_t)SCTLR_DZE);
	jit_slow(t, x86_jcc_later(x, CC_E));
}

/* Before interrupts may be unmasked: if one waits, or debugging looks at the masks, the handler
 * does it. */
static void no_interrupt_waits(struct jit_block *t)
{
	struct x86 *x = &t->x;
	x86_alu_imm_mem(x, ALU_CMP, false, JIT_VCPU(lines), 0);
	jit_slow(t, x86_jcc_later(x, CC_NE));
	x86_rm(x, X_MOV, false, RDX, JIT_VCPU(sys.mdscr));
	x86_test_imm(x, false, RDX, MDSCR_ANY);
	jit_slow(t, x86_jcc_later(x, CC_NE));
}

/* FPCR or FPSR changed.  If that can change MXCSR, leave: it is looked at on the way back
 * (jit_run()). */
static void change_host_mode(struct jit_block *t)
{
	struct x86 *x = &t->x;
	x86_test_imm_mem(x, JIT_CPU(fpcr), FPCR_FZ | FPCR_RMODE);
	uint8_t *special = x86_jcc_later(x, CC_NE);
	x86_alu_imm_mem(x, ALU_CMP, false, JIT_CPU(mxcsr), MXCSR_DEFAULT);
	struct jit_late *late = jit_late_leave(t, t->n + 1);
	jit_late_hole(late, special);
	jit_late_hole(late, x86_jcc_later(x, CC_NE));
}

/* FPCR or FPSR at @m, of which @bits exist. */
static void move_fp_register(struct jit_block *t, struct x86_mem m, bool read, uint32_t bits)
{
	jit_fp_enter(t);
	if (read) {
		move_register(t, m, true, false);
		return;
	}
	jit_flags_clobber(t);
	jit_load(t, t->i.rd, RDX, false);
	x86_alu_imm(&t->x, ALU_AND, false, RDX, (int32_t)bits);
	x86_rm(&t->x, X_STORE, false, RDX, m);
	change_host_mode(t);
	t->fp_known = 0;
}

/* EL0 without SCTLR_EL1.DZE, which would see DZP, is left to the handler. */
static void read_dczid(struct jit_block *t)
{
	check_dze(t);
	move_register(t, JIT_VCPU(sys.dczid), true, true);
}

void jit_move_system(struct jit_block *t)
{
	bool read = t->op == A64_MRS;
	enum sysreg_plain plain = sysreg_plain(&t->i);
	if (plain != SYSREG_NOT_PLAIN) {
		if (plain == SYSREG_PLAIN_EL1) {
			only_el1(t);
		}
		struct x86_mem m = JIT_VCPU(sys);
		m.disp += (int32_t)t->i.imm;
		move_register(t, m, read, true);
	} else if (number(t) == REG_SP_EL0) {
		only_el1_with_own_sp(t);
		move_register(t, JIT_CPU(sp_el[0]), read, true);
	} else if (number(t) == REG_FPCR) {
		move_fp_register(t, JIT_CPU(fpcr), read, SYSREG_FPCR_RW);
	} else if (number(t) == REG_FPSR) {
		move_fp_register(t, JIT_CPU(fpsr), read, SYSREG_FPSR_RW);
	} else if (number(t) == REG_DCZID && read) {
		read_dczid(t);
	} else if (number(t) == REG_DAIF && read) {
		only_el1(t);
		move_register(t, JIT_CPU(daif), true, false);
	} else if (number(t) == REG_DAIF) {
		only_el1(t);
		no_interrupt_waits(t);
		jit_load(t, t->i.rd, RDX, false);
		x86_alu_imm(&t->x, ALU_AND, false, RDX, 0xf << 6);
		x86_rm(&t->x, X_STORE, false, RDX, JIT_CPU(daif));
	} else {
		jit_call_handler(t);
	}
}

/* MSR DAIFSet, DAIFClr; the rest by handlers. */
void jit_move_pstate(struct jit_block *t)
{
	unsigned field = A64_op1(t->raw) << 3 | A64_op2(t->raw);
	uint32_t bits = A64_CRm(t->raw) << 6;
	if (field == (3 << 3 | 6)) {
		only_el1(t);
		x86_alu_imm_mem(&t->x, ALU_OR, false, JIT_CPU(daif), (int32_t)bits);
	} else if (field == (3 << 3 | 7)) {
		only_el1(t);
		no_interrupt_waits(t);
		x86_alu_imm_mem(&t->x, ALU_AND, false, JIT_CPU(daif), (int32_t)~bits);
	} else {
		jit_call_handler(t);
	}
}

/* DC ZVA: 64 bytes. */
void jit_system(struct jit_block *t)
{
	enum { LINE = 64 };
	struct x86 *x = &t->x;
	if (number(t) != DC_ZVA) {
		jit_call_handler(t);
		return;
	}
	check_dze(t);
	jit_load(t, t->i.rd, RCX, true);
	x86_alu_imm(x, ALU_AND, true, RCX, -LINE);
	jit_probe(t, LINE, JIT_WRITE);
	x86_vrr(x, V_PXOR, false, JIT_XMM_TEMP0, JIT_XMM_TEMP0, JIT_XMM_TEMP0);
	for (int at = 0; at < LINE; at += 16) {
		x86_vrm(x, V_MOVDQA_STORE, false, JIT_XMM_TEMP0, 0, x86_at(RCX, at));
	}
}
