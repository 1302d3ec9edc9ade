/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inttypes.h - the little of macOS that our engine uses, so that it compiles without Apple's SDK
 *
 * Our own declarations; sizes and values are those of macOS on arm64.  Threads: as POSIX says.
 */
#ifndef ORIEL_TESTS_MACOS_INTTYPES_H
#define ORIEL_TESTS_MACOS_INTTYPES_H

#include <stdint.h>

#define PRIu32 "u"
#define PRIx32 "x"
#define PRIu64 "llu"
#define PRIx64 "llx"

#endif
