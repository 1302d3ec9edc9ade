/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_int.c - Advanced SIMD integer operations that work on whole vectors
 *
 * How it works: each handler is an expression over vectors of the element type: n, m (operands), d (old destination); un,
 * um, ud are the same without sign, where sums may wrap.
 * Threads: the vCPU thread.
 */
#include "engine/soft/simd.h"

/* Handler op_@row; @g is u or s. */
#define VECTOR3(row, g, z, expr)                                                                   \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		vu_##z un = VREG(vu_##z, A64_Rn(w)), um = VREG(vu_##z, A64_Rm(w)),                 \
		       ud = VREG(vu_##z, A64_Rd(w));                                               \
		v##g##_##z n = (v##g##_##z)un, m = (v##g##_##z)um;                                 \
		(void)n, (void)m, (void)ud;                                                        \
		simd_put(cpu, w, (vu_d)(expr));                                                    \
		NEXT(cpu, i);                                                                      \
	}
#define VECTOR3_BHS(name, g, expr)                                                                 \
	VECTOR3(name##_v_b, g, b, expr) VECTOR3(name##_v_h, g, h, expr) VECTOR3(name##_v_s, g, s, expr)
#define VECTOR3_BHSD(name, g, expr) VECTOR3_BHS(name, g, expr) VECTOR3(name##_v_d, g, d, expr)

/* Select with the type of un. */
#define PICK(c, a, b) ((((__typeof__(un))(c)) & (__typeof__(un))(a)) | (~((__typeof__(un))(c)) & (__typeof__(un))(b)))
#define ABSDIFF       PICK(n > m, un - um, um - un)

VECTOR3_BHSD(ADD, u, un + um)
VECTOR3_BHSD(SUB, u, un - um)
VECTOR3_BHSD(CMGT, s, n > m)
VECTOR3_BHSD(CMHI, u, n > m)
VECTOR3_BHSD(CMGE, s, n >= m)
VECTOR3_BHSD(CMHS, u, n >= m)
VECTOR3_BHSD(CMEQ, u, n == m)
VECTOR3_BHSD(CMTST, u, (n & m) != 0)

VECTOR3_BHS(SHADD, s, (n >> 1) + (m >> 1) + (n & m & 1))
VECTOR3_BHS(UHADD, u, (n >> 1) + (m >> 1) + (n & m & 1))
VECTOR3_BHS(SRHADD, s, (n >> 1) + (m >> 1) + ((n | m) & 1))
VECTOR3_BHS(URHADD, u, (n >> 1) + (m >> 1) + ((n | m) & 1))
VECTOR3_BHS(SHSUB, s, (n >> 1) - (m >> 1) - (~n & m & 1))
VECTOR3_BHS(UHSUB, u, (n >> 1) - (m >> 1) - (~n & m & 1))
VECTOR3_BHS(SMAX, s, PICK(n > m, n, m))
VECTOR3_BHS(UMAX, u, PICK(n > m, n, m))
VECTOR3_BHS(SMIN, s, PICK(n < m, n, m))
VECTOR3_BHS(UMIN, u, PICK(n < m, n, m))
VECTOR3_BHS(SABD, s, ABSDIFF)
VECTOR3_BHS(UABD, u, ABSDIFF)
VECTOR3_BHS(SABA, s, ud + ABSDIFF)
VECTOR3_BHS(UABA, u, ud + ABSDIFF)
VECTOR3_BHS(MUL, u, un *um)
VECTOR3_BHS(MLA, u, ud + un * um)
VECTOR3_BHS(MLS, u, ud - un * um)

VECTOR3(AND_v, u, d, un &um)
VECTOR3(BIC_v, u, d, un & ~um)
VECTOR3(ORR_v, u, d, un | um)
VECTOR3(ORN_v, u, d, un | ~um)
VECTOR3(EOR_v, u, d, un ^ um)
VECTOR3(BSL_v, u, d, (ud & un) | (~ud & um))
VECTOR3(BIT_v, u, d, (um & un) | (~um & ud))
VECTOR3(BIF_v, u, d, (um & ud) | (~um & un))

/* By element: m is one element, spread. */
#define ELEMENT3(row, z, expr)                                                                     \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		vu_##z n = VREG(vu_##z, A64_Rn(w)), d = VREG(vu_##z, A64_Rd(w)),                   \
		       m = (vu_##z){0} + simd_elem_##z(cpu, w);                                    \
		(void)d;                                                                           \
		simd_put(cpu, w, (vu_d)(expr));                                                    \
		NEXT(cpu, i);                                                                      \
	}
ELEMENT3(MUL_elem_h, h, n *m)
ELEMENT3(MUL_elem_s, s, n *m)
ELEMENT3(MLA_elem_h, h, d + n * m)
ELEMENT3(MLA_elem_s, s, d + n * m)
ELEMENT3(MLS_elem_h, h, d - n * m)
ELEMENT3(MLS_elem_s, s, d - n * m)

/* One operand. */
#define VECTOR2(row, g, z, expr)                                                                   \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		vu_##z un = VREG(vu_##z, A64_Rn(w));                                               \
		v##g##_##z n = (v##g##_##z)un;                                                     \
		simd_put(cpu, w, (vu_d)(expr));                                                    \
		NEXT(cpu, i);                                                                      \
	}
#define VECTOR2_BHSD(name, g, expr)                                                                \
	VECTOR2(name##_v_b, g, b, expr)                                                            \
	VECTOR2(name##_v_h, g, h, expr)                                                            \
	VECTOR2(name##_v_s, g, s, expr) VECTOR2(name##_v_d, g, d, expr)

VECTOR2_BHSD(CMGT0, s, n > 0)
VECTOR2_BHSD(CMGE0, s, n >= 0)
VECTOR2_BHSD(CMEQ0, u, n == 0)
VECTOR2_BHSD(CMLE0, s, n <= 0)
VECTOR2_BHSD(CMLT0, s, n < 0)
VECTOR2_BHSD(ABS, s, PICK(n < 0, -un, un))
VECTOR2_BHSD(NEG, u, -n)
VECTOR2(NOT_v, u, d, ~n)

/* Number of ones of each byte. */
#define CNT_PAIRS(v)  ((v) - ((v) >> 1 & 0x55))
#define CNT_NIBBLE(v) (((v) & 0x33) + ((v) >> 2 & 0x33))
SIMD_OP(CNT_v)
{
	SIMD_ENTER(cpu, i)
	vu_b v = VREG(vu_b, A64_Rn(i->raw));
	v = CNT_PAIRS(v);
	v = CNT_NIBBLE(v);
	v = (v + (v >> 4)) & 0x0f;
	simd_put(cpu, i->raw, (vu_d)v);
	NEXT(cpu, i);
}

SIMD_OP(RBIT_v)
{
	SIMD_ENTER(cpu, i)
	vu_b v = VREG(vu_b, A64_Rn(i->raw));
	v = v >> 4 | v << 4;
	v = (v >> 2 & 0x33) | (v & 0x33) << 2;
	v = (v >> 1 & 0x55) | (v & 0x55) << 1;
	simd_put(cpu, i->raw, (vu_d)v);
	NEXT(cpu, i);
}

/* Reversal of elements in containers: swap neighbours of growing size. */
#define SWAP8(v)  ((v) >> 8 | (v) << 8)
#define SWAP16(v) ((v) >> 16 | (v) << 16)
#define SWAP32(v) ((v) >> 32 | (v) << 32)
#define IN_H(e)	  ((vu_h)(e))
#define IN_S(e)	  ((vu_s)(e))
#define IN_D(e)	  ((vu_d)(e))
VECTOR2(REV16_b, u, h, SWAP8(n))
VECTOR2(REV32_h, u, s, SWAP16(n))
VECTOR2(REV32_b, u, s, SWAP8(IN_H(SWAP16(n))))
VECTOR2(REV64_s, u, d, SWAP32(n))
VECTOR2(REV64_h, u, d, SWAP16(IN_S(SWAP32(n))))
VECTOR2(REV64_b, u, d, SWAP8(IN_H(SWAP16(IN_S(SWAP32(n))))))

/* Leading zeros, leading copies of the sign. */
#define COUNT_LEADING(name, z)                                                                     \
	SIMD_OP(CLZ_v_##z)                                                                         \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		vu_##z v = VREG(vu_##z, A64_Rn(i->raw));                                           \
		for (unsigned k = 0; k < 16 / sizeof(v[0]); k++) {                                 \
			uint32_t e = v[k];                                                         \
			v[k] = e ? (u_##z)(__builtin_clz(e) - (32 - BITS_##z)) : BITS_##z;         \
		}                                                                                  \
		simd_put(cpu, i->raw, (vu_d)v);                                                    \
		NEXT(cpu, i);                                                                      \
	}                                                                                          \
	SIMD_OP(CLS_v_##z)                                                                         \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		vu_##z v = VREG(vu_##z, A64_Rn(i->raw));                                           \
		for (unsigned k = 0; k < 16 / sizeof(v[0]); k++) {                                 \
			uint32_t e = (u_##z)(v[k] ^ (u_##z)((s_##z)v[k] >> (BITS_##z - 1)));       \
			v[k] = (e ? __builtin_clz(e) - (32 - BITS_##z) : BITS_##z) - 1;            \
		}                                                                                  \
		simd_put(cpu, i->raw, (vu_d)v);                                                    \
		NEXT(cpu, i);                                                                      \
	}
EACH_BHS(COUNT_LEADING, )

/* Pairwise: the even and the odd elements of m:n. */
#define EVEN_b(n, m)                                                                               \
	__builtin_shufflevector(n, m, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODD_b(n, m)                                                                                \
	__builtin_shufflevector(n, m, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#define EVEN_h(n, m) __builtin_shufflevector(n, m, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD_h(n, m)  __builtin_shufflevector(n, m, 1, 3, 5, 7, 9, 11, 13, 15)
#define EVEN_s(n, m) __builtin_shufflevector(n, m, 0, 2, 4, 6)
#define ODD_s(n, m)  __builtin_shufflevector(n, m, 1, 3, 5, 7)
#define EVEN_d(n, m) __builtin_shufflevector(n, m, 0, 2)
#define ODD_d(n, m)  __builtin_shufflevector(n, m, 1, 3)

#define PAIRWISE(row, g, z, expr)                                                                  \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		vu_d low = VREG(vu_d, A64_Rn(w)), high = VREG(vu_d, A64_Rm(w));                    \
		if (!A64_Q(w)) {                                                                   \
			low[1] = high[0]; /* both low halves */                                    \
		}                                                                                  \
		v##g##_##z even = EVEN_##z((v##g##_##z)low, (v##g##_##z)high);                     \
		v##g##_##z odd = ODD_##z((v##g##_##z)low, (v##g##_##z)high);                       \
		vu_##z un = (vu_##z)even, um = (vu_##z)odd;                                        \
		(void)un, (void)um;                                                                \
		simd_put(cpu, w, (vu_d)(expr));                                                    \
		NEXT(cpu, i);                                                                      \
	}
#define PAIRWISE_BHS(name, g, expr)                                                                \
	PAIRWISE(name##_v_b, g, b, expr)                                                           \
	PAIRWISE(name##_v_h, g, h, expr) PAIRWISE(name##_v_s, g, s, expr)

PAIRWISE_BHS(ADDP, u, un + um)
PAIRWISE(ADDP_v_d, u, d, un + um)
PAIRWISE_BHS(SMAXP, s, PICK(even > odd, even, odd))
PAIRWISE_BHS(UMAXP, u, PICK(even > odd, even, odd))
PAIRWISE_BHS(SMINP, s, PICK(even < odd, even, odd))
PAIRWISE_BHS(UMINP, u, PICK(even < odd, even, odd))

SIMD_OP(ADDP_pair_d)
{
	SIMD_ENTER(cpu, i)
	vu_d n = VREG(vu_d, A64_Rn(i->raw));
	VREG(vu_d, A64_Rd(i->raw)) = (vu_d){n[0] + n[1], 0};
	NEXT(cpu, i);
}

/* SADDLP and UADDLP: neighbours added into the next wider element; SADALP and UADALP accumulate. */
#define ADD_LONG_PAIRS(z, wide)                                                                    \
	VECTOR2(UADDLP_v_##z, u, wide, (n >> BITS_##z) + (n << BITS_##z >> BITS_##z))              \
	VECTOR2(SADDLP_v_##z, u, wide,                                                             \
		(vu_##wide)((vs_##wide)n >> BITS_##z) +                                            \
			(vu_##wide)((vs_##wide)(n << BITS_##z) >> BITS_##z))                       \
	VECTOR3(UADALP_v_##z, u, wide, ud + (un >> BITS_##z) + (un << BITS_##z >> BITS_##z))       \
	VECTOR3(SADALP_v_##z, u, wide,                                                             \
		ud + (vu_##wide)((vs_##wide)un >> BITS_##z) +                                      \
			(vu_##wide)((vs_##wide)(un << BITS_##z) >> BITS_##z))
ADD_LONG_PAIRS(b, h)
ADD_LONG_PAIRS(h, s)
ADD_LONG_PAIRS(s, d)

/* Carry-less product of bytes. */
SIMD_OP(PMUL_v)
{
	SIMD_ENTER(cpu, i)
	vu_b n = VREG(vu_b, A64_Rn(i->raw)), m = VREG(vu_b, A64_Rm(i->raw)), product = {0};
	for (unsigned k = 0; k < 8; k++) {
		product ^= (n << k) & -(m >> k & 1);
	}
	simd_put(cpu, i->raw, (vu_d)product);
	NEXT(cpu, i);
}

/* Dot products of four bytes with four bytes, added to a word. */
#define DOT(row, g, element)                                                                       \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		const union vreg *n = &cpu->v[A64_Rn(w)], *m = &cpu->v[A64_Rm(w)];                 \
		vu_s sum = VREG(vu_s, A64_Rd(w));                                                  \
		for (unsigned k = 0; k < 4; k++) {                                                 \
			uint32_t a = n->s[k], b = element;                                         \
			for (unsigned j = 0; j < 32; j += 8) {                                     \
				sum[k] += (uint32_t)((g##_b)(a >> j) * (g##_b)(b >> j));           \
			}                                                                          \
		}                                                                                  \
		(void)m;                                                                           \
		simd_put(cpu, w, (vu_d)sum);                                                       \
		NEXT(cpu, i);                                                                      \
	}
DOT(SDOT_v, s, m->s[k])
DOT(UDOT_v, u, m->s[k])
DOT(SDOT_elem, s, simd_elem_s(cpu, w))
DOT(UDOT_elem, u, simd_elem_s(cpu, w))
