/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assist.c - accesses that hardware does not describe, and exceptions for the guest, by
 * soft/shadow.h
 *
 * The GPU window is a device to the shadow: parts without pages read as zero.
 * Threads: any vCPU thread; one at a time by the shadow's lock.
 */
#include "base/log.h"
#include "base/own.h"
#include "engine/hvf/hvf.h"

#include <inttypes.h>
#include <string.h>

#define STATE(field) offsetof(struct nisv_state, field)

/* System registers and where they are in struct nisv_state. */
static const struct {
	size_t at;
	uint32_t reg;
	bool written; /* also back */
} map[] = {
	{STATE(sp_el[0]), ENGINE_SYSREG(3, 0, 4, 1, 0), true},
	{STATE(sp_el[1]), ENGINE_SYSREG(3, 4, 4, 1, 0), true},
	{STATE(elr), ENGINE_SYSREG(3, 0, 4, 0, 1), true},
	{STATE(spsr), ENGINE_SYSREG(3, 0, 4, 0, 0), true},
	{STATE(esr), ENGINE_SYSREG(3, 0, 5, 2, 0), true},
	{STATE(far), ENGINE_SYSREG(3, 0, 6, 0, 0), true},
	{STATE(sctlr), ENGINE_SYSREG(3, 0, 1, 0, 0), false},
	{STATE(tcr), ENGINE_SYSREG(3, 0, 2, 0, 2), false},
	{STATE(ttbr0), ENGINE_SYSREG(3, 0, 2, 0, 0), false},
	{STATE(ttbr1), ENGINE_SYSREG(3, 0, 2, 0, 1), false},
	{STATE(mair), ENGINE_SYSREG(3, 0, 10, 2, 0), false},
	{STATE(vbar), ENGINE_SYSREG(3, 0, 12, 0, 0), false},
};

/* The block of DC ZVA: 64 bytes on all of Apple's CPUs. */
enum { ZVA_BYTES = 64 };

static void read_state(const struct hvf_vcpu *vcpu, struct nisv_state *state)
{
	state->zva_bytes = ZVA_BYTES;
	state->wide = nisv_is_wide(hvf_get_sysreg(vcpu, ENGINE_SYSREG(3, 0, 0, 7, 0)),
				   hvf_get_sysreg(vcpu, ENGINE_SYSREG(3, 0, 0, 7, 2)));
	state->pc = hvf_get(vcpu, HV_REG_PC);
	state->pstate = hvf_get(vcpu, HV_REG_CPSR);
	for (unsigned n = 0; n < 31; n++) {
		state->regs.x[n] = hvf_get(vcpu, HV_REG_X0 + n);
	}
	for (unsigned n = 0; n < 32; n++) {
		hv_simd_fp_uchar16_t value = {0};
		(void)hv_vcpu_get_simd_fp_reg(vcpu->id, n, &value);
		memcpy(state->regs.v[n], &value, sizeof(value));
	}
	for (size_t n = 0; n < sizeof(map) / sizeof(map[0]); n++) {
		*(uint64_t *)((char *)state + map[n].at) = hvf_get_sysreg(vcpu, map[n].reg);
	}
}

static void write_state(const struct hvf_vcpu *vcpu, const struct nisv_state *state)
{
	hvf_set(vcpu, HV_REG_PC, state->pc);
	hvf_set(vcpu, HV_REG_CPSR, state->pstate);
	for (unsigned n = 0; n < 31; n++) {
		hvf_set(vcpu, HV_REG_X0 + n, state->regs.x[n]);
	}
	for (unsigned n = 0; n < 32; n++) {
		hv_simd_fp_uchar16_t value;
		memcpy(&value, state->regs.v[n], sizeof(value));
		(void)hv_vcpu_set_simd_fp_reg(vcpu->id, n, value);
	}
	for (size_t n = 0; n < sizeof(map) / sizeof(map[0]); n++) {
		if (map[n].written) {
			hvf_set_sysreg(vcpu, map[n].reg,
				       *(const uint64_t *)((const char *)state + map[n].at));
		}
	}
}

bool hvf_assist(struct hvf_vcpu *vcpu, uint64_t gpa)
{
	struct shadow *shadow = &vcpu->engine->shadow;
	struct nisv_state state = {0};
	LOCKED(&shadow->lock);
	struct engine_vcpu *helper = shadow_vcpu_locked(shadow, vcpu->base.index);
	if (!helper) {
		return false;
	}
	read_state(vcpu, &state);
	uint64_t pc = state.pc;
	if (nisv_assist(helper, &state, gpa) == NISV_UNDECODED) {
		log_limited(LOG_WARN,
			    "vcpu%u: an access to a device by the instruction at %#" PRIx64
			    " could not be decoded: the guest got an external abort",
			    vcpu->base.index, pc);
	}
	write_state(vcpu, &state);
	return true;
}

bool hvf_raise(struct hvf_vcpu *vcpu, unsigned ec, uint32_t iss, bool has_far, uint64_t far)
{
	struct shadow *shadow = &vcpu->engine->shadow;
	struct nisv_state state = {0};
	LOCKED(&shadow->lock);
	struct engine_vcpu *helper = shadow_vcpu_locked(shadow, vcpu->base.index);
	if (!helper) {
		return false;
	}
	read_state(vcpu, &state);
	nisv_raise(helper, &state, ec, iss, has_far, far);
	write_state(vcpu, &state);
	return true;
}
