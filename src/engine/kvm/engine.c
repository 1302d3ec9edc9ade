/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.c - KVM behind engine.h, and what this host's KVM offers
 *
 * Threads: as engine.h says for each call.
 */
#include "base/log.h"
#include "base/own.h"
#include "engine/kvm/kvm.h"
#include "engine/kvm/probe.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What the engine can not do without, with the first Linux that had it on arm64. */
static const struct {
	int capability;
	const char *what;
} needed[] = {
	{KVM_CAP_USER_MEMORY, "memory slots (Linux 3.11)"},
	{KVM_CAP_ONE_REG, "single registers (Linux 3.11)"},
	{KVM_CAP_ARM_PSCI_0_2, "PSCI 0.2 (Linux 3.16)"},
	{KVM_CAP_DEVICE_CTRL, "devices in the kernel (Linux 3.17)"},
	{KVM_CAP_IRQFD, "interrupts by eventfd (Linux 4.0)"},
	{KVM_CAP_IRQFD_RESAMPLE, "the end of level interrupts by eventfd (Linux 4.0)"},
	{KVM_CAP_IMMEDIATE_EXIT, "immediate exits (Linux 4.13)"},
};

static bool has(const struct kvm_engine *engine, unsigned long capability)
{
	return ioctl(engine->dev, KVM_CHECK_EXTENSION, capability) > 0;
}

static int check(struct kvm_engine *engine, struct error *err)
{
	if (ioctl(engine->dev, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		return error_set(err, -ENOTSUP, "this is no KVM that programs of today can use");
	}
	for (size_t n = 0; n < sizeof(needed) / sizeof(needed[0]); n++) {
		if (!has(engine, (unsigned long)needed[n].capability)) {
			return error_set(err, -ENOTSUP, "KVM of this kernel lacks %s",
					 needed[n].what);
		}
	}
	int bits = ioctl(engine->dev, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
	if (bits > 0 && bits < KVM_IPA_BITS) {
		return error_set(
			err, -ENOTSUP,
			"KVM of this host has guest addresses of %d bits; the board needs %d", bits,
			KVM_IPA_BITS);
	}
	return 0;
}

/* `max` and `host` show what the host has. */
static void choose_features(struct kvm_engine *engine)
{
	bool wanted = engine->config.cpu == ENGINE_CPU_MAX || engine->config.cpu == ENGINE_CPU_HOST;
	engine->shows_pauth = wanted && has(engine, KVM_CAP_ARM_PTRAUTH_ADDRESS) &&
			      has(engine, KVM_CAP_ARM_PTRAUTH_GENERIC);
	engine->shows_sve = wanted && has(engine, KVM_CAP_ARM_SVE);
}

/* Calls that our firmware answers, not the kernel's; older kernels answer NOT_SUPPORTED to them. */
static void forward_calls(struct kvm_engine *engine)
{
	const struct kvm_smccc_filter filter = {.base = 0xc1000000,
						.nr_functions = 0x10000,
						.action = KVM_SMCCC_FILTER_FWD_TO_USER};
	const struct kvm_device_attr attr = {.group = KVM_ARM_VM_SMCCC_CTRL,
					     .attr = KVM_ARM_VM_SMCCC_FILTER,
					     .addr = (uintptr_t)&filter};
	(void)ioctl(engine->vm, KVM_SET_DEVICE_ATTR, &attr);
}

/* Older kernels end KVM_RUN with ENOSYS instead. */
static void ask_for_undescribed(struct kvm_engine *engine)
{
	const struct kvm_enable_cap cap = {.cap = KVM_CAP_ARM_NISV_TO_USER};
	(void)ioctl(engine->vm, KVM_ENABLE_CAP, &cap);
}

static int create_vm(struct kvm_engine *engine, struct error *err)
{
	engine->dev = kvm_open(err);
	if (engine->dev < 0) {
		return engine->dev;
	}
	int rc = check(engine, err);
	if (rc < 0) {
		return rc;
	}
	engine->vm = ioctl(engine->dev, KVM_CREATE_VM, 0ul); /* type 0: 40 bits of guest address */
	if (engine->vm < 0) {
		return error_errno(err, "KVM can not make a VM");
	}
	int len = ioctl(engine->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (len < (int)sizeof(struct kvm_run)) {
		return error_set(err, -EINVAL, "KVM's vCPUs have no shared page");
	}
	engine->run_len = (size_t)len;
	ask_for_undescribed(engine);
	choose_features(engine);
	if (engine->config.cpu == ENGINE_CPU_MAX) {
		forward_calls(engine);
	}
	return 0;
}

/* A signal that only makes system calls return. */
static void nothing(int number)
{
}

static int catch_kicks(struct error *err)
{
	struct sigaction action = {.sa_handler = nothing};
	return sigaction(SIGUSR1, &action, NULL) < 0 ? error_errno(err, "signal for kicks") : 0;
}

static void kvm_set_line(struct engine_vcpu *vcpu, enum engine_line line, bool level)
{
	/* Its own interrupt controller drives the vCPU. */
}

/* The kernel has no such state to offer. */
static bool kvm_set_diversified(struct engine_vcpu *vcpu, unsigned levels)
{
	return false;
}

static void kvm_destroy(struct engine *base)
{
	struct kvm_engine *engine = kvm_engine(base);
	for (unsigned n = 0; n < engine->vcpu_count; n++) {
		kvm_vcpu_destroy(engine->vcpus[n]);
	}
	kvm_gic_destroy(&engine->gic);
	own_close(&engine->vm);
	own_close(&engine->dev);
	kvm_window_finish(&engine->window);
	pthread_mutex_destroy(&engine->parts.lock);
	shadow_finish(&engine->shadow);
	pthread_mutex_destroy(&engine->gate_lock);
	pthread_cond_destroy(&engine->gate);
	free(engine);
}

/* What made vCPUs leave the kernel. */
static void kvm_stats(struct engine *base, engine_stat_fn *put, void *opaque)
{
	struct kvm_engine *engine = kvm_engine(base);
	static const struct {
		const char *name;
		size_t offset;
	} counters[] = {{"exits_mmio_read", offsetof(struct kvm_exits, mmio_reads)},
			{"exits_mmio_write", offsetof(struct kvm_exits, mmio_writes)},
			{"exits_undescribed_access", offsetof(struct kvm_exits, undescribed)},
			{"exits_lost_memory", offsetof(struct kvm_exits, faults)},
			{"exits_hypercall", offsetof(struct kvm_exits, calls)},
			{"exits_signal", offsetof(struct kvm_exits, signals)}};
	for (unsigned k = 0; k < sizeof(counters) / sizeof(counters[0]); k++) {
		uint64_t sum = 0;
		for (unsigned n = 0; n < engine->vcpu_count; n++) {
			const char *exits = (const char *)&engine->vcpus[n]->exits;
			sum += atomic_load((const atomic_ulong *)(exits + counters[k].offset));
		}
		put(opaque, counters[k].name, sum);
	}
}

static const struct engine_ops kvm_ops = {
	.name = "KVM",
	.destroy = kvm_destroy,
	.stats = kvm_stats,
	.map_ram = kvm_map_ram,
	.window_place = kvm_window_place,
	.window_map = kvm_window_map,
	.window_unmap = kvm_window_unmap,
	.vcpu_create = kvm_vcpu_create,
	.vcpu_reset = kvm_vcpu_reset,
	.run = kvm_vcpu_run,
	.vcpu_kick = kvm_vcpu_kick,
	.vcpu_set_line = kvm_set_line,
	.vcpu_registers = kvm_vcpu_registers,
	.vcpu_set_key = kvm_vcpu_set_key,
	.vcpu_set_diversified = kvm_set_diversified,
	.gic_create = kvm_gic_create,
	.gic_reset = kvm_gic_reset,
	.doorbell = kvm_doorbell,
	.device_memory = kvm_device_memory,
	.log_writes = kvm_log_writes,
	.take_writes = kvm_take_writes,
};

struct engine *kvm_engine_create(const struct engine_config *config, struct error *err)
{
	if (!config->vcpus || config->vcpus > KVM_MOST_VCPUS) {
		error_set(err, -EINVAL, "the KVM engine has 1 to %d CPUs, not %u", KVM_MOST_VCPUS,
			  config->vcpus);
		return NULL;
	}
	struct kvm_engine *engine = calloc(1, sizeof(*engine));
	if (!engine) {
		error_set(err, -ENOMEM, "no memory for the CPU engine");
		return NULL;
	}
	engine->base = (struct engine){.ops = &kvm_ops,
				       .has_firmware = true,
				       .window_granule = (uint32_t)sysconf(_SC_PAGESIZE)};
	engine->config = *config;
	engine->dev = engine->vm = engine->gic.fd = engine->gic.stop = engine->gic.ends_poll = -1;
	pthread_mutex_init(&engine->window.lock, NULL);
	pthread_mutex_init(&engine->parts.lock, NULL);
	pthread_mutex_init(&engine->gic.lock, NULL);
	shadow_init(&engine->shadow, config, kvm_shadow_move, engine);
	pthread_mutex_init(&engine->gate_lock, NULL);
	pthread_cond_init(&engine->gate, NULL);
	if (create_vm(engine, err) < 0 || catch_kicks(err) < 0) {
		kvm_destroy(&engine->base);
		return NULL;
	}
	return &engine->base;
}
