/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tlb.c - remember and forget translations
 *
 * Threads: the vCPU thread.
 */
#include "engine/soft/mmu.h"
#include "engine/soft/sysreg.h"

#include <stdlib.h>

#define PAGE_OFFSET ((uint64_t)(GUEST_PAGE - 1))
/* Tags hold addresses as programs use them; the top byte may be ignored, so flushes compare the rest. */
#define ADDRESS_MASK (UINT64_MAX >> 8)

static void clear_data(struct mmu_space *space)
{
	for (unsigned n = 0; n < TLB_ENTRIES; n++) {
		space->data[n].read = space->data[n].write = TLB_NONE;
	}
}

static void clear_exec(struct mmu_space *space)
{
	for (unsigned n = 0; n < EXEC_ENTRIES; n++) {
		space->exec[n].tag = TLB_NONE;
	}
}

static void clear_space(struct mmu_space *space)
{
	clear_data(space);
	clear_exec(space);
	space->large_count = 0;
	space->has_not_global = space->has_global = space->has_window = false;
}

struct mmu *mmu_create(void)
{
	struct mmu *mmu = calloc(1, sizeof(*mmu));
	if (!mmu) {
		return NULL;
	}
	clear_space(&mmu->el1);
	clear_space(&mmu->el1_pan);
	for (unsigned n = 0; n < MMU_SLOTS; n++) {
		clear_space(&mmu->el0[n]);
	}
	for (unsigned n = 0; n < EXEC_ENTRIES; n++) {
		mmu->no_exec[n].tag = TLB_NONE;
	}
	mmu->user = &mmu->el0[0];
	mmu->user->in_use = true;
	return mmu;
}

uint16_t mmu_asid(const struct cpu *cpu)
{
	const struct sysregs *sys = cpu->sys;
	uint64_t ttbr = sys->tcr >> 22 & 1 ? sys->ttbr1 : sys->ttbr0; /* A1 */
	return (uint16_t)(ttbr >> 48) & (sys->tcr >> 36 & 1 ? 0xffff : 0xff); /* AS */
}

void mmu_select(struct cpu *cpu)
{
	struct mmu *mmu = cpu->mmu;
	struct mmu_space *data = mmu->user, *code = mmu->user;
	if (cpu->el) {
		data = cpu->pan ? &mmu->el1_pan : &mmu->el1;
		code = &mmu->el1;
	}
	cpu->tlb = data->data;
	cpu->tlb_user = mmu->user->data;
	cpu->exec = cpu->jit ? mmu->no_exec : code->exec;
	cpu->jit_exec = code->exec;
}

struct mmu_space *mmu_space(struct cpu *cpu, enum mmu_regime regime)
{
	struct mmu *mmu = cpu->mmu;
	return regime == MMU_EL0 ? mmu->user : regime == MMU_EL1 ? &mmu->el1 : &mmu->el1_pan;
}

void mmu_select_asid(struct cpu *cpu)
{
	struct mmu *mmu = cpu->mmu;
	uint16_t asid = mmu_asid(cpu);
	if (mmu->user->asid == asid) {
		return;
	}
	struct mmu_space *slot = &mmu->el0[asid % MMU_SLOTS];
	if (!slot->in_use || slot->asid != asid) {
		clear_space(slot);
		slot->in_use = true;
		slot->asid = asid;
	}
	mmu->user = slot;
	if (mmu->el1.has_not_global) {
		clear_space(&mmu->el1);
	}
	if (mmu->el1_pan.has_not_global) {
		clear_space(&mmu->el1_pan);
	}
	mmu_select(cpu);
}

static void note_block(struct mmu_space *space, uint64_t va, const struct mmu_page *page)
{
	uint64_t base = va & ADDRESS_MASK & ~(page->size - 1);
	for (unsigned n = 0; n < space->large_count; n++) {
		if (space->large[n].base == base && space->large[n].size == page->size) {
			return;
		}
	}
	if (space->large_count == MMU_LARGE) {
		clear_space(space);
	}
	space->large[space->large_count++] = (struct mmu_large){base, page->size};
}

/* Mappings of one granule are found page by page; only blocks are listed. */
static void note_mapping(struct mmu_space *space, uint64_t va, const struct mmu_page *page)
{
	if (page->large) {
		note_block(space, va, page);
	}
	space->has_not_global |= page->not_global;
	space->has_global |= !page->not_global;
}
void mmu_fill_data(struct mmu_space *space, uint64_t va, const struct mmu_page *page, uint8_t *hva,
		   bool writable)
{
	note_mapping(space, va, page);
	uint64_t tag = va & ~PAGE_OFFSET;
	struct tlb_entry *e = mem_entry(space->data, va);
	e->read = page->read ? tag : TLB_NONE;
	e->write = page->write && writable ? tag : TLB_NONE;
	e->addend = (uintptr_t)hva - va;
}

struct exec_entry *mmu_fill_exec(struct mmu_space *space, uint64_t va, const struct mmu_page *page)
{
	note_mapping(space, va, page);
	struct exec_entry *e = run_exec_slot(space->exec, va);
	e->tag = va & ~PAGE_OFFSET;
	space->guarded[e - space->exec] = page->guarded;
	return e;
}

static bool tag_in(uint64_t tag, uint64_t va, uint64_t len)
{
	return (tag & PAGE_OFFSET) == 0 && (tag & ADDRESS_MASK) - va < len;
}

static void drop_data(struct tlb_entry *e, uint64_t va, uint64_t len)
{
	if (tag_in(e->read, va, len)) {
		e->read = TLB_NONE;
	}
	if (tag_in(e->write, va, len)) {
		e->write = TLB_NONE;
	}
}

static void drop_exec(struct exec_entry *e, uint64_t va, uint64_t len)
{
	if (tag_in(e->tag, va, len)) {
		e->tag = TLB_NONE;
	}
}

/* @va without its top byte, whole pages. */
static void drop_fragments(struct mmu_space *space, uint64_t va, uint64_t len)
{
	uint64_t pages = len / GUEST_PAGE;
	for (uint64_t n = 0; n < (pages < TLB_ENTRIES ? pages : TLB_ENTRIES); n++) {
		drop_data(mem_entry(space->data, va + n * GUEST_PAGE), va, len);
	}
	for (uint64_t n = 0; n < (pages < EXEC_ENTRIES ? pages : EXEC_ENTRIES); n++) {
		drop_exec(run_exec_slot(space->exec, va + n * GUEST_PAGE), va, len);
	}
}

static void drop_range(struct mmu_space *space, uint64_t va, uint64_t len)
{
	va &= ADDRESS_MASK;
	for (unsigned n = space->large_count; n-- > 0;) {
		struct mmu_large large = space->large[n];
		if (va < large.base + large.size && large.base < va + len) {
			drop_fragments(space, large.base, large.size);
			space->large[n] = space->large[--space->large_count];
		}
	}
	drop_fragments(space, va, len);
}

void mmu_flush_all(struct cpu *cpu)
{
	struct mmu *mmu = cpu->mmu;
	clear_space(&mmu->el1);
	clear_space(&mmu->el1_pan);
	for (unsigned n = 0; n < MMU_SLOTS; n++) {
		if (mmu->el0[n].in_use) {
			clear_space(&mmu->el0[n]);
			mmu->el0[n].in_use = &mmu->el0[n] == mmu->user;
		}
	}
}

void mmu_flush_asid(struct cpu *cpu, uint16_t asid)
{
	struct mmu *mmu = cpu->mmu;
	struct mmu_space *slot = &mmu->el0[asid % MMU_SLOTS];
	if (slot->in_use && slot->asid == asid) {
		clear_space(slot);
		slot->in_use = slot == mmu->user;
	}
	if (mmu->user->asid != asid) {
		return; /* EL1's tables hold non-global entries of the current ASID only */
	}
	if (mmu->el1.has_not_global) {
		clear_space(&mmu->el1);
	}
	if (mmu->el1_pan.has_not_global) {
		clear_space(&mmu->el1_pan);
	}
}

void mmu_flush_range(struct cpu *cpu, uint64_t va, uint64_t len, uint16_t asid, bool any_asid)
{
	struct mmu *mmu = cpu->mmu;
	uint64_t granule = mmu_granule(cpu, va);
	len = (len + (va & (granule - 1)) + granule - 1) & ~(granule - 1);
	va &= ~(granule - 1);
	drop_range(&mmu->el1, va, len);
	drop_range(&mmu->el1_pan, va, len);
	for (unsigned n = 0; n < MMU_SLOTS; n++) {
		struct mmu_space *slot = &mmu->el0[n];
		if (slot->in_use && (any_asid || slot->asid == asid || slot->has_global)) {
			drop_range(slot, va, len);
		}
	}
}

static void drop_window(struct mmu_space *space, uintptr_t hva, uint64_t len)
{
	for (unsigned n = 0; space->has_window && n < TLB_ENTRIES; n++) {
		struct tlb_entry *e = &space->data[n];
		uint64_t va = e->read != TLB_NONE ? e->read : e->write;
		if (va != TLB_NONE && (uintptr_t)va + e->addend - hva < len) {
			e->read = e->write = TLB_NONE;
		}
	}
}

void mmu_flush_window(struct cpu *cpu, const uint8_t *hva, uint64_t len)
{
	struct mmu *mmu = cpu->mmu;
	drop_window(&mmu->el1, (uintptr_t)hva, len);
	drop_window(&mmu->el1_pan, (uintptr_t)hva, len);
	for (unsigned n = 0; n < MMU_SLOTS; n++) {
		drop_window(&mmu->el0[n], (uintptr_t)hva, len);
	}
}

void mmu_flush_exec(struct cpu *cpu)
{
	struct mmu *mmu = cpu->mmu;
	clear_exec(&mmu->el1);
	for (unsigned n = 0; n < MMU_SLOTS; n++) {
		clear_exec(&mmu->el0[n]);
	}
}
