/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_io_priv.h - what a way of doing disk I/O in the background implements
 * Threads: see disk_io.h.
 */
#ifndef ORIEL_DEVICES_DISK_IO_PRIV_H
#define ORIEL_DEVICES_DISK_IO_PRIV_H

#include "devices/disk_io.h"

struct disk_backend;
struct disk_backend_ops {
	const char *name;
	/* Do request->step once; disk_io_step_done() tells the end of it. */
	void (*start)(struct disk_backend *backend, struct disk_request *request);
	void (*send)(struct disk_backend *backend);
	/* Block until at least one step is done, and report it. */
	void (*wait)(struct disk_backend *backend);
	/* Nothing is in flight. */
	void (*destroy)(struct disk_backend *backend);
};
struct disk_backend {
	const struct disk_backend_ops *ops;
	struct disk_io *io;
	int fd;
};

/* NULL if this host does not offer it. */
struct disk_backend *disk_uring_create(struct disk_io *io, int fd, struct loop *loop);
struct disk_backend *disk_threads_create(struct disk_io *io, int fd, struct loop *loop);

/* A step ended: bytes transferred or 0, or a negative errno.  Then, after the last of a batch, the second. */
void disk_io_step_done(struct disk_io *io, struct disk_request *request, int result);
void disk_io_batch_done(struct disk_io *io);

/* A DISCARD or ZERO request: are the blocks kept, or given back to the file's host? */
bool disk_keeps_blocks(const struct disk_request *request);

#endif
