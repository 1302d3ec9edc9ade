/* SPDX-License-Identifier: Apache-2.0 */
/* system_make.c - memory, tables and visits of random programs (system.h) */
#include "system_priv.h"

#include <string.h>

#define DESC_PAGE  3ull
#define DESC_BLOCK 1ull
#define DESC_USER  (1ull << 6)
#define DESC_RO	   (1ull << 7)
#define DESC_SH	   (3ull << 8)
#define DESC_AF	   (1ull << 10)
#define DESC_NG	   (1ull << 11)
#define DESC_GP	   (1ull << 50)
#define DESC_DBM   (1ull << 51)
#define DESC_PXN   (1ull << 53)
#define DESC_UXN   (1ull << 54)
#define DESC_XN	   (DESC_PXN | DESC_UXN)
#define PLAIN	   (DESC_PAGE | DESC_SH | DESC_AF)
#define ATTR(n)	   ((uint64_t)(n) << 2)

/* Attributes of the descriptors' indexes: normal, non-cacheable, and three kinds of Device. */
#define MAIR	    0x0c0800040044ffull
#define ATTR_DEVICE 2
#define ATTR_LAST   6
#define PA(page)    (SYSTEM_RAM + (page)*SYSTEM_PAGE)
#define TABLE_PA(t) PA(SYSTEM_TABLES + (t))
#define NO_MEMORY   0x50000000ull
#define TOO_BIG	    (1ull << 47)

static bool one_in(struct random *random, unsigned n)
{
	return random_below(random, n) == 0;
}

/* What a random page shows. */
static uint64_t random_target(const struct system_program *p, struct random *random)
{
	switch (random_below(random, 16)) {
	case 0: return SYSTEM_DEVICE + random_below(random, 18) * SYSTEM_PAGE;
	case 1: return NO_MEMORY;
	case 2: return TOO_BIG;
	default: return PA(p->data_pages[random_below(random, SYSTEM_DATA_PAGES)]);
	}
}

uint64_t system_random_page(const struct system_program *p, struct random *random, bool process)
{
	if (one_in(random, 10)) {
		return random_next(random) & ~1ull; /* not valid */
	}
	uint64_t desc = DESC_PAGE | DESC_SH | random_target(p, random);
	desc |= random_next(random) & (DESC_USER | DESC_RO | DESC_NG);
	desc |= DESC_XN; /* nobody knows what would run there */
	desc |= one_in(random, 6) ? 0 : DESC_AF;
	desc |= one_in(random, 3) ? DESC_DBM : 0;
	desc |= one_in(random, 3) ? ATTR(random_below(random, ATTR_LAST + 1)) : 0;
	desc |= process ? DESC_NG : 0;
	return desc;
}

uint64_t system_random_moving(struct random *random, bool process)
{
	uint64_t pa = PA(SYSTEM_MOVING + random_below(random, SYSTEM_MOVING_PAGES));
	uint64_t desc = pa | PLAIN | DESC_RO | DESC_USER | (process ? DESC_NG : 0);
	if (one_in(random, 8)) {
		desc &= ~(random_next(random) & (DESC_AF | DESC_USER | 1));
		desc |= random_next(random) & DESC_XN;
	}
	return desc;
}

/* Level 2: a block over RAM, which holds code and tables too, so stores go only where the generator
 * says. */
uint64_t system_random_block(const struct system_program *p, struct random *random)
{
	uint64_t desc = system_random_page(p, random, false);
	return (desc & ~(UINT64_C(0xfffffffff000) | 2)) | SYSTEM_RAM;
}

static void make_windows(struct system_program *p, struct random *random, uint64_t *l3,
			 bool process)
{
	for (unsigned n = 0; n < SYSTEM_DATA_PAGES; n++) {
		l3[SLOT_EL1 + n] = PA(p->data_pages[n]) | PLAIN | DESC_XN;
		l3[SLOT_EL0 + n] = PA(p->data_pages[n]) | PLAIN | DESC_XN | DESC_USER;
	}
	for (unsigned n = 0; n < SYSTEM_CODE_PAGES; n++) {
		uint64_t pa = PA(p->code_pages[n]) | (p->guarded ? DESC_GP : 0);
		l3[SLOT_CODE_EL1 + n] = pa | PLAIN | DESC_RO | DESC_UXN;
		l3[SLOT_CODE_EL0 + n] = pa | PLAIN | DESC_RO | DESC_USER;
		l3[SLOT_PATCH_EL1 + n] = pa | PLAIN | DESC_XN;
		l3[SLOT_PATCH_EL0 + n] = pa | PLAIN | DESC_XN | DESC_USER;
	}
	l3[SLOT_DEVICE_EL1] = SYSTEM_DEVICE | PLAIN | DESC_XN | ATTR(ATTR_DEVICE);
	l3[SLOT_DEVICE_EL0] = SYSTEM_DEVICE | PLAIN | DESC_XN | DESC_USER | ATTR(ATTR_DEVICE);
	for (unsigned n = 0; n < SLOT_RANDOM_COUNT; n++) {
		l3[SLOT_RANDOM + n] = system_random_page(p, random, process);
	}
	for (unsigned n = 0; n < SLOT_MOVING_COUNT; n++) {
		l3[SLOT_MOVING + n] = system_random_moving(random, process);
	}
}

/* Behind the window's first 2 MiB: a random block, and entries with each kind of mistake. */
static void make_level2(struct system_program *p, struct random *random, uint64_t *l2, uint64_t l3)
{
	l2[0] = l3 | DESC_PAGE;
	l2[1] = system_random_block(p, random);
	l2[2] = 0;
	l2[3] = SYSTEM_RAM | DESC_BLOCK | DESC_SH | DESC_XN; /* AF clear */
	l2[4] = NO_MEMORY | DESC_PAGE;			     /* table where nothing is */
	l2[5] = TOO_BIG | DESC_PAGE;
	l2[6] = TOO_BIG | DESC_BLOCK | DESC_AF;
	/* The window once more, through a table that takes rights away. */
	l2[7] = l3 | DESC_PAGE | (random_next(random) & 0xfull << 59);
}

static void make_tables(struct system_program *p, struct random *random)
{
	uint64_t(*t)[512] = p->tables;
	for (unsigned process = 0; process < 2; process++) {
		unsigned first = process ? TABLE_B_L0 : TABLE_A_L0;
		t[first][0] = TABLE_PA(first + 1) | DESC_PAGE;
		t[first + 1][0] = TABLE_PA(TABLE_DEVICE_L2) | DESC_PAGE;
		t[first + 1][1] = TABLE_PA(TABLE_IDENTITY_L2) | DESC_PAGE;
		t[first + 1][2] = TABLE_PA(first + 2) | DESC_PAGE;
		t[first + 1][3] = SYSTEM_RAM | DESC_BLOCK | DESC_SH | DESC_AF | DESC_XN; /* 1 GiB */
		make_windows(p, random, t[first + 3], true);
	}
	make_level2(p, random, t[TABLE_A_L2], TABLE_PA(TABLE_A_L3));
	memcpy(t[TABLE_B_L2], t[TABLE_A_L2], sizeof(t[0]));
	t[TABLE_B_L2][0] = TABLE_PA(TABLE_B_L3) | DESC_PAGE;
	t[TABLE_B_L2][7] = 0;
	t[TABLE_A_L2][7] = 0;
	t[TABLE_DEVICE_L2][SYSTEM_DEVICE >> 21] =
		SYSTEM_DEVICE >> 21 << 21 | DESC_BLOCK | DESC_AF | DESC_XN | ATTR(ATTR_DEVICE);
	t[TABLE_IDENTITY_L2][0] = TABLE_PA(TABLE_IDENTITY_L3) | DESC_PAGE;
	for (unsigned n = 0; n < SYSTEM_RAM_PAGES; n++) {
		t[TABLE_IDENTITY_L3][n] = PA(n) | PLAIN | DESC_XN;
	}
	t[TABLE_IDENTITY_L3][SYSTEM_VECTORS] = PA(SYSTEM_VECTORS) | PLAIN | DESC_RO | DESC_UXN;
	t[TABLE_HIGH_L0][511] = TABLE_PA(TABLE_HIGH_L1) | DESC_PAGE;
	t[TABLE_HIGH_L1][510] = TABLE_PA(TABLE_HIGH_L2) | DESC_PAGE;
	make_windows(p, random, t[TABLE_HIGH_L3], false);
	make_level2(p, random, t[TABLE_HIGH_L2], TABLE_PA(TABLE_HIGH_L3));
}

#define TCR_BASE                                                                                   \
	(1ull << 8 | 1ull << 10 | 3ull << 12 | 1ull << 24 | 1ull << 26 | 3ull << 28 | 2ull << 30 | \
	 5ull << 32)
#define TCR_SZ(tsz) ((uint64_t)(tsz) | (uint64_t)(tsz) << 16)
#define TCR_A1	    (1ull << 22)
#define TCR_AS	    (1ull << 36)

uint64_t system_tcr_random(struct random *random)
{
	uint64_t tcr = (random_next(random) & 3ull << 37);		 /* TBI */
	tcr |= one_in(random, 2) ? 0 : random_next(random) & 3ull << 39; /* HA, HD */
	tcr |= one_in(random, 4) ? random_next(random) & 3ull << 41 : 0; /* HPD */
	tcr |= one_in(random, 16) ? 1ull << 56 : 0;			 /* E0PD1 */
	return tcr;
}

#define SCTLR_BASE                                                                                 \
	(0x30c50838u | 1 | 1 << 2 | 1 << 12 | 1 << 15 | 1 << 26) /* M, C, I, UCT, UCI              \
								  */

#define SCTLR_OFTEN                                                                                \
	(3ull << 3 | 1ull << 9 | 1ull << 13 | 1ull << 14 | 1ull << 15 | 1ull << 23 | 1ull << 27 |  \
	 3ull << 30 | 1ull << 33 | 3ull << 35)

uint64_t system_sctlr_random(struct random *random)
{
	uint64_t sctlr = SCTLR_BASE | 1ull << 13 | 1ull << 27 | 3ull << 30; /* PAuth */
	sctlr |= 1ull << 33;						    /* MSCEn */
	sctlr ^= one_in(random, 2) ? 0 : random_next(random) & SCTLR_OFTEN;
	sctlr |= one_in(random, 8) ? 1 << 1 : 0;   /* A */
	sctlr |= one_in(random, 16) ? 1 << 19 : 0; /* WXN */
	return sctlr;
}

uint64_t system_ttbr0(const struct system_program *p, unsigned process)
{
	bool short_walk = (p->control.tcr & 0x3f) != 16;
	unsigned table = (process ? TABLE_B_L0 : TABLE_A_L0) + short_walk;
	uint64_t asid = p->control.tcr & TCR_A1 ? 0 : 1 + process;
	asid |= asid && p->control.tcr & TCR_AS ? 0x1200 : 0;
	return TABLE_PA(table) | asid << 48;
}

static void make_control(struct system_program *p, struct random *random)
{
	struct system_control *c = &p->control;
	bool short_walk = one_in(random, 2);
	c->vbar = PA(SYSTEM_VECTORS);
	c->mair = MAIR;
	c->tcr = TCR_BASE | TCR_SZ(short_walk ? 25 : 16) | system_tcr_random(random);
	c->tcr |= random_next(random) & (TCR_A1 | TCR_AS);
	c->ttbr0[0] = system_ttbr0(p, 0);
	c->ttbr0[1] = system_ttbr0(p, 1);
	c->ttbr1 = TABLE_PA(TABLE_HIGH_L0 + short_walk) | 7ull << 48;
	c->cpacr = one_in(random, 64) ? random_next(random) & 3ull << 20 : 3ull << 20;
	c->sctlr = system_sctlr_random(random);
}

/* A word that can be left out without a loop that never ends, or tables that are none. */
static unsigned random_word_to_stop_at(const struct system_program *p, struct random *random)
{
	for (;;) {
		unsigned n = random_below(random, p->words);
		enum a64_op op = a64_decode(p->code[n]);
		bool steers = (a64_infos[op].flags & A64_ENDS) || op == A64_ADR ||
			      op == A64_MSR_reg ||
			      a64_infos[op].format ==
				      A64_FORMAT_mov_wide; /* of control registers' values */
		if (!steers && (p->code[n] & 31) != SYSTEM_LOOP_X) {
			return n;
		}
	}
}

/* Breakpoints in the code, watchpoints where most accesses go. */
static void make_debug(struct system_program *p, struct random *random)
{
	struct system_control *c = &p->control;
	if (!one_in(random, 12)) {
		return;
	}
	c->mdscr = 1 << 15 | (one_in(random, 2) ? 1 << 13 : 0);
	for (unsigned n = 0; n < 2; n++) {
		uint64_t window = one_in(random, 2) ? SYSTEM_HIGH : SYSTEM_LOW;
		unsigned slot = one_in(random, 2) ? SLOT_CODE_EL0 : SLOT_CODE_EL1;
		c->bvr[n] = window + slot * SYSTEM_PAGE +
			    (p->code_offset + random_word_to_stop_at(p, random)) * 4;
		c->bcr[n] = (random_next(random) & 7) | 0xf << 5;
		slot = one_in(random, 2) ? SLOT_EL0 : SLOT_EL1;
		c->wvr[n] =
			window + (slot + 2) * SYSTEM_PAGE - 128 + (random_below(random, 256) & ~3u);
		c->wcr[n] = random_next(random) & 0x1fff;
		if (one_in(random, 4)) {
			c->wcr[n] |= 0xff << 5 | (3 + random_below(random, 5)) << 24;
		}
	}
}

static void shuffle(struct random *random, unsigned *pages, unsigned count, unsigned first)
{
	for (unsigned n = 0; n < count; n++) {
		unsigned other = random_below(random, n + 1);
		pages[n] = pages[other];
		pages[other] = first + n;
	}
}

static void make_visits(struct system_program *p, struct random *random)
{
	for (unsigned n = 0; n < SYSTEM_VISITS; n++) {
		struct system_visit *visit = &p->visits[n];
		visit->segment = n < SYSTEM_SEGMENTS ? n : random_below(random, SYSTEM_SEGMENTS);
		const struct system_segment *segment = &p->segments[visit->segment];
		bool high = one_in(random, 2) && (segment->el1 || !(p->control.tcr & 1ull << 56));
		bool shared = !segment->el1 || one_in(random, 4);
		unsigned slot = shared ? SLOT_CODE_EL0 : SLOT_CODE_EL1;
		visit->elr = (high ? SYSTEM_HIGH : SYSTEM_LOW) + slot * SYSTEM_PAGE +
			     (p->code_offset + segment->start) * 4;
		visit->spsr = segment->el1 ? SPSR_EL1T | random_below(random, 2) : 0;
		visit->spsr |= random_next(random) & 0xfull << 28;
		visit->spsr |= p->interrupts ? random_next(random) & 1 << 9
					     : random_next(random) & 0xf << 6;
		visit->spsr |= one_in(random, 8) ? 1 << 22 : 0; /* PAN */
		visit->seed = random_next(random);
	}
}

void system_make(struct system_program *p, const struct row_set *set, uint64_t seed,
		 uint64_t number)
{
	struct random random = {seed ^ number * 0xd1342543de82ef95ull};
	memset(p, 0, sizeof(*p));
	p->seed = random_next(&random);
	p->interrupts = set->without_exclusives;
	p->guarded = random_below(&random, 3) == 0;
	shuffle(&random, p->code_pages, SYSTEM_CODE_PAGES, SYSTEM_CODE);
	shuffle(&random, p->data_pages, SYSTEM_DATA_PAGES, SYSTEM_DATA);
	make_control(p, &random);
	make_tables(p, &random);
	for (unsigned n = 0; n < sizeof(p->data) / 8; n++) {
		((uint64_t *)p->data)[n] = random_next(&random);
	}
	p->code_offset = random_below(&random, SYSTEM_PAGE / 4);
	system_make_code(p, set, &random);
	make_debug(p, &random);
	make_visits(p, &random);
}

int system_word_at(const struct system_program *p, uint64_t va)
{
	static const uint64_t windows[] = {SYSTEM_LOW, SYSTEM_HIGH};
	static const unsigned slots[] = {SLOT_CODE_EL1, SLOT_CODE_EL0};
	for (unsigned n = 0; n < 4; n++) {
		uint64_t first = windows[n & 1] + slots[n >> 1] * SYSTEM_PAGE + p->code_offset * 4;
		if (va >= first && va < first + p->words * 4) {
			return (int)((va - first) / 4);
		}
	}
	return -1;
}
