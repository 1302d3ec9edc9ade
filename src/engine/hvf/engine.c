/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.c - Hypervisor.framework behind engine.h
 *
 * Threads: as engine.h says for each call.
 */
#include "base/log.h"
#include "base/own.h"
#include "engine/hvf/hvf.h"

#include <inttypes.h>
#include <stdlib.h>

static int check(const struct hvf_engine *engine, struct error *err)
{
	uint32_t bits = 0, vcpus = 0;
	hv_return_t rc = hv_vm_config_get_max_ipa_size(&bits);
	if (rc != HV_SUCCESS || hv_vm_get_max_vcpu_count(&vcpus) != HV_SUCCESS) {
		return error_set(err, -ENOTSUP,
				 "Hypervisor.framework can not run VMs on this Mac: %s",
				 hvf_text(rc));
	}
	if (bits < HVF_IPA_BITS) {
		return error_set(err, -ENOTSUP,
				 "VMs of this Mac have guest addresses of %" PRIu32
				 " bits; the board needs %d; use --engine soft",
				 bits, HVF_IPA_BITS);
	}
	if (engine->config.vcpus > vcpus) {
		return error_set(err, -EINVAL, "VMs of this Mac have 1 to %" PRIu32 " CPUs, not %u",
				 vcpus, engine->config.vcpus);
	}
	return 0;
}

static int create_vm(struct hvf_engine *engine, struct error *err)
{
	int good = check(engine, err);
	if (good < 0) {
		return good;
	}
	hv_vm_config_t config = hv_vm_config_create();
	hv_return_t rc = hv_vm_config_set_ipa_size(config, HVF_IPA_BITS);
	if (rc == HV_SUCCESS) {
		rc = hv_vm_create(config);
	}
	os_release(config);
	switch (rc) {
	case HV_SUCCESS: engine->has_vm = true; return 0;
	case HV_DENIED:
		return error_set(
			err, -EACCES,
			"macOS lets only programs run VMs that are signed with the entitlement "
			"com.apple.security.hypervisor");
	case HV_BUSY: return error_set(err, -EBUSY, "this process has a VM already");
	default:
		return error_set(err, -ENOTSUP, "Hypervisor.framework can not make a VM: %s",
				 hvf_text(rc));
	}
}

/* The framework has its own diversifier, and answers the calls that set it. */
static bool hvf_set_diversified(struct engine_vcpu *vcpu, unsigned levels)
{
	return false;
}

static void hvf_stats(struct engine *base, engine_stat_fn *put, void *opaque)
{
	struct hvf_engine *engine = hvf_engine(base);
	static const struct {
		const char *name;
		size_t at;
	} rows[] = {
		{"device_reads", offsetof(struct hvf_exits, reads)},
		{"device_writes", offsetof(struct hvf_exits, writes)},
		{"accesses_by_hand", offsetof(struct hvf_exits, undescribed)},
		{"register_accesses", offsetof(struct hvf_exits, registers)},
		{"firmware_calls", offsetof(struct hvf_exits, calls)},
		{"waits", offsetof(struct hvf_exits, waits)},
		{"timer_exits", offsetof(struct hvf_exits, timers)},
		{"cancelled_runs", offsetof(struct hvf_exits, cancels)},
	};
	for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		uint64_t sum = 0;
		for (unsigned i = 0; i < engine->vcpu_count; i++) {
			sum += *(atomic_ulong *)((char *)&engine->vcpus[i]->exits + rows[n].at);
		}
		put(opaque, rows[n].name, sum);
	}
}

static void hvf_destroy(struct engine *base)
{
	struct hvf_engine *engine = hvf_engine(base);
	for (unsigned n = 0; n < engine->vcpu_count; n++) {
		hvf_vcpu_destroy(engine->vcpus[n]);
	}
	hvf_window_finish(engine);
	if (engine->has_vm) {
		hv_return_t rc = hv_vm_destroy();
		if (rc != HV_SUCCESS) {
			log_error("Hypervisor.framework can not end the VM: %s", hvf_text(rc));
		}
	}
	shadow_finish(&engine->shadow);
	free(engine);
}

static const struct engine_ops hvf_ops = {
	.name = "Hypervisor.framework",
	.destroy = hvf_destroy,
	.map_ram = hvf_map_ram,
	.window_place = hvf_window_place,
	.window_map = hvf_window_map,
	.window_unmap = hvf_window_unmap,
	.vcpu_create = hvf_vcpu_create,
	.vcpu_reset = hvf_vcpu_reset,
	.run = hvf_vcpu_run,
	.vcpu_kick = hvf_vcpu_kick,
	.vcpu_leave = hvf_vcpu_leave,
	.vcpu_set_line = hvf_vcpu_set_line,
	.vcpu_registers = hvf_vcpu_registers,
	.vcpu_set_key = hvf_vcpu_set_key,
	.vcpu_set_diversified = hvf_set_diversified,
	.stats = hvf_stats,
};

struct engine *hvf_engine_create(const struct engine_config *config, struct error *err)
{
	if (!config->vcpus || config->vcpus > SHADOW_MOST_VCPUS) {
		error_set(err, -EINVAL, "Hypervisor.framework's engine has 1 to %d CPUs, not %u",
			  SHADOW_MOST_VCPUS, config->vcpus);
		return NULL;
	}
	struct hvf_engine *engine = calloc(1, sizeof(*engine));
	if (!engine) {
		error_set(err, -ENOMEM, "no memory for the CPU engine");
		return NULL;
	}
	engine->base = (struct engine){.ops = &hvf_ops, .window_granule = HVF_PAGE};
	engine->config = *config;
	engine->timer_offset = mach_absolute_time();
	mach_timebase_info(&engine->timebase);
	pthread_mutex_init(&engine->window.lock, NULL);
	shadow_init(&engine->shadow, config, hvf_window_move, engine);
	if (create_vm(engine, err) < 0) {
		hvf_destroy(&engine->base);
		return NULL;
	}
	return &engine->base;
}
