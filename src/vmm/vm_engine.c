/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_engine.c - which CPU engine runs the VM, and what it is given
 *
 * Threads: the caller's of vm_create().
 */
#include "base/log.h"
#include "base/own.h"
#include "vmm/vm_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The user's folder for caches (XDG Base Directory Specification).  Caller frees; NULL: unknown. */
static char *cache_folder(void)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *path = NULL;
	if (xdg && xdg[0] == '/') {
		return strdup(xdg);
	}
	if (!home || home[0] != '/' || asprintf(&path, "%s/.cache", home) < 0) {
		log_info("translations: not kept, as neither XDG_CACHE_HOME nor HOME is set");
		return NULL;
	}
	return path;
}

static struct engine *create_soft(struct vm *vm, const char *why, struct error *err)
{
	const struct vm_config *c = vm->config;
	AUTO_FREE char *cache = c->translation_cache ? cache_folder() : NULL;
	const struct engine_config config = {
		.host_ops = &vm_engine_host,
		.host = vm,
		.vcpus = c->cpus,
		.interp = c->soft_interp,
		.isv_strict = c->soft_isv_strict,
		.perf_map = c->soft_perf_map,
		.window_granule = c->soft_granule,
		.cpu = c->cpu,
		.cache_folder = cache,
	};
	snprintf(vm->engine_why, sizeof(vm->engine_why), "%s", why);
	return soft_engine_create(&config, err);
}

/* A hypervisor of the host: KVM or Hypervisor.framework. */
static struct engine *create_hypervisor(struct vm *vm, bool kvm, const char *why, struct error *err)
{
	const struct vm_config *c = vm->config;
	const struct engine_config config = {
		.host_ops = &vm_engine_host,
		.host = vm,
		.vcpus = c->cpus,
		.psci_version = c->psci_version,
		.cpu = c->cpu,
	};
	snprintf(vm->engine_why, sizeof(vm->engine_why), "%s", why);
	return kvm ? kvm_engine_create(&config, err) : hvf_engine_create(&config, err);
}

/* The host's hypervisor where it can run the guest. */
static struct engine *create_best(struct vm *vm, struct error *err)
{
	struct error reason = {0};
	struct engine *engine = create_hypervisor(vm, !ENGINE_HAS_HVF, "this host's hypervisor can run the guest", &reason);
	if (engine) {
		return engine;
	}
	if (ENGINE_HAS_KVM || ENGINE_HAS_HVF) {
		log_warn("the built-in CPU engine is taken, which is slower than %s: %s",
			 ENGINE_HAS_KVM ? "KVM" : "Hypervisor.framework", reason.text);
	}
	return create_soft(vm, reason.text, err);
}

static struct engine *create(struct vm *vm, struct error *err)
{
	switch (vm->config->engine) {
	case CONFIG_ENGINE_SOFT: return create_soft(vm, "--engine soft", err);
	case CONFIG_ENGINE_KVM: return create_hypervisor(vm, true, "--engine kvm", err);
	case CONFIG_ENGINE_HVF: return create_hypervisor(vm, false, "--engine hvf", err);
	case CONFIG_ENGINE_AUTO: break;
	}
	return create_best(vm, err);
}

static int create_gic(struct vm *vm, struct error *err)
{
	const struct engine_gic_config config = {
		.dist = BOARD_GICD_BASE,
		.redist = BOARD_GICR_BASE,
		.spis = BOARD_SPI_COUNT,
		.msi_address = BOARD_V2M_BASE + GICV2M_SETSPI,
		.msi_first = GICV3_FIRST_SPI + BOARD_SPI_MSI,
		.msi_count = BOARD_MSI_COUNT,
	};
	struct error why = {0};
	vm->irq_chip = engine_gic_create(vm->engine, &config, &why);
	return why.text[0] ? error_set(err, -EINVAL, "%s", why.text) : 0;
}

int vm_create_engine(struct vm *vm, struct error *err)
{
	const struct gmem_region *ram = gmem_region(vm->gmem, 0);
	vm->engine = create(vm, err);
	if (!vm->engine) {
		return -EINVAL;
	}
	log_info("CPU engine: %s (%s)", vm->engine->ops->name, vm->engine_why);
	int rc = engine_map_ram(vm->engine, ram->gpa, ram->len, ram->hva, false, err);
	if (rc == 0) {
		rc = create_gic(vm, err);
	}
	for (unsigned i = 0; rc == 0 && i < vm->config->cpus; i++) {
		vm->cpu[i].vm = vm;
		vm->cpu[i].index = i;
		vm->cpu[i].vcpu = engine_vcpu_create(vm->engine, i,
						     gicv3_affinity(i) | UINT64_C(1) << 31, err);
		rc = vm->cpu[i].vcpu ? 0 : -EINVAL;
	}
	return rc;
}
