/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sleep.h - what a vCPU does while it waits: WFI, WFE, and programs that yield
 *
 * How it works: a vCPU that waits is its thread asleep on a condition.  Waking takes a thread some
 * time, 5 us on a plain host and 50 on one that is a virtual machine itself, so the thread sets its
 * alarm earlier than the guest's timer by what waking took lately, and lets other threads run until
 * the timer's time has come. Invariant: a sleeping vCPU has looked for reasons to run after it said
 * that it sleeps.
 */
#ifndef ORIEL_ENGINE_SOFT_SLEEP_H
#define ORIEL_ENGINE_SOFT_SLEEP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct soft_vcpu;

struct sleep {
	/* The vCPU thread. */
	uint64_t waking;	      /* what waking takes, ns */
	uint64_t wfe_since, wfe_last; /* host time, ns: of a run of WFEs, the first and the last */
	uint64_t yield_since, yield_last; /* likewise, of a run of one thread's yields */
	uint64_t yield_stack;		  /* that thread's stack pointer */

	/* Any thread. */
	atomic_bool asleep;
	pthread_mutex_t lock;
	pthread_cond_t wake;
};

void sleep_init(struct sleep *sleep);
void sleep_free(struct sleep *sleep);

/* WFI: returns when a line has risen (masked or not), a timer has passed or anything is requested.
 * The vCPU thread. */
void sleep_wfi(struct soft_vcpu *vcpu);
/* WFE, without the event: the same, or when the event register is set, and after 1 ms at most: the
 * architecture lets it end at any time.  The vCPU thread. */
void sleep_wfe(struct soft_vcpu *vcpu);
/*
 * The guest's thread calls sched_yield().  One that does nothing else is polling, and nobody in the
 * guest wants its vCPU: then the host's other threads get some time, half as much as the thread has
 * polled so far (and more where they do not give the CPU back), for its first 200 us.  The vCPU
 * thread, at EL0.
 */
void sleep_yield(struct soft_vcpu *vcpu);
/* There is a reason to run: it is visible to all threads before this is called.  Any thread. */
void sleep_wake(struct soft_vcpu *vcpu);

#endif
