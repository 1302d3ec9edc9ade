/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system.h - random programs for a whole machine: EL1, EL0, translation tables, exceptions,
 * interrupts, code that changes
 *
 * How it works: a program is memory (code, data, tables), system registers and a list of visits.  A
 * visit enters a segment of the code at some EL with fresh random registers; the segment ends with
 * SVC #SYSTEM_END.  Whatever exception is taken on the way stops the machine (system_run.c), which
 * shows its whole state and goes on behind the instruction. What is not determined by the
 * architecture, or depends on time, is not in programs. Threads: the caller's.
 */
#ifndef ORIEL_TESTS_ENGINE_SYSTEM_H
#define ORIEL_TESTS_ENGINE_SYSTEM_H

#include "base/error.h"
#include "stream.h"

#define SYSTEM_RAM	 0x40000000ull
#define SYSTEM_DEVICE	 0x09000000ull /* MMIO: 64 KiB of it answers */
#define SYSTEM_LOW	 0x80000000ull
#define SYSTEM_HIGH	 0xffffffff80000000ull
#define SYSTEM_PAGE	 4096ull
#define SYSTEM_RAM_BYTES (SYSTEM_RAM_PAGES * SYSTEM_PAGE)

/* Pages of RAM.  The tables stand in the order of enum system_table. */
enum {
	SYSTEM_VECTORS = 0,
	SYSTEM_MOVING = 2,
	SYSTEM_DATA = 8,
	SYSTEM_CODE = 16,
	SYSTEM_TABLES = 20,
	SYSTEM_RAM_PAGES = 36,
	SYSTEM_DATA_PAGES = 8,
	SYSTEM_CODE_PAGES = 4,
	SYSTEM_MOVING_PAGES = 4, /* functions at the same offsets in each */
};

/* 4 KiB granule, levels 0 to 3.  A and B are two processes: both have the low half, each with its
 * own last level. */
enum system_table {
	TABLE_A_L0,
	TABLE_A_L1,
	TABLE_A_L2,
	TABLE_A_L3,
	TABLE_B_L0,
	TABLE_B_L1,
	TABLE_B_L2,
	TABLE_B_L3,
	TABLE_DEVICE_L2,   /* low 1 GiB */
	TABLE_IDENTITY_L2, /* RAM at its own address, for EL1 */
	TABLE_IDENTITY_L3,
	TABLE_HIGH_L0,
	TABLE_HIGH_L1,
	TABLE_HIGH_L2,
	TABLE_HIGH_L3,
	TABLES,
};

/* Pages of the windows at SYSTEM_LOW and SYSTEM_HIGH. */
enum {
	SLOT_EL1 = 0,	  /* the data pages, for EL1 alone */
	SLOT_EL0 = 8,	  /* the data pages, for EL0 (and EL1 if PAN lets it) */
	SLOT_RANDOM = 16, /* anything, and it changes */
	SLOT_RANDOM_COUNT = 24,
	SLOT_MOVING = 48, /* pages of functions, now this one, now that */
	SLOT_MOVING_COUNT = 2,
	SLOT_CODE_EL1 = 64,
	SLOT_CODE_EL0 = 72,  /* for both ELs */
	SLOT_PATCH_EL1 = 80, /* the code, writable */
	SLOT_PATCH_EL0 = 88,
	SLOT_DEVICE_EL1 = 96,
	SLOT_DEVICE_EL0 = 97,
};

/* Offsets in the device. */
enum {
	DEVICE_ABORTS = 0x800, /* 256 bytes that abort */
	DEVICE_FIQ = 0xff0,    /* a write raises the line */
	DEVICE_IRQ = 0xff8,
	DEVICE_LEN = 0x10000,
};

enum {
	SYSTEM_END = 0xfff0, /* immediate of the SVC that ends a segment */
	SYSTEM_WORDS = 2048,
	SYSTEM_SEGMENTS = 6,
	SYSTEM_VISITS = 14,
	SYSTEM_STOPS = 24, /* a visit ends after that many exceptions */
	/* X registers with a meaning: where a wild branch goes on, what counts loops. */
	SYSTEM_RETURN_X = 27,
	SYSTEM_LOOP_X = 28,
	SYSTEM_LOOP_TIMES = 40, /* at most */
	SYSTEM_FUNCTIONS = 4,
	SYSTEM_MOVING_BYTES = 32, /* from function to function of a moving page */
};

#define SPSR_EL1H 5u
#define SPSR_EL1T 4u
#define SPSR_IL	  (1ull << 20)

struct system_segment {
	unsigned start, end; /* words */
	bool el1;
};

struct system_visit {
	unsigned segment;
	uint64_t spsr, elr;
	uint64_t seed; /* of the registers */
};

/* System registers as every visit starts with them. */
struct system_control {
	uint64_t vbar, mair, tcr, ttbr0[2], ttbr1, cpacr, sctlr, mdscr;
	/* Breakpoints and watchpoints, with mdscr. */
	uint64_t bvr[2], bcr[2], wvr[2], wcr[2];
};

struct system_program {
	struct system_control control;
	uint32_t code[SYSTEM_WORDS];
	unsigned words;	      /* of code */
	unsigned code_offset; /* word of the code pages where it starts */
	unsigned code_pages[SYSTEM_CODE_PAGES],
		data_pages[SYSTEM_DATA_PAGES]; /* of RAM, in the windows' order */
	struct system_segment segments[SYSTEM_SEGMENTS];
	struct system_visit visits[SYSTEM_VISITS];
	bool interrupts, guarded; /* guarded: the code pages have GP */
	uint64_t seed;
	uint64_t tables[TABLES][512];
	uint64_t data[SYSTEM_DATA_PAGES][512];
	uint32_t moving[SYSTEM_MOVING_PAGES][1024];
};

/* Program @number of the run with @seed: always the same for the same rows.  Without exclusives:
 * with interrupts. */
void system_make(struct system_program *p, const struct row_set *set, uint64_t seed,
		 uint64_t number);
/* Which word of the program runs at @va?  -1: none. */
int system_word_at(const struct system_program *p, uint64_t va);

/* One engine and its machine. */
struct system_machine;
struct cpu;

/*
 * @features: with pointer authentication and branch targets.  @plain: translated as
 * for a host without AVX-512.  @seconds: how long a program may run
 * from stop to stop.  @cache_folder: where translations are kept, or NULL.  NULL: no memory.
 */
struct system_machine *system_machine_create(bool interpreter, bool features, bool plain,
					     unsigned seconds, const char *cache_folder);
void system_machine_destroy(struct system_machine *m);
/* Reset, load the program, run to where visits can start.  False: it hangs, as below. */
bool system_machine_load(struct system_machine *m, const struct system_program *p) MUST_CHECK;
/* Replace a word of the program in memory. */
void system_machine_damage(struct system_machine *m, const struct system_program *p, unsigned word,
			   uint32_t value);
/* Run to the next synchronous exception.  False: it did not come in time. */
bool system_machine_run(struct system_machine *m) MUST_CHECK;
/* Set registers for a visit; the next run starts it.  False: it hangs. */
bool system_machine_visit(struct system_machine *m, const struct system_program *p,
			  const struct system_visit *visit) MUST_CHECK;
/* Go on at @pc after an exception. */
void system_machine_resume(struct system_machine *m, uint64_t pc);

/* What a stopped machine shows. */
const struct cpu *system_machine_cpu(const struct system_machine *m);
uint64_t system_machine_log(const struct system_machine *m); /* a hash of all accesses to the device
								and of all hypercalls */
uint64_t system_machine_interrupts(const struct system_machine *m);
const uint8_t *system_machine_ram(const struct system_machine *m);

#endif
