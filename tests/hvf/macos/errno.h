/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errno.h - the little of macOS that our engine uses, so that it compiles without Apple's SDK
 *
 * Our own declarations; sizes and values are those of macOS on arm64.  Threads: as POSIX says.
 */
#ifndef ORIEL_TESTS_MACOS_ERRNO_H
#define ORIEL_TESTS_MACOS_ERRNO_H

int *__error(void);
#define errno (*__error())

#define ENOENT	   2
#define EIO	   5
#define ENOMEM	   12
#define EACCES	   13
#define EBUSY	   16
#define EEXIST	   17
#define EINVAL	   22
#define ENOSPC	   28
#define ENOTSUP	   45
#define ETIMEDOUT  60
#define EOPNOTSUPP 102

#endif
