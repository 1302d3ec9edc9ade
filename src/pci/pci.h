/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pci.h - one PCI Express host bridge with an ECAM window, and the devices on its bus 0
 *
 * How it works: the host claims the ECAM window on the bus.  Each device is 4 KiB of configuration space with a mask of
 * the bits a guest may change.  When the command register or a BAR changes, the host works out where each BAR is decoded
 * and adds or removes it on the bus (register BARs) or tells its owner (window BARs).  PCI addresses equal guest physical
 * addresses.  A BAR that a guest places outside the bridge's windows, or over another device, is simply not decoded.
 * Interrupts: MSI-X (messages go to the irq chip), or INTx, swizzled over four lines of the irq chip.
 * Threads: assembly calls (create, add) before any vCPU runs; accesses from any vCPU; raising interrupts from any thread.
 */
#ifndef ORIEL_PCI_PCI_H
#define ORIEL_PCI_PCI_H

#include "base/error.h"
#include "bus/bus.h"
#include "bus/irq.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pci_host;
struct pci_device;

enum {
	PCI_SLOT_COUNT = 32,
	PCI_BAR_COUNT = 6,
	PCI_CONFIG_LEN = 4096,
	PCI_MSIX_MAX_VECTORS = 128, /* of one device; the table and the pending bits share one 4 KiB BAR */
	PCI_MSI_MAX_VECTORS = 32,
	PCI_SLOT_ANY = ~0u,
};

struct pci_range {
	uint64_t base, len;
};

struct pci_host_config {
	struct bus *bus;	    /* borrowed */
	struct irq_chip *irq;	    /* borrowed */
	struct pci_range ecam;	    /* 1 MiB for each bus number; only bus 0 has devices */
	struct pci_range memory32;  /* below 4 GiB, for 32-bit BARs (64-bit ones may sit here too) */
	struct pci_range memory64;  /* for 64-bit BARs */
	unsigned intx_lines[4];	    /* irq chip lines behind slot 0's INTA..INTD; slot n is rotated by n */
	unsigned msi_vector_budget; /* MSI-X vectors for all devices together, e.g. SPIs of the GICv2m frame */
};

/* Also puts the host bridge at slot 0.  NULL with @err filled on failure. */
struct pci_host *pci_host_create(const struct pci_host_config *config, struct error *err) MUST_CHECK;
/* Also destroys the devices on it.  Accepts NULL.  No vCPU may run. */
void pci_host_destroy(struct pci_host *host);
/* System reset: every device gets on_reset and its configuration space as after creation.  No vCPU may run. */
void pci_host_reset(struct pci_host *host);
/* Bytes of the window for 64-bit BARs, and a larger one; before the guest is told of it. */
uint64_t pci_host_memory64(const struct pci_host *host);
void pci_host_grow_memory64(struct pci_host *host, uint64_t len);
/*
 * True if devices hear on_intx_end.  Else a device that needs it must not use INTA: its line would never fall.
 */
bool pci_host_tells_intx_end(const struct pci_host *host);
/* MSI-X vectors not yet given to a device. */
unsigned pci_host_vectors_left(const struct pci_host *host);

struct pci_device_config {
	const char *name; /* for messages; copied */
	uint16_t vendor_id, device_id, subsystem_vendor_id, subsystem_id;
	uint8_t revision;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
	bool has_intx;	     /* drives INTA */
	struct pci_device *port; /* behind this root port instead of on bus 0; then the slot is ignored */
};

/* What a device hears.  All optional, all called with the host's configuration lock held: do not call back into pci_*. */
struct pci_device_ops {
	/*
	 * An access inside a range given to pci_device_hook_config().  The read returns true if it filled *value; else
	 * the stored bytes are used.  The write comes after the stored bytes have changed.
	 */
	bool (*config_read)(void *opaque, unsigned offset, unsigned size, uint32_t *value);
	void (*config_write)(void *opaque, unsigned offset, unsigned size, uint32_t value);
	void (*on_reset)(void *opaque);
	/* The host is being destroyed. */
	void (*on_destroy)(void *opaque);
	/*
	 * The guest has ended the wired interrupt of a device that asserted INTA; the level was taken down before.  On a
	 * vCPU's thread, with the lock of the wired lines held instead of the configuration lock: must not block.
	 */
	void (*on_intx_end)(void *opaque);
};

/*
 * Put a device at @slot (1..31, or PCI_SLOT_ANY for the first free one).  The host owns it.
 * NULL with @err filled if the slot is taken.
 */
struct pci_device *pci_device_create(struct pci_host *host, unsigned slot,
				     const struct pci_device_config *config, const struct pci_device_ops *ops,
				     void *opaque, struct error *err) MUST_CHECK;
unsigned pci_device_slot(const struct pci_device *device);

/*
 * For devices whose configuration space comes from elsewhere: replace the registers by @image, of which a guest may
 * change the bits of @mask (PCI_CONFIG_LEN bytes each, copied).  BAR registers are left to pci_device_add_bar(), so add those
 * afterwards.
 */
void pci_device_load_config(struct pci_device *device, const uint8_t *image, const uint8_t *mask);

enum pci_bar_kind {
	PCI_BAR_32,		 /* 32-bit, not prefetchable */
	PCI_BAR_64,		 /* 64-bit, not prefetchable: takes two BAR numbers */
	PCI_BAR_64_PREFETCHABLE, /* 64-bit, for memory windows */
};

/* Registers.  @len is a power of two of at least 16.  @ops and @opaque as for bus_add(). */
int pci_device_add_bar(struct pci_device *device, unsigned index, enum pci_bar_kind kind, uint64_t len,
		       const struct bus_ops *ops, void *opaque, struct error *err) MUST_CHECK;

/* The expansion ROM: as pci_device_add_bar(), with an enable bit of its own. */
int pci_device_add_rom(struct pci_device *device, uint64_t len, const struct bus_ops *ops, void *opaque,
		       struct error *err) MUST_CHECK;

/* A memory window is now decoded at @gpa, or PCI_NOWHERE. */
#define PCI_NOWHERE UINT64_MAX
typedef void (*pci_place_fn)(void *opaque, uint64_t gpa);

/*
 * Memory that the engine maps: the bus never sees it; @place hears each change of its address.  It is called on the
 * thread of the vCPU that moved it, with the configuration lock held, so it must not wait for another vCPU.
 */
int pci_device_add_window(struct pci_device *device, unsigned index, enum pci_bar_kind kind, uint64_t len,
			  pci_place_fn place, void *opaque, struct error *err) MUST_CHECK;

/*
 * Append a capability: id byte, link, then @body (@len bytes).  @write_mask (as long as @body, or NULL for read-only) has
 * the bits that a guest may change.  Returns its offset in configuration space, or -ENOSPC.
 */
int pci_device_add_capability(struct pci_device *device, uint8_t id, const void *body, size_t len,
			      const void *write_mask) MUST_CHECK;
/* Let ops->config_read/config_write see accesses that touch [offset, offset+len).  One range for each device. */
void pci_device_hook_config(struct pci_device *device, unsigned offset, unsigned len);
/* Copy @len bytes of configuration space at @offset.  Only from inside the device's own config_read/config_write. */
void pci_device_peek_config(const struct pci_device *device, unsigned offset, void *to, size_t len);

/*
 * Give the device MSI-X: @wanted vectors or as many as the budget has left.  Makes an 8 KiB register BAR @bar with the
 * table at 0 and pending bits at 4096.  Returns the number of vectors; 0 if the budget is used up (no capability
 * then: use INTx); or a negative errno.
 */
int pci_device_add_msix(struct pci_device *device, unsigned bar, unsigned wanted, struct error *err) MUST_CHECK;
/*
 * The same for a device that brings its capability (at @capability, among the loaded registers) and has the table somewhere in
 * its BARs: returns the vectors it may use and writes their number into the capability.  The owner of the BAR passes accesses to
 * the table and the pending bits on; offsets count from the start of each.
 */
int pci_device_adopt_msix(struct pci_device *device, unsigned capability, unsigned wanted, struct error *err) MUST_CHECK;
uint64_t pci_device_msix_table_read(struct pci_device *device, uint64_t offset, unsigned size);
void pci_device_msix_table_write(struct pci_device *device, uint64_t offset, unsigned size, uint64_t value);
uint64_t pci_device_msix_pending_read(struct pci_device *device, uint64_t offset, unsigned size);

/*
 * MSI for a device that brings its capability (at @capability, among the loaded registers; layout by its control word).  Returns
 * the number of vectors, a power of two, that the budget allows; 0 if it is used up.
 */
int pci_device_adopt_msi(struct pci_device *device, unsigned capability, struct error *err) MUST_CHECK;
bool pci_device_msi_enabled(struct pci_device *device);
/* Send message @vector, or mark it pending if masked.  Out of range is ignored. */
void pci_device_raise_msi(struct pci_device *device, unsigned vector);
/* True if the guest has turned MSI-X on (then INTx is silent). */
bool pci_device_msix_enabled(struct pci_device *device);
/* Send message @vector, or mark it pending if masked.  Out of range is ignored. */
void pci_device_raise_msix(struct pci_device *device, unsigned vector);
/* Drive INTA (level).  Remembered while the guest has INTx disabled. */
void pci_device_set_intx(struct pci_device *device, bool level);

/* ----- for interrupts that a kernel or another process signals by an eventfd.  Any thread. ----- */

enum pci_irq_kind { PCI_IRQ_INTX, PCI_IRQ_MSI, PCI_IRQ_MSIX };

enum pci_taken {
	PCI_TAKEN,	     /* raised, or pending: by this call */
	PCI_TAKEN_BEFORE,    /* there was no signal, or the irq chip has delivered it */
	PCI_TAKEN_BY_NOBODY, /* no eventfd is attached; nothing was read */
};

/*
 * From now on a signal of eventfd @fd (borrowed; -1: none any more) raises vector @vector, which the device has.  Where the
 * irq chip can, it does so without a thread of ours; so the owner has to watch @fd all the same, and to call
 * pci_device_take_bell() when it is readable.  For INTx: @ended (borrowed) is rung when the guest has ended the interrupt,
 * and at other times when what wants service has to be signalled anew; on_intx_end() is called for levels that were taken.
 */
void pci_device_attach_bell(struct pci_device *device, enum pci_irq_kind kind, unsigned vector, int fd, int ended);
enum pci_taken pci_device_take_bell(struct pci_device *device, enum pci_irq_kind kind, unsigned vector);

/* ----- for who serves a device elsewhere: its registers and BARs without a bus.  Any thread. ----- */

/* The device at @slot of bus 0, or NULL. */
struct pci_device *pci_host_device(struct pci_host *host, unsigned slot);
/* Accesses of 1, 2 or 4 bytes, naturally aligned. */
uint32_t pci_device_config_read(struct pci_device *device, unsigned offset, unsigned size);
void pci_device_config_write(struct pci_device *device, unsigned offset, unsigned size, uint32_t value);
/* Bytes of register BAR @index; 0 for others. */
uint64_t pci_device_bar_len(const struct pci_device *device, unsigned index);
/* Accesses inside a register BAR, whether it is decoded or not. */
uint64_t pci_device_bar_read(struct pci_device *device, unsigned index, uint64_t offset, unsigned size);
void pci_device_bar_write(struct pci_device *device, unsigned index, uint64_t offset, unsigned size, uint64_t value);

/* ----- root ports: PCI Express slots that devices are plugged into and taken out of while the guest runs ----- */

struct pci_port_ops {
	/* The guest has switched the slot off after pci_port_request_eject(): the device may be taken out.  Host's lock held. */
	void (*on_eject)(void *opaque);
};

/* An empty root port on bus 0.  The host owns it. */
struct pci_device *pci_port_create(struct pci_host *host, const char *name, const struct pci_port_ops *ops,
				   void *opaque, struct error *err) MUST_CHECK;
/* A device made with .port = @port is complete: let the guest find it.  Any thread. */
void pci_port_announce(struct pci_device *port);
/* Press the slot's attention button: a polite guest lets go of the device and switches the slot off.  Any thread. */
void pci_port_request_eject(struct pci_device *port);
/*
 * Take the device out, whatever the guest thinks.  The caller owns it from here and frees it with pci_device_free() once
 * bus_is_idle() was seen.  NULL if the slot is empty.  Any thread.
 */
struct pci_device *pci_port_unplug(struct pci_device *port);
/* Bytes of the windows that the guest gave this port: below and above 4 GiB (0: closed). */
void pci_port_windows(struct pci_device *port, uint64_t *memory, uint64_t *prefetchable);
/* Only for devices taken out of a port.  Accepts NULL.  Calls on_destroy. */
void pci_device_free(struct pci_device *device);

#endif
