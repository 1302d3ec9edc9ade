/* SPDX-License-Identifier: Apache-2.0 */
/*
 * board.c - a guest of its own: what every engine must do with a guest's odd accesses and firmware calls
 *
 * Booted as a kernel by `oriel run` on any engine.  Prints one line for each test, "ok NAME" or "bad NAME: got X, wanted Y", then
 * powers off.  Devices of the board with registers of known content or plain storage stand for all.
 */
#include <stdint.h>

#define UART	 0x09000000ul
#define RTC	 0x09010000ul
#define V2M	 0x08020000ul
#define GICD	 0x08000000ul
#define GICR	 0x080a0000ul
#define NOTHING	 0x0a000000ul
#define UART_IDS (UART + 0xfe0) /* reads 11 10 14 00, a word each */
#define RTC_MR	 (RTC + 0x04)	/* storage of 32 bits */
#define IBRD	 (UART + 0x24)	/* storage of 16 bits, then FBRD of 6 */

volatile struct {
	uint64_t count, esr, far;
} trap;

uint64_t at_sp(uint64_t address, uint64_t *moved);

static void put(const char *text)
{
	for (; *text; text++) {
		*(volatile uint32_t *)UART = (uint8_t)*text;
	}
}

static void put_number(uint64_t value)
{
	char text[19] = "0x";
	for (int n = 0; n < 16; n++) {
		text[2 + n] = "0123456789abcdef"[value >> (60 - 4 * n) & 0xf];
	}
	text[18] = 0;
	put(text);
}

static void check(const char *name, uint64_t got, uint64_t wanted)
{
	put(got == wanted ? "ok " : "bad ");
	put(name);
	if (got != wanted) {
		put(": got ");
		put_number(got);
		put(", wanted ");
		put_number(wanted);
	}
	put("\n");
}

static uint32_t read32(uint64_t address)
{
	return *(volatile uint32_t *)address;
}

static void write32(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

/* Class and status of the last abort. */
static uint64_t fault_of(void)
{
	return trap.count ? (trap.esr >> 26) << 8 | (trap.esr & 0x3f) : 0;
}

#define ASM(...) __asm__ volatile(__VA_ARGS__)

/* ----- loads and stores of general registers ----- */

static void write_back(void)
{
	uint64_t base = RTC, value;
	ASM("str %w1, [%0, #4]!" : "+r"(base) : "r"(0x12345678) : "memory");
	check("store with pre-index", read32(RTC_MR), 0x12345678);
	check("... moves its base", base, RTC_MR);
	base = UART_IDS;
	ASM("ldr %w0, [%1], #4" : "=&r"(value), "+r"(base)::"memory");
	check("load with post-index", value, 0x11);
	check("... moves its base", base, UART_IDS + 4);
	check("load with SP as base", at_sp(UART_IDS, &base), 0x11);
	check("... moves SP", base, UART_IDS + 16);
	base = UART_IDS + 8;
	ASM("ldrsb %0, [%1, #0]!" : "=&r"(value), "+r"(base)::"memory");
	check("signed load with pre-index", value, 0x14);
}

static void pairs(void)
{
	uint64_t first, second, base = IBRD;
	ASM("ldp %w0, %w1, [%2]" : "=&r"(first), "=&r"(second) : "r"(UART_IDS) : "memory");
	check("pair, first", first, 0x11);
	check("pair, second", second, 0x10);
	ASM("ldp %0, %1, [%2]" : "=&r"(first), "=&r"(second) : "r"(UART_IDS) : "memory");
	check("pair of 64 bits, first", first, 0x1000000011);
	check("pair of 64 bits, second", second, 0x14);
	ASM("ldnp %w0, %w1, [%2, #4]" : "=&r"(first), "=&r"(second) : "r"(UART_IDS) : "memory");
	check("non-temporal pair", first | second << 32, 0x1400000010);
	ASM("ldpsw %0, %1, [%2]" : "=&r"(first), "=&r"(second) : "r"(UART_IDS) : "memory");
	check("signed pair", first, 0x11);
	ASM("stp %w1, %w2, [%0], #8" : "+r"(base) : "r"(0x321), "r"(0x2a) : "memory");
	check("store of a pair, first", read32(IBRD), 0x321);
	check("store of a pair, second", read32(IBRD + 4), 0x2a);
	check("... moves its base", base, IBRD + 8);
}

static void atomics(void)
{
	uint64_t old;
	ASM("mrs %0, id_aa64isar0_el1" : "=r"(old));
	if (!(old >> 20 & 0xf)) { /* not of this CPU model */
		return;
	}
	write32(RTC_MR, 40);
	trap.count = 0;
	ASM(".arch_extension lse\n\tldadd %w1, %w0, [%2]" : "=&r"(old) : "r"(2), "r"(RTC_MR) : "memory");
	if (trap.count) { /* an engine may say that devices have no atomics */
		check("atomic on a device is an unsupported access", fault_of(), 0x2535);
		return;
	}
	check("atomic add, old", old, 40);
	check("atomic add, new", read32(RTC_MR), 42);
	ASM("swp %w1, %w0, [%2]" : "=&r"(old) : "r"(7), "r"(RTC_MR) : "memory");
	check("swap, old", old, 42);
	old = 7;
	ASM("cas %w0, %w1, [%2]" : "+r"(old) : "r"(9), "r"(RTC_MR) : "memory");
	check("compare and swap, equal", read32(RTC_MR), 9);
	old = 1;
	ASM("cas %w0, %w1, [%2]" : "+r"(old) : "r"(11), "r"(RTC_MR) : "memory");
	check("compare and swap, not equal", old, 9);
	check("... stores nothing", read32(RTC_MR), 9);
	ASM("ldxr %w0, [%1]" : "=&r"(old) : "r"(RTC_MR) : "memory");
	check("load exclusive", old, 9);
}

/* ----- SIMD ----- */

static uint64_t low, high;

#define TAKE(reg) ASM("fmov %0, " #reg "\n\tmov %1, v0.d[1]" : "=&r"(low), "=&r"(high) : : "v0", "memory")

static void vectors_of_all_kinds(void)
{
	ASM("movi v0.16b, #255\n\tldr s0, [%0]" ::"r"(UART_IDS) : "v0", "memory");
	TAKE(d0);
	check("SIMD load of 32 bits", low, 0x11);
	check("... clears the rest", high, 0);
	ASM("ldr q0, [%0]" ::"r"(UART_IDS) : "v0", "memory");
	TAKE(d0);
	check("SIMD load of 128 bits, low", low, 0x1000000011);
	check("SIMD load of 128 bits, high", high, 0x14);
	ASM("ld1 {v0.4s}, [%0]" ::"r"(UART_IDS) : "v0", "memory");
	TAKE(d0);
	check("LD1", low, 0x1000000011);
	ASM("movi v0.16b, #255\n\tld1 {v0.s}[1], [%0]" ::"r"(UART_IDS + 8) : "v0", "memory");
	TAKE(d0);
	check("LD1 of a lane", low, 0x14ffffffff);
	check("... keeps the rest", high, UINT64_MAX);
	ASM("ld1r {v0.4s}, [%0]" ::"r"(UART_IDS) : "v0", "memory");
	TAKE(d0);
	check("LD1R", high, 0x1100000011);
	ASM("ld2 {v0.2s, v1.2s}, [%0]" ::"r"(UART_IDS) : "v0", "v1", "memory");
	TAKE(d0);
	check("LD2", low, 0x1400000011);
	ASM("movi v0.4s, #77\n\tstr s0, [%0]" ::"r"(RTC_MR) : "v0", "memory");
	check("SIMD store", read32(RTC_MR), 77);
	ASM("movi v0.2s, #33\n\tmovi v1.2s, #22\n\tstp s0, s1, [%0]" ::"r"(IBRD) : "v0", "v1", "memory");
	check("SIMD store of a pair, first", read32(IBRD), 33);
	check("SIMD store of a pair, second", read32(IBRD + 4), 22);
	ASM("movi v0.2s, #11\n\tst1 {v0.s}[1], [%0]" ::"r"(RTC_MR) : "v0", "memory");
	check("ST1 of a lane", read32(RTC_MR), 11);
}

/* Memory set, of which hardware describes nothing and nobody does it by hand. */
static void memory_operations(void)
{
	uint64_t isar2, to = RTC_MR, left = 4;
	ASM("mrs %0, s3_0_c0_c6_2" : "=r"(isar2));
	if (!(isar2 >> 16 & 0xf)) {
		return;
	}
	write32(RTC_MR, 9);
	trap.count = 0;
	/* SETP [x9]!, x10!, x11 */
	ASM("mov x9, %0\n\tmov x10, %1\n\tmov w11, #1\n\t.inst 0x19cb0549"
		::"r"(to), "r"(left) : "x9", "x10", "x11", "cc", "memory");
	if (trap.count) {
		check("memory set on a device is an external abort", fault_of(), 0x2510);
	} else {
		check("memory set on a device", read32(RTC_MR), 0x01010101);
	}
}

/* ----- SVE: what accesses by hand do to its registers ----- */

static void scalable_vectors(void)
{
	uint64_t pfr0, bytes, last;
	ASM("mrs %0, id_aa64pfr0_el1" : "=r"(pfr0));
	if (!(pfr0 >> 32 & 0xf)) {
		return;
	}
	ASM("msr s3_0_c1_c2_0, %0\n\tisb" ::"r"(UINT64_C(0xf)));
	ASM(".arch_extension sve\n\trdvl %0, #1" : "=r"(bytes));
	put("sve ");
	put_number(bytes);
	put("\n");
	static uint8_t out[256];
	/* z1 keeps all of it while z0 is loaded, of which the rest becomes zero. */
	ASM(".arch_extension sve\n\tdup z0.b, #85\n\tdup z1.b, #86\n\tldr q0, [%0]\n\tstr z0, [%1]"
		::"r"(UART_IDS), "r"(out) : "v0", "v1", "memory");
	last = out[bytes - 1];
	check("SIMD load on a CPU with SVE", *(uint64_t *)out, 0x1000000011);
	check("... clears the rest of Z", last, bytes > 16 ? 0 : out[15]);
	ASM(".arch_extension sve\n\tstr z1, [%0]" ::"r"(out) : "memory");
	check("... and no other", out[bytes - 1], 86);
}

/* ----- nothing there, and where no engine can reach by hand ----- */

static void aborts(void)
{
	uint64_t base = NOTHING, first = 1, second = 2;
	trap.count = 0;
	(void)read32(NOTHING);
	check("load from nothing is an external abort", fault_of(), 0x2510);
	check("... at its address", trap.far, NOTHING);
	trap.count = 0;
	write32(NOTHING, 1);
	check("store to nothing is an external abort", fault_of(), 0x2510);
	trap.count = 0;
	ASM("ldp %0, %1, [%2], #16" : "+r"(first), "+r"(second), "+r"(base)::"memory");
	check("pair from nothing is an external abort", fault_of(), 0x2510);
	check("... that changes no register", first == 1 && second == 2 && base == NOTHING, 1);
}

/* GICR_IGROUPR0, as newer compilers write it, and other registers of the interrupt controller in ways that hardware does not
 * describe. */
static void controller(void)
{
	uint64_t base = GICR + 0x10000, first, second;
	trap.count = 0;
	ASM("str %w1, [%0, #128]!" : "+r"(base) : "r"(0xffff0000) : "memory");
	check("store with pre-index to the redistributor", read32(GICR + 0x10080), 0xffff0000);
	check("... moves its base", base, GICR + 0x10080);
	base = GICR + 0x10402;
	ASM("strb %w1, [%0, #1]!" : "+r"(base) : "r"(0xa8) : "memory");
	check("a byte of the priorities", read32(GICR + 0x10400) >> 24, 0xa8);
	base = GICD + 4;
	ASM("ldr %w0, [%1], #4" : "=&r"(first), "+r"(base)::"memory");
	check("load with post-index from the distributor", first, read32(GICD + 4));
	ASM("stp %w1, %w2, [%0]" ::"r"(GICD + 0x400 + 96), "r"(0x80808080), "r"(0x90909090) : "memory");
	check("store of a pair, first", read32(GICD + 0x400 + 96), 0x80808080);
	check("store of a pair, second", read32(GICD + 0x400 + 100), 0x90909090);
	base = GICD + 0x200 + 12;
	ASM("str %w1, [%0], #4" : "+r"(base) : "r"(6) : "memory");
	base = GICD + 0x200 + 12;
	ASM("str %w1, [%0], #4" : "+r"(base) : "r"(1) : "memory");
	check("pending bits are set", read32(GICD + 0x200 + 12), 7);
	ASM("ldp %w0, %w1, [%2]" : "=&r"(first), "=&r"(second) : "r"(GICD + 0x200 + 12) : "memory");
	check("... and read", first, 7);
	base = GICD + 0x280 + 12;
	ASM("str %w1, [%0], #4" : "+r"(base) : "r"(5) : "memory");
	check("... and cleared", read32(GICD + 0x200 + 12), 2);
	write32(GICD + 0x280 + 12, 2);
	base = GICD + 0x6000 + 8 * 97;
	ASM("str %1, [%0], #8" : "+r"(base) : "r"(UINT64_C(0x100)) : "memory");
	check("64 bits of routing", read32(GICD + 0x6000 + 8 * 97), 0x100);
	check("the controller gives no abort", trap.count, 0);
}

static void messages(void)
{
	unsigned first = read32(V2M + 8) >> 16 & 0x3ff;
	check("messages begin at", first, 96);
	write32(GICD, 0x12);
	write32(GICD + 0xc00 + first / 16 * 4, 0xaaaaaaaa); /* edge */
	write32(V2M + 0x40, first + 1);
	check("a message is pending", read32(GICD + 0x200 + first / 32 * 4), 2);
	write32(GICD + 0x280 + first / 32 * 4, 2);
}

/* ----- firmware calls ----- */

static int64_t call(uint64_t function, uint64_t argument, uint64_t *second)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = argument;
	ASM("hvc #0" : "+r"(x0), "+r"(x1)::"x2", "x3", "x4", "memory");
	if (second) {
		*second = x1;
	}
	return (int64_t)x0;
}

static void calls(void)
{
	uint64_t seed;
	put("psci ");
	put_number((uint64_t)call(0x84000000, 0, 0));
	put("\n");
	check("SMCCC version", call(0x80000000, 0, 0), 0x10001);
	check("unknown standard call", call(0x8400ffff, 0, 0), -1);
	check("unknown call of a vendor", call(0xc3000003, 0, 0), -1);
	put("keys ");
	put_number((uint64_t)call(0xc1000001, 0, &seed));
	put(" ");
	put_number(seed);
	put("\n");
}

void board_main(void)
{
	write_back();
	pairs();
	atomics();
	vectors_of_all_kinds();
	memory_operations();
	scalable_vectors();
	aborts();
	messages();
	controller();
	calls();
	put("end\n");
	call(0x84000008, 0, 0);
}
