/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm.c - one VM: assembled from its configuration, run to its end
 *
 * How it works: vm_create() is one list of steps, in order; vm_destroy() is its mirror.  See vm_priv.h for the threads.
 * Threads: the caller's.
 */
#include "base/log.h"
#include "base/os.h"
#include "base/own.h"
#include "vmm/vm_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MIB UINT64_C(0x100000)
#define NS_PER_S UINT64_C(1000000000)

/* ----- steps of assembly ----- */

/* Bytes of memory that the host can still give, or 0 if it does not say. */
static uint64_t host_memory_available(void)
{
	char line[128];
	uint64_t kib = 0;
	FILE *file = fopen("/proc/meminfo", "re");
	while (file && !kib && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) != 1) {
			kib = 0;
		}
	}
	if (file) {
		fclose(file);
	}
	return kib * 1024;
}

static int step_memory(struct vm *vm, struct error *err)
{
	uint64_t wanted = vm->config->memory_bytes, available = host_memory_available();
	if (available && wanted > available) {
		return error_set(err, -ENOMEM,
				 "the guest is to have %" PRIu64 " MiB of memory, but this host has only %" PRIu64
				 " MiB available (--memory)",
				 wanted / MIB, available / MIB);
	}
	vm->gmem = gmem_create();
	if (!vm->gmem) {
		return error_set(err, -ENOMEM, "guest memory: out of memory");
	}
	int rc = gmem_add_ram(vm->gmem, BOARD_RAM_BASE, wanted, err);
	rc = rc < 0 ? rc : vm_keep_holes(vm, err);
	if (rc == 0) {
		gmem_seal(vm->gmem);
	}
	return rc;
}

int vm_load(struct vm *vm, struct error *err)
{
	const struct vm_config *config = vm->config;
	struct loader_plan plan;
	struct kernel kernel;
	uint64_t initrd_len = 0;
	struct devicetree_config tree = {
		.vcpus = config->cpus,
		.ram_bytes = config->memory_bytes,
		.bootargs = config->append,
		.pci = true,
		.pci_memory64_len = vm->pci ? pci_host_memory64(vm->pci) : 0,
	};
	if (os_random(tree.rng_seed, sizeof(tree.rng_seed), true) < 0 ||
	    os_random(tree.kaslr_seed, sizeof(tree.kaslr_seed), true) < 0) {
		return error_errno(err, "random numbers");
	}
	int rc = kernel_load(&kernel, config->kernel, config->memory_bytes, err);
	if (rc < 0) {
		return rc;
	}
	if (config->initrd) {
		rc = loader_check_initrd(config->initrd, &initrd_len, err);
	}
	if (rc == 0) {
		rc = loader_plan(&plan, &kernel, initrd_len, config->memory_bytes, err);
	}
	if (rc == 0) {
		rc = loader_place(&plan, vm->gmem, &kernel, config->initrd, &tree, err);
	}
	if (rc == 0) {
		vm_cpus_set_boot(vm, plan.entry, plan.fdt);
	}
	kernel_free(&kernel);
	return rc;
}

static int step_loops(struct vm *vm, struct error *err)
{
	vm->control = loop_create(err);
	vm->device_loop = vm->control ? loop_create(err) : NULL;
	if (!vm->device_loop) {
		return -ENOMEM;
	}
	return broker_watch(vm->broker, vm->device_loop, err);
}

static void on_quit(void *opaque)
{
	vm_finish_with(opaque, VM_QUIT);
}

static void on_spoke(void *opaque)
{
	atomic_store(&((struct vm *)opaque)->spoke, true);
}

static int step_console(struct vm *vm, struct error *err)
{
	static const struct console_events events = {on_quit, on_spoke};
	vm->console = console_create(vm->config->hvc ? vm->device_loop : vm->control, vm->config, &events, vm, err);
	return vm->console ? 0 : -EINVAL;
}

static void on_doorbell(void *opaque, uint64_t gpa, int fd, bool on)
{
	engine_doorbell(((struct vm *)opaque)->engine, gpa, fd, on);
}

static void on_device_memory(void *opaque, uint64_t gpa, uint64_t len, void *hva, bool on)
{
	engine_device_memory(((struct vm *)opaque)->engine, gpa, len, hva, on);
}

static int step_board(struct vm *vm, struct error *err)
{
	vm->bus = bus_create();
	if (!vm->bus) {
		return error_set(err, -ENOMEM, "bus: out of memory");
	}
	bus_set_doorbells(vm->bus, on_doorbell, vm);
	bus_set_memory(vm->bus, on_device_memory, vm);
	const struct board_config config = {
		.vcpus = vm->config->cpus,
		.bus = vm->bus,
		.loop = vm->control,
		.irq_chip = vm->irq_chip,
		.cpu_ops = &vm_gic_cpu_ops,
		.cpu_opaque = vm,
		.serial = &console_backend,
		.serial_opaque = vm->console,
	};
	int rc = board_init(&vm->board, &config, err);
	if (rc == 0) {
		console_attach(vm->console, vm->board.uart);
	}
	return rc;
}

static int step_pci(struct vm *vm, struct error *err)
{
	const struct pci_host_config config = {
		.bus = vm->bus,
		.irq = vm->board.irq_chip,
		.ecam = {BOARD_PCI_ECAM, BOARD_PCI_ECAM_LEN},
		.memory32 = {BOARD_PCI_MEM32, BOARD_PCI_MEM32_LEN},
		.memory64 = {BOARD_PCI_MEM64, BOARD_PCI_MEM64_LEN},
		.intx_lines = {BOARD_SPI_PCI_INTX, BOARD_SPI_PCI_INTX + 1, BOARD_SPI_PCI_INTX + 2,
			       BOARD_SPI_PCI_INTX + 3},
		.msi_vector_budget = BOARD_MSI_COUNT,
	};
	vm->pci = pci_host_create(&config, err);
	return vm->pci ? 0 : -EINVAL;
}

static void on_boot_timeout(void *opaque)
{
	struct vm *vm = opaque;
	if (!atomic_load(&vm->spoke)) {
		vm_finish_with(vm, VM_BOOT_TIMEOUT);
	}
}

static int step_timers(struct vm *vm, struct error *err)
{
	vm->boot_timer = loop_add_timer(vm->control, on_boot_timeout, vm);
	return vm->boot_timer ? 0 : error_set(err, -ENOMEM, "boot timer: out of memory");
}

/* The machine, from the inside out.  What can be wrong with the user's files is found as early as possible. */
static int vm_assemble(struct vm *vm, struct error *err)
{
	static int (*const steps[])(struct vm *vm, struct error *err) = {
		step_memory, vm_load,	      step_loops,      step_console,  vm_create_engine,
		step_board,  step_pci,	      vm_create_disks, vm_create_rng, vm_create_hvc,
		vm_create_display, vm_create_gpu, vm_create_net, vm_create_passthrough,
		vm_create_control, vm_create_gdb, step_timers,
	};
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int rc = steps[i](vm, err);
		if (rc < 0) {
			return rc;
		}
	}
	return 0;
}

struct vm *vm_create(const struct vm_config *config, struct broker *broker, struct error *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	if (!vm) {
		error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	vm->config = config;
	vm->broker = broker;
	vm->started_ns = loop_now_ns();
	vm->paused = true;
	const struct psci psci = {&vm_psci_ops, vm, config->cpus, config->psci_version};
	smccc_init(&vm->smccc, &psci, config->cpu == ENGINE_CPU_MAX);
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->changed, NULL);
	if (vm_assemble(vm, err) < 0) {
		vm_destroy(vm);
		return NULL;
	}
	return vm;
}

static void vm_write_screenshot(struct vm *vm)
{
	struct error err = {0};
	int rc = vm->screenshot ? screenshot_write(vm->screenshot, &err) : 0;
	if (rc == -ENODATA) {
		log_warn("display: the guest never showed anything, %s was not written", vm->config->display_file);
	} else if (rc < 0) {
		log_error("%s", err.text);
	}
}

void vm_destroy(struct vm *vm)
{
	if (!vm) {
		return;
	}
	if (vm->started_ns && vm->pci) {
		vm_write_screenshot(vm);
	}
	vm_destroy_gdb(vm);
	vm_destroy_control(vm);
	vm_free_detached(vm);
	pci_host_destroy(vm->pci);
	vfio_host_destroy(vm->vfio);
	screenshot_destroy(vm->screenshot);
	display_destroy(vm->display);
	console_destroy(vm->console);
	board_finish(&vm->board);
	engine_destroy(vm->engine);
	bus_destroy(vm->bus);
	broker_unwatch(vm->broker);
	loop_destroy(vm->device_loop);
	loop_destroy(vm->control);
	gmem_destroy(vm->gmem);
	smccc_finish(&vm->smccc);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

/* ----- life ----- */

static void *vm_device_main(void *opaque)
{
	struct vm *vm = opaque;
	loop_run(vm->device_loop);
	return NULL;
}

static int vm_start_threads(struct vm *vm, struct error *err)
{
	int rc = pthread_create(&vm->device_thread, NULL, vm_device_main, vm);
	if (rc != 0) {
		return error_set(err, -rc, "can not start a thread: %s", strerror(rc));
	}
	os_name_thread(vm->device_thread, "devices");
	vm->has_device_thread = true;
	return vm_cpus_start(vm, err);
}

static void vm_stop_threads(struct vm *vm)
{
	vm_cpus_finish(vm);
	if (vm->has_device_thread) {
		loop_stop(vm->device_loop);
		pthread_join(vm->device_thread, NULL);
		vm->has_device_thread = false;
	}
}

/* System reset: devices as after power-on, kernel loaded anew. */
static int vm_reboot(struct vm *vm, struct error *err)
{
	log_info("the guest resets");
	atomic_fetch_add(&vm->resets, 1);
	pci_host_reset(vm->pci);
	board_reset(&vm->board);
	engine_gic_reset(vm->engine);
	return vm_load(vm, err);
}

static enum vm_end vm_take_end(struct vm *vm)
{
	LOCKED(&vm->lock);
	enum vm_end end = vm->end;
	vm->has_end = vm->has_end && end != VM_RESET; /* every other one is for good */
	return end;
}

static bool vm_is_ending(struct vm *vm)
{
	LOCKED(&vm->lock);
	return vm->has_end;
}

/* Where each vCPU stood, for people who look for the reason of a hang. */
static void vm_log_registers(struct vm *vm)
{
	for (unsigned i = 0; i < vm->config->cpus; i++) {
		uint64_t x[31], sp, pc, pstate;
		engine_vcpu_registers(vm->cpu[i].vcpu, x, &sp, &pc, &pstate);
		log_info("vcpu%u: pc %#" PRIx64 " sp %#" PRIx64 " pstate %#" PRIx64 " x0 %#" PRIx64 " x30 %#" PRIx64,
			 i, pc, sp, pstate, x[0], x[30]);
	}
}

/* The control loop until the VM ends for good. */
static enum vm_end vm_control(struct vm *vm)
{
	struct error err = {0};
	if (vm->config->boot_timeout_s && !vm->config->gdb) {
		loop_timer_set(vm->boot_timer, loop_now_ns() + vm->config->boot_timeout_s * NS_PER_S);
	}
	vm_cpus_resume(vm);
	for (;;) {
		while (!vm_is_ending(vm)) {
			loop_run(vm->control);
		}
		vm_cpus_pause(vm);
		enum vm_end end = vm_take_end(vm);
		if (end != VM_RESET || !vm->config->reboot) {
			return end;
		}
		if (vm_reboot(vm, &err) < 0) {
			log_error("%s", err.text);
			return VM_FAILED;
		}
		vm_cpus_resume(vm);
	}
}

enum vm_end vm_run(struct vm *vm)
{
	struct error err = {0};
	enum vm_end end = VM_FAILED;
	if (vm_start_threads(vm, &err) == 0) {
		end = vm_control(vm);
	} else {
		log_error("%s", err.text);
	}
	vm_stop_threads(vm);
	if (end != VM_POWERED_OFF) {
		vm_log_registers(vm);
	}
	return end;
}

void vm_stop(struct vm *vm)
{
	vm_finish_with(vm, VM_STOPPED);
}
