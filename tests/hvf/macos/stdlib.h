/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdlib.h - the little of macOS that our engine uses, so that it compiles without Apple's SDK
 *
 * Our own declarations; sizes and values are those of macOS on arm64.  Threads: as POSIX says.
 */
#ifndef ORIEL_TESTS_MACOS_STDLIB_H
#define ORIEL_TESTS_MACOS_STDLIB_H

#include <stddef.h>

void *calloc(size_t count, size_t size);
void *malloc(size_t size);
void *aligned_alloc(size_t alignment, size_t size);
void free(void *pointer);

#endif
