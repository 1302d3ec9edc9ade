/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_priv.h - the parts of a VM, shared by the vm*.c files
 *
 * How it works: two loops.  The control loop runs on vm_run()'s thread: console, clock alarm, time-outs.  The device loop has
 * its own thread: virtio devices, their helpers, the display.  Each vCPU has a thread that is inside engine_run(), or parked here.
 * Invariants: devices, memory and engine state are changed by the VM itself (load, reset) only while all vCPUs are parked.
 * Threads: fields below `lock` are guarded by it, all others are constant after vm_create().
 */
#ifndef ORIEL_VMM_VM_PRIV_H
#define ORIEL_VMM_VM_PRIV_H

#include "base/loop.h"
#include "board/board.h"
#include "board/loader.h"
#include "board/smccc.h"
#include "bus/bus.h"
#include "display/display.h"
#include "display/screenshot.h"
#include "engine/engine.h"
#include "gpu/virtio_gpu.h"
#include "mem/gmem.h"
#include "passthrough/pdev.h"
#include "passthrough/vfio_host.h"
#include "pci/pci.h"
#include "virtio/device.h"
#include "vmm/broker.h"
#include "vmm/console.h"
#include "vmm/gdb_server.h"
#include "vmm/control.h"
#include "vmm/vm.h"

#include <pthread.h>
#include <stdatomic.h>

struct vm_cpu {
	struct vm *vm;
	unsigned index;
	struct engine_vcpu *vcpu;
	pthread_t thread;
	bool has_thread;
	/* Guarded by vm->lock: */
	enum psci_affinity power;
	bool running;		 /* inside engine_run() or about to be */
	uint64_t entry, context; /* for power == PSCI_AFFINITY_ON_PENDING */
};

enum { VM_MAX_SLOTS = 2 * CONFIG_MAX_PASSTHROUGH };

/* A root port, and the foreign device behind it.  Control loop. */
struct vm_slot {
	struct vm *vm;
	struct pci_device *port;
	struct pdev *device; /* NULL: empty */
	char address[128];   /* as given to --passthrough, without options */
	struct loop_source *patience; /* with a guest that is asked to let go */
	struct control_request *waiting; /* for the device to be out; may be NULL */
	bool forced, ejected;
};

struct vm {
	const struct vm_config *config;
	struct broker *broker;
	struct loop *control, *device_loop;
	struct loop_source *boot_timer;
	struct gmem *gmem;
	struct bus *bus;
	struct console *console;
	struct board board;
	struct engine *engine;
	struct irq_chip *irq_chip; /* of the engine; NULL: the board has its own */
	char engine_why[512];	   /* why this engine was taken */
	struct smccc smccc;
	struct display *display;
	struct screenshot *screenshot;
	struct pci_host *pci;
	struct virtio_device *gpu; /* owned by pci; NULL: none */
	struct vm_slot slots[VM_MAX_SLOTS];
	size_t slot_count;
	bool started; /* the board's windows are fixed */
	struct vfio_host *vfio;
	struct pci_device *retired[VM_MAX_SLOTS]; /* out of their slots, not freed yet */
	size_t retired_count;
	struct control *control_socket;
	struct gdb_server *gdb; /* NULL: none.  Control loop */
	uint64_t debugged;	/* vCPUs that GDB let run.  Control loop */
	/* Of `oriel ctl status`: who waits for the device loop to fill gpu_status.  Control loop, but for gpu_status meanwhile. */
	struct control_request *asking[CONTROL_MAX_CLIENTS];
	size_t asking_count;
	struct virtio_gpu_stats gpu_status;
	uint64_t started_ns;
	pthread_t device_thread;
	bool has_device_thread;
	atomic_bool spoke; /* the guest wrote to its console */
	atomic_uint resets;
	struct vm_cpu cpu[CONFIG_MAX_CPUS];
	pthread_mutex_t lock; /* guards all below, and the marked fields of vm_cpu */
	pthread_cond_t changed;
	bool paused;   /* vCPUs park */
	uint64_t held; /* those in this set too, for the debugger */
	bool quitting; /* vCPU threads end */
	bool has_end;
	enum vm_end end; /* valid if has_end */
};

/* ----- vm.c ----- */

/* Load kernel and initrd, write a device tree with fresh seeds, and let vCPU 0 begin there.  All vCPUs are parked. */
int vm_load(struct vm *vm, struct error *err) MUST_CHECK;

/* ----- vm_cpu.c: vCPUs and what their engine asks the machine for ----- */

extern const struct engine_host vm_engine_host;	 /* host is the struct vm */
extern const struct gicv3_cpu_ops vm_gic_cpu_ops; /* opaque is the struct vm */
extern const struct psci_ops vm_psci_ops;	 /* opaque is the struct vm */

/* Start the threads of all vCPUs. */
int vm_cpus_start(struct vm *vm, struct error *err) MUST_CHECK;
/* Power state at (re)start: vCPU 0 will begin at @entry with x0 = @x0, the others are off.  All are parked. */
void vm_cpus_set_boot(struct vm *vm, uint64_t entry, uint64_t x0);
/* Park all vCPUs and wait until they are. */
void vm_cpus_pause(struct vm *vm);
void vm_cpus_resume(struct vm *vm);
/* As pause and resume, for the debugger: all vCPUs, or those of the set @cpus.  Independent of the other two. */
void vm_cpus_hold(struct vm *vm);
/* Only say that they shall park: all if @paused, and the set @held.  Any thread. */
void vm_cpus_halt(struct vm *vm, bool paused, uint64_t held);
void vm_cpus_release(struct vm *vm, uint64_t cpus);
/* End and join the threads that were started. */
void vm_cpus_finish(struct vm *vm);
/* The VM is to end with @end, unless something more final was said before.  Any thread. */
void vm_finish_with(struct vm *vm, enum vm_end end);

/* ----- vm_engine.c ----- */

/* Choose the engine (--engine), with RAM, interrupt controller and vCPUs. */
int vm_create_engine(struct vm *vm, struct error *err) MUST_CHECK;

/* ----- vm_gdb.c: --gdb ----- */

int vm_create_gdb(struct vm *vm, struct error *err) MUST_CHECK;
void vm_destroy_gdb(struct vm *vm);
/* A vCPU came out of the engine for the debugger.  Its thread. */
void vm_debug_stopped(struct vm *vm);

/* ----- vm_devices.c: the devices of --disk, --net, --rng, --hvc, --gpu and --display ----- */

int vm_create_display(struct vm *vm, struct error *err) MUST_CHECK;
int vm_create_disks(struct vm *vm, struct error *err) MUST_CHECK;
int vm_create_net(struct vm *vm, struct error *err) MUST_CHECK;
int vm_create_rng(struct vm *vm, struct error *err) MUST_CHECK;
int vm_create_hvc(struct vm *vm, struct error *err) MUST_CHECK;
int vm_create_gpu(struct vm *vm, struct error *err) MUST_CHECK;

/* ----- vm_passthrough.c: --passthrough, --hotplug-slots.  Control loop ----- */

int vm_create_passthrough(struct vm *vm, struct error *err) MUST_CHECK;
/* Holes in guest memory where the host's IOMMU keeps addresses for itself, if a device of the host is there or may come.
 * Before gmem_seal(). */
int vm_keep_holes(struct vm *vm, struct error *err) MUST_CHECK;
/* What `oriel ctl` asks for; each is answered, now or later. */
void vm_request_attach(struct vm *vm, struct control_request *request, const json_t *body);
void vm_request_detach(struct vm *vm, struct control_request *request, const json_t *body);
/* An array: what is in each slot. */
json_t *vm_slots_status(struct vm *vm);
/* What is left of devices that were detached.  Before the PCI host goes. */
void vm_free_detached(struct vm *vm);

/* ----- vm_control.c: the control socket.  Control loop ----- */

int vm_create_control(struct vm *vm, struct error *err) MUST_CHECK;
/* Before the device loop goes. */
void vm_destroy_control(struct vm *vm);

/* ----- vm_stats.c ----- */

/* Counters of the GPU as JSON. */
json_t *vm_stats_of_gpu(const struct virtio_gpu_stats *stats);

#endif
