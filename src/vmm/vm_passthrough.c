/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_passthrough.c - root ports, and the foreign devices behind them
 *
 * Threads: set-up.
 */
#include "base/log.h"
#include "vmm/vm_priv.h"

#include <errno.h>
#include <stdio.h>

/* Service thread of the device. */
static void on_gone(void *opaque, const char *name, const char *why)
{
	log_error("%s: %s; the guest sees a device that reads as ones", name, why);
}

static void on_eject(void *opaque)
{
}

static int plug(struct vm *vm, struct vm_slot *slot, const struct config_passthrough *device,
		struct error *err)
{
	const struct pdev_options options = {
		.kind = device->vfio_user ? PDEV_VFIO_USER : PDEV_VFIO,
		.address = device->address,
		.trapped_bars = device->trapped_bars,
		.rom_file = device->rom_file,
		.no_rom = device->no_rom,
		.resets = device->resets,
	};
	const struct pdev_parts parts = {
		.host = vm->pci,
		.port = slot->port,
		.gmem = vm->gmem,
		.on_gone = on_gone,
		.opaque = vm,
	};
	slot->device = pdev_create(&options, &parts, err);
	if (!slot->device) {
		return -ENODEV;
	}
	pci_port_announce(slot->port);
	return 0;
}

int vm_create_passthrough(struct vm *vm, struct error *err)
{
	static const struct pci_port_ops ops = {on_eject};
	const struct vm_config *config = vm->config;
	vm->slot_count = config->passthrough_count + config->hotplug_slots;
	for (size_t i = 0; i < vm->slot_count; i++) {
		struct vm_slot *slot = &vm->slots[i];
		char name[32];
		snprintf(name, sizeof(name), "port%zu", i);
		slot->port = pci_port_create(vm->pci, name, &ops, slot, err);
		if (!slot->port) {
			return -ENOSPC;
		}
		int status = i < config->passthrough_count
				     ? plug(vm, slot, &config->passthrough[i], err)
				     : 0;
		if (status < 0) {
			return status;
		}
	}
	return 0;
}
