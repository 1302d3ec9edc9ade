/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gmem.h - guest memory: RAM regions by guest physical address (GPA), for devices
 *
 * Regions are added while the VM is assembled and never change after gmem_seal(); so readers need no lock.
 * (Hot-plug will replace the whole struct.)  Every access is bounds-checked; a device never sees a host pointer
 * except in an iovec made for one system call, or a gmem_ring pointer for virtqueue fields.
 * Threads: assembly is single-threaded; after gmem_seal() any thread.
 */
#ifndef ORIEL_MEM_GMEM_H
#define ORIEL_MEM_GMEM_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { GMEM_MAX_REGIONS = 32, GMEM_MAX_HOLES = 16 };

struct gmem_region {
	uint64_t gpa, len; /* bytes, page aligned */
	uint8_t *hva;	   /* host mapping, MAP_SHARED of fd at offset 0 */
	int fd;		   /* memfd, owned by the gmem; -1: the mapping is borrowed */
	bool read_only;	   /* devices may not write (ROM) */
};

/* A part of RAM that devices of the host can not reach; the guest is told to leave it alone. */
struct gmem_hole {
	uint64_t gpa, len; /* multiples of 64 KiB */
};

struct gmem;

struct gmem *gmem_create(void);
/* Accepts NULL.  No reader may be left. */
void gmem_destroy(struct gmem *gmem);
/* Add zeroed RAM of @len bytes at @gpa (both multiples of 64 KiB).  -EEXIST on overlap, -ENOMEM, -ENOSPC. */
int gmem_add_ram(struct gmem *gmem, uint64_t gpa, uint64_t len, struct error *err) MUST_CHECK;
/* What of [first, last] is RAM becomes a hole.  -ENOSPC. */
int gmem_add_hole(struct gmem *gmem, uint64_t first, uint64_t last) MUST_CHECK;
/*
 * Show memory of somebody else: @len bytes at @hva, borrowed until gmem_remove().  Never sealed; readers of other ranges may run.
 * -EEXIST on overlap, -ENOSPC.
 */
int gmem_add_borrowed(struct gmem *gmem, uint64_t gpa, uint64_t len, void *hva, bool read_only) MUST_CHECK;
/* Forget the borrowed region at @gpa.  No reader may run. */
void gmem_remove(struct gmem *gmem, uint64_t gpa);
void gmem_seal(struct gmem *gmem);

size_t gmem_region_count(const struct gmem *gmem);
const struct gmem_region *gmem_region(const struct gmem *gmem, size_t index);

/* Sorted, apart from each other; valid as long as @gmem is. */
const struct gmem_hole *gmem_holes(const struct gmem *gmem, size_t *count);
/*
 * The next part of @region, at @offset or behind it, that is not a hole: where it begins is stored in *offset.  Returns its
 * length; 0: there is no more.
 */
uint64_t gmem_skip_holes(const struct gmem *gmem, const struct gmem_region *region, uint64_t *offset);

/* Copy between host and guest; the whole range must lie in RAM, else -EFAULT and nothing is copied. */
int gmem_read(const struct gmem *gmem, uint64_t gpa, void *to, size_t len) MUST_CHECK;
int gmem_write(const struct gmem *gmem, uint64_t gpa, const void *from, size_t len) MUST_CHECK;
int gmem_zero(const struct gmem *gmem, uint64_t gpa, size_t len) MUST_CHECK;

/*
 * One iovec for [gpa, gpa+len), which must lie in a single region (and be writable if @for_write).
 * -EFAULT otherwise.  For one system call; a guest may change the bytes at any time.
 */
int gmem_iov(const struct gmem *gmem, uint64_t gpa, size_t len, bool for_write, struct iovec *iov) MUST_CHECK;

/*
 * Pointer to @len bytes for atomic ring accesses by src/virtio and for the engine's own use; NULL if not in one writable
 * region.  Every load through it must be once, into a local.
 */
void *gmem_ring(const struct gmem *gmem, uint64_t gpa, size_t len);

#endif
