/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare.h - what the bare-metal tests share: traps, translation tables, EL0, the test device
 *
 * How it works: the machine (machine.c) loads the program at RAM_BASE for each test anew and enters at EL1 with the MMU off and x0 =
 * the test's number.  Synchronous exceptions are recorded in `trap` and the instruction is skipped, unless they come from EL0:
 * then user_call() returns.
 */
#ifndef BARE_H
#define BARE_H

#include <stddef.h>
#include <stdint.h>

#define RAM_BASE 0x40000000ul
#define RAM_LEN	 0x04000000ul
#define DEVICE	 0x09000000ul
#define WINDOW	 0x80000000ul /* GPU window of 64 KiB, mapped by the test device */
#define NEXT	 (WINDOW + 0x1000)
#define NEXT_LEN 0x4000ul
#define NOTHING	 0x0a000000ul /* an address where nothing answers */

/* The test device. */
enum {
	DEVICE_CHAR = 0x00,	/* write: print */
	DEVICE_END = 0x08,	/* write: end of the test with this status */
	DEVICE_LINE = 0x10,	/* write: level of the IRQ line */
	DEVICE_WINDOW = 0x18,	/* write: 1 maps the window's first page, 0 unmaps it */
	DEVICE_SCRATCH = 0x20,	/* storage */
	DEVICE_ACCESSES = 0x28, /* read: number of accesses to SCRATCH, low byte the size of the last */
	DEVICE_PLACE = 0x30,	/* write: where the window is */
	DEVICE_NEXT = 0x38,	/* write: 1 maps NEXT_LEN zeros of a file at NEXT, 0 unmaps them */
	DEVICE_CUT = 0x40,	/* write: length of that file from now on */
	DEVICE_LOSSES = 0x48,	/* read: how many losses the engine told of */
	DEVICE_LOST = 0x50,	/* read: where in the window the last one was */
};

enum { STATUS_PASS, STATUS_FAIL, STATUS_NO_SUCH_TEST };

struct trap {
	uint64_t count;
	uint64_t vector; /* offset from VBAR_EL1 */
	uint64_t esr, far, elr, spsr;
	uint64_t resume; /* non-zero: go on here instead of behind the instruction */
	uint64_t scratch;
};
extern volatile struct trap trap;
extern char vectors[];

struct test {
	const char *name;
	void (*fn)(void);
};
extern const struct test tests[];
extern const unsigned test_count;
#define TESTS(...)                                                                                 \
	const struct test tests[] = {__VA_ARGS__};                                                 \
	const unsigned test_count = sizeof(tests) / sizeof(tests[0])
#define T(fn) {#fn, fn}

void check_failed(const char *file, int line, const char *what, uint64_t got, uint64_t wanted);
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			check_failed(__FILE__, __LINE__, #condition, 0, 1);                        \
		}                                                                                  \
	} while (0)
#define CHECK_EQ(got, wanted)                                                                      \
	do {                                                                                       \
		uint64_t check_got_ = (uint64_t)(got), check_wanted_ = (uint64_t)(wanted);         \
		if (check_got_ != check_wanted_) {                                                 \
			check_failed(__FILE__, __LINE__, #got, check_got_, check_wanted_);         \
		}                                                                                  \
	} while (0)

#define READ_SYSREG(name)                                                                          \
	({                                                                                         \
		uint64_t sysreg_value_;                                                            \
		__asm__ volatile("mrs %0, " #name : "=r"(sysreg_value_)::"memory");                \
		sysreg_value_;                                                                     \
	})
#define WRITE_SYSREG(name, value)                                                                  \
	__asm__ volatile("msr " #name ", %0\n\tisb" ::"r"((uint64_t)(value)) : "memory")
#define ASM(text) __asm__ volatile(text ::: "memory")
#define SYS_VA(op, va)                                                                             \
	__asm__ volatile(op ", %0\n\tdsb ish\n\tisb" ::"r"((uint64_t)(va)) : "memory")

static inline void device_write(unsigned reg, uint64_t value)
{
	*(volatile uint64_t *)(DEVICE + reg) = value;
}

static inline uint64_t device_read(unsigned reg)
{
	return *(volatile uint64_t *)(DEVICE + reg);
}

/* One instruction each; they trap as recorded in `trap`. */
uint64_t load8(uint64_t va);
uint64_t load32(uint64_t va);
uint64_t load64(uint64_t va);
uint64_t load_acquire(uint64_t va);
uint64_t load_user(uint64_t va); /* LDTR */
uint64_t load_exclusive(uint64_t va);
void store64(uint64_t va, uint64_t value);
void store_user(uint64_t va, uint64_t value); /* STTR */
void store_pair(uint64_t va, uint64_t first, uint64_t second);
uint64_t swap(uint64_t va, uint64_t value); /* SWP */
void call(uint64_t va);			    /* BLR; a fault there resumes behind */
uint64_t load_at_sp(uint64_t sp);
void zero_line(uint64_t va); /* DC ZVA */

/* Forget earlier traps.  TRAP(): what the last one was. */
void trap_clear(void);

/* Descriptor bits. */
#define PTE_PAGE     3ul
#define PTE_BLOCK    1ul
#define PTE_DEVICE   (1ul << 2) /* MAIR index 1 */
#define PTE_NORMAL   (0ul << 2)
#define PTE_USER     (1ul << 6)
#define PTE_RO	     (1ul << 7)
#define PTE_SH	     (3ul << 8)
#define PTE_AF	     (1ul << 10)
#define PTE_NG	     (1ul << 11)
#define PTE_DBM	     (1ul << 51)
#define PTE_PXN	     (1ul << 53)
#define PTE_UXN	     (1ul << 54)
#define PTE_RW	     (PTE_PAGE | PTE_NORMAL | PTE_SH | PTE_AF | PTE_UXN | PTE_PXN)

/* TCR_EL1 that mmu_on() uses: both halves 48 bits, 4K. */
#define TCR_BASE                                                                                   \
	(16ul | 16ul << 16 | 1ul << 8 | 1ul << 10 | 3ul << 12 | 1ul << 24 | 1ul << 26 | 3ul << 28 | \
	 2ul << 30 | 5ul << 32 | 1ul << 36)

/*
 * Identity map of RAM, window and device in the low half, an empty high half; MMU on.  pte() is the level 3 descriptor of TEST_VA +
 * page * 4096, low half, or of TEST_HIGH.
 */
#define TEST_VA	  0x100000000ul
#define TEST_HIGH 0xffff800000000000ul
void mmu_on(void);
void mmu_on_with(uint64_t tcr_bits);
volatile uint64_t *pte(unsigned page);
volatile uint64_t *pte_high(unsigned page);
/* Level 1 and 2 descriptors over TEST_VA. */
volatile uint64_t *pmd(void);
volatile uint64_t *pud(void);
void flush_all(void);
/* Page-aligned zeroed memory, never freed. */
uint64_t page_alloc(unsigned pages);

/*
 * Run code at EL0: @entry is a function of user.S, mapped for EL0 at USER_CODE.  Returns x0 at the exception, which is
 * in `trap`.
 */
uint64_t user_call(uint64_t entry, uint64_t x0, uint64_t x1, uint64_t spsr);
uint64_t user_entry(void (*fn)(void));
void user_svc(void);
void user_load(void);
void user_store(void);
void user_undefined(void);
void user_wfi(void);
void user_mrs_ctr(void);
void user_mrs_cntvct(void);
void user_mrs_midr(void);
void user_msr_daif(void);
void user_ic_ivau(void);
void user_zva(void);
void user_brk(void);
void user_hvc(void);
void user_loop(void);
void user_steps(void);
void user_fp(void);
void user_tlbi(void);
void user_copy(void);	    /* CPYFP, CPYFM, CPYFE of 48 bytes */
void user_copy_rest(void); /* CPYFM of nothing */

#endif
