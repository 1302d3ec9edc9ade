/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd.h - what the emitters of SIMD&FP instructions share
 *
 * How it works: an emitter reads its sources, computes in temporary registers, and writes the
 * destination with its last instruction, as that may be a source too.  64-bit vectors are computed
 * as 128-bit ones whose upper half nobody looks at. Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_JIT_SIMD_H
#define ORIEL_ENGINE_SOFT_JIT_SIMD_H

#include "engine/soft/jit/priv.h"

enum { T0 = JIT_XMM_TEMP0, T1 = JIT_XMM_TEMP1, T2 = JIT_XMM_TEMP2 };

/* Bytes of the vector, or 8 for a scalar of a row with `sc`. */
static inline unsigned simd_bytes(const struct jit_block *t)
{
	return (t->raw >> 28 & 5) == 4 ? 16 : 8;
}

static inline unsigned simd_rn(struct jit_block *t)
{
	return jit_vread(t, A64_Rn(t->raw), simd_bytes(t));
}

static inline unsigned simd_rm(struct jit_block *t)
{
	return jit_vread(t, A64_Rm(t->raw), simd_bytes(t));
}

/* The old destination. */
static inline unsigned simd_rd(struct jit_block *t)
{
	return jit_vread(t, A64_Rd(t->raw), simd_bytes(t));
}

static inline unsigned simd_to(struct jit_block *t)
{
	return jit_vwrite(t, A64_Rd(t->raw), simd_bytes(t));
}

/* @to = all ones, or 0. */
static inline void simd_ones(struct jit_block *t, unsigned to)
{
	x86_v(&t->x, V_PCMPEQD, to, to, to);
}

static inline void simd_zero(struct jit_block *t, unsigned to)
{
	x86_v(&t->x, V_PXOR, to, to, to);
}

/* Element size of rows where bits 23:22 say it. */
static inline unsigned simd_log2(const struct jit_block *t)
{
	return t->raw >> 22 & 3;
}

/* Bytes of the low elements of 2^@log2 bytes that count: one of them for a scalar of a row with
 * `sc`. */
static inline unsigned simd_live(const struct jit_block *t, unsigned log2)
{
	return t->raw >> 28 & 1 ? 1u << log2 : simd_bytes(t);
}

/* The same from immh, where shifts by an immediate have it. */
static inline unsigned simd_imm_log2(uint32_t word)
{
	return 31 - (unsigned)__builtin_clz(word >> 19 & 15);
}

/* The next instruction's word.  False: it is not reached from this one only.  Who translates both
 * adds 1 to t->n. */
static inline bool simd_next(struct jit_block *t, uint32_t *word)
{
	if (t->n + 1 >= PAGE_INSNS || (t->is_region && t->n >= t->last) ||
	    jit_label_at(t, t->n + 1)) {
		return false;
	}
	*word = jit_word(t, t->n + 1);
	return true;
}

/* First thing in an emitter that changes the host's flags; those that may set FPSR.QC do. */
static inline void simd_enter(struct jit_block *t)
{
	jit_flags_clobber(t);
	jit_fp_enter(t);
}

/* Rows "by element". */
static inline bool simd_by_element(const struct jit_block *t)
{
	return t->raw >> 24 & 1;
}

/* The second factor, of 2^@log2 bytes: Rm, or the element of it that the instruction names, in all
 * lanes of @temp. */
unsigned simd_factor(struct jit_block *t, unsigned log2, unsigned temp);
/* @to = element @index of @from, of 2^@log2 bytes, in all lanes. */
void simd_spread(struct jit_block *t, unsigned to, unsigned from, unsigned log2, unsigned index);
/* T0, T1 = even and odd elements of n and m together; those of 64-bit vectors are in the low
 * halves. */
void simd_unzip(struct jit_block *t, unsigned n, unsigned m, unsigned log2);
/* @to = the half of @from that Q selects, each element widened to 2^(@log2 + 1) bytes. */
void simd_widen(struct jit_block *t, unsigned to, unsigned from, unsigned log2, bool is_signed);
/* The low halves of the elements of T0 (2^(@log2 + 1) bytes) to the half of the destination that Q
 * selects.  T1 changes. */
void simd_narrow(struct jit_block *t, unsigned log2);
/* The destination's half that Q selects becomes the low half of T0. */
void simd_to_half(struct jit_block *t);
/* Elements of 2^@log2 bytes with the top bit alone. */
struct x86_mem simd_sign(struct jit_block *t, unsigned log2);
/* FPSR.QC if the low @bytes of two registers differ.  T1 and the host's flags change: simd_enter()
 * must come first. */
void simd_note_difference(struct jit_block *t, unsigned result, unsigned exact, unsigned bytes);
/* FPSR.QC unless all of the low @bytes of @mask are ones.  @temp and the host's flags change:
 * simd_enter() must come first. */
void simd_note_unless(struct jit_block *t, unsigned mask, unsigned temp, unsigned bytes);
/* The low @bytes of T0 (1 to 16) become the destination, with zeros above. */
void simd_put_low(struct jit_block *t, unsigned bytes);
/* T0 to the destination, or to the sum or difference there. */
void simd_accumulate(struct jit_block *t, unsigned log2, bool adds_up, bool subtracts);
/* @to = |@n|, the most negative number being its own. */
void simd_abs(struct jit_block *t, unsigned to, unsigned n, unsigned log2);
/* T0 = products, twice as wide, of the halves of n and m that Q selects.  T1 changes; m may be T2.
 */
void simd_multiply_long(struct jit_block *t, unsigned log2, unsigned n, unsigned m);
/* T0 = n >> s, 0 <= s <= its bits, or 0 < s if it @rounds.  n is not T0 or T1; T1 changes, T2 if it
 * @rounds. */
void simd_shift_right(struct jit_block *t, unsigned log2, bool is_signed, bool rounds, unsigned n,
		      unsigned s);
/* @to = n << s, s less than its bits. */
void simd_shift_left(struct jit_block *t, unsigned to, unsigned log2, unsigned n, unsigned s);

/* A vector of cpu->jit_constants. */
#define JIT_CONSTANT(t, field) JIT_CPU(jit_constants.field)

/* @to = ~@from */
static inline void simd_invert(struct jit_block *t, unsigned to, unsigned from)
{
	x86_vm(&t->x, V_PXOR, to, from, JIT_CONSTANT(t, all_bits));
}

#endif
