/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smccc.h - the guest's calls to its firmware, by the SMC Calling Convention (Arm DEN 0028)
 *
 * How it works: one place for all engines.  The function id's owner field says who answers: the
 * standard service (PSCI), the Arm architecture service, or the CPU service of Apple's platform
 * (pac.h); all else gets NOT_SUPPORTED.  Every call is counted by its id, the first SMCCC_COUNTED
 * different ids each for itself. Threads: calls on any vCPU's thread; counts from any thread.
 */
#ifndef ORIEL_BOARD_SMCCC_H
#define ORIEL_BOARD_SMCCC_H

#include "board/psci.h"
#include "engine/engine.h"

#include <pthread.h>

enum { SMCCC_COUNTED = 32 };

struct smccc_count {
	uint32_t function;
	uint64_t calls;
};

struct smccc {
	struct psci psci;
	bool keys;	      /* the guest may change its pointer authentication keys by calls */
	pthread_mutex_t lock; /* guards all below */
	struct smccc_count counts[SMCCC_COUNTED];
	unsigned counted;
	uint64_t others; /* calls of ids that found no place */
};

void smccc_init(struct smccc *smccc, const struct psci *psci, bool keys);
void smccc_finish(struct smccc *smccc);

/* Answer one HVC or SMC of @vcpu: @x as engine_host.hypercall has it. */
void smccc_call(struct smccc *smccc, struct engine_vcpu *vcpu, uint64_t x[8]);

/* Copy the counts (room for SMCCC_COUNTED) and return how many there are. */
unsigned smccc_counts(struct smccc *smccc, struct smccc_count *counts, uint64_t *others);

#endif
