/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pauth.h - pointer authentication codes (FEAT_PAuth)
 *
 * How it works: the code is a fast mix of pointer, modifier and key, not QARMA and not meant to resist an attacker who studies it: the ID
 * registers call it implementation defined (ID_AA64ISAR1_EL1.API).  Layout of the code in a pointer and the results of failed
 * authentication are those of Arm ARM J1.1.3 without FEAT_EPAC, FEAT_PAuth2 and FEAT_FPAC.
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_PAUTH_H
#define ORIEL_ENGINE_SOFT_PAUTH_H

#include "engine/soft/cpu.h"
#include "engine/soft/sysreg.h"

/*
 * PACIA, AUTIA and so on: @pointer with its code inserted, or checked and removed (a wrong code leaves a pointer that faults).  @key
 * is KEY_IA..KEY_DB.  Where SCTLR_EL1 has the key off, the pointer comes back as it is.
 */
uint64_t pauth_sign(const struct cpu *cpu, uint64_t pointer, uint64_t modifier, enum sysreg_key key);
uint64_t pauth_check(const struct cpu *cpu, uint64_t pointer, uint64_t modifier, enum sysreg_key key);
/* XPACI, XPACD. */
uint64_t pauth_strip(const struct cpu *cpu, uint64_t pointer, bool data);
/* PACGA: 32 bits at the top. */
uint64_t pauth_generic(const struct cpu *cpu, uint64_t value, uint64_t modifier);

#endif
