/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unistd.h - the little of macOS that our engine uses, so that it compiles without Apple's SDK
 *
 * Our own declarations; sizes and values are those of macOS on arm64.  Threads: as POSIX says.
 */
#ifndef ORIEL_TESTS_MACOS_UNISTD_H
#define ORIEL_TESTS_MACOS_UNISTD_H

int close(int fd);

#endif
