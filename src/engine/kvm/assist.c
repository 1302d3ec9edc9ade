/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assist.c - accesses that KVM can not describe or do, done by hand with the built-in engine's help
 *
 * How it works: shadow.h does them.  It sees the GPU window as a device: parts with pages are
 * accessed, others read as zero (kvm_window_move()).  Registers of KVM's interrupt controller are
 * reached by kvm_gic_move().
 * Threads: any vCPU thread; one at a time by the shadow's lock.
 */
#include "base/log.h"
#include "base/own.h"
#include "engine/kvm/kvm.h"
#include "engine/soft/nisv.h"

#include <inttypes.h>
#include <string.h>

bool kvm_shadow_move(void *opaque, uint64_t gpa, unsigned size, uint64_t *value, bool write)
{
	return kvm_window_move(opaque, gpa, size, value, write) ||
	       kvm_gic_move(opaque, gpa, size, value, write);
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

/*
 * V register @n.  With SVE it is the lower part of a Z register, whose upper part becomes zero if V
 * is written (Arm ARM B1.4.1): only if it has changed.
 */
static int move_vector(const struct kvm_vcpu *vcpu, unsigned n, const uint64_t *from, uint64_t *to)
{
	uint8_t z[256] = {0};
	if (!vcpu->engine->shows_sve) {
		return from ? kvm_set(vcpu, vector_id(n), from) : kvm_get(vcpu, vector_id(n), to);
	}
	int rc = kvm_get(vcpu, KVM_REG_ARM64_SVE_ZREG(n, 0), z);
	if (rc == 0 && to) {
		memcpy(to, z, 16);
	} else if (rc == 0 && memcmp(z, from, 16)) {
		memset(z, 0, sizeof(z));
		memcpy(z, from, 16);
		rc = kvm_set(vcpu, KVM_REG_ARM64_SVE_ZREG(n, 0), z);
	}
	return rc;
}

static int read_state(struct kvm_vcpu *vcpu, struct nisv_state *state)
{
	int rc = 0;
	for (unsigned n = 0; rc == 0 && n < 31; n++) {
		rc = kvm_get(vcpu, kvm_core_id(CORE(regs.regs) + n * 8), &state->regs.x[n]);
	}
	for (unsigned n = 0; rc == 0 && n < 32; n++) {
		rc = move_vector(vcpu, n, NULL, state->regs.v[n]);
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
		rc = move_vector(vcpu, n, state->regs.v[n], NULL);
	}
	for (size_t n = 0; rc == 0 && n < sizeof(map) / sizeof(map[0]); n++) {
		uint64_t id =
			map[n].sysreg ? kvm_sysreg_id(map[n].sysreg) : kvm_core_id(map[n].core);
		rc = map[n].written ? kvm_set(vcpu, id, (const char *)state + map[n].at) : 0;
	}
	return rc;
}

static bool is_wide(const struct kvm_vcpu *vcpu)
{
	uint64_t mmfr0 = 0, mmfr2 = 0;
	(void)kvm_get(vcpu, kvm_sysreg_id(ENGINE_SYSREG(3, 0, 0, 7, 0)), &mmfr0);
	(void)kvm_get(vcpu, kvm_sysreg_id(ENGINE_SYSREG(3, 0, 0, 7, 2)), &mmfr2);
	return nisv_is_wide(mmfr0, mmfr2);
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
	struct shadow *shadow = &vcpu->engine->shadow;
	struct nisv_state state = {.zva_bytes = zva_bytes(), .wide = is_wide(vcpu)};
	LOCKED(&shadow->lock);
	struct engine_vcpu *helper = shadow_vcpu_locked(shadow, vcpu->base.index);
	if (!helper) {
		*why = "no memory for it";
		return false;
	}
	if (read_state(vcpu, &state) < 0) {
		*why = "its registers can not be read";
		return false;
	}
	uint64_t pc = state.pc;
	enum nisv_result result = nisv_assist(helper, &state, fault_gpa);
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
