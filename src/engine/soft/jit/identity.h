/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.h - what translations depend on beside the guest's code
 *
 * Threads: any.
 */
#ifndef ORIEL_ENGINE_SOFT_JIT_IDENTITY_H
#define ORIEL_ENGINE_SOFT_JIT_IDENTITY_H

#include "engine/engine.h"
#include "engine/soft/jit/store.h"

struct sysregs;

/*
 * This program (by the build ID that the linker gave it), this host's CPU features, the guest's ID
 * registers in @sys and the options in
 * @config.  False: the program has no build ID, so nothing can be kept.
 */
bool jit_identify(const struct engine_config *config, const struct sysregs *sys,
		  struct jit_identity *identity);

#endif
