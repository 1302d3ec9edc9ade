/* SPDX-License-Identifier: Apache-2.0 */
/* bare_mops.c - memory copy and memory set: results, progress at faults, exceptions of their own */
#include "bare.h"

#define WNR	 (1ul << 6)
#define MSCEN	 (1ul << 33)
#define C_FLAG	 (1ul << 29)
#define MOPS(ec) ((ec) << 26 | 1ul << 25)
#define OPTION_A (1ul << 16)
#define WRONG	 (1ul << 17)
#define EPILOGUE (1ul << 18)
#define IS_SET	 (1ul << 24)
/* Of the instructions below: Xd is x0, Xs is x1, Xn is x2. */
#define REGISTERS (0ul << 10 | 1ul << 5 | 2)

enum { PAGE = 4096 };

/* Operands in, operands and flags out. */
struct operands {
	uint64_t d, s, n, nzcv;
};

/* One instruction with x0, x1 and x2. */
#define ONE(name, word)                                                                            \
	static struct operands name(uint64_t d, uint64_t s, uint64_t n, uint64_t nzcv)             \
	{                                                                                          \
		register uint64_t x0 __asm__("x0") = d;                                            \
		register uint64_t x1 __asm__("x1") = s;                                            \
		register uint64_t x2 __asm__("x2") = n;                                            \
		__asm__ volatile("msr nzcv, %3\n\t.inst " #word "\n\tmrs %3, nzcv"                 \
				 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(nzcv)                        \
				 :                                                                 \
				 : "memory", "cc");                                                \
		return (struct operands){x0, x1, x2, nzcv};                                        \
	}
ONE(cpyfp, 0x19010440)
ONE(cpyfm, 0x19410440)
ONE(cpyfe, 0x19810440)
ONE(cpyfpwt, 0x19011440)
ONE(cpyfprt, 0x19012440)
ONE(cpyfpt, 0x19013440)
ONE(cpyfmrtn, 0x1941e440)
ONE(cpyfprn, 0x19018440)
ONE(cpyfpn, 0x1901c440)
ONE(cpyp, 0x1d010440)
ONE(cpym, 0x1d410440)
ONE(cpye, 0x1d810440)
ONE(cpyewn, 0x1d814440)
ONE(setp, 0x19c10440)
ONE(setm, 0x19c14440)
ONE(sete, 0x19c18440)
ONE(setpt, 0x19c11440)
ONE(setpn, 0x19c12440)
ONE(setetn, 0x19c1b440)
/* Operands that may not be: Xd = Xs, Xd = Xn, Xs = Xn, size 31; SETP with the size as data. */
ONE(same_d_s, 0x19000440)
ONE(same_d_n, 0x19010400)
ONE(same_s_n, 0x19020440)
ONE(size_31, 0x190107e0)
ONE(source_31, 0x191f0440)
ONE(set_data_is_size, 0x19c20440)
ONE(other_size, 0x59010440)

#define CHECK_OPERANDS(o, d_, s_, n_)                                                              \
	do {                                                                                       \
		struct operands check_o_ = (o);                                                    \
		CHECK_EQ(check_o_.d, d_);                                                          \
		CHECK_EQ(check_o_.s, s_);                                                          \
		CHECK_EQ(check_o_.n, n_);                                                          \
	} while (0)
#define CHECK_TRAP(esr_, far_)                                                                     \
	do {                                                                                       \
		CHECK_EQ(trap.count, 1);                                                           \
		CHECK_EQ(trap.esr, esr_);                                                          \
		CHECK_EQ(trap.far, far_);                                                          \
		trap_clear();                                                                      \
	} while (0)
#define CHECK_ABORT(iss, va) CHECK_TRAP(MOPS(0x25ul) | (iss), va)
#define CHECK_EXCEPTION(iss)                                                                       \
	do {                                                                                       \
		CHECK_EQ(trap.count, 1);                                                           \
		CHECK_EQ(trap.esr, MOPS(0x27ul) | OPTION_A | REGISTERS | (iss));                   \
		trap_clear();                                                                      \
	} while (0)

static uint8_t byte_at(uint64_t va)
{
	return *(volatile uint8_t *)va;
}

static uint8_t pattern(uint64_t n)
{
	return (uint8_t)(n * 7 + (n >> 8) + 1);
}

static void fill(uint64_t va, unsigned len)
{
	for (unsigned n = 0; n < len; n++) {
		*(volatile uint8_t *)(va + n) = pattern(n);
	}
}

/* @len bytes at @va are those of fill() from @first on. */
static void check_pattern(uint64_t va, uint64_t first, unsigned len)
{
	for (unsigned n = 0; n < len; n++) {
		if (byte_at(va + n) != pattern(first + n)) {
			CHECK_EQ(va + n, 0);
			CHECK_EQ(byte_at(va + n), pattern(first + n));
			return;
		}
	}
}

static void check_bytes(uint64_t va, uint8_t value, unsigned len)
{
	for (unsigned n = 0; n < len; n++) {
		if (byte_at(va + n) != value) {
			CHECK_EQ(va + n, 0);
			CHECK_EQ(byte_at(va + n), value);
			return;
		}
	}
}

/* Pages TEST_VA + 0.. of memory whose order is turned round; MMU on. */
static void map_pages(unsigned count)
{
	mmu_on();
	uint64_t memory = page_alloc(count);
	for (unsigned n = 0; n < count; n++) {
		*pte(n) = (memory + (count - 1 - n) * PAGE) | PTE_RW;
	}
	flush_all();
	trap_clear();
}

static void copies_forward_of_all_sizes_and_places(void)
{
	static const unsigned sizes[] = {1,  2,	  7,   8,   15,	 16,  17,   31,	  33,
					 64, 100, 128, 129, 255, 300, 1000, 4096, 9000};
	map_pages(10);
	for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		unsigned size = sizes[k];
		for (unsigned place = 0; place < 3; place++) {
			uint64_t from = TEST_VA + (place ? PAGE - size % PAGE / 2 - 1 : 64);
			uint64_t to = TEST_VA + 5 * PAGE +
				      (place == 2 ? PAGE - size % PAGE / 3 - 1 : 32 + place);
			fill(from, size);
			*(volatile uint8_t *)(to - 1) = *(volatile uint8_t *)(to + size) = 0xee;
			struct operands o = cpyfp(to, from, size, 0xful << 28);
			CHECK_EQ(o.nzcv, 0);
			CHECK_EQ(o.d - to + o.n, size + o.n);
			o = cpyfm(o.d, o.s, o.n, o.nzcv);
			o = cpyfe(o.d, o.s, o.n, o.nzcv);
			CHECK_OPERANDS(o, to + size, from + size, 0);
			CHECK_EQ(o.nzcv, 0);
			check_pattern(to, 0, size);
			CHECK_EQ(byte_at(to - 1), 0xee);
			CHECK_EQ(byte_at(to + size), 0xee);
		}
	}
	CHECK_EQ(trap.count, 0);
}

static void sets_of_all_sizes_and_places(void)
{
	static const unsigned sizes[] = {1, 3, 8, 16, 33, 64, 127, 256, 300, 4096, 9000};
	map_pages(5);
	for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		unsigned size = sizes[k];
		for (unsigned place = 0; place < 2; place++) {
			uint64_t to = TEST_VA + (place ? PAGE - size % PAGE / 2 - 1 : 8);
			*(volatile uint8_t *)(to - 1) = *(volatile uint8_t *)(to + size) = 0xee;
			struct operands o = setp(to, 0x1234500 + k + 1, size, 0xful << 28);
			CHECK_EQ(o.nzcv, 0);
			o = setm(o.d, o.s, o.n, o.nzcv);
			o = sete(o.d, o.s, o.n, o.nzcv);
			CHECK_OPERANDS(o, to + size, 0x1234500 + k + 1, 0);
			check_bytes(to, (uint8_t)(k + 1), size);
			CHECK_EQ(byte_at(to - 1), 0xee);
			CHECK_EQ(byte_at(to + size), 0xee);
		}
	}
	/* Without data register: zeros. */
	uint64_t to = TEST_VA + 16;
	register uint64_t x0 __asm__("x0") = to;
	register uint64_t x2 __asm__("x2") = 24;
	__asm__ volatile(".inst 0x19df0440" : "+r"(x0), "+r"(x2)::"memory", "cc");
	CHECK_EQ(x0 + x2, to + 24 + x2);
	check_bytes(to, 0, 24);
	CHECK_EQ(trap.count, 0);
}

static void main_and_epilogue_take_over(void)
{
	map_pages(4);
	uint64_t from = TEST_VA + 100, to = TEST_VA + 2 * PAGE + 50;
	fill(from, 5000);
	CHECK_OPERANDS(cpyfm(to + 5000, from + 5000, -5000ul, 0), to + 5000, from + 5000, 0);
	check_pattern(to, 0, 5000);
	CHECK_OPERANDS(cpyfe(to + 40, from + 140, -40ul, 0), to + 40, from + 140, 0);
	check_pattern(to, 100, 40);
	CHECK_OPERANDS(cpym(to + 40, from + 40, -40ul, 0), to + 40, from + 40, 0); /* forwards */
	check_pattern(to, 0, 40);
	CHECK_OPERANDS(cpye(to, from + 9, 40, 0), to, from + 9, 0); /* backwards */
	check_pattern(to, 9, 40);
	CHECK_OPERANDS(setm(to + 60, 5, -60ul, 0), to + 60, 5, 0);
	check_bytes(to, 5, 60);
	CHECK_OPERANDS(sete(to + 60, 6, -59ul, 0), to + 60, 6, 0);
	CHECK_EQ(byte_at(to), 5);
	check_bytes(to + 1, 6, 59);
	CHECK_EQ(trap.count, 0);
}

static void overlaps_copy_in_the_right_direction(void)
{
	static const unsigned sizes[] = {5, 40, 64, 200, 3000, 9000};
	static const int distances[] = {1, 3, 16, 33, 2000, -1, -3, -16, -33, -2000};
	map_pages(6);
	for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		for (unsigned j = 0; j < sizeof(distances) / sizeof(distances[0]); j++) {
			unsigned size = sizes[k];
			int back = distances[j] > 0 && (unsigned)distances[j] < size;
			uint64_t from = TEST_VA + 2 * PAGE - 100,
				 to = from + (uint64_t)(int64_t)distances[j];
			fill(from, size);
			struct operands o = cpyp(to, from, size, 0);
			o = cpym(o.d, o.s, o.n, o.nzcv);
			o = cpye(o.d, o.s, o.n, o.nzcv);
			CHECK_OPERANDS(o, back ? to : to + size, back ? from : from + size, 0);
			check_pattern(to, 0, size);
		}
	}
	/* Forward only is enough towards lower addresses. */
	fill(TEST_VA + 300, 5000);
	cpyfp(TEST_VA + 290, TEST_VA + 300, 5000, 0);
	check_pattern(TEST_VA + 290, 0, 5000);
	CHECK_EQ(trap.count, 0);
}

static void tags_do_not_turn_the_direction(void)
{
	uint64_t tag = 0x5aul << 56;
	mmu_on_with(1ul << 37); /* TBI0 */
	*pte(0) = page_alloc(1) | PTE_RW;
	flush_all();
	trap_clear();
	fill(TEST_VA, 100);
	struct operands o = cpyp(TEST_VA + 4, TEST_VA | tag, 100, 0);
	o = cpym(o.d, o.s, o.n, o.nzcv);
	CHECK_OPERANDS(o, TEST_VA + 4, TEST_VA | tag, 0);
	check_pattern(TEST_VA + 4, 0, 100);
	fill(TEST_VA + 4, 100);
	o = cpyp(TEST_VA | tag, TEST_VA + 4, 100, 0);
	CHECK_OPERANDS(o, (TEST_VA | tag) + 100, TEST_VA + 104, 0);
	check_pattern(TEST_VA, 0, 100);
	CHECK_EQ(trap.count, 0);
}

static void nothing_touches_no_memory(void)
{
	map_pages(1);
	uint64_t bad = TEST_VA + 8 * PAGE;
	CHECK_OPERANDS(cpyfp(bad, bad + 1, 0, 0), bad, bad + 1, 0);
	CHECK_OPERANDS(cpyp(bad, bad + 1, 0, 0), bad, bad + 1, 0);
	struct operands o = setp(bad, 1, 0, C_FLAG);
	CHECK_OPERANDS(o, bad, 1, 0);
	CHECK_EQ(o.nzcv, 0);
	/* No check of the flags either; they stay. */
	o = cpyfm(bad, bad, 0, C_FLAG);
	CHECK_EQ(o.nzcv, C_FLAG);
	cpyfe(bad, bad, 0, C_FLAG);
	cpym(bad, bad, 0, C_FLAG);
	cpye(bad, bad, 0, C_FLAG);
	setm(bad, 1, 0, C_FLAG);
	sete(bad, 1, 0, C_FLAG);
	CHECK_EQ(trap.count, 0);
}

/* Also where what is left after a fault overlaps no more. */
static void faults_do_not_turn_the_direction(void)
{
	map_pages(4);
	uint64_t there = *pte(1), edge = TEST_VA + 2 * PAGE, from = edge - 73, to = edge - 21;
	fill(from, 56);
	*pte(1) |= PTE_RO;
	flush_all();
	struct operands o = cpyp(to, from, 56, 0);
	o = cpym(o.d, o.s, o.n, o.nzcv);
	CHECK_ABORT(0x0f | WNR, edge - 1);
	CHECK_OPERANDS(o, to, from, 21);
	*pte(1) = there;
	flush_all();
	o = cpym(o.d, o.s, o.n, o.nzcv);
	CHECK_OPERANDS(o, to, from, 0);
	check_pattern(to, 0, 56);
	CHECK_EQ(trap.count, 0);
}

/* Pages 0, 1 and 3 are there, 2 is not. */
static void faults_say_how_far_it_got(void)
{
	map_pages(4);
	uint64_t there = *pte(2), hole = TEST_VA + 2 * PAGE;
	*pte(2) = 0;
	flush_all();
	fill(TEST_VA, 4000);
	/* A prologue can run again. */
	struct operands o = cpyfp(hole - 3000, TEST_VA, 4000, C_FLAG);
	CHECK_ABORT(0x07 | WNR, hole);
	CHECK_OPERANDS(o, hole, TEST_VA + 3000, 1000);
	CHECK_EQ(o.nzcv, C_FLAG);
	check_pattern(hole - 3000, 0, 3000);
	o = cpyfp(TEST_VA, hole - 100, 200, C_FLAG);
	CHECK_ABORT(0x07, hole);
	CHECK_OPERANDS(o, TEST_VA + 100, hole, 100);
	o = setp(hole - 10, 3, 30, C_FLAG);
	CHECK_ABORT(0x07 | WNR, hole);
	CHECK_OPERANDS(o, hole, 3, 20);
	/* Backwards from the end; main does it. */
	o = cpyp(hole + PAGE - 200, hole + PAGE - 300, 400, C_FLAG);
	CHECK_OPERANDS(o, hole + PAGE - 200, hole + PAGE - 300, 400);
	CHECK_EQ(o.nzcv, 0);
	o = cpym(o.d, o.s, o.n, o.nzcv);
	CHECK_ABORT(0x07, hole + PAGE - 1);
	CHECK_OPERANDS(o, hole + PAGE - 200, hole + PAGE - 300, 300);
	o = cpym(hole + PAGE - 40, hole - 10, PAGE + 40, 0);
	CHECK_ABORT(0x07, hole + PAGE - 1);
	CHECK_EQ(o.n, PAGE + 10);
	/* Main and epilogue change Xn alone. */
	o = cpyfm(hole + 60, TEST_VA + 100, -100ul, 0);
	CHECK_ABORT(0x07 | WNR, hole);
	CHECK_OPERANDS(o, hole + 60, TEST_VA + 100, -60ul);
	o = cpye(hole + PAGE - 20, TEST_VA, 30, 0);
	CHECK_ABORT(0x07 | WNR, hole + PAGE - 1);
	CHECK_OPERANDS(o, hole + PAGE - 20, TEST_VA, 20);
	o = sete(hole + 7, 9, -20ul, 0);
	CHECK_ABORT(0x07 | WNR, hole);
	CHECK_OPERANDS(o, hole + 7, 9, -7ul);
	/* And go on. */
	*pte(2) = there;
	flush_all();
	CHECK_OPERANDS(sete(o.d, o.s, o.n, 0), hole + 7, 9, 0);
	check_bytes(hole - 13, 9, 20);
	*pte(2) = there | PTE_RO;
	flush_all();
	setp(hole - 1, 1, 2, 0);
	CHECK_ABORT(0x0f | WNR, hole);
}

static void sizes_saturate(void)
{
	map_pages(2);
	uint64_t end = TEST_VA + 2 * PAGE;
	struct operands o = setp(end - 16, 1, ~0ul, 0);
	CHECK_ABORT(0x07 | WNR, end);
	CHECK_OPERANDS(o, end, 1, (~0ul >> 1) - 16);
	o = cpyfp(end - 16, TEST_VA, ~0ul, 0);
	CHECK_ABORT(0x07 | WNR, end);
	CHECK_EQ(o.n, (~0ul >> 1) - 16);
	o = cpyp(TEST_VA, end - 16, ~0ul, 0);
	CHECK_ABORT(0x07, end);
	CHECK_EQ(o.n, (~0ul >> 9) - 16);
}

static void wrong_states_are_refused(void)
{
	map_pages(1);
	struct operands o = cpyfm(TEST_VA, TEST_VA, -8ul, C_FLAG);
	CHECK_EXCEPTION(WRONG);
	CHECK_OPERANDS(o, TEST_VA, TEST_VA, -8ul);
	CHECK_EQ(o.nzcv, C_FLAG);
	cpyfe(TEST_VA, TEST_VA, -8ul, C_FLAG);
	CHECK_EXCEPTION(WRONG | EPILOGUE);
	cpym(TEST_VA, TEST_VA, 8, C_FLAG);
	CHECK_EXCEPTION(WRONG);
	cpye(TEST_VA, TEST_VA, -8ul, 0xful << 28);
	CHECK_EXCEPTION(WRONG | EPILOGUE);
	setm(TEST_VA, 1, -8ul, C_FLAG);
	CHECK_EXCEPTION(WRONG | IS_SET);
	sete(TEST_VA, 1, -8ul, C_FLAG);
	CHECK_EXCEPTION(WRONG | IS_SET | EPILOGUE);
	/* The options are in the syndrome. */
	cpyfmrtn(TEST_VA, TEST_VA, -8ul, C_FLAG);
	CHECK_EXCEPTION(WRONG | 0xeul << 19);
	cpyewn(TEST_VA, TEST_VA, -8ul, C_FLAG);
	CHECK_EXCEPTION(WRONG | EPILOGUE | 4ul << 19);
	setetn(TEST_VA, 1, -8ul, C_FLAG);
	CHECK_EXCEPTION(WRONG | IS_SET | EPILOGUE | 3ul << 19);
	/* What is left can not be above the end. */
	cpyfm(TEST_VA, TEST_VA, 8, 0);
	CHECK_EXCEPTION(0);
	sete(TEST_VA, 1, 8, 0);
	CHECK_EXCEPTION(IS_SET | EPILOGUE);
}

static void unprivileged_forms_have_the_rights_of_el0(void)
{
	map_pages(2);
	uint64_t own = TEST_VA, user = TEST_VA + PAGE;
	*pte(1) |= PTE_USER;
	flush_all();
	fill(own, 16);
	fill(user, 16);
	cpyfpwt(own + 32, user, 16, 0);
	CHECK_ABORT(0x0f | WNR, own + 32);
	cpyfpwt(user + 32, own, 16, 0);
	cpyfprt(user + 64, own, 16, 0);
	CHECK_ABORT(0x0f, own);
	cpyfprt(own + 64, user, 16, 0);
	cpyfpt(user + 96, own, 16, 0);
	CHECK_ABORT(0x0f, own);
	cpyfpt(user + 96, user, 16, 0);
	setpt(own, 1, 8, 0);
	CHECK_ABORT(0x0f | WNR, own);
	setpt(user + 128, 1, 8, 0);
	/* Not temporal is no privilege. */
	cpyfprn(own + 128, own, 16, 0);
	cpyfpn(own + 160, own, 16, 0);
	setpn(own + 192, 1, 16, 0);
	CHECK_EQ(trap.count, 0);
	/* With PAN, only they reach EL0's memory. */
	ASM(".inst 0xd500419f"); /* msr pan, #1 */
	cpyfp(own, user, 8, 0);
	CHECK_ABORT(0x0f, user);
	cpyfprt(own, user, 8, 0);
	CHECK_EQ(trap.count, 0);
	ASM(".inst 0xd500409f");
	check_pattern(user + 32, 0, 16);
	check_pattern(own + 64, 0, 16);
	check_pattern(user + 96, 0, 16);
	check_bytes(user + 128, 1, 8);
	check_pattern(own + 160, 0, 16);
}

static void alignment_is_never_checked(void)
{
	map_pages(2);
	WRITE_SYSREG(sctlr_el1, READ_SYSREG(sctlr_el1) | 2); /* A */
	*pte(1) |= PTE_DEVICE;
	flush_all();
	fill(TEST_VA, 200);
	cpyfp(TEST_VA + PAGE + 1, TEST_VA + 3, 150, 0);
	setp(TEST_VA + PAGE + 201, 4, 77, 0);
	CHECK_EQ(trap.count, 0);
	check_pattern(TEST_VA + PAGE + 1, 3, 150);
	check_bytes(TEST_VA + PAGE + 201, 4, 77);
}

static void devices_get_aligned_accesses(void)
{
	mmu_on();
	trap_clear();
	uint64_t page = page_alloc(1), scratch = DEVICE + DEVICE_SCRATCH;
	uint64_t count = device_read(DEVICE_ACCESSES) >> 8;
	fill(page, 16);
	CHECK_OPERANDS(cpyfp(scratch, page + 8, 8, 0), scratch + 8, page + 16, 0);
	CHECK_EQ(device_read(DEVICE_ACCESSES), (count + 1) << 8 | 8);
	CHECK_EQ(device_read(DEVICE_SCRATCH), *(volatile uint64_t *)(page + 8));
	cpyp(page, scratch, 8, 0);
	CHECK_EQ(device_read(DEVICE_ACCESSES), (count + 3) << 8 | 8);
	check_pattern(page, 8, 8);
	cpyfp(page + 17, scratch, 3, 0); /* as the other side wants it */
	CHECK_EQ(device_read(DEVICE_ACCESSES), (count + 6) << 8 | 1);
	check_pattern(page + 17, 8, 3);
	setp(scratch, 0xab, 4, 0);
	CHECK_EQ(device_read(DEVICE_ACCESSES), (count + 7) << 8 | 4);
	CHECK_EQ(trap.count, 0);
	/* Behind it nothing answers. */
	struct operands o = setp(NOTHING + 3, 1, 6, 0);
	CHECK_ABORT(0x10 | WNR, NOTHING + 3);
	CHECK_OPERANDS(o, NOTHING + 3, 1, 6);
	o = cpyfp(page, scratch, 0x1000, 0);
	CHECK_ABORT(0x10, scratch + 8 + 8);
	CHECK_EQ(o.n, 0x1000 - 16);
	/* The window without pages forgets. */
	setp(WINDOW + 5, 7, 300, 0);
	cpyfp(page, WINDOW, 64, 0);
	CHECK_EQ(trap.count, 0);
	check_bytes(page, 0, 64);
}

static void registers_that_coincide_are_undefined(void)
{
	map_pages(1);
	struct operands (*const bad[])(uint64_t, uint64_t, uint64_t, uint64_t) = {
		same_d_s, same_d_n, same_s_n, size_31, source_31, set_data_is_size, other_size};
	for (unsigned n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
		bad[n](TEST_VA, TEST_VA, 0, 0);
		CHECK_EQ(trap.count, 1);
		CHECK_EQ(trap.esr, MOPS(0ul));
		trap_clear();
	}
}

static void el0_needs_mscen(void)
{
	map_pages(1);
	*pte(0) |= PTE_USER;
	flush_all();
	CHECK_EQ(READ_SYSREG(id_aa64isar2_el1) >> 16 & 0xf, 1);
	fill(TEST_VA, 64);
	user_call(user_entry(user_copy), TEST_VA + 64, TEST_VA, 0);
	CHECK_EQ(trap.count, 1);
	CHECK_EQ(trap.esr, MOPS(0ul));
	CHECK_EQ(trap.elr, user_entry(user_copy) + 4);
	WRITE_SYSREG(sctlr_el1, READ_SYSREG(sctlr_el1) | MSCEN);
	CHECK(READ_SYSREG(sctlr_el1) & MSCEN);
	trap_clear();
	CHECK_EQ(user_call(user_entry(user_copy), TEST_VA + 64, TEST_VA, 0), TEST_VA + 64 + 48);
	CHECK_EQ(trap.esr, MOPS(0x15ul) | 0x51);
	check_pattern(TEST_VA + 64, 0, 48);
	trap_clear();
	user_call(user_entry(user_copy), TEST_VA + PAGE - 8, TEST_VA, 0);
	CHECK_EQ(trap.esr, MOPS(0x24ul) | 0x07 | WNR);
	CHECK_EQ(trap.far, TEST_VA + PAGE);
	/* Off again: main and epilogue too, with nothing to do. */
	WRITE_SYSREG(sctlr_el1, READ_SYSREG(sctlr_el1) & ~MSCEN);
	trap_clear();
	user_call(user_entry(user_copy_rest), TEST_VA, TEST_VA, 0);
	CHECK_EQ(trap.esr, MOPS(0ul));
	cpyfp(TEST_VA, TEST_VA + 8, 8, 0);
	CHECK_EQ(trap.count, 1);
}

static volatile unsigned interrupts;
static volatile uint64_t interrupted_at;

void on_irq(void);
void on_irq(void)
{
	interrupts++;
	interrupted_at = trap.elr;
	device_write(DEVICE_LINE, 0);
}

/* The first piece raises the line, behind it the rest waits for the interrupt. */
static void interrupts_are_taken_in_the_middle(void)
{
	mmu_on();
	trap_clear();
	ASM("msr daifclr, #2");
	uint64_t line = DEVICE + DEVICE_LINE;
	struct operands o = setp(line, 1, 16, 0);
	CHECK_EQ(interrupts, 1);
	CHECK_EQ(trap.count, 1);
	CHECK_EQ(*(volatile uint32_t *)interrupted_at, 0x19c10440);
	CHECK_OPERANDS(o, line + 16, 1, 0);
	o = setm(line + 16, 1, -16ul, 0);
	CHECK_EQ(interrupts, 2);
	CHECK_EQ(*(volatile uint32_t *)interrupted_at, 0x19c14440);
	CHECK_OPERANDS(o, line + 16, 1, 0);
}

static void watchpoints_stop_at_their_byte(void)
{
	enum { KDE_MDE = 1 << 13 | 1 << 15, EL1_STORES = 1 | 1 << 1 | 2 << 3 | 0xff << 5 };
	map_pages(2);
	WRITE_SYSREG(oslar_el1, 0);
	WRITE_SYSREG(mdscr_el1, KDE_MDE);
	WRITE_SYSREG(dbgwvr0_el1, TEST_VA + 104);
	WRITE_SYSREG(dbgwcr0_el1, EL1_STORES);
	ASM("msr daifclr, #8");
	struct operands o = setp(TEST_VA + 10, 1, 300, 0);
	CHECK_TRAP(MOPS(0x35ul) | 0x22 | WNR, TEST_VA + 104);
	CHECK_OPERANDS(o, TEST_VA + 104, 1, 300 - 94);
	o = cpym(TEST_VA + 12, TEST_VA + 10, 300, 0); /* backwards */
	CHECK_TRAP(MOPS(0x35ul) | 0x22 | WNR, TEST_VA + 111);
	CHECK_OPERANDS(o, TEST_VA + 12, TEST_VA + 10, 100);
	/* Reads are not watched. */
	cpyfp(TEST_VA + 4096, TEST_VA, 300, 0);
	CHECK_EQ(trap.count, 0);
	check_bytes(TEST_VA + 4096 + 10, 1, 94);
	WRITE_SYSREG(mdscr_el1, 0);
	setp(TEST_VA, 2, 300, 0);
	CHECK_EQ(trap.count, 0);
}

TESTS(T(copies_forward_of_all_sizes_and_places), T(sets_of_all_sizes_and_places),
      T(main_and_epilogue_take_over), T(overlaps_copy_in_the_right_direction),
      T(tags_do_not_turn_the_direction), T(nothing_touches_no_memory),
      T(faults_do_not_turn_the_direction), T(faults_say_how_far_it_got), T(sizes_saturate),
      T(wrong_states_are_refused), T(unprivileged_forms_have_the_rights_of_el0),
      T(alignment_is_never_checked), T(devices_get_aligned_accesses),
      T(registers_that_coincide_are_undefined), T(el0_needs_mscen),
      T(interrupts_are_taken_in_the_middle), T(watchpoints_stop_at_their_byte));
