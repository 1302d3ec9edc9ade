/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.c - what a vCPU of the framework shows of the host's CPU
 *
 * Hosts differ in which ID registers they let be written: what can not be changed stays, and a
 * baseline CPU that shows too much is warned of.  Threads: the vCPU thread.
 */
#include "engine/model.h"
#include "base/log.h"
#include "engine/hvf/hvf.h"

#define ID_AA64PFR0  ENGINE_SYSREG(3, 0, 0, 4, 0)
#define ID_AA64PFR1  ENGINE_SYSREG(3, 0, 0, 4, 1)
#define ID_AA64DFR0  ENGINE_SYSREG(3, 0, 0, 5, 0)
#define ID_AA64ISAR1 ENGINE_SYSREG(3, 0, 0, 6, 1)
#define ID_AA64MMFR0 ENGINE_SYSREG(3, 0, 0, 7, 0)

#define PAUTH_FIELDS UINT64_C(0xff000ff0) /* GPI, GPA, API, APA */

static int get_id(void *opaque, uint32_t reg, uint64_t *value)
{
	const struct hvf_vcpu *vcpu = opaque;
	return hv_vcpu_get_sys_reg(vcpu->id, (hv_sys_reg_t)reg, value);
}

static int set_id(void *opaque, uint32_t reg, uint64_t value)
{
	const struct hvf_vcpu *vcpu = opaque;
	return hv_vcpu_set_sys_reg(vcpu->id, (hv_sys_reg_t)reg, value);
}

static void change(const struct hvf_vcpu *vcpu, uint32_t reg, uint64_t clear, uint64_t set)
{
	uint64_t value;
	if (get_id((void *)vcpu, reg, &value) ||
	    set_id((void *)vcpu, reg, (value & ~clear) | set)) {
		log_limited(LOG_DEBUG, "vcpu%u: ID register %#x can not be changed",
			    vcpu->base.index, reg);
	}
}

/* With branch targets, which begin with PACIASP. */
static void hide_pauth(const struct hvf_vcpu *vcpu)
{
	change(vcpu, ID_AA64ISAR1, PAUTH_FIELDS, 0);
	change(vcpu, ID_AA64PFR1, 0xf, 0);
}

static void hide_baseline(const struct hvf_vcpu *vcpu)
{
	char kept[256];
	const struct model_access access = {get_id, set_id, (void *)vcpu};
	unsigned count = model_baseline(&access, kept, sizeof(kept));
	if (count && vcpu->base.index == 0) {
		log_warn("--cpu baseline: this host can not hide %u fields from the guest: %s",
			 count, kept);
	}
}

void hvf_model_apply(const struct hvf_vcpu *vcpu)
{
	change(vcpu, ID_AA64PFR0, UINT64_C(0xf) << 32 | 0xf << 24,
	       1 << 24);			 /* no SVE; GICv3 registers */
	change(vcpu, ID_AA64PFR1, 0xf << 24, 0); /* no SME */
	change(vcpu, ID_AA64DFR0, 0xf << 8, 0);	 /* no PMU */
	change(vcpu, ID_AA64MMFR0, 0xf, 2);	 /* addresses of 40 bits */
	switch (vcpu->engine->config.cpu) {
	case ENGINE_CPU_DEFAULT: hide_pauth(vcpu); break;
	case ENGINE_CPU_BASELINE: hide_baseline(vcpu); break;
	case ENGINE_CPU_MAX:
	case ENGINE_CPU_HOST: break;
	}
}
