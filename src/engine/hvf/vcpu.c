/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcpu.c - vCPUs of the framework: life, running, interrupts, kicks
 *
 * How it works: whoever wants something of a vCPU says so in `lines` or `kicked` first and then, if
 * it is inside hv_vcpu_run(), has it leave; hv_vcpus_exit() also ends a run that only begins.  The
 * vCPU says that it is inside first and looks then, so nothing is lost. Threads: as engine.h says.
 */
#include "base/log.h"
#include "base/own.h"
#include "engine/hvf/hvf.h"

#include <stdlib.h>
#include <string.h>

#define PSTATE_EL1H_MASKED UINT64_C(0x3c5)

#define SYS_MPIDR_EL1 ENGINE_SYSREG(3, 0, 0, 0, 5)

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

void hvf_vcpu_leave(struct engine_vcpu *base)
{
	struct hvf_vcpu *vcpu = hvf_vcpu(base);
	if (vcpu->exists) {
		hvf_must(vcpu, hv_vcpu_destroy(vcpu->id), "end it");
		vcpu->exists = false;
		hvf_set_timer_line(vcpu, false);
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
	hvf_must(vcpu, hv_vcpu_set_vtimer_offset(vcpu->id, vcpu->engine->timer_offset),
	     "set its clock");
	hvf_must(vcpu, hv_vcpu_set_trap_debug_exceptions(vcpu->id, false),
	     "leave debugging to the guest");
	hvf_must(vcpu, hv_vcpu_set_trap_debug_reg_accesses(vcpu->id, false),
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

/* ----- interrupts, kicks ----- */

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
		hvf_must(vcpu, hv_vcpu_set_pending_interrupt(vcpu->id, HV_INTERRUPT_TYPE_IRQ, true),
		     "raise IRQ");
	}
	if (lines & 1u << ENGINE_FIQ) {
		hvf_must(vcpu, hv_vcpu_set_pending_interrupt(vcpu->id, HV_INTERRUPT_TYPE_FIQ, true),
		     "raise FIQ");
	}
}

static bool run_once(struct hvf_vcpu *vcpu)
{
	hvf_follow_timer(vcpu);
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
	hvf_keep_registers(vcpu);
	return good ? ENGINE_EXIT_KICKED : ENGINE_EXIT_ERROR;
}
