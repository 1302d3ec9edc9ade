/* SPDX-License-Identifier: Apache-2.0 */
/* diff_tool.c - options and reports of programs that compare ways to run instructions (diff_tool.h)
 */
#include "diff_tool.h"

#include "a64/a64.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool diff_parse_options(struct diff_options *options, int argc, char **argv)
{
	static const struct option table[] = {
		{"runner", 1, NULL, 'r'}, {"qemu", 1, NULL, 'q'},
		{"only", 1, NULL, 'o'},	  {"seed", 1, NULL, 's'},
		{"count", 1, NULL, 'c'},  {"case", 1, NULL, 'n'},
		{"plain", 0, NULL, 'p'},  {0},
	};
	int c;
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 'r': options->runner = optarg; break;
		case 'q': options->qemu = optarg; break;
		case 'o': options->only = optarg; break;
		case 's': options->seed = strtoull(optarg, NULL, 0); break;
		case 'c': options->count = strtoull(optarg, NULL, 0); break;
		case 'n': options->single = strtoll(optarg, NULL, 0); break;
		case 'p': options->plain = true; break;
		default: return false;
		}
	}
	return optind == argc;
}

static void print_value(const char *name, uint64_t before, uint64_t ours, uint64_t reference)
{
	if (ours != reference) {
		printf("  %-10s before %016" PRIx64 "  ours %016" PRIx64 "  reference %016" PRIx64
		       "\n",
		       name, before, ours, reference);
	}
}

static void print_differences(const struct diff_state *before, const struct diff_state *ours,
			      const struct diff_state *reference)
{
	char name[16];
	for (unsigned n = 0; n < 31; n++) {
		snprintf(name, sizeof(name), "x%u", n);
		print_value(name, before->x[n], ours->x[n], reference->x[n]);
	}
	for (unsigned n = 0; n < 64; n++) {
		snprintf(name, sizeof(name), "v%u.d[%u]", n / 2, n & 1);
		print_value(name, before->v[n / 2][n & 1], ours->v[n / 2][n & 1],
			    reference->v[n / 2][n & 1]);
	}
	for (unsigned n = 0; n < DIFF_WINDOW_BYTES; n++) {
		snprintf(name, sizeof(name), "byte %#x", n);
		print_value(name, before->memory[n], ours->memory[n], reference->memory[n]);
	}
	print_value("sp", before->sp, ours->sp, reference->sp);
	print_value("nzcv", before->nzcv, ours->nzcv, reference->nzcv);
	print_value("fpcr", before->fpcr, ours->fpcr, reference->fpcr);
	print_value("fpsr", before->fpsr, ours->fpsr, reference->fpsr);
	print_value("stopped", 0, ours->stopped, reference->stopped);
	print_value("stopped at", 0, ours->stopped_at, reference->stopped_at);
}

static void print_operands(const struct diff_state *before, uint32_t word)
{
	const unsigned numbers[] = {word >> 5 & 31, word >> 16 & 31, word >> 10 & 31, word & 31};
	for (unsigned k = 0; k < 4; k++) {
		unsigned n = numbers[k];
		printf("  %2u: x %016" PRIx64 "  v %016" PRIx64 ".%016" PRIx64 "\n", n,
		       n < 31 ? before->x[n] : before->sp, before->v[n][1], before->v[n][0]);
	}
	printf("  nzcv %08" PRIx64 " fpcr %08" PRIx64 " fpsr %08" PRIx64 "\n", before->nzcv,
	       before->fpcr, before->fpsr);
}

void diff_report(uint64_t number, unsigned n, uint32_t word, const struct diff_state *before,
		 const struct diff_state *ours, const struct diff_state *reference)
{
	printf("case %" PRIu64 ", instruction %u: %08x %s\n", number, n, word,
	       a64_infos[a64_decode(word)].name);
	print_operands(before, word);
	print_differences(before, ours, reference);
}
