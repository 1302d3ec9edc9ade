/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_image.h - open and lock a raw disk image
 * Threads: any.
 */
#ifndef ORIEL_DEVICES_DISK_IMAGE_H
#define ORIEL_DEVICES_DISK_IMAGE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct disk_image {
	int fd; /* owned; the lock goes with it */
	uint64_t len; /* bytes, a multiple of the block size, not 0 */
};

/*
 * Open @path, take a lock on the whole file (shared if @read_only, else exclusive) and learn its length.  Every failure is
 * one clear line.  Nothing in the file is changed.
 */
int disk_image_open(struct disk_image *image, const char *path, bool read_only, unsigned block_size,
		    struct error *err) MUST_CHECK;

#endif
