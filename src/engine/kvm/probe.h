/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - what this host's KVM offers, for the engine and for people
 *
 * Threads: any.
 */
#ifndef ORIEL_ENGINE_KVM_PROBE_H
#define ORIEL_ENGINE_KVM_PROBE_H

#include "engine/engine.h"

/* Open /dev/kvm.  -errno with @err, which says what to do. */
int kvm_open(struct error *err) MUST_CHECK;

/* model_baseline() for the vCPU behind @fd, initialised and not yet run. */
unsigned kvm_model_baseline(int fd, char *list, size_t len);

/* Call @say with one line for each thing that matters to a VM: its name, and what the kernel has.
 */
#if ENGINE_HAS_KVM
void kvm_report(void (*say)(const char *what, const char *text));
#else
static inline void kvm_report(void (*say)(const char *what, const char *text))
{
	say("kvm", "no: KVM of this architecture can not run Arm guests");
}
#endif

#endif
