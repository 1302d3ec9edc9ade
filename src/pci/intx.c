/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intx.c - wired PCI interrupts: four lines shared by all slots
 *
 * How it works: INTA of slot n drives line n % 4 of the bridge (the usual swizzle, which the device tree's
 * interrupt-map repeats).  A line is high while any of its slots asserts it.
 * Threads: any.
 */
#include "pci/pci_priv.h"

#include "base/own.h"

static bool pci_intx_is_pending_locked(const struct pci_device *device)
{
	return device->intx_level && !atomic_load(&device->msix.enabled);
}

static void pci_intx_update_locked(struct pci_device *device)
{
	struct pci_host *host = device->host;
	unsigned pin = device->slot % 4;
	uint32_t bit = UINT32_C(1) << device->slot, before = host->intx_slots[pin];
	bool asserted = pci_intx_is_pending_locked(device) && !atomic_load(&device->intx_off);
	host->intx_slots[pin] = asserted ? before | bit : before & ~bit;
	if (!before != !host->intx_slots[pin]) {
		struct irq_line line = {host->config.irq, host->config.intx_lines[pin]};
		irq_line_set(&line, host->intx_slots[pin] != 0);
	}
}

void pci_intx_update(struct pci_device *device)
{
	LOCKED(&device->host->intx_lock);
	pci_intx_update_locked(device);
}

bool pci_intx_is_pending(struct pci_device *device)
{
	LOCKED(&device->host->intx_lock);
	return pci_intx_is_pending_locked(device);
}

void pci_device_set_intx(struct pci_device *device, bool level)
{
	LOCKED(&device->host->intx_lock);
	device->intx_level = level;
	pci_intx_update_locked(device);
}
