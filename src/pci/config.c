/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - one device: its configuration space, BARs and capabilities
 *
 * How it works: a byte of configuration space changes only in the bits of its mask.  So a BAR's size shows by
 * itself when the guest writes all ones, and a reset clears exactly what the guest could have set.
 * Threads: see pci_priv.h.
 */
#include "pci/pci_priv.h"

#include "base/own.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void pci_init_registers(struct pci_device *device, const struct pci_device_config *config)
{
	uint8_t *space = device->config, *mask = device->mask;
	pci_store16(space + PCI_REG_VENDOR, config->vendor_id);
	pci_store16(space + PCI_REG_VENDOR + 2, config->device_id);
	pci_store32(space + PCI_REG_REVISION, config->class_code << 8 | config->revision);
	pci_store16(space + PCI_REG_SUBSYSTEM, config->subsystem_vendor_id);
	pci_store16(space + PCI_REG_SUBSYSTEM + 2, config->subsystem_id);
	space[PCI_REG_INTERRUPT_PIN] = config->has_intx;
	pci_store16(mask + PCI_REG_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_OFF);
	mask[PCI_REG_CACHE_LINE] = 0xff;
	mask[PCI_REG_INTERRUPT_LINE] = 0xff;
}

static int pci_choose_slot(const struct pci_host *host, unsigned slot)
{
	if (slot != PCI_SLOT_ANY) {
		return slot < PCI_SLOT_COUNT && !host->devices[slot] ? (int)slot : -EEXIST;
	}
	for (unsigned i = 1; i < PCI_SLOT_COUNT; i++) {
		if (!host->devices[i]) {
			return (int)i;
		}
	}
	return -ENOSPC;
}

static int pci_choose_port(const struct pci_device *port)
{
	assert(port->port);
	return port->port->child ? -EEXIST : (int)port->slot;
}

struct pci_device *pci_device_create(struct pci_host *host, unsigned slot,
				     const struct pci_device_config *config, const struct pci_device_ops *ops,
				     void *opaque, struct error *err)
{
	int place = config->port ? pci_choose_port(config->port) : pci_choose_slot(host, slot);
	if (place < 0) {
		error_set(err, place, "%s: no free PCI slot", config->name);
		return NULL;
	}
	struct pci_device *device = calloc(1, sizeof(*device));
	if (!device) {
		error_set(err, -ENOMEM, "%s: out of memory", config->name);
		return NULL;
	}
	device->host = host;
	device->slot = (unsigned)place;
	device->behind = config->port;
	device->ops = ops;
	device->opaque = opaque;
	device->capability_end = PCI_FIRST_CAPABILITY;
	device->last_link = PCI_REG_CAPABILITIES;
	device->intx_bell.fd = device->intx_ended = -1;
	snprintf(device->name, sizeof(device->name), "%s", config->name);
	pthread_mutex_init(&device->msix.lock, NULL);
	pthread_mutex_init(&device->msi.lock, NULL);
	pci_init_registers(device, config);
	if (ops->on_intx_end) {
		atomic_store(&host->hears_intx_end, true);
	}
	LOCKED(&host->lock);
	if (config->port) {
		config->port->port->child = device;
	} else {
		host->devices[place] = device;
	}
	return device;
}

static void pci_forget_bars(struct pci_device *device)
{
	for (unsigned i = 0; i <= PCI_BAR_ROM; i++) {
		struct pci_bar *bar = &device->bars[i];
		if (bar->len && bar->ops && bar->decoded != PCI_NOWHERE) {
			bus_remove(device->host->config.bus, bar->decoded, bar->opaque);
		}
	}
}

void pci_device_free(struct pci_device *device)
{
	if (!device) {
		return;
	}
	pci_forget_bars(device);
	if (device->ops->on_destroy) {
		device->ops->on_destroy(device->opaque);
	}
	if (device->port && device->port->child) {
		pci_device_free(device->port->child);
	}
	free(device->port);
	device->host->vectors_used -= device->msi.count;
	pci_msix_finish(device);
	pthread_mutex_destroy(&device->msi.lock);
	free(device);
}

unsigned pci_device_slot(const struct pci_device *device)
{
	return device->slot;
}

static struct pci_bar *pci_new_bar(struct pci_device *device, unsigned index, enum pci_bar_kind kind,
				   uint64_t len)
{
	bool wide = kind != PCI_BAR_32;
	assert(index + wide < PCI_BAR_COUNT && !device->bars[index].len);
	assert(len >= 16 && !(len & (len - 1)) && (wide || len <= UINT32_C(1) << 31));
	struct pci_bar *bar = &device->bars[index];
	*bar = (struct pci_bar){.kind = kind, .len = len, .decoded = PCI_NOWHERE};
	unsigned reg = PCI_REG_BAR0 + index * 4;
	pci_store32(device->config + reg, 0);
	device->config[reg] = (uint8_t)((wide ? 4 : 0) | (kind == PCI_BAR_64_PREFETCHABLE ? 8 : 0));
	uint64_t mask = ~(len - 1);
	pci_store32(device->mask + reg, (uint32_t)mask);
	if (wide) {
		pci_store32(device->config + reg + 4, 0);
		pci_store32(device->mask + reg + 4, (uint32_t)(mask >> 32));
	}
	return bar;
}

int pci_device_add_bar(struct pci_device *device, unsigned index, enum pci_bar_kind kind, uint64_t len,
		       const struct bus_ops *ops, void *opaque, struct error *err)
{
	struct pci_bar *bar = pci_new_bar(device, index, kind, len);
	bar->ops = ops;
	bar->opaque = opaque;
	return 0;
}

int pci_device_add_rom(struct pci_device *device, uint64_t len, const struct bus_ops *ops, void *opaque,
		       struct error *err)
{
	assert(len >= 2048 && !(len & (len - 1)) && len <= UINT32_C(1) << 31);
	device->bars[PCI_BAR_ROM] =
		(struct pci_bar){.kind = PCI_BAR_32, .len = len, .ops = ops, .opaque = opaque, .decoded = PCI_NOWHERE};
	pci_store32(device->config + PCI_REG_ROM, 0);
	pci_store32(device->mask + PCI_REG_ROM, (uint32_t)~(len - 1) | PCI_ROM_ENABLE);
	return 0;
}

void pci_device_load_config(struct pci_device *device, const uint8_t *image, const uint8_t *mask)
{
	memcpy(device->config, image, PCI_CONFIG_LEN);
	memcpy(device->mask, mask, PCI_CONFIG_LEN);
	memset(device->config + PCI_REG_BAR0, 0, PCI_BAR_COUNT * 4);
	memset(device->mask + PCI_REG_BAR0, 0, PCI_BAR_COUNT * 4);
	pci_store32(device->config + PCI_REG_ROM, 0);
	pci_store32(device->mask + PCI_REG_ROM, 0);
}

int pci_device_add_window(struct pci_device *device, unsigned index, enum pci_bar_kind kind, uint64_t len,
			  pci_place_fn place, void *opaque, struct error *err)
{
	struct pci_bar *bar = pci_new_bar(device, index, kind, len);
	const struct pci_range *range = kind == PCI_BAR_32 ? &device->host->config.memory32 :
							     &device->host->config.memory64;
	if (len > range->len) {
		bar->len = 0;
		return error_set(err, -ENOSPC, "%s: a window of %llu MiB does not fit the PCI bridge's", device->name,
				 (unsigned long long)(len >> 20));
	}
	bar->place = place;
	bar->opaque = opaque;
	return 0;
}

int pci_device_add_capability(struct pci_device *device, uint8_t id, const void *body, size_t len,
			      const void *write_mask)
{
	unsigned at = device->capability_end;
	if (len + 2 > PCI_CAPABILITIES_END - at) {
		return -ENOSPC;
	}
	device->config[at] = id;
	memcpy(device->config + at + 2, body, len);
	if (write_mask) {
		memcpy(device->mask + at + 2, write_mask, len);
	}
	device->config[device->last_link] = (uint8_t)at;
	device->config[PCI_REG_STATUS] |= PCI_STATUS_HAS_CAPABILITIES;
	device->last_link = at + 1;
	device->capability_end = at + (((unsigned)len + 2 + 3) & ~3u);
	return (int)at;
}

void pci_device_hook_config(struct pci_device *device, unsigned offset, unsigned len)
{
	device->hook_start = offset;
	device->hook_len = len;
}

void pci_device_peek_config(const struct pci_device *device, unsigned offset, void *to, size_t len)
{
	assert(offset <= PCI_CONFIG_LEN && len <= PCI_CONFIG_LEN - offset);
	memcpy(to, device->config + offset, len);
}

uint32_t pci_config_read_locked(struct pci_device *device, unsigned offset, unsigned size)
{
	uint32_t value = 0;
	if (device->msi.count) {
		pci_msi_show_pending(device);
	}
	if (pci_touches(offset, size, device->hook_start, device->hook_len) && device->ops->config_read &&
	    device->ops->config_read(device->opaque, offset, size, &value)) {
		return value;
	}
	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_LEN; i++) {
		value |= (uint32_t)device->config[offset + i] << (i * 8);
	}
	if (pci_touches(offset, size, PCI_REG_STATUS, 1) && pci_intx_is_pending(device)) {
		value |= (uint32_t)PCI_STATUS_INTX << ((PCI_REG_STATUS - offset) * 8);
	}
	return value;
}

/* Work out where the BAR registers point. */
static void pci_load_bars(struct pci_device *device)
{
	for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
		struct pci_bar *bar = &device->bars[i];
		const uint8_t *reg = device->config + PCI_REG_BAR0 + i * 4;
		uint64_t low = pci_load32(reg);
		uint64_t high = bar->kind == PCI_BAR_32 || !bar->len ? 0 : pci_load32(reg + 4);
		bar->wanted = (low & ~(uint64_t)15) | high << 32;
	}
	uint32_t rom = pci_load32(device->config + PCI_REG_ROM);
	device->bars[PCI_BAR_ROM].wanted = rom & PCI_ROM_ENABLE ? rom & ~UINT32_C(2047) : PCI_NOWHERE;
}

static void pci_after_write(struct pci_device *device, unsigned offset, unsigned size, const uint8_t *before)
{
	if (device->port) {
		pci_port_after_write(device, offset, size, before);
	}
	if (pci_touches(offset, size, PCI_REG_COMMAND, 2) || pci_touches(offset, size, PCI_REG_ROM, 4) ||
	    pci_touches(offset, size, PCI_REG_BAR0, PCI_BAR_COUNT * 4)) {
		pci_load_bars(device);
		pci_host_place_bars_locked(device->host);
	}
	unsigned msix = device->msix.capability;
	if (msix && pci_touches(offset, size, msix + 2, 2)) {
		pci_msix_control(device, pci_load16(device->config + msix + 2));
	}
	if (device->msi.count && pci_touches(offset, size, device->msi.capability, PCI_MSI_LEN)) {
		pci_msi_update(device);
	}
	atomic_store(&device->intx_off,
		     pci_load16(device->config + PCI_REG_COMMAND) & PCI_COMMAND_INTX_OFF);
	pci_intx_update(device);
}

void pci_config_write_locked(struct pci_device *device, unsigned offset, unsigned size, uint32_t value)
{
	uint8_t before[4] = {0};
	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_LEN; i++) {
		uint8_t mask = device->mask[offset + i], *byte = &device->config[offset + i];
		uint8_t written = (uint8_t)(value >> (i * 8));
		before[i] = *byte;
		*byte = (uint8_t)((*byte & ~mask & ~(written & device->clear[offset + i])) | (written & mask));
	}
	pci_after_write(device, offset, size, before);
	if (pci_touches(offset, size, device->hook_start, device->hook_len) && device->ops->config_write) {
		device->ops->config_write(device->opaque, offset, size, value);
	}
}

void pci_config_clear_locked(struct pci_device *device)
{
	for (unsigned i = 0; i < PCI_CONFIG_LEN; i++) {
		device->config[i] &= (uint8_t)~device->mask[i];
	}
	pci_load_bars(device);
	pci_msix_reset(device);
	pci_msi_reset(device);
	atomic_store(&device->intx_off, false);
	pci_intx_update(device);
}

void pci_config_reset_locked(struct pci_device *device)
{
	pci_config_clear_locked(device);
	if (device->port) {
		pci_port_reset_locked(device);
	}
	if (device->ops->on_reset) {
		device->ops->on_reset(device->opaque);
	}
}
