/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vreg.c - SIMD&FP registers in XMM registers, inside a block
 *
 * How it works: a V register is loaded when it is first used and stored when the block ends or
 * someone else may look; XMM0 to XMM12 hold the most recently used ones, the rest are temporary.
 * Scalars and 64-bit vectors leave anything above their bytes: the zeros that belong there come
 * when the register is stored or read as a whole. Invariants: at a slow path the handler sees
 * cpu->v[] right: what changed is stored before and all is loaded again behind. Threads: the vCPU
 * thread.
 */
#include "engine/soft/jit/priv.h"

enum { CACHED = JIT_XMM_TEMP0 };

static struct x86_mem vreg_slot(unsigned n)
{
	struct x86_mem m = JIT_CPU(v);
	m.disp += (int32_t)n * 16;
	return m;
}

static void load_vreg(struct x86 *x, unsigned xmm, unsigned n)
{
	x86_vrm(x, V_MOVDQA, false, xmm, 0, vreg_slot(n));
}

/* Zeros above the low @bytes of @xmm. */
static void extend(struct x86 *x, unsigned xmm, unsigned bytes)
{
	if (bytes == 8) {
		x86_vrr(x, V_MOVQ, false, xmm, 0, xmm);
	} else if (bytes == 4) {
		x86_vrr_imm(x, V_INSERTPS, xmm, xmm, xmm, 0xe);
	}
}

static void store_vreg(struct x86 *x, const struct jit_vregs *vregs, unsigned xmm)
{
	extend(x, xmm, vregs->bytes[xmm]);
	x86_vrm(x, V_MOVDQA_STORE, false, xmm, 0, vreg_slot((unsigned)vregs->guest[xmm]));
}

void jit_vregs_store(struct x86 *x, const struct jit_vregs *vregs)
{
	for (unsigned n = 0; n < CACHED; n++) {
		if (vregs->dirty >> n & 1) {
			store_vreg(x, vregs, n);
		}
	}
}

void jit_vregs_reload(struct x86 *x, const struct jit_vregs *vregs)
{
	for (unsigned n = 0; n < CACHED; n++) {
		if (vregs->guest[n] >= 0) {
			load_vreg(x, n, (unsigned)vregs->guest[n]);
		}
	}
}

void jit_vregs_clean(struct jit_block *t)
{
	jit_vregs_store(&t->x, &t->vregs);
	for (unsigned n = 0; n < CACHED; n++) {
		t->vregs.bytes[n] = t->vregs.dirty >> n & 1 ? 16 : t->vregs.bytes[n];
	}
	t->vregs.dirty = 0;
}

void jit_vregs_forget(struct jit_block *t)
{
	t->vregs.dirty = 0;
	memset(t->vregs.guest, -1, sizeof(t->vregs.guest));
}

void jit_vregs_flush(struct jit_block *t)
{
	jit_vregs_clean(t);
	jit_vregs_forget(t);
}

/* Make the one XMM register right in @want's sense, apart from what has to be loaded. */
static void match_one(struct jit_block *t, const struct jit_vregs *want, unsigned xmm)
{
	struct jit_vregs *now = &t->vregs;
	bool stays = now->guest[xmm] >= 0 && now->guest[xmm] == want->guest[xmm];
	bool dirty = now->dirty >> xmm & 1;
	if (dirty && (!stays || !(want->dirty >> xmm & 1))) {
		store_vreg(&t->x, now, xmm); /* extends it, too */
	} else if (stays) {
		extend(&t->x, xmm, now->bytes[xmm]);
	}
}

void jit_vregs_match(struct jit_block *t, const struct jit_vregs *want)
{
	for (unsigned xmm = 0; xmm < CACHED; xmm++) {
		match_one(t, want, xmm);
	}
	for (unsigned xmm = 0; xmm < CACHED; xmm++) {
		if (want->guest[xmm] >= 0 && want->guest[xmm] != t->vregs.guest[xmm]) {
			load_vreg(&t->x, xmm, (unsigned)want->guest[xmm]);
		}
	}
	t->vregs = *want;
}

static int find(const struct jit_block *t, unsigned n)
{
	for (unsigned xmm = 0; xmm < CACHED; xmm++) {
		if (t->vregs.guest[xmm] == (int)n) {
			return (int)xmm;
		}
	}
	return -1;
}

/* The XMM register that was not used for longest; an instruction uses fewer than there are. */
static unsigned take(struct jit_block *t)
{
	unsigned oldest = 0;
	for (unsigned xmm = 0; xmm < CACHED; xmm++) {
		if (t->vregs.guest[xmm] < 0) {
			return xmm;
		}
		oldest = t->vreg_age[xmm] < t->vreg_age[oldest] ? xmm : oldest;
	}
	if (t->vregs.dirty >> oldest & 1) {
		store_vreg(&t->x, &t->vregs, oldest);
	}
	t->vregs.dirty &= ~(1u << oldest);
	t->vregs.guest[oldest] = -1;
	return oldest;
}

unsigned jit_vread(struct jit_block *t, unsigned n, unsigned bytes)
{
	int found = find(t, n);
	unsigned xmm = found >= 0 ? (unsigned)found : take(t);
	if (found < 0) {
		load_vreg(&t->x, xmm, n);
		t->vregs.guest[xmm] = (int8_t)n;
		t->vregs.bytes[xmm] = 16;
	} else if (t->vregs.bytes[xmm] < bytes) {
		extend(&t->x, xmm, t->vregs.bytes[xmm]);
		t->vregs.bytes[xmm] = 16;
	}
	t->vreg_age[xmm] = ++t->vreg_clock;
	return xmm;
}

unsigned jit_vwrite(struct jit_block *t, unsigned n, unsigned bytes)
{
	int found = find(t, n);
	unsigned xmm = found >= 0 ? (unsigned)found : take(t);
	t->vregs.guest[xmm] = (int8_t)n;
	t->vregs.bytes[xmm] = (uint8_t)bytes;
	t->vregs.dirty |= 1u << xmm;
	t->vreg_age[xmm] = ++t->vreg_clock;
	return xmm;
}

void jit_fp_enter(struct jit_block *t)
{
	if (!t->fp_checked) {
		jit_flags_clobber(t);
		x86_cmp8_mem(&t->x, JIT_CPU(fp_trapped), 0);
		jit_slow_next(t, x86_jcc_later(&t->x, CC_NE)); /* it never comes back */
		t->fp_checked = true;
	}
}

void jit_fp_need(struct jit_block *t, enum jit_fp_need what)
{
	static const struct {
		uint32_t bits;
		bool is_status, wanted; /* of FPSR, else FPCR; set or clear */
	} needs[] = {[JIT_FP_KEPT] = {FPCR_FZ, false, false},
		     [JIT_FP_NEAREST] = {FPCR_RMODE, false, false},
		     [JIT_FP_HALF] = {FPCR_FZ16 | FPCR_AHP, false, false},
		     [JIT_FP_INEXACT] = {FPSR_IXC, true, true}};
	if (!(t->fp_known >> what & 1)) {
		jit_flags_clobber(t);
		x86_test_imm_mem(&t->x, needs[what].is_status ? JIT_CPU(fpsr) : JIT_CPU(fpcr),
				 needs[what].bits);
		jit_slow_next(t, x86_jcc_later(&t->x, needs[what].wanted ? CC_E : CC_NE));
		t->fp_known |= 1u << what;
	}
}
