/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfu_client.h - a PCI device served by another process over vfio-user
 *
 * The server is not trusted: whatever it sends, it can harm only the device that it serves.  A
 * server that breaks the protocol, closes, or leaves a call without answer for the time-out is
 * gone: all calls fail from then on. Threads: see backend.h.
 */
#ifndef ORIEL_PASSTHROUGH_VFU_CLIENT_H
#define ORIEL_PASSTHROUGH_VFU_CLIENT_H

#include "base/loop.h"
#include "passthrough/backend.h"

enum { VFU_CLIENT_TIMEOUT_MS = 10000 };

struct vfu_client_config {
	const char *path;    /* of the server's socket */
	unsigned timeout_ms; /* of every call; 0: VFU_CLIENT_TIMEOUT_MS */
	struct loop *loop;   /* borrowed, outlives the backend; not running yet */
	backend_gone_fn on_gone;
	void *opaque;
};

/* Connect; nothing is said yet.  NULL with @err filled. */
struct backend *vfu_client_connect(const struct vfu_client_config *config,
				   struct error *err) MUST_CHECK;
/* The same over a connected stream socket; takes @socket, also on failure. */
struct backend *vfu_client_create(const struct vfu_client_config *config, int socket,
				  struct error *err) MUST_CHECK;
/* Agree on a version and on limits, and see that it is a PCI device.  The loop runs now. */
int vfu_client_negotiate(struct backend *backend, struct error *err) MUST_CHECK;

#endif
