/* SPDX-License-Identifier: Apache-2.0 */
/*
 * integer.c - integer arithmetic, branches, calls, sorting
 *
 * Threads: the main thread.
 */
#include "bench.h"

static uint64_t run_alu(unsigned work)
{
	uint64_t a = 1, b = 0x123456789abcdefu, c = 7, d = 11;
	for (unsigned i = 0; i < work; i++) {
		a += b ^ i;
		b = (b << 7 | b >> 57) - c;
		c = (c & ~a) + (d | i);
		d ^= (a >> 3) + (uint32_t)(b >> 32);
	}
	return a ^ b ^ c ^ d;
}

static uint64_t run_mul(unsigned work)
{
	uint64_t a = 0x9e3779b97f4a7c15u, result = 0;
	for (unsigned i = 0; i < work; i++) {
		unsigned __int128 wide = (unsigned __int128)a * (result | 1);
		result += (uint64_t)(wide >> 64) ^ (uint64_t)wide;
		a = a * 6364136223846793005u + i;
	}
	return result;
}

static uint64_t run_div(unsigned work)
{
	uint64_t state = 42, result = 0;
	for (unsigned i = 1; i <= work; i++) {
		uint64_t n = next_random(&state);
		result += n / (i | 1) + n % ((uint32_t)n | 1) +
			  (uint64_t)((int64_t)n / (int64_t)(i | 3));
	}
	return result;
}

static uint64_t run_bits(unsigned work)
{
	uint64_t state = 99, result = 0;
	for (unsigned i = 0; i < work; i++) {
		uint64_t n = next_random(&state) | 1;
		result += (uint64_t)__builtin_clzll(n) + (uint64_t)__builtin_ctzll(n << (i & 31)) +
			  __builtin_bswap64(n);
		result ^= (n >> (i & 63)) | (n << (-i & 63));
		result += (n >> 13) & 0x3ff;
	}
	return result;
}

/* Branches that no predictor learns. */
static uint64_t run_branch(unsigned work)
{
	uint64_t state = 5, result = 0;
	for (unsigned i = 0; i < work; i++) {
		uint64_t n = next_random(&state);
		if (n & 1) {
			result += 3;
		} else if (n & 6) {
			result ^= n;
		}
		if ((n & 0xf0) > 0x70) {
			result = result * 5 + 1;
		}
		while ((n & 0x300) && (n & 0x400)) {
			n >>= 1;
			result++;
		}
	}
	return result;
}

static uint64_t run_collatz(unsigned work)
{
	uint64_t result = 0;
	for (uint64_t i = 1; i < work; i++) {
		for (uint64_t n = i; n != 1; result++) {
			n = n & 1 ? 3 * n + 1 : n / 2;
		}
	}
	return result;
}

static __attribute__((noinline)) unsigned fibonacci(unsigned n)
{
	__asm__ volatile("" : "+r"(n));
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static uint64_t run_call(unsigned work)
{
	return fibonacci(work);
}

typedef uint64_t (*step_fn)(uint64_t);

static uint64_t step_0(uint64_t v)
{
	return v + 1;
}
static uint64_t step_1(uint64_t v)
{
	return v * 3;
}
static uint64_t step_2(uint64_t v)
{
	return v ^ 0x55;
}
static uint64_t step_3(uint64_t v)
{
	return v >> 1;
}
static uint64_t step_4(uint64_t v)
{
	return v - 7;
}
static uint64_t step_5(uint64_t v)
{
	return ~v;
}
static uint64_t step_6(uint64_t v)
{
	return v << 2;
}
static uint64_t step_7(uint64_t v)
{
	return v | 0x100;
}

static uint64_t run_indirect(unsigned work)
{
	static step_fn const steps[8] = {step_0, step_1, step_2, step_3,
					 step_4, step_5, step_6, step_7};
	const step_fn *table = steps;
	OPAQUE(table);
	uint64_t state = 17, value = 1;
	for (unsigned i = 0; i < work; i++) {
		value = table[next_random(&state) & 7](value);
	}
	return value;
}

/* A byte-code machine: one indirect jump for each instruction. */
static uint64_t run_switch(unsigned work)
{
	unsigned char *code = random_bytes(4096);
	uint64_t acc = 1, other = 2;
	for (unsigned i = 0; i < work; i++) {
		for (unsigned pc = 0; pc < 4096; pc++) {
			switch (code[pc] & 15) {
			case 0: acc += other; break;
			case 1: acc -= pc; break;
			case 2: acc ^= other << 3; break;
			case 3: other = acc >> 5; break;
			case 4: acc *= 3; break;
			case 5: other += code[acc & 4095]; break;
			case 6: acc = ~acc; break;
			case 7: pc += acc & 1; break;
			case 8: acc |= 1; break;
			case 9: other ^= acc; break;
			case 10: acc = acc << 9 | acc >> 55; break;
			case 11: other -= 5; break;
			case 12: acc += 0x1234; break;
			case 13: other = other * 5 + 1; break;
			case 14: acc ^= pc; break;
			default: acc = acc > other ? acc - other : other - acc;
			}
		}
	}
	free(code);
	return acc ^ other;
}

static uint64_t run_sieve(unsigned work)
{
	uint64_t result = 0;
	enum { SIZE = 1 << 18 };
	for (unsigned round = 0; round < work; round++) {
		char *composite = calloc(SIZE, 1);
		NEED(composite);
		for (unsigned i = 2; i < SIZE; i++) {
			if (!composite[i]) {
				result += i;
				for (uint64_t j = (uint64_t)i * i; j < SIZE; j += i) {
					composite[j] = 1;
				}
			}
		}
		free(composite);
	}
	return result;
}

/* Open addressing: dependent loads and a multiply for each look-up. */
static uint64_t run_hash_table(unsigned work)
{
	enum { SLOTS = 1 << 16 };
	uint64_t *keys = calloc(SLOTS, sizeof(*keys)), *counts = calloc(SLOTS, sizeof(*counts));
	NEED(keys && counts);
	uint64_t state = 3, result = 0;
	for (unsigned i = 0; i < work; i++) {
		uint64_t key = (next_random(&state) & 0x7fff) + 1;
		size_t at = key * 0x9e3779b97f4a7c15u >> 48;
		while (keys[at] && keys[at] != key) {
			at = (at + 1) & (SLOTS - 1);
		}
		keys[at] = key;
		result += ++counts[at] * key;
	}
	free(keys);
	free(counts);
	return result;
}

struct node {
	struct node *next;
	uint64_t value;
};

static uint64_t run_list(unsigned work)
{
	enum { NODES = 1 << 15 };
	struct node *nodes = calloc(NODES, sizeof(*nodes));
	NEED(nodes);
	for (unsigned i = 0; i < NODES; i++) {
		nodes[i] = (struct node){&nodes[(i * 7919u + 1) & (NODES - 1)], i};
	}
	uint64_t result = 0;
	const struct node *at = nodes;
	for (unsigned i = 0; i < work; i++) {
		result += at->value ^ i;
		at = at->next;
	}
	free(nodes);
	return result;
}

/* Carries: sums of 2048-bit numbers. */
static uint64_t run_bigint(unsigned work)
{
	uint64_t *a = random_bytes(256), *b = random_bytes(256);
	for (unsigned i = 0; i < work; i++) {
		unsigned long long carry = 0;
		for (unsigned j = 0; j < 32; j++) {
			unsigned __int128 sum = (unsigned __int128)a[j] + b[31 - j] + carry;
			a[j] = (uint64_t)sum;
			carry = (unsigned long long)(sum >> 64);
		}
		b[i & 31] += carry;
	}
	uint64_t result = a[0];
	for (unsigned j = 1; j < 32; j++) {
		result = mix(result, a[j]);
	}
	free(a);
	free(b);
	return result;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static uint64_t run_qsort(unsigned work)
{
	uint32_t *values = random_bytes(work * sizeof(*values));
	qsort(values, work, sizeof(*values), compare_u32);
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i += 97) {
		result = mix(result, values[i]);
	}
	free(values);
	return result;
}

static const struct line lines[] = {
	{"int-alu", run_alu, 120000000},
	{"int-mul", run_mul, 160000000},
	{"int-div", run_div, 50000000},
	{"int-bits", run_bits, 60000000},
	{"branches", run_branch, 24000000},
	{"collatz", run_collatz, 900000},
	{"calls", run_call, 35},
	{"indirect-calls", run_indirect, 15000000},
	{"switch", run_switch, 3000},
	{"sieve", run_sieve, 150},
	{"hash-table", run_hash_table, 30000000},
	{"linked-list", run_list, 50000000},
	{"bigint", run_bigint, 1500000},
	{"qsort", run_qsort, 300000},
};

const struct group integer_group = GROUP("integer", lines);
