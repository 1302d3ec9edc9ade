/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_layout.h - where the parts of a ring lie in its resource, checked once
 *
 * Only ring_layout_check() makes a struct ring_layout; whoever holds one may use its offsets without further checks.
 * Threads: values.
 */
#ifndef ORIEL_VENUS_RING_LAYOUT_H
#define ORIEL_VENUS_RING_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

enum { RING_BUFFER_MAX = 16 * 1024 * 1024, RING_BUFFER_MIN = 4096 };

/* What the guest asked for; all offsets but the first are relative to it. */
struct ring_request {
	uint64_t offset, size; /* of the ring in its resource */
	uint64_t head_offset, tail_offset, status_offset;
	uint64_t buffer_offset, buffer_size;
	uint64_t extra_offset, extra_size;
};

/* Offsets in the resource: inside it, 4-byte aligned, disjoint. */
struct ring_layout {
	uint64_t head, tail, status;
	uint64_t buffer, extra;
	uint32_t buffer_size; /* power of two */
	uint32_t extra_size;
};

/* Check @request against a resource of @resource_bytes.  NULL, or the rule it breaks (static text). */
const char *ring_layout_check(struct ring_layout *layout, const struct ring_request *request,
			      uint64_t resource_bytes);

#endif
