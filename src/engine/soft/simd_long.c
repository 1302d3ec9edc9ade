/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_long.c - Advanced SIMD operations whose operands have different widths, and across-lanes reductions
 *
 * How it works: each handler is an expression of one element in 64 bits (a, b: operands extended to the wide element's
 * width or more; c: the old destination).  The "2" forms take the upper half of the narrow vectors.
 * Threads: the vCPU thread.
 */
#include "engine/soft/simd.h"

/* @z is the narrow element, @g its kind; @first and @second are the operands. */
#define LONG3(row, z, wide, first, second, expr)                                                   \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		const union vreg *n = &cpu->v[A64_Rn(w)], *m = &cpu->v[A64_Rm(w)],                 \
				 *d = &cpu->v[A64_Rd(w)];                                          \
		unsigned half = simd_half(w, LOG2_##z);                                            \
		union vreg r;                                                                      \
		for (unsigned k = 0; k < 8 / sizeof(u_##z); k++) {                                 \
			uint64_t a = (uint64_t)(first), b = (uint64_t)(second), c = d->wide[k];    \
			(void)c;                                                                   \
			r.wide[k] = (u_##wide)(expr);                                              \
		}                                                                                  \
		(void)half, (void)m;                                                               \
		cpu->v[A64_Rd(w)] = r;                                                             \
		NEXT(cpu, i);                                                                      \
	}
#define ABSDIFF ((int64_t)a > (int64_t)b ? a - b : b - a)

#define N_S(z) (int64_t)(s_##z)n->z[k + half]
#define M_S(z) (int64_t)(s_##z)m->z[k + half]
#define N_U(z) n->z[k + half]
#define M_U(z) m->z[k + half]
#define LONGS(z, wide)                                                                             \
	LONG3(SADDL_##z, z, wide, N_S(z), M_S(z), a + b)                                           \
	LONG3(UADDL_##z, z, wide, N_U(z), M_U(z), a + b)                                           \
	LONG3(SSUBL_##z, z, wide, N_S(z), M_S(z), a - b)                                           \
	LONG3(USUBL_##z, z, wide, N_U(z), M_U(z), a - b)                                           \
	LONG3(SADDW_##z, z, wide, n->wide[k], M_S(z), a + b)                                       \
	LONG3(UADDW_##z, z, wide, n->wide[k], M_U(z), a + b)                                       \
	LONG3(SSUBW_##z, z, wide, n->wide[k], M_S(z), a - b)                                       \
	LONG3(USUBW_##z, z, wide, n->wide[k], M_U(z), a - b)                                       \
	LONG3(SABDL_v_##z, z, wide, N_S(z), M_S(z), ABSDIFF)                                       \
	LONG3(UABDL_v_##z, z, wide, N_U(z), M_U(z), ABSDIFF)                                       \
	LONG3(SABAL_##z, z, wide, N_S(z), M_S(z), c + ABSDIFF)                                     \
	LONG3(UABAL_##z, z, wide, N_U(z), M_U(z), c + ABSDIFF)                                     \
	PRODUCTS(v, z, wide, M_S(z), M_U(z))
#define PRODUCTS(kind, z, wide, second_s, second_u)                                                \
	LONG3(SMULL_##kind##_##z, z, wide, N_S(z), second_s, a * b)                                \
	LONG3(UMULL_##kind##_##z, z, wide, N_U(z), second_u, a * b)                                \
	LONG3(SMLAL_##kind##_##z, z, wide, N_S(z), second_s, c + a * b)                            \
	LONG3(UMLAL_##kind##_##z, z, wide, N_U(z), second_u, c + a * b)                            \
	LONG3(SMLSL_##kind##_##z, z, wide, N_S(z), second_s, c - a * b)                            \
	LONG3(UMLSL_##kind##_##z, z, wide, N_U(z), second_u, c - a * b)
LONGS(b, h)
LONGS(h, s)
LONGS(s, d)
PRODUCTS(elem, h, s, (s_h)simd_elem_h(cpu, w), simd_elem_h(cpu, w))
PRODUCTS(elem, s, d, (s_s)simd_elem_s(cpu, w), simd_elem_s(cpu, w))

/* Saturating doubling products, vector and scalar. */
#define DOUBLING(row, z, wide, second, expr)                                                       \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		const union vreg *n = &cpu->v[A64_Rn(w)], *m = &cpu->v[A64_Rm(w)],                 \
				 *d = &cpu->v[A64_Rd(w)];                                          \
		unsigned half = simd_half(w, LOG2_##z);                                            \
		union vreg r = {.d = {0, 0}};                                                      \
		bool q = false;                                                                    \
		for (unsigned k = 0; k < (simd_is_scalar(w) ? 1 : 8 / sizeof(u_##z)); k++) {       \
			x_##wide a = (s_##z)n->z[k + half], b = (s_##z)(second),                   \
				 c = (s_##wide)d->wide[k],                                         \
				 p = (s_##wide)clamp_s_##wide(2 * a * b, &q);                      \
			(void)c;                                                                   \
			r.wide[k] = expr;                                                          \
		}                                                                                  \
		(void)m;                                                                           \
		simd_saturated(cpu, q);                                                            \
		cpu->v[A64_Rd(w)] = r;                                                             \
		NEXT(cpu, i);                                                                      \
	}
#define DOUBLINGS(kind, z, wide, second)                                                           \
	DOUBLING(SQDMULL_##kind##_##z, z, wide, second, (u_##wide)p)                               \
	DOUBLING(SQDMLAL_##kind##_##z, z, wide, second, clamp_s_##wide(c + p, &q))                 \
	DOUBLING(SQDMLSL_##kind##_##z, z, wide, second, clamp_s_##wide(c - p, &q))
DOUBLINGS(v, h, s, m->h[k + half])
DOUBLINGS(v, s, d, m->s[k + half])
DOUBLINGS(elem, h, s, simd_elem_h(cpu, w))
DOUBLINGS(elem, s, d, simd_elem_s(cpu, w))

/* The high halves of sums and differences. */
#define HIGH_NARROW(row, z, wide, expr)                                                            \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		const union vreg *n = &cpu->v[A64_Rn(w)], *m = &cpu->v[A64_Rm(w)];                 \
		const uint64_t round = 1ull << (BITS_##z - 1);                                     \
		uint64_t r = 0;                                                                    \
		for (unsigned k = 0; k < 8 / sizeof(u_##z); k++) {                                 \
			uint64_t a = n->wide[k], b = m->wide[k];                                   \
			r |= (u_d)(u_##z)((expr) >> BITS_##z) << (k * BITS_##z);                   \
		}                                                                                  \
		(void)round;                                                                       \
		simd_put_half(cpu, w, r);                                                          \
		NEXT(cpu, i);                                                                      \
	}
#define HIGH_NARROWS(z, wide)                                                                      \
	HIGH_NARROW(ADDHN_##z, z, wide, a + b)                                                     \
	HIGH_NARROW(RADDHN_##z, z, wide, a + b + round)                                            \
	HIGH_NARROW(SUBHN_v_##z, z, wide, a - b)                                                   \
	HIGH_NARROW(RSUBHN_v_##z, z, wide, a - b + round)
HIGH_NARROWS(b, h)
HIGH_NARROWS(h, s)
HIGH_NARROWS(s, d)

/* Carry-less products of bytes; those of doublewords are in simd_crypto.c. */
SIMD_OP(PMULL_b)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	const union vreg *n = &cpu->v[A64_Rn(w)], *m = &cpu->v[A64_Rm(w)];
	vu_h a, b, product = {0};
	for (unsigned k = 0; k < 8; k++) {
		a[k] = n->b[k + simd_half(w, LOG2_b)];
		b[k] = m->b[k + simd_half(w, LOG2_b)];
	}
	for (unsigned k = 0; k < 8; k++) {
		product ^= (a << k) & -(b >> k & 1);
	}
	VREG(vu_h, A64_Rd(w)) = product;
	NEXT(cpu, i);
}

/* Reductions to one element; @out is its size.  r starts as the first element. */
#define ACROSS(row, g, z, out, expr)                                                               \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		const union vreg *n = &cpu->v[A64_Rn(w)];                                          \
		int64_t r = (g##_##z)n->z[0];                                                      \
		for (unsigned k = 1; k < simd_lanes(w, LOG2_##z); k++) {                           \
			int64_t a = (g##_##z)n->z[k];                                              \
			r = expr;                                                                  \
		}                                                                                  \
		VREG(vu_d, A64_Rd(w)) = (vu_d){(u_##out)r, 0};                                     \
		NEXT(cpu, i);                                                                      \
	}
#define ACROSS_ALL(z, wide)                                                                        \
	ACROSS(ADDV_##z, u, z, z, r + a)                                                           \
	ACROSS(SADDLV_##z, s, z, wide, r + a)                                                      \
	ACROSS(UADDLV_##z, u, z, wide, r + a)                                                      \
	ACROSS(SMAXV_##z, s, z, z, r > a ? r : a)                                                  \
	ACROSS(UMAXV_##z, u, z, z, r > a ? r : a)                                                  \
	ACROSS(SMINV_##z, s, z, z, r < a ? r : a)                                                  \
	ACROSS(UMINV_##z, u, z, z, r < a ? r : a)
ACROSS_ALL(b, h)
ACROSS_ALL(h, s)
ACROSS_ALL(s, d)
