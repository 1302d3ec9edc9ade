/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direct.c - registers and BARs of a device for somebody who serves it elsewhere, without a bus in
 * between
 *
 * Threads: any; see pci_priv.h.
 */
#include "pci/pci_priv.h"

#include "base/own.h"

#include <assert.h>

struct pci_device *pci_host_device(struct pci_host *host, unsigned slot)
{
	assert(slot < PCI_SLOT_COUNT);
	return host->devices[slot];
}

uint32_t pci_device_config_read(struct pci_device *device, unsigned offset, unsigned size)
{
	LOCKED(&device->host->lock);
	return pci_config_read_locked(device, offset, size);
}

void pci_device_config_write(struct pci_device *device, unsigned offset, unsigned size,
			     uint32_t value)
{
	LOCKED(&device->host->lock);
	pci_config_write_locked(device, offset, size, value);
}

uint64_t pci_device_bar_len(const struct pci_device *device, unsigned index)
{
	return device->bars[index].ops ? device->bars[index].len : 0;
}

uint64_t pci_device_bar_read(struct pci_device *device, unsigned index, uint64_t offset,
			     unsigned size)
{
	const struct pci_bar *bar = &device->bars[index];
	assert(bar->ops && offset + size <= bar->len);
	return bar->ops->read(bar->opaque, offset, size);
}

void pci_device_bar_write(struct pci_device *device, unsigned index, uint64_t offset, unsigned size,
			  uint64_t value)
{
	const struct pci_bar *bar = &device->bars[index];
	assert(bar->ops && offset + size <= bar->len);
	bar->ops->write(bar->opaque, offset, size, value);
}
