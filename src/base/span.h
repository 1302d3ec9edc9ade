/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span.h - ranges known to lie inside their parent
 * Threads: values.
 */
#ifndef ORIEL_BASE_SPAN_H
#define ORIEL_BASE_SPAN_H

#include <stdbool.h>
#include <stdint.h>

struct span {
	uint64_t start, len;
};

/* Make *out = [parent.start + offset, + len) if that lies inside @parent.  False if not (out untouched). */
static inline bool span_make(struct span *out, struct span parent, uint64_t offset, uint64_t len)
{
	if (offset > parent.len || len > parent.len - offset) {
		return false;
	}
	out->start = parent.start + offset;
	out->len = len;
	return true;
}

static inline bool span_overlaps(struct span a, struct span b)
{
	return a.len && b.len && a.start < b.start + b.len && b.start < a.start + a.len;
}

#endif
