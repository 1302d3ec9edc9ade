/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h - a whole PCI device that somebody else provides: a vfio-user server, or the kernel's
 * VFIO
 *
 * What lies above (pdev.h) shows it to the guest and can not tell backends apart.  Numbers and
 * meanings of regions and interrupts are VFIO's (linux/vfio.h), which vfio-user shares. Threads:
 * said at each call; "service thread" is the one that runs the loop given at creation.
 */
#ifndef ORIEL_PASSTHROUGH_BACKEND_H
#define ORIEL_PASSTHROUGH_BACKEND_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum backend_region_index {
	BACKEND_BAR0 = 0, /* to 5 */
	BACKEND_ROM = 6,
	BACKEND_CONFIG = 7,
	BACKEND_REGIONS = 8,
};

enum backend_irq_index {
	BACKEND_INTX = 0,
	BACKEND_MSI,
	BACKEND_MSIX,
	BACKEND_IRQS,
};

enum { BACKEND_MAX_AREAS = 16 };

struct backend_area {
	uint64_t offset, len;
};

struct backend_region {
	uint64_t size; /* 0: absent */
	bool readable, writable;
	/* Parts that may be mapped: at fd_offset + area.offset of fd (borrowed from the backend).
	 * Not checked yet. */
	int fd;
	uint64_t fd_offset;
	unsigned area_count;
	struct backend_area areas[BACKEND_MAX_AREAS];
};

enum backend_reset {
	BACKEND_RESET_NONE,
	BACKEND_RESET_FLR, /* function level; for vfio-user: the server's own */
	BACKEND_RESET_PM,
	BACKEND_RESET_BUS,
	BACKEND_RESET_DEVICE, /* specific to the device */
	BACKEND_RESET_COUNT,
};

struct backend;

struct backend_ops {
	const char *kind;
	void (*destroy)(struct backend *backend);
	int (*region)(struct backend *backend, unsigned index, struct backend_region *out,
		      struct error *err);
	int (*read)(struct backend *backend, unsigned region, uint64_t offset, void *to,
		    size_t len);
	int (*write)(struct backend *backend, unsigned region, uint64_t offset, const void *from,
		     size_t len, bool posted);
	int (*irqs)(struct backend *backend, unsigned index, unsigned *count, struct error *err);
	int (*set_irqs)(struct backend *backend, unsigned index, const int *eventfds,
			unsigned count);
	int (*unmask_intx)(struct backend *backend);
	int (*unmask_intx_by)(struct backend *backend, int eventfd); /* optional */
	int (*dma_map)(struct backend *backend, uint64_t iova, uint64_t len, void *hva, int fd,
		       uint64_t fd_offset, bool writable, struct error *err);
	int (*dma_unmap)(struct backend *backend, uint64_t iova, uint64_t len);
	unsigned (*resets)(struct backend *backend);
	int (*reset)(struct backend *backend, enum backend_reset method);
};

/* Base of every backend. */
struct backend {
	const struct backend_ops *ops;
	/*
	 * The device's registers are nobody's but ours: its BARs must be programmed before they
	 * answer, and the MSI-X table in it decides what is signalled.  False where a kernel stands
	 * between.
	 */
	bool raw;
};

/* Told once, on the service thread, when the device is gone (server closed or broke the protocol);
 * @why tells a person. */
typedef void (*backend_gone_fn)(void *opaque, const char *why);

/* Accepts NULL.  The loop must not run any more. */
static inline void backend_destroy(struct backend *backend)
{
	if (backend) {
		backend->ops->destroy(backend);
	}
}

/* What region @index is.  Any thread but the service thread, as all calls below that do not say
 * otherwise. */
static inline int MUST_CHECK backend_region(struct backend *backend, unsigned index,
					    struct backend_region *out, struct error *err)
{
	return backend->ops->region(backend, index, out, err);
}

/* Read @len bytes; on failure (-errno) *to is not changed. */
static inline int MUST_CHECK backend_read(struct backend *backend, unsigned region, uint64_t offset,
					  void *to, size_t len)
{
	return backend->ops->read(backend, region, offset, to, len);
}

/* Write @len bytes.  @posted: return without waiting for the device, in order with other calls. */
static inline int MUST_CHECK backend_write(struct backend *backend, unsigned region,
					   uint64_t offset, const void *from, size_t len,
					   bool posted)
{
	return backend->ops->write(backend, region, offset, from, len, posted);
}

/* How many interrupts of kind @index the device has. */
static inline int MUST_CHECK backend_irqs(struct backend *backend, unsigned index, unsigned *count,
					  struct error *err)
{
	return backend->ops->irqs(backend, index, count, err);
}

/* Let @count interrupts from 0 on signal @eventfds (borrowed for the call); 0 turns the kind off.
 */
static inline int MUST_CHECK backend_set_irqs(struct backend *backend, unsigned index,
					      const int *eventfds, unsigned count)
{
	return backend->ops->set_irqs(backend, index, eventfds, count);
}

/* The guest has handled INTx: it may be signalled again.  Any thread, the service thread too; does
 * not wait. */
static inline int MUST_CHECK backend_unmask_intx(struct backend *backend)
{
	return backend->ops->unmask_intx(backend);
}

/* True if the device can be told by an eventfd instead. */
static inline bool backend_unmasks_by_eventfd(const struct backend *backend)
{
	return backend->ops->unmask_intx_by != NULL;
}

/* Each signal of @eventfd (borrowed) is what backend_unmask_intx() does, with no thread of ours in
 * between, until INTx is turned off.  After backend_set_irqs() of INTx. */
static inline int MUST_CHECK backend_unmask_intx_by(struct backend *backend, int eventfd)
{
	return backend->ops->unmask_intx_by(backend, eventfd);
}

/*
 * Let the device reach @len bytes at @iova: they are at @fd_offset of @fd, and at @hva here (all
 * borrowed until unmapped).
 */
static inline int MUST_CHECK backend_dma_map(struct backend *backend, uint64_t iova, uint64_t len,
					     void *hva, int fd, uint64_t fd_offset, bool writable,
					     struct error *err)
{
	return backend->ops->dma_map(backend, iova, len, hva, fd, fd_offset, writable, err);
}

/* Exactly one earlier mapping.  After return the device does not reach it any more. */
static inline int MUST_CHECK backend_dma_unmap(struct backend *backend, uint64_t iova, uint64_t len)
{
	return backend->ops->dma_unmap(backend, iova, len);
}

/* The ways of reset that may work, a bit for each enum backend_reset. */
static inline unsigned backend_resets(struct backend *backend)
{
	return backend->ops->resets(backend);
}

static inline int MUST_CHECK backend_reset(struct backend *backend, enum backend_reset method)
{
	return backend->ops->reset(backend, method);
}

#endif
