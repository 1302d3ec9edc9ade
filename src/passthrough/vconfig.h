/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vconfig.h - what a guest sees of a foreign device's configuration space, field by field
 *
 * Built once from a picture of the device's registers, none of which is trusted.  Each byte is
 * either ours (kept by src/pci, with a mask of what a guest may change) or the device's; writes to
 * a byte may also go to the device. Threads: values.
 */
#ifndef ORIEL_PASSTHROUGH_VCONFIG_H
#define ORIEL_PASSTHROUGH_VCONFIG_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VCONFIG_LEN = 4096, VCONFIG_BARS = 6 };

enum vconfig_owner {
	VCONFIG_OURS,	/* reads and writes stay with us */
	VCONFIG_COPIED, /* reads come from us, writes go to the device too */
	VCONFIG_DEVICE, /* the device's own register */
};

struct vconfig_bar {
	uint64_t size; /* 0: none, or the upper half of the one before */
	bool wide, prefetchable;
	bool io; /* not shown: the board has no I/O ports */
};

struct vconfig_msix {
	unsigned capability; /* offset; 0: none */
	unsigned count;
	unsigned table_bar, pending_bar;
	uint32_t table_offset, pending_offset;
};

struct vconfig {
	uint8_t image[VCONFIG_LEN], mask[VCONFIG_LEN]; /* for pci_device_load_config() */
	uint8_t owner[VCONFIG_LEN];		       /* enum vconfig_owner */
	struct vconfig_bar bars[VCONFIG_BARS];
	struct vconfig_msix msix;
	unsigned msi; /* offsets of capabilities; 0: none */
	unsigned express;
	bool has_intx;
};

struct vconfig_input {
	const uint8_t *registers;	  /* as read from the device, zeros behind its end */
	size_t len;			  /* 256 or 4096 */
	uint64_t bar_sizes[VCONFIG_BARS]; /* of the regions */
	unsigned intx_count, msi_count, msix_count; /* interrupts by which it can signal us */
	bool can_reset;				    /* a guest may reset the function */
};

/* Returns -EINVAL or -ENOTSUP with a line in @err for a device that can not be shown. */
int vconfig_build(struct vconfig *config, const struct vconfig_input *input,
		  struct error *err) MUST_CHECK;

#endif
