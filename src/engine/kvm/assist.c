/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assist.c - accesses that KVM can not describe or do, done by hand with the built-in engine's help
 *
 * How it works: the first such access makes a built-in engine with the same memory, whose vCPUs
 * never run.  Registers are copied over, the instruction is fetched through the guest's own tables,
 * decoded and done (soft/nisv.h), and what changed is copied back.  It sees the GPU window as a
 * device: parts with pages are accessed, others read as zero (kvm_window_move()). Registers of
 * KVM's interrupt controller are reached by kvm_gic_move().
 * Threads: any vCPU thread; one at a time by assist_lock.
 */
#include "base/log.h"
#include "base/own.h"
#include "engine/kvm/kvm.h"
#include "engine/soft/nisv.h"

#include <inttypes.h>
#include <string.h>

/* ----- what the helper's accesses reach ----- */

static bool helper_read(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t *value)
{
	struct kvm_engine *engine = host;
	return kvm_window_move(engine, gpa, size, value, false) ||
	       kvm_gic_move(engine, gpa, size, value, false) ||
	       engine->config.host_ops->mmio_read(engine->config.host, vcpu, gpa, size, value);
}

static bool helper_write(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	struct kvm_engine *engine = host;
	return kvm_window_move(engine, gpa, size, &value, true) ||
	       kvm_gic_move(engine, gpa, size, &value, true) ||
	       engine->config.host_ops->mmio_write(engine->config.host, vcpu, gpa, size, value);
}

static int make_helper(struct kvm_engine *engine, struct error *err)
{
	static const struct engine_host host_ops = {.mmio_read = helper_read,
						    .mmio_write = helper_write};
	const struct engine_config config = {
		.host_ops = &host_ops, .host = engine, .vcpus = engine->vcpu_count, .interp = true};
	engine->helper = soft_engine_create(&config, err);
	int rc = engine->helper ? 0 : -ENOMEM;
	for (unsigned n = 0; rc == 0 && n < engine->rams; n++) {
		rc = engine_map_ram(engine->helper, engine->ram[n].gpa, engine->ram[n].len,
				    engine->ram[n].hva, false, err);
	}
	for (unsigned n = 0; rc == 0 && n < engine->vcpu_count; n++) {
		engine->helpers[n] = engine_vcpu_create(engine->helper, n, n, err);
		rc = engine->helpers[n] ? 0 : -ENOMEM;
		if (rc == 0) {
			engine_vcpu_reset(engine->helpers[n], 0, 0);
		}
	}
	if (rc < 0) {
		engine_destroy(engine->helper);
		engine->helper = NULL;
	}
	return rc;
}

/* ----- moving state ----- */

#define CORE(field)  offsetof(struct kvm_regs, field)
#define STATE(field) offsetof(struct nisv_state, field)

/* 64-bit registers and where they are in struct nisv_state. */
static const struct {
	size_t at;
	size_t core; /* in struct kvm_regs, if sysreg is 0 */
	uint32_t sysreg;
	bool written; /* also back */
} map[] = {
	{STATE(sp_el[0]), CORE(regs.sp), 0, true},
	{STATE(sp_el[1]), CORE(sp_el1), 0, true},
	{STATE(pc), CORE(regs.pc), 0, true},
	{STATE(pstate), CORE(regs.pstate), 0, true},
	{STATE(elr), CORE(elr_el1), 0, true},
	{STATE(spsr), CORE(spsr[0]), 0, true},
	{STATE(esr), 0, ENGINE_SYSREG(3, 0, 5, 2, 0), true},
	{STATE(far), 0, ENGINE_SYSREG(3, 0, 6, 0, 0), true},
	{STATE(sctlr), 0, ENGINE_SYSREG(3, 0, 1, 0, 0), false},
	{STATE(tcr), 0, ENGINE_SYSREG(3, 0, 2, 0, 2), false},
	{STATE(ttbr0), 0, ENGINE_SYSREG(3, 0, 2, 0, 0), false},
	{STATE(ttbr1), 0, ENGINE_SYSREG(3, 0, 2, 0, 1), false},
	{STATE(mair), 0, ENGINE_SYSREG(3, 0, 10, 2, 0), false},
	{STATE(vbar), 0, ENGINE_SYSREG(3, 0, 12, 0, 0), false},
};

static uint64_t vector_id(unsigned n)
{
	return (kvm_core_id(CORE(fp_regs.vregs) + n * 16) & ~KVM_REG_SIZE_MASK) | KVM_REG_SIZE_U128;
}

static int read_state(struct kvm_vcpu *vcpu, struct nisv_state *state)
{
	int rc = 0;
	for (unsigned n = 0; rc == 0 && n < 31; n++) {
		rc = kvm_get(vcpu, kvm_core_id(CORE(regs.regs) + n * 8), &state->regs.x[n]);
	}
	for (unsigned n = 0; rc == 0 && n < 32; n++) {
		rc = kvm_get(vcpu, vector_id(n), state->regs.v[n]);
	}
	for (size_t n = 0; rc == 0 && n < sizeof(map) / sizeof(map[0]); n++) {
		uint64_t id =
			map[n].sysreg ? kvm_sysreg_id(map[n].sysreg) : kvm_core_id(map[n].core);
		rc = kvm_get(vcpu, id, (char *)state + map[n].at);
	}
	return rc;
}

static int write_state(struct kvm_vcpu *vcpu, const struct nisv_state *state)
{
	int rc = 0;
	for (unsigned n = 0; rc == 0 && n < 31; n++) {
		rc = kvm_set(vcpu, kvm_core_id(CORE(regs.regs) + n * 8), &state->regs.x[n]);
	}
	for (unsigned n = 0; rc == 0 && n < 32; n++) {
		rc = kvm_set(vcpu, vector_id(n), state->regs.v[n]);
	}
	for (size_t n = 0; rc == 0 && n < sizeof(map) / sizeof(map[0]); n++) {
		uint64_t id =
			map[n].sysreg ? kvm_sysreg_id(map[n].sysreg) : kvm_core_id(map[n].core);
		rc = map[n].written ? kvm_set(vcpu, id, (const char *)state + map[n].at) : 0;
	}
	return rc;
}

/* Has its CPU addresses of 52 bits?  LPA2 with 4K or 16K pages, LVA with 64K. */
static bool is_wide(const struct kvm_vcpu *vcpu)
{
	uint64_t mmfr0 = 0, mmfr2 = 0;
	(void)kvm_get(vcpu, kvm_sysreg_id(ENGINE_SYSREG(3, 0, 0, 7, 0)), &mmfr0);
	(void)kvm_get(vcpu, kvm_sysreg_id(ENGINE_SYSREG(3, 0, 0, 7, 2)), &mmfr2);
	return (mmfr0 >> 28 & 0xf) == 1 || (mmfr0 >> 20 & 0xf) == 2 || (mmfr2 >> 16 & 0xf) == 1;
}

/* The block of DC ZVA is the host's. */
static unsigned zva_bytes(void)
{
	uint64_t dczid;
	__asm__("mrs %0, dczid_el0" : "=r"(dczid));
	return 4u << (dczid & 0xf);
}

bool kvm_assist(struct kvm_vcpu *vcpu, uint64_t fault_gpa, const char **why)
{
	struct kvm_engine *engine = vcpu->engine;
	struct error err = {0};
	struct nisv_state state = {.zva_bytes = zva_bytes(), .wide = is_wide(vcpu)};
	LOCKED(&engine->assist_lock);
	if (!engine->helper && make_helper(engine, &err) < 0) {
		*why = "no memory for it";
		return false;
	}
	if (read_state(vcpu, &state) < 0) {
		*why = "its registers can not be read";
		return false;
	}
	uint64_t pc = state.pc;
	enum nisv_result result = nisv_assist(engine->helpers[vcpu->base.index], &state, fault_gpa);
	if (result == NISV_UNDECODED) {
		log_limited(LOG_WARN,
			    "vcpu%u: an access to %s by the instruction at %#" PRIx64
			    " could not be decoded: the guest got an external abort",
			    vcpu->base.index,
			    fault_gpa == NISV_ANY_GPA ? "memory that the host has no page for"
						      : "a device",
			    pc);
	}
	if (write_state(vcpu, &state) < 0) {
		*why = "its registers can not be written";
		return false;
	}
	return true;
}
