/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_walk.c - the stage 1 walk for vCPUs of other engines, whose CPUs may have addresses of 52
 * bits
 *
 * How it works: tables of every granule are built in RAM, and an access that hardware does not
 * describe is done by hand through them, as KVM's engine asks for it. The code, the data and the
 * tables are found only by a right walk.
 */
#include "engine/soft/nisv.h"
#include "engine/soft/soft.h"
#include "unit.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
	RAM = 0x40000000,
	RAM_LEN = 0x400000,
	STORE = (int)0xb8004449, /* str w9, [x2], #4 */
};

#define TABLE UINT64_C(3)
#define PAGE  UINT64_C(0x403) /* AF, EL1, attribute 0 */
#define CODE  UINT64_C(0x0000000000410000)
#define DATA  UINT64_C(0x000a5234567f0000) /* bits 51 and 49 */
#define DS    (UINT64_C(1) << 59)

struct bench {
	struct engine *engine;
	struct engine_vcpu *vcpu;
	uint8_t *ram;
	uint64_t next_table; /* free RAM */
	uint64_t gpa, value;
	unsigned writes;
};

/* What tables look like. */
struct geometry {
	unsigned page_bits, input_bits;
	uint64_t tcr;
};

static const struct geometry lpa2_4k = {12, 52, DS | 12 | 1 << 23 | UINT64_C(6) << 32};
static const struct geometry lpa2_16k = {14, 52, DS | 12 | 2 << 14 | 1 << 23 | UINT64_C(6) << 32};
static const struct geometry lva_64k = {16, 52, 12 | 1 << 14 | 1 << 23 | UINT64_C(6) << 32};

static bool on_read(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t *value)
{
	return false;
}

static bool on_write(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	struct bench *b = host;
	b->gpa = gpa;
	b->value = value;
	b->writes++;
	return true;
}

static struct bench *bench_create(void)
{
	static const struct engine_host host_ops = {.mmio_read = on_read, .mmio_write = on_write};
	struct bench *b = calloc(1, sizeof(*b));
	struct error err = {0};
	const struct engine_config config = {
		.host_ops = &host_ops, .host = b, .vcpus = 1, .interp = true};
	b->ram = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	b->engine = soft_engine_create(&config, &err);
	assert_non_null(b->engine);
	assert_int_equal(engine_map_ram(b->engine, RAM, RAM_LEN, b->ram, false, &err), 0);
	b->vcpu = engine_vcpu_create(b->engine, 0, 0, &err);
	engine_vcpu_reset(b->vcpu, 0, 0);
	b->next_table = 0x100000;
	return b;
}

static void bench_destroy(struct bench *b)
{
	engine_destroy(b->engine);
	munmap(b->ram, RAM_LEN);
	free(b);
}

static uint64_t *entry(struct bench *b, uint64_t table, uint64_t index)
{
	return (uint64_t *)(b->ram + table) + index;
}

/* @desc becomes the last descriptor for @va, in tables from the start of RAM's second half MiB. */
static void map(struct bench *b, const struct geometry *g, uint64_t va, uint64_t desc)
{
	unsigned stride = g->page_bits - 3;
	uint64_t table = 0x80000;
	unsigned shift = g->page_bits;
	while (shift + stride < g->input_bits) {
		shift += stride;
	}
	for (;; shift -= stride) {
		uint64_t *e = entry(b, table, va >> shift & ((UINT64_C(1) << stride) - 1));
		if (shift == g->page_bits) {
			*e = desc;
			return;
		}
		if (!*e) {
			*e = (RAM + b->next_table) | TABLE;
			b->next_table += UINT64_C(1) << g->page_bits;
		}
		table = (*e & ~TABLE) - RAM;
	}
}

/* The descriptor of a page at @pa, of which the upper bits have places of their own. */
static uint64_t page(const struct geometry *g, uint64_t pa)
{
	if (g->page_bits == 16) {
		return (pa & ((UINT64_C(1) << 48) - 1)) | (pa >> 48) << 12 | PAGE;
	}
	return (pa & ((UINT64_C(1) << 50) - 1)) | (pa >> 50) << 8 | PAGE;
}

static enum nisv_result store(struct bench *b, const struct geometry *g, uint64_t fault_gpa,
			      bool wide, struct nisv_state *s)
{
	memcpy(b->ram + 0x10000, &(uint32_t){STORE}, 4);
	map(b, g, CODE, page(g, RAM + 0x10000));
	*s = (struct nisv_state){.pc = CODE,
				 .pstate = 0x3c5,
				 .sctlr = 1,
				 .tcr = g->tcr,
				 .ttbr0 = RAM + 0x80000,
				 .vbar = 0x8000,
				 .zva_bytes = 64,
				 .wide = wide};
	s->regs.x[2] = DATA + 0x10;
	s->regs.x[9] = 0x12345678;
	return nisv_assist(b->vcpu, s, fault_gpa);
}

static void check_geometry(const struct geometry *g, uint64_t pa)
{
	struct bench *b = bench_create();
	struct nisv_state s;
	map(b, g, DATA, page(g, pa));
	assert_int_equal(store(b, g, pa + 0x10, true, &s), NISV_DONE);
	assert_int_equal(b->gpa, pa + 0x10);
	assert_int_equal(b->value, 0x12345678);
	assert_int_equal(s.regs.x[2], DATA + 0x14);
	assert_int_equal(s.pc, CODE + 4);
	bench_destroy(b);
}

static void five_levels_of_4k_pages(void **state)
{
	check_geometry(&lpa2_4k, UINT64_C(0x000c123456789000));
	check_geometry(&lpa2_4k, 0x9000);
}

static void four_levels_of_16k_pages(void **state)
{
	check_geometry(&lpa2_16k, UINT64_C(0x0008123456788000));
}

static void three_levels_of_64k_pages(void **state)
{
	check_geometry(&lva_64k, UINT64_C(0x000f123456780000));
}

static void a_hole_in_the_first_of_five_levels_has_its_own_status(void **state)
{
	struct bench *b = bench_create();
	struct nisv_state s;
	assert_int_equal(store(b, &lpa2_4k, 0x1000, true, &s), NISV_FAULT);
	assert_int_equal(s.esr & 0x3f, 0x2b);
	assert_int_equal(s.far, DATA + 0x10);
	bench_destroy(b);
	b = bench_create();
	*entry(b, 0x80000, DATA >> 48) = UINT64_C(0x400000000000) | TABLE; /* no memory there */
	assert_int_equal(store(b, &lpa2_4k, 0x1000, true, &s), NISV_FAULT);
	assert_int_equal(s.esr & 0x3f, 0x14);
	assert_int_equal(b->writes, 0);
	bench_destroy(b);
}

/* A CPU without them: TCR_EL1.DS is reserved, and 48 bits are all. */
static void narrow_cpus_have_48_bits(void **state)
{
	struct bench *b = bench_create();
	struct nisv_state s;
	map(b, &lpa2_4k, DATA, page(&lpa2_4k, 0x9000));
	assert_int_equal(store(b, &lpa2_4k, 0x9010, false, &s),
			 NISV_UNDECODED); /* not even its code */
	assert_int_equal(b->writes, 0);
	const struct geometry narrow = {12, 48, 16 | 1 << 23 | UINT64_C(5) << 32};
	bench_destroy(b);
	b = bench_create();
	map(b, &narrow, DATA & ((UINT64_C(1) << 48) - 1), page(&narrow, 0x9000));
	assert_int_equal(store(b, &narrow, 0x9010, false, &s), NISV_FAULT); /* DATA has more bits */
	assert_int_equal(s.esr & 0x3f, 0x04);
	bench_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(five_levels_of_4k_pages),
		cmocka_unit_test(four_levels_of_16k_pages),
		cmocka_unit_test(three_levels_of_64k_pages),
		cmocka_unit_test(a_hole_in_the_first_of_five_levels_has_its_own_status),
		cmocka_unit_test(narrow_cpus_have_48_bits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
