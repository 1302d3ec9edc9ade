/* SPDX-License-Identifier: Apache-2.0 */
/* diff_tool.h - what test_diff.c and test_translate.c share: options and reports */
#ifndef ORIEL_TESTS_ENGINE_DIFF_TOOL_H
#define ORIEL_TESTS_ENGINE_DIFF_TOOL_H

#include "diff.h"

#include <stdbool.h>

struct diff_options {
	const char *runner, *qemu; /* of test_diff.c alone */
	const char *only;	   /* a row of the tables */
	uint64_t seed, count;
	int64_t single; /* case, or -1: all */
	bool plain;	/* test_translate.c alone: as for a host without AVX-512 */
};

/* Into @options, which holds the defaults.  False: usage. */
bool diff_parse_options(struct diff_options *options, int argc, char **argv);

/* Print what instruction @n of case @number, @word, made of @before: where @ours differs from
 * @reference. */
void diff_report(uint64_t number, unsigned n, uint32_t word, const struct diff_state *before,
		 const struct diff_state *ours, const struct diff_state *reference);

#endif
