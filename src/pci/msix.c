/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msix.c - MSI-X: the vector table, masking, pending bits (PCI 3.0, 6.8.2)
 *
 * How it works: raising a vector sends its message at once, or sets its pending bit if the vector or the whole function is
 * masked; unmasking sends what is pending.  Nothing is sent or remembered while MSI-X is off.
 * Threads: any; msix->lock.  The message is sent under the lock, so that none leaves after a mask has taken effect.
 */
#include "pci/pci_priv.h"

#include "base/log.h"
#include "base/own.h"

#include <errno.h>
#include <string.h>

enum { PCI_VECTOR_MASKED = 1 };

static bool pci_vector_is_masked(const struct pci_msix *msix, unsigned vector)
{
	return msix->function_mask || (msix->entries[vector].words[3] & PCI_VECTOR_MASKED);
}

static struct pci_message pci_msix_message(const struct pci_device *device, unsigned vector)
{
	const struct pci_msix *msix = &device->msix;
	const uint32_t *words = msix->entries[vector].words;
	return (struct pci_message){.open = atomic_load(&msix->enabled) && !pci_vector_is_masked(msix, vector),
				    .address = words[0] | (uint64_t)words[1] << 32,
				    .data = words[2]};
}

static void pci_msix_route_locked(struct pci_device *device)
{
	pci_bells_route(device, device->msix.bells, device->msix.count, pci_msix_message);
}

/* After a change of the table or of the control word. */
static void pci_msix_flush_locked(struct pci_device *device)
{
	struct pci_msix *msix = &device->msix;
	pci_msix_route_locked(device);
	for (unsigned i = 0; atomic_load(&msix->enabled) && i < msix->count; i++) {
		uint64_t bit = UINT64_C(1) << (i % 64);
		if ((msix->pending[i / 64] & bit) && !pci_vector_is_masked(msix, i)) {
			msix->pending[i / 64] &= ~bit;
			pci_message_send(device, pci_msix_message(device, i));
		}
	}
}

static void pci_msix_raise_locked(struct pci_device *device, unsigned vector)
{
	struct pci_msix *msix = &device->msix;
	if (!atomic_load(&msix->enabled)) {
		return;
	}
	if (pci_vector_is_masked(msix, vector)) {
		msix->pending[vector / 64] |= UINT64_C(1) << (vector % 64);
	} else {
		pci_message_send(device, pci_msix_message(device, vector));
	}
}

void pci_device_raise_msix(struct pci_device *device, unsigned vector)
{
	if (vector < device->msix.count) {
		LOCKED(&device->msix.lock);
		pci_msix_raise_locked(device, vector);
	}
}

void pci_msix_attach(struct pci_device *device, unsigned vector, int fd)
{
	LOCKED(&device->msix.lock);
	pci_bell_attach(device, &device->msix.bells[vector], fd);
	pci_msix_route_locked(device);
}

enum pci_taken pci_msix_take(struct pci_device *device, unsigned vector)
{
	LOCKED(&device->msix.lock);
	enum pci_taken taken = pci_bell_take(&device->msix.bells[vector]);
	if (taken == PCI_TAKEN) {
		pci_msix_raise_locked(device, vector);
	}
	return taken;
}

bool pci_device_msix_enabled(struct pci_device *device)
{
	return atomic_load(&device->msix.enabled);
}

void pci_msix_control(struct pci_device *device, uint16_t control)
{
	struct pci_msix *msix = &device->msix;
	LOCKED(&msix->lock);
	atomic_store(&msix->enabled, (control & PCI_MSIX_ENABLE) != 0);
	msix->function_mask = (control & PCI_MSIX_FUNCTION_MASK) != 0;
	if (!atomic_load(&msix->enabled)) {
		memset(msix->pending, 0, sizeof(msix->pending));
	}
	pci_msix_flush_locked(device);
}

/* The 32-bit word at @offset of the table; what is not there reads as 0. */
static uint32_t pci_msix_table_word(const struct pci_msix *msix, uint64_t offset)
{
	return offset / sizeof(struct pci_msix_entry) < msix->count ? msix->entries[offset / 16].words[offset % 16 / 4] : 0;
}

static uint32_t pci_msix_pending_word(const struct pci_msix *msix, uint64_t offset)
{
	return offset < sizeof(msix->pending) ? (uint32_t)(msix->pending[offset / 8] >> (offset / 4 % 2 * 32)) : 0;
}

static uint64_t pci_msix_load(struct pci_msix *msix, uint32_t (*word_at)(const struct pci_msix *, uint64_t), uint64_t offset,
			      unsigned size)
{
	LOCKED(&msix->lock);
	uint64_t value = 0;
	for (unsigned i = 0; i < size; i++) {
		uint32_t word = word_at(msix, (offset + i) & ~UINT64_C(3));
		value |= (uint64_t)((word >> ((offset + i) % 4 * 8)) & 0xff) << (i * 8);
	}
	return value;
}

uint64_t pci_device_msix_table_read(struct pci_device *device, uint64_t offset, unsigned size)
{
	return pci_msix_load(&device->msix, pci_msix_table_word, offset, size);
}

uint64_t pci_device_msix_pending_read(struct pci_device *device, uint64_t offset, unsigned size)
{
	return pci_msix_load(&device->msix, pci_msix_pending_word, offset, size);
}

static uint64_t pci_msix_bar_read(void *opaque, uint64_t offset, unsigned size)
{
	return offset < PCI_MSIX_PBA_OFFSET ? pci_device_msix_table_read(opaque, offset, size) :
					      pci_device_msix_pending_read(opaque, offset - PCI_MSIX_PBA_OFFSET, size);
}

void pci_device_msix_table_write(struct pci_device *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_msix *msix = &device->msix;
	LOCKED(&msix->lock);
	for (unsigned i = 0; i < size; i++) {
		uint64_t at = offset + i;
		if (at / sizeof(struct pci_msix_entry) < msix->count) {
			uint32_t *word = &msix->entries[at / 16].words[at % 16 / 4];
			unsigned shift = at % 4 * 8;
			uint32_t byte = (uint32_t)((value >> (i * 8)) & 0xff);
			*word = (*word & ~(UINT32_C(0xff) << shift)) | byte << shift;
		}
	}
	pci_msix_flush_locked(device);
}

static void pci_msix_bar_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	pci_device_msix_table_write(opaque, offset, size, value);
}

static const struct bus_ops pci_msix_bar_ops = {pci_msix_bar_read, pci_msix_bar_write};

static void pci_msix_mask_all(struct pci_msix *msix)
{
	memset(msix->entries, 0, msix->count * sizeof(msix->entries[0]));
	for (unsigned i = 0; i < msix->count; i++) {
		msix->entries[i].words[3] = PCI_VECTOR_MASKED;
	}
}

static int pci_msix_add_capability(struct pci_device *device, unsigned bar, unsigned count)
{
	uint8_t body[10] = {0}, mask[10] = {0};
	pci_store16(body, (uint16_t)(count - 1));
	pci_store32(body + 2, bar);
	pci_store32(body + 6, PCI_MSIX_PBA_OFFSET | bar);
	pci_store16(mask, PCI_MSIX_ENABLE | PCI_MSIX_FUNCTION_MASK);
	return pci_device_add_capability(device, PCI_CAPABILITY_MSIX, body, sizeof(body), mask);
}

/* Give @device a table of as many of @wanted vectors as the budget has left. */
static int pci_msix_take_vectors(struct pci_device *device, unsigned wanted, struct error *err)
{
	struct pci_host *host = device->host;
	struct pci_msix *msix = &device->msix;
	unsigned count = wanted < PCI_MSIX_MAX_VECTORS ? wanted : PCI_MSIX_MAX_VECTORS;
	if (count > pci_host_vectors_left(host)) {
		count = pci_host_vectors_left(host);
		log_warn("%s: %u MSI-X vectors left of the board's %u, %u wanted", device->name, count,
			 host->config.msi_vector_budget, wanted);
	}
	if (!count) {
		return 0;
	}
	msix->entries = calloc(count, sizeof(msix->entries[0]));
	msix->bells = calloc(count, sizeof(msix->bells[0]));
	if (!msix->entries || !msix->bells) {
		return error_set(err, -ENOMEM, "%s: out of memory", device->name);
	}
	for (unsigned i = 0; i < count; i++) {
		msix->bells[i].fd = -1;
	}
	msix->count = count;
	pci_msix_mask_all(msix);
	host->vectors_used += count;
	return (int)count;
}

int pci_device_add_msix(struct pci_device *device, unsigned bar, unsigned wanted, struct error *err)
{
	int count = pci_msix_take_vectors(device, wanted, err);
	if (count <= 0) {
		return count;
	}
	int at = pci_msix_add_capability(device, bar, (unsigned)count);
	if (at < 0) {
		return error_set(err, at, "%s: no room for the MSI-X capability", device->name);
	}
	device->msix.capability = (unsigned)at;
	int ret = pci_device_add_bar(device, bar, PCI_BAR_32, PCI_MSIX_BAR_LEN, &pci_msix_bar_ops, device, err);
	return ret < 0 ? ret : count;
}

int pci_device_adopt_msix(struct pci_device *device, unsigned capability, unsigned wanted, struct error *err)
{
	int count = pci_msix_take_vectors(device, wanted, err);
	if (count > 0) {
		device->msix.capability = capability;
		pci_store16(device->config + capability + 2, (uint16_t)(count - 1));
		pci_store16(device->mask + capability + 2, PCI_MSIX_ENABLE | PCI_MSIX_FUNCTION_MASK);
	}
	return count;
}

void pci_msix_reset(struct pci_device *device)
{
	struct pci_msix *msix = &device->msix;
	LOCKED(&msix->lock);
	atomic_store(&msix->enabled, false);
	msix->function_mask = false;
	memset(msix->pending, 0, sizeof(msix->pending));
	if (msix->count) {
		pci_msix_mask_all(msix);
	}
	pci_msix_route_locked(device);
}

void pci_msix_finish(struct pci_device *device)
{
	device->host->vectors_used -= device->msix.count;
	free(device->msix.entries);
	free(device->msix.bells);
	pthread_mutex_destroy(&device->msix.lock);
}
