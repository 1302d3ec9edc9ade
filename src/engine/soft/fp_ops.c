/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp_ops.c - scalar floating-point instructions on FP registers
 *
 * How it works: one handler a row; suffixes h, s, d are the formats.  A result is written with zeros above it.
 * Threads: the vCPU thread.
 */
#include "engine/soft/fp_fast.h"
#include "engine/soft/simd.h"

enum { FORMAT_h = FP_H, FORMAT_s = FP_S, FORMAT_d = FP_D };

SOFT_INLINE void fp_put(struct cpu *cpu, uint32_t w, uint64_t value)
{
	VREG(vu_d, A64_Rd(w)) = (vu_d){value, 0};
}

/* expr of e (environment), a, b, c: Rn, Rm, Ra as @z. */
#define SCALAR(row, z, expr)                                                                       \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		struct fp_env *e = &cpu->fp;                                                       \
		uint64_t a = cpu->v[w >> 5 & 31].z[0], b = cpu->v[w >> 16 & 31].z[0],              \
			 c = cpu->v[w >> 10 & 31].z[0];                                            \
		(void)e, (void)a, (void)b, (void)c;                                                \
		fp_put(cpu, w, (u_##z)(expr));                                                     \
		NEXT(cpu, i);                                                                      \
	}
#define NEG(z, a) fp_neg(FORMAT_##z, a)
#define SCALARS(name, z)                                                                           \
	SCALAR(FMOV_f_##z, z, a)                                                                   \
	SCALAR(FABS_f_##z, z, fp_abs(FORMAT_##z, a))                                               \
	SCALAR(FNEG_f_##z, z, NEG(z, a))                                                           \
	SCALAR(FSQRT_f_##z, z, fp_fast_sqrt_##z(e, a))                                             \
	SCALAR(FMUL_f_##z, z, fp_fast_mul_##z(e, a, b))                                            \
	SCALAR(FDIV_f_##z, z, fp_fast_div_##z(e, a, b))                                            \
	SCALAR(FADD_f_##z, z, fp_fast_add_##z(e, a, b))                                            \
	SCALAR(FSUB_f_##z, z, fp_fast_sub_##z(e, a, b))                                            \
	SCALAR(FMAX_f_##z, z, fp_fast_max_##z(e, a, b))                                            \
	SCALAR(FMIN_f_##z, z, fp_fast_min_##z(e, a, b))                                            \
	SCALAR(FMAXNM_f_##z, z, fp_fast_maxnm_##z(e, a, b))                                        \
	SCALAR(FMINNM_f_##z, z, fp_fast_minnm_##z(e, a, b))                                        \
	SCALAR(FNMUL_f_##z, z, NEG(z, fp_fast_mul_##z(e, a, b)))                                   \
	SCALAR(FMADD_f_##z, z, fp_fast_muladd_##z(e, c, a, b))                                     \
	SCALAR(FMSUB_f_##z, z, fp_fast_muladd_##z(e, c, NEG(z, a), b))                             \
	SCALAR(FNMADD_f_##z, z, fp_fast_muladd_##z(e, NEG(z, c), NEG(z, a), b))                    \
	SCALAR(FNMSUB_f_##z, z, fp_fast_muladd_##z(e, NEG(z, c), a, b))                            \
	SCALAR(FRINTN_f_##z, z, fp_round_int(e, FORMAT_##z, a, FP_TIES_EVEN, false))               \
	SCALAR(FRINTP_f_##z, z, fp_round_int(e, FORMAT_##z, a, FP_PLUS_INF, false))                \
	SCALAR(FRINTM_f_##z, z, fp_round_int(e, FORMAT_##z, a, FP_MINUS_INF, false))               \
	SCALAR(FRINTZ_f_##z, z, fp_round_int(e, FORMAT_##z, a, FP_TO_ZERO, false))                 \
	SCALAR(FRINTA_f_##z, z, fp_round_int(e, FORMAT_##z, a, FP_TIES_AWAY, false))               \
	SCALAR(FRINTX_f_##z, z, fp_round_int(e, FORMAT_##z, a, fp_rmode(e), true))                 \
	SCALAR(FRINTI_f_##z, z, fp_round_int(e, FORMAT_##z, a, fp_rmode(e), false))
EACH_HSD(SCALARS, )

SCALAR(FRINT32Z_f_s, s, fp_round_to_width(e, FP_S, a, 32, FP_TO_ZERO))
SCALAR(FRINT32X_f_s, s, fp_round_to_width(e, FP_S, a, 32, fp_rmode(e)))
SCALAR(FRINT64Z_f_s, s, fp_round_to_width(e, FP_S, a, 64, FP_TO_ZERO))
SCALAR(FRINT64X_f_s, s, fp_round_to_width(e, FP_S, a, 64, fp_rmode(e)))
SCALAR(FRINT32Z_f_d, d, fp_round_to_width(e, FP_D, a, 32, FP_TO_ZERO))
SCALAR(FRINT32X_f_d, d, fp_round_to_width(e, FP_D, a, 32, fp_rmode(e)))
SCALAR(FRINT64Z_f_d, d, fp_round_to_width(e, FP_D, a, 64, FP_TO_ZERO))
SCALAR(FRINT64X_f_d, d, fp_round_to_width(e, FP_D, a, 64, fp_rmode(e)))

/* FCVT_ft: from f to t. */
#define CONVERT(row, from, expr)                                                                   \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		struct fp_env *e = &cpu->fp;                                                       \
		uint64_t a = cpu->v[A64_Rn(i->raw)].from[0];                                       \
		fp_put(cpu, i->raw, expr);                                                         \
		NEXT(cpu, i);                                                                      \
	}
CONVERT(FCVT_sd, s, fp_fast_s_to_d(e, a))
CONVERT(FCVT_ds, d, fp_fast_d_to_s(e, a))
CONVERT(FCVT_sh, s, fp_convert(e, FP_H, FP_S, a, fp_rmode(e)))
CONVERT(FCVT_dh, d, fp_convert(e, FP_H, FP_D, a, fp_rmode(e)))
CONVERT(FCVT_hs, h, fp_convert(e, FP_S, FP_H, a, fp_rmode(e)))
CONVERT(FCVT_hd, h, fp_convert(e, FP_D, FP_H, a, fp_rmode(e)))

/* Does condition @cc hold for @nzcv (bits 31:28)?  Arm ARM C1.2.4. */
SOFT_INLINE bool condition_holds(uint32_t nzcv, unsigned cc)
{
	bool n = nzcv >> 31 & 1, z = nzcv >> 30 & 1, c = nzcv >> 29 & 1, v = nzcv >> 28 & 1, holds;
	switch (cc >> 1) {
	case 0: holds = z; break;
	case 1: holds = c; break;
	case 2: holds = n; break;
	case 3: holds = v; break;
	case 4: holds = c && !z; break;
	case 5: holds = n == v; break;
	case 6: holds = n == v && !z; break;
	default: return true;
	}
	return holds != (cc & 1);
}

#define COMPARE(row, z, second, signalling)                                                        \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		cpu->nzcv = fp_fast_compare_##z(&cpu->fp, cpu->v[A64_Rn(w)].z[0], second,          \
						signalling);                                       \
		NEXT(cpu, i);                                                                      \
	}
#define CONDITIONAL(row, z, signalling)                                                            \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		if (condition_holds(cpu->nzcv, A64_cc(w))) {                                       \
			cpu->nzcv = fp_fast_compare_##z(&cpu->fp, cpu->v[A64_Rn(w)].z[0],          \
							cpu->v[A64_Rm(w)].z[0], signalling);       \
		} else {                                                                           \
			cpu->nzcv = A64_nzcv(w) << 28;                                             \
		}                                                                                  \
		NEXT(cpu, i);                                                                      \
	}
#define COMPARES(name, z)                                                                          \
	COMPARE(FCMP_f_##z, z, cpu->v[A64_Rm(w)].z[0], false)                                      \
	COMPARE(FCMPE_f_##z, z, cpu->v[A64_Rm(w)].z[0], true)                                      \
	COMPARE(FCMP_zero_##z, z, 0, false)                                                        \
	COMPARE(FCMPE_zero_##z, z, 0, true)                                                        \
	CONDITIONAL(FCCMP_f_##z, z, false)                                                         \
	CONDITIONAL(FCCMPE_f_##z, z, true)                                                         \
	SIMD_OP(FCSEL_f_##z)                                                                       \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		unsigned from = condition_holds(cpu->nzcv, A64_cc(w)) ? A64_Rn(w) : A64_Rm(w);     \
		fp_put(cpu, w, cpu->v[from].z[0]);                                                 \
		NEXT(cpu, i);                                                                      \
	}
EACH_HSD(COMPARES, )

/* VFPExpandImm: sign, an exponent of -3..4, four bits of fraction. */
#define IMMEDIATE(row, top, high_exp, low_exp, shift)                                              \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint64_t imm = A64_imm8(i->raw);                                                   \
		fp_put(cpu, i->raw,                                                                \
		       imm >> 7 << (top) | (imm >> 6 & 1 ? (high_exp) : (low_exp)) |               \
			       (imm & 0x3f) << (shift));                                           \
		NEXT(cpu, i);                                                                      \
	}
IMMEDIATE(FMOV_imm_h, 15, 0x3000, 0x4000, 6)
IMMEDIATE(FMOV_imm_s, 31, 0x3e000000, 0x40000000, 19)
IMMEDIATE(FMOV_imm_d, 63, 0x3fc0000000000000, 0x4000000000000000, 48)
