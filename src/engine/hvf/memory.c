/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - guest memory and the GPU window
 *
 * How it works: the window is one reserved range of addresses; each run of pages that shows
 * something is mapped there, and that place into the guest.  Parts without pages are not in the
 * guest, so touching them leaves the vCPU as an access to a device (exits.c) and can not fill the
 * host's memory. Threads: map_ram before the first run; all else any thread.
 */
#include "base/log.h"
#include "base/own.h"
#include "engine/hvf/hvf.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

int hvf_map_ram(struct engine *base, uint64_t gpa, uint64_t len, void *hva, bool read_only,
		struct error *err)
{
	struct hvf_engine *engine = hvf_engine(base);
	int added = shadow_add_ram(&engine->shadow, gpa, len, hva, err);
	if (added < 0) {
		return added;
	}
	hv_return_t rc = hv_vm_map(
		hva, gpa, len, HV_MEMORY_READ | HV_MEMORY_EXEC | (read_only ? 0 : HV_MEMORY_WRITE));
	return rc == HV_SUCCESS ? 0
				: error_set(err, -EINVAL,
					    "Hypervisor.framework can not map %" PRIu64
					    " KiB of memory at %#" PRIx64 ": %s",
					    len >> 10, gpa, hvf_text(rc));
}

/* ----- the window ----- */

static int reserve(struct hvf_window *window, uint64_t len, struct error *err)
{
	if (window->len) {
		return window->len == len
			       ? 0
			       : error_set(err, -EINVAL, "the GPU window can not change its size");
	}
	if (!len || len % HVF_PAGE) {
		return error_set(err, -EINVAL,
				 "the GPU window has %" PRIu64 " bytes, no multiple of %d", len,
				 HVF_PAGE);
	}
	uint8_t *mapped = calloc(len / HVF_PAGE, 1);
	void *range = mapped ? mmap(NULL, len + HVF_PAGE, PROT_NONE,
				    MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0)
			     : MAP_FAILED;
	if (range == MAP_FAILED) {
		free(mapped);
		return error_errno(err, "reserve %" PRIu64 " MiB for the GPU window", len >> 20);
	}
	window->range = range;
	window->hva = (uint8_t *)(((uintptr_t)range + HVF_PAGE - 1) & ~(uintptr_t)(HVF_PAGE - 1));
	window->mapped = mapped;
	window->len = len;
	window->gpa = UINT64_MAX;
	return 0;
}

/* The end of the run of pages from @offset that are all mapped or all not. */
static uint64_t run_end(const struct hvf_window *window, uint64_t offset, uint64_t end)
{
	uint8_t is = window->mapped[offset / HVF_PAGE];
	while (offset < end && window->mapped[offset / HVF_PAGE] == is) {
		offset += HVF_PAGE;
	}
	return offset;
}

static hv_return_t show(const struct hvf_window *window, uint64_t offset, uint64_t len)
{
	/* Never to be executed: the host may not survive that for memory of devices. */
	return hv_vm_map(window->hva + offset, window->gpa + offset, len,
			 HV_MEMORY_READ | HV_MEMORY_WRITE);
}

/* Take what is mapped of the range out of the guest. */
static void hide(const struct hvf_window *window, uint64_t offset, uint64_t end)
{
	for (uint64_t next; window->gpa != UINT64_MAX && offset < end; offset = next) {
		next = run_end(window, offset, end);
		if (window->mapped[offset / HVF_PAGE]) {
			(void)hv_vm_unmap(window->gpa + offset, next - offset);
		}
	}
}

static hv_return_t show_all(const struct hvf_window *window)
{
	hv_return_t rc = HV_SUCCESS;
	for (uint64_t offset = 0, next; rc == HV_SUCCESS && offset < window->len; offset = next) {
		next = run_end(window, offset, window->len);
		if (window->mapped[offset / HVF_PAGE]) {
			rc = show(window, offset, next - offset);
		}
	}
	return rc;
}

int hvf_window_place(struct engine *base, uint64_t gpa, uint64_t len, struct error *err)
{
	struct hvf_window *window = &hvf_engine(base)->window;
	LOCKED(&window->lock);
	int rc = reserve(window, len, err);
	if (rc < 0 || gpa == window->gpa) {
		return rc;
	}
	if (gpa != UINT64_MAX && gpa % HVF_PAGE) {
		return error_set(err, -EINVAL,
				 "the GPU window can not be at %#" PRIx64 ", no multiple of %d",
				 gpa, HVF_PAGE);
	}
	hide(window, 0, window->len);
	window->gpa = gpa;
	hv_return_t shown = gpa == UINT64_MAX ? HV_SUCCESS : show_all(window);
	return shown == HV_SUCCESS
		       ? 0
		       : error_set(err, -EINVAL,
				   "Hypervisor.framework can not place the GPU window at %#" PRIx64
				   ": %s",
				   gpa, hvf_text(shown));
}

static bool is_inside(const struct hvf_window *window, uint64_t offset, uint64_t len)
{
	return len && offset <= window->len && len <= window->len - offset;
}

/* Back to a range without pages. */
static void clear(struct hvf_window *window, uint64_t offset, uint64_t len)
{
	memset(window->mapped + offset / HVF_PAGE, 0, len / HVF_PAGE);
	if (mmap(window->hva + offset, len, PROT_NONE,
		 MAP_PRIVATE | MAP_ANON | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
		/* Only when the host is out of mappings: the old pages stay, but not in the guest.
		 */
		log_limited(LOG_WARN, "engine: GPU window pages could not be released");
	}
}

int hvf_window_map(struct engine *base, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
		   struct error *err)
{
	struct hvf_window *window = &hvf_engine(base)->window;
	LOCKED(&window->lock);
	if (!is_inside(window, offset, len)) {
		return error_set(err, -EINVAL, "GPU memory is mapped outside of the window");
	}
	if ((offset | fd_offset | len) % HVF_PAGE) {
		return error_set(err, -EINVAL,
				 "GPU memory is mapped at offset %#" PRIx64
				 ", which is no multiple of this host's page size, %d",
				 offset, HVF_PAGE);
	}
	hide(window, offset, offset + len);
	if (mmap(window->hva + offset, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 (off_t)fd_offset) == MAP_FAILED) {
		int rc = error_errno(err, "map GPU memory");
		clear(window, offset, len);
		return rc;
	}
	memset(window->mapped + offset / HVF_PAGE, 1, len / HVF_PAGE);
	hv_return_t rc = window->gpa == UINT64_MAX ? HV_SUCCESS : show(window, offset, len);
	if (rc != HV_SUCCESS) {
		clear(window, offset, len);
		return error_set(err, -EINVAL, "Hypervisor.framework can not map GPU memory: %s",
				 hvf_text(rc));
	}
	return 0;
}

void hvf_window_unmap(struct engine *base, uint64_t offset, uint64_t len)
{
	struct hvf_window *window = &hvf_engine(base)->window;
	LOCKED(&window->lock);
	if (is_inside(window, offset, len) && (offset | len) % HVF_PAGE == 0) {
		hide(window, offset, offset + len);
		clear(window, offset, len);
	}
}

bool hvf_window_has(struct hvf_engine *engine, uint64_t gpa, unsigned size)
{
	struct hvf_window *window = &engine->window;
	LOCKED(&window->lock);
	return window->len && window->gpa != UINT64_MAX &&
	       is_inside(window, gpa - window->gpa, size);
}

bool hvf_window_move(void *engine, uint64_t gpa, unsigned size, uint64_t *value, bool write)
{
	if (!hvf_window_has(engine, gpa, size)) {
		return false;
	}
	*value = write ? *value : 0; /* one that gets pages just now may read as zero once more */
	return true;
}

bool hvf_window_is_mapped(struct hvf_engine *engine, uint64_t gpa)
{
	struct hvf_window *window = &engine->window;
	LOCKED(&window->lock);
	return window->len && window->gpa != UINT64_MAX &&
	       is_inside(window, gpa - window->gpa, 1) &&
	       window->mapped[(gpa - window->gpa) / HVF_PAGE];
}

void hvf_window_finish(struct hvf_engine *engine)
{
	struct hvf_window *window = &engine->window;
	if (window->len) {
		hide(window, 0, window->len);
		munmap(window->range, window->len + HVF_PAGE);
		free(window->mapped);
	}
	pthread_mutex_destroy(&window->lock);
}
