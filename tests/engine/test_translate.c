/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_translate.c - compare translated code with the interpreter's handlers, register by register
 *
 * Usage: test-translate [--seed N] [--count INSTRUCTIONS] [--only NAME] [--case N] [--plain]
 *
 * How it works: the cases of stream.h, as test_diff.c has them, but both sides run here, so that
 * there can be many.  Most cases start with FPSR.IXC set and keep it, as the shortcuts of
 * translated code ask for.  A difference is narrowed down by turning ever fewer of the case's last
 * instructions into NOPs.
 */
#include "diff_tool.h"
#include "engine/soft/jit/jit.h"
#include "engine/soft/mmu.h"
#include "engine/soft/soft.h"
#include "engine/soft/sysreg.h"
#include "flat.h"
#include "stream.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SHOWN = 20, NOP = 0xd503201f };

struct test {
	struct diff_options options;
	struct row_set rows;
	struct flat *flat;
	struct soft_vcpu vcpu;
	struct soft_engine engine;
	struct exec_entry exec[EXEC_ENTRIES];
	struct jit *jit;
	uint64_t executed, different;
};

static void forget_pages(struct exec_entry *exec)
{
	for (unsigned n = 0; n < EXEC_ENTRIES; n++) {
		exec[n].tag = 1;
	}
}

/* What the translator needs of the MMU: all translations were forgotten. */
void mmu_flush_exec(struct cpu *cpu)
{
	forget_pages(cpu->jit_exec);
}

/* No system register but FPSR is in the streams, and that goes through its handler. */
enum sysreg_plain sysreg_plain(const struct insn *i)
{
	return SYSREG_NOT_PLAIN;
}

static void run_translated(struct test *test, const struct diff_case *c, struct diff_state *result)
{
	struct cpu *cpu = flat_load(test->flat, c);
	jit_fill_constants(&cpu->jit_constants);
	cpu->vcpu = &test->vcpu;
	cpu->jit = test->jit;
	cpu->jit_exec = test->exec;
	forget_pages(test->exec);
	for (unsigned n = 0; n < DIFF_CODE_BYTES / GUEST_PAGE; n++) {
		uint64_t at = DIFF_CODE + n * GUEST_PAGE;
		jit_drop_page(cpu, at);
		struct exec_entry *e = run_exec_slot(test->exec, at);
		e->page = jit_find_page(cpu, at, flat_code(test->flat) + n * GUEST_PAGE);
		e->tag = at;
	}
	while (!flat_has_stopped(test->flat)) {
		uint64_t at = cpu->pc & ~UINT64_C(0xfff);
		assert(at - DIFF_CODE < DIFF_CODE_BYTES);
		cpu->block_pc = at;
		jit_run(cpu, jit_find_page(cpu, at, flat_code(test->flat) + (at - DIFF_CODE)));
	}
	cpu->jit = NULL;
	flat_store(test->flat, c, result);
}

static bool differs(struct test *test, const struct diff_case *c, struct diff_state *ours,
		    struct diff_state *reference)
{
	memset(ours, 0, sizeof(*ours));
	memset(reference, 0, sizeof(*reference));
	flat_run(test->flat, c, reference);
	run_translated(test, c, ours);
	return memcmp(ours, reference, sizeof(*ours)) != 0;
}

/* Show the shortest beginning of the case that differs. */
static void narrow_down(struct test *test, const struct diff_case *c, uint64_t number)
{
	struct diff_state ours, reference, before = c->start;
	for (unsigned n = 0; n <= c->count; n++) {
		struct diff_case prefix = *c;
		for (unsigned k = n; k < c->count; k++) {
			prefix.insns[k] = NOP;
		}
		if (differs(test, &prefix, &ours, &reference)) {
			diff_report(number, n, n ? c->insns[n - 1] : 0, &before, &ours, &reference);
			return;
		}
		before = reference;
	}
}

static void make_case(struct test *test, struct diff_case *c, uint64_t number)
{
	stream_make_case(c, &test->rows, test->options.seed, number);
	if (number % 4) {
		c->start.fpsr |= FPSR_IXC;
		for (unsigned n = 0; n < c->count; n++) {
			c->insns[n] = c->insns[n] == DIFF_CLEAR_FPSR ? NOP : c->insns[n];
		}
	}
}

static void run_case(struct test *test, uint64_t number)
{
	struct diff_state ours, reference;
	struct diff_case c;
	make_case(test, &c, number);
	test->executed += c.count;
	if (differs(test, &c, &ours, &reference) && test->different++ < SHOWN) {
		narrow_down(test, &c, number);
	}
}

int main(int argc, char **argv)
{
	static struct test test = {.options = {.count = 1000000, .single = -1}};
	test.options.seed = (uint64_t)time(NULL);
	if (!diff_parse_options(&test.options, argc, argv)) {
		fprintf(stderr,
			"usage: test-translate [--seed N] [--count N] [--only NAME] [--case N] "
			"[--plain]\n");
		return 2;
	}
	printf("seed %" PRIu64 ", %u rows of the tables\n", test.options.seed,
	       stream_choose_rows(&test.rows, test.options.only));
	if (!jit_is_supported()) {
		printf("skipped: this host can not run translated code\n");
		return 77;
	}
	test.vcpu.engine = &test.engine;
	test.flat = flat_create();
	const struct jit_options options = {.plain_host = test.options.plain};
	test.jit = test.flat ? jit_create(&test.vcpu.cpu, 1, &options) : NULL;
	if (!test.jit || test.rows.count == 0) {
		printf("FAIL: the comparison could not run\n");
		return 1;
	}
	if (test.options.single >= 0) {
		run_case(&test, (uint64_t)test.options.single);
	} else {
		for (uint64_t n = 0; test.executed < test.options.count; n++) {
			run_case(&test, n);
		}
	}
	printf("%" PRIu64 " instructions, %" PRIu64 " cases differ\n", test.executed,
	       test.different);
	jit_destroy(test.jit);
	flat_destroy(test.flat);
	return test.different != 0;
}
