/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block.c - translate one block: the loop over its instructions, and what all emitters use
 *
 * How it works: a block goes from its first word to the first instruction that never goes on with
 * the next one, to a word that is the start of another block, or to the end of the page.  Paths
 * that are seldom taken are emitted behind it. Threads: the vCPU thread.
 */
#include "engine/soft/decode.h"
#include "engine/soft/jit/mem.h"

/* ----- guest registers ----- */

static const int8_t homes[CPU_SP + 1] = {
	[0] = RBX,  [1] = RDI,	[2] = R8,   [3] = R9,	[4] = R10,
	[19] = R12, [20] = R13, [21] = R14, [22] = R15, [CPU_SP] = R11,
};

int jit_home(unsigned n)
{
	return n <= CPU_SP && homes[n] ? homes[n] : -1;
}

void jit_load(struct jit_block *t, unsigned n, unsigned to, bool wide)
{
	int own = jit_pinned(t, n);
	if (n == CPU_ZR) {
		x86_mov_imm(&t->x, to, 0);
	} else if (own >= 0) {
		x86_mov(&t->x, wide, to, (unsigned)own);
	} else {
		x86_rm(&t->x, X_MOV, wide, to, jit_slot(n));
	}
}

unsigned jit_read(struct jit_block *t, unsigned n, unsigned temp)
{
	int own = jit_pinned(t, n);
	if (own >= 0) {
		return (unsigned)own;
	}
	jit_load(t, n, temp, true);
	return temp;
}

unsigned jit_target(const struct jit_block *t, unsigned n, unsigned temp)
{
	return jit_pinned(t, n) >= 0 ? (unsigned)jit_pinned(t, n) : temp;
}

void jit_write(struct jit_block *t, unsigned n, unsigned from)
{
	int own = jit_pinned(t, n);
	if (n == CPU_SINK) {
		return;
	}
	if (own >= 0) {
		x86_mov(&t->x, true, (unsigned)own, from);
	} else {
		x86_rm(&t->x, X_STORE, true, from, jit_slot(n));
	}
	if (n == CPU_SP) {
		t->sp_aligned = false;
	}
}

void jit_op(struct jit_block *t, unsigned op, bool wide, unsigned reg, unsigned n)
{
	int own = jit_pinned(t, n);
	if (own >= 0) {
		x86_rr(&t->x, op, wide, reg, (unsigned)own);
	} else {
		x86_rm(&t->x, op, wide, reg, jit_slot(n)); /* slot CPU_ZR holds 0 */
	}
}

/* ----- flags ----- */

void jit_flags_set(struct jit_block *t, enum jit_flags form)
{
	t->flags = form;
	t->flags_saved = false;
}

static void make_sub_form(struct jit_block *t)
{
	if (t->flags == JIT_FLAGS_ADD) {
		x86_cmc(&t->x);
	} else if (t->flags == JIT_FLAGS_LOGIC) {
		x86_stc(&t->x);
	}
	t->flags = JIT_FLAGS_SUB;
}

/* N is CF.  The host's flags stay; RDX changes. */
static void save_fp_flags(struct x86 *x)
{
	x86_setcc(x, CC_B, RDX);
	x86_rr(x, X_MOVZX8, false, RDX, RDX);
	x86_rorx(x, false, RDX, RDX, 32 - 15);
	x86_lahf(x);
	x86_setcc(x, CC_O, RAX);
	x86_rm(x, X_LEA, true, RAX, x86_indexed(RAX, RDX, 0, 0));
}

void jit_flags_save(struct jit_block *t)
{
	if (!t->flags_saved && t->flags == JIT_FLAGS_FP) {
		save_fp_flags(&t->x);
		t->flags_saved = true;
	} else if (!t->flags_saved) {
		make_sub_form(t);
		x86_lahf(&t->x);
		x86_setcc(&t->x, CC_O, RAX);
		t->flags_saved = true;
	}
}

/* From this instruction on, are NZCV written before anyone can look at them? */
static bool flags_are_dead(struct jit_block *t)
{
	enum { FAR = 8 };
	for (unsigned n = t->n; n < PAGE_INSNS && n < t->n + FAR; n++) {
		enum a64_op op = jit_op_of(t, n);
		unsigned properties = jit_emitter_of(t, op)->properties;
		if (!(properties & JIT_PURE) || (properties & JIT_READS)) {
			return false;
		}
		if (properties & JIT_SETS) {
			return true;
		}
	}
	return false;
}

void jit_flags_clobber(struct jit_block *t)
{
	if (!t->flags_saved && !flags_are_dead(t)) {
		jit_flags_save(t);
	}
	t->flags = JIT_FLAGS_NONE;
	t->flags_saved = true;
}

enum x86_cc jit_flags_test(struct jit_block *t, unsigned cond)
{
	static const uint8_t conditions[] = {CC_E,  CC_NE, CC_AE, CC_B,	 CC_S, CC_NS, CC_O,
					     CC_NO, CC_A,  CC_BE, CC_GE, CC_L, CC_G,  CC_LE};
	static const uint8_t fp_conditions[] = {CC_E,  CC_NE, CC_AE, CC_B,  CC_B, CC_AE, CC_O,
						CC_NO, CC_A,  CC_BE, CC_AE, CC_B, CC_A,	 CC_BE};
	bool needs_carry = cond == 2 || cond == 3 || cond == 8 || cond == 9;
	if (t->flags == JIT_FLAGS_FP) {
		return fp_conditions[cond]; /* OF is 0, as V */
	}
	if (t->flags == JIT_FLAGS_NONE) {
		x86_opcode(&t->x, 0x3c, false, 0, 0, 0, false); /* cmp al, -127: OF if V */
		x86_byte(&t->x, 0x81);
		x86_sahf(&t->x);
		t->flags = JIT_FLAGS_SUB;
	} else if (needs_carry) {
		make_sub_form(t);
	}
	return conditions[cond];
}

/* ----- what the block depends on ----- */

uint32_t jit_peek(struct jit_block *t, unsigned n)
{
	unsigned index = n - t->first;
	assert(index < JIT_BLOCK_WORDS);
	for (; t->words_read <= index; t->words_read++) {
		uint32_t word = __atomic_load_n(&t->page->words[t->first + t->words_read],
						__ATOMIC_RELAXED);
		t->ops[t->words_read] = (uint16_t)a64_decode(word);
		t->words[t->words_read] = word;
	}
	return t->words[index];
}

uint32_t jit_word(struct jit_block *t, unsigned n)
{
	unsigned index = n - t->first;
	t->word_count = index < t->word_count ? t->word_count : index + 1;
	return jit_peek(t, n);
}

enum a64_op jit_op_of(struct jit_block *t, unsigned n)
{
	(void)jit_word(t, n);
	return (enum a64_op)t->ops[n - t->first];
}

enum a64_op jit_peek_op(struct jit_block *t, unsigned n)
{
	(void)jit_peek(t, n);
	return (enum a64_op)t->ops[n - t->first];
}

/* ----- late paths ----- */

static struct jit_late *new_late(struct jit_block *t)
{
	struct jit_late *late = &t->late[t->late_count++];
	*late = (struct jit_late){.kind = LATE_SLOW};
	return late;
}

static unsigned new_record(struct jit_block *t)
{
	static_assert(offsetof(struct jit_record, stop) ==
			      sizeof(struct insn) + offsetof(struct insn, fn),
		      "a handler goes on with i[1].fn");
	struct jit *jit = t->jit;
	struct jit_record *r = &jit->records[jit->records_used];
	r->i = t->i;
	return (unsigned)jit->records_used++;
}

void jit_stop(struct cpu *cpu, const struct insn *i)
{
	cpu->next = i;
}

static void emit_call(struct jit_block *t, struct x86 *x, unsigned record, const uint8_t *stub)
{
	t->jit->records[record].stop = jit_stop;
	x86_mov_imm(x, RSI, (uintptr_t)&t->jit->records[record]);
	jit_note(t, JIT_RECORD, x->at - 4, record - t->first_record);
	jit_call_stub(t, stub);
}

/* The late path for this instruction from the current state: the last one if it is the same, or a
 * new one. */
static struct jit_late *open_late(struct jit_block *t, int kind)
{
	struct jit_late *late = t->late_count ? &t->late[t->late_count - 1] : NULL;
	if (!late || (int)late->kind != kind || late->resume || late->target != t->n + 1 ||
	    memcmp(&late->before, &t->vregs, sizeof(t->vregs))) {
		assert(t->flags_saved);
		late = new_late(t);
		late->kind = kind;
		late->record = new_record(t);
		late->before = t->vregs;
		late->target = t->n + 1;
	}
	return late;
}

void jit_slow(struct jit_block *t, uint8_t *hole)
{
	jit_late_hole(open_late(t, LATE_SLOW), hole);
}

/* A late path that looks once more, and then comes back here or goes to the slow path behind it. */
static struct jit_late *new_look(struct jit_block *t, int kind, unsigned count)
{
	struct jit_late *late = new_late(t);
	late->kind = kind;
	late->count = count;
	late->target = t->n + 1;
	late->resume = x86_here(&t->x);
	open_late(t, LATE_SLOW);
	return late;
}

void jit_slow_unless_tiny(struct jit_block *t, uint8_t *hole, bool is_wide, unsigned count)
{
	struct jit_late *late = new_look(t, LATE_TINY, count);
	late->is_wide = is_wide;
	jit_late_hole(late, hole);
}

void jit_probe_later(struct jit_block *t, uint8_t *holes[2], unsigned size)
{
	struct jit_late *late = new_look(t, LATE_PROBE, size);
	jit_late_hole(late, holes[0]);
	jit_late_hole(late, holes[1]);
}

void jit_slow_next(struct jit_block *t, uint8_t *hole)
{
	jit_late_hole(open_late(t, LATE_NEXT), hole);
}

void jit_slow_end(struct jit_block *t)
{
	for (unsigned n = t->late_count; n > 0 && t->late[n - 1].target == t->n + 1; n--) {
		struct jit_late *late = &t->late[n - 1];
		if (late->kind == LATE_SLOW && !late->resume) {
			late->resume = x86_here(&t->x);
			late->after = t->vregs;
			t->flags = JIT_FLAGS_NONE;
		}
	}
}

void jit_call_handler(struct jit_block *t)
{
	jit_flags_save(t);
	jit_vregs_flush(t);
	jit_give_registers(t);
	emit_call(t, &t->x, new_record(t), t->jit->stubs.handler);
	jit_take_registers(t);
	t->flags = JIT_FLAGS_NONE;
	t->sp_aligned = t->fp_checked = false;
	t->fp_known = 0;
}

void jit_leave(struct jit_block *t, unsigned n)
{
	jit_flags_save(t);
	jit_vregs_clean(t);
	jit_give_registers(t);
	x86_mov_imm(&t->x, RCX, n * 4);
	jit_jmp_stub(t, t->jit->stubs.exit_offset);
	t->ended = true;
}

/*
 * Leave for word @n of this page, and have the rel32 at @hole, which leads here, linked to it if
 * nothing else was to do; at once if it was translated before.
 */
static void emit_link(struct jit_block *t, uint8_t *hole, unsigned n)
{
	struct x86 *x = &t->x;
	if (n == PAGE_INSNS) {
		x86_mov_imm(x, RCX, n * 4);
		jit_jmp_stub(t, t->jit->stubs.exit_offset);
		return;
	}
	jit_note(t, JIT_LINK, hole, n);
	jit_note(t, JIT_LANDING, x->at, 0);
	x86_mov_imm(x, RCX, n * 4);
	x86_mov_imm(x, RSI, (uint64_t)(t->page - t->jit->pool));
	jit_note(t, JIT_PAGE, x->at - 4, 0);
	x86_lea_near(x, RDX, hole + x->bias);
	jit_jmp_stub(t, t->jit->stubs.link);
	if (jit_is_translated(t->jit, t->page, n)) {
		jit_link(t->jit, t->page, n, hole);
	}
}

static void emit_slow(struct jit_block *t, const struct jit_late *late)
{
	struct x86 *x = &t->x;
	jit_vregs_store(x, &late->before);
	jit_give_registers(t);
	if (late->kind == LATE_GROUP) {
		x86_mov_imm(x, RDX, late->count);
		emit_call(t, x, late->record, t->jit->stubs.group);
	} else {
		emit_call(t, x, late->record, t->jit->stubs.handler);
	}
	if (late->kind == LATE_NEXT) {
		uint8_t *hole = x86_jmp_later(x);
		emit_link(t, hole, late->target);
	} else {
		jit_take_registers(t);
		jit_vregs_reload(x, &late->after);
		x86_jmp(x, late->resume);
	}
}

static void emit_tiny(struct jit_block *t, const struct jit_late *late, struct jit_late *slow)
{
	x86_mov_imm(&t->x, RCX, (1u << late->count) - 1);
	jit_call_stub(t, late->is_wide ? t->jit->stubs.tiny_d : t->jit->stubs.tiny_s);
	jit_late_hole(slow, x86_jcc_later(&t->x, CC_NE));
	x86_jmp(&t->x, late->resume);
}

static void emit_probe(struct jit_block *t, const struct jit_late *late, struct jit_late *slow)
{
	uint8_t *holes[2];
	unsigned count = jit_probe_holes(&t->x, late->count, JIT_READ, holes);
	for (unsigned n = 0; n < count; n++) {
		jit_late_hole(slow, holes[n]);
	}
	x86_jmp(&t->x, late->resume);
}

/* A seldom taken way out of a block that exchanged registers. */
static void emit_way_out(struct jit_block *t, const struct jit_late *late)
{
	jit_vregs_store(&t->x, &late->before);
	t->flags_saved = true;
	jit_vregs_forget(t);
	t->i.offset = GUEST_PAGE - 4; /* all ways are back */
	if (late->kind == LATE_BRANCH) {
		jit_go_distance(t, late->distance);
	} else {
		jit_leave(t, late->target);
	}
}

static void emit_late(struct jit_block *t)
{
	for (unsigned n = 0; n < t->late_count; n++) {
		const struct jit_late *late = &t->late[n];
		for (unsigned h = 0; h < late->hole_count; h++) {
			x86_land(&t->x, late->holes[h]);
		}
		if (late->kind == LATE_LINK) {
			emit_link(t, late->holes[0], late->target);
		} else if (late->kind == LATE_BRANCH || late->kind == LATE_LEAVE) {
			emit_way_out(t, late);
		} else if (late->kind == LATE_TINY) {
			emit_tiny(t, late, &t->late[n + 1]);
		} else if (late->kind == LATE_PROBE) {
			emit_probe(t, late, &t->late[n + 1]);
		} else {
			emit_slow(t, late);
		}
	}
}

struct jit_late *jit_late_branch(struct jit_block *t, int64_t distance)
{
	struct jit_late *late = new_late(t);
	late->kind = LATE_BRANCH;
	late->before = t->vregs;
	late->distance = distance;
	return late;
}

struct jit_late *jit_late_leave(struct jit_block *t, unsigned n)
{
	struct jit_late *late = new_late(t);
	late->kind = LATE_LEAVE;
	late->before = t->vregs;
	late->target = n;
	return late;
}

struct jit_late *jit_late_group(struct jit_block *t, unsigned count)
{
	struct jit_late *late = new_late(t);
	late->kind = LATE_GROUP;
	late->before = t->vregs;
	late->count = count;
	t->i = (struct insn){.raw = jit_word(t, t->n), .offset = (uint16_t)(t->n * 4)};
	late->record = new_record(t);
	return late;
}

void jit_late_hole(struct jit_late *late, uint8_t *hole)
{
	assert(late->hole_count < JIT_HOLES);
	late->holes[late->hole_count++] = hole;
}

void jit_link_later(struct jit_block *t, uint8_t *hole, unsigned target)
{
	struct jit_late *late = new_late(t);
	late->kind = LATE_LINK;
	late->target = target;
	jit_late_hole(late, hole);
}

/* ----- the block ----- */

/* Instructions that never go on with the next one. */
static bool never_continues(enum a64_op op)
{
	switch (op) {
	case A64_UNDEFINED:
	case A64_SVC:
	case A64_HVC:
	case A64_SMC:
	case A64_BRK:
	case A64_HLT:
	case A64_ERET:
	case A64_ERETA:
	case A64_RETA:
	case A64_BRA:
	case A64_BLRA:
	case A64_BRAZ:
	case A64_BLRAZ: return true;
	default: return false;
	}
}

void jit_insn(struct jit_block *t)
{
	t->jit->stats.insns++;
	t->raw = jit_word(t, t->n);
	t->op = jit_op_of(t, t->n);
	t->i = (struct insn){.raw = t->raw, .offset = (uint16_t)(t->n * 4)};
	decode_insn(t->cpu, &t->i);
	const struct jit_emitter *emitter = jit_emitter_of(t, t->op);
	if (emitter->emit) {
		emitter->emit(t);
		jit_slow_end(t);
	} else {
		jit_call_handler(t);
		t->ended = never_continues(t->op);
	}
}

static void start_block(struct jit_block *t, struct cpu *cpu, struct jit_page *page, unsigned first)
{
	struct jit *jit = cpu->jit;
	memset(t, 0, offsetof(struct jit_block, late));
	t->x = (struct x86){.at = jit->at,
			    .end = jit->write + jit->size,
			    .bias = jit->code - jit->write,
			    .rbp_low = JIT_RBP_LOW,
			    .rbp_high = JIT_RBP_HIGH};
	t->x.floor = x86_here(&t->x);
	t->start = jit->at;
	t->cpu = cpu;
	t->jit = jit;
	t->page = page;
	t->first = t->n = first;
	t->first_record = (unsigned)jit->records_used;
	t->flags_saved = true;
	jit_vregs_forget(t);
	t->kept = t->vregs;
	for (unsigned n = 0; n < sizeof(t->map); n++) {
		t->map[n] = (int8_t)jit_home(n);
	}
	jit_choose_region(t);
	page->entry[first] = (uint32_t)(uintptr_t)x86_here(&t->x);
	page->has_code = true;
	jit_take_registers(t);
	jit_vregs_match(t, &t->kept);
}

/* Is there more to translate? */
static bool goes_on(struct jit_block *t, const uint8_t *limit)
{
	uint32_t untranslated = (uint32_t)(uintptr_t)t->jit->stubs.untranslated;
	if (t->is_region) {
		while (t->ended && t->n <= t->last && !jit_label_at(t, t->n)) {
			t->n++; /* nothing leads here */
		}
		return t->n <= t->last;
	}
	return !t->ended && t->n < PAGE_INSNS && t->page->entry[t->n] == untranslated &&
	       t->n - t->first < JIT_BLOCK_INSNS && t->x.at < limit;
}

void jit_translate(struct cpu *cpu, struct jit_page *page, unsigned first)
{
	static _Thread_local struct jit_block block;
	struct jit_block *t = &block;
	start_block(t, cpu, page, first);
	const uint8_t *limit = t->x.at + JIT_BLOCK_ROOM / 2;
	do {
		jit_place_label(t);
		if (!jit_group(t)) {
			jit_insn(t);
			t->n++;
		}
	} while (goes_on(t, limit));
	if (!t->ended) {
		jit_go(t, t->n);
	}
	emit_late(t);
	cpu->jit->stats.blocks++;
	assert((size_t)(t->x.at - cpu->jit->at) < JIT_BLOCK_ROOM);
	cpu->jit->at = t->x.at;
	if (cpu->jit->store) {
		jit_keep(t);
	}
}
