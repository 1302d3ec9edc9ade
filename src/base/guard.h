/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.h - mapped memory whose pages others can take away: a cut file, a device that is gone,
 * broken memory
 *
 * How it works: touching a page that is gone raises SIGBUS.  If the address is in a guarded range,
 * its owner puts other pages there and the access runs again.  Any other SIGBUS ends the process,
 * as it always does.  System calls never raise it: they fail with EFAULT.
 *
 * Invariants: the signal comes from the access itself, so what the handler interrupts is a load or
 * a store to the range, never an allocation, nor who holds a lock that the owner takes in lost().
 * No thread that touches guarded memory blocks SIGBUS.
 *
 * Threads: any.
 */
#ifndef ORIEL_BASE_GUARD_H
#define ORIEL_BASE_GUARD_H

#include "base/error.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A guarded range, part of its owner. */
struct guard {
	const uint8_t *start;
	size_t len;
	/*
	 * The page at @at, inside the range, is gone: put another there, with guard_renew().  On
	 * the thread that touched it, within that access.  Several threads may meet the same loss.
	 * False: it can not be done, and the process ends.
	 */
	bool (*lost)(struct guard *guard, const uint8_t *at);
	struct guard *next;
};

/* Guard a range from now on; @guard, with all but next filled, is borrowed until guard_remove(). */
void guard_add(struct guard *guard);
/* Nobody may touch the range any more.  One that was never added is ignored. */
void guard_remove(struct guard *guard);
/* Zero pages instead of those at [@at, @at + @len), whole pages of the host.  0 or -errno. */
int guard_renew(const uint8_t *at, size_t len) MUST_CHECK;

/*
 * For handlers of signals that faults raise: this one is not ours.  It ends the process as if there
 * were no handler: at once if someone sent it, else when the fault comes again.
 */
void guard_refuse(int number, const siginfo_t *info);

#endif
