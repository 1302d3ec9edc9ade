/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - memory slots, the GPU window, doorbells
 *
 * How it works: the window is one slot over one reserved range of addresses, whose pages change
 * under it: the kernel follows by itself.  Parts without pages have no access rights, so touching
 * them leaves KVM_RUN with EFAULT (see exits.c) and can not fill the host's memory. Threads:
 * map_ram before the first run; all else any thread.
 */
#include "base/log.h"
#include "base/own.h"
#include "engine/kvm/kvm.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WINDOW_SLOT = 31 };

static int set_slot(struct kvm_engine *engine, unsigned slot, uint64_t gpa, uint64_t len, void *hva,
		    bool read_only)
{
	const struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = read_only ? KVM_MEM_READONLY : 0,
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
	if (engine->rams == sizeof(engine->ram) / sizeof(engine->ram[0])) {
		return error_set(err, -ENOSPC, "KVM: too many memory regions");
	}
	int rc = set_slot(engine, engine->rams, gpa, len, hva, read_only);
	if (rc < 0) {
		return error_set(err, rc,
				 "KVM: can not map %" PRIu64 " MiB of memory at %#" PRIx64 ": %s",
				 len >> 20, gpa, strerror(-rc));
	}
	engine->ram[engine->rams].gpa = gpa;
	engine->ram[engine->rams].len = len;
	engine->ram[engine->rams++].hva = hva;
	return 0;
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
		(void)set_slot(engine, WINDOW_SLOT, window->gpa, 0, window->hva, false);
		window->gpa = UINT64_MAX;
	}
	if (gpa == UINT64_MAX) {
		return 0;
	}
	rc = set_slot(engine, WINDOW_SLOT, gpa, len, window->hva, false);
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
	void *at = mmap(window->hva + offset, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			fd, (off_t)fd_offset);
	return at == MAP_FAILED ? error_errno(err, "map GPU memory") : 0;
}

void kvm_window_unmap(struct engine *base, uint64_t offset, uint64_t len)
{
	struct kvm_window *window = &kvm_engine(base)->window;
	LOCKED(&window->lock);
	if (is_inside(window, offset, len) &&
	    !((offset | len) & ((uint64_t)sysconf(_SC_PAGESIZE) - 1))) {
		(void)!mmap(window->hva + offset, len, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	}
}

bool kvm_window_has(struct kvm_engine *engine, uint64_t gpa, unsigned size)
{
	struct kvm_window *window = &engine->window;
	LOCKED(&window->lock);
	return window->len && window->gpa != UINT64_MAX &&
	       is_inside(window, gpa - window->gpa, size);
}

void kvm_window_finish(struct kvm_window *window)
{
	if (window->hva) {
		munmap(window->hva, window->len);
	}
	pthread_mutex_destroy(&window->lock);
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
