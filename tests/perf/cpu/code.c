/* SPDX-License-Identifier: Apache-2.0 */
/*
 * code.c - much code, new code, changed code
 *
 * Threads: the main thread.
 */
#include "bench.h"

#include <dlfcn.h>
#include <sys/mman.h>

/* 4096 functions that differ, each of some thirty instructions. */
#define BODY(n)                                                                                    \
	static __attribute__((noinline)) uint64_t leaf_##n(uint64_t v)                             \
	{                                                                                          \
		v = v * (2u * 1##n + 1) + (v >> 7);                                                \
		if (v & (1u << (1##n & 15))) {                                                     \
			v ^= 0x1##n * 0x10001u;                                                    \
		} else {                                                                           \
			v += (v << 5) ^ 1##n;                                                      \
		}                                                                                  \
		v = (v & 0xffff) > 0x8000 ? v - 0x1##n : v + 3 * 1##n;                             \
		return (v >> 3 | v << 61) ^ (v * 1##n);                                            \
	}
#define NAME(n)	  leaf_##n,
#define OCT(x, n) x(n##0) x(n##1) x(n##2) x(n##3) x(n##4) x(n##5) x(n##6) x(n##7)
#define OCT2(x, n)                                                                                 \
	OCT(x, n##0)                                                                               \
	OCT(x, n##1) OCT(x, n##2) OCT(x, n##3) OCT(x, n##4) OCT(x, n##5) OCT(x, n##6) OCT(x, n##7)
#define OCT3(x, n)                                                                                 \
	OCT2(x, n##0)                                                                              \
	OCT2(x, n##1)                                                                              \
	OCT2(x, n##2) OCT2(x, n##3) OCT2(x, n##4) OCT2(x, n##5) OCT2(x, n##6) OCT2(x, n##7)
#define ALL(x)                                                                                     \
	OCT3(x, 1) OCT3(x, 2) OCT3(x, 3) OCT3(x, 4) OCT3(x, 5) OCT3(x, 6) OCT3(x, 7) OCT3(x, 8)

ALL(BODY)

typedef uint64_t (*leaf_fn)(uint64_t);
static const leaf_fn leaves[] = {ALL(NAME)};

/* All functions, again and again, in changing order. */
static uint64_t run_icache(unsigned work)
{
	enum { LEAVES = sizeof(leaves) / sizeof(leaves[0]) };
	uint64_t value = 1;
	for (unsigned round = 0; round < work; round++) {
		unsigned at = round;
		for (unsigned i = 0; i < LEAVES; i++) {
			at = (at * 1021 + 77) & (LEAVES - 1);
			value = leaves[at](value);
		}
	}
	return value;
}

/* Code is written here through the same address as it runs from, as simple translators do. */
static unsigned char *code_space(size_t len_bytes)
{
	void *at = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(at != MAP_FAILED);
	return at;
}

/* A function that returns its argument plus @constant (16 bits), with @steps such additions.
 * Returns its length. */
static size_t emit_add(unsigned char *at, unsigned constant, unsigned steps)
{
	size_t len = 0;
#ifdef __aarch64__
	for (unsigned i = 0; i < steps; i++) {
		uint32_t words[2] = {0xd2800001u | (constant & 0xffff) << 5,
				     0x8b010000u}; /* movz x1, #c; add x0, x0, x1 */
		memcpy(at + len, words, 8);
		len += 8;
	}
	uint32_t ret = 0xd65f03c0u;
	memcpy(at + len, &ret, 4);
	len += 4;
#else
	for (unsigned i = 0; i < steps; i++) {
		unsigned char add[] = {0x48, 0x81, 0xc7, constant & 0xff, constant >> 8 & 0xff,
				       0,    0}; /* add rdi, c */
		memcpy(at + len, add, sizeof(add));
		len += sizeof(add);
	}
	unsigned char ret[] = {0x48, 0x89, 0xf8, 0xc3}; /* mov rax, rdi; ret */
	memcpy(at + len, ret, sizeof(ret));
	len += sizeof(ret);
#endif
	__builtin___clear_cache((char *)at, (char *)at + len);
	return len;
}

/* New functions all the time, each run a few times, as a just-in-time compiler's are. */
static uint64_t run_jit(unsigned work)
{
	enum { SPACE = 1 << 20 };
	unsigned char *space = code_space(SPACE);
	uint64_t value = 0;
	size_t used = 0;
	for (unsigned i = 0; i < work; i++) {
		if (used + 512 > SPACE) {
			used = 0;
		}
		leaf_fn function = (leaf_fn)(void *)(space + used);
		used += (emit_add(space + used, i & 0x7fff, 8 + i % 24) + 15) & ~15ul;
		for (unsigned j = 0; j < 20; j++) {
			value = function(value) ^ j;
		}
	}
	munmap(space, SPACE);
	return value;
}

/* One constant in hot code changes all the time, as inline caches do. */
static uint64_t run_patch(unsigned work)
{
	unsigned char *space = code_space(4096);
	uint64_t value = 0;
	for (unsigned i = 0; i < work; i++) {
		emit_add(space, i & 0x7fff, 1);
		leaf_fn function = (leaf_fn)(void *)space;
		for (unsigned j = 0; j < 10; j++) {
			value = function(value) + j;
		}
	}
	munmap(space, 4096);
	return value;
}

static uint64_t run_dlopen(unsigned work)
{
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		void *library = dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_LOCAL);
		NEED(library);
		result += dlsym(library, "sqlite3_open") != NULL;
		dlclose(library);
	}
	return result;
}

static const struct line lines[] = {
	{"icache", run_icache, 700},
	{"jit", run_jit, 20000},
	{"jit-patch", run_patch, 25000},
	{"dlopen", run_dlopen, 60},
};

const struct group code_group = GROUP("code", lines);
