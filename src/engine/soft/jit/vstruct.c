/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vstruct.c - translate loads and stores of structures: LD1 to LD4, ST1 to ST4, LD1R to LD4R
 *
 * How it works: one probe covers all bytes.  Structures of two and four elements are taken apart,
 * and put together, by splitting and merging even and odd elements once or twice; those of three
 * are collected byte by byte. Threads: the vCPU thread; guest memory is shared.
 */
#include "engine/soft/jit/mem.h"
#include "engine/soft/jit/simd.h"

/* RCX = host address of @bytes at x[Rn]. */
static void find_bytes(struct jit_block *t, unsigned bytes, bool is_load)
{
	t->i.rn = (uint8_t)A64_Rn(t->raw);
	jit_fp_enter(t);
	jit_flags_clobber(t);
	jit_check_sp(t);
	jit_base_address(t, 0);
	jit_probe(t, bytes, is_load ? JIT_READ : JIT_WRITE);
}

/* Post-index: by Rm, or by what was transferred. */
static void write_back(struct jit_block *t, unsigned bytes)
{
	unsigned rm = A64_Rm(t->raw);
	if (!(t->raw >> 23 & 1)) {
		return;
	}
	if (rm == 31) {
		jit_write_base(t, (int32_t)bytes);
		return;
	}
	unsigned to = jit_target(t, t->i.rn, RDX);
	jit_load(t, t->i.rn, to, true);
	jit_op(t, X_ADD, true, to, rm);
	jit_write(t, t->i.rn, to);
}

static bool is_load(const struct jit_block *t)
{
	return t->raw >> 22 & 1;
}

static unsigned number(const struct jit_block *t, unsigned k)
{
	return (A64_Rt(t->raw) + k) % 32;
}

static void load_registers(struct jit_block *t, unsigned regs, unsigned to[4])
{
	unsigned bytes = simd_bytes(t);
	for (unsigned k = 0; k < regs; k++) {
		to[k] = jit_vwrite(t, number(t, k), bytes);
		x86_vm(&t->x, bytes == 16 ? V_MOVDQU : V_MOVQ, to[k], 0,
		       x86_at(RCX, (int32_t)(k * bytes)));
	}
}

/* Registers in a row, without structure. */
void jit_simd_multiple(struct jit_block *t)
{
	static const uint8_t counts[16] = {[2] = 4, [6] = 3, [7] = 1, [10] = 2};
	unsigned regs = counts[t->raw >> 12 & 15], bytes = simd_bytes(t), unused[4];
	find_bytes(t, regs * bytes, is_load(t));
	if (is_load(t)) {
		load_registers(t, regs, unused);
	}
	for (unsigned k = 0; !is_load(t) && k < regs; k++) {
		unsigned from = jit_vread(t, number(t, k), bytes);
		x86_vm(&t->x, bytes == 16 ? V_MOVDQU_STORE : V_MOVQ_STORE, from, 0,
		       x86_at(RCX, (int32_t)(k * bytes)));
	}
	write_back(t, regs * bytes);
}

/* @a, @b = even and odd elements of both. */
static void split(struct jit_block *t, unsigned a, unsigned b, unsigned log2)
{
	simd_unzip(t, a, b, log2);
	x86_v(&t->x, V_MOVDQA, a, 0, T0);
	x86_v(&t->x, V_MOVDQA, b, 0, T1);
}

static void load_structures(struct jit_block *t, unsigned regs, unsigned log2)
{
	unsigned d[4];
	load_registers(t, regs, d);
	if (regs == 2) {
		split(t, d[0], d[1], log2);
		return;
	}
	split(t, d[0], d[1], log2); /* elements 0 and 2; 1 and 3 */
	split(t, d[2], d[3], log2);
	split(t, d[0], d[2], log2);
	split(t, d[1], d[3], log2);
}

static const unsigned low_zips[] = {V_PUNPCKLBW, V_PUNPCKLWD, V_PUNPCKLDQ, V_PUNPCKLQDQ};
static const unsigned high_zips[] = {V_PUNPCKHBW, V_PUNPCKHWD, V_PUNPCKHDQ, V_PUNPCKHQDQ};

/* Store @a and @b zipped, 16 or 32 bytes. */
static void store_zipped(struct jit_block *t, unsigned a, unsigned b, unsigned log2, int32_t disp,
			 bool both)
{
	x86_v(&t->x, low_zips[log2], T2, a, b);
	x86_vm(&t->x, V_MOVDQU_STORE, T2, 0, x86_at(RCX, disp));
	if (both) {
		x86_v(&t->x, high_zips[log2], T2, a, b);
		x86_vm(&t->x, V_MOVDQU_STORE, T2, 0, x86_at(RCX, disp + 16));
	}
}

static void store_structures(struct jit_block *t, unsigned regs, unsigned log2)
{
	struct x86 *x = &t->x;
	unsigned bytes = simd_bytes(t), r[4];
	for (unsigned k = 0; k < regs; k++) {
		r[k] = jit_vread(t, number(t, k), bytes);
	}
	if (regs == 2) {
		store_zipped(t, r[0], r[1], log2, 0, bytes == 16);
		return;
	}
	x86_v(x, low_zips[log2], T0, r[0], r[2]);
	x86_v(x, low_zips[log2], T1, r[1], r[3]);
	store_zipped(t, T0, T1, log2, 0, true);
	if (bytes == 16) {
		x86_v(x, high_zips[log2], T0, r[0], r[2]);
		x86_v(x, high_zips[log2], T1, r[1], r[3]);
		store_zipped(t, T0, T1, log2, 32, true);
	}
}

/* @to = the bytes of @from (2 or 3 registers) that @masks choose. */
static void collect(struct jit_block *t, unsigned to, unsigned temp, const unsigned *from,
		    unsigned count, struct x86_mem masks)
{
	struct x86 *x = &t->x;
	x86_vm(x, V_PSHUFB, to, from[0], masks);
	for (unsigned k = 1; k < count; k++) {
		masks.disp += 16;
		x86_vm(x, V_PSHUFB, temp, from[k], masks);
		x86_v(x, V_POR, to, to, temp);
	}
}

/* In two or three pieces of 16 bytes, of which the second of two is a half. */
static void load_three(struct jit_block *t, unsigned log2)
{
	static const unsigned pieces[] = {T0, T1, T2};
	unsigned count = simd_bytes(t) == 16 ? 3 : 2, d[3];
	for (unsigned k = 0; k < 3; k++) {
		d[k] = jit_vwrite(t, number(t, k), simd_bytes(t));
	}
	for (unsigned k = 0; k < count; k++) {
		x86_vm(&t->x, count == 2 && k == 1 ? V_MOVQ : V_MOVDQU, pieces[k], 0,
		       x86_at(RCX, (int32_t)k * 16));
	}
	collect(t, d[0], d[1], pieces, count, JIT_CONSTANT(t, split_3[log2][0]));
	collect(t, d[1], d[2], pieces, count, JIT_CONSTANT(t, split_3[log2][1]));
	collect(t, d[2], T0, pieces, count, JIT_CONSTANT(t, split_3[log2][2]));
}

static void store_three(struct jit_block *t, unsigned log2)
{
	unsigned count = simd_bytes(t) == 16 ? 3 : 2, r[3];
	for (unsigned k = 0; k < 3; k++) {
		r[k] = jit_vread(t, number(t, k), simd_bytes(t));
	}
	for (unsigned k = 0; k < count; k++) {
		collect(t, T0, T1, r, 3, JIT_CONSTANT(t, merge_3[log2][k]));
		x86_vm(&t->x, count == 2 && k == 1 ? V_MOVQ_STORE : V_MOVDQU_STORE, T0, 0,
		       x86_at(RCX, (int32_t)k * 16));
	}
}

/* LD2 to LD4, ST2 to ST4 of whole registers. */
void jit_simd_structures(struct jit_block *t)
{
	static const uint8_t counts[] = {[0] = 4, [4] = 3, [8] = 2};
	unsigned regs = counts[t->raw >> 12 & 15], log2 = A64_esz(t->raw), bytes = simd_bytes(t);
	find_bytes(t, regs * bytes, is_load(t));
	if (regs == 3 && is_load(t)) {
		load_three(t, log2);
	} else if (regs == 3) {
		store_three(t, log2);
	} else if (is_load(t)) {
		load_structures(t, regs, log2);
	} else {
		store_structures(t, regs, log2);
	}
	write_back(t, regs * bytes);
}

static unsigned structure_regs(uint32_t w)
{
	return (A64_op0(w) << 1 | A64_R(w)) + 1;
}

/* One structure to or from one lane of each register. */
void jit_simd_lane(struct jit_block *t)
{
	static const unsigned inserts[] = {V_PINSRB, V_PINSRW, V_PINSRD, V_PINSRQ};
	static const unsigned extracts[] = {V_PEXTRB, V_PEXTRW, V_PEXTRD, V_PEXTRQ};
	uint32_t w = t->raw;
	unsigned log2 = (w >> 14 & 3) == 2 ? 2 + (w >> 10 & 1) : w >> 14 & 3,
		 regs = structure_regs(w);
	unsigned lane = (A64_Q(w) << 3 | (w >> 10 & 7)) >> log2;
	find_bytes(t, regs << log2, is_load(t));
	for (unsigned k = 0; k < regs; k++) {
		struct x86_mem m = x86_at(RCX, (int32_t)(k << log2));
		unsigned v = jit_vread(t, number(t, k), 16);
		if (is_load(t)) {
			unsigned to = jit_vwrite(t, number(t, k), 16);
			x86_vrm_imm(&t->x, inserts[log2], to, v, m, (uint8_t)lane);
		} else {
			x86_vrm_imm(&t->x, extracts[log2], v, 0, m, (uint8_t)lane);
		}
	}
	write_back(t, regs << log2);
}

/* One structure to all lanes. */
void jit_simd_replicate(struct jit_block *t)
{
	static const unsigned spreads[] = {V_PBROADCASTB, V_PBROADCASTW, V_PBROADCASTD,
					   V_PBROADCASTQ};
	unsigned log2 = A64_esz(t->raw), regs = structure_regs(t->raw);
	find_bytes(t, regs << log2, true);
	for (unsigned k = 0; k < regs; k++) {
		unsigned to = jit_vwrite(t, number(t, k), simd_bytes(t));
		x86_vm(&t->x, spreads[log2], to, 0, x86_at(RCX, (int32_t)(k << log2)));
	}
	write_back(t, regs << log2);
}
