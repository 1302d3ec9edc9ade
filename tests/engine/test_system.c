/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_system.c - the interpreter and what guests run on must agree about random programs at EL1
 * and EL0
 *
 * Usage: test-system [--seed N] [--count INSTRUCTIONS] [--only NAME] [--case N] [--damage]
 * [--features] [--plain]
 *
 * How it works: both engines of a pair run the same program (system.h) from stop to stop; at each
 * their registers, system registers and what their devices saw are compared, at the end their
 * memory.  A program that makes a difference is reduced: words become NOPs for as long as it still
 * makes one.  With --features the machines have pointer authentication and branch target
 * identification.  With --plain code is as for a host without AVX-512.  With --damage one engine
 * gets a program with a wrong word, and differences must be found.
 */
#include "engine/soft/exception.h"
#include "engine/soft/jit/jit.h"
#include "engine/soft/soft.h"
#include "engine/soft/sysreg.h"
#include "system.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SHOWN = 5, DAMAGED = 400, ENDLESS_ONE_IN = 1000 };

struct options {
	const char *only;
	uint64_t seed, count;
	int64_t single;
	bool damage, features, warm, plain;
};

/*
 * ENDLESS: the interpreter itself does not get to a stop.  An exception may take the place of what
 * a jump's target is computed by, so a few programs are loops; they are left there.
 */
enum outcome { SAME, DIFFERENT, HANGS, ENDLESS };

struct test {
	struct options options;
	struct row_set rows, rows_for_interrupts;
	char cache_folder[40]; /* for --warm */
	struct system_machine *machines[2];
	struct system_program program;
	uint64_t executed, stops, different, programs, endless;
	uint32_t seen[A64_OPS];
};

static const struct cpu *cpu_of(const struct test *test, unsigned n)
{
	return system_machine_cpu(test->machines[n]);
}

static uint64_t pstate_of(const struct cpu *cpu)
{
	return exception_pstate(cpu);
}

/* What programs can see of a stopped machine. */
static bool is_same(const struct test *test)
{
	const struct cpu *a = cpu_of(test, 0), *b = cpu_of(test, 1);
	return memcmp(a->x, b->x, 32 * sizeof(a->x[0])) == 0 &&
	       memcmp(a->v, b->v, sizeof(a->v)) == 0 && a->pc == b->pc && a->fpcr == b->fpcr &&
	       a->fpsr == b->fpsr && a->sp_el[0] == b->sp_el[0] && pstate_of(a) == pstate_of(b) &&
	       memcmp(a->sys, b->sys, offsetof(struct sysregs, mpidr)) == 0 &&
	       system_machine_log(test->machines[0]) == system_machine_log(test->machines[1]);
}

/* @damaged: the code differs anyway. */
static bool has_same_memory(const struct test *test, bool damaged)
{
	const uint8_t *a = system_machine_ram(test->machines[0]),
		      *b = system_machine_ram(test->machines[1]);
	uint64_t code = SYSTEM_CODE * SYSTEM_PAGE, behind = code + SYSTEM_CODE_PAGES * SYSTEM_PAGE;
	return memcmp(a, b, damaged ? code : SYSTEM_RAM_BYTES) == 0 &&
	       memcmp(a + behind, b + behind, SYSTEM_RAM_BYTES - behind) == 0;
}

/* Reports. */

static void print_pair(const char *name, uint64_t a, uint64_t b)
{
	if (a != b) {
		printf("  %-10s interpreter %016" PRIx64 "  other %016" PRIx64 "\n", name, a, b);
	}
}

static void print_registers(const struct cpu *a, const struct cpu *b)
{
	char name[24];
	for (unsigned n = 0; n < 31; n++) {
		snprintf(name, sizeof(name), "x%u", n);
		print_pair(name, a->x[n], b->x[n]);
	}
	for (unsigned n = 0; n < 64; n++) {
		snprintf(name, sizeof(name), "v%u.d[%u]", n / 2, n & 1);
		print_pair(name, a->v[n / 2].d[n & 1], b->v[n / 2].d[n & 1]);
	}
	print_pair("sp_el1", a->x[CPU_SP], b->x[CPU_SP]);
	print_pair("sp_el0", a->sp_el[0], b->sp_el[0]);
	print_pair("vector", a->pc, b->pc);
	print_pair("pstate", pstate_of(a), pstate_of(b));
	print_pair("fpcr", a->fpcr, b->fpcr);
	print_pair("fpsr", a->fpsr, b->fpsr);
	print_pair("elr", a->sys->elr, b->sys->elr);
	print_pair("spsr", a->sys->spsr, b->sys->spsr);
	print_pair("esr", a->sys->esr, b->sys->esr);
	print_pair("far", a->sys->far, b->sys->far);
	const uint64_t *one = (const uint64_t *)a->sys, *two = (const uint64_t *)b->sys;
	for (unsigned n = 0; n < offsetof(struct sysregs, mpidr) / 8; n++) {
		snprintf(name, sizeof(name), "sysregs[%u]", n);
		print_pair(name, one[n], two[n]);
	}
}

static void print_memory(const struct test *test)
{
	const uint64_t *a = (const uint64_t *)system_machine_ram(test->machines[0]);
	const uint64_t *b = (const uint64_t *)system_machine_ram(test->machines[1]);
	for (unsigned n = 0, shown = 0; n < SYSTEM_RAM_BYTES / 8 && shown < SHOWN; n++) {
		if (a[n] != b[n]) {
			char name[24];
			snprintf(name, sizeof(name), "ram+%#x", n * 8);
			print_pair(name, a[n], b[n]);
			shown++;
		}
	}
}

static void print_code(const struct system_program *p, uint64_t elr)
{
	int at = system_word_at(p, elr);
	for (unsigned n = 0; n < p->words; n++) {
		if (p->code[n] != STREAM_NOP || (int)n == at) {
			enum a64_op op = a64_decode(p->code[n]);
			printf("  %s word %4u: %08x %s\n", (int)n == at ? "->" : "  ", n,
			       p->code[n],
			       op == A64_UNDEFINED ? "unallocated" : a64_infos[op].name);
		}
	}
}

/* Running. */

/* An exception: where to go on, in both machines alike.  False: the visit is over. */
static bool go_on(struct test *test)
{
	const struct system_program *p = &test->program;
	const struct sysregs *sys = cpu_of(test, 0)->sys;
	unsigned ec = (unsigned)(sys->esr >> 26);
	uint64_t pc = sys->elr;
	if (system_word_at(p, pc) < 0) {
		pc = cpu_of(test, 0)->x[SYSTEM_RETURN_X];
	} else if (ec == EC_SVC) {
		if ((sys->esr & 0xffff) == SYSTEM_END) {
			return false;
		}
	} else if (ec == EC_INSN_ABORT || ec == EC_INSN_ABORT_EL0) {
		return false; /* code that this EL may not run */
	} else if (ec != EC_ILLEGAL_STATE) {
		pc += 4;
	}
	for (unsigned n = 0; n < 2; n++) {
		system_machine_resume(test->machines[n], pc);
	}
	return system_word_at(p, pc) >= 0;
}

static enum outcome run_visit(struct test *test, const struct system_visit *visit)
{
	for (unsigned n = 0; n < 2; n++) {
		if (!system_machine_visit(test->machines[n], &test->program, visit)) {
			return HANGS;
		}
	}
	for (unsigned stop = 0; stop < SYSTEM_STOPS; stop++) {
		for (unsigned n = 0; n < 2; n++) {
			if (!system_machine_run(test->machines[n])) {
				return n ? HANGS : ENDLESS;
			}
		}
		test->stops++;
		if (!is_same(test)) {
			return DIFFERENT;
		}
		if (!go_on(test)) {
			break;
		}
	}
	return SAME;
}

/* Run the program; @damaged: the word that is @value in the second machine alone, or -1.  *last:
 * the visit that it ended with. */
static enum outcome run_program(struct test *test, int damaged, uint32_t value, unsigned *last)
{
	const struct system_program *p = &test->program;
	for (unsigned n = 0; n < 2; n++) {
		if (!system_machine_load(test->machines[n], p)) {
			return HANGS;
		}
	}
	if (damaged >= 0) {
		system_machine_damage(test->machines[1], p, (unsigned)damaged, value);
	}
	for (unsigned n = 0; n < SYSTEM_VISITS; n++) {
		*last = n;
		enum outcome outcome = run_visit(test, &p->visits[n]);
		if (outcome != SAME) {
			return outcome;
		}
	}
	return has_same_memory(test, damaged >= 0) ? SAME : DIFFERENT;
}

/* MSR of a register that programs run under, or DC, IC, TLBI, DSB, ISB: what these need, and they,
 * stay as they are. */
static bool is_control(uint32_t word)
{
	bool msr = (word & 0xffff0000) == 0xd5180000 &&
		   ((word >> 12 & 0xf) <= 2 || (word >> 12 & 0xf) == 4);
	return msr || (word & 0xfff80000) == 0xd5080000 || (word & 0xfffff000) == 0xd5033000;
}

static bool may_go(const struct system_program *p, unsigned n)
{
	enum { NEEDS = 8 };
	for (unsigned k = n; k <= n + NEEDS && k < p->words; k++) {
		if (is_control(p->code[k])) {
			return false;
		}
	}
	return p->code[n] != (0xd4000001 | SYSTEM_END << 5);
}

/* Make words NOPs as long as there is a difference. */
static void reduce(struct test *test)
{
	struct system_program *p = &test->program;
	unsigned last;
	for (unsigned size = p->words / 2; size > 0; size /= 2) {
		for (unsigned first = 0; first < p->words; first += size) {
			uint32_t kept[SYSTEM_WORDS];
			bool changes = false;
			memcpy(kept, p->code, sizeof(kept));
			for (unsigned n = first; n < first + size && n < p->words; n++) {
				if (may_go(p, n)) {
					changes |= p->code[n] != STREAM_NOP;
					p->code[n] = STREAM_NOP;
				}
			}
			if (changes && run_program(test, -1, 0, &last) != DIFFERENT) {
				memcpy(p->code, kept, sizeof(kept));
			}
		}
	}
}

static void report_hang(const struct test *test)
{
	for (unsigned n = 0; n < 2; n++) {
		const struct cpu *cpu = cpu_of(test, n);
		printf("  %s at %#" PRIx64 ", word %d, esr %#" PRIx64 ", elr %#" PRIx64 "\n",
		       n ? "other" : "interpreter", cpu->pc,
		       system_word_at(&test->program, cpu->pc), cpu->sys->esr, cpu->sys->elr);
	}
}

static void report_difference(struct test *test)
{
	unsigned last;
	reduce(test);
	run_program(test, -1, 0, &last);
	const struct cpu *a = cpu_of(test, 0), *b = cpu_of(test, 1);
	const struct system_visit *visit = &test->program.visits[last];
	print_code(&test->program, a->sys->elr);
	printf("  visit %u to %#" PRIx64 " with spsr %#" PRIx64 ", stopped at %#" PRIx64
	       ", esr %#" PRIx64 "\n",
	       last, visit->elr, visit->spsr, a->sys->elr, a->sys->esr);
	printf("  sctlr %#" PRIx64 " tcr %#" PRIx64 " ttbr0 %#" PRIx64 " ttbr1 %#" PRIx64 "\n",
	       a->sys->sctlr, a->sys->tcr, a->sys->ttbr0, a->sys->ttbr1);
	print_registers(a, b);
	print_pair("device", system_machine_log(test->machines[0]),
		   system_machine_log(test->machines[1]));
	print_memory(test);
}

static void report(struct test *test, uint64_t number, enum outcome outcome)
{
	printf("case %" PRIu64 " of seed %" PRIu64 " %s\n", number, test->options.seed,
	       outcome == HANGS ? "hangs" : "differs; reduced to:");
	if (outcome == HANGS) {
		report_hang(test);
	} else {
		report_difference(test);
	}
}

static void count_rows(struct test *test)
{
	const struct system_program *p = &test->program;
	for (unsigned n = 0; n < p->words; n++) {
		test->seen[a64_decode(p->code[n])]++;
	}
}

static void make(struct test *test, uint64_t number)
{
	const struct row_set *rows = number % 4 ? &test->rows : &test->rows_for_interrupts;
	system_make(&test->program, rows, test->options.seed, number);
}

static void run_case(struct test *test, uint64_t number)
{
	unsigned last;
	make(test, number);
	count_rows(test);
	enum outcome outcome = run_program(test, -1, 0, &last);
	for (unsigned n = 0; n < SYSTEM_VISITS; n++) {
		const struct system_segment *segment =
			&test->program.segments[test->program.visits[n].segment];
		test->executed += segment->end - segment->start;
	}
	test->programs++;
	if (outcome == ENDLESS) {
		printf("case %" PRIu64 " of seed %" PRIu64 " has no end\n", number,
		       test->options.seed);
		test->endless++;
	} else if (outcome != SAME && test->different++ < SHOWN) {
		report(test, number, outcome);
	}
}

static void run_all(struct test *test)
{
	for (uint64_t n = 0; test->executed < test->options.count && test->different < SHOWN; n++) {
		run_case(test, n);
	}
}

/* Branches and what they depend on: without them a loop may not end. */
static bool steers(uint32_t word)
{
	return (a64_infos[a64_decode(word)].flags & A64_ENDS) || (word & 31) == SYSTEM_LOOP_X;
}

static void create(struct test *test, unsigned n)
{
	const struct options *o = &test->options;
	test->machines[n] = system_machine_create(n == 0, o->features, o->plain, o->damage ? 1 : 10,
						  n == 1 && o->warm ? test->cache_folder : NULL);
}

static void remove_folder(const char *folder)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command)) {
		printf("%s is left behind\n", folder);
	}
}

/* The same programs once more, by a machine that finds the first one's translations. */
static bool runs_warm(struct test *test)
{
	struct jit_stats stats;
	uint64_t executed = test->executed;
	system_machine_destroy(test->machines[1]);
	create(test, 1);
	if (!test->machines[1]) {
		return false;
	}
	test->executed = 0;
	run_all(test);
	jit_stats(cpu_of(test, 1), &stats);
	printf("the second time: %" PRIu64 " blocks translated, %" PRIu64 " loaded\n", stats.blocks,
	       stats.blocks_loaded);
	test->executed += executed;
	return stats.blocks_loaded > 20 * stats.blocks;
}

/* One wrong word in a program: how often does it show?  Some words have no effect that lasts. */
static bool finds_damage(struct test *test)
{
	unsigned found = 0, last;
	for (unsigned n = 0; n < DAMAGED; n++) {
		make(test, n);
		struct random random = {n};
		const struct system_segment *segment = &test->program.segments[0];
		unsigned word;
		do {
			word = segment->start +
			       random_below(&random, segment->end - segment->start - 1);
		} while (steers(test->program.code[word]));
		found += run_program(test, (int)word, STREAM_NOP, &last) == DIFFERENT;
	}
	printf("%u of %u programs with a wrong word were found\n", found, DAMAGED);
	return found > DAMAGED / 2;
}

static uint64_t hidden_features(const struct cpu *cpu)
{
	uint64_t hidden = 0;
	for (unsigned f = 0; f < A64_FEATURES; f++) {
		hidden |= (uint64_t)!sysreg_has_feature(cpu->sys, f) << f;
	}
	return hidden;
}

static void print_unseen(const struct test *test)
{
	if (test->executed < 1000000) {
		return;
	}
	for (unsigned n = 0; n < test->rows.count; n++) {
		if (!test->seen[test->rows.rows[n]]) {
			printf("never tried: %s\n", a64_infos[test->rows.rows[n]].name);
		}
	}
}

static bool parse_options(struct options *options, int argc, char **argv)
{
	static const struct option table[] = {
		{"only", 1, NULL, 'o'}, {"seed", 1, NULL, 's'},	  {"count", 1, NULL, 'c'},
		{"case", 1, NULL, 'n'}, {"damage", 0, NULL, 'd'}, {"features", 0, NULL, 'f'},
		{"warm", 0, NULL, 'w'}, {"plain", 0, NULL, 'p'},  {0}};
	int c;
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 'o': options->only = optarg; break;
		case 's': options->seed = strtoull(optarg, NULL, 0); break;
		case 'c': options->count = strtoull(optarg, NULL, 0); break;
		case 'n': options->single = strtoll(optarg, NULL, 0); break;
		case 'd': options->damage = true; break;
		case 'f': options->features = true; break;
		case 'w': options->warm = true; break;
		case 'p': options->plain = true; break;
		default: return false;
		}
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	static struct test test = {.options = {.count = 1000000, .single = -1},
				   .cache_folder = "/tmp/oriel-system-XXXXXX"};
	test.options.seed = (uint64_t)time(NULL);
	if (!parse_options(&test.options, argc, argv)) {
		fprintf(stderr, "usage: test-system [--seed N] [--count N] [--only NAME] [--case "
				"N] [--damage] [--features] [--warm] [--plain]\n");
		return 2;
	}
	unsigned rows = stream_choose_rows(&test.rows, test.options.only);
	printf("seed %" PRIu64 ", %u rows of the tables\n", test.options.seed, rows);
	if (test.options.warm && !mkdtemp(test.cache_folder)) {
		printf("FAIL: no folder for translations\n");
		return 1;
	}
	create(&test, 0);
	create(&test, 1);
	if (!test.machines[0] || !test.machines[1] || !rows) {
		printf("FAIL: the comparison could not run\n");
		return 1;
	}
	test.rows.hidden = hidden_features(cpu_of(&test, 0));
	test.rows_for_interrupts = test.rows;
	stream_drop_exclusives(&test.rows_for_interrupts);
	bool good = true;
	if (test.options.damage) {
		good = finds_damage(&test);
	} else if (test.options.single >= 0) {
		run_case(&test, (uint64_t)test.options.single);
	} else {
		run_all(&test);
		print_unseen(&test);
		good = !test.options.warm || runs_warm(&test);
	}
	if (test.endless > 1 + test.programs / ENDLESS_ONE_IN) {
		printf("FAIL: %" PRIu64 " of %" PRIu64 " programs have no end\n", test.endless,
		       test.programs);
		good = false;
	}
	printf("%" PRIu64 " instructions, %" PRIu64 " stops, %" PRIu64 " and %" PRIu64
	       " interrupts, %" PRIu64 " programs differ\n",
	       test.executed, test.stops, system_machine_interrupts(test.machines[0]),
	       system_machine_interrupts(test.machines[1]), test.different);
	system_machine_destroy(test.machines[0]);
	system_machine_destroy(test.machines[1]);
	if (test.options.warm) {
		remove_folder(test.cache_folder);
	}
	return !good || test.different != 0;
}
