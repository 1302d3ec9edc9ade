/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pauth.c - pointer authentication by its properties (the algorithm is our own, so nothing else can tell the codes)
 */
#include "engine/soft/pauth.h"
#include "flat.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define POINTER	 0x00007f1234567890ull
#define KERNEL	 0xffff800012345678ull
#define MODIFIER 0x00007fffffffe000ull

struct world {
	struct sysregs sys;
	struct cpu cpu;
};

static struct world *make_world(uint64_t tcr)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	world->cpu.sys = &world->sys;
	world->sys.tcr = tcr | 16 | 16 << 16; /* 48 bits of address in both halves */
	world->sys.sctlr = SCTLR_ENIA | SCTLR_ENIB | SCTLR_ENDA | SCTLR_ENDB;
	for (unsigned n = 0; n < KEY_COUNT; n++) {
		world->sys.apkey[n][0] = 0x0123456789abcdefull * (n + 1);
		world->sys.apkey[n][1] = 0xfedcba9876543210ull * (n + 3);
	}
	return world;
}

static const enum sysreg_key keys[] = { KEY_IA, KEY_IB, KEY_DA, KEY_DB };

static void test_round_trip(void **state)
{
	static const uint64_t tcrs[] = { 0, TCR_TBI0 | TCR_TBI1, TCR_TBI0, TCR_TBI0 | TCR_TBI1 | TCR_TBID0 | TCR_TBID1 };
	for (unsigned t = 0; t < sizeof(tcrs) / sizeof(tcrs[0]); t++) {
		struct world *w = make_world(tcrs[t]);
		for (unsigned k = 0; k < 4; k++) {
			for (uint64_t n = 0; n < 1000; n++) {
				uint64_t p = (n & 1 ? KERNEL : POINTER) + n * 8, m = MODIFIER + n * 16;
				uint64_t s = pauth_sign(&w->cpu, p, m, keys[k]);
				assert_int_equal(pauth_check(&w->cpu, s, m, keys[k]), p);
				assert_int_equal(pauth_strip(&w->cpu, s, k >= 2), p);
				assert_int_equal(s >> 55 & 1, p >> 55 & 1);
			}
		}
		free(w);
	}
}

/* With TBI the tag survives and the code is 54:48. */
static void test_tag_is_kept(void **state)
{
	struct world *w = make_world(TCR_TBI0);
	uint64_t tagged = POINTER | 0x5aull << 56;
	uint64_t s = pauth_sign(&w->cpu, tagged, 1, KEY_DA);
	assert_int_equal(s >> 56, 0x5a);
	assert_int_equal(s & 0xffffffffffff, POINTER);
	assert_int_equal(pauth_check(&w->cpu, s, 1, KEY_DA), tagged);
	free(w);
}

/* A wrong modifier, key or pointer is noticed nearly always and leaves the error code of the key. */
static void test_forgery(void **state)
{
	struct world *w = make_world(0);
	unsigned accepted = 0;
	for (uint64_t n = 0; n < 10000; n++) {
		uint64_t s = pauth_sign(&w->cpu, POINTER, n, KEY_IA);
		uint64_t r = pauth_check(&w->cpu, s, n + 1, KEY_IA);
		accepted += r == POINTER;
		if (r != POINTER) {
			assert_int_equal(r, POINTER | 1ull << 61);
		}
		r = pauth_check(&w->cpu, s, n, KEY_IB);
		accepted += r == POINTER;
		if (r != POINTER) {
			assert_int_equal(r, POINTER | 2ull << 61);
		}
		accepted += pauth_check(&w->cpu, s ^ 0x1000, n, KEY_IA) == (POINTER ^ 0x1000);
	}
	assert_true(accepted < 10); /* 15 bits of code: about one in 30000 */
	free(w);
}

static void test_tagged_forgery(void **state)
{
	struct world *w = make_world(TCR_TBI0);
	uint64_t s = pauth_sign(&w->cpu, POINTER, 1, KEY_DB) ^ 1ull << 50;
	assert_int_equal(pauth_check(&w->cpu, s, 1, KEY_DB), POINTER | 2ull << 53);
	free(w);
}

/* Signing what is signed already (or not canonical) must not make it valid. */
static void test_bad_pointers_stay_bad(void **state)
{
	struct world *w = make_world(0);
	for (uint64_t n = 0; n < 1000; n++) {
		uint64_t bad = POINTER ^ 1ull << (48 + n % 7);
		uint64_t s = pauth_sign(&w->cpu, bad, n, KEY_IA);
		assert_int_not_equal(pauth_check(&w->cpu, s, n, KEY_IA), POINTER);
	}
	free(w);
}

static void test_disabled_keys_do_nothing(void **state)
{
	struct world *w = make_world(0);
	w->sys.sctlr = SCTLR_ENIB;
	assert_int_equal(pauth_sign(&w->cpu, POINTER, 1, KEY_IA), POINTER);
	assert_int_equal(pauth_check(&w->cpu, 0x1234000000000000, 1, KEY_DA), 0x1234000000000000);
	assert_int_not_equal(pauth_sign(&w->cpu, POINTER, 1, KEY_IB), POINTER);
	free(w);
}

static void test_code_depends_on_everything(void **state)
{
	struct world *w = make_world(0);
	uint64_t base = pauth_generic(&w->cpu, POINTER, MODIFIER);
	assert_int_equal((uint32_t)base, 0);
	for (unsigned bit = 0; bit < 64; bit++) {
		assert_int_not_equal(pauth_generic(&w->cpu, POINTER ^ 1ull << bit, MODIFIER), base);
		assert_int_not_equal(pauth_generic(&w->cpu, POINTER, MODIFIER ^ 1ull << bit), base);
		for (unsigned half = 0; half < 2; half++) {
			w->sys.apkey[KEY_GA][half] ^= 1ull << bit;
			assert_int_not_equal(pauth_generic(&w->cpu, POINTER, MODIFIER), base);
			w->sys.apkey[KEY_GA][half] ^= 1ull << bit;
		}
	}
	free(w);
}

/* Run instructions with keys on or off; the flat memory's window is the data. */
static struct diff_state run(const uint32_t *insns, unsigned count, const struct diff_state *start, bool shown)
{
	struct diff_case c = { .code_offset = 64, .count = count };
	struct diff_state result = { 0 };
	struct flat *flat = flat_create();
	assert_non_null(flat);
	struct sysregs *sys = flat_sysregs(flat);
	sys->tcr = 16 | 16 << 16;
	sys->sctlr = SCTLR_ENIA | SCTLR_ENIB | SCTLR_ENDA | SCTLR_ENDB;
	for (unsigned n = 0; n < KEY_COUNT; n++) {
		sys->apkey[n][0] = 77 + n;
	}
	if (!shown) {
		sys->isar1 &= ~0xff0ull;
	}
	if (start) {
		c.start = *start;
	}
	memcpy(c.insns, insns, count * sizeof(*insns));
	flat_run(flat, &c, &result);
	flat_destroy(flat);
	return result;
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_instructions(void **state)
{
	static const uint32_t sign_and_check[] = {
		0xdac10020, /* pacia x0, x1 */
		0xaa0003e2, /* mov x2, x0 */
		0xdac11020, /* autia x0, x1 */
		0xdac127e3, /* pacizb x3 */
		0xaa0303e4, /* mov x4, x3 */
		0xdac137e3, /* autizb x3 */
		0xdac143e2, /* xpaci x2 */
		0xd503233f, /* paciasp */
		0xaa1e03e5, /* mov x5, x30 */
		0xd50323bf, /* autiasp */
		0x9ac13006, /* pacga x6, x0, x1 */
	};
	struct diff_state start = { .sp = MODIFIER };
	start.x[0] = start.x[3] = POINTER;
	start.x[1] = 5;
	start.x[30] = POINTER + 4;
	struct diff_state end = run(sign_and_check, COUNT(sign_and_check), &start, true);
	assert_int_equal(end.stopped, 0);
	assert_int_equal(end.x[0], POINTER);
	assert_int_equal(end.x[2], POINTER);
	assert_int_equal(end.x[3], POINTER);
	assert_int_not_equal(end.x[4], POINTER);
	assert_int_not_equal(end.x[5], POINTER + 4);
	assert_int_equal(end.x[30], POINTER + 4);
	assert_int_not_equal(end.x[6], 0);
}

/* Returns, calls and loads that authenticate. */
static void test_combined_instructions(void **state)
{
	static const uint32_t branches[] = {
		0x100000a0, /*  0 adr x0, 5 */
		0xdac10020, /*  1 pacia x0, x1 */
		0xd73f0801, /*  2 blraa x0, x1 */
		0x100000c2, /*  3 adr x2, 9 */
		0xd61f085f, /*  4 braaz x2: not signed, must go wrong (5 is jumped to by 2) */
		0x91000463, /*  5 add x3, x3, #1 */
		0xd503233f, /*  6 paciasp */
		0xd65f0bff, /*  7 retaa: to 3 */
	};
	struct diff_state start = { .sp = MODIFIER };
	struct diff_state end = run(branches, COUNT(branches), &start, true);
	assert_int_equal(end.x[3], 1);
	assert_int_equal(end.stopped, 11); /* nothing is mapped at a pointer with an error code */
	assert_int_equal(end.stopped_at, (DIFF_CODE + 64 + 9 * 4) | 1ull << 61);

	static const uint32_t load[] = {
		0xdac12be0, /* pacdza x0 */
		0xf8201c01, /* ldraa x1, [x0, #8]! */
	};
	struct diff_state data = { 0 };
	data.x[0] = DIFF_WINDOW;
	memcpy(data.memory + 8, &(uint64_t){ 0x1122334455667788 }, 8);
	end = run(load, COUNT(load), &data, true);
	assert_int_equal(end.stopped, 0);
	assert_int_equal(end.x[1], 0x1122334455667788);
	assert_int_equal(end.x[0], DIFF_WINDOW + 8);
}

/* Without the feature the hint forms are NOPs and the others do not exist. */
static void test_without_the_feature(void **state)
{
	static const uint32_t hints[] = { 0xd503233f, 0xd503211f, 0xd50320ff, 0xd503231f };
	struct diff_state start = { .sp = MODIFIER };
	start.x[30] = start.x[17] = POINTER;
	struct diff_state end = run(hints, COUNT(hints), &start, false);
	assert_int_equal(end.stopped, 0);
	assert_int_equal(end.x[30], POINTER);
	assert_int_equal(end.x[17], POINTER);
	static const uint32_t others[] = { 0xdac10020, 0xd65f0bff, 0xf8201c01, 0x9ac13006, 0xd73f0801 };
	for (unsigned n = 0; n < COUNT(others); n++) {
		assert_int_equal(run(&others[n], 1, &start, false).stopped, 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_tag_is_kept),
		cmocka_unit_test(test_forgery),
		cmocka_unit_test(test_tagged_forgery),
		cmocka_unit_test(test_bad_pointers_stay_bad),
		cmocka_unit_test(test_disabled_keys_do_nothing),
		cmocka_unit_test(test_code_depends_on_everything),
		cmocka_unit_test(test_instructions),
		cmocka_unit_test(test_combined_instructions),
		cmocka_unit_test(test_without_the_feature),
	};
	return cmocka_run_group_tests_name("pauth", tests, NULL, NULL);
}
