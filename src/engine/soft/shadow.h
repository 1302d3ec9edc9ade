/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shadow.h - vCPUs of the built-in engine that never run, for what a hypervisor can not describe or
 * do
 *
 * How it works: the first need makes a built-in engine with the same memory.  The hypervisor's
 * engine copies a vCPU's registers over, has the work done (nisv.h) and copies back what changed.
 * Threads: shadow_add_ram() before the first run; the rest under the lock.
 */
#ifndef ORIEL_ENGINE_SOFT_SHADOW_H
#define ORIEL_ENGINE_SOFT_SHADOW_H

#include "engine/engine.h"

#include <pthread.h>

enum { SHADOW_MOST_VCPUS = 64, SHADOW_MOST_RAMS = 8 };

/* An access of @size bytes that the engine itself answers; false: it is the machine's. */
typedef bool shadow_move_fn(void *opaque, uint64_t gpa, unsigned size, uint64_t *value, bool write);

struct shadow {
	struct engine_config config; /* of the engine that this helps */
	shadow_move_fn *move;
	void *opaque;
	struct {
		uint64_t gpa, len;
		void *hva;
	} ram[SHADOW_MOST_RAMS];
	unsigned rams;

	pthread_mutex_t lock;  /* guards the vCPUs' state, and all below */
	struct engine *engine; /* NULL: not needed yet */
	struct engine_vcpu *vcpus[SHADOW_MOST_VCPUS];
};

/* @config's vCPUs: at most SHADOW_MOST_VCPUS. */
void shadow_init(struct shadow *shadow, const struct engine_config *config, shadow_move_fn *move,
		 void *opaque);
/* Its vCPUs go.  No vCPU of the hypervisor runs. */
void shadow_finish(struct shadow *shadow);
/* As engine_map_ram(), which the engine does itself.  -ENOSPC. */
int shadow_add_ram(struct shadow *shadow, uint64_t gpa, uint64_t len, void *hva,
		   struct error *err) MUST_CHECK;
/* The vCPU that stands in for number @index; NULL: no memory for it. */
struct engine_vcpu *shadow_vcpu_locked(struct shadow *shadow, unsigned index);

#endif
