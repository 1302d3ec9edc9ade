/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll.h - the little of macOS that our engines use, so that they compile without Apple's SDK
 *
 * Our own declarations; sizes and values are those of macOS on arm64.  Threads: as POSIX says.
 */
#ifndef ORIEL_TESTS_MACOS_POLL_H
#define ORIEL_TESTS_MACOS_POLL_H

#define POLLHUP 0x0010

#endif
