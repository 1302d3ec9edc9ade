/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_blk.h - a disk in a raw image file (virtio 1.2, 5.2)
 *
 * How it works: the image is locked while the VM has it (exclusively, or shared if read-only), so no two VMs write one
 * file.  Requests run in the background, many at once (disk_io.h), and come back on the device's loop.
 * Durability: the driver that knows FLUSH gets a write-back cache (or write-through if it sets so), and a flush is fdatasync();
 * for a driver without FLUSH every write is made durable before it is answered.  Discard gives space back
 * if the file system can.  A full host disk or an I/O error is an error of that request, said once in the log.
 * Threads: create before the loop runs or on its thread.
 */
#ifndef ORIEL_DEVICES_VIRTIO_BLK_H
#define ORIEL_DEVICES_VIRTIO_BLK_H

#include "virtio/device.h"

struct virtio_blk_config {
	const char *name;     /* for messages, e.g. "disk0"; copied */
	const char *path;     /* regular file or block device; its length is a multiple of 512 bytes */
	bool read_only;	      /* also shares the image with other read-only users */
	unsigned block_size;  /* 512 or 4096; 0 means 512 */
	const char *serial;   /* up to 20 characters that the guest can ask for; NULL: the name */
	bool force_threads;   /* do not use io_uring (tests) */
};

/*
 * Open, check and lock the image, make the device.  NULL with one clear line in @err: no such file, not a disk image, held by
 * another VM, length not a multiple of the block size...
 */
struct virtio_device *virtio_blk_create(const struct virtio_blk_config *config, const struct gmem *gmem,
					struct loop *loop, struct error *err) MUST_CHECK;

#endif
