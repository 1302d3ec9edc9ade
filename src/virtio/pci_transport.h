/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pci_transport.h - virtio over PCI, modern only (virtio 1.2, 4.1)
 *
 * BAR 0 (64-bit, 16 KiB): common configuration, ISR, device configuration, notifications; BAR 2 (64-bit): shared memory
 * region if the device has one; BAR 4 (32-bit): MSI-X.
 * Threads: see pci.h and device.h.
 */
#ifndef ORIEL_VIRTIO_PCI_TRANSPORT_H
#define ORIEL_VIRTIO_PCI_TRANSPORT_H

#include "base/error.h"
#include "pci/pci.h"
#include "virtio/device.h"

/*
 * Put @device on the bus at @slot (or PCI_SLOT_ANY).  Takes the device, also on failure: it is destroyed with the host,
 * or at once.  A warning tells if there were too few MSI-X vectors for one per queue.
 */
int virtio_pci_attach(struct pci_host *host, unsigned slot, struct virtio_device *device,
		      struct error *err) MUST_CHECK;

#endif
