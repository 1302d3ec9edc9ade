/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.c - a gate before KVM_RUN: closed, no vCPU is inside the kernel
 * Threads: vCPUs' for their own way; one closes and opens.
 */
#include "base/own.h"
#include "engine/kvm/kvm.h"

#include <signal.h>

void kvm_vcpu_interrupt(struct kvm_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (vcpu->running) {
		pthread_kill(vcpu->thread, SIGUSR1);
	}
}

void kvm_gate_leave(struct kvm_vcpu *vcpu)
{
	struct kvm_engine *engine = vcpu->engine;
	atomic_store(&vcpu->inside, false);
	if (atomic_load(&engine->closed)) {
		LOCKED(&engine->gate_lock);
		pthread_cond_broadcast(&engine->gate);
	}
}

/* `inside` is set before `closed` is looked at, and the other way round in kvm_gate_close(): one of
 * both sees the other. */
void kvm_gate_enter(struct kvm_vcpu *vcpu)
{
	struct kvm_engine *engine = vcpu->engine;
	atomic_store(&vcpu->inside, true);
	while (atomic_load(&engine->closed)) {
		kvm_gate_leave(vcpu);
		{
			LOCKED(&engine->gate_lock);
			while (atomic_load(&engine->closed)) {
				pthread_cond_wait(&engine->gate, &engine->gate_lock);
			}
		}
		atomic_store(&vcpu->inside, true);
	}
}

void kvm_gate_close(struct kvm_engine *engine)
{
	atomic_store(&engine->closed, true);
	for (unsigned n = 0; n < engine->vcpu_count; n++) {
		struct kvm_vcpu *vcpu = engine->vcpus[n];
		if (atomic_load(&vcpu->inside)) {
			LOCKED(&vcpu->lock);
			kvm_vcpu_interrupt(vcpu);
		}
	}
	LOCKED(&engine->gate_lock);
	for (unsigned n = 0; n < engine->vcpu_count; n++) {
		while (atomic_load(&engine->vcpus[n]->inside)) {
			pthread_cond_wait(&engine->gate, &engine->gate_lock);
		}
	}
}

void kvm_gate_open(struct kvm_engine *engine)
{
	LOCKED(&engine->gate_lock);
	atomic_store(&engine->closed, false);
	pthread_cond_broadcast(&engine->gate);
}
