/* SPDX-License-Identifier: Apache-2.0 */
/* bare_lost.c - pages of the GPU window that the host loses while they are mapped */
#include "bare.h"

#define PATTERN 0x0123456789abcdeful
#define AT	(NEXT + 0x2100)

enum { PAGE = 4096, ROUNDS = 20000 };

static uint64_t losses;

/* Pages full of a pattern at WINDOW and NEXT; then the host cuts the file behind NEXT. */
static void lose(uint64_t left)
{
	device_write(DEVICE_WINDOW, 1);
	device_write(DEVICE_NEXT, 1);
	for (uint64_t n = 0; n < NEXT_LEN; n += 8) {
		*(volatile uint64_t *)(NEXT + n) = PATTERN;
	}
	*(volatile uint64_t *)(WINDOW + PAGE - 8) = PATTERN;
	losses = device_read(DEVICE_LOSSES);
	device_write(DEVICE_CUT, left);
	trap_clear();
}

/* One loss was told, at NEXT; all that was mapped there is @word at AT and zeros; the neighbour is
 * as it was. */
static void check_lost(uint64_t word)
{
	CHECK_EQ(trap.count, 0);
	CHECK_EQ(device_read(DEVICE_LOSSES), losses + 1);
	CHECK_EQ(device_read(DEVICE_LOST), NEXT - WINDOW);
	for (uint64_t n = 0; n < NEXT_LEN; n += 8) {
		CHECK_EQ(load64(NEXT + n), NEXT + n == AT ? word : 0);
	}
	CHECK_EQ(load64(WINDOW + PAGE - 8), PATTERN);
	store64(NEXT + 8, 3);
	CHECK_EQ(load64(NEXT + 8), 3);
	CHECK_EQ(device_read(DEVICE_LOSSES), losses + 1);
}

/* AT, as EL0 may see it. */
static uint64_t user_view(void)
{
	*pte(0) = (AT & ~4095ul) | PTE_RW | PTE_USER;
	flush_all();
	return TEST_VA + AT % PAGE;
}

static void loads_find_zeros(void)
{
	uint64_t (*const loads[])(uint64_t) = {load8, load32, load64, load_acquire, load_exclusive};
	mmu_on();
	for (unsigned n = 0; n < sizeof(loads) / sizeof(loads[0]); n++) {
		lose(0);
		CHECK_EQ(loads[n](AT), 0);
		check_lost(0);
	}
	lose(0);
	CHECK_EQ(load_user(user_view()), 0);
	check_lost(0);
}

static void stores_stay(void)
{
	mmu_on();
	lose(0);
	store64(AT, 77);
	check_lost(77);
	lose(0);
	store_user(user_view(), 78);
	check_lost(78);
	lose(0);
	store_pair(AT, 79, 0);
	check_lost(79);
}

static void atomics_and_lines_work(void)
{
	mmu_on();
	lose(0);
	CHECK_EQ(swap(AT, 5), 0);
	check_lost(5);
	lose(0);
	zero_line(AT);
	check_lost(0);
}

static void vectors_find_zeros(void)
{
	uint64_t low = 1, high = 1;
	mmu_on();
	WRITE_SYSREG(cpacr_el1, 3 << 20);
	lose(0);
	__asm__ volatile(
		".arch_extension simd\n\tldr q0, [%2]\n\tmov %0, v0.d[0]\n\tmov %1, v0.d[1]"
		: "=&r"(low), "=&r"(high)
		: "r"(AT)
		: "memory");
	CHECK_EQ(low | high, 0);
	check_lost(0);
	lose(0);
	__asm__ volatile(".arch_extension simd\n\tld4 {v0.2d-v3.2d}, [%2]\n\tmov %0, "
			 "v0.d[0]\n\tmov %1, v3.d[1]"
			 : "=&r"(low), "=&r"(high)
			 : "r"(AT)
			 : "memory");
	CHECK_EQ(low | high, 0);
	check_lost(0);
}

/* cpyfp, cpyfm, cpyfe [x0]!, [x1]!, x2! */
static void copy(uint64_t to, uint64_t from, uint64_t len)
{
	register uint64_t x0 __asm__("x0") = to;
	register uint64_t x1 __asm__("x1") = from;
	register uint64_t x2 __asm__("x2") = len;
	__asm__ volatile(".inst 0x19010440\n\t.inst 0x19410440\n\t.inst 0x19810440"
			 : "+r"(x0), "+r"(x1), "+r"(x2)
			 :
			 : "memory", "cc");
	CHECK_EQ(x0, to + len);
	CHECK_EQ(x1, from + len);
	CHECK_EQ(x2, 0);
}

static void copies_are_whole(void)
{
	mmu_on();
	uint64_t ram = page_alloc(4);
	lose(PAGE); /* the first page is there until another is touched */
	copy(ram, NEXT, NEXT_LEN);
	CHECK_EQ(load64(ram), PATTERN);
	CHECK_EQ(load64(ram + PAGE), 0);
	CHECK_EQ(load64(ram + NEXT_LEN - 8), 0);
	check_lost(0);
	lose(0);
	copy(AT, ram, 8);
	check_lost(PATTERN);
}

static void a_crossing_access_keeps_the_healthy_half(void)
{
	mmu_on();
	lose(0);
	CHECK_EQ(load64(NEXT - 4), PATTERN >> 32);
	check_lost(0);
}

/* The loop is hot, its memory goes in the middle of it. */
static void loops_go_on(void)
{
	uint64_t sum = 0;
	mmu_on();
	lose(NEXT_LEN);
	for (unsigned n = 0; n < ROUNDS; n++) {
		if (n == ROUNDS / 2) {
			device_write(DEVICE_CUT, 0);
		}
		sum += *(volatile uint64_t *)(AT + n % 16 * 8);
	}
	CHECK_EQ(sum, PATTERN * (ROUNDS / 2));
	check_lost(0);
}

static void what_is_mapped_again_is_whole(void)
{
	mmu_on();
	lose(0);
	CHECK_EQ(load64(AT), 0);
	device_write(DEVICE_NEXT, 1);
	store64(AT, PATTERN);
	CHECK_EQ(load64(AT), PATTERN);
	CHECK_EQ(device_read(DEVICE_LOSSES), losses + 1);
	device_write(DEVICE_NEXT, 0);
	CHECK_EQ(load64(AT), 0);
	lose(PAGE);
	CHECK_EQ(load64(NEXT), PATTERN);
	CHECK_EQ(device_read(DEVICE_LOSSES), losses);
}

TESTS(T(loads_find_zeros), T(stores_stay), T(atomics_and_lines_work), T(vectors_find_zeros),
      T(copies_are_whole), T(a_crossing_access_keeps_the_healthy_half), T(loops_go_on),
      T(what_is_mapped_again_is_whole));
