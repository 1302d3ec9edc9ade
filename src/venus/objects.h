/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.h - the table of one context: guest id -> type, host handle and what is known about it
 *
 * How it works: buckets of chains that are read without a lock; every change is made under one
 * mutex.  Objects live in slabs that are freed with the table only, so a reader that races with a
 * removal (a guest breaking the rules) reads a stale object, never foreign memory; it compares the
 * id again and asks under the mutex if it did not find it.
 *
 * Invariants: ids are unique over all types.  A child is newer than its parent and goes before it.
 * Threads: any, except init and finish.  Reading an object found by id needs that nobody removes it
 * meanwhile: true for commands of guests that keep Vulkan's rules; use venus_objects_with() where
 * it must hold against all guests.
 */
#ifndef ORIEL_VENUS_OBJECTS_H
#define ORIEL_VENUS_OBJECTS_H

#include "base/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vulkan/vulkan_core.h>

enum {
	VENUS_OBJECTS_MAX = 4 * 1024 * 1024,  /* per context */
	VENUS_RECORD_MAX = 1024 * 1024,	      /* longest creation command kept */
	VENUS_RECORDS_MAX = 64 * 1024 * 1024, /* kept per context, then creations go unrecorded */
};

struct venus_driver; /* entry points of an instance or device, see dispatch.h */
struct venus_slab;

/* The bytes of the command that made an object (or several), to make it again one day. */
struct venus_record {
	uint32_t refs; /* under the table's mutex */
	uint32_t len;
	uint8_t bytes[];
};

struct venus_object {
	uint64_t id;	 /* chosen by the guest, never 0; 0 while unused */
	uint64_t handle; /* of the host driver; 0 if failed */
	VkObjectType type;
	bool failed; /* created by a call without reply that failed: uses are ignored */
	struct venus_driver
		*driver; /* entry points to use with it; owned by VkInstance and VkDevice objects */
	struct venus_object *parent; /* device of most; physical device of a device; instance of a
					physical device */
	struct venus_object *pool;   /* of command buffers and descriptor sets, else NULL */
	void *data;		     /* the front end's; see venus_dispatch.data_free */
	struct venus_record *record; /* NULL if not kept */
	uint32_t record_index;	     /* which of the handles that command created */
	/* Private to objects.c, under the mutex: */
	struct venus_object *_Atomic hash_next;
	struct venus_object *first_child; /* newest first; of a pool: its own children */
	struct venus_object *sibling_next, *sibling_prev;
};

struct venus_objects {
	pthread_mutex_t lock;
	/* Under the lock, read without: */
	struct venus_buckets *_Atomic buckets;
	/* Under the lock: */
	struct venus_slab *slabs;
	struct venus_object *unused;
	struct venus_object *roots; /* objects without parent, newest first */
	size_t count, max;
	size_t record_bytes, unrecorded;
	uint64_t *record_report; /* record_bytes for others to read, or NULL */
};

int venus_objects_init(struct venus_objects *objects) MUST_CHECK;
/* Frees the memory; what host handles are left is the caller's matter (venus_dispatch_finish()). */
void venus_objects_finish(struct venus_objects *objects);

/*
 * Add an object below @parent (may be NULL), and @pool if it has one.  Returns it, or NULL: @id is
 * 0 or in use, table full or out of memory.  @handle 0 makes a failed object.
 */
struct venus_object *venus_objects_add(struct venus_objects *objects, uint64_t id,
				       VkObjectType type, uint64_t handle,
				       struct venus_object *parent, struct venus_object *pool);

/* The object of that id and type, or NULL. */
struct venus_object *venus_objects_find(struct venus_objects *objects, uint64_t id,
					VkObjectType type);

/* Run fn on the object while the table is locked: it cannot go.  0, or -ENOENT.  fn must not block
 * or use the table. */
int venus_objects_with(struct venus_objects *objects, uint64_t id, VkObjectType type,
		       int (*fn)(struct venus_object *object, void *opaque), void *opaque);

/*
 * Forget @object if it still is the one with @id and has no children; its record goes too, its host
 * handle and data are the caller's: *gone is what it was.  False if somebody else was faster (a
 * guest that destroys from two rings at once).
 */
bool venus_objects_take(struct venus_objects *objects, struct venus_object *object, uint64_t id,
			struct venus_object *gone);

/* The newest object below @object (NULL: of the roots), or NULL. */
struct venus_object *venus_objects_newest(struct venus_objects *objects,
					  struct venus_object *object);

/* The id of @parent's child (NULL: of the root) with that host handle, or 0.  Walks all children:
 * for few and rare ones. */
uint64_t venus_objects_id_of(struct venus_objects *objects, struct venus_object *parent,
			     VkObjectType type, uint64_t handle);

/* Tell how many bytes the records take in *@report (borrowed, read with relaxed atomics) from now
 * on. */
void venus_objects_report(struct venus_objects *objects, uint64_t *report);

/* Keep a copy of the creation command with the object, if limits allow; @shared: the record of a
 * sibling or NULL. */
void venus_objects_record(struct venus_objects *objects, struct venus_object *object,
			  const void *bytes, size_t len, struct venus_object *shared,
			  uint32_t index);

#endif
