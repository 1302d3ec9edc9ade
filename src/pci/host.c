/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.c - the host bridge: ECAM accesses, placing BARs
 *
 * How it works: after each change of a BAR or command register all BARs of the bus are looked at again: first those
 * that left their place are taken away, then those that have a new place are put there if it is free and inside a
 * window.  So two BARs that change places, or one that waits for another to leave, end up right.
 * Invariants: decoded ranges are disjoint and inside the bridge's windows.
 * Threads: see pci_priv.h.
 */
#include "pci/pci_priv.h"

#include "base/log.h"
#include "base/own.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

static uint32_t pci_ones(unsigned size)
{
	return size >= 4 ? UINT32_MAX : (UINT32_C(1) << (size * 8)) - 1;
}

/* The device whose configuration space holds [offset, offset+size) of the ECAM window, or NULL. */
static struct pci_device *pci_ecam_find(struct pci_host *host, uint64_t offset, unsigned size)
{
	unsigned bus = (unsigned)(offset >> 20), slot = (offset >> 15) & 31, function = (offset >> 12) & 7;
	bool fits = (offset & 0xfff) + size <= 4096;
	if (!fits || function) {
		return NULL;
	}
	if (bus == 0) {
		return host->devices[slot];
	}
	for (unsigned i = 0; slot == 0 && i < PCI_SLOT_COUNT; i++) {
		struct pci_device *port = host->devices[i];
		if (port && port->port && port->config[PCI_REG_SECONDARY_BUS] == bus && pci_port_link_is_up(port)) {
			return port->port->child;
		}
	}
	return NULL;
}

static uint64_t pci_ecam_read(void *opaque, uint64_t offset, unsigned size)
{
	struct pci_host *host = opaque;
	if (size == 8) {
		return pci_ecam_read(host, offset, 4) | pci_ecam_read(host, offset + 4, 4) << 32;
	}
	LOCKED(&host->lock);
	struct pci_device *device = pci_ecam_find(host, offset, size);
	return device ? pci_config_read_locked(device, offset & 0xfff, size) : pci_ones(size);
}

static void pci_ecam_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_host *host = opaque;
	if (size == 8) {
		pci_ecam_write(host, offset, 4, (uint32_t)value);
		pci_ecam_write(host, offset + 4, 4, value >> 32);
		return;
	}
	LOCKED(&host->lock);
	struct pci_device *device = pci_ecam_find(host, offset, size);
	if (device) {
		pci_config_write_locked(device, offset & 0xfff, size, (uint32_t)value);
	}
}

static const struct bus_ops pci_ecam_ops = {pci_ecam_read, pci_ecam_write};

static bool pci_range_holds(const struct pci_range *range, uint64_t base, uint64_t len)
{
	return base >= range->base && len <= range->len && base - range->base <= range->len - len;
}

static bool pci_is_in_window(const struct pci_host *host, uint64_t base, uint64_t len)
{
	return pci_range_holds(&host->config.memory32, base, len) ||
	       pci_range_holds(&host->config.memory64, base, len);
}

static bool pci_is_free(const struct pci_host *host, uint64_t base, uint64_t len)
{
	for (unsigned node = 0; node < PCI_NODE_COUNT; node++) {
		struct pci_device *device = pci_node(host, node);
		for (unsigned i = 0; device && i <= PCI_BAR_ROM; i++) {
			const struct pci_bar *bar = &device->bars[i];
			if (bar->len && bar->decoded != PCI_NOWHERE && base < bar->decoded + bar->len &&
			    bar->decoded < base + len) {
				return false;
			}
		}
	}
	return true;
}

/* Where the registers of @device want @bar, or PCI_NOWHERE if it is not to be decoded. */
static uint64_t pci_wanted_place(const struct pci_device *device, const struct pci_bar *bar)
{
	bool memory_on = pci_load16(device->config + PCI_REG_COMMAND) & PCI_COMMAND_MEMORY;
	bool reached = memory_on && pci_is_in_window(device->host, bar->wanted, bar->len) &&
		       (!device->behind || pci_port_forwards(device->behind, bar->wanted, bar->len));
	return reached ? bar->wanted : PCI_NOWHERE;
}

static void pci_unplace(struct pci_host *host, struct pci_bar *bar, uint64_t next)
{
	uint64_t from = bar->decoded;
	bar->decoded = PCI_NOWHERE;
	if (bar->ops) {
		bus_remove(host->config.bus, from, bar->opaque);
	} else if (next == PCI_NOWHERE) {
		bar->place(bar->opaque, PCI_NOWHERE);
	}
}

static void pci_place(struct pci_device *device, struct pci_bar *bar, uint64_t at)
{
	struct pci_host *host = device->host;
	if (!pci_is_free(host, at, bar->len) ||
	    (bar->ops && bus_add(host->config.bus, at, bar->len, bar->ops, bar->opaque, device->name) < 0)) {
		log_limited(LOG_WARN, "%s: BAR at 0x%" PRIx64 " overlaps another, not decoded", device->name, at);
		if (!bar->ops) {
			bar->place(bar->opaque, PCI_NOWHERE);
		}
		return;
	}
	bar->decoded = at;
	if (!bar->ops) {
		bar->place(bar->opaque, at);
	}
}

typedef void (*pci_bar_fn)(struct pci_device *device, struct pci_bar *bar, uint64_t wanted);

static void pci_for_each_moved_bar(struct pci_host *host, pci_bar_fn fn)
{
	for (unsigned node = 0; node < PCI_NODE_COUNT; node++) {
		struct pci_device *device = pci_node(host, node);
		for (unsigned i = 0; device && i <= PCI_BAR_ROM; i++) {
			struct pci_bar *bar = &device->bars[i];
			uint64_t wanted = bar->len ? pci_wanted_place(device, bar) : PCI_NOWHERE;
			if (bar->len && wanted != bar->decoded) {
				fn(device, bar, wanted);
			}
		}
	}
}

static void pci_leave_old_place(struct pci_device *device, struct pci_bar *bar, uint64_t wanted)
{
	if (bar->decoded != PCI_NOWHERE) {
		pci_unplace(device->host, bar, wanted);
	}
}

static void pci_enter_new_place(struct pci_device *device, struct pci_bar *bar, uint64_t wanted)
{
	if (wanted != PCI_NOWHERE) {
		pci_place(device, bar, wanted);
	}
}

uint16_t pci_requester_id(const struct pci_device *device)
{
	unsigned bus = device->behind ? device->behind->config[PCI_REG_SECONDARY_BUS] : 0;
	return (uint16_t)(bus << 8 | (device->behind ? 0 : device->slot << 3));
}

void pci_host_place_bars_locked(struct pci_host *host)
{
	pci_for_each_moved_bar(host, pci_leave_old_place);
	pci_for_each_moved_bar(host, pci_enter_new_place);
}

struct pci_host *pci_host_create(const struct pci_host_config *config, struct error *err)
{
	static const struct pci_device_ops no_ops = {0};
	struct pci_host *host = calloc(1, sizeof(*host));
	if (!host) {
		error_set(err, -ENOMEM, "PCI host: out of memory");
		return NULL;
	}
	host->config = *config;
	pthread_mutex_init(&host->lock, NULL);
	pthread_mutex_init(&host->intx_lock, NULL);
	int ret = bus_add(config->bus, config->ecam.base, config->ecam.len, &pci_ecam_ops, host, "pci-ecam");
	if (ret < 0) {
		error_set(err, ret, "PCI host: configuration window at 0x%" PRIx64 " is taken", config->ecam.base);
		pci_host_destroy(host);
		return NULL;
	}
	ret = pci_intx_watch(host);
	if (ret < 0) {
		error_set(err, ret, "PCI host: the interrupt controller can not watch its lines");
		pci_host_destroy(host);
		return NULL;
	}
	struct pci_device_config bridge = {
		.name = "pci-host",
		.vendor_id = 0x1b36, /* the well-known generic PCIe host bridge */
		.device_id = 0x0008,
		.class_code = 0x060000,
	};
	if (!pci_device_create(host, 0, &bridge, &no_ops, NULL, err)) {
		pci_host_destroy(host);
		return NULL;
	}
	return host;
}

void pci_host_destroy(struct pci_host *host)
{
	if (!host) {
		return;
	}
	bus_remove(host->config.bus, host->config.ecam.base, host);
	for (unsigned slot = 0; slot < PCI_SLOT_COUNT; slot++) {
		pci_device_free(host->devices[slot]);
	}
	pthread_mutex_destroy(&host->lock);
	pthread_mutex_destroy(&host->intx_lock);
	free(host);
}

void pci_host_reset(struct pci_host *host)
{
	LOCKED(&host->lock);
	for (unsigned node = 0; node < PCI_NODE_COUNT; node++) {
		struct pci_device *device = pci_node(host, node);
		if (device) {
			pci_config_reset_locked(device);
		}
	}
	pci_host_place_bars_locked(host);
}

unsigned pci_host_vectors_left(const struct pci_host *host)
{
	return host->config.msi_vector_budget - host->vectors_used;
}

uint64_t pci_host_memory64(const struct pci_host *host)
{
	return host->config.memory64.len;
}

void pci_host_grow_memory64(struct pci_host *host, uint64_t len)
{
	assert(len >= host->config.memory64.len);
	host->config.memory64.len = len;
}
