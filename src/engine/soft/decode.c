/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode.c - make a struct insn of an instruction word
 *
 * How it works: the word's row gives the handler and the format; the format's function reads the operands and may choose a
 * handler that knows more (no shift, target in the same page, base is not SP).  Register number 31 becomes
 * SP, ZR or the sink here.
 * Invariants: a handler of format F is never called with operands of another format.
 * Threads: the vCPU thread; all tables are constant.
 */
#include "engine/soft/decode.h"

#include "engine/soft/exception.h"
#include "engine/soft/flags.h"
#include "engine/soft/ops.h"
#include "engine/soft/run.h"
#include "engine/soft/sysreg.h"

/* Rows whose handlers have their home elsewhere. */
#define op_SVC	 exception_op_svc
#define op_HVC	 exception_op_hvc
#define op_SMC	 exception_op_smc
#define op_BRK	 exception_op_brk
#define op_HLT	 exception_op_hlt
#define op_ERET	 exception_op_eret
#define op_WFI	 run_op_wfi
#define op_WFE	 run_op_wfe
#define op_YIELD run_op_yield
#define op_SEV	 run_op_sev
#define op_SEVL	 run_op_sevl
#define op_ISB	 run_op_isb
#define op_DSB	 run_op_dsb
/* sysreg_decode() chooses. */
#define op_MSR_imm op_UNDEFINED
#define op_MSR_reg op_UNDEFINED
#define op_MRS	   op_UNDEFINED
#define op_SYS	   op_UNDEFINED
#define op_SYSL	   op_UNDEFINED

static const insn_fn handlers[A64_OPS] = {
	[A64_UNDEFINED] = op_UNDEFINED,
#define HANDLER(name) [A64_##name] = op_##name,
	A64_EACH(HANDLER)
};

/* Per row: what to run instead of its own handler.  What the places mean depends on the format. */
enum {
	VARIANT_NOSP = 0, /* loads and stores: base register is not SP */
	VARIANT_NEAR = 0, /* branches: target in the page */
	VARIANT_UXTW = 0, /* register offset: extended from 32 bits */
	VARIANT_SXTW,
	VARIANT_PLAIN = 0, /* shifted register: no shift, or this kind */
	VARIANT_LSL,
	VARIANT_LSR,
	VARIANT_ASR,
	VARIANT_ROR,
	VARIANTS,
};

static const insn_fn variants[A64_OPS][VARIANTS] = {
#define NOSP(name, mode)     [A64_##name##_##mode] = { [VARIANT_NOSP] = op_##name##_##mode##_nosp },
#define NOSP_UR(name, mode)  [A64_##name##_ur] = { [VARIANT_NOSP] = op_##name##_ui_nosp },
#define EXTENDED(name, mode)                                                                       \
	[A64_##name##_reg] = { [VARIANT_UXTW] = op_##name##_reg_uxtw,                              \
			       [VARIANT_SXTW] = op_##name##_reg_sxtw },
#define SUM(name)                                                                                  \
	[A64_##name] = { [VARIANT_PLAIN] = op_##name##_0, [VARIANT_LSL] = op_##name##_lsl,         \
			 [VARIANT_LSR] = op_##name##_lsr, [VARIANT_ASR] = op_##name##_asr },
#define LOGIC(name)                                                                                \
	[A64_##name] = { [VARIANT_PLAIN] = op_##name##_0, [VARIANT_LSL] = op_##name##_lsl,         \
			 [VARIANT_LSR] = op_##name##_lsr, [VARIANT_ASR] = op_##name##_asr,         \
			 [VARIANT_ROR] = op_##name##_ror },
#define NEAR(name) [A64_##name] = { [VARIANT_NEAR] = op_##name##_near },
	OPS_ACCESSES(NOSP, ui)
	OPS_ACCESSES(NOSP, pre)
	OPS_ACCESSES(NOSP, post)
	OPS_ACCESSES(NOSP_UR, ur)
	OPS_PAIRS(NOSP, off)
	OPS_PAIRS(NOSP, pre)
	OPS_PAIRS(NOSP, post)
	[A64_STNP_w] = { [VARIANT_NOSP] = op_STP_w_off_nosp },
	[A64_STNP_x] = { [VARIANT_NOSP] = op_STP_x_off_nosp },
	[A64_LDNP_w] = { [VARIANT_NOSP] = op_LDP_w_off_nosp },
	[A64_LDNP_x] = { [VARIANT_NOSP] = op_LDP_x_off_nosp },
	OPS_ACCESSES(EXTENDED, reg)
	OPS_SHIFTED_LOGIC(LOGIC, w)
	OPS_SHIFTED_LOGIC(LOGIC, x)
	OPS_SHIFTED_SUMS(SUM, w)
	OPS_SHIFTED_SUMS(SUM, x)
	OPS_NEAR(NEAR)
};

/* A register that is read: 31 is ZR. */
static uint8_t source(uint32_t n)
{
	return n == 31 ? CPU_ZR : (uint8_t)n;
}

/* A register that is written: 31 is nowhere. */
static uint8_t target(uint32_t n)
{
	return n == 31 ? CPU_SINK : (uint8_t)n;
}

static void take_variant(struct insn *i, insn_fn fn)
{
	if (fn) {
		i->fn = fn;
	}
}

/* Rd, Rn, Rm, Ra of data processing; what a format lacks does no harm. */
static void read_registers(struct insn *i, uint32_t raw)
{
	i->rd = target(A64_Rd(raw));
	i->rn = source(A64_Rn(raw));
	i->rm = source(A64_Rm(raw));
	i->ra = source(A64_Ra(raw));
}

static bool is_wide(uint32_t raw)
{
	return raw >> 31;
}

static void decode_address(struct insn *i, uint32_t raw, enum a64_op op)
{
	int64_t pages = a64_sign(A64_immhi(raw) << 2 | A64_immlo(raw), 21);
	i->rd = target(A64_Rd(raw));
	i->imm = op == A64_ADR ? (uint64_t)(pages + i->offset) : (uint64_t)pages << 12;
}

static void decode_addsub_imm(struct insn *i, uint32_t raw, enum a64_op op, bool flags)
{
	i->rd = flags ? target(A64_Rd(raw)) : (uint8_t)A64_Rd(raw);
	i->rn = (uint8_t)A64_Rn(raw);
	i->imm = (uint64_t)A64_imm12(raw) << (A64_sh(raw) ? 12 : 0);
	if (i->rd == CPU_SINK && (op == A64_SUBS_imm_w || op == A64_SUBS_imm_x)) {
		i->fn = op == A64_SUBS_imm_x ? op_cmp_imm_x : op_cmp_imm_w;
	} else if ((op == A64_ADD_imm_x) && i->imm == 0) {
		i->rm = i->rn;
		i->fn = op_mov_reg_x;
	}
}

static void decode_logical_imm(struct insn *i, uint32_t raw, enum a64_op op, bool flags)
{
	i->rd = flags ? target(A64_Rd(raw)) : (uint8_t)A64_Rd(raw);
	i->rn = source(A64_Rn(raw));
	i->imm = a64_bitmask(is_wide(raw) ? A64_N(raw) : 0, A64_imms(raw), A64_immr(raw),
			     is_wide(raw) ? 64 : 32);
	if (i->rn == CPU_ZR && (op == A64_ORR_imm_w || op == A64_ORR_imm_x)) {
		i->fn = op_mov_imm;
	}
}

static void decode_mov_wide(struct insn *i, uint32_t raw, enum a64_op op)
{
	i->ra = (uint8_t)(A64_hw(raw) * 16);
	i->rd = target(A64_Rd(raw));
	i->imm = (uint64_t)A64_imm16(raw) << i->ra;
	if (op == A64_MOVN_x) {
		i->imm = ~i->imm;
	} else if (op == A64_MOVN_w) {
		i->imm = (uint32_t)~i->imm;
	}
}

static uint64_t low_ones(unsigned count)
{
	return count >= 64 ? ~0ull : (1ull << count) - 1;
}

static void decode_bitfield(struct insn *i, uint32_t raw, enum a64_op op)
{
	unsigned width = is_wide(raw) ? 64 : 32, immr = A64_immr(raw), imms = A64_imms(raw);
	bool extract = imms >= immr;
	unsigned left = extract ? 0 : width - immr, right = extract ? immr : 0;
	uint64_t mask = low_ones(extract ? imms - immr + 1 : imms + 1) << left;

	i->rd = target(A64_Rd(raw));
	i->rn = source(A64_Rn(raw));
	switch (op) {
	case A64_SBFM_w:
	case A64_SBFM_x:
		i->rm = (uint8_t)(63 - imms);
		i->ra = (uint8_t)(63 - imms + right - left);
		return;
	case A64_BFM_w:
	case A64_BFM_x:
		i->fn = op == A64_BFM_x ? op_bfi_x : op_bfi_w;
		i->ra = (uint8_t)left;
		i->rm = (uint8_t)right;
		break;
	default:
		i->fn = extract ? op_extract : op_insert;
		i->rm = (uint8_t)(extract ? right : left);
		break;
	}
	i->imm = mask;
}

static void decode_shifted(struct insn *i, uint32_t raw, enum a64_op op)
{
	read_registers(i, raw);
	i->imm = A64_imm6(raw);
	i->fn = variants[op][i->imm ? VARIANT_LSL + A64_shift(raw) : VARIANT_PLAIN];
	if (i->imm == 0 && i->rn == CPU_ZR && (op == A64_ORR_reg_w || op == A64_ORR_reg_x)) {
		i->fn = is_wide(raw) ? op_mov_reg_x : op_mov_reg_w;
	}
}

static void decode_addsub_ext(struct insn *i, uint32_t raw, bool flags)
{
	i->rd = flags ? target(A64_Rd(raw)) : (uint8_t)A64_Rd(raw);
	i->rn = (uint8_t)A64_Rn(raw);
	i->rm = source(A64_Rm(raw));
	i->ra = (uint8_t)A64_option(raw);
	i->imm = A64_imm3(raw);
}

static void decode_ccmp(struct insn *i, uint32_t raw, bool immediate)
{
	read_registers(i, raw);
	i->imm = flags_condition_mask(A64_cc(raw)) | A64_nzcv(raw) << 16;
	if (immediate) {
		i->ra = (uint8_t)A64_imm5(raw);
	}
}

static void decode_branch(struct insn *i, enum a64_op op, int64_t displacement)
{
	i->imm = (uint64_t)displacement;
	if (run_is_local(i, displacement)) {
		take_variant(i, variants[op][VARIANT_NEAR]);
	}
}

static void decode_branch_cond(struct insn *i, uint32_t raw)
{
	int64_t displacement = a64_sign(A64_imm19(raw), 19) * 4;
	i->imm = (uint64_t)displacement;
	i->fn = ops_branch_cond[A64_cond(raw)][run_is_local(i, displacement)];
}

static void decode_branch_register(const struct cpu *cpu, struct insn *i, uint32_t raw, enum a64_op op)
{
	i->rn = source(A64_Rn(raw));
	i->rm = op == A64_BRA || op == A64_BLRA ? (uint8_t)A64_Rm0(raw) : CPU_ZR;
	if (op == A64_BR || op == A64_BLR) {
		if (sysreg_has_feature(cpu->sys, A64_FEATURE_BTI)) {
			i->fn = op == A64_BR ? op_BR_bti : op_BLR_bti;
		}
	}
}

/* Base and data register of a load or store; 31 as data register is read as ZR. */
static void read_access(struct insn *i, uint32_t raw, bool load)
{
	i->rn = (uint8_t)A64_Rn(raw);
	i->rd = load ? target(A64_Rt(raw)) : source(A64_Rt(raw));
}

/* opc (bits 23:22) of the single-register forms is 0 for stores only. */
static bool is_load(uint32_t raw)
{
	return raw >> 22 & 3;
}

static void decode_access(struct insn *i, uint32_t raw, enum a64_op op, int64_t imm)
{
	read_access(i, raw, is_load(raw));
	i->imm = (uint64_t)imm;
	if (i->rn != CPU_SP) {
		take_variant(i, variants[op][VARIANT_NOSP]);
	}
}

static void decode_access_reg(struct insn *i, uint32_t raw, enum a64_op op)
{
	read_access(i, raw, is_load(raw));
	i->rm = source(A64_Rm(raw));
	i->imm = A64_S(raw) ? raw >> 30 : 0;
	if (A64_option(raw) == 2) {
		i->fn = variants[op][VARIANT_UXTW];
	} else if (A64_option(raw) == 6) {
		i->fn = variants[op][VARIANT_SXTW];
	}
}

static void decode_access_pair(struct insn *i, uint32_t raw, enum a64_op op)
{
	bool load = raw >> 22 & 1;
	read_access(i, raw, load);
	i->rm = load ? target(A64_Rt2(raw)) : source(A64_Rt2(raw));
	i->imm = (uint64_t)(a64_sign(A64_imm7(raw), 7) * (is_wide(raw) ? 8 : 4));
	if (i->rn != CPU_SP) {
		take_variant(i, variants[op][VARIANT_NOSP]);
	}
}

/* Exclusives and atomics: which of Rt, Rs, Rt2 is written depends on the class. */
static void decode_exclusive(struct insn *i, uint32_t raw)
{
	bool atomic = (raw & 0x3b000000) == 0x38000000;
	bool compare = (raw & 0x3fa00000) == 0x08a00000; /* CAS */
	bool load = atomic || raw >> 22 & 1;
	if (compare) {
		load = false;
	}
	read_access(i, raw, load);
	bool writes_status = !atomic && !load;
	i->rm = writes_status ? target(A64_Rs(raw)) : source(A64_Rs(raw));
	i->ra = load ? target(A64_Rt2(raw)) : source(A64_Rt2(raw));
}

#ifdef __x86_64__
/* Handlers that need an instruction which not every host has. */
static void take_host_crc(struct insn *i, enum a64_op op)
{
	if (!__builtin_cpu_supports("sse4.2")) {
		return;
	}
	switch (op) {
	case A64_CRC32CB: i->fn = op_CRC32CB_host; break;
	case A64_CRC32CH: i->fn = op_CRC32CH_host; break;
	case A64_CRC32CW: i->fn = op_CRC32CW_host; break;
	case A64_CRC32CX: i->fn = op_CRC32CX_host; break;
	default: break;
	}
}

/* Loads and stores are ordered among themselves here: only a full barrier does something. */
static void drop_weak_barrier(struct insn *i, uint32_t raw)
{
	if ((A64_CRm(raw) & 3) == 1 || (A64_CRm(raw) & 3) == 2) {
		i->fn = op_NOP;
	}
}
#else
static void take_host_crc(struct insn *i, enum a64_op op)
{
}

static void drop_weak_barrier(struct insn *i, uint32_t raw)
{
}
#endif

/* Formats of data processing.  False: another class. */
static bool decode_data(struct insn *i, uint32_t raw, enum a64_op op, enum a64_format format)
{
	switch (format) {
	case A64_FORMAT_adr:
	case A64_FORMAT_adrp: decode_address(i, raw, op); return true;
	case A64_FORMAT_rri_sp: decode_addsub_imm(i, raw, op, false); return true;
	case A64_FORMAT_rri_sp_flags: decode_addsub_imm(i, raw, op, true); return true;
	case A64_FORMAT_log_imm: decode_logical_imm(i, raw, op, false); return true;
	case A64_FORMAT_log_imm_flags: decode_logical_imm(i, raw, op, true); return true;
	case A64_FORMAT_mov_wide: decode_mov_wide(i, raw, op); return true;
	case A64_FORMAT_bitfield: decode_bitfield(i, raw, op); return true;
	case A64_FORMAT_log_reg:
	case A64_FORMAT_addsub_reg: decode_shifted(i, raw, op); return true;
	case A64_FORMAT_addsub_ext: decode_addsub_ext(i, raw, false); return true;
	case A64_FORMAT_addsub_ext_flags: decode_addsub_ext(i, raw, true); return true;
	case A64_FORMAT_ccmp_reg: decode_ccmp(i, raw, false); return true;
	case A64_FORMAT_ccmp_imm: decode_ccmp(i, raw, true); return true;
	case A64_FORMAT_rr:
	case A64_FORMAT_rrr:
	case A64_FORMAT_rrrr:
		read_registers(i, raw);
		take_host_crc(i, op);
		return true;
	case A64_FORMAT_extr:
		read_registers(i, raw);
		i->imm = A64_imms(raw);
		return true;
	case A64_FORMAT_csel:
		read_registers(i, raw);
		i->imm = flags_condition_mask(A64_cc(raw));
		return true;
	case A64_FORMAT_pac_sp:
		i->rd = target(A64_Rd(raw));
		i->rn = (uint8_t)A64_Rn(raw);
		return true;
	case A64_FORMAT_pac_zr:
		i->rd = target(A64_Rd(raw));
		i->rn = CPU_ZR;
		return true;
	case A64_FORMAT_pac_sp_rm:
		read_registers(i, raw);
		i->rm = (uint8_t)A64_Rm(raw);
		return true;
	default: return false;
	}
}

/* Formats of branches. */
static bool decode_branches(const struct cpu *cpu, struct insn *i, uint32_t raw, enum a64_op op,
			    enum a64_format format)
{
	switch (format) {
	case A64_FORMAT_branch26:
		decode_branch(i, op, a64_sign(A64_imm26(raw), 26) * 4);
		return true;
	case A64_FORMAT_branch_cond: decode_branch_cond(i, raw); return true;
	case A64_FORMAT_branch_cb:
		i->rd = source(A64_Rt(raw));
		decode_branch(i, op, a64_sign(A64_imm19(raw), 19) * 4);
		return true;
	case A64_FORMAT_branch_tb:
		i->rd = source(A64_Rt(raw));
		i->ra = (uint8_t)(A64_b5(raw) << 5 | A64_b40(raw));
		decode_branch(i, op, a64_sign(A64_imm14(raw), 14) * 4);
		return true;
	case A64_FORMAT_branch_reg:
	case A64_FORMAT_branch_auth: decode_branch_register(cpu, i, raw, op); return true;
	default: return false;
	}
}

/* Formats of loads and stores. */
static bool decode_accesses(struct insn *i, uint32_t raw, enum a64_op op, enum a64_format format)
{
	switch (format) {
	case A64_FORMAT_ldr_lit:
		i->rd = target(A64_Rt(raw));
		i->imm = (uint64_t)(a64_sign(A64_imm19(raw), 19) * 4 + i->offset);
		return true;
	case A64_FORMAT_pair:
	case A64_FORMAT_pair_wb: decode_access_pair(i, raw, op); return true;
	case A64_FORMAT_ldst_ui:
		decode_access(i, raw, op, (int64_t)A64_imm12(raw) << (raw >> 30));
		return true;
	case A64_FORMAT_ldst_wb:
	case A64_FORMAT_ldst_ur: decode_access(i, raw, op, a64_sign(A64_imm9(raw), 9)); return true;
	case A64_FORMAT_ldst_reg: decode_access_reg(i, raw, op); return true;
	case A64_FORMAT_excl: decode_exclusive(i, raw); return true;
	case A64_FORMAT_mops:
		i->rd = (uint8_t)A64_Rd(raw);
		i->rn = (uint8_t)A64_Rn(raw);
		i->rm = source(A64_Rs(raw));
		return true;
	default: return false;
	}
}

/* Rows that read their few operands themselves, apart from what is filled in here. */
static void decode_raw(struct cpu *cpu, struct insn *i, uint32_t raw, enum a64_op op)
{
	switch (op) {
	case A64_SVC:
	case A64_HVC:
	case A64_SMC:
	case A64_BRK:
	case A64_HLT: i->imm = A64_imm16(raw); break;
	case A64_MSR_imm:
	case A64_MSR_reg:
	case A64_MRS:
	case A64_SYS:
	case A64_SYSL: sysreg_decode(cpu, i); break;
	case A64_DMB: drop_weak_barrier(i, raw); break;
	case A64_LDRA: read_access(i, raw, true); break;
	default: break;
	}
}

void decode_insn(struct cpu *cpu, struct insn *i)
{
	uint32_t raw = i->raw;
	enum a64_op op = a64_decode(raw);
	const struct a64_info *info = &a64_infos[op];
	i->rd = i->rn = i->rm = i->ra = 0;
	i->imm = 0;
	if (!sysreg_has_feature(cpu->sys, info->feature)) {
		i->fn = info->flags & A64_HINT ? op_NOP : op_UNDEFINED;
		return;
	}
	i->fn = handlers[op];
	if (!decode_data(i, raw, op, info->format) && !decode_branches(cpu, i, raw, op, info->format) &&
	    !decode_accesses(i, raw, op, info->format)) {
		decode_raw(cpu, i, raw, op);
	}
}

/* The fused handlers for a row, or NULL. */
static const insn_fn *fused_handlers(const struct insn *i, enum a64_op op)
{
	switch (op) {
	case A64_SUBS_imm_w:
	case A64_SUBS_imm_x: return ops_fused_subs_imm[op == A64_SUBS_imm_x];
	case A64_SUBS_reg_w:
	case A64_SUBS_reg_x: return i->imm ? NULL : ops_fused_subs_reg[op == A64_SUBS_reg_x];
	case A64_ANDS_imm_w:
	case A64_ANDS_imm_x:
		return i->imm > UINT32_MAX ? NULL : ops_fused_ands_imm[op == A64_ANDS_imm_x];
	case A64_ANDS_reg_w:
	case A64_ANDS_reg_x: return i->imm ? NULL : ops_fused_ands_reg[op == A64_ANDS_reg_x];
	default: return NULL;
	}
}

void decode_pair(struct cpu *cpu, struct insn *i, uint32_t next)
{
	decode_insn(cpu, i);
	if (a64_decode(next) != A64_B_cond) {
		return;
	}
	int64_t displacement = a64_sign(A64_imm19(next), 19) * 4 + 4;
	const insn_fn *fused = fused_handlers(i, a64_decode(i->raw));
	if (fused && fused[A64_cond(next)] && run_is_local(i, displacement)) {
		i->fn = fused[A64_cond(next)];
		i->imm |= (uint64_t)displacement << 32;
	}
}

bool decode_is_branch_target(const struct cpu *cpu, uint32_t raw, unsigned btype, bool strict)
{
	enum a64_op op = a64_decode(raw);
	if (op == A64_BRK || op == A64_HLT) {
		return true; /* their own exception comes first */
	}
	if (op == A64_PACISP && sysreg_has_feature(cpu->sys, A64_FEATURE_PAUTH)) {
		return btype != 3 || !strict;
	}
	if (op != A64_NOP || A64_CRm(raw) != 4 || A64_op2(raw) & 1) {
		return false;
	}
	switch (A64_op2(raw)) { /* BTI's targets */
	case 2: return btype != 3; /* c */
	case 4: return btype != 2; /* j */
	case 6: return true;	   /* jc */
	default: return false;
	}
}
