/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus.c - routes accesses by guest physical address to device handlers
 *
 * How it works: see bus.h.  Retired snapshots wait in a list until a change finds no access in flight at all;
 * accesses are short, changes are rare, so the list stays a few entries long.
 * Invariants: regions of a snapshot are sorted and disjoint.
 * Threads: see bus.h.  Lock: bus->lock guards changes.
 */
#include "bus/bus.h"

#include "base/own.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

struct bus_region {
	uint64_t base, len;
	const struct bus_ops *ops;
	void *device;
	const char *name;
};

struct bus_map {
	struct bus_map *next_retired;
	size_t count;
	struct bus_region regions[];
};

struct bus {
	_Atomic(struct bus_map *) map;
	atomic_uint in_flight;
	pthread_mutex_t lock; /* guards changes of map and the list below */
	struct bus_map *retired;
	bus_doorbell_fn doorbell; /* NULL: nobody wants to know */
	void *doorbell_opaque;
	bus_memory_fn memory; /* NULL, too */
	void *memory_opaque;
};

static struct bus_map *bus_map_alloc(size_t count)
{
	struct bus_map *map = calloc(1, sizeof(*map) + count * sizeof(map->regions[0]));
	if (map) {
		map->count = count;
	}
	return map;
}

struct bus *bus_create(void)
{
	struct bus *bus = calloc(1, sizeof(*bus));
	struct bus_map *map = bus_map_alloc(0);
	if (!bus || !map) {
		free(bus);
		free(map);
		return NULL;
	}
	atomic_store(&bus->map, map);
	pthread_mutex_init(&bus->lock, NULL);
	return bus;
}

void bus_set_doorbells(struct bus *bus, bus_doorbell_fn fn, void *opaque)
{
	bus->doorbell = fn;
	bus->doorbell_opaque = opaque;
}

static void bus_tell_doorbells(struct bus *bus, const struct bus_region *region, bool on)
{
	uint64_t offset;
	int fd;
	for (unsigned n = 0; bus->doorbell && region->ops->doorbell; n++) {
		fd = region->ops->doorbell(region->device, n, &offset);
		if (fd < 0) {
			break;
		}
		bus->doorbell(bus->doorbell_opaque, region->base + offset, fd, on);
	}
}

void bus_set_memory(struct bus *bus, bus_memory_fn fn, void *opaque)
{
	bus->memory = fn;
	bus->memory_opaque = opaque;
}

static void bus_tell_memory(struct bus *bus, const struct bus_region *region, bool on)
{
	uint64_t offset, len;
	void *hva;
	for (unsigned n = 0; bus->memory && region->ops->memory; n++) {
		hva = region->ops->memory(region->device, n, &offset, &len);
		if (!hva) {
			break;
		}
		bus->memory(bus->memory_opaque, region->base + offset, len, hva, on);
	}
}

static void bus_free_retired(struct bus *bus)
{
	while (bus->retired) {
		struct bus_map *map = bus->retired;
		bus->retired = map->next_retired;
		free(map);
	}
}

void bus_destroy(struct bus *bus)
{
	if (!bus) {
		return;
	}
	bus_free_retired(bus);
	free(atomic_load(&bus->map));
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}

/* Publish @map.  A reader counts itself in before it loads the map, so zero readers means no one holds an old one. */
static void bus_replace_locked(struct bus *bus, struct bus_map *map)
{
	struct bus_map *old = atomic_exchange(&bus->map, map);
	old->next_retired = bus->retired;
	bus->retired = old;
	if (atomic_load(&bus->in_flight) == 0) {
		bus_free_retired(bus);
	}
}

int bus_add(struct bus *bus, uint64_t base, uint64_t len, const struct bus_ops *ops, void *device,
	    const char *name)
{
	LOCKED(&bus->lock);
	const struct bus_map *old = atomic_load(&bus->map);
	size_t at = 0;
	if (!len || base + (len - 1) < base) {
		return -EINVAL;
	}
	for (size_t i = 0; i < old->count; i++) {
		const struct bus_region *r = &old->regions[i];
		if (base <= r->base + (r->len - 1) && r->base <= base + (len - 1)) {
			return -EEXIST;
		}
		at += r->base < base;
	}
	struct bus_map *map = bus_map_alloc(old->count + 1);
	if (!map) {
		return -ENOMEM;
	}
	memcpy(map->regions, old->regions, at * sizeof(map->regions[0]));
	memcpy(map->regions + at + 1, old->regions + at, (old->count - at) * sizeof(map->regions[0]));
	map->regions[at] = (struct bus_region){base, len, ops, device, name};
	bus_tell_doorbells(bus, &map->regions[at], true);
	bus_replace_locked(bus, map);
	bus_tell_memory(bus, &map->regions[at], true);
	return 0;
}

void bus_remove(struct bus *bus, uint64_t base, const void *device)
{
	LOCKED(&bus->lock);
	const struct bus_map *old = atomic_load(&bus->map);
	size_t at = 0;
	while (at < old->count &&
	       (old->regions[at].base != base || old->regions[at].device != device)) {
		at++;
	}
	struct bus_map *map = at < old->count ? bus_map_alloc(old->count - 1) : NULL;
	if (!map) {
		return;
	}
	bus_tell_doorbells(bus, &old->regions[at], false);
	bus_tell_memory(bus, &old->regions[at], false);
	memcpy(map->regions, old->regions, at * sizeof(map->regions[0]));
	memcpy(map->regions + at, old->regions + at + 1,
	       (old->count - at - 1) * sizeof(map->regions[0]));
	bus_replace_locked(bus, map);
}

bool bus_is_idle(struct bus *bus)
{
	return atomic_load(&bus->in_flight) == 0;
}

static const struct bus_region *bus_find(const struct bus_map *map, uint64_t gpa, unsigned size)
{
	size_t low = 0, high = map->count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct bus_region *r = &map->regions[mid];
		if (gpa < r->base) {
			high = mid;
		} else if (gpa - r->base >= r->len) {
			low = mid + 1;
		} else {
			return size <= r->len - (gpa - r->base) ? r : NULL;
		}
	}
	return NULL;
}

bool bus_read(struct bus *bus, uint64_t gpa, unsigned size, uint64_t *value)
{
	atomic_fetch_add(&bus->in_flight, 1);
	const struct bus_region *r = bus_find(atomic_load(&bus->map), gpa, size);
	*value = r ? r->ops->read(r->device, gpa - r->base, size) : ~(uint64_t)0;
	if (size < 8) {
		*value &= ((uint64_t)1 << (size * 8)) - 1;
	}
	atomic_fetch_sub(&bus->in_flight, 1);
	return r != NULL;
}

bool bus_write(struct bus *bus, uint64_t gpa, unsigned size, uint64_t value)
{
	atomic_fetch_add(&bus->in_flight, 1);
	const struct bus_region *r = bus_find(atomic_load(&bus->map), gpa, size);
	if (r) {
		r->ops->write(r->device, gpa - r->base, size, value);
	}
	atomic_fetch_sub(&bus->in_flight, 1);
	return r != NULL;
}
