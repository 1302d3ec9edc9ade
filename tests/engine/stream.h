/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h - random instruction streams whose result is determined
 *
 * How it works: words come from the encoding tables: a row, random fields.  Around loads, stores
 * and branches the stream sets up registers so that addresses are those that its owner chooses and
 * targets lie in the stream.
 */
#ifndef ORIEL_TESTS_ENGINE_STREAM_H
#define ORIEL_TESTS_ENGINE_STREAM_H

#include "a64/a64.h"
#include "diff.h"

#include <stdbool.h>

struct random {
	uint64_t state;
};

uint64_t random_next(struct random *random);
/* 0..n-1 */
uint32_t random_below(struct random *random, uint32_t n);

/* Numbers, and pairs of lanes, among which are those that arithmetic finds difficult. */
uint64_t random_integer(struct random *random);
uint64_t random_lanes(struct random *random);

/*
 * Rows that streams are made of.  @filter: only rows whose name contains it; NULL for all.
 * Returns how many rows there are.
 */
struct row_set {
	uint16_t rows[A64_OPS];
	unsigned count;
	uint8_t kinds[A64_OPS]; /* how the stream has to treat each row */
	bool without_exclusives;
	uint64_t hidden; /* features that the machine does not show, a bit each: their rows are
			    UNDEFINED */
};
unsigned stream_choose_rows(struct row_set *set, const char *filter);
/* Leave out load-exclusives: an interrupt may come before the store, which then fails. */
void stream_drop_exclusives(struct row_set *set);
/* Leave out memory copy and memory set: for references that do not have them. */
void stream_drop_mops(struct row_set *set);

/* A stream under construction. */
struct stream {
	const struct row_set *set;
	struct random *random;
	uint32_t *insns;
	unsigned count, limit;
	uint32_t reserved; /* X registers which nothing random may name, a bit each */
	bool loose;	   /* bases may be misaligned SPs too */
	/* Where @bytes are to be accessed; @align is what ordered accesses need. */
	uint64_t (*address)(struct stream *s, unsigned bytes, unsigned align);
	const struct diff_state
		*reference; /* not NULL: leave out what qemu-aarch64 gets wrong from this state */
	void *opaque;	    /* the owner's */
};

#define STREAM_NOP 0xd503201fu
enum { STREAM_LARGEST = 16 }; /* words of the largest row */

void stream_emit(struct stream *s, uint32_t word);
unsigned stream_room(const struct stream *s);
/* Load a number into a register other than 31: two words from -2^31 to 2^32 - 1, four beyond. */
void stream_emit_number(struct stream *s, unsigned n, uint64_t value);
/* A register other than 31, the reserved ones and those in @used, which gets it added. */
unsigned stream_pick_register(struct stream *s, uint32_t *used);
/* A row with what it needs around it. */
void stream_emit_row(struct stream *s, enum a64_op op);
/* @count words which neither branch nor access memory. */
void stream_emit_filler(struct stream *s, unsigned count);

/* Case number @number of the run with @seed: always the same for the same rows. */
void stream_make_case(struct diff_case *c, const struct row_set *set, uint64_t seed,
		      uint64_t number);

#endif
