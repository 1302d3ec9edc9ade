/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h - what all virtio devices have in common, whatever the transport
 *
 * How it works: a device embeds struct virtio_device, fills the declared fields, and calls virtio_device_init().  The
 * transport (pci_transport.h) turns the guest's register accesses into the virtio_transport_* calls in transport.h.
 *
 * Threads: a device belongs to one loop, and all of its work happens there.
 *  - On the loop: ops activate, notify, reset, destroy; all virtq_* calls.
 *  - On a vCPU thread: ops config_read and config_write (with device->lock held), and the placement of shared memory.
 *    These must be quick, must not wait for the loop and must not call virtio_device_* functions other than
 *    virtio_device_negotiated().  State that they share with the loop needs the device's own lock or atomics.
 *  - The guest's queue notify sets a bit and rings an eventfd of the loop: no device work on a vCPU.
 *  - virtio_device_config_changed() and virtio_device_break(): any thread, but not from inside config_read/config_write.
 *
 * Life: created -> (driver: DRIVER_OK) activate -> notify... -> (driver: status 0) reset -> virtio_device_reset_done()
 * -> activate...  Between activate and reset the negotiated features and the queues' places do not change.  A reset
 * may take as long as I/O in flight takes: the driver reads a non-zero status until the device says it is done, which
 * is what virtio 1.2, 2.4.2 asks for.
 * After a mistake of the driver (virtio_device_break) the status has DEVICE_NEEDS_RESET, virtq_pop() finds nothing and
 * virtq_push() only frees, until the reset.
 */
#ifndef ORIEL_VIRTIO_DEVICE_H
#define ORIEL_VIRTIO_DEVICE_H

#include "base/error.h"
#include "base/loop.h"
#include "mem/gmem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct virtio_device;
struct virtq;

/* Device numbers: virtio 1.2, 5 */
enum virtio_id {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_RNG = 4,
	VIRTIO_ID_GPU = 16,
	VIRTIO_ID_INPUT = 18,
	VIRTIO_ID_VSOCK = 19,
	VIRTIO_ID_FS = 26,
};

/* Transport features: virtio 1.2, 6.  The core offers and handles these; devices only add their own bits. */
#define VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX     (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1     (UINT64_C(1) << 32)

enum {
	VIRTIO_MAX_QUEUES = 48,
	VIRTIO_MAX_QUEUE_SIZE = 1024,
	VIRTIO_MAX_CONFIG = 256, /* bytes of device-specific configuration */
};

/* A shared memory region (virtio 1.2, 2.10): on PCI a prefetchable 64-bit BAR of its own. */
#define VIRTIO_NOWHERE UINT64_MAX
struct virtio_shm {
	uint8_t id;   /* shmid, e.g. 1 = host-visible memory of a GPU */
	uint64_t len; /* bytes, a power of two; 0 = the device has none */
	/* The region now starts at @gpa, or VIRTIO_NOWHERE.  vCPU thread; must not wait for another vCPU. */
	void (*place)(struct virtio_device *device, uint64_t gpa);
};

struct virtio_device_ops {
	/*
	 * Device-specific configuration, @size 1, 2, 4 or 8 bytes at @offset, always inside device->config_len.  vCPU
	 * thread.  config_read is required if config_len is not 0; see virtio_config_load().  config_write is optional.
	 */
	uint64_t (*config_read)(struct virtio_device *device, unsigned offset, unsigned size);
	void (*config_write)(struct virtio_device *device, unsigned offset, unsigned size, uint64_t value);
	/* The driver is ready; queues are live (virtq_is_ready() tells which).  Loop thread.  Optional. */
	void (*activate)(struct virtio_device *device);
	/* The driver may have put chains in queue @index: pop until empty.  Loop thread.  Required. */
	void (*notify)(struct virtio_device *device, unsigned index);
	/*
	 * Forget the driver: finish or cancel everything in flight, then call virtio_device_reset_done(), at once or
	 * later.  Chains must have been given back (virtq_push or virtq_drop) before.  Loop thread.  Optional: without it
	 * the core calls reset_done itself.
	 */
	void (*reset)(struct virtio_device *device);
	/* Free the device.  Its loop does not run (any more), or this is its thread; it still exists.  Required. */
	void (*destroy)(struct virtio_device *device);
};

/* How the core reaches the guest; implemented by the transport.  Any thread. */
struct virtio_transport_ops {
	void (*queue_interrupt)(void *transport, unsigned queue);
	void (*config_interrupt)(void *transport);
};

struct virtio_bell;
struct virtio_device {
	/* Filled by the device before virtio_device_init(), constant afterwards. */
	const char *name; /* for messages, e.g. "blk0"; owned by the device */
	const struct virtio_device_ops *ops;
	struct loop *loop;	    /* borrowed */
	const struct gmem *gmem;    /* borrowed, sealed before the first activation */
	enum virtio_id id;
	uint32_t pci_class;	    /* 24 bits, e.g. 0x010000 */
	uint64_t features;	    /* device-specific feature bits offered */
	unsigned queue_count;
	uint16_t queue_size;	    /* largest size offered for each queue; a power of two */
	unsigned config_len;
	struct virtio_shm shm;

	/* Core's own: use the functions below. */
	pthread_mutex_t lock; /* guards the status machine: everything down to `bell` */
	pthread_cond_t reset_finished;
	struct virtio_queue_setup *setup; /* what the driver wrote, queue_count of them */
	uint8_t status;
	bool resetting, activated;
	bool initialised;	  /* by virtio_device_init() */
	bool live;		  /* between ops activate and reset; loop thread only */
	uint32_t config_generation;
	uint64_t driver_features; /* as written; final once FEATURES_OK is in the status */
	int bell;		  /* eventfd watched by the loop */
	struct virtio_bell *bells; /* of the queues, for doorbells that ring without us */
	struct loop_source *bell_source;
	_Atomic uint64_t pending; /* work for the loop: a bit for each queue, and two more */
	atomic_bool broken;	  /* DEVICE_NEEDS_RESET: no ring accesses any more */
	struct virtq *queues;	  /* queue_count of them; loop thread only */
	const struct virtio_transport_ops *transport_ops;
	void *transport;
};

/*
 * Make the common part.  The caller has filled the declared fields.  Call before the loop runs, or on its thread.
 * On failure nothing is kept.
 */
int virtio_device_init(struct virtio_device *device, struct error *err) MUST_CHECK;
/* Undo virtio_device_init(); from ops->destroy.  Accepts a zeroed or half-built device. */
void virtio_device_finish(struct virtio_device *device);
/* Calls ops->destroy.  Accepts NULL. */
void virtio_device_destroy(struct virtio_device *device);

/* Queue @index, for virtq_* calls.  Loop thread. */
struct virtq *virtio_device_queue(struct virtio_device *device, unsigned index);
/* True if the driver accepted all of @features.  Meaningful from activation on. */
bool virtio_device_negotiated(const struct virtio_device *device, uint64_t features);
/* ops->reset is complete.  Loop thread. */
void virtio_device_reset_done(struct virtio_device *device);
/* The configuration fields changed: bump the generation and interrupt the driver.  Any thread. */
void virtio_device_config_changed(struct virtio_device *device);
/* The driver broke the rules: log @why (rate-limited), set DEVICE_NEEDS_RESET and stop the queues.  Any thread. */
void virtio_device_break(struct virtio_device *device, const char *why);
/* Have ops->notify called for queue @index on the loop, e.g. to continue after a bounded batch.  Any thread. */
void virtio_device_kick(struct virtio_device *device, unsigned index);

/* @size bytes at @offset of a configuration struct held in memory, little endian, for config_read. */
uint64_t virtio_config_load(const void *config, size_t config_len, unsigned offset, unsigned size);

#endif
