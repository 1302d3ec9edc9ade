/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_fp.c - Advanced SIMD floating-point arithmetic and comparisons, vector and scalar
 *
 * How it works: each handler is an expression of one element: a, b (operands), c (old destination), e (environment).
 * Threads: the vCPU thread.
 */
#include "engine/soft/fp_fast.h"
#include "engine/soft/simd.h"

enum { FORMAT_h = FP_H, FORMAT_s = FP_S, FORMAT_d = FP_D };

#define LANES(row, z, second, expr)                                                                \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		struct fp_env *e = &cpu->fp;                                                       \
		const union vreg *n = &cpu->v[A64_Rn(w)], *m = &cpu->v[A64_Rm(w)],                 \
				 *d = &cpu->v[A64_Rd(w)];                                          \
		union vreg r = {.d = {0, 0}};                                                      \
		for (unsigned k = 0; k < simd_lanes(w, LOG2_##z); k++) {                           \
			uint64_t a = n->z[k], b = (second), c = d->z[k];                           \
			(void)a, (void)b, (void)c;                                                 \
			r.z[k] = (u_##z)(expr);                                                    \
		}                                                                                  \
		(void)m, (void)e;                                                                  \
		cpu->v[A64_Rd(w)] = r;                                                             \
		NEXT(cpu, i);                                                                      \
	}
#ifdef SOFT_TAILCALLS
#define LEAVE_TO_EACH(row) SOFT_TAIL return op_##row##_each(cpu, i)
#else
#define LEAVE_TO_EACH(row)                                                                         \
	do {                                                                                       \
		op_##row##_each(cpu, i);                                                           \
		return;                                                                            \
	} while (0)
#endif
#define NEG(z, a)  fp_neg(FORMAT_##z, a)
#define ABS(z, a)  fp_abs(FORMAT_##z, a)
#define CALL(f, z) f(e, FORMAT_##z, a, b)
#define MASK(c)	   (-(uint64_t)(c))

#define ARITHMETIC(name, z)                                                                        \
	LANES(FDIV_v_##z, z, m->z[k], fp_fast_div_##z(e, a, b))                                    \
	LANES(FMAX_v_##z, z, m->z[k], fp_fast_max_##z(e, a, b))                                    \
	LANES(FMIN_v_##z, z, m->z[k], fp_fast_min_##z(e, a, b))                                    \
	LANES(FMAXNM_v_##z, z, m->z[k], fp_fast_maxnm_##z(e, a, b))                                \
	LANES(FMINNM_v_##z, z, m->z[k], fp_fast_minnm_##z(e, a, b))                                \
	LANES(FABD_v_##z, z, m->z[k], ABS(z, fp_fast_sub_##z(e, a, b)))                            \
	LANES(FMULX_v_##z, z, m->z[k], CALL(fp_mulx, z))                                           \
	LANES(FRECPS_v_##z, z, m->z[k], CALL(fp_recps, z))                                         \
	LANES(FRSQRTS_v_##z, z, m->z[k], CALL(fp_rsqrts, z))                                       \
	LANES(FCMEQ_v_##z, z, m->z[k], MASK(fp_fast_eq_##z(e, a, b)))                              \
	LANES(FCMGE_v_##z, z, m->z[k], MASK(fp_fast_ge_##z(e, a, b)))                              \
	LANES(FCMGT_v_##z, z, m->z[k], MASK(fp_fast_gt_##z(e, a, b)))                              \
	LANES(FACGE_v_##z, z, m->z[k], MASK(fp_fast_ge_##z(e, ABS(z, a), ABS(z, b))))              \
	LANES(FACGT_v_##z, z, m->z[k], MASK(fp_fast_gt_##z(e, ABS(z, a), ABS(z, b))))              \
	LANES(FCMEQ0_v_##z, z, 0, MASK(fp_fast_eq_##z(e, a, b)))                                   \
	LANES(FCMGE0_v_##z, z, 0, MASK(fp_fast_ge_##z(e, a, b)))                                   \
	LANES(FCMGT0_v_##z, z, 0, MASK(fp_fast_gt_##z(e, a, b)))                                   \
	LANES(FCMLE0_v_##z, z, 0, MASK(fp_fast_ge_##z(e, b, a)))                                   \
	LANES(FCMLT0_v_##z, z, 0, MASK(fp_fast_gt_##z(e, b, a)))                                   \
	LANES(FABS_v_##z, z, 0, ABS(z, a))                                                         \
	LANES(FNEG_v_##z, z, 0, NEG(z, a))                                                         \
	LANES(FSQRT_v_##z, z, 0, fp_fast_sqrt_##z(e, a))                                           \
	LANES(FRECPE_v_##z, z, 0, fp_recpe(e, FORMAT_##z, a))                                      \
	LANES(FRSQRTE_v_##z, z, 0, fp_rsqrte(e, FORMAT_##z, a))                                    \
	LANES(FRECPX_##z, z, 0, fp_recpx(e, FORMAT_##z, a))                                        \
	LANES(FMUL_elem_##z, z, simd_elem_##z(cpu, w), fp_fast_mul_##z(e, a, b))                   \
	LANES(FMULX_elem_##z, z, simd_elem_##z(cpu, w), CALL(fp_mulx, z))                          \
	LANES(FMLA_elem_##z, z, simd_elem_##z(cpu, w), fp_fast_muladd_##z(e, c, a, b))             \
	LANES(FMLS_elem_##z, z, simd_elem_##z(cpu, w), fp_fast_muladd_##z(e, c, NEG(z, a), b))

/*
 * Whole vectors on the host's FP unit, with the conditions of fp_fast.h for all elements and IXC set already; else each
 * element by itself.  @zero says where a result of 0 is fine.
 */
typedef float vf_s __attribute__((vector_size(16)));
typedef double vf_d __attribute__((vector_size(16)));
static const vf_s smallest_s = {0x1p-126f, 0x1p-126f, 0x1p-126f, 0x1p-126f};
static const vf_s largest_s = {0x1.fffffep127f, 0x1.fffffep127f, 0x1.fffffep127f, 0x1.fffffep127f};
static const vf_d smallest_d = {0x1p-1022, 0x1p-1022};
static const vf_d largest_d = {0x1.fffffffffffffp1023, 0x1.fffffffffffffp1023};

SOFT_INLINE bool all_ones(vu_d mask)
{
	return (mask[0] & mask[1]) == ~0ull;
}

/* c + a * b by a host that has such an instruction. */
#ifdef __x86_64__
#define WITH_FUSE __attribute__((target("fma"), noinline))
SOFT_INLINE bool fuse_available(void)
{
	return __builtin_cpu_supports("fma");
}
#else
#define WITH_FUSE __attribute__((noinline))
SOFT_INLINE bool fuse_available(void)
{
	return false;
}
#endif

WITH_FUSE static vf_s fuse_s(vf_s a, vf_s b, vf_s c)
{
	return (vf_s){__builtin_fmaf(a[0], b[0], c[0]), __builtin_fmaf(a[1], b[1], c[1]),
		      __builtin_fmaf(a[2], b[2], c[2]), __builtin_fmaf(a[3], b[3], c[3])};
}

WITH_FUSE static vf_d fuse_d(vf_d a, vf_d b, vf_d c)
{
	return (vf_d){__builtin_fma(a[0], b[0], c[0]), __builtin_fma(a[1], b[1], c[1])};
}

#define SUBNORMAL_s 0x007fffff /* the largest */
#define SUBNORMAL_d 0x000fffffffffffff
/* Does FPCR.FZ leave all elements as they are? */
#define KEEPS(z)                                                                                   \
	SOFT_INLINE bool keeps_##z(const struct fp_env *e, vf_##z a, vf_##z b, vf_##z c)           \
	{                                                                                          \
		const vu_##z all = (vu_##z){0} + (u_##z)~fp_sign_bit(FORMAT_##z);                  \
		const vu_##z most = (vu_##z){0} + (u_##z)SUBNORMAL_##z; \
		return LIKELY(!(e->cr & FPCR_FZ)) ||                                               \
		       all_ones((vu_d)(((vu_##z)a & all) - 1 >= most) &                            \
				(vu_d)(((vu_##z)b & all) - 1 >= most) &                            \
				(vu_d)(((vu_##z)c & all) - 1 >= most));                            \
	}
KEEPS(s)
KEEPS(d)

/* @available: @result can be computed here. */
#define WHOLE(row, z, available, result, zero)                                                     \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		uint32_t w = i->raw;                                                               \
		if (!(available)) {                                                                \
			LEAVE_TO_EACH(row);                                  \
		}                                                                                  \
		vf_##z a = VREG(vf_##z, A64_Rn(w)), b = VREG(vf_##z, A64_Rm(w)),                   \
		       c = VREG(vf_##z, A64_Rd(w)), r = result;                                    \
		(void)c;                                                                           \
		vf_##z magnitude = (vf_##z)((vu_##z)r & ((vu_##z){0} + (u_##z)~fp_sign_bit(FORMAT_##z))); \
		vu_d fine = (vu_d)(magnitude > smallest_##z) & (vu_d)(magnitude <= largest_##z);   \
		fine |= ((vu_d)(r == 0) & (zero)) | (vu_d){0, (u_d)A64_Q(w) - 1};                  \
		if (LIKELY(all_ones(fine) && !(cpu->fpcr & FPCR_RMODE) &&                          \
			   keeps_##z(&cpu->fp, a, b, c) && (cpu->fpsr & FPSR_IXC) &&               \
			   !cpu->fp_trapped)) {                                                    \
			simd_put(cpu, w, (vu_d)r);                                                 \
			NEXT(cpu, i);                                                              \
		}                                                                                  \
		LEAVE_TO_EACH(row);                                          \
	}
#define NO_ZERO      ((vu_d){0, 0})
#define ANY_ZERO     ((vu_d){~0ull, ~0ull})
#define FACTOR_ZERO  ((vu_d)(a == 0) | (vu_d)(b == 0))
#define WHOLE_OR_EACH(z)                                                                           \
	SIMD_DECLARE(FADD_v_##z##_each)                                                            \
	SIMD_DECLARE(FSUB_v_##z##_each)                                                            \
	SIMD_DECLARE(FMUL_v_##z##_each)                                                            \
	SIMD_DECLARE(FMLA_v_##z##_each)                                                            \
	SIMD_DECLARE(FMLS_v_##z##_each)                                                            \
	LANES(FADD_v_##z##_each, z, m->z[k], fp_fast_add_##z(e, a, b))                             \
	LANES(FSUB_v_##z##_each, z, m->z[k], fp_fast_sub_##z(e, a, b))                             \
	LANES(FMUL_v_##z##_each, z, m->z[k], fp_fast_mul_##z(e, a, b))                             \
	LANES(FMLA_v_##z##_each, z, m->z[k], fp_fast_muladd_##z(e, c, a, b))                       \
	LANES(FMLS_v_##z##_each, z, m->z[k], fp_fast_muladd_##z(e, c, NEG(z, a), b))               \
	WHOLE(FADD_v_##z, z, true, a + b, ANY_ZERO)                                                \
	WHOLE(FSUB_v_##z, z, true, a - b, ANY_ZERO)                                                \
	WHOLE(FMUL_v_##z, z, true, a * b, FACTOR_ZERO)                                             \
	WHOLE(FMLA_v_##z, z, fuse_available(), fuse_##z(a, b, c), NO_ZERO)                         \
	WHOLE(FMLS_v_##z, z, fuse_available(), fuse_##z(-a, b, c), NO_ZERO)
WHOLE_OR_EACH(s)
WHOLE_OR_EACH(d)
LANES(FADD_v_h, h, m->h[k], fp_fast_add_h(e, a, b))
LANES(FSUB_v_h, h, m->h[k], fp_fast_sub_h(e, a, b))
LANES(FMUL_v_h, h, m->h[k], fp_fast_mul_h(e, a, b))
LANES(FMLA_v_h, h, m->h[k], fp_fast_muladd_h(e, c, a, b))
LANES(FMLS_v_h, h, m->h[k], fp_fast_muladd_h(e, c, NEG(h, a), b))
EACH_HSD(ARITHMETIC, )

/* Integer estimates: the operand is a fraction below 1 with its top bit (or one of the two top bits) set. */
LANES(URECPE_v, s, 0,
      a >> 31 ? (uint64_t)fp_recip_estimate((unsigned)(a >> 23)) << 23 : 0xffffffff)
LANES(URSQRTE_v, s, 0,
      a >> 30 ? (uint64_t)fp_rsqrt_estimate((unsigned)(a >> 23)) << 23 : 0xffffffff)

/* Pairwise: neighbours of m:n. */
#define PAIRWISE(row, z, expr)                                                                     \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		struct fp_env *e = &cpu->fp;                                                       \
		const union vreg *n = &cpu->v[A64_Rn(w)], *m = &cpu->v[A64_Rm(w)];                 \
		unsigned lanes = simd_lanes(w, LOG2_##z);                                          \
		union vreg r = {.d = {0, 0}};                                                      \
		for (unsigned k = 0; k < lanes; k++) {                                             \
			const union vreg *from = 2 * k < lanes ? n : m;                            \
			unsigned first = 2 * k % lanes;                                            \
			uint64_t a = from->z[first], b = from->z[first + 1];                       \
			r.z[k] = (u_##z)(expr);                                                    \
		}                                                                                  \
		cpu->v[A64_Rd(w)] = r;                                                             \
		NEXT(cpu, i);                                                                      \
	}
#define PAIR(row, z, expr)                                                                         \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		struct fp_env *e = &cpu->fp;                                                       \
		const union vreg *n = &cpu->v[A64_Rn(i->raw)];                                     \
		uint64_t a = n->z[0], b = n->z[1];                                                 \
		VREG(vu_d, A64_Rd(i->raw)) = (vu_d){expr, 0};                                      \
		NEXT(cpu, i);                                                                      \
	}
#define PAIRWISES(name, z)                                                                         \
	PAIRWISE(FADDP_v_##z, z, fp_fast_add_##z(e, a, b))                                         \
	PAIRWISE(FMAXP_v_##z, z, fp_fast_max_##z(e, a, b))                                         \
	PAIRWISE(FMINP_v_##z, z, fp_fast_min_##z(e, a, b))                                         \
	PAIRWISE(FMAXNMP_v_##z, z, fp_fast_maxnm_##z(e, a, b))                                     \
	PAIRWISE(FMINNMP_v_##z, z, fp_fast_minnm_##z(e, a, b))                                     \
	PAIR(FADDP_pair_##z, z, fp_fast_add_##z(e, a, b))                                          \
	PAIR(FMAXP_pair_##z, z, fp_fast_max_##z(e, a, b))                                          \
	PAIR(FMINP_pair_##z, z, fp_fast_min_##z(e, a, b))                                          \
	PAIR(FMAXNMP_pair_##z, z, fp_fast_maxnm_##z(e, a, b))                                      \
	PAIR(FMINNMP_pair_##z, z, fp_fast_minnm_##z(e, a, b))
EACH_HSD(PAIRWISES, )

/* Across lanes: a tree of pairs, as Reduce() of the Arm ARM defines it. */
#define ACROSS(row, z, call)                                                                       \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		struct fp_env *e = &cpu->fp;                                                       \
		union vreg r = cpu->v[A64_Rn(w)];                                                  \
		for (unsigned lanes = simd_lanes(w, LOG2_##z) / 2; lanes; lanes /= 2) {            \
			for (unsigned k = 0; k < lanes; k++) {                                     \
				r.z[k] = (u_##z)call(e, r.z[2 * k], r.z[2 * k + 1]);               \
			}                                                                          \
		}                                                                                  \
		VREG(vu_d, A64_Rd(w)) = (vu_d){r.z[0], 0};                                         \
		NEXT(cpu, i);                                                                      \
	}
ACROSS(FMAXV_h, h, fp_fast_max_h)
ACROSS(FMAXV_s, s, fp_fast_max_s)
ACROSS(FMINV_h, h, fp_fast_min_h)
ACROSS(FMINV_s, s, fp_fast_min_s)
ACROSS(FMAXNMV_h, h, fp_fast_maxnm_h)
ACROSS(FMAXNMV_s, s, fp_fast_maxnm_s)
ACROSS(FMINNMV_h, h, fp_fast_minnm_h)
ACROSS(FMINNMV_s, s, fp_fast_minnm_s)

/* FMLAL...: half-precision factors from one half of the vectors (@second: "2" forms), single-precision sums. */
#define LONG(row, negative, second, factor)                                                        \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		const union vreg *n = &cpu->v[A64_Rn(w)], *m = &cpu->v[A64_Rm(w)],                 \
				 *d = &cpu->v[A64_Rd(w)];                                          \
		unsigned lanes = simd_lanes(w, LOG2_s), from = (second) ? lanes : 0;               \
		union vreg r = {.d = {0, 0}};                                                      \
		for (unsigned k = 0; k < lanes; k++) {                                             \
			uint64_t a = n->h[from + k] ^ (negative ? 0x8000 : 0), b = factor;         \
			r.s[k] = (u_s)fp_muladd_half(&cpu->fp, d->s[k], a, b);                     \
		}                                                                                  \
		(void)m;                                                                           \
		cpu->v[A64_Rd(w)] = r;                                                             \
		NEXT(cpu, i);                                                                      \
	}
LONG(FMLAL_v, false, false, m->h[from + k])
LONG(FMLSL_v, true, false, m->h[from + k])
LONG(FMLAL2_v, false, true, m->h[from + k])
LONG(FMLSL2_v, true, true, m->h[from + k])
LONG(FMLAL_elem, false, false, simd_elem_h(cpu, w))
LONG(FMLSL_elem, true, false, simd_elem_h(cpu, w))
LONG(FMLAL2_elem, false, true, simd_elem_h(cpu, w))
LONG(FMLSL2_elem, true, true, simd_elem_h(cpu, w))

/*
 * FCMLA: adds one of the two halves of a complex product, turned by @rot quarters.  Even (real) and odd (imaginary)
 * elements; the second factor is the pair of m at @pair.
 */
#define COMPLEX_MULTIPLY(row, z, rotation, pair)                                                   \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		struct fp_env *e = &cpu->fp;                                                       \
		union vreg n = cpu->v[A64_Rn(w)], m = cpu->v[A64_Rm(w)], d = cpu->v[A64_Rd(w)],    \
			   r = {.d = {0, 0}};                                                      \
		unsigned rot = rotation, odd = rot & 1;                                            \
		for (unsigned k = 0; k < simd_lanes(w, LOG2_##z); k += 2) {                        \
			uint64_t a = n.z[k + odd];                                                 \
			uint64_t real = m.z[(pair) + odd], imag = m.z[(pair) + !odd];              \
			real = rot == 1 || rot == 2 ? NEG(z, real) : real;                         \
			imag = rot >= 2 ? NEG(z, imag) : imag;                                     \
			r.z[k] = (u_##z)fp_muladd(e, FORMAT_##z, d.z[k], a, real);                 \
			r.z[k + 1] = (u_##z)fp_muladd(e, FORMAT_##z, d.z[k + 1], a, imag);         \
		}                                                                                  \
		cpu->v[A64_Rd(w)] = r;                                                             \
		NEXT(cpu, i);                                                                      \
	}
COMPLEX_MULTIPLY(FCMLA_v_h, h, A64_rot12(w), k)
COMPLEX_MULTIPLY(FCMLA_v_s, s, A64_rot12(w), k)
COMPLEX_MULTIPLY(FCMLA_v_d, d, A64_rot12(w), k)
COMPLEX_MULTIPLY(FCMLA_elem_h, h, A64_rot13(w), (A64_ixh(w) << 1 | A64_ixl(w)) * 2)
COMPLEX_MULTIPLY(FCMLA_elem_s, s, A64_rot13(w), A64_ixh(w) * 2)

/* FCADD: adds m turned by 90 or 270 degrees. */
#define COMPLEX_ADD(row, z)                                                                        \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		struct fp_env *e = &cpu->fp;                                                       \
		const union vreg *n = &cpu->v[A64_Rn(w)], *m = &cpu->v[A64_Rm(w)];                 \
		union vreg r = {.d = {0, 0}};                                                      \
		bool by_270 = A64_rot_half(w);                                                     \
		for (unsigned k = 0; k < simd_lanes(w, LOG2_##z); k += 2) {                        \
			uint64_t real = m->z[k], imag = m->z[k + 1];                               \
			real = by_270 ? NEG(z, real) : real;                                       \
			imag = by_270 ? imag : NEG(z, imag);                                       \
			r.z[k] = (u_##z)fp_add(e, FORMAT_##z, n->z[k], imag);                      \
			r.z[k + 1] = (u_##z)fp_add(e, FORMAT_##z, n->z[k + 1], real);              \
		}                                                                                  \
		cpu->v[A64_Rd(w)] = r;                                                             \
		NEXT(cpu, i);                                                                      \
	}
COMPLEX_ADD(FCADD_v_h, h)
COMPLEX_ADD(FCADD_v_s, s)
COMPLEX_ADD(FCADD_v_d, d)
