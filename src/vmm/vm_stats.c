/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_stats.c - the counters of a VM as JSON
 *
 * Keys: name, engine, run_s, resets, hypercalls {function id: calls, others}, interrupts {acks, sgis, msis, msis_dropped},
 * gpu {driver, api_version, contexts [...], ...} if it has one.
 * Threads: after vm_run(), but vm_stats_of_gpu(): any.
 */
#include "gpu/virtio_gpu.h"
#include "vmm/vm_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

/* Of the board's own interrupt controller: engines do not count for us. */
static json_t *stats_of_interrupts(struct vm *vm)
{
	struct gicv3_counters c = {0};
	if (!vm->board.gic) {
		return json_object();
	}
	gicv3_counters(vm->board.gic, &c);
	return json_pack("{s:I, s:I, s:I, s:I}", "acks", (json_int_t)c.acks, "sgis", (json_int_t)c.sgis, "msis",
			 (json_int_t)c.msis, "msis_dropped", (json_int_t)c.msis_dropped);
}

static json_t *stats_of_hypercalls(struct vm *vm)
{
	struct smccc_count counts[SMCCC_COUNTED];
	uint64_t others;
	unsigned counted = smccc_counts(&vm->smccc, counts, &others);
	json_t *object = json_pack("{s:I}", "others", (json_int_t)others);
	for (unsigned n = 0; n < counted; n++) {
		char id[16];
		snprintf(id, sizeof(id), "0x%08x", counts[n].function);
		json_object_set_new(object, id, json_integer((json_int_t)counts[n].calls));
	}
	return object;
}

/* A number that a server may have made up. */
static json_int_t stats_bytes(uint64_t bytes)
{
	return bytes < INT64_MAX ? (json_int_t)bytes : INT64_MAX;
}

static json_t *stats_of_context(const struct virtio_gpu_context_stats *c)
{
	return json_pack("{s:i, s:i, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "ctx_id", (int)c->ctx_id, "pid",
			 (int)c->pid, "live", c->live, "name", c->name, "commands", (json_int_t)c->commands, "draws",
			 (json_int_t)c->draws, "dispatches", (json_int_t)c->dispatches, "submits",
			 (json_int_t)c->submits, "blob_bytes", (json_int_t)c->blob_bytes, "mapped_bytes",
			 (json_int_t)c->mapped_bytes, "record_bytes", (json_int_t)c->record_bytes, "memory_bytes",
			 stats_bytes(c->memory_bytes));
}

json_t *vm_stats_of_gpu(const struct virtio_gpu_stats *s)
{
	char version[32];
	snprintf(version, sizeof(version), "%u.%u.%u", s->api_version >> 22 & 0x7f, s->api_version >> 12 & 0x3ff,
		 s->api_version & 0xfff);
	json_t *contexts = json_array();
	for (unsigned i = 0; i < s->context_count; i++) {
		json_array_append_new(contexts, stats_of_context(&s->contexts[i]));
	}
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "driver", s->driver,
			 "api_version", version, "contexts_started", (json_int_t)s->contexts_started, "contexts_lost",
			 (json_int_t)s->contexts_lost, "commands", (json_int_t)s->commands, "draws",
			 (json_int_t)s->draws, "dispatches", (json_int_t)s->dispatches, "submits",
			 (json_int_t)s->submits, "window_bytes", (json_int_t)s->window_bytes, "blob_bytes",
			 (json_int_t)s->blob_bytes, "mapped_bytes", (json_int_t)s->mapped_bytes, "memory_bytes",
			 stats_bytes(s->memory_bytes), "memory_limit", (json_int_t)s->memory_limit, "refused",
			 (json_int_t)s->refused, "contexts", contexts);
}

static void put_json(void *opaque, const char *name, uint64_t value)
{
	json_object_set_new(opaque, name, json_integer((json_int_t)value));
}

static json_t *stats_of_engine(struct vm *vm)
{
	json_t *object = json_object();
	engine_stats(vm->engine, put_json, object);
	return object;
}

static void put_line(void *opaque, const char *name, uint64_t value)
{
	fprintf(stderr, "%s: %s %" PRIu64 "\n", (const char *)opaque, name, value);
}

void vm_print_engine_stats(struct vm *vm)
{
	engine_stats(vm->engine, put_line, (void *)(uintptr_t)vm->engine->ops->name);
}

int vm_write_stats(struct vm *vm, const char *path, struct error *err)
{
	double run_s = (double)(loop_now_ns() - vm->started_ns) / 1e9;
	json_t *root = json_pack("{s:s, s:s, s:f, s:i, s:o, s:o}", "name",
				 vm->config->name ? vm->config->name : "vm", "engine", vm->engine->ops->name, "run_s", run_s, "resets",
				 (int)atomic_load(&vm->resets), "interrupts", stats_of_interrupts(vm),
				 "hypercalls", stats_of_hypercalls(vm));
	if (root) {
		json_object_set_new(root, "engine_counters", stats_of_engine(vm));
	}
	if (root && vm->gpu) {
		struct virtio_gpu_stats stats = {0};
		virtio_gpu_stats(vm->gpu, &stats);
		json_object_set_new(root, "gpu", vm_stats_of_gpu(&stats));
	}
	int rc = 0;
	errno = 0;
	if (!root || json_dump_file(root, path, JSON_INDENT(2)) < 0) {
		errno = errno ? errno : ENOMEM;
		rc = error_errno(err, "write statistics to %s", path);
	}
	json_decref(root);
	return rc;
}
