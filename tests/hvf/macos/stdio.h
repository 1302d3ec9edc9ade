/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdio.h - the little of macOS that our engine uses, so that it compiles without Apple's SDK
 *
 * Our own declarations; sizes and values are those of macOS on arm64.  Threads: as POSIX says.
 */
#ifndef ORIEL_TESTS_MACOS_STDIO_H
#define ORIEL_TESTS_MACOS_STDIO_H

#include <stdarg.h>
#include <stddef.h>

int vsnprintf(char *to, size_t len, const char *format, va_list args) __attribute__((format(printf, 3, 0)));
int snprintf(char *to, size_t len, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
