/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder: known words, unallocated words, agreement with a slow search through the table. */
#include "a64/access.h"

#include "unit.h"

static const struct {
	uint32_t word;
	enum a64_op op;
} known[] = {
	{ 0xd503201f, A64_NOP },	/* nop */
	{ 0xd503203f, A64_YIELD },	/* yield */
	{ 0xd503233f, A64_PACISP },	/* paciasp */
	{ 0xd503245f, A64_NOP },	/* bti c */
	{ 0x91000421, A64_ADD_imm_x },	/* add x1, x1, #1 */
	{ 0x7100003f, A64_SUBS_imm_w }, /* cmp w1, #0 */
	{ 0x92400c41, A64_AND_imm_x },	/* and x1, x2, #0xf */
	{ 0xd2800000, A64_MOVZ_x },	/* mov x0, #0 */
	{ 0xaa0103e0, A64_ORR_reg_x },	/* mov x0, x1 */
	{ 0x54000040, A64_B_cond },	/* b.eq */
	{ 0xb4000040, A64_CBZ_x },	/* cbz x0 */
	{ 0xd65f03c0, A64_RET },	/* ret */
	{ 0xd4000001, A64_SVC },	/* svc #0 */
	{ 0xd69f03e0, A64_ERET },	/* eret */
	{ 0xd5033bbf, A64_DMB },	/* dmb ish */
	{ 0xd50b7420, A64_SYS },	/* dc zva, x0 */
	{ 0xd53bd040, A64_MRS },	/* mrs x0, tpidr_el0 */
	{ 0xd50342df, A64_MSR_imm },	/* msr daifset, #2 */
	{ 0xa9bf7bfd, A64_STP_x_pre },	/* stp x29, x30, [sp, #-16]! */
	{ 0xf9400001, A64_LDR_x_ui },	/* ldr x1, [x0] */
	{ 0x38401c01, A64_LDR_b_pre },	/* ldrb w1, [x0, #1]! */
	{ 0xb8a17801, A64_LDRS_w_x_reg }, /* ldrsw x1, [x0, x1, lsl #2] */
	{ 0xc85f7c01, A64_LDXR_x },	/* ldxr x1, [x0] */
	{ 0xc87f0c01, A64_LDXP_x },	/* ldxp x1, x3, [x0] */
	{ 0x88e07c01, A64_CAS_w },	/* casa w0, w1, [x0] */
	{ 0xf8e00001, A64_LDADD_x },	/* ldaddal x0, x1, [x0] */
	{ 0x38bfc001, A64_LDAPR_b },	/* ldaprb w1, [x0] */
	{ 0x9ac04c21, A64_CRC32X },	/* crc32x w1, w1, x0 */
	{ 0xdac10001, A64_PACI_reg },	/* pacia x1, x0 */
	{ 0x00000000, A64_UNDEFINED },	/* udf #0 */
	{ 0x92600000, A64_AND_imm_x },	/* and x0, x0, #0x100000000 */
	{ 0x9240fc00, A64_UNDEFINED },	/* logical immediate of all ones */
	{ 0x12400000, A64_UNDEFINED },	/* 32-bit logical immediate with N = 1 */
	{ 0x0bc00000, A64_UNDEFINED },	/* add with ror */
	{ 0x48217c00, A64_UNDEFINED },	/* casp from an odd register */
	{ 0xd5033800, A64_UNDEFINED },
};

static void test_known_words(void **state)
{
	for (size_t n = 0; n < sizeof(known) / sizeof(known[0]); n++) {
		enum a64_op op = a64_decode(known[n].word);
		if (op != known[n].op) {
			fail_msg("%08x is %s, not %s", known[n].word, a64_infos[op].name,
				 a64_infos[known[n].op].name);
		}
	}
}

/* The tree must agree with the table: what it finds matches its row, and what it rejects matches no unconstrained row. */
static void test_tree_agrees_with_table(void **state)
{
	uint64_t seed = 1;
	for (unsigned n = 0; n < 200000; n++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		const struct a64_info *near = &a64_infos[1 + n % (A64_OPS - 1)];
		uint32_t word = ((uint32_t)(seed >> 32) & ~near->mask) | near->value;
		enum a64_op op = a64_decode(word);
		const struct a64_info *info = &a64_infos[op];
		assert_true((word & info->mask) == info->value);
	}
}

static void test_each_row_is_reachable(void **state)
{
	uint64_t seed = 1;
	for (enum a64_op op = 1; op < A64_OPS; op++) {
		bool found = false;
		for (unsigned n = 0; n < 100000 && !found; n++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			found = a64_decode(((uint32_t)(seed >> 32) & ~a64_infos[op].mask) |
					   a64_infos[op].value) == op;
		}
		if (!found) {
			fail_msg("%s is never decoded", a64_infos[op].name);
		}
	}
}

static void test_bitmask(void **state)
{
	assert_int_equal(a64_bitmask(1, 0, 0, 64), 1);
	assert_int_equal(a64_bitmask(1, 62, 0, 64), INT64_MAX);
	assert_int_equal(a64_bitmask(1, 0, 1, 64), 1ull << 63);
	assert_int_equal(a64_bitmask(0, 0x3c, 0, 64), 0x5555555555555555);
	assert_int_equal(a64_bitmask(0, 0x3c, 1, 32), 0xaaaaaaaa);
	assert_int_equal(a64_bitmask(0, 7, 0, 32), 0xff);
	assert_int_equal(a64_bitmask(0, 7, 4, 64), 0xf000000ff000000f);
}

/* One general register without write-back: hardware describes the access (Arm ARM D24.2.40, ISV). */
static void test_which_accesses_hardware_describes(void **state)
{
	static const struct {
		uint32_t word;
		bool described;
	} words[] = {
		{0xb9000020, true},  /* str w0, [x1] */
		{0xf8626820, true},  /* ldr x0, [x1, x2] */
		{0x38a16801, true},  /* ldrsb x1, [x0, x1] */
		{0xf8400820, true},  /* ldtr x0, [x1] */
		{0x88dffc20, true},  /* ldar w0, [x1] */
		{0x889ffc20, true},  /* stlr w0, [x1] */
		{0xb8bfc020, true},  /* ldapr w0, [x1] */
		{0xb8080d09, false}, /* str w9, [x8, #128]! */
		{0xb8404420, false}, /* ldr w0, [x1], #4 */
		{0xa9400420, false}, /* ldp x0, x1, [x1] */
		{0xa8000420, false}, /* stnp x0, x1, [x1] */
		{0x885f7c20, false}, /* ldxr w0, [x1] */
		{0x88007c22, false}, /* stxr w0, w2, [x1] */
		{0x88a07c22, false}, /* cas w0, w2, [x1] */
		{0xb8200022, false}, /* ldadd w0, w2, [x1] */
		{0xbd400020, false}, /* ldr s0, [x1] */
		{0x4c407820, false}, /* ld1 {v0.4s}, [x1] */
		{0xd50b7421, false}, /* dc zva, x1 */
	};
	static const struct a64_registers none;
	struct a64_access a;
	for (size_t n = 0; n < sizeof(words) / sizeof(words[0]); n++) {
		assert_true(a64_access_decode(&a, words[n].word, &none, 0, 64));
		if (a.syndrome != words[n].described) {
			fail_msg("%08x", words[n].word);
		}
	}
	assert_false(a64_access_decode(&a, 0xd503201f, &none, 0, 64)); /* nop */
	assert_false(a64_access_decode(&a, 0xf9800020, &none, 0, 64)); /* prfm */
	assert_false(a64_access_decode(&a, 0xd50b7a21, &none, 0, 64)); /* dc cvac, x1 */
	assert_false(a64_access_decode(&a, 0, &none, 0, 64));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_words),
		cmocka_unit_test(test_tree_agrees_with_table),
		cmocka_unit_test(test_each_row_is_reachable),
		cmocka_unit_test(test_bitmask),
		cmocka_unit_test(test_which_accesses_hardware_describes),
	};
	return cmocka_run_group_tests_name("a64", tests, NULL, NULL);
}
