/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unistd.h - the little of macOS that our engine uses, so that it compiles without Apple's SDK
 *
 * Our own declarations; sizes and values are those of macOS on arm64.  Threads: as POSIX says.
 */
#ifndef ORIEL_TESTS_MACOS_UNISTD_H
#define ORIEL_TESTS_MACOS_UNISTD_H

#include <sys/types.h>

#define _SC_PAGESIZE  29
#define STDERR_FILENO 2

int close(int fd);
ssize_t write(int fd, const void *from, size_t len);
long sysconf(int name);

#endif
