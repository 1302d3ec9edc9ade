/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.h - the generic timer: CNTVCT, the virtual and the physical EL1 timer
 *
 * How it works: the counter is CLOCK_MONOTONIC at 62.5 MHz, from 0 at the engine's creation.  No clock is read
 * while instructions run: one thread of the engine waits for timers of the host, one for each vCPU that runs, and
 * requests RUN_TIMER; the vCPU then works out the levels of its lines and tells the host of changes.  A vCPU in WFI wakes itself.
 * Setting a deadline sets the host's timer, which wakes nobody.
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_TIMER_H
#define ORIEL_ENGINE_SOFT_TIMER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct cpu;
struct loop;
struct loop_source;
struct soft_engine;

enum { SOFT_VCPUS = 64 };
enum { TIMER_HZ = 62500000, TIMER_NS = 16 };

#define TIMER_NEVER UINT64_MAX

enum timer_kind { TIMER_VIRTUAL, TIMER_PHYSICAL, TIMER_KINDS };

struct timer {
	uint32_t ctl;
	uint64_t cval;
	bool level;
};

struct timers {
	struct timer timer[TIMER_KINDS];
	uint64_t deadline; /* when the thread wakes the vCPU: host time, ns */
};

struct timer_thread {
	pthread_t thread;
	bool started;
	uint64_t start; /* host time of counter 0, ns */
	struct loop *loop;			/* the thread's */
	struct loop_source *timers[SOFT_VCPUS]; /* by vCPU */
};

/* Set-up and tear-down.  0 or -errno; stop after any start, also one that failed. */
int timer_thread_start(struct soft_engine *engine);
void timer_thread_stop(struct soft_engine *engine);

/* Both timers off. */
void timer_reset(struct cpu *cpu);
/* CNTPCT and CNTVCT: ticks of TIMER_NS since the engine was made (Arm ARM, CNTVCT_EL0). */
uint64_t timer_count(struct cpu *cpu);
/* CNT*_CTL_EL0 with ISTATUS, and CNT*_CVAL_EL0; lines and deadline follow (Arm ARM, CNTV_CTL_EL0). */
uint64_t timer_read_ctl(struct cpu *cpu, enum timer_kind kind);
void timer_write_ctl(struct cpu *cpu, enum timer_kind kind, uint64_t value);
void timer_write_cval(struct cpu *cpu, enum timer_kind kind, uint64_t value);
/* Work out lines and the next deadline. */
void timer_update(struct cpu *cpu);
/* The same before sleep: the caller wakes by itself at the host time returned (ns, or TIMER_NEVER), then calls timer_update(). */
uint64_t timer_take(struct cpu *cpu);

#endif
