/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcpu.c - vCPUs of the framework: life, registers, running, interrupts, kicks
 *
 * How it works: whoever wants something of a vCPU says so in `lines` or `kicked` first and then, if
 * it is inside hv_vcpu_run(), has it leave; hv_vcpus_exit() also ends a run that only begins.  The
 * vCPU says that it is inside first and looks then, so nothing is lost. Threads: as engine.h says.
 */
#include "base/log.h"
#include "base/own.h"
#include "base/wait.h"
#include "engine/hvf/hvf.h"

#include <stdlib.h>
#include <string.h>

#define PSTATE_EL1H_MASKED UINT64_C(0x3c5)

#define SYS_MPIDR_EL1	  ENGINE_SYSREG(3, 0, 0, 0, 5)
#define SYS_SP_EL0	  ENGINE_SYSREG(3, 0, 4, 1, 0)
#define SYS_SP_EL1	  ENGINE_SYSREG(3, 4, 4, 1, 0)
#define SYS_CNTV_CTL_EL0  ENGINE_SYSREG(3, 3, 14, 3, 1)
#define SYS_CNTV_CVAL_EL0 ENGINE_SYSREG(3, 3, 14, 3, 2)

enum { CTL_ENABLE = 1, CTL_IMASK = 2, CTL_ISTATUS = 4 };

/* ----- registers ----- */

/* Can only fail for a register or thread of our own mistake. */
static void must(const struct hvf_vcpu *vcpu, hv_return_t rc, const char *what)
{
	if (rc != HV_SUCCESS) {
		log_limited(LOG_ERROR, "vcpu%u: Hypervisor.framework refuses to %s: %s",
			    vcpu->base.index, what, hvf_text(rc));
	}
}

uint64_t hvf_get(const struct hvf_vcpu *vcpu, hv_reg_t reg)
{
	uint64_t value = 0;
	must(vcpu, hv_vcpu_get_reg(vcpu->id, reg, &value), "read a register");
	return value;
}

void hvf_set(const struct hvf_vcpu *vcpu, hv_reg_t reg, uint64_t value)
{
	must(vcpu, hv_vcpu_set_reg(vcpu->id, reg, value), "write a register");
}

uint64_t hvf_get_sysreg(const struct hvf_vcpu *vcpu, uint32_t reg)
{
	uint64_t value = 0;
	must(vcpu, hv_vcpu_get_sys_reg(vcpu->id, (hv_sys_reg_t)reg, &value),
	     "read a system register");
	return value;
}

void hvf_set_sysreg(const struct hvf_vcpu *vcpu, uint32_t reg, uint64_t value)
{
	must(vcpu, hv_vcpu_set_sys_reg(vcpu->id, (hv_sys_reg_t)reg, value),
	     "write a system register");
}

bool hvf_vcpu_set_key(struct engine_vcpu *base, enum engine_key key, uint64_t low, uint64_t high)
{
	static const uint32_t lows[] = {[ENGINE_KEY_IA] = ENGINE_SYSREG(3, 0, 2, 1, 0),
					[ENGINE_KEY_IB] = ENGINE_SYSREG(3, 0, 2, 1, 2),
					[ENGINE_KEY_DA] = ENGINE_SYSREG(3, 0, 2, 2, 0),
					[ENGINE_KEY_DB] = ENGINE_SYSREG(3, 0, 2, 2, 2),
					[ENGINE_KEY_GA] = ENGINE_SYSREG(3, 0, 2, 3, 0)};
	struct hvf_vcpu *vcpu = hvf_vcpu(base);
	/* The high half is the next register. */
	return key != ENGINE_KEY_DIVERSIFIER &&
	       hv_vcpu_set_sys_reg(vcpu->id, (hv_sys_reg_t)lows[key], low) == HV_SUCCESS &&
	       hv_vcpu_set_sys_reg(vcpu->id, (hv_sys_reg_t)(lows[key] + 1), high) == HV_SUCCESS;
}

void hvf_vcpu_registers(struct engine_vcpu *base, uint64_t x[31], uint64_t *sp, uint64_t *pc,
			uint64_t *pstate)
{
	const struct hvf_vcpu *vcpu = hvf_vcpu(base);
	memcpy(x, vcpu->x, sizeof(vcpu->x));
	*sp = vcpu->sp;
	*pc = vcpu->pc;
	*pstate = vcpu->pstate;
}

/* For hvf_vcpu_registers(), which may come from another thread. */
static void keep_registers(struct hvf_vcpu *vcpu)
{
	for (unsigned n = 0; n < 31; n++) {
		vcpu->x[n] = hvf_get(vcpu, HV_REG_X0 + n);
	}
	vcpu->pc = hvf_get(vcpu, HV_REG_PC);
	vcpu->pstate = hvf_get(vcpu, HV_REG_CPSR);
	vcpu->sp = hvf_get_sysreg(vcpu, (vcpu->pstate & 5) == 5 ? SYS_SP_EL1 : SYS_SP_EL0);
}

/* ----- life ----- */

struct engine_vcpu *hvf_vcpu_create(struct engine *base, unsigned index, uint64_t mpidr,
				    struct error *err)
{
	struct hvf_engine *engine = hvf_engine(base);
	if (index != engine->vcpu_count || index >= engine->config.vcpus) {
		error_set(err, -EINVAL, "vCPU %u is out of order", index);
		return NULL;
	}
	struct hvf_vcpu *vcpu = calloc(1, sizeof(*vcpu));
	if (!vcpu) {
		error_set(err, -ENOMEM, "no memory for vCPU %u", index);
		return NULL;
	}
	vcpu->base = (struct engine_vcpu){.engine = base, .index = index};
	vcpu->engine = engine;
	vcpu->mpidr = mpidr;
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_cond_init(&vcpu->wake, NULL);
	engine->vcpus[engine->vcpu_count++] = vcpu;
	return &vcpu->base;
}

void hvf_vcpu_destroy(struct hvf_vcpu *vcpu)
{
	if (!vcpu) {
		return;
	}
	if (vcpu->exists) {
		log_error("vcpu%u: its thread ended without leaving it", vcpu->base.index);
	}
	pthread_mutex_destroy(&vcpu->lock);
	pthread_cond_destroy(&vcpu->wake);
	free(vcpu);
}

void hvf_vcpu_reset(struct engine_vcpu *base, uint64_t pc, uint64_t x0)
{
	struct hvf_vcpu *vcpu = hvf_vcpu(base);
	memset(vcpu->x, 0, sizeof(vcpu->x));
	vcpu->x[0] = x0;
	vcpu->sp = 0;
	vcpu->pc = pc;
	vcpu->pstate = PSTATE_EL1H_MASKED;
	vcpu->reset = true;
}

static void set_timer_line(struct hvf_vcpu *vcpu, bool level)
{
	const struct engine_config *config = &vcpu->engine->config;
	if (level != vcpu->timer_level) {
		vcpu->timer_level = level;
		config->host_ops->timer_line(config->host, vcpu->base.index, ENGINE_PPI_VTIMER,
					     level);
	}
}

void hvf_vcpu_leave(struct engine_vcpu *base)
{
	struct hvf_vcpu *vcpu = hvf_vcpu(base);
	if (vcpu->exists) {
		must(vcpu, hv_vcpu_destroy(vcpu->id), "end it");
		vcpu->exists = false;
		set_timer_line(vcpu, false);
	}
}

/* A new one in the framework, in the state that the reset asked for. */
static bool renew(struct hvf_vcpu *vcpu)
{
	hvf_vcpu_leave(&vcpu->base);
	hv_return_t rc = hv_vcpu_create(&vcpu->id, &vcpu->exit, NULL);
	if (rc != HV_SUCCESS) {
		log_error("vcpu%u: Hypervisor.framework can not make it: %s", vcpu->base.index,
			  hvf_text(rc));
		return false;
	}
	vcpu->exists = true;
	vcpu->owner = pthread_self();
	vcpu->reset = vcpu->timer_masked = false;
	must(vcpu, hv_vcpu_set_vtimer_offset(vcpu->id, vcpu->engine->timer_offset),
	     "set its clock");
	must(vcpu, hv_vcpu_set_trap_debug_exceptions(vcpu->id, false),
	     "leave debugging to the guest");
	must(vcpu, hv_vcpu_set_trap_debug_reg_accesses(vcpu->id, false),
	     "leave debug registers to the guest");
	hvf_set_sysreg(vcpu, SYS_MPIDR_EL1, vcpu->mpidr);
	hvf_model_apply(vcpu);
	hvf_set(vcpu, HV_REG_PC, vcpu->pc);
	hvf_set(vcpu, HV_REG_X0, vcpu->x[0]);
	hvf_set(vcpu, HV_REG_CPSR, vcpu->pstate);
	return true;
}

/* The vCPU of this thread. */
static bool own(struct hvf_vcpu *vcpu)
{
	if (vcpu->exists && !pthread_equal(vcpu->owner, pthread_self())) {
		log_error("vcpu%u: run by another thread than the one that it belongs to",
			  vcpu->base.index);
		return false;
	}
	if (!vcpu->exists && !vcpu->reset) {
		log_error("vcpu%u: run after its thread left it, without a reset",
			  vcpu->base.index);
		return false;
	}
	return !vcpu->reset || renew(vcpu);
}

/* ----- the virtual timer ----- */

/* After its exit the framework says nothing more of the timer, so its level is asked for until it
 * is low. */
static void follow_timer(struct hvf_vcpu *vcpu)
{
	if (!vcpu->timer_masked) {
		return;
	}
	uint64_t ctl = hvf_get_sysreg(vcpu, SYS_CNTV_CTL_EL0);
	bool level = (ctl & (CTL_ENABLE | CTL_IMASK | CTL_ISTATUS)) == (CTL_ENABLE | CTL_ISTATUS);
	set_timer_line(vcpu, level);
	if (!level) {
		must(vcpu, hv_vcpu_set_vtimer_mask(vcpu->id, false), "unmask its timer");
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

/* ----- interrupts, sleep, kicks ----- */

static bool has_reason_to_run(const struct hvf_vcpu *vcpu)
{
	return atomic_load(&vcpu->lines) || atomic_load(&vcpu->kicked);
}

void hvf_wait(struct hvf_vcpu *vcpu)
{
	follow_timer(vcpu);
	uint64_t ns = timer_wait_ns(vcpu), now = wait_now_ns();
	uint64_t end = ns < UINT64_MAX - now ? now + ns : UINT64_MAX;
	LOCKED(&vcpu->lock);
	int late = 0;
	while (!has_reason_to_run(vcpu) && !late) {
		late = end == UINT64_MAX ? pthread_cond_wait(&vcpu->wake, &vcpu->lock)
					 : wait_until(&vcpu->wake, &vcpu->lock, end);
	}
}

/* Something new is in `lines` or `kicked`. */
static void alert(struct hvf_vcpu *vcpu)
{
	if (atomic_load(&vcpu->inside)) {
		(void)hv_vcpus_exit(&vcpu->id, 1);
	}
	LOCKED(&vcpu->lock);
	pthread_cond_signal(&vcpu->wake);
}

void hvf_vcpu_set_line(struct engine_vcpu *base, enum engine_line line, bool level)
{
	struct hvf_vcpu *vcpu = hvf_vcpu(base);
	if (!level) {
		atomic_fetch_and(&vcpu->lines, ~(1u << line));
	} else if (!(atomic_fetch_or(&vcpu->lines, 1u << line) & 1u << line)) {
		alert(vcpu);
	}
}

void hvf_vcpu_kick(struct engine_vcpu *base)
{
	struct hvf_vcpu *vcpu = hvf_vcpu(base);
	atomic_store(&vcpu->kicked, true);
	alert(vcpu);
}

/* ----- running ----- */

/* For the next run alone. */
static void put_lines(struct hvf_vcpu *vcpu)
{
	unsigned lines = atomic_load(&vcpu->lines);
	if (lines & 1u << ENGINE_IRQ) {
		must(vcpu, hv_vcpu_set_pending_interrupt(vcpu->id, HV_INTERRUPT_TYPE_IRQ, true),
		     "raise IRQ");
	}
	if (lines & 1u << ENGINE_FIQ) {
		must(vcpu, hv_vcpu_set_pending_interrupt(vcpu->id, HV_INTERRUPT_TYPE_FIQ, true),
		     "raise FIQ");
	}
}

static bool run_once(struct hvf_vcpu *vcpu)
{
	follow_timer(vcpu);
	atomic_store(&vcpu->inside, true);
	if (atomic_load(&vcpu->kicked)) {
		atomic_store(&vcpu->inside, false);
		return true;
	}
	put_lines(vcpu);
	hv_return_t rc = hv_vcpu_run(vcpu->id);
	atomic_store(&vcpu->inside, false);
	if (rc != HV_SUCCESS) {
		log_error("vcpu%u: Hypervisor.framework can not run it: %s", vcpu->base.index,
			  hvf_text(rc));
		return false;
	}
	return hvf_handle_exit(vcpu);
}

enum engine_exit hvf_vcpu_run(struct engine_vcpu *base)
{
	struct hvf_vcpu *vcpu = hvf_vcpu(base);
	if (!own(vcpu)) {
		return ENGINE_EXIT_ERROR;
	}
	bool good = true;
	while (good && !atomic_exchange(&vcpu->kicked, false)) {
		good = run_once(vcpu);
	}
	keep_registers(vcpu);
	return good ? ENGINE_EXIT_KICKED : ENGINE_EXIT_ERROR;
}
