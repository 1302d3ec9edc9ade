/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysreg.c - system registers that the framework does not keep
 *
 * The interrupt controller's are the board's.  The physical timer never runs: guests of this board
 * use the virtual one.  Threads: the vCPU thread.
 */
#include "engine/hvf/hvf.h"

/* ISS of EC 0x18 (Arm ARM D24.2.40). */
#define ISS_READ 1u

#define ICC_PMR_EL1 ENGINE_SYSREG(3, 0, 4, 6, 0)
#define ICC_FIRST   ENGINE_SYSREG(3, 0, 12, 8, 0)
#define ICC_LAST    ENGINE_SYSREG(3, 0, 12, 12, 7)
#define OSLSR_EL1   ENGINE_SYSREG(2, 0, 1, 1, 4)
#define CNTPCT_EL0  ENGINE_SYSREG(3, 3, 14, 0, 1)
#define LORC_EL1    ENGINE_SYSREG(3, 0, 10, 4, 3)

#define OSLSR_OSLM 8u /* there is a lock; it is open */

static uint32_t number_of(uint64_t syndrome)
{
	return ENGINE_SYSREG(syndrome >> 20 & 3, syndrome >> 14 & 7, syndrome >> 10 & 0xf,
			     syndrome >> 1 & 0xf, syndrome >> 17 & 7);
}

static bool is_icc(uint32_t number)
{
	return number == ICC_PMR_EL1 || (number >= ICC_FIRST && number <= ICC_LAST);
}

/*
 * Registers that hosts may trap and guests touch on their way up, whatever the ID registers say:
 * debugging, performance counters, limited ordering regions, and the physical timer.  They read as
 * zero and forget.
 */
static bool is_idle(uint32_t number)
{
	unsigned op1 = number >> 11 & 7, crn = number >> 7 & 0xf, crm = number >> 3 & 0xf;
	if (number >> 14 == 2) {
		return op1 == 0;
	}
	bool timer = op1 == 3 && crn == 14 && crm == 2;
	bool counters = (op1 == 3 && crn == 9 && crm >= 12 && crm <= 14) ||
			(op1 == 3 && crn == 14 && crm >= 8) || (op1 == 0 && crn == 9 && crm == 14);
	return timer || counters || number == LORC_EL1;
}

static bool read_register(struct hvf_vcpu *vcpu, uint32_t number, uint64_t *value)
{
	const struct engine_config *config = &vcpu->engine->config;
	*value = 0;
	switch (number) {
	case CNTPCT_EL0: *value = mach_absolute_time() - vcpu->engine->timer_offset; return true;
	case OSLSR_EL1: *value = OSLSR_OSLM; return true;
	default: break;
	}
	return is_idle(number) ||
	       (is_icc(number) &&
		config->host_ops->icc_read(config->host, vcpu->base.index, number, value));
}

static bool write_register(struct hvf_vcpu *vcpu, uint32_t number, uint64_t value)
{
	const struct engine_config *config = &vcpu->engine->config;
	return is_idle(number) ||
	       (is_icc(number) &&
		config->host_ops->icc_write(config->host, vcpu->base.index, number, value));
}

bool hvf_access_sysreg(struct hvf_vcpu *vcpu, uint64_t syndrome)
{
	uint32_t number = number_of(syndrome);
	unsigned reg = syndrome >> 5 & 31;
	uint64_t value = 0;
	if (!(syndrome & ISS_READ)) {
		return write_register(vcpu, number, reg == 31 ? 0 : hvf_get(vcpu, HV_REG_X0 + reg));
	}
	if (!read_register(vcpu, number, &value)) {
		return false;
	}
	if (reg != 31) {
		hvf_set(vcpu, HV_REG_X0 + reg, value);
	}
	return true;
}
