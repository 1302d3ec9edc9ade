/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - see memory.h */
#include "engine/soft/memory.h"

#include "base/log.h"
#include "base/os.h"
#include "base/own.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

enum { WORD_BITS = sizeof(unsigned long) * CHAR_BIT };

void memory_init(struct memory *memory, void (*on_loss)(void *opaque, uint64_t offset), void *opaque)
{
	memset(memory, 0, sizeof(*memory));
	memory->on_loss = on_loss;
	memory->opaque = opaque;
	pthread_mutex_init(&memory->lock, NULL);
	atomic_store(&memory->window_gpa, MEMORY_NOWHERE);
}

void memory_finish(struct memory *memory)
{
	if (memory->window_hva) {
		guard_remove(&memory->window_guard);
		munmap(memory->window_hva, memory->window_len);
	}
	free(memory->window_mapped);
	free(memory->window_starts);
	pthread_mutex_destroy(&memory->lock);
}

static bool overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

int memory_add(struct memory *memory, uint64_t gpa, uint64_t len, void *hva, bool read_only,
	       struct error *err)
{
	uint64_t end;
	if (!len || (gpa | len | (uintptr_t)hva) % MEMORY_PAGE || __builtin_add_overflow(gpa, len, &end)) {
		return error_set(err, -EINVAL, "memory at 0x%llx is not whole pages",
				 (unsigned long long)gpa);
	}
	if (memory->count == MEMORY_REGIONS) {
		return error_set(err, -ENOSPC, "more than %d memory regions", MEMORY_REGIONS);
	}
	for (unsigned n = 0; n < memory->count; n++) {
		const struct memory_region *r = &memory->regions[n];
		if (overlaps(gpa, len, r->gpa, r->len)) {
			return error_set(err, -EEXIST, "memory at 0x%llx overlaps 0x%llx",
					 (unsigned long long)gpa, (unsigned long long)r->gpa);
		}
	}
	memory->regions[memory->count++] = (struct memory_region){gpa, len, hva, read_only};
	return 0;
}

static bool window_loses(struct guard *guard, const uint8_t *at);

/* The range is reserved once; a private mapping without reserve costs nothing until it is touched. */
static int reserve_window(struct memory *memory, uint64_t len, struct error *err)
{
	if (!len || len % MEMORY_PAGE) {
		return error_set(err, -EINVAL, "GPU window of %llu bytes", (unsigned long long)len);
	}
	uint64_t words = (len / MEMORY_PAGE + WORD_BITS - 1) / WORD_BITS;
	AUTO_FREE atomic_ulong *mapped = calloc(words, sizeof(*mapped));
	AUTO_FREE unsigned long *starts = calloc(words, sizeof(*starts));
	if (!mapped || !starts) {
		return error_set(err, -ENOMEM, "GPU window of %llu bytes", (unsigned long long)len);
	}
	void *hva = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			 -1, 0);
	if (hva == MAP_FAILED) {
		return error_errno(err, "reserve a GPU window of %llu bytes", (unsigned long long)len);
	}
	memory->window_mapped = mapped;
	memory->window_starts = starts;
	mapped = NULL;
	starts = NULL;
	memory->window_hva = hva;
	memory->window_len = len;
	memory->window_guard = (struct guard){.start = hva, .len = len, .lost = window_loses};
	guard_add(&memory->window_guard);
	return 0;
}

int memory_window_place(struct memory *memory, uint64_t gpa, uint64_t len, struct error *err)
{
	LOCKED(&memory->lock);
	if (gpa % MEMORY_PAGE && gpa != MEMORY_NOWHERE) {
		return error_set(err, -EINVAL, "GPU window at 0x%llx", (unsigned long long)gpa);
	}
	if (!memory->window_hva) {
		int rc = reserve_window(memory, len, err);
		if (rc) {
			return rc;
		}
	}
	if (len != memory->window_len) {
		return error_set(err, -EINVAL, "the GPU window can not change its size");
	}
	atomic_store(&memory->window_gpa, gpa);
	return 0;
}

static bool window_has(const struct memory *memory, uint64_t offset, uint64_t len)
{
	return memory->window_hva && len && (offset | len) % MEMORY_PAGE == 0 &&
	       offset < memory->window_len && len <= memory->window_len - offset;
}

static void mark_pages(struct memory *memory, uint64_t offset, uint64_t len, bool mapped)
{
	const uint64_t first = offset / MEMORY_PAGE, end = first + len / MEMORY_PAGE;
	for (uint64_t page = first; page < end; page++) {
		unsigned long bit = 1ul << page % WORD_BITS;
		if (mapped) {
			atomic_fetch_or(&memory->window_mapped[page / WORD_BITS], bit);
		} else {
			atomic_fetch_and(&memory->window_mapped[page / WORD_BITS], ~bit);
		}
		memory->window_starts[page / WORD_BITS] &= ~bit;
	}
	if (mapped) {
		memory->window_starts[first / WORD_BITS] |= 1ul << first % WORD_BITS;
	}
}

int memory_window_map(struct memory *memory, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
		      struct error *err)
{
	LOCKED(&memory->lock);
	if (!window_has(memory, offset, len) || fd_offset % MEMORY_PAGE) {
		return error_set(err, -EINVAL, "GPU window has no range 0x%llx+0x%llx",
				 (unsigned long long)offset, (unsigned long long)len);
	}
	if (!os_file_has(fd, fd_offset, len)) {
		return error_set(err, -EINVAL, "GPU window: the file ends before 0x%llx+0x%llx",
				 (unsigned long long)fd_offset, (unsigned long long)len);
	}
	if (mmap(memory->window_hva + offset, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 (off_t)fd_offset) == MAP_FAILED) {
		return error_errno(err, "map 0x%llx bytes into the GPU window", (unsigned long long)len);
	}
	mark_pages(memory, offset, len, true);
	return 0;
}

bool memory_window_unmap(struct memory *memory, uint64_t offset, uint64_t len)
{
	LOCKED(&memory->lock);
	if (!window_has(memory, offset, len)) {
		return false;
	}
	mark_pages(memory, offset, len, false);
	if (mmap(memory->window_hva + offset, len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
		/* Only when the host is out of mappings: the old pages stay, but the guest no longer finds them. */
		log_limited(LOG_WARN, "engine: GPU window pages could not be released");
	}
	return true;
}

static bool page_is_mapped(struct memory *memory, uint64_t page)
{
	return atomic_load_explicit(&memory->window_mapped[page / WORD_BITS], memory_order_acquire) >>
		       page % WORD_BITS & 1;
}

static bool is_start(const struct memory *memory, uint64_t page)
{
	return memory->window_starts[page / WORD_BITS] >> page % WORD_BITS & 1;
}

/* The mapping that @page, which is mapped, belongs to: its pages [*first, *end). */
static void find_mapping(struct memory *memory, uint64_t page, uint64_t *first, uint64_t *end)
{
	const uint64_t pages = memory->window_len / MEMORY_PAGE;
	*first = page;
	while (!is_start(memory, *first) && *first && page_is_mapped(memory, *first - 1)) {
		--*first;
	}
	*end = page + 1;
	while (*end < pages && page_is_mapped(memory, *end) && !is_start(memory, *end)) {
		++*end;
	}
}

/*
 * The page at @at is gone: all of its mapping becomes zeros.  Where nothing is mapped any more, the access was older than that,
 * and only wants some page.  *lost becomes the mapping's offset, or stays.
 */
static bool renew_locked(struct memory *memory, const uint8_t *at, uint64_t *lost)
{
	const size_t granule = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t page = (uint64_t)(at - memory->window_hva) / MEMORY_PAGE, first, end;
	if (!page_is_mapped(memory, page)) {
		return guard_renew(at - (uintptr_t)at % granule, granule) == 0;
	}
	find_mapping(memory, page, &first, &end);
	*lost = first * MEMORY_PAGE;
	return guard_renew(memory->window_hva + *lost, (end - first) * MEMORY_PAGE) == 0;
}

static bool window_loses(struct guard *guard, const uint8_t *at)
{
	struct memory *memory =
		(struct memory *)((uint8_t *)guard - offsetof(struct memory, window_guard));
	uint64_t lost = MEMORY_NOWHERE;
	{
		LOCKED(&memory->lock);
		if (!renew_locked(memory, at, &lost)) {
			return false;
		}
	}
	if (lost != MEMORY_NOWHERE) {
		memory->on_loss(memory->opaque, lost);
	}
	return true;
}

enum memory_kind memory_find(struct memory *memory, uint64_t gpa, uint8_t **hva)
{
	for (unsigned n = 0; n < memory->count; n++) {
		const struct memory_region *r = &memory->regions[n];
		if (gpa - r->gpa < r->len) {
			*hva = r->hva + (gpa - r->gpa);
			return r->read_only ? MEMORY_ROM : MEMORY_RAM;
		}
	}
	uint64_t base = atomic_load_explicit(&memory->window_gpa, memory_order_acquire);
	if (base == MEMORY_NOWHERE || gpa < base || gpa - base >= memory->window_len) {
		return MEMORY_DEVICE;
	}
	uint64_t offset = gpa - base;
	if (!page_is_mapped(memory, offset / MEMORY_PAGE)) {
		atomic_fetch_add_explicit(&memory->window_misses, 1, memory_order_relaxed);
		return MEMORY_WINDOW_GAP;
	}
	*hva = memory->window_hva + offset;
	return MEMORY_WINDOW;
}
