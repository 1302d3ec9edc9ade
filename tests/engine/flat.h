/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flat.h - the interpreter's handlers without the rest of the engine
 *
 * How it works: stands in for run.c, mem.c and exception.c with two mapped ranges (the window's pages and the code) and no
 * exceptions: whatever would raise one stops the stream.
 */
#ifndef ORIEL_TESTS_ENGINE_FLAT_H
#define ORIEL_TESTS_ENGINE_FLAT_H

#include "diff.h"

#include <stdbool.h>

struct cpu;
struct flat;
struct sysregs;

/* NULL if there is no memory. */
struct flat *flat_create(void);
void flat_destroy(struct flat *flat);
/* What the handlers see of system registers; all features are shown, everything else is 0.  Borrowed. */
struct sysregs *flat_sysregs(struct flat *flat);
/* Run one case; @result as the reference program would send it. */
void flat_run(struct flat *flat, const struct diff_case *c, struct diff_state *result);


/* For other ways to run a case: its state and code, in place; borrowed. */
struct cpu *flat_load(struct flat *flat, const struct diff_case *c);
/* The code's memory, DIFF_CODE_BYTES at DIFF_CODE. */
const uint8_t *flat_code(const struct flat *flat);
bool flat_has_stopped(const struct flat *flat);
void flat_store(struct flat *flat, const struct diff_case *c, struct diff_state *result);

#endif
