/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pdev.h - a foreign PCI device in the guest: between a backend and src/pci
 *
 * How it works: each device has a service thread of its own (a loop): interrupts, the backend's
 * messages, and what must not wait on a vCPU.  BAR accesses come from vCPUs and go to mapped memory
 * or to the backend; configuration space follows vconfig.h. A device whose backend is gone reads as
 * all ones from then on, and the VM lives. Threads: creation and destruction on one thread; the
 * rest is said at each call.
 */
#ifndef ORIEL_PASSTHROUGH_PDEV_H
#define ORIEL_PASSTHROUGH_PDEV_H

#include "base/error.h"
#include "mem/gmem.h"
#include "passthrough/backend.h"
#include "pci/pci.h"

struct vfio_host;

enum pdev_kind { PDEV_VFIO_USER, PDEV_VFIO };

/* What the user asked for.  All strings are borrowed for the call. */
struct pdev_options {
	enum pdev_kind kind;
	const char *address;   /* path of the server's socket, or DDDD:BB:DD.F */
	unsigned trapped_bars; /* a bit for each BAR that is not to be mapped */
	const char *rom_file;  /* NULL: from the device */
	bool no_rom;
	unsigned resets;     /* a bit for each enum backend_reset that may be tried; 0: all that the
				device has */
	unsigned timeout_ms; /* of a call to a vfio-user server; 0: the usual */
};

struct pdev_parts {
	struct pci_host *host;	 /* borrowed */
	struct pci_device *port; /* an empty root port, borrowed */
	const struct gmem *gmem;   /* borrowed */
	struct vfio_host *vfio;	   /* borrowed; for PDEV_VFIO */
	void (*on_gone)(void *opaque, const char *name,
			const char *why); /* on the service thread; may be NULL */
	void *opaque;
};

struct pdev;

/*
 * Open the device, reset it, let it reach guest memory, and put it behind the port;
 * pci_port_announce() is the caller's.  The PCI device owns it.  NULL with @err filled, and nothing
 * is left behind.
 */
struct pdev *pdev_create(const struct pdev_options *options, const struct pdev_parts *parts,
			 struct error *err) MUST_CHECK;
/*
 * Let go of the backend, its memory and thread, at once.  What is left answers with ones until the
 * PCI device is freed.  No access may come from the calling thread.
 */
void pdev_detach(struct pdev *pdev);
/* "flr", "none"...: how the device was reset when it was opened. */
const char *pdev_reset_used(const struct pdev *pdev);
bool pdev_is_gone(struct pdev *pdev);
/* Signals of interrupts that took the way through a thread of ours, since the device was opened. */
uint64_t pdev_interrupts_passed(struct pdev *pdev);
/* Accesses to BARs that came to us, instead of being the engine's. */
uint64_t pdev_accesses_passed(struct pdev *pdev);
/* Bytes of BARs that need room below 4 GiB, and of those that a 64-bit prefetchable window can
 * hold. */
void pdev_bar_bytes(const struct pdev *pdev, uint64_t *memory, uint64_t *prefetchable);

#endif
