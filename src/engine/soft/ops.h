/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops.h - the handlers of all instructions, and the variants that decode.c chooses from
 *
 * How it works: row NAME of the encoding tables is executed by op_NAME().  A handler finds its operands where the row's format
 * puts them (decode.c); hot rows have variants named after what is known when decoding.
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_OPS_H
#define ORIEL_ENGINE_SOFT_OPS_H

#include "a64/a64.h"
#include "a64_handlers_gen.h"
#include "engine/soft/cpu.h"

#define OPS_DECLARE(name) void op_##name(struct cpu *cpu, const struct insn *i);
A64_EACH(OPS_DECLARE)
OPS_DECLARE(UNDEFINED)

/* Shifted-register rows: _0 has no shift, the others one kind of it; sums know no ROR. */
#define OPS_SHIFTED_LOGIC(X, w)                                                                    \
	X(AND_reg_##w)                                                                             \
	X(BIC_reg_##w)                                                                             \
	X(ORR_reg_##w)                                                                             \
	X(ORN_reg_##w)                                                                             \
	X(EOR_reg_##w)                                                                             \
	X(EON_reg_##w)                                                                             \
	X(ANDS_reg_##w)                                                                            \
	X(BICS_reg_##w)
#define OPS_SHIFTED_SUMS(X, w)                                                                     \
	X(ADD_reg_##w)                                                                             \
	X(ADDS_reg_##w)                                                                            \
	X(SUB_reg_##w)                                                                             \
	X(SUBS_reg_##w)
#define OPS_DECLARE_SUM(name)                                                                      \
	OPS_DECLARE(name##_0)                                                                      \
	OPS_DECLARE(name##_lsl)                                                                    \
	OPS_DECLARE(name##_lsr)                                                                    \
	OPS_DECLARE(name##_asr)
#define OPS_DECLARE_LOGIC(name) OPS_DECLARE_SUM(name) OPS_DECLARE(name##_ror)
OPS_SHIFTED_LOGIC(OPS_DECLARE_LOGIC, w)
OPS_SHIFTED_LOGIC(OPS_DECLARE_LOGIC, x)
OPS_SHIFTED_SUMS(OPS_DECLARE_SUM, w)
OPS_SHIFTED_SUMS(OPS_DECLARE_SUM, x)
OPS_DECLARE(mov_reg_w)
OPS_DECLARE(mov_reg_x)
OPS_DECLARE(mov_imm)
OPS_DECLARE(cmp_imm_w)
OPS_DECLARE(cmp_imm_x)
OPS_DECLARE(extract)
OPS_DECLARE(insert)
OPS_DECLARE(bfi_w)
OPS_DECLARE(bfi_x)

/* Branches: _near stay in the page (BRANCH_LOCAL). */
extern const insn_fn ops_branch_cond[16][2]; /* [cond][near] */
#define OPS_NEAR(X) X(B) X(BL) X(CBZ_w) X(CBZ_x) X(CBNZ_w) X(CBNZ_x) X(TBZ) X(TBNZ)
#define OPS_DECLARE_NEAR(name) OPS_DECLARE(name##_near)
OPS_NEAR(OPS_DECLARE_NEAR)
/*
 * A row and the conditional branch behind it, to a target in the page: [64-bit][condition], NULL where there is none.
 * imm: bits 63:32 are the displacement from the first instruction, 31:0 its immediate.
 */
extern const insn_fn ops_fused_subs_imm[2][16], ops_fused_subs_reg[2][16];
extern const insn_fn ops_fused_ands_imm[2][16], ops_fused_ands_reg[2][16];
/* BR, BLR with BTYPE (FEAT_BTI). */
OPS_DECLARE(BR_bti)
OPS_DECLARE(BLR_bti)

/* All single-register loads and stores: X(name of the access, mode). */
#define OPS_ACCESSES(X, mode)                                                                      \
	X(LDR_b, mode)                                                                             \
	X(LDR_h, mode)                                                                             \
	X(LDR_w, mode)                                                                             \
	X(LDR_x, mode)                                                                             \
	X(LDRS_b_x, mode)                                                                          \
	X(LDRS_b_w, mode)                                                                          \
	X(LDRS_h_x, mode)                                                                          \
	X(LDRS_h_w, mode)                                                                          \
	X(LDRS_w_x, mode)                                                                          \
	X(STR_b, mode)                                                                             \
	X(STR_h, mode)                                                                             \
	X(STR_w, mode)                                                                             \
	X(STR_x, mode)
/* Base register is not SP: no check of its alignment; those of the plain name check. */
#define OPS_PAIRS(X, mode) X(STP_w, mode) X(STP_x, mode) X(LDP_w, mode) X(LDP_x, mode) X(LDPSW, mode)
#define OPS_DECLARE_NOSP(name, mode) OPS_DECLARE(name##_##mode##_nosp)
OPS_ACCESSES(OPS_DECLARE_NOSP, ui)
OPS_ACCESSES(OPS_DECLARE_NOSP, pre)
OPS_ACCESSES(OPS_DECLARE_NOSP, post)
OPS_PAIRS(OPS_DECLARE_NOSP, off)
OPS_PAIRS(OPS_DECLARE_NOSP, pre)
OPS_PAIRS(OPS_DECLARE_NOSP, post)
/* Register offset extended from 32 bits. */
#define OPS_DECLARE_EXT(name, mode) OPS_DECLARE(name##_##mode##_uxtw) OPS_DECLARE(name##_##mode##_sxtw)
OPS_ACCESSES(OPS_DECLARE_EXT, reg)

/* CRC32C with the host's instruction. */
OPS_DECLARE(CRC32CB_host)
OPS_DECLARE(CRC32CH_host)
OPS_DECLARE(CRC32CW_host)
OPS_DECLARE(CRC32CX_host)

#endif
