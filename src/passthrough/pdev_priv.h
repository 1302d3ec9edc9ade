/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pdev_priv.h - the parts of a foreign PCI device, shared by the pdev*.c files
 *
 * Threads: see pdev.h.  The gate counts BAR accesses, so that mappings are taken away only when
 * nobody is inside.
 */
#ifndef ORIEL_PASSTHROUGH_PDEV_PRIV_H
#define ORIEL_PASSTHROUGH_PDEV_PRIV_H

#include "base/loop.h"
#include "passthrough/pdev.h"
#include "passthrough/vconfig.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
	PDEV_MAX_MAPPED = 2 * BACKEND_MAX_AREAS,
	PDEV_ROM_LIMIT = 16 << 20,
};

/* A part of a BAR that is mapped here. */
struct pdev_mapped {
	uint64_t offset, len;
	uint8_t *hva;
};

struct pdev_bar {
	struct pdev *pdev;
	unsigned index;
	uint64_t len;
	struct pdev_mapped mapped[PDEV_MAX_MAPPED];
	unsigned mapped_count;
};

struct pdev_vector {
	struct pdev *pdev;
	unsigned index;
	int eventfd;
	struct loop_source *source;
};

/* The numbers are those of src/pci, and of enum backend_irq_index, too. */
enum pdev_irq_mode {
	PDEV_IRQ_OFF = -1,
	PDEV_IRQ_INTX = PCI_IRQ_INTX,
	PDEV_IRQ_MSI = PCI_IRQ_MSI,
	PDEV_IRQ_MSIX = PCI_IRQ_MSIX,
};
static_assert((int)PCI_IRQ_MSI == (int)BACKEND_MSI && (int)PCI_IRQ_MSIX == (int)BACKEND_MSIX,
	      "kinds of interrupts");

struct pdev_irqs {
	struct pdev_vector *vectors; /* as many as the kind with most has */
	unsigned vector_count, msi_count, msix_count;
	_Atomic(enum pdev_irq_mode) mode; /* changes under the PCI host's lock */
	int ended;			  /* eventfd: INTx may be signalled again */
	atomic_ulong passed;		  /* signals that went through the service thread */
	struct loop_source *ended_source;
};

struct pdev {
	char name[128];
	struct pdev_parts parts;
	unsigned wanted_resets; /* bits */
	enum backend_reset reset_used;
	struct loop *loop;
	pthread_t thread;
	bool has_thread;
	struct backend *backend;
	struct pci_device *pci;
	struct vconfig config;
	struct pdev_bar bars[VCONFIG_BARS];
	uint8_t *rom;
	uint64_t rom_len;
	struct pdev_irqs irqs;
	atomic_bool gone, closed; /* closed: by us, for a reset or for good */
	atomic_uint inside;	  /* BAR accesses under way */
	atomic_ulong accesses;	  /* of BARs that came to us */
};

/* pdev_bars.c: map and add all BARs and the ROM; take the mappings away. */
int pdev_bars_init(struct pdev *pdev, const struct backend_region *regions, unsigned trapped,
		   struct error *err) MUST_CHECK;
int pdev_rom_init(struct pdev *pdev, const struct pdev_options *options,
		  const struct backend_region *region, struct error *err) MUST_CHECK;
void pdev_bars_finish(struct pdev *pdev);
/* The device is gone: what an engine shows of it to the guest has no pages any more.  Nobody is inside the gate, nor comes. */
void pdev_bars_hide(struct pdev *pdev);
/* Let no BAR access in and wait until all are out; let them in again. */
void pdev_gate_close(struct pdev *pdev);
void pdev_gate_open(struct pdev *pdev);

/* pdev_irq.c: eventfds and their sources; the kind in use follows configuration space.  PCI host's
 * lock held, or no guest. */
int pdev_irqs_init(struct pdev *pdev, unsigned msi_count, unsigned msix_count,
		   struct error *err) MUST_CHECK;
void pdev_irqs_finish(struct pdev *pdev);
void pdev_irqs_update(struct pdev *pdev);
void pdev_irqs_off(struct pdev *pdev);
/* The guest has ended INTx.  Any thread. */
void pdev_irqs_ended(struct pdev *pdev);

/* pdev_config.c: the hooks of configuration space. */
bool pdev_config_read(void *opaque, unsigned offset, unsigned size, uint32_t *value);
void pdev_config_write(void *opaque, unsigned offset, unsigned size, uint32_t value);

/* pdev_reset.c: down the ladder until one way works and is seen to have worked; then BARs and
 * command are as a guest finds them. */
int pdev_reset(struct pdev *pdev, struct error *err) MUST_CHECK;
/* The command register as the device shall see it: memory is always decoded there, our bridge
 * decides for the guest. */
int pdev_write_command(struct pdev *pdev, uint16_t command) MUST_CHECK;

#endif
