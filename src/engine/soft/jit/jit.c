/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jit.c - the store of translated code: pages, room, entering and leaving
 *
 * Threads: the vCPU thread.
 */
#include "base/log.h"
#include "base/os.h"
#include "engine/soft/jit/identity.h"
#include "engine/soft/jit/mxcsr.h"
#include "engine/soft/jit/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

enum {
	CODE_BYTES = 24 << 20, /* of one cache, at most */
	ALL_CODE_BYTES = 512 << 20,
	RECORDS_PER_MIB = 16 * 1024,
};

static bool map_code(struct jit *jit)
{
	int fd = os_memory("oriel-code");
	if (fd < 0) {
		return false;
	}
	void *write = MAP_FAILED, *code = MAP_FAILED;
	if (!ftruncate(fd, (off_t)jit->size)) {
		write = mmap(NULL, jit->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		code = mmap(NULL, jit->size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_32BIT, fd, 0);
	}
	close(fd);
	jit->write = write == MAP_FAILED ? NULL : write;
	jit->code = code == MAP_FAILED ? NULL : code;
	return jit->write && jit->code;
}

static void *reserve(size_t bytes, int flags)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void forget_all(struct jit *jit)
{
	jit_keep_all(jit);
	memset(jit->buckets, 0, sizeof(jit->buckets));
	jit->pages_used = 0;
	jit->records_used = 0;
	jit->at = jit->start;
	jit->stats.flushes++;
}

static int open_perf_map(void)
{
	char path[64];
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		log_warn("%s: %s; perf will not know translated code", path, strerror(errno));
	}
	return fd;
}

/* The block from @code to the end of what was translated, for perf. */
static void note_for_perf(struct cpu *cpu, const struct jit_page *page, unsigned n,
			  const uint8_t *from)
{
	struct jit *jit = cpu->jit;
	if (jit->perf_map >= 0) {
		dprintf(jit->perf_map, "%x %x a64_%" PRIx64 "_gpa_%" PRIx64 "\n", page->entry[n],
			(unsigned)(jit->at - from), cpu->block_pc + n * 4, page->gpa + n * 4);
	}
}

struct jit *jit_create(struct cpu *cpu, unsigned share, const struct jit_options *options)
{
	struct jit *jit = calloc(1, sizeof(*jit));
	if (!jit) {
		return NULL;
	}
	jit->perf_map = options->perf_map ? open_perf_map() : -1;
	jit->host = jit_host_features(options->plain_host);
	size_t fair = ALL_CODE_BYTES / share / MIB * MIB;
	jit->size = fair < CODE_BYTES ? fair : CODE_BYTES;
	jit->record_count = jit->size / MIB * RECORDS_PER_MIB;
	jit->records = reserve(jit->record_count * sizeof(jit->records[0]), MAP_32BIT);
	jit->pool = reserve(JIT_PAGES * sizeof(jit->pool[0]), 0);
	if (!map_code(jit) || !jit->records || !jit->pool) {
		jit_destroy(jit);
		return NULL;
	}
	jit->at = jit->write;
	jit_fill_constants(&cpu->jit_constants);
	mxcsr_catch_exceptions();
	jit_emit_stubs(jit);
	jit->start = jit->at;
	assert(jit->start - jit->write < JIT_STUB_ROOM);
	forget_all(jit);
	return jit;
}

void jit_stats(const struct cpu *cpu, struct jit_stats *stats)
{
	*stats = (struct jit_stats){0};
	if (cpu->jit) {
		*stats = cpu->jit->stats;
		stats->code_bytes = (uint64_t)(cpu->jit->at - cpu->jit->start);
		stats->handler_calls = cpu->jit_handler_calls;
	}
}

struct jit_store *jit_open_store(const struct engine_config *config, const struct sysregs *sys)
{
	struct jit_identity identity;
	if (!config->cache_folder) {
		return NULL;
	}
	if (!jit_identify(config, sys, &identity)) {
		log_warn("translations: not kept, as this program was linked without a build ID");
		return NULL;
	}
	return jit_store_open(config->cache_folder, &identity, 0);
}

void jit_close_store(struct jit_store *store)
{
	jit_store_close(store);
}

void jit_use_store(struct jit *jit, struct jit_store *store)
{
	size_t size = jit->size / 2; /* smaller than the code, as only some bytes of it are noted */
	jit->journal = store ? reserve(size, 0) : NULL;
	jit->journal_size = jit->journal ? size : 0;
	jit->store = jit->journal ? store : NULL;
}

static void release(const void *p, size_t bytes)
{
	if (p) {
		munmap((void *)(uintptr_t)p, bytes);
	}
}

void jit_destroy(struct jit *jit)
{
	if (!jit) {
		return;
	}
	jit_keep_all(jit);
	release(jit->journal, jit->journal_size);
	release(jit->write, jit->size);
	release(jit->code, jit->size);
	release(jit->records, jit->record_count * sizeof(jit->records[0]));
	release(jit->pool, JIT_PAGES * sizeof(jit->pool[0]));
	if (jit->perf_map >= 0) {
		close(jit->perf_map);
	}
	free(jit);
}

static void forget_entries(struct jit *jit, struct jit_page *page)
{
	uint32_t untranslated = (uint32_t)(uintptr_t)jit->stubs.untranslated;
	for (unsigned n = 0; n < PAGE_INSNS; n++) {
		page->entry[n] = untranslated;
	}
	page->has_code = false;
}

static struct jit_page **bucket_of(struct jit *jit, uint64_t gpa)
{
	return &jit->buckets[gpa / GUEST_PAGE % JIT_BUCKETS];
}

static struct jit_page *lookup(struct jit *jit, uint64_t gpa)
{
	struct jit_page *page = *bucket_of(jit, gpa);
	while (page && page->gpa != gpa) {
		page = page->next;
	}
	return page;
}

struct jit_page *jit_find_page(struct cpu *cpu, uint64_t gpa, const uint8_t *words)
{
	struct jit *jit = cpu->jit;
	struct jit_page *page = lookup(jit, gpa);
	if (page) {
		return page;
	}
	if (jit->pages_used == JIT_PAGES) {
		jit_drop_all(cpu);
	}
	page = &jit->pool[jit->pages_used++];
	struct jit_page **bucket = bucket_of(jit, gpa);
	page->gpa = gpa;
	page->words = (const uint32_t *)words;
	page->next = *bucket;
	*bucket = page;
	forget_entries(jit, page);
	return page;
}

void jit_drop_page(struct cpu *cpu, uint64_t gpa)
{
	struct jit *jit = cpu->jit;
	struct jit_page *page = jit ? lookup(jit, gpa & ~(uint64_t)(GUEST_PAGE - 1)) : NULL;
	if (page && page->has_code) {
		jit->stats.pages_dropped++;
		forget_entries(jit, page);
	}
}

void jit_drop_all(struct cpu *cpu)
{
	if (cpu->jit) {
		forget_all(cpu->jit);
		mmu_flush_exec(cpu);
		cpu->jit_link = 0;
	}
}

static bool has_room(const struct jit *jit)
{
	return (size_t)(jit->at - jit->write) + JIT_BLOCK_ROOM <= jit->size &&
	       jit->records_used + JIT_BLOCK_RECORDS <= jit->record_count;
}

/* The jump that left for word @n of @page leads there from now on. */
static void link_jump(struct cpu *cpu, const struct jit_page *page, unsigned n)
{
	struct jit *jit = cpu->jit;
	if (cpu->jit_link && cpu->jit_link_page == page - jit->pool && cpu->jit_link_word == n) {
		jit_link(jit, page, n, jit->write + (cpu->jit_link - (uintptr_t)jit->code));
	}
	cpu->jit_link = 0;
}

void jit_run(struct cpu *cpu, struct jit_page *page)
{
	struct jit *jit = cpu->jit;
	unsigned n = cpu->pc % GUEST_PAGE / 4;
	if (!jit_is_translated(jit, page, n)) {
		if (!has_room(jit)) {
			jit_drop_all(cpu);
			return; /* the run loop comes again, with a new page */
		}
		const uint8_t *from = jit->at;
		if (!jit->store || !jit_place(cpu, page, n)) {
			jit_translate(cpu, page, n);
		}
		note_for_perf(cpu, page, n, from);
	}
	link_jump(cpu, page, n);
	jit->stats.entries++;
	cpu->mxcsr = mxcsr_of(cpu->fpcr, cpu->fpsr);
	void (*enter)(void *, const uint8_t *) =
		(void (*)(void *, const uint8_t *))(uintptr_t)jit->stubs.enter;
	enter(&cpu->x[16], (const uint8_t *)(uintptr_t)page->entry[n]);
}
