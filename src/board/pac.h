/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pac.h - hypercalls by which guests of Apple's virtual platform change their pointer
 * authentication keys
 *
 * How it works: fast 64-bit calls 0xc1000000 to 0xc1000006 of the SMCCC's CPU service (names as in
 * the XNU sources' hv_hvc.h, keys as Hypervisor.framework of macOS 12 makes them: consecutive
 * numbers from a seed).  A guest never writes key registers itself.  The EL0 diversifier is a key
 * that is mixed into the others where it is switched on, so that the same keys sign differently at
 * EL0 and at EL1. Threads: the calling vCPU's.
 */
#ifndef ORIEL_BOARD_PAC_H
#define ORIEL_BOARD_PAC_H

#include "engine/engine.h"

#include <stdbool.h>
#include <stdint.h>

#define PAC_CALL_FIRST 0xc1000000u
#define PAC_CALL_LAST  0xc1000006u

/*
 * Answer the call in @x as smccc.h has it: x[0] becomes 0, or -1 (NOT_SUPPORTED) for what @vcpu's
 * engine can not do: without the diversifier that are the calls that need it.
 */
void pac_call(struct engine_vcpu *vcpu, uint64_t x[8]);

#endif
