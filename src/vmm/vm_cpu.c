/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_cpu.c - threads and power states of vCPUs; routes what they access to bus, interrupt controller and firmware
 *
 * How it works: a vCPU thread is parked on vm->changed while its vCPU is off or the VM is paused.  Whoever wants it out of
 * engine_run() changes the state first and kicks it then; a kick is never lost, see engine.h.
 * Threads: vm_engine_host's functions on vCPU threads; the rest as vm_priv.h says.
 */
#include "base/log.h"
#include "base/os.h"
#include "base/own.h"
#include "gpu/virtio_gpu.h"
#include "vmm/vm_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ----- what the engine asks for ----- */

static bool host_mmio_read(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t *value)
{
	return bus_read(((struct vm *)host)->bus, gpa, size, value);
}

static bool host_mmio_write(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	return bus_write(((struct vm *)host)->bus, gpa, size, value);
}

static bool host_icc_read(void *host, unsigned vcpu, uint32_t reg, uint64_t *value)
{
	return gicv3_icc_read(((struct vm *)host)->board.gic, vcpu, reg, value);
}

static bool host_icc_write(void *host, unsigned vcpu, uint32_t reg, uint64_t value)
{
	return gicv3_icc_write(((struct vm *)host)->board.gic, vcpu, reg, value);
}

static void host_hypercall(void *host, unsigned vcpu, uint64_t x[8])
{
	struct vm *vm = host;
	smccc_call(&vm->smccc, vm->cpu[vcpu].vcpu, x);
}

static void host_timer_line(void *host, unsigned vcpu, enum engine_ppi ppi, bool level)
{
	gicv3_set_ppi(((struct vm *)host)->board.gic, vcpu, ppi, level);
}

static void host_system_end(void *host, unsigned vcpu, bool reset)
{
	vm_finish_with(host, reset ? VM_RESET : VM_POWERED_OFF);
}

static void host_window_lost(void *host, uint64_t offset)
{
	virtio_gpu_window_lost(((struct vm *)host)->gpu, offset); /* who else has a window? */
}

const struct engine_host vm_engine_host = {
	.mmio_read = host_mmio_read,
	.mmio_write = host_mmio_write,
	.icc_read = host_icc_read,
	.icc_write = host_icc_write,
	.hypercall = host_hypercall,
	.timer_line = host_timer_line,
	.system_end = host_system_end,
	.window_lost = host_window_lost,
};

static void gic_set_line(void *opaque, unsigned vcpu, enum engine_line line, bool level)
{
	struct vm *vm = opaque;
	engine_vcpu_set_line(vm->cpu[vcpu].vcpu, line, level);
}

const struct gicv3_cpu_ops vm_gic_cpu_ops = {gic_set_line};

/* ----- power ----- */

static int power_cpu_on(void *opaque, unsigned target, uint64_t entry, uint64_t context)
{
	struct vm *vm = opaque;
	struct vm_cpu *cpu = &vm->cpu[target];
	LOCKED(&vm->lock);
	if (cpu->power != PSCI_AFFINITY_OFF) {
		return cpu->power == PSCI_AFFINITY_ON ? PSCI_ALREADY_ON : PSCI_ON_PENDING;
	}
	cpu->power = PSCI_AFFINITY_ON_PENDING;
	cpu->entry = entry;
	cpu->context = context;
	pthread_cond_broadcast(&vm->changed);
	return PSCI_SUCCESS;
}

static void power_cpu_off(void *opaque, unsigned vcpu)
{
	struct vm *vm = opaque;
	{
		LOCKED(&vm->lock);
		vm->cpu[vcpu].power = PSCI_AFFINITY_OFF;
	}
	engine_vcpu_kick(vm->cpu[vcpu].vcpu);
}

static enum psci_affinity power_affinity(void *opaque, unsigned target)
{
	struct vm *vm = opaque;
	LOCKED(&vm->lock);
	return vm->cpu[target].power;
}


const struct psci_ops vm_psci_ops = {power_cpu_on, power_cpu_off, power_affinity, host_system_end};

static void vm_kick_all(struct vm *vm)
{
	for (unsigned i = 0; i < vm->config->cpus; i++) {
		engine_vcpu_kick(vm->cpu[i].vcpu);
	}
}

void vm_finish_with(struct vm *vm, enum vm_end end)
{
	{
		LOCKED(&vm->lock);
		if (!vm->has_end || vm->end == VM_RESET) {
			vm->end = end;
		}
		vm->has_end = true;
		vm->paused = true; /* no guest instruction after power-off */
	}
	vm_kick_all(vm);
	loop_stop(vm->control);
}

/* ----- threads ----- */

static bool vm_cpu_is_held(const struct vm_cpu *cpu)
{
	return cpu->power != PSCI_AFFINITY_ON_PENDING && (cpu->vm->held >> cpu->index & 1);
}

/* Wait until there is something to do; *starts: a reset.  False: the thread shall end. */
static bool vm_cpu_wait(struct vm_cpu *cpu, bool *starts)
{
	struct vm *vm = cpu->vm;
	LOCKED(&vm->lock);
	cpu->running = false;
	pthread_cond_broadcast(&vm->changed);
	while (!vm->quitting && (vm->paused || cpu->power == PSCI_AFFINITY_OFF || vm_cpu_is_held(cpu))) {
		pthread_cond_wait(&vm->changed, &vm->lock);
	}
	*starts = cpu->power == PSCI_AFFINITY_ON_PENDING;
	if (!vm->quitting) {
		cpu->power = PSCI_AFFINITY_ON;
		cpu->running = true;
	}
	return !vm->quitting;
}

/* Park until the vCPU shall run.  One that the debugger holds is reset before, for it to see.  False: the thread shall end. */
static bool vm_cpu_park(struct vm_cpu *cpu)
{
	bool starts;
	while (vm_cpu_wait(cpu, &starts)) {
		if (!starts) {
			return true;
		}
		if (cpu->vm->board.gic) {
			gicv3_reset_cpu(cpu->vm->board.gic, cpu->index);
		}
		engine_vcpu_reset(cpu->vcpu, cpu->entry, cpu->context);
	}
	return false;
}

static void *vm_cpu_main(void *opaque)
{
	struct vm_cpu *cpu = opaque;
	while (vm_cpu_park(cpu)) {
		switch (engine_run(cpu->vcpu)) {
		case ENGINE_EXIT_ERROR: vm_finish_with(cpu->vm, VM_FAILED); break;
		case ENGINE_EXIT_DEBUG: vm_debug_stopped(cpu->vm); break;
		case ENGINE_EXIT_KICKED: break;
		}
	}
	engine_vcpu_leave(cpu->vcpu);
	return NULL;
}

int vm_cpus_start(struct vm *vm, struct error *err)
{
	for (unsigned i = 0; i < vm->config->cpus; i++) {
		struct vm_cpu *cpu = &vm->cpu[i];
		int rc = pthread_create(&cpu->thread, NULL, vm_cpu_main, cpu);
		if (rc != 0) {
			return error_set(err, -rc, "vCPU %u: can not start a thread: %s", i, strerror(rc));
		}
		char name[16];
		snprintf(name, sizeof(name), "vcpu%u", i);
		os_name_thread(cpu->thread, name);
		cpu->has_thread = true;
	}
	return 0;
}

void vm_cpus_set_boot(struct vm *vm, uint64_t entry, uint64_t x0)
{
	LOCKED(&vm->lock);
	for (unsigned i = 0; i < vm->config->cpus; i++) {
		vm->cpu[i].power = i == 0 ? PSCI_AFFINITY_ON_PENDING : PSCI_AFFINITY_OFF;
	}
	vm->cpu[0].entry = entry;
	vm->cpu[0].context = x0;
}

static bool vm_any_cpu_runs_locked(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->config->cpus; i++) {
		if (vm->cpu[i].running) {
			return true;
		}
	}
	return false;
}

void vm_cpus_halt(struct vm *vm, bool paused, uint64_t held)
{
	{
		LOCKED(&vm->lock);
		vm->paused |= paused;
		vm->held |= held;
	}
	vm_kick_all(vm);
}

static void vm_cpus_wait(struct vm *vm)
{
	LOCKED(&vm->lock);
	while (vm_any_cpu_runs_locked(vm)) {
		pthread_cond_wait(&vm->changed, &vm->lock);
	}
}

void vm_cpus_pause(struct vm *vm)
{
	vm_cpus_halt(vm, true, 0);
	vm_cpus_wait(vm);
}

void vm_cpus_hold(struct vm *vm)
{
	vm_cpus_halt(vm, false, UINT64_MAX);
	vm_cpus_wait(vm);
}

void vm_cpus_release(struct vm *vm, uint64_t cpus)
{
	LOCKED(&vm->lock);
	vm->held &= ~cpus;
	pthread_cond_broadcast(&vm->changed);
}

/* An engine with firmware of its own starts and stops vCPUs itself: all of them are handed to it before one runs. */
static void vm_cpus_hand_over_locked(struct vm *vm)
{
	if (vm->cpu[0].power != PSCI_AFFINITY_ON_PENDING || !vm->engine->has_firmware) {
		return;
	}
	for (unsigned i = 0; i < vm->config->cpus; i++) {
		struct vm_cpu *cpu = &vm->cpu[i];
		engine_vcpu_reset(cpu->vcpu, i == 0 ? cpu->entry : ENGINE_OFF, cpu->context);
		cpu->power = PSCI_AFFINITY_ON;
	}
}

void vm_cpus_resume(struct vm *vm)
{
	LOCKED(&vm->lock);
	vm_cpus_hand_over_locked(vm);
	vm->paused = vm->has_end; /* asked to end meanwhile */
	pthread_cond_broadcast(&vm->changed);
}

void vm_cpus_finish(struct vm *vm)
{
	{
		LOCKED(&vm->lock);
		vm->quitting = true;
		pthread_cond_broadcast(&vm->changed);
	}
	vm_kick_all(vm);
	for (unsigned i = 0; i < vm->config->cpus; i++) {
		if (vm->cpu[i].has_thread) {
			pthread_join(vm->cpu[i].thread, NULL);
			vm->cpu[i].has_thread = false;
		}
	}
}
