/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system_priv.h - shared by system_make.c (memory) and system_code.c (code)
 *
 * Threads: the caller's.
 */
#ifndef ORIEL_TESTS_ENGINE_SYSTEM_PRIV_H
#define ORIEL_TESTS_ENGINE_SYSTEM_PRIV_H

#include "system.h"

/* Write the code and the segments. */
void system_make_code(struct system_program *p, const struct row_set *set, struct random *random);

/* Descriptors that programs store.  @process: of a process's own table, so never global. */
uint64_t system_random_page(const struct system_program *p, struct random *random, bool process);
uint64_t system_random_moving(struct random *random, bool process);
uint64_t system_random_block(const struct system_program *p, struct random *random);
/* Values which a program may give to control registers while it runs. */
uint64_t system_tcr_random(struct random *random); /* only the bits that may change */
#define SYSTEM_TCR_CHANGES (0x3full << 37 | 1ull << 56)
uint64_t system_sctlr_random(struct random *random);
uint64_t system_ttbr0(const struct system_program *p, unsigned process);

#endif
