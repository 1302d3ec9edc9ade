/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz.h - the one function of a fuzz target: libFuzzer calls it, or replay.c */
#ifndef ORIEL_TESTS_FUZZ_H
#define ORIEL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
