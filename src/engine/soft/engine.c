/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.c - the built-in CPU engine behind engine.h
 *
 * Threads: as engine.h says for each call.
 */
#include "engine/engine.h"

#include "base/own.h"
#include "engine/soft/exception.h"
#include "engine/soft/jit/jit.h"
#include "engine/soft/soft.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int soft_map_ram(struct engine *engine, uint64_t gpa, uint64_t len, void *hva, bool read_only,
			struct error *err)
{
	return memory_add(&soft_engine(engine)->memory, gpa, len, hva, read_only, err);
}

static void forget_translations(struct soft_engine *engine)
{
	struct invalidate_op op = {.kind = INVALIDATE_TLB};
	invalidate_post_all(engine, &op);
}

static int soft_window_place(struct engine *engine, uint64_t gpa, uint64_t len, struct error *err)
{
	int rc = memory_window_place(&soft_engine(engine)->memory, gpa, len, err);
	forget_translations(soft_engine(engine));
	return rc;
}

static int soft_window_map(struct engine *engine, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
			   struct error *err)
{
	if ((offset | fd_offset | len) % engine->window_granule) {
		return error_set(err, -EINVAL, "GPU window: 0x%llx+0x%llx is not aligned to pages of %u KiB",
				 (unsigned long long)offset, (unsigned long long)len, engine->window_granule >> 10);
	}
	return memory_window_map(&soft_engine(engine)->memory, offset, fd, fd_offset, len, err);
}

static void soft_window_unmap(struct engine *engine, uint64_t offset, uint64_t len)
{
	struct memory *memory = &soft_engine(engine)->memory;
	if (memory_window_unmap(memory, offset, len)) {
		struct invalidate_op op = {.kind = INVALIDATE_WINDOW, .start = (uintptr_t)memory->window_hva + offset, .len = len};
		invalidate_post_all(soft_engine(engine), &op);
	}
}

static void destroy_vcpu(struct soft_vcpu *vcpu)
{
	if (!vcpu) {
		return;
	}
	code_destroy(vcpu->code);
	jit_destroy(vcpu->cpu.jit);
	free(vcpu->cpu.mmu);
	invalidate_finish(&vcpu->invalidate);
	sleep_free(&vcpu->sleep);
	free(vcpu);
}

static struct engine_vcpu *soft_vcpu_create(struct engine *base, unsigned index, uint64_t mpidr,
					    struct error *err)
{
	struct soft_engine *engine = soft_engine(base);
	if (index != engine->vcpu_count || index >= engine->config.vcpus) {
		error_set(err, -EINVAL, "vCPU %u is out of order", index);
		return NULL;
	}
	struct soft_vcpu *vcpu = aligned_alloc(64, (sizeof(*vcpu) + 63) / 64 * 64);
	if (!vcpu) {
		error_set(err, -ENOMEM, "no memory for vCPU %u", index);
		return NULL;
	}
	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->base = (struct engine_vcpu){.engine = base, .index = index};
	vcpu->engine = engine;
	vcpu->cpu.vcpu = vcpu;
	vcpu->cpu.sys = &vcpu->sys;
	vcpu->timers.deadline = TIMER_NEVER;
	vcpu->debugger.entry.tag = TLB_NONE;
	invalidate_init(&vcpu->invalidate);
	sleep_init(&vcpu->sleep);
	vcpu->cpu.mmu = mmu_create();
	vcpu->code = code_create();
	if (!vcpu->cpu.mmu || !vcpu->code) {
		destroy_vcpu(vcpu);
		error_set(err, -ENOMEM, "no memory for vCPU %u", index);
		return NULL;
	}
	if (engine->translates) {
		const struct jit_options options = {.perf_map = engine->config.perf_map,
						    .plain_host = engine->config.plain_host};
		vcpu->cpu.jit = jit_create(&vcpu->cpu, engine->config.vcpus, &options);
		if (!vcpu->cpu.jit) {
			destroy_vcpu(vcpu);
			error_set(err, -ENOMEM, "no memory below 2 GiB for translated code; try --engine soft,interp");
			return NULL;
		}
		jit_use_store(vcpu->cpu.jit, engine->store);
	}
	sysreg_identify(&vcpu->sys, engine->config.cpu, mpidr);
	engine->vcpus[engine->vcpu_count++] = vcpu;
	return &vcpu->base;
}

static void soft_vcpu_reset(struct engine_vcpu *base, uint64_t pc, uint64_t x0)
{
	struct soft_vcpu *vcpu = soft_vcpu(base);
	struct cpu *cpu = &vcpu->cpu;
	memset(cpu->x, 0, sizeof(cpu->x));
	memset(cpu->v, 0, sizeof(cpu->v));
	memset(cpu->sp_el, 0, sizeof(cpu->sp_el));
	cpu->fpcr = cpu->fpsr = 0;
	cpu->nzcv = 0;
	cpu->daif = 0xf << 6;
	cpu->el = cpu->spsel = 1;
	cpu->btype = 0;
	cpu->pan = cpu->ss = cpu->il = false;
	cpu->ex_ptr = NULL;
	atomic_fetch_and(&cpu->pending, ~(unsigned)(RUN_WFI | RUN_STEP));
	cpu->pc = pc;
	cpu->x[0] = x0;
	sysreg_reset(cpu);
	mmu_flush_all(cpu);
	code_drop_all(cpu);
	mmu_select_asid(cpu);
	mmu_select(cpu);
	timer_reset(cpu);
}

static enum engine_exit soft_run(struct engine_vcpu *vcpu)
{
	return run_vcpu(soft_vcpu(vcpu));
}

static void soft_vcpu_kick(struct engine_vcpu *vcpu)
{
	run_request(&soft_vcpu(vcpu)->cpu, RUN_KICK);
}

static void soft_vcpu_set_line(struct engine_vcpu *base, enum engine_line line, bool level)
{
	struct soft_vcpu *vcpu = soft_vcpu(base);
	if (level) {
		unsigned before = atomic_fetch_or(&vcpu->lines, 1u << line);
		if (!(before & 1u << line)) {
			run_request(&vcpu->cpu, RUN_IRQ);
		}
	} else {
		atomic_fetch_and(&vcpu->lines, ~(1u << line));
	}
}

static void soft_vcpu_registers(struct engine_vcpu *base, uint64_t x[31], uint64_t *sp, uint64_t *pc,
				uint64_t *pstate)
{
	const struct cpu *cpu = &soft_vcpu(base)->cpu;
	memcpy(x, cpu->x, 31 * sizeof(x[0]));
	*sp = cpu->x[CPU_SP];
	*pc = cpu->pc;
	*pstate = exception_pstate(cpu);
}

static bool soft_vcpu_set_key(struct engine_vcpu *base, enum engine_key key, uint64_t low, uint64_t high)
{
	static const enum sysreg_key keys[] = {
		[ENGINE_KEY_IA] = KEY_IA, [ENGINE_KEY_IB] = KEY_IB, [ENGINE_KEY_DA] = KEY_DA,
		[ENGINE_KEY_DB] = KEY_DB, [ENGINE_KEY_GA] = KEY_GA};
	struct sysregs *sys = &soft_vcpu(base)->sys;
	uint64_t *to = key == ENGINE_KEY_DIVERSIFIER ? sys->diversifier : sys->apkey[keys[key]];
	to[0] = low;
	to[1] = high;
	return soft_engine(base->engine)->config.cpu == ENGINE_CPU_MAX;
}

static bool soft_vcpu_set_diversified(struct engine_vcpu *base, unsigned levels)
{
	soft_vcpu(base)->sys.diversified = levels;
	return soft_engine(base->engine)->config.cpu == ENGINE_CPU_MAX;
}

static void soft_stats(struct engine *base, engine_stat_fn *put, void *opaque)
{
	struct soft_engine *engine = soft_engine(base);
	struct jit_stats sum = {0};
	for (unsigned n = 0; n < engine->vcpu_count; n++) {
		struct jit_stats one;
		jit_stats(&engine->vcpus[n]->cpu, &one);
		sum.blocks += one.blocks;
		sum.blocks_loaded += one.blocks_loaded;
		sum.insns += one.insns;
		sum.code_bytes += one.code_bytes;
		sum.flushes += one.flushes;
		sum.pages_dropped += one.pages_dropped;
		sum.entries += one.entries;
		sum.handler_calls += one.handler_calls;
	}
	put(opaque, "translated_blocks", sum.blocks);
	put(opaque, "loaded_blocks", sum.blocks_loaded);
	put(opaque, "translated_instructions", sum.insns);
	put(opaque, "code_bytes", sum.code_bytes);
	put(opaque, "code_flushes", sum.flushes);
	put(opaque, "code_pages_dropped", sum.pages_dropped);
	put(opaque, "code_entries", sum.entries);
	put(opaque, "handler_calls", sum.handler_calls);
}

static void soft_destroy(struct engine *base)
{
	struct soft_engine *engine = soft_engine(base);
	timer_thread_stop(engine);
	for (unsigned n = 0; n < engine->vcpu_count; n++) {
		destroy_vcpu(engine->vcpus[n]);
	}
	jit_close_store(engine->store);
	memory_finish(&engine->memory);
	free(engine);
}

static const struct engine_ops soft_ops = {
	.name = "built-in",
	.destroy = soft_destroy,
	.map_ram = soft_map_ram,
	.window_place = soft_window_place,
	.window_map = soft_window_map,
	.window_unmap = soft_window_unmap,
	.vcpu_create = soft_vcpu_create,
	.vcpu_reset = soft_vcpu_reset,
	.run = soft_run,
	.vcpu_kick = soft_vcpu_kick,
	.vcpu_set_line = soft_vcpu_set_line,
	.vcpu_registers = soft_vcpu_registers,
	.stats = soft_stats,
	.debug = &debugger_ops,
	.vcpu_set_key = soft_vcpu_set_key,
	.vcpu_set_diversified = soft_vcpu_set_diversified,
};

/* Called within an access of any thread to the window (guard.h). */
static void on_loss(void *opaque, uint64_t offset)
{
	const struct engine_config *config = &((struct soft_engine *)opaque)->config;
	if (config->host_ops->window_lost) {
		config->host_ops->window_lost(config->host, offset);
	}
}

static struct jit_store *open_store(const struct engine_config *config)
{
	struct sysregs sys = {0};
	sysreg_identify(&sys, config->cpu, 0);
	return jit_open_store(config, &sys);
}

struct engine *soft_engine_create(const struct engine_config *config, struct error *err)
{
	if (!config->vcpus || config->vcpus > SOFT_VCPUS) {
		error_set(err, -EINVAL, "the built-in engine has 1 to %d CPUs, not %u", SOFT_VCPUS,
			  config->vcpus);
		return NULL;
	}
	struct soft_engine *engine = calloc(1, sizeof(*engine));
	if (!engine) {
		error_set(err, -ENOMEM, "no memory for the CPU engine");
		return NULL;
	}
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
	engine->base.ops = &soft_ops;
	engine->base.window_granule = config->window_granule > page ? config->window_granule : page;
	engine->config = *config;
	engine->translates = !config->interp && jit_is_supported();
	engine->store = engine->translates ? open_store(config) : NULL;
	engine->config.cache_folder = NULL; /* the caller's */
	memory_init(&engine->memory, on_loss, engine);
	int rc = timer_thread_start(engine);
	if (rc) {
		error_set(err, rc, "the CPU engine's timer thread can not start");
		soft_destroy(&engine->base);
		return NULL;
	}
	return &engine->base;
}
