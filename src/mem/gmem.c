/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gmem.c - guest memory: RAM regions by guest physical address
 *
 * How it works: a sorted handful of memfd mappings; a look-up is a linear scan.
 * Invariants: regions do not overlap; nothing changes after gmem_seal().
 * Threads: see gmem.h.
 */
#include "mem/gmem.h"

#include "base/os.h"
#include "base/own.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#define GMEM_ALIGN (UINT64_C(2) << 20)
#define HOLE_ALIGN UINT64_C(0x10000) /* of the largest pages */

struct gmem {
	atomic_size_t count;
	bool sealed;
	struct gmem_region regions[GMEM_MAX_REGIONS];
	struct gmem_hole holes[GMEM_MAX_HOLES];
	size_t hole_count;
};

struct gmem *gmem_create(void)
{
	return calloc(1, sizeof(struct gmem));
}

void gmem_destroy(struct gmem *gmem)
{
	if (!gmem) {
		return;
	}
	for (size_t i = 0; i < gmem->count; i++) {
		if (gmem->regions[i].fd >= 0) {
			munmap(gmem->regions[i].hva, gmem->regions[i].len);
			close(gmem->regions[i].fd);
		}
	}
	free(gmem);
}

static bool gmem_is_free(const struct gmem *gmem, uint64_t gpa, uint64_t len)
{
	for (size_t i = 0; i < gmem->count; i++) {
		const struct gmem_region *r = &gmem->regions[i];
		if (gpa < r->gpa + r->len && r->gpa < gpa + len) {
			return false;
		}
	}
	return true;
}

/* Map all of @fd where a huge page begins: the host can use such then, and hypervisors want 16 KiB at least. */
static void *map_aligned(int fd, uint64_t len)
{
	const uint64_t room = len + GMEM_ALIGN;
	uint8_t *range = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (range == MAP_FAILED) {
		return MAP_FAILED;
	}
	uint8_t *hva = (uint8_t *)(((uintptr_t)range + GMEM_ALIGN - 1) & ~(uintptr_t)(GMEM_ALIGN - 1));
	if (mmap(hva, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0) == MAP_FAILED) {
		munmap(range, room);
		return MAP_FAILED;
	}
	uint64_t before = (uint64_t)(hva - range);
	if (before) {
		munmap(range, before);
	}
	munmap(hva + len, GMEM_ALIGN - before);
	return hva;
}

int gmem_add_ram(struct gmem *gmem, uint64_t gpa, uint64_t len, struct error *err)
{
	assert(!gmem->sealed && len && !(gpa & 0xffff) && !(len & 0xffff));
	if (gmem->count == GMEM_MAX_REGIONS) {
		return error_set(err, -ENOSPC, "guest memory: too many regions");
	}
	if (!gmem_is_free(gmem, gpa, len)) {
		return error_set(err, -EEXIST, "guest memory: region at 0x%" PRIx64 " overlaps another", gpa);
	}
	AUTO_FD int fd = os_memory("guest-ram");
	if (fd < 0 || ftruncate(fd, (off_t)len) < 0) {
		return error_errno(err, "guest memory: %" PRIu64 " MiB", len >> 20);
	}
	void *hva = map_aligned(fd, len);
	if (hva == MAP_FAILED) {
		return error_errno(err, "guest memory: map %" PRIu64 " MiB", len >> 20);
	}
	os_prefer_huge(hva, len);
	gmem->regions[gmem->count++] =
		(struct gmem_region){.gpa = gpa, .len = len, .hva = hva, .fd = fd_take(&fd)};
	return 0;
}

/* Also takes in the holes that [start, end) meets. */
static int add_hole(struct gmem *gmem, uint64_t start, uint64_t end)
{
	size_t kept = 0, at = 0;
	for (size_t i = 0; i < gmem->hole_count; i++) {
		struct gmem_hole h = gmem->holes[i];
		if (h.gpa <= end && start <= h.gpa + h.len) {
			start = h.gpa < start ? h.gpa : start;
			end = h.gpa + h.len > end ? h.gpa + h.len : end;
		} else {
			at += h.gpa < start;
			gmem->holes[kept++] = h;
		}
	}
	gmem->hole_count = kept;
	if (kept == GMEM_MAX_HOLES) {
		return -ENOSPC;
	}
	memmove(&gmem->holes[at + 1], &gmem->holes[at], (kept - at) * sizeof(gmem->holes[0]));
	gmem->holes[at] = (struct gmem_hole){start, end - start};
	gmem->hole_count++;
	return 0;
}

int gmem_add_hole(struct gmem *gmem, uint64_t first, uint64_t last)
{
	int rc = 0;
	assert(!gmem->sealed);
	first &= ~(HOLE_ALIGN - 1);
	last |= HOLE_ALIGN - 1;
	for (size_t i = 0; rc == 0 && i < gmem->count; i++) {
		const struct gmem_region *r = &gmem->regions[i];
		uint64_t r_last = r->gpa + (r->len - 1);
		if (first <= r_last && r->gpa <= last) {
			rc = add_hole(gmem, first > r->gpa ? first : r->gpa, (last < r_last ? last : r_last) + 1);
		}
	}
	return rc;
}

const struct gmem_hole *gmem_holes(const struct gmem *gmem, size_t *count)
{
	*count = gmem->hole_count;
	return gmem->holes;
}

uint64_t gmem_skip_holes(const struct gmem *gmem, const struct gmem_region *region, uint64_t *offset)
{
	for (size_t i = 0; i < gmem->hole_count && *offset < region->len; i++) {
		const struct gmem_hole *h = &gmem->holes[i];
		uint64_t at = region->gpa + *offset, end = region->gpa + region->len;
		if (h->gpa > at) {
			return (h->gpa < end ? h->gpa : end) - at;
		}
		if (h->gpa + h->len > at) {
			*offset = h->gpa + h->len - region->gpa;
		}
	}
	return *offset < region->len ? region->len - *offset : 0;
}

int gmem_add_borrowed(struct gmem *gmem, uint64_t gpa, uint64_t len, void *hva, bool read_only)
{
	assert(!gmem->sealed && len);
	if (gmem->count == GMEM_MAX_REGIONS) {
		return -ENOSPC;
	}
	if (gpa + len < gpa || !gmem_is_free(gmem, gpa, len)) {
		return -EEXIST;
	}
	gmem->regions[gmem->count] = (struct gmem_region){gpa, len, hva, -1, read_only};
	gmem->count++; /* readers see it whole */
	return 0;
}

void gmem_remove(struct gmem *gmem, uint64_t gpa)
{
	for (size_t i = 0; i < gmem->count; i++) {
		if (gmem->regions[i].gpa == gpa && gmem->regions[i].fd < 0) {
			gmem->regions[i] = gmem->regions[gmem->count - 1];
			gmem->count--;
			return;
		}
	}
}

void gmem_seal(struct gmem *gmem)
{
	gmem->sealed = true;
}

size_t gmem_region_count(const struct gmem *gmem)
{
	return gmem->count;
}

const struct gmem_region *gmem_region(const struct gmem *gmem, size_t index)
{
	assert(index < gmem->count);
	return &gmem->regions[index];
}

/* Host address of [gpa, gpa+len) inside one region, or NULL. */
static uint8_t *gmem_at(const struct gmem *gmem, uint64_t gpa, uint64_t len, bool for_write)
{
	for (size_t i = 0; i < gmem->count; i++) {
		const struct gmem_region *r = &gmem->regions[i];
		uint64_t offset = gpa - r->gpa;
		if (offset < r->len && len <= r->len - offset) {
			return for_write && r->read_only ? NULL : r->hva + offset;
		}
	}
	return NULL;
}

int gmem_read(const struct gmem *gmem, uint64_t gpa, void *to, size_t len)
{
	const uint8_t *from = gmem_at(gmem, gpa, len, false);
	if (!from) {
		return -EFAULT;
	}
	memcpy(to, from, len);
	return 0;
}

int gmem_write(const struct gmem *gmem, uint64_t gpa, const void *from, size_t len)
{
	uint8_t *to = gmem_at(gmem, gpa, len, true);
	if (!to) {
		return -EFAULT;
	}
	memcpy(to, from, len);
	return 0;
}

int gmem_zero(const struct gmem *gmem, uint64_t gpa, size_t len)
{
	uint8_t *to = gmem_at(gmem, gpa, len, true);
	if (!to) {
		return -EFAULT;
	}
	memset(to, 0, len);
	return 0;
}

int gmem_iov(const struct gmem *gmem, uint64_t gpa, size_t len, bool for_write, struct iovec *iov)
{
	uint8_t *base = gmem_at(gmem, gpa, len, for_write);
	if (!base) {
		return -EFAULT;
	}
	*iov = (struct iovec){.iov_base = base, .iov_len = len};
	return 0;
}

void *gmem_ring(const struct gmem *gmem, uint64_t gpa, size_t len)
{
	return gmem_at(gmem, gpa, len, true);
}
