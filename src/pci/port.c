/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port.c - a PCI Express root port with a hot-plug slot (PCI Express 6.7, 7.5.3; PCI-to-PCI
 * bridge 1.2)
 *
 * How it works: one device may be behind the port, at slot 0 of the secondary bus.  The link is up
 * while a device is there and the guest has not switched the slot off.  Events set bits of the slot
 * status, which interrupt by MSI (or INTA) if enabled.  A polite removal presses the attention
 * button and waits for the guest to switch the slot off; a forced one looks as if somebody had
 * pulled the card. Threads: see pci_priv.h.  Whether a device is there changes under host->lock and
 * host->intx_lock together.
 */
#include "pci/pci_priv.h"

#include "base/own.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	BRIDGE_HEADER_TYPE = 0x0e,
	BRIDGE_PRIMARY_BUS = 0x18,
	BRIDGE_MEMORY_BASE = 0x20,
	BRIDGE_PREFETCH_BASE = 0x24,
	BRIDGE_PREFETCH_BASE_HIGH = 0x28,
	BRIDGE_PREFETCH_LIMIT_HIGH = 0x2c,
	BRIDGE_CONTROL = 0x3e,
	BRIDGE_CONTROL_RESET = 0x40,

	/* offsets in the PCI Express capability */
	EXPRESS_LINK_STATUS = 0x12,
	EXPRESS_SLOT_CAPABILITIES = 0x14,
	EXPRESS_SLOT_CONTROL = 0x18,
	EXPRESS_SLOT_STATUS = 0x1a,
	EXPRESS_LEN = 0x3c,

	LINK_16GT_X16 = 0x104,
	LINK_REPORTS_ACTIVE = 1 << 20,
	LINK_ACTIVE = 1 << 13,

	SLOT_HAS_BUTTON = 1 << 0,
	SLOT_HAS_POWER = 1 << 1,
	SLOT_HAS_POWER_LIGHT = 1 << 4,
	SLOT_SURPRISE = 1 << 5,
	SLOT_HOT_PLUG = 1 << 6,
	SLOT_NO_COMMAND_EVENTS = 1 << 18,
	SLOT_NUMBER_SHIFT = 19,

	/* slot status; the events' enable bits have the same places in slot control, but for the
	   link's */
	SLOT_BUTTON = 1 << 0,
	SLOT_PRESENCE_CHANGED = 1 << 3,
	SLOT_PRESENT = 1 << 6,
	SLOT_LINK_CHANGED = 1 << 8,
	SLOT_INTERRUPT_ON = 1 << 5,
	SLOT_POWER_OFF = 1 << 10,
	SLOT_LINK_CHANGED_ON = 1 << 12,
	SLOT_CONTROL_WRITABLE = 0x17ff,
};

static uint8_t *port_express(struct pci_device *port, unsigned offset)
{
	return port->config + port->port->express + offset;
}

static bool port_is_powered(const struct pci_device *port)
{
	return !(pci_load16(port->config + port->port->express + EXPRESS_SLOT_CONTROL) &
		 SLOT_POWER_OFF);
}

bool pci_port_link_is_up(const struct pci_device *port)
{
	return port->port->present && port_is_powered(port);
}

/* A window of the bridge by its registers; empty if it is closed. */
struct port_window {
	uint64_t base, len;
};

static struct port_window port_window(uint64_t base, uint64_t last)
{
	return (struct port_window){base, last > base ? last - base + 1 : 0};
}

static struct port_window port_memory_window(const struct pci_device *port)
{
	const uint8_t *config = port->config;
	return port_window((uint64_t)pci_load16(config + BRIDGE_MEMORY_BASE) << 16,
			   (uint64_t)pci_load16(config + BRIDGE_MEMORY_BASE + 2) << 16 | 0xfffff);
}

static struct port_window port_prefetch_window(const struct pci_device *port)
{
	const uint8_t *config = port->config;
	uint64_t base = (pci_load16(config + BRIDGE_PREFETCH_BASE) & 0xfff0u) << 16;
	uint64_t last = (pci_load16(config + BRIDGE_PREFETCH_BASE + 2) & 0xfff0u) << 16 | 0xfffff;
	return port_window((uint64_t)pci_load32(config + BRIDGE_PREFETCH_BASE_HIGH) << 32 | base,
			   (uint64_t)pci_load32(config + BRIDGE_PREFETCH_LIMIT_HIGH) << 32 | last);
}

static bool port_window_holds(struct port_window window, uint64_t base, uint64_t len)
{
	return base >= window.base && len <= window.len && base - window.base <= window.len - len;
}

bool pci_port_forwards(const struct pci_device *port, uint64_t base, uint64_t len)
{
	return pci_port_link_is_up(port) &&
	       (pci_load16(port->config + PCI_REG_COMMAND) & PCI_COMMAND_MEMORY) &&
	       (port_window_holds(port_memory_window(port), base, len) ||
		port_window_holds(port_prefetch_window(port), base, len));
}

void pci_port_windows(struct pci_device *port, uint64_t *memory, uint64_t *prefetchable)
{
	LOCKED(&port->host->lock);
	*memory = port_memory_window(port).base ? port_memory_window(port).len : 0;
	*prefetchable = port_prefetch_window(port).base ? port_prefetch_window(port).len : 0;
}

/* Interrupt if an enabled event came; the line falls when none is left. */
static void port_update_interrupt(struct pci_device *port)
{
	uint16_t status = pci_load16(port_express(port, EXPRESS_SLOT_STATUS));
	uint16_t control = pci_load16(port_express(port, EXPRESS_SLOT_CONTROL));
	bool wanted = (control & SLOT_INTERRUPT_ON) &&
		      ((status & control & (SLOT_BUTTON | SLOT_PRESENCE_CHANGED)) ||
		       ((status & SLOT_LINK_CHANGED) && (control & SLOT_LINK_CHANGED_ON)));
	if (wanted && !port->port->interrupting) {
		pci_device_raise_msi(port, 0);
	}
	port->port->interrupting = wanted;
	pci_device_set_intx(port, wanted);
}

/* Slot and link status as things are now; @events are added. */
static void port_update(struct pci_device *port, uint16_t events)
{
	uint8_t *status = port_express(port, EXPRESS_SLOT_STATUS),
		*link = port_express(port, EXPRESS_LINK_STATUS);
	bool up = pci_port_link_is_up(port), was_up = pci_load16(link) & LINK_ACTIVE;
	pci_store16(link, (uint16_t)(LINK_16GT_X16 | (up ? LINK_ACTIVE : 0)));
	uint16_t now = (uint16_t)((pci_load16(status) & ~SLOT_PRESENT) | events);
	now |= port->port->present ? SLOT_PRESENT : 0;
	now |= up != was_up ? SLOT_LINK_CHANGED : 0;
	pci_store16(status, now);
	port_update_interrupt(port);
}

static void port_set_present(struct pci_device *port, bool present)
{
	LOCKED(&port->host->intx_lock);
	port->port->present = present;
}

void pci_port_announce(struct pci_device *port)
{
	LOCKED(&port->host->lock);
	assert(port->port->child && !port->port->present);
	port->port->eject_requested = false;
	port_set_present(port, true);
	/* Linux listens to the link rather than to presence where there is a button, and so acts at
	 * once. */
	port_update(port, SLOT_PRESENCE_CHANGED | SLOT_LINK_CHANGED);
	pci_host_place_bars_locked(port->host);
}

void pci_port_request_eject(struct pci_device *port)
{
	LOCKED(&port->host->lock);
	if (port->port->present) {
		port->port->eject_requested = true;
		port_update(port, SLOT_BUTTON);
	}
}

struct pci_device *pci_port_unplug(struct pci_device *port)
{
	LOCKED(&port->host->lock);
	struct pci_device *child = port->port->child;
	if (!child) {
		return NULL;
	}
	pci_config_clear_locked(child);
	pci_host_place_bars_locked(port->host);
	pci_device_set_intx(child, false);
	port_set_present(port, false);
	port->port->child = NULL;
	port_update(port, SLOT_PRESENCE_CHANGED);
	return child;
}

/* The guest switched the slot on or off, or it reset what is behind the port. */
static void port_follow_power(struct pci_device *port, bool was_powered)
{
	struct pci_port *own = port->port;
	if (port_is_powered(port) == was_powered) {
		return;
	}
	if (own->present) {
		pci_config_reset_locked(own->child);
	}
	pci_host_place_bars_locked(port->host);
	port_update(port, 0);
	if (was_powered && own->present && own->eject_requested) {
		own->ops->on_eject(own->opaque);
	}
}

void pci_port_after_write(struct pci_device *port, unsigned offset, unsigned size,
			  const uint8_t *before)
{
	unsigned control = port->port->express + EXPRESS_SLOT_CONTROL;
	if (pci_touches(offset, size, control + 1, 1)) {
		port_follow_power(port, !(before[control + 1 - offset] & SLOT_POWER_OFF >> 8));
	}
	if (pci_touches(offset, size, BRIDGE_CONTROL, 1) && port->port->present &&
	    (~before[BRIDGE_CONTROL - offset] & port->config[BRIDGE_CONTROL] &
	     BRIDGE_CONTROL_RESET)) {
		pci_config_reset_locked(port->port->child);
		pci_host_place_bars_locked(port->host);
	}
	if (pci_touches(offset, size, BRIDGE_MEMORY_BASE, 16) ||
	    pci_touches(offset, size, PCI_REG_COMMAND, 1)) {
		pci_host_place_bars_locked(port->host);
	}
	port_update_interrupt(port);
}

void pci_port_reset_locked(struct pci_device *port)
{
	pci_store16(port_express(port, EXPRESS_SLOT_STATUS), 0);
	port_update(port, port->port->present ? SLOT_PRESENCE_CHANGED : 0);
}

static int port_add_express(struct pci_device *port)
{
	uint8_t at[EXPRESS_LEN] = {0}, writable[EXPRESS_LEN] = {0};
	pci_store16(at + 0x02, 0x0142); /* version 2, root port, with a slot */
	pci_store32(at + 0x04, 0x8000); /* payloads of 128 bytes; role-based errors */
	pci_store16(writable + 0x08, 0x701f);
	pci_store32(at + 0x0c, LINK_16GT_X16 | LINK_REPORTS_ACTIVE | port->slot << 24);
	pci_store16(writable + 0x10, 0x00c3);
	pci_store16(at + EXPRESS_LINK_STATUS, LINK_16GT_X16);
	pci_store32(at + EXPRESS_SLOT_CAPABILITIES, SLOT_HAS_BUTTON | SLOT_HAS_POWER |
							    SLOT_HAS_POWER_LIGHT | SLOT_SURPRISE |
							    SLOT_HOT_PLUG | SLOT_NO_COMMAND_EVENTS |
							    port->slot << SLOT_NUMBER_SHIFT);
	pci_store16(writable + EXPRESS_SLOT_CONTROL, SLOT_CONTROL_WRITABLE);
	pci_store16(writable + 0x1c, 0x000f); /* root control */
	pci_store32(at + 0x2c, 0x1e);	      /* link speeds: 2.5 to 16 GT/s */
	int offset = pci_device_add_capability(port, PCI_CAPABILITY_EXPRESS, at + 2,
					       EXPRESS_LEN - 2, writable + 2);
	if (offset > 0) {
		port->port->express = (unsigned)offset;
		pci_store16(port->clear + offset + EXPRESS_SLOT_STATUS,
			    SLOT_BUTTON | SLOT_PRESENCE_CHANGED | SLOT_LINK_CHANGED);
	}
	return offset;
}

/* Bus numbers, windows and control of a bridge.  No I/O window: the board has no ports. */
static void port_init_header(struct pci_device *port)
{
	uint8_t *config = port->config, *mask = port->mask;
	config[BRIDGE_HEADER_TYPE] = 1;
	memset(mask + BRIDGE_PRIMARY_BUS, 0xff, 3);
	pci_store32(mask + BRIDGE_MEMORY_BASE, 0xfff0fff0);
	pci_store32(config + BRIDGE_PREFETCH_BASE, 0x00010001); /* 64 bits */
	pci_store32(mask + BRIDGE_PREFETCH_BASE, 0xfff0fff0);
	pci_store32(mask + BRIDGE_PREFETCH_BASE_HIGH, UINT32_MAX);
	pci_store32(mask + BRIDGE_PREFETCH_LIMIT_HIGH, UINT32_MAX);
	pci_store16(mask + BRIDGE_CONTROL, 0x0043);
	pci_store32(config + PCI_REG_SUBSYSTEM, 0); /* a bridge's upper prefetch limit */
}

struct pci_device *pci_port_create(struct pci_host *host, const char *name,
				   const struct pci_port_ops *ops, void *opaque, struct error *err)
{
	static const struct pci_device_ops none = {0};
	const struct pci_device_config config = {
		.name = name,
		.vendor_id = 0x1b36, /* the well-known generic PCIe root port */
		.device_id = 0x000c,
		.class_code = 0x060400,
		.has_intx = true,
	};
	struct pci_port *own = calloc(1, sizeof(*own));
	struct pci_device *port =
		own ? pci_device_create(host, PCI_SLOT_ANY, &config, &none, NULL, err) : NULL;
	if (!port) {
		free(own);
		return NULL;
	}
	own->ops = ops;
	own->opaque = opaque;
	port->port = own;
	port_init_header(port);
	if (port_add_express(port) < 0 || pci_msi_add(port) < 0) {
		error_set(err, -ENOSPC, "%s: no interrupt vector is left for a root port", name);
		return NULL; /* the host frees it */
	}
	return port;
}
