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

/* A product and a sum that round to single first would be a tie then, or exact when it should
 * underflow. */
static void half_multiply_add_rounds_once(void **state)
{
	static const uint32_t words[] = {
		0x52800203, /* mov w3, #0x10: FPSR.IXC */
		0xd51b4423, /* msr fpsr, x3 */
		0x52850024, /* mov w4, #0x2801: 2^-5 (1 + 2^-10) */
		0x52847fc5, /* mov w5, #0x23fe: 2^-6 (1 - 2^-10) */
		0x52878026, /* mov w6, #0x3c01: 1 + 2^-10 */
		0x4e020c80, /* dup v0.8h, w4 */
		0x4e020ca1, /* dup v1.8h, w5 */
		0x4e020cc2, /* dup v2.8h, w6 */
		0x1fc10803, /* fmadd h3, h0, h1, h2 */
		0x4ea21c44, /* mov v4.16b, v2.16b */
		0x4e410c04, /* fmla v4.8h, v0.8h, v1.8h */
		0x4ec10c02, /* fmls v2.8h, v0.8h, v1.8h */
		0x52a01807, /* mov w7, #0xc00000: FPCR.RMode: towards zero */
		0xd51b4407, /* msr fpcr, x7 */
		0x52800028, /* mov w8, #1 */
		0x1ee70105, /* fmov h5, w8: 2^-24 */
		0x1fc514a6, /* fmadd h6, h5, h5, h5: FPSR.UFC */
		0xd53b4429, /* mrs x9, fpsr */
		HVC,
	};
	CHECK(words, 0);
}

/* FPCR.FZ by the host: its exceptions set FPSR.IDC and UFC, for lanes of the instruction only. */
static void what_is_flushed_is_noticed_once_it_happens(void **state)
{
	static const uint32_t words[] = {
		0x52800203, /* mov w3, #0x10: FPSR.IXC */
		0x52a02004, /* mov w4, #0x1000000: FPCR.FZ */
		0xd51b4404, /* msr fpcr, x4 */
		0xd51b4423, /* msr fpsr, x3 */
		0x4f000420, /* movi v0.4s, #1: subnormal */
		0x4f03f601, /* fmov v1.4s, #1.0 */
		0x0f03f602, /* fmov v2.2s, #1.0 */
		0x0f00f403, /* fmov v3.2s, #2.0 */
		0x6e180402, /* mov v2.d[1], v0.d[0] */
		0x2e23dc44, /* fmul v4.2s, v2.2s, v3.2s: nothing subnormal in these lanes */
		0xd53b4425, /* mrs x5, fpsr */
		0x1e230845, /* fmul s5, s2, s3 */
		0x7ea3d446, /* fabd s6, s2, s3 */
		0xd53b4426, /* mrs x6, fpsr */
		0x1e210400, /* fccmp s0, s1, #0, eq: not compared */
		0xd53b4427, /* mrs x7, fpsr */
		0x4e21d407, /* fadd v7.4s, v0.4s, v1.4s: FPSR.IDC */
		0xd53b4428, /* mrs x8, fpsr */
		0x4e20d408, /* fadd v8.4s, v0.4s, v0.4s: 0 */
		0xd51b4423, /* msr fpsr, x3 */
		0x1e212000, /* fcmp s0, s1: FPSR.IDC again */
		0xd53b4429, /* mrs x9, fpsr */
		0x52a0100a, /* mov w10, #0x800000: the smallest normal number */
		0x52a0180b, /* mov w11, #0xc00000 */
		0x1e270150, /* fmov s16, w10 */
		0x1e270171, /* fmov s17, w11 */
		0xd51b4423, /* msr fpsr, x3 */
		0x1e303a32, /* fsub s18, s17, s16: FPSR.UFC */
		0xd53b442c, /* mrs x12, fpsr */
		0xd51b4423, /* msr fpsr, x3 */
		0x1e2c1013, /* fmov s19, #0.5 */
		0x1e330a14, /* fmul s20, s16, s19: FPSR.UFC again */
		0xd53b442d, /* mrs x13, fpsr */
		0xd51b441f, /* msr fpcr, xzr */
		0x1e330a15, /* fmul s21, s16, s19: subnormal */
		HVC,
	};
	CHECK(words, 0);
}

/* FPCR.RMode by the host: an overflow gives the largest number, and is noticed. */
static void directed_rounding_and_its_overflows(void **state)
{
	static const uint32_t words[] = {
		0x52800203, /* mov w3, #0x10: FPSR.IXC */
		0x52a01804, /* mov w4, #0xc00000: FPCR.RMode: towards zero */
		0x52a00805, /* mov w5, #0x400000: up */
		0x52a01006, /* mov w6, #0x800000: down */
		0x12b01007, /* mov w7, #0x7f7fffff: the largest number */
		0x1e2700e0, /* fmov s0, w7 */
		0x4e040ce1, /* dup v1.4s, w7 */
		0xd51b4404, /* msr fpcr, x4 */
		0xd51b4423, /* msr fpsr, x3 */
		0x1e202802, /* fadd s2, s0, s0: FPSR.OFC */
		0xd53b4428, /* mrs x8, fpsr */
		0xd51b4423, /* msr fpsr, x3 */
		0x6e21dc23, /* fmul v3.4s, v1.4s, v1.4s: FPSR.OFC */
		0xd53b4429, /* mrs x9, fpsr */
		0x1e2e1004, /* fmov s4, #1.0 */
		0x1e211005, /* fmov s5, #3.0 */
		0x1e251886, /* fdiv s6, s4, s5 */
		0xd51b4405, /* msr fpcr, x5 */
		0x1e251887, /* fdiv s7, s4, s5 */
		0x1e243888, /* fsub s8, s4, s4: 0 */
		0x1e27c0d0, /* frinti s16, s6: 1 */
		0xd51b4406, /* msr fpcr, x6 */
		0x1e251891, /* fdiv s17, s4, s5 */
		0x1e243892, /* fsub s18, s4, s4: -0 */
		0x1e2740d3, /* frintx s19, s6: 0 */
		0xd51b441f, /* msr fpcr, xzr */
		0x1e251894, /* fdiv s20, s4, s5 */
		HVC,
	};
	CHECK(words, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interrupt_at_a_backward_branch_keeps_vectors),
		cmocka_unit_test(products_that_round_up_to_the_smallest_normal_number_underflow),
		cmocka_unit_test(half_multiply_add_rounds_once),
		cmocka_unit_test(what_is_flushed_is_noticed_once_it_happens),
		cmocka_unit_test(directed_rounding_and_its_overflows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
