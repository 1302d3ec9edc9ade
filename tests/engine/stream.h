/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h - random instruction streams whose result is determined
 *
 * How it works: words come from the encoding tables: a row, random fields.  Around loads, stores and branches the stream sets up
 * registers so that addresses fall into the window and targets into the stream.
 */
#ifndef ORIEL_TESTS_ENGINE_STREAM_H
#define ORIEL_TESTS_ENGINE_STREAM_H

#include "a64/a64.h"
#include "diff.h"

#include <stdbool.h>

struct random {
	uint64_t state;
};

uint64_t random_next(struct random *random);
/* 0..n-1 */
uint32_t random_below(struct random *random, uint32_t n);

/*
 * Rows that streams are made of.  @filter: only rows whose name contains it; NULL for all.
 * Returns how many rows there are.
 */
struct row_set {
	uint16_t rows[A64_OPS];
	unsigned count;
};
unsigned stream_choose_rows(struct row_set *set, const char *filter);

/* Case number @number of the run with @seed: always the same for the same rows. */
void stream_make_case(struct diff_case *c, const struct row_set *set, uint64_t seed, uint64_t number);

#endif
