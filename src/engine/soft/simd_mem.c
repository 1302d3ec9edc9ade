/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_mem.c - loads and stores of SIMD&FP registers: one register, pairs, literals
 *
 * How it works: an access (LOAD_z, STORE_z) at va is combined with each way to form an address.  General registers change last.
 * Threads: the vCPU thread.
 */
#include "engine/soft/mem.h"
#include "engine/soft/simd.h"

enum { LOG2_q = 4 };

#define BASE cpu->x[A64_Rn(w)]

/* A base register SP must be aligned. */
#define CHECK_BASE                                                                                 \
	if (UNLIKELY(A64_Rn(w) == CPU_SP && (cpu->x[CPU_SP] & 15)) && mem_sp_fault(cpu, i)) {      \
		return;                                                                            \
	}

#define LOAD(z, bits)                                                                              \
	uint64_t value;                                                                            \
	if (UNLIKELY(!mem_read##bits(cpu, i, va, &value))) {                                       \
		return;                                                                            \
	}                                                                                          \
	VREG(vu_d, A64_Rt(w)) = (vu_d){value, 0};
#define STORE(z, bits)                                                                             \
	if (UNLIKELY(!mem_write##bits(cpu, i, va, cpu->v[A64_Rt(w)].z[0]))) {                      \
		return;                                                                            \
	}
#define LDR_b LOAD(b, 8)
#define LDR_h LOAD(h, 16)
#define LDR_s LOAD(s, 32)
#define LDR_d LOAD(d, 64)
#define LDR_q                                                                                      \
	uint64_t low, high;                                                                        \
	if (UNLIKELY(!mem_read128(cpu, i, va, 0, &low, &high))) {                                  \
		return;                                                                            \
	}                                                                                          \
	VREG(vu_d, A64_Rt(w)) = (vu_d){low, high};
#define STR_b STORE(b, 8)
#define STR_h STORE(h, 16)
#define STR_s STORE(s, 32)
#define STR_d STORE(d, 64)
#define STR_q                                                                                      \
	if (UNLIKELY(!mem_write128(cpu, i, va, 0, cpu->v[A64_Rt(w)].d[0],                          \
				   cpu->v[A64_Rt(w)].d[1]))) {                                     \
		return;                                                                            \
	}

/* A register offset: Rm extended as `option` says, scaled if S. */
SOFT_INLINE uint64_t register_offset(const struct cpu *cpu, uint32_t w, unsigned log2)
{
	uint64_t m = simd_read_x(cpu, A64_Rm(w));
	switch (A64_option(w)) {
	case 2: m = (uint32_t)m; break;
	case 6: m = (uint64_t)(int32_t)m; break;
	default: break; /* 3 and 7 are 64 bits wide */
	}
	return A64_S(w) ? m << log2 : m;
}

#define IMM9 ((uint64_t)a64_sign(A64_imm9(w), 9))

/* @address: how va comes about; @after: write-back. */
#define ACCESS(row, address, access, after)                                                        \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		CHECK_BASE                                                                         \
		uint64_t va = address;                                                             \
		access;                                                                            \
		after;                                                                             \
		NEXT(cpu, i);                                                                      \
	}
#define ACCESSES(name, z)                                                                          \
	ACCESS(name##_v_ui_##z, BASE + ((uint64_t)A64_imm12(w) << LOG2_##z), name##_##z, )         \
	ACCESS(name##_v_ur_##z, BASE + IMM9, name##_##z, )                                         \
	ACCESS(name##_v_post_##z, BASE, name##_##z, BASE = va + IMM9)                              \
	ACCESS(name##_v_pre_##z, BASE + IMM9, name##_##z, BASE = va)                               \
	ACCESS(name##_v_reg_##z, BASE + register_offset(cpu, w, LOG2_##z), name##_##z, )
EACH_BHSD(ACCESSES, LDR)
EACH_BHSD(ACCESSES, STR)
ACCESSES(LDR, q)
ACCESSES(STR, q)

#define LITERAL(z)                                                                                 \
	SIMD_OP(LDR_lit_##z)                                                                       \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		uint64_t va = insn_pc(cpu, i) + (uint64_t)a64_sign(A64_imm19(w), 19) * 4;          \
		LDR_##z;                                                                           \
		NEXT(cpu, i);                                                                      \
	}
LITERAL(s)
LITERAL(d)
LITERAL(q)

/* Pairs: both registers or none. */
#define LDP_HALVES(read)                                                                           \
	uint64_t first, second;                                                                    \
	if (UNLIKELY(!read)) {                                                                     \
		return;                                                                            \
	}                                                                                          \
	VREG(vu_d, A64_Rt(w)) = (vu_d){first, 0};                                                  \
	VREG(vu_d, A64_Rt2(w)) = (vu_d){second, 0};
#define LDP_s LDP_HALVES(mem_read_pair32(cpu, i, va, &first, &second))
#define LDP_d LDP_HALVES(mem_read128(cpu, i, va, MEM_PAIR, &first, &second))
#define LDP_q                                                                                      \
	uint64_t d0, d1, d2, d3;                                                                   \
	if (UNLIKELY(!mem_read128(cpu, i, va, 0, &d0, &d1) ||                                      \
		     !mem_read128(cpu, i, va + 16, 0, &d2, &d3))) {                                \
		return;                                                                            \
	}                                                                                          \
	VREG(vu_d, A64_Rt(w)) = (vu_d){d0, d1};                                                    \
	VREG(vu_d, A64_Rt2(w)) = (vu_d){d2, d3};
#define STP_s                                                                                      \
	if (UNLIKELY(!mem_write_pair32(cpu, i, va, cpu->v[A64_Rt(w)].s[0],                         \
				       cpu->v[A64_Rt2(w)].s[0]))) {                                \
		return;                                                                            \
	}
#define STP_d                                                                                      \
	if (UNLIKELY(!mem_write128(cpu, i, va, MEM_PAIR, cpu->v[A64_Rt(w)].d[0],                   \
				   cpu->v[A64_Rt2(w)].d[0]))) {                                    \
		return;                                                                            \
	}
#define STP_q                                                                                      \
	const uint64_t *one = cpu->v[A64_Rt(w)].d, *two = cpu->v[A64_Rt2(w)].d;                    \
	if (UNLIKELY(!mem_probe(cpu, i, va, 32, true) ||                                           \
		     !mem_write128(cpu, i, va, 0, one[0], one[1]) ||                               \
		     !mem_write128(cpu, i, va + 16, 0, two[0], two[1]))) {                         \
		return;                                                                            \
	}

#define PAIR_OFFSET(log2) ((uint64_t)a64_sign(A64_imm7(w), 7) << (log2))
#define PAIRS(name, np, z)                                                                         \
	ACCESS(name##_v_off_##z, BASE + PAIR_OFFSET(LOG2_##z), name##_##z, )                       \
	ACCESS(name##_v_post_##z, BASE, name##_##z, BASE = va + PAIR_OFFSET(LOG2_##z))             \
	ACCESS(name##_v_pre_##z, BASE + PAIR_OFFSET(LOG2_##z), name##_##z, BASE = va)              \
	ACCESS(np##_v_##z, BASE + PAIR_OFFSET(LOG2_##z), name##_##z, )
PAIRS(LDP, LDNP, s)
PAIRS(LDP, LDNP, d)
PAIRS(LDP, LDNP, q)
PAIRS(STP, STNP, s)
PAIRS(STP, STNP, d)
PAIRS(STP, STNP, q)
