/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm.h - one VM: assembled from its configuration, run to its end
 * Threads: the caller's, except vm_stop(): any thread.
 */
#ifndef ORIEL_VMM_VM_H
#define ORIEL_VMM_VM_H

#include "vmm/config.h"

struct broker;
struct vm;

/* How a VM ended. */
enum vm_end {
	VM_POWERED_OFF,
	VM_RESET, /* with --no-reboot */
	VM_BOOT_TIMEOUT,
	VM_QUIT,    /* Ctrl-A x */
	VM_STOPPED, /* vm_stop() */
	VM_FAILED,  /* the engine or a device can not go on; the reason was logged */
};

/*
 * Open everything that @config names and put the machine together; no guest code runs yet.  @config and @broker are
 * borrowed for the VM's life.  NULL and one line in @err on failure, with nothing left behind.
 */
struct vm *vm_create(const struct vm_config *config, struct broker *broker, struct error *err) MUST_CHECK;
/* Accepts NULL.  Gives back everything; the display's last frame is written here. */
void vm_destroy(struct vm *vm);

/* Boot and stay until the guest ends or is stopped. */
enum vm_end vm_run(struct vm *vm) MUST_CHECK;
/* Make vm_run() return VM_STOPPED soon.  Any thread. */
void vm_stop(struct vm *vm);
/* The engine's counters, a line each, on stderr.  After vm_run(). */
void vm_print_engine_stats(struct vm *vm);
/* Write all counters as JSON to @path.  After vm_run(). */
int vm_write_stats(struct vm *vm, const char *path, struct error *err) MUST_CHECK;

#endif
