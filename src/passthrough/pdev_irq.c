/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pdev_irq.c - interrupts of a foreign device
 *
 * How it works: one eventfd for each vector, whichever kind is in use, is attached to the PCI
 * device.  An interrupt controller in the kernel takes its signals itself (pci/bell.c); where there
 * is none, and while the guest masks the vector, the service thread passes them on.  A device is
 * told of one kind at a time, the old one off before the new one on, since servers keep one set of
 * eventfds for all kinds.  INTx: the line stays up until the guest ends the interrupt, which is
 * passed on (the kernel's VFIO listens to the eventfd for that itself), and the device signals
 * again if it still wants service. Threads: signals on the service thread; the kind changes with
 * the PCI host's lock held.
 */
#include "base/os.h"
#include "passthrough/pdev_priv.h"

#include "base/log.h"
#include "base/own.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static unsigned irqs_of(const struct pdev *pdev, enum pdev_irq_mode mode)
{
	switch (mode) {
	case PDEV_IRQ_MSIX: return pdev->irqs.msix_count;
	case PDEV_IRQ_MSI: return pdev->irqs.msi_count;
	case PDEV_IRQ_INTX: return 1;
	case PDEV_IRQ_OFF: break;
	}
	return 0;
}

static void on_signal(void *opaque, uint32_t events)
{
	struct pdev_vector *vector = opaque;
	struct pdev *pdev = vector->pdev;
	struct pdev_irqs *irqs = &pdev->irqs;
	enum pdev_irq_mode mode = atomic_load(&irqs->mode);
	enum pci_taken taken = PCI_TAKEN_BY_NOBODY;
	if (vector->index < irqs_of(pdev, mode) && !atomic_load(&pdev->gone)) {
		taken = pci_device_take_bell(pdev->pci, (enum pci_irq_kind)mode, vector->index);
	}
	if (taken == PCI_TAKEN) {
		atomic_fetch_add(&irqs->passed, 1);
	}
	/* The kind is being changed: a signal of the new one is looked at again. */
	if (taken == PCI_TAKEN_BY_NOBODY && os_bell_clear(vector->eventfd) &&
	    !atomic_load(&pdev->gone) && vector->index < irqs_of(pdev, atomic_load(&irqs->mode))) {
		os_bell_ring(vector->eventfd);
	}
}

static void on_ended(void *opaque, uint32_t events)
{
	struct pdev *pdev = opaque;
	if (os_bell_clear(pdev->irqs.ended) && atomic_load(&pdev->irqs.mode) == PDEV_IRQ_INTX &&
	    !atomic_load(&pdev->gone)) {
		(void)!backend_unmask_intx(pdev->backend); /* a lost backend is told elsewhere */
	}
}

void pdev_irqs_ended(struct pdev *pdev)
{
	os_bell_ring(pdev->irqs.ended);
}

static void add_sources(void *opaque)
{
	struct pdev *pdev = opaque;
	struct pdev_irqs *irqs = &pdev->irqs;
	for (unsigned i = 0; i < irqs->vector_count; i++) {
		struct pdev_vector *v = &irqs->vectors[i];
		v->source = loop_add_fd(pdev->loop, v->eventfd, LOOP_IN, on_signal, v);
		if (!v->source) {
			log_error("%s: interrupt %u can not be watched", pdev->name, i);
		}
	}
	if (!backend_unmasks_by_eventfd(pdev->backend)) {
		irqs->ended_source = loop_add_fd(pdev->loop, irqs->ended, LOOP_IN, on_ended, pdev);
	}
}

int pdev_irqs_init(struct pdev *pdev, unsigned msi_count, unsigned msix_count, struct error *err)
{
	struct pdev_irqs *irqs = &pdev->irqs;
	unsigned count = msi_count > msix_count ? msi_count : msix_count;
	count = count ? count : 1;
	irqs->msi_count = msi_count;
	irqs->msix_count = msix_count;
	irqs->vectors = calloc(count, sizeof(irqs->vectors[0]));
	irqs->ended = os_bell();
	if (!irqs->vectors || irqs->ended < 0) {
		return error_errno(err, "%s: interrupts", pdev->name);
	}
	for (; irqs->vector_count < count; irqs->vector_count++) {
		struct pdev_vector *v = &irqs->vectors[irqs->vector_count];
		*v = (struct pdev_vector){.pdev = pdev, .index = irqs->vector_count};
		v->eventfd = os_bell();
		if (v->eventfd < 0) {
			return error_errno(err, "%s: interrupt %u of %u (ulimit -n?)", pdev->name,
					   v->index, count);
		}
	}
	int status = loop_post(pdev->loop, add_sources, pdev);
	return status < 0 ? error_set(err, status, "%s: out of memory", pdev->name) : 0;
}

/* The service thread has ended. */
void pdev_irqs_finish(struct pdev *pdev)
{
	struct pdev_irqs *irqs = &pdev->irqs;
	loop_remove(irqs->ended_source);
	for (unsigned i = 0; i < irqs->vector_count; i++) {
		loop_remove(irqs->vectors[i].source);
		own_close(&irqs->vectors[i].eventfd);
	}
	own_close(&irqs->ended);
	free(irqs->vectors);
	irqs->vectors = NULL;
	irqs->vector_count = 0;
	irqs->ended_source = NULL;
}

static void attach_all(struct pdev *pdev, enum pdev_irq_mode mode, bool on)
{
	for (unsigned i = 0; i < irqs_of(pdev, mode); i++) {
		pci_device_attach_bell(pdev->pci, (enum pci_irq_kind)mode, i,
				       on ? pdev->irqs.vectors[i].eventfd : -1, pdev->irqs.ended);
	}
}

static void irqs_on(struct pdev *pdev, enum pdev_irq_mode mode)
{
	int fds[PCI_MSIX_MAX_VECTORS];
	unsigned count = irqs_of(pdev, mode);
	for (unsigned i = 0; i < count; i++) {
		fds[i] = pdev->irqs.vectors[i].eventfd;
	}
	atomic_store(&pdev->irqs.mode, mode); /* before the first signal */
	attach_all(pdev, mode, true);
	int status = backend_set_irqs(pdev->backend, (unsigned)mode, fds, count);
	if (status == 0 && mode == PDEV_IRQ_INTX && backend_unmasks_by_eventfd(pdev->backend)) {
		status = backend_unmask_intx_by(pdev->backend, pdev->irqs.ended);
	}
	if (status < 0 && !atomic_load(&pdev->gone)) {
		log_limited(LOG_ERROR, "%s: %u interrupts can not be turned on: %s", pdev->name,
			    count, strerror(-status));
	}
}

void pdev_irqs_off(struct pdev *pdev)
{
	enum pdev_irq_mode mode = atomic_exchange(&pdev->irqs.mode, PDEV_IRQ_OFF);
	attach_all(pdev, mode, false);
	if (mode != PDEV_IRQ_OFF && !atomic_load(&pdev->gone)) {
		(void)!backend_set_irqs(pdev->backend, (unsigned)mode, NULL, 0);
	}
}

void pdev_irqs_update(struct pdev *pdev)
{
	enum pdev_irq_mode wanted = pci_device_msix_enabled(pdev->pci)	? PDEV_IRQ_MSIX
				    : pci_device_msi_enabled(pdev->pci) ? PDEV_IRQ_MSI
				    : pdev->config.has_intx		? PDEV_IRQ_INTX
									: PDEV_IRQ_OFF;
	if (wanted != atomic_load(&pdev->irqs.mode)) {
		pdev_irqs_off(pdev);
		if (wanted != PDEV_IRQ_OFF) {
			irqs_on(pdev, wanted);
		}
	}
}
