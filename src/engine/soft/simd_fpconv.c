/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_fpconv.c - Advanced SIMD conversions between FP formats, integers and fixed point, and rounding to integral
 *
 * How it works: each handler is an expression of one element a.  Integers have the width of the FP element.
 * Threads: the vCPU thread.
 */
#include "engine/soft/fp_fast.h"
#include "engine/soft/simd.h"

enum { FORMAT_h = FP_H, FORMAT_s = FP_S, FORMAT_d = FP_D };

#define LANES(row, z, expr)                                                                        \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		struct fp_env *e = &cpu->fp;                                                       \
		const union vreg *n = &cpu->v[A64_Rn(w)];                                          \
		union vreg r = {.d = {0, 0}};                                                      \
		for (unsigned k = 0; k < simd_lanes(w, LOG2_##z); k++) {                           \
			uint64_t a = n->z[k];                                                      \
			r.z[k] = (u_##z)(expr);                                                    \
		}                                                                                  \
		cpu->v[A64_Rd(w)] = r;                                                             \
		NEXT(cpu, i);                                                                      \
	}

#define ROUND(z, mode, exact)	    fp_round_int(e, FORMAT_##z, a, mode, exact)
#define TO_INT(z, is_unsigned, mode, fbits)                                                        \
	fp_to_int(e, FORMAT_##z, a, BITS_##z, fbits, is_unsigned, mode)
#define FROM_SIGNED(z, fbits)	    fp_from_int(e, FORMAT_##z, (uint64_t)(s_##z)a, fbits, false, fp_rmode(e))
#define FROM_UNSIGNED(z, fbits)	    fp_from_int(e, FORMAT_##z, a, fbits, true, fp_rmode(e))
#define FBITS(z)		    simd_imm_right(w, BITS_##z)
#define CONVERSIONS(name, z)                                                                       \
	LANES(FRINTN_v_##z, z, ROUND(z, FP_TIES_EVEN, false))                                      \
	LANES(FRINTP_v_##z, z, ROUND(z, FP_PLUS_INF, false))                                       \
	LANES(FRINTM_v_##z, z, ROUND(z, FP_MINUS_INF, false))                                      \
	LANES(FRINTZ_v_##z, z, ROUND(z, FP_TO_ZERO, false))                                        \
	LANES(FRINTA_v_##z, z, ROUND(z, FP_TIES_AWAY, false))                                      \
	LANES(FRINTX_v_##z, z, ROUND(z, fp_rmode(e), true))                                        \
	LANES(FRINTI_v_##z, z, ROUND(z, fp_rmode(e), false))                                       \
	LANES(FCVTNS_v_##z, z, TO_INT(z, false, FP_TIES_EVEN, 0))                                  \
	LANES(FCVTNU_v_##z, z, TO_INT(z, true, FP_TIES_EVEN, 0))                                   \
	LANES(FCVTPS_v_##z, z, TO_INT(z, false, FP_PLUS_INF, 0))                                   \
	LANES(FCVTPU_v_##z, z, TO_INT(z, true, FP_PLUS_INF, 0))                                    \
	LANES(FCVTMS_v_##z, z, TO_INT(z, false, FP_MINUS_INF, 0))                                  \
	LANES(FCVTMU_v_##z, z, TO_INT(z, true, FP_MINUS_INF, 0))                                   \
	LANES(FCVTZS_v_##z, z, TO_INT(z, false, FP_TO_ZERO, 0))                                    \
	LANES(FCVTZU_v_##z, z, TO_INT(z, true, FP_TO_ZERO, 0))                                     \
	LANES(FCVTAS_v_##z, z, TO_INT(z, false, FP_TIES_AWAY, 0))                                  \
	LANES(FCVTAU_v_##z, z, TO_INT(z, true, FP_TIES_AWAY, 0))                                   \
	LANES(FCVTZS_vfix_##z, z, TO_INT(z, false, FP_TO_ZERO, FBITS(z)))                          \
	LANES(FCVTZU_vfix_##z, z, TO_INT(z, true, FP_TO_ZERO, FBITS(z)))                           \
	LANES(SCVTF_v_##z, z, FROM_SIGNED(z, 0))                                                   \
	LANES(UCVTF_v_##z, z, FROM_UNSIGNED(z, 0))                                                 \
	LANES(SCVTF_vfix_##z, z, FROM_SIGNED(z, FBITS(z)))                                         \
	LANES(UCVTF_vfix_##z, z, FROM_UNSIGNED(z, FBITS(z)))
EACH_HSD(CONVERSIONS, )

#define ROUND_WIDTHS(z)                                                                            \
	LANES(FRINT32Z_v_##z, z, fp_round_to_width(e, FORMAT_##z, a, 32, FP_TO_ZERO))              \
	LANES(FRINT32X_v_##z, z, fp_round_to_width(e, FORMAT_##z, a, 32, fp_rmode(e)))             \
	LANES(FRINT64Z_v_##z, z, fp_round_to_width(e, FORMAT_##z, a, 64, FP_TO_ZERO))              \
	LANES(FRINT64X_v_##z, z, fp_round_to_width(e, FORMAT_##z, a, 64, fp_rmode(e)))
ROUND_WIDTHS(s)
ROUND_WIDTHS(d)

/* Widening takes the half that Q selects. */
#define WIDEN(row, z, wide, expr)                                                                  \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		struct fp_env *e = &cpu->fp;                                                       \
		const union vreg *n = &cpu->v[A64_Rn(i->raw)];                                     \
		unsigned half = simd_half(i->raw, LOG2_##z);                                       \
		union vreg r;                                                                      \
		for (unsigned k = 0; k < 8 / sizeof(u_##z); k++) {                                 \
			uint64_t a = n->z[half + k];                                               \
			r.wide[k] = (u_##wide)(expr);                                              \
		}                                                                                  \
		cpu->v[A64_Rd(i->raw)] = r;                                                        \
		NEXT(cpu, i);                                                                      \
	}
WIDEN(FCVTL_h, h, s, fp_convert(e, FP_S, FP_H, a, fp_rmode(e)))
WIDEN(FCVTL_s, s, d, fp_fast_s_to_d(e, a))

/* Narrowing writes it; the scalar FCVTXN converts one element. */
#define NARROW(row, z, wide, expr)                                                                 \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		struct fp_env *e = &cpu->fp;                                                       \
		const union vreg *n = &cpu->v[A64_Rn(w)];                                          \
		uint64_t r = 0;                                                                    \
		for (unsigned k = 0; k < (simd_is_scalar(w) ? 1 : 8 / sizeof(u_##z)); k++) {       \
			uint64_t a = n->wide[k];                                                   \
			r |= (u_d)(u_##z)(expr) << (k * BITS_##z);                                 \
		}                                                                                  \
		simd_put_half(cpu, w, r);                                                          \
		NEXT(cpu, i);                                                                      \
	}
NARROW(FCVTN_h, h, s, fp_convert(e, FP_H, FP_S, a, fp_rmode(e)))
NARROW(FCVTN_s, s, d, fp_fast_d_to_s(e, a))
NARROW(FCVTXN, s, d, fp_convert(e, FP_S, FP_D, a, FP_TO_ODD))
