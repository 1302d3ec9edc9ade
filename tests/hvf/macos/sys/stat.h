/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys/stat.h - the little of macOS that our engines use, so that they compile without Apple's SDK
 *
 * Our own declarations; sizes and values are those of macOS on arm64.  Threads: as POSIX says.
 */
#ifndef ORIEL_TESTS_MACOS_SYS_STAT_H
#define ORIEL_TESTS_MACOS_SYS_STAT_H

#include <sys/types.h>
#include <time.h>

struct stat {
	int32_t st_dev;
	uint16_t st_mode, st_nlink;
	uint64_t st_ino;
	uint32_t st_uid, st_gid;
	int32_t st_rdev;
	struct timespec st_times[4];
	off_t st_size;
	int64_t st_blocks;
	int32_t st_blksize;
	uint32_t st_flags, st_gen;
	int32_t st_spare;
	int64_t st_more[2];
};

int fstat(int fd, struct stat *status);

#endif
