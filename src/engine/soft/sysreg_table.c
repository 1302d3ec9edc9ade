/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysreg_table.c - the system registers: who may access them, and what that does
 *
 * How it works: one table has them all.  A register that is not in it is UNDEFINED, but for the identification space, which reads
 * as zero.
 * Threads: the vCPU thread.
 */
#include "engine/soft/sysreg.h"

#include "engine/soft/debug.h"
#include "engine/soft/exception.h"
#include "engine/soft/soft.h"
#include "engine/soft/sysreg_priv.h"

#define DAIF_MASK (0xfu << 6)

void sysreg_look_at_lines(struct cpu *cpu)
{
	if (atomic_load_explicit(&cpu->vcpu->lines, memory_order_relaxed)) {
		atomic_fetch_or(&cpu->pending, RUN_IRQ);
	}
	exception_update_step(cpu);
}

/* Registers with effects. */

#define SCTLR_RES1 UINT64_C(0x30400980)
#define SCTLR_RW                                                                                   \
	(SCTLR_M | SCTLR_A | SCTLR_C | SCTLR_SA | SCTLR_SA0 | SCTLR_UMA | SCTLR_I | SCTLR_DZE |     \
	 SCTLR_UCT | SCTLR_NTWI | SCTLR_NTWE | SCTLR_WXN | SCTLR_SPAN | SCTLR_UCI |   \
	 SCTLR_TSCXT)
#define SCTLR_PAUTH (SCTLR_ENIA | SCTLR_ENIB | SCTLR_ENDA | SCTLR_ENDB)

/* SPAN and TSCXT are RES1 where their features are not. */
static uint64_t sctlr_res1(const struct sysregs *sys)
{
	return SCTLR_RES1 | (sysreg_has(sys, NEED_PAN) ? 0 : SCTLR_SPAN) |
	       (sysreg_has(sys, NEED_SCXTNUM) ? 0 : SCTLR_TSCXT);
}

static void write_sctlr(struct cpu *cpu, uint64_t value)
{
	struct sysregs *sys = cpu->sys;
	uint64_t old = sys->sctlr, mask = SCTLR_RW;
	mask |= sys->isar1 & 0xff0 ? SCTLR_PAUTH : 0;
	mask |= sys->pfr1 & 0xf ? SCTLR_BT0 | SCTLR_BT1 : 0;
	mask |= sys->isar2 >> 16 & 0xf ? SCTLR_MSCEN : 0;
	sys->sctlr = (value & mask) | sctlr_res1(sys);
	if ((old ^ sys->sctlr) & (SCTLR_M | SCTLR_A | SCTLR_WXN)) {
		mmu_flush_all(cpu);
	}
}

static void write_cpacr(struct cpu *cpu, uint64_t value)
{
	cpu->sys->cpacr = value & 3 << 20;
	sysreg_update_traps(cpu);
}

static void write_ttbr0(struct cpu *cpu, uint64_t value)
{
	cpu->sys->ttbr0 = value;
	mmu_select_asid(cpu);
}

static void write_ttbr1(struct cpu *cpu, uint64_t value)
{
	cpu->sys->ttbr1 = value;
	mmu_select_asid(cpu);
}

/* All but RES0, HWU and fields of features that do not exist. */
#define TCR_RW	   UINT64_C(0x01800077ffffffbf)
#define TCR_HAFDBS (UINT64_C(3) << 39)
#define TCR_HPDS   (UINT64_C(3) << 41)

static void write_tcr(struct cpu *cpu, uint64_t value)
{
	struct sysregs *sys = cpu->sys;
	uint64_t mask = TCR_RW | (sys->isar1 & 0xff0 ? TCR_TBID0 | TCR_TBID1 : 0);
	mask |= sys->mmfr1 & 0xf ? TCR_HAFDBS : 0;
	mask |= sys->mmfr1 >> 12 & 0xf ? TCR_HPDS : 0;
	bool changed = sys->tcr != (value & mask);
	sys->tcr = value & mask;
	if (changed) {
		mmu_flush_all(cpu);
		mmu_select_asid(cpu);
	}
}

static void write_mair(struct cpu *cpu, uint64_t value)
{
	if (cpu->sys->mair != value) {
		cpu->sys->mair = value;
		mmu_flush_all(cpu);
	}
}

static uint64_t read_nzcv(struct cpu *cpu)
{
	return cpu->nzcv;
}

static void write_nzcv(struct cpu *cpu, uint64_t value)
{
	cpu->nzcv = value & 0xf0000000;
}

static uint64_t read_daif(struct cpu *cpu)
{
	return cpu->daif;
}

static void write_daif(struct cpu *cpu, uint64_t value)
{
	cpu->daif = value & DAIF_MASK;
	sysreg_look_at_lines(cpu);
}

bool sysreg_uma_allows(struct cpu *cpu)
{
	return cpu->sys->sctlr & SCTLR_UMA;
}

static uint64_t read_current_el(struct cpu *cpu)
{
	return (uint64_t)cpu->el << 2;
}

static uint64_t read_spsel(struct cpu *cpu)
{
	return cpu->spsel;
}

static void write_spsel(struct cpu *cpu, uint64_t value)
{
	exception_set_level(cpu, 1, value & 1);
}

static uint64_t read_pan(struct cpu *cpu)
{
	return (uint64_t)cpu->pan << 22;
}

static void write_pan(struct cpu *cpu, uint64_t value)
{
	cpu->pan = value >> 22 & 1;
	mmu_select(cpu);
}

uint64_t sysreg_read_fpcr(struct cpu *cpu)
{
	return cpu->fpcr;
}

static void write_fpcr(struct cpu *cpu, uint64_t value)
{
	cpu->fpcr = value & SYSREG_FPCR_RW;
}

uint64_t sysreg_read_fpsr(struct cpu *cpu)
{
	return cpu->fpsr;
}

static void write_fpsr(struct cpu *cpu, uint64_t value)
{
	cpu->fpsr = value & SYSREG_FPSR_RW;
}

static bool uct_allows(struct cpu *cpu)
{
	return cpu->sys->sctlr & SCTLR_UCT;
}

static bool tscxt_allows(struct cpu *cpu)
{
	return !(cpu->sys->sctlr & SCTLR_TSCXT);
}

static uint64_t read_dczid(struct cpu *cpu)
{
	bool prohibited = !cpu->el && !(cpu->sys->sctlr & SCTLR_DZE);
	return cpu->sys->dczid | (uint64_t)prohibited << 4;
}

/* 32 KiB of four ways at level 1, 1 MiB of 16 ways at level 2. */
static uint64_t read_ccsidr(struct cpu *cpu)
{
	enum { LINE_64 = 2 };
	switch (cpu->sys->csselr >> 1) {
	case 0:
		return 127 << 13 | 3 << 3 | LINE_64;
	case 1:
		return cpu->sys->csselr & 1 ? 0 : 1023 << 13 | 15 << 3 | LINE_64;
	default:
		return 0;
	}
}

static uint64_t read_isr(struct cpu *cpu)
{
	unsigned lines = atomic_load(&cpu->vcpu->lines);
	return (lines >> ENGINE_IRQ & 1) << 7 | (lines >> ENGINE_FIQ & 1) << 6;
}

static uint64_t read_zero(struct cpu *cpu)
{
	return 0;
}

static void write_nothing(struct cpu *cpu, uint64_t value)
{
}

static void write_mdscr(struct cpu *cpu, uint64_t value)
{
	cpu->sys->mdscr = value & 0xf001;
	debug_update(cpu);
}

static void write_oslar(struct cpu *cpu, uint64_t value)
{
	cpu->sys->oslar_locked = value & 1;
	debug_update(cpu);
}

static void write_osdlr(struct cpu *cpu, uint64_t value)
{
	cpu->sys->osdlr = value & 1;
	debug_update(cpu);
}

/* E, PMC, BAS (all of it: A64 has no shorter instructions), HMC, SSC, LBN, BT; only context breakpoints have all types. */
static void write_dbgbcr(struct cpu *cpu, unsigned n, uint64_t value)
{
	uint64_t types = n < SYSREG_BREAKPOINTS - SYSREG_CONTEXTS ? 1 << 20 : 0xf << 20;
	cpu->sys->dbgbcr[n] = (value & (0xfe007 | types)) | 0xf << 5;
	debug_update(cpu);
}

/* E, PAC, LSC, BAS, HMC, SSC, LBN, WT, MASK */
static void write_dbgwcr(struct cpu *cpu, unsigned n, uint64_t value)
{
	cpu->sys->dbgwcr[n] = value & 0x1f1fffff;
	debug_update(cpu);
}

#define DEBUG_CONTROL(kind, n)                                                                                         \
	static void write_##kind##n(struct cpu *cpu, uint64_t value)                                                   \
	{                                                                                                              \
		write_##kind(cpu, n, value);                                                                           \
	}
DEBUG_CONTROL(dbgbcr, 0)
DEBUG_CONTROL(dbgbcr, 1)
DEBUG_CONTROL(dbgbcr, 2)
DEBUG_CONTROL(dbgbcr, 3)
DEBUG_CONTROL(dbgbcr, 4)
DEBUG_CONTROL(dbgbcr, 5)
DEBUG_CONTROL(dbgwcr, 0)
DEBUG_CONTROL(dbgwcr, 1)
DEBUG_CONTROL(dbgwcr, 2)
DEBUG_CONTROL(dbgwcr, 3)

static uint64_t read_oslsr(struct cpu *cpu)
{
	return 1 << 3 | cpu->sys->oslar_locked << 1;
}

static uint64_t read_dbgclaimset(struct cpu *cpu)
{
	return 0xff;
}

static void write_dbgclaimset(struct cpu *cpu, uint64_t value)
{
	cpu->sys->dbgclaim |= value & 0xff;
}

static void write_dbgclaimclr(struct cpu *cpu, uint64_t value)
{
	cpu->sys->dbgclaim &= ~value;
}

/* Timers. */

static uint64_t read_cntfrq(struct cpu *cpu)
{
	return TIMER_HZ;
}

static bool cntkctl_has(struct cpu *cpu, unsigned bits)
{
	return cpu->sys->cntkctl & bits;
}

static bool counters_allowed(struct cpu *cpu)
{
	return cntkctl_has(cpu, 3);
}

static bool pct_allowed(struct cpu *cpu)
{
	return cntkctl_has(cpu, 1);
}

static bool vct_allowed(struct cpu *cpu)
{
	return cntkctl_has(cpu, 2);
}

static bool vtimer_allowed(struct cpu *cpu)
{
	return cntkctl_has(cpu, 1 << 8);
}

static bool ptimer_allowed(struct cpu *cpu)
{
	return cntkctl_has(cpu, 1 << 9);
}

#define TIMER_REGISTERS(prefix, kind)                                                              \
	static uint64_t read_##prefix##_ctl(struct cpu *cpu)                                       \
	{                                                                                          \
		return timer_read_ctl(cpu, kind);                                                  \
	}                                                                                          \
	static void write_##prefix##_ctl(struct cpu *cpu, uint64_t value)                          \
	{                                                                                          \
		timer_write_ctl(cpu, kind, value);                                                 \
	}                                                                                          \
	static uint64_t read_##prefix##_cval(struct cpu *cpu)                                      \
	{                                                                                          \
		return cpu->vcpu->timers.timer[kind].cval;                                         \
	}                                                                                          \
	static void write_##prefix##_cval(struct cpu *cpu, uint64_t value)                         \
	{                                                                                          \
		timer_write_cval(cpu, kind, value);                                                \
	}                                                                                          \
	static uint64_t read_##prefix##_tval(struct cpu *cpu)                                      \
	{                                                                                          \
		return (uint32_t)(cpu->vcpu->timers.timer[kind].cval - timer_count(cpu));          \
	}                                                                                          \
	static void write_##prefix##_tval(struct cpu *cpu, uint64_t value)                         \
	{                                                                                          \
		timer_write_cval(cpu, kind, timer_count(cpu) + (uint64_t)(int64_t)(int32_t)value); \
	}
TIMER_REGISTERS(cntv, TIMER_VIRTUAL)
TIMER_REGISTERS(cntp, TIMER_PHYSICAL)

#define REG ENGINE_SYSREG
#define STORED(reg, who, field)                                                                    \
	{.number = reg, .access = who, .plain = true, .offset = offsetof(struct sysregs, field),   \
	 .mask = UINT64_MAX}
#define MASKED(reg, who, field, bits)                                                              \
	{.number = reg, .access = who, .offset = offsetof(struct sysregs, field), .mask = bits}
#define SET(reg, who, field, writer)                                                               \
	{.number = reg, .access = who, .offset = offsetof(struct sysregs, field), .write = writer}
#define CALLED(reg, who, reader, writer)                                                           \
	{.number = reg, .access = who, .read = reader, .write = writer}
#define GATED(reg, who, reader, writer, gate)                                                      \
	{.number = reg, .access = who, .read = reader, .write = writer, .allowed = gate}
/* Value and control.  The value of a context breakpoint may be any number. */
#define BVR_BITS(n) (n < SYSREG_BREAKPOINTS - SYSREG_CONTEXTS ? ~UINT64_C(3) : UINT64_MAX)
#define BREAKPOINT(n)                                                                                                  \
	MASKED(REG(2, 0, 0, n, 4), RW1, dbgbvr[n], BVR_BITS(n)), SET(REG(2, 0, 0, n, 5), RW1, dbgbcr[n], write_dbgbcr##n)
#define WATCHPOINT(n)                                                                                                  \
	MASKED(REG(2, 0, 0, n, 6), RW1, dbgwvr[n], ~UINT64_C(3)), SET(REG(2, 0, 0, n, 7), RW1, dbgwcr[n], write_dbgwcr##n)
#define KEY(n, reg_lo, reg_hi) STORED(reg_lo, RW1, apkey[n][0]), STORED(reg_hi, RW1, apkey[n][1])

static const struct sysreg_info infos[] = {
	STORED(REG(3, 0, 0, 0, 0), R1, midr),
	STORED(REG(3, 0, 0, 0, 5), R1, mpidr),
	CALLED(REG(3, 0, 0, 0, 6), R1, read_zero, NULL), /* REVIDR */
	STORED(REG(3, 0, 0, 4, 0), R1, pfr0),
	STORED(REG(3, 0, 0, 4, 1), R1, pfr1),
	STORED(REG(3, 0, 0, 5, 0), R1, dfr0),
	STORED(REG(3, 0, 0, 6, 0), R1, isar0),
	STORED(REG(3, 0, 0, 6, 1), R1, isar1),
	STORED(REG(3, 0, 0, 6, 2), R1, isar2),
	STORED(REG(3, 0, 0, 7, 0), R1, mmfr0),
	STORED(REG(3, 0, 0, 7, 1), R1, mmfr1),
	STORED(REG(3, 0, 0, 7, 2), R1, mmfr2),
	CALLED(REG(3, 1, 0, 0, 0), R1, read_ccsidr, NULL),
	STORED(REG(3, 1, 0, 0, 1), R1, clidr),
	CALLED(REG(3, 1, 0, 0, 7), R1, read_zero, NULL), /* AIDR */
	MASKED(REG(3, 2, 0, 0, 0), RW1, csselr, 0xf),
	{.number = REG(3, 3, 0, 0, 1), .access = R1 | R0, .offset = offsetof(struct sysregs, ctr),
	 .allowed = uct_allows},
	CALLED(REG(3, 3, 0, 0, 7), R1 | R0, read_dczid, NULL),

	SET(REG(3, 0, 1, 0, 0), RW1, sctlr, write_sctlr),
	CALLED(REG(3, 0, 1, 0, 1), RW1, read_zero, write_nothing), /* ACTLR */
	SET(REG(3, 0, 1, 0, 2), RW1, cpacr, write_cpacr),
	SET(REG(3, 0, 2, 0, 0), RW1, ttbr0, write_ttbr0),
	SET(REG(3, 0, 2, 0, 1), RW1, ttbr1, write_ttbr1),
	SET(REG(3, 0, 2, 0, 2), RW1, tcr, write_tcr),
	MASKED(REG(3, 0, 4, 0, 0), RW1, spsr, 0xf07003df | 3 << 10 | 1 << 4),
	STORED(REG(3, 0, 4, 0, 1), RW1, elr),
	CALLED(REG(3, 0, 4, 2, 0), RW1, read_spsel, write_spsel),
	CALLED(REG(3, 0, 4, 2, 2), R1, read_current_el, NULL),
	{.number = REG(3, 0, 4, 2, 3), .access = RW1, .need = NEED_PAN, .read = read_pan, .write = write_pan},
	CALLED(REG(3, 3, 4, 2, 0), RW1 | RW0, read_nzcv, write_nzcv),
	GATED(REG(3, 3, 4, 2, 1), RW1 | RW0, read_daif, write_daif, sysreg_uma_allows),
	CALLED(REG(3, 3, 4, 4, 0), RW1 | RW0, sysreg_read_fpcr, write_fpcr),
	CALLED(REG(3, 3, 4, 4, 1), RW1 | RW0, sysreg_read_fpsr, write_fpsr),
	CALLED(REG(3, 0, 5, 1, 0), RW1, read_zero, write_nothing), /* AFSR0 */
	CALLED(REG(3, 0, 5, 1, 1), RW1, read_zero, write_nothing), /* AFSR1 */
	MASKED(REG(3, 0, 5, 2, 0), RW1, esr, UINT64_C(0x1fffffffff)),
	STORED(REG(3, 0, 6, 0, 0), RW1, far),
	STORED(REG(3, 0, 7, 4, 0), RW1, par),
	SET(REG(3, 0, 10, 2, 0), RW1, mair, write_mair),
	CALLED(REG(3, 0, 10, 3, 0), RW1, read_zero, write_nothing), /* AMAIR */
	MASKED(REG(3, 0, 12, 0, 0), RW1, vbar, ~UINT64_C(0x7ff)),
	CALLED(REG(3, 0, 12, 0, 1), R1, read_zero, NULL), /* RVBAR */
	CALLED(REG(3, 0, 12, 1, 0), R1, read_isr, NULL),
	MASKED(REG(3, 0, 13, 0, 1), RW1, contextidr, UINT32_MAX),
	STORED(REG(3, 0, 13, 0, 4), RW1, tpidr_el1),
	STORED(REG(3, 3, 13, 0, 2), RW1 | RW0, tpidr_el0),
	STORED(REG(3, 3, 13, 0, 3), RW1 | R0, tpidrro_el0),
	{.number = REG(3, 0, 13, 0, 7), .access = RW1, .plain = true, .need = NEED_SCXTNUM,
	 .offset = offsetof(struct sysregs, scxtnum_el1), .mask = UINT64_MAX},
	{.number = REG(3, 3, 13, 0, 7), .access = RW1 | RW0, .need = NEED_SCXTNUM, .offset = offsetof(struct sysregs, scxtnum_el0),
	 .mask = UINT64_MAX, .allowed = tscxt_allows},

	MASKED(REG(3, 0, 14, 1, 0), RW1, cntkctl, 0x203ff),
	GATED(REG(3, 3, 14, 0, 0), R1 | R0, read_cntfrq, NULL, counters_allowed),
	GATED(REG(3, 3, 14, 0, 1), R1 | R0, timer_count, NULL, pct_allowed),
	GATED(REG(3, 3, 14, 0, 2), R1 | R0, timer_count, NULL, vct_allowed),
	{.number = REG(3, 3, 14, 0, 5), .access = R1 | R0, .need = NEED_COUNTERS_SS, .read = timer_count,
	 .allowed = pct_allowed}, /* CNTPCTSS */
	{.number = REG(3, 3, 14, 0, 6), .access = R1 | R0, .need = NEED_COUNTERS_SS, .read = timer_count,
	 .allowed = vct_allowed}, /* CNTVCTSS */
	GATED(REG(3, 3, 14, 2, 0), RW1 | RW0, read_cntp_tval, write_cntp_tval, ptimer_allowed),
	GATED(REG(3, 3, 14, 2, 1), RW1 | RW0, read_cntp_ctl, write_cntp_ctl, ptimer_allowed),
	GATED(REG(3, 3, 14, 2, 2), RW1 | RW0, read_cntp_cval, write_cntp_cval, ptimer_allowed),
	GATED(REG(3, 3, 14, 3, 0), RW1 | RW0, read_cntv_tval, write_cntv_tval, vtimer_allowed),
	GATED(REG(3, 3, 14, 3, 1), RW1 | RW0, read_cntv_ctl, write_cntv_ctl, vtimer_allowed),
	GATED(REG(3, 3, 14, 3, 2), RW1 | RW0, read_cntv_cval, write_cntv_cval, vtimer_allowed),

	MASKED(REG(2, 0, 0, 0, 2), RW1, osdtrrx, UINT32_MAX),
	MASKED(REG(2, 0, 0, 2, 0), RW1, mdccint, 3 << 29),
	SET(REG(2, 0, 0, 2, 2), RW1, mdscr, write_mdscr),
	MASKED(REG(2, 0, 0, 3, 2), RW1, osdtrtx, UINT32_MAX),
	MASKED(REG(2, 0, 0, 6, 2), RW1, oseccr, UINT32_MAX),
	BREAKPOINT(0), BREAKPOINT(1), BREAKPOINT(2), BREAKPOINT(3), BREAKPOINT(4), BREAKPOINT(5),
	WATCHPOINT(0), WATCHPOINT(1), WATCHPOINT(2), WATCHPOINT(3),
	CALLED(REG(2, 0, 1, 0, 0), R1, read_zero, NULL), /* MDRAR */
	CALLED(REG(2, 0, 1, 0, 4), W1, NULL, write_oslar),
	CALLED(REG(2, 0, 1, 1, 4), R1, read_oslsr, NULL),
	SET(REG(2, 0, 1, 3, 4), RW1, osdlr, write_osdlr),
	CALLED(REG(2, 0, 1, 4, 4), RW1, read_zero, write_nothing), /* DBGPRCR */
	CALLED(REG(2, 0, 7, 8, 6), RW1, read_dbgclaimset, write_dbgclaimset),
	SET(REG(2, 0, 7, 9, 6), RW1, dbgclaim, write_dbgclaimclr),
	CALLED(REG(2, 0, 7, 14, 6), R1, read_zero, NULL), /* DBGAUTHSTATUS */
	CALLED(REG(2, 3, 0, 1, 0), R1 | R0, read_zero, NULL), /* MDCCSR */
	CALLED(REG(2, 3, 0, 4, 0), RW1 | RW0, read_zero, write_nothing), /* DBGDTR */
	CALLED(REG(2, 3, 0, 5, 0), RW1 | RW0, read_zero, write_nothing), /* DBGDTRRX, TX */
};

static const struct sysreg_info key_infos[] = {
	KEY(KEY_IA, REG(3, 0, 2, 1, 0), REG(3, 0, 2, 1, 1)),
	KEY(KEY_IB, REG(3, 0, 2, 1, 2), REG(3, 0, 2, 1, 3)),
	KEY(KEY_DA, REG(3, 0, 2, 2, 0), REG(3, 0, 2, 2, 1)),
	KEY(KEY_DB, REG(3, 0, 2, 2, 2), REG(3, 0, 2, 2, 3)),
	KEY(KEY_GA, REG(3, 0, 2, 3, 0), REG(3, 0, 2, 3, 1)),
};

/* op0=3 op1=0 CRn=0 CRm=1..7: what is not known there reads as zero. */
static const struct sysreg_info id_space = CALLED(0, R1, read_zero, NULL);

static const struct sysreg_info *find_in(const struct sysreg_info *table, size_t count, uint32_t number)
{
	for (size_t n = 0; n < count; n++) {
		if (table[n].number == number) {
			return &table[n];
		}
	}
	return NULL;
}

const struct sysreg_info *sysreg_find(const struct cpu *cpu, uint32_t number)
{
	const struct sysreg_info *info = find_in(infos, sizeof(infos) / sizeof(infos[0]), number);
	if (!info && cpu->sys->isar1 & 0xff0) {
		info = find_in(key_infos, sizeof(key_infos) / sizeof(key_infos[0]), number);
	}
	if (info && !sysreg_has(cpu->sys, info->need)) {
		info = NULL;
	}
	if (!info && number >= REG(3, 0, 0, 1, 0) && number <= REG(3, 0, 0, 7, 7)) {
		return &id_space;
	}
	return info;
}

void sysreg_reset(struct cpu *cpu)
{
	struct sysregs *sys = cpu->sys;
	memset(sys, 0, offsetof(struct sysregs, mpidr));
	sys->sctlr = SCTLR_RES1 | SCTLR_SPAN | SCTLR_TSCXT;
	sys->oslar_locked = 1;
	sysreg_update_traps(cpu);
}
