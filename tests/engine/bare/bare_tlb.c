/* SPDX-License-Identifier: Apache-2.0 */
/* bare_tlb.c - address space ids and TLB maintenance */
#include "bare.h"

#define TCR_A1 (1ul << 22)

static uint64_t page_with(uint64_t value)
{
	uint64_t page = page_alloc(1);
	*(volatile uint64_t *)page = value;
	return page;
}

static void use_asid(uint64_t asid)
{
	WRITE_SYSREG(ttbr0_el1, (READ_SYSREG(ttbr0_el1) & 0xfffffffffffful) | asid << 48);
}

/* Change a mapping after it was used, flush by @how, and expect the new one. */
static void each_flush_makes_the_new_mapping_visible(void)
{
	mmu_on();
	uint64_t one = page_with(1), two = page_with(2);
#define ROUND(flags, text, operand)                                                                \
	do {                                                                                       \
		*pte(0) = one | (PTE_RW | (flags));                                                \
		flush_all();                                                                       \
		CHECK_EQ(load64(TEST_VA), 1);                                                      \
		*pte(0) = 0;                                                                       \
		ASM("dsb ishst");                                                                  \
		SYS_VA(text, operand);                                                             \
		*pte(0) = two | (PTE_RW | (flags));                                                \
		ASM("dsb ishst\n\tisb");                                                           \
		CHECK_EQ(load64(TEST_VA), 2);                                                      \
	} while (0)
	uint64_t va = TEST_VA >> 12, asid = 7ul << 48;
	use_asid(7);
	ROUND(0, "tlbi vaae1is", va);
	ROUND(0, "tlbi vaale1is", va);
	ROUND(0, "tlbi vae1is", va | asid);
	ROUND(0, "tlbi vale1", va | asid);
	ROUND(PTE_NG, "tlbi vae1", va | asid);
	ROUND(PTE_NG, "tlbi vale1is", va | asid);
	ROUND(PTE_NG, "tlbi vaae1", va);
	ROUND(PTE_NG, "tlbi aside1is", asid);
	ROUND(PTE_NG, "tlbi aside1", asid);
	ROUND(0, "tlbi vmalle1 \n\t//", 0);
	/* Global entries ignore the ASID. */
	ROUND(0, "tlbi vae1is", va | 9ul << 48);
	/* Ranges of 2 pages; TG 4K. */
	ROUND(0, ".arch armv8.4-a\n\ttlbi rvaae1is", va | 1ul << 46);
	ROUND(PTE_NG, ".arch armv8.4-a\n\ttlbi rvae1is", va | 1ul << 46 | asid);
	ROUND(PTE_NG, ".arch armv8.4-a\n\ttlbi rvale1", va | 1ul << 46 | asid);
	ROUND(0, ".arch armv8.4-a\n\ttlbi rvaale1os", (va - 62) | 1ul << 46 | 31ul << 39);
	ROUND(0, ".arch armv8.4-a\n\ttlbi vaae1os", va);
}

static void translations_are_kept_by_asid(void)
{
	mmu_on();
	uint64_t one = page_with(1), two = page_with(2);
	use_asid(1);
	*pte(0) = one | PTE_RW | PTE_NG;
	flush_all();
	CHECK_EQ(load64(TEST_VA), 1);
	use_asid(2);
	*pte(0) = two | PTE_RW | PTE_NG;
	ASM("dsb ishst\n\tisb");
	CHECK_EQ(load64(TEST_VA), 2);
	/* After its flush, ASID 1 sees the new page as well; ASID 2 is untouched by it. */
	SYS_VA("tlbi aside1is", 1ul << 48);
	use_asid(1);
	CHECK_EQ(load64(TEST_VA), 2);
}

static void many_asids_do_not_mix(void)
{
	mmu_on();
	uint64_t pages[40];
	for (unsigned n = 0; n < 40; n++) {
		pages[n] = page_with(100 + n);
	}
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned n = 0; n < 40; n++) {
			*pte(0) = 0;
			SYS_VA("dsb ishst\n\ttlbi vae1is", TEST_VA >> 12 | (n * 3ul) << 48);
			use_asid(n * 3ul);
			*pte(0) = pages[n] | PTE_RW | PTE_NG;
			ASM("dsb ishst\n\tisb");
			CHECK_EQ(load64(TEST_VA), 100 + n);
		}
	}
}

static void el0_translations_are_kept_by_asid(void)
{
	mmu_on();
	uint64_t one = page_with(1), two = page_with(2);
	use_asid(1);
	*pte(0) = one | PTE_RW | PTE_NG | PTE_USER;
	flush_all();
	CHECK_EQ(user_call(user_entry(user_load), TEST_VA, 0, 0), 1);
	use_asid(2);
	*pte(0) = two | PTE_RW | PTE_NG | PTE_USER;
	ASM("dsb ishst\n\tisb");
	CHECK_EQ(user_call(user_entry(user_load), TEST_VA, 0, 0), 2);
	CHECK_EQ(load_user(TEST_VA), 2);
}

static void asid_may_come_from_ttbr1(void)
{
	mmu_on_with(TCR_A1);
	uint64_t one = page_with(1), two = page_with(2);
	uint64_t ttbr1 = READ_SYSREG(ttbr1_el1) & 0xfffffffffffful;
	WRITE_SYSREG(ttbr1_el1, ttbr1 | 1ul << 48);
	*pte(0) = one | PTE_RW | PTE_NG;
	flush_all();
	CHECK_EQ(load64(TEST_VA), 1);
	WRITE_SYSREG(ttbr1_el1, ttbr1 | 0x8001ul << 48);
	*pte(0) = two | PTE_RW | PTE_NG;
	ASM("dsb ishst\n\tisb");
	CHECK_EQ(load64(TEST_VA), 2);
}

static void any_address_of_a_block_flushes_all_of_it(void)
{
	mmu_on();
	uint64_t table = *pmd();
	*pmd() = RAM_BASE | PTE_BLOCK | PTE_SH | PTE_AF;
	flush_all();
	uint64_t word = page_with(3) - RAM_BASE;
	CHECK(word < 0x200000);
	CHECK_EQ(load64(TEST_VA + word), 3);
	CHECK_EQ(load64(TEST_VA), *(volatile uint32_t *)RAM_BASE | (uint64_t)*(volatile uint32_t *)(RAM_BASE + 4) << 32);
	*pmd() = 0;
	ASM("dsb ishst");
	SYS_VA("tlbi vaae1is", (TEST_VA + 0x1ff000) >> 12);
	trap_clear();
	load64(TEST_VA + word);
	CHECK_EQ(trap.count, 1);
	load64(TEST_VA);
	CHECK_EQ(trap.count, 2);
	*pmd() = table;
}

static void many_blocks_are_flushed_exactly(void)
{
	mmu_on();
	/* More blocks than any list of blocks holds: each still goes with its own TLBI. */
	volatile uint64_t *l2 = (volatile uint64_t *)((uint64_t)pmd() & ~0xffful);
	for (unsigned n = 1; n < 100; n++) {
		l2[n] = RAM_BASE | PTE_BLOCK | PTE_SH | PTE_AF;
	}
	flush_all();
	for (unsigned n = 1; n < 100; n++) {
		load64(TEST_VA + n * 0x200000ul + n * 0x1000);
	}
	trap_clear();
	for (unsigned n = 1; n < 100; n++) {
		l2[n] = 0;
		ASM("dsb ishst");
		SYS_VA("tlbi vaale1is", (TEST_VA + n * 0x200000ul) >> 12);
		load64(TEST_VA + n * 0x200000ul + n * 0x1000);
		CHECK_EQ(trap.count, n);
	}
}

static void code_pages_are_flushed(void)
{
	mmu_on();
	uint64_t one = page_alloc(1), two = page_alloc(1);
	*(volatile uint32_t *)one = 0xd2800020;	      /* mov x0, #1 */
	*(volatile uint32_t *)(one + 4) = 0xd65f03c0; /* ret */
	*(volatile uint32_t *)two = 0xd2800040;
	*(volatile uint32_t *)(two + 4) = 0xd65f03c0;
	uint64_t (*fn)(void) = (uint64_t(*)(void))TEST_VA;
	*pte(0) = one | (PTE_RW & ~PTE_PXN);
	flush_all();
	CHECK_EQ(fn(), 1);
	*pte(0) = 0;
	ASM("dsb ishst");
	SYS_VA("tlbi vaae1is", TEST_VA >> 12);
	*pte(0) = two | (PTE_RW & ~PTE_PXN);
	ASM("dsb ishst\n\tisb");
	CHECK_EQ(fn(), 2);
}

static void branches_between_pages_follow_remapping(void)
{
	mmu_on();
	/* Page 0 jumps to page 1, which is then another. */
	uint64_t first = page_alloc(1), one = page_alloc(1), two = page_alloc(1);
	*(volatile uint32_t *)(first + 0xff8) = 0xd2800000; /* mov x0, #0; falls off the page */
	*(volatile uint32_t *)(first + 0xffc) = 0xd503201f;
	*(volatile uint32_t *)one = 0x91000400;	      /* add x0, x0, #1 */
	*(volatile uint32_t *)(one + 4) = 0xd65f03c0;
	*(volatile uint32_t *)two = 0x91000800;
	*(volatile uint32_t *)(two + 4) = 0xd65f03c0;
	uint64_t (*fn)(void) = (uint64_t(*)(void))(TEST_VA + 0xff8);
	*pte(0) = first | (PTE_RW & ~PTE_PXN);
	*pte(1) = one | (PTE_RW & ~PTE_PXN);
	flush_all();
	CHECK_EQ(fn(), 1);
	*pte(1) = 0;
	ASM("dsb ishst");
	SYS_VA("tlbi vale1is", (TEST_VA + 0x1000) >> 12);
	*pte(1) = two | (PTE_RW & ~PTE_PXN);
	ASM("dsb ishst\n\tisb");
	CHECK_EQ(fn(), 2);
}

TESTS(T(each_flush_makes_the_new_mapping_visible), T(translations_are_kept_by_asid), T(many_asids_do_not_mix),
      T(el0_translations_are_kept_by_asid), T(asid_may_come_from_ttbr1),
      T(any_address_of_a_block_flushes_all_of_it), T(many_blocks_are_flushed_exactly),
      T(code_pages_are_flushed), T(branches_between_pages_follow_remapping));
