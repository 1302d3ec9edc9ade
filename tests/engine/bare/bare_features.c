/* SPDX-License-Identifier: Apache-2.0 */
/* bare_features.c - FEAT_BTI and FEAT_PAuth, on a machine that shows them */
#include "bare.h"

#define EC_BTI	 0x0dul
#define PTE_GP	 (1ul << 50)
#define BTI_C	 0xd503245f
#define BTI_J	 0xd503249f
#define BTI_JC	 0xd50324df
#define BTI	 0xd503241f
#define NOP	 0xd503201f
#define RET	 0xd65f03c0
#define PACIASP	 0xd503233f
#define BRK	 0xd4200000
#define SVC	 0xd4000001
#define SCTLR_BT1 (1ul << 36)

enum how { BY_BLR, BY_BR, BY_BR_X16, BY_RET };

/*
 * Go to x0 by each kind of branch.  Entered by RET, which is not checked itself; comes back by x30 or through
 * trap.resume.  A copy lies in a guarded page.
 */
__asm__(".text\n.balign 64\n.globl jumps, jumps_end\njumps:\n"
	"jump_blr: stp x29, x30, [sp, #-16]!\n\tblr x0\n\tldp x29, x30, [sp], #16\n\tret\n"
	"\n\tnop\n\tnop\n\tnop\n\tnop\n"
	"jump_br: br x0\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n"
	"jump_x16: mov x16, x0\n\tbr x16\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n"
	"jump_ret: mov x1, x30\n\tmov x30, x0\n\tmov x0, x1\n\tstp x29, x1, [sp, #-16]!\n\tret\n\tnop\n\tnop\n\tnop\n"
	"jumps_end:\n");
extern const uint32_t jumps[], jumps_end[];

static uint64_t target_page, guarded_jumps;

static void set_up(void)
{
	mmu_on();
	target_page = page_alloc(1);
	uint64_t copy = page_alloc(1);
	for (const uint32_t *word = jumps; word < jumps_end; word++) {
		((volatile uint32_t *)copy)[word - jumps] = *word;
	}
	*pte(0) = target_page | (PTE_RW & ~PTE_PXN) | PTE_GP;
	*pte(1) = copy | (PTE_RW & ~PTE_PXN) | PTE_GP;
	*pte(2) = target_page | (PTE_RW & ~PTE_PXN);
	flush_all();
	ASM("ic iallu\n\tdsb ish\n\tisb");
	guarded_jumps = TEST_VA + 0x1000;
	trap_clear();
}

/* The ESR of an attempt to land on @word, 0 if it worked. */
static uint64_t land_at(uint64_t va, uint32_t word, enum how how, uint64_t from)
{
	((volatile uint32_t *)target_page)[0] = word;
	((volatile uint32_t *)target_page)[1] = how == BY_RET ? 0xa8c17bfd : NOP; /* ldp x29, x30, [sp], #16 */
	((volatile uint32_t *)target_page)[2] = RET;
	SYS_VA("ic ivau", target_page);
	trap_clear();
	uint64_t jump = from + how * 32;
	__asm__ volatile("adr x9, 1f\n\tstr x9, [%2, #48]\n\tmov x9, sp\n\tstr x9, [%2, #56]\n\tmov x0, %0\n\t"
			 "adr x30, 1f\n\tret %1\n1:\tldr x9, [%2, #56]\n\tmov sp, x9\n\tstr xzr, [%2, #48]"
			 ::"r"(va), "r"(jump), "r"(&trap)
			 : "x0", "x1", "x9", "x16", "x30", "memory");
	return trap.count ? trap.esr : 0;
}

#define FAULT(btype) (EC_BTI << 26 | 1ul << 25 | (btype))

static void guarded_pages_check_indirect_branches(void)
{
	set_up();
	uint64_t plain = (uint64_t)jumps;
	CHECK_EQ(land_at(TEST_VA, NOP, BY_BLR, plain), FAULT(2));
	CHECK_EQ(trap.elr, TEST_VA);
	CHECK_EQ(trap.spsr >> 10 & 3, 2);
	CHECK_EQ(land_at(TEST_VA, BTI, BY_BLR, plain), FAULT(2));
	CHECK_EQ(land_at(TEST_VA, BTI_C, BY_BLR, plain), 0);
	CHECK_EQ(land_at(TEST_VA, BTI_J, BY_BLR, plain), FAULT(2));
	CHECK_EQ(land_at(TEST_VA, BTI_JC, BY_BLR, plain), 0);
	CHECK_EQ(land_at(TEST_VA, PACIASP, BY_BLR, plain), 0);
	/* From a page without GP any BR counts as a call or a jump. */
	CHECK_EQ(land_at(TEST_VA, NOP, BY_BR, plain), FAULT(1));
	CHECK_EQ(land_at(TEST_VA, BTI_C, BY_BR, plain), 0);
	CHECK_EQ(land_at(TEST_VA, BTI_J, BY_BR, plain), 0);
	/* From a guarded page only x16 and x17 do. */
	CHECK_EQ(land_at(TEST_VA, BTI_C, BY_BR, guarded_jumps), FAULT(3));
	CHECK_EQ(land_at(TEST_VA, BTI_J, BY_BR, guarded_jumps), 0);
	CHECK_EQ(land_at(TEST_VA, BTI_C, BY_BR_X16, guarded_jumps), 0);
	CHECK_EQ(land_at(TEST_VA, BTI_JC, BY_BR, guarded_jumps), 0);
	CHECK_EQ(land_at(TEST_VA, PACIASP, BY_BR, guarded_jumps), 0);
}

static void returns_and_unguarded_pages_are_not_checked(void)
{
	set_up();
	uint64_t plain = (uint64_t)jumps;
	CHECK_EQ(land_at(TEST_VA, NOP, BY_RET, plain), 0);
	CHECK_EQ(land_at(TEST_VA + 0x2000, NOP, BY_BLR, plain), 0);
	CHECK_EQ(land_at(TEST_VA + 0x2000, NOP, BY_BR, guarded_jumps), 0);
}

static void sctlr_bt_makes_paciasp_strict(void)
{
	set_up();
	WRITE_SYSREG(sctlr_el1, READ_SYSREG(sctlr_el1) | SCTLR_BT1);
	CHECK_EQ(land_at(TEST_VA, PACIASP, BY_BR, guarded_jumps), FAULT(3));
	CHECK_EQ(land_at(TEST_VA, PACIASP, BY_BLR, guarded_jumps), 0);
}

static void eret_takes_btype_along(void)
{
	set_up();
	((volatile uint32_t *)target_page)[0] = NOP;
	((volatile uint32_t *)target_page)[1] = RET;
	SYS_VA("ic ivau", target_page);
	trap_clear();
	__asm__ volatile("adr x9, 1f\n\tstr x9, [%0, #48]\n\tmov x9, #0x3c5\n\tmovk x9, #0, lsl #16\n\torr x9, x9, #0x800\n\t"
			 "msr spsr_el1, x9\n\tmsr elr_el1, %1\n\teret\n1:\tstr xzr, [%0, #48]"
			 ::"r"(&trap), "r"(TEST_VA) : "x9", "x30", "memory");
	CHECK_EQ(trap.count, 1);
	CHECK_EQ(trap.esr, FAULT(2));
}

static uint64_t sign(uint64_t pointer, uint64_t modifier)
{
	__asm__ volatile(".arch armv8.3-a\n\tpacia %0, %1" : "+r"(pointer) : "r"(modifier));
	return pointer;
}

static uint64_t check(uint64_t pointer, uint64_t modifier)
{
	__asm__ volatile(".arch armv8.3-a\n\tautia %0, %1" : "+r"(pointer) : "r"(modifier));
	return pointer;
}

static void pointers_are_signed_when_sctlr_says_so(void)
{
	mmu_on();
	CHECK_EQ(READ_SYSREG(id_aa64isar1_el1) >> 8 & 0xf, 1);
	WRITE_SYSREG(s3_0_c2_c1_0, 0x1122334455667788); /* APIAKey */
	WRITE_SYSREG(s3_0_c2_c1_1, 0x99aabbccddeeff00);
	CHECK_EQ(READ_SYSREG(s3_0_c2_c1_0), 0x1122334455667788);
	CHECK_EQ(sign(TEST_VA, 7), TEST_VA); /* EnIA is clear */
	WRITE_SYSREG(sctlr_el1, READ_SYSREG(sctlr_el1) | 1ul << 31);
	uint64_t code = sign(TEST_VA, 7);
	CHECK(code != TEST_VA);
	CHECK_EQ(code & 0xffffffffffff, TEST_VA);
	CHECK_EQ(check(code, 7), TEST_VA);
	CHECK(check(code, 8) != TEST_VA);
	/* A wrong code makes an address that faults. */
	trap_clear();
	load64(check(code, 8));
	CHECK_EQ(trap.count, 1);
	CHECK_EQ(trap.esr & 0x3f, 0x04);
}

/* ----- hypercalls that change keys, as guests of Apple's virtual platform make them ----- */

static int64_t key_call(unsigned function, uint64_t first, uint64_t second, uint64_t out[5])
{
	register uint64_t x0 __asm__("x0") = 0xc1000000 | function;
	register uint64_t x1 __asm__("x1") = first;
	register uint64_t x2 __asm__("x2") = second;
	register uint64_t x3 __asm__("x3") = 0;
	register uint64_t x4 __asm__("x4") = 0;
	__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4)::"memory");
	if (out) {
		out[1] = x1;
		out[2] = x2;
		out[3] = x3;
		out[4] = x4;
	}
	return (int64_t)x0;
}

static void hypercalls_change_keys(void)
{
	uint64_t seeds[5];
	mmu_on();
	WRITE_SYSREG(sctlr_el1, READ_SYSREG(sctlr_el1) | 1ul << 31); /* EnIA */
	CHECK_EQ(key_call(1, 0, 0, seeds), 0);
	CHECK_EQ(seeds[1], 0xfeedfacefeedfacf);
	CHECK_EQ(seeds[2], 0xfeedfacefeedfacf + 6);
	CHECK_EQ(seeds[3], 0xfeedfacefeedfacf + 4);
	CHECK_EQ(seeds[4], 0xfeedfacefeedfacf + 10);
	CHECK_EQ(key_call(0, 0, 0, 0), 0);
	CHECK_EQ(READ_SYSREG(s3_0_c2_c1_0), seeds[1]);	   /* APIAKeyLo */
	CHECK_EQ(READ_SYSREG(s3_0_c2_c2_1), seeds[1] + 3); /* APDAKeyHi */
	CHECK_EQ(READ_SYSREG(s3_0_c2_c1_2), seeds[2]);	   /* APIBKeyLo */
	CHECK_EQ(READ_SYSREG(s3_0_c2_c3_1), seeds[4] + 1); /* APGAKeyHi */
	CHECK_EQ(key_call(2, 100, 0, 0), 0);
	CHECK_EQ(READ_SYSREG(s3_0_c2_c1_1), 101);
	CHECK_EQ(READ_SYSREG(s3_0_c2_c2_0), 102);
	CHECK_EQ(key_call(3, 200, 0, 0), 0);
	CHECK_EQ(READ_SYSREG(s3_0_c2_c2_3), 203);
	CHECK_EQ(key_call(6, 300, 0, 0), 0);
	CHECK_EQ(READ_SYSREG(s3_0_c2_c3_0), 300);
}

/* The key of EL0's programs is mixed in at EL1 only while that is switched on. */
static void hypercalls_switch_the_diversifier(void)
{
	mmu_on();
	WRITE_SYSREG(sctlr_el1, READ_SYSREG(sctlr_el1) | 1ul << 31);
	CHECK_EQ(key_call(0, 0, 0, 0), 0);
	uint64_t plain = sign(TEST_VA, 7);
	CHECK_EQ(key_call(4, 1000, 0, 0), 0);
	CHECK_EQ(sign(TEST_VA, 7), plain);
	CHECK_EQ(key_call(5, 1, 1000, 0), 0);
	uint64_t mixed = sign(TEST_VA, 7);
	CHECK(mixed != plain);
	CHECK_EQ(check(mixed, 7), TEST_VA);
	CHECK_EQ(key_call(5, 1, 2000, 0), 0);
	CHECK(sign(TEST_VA, 7) != mixed);
	CHECK_EQ(key_call(5, 0, 1000, 0), 0);
	CHECK_EQ(sign(TEST_VA, 7), plain);
}

static void unknown_calls_are_not_supported(void)
{
	CHECK_EQ(key_call(7, 0, 0, 0), -1);
	CHECK_EQ(key_call(0xf0, 0, 0, 0), -1);
	CHECK_EQ(key_call(0x2000003, 0, 0, 0), -1); /* 0xc3000003 */
}

TESTS(T(hypercalls_change_keys), T(hypercalls_switch_the_diversifier), T(unknown_calls_are_not_supported), T(guarded_pages_check_indirect_branches), T(returns_and_unguarded_pages_are_not_checked),
      T(sctlr_bt_makes_paciasp_strict), T(eret_takes_btype_along), T(pointers_are_signed_when_sctlr_says_so));
