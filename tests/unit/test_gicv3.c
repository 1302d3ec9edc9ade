/* SPDX-License-Identifier: Apache-2.0 */
/* test_gicv3.c - priorities, preemption, SGIs, level and edge, messages, register widths */
#include "devices/gicv2m.h"
#include "devices/gicv3.h"
#include "unit.h"

#include <string.h>

#define IAR1   ENGINE_SYSREG(3, 0, 12, 12, 0)
#define EOIR1  ENGINE_SYSREG(3, 0, 12, 12, 1)
#define IAR0   ENGINE_SYSREG(3, 0, 12, 8, 0)
#define HPPIR1 ENGINE_SYSREG(3, 0, 12, 12, 2)
#define BPR1   ENGINE_SYSREG(3, 0, 12, 12, 3)
#define CTLR   ENGINE_SYSREG(3, 0, 12, 12, 4)
#define IGRPEN0 ENGINE_SYSREG(3, 0, 12, 12, 6)
#define IGRPEN1 ENGINE_SYSREG(3, 0, 12, 12, 7)
#define PMR    ENGINE_SYSREG(3, 0, 4, 6, 0)
#define RPR    ENGINE_SYSREG(3, 0, 12, 11, 3)
#define DIR    ENGINE_SYSREG(3, 0, 12, 11, 1)
#define SGI1R  ENGINE_SYSREG(3, 0, 12, 11, 5)
#define AP1R0  ENGINE_SYSREG(3, 0, 12, 9, 0)

struct bench {
	struct gicv3 *gic;
	bool line[20][2];
	unsigned changes;
};

static void bench_line(void *opaque, unsigned vcpu, enum engine_line line, bool level)
{
	struct bench *b = opaque;
	assert_int_not_equal(b->line[vcpu][line], level);
	b->line[vcpu][line] = level;
	b->changes++;
}

static void dist_write(struct bench *b, uint64_t offset, unsigned size, uint64_t value)
{
	gicv3_dist_ops.write(b->gic, offset, size, value);
}

static uint64_t dist_read(struct bench *b, uint64_t offset, unsigned size)
{
	return gicv3_dist_ops.read(b->gic, offset, size);
}

static uint64_t icc_read(struct bench *b, unsigned vcpu, uint32_t reg)
{
	uint64_t value = ~0ull;
	assert_true(gicv3_icc_read(b->gic, vcpu, reg, &value));
	return value;
}

static void icc_write(struct bench *b, unsigned vcpu, uint32_t reg, uint64_t value)
{
	assert_true(gicv3_icc_write(b->gic, vcpu, reg, value));
}

/* What a driver does at start: all in group 1, all enabled, priority 0xa0, everything to vCPU 0. */
static void bench_start(struct bench *b, unsigned vcpus)
{
	static const struct gicv3_cpu_ops ops = {bench_line};
	struct gicv3_config config = {
		.vcpus = vcpus,
		.spis = 96,
		.v2m_base = 0x8020000,
		.v2m_first_spi = 64,
		.v2m_spi_count = 32,
		.cpu_ops = &ops,
		.cpu_opaque = b,
	};
	memset(b, 0, sizeof(*b));
	b->gic = gicv3_create(&config);
	assert_non_null(b->gic);
	dist_write(b, 0, 4, 0x13);
	for (unsigned i = 1; i < 4; i++) {
		dist_write(b, 0x80 + 4 * i, 4, 0xffffffff);
		dist_write(b, 0x100 + 4 * i, 4, 0xffffffff);
	}
	for (unsigned i = 32; i < 128; i += 8) {
		dist_write(b, 0x400 + i, 8, 0xa0a0a0a0a0a0a0a0);
	}
	for (unsigned i = 0; i < vcpus; i++) {
		uint64_t frame = i * 0x20000 + 0x10000;
		gicv3_redist_ops.write(b->gic, frame + 0x80, 4, 0xffffffff);
		gicv3_redist_ops.write(b->gic, frame + 0x100, 4, 0xffffffff);
		for (unsigned j = 0; j < 32; j += 4) {
			gicv3_redist_ops.write(b->gic, frame + 0x400 + j, 4, 0xa0a0a0a0);
		}
		icc_write(b, i, PMR, 0xf0);
		icc_write(b, i, IGRPEN1, 1);
	}
}

static void bench_spi(struct bench *b, unsigned spi, bool level)
{
	struct irq_chip *chip = gicv3_irq_chip(b->gic);
	chip->ops->set_line(chip, spi, level);
}

static void level_interrupt_stays_until_the_device_lowers_it(void **state)
{
	struct bench b;
	bench_start(&b, 1);
	bench_spi(&b, 1, true);
	assert_true(b.line[0][ENGINE_IRQ]);
	assert_int_equal(icc_read(&b, 0, HPPIR1), 33);
	assert_int_equal(icc_read(&b, 0, IAR1), 33);
	assert_false(b.line[0][ENGINE_IRQ]); /* active hides it */
	assert_int_equal(icc_read(&b, 0, RPR), 0xa0);
	icc_write(&b, 0, EOIR1, 33);
	assert_true(b.line[0][ENGINE_IRQ]); /* the wire is still up */
	bench_spi(&b, 1, false);
	assert_false(b.line[0][ENGINE_IRQ]);
	assert_int_equal(icc_read(&b, 0, IAR1), 1023);
	assert_int_equal(icc_read(&b, 0, RPR), 0xff);
	gicv3_destroy(b.gic);
}

static void edge_interrupt_is_remembered_once(void **state)
{
	struct bench b;
	bench_start(&b, 1);
	dist_write(&b, 0xc00 + 8, 4, 2u << 2 * 5); /* INTID 37 by edge */
	bench_spi(&b, 5, true);
	bench_spi(&b, 5, false);
	assert_int_equal(icc_read(&b, 0, IAR1), 37);
	bench_spi(&b, 5, true); /* a second edge while active is pending */
	bench_spi(&b, 5, false);
	assert_false(b.line[0][ENGINE_IRQ]);
	icc_write(&b, 0, EOIR1, 37);
	assert_int_equal(icc_read(&b, 0, IAR1), 37);
	icc_write(&b, 0, EOIR1, 37);
	assert_int_equal(icc_read(&b, 0, IAR1), 1023);
	gicv3_destroy(b.gic);
}

static void higher_priority_preempts_and_equal_does_not(void **state)
{
	struct bench b;
	bench_start(&b, 1);
	dist_write(&b, 0x400 + 34, 1, 0x40); /* byte write */
	dist_write(&b, 0x400 + 35, 1, 0xa7); /* low bits are not implemented */
	assert_int_equal(dist_read(&b, 0x400 + 35, 1), 0xa0);
	bench_spi(&b, 0, true);
	assert_int_equal(icc_read(&b, 0, IAR1), 32);
	bench_spi(&b, 3, true);
	assert_false(b.line[0][ENGINE_IRQ]);
	bench_spi(&b, 2, true);
	assert_true(b.line[0][ENGINE_IRQ]);
	assert_int_equal(icc_read(&b, 0, IAR1), 34);
	assert_int_equal(icc_read(&b, 0, RPR), 0x40);
	assert_int_equal(icc_read(&b, 0, AP1R0), 1u << (0x40 >> 3) | 1u << (0xa0 >> 3));
	bench_spi(&b, 2, false);
	icc_write(&b, 0, EOIR1, 34);
	assert_int_equal(icc_read(&b, 0, RPR), 0xa0);
	assert_false(b.line[0][ENGINE_IRQ]);
	bench_spi(&b, 0, false);
	icc_write(&b, 0, EOIR1, 32);
	assert_int_equal(icc_read(&b, 0, IAR1), 35);
	gicv3_destroy(b.gic);
}

static void binary_point_groups_priorities(void **state)
{
	struct bench b;
	bench_start(&b, 1);
	icc_write(&b, 0, BPR1, 0);
	assert_int_equal(icc_read(&b, 0, BPR1), 3);
	icc_write(&b, 0, BPR1, 7); /* only bit 7 decides */
	dist_write(&b, 0x400 + 34, 1, 0x80);
	bench_spi(&b, 0, true);
	assert_int_equal(icc_read(&b, 0, IAR1), 32);
	bench_spi(&b, 2, true);
	assert_false(b.line[0][ENGINE_IRQ]);
	dist_write(&b, 0x400 + 34, 1, 0x78);
	assert_true(b.line[0][ENGINE_IRQ]);
	gicv3_destroy(b.gic);
}

static void priority_mask_and_group_enables_gate(void **state)
{
	struct bench b;
	bench_start(&b, 1);
	icc_write(&b, 0, PMR, 0xa0);
	bench_spi(&b, 0, true);
	assert_false(b.line[0][ENGINE_IRQ]);
	icc_write(&b, 0, PMR, 0xaf);
	assert_int_equal(icc_read(&b, 0, PMR), 0xa8);
	assert_true(b.line[0][ENGINE_IRQ]);
	dist_write(&b, 0, 4, 0x11);
	assert_false(b.line[0][ENGINE_IRQ]);
	dist_write(&b, 0x84, 4, 0); /* all of block 1 in group 0 */
	assert_false(b.line[0][ENGINE_FIQ]);
	icc_write(&b, 0, IGRPEN0, 1);
	assert_true(b.line[0][ENGINE_FIQ]);
	assert_int_equal(icc_read(&b, 0, IAR1), 1023);
	assert_int_equal(icc_read(&b, 0, IAR0), 32);
	icc_write(&b, 0, EOIR1, 32); /* wrong group: nothing happens */
	assert_int_equal(icc_read(&b, 0, RPR), 0xa0);
	gicv3_destroy(b.gic);
}

static void eoi_mode_1_drops_priority_and_deactivates_apart(void **state)
{
	struct bench b;
	bench_start(&b, 1);
	icc_write(&b, 0, CTLR, 2);
	assert_int_equal(icc_read(&b, 0, CTLR), 0x8402);
	bench_spi(&b, 0, true);
	assert_int_equal(icc_read(&b, 0, IAR1), 32);
	icc_write(&b, 0, EOIR1, 32);
	assert_int_equal(icc_read(&b, 0, RPR), 0xff);
	assert_int_equal(dist_read(&b, 0x304, 4), 1);
	assert_false(b.line[0][ENGINE_IRQ]); /* active still */
	icc_write(&b, 0, DIR, 32);
	assert_int_equal(dist_read(&b, 0x304, 4), 0);
	assert_true(b.line[0][ENGINE_IRQ]);
	gicv3_destroy(b.gic);
}

static void sgi_reaches_listed_clusters_and_all_others(void **state)
{
	struct bench b;
	bench_start(&b, 18);
	icc_write(&b, 0, SGI1R, 3ull << 24 | 1ull << 16 | 2); /* Aff1 = 1, Aff0 = 1: vCPU 17 */
	for (unsigned i = 0; i < 18; i++) {
		assert_int_equal(b.line[i][ENGINE_IRQ], i == 17);
	}
	assert_int_equal(icc_read(&b, 17, IAR1), 3);
	icc_write(&b, 17, EOIR1, 3);
	icc_write(&b, 5, SGI1R, 1ull << 40 | 1ull << 24);
	for (unsigned i = 0; i < 18; i++) {
		assert_int_equal(b.line[i][ENGINE_IRQ], i != 5);
	}
	assert_int_equal(icc_read(&b, 0, IAR1), 1);
	assert_false(b.line[0][ENGINE_IRQ]);
	gicv3_destroy(b.gic);
}

static void ppi_is_private_to_its_vcpu(void **state)
{
	struct bench b;
	bench_start(&b, 2);
	gicv3_set_ppi(b.gic, 1, ENGINE_PPI_VTIMER, true);
	assert_false(b.line[0][ENGINE_IRQ]);
	assert_int_equal(icc_read(&b, 0, IAR1), 1023);
	assert_int_equal(icc_read(&b, 1, IAR1), 27);
	gicv3_set_ppi(b.gic, 1, ENGINE_PPI_VTIMER, false);
	icc_write(&b, 1, EOIR1, 27);
	assert_false(b.line[1][ENGINE_IRQ]);
	gicv3_destroy(b.gic);
}

static void spi_follows_its_route(void **state)
{
	struct bench b;
	bench_start(&b, 2);
	bench_spi(&b, 4, true);
	assert_true(b.line[0][ENGINE_IRQ]);
	dist_write(&b, 0x6000 + 8 * 36, 8, 1);
	assert_false(b.line[0][ENGINE_IRQ]);
	assert_true(b.line[1][ENGINE_IRQ]);
	assert_int_equal(dist_read(&b, 0x6000 + 8 * 36, 8), 1);
	dist_write(&b, 0x6004 + 8 * 36, 4, 0xff); /* Aff3 of no vCPU, by halves */
	assert_int_equal(dist_read(&b, 0x6000 + 8 * 36, 8), 0xff00000001);
	assert_false(b.line[1][ENGINE_IRQ]);
	gicv3_destroy(b.gic);
}

static void messages_become_edge_spis(void **state)
{
	struct bench b;
	struct gicv3_counters counters;
	bench_start(&b, 1);
	struct irq_chip *chip = gicv3_irq_chip(b.gic);
	struct gicv2m frame = {chip, 0x8020000, 96, 32};
	assert_int_equal(gicv2m_ops.read(&frame, 8, 4), 96u << 16 | 32);
	chip->ops->send_msi(chip, 0x8020040, 100, 8);
	assert_int_equal(icc_read(&b, 0, IAR1), 100);
	icc_write(&b, 0, EOIR1, 100);
	assert_false(b.line[0][ENGINE_IRQ]);
	gicv2m_ops.write(&frame, 0x40, 4, 127);
	assert_int_equal(icc_read(&b, 0, IAR1), 127);
	chip->ops->send_msi(chip, 0x8020040, 33, 8);	 /* a wired SPI */
	chip->ops->send_msi(chip, 0x8020040, 128, 8);	 /* beyond the last */
	chip->ops->send_msi(chip, 0x8020044, 100, 8);	 /* not the doorbell */
	chip->ops->send_msi(chip, 0x8020040, ~0u, 8);
	gicv3_counters(b.gic, &counters);
	assert_int_equal(counters.msis, 2);
	assert_int_equal(counters.msis_dropped, 4);
	gicv3_destroy(b.gic);
}

static void registers_answer_all_widths(void **state)
{
	struct bench b;
	bench_start(&b, 2);
	assert_int_equal(dist_read(&b, 0xffe8, 4), 0x3b);
	assert_int_equal(dist_read(&b, 4, 4) & 0x1f, 3);
	assert_int_equal(dist_read(&b, 0, 8) >> 32, dist_read(&b, 4, 4));
	assert_int_equal(gicv3_redist_ops.read(b.gic, 0x20008, 8), 1ull << 32 | 1 << 8 | 1 << 4);
	assert_int_equal(gicv3_redist_ops.read(b.gic, 0x2000c, 4), 1);
	assert_int_equal(gicv3_redist_ops.read(b.gic, 0x8, 4), 0);
	assert_int_equal(gicv3_redist_ops.read(b.gic, 0x14, 4), 6);
	gicv3_redist_ops.write(b.gic, 0x14, 4, 0);
	assert_int_equal(gicv3_redist_ops.read(b.gic, 0x14, 4), 0);
	dist_write(&b, 0x185, 1, 0xff); /* disable INTIDs 40..47 */
	assert_int_equal(dist_read(&b, 0x104, 4), 0xffff00ff);
	assert_int_equal(dist_read(&b, 0x103, 3), 0x00ff00 | 0);
	for (unsigned size = 1; size <= 8; size++) {
		for (uint64_t offset = 0; offset + size <= GICV3_DIST_BYTES; offset += 3) {
			dist_write(&b, offset, size, 0x5a5a5a5a5a5a5a5a);
			(void)dist_read(&b, offset, size);
		}
		for (uint64_t offset = 0; offset + size <= 2 * GICV3_REDIST_BYTES; offset += 3) {
			gicv3_redist_ops.write(b.gic, offset, size, 0xa5a5a5a5a5a5a5a5);
			(void)gicv3_redist_ops.read(b.gic, offset, size);
		}
	}
	uint64_t value;
	assert_false(gicv3_icc_read(b.gic, 0, ENGINE_SYSREG(3, 0, 12, 9, 1), &value));
	assert_false(gicv3_icc_write(b.gic, 0, ENGINE_SYSREG(3, 0, 12, 8, 5), 0));
	gicv3_destroy(b.gic);
}

static void count_end(void *opaque, unsigned line)
{
	unsigned *ends = opaque;
	ends[line]++;
}

static void end_of_a_watched_line_is_told(void **state)
{
	struct bench b;
	unsigned ends[96] = {0};
	bench_start(&b, 1);
	struct irq_chip *chip = gicv3_irq_chip(b.gic);
	assert_int_equal(chip->ops->watch_end(chip, 1, count_end, ends), 0);
	bench_spi(&b, 1, true);
	bench_spi(&b, 2, true);
	assert_int_equal(icc_read(&b, 0, IAR1), 33);
	assert_int_equal(ends[1], 0);
	icc_write(&b, 0, EOIR1, 33);
	assert_int_equal(ends[1], 1);
	bench_spi(&b, 1, false);
	assert_int_equal(icc_read(&b, 0, IAR1), 34);
	icc_write(&b, 0, EOIR1, 34);
	icc_write(&b, 0, EOIR1, 33); /* nothing runs: no end */
	assert_int_equal(ends[1] + ends[2], 1);
	bench_spi(&b, 2, false);
	icc_write(&b, 0, CTLR, 2); /* priority drop and deactivation apart */
	bench_spi(&b, 1, true);
	assert_int_equal(icc_read(&b, 0, IAR1), 33);
	icc_write(&b, 0, EOIR1, 33);
	assert_int_equal(ends[1], 1);
	icc_write(&b, 0, DIR, 33);
	assert_int_equal(ends[1], 2);
	gicv3_destroy(b.gic);
}

static void reset_forgets_all_but_wires(void **state)
{
	struct bench b;
	bench_start(&b, 1);
	bench_spi(&b, 0, true);
	assert_int_equal(icc_read(&b, 0, IAR1), 32);
	gicv3_reset(b.gic);
	assert_false(b.line[0][ENGINE_IRQ]);
	assert_int_equal(icc_read(&b, 0, RPR), 0xff);
	assert_int_equal(dist_read(&b, 0x104, 4), 0);
	assert_int_equal(dist_read(&b, 0x204, 4), 1);
	gicv3_destroy(b.gic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(level_interrupt_stays_until_the_device_lowers_it),
		cmocka_unit_test(edge_interrupt_is_remembered_once),
		cmocka_unit_test(higher_priority_preempts_and_equal_does_not),
		cmocka_unit_test(binary_point_groups_priorities),
		cmocka_unit_test(priority_mask_and_group_enables_gate),
		cmocka_unit_test(eoi_mode_1_drops_priority_and_deactivates_apart),
		cmocka_unit_test(sgi_reaches_listed_clusters_and_all_others),
		cmocka_unit_test(ppi_is_private_to_its_vcpu),
		cmocka_unit_test(spi_follows_its_route),
		cmocka_unit_test(messages_become_edge_spis),
		cmocka_unit_test(registers_answer_all_widths),
		cmocka_unit_test(end_of_a_watched_line_is_told),
		cmocka_unit_test(reset_forgets_all_but_wires),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
