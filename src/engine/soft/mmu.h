/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmu.h - stage 1 translation of EL1&0, and the tables that remember its results
 *
 * How it works: each translation regime has a space: a table of data pages (mem.h) and one of code pages (run.h).  EL1 has
 * two, with PAN clear and set; EL0 has one for each of the last MMU_SLOTS address space ids, so changing the
 * process only changes pointers and nothing has to be walked again.  There is no second level behind the tables: a miss
 * walks.
 * Entries are fragments of 4 KiB.  A space lists the blocks that fragments came from, so that invalidating any address
 * of a block removes all its fragments.
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_MMU_H
#define ORIEL_ENGINE_SOFT_MMU_H

#include "engine/soft/mem.h"

enum { MMU_SLOTS = 16, MMU_LARGE = 32 };

/* Whose rights an access has. */
enum mmu_regime { MMU_EL0, MMU_EL1, MMU_EL1_PAN };

enum mmu_access { MMU_READ, MMU_WRITE, MMU_EXEC };

/* Fault status codes (ESR_EL1.DFSC/IFSC); the walker adds the level to those marked L. */
enum mmu_fault {
	MMU_OK = -1,
	MMU_FAULT_SIZE = 0x00,	      /* L: address size */
	MMU_FAULT_TRANSLATION = 0x04, /* L */
	MMU_FAULT_FLAG = 0x08,	      /* L: access flag */
	MMU_FAULT_PERMISSION = 0x0c,  /* L */
	MMU_FAULT_EXTERNAL = 0x10,
	MMU_FAULT_WALK = 0x14, /* L: external abort on the walk */
	MMU_FAULT_ALIGNMENT = 0x21,
	MMU_FAULT_DEBUG = 0x22, /* step, breakpoint, watchpoint */
	MMU_FAULT_EXCLUSIVE = 0x35, /* exclusive or atomic access where there is no memory */
};

/* Result of a walk, for the address asked for. */
struct mmu_page {
	uint64_t pa;   /* of the very address */
	uint64_t size; /* of the mapping, a power of two >= 4096 */
	bool large;    /* larger than the granule: a block */
	bool read, write, exec; /* rights of the regime; write only if no dirty state has to be recorded */
	bool device;		/* memory type Device */
	bool guarded;		/* GP, for BTI */
	bool not_global;
	uint8_t attr, shareability; /* as PAR_EL1 shows them */
};

struct mmu_large {
	uint64_t base, size;
};

struct mmu_space {
	struct tlb_entry data[TLB_ENTRIES];
	struct exec_entry exec[EXEC_ENTRIES];
	bool guarded[EXEC_ENTRIES]; /* GP of the code page */
	struct mmu_large large[MMU_LARGE];
	unsigned large_count;
	bool has_not_global, has_global;
	bool has_window; /* pages of the GPU window are among the data's */
	bool in_use;	 /* EL0 only */
	uint16_t asid;
};

struct mmu {
	struct mmu_space el1, el1_pan;
	struct mmu_space el0[MMU_SLOTS];
	struct mmu_space *user; /* of the current ASID */
	struct exec_entry no_exec[EXEC_ENTRIES]; /* with the translator: what handlers that branch see */
};

/*
 * Translate @va.  @regime says whose rights; @misaligned: the access is not naturally aligned, which Device memory
 * refuses.  @update: record access flag and dirty state where the hardware does so.  MMU_OK or a fault status.
 */
int mmu_walk(struct cpu *cpu, uint64_t va, enum mmu_regime regime, enum mmu_access access, bool misaligned,
	     bool update, struct mmu_page *page);
/* The regime of accesses now; @user: as from EL0. */
enum mmu_regime mmu_regime(const struct cpu *cpu, bool user);
/* Does TCR_EL1 say that the top byte of addresses like @va is ignored?  @exec: for instruction addresses. */
bool mmu_ignores_top(const struct cpu *cpu, uint64_t va, bool exec);
/* @va with an ignored top byte made canonical. */
uint64_t mmu_canonical(const struct cpu *cpu, uint64_t va, bool exec);

/* Granule size of the half of the address space that @va is in. */
uint64_t mmu_granule(const struct cpu *cpu, uint64_t va);

/* Point cpu->tlb, tlb_user and exec at the tables for the current EL, PAN and ASID. */
void mmu_select(struct cpu *cpu);
/* The ASID, or how TCR_EL1.A1 and AS choose it, changed. */
void mmu_select_asid(struct cpu *cpu);
/* The current one. */
uint16_t mmu_asid(const struct cpu *cpu);
/* What is remembered for @regime, of EL0 for the current ASID. */
struct mmu_space *mmu_space(struct cpu *cpu, enum mmu_regime regime);

/* Remember a translation, of data, or of code: the caller fills in the rest of the entry. */
void mmu_fill_data(struct mmu_space *space, uint64_t va, const struct mmu_page *page, uint8_t *hva,
		   bool writable);
struct exec_entry *mmu_fill_exec(struct mmu_space *space, uint64_t va, const struct mmu_page *page);

/* Forget translations on this vCPU.  ASIDs apply to non-global entries. */
void mmu_flush_all(struct cpu *cpu);
void mmu_flush_asid(struct cpu *cpu, uint16_t asid);
/* @len bytes from @va; @any_asid or only those that @asid sees. */
void mmu_flush_range(struct cpu *cpu, uint64_t va, uint64_t len, uint16_t asid, bool any_asid);
/* Data that lies at @len bytes from @hva, in the GPU window. */
void mmu_flush_window(struct cpu *cpu, const uint8_t *hva, uint64_t len);
/* Only decoded code. */
void mmu_flush_exec(struct cpu *cpu);

/* With nothing remembered; free() it.  NULL: no memory. */
struct mmu *mmu_create(void);

#endif
