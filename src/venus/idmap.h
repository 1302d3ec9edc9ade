/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idmap.h - map from 64-bit ids (never 0) to pointers (never NULL)
 * Threads: the owner's lock guards it.
 */
#ifndef ORIEL_VENUS_IDMAP_H
#define ORIEL_VENUS_IDMAP_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct idmap_entry {
	uint64_t key; /* 0: free */
	void *value;
};

struct idmap {
	struct idmap_entry *entries; /* capacity is 0 or a power of two */
	size_t capacity, count;
};

/* A zeroed idmap is empty and ready. */
void idmap_finish(struct idmap *map);
/* 0; -EINVAL for key 0 or NULL, -EEXIST if the key is taken, -ENOMEM. */
int idmap_put(struct idmap *map, uint64_t key, void *value) MUST_CHECK;
/* The value, or NULL. */
void *idmap_get(const struct idmap *map, uint64_t key);
/* Removes the entry and returns its value, or NULL. */
void *idmap_take(struct idmap *map, uint64_t key);
/* Removes and returns any value; NULL when empty.  For tear-down. */
void *idmap_take_any(struct idmap *map);

#endif
