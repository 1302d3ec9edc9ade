/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loader.c - puts kernel, initrd and device tree into guest memory
 * Threads: see loader.h.
 */
#include "board/loader.h"

#include "base/own.h"
#include "board/board.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define MIB UINT64_C(0x100000)
#define LOADER_FDT_MAX (1 * MIB)

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) / alignment * alignment;
}

/* An open initrd and its length; the caller closes. */
static int loader_open_initrd(const char *path, uint64_t *len, struct error *err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	if (fd < 0 || fstat(fd, &status) < 0) {
		return error_errno(err, "initrd %s", path);
	}
	if (!S_ISREG(status.st_mode)) {
		return error_set(err, -EINVAL, "initrd %s: is not a regular file", path);
	}
	if (status.st_size == 0) {
		return error_set(err, -EINVAL, "initrd %s: is empty", path);
	}
	*len = (uint64_t)status.st_size;
	return fd_take(&fd);
}

int loader_check_initrd(const char *path, uint64_t *len, struct error *err)
{
	int fd = loader_open_initrd(path, len, err);
	if (fd < 0) {
		return fd;
	}
	close(fd);
	return 0;
}

int loader_plan(struct loader_plan *plan, const struct kernel *kernel, uint64_t initrd_len, uint64_t ram_bytes,
		struct error *err)
{
	uint64_t kernel_start = 2 * MIB + kernel->text_offset; /* offsets in RAM from here on */
	uint64_t kernel_end = kernel_start + kernel->memory_len;
	if (kernel_end > ram_bytes) {
		return error_set(err, -ENOSPC,
				 "the kernel needs %llu MiB, but the guest has %llu MiB of memory (--memory)",
				 (unsigned long long)(align_up(kernel_end, MIB) / MIB),
				 (unsigned long long)(ram_bytes / MIB));
	}
	uint64_t initrd = align_up(kernel_end, 2 * MIB);
	if (initrd < 128 * MIB && initrd_len < ram_bytes && 128 * MIB <= ram_bytes - initrd_len) {
		initrd = 128 * MIB; /* where people expect it */
	}
	if (initrd_len && (initrd > ram_bytes || initrd_len > ram_bytes - initrd)) {
		return error_set(err, -ENOSPC,
				 "kernel and initrd need %llu MiB, but the guest has %llu MiB of memory (--memory)",
				 (unsigned long long)(align_up(initrd + initrd_len, MIB) / MIB),
				 (unsigned long long)(ram_bytes / MIB));
	}
	*plan = (struct loader_plan){
		.fdt = BOARD_RAM_BASE,
		.entry = BOARD_RAM_BASE + kernel_start,
		.initrd = initrd_len ? BOARD_RAM_BASE + initrd : 0,
		.initrd_len = initrd_len,
	};
	return 0;
}

static int loader_read_initrd(const struct loader_plan *plan, const struct gmem *gmem, const char *path,
			      struct error *err)
{
	uint64_t len = 0;
	struct iovec iov;
	AUTO_FD int fd = loader_open_initrd(path, &len, err);
	if (fd < 0) {
		return fd;
	}
	if (len != plan->initrd_len ||
	    gmem_iov(gmem, plan->initrd, plan->initrd_len, true, &iov) < 0) {
		return error_set(err, -EBUSY, "initrd %s: has changed meanwhile", path);
	}
	for (size_t done = 0; done < len;) {
		ssize_t got = read(fd, (uint8_t *)iov.iov_base + done, len - done);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			errno = got < 0 ? errno : EIO;
			return error_errno(err, "initrd %s", path);
		}
		done += (size_t)got;
	}
	return 0;
}

/* The guest is told not to touch holes, so nothing may be there. */
static int check_holes(const struct loader_plan *plan, const struct kernel *kernel, const struct devicetree_config *fdt,
		       struct error *err)
{
	uint64_t kernel_end = plan->entry + kernel->memory_len, initrd_end = plan->initrd + plan->initrd_len;
	uint64_t end = initrd_end > kernel_end ? initrd_end : kernel_end;
	if (fdt->hole_count && fdt->holes[0].gpa < end) {
		return error_set(err, -ENOSPC,
				 "kernel and initrd reach to 0x%llx, over addresses that the host's IOMMU reserves "
				 "(0x%llx)",
				 (unsigned long long)end, (unsigned long long)fdt->holes[0].gpa);
	}
	return 0;
}

int loader_place(const struct loader_plan *plan, const struct gmem *gmem, const struct kernel *kernel,
		 const char *initrd_path, struct devicetree_config *fdt, struct error *err)
{
	AUTO_FREE void *tree = malloc(LOADER_FDT_MAX);
	if (!tree) {
		return error_set(err, -ENOMEM, "device tree: out of memory");
	}
	fdt->initrd_start = plan->initrd;
	fdt->initrd_end = plan->initrd + plan->initrd_len;
	fdt->holes = gmem_holes(gmem, &fdt->hole_count);
	int rc = check_holes(plan, kernel, fdt, err);
	if (rc < 0) {
		return rc;
	}
	int tree_len = devicetree_build(fdt, tree, LOADER_FDT_MAX, err);
	if (tree_len < 0) {
		return tree_len;
	}
	if (initrd_path) {
		rc = loader_read_initrd(plan, gmem, initrd_path, err);
		if (rc < 0) {
			return rc;
		}
	}
	if (gmem_write(gmem, plan->fdt, tree, (size_t)tree_len) < 0 ||
	    gmem_write(gmem, plan->entry, kernel->bytes, kernel->len) < 0) {
		return error_set(err, -ENOSPC, "kernel and device tree do not fit in the guest's memory");
	}
	return 0;
}
