/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmu.c - the translation table walk (Arm ARM D8)
 *
 * How it works: one loop for all three granules.  Descriptors are loaded once each; access flag and dirty state are
 * set by compare-and-swap on what was loaded, and a lost race starts the walk again.
 * Threads: the vCPU thread; other vCPUs may change the tables meanwhile.
 */
#include "engine/soft/mmu.h"

#include "engine/soft/memory.h"
#include "engine/soft/soft.h"
#include "engine/soft/sysreg.h"

enum { PA_BITS = 48, WIDE_PA_BITS = 52 };

#define DESC_VALID    (UINT64_C(1) << 0)
#define DESC_TABLE    (UINT64_C(1) << 1) /* at level 3: page */
#define DESC_USER     (UINT64_C(1) << 6) /* AP[1] */
#define DESC_READONLY (UINT64_C(1) << 7) /* AP[2] */
#define DESC_AF	      (UINT64_C(1) << 10)
#define DESC_NG	      (UINT64_C(1) << 11)
#define DESC_GP	      (UINT64_C(1) << 50)
#define DESC_DBM      (UINT64_C(1) << 51)
#define DESC_PXN      (UINT64_C(1) << 53)
#define DESC_UXN      (UINT64_C(1) << 54)
#define TABLE_PXN     (UINT64_C(1) << 59)
#define TABLE_UXN     (UINT64_C(1) << 60)
#define TABLE_NOUSER  (UINT64_C(1) << 61) /* APTable[0] */
#define TABLE_RO      (UINT64_C(1) << 62) /* APTable[1] */

#define TCR_HA (UINT64_C(1) << 39)
#define TCR_HD (UINT64_C(1) << 40)
#define TCR_DS (UINT64_C(1) << 59)

/* The half of TCR_EL1 and the table that an address uses. */
struct half {
	uint64_t table;
	unsigned input_bits, page_bits;
	unsigned shareability;
	bool lpa2; /* descriptors of 4K and 16K with output bits 51:50 where others have shareability */
	bool lpa;  /* descriptors of 64K with output bits 51:48 in 15:12 */
	bool disabled;	  /* EPD */
	bool no_user;	  /* E0PD */
	bool flat_rights; /* HPD: table attributes are ignored */
};

/* A walk under way. */
struct walk {
	struct half half;
	uint64_t table_rights; /* TABLE_* of all levels so far */
	uint64_t desc;
	uint64_t *desc_hva;
	bool desc_writable;
	int level; /* of the descriptor; -1 is the first of five */
	unsigned shift;
};

bool mmu_ignores_top(const struct cpu *cpu, uint64_t va, bool exec)
{
	uint64_t tcr = cpu->sys->tcr;
	bool high = va >> 55 & 1;
	if (!(tcr & (high ? TCR_TBI1 : TCR_TBI0))) {
		return false;
	}
	return !exec || !(tcr & (high ? TCR_TBID1 : TCR_TBID0));
}

uint64_t mmu_canonical(const struct cpu *cpu, uint64_t va, bool exec)
{
	return mmu_ignores_top(cpu, va, exec) ? (uint64_t)((int64_t)(va << 8) >> 8) : va;
}

enum mmu_regime mmu_regime(const struct cpu *cpu, bool user)
{
	if (cpu->el == 0 || user) {
		return MMU_EL0;
	}
	return cpu->pan ? MMU_EL1_PAN : MMU_EL1;
}

static unsigned granule_bits(unsigned tg, bool high)
{
	/* TG0: 4K, 64K, 16K; TG1: -, 16K, 4K, 64K.  The reserved value is taken as 4K. */
	static const uint8_t low_bits[4] = {12, 16, 14, 12}, high_bits[4] = {12, 14, 12, 16};
	return high ? high_bits[tg] : low_bits[tg];
}

uint64_t mmu_granule(const struct cpu *cpu, uint64_t va)
{
	bool high = va >> 55 & 1;
	return UINT64_C(1) << granule_bits(cpu->sys->tcr >> (high ? 30 : 14) & 3, high);
}

static struct half choose_half(const struct cpu *cpu, bool high)
{
	const struct sysregs *sys = cpu->sys;
	uint64_t tcr = sys->tcr;
	unsigned shift = high ? 16 : 0;
	unsigned page_bits = granule_bits(tcr >> (high ? 30 : 14) & 3, high);
	bool lpa = sys->wide && page_bits == 16, lpa2 = sys->wide && page_bits != 16 && (tcr & TCR_DS);
	unsigned tsz = tcr >> shift & 0x3f, least = lpa || lpa2 ? 12 : 16;
	tsz = tsz < least ? least : tsz > 39 ? 39 : tsz; /* no TTST: out of range is clamped */
	return (struct half){
		.table = high ? sys->ttbr1 : sys->ttbr0,
		.input_bits = 64 - tsz,
		.page_bits = page_bits,
		.shareability = tcr >> (high ? 28 : 12) & 3,
		.lpa2 = lpa2,
		.lpa = lpa,
		.disabled = tcr >> (7 + shift) & 1,
		.no_user = tcr >> (high ? 56 : 55) & 1,
		.flat_rights = tcr >> (high ? 42 : 41) & 1,
	};
}

static bool is_wide(const struct half *half)
{
	return half->lpa || half->lpa2;
}

static unsigned output_bits(const struct cpu *cpu, const struct half *half)
{
	static const uint8_t bits[8] = {32, 36, 40, 42, 44, PA_BITS, WIDE_PA_BITS, WIDE_PA_BITS};
	unsigned wanted = bits[cpu->sys->tcr >> 32 & 7];
	return wanted > PA_BITS && !is_wide(half) ? PA_BITS : wanted;
}

static bool too_big(const struct cpu *cpu, const struct half *half, uint64_t pa)
{
	return pa >> output_bits(cpu, half) != 0;
}

/* The status of @fault at @level; those of level -1 have numbers of their own (Arm ARM D24.2.40). */
static int fault_at(int fault, int level)
{
	if (level >= 0) {
		return fault + level;
	}
	return fault == MMU_FAULT_TRANSLATION ? 0x2b : fault == MMU_FAULT_SIZE ? 0x29 : 0x13;
}

/* Load the descriptor at @pa. */
static bool load_descriptor(struct cpu *cpu, uint64_t pa, struct walk *walk)
{
	uint8_t *hva;
	enum memory_kind kind = memory_find(&cpu->vcpu->engine->memory, pa, &hva);
	if (kind != MEMORY_RAM && kind != MEMORY_ROM) {
		return false;
	}
	walk->desc_hva = (uint64_t *)hva;
	walk->desc_writable = kind == MEMORY_RAM;
	walk->desc = __atomic_load_n(walk->desc_hva, __ATOMIC_ACQUIRE);
	return true;
}

/* Blocks: 1 GiB and 2 MiB with 4K, 32 MiB with 16K, 512 MiB with 64K; 512 GiB, 64 GiB and 4 TiB with wide addresses. */
static bool may_be_block(const struct walk *walk)
{
	const struct half *half = &walk->half;
	int first = half->page_bits == 12 ? 1 : 2;
	return walk->level >= first - (is_wide(half) ? 1 : 0);
}

#define OUTPUT_MASK ((UINT64_C(1) << PA_BITS) - 1)
#define LPA2_MASK   ((UINT64_C(1) << 50) - 1)

/* The output address of a descriptor for 1 << @shift bytes. */
static uint64_t output(const struct half *half, uint64_t desc, unsigned shift)
{
	uint64_t low = (desc & (half->lpa2 ? LPA2_MASK : OUTPUT_MASK)) >> shift << shift;
	return half->lpa2  ? low | (desc >> 8 & 3) << 50
	       : half->lpa ? low | (desc >> 12 & 0xf) << PA_BITS
			   : low;
}

/* Where the first table is. */
static uint64_t first_table(const struct half *half, unsigned top_bits)
{
	uint64_t low = half->table & OUTPUT_MASK & ~((UINT64_C(8) << top_bits) - 1) & ~UINT64_C(0x3f);
	return is_wide(half) ? low | (half->table >> 2 & 0xf) << PA_BITS : low;
}

/* Follow the tables down to a block or page descriptor. */
static int descend(struct cpu *cpu, uint64_t va, struct walk *walk)
{
	const struct half *half = &walk->half;
	unsigned stride = half->page_bits - 3;
	unsigned levels = (half->input_bits - half->page_bits + stride - 1) / stride;
	unsigned top_bits = half->input_bits - half->page_bits - (levels - 1) * stride;
	uint64_t table = first_table(half, top_bits);
	uint64_t index_mask = (UINT64_C(1) << top_bits) - 1;
	if (too_big(cpu, half, table)) {
		return MMU_FAULT_SIZE; /* level 0 */
	}
	for (walk->level = 4 - (int)levels;; walk->level++) {
		walk->shift = half->page_bits + (unsigned)(3 - walk->level) * stride;
		if (!load_descriptor(cpu, table + (va >> walk->shift & index_mask) * 8, walk)) {
			return fault_at(MMU_FAULT_WALK, walk->level);
		}
		index_mask = (UINT64_C(1) << stride) - 1;
		if (!(walk->desc & DESC_VALID)) {
			return fault_at(MMU_FAULT_TRANSLATION, walk->level);
		}
		if (walk->level == 3 || !(walk->desc & DESC_TABLE)) {
			bool good = walk->level == 3 ? (walk->desc & DESC_TABLE) != 0 : may_be_block(walk);
			return good ? MMU_OK : fault_at(MMU_FAULT_TRANSLATION, walk->level);
		}
		table = output(half, walk->desc, half->page_bits);
		if (too_big(cpu, half, table)) {
			return fault_at(MMU_FAULT_SIZE, walk->level);
		}
		if (!half->flat_rights) {
			walk->table_rights |= walk->desc;
		}
	}
}

/* Rights of @regime, with a page whose dirty state hardware manages counted as writable. */
static void find_rights(const struct cpu *cpu, const struct walk *walk, enum mmu_regime regime,
			struct mmu_page *page)
{
	uint64_t desc = walk->desc, table = walk->table_rights;
	bool managed = (cpu->sys->tcr & TCR_HD) && (cpu->sys->tcr & TCR_HA) && (desc & DESC_DBM);
	bool user = (desc & DESC_USER) && !(table & TABLE_NOUSER);
	bool writable = (!(desc & DESC_READONLY) || managed) && !(table & TABLE_RO);
	bool wxn = cpu->sys->sctlr & SCTLR_WXN;
	if (regime == MMU_EL0) {
		page->read = user;
		page->write = user && writable;
		page->exec = !(desc & DESC_UXN) && !(table & TABLE_UXN) && !(wxn && page->write);
	} else {
		bool hidden = regime == MMU_EL1_PAN && user;
		page->read = !hidden;
		page->write = writable && !hidden;
		page->exec = !(desc & DESC_PXN) && !(table & TABLE_PXN) && !(user && writable) &&
			     !(wxn && writable);
	}
}

static void find_attributes(const struct cpu *cpu, const struct walk *walk, struct mmu_page *page)
{
	uint64_t desc = walk->desc;
	page->attr = cpu->sys->mair >> (desc >> 2 & 7) * 8;
	page->shareability = walk->half.lpa2 ? walk->half.shareability : desc >> 8 & 3;
	page->device = (page->attr & 0xf0) == 0;
	page->guarded = desc & DESC_GP;
	page->not_global = desc & DESC_NG;
	if (page->device || page->attr == 0x44) {
		page->shareability = 2; /* Device and non-cacheable memory is outer shareable */
	}
}

static bool has_right(const struct mmu_page *page, enum mmu_access access)
{
	switch (access) {
	case MMU_READ:
		return page->read;
	case MMU_WRITE:
		return page->write;
	default:
		return page->exec;
	}
}

/*
 * Checks of the last descriptor, in the architecture's order of priority, and hardware updates.  *again: the
 * descriptor changed under us.
 */
static int check_leaf(struct cpu *cpu, struct walk *walk, enum mmu_regime regime, enum mmu_access access,
		      bool misaligned, bool update, struct mmu_page *page, bool *again)
{
	uint64_t wanted = walk->desc;
	if (too_big(cpu, &walk->half, output(&walk->half, walk->desc, walk->shift))) {
		return MMU_FAULT_SIZE + walk->level;
	}
	if (!(walk->desc & DESC_AF)) {
		if (!(cpu->sys->tcr & TCR_HA)) {
			return MMU_FAULT_FLAG + walk->level;
		}
		wanted |= DESC_AF;
	}
	find_attributes(cpu, walk, page);
	find_rights(cpu, walk, regime, page);
	if (misaligned && page->device && access != MMU_EXEC) {
		return MMU_FAULT_ALIGNMENT;
	}
	if (!has_right(page, access)) {
		return MMU_FAULT_PERMISSION + walk->level;
	}
	if (access == MMU_WRITE && (walk->desc & DESC_READONLY)) {
		wanted &= ~DESC_READONLY; /* has the right, so the dirty state is ours to record */
	}
	if (wanted != walk->desc && update) {
		if (!walk->desc_writable) {
			return MMU_FAULT_WALK + walk->level;
		}
		*again = !__sync_bool_compare_and_swap(walk->desc_hva, walk->desc, wanted);
		walk->desc = wanted;
	}
	if (walk->desc & DESC_READONLY) {
		page->write = false; /* the first write must come here */
	}
	return MMU_OK;
}

/* Addresses without translation: all rights, Device for data (Arm ARM D8.2.9). */
static int flat(const struct cpu *cpu, uint64_t va, enum mmu_access access, bool misaligned,
		struct mmu_page *page)
{
	if (mmu_ignores_top(cpu, va, access == MMU_EXEC)) {
		va &= UINT64_MAX >> 8;
	}
	if (va >> PA_BITS) {
		return MMU_FAULT_SIZE;
	}
	if (misaligned && access != MMU_EXEC) {
		return MMU_FAULT_ALIGNMENT;
	}
	*page = (struct mmu_page){.pa = va, .size = GUEST_PAGE, .read = true, .write = true, .exec = true,
				  .device = access != MMU_EXEC, .shareability = 2};
	return MMU_OK;
}

int mmu_walk(struct cpu *cpu, uint64_t va, enum mmu_regime regime, enum mmu_access access, bool misaligned,
	     bool update, struct mmu_page *page)
{
	if (!(cpu->sys->sctlr & SCTLR_M)) {
		return flat(cpu, va, access, misaligned, page);
	}
	bool high = va >> 55 & 1;
	struct walk walk = {.half = choose_half(cpu, high)};
	uint64_t canonical = mmu_canonical(cpu, va, access == MMU_EXEC);
	if ((uint64_t)((int64_t)canonical >> walk.half.input_bits) != (high ? UINT64_MAX : 0)) {
		return MMU_FAULT_TRANSLATION;
	}
	if (walk.half.disabled || (walk.half.no_user && regime == MMU_EL0)) {
		return MMU_FAULT_TRANSLATION;
	}
	bool again;
	do {
		again = false;
		walk.table_rights = 0;
		int fault = descend(cpu, va, &walk);
		if (fault != MMU_OK) {
			return fault;
		}
		fault = check_leaf(cpu, &walk, regime, access, misaligned, update, page, &again);
		if (fault != MMU_OK) {
			return fault;
		}
	} while (again);
	uint64_t inside = (UINT64_C(1) << walk.shift) - 1;
	page->pa = output(&walk.half, walk.desc, walk.shift) | (va & inside);
	page->size = inside + 1;
	page->large = walk.level < 3;
	return MMU_OK;
}
