/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registers.c - registers of the framework's vCPUs
 * Threads: as engine.h says.
 */
#include "engine/hvf/hvf.h"
#include "engine/model.h"

#include <string.h>

#define SYS_SP_EL0	  ENGINE_SYSREG(3, 0, 4, 1, 0)
#define SYS_SP_EL1	  ENGINE_SYSREG(3, 4, 4, 1, 0)

uint64_t hvf_get(const struct hvf_vcpu *vcpu, hv_reg_t reg)
{
	uint64_t value = 0;
	hvf_must(vcpu, hv_vcpu_get_reg(vcpu->id, reg, &value), "read a register");
	return value;
}

void hvf_set(const struct hvf_vcpu *vcpu, hv_reg_t reg, uint64_t value)
{
	hvf_must(vcpu, hv_vcpu_set_reg(vcpu->id, reg, value), "write a register");
}

uint64_t hvf_get_sysreg(const struct hvf_vcpu *vcpu, uint32_t reg)
{
	uint64_t value = 0;
	hvf_must(vcpu, hv_vcpu_get_sys_reg(vcpu->id, (hv_sys_reg_t)reg, &value),
	     "read a system register");
	return value;
}

void hvf_set_sysreg(const struct hvf_vcpu *vcpu, uint32_t reg, uint64_t value)
{
	hvf_must(vcpu, hv_vcpu_set_sys_reg(vcpu->id, (hv_sys_reg_t)reg, value),
	     "write a system register");
}

bool hvf_vcpu_set_key(struct engine_vcpu *base, enum engine_key key, uint64_t low, uint64_t high)
{
	const struct hvf_vcpu *vcpu = hvf_vcpu(base);
	if (key == ENGINE_KEY_DIVERSIFIER) {
		return false;
	}
	uint32_t reg = model_key(key);
	return hv_vcpu_set_sys_reg(vcpu->id, (hv_sys_reg_t)reg, low) == HV_SUCCESS &&
	       hv_vcpu_set_sys_reg(vcpu->id, (hv_sys_reg_t)(reg + 1), high) == HV_SUCCESS;
}

void hvf_vcpu_registers(struct engine_vcpu *base, uint64_t x[31], uint64_t *sp, uint64_t *pc,
			uint64_t *pstate)
{
	const struct hvf_vcpu *vcpu = hvf_vcpu(base);
	memcpy(x, vcpu->x, sizeof(vcpu->x));
	*sp = vcpu->sp;
	*pc = vcpu->pc;
	*pstate = vcpu->pstate;
}

void hvf_keep_registers(struct hvf_vcpu *vcpu)
{
	for (unsigned n = 0; n < 31; n++) {
		vcpu->x[n] = hvf_get(vcpu, HV_REG_X0 + n);
	}
	vcpu->pc = hvf_get(vcpu, HV_REG_PC);
	vcpu->pstate = hvf_get(vcpu, HV_REG_CPSR);
	vcpu->sp = hvf_get_sysreg(vcpu, (vcpu->pstate & 5) == 5 ? SYS_SP_EL1 : SYS_SP_EL0);
}
