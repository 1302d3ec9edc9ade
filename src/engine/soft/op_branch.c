/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_branch.c - branches
 *
 * How it works: i->imm is the displacement from the instruction; the _near forms are chosen when the target is in the same
 * page.  A return address is computed before the target register is overwritten (BLR x30).
 * Threads: the vCPU thread.
 */
#include "engine/soft/flags.h"
#include "engine/soft/ops.h"
#include "engine/soft/pauth.h"
#include "engine/soft/run.h"

#define OP(name) void op_##name(struct cpu *cpu, const struct insn *i)
#define RN cpu->x[i->rn]
#define RD cpu->x[i->rd]

enum { LINK = 30 };

#define GO_FAR(cpu, i)	BRANCH((cpu), insn_pc((cpu), (i)) + (i)->imm)
#define GO_NEAR(cpu, i) BRANCH_LOCAL((cpu), (i), (int64_t)(i)->imm)

OP(B)
{
	GO_FAR(cpu, i);
}

OP(B_near)
{
	GO_NEAR(cpu, i);
}

OP(BL)
{
	cpu->x[LINK] = insn_pc(cpu, i) + 4;
	GO_FAR(cpu, i);
}

OP(BL_near)
{
	cpu->x[LINK] = insn_pc(cpu, i) + 4;
	GO_NEAR(cpu, i);
}

/* A conditional branch in both forms. */
#define CONDITIONAL(name, CONDITION)                                                               \
	OP(name)                                                                                   \
	{                                                                                          \
		if (CONDITION) {                                                                   \
			GO_FAR(cpu, i);                                                            \
		}                                                                                  \
		NEXT(cpu, i);                                                                      \
	}                                                                                          \
	OP(name##_near)                                                                            \
	{                                                                                          \
		if (CONDITION) {                                                                   \
			GO_NEAR(cpu, i);                                                           \
		}                                                                                  \
		NEXT(cpu, i);                                                                      \
	}
CONDITIONAL(CBZ_w, (uint32_t)RD == 0)
CONDITIONAL(CBZ_x, RD == 0)
CONDITIONAL(CBNZ_w, (uint32_t)RD != 0)
CONDITIONAL(CBNZ_x, RD != 0)
CONDITIONAL(TBZ, !(RD >> i->ra & 1))
CONDITIONAL(TBNZ, RD >> i->ra & 1)

#define BRANCH_COND(n)                                                                             \
	static CONDITIONAL_ONE(branch_cond_##n, flags_condition(cpu->nzcv, n), GO_FAR)             \
	static CONDITIONAL_ONE(branch_cond_near_##n, flags_condition(cpu->nzcv, n), GO_NEAR)
#define CONDITIONAL_ONE(name, CONDITION, GO)                                                       \
	void name(struct cpu *cpu, const struct insn *i)                                           \
	{                                                                                          \
		if (CONDITION) {                                                                   \
			GO(cpu, i);                                                                \
		}                                                                                  \
		NEXT(cpu, i);                                                                      \
	}
BRANCH_COND(0)
BRANCH_COND(1)
BRANCH_COND(2)
BRANCH_COND(3)
BRANCH_COND(4)
BRANCH_COND(5)
BRANCH_COND(6)
BRANCH_COND(7)
BRANCH_COND(8)
BRANCH_COND(9)
BRANCH_COND(10)
BRANCH_COND(11)
BRANCH_COND(12)
BRANCH_COND(13)

#define ENTRY(n) [n] = { branch_cond_##n, branch_cond_near_##n }
const insn_fn ops_branch_cond[16][2] = {
	ENTRY(0), ENTRY(1), ENTRY(2), ENTRY(3), ENTRY(4), ENTRY(5), ENTRY(6), ENTRY(7), ENTRY(8),
	ENTRY(9), ENTRY(10), ENTRY(11), ENTRY(12), ENTRY(13),
	[14] = { op_B, op_B_near }, [15] = { op_B, op_B_near },
};

/* Never chosen by decode.c: it takes one of ops_branch_cond. */
OP(B_cond)
{
	cpu_undefined(cpu, i);
}

OP(BR)
{
	BRANCH(cpu, RN);
}

OP(RET)
{
	BRANCH(cpu, RN);
}

OP(BLR)
{
	uint64_t target = RN;
	cpu->x[LINK] = insn_pc(cpu, i) + 4;
	BRANCH(cpu, target);
}
