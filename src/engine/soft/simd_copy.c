/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_copy.c - moving elements: DUP, INS, SMOV/UMOV, permutations, EXT, TBL, modified immediates
 *
 * How it works: imm5 of the copy group has its lowest set bit at log2 of the element's bytes and the index above; the element's
 * byte offset is therefore half of imm5 without that bit.
 * Threads: the vCPU thread.
 */
#include "engine/soft/simd.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

SOFT_INLINE unsigned copy_bytes(uint32_t imm5)
{
	return imm5 & -imm5;
}

SOFT_INLINE unsigned copy_offset(uint32_t imm5)
{
	return (imm5 & (imm5 - 1)) >> 1;
}

SOFT_INLINE uint64_t element_mask(unsigned bytes)
{
	return ~0ull >> (64 - 8 * bytes);
}

SOFT_INLINE uint64_t element_get(const union vreg *v, uint32_t imm5)
{
	unsigned offset = copy_offset(imm5);
	return v->d[offset >> 3] >> (offset & 7) * 8 & element_mask(copy_bytes(imm5));
}

SOFT_INLINE void element_set(union vreg *v, uint32_t imm5, uint64_t value)
{
	unsigned offset = copy_offset(imm5), shift = (offset & 7) * 8;
	uint64_t mask = element_mask(copy_bytes(imm5)), *d = &v->d[offset >> 3];
	*d = (*d & ~(mask << shift)) | (value & mask) << shift;
}

/* @value, of @bytes, in all elements of a doubleword. */
SOFT_INLINE uint64_t element_spread(uint64_t value, unsigned bytes)
{
	return (value & element_mask(bytes)) * (~0ull / element_mask(bytes));
}

SIMD_OP(DUP_elem)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw, imm5 = A64_imm5(w);
	uint64_t v = element_spread(element_get(&cpu->v[A64_Rn(w)], imm5), copy_bytes(imm5));
	simd_put(cpu, w, (vu_d){v, v});
	NEXT(cpu, i);
}

SIMD_OP(DUP_gen)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	uint64_t v = element_spread(simd_read_x(cpu, A64_Rn(w)), copy_bytes(A64_imm5(w)));
	simd_put(cpu, w, (vu_d){v, v});
	NEXT(cpu, i);
}

SIMD_OP(DUP_scalar)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	VREG(vu_d, A64_Rd(w)) = (vu_d){element_get(&cpu->v[A64_Rn(w)], A64_imm5(w)), 0};
	NEXT(cpu, i);
}

SIMD_OP(UMOV)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	simd_write_x(cpu, A64_Rd(w), element_get(&cpu->v[A64_Rn(w)], A64_imm5(w)));
	NEXT(cpu, i);
}

SIMD_OP(SMOV)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw, unused = 64 - 8 * copy_bytes(A64_imm5(w));
	int64_t v = (int64_t)(element_get(&cpu->v[A64_Rn(w)], A64_imm5(w)) << unused) >> unused;
	simd_write_x(cpu, A64_Rd(w), A64_Q(w) ? (uint64_t)v : (uint32_t)v);
	NEXT(cpu, i);
}

SIMD_OP(INS_gen)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	element_set(&cpu->v[A64_Rd(w)], A64_imm5(w), simd_read_x(cpu, A64_Rn(w)));
	NEXT(cpu, i);
}

SIMD_OP(INS_elem)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw, imm5 = A64_imm5(w), bytes = copy_bytes(imm5);
	/* imm4 is the byte offset of the source; bits below the element's size are ignored. */
	uint32_t from = (A64_imm4(w) & ~(bytes - 1)) << 1 | bytes;
	element_set(&cpu->v[A64_Rd(w)], imm5, element_get(&cpu->v[A64_Rn(w)], from));
	NEXT(cpu, i);
}

/* Permutations: index lists of __builtin_shufflevector() over n and m. */
#define EVENS_b	    0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODDS_b	    1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define EVEN_PAIR_b 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define ODD_PAIR_b  1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#define LOW_ZIP_b   0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_ZIP_b  8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define EVENS_h	    0, 2, 4, 6, 8, 10, 12, 14
#define ODDS_h	    1, 3, 5, 7, 9, 11, 13, 15
#define EVEN_PAIR_h 0, 8, 2, 10, 4, 12, 6, 14
#define ODD_PAIR_h  1, 9, 3, 11, 5, 13, 7, 15
#define LOW_ZIP_h   0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_ZIP_h  4, 12, 5, 13, 6, 14, 7, 15
#define EVENS_s	    0, 2, 4, 6
#define ODDS_s	    1, 3, 5, 7
#define EVEN_PAIR_s 0, 4, 2, 6
#define ODD_PAIR_s  1, 5, 3, 7
#define LOW_ZIP_s   0, 4, 1, 5
#define HIGH_ZIP_s  2, 6, 3, 7
#define EVENS_d	    0, 2
#define ODDS_d	    1, 3
#define EVEN_PAIR_d 0, 2
#define ODD_PAIR_d  1, 3
#define LOW_ZIP_d   0, 2
#define HIGH_ZIP_d  1, 3

/* @half: what to do to 64-bit vectors before or after the shuffle. */
#define PERMUTE(row, z, before, after, ...)                                                        \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		vu_d n = VREG(vu_d, A64_Rn(w)), m = VREG(vu_d, A64_Rm(w));                         \
		if (!A64_Q(w)) {                                                                   \
			before;                                                                    \
		}                                                                                  \
		vu_d r = (vu_d)__builtin_shufflevector((vu_##z)n, (vu_##z)m, __VA_ARGS__);         \
		if (!A64_Q(w)) {                                                                   \
			after;                                                                     \
		}                                                                                  \
		simd_put(cpu, w, r);                                                               \
		NEXT(cpu, i);                                                                      \
	}
#define NOTHING
/* The 64-bit ZIP2 wants the elements in the middle of the 128-bit vectors. */
#define PERMUTES(name, z)                                                                          \
	PERMUTE(UZP1_##z, z, n[1] = m[0], NOTHING, EVENS_##z)                                      \
	PERMUTE(UZP2_##z, z, n[1] = m[0], NOTHING, ODDS_##z)                                       \
	PERMUTE(TRN1_##z, z, NOTHING, NOTHING, EVEN_PAIR_##z)                                      \
	PERMUTE(TRN2_##z, z, NOTHING, NOTHING, ODD_PAIR_##z)                                       \
	PERMUTE(ZIP1_##z, z, NOTHING, NOTHING, LOW_ZIP_##z)                                        \
	PERMUTE(ZIP2_##z, z, (n[1] = n[0] >> 32, m[1] = m[0] >> 32), NOTHING, HIGH_ZIP_##z)
EACH_BHSD(PERMUTES, )

SIMD_OP(EXT)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	unsigned shift = A64_imm4(w) * 8;
	const union vreg *n = &cpu->v[A64_Rn(w)], *m = &cpu->v[A64_Rm(w)];
	if (A64_Q(w)) {
		__uint128_t low = n->q, high = m->q;
		cpu->v[A64_Rd(w)].q = low >> shift | high << 1 << (127 - shift);
	} else {
		uint64_t low = n->d[0], high = m->d[0];
		VREG(vu_d, A64_Rd(w)) = (vu_d){low >> shift | high << 1 << (63 - shift), 0};
	}
	NEXT(cpu, i);
}

/* Bytes of @table by @index; 0 where the index is 16 or more. */
#ifdef __x86_64__
__attribute__((target("ssse3"), noinline)) static vu_b host_look_up(vu_b table, vu_b index)
{
	__m128i beyond = _mm_adds_epu8((__m128i)index, _mm_set1_epi8(0x70));
	return (vu_b)_mm_shuffle_epi8((__m128i)table, beyond);
}
#define HAS_LOOK_UP __builtin_cpu_supports("ssse3")
#else
#define host_look_up(table, index) (index)
#define HAS_LOOK_UP		   false
#endif

static __attribute__((noinline)) vu_b look_up(const struct cpu *cpu, uint32_t w)
{
	unsigned first = A64_Rn(w), regs = A64_len(w) + 1;
	vu_b index = VREG(const vu_b, A64_Rm(w)), r = {0};
	if (HAS_LOOK_UP) {
		for (unsigned k = 0; k < regs; k++) {
			r |= host_look_up(VREG(const vu_b, (first + k) % 32), index - (uint8_t)(16 * k));
		}
		return r;
	}
	for (unsigned k = 0; k < 16; k++) {
		unsigned n = index[k];
		r[k] = n < 16 * regs ? cpu->v[(first + n / 16) % 32].b[n % 16] : 0;
	}
	return r;
}

SIMD_OP(TBL)
{
	SIMD_ENTER(cpu, i)
	simd_put(cpu, i->raw, (vu_d)look_up(cpu, i->raw));
	NEXT(cpu, i);
}

/* Bytes with an index beyond the table stay. */
SIMD_OP(TBX)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	vu_b old = VREG(vu_b, A64_Rd(w)), index = VREG(vu_b, A64_Rm(w));
	vu_b beyond = (vu_b)(index >= (uint8_t)(16 * (A64_len(w) + 1)));
	simd_put(cpu, w, (vu_d)(look_up(cpu, w) | (old & beyond)));
	NEXT(cpu, i);
}

SIMD_OP(MOVI_imm)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	uint64_t v = simd_expand_imm(w);
	if (A64_op29(w) && A64_cmode(w) < 14) {
		v = ~v; /* MVNI */
	}
	simd_put(cpu, w, (vu_d){v, v});
	NEXT(cpu, i);
}

SIMD_OP(ORR_v_imm)
{
	SIMD_ENTER(cpu, i)
	uint64_t v = simd_expand_imm(i->raw);
	simd_put(cpu, i->raw, VREG(vu_d, A64_Rd(i->raw)) | (vu_d){v, v});
	NEXT(cpu, i);
}

SIMD_OP(BIC_v_imm)
{
	SIMD_ENTER(cpu, i)
	uint64_t v = simd_expand_imm(i->raw);
	simd_put(cpu, i->raw, VREG(vu_d, A64_Rd(i->raw)) & ~(vu_d){v, v});
	NEXT(cpu, i);
}

SIMD_OP(FMOV_v_imm_h)
{
	SIMD_ENTER(cpu, i)
	uint64_t v = simd_expand_imm(i->raw);
	simd_put(cpu, i->raw, (vu_d){v, v});
	NEXT(cpu, i);
}
