/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_mem.c - loads and stores of one register and of pairs
 *
 * How it works: one macro a mode (immediate, pre- and post-index, register offset, unprivileged), instantiated for each access
 * of OPS_ACCESSES().  i->imm is the complete byte offset, for register offsets the shift.  Each body is compiled twice: the
 * handler itself knows only hits in the TLB, so that it needs no stack frame; on anything else it tail-calls
 * its NAME_slow(), which does the instruction from its start.  With write-back and the base also a target the results
 * are CONSTRAINED UNPREDICTABLE (Arm ARM K1.2): the address wins.
 * Threads: the vCPU thread.
 */
#include "engine/soft/mem.h"
#include "engine/soft/ops.h"
#include "engine/soft/run.h"

#define OP(name) void op_##name(struct cpu *cpu, const struct insn *i)
#define RN cpu->x[i->rn]
#define RM cpu->x[i->rm]
#define RD cpu->x[i->rd]
#define SP cpu->x[CPU_SP]
/* What a body's argument BASE, which is S or N, stands for. */
#define BASE_S SP
#define BASE_N RN

/* Define op_@name and its slow twin; BODY's first argument is FAST or SLOW. */
#define TWICE(name, BODY, ...)                                                                     \
	static __attribute__((cold, noinline)) void name##_slow(struct cpu *cpu,                   \
								const struct insn *i)              \
	{                                                                                          \
		BODY(SLOW, __VA_ARGS__)                                                            \
	}                                                                                          \
	OP(name)                                                                                   \
	{                                                                                          \
		const insn_fn slow = name##_slow;                                                  \
		BODY(FAST, __VA_ARGS__)                                                            \
	}

#define TABLE	   cpu->tlb
#define TABLE_user cpu->tlb_user

/* Hits only: `p` is the host address. */
#define HIT(way, table, bytes)                                                                     \
	void *p = mem_hit_##way((table), va, (bytes), false);                                      \
	if (UNLIKELY(!p)) {                                                                        \
		SOFT_TAIL return slow(cpu, i);                                                     \
	}
#define FAST_LOAD(bits, suffix)                                                                    \
	uint64_t value;                                                                            \
	HIT(read, TABLE##suffix, bits / 8)                                                         \
	MEM_LOAD_PLAIN(bits, p, &value);
#define SLOW_LOAD(bits, suffix)                                                                    \
	uint64_t value;                                                                            \
	if (!mem_read##bits##suffix(cpu, i, va, &value)) {                                         \
		return;                                                                            \
	}
#define FAST_STORE(bits, suffix)                                                                   \
	HIT(write, TABLE##suffix, bits / 8)                                                        \
	MEM_STORE_PLAIN(bits, p, RD);
#define SLOW_STORE(bits, suffix)                                                                   \
	if (!mem_write##bits##suffix(cpu, i, va, RD)) {                                            \
		return;                                                                            \
	}

#define LOAD(A, bits, suffix, type, ...)                                                           \
	A##_LOAD(bits, suffix) RD = (type)(__VA_ARGS__ value)
#define ACCESS_LDR_b(A, suffix)	   LOAD(A, 8, suffix, uint64_t)
#define ACCESS_LDR_h(A, suffix)	   LOAD(A, 16, suffix, uint64_t)
#define ACCESS_LDR_w(A, suffix)	   LOAD(A, 32, suffix, uint64_t)
#define ACCESS_LDR_x(A, suffix)	   LOAD(A, 64, suffix, uint64_t)
#define ACCESS_LDRS_b_x(A, suffix) LOAD(A, 8, suffix, uint64_t, (int64_t)(int8_t))
#define ACCESS_LDRS_b_w(A, suffix) LOAD(A, 8, suffix, uint32_t, (int32_t)(int8_t))
#define ACCESS_LDRS_h_x(A, suffix) LOAD(A, 16, suffix, uint64_t, (int64_t)(int16_t))
#define ACCESS_LDRS_h_w(A, suffix) LOAD(A, 16, suffix, uint32_t, (int32_t)(int16_t))
#define ACCESS_LDRS_w_x(A, suffix) LOAD(A, 32, suffix, uint64_t, (int64_t)(int32_t))
#define ACCESS_STR_b(A, suffix)	   A##_STORE(8, suffix)
#define ACCESS_STR_h(A, suffix)	   A##_STORE(16, suffix)
#define ACCESS_STR_w(A, suffix)	   A##_STORE(32, suffix)
#define ACCESS_STR_x(A, suffix)	   A##_STORE(64, suffix)

/* Alignment of SP: where the base may be SP, where it is SP, where it is not. */
#define SLOW_CHECK                                                                                 \
	if (mem_sp_misaligned(cpu, i)) {                                                           \
		return;                                                                            \
	}
#define FAST_CHECK_ANY                                                                             \
	if (UNLIKELY(i->rn == CPU_SP && (SP & 15))) {                                              \
		SOFT_TAIL return slow(cpu, i);                                                     \
	}
#define FAST_CHECK_S \
	if (UNLIKELY(SP & 15)) {                                                                   \
		SOFT_TAIL return slow(cpu, i);                                                     \
	}
#define FAST_CHECK_N
#define SLOW_CHECK_ANY SLOW_CHECK
#define SLOW_CHECK_S  SLOW_CHECK
#define SLOW_CHECK_N

/* The two forms of most modes: NAME for base SP, NAME_nosp for the others. */
#define BOTH(name, BODY, access)                                                                   \
	TWICE(name, BODY, access, S)                                                               \
	TWICE(name##_nosp, BODY, access, N)

/* Base plus immediate. */
#define BODY_UI(A, name, BASE)                                                                     \
	A##_CHECK_##BASE uint64_t va = BASE_##BASE + i->imm;                                              \
	ACCESS_##name(A, );                                                                        \
	NEXT(cpu, i);
#define MODE_UI(name, mode) BOTH(name##_ui, BODY_UI, name)
OPS_ACCESSES(MODE_UI, ui)

/* LDUR, STUR: decode.c takes the _ui_nosp form where it can. */
#define MODE_UR(name, mode) TWICE(name##_ur, BODY_UI, name, S)
OPS_ACCESSES(MODE_UR, ur)

/* LDTR, STTR. */
#define BODY_UNPRIV(A, name)                                                                       \
	A##_CHECK_ANY uint64_t va = RN + i->imm;                                                   \
	ACCESS_##name(A, _user);                                                                   \
	NEXT(cpu, i);
#define MODE_UNPRIV(name, mode) TWICE(name##_unpriv, BODY_UNPRIV, name)
OPS_ACCESSES(MODE_UNPRIV, unpriv)

#define BODY_PRE(A, name, BASE)                                                                    \
	A##_CHECK_##BASE uint64_t va = BASE_##BASE + i->imm;                                              \
	ACCESS_##name(A, );                                                                        \
	BASE_##BASE = va;                                                                                 \
	NEXT(cpu, i);
#define MODE_PRE(name, mode) BOTH(name##_pre, BODY_PRE, name)
OPS_ACCESSES(MODE_PRE, pre)

#define BODY_POST(A, name, BASE)                                                                   \
	A##_CHECK_##BASE uint64_t va = BASE_##BASE;                                                       \
	ACCESS_##name(A, );                                                                        \
	BASE_##BASE = va + i->imm;                                                                        \
	NEXT(cpu, i);
#define MODE_POST(name, mode) BOTH(name##_post, BODY_POST, name)
OPS_ACCESSES(MODE_POST, post)

#define BODY_REG(A, name, ...)                                                                     \
	A##_CHECK_ANY uint64_t va = RN + ((uint64_t)(__VA_ARGS__ RM) << i->imm);                   \
	ACCESS_##name(A, );                                                                        \
	NEXT(cpu, i);
#define MODE_REG(name, mode)                                                                       \
	TWICE(name##_reg, BODY_REG, name)                                                          \
	TWICE(name##_reg_uxtw, BODY_REG, name, (uint32_t))                                         \
	TWICE(name##_reg_sxtw, BODY_REG, name, (int64_t)(int32_t))
OPS_ACCESSES(MODE_REG, reg)

/* LDR (literal): imm includes the offset in the page. */
#define BODY_LITERAL(A, name)                                                                      \
	uint64_t va = cpu->block_pc + i->imm;                                                      \
	ACCESS_##name(A, );                                                                        \
	NEXT(cpu, i);
TWICE(LDR_lit_w, BODY_LITERAL, LDR_w)
TWICE(LDR_lit_x, BODY_LITERAL, LDR_x)
TWICE(LDR_lit_sw, BODY_LITERAL, LDRS_w_x)

/* Pairs: rm is the second register. */
#define FAST_PAIR_LOAD(bits)                                                                       \
	uint##bits##_t both[2];                                                                    \
	HIT(read, cpu->tlb, sizeof(both))                                                          \
	memcpy(both, p, sizeof(both));                                                             \
	uint64_t first = both[0], second = both[1];
#define SLOW_PAIR_LOAD(bits)                                                                       \
	uint64_t first, second;                                                                    \
	if (!read_pair##bits(cpu, i, va, &first, &second)) {                                       \
		return;                                                                            \
	}
#define FAST_PAIR_STORE(bits)                                                                      \
	HIT(write, cpu->tlb, bits / 4)                                                             \
	MEM_STORE_PLAIN(bits, p, RD);                                                              \
	MEM_STORE_PLAIN(bits, (uint8_t *)p + bits / 8, RM);
#define SLOW_PAIR_STORE(bits)                                                                      \
	if (!write_pair##bits(cpu, i, va, RD, RM)) {                                               \
		return;                                                                            \
	}
#define read_pair32		   mem_read_pair32
#define write_pair32		   mem_write_pair32
#define read_pair64(c, n, va, a, b)  mem_read128(c, n, va, MEM_PAIR, a, b)
#define write_pair64(c, n, va, a, b) mem_write128(c, n, va, MEM_PAIR, a, b)

#define PAIR_LOAD(A, bits, type)                                                                   \
	A##_PAIR_LOAD(bits) RD = (uint64_t)(type)first;                                            \
	RM = (uint64_t)(type)second
#define PAIR_LDP_w(A) PAIR_LOAD(A, 32, uint32_t)
#define PAIR_LDPSW(A) PAIR_LOAD(A, 32, int32_t)
#define PAIR_LDP_x(A) PAIR_LOAD(A, 64, uint64_t)
#define PAIR_STP_w(A) A##_PAIR_STORE(32)
#define PAIR_STP_x(A) A##_PAIR_STORE(64)

#define BODY_PAIR(A, name, BASE)                                                                   \
	A##_CHECK_##BASE uint64_t va = BASE_##BASE + i->imm;                                              \
	PAIR_##name(A);                                                                            \
	NEXT(cpu, i);
#define BODY_PAIR_PRE(A, name, BASE)                                                               \
	A##_CHECK_##BASE uint64_t va = BASE_##BASE + i->imm;                                              \
	PAIR_##name(A);                                                                            \
	BASE_##BASE = va;                                                                                 \
	NEXT(cpu, i);
#define BODY_PAIR_POST(A, name, BASE)                                                              \
	A##_CHECK_##BASE uint64_t va = BASE_##BASE;                                                       \
	PAIR_##name(A);                                                                            \
	BASE_##BASE = va + i->imm;                                                                        \
	NEXT(cpu, i);
#define MODE_PAIRS(name, mode)                                                                     \
	BOTH(name##_off, BODY_PAIR, name)                                                          \
	BOTH(name##_pre, BODY_PAIR_PRE, name)                                                      \
	BOTH(name##_post, BODY_PAIR_POST, name)
OPS_PAIRS(MODE_PAIRS, all)

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
