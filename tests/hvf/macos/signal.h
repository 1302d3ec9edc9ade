/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signal.h - the little of macOS that our engines use, so that they compile without Apple's SDK
 *
 * Our own declarations; sizes and values are those of macOS on arm64.  Threads: as POSIX says.
 */
#ifndef ORIEL_TESTS_MACOS_SIGNAL_H
#define ORIEL_TESTS_MACOS_SIGNAL_H

#include <stdint.h>
#include <sys/types.h>

#define SIGBUS	   10
#define SIG_DFL	   ((void (*)(int))0)
#define SA_SIGINFO 0x0040
#define SI_USER	   0x10001

typedef uint32_t sigset_t;

typedef struct {
	int si_signo, si_errno, si_code, si_pid;
	uint32_t si_uid;
	int si_status;
	void *si_addr, *si_value;
	long si_band;
	unsigned long pad[7];
} siginfo_t;

struct sigaction {
	union {
		void (*handler)(int number);
		void (*sigaction)(int number, siginfo_t *info, void *context);
	} function;
	sigset_t sa_mask;
	int sa_flags;
};
#define sa_sigaction function.sigaction

int sigaction(int number, const struct sigaction *action, struct sigaction *old);
void (*signal(int number, void (*handler)(int number)))(int number);
int raise(int number);

#endif
