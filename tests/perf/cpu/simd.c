/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simd.c - vectors, by the compiler's vector types and by loops that it turns into vectors
 *
 * Threads: the main thread.
 */
#include "bench.h"

#ifdef __ARM_NEON
#include <arm_neon.h>
#endif

typedef float f32x4 __attribute__((vector_size(16)));
typedef double f64x2 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));

static uint64_t run_f32(unsigned work)
{
	f32x4 a = {1, 2, 3, 4}, b = {0.5f, 0.25f, 0.75f, 1}, c = {0, 0, 0, 0},
	      k = {0.99f, 0.98f, 0.97f, 0.96f};
	for (unsigned i = 0; i < work; i++) {
		a = a * k + b;
		b = b * k - c;
		c = c * k + a * b;
		i32x4 big = (i32x4)(c > 100.0f);
		c = (f32x4)((i32x4)c & ~big);
	}
	a += b + c;
	return mix_double(mix_double(mix_double(mix_double(0, a[0]), a[1]), a[2]), a[3]);
}

/* Half precision, of which a part of Arm's hardware computes eight at once. */
#ifdef __aarch64__
__attribute__((target("arch=armv8.2-a+fp16")))
#endif
static uint64_t
run_f16(unsigned work)
{
	typedef _Float16 f16x8 __attribute__((vector_size(16)));
	typedef int16_t i16x8 __attribute__((vector_size(16)));
	f16x8 a = {1, 2, 3, 4, 5, 6, 7, 8}, b = {0.5, 0.25, 0.75, 1, 1.25, 1.5, 1.75, 2},
	      k = {0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92};
	for (unsigned i = 0; i < work; i++) {
		f16x8 product = a * k, other = b * k;
		a = product + b;
		b = other - a * (_Float16)0.0625;
		i16x8 big = (i16x8)(a > (_Float16)100);
		a = (f16x8)((i16x8)a & ~big);
	}
	uint64_t result = 0;
	for (unsigned n = 0; n < 8; n++) {
		result = mix_double(result, (double)(a[n] + b[n]));
	}
	return result;
}

static uint64_t f64_steps(unsigned work, double drive)
{
	f64x2 a = {1, 2}, b = {0.5, 0.25}, k = {0.99, 0.98};
	for (unsigned i = 0; i < work; i++) {
		a = a * k + b + drive;
		b = b * 0.5 + a * 0.125;
		a = a / (b + 1.5);
	}
	return mix_double(mix_double(0, a[0]), b[1]);
}

static uint64_t run_f64(unsigned work)
{
	return f64_steps(work, 0.75);
}

/* Nothing drives the values, so that they soon are subnormal numbers. */
static uint64_t run_f64_subnormal(unsigned work)
{
	return f64_steps(work, 0);
}

/* The triad of memory benchmarks. */
static uint64_t run_stream(unsigned work)
{
	enum { N = 1 << 16 };
	double *a = calloc(N, sizeof(*a)), *b = calloc(N, sizeof(*b)), *c = calloc(N, sizeof(*c));
	NEED(a && b && c);
	for (unsigned i = 0; i < N; i++) {
		b[i] = i;
		c[i] = N - i;
	}
	for (unsigned round = 0; round < work; round++) {
		double k = 0.5 + round;
#pragma GCC ivdep
		for (unsigned i = 0; i < N; i++) {
			a[i] = b[i] + k * c[i];
		}
		double *t = a;
		a = b;
		b = t;
	}
	uint64_t result = mix_double(mix_double(0, a[7]), b[N / 2]);
	free(a);
	free(b);
	free(c);
	return result;
}

static uint64_t run_matmul(unsigned work)
{
	enum { N = 64 };
	static float a[N][N], b[N][N], c[N][N];
	for (unsigned i = 0; i < N * N; i++) {
		a[i / N][i % N] = (float)(i % 17) * 0.1f;
		b[i / N][i % N] = (float)(i % 13) * 0.2f;
	}
	for (unsigned round = 0; round < work; round++) {
		for (unsigned i = 0; i < N; i++) {
			for (unsigned k = 0; k < N; k++) {
				float f = a[i][k];
				for (unsigned j = 0; j < N; j++) {
					c[i][j] += f * b[k][j];
				}
			}
		}
		a[round % N][round / N % N] += 0.01f;
	}
	return mix_double(mix_double(0, c[0][0]), c[N - 1][N / 2]);
}

static uint64_t run_i32(unsigned work)
{
	enum { N = 4096 };
	int32_t *a = random_bytes(N * sizeof(*a)), *b = random_bytes(N * sizeof(*b));
	for (unsigned round = 0; round < work; round++) {
		for (unsigned i = 0; i < N; i++) {
			int32_t v = (int32_t)((uint32_t)a[i] * 3u + (uint32_t)b[i]);
			a[i] = v > 0 ? v >> 1 : v ^ (int32_t)round;
		}
	}
	uint64_t result = 0;
	for (unsigned i = 0; i < N; i++) {
		result = mix(result, (uint32_t)a[i]);
	}
	free(a);
	free(b);
	return result;
}

/* What image code does: widen, weigh, narrow. */
static uint64_t run_blend(unsigned work)
{
	enum { N = 16384 };
	uint8_t *a = random_bytes(N), *b = random_bytes(N + 64);
	for (unsigned round = 0; round < work; round++) {
		for (unsigned i = 0; i < N; i++) {
			a[i] = (uint8_t)((a[i] * 3u + b[i + (round & 63)] * 5u + 4) >> 3);
		}
	}
	uint64_t result = 0;
	for (unsigned i = 0; i < N; i += 8) {
		result = mix(result, a[i]);
	}
	free(a);
	free(b);
	return result;
}

static uint64_t run_sad(unsigned work)
{
	enum { N = 16384 };
	uint8_t *a = random_bytes(N), *b = random_bytes(N + 64);
	uint64_t result = 0;
	for (unsigned round = 0; round < work; round++) {
		uint32_t sum = 0;
		const uint8_t *other = b + (round & 63);
		for (unsigned i = 0; i < N; i++) {
			int d = a[i] - other[i];
			sum += (uint32_t)(d < 0 ? -d : d);
		}
		result = mix(result, sum);
	}
	free(a);
	free(b);
	return result;
}

/* Pixels of three bytes, taken apart, weighed and put together. */
static uint64_t run_rgb(unsigned work)
{
	enum { N = 4096 };
	uint8_t *from = random_bytes(3 * N), *to = calloc(3, N);
	NEED(to);
	for (unsigned round = 0; round < work; round++) {
		uint16_t weight = (uint16_t)(round & 63);
		for (unsigned i = 0; i < N; i++) {
			uint8_t r = from[3 * i], g = from[3 * i + 1], b = from[3 * i + 2];
			uint8_t grey = (uint8_t)((77 * r + 150 * g + 29 * b + 128) >> 8);
			to[3 * i] = (uint8_t)((r * weight + grey * (64 - weight)) >> 6);
			to[3 * i + 1] = (uint8_t)((g * weight + grey * (64 - weight)) >> 6);
			to[3 * i + 2] = (uint8_t)((b * weight + grey * (64 - weight)) >> 6);
		}
		uint8_t *other = from;
		from = to;
		to = other;
	}
	uint64_t result = 0;
	for (unsigned i = 0; i < 3 * N; i += 5) {
		result = mix(result, from[i]);
	}
	free(from);
	free(to);
	return result;
}

/* Between pixels, as video decoders do it; on Arm as they are written by hand. */
static void filter_row(uint8_t *restrict to, const uint8_t *restrict from, const int16_t taps[8],
		       unsigned count)
{
#ifdef __ARM_NEON
	int16x8_t t = vld1q_s16(taps);
	for (unsigned i = 0; i < count; i += 8) {
		int16x8_t p[8];
#pragma GCC unroll 8
		for (unsigned k = 0; k < 8; k++) {
			p[k] = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(from + i + k)));
		}
		int16x8_t sum = vmulq_lane_s16(p[0], vget_low_s16(t), 0);
		sum = vmlaq_lane_s16(sum, p[1], vget_low_s16(t), 1);
		sum = vmlaq_lane_s16(sum, p[2], vget_low_s16(t), 2);
		sum = vmlaq_lane_s16(sum, p[5], vget_high_s16(t), 1);
		sum = vmlaq_lane_s16(sum, p[6], vget_high_s16(t), 2);
		sum = vmlaq_lane_s16(sum, p[7], vget_high_s16(t), 3);
		sum = vqaddq_s16(sum, vmulq_lane_s16(p[3], vget_low_s16(t), 3));
		sum = vqaddq_s16(sum, vmulq_lane_s16(p[4], vget_high_s16(t), 0));
		vst1_u8(to + i, vqrshrun_n_s16(sum, 7));
	}
#else
	for (unsigned i = 0; i < count; i++) {
		int sum = 64;
#pragma GCC unroll 8
		for (unsigned k = 0; k < 8; k++) {
			sum += from[i + k] * taps[k];
		}
		sum >>= 7;
		to[i] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
	}
#endif
}

static uint64_t run_filter(unsigned work)
{
	enum { N = 4096 };
	static const int16_t taps[4][8] = {{0, 1, -5, 126, 8, -3, 1, 0},
					   {-1, 3, -10, 122, 18, -6, 2, 0},
					   {-1, 6, -19, 78, 78, -19, 6, -1},
					   {0, 2, -6, 18, 122, -10, 3, -1}};
	uint8_t *from = random_bytes(N + 8), *to = random_bytes(N + 8);
	for (unsigned round = 0; round < work; round++) {
		filter_row(to, from, taps[round & 3], N);
		uint8_t *other = from;
		from = to;
		to = other;
	}
	uint64_t result = 0;
	for (unsigned i = 0; i < N; i += 3) {
		result = mix(result, from[i]);
	}
	free(from);
	free(to);
	return result;
}

static uint64_t run_shuffle(unsigned work)
{
	u8x16 v = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	u8x16 index = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};
	for (unsigned i = 0; i < work; i++) {
		u8x16 s = __builtin_shuffle(v, index & 15);
		v = s + (u8x16)((u16x8)v << 3);
		index = (index ^ v) + 1;
	}
	uint64_t result = 0;
	for (unsigned i = 0; i < 16; i++) {
		result = mix(result, v[i]);
	}
	return result;
}

static const struct line lines[] = {
	{"simd-f32", run_f32, 4000000},	  {"simd-f64", run_f64, 2000000},
	{"simd-f16", run_f16, 400000},	  {"simd-subnormal", run_f64_subnormal, 2000000},
	{"simd-stream", run_stream, 300}, {"simd-matmul", run_matmul, 180},
	{"simd-i32", run_i32, 24000},	  {"simd-blend", run_blend, 10000},
	{"simd-sad", run_sad, 16000},	  {"simd-shuffle", run_shuffle, 12000000},
	{"simd-rgb", run_rgb, 30000},	  {"simd-filter", run_filter, 30000},
};

const struct group simd_group = GROUP("simd", lines);
