/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loader.h - puts kernel, initrd and device tree into guest memory by the arm64 boot protocol
 *
 * Layout from the start of RAM: device tree (2 MiB kept for it, where stock firmware looks for it too), kernel, initrd.
 * Threads: no vCPU runs.
 */
#ifndef ORIEL_BOARD_LOADER_H
#define ORIEL_BOARD_LOADER_H

#include "board/devicetree.h"
#include "board/kernel.h"
#include "mem/gmem.h"

struct loader_plan {
	uint64_t fdt;	 /* GPA of the device tree: x0 at entry */
	uint64_t entry;	 /* GPA of the kernel's first byte: pc at entry */
	uint64_t initrd; /* GPA, and length; 0, 0 without one */
	uint64_t initrd_len;
};

/* Length of an initrd, checked to be a readable regular file that is not empty. */
int loader_check_initrd(const char *path, uint64_t *len, struct error *err) MUST_CHECK;

/* Find places in @ram_bytes of RAM.  -ENOSPC with @err if they do not suffice. */
int loader_plan(struct loader_plan *plan, const struct kernel *kernel, uint64_t initrd_len, uint64_t ram_bytes,
		struct error *err) MUST_CHECK;

/*
 * Carry out @plan: copy @kernel, read the file @initrd_path (NULL: none), build the tree from @fdt, whose initrd and hole fields are filled in here.
 */
int loader_place(const struct loader_plan *plan, const struct gmem *gmem, const struct kernel *kernel,
		 const char *initrd_path, struct devicetree_config *fdt, struct error *err) MUST_CHECK;

#endif
