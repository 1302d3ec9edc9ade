/* SPDX-License-Identifier: Apache-2.0 */
/*
 * psci.c - PSCI 1.1 and the SMCCC calls around it
 * Threads: see psci.h.
 */
#include "board/psci.h"

#include "devices/gicv3.h"

enum psci_function {
	SMCCC_VERSION = 0x80000000,
	SMCCC_ARCH_FEATURES = 0x80000001,
	PSCI_VERSION = 0x84000000,
	PSCI_CPU_SUSPEND = 0x84000001,
	PSCI_CPU_OFF = 0x84000002,
	PSCI_CPU_ON = 0x84000003,
	PSCI_AFFINITY_INFO = 0x84000004,
	PSCI_MIGRATE_INFO_TYPE = 0x84000006,
	PSCI_SYSTEM_OFF = 0x84000008,
	PSCI_SYSTEM_RESET = 0x84000009,
	PSCI_FEATURES = 0x8400000a,
};

#define SMCCC_64BIT UINT32_C(0x40000000)
#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)

enum {
	SMCCC_VERSION_1_1 = 0x10001,
	PSCI_NO_TRUSTED_OS = 2,
};

/* The calls that exist with 64-bit arguments too. */
static bool psci_has_64bit_form(uint32_t function)
{
	return function == PSCI_CPU_SUSPEND || function == PSCI_CPU_ON || function == PSCI_AFFINITY_INFO;
}

static bool psci_is_implemented(uint32_t function)
{
	switch (function & ~SMCCC_64BIT) {
	case SMCCC_VERSION:
	case PSCI_VERSION:
	case PSCI_CPU_OFF:
	case PSCI_MIGRATE_INFO_TYPE:
	case PSCI_SYSTEM_OFF:
	case PSCI_SYSTEM_RESET:
	case PSCI_FEATURES:
		return !(function & SMCCC_64BIT);
	default:
		return psci_has_64bit_form(function & ~SMCCC_64BIT);
	}
}

/* The vCPU with affinity @mpidr, or -1. */
static int psci_find(const struct psci *psci, uint64_t mpidr)
{
	for (unsigned i = 0; i < psci->vcpus; i++) {
		if (gicv3_affinity(i) == mpidr) {
			return (int)i;
		}
	}
	return -1;
}

static int64_t psci_cpu_on(const struct psci *psci, uint64_t mpidr, uint64_t entry, uint64_t context)
{
	int target = psci_find(psci, mpidr & ~MPIDR_AFFINITY ? UINT64_MAX : mpidr);
	if (target < 0) {
		return PSCI_INVALID_PARAMETERS;
	}
	if (entry & 3) {
		return PSCI_INVALID_ADDRESS;
	}
	return psci->ops->cpu_on(psci->opaque, (unsigned)target, entry, context);
}

static int64_t psci_affinity_info(const struct psci *psci, uint64_t mpidr, uint64_t lowest_level)
{
	int target = psci_find(psci, mpidr);
	if (target < 0 || lowest_level != 0) {
		return PSCI_INVALID_PARAMETERS;
	}
	return psci->ops->affinity_info(psci->opaque, (unsigned)target);
}

static int64_t psci_answer(const struct psci *psci, unsigned vcpu, uint32_t function, const uint64_t x[4])
{
	switch (function) {
	case SMCCC_VERSION:
		return SMCCC_VERSION_1_1;
	case SMCCC_ARCH_FEATURES:
		return x[1] == SMCCC_VERSION || x[1] == SMCCC_ARCH_FEATURES ? 0 : PSCI_NOT_SUPPORTED;
	case PSCI_VERSION:
		return psci->version;
	case PSCI_FEATURES:
		return psci_is_implemented((uint32_t)x[1]) ? 0 : PSCI_NOT_SUPPORTED;
	case PSCI_MIGRATE_INFO_TYPE:
		return PSCI_NO_TRUSTED_OS;
	case PSCI_CPU_ON:
		return psci_cpu_on(psci, x[1], x[2], x[3]);
	case PSCI_AFFINITY_INFO:
		return psci_affinity_info(psci, x[1], x[2]);
	case PSCI_CPU_SUSPEND: /* every state is stand-by, and one may wake from that at once */
		return PSCI_SUCCESS;
	case PSCI_CPU_OFF:
		psci->ops->cpu_off(psci->opaque, vcpu);
		return PSCI_SUCCESS;
	case PSCI_SYSTEM_OFF:
	case PSCI_SYSTEM_RESET:
		psci->ops->system_end(psci->opaque, vcpu, function == PSCI_SYSTEM_RESET);
		return PSCI_SUCCESS;
	default:
		return PSCI_NOT_SUPPORTED;
	}
}

void psci_call(const struct psci *psci, unsigned vcpu, uint64_t x[8])
{
	uint32_t function = (uint32_t)x[0];
	uint64_t args[4] = {function, x[1], x[2], x[3]};
	if (psci_has_64bit_form(function & ~SMCCC_64BIT) && function & SMCCC_64BIT) {
		function &= ~SMCCC_64BIT;
	} else {
		for (unsigned i = 1; i < 4; i++) {
			args[i] = (uint32_t)args[i];
		}
	}
	x[0] = (uint64_t)psci_answer(psci, vcpu, function, args);
}
