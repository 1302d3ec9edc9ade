/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bell.c - interrupts that somebody outside of this process signals by an eventfd
 *
 * How it works: each vector of MSI and MSI-X, and INTA, may have a bell.  While a signal has to
 * become an interrupt at once (kind on, not masked), the bell is bound to the irq chip, if that is
 * in a kernel: "direct".  Else its owner finds it readable and hands the signal over here, which
 * raises the interrupt or marks it pending.  Both decide with the lock of the kind held, so that a
 * signal is taken once: what is in a bell that became direct was delivered by binding it. Threads:
 * any; the lock of the kind is held by callers of pci_bell_*().
 */
#include "pci/pci_priv.h"

#include "base/os.h"

static void route(struct pci_device *device, struct pci_bell *bell, struct pci_message message)
{
	struct irq_chip *irq = device->host->config.irq;
	bool open = message.open && bell->fd >= 0;
	if (bell->direct &&
	    (!open || message.address != bell->address || message.data != bell->data)) {
		irq->ops->unbind_msi(irq, bell->fd, bell->data);
		bell->direct = false;
	}
	if (open && !bell->direct && irq->ops->bind_msi) {
		bell->direct =
			irq->ops->bind_msi(irq, bell->fd, message.address, message.data) == 0;
		bell->address = message.address;
		bell->data = message.data;
	}
}

void pci_bells_route(struct pci_device *device, struct pci_bell *bells, unsigned count,
		     pci_message_fn *message_of)
{
	for (unsigned i = 0; i < count; i++) {
		route(device, &bells[i], message_of(device, i));
	}
}

void pci_message_send(struct pci_device *device, struct pci_message message)
{
	struct irq_chip *irq = device->host->config.irq;
	irq->ops->send_msi(irq, message.address, message.data, pci_requester_id(device));
}

void pci_bell_attach(struct pci_device *device, struct pci_bell *bell, int fd)
{
	route(device, bell, (struct pci_message){.open = false});
	bell->fd = fd;
}

enum pci_taken pci_bell_take(const struct pci_bell *bell)
{
	if (bell->fd < 0) {
		return PCI_TAKEN_BY_NOBODY;
	}
	return os_bell_clear(bell->fd) && !bell->direct ? PCI_TAKEN : PCI_TAKEN_BEFORE;
}

void pci_device_attach_bell(struct pci_device *device, enum pci_irq_kind kind, unsigned vector,
			    int fd, int ended)
{
	switch (kind) {
	case PCI_IRQ_INTX: pci_intx_attach(device, fd, ended); break;
	case PCI_IRQ_MSI: pci_msi_attach(device, vector, fd); break;
	case PCI_IRQ_MSIX: pci_msix_attach(device, vector, fd); break;
	}
}

enum pci_taken pci_device_take_bell(struct pci_device *device, enum pci_irq_kind kind,
				    unsigned vector)
{
	switch (kind) {
	case PCI_IRQ_INTX: return pci_intx_take(device);
	case PCI_IRQ_MSI: return pci_msi_take(device, vector);
	case PCI_IRQ_MSIX: return pci_msix_take(device, vector);
	}
	return PCI_TAKEN_BY_NOBODY;
}
