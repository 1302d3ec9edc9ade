/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - memory slots, the GPU window, parts of devices, doorbells
 *
 * How it works: the window is one slot over one reserved range of addresses, whose pages change
 * under it: the kernel follows by itself.  Parts without pages have no access rights, so touching
 * them leaves KVM_RUN with EFAULT (see exits.c) and can not fill the host's memory.  A mapped range
 * whose pages are gone (a file that was cut, broken memory) leaves in the same way, and becomes
 * zero pages then. Threads: map_ram before the first run; all else any thread.
 */
#include "base/log.h"
#include "base/own.h"
#include "engine/kvm/kvm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WINDOW_SLOT = 31, FIRST_PART_SLOT };

static int set_slot(struct kvm_engine *engine, unsigned slot, uint64_t gpa, uint64_t len, void *hva,
		    uint32_t flags)
{
	const struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)hva,
	};
	return ioctl(engine->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

int kvm_map_ram(struct engine *base, uint64_t gpa, uint64_t len, void *hva, bool read_only,
		struct error *err)
{
	struct kvm_engine *engine = kvm_engine(base);
	int rc = shadow_add_ram(&engine->shadow, gpa, len, hva, err);
	if (rc < 0) {
		return rc;
	}
	uint32_t flags = read_only ? KVM_MEM_READONLY : 0;
	rc = set_slot(engine, engine->rams, gpa, len, hva, flags);
	if (rc < 0) {
		return error_set(err, rc,
				 "KVM: can not map %" PRIu64 " MiB of memory at %#" PRIx64 ": %s",
				 len >> 20, gpa, strerror(-rc));
	}
	engine->ram[engine->rams++] = (struct kvm_ram){gpa, len, hva, flags};
	return 0;
}

/* The index of the RAM at @gpa. */
static int find_ram(const struct kvm_engine *engine, uint64_t gpa, struct error *err)
{
	for (unsigned n = 0; n < engine->rams; n++) {
		if (engine->ram[n].gpa == gpa) {
			return (int)n;
		}
	}
	return error_set(err, -EINVAL, "KVM: no RAM begins at %#" PRIx64, gpa);
}

int kvm_log_writes(struct engine *base, uint64_t gpa, bool on, struct error *err)
{
	struct kvm_engine *engine = kvm_engine(base);
	int n = find_ram(engine, gpa, err);
	if (n < 0) {
		return n;
	}
	struct kvm_ram *ram = &engine->ram[n];
	uint32_t flags =
		(ram->flags & ~KVM_MEM_LOG_DIRTY_PAGES) | (on ? KVM_MEM_LOG_DIRTY_PAGES : 0);
	int rc = set_slot(engine, (unsigned)n, gpa, ram->len, ram->hva, flags);
	if (rc < 0) {
		return error_set(err, rc, "KVM: can not log writes: %s", strerror(-rc));
	}
	ram->flags = flags;
	return 0;
}

int kvm_take_writes(struct engine *base, uint64_t gpa, unsigned long *pages, struct error *err)
{
	struct kvm_engine *engine = kvm_engine(base);
	int n = find_ram(engine, gpa, err);
	if (n < 0) {
		return n;
	}
	const struct kvm_dirty_log log = {.slot = (uint32_t)n, .dirty_bitmap = pages};
	return ioctl(engine->vm, KVM_GET_DIRTY_LOG, &log) < 0
		       ? error_errno(err, "KVM: can not read the log of writes")
		       : 0;
}

/* ----- the window ----- */

static int reserve(struct kvm_window *window, uint64_t len, struct error *err)
{
	if (window->len) {
		return window->len == len
			       ? 0
			       : error_set(err, -EINVAL, "the GPU window can not change its size");
	}
	void *hva = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (hva == MAP_FAILED) {
		return error_errno(err, "reserve %" PRIu64 " MiB for the GPU window", len >> 20);
	}
	window->hva = hva;
	window->len = len;
	window->gpa = UINT64_MAX;
	return 0;
}

int kvm_window_place(struct engine *base, uint64_t gpa, uint64_t len, struct error *err)
{
	struct kvm_engine *engine = kvm_engine(base);
	struct kvm_window *window = &engine->window;
	LOCKED(&window->lock);
	int rc = reserve(window, len, err);
	if (rc < 0 || gpa == window->gpa) {
		return rc;
	}
	if (window->gpa != UINT64_MAX) {
		(void)set_slot(engine, WINDOW_SLOT, window->gpa, 0, window->hva, 0);
		window->gpa = UINT64_MAX;
	}
	if (gpa == UINT64_MAX) {
		return 0;
	}
	rc = set_slot(engine, WINDOW_SLOT, gpa, len, window->hva, 0);
	if (rc < 0) {
		return error_set(err, rc, "KVM: can not place the GPU window at %#" PRIx64 ": %s",
				 gpa, strerror(-rc));
	}
	window->gpa = gpa;
	return 0;
}

static bool is_inside(const struct kvm_window *window, uint64_t offset, uint64_t len)
{
	return len && offset <= window->len && len <= window->len - offset;
}

/* Room for one more range. */
static int make_room(struct kvm_window *window)
{
	if (window->count < window->room) {
		return 0;
	}
	size_t room = window->room ? 2 * window->room : 64;
	struct kvm_range *mapped = reallocarray(window->mapped, room, sizeof(*mapped));
	if (!mapped) {
		return -ENOMEM;
	}
	window->mapped = mapped;
	window->room = room;
	return 0;
}

int kvm_window_map(struct engine *base, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
		   struct error *err)
{
	struct kvm_window *window = &kvm_engine(base)->window;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	LOCKED(&window->lock);
	if (!is_inside(window, offset, len) || ((offset | fd_offset | len) & 0xfff)) {
		return error_set(err, -EINVAL, "GPU memory is mapped outside of the window");
	}
	if ((offset | fd_offset | len) & (page - 1)) {
		return error_set(err, -EINVAL,
				 "GPU memory is mapped at offset %#" PRIx64
				 ", which is no multiple of this host's page size, "
				 "%" PRIu64 ": the guest's kernel must have pages of that size",
				 offset, page);
	}
	if (make_room(window) < 0) {
		return error_set(err, -ENOMEM, "map GPU memory: out of memory");
	}
	void *at = mmap(window->hva + offset, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			fd, (off_t)fd_offset);
	if (at == MAP_FAILED) {
		return error_errno(err, "map GPU memory");
	}
	window->mapped[window->count++] = (struct kvm_range){offset, len};
	return 0;
}

/* New pages at [offset, offset + len): zeros, or none that can be accessed. */
static void *renew(const struct kvm_window *window, uint64_t offset, uint64_t len, int rights)
{
	return mmap(window->hva + offset, len, rights,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

void kvm_window_unmap(struct engine *base, uint64_t offset, uint64_t len)
{
	struct kvm_window *window = &kvm_engine(base)->window;
	LOCKED(&window->lock);
	if (!is_inside(window, offset, len) ||
	    ((offset | len) & ((uint64_t)sysconf(_SC_PAGESIZE) - 1))) {
		return;
	}
	for (size_t n = window->count; n-- > 0;) {
		if (window->mapped[n].offset - offset < len) {
			window->mapped[n] = window->mapped[--window->count];
		}
	}
	(void)!renew(window, offset, len, PROT_NONE);
}

static const struct kvm_range *find_range(const struct kvm_window *window, uint64_t offset)
{
	for (size_t n = 0; n < window->count; n++) {
		if (offset - window->mapped[n].offset < window->mapped[n].len) {
			return &window->mapped[n];
		}
	}
	return NULL;
}

/* Through the kernel, so that pages which are not there any more are an error (-EFAULT) and no
 * signal. */
static int move_bytes(void *at, unsigned size, uint64_t *value, bool write)
{
	const struct iovec ours = {value, size}, theirs = {at, size};
	ssize_t moved = write ? process_vm_writev(getpid(), &ours, 1, &theirs, 1, 0)
			      : process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0);
	return moved == (ssize_t)size ? 0 : moved < 0 ? -errno : -EFAULT;
}

/* *lost becomes the offset of a range that had to be replaced by zeros. */
static bool move_locked(struct kvm_window *window, uint64_t gpa, unsigned size, uint64_t *value,
			bool write, uint64_t *lost)
{
	uint64_t offset = gpa - window->gpa;
	if (!window->len || window->gpa == UINT64_MAX || !is_inside(window, offset, size)) {
		return false;
	}
	const struct kvm_range *range = find_range(window, offset);
	int rc = range ? move_bytes(window->hva + offset, size, value, write) : -ENOENT;
	if (rc == 0) {
		return true;
	}
	if (rc == -EFAULT &&
	    renew(window, range->offset, range->len, PROT_READ | PROT_WRITE) != MAP_FAILED) {
		*lost = range->offset;
		if (write) {
			memcpy(window->hva + offset, value, size);
		}
	}
	*value = write ? *value : 0;
	return true;
}

bool kvm_window_move(struct kvm_engine *engine, uint64_t gpa, unsigned size, uint64_t *value,
		     bool write)
{
	const struct engine_config *config = &engine->config;
	uint64_t lost = UINT64_MAX;
	bool inside;
	{
		LOCKED(&engine->window.lock);
		inside = move_locked(&engine->window, gpa, size, value, write, &lost);
	}
	if (lost != UINT64_MAX) {
		config->host_ops->window_lost(config->host, lost);
	}
	return inside;
}

void kvm_window_finish(struct kvm_window *window)
{
	if (window->hva) {
		munmap(window->hva, window->len);
	}
	free(window->mapped);
	pthread_mutex_destroy(&window->lock);
}

/* ----- parts of devices.  The kernel runs no instructions from them: the guest gets an abort -----
 */

static void show_part(struct kvm_engine *engine, uint64_t gpa, uint64_t len, void *hva)
{
	struct kvm_parts *parts = &engine->parts;
	unsigned n = 0;
	while (n < KVM_MOST_PARTS && parts->at[n].len) {
		n++;
	}
	int rc = n < KVM_MOST_PARTS ? set_slot(engine, FIRST_PART_SLOT + n, gpa, len, hva, 0)
				    : -ENOSPC;
	if (rc < 0) {
		log_limited(LOG_INFO,
			    "KVM: %#" PRIx64 " bytes of a device at %#" PRIx64
			    " are reached by exits: %s",
			    len, gpa, strerror(-rc));
		return;
	}
	parts->at[n] = (struct kvm_range){gpa, len};
}

static void hide_part(struct kvm_engine *engine, uint64_t gpa)
{
	struct kvm_parts *parts = &engine->parts;
	for (unsigned n = 0; n < KVM_MOST_PARTS; n++) {
		if (parts->at[n].len && parts->at[n].offset == gpa) {
			(void)set_slot(engine, FIRST_PART_SLOT + n, gpa, 0, NULL, 0);
			parts->at[n].len = 0;
			return;
		}
	}
}

void kvm_device_memory(struct engine *base, uint64_t gpa, uint64_t len, void *hva, bool on)
{
	struct kvm_engine *engine = kvm_engine(base);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	LOCKED(&engine->parts.lock);
	if (!on) {
		hide_part(engine, gpa);
	} else if (!((gpa | len | (uintptr_t)hva) & (page - 1))) {
		show_part(engine, gpa, len, hva);
	}
}

/* ----- doorbells ----- */

void kvm_doorbell(struct engine *base, uint64_t gpa, int fd, bool on)
{
	const struct kvm_ioeventfd bell = {
		.addr = gpa,
		.fd = fd,
		.flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN}; /* length 0: any */
	if (ioctl(kvm_engine(base)->vm, KVM_IOEVENTFD, &bell) < 0 && on) {
		log_limited(LOG_DEBUG, "KVM: no doorbell at %#" PRIx64 ": %s", gpa,
			    strerror(errno));
	}
}
