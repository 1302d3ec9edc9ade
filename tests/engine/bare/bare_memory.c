/* SPDX-License-Identifier: Apache-2.0 */
/* bare_memory.c - unaligned, crossing, exclusive and atomic accesses; devices; the GPU window */
#include "bare.h"

#define WNR	     (1ul << 6)
#define ESR(iss)     (0x25ul << 26 | 1ul << 25 | (iss))
#define PATTERN	     0x0123456789abcdeful

#define CHECK_FAULT(iss, va)                                                                       \
	do {                                                                                       \
		CHECK_EQ(trap.count, 1);                                                           \
		CHECK_EQ(trap.esr, ESR(iss));                                                      \
		CHECK_EQ(trap.far, va);                                                            \
		trap_clear();                                                                      \
	} while (0)

/* Two virtual pages side by side whose memory is not; returns the boundary. */
static uint64_t two_pages(uint64_t *first, uint64_t *second)
{
	mmu_on();
	*second = page_alloc(1);
	page_alloc(1);
	*first = page_alloc(1);
	*pte(0) = *first | PTE_RW;
	*pte(1) = *second | PTE_RW;
	flush_all();
	trap_clear();
	return TEST_VA + 0x1000;
}

static uint64_t byte_at(uint64_t address)
{
	return *(volatile uint8_t *)address;
}

static void accesses_cross_pages(void)
{
	uint64_t first, second, edge = two_pages(&first, &second);
	for (unsigned before = 1; before < 8; before++) {
		store64(edge - before, PATTERN + before);
		CHECK_EQ(load64(edge - before), PATTERN + before);
		for (unsigned n = 0; n < 8; n++) {
			uint64_t wanted = (PATTERN + before) >> n * 8 & 0xff;
			uint64_t place = n < before ? first + 0x1000 - before + n : second + n - before;
			CHECK_EQ(byte_at(place), wanted);
		}
	}
	CHECK_EQ(load32(edge - 2), ((PATTERN + 7) >> 40) | 0x01000000);
	store_pair(edge - 8, 1, 2);
	CHECK_EQ(load64(edge - 8), 1);
	CHECK_EQ(*(volatile uint64_t *)second, 2);
	store_pair(edge - 3, PATTERN, ~PATTERN);
	CHECK_EQ(load64(edge - 3), PATTERN);
	CHECK_EQ(load64(edge + 5), ~PATTERN);
	CHECK_EQ(trap.count, 0);
}

static void a_crossing_write_that_faults_writes_nothing(void)
{
	uint64_t first, second, edge = two_pages(&first, &second);
	store64(edge - 8, PATTERN);
	*pte(1) = 0;
	flush_all();
	store64(edge - 4, 0);
	CHECK_FAULT(0x07 | WNR, edge);
	store_pair(edge - 8, 0, 0);
	CHECK_FAULT(0x07 | WNR, edge);
	CHECK_EQ(load64(edge - 8), PATTERN);
	load64(edge - 4);
	CHECK_FAULT(0x07, edge);
	*pte(1) = second | PTE_RW | PTE_RO;
	flush_all();
	store64(edge - 1, 0);
	CHECK_FAULT(0x0f | WNR, edge);
	CHECK_EQ(load64(edge - 8), PATTERN);
	*pte(0) = 0;
	flush_all();
	store64(edge - 1, 0);
	CHECK_FAULT(0x07 | WNR, edge - 1);
}

static void ordered_and_exclusive_accesses_must_be_aligned(void)
{
	uint64_t first, second;
	two_pages(&first, &second);
	load_acquire(TEST_VA + 4);
	CHECK_FAULT(0x21, TEST_VA + 4);
	load_exclusive(TEST_VA + 1);
	CHECK_FAULT(0x21, TEST_VA + 1);
	swap(TEST_VA + 4, 1);
	CHECK_FAULT(0x21, TEST_VA + 4);
	load_acquire(TEST_VA + 8);
	CHECK_EQ(trap.count, 0);
}

static void device_memory_must_be_aligned(void)
{
	mmu_on();
	trap_clear();
	load32(DEVICE + DEVICE_SCRATCH + 2);
	CHECK_FAULT(0x21, DEVICE + DEVICE_SCRATCH + 2);
	/* RAM that is mapped as Device as well. */
	*pte(0) = page_alloc(1) | PTE_RW | PTE_DEVICE;
	flush_all();
	store64(TEST_VA, PATTERN);
	CHECK_EQ(load64(TEST_VA), PATTERN);
	CHECK_EQ(trap.count, 0);
	store64(TEST_VA + 4, 1);
	CHECK_FAULT(0x21 | WNR, TEST_VA + 4);
	load64(TEST_VA + 0xffc);
	CHECK_FAULT(0x21, TEST_VA + 0xffc);
	zero_line(TEST_VA);
	CHECK_FAULT(0x21 | WNR, TEST_VA);
}

static void device_accesses_have_their_size(void)
{
	mmu_on();
	uint64_t count = device_read(DEVICE_ACCESSES) >> 8;
	device_write(DEVICE_SCRATCH, PATTERN);
	CHECK_EQ(device_read(DEVICE_ACCESSES), (count + 1) << 8 | 8);
	CHECK_EQ(load32(DEVICE + DEVICE_SCRATCH), (uint32_t)PATTERN);
	CHECK_EQ(device_read(DEVICE_ACCESSES), (count + 2) << 8 | 4);
	CHECK_EQ(load8(DEVICE + DEVICE_SCRATCH + 1), 0xcd);
	CHECK_EQ(device_read(DEVICE_ACCESSES), (count + 3) << 8 | 1);
	uint32_t low, high;
	__asm__ volatile("ldp %w0, %w1, [%2]" : "=r"(low), "=r"(high) : "r"(DEVICE + DEVICE_SCRATCH) : "memory");
	CHECK_EQ(low, (uint32_t)PATTERN);
	CHECK_EQ(high, PATTERN >> 32);
	CHECK_EQ(device_read(DEVICE_ACCESSES), (count + 5) << 8 | 4);
}

static void devices_refuse_exclusives_and_atomics(void)
{
	mmu_on();
	trap_clear();
	load_exclusive(DEVICE + DEVICE_SCRATCH);
	CHECK_FAULT(0x35, DEVICE + DEVICE_SCRATCH);
	swap(DEVICE + DEVICE_SCRATCH, 1);
	CHECK_FAULT(0x35, DEVICE + DEVICE_SCRATCH);
}

static unsigned store_exclusive(uint64_t va, uint64_t value)
{
	unsigned status;
	__asm__ volatile("stxr %w0, %1, [%2]" : "=&r"(status) : "r"(value), "r"(va) : "memory");
	return status;
}

static void exclusives_need_their_monitor(void)
{
	mmu_on();
	static uint64_t words[4];
	uint64_t a = (uint64_t)&words[0], b = (uint64_t)&words[2];
	words[0] = 1;
	CHECK_EQ(store_exclusive(a, 2), 1);
	CHECK_EQ(load_exclusive(a), 1);
	CHECK_EQ(store_exclusive(a, 2), 0);
	CHECK_EQ(words[0], 2);
	CHECK_EQ(store_exclusive(a, 3), 1);
	load_exclusive(a);
	CHECK_EQ(store_exclusive(b, 3), 1);
	load_exclusive(a);
	ASM("clrex");
	CHECK_EQ(store_exclusive(a, 3), 1);
	load_exclusive(a);
	ASM("svc #0\n\tnop");
	CHECK_EQ(store_exclusive(a, 3), 1);
	/* Another write in between is seen. */
	load_exclusive(a);
	((volatile uint64_t *)words)[0] = 9;
	CHECK_EQ(store_exclusive(a, 3), 1);
	CHECK_EQ(words[0], 9);
	/* Another virtual address of the same memory is the same place. */
	uint64_t page = page_alloc(1);
	*pte(0) = page | PTE_RW;
	*pte(1) = page | PTE_RW;
	flush_all();
	load_exclusive(TEST_VA);
	CHECK_EQ(store_exclusive(TEST_VA + 0x1000, 7), 0);
	CHECK_EQ(load64(TEST_VA), 7);
}

static void pair_exclusives_are_16_bytes(void)
{
	mmu_on();
	static uint64_t words[2] __attribute__((aligned(16))) = {0, 0};
	uint64_t a, b;
	unsigned status;
	words[0] = 1;
	words[1] = 2;
	__asm__ volatile("ldxp %0, %1, [%3]\n\tstxp %w2, %1, %0, [%3]"
			 : "=&r"(a), "=&r"(b), "=&r"(status) : "r"(words) : "memory");
	CHECK_EQ(status, 0);
	CHECK_EQ(words[0], 2);
	CHECK_EQ(words[1], 1);
	trap_clear();
	__asm__ volatile("ldxp x9, x10, [%0]" ::"r"((uint64_t)words + 8) : "x9", "x10", "memory");
	CHECK_FAULT(0x21, (uint64_t)words + 8);
}

static void dc_zva_zeroes_64_bytes(void)
{
	uint64_t first, second;
	two_pages(&first, &second);
	for (unsigned n = 0; n < 24; n++) {
		store64(TEST_VA + n * 8, ~0ul);
	}
	zero_line(TEST_VA + 0x55);
	CHECK_EQ(load64(TEST_VA + 0x38), ~0ul);
	for (unsigned n = 8; n < 16; n++) {
		CHECK_EQ(load64(TEST_VA + n * 8), 0);
	}
	CHECK_EQ(load64(TEST_VA + 0x80), ~0ul);
	CHECK_EQ(trap.count, 0);
	*pte(1) = second | PTE_RW | PTE_RO;
	flush_all();
	zero_line(TEST_VA + 0x1040);
	CHECK_FAULT(0x0f | WNR, TEST_VA + 0x1040);
	CHECK_EQ(READ_SYSREG(dczid_el0), 4);
}

static void unmapped_window_reads_zero_and_ignores_writes(void)
{
	mmu_on();
	trap_clear();
	CHECK_EQ(load64(WINDOW), 0);
	store64(WINDOW, PATTERN);
	store_pair(WINDOW + 3, 1, 2);
	CHECK_EQ(load64(WINDOW), 0);
	CHECK_EQ(load64(WINDOW + 0x8001), 0);
	CHECK_EQ(swap(WINDOW, 5), 0);
	CHECK_EQ(load_exclusive(WINDOW), 0);
	zero_line(WINDOW);
	CHECK_EQ(trap.count, 0);
	/* Behind the window nothing answers. */
	load64(WINDOW + 0x10000);
	CHECK_FAULT(0x10, WINDOW + 0x10000);
}

static void window_pages_come_and_go(void)
{
	mmu_on();
	trap_clear();
	CHECK_EQ(load64(WINDOW), 0);
	device_write(DEVICE_WINDOW, 1);
	store64(WINDOW + 8, PATTERN);
	CHECK_EQ(load64(WINDOW + 8), PATTERN);
	CHECK_EQ(load64(WINDOW + 0x1008), 0);
	device_write(DEVICE_WINDOW, 0);
	CHECK_EQ(load64(WINDOW + 8), 0);
	store64(WINDOW + 8, 1);
	CHECK_EQ(load64(WINDOW + 8), 0);
	device_write(DEVICE_WINDOW, 1); /* the same pages again */
	CHECK_EQ(load64(WINDOW + 8), PATTERN);
	CHECK_EQ(trap.count, 0);
}

static void the_window_moves(void)
{
	mmu_on();
	trap_clear();
	device_write(DEVICE_WINDOW, 1);
	store64(WINDOW + 16, PATTERN);
	device_write(DEVICE_PLACE, WINDOW + 0x100000);
	CHECK_EQ(load64(WINDOW + 0x100010), PATTERN);
	CHECK_EQ(trap.count, 0);
	load64(WINDOW + 16);
	CHECK_FAULT(0x10, WINDOW + 16);
	device_write(DEVICE_PLACE, ~0ul);
	load64(WINDOW + 0x100010);
	CHECK_FAULT(0x10, WINDOW + 0x100010);
}

TESTS(T(accesses_cross_pages), T(a_crossing_write_that_faults_writes_nothing),
      T(ordered_and_exclusive_accesses_must_be_aligned), T(device_memory_must_be_aligned),
      T(device_accesses_have_their_size), T(devices_refuse_exclusives_and_atomics),
      T(exclusives_need_their_monitor), T(pair_exclusives_are_16_bytes), T(dc_zva_zeroes_64_bytes),
      T(unmapped_window_reads_zero_and_ignores_writes), T(window_pages_come_and_go), T(the_window_moves));
