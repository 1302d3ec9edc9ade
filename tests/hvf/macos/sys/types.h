/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys/types.h - the little of macOS that our engines use, so that they compile without Apple's SDK
 *
 * Our own declarations; sizes and values are those of macOS on arm64.  Threads: as POSIX says.
 */
#ifndef ORIEL_TESTS_MACOS_SYS_TYPES_H
#define ORIEL_TESTS_MACOS_SYS_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef long ssize_t;
typedef int64_t off_t;

#endif
