/* SPDX-License-Identifier: Apache-2.0 */
/* bare_mmu.c - translation, permissions and the faults of both */
#include "bare.h"

#include <stdbool.h>

#define DATA_ABORT     0x25ul
#define DATA_ABORT_EL0 0x24ul
#define INSN_ABORT     0x21ul
#define INSN_ABORT_EL0 0x20ul
#define WNR	       (1ul << 6)
#define ESR(ec, iss)   ((ec) << 26 | 1ul << 25 | (iss))

#define TCR_HA (1ul << 39)
#define TCR_HD (1ul << 40)

/* The last access faulted with exactly this. */
#define CHECK_FAULT(ec, iss, va)                                                                   \
	do {                                                                                       \
		CHECK_EQ(trap.count, 1);                                                           \
		CHECK_EQ(trap.esr, ESR(ec, iss));                                                  \
		CHECK_EQ(trap.far, va);                                                            \
		trap_clear();                                                                      \
	} while (0)
#define CHECK_NO_FAULT()                                                                           \
	do {                                                                                       \
		CHECK_EQ(trap.count, 0);                                                           \
		trap_clear();                                                                      \
	} while (0)

/* Write a descriptor and make sure that nothing older is used. */
static void set(volatile uint64_t *descriptor, uint64_t value)
{
	*descriptor = value;
	flush_all();
}

/* A page with `ret` as its first instruction and 0x55 behind it. */
static uint64_t code_page(void)
{
	uint64_t page = page_alloc(1);
	*(volatile uint32_t *)page = 0xd65f03c0;
	*(volatile uint64_t *)(page + 8) = 0x55;
	return page;
}

static void translation_faults_name_the_level(void)
{
	mmu_on();
	trap_clear();
	load64(TEST_VA);
	CHECK_FAULT(DATA_ABORT, 0x07, TEST_VA);
	store64(TEST_VA + 8, 1);
	CHECK_FAULT(DATA_ABORT, 0x07 | WNR, TEST_VA + 8);
	call(TEST_VA + 16);
	CHECK_FAULT(INSN_ABORT, 0x07, TEST_VA + 16);
	load64(TEST_VA + 0x200000);
	CHECK_FAULT(DATA_ABORT, 0x06, TEST_VA + 0x200000);
	load64(TEST_VA + 0x40000000);
	CHECK_FAULT(DATA_ABORT, 0x05, TEST_VA + 0x40000000);
	load64(0x8000000000);
	CHECK_FAULT(DATA_ABORT, 0x04, 0x8000000000);
	load64(TEST_HIGH);
	CHECK_FAULT(DATA_ABORT, 0x07, TEST_HIGH);
	load64(0xffff000000000000);
	CHECK_FAULT(DATA_ABORT, 0x04, 0xffff000000000000);
	set(pte(0), PTE_RW & ~2ul); /* reserved encoding at level 3 */
	load64(TEST_VA);
	CHECK_FAULT(DATA_ABORT, 0x07, TEST_VA);
}

static void addresses_outside_both_halves_fault_at_level_0(void)
{
	mmu_on();
	trap_clear();
	load64(0x0001000000000000);
	CHECK_FAULT(DATA_ABORT, 0x04, 0x0001000000000000);
	load64(0xfffe800000000000);
	CHECK_FAULT(DATA_ABORT, 0x04, 0xfffe800000000000);
	load64(0x5500000100000000);
	CHECK_FAULT(DATA_ABORT, 0x04, 0x5500000100000000);
}

static void el0_faults_have_their_own_class(void)
{
	mmu_on();
	trap_clear();
	user_call(user_entry(user_load), TEST_VA, 0, 0);
	CHECK_FAULT(DATA_ABORT_EL0, 0x07, TEST_VA);
	set(pte(0), page_alloc(1) | PTE_RW);
	user_call(user_entry(user_load), TEST_VA, 0, 0);
	CHECK_FAULT(DATA_ABORT_EL0, 0x0f, TEST_VA);
	user_call(user_entry(user_store), TEST_VA, 0, 0);
	CHECK_FAULT(DATA_ABORT_EL0, 0x0f | WNR, TEST_VA);
	user_call(TEST_VA, 0, 0, 0);
	CHECK_FAULT(INSN_ABORT_EL0, 0x0f, TEST_VA); /* UXN */
	user_call(TEST_VA + 0x1000, 0, 0, 0);
	CHECK_FAULT(INSN_ABORT_EL0, 0x07, TEST_VA + 0x1000);
}

static void read_only_pages_refuse_writes(void)
{
	mmu_on();
	trap_clear();
	uint64_t page = code_page();
	set(pte(0), page | PTE_RW | PTE_RO);
	CHECK_EQ(load64(TEST_VA + 8), 0x55);
	CHECK_NO_FAULT();
	store64(TEST_VA + 8, 1);
	CHECK_FAULT(DATA_ABORT, 0x0f | WNR, TEST_VA + 8);
	CHECK_EQ(load64(TEST_VA + 8), 0x55);
	swap(TEST_VA + 8, 1);
	CHECK_FAULT(DATA_ABORT, 0x0f | WNR, TEST_VA + 8);
	set(pmd(), ((page & ~0x1ffffful) | PTE_BLOCK | PTE_SH | PTE_AF | PTE_RO));
	store64(TEST_VA, 1);
	CHECK_FAULT(DATA_ABORT, 0x0e | WNR, TEST_VA);
	set(pud(), RAM_BASE | PTE_BLOCK | PTE_SH | PTE_AF | PTE_RO);
	store64(TEST_VA, 1);
	CHECK_FAULT(DATA_ABORT, 0x0d | WNR, TEST_VA);
}

static void execute_never_bits(void)
{
	mmu_on();
	trap_clear();
	uint64_t page = code_page();
	set(pte(0), page | (PTE_RW & ~PTE_PXN));
	call(TEST_VA);
	CHECK_NO_FAULT();
	set(pte(0), page | PTE_RW);
	call(TEST_VA);
	CHECK_FAULT(INSN_ABORT, 0x0f, TEST_VA);
	/* What EL0 may write, EL1 never executes. */
	set(pte(0), page | (PTE_RW & ~PTE_PXN) | PTE_USER);
	call(TEST_VA);
	CHECK_FAULT(INSN_ABORT, 0x0f, TEST_VA);
	set(pte(0), page | (PTE_RW & ~PTE_PXN) | PTE_USER | PTE_RO);
	call(TEST_VA);
	CHECK_NO_FAULT();
}

/* SCTLR_EL1 = @on, call @target, SCTLR_EL1 = @off. */
void wxn_probe(uint64_t on, uint64_t off, uint64_t target, volatile struct trap *trap);
__asm__(".text\n.globl wxn_probe\nwxn_probe:\n\tstp x29, x30, [sp, #-32]!\n\tstp x1, x3, [sp, #16]\n\t"
	"adr x4, 1f\n\tstr x4, [x3, #48]\n\tmsr sctlr_el1, x0\n\tisb\n\tblr x2\n"
	"1:\tldp x1, x3, [sp, #16]\n\tmsr sctlr_el1, x1\n\tisb\n\tstr xzr, [x3, #48]\n\t"
	"ldp x29, x30, [sp], #32\n\tret\n");

extern char image_end[], bss_start[];

static void wxn_makes_writable_pages_not_executable(void)
{
	mmu_on();
	trap_clear();
	uint64_t page = code_page();
	set(pte(0), page | (PTE_RW & ~PTE_PXN));
	set(pte(1), page | (PTE_RW & ~PTE_PXN) | PTE_RO);
	/* This program's own mapping is writable, so what runs under WXN does so in an alias: code read-only, the rest not executable. */
	uint64_t sctlr = READ_SYSREG(sctlr_el1);
	uint64_t alias = TEST_VA + 16 * 4096 - RAM_BASE;
	for (uint64_t pa = RAM_BASE; pa < (uint64_t)image_end; pa += 4096) {
		bool code = pa < (uint64_t)bss_start;
		pte(16)[(pa - RAM_BASE) / 4096] = pa | (code ? PTE_PAGE | PTE_SH | PTE_AF | PTE_RO : PTE_RW);
	}
	flush_all();
	void (*probe)(uint64_t, uint64_t, uint64_t, volatile struct trap *) =
		(void (*)(uint64_t, uint64_t, uint64_t, volatile struct trap *))((uint64_t)wxn_probe + alias);
	WRITE_SYSREG(vbar_el1, (uint64_t)vectors + alias);
	probe(sctlr | 1 << 19, sctlr, TEST_VA, &trap);
	CHECK_FAULT(INSN_ABORT, 0x0f, TEST_VA);
	probe(sctlr | 1 << 19, sctlr, TEST_VA + 0x1000, &trap);
	CHECK_NO_FAULT();
	WRITE_SYSREG(vbar_el1, (uint64_t)vectors);
}

static void access_flag_fault_without_hardware_update(void)
{
	mmu_on();
	trap_clear();
	set(pte(0), page_alloc(1) | (PTE_RW & ~PTE_AF));
	load64(TEST_VA);
	CHECK_FAULT(DATA_ABORT, 0x0b, TEST_VA);
	store64(TEST_VA, 1);
	CHECK_FAULT(DATA_ABORT, 0x0b | WNR, TEST_VA);
	set(pmd(), RAM_BASE | PTE_BLOCK | PTE_SH);
	load64(TEST_VA);
	CHECK_FAULT(DATA_ABORT, 0x0a, TEST_VA);
	/* Not cached: setting the flag without TLBI is enough. */
	*pmd() |= PTE_AF;
	ASM("dsb ish\n\tisb");
	load64(TEST_VA);
	CHECK_NO_FAULT();
}

static void access_flag_is_set_by_hardware(void)
{
	mmu_on_with(TCR_HA);
	trap_clear();
	set(pte(0), page_alloc(1) | (PTE_RW & ~PTE_AF));
	set(pte(1), page_alloc(1) | (PTE_RW & ~PTE_AF) | PTE_RO);
	load64(TEST_VA);
	CHECK_NO_FAULT();
	CHECK_EQ(*pte(0) & PTE_AF, PTE_AF);
	CHECK_EQ(*pte(1) & PTE_AF, 0);
	store64(TEST_VA + 0x1000, 1);
	CHECK_FAULT(DATA_ABORT, 0x0f | WNR, TEST_VA + 0x1000);
}

static void dirty_state_is_set_by_hardware(void)
{
	mmu_on_with(TCR_HA | TCR_HD);
	trap_clear();
	uint64_t clean = page_alloc(1) | PTE_RW | PTE_RO | PTE_DBM;
	set(pte(0), clean);
	load64(TEST_VA);
	CHECK_EQ(*pte(0), clean);
	store64(TEST_VA, 5);
	CHECK_NO_FAULT();
	CHECK_EQ(*pte(0), clean & ~PTE_RO);
	CHECK_EQ(load64(TEST_VA), 5);
	/* An atomic is a write too. */
	set(pte(1), clean);
	swap(TEST_VA + 0x1000, 6);
	CHECK_EQ(*pte(1), clean & ~PTE_RO);
	/* Without DBM the page is read-only as ever. */
	set(pte(2), clean & ~PTE_DBM);
	store64(TEST_VA + 0x2000, 7);
	CHECK_FAULT(DATA_ABORT, 0x0f | WNR, TEST_VA + 0x2000);
	CHECK_EQ(*pte(2), clean & ~PTE_DBM);
}

static void pan_hides_user_pages(void)
{
	mmu_on();
	trap_clear();
	uint64_t page = page_alloc(1);
	set(pte(0), page | PTE_RW | PTE_USER);
	WRITE_SYSREG(s3_0_c4_c2_3, 0);
	store64(TEST_VA, 0x77);
	CHECK_NO_FAULT();
	ASM(".inst 0xd500419f"); /* msr pan, #1 */
	load64(TEST_VA);
	CHECK_FAULT(DATA_ABORT, 0x0f, TEST_VA);
	store64(TEST_VA, 1);
	CHECK_FAULT(DATA_ABORT, 0x0f | WNR, TEST_VA);
	CHECK_EQ(load_user(TEST_VA), 0x77);
	store_user(TEST_VA, 0x78);
	CHECK_NO_FAULT();
	ASM(".inst 0xd500409f");
	CHECK_EQ(load64(TEST_VA), 0x78);
	CHECK_NO_FAULT();
}

static void unprivileged_accesses_have_the_rights_of_el0(void)
{
	mmu_on();
	trap_clear();
	set(pte(0), page_alloc(1) | PTE_RW);
	load_user(TEST_VA);
	CHECK_FAULT(DATA_ABORT, 0x0f, TEST_VA);
	store_user(TEST_VA, 1);
	CHECK_FAULT(DATA_ABORT, 0x0f | WNR, TEST_VA);
	set(pte(0), page_alloc(1) | PTE_RW | PTE_USER | PTE_RO);
	load_user(TEST_VA);
	CHECK_NO_FAULT();
	store_user(TEST_VA, 1);
	CHECK_FAULT(DATA_ABORT, 0x0f | WNR, TEST_VA);
}

static void e0pd_hides_a_half_from_el0(void)
{
	mmu_on_with(1ul << 56);
	trap_clear();
	set(pte_high(0), page_alloc(1) | PTE_RW | PTE_USER);
	load64(TEST_HIGH);
	CHECK_NO_FAULT();
	user_call(user_entry(user_load), TEST_HIGH, 0, 0);
	CHECK_FAULT(DATA_ABORT_EL0, 0x04, TEST_HIGH);
	WRITE_SYSREG(tcr_el1, TCR_BASE);
	user_call(user_entry(user_load), TEST_HIGH, 0, 0);
	CHECK_EQ(trap.esr, ESR(0x15ul, 0x51));
}

static void top_byte_is_ignored_where_tbi_says_so(void)
{
	mmu_on_with(1ul << 37);
	trap_clear();
	uint64_t tagged = TEST_VA | 0xa5ul << 56;
	set(pte(0), page_alloc(1) | PTE_RW);
	store64(tagged, 9);
	CHECK_EQ(load64(TEST_VA), 9);
	CHECK_EQ(load64(tagged), 9);
	CHECK_NO_FAULT();
	load64(tagged + 0x1000);
	CHECK_FAULT(DATA_ABORT, 0x07, tagged + 0x1000);
	/* A flush by the plain address reaches tagged uses. */
	*pte(0) = 0;
	SYS_VA("dsb ishst\n\ttlbi vaae1is", TEST_VA >> 12);
	load64(tagged);
	CHECK_FAULT(DATA_ABORT, 0x07, tagged);
	set(pte_high(0), page_alloc(1) | PTE_RW);
	load64(TEST_HIGH & ~(1ul << 60)); /* TBI1 is off */
	CHECK_FAULT(DATA_ABORT, 0x04, TEST_HIGH & ~(1ul << 60));
	uint64_t page = code_page();
	set(pte(0), page | (PTE_RW & ~PTE_PXN));
	call(tagged); /* the PC loses its tag */
	CHECK_NO_FAULT();
}

static void table_attributes_restrict(void)
{
	mmu_on();
	trap_clear();
	uint64_t page = code_page(), table = *pmd();
	set(pte(0), page | PTE_PAGE | PTE_SH | PTE_AF);
	set(pmd(), table | 1ul << 62); /* no writes */
	load64(TEST_VA);
	CHECK_NO_FAULT();
	store64(TEST_VA + 16, 1);
	CHECK_FAULT(DATA_ABORT, 0x0f | WNR, TEST_VA + 16);
	set(pmd(), table | 1ul << 59); /* PXN */
	call(TEST_VA);
	CHECK_FAULT(INSN_ABORT, 0x0f, TEST_VA);
	set(pmd(), table);
	set(pte(0), page | PTE_RW | PTE_USER);
	load_user(TEST_VA);
	CHECK_NO_FAULT();
	set(pmd(), table | 1ul << 61); /* no EL0 */
	load_user(TEST_VA);
	CHECK_FAULT(DATA_ABORT, 0x0f, TEST_VA);
	/* HPD0 switches them off. */
	WRITE_SYSREG(tcr_el1, TCR_BASE | 1ul << 41);
	flush_all();
	load_user(TEST_VA);
	CHECK_NO_FAULT();
}

static void epd_disables_walks(void)
{
	mmu_on_with(1ul << 23);
	trap_clear();
	set(pte_high(0), page_alloc(1) | PTE_RW);
	load64(TEST_HIGH);
	CHECK_FAULT(DATA_ABORT, 0x04, TEST_HIGH);
}

static void address_size_faults(void)
{
	mmu_on();
	trap_clear();
	WRITE_SYSREG(tcr_el1, (TCR_BASE & ~(7ul << 32)) | 1ul << 32); /* 36 bits */
	flush_all();
	set(pte(0), 1ul << 36 | PTE_RW);
	load64(TEST_VA);
	CHECK_FAULT(DATA_ABORT, 0x03, TEST_VA);
	uint64_t table = *pmd();
	set(pmd(), table | 1ul << 40);
	load64(TEST_VA);
	CHECK_FAULT(DATA_ABORT, 0x02, TEST_VA);
	set(pmd(), table);
	uint64_t ttbr = READ_SYSREG(ttbr1_el1);
	WRITE_SYSREG(ttbr1_el1, 1ul << 40);
	load64(TEST_HIGH);
	CHECK_FAULT(DATA_ABORT, 0x00, TEST_HIGH);
	WRITE_SYSREG(ttbr1_el1, ttbr);
}

static void external_aborts(void)
{
	mmu_on();
	trap_clear();
	load32(NOTHING);
	CHECK_FAULT(DATA_ABORT, 0x10, NOTHING);
	store64(NOTHING, 1);
	CHECK_FAULT(DATA_ABORT, 0x10 | WNR, NOTHING);
	call(NOTHING);
	CHECK_FAULT(INSN_ABORT, 0x10, NOTHING);
	/* A table where nothing is. */
	uint64_t table = *pmd();
	set(pmd(), NOTHING | 3);
	load64(TEST_VA);
	CHECK_FAULT(DATA_ABORT, 0x17, TEST_VA);
	set(pmd(), table);
	uint64_t upper = *pud();
	set(pud(), NOTHING | 3);
	load64(TEST_VA);
	CHECK_FAULT(DATA_ABORT, 0x16, TEST_VA);
	set(pud(), upper);
}

static void without_mmu_data_is_device(void)
{
	trap_clear();
	uint64_t page = page_alloc(1);
	store64(page, 0x1122334455667788);
	CHECK_EQ(load64(page), 0x1122334455667788);
	CHECK_NO_FAULT();
	load64(page + 1);
	CHECK_FAULT(DATA_ABORT, 0x21, page + 1);
	load64(1ul << 48);
	CHECK_FAULT(DATA_ABORT, 0x00, 1ul << 48);
	zero_line(page);
	CHECK_FAULT(DATA_ABORT, 0x21 | WNR, page);
}

static void sctlr_a_checks_alignment(void)
{
	mmu_on();
	trap_clear();
	set(pte(0), page_alloc(1) | PTE_RW);
	load64(TEST_VA + 1);
	CHECK_NO_FAULT();
	WRITE_SYSREG(sctlr_el1, READ_SYSREG(sctlr_el1) | 2);
	load64(TEST_VA + 1);
	CHECK_FAULT(DATA_ABORT, 0x21, TEST_VA + 1);
	store64(TEST_VA + 4, 1);
	CHECK_FAULT(DATA_ABORT, 0x21 | WNR, TEST_VA + 4);
	store_pair(TEST_VA + 8, 1, 2);
	CHECK_NO_FAULT();
	load64(TEST_VA + 0x1001); /* alignment comes before translation */
	CHECK_FAULT(DATA_ABORT, 0x21, TEST_VA + 0x1001);
	WRITE_SYSREG(sctlr_el1, READ_SYSREG(sctlr_el1) & ~2ul);
	load64(TEST_VA + 1);
	CHECK_NO_FAULT();
}

/* The high half with another granule and size: @tg1 as TCR_EL1 has it. */
static void use_high_granule(unsigned tg1, unsigned t1sz, uint64_t table)
{
	WRITE_SYSREG(tcr_el1, (TCR_BASE & ~(3ul << 30) & ~(0x3ful << 16)) | (uint64_t)tg1 << 30 |
				      (uint64_t)t1sz << 16);
	WRITE_SYSREG(ttbr1_el1, table);
	flush_all();
}

static uint64_t aligned_pages(unsigned bytes)
{
	uint64_t page;
	do {
		page = page_alloc(1);
	} while (page & (bytes - 1));
	page_alloc(bytes / 4096 - 1);
	return page;
}

static void granule_16k(void)
{
	mmu_on();
	trap_clear();
	volatile uint64_t *l1 = (volatile uint64_t *)aligned_pages(0x4000);
	volatile uint64_t *l2 = (volatile uint64_t *)aligned_pages(0x4000);
	volatile uint64_t *l3 = (volatile uint64_t *)aligned_pages(0x4000);
	uint64_t page = aligned_pages(0x4000);
	/* 47 bits: level 1 is the first. */
	l1[0] = (uint64_t)l2 | 3;
	l2[0] = (uint64_t)l3 | 3;
	l2[1] = RAM_BASE | PTE_BLOCK | PTE_SH | PTE_AF; /* 32 MiB */
	l3[1] = page | PTE_RW;
	use_high_granule(1, 17, (uint64_t)l1);
	uint64_t base = 0xffff800000000000;
	store64(base + 0x4000 + 0x3ff8, 0x16);
	CHECK_NO_FAULT();
	CHECK_EQ(*(volatile uint64_t *)(page + 0x3ff8), 0x16);
	CHECK_EQ(load64(base + 0x2000000 + (page - RAM_BASE) + 0x3ff8), 0x16);
	load64(base);
	CHECK_FAULT(DATA_ABORT, 0x07, base);
	load64(base + 0x4000000);
	CHECK_FAULT(DATA_ABORT, 0x06, base + 0x4000000);
	l1[1] = RAM_BASE | PTE_BLOCK | PTE_SH | PTE_AF; /* no blocks at level 1 */
	load64(base + (1ul << 36));
	CHECK_FAULT(DATA_ABORT, 0x05, base + (1ul << 36));
	/* All four fragments of a page go with one TLBI. */
	load64(base + 0x4000);
	l3[1] = 0;
	SYS_VA("dsb ishst\n\ttlbi vaae1is", (base + 0x7000) >> 12 & 0xfffffffffff);
	load64(base + 0x4000);
	CHECK_FAULT(DATA_ABORT, 0x07, base + 0x4000);
}

static void granule_64k(void)
{
	mmu_on();
	trap_clear();
	volatile uint64_t *l1 = (volatile uint64_t *)aligned_pages(0x1000);
	volatile uint64_t *l2 = (volatile uint64_t *)aligned_pages(0x10000);
	volatile uint64_t *l3 = (volatile uint64_t *)aligned_pages(0x10000);
	uint64_t page = aligned_pages(0x10000);
	l1[0] = (uint64_t)l2 | 3;
	l2[0] = (uint64_t)l3 | 3;
	l2[1] = RAM_BASE | PTE_BLOCK | PTE_SH | PTE_AF; /* 512 MiB */
	l3[2] = page | PTE_RW;
	use_high_granule(3, 16, (uint64_t)l1);
	uint64_t base = 0xffff000000000000;
	store64(base + 0x20000 + 0xfff8, 0x64);
	CHECK_NO_FAULT();
	CHECK_EQ(*(volatile uint64_t *)(page + 0xfff8), 0x64);
	CHECK_EQ(load64(base + 0x20000000 + (page - RAM_BASE) + 0xfff8), 0x64);
	load64(base);
	CHECK_FAULT(DATA_ABORT, 0x07, base);
	load64(base + (1ul << 42));
	CHECK_FAULT(DATA_ABORT, 0x05, base + (1ul << 42));
}

static void smaller_address_spaces_start_at_a_lower_level(void)
{
	mmu_on();
	trap_clear();
	/* 39 bits, 4K: level 1 is first.  25 bits: level 2 with 16 entries. */
	volatile uint64_t *l1 = (volatile uint64_t *)page_alloc(1);
	l1[0] = RAM_BASE | PTE_BLOCK | PTE_SH | PTE_AF;
	use_high_granule(2, 25, (uint64_t)l1);
	uint64_t word = page_alloc(1), base = 0xffffff8000000000;
	*(volatile uint64_t *)word = 0x39;
	CHECK_EQ(load64(base + (word - RAM_BASE)), 0x39);
	CHECK_NO_FAULT();
	load64(base - 8);
	CHECK_FAULT(DATA_ABORT, 0x04, base - 8);
	load64(base + (1ul << 30));
	CHECK_FAULT(DATA_ABORT, 0x05, base + (1ul << 30));
	volatile uint64_t *l2 = (volatile uint64_t *)page_alloc(1);
	l2[15] = RAM_BASE | PTE_BLOCK | PTE_SH | PTE_AF;
	use_high_granule(2, 39, (uint64_t)l2);
	CHECK_EQ(load64(0xffffffffffe00000 + (word - RAM_BASE)), 0x39);
	CHECK_NO_FAULT();
	load64(0xfffffffffe000000);
	CHECK_FAULT(DATA_ABORT, 0x06, 0xfffffffffe000000);
}

static uint64_t at(uint64_t va, char kind)
{
	switch (kind) {
	case 'r':
		__asm__ volatile("at s1e1r, %0\n\tisb" ::"r"(va) : "memory");
		break;
	case 'w':
		__asm__ volatile("at s1e1w, %0\n\tisb" ::"r"(va) : "memory");
		break;
	case 'R':
		__asm__ volatile("at s1e0r, %0\n\tisb" ::"r"(va) : "memory");
		break;
	case 'W':
		__asm__ volatile("at s1e0w, %0\n\tisb" ::"r"(va) : "memory");
		break;
	default:
		__asm__ volatile(".arch armv8.2-a\n\tat s1e1rp, %0\n\tisb" ::"r"(va) : "memory");
		break;
	}
	return READ_SYSREG(par_el1);
}

static void at_reports_in_par(void)
{
	mmu_on();
	trap_clear();
	uint64_t page = page_alloc(1);
	set(pte(0), page | PTE_RW);
	uint64_t good = page | 0xfful << 56 | 3 << 7 | 1 << 9 | 1 << 11;
	CHECK_EQ(at(TEST_VA + 0x123, 'r'), good);
	CHECK_EQ(at(TEST_VA, 'w'), good);
	CHECK_EQ(at(TEST_VA, 'R'), 1 | 0x0f << 1 | 1 << 11);
	CHECK_EQ(at(TEST_VA + 0x1000, 'r'), 1 | 0x07 << 1 | 1 << 11);
	set(pte(0), page | PTE_RW | PTE_RO | PTE_USER);
	CHECK_EQ(at(TEST_VA, 'w'), 1 | 0x0f << 1 | 1 << 11);
	CHECK_EQ(at(TEST_VA, 'W'), 1 | 0x0f << 1 | 1 << 11);
	CHECK_EQ(at(TEST_VA, 'R'), good);
	ASM(".inst 0xd500419f"); /* msr pan, #1 */
	CHECK_EQ(at(TEST_VA, 'r'), good);
	CHECK_EQ(at(TEST_VA, 'p'), 1 | 0x0f << 1 | 1 << 11);
	ASM(".inst 0xd500409f");
	CHECK_EQ(at(DEVICE, 'r'), (DEVICE & ~0xffful) | 0x04ul << 56 | 2 << 7 | 1 << 9 | 1 << 11);
	CHECK_NO_FAULT();
}

TESTS(T(translation_faults_name_the_level), T(addresses_outside_both_halves_fault_at_level_0),
      T(el0_faults_have_their_own_class), T(read_only_pages_refuse_writes), T(execute_never_bits),
      T(wxn_makes_writable_pages_not_executable), T(access_flag_fault_without_hardware_update),
      T(access_flag_is_set_by_hardware), T(dirty_state_is_set_by_hardware), T(pan_hides_user_pages),
      T(unprivileged_accesses_have_the_rights_of_el0), T(e0pd_hides_a_half_from_el0),
      T(top_byte_is_ignored_where_tbi_says_so), T(table_attributes_restrict), T(epd_disables_walks),
      T(address_size_faults), T(external_aborts), T(without_mmu_data_is_device),
      T(sctlr_a_checks_alignment), T(granule_16k), T(granule_64k),
      T(smaller_address_spaces_start_at_a_lower_level), T(at_reports_in_par));
