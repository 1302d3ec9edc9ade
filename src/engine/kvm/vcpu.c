/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcpu.c - vCPUs of KVM: life, running, kicks
 *
 * How it works: a kick sets `kicked`, then immediate_exit in the shared page, and then sends a
 * signal if the vCPU runs: so KVM_RUN fails with EINTR at once or later, and the flag tells why.
 * See exits.c for all other reasons to come back. Threads: as engine.h says.
 */
#include "base/log.h"
#include "base/own.h"
#include "engine/kvm/kvm.h"
#include "engine/kvm/probe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { PSTATE_EL1H_MASKED = 0x3c5 };

/* ----- life ----- */

static void set_feature(struct kvm_vcpu_init *init, unsigned feature, bool on)
{
	init->features[feature / 32] &= ~(1u << feature % 32);
	init->features[feature / 32] |= (uint32_t)on << feature % 32;
}

static int init_vcpu(struct kvm_vcpu *vcpu, bool off)
{
	set_feature(&vcpu->init, KVM_ARM_VCPU_POWER_OFF, off);
	if (ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &vcpu->init) < 0) {
		return -errno;
	}
	uint64_t version = vcpu->engine->config.psci_version;
	(void)kvm_set(vcpu, KVM_REG_ARM_PSCI_VERSION, &version); /* only before the first run */
	return 0;
}

static int choose_features(struct kvm_vcpu *vcpu)
{
	struct kvm_engine *engine = vcpu->engine;
	if (ioctl(engine->vm, KVM_ARM_PREFERRED_TARGET, &vcpu->init) < 0) {
		return -errno;
	}
	set_feature(&vcpu->init, KVM_ARM_VCPU_PSCI_0_2, true);
	set_feature(&vcpu->init, KVM_ARM_VCPU_PTRAUTH_ADDRESS, engine->shows_pauth);
	set_feature(&vcpu->init, KVM_ARM_VCPU_PTRAUTH_GENERIC, engine->shows_pauth);
	set_feature(&vcpu->init, KVM_ARM_VCPU_SVE, engine->shows_sve);
	return 0;
}

static int open_vcpu(struct kvm_vcpu *vcpu, struct error *err)
{
	struct kvm_engine *engine = vcpu->engine;
	unsigned index = vcpu->base.index;
	vcpu->fd = ioctl(engine->vm, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0) {
		return error_errno(err, "KVM: can not make vCPU %u", index);
	}
	vcpu->run = mmap(NULL, engine->run_len, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return error_errno(err, "KVM: can not map vCPU %u", index);
	}
	int rc = choose_features(vcpu);
	rc = rc < 0 ? rc : init_vcpu(vcpu, true);
	const int sve = KVM_ARM_VCPU_SVE;
	if (rc == 0 && engine->shows_sve && ioctl(vcpu->fd, KVM_ARM_VCPU_FINALIZE, &sve) < 0) {
		rc = -errno; /* the host's vector lengths stay; later resets keep them */
	}
	if (rc == 0 && engine->config.cpu == ENGINE_CPU_BASELINE) {
		char kept[256];
		unsigned count = kvm_model_baseline(vcpu->fd, kept, sizeof(kept));
		if (count && index == 0) {
			log_warn("--cpu baseline: this kernel can not hide %u fields from the "
				 "guest: %s",
				 count, kept);
		}
	}
	return rc < 0 ? error_set(err, rc, "KVM: can not start vCPU %u: %s", index, strerror(-rc))
		      : 0;
}

struct engine_vcpu *kvm_vcpu_create(struct engine *base, unsigned index, uint64_t mpidr,
				    struct error *err)
{
	struct kvm_engine *engine = kvm_engine(base);
	if (index != engine->vcpu_count || index >= engine->config.vcpus) {
		error_set(err, -EINVAL, "vCPU %u is out of order", index);
		return NULL;
	}
	struct kvm_vcpu *vcpu = calloc(1, sizeof(*vcpu));
	if (!vcpu) {
		error_set(err, -ENOMEM, "no memory for vCPU %u", index);
		return NULL;
	}
	vcpu->base = (struct engine_vcpu){.engine = base, .index = index};
	vcpu->engine = engine;
	vcpu->fd = -1;
	pthread_mutex_init(&vcpu->lock, NULL);
	engine->vcpus[engine->vcpu_count++] = vcpu;
	int rc = open_vcpu(vcpu, err);
	if (rc == 0 && engine->vcpu_count == engine->config.vcpus) {
		rc = kvm_gic_start(engine, err);
	}
	return rc < 0 ? NULL : &vcpu->base;
}

void kvm_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	if (!vcpu) {
		return;
	}
	if (vcpu->run) {
		munmap(vcpu->run, vcpu->engine->run_len);
	}
	own_close(&vcpu->fd);
	pthread_mutex_destroy(&vcpu->lock);
	free(vcpu);
}

void kvm_vcpu_reset(struct engine_vcpu *base, uint64_t pc, uint64_t x0)
{
	struct kvm_vcpu *vcpu = kvm_vcpu(base);
	uint64_t pstate = PSTATE_EL1H_MASKED;
	int rc = init_vcpu(vcpu, pc == ENGINE_OFF);
	if (rc == 0 && pc != ENGINE_OFF) {
		rc = kvm_set(vcpu, kvm_core_id(offsetof(struct kvm_regs, regs.pc)), &pc);
		rc = rc < 0 ? rc
			    : kvm_set(vcpu, kvm_core_id(offsetof(struct kvm_regs, regs.regs)), &x0);
		rc = rc < 0 ? rc
			    : kvm_set(vcpu, kvm_core_id(offsetof(struct kvm_regs, regs.pstate)),
				      &pstate);
	}
	if (rc < 0) {
		log_error("vcpu%u: KVM can not reset it: %s", base->index, strerror(-rc));
	}
}

/* ----- running ----- */

void kvm_vcpu_kick(struct engine_vcpu *base)
{
	struct kvm_vcpu *vcpu = kvm_vcpu(base);
	LOCKED(&vcpu->lock);
	atomic_store(&vcpu->kicked, true);
	kvm_vcpu_interrupt(vcpu);
}

static void set_running(struct kvm_vcpu *vcpu, bool running)
{
	LOCKED(&vcpu->lock);
	vcpu->running = running;
	vcpu->thread = pthread_self();
}

enum engine_exit kvm_vcpu_run(struct engine_vcpu *base)
{
	struct kvm_vcpu *vcpu = kvm_vcpu(base);
	bool good = true, kicked = false;
	set_running(vcpu, true);
	while (good && !kicked) {
		kvm_gate_enter(vcpu);
		int error = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? errno : 0;
		kvm_gate_leave(vcpu);
		if (error == 0) {
			good = kvm_handle_exit(vcpu);
		} else if (error == EINTR) {
			atomic_fetch_add_explicit(&vcpu->exits.signals, 1, memory_order_relaxed);
			__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
			kicked = atomic_exchange(&vcpu->kicked, false);
		} else {
			good = kvm_handle_failure(vcpu, error);
		}
	}
	set_running(vcpu, false);
	return good ? ENGINE_EXIT_KICKED : ENGINE_EXIT_ERROR;
}
