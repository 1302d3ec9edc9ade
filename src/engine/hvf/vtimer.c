/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtimer.c - the virtual timer of a vCPU, and its sleep, which the timer ends
 * Threads: the vCPU's.
 */
#include "base/own.h"
#include "base/wait.h"
#include "engine/hvf/hvf.h"

#define SYS_CNTV_CTL_EL0  ENGINE_SYSREG(3, 3, 14, 3, 1)
#define SYS_CNTV_CVAL_EL0 ENGINE_SYSREG(3, 3, 14, 3, 2)

enum { CTL_ENABLE = 1, CTL_IMASK = 2, CTL_ISTATUS = 4 };

void hvf_set_timer_line(struct hvf_vcpu *vcpu, bool level)
{
	const struct engine_config *config = &vcpu->engine->config;
	if (level != vcpu->timer_level) {
		vcpu->timer_level = level;
		config->host_ops->timer_line(config->host, vcpu->base.index, ENGINE_PPI_VTIMER,
					     level);
	}
}

void hvf_follow_timer(struct hvf_vcpu *vcpu)
{
	if (!vcpu->timer_masked) {
		return;
	}
	uint64_t ctl = hvf_get_sysreg(vcpu, SYS_CNTV_CTL_EL0);
	bool level = (ctl & (CTL_ENABLE | CTL_IMASK | CTL_ISTATUS)) == (CTL_ENABLE | CTL_ISTATUS);
	hvf_set_timer_line(vcpu, level);
	if (!level) {
		hvf_must(vcpu, hv_vcpu_set_vtimer_mask(vcpu->id, false), "unmask its timer");
		vcpu->timer_masked = false;
	}
}

/* Nanoseconds until the timer wakes a WFI; ~0: it does not. */
static uint64_t timer_wait_ns(const struct hvf_vcpu *vcpu)
{
	const struct mach_timebase_info *timebase = &vcpu->engine->timebase;
	uint64_t ctl = hvf_get_sysreg(vcpu, SYS_CNTV_CTL_EL0);
	if (vcpu->timer_masked || (ctl & (CTL_ENABLE | CTL_IMASK)) != CTL_ENABLE) {
		return UINT64_MAX;
	}
	uint64_t cval = hvf_get_sysreg(vcpu, SYS_CNTV_CVAL_EL0);
	uint64_t now = mach_absolute_time() - vcpu->engine->timer_offset;
	if (cval <= now) {
		return 0;
	}
	unsigned __int128 ns = (unsigned __int128)(cval - now) * timebase->numer / timebase->denom;
	return ns < UINT64_MAX ? (uint64_t)ns : UINT64_MAX;
}

static bool has_reason_to_run(const struct hvf_vcpu *vcpu)
{
	return atomic_load(&vcpu->lines) || atomic_load(&vcpu->kicked);
}

void hvf_wait(struct hvf_vcpu *vcpu)
{
	hvf_follow_timer(vcpu);
	uint64_t ns = timer_wait_ns(vcpu), now = wait_now_ns();
	uint64_t end = ns < UINT64_MAX - now ? now + ns : UINT64_MAX;
	LOCKED(&vcpu->lock);
	int late = 0;
	while (!has_reason_to_run(vcpu) && !late) {
		late = end == UINT64_MAX ? pthread_cond_wait(&vcpu->wake, &vcpu->lock)
					 : wait_until(&vcpu->wake, &vcpu->lock, end);
	}
}
