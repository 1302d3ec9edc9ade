/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_rng.h - random bytes from the host's kernel (virtio 1.2, 5.4)
 *
 * At most 64 KiB for each request and 1 MiB a second: a guest cannot keep a host core busy with it.
 * Threads: create before the loop runs or on its thread.
 */
#ifndef ORIEL_DEVICES_VIRTIO_RNG_H
#define ORIEL_DEVICES_VIRTIO_RNG_H

#include "virtio/device.h"

struct virtio_device *virtio_rng_create(const char *name, const struct gmem *gmem, struct loop *loop,
					struct error *err) MUST_CHECK;

#endif
