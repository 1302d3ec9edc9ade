/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exits.c - what a vCPU left the kernel for
 *
 * Threads: the vCPU thread.
 */
#include "base/log.h"
#include "engine/kvm/kvm.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

static void count(atomic_ulong *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Nothing answers at the address of this access. */
static void external_abort(struct kvm_vcpu *vcpu)
{
	const struct kvm_vcpu_events events = {.exception.ext_dabt_pending = 1};
	if (ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) < 0) {
		log_limited(LOG_WARN,
			    "vcpu%u: this kernel can not give the guest an external abort: %s",
			    vcpu->base.index, strerror(errno));
	}
}

/* The access is finished by the next KVM_RUN. */
static void access_device(struct kvm_vcpu *vcpu)
{
	const struct engine_config *config = &vcpu->engine->config;
	struct kvm_run *run = vcpu->run;
	uint64_t gpa = run->mmio.phys_addr, value = 0;
	unsigned size = run->mmio.len <= sizeof(value) ? run->mmio.len : sizeof(value);
	bool good;
	if (run->mmio.is_write) {
		count(&vcpu->exits.mmio_writes);
		memcpy(&value, run->mmio.data, size);
		good = config->host_ops->mmio_write(config->host, vcpu->base.index, gpa, size,
						    value);
	} else {
		count(&vcpu->exits.mmio_reads);
		good = config->host_ops->mmio_read(config->host, vcpu->base.index, gpa, size,
						   &value);
		memcpy(run->mmio.data, &value, size);
	}
	if (!good) {
		external_abort(vcpu);
	}
}

static bool access_undescribed(struct kvm_vcpu *vcpu)
{
	const char *why = "";
	count(&vcpu->exits.undescribed);
	if (!kvm_assist(vcpu, vcpu->run->arm_nisv.fault_ipa, &why)) {
		log_error("vcpu%u: an access to a device at %#llx can not be done by hand: %s",
			  vcpu->base.index, (unsigned long long)vcpu->run->arm_nisv.fault_ipa, why);
		return false;
	}
	return true;
}

/* A vendor's call, forwarded by the filter; the kernel looks at no register of ours, so all are
 * moved here. */
static void call_firmware(struct kvm_vcpu *vcpu)
{
	const struct engine_config *config = &vcpu->engine->config;
	const size_t first = offsetof(struct kvm_regs, regs.regs);
	uint64_t x[8] = {0};
	count(&vcpu->exits.calls);
	for (unsigned n = 0; n < 8; n++) {
		(void)kvm_get(vcpu, kvm_core_id(first + n * 8), &x[n]);
	}
	config->host_ops->hypercall(config->host, vcpu->base.index, x);
	for (unsigned n = 0; n < 8; n++) {
		(void)kvm_set(vcpu, kvm_core_id(first + n * 8), &x[n]);
	}
}

static bool end_system(struct kvm_vcpu *vcpu)
{
	const struct engine_config *config = &vcpu->engine->config;
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
	case KVM_SYSTEM_EVENT_RESET:
		config->host_ops->system_end(config->host, vcpu->base.index,
					     vcpu->run->system_event.type ==
						     KVM_SYSTEM_EVENT_RESET);
		return true;
	default:
		log_error("vcpu%u: KVM reports system event %u", vcpu->base.index,
			  vcpu->run->system_event.type);
		return false;
	}
}

bool kvm_handle_exit(struct kvm_vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_MMIO: access_device(vcpu); return true;
	case KVM_EXIT_ARM_NISV: return access_undescribed(vcpu);
	case KVM_EXIT_HYPERCALL: call_firmware(vcpu); return true;
	case KVM_EXIT_SYSTEM_EVENT: return end_system(vcpu);
	case KVM_EXIT_INTR: return true;
	case KVM_EXIT_FAIL_ENTRY:
		log_error("vcpu%u: KVM can not enter the guest (reason %#llx)", vcpu->base.index,
			  (unsigned long long)vcpu->run->fail_entry.hardware_entry_failure_reason);
		return false;
	default:
		log_error("vcpu%u: KVM stopped for reason %u, which this version does not know",
			  vcpu->base.index, vcpu->run->exit_reason);
		return false;
	}
}

/*
 * The host has no page for an access: to a part of the GPU window without pages, or one whose pages
 * are gone.  The kernel does not say the address, so the instruction is read and done by hand.
 */
static bool touch_missing(struct kvm_vcpu *vcpu)
{
	const char *why = "";
	count(&vcpu->exits.faults);
	if (!kvm_assist(vcpu, UINT64_MAX, &why)) {
		log_error("vcpu%u: the host has no page for an access of the guest, and it can not "
			  "be "
			  "done by hand: %s",
			  vcpu->base.index, why);
		return false;
	}
	return true;
}

bool kvm_handle_failure(struct kvm_vcpu *vcpu, int error)
{
	switch (error) {
	case EAGAIN: return true;
	case EFAULT: return touch_missing(vcpu);
	case ENOSYS:
		log_error("vcpu%u: the guest accessed a device by an instruction that KVM of this "
			  "kernel can not describe; "
			  "Linux 5.5 and newer can hand it over",
			  vcpu->base.index);
		return false;
	default:
		log_error("vcpu%u: KVM can not run the guest: %s", vcpu->base.index,
			  strerror(error));
		return false;
	}
}
