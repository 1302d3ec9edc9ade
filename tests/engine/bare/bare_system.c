/* SPDX-License-Identifier: Apache-2.0 */
/* bare_system.c - system registers, timers, waiting, and code that changes */
#include "bare.h"

#define UNDEFINED (1ul << 25)

static unsigned irqs;
static uint64_t irq_vector;

void on_irq(void)
{
	irqs++;
	irq_vector = trap.vector;
	WRITE_SYSREG(cntv_ctl_el0, 0);
	WRITE_SYSREG(cntp_ctl_el0, 0);
	device_write(DEVICE_LINE, 0);
}

static void id_registers_say_what_there_is(void)
{
	trap_clear();
	CHECK_EQ(READ_SYSREG(midr_el1), 0x000f0010);
	CHECK_EQ(READ_SYSREG(mpidr_el1), 0x80000000);
	CHECK_EQ(READ_SYSREG(id_aa64pfr0_el1) & 0xffff, 0x0011);
	CHECK_EQ(READ_SYSREG(id_aa64pfr1_el1), 0);
	CHECK_EQ(READ_SYSREG(id_aa64mmfr0_el1) & 0xfffffff, 0x0100025);
	CHECK_EQ(READ_SYSREG(id_aa64mmfr1_el1), 0x201002);
	CHECK_EQ(READ_SYSREG(id_aa64mmfr2_el1), 1ul << 60);
	CHECK_EQ(READ_SYSREG(id_aa64isar1_el1) & 0xff0, 0); /* no PAuth unless asked for */
	CHECK_EQ(READ_SYSREG(ctr_el0), 0x9444c004);
	CHECK_EQ(READ_SYSREG(cntfrq_el0), 62500000);
	CHECK_EQ(trap.count, 0);
}

static void the_identification_space_reads_as_zero(void)
{
	trap_clear();
	CHECK_EQ(READ_SYSREG(s3_0_c0_c1_0), 0);
	CHECK_EQ(READ_SYSREG(s3_0_c0_c3_5), 0);
	CHECK_EQ(READ_SYSREG(s3_0_c0_c4_7), 0);
	CHECK_EQ(READ_SYSREG(s3_0_c0_c6_3), 0);
	CHECK_EQ(READ_SYSREG(s3_0_c0_c7_7), 0);
	CHECK_EQ(trap.count, 0);
}

static void what_does_not_exist_is_undefined(void)
{
	trap_clear();
	(void)READ_SYSREG(s3_3_c9_c12_0); /* PMCR_EL0 */
	CHECK_EQ(trap.esr, UNDEFINED);
	(void)READ_SYSREG(s3_0_c2_c1_0); /* APIAKeyLo_EL1 */
	(void)READ_SYSREG(s3_4_c1_c1_0); /* HCR_EL2 */
	(void)READ_SYSREG(s3_0_c15_c0_0);
	WRITE_SYSREG(s3_0_c0_c0_0, 0); /* MIDR_EL1 is read-only */
	WRITE_SYSREG(s3_4_c4_c1_0, 0); /* SP_EL1 */
	ASM("tlbi alle1");
	CHECK_EQ(trap.count, 7);
}

static void icc_registers_go_to_the_host(void)
{
	trap_clear();
	CHECK_EQ(READ_SYSREG(s3_0_c4_c6_0), 0xa5);
	WRITE_SYSREG(s3_0_c4_c6_0, 1);
	CHECK_EQ(trap.count, 0);
	(void)READ_SYSREG(s3_0_c12_c12_0);
	CHECK_EQ(trap.esr, UNDEFINED);
	CHECK_EQ(trap.count, 1);
}

static void pstate_registers(void)
{
	trap_clear();
	CHECK_EQ(READ_SYSREG(CurrentEL), 4);
	CHECK_EQ(READ_SYSREG(daif), 0x3c0);
	CHECK_EQ(READ_SYSREG(spsel), 1);
	ASM("msr daifclr, #8");
	CHECK_EQ(READ_SYSREG(daif), 0x1c0);
	WRITE_SYSREG(daif, 0x3c0);
	WRITE_SYSREG(sp_el0, 0x1230);
	uint64_t sp, other;
	__asm__ volatile("mov x9, sp\n\tmsr spsel, #0\n\tmov %0, sp\n\tmrs %1, spsel\n\tmsr spsel, #1\n\tmov sp, x9"
			 : "=r"(sp), "=r"(other)::"x9", "memory");
	CHECK_EQ(sp, 0x1230);
	CHECK_EQ(other, 0);
	/* SP_EL0 is no register while it is the stack pointer. */
	__asm__ volatile("mov x9, sp\n\tmsr sp_el0, x9\n\tmsr spsel, #0\n\tmrs x10, sp_el0\n\tmsr spsel, #1" ::
				 : "x9", "x10", "memory");
	CHECK_EQ(trap.count, 1);
	CHECK_EQ(trap.esr, UNDEFINED);
}

static void written_registers_keep_the_bits_that_exist(void)
{
	WRITE_SYSREG(vbar_el1, (uint64_t)vectors | 0x7ff);
	CHECK_EQ(READ_SYSREG(vbar_el1), (uint64_t)vectors);
	WRITE_SYSREG(tpidr_el0, ~0ul);
	CHECK_EQ(READ_SYSREG(tpidr_el0), ~0ul);
	WRITE_SYSREG(contextidr_el1, ~0ul);
	CHECK_EQ(READ_SYSREG(contextidr_el1), 0xffffffff);
	uint64_t sctlr = READ_SYSREG(sctlr_el1);
	CHECK_EQ(sctlr & 0x30400980, 0x30400980);
	WRITE_SYSREG(sctlr_el1, sctlr | 1 << 25 | 1 << 24); /* no big endian */
	CHECK_EQ(READ_SYSREG(sctlr_el1), sctlr);
	WRITE_SYSREG(oslar_el1, 0);
	CHECK_EQ(READ_SYSREG(oslsr_el1), 8);
	WRITE_SYSREG(oslar_el1, 1);
	CHECK_EQ(READ_SYSREG(oslsr_el1), 10);
	WRITE_SYSREG(dbgbvr1_el1, 0x1234);
	CHECK_EQ(READ_SYSREG(dbgbvr1_el1), 0x1234);
}

static void the_counter_counts(void)
{
	uint64_t before = READ_SYSREG(cntvct_el0), after;
	do {
		after = READ_SYSREG(cntvct_el0);
	} while (after < before + 62500);
	CHECK(READ_SYSREG(cntpct_el0) >= after);
	CHECK(READ_SYSREG(cntpct_el0) - after < 62500000);
}

static void the_virtual_timer_interrupts(void)
{
	trap_clear();
	irqs = 0;
	uint64_t start = READ_SYSREG(cntvct_el0);
	WRITE_SYSREG(cntv_cval_el0, start + 3600 * 62500000ul);
	WRITE_SYSREG(cntv_ctl_el0, 1);
	CHECK_EQ(READ_SYSREG(cntv_ctl_el0), 1);
	WRITE_SYSREG(cntv_cval_el0, start + 62500); /* 1 ms */
	ASM("msr daifclr, #2");
	while (!*(volatile unsigned *)&irqs) {
	}
	CHECK_EQ(irq_vector, 0x280);
	CHECK(READ_SYSREG(cntvct_el0) >= start + 62500);
	ASM("msr daifset, #15");
	CHECK_EQ(READ_SYSREG(isr_el1), 0);
}

/* A deadline that passes while the timer is being set must neither be too late for now nor too early for later. */
static void a_timer_that_passes_while_set_interrupts(void)
{
	for (unsigned i = 0; i < 5000; i++) {
		*(volatile unsigned *)&irqs = 0;
		WRITE_SYSREG(cntv_ctl_el0, 1);
		uint64_t start = READ_SYSREG(cntvct_el0);
		WRITE_SYSREG(cntv_cval_el0, start + i % 100);
		ASM("msr daifclr, #2");
		while (!*(volatile unsigned *)&irqs && READ_SYSREG(cntvct_el0) - start < 2 * 62500000) {
		}
		ASM("msr daifset, #15");
		if (!*(volatile unsigned *)&irqs) {
			CHECK_EQ(i, 5000);
			WRITE_SYSREG(cntv_ctl_el0, 0);
			return;
		}
	}
}

static void the_physical_timer_interrupts(void)
{
	irqs = 0;
	WRITE_SYSREG(cntp_tval_el0, 6250);
	WRITE_SYSREG(cntp_ctl_el0, 1);
	ASM("msr daifclr, #3");
	while (!*(volatile unsigned *)&irqs) {
	}
	CHECK_EQ(irq_vector, 0x300); /* the test machine wires it to FIQ */
	ASM("msr daifset, #15");
}

static void timer_status_and_mask(void)
{
	WRITE_SYSREG(cntv_cval_el0, 0);
	WRITE_SYSREG(cntv_ctl_el0, 3);
	CHECK_EQ(READ_SYSREG(cntv_ctl_el0), 7); /* passed, masked */
	CHECK_EQ(READ_SYSREG(isr_el1), 0);
	WRITE_SYSREG(cntv_ctl_el0, 1);
	CHECK_EQ(READ_SYSREG(isr_el1), 0x80);
	WRITE_SYSREG(cntv_tval_el0, 1000000000);
	CHECK_EQ(READ_SYSREG(isr_el1), 0);
	CHECK_EQ(READ_SYSREG(cntv_ctl_el0), 1);
	CHECK(READ_SYSREG(cntv_tval_el0) <= 1000000000);
	CHECK(READ_SYSREG(cntv_tval_el0) > 900000000);
	WRITE_SYSREG(cntv_tval_el0, 0xffffffff); /* -1: in the past */
	CHECK_EQ(READ_SYSREG(cntv_ctl_el0), 5);
	WRITE_SYSREG(cntv_ctl_el0, 0);
	CHECK_EQ(READ_SYSREG(isr_el1), 0);
}

static void wfi_sleeps_until_the_timer(void)
{
	uint64_t start = READ_SYSREG(cntvct_el0);
	WRITE_SYSREG(cntv_cval_el0, start + 1250000); /* 20 ms */
	WRITE_SYSREG(cntv_ctl_el0, 1);
	ASM("wfi"); /* masked interrupts wake as well */
	uint64_t slept = READ_SYSREG(cntvct_el0) - start;
	CHECK(slept >= 1250000);
	CHECK(slept < 62500000);
	CHECK_EQ(READ_SYSREG(isr_el1), 0x80);
	ASM("wfi"); /* one is pending: does not sleep */
	WRITE_SYSREG(cntv_ctl_el0, 0);
}

static void wfe_does_not_hang(void)
{
	ASM("sev\n\twfe\n\tsevl\n\twfe\n\twfe\n\tyield");
}

typedef uint64_t (*function)(void);

static void write_function(uint64_t page, unsigned value)
{
	((volatile uint32_t *)page)[0] = 0xd2800000 | value << 5; /* mov x0, #value */
	((volatile uint32_t *)page)[1] = 0xd65f03c0;
}

static void ic_ivau_shows_new_code(void)
{
	mmu_on();
	uint64_t page = page_alloc(1);
	for (unsigned n = 1; n < 50; n++) {
		write_function(page, n);
		SYS_VA("dc cvau, %0\n\tdsb ish\n\tic ivau", page);
		CHECK_EQ(((function)page)(), n);
	}
	/* Through another virtual address of the same memory. */
	*pte(0) = page | (PTE_RW & ~PTE_PXN);
	flush_all();
	CHECK_EQ(((function)TEST_VA)(), 49);
	write_function(page, 60);
	SYS_VA("ic ivau", page);
	CHECK_EQ(((function)TEST_VA)(), 60);
	CHECK_EQ(((function)page)(), 60);
}

static void ic_iallu_shows_all_new_code(void)
{
	mmu_on();
	uint64_t pages = page_alloc(8);
	for (unsigned round = 1; round < 5; round++) {
		for (unsigned n = 0; n < 8; n++) {
			write_function(pages + n * 4096, round * 10 + n);
		}
		if (round & 1) {
			ASM("dsb ish\n\tic iallu\n\tdsb ish\n\tisb");
		} else {
			ASM("dsb ish\n\tic ialluis\n\tdsb ish\n\tisb");
		}
		for (unsigned n = 0; n < 8; n++) {
			CHECK_EQ(((function)(pages + n * 4096))(), round * 10 + n);
		}
	}
}

static void code_that_rewrites_its_own_page(void)
{
	/* The function changes the instruction behind its own IC IVAU, then reaches it. */
	static const uint32_t code[] = {
		0xb9001020, /* str w0, [x1, #16] */
		0xd50b7521, /* ic ivau, x1 */
		0xd5033b9f, /* dsb ish */
		0xd5033fdf, /* isb */
		0xd2800000, /* mov x0, #0: overwritten */
		0xd65f03c0, /* ret */
	};
	mmu_on();
	uint64_t page = page_alloc(1);
	for (unsigned n = 0; n < 6; n++) {
		((volatile uint32_t *)page)[n] = code[n];
	}
	SYS_VA("ic ivau", page);
	for (unsigned n = 1; n < 9; n++) {
		uint64_t (*fn)(uint32_t, uint64_t) = (uint64_t(*)(uint32_t, uint64_t))page;
		CHECK_EQ(fn(0xd2800000 | n << 5, page), n);
	}
}

static void much_code_does_not_exhaust_the_decoder(void)
{
	mmu_on();
	/* More pages than the engine keeps decoded. */
	uint64_t pages = page_alloc(6000);
	for (unsigned n = 0; n < 6000; n++) {
		write_function(pages + n * 4096ul, n);
	}
	ASM("dsb ish\n\tic iallu\n\tdsb ish\n\tisb");
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned n = 0; n < 6000; n++) {
			CHECK_EQ(((function)(pages + n * 4096ul))(), n);
		}
	}
}

static void cache_maintenance_checks_its_address(void)
{
	mmu_on();
	trap_clear();
	SYS_VA("dc civac", TEST_VA);
	CHECK_EQ(trap.esr, 0x25ul << 26 | 1 << 25 | 1 << 8 | 1 << 6 | 0x07);
	CHECK_EQ(trap.far, TEST_VA);
	SYS_VA("ic ivau", TEST_VA + 0x40);
	CHECK_EQ(trap.count, 2);
	CHECK_EQ(trap.far, TEST_VA + 0x40);
	SYS_VA("dc cvau", RAM_BASE);
	SYS_VA("dc cvac", RAM_BASE);
	SYS_VA("dc isw", 0);
	CHECK_EQ(trap.count, 2);
}

TESTS(T(id_registers_say_what_there_is), T(the_identification_space_reads_as_zero),
      T(what_does_not_exist_is_undefined), T(icc_registers_go_to_the_host), T(pstate_registers),
      T(written_registers_keep_the_bits_that_exist), T(the_counter_counts), T(the_virtual_timer_interrupts),
      T(a_timer_that_passes_while_set_interrupts), T(the_physical_timer_interrupts), T(timer_status_and_mask), T(wfi_sleeps_until_the_timer),
      T(wfe_does_not_hang), T(ic_ivau_shows_new_code), T(ic_iallu_shows_all_new_code),
      T(code_that_rewrites_its_own_page), T(much_code_does_not_exhaust_the_decoder),
      T(cache_maintenance_checks_its_address));
