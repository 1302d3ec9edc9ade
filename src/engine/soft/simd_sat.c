/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_sat.c - saturating integer operations, vector and scalar, and shifts by register
 *
 * How it works: each handler is an expression of one element (a: first operand, b: second, c: old destination), computed in x_,
 * which holds every intermediate result, and clamped; FPSR.QC is set if any element was clamped.
 * Threads: the vCPU thread.
 */
#include "engine/soft/simd.h"

/* Elements of type @g##_@z; @second is the second operand. */
#define LANES3(row, g, z, second, expr)                                                            \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		const union vreg *n = &cpu->v[A64_Rn(w)], *m = &cpu->v[A64_Rm(w)],                 \
				 *d = &cpu->v[A64_Rd(w)];                                          \
		union vreg r = {.d = {0, 0}};                                                      \
		bool q = false;                                                                    \
		for (unsigned k = 0; k < simd_lanes(w, LOG2_##z); k++) {                           \
			x_##z a = (g##_##z)n->z[k], b = (g##_##z)(second), c = (g##_##z)d->z[k];   \
			(void)a, (void)b, (void)c;                                                 \
			r.z[k] = (u_##z)(expr);                                                    \
		}                                                                                  \
		(void)m;                                                                           \
		simd_saturated(cpu, q);                                                            \
		cpu->v[A64_Rd(w)] = r;                                                             \
		NEXT(cpu, i);                                                                      \
	}

#define SATURATING(name, z)                                                                        \
	LANES3(SQADD_v_##z, s, z, m->z[k], clamp_s_##z(a + b, &q))                                 \
	LANES3(UQADD_v_##z, u, z, m->z[k], clamp_u_##z(a + b, &q))                                 \
	LANES3(SQSUB_v_##z, s, z, m->z[k], clamp_s_##z(a - b, &q))                                 \
	LANES3(UQSUB_v_##z, u, z, m->z[k], clamp_u_##z(a - b, &q))                                 \
	LANES3(SUQADD_v_##z, s, z, 0, clamp_s_##z(c + (u_##z)a, &q))                               \
	LANES3(USQADD_v_##z, u, z, 0, clamp_u_##z(c + (s_##z)a, &q))                               \
	LANES3(SQABS_v_##z, s, z, 0, clamp_s_##z(a < 0 ? -a : a, &q))                              \
	LANES3(SQNEG_v_##z, s, z, 0, clamp_s_##z(-a, &q))
EACH_BHSD(SATURATING, )

/* Doubling products without their low half: 2ab / 2^bits = ab / 2^(bits - 1). */
#define HALF_UP(z)   ((x_##z)1 << (BITS_##z - 2))
#define DOUBLED(z)   (a * b >> (BITS_##z - 1))
#define DOUBLED_R(z) (a * b + HALF_UP(z)) >> (BITS_##z - 1)
#define DOUBLED_A(z) (c * ((x_##z)1 << (BITS_##z - 1)) + a * b + HALF_UP(z)) >> (BITS_##z - 1)
#define DOUBLED_S(z) (c * ((x_##z)1 << (BITS_##z - 1)) - a * b + HALF_UP(z)) >> (BITS_##z - 1)
#define DOUBLING(kind, z, second)                                                                  \
	LANES3(SQDMULH_##kind##_##z, s, z, second, clamp_s_##z(DOUBLED(z), &q))                    \
	LANES3(SQRDMULH_##kind##_##z, s, z, second, clamp_s_##z(DOUBLED_R(z), &q))                 \
	LANES3(SQRDMLAH_##kind##_##z, s, z, second, clamp_s_##z(DOUBLED_A(z), &q))                 \
	LANES3(SQRDMLSH_##kind##_##z, s, z, second, clamp_s_##z(DOUBLED_S(z), &q))
DOUBLING(v, h, m->h[k])
DOUBLING(v, s, m->s[k])
DOUBLING(elem, h, simd_elem_h(cpu, w))
DOUBLING(elem, s, simd_elem_s(cpu, w))

/*
 * Shifts by a signed register amount, to the right if negative.  A left shift that loses everything yields a value
 * beyond any clamp (saturating) or 0.
 */
#define SHIFT_LANE(unused, z)                                                                      \
	SOFT_INLINE x_##z shift_left_##z(x_##z v, int by, bool saturating)                         \
	{                                                                                          \
		if (by < BITS_##z) {                                                               \
			return v * ((x_##z)1 << by);                                               \
		}                                                                                  \
		if (!saturating || v == 0) {                                                       \
			return 0;                                                                  \
		}                                                                                  \
		return v < 0 ? -((x_##z)1 << BITS_##z) : (x_##z)1 << BITS_##z;                     \
	}                                                                                          \
	SOFT_INLINE x_##z shift_by_##z(x_##z v, x_##z amount, bool round, bool saturating)         \
	{                                                                                          \
		int by = (int8_t)amount;                                                           \
		if (by >= 0) {                                                                     \
			return shift_left_##z(v, by, saturating);                                  \
		}                                                                                  \
		by = -by < BITS_##z + 1 ? -by : BITS_##z + 1;                                      \
		return (v + (round ? (x_##z)1 << (by - 1) : 0)) >> by;                             \
	}
EACH_BHSD(SHIFT_LANE, )

#define SHIFT_BY_REGISTER(name, z)                                                                 \
	LANES3(SSHL_v_##z, s, z, m->z[k], shift_by_##z(a, b, false, false))                        \
	LANES3(USHL_v_##z, u, z, m->z[k], shift_by_##z(a, b, false, false))                        \
	LANES3(SRSHL_v_##z, s, z, m->z[k], shift_by_##z(a, b, true, false))                        \
	LANES3(URSHL_v_##z, u, z, m->z[k], shift_by_##z(a, b, true, false))                        \
	LANES3(SQSHL_v_##z, s, z, m->z[k], clamp_s_##z(shift_by_##z(a, b, false, true), &q))       \
	LANES3(UQSHL_v_##z, u, z, m->z[k], clamp_u_##z(shift_by_##z(a, b, false, true), &q))       \
	LANES3(SQRSHL_v_##z, s, z, m->z[k], clamp_s_##z(shift_by_##z(a, b, true, true), &q))       \
	LANES3(UQRSHL_v_##z, u, z, m->z[k], clamp_u_##z(shift_by_##z(a, b, true, true), &q))
EACH_BHSD(SHIFT_BY_REGISTER, )

#define SHIFT_BY_IMMEDIATE(name, z)                                                                \
	LANES3(SQSHL_imm_##z, s, z, 0,                                                             \
	       clamp_s_##z(a * ((x_##z)1 << simd_imm_left(w, BITS_##z)), &q))                      \
	LANES3(UQSHL_imm_##z, u, z, 0,                                                             \
	       clamp_u_##z(a * ((x_##z)1 << simd_imm_left(w, BITS_##z)), &q))                      \
	LANES3(SQSHLU_imm_##z, s, z, 0,                                                            \
	       clamp_u_##z(a * ((x_##z)1 << simd_imm_left(w, BITS_##z)), &q))
EACH_BHSD(SHIFT_BY_IMMEDIATE, )
