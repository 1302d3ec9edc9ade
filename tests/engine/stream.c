/* SPDX-License-Identifier: Apache-2.0 */
/* stream.c - see stream.h */
#include "stream.h"

#include <string.h>

uint64_t random_next(struct random *random)
{
	uint64_t v = random->state += 0x9e3779b97f4a7c15ull;
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ull;
	v = (v ^ v >> 27) * 0x94d049bb133111ebull;
	return v ^ v >> 31;
}

uint32_t random_below(struct random *random, uint32_t n)
{
	return (uint32_t)((random_next(random) >> 32) * n >> 32);
}

/* Bytes that memory copy and set are to move, at most; much is more than a page can hold. */
enum { MOPS_LITTLE = 250, MOPS_MUCH = 4096 };

/* How a row has to be treated. */
enum kind {
	KIND_PLAIN,
	KIND_SKIP,
	KIND_BRANCH,	 /* to an immediate target */
	KIND_BRANCH_REG, /* BR, BLR, RET */
	KIND_ACCESS,	 /* Rn is an address */
	KIND_LITERAL,	 /* LDR (literal) */
	KIND_EXCLUSIVE,	 /* load-exclusive; a store may follow */
	KIND_MOPS,	 /* Rd, Rs, Rn are addresses and a size */
};

static bool has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Bits 28:25 say "loads and stores". */
static bool is_access(uint32_t value)
{
	return (value & 0x0a000000) == 0x08000000;
}

static enum kind kind_of(enum a64_op op)
{
	static const char *const skipped[] = {"SVC", "HVC", "SMC", "BRK", "HLT", "ERET",
					      "WF",  "SEV", "MSR", "MRS", "SYS", "UDF"};
	const struct a64_info *info = &a64_infos[op];
	if (info->feature == A64_FEATURE_PAUTH || info->feature == A64_FEATURE_BTI) {
		return KIND_SKIP;
	}
	for (unsigned n = 0; n < sizeof(skipped) / sizeof(skipped[0]); n++) {
		if (has_prefix(info->name, skipped[n])) {
			return KIND_SKIP;
		}
	}
	switch (info->format) {
	case A64_FORMAT_branch26:
	case A64_FORMAT_branch_cond:
	case A64_FORMAT_branch_cb:
	case A64_FORMAT_branch_tb: return KIND_BRANCH;
	case A64_FORMAT_branch_reg: return KIND_BRANCH_REG;
	case A64_FORMAT_mops: return KIND_MOPS;
	default: break;
	}
	if (!is_access(info->value)) {
		return KIND_PLAIN;
	}
	if (has_prefix(info->name, "PRFM_lit")) {
		return KIND_PLAIN;
	}
	if ((info->value & 0x3b000000) == 0x18000000) {
		return KIND_LITERAL;
	}
	if (has_prefix(info->name, "LDXR") || has_prefix(info->name, "LDAXR") ||
	    has_prefix(info->name, "LDXP") || has_prefix(info->name, "LDAXP")) {
		return KIND_EXCLUSIVE;
	}
	if (has_prefix(info->name, "STXR") || has_prefix(info->name, "STLXR") ||
	    has_prefix(info->name, "STXP") || has_prefix(info->name, "STLXP")) {
		return KIND_SKIP; /* made together with the load */
	}
	return KIND_ACCESS;
}

unsigned stream_choose_rows(struct row_set *set, const char *filter)
{
	set->count = 0;
	for (unsigned op = 1; op < A64_OPS; op++) {
		set->kinds[op] = (uint8_t)kind_of(op);
		if (set->kinds[op] != KIND_SKIP &&
		    (!filter || strstr(a64_infos[op].name, filter))) {
			set->rows[set->count++] = (uint16_t)op;
		}
	}
	return set->count;
}

static void drop_kind(struct row_set *set, enum kind kind)
{
	unsigned count = 0;
	for (unsigned n = 0; n < set->count; n++) {
		if (set->kinds[set->rows[n]] != kind) {
			set->rows[count++] = set->rows[n];
		}
	}
	set->count = count;
}

void stream_drop_exclusives(struct row_set *set)
{
	drop_kind(set, KIND_EXCLUSIVE);
	set->without_exclusives = true;
}

void stream_drop_mops(struct row_set *set)
{
	drop_kind(set, KIND_MOPS);
}

/*
 * Where qemu-aarch64 (7.2) and the architecture disagree; such words are left out.
 * FCVTZS, FCVTZU to fixed point, scalar half precision: QEMU leaves sign bits above the 16-bit
 * result; DDI 0487 C7.2.106 writes a scalar through V[d], which clears the rest of the register.
 * FJCVTZS with FPCR.FZ: a flushed subnormal is no exact zero, so Z is 0 (FPToFixedJS(), J1.3.3);
 * QEMU sets it.
 */
static bool is_disputed(enum a64_op op, uint32_t word, const struct diff_state *start)
{
	switch (op) {
	case A64_FCVTZS_vfix_h:
	case A64_FCVTZU_vfix_h: return A64_sc(word);
	case A64_FJCVTZS: return start->fpcr >> 24 & 1;
	default: return false;
	}
}

/*
 * Should-be-one bits: Rs and Rt2 of LDAR, STLR, LDLAR, STLLR; Ra of SMULH, UMULH (DDI 0487 C6.2).
 * Anything else is CONSTRAINED UNPREDICTABLE: we and QEMU 7 ignore the bits, QEMU 10 makes the word
 * UNDEFINED.
 */
static uint32_t with_ones(uint32_t word)
{
	if ((word & 0x3fa00000) == 0x08800000) {
		return word | 0x001f7c00;
	}
	return (word & 0xff608000) == 0x9b400000 ? word | 0x7c00 : word;
}

/*
 * Does the word name a reserved register where the row has one?  Register fields are five free
 * bits; the second of a pair of registers counts too.
 */
static bool names_reserved(const struct stream *s, enum a64_op op, uint32_t word)
{
	static const uint8_t lows[] = {0, 5, 10, 16};
	uint32_t names = 0;
	for (unsigned n = 0; n < sizeof(lows); n++) {
		if (!(a64_infos[op].mask >> lows[n] & 31)) {
			names |= 3u << (word >> lows[n] & 31);
		}
	}
	return names & s->reserved;
}

/* A word of the row, all fields random. */
static uint32_t random_word(struct stream *s, enum a64_op op)
{
	for (unsigned n = 0; n < 100000; n++) {
		uint32_t word = (uint32_t)random_next(s->random);
		word = with_ones((word & ~a64_infos[op].mask) | a64_infos[op].value);
		if (a64_decode(word) == op &&
		    !(s->reference && is_disputed(op, word, s->reference)) &&
		    !names_reserved(s, op, word)) {
			return word;
		}
	}
	return STREAM_NOP;
}

static uint32_t with_field(uint32_t word, unsigned low, unsigned width, uint32_t value)
{
	uint32_t mask = ((1u << width) - 1) << low;
	return (word & ~mask) | (value << low & mask);
}

void stream_emit(struct stream *s, uint32_t word)
{
	s->insns[s->count++] = word;
}

unsigned stream_room(const struct stream *s)
{
	return s->limit - s->count;
}

void stream_emit_number(struct stream *s, unsigned n, uint64_t value)
{
	if ((int64_t)value < 0 && (int64_t)value >= INT32_MIN) {
		stream_emit(s, 0x92a00000 | (uint32_t)(~value >> 16 & 0xffff) << 5 |
				       n);					  /* movn, lsl 16 */
		stream_emit(s, 0xf2800000 | (uint32_t)(value & 0xffff) << 5 | n); /* movk */
		return;
	}
	stream_emit(s, 0xd2800000 | (uint32_t)(value & 0xffff) << 5 | n);	/* movz */
	stream_emit(s, 0xf2a00000 | (uint32_t)(value >> 16 & 0xffff) << 5 | n); /* movk, lsl 16 */
	if (value >> 32) {
		stream_emit(s, 0xf2c00000 | (uint32_t)(value >> 32 & 0xffff) << 5 | n);
		stream_emit(s, 0xf2e00000 | (uint32_t)(value >> 48) << 5 | n);
	}
}

unsigned stream_pick_register(struct stream *s, uint32_t *used)
{
	unsigned n;
	do {
		n = random_below(s->random, 31);
	} while ((*used | s->reserved) >> n & 1);
	*used |= 1u << n;
	return n;
}

/* What an access touches: bytes from Rn + offset, which must be aligned to `align`. */
struct access {
	unsigned bytes, align;
	int64_t offset;
	bool has_rm, writes_back;
};

static unsigned simd_scale(uint32_t w)
{
	return (w >> 30) | (w >> 21 & 4); /* opc<1>:size */
}

/* LD1..LD4, ST1..ST4. */
static struct access simd_structure(uint32_t w)
{
	struct access a = {.align = 1};
	bool post = w >> 23 & 1, single = w >> 24 & 1;
	a.bytes = 64;
	a.has_rm = post && (w >> 16 & 31) != 31;
	a.writes_back = post;
	(void)single;
	return a;
}

static struct access pair_access(uint32_t w)
{
	bool simd = w >> 26 & 1;
	unsigned scale = simd ? 2 + (w >> 30) : 2 + (w >> 31);
	unsigned mode = w >> 23 & 3;
	struct access a = {.bytes = 2u << scale, .align = 1};
	a.offset = mode == 1 ? 0 : a64_sign(w >> 15 & 0x7f, 7) * (1 << scale);
	a.writes_back = mode & 1;
	return a;
}

static struct access single_access(uint32_t w)
{
	bool simd = w >> 26 & 1;
	unsigned scale = simd ? simd_scale(w) : w >> 30;
	struct access a = {.bytes = 1u << scale, .align = 1};
	if (w >> 24 & 1) {
		a.offset = (int64_t)(w >> 10 & 0xfff) << scale;
		return a;
	}
	unsigned mode = w >> 10 & 3;
	bool extended = w >> 21 & 1;
	if (extended && mode == 0) { /* atomic */
		a.align = a.bytes;
	} else if (extended) {
		a.has_rm = true;
	} else {
		a.offset = mode == 1 ? 0 : a64_sign(w >> 12 & 0x1ff, 9);
		a.writes_back = mode & 1;
	}
	return a;
}

static struct access access_of(uint32_t w)
{
	switch (w >> 27 & 7) {
	case 5: return pair_access(w);
	case 7: return single_access(w);
	case 3: { /* LDAPUR, STLUR */
		struct access a = {.bytes = 1u << (w >> 30), .align = 1u << (w >> 30)};
		a.offset = a64_sign(w >> 12 & 0x1ff, 9);
		return a;
	}
	default: break;
	}
	if (w >> 26 & 1) {
		return simd_structure(w);
	}
	struct access a = {.bytes = 1u << (w >> 30), .align = 1u << (w >> 30)};
	bool pair = (w >> 23 & 1) == 0 && (w >> 21 & 1); /* CASP and LDXP */
	if (pair) {
		a.bytes = w >> 30 & 1 ? 16 : 8;
		a.align = a.bytes;
	}
	return a;
}

/* The value of Rm after extension and shift as the access uses it. */
static int64_t extended_offset(uint32_t w, uint64_t rm)
{
	unsigned option = w >> 13 & 7;
	bool simd = w >> 26 & 1;
	unsigned scale = simd ? simd_scale(w) : w >> 30;
	int64_t v = (int64_t)rm;
	if (option == 2) {
		v = (uint32_t)rm;
	} else if (option == 6) {
		v = (int32_t)rm;
	}
	return (int64_t)((uint64_t)v << (w >> 12 & 1 ? scale : 0));
}

static uint64_t window_address(struct stream *s, unsigned bytes, unsigned align)
{
	uint64_t at = DIFF_WINDOW + random_below(s->random, DIFF_WINDOW_BYTES - bytes + 1);
	if (random_below(s->random, 2)) {
		at &= ~7ull;
	}
	at &= ~(uint64_t)(align - 1);
	return at < DIFF_WINDOW ? DIFF_WINDOW : at;
}

/* Point the base register of @word, with @offset still to be added, at @address. */
static uint32_t emit_base(struct stream *s, uint32_t word, uint64_t address, int64_t offset,
			  uint32_t used)
{
	uint64_t base = address - (uint64_t)offset;
	bool aligned = (base & 15) == 0 || (s->loose && random_below(s->random, 16) == 0);
	bool sp = aligned && random_below(s->random, 3) == 0;
	unsigned n = stream_pick_register(s, &used);
	stream_emit_number(s, n, base);
	if (sp) {
		stream_emit(s, 0x9100001f | n << 5); /* mov sp, xn */
		n = 31;
	}
	return with_field(word, 5, 5, n);
}

/* Registers of the data; the base may not be one of them where that is unpredictable. */
static uint32_t data_registers(uint32_t w)
{
	uint32_t used = 1u << (w & 31);
	if ((w >> 27 & 7) == 5) {
		used |= 1u << (w >> 10 & 31);
	}
	if ((w & 0x3f000000) ==
	    0x08000000) { /* exclusives: Rs, Rt2, and the second registers of CASP */
		used |= 1u << (w >> 10 & 31) | 1u << (w >> 16 & 31) | 2u << (w & 31) |
			2u << (w >> 16 & 31);
	}
	return used;
}

static void emit_access(struct stream *s, uint32_t word)
{
	struct access a = access_of(word);
	uint32_t used = data_registers(word);
	bool load_pair = (word >> 27 & 7) == 5 && word >> 22 & 1;
	if (load_pair && (word & 31) == (word >> 10 & 31)) {
		/* Equal targets are unpredictable. */
		word ^= s->reserved >> ((word >> 10 & 31) ^ 1) & 1 ? 1u << 14 : 1u << 10;
		used = data_registers(word);
	}
	bool structure = (word & 0x3e000000) == 0x0c000000;
	if (a.has_rm) {
		bool narrow = !structure && (word >> 13 & 7) != 2;
		unsigned m = stream_pick_register(s, &used);
		int64_t rm = random_below(s->random, 0x10000);
		if (narrow && random_below(s->random, 2)) {
			rm = ~rm;
		}
		stream_emit_number(s, m, (uint64_t)rm);
		word = with_field(word, 16, 5, m);
		a.offset = structure ? 0 : extended_offset(word, (uint64_t)rm);
	}
	uint64_t address = s->address(s, a.bytes, a.align);
	stream_emit(s, emit_base(s, word, address, a.offset, used));
}

/* A load-exclusive, something or nothing, the store-exclusive of the same kind, maybe another one
 * that must fail. */
static void emit_exclusive(struct stream *s, uint32_t word)
{
	struct access a = access_of(word);
	bool pair = word >> 21 & 1;
	uint32_t used = 0;
	unsigned t = stream_pick_register(s, &used), t2 = stream_pick_register(s, &used);
	uint32_t load = with_field(with_field(word, 0, 5, t), 10, 5, pair ? t2 : 31);
	load = with_field(load, 16, 5, 31);
	uint64_t address = s->address(s, a.bytes, a.align);
	load = emit_base(s, load, address, 0, used);
	stream_emit(s, load);
	unsigned base = load >> 5 & 31;
	used |= 1u << base;
	uint32_t store = load & ~(1u << 22);
	if (random_below(s->random, 4) == 0) {
		stream_emit(s, 0xd503305f | random_below(s->random, 16) << 8); /* clrex */
	}
	for (unsigned n = 1 + random_below(s->random, 2); n > 0; n--) {
		uint32_t used_now = used;
		unsigned status = stream_pick_register(s, &used_now);
		unsigned value = random_below(s->random, 32), value2 = random_below(s->random, 32);
		if (value == status || value == base) {
			value = 31;
		}
		if (value2 == status || value2 == base) {
			value2 = 31;
		}
		store = with_field(store, 16, 5, status);
		store = with_field(store, 0, 5, value);
		store = with_field(store, 10, 5, pair ? value2 : 31);
		store = with_field(store, 15, 1, random_below(s->random, 2));
		stream_emit(s, store);
	}
}

/* Number of bytes for memory copy and set. */
static unsigned mops_size(struct stream *s)
{
	switch (random_below(s->random, 8)) {
	case 0: return random_below(s->random, 2);
	case 1: return random_below(s->random, s->reference ? MOPS_LITTLE : MOPS_MUCH);
	case 2:
	case 3: return random_below(s->random, MOPS_LITTLE);
	default: return random_below(s->random, 40);
	}
}

/* The word of another stage, 0 to 2, of the same operation. */
static uint32_t mops_stage(uint32_t word, unsigned stage)
{
	bool set = (word >> 22 & 3) == 3;
	return with_field(word, set ? 14 : 22, 2, stage);
}

/*
 * Prologue, main and epilogue in a row: what that gives is the same for all implementations.
 * Without a reference also one of them alone; main and epilogue with registers as option A has
 * them, mostly with C clear.
 */
static void emit_mops(struct stream *s, uint32_t word)
{
	bool set = (word >> 22 & 3) == 3;
	bool directed = word >> 26 & 1;
	unsigned stage = word >> (set ? 14 : 22) & 3, size = mops_size(s);
	bool alone = !s->reference && random_below(s->random, 4) == 0;
	bool continues = alone && stage > 0, backwards = directed && random_below(s->random, 2);
	uint64_t to = s->address(s, size + 64, 1) + 32;
	uint64_t from = random_below(s->random, 2) ? to + random_below(s->random, 65) - 32
						   : s->address(s, size + 1, 1);
	uint64_t ends = continues && !backwards ? size : 0;
	uint32_t used = 0;
	unsigned d = stream_pick_register(s, &used), n = stream_pick_register(s, &used);
	unsigned m = stream_pick_register(s, &used);
	stream_emit_number(s, d, to + ends);
	if (!set) {
		stream_emit_number(s, m, from + ends);
	} else if (random_below(s->random, 4) == 0) {
		m = 31;
	}
	stream_emit_number(s, n, ends ? -ends : size);
	word = with_field(with_field(with_field(word, 0, 5, d), 5, 5, n), 16, 5, m);
	if (continues && random_below(s->random, 4)) {
		stream_emit(s, 0xab1f03ff); /* adds xzr, xzr, xzr */
	}
	for (unsigned k = alone ? stage : 0; k <= (alone ? stage : 2); k++) {
		stream_emit(s, mops_stage(word, k));
	}
}

/* Instructions which a branch may skip: they set up nothing that a later one relies on. */
void stream_emit_filler(struct stream *s, unsigned count)
{
	for (; count > 0; count--) {
		uint32_t word = STREAM_NOP;
		for (unsigned n = 0; n < 4; n++) {
			enum a64_op op = s->set->rows[random_below(s->random, s->set->count)];
			if (s->set->kinds[op] == KIND_PLAIN) {
				word = random_word(s, op);
				break;
			}
		}
		stream_emit(s, word);
	}
}

/* A branch over 0 to 3 instructions. */
static void emit_branch(struct stream *s, uint32_t word, enum a64_format format)
{
	uint32_t distance = 1 + random_below(s->random, 4);
	switch (format) {
	case A64_FORMAT_branch26: word = with_field(word, 0, 26, distance); break;
	case A64_FORMAT_branch_tb: word = with_field(word, 5, 14, distance); break;
	default: word = with_field(word, 5, 19, distance); break;
	}
	stream_emit(s, word);
	stream_emit_filler(s, distance - 1);
}

/* Forward over one, back by one, and on: B +2; B +2; B -1. */
static void emit_back_branch(struct stream *s)
{
	stream_emit(s, 0x14000002);
	stream_emit(s, 0x14000002);
	stream_emit(s, 0x17ffffff);
}

static void emit_branch_register(struct stream *s, uint32_t word)
{
	uint32_t used = 0;
	unsigned n = stream_pick_register(s, &used);
	uint32_t distance = 1 + random_below(s->random, 4);
	stream_emit(s, 0x10000000 | (1 + distance) << 5 | n); /* adr */
	stream_emit(s, with_field(word, 5, 5, n));
	stream_emit_filler(s, distance - 1);
}

/* LDR (literal) reads the instructions around it. */
static void emit_literal(struct stream *s, uint32_t word)
{
	int32_t from = -(int32_t)s->count;
	int32_t to = (int32_t)(s->limit - s->count) - 6;
	int32_t distance = from + (int32_t)random_below(s->random, (uint32_t)(to - from + 1));
	stream_emit(s, with_field(word, 5, 19, (uint32_t)distance));
}

/* Where software has two SIMD instructions in a row for one purpose: the second one. */
static void emit_companion(struct stream *s, uint32_t word)
{
	enum { U = 1 << 29, OPCODE = 0x1f << 11 };
	static const uint32_t after_shl[] = {U | 8 << 11, U | 2 << 11}; /* SRI, USRA */
	uint32_t in_place = (word & 31) | (word & 31) << 5;
	switch (a64_decode(word)) {
	case A64_AESE:
	case A64_AESD:
		stream_emit(s, ((word ^ 0x2000) & ~0x3ffu) | in_place);
		break; /* AESMC, AESIMC */
	case A64_SHL_s:
	case A64_SHL_d:
		stream_emit(s, (word & ~(uint32_t)OPCODE) | after_shl[random_below(s->random, 2)]);
		break;
	case A64_USHR_s:
	case A64_USHR_d: stream_emit(s, word | 10 << 11); break; /* SLI */
	default: break;
	}
}

void stream_emit_row(struct stream *s, enum a64_op op)
{
	uint32_t word = random_word(s, op);
	if (word == STREAM_NOP) {
		stream_emit(s, word);
		return;
	}
	switch (s->set->kinds[op]) {
	case KIND_BRANCH:
		if (op == A64_B && random_below(s->random, 3) == 0) {
			emit_back_branch(s);
		} else {
			emit_branch(s, word, a64_infos[op].format);
		}
		break;
	case KIND_BRANCH_REG: emit_branch_register(s, word); break;
	case KIND_ACCESS: emit_access(s, word); break;
	case KIND_LITERAL: emit_literal(s, word); break;
	case KIND_EXCLUSIVE: emit_exclusive(s, word); break;
	case KIND_MOPS: emit_mops(s, word); break;
	default:
		stream_emit(s, word);
		if (random_below(s->random, 4)) {
			emit_companion(s, word);
		}
		if (op < A64_SVC || random_below(s->random, 8) ==
					    0) { /* pairs of a computation and a branch on it */
			emit_branch(s, 0x54000000 | random_below(s->random, 16),
				    A64_FORMAT_branch_cond);
		}
		break;
	}
}

uint64_t random_integer(struct random *random)
{
	static const uint64_t special[] = {0,	       1,	   ~0ull,
					   0x7fffffff, 0x80000000, 0xffffffff,
					   INT64_MAX,  1ull << 63, 0x8000000080000000,
					   31,	       32,	   63,
					   64,	       0xff80};
	switch (random_below(random, 4)) {
	case 0: return special[random_below(random, sizeof(special) / sizeof(special[0]))];
	case 1: return random_next(random) >> random_below(random, 64);
	default: return random_next(random);
	}
}

/* 64 bits of integers of one size, each the most negative one, or the most positive one. */
static uint64_t random_limits(struct random *random)
{
	unsigned bits = 8u << random_below(random, 4);
	uint64_t v = (UINT64_C(1) << (bits - 1)) - (random_below(random, 4) == 0);
	for (; bits < 64; bits *= 2) {
		v |= v << bits;
	}
	return v;
}

/* 64 bits of lanes that floating point, or saturation, finds difficult. */
uint64_t random_lanes(struct random *random)
{
	static const uint16_t half[] = {0,	0x8000, 0x3c00, 0xbc00, 0x7c00, 0xfc00, 0x7e00,
					0x7d00, 0x0001, 0x83ff, 0x0400, 0x7bff, 0x3800, 0x4248};
	static const uint32_t single[] = {
		0,	    0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
		0x7fc00000, 0x7fa00001, 1,	    0x807fffff, 0x00800000, 0x7f7fffff,
		0x3f000000, 0x4effffff, 0x4f000000, 0x5f000000, 0x47800000, 0x33800000};
	static const uint64_t twice[] = {0,
					 1ull << 63,
					 0x3ff0000000000000,
					 0xbff0000000000000,
					 0x7ff0000000000000,
					 0xfff0000000000000,
					 0x7ff8000000000000,
					 0x7ff4000000000001,
					 1,
					 0x800fffffffffffff,
					 0x0010000000000000,
					 0x7fefffffffffffff,
					 0x3fe0000000000000,
					 0x41dfffffffc00000,
					 0x43e0000000000000,
					 0x47efffffffffffff,
					 0x3810000000000000,
					 0x36a0000000000000};
	uint64_t v = random_next(random);
	switch (random_below(random, 9)) {
	case 8: return random_limits(random);
	case 4: /* ordinary doubles, or singles, of similar size */
		return (v & 0x803fffffffffffff) | 0x3fc0000000000000;
	case 5: return (v & 0x83ffffff83ffffff) | 0x3c0000003c000000;
	case 6: return (uint64_t)((int64_t)v >> random_below(random, 64));
	case 7: /* at the ends of the exponents' ranges */
		return random_below(random, 2) ? (v & 0x8000ffff8fffffff)
					       : (v | 0x7f0000007f000000);
	case 0:
		for (unsigned n = 0; n < 4; n++) {
			v = v << 16 | half[random_below(random, sizeof(half) / sizeof(half[0]))];
		}
		return v;
	case 1:
		v = (uint64_t)single[random_below(random, sizeof(single) / sizeof(single[0]))]
		    << 32;
		return v | single[random_below(random, sizeof(single) / sizeof(single[0]))];
	case 2: return twice[random_below(random, sizeof(twice) / sizeof(twice[0]))];
	default: return v;
	}
}

static void make_state(struct diff_state *state, struct random *random)
{
	for (unsigned n = 0; n < 31; n++) {
		state->x[n] = random_integer(random);
	}
	state->sp = random_next(random);
	for (unsigned n = 0; n < 64; n++) {
		state->v[n / 2][n & 1] = random_lanes(random);
	}
	state->nzcv = random_next(random) & 0xf0000000;
	/* Half of the cases in the default mode; else AHP, DN, FZ, RMode, FZ16 at random. */
	state->fpcr = random_below(random, 2) ? 0 : random_next(random) & 0x07c80000;
	state->fpsr = 0;
	for (unsigned n = 0; n < DIFF_WINDOW_BYTES; n++) {
		state->memory[n] = (uint8_t)random_next(random);
	}
}

void stream_make_case(struct diff_case *c, const struct row_set *set, uint64_t seed,
		      uint64_t number)
{
	enum { TAIL = 8 };
	struct random random = {seed ^ number * 0xd1342543de82ef95ull};
	memset(c, 0, sizeof(*c));
	random_next(&random);
	make_state(&c->start, &random);
	struct stream s = {.set = set,
			   .random = &random,
			   .insns = c->insns,
			   .limit = 20 + random_below(&random, DIFF_INSNS - TAIL - 20),
			   .address = window_address,
			   .reference = &c->start};
	while (stream_room(&s) > STREAM_LARGEST) {
		if (random_below(&random, 4) == 0) {
			stream_emit(&s, DIFF_CLEAR_FPSR);
		}
		stream_emit_row(&s, set->rows[random_below(&random, set->count)]);
	}
	while (s.count < s.limit + TAIL) {
		stream_emit(&s, STREAM_NOP);
	}
	c->count = s.count;
	/* Most streams lie in the first page, some across the boundary. */
	c->code_offset = 64 + 4 * random_below(&random, 900 - DIFF_INSNS);
	if (random_below(&random, 4) == 0) {
		c->code_offset = 4096 - 4 * random_below(&random, c->count);
	}
}
