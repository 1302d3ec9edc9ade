/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench.h - what the files of the CPU benchmark share
 *
 * How it works: a line is a fixed amount of work with one result.  It is timed by CLOCK_MONOTONIC
 * where it runs; the result is a function of the work alone, so that machines which compute right
 * print the same. Threads: lines run one after another on the main thread; those of threads.c start
 * their own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
	const char *name;
	uint64_t (*run)(unsigned work); /* returns the result */
	unsigned work;			/* how much, in units of the line's own */
	bool free_cpus;			/* not pinned to one CPU */
	void (*prepare)(void);		/* not timed; may be NULL */
	const char *command; /* instead of run: for the shell; its output is the result */
};

struct group {
	const char *name;
	const struct line *lines;
	size_t count;
};

#define GROUP(name, lines)                                                                         \
	{                                                                                          \
		name, lines, sizeof(lines) / sizeof((lines)[0])                                    \
	}

extern const struct group integer_group, string_group, crypto_group, compress_group, fp_group,
	simd_group, interpreter_group, kernel_group, memory_group, code_group, thread_group,
	latency_group;

/* A generator with a fixed sequence (Marsaglia's xorshift64). */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Folds @value into a result. */
static inline uint64_t mix(uint64_t result, uint64_t value)
{
	return (result ^ value) * 0x9e3779b97f4a7c15u + (result >> 29);
}

static inline uint64_t mix_double(uint64_t result, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return mix(result, bits);
}

/* Ends the program with a line that names what failed; a line of the benchmark has no other way to
 * fail. */
_Noreturn void fail(const char *what);

#define NEED(condition) ((condition) ? (void)0 : fail(#condition))

/* Memory filled with a fixed sequence; the caller frees it. */
void *random_bytes(size_t len_bytes);

/* CLOCK_MONOTONIC in seconds. */
double now_s(void);

/* Keeps the compiler from seeing through @pointer. */
#define OPAQUE(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")
