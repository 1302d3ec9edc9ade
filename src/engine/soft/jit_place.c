/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jit_place.c - blocks that can be moved: what in their code depends on places
 *
 * How it works: a note is a word: kind, target and offset in the block.
 * Threads: the vCPU thread.
 */
#include "engine/soft/jit_priv.h"

enum { OFFSET_BITS = 17, TARGET_BITS = 12 };

void jit_note(struct jit_block *t, enum jit_note_kind kind, const uint8_t *field, unsigned target)
{
	size_t offset = (size_t)(field + t->x.bias - t->x.floor);
	static_assert(JIT_BLOCK_ROOM <= 1 << OFFSET_BITS && JIT_STUB_ROOM <= 1 << TARGET_BITS,
		      "they have room");
	assert(offset < JIT_BLOCK_ROOM && target < 1 << TARGET_BITS);
	if (t->note_count == JIT_NOTES) {
		t->is_bound = true;
		return;
	}
	t->notes[t->note_count++] = (uint32_t)kind << (OFFSET_BITS + TARGET_BITS) |
				    target << OFFSET_BITS | (uint32_t)offset;
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
