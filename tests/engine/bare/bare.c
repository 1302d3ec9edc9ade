/* SPDX-License-Identifier: Apache-2.0 */
/* bare.c - see bare.h */
#include "bare.h"

extern char user_page[], image_end[];

static uint64_t next_page;
static volatile uint64_t *low_l0, *high_l0, *test_l1, *test_l2, *test_l3, *high_l3;
static unsigned failures;

static void print(const char *text)
{
	while (*text) {
		device_write(DEVICE_CHAR, (uint8_t)*text++);
	}
}

static void print_hex(uint64_t value)
{
	print("0x");
	for (int shift = 60; shift >= 0; shift -= 4) {
		char digit[2] = {"0123456789abcdef"[value >> shift & 15], 0};
		print(digit);
	}
}

static void print_number(unsigned value)
{
	char digits[12];
	unsigned n = sizeof(digits) - 1;
	digits[n] = 0;
	do {
		digits[--n] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	print(digits + n);
}

void check_failed(const char *file, int line, const char *what, uint64_t got, uint64_t wanted)
{
	failures++;
	print("# ");
	print(file);
	print(":");
	print_number((unsigned)line);
	print(": ");
	print(what);
	print(": got ");
	print_hex(got);
	print(", wanted ");
	print_hex(wanted);
	print("\n");
}

void bare_main(unsigned number);
void bare_main(unsigned number)
{
	next_page = ((uint64_t)image_end + 4095) & ~4095ul;
	if (number >= test_count) {
		device_write(DEVICE_END, STATUS_NO_SUCH_TEST);
	}
	print(tests[number].name);
	print("\n");
	tests[number].fn();
	device_write(DEVICE_END, failures ? STATUS_FAIL : STATUS_PASS);
	for (;;) {
	}
}

void trap_clear(void)
{
	trap.count = 0;
	trap.vector = trap.esr = trap.far = trap.elr = trap.spsr = ~0ul;
	trap.resume = 0;
}

uint64_t page_alloc(unsigned pages)
{
	uint64_t page = next_page;
	next_page += pages * 4096ul;
	return page; /* RAM is zero at the start */
}

static volatile uint64_t *new_table(volatile uint64_t *parent, unsigned index)
{
	volatile uint64_t *table = (volatile uint64_t *)page_alloc(1);
	if (parent) {
		parent[index] = (uint64_t)table | 3;
	}
	return table;
}

static unsigned index_at(uint64_t va, unsigned level)
{
	return va >> (39 - 9 * level) & 511;
}

void mmu_on_with(uint64_t tcr_bits)
{
	low_l0 = new_table(NULL, 0);
	high_l0 = new_table(NULL, 0);
	volatile uint64_t *l1 = new_table(low_l0, 0);
	volatile uint64_t *l2 = new_table(l1, 0);
	l2[index_at(DEVICE, 2)] = (DEVICE & ~0x1ffffful) | PTE_BLOCK | PTE_DEVICE | PTE_AF;
	l2[index_at(NOTHING, 2)] = (NOTHING & ~0x1ffffful) | PTE_BLOCK | PTE_DEVICE | PTE_AF;
	l2 = new_table(l1, 1);
	for (uint64_t pa = RAM_BASE; pa < RAM_BASE + RAM_LEN; pa += 0x200000) {
		l2[index_at(pa, 2)] = pa | PTE_BLOCK | PTE_SH | PTE_AF;
	}
	l2 = new_table(l1, 2);
	l2[index_at(WINDOW, 2)] = WINDOW | PTE_BLOCK | PTE_SH | PTE_AF;
	test_l1 = l1;
	test_l2 = new_table(l1, index_at(TEST_VA, 1));
	test_l3 = new_table(test_l2, 0);
	high_l3 = new_table(new_table(new_table(high_l0, index_at(TEST_HIGH, 0)), 0), 0);
	/* EL0 sees its code in the last page of the test range. */
	test_l3[511] = (uint64_t)user_page | PTE_PAGE | PTE_USER | PTE_RO | PTE_SH | PTE_AF | PTE_PXN;
	WRITE_SYSREG(mair_el1, 0x04ff);
	WRITE_SYSREG(tcr_el1, TCR_BASE ^ tcr_bits);
	WRITE_SYSREG(ttbr0_el1, (uint64_t)low_l0);
	WRITE_SYSREG(ttbr1_el1, (uint64_t)high_l0);
	ASM("dsb sy\n\ttlbi vmalle1\n\tdsb sy\n\tisb");
	WRITE_SYSREG(sctlr_el1, READ_SYSREG(sctlr_el1) | 1 | 1 << 2 | 1 << 12);
}

void mmu_on(void)
{
	mmu_on_with(0);
}

volatile uint64_t *pte(unsigned page)
{
	return &test_l3[page];
}

volatile uint64_t *pte_high(unsigned page)
{
	return &high_l3[page];
}

volatile uint64_t *pmd(void)
{
	return &test_l2[0];
}

volatile uint64_t *pud(void)
{
	return &test_l1[index_at(TEST_VA, 1)];
}

void flush_all(void)
{
	ASM("dsb ish\n\ttlbi vmalle1is\n\tdsb ish\n\tisb");
}

uint64_t user_entry(void (*fn)(void))
{
	return TEST_VA + 511 * 4096 + ((uint64_t)fn - (uint64_t)user_page);
}

__attribute__((weak)) void on_irq(void);
__attribute__((weak)) void on_irq(void)
{
	check_failed(__FILE__, __LINE__, "unexpected interrupt", trap.vector, 0);
	device_write(DEVICE_END, STATUS_FAIL);
}
