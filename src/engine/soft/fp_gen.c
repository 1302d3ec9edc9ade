/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp_gen.c - FP instructions between FP registers and general registers
 *
 * How it works: `sf` is the width of the general register; results for W registers come with zeros above.
 * Threads: the vCPU thread.
 */
#include "engine/soft/fp_fast.h"
#include "engine/soft/simd.h"

enum { FORMAT_h = FP_H, FORMAT_s = FP_S, FORMAT_d = FP_D };

SOFT_INLINE unsigned gen_bits(uint32_t w)
{
	return A64_sf(w) ? 64 : 32;
}

/* To an integer, @is_unsigned, rounding as @mode says, with @fbits fraction bits. */
#define TO_GENERAL(row, z, is_unsigned, mode, fbits)                                               \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		uint64_t v = fp_to_int(&cpu->fp, FORMAT_##z, cpu->v[A64_Rn(w)].z[0], gen_bits(w),  \
				       fbits, is_unsigned, mode);                                  \
		simd_write_x(cpu, A64_Rd(w), v);                                                   \
		NEXT(cpu, i);                                                                      \
	}

/* The general register as the 64-bit number it stands for. */
SOFT_INLINE uint64_t gen_value(const struct cpu *cpu, uint32_t w, bool is_unsigned)
{
	uint64_t v = simd_read_x(cpu, A64_Rn(w));
	if (A64_sf(w)) {
		return v;
	}
	return is_unsigned ? (uint32_t)v : (uint64_t)(int32_t)v;
}

#define FROM_GENERAL(row, z, is_unsigned, fbits)                                                   \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		struct fp_env *e = &cpu->fp;                                                       \
		uint64_t v = gen_value(cpu, w, is_unsigned);                                       \
		v = fp_from_int(e, FORMAT_##z, v, fbits, is_unsigned, fp_rmode(e));                \
		VREG(vu_d, A64_Rd(w)) = (vu_d){v, 0};                                              \
		NEXT(cpu, i);                                                                      \
	}

#define CONVERSIONS(name, z)                                                                       \
	TO_GENERAL(FCVTNS_gen_##z, z, false, FP_TIES_EVEN, 0)                                      \
	TO_GENERAL(FCVTNU_gen_##z, z, true, FP_TIES_EVEN, 0)                                       \
	TO_GENERAL(FCVTPS_gen_##z, z, false, FP_PLUS_INF, 0)                                       \
	TO_GENERAL(FCVTPU_gen_##z, z, true, FP_PLUS_INF, 0)                                        \
	TO_GENERAL(FCVTMS_gen_##z, z, false, FP_MINUS_INF, 0)                                      \
	TO_GENERAL(FCVTMU_gen_##z, z, true, FP_MINUS_INF, 0)                                       \
	TO_GENERAL(FCVTZU_gen_##z, z, true, FP_TO_ZERO, 0)                                         \
	TO_GENERAL(FCVTAS_gen_##z, z, false, FP_TIES_AWAY, 0)                                      \
	TO_GENERAL(FCVTAU_gen_##z, z, true, FP_TIES_AWAY, 0)                                       \
	TO_GENERAL(FCVTZS_gfix_##z, z, false, FP_TO_ZERO, 64 - A64_scale(w))                       \
	TO_GENERAL(FCVTZU_gfix_##z, z, true, FP_TO_ZERO, 64 - A64_scale(w))                        \
	FROM_GENERAL(UCVTF_gen_##z, z, true, 0)                                                    \
	FROM_GENERAL(SCVTF_gfix_##z, z, false, 64 - A64_scale(w))                                  \
	FROM_GENERAL(UCVTF_gfix_##z, z, true, 64 - A64_scale(w))
EACH_HSD(CONVERSIONS, )
TO_GENERAL(FCVTZS_gen_h, h, false, FP_TO_ZERO, 0)
TO_GENERAL(FCVTZS_gen_s, s, false, FP_TO_ZERO, 0)
FROM_GENERAL(SCVTF_gen_h, h, false, 0)
FROM_GENERAL(SCVTF_gen_s, s, false, 0)

SIMD_OP(FCVTZS_gen_d)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	simd_write_x(cpu, A64_Rd(w), fp_fast_d_to_int(&cpu->fp, cpu->v[A64_Rn(w)].d[0], gen_bits(w)));
	NEXT(cpu, i);
}

SIMD_OP(SCVTF_gen_d)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	uint64_t v = fp_fast_d_from_int(&cpu->fp, (int64_t)gen_value(cpu, w, false));
	VREG(vu_d, A64_Rd(w)) = (vu_d){v, 0};
	NEXT(cpu, i);
}

SIMD_OP(FJCVTZS)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	uint64_t v = fp_to_int_js(&cpu->fp, cpu->v[A64_Rn(w)].d[0]);
	simd_write_x(cpu, A64_Rd(w), (uint32_t)v);
	cpu->nzcv = v & FP_JS_EXACT ? 4u << 28 : 0;
	NEXT(cpu, i);
}

#define MOVE_TO_GENERAL(row, element)                                                              \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		simd_write_x(cpu, A64_Rd(i->raw), cpu->v[A64_Rn(i->raw)].element);                 \
		NEXT(cpu, i);                                                                      \
	}
MOVE_TO_GENERAL(FMOV_to_h, h[0])
MOVE_TO_GENERAL(FMOV_to_w, s[0])
MOVE_TO_GENERAL(FMOV_to_x, d[0])
MOVE_TO_GENERAL(FMOV_to_x_top, d[1])

#define MOVE_FROM_GENERAL(row, type)                                                               \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint64_t v = (type)simd_read_x(cpu, A64_Rn(i->raw));                               \
		VREG(vu_d, A64_Rd(i->raw)) = (vu_d){v, 0};                                         \
		NEXT(cpu, i);                                                                      \
	}
MOVE_FROM_GENERAL(FMOV_from_h, u_h)
MOVE_FROM_GENERAL(FMOV_from_w, u_s)
MOVE_FROM_GENERAL(FMOV_from_x, u_d)

SIMD_OP(FMOV_from_x_top)
{
	SIMD_ENTER(cpu, i)
	cpu->v[A64_Rd(i->raw)].d[1] = simd_read_x(cpu, A64_Rn(i->raw));
	NEXT(cpu, i);
}
