/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_console.h - one console port, hvc0 in the guest (virtio 1.2, 5.3)
 *
 * Where bytes come from and go to is the caller's business.  Nothing is buffered here: what the other side does not
 * take stays in the guest's ring, or with the caller.
 * Threads: everything on the device's loop, once it runs.
 */
#ifndef ORIEL_DEVICES_VIRTIO_CONSOLE_H
#define ORIEL_DEVICES_VIRTIO_CONSOLE_H

#include "virtio/device.h"

struct virtio_console_config {
	const char *name; /* copied */
	/* The guest prints.  Returns the bytes taken; if fewer, say virtio_console_output_ready() later. */
	size_t (*output)(void *opaque, const void *data, size_t len);
	/* The guest has room for input again after virtio_console_input() took less than it was given.  Optional. */
	void (*input_ready)(void *opaque);
	void *opaque;
	uint16_t columns, rows; /* 0: not known */
};

struct virtio_device *virtio_console_create(const struct virtio_console_config *config,
					    const struct gmem *gmem, struct loop *loop,
					    struct error *err) MUST_CHECK;
/* Hand typed bytes to the guest.  Returns how many it had room for. */
size_t virtio_console_input(struct virtio_device *console, const void *data, size_t len);
void virtio_console_output_ready(struct virtio_device *console);
/* The terminal's size changed.  Any thread. */
void virtio_console_resize(struct virtio_device *console, uint16_t columns, uint16_t rows);

#endif
