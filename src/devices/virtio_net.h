/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_net.h - a network card whose cable is a stream socket (virtio 1.2, 5.1)
 *
 * How it works: frames travel over a UNIX stream socket, each behind its length in 4 bytes, big endian: what passt speaks.
 * No offloads, but an MTU of 65520, so that few frames carry much.  A frame to the peer and 2 MiB from it are buffered at
 * most: when the peer is slow, the transmit queue is left alone; when the guest offers no buffers, in the end the socket is.
 * If the peer goes away, the link goes down and the guest is told.
 * Threads: create before the loop runs or on its thread.
 */
#ifndef ORIEL_DEVICES_VIRTIO_NET_H
#define ORIEL_DEVICES_VIRTIO_NET_H

#include "virtio/device.h"

struct virtio_net_config {
	const char *name; /* for messages, e.g. "net0"; copied */
	uint8_t mac[6];
	int peer; /* connected stream socket; taken, also on failure; -1: no cable, link down */
};

struct virtio_device *virtio_net_create(const struct virtio_net_config *config, const struct gmem *gmem,
					struct loop *loop, struct error *err) MUST_CHECK;

/* Two connected sockets, with buffers as large as the host allows: one for the card, one for its peer.  Owned by the caller. */
int virtio_net_cable(int ends[2], struct error *err) MUST_CHECK;

#endif
