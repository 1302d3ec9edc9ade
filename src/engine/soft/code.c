/* SPDX-License-Identifier: Apache-2.0 */
/* code.c - see code.h */
#include "engine/soft/code.h"

#include "base/os.h"
#include "engine/soft/decode.h"
#include "engine/soft/jit/jit.h"
#include "engine/soft/mmu.h"
#include "engine/soft/soft.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LINE_INSNS = 16 };

struct code *code_create(void)
{
	struct code *code = calloc(1, sizeof(*code));
	if (!code) {
		return NULL;
	}
	void *pool = mmap(NULL, CODE_PAGES * sizeof(struct code_page), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool == MAP_FAILED) {
		free(code);
		return NULL;
	}
	os_prefer_huge(pool, CODE_PAGES * sizeof(struct code_page));
	code->pool = pool;
	return code;
}

void code_destroy(struct code *code)
{
	if (code) {
		munmap(code->pool, CODE_PAGES * sizeof(struct code_page));
		free(code);
	}
}

static struct code_page *page_of(const struct insn *i)
{
	const struct insn *first = i - i->offset / 4;
	return (struct code_page *)((char *)(uintptr_t)first - offsetof(struct code_page, insns));
}

static void decode_entry(struct cpu *cpu, const struct insn *i)
{
	struct code_page *page = page_of(i);
	unsigned n = i->offset / 4;
	struct insn *fresh = &page->insns[n];
	fresh->raw = __atomic_load_n(&page->words[n], __ATOMIC_RELAXED);
	if (n % LINE_INSNS != LINE_INSNS - 1) {
		decode_pair(cpu, fresh, __atomic_load_n(&page->words[n + 1], __ATOMIC_RELAXED));
	} else {
		decode_insn(cpu, fresh);
	}
}

/* Handler of entries that are not decoded: decodes, then does the instruction. */
static void decode_and_go(struct cpu *cpu, const struct insn *i)
{
	decode_entry(cpu, i);
	RUN_GO(cpu, i);
}

void code_decode(struct cpu *cpu, const struct insn *i)
{
	if (i->fn == decode_and_go) {
		decode_entry(cpu, i);
	}
}

/* Handler behind the last entry.  Its offset is that of the next page's first byte. */
static void leave_page(struct cpu *cpu, const struct insn *i)
{
	BRANCH(cpu, cpu->block_pc + GUEST_PAGE);
}

static void forget(struct code_page *page, unsigned first, unsigned count)
{
	for (unsigned n = first; n < first + count; n++) {
		page->insns[n].fn = decode_and_go;
	}
}

static struct code_page *take_page(struct cpu *cpu)
{
	struct code *code = cpu->vcpu->code;
	if (code->used == CODE_PAGES) {
		code_drop_all(cpu);
	}
	struct code_page *page = &code->pool[code->used++];
	for (unsigned n = 0; n < PAGE_INSNS; n++) {
		page->insns[n].offset = n * 4;
	}
	forget(page, 0, PAGE_INSNS);
	page->insns[PAGE_INSNS].fn = leave_page;
	return page;
}

static struct code_page **bucket_of(struct code *code, uint64_t gpa)
{
	return &code->buckets[gpa / GUEST_PAGE % CODE_BUCKETS];
}

static struct code_page *lookup(struct code *code, uint64_t gpa)
{
	struct code_page *page = *bucket_of(code, gpa);
	while (page && page->gpa != gpa) {
		page = page->next;
	}
	return page;
}

const struct insn *code_find(struct cpu *cpu, uint64_t gpa, const uint8_t *words)
{
	struct code *code = cpu->vcpu->code;
	struct code_page *page = lookup(code, gpa);
	if (!page) {
		page = take_page(cpu);
		struct code_page **bucket = bucket_of(code, gpa);
		page->gpa = gpa;
		page->words = (const uint32_t *)words;
		page->next = *bucket;
		*bucket = page;
	}
	return page->insns;
}

void code_drop_line(struct cpu *cpu, uint64_t gpa)
{
	struct code_page *page = lookup(cpu->vcpu->code, gpa & ~(uint64_t)(GUEST_PAGE - 1));
	jit_drop_page(cpu, gpa);
	if (page) {
		unsigned first = gpa % GUEST_PAGE / 4 / LINE_INSNS * LINE_INSNS;
		forget(page, first, LINE_INSNS);
	}
}

void code_drop_all(struct cpu *cpu)
{
	struct code *code = cpu->vcpu->code;
	memset(code->buckets, 0, sizeof(code->buckets));
	code->used = 0;
	mmu_flush_exec(cpu);
	jit_drop_all(cpu);
}
