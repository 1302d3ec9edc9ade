/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - the CPU model that a vCPU of KVM shows
 *
 * How it works: KVM shows the host's CPU, less what it does not virtualize.  `baseline` takes away
 * what Armv8.0 has not, field by field of the ID registers, as far as the kernel lets itself be
 * told (from Linux 6.7 on more and more of them). Threads: the vCPU's, before its first run.
 */
#ifndef ORIEL_ENGINE_KVM_MODEL_H
#define ORIEL_ENGINE_KVM_MODEL_H

#include <stddef.h>

/*
 * Make the vCPU behind @fd (initialised, not yet run) a baseline one.  Returns the number of fields
 * that could not be hidden and names them in @list, as far as there is room in @len bytes.
 */
unsigned kvm_model_baseline(int fd, char *list, size_t len);

#endif
