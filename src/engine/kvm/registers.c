/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registers.c - registers of KVM's vCPUs
 * Threads: the vCPU's, or any while it does not run.
 */
#include "engine/kvm/kvm.h"
#include "engine/model.h"

#include <errno.h>
#include <sys/ioctl.h>

uint64_t kvm_core_id(size_t at)
{
	return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | at / sizeof(uint32_t);
}

uint64_t kvm_sysreg_id(uint32_t reg)
{
	return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG | reg;
}

int kvm_get(const struct kvm_vcpu *vcpu, uint64_t id, void *to)
{
	const struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)to};
	return ioctl(vcpu->fd, KVM_GET_ONE_REG, &reg) < 0 ? -errno : 0;
}

int kvm_set(const struct kvm_vcpu *vcpu, uint64_t id, const void *from)
{
	const struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)from};
	return ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg) < 0 ? -errno : 0;
}

void kvm_vcpu_registers(struct engine_vcpu *base, uint64_t x[31], uint64_t *sp, uint64_t *pc,
			uint64_t *pstate)
{
	struct kvm_vcpu *vcpu = kvm_vcpu(base);
	*sp = *pc = *pstate = 0;
	for (unsigned n = 0; n < 31; n++) {
		x[n] = 0;
		(void)kvm_get(vcpu, kvm_core_id(offsetof(struct kvm_regs, regs.regs) + n * 8),
			      &x[n]);
	}
	(void)kvm_get(vcpu, kvm_core_id(offsetof(struct kvm_regs, regs.pc)), pc);
	(void)kvm_get(vcpu, kvm_core_id(offsetof(struct kvm_regs, regs.pstate)), pstate);
	size_t at = (*pstate & 5) == 5 ? offsetof(struct kvm_regs, sp_el1)
				       : offsetof(struct kvm_regs, regs.sp);
	(void)kvm_get(vcpu, kvm_core_id(at), sp);
}

bool kvm_vcpu_set_key(struct engine_vcpu *vcpu, enum engine_key key, uint64_t low, uint64_t high)
{
	if (key == ENGINE_KEY_DIVERSIFIER) {
		return false;
	}
	uint32_t reg = model_key(key);
	/* Without the feature there are none. */
	return kvm_set(kvm_vcpu(vcpu), kvm_sysreg_id(reg), &low) == 0 &&
	       kvm_set(kvm_vcpu(vcpu), kvm_sysreg_id(reg + 1), &high) == 0;
}
