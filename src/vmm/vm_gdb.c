/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_gdb.c - a VM under GDB (--gdb)
 *
 * How it works: a stopped VM has all vCPUs held.  A vCPU that the engine stopped holds all others
 * and tells the control loop, which waits until they are parked and answers the client. Invariants:
 * the engine's debug calls are made only while all vCPUs are held and parked. Threads: the control
 * loop, but for vm_debug_stopped().
 */
#include "base/log.h"
#include "vmm/vm_priv.h"

#include <errno.h>
#include <stdio.h>

static struct engine_vcpu *vcpu_of(void *opaque, unsigned cpu)
{
	return ((struct vm *)opaque)->cpu[cpu].vcpu;
}

static void target_registers(void *opaque, unsigned cpu, struct engine_registers *registers)
{
	engine_debug_registers(vcpu_of(opaque, cpu), registers);
}

static bool target_set_registers(void *opaque, unsigned cpu,
				 const struct engine_registers *registers)
{
	return engine_debug_set_registers(vcpu_of(opaque, cpu), registers);
}

static size_t target_memory(void *opaque, unsigned cpu, uint64_t va, void *buffer, size_t len,
			    bool write)
{
	return engine_debug_memory(vcpu_of(opaque, cpu), va, buffer, len, write);
}

static int target_set_point(void *opaque, const struct engine_point *point, bool on)
{
	return engine_debug_set_point(((struct vm *)opaque)->engine, point, on);
}

static void target_describe(void *opaque, unsigned cpu, char *text, size_t room)
{
	struct vm *vm = opaque;
	pthread_mutex_lock(&vm->lock);
	bool off = vm->cpu[cpu].power == PSCI_AFFINITY_OFF;
	pthread_mutex_unlock(&vm->lock);
	snprintf(text, room, "vCPU %u%s", cpu, off ? ", off" : "");
}

/* Let the vCPUs with an action run. */
static void target_resume(void *opaque, const enum gdb_action *actions)
{
	struct vm *vm = opaque;
	uint64_t cpus = 0;
	for (unsigned n = 0; n < vm->config->cpus; n++) {
		engine_debug_resume(vm->cpu[n].vcpu, actions[n] == GDB_STEP);
		cpus |= (uint64_t)(actions[n] != GDB_STAY) << n;
	}
	vm->debugged = cpus;
	vm_cpus_release(vm, cpus);
}

static void target_interrupt(void *opaque)
{
	struct vm *vm = opaque;
	vm_cpus_hold(vm);
	gdb_session_stopped(gdb_server_waiting(vm->gdb), 0, NULL);
}

static void target_kill(void *opaque)
{
	vm_finish_with(opaque, VM_QUIT);
}

static void target_send(void *opaque, const char *bytes, size_t len)
{
	gdb_server_send(((struct vm *)opaque)->gdb, bytes, len);
}

static const struct gdb_target_ops target_ops = {
	.registers = target_registers,
	.set_registers = target_set_registers,
	.memory = target_memory,
	.set_point = target_set_point,
	.describe = target_describe,
	.resume = target_resume,
	.interrupt = target_interrupt,
	.kill = target_kill,
	.send = target_send,
};

static void on_connected(void *opaque)
{
	vm_cpus_hold(opaque);
}

static void on_left(void *opaque)
{
	static const enum gdb_action all[CONFIG_MAX_CPUS] = {[0 ... CONFIG_MAX_CPUS - 1] =
								     GDB_CONTINUE};
	struct vm *vm = opaque;
	vm_cpus_hold(vm);
	int rc = engine_debug_set_point(vm->engine, NULL, false);
	(void)rc; /* clearing all can not fail */
	target_resume(vm, all);
}

/* A vCPU stopped.  It may be old news: the client left or interrupted at the same time. */
static void on_stopped(void *opaque)
{
	struct vm *vm = opaque;
	struct gdb_session *session = gdb_server_waiting(vm->gdb);
	if (!session) {
		return;
	}
	vm_cpus_hold(vm);
	for (unsigned n = 0; n < vm->config->cpus; n++) {
		struct engine_stop stop = engine_debug_stop(vm->cpu[n].vcpu);
		if (stop.why != ENGINE_STOP_NONE) {
			gdb_session_stopped(session, n, &stop);
			return;
		}
	}
	vm_cpus_release(vm, vm->debugged);
}

void vm_debug_stopped(struct vm *vm)
{
	vm_cpus_halt(vm, false, UINT64_MAX);
	if (loop_post(vm->control, on_stopped, vm) < 0) {
		log_error("gdb: out of memory; interrupt the debugger to go on");
	}
}

int vm_create_gdb(struct vm *vm, struct error *err)
{
	static const struct gdb_server_events events = {on_connected, on_left};
	const struct vm_config *config = vm->config;
	if (!config->gdb) {
		return 0;
	}
	if (!engine_can_debug(vm->engine)) {
		return error_set(err, -EOPNOTSUPP,
				 "--gdb: the CPU engine %s can not be debugged; use --engine soft",
				 vm->engine->ops->name);
	}
	vm->held = config->gdb_waits ? UINT64_MAX : 0;
	vm->gdb = gdb_server_create(vm->control, config->gdb, &events, &target_ops, vm,
				    config->cpus, err);
	return vm->gdb ? 0 : -EINVAL;
}

void vm_destroy_gdb(struct vm *vm)
{
	gdb_server_destroy(vm->gdb);
}
