/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pci_priv.h - structs shared by the files of src/pci
 *
 * Threads: host->lock guards every device's configuration space and BAR places.  An MSI-X table has its own lock,
 * and so have the INTx lines: raising an interrupt never takes host->lock.  Order: host, MSI-X, INTx.
 */
#ifndef ORIEL_PCI_PCI_PRIV_H
#define ORIEL_PCI_PCI_PRIV_H

#include "pci/pci.h"

#include <pthread.h>
#include <stdatomic.h>

/* Configuration space registers (PCI 3.0, 6.1) and their bits */
enum {
	PCI_REG_VENDOR = 0x00,
	PCI_REG_COMMAND = 0x04,
	PCI_REG_STATUS = 0x06,
	PCI_REG_REVISION = 0x08,
	PCI_REG_CACHE_LINE = 0x0c,
	PCI_REG_BAR0 = 0x10,
	PCI_REG_SUBSYSTEM = 0x2c,
	PCI_REG_CAPABILITIES = 0x34,
	PCI_REG_INTERRUPT_LINE = 0x3c,
	PCI_REG_INTERRUPT_PIN = 0x3d,
	PCI_FIRST_CAPABILITY = 0x40,
	PCI_CONFIG_LEN = 256, /* no PCI Express capability: the rest of the 4 KiB reads as zero */

	PCI_COMMAND_MEMORY = 0x0002,
	PCI_COMMAND_MASTER = 0x0004,
	PCI_COMMAND_INTX_OFF = 0x0400,
	PCI_STATUS_INTX = 0x0008,
	PCI_STATUS_HAS_CAPABILITIES = 0x0010,

	PCI_CAPABILITY_MSIX = 0x11,
	PCI_MSIX_ENABLE = 0x8000,
	PCI_MSIX_FUNCTION_MASK = 0x4000,
	PCI_MSIX_BAR_LEN = 8192,
	PCI_MSIX_PBA_OFFSET = 4096,
};

struct pci_bar {
	enum pci_bar_kind kind;
	uint64_t len;		   /* 0: not there */
	const struct bus_ops *ops; /* NULL for a window */
	pci_place_fn place;
	void *opaque;
	uint64_t wanted, decoded; /* address by the registers; address in effect; or PCI_NOWHERE */
};

struct pci_msix_entry {
	uint32_t words[4]; /* address low and high, data, vector control: bit 0 masks */
};

struct pci_msix {
	unsigned count; /* 0: the device has no MSI-X */
	unsigned capability;
	pthread_mutex_t lock; /* guards the rest */
	atomic_bool enabled;
	bool function_mask;
	struct pci_msix_entry *entries;
	uint64_t pending[PCI_MSIX_MAX_VECTORS / 64];
};

struct pci_device {
	struct pci_host *host;
	unsigned slot;
	char name[32];
	const struct pci_device_ops *ops;
	void *opaque;
	unsigned hook_start, hook_len;
	unsigned capability_end, last_link; /* where the next one goes, and the byte that will point to it */
	uint8_t config[PCI_CONFIG_LEN], mask[PCI_CONFIG_LEN];
	struct pci_bar bars[PCI_BAR_COUNT];
	struct pci_msix msix;
	bool intx_level;    /* what the device asks for; host->intx_lock */
	atomic_bool intx_off; /* command register bit */
};

struct pci_host {
	struct pci_host_config config;
	pthread_mutex_t lock; /* guards configuration spaces and BARs */
	struct pci_device *devices[PCI_SLOT_COUNT];
	unsigned vectors_used;
	pthread_mutex_t intx_lock; /* guards the next one and each device's intx_level */
	uint32_t intx_slots[4];	   /* slots that assert each line */
};

static inline uint16_t pci_load16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline void pci_store16(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t)value;
	bytes[1] = (uint8_t)(value >> 8);
}

static inline void pci_store32(uint8_t *bytes, uint32_t value)
{
	pci_store16(bytes, (uint16_t)value);
	pci_store16(bytes + 2, (uint16_t)(value >> 16));
}

/* config.c: accesses to one device; host->lock is held. */
uint32_t pci_config_read_locked(struct pci_device *device, unsigned offset, unsigned size);
void pci_config_write_locked(struct pci_device *device, unsigned offset, unsigned size, uint32_t value);
void pci_config_reset_locked(struct pci_device *device);
void pci_device_free(struct pci_device *device);
/* host.c: decode BARs as the registers now say.  host->lock is held. */
void pci_host_place_bars_locked(struct pci_host *host);
/* intx.c: make the wired line agree with what @device asks for and the guest allows. */
void pci_intx_update(struct pci_device *device);
/* intx.c: true if @device asks for an interrupt on its pin (the status bit). */
bool pci_intx_is_pending(struct pci_device *device);
/* msix.c: the capability's control word changed to @control; reset; free. */
void pci_msix_control(struct pci_device *device, uint16_t control);
void pci_msix_reset(struct pci_device *device);
void pci_msix_finish(struct pci_device *device);

#endif
