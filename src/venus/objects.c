/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.c - object table of one context
 *
 * How it works: see objects.h.  Buckets double when chains get long; old bucket arrays stay until
 * the end (together smaller than the newest), since readers may still be inside.  A reader that
 * walks more than a few links, or finds nothing, asks again under the mutex: only growth, guests'
 * races and unknown ids take that path. Threads: any.
 */
#include "venus/objects.h"

#include "base/own.h"

#include <errno.h>
#include <string.h>

enum { OBJECTS_SLAB = 256, OBJECTS_BUCKETS = 1024, OBJECTS_HOPS = 32 };

struct venus_slab {
	struct venus_slab *next;
	struct venus_object objects[OBJECTS_SLAB];
};

struct venus_buckets {
	struct venus_buckets *older;
	size_t mask;
	struct venus_object *_Atomic heads[];
};

static size_t objects_hash(uint64_t id)
{
	return (size_t)((id * 0x9e3779b97f4a7c15u) >> 20);
}

static struct venus_buckets *objects_make_buckets(size_t count)
{
	struct venus_buckets *buckets =
		calloc(1, sizeof(*buckets) + count * sizeof(buckets->heads[0]));
	if (buckets) {
		buckets->mask = count - 1;
	}
	return buckets;
}

int venus_objects_init(struct venus_objects *objects)
{
	*objects = (struct venus_objects){.max = VENUS_OBJECTS_MAX};
	struct venus_buckets *buckets = objects_make_buckets(OBJECTS_BUCKETS);
	if (!buckets) {
		return -ENOMEM;
	}
	atomic_init(&objects->buckets, buckets);
	pthread_mutex_init(&objects->lock, NULL);
	return 0;
}

/* Locked. */
static void objects_count_record(struct venus_objects *objects, size_t bytes)
{
	objects->record_bytes += bytes;
	if (objects->record_report) {
		__atomic_store_n(objects->record_report, objects->record_bytes, __ATOMIC_RELAXED);
	}
}

void venus_objects_report(struct venus_objects *objects, uint64_t *report)
{
	LOCKED(&objects->lock);
	objects->record_report = report;
	objects_count_record(objects, 0);
}

static void objects_drop_record(struct venus_objects *objects, struct venus_object *object)
{
	struct venus_record *record = object->record;
	object->record = NULL;
	if (record && --record->refs == 0) {
		objects_count_record(objects, 0 - (sizeof(*record) + record->len));
		free(record);
	}
}

void venus_objects_finish(struct venus_objects *objects)
{
	while (objects->slabs) {
		struct venus_slab *slab = objects->slabs;
		objects->slabs = slab->next;
		for (size_t i = 0; i < OBJECTS_SLAB; i++) {
			objects_drop_record(objects, &slab->objects[i]);
		}
		free(slab);
	}
	struct venus_buckets *buckets = atomic_load(&objects->buckets);
	while (buckets) {
		struct venus_buckets *older = buckets->older;
		free(buckets);
		buckets = older;
	}
	atomic_store(&objects->buckets, NULL);
	pthread_mutex_destroy(&objects->lock);
}

/* Walk one chain; at most @hops links (a racing change could lead a lock-free reader into another
 * chain). */
static struct venus_object *objects_walk(struct venus_objects *objects, uint64_t id, size_t hops)
{
	struct venus_buckets *buckets =
		atomic_load_explicit(&objects->buckets, memory_order_acquire);
	struct venus_object *object = atomic_load_explicit(
		&buckets->heads[objects_hash(id) & buckets->mask], memory_order_acquire);
	while (object && hops--) {
		if (__atomic_load_n(&object->id, __ATOMIC_RELAXED) == id) {
			return object;
		}
		object = atomic_load_explicit(&object->hash_next, memory_order_acquire);
	}
	return NULL;
}

static struct venus_object *objects_find_locked(struct venus_objects *objects, uint64_t id)
{
	return id ? objects_walk(objects, id, SIZE_MAX) : NULL;
}

struct venus_object *venus_objects_find(struct venus_objects *objects, uint64_t id,
					VkObjectType type)
{
	if (!id) {
		return NULL;
	}
	struct venus_object *object = objects_walk(objects, id, OBJECTS_HOPS);
	if (!object) {
		LOCKED(&objects->lock);
		object = objects_find_locked(objects, id);
	}
	return object && object->type == type ? object : NULL;
}

int venus_objects_with(struct venus_objects *objects, uint64_t id, VkObjectType type,
		       int (*fn)(struct venus_object *object, void *opaque), void *opaque)
{
	LOCKED(&objects->lock);
	struct venus_object *object = objects_find_locked(objects, id);
	if (!object || object->type != type) {
		return -ENOENT;
	}
	return fn(object, opaque);
}

static struct venus_object *objects_take_unused(struct venus_objects *objects)
{
	if (!objects->unused) {
		struct venus_slab *slab = calloc(1, sizeof(*slab));
		if (!slab) {
			return NULL;
		}
		slab->next = objects->slabs;
		objects->slabs = slab;
		for (size_t i = OBJECTS_SLAB; i-- > 0;) {
			slab->objects[i].sibling_next = objects->unused;
			objects->unused = &slab->objects[i];
		}
	}
	struct venus_object *object = objects->unused;
	objects->unused = object->sibling_next;
	return object;
}

static void objects_hash_in(struct venus_buckets *buckets, struct venus_object *object)
{
	struct venus_object *_Atomic *head =
		&buckets->heads[objects_hash(object->id) & buckets->mask];
	atomic_store_explicit(&object->hash_next, atomic_load_explicit(head, memory_order_relaxed),
			      memory_order_release);
	atomic_store_explicit(head, object, memory_order_release);
}

static void objects_hash_out(struct venus_buckets *buckets, struct venus_object *object)
{
	struct venus_object *_Atomic *link =
		&buckets->heads[objects_hash(object->id) & buckets->mask];
	while (atomic_load_explicit(link, memory_order_relaxed) != object) {
		link = &atomic_load_explicit(link, memory_order_relaxed)->hash_next;
	}
	atomic_store_explicit(link, atomic_load_explicit(&object->hash_next, memory_order_relaxed),
			      memory_order_release);
}

/* Out of memory is no reason to fail: chains just get longer. */
static void objects_grow(struct venus_objects *objects)
{
	struct venus_buckets *old = atomic_load_explicit(&objects->buckets, memory_order_relaxed);
	struct venus_buckets *buckets = objects_make_buckets((old->mask + 1) * 4);
	if (!buckets) {
		return;
	}
	buckets->older = old;
	for (size_t i = 0; i <= old->mask; i++) {
		struct venus_object *object =
			atomic_load_explicit(&old->heads[i], memory_order_relaxed);
		while (object) {
			struct venus_object *next =
				atomic_load_explicit(&object->hash_next, memory_order_relaxed);
			objects_hash_in(buckets, object);
			object = next;
		}
	}
	atomic_store_explicit(&objects->buckets, buckets, memory_order_release);
}

static struct venus_object **objects_list_of(struct venus_objects *objects,
					     struct venus_object *object)
{
	if (object->pool) {
		return &object->pool->first_child;
	}
	return object->parent ? &object->parent->first_child : &objects->roots;
}

static void objects_link(struct venus_objects *objects, struct venus_object *object)
{
	struct venus_object **list = objects_list_of(objects, object);
	object->sibling_prev = NULL;
	object->sibling_next = *list;
	if (*list) {
		(*list)->sibling_prev = object;
	}
	*list = object;
}

static void objects_unlink(struct venus_objects *objects, struct venus_object *object)
{
	if (object->sibling_prev) {
		object->sibling_prev->sibling_next = object->sibling_next;
	} else {
		*objects_list_of(objects, object) = object->sibling_next;
	}
	if (object->sibling_next) {
		object->sibling_next->sibling_prev = object->sibling_prev;
	}
}

struct venus_object *venus_objects_add(struct venus_objects *objects, uint64_t id,
				       VkObjectType type, uint64_t handle,
				       struct venus_object *parent, struct venus_object *pool)
{
	LOCKED(&objects->lock);
	if (!id || objects->count >= objects->max || objects_find_locked(objects, id)) {
		return NULL;
	}
	struct venus_object *object = objects_take_unused(objects);
	if (!object) {
		return NULL;
	}
	object->type = type;
	object->handle = handle;
	object->failed = !handle;
	object->driver = parent ? parent->driver : NULL;
	object->parent = parent;
	object->pool = pool;
	object->data = NULL;
	object->first_child = NULL;
	__atomic_store_n(&object->id, id,
			 __ATOMIC_RELEASE); /* decoders may know the object already */
	struct venus_buckets *buckets =
		atomic_load_explicit(&objects->buckets, memory_order_relaxed);
	if (objects->count > buckets->mask) {
		objects_grow(objects);
		buckets = atomic_load_explicit(&objects->buckets, memory_order_relaxed);
	}
	objects_hash_in(buckets, object);
	objects_link(objects, object);
	objects->count++;
	return object;
}

bool venus_objects_take(struct venus_objects *objects, struct venus_object *object, uint64_t id,
			struct venus_object *gone)
{
	LOCKED(&objects->lock);
	if (!id || object->id != id || object->first_child) {
		return false;
	}
	objects_hash_out(atomic_load_explicit(&objects->buckets, memory_order_relaxed), object);
	objects_unlink(objects, object);
	objects_drop_record(objects, object);
	gone->id = id;
	gone->handle = object->handle;
	gone->type = object->type;
	gone->failed = object->failed;
	gone->driver = object->driver;
	gone->parent = object->parent;
	gone->pool = object->pool;
	gone->data = object->data;
	object->data = NULL;
	__atomic_store_n(&object->id, 0, __ATOMIC_RELAXED);
	object->sibling_next = objects->unused;
	objects->unused = object;
	objects->count--;
	return true;
}

struct venus_object *venus_objects_newest(struct venus_objects *objects,
					  struct venus_object *object)
{
	LOCKED(&objects->lock);
	return object ? object->first_child : objects->roots;
}

uint64_t venus_objects_id_of(struct venus_objects *objects, struct venus_object *parent,
			     VkObjectType type, uint64_t handle)
{
	LOCKED(&objects->lock);
	for (struct venus_object *o = parent ? parent->first_child : objects->roots; o;
	     o = o->sibling_next) {
		if (o->type == type && o->handle == handle) {
			return o->id;
		}
	}
	return 0;
}

void venus_objects_record(struct venus_objects *objects, struct venus_object *object,
			  const void *bytes, size_t len, struct venus_object *shared,
			  uint32_t index)
{
	LOCKED(&objects->lock);
	struct venus_record *record = shared ? shared->record : NULL;
	if (!record && !shared && len <= VENUS_RECORD_MAX &&
	    len <= VENUS_RECORDS_MAX - objects->record_bytes) {
		record = malloc(sizeof(*record) + len);
		if (record) {
			record->refs = 0;
			record->len = (uint32_t)len;
			memcpy(record->bytes, bytes, len);
			objects_count_record(objects, sizeof(*record) + len);
		}
	}
	if (!record) {
		objects->unrecorded++;
		return;
	}
	record->refs++;
	object->record = record;
	object->record_index = index;
}
