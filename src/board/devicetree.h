/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devicetree.h - the device tree of the generic board
 * Threads: values.
 */
#ifndef ORIEL_BOARD_DEVICETREE_H
#define ORIEL_BOARD_DEVICETREE_H

#include "base/error.h"
#include "mem/gmem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct devicetree_config {
	unsigned vcpus;
	uint64_t ram_bytes;
	const struct gmem_hole *holes;	     /* parts of it that the guest is to leave alone */
	size_t hole_count;
	const char *bootargs;		     /* NULL: none */
	uint64_t initrd_start, initrd_end;   /* equal: none */
	bool pci;			     /* describe the host bridge */
	uint64_t pci_memory64_len;	     /* of its window above RAM; 0: BOARD_PCI_MEM64_LEN */
	uint8_t rng_seed[64], kaslr_seed[8]; /* random bytes */
};

/*
 * Write the flattened tree into @out.  Returns its size, or -ENOSPC with @err if @capacity is too small.
 */
int devicetree_build(const struct devicetree_config *config, void *out, size_t capacity, struct error *err) MUST_CHECK;

#endif
