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

#include "base/os.h"
#include "base/own.h"

static bool pci_intx_is_pending_locked(const struct pci_device *device)
{
	return device->intx_level && !atomic_load(&device->msix.enabled) && !atomic_load(&device->msi.enabled);
}

/* The bell goes to the irq chip while the guest listens.  What may have been raised the other way is signalled anew. */
static void pci_intx_route_locked(struct pci_device *device)
{
	struct irq_chip *irq = device->host->config.irq;
	struct pci_bell *bell = &device->intx_bell;
	unsigned line = device->host->config.intx_lines[device->slot % 4];
	bool open = bell->fd >= 0 && irq->ops->bind_line && !atomic_load(&device->msix.enabled) &&
		    !atomic_load(&device->msi.enabled) && !atomic_load(&device->intx_off);
	if (open == bell->direct || (open && irq->ops->bind_line(irq, line, bell->fd, device->intx_ended) < 0)) {
		return;
	}
	if (!open) {
		irq->ops->unbind_line(irq, line, bell->fd);
	}
	if (!open || device->intx_level) {
		os_bell_ring(device->intx_ended);
	}
	bell->direct = open;
	device->intx_level = false;
}

static void pci_intx_update_locked(struct pci_device *device)
{
	struct pci_host *host = device->host;
	pci_intx_route_locked(device);
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

void pci_intx_attach(struct pci_device *device, int fd, int ended)
{
	LOCKED(&device->host->intx_lock);
	if (device->intx_bell.direct) {
		struct irq_chip *irq = device->host->config.irq;
		irq->ops->unbind_line(irq, device->host->config.intx_lines[device->slot % 4], device->intx_bell.fd);
	}
	device->intx_bell = (struct pci_bell){.fd = fd};
	device->intx_ended = ended;
	device->intx_level = false;
	pci_intx_update_locked(device);
}

enum pci_taken pci_intx_take(struct pci_device *device)
{
	LOCKED(&device->host->intx_lock);
	enum pci_taken taken = pci_bell_take(&device->intx_bell);
	if (taken == PCI_TAKEN) {
		device->intx_level = true;
		pci_intx_update_locked(device);
	}
	return taken;
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
