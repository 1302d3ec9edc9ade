/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_mem.c - loads and stores of one register and of pairs
 *
 * How it works: one macro a mode (immediate, pre- and post-index, register offset, unprivileged), instantiated for each access
 * of OPS_ACCESSES().  i->imm is the complete byte offset, for register offsets the shift.  With write-back and the base
 * also a target the results are CONSTRAINED UNPREDICTABLE (Arm ARM K1.2): the address wins.
 * Threads: the vCPU thread.
 */
#include "engine/soft/mem.h"
#include "engine/soft/ops.h"
#include "engine/soft/run.h"

#define OP(name) void op_##name(struct cpu *cpu, const struct insn *i)
#define RN cpu->x[i->rn]
#define RM cpu->x[i->rm]
#define RD cpu->x[i->rd]

/* One access: READ(name, suffix) at va into RD, or STORE.  Returns from the handler when it faulted. */
#define DO_LOAD(bits, suffix, type, ...)                                                           \
	uint64_t value;                                                                            \
	if (UNLIKELY(!mem_read##bits##suffix(cpu, i, va, &value))) {                               \
		return;                                                                            \
	}                                                                                          \
	RD = (type)(__VA_ARGS__ value)
#define DO_STORE(bits, suffix)                                                                     \
	if (UNLIKELY(!mem_write##bits##suffix(cpu, i, va, RD))) {                                  \
		return;                                                                            \
	}

#define ACCESS_LDR_b(suffix)	DO_LOAD(8, suffix, uint64_t)
#define ACCESS_LDR_h(suffix)	DO_LOAD(16, suffix, uint64_t)
#define ACCESS_LDR_w(suffix)	DO_LOAD(32, suffix, uint64_t)
#define ACCESS_LDR_x(suffix)	DO_LOAD(64, suffix, uint64_t)
#define ACCESS_LDRS_b_x(suffix) DO_LOAD(8, suffix, uint64_t, (int64_t)(int8_t))
#define ACCESS_LDRS_b_w(suffix) DO_LOAD(8, suffix, uint32_t, (int32_t)(int8_t))
#define ACCESS_LDRS_h_x(suffix) DO_LOAD(16, suffix, uint64_t, (int64_t)(int16_t))
#define ACCESS_LDRS_h_w(suffix) DO_LOAD(16, suffix, uint32_t, (int32_t)(int16_t))
#define ACCESS_LDRS_w_x(suffix) DO_LOAD(32, suffix, uint64_t, (int64_t)(int32_t))
#define ACCESS_STR_b(suffix)	DO_STORE(8, suffix)
#define ACCESS_STR_h(suffix)	DO_STORE(16, suffix)
#define ACCESS_STR_w(suffix)	DO_STORE(32, suffix)
#define ACCESS_STR_x(suffix)	DO_STORE(64, suffix)

#define CHECK_SP                                                                                   \
	if (mem_sp_misaligned(cpu, i)) {                                                           \
		return;                                                                            \
	}

/* Base plus immediate. */
#define MODE_UI(name, SUFFIX, CHECK)                                                               \
	OP(name##SUFFIX)                                                                           \
	{                                                                                          \
		CHECK uint64_t va = RN + i->imm;                                                   \
		ACCESS_##name();                                                                   \
		NEXT(cpu, i);                                                                      \
	}
#define BOTH_UI(name, mode) MODE_UI(name, _ui, CHECK_SP) MODE_UI(name, _ui_nosp, )
OPS_ACCESSES(BOTH_UI, ui)

/* LDUR, STUR: as above; decode.c takes the _ui_nosp form when it can. */
#define MODE_UR(name, mode) MODE_UI(name, _ur, CHECK_SP)
OPS_ACCESSES(MODE_UR, ur)

/* LDTR, STTR. */
#define MODE_UNPRIV(name, mode)                                                                    \
	OP(name##_unpriv)                                                                          \
	{                                                                                          \
		CHECK_SP uint64_t va = RN + i->imm;                                                \
		ACCESS_##name(_user);                                                              \
		NEXT(cpu, i);                                                                      \
	}
OPS_ACCESSES(MODE_UNPRIV, unpriv)

#define MODE_PRE(name, SUFFIX, CHECK)                                                              \
	OP(name##SUFFIX)                                                                           \
	{                                                                                          \
		CHECK uint64_t va = RN + i->imm;                                                   \
		ACCESS_##name();                                                                   \
		RN = va;                                                                           \
		NEXT(cpu, i);                                                                      \
	}
#define BOTH_PRE(name, mode) MODE_PRE(name, _pre, CHECK_SP) MODE_PRE(name, _pre_nosp, )
OPS_ACCESSES(BOTH_PRE, pre)

#define MODE_POST(name, SUFFIX, CHECK)                                                             \
	OP(name##SUFFIX)                                                                           \
	{                                                                                          \
		CHECK uint64_t va = RN;                                                            \
		ACCESS_##name();                                                                   \
		RN = va + i->imm;                                                                  \
		NEXT(cpu, i);                                                                      \
	}
#define BOTH_POST(name, mode) MODE_POST(name, _post, CHECK_SP) MODE_POST(name, _post_nosp, )
OPS_ACCESSES(BOTH_POST, post)

#define MODE_REG(name, SUFFIX, ...)                                                                \
	OP(name##SUFFIX)                                                                           \
	{                                                                                          \
		CHECK_SP uint64_t va = RN + ((uint64_t)(__VA_ARGS__ RM) << i->imm);                \
		ACCESS_##name();                                                                   \
		NEXT(cpu, i);                                                                      \
	}
#define ALL_REG(name, mode)                                                                        \
	MODE_REG(name, _reg)                                                                       \
	MODE_REG(name, _reg_uxtw, (uint32_t))                                                      \
	MODE_REG(name, _reg_sxtw, (int64_t)(int32_t))
OPS_ACCESSES(ALL_REG, reg)

/* LDR (literal): imm includes the offset in the page. */
#define LITERAL(name, access)                                                                      \
	OP(name)                                                                                   \
	{                                                                                          \
		uint64_t va = cpu->block_pc + i->imm;                                              \
		ACCESS_##access();                                                                 \
		NEXT(cpu, i);                                                                      \
	}
LITERAL(LDR_lit_w, LDR_w)
LITERAL(LDR_lit_x, LDR_x)
LITERAL(LDR_lit_sw, LDRS_w_x)

/* Pairs: rm is the second register. */
#define PAIR_STP_w                                                                                 \
	if (UNLIKELY(!mem_write_pair32(cpu, i, va, RD, RM))) {                                     \
		return;                                                                            \
	}
#define PAIR_STP_x                                                                                 \
	if (UNLIKELY(!mem_write128(cpu, i, va, MEM_PAIR, RD, RM))) {                               \
		return;                                                                            \
	}
#define PAIR_READ(READ, type)                                                                      \
	uint64_t first, second;                                                                    \
	if (UNLIKELY(!READ)) {                                                                     \
		return;                                                                            \
	}                                                                                          \
	RD = (uint64_t)(type)first;                                                                \
	RM = (uint64_t)(type)second;
#define PAIR_LDP_w PAIR_READ(mem_read_pair32(cpu, i, va, &first, &second), uint32_t)
#define PAIR_LDPSW PAIR_READ(mem_read_pair32(cpu, i, va, &first, &second), int32_t)
#define PAIR_LDP_x PAIR_READ(mem_read128(cpu, i, va, MEM_PAIR, &first, &second), uint64_t)

#define MODE_PAIR(name, SUFFIX, CHECK, VA, AFTER)                                                  \
	OP(name##SUFFIX)                                                                           \
	{                                                                                          \
		CHECK uint64_t va = VA;                                                            \
		PAIR_##name;                                                                       \
		AFTER;                                                                             \
		NEXT(cpu, i);                                                                      \
	}
#define ALL_PAIR(name, mode)                                                                       \
	MODE_PAIR(name, _off, CHECK_SP, RN + i->imm, )                                             \
	MODE_PAIR(name, _off_nosp, , RN + i->imm, )                                                \
	MODE_PAIR(name, _pre, CHECK_SP, RN + i->imm, RN = va)                                      \
	MODE_PAIR(name, _pre_nosp, , RN + i->imm, RN = va)                                         \
	MODE_PAIR(name, _post, CHECK_SP, RN, RN = va + i->imm)                                     \
	MODE_PAIR(name, _post_nosp, , RN, RN = va + i->imm)
OPS_PAIRS(ALL_PAIR, all)

/* STNP, LDNP: the hint is ignored. */
#define ALIAS(name, of)                                                                            \
	OP(name)                                                                                   \
	{                                                                                          \
		op_##of(cpu, i);                                                                   \
	}
ALIAS(STNP_w, STP_w_off)
ALIAS(STNP_x, STP_x_off)
ALIAS(LDNP_w, LDP_w_off)
ALIAS(LDNP_x, LDP_x_off)

/* PRFM never faults; nothing is gained by doing it. */
#define NOTHING(name)                                                                              \
	OP(name)                                                                                   \
	{                                                                                          \
		NEXT(cpu, i);                                                                      \
	}
NOTHING(PRFM_lit)
NOTHING(PRFM_ui)
NOTHING(PRFM_ur)
NOTHING(PRFM_reg)
