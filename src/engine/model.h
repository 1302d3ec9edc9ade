/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - the CPU models that vCPUs of hypervisors show, and registers of theirs
 *
 * How it works: a hypervisor shows the host's CPU, less what it does not virtualize.  `baseline`
 * takes away what Armv8.0 has not, field by field of the ID registers, as far as the host lets
 * itself be told (KVM from Linux 6.7 on more and more of them).
 * Threads: the vCPU's, before its first run.
 */
#ifndef ORIEL_ENGINE_MODEL_H
#define ORIEL_ENGINE_MODEL_H

#include "engine/engine.h"

#include <stddef.h>
#include <stdint.h>

/* Access to ID registers of a vCPU; @reg is ENGINE_SYSREG().  0, or not 0 if that can not be. */
struct model_access {
	int (*get)(void *opaque, uint32_t reg, uint64_t *value);
	int (*set)(void *opaque, uint32_t reg, uint64_t value);
	void *opaque;
};

/*
 * Make the vCPU behind @vcpu a baseline one.  Returns the number of fields that could not be hidden
 * and names them in @list, as far as there is room in @len bytes.
 */
unsigned model_baseline(const struct model_access *vcpu, char *list, size_t len);

/* The register of the low half of a key, as ENGINE_SYSREG(); the next one has the high half.  Not
 * for the diversifier, which has none.  Source: Arm ARM, APIAKeyLo_EL1 and its like. */
uint32_t model_key(enum engine_key key);

#endif
