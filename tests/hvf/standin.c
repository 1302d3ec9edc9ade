/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standin.c - Hypervisor.framework's VM, memory and vCPUs over the built-in engine
 *
 * How it works: what changes the VM for all vCPUs (mappings, new vCPUs) first has every vCPU leave
 * the built-in engine and holds it at the gate of hv_vcpu_run().  See standin.h. Threads: `lock`
 * guards all of `vm` but what is marked.
 */
#include "standin_priv.h"

#include "base/own.h"
#include "board/pac.h"
#include "engine/soft/exception.h"
#include "engine/soft/soft.h"

#include <string.h>

struct standin_vm standin_vm = {.lock = PTHREAD_MUTEX_INITIALIZER,
				.gate = PTHREAD_COND_INITIALIZER};

/* Of the process, and not of a VM. */
static hv_return_t refusal;
static uint32_t widest = STANDIN_IPA_BITS;

void standin_refuse(hv_return_t rc)
{
	refusal = rc;
}

static hv_vcpu_exit_t forged;
static atomic_bool has_forged;

void standin_forge(const hv_vcpu_exit_t *exit)
{
	forged = *exit;
	atomic_store(&has_forged, true);
}

void standin_limit_ipa(uint32_t bits)
{
	widest = bits ? bits : STANDIN_IPA_BITS;
}

/* ----- all vCPUs stand still ----- */

static void stop_all_locked(struct standin_vm *vm)
{
	vm->closed++;
	for (unsigned n = 0; n < STANDIN_VCPUS; n++) {
		if (vm->vcpus[n].inside) {
			engine_vcpu_kick(vm->vcpus[n].inner);
		}
	}
	while (vm->inside) {
		pthread_cond_wait(&vm->gate, &vm->lock);
	}
}

static void start_all_locked(struct standin_vm *vm)
{
	vm->closed--;
	pthread_cond_broadcast(&vm->gate);
}

static void enter(struct standin_vm *vm, struct standin_vcpu *vcpu)
{
	LOCKED(&vm->lock);
	while (vm->closed) {
		pthread_cond_wait(&vm->gate, &vm->lock);
	}
	vm->inside++;
	vcpu->inside = true;
}

static void leave(struct standin_vm *vm, struct standin_vcpu *vcpu)
{
	LOCKED(&vm->lock);
	vm->inside--;
	vcpu->inside = false;
	pthread_cond_broadcast(&vm->gate);
}

/* ----- the VM ----- */

struct hv_vm_config_s {
	uint32_t ipa_bits;
};

static uint32_t default_ipa_bits(void)
{
	return widest < 36 ? widest : 36;
}

hv_vm_config_t hv_vm_config_create(void)
{
	hv_vm_config_t config = malloc(sizeof(*config));
	if (config) {
		config->ipa_bits = default_ipa_bits();
	}
	return config;
}

void os_release(void *object)
{
	free(object);
}

hv_return_t hv_vm_config_get_max_ipa_size(uint32_t *bits)
{
	*bits = widest;
	return HV_SUCCESS;
}

hv_return_t hv_vm_config_set_ipa_size(hv_vm_config_t config, uint32_t bits)
{
	if (!config || bits > widest) {
		return HV_BAD_ARGUMENT;
	}
	config->ipa_bits = bits;
	return HV_SUCCESS;
}

hv_return_t hv_vm_get_max_vcpu_count(uint32_t *count)
{
	*count = STANDIN_VCPUS;
	return HV_SUCCESS;
}

static void on_trap(void *opaque, struct engine_vcpu *inner, const struct trap *trap)
{
	struct standin_vm *vm = opaque;
	struct standin_vcpu *vcpu = &vm->vcpus[inner->index];
	vcpu->trapped = true;
	vcpu->exit.exception = (hv_vcpu_exit_exception_t){trap->syndrome, trap->va, trap->gpa};
}

/* On the vCPU's thread, inside the built-in engine or at a reset. */
static void on_timer(void *opaque, unsigned index, enum engine_ppi ppi, bool level)
{
	struct standin_vcpu *vcpu = &((struct standin_vm *)opaque)->vcpus[index];
	if (ppi != ENGINE_PPI_VTIMER) {
		return; /* there is no way to start it */
	}
	vcpu->timer_level = level;
	if (level && !vcpu->timer_masked) {
		engine_vcpu_kick(vcpu->inner);
	}
}

/* All that could call these is trapped. */
static const struct engine_host host_ops = {.timer_line = on_timer};

hv_return_t hv_vm_create(hv_vm_config_t config)
{
	struct standin_vm *vm = &standin_vm;
	const struct engine_config inner = {
		.host_ops = &host_ops, .host = vm, .vcpus = STANDIN_VCPUS, .cpu = ENGINE_CPU_MAX};
	if (refusal != HV_SUCCESS) {
		return refusal;
	}
	LOCKED(&vm->lock);
	if (vm->inner) {
		return HV_BUSY;
	}
	vm->ipa_bits = config ? config->ipa_bits : default_ipa_bits();
	vm->inner = soft_engine_create(&inner, NULL);
	if (!vm->inner) {
		return HV_NO_RESOURCES;
	}
	trap_enable(vm->inner, on_trap, vm);
	return HV_SUCCESS;
}

hv_return_t hv_vm_destroy(void)
{
	struct standin_vm *vm = &standin_vm;
	LOCKED(&vm->lock);
	if (!vm->inner) {
		return HV_NO_DEVICE;
	}
	for (unsigned n = 0; n < STANDIN_VCPUS; n++) {
		if (vm->vcpus[n].exists) {
			return HV_BUSY;
		}
	}
	engine_destroy(vm->inner);
	vm->inner = NULL;
	vm->mapping_count = vm->made = 0;
	memset(vm->vcpus, 0, sizeof(vm->vcpus));
	return HV_SUCCESS;
}

/* ----- memory ----- */

/* The built-in engine's memory becomes what the mappings say.  All vCPUs stand still. */
static bool apply_locked(struct standin_vm *vm)
{
	struct soft_engine *inner = soft_engine(vm->inner);
	const struct invalidate_op forget = {.kind = INVALIDATE_TLB},
				   drop = {.kind = INVALIDATE_CODE};
	bool good = true;
	inner->memory.count = 0;
	for (unsigned n = 0; n < vm->mapping_count; n++) {
		const struct standin_mapping *m = &vm->mappings[n];
		good = good && memory_add(&inner->memory, m->ipa, m->size, m->addr,
					  !(m->flags & HV_MEMORY_WRITE), NULL) == 0;
	}
	invalidate_post_all(inner, &forget);
	invalidate_post_all(inner, &drop);
	return good;
}

static bool is_granular(const void *addr, hv_ipa_t ipa, size_t size)
{
	return size && ((uintptr_t)addr | ipa | size) % STANDIN_PAGE == 0;
}

static bool overlaps(const struct standin_mapping *m, hv_ipa_t ipa, size_t size)
{
	return ipa < m->ipa + m->size && m->ipa < ipa + size;
}

/* A mapping that goes on where another ends is the same one. */
static bool joins(struct standin_mapping *m, const struct standin_mapping *next)
{
	if (m->ipa + m->size != next->ipa || m->addr + m->size != next->addr ||
	    m->flags != next->flags) {
		return false;
	}
	m->size += next->size;
	return true;
}

static bool add_locked(struct standin_vm *vm, const struct standin_mapping *mapping)
{
	for (unsigned n = 0; n < vm->mapping_count; n++) {
		if (joins(&vm->mappings[n], mapping)) {
			return true;
		}
	}
	if (vm->mapping_count == STANDIN_MAPPINGS) {
		return false;
	}
	vm->mappings[vm->mapping_count++] = *mapping;
	return true;
}

hv_return_t hv_vm_map(void *addr, hv_ipa_t ipa, size_t size, hv_memory_flags_t flags)
{
	struct standin_vm *vm = &standin_vm;
	LOCKED(&vm->lock);
	if (!vm->inner) {
		return HV_NO_DEVICE;
	}
	if (!is_granular(addr, ipa, size) || !flags || (ipa + size - 1) >> vm->ipa_bits) {
		return HV_BAD_ARGUMENT;
	}
	for (unsigned n = 0; n < vm->mapping_count; n++) {
		if (overlaps(&vm->mappings[n], ipa, size)) {
			return HV_ERROR;
		}
	}
	stop_all_locked(vm);
	bool good = add_locked(vm, &(struct standin_mapping){addr, ipa, size, flags}) &&
		    apply_locked(vm);
	start_all_locked(vm);
	return good ? HV_SUCCESS : HV_NO_RESOURCES;
}

/* Bytes of the range that are mapped. */
static uint64_t mapped_locked(const struct standin_vm *vm, hv_ipa_t ipa, size_t size)
{
	uint64_t sum = 0;
	for (unsigned n = 0; n < vm->mapping_count; n++) {
		const struct standin_mapping *m = &vm->mappings[n];
		if (overlaps(m, ipa, size)) {
			uint64_t start = ipa > m->ipa ? ipa : m->ipa;
			uint64_t end =
				ipa + size < m->ipa + m->size ? ipa + size : m->ipa + m->size;
			sum += end - start;
		}
	}
	return sum;
}

/* Take the range out of mapping @n, which may leave two parts. */
static bool cut_locked(struct standin_vm *vm, unsigned n, hv_ipa_t ipa, size_t size)
{
	struct standin_mapping whole = vm->mappings[n];
	vm->mappings[n] = vm->mappings[--vm->mapping_count];
	uint64_t end = whole.ipa + whole.size, cut_end = ipa + size;
	bool good = true;
	if (whole.ipa < ipa) {
		good = add_locked(vm, &(struct standin_mapping){whole.addr, whole.ipa,
								ipa - whole.ipa, whole.flags});
	}
	if (cut_end < end) {
		good = good && add_locked(vm, &(struct standin_mapping){
						      whole.addr + (cut_end - whole.ipa), cut_end,
						      end - cut_end, whole.flags});
	}
	return good;
}

hv_return_t hv_vm_unmap(hv_ipa_t ipa, size_t size)
{
	struct standin_vm *vm = &standin_vm;
	LOCKED(&vm->lock);
	if (!vm->inner) {
		return HV_NO_DEVICE;
	}
	if (!is_granular(NULL, ipa, size)) {
		return HV_BAD_ARGUMENT;
	}
	if (mapped_locked(vm, ipa, size) != size) {
		return HV_ERROR;
	}
	stop_all_locked(vm);
	bool good = true;
	for (unsigned n = vm->mapping_count; n-- > 0;) {
		if (overlaps(&vm->mappings[n], ipa, size)) {
			good = good && cut_locked(vm, n, ipa, size);
		}
	}
	good = good && apply_locked(vm);
	start_all_locked(vm);
	return good ? HV_SUCCESS : HV_NO_RESOURCES;
}

unsigned standin_mappings(void)
{
	LOCKED(&standin_vm.lock);
	return standin_vm.mapping_count;
}

/* ----- life of vCPUs ----- */

unsigned standin_vcpus(void)
{
	unsigned count = 0;
	LOCKED(&standin_vm.lock);
	for (unsigned n = 0; n < STANDIN_VCPUS; n++) {
		count += standin_vm.vcpus[n].exists;
	}
	return count;
}

struct standin_vcpu *standin_own(hv_vcpu_t id)
{
	struct standin_vm *vm = &standin_vm;
	LOCKED(&vm->lock);
	if (!id || id > STANDIN_VCPUS) {
		return NULL;
	}
	struct standin_vcpu *vcpu = &vm->vcpus[id - 1];
	return vcpu->exists && pthread_equal(vcpu->owner, pthread_self()) ? vcpu : NULL;
}

/* The built-in engine's vCPUs stay: the next one of the framework gets the same. */
static struct standin_vcpu *free_slot_locked(struct standin_vm *vm)
{
	for (unsigned n = 0; n < vm->made; n++) {
		if (!vm->vcpus[n].exists) {
			return &vm->vcpus[n];
		}
	}
	if (vm->made == STANDIN_VCPUS) {
		return NULL;
	}
	struct engine_vcpu *inner = engine_vcpu_create(vm->inner, vm->made, vm->made, NULL);
	if (!inner) {
		return NULL;
	}
	vm->vcpus[vm->made].inner = inner;
	return &vm->vcpus[vm->made++];
}

/* As the framework makes it: EL1, all masked, the host's CPU. */
static void reset(struct standin_vcpu *vcpu)
{
	struct soft_vcpu *inner = soft_vcpu(vcpu->inner);
	engine_vcpu_reset(vcpu->inner, 0, 0);
	sysreg_identify(&inner->sys, ENGINE_CPU_MAX, vcpu->inner->index);
	inner->sys.pfr0 &= ~UINT64_C(0x0f000000); /* no interrupt controller of its own */
	inner->sys.oslar_locked = 0;
}

hv_return_t hv_vcpu_create(hv_vcpu_t *id, hv_vcpu_exit_t **exit, hv_vcpu_config_t config)
{
	struct standin_vm *vm = &standin_vm;
	LOCKED(&vm->lock);
	if (!vm->inner) {
		return HV_NO_DEVICE;
	}
	for (unsigned n = 0; n < STANDIN_VCPUS; n++) {
		if (vm->vcpus[n].exists && pthread_equal(vm->vcpus[n].owner, pthread_self())) {
			return HV_BUSY; /* a thread has one */
		}
	}
	stop_all_locked(vm);
	struct standin_vcpu *vcpu = free_slot_locked(vm);
	if (vcpu) {
		struct engine_vcpu *inner = vcpu->inner;
		*vcpu = (struct standin_vcpu){
			.inner = inner, .exists = true, .owner = pthread_self()};
		reset(vcpu);
		*id = (hv_vcpu_t)(vcpu - vm->vcpus) + 1;
		*exit = &vcpu->exit;
	}
	start_all_locked(vm);
	return vcpu ? HV_SUCCESS : HV_NO_RESOURCES;
}

hv_return_t hv_vcpu_destroy(hv_vcpu_t id)
{
	struct standin_vcpu *vcpu = standin_own(id);
	if (!vcpu) {
		return HV_BAD_ARGUMENT;
	}
	LOCKED(&standin_vm.lock);
	vcpu->exists = false;
	return HV_SUCCESS;
}

hv_return_t hv_vcpus_exit(hv_vcpu_t *ids, uint32_t count)
{
	struct standin_vm *vm = &standin_vm;
	LOCKED(&vm->lock);
	for (uint32_t n = 0; n < count; n++) {
		if (!ids[n] || ids[n] > STANDIN_VCPUS || !vm->vcpus[ids[n] - 1].exists) {
			return HV_BAD_ARGUMENT;
		}
		atomic_store(&vm->vcpus[ids[n] - 1].cancelled, true);
		engine_vcpu_kick(vm->vcpus[ids[n] - 1].inner);
	}
	return HV_SUCCESS;
}

/* ----- running ----- */

/* Calls that macOS answers by itself.  True: done, the guest goes on. */
static bool answer_keys(struct standin_vcpu *vcpu)
{
	struct cpu *cpu = &soft_vcpu(vcpu->inner)->cpu;
	if (vcpu->exit.exception.syndrome >> 26 != EC_HVC || cpu->x[0] < PAC_CALL_FIRST ||
	    cpu->x[0] > 0xc10000ff) {
		return false;
	}
	uint64_t x[8];
	memcpy(x, cpu->x, sizeof(x));
	if (cpu->x[0] <= PAC_CALL_LAST && cpu->sys->isar1 & 0xff0) {
		pac_call(vcpu->inner, x);
	} else {
		x[0] = UINT32_MAX; /* so, in 32 bits */
	}
	memcpy(cpu->x, x, sizeof(x));
	return true;
}

/* The reason to leave, if there is one. */
static bool has_exit(struct standin_vcpu *vcpu)
{
	if (vcpu->trapped) {
		vcpu->trapped = false;
		vcpu->exit.reason = HV_EXIT_REASON_EXCEPTION;
		return !answer_keys(vcpu);
	}
	if (vcpu->timer_level && !vcpu->timer_masked) {
		vcpu->timer_masked = true;
		vcpu->exit.reason = HV_EXIT_REASON_VTIMER_ACTIVATED;
		return true;
	}
	vcpu->exit.reason = HV_EXIT_REASON_CANCELED;
	return atomic_exchange(&vcpu->cancelled, false);
}

hv_return_t hv_vcpu_run(hv_vcpu_t id)
{
	struct standin_vm *vm = &standin_vm;
	struct standin_vcpu *vcpu = standin_own(id);
	if (!vcpu) {
		return HV_BAD_ARGUMENT;
	}
	if (atomic_exchange(&has_forged, false)) {
		vcpu->exit = forged;
		return HV_SUCCESS;
	}
	engine_vcpu_set_line(vcpu->inner, ENGINE_IRQ, vcpu->pending[HV_INTERRUPT_TYPE_IRQ]);
	engine_vcpu_set_line(vcpu->inner, ENGINE_FIQ, vcpu->pending[HV_INTERRUPT_TYPE_FIQ]);
	timer_update(
		&soft_vcpu(vcpu->inner)->cpu); /* hardware sees at once what passed meanwhile */
	while (!has_exit(vcpu)) {
		enter(vm, vcpu);
		(void)engine_run(vcpu->inner);
		leave(vm, vcpu);
	}
	memset(vcpu->pending, 0, sizeof(vcpu->pending));
	return HV_SUCCESS;
}

hv_return_t hv_vcpu_set_pending_interrupt(hv_vcpu_t id, hv_interrupt_type_t type, bool pending)
{
	struct standin_vcpu *vcpu = standin_own(id);
	if (!vcpu || type > HV_INTERRUPT_TYPE_FIQ) {
		return HV_BAD_ARGUMENT;
	}
	vcpu->pending[type] = pending;
	return HV_SUCCESS;
}
