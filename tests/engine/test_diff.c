/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_diff.c - compare the interpreter with qemu-aarch64, register by register
 *
 * Usage: test-diff --runner FILE [--qemu PROGRAM] [--seed N] [--count INSTRUCTIONS] [--only NAME]
 * [--case N]
 *
 * How it works: cases (stream.h) are written to a file, the runner reads them under qemu-aarch64
 * and writes states to another, the same cases run here (flat.h), the states are compared.  A
 * difference is narrowed down by running the case again with ever more of its instructions turned
 * into NOPs.  Exit status 77: no reference found.
 */
#include "base/own.h"
#include "diff_tool.h"
#include "flat.h"
#include "stream.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 2048, SKIP = 77, SHOWN = 20, WITH_MOPS = 802 };

struct test {
	struct diff_options options;
	struct row_set rows;
	struct flat *flat;
	struct diff_case *cases;
	struct diff_state *states;
	uint64_t executed, different;
	uint32_t seen[A64_OPS];
};

/* Run @count cases under the reference.  False: it failed. */
static bool run_reference(const struct diff_options *options, const struct diff_case *cases,
			  struct diff_state *states, unsigned count)
{
	AUTO_FD int in = memfd_create("cases", 0);
	AUTO_FD int out = memfd_create("states", 0);
	size_t bytes = count * sizeof(*cases);
	if (in < 0 || out < 0 || write(in, cases, bytes) != (ssize_t)bytes ||
	    lseek(in, 0, SEEK_SET)) {
		return false;
	}
	pid_t pid = fork();
	if (pid == 0) {
		dup2(in, 0);
		dup2(out, 1);
		execlp(options->qemu, options->qemu, "-cpu", "max", options->runner, NULL);
		_exit(127);
	}
	int status = -1;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "test-diff: %s ended with status %#x\n", options->qemu,
			(unsigned)status);
		return false;
	}
	bytes = count * sizeof(*states);
	return pread(out, states, bytes, 0) == (ssize_t)bytes;
}

static bool is_same(const struct diff_state *one, const struct diff_state *two)
{
	return memcmp(one, two, sizeof(*one)) == 0;
}

/* Find the first instruction of a case after which the states differ, and show it. */
static bool narrow_down(struct test *test, const struct diff_case *c, uint64_t number)
{
	struct diff_case *prefixes = calloc(c->count + 1, sizeof(*prefixes));
	struct diff_state *states = calloc(c->count + 1, sizeof(*states)), ours, before = c->start;
	bool ran = prefixes && states;
	for (unsigned n = 0; ran && n <= c->count; n++) {
		prefixes[n] = *c;
		for (unsigned k = n; k < c->count; k++) {
			prefixes[n].insns[k] = 0xd503201f;
		}
	}
	ran = ran && run_reference(&test->options, prefixes, states, c->count + 1);
	for (unsigned n = 0; ran && n <= c->count; n++) {
		flat_run(test->flat, &prefixes[n], &ours);
		if (!is_same(&ours, &states[n])) {
			diff_report(number, n, n ? c->insns[n - 1] : 0, &before, &ours, &states[n]);
			break;
		}
		before = states[n];
	}
	free(prefixes);
	free(states);
	return ran;
}

/* One batch of cases from @first.  False: the reference failed. */
static bool run_batch(struct test *test, uint64_t first, unsigned count)
{
	struct diff_state ours;
	for (unsigned n = 0; n < count; n++) {
		stream_make_case(&test->cases[n], &test->rows, test->options.seed, first + n);
		test->executed += test->cases[n].count;
		for (unsigned k = 0; k < test->cases[n].count; k++) {
			test->seen[a64_decode(test->cases[n].insns[k])]++;
		}
	}
	if (!run_reference(&test->options, test->cases, test->states, count)) {
		return false;
	}
	for (unsigned n = 0; n < count; n++) {
		memset(&ours, 0, sizeof(ours));
		flat_run(test->flat, &test->cases[n], &ours);
		if (!is_same(&ours, &test->states[n]) && test->different++ < SHOWN) {
			if (!narrow_down(test, &test->cases[n], first + n)) {
				return false;
			}
		}
	}
	return true;
}

static bool run_all(struct test *test)
{
	if (test->options.single >= 0) {
		return run_batch(test, (uint64_t)test->options.single, 1);
	}
	for (uint64_t first = 0; test->executed < test->options.count; first += BATCH) {
		if (!run_batch(test, first, BATCH)) {
			return false;
		}
	}
	return true;
}

/* Rows that were to be tried but never came up. */
static void print_unseen(const struct test *test)
{
	for (unsigned n = 0; n < test->rows.count; n++) {
		if (!test->seen[test->rows.rows[n]]) {
			printf("never tried: %s\n", a64_infos[test->rows.rows[n]].name);
		}
	}
}

/* Major * 100 + minor version of the reference; 0: it does not run. */
static unsigned reference_version(const char *qemu)
{
	char command[512];
	unsigned major = 0, minor = 0;
	snprintf(command, sizeof(command), "%s --version 2>/dev/null", qemu);
	FILE *out = popen(command, "r");
	bool found = out && fscanf(out, "qemu-aarch64 version %u.%u", &major, &minor) == 2;
	if (out) {
		pclose(out);
	}
	return found ? major * 100 + minor : 0;
}

int main(int argc, char **argv)
{
	static struct test test = {
		.options = {.qemu = "qemu-aarch64", .count = 1000000, .single = -1}};
	test.options.seed = (uint64_t)time(NULL);
	if (!diff_parse_options(&test.options, argc, argv) || !test.options.runner) {
		fprintf(stderr,
			"usage: test-diff --runner FILE [--qemu PROGRAM] [--seed N] [--count N] "
			"[--only NAME] [--case N]\n");
		return 2;
	}
	printf("seed %" PRIu64 ", %u rows of the tables\n", test.options.seed,
	       stream_choose_rows(&test.rows, test.options.only));
	unsigned version = reference_version(test.options.qemu);
	if (!version) {
		printf("skipped: %s is not installed\n", test.options.qemu);
		return SKIP;
	}
	if (version < WITH_MOPS) {
		stream_drop_mops(&test.rows);
		printf("not compared: memory copy and set, which QEMU has from 8.2 on\n");
	}
	test.flat = flat_create();
	test.cases = calloc(BATCH, sizeof(*test.cases));
	test.states = calloc(BATCH, sizeof(*test.states));
	if (!test.flat || !test.cases || !test.states || test.rows.count == 0 || !run_all(&test)) {
		printf("FAIL: the comparison could not run\n");
		return 1;
	}
	print_unseen(&test);
	printf("%" PRIu64 " instructions, %" PRIu64 " cases differ\n", test.executed,
	       test.different);
	flat_destroy(test.flat);
	free(test.cases);
	free(test.states);
	return test.different != 0;
}
