/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_blk.c - a disk in a raw image file (virtio 1.2, 5.2)
 *
 * How it works: a chain becomes a blk_request with iovecs into guest memory, goes to disk_io, and comes back as a
 * status byte.  All requests of one notify are sent together, all answers of one batch share an interrupt.
 * Invariants: every sector range is inside the image before disk_io sees it.
 * Threads: the device's loop; only `write_back` is shared with vCPU threads (configuration space).
 */
#include "devices/virtio_blk.h"

#include "base/log.h"
#include "base/own.h"
#include "devices/disk_image.h"
#include "devices/disk_io.h"
#include "virtio/virtq.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Feature bits: 5.2.3 */
#define BLK_F_SEG_MAX	   (UINT64_C(1) << 2)
#define BLK_F_RO	   (UINT64_C(1) << 5)
#define BLK_F_BLK_SIZE	   (UINT64_C(1) << 6)
#define BLK_F_FLUSH	   (UINT64_C(1) << 9)
#define BLK_F_TOPOLOGY	   (UINT64_C(1) << 10)
#define BLK_F_CONFIG_WCE   (UINT64_C(1) << 11)
#define BLK_F_DISCARD	   (UINT64_C(1) << 13)
#define BLK_F_WRITE_ZEROES (UINT64_C(1) << 14)

enum {
	BLK_SECTOR = 512,
	BLK_QUEUE_SIZE = 256,
	BLK_ID_LEN = 20,
	BLK_MAX_RANGE = 1u << 21, /* sectors of a discard or write-zeroes: 1 GiB */
	BLK_RANGE_UNMAP = 1,

	/* request types and statuses: 5.2.6 */
	BLK_T_IN = 0,
	BLK_T_OUT = 1,
	BLK_T_FLUSH = 4,
	BLK_T_GET_ID = 8,
	BLK_T_DISCARD = 11,
	BLK_T_WRITE_ZEROES = 13,
	BLK_S_OK = 0,
	BLK_S_IOERR = 1,
	BLK_S_UNSUPPORTED = 2,
};

struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct blk_range {
	uint64_t sector;
	uint32_t count, flags;
};

/* 5.2.4 */
struct blk_config {
	uint64_t capacity; /* sectors */
	uint32_t size_max, seg_max;
	uint8_t geometry[4];
	uint32_t block_size;
	uint8_t physical_block_exp, alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t write_back, unused0;
	uint16_t queue_count;
	uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
};
static_assert(sizeof(struct blk_config) == 64, "layout of the block device configuration");
enum { BLK_CONFIG_LEN = 60 };

struct blk {
	struct virtio_device base;
	char *name, *path;
	char serial[BLK_ID_LEN];
	struct disk_image image;
	struct disk_io *io;
	bool read_only, resetting;
	atomic_bool write_back;
	struct blk_config config; /* constant but for write_back, which is filled in on reads */
};

struct blk_request {
	struct disk_request disk;
	struct blk *blk;
	struct virtq_chain *chain;
	struct iovec iov[];
};

static struct virtq *blk_queue(struct blk *blk)
{
	return virtio_device_queue(&blk->base, 0);
}

static void blk_answer(struct blk *blk, struct virtq_chain *chain, uint8_t status)
{
	virtq_chain_write(chain, chain->writable_len - 1, &status, 1);
	virtq_push(blk_queue(blk), chain, (uint32_t)chain->writable_len);
}

static void blk_report(const struct blk *blk, int result)
{
	if (result == -ENOSPC || result == -EDQUOT) {
		log_limited(LOG_ERROR, "%s: no space left on the host for %s; the guest gets an I/O error",
			    blk->name, blk->path);
	} else {
		log_limited(LOG_ERROR, "%s: %s: %s; the guest gets an I/O error", blk->name, blk->path,
			    strerror(-result));
	}
}

static void blk_done(struct disk_request *disk, int result)
{
	struct blk_request *request = (struct blk_request *)disk;
	if (result < 0) {
		blk_report(request->blk, result);
	}
	blk_answer(request->blk, request->chain, result < 0 ? BLK_S_IOERR : BLK_S_OK);
	free(request);
}

static void blk_batch_done(void *opaque)
{
	struct blk *blk = opaque;
	virtq_interrupt(blk_queue(blk));
	if (blk->resetting && !disk_io_in_flight(blk->io)) {
		blk->resetting = false;
		virtio_device_reset_done(&blk->base);
	}
}

/* Write-through: the driver cannot flush, or asked for it (5.2.5.1). */
static bool blk_is_write_through(const struct blk *blk)
{
	if (virtio_device_negotiated(&blk->base, BLK_F_CONFIG_WCE)) {
		return !atomic_load(&blk->write_back);
	}
	return !virtio_device_negotiated(&blk->base, BLK_F_FLUSH);
}

/* True if [sector, sector+count) is inside the image and made of whole blocks. */
static bool blk_range_is_good(const struct blk *blk, uint64_t sector, uint64_t count)
{
	uint64_t per_block = blk->config.block_size / BLK_SECTOR;
	return sector <= blk->config.capacity && count <= blk->config.capacity - sector &&
	       sector % per_block == 0 && count % per_block == 0;
}

/* False if memory is short. */
static bool blk_submit(struct blk *blk, struct virtq_chain *chain, enum disk_op op, uint64_t sector,
		       uint64_t len, bool keep_allocated)
{
	bool reads = op == DISK_READ, transfers = reads || op == DISK_WRITE;
	unsigned count = !transfers ? 0 : reads ? chain->writable_count : chain->readable_count;
	struct blk_request *request = calloc(1, sizeof(*request) + count * sizeof(request->iov[0]));
	if (!request) {
		return false;
	}
	request->blk = blk;
	request->chain = chain;
	request->disk = (struct disk_request){
		.op = op,
		.durable = blk_is_write_through(blk),
		.keep_allocated = keep_allocated,
		.offset = sector * BLK_SECTOR,
		.len = len,
		.iov = request->iov,
		.done = blk_done,
	};
	if (transfers) {
		request->disk.iov_count = virtq_slice(reads ? chain->writable : chain->readable, count,
						      reads ? 0 : sizeof(struct blk_header), len, request->iov);
	}
	disk_io_submit(blk->io, &request->disk);
	return true;
}

/* The rest of a chain: a status to answer now, or BLK_PENDING. */
enum { BLK_PENDING = 0x100 };

static unsigned blk_transfer(struct blk *blk, struct virtq_chain *chain, const struct blk_header *header)
{
	bool reads = header->type == BLK_T_IN;
	uint64_t len = reads ? chain->writable_len - 1 : chain->readable_len - sizeof(*header);
	if (!reads && blk->read_only) {
		return BLK_S_IOERR;
	}
	if (len % BLK_SECTOR || !blk_range_is_good(blk, header->sector, len / BLK_SECTOR)) {
		return BLK_S_IOERR;
	}
	if (!len) {
		return BLK_S_OK;
	}
	return blk_submit(blk, chain, reads ? DISK_READ : DISK_WRITE, header->sector, len, false) ?
		       BLK_PENDING :
		       BLK_S_IOERR;
}

/* Discard and write-zeroes, one range each (5.2.6.2). */
static unsigned blk_clear(struct blk *blk, struct virtq_chain *chain, const struct blk_header *header)
{
	bool discards = header->type == BLK_T_DISCARD;
	struct blk_range range;
	if (chain->readable_len != sizeof(*header) + sizeof(range) ||
	    virtq_chain_read(chain, sizeof(*header), &range, sizeof(range)) != sizeof(range)) {
		return BLK_S_UNSUPPORTED;
	}
	if (blk->read_only) {
		return BLK_S_IOERR;
	}
	if ((range.flags & ~(uint32_t)BLK_RANGE_UNMAP) || (discards && range.flags)) {
		return BLK_S_UNSUPPORTED;
	}
	if (range.count > BLK_MAX_RANGE || !blk_range_is_good(blk, range.sector, range.count)) {
		return BLK_S_IOERR;
	}
	if (!range.count) {
		return BLK_S_OK;
	}
	bool keep = !discards && !(range.flags & BLK_RANGE_UNMAP);
	return blk_submit(blk, chain, discards ? DISK_DISCARD : DISK_ZERO, range.sector,
			  (uint64_t)range.count * BLK_SECTOR, keep) ?
		       BLK_PENDING :
		       BLK_S_IOERR;
}

static unsigned blk_get_id(struct blk *blk, struct virtq_chain *chain)
{
	size_t room = chain->writable_len - 1;
	virtq_chain_write(chain, 0, blk->serial, room < BLK_ID_LEN ? room : BLK_ID_LEN);
	return BLK_S_OK;
}

static unsigned blk_start(struct blk *blk, struct virtq_chain *chain, const struct blk_header *header)
{
	switch (header->type) {
	case BLK_T_IN:
	case BLK_T_OUT: return blk_transfer(blk, chain, header);
	case BLK_T_FLUSH: return blk_submit(blk, chain, DISK_FLUSH, 0, 0, false) ? BLK_PENDING : BLK_S_IOERR;
	case BLK_T_GET_ID: return blk_get_id(blk, chain);
	case BLK_T_DISCARD:
	case BLK_T_WRITE_ZEROES: return blk_clear(blk, chain, header);
	default: return BLK_S_UNSUPPORTED;
	}
}

static bool blk_on_chain(void *opaque, struct virtq *queue, struct virtq_chain *chain)
{
	struct blk *blk = opaque;
	struct blk_header header;
	if (!chain->writable_len || virtq_chain_read(chain, 0, &header, sizeof(header)) != sizeof(header)) {
		virtio_device_break(&blk->base, "disk request without header or status byte");
		virtq_drop(queue, chain);
		return false;
	}
	unsigned status = blk_start(blk, chain, &header);
	if (status != BLK_PENDING) {
		blk_answer(blk, chain, (uint8_t)status);
	}
	return true;
}

static void blk_notify(struct virtio_device *device, unsigned index)
{
	struct blk *blk = (struct blk *)device;
	virtq_drain(blk_queue(blk), blk_on_chain, blk);
	disk_io_send(blk->io);
}

static void blk_reset(struct virtio_device *device)
{
	struct blk *blk = (struct blk *)device;
	atomic_store(&blk->write_back, true);
	blk->resetting = true;
	if (!disk_io_in_flight(blk->io)) {
		blk->resetting = false;
		virtio_device_reset_done(device);
	}
}

static uint64_t blk_config_read(struct virtio_device *device, unsigned offset, unsigned size)
{
	struct blk *blk = (struct blk *)device;
	struct blk_config config = blk->config;
	config.write_back = atomic_load(&blk->write_back);
	return virtio_config_load(&config, sizeof(config), offset, size);
}

static void blk_config_write(struct virtio_device *device, unsigned offset, unsigned size, uint64_t value)
{
	struct blk *blk = (struct blk *)device;
	if (offset == offsetof(struct blk_config, write_back) && size == 1) {
		atomic_store(&blk->write_back, value & 1);
	}
}

static void blk_destroy(struct virtio_device *device)
{
	struct blk *blk = (struct blk *)device;
	blk->resetting = false;
	disk_io_destroy(blk->io);
	virtio_device_finish(device);
	own_close(&blk->image.fd);
	free(blk->name);
	free(blk->path);
	free(blk);
}

static const struct virtio_device_ops blk_ops = {
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.notify = blk_notify,
	.reset = blk_reset,
	.destroy = blk_destroy,
};

static void blk_fill_config(struct blk *blk, unsigned block_size)
{
	struct blk_config *config = &blk->config;
	config->capacity = blk->image.len / BLK_SECTOR;
	config->seg_max = BLK_QUEUE_SIZE - 2;
	config->block_size = block_size;
	config->physical_block_exp = block_size == 512 ? 3 : 0; /* 4 KiB */
	config->min_io_size = (uint16_t)(4096 / block_size);
	config->queue_count = 1;
	config->max_discard_sectors = config->max_write_zeroes_sectors = BLK_MAX_RANGE;
	config->max_discard_seg = config->max_write_zeroes_seg = 1;
	config->discard_sector_alignment = 4096 / BLK_SECTOR;
	config->write_zeroes_may_unmap = 1;
}

static int blk_init(struct blk *blk, const struct virtio_blk_config *config, struct error *err)
{
	unsigned block_size = config->block_size ? config->block_size : BLK_SECTOR;
	if (block_size != 512 && block_size != 4096) {
		return error_set(err, -EINVAL, "%s: block size %u is neither 512 nor 4096", config->name, block_size);
	}
	blk->name = strdup(config->name);
	blk->path = strdup(config->path);
	if (!blk->name || !blk->path) {
		return error_set(err, -ENOMEM, "%s: out of memory", config->name);
	}
	const char *serial = config->serial ? config->serial : config->name;
	memcpy(blk->serial, serial, strnlen(serial, BLK_ID_LEN)); /* padded with zeros */
	blk->read_only = config->read_only;
	atomic_store(&blk->write_back, true);
	int ret = disk_image_open(&blk->image, config->path, config->read_only, block_size, err);
	if (ret < 0) {
		return ret;
	}
	blk_fill_config(blk, block_size);
	blk->base.features = BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_TOPOLOGY |
			     (blk->read_only ? BLK_F_RO :
					       BLK_F_FLUSH | BLK_F_CONFIG_WCE | BLK_F_DISCARD | BLK_F_WRITE_ZEROES);
	blk->io = disk_io_create(blk->image.fd, blk->base.loop, config->force_threads, blk_batch_done, blk, err);
	if (!blk->io) {
		error_context(err, "%s", config->name);
		return -ENOMEM;
	}
	blk->base.name = blk->name;
	return virtio_device_init(&blk->base, err);
}

struct virtio_device *virtio_blk_create(const struct virtio_blk_config *config, const struct gmem *gmem,
					struct loop *loop, struct error *err)
{
	struct blk *blk = calloc(1, sizeof(*blk));
	if (!blk) {
		error_set(err, -ENOMEM, "%s: out of memory", config->name);
		return NULL;
	}
	blk->image.fd = -1;
	blk->base = (struct virtio_device){
		.ops = &blk_ops,
		.loop = loop,
		.gmem = gmem,
		.id = VIRTIO_ID_BLOCK,
		.pci_class = 0x010000,
		.queue_count = 1,
		.queue_size = BLK_QUEUE_SIZE,
		.config_len = BLK_CONFIG_LEN,
	};
	if (blk_init(blk, config, err) < 0) {
		virtio_device_destroy(&blk->base);
		return NULL;
	}
	log_debug("%s: %s by %s", blk->name, blk->path, disk_io_backend(blk->io));
	return &blk->base;
}
