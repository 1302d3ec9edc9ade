/* SPDX-License-Identifier: Apache-2.0 */
/*
 * time.h - the little of macOS that our engine uses, so that it compiles without Apple's SDK
 *
 * Our own declarations; sizes and values are those of macOS on arm64.  Threads: as POSIX says.
 */
#ifndef ORIEL_TESTS_MACOS_TIME_H
#define ORIEL_TESTS_MACOS_TIME_H

typedef long time_t;
typedef int clockid_t;
struct timespec {
	time_t tv_sec;
	long tv_nsec;
};

#define CLOCK_MONOTONIC 6

int clock_gettime(clockid_t clock, struct timespec *time);

#endif
