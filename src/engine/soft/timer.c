/* SPDX-License-Identifier: Apache-2.0 */
/* timer.c - see timer.h */
#include "engine/soft/timer.h"

#include "base/loop.h"
#include "engine/soft/soft.h"

#include <errno.h>

enum { CTL_ENABLE = 1, CTL_IMASK = 2, CTL_ISTATUS = 4 };

/* The time of a vCPU has come. */
static void on_timer(void *opaque)
{
	struct soft_vcpu *const *vcpu = opaque;
	run_request(&(*vcpu)->cpu, RUN_TIMER);
}

static void *timer_main(void *opaque)
{
	struct timer_thread *thread = opaque;
	loop_run(thread->loop);
	return NULL;
}

int timer_thread_start(struct soft_engine *engine)
{
	struct timer_thread *thread = &engine->timer_thread;
	thread->start = loop_now_ns();
	thread->loop = loop_create(NULL);
	for (unsigned n = 0; n < engine->config.vcpus; n++) {
		struct loop_source *timer =
			thread->loop ? loop_add_timer(thread->loop, on_timer, &engine->vcpus[n]) : NULL;
		if (!timer) {
			return -ENOMEM;
		}
		thread->timers[n] = timer;
	}
	int rc = pthread_create(&thread->thread, NULL, timer_main, thread);
	thread->started = rc == 0;
	return -rc;
}

void timer_thread_stop(struct soft_engine *engine)
{
	struct timer_thread *thread = &engine->timer_thread;
	if (thread->started) {
		loop_stop(thread->loop);
		pthread_join(thread->thread, NULL);
	}
	loop_destroy(thread->loop);
}

void timer_reset(struct cpu *cpu)
{
	for (unsigned n = 0; n < TIMER_KINDS; n++) {
		cpu->vcpu->timers.timer[n].ctl = 0;
		cpu->vcpu->timers.timer[n].cval = 0;
	}
	timer_update(cpu);
}

uint64_t timer_count(struct cpu *cpu)
{
	return (loop_now_ns() - cpu->vcpu->engine->timer_thread.start) / TIMER_NS;
}

static bool has_passed(const struct timer *timer, uint64_t count)
{
	return (timer->ctl & CTL_ENABLE) && count >= timer->cval;
}

uint64_t timer_read_ctl(struct cpu *cpu, enum timer_kind kind)
{
	const struct timer *timer = &cpu->vcpu->timers.timer[kind];
	return timer->ctl | (has_passed(timer, timer_count(cpu)) ? CTL_ISTATUS : 0);
}

void timer_write_ctl(struct cpu *cpu, enum timer_kind kind, uint64_t value)
{
	cpu->vcpu->timers.timer[kind].ctl = value & (CTL_ENABLE | CTL_IMASK);
	timer_update(cpu);
}

void timer_write_cval(struct cpu *cpu, enum timer_kind kind, uint64_t value)
{
	cpu->vcpu->timers.timer[kind].cval = value;
	timer_update(cpu);
}

/* When the line of @timer would rise by itself. */
static uint64_t deadline_of(struct soft_engine *engine, const struct timer *timer, uint64_t count)
{
	if ((timer->ctl & (CTL_ENABLE | CTL_IMASK)) != CTL_ENABLE || count >= timer->cval ||
	    timer->cval > TIMER_NEVER / TIMER_NS - engine->timer_thread.start) {
		return TIMER_NEVER;
	}
	return engine->timer_thread.start + timer->cval * TIMER_NS;
}

/* Host time (CLOCK_MONOTONIC, ns) of the vCPU's next deadline, or TIMER_NEVER, as seen at @count. */
static uint64_t first_deadline(struct soft_vcpu *vcpu, uint64_t count)
{
	uint64_t first = TIMER_NEVER;
	for (unsigned n = 0; n < TIMER_KINDS; n++) {
		uint64_t deadline = deadline_of(vcpu->engine, &vcpu->timers.timer[n], count);
		first = deadline < first ? deadline : first;
	}
	return first;
}

/* When the thread is to wake the vCPU. */
static void set_deadline(struct soft_vcpu *vcpu, uint64_t deadline)
{
	if (deadline != vcpu->timers.deadline) {
		vcpu->timers.deadline = deadline;
		loop_timer_set(vcpu->engine->timer_thread.timers[vcpu->base.index], deadline == TIMER_NEVER ? 0 : deadline);
	}
}

/* Work out lines; the next deadline. */
static uint64_t update_lines(struct cpu *cpu)
{
	static const enum engine_ppi ppis[TIMER_KINDS] = {ENGINE_PPI_VTIMER, ENGINE_PPI_PTIMER};
	struct soft_vcpu *vcpu = cpu->vcpu;
	const struct engine_config *config = &vcpu->engine->config;
	uint64_t count = timer_count(cpu);
	for (unsigned n = 0; n < TIMER_KINDS; n++) {
		struct timer *timer = &vcpu->timers.timer[n];
		bool level = has_passed(timer, count) && !(timer->ctl & CTL_IMASK);
		if (level != timer->level) {
			timer->level = level;
			config->host_ops->timer_line(config->host, vcpu->base.index, ppis[n], level);
		}
	}
	/* With the same count: a timer that passes just now must be seen here or there, else nobody raises its line. */
	return first_deadline(vcpu, count);
}

void timer_update(struct cpu *cpu)
{
	set_deadline(cpu->vcpu, update_lines(cpu));
}

uint64_t timer_take(struct cpu *cpu)
{
	uint64_t deadline = update_lines(cpu);
	set_deadline(cpu->vcpu, TIMER_NEVER);
	return deadline;
}
