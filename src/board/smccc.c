/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smccc.c - the guest's calls to its firmware
 *
 * Threads: see smccc.h.
 */
#include "board/smccc.h"

#include "base/log.h"
#include "base/own.h"
#include "board/pac.h"

#include <inttypes.h>
#include <string.h>

/* Function id (DEN 0028, 2.5): fast call in bit 31, 64-bit in 30, owner in 29:24. */
enum smccc_owner { SMCCC_ARCH = 0, SMCCC_CPU = 1, SMCCC_STANDARD = 4 };

void smccc_init(struct smccc *smccc, const struct psci *psci, bool keys)
{
	*smccc = (struct smccc){.psci = *psci, .keys = keys};
	pthread_mutex_init(&smccc->lock, NULL);
}

void smccc_finish(struct smccc *smccc)
{
	pthread_mutex_destroy(&smccc->lock);
}

static void count(struct smccc *smccc, uint32_t function)
{
	LOCKED(&smccc->lock);
	for (unsigned n = 0; n < smccc->counted; n++) {
		if (smccc->counts[n].function == function) {
			smccc->counts[n].calls++;
			return;
		}
	}
	if (smccc->counted == SMCCC_COUNTED) {
		smccc->others++;
		return;
	}
	smccc->counts[smccc->counted++] = (struct smccc_count){function, 1};
}

void smccc_call(struct smccc *smccc, struct engine_vcpu *vcpu, uint64_t x[8])
{
	uint32_t function = (uint32_t)x[0];
	bool fast = function >> 31;
	count(smccc, function);
	switch (fast ? function >> 24 & 0x3f : UINT32_MAX) {
	case SMCCC_ARCH:
	case SMCCC_STANDARD: psci_call(&smccc->psci, vcpu->index, x); break;
	case SMCCC_CPU:
		if (smccc->keys && function >= PAC_CALL_FIRST && function <= PAC_CALL_LAST) {
			pac_call(vcpu, x);
			break;
		}
		/* fall through */
	default: x[0] = (uint64_t)PSCI_NOT_SUPPORTED; break;
	}
	log_limited(LOG_DEBUG, "vcpu%u: call %#" PRIx32 " answers %#" PRIx64, vcpu->index, function,
		    x[0]);
}

unsigned smccc_counts(struct smccc *smccc, struct smccc_count *counts, uint64_t *others)
{
	LOCKED(&smccc->lock);
	memcpy(counts, smccc->counts, sizeof(smccc->counts));
	*others = smccc->others;
	return smccc->counted;
}
