/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msi.c - MSI: up to 32 messages from one address and data (PCI 3.0, 6.8.1)
 *
 * How it works: the capability's registers are ordinary configuration bytes; each write to them is
 * copied into struct pci_msi, so that raising a vector never takes the host's lock. Threads:
 * raising from any; the rest with host->lock held.  msi->lock after it.
 */
#include "pci/pci_priv.h"

#include "base/own.h"

#include <errno.h>
#include <string.h>

enum {
	MSI_ENABLE = 0x0001,
	MSI_WIDE = 0x0080,
	MSI_MASKABLE = 0x0100,
	MSI_CAPABLE_SHIFT = 1,
	MSI_ENABLED_SHIFT = 4,
};

static unsigned pci_msi_data_offset(const struct pci_msi *msi)
{
	return msi->capability + (msi->wide ? 12 : 8);
}

/* Offset of the mask word; the pending word is 4 further. */
static unsigned pci_msi_mask_offset(const struct pci_msi *msi)
{
	return msi->capability + (msi->wide ? 16 : 12);
}

static struct pci_message pci_msi_message(const struct pci_device *device, unsigned vector)
{
	const struct pci_msi *msi = &device->msi;
	return (struct pci_message){.open = atomic_load(&msi->enabled) && vector < msi->vectors &&
					    !(msi->masked >> vector & 1),
				    .address = msi->address,
				    .data = (msi->data & ~(uint32_t)(msi->vectors - 1)) | vector};
}

static void pci_msi_raise_locked(struct pci_device *device, unsigned vector)
{
	struct pci_msi *msi = &device->msi;
	if (!atomic_load(&msi->enabled) || vector >= msi->vectors) {
		return;
	}
	if (msi->masked >> vector & 1) {
		msi->pending |= UINT32_C(1) << vector;
	} else {
		pci_message_send(device, pci_msi_message(device, vector));
	}
}

void pci_device_raise_msi(struct pci_device *device, unsigned vector)
{
	LOCKED(&device->msi.lock);
	pci_msi_raise_locked(device, vector);
}

static void pci_msi_route_locked(struct pci_device *device)
{
	pci_bells_route(device, device->msi.bells, device->msi.count, pci_msi_message);
}

void pci_msi_attach(struct pci_device *device, unsigned vector, int fd)
{
	LOCKED(&device->msi.lock);
	pci_bell_attach(device, &device->msi.bells[vector], fd);
	pci_msi_route_locked(device);
}

enum pci_taken pci_msi_take(struct pci_device *device, unsigned vector)
{
	LOCKED(&device->msi.lock);
	enum pci_taken taken = pci_bell_take(&device->msi.bells[vector]);
	if (taken == PCI_TAKEN) {
		pci_msi_raise_locked(device, vector);
	}
	return taken;
}

bool pci_device_msi_enabled(struct pci_device *device)
{
	return atomic_load(&device->msi.enabled);
}

static void pci_msi_flush_locked(struct pci_device *device)
{
	struct pci_msi *msi = &device->msi;
	for (unsigned i = 0; atomic_load(&msi->enabled) && i < msi->vectors; i++) {
		uint32_t bit = UINT32_C(1) << i;
		if (msi->pending & ~msi->masked & bit) {
			msi->pending &= ~bit;
			pci_message_send(device, pci_msi_message(device, i));
		}
	}
}

void pci_msi_update(struct pci_device *device)
{
	struct pci_msi *msi = &device->msi;
	const uint8_t *capability = device->config + msi->capability;
	uint16_t control = pci_load16(capability + 2);
	unsigned vectors = 1u << (control >> MSI_ENABLED_SHIFT & 7);
	LOCKED(&msi->lock);
	atomic_store(&msi->enabled, (control & MSI_ENABLE) != 0);
	msi->vectors = vectors < msi->count ? vectors : msi->count;
	msi->address = pci_load32(capability + 4) |
		       (msi->wide ? (uint64_t)pci_load32(capability + 8) << 32 : 0);
	msi->data = pci_load16(device->config + pci_msi_data_offset(msi));
	msi->masked = msi->maskable ? pci_load32(device->config + pci_msi_mask_offset(msi)) : 0;
	if (!atomic_load(&msi->enabled)) {
		msi->pending = 0;
	}
	pci_msi_route_locked(device);
	pci_msi_flush_locked(device);
}

void pci_msi_show_pending(struct pci_device *device)
{
	struct pci_msi *msi = &device->msi;
	LOCKED(&msi->lock);
	if (msi->maskable) {
		pci_store32(device->config + pci_msi_mask_offset(msi) + 4, msi->pending);
	}
}

void pci_msi_reset(struct pci_device *device)
{
	if (device->msi.count) {
		pci_msi_update(device);
	}
}

int pci_device_adopt_msi(struct pci_device *device, unsigned capability, struct error *err)
{
	struct pci_msi *msi = &device->msi;
	uint8_t *space = device->config + capability, *mask = device->mask + capability;
	uint16_t control = pci_load16(space + 2);
	unsigned shift = control >> MSI_CAPABLE_SHIFT & 7;
	while (shift > 5 || (shift && 1u << shift > pci_host_vectors_left(device->host))) {
		shift--;
	}
	if (!pci_host_vectors_left(device->host)) {
		return 0;
	}
	msi->count = 1u << shift;
	for (unsigned i = 0; i < PCI_MSI_MAX_VECTORS; i++) {
		msi->bells[i].fd = -1;
	}
	msi->capability = capability;
	msi->wide = control & MSI_WIDE;
	msi->maskable = control & MSI_MASKABLE;
	device->host->vectors_used += msi->count;
	unsigned len = (msi->wide ? 14 : 10) + (msi->maskable ? 10 : 0);
	memset(mask + 2, 0, len - 2);
	memset(space + 4, 0, len - 4);
	pci_store16(space + 2,
		    (uint16_t)((control & (MSI_WIDE | MSI_MASKABLE)) | shift << MSI_CAPABLE_SHIFT));
	pci_store16(mask + 2, MSI_ENABLE | 7 << MSI_ENABLED_SHIFT);
	pci_store32(mask + 4, ~UINT32_C(3));
	if (msi->wide) {
		pci_store32(mask + 8, UINT32_MAX);
	}
	pci_store16(device->mask + pci_msi_data_offset(msi), UINT16_MAX);
	if (msi->maskable) {
		pci_store32(device->mask + pci_msi_mask_offset(msi), UINT32_MAX);
	}
	return (int)msi->count;
}

int pci_msi_add(struct pci_device *device)
{
	uint8_t body[12] = {MSI_WIDE};
	int at = pci_device_add_capability(device, PCI_CAPABILITY_MSI, body, sizeof(body), NULL);
	if (at < 0) {
		return at;
	}
	return pci_device_adopt_msi(device, (unsigned)at, NULL) > 0 ? 0 : -ENOSPC;
}
