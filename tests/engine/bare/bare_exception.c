/* SPDX-License-Identifier: Apache-2.0 */
/* bare_exception.c - taking exceptions to EL1 and returning from them */
#include "bare.h"

#define EC(esr)	 ((esr) >> 26 & 0x3f)
#define ISS(esr) ((esr) & 0x1ffffff)
#define IL	 (1ul << 25)
#define ESR(ec, iss) ((uint64_t)(ec) << 26 | IL | (iss))
#define ALL_MASKED 0x3c0ul

static unsigned irqs;

void on_irq(void)
{
	irqs++;
	device_write(DEVICE_LINE, 0);
}

static void svc_sets_esr_and_returns_behind(void)
{
	uint64_t address;
	trap_clear();
	trap.resume = 0;
	__asm__ volatile("adr %0, 1f\n\tsvc #0x1234\n1:\tnop" : "=r"(address)::"memory");
	CHECK_EQ(trap.count, 1);
	CHECK_EQ(trap.esr, ESR(0x15, 0x1234));
	CHECK_EQ(trap.elr, address);
	CHECK_EQ(trap.vector, 0x200);
	CHECK_EQ(trap.spsr & 0xf, 5);
	CHECK_EQ(trap.spsr & ALL_MASKED, ALL_MASKED);
}

static void brk_returns_to_itself(void)
{
	uint64_t address;
	trap_clear();
	__asm__ volatile("adr %0, 1f\n1:\tbrk #0xabc" : "=r"(address)::"memory");
	CHECK_EQ(trap.esr, ESR(0x3c, 0xabc));
	CHECK_EQ(trap.elr, address);
}

static void undefined_instructions_have_class_0(void)
{
	trap_clear();
	ASM("udf #7");
	CHECK_EQ(trap.esr, ESR(0, 0));
	ASM("hlt #1");
	CHECK_EQ(trap.esr, ESR(0, 0));
	ASM("smc #0");
	CHECK_EQ(trap.esr, ESR(0, 0));
	ASM(".inst 0xe7ffffff");
	CHECK_EQ(trap.esr, ESR(0, 0));
	CHECK_EQ(trap.count, 4);
}

static void hvc_calls_the_host(void)
{
	trap_clear();
	register uint64_t x0 __asm__("x0") = 40, x7 __asm__("x7") = 2;
	__asm__ volatile("hvc #0" : "+r"(x0) : "r"(x7) : "memory", "x1", "x2", "x3");
	CHECK_EQ(x0, 42);
	CHECK_EQ(trap.count, 0);
}

static void sp_el0_has_its_own_vector(void)
{
	trap_clear();
	uint64_t sp;
	__asm__ volatile("mov %0, sp\n\tmsr sp_el0, %0\n\tmsr spsel, #0\n\tsvc #1\n\tnop\n\tmsr spsel, #1"
			 : "=&r"(sp)::"memory");
	CHECK_EQ(trap.vector, 0x000);
	CHECK_EQ(trap.spsr & 0xf, 4);
}

static void el0_uses_the_lower_vectors(void)
{
	mmu_on();
	trap_clear();
	user_call(user_entry(user_svc), 0, 0, 0x60000000);
	CHECK_EQ(trap.vector, 0x400);
	CHECK_EQ(trap.esr, ESR(0x15, 0x51));
	CHECK_EQ(trap.spsr, 0x60000000);
	CHECK_EQ(trap.elr, user_entry(user_svc) + 8);
	CHECK_EQ(READ_SYSREG(CurrentEL), 4);
	CHECK_EQ(READ_SYSREG(daif), ALL_MASKED);
}

static void el0_undefined_and_breakpoint(void)
{
	mmu_on();
	trap_clear();
	user_call(user_entry(user_undefined), 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0, 0));
	user_call(user_entry(user_brk), 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0x3c, 0x123));
	user_call(user_entry(user_hvc), 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0, 0));
	user_call(user_entry(user_tlbi), 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0, 0));
	user_call(user_entry(user_mrs_midr), 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0, 0));
}

static void el0_traps_are_controlled_by_sctlr(void)
{
	mmu_on();
	trap_clear();
	/* CTR_EL0 into x0: op0 3, op1 3, CRn 0, CRm 0, op2 1, read. */
	user_call(user_entry(user_mrs_ctr), 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0x18, 3 << 20 | 1 << 17 | 3 << 14 | 1));
	user_call(user_entry(user_ic_ivau), 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0x18, 1 << 20 | 1 << 17 | 3 << 14 | 7 << 10 | 5 << 1));
	user_call(user_entry(user_zva), 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0x18, 1 << 20 | 1 << 17 | 3 << 14 | 7 << 10 | 4 << 1));
	user_call(user_entry(user_wfi), 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0x01, 1 << 24 | 0xe << 20));
	user_call(user_entry(user_msr_daif), 0, 0, 0);
	CHECK_EQ(EC(trap.esr), 0x18);
	WRITE_SYSREG(sctlr_el1, READ_SYSREG(sctlr_el1) | 1 << 15 | 1 << 16);
	CHECK_EQ(user_call(user_entry(user_mrs_ctr), 0, 0, 0), 0x9444c004);
	CHECK_EQ(trap.esr, ESR(0x15, 0x51));
}

static void el0_counter_is_controlled_by_cntkctl(void)
{
	mmu_on();
	trap_clear();
	user_call(user_entry(user_mrs_cntvct), 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0x18, 3 << 20 | 2 << 17 | 3 << 14 | 14 << 10 | 0 << 1 | 1));
	WRITE_SYSREG(cntkctl_el1, 2);
	uint64_t count = user_call(user_entry(user_mrs_cntvct), 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0x15, 0x51));
	CHECK(count <= READ_SYSREG(cntvct_el0));
}

static void fp_access_is_controlled_by_cpacr(void)
{
	mmu_on();
	trap_clear();
	WRITE_SYSREG(cpacr_el1, 0);
	ASM(".inst 0x1e604000"); /* fmov d0, d0 */
	CHECK_EQ(trap.esr, ESR(0x07, 1 << 24 | 0xe << 20));
	WRITE_SYSREG(cpacr_el1, 1 << 20);
	trap_clear();
	ASM(".inst 0x1e604000");
	CHECK_EQ(trap.count, 0);
	user_call(user_entry(user_fp), 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0x07, 1 << 24 | 0xe << 20));
	WRITE_SYSREG(cpacr_el1, 3 << 20);
	user_call(user_entry(user_fp), 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0x15, 0x51));
}

static void misaligned_pc_faults_at_the_target(void)
{
	trap_clear();
	call(RAM_BASE + 0x102);
	CHECK_EQ(trap.esr, ESR(0x22, 0));
	CHECK_EQ(trap.far, RAM_BASE + 0x102);
	CHECK_EQ(trap.elr, RAM_BASE + 0x102);
}

/* Empty entries of the tables must not look like the first page. */
static void misaligned_addresses_of_page_0_fault(void)
{
	mmu_on();
	for (uint64_t va = 1; va < 4096; va += va < 64 ? 1 : 61) {
		if (va & 3) {
			trap_clear();
			call(va);
			CHECK_EQ(trap.esr, ESR(0x22, 0));
			CHECK_EQ(trap.far, va);
			CHECK_EQ(trap.elr, va);
		}
		if (va & 7) {
			trap_clear();
			load_exclusive(va);
			CHECK_EQ(trap.esr, ESR(0x25, 0x21));
			CHECK_EQ(trap.far, va);
			trap_clear();
			load_acquire(va);
			CHECK_EQ(trap.esr, ESR(0x25, 0x21));
			trap_clear();
			swap(va, 0);
			CHECK_EQ(trap.esr, ESR(0x25, 0x21));
		}
	}
}

static void misaligned_sp_faults_if_sctlr_says_so(void)
{
	mmu_on();
	static uint64_t words[4] __attribute__((aligned(16)));
	words[1] = 77;
	trap_clear();
	CHECK_EQ(load_at_sp((uint64_t)&words[1]), 77);
	CHECK_EQ(trap.count, 0);
	WRITE_SYSREG(sctlr_el1, READ_SYSREG(sctlr_el1) | 1 << 3);
	load_at_sp((uint64_t)&words[1]);
	CHECK_EQ(trap.count, 1);
	CHECK_EQ(trap.esr, ESR(0x26, 0));
}

/* ERET with @spsr to the next instruction. */
static void return_with(uint64_t spsr)
{
	__asm__ volatile("adr x9, 1f\n\tmsr elr_el1, x9\n\tmsr spsr_el1, %0\n\teret\n1:\tnop\n\tnop"
			 ::"r"(spsr) : "x9", "memory");
}

static void illegal_returns_stay_at_el1(void)
{
	static const uint8_t modes[] = {0x9, 0xd, 0x1, 0x6, 0x7, 0x10, 0x13};
	for (unsigned n = 0; n < sizeof(modes); n++) {
		trap_clear();
		return_with(ALL_MASKED | modes[n]);
		CHECK_EQ(trap.count, 1);
		CHECK_EQ(trap.esr, ESR(0x0e, 0));
		CHECK_EQ(trap.spsr & 1 << 20, 1 << 20);
		CHECK_EQ(trap.spsr & 0xf, 5);
		CHECK_EQ(READ_SYSREG(CurrentEL), 4);
	}
}

static void eret_restores_flags_and_masks(void)
{
	uint64_t flags, masks;
	__asm__ volatile("adr x9, 1f\n\tmsr elr_el1, x9\n\tmov x9, #0x145\n\tmovk x9, #0xa000, lsl #16\n\t"
			 "msr spsr_el1, x9\n\teret\n1:\tmrs %0, nzcv\n\tmrs %1, daif\n\tmsr daifset, #15"
			 : "=r"(flags), "=r"(masks)::"x9", "memory", "cc");
	CHECK_EQ(flags, 0xa0000000);
	CHECK_EQ(masks, 0x140);
}

/* Without FEAT_BTI the bits of SPSR are RES0 and pages are not guarded. */
static void branch_type_is_ignored_without_bti(void)
{
	mmu_on();
	*pte(511) |= 1ul << 50; /* GP */
	flush_all();
	trap_clear();
	user_call(user_entry(user_svc), 0, 0, ALL_MASKED | 2ul << 10);
	CHECK_EQ(trap.esr, ESR(0x15, 0x51));
	CHECK_EQ(trap.spsr & 3ul << 10, 0);
}

static void interrupts_wait_for_the_mask(void)
{
	trap_clear();
	irqs = 0;
	device_write(DEVICE_LINE, 1);
	CHECK_EQ(READ_SYSREG(isr_el1), 0x80);
	ASM("nop");
	CHECK_EQ(irqs, 0);
	ASM("msr daifclr, #2\n\tnop");
	CHECK_EQ(irqs, 1);
	CHECK_EQ(trap.vector, 0x280);
	CHECK_EQ(READ_SYSREG(isr_el1), 0);
	/* An unmasked line interrupts as soon as it rises. */
	device_write(DEVICE_LINE, 1);
	for (volatile int n = 0; n < 3; n++) {
	}
	CHECK_EQ(irqs, 2);
	ASM("msr daifset, #2");
	device_write(DEVICE_LINE, 1);
	WRITE_SYSREG(daif, 0);
	CHECK_EQ(irqs, 3);
	ASM("msr daifset, #15");
}

static void interrupts_come_from_el0_too(void)
{
	mmu_on();
	trap_clear();
	device_write(DEVICE_LINE, 1);
	user_call(user_entry(user_loop), 0, 0, 0);
	CHECK_EQ(trap.vector, 0x480);
	CHECK_EQ(trap.elr, user_entry(user_loop));
	device_write(DEVICE_LINE, 0);
}

static void pan_is_set_on_entry_if_span_is_clear(void)
{
	WRITE_SYSREG(s3_0_c4_c2_3, 0);
	trap_clear();
	ASM("svc #0\n\tnop");
	CHECK_EQ(READ_SYSREG(s3_0_c4_c2_3), 0);
	WRITE_SYSREG(sctlr_el1, READ_SYSREG(sctlr_el1) & ~(1ul << 23));
	uint64_t inside;
	/* The handler returns with the old PAN, so look at what an exception from EL0 leaves. */
	mmu_on();
	user_call(user_entry(user_svc), 0, 0, 0);
	inside = READ_SYSREG(s3_0_c4_c2_3);
	CHECK_EQ(inside, 1 << 22);
	ASM(".inst 0xd500409f"); /* msr pan, #0 */
	CHECK_EQ(READ_SYSREG(s3_0_c4_c2_3), 0);
}

static void software_step_runs_one_instruction(void)
{
	mmu_on();
	WRITE_SYSREG(oslar_el1, 0);
	WRITE_SYSREG(mdscr_el1, 1);
	trap_clear();
	uint64_t spsr = 1 << 21, pc = user_entry(user_steps), x0 = 10;
	x0 = user_call(pc, x0, 0, spsr);
	CHECK_EQ(EC(trap.esr), 0x32);
	CHECK_EQ(trap.esr & 0x3f, 0x22);
	CHECK_EQ(trap.elr, pc + 4);
	CHECK_EQ(x0, 11);
	x0 = user_call(pc + 4, x0, 0, spsr); /* the branch */
	CHECK_EQ(trap.elr, pc + 12);
	x0 = user_call(pc + 12, x0, 0, spsr);
	CHECK_EQ(trap.elr, pc + 16);
	CHECK_EQ(x0, 13);
	/* Without SS in SPSR nothing is run. */
	x0 = user_call(pc + 12, x0, 0, 0);
	CHECK_EQ(trap.elr, pc + 12);
	CHECK_EQ(x0, 13);
	/* SVC itself is stepped: it comes first. */
	user_call(pc + 16, x0, 0, spsr);
	CHECK_EQ(trap.esr, ESR(0x15, 0x52));
	CHECK_EQ(trap.spsr & 1 << 21, 0);
	WRITE_SYSREG(mdscr_el1, 0);
	user_call(pc, 0, 0, 0);
	CHECK_EQ(trap.esr, ESR(0x15, 0x52));
}

TESTS(T(svc_sets_esr_and_returns_behind), T(brk_returns_to_itself), T(undefined_instructions_have_class_0),
      T(hvc_calls_the_host), T(sp_el0_has_its_own_vector), T(el0_uses_the_lower_vectors),
      T(el0_undefined_and_breakpoint), T(el0_traps_are_controlled_by_sctlr),
      T(el0_counter_is_controlled_by_cntkctl), T(fp_access_is_controlled_by_cpacr),
      T(misaligned_pc_faults_at_the_target), T(misaligned_addresses_of_page_0_fault), T(misaligned_sp_faults_if_sctlr_says_so),
      T(illegal_returns_stay_at_el1), T(eret_restores_flags_and_masks), T(branch_type_is_ignored_without_bti),
      T(interrupts_wait_for_the_mask),
      T(interrupts_come_from_el0_too), T(pan_is_set_on_entry_if_span_is_clear),
      T(software_step_runs_one_instruction));
