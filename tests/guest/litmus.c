/* SPDX-License-Identifier: Apache-2.0 */
/*
 * litmus.c - does memory behave between vCPUs as the architecture says: litmus RUNS [NAME]
 *
 * How it works: a test is a few threads, one for each CPU, that each execute some instructions on
 * the same locations.  Many instances lie beside each other; all threads walk through them, then
 * the first one looks for outcomes that the memory model forbids (Arm ARM DDI 0487, B2.3).  An
 * instance counts as a run if two threads were there at the same time; if those stay rare because
 * the host has too few CPUs free, ten times as many tries end the test.  `weak` counts outcomes
 * which are allowed and show that instructions really crossed.  TAP on standard output.
 *
 * Threads: up to four, which meet at a barrier before and after each walk.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { INSTANCES = 2000, MAX_THREADS = 4, SEEN = 4 };

struct word {
	_Alignas(64) uint64_t v;
	uint64_t high; /* the other half of pairs */
};

struct instance {
	struct word x, y;
	struct {
		_Alignas(64) uint64_t seen[SEEN]; /* what one thread read */
		bool met;
	} thread[MAX_THREADS];
};

struct test {
	const char *name;
	unsigned threads;
	unsigned scarcity; /* runs are divided by this */
	void (*body[MAX_THREADS])(struct instance *instance, uint64_t *seen);
	bool (*forbidden)(const struct instance *instance);
	bool (*weak)(const struct instance *instance); /* may be NULL */
};

/* Plain and ordered accesses, exactly as named. */
#define STR(p, value)                                                                              \
	__asm__ volatile("str %x1, [%0]" : : "r"(&(p)), "r"((uint64_t)(value)) : "memory")
#define STLR(p, value)                                                                             \
	__asm__ volatile("stlr %x1, [%0]" : : "r"(&(p)), "r"((uint64_t)(value)) : "memory")
#define LDR(to, p)  __asm__ volatile("ldr %x0, [%1]" : "=r"(to) : "r"(&(p)) : "memory")
#define LDAR(to, p) __asm__ volatile("ldar %x0, [%1]" : "=r"(to) : "r"(&(p)) : "memory")
#define DMB(kind)   __asm__ volatile("dmb " #kind : : : "memory")

/* Message passing: who sees the flag sees the data. */

static void mp_write_stlr(struct instance *i, uint64_t *seen)
{
	STR(i->x.v, 1);
	STLR(i->y.v, 1);
}

static void mp_write_dmb(struct instance *i, uint64_t *seen)
{
	STR(i->x.v, 1);
	DMB(ishst);
	STR(i->y.v, 1);
}

static void mp_read_ldar(struct instance *i, uint64_t *seen)
{
	LDAR(seen[0], i->y.v);
	LDR(seen[1], i->x.v);
}

static void mp_read_dmb(struct instance *i, uint64_t *seen)
{
	LDR(seen[0], i->y.v);
	DMB(ishld);
	LDR(seen[1], i->x.v);
}

static void mp_read_address(struct instance *i, uint64_t *seen)
{
	__asm__ volatile("ldr %x0, [%2]\n\t"
			 "eor x9, %x0, %x0\n\t"
			 "ldr %x1, [%3, x9]"
			 : "=&r"(seen[0]), "=&r"(seen[1])
			 : "r"(&i->y.v), "r"(&i->x.v)
			 : "x9", "memory");
}

static bool mp_forbidden(const struct instance *i)
{
	return i->thread[1].seen[0] == 1 && i->thread[1].seen[1] == 0;
}

/* It met the other thread in the middle. */
static bool mp_weak(const struct instance *i)
{
	return i->thread[1].seen[0] == 0 && i->thread[1].seen[1] == 1;
}

/* Store buffering: not both may miss the other's store. */

static void sb_0_dmb(struct instance *i, uint64_t *seen)
{
	STR(i->x.v, 1);
	DMB(ish);
	LDR(seen[0], i->y.v);
}

static void sb_1_dmb(struct instance *i, uint64_t *seen)
{
	STR(i->y.v, 1);
	DMB(ish);
	LDR(seen[0], i->x.v);
}

/* STLR before LDAR is ordered (RCsc). */
static void sb_0_release(struct instance *i, uint64_t *seen)
{
	STLR(i->x.v, 1);
	LDAR(seen[0], i->y.v);
}

static void sb_1_release(struct instance *i, uint64_t *seen)
{
	STLR(i->y.v, 1);
	LDAR(seen[0], i->x.v);
}

/* An atomic with acquire and release, then a load: SWPAL orders as the pair above does. */
static void sb_0_swap(struct instance *i, uint64_t *seen)
{
	__asm__ volatile(".arch_extension lse\n\tswpal %x1, %x0, [%2]"
			 : "=&r"(seen[1])
			 : "r"(1ul), "r"(&i->x.v)
			 : "memory");
	LDAR(seen[0], i->y.v);
}

static void sb_1_swap(struct instance *i, uint64_t *seen)
{
	__asm__ volatile(".arch_extension lse\n\tswpal %x1, %x0, [%2]"
			 : "=&r"(seen[1])
			 : "r"(1ul), "r"(&i->y.v)
			 : "memory");
	LDAR(seen[0], i->x.v);
}

static void sb_0_plain(struct instance *i, uint64_t *seen)
{
	STR(i->x.v, 1);
	LDR(seen[0], i->y.v);
}

static void sb_1_plain(struct instance *i, uint64_t *seen)
{
	STR(i->y.v, 1);
	LDR(seen[0], i->x.v);
}

static bool sb_forbidden(const struct instance *i)
{
	return i->thread[0].seen[0] == 0 && i->thread[1].seen[0] == 0;
}

static bool nothing_forbidden(const struct instance *i)
{
	return i->x.v != 1 || i->y.v != 1;
}

/* Load buffering: values can not come from the future. */

static void lb_0_data(struct instance *i, uint64_t *seen)
{
	__asm__ volatile("ldr %x0, [%1]\n\teor x9, %x0, %x0\n\tadd x9, x9, #1\n\tstr x9, [%2]"
			 : "=&r"(seen[0])
			 : "r"(&i->x.v), "r"(&i->y.v)
			 : "x9", "memory");
}

static void lb_1_data(struct instance *i, uint64_t *seen)
{
	__asm__ volatile("ldr %x0, [%1]\n\teor x9, %x0, %x0\n\tadd x9, x9, #1\n\tstr x9, [%2]"
			 : "=&r"(seen[0])
			 : "r"(&i->y.v), "r"(&i->x.v)
			 : "x9", "memory");
}

static void lb_0_acquire(struct instance *i, uint64_t *seen)
{
	LDAR(seen[0], i->x.v);
	STR(i->y.v, 1);
}

static void lb_1_acquire(struct instance *i, uint64_t *seen)
{
	LDAR(seen[0], i->y.v);
	STR(i->x.v, 1);
}

static bool lb_forbidden(const struct instance *i)
{
	return i->thread[0].seen[0] == 1 && i->thread[1].seen[0] == 1;
}

/* Independent reads of independent writes: all see the stores in one order. */

static void iriw_write_x(struct instance *i, uint64_t *seen)
{
	STR(i->x.v, 1);
}

static void iriw_write_y(struct instance *i, uint64_t *seen)
{
	STR(i->y.v, 1);
}

static void iriw_read_xy(struct instance *i, uint64_t *seen)
{
	LDAR(seen[0], i->x.v);
	LDAR(seen[1], i->y.v);
}

static void iriw_read_yx(struct instance *i, uint64_t *seen)
{
	LDAR(seen[0], i->y.v);
	LDAR(seen[1], i->x.v);
}

static void iriw_read_xy_dmb(struct instance *i, uint64_t *seen)
{
	LDR(seen[0], i->x.v);
	DMB(ish);
	LDR(seen[1], i->y.v);
}

static void iriw_read_yx_dmb(struct instance *i, uint64_t *seen)
{
	LDR(seen[0], i->y.v);
	DMB(ish);
	LDR(seen[1], i->x.v);
}

static bool iriw_forbidden(const struct instance *i)
{
	const uint64_t *a = i->thread[2].seen, *b = i->thread[3].seen;
	return a[0] == 1 && a[1] == 0 && b[0] == 1 && b[1] == 0;
}

/* Coherence: reads of one location never go back. */

static void coherence_write(struct instance *i, uint64_t *seen)
{
	STR(i->x.v, 1);
	STR(i->x.v, 2);
}

static void coherence_read(struct instance *i, uint64_t *seen)
{
	LDR(seen[0], i->x.v);
	LDR(seen[1], i->x.v);
	LDR(seen[2], i->x.v);
}

static bool coherence_forbidden(const struct instance *i)
{
	const uint64_t *s = i->thread[1].seen;
	return s[0] > s[1] || s[1] > s[2] || i->x.v != 2;
}

static bool coherence_weak(const struct instance *i)
{
	const uint64_t *s = i->thread[1].seen;
	return s[0] != s[1] || s[1] != s[2];
}

/* An aligned access is never seen in part; each half of a pair is one. */

#define ONES 0xffffffffffffffffu

static void tear_write(struct instance *i, uint64_t *seen)
{
	STR(i->x.v, ONES);
	__asm__ volatile("stp %x1, %x1, [%0]" : : "r"(&i->y.v), "r"(ONES) : "memory");
}

static void tear_read(struct instance *i, uint64_t *seen)
{
	LDR(seen[0], i->x.v);
	__asm__ volatile("ldp %x0, %x1, [%2]"
			 : "=&r"(seen[1]), "=&r"(seen[2])
			 : "r"(&i->y.v)
			 : "memory");
}

static bool is_torn(uint64_t value)
{
	return value != 0 && value != ONES;
}

static bool tear_forbidden(const struct instance *i)
{
	const uint64_t *s = i->thread[1].seen;
	return is_torn(s[0]) || is_torn(s[1]) || is_torn(s[2]);
}

static bool tear_weak(const struct instance *i)
{
	return i->thread[1].seen[0] != i->thread[1].seen[1];
}

/* Exclusives against a plain store: a store that comes in between makes STXR fail; it is never
 * lost. */

static void exclusive_add(struct instance *i, uint64_t *seen)
{
	__asm__ volatile("1: ldxr x9, [%0]\n\tadd x9, x9, #1\n\tstxr w10, x9, [%0]\n\tcbnz w10, 1b"
			 :
			 : "r"(&i->x.v)
			 : "x9", "x10", "memory");
}

static void exclusive_store(struct instance *i, uint64_t *seen)
{
	STR(i->x.v, 100);
}

static bool exclusive_forbidden(const struct instance *i)
{
	return i->x.v != 100 && i->x.v != 101;
}

static bool exclusive_weak(const struct instance *i)
{
	return i->x.v == 101;
}

/* A byte beside the exclusive's own bytes changes meanwhile: neither is lost. */

static void exclusive_byte_add(struct instance *i, uint64_t *seen)
{
	__asm__ volatile(
		"1: ldaxrb w9, [%0]\n\tadd w9, w9, #1\n\tstlxrb w10, w9, [%0]\n\tcbnz w10, 1b"
		:
		: "r"(&i->x.v)
		: "x9", "x10", "memory");
}

static void exclusive_byte_store(struct instance *i, uint64_t *seen)
{
	__asm__ volatile("strb %w1, [%0, #1]" : : "r"(&i->x.v), "r"(7) : "memory");
}

static bool exclusive_byte_forbidden(const struct instance *i)
{
	return i->x.v != 0x701;
}

/* Pairs: both halves change at once or not at all. */

static void pair_add(struct instance *i, uint64_t *seen)
{
	__asm__ volatile("1: ldaxp x9, x11, [%0]\n\tadd x9, x9, #1\n\tadd x11, x11, #1\n\tstlxp "
			 "w10, x9, x11, [%0]\n\tcbnz w10, 1b"
			 :
			 : "r"(&i->x.v)
			 : "x9", "x10", "x11", "memory");
}

static void pair_cas(struct instance *i, uint64_t *seen)
{
	__asm__ volatile(".arch_extension lse\n\t"
			 "mov x2, #0\n\tmov x3, #0\n"
			 "1: mov x6, x2\n\tmov x7, x3\n\t"
			 "add x4, x2, #1\n\tadd x5, x3, #1\n\t"
			 "caspal x2, x3, x4, x5, [%0]\n\t"
			 "cmp x2, x6\n\tccmp x3, x7, #0, eq\n\tb.ne 1b"
			 :
			 : "r"(&i->x.v)
			 : "x2", "x3", "x4", "x5", "x6", "x7", "cc", "memory");
}

static bool pair_forbidden(const struct instance *i)
{
	return i->x.v != 3 || i->x.high != 3;
}

/* Read-modify-writes of every kind on one word: each counts once. */

static void count_ldadd(struct instance *i, uint64_t *seen)
{
	for (unsigned n = 0; n < 3; n++) {
		__asm__ volatile(".arch_extension lse\n\tldadd %x1, %x0, [%2]"
				 : "=&r"(seen[0])
				 : "r"(1ul), "r"(&i->x.v)
				 : "memory");
	}
}

static void count_exclusive(struct instance *i, uint64_t *seen)
{
	for (unsigned n = 0; n < 3; n++) {
		exclusive_add(i, seen);
	}
}

static void count_cas(struct instance *i, uint64_t *seen)
{
	for (unsigned n = 0; n < 3; n++) {
		__asm__ volatile(".arch_extension lse\n"
				 "1: ldr x9, [%0]\n\tmov x10, x9\n\tadd x11, x9, #1\n\tcasal x9, "
				 "x11, [%0]\n\tcmp x9, x10\n\tb.ne 1b"
				 :
				 : "r"(&i->x.v)
				 : "x9", "x10", "x11", "cc", "memory");
	}
}

static bool count_forbidden(const struct instance *i)
{
	return i->x.v != 9;
}

/* A lock by acquire and release: what it guards is never lost. */
static void locked_add(struct instance *i, uint64_t *seen)
{
	unsigned spins = 0;
	uint64_t busy;
	do {
		if (++spins > 2000) {
			sched_yield();
		}
		__asm__ volatile(".arch_extension lse\n\tswpa %x1, %x0, [%2]"
				 : "=&r"(busy)
				 : "r"(1ul), "r"(&i->y.v)
				 : "memory");
	} while (busy);
	uint64_t value;
	LDR(value, i->x.v);
	STR(i->x.v, value + 3);
	STLR(i->y.v, 0);
}

/*
 * Code that one CPU writes and another runs after it saw the flag (B2.4.4).  The function returns
 * which instance it was written for.
 */
static unsigned char *code_of(struct instance *i);

static uint32_t number_of(struct instance *i);

static void code_write(struct instance *i, uint64_t *seen)
{
	unsigned char *at = code_of(i);
	uint32_t words[2] = {0x52800000u | (number_of(i) + 1) << 5,
			     0xd65f03c0u}; /* mov w0, #n; ret */
	memcpy(at, words, sizeof(words));
	__asm__ volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0\n\tdsb ish\n\tisb"
			 :
			 : "r"(at)
			 : "memory");
	STLR(i->y.v, 1);
}

static void code_run(struct instance *i, uint64_t *seen)
{
	unsigned char *at = code_of(i);
	unsigned spins = 0;
	do {
		if (++spins > 2000) {
			sched_yield();
		}
		LDAR(seen[0], i->y.v);
	} while (!seen[0]);
	__asm__ volatile("isb" : : : "memory");
	seen[1] = ((uint32_t(*)(void))(void *)at)();
}

static bool code_forbidden(const struct instance *i)
{
	return i->thread[1].seen[1] != number_of((struct instance *)i) + 1u;
}

/* A page that one CPU replaces: who saw the flag reads the new page (TLBI reaches all CPUs). */

static unsigned char *shared_page(void);

static void remap_write(struct instance *i, uint64_t *seen)
{
	unsigned char *fresh =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*(volatile uint64_t *)fresh = number_of(i) + 1;
	if (fresh == MAP_FAILED ||
	    mremap(fresh, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, shared_page()) == MAP_FAILED) {
		abort();
	}
	STLR(i->y.v, 1);
	unsigned spins = 0;
	do {
		if (++spins > 2000) {
			sched_yield();
		}
		LDAR(seen[0], i->x.v);
	} while (!seen[0]);
}

static void remap_read(struct instance *i, uint64_t *seen)
{
	unsigned spins = 0;
	do {
		seen[1] = *(volatile uint64_t *)shared_page(); /* keeps the translation warm */
		if (++spins > 2000) {
			sched_yield();
		}
		LDAR(seen[0], i->y.v);
	} while (!seen[0]);
	seen[1] = *(volatile uint64_t *)shared_page();
	STLR(i->x.v, 1);
}

static bool remap_forbidden(const struct instance *i)
{
	return i->thread[1].seen[1] != number_of((struct instance *)i) + 1u;
}

static const struct test tests[] = {
	{"message_passing_stlr_ldar", 2, 1, {mp_write_stlr, mp_read_ldar}, mp_forbidden, mp_weak},
	{"message_passing_dmb", 2, 1, {mp_write_dmb, mp_read_dmb}, mp_forbidden, mp_weak},
	{"message_passing_address", 2, 1, {mp_write_dmb, mp_read_address}, mp_forbidden, mp_weak},
	{"store_buffering_dmb", 2, 1, {sb_0_dmb, sb_1_dmb}, sb_forbidden, NULL},
	{"store_buffering_stlr_ldar", 2, 1, {sb_0_release, sb_1_release}, sb_forbidden, NULL},
	{"store_buffering_swpal", 2, 1, {sb_0_swap, sb_1_swap}, sb_forbidden, NULL},
	{"store_buffering_plain", 2, 1, {sb_0_plain, sb_1_plain}, nothing_forbidden, sb_forbidden},
	{"load_buffering_data", 2, 1, {lb_0_data, lb_1_data}, lb_forbidden, NULL},
	{"load_buffering_acquire", 2, 1, {lb_0_acquire, lb_1_acquire}, lb_forbidden, NULL},
	{"iriw_ldar",
	 4,
	 1,
	 {iriw_write_x, iriw_write_y, iriw_read_xy, iriw_read_yx},
	 iriw_forbidden,
	 NULL},
	{"iriw_dmb",
	 4,
	 1,
	 {iriw_write_x, iriw_write_y, iriw_read_xy_dmb, iriw_read_yx_dmb},
	 iriw_forbidden,
	 NULL},
	{"coherence", 2, 1, {coherence_write, coherence_read}, coherence_forbidden, coherence_weak},
	{"single_copy", 2, 1, {tear_write, tear_read}, tear_forbidden, tear_weak},
	{"exclusive_against_store",
	 2,
	 1,
	 {exclusive_add, exclusive_store},
	 exclusive_forbidden,
	 exclusive_weak},
	{"exclusive_byte_against_store",
	 2,
	 1,
	 {exclusive_byte_add, exclusive_byte_store},
	 exclusive_byte_forbidden,
	 NULL},
	{"exclusive_pair_against_casp", 3, 1, {pair_add, pair_cas, pair_add}, pair_forbidden, NULL},
	{"counts_of_every_kind",
	 3,
	 1,
	 {count_ldadd, count_exclusive, count_cas},
	 count_forbidden,
	 NULL},
	{"lock", 3, 1, {locked_add, locked_add, locked_add}, count_forbidden, NULL},
	{"code_is_seen", 2, 10, {code_write, code_run}, code_forbidden, NULL},
	{"remap_is_seen", 2, 50, {remap_write, remap_read}, remap_forbidden, NULL},
};

/* What the threads of one test share. */
struct field {
	const struct test *test;
	unsigned long runs; /* wanted */
	atomic_uint arrived, turn;
	bool done;
	unsigned long walked, met, forbidden, weak;
	struct {
		_Alignas(64) atomic_uint at; /* the instance that a thread has come to */
	} progress[MAX_THREADS];
};

static struct instance instances[INSTANCES];
static unsigned char *code; /* one cache line for each instance */
static unsigned char *page;

static uint32_t number_of(struct instance *i)
{
	return (uint32_t)(i - instances);
}

static unsigned char *code_of(struct instance *i)
{
	return code + number_of(i) * 64;
}

static unsigned char *shared_page(void)
{
	return page;
}

/* All threads have come; the host may have fewer CPUs than the guest, so waiting yields. */
static void meet(struct field *field)
{
	unsigned turn = atomic_load(&field->turn);
	if (atomic_fetch_add(&field->arrived, 1) + 1 == field->test->threads) {
		atomic_store(&field->arrived, 0);
		atomic_fetch_add(&field->turn, 1);
		return;
	}
	for (unsigned spins = 0; atomic_load(&field->turn) == turn; spins++) {
		if (spins > 2000) {
			sched_yield();
		}
	}
}

static void pin(unsigned cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set); /* with fewer CPUs the scheduler decides */
}

/*
 * Waits a little for the other threads, which may have no CPU just now.  True if at least one was
 * at this instance together with the caller: with more threads than free CPUs, all never are.
 */
static bool keep_step(struct field *field, unsigned number, unsigned at)
{
	atomic_store_explicit(&field->progress[number].at, at, memory_order_relaxed);
	unsigned spins = 0, here = 0;
	for (unsigned i = 0; i < field->test->threads; i++) {
		unsigned other;
		do {
			other = atomic_load_explicit(&field->progress[i].at, memory_order_relaxed);
		} while (other < at && ++spins < 500);
		here += other == at;
	}
	return here > 1;
}

static void reset(void)
{
	for (unsigned i = 0; i < INSTANCES; i++) {
		memset(&instances[i].x, 0, sizeof(instances[i].x));
		memset(&instances[i].y, 0, sizeof(instances[i].y));
	}
}

static void look(struct field *field)
{
	const struct test *test = field->test;
	for (unsigned i = 0; i < INSTANCES; i++) {
		bool met = false;
		for (unsigned t = 0; t < test->threads; t++) {
			met = met || instances[i].thread[t].met;
		}
		field->met += met;
		field->forbidden += test->forbidden(&instances[i]);
		field->weak += test->weak && test->weak(&instances[i]);
	}
	field->walked += INSTANCES;
	field->done = field->met >= field->runs || field->walked >= 10 * field->runs;
}

static void walk(struct field *field, unsigned number)
{
	pin(number);
	while (true) {
		if (number == 0) {
			reset();
		}
		atomic_store(&field->progress[number].at, 0);
		meet(field);
		if (field->done) {
			return;
		}
		for (unsigned i = 0; i < INSTANCES; i++) {
			uint64_t seen[SEEN] = {0};
			instances[i].thread[number].met = keep_step(field, number, i + 1);
			/* Shifts that differ let every pair of instructions meet some time. */
			for (unsigned wait =
				     (field->walked / INSTANCES + i) * (number * 5 + 3) % 13;
			     wait > 0; wait--) {
				__asm__ volatile("" : : : "memory");
			}
			field->test->body[number](&instances[i], seen);
			memcpy(instances[i].thread[number].seen, seen, sizeof(seen));
		}
		meet(field);
		if (number == 0) {
			look(field);
		}
	}
}

struct start {
	struct field *field;
	unsigned number;
};

static void *start_walk(void *argument)
{
	struct start *start = argument;
	walk(start->field, start->number);
	return NULL;
}

static bool run_test(const struct test *test, unsigned long runs, unsigned number)
{
	struct field field = {.test = test, .runs = runs / test->scarcity + 1};
	struct start starts[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	for (unsigned i = 1; i < test->threads; i++) {
		starts[i] = (struct start){&field, i};
		if (pthread_create(&threads[i], NULL, start_walk, &starts[i])) {
			abort();
		}
	}
	walk(&field, 0);
	for (unsigned i = 1; i < test->threads; i++) {
		pthread_join(threads[i], NULL);
	}
	printf("%s %u - litmus_%s # %lu runs of %lu tries, %lu forbidden, %lu weak\n",
	       field.forbidden ? "not ok" : "ok", number, test->name, field.met, field.walked,
	       field.forbidden, field.weak);
	fflush(stdout);
	return field.forbidden == 0;
}

int main(int argc, char **argv)
{
	unsigned long runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
	const unsigned count = sizeof(tests) / sizeof(tests[0]);
	code = mmap(NULL, INSTANCES * 64, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED || page == MAP_FAILED) {
		perror("litmus: mmap");
		return 1;
	}
	bool good = true;
	printf("1..%u\n", count);
	for (unsigned i = 0; i < count; i++) {
		if (argc < 3 || strstr(tests[i].name, argv[2])) {
			good = run_test(&tests[i], runs, i + 1) && good;
		}
	}
	return good ? 0 : 1;
}
