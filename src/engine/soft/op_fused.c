/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_fused.c - compare and branch as one
 *
 * How it works: a SUBS or ANDS with a conditional branch behind it, to a target in the same page, runs as one handler: one
 * dispatch less, and the branch does not wait for NZCV to be packed, stored and tested.  NZCV is written all the same.
 * The branch's own entry stays as it is for those who jump to it.
 * Invariants: neither instruction can fault; both lie in one cache line, so invalidating either drops the handler.
 * Threads: the vCPU thread.
 */
#include "engine/soft/flags.h"
#include "engine/soft/ops.h"
#include "engine/soft/run.h"

#define RN cpu->x[i->rn]
#define RM cpu->x[i->rm]
#define RD cpu->x[i->rd]

/* ConditionHolds() after SUBS a, b for unsigned a, b and signed sa, sb. */
#define SUBS_0	(a == b)
#define SUBS_1	(a != b)
#define SUBS_2	(a >= b)
#define SUBS_3	(a < b)
#define SUBS_4	(sr < 0)
#define SUBS_5	(sr >= 0)
#define SUBS_6	((sa < sb) != (sr < 0))
#define SUBS_7	((sa < sb) == (sr < 0))
#define SUBS_8	(a > b)
#define SUBS_9	(a <= b)
#define SUBS_10 (sa >= sb)
#define SUBS_11 (sa < sb)
#define SUBS_12 (sa > sb)
#define SUBS_13 (sa <= sb)

/* On to the branch's target, or over the branch. */
#define FINISH(holds)                                                                              \
	if (holds) {                                                                               \
		BRANCH_LOCAL(cpu, i, (int64_t)i->imm >> 32);                                       \
	}                                                                                          \
	i++;                                                                                       \
	NEXT(cpu, i)

#define SUBS(kind, bits, B, cond)                                                                  \
	static void subs_##kind##_##bits##_##cond(struct cpu *cpu, const struct insn *i)           \
	{                                                                                          \
		uint##bits##_t a = (uint##bits##_t)RN, b = (uint##bits##_t)(B);                    \
		int##bits##_t sa = (int##bits##_t)a, sb = (int##bits##_t)b;                        \
		uint##bits##_t r = flags_sub##bits(a, b, &cpu->nzcv);                              \
		int##bits##_t sr = (int##bits##_t)r;                                               \
		RD = r;                                                                            \
		(void)sa;                                                                          \
		(void)sb;                                                                          \
		(void)sr;                                                                          \
		FINISH(SUBS_##cond);                                                               \
	}
#define EACH_CONDITION(X, ...)                                                                     \
	X(__VA_ARGS__, 0)                                                                          \
	X(__VA_ARGS__, 1)                                                                          \
	X(__VA_ARGS__, 2)                                                                          \
	X(__VA_ARGS__, 3)                                                                          \
	X(__VA_ARGS__, 4)                                                                          \
	X(__VA_ARGS__, 5)                                                                          \
	X(__VA_ARGS__, 6)                                                                          \
	X(__VA_ARGS__, 7)                                                                          \
	X(__VA_ARGS__, 8)                                                                          \
	X(__VA_ARGS__, 9)                                                                          \
	X(__VA_ARGS__, 10)                                                                         \
	X(__VA_ARGS__, 11)                                                                         \
	X(__VA_ARGS__, 12)                                                                         \
	X(__VA_ARGS__, 13)
EACH_CONDITION(SUBS, imm, 32, (uint32_t)i->imm)
EACH_CONDITION(SUBS, imm, 64, (uint32_t)i->imm)
EACH_CONDITION(SUBS, reg, 32, RM)
EACH_CONDITION(SUBS, reg, 64, RM)

/* After ANDS only EQ, NE, MI and PL are of use. */
#define ANDS_0 (r == 0)
#define ANDS_1 (r != 0)
#define ANDS_4 ((r >> (sizeof(r) * 8 - 1)) != 0)
#define ANDS_5 ((r >> (sizeof(r) * 8 - 1)) == 0)
#define ANDS(kind, bits, B, cond)                                                                  \
	static void ands_##kind##_##bits##_##cond(struct cpu *cpu, const struct insn *i)           \
	{                                                                                          \
		uint##bits##_t r = (uint##bits##_t)(RN & (B));                                     \
		cpu->nzcv = flags_logical##bits(r);                                                \
		RD = r;                                                                            \
		FINISH(ANDS_##cond);                                                               \
	}
#define FOUR_CONDITIONS(kind, bits, B)                                                             \
	ANDS(kind, bits, B, 0)                                                                     \
	ANDS(kind, bits, B, 1)                                                                     \
	ANDS(kind, bits, B, 4)                                                                     \
	ANDS(kind, bits, B, 5)
FOUR_CONDITIONS(imm, 32, (uint32_t)i->imm)
FOUR_CONDITIONS(imm, 64, (uint32_t)i->imm)
FOUR_CONDITIONS(reg, 32, RM)
FOUR_CONDITIONS(reg, 64, RM)

#define SUBS_ENTRY(kind, bits, cond) [cond] = subs_##kind##_##bits##_##cond,
const insn_fn ops_fused_subs_imm[2][16] = {
	{ EACH_CONDITION(SUBS_ENTRY, imm, 32) },
	{ EACH_CONDITION(SUBS_ENTRY, imm, 64) },
};
const insn_fn ops_fused_subs_reg[2][16] = {
	{ EACH_CONDITION(SUBS_ENTRY, reg, 32) },
	{ EACH_CONDITION(SUBS_ENTRY, reg, 64) },
};
#define ANDS_ENTRIES(kind, bits)                                                                   \
	{                                                                                          \
		[0] = ands_##kind##_##bits##_0, [1] = ands_##kind##_##bits##_1,                    \
		[4] = ands_##kind##_##bits##_4, [5] = ands_##kind##_##bits##_5,                    \
	}
const insn_fn ops_fused_ands_imm[2][16] = { ANDS_ENTRIES(imm, 32), ANDS_ENTRIES(imm, 64) };
const insn_fn ops_fused_ands_reg[2][16] = { ANDS_ENTRIES(reg, 32), ANDS_ENTRIES(reg, 64) };
