/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_devices.c - makes the PCI devices that the configuration asks for
 * Threads: set-up only.
 */
#include "base/own.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_net.h"
#include "devices/virtio_rng.h"
#include "gpu/virtio_gpu.h"
#include "virtio/pci_transport.h"
#include "vmm/vm_priv.h"

#include <errno.h>
#include <stdio.h>

/* Takes @device, which may be NULL: then @err is filled already. */
static int vm_plug(struct vm *vm, struct virtio_device *device, struct error *err)
{
	return device ? virtio_pci_attach(vm->pci, PCI_SLOT_ANY, device, err) : -EINVAL;
}

int vm_create_display(struct vm *vm, struct error *err)
{
	const struct vm_config *config = vm->config;
	if (config->gpu == CONFIG_GPU_NONE) {
		return 0;
	}
	vm->display = display_create(1, config->display_width, config->display_height);
	if (!vm->display) {
		return error_set(err, -ENOMEM, "display: out of memory");
	}
	if (config->display == CONFIG_DISPLAY_PNG) {
		vm->screenshot = screenshot_create(vm->display, 0, config->display_file, err);
		return vm->screenshot ? 0 : -EINVAL;
	}
	return 0;
}

int vm_create_disks(struct vm *vm, struct error *err)
{
	for (size_t i = 0; i < vm->config->disk_count; i++) {
		char name[32];
		snprintf(name, sizeof(name), "disk%zu", i);
		const struct virtio_blk_config blk = {
			.name = name,
			.path = vm->config->disks[i].path,
			.read_only = vm->config->disks[i].read_only,
		};
		int rc = vm_plug(vm, virtio_blk_create(&blk, vm->gmem, vm->device_loop, err), err);
		if (rc < 0) {
			return rc;
		}
	}
	return 0;
}

int vm_create_net(struct vm *vm, struct error *err)
{
	int pair[2];
	if (vm->config->net == CONFIG_NET_NONE) {
		return 0;
	}
	int rc = virtio_net_cable(pair, err);
	if (rc < 0) {
		return rc;
	}
	AUTO_FD int ours = pair[0];
	AUTO_FD int peers = pair[1];
	rc = broker_start_passt(vm->broker, peers, err);
	if (rc < 0) {
		return rc;
	}
	const struct virtio_net_config net = {
		.name = "net0",
		.mac = {0x02, 'o', 'r', 'i', 'e', 'l'}, /* locally administered */
		.peer = fd_take(&ours),
	};
	return vm_plug(vm, virtio_net_create(&net, vm->gmem, vm->device_loop, err), err);
}

int vm_create_rng(struct vm *vm, struct error *err)
{
	if (!vm->config->rng) {
		return 0;
	}
	return vm_plug(vm, virtio_rng_create("rng0", vm->gmem, vm->device_loop, err), err);
}

int vm_create_hvc(struct vm *vm, struct error *err)
{
	if (!vm->config->hvc) {
		return 0;
	}
	const struct virtio_console_config config = console_hvc_config(vm->console);
	struct virtio_device *hvc = virtio_console_create(&config, vm->gmem, vm->device_loop, err);
	int rc = vm_plug(vm, hvc, err);
	if (rc == 0) {
		console_attach_hvc(vm->console, hvc);
	}
	return rc;
}

int vm_create_gpu(struct vm *vm, struct error *err)
{
	const struct vm_config *config = vm->config;
	if (config->gpu == CONFIG_GPU_NONE) {
		return 0;
	}
	bool shared = config->gpu == CONFIG_GPU_SHARED;
	const struct virtio_gpu_config gpu = {
		.shared = shared,
		.memory_limit = config->gpu_memory_bytes,
	};
	const struct virtio_gpu_parts parts = {
		.loop = vm->device_loop,
		.gmem = vm->gmem,
		.engine = vm->engine,
		.display = vm->display,
		.spawner = shared ? broker_gpu_spawner(vm->broker) : NULL,
	};
	vm->gpu = virtio_gpu_create(&gpu, &parts, err);
	int rc = vm_plug(vm, vm->gpu, err);
	vm->gpu = rc < 0 ? NULL : vm->gpu;
	return rc;
}
