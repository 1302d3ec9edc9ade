/* SPDX-License-Identifier: Apache-2.0 */
/* bare_debug.c - breakpoints and watchpoints (software step is in bare_exception.c) */
#include "bare.h"

#define EC(esr)	     ((esr) >> 26 & 0x3f)
#define WNR	     (1ul << 6)
#define ESR(ec, iss) ((uint64_t)(ec) << 26 | 1ul << 25 | (iss))
#define SVC(imm)     ESR(0x15, imm)
#define MASKED	     0x3c0ul

/* MDSCR_EL1 */
#define KDE (1ul << 13)
#define MDE (1ul << 15)

/* DBGBCR and DBGWCR */
#define ENABLE	1ul
#define AT_EL1	(1ul << 1)
#define AT_EL0	(1ul << 2)
#define ALL_BAS (0xful << 5)
#define LOADS	(1ul << 3)
#define STORES	(2ul << 3)
#define BAS(b)	((uint64_t)(b) << 5)
#define LBN(n)	((uint64_t)(n) << 16)
#define LINKED	(1ul << 20)
#define CONTEXT (2ul << 20)
#define MASK(n) ((uint64_t)(n) << 24)

static void debug_on(uint64_t mdscr)
{
	mmu_on();
	*pte(0) = page_alloc(1) | PTE_RW | PTE_USER;
	*pte(1) = page_alloc(1) | PTE_RW | PTE_USER;
	flush_all();
	WRITE_SYSREG(oslar_el1, 0);
	WRITE_SYSREG(mdscr_el1, mdscr);
	trap_clear();
}

static void debug_off(void)
{
	WRITE_SYSREG(mdscr_el1, 0);
}

/* user_steps: add; b .+8; nop; add; svc #0x52 */
static void breakpoint_stops_before_the_instruction(void)
{
	debug_on(MDE);
	uint64_t pc = user_entry(user_steps);
	WRITE_SYSREG(dbgbvr1_el1, pc + 12);
	WRITE_SYSREG(dbgbcr1_el1, ENABLE | AT_EL0 | ALL_BAS);
	uint64_t x0 = user_call(pc, 10, 0, MASKED);
	CHECK_EQ(trap.esr, ESR(0x30, 0x22));
	CHECK_EQ(trap.elr, pc + 12);
	CHECK_EQ(trap.vector, 0x400);
	CHECK_EQ(x0, 11);
	/* Nothing is passed that was not there, and again. */
	user_call(pc + 12, 10, 0, MASKED);
	CHECK_EQ(trap.esr, ESR(0x30, 0x22));
	WRITE_SYSREG(dbgbvr1_el1, pc + 8);
	x0 = user_call(pc, 10, 0, MASKED);
	CHECK_EQ(trap.esr, SVC(0x52));
	CHECK_EQ(x0, 13);
	debug_off();
}

static void breakpoint_needs_all_its_switches(void)
{
	debug_on(MDE);
	uint64_t pc = user_entry(user_steps);
	WRITE_SYSREG(dbgbvr0_el1, pc);
	WRITE_SYSREG(dbgbcr0_el1, AT_EL0 | ALL_BAS);
	user_call(pc, 0, 0, MASKED);
	CHECK_EQ(trap.esr, SVC(0x52));
	WRITE_SYSREG(dbgbcr0_el1, ENABLE | AT_EL1 | ALL_BAS);
	user_call(pc, 0, 0, MASKED);
	CHECK_EQ(trap.esr, SVC(0x52));
	WRITE_SYSREG(dbgbcr0_el1, ENABLE | AT_EL0 | 2ul << 14 | ALL_BAS); /* Secure */
	user_call(pc, 0, 0, MASKED);
	CHECK_EQ(trap.esr, SVC(0x52));
	WRITE_SYSREG(dbgbcr0_el1, ENABLE | AT_EL0 | ALL_BAS);
	WRITE_SYSREG(oslar_el1, 1);
	user_call(pc, 0, 0, MASKED);
	CHECK_EQ(trap.esr, SVC(0x52));
	WRITE_SYSREG(oslar_el1, 0);
	WRITE_SYSREG(mdscr_el1, 0);
	user_call(pc, 0, 0, MASKED);
	CHECK_EQ(trap.esr, SVC(0x52));
	WRITE_SYSREG(mdscr_el1, MDE);
	user_call(pc, 0, 0, MASKED);
	CHECK_EQ(trap.esr, ESR(0x30, 0x22));
	debug_off();
}

static void breakpoint_at_el1_obeys_kde_and_d(void)
{
	uint64_t word = 42;
	debug_on(MDE);
	WRITE_SYSREG(dbgbvr0_el1, (uint64_t)load64);
	WRITE_SYSREG(dbgbcr0_el1, ENABLE | AT_EL1 | ALL_BAS);
	ASM("msr daifclr, #8");
	CHECK_EQ(load64((uint64_t)&word), 42);
	ASM("msr daifset, #8");
	WRITE_SYSREG(mdscr_el1, MDE | KDE);
	CHECK_EQ(load64((uint64_t)&word), 42);
	CHECK_EQ(trap.count, 0);
	ASM("msr daifclr, #8");
	CHECK_EQ(load64((uint64_t)&word), (uint64_t)&word); /* skipped */
	CHECK_EQ(trap.count, 1);
	CHECK_EQ(trap.esr, ESR(0x31, 0x22));
	CHECK_EQ(trap.elr, (uint64_t)load64);
	ASM("msr daifset, #8");
	debug_off();
}

static void linked_breakpoint_needs_its_context(void)
{
	debug_on(MDE);
	uint64_t pc = user_entry(user_steps);
	WRITE_SYSREG(contextidr_el1, 0x1234);
	WRITE_SYSREG(dbgbvr5_el1, 0x1234);
	WRITE_SYSREG(dbgbcr5_el1, ENABLE | AT_EL0 | ALL_BAS | CONTEXT | LINKED);
	WRITE_SYSREG(dbgbvr0_el1, pc + 4);
	WRITE_SYSREG(dbgbcr0_el1, ENABLE | AT_EL0 | ALL_BAS | LINKED | LBN(5));
	user_call(pc, 0, 0, MASKED);
	CHECK_EQ(trap.esr, ESR(0x30, 0x22));
	CHECK_EQ(trap.elr, pc + 4);
	WRITE_SYSREG(contextidr_el1, 0x1235);
	user_call(pc, 0, 0, MASKED);
	CHECK_EQ(trap.esr, SVC(0x52));
	/* A context breakpoint by itself matches everywhere. */
	WRITE_SYSREG(dbgbcr0_el1, 0);
	WRITE_SYSREG(dbgbvr5_el1, 0x1235);
	WRITE_SYSREG(dbgbcr5_el1, ENABLE | AT_EL0 | ALL_BAS | CONTEXT);
	user_call(pc + 4, 0, 0, MASKED);
	CHECK_EQ(trap.esr, ESR(0x30, 0x22));
	CHECK_EQ(trap.elr, pc + 4);
	/* Others than the last know no contexts. */
	WRITE_SYSREG(dbgbcr4_el1, ENABLE | CONTEXT);
	CHECK_EQ(READ_SYSREG(dbgbcr4_el1), ENABLE | ALL_BAS);
	debug_off();
}

static void step_and_breakpoint_work_together(void)
{
	debug_on(MDE | 1);
	uint64_t pc = user_entry(user_steps), spsr = MASKED | 1ul << 21;
	WRITE_SYSREG(dbgbvr0_el1, pc + 4);
	WRITE_SYSREG(dbgbcr0_el1, ENABLE | AT_EL0 | ALL_BAS);
	user_call(pc, 0, 0, spsr);
	CHECK_EQ(EC(trap.esr), 0x32);
	CHECK_EQ(trap.elr, pc + 4);
	user_call(pc + 4, 0, 0, spsr);
	CHECK_EQ(trap.esr, ESR(0x30, 0x22));
	CHECK_EQ(trap.elr, pc + 4);
	debug_off();
}

static void watch(uint64_t va, uint64_t control)
{
	WRITE_SYSREG(dbgwvr2_el1, va);
	WRITE_SYSREG(dbgwcr2_el1, control);
	trap_clear();
}

static void watchpoint_reports_the_first_watched_byte(void)
{
	debug_on(MDE);
	uint64_t va = TEST_VA + 0x100, load = user_entry(user_load), store = user_entry(user_store);
	user_call(load, va, 0, MASKED); /* the page is in the tables now */
	watch(va, ENABLE | AT_EL0 | LOADS | STORES | BAS(0xff));
	user_call(load, va, 0, MASKED);
	CHECK_EQ(trap.esr, ESR(0x34, 0x22));
	CHECK_EQ(trap.far, va);
	CHECK_EQ(trap.elr, load);
	watch(va, ENABLE | AT_EL0 | LOADS | STORES | BAS(0x60));
	user_call(load, va, 0, MASKED);
	CHECK_EQ(trap.far, va + 5);
	user_call(load, va - 3, 0, MASKED); /* up to byte 4 */
	CHECK_EQ(trap.esr, SVC(0x51));
	user_call(load, va - 2, 0, MASKED);
	CHECK_EQ(trap.esr, ESR(0x34, 0x22));
	user_call(store, va, ~0ul, MASKED);
	CHECK_EQ(trap.esr, ESR(0x34, 0x22 | WNR));
	CHECK_EQ(load64(va), 0); /* not done; EL1 is not watched */
	watch(va, ENABLE | AT_EL0 | STORES | BAS(0xff));
	user_call(load, va, 0, MASKED);
	CHECK_EQ(trap.esr, SVC(0x51));
	watch(va + 4, ENABLE | AT_EL0 | LOADS | BAS(0x0f)); /* a word address */
	user_call(load, va - 4, 0, MASKED);
	CHECK_EQ(trap.esr, SVC(0x51));
	user_call(load, va, 0, MASKED);
	CHECK_EQ(trap.far, va + 4);
	watch(va, 0);
	user_call(store, va, 7, MASKED);
	CHECK_EQ(trap.esr, SVC(0x51));
	CHECK_EQ(load64(va), 7);
	debug_off();
}

static void watchpoint_by_mask_covers_its_range(void)
{
	debug_on(MDE);
	uint64_t va = TEST_VA + 0x100, load = user_entry(user_load);
	watch(va, ENABLE | AT_EL0 | LOADS | BAS(0xff) | MASK(8));
	user_call(load, va - 8, 0, MASKED);
	CHECK_EQ(trap.esr, SVC(0x51));
	user_call(load, va - 4, 0, MASKED);
	CHECK_EQ(trap.far, va);
	user_call(load, va + 0xff, 0, MASKED);
	CHECK_EQ(trap.far, va + 0xff);
	user_call(load, va + 0x100, 0, MASKED);
	CHECK_EQ(trap.esr, SVC(0x51));
	/* In the second page of an access. */
	watch(TEST_VA + 0x1000, ENABLE | AT_EL0 | LOADS | BAS(1));
	user_call(load, TEST_VA + 0xffc, 0, MASKED);
	CHECK_EQ(trap.esr, ESR(0x34, 0x22));
	CHECK_EQ(trap.far, TEST_VA + 0x1000);
	debug_off();
}

static void watchpoint_at_el1_sees_every_kind_of_access(void)
{
	debug_on(MDE | KDE);
	uint64_t va = TEST_VA + 0x200;
	ASM("msr daifclr, #8");
	watch(va + 8, ENABLE | AT_EL1 | LOADS | STORES | BAS(0xff));
	store_pair(va, 1, 2);
	CHECK_EQ(trap.esr, ESR(0x35, 0x22 | WNR));
	CHECK_EQ(trap.far, va + 8);
	swap(va + 8, 5);
	CHECK_EQ(EC(trap.esr), 0x35);
	CHECK_EQ(trap.count, 2);
	load_exclusive(va + 8);
	load_acquire(va + 8);
	CHECK_EQ(trap.esr, ESR(0x35, 0x22));
	CHECK_EQ(trap.count, 4);
	zero_line(va);
	CHECK_EQ(trap.esr, ESR(0x35, 0x22 | WNR));
	CHECK_EQ(trap.far, va + 8);
	CHECK_EQ(trap.count, 5);
	/* STTR is an access of EL0. */
	store_user(va + 8, 1);
	CHECK_EQ(trap.count, 5);
	watch(va + 8, ENABLE | AT_EL0 | STORES | BAS(0xff));
	store64(va + 8, 1);
	CHECK_EQ(trap.count, 0);
	store_user(va + 8, 2);
	CHECK_EQ(trap.esr, ESR(0x35, 0x22 | WNR));
	ASM("msr daifset, #8");
	trap_clear();
	store_user(va + 8, 2);
	CHECK_EQ(trap.count, 0);
	debug_off();
}

static void linked_watchpoint_needs_its_context(void)
{
	debug_on(MDE);
	uint64_t va = TEST_VA + 0x300, load = user_entry(user_load);
	WRITE_SYSREG(contextidr_el1, 7);
	WRITE_SYSREG(dbgbvr5_el1, 7);
	WRITE_SYSREG(dbgbcr5_el1, ENABLE | AT_EL0 | ALL_BAS | CONTEXT | LINKED);
	watch(va, ENABLE | AT_EL0 | LOADS | BAS(0xff) | LINKED | LBN(5));
	user_call(load, va, 0, MASKED);
	CHECK_EQ(trap.esr, ESR(0x34, 0x22));
	WRITE_SYSREG(contextidr_el1, 8);
	user_call(load, va, 0, MASKED);
	CHECK_EQ(trap.esr, SVC(0x51));
	debug_off();
}

static void registers_are_as_many_as_dfr0_says(void)
{
	uint64_t dfr0 = READ_SYSREG(id_aa64dfr0_el1);
	CHECK_EQ(dfr0 >> 12 & 0xf, 5);
	CHECK_EQ(dfr0 >> 20 & 0xf, 3);
	CHECK_EQ(dfr0 >> 28 & 0xf, 0);
	trap_clear();
	WRITE_SYSREG(dbgbvr5_el1, ~0ul);
	CHECK_EQ(READ_SYSREG(dbgbvr5_el1), ~0ul);
	WRITE_SYSREG(dbgbvr4_el1, ~0ul);
	CHECK_EQ(READ_SYSREG(dbgbvr4_el1), ~3ul);
	WRITE_SYSREG(dbgwcr3_el1, ~0ul);
	CHECK_EQ(READ_SYSREG(dbgwcr3_el1), 0x1f1fffff);
	CHECK_EQ(trap.count, 0);
	READ_SYSREG(dbgbvr6_el1);
	READ_SYSREG(dbgwvr4_el1);
	CHECK_EQ(trap.count, 2);
	CHECK_EQ(trap.esr, ESR(0, 0));
}

TESTS(T(breakpoint_stops_before_the_instruction), T(breakpoint_needs_all_its_switches),
      T(breakpoint_at_el1_obeys_kde_and_d), T(linked_breakpoint_needs_its_context),
      T(step_and_breakpoint_work_together), T(watchpoint_reports_the_first_watched_byte),
      T(watchpoint_by_mask_covers_its_range), T(watchpoint_at_el1_sees_every_kind_of_access),
      T(linked_watchpoint_needs_its_context), T(registers_are_as_many_as_dfr0_says));
