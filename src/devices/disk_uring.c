/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_uring.c - disk I/O by io_uring
 *
 * How it works: a ring of its own for each disk.  Steps become submission entries; the kernel rings an eventfd
 * on the loop when some are complete.
 * Invariants: at most DISK_URING_ENTRIES steps are with the kernel, so the completion queue cannot overflow; more wait in a list.
 * Threads: see disk_io.h.
 */
#include "base/os.h"
#include "devices/disk_io_priv.h"

#include "base/log.h"
#include "base/own.h"

#ifdef ORIEL_HAVE_LIBURING
#include <errno.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DISK_URING_ENTRIES = 256 };

struct disk_uring {
	struct disk_backend base;
	struct io_uring ring;
	bool has_ring;
	int event;
	struct loop_source *source;
	unsigned with_kernel, unsent;
	struct disk_request *waiting, **waiting_tail; /* did not fit */
};

static void disk_uring_prepare(struct disk_uring *u, struct io_uring_sqe *sqe, struct disk_request *r)
{
	int fd = u->base.fd;
	switch (r->step) {
	case DISK_STEP_TRANSFER:
		if (r->op == DISK_READ) {
			io_uring_prep_readv(sqe, fd, r->iov, r->iov_count, r->offset);
		} else {
			io_uring_prep_writev2(sqe, fd, r->iov, r->iov_count, r->offset,
					      r->durable ? RWF_DSYNC : 0);
		}
		break;
	case DISK_STEP_FALLOCATE:
		io_uring_prep_fallocate(
			sqe, fd,
			(disk_keeps_blocks(r) ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE) | FALLOC_FL_KEEP_SIZE,
			r->offset, r->len);
		break;
	case DISK_STEP_SYNC: io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC); break;
	}
	io_uring_sqe_set_data(sqe, r);
}

/* False if there is no room at the moment. */
static bool disk_uring_push(struct disk_uring *u, struct disk_request *request)
{
	if (u->with_kernel + u->unsent >= DISK_URING_ENTRIES) {
		return false;
	}
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	if (!sqe) {
		return false;
	}
	disk_uring_prepare(u, sqe, request);
	u->unsent++;
	return true;
}

static void disk_uring_start(struct disk_backend *backend, struct disk_request *request)
{
	struct disk_uring *u = (struct disk_uring *)backend;
	if (u->waiting || !disk_uring_push(u, request)) {
		request->next = NULL;
		*u->waiting_tail = request;
		u->waiting_tail = &request->next;
	}
}

static void disk_uring_push_waiting(struct disk_uring *u)
{
	while (u->waiting && disk_uring_push(u, u->waiting)) {
		u->waiting = u->waiting->next;
	}
	if (!u->waiting) {
		u->waiting_tail = &u->waiting;
	}
}

static void disk_uring_send(struct disk_backend *backend)
{
	struct disk_uring *u = (struct disk_uring *)backend;
	disk_uring_push_waiting(u);
	while (u->unsent) {
		int sent = io_uring_submit(&u->ring);
		if (sent < 0 && sent != -EINTR && sent != -EAGAIN && sent != -EBUSY) {
			log_limited(LOG_ERROR, "disk: io_uring does not accept requests: %s", strerror(-sent));
		}
		if (sent <= 0) {
			return; /* completions will come and bring us here again */
		}
		u->unsent -= (unsigned)sent;
		u->with_kernel += (unsigned)sent;
	}
}

static void disk_uring_reap(struct disk_uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned count = 0;
	while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
		struct disk_request *request = io_uring_cqe_get_data(cqe);
		int result = cqe->res;
		io_uring_cqe_seen(&u->ring, cqe);
		u->with_kernel--;
		count++;
		disk_io_step_done(u->base.io, request, result);
	}
	if (count) {
		disk_io_batch_done(u->base.io);
	}
}

static void disk_uring_on_event(void *opaque, uint32_t events)
{
	struct disk_uring *u = opaque;
	(void)os_bell_clear(u->event);
	disk_uring_reap(u);
}

static void disk_uring_wait(struct disk_backend *backend)
{
	struct disk_uring *u = (struct disk_uring *)backend;
	struct io_uring_cqe *cqe;
	if (u->with_kernel && io_uring_wait_cqe(&u->ring, &cqe) == 0) {
		disk_uring_reap(u);
	}
}

static void disk_uring_destroy(struct disk_backend *backend)
{
	struct disk_uring *u = (struct disk_uring *)backend;
	loop_remove(u->source);
	if (u->has_ring) {
		io_uring_queue_exit(&u->ring);
	}
	own_close(&u->event);
	free(u);
}

static const struct disk_backend_ops disk_uring_ops = {
	.name = "io_uring",
	.start = disk_uring_start,
	.send = disk_uring_send,
	.wait = disk_uring_wait,
	.destroy = disk_uring_destroy,
};

static bool disk_uring_can_all(struct io_uring *ring)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	if (!probe) {
		return false;
	}
	bool can = io_uring_opcode_supported(probe, IORING_OP_READV) &&
		   io_uring_opcode_supported(probe, IORING_OP_WRITEV) &&
		   io_uring_opcode_supported(probe, IORING_OP_FSYNC) &&
		   io_uring_opcode_supported(probe, IORING_OP_FALLOCATE);
	io_uring_free_probe(probe);
	return can;
}

struct disk_backend *disk_uring_create(struct disk_io *io, int fd, struct loop *loop)
{
	struct disk_uring *u = calloc(1, sizeof(*u));
	if (!u) {
		return NULL;
	}
	u->base = (struct disk_backend){.ops = &disk_uring_ops, .io = io, .fd = fd};
	u->waiting_tail = &u->waiting;
	u->event = os_bell();
	u->has_ring = u->event >= 0 && io_uring_queue_init(DISK_URING_ENTRIES, &u->ring, 0) == 0;
	if (u->has_ring && disk_uring_can_all(&u->ring) &&
	    io_uring_register_eventfd(&u->ring, u->event) == 0) {
		u->source = loop_add_fd(loop, u->event, LOOP_IN, disk_uring_on_event, u);
	}
	if (!u->source) {
		disk_uring_destroy(&u->base);
		return NULL;
	}
	return &u->base;
}
#else
struct disk_backend *disk_uring_create(struct disk_io *io, int fd, struct loop *loop)
{
	return NULL; /* built without liburing */
}
#endif
