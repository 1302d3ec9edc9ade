/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jit_table.c - which emitter translates which row of the encoding tables
 *
 * How it works: rows that are not here are done by the interpreter's handler.
 * Threads: constant data.
 */
#include "engine/soft/jit_priv.h"

#define PURE  JIT_PURE
#define SETS  (JIT_PURE | JIT_SETS)
#define READS (JIT_PURE | JIT_READS)

#define ROW(name, emitter, properties) [A64_##name] = {jit_##emitter, properties},
#define BOTH(name, emitter, properties) ROW(name##_w, emitter, properties) ROW(name##_x, emitter, properties)
#define ACCESSES(mode, emitter)                                                                    \
	ROW(LDR_b_##mode, emitter, 0)                                                              \
	ROW(LDR_h_##mode, emitter, 0)                                                              \
	ROW(LDR_w_##mode, emitter, 0)                                                              \
	ROW(LDR_x_##mode, emitter, 0)                                                              \
	ROW(LDRS_b_x_##mode, emitter, 0)                                                           \
	ROW(LDRS_b_w_##mode, emitter, 0)                                                           \
	ROW(LDRS_h_x_##mode, emitter, 0)                                                           \
	ROW(LDRS_h_w_##mode, emitter, 0)                                                           \
	ROW(LDRS_w_x_##mode, emitter, 0)                                                           \
	ROW(STR_b_##mode, emitter, 0)                                                              \
	ROW(STR_h_##mode, emitter, 0)                                                              \
	ROW(STR_w_##mode, emitter, 0)                                                              \
	ROW(STR_x_##mode, emitter, 0)
#define PAIRS(mode)                                                                                \
	BOTH_PAIR(STP, mode) BOTH_PAIR(LDP, mode) ROW(LDPSW_##mode, access_pair, 0)
#define BOTH_PAIR(name, mode) ROW(name##_w_##mode, access_pair, 0) ROW(name##_x_##mode, access_pair, 0)
#define SIZES(name, emitter)                                                                       \
	ROW(name##_b, emitter, 0) ROW(name##_h, emitter, 0) ROW(name##_w, emitter, 0) ROW(name##_x, emitter, 0)


/* SIMD&FP: rows by element sizes. */
#define HS(name, emitter) ROW(name##_h, emitter, 0) ROW(name##_s, emitter, 0)
#define SD(name, emitter) ROW(name##_s, emitter, 0) ROW(name##_d, emitter, 0)
#define BHS(name, emitter) ROW(name##_b, emitter, 0) HS(name, emitter)
#define BHSD(name, emitter) BHS(name, emitter) ROW(name##_d, emitter, 0)
#define BHSDQ(name, emitter) BHSD(name, emitter) ROW(name##_q, emitter, 0)
#define SDQ(name, emitter) SD(name, emitter) ROW(name##_q, emitter, 0)
#define VACCESSES(mode) BHSDQ(LDR_v_##mode, vaccess) BHSDQ(STR_v_##mode, vaccess)
#define VPAIRS(mode) SDQ(LDP_v_##mode, vaccess_pair) SDQ(STP_v_##mode, vaccess_pair)

const struct jit_emitter jit_emitters[A64_OPS] = {
	ROW(ADR, address, PURE)
	ROW(ADRP, address, PURE)
	BOTH(ADD_imm, add_sub_imm, PURE)
	BOTH(SUB_imm, add_sub_imm, PURE)
	BOTH(ADDS_imm, add_sub_imm, SETS)
	BOTH(SUBS_imm, add_sub_imm, SETS)
	BOTH(AND_imm, logic_imm, PURE)
	BOTH(ORR_imm, logic_imm, PURE)
	BOTH(EOR_imm, logic_imm, PURE)
	BOTH(ANDS_imm, logic_imm, SETS)
	BOTH(MOVZ, mov_wide, PURE)
	BOTH(MOVN, mov_wide, PURE)
	BOTH(MOVK, mov_wide, PURE)
	BOTH(SBFM, bitfield, PURE)
	BOTH(BFM, bitfield, PURE | JIT_USES_RSI)
	BOTH(UBFM, bitfield, PURE)
	BOTH(EXTR, extract, PURE)

	ROW(B, branch, 0)
	ROW(BL, branch, 0)
	ROW(B_cond, branch_cond, JIT_READS)
	BOTH(CBZ, branch_zero, 0)
	BOTH(CBNZ, branch_zero, 0)
	ROW(TBZ, branch_bit, 0)
	ROW(TBNZ, branch_bit, 0)
	ROW(BR, branch_reg, 0)
	ROW(BLR, branch_reg, 0)
	ROW(RET, branch_reg, 0)

	BOTH(AND_reg, logic_reg, PURE)
	BOTH(BIC_reg, logic_reg, PURE)
	BOTH(ORR_reg, logic_reg, PURE)
	BOTH(ORN_reg, logic_reg, PURE)
	BOTH(EOR_reg, logic_reg, PURE)
	BOTH(EON_reg, logic_reg, PURE)
	BOTH(ANDS_reg, logic_reg, SETS)
	BOTH(BICS_reg, logic_reg, SETS)
	BOTH(ADD_reg, add_sub_reg, PURE)
	BOTH(SUB_reg, add_sub_reg, PURE)
	BOTH(ADDS_reg, add_sub_reg, SETS)
	BOTH(SUBS_reg, add_sub_reg, SETS)
	BOTH(ADD_ext, add_sub_ext, PURE)
	BOTH(SUB_ext, add_sub_ext, PURE)
	BOTH(ADDS_ext, add_sub_ext, SETS)
	BOTH(SUBS_ext, add_sub_ext, SETS)
	BOTH(ADC, carry, READS)
	BOTH(SBC, carry, READS)
	BOTH(ADCS, carry, READS | JIT_SETS)
	BOTH(SBCS, carry, READS | JIT_SETS)
	BOTH(CCMP_reg, compare_cond, READS | JIT_SETS | JIT_USES_RSI)
	BOTH(CCMN_reg, compare_cond, READS | JIT_SETS | JIT_USES_RSI)
	BOTH(CCMP_imm, compare_cond, READS | JIT_SETS | JIT_USES_RSI)
	BOTH(CCMN_imm, compare_cond, READS | JIT_SETS | JIT_USES_RSI)
	BOTH(CSEL, select, READS)
	BOTH(CSINC, select, READS)
	BOTH(CSINV, select, READS)
	BOTH(CSNEG, select, READS)
	BOTH(MADD, multiply, PURE)
	BOTH(MSUB, multiply, PURE)
	ROW(SMADDL, multiply_long, PURE)
	ROW(SMSUBL, multiply_long, PURE)
	ROW(UMADDL, multiply_long, PURE)
	ROW(UMSUBL, multiply_long, PURE)
	ROW(SMULH, multiply_high, PURE | JIT_USES_RSI)
	ROW(UMULH, multiply_high, PURE | JIT_USES_RSI)
	BOTH(UDIV, divide, PURE | JIT_USES_RSI)
	BOTH(SDIV, divide, PURE | JIT_USES_RSI)
	BOTH(LSLV, shift_reg, PURE)
	BOTH(LSRV, shift_reg, PURE)
	BOTH(ASRV, shift_reg, PURE)
	BOTH(RORV, shift_reg, PURE)
	BOTH(RBIT, bits, PURE | JIT_USES_RSI)
	BOTH(REV16, bits, PURE | JIT_USES_RSI)
	BOTH(REV, bits, PURE | JIT_USES_RSI)
	BOTH(CLZ, bits, PURE | JIT_USES_RSI)
	BOTH(CLS, bits, PURE | JIT_USES_RSI)
	ROW(REV32_x, bits, PURE | JIT_USES_RSI)
	ROW(CRC32CB, crc32c, PURE)
	ROW(CRC32CH, crc32c, PURE)
	ROW(CRC32CW, crc32c, PURE)
	ROW(CRC32CX, crc32c, PURE)

	ROW(NOP, nothing, PURE)
	ROW(DMB, barrier, PURE)
	ROW(PRFM_lit, nothing, PURE)
	ROW(PRFM_ui, nothing, PURE)
	ROW(PRFM_ur, nothing, PURE)
	ROW(PRFM_reg, nothing, PURE)

	ACCESSES(ui, access)
	ACCESSES(ur, access)
	ACCESSES(unpriv, access)
	ACCESSES(pre, access)
	ACCESSES(post, access)
	ACCESSES(reg, access)
	PAIRS(off)
	PAIRS(pre)
	PAIRS(post)
	BOTH(STNP, access_pair, 0)
	BOTH(LDNP, access_pair, 0)
	SIZES(STXR, store_exclusive)
	SIZES(STLXR, store_exclusive)
	SIZES(LDXR, load_exclusive)
	SIZES(LDAXR, load_exclusive)
	SIZES(STLR, store_release)
	SIZES(LDAR, load_acquire)
	SIZES(LDAPR, load_acquire)
	SIZES(CAS, compare_swap)
	SIZES(LDADD, exchange)
	SIZES(SWP, exchange)
	SIZES(LDCLR, modify)
	SIZES(LDEOR, modify)
	SIZES(LDSET, modify)
	ROW(CLREX, clear_exclusive, PURE)
	ROW(MRS, move_system, 0)
	ROW(MSR_reg, move_system, 0)
	ROW(MSR_imm, move_pstate, 0)
	ROW(SYS, system, 0)
	ROW(ISB, synchronize, 0)
	ROW(LDR_lit_w, access_literal, 0)
	ROW(LDR_lit_x, access_literal, 0)
	ROW(LDR_lit_sw, access_literal, 0)

	VACCESSES(ui)
	VACCESSES(ur)
	VACCESSES(pre)
	VACCESSES(post)
	VACCESSES(reg)
	VPAIRS(off)
	VPAIRS(pre)
	VPAIRS(post)
	SDQ(LDNP_v, vaccess_pair)
	SDQ(STNP_v, vaccess_pair)
	SDQ(LDR_lit, vaccess_literal)
};
