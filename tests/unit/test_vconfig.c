/* SPDX-License-Identifier: Apache-2.0 */
/* test_vconfig.c - what is shown of foreign configuration spaces, sane and hostile */
#include "passthrough/vconfig.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct bench {
	uint8_t registers[VCONFIG_LEN];
	struct vconfig_input input;
	struct vconfig config;
	struct error err;
};

static void put16(struct bench *b, unsigned at, unsigned value)
{
	b->registers[at] = (uint8_t)value;
	b->registers[at + 1] = (uint8_t)(value >> 8);
}

static void put32(struct bench *b, unsigned at, uint32_t value)
{
	put16(b, at, value & 0xffff);
	put16(b, at + 2, value >> 16);
}

static uint32_t shown32(const struct bench *b, unsigned at)
{
	uint32_t value;
	memcpy(&value, b->config.image + at, 4);
	return value;
}

/* PM at 0x40, MSI at 0x50, slot id at 0x70, MSI-X at 0x80, PCI Express at 0xa0; AER, SR-IOV, serial
 * number. */
static struct bench *bench_new(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	put32(b, 0, 0x56781234);
	put16(b, 4, 0x0007);
	put16(b, 6, 0x0010);
	b->registers[0x0e] = 0x80;
	put32(b, 0x10, 0xfe00000c);
	put32(b, 0x18, 0x0000c001);
	b->registers[0x34] = 0x40;
	b->registers[0x3c] = 11;
	b->registers[0x3d] = 2;
	put32(b, 0x40, 0xfe035001);
	put32(b, 0x50, 0x01867005);
	put32(b, 0x70, 0x00008004);
	put32(b, 0x74, 0xdeadbeef);
	put32(b, 0x80, 0x0007a011);
	put32(b, 0x84, 0x00002000);
	put32(b, 0x88, 0x00003000);
	put32(b, 0xa0, 0x00920010); /* integrated endpoint, version 2 */
	put32(b, 0xa4, 0x10008022);
	put32(b, 0xc4, 0xffffffff);
	put32(b, 0x100, 0x14010001);
	put32(b, 0x140, 0x18010010);
	put32(b, 0x150, 0x12345678);
	put32(b, 0x180, 0x00010003);
	b->input = (struct vconfig_input){
		.registers = b->registers,
		.len = VCONFIG_LEN,
		.bar_sizes = {0x4000, 0, 0x20},
		.intx_count = 1,
		.msi_count = 8,
		.msix_count = 8,
		.can_reset = true,
	};
	return b;
}

static int build(struct bench *b)
{
	return vconfig_build(&b->config, &b->input, &b->err);
}

static void fields_follow_their_rules(void **state)
{
	struct bench *b = bench_new();
	assert_int_equal(build(b), 0);
	const struct vconfig *c = &b->config;
	assert_int_equal(shown32(b, 0), 0x56781234);
	assert_int_equal(shown32(b, 4), 0x00100000); /* nothing enabled, a list */
	assert_int_equal(c->owner[4], VCONFIG_COPIED);
	assert_int_equal(c->image[0x0e], 0); /* one function */
	assert_int_equal(c->image[0x3c], 0);
	assert_int_equal(c->image[0x3d], 1);
	assert_true(c->bars[0].wide && c->bars[0].prefetchable && c->bars[2].io);
	assert_int_equal(c->msi, 0x50);
	assert_int_equal(c->msix.count, 8);
	assert_int_equal(c->msix.table_offset, 0x2000);
	assert_int_equal(c->express, 0xa0);
	assert_int_equal(c->owner[0x60], VCONFIG_COPIED); /* the mask bits of MSI */
	assert_int_equal(c->owner[0xf0], VCONFIG_DEVICE);
	free(b);
}

static void chain_leaves_out_what_a_guest_must_not_have(void **state)
{
	const unsigned want[] = {0x40, 0x50, 0x80, 0xa0};
	struct bench *b = bench_new();
	assert_int_equal(build(b), 0);
	unsigned at = b->config.image[0x34], n = 0;
	for (; at; at = b->config.image[at + 1]) {
		assert_true(n < 4);
		assert_int_equal(at, want[n++]);
	}
	assert_int_equal(n, 4);
	assert_int_equal(shown32(b, 0x70), 0); /* and its registers are dead */
	assert_int_equal(shown32(b, 0x74), 0);
	assert_int_equal(b->config.owner[0x74], VCONFIG_OURS);
	assert_int_equal(b->config.mask[0x74], 0);
	assert_int_equal(shown32(b, 0x100), 0x18010001); /* SR-IOV at 0x140 is skipped */
	assert_int_equal(shown32(b, 0x140), 0);
	assert_int_equal(b->config.owner[0x150], VCONFIG_OURS);
	assert_int_equal(shown32(b, 0x180), 0x00010003);
	free(b);
}

static void express_is_an_endpoint_on_our_link(void **state)
{
	struct bench *b = bench_new();
	assert_int_equal(build(b), 0);
	assert_int_equal(shown32(b, 0xa0) >> 16, 0x0002); /* endpoint, no slot */
	assert_int_equal(shown32(b, 0xa4), 0x10008020);	  /* payloads of 128 bytes, FLR */
	assert_int_equal(shown32(b, 0xac) & 0x3ff, 0x11); /* a made-up link */
	assert_int_equal(shown32(b, 0xb0) >> 16, 0x11);
	assert_int_equal(shown32(b, 0xc4) & ~UINT32_C(0x39f), 0);
	b->input.can_reset = false;
	assert_int_equal(build(b), 0);
	assert_int_equal(shown32(b, 0xa4), 0x00008020);
	put16(b, 0xa2, 0x0042); /* a root port */
	assert_int_equal(build(b), 0);
	assert_int_equal(b->config.express, 0);
	free(b);
}

static void first_extended_capability_is_hidden_without_a_hole(void **state)
{
	struct bench *b = bench_new();
	put32(b, 0x100, 0x14010010);
	put32(b, 0x140, 0x18010001);
	assert_int_equal(build(b), 0);
	assert_int_equal(shown32(b, 0x100), 0x14000000);
	assert_int_equal(shown32(b, 0x140), 0x18010001);
	free(b);
}

static void resizable_bar_offers_its_present_size_alone(void **state)
{
	struct bench *b = bench_new();
	put32(b, 0x180, 0x00010015);
	put32(b, 0x184, 0x000fffff0);
	put32(b, 0x188, 0x00000d20); /* one BAR, now 2^13 MiB */
	assert_int_equal(build(b), 0);
	assert_int_equal(shown32(b, 0x184), UINT32_C(1) << 17);
	assert_int_equal(shown32(b, 0x188), 0x0d20);
	assert_int_equal(b->config.owner[0x188], VCONFIG_OURS);
	free(b);
}

static void devices_that_make_no_sense_are_refused(void **state)
{
	struct bench *b = bench_new();
	put32(b, 0, UINT32_MAX);
	assert_int_equal(build(b), -ENODEV);
	put32(b, 0, 0x56781234);
	b->registers[0x0e] = 1;
	assert_int_equal(build(b), -ENOTSUP);
	b->registers[0x0e] = 0;
	b->input.bar_sizes[0] = 0x3000;
	assert_int_equal(build(b), -EINVAL);
	assert_non_null(strstr(b->err.text, "BAR 0"));
	b->input.bar_sizes[0] = UINT64_C(1) << 60;
	assert_int_equal(build(b), -EINVAL);
	b->input.bar_sizes[0] = 0x4000;
	b->input.bar_sizes[1] = 0x4000; /* inside of a 64-bit one */
	assert_int_equal(build(b), -EINVAL);
	b->input.bar_sizes[1] = 0;
	put32(b, 0x84, 0x3fa0); /* the table's end is outside */
	assert_int_equal(build(b), -EINVAL);
	assert_non_null(strstr(b->err.text, "MSI-X"));
	put32(b, 0x84, 0x2007); /* no such BAR */
	assert_int_equal(build(b), -EINVAL);
	put32(b, 0x84, 0x2002); /* an I/O BAR */
	assert_int_equal(build(b), -EINVAL);
	free(b);
}

static void loops_and_random_registers_end(void **state)
{
	struct bench *b = bench_new();
	b->registers[0x41] = 0x40;
	put32(b, 0x180, 0x18010003);
	assert_int_equal(build(b), 0);
	srandom(6);
	for (unsigned round = 0; round < 3000; round++) {
		for (unsigned i = 0; i < VCONFIG_LEN; i++) {
			b->registers[i] = (uint8_t)random();
		}
		b->registers[6] = 0x10;
		b->registers[0x0e] = 0;
		b->input.bar_sizes[2] = round % 2 ? 0 : 0x10000000;
		(void)!build(b);
	}
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_follow_their_rules),
		cmocka_unit_test(chain_leaves_out_what_a_guest_must_not_have),
		cmocka_unit_test(express_is_an_endpoint_on_our_link),
		cmocka_unit_test(first_extended_capability_is_hidden_without_a_hole),
		cmocka_unit_test(resizable_bar_offers_its_present_size_alone),
		cmocka_unit_test(devices_that_make_no_sense_are_refused),
		cmocka_unit_test(loops_and_random_registers_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
