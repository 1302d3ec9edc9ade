/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_pauth.c - instructions of FEAT_PAuth, and branches that set PSTATE.BTYPE (FEAT_BTI)
 *
 * How it works: combined instructions read i->raw; none of them is hot.  The plain pointer forms have their register
 * in rd and the modifier's in rn.
 * Threads: the vCPU thread.
 */
#include "engine/soft/exception.h"
#include "engine/soft/mem.h"
#include "engine/soft/ops.h"
#include "engine/soft/pauth.h"
#include "engine/soft/run.h"
#include "engine/soft/sysreg.h"

#define OP(name) void op_##name(struct cpu *cpu, const struct insn *i)
#define RN cpu->x[i->rn]
#define RM cpu->x[i->rm]
#define RD cpu->x[i->rd]

enum { LINK = 30 };

static enum sysreg_key insn_key(bool b)
{
	return b ? KEY_IB : KEY_IA;
}

static enum sysreg_key data_key(bool b)
{
	return b ? KEY_DB : KEY_DA;
}

#define POINTER_OP(name, function, key)                                                            \
	OP(name)                                                                                   \
	{                                                                                          \
		RD = function(cpu, RD, RN, key(A64_kb(i->raw)));                                   \
		NEXT(cpu, i);                                                                      \
	}
POINTER_OP(PACI_reg, pauth_sign, insn_key)
POINTER_OP(PACD_reg, pauth_sign, data_key)
POINTER_OP(AUTI_reg, pauth_check, insn_key)
POINTER_OP(AUTD_reg, pauth_check, data_key)
POINTER_OP(PACIZ_reg, pauth_sign, insn_key)
POINTER_OP(PACDZ_reg, pauth_sign, data_key)
POINTER_OP(AUTIZ_reg, pauth_check, insn_key)
POINTER_OP(AUTDZ_reg, pauth_check, data_key)

#define HINT_OP(name, function, target, modifier)                                                  \
	OP(name)                                                                                   \
	{                                                                                          \
		cpu->x[target] = function(cpu, cpu->x[target], modifier, insn_key(A64_hb(i->raw))); \
		NEXT(cpu, i);                                                                      \
	}
HINT_OP(PACI1716, pauth_sign, 17, cpu->x[16])
HINT_OP(AUTI1716, pauth_check, 17, cpu->x[16])
HINT_OP(PACIZ_hint, pauth_sign, LINK, 0)
HINT_OP(AUTIZ_hint, pauth_check, LINK, 0)
HINT_OP(PACISP, pauth_sign, LINK, cpu->x[CPU_SP])
HINT_OP(AUTISP, pauth_check, LINK, cpu->x[CPU_SP])

OP(XPACLRI)
{
	cpu->x[LINK] = pauth_strip(cpu, cpu->x[LINK], false);
	NEXT(cpu, i);
}

OP(XPACI)
{
	RD = pauth_strip(cpu, RD, false);
	NEXT(cpu, i);
}

OP(XPACD)
{
	RD = pauth_strip(cpu, RD, true);
	NEXT(cpu, i);
}

OP(PACGA)
{
	RD = pauth_generic(cpu, RN, RM);
	NEXT(cpu, i);
}

/*
 * PSTATE.BTYPE after an indirect branch (Arm ARM D8.4.5.1).  Only x16 and x17 may be used to jump to a function from a
 * guarded page.
 */
static void set_btype(struct cpu *cpu, const struct insn *i, bool call)
{
	unsigned n = A64_Rn(i->raw);
	if (!sysreg_has_feature(cpu->sys, A64_FEATURE_BTI)) {
		return;
	}
	if (call) {
		cpu->btype = 2;
	} else {
		cpu->btype = n == 16 || n == 17 || !run_is_guarded(cpu) ? 1 : 3;
	}
}

/* With BTYPE set the run loop must look at the target's first instruction. */
#define JUMP(cpu, to)                                                                              \
	do {                                                                                       \
		uint64_t jump_to_ = (to);                                                          \
		if ((cpu)->btype) {                                                                \
			(cpu)->pc = jump_to_;                                                      \
			return;                                                                    \
		}                                                                                  \
		BRANCH((cpu), jump_to_);                                                           \
	} while (0)

OP(BR_bti)
{
	set_btype(cpu, i, false);
	JUMP(cpu, RN);
}

OP(BLR_bti)
{
	uint64_t target = RN;
	cpu->x[LINK] = insn_pc(cpu, i) + 4;
	set_btype(cpu, i, true);
	JUMP(cpu, target);
}

/* BRAA, BRAAZ and the like; rm is the modifier's register. */
#define AUTH_BRANCH(name, call)                                                                    \
	OP(name)                                                                                   \
	{                                                                                          \
		uint64_t target = pauth_check(cpu, RN, RM, insn_key(A64_M(i->raw)));               \
		if (call) {                                                                        \
			cpu->x[LINK] = insn_pc(cpu, i) + 4;                                        \
		}                                                                                  \
		set_btype(cpu, i, call);                                                           \
		JUMP(cpu, target);                                                                 \
	}
AUTH_BRANCH(BRA, false)
AUTH_BRANCH(BRAZ, false)
AUTH_BRANCH(BLRA, true)
AUTH_BRANCH(BLRAZ, true)

OP(RETA)
{
	uint64_t target = pauth_check(cpu, cpu->x[LINK], cpu->x[CPU_SP], insn_key(A64_M(i->raw)));
	BRANCH(cpu, target);
}

OP(ERETA)
{
	if (cpu->el == 0) {
		cpu_undefined(cpu, i);
		return;
	}
	uint64_t elr = cpu->sys->elr;
	exception_return(cpu, i, pauth_check(cpu, elr, cpu->x[CPU_SP], insn_key(A64_M(i->raw))));
}

/* LDRAA, LDRAB: rn is the base; the modifier is 0. */
OP(LDRA)
{
	if (mem_sp_misaligned(cpu, i)) {
		return;
	}
	uint32_t raw = i->raw;
	uint64_t base = pauth_check(cpu, RN, 0, data_key(A64_pm(raw)));
	uint64_t va = base + (uint64_t)(a64_sign(A64_s10(raw) << 9 | A64_imm9(raw), 10) * 8);
	uint64_t value;
	if (!mem_read64(cpu, i, va, &value)) {
		return;
	}
	if (A64_wback(raw)) {
		RN = va;
	}
	RD = value;
	NEXT(cpu, i);
}
