/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_io.h - reads, writes, flushes and holes of one file in the background
 *
 * How it works: io_uring where the kernel lets us have it, else a few worker threads; both behind one table of functions.
 * Short transfers are continued, zeroing falls back to writing zeros, so a request is done whole or fails.
 * Threads: all calls and callbacks on the loop's thread.
 */
#ifndef ORIEL_DEVICES_DISK_IO_H
#define ORIEL_DEVICES_DISK_IO_H

#include "base/error.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,
	DISK_DISCARD, /* advice: done even if the file system cannot */
	DISK_ZERO,
};

struct disk_request {
	enum disk_op op;
	bool durable;	     /* not done before the data is on stable storage */
	bool keep_allocated; /* DISK_ZERO: may not make a hole */
	uint64_t offset, len; /* bytes; inside the file */
	struct iovec *iov;    /* READ, WRITE: @len bytes; consumed */
	unsigned iov_count;
	/* @result is 0 or a negative errno.  The request is the caller's again. */
	void (*done)(struct disk_request *request, int result);

	/* disk_io's own */
	struct disk_request *next;
	enum disk_step { DISK_STEP_TRANSFER, DISK_STEP_FALLOCATE, DISK_STEP_SYNC } step;
	int result;
	struct iovec *zero_iov; /* owned: many times one block of zeros */
};

struct disk_io;

/* @fd is borrowed.  @batch_done (optional) is called after each batch of done() callbacks. */
struct disk_io *disk_io_create(int fd, struct loop *loop, bool force_threads,
			       void (*batch_done)(void *opaque), void *opaque,
			       struct error *err) MUST_CHECK;
/* Waits for what is in flight, calling done().  Accepts NULL. */
void disk_io_destroy(struct disk_io *io);

/* Start @request.  It may wait to be sent until disk_io_send(). */
void disk_io_submit(struct disk_io *io, struct disk_request *request);
void disk_io_send(struct disk_io *io);
unsigned disk_io_in_flight(const struct disk_io *io);
/* "io_uring" or "threads". */
const char *disk_io_backend(const struct disk_io *io);

#endif
