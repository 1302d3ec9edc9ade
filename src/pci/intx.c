/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intx.c - wired PCI interrupts: four lines shared by all slots
 *
 * How it works: INTA of slot n drives line n % 4 of the bridge (the usual swizzle, which the device tree's
 * interrupt-map repeats).  A line is high while any of its slots asserts it.
 * What is behind a port uses the pin that INTA of the port's own slot would.
 * Threads: any.
 */
#include "pci/pci_priv.h"

#include "base/own.h"

static bool pci_intx_is_pending_locked(const struct pci_device *device)
{
	return device->intx_level && !atomic_load(&device->msix.enabled) && !atomic_load(&device->msi.enabled);
}

static void pci_intx_update_locked(struct pci_device *device)
{
	struct pci_host *host = device->host;
	unsigned pin = device->slot % 4;
	uint64_t bit = UINT64_C(1) << pci_node_index(device), before = host->intx_slots[pin];
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

/* Lower the level of all devices on @line that raise it anew themselves, before the guest can take it again. */
static void pci_intx_on_end(void *opaque, unsigned line)
{
	struct pci_host *host = opaque;
	if (!atomic_load(&host->hears_intx_end)) {
		return;
	}
	LOCKED(&host->intx_lock);
	for (unsigned node = 0; node < PCI_NODE_COUNT; node++) {
		struct pci_device *device = pci_node(host, node);
		if (device && host->config.intx_lines[device->slot % 4] == line && device->intx_level &&
		    device->ops->on_intx_end) {
			device->intx_level = false;
			pci_intx_update_locked(device);
			device->ops->on_intx_end(device->opaque);
		}
	}
}

int pci_intx_watch(struct pci_host *host)
{
	struct irq_chip *irq = host->config.irq;
	int ret = 0;
	for (unsigned i = 0; ret == 0 && irq->ops->watch_end && i < 4; i++) {
		ret = irq->ops->watch_end(irq, host->config.intx_lines[i], pci_intx_on_end, host);
	}
	return ret;
}

bool pci_host_tells_intx_end(const struct pci_host *host)
{
	return host->config.irq->ops->watch_end != NULL;
}
