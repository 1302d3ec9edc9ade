/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.c - blocks that can be moved: what in their code depends on places, how they are kept
 * and placed again
 *
 * How it works: a block's words and notes wait in the journal until its code is about to be
 * forgotten; then it goes to the store, with zeros where something is noted.  Placing copies the
 * code and fills these fields.  Records are not kept, as they hold addresses: they get a handler
 * that decodes when it is first called. Threads: the vCPU thread.
 */
#include "engine/soft/decode.h"
#include "engine/soft/jit/priv.h"

#include <stdlib.h>

void jit_note(struct jit_block *t, enum jit_note_kind kind, const uint8_t *field, unsigned target)
{
	size_t offset = (size_t)(field + t->x.bias - t->x.floor);
	static_assert(JIT_BLOCK_ROOM <= 1 << JIT_OFFSET_BITS &&
			      JIT_STUB_ROOM <= 1 << JIT_TARGET_BITS,
		      "they have room");
	assert(offset < JIT_BLOCK_ROOM && target < 1 << JIT_TARGET_BITS);
	if (t->note_count == JIT_NOTES) {
		t->is_bound = true;
		return;
	}
	t->notes[t->note_count++] = (uint32_t)kind << (JIT_OFFSET_BITS + JIT_TARGET_BITS) |
				    target << JIT_OFFSET_BITS | (uint32_t)offset;
}

static void rel32_stub(struct jit_block *t, const uint8_t *stub)
{
	jit_note(t, JIT_STUB, t->x.at, (unsigned)(stub - t->jit->code));
	x86_rel32_anywhere(&t->x, stub);
}

void jit_jmp_stub(struct jit_block *t, const uint8_t *stub)
{
	x86_byte(&t->x, 0xe9);
	rel32_stub(t, stub);
}

void jit_jcc_stub(struct jit_block *t, enum x86_cc cc, const uint8_t *stub)
{
	x86_byte(&t->x, 0x0f);
	x86_byte(&t->x, 0x80 + cc);
	rel32_stub(t, stub);
}

void jit_call_stub(struct jit_block *t, const uint8_t *stub)
{
	x86_byte(&t->x, 0xe8);
	rel32_stub(t, stub);
}

/* ----- keeping ----- */

/* An entry of the journal; words and notes follow. */
struct kept {
	const uint8_t *code; /* writable view */
	uint32_t code_len, first_record;
	uint16_t first, word_count, note_count, record_count;
};

void jit_keep(struct jit_block *t)
{
	enum { LOOKED_UP_BY = 4 }; /* the store wants that many words, if the page has them */
	struct jit *jit = t->jit;
	unsigned last = t->first + LOOKED_UP_BY - 1;
	jit_word(t, last < PAGE_INSNS ? last : PAGE_INSNS - 1);
	struct kept kept = {
		.code = t->start,
		.code_len = (uint32_t)(t->x.at - t->start),
		.first_record = t->first_record,
		.first = (uint16_t)t->first,
		.word_count = (uint16_t)t->word_count,
		.note_count = (uint16_t)t->note_count,
		.record_count = (uint16_t)(jit->records_used - t->first_record),
	};
	size_t words = t->word_count * sizeof(t->words[0]),
	       notes = t->note_count * sizeof(t->notes[0]);
	size_t len = (sizeof(kept) + words + notes + 7) & ~(size_t)7;
	if (t->is_bound || jit->journal_len + len > jit->journal_size) {
		return;
	}
	uint8_t *at = jit->journal + jit->journal_len;
	memcpy(at, &kept, sizeof(kept));
	memcpy(at + sizeof(kept), t->words, words);
	memcpy(at + sizeof(kept) + words, t->notes, notes);
	jit->journal_len += len;
}

/* The block of @kept as the store has it, in @p, which has room.  Returns the entry's length. */
static size_t pack(const struct jit *jit, const struct kept *kept, struct jit_packed *p)
{
	*p = (struct jit_packed){
		.code_len = kept->code_len,
		.first = kept->first,
		.word_count = kept->word_count,
		.note_count = kept->note_count,
		.record_count = kept->record_count,
	};
	p->size = (uint32_t)jit_packed_size(p);
	size_t len = 4u * (p->word_count + p->note_count);
	memcpy(p + 1, kept + 1, len);
	uint16_t *records = (uint16_t *)((uint8_t *)(p + 1) + len);
	for (unsigned n = 0; n < p->record_count; n++) {
		records[n] = jit->records[kept->first_record + n].i.offset / 4;
	}
	uint8_t *code = (uint8_t *)(records + p->record_count);
	memcpy(code, kept->code, p->code_len);
	memset(code + p->code_len, 0, (size_t)((uint8_t *)p + p->size - (code + p->code_len)));
	for (unsigned n = 0; n < p->note_count; n++) {
		uint32_t note = jit_packed_notes(p)[n];
		if (jit_note_kind(note) != JIT_LANDING) {
			memset(code + jit_note_offset(note), 0, 4);
		}
	}
	return (sizeof(*kept) + len + 7) & ~(size_t)7;
}

void jit_keep_all(struct jit *jit)
{
	struct jit_packed *p = jit->journal_len ? malloc(JIT_PACKED_ROOM) : NULL;
	for (size_t at = 0; p && at < jit->journal_len;) {
		at += pack(jit, (const struct kept *)(jit->journal + at), p);
		jit_store_add(jit->store, p);
	}
	free(p);
	jit->journal_len = 0;
}

/* ----- placing ----- */

/* First handler of a placed record. */
static void decode_record(struct cpu *cpu, const struct insn *i)
{
	struct insn *fresh = (struct insn *)(uintptr_t)i;
	decode_insn(cpu, fresh);
	fresh->fn(cpu, fresh);
}

static void place_records(struct jit *jit, const struct jit_packed *p)
{
	for (unsigned n = 0; n < p->record_count; n++) {
		unsigned word = jit_packed_records(p)[n];
		struct jit_record *r = &jit->records[jit->records_used + n];
		r->i = (struct insn){.fn = decode_record,
				     .raw = jit_packed_words(p)[word - p->first]};
		r->i.offset = (uint16_t)(word * 4);
		r->stop = jit_stop;
	}
}

static void put(uint8_t *field, uintptr_t value)
{
	uint32_t low = (uint32_t)value;
	memcpy(field, &low, sizeof(low));
}

/* Copy the code of @p and fill all that is noted, but for links. */
static uint8_t *place_block(struct jit *jit, struct jit_page *page, const struct jit_packed *p)
{
	uint8_t *code = jit->at;
	memcpy(code, jit_packed_code(p), p->code_len);
	place_records(jit, p);
	for (unsigned n = 0; n < p->note_count; n++) {
		uint32_t note = jit_packed_notes(p)[n];
		uint8_t *field = code + jit_note_offset(note);
		unsigned target = jit_note_target(note);
		switch (jit_note_kind(note)) {
		case JIT_STUB: x86_patch(field, jit->write + target); break;
		case JIT_RECORD:
			put(field, (uintptr_t)&jit->records[jit->records_used + target]);
			break;
		case JIT_PAGE: put(field, (uintptr_t)(page - jit->pool)); break;
		case JIT_LINK:
		case JIT_LANDING: break;
		}
	}
	page->entry[p->first] = (uint32_t)((uintptr_t)jit->code + (uintptr_t)(code - jit->write));
	page->has_code = true;
	jit->at += p->code_len;
	jit->records_used += p->record_count;
	jit->stats.blocks_loaded++;
	return code;
}

static bool has_room_for(const struct jit *jit, const struct jit_packed *p)
{
	return (size_t)(jit->at - jit->write) + p->code_len <= jit->size &&
	       jit->records_used + p->record_count <= jit->record_count;
}

/* Blocks that are placed together. */
enum { BATCH = 64 };
struct batch {
	unsigned count;
	const struct jit_packed *blocks[BATCH];
	uint8_t *code[BATCH];
};

static void place_word(struct jit *jit, struct jit_page *page, unsigned n, struct batch *batch)
{
	if (batch->count == BATCH || jit_is_translated(jit, page, n)) {
		return;
	}
	const struct jit_packed *p =
		jit_store_find(jit->store, jit->last_placed, n, page->words + n);
	if (p && has_room_for(jit, p)) {
		jit->last_placed = p;
		batch->blocks[batch->count] = p;
		batch->code[batch->count++] = place_block(jit, page, p);
	}
}

static void link_block(struct jit *jit, struct jit_page *page, const struct jit_packed *p,
		       uint8_t *code)
{
	const uint32_t *notes = jit_packed_notes(p);
	for (unsigned n = 0; n < p->note_count; n++) {
		if (jit_note_kind(notes[n]) != JIT_LINK) {
			continue;
		}
		uint8_t *hole = code + jit_note_offset(notes[n]);
		unsigned target = jit_note_target(notes[n]);
		if (jit_is_translated(jit, page, target)) {
			jit_link(jit, page, target, hole);
		} else {
			x86_patch(hole, code + jit_note_offset(notes[n + 1]));
		}
	}
}

bool jit_place(struct cpu *cpu, struct jit_page *page, unsigned n)
{
	struct jit *jit = cpu->jit;
	struct batch batch;
	batch.count = 0;
	place_word(jit, page, n, &batch);
	for (unsigned b = 0; b < batch.count; b++) {
		const struct jit_packed *p = batch.blocks[b];
		for (unsigned k = 0; k < p->note_count; k++) {
			uint32_t note = jit_packed_notes(p)[k];
			if (jit_note_kind(note) == JIT_LINK) {
				place_word(jit, page, jit_note_target(note), &batch);
			}
		}
	}
	for (unsigned b = 0; b < batch.count; b++) {
		link_block(jit, page, batch.blocks[b], batch.code[b]);
	}
	return batch.count > 0;
}
