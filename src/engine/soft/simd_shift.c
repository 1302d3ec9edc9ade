/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_shift.c - Advanced SIMD shifts by immediate, and narrowing and widening
 *
 * How it works: shifts of whole vectors are vector expressions; narrowing goes element by element, through x_ where it
 * saturates.
 * Threads: the vCPU thread.
 */
#include "engine/soft/simd.h"

/*
 * n: operand, d: old destination, s: the amount.  An amount of the element's width (right) is done in two steps, as C has no
 * such shift.
 */
#define SHIFT(row, g, z, side, expr)                                                               \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		v##g##_##z n = VREG(v##g##_##z, A64_Rn(w));                                        \
		vu_##z d = VREG(vu_##z, A64_Rd(w));                                                \
		unsigned s = simd_imm_##side(w, BITS_##z);                                         \
		(void)d;                                                                           \
		simd_put(cpu, w, (vu_d)(expr));                                                    \
		NEXT(cpu, i);                                                                      \
	}
#define RIGHT(z)	 ((__typeof__(d))(n >> (s - 1) >> 1))
#define RIGHT_ROUND(z)	 ((__typeof__(d))((n >> (s - 1) >> 1) + (n >> (s - 1) & 1)))
#define ONES(z)		 ((u_##z)~(u_##z)0)
#define LOW_KEEP(z)	 ((u_##z)(((u_d)1 << s) - 1))
#define HIGH_KEEP(z)	 ((u_##z)~(ONES(z) >> (s - 1) >> 1))
#define SHIFTS(name, z)                                                                            \
	SHIFT(SSHR_##z, s, z, right, RIGHT(z))                                                     \
	SHIFT(USHR_##z, u, z, right, RIGHT(z))                                                     \
	SHIFT(SSRA_##z, s, z, right, d + RIGHT(z))                                                 \
	SHIFT(USRA_##z, u, z, right, d + RIGHT(z))                                                 \
	SHIFT(SRSHR_##z, s, z, right, RIGHT_ROUND(z))                                              \
	SHIFT(URSHR_##z, u, z, right, RIGHT_ROUND(z))                                              \
	SHIFT(SRSRA_##z, s, z, right, d + RIGHT_ROUND(z))                                          \
	SHIFT(URSRA_##z, u, z, right, d + RIGHT_ROUND(z))                                          \
	SHIFT(SRI_##z, u, z, right, RIGHT(z) | (d & HIGH_KEEP(z)))                                 \
	SHIFT(SHL_##z, u, z, left, n << s)                                                         \
	SHIFT(SLI_##z, u, z, left, n << s | (d & LOW_KEEP(z)))
EACH_BHSD(SHIFTS, )

/* Widening: SXTL and UXTL are these with amount 0. */
#define WIDEN(row, g, z, wide, amount)                                                             \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		uint64_t source = cpu->v[A64_Rn(w)].d[A64_Q(w)];                                   \
		vu_##wide r;                                                                       \
		unsigned s = amount;                                                               \
		for (unsigned k = 0; k < 8 / sizeof(u_##z); k++) {                                 \
			r[k] = (u_##wide)((u_##wide)(g##_##wide)(g##_##z)(source >> (k * BITS_##z)) << s); \
		}                                                                                  \
		VREG(vu_##wide, A64_Rd(w)) = r;                                                    \
		NEXT(cpu, i);                                                                      \
	}
#define WIDENS(z, wide)                                                                            \
	WIDEN(SSHLL_##z, s, z, wide, simd_imm_left(w, BITS_##z))                                   \
	WIDEN(USHLL_##z, u, z, wide, simd_imm_left(w, BITS_##z))                                   \
	WIDEN(SHLL_##z, u, z, wide, BITS_##z)
WIDENS(b, h)
WIDENS(h, s)
WIDENS(s, d)

/* Narrowing: v is the wide element as x_, rounding is half of the last place that stays. */
#define NARROW(row, g, z, wide, amount, expr)                                                      \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		const union vreg *n = &cpu->v[A64_Rn(w)];                                          \
		unsigned s = amount;                                                               \
		uint64_t r = 0;                                                                    \
		bool q = false;                                                                    \
		(void)s;                                                                           \
		for (unsigned k = 0; k < (simd_is_scalar(w) ? 1 : 8 / sizeof(u_##z)); k++) {       \
			x_##wide v = (g##_##wide)n->wide[k];                                       \
			r |= (u_d)(u_##z)(expr) << (k * BITS_##z);                                 \
		}                                                                                  \
		simd_saturated(cpu, q);                                                            \
		simd_put_half(cpu, w, r);                                                          \
		NEXT(cpu, i);                                                                      \
	}
#define ROUND(wide)	((x_##wide)1 << (s - 1))
#define IMM_RIGHT(z)	simd_imm_right(w, BITS_##z)
#define NARROWS(z, wide)                                                                           \
	NARROW(XTN_##z, u, z, wide, 0, v)                                                          \
	NARROW(SHRN_##z, u, z, wide, IMM_RIGHT(z), v >> s)                                         \
	NARROW(RSHRN_##z, u, z, wide, IMM_RIGHT(z), (v + ROUND(wide)) >> s)                        \
	NARROW(SQXTN_##z, s, z, wide, 0, narrow_s_##z(v, &q))                                      \
	NARROW(SQXTUN_##z, s, z, wide, 0, narrow_u_##z(v, &q))                                     \
	NARROW(UQXTN_##z, u, z, wide, 0, narrow_u_##z(v, &q))                                      \
	NARROW(SQSHRN_##z, s, z, wide, IMM_RIGHT(z), narrow_s_##z(v >> s, &q))                     \
	NARROW(SQRSHRN_##z, s, z, wide, IMM_RIGHT(z), narrow_s_##z((v + ROUND(wide)) >> s, &q))    \
	NARROW(UQSHRN_##z, u, z, wide, IMM_RIGHT(z), narrow_u_##z(v >> s, &q))                     \
	NARROW(UQRSHRN_##z, u, z, wide, IMM_RIGHT(z), narrow_u_##z((v + ROUND(wide)) >> s, &q))    \
	NARROW(SQSHRUN_##z, s, z, wide, IMM_RIGHT(z), narrow_u_##z(v >> s, &q))                    \
	NARROW(SQRSHRUN_##z, s, z, wide, IMM_RIGHT(z), narrow_u_##z((v + ROUND(wide)) >> s, &q))

/* Clamp a wide x_ to the narrow element. */
#define NARROW_CLAMP(z, wide)                                                                      \
	SOFT_INLINE u_##z narrow_s_##z(x_##wide v, bool *q)                                        \
	{                                                                                          \
		x_##wide max = ((x_##wide)1 << (BITS_##z - 1)) - 1;                                \
		*q |= v > max || v < -max - 1;                                                     \
		return (u_##z)(v > max ? max : v < -max - 1 ? -max - 1 : v);                       \
	}                                                                                          \
	SOFT_INLINE u_##z narrow_u_##z(x_##wide v, bool *q)                                        \
	{                                                                                          \
		x_##wide max = ((x_##wide)1 << BITS_##z) - 1;                                      \
		*q |= v > max || v < 0;                                                            \
		return (u_##z)(v > max ? max : v < 0 ? 0 : v);                                     \
	}
NARROW_CLAMP(b, h)
NARROW_CLAMP(h, s)
NARROW_CLAMP(s, d)
NARROWS(b, h)
NARROWS(h, s)
NARROWS(s, d)
