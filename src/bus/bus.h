/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus.h - routes accesses by guest physical address to device handlers
 *
 * How it works: the map is an immutable sorted snapshot; a change (a BAR moves) makes a new one and retires the old,
 * which is freed once no access that may use it is in flight.  So look-ups take no lock, and a handler may itself
 * change the map.  A handler gets an offset and a size, never needs to know where it sits, and may still be called once
 * shortly after bus_remove() returned on another thread's behalf: owners outlive the bus.
 * Threads: bus_read/bus_write from any vCPU thread at once; bus_add/bus_remove from any thread (own lock).
 */
#ifndef ORIEL_BUS_BUS_H
#define ORIEL_BUS_BUS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct bus;

/*
 * All sizes 1, 2, 4, 8 arrive here, naturally aligned or not, always inside the region.  A read returns the value in
 * its low bits; what a device does not implement reads as 0 and ignores writes.
 */
struct bus_ops {
	uint64_t (*read)(void *device, uint64_t offset, unsigned size);
	void (*write)(void *device, uint64_t offset, unsigned size, uint64_t value);
	/*
	 * Optional: doorbell @n (0, 1, ...): writes at *offset, whatever is written, do no more than signal the eventfd that is
	 * returned, which lives as long as the device.  -1: there is none.
	 */
	int (*doorbell)(void *device, unsigned n, uint64_t *offset);
	/*
	 * Optional: part @n (0, 1, ...) of the region, *len bytes at *offset, is what lies here at the address that is returned, as
	 * long as the region is on the bus; a guest's loads and stores may go there without the handlers.  NULL: there is none.
	 */
	void *(*memory)(void *device, unsigned n, uint64_t *offset, uint64_t *len);
};

struct bus *bus_create(void);
/*
 * Tell fn(opaque, gpa, fd, on) of each doorbell that comes to the map (@on) or goes: writes it takes no longer arrive at the device.
 * Before the first region is added.
 */
typedef void (*bus_doorbell_fn)(void *opaque, uint64_t gpa, int fd, bool on);
void bus_set_doorbells(struct bus *bus, bus_doorbell_fn fn, void *opaque);
/* The same for parts of regions that a guest may reach without their handlers. */
typedef void (*bus_memory_fn)(void *opaque, uint64_t gpa, uint64_t len, void *hva, bool on);
void bus_set_memory(struct bus *bus, bus_memory_fn fn, void *opaque);
/* Accepts NULL.  No access may be in flight. */
void bus_destroy(struct bus *bus);

/*
 * Route [base, base+len) to @device.  @name is borrowed, for messages.  -EEXIST on overlap, -ENOMEM.
 */
int bus_add(struct bus *bus, uint64_t base, uint64_t len, const struct bus_ops *ops, void *device,
	    const char *name) MUST_CHECK;
/* Take away the region that starts at @base and belongs to @device; no-op if there is none. */
void bus_remove(struct bus *bus, uint64_t base, const void *device);

/*
 * True if no access is under way at this moment: then nobody can still use a region that was removed before the call.
 */
bool bus_is_idle(struct bus *bus);

/* True if a device answered.  An access that no one owns reads as all ones. */
bool bus_read(struct bus *bus, uint64_t gpa, unsigned size, uint64_t *value);
bool bus_write(struct bus *bus, uint64_t gpa, unsigned size, uint64_t value);

#endif
