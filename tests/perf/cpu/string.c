/* SPDX-License-Identifier: Apache-2.0 */
/*
 * string.c - the C library's string and memory functions, and byte loops
 *
 * Threads: the main thread.
 */
#include "bench.h"

static uint64_t run_strlen(unsigned work)
{
	char text[256];
	memset(text, 'x', sizeof(text));
	uint64_t result = 0;
	const char *at = text;
	for (unsigned i = 0; i < work; i++) {
		text[i % 200 + 40] = 0;
		OPAQUE(at);
		result += strlen(at) + (size_t)(strchr(at, 0) - at);
		text[i % 200 + 40] = 'x';
	}
	return result;
}

static uint64_t run_strcmp(unsigned work)
{
	char a[128], b[128];
	memset(a, 'y', sizeof(a));
	memset(b, 'y', sizeof(b));
	a[127] = b[127] = 0;
	const char *left = a, *right = b;
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		a[i % 120] = 'z';
		OPAQUE(left);
		OPAQUE(right);
		result += (strcmp(left, right) > 0) + 2u * (memcmp(left, right, 100) > 0);
		a[i % 120] = 'y';
	}
	return result;
}

/* Short copies of changing length, as programs make most. */
static uint64_t run_copy_small(unsigned work)
{
	unsigned char *from = random_bytes(8192), *to = calloc(8192, 1);
	NEED(to);
	for (unsigned i = 0; i < work; i++) {
		size_t len = i * 37 % 192;
		memcpy(to + (i * 13 & 4095), from + (i * 29 & 4095), len);
	}
	uint64_t result = 0;
	for (unsigned i = 0; i < 8192; i++) {
		result = mix(result, to[i]);
	}
	free(from);
	free(to);
	return result;
}

static uint64_t run_copy_large(unsigned work)
{
	enum { SIZE = 1 << 20 };
	unsigned char *a = random_bytes(SIZE + 64), *b = malloc(SIZE + 64);
	NEED(b);
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		memcpy(b + (i & 31), a, SIZE);
		OPAQUE(b);
		memmove(a + (i & 15), b, SIZE);
		result = mix(result, a[(i * 4099u) & (SIZE - 1)]);
	}
	free(a);
	free(b);
	return result;
}

static uint64_t run_set(unsigned work)
{
	enum { SIZE = 1 << 18 };
	unsigned char *a = malloc(SIZE);
	NEED(a);
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		memset(a, (int)(i & 0xff), SIZE);
		OPAQUE(a);
		memset(a + (i & 63), 0, i % 300);
		OPAQUE(a);
		result += a[i % SIZE] + a[SIZE - 1];
	}
	free(a);
	return result;
}

static uint64_t run_byte_loop(unsigned work)
{
	unsigned char *text = random_bytes(4096);
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		unsigned words = 0, in = 0;
		for (unsigned j = 0; j < 4096; j++) {
			unsigned char c = text[j] & 0x7f;
			unsigned is = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
			words += is && !in;
			in = is;
		}
		text[i & 4095]++;
		result = mix(result, words);
	}
	free(text);
	return result;
}

static uint64_t run_printf(unsigned work)
{
	char text[128];
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		int len = snprintf(text, sizeof(text), "%u: %-8s|%08x|%ld|%c", i, "name",
				   i * 2654435761u, (long)i * -77, 'a' + (int)(i % 26));
		result = mix(result, (uint64_t)len + (unsigned char)text[i % (unsigned)len]);
		result += strtoul(text, NULL, 10);
	}
	return result;
}

static uint64_t run_malloc(unsigned work)
{
	void *kept[256] = {NULL};
	uint64_t state = 21, result = 0;
	for (unsigned i = 0; i < work; i++) {
		uint64_t n = next_random(&state);
		unsigned at = n & 255;
		free(kept[at]);
		size_t len = 16 + (n >> 8) % 600;
		kept[at] = malloc(len);
		NEED(kept[at]);
		*(uint64_t *)kept[at] = n;
		uint64_t *other = kept[(n >> 20) & 255];
		result += other ? *other : len;
	}
	for (unsigned i = 0; i < 256; i++) {
		free(kept[i]);
	}
	return result;
}

static const struct line lines[] = {
	{"strlen", run_strlen, 3000000},
	{"strcmp", run_strcmp, 6000000},
	{"memcpy-small", run_copy_small, 6000000},
	{"memcpy-large", run_copy_large, 1500},
	{"memset", run_set, 50000},
	{"byte-loop", run_byte_loop, 24000},
	{"printf", run_printf, 300000},
	{"malloc", run_malloc, 4000000},
};

const struct group string_group = GROUP("string", lines);
