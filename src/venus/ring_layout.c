/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_layout.c - where the parts of a ring lie in its resource, checked once
 * Threads: values.
 */
#include "venus/ring_layout.h"

#include "base/span.h"

#include <stddef.h>

enum { PART_HEAD, PART_TAIL, PART_STATUS, PART_BUFFER, PART_EXTRA, PART_COUNT };

static bool ring_layout_parts_are_disjoint(const struct span *parts)
{
	for (int i = 0; i < PART_COUNT; i++) {
		for (int j = i + 1; j < PART_COUNT; j++) {
			if (span_overlaps(parts[i], parts[j])) {
				return false;
			}
		}
	}
	return true;
}

const char *ring_layout_check(struct ring_layout *layout, const struct ring_request *request,
			      uint64_t resource_bytes)
{
	struct span ring;
	if (!span_make(&ring, (struct span){0, resource_bytes}, request->offset, request->size)) {
		return "ring outside its resource";
	}
	const uint64_t offsets[PART_COUNT] = {request->head_offset, request->tail_offset,
					      request->status_offset, request->buffer_offset,
					      request->extra_offset};
	const uint64_t sizes[PART_COUNT] = {4, 4, 4, request->buffer_size, request->extra_size};
	struct span parts[PART_COUNT];
	for (int i = 0; i < PART_COUNT; i++) {
		if (!span_make(&parts[i], ring, offsets[i], sizes[i])) {
			return "ring part outside the ring";
		}
		if (parts[i].start % 4 || parts[i].len % 4) {
			return "ring part not aligned";
		}
	}
	if (request->buffer_size < RING_BUFFER_MIN || request->buffer_size > RING_BUFFER_MAX ||
	    (request->buffer_size & (request->buffer_size - 1))) {
		return "ring buffer size not allowed";
	}
	if (request->extra_size > RING_BUFFER_MAX) {
		return "ring extra area too large";
	}
	if (!ring_layout_parts_are_disjoint(parts)) {
		return "ring parts overlap";
	}
	*layout = (struct ring_layout){
		.head = parts[PART_HEAD].start,
		.tail = parts[PART_TAIL].start,
		.status = parts[PART_STATUS].start,
		.buffer = parts[PART_BUFFER].start,
		.extra = parts[PART_EXTRA].start,
		.buffer_size = (uint32_t)request->buffer_size,
		.extra_size = (uint32_t)request->extra_size,
	};
	return NULL;
}
