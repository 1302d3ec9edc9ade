/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standin.h - Hypervisor.framework's functions over the built-in engine: what tests see of it
 *
 * How it works: the functions of engine/hvf/api.h, with the rules that the framework has: one VM a
 * process; a vCPU answers to its own thread alone, but for hv_vcpus_exit(), which is sticky;
 * mappings in pages of 16 KiB, none twice; a pending interrupt holds for one run; the timer is
 * masked by its exit.  Underneath a built-in engine runs the guest and leaves where hardware would
 * (soft/trap.h), with the syndromes of hardware.  Calls that change pointer authentication keys
 * never leave, as on macOS. It does not enforce that memory without HV_MEMORY_EXEC is never
 * executed. Threads: as the framework's.
 */
#ifndef ORIEL_TESTS_HVF_STANDIN_H
#define ORIEL_TESTS_HVF_STANDIN_H

#include "engine/hvf/api.h"

enum { STANDIN_VCPUS = 8, STANDIN_IPA_BITS = 42 };

/* What the next hv_vm_create() answers; HV_SUCCESS: the truth.  And the widest guest address, 0:
 * STANDIN_IPA_BITS. */
void standin_refuse(hv_return_t rc);
void standin_limit_ipa(uint32_t bits);
/* What the next hv_vcpu_run() of any vCPU says instead of running: what the built-in engine never
 * does. */
void standin_forge(const hv_vcpu_exit_t *exit);
/* Mapped ranges, and vCPUs that exist. */
unsigned standin_mappings(void);
unsigned standin_vcpus(void);

#endif
