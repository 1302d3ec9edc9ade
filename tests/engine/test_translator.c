/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_translator.c - small programs which the translator once did not run as the interpreter does
 *
 * How it works: each runs on both, at EL1 with its memory mapped one to one, until it calls the
 * host; an interrupt that the program raises with a store to the device is taken where the engine
 * likes, lowered and returned from. test_system.c looks for new ones.
 */
#include "engine/soft/soft.h"
#include "host.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	RAM = 0x40000000,
	RAM_LEN = 0x10000,
	VECTORS = RAM + 0x1000,
	CODE = RAM + 0x2000,
	DATA = RAM + 0x4000, /* filled with a pattern; x1 points there */
	TABLE = RAM + 0x8000,
	DEVICE = 0x1000, /* x2: a store raises IRQ */
	HVC = 0xd4000002,
	ERET = 0xd69f03e0,
};

struct machine {
	struct engine *engine;
	struct engine_vcpu *vcpu;
	uint8_t *ram;
	unsigned interrupts;
};

static bool on_read(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t *value)
{
	*value = gpa;
	return true;
}

static bool on_write(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	struct machine *m = host;
	engine_vcpu_set_line(m->vcpu, ENGINE_IRQ, true);
	return true;
}

static void on_hypercall(void *host, unsigned vcpu, uint64_t x[8])
{
	struct machine *m = host;
	if (soft_vcpu(m->vcpu)->cpu.pc < CODE) {
		m->interrupts++;
		engine_vcpu_set_line(m->vcpu, ENGINE_IRQ, false);
	} else {
		engine_vcpu_kick(m->vcpu);
	}
}

static const struct engine_host host_ops = {on_read,	       on_write,     host_no_icc_read,
					    host_no_icc_write, on_hypercall, host_no_timer_line};

static struct machine *set_up(bool interp)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct engine_config config = {
		.host_ops = &host_ops, .host = m, .vcpus = 1, .interp = interp};
	struct error err = {0};
	m->ram = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	m->engine = soft_engine_create(&config, &err);
	assert_non_null(m->engine);
	assert_int_equal(engine_map_ram(m->engine, RAM, RAM_LEN, m->ram, false, &err), 0);
	m->vcpu = engine_vcpu_create(m->engine, 0, 0, &err);
	assert_non_null(m->vcpu);
	return m;
}

static void tear_down(struct machine *m)
{
	engine_destroy(m->engine);
	munmap(m->ram, RAM_LEN);
	free(m);
}

static uint64_t *ram_at(struct machine *m, uint64_t gpa)
{
	return (uint64_t *)(m->ram + (gpa - RAM));
}

/* 1 GiB blocks: the device's and RAM's. */
static void map(struct machine *m)
{
	struct cpu *cpu = &soft_vcpu(m->vcpu)->cpu;
	ram_at(m, TABLE)[0] = 1 << 2 | 1 << 10 | 1;
	ram_at(m, TABLE)[1] = RAM | 1 << 10 | 3 << 8 | 1;
	cpu->sys->mair = 0x00ff;
	cpu->sys->tcr = 25 | 1 << 23 | UINT64_C(2) << 32;
	cpu->sys->ttbr0 = TABLE;
	cpu->sys->vbar = VECTORS;
	cpu->sys->cpacr = 3 << 20;
	cpu->sys->sctlr |= SCTLR_M;
	cpu->daif = 0;
	sysreg_update_traps(cpu);
	mmu_flush_all(cpu);
	mmu_select_asid(cpu);
	mmu_select(cpu);
}

static void run(struct machine *m, const uint32_t *words, size_t bytes)
{
	struct cpu *cpu = &soft_vcpu(m->vcpu)->cpu;
	for (unsigned n = 0; n < 0x1000 / 8; n++) {
		ram_at(m, DATA)[n] = UINT64_C(0x9e3779b97f4a7c15) * (n + 1);
	}
	for (unsigned n = 0; n < 16; n++) {
		((uint32_t *)ram_at(m, VECTORS))[n * 32] = HVC;
		((uint32_t *)ram_at(m, VECTORS))[n * 32 + 1] = ERET;
	}
	memcpy(ram_at(m, CODE), words, bytes);
	engine_vcpu_reset(m->vcpu, CODE, 0);
	map(m);
	cpu->x[1] = DATA;
	cpu->x[2] = DEVICE;
	engine_run(m->vcpu);
}

/* Run on both; @interrupts: so many must have been taken. */
static void check(const uint32_t *words, size_t bytes, unsigned interrupts)
{
	struct machine *m[2] = {set_up(true), set_up(false)};
	const struct cpu *a = &soft_vcpu(m[0]->vcpu)->cpu, *b = &soft_vcpu(m[1]->vcpu)->cpu;
	for (unsigned n = 0; n < 2; n++) {
		run(m[n], words, bytes);
		assert_int_equal(m[n]->interrupts, interrupts);
	}
	assert_int_equal(a->pc, b->pc);
	assert_int_equal(a->nzcv, b->nzcv);
	assert_memory_equal(a->x, b->x, 32 * sizeof(a->x[0]));
	assert_memory_equal(a->v, b->v, sizeof(a->v));
	assert_int_equal(a->fpcr, b->fpcr);
	assert_int_equal(a->fpsr, b->fpsr);
	assert_memory_equal(m[0]->ram, m[1]->ram, RAM_LEN);
	tear_down(m[0]);
	tear_down(m[1]);
}
#define CHECK(words, interrupts) check((words), sizeof(words), (interrupts))

/* A branch that leaves for an interrupt must have stored the vector registers that the block
 * changed. */
static void interrupt_at_a_backward_branch_keeps_vectors(void **state)
{
	static const uint32_t words[] = {
		0x14000004,		/* b 1f */
		0x9e660003,		/* 0: fmov x3, d0 */
		0x9e660024,		/* fmov x4, d1 */
		HVC,	    0xad400823, /* 1: ldp q3, q2, [x1]: the page is in the TLB now */
		0x39000042,		/* strb w2, [x2]: interrupt */
		0xad410420,		/* ldp q0, q1, [x1, #32] */
		0x17fffffa,		/* b 0b */
	};
	CHECK(words, 1);
}

/* Arm's underflow is below the normal numbers before rounding, the host's after it. */
static void products_that_round_up_to_the_smallest_normal_number_underflow(void **state)
{
	static const uint32_t words[] = {
		0x52800203, /* mov w3, #FPSR_IXC */
		0xd51b4423, /* msr fpsr, x3 */
		0x52808004, /* mov w4, #0x400 */
		0x72a40004, /* movk w4, #0x2000, lsl #16: 2^-63 (1 + 2^-13) */
		0x1e270080, /* fmov s0, w4 */
		0x529f0005, /* mov w5, #0xf800 */
		0x72a3ffe5, /* movk w5, #0x1fff, lsl #16: 2^-63 (1 - 2^-13) */
		0x1e2700a1, /* fmov s1, w5 */
		0x1e210802, /* fmul s2, s0, s1 */
		0xd53b4426, /* mrs x6, fpsr */
		0xd51b4423, /* msr fpsr, x3 */
		0x6e21dc03, /* fmul v3.4s, v0.4s, v1.4s */
		0xd53b4427, /* mrs x7, fpsr */
		HVC,
	};
	CHECK(words, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interrupt_at_a_backward_branch_keeps_vectors),
		cmocka_unit_test(products_that_round_up_to_the_smallest_normal_number_underflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
