/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shadow.c - vCPUs of the built-in engine that never run
 *
 * Threads: see shadow.h.
 */
#include "engine/soft/shadow.h"

static bool shadow_read(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t *value)
{
	struct shadow *shadow = host;
	return shadow->move(shadow->opaque, gpa, size, value, false) ||
	       shadow->config.host_ops->mmio_read(shadow->config.host, vcpu, gpa, size, value);
}

static bool shadow_write(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	struct shadow *shadow = host;
	return shadow->move(shadow->opaque, gpa, size, &value, true) ||
	       shadow->config.host_ops->mmio_write(shadow->config.host, vcpu, gpa, size, value);
}

static const struct engine_host shadow_host = {.mmio_read = shadow_read,
					       .mmio_write = shadow_write};

void shadow_init(struct shadow *shadow, const struct engine_config *config, shadow_move_fn *move,
		 void *opaque)
{
	*shadow = (struct shadow){.config = *config, .move = move, .opaque = opaque};
	pthread_mutex_init(&shadow->lock, NULL);
}

void shadow_finish(struct shadow *shadow)
{
	engine_destroy(shadow->engine);
	pthread_mutex_destroy(&shadow->lock);
}

int shadow_add_ram(struct shadow *shadow, uint64_t gpa, uint64_t len, void *hva, struct error *err)
{
	if (shadow->rams == SHADOW_MOST_RAMS) {
		return error_set(err, -ENOSPC, "too many memory regions");
	}
	shadow->ram[shadow->rams].gpa = gpa;
	shadow->ram[shadow->rams].len = len;
	shadow->ram[shadow->rams++].hva = hva;
	return 0;
}

static int make_engine(struct shadow *shadow, struct error *err)
{
	const struct engine_config config = {.host_ops = &shadow_host,
					     .host = shadow,
					     .vcpus = shadow->config.vcpus,
					     .interp = true};
	shadow->engine = soft_engine_create(&config, err);
	int rc = shadow->engine ? 0 : -ENOMEM;
	for (unsigned n = 0; rc == 0 && n < shadow->rams; n++) {
		rc = engine_map_ram(shadow->engine, shadow->ram[n].gpa, shadow->ram[n].len,
				    shadow->ram[n].hva, false, err);
	}
	for (unsigned n = 0; rc == 0 && n < config.vcpus; n++) {
		shadow->vcpus[n] = engine_vcpu_create(shadow->engine, n, n, err);
		rc = shadow->vcpus[n] ? 0 : -ENOMEM;
		if (rc == 0) {
			engine_vcpu_reset(shadow->vcpus[n], 0, 0);
		}
	}
	return rc;
}

struct engine_vcpu *shadow_vcpu_locked(struct shadow *shadow, unsigned index)
{
	struct error err = {0};
	if (!shadow->engine && make_engine(shadow, &err) < 0) {
		engine_destroy(shadow->engine);
		shadow->engine = NULL;
		return NULL;
	}
	return shadow->vcpus[index];
}
