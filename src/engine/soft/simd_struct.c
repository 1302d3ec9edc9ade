/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_struct.c - loads and stores of structures: LD1 to LD4, ST1 to ST4, LD1R to LD4R
 *
 * How it works: memory goes through a buffer of up to four registers: as one copy where the whole range is in a mapped page, else
 * element by element.  Handlers are thin and call shared functions, which may have locals.
 * Threads: the vCPU thread.
 */
#include "engine/soft/mem.h"
#include "engine/soft/simd.h"

enum { STRUCT_REGS = 4 };

static bool element_read(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned log2, uint64_t *value)
{
	switch (log2) {
	case 0: return mem_read8(cpu, i, va, value);
	case 1: return mem_read16(cpu, i, va, value);
	case 2: return mem_read32(cpu, i, va, value);
	default: return mem_read64(cpu, i, va, value);
	}
}

static bool element_write(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned log2, uint64_t value)
{
	switch (log2) {
	case 0: return mem_write8(cpu, i, va, value);
	case 1: return mem_write16(cpu, i, va, value);
	case 2: return mem_write32(cpu, i, va, value);
	default: return mem_write64(cpu, i, va, value);
	}
}

static uint64_t buffer_get(const uint64_t *buffer, unsigned index, unsigned log2)
{
	unsigned bit = index << log2 << 3;
	return buffer[bit / 64] >> bit % 64 & ~0ull >> (64 - (8 << log2));
}

/* The buffer was zero there. */
static void buffer_or(uint64_t *buffer, unsigned index, unsigned log2, uint64_t value)
{
	unsigned bit = index << log2 << 3;
	buffer[bit / 64] |= value << bit % 64;
}

/* Element by element. */
static SOFT_COLD bool buffer_load_slow(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned words,
				       unsigned log2, uint64_t *buffer)
{
	for (unsigned k = 0; k < words; k++) {
		buffer[k] = 0;
	}
	for (unsigned k = 0; k < words * 8 >> log2; k++) {
		uint64_t value;
		if (!element_read(cpu, i, va + (k << log2), log2, &value)) {
			return false;
		}
		buffer_or(buffer, k, log2, value);
	}
	return true;
}

static SOFT_COLD bool buffer_store_slow(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned words,
					unsigned log2, const uint64_t *buffer)
{
	if (!mem_probe(cpu, i, va, words * 8, true)) {
		return false;
	}
	for (unsigned k = 0; k < words * 8 >> log2; k++) {
		if (!element_write(cpu, i, va + (k << log2), log2, buffer_get(buffer, k, log2))) {
			return false;
		}
	}
	return true;
}

/* @words doublewords at @va, as elements of 2^@log2 bytes. */
SOFT_INLINE bool buffer_load(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned words, unsigned log2,
			     uint64_t *buffer)
{
	const uint8_t *p = mem_hit_read(cpu->tlb, va, words * 8, false);
	if (UNLIKELY(!p)) {
		return buffer_load_slow(cpu, i, va, words, log2, buffer);
	}
	for (unsigned k = 0; k < words; k++) {
		memcpy(&buffer[k], p + 8 * k, 8);
	}
	return true;
}

SOFT_INLINE bool buffer_store(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned words, unsigned log2,
			      const uint64_t *buffer)
{
	uint8_t *p = mem_hit_write(cpu->tlb, va, words * 8, false);
	if (UNLIKELY(!p)) {
		return buffer_store_slow(cpu, i, va, words, log2, buffer);
	}
	for (unsigned k = 0; k < words; k++) {
		memcpy(p + 8 * k, &buffer[k], 8);
	}
	return true;
}

/* SP must be aligned; true: the exception was taken. */
static bool base_faults(struct cpu *cpu, const struct insn *i)
{
	return A64_Rn(i->raw) == CPU_SP && (cpu->x[CPU_SP] & 15) && mem_sp_fault(cpu, i);
}

static void write_back(struct cpu *cpu, uint32_t w, bool post, unsigned bytes)
{
	if (post) {
		cpu->x[A64_Rn(w)] += A64_Rm(w) == 31 ? bytes : cpu->x[A64_Rm(w)];
	}
}

/* A buffer as elements of each size. */
union elements {
	uint64_t d[2 * STRUCT_REGS];
	uint32_t s[4 * STRUCT_REGS];
	uint16_t h[8 * STRUCT_REGS];
	uint8_t b[16 * STRUCT_REGS];
};

/* Between structures in memory and registers in a row: @regs and @lanes, one function a direction and size. */
#define INTERLEAVING(unused, z)                                                                    \
	SOFT_INLINE void split_##z(union elements *to, const union elements *from, unsigned regs,  \
				   unsigned lanes)                                                 \
	{                                                                                          \
		for (unsigned k = 0; k < lanes; k++) {                                             \
			for (unsigned r = 0; r < regs; r++) {                                      \
				to->z[r * lanes + k] = from->z[k * regs + r];                      \
			}                                                                          \
		}                                                                                  \
	}                                                                                          \
	SOFT_INLINE void merge_##z(union elements *to, const union elements *from, unsigned regs,  \
				   unsigned lanes)                                                 \
	{                                                                                          \
		for (unsigned k = 0; k < lanes; k++) {                                             \
			for (unsigned r = 0; r < regs; r++) {                                      \
				to->z[k * regs + r] = from->z[r * lanes + k];                      \
			}                                                                          \
		}                                                                                  \
	}
EACH_BHSD(INTERLEAVING, )

/* @regs is a constant where this is used, so that the loops unroll. */
SOFT_INLINE void split(union elements *to, const union elements *from, unsigned regs, unsigned log2, bool q)
{
	switch (log2 << 1 | q) {
	case 0: split_b(to, from, regs, 8); break;
	case 1: split_b(to, from, regs, 16); break;
	case 2: split_h(to, from, regs, 4); break;
	case 3: split_h(to, from, regs, 8); break;
	case 4: split_s(to, from, regs, 2); break;
	case 5: split_s(to, from, regs, 4); break;
	default: split_d(to, from, regs, 2); break;
	}
}

SOFT_INLINE void merge(union elements *to, const union elements *from, unsigned regs, unsigned log2, bool q)
{
	switch (log2 << 1 | q) {
	case 0: merge_b(to, from, regs, 8); break;
	case 1: merge_b(to, from, regs, 16); break;
	case 2: merge_h(to, from, regs, 4); break;
	case 3: merge_h(to, from, regs, 8); break;
	case 4: merge_s(to, from, regs, 2); break;
	case 5: merge_s(to, from, regs, 4); break;
	default: merge_d(to, from, regs, 2); break;
	}
}

/* LDn of @regs registers; structures of @regs elements are taken apart if @interleaved.  False: an exception was taken. */
SOFT_INLINE bool load_multiple(struct cpu *cpu, const struct insn *i, unsigned regs, bool interleaved, bool post)
{
	uint32_t w = i->raw;
	unsigned per = 1 + A64_Q(w);
	union elements memory, linear;
	if (base_faults(cpu, i) ||
	    !buffer_load(cpu, i, cpu->x[A64_Rn(w)], regs * per, A64_esz(w), memory.d)) {
		return false;
	}
	if (interleaved) {
		split(&linear, &memory, regs, A64_esz(w), A64_Q(w));
	}
	const uint64_t *from = interleaved ? linear.d : memory.d;
	for (unsigned k = 0; k < regs; k++) {
		VREG(vu_d, (A64_Rt(w) + k) % 32) = (vu_d){from[k * per], per == 2 ? from[k * per + 1] : 0};
	}
	write_back(cpu, w, post, regs * per * 8);
	return true;
}

SOFT_INLINE bool store_multiple(struct cpu *cpu, const struct insn *i, unsigned regs, bool interleaved, bool post)
{
	uint32_t w = i->raw;
	unsigned per = 1 + A64_Q(w);
	union elements memory, linear;
	uint64_t *to = interleaved ? linear.d : memory.d;
	for (unsigned k = 0; k < regs * per; k++) {
		to[k] = cpu->v[(A64_Rt(w) + k / per) % 32].d[k % per];
	}
	if (interleaved) {
		merge(&memory, &linear, regs, A64_esz(w), A64_Q(w));
	}
	if (base_faults(cpu, i) ||
	    !buffer_store(cpu, i, cpu->x[A64_Rn(w)], regs * per, A64_esz(w), memory.d)) {
		return false;
	}
	write_back(cpu, w, post, regs * per * 8);
	return true;
}

#define MULTIPLE(row, body)                                                                        \
	static __attribute__((noinline)) bool do_##row(struct cpu *cpu, const struct insn *i,      \
						       bool post)                                  \
	{                                                                                          \
		return body;                                                                       \
	}                                                                                          \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		if (!do_##row(cpu, i, false)) {                                                    \
			return;                                                                    \
		}                                                                                  \
		NEXT(cpu, i);                                                                      \
	}                                                                                          \
	SIMD_OP(row##_post)                                                                        \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		if (!do_##row(cpu, i, true)) {                                                     \
			return;                                                                    \
		}                                                                                  \
		NEXT(cpu, i);                                                                      \
	}
MULTIPLE(LD1x1, load_multiple(cpu, i, 1, false, post))
MULTIPLE(LD1x2, load_multiple(cpu, i, 2, false, post))
MULTIPLE(LD1x3, load_multiple(cpu, i, 3, false, post))
MULTIPLE(LD1x4, load_multiple(cpu, i, 4, false, post))
MULTIPLE(ST1x1, store_multiple(cpu, i, 1, false, post))
MULTIPLE(ST1x2, store_multiple(cpu, i, 2, false, post))
MULTIPLE(ST1x3, store_multiple(cpu, i, 3, false, post))
MULTIPLE(ST1x4, store_multiple(cpu, i, 4, false, post))
MULTIPLE(LD2m, load_multiple(cpu, i, 2, true, post))
MULTIPLE(LD3m, load_multiple(cpu, i, 3, true, post))
MULTIPLE(LD4m, load_multiple(cpu, i, 4, true, post))
MULTIPLE(ST2m, store_multiple(cpu, i, 2, true, post))
MULTIPLE(ST3m, store_multiple(cpu, i, 3, true, post))
MULTIPLE(ST4m, store_multiple(cpu, i, 4, true, post))

static unsigned structure_regs(uint32_t w)
{
	return (A64_op0(w) << 1 | A64_R(w)) + 1;
}

/* One structure: a lane of each register (@log2: its size). */
static bool single(struct cpu *cpu, const struct insn *i, unsigned log2, bool load, bool post)
{
	uint32_t w = i->raw;
	/* Q:S:size is the index of a byte, of which larger elements use the upper bits. */
	unsigned regs = structure_regs(w), bytes = regs << log2;
	unsigned lane = (A64_Q(w) << 3 | (w >> 10 & 7)) >> log2;
	uint64_t va = cpu->x[A64_Rn(w)], values[STRUCT_REGS];
	if (base_faults(cpu, i) || (!load && !mem_probe(cpu, i, va, bytes, true))) {
		return false;
	}
	for (unsigned k = 0; k < regs; k++) {
		const union vreg *v = &cpu->v[(A64_Rt(w) + k) % 32];
		uint64_t at = va + (k << log2);
		if (load ? !element_read(cpu, i, at, log2, &values[k])
			 : !element_write(cpu, i, at, log2, buffer_get(v->d, lane, log2))) {
			return false;
		}
	}
	for (unsigned k = 0; load && k < regs; k++) {
		union vreg *v = &cpu->v[(A64_Rt(w) + k) % 32];
		unsigned bit = lane << log2 << 3;
		v->d[bit / 64] &= ~(~0ull >> (64 - (8 << log2)) << bit % 64);
		buffer_or(v->d, lane, log2, values[k]);
	}
	write_back(cpu, w, post, bytes);
	return true;
}

#define SINGLE(name, z)                                                                            \
	SIMD_OP(name##_##z)                                                                        \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		if (!single(cpu, i, LOG2_##z, i->raw >> 22 & 1, false)) {                       \
			return;                                                                    \
		}                                                                                  \
		NEXT(cpu, i);                                                                      \
	}                                                                                          \
	SIMD_OP(name##_##z##_post)                                                                 \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		if (!single(cpu, i, LOG2_##z, i->raw >> 22 & 1, true)) {                        \
			return;                                                                    \
		}                                                                                  \
		NEXT(cpu, i);                                                                      \
	}

EACH_BHSD(SINGLE, LDn)
EACH_BHSD(SINGLE, STn)

/* One structure to all lanes. */
static bool replicate(struct cpu *cpu, const struct insn *i, bool post)
{
	uint32_t w = i->raw;
	unsigned regs = structure_regs(w), log2 = A64_esz(w);
	uint64_t va = cpu->x[A64_Rn(w)], values[STRUCT_REGS];
	if (base_faults(cpu, i)) {
		return false;
	}
	for (unsigned k = 0; k < regs; k++) {
		if (!element_read(cpu, i, va + (k << log2), log2, &values[k])) {
			return false;
		}
		values[k] *= ~0ull / (~0ull >> (64 - (8 << log2)));
	}
	for (unsigned k = 0; k < regs; k++) {
		VREG(vu_d, (A64_Rt(w) + k) % 32) = (vu_d){values[k], A64_Q(w) ? values[k] : 0};
	}
	write_back(cpu, w, post, regs << log2);
	return true;
}

SIMD_OP(LDnR)
{
	SIMD_ENTER(cpu, i)
	if (!replicate(cpu, i, false)) {
		return;
	}
	NEXT(cpu, i);
}

SIMD_OP(LDnR_post)
{
	SIMD_ENTER(cpu, i)
	if (!replicate(cpu, i, true)) {
		return;
	}
	NEXT(cpu, i);
}
