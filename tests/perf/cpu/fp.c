/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp.c - scalar floating point
 *
 * Threads: the main thread.
 */
#include "bench.h"

#include <fenv.h>
#include <math.h>

struct body {
	double x, y, z, vx, vy, vz, mass;
};

static uint64_t run_nbody(unsigned work)
{
	struct body b[5];
	for (unsigned i = 0; i < 5; i++) {
		b[i] = (struct body){i * 1.5, i * -0.7,	 i * 0.3,      0.1 * i,
				     0.2,     -0.05 * i, 1.0 / (1 + i)};
	}
	for (unsigned step = 0; step < work; step++) {
		for (unsigned i = 0; i < 5; i++) {
			for (unsigned j = i + 1; j < 5; j++) {
				double dx = b[i].x - b[j].x, dy = b[i].y - b[j].y,
				       dz = b[i].z - b[j].z;
				double d2 = dx * dx + dy * dy + dz * dz + 0.01;
				double mag = 0.001 / (d2 * sqrt(d2));
				b[i].vx -= dx * b[j].mass * mag;
				b[i].vy -= dy * b[j].mass * mag;
				b[i].vz -= dz * b[j].mass * mag;
				b[j].vx += dx * b[i].mass * mag;
				b[j].vy += dy * b[i].mass * mag;
				b[j].vz += dz * b[i].mass * mag;
			}
		}
		for (unsigned i = 0; i < 5; i++) {
			b[i].x += 0.001 * b[i].vx;
			b[i].y += 0.001 * b[i].vy;
			b[i].z += 0.001 * b[i].vz;
		}
	}
	return mix_double(mix_double(0, b[0].x), b[4].vz);
}

/* As programs run that were linked with -ffast-math: subnormal numbers count as zero. */
static uint64_t run_flushing(unsigned work)
{
#ifdef __aarch64__
	uint64_t fpcr;
	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	__asm__ volatile("msr fpcr, %0" : : "r"(fpcr | 1 << 24));
#endif
	return run_nbody(work);
}

/* The compiler must not move what computes @x over what changes the rounding mode. */
static void settle(double *x)
{
	__asm__ volatile("" : "+m"(*x) : : "memory");
}

static void step(double *x, int direction)
{
	fesetround(direction);
	settle(x);
	double v = *x;
	for (unsigned i = 0; i < 8; i++) {
		v = v * 0.999 + 0.3;
		v = v / 1.0625 - v * 0.1;
	}
	*x = v;
	settle(x);
}

/* Bounds of a value: each step is rounded down for one and up for the other. */
static uint64_t run_interval(unsigned work)
{
	double low = 1, high = 1;
	for (unsigned i = 0; i < work; i++) {
		step(&low, FE_DOWNWARD);
		step(&high, FE_UPWARD);
	}
	fesetround(FE_TONEAREST);
	return mix_double(mix_double(0, low), high);
}

static uint64_t run_mandelbrot(unsigned work)
{
	uint64_t result = 0;
	for (unsigned y = 0; y < work; y++) {
		for (unsigned x = 0; x < work; x++) {
			float cr = 3.0f * (float)x / (float)work - 2.2f,
			      ci = 2.4f * (float)y / (float)work - 1.2f;
			float r = 0, i = 0;
			unsigned n = 0;
			while (n < 100 && r * r + i * i < 4) {
				float t = r * r - i * i + cr;
				i = 2 * r * i + ci;
				r = t;
				n++;
			}
			result = mix(result, n);
		}
	}
	return result;
}

static uint64_t run_div_sqrt(unsigned work)
{
	double sum = 0, value = 2;
	for (unsigned i = 1; i <= work; i++) {
		value = sqrt(value + i) / (1.0 + 1.0 / i);
		sum += 1.0 / (value + i);
	}
	return mix_double(mix_double(0, sum), value);
}

/* Multiply and add in one rounding. */
static uint64_t run_fma(unsigned work)
{
	double a = 0.5, b = 0.25, c = 0.125, d = 1.0;
	for (unsigned i = 0; i < work; i++) {
		a = __builtin_fma(a, 0.999, b);
		b = __builtin_fma(b, -0.5, c);
		c = __builtin_fma(c, 0.25, d);
		d = __builtin_fma(d, 0.125, a * 1e-3);
	}
	return mix_double(mix_double(mix_double(mix_double(0, a), b), c), d);
}

static uint64_t run_libm(unsigned work)
{
	double sum = 0;
	for (unsigned i = 1; i <= work; i++) {
		double x = i * 0.001;
		sum += sin(x) * cos(x * 0.5) + exp(-x * 0.01) + log(x + 1) + pow(x, 0.3) +
		       atan2(x, 3.0);
	}
	return mix_double(0, sum);
}

static uint64_t run_convert(unsigned work)
{
	uint64_t state = 8, result = 0;
	double carry = 0;
	for (unsigned i = 0; i < work; i++) {
		int32_t n = (int32_t)next_random(&state);
		float narrow = (float)n * 0.25f;
		double wide = (double)narrow + (double)(uint32_t)(n >> 1);
		carry += floor(wide * 0.1) + (wide > carry ? 1.0 : -1.0);
		result += (uint64_t)(int64_t)wide ^ (uint64_t)(int32_t)narrow;
	}
	return mix_double(result, carry);
}

static uint64_t run_lu(unsigned work)
{
	enum { N = 48 };
	static double a[N][N];
	uint64_t result = 0;
	for (unsigned round = 0; round < work; round++) {
		for (unsigned i = 0; i < N; i++) {
			for (unsigned j = 0; j < N; j++) {
				a[i][j] = 1.0 / (1 + (i * 7 + j * 3 + round) % 19) +
					  (i == j ? 9.0 : 0);
			}
		}
		for (unsigned k = 0; k < N; k++) {
			for (unsigned i = k + 1; i < N; i++) {
				double f = a[i][k] / a[k][k];
				/* No vectors: this line is about scalars. */
				for (unsigned j = k; j < N; j++) {
					a[i][j] -= f * a[k][j];
					__asm__ volatile("" : : : "memory");
				}
			}
		}
		result = mix_double(result, a[N - 1][N - 1]);
	}
	return result;
}

static const struct line lines[] = {
	{"fp-nbody", run_nbody, 200000},	{"fp-flush", run_flushing, 40000},
	{"fp-mandelbrot", run_mandelbrot, 600}, {"fp-div-sqrt", run_div_sqrt, 12000000},
	{"fp-fma", run_fma, 12000000},		{"fp-libm", run_libm, 180000},
	{"fp-convert", run_convert, 6000000},	{"fp-lu", run_lu, 700},
	{"fp-interval", run_interval, 400000},
};

const struct group fp_group = GROUP("fp", lines);
