/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_models.c - CPU models: what the ID registers show exists, what they do not show is UNDEFINED
 *
 * How it works: one instruction runs at EL1; it is followed by HVC, and the vector of exceptions is
 * HVC too, so the machine stops at one of the two.
 */
#include "engine/soft/exception.h"
#include "engine/soft/ops.h"
#include "engine/soft/soft.h"
#include "engine/soft/sysreg.h"
#include "host.h"
#include "stream.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { RAM = 0x40000000, RAM_LEN = 0x4000, VECTORS = RAM + 0x1000, HVC = 0xd4000002, WORDS = 20 };

struct machine {
	struct engine *engine;
	struct engine_vcpu *vcpu;
	uint32_t *ram;
};

static void on_hypercall(void *host, unsigned vcpu, uint64_t x[8])
{
	struct machine *m = host;
	engine_vcpu_kick(m->vcpu);
}

static const struct engine_host host_ops = {host_no_read,      host_no_write, host_no_icc_read,
					    host_no_icc_write, on_hypercall,  host_no_timer_line};

static struct machine *set_up(enum engine_cpu_model model, bool interp)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct engine_config config = {
		.host_ops = &host_ops, .host = m, .vcpus = 1, .interp = interp, .cpu = model};
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

static struct cpu *cpu_of(struct machine *m)
{
	return &soft_vcpu(m->vcpu)->cpu;
}

/* Run one instruction.  True: it was UNDEFINED. */
static bool is_undefined(struct machine *m, uint32_t word)
{
	struct cpu *cpu = cpu_of(m);
	m->ram[0] = word;
	m->ram[1] = HVC;
	for (unsigned n = 0; n < 16; n++) {
		m->ram[0x400 + n * 32] = HVC;
	}
	engine_vcpu_reset(m->vcpu, RAM, 0);
	cpu->sys->vbar = VECTORS;
	cpu->sys->cpacr = 3 << 20;
	sysreg_update_traps(cpu);
	engine_run(m->vcpu);
	return cpu->pc >= VECTORS && cpu->sys->esr >> 26 == EC_UNKNOWN;
}

static uint64_t read_register(struct machine *m, uint32_t mrs)
{
	assert_false(is_undefined(m, mrs));
	return cpu_of(m)->x[0];
}

/* MRS x0 */
#define MRS(op0, op1, crn, crm, op2)                                                               \
	(0xd5200000u | (uint32_t)ENGINE_SYSREG(op0, op1, crn, crm, op2) << 5)
#define MSR(op0, op1, crn, crm, op2)                                                               \
	(0xd5000000u | (uint32_t)ENGINE_SYSREG(op0, op1, crn, crm, op2) << 5)

/* What a guest saw in the baseline model it sees for ever. */
static void baseline_never_changes(void **state)
{
	static const struct {
		uint32_t mrs;
		uint64_t value;
	} registers[] = {
		{MRS(3, 0, 0, 4, 0), 0x1100000001000011}, /* PFR0 */
		{MRS(3, 0, 0, 4, 1), 0},
		{MRS(3, 0, 0, 6, 0), 0x11120}, /* ISAR0 */
		{MRS(3, 0, 0, 6, 1), 0},
		{MRS(3, 0, 0, 6, 2), 0},
		{MRS(3, 0, 0, 7, 0), 0x100025}, /* MMFR0 */
		{MRS(3, 0, 0, 7, 1), 0},
		{MRS(3, 0, 0, 7, 2), UINT64_C(1) << 60},
		{MRS(3, 0, 0, 0, 0), 0xf0010},	  /* MIDR */
		{MRS(3, 3, 0, 0, 1), 0x9444c004}, /* CTR */
		{MRS(3, 3, 0, 0, 7), 4},
	};
	struct machine *m = set_up(ENGINE_CPU_BASELINE, false);
	for (size_t n = 0; n < sizeof(registers) / sizeof(registers[0]); n++) {
		assert_int_equal(read_register(m, registers[n].mrs), registers[n].value);
	}
	tear_down(m);
}

/* Every field of @more is at least that of @less. */
static void shows_no_less(enum engine_cpu_model more, enum engine_cpu_model less)
{
	struct machine *a = set_up(more, false), *b = set_up(less, false);
	for (unsigned crm = 4; crm <= 7; crm++) {
		for (unsigned op2 = 0; op2 < 8; op2++) {
			uint64_t one = read_register(a, MRS(3, 0, 0, crm, op2));
			uint64_t two = read_register(b, MRS(3, 0, 0, crm, op2));
			for (unsigned low = 0; low < 64; low += 4) {
				assert_true((one >> low & 0xf) >= (two >> low & 0xf));
			}
		}
	}
	tear_down(a);
	tear_down(b);
}

static void models_are_ordered(void **state)
{
	shows_no_less(ENGINE_CPU_DEFAULT, ENGINE_CPU_BASELINE);
	shows_no_less(ENGINE_CPU_MAX, ENGINE_CPU_DEFAULT);
	shows_no_less(ENGINE_CPU_DEFAULT, ENGINE_CPU_HOST);
}

/* Words of every row of the encoding tables: UNDEFINED if and only if the row's feature is not
 * shown, but for hints. */
static void check_rows(enum engine_cpu_model model, bool interp)
{
	struct machine *m = set_up(model, interp);
	struct random random = {model};
	for (unsigned op = 1; op < A64_OPS; op++) {
		const struct a64_info *info = &a64_infos[op];
		bool shown = sysreg_has_feature(cpu_of(m)->sys, info->feature);
		for (unsigned n = 0; n < WORDS; n++) {
			uint32_t word =
				((uint32_t)random_next(&random) & ~info->mask) | info->value;
			if (a64_decode(word) != op) {
				continue;
			}
			struct insn i = {.raw = word};
			decode_insn(cpu_of(m), &i);
			if (!shown) {
				bool hint = info->flags & A64_HINT;
				bool undefined = is_undefined(m, word);
				if (undefined == hint) {
					fail_msg("%s (%08x) is %sUNDEFINED", info->name, word,
						 undefined ? "" : "not ");
				}
			} else if (i.fn == op_UNDEFINED) {
				fail_msg("%s (%08x) has no handler", info->name, word);
			}
		}
	}
	tear_down(m);
}

static void hidden_instructions_are_undefined(void **state)
{
	for (unsigned interp = 0; interp < 2; interp++) {
		check_rows(ENGINE_CPU_BASELINE, interp);
		check_rows(ENGINE_CPU_DEFAULT, interp);
		check_rows(ENGINE_CPU_MAX, interp);
		check_rows(ENGINE_CPU_HOST, interp);
	}
}

/* Registers and system instructions that belong to features which only the baseline lacks. */
static void hidden_registers_are_undefined(void **state)
{
	static const uint32_t words[] = {
		MRS(3, 0, 4, 2, 3),  MSR(3, 0, 4, 2, 3),
		0xd500419f,				  /* PAN, MSR PAN, #1 */
		0xd5087900,	     0xd5087920,	  /* AT S1E1RP, S1E1WP */
		MRS(3, 0, 13, 0, 7), MRS(3, 3, 13, 0, 7), /* SCXTNUM */
		MRS(3, 3, 14, 0, 5), MRS(3, 3, 14, 0, 6), /* CNTPCTSS, CNTVCTSS */
		0xd508811f,	     0xd5088120,	  /* TLBI VMALLE1OS, VAE1OS */
		0xd5088220,	     0xd5088520,
		0xd5088620, /* TLBI RVAE1IS, RVAE1OS, RVAE1 */
	};
	static const uint32_t keys[] = {MRS(3, 0, 2, 1, 0), MSR(3, 0, 2, 1, 3), MRS(3, 0, 2, 2, 0),
					MRS(3, 0, 2, 3, 1)};
	struct machine *baseline = set_up(ENGINE_CPU_BASELINE, false),
		       *usual = set_up(ENGINE_CPU_DEFAULT, false);
	struct machine *max = set_up(ENGINE_CPU_MAX, false);
	for (size_t n = 0; n < sizeof(words) / sizeof(words[0]); n++) {
		assert_true(is_undefined(baseline, words[n]));
		assert_false(is_undefined(usual, words[n]));
	}
	assert_true(is_undefined(baseline, 0xd50b7c20)); /* DC CVAP */
	for (size_t n = 0; n < sizeof(keys) / sizeof(keys[0]); n++) {
		assert_true(is_undefined(usual, keys[n]));
		assert_false(is_undefined(max, keys[n]));
	}
	tear_down(baseline);
	tear_down(usual);
	tear_down(max);
}

/* Fields of control registers that belong to hidden features read as they must. */
static void hidden_fields_are_reserved(void **state)
{
	struct machine *m = set_up(ENGINE_CPU_BASELINE, false);
	struct cpu *cpu = cpu_of(m);
	m->ram[0] = 0xd2800000; /* mov x0, #0 */
	m->ram[1] = 0xaa2003e1; /* mvn x1, x0 */
	m->ram[2] = 0xd5181000; /* msr sctlr_el1, x0 */
	m->ram[3] = 0xd5182041; /* msr tcr_el1, x1 */
	m->ram[4] = HVC;
	engine_vcpu_reset(m->vcpu, RAM, 0);
	engine_run(m->vcpu);
	assert_int_equal(cpu->pc, RAM + 20);
	assert_int_equal(cpu->sys->sctlr & (SCTLR_SPAN | SCTLR_TSCXT), SCTLR_SPAN | SCTLR_TSCXT);
	assert_int_equal(cpu->sys->tcr >> 39 & 0xf, 0); /* HA, HD, HPD */
	tear_down(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(baseline_never_changes),
		cmocka_unit_test(models_are_ordered),
		cmocka_unit_test(hidden_instructions_are_undefined),
		cmocka_unit_test(hidden_registers_are_undefined),
		cmocka_unit_test(hidden_fields_are_reserved),
	};
	return cmocka_run_group_tests_name("models", tests, NULL, NULL);
}
