/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.c - one TLB probe for several accesses by the same base register
 *
 * How it works: functions save registers and read structures by runs of loads and stores at known
 * distances from one register. Such a run, with other harmless instructions in between, becomes a
 * group: one probe covers the bytes of all its accesses; if they lie in one page that may be
 * accessed so, none of them can fault, and each is one move at [RSI + distance]. If not, the
 * interpreter's handlers do the whole group. Invariants: instructions of a group leave RSI alone
 * and change the base register by known amounts only. Threads: the vCPU thread.
 */
#include "engine/soft/decode.h"
#include "engine/soft/jit/mem.h"

enum { GROUP_INSNS = 16, GROUP_SPAN = 512 };

/* A load or store that a group can hold. */
struct member {
	unsigned base;
	int32_t imm, size;  /* bytes at base + imm */
	int32_t moves;	    /* what the base register changes by */
	bool is_load, ends; /* ends: it writes the base register otherwise */
};

static bool is_pair(enum a64_format format)
{
	return format == A64_FORMAT_pair || format == A64_FORMAT_pair_wb;
}

/* Read an access; false: not one for a group. */
static bool read_member(uint32_t raw, enum a64_op op, struct member *m)
{
	enum a64_format format = a64_infos[op].format;
	jit_emit_fn emit = jit_emitters[op].emit;
	unsigned log2 = is_pair(format) ? 2 + (raw >> 31) : raw >> 30, rt = A64_Rt(raw),
		 rt2 = A64_Rt2(raw);
	if ((emit != jit_access && emit != jit_access_pair) || format == A64_FORMAT_ldst_reg ||
	    (format == A64_FORMAT_ldst_ur && (raw >> 10 & 3))) {
		return false;
	}
	*m = (struct member){.base = A64_Rn(raw), .size = (is_pair(format) ? 2 : 1) << log2};
	m->is_load = is_pair(format) ? raw >> 22 & 1 : (raw >> 22 & 3) != 0;
	m->ends = m->is_load && (rt == m->base || (is_pair(format) && rt2 == m->base)) &&
		  m->base != CPU_SP;
	int32_t imm = is_pair(format) ? (int32_t)a64_sign(A64_imm7(raw), 7) * (1 << log2)
		      : format == A64_FORMAT_ldst_ui ? (int32_t)A64_imm12(raw) << log2
						     : (int32_t)a64_sign(A64_imm9(raw), 9);
	bool writes_back = format == A64_FORMAT_ldst_wb || format == A64_FORMAT_pair_wb;
	bool post = writes_back && (is_pair(format) ? !(raw >> 24 & 1) : !(raw >> 11 & 1));
	m->imm = post ? 0 : imm;
	m->moves = writes_back ? imm : 0;
	return !(writes_back && m->ends);
}

/* May @op stand between accesses by @base?  *@moves: what it adds to that register. */
static bool is_harmless(uint32_t raw, enum a64_op op, unsigned base, int32_t *moves)
{
	unsigned properties = jit_emitters[op].properties;
	*moves = 0;
	if (!(properties & JIT_PURE) || (properties & JIT_USES_RSI)) {
		return false;
	}
	if (A64_Rd(raw) != base) {
		return true;
	}
	if ((op == A64_ADD_imm_x || op == A64_SUB_imm_x) && A64_Rn(raw) == base && !A64_sh(raw)) {
		*moves = op == A64_ADD_imm_x ? (int32_t)A64_imm12(raw) : -(int32_t)A64_imm12(raw);
		return true;
	}
	return false;
}

/* The group that starts at word @first: instructions in it, 0 if it is not worth it. */
static unsigned find_group(struct jit_block *t, struct jit_group *g)
{
	unsigned accesses = 0, count = 0;
	int32_t delta = 0, low = INT32_MAX, high = INT32_MIN;
	enum jit_access access = 0;
	for (unsigned k = 0; k < GROUP_INSNS && t->n + k < PAGE_INSNS; k++) {
		if (k > 0 && jit_label_at(t, t->n + k)) {
			break;
		}
		uint32_t raw = jit_word(t, t->n + k);
		enum a64_op op = jit_op_of(t, t->n + k);
		struct member m;
		int32_t moves;
		if (read_member(raw, op, &m) && (k == 0 || m.base == g->base)) {
			int32_t start = delta + m.imm, end = start + m.size;
			low = start < low ? start : low;
			high = end > high ? end : high;
			if (high - low > GROUP_SPAN || (m.base == CPU_SP && (delta & 15))) {
				break;
			}
			g->base = m.base;
			g->low = low;
			g->high = high;
			g->delta[k] = delta;
			g->access = access |= m.is_load ? JIT_READ : JIT_WRITE;
			accesses++;
			count = k + 1;
			if (m.ends) {
				break;
			}
			delta += m.moves;
		} else if (k > 0 && is_harmless(raw, op, g->base, &moves)) {
			delta += moves;
		} else {
			break;
		}
	}
	return accesses > 1 ? count : 0;
}

bool jit_group(struct jit_block *t)
{
	struct x86 *x = &t->x;
	struct jit_group g = {0};
	g.count = find_group(t, &g);
	if (!g.count) {
		return false;
	}
	jit_flags_save(t);
	t->flags = JIT_FLAGS_NONE;
	struct jit_late *late = jit_late_group(t, g.count);
	if (g.base == CPU_SP && !t->sp_aligned) {
		x86_test_imm(x, false, (unsigned)jit_pinned(t, CPU_SP), 15);
		jit_late_hole(late, x86_jcc_later(x, CC_NE));
		t->sp_aligned = true;
	}
	unsigned base = jit_read(t, g.base, RCX);
	x86_rm(x, X_LEA, true, RCX, x86_at(base, g.low));
	uint8_t *holes[2];
	unsigned count = jit_probe_holes(x, (unsigned)(g.high - g.low), g.access, holes);
	for (unsigned n = 0; n < count; n++) {
		jit_late_hole(late, holes[n]);
	}
	x86_rm(x, X_LEA, true, RSI, x86_at(RCX, -g.low));
	x86_point(x, RSI); /* with the distances between low and high */
	t->in_group = true;
	for (unsigned k = 0; k < g.count; k++) {
		t->group_delta = g.delta[k];
		jit_insn(t);
		t->n++;
	}
	t->in_group = false;
	jit_flags_save(t);
	t->flags = JIT_FLAGS_NONE;
	late->after = t->vregs;
	late->resume = x86_here(x);
	return true;
}

void jit_group_by_hand(struct cpu *cpu, const struct insn *first)
{
	const struct exec_entry *e = run_exec_slot(cpu->jit_exec, cpu->block_pc);
	unsigned count = (unsigned)cpu->result[0], n = first->offset / 4;
	if (e->tag != cpu->block_pc) {
		cpu->pc = insn_pc(cpu, first); /* the run loop finds the page again */
		return;
	}
	const uint32_t *words = e->page->words;
	for (unsigned k = n; k < n + count; k++) {
		struct insn pair[2] = {
			{.raw = __atomic_load_n(&words[k], __ATOMIC_RELAXED),
			 .offset = (uint16_t)(k * 4)},
			{.fn = jit_stop, .offset = (uint16_t)(k * 4 + 4)},
		};
		decode_insn(cpu, &pair[0]);
		cpu->next = NULL;
		pair[0].fn(cpu, pair);
		if (!cpu->next) {
			return;
		}
	}
}
