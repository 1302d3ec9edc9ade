/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - page faults, mappings, and accesses that miss translation caches
 *
 * Threads: the main thread; one line forks.
 */
#include "bench.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };

static unsigned char *map(size_t len_bytes)
{
	void *at =
		mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(at != MAP_FAILED);
	/* Small pages everywhere, whatever the kernel's setting for huge ones. */
	NEED(madvise(at, len_bytes, MADV_NOHUGEPAGE) == 0);
	return at;
}

static uint64_t run_page_faults(unsigned work)
{
	enum { PAGES = 2048 };
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		unsigned char *at = map(PAGES * PAGE);
		for (unsigned p = 0; p < PAGES; p++) {
			at[p * PAGE + (p & 63)] = 1;
			result += at[p * PAGE + 7];
		}
		munmap(at, PAGES * PAGE);
	}
	return result;
}

/* Copy on write: a child touches what it shares with its parent. */
static uint64_t run_cow(unsigned work)
{
	enum { PAGES = 1024 };
	unsigned char *at = map(PAGES * PAGE);
	memset(at, 3, PAGES * PAGE);
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		pid_t child = fork();
		NEED(child >= 0);
		if (child == 0) {
			unsigned sum = 0;
			for (unsigned p = 0; p < PAGES; p++) {
				sum += ++at[p * PAGE];
			}
			_exit((int)(sum & 0x7f));
		}
		int status = 0;
		NEED(waitpid(child, &status, 0) == child && WIFEXITED(status));
		result += (uint64_t)WEXITSTATUS(status) + 1;
	}
	return result;
}

static uint64_t run_mmap(unsigned work)
{
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		size_t len = (size_t)(i % 16 + 1) * PAGE;
		unsigned char *at = map(len);
		at[len - 1] = (unsigned char)i;
		result += at[len - 1];
		munmap(at, len);
	}
	return result;
}

/* Each protection change must reach the translation caches at once. */
static uint64_t run_mprotect(unsigned work)
{
	enum { PAGES = 64 };
	unsigned char *at = map(PAGES * PAGE);
	memset(at, 1, PAGES * PAGE);
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		unsigned char *page = at + (i * 5 % PAGES) * PAGE;
		NEED(mprotect(page, PAGE, PROT_READ) == 0);
		result += page[i & 4095];
		NEED(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0);
		page[i & 4095]++;
	}
	munmap(at, PAGES * PAGE);
	return result;
}

/* One load from each of many pages in an order that nothing foresees. */
static uint64_t walk_pages(unsigned work, unsigned pages)
{
	unsigned char *at = map((size_t)pages * PAGE);
	for (unsigned p = 0; p < pages; p++) {
		*(uint64_t *)(at + (size_t)p * PAGE + (p & 63) * 64) = p * 2654435761u;
	}
	uint64_t result = 0, p = 1;
	for (unsigned i = 0; i < work; i++) {
		uint64_t value = *(uint64_t *)(at + p * PAGE + (p & 63) * 64);
		result += value;
		p = (p * 1664525 + value + 1013904223) & (pages - 1);
	}
	munmap(at, (size_t)pages * PAGE);
	return result;
}

static uint64_t run_tlb_1k(unsigned work)
{
	return walk_pages(work, 1024);
}
static uint64_t run_tlb_32k(unsigned work)
{
	return walk_pages(work, 32768);
}

static uint64_t run_huge(unsigned work)
{
	enum { SIZE = 8 << 20 };
	uint64_t *at = (uint64_t *)map(SIZE), result = 0;
	for (unsigned round = 0; round < work; round++) {
		for (unsigned i = 0; i < SIZE / 8; i += 8) {
			result += at[i];
			at[i] = result + i;
		}
	}
	munmap(at, SIZE);
	return result;
}

static uint64_t run_unaligned(unsigned work)
{
	unsigned char *data = random_bytes(2 * PAGE + 64);
	uint64_t result = 0;
	for (unsigned round = 0; round < work; round++) {
		for (unsigned i = 0; i + 8 < 2 * PAGE; i += 7) {
			uint64_t value;
			memcpy(&value, data + i, sizeof(value));
			result += value;
			data[i] ^= (unsigned char)result;
		}
	}
	free(data);
	return result;
}

static const struct line lines[] = {
	{"page-faults", run_page_faults, 15},
	{"copy-on-write", run_cow, 15},
	{"mmap", run_mmap, 8000},
	{"mprotect", run_mprotect, 10000},
	{"tlb-1k-pages", run_tlb_1k, 60000000},
	{"tlb-32k-pages", run_tlb_32k, 1500000},
	{"sweep", run_huge, 300},
	{"unaligned", run_unaligned, 20000},
};

const struct group memory_group = GROUP("memory", lines);
