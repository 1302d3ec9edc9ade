/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - what this host's KVM offers
 *
 * Threads: any.
 */
#include "engine/kvm/probe.h"

#include "base/own.h"
#include "engine/kvm/kvm.h"
#include "engine/model.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define KVM_DEVICE "/dev/kvm"

int kvm_open(struct error *err)
{
	int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		return fd;
	}
	if (errno == ENOENT) {
		return error_set(err, -ENOENT,
				 KVM_DEVICE " does not exist: the kernel has no KVM, or the "
					    "firmware started it at EL1");
	}
	struct stat of;
	if ((errno == EACCES || errno == EPERM) && stat(KVM_DEVICE, &of) == 0) {
		const struct group *group = getgrgid(of.st_gid);
		bool helps = (of.st_mode & (S_IRGRP | S_IWGRP)) == (S_IRGRP | S_IWGRP);
		return error_set(
			err, -EACCES, "no permission for " KVM_DEVICE ": its group is %s (%u); %s",
			group ? group->gr_name : "one without name", (unsigned)of.st_gid,
			helps ? "add this user to it"
			      : "it has no access either: chgrp kvm and chmod 660 " KVM_DEVICE);
	}
	return error_errno(err, "open " KVM_DEVICE);
}

/* Each with the version of Linux that brought it. */
static const struct {
	int capability;
	const char *name, *yes, *no;
} features[] = {
	{KVM_CAP_ARM_NISV_TO_USER, "odd accesses", "handed over and done by hand",
	 "not handed over: they end the VM; Linux 5.5 does"},
	{KVM_CAP_ARM_INJECT_EXT_DABT, "external aborts", "yes",
	 "no: accesses to nothing do nothing; Linux 5.5 has them"},
	{KVM_CAP_ARM_PTRAUTH_ADDRESS, "pointer auth", "yes, with --cpu max or host",
	 "no: this CPU or kernel has none"},
	{KVM_CAP_ARM_SVE, "SVE", "yes, with --cpu max or host", "no"},
	{KVM_CAP_ARM_PMU_V3, "PMU", "the host has it; guests are not shown it", "no"},
	{KVM_CAP_IOEVENTFD, "doorbells", "in the kernel", "by exits"},
};

static void report_calls(int vm, void (*say)(const char *what, const char *text))
{
	const struct kvm_device_attr attr = {.group = KVM_ARM_VM_SMCCC_CTRL,
					     .attr = KVM_ARM_VM_SMCCC_FILTER};
	say("vendor calls", ioctl(vm, KVM_HAS_DEVICE_ATTR, &attr) == 0
				    ? "handed over (--cpu max)"
				    : "refused by the kernel; Linux 6.4 hands them over");
}

static void report_gic(int vm, void (*say)(const char *what, const char *text))
{
	struct kvm_create_device create = {.type = KVM_DEV_TYPE_ARM_VGIC_V3,
					   .flags = KVM_CREATE_DEVICE_TEST};
	say("GICv3", ioctl(vm, KVM_CREATE_DEVICE, &create) == 0
			     ? "in the kernel; messages by GICv2m, 192 vectors"
			     : "missing: VMs can not run; hosts with a GICv2 alone have none");
}

static int get_id(void *fd, uint32_t reg, uint64_t *value)
{
	const struct kvm_one_reg one = {.id = kvm_sysreg_id(reg), .addr = (uintptr_t)value};
	return ioctl(*(int *)fd, KVM_GET_ONE_REG, &one);
}

static int set_id(void *fd, uint32_t reg, uint64_t value)
{
	const struct kvm_one_reg one = {.id = kvm_sysreg_id(reg), .addr = (uintptr_t)&value};
	return ioctl(*(int *)fd, KVM_SET_ONE_REG, &one);
}

unsigned kvm_model_baseline(int fd, char *list, size_t len)
{
	return model_baseline(&(struct model_access){get_id, set_id, &fd}, list, len);
}

/* What --cpu baseline could not hide, found out on a vCPU that never runs. */
static void report_baseline(int vm, void (*say)(const char *what, const char *text))
{
	struct kvm_vcpu_init init;
	char kept[256], text[320] = "yes";
	AUTO_FD int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0ul);
	if (vcpu < 0 || ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init) < 0 ||
	    ioctl(vcpu, KVM_ARM_VCPU_INIT, &init) < 0) {
		say("--cpu baseline", "not known: no vCPU can be made");
		return;
	}
	if (kvm_model_baseline(vcpu, kept, sizeof(kept))) {
		snprintf(text, sizeof(text),
			 "shows more than it should, this kernel can not hide: %s", kept);
	}
	say("--cpu baseline", text);
}

void kvm_report(void (*say)(const char *what, const char *text))
{
	struct error err = {0};
	char line[64];
	AUTO_FD int dev = kvm_open(&err);
	if (dev < 0) {
		say("kvm", err.text);
		return;
	}
	AUTO_FD int vm = ioctl(dev, KVM_CREATE_VM, 0ul);
	if (vm < 0) {
		snprintf(line, sizeof(line), "can not make a VM: %s", strerror(errno));
		say("kvm", line);
		return;
	}
	say("kvm", "yes: --engine auto takes it");
	int bits = ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
	snprintf(line, sizeof(line), "%d bits%s", bits > 0 ? bits : KVM_IPA_BITS,
		 bits > 0 && bits < KVM_IPA_BITS ? ": too few, the board needs 40" : "");
	say("guest addresses", line);
	report_gic(vm, say);
	for (size_t n = 0; n < sizeof(features) / sizeof(features[0]); n++) {
		bool has = ioctl(vm, KVM_CHECK_EXTENSION, features[n].capability) > 0;
		say(features[n].name, has ? features[n].yes : features[n].no);
	}
	report_calls(vm, say);
	report_baseline(vm, say);
}
