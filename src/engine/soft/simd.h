/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd.h - what the handlers of FP and Advanced SIMD instructions share
 *
 * How it works: names end in an element size: b, h, s, d (1, 2, 4, 8 bytes).  For each there are
 * scalar types u_ s_ (and x_, wide enough for any sum or doubled product of two elements), vector
 * types vu_ vs_, and saturation.  Macros make one handler a size out of an expression.  Rows of
 * gen/a64/simd.tbl that have bit 28 ("sc") cover the scalar and the vector form. Invariants: no
 * address of a local leaves an inlined function (cpu.h); a handler writes all 128 bits of its
 * destination, after it has read its sources (they may be the same register).
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_SIMD_H
#define ORIEL_ENGINE_SOFT_SIMD_H

#include "a64/a64.h"
#include "a64_handlers_gen.h"
#include "engine/soft/run.h"

#define SIMD_DECLARE(name) void op_##name(struct cpu *cpu, const struct insn *i);
A64_EACH(SIMD_DECLARE)

#define SIMD_OP(name) void op_##name(struct cpu *cpu, const struct insn *i)

/* First thing in each handler: CPACR_EL1.FPEN. */
#define SIMD_ENTER(cpu, i)                                                                         \
	if (UNLIKELY(!cpu_fp_enabled((cpu), (i)))) {                                               \
		return;                                                                            \
	}

typedef uint8_t u_b;
typedef uint16_t u_h;
typedef uint32_t u_s;
typedef uint64_t u_d;
typedef int8_t s_b;
typedef int16_t s_h;
typedef int32_t s_s;
typedef int64_t s_d;
typedef int64_t x_b, x_h, x_s;
typedef __int128 x_d;
typedef uint8_t vu_b __attribute__((vector_size(16)));
typedef uint16_t vu_h __attribute__((vector_size(16)));
typedef uint32_t vu_s __attribute__((vector_size(16)));
typedef uint64_t vu_d __attribute__((vector_size(16)));
typedef int8_t vs_b __attribute__((vector_size(16)));
typedef int16_t vs_h __attribute__((vector_size(16)));
typedef int32_t vs_s __attribute__((vector_size(16)));
typedef int64_t vs_d __attribute__((vector_size(16)));

enum { LOG2_b, LOG2_h, LOG2_s, LOG2_d };
enum { BITS_b = 8, BITS_h = 16, BITS_s = 32, BITS_d = 64 };

/* X(name, size) for several sizes. */
#define EACH_BHS(X, name)  X(name, b) X(name, h) X(name, s)
#define EACH_BHSD(X, name) EACH_BHS(X, name) X(name, d)
#define EACH_HSD(X, name)  X(name, h) X(name, s) X(name, d)

/* Register number @n as vector type @T; the vector where @c has ones, else b. */
#define VREG(T, n)	 (*(T *)&cpu->v[n])
#define VSEL(T, c, a, b) (((T)(c) & (T)(a)) | (~(T)(c) & (T)(b)))

/* Scalar form of a row with `sc`? */
SOFT_INLINE bool simd_is_scalar(uint32_t w)
{
	return w >> 28 & 1;
}

/* Elements of 2^@log2 bytes that the instruction works on. */
SOFT_INLINE unsigned simd_lanes(uint32_t w, unsigned log2)
{
	return simd_is_scalar(w) ? 1 : (8u << A64_Q(w)) >> log2;
}

/* First element of 2^@log2 bytes in the half that Q selects ("2" forms). */
SOFT_INLINE unsigned simd_half(uint32_t w, unsigned log2)
{
	return (w >> 28 & 5) == 4 ? 8u >> log2 : 0;
}

/* Write a result computed on all 128 bits; the upper half becomes 0 for 64-bit vectors and for d
 * scalars. */
SOFT_INLINE void simd_put(struct cpu *cpu, uint32_t w, vu_d value)
{
	vu_d mask = {~0ull, -(uint64_t)((w >> 28 & 5) == 4)};
	VREG(vu_d, A64_Rd(w)) = value & mask;
}

/* Write a narrowed 64-bit result to the half that Q selects: the lower half with zeros above, or
 * the upper half alone. */
SOFT_INLINE void simd_put_half(struct cpu *cpu, uint32_t w, uint64_t value)
{
	union vreg *d = &cpu->v[A64_Rd(w)];
	bool upper = (w >> 28 & 5) == 4;
	d->d[0] = upper ? d->d[0] : value;
	d->d[1] = upper ? value : 0;
}

/* FPSR.QC, which is cumulative, if @q. */
SOFT_INLINE void simd_saturated(struct cpu *cpu, bool q)
{
	cpu->fpsr |= q ? FPSR_QC : 0;
}

/* General registers as SIMD&FP handlers name them: 31 is ZR. */
SOFT_INLINE uint64_t simd_read_x(const struct cpu *cpu, unsigned n)
{
	return n == 31 ? 0 : cpu->x[n];
}

SOFT_INLINE void simd_write_x(struct cpu *cpu, unsigned n, uint64_t value)
{
	cpu->x[n == 31 ? CPU_SINK : n] = value;
}

/* Register and index of "vector by element" operands. */
SOFT_INLINE u_h simd_elem_h(const struct cpu *cpu, uint32_t w)
{
	return cpu->v[A64_Rm4(w)].h[A64_ixh(w) << 2 | A64_ixl(w) << 1 | A64_ixm(w)];
}

SOFT_INLINE u_s simd_elem_s(const struct cpu *cpu, uint32_t w)
{
	return cpu->v[A64_Rm(w)].s[A64_ixh(w) << 1 | A64_ixl(w)];
}

SOFT_INLINE u_d simd_elem_d(const struct cpu *cpu, uint32_t w)
{
	return cpu->v[A64_Rm(w)].d[A64_ixh(w)];
}

/* clamp_s_h(v, &q) and so on: SignedSatQ, UnsignedSatQ. */
#define SIMD_CLAMP(unused, z)                                                                      \
	SOFT_INLINE u_##z clamp_s_##z(x_##z v, bool *q)                                            \
	{                                                                                          \
		x_##z max = ((x_##z)1 << (BITS_##z - 1)) - 1;                                      \
		*q |= v > max || v < -max - 1;                                                     \
		return (u_##z)(v > max ? max : v < -max - 1 ? -max - 1 : v);                       \
	}                                                                                          \
	SOFT_INLINE u_##z clamp_u_##z(x_##z v, bool *q)                                            \
	{                                                                                          \
		x_##z max = ((x_##z)1 << BITS_##z) - 1;                                            \
		*q |= v > max || v < 0;                                                            \
		return (u_##z)(v > max ? max : v < 0 ? 0 : v);                                     \
	}
EACH_BHSD(SIMD_CLAMP, )

/* Shift amounts of "shift by immediate": the top bit of immh:immb is the element size. */
SOFT_INLINE unsigned simd_imm_right(uint32_t w, unsigned bits)
{
	return 2 * bits - (w >> 16 & 0x7f);
}

SOFT_INLINE unsigned simd_imm_left(uint32_t w, unsigned bits)
{
	return (w >> 16 & 0x7f) - bits;
}

/* AdvSIMDExpandImm (Arm ARM J1.1), without the inversion of MVNI and BIC. */
SOFT_INLINE uint64_t simd_expand_imm(uint32_t w)
{
	unsigned cmode = A64_cmode(w);
	uint64_t imm = A64_imm_abc(w) << 5 | A64_imm_defgh(w);
	switch (cmode >> 1) {
	case 0:
	case 1:
	case 2:
	case 3: return (imm << (cmode >> 1) * 8) * 0x0000000100000001;
	case 4: return imm * 0x0001000100010001;
	case 5: return imm * 0x0100010001000100;
	case 6: return (cmode & 1 ? imm << 16 | 0xffff : imm << 8 | 0xff) * 0x0000000100000001;
	default: break;
	}
	if (cmode == 14) {
		if (!(w >> 29 & 1)) {
			return imm * 0x0101010101010101;
		}
		/* Each bit becomes a byte. */
		uint64_t bits = (imm & 0x7f) * 0x0002040810204081 & 0x0101010101010101;
		return (bits | (imm & 0x80) << 49) * 0xff;
	}
	uint64_t sign = imm >> 7, high = imm >> 6 & 1, rest = imm & 0x3f;
	if (w >> 11 & 1) { /* o2: half precision */
		return (sign << 15 | (high ? 0x3000 : 0x4000) | rest << 6) * 0x0001000100010001;
	}
	if (w >> 29 & 1) {
		return sign << 63 | (high ? 0x3fcull << 52 : 0x400ull << 52) | rest << 48;
	}
	return (sign << 31 | (high ? 0x3e000000ull : 0x40000000ull) | rest << 19) *
	       0x0000000100000001;
}

#endif
