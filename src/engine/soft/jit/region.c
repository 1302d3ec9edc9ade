/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region.c - choose what a block covers and which guest registers it keeps in host registers
 *
 * How it works: a block that starts at the head of a loop becomes a region: all words up to the
 * last branch back to its head, with the branches among them as plain jumps.  Everywhere else, ten
 * guest registers are always in host registers; a region, or a long block, that uses others more
 * often borrows host registers for those: it exchanges them where it is entered and back wherever
 * it is left. V registers that a region uses stay in XMM registers from one of its labels to the
 * next. Invariants: at a label of a region NZCV is in EAX and XMM registers are as t->kept says.
 * Threads: the vCPU thread.
 */
#include "engine/soft/decode.h"
#include "engine/soft/jit/priv.h"

enum {
	REGION_INSNS = 96, /* of a loop, at most */
	LONG_BLOCK = 10,   /* from here on it may pay to exchange registers */
	GAIN = 6,	   /* uses more, for an exchange in a block that is no loop */
	LOOP_GAIN = 1,
};

bool jit_branch_target(uint32_t raw, enum a64_op op, unsigned n, unsigned *target)
{
	int64_t distance;
	switch ((enum a64_format)a64_infos[op].format) {
	case A64_FORMAT_branch26: distance = a64_sign(A64_imm26(raw), 26); break;
	case A64_FORMAT_branch_cond:
	case A64_FORMAT_branch_cb: distance = a64_sign(A64_imm19(raw), 19); break;
	case A64_FORMAT_branch_tb: distance = a64_sign(A64_imm14(raw), 14); break;
	default: return false;
	}
	distance += n;
	*target = (unsigned)distance;
	return distance >= 0 && distance < PAGE_INSNS;
}

/* Which of the fields Rd, Rn, Rm, Ra name general registers, a bit each. */
static unsigned register_fields(uint32_t raw, enum a64_op op)
{
	enum { D = 1, N = 2, M = 4, A = 8 };
	switch ((enum a64_format)a64_infos[op].format) {
	case A64_FORMAT_adr:
	case A64_FORMAT_adrp:
	case A64_FORMAT_mov_wide:
	case A64_FORMAT_branch_cb:
	case A64_FORMAT_branch_tb:
	case A64_FORMAT_ldr_lit: return D;
	case A64_FORMAT_rri_sp:
	case A64_FORMAT_rri_sp_flags:
	case A64_FORMAT_log_imm:
	case A64_FORMAT_log_imm_flags:
	case A64_FORMAT_bitfield:
	case A64_FORMAT_rr:
	case A64_FORMAT_ldst_ui:
	case A64_FORMAT_ldst_wb:
	case A64_FORMAT_ldst_ur: return D | N;
	case A64_FORMAT_log_reg:
	case A64_FORMAT_addsub_reg:
	case A64_FORMAT_addsub_ext:
	case A64_FORMAT_addsub_ext_flags:
	case A64_FORMAT_extr:
	case A64_FORMAT_csel:
	case A64_FORMAT_rrr:
	case A64_FORMAT_ldst_reg:
	case A64_FORMAT_mops:
	case A64_FORMAT_excl: return D | N | M;
	case A64_FORMAT_rrrr: return D | N | M | A;
	case A64_FORMAT_ccmp_reg: return N | M;
	case A64_FORMAT_ccmp_imm:
	case A64_FORMAT_branch_reg: return N;
	case A64_FORMAT_pair:
	case A64_FORMAT_pair_wb: return D | N | A; /* Rt2 is where Ra is */
	default: return raw >> 26 & 1 ? N : 0;	   /* SIMD&FP: loads and stores have a base */
	}
}

static void count_registers(uint32_t raw, enum a64_op op, unsigned counts[32])
{
	unsigned fields = register_fields(raw, op);
	static const unsigned at[] = {0, 5, 16, 10};
	for (unsigned f = 0; f < 4; f++) {
		if (fields >> f & 1) {
			counts[raw >> at[f] & 31]++;
		}
	}
}

/* The last branch back to @first, if the words between can be a region; else @first. */
static unsigned find_loop(struct jit_block *t, unsigned first)
{
	unsigned last = first;
	for (unsigned n = first; n < PAGE_INSNS && n < first + REGION_INSNS; n++) {
		uint32_t raw = jit_peek(t, n);
		enum a64_op op = jit_peek_op(t, n);
		unsigned target;
		if (op == A64_BL || op == A64_BLR || !jit_emitter_of(t, op)->emit) {
			break;
		}
		if (jit_branch_target(raw, op, n, &target) && target == first) {
			last = n;
		}
	}
	return last;
}

static void note_labels(struct jit_block *t)
{
	memset(t->labels, 0, (t->last - t->first + 1) * sizeof(t->labels[0]));
	for (unsigned n = t->first; n <= t->last; n++) {
		uint32_t raw = jit_word(t, n);
		unsigned target;
		if (jit_branch_target(raw, jit_op_of(t, n), n, &target) && target >= t->first &&
		    target <= t->last) {
			t->labels[target - t->first].used = true;
		}
	}
}

static bool always_branches(enum a64_op op)
{
	return op == A64_B || op == A64_BL || op == A64_BR || op == A64_BLR || op == A64_RET;
}

/* Registers that the words from t->first on use, to @last or, if that is 0, to the end of the
 * block; how many words. */
static unsigned count_uses(struct jit_block *t, unsigned last, unsigned counts[32])
{
	unsigned n = t->first;
	for (; n < PAGE_INSNS && (last ? n <= last : n < t->first + JIT_BLOCK_INSNS); n++) {
		uint32_t raw = jit_peek(t, n);
		enum a64_op op = jit_peek_op(t, n);
		count_registers(raw, op, counts);
		if (!last && (always_branches(op) || !jit_emitter_of(t, op)->emit)) {
			break;
		}
	}
	return n - t->first;
}

/* Borrow the host register of the least used guest register for the most used one that has none,
 * while that pays. */
static void exchange_registers(struct jit_block *t, const unsigned counts[32], unsigned gain)
{
	while (t->exchange_count < JIT_EXCHANGES) {
		int best = -1, worst = -1;
		for (unsigned n = 0; n < CPU_SP; n++) {
			if (t->map[n] < 0 && (best < 0 || counts[n] > counts[best])) {
				best = (int)n;
			} else if (t->map[n] >= 0 && (worst < 0 || counts[n] < counts[worst])) {
				worst = (int)n;
			}
		}
		if (counts[best] < counts[worst] + gain) {
			return;
		}
		t->exchanges[t->exchange_count++] = (struct jit_exchange){
			.out = (uint8_t)worst, .in = (uint8_t)best, .host = (uint8_t)t->map[worst]};
		t->map[best] = t->map[worst];
		t->map[worst] = -1;
	}
}

enum { V_REGISTERS = 32, KEPT = 12 };

/* Which V registers an instruction may use and write; some that it does not may be among them. */
static void find_vregs(uint32_t raw, unsigned counts[V_REGISTERS], uint32_t *written)
{
	bool is_data = (raw >> 25 & 7) == 7, is_access = (raw >> 25 & 5) == 4 && raw >> 26 & 1;
	bool is_pair = (raw >> 27 & 7) == 5, is_fma = raw >> 24 == 0x1f;
	if (!is_data && !is_access) {
		return;
	}
	counts[raw & 31]++;
	*written |= 1u << (raw & 31);
	if (is_access && is_pair) {
		counts[raw >> 10 & 31]++;
		*written |= 1u << (raw >> 10 & 31);
	}
	if (is_data) {
		counts[raw >> 5 & 31]++;
		counts[raw >> 16 & 31] += raw >> 21 & 1;
		counts[raw >> 10 & 31] += is_fma;
	}
}

/* The V registers that the region uses most. */
static void choose_vregs(struct jit_block *t)
{
	unsigned counts[V_REGISTERS] = {0};
	uint32_t written = 0;
	for (unsigned n = t->first; n <= t->last; n++) {
		find_vregs(jit_word(t, n), counts, &written);
	}
	for (unsigned xmm = 0; xmm < KEPT; xmm++) {
		unsigned best = 0;
		for (unsigned n = 1; n < V_REGISTERS; n++) {
			best = counts[n] > counts[best] ? n : best;
		}
		if (!counts[best]) {
			break;
		}
		counts[best] = 0;
		t->kept.guest[xmm] = (int8_t)best;
		t->kept.bytes[xmm] = 16;
		t->kept.dirty |= (written >> best & 1) << xmm;
	}
}

void jit_choose_region(struct jit_block *t)
{
	unsigned counts[32] = {0};
	t->last = find_loop(t, t->first);
	t->is_region = t->last != t->first;
	unsigned length = count_uses(t, t->is_region ? t->last : 0, counts);
	if (t->is_region) {
		note_labels(t);
		choose_vregs(t);
		exchange_registers(t, counts, LOOP_GAIN);
	} else if (length >= LONG_BLOCK) {
		exchange_registers(t, counts, GAIN);
	}
}

void jit_take_registers(struct jit_block *t)
{
	for (unsigned n = 0; n < t->exchange_count; n++) {
		const struct jit_exchange *e = &t->exchanges[n];
		x86_rm(&t->x, X_STORE, true, e->host, jit_slot(e->out));
		x86_rm(&t->x, X_MOV, true, e->host, jit_slot(e->in));
	}
}

void jit_give_registers(struct jit_block *t)
{
	for (unsigned n = t->exchange_count; n-- > 0;) {
		const struct jit_exchange *e = &t->exchanges[n];
		x86_rm(&t->x, X_STORE, true, e->host, jit_slot(e->in));
		x86_rm(&t->x, X_MOV, true, e->host, jit_slot(e->out));
	}
}

struct jit_label *jit_label_at(struct jit_block *t, unsigned n)
{
	struct jit_label *label =
		t->is_region && n >= t->first && n <= t->last ? &t->labels[n - t->first] : NULL;
	return label && label->used ? label : NULL;
}

void jit_place_label(struct jit_block *t)
{
	struct jit_label *label = jit_label_at(t, t->n);
	if (!label) {
		return;
	}
	if (!t->ended) {
		jit_flags_save(t);
		jit_vregs_match(t, &t->kept);
	}
	t->flags = JIT_FLAGS_NONE;
	t->flags_saved = true;
	t->vregs = t->kept;
	t->ended = t->sp_aligned = t->fp_checked = false;
	t->fp_known = 0;
	label->code = x86_here(&t->x);
	for (int32_t back; label->hole; label->hole = back ? label->hole - back : NULL) {
		memcpy(&back, label->hole, sizeof(back));
		x86_land(&t->x, label->hole);
	}
}
