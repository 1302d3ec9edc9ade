/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system_code.c - the code of random programs (system.h)
 *
 * How it works: a few leaf functions, then the segments.  Between the rows of the encoding tables
 * (stream.h) stand idioms: loops, calls, jumps through tables, system registers and instructions,
 * tables and code that change, exceptions, interrupts.  Each ends with what the architecture asks
 * for before its effect may be relied on.
 */
#include "system_priv.h"

enum { SEGMENT_LEAST = 24, SEGMENT_MORE = 100, FUNCTION_WORDS = 8, ROOM = 40 };

struct maker {
	struct system_program *p;
	struct random *random;
	struct stream s;
	bool el1;
	unsigned trouble; /* of 256 accesses, how many may fault */
	unsigned functions[SYSTEM_FUNCTIONS];
};

#define ISB 0xd5033fdfu
#define DSB 0xd5033f9fu

#define SYS(op1, crn, crm, op2) (0xd5080000u | (op1) << 16 | (crn) << 12 | (crm) << 8 | (op2) << 5)
#define REG(op0, op1, crn, crm, op2)                                                               \
	(0xd5000000u | (uint32_t)(op0) << 19 | (op1) << 16 | (crn) << 12 | (crm) << 8 | (op2) << 5)
#define MRS_BIT (1u << 21)

static bool one_in(struct maker *m, unsigned n)
{
	return random_below(m->random, n) == 0;
}

static unsigned below(struct maker *m, unsigned n)
{
	return random_below(m->random, n);
}

static unsigned pick(struct maker *m, uint32_t *used)
{
	return stream_pick_register(&m->s, used);
}

static void emit(struct maker *m, uint32_t word)
{
	stream_emit(&m->s, word);
}

/* An address whose access is fine in most programs: data of this EL. */
static uint64_t plain_address(struct maker *m, unsigned bytes)
{
	uint64_t window = one_in(m, 3) && !(m->p->control.tcr >> 56 & 1) ? SYSTEM_HIGH : SYSTEM_LOW;
	unsigned slot = m->el1 ? SLOT_EL1 : SLOT_EL0;
	uint64_t at;
	switch (below(m, 4)) {
	case 0: /* across a page */
		at = (1 + below(m, SYSTEM_DATA_PAGES - 1)) * SYSTEM_PAGE - below(m, bytes + 8);
		break;
	case 1: at = below(m, SYSTEM_DATA_PAGES * SYSTEM_PAGE - bytes); break;
	default: at = 2 * SYSTEM_PAGE - 128 + below(m, 256); break; /* where others go too */
	}
	return window + slot * SYSTEM_PAGE + at;
}

static uint64_t troubled_address(struct maker *m, unsigned bytes)
{
	uint64_t window = one_in(m, 2) ? SYSTEM_HIGH : SYSTEM_LOW;
	uint64_t offset = one_in(m, 4) ? SYSTEM_PAGE - below(m, 16) : below(m, SYSTEM_PAGE);
	uint64_t data = (SYSTEM_DATA + below(m, SYSTEM_DATA_PAGES - 1)) * SYSTEM_PAGE + offset;
	switch (below(m, 12)) {
	case 0: return SYSTEM_RAM + data;
	case 1: return 0xc0000000 + data; /* the block of 1 GiB */
	case 2: return window + (1 + below(m, 6)) * 0x200000 + data;
	case 3:
		return SYSTEM_HIGH + 7 * 0x200000 + below(m, SLOT_RANDOM - 1) * SYSTEM_PAGE +
		       offset;
	case 4: return one_in(m, 3) ? below(m, SYSTEM_PAGE) : random_next(m->random);
	case 5: return plain_address(m, bytes) ^ 1ull << (47 + below(m, 17));
	case 6: return plain_address(m, bytes) ^ random_next(m->random) << 56;
	case 7:
		return (one_in(m, 2) ? SYSTEM_LOW : SYSTEM_HIGH) +
		       (SLOT_DEVICE_EL1 + below(m, 2)) * SYSTEM_PAGE + offset % 0xf00;
	case 8: return SYSTEM_DEVICE + offset % 0xf00;
	default: return window + (SLOT_RANDOM + below(m, SLOT_RANDOM_COUNT)) * SYSTEM_PAGE + offset;
	}
}

/* For the stream. */
static uint64_t choose_address(struct stream *s, unsigned bytes, unsigned align)
{
	struct maker *m = s->opaque;
	if (below(m, 256) >= m->trouble) {
		return plain_address(m, bytes) & ~(uint64_t)(align - 1);
	}
	uint64_t at = one_in(m, 4) ? plain_address(m, bytes) : troubled_address(m, bytes);
	return one_in(m, 2) ? at & ~(uint64_t)(align - 1) : at;
}

static uint64_t any_address(struct maker *m)
{
	return choose_address(&m->s, 1, 1);
}

static void emit_row(struct maker *m)
{
	const struct row_set *set = m->s.set;
	if (one_in(m, 6)) {
		emit(m, DIFF_CLEAR_FPSR);
	}
	enum a64_op op = set->rows[below(m, set->count)];
	if ((set->hidden >> a64_infos[op].feature & 1) && !one_in(m, 16)) {
		return;
	}
	stream_emit_row(&m->s, op);
}

/* MOV x28, #n; a body; SUB; CBNZ. */
static void emit_loop(struct maker *m)
{
	unsigned times = one_in(m, 24) ? SYSTEM_LOOP_TIMES : 2 + below(m, 4);
	stream_emit_number(&m->s, SYSTEM_LOOP_X, times);
	unsigned start = m->s.count;
	unsigned words = 1 + below(m, one_in(m, 4) ? 40 : 8);
	while (m->s.count < start + words && stream_room(&m->s) > ROOM) {
		emit_row(m);
	}
	emit(m, 0xd1000400 | SYSTEM_LOOP_X << 5 | SYSTEM_LOOP_X);
	emit(m, 0xb5000000 | ((start - m->s.count) & 0x7ffff) << 5 | SYSTEM_LOOP_X);
}

static void emit_call(struct maker *m)
{
	int32_t distance = (int32_t)(m->functions[below(m, SYSTEM_FUNCTIONS)] - m->s.count);
	if (one_in(m, 2)) {
		emit(m, 0x94000000 | ((uint32_t)distance & 0x3ffffff));
		return;
	}
	uint32_t used = 1u << 30;
	unsigned n = pick(m, &used);
	emit(m, 0x10000000 | ((uint32_t)distance & 0x7ffff) << 5 | n); /* adr */
	emit(m, 0xd63f0000 | n << 5);				       /* blr */
}

/* One of four targets of two words each, chosen by two bits of a register. */
static void emit_table(struct maker *m)
{
	uint32_t used = 0;
	unsigned base = pick(m, &used), index = pick(m, &used);
	unsigned from = one_in(m, 2) ? SYSTEM_LOOP_X : below(m, 31);
	emit(m, 0x92400400 | from << 5 | index);	      /* and index, from, #3 */
	emit(m, 0x10000000 | 3 << 5 | base);		      /* adr base, .+12 */
	emit(m, 0x8b000c00 | index << 16 | base << 5 | base); /* add base, base, index, lsl 3 */
	emit(m, (one_in(m, 2) ? 0xd61f0000 : 0xd63f0000) | base << 5);
	for (unsigned n = 0; n < 4; n++) {
		stream_emit_filler(&m->s, 1);
		emit(m, 0x14000000 | (7 - n * 2));
	}
}

/* Call a function of a moving page; if it can not be, go on behind. */
static void emit_moving_call(struct maker *m)
{
	uint64_t window = one_in(m, 2) ? SYSTEM_HIGH : SYSTEM_LOW;
	uint32_t used = 0;
	unsigned n = pick(m, &used);
	stream_emit_number(&m->s, n,
			   window + (SLOT_MOVING + below(m, SLOT_MOVING_COUNT)) * SYSTEM_PAGE +
				   below(m, SYSTEM_PAGE / SYSTEM_MOVING_BYTES) *
					   SYSTEM_MOVING_BYTES);
	emit(m, 0x10000000 | 2 << 5 | SYSTEM_RETURN_X);
	emit(m, 0xd63f0000 | n << 5);
}

static void emit_wild_branch(struct maker *m)
{
	static const uint32_t kinds[] = {0xd61f0000, 0xd63f0000, 0xd65f0000};
	uint32_t used = 0;
	unsigned n = pick(m, &used);
	/* Not among the vectors and not into code. */
	uint64_t target =
		one_in(m, 3) ? random_next(m->random) | 1 << below(m, 3) : troubled_address(m, 1);
	stream_emit_number(&m->s, n, target);
	emit(m, 0x10000000 | 2 << 5 | SYSTEM_RETURN_X); /* adr x27, .+8 */
	emit(m, kinds[below(m, 3)] | n << 5);
}

/* Pointer authentication and branch targets; where they are not shown these are UNDEFINED or NOPs.
 */
static void emit_pauth(struct maker *m)
{
	uint32_t used = 0, key = below(m, 2), kind = below(m, 4);
	unsigned n = pick(m, &used), other = below(m, 31);
	switch (below(m, 8)) {
	case 0: /* sign, mostly check */
		emit(m, 0xdac10000 | kind << 11 | key << 10 | other << 5 | n);
		emit(m, 0xdac11000 | (kind & 1) << 11 | key << 10 | other << 5 | n);
		break;
	case 1: emit(m, 0xdac123e0 | kind << 11 | key << 10 | n); break;
	case 2: emit(m, 0xdac143e0 | key << 10 | n); break; /* xpaci, xpacd */
	case 3:
		emit(m, 0xd503211f | below(m, 8) << 5 | (one_in(m, 2) ? 2u << 8 : 0));
		break;								  /* hints */
	case 4: emit(m, 0x9ac03000 | other << 16 | below(m, 31) << 5 | n); break; /* pacga */
	case 5: emit(m, 0xd503241f | below(m, 4) << 6); break;			  /* bti */
	case 6: /* adr n, behind; pacizA n; adr x27, behind; braazA n */
		emit(m, 0x10000000 | 4 << 5 | n);
		emit(m, 0xdac123e0 | key << 10 | n);
		emit(m, 0x10000000 | 2 << 5 | SYSTEM_RETURN_X);
		emit(m, (one_in(m, 2) ? 0xd61f081f : 0xd63f081f) | key << 10 | n << 5);
		break;
	default: /* adr x30, behind; pacizA sp; adr x27, behind; retaA */
		emit(m, 0x10000000 | 4 << 5 | 30);
		emit(m, 0xd503233f | key << 6);
		emit(m, 0x10000000 | 2 << 5 | SYSTEM_RETURN_X);
		emit(m, 0xd65f0bff | key << 10);
		break;
	}
}

/* System registers. */

static const uint32_t readable[] = {
	REG(3, 0, 0, 0, 0),  REG(3, 0, 0, 0, 5),  REG(3, 0, 0, 4, 0),  REG(3, 0, 0, 4, 1),
	REG(3, 0, 0, 5, 0),  REG(3, 0, 0, 6, 0),  REG(3, 0, 0, 6, 1),  REG(3, 0, 0, 6, 2),
	REG(3, 0, 0, 7, 0),  REG(3, 0, 0, 7, 1),  REG(3, 0, 0, 7, 2),  REG(3, 1, 0, 0, 0),
	REG(3, 1, 0, 0, 1),  REG(3, 2, 0, 0, 0),  REG(3, 3, 0, 0, 1),  REG(3, 3, 0, 0, 7),
	REG(3, 0, 1, 0, 0),  REG(3, 0, 1, 0, 2),  REG(3, 0, 2, 0, 0),  REG(3, 0, 2, 0, 1),
	REG(3, 0, 2, 0, 2),  REG(3, 0, 4, 1, 0),  REG(3, 0, 4, 2, 0),  REG(3, 0, 4, 2, 2),
	REG(3, 0, 4, 2, 3),  REG(3, 3, 4, 2, 0),  REG(3, 3, 4, 2, 1),  REG(3, 3, 4, 4, 0),
	REG(3, 3, 4, 4, 1),  REG(3, 0, 5, 2, 0),  REG(3, 0, 6, 0, 0),  REG(3, 0, 7, 4, 0),
	REG(3, 0, 10, 2, 0), REG(3, 0, 12, 0, 0), REG(3, 0, 13, 0, 1), REG(3, 0, 13, 0, 4),
	REG(3, 3, 13, 0, 2), REG(3, 3, 13, 0, 3), REG(3, 0, 14, 1, 0), REG(3, 3, 14, 0, 0),
};

/* May be set to anything. */
static const uint32_t writable[] = {
	REG(3, 2, 0, 0, 0),  REG(3, 0, 4, 1, 0),  REG(3, 0, 4, 2, 0),  REG(3, 0, 4, 2, 3),
	REG(3, 3, 4, 2, 0),  REG(3, 3, 4, 4, 0),  REG(3, 3, 4, 4, 1),  REG(3, 0, 5, 1, 0),
	REG(3, 0, 5, 2, 0),  REG(3, 0, 6, 0, 0),  REG(3, 0, 7, 4, 0),  REG(3, 0, 13, 0, 1),
	REG(3, 0, 13, 0, 4), REG(3, 3, 13, 0, 2), REG(3, 3, 13, 0, 3), REG(3, 0, 14, 1, 0),
	REG(3, 0, 13, 0, 7), REG(3, 3, 13, 0, 7),
};

/* ELR_EL1, SPSR_EL1: interrupts change them. */
static bool is_exception_register(uint32_t reg)
{
	return reg == REG(3, 0, 4, 0, 0) || reg == REG(3, 0, 4, 0, 1);
}

/* The counters, the lines, the interrupt controller: not determined. */
static bool depends_on_time(uint32_t reg)
{
	unsigned crn = reg >> 12 & 15;
	bool control = (reg & ~31u) == REG(3, 0, 14, 1, 0) || (reg & ~31u) == REG(3, 3, 14, 0, 0);
	return (reg >> 19 & 3) == 3 &&
	       ((crn == 14 && !control) || (reg & ~31u) == REG(3, 0, 12, 1, 0));
}

/* A random register that does not exist, or none that matters. */
static uint32_t random_register(struct maker *m)
{
	uint32_t reg;
	do {
		reg = 0xd5100000 | (random_next(m->random) & 0xfffe0);
	} while (depends_on_time(reg) || (m->p->interrupts && is_exception_register(reg)));
	return reg;
}

static void emit_mrs(struct maker *m)
{
	uint32_t used = 0;
	uint32_t reg = one_in(m, 4) ? random_register(m) : readable[below(m, sizeof(readable) / 4)];
	if (!m->p->interrupts && one_in(m, 16)) {
		reg = REG(3, 0, 4, 0, below(m, 2));
	}
	emit(m, reg | MRS_BIT | (one_in(m, 32) ? 31 : pick(m, &used)));
}

/* Writing it changes how the program runs. */
static bool is_control(uint32_t reg)
{
	unsigned op0 = reg >> 19 & 3, op1 = reg >> 16 & 7, crn = reg >> 12 & 15;
	return op0 == 2 ||
	       (op1 == 0 &&
		(crn == 1 || crn == 2 || crn == 10 || crn == 12 || crn == 14 || crn == 4)) ||
	       (op1 == 3 && crn == 14);
}

static void emit_msr(struct maker *m)
{
	uint32_t reg = writable[below(m, sizeof(writable) / 4)];
	if (one_in(m, 4)) {
		do {
			reg = random_register(m);
		} while (m->el1 && is_control(reg));
	}
	uint32_t used = 0;
	unsigned n = one_in(m, 8) ? 31 : pick(m, &used);
	emit(m, reg | n);
}

static void emit_msr_immediate(struct maker *m)
{
	static const uint32_t kinds[] = {0xd500409f /* PAN */,
					 0xd50040bf /* SPSel */,
					 0xd50340df /* DAIFSet */,
					 0xd50340ff /* DAIFClr */,
					 0xd500401f /* CFINV */,
					 0xd500403f,
					 0xd503405f};
	emit(m, kinds[below(m, sizeof(kinds) / 4)] | below(m, 16) << 8);
}

/* SYS and SYSL: all that exist with an address, and random ones. */
static void emit_sys(struct maker *m)
{
	static const uint32_t kinds[] = {
		SYS(0, 7, 8, 0),  SYS(0, 7, 8, 1),  SYS(0, 7, 8, 2),  SYS(0, 7, 8, 3),
		SYS(0, 7, 9, 0),  SYS(0, 7, 9, 1),  SYS(3, 7, 4, 1),  SYS(3, 7, 4, 1),
		SYS(3, 7, 5, 1),  SYS(0, 7, 6, 1),  SYS(3, 7, 10, 1), SYS(3, 7, 11, 1),
		SYS(3, 7, 12, 1), SYS(3, 7, 14, 1), SYS(0, 7, 14, 2),
	};
	uint32_t used = 0;
	unsigned n = pick(m, &used);
	stream_emit_number(&m->s, n, any_address(m));
	uint32_t word = kinds[below(m, sizeof(kinds) / 4)];
	if (one_in(m, 8)) {
		word = SYS(0, 0, 0, 0) | (random_next(m->random) & 0x27ffe0);
	}
	emit(m, word | n);
}

/* SVC, HVC, SMC, BRK, HLT, UDF, an unallocated word, and hints that wait for nothing. */
static void emit_exception(struct maker *m)
{
	uint32_t imm = below(m, SYSTEM_END) << 5, word;
	switch (below(m, 9)) {
	case 0: emit(m, 0xd4000001 | imm); break;
	case 1: emit(m, 0xd4000002 | imm); break;
	case 2: emit(m, 0xd4000003 | imm); break;
	case 3: emit(m, 0xd4200000 | imm); break;
	case 4: emit(m, 0xd4400000 | imm); break;
	case 5: emit(m, below(m, 0x10000)); break;
	case 6: /* SEVL, WFE */
		emit(m, 0xd50320bf);
		emit(m, 0xd503205f);
		break;
	case 7: emit(m, one_in(m, 2) ? 0xd503209f : 0xd503203f); break; /* SEV, YIELD */
	default: do { word = (uint32_t)random_next(m->random);
		} while (a64_decode(word) != A64_UNDEFINED);
		emit(m, word);
		break;
	}
}

/* Changes of what programs run under: EL1 alone. */

/* TLBI operand in a new register. */
static void emit_tlbi(struct maker *m, uint32_t used, uint32_t word, uint64_t operand)
{
	static const uint8_t crms[] = {7, 3, 1};
	unsigned n = pick(m, &used);
	stream_emit_number(&m->s, n, operand);
	emit(m, word | crms[below(m, 3)] << 8 | n);
	emit(m, DSB);
	emit(m, ISB);
}

static uint64_t tlbi_address(uint64_t va)
{
	return va >> 12 & 0xfffffffffff;
}

/* @own: only entries of @asid are concerned.  All levels or the last is the same here, where tables
 * stay. */
static void emit_tlbi_for(struct maker *m, uint32_t used, uint64_t va, bool own, uint64_t asid)
{
	uint32_t last = below(m, 2) << 2;
	switch (below(m, own ? 4 : 2)) {
	case 0: emit_tlbi(m, used, SYS(0, 8, 0, 3 | last), tlbi_address(va)); break; /* VAA(L)E1 */
	case 1: emit_tlbi(m, used, SYS(0, 8, 0, 0), 0); break;			     /* VMALLE1 */
	case 2: emit_tlbi(m, used, SYS(0, 8, 0, 1 | last), tlbi_address(va) | asid << 48); break;
	default: emit_tlbi(m, used, SYS(0, 8, 0, 2), asid << 48); break; /* ASIDE1 */
	}
}

/* Store a descriptor, forget the old one. */
static void emit_table_change(struct maker *m)
{
	struct system_program *p = m->p;
	uint32_t used = 0;
	unsigned at = pick(m, &used), value = pick(m, &used);
	unsigned slot = SLOT_RANDOM + below(m, SLOT_RANDOM_COUNT);
	static const enum system_table tables[] = {TABLE_A_L3, TABLE_B_L3, TABLE_HIGH_L3,
						   TABLE_HIGH_L3, TABLE_HIGH_L2};
	enum system_table table = tables[below(m, 5)];
	bool process = table == TABLE_A_L3 || table == TABLE_B_L3;
	uint64_t va = process ? SYSTEM_LOW : SYSTEM_HIGH,
		 desc = system_random_page(p, m->random, process);
	if (table != TABLE_HIGH_L2 && one_in(m, 3)) {
		slot = SLOT_MOVING + below(m, SLOT_MOVING_COUNT);
		va += slot * SYSTEM_PAGE;
		desc = system_random_moving(m->random, process);
	} else if (table == TABLE_HIGH_L2) {
		slot = 1;
		va += 0x200000 + below(m, 0x200) * SYSTEM_PAGE;
		desc = system_random_block(p, m->random);
	} else {
		va += slot * SYSTEM_PAGE;
	}
	stream_emit_number(&m->s, at,
			   SYSTEM_RAM + (SYSTEM_TABLES + table) * SYSTEM_PAGE + slot * 8);
	stream_emit_number(&m->s, value, desc);
	emit(m, 0xf9000000 | at << 5 | value); /* str */
	emit(m, DSB);
	bool own = process && !(p->control.tcr >> 22 & 1);
	emit_tlbi_for(m, used, va, own, p->control.ttbr0[table == TABLE_B_L3] >> 48);
	if (slot >= SLOT_MOVING) {
		emit_moving_call(m);
	}
}

static void emit_control_write(struct maker *m, uint32_t reg, uint64_t value)
{
	uint32_t used = 0;
	unsigned n = pick(m, &used);
	stream_emit_number(&m->s, n, value);
	emit(m, reg | n);
	emit(m, ISB);
}

static void emit_control(struct maker *m)
{
	struct system_program *p = m->p;
	switch (below(m, 12)) {
	case 0:
	case 3: emit_control_write(m, REG(3, 0, 1, 0, 0), system_sctlr_random(m->random)); break;
	case 1: emit_control_write(m, REG(3, 0, 1, 0, 2), (uint64_t)below(m, 4) << 20); break;
	case 2:
	case 4: {
		uint64_t tcr =
			(p->control.tcr & ~SYSTEM_TCR_CHANGES) | system_tcr_random(m->random);
		emit_control_write(m, REG(3, 0, 2, 0, 2), tcr);
		emit_tlbi(m, 0, SYS(0, 8, 0, 0), 0);
		break;
	}
	default: /* the other process */
		emit_control_write(m, REG(3, 0, 2, 0, 0), p->control.ttbr0[below(m, 2)]);
		if (p->control.tcr >> 22 & 1) {
			emit_tlbi(m, 0, SYS(0, 8, 0, below(m, 2) * 2),
				  p->control.ttbr1 >> 48 << 48);
		}
		break;
	}
}

/* ERET to the next instruction or some behind it. */
static void emit_eret(struct maker *m)
{
	uint32_t used = 0, distance = 1 + below(m, 3);
	unsigned target = pick(m, &used), state = pick(m, &used);
	uint64_t spsr = SPSR_EL1T | below(m, 2) |
			(random_next(m->random) & (0xfull << 28 | 0xfull << 6 | 1ull << 22));
	if (one_in(m, 6)) {
		spsr = random_next(m->random) & 0xf0500fdf; /* any mode, IL */
	}
	emit(m, 0x10000000 | (5 + distance) << 5 | target); /* adr */
	stream_emit_number(&m->s, state, spsr);
	emit(m, REG(3, 0, 4, 0, 1) | target);
	emit(m, REG(3, 0, 4, 0, 0) | state);
	emit(m, 0xd69f03e0);
	stream_emit_filler(&m->s, distance - 1);
}

/* Store a new word into a function, or right behind; make it seen. */
static void emit_patch(struct maker *m)
{
	struct system_program *p = m->p;
	bool here = one_in(m, 2), wide = one_in(m, 4) && !(p->control.tcr >> 56 & 1);
	unsigned function = m->functions[below(m, SYSTEM_FUNCTIONS)] + below(m, FUNCTION_WORDS);
	uint32_t used = 0;
	unsigned at = pick(m, &used), value = pick(m, &used);
	struct stream filler = m->s;
	uint32_t word;
	filler.insns = &word;
	filler.count = 0;
	filler.reserved |= 1u << 30;
	stream_emit_filler(&filler, 1);
	unsigned slot = m->el1 ? SLOT_PATCH_EL1 : SLOT_PATCH_EL0;
	unsigned target = here ? m->s.count + 10 : function;
	uint64_t va = (wide ? SYSTEM_HIGH : SYSTEM_LOW) + slot * SYSTEM_PAGE +
		      (p->code_offset + target) * 4;
	stream_emit_number(&m->s, at, va);
	stream_emit_number(&m->s, value, word);
	emit(m, 0xb9000000 | at << 5 | value);
	emit(m, SYS(3, 7, 11, 1) | at); /* dc cvau */
	emit(m, DSB);
	emit(m, SYS(3, 7, 5, 1) | at); /* ic ivau */
	emit(m, DSB);
	emit(m, ISB);
	stream_emit_filler(&m->s, 1);
	if (!here) {
		emit_call(m);
	}
}

/* Interrupts. */

static void emit_line(struct maker *m)
{
	uint32_t used = 0;
	unsigned at = pick(m, &used), slot = m->el1 ? SLOT_DEVICE_EL1 : SLOT_DEVICE_EL0;
	stream_emit_number(&m->s, at,
			   SYSTEM_LOW + slot * SYSTEM_PAGE +
				   (one_in(m, 2) ? DEVICE_IRQ : DEVICE_FIQ));
	bool waits = m->el1 && one_in(m, 3);
	if (waits) {
		emit(m, 0xd50343df); /* msr daifset, #3 */
	}
	emit(m, 0x39000000 | at << 5 | below(m, 31)); /* strb */
	if (waits) {
		emit(m, 0xd503207f); /* wfi: the line is high */
		emit(m, 0xd50343ff); /* msr daifclr, #3 */
		emit(m, ISB);
	}
}

static void emit_something(struct maker *m)
{
	bool privileged = m->el1 || one_in(m, 8);
	switch (below(m, 64)) {
	case 0:
	case 1:
	case 2: emit_loop(m); break;
	case 3:
	case 4: emit_call(m); break;
	case 5:
	case 6: emit_table(m); break;
	case 7: emit_wild_branch(m); break;
	case 8:
	case 9: emit_mrs(m); break;
	case 10:
	case 11: emit_msr(m); break;
	case 12: emit_msr_immediate(m); break;
	case 13:
	case 14: emit_sys(m); break;
	case 15: emit_exception(m); break;
	case 16:
	case 17: emit_patch(m); break;
	case 18:
		if (privileged) {
			emit_table_change(m);
		}
		break;
	case 19:
		if (privileged) {
			emit_control(m);
		}
		break;
	case 20:
		if (privileged && !m->p->interrupts) {
			emit_eret(m);
		}
		break;
	case 21:
	case 22:
		if (m->p->interrupts) {
			emit_line(m);
		}
		break;
	case 23:
	case 24: emit_moving_call(m); break;
	case 25:
		if (m->s.set->hidden >> A64_FEATURE_PAUTH & 1 ? one_in(m, 16) : true) {
			emit_pauth(m);
		}
		break;
	default: emit_row(m); break;
	}
}

static void make_functions(struct maker *m)
{
	m->s.reserved |= 1u << 30;
	for (unsigned n = 0; n < SYSTEM_FUNCTIONS; n++) {
		m->functions[n] = m->s.count;
		stream_emit_filler(&m->s, FUNCTION_WORDS);
		emit(m, 0xd65f03c0);
	}
	m->s.reserved &= ~(1u << 30);
}

static void make_moving(struct maker *m)
{
	enum { WORDS = SYSTEM_MOVING_BYTES / 4 };
	for (unsigned n = 0; n < SYSTEM_MOVING_PAGES * SYSTEM_PAGE / SYSTEM_MOVING_BYTES; n++) {
		struct stream s = m->s;
		s.insns = m->p->moving[0] + n * WORDS;
		s.count = 0;
		s.reserved |= 1u << 30;
		if (one_in(m, 8)) {
			stream_emit_filler(&s, 1 + below(m, WORDS - 1));
		}
		stream_emit(&s, 0xd65f03c0);
	}
}

static void make_segment(struct maker *m, struct system_segment *segment)
{
	static const unsigned troubles[] = {0, 0, 12, 64};
	m->el1 = segment->el1 = one_in(m, 2);
	m->trouble = troubles[below(m, 4)];
	segment->start = m->s.count;
	m->s.limit = m->s.count + SEGMENT_LEAST + below(m, SEGMENT_MORE) + ROOM;
	while (stream_room(&m->s) > ROOM) {
		emit_something(m);
	}
	emit(m, 0xd4000001 | SYSTEM_END << 5);
	segment->end = m->s.count;
}

void system_make_code(struct system_program *p, const struct row_set *set, struct random *random)
{
	struct maker m = {.p = p, .random = random};
	m.s = (struct stream){.set = set,
			      .random = random,
			      .insns = p->code,
			      .limit = SYSTEM_WORDS,
			      .reserved = 1u << SYSTEM_LOOP_X | 1u << SYSTEM_RETURN_X,
			      .loose = true,
			      .address = choose_address,
			      .opaque = &m};
	make_functions(&m);
	make_moving(&m);
	for (unsigned n = 0; n < SYSTEM_SEGMENTS; n++) {
		make_segment(&m, &p->segments[n]);
	}
	p->words = m.s.count;
}
