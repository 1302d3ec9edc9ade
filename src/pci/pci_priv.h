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
	PCI_REG_SECONDARY_BUS = 0x19,
	PCI_REG_SUBSYSTEM = 0x2c,
	PCI_REG_CAPABILITIES = 0x34,
	PCI_REG_INTERRUPT_LINE = 0x3c,
	PCI_REG_INTERRUPT_PIN = 0x3d,
	PCI_FIRST_CAPABILITY = 0x40,
	PCI_CAPABILITIES_END = 256,
	PCI_REG_ROM = 0x30,
	PCI_ROM_ENABLE = 1,
	PCI_BAR_ROM = PCI_BAR_COUNT, /* index of the expansion ROM among the BARs */
	PCI_NODE_COUNT = 2 * PCI_SLOT_COUNT, /* bus 0, then what is behind the port of each slot */

	PCI_COMMAND_MEMORY = 0x0002,
	PCI_COMMAND_MASTER = 0x0004,
	PCI_COMMAND_INTX_OFF = 0x0400,
	PCI_STATUS_INTX = 0x0008,
	PCI_STATUS_HAS_CAPABILITIES = 0x0010,

	PCI_CAPABILITY_MSI = 0x05,
	PCI_CAPABILITY_EXPRESS = 0x10,
	PCI_CAPABILITY_MSIX = 0x11,
	PCI_MSIX_ENABLE = 0x8000,
	PCI_MSIX_FUNCTION_MASK = 0x4000,
	PCI_MSI_LEN = 24,
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

/* bell.c; guarded by the lock of its kind */
struct pci_bell {
	int fd;	     /* -1: none */
	bool direct; /* bound to the irq chip, as this message: */
	uint64_t address;
	uint32_t data;
};

/* What a signal of a vector is now. */
struct pci_message {
	bool open; /* to be sent at once: on, and not masked */
	uint64_t address;
	uint32_t data;
};
typedef struct pci_message pci_message_fn(const struct pci_device *device, unsigned vector);

struct pci_msix {
	unsigned count; /* 0: the device has no MSI-X */
	unsigned capability;
	pthread_mutex_t lock; /* guards the rest */
	atomic_bool enabled;
	bool function_mask;
	struct pci_msix_entry *entries;
	uint64_t pending[PCI_MSIX_MAX_VECTORS / 64];
	struct pci_bell *bells; /* one for each vector */
};

struct pci_msi {
	unsigned count; /* 0: the device has no MSI */
	unsigned capability;
	bool wide, maskable;  /* 64-bit address; has mask and pending words */
	pthread_mutex_t lock; /* guards the rest, which is what the capability says */
	atomic_bool enabled;
	unsigned vectors; /* as enabled by the guest */
	uint64_t address;
	uint16_t data;
	uint32_t masked, pending;
	struct pci_bell bells[PCI_MSI_MAX_VECTORS];
};

/* What a root port has beyond a device; NULL in others.  Guarded by host->lock. */
struct pci_port {
	unsigned express; /* offset of the PCI Express capability */
	const struct pci_port_ops *ops;
	void *opaque;
	struct pci_device *child; /* may be incomplete until present */
	bool present;
	bool eject_requested;
	bool interrupting; /* an enabled slot event is pending */
};

struct pci_device {
	struct pci_host *host;
	unsigned slot; /* of the port, if it is behind one */
	struct pci_device *behind; /* the port, or NULL on bus 0 */
	struct pci_port *port;	   /* if it is a port */
	char name[32];
	const struct pci_device_ops *ops;
	void *opaque;
	unsigned hook_start, hook_len;
	unsigned capability_end, last_link; /* where the next one goes, and the byte that will point to it */
	uint8_t config[PCI_CONFIG_LEN], mask[PCI_CONFIG_LEN];
	uint8_t clear[PCI_CONFIG_LEN]; /* bits that go when a one is written */
	struct pci_bar bars[PCI_BAR_COUNT + 1];
	struct pci_msix msix;
	struct pci_msi msi;
	bool intx_level;    /* what the device asks for; host->intx_lock guards this and the next two */
	struct pci_bell intx_bell;
	int intx_ended; /* eventfd, with the bell */
	atomic_bool intx_off; /* command register bit */
};

struct pci_host {
	struct pci_host_config config;
	pthread_mutex_t lock; /* guards configuration spaces and BARs */
	struct pci_device *devices[PCI_SLOT_COUNT];
	unsigned vectors_used;
	atomic_bool hears_intx_end; /* some device wants on_intx_end */
	pthread_mutex_t intx_lock; /* guards the next one, each device's intx_level, and (with lock) what is in the ports */
	uint64_t intx_slots[4];	   /* nodes that assert each line */
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

static inline uint32_t pci_load32(const uint8_t *bytes)
{
	return pci_load16(bytes) | (uint32_t)pci_load16(bytes + 2) << 16;
}

static inline bool pci_touches(unsigned offset, unsigned size, unsigned start, unsigned len)
{
	return offset < start + len && start < offset + size;
}

/* The device at node @index: bus 0 first, then what ports show.  NULL if there is none. */
static inline struct pci_device *pci_node(const struct pci_host *host, unsigned index)
{
	struct pci_device *device = host->devices[index % PCI_SLOT_COUNT];
	if (index < PCI_SLOT_COUNT || !device) {
		return device;
	}
	return device->port && device->port->present ? device->port->child : NULL;
}

static inline unsigned pci_node_index(const struct pci_device *device)
{
	return device->slot + (device->behind ? PCI_SLOT_COUNT : 0);
}

/* config.c: accesses to one device; host->lock is held. */
uint32_t pci_config_read_locked(struct pci_device *device, unsigned offset, unsigned size);
void pci_config_write_locked(struct pci_device *device, unsigned offset, unsigned size, uint32_t value);
/* What a guest has set goes: no BAR is wanted, no interrupt gets out.  A reset also tells the device. */
void pci_config_clear_locked(struct pci_device *device);
void pci_config_reset_locked(struct pci_device *device);
/* host.c: decode BARs as the registers now say.  host->lock is held. */
void pci_host_place_bars_locked(struct pci_host *host);
/* intx.c: make the wired line agree with what @device asks for and the guest allows. */
void pci_intx_update(struct pci_device *device);
/* bell.c: bind, rebind or unbind the @bells of @count vectors, as @message_of says.  The kind's lock is held. */
void pci_bells_route(struct pci_device *device, struct pci_bell *bells, unsigned count, pci_message_fn *message_of);
/* bell.c: send it, open or not.  The kind's lock is held. */
void pci_message_send(struct pci_device *device, struct pci_message message);
/* @fd stays the caller's; -1: none.  pci_bells_route() has to follow. */
void pci_bell_attach(struct pci_device *device, struct pci_bell *bell, int fd);
/* PCI_TAKEN: the caller raises the interrupt, still with the lock. */
enum pci_taken pci_bell_take(const struct pci_bell *bell);
/* intx.c, msi.c, msix.c: the parts of pci_device_attach_bell() and pci_device_take_bell(). */
void pci_intx_attach(struct pci_device *device, int fd, int ended);
enum pci_taken pci_intx_take(struct pci_device *device);
void pci_msi_attach(struct pci_device *device, unsigned vector, int fd);
enum pci_taken pci_msi_take(struct pci_device *device, unsigned vector);
void pci_msix_attach(struct pci_device *device, unsigned vector, int fd);
enum pci_taken pci_msix_take(struct pci_device *device, unsigned vector);
/* intx.c: hear about the ends of wired interrupts.  -ENOSPC. */
int pci_intx_watch(struct pci_host *host) MUST_CHECK;
/* intx.c: true if @device asks for an interrupt on its pin (the status bit). */
bool pci_intx_is_pending(struct pci_device *device);
/* msix.c: the capability's control word changed to @control; reset; free. */
void pci_msix_control(struct pci_device *device, uint16_t control);
void pci_msix_reset(struct pci_device *device);
void pci_msix_finish(struct pci_device *device);
/* msi.c: the capability's registers changed; show the pending bits in them; reset. */
void pci_msi_update(struct pci_device *device);
void pci_msi_show_pending(struct pci_device *device);
void pci_msi_reset(struct pci_device *device);
/* msi.c: give a device of ours MSI with one vector.  -ENOSPC if the budget is used up. */
int pci_msi_add(struct pci_device *device) MUST_CHECK;
/* Requester id of the device's messages.  Takes no lock: a stale bus number does no harm, messages are told apart by data. */
uint16_t pci_requester_id(const struct pci_device *device);

/* port.c: host->lock is held. */
bool pci_port_link_is_up(const struct pci_device *port);
/* True if the port passes [base, base+len) on. */
bool pci_port_forwards(const struct pci_device *port, uint64_t base, uint64_t len);
void pci_port_after_write(struct pci_device *port, unsigned offset, unsigned size, const uint8_t *before);
void pci_port_reset_locked(struct pci_device *port);

#endif
