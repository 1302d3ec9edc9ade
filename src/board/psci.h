/* SPDX-License-Identifier: Apache-2.0 */
/*
 * psci.h - power calls of the guest: PSCI 1.1 (Arm DEN 0022), and the SMCCC's own (Arm DEN 0028)
 * Threads: the calling vCPU's.
 */
#ifndef ORIEL_BOARD_PSCI_H
#define ORIEL_BOARD_PSCI_H

#include <stdbool.h>
#include <stdint.h>

/* Return values (DEN 0022, 5.2.2). */
enum psci_result {
	PSCI_SUCCESS = 0,
	PSCI_NOT_SUPPORTED = -1,
	PSCI_INVALID_PARAMETERS = -2,
	PSCI_DENIED = -3,
	PSCI_ALREADY_ON = -4,
	PSCI_ON_PENDING = -5,
	PSCI_INTERNAL_FAILURE = -6,
	PSCI_INVALID_ADDRESS = -9,
};

/* AFFINITY_INFO answers. */
enum psci_affinity { PSCI_AFFINITY_ON = 0, PSCI_AFFINITY_OFF = 1, PSCI_AFFINITY_ON_PENDING = 2 };

/* What the VM does about it.  All on the calling vCPU's thread. */
struct psci_ops {
	/* Start the vCPU with affinity @mpidr (checked to exist: @target).  Returns an enum psci_result. */
	int (*cpu_on)(void *opaque, unsigned target, uint64_t entry, uint64_t context);
	/* Stop @vcpu, the caller; takes effect when the hypercall handler returns. */
	void (*cpu_off)(void *opaque, unsigned vcpu);
	enum psci_affinity (*affinity_info)(void *opaque, unsigned target);
	/* @reset: false for power-off. */
	void (*system_end)(void *opaque, unsigned vcpu, bool reset);
};

struct psci {
	const struct psci_ops *ops;
	void *opaque;
	unsigned vcpus;
	uint32_t version; /* what PSCI_VERSION says: major << 16 | minor, 1.0 or 1.1 */
};

/* Answer one HVC/SMC: @x as engine_host.hypercall has it.  What is unknown gets NOT_SUPPORTED. */
void psci_call(const struct psci *psci, unsigned vcpu, uint64_t x[8]);

#endif
