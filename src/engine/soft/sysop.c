/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysop.c - SYS instructions: cache and TLB maintenance, address translation
 *
 * How it works: memory is coherent, so cleaning and invalidating data does nothing but the access checks; IC forgets decoded
 * code; TLBI forgets translations here and, for the shareable forms, on the other vCPUs.
 * Threads: the vCPU thread.
 */
#include "engine/soft/exception.h"
#include "engine/soft/soft.h"
#include "engine/soft/sysreg_priv.h"

enum { LINE = 64 };

/* ISS of a data abort by cache maintenance: CM, WnR. */
#define ISS_MAINTENANCE (1u << 8 | 1u << 6)

static void op_undefined(struct cpu *cpu, const struct insn *i)
{
	cpu_undefined(cpu, i);
}

static bool only_el1(struct cpu *cpu, const struct insn *i)
{
	if (!cpu->el) {
		cpu_undefined(cpu, i); /* and now it is EL1 */
		return false;
	}
	return true;
}

/* Is maintenance by address allowed here?  EL0 needs SCTLR_EL1.UCI. */
static bool uci_allows(struct cpu *cpu, const struct insn *i)
{
	if (cpu->el || (cpu->sys->sctlr & SCTLR_UCI)) {
		return true;
	}
	sysreg_trap(cpu, i);
	return false;
}

/* Physical address for maintenance at x[rd] into cpu->result[0].  EL0 needs the right to read. */
static bool translate(struct cpu *cpu, const struct insn *i)
{
	struct mmu_page page;
	uint64_t va = cpu->x[i->rd];
	int fault = mmu_walk(cpu, va, cpu->el ? MMU_EL1 : MMU_EL0, MMU_READ, false, true, &page);
	if (fault != MMU_OK) {
		exception_take(cpu, EC_DATA_ABORT_EL0, (uint32_t)fault | ISS_MAINTENANCE, insn_pc(cpu, i),
			       true, va);
		return false;
	}
	cpu->result[0] = page.pa;
	return true;
}

static void op_dc(struct cpu *cpu, const struct insn *i)
{
	if (!uci_allows(cpu, i) || !translate(cpu, i)) {
		return;
	}
	NEXT(cpu, i);
}

/* DC IVAC needs the right to write; by set and way nothing is needed. */
static void op_dc_ivac(struct cpu *cpu, const struct insn *i)
{
	if (!only_el1(cpu, i) || !translate(cpu, i)) {
		return;
	}
	NEXT(cpu, i);
}

static void op_dc_set_way(struct cpu *cpu, const struct insn *i)
{
	if (!only_el1(cpu, i)) {
		return;
	}
	NEXT(cpu, i);
}

static void op_dc_zva(struct cpu *cpu, const struct insn *i)
{
	if (UNLIKELY(!cpu->el && !(cpu->sys->sctlr & SCTLR_DZE))) {
		sysreg_trap(cpu, i);
		return;
	}
	uint64_t va = cpu->x[i->rd] & ~(uint64_t)(LINE - 1);
	void *line = mem_hit_write(cpu->tlb, va, LINE, true);
	if (UNLIKELY(!line)) {
		line = mem_slow_pointer(cpu, i, va, LINE, MEM_ZVA);
		if (!line) {
			return;
		}
	}
	memset(line, 0, LINE);
	NEXT(cpu, i);
}

static void op_ic_ivau(struct cpu *cpu, const struct insn *i)
{
	if (!uci_allows(cpu, i) || !translate(cpu, i)) {
		return;
	}
	struct invalidate_op op = {.kind = INVALIDATE_CODE_LINE, .start = cpu->result[0]};
	invalidate_do(cpu, &op, true);
	LEAVE(cpu, i);
}

/* rm: reaches the other vCPUs. */
static void op_ic_all(struct cpu *cpu, const struct insn *i)
{
	if (!only_el1(cpu, i)) {
		return;
	}
	struct invalidate_op op = {.kind = INVALIDATE_CODE};
	invalidate_do(cpu, &op, i->rm);
	LEAVE(cpu, i);
}

/* TLBI. */

static void op_tlbi_all(struct cpu *cpu, const struct insn *i)
{
	if (!only_el1(cpu, i)) {
		return;
	}
	struct invalidate_op op = {.kind = INVALIDATE_TLB};
	invalidate_do(cpu, &op, i->rm);
	LEAVE(cpu, i);
}

static uint16_t operand_asid(const struct cpu *cpu, uint64_t operand)
{
	return (uint16_t)(operand >> 48) & (cpu->sys->tcr >> 36 & 1 ? 0xffff : 0xff);
}

static void op_tlbi_asid(struct cpu *cpu, const struct insn *i)
{
	if (!only_el1(cpu, i)) {
		return;
	}
	struct invalidate_op op = {.kind = INVALIDATE_TLB_ASID,
				   .asid = operand_asid(cpu, cpu->x[i->rd])};
	invalidate_do(cpu, &op, i->rm);
	LEAVE(cpu, i);
}

/* imm: any ASID. */
static void op_tlbi_va(struct cpu *cpu, const struct insn *i)
{
	if (!only_el1(cpu, i)) {
		return;
	}
	uint64_t operand = cpu->x[i->rd];
	struct invalidate_op op = {
		.kind = INVALIDATE_TLB_RANGE,
		.start = (uint64_t)((int64_t)(operand << 20) >> 8), /* VA[55:12] */
		.len = GUEST_PAGE,
		.asid = operand_asid(cpu, operand),
		.any_asid = i->imm,
	};
	invalidate_do(cpu, &op, i->rm);
	LEAVE(cpu, i);
}

/* FEAT_TLBIRANGE: BaseADDR 36:0, NUM 43:39, SCALE 45:44, TG 47:46 (Arm ARM D24.2, TLBI RVAE1). */
static void op_tlbi_range(struct cpu *cpu, const struct insn *i)
{
	static const uint8_t granule_bits[4] = {12, 12, 14, 16};
	if (!only_el1(cpu, i)) {
		return;
	}
	uint64_t operand = cpu->x[i->rd];
	unsigned bits = granule_bits[operand >> 46 & 3], scale = operand >> 44 & 3;
	uint64_t pages = ((operand >> 39 & 0x1f) + 1) << (5 * scale + 1);
	struct invalidate_op op = {
		.kind = INVALIDATE_TLB_RANGE,
		.start = (uint64_t)((int64_t)(operand << 27) >> 27) << bits,
		.len = pages << bits,
		.asid = operand_asid(cpu, operand),
		.any_asid = i->imm,
	};
	if (operand >> 46 & 3) { /* TG = 0 is reserved: nothing */
		invalidate_do(cpu, &op, i->rm);
	}
	LEAVE(cpu, i);
}

/* AT. */

#define PAR_RES1 (UINT64_C(1) << 11)

static uint64_t par_of(struct cpu *cpu, uint64_t va, enum mmu_regime regime, enum mmu_access access)
{
	struct mmu_page page;
	int fault = mmu_walk(cpu, va, regime, access, false, false, &page);
	if (fault != MMU_OK) {
		return 1 | (uint64_t)fault << 1 | PAR_RES1;
	}
	return (page.pa & UINT64_C(0xfffffffff000)) | (uint64_t)page.attr << 56 |
	       (uint64_t)page.shareability << 7 | UINT64_C(1) << 9 | PAR_RES1;
}

/* rm: bit 0 write, bit 1 as EL0, bit 2 obey PAN. */
static void op_at(struct cpu *cpu, const struct insn *i)
{
	if (!only_el1(cpu, i)) {
		return;
	}
	enum mmu_regime regime = i->rm & 2		     ? MMU_EL0
				 : (i->rm & 4) && cpu->pan ? MMU_EL1_PAN
							     : MMU_EL1;
	cpu->sys->par = par_of(cpu, cpu->x[i->rd], regime, i->rm & 1 ? MMU_WRITE : MMU_READ);
	NEXT(cpu, i);
}

struct sysop {
	uint16_t number;
	insn_fn fn;
	uint8_t rm;
	uint8_t imm;
	uint8_t need; /* enum sysreg_need */
};

/* The forms of one TLBI: local, inner and outer shareable; @local, @inner and @outer are CRm. */
#define TLBI(op2, fn, imm)                                                                         \
	{SYSOP(0, 8, 7, op2), fn, 0, imm, NEED_NOTHING},                                           \
		{SYSOP(0, 8, 3, op2), fn, 1, imm, NEED_NOTHING},                                   \
		{SYSOP(0, 8, 1, op2), fn, 1, imm, NEED_TLBI_OS}
#define TLBI_RANGE(op2, imm)                                                                       \
	{SYSOP(0, 8, 6, op2), op_tlbi_range, 0, imm, NEED_TLBI_RANGE},                             \
		{SYSOP(0, 8, 2, op2), op_tlbi_range, 1, imm, NEED_TLBI_RANGE},                     \
		{SYSOP(0, 8, 5, op2), op_tlbi_range, 1, imm, NEED_TLBI_RANGE}

static const struct sysop sysops[] = {
	{SYSOP(0, 7, 1, 0), op_ic_all, 1, 0},	  /* IC IALLUIS */
	{SYSOP(0, 7, 5, 0), op_ic_all, 0, 0},	  /* IC IALLU */
	{SYSOP(3, 7, 5, 1), op_ic_ivau, 0, 0},	  /* IC IVAU */
	{SYSOP(0, 7, 6, 1), op_dc_ivac, 0, 0},	  /* DC IVAC */
	{SYSOP(0, 7, 6, 2), op_dc_set_way, 0, 0}, /* DC ISW */
	{SYSOP(0, 7, 10, 2), op_dc_set_way, 0, 0}, /* DC CSW */
	{SYSOP(0, 7, 14, 2), op_dc_set_way, 0, 0}, /* DC CISW */
	{SYSOP(3, 7, 4, 1), op_dc_zva, 0, 0},
	{SYSOP(3, 7, 10, 1), op_dc, 0, 0}, /* DC CVAC */
	{SYSOP(3, 7, 11, 1), op_dc, 0, 0}, /* DC CVAU */
	{SYSOP(3, 7, 12, 1), op_dc, 0, 0, NEED_CVAP}, /* DC CVAP */
	{SYSOP(3, 7, 14, 1), op_dc, 0, 0}, /* DC CIVAC */
	{SYSOP(0, 7, 8, 0), op_at, 0, 0},  /* AT S1E1R */
	{SYSOP(0, 7, 8, 1), op_at, 1, 0},
	{SYSOP(0, 7, 8, 2), op_at, 2, 0},
	{SYSOP(0, 7, 8, 3), op_at, 3, 0},
	{SYSOP(0, 7, 9, 0), op_at, 4, 0, NEED_PAN2}, /* AT S1E1RP */
	{SYSOP(0, 7, 9, 1), op_at, 5, 0, NEED_PAN2},
	TLBI(0, op_tlbi_all, 0),
	TLBI(1, op_tlbi_va, 0),
	TLBI(2, op_tlbi_asid, 0),
	TLBI(3, op_tlbi_va, 1),
	TLBI(5, op_tlbi_va, 0),
	TLBI(7, op_tlbi_va, 1),
	TLBI_RANGE(1, 0),
	TLBI_RANGE(3, 1),
	TLBI_RANGE(5, 0),
	TLBI_RANGE(7, 1),
};

void sysop_decode(struct cpu *cpu, struct insn *i)
{
	i->fn = op_undefined;
	if (i->raw >> 21 & 1) {
		return; /* SYSL: none exist */
	}
	for (size_t n = 0; n < sizeof(sysops) / sizeof(sysops[0]); n++) {
		if (sysops[n].number == (i->raw >> 5 & 0x3fff) && sysreg_has(cpu->sys, sysops[n].need)) {
			i->fn = sysops[n].fn;
			i->rm = sysops[n].rm;
			i->imm = sysops[n].imm;
		}
	}
}
