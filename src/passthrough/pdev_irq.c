/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pdev_irq.c - interrupts of a foreign device
 *
 * How it works: one eventfd for each vector, whichever kind is in use; the service thread turns
 * signals into what the guest has enabled.  A device is told of one kind at a time, the old one off
 * before the new one on, since servers keep one set of eventfds for all kinds.  INTx: the line
 * stays up until the guest ends the interrupt (src/pci lowers it then), which is passed on, and the
 * device signals again if it still wants service.
 * Threads: signals on the service thread; the kind changes with the PCI host's lock held.
 */
#include "base/os.h"
#include "passthrough/pdev_priv.h"

#include "base/log.h"
#include "base/own.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void on_signal(void *opaque, uint32_t events)
{
	struct pdev_vector *vector = opaque;
	struct pdev *pdev = vector->pdev;
	if (!os_bell_clear(vector->eventfd) || atomic_load(&pdev->gone)) {
		return;
	}
	switch (atomic_load(&pdev->irqs.mode)) {
	case PDEV_IRQ_MSIX: pci_device_raise_msix(pdev->pci, vector->index); break;
	case PDEV_IRQ_MSI: pci_device_raise_msi(pdev->pci, vector->index); break;
	case PDEV_IRQ_INTX: pci_device_set_intx(pdev->pci, true); break;
	case PDEV_IRQ_OFF: break;
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
	irqs->ended_source = loop_add_fd(pdev->loop, irqs->ended, LOOP_IN, on_ended, pdev);
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

static unsigned irqs_of(const struct pdev *pdev, enum pdev_irq_mode mode)
{
	return mode == PDEV_IRQ_MSIX  ? pdev->irqs.msix_count
	       : mode == PDEV_IRQ_MSI ? pdev->irqs.msi_count
				      : 1;
}

static void irqs_on(struct pdev *pdev, enum pdev_irq_mode mode)
{
	int fds[PCI_MSIX_MAX_VECTORS];
	unsigned count = irqs_of(pdev, mode);
	for (unsigned i = 0; i < count; i++) {
		fds[i] = pdev->irqs.vectors[i].eventfd;
	}
	atomic_store(&pdev->irqs.mode, mode); /* before the first signal */
	int status = backend_set_irqs(pdev->backend, (unsigned)mode, fds, count);
	if (status < 0 && !atomic_load(&pdev->gone)) {
		log_limited(LOG_ERROR, "%s: %u interrupts can not be turned on: %s", pdev->name,
			    count, strerror(-status));
	}
}

void pdev_irqs_off(struct pdev *pdev)
{
	enum pdev_irq_mode mode = atomic_exchange(&pdev->irqs.mode, PDEV_IRQ_OFF);
	if (mode != PDEV_IRQ_OFF && !atomic_load(&pdev->gone)) {
		(void)!backend_set_irqs(pdev->backend, (unsigned)mode, NULL, 0);
	}
	pci_device_set_intx(pdev->pci, false);
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
