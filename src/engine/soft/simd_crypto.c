/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd_crypto.c - AES, SHA-1, SHA-256, SHA-512 and SHA-3 instructions
 *
 * How it works: plain C after FIPS 197, 180-4 and the instruction descriptions of the Arm ARM.  The AES tables are the S-box and
 * its inverse; MixColumns works on four columns at once, eight bits a lane.
 * Threads: the vCPU thread.
 */
#include "engine/soft/simd.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

static const uint8_t aes_sbox[256] = {
	0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
	0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
	0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
	0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
	0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
	0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
	0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
	0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
	0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
	0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
	0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
	0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
	0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
	0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
	0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
	0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};

static const uint8_t aes_inverse[256] = {
	0x52, 0x09, 0x6a, 0xd5, 0x30, 0x36, 0xa5, 0x38, 0xbf, 0x40, 0xa3, 0x9e, 0x81, 0xf3, 0xd7, 0xfb,
	0x7c, 0xe3, 0x39, 0x82, 0x9b, 0x2f, 0xff, 0x87, 0x34, 0x8e, 0x43, 0x44, 0xc4, 0xde, 0xe9, 0xcb,
	0x54, 0x7b, 0x94, 0x32, 0xa6, 0xc2, 0x23, 0x3d, 0xee, 0x4c, 0x95, 0x0b, 0x42, 0xfa, 0xc3, 0x4e,
	0x08, 0x2e, 0xa1, 0x66, 0x28, 0xd9, 0x24, 0xb2, 0x76, 0x5b, 0xa2, 0x49, 0x6d, 0x8b, 0xd1, 0x25,
	0x72, 0xf8, 0xf6, 0x64, 0x86, 0x68, 0x98, 0x16, 0xd4, 0xa4, 0x5c, 0xcc, 0x5d, 0x65, 0xb6, 0x92,
	0x6c, 0x70, 0x48, 0x50, 0xfd, 0xed, 0xb9, 0xda, 0x5e, 0x15, 0x46, 0x57, 0xa7, 0x8d, 0x9d, 0x84,
	0x90, 0xd8, 0xab, 0x00, 0x8c, 0xbc, 0xd3, 0x0a, 0xf7, 0xe4, 0x58, 0x05, 0xb8, 0xb3, 0x45, 0x06,
	0xd0, 0x2c, 0x1e, 0x8f, 0xca, 0x3f, 0x0f, 0x02, 0xc1, 0xaf, 0xbd, 0x03, 0x01, 0x13, 0x8a, 0x6b,
	0x3a, 0x91, 0x11, 0x41, 0x4f, 0x67, 0xdc, 0xea, 0x97, 0xf2, 0xcf, 0xce, 0xf0, 0xb4, 0xe6, 0x73,
	0x96, 0xac, 0x74, 0x22, 0xe7, 0xad, 0x35, 0x85, 0xe2, 0xf9, 0x37, 0xe8, 0x1c, 0x75, 0xdf, 0x6e,
	0x47, 0xf1, 0x1a, 0x71, 0x1d, 0x29, 0xc5, 0x89, 0x6f, 0xb7, 0x62, 0x0e, 0xaa, 0x18, 0xbe, 0x1b,
	0xfc, 0x56, 0x3e, 0x4b, 0xc6, 0xd2, 0x79, 0x20, 0x9a, 0xdb, 0xc0, 0xfe, 0x78, 0xcd, 0x5a, 0xf4,
	0x1f, 0xdd, 0xa8, 0x33, 0x88, 0x07, 0xc7, 0x31, 0xb1, 0x12, 0x10, 0x59, 0x27, 0x80, 0xec, 0x5f,
	0x60, 0x51, 0x7f, 0xa9, 0x19, 0xb5, 0x4a, 0x0d, 0x2d, 0xe5, 0x7a, 0x9f, 0x93, 0xc9, 0x9c, 0xef,
	0xa0, 0xe0, 0x3b, 0x4d, 0xae, 0x2a, 0xf5, 0xb0, 0xc8, 0xeb, 0xbb, 0x3c, 0x83, 0x53, 0x99, 0x61,
	0x17, 0x2b, 0x04, 0x7e, 0xba, 0x77, 0xd6, 0x26, 0xe1, 0x69, 0x14, 0x63, 0x55, 0x21, 0x0c, 0x7d,
};

/* State bytes are columns of four rows; ShiftRows moves row r by r columns. */
SOFT_INLINE union vreg aes_shift_sub(union vreg s, const uint8_t *box, unsigned step)
{
	union vreg r;
	for (unsigned k = 0; k < 16; k++) {
		r.b[k] = box[s.b[(k + (k & 3) * step * 4) & 15]];
	}
	return r;
}

/* With the host's instructions, where it has them: they end a round with an XOR, Arm's begin with one. */
#ifdef __x86_64__
#define HOST_AES __attribute__((target("aes"), noinline))
SOFT_INLINE bool host_has_aes(void)
{
	return __builtin_cpu_supports("aes");
}

HOST_AES static vu_d host_encrypt(vu_d state)
{
	return (vu_d)_mm_aesenclast_si128((__m128i)state, _mm_setzero_si128());
}

HOST_AES static vu_d host_decrypt(vu_d state)
{
	return (vu_d)_mm_aesdeclast_si128((__m128i)state, _mm_setzero_si128());
}
#else
SOFT_INLINE bool host_has_aes(void)
{
	return false;
}

static vu_d host_encrypt(vu_d state)
{
	return state;
}

static vu_d host_decrypt(vu_d state)
{
	return state;
}
#endif

#define AES_ROUND(row, host, box, step)                                                            \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		vu_d state = VREG(vu_d, A64_Rd(i->raw)) ^ VREG(vu_d, A64_Rn(i->raw));              \
		if (host_has_aes()) {                                                              \
			VREG(vu_d, A64_Rd(i->raw)) = host(state);                                  \
		} else {                                                                           \
			union vreg s = {.d = {state[0], state[1]}};                                \
			cpu->v[A64_Rd(i->raw)] = aes_shift_sub(s, box, step);                      \
		}                                                                                  \
		NEXT(cpu, i);                                                                      \
	}
AES_ROUND(AESE, host_encrypt, aes_sbox, 1)
AES_ROUND(AESD, host_decrypt, aes_inverse, 3)

/* Multiplication by x in GF(2^8), for 16 bytes. */
SOFT_INLINE vu_b aes_double(vu_b a)
{
	return (a << 1) ^ ((a >> 7) * 0x1b);
}

/* Each column turned by @rows. */
SOFT_INLINE vu_b aes_rotate(vu_b a, unsigned rows)
{
	vu_s c = (vu_s)a;
	return (vu_b)(c >> 8 * rows | c << (32 - 8 * rows));
}

SOFT_INLINE vu_b aes_mix(vu_b a)
{
	vu_b once = aes_rotate(a, 1);
	return aes_double(a ^ once) ^ once ^ aes_rotate(a, 2) ^ aes_rotate(a, 3);
}

SIMD_OP(AESMC)
{
	SIMD_ENTER(cpu, i)
	VREG(vu_b, A64_Rd(i->raw)) = aes_mix(VREG(vu_b, A64_Rn(i->raw)));
	NEXT(cpu, i);
}

/* The inverse is the forward mix after a multiplication of each column by {4}x^2 + {5}. */
SIMD_OP(AESIMC)
{
	SIMD_ENTER(cpu, i)
	vu_b a = VREG(vu_b, A64_Rn(i->raw));
	vu_b quad = aes_double(aes_double(a ^ aes_rotate(a, 2)));
	VREG(vu_b, A64_Rd(i->raw)) = aes_mix(a ^ quad);
	NEXT(cpu, i);
}

/* Carry-less product of doublewords. */
SOFT_INLINE vu_d carryless_product(uint64_t a, uint64_t b)
{
	uint64_t low = a & -(b & 1), high = 0;
	for (unsigned k = 1; k < 64; k++) {
		uint64_t bit = -(b >> k & 1);
		low ^= a << k & bit;
		high ^= a >> (64 - k) & bit;
	}
	return (vu_d){low, high};
}

#ifdef __x86_64__
__attribute__((target("pclmul"), noinline)) static vu_d host_carryless_product(uint64_t a, uint64_t b)
{
	return (vu_d)_mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)a), _mm_cvtsi64_si128((long long)b), 0);
}
#define HAS_CARRYLESS __builtin_cpu_supports("pclmul")
#else
#define host_carryless_product carryless_product
#define HAS_CARRYLESS	       false
#endif

SIMD_OP(PMULL_d)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	uint64_t a = cpu->v[A64_Rn(w)].d[A64_Q(w)], b = cpu->v[A64_Rm(w)].d[A64_Q(w)];
	VREG(vu_d, A64_Rd(w)) = HAS_CARRYLESS ? host_carryless_product(a, b) : carryless_product(a, b);
	NEXT(cpu, i);
}

SOFT_INLINE uint32_t rotate32(uint32_t a, unsigned left)
{
	return a << left | a >> (32 - left);
}

SOFT_INLINE uint64_t rotate64_right(uint64_t a, unsigned right)
{
	return a >> right | a << (64 - right);
}

/* Four rounds of SHA-1; @f combines b, c and d. */
#define SHA1_ROUNDS(row, f)                                                                        \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		union vreg v = cpu->v[A64_Rd(w)], x = cpu->v[A64_Rm(w)];                           \
		uint32_t a = v.s[0], b = v.s[1], c = v.s[2], d = v.s[3], e = cpu->v[A64_Rn(w)].s[0]; \
		for (unsigned k = 0; k < 4; k++) {                                                 \
			uint32_t next = rotate32(a, 5) + (f) + e + x.s[k];                         \
			e = d;                                                                     \
			d = c;                                                                     \
			c = rotate32(b, 30);                                                       \
			b = a;                                                                     \
			a = next;                                                                  \
		}                                                                                  \
		VREG(vu_s, A64_Rd(w)) = (vu_s){a, b, c, d};                                        \
		NEXT(cpu, i);                                                                      \
	}
SHA1_ROUNDS(SHA1C, d ^ (b & (c ^ d)))
SHA1_ROUNDS(SHA1P, b ^ c ^ d)
SHA1_ROUNDS(SHA1M, (b & c) | ((b | c) & d))

SIMD_OP(SHA1H)
{
	SIMD_ENTER(cpu, i)
	VREG(vu_s, A64_Rd(i->raw)) = (vu_s){rotate32(cpu->v[A64_Rn(i->raw)].s[0], 30), 0, 0, 0};
	NEXT(cpu, i);
}

SIMD_OP(SHA1SU0)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	vu_d d = VREG(vu_d, A64_Rd(w)), n = VREG(vu_d, A64_Rn(w)), m = VREG(vu_d, A64_Rm(w));
	VREG(vu_d, A64_Rd(w)) = (vu_d){d[1], n[0]} ^ d ^ m;
	NEXT(cpu, i);
}

SIMD_OP(SHA1SU1)
{
	SIMD_ENTER(cpu, i)
	vu_s d = VREG(vu_s, A64_Rd(i->raw)), n = VREG(vu_s, A64_Rn(i->raw));
	vu_s t = d ^ (vu_s){n[1], n[2], n[3], 0};
	t = t << 1 | t >> 31;
	t[3] ^= rotate32(t[0], 1);
	VREG(vu_s, A64_Rd(i->raw)) = t;
	NEXT(cpu, i);
}

/* Four rounds of SHA-256 on @x (a..d) and @y (e..h); the half that @second asks for. */
SOFT_INLINE vu_s sha256_rounds(vu_s x, vu_s y, vu_s w, bool second)
{
	for (unsigned k = 0; k < 4; k++) {
		uint32_t e = y[0], a = x[0];
		uint32_t choose = y[2] ^ (e & (y[1] ^ y[2]));
		uint32_t majority = (a & x[1]) | ((a | x[1]) & x[2]);
		uint32_t sigma1 = rotate32(e, 26) ^ rotate32(e, 21) ^ rotate32(e, 7);
		uint32_t sigma0 = rotate32(a, 30) ^ rotate32(a, 19) ^ rotate32(a, 10);
		uint32_t t = y[3] + sigma1 + choose + w[k];
		y = (vu_s){x[3] + t, y[0], y[1], y[2]};
		x = (vu_s){t + sigma0 + majority, x[0], x[1], x[2]};
	}
	return second ? y : x;
}

SIMD_OP(SHA256H)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	VREG(vu_s, A64_Rd(w)) =
		sha256_rounds(VREG(vu_s, A64_Rd(w)), VREG(vu_s, A64_Rn(w)), VREG(vu_s, A64_Rm(w)), false);
	NEXT(cpu, i);
}

SIMD_OP(SHA256H2)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	VREG(vu_s, A64_Rd(w)) =
		sha256_rounds(VREG(vu_s, A64_Rn(w)), VREG(vu_s, A64_Rd(w)), VREG(vu_s, A64_Rm(w)), true);
	NEXT(cpu, i);
}

SIMD_OP(SHA256SU0)
{
	SIMD_ENTER(cpu, i)
	vu_s d = VREG(vu_s, A64_Rd(i->raw)), n = VREG(vu_s, A64_Rn(i->raw));
	vu_s t = {d[1], d[2], d[3], n[0]};
	VREG(vu_s, A64_Rd(i->raw)) = d + ((t >> 7 | t << 25) ^ (t >> 18 | t << 14) ^ t >> 3);
	NEXT(cpu, i);
}

SIMD_OP(SHA256SU1)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	vu_s d = VREG(vu_s, A64_Rd(w)), n = VREG(vu_s, A64_Rn(w)), m = VREG(vu_s, A64_Rm(w));
	vu_s r = d + (vu_s){n[1], n[2], n[3], m[0]};
	for (unsigned k = 0; k < 4; k++) {
		uint32_t t = k < 2 ? m[k + 2] : r[k - 2];
		r[k] += rotate32(t, 15) ^ rotate32(t, 13) ^ t >> 10;
	}
	VREG(vu_s, A64_Rd(w)) = r;
	NEXT(cpu, i);
}

#define SHA512_SIGMA(v, a, b, c) (rotate64_right(v, a) ^ rotate64_right(v, b) ^ rotate64_right(v, c))

SIMD_OP(SHA512H)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	vu_d d = VREG(vu_d, A64_Rd(w)), x = VREG(vu_d, A64_Rn(w)), y = VREG(vu_d, A64_Rm(w));
	uint64_t high = d[1] + SHA512_SIGMA(y[1], 14, 18, 41) + ((y[1] & x[0]) ^ (~y[1] & x[1]));
	uint64_t t = high + y[0];
	uint64_t low = d[0] + SHA512_SIGMA(t, 14, 18, 41) + ((t & y[1]) ^ (~t & x[0]));
	VREG(vu_d, A64_Rd(w)) = (vu_d){low, high};
	NEXT(cpu, i);
}

SIMD_OP(SHA512H2)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	vu_d d = VREG(vu_d, A64_Rd(w)), x = VREG(vu_d, A64_Rn(w)), y = VREG(vu_d, A64_Rm(w));
	uint64_t high = d[1] + SHA512_SIGMA(y[0], 28, 34, 39) + ((x[0] & y[1]) ^ (x[0] & y[0]) ^ (y[1] & y[0]));
	uint64_t low = d[0] + SHA512_SIGMA(high, 28, 34, 39) + ((high & y[0]) ^ (high & y[1]) ^ (y[1] & y[0]));
	VREG(vu_d, A64_Rd(w)) = (vu_d){low, high};
	NEXT(cpu, i);
}

SIMD_OP(SHA512SU0)
{
	SIMD_ENTER(cpu, i)
	vu_d d = VREG(vu_d, A64_Rd(i->raw));
	uint64_t next = VREG(vu_d, A64_Rn(i->raw))[0];
	uint64_t low = rotate64_right(d[1], 1) ^ rotate64_right(d[1], 8) ^ d[1] >> 7;
	uint64_t high = rotate64_right(next, 1) ^ rotate64_right(next, 8) ^ next >> 7;
	VREG(vu_d, A64_Rd(i->raw)) = d + (vu_d){low, high};
	NEXT(cpu, i);
}

SIMD_OP(SHA512SU1)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw;
	vu_d x = VREG(vu_d, A64_Rn(w)), y = VREG(vu_d, A64_Rm(w)), s;
	for (unsigned k = 0; k < 2; k++) {
		s[k] = rotate64_right(x[k], 19) ^ rotate64_right(x[k], 61) ^ x[k] >> 6;
	}
	VREG(vu_d, A64_Rd(w)) += s + y;
	NEXT(cpu, i);
}

/* SHA-3: n, m, a are Rn, Rm, Ra. */
#define SHA3(row, expr)                                                                            \
	SIMD_OP(row)                                                                               \
	{                                                                                          \
		SIMD_ENTER(cpu, i)                                                                 \
		uint32_t w = i->raw;                                                               \
		vu_d n = VREG(vu_d, A64_Rn(w)), m = VREG(vu_d, A64_Rm(w)), a = VREG(vu_d, A64_Ra(w)); \
		(void)a;                                                                           \
		VREG(vu_d, A64_Rd(w)) = expr;                                                      \
		NEXT(cpu, i);                                                                      \
	}
SHA3(EOR3, n ^ m ^ a)
SHA3(BCAX, n ^ (m & ~a))
SHA3(RAX1, n ^ (m << 1 | m >> 63))

SIMD_OP(XAR)
{
	SIMD_ENTER(cpu, i)
	uint32_t w = i->raw, right = A64_imm6(w);
	vu_d v = VREG(vu_d, A64_Rn(w)) ^ VREG(vu_d, A64_Rm(w));
	VREG(vu_d, A64_Rd(w)) = v >> right | v << (-right & 63);
	NEXT(cpu, i);
}
