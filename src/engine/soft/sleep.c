/* SPDX-License-Identifier: Apache-2.0 */
/* sleep.c - see sleep.h */
#include "engine/soft/sleep.h"

#include "base/wait.h"
#include "engine/soft/run.h"
#include "engine/soft/soft.h"

#include <errno.h>
#include <sched.h>

#define CNTKCTL_EVNTEN (1u << 2)
enum {
	WFE_RUN_NS = 200000,	  /* WFEs not further apart belong to one wait */
	WFE_SPIN_NS = 50000,	  /* a wait so long may end at once */
	WFE_LONGEST_NS = 1000000, /* of one sleep */
	YIELD_RUN_NS = 4000,	  /* yields not further apart belong to one wait */
	YIELD_POLL_NS = 200000,	  /* after that the thread does not mean to sleep soon */
	YIELD_LONGEST_NS = 20000, /* of one yield */
	BRIEF_NS = 1000000,	  /* a sleep that is noticeably longer if waking takes its time */
	WAKING_MOST_NS = 60000,	  /* what waking takes where nobody else wants the CPU */
	WAKING_SHARE = 8,	  /* of the last time in what is expected of the next */
};

void sleep_init(struct sleep *sleep)
{
	pthread_mutex_init(&sleep->lock, NULL);
	pthread_cond_init(&sleep->wake, NULL);
}

void sleep_free(struct sleep *sleep)
{
	pthread_mutex_destroy(&sleep->lock);
	pthread_cond_destroy(&sleep->wake);
}

/* The lock waits for one that is about to sleep; it is free again before the sleeper needs it. */
void sleep_wake(struct soft_vcpu *vcpu)
{
	struct sleep *sleep = &vcpu->sleep;
	if (atomic_load(&sleep->asleep)) {
		pthread_mutex_lock(&sleep->lock);
		pthread_mutex_unlock(&sleep->lock);
		pthread_cond_signal(&sleep->wake);
	}
}

/* @event: WFE's is one, too. */
static bool has_reason_to_run(struct soft_vcpu *vcpu, bool event)
{
	return (atomic_load(&vcpu->cpu.pending) & ~(unsigned)RUN_STEP) ||
	       atomic_load(&vcpu->lines) || (event && atomic_load(&vcpu->event));
}

/* It took until @now to wake at @alarm.  Much longer is not what waking takes but somebody else's
 * turn. */
static void learn_waking(struct sleep *sleep, uint64_t alarm, uint64_t now)
{
	uint64_t took = now - alarm < WAKING_MOST_NS ? now - alarm : WAKING_MOST_NS;
	sleep->waking += took / WAKING_SHARE - sleep->waking / WAKING_SHARE;
}

/* True: host time @alarm (TIMER_NEVER: no alarm) has come before there was a reason to run. */
static bool sleep_until_alarm(struct soft_vcpu *vcpu, uint64_t alarm, bool event)
{
	struct sleep *sleep = &vcpu->sleep;
	int rc = 0;
	pthread_mutex_lock(&sleep->lock);
	atomic_store(&sleep->asleep, true);
	while (!has_reason_to_run(vcpu, event) && rc == 0) {
		rc = alarm != TIMER_NEVER ? wait_until(&sleep->wake, &sleep->lock, alarm)
					  : pthread_cond_wait(&sleep->wake, &sleep->lock);
	}
	atomic_store(&sleep->asleep, false);
	pthread_mutex_unlock(&sleep->lock);
	return rc != 0;
}

/* Sleep until there is one, or until host time @until (TIMER_NEVER: no end). */
static void wait_for_reason(struct soft_vcpu *vcpu, uint64_t until, bool event)
{
	struct sleep *sleep = &vcpu->sleep;
	uint64_t now = wait_now_ns();
	bool brief = until < now + BRIEF_NS;
	uint64_t alarm = brief ? until - sleep->waking : until;
	if (alarm > now) {
		if (!sleep_until_alarm(vcpu, alarm, event)) {
			return;
		}
		if (brief) {
			learn_waking(sleep, alarm, wait_now_ns());
		}
	}
	while (!has_reason_to_run(vcpu, event) && wait_now_ns() < until) {
		sched_yield();
	}
}

static void sleep_until(struct soft_vcpu *vcpu, uint64_t limit, bool event)
{
	uint64_t until = timer_take(&vcpu->cpu);
	atomic_store(&vcpu->running, false);
	wait_for_reason(vcpu, limit < until ? limit : until, event);
	atomic_store(&vcpu->running, true);
	timer_update(&vcpu->cpu);
}

void sleep_wfi(struct soft_vcpu *vcpu)
{
	sleep_until(vcpu, TIMER_NEVER, false);
}

/* When the event stream (CNTKCTL_EL1) is sure to have come, or WFE just ends: the architecture lets
 * it end at any time. */
static uint64_t event_limit(const struct soft_vcpu *vcpu, uint64_t now)
{
	uint64_t cntkctl = vcpu->sys.cntkctl;
	uint64_t period = WFE_LONGEST_NS;
	if (cntkctl & CNTKCTL_EVNTEN) {
		period = (UINT64_C(2) << (cntkctl >> 4 & 0xf)) * TIMER_NS;
	}
	return now + (period < WFE_LONGEST_NS ? period : WFE_LONGEST_NS);
}

/*
 * Who waits by WFE expects what it waits for at once, and that another vCPU's store ends the wait:
 * no store tells us.  So a run of WFEs first only lets other threads run, and then sleeps for as
 * long as the event stream would let it.
 */
void sleep_wfe(struct soft_vcpu *vcpu)
{
	struct sleep *sleep = &vcpu->sleep;
	uint64_t now = wait_now_ns();
	if (now - sleep->wfe_last > WFE_RUN_NS) {
		sleep->wfe_since = now;
	}
	if (now - sleep->wfe_since < WFE_SPIN_NS || has_reason_to_run(vcpu, false)) {
		sched_yield();
	} else {
		sleep_until(vcpu, event_limit(vcpu, now), true);
		now = wait_now_ns();
	}
	sleep->wfe_last = now;
}

/*
 * Mesa looks 16 times for the end of what the GPU does, with yields between, and then sleeps for
 * 210 us.  16 yields alone take 8 us; what is waited for takes more, and a CPU of the host's too.
 */
void sleep_yield(struct soft_vcpu *vcpu)
{
	struct sleep *sleep = &vcpu->sleep;
	uint64_t stack = vcpu->cpu.x[31];
	uint64_t now = wait_now_ns();
	if (now - sleep->yield_last > YIELD_RUN_NS || stack != sleep->yield_stack) {
		sleep->yield_since = now;
		sleep->yield_stack = stack;
	}
	uint64_t polled = now - sleep->yield_since;
	if (polled < YIELD_POLL_NS) {
		uint64_t pause = polled / 2 < YIELD_LONGEST_NS ? polled / 2 : YIELD_LONGEST_NS;
		for (uint64_t end = now + pause; now < end && !has_reason_to_run(vcpu, false);) {
			sched_yield();
			now = wait_now_ns();
		}
	}
	sleep->yield_last = now;
}
