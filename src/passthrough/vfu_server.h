/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfu_server.h - serve a PCI device to another VMM over vfio-user
 *
 * One client at a time.  The client's memory reaches the device as mappings of the descriptors that
 * it sends; a client that can share none is refused its mapping. Threads: the loop's, except
 * vfu_server_trigger() and vfu_server_memory().
 */
#ifndef ORIEL_PASSTHROUGH_VFU_SERVER_H
#define ORIEL_PASSTHROUGH_VFU_SERVER_H

#include "base/loop.h"
#include "passthrough/backend.h"

enum { VFU_SERVER_MAX_MAPS = 256, VFU_SERVER_MAX_VECTORS = 2048 };

struct vfu_server_map {
	uint64_t iova, len;
	uint8_t *hva;
	int fd; /* of which [offset, offset+len) is mapped; owned by the server */
	uint64_t offset;
	bool writable;
};

/* What the device does.  All on the loop's thread; optional ones may be NULL. */
struct vfu_server_ops {
	/* Size 0: absent.  A descriptor is borrowed. */
	void (*region)(void *opaque, unsigned index, struct backend_region *out);
	/* -errno goes to the client. */
	int (*read)(void *opaque, unsigned region, uint64_t offset, void *to, size_t len);
	int (*write)(void *opaque, unsigned region, uint64_t offset, const void *from, size_t len);
	/* Number of interrupts of kind @index (enum backend_irq_index). */
	unsigned (*irqs)(void *opaque, unsigned index);
	int (*reset)(void *opaque);
	/* Optional.  The client's memory changes: @added or !@added; the mapping stays valid until
	 * this returned. */
	int (*memory)(void *opaque, const struct vfu_server_map *map, bool added);
	/* Optional.  The client has handled INTx. */
	void (*unmask_intx)(void *opaque);
	/* Optional.  Connected or not; its mappings and interrupts are gone already when not. */
	void (*connected)(void *opaque, bool connected);
};

struct vfu_server;

/* Listen at @path; a socket there that nobody serves is replaced.  NULL with @err filled. */
struct vfu_server *vfu_server_create(struct loop *loop, const char *path,
				     const struct vfu_server_ops *ops, void *opaque,
				     struct error *err) MUST_CHECK;
/* Accepts NULL.  Removes the socket. */
void vfu_server_destroy(struct vfu_server *server);
/* Signal interrupt @vector of kind @index; nothing happens if the client has not asked for it.  Any
 * thread. */
void vfu_server_trigger(struct vfu_server *server, unsigned index, unsigned vector);

#endif
