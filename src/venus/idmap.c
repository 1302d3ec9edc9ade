/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idmap.c - map from ids to pointers
 *
 * How it works: open addressing with linear probing; a removal moves later entries of the run back, so there
 * are no tombstones.  At most half full.
 * Threads: the owner's lock.
 */
#include "venus/idmap.h"

#include <errno.h>
#include <stdlib.h>

enum { IDMAP_FIRST = 64 };

static size_t idmap_home(const struct idmap *map, uint64_t key)
{
	return (size_t)((key * 0x9e3779b97f4a7c15ull) >> 20) & (map->capacity - 1);
}

void idmap_finish(struct idmap *map)
{
	free(map->entries);
	*map = (struct idmap){0};
}

/* The slot of @key, or the free slot where it belongs.  There is always a free slot. */
static size_t idmap_slot(const struct idmap *map, uint64_t key)
{
	size_t slot = idmap_home(map, key);
	while (map->entries[slot].key && map->entries[slot].key != key) {
		slot = (slot + 1) & (map->capacity - 1);
	}
	return slot;
}

static int idmap_grow(struct idmap *map)
{
	struct idmap bigger = {.capacity = map->capacity ? map->capacity * 2 : IDMAP_FIRST};
	bigger.entries = calloc(bigger.capacity, sizeof(*bigger.entries));
	if (!bigger.entries) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < map->capacity; i++) {
		if (map->entries[i].key) {
			bigger.entries[idmap_slot(&bigger, map->entries[i].key)] = map->entries[i];
		}
	}
	bigger.count = map->count;
	free(map->entries);
	*map = bigger;
	return 0;
}

int idmap_put(struct idmap *map, uint64_t key, void *value)
{
	if (!key || !value) {
		return -EINVAL;
	}
	if (map->count * 2 >= map->capacity) {
		int status = idmap_grow(map);
		if (status) {
			return status;
		}
	}
	size_t slot = idmap_slot(map, key);
	if (map->entries[slot].key) {
		return -EEXIST;
	}
	map->entries[slot] = (struct idmap_entry){.key = key, .value = value};
	map->count++;
	return 0;
}

void *idmap_get(const struct idmap *map, uint64_t key)
{
	if (!map->capacity || !key) {
		return NULL;
	}
	return map->entries[idmap_slot(map, key)].value;
}

/* Empties @slot and closes the gap behind it. */
static void idmap_empty_slot(struct idmap *map, size_t slot)
{
	size_t mask = map->capacity - 1;
	size_t gap = slot;
	map->entries[gap] = (struct idmap_entry){0};
	for (size_t next = (gap + 1) & mask; map->entries[next].key; next = (next + 1) & mask) {
		size_t home = idmap_home(map, map->entries[next].key);
		if (((next - home) & mask) >= ((next - gap) & mask)) {
			map->entries[gap] = map->entries[next];
			map->entries[next] = (struct idmap_entry){0};
			gap = next;
		}
	}
	map->count--;
}

void *idmap_take(struct idmap *map, uint64_t key)
{
	if (!map->capacity || !key) {
		return NULL;
	}
	size_t slot = idmap_slot(map, key);
	void *value = map->entries[slot].value;
	if (value) {
		idmap_empty_slot(map, slot);
	}
	return value;
}

void *idmap_take_any(struct idmap *map)
{
	for (size_t i = 0; i < map->capacity; i++) {
		if (map->entries[i].key) {
			return idmap_take(map, map->entries[i].key);
		}
	}
	return NULL;
}
