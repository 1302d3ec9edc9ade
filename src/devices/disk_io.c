/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_io.c - the life of a disk request, whoever carries it out
 *
 * How it works: a request is a sequence of steps (transfer or fallocate, then perhaps sync).  After each step it is decided
 * here what comes next: the rest of a short transfer, zeros by hand where the file system has no fast way, the sync of a
 * durable request, or the end.
 * Threads: see disk_io.h.
 */
#include "devices/disk_io_priv.h"

#include <errno.h>
#include <stdlib.h>

enum { DISK_ZERO_BLOCK = 64 * 1024, DISK_ZERO_BLOCKS = 64 };

struct disk_io {
	struct disk_backend *backend;
	unsigned in_flight;
	void (*batch_done)(void *opaque);
	void *opaque;
};

struct disk_io *disk_io_create(int fd, struct loop *loop, bool force_threads,
			       void (*batch_done)(void *opaque), void *opaque, struct error *err)
{
	struct disk_io *io = calloc(1, sizeof(*io));
	if (!io) {
		error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	io->batch_done = batch_done;
	io->opaque = opaque;
	if (!force_threads) {
		io->backend = disk_uring_create(io, fd, loop);
	}
	if (!io->backend) {
		io->backend = disk_threads_create(io, fd, loop);
	}
	if (!io->backend) {
		error_set(err, -ENOMEM, "cannot start threads for disk I/O");
		free(io);
		return NULL;
	}
	return io;
}

void disk_io_destroy(struct disk_io *io)
{
	if (!io) {
		return;
	}
	while (io->in_flight) {
		io->backend->ops->send(io->backend);
		io->backend->ops->wait(io->backend);
	}
	io->backend->ops->destroy(io->backend);
	free(io);
}

unsigned disk_io_in_flight(const struct disk_io *io)
{
	return io->in_flight;
}

const char *disk_io_backend(const struct disk_io *io)
{
	return io->backend->ops->name;
}

bool disk_keeps_blocks(const struct disk_request *request)
{
	return request->op != DISK_DISCARD && request->keep_allocated;
}

static void disk_start(struct disk_io *io, struct disk_request *request, enum disk_step step)
{
	request->step = step;
	io->backend->ops->start(io->backend, request);
}

void disk_io_submit(struct disk_io *io, struct disk_request *request)
{
	io->in_flight++;
	request->zero_iov = NULL;
	switch (request->op) {
	case DISK_READ:
	case DISK_WRITE: disk_start(io, request, DISK_STEP_TRANSFER); break;
	case DISK_FLUSH: disk_start(io, request, DISK_STEP_SYNC); break;
	case DISK_DISCARD:
	case DISK_ZERO: disk_start(io, request, DISK_STEP_FALLOCATE); break;
	}
}

void disk_io_send(struct disk_io *io)
{
	io->backend->ops->send(io->backend);
}

static void disk_finish(struct disk_io *io, struct disk_request *request, int result)
{
	io->in_flight--;
	free(request->zero_iov);
	request->zero_iov = NULL;
	request->done(request, result);
}

/* Point the request's iovecs at zeros: as many as are left, up to 4 MiB. */
static void disk_aim_at_zeros(struct disk_request *request)
{
	static const uint8_t zeros[DISK_ZERO_BLOCK];
	uint64_t left = request->len;
	request->iov = request->zero_iov;
	request->iov_count = 0;
	while (left && request->iov_count < DISK_ZERO_BLOCKS) {
		size_t part = left < sizeof(zeros) ? (size_t)left : sizeof(zeros);
		request->iov[request->iov_count++] = (struct iovec){(void *)zeros, part};
		left -= part;
	}
}

static void disk_zero_by_hand(struct disk_io *io, struct disk_request *request)
{
	request->zero_iov = calloc(DISK_ZERO_BLOCKS, sizeof(request->zero_iov[0]));
	if (!request->zero_iov) {
		disk_finish(io, request, -ENOMEM);
		return;
	}
	disk_aim_at_zeros(request);
	disk_start(io, request, DISK_STEP_TRANSFER);
}

static void disk_after_fallocate(struct disk_io *io, struct disk_request *request, int result)
{
	bool unsupported = result == -EOPNOTSUPP || result == -ENOSYS || result == -ENODEV || result == -EINVAL;
	if (unsupported && request->op == DISK_ZERO) {
		disk_zero_by_hand(io, request);
	} else if (unsupported || result >= 0) {
		if (request->durable && result >= 0) {
			disk_start(io, request, DISK_STEP_SYNC);
		} else {
			disk_finish(io, request, 0);
		}
	} else {
		disk_finish(io, request, result);
	}
}

/* Skip @bytes of the iovecs. */
static void disk_advance(struct disk_request *request, size_t bytes)
{
	request->offset += bytes;
	request->len -= bytes;
	while (bytes && bytes >= request->iov->iov_len) {
		bytes -= request->iov->iov_len;
		request->iov++;
		request->iov_count--;
	}
	if (bytes) {
		request->iov->iov_base = (uint8_t *)request->iov->iov_base + bytes;
		request->iov->iov_len -= bytes;
	}
}

static void disk_after_transfer(struct disk_io *io, struct disk_request *request, int result)
{
	if (result == -EINTR || result == -EAGAIN) {
		disk_start(io, request, DISK_STEP_TRANSFER);
	} else if (result <= 0 || (uint64_t)result > request->len) {
		disk_finish(io, request, result < 0 ? result : -EIO); /* 0: someone cut the file */
	} else {
		disk_advance(request, (size_t)result);
		if (!request->len) {
			disk_finish(io, request, 0); /* durable ones were written through */
			return;
		}
		if (request->zero_iov) {
			disk_aim_at_zeros(request);
		}
		disk_start(io, request, DISK_STEP_TRANSFER);
	}
}

void disk_io_step_done(struct disk_io *io, struct disk_request *request, int result)
{
	switch (request->step) {
	case DISK_STEP_TRANSFER: disk_after_transfer(io, request, result); break;
	case DISK_STEP_FALLOCATE: disk_after_fallocate(io, request, result); break;
	case DISK_STEP_SYNC: disk_finish(io, request, result < 0 ? result : 0); break;
	}
}

void disk_io_batch_done(struct disk_io *io)
{
	disk_io_send(io);
	if (io->batch_done) {
		io->batch_done(io->opaque);
	}
}
