/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfu_caps.h - the capabilities that both ends of a vfio-user connection tell each other, as JSON
 * Threads: values.
 */
#ifndef ORIEL_PASSTHROUGH_VFU_CAPS_H
#define ORIEL_PASSTHROUGH_VFU_CAPS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct vfu_caps {
	uint32_t max_fds;  /* in one message; default 1 */
	uint32_t max_data; /* bytes of one access; default 1 MiB */
	uint32_t max_maps; /* DMA mappings; default 65535 */
};

/* Parse @len bytes that must end with a NUL (an empty text: all defaults).  -EINVAL with @err. */
int vfu_caps_parse(struct vfu_caps *caps, const void *text, size_t len,
		   struct error *err) MUST_CHECK;
/* The text that says @caps; to be freed; NULL if out of memory. */
char *vfu_caps_print(const struct vfu_caps *caps) MUST_CHECK;

#endif
