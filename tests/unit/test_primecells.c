/* SPDX-License-Identifier: Apache-2.0 */
/* test_primecells.c - UART flow control and interrupts, clock and alarm, GPIO */
#include "base/loop.h"
#include "devices/pl011.h"
#include "devices/pl031.h"
#include "devices/pl061.h"
#include "unit.h"

#include <string.h>

/* An irq chip with one line, and a console of limited appetite. */
struct bench {
	struct irq_chip chip;
	bool level;
	char out[64];
	size_t out_len, appetite;
	unsigned rooms;
	struct loop *loop;
};

static void bench_set_line(struct irq_chip *chip, unsigned line, bool level)
{
	((struct bench *)chip)->level = level;
}

static size_t bench_write(void *opaque, const uint8_t *bytes, size_t len)
{
	struct bench *b = opaque;
	size_t taken = len < b->appetite ? len : b->appetite;
	memcpy(b->out + b->out_len, bytes, taken);
	b->out_len += taken;
	b->appetite -= taken;
	return taken;
}

static void bench_rx_room(void *opaque)
{
	((struct bench *)opaque)->rooms++;
}

static const struct irq_chip_ops bench_ops = {bench_set_line, NULL};
static const struct pl011_backend bench_backend = {bench_write, bench_rx_room};

static struct irq_line bench_init(struct bench *b)
{
	*b = (struct bench){.chip.ops = &bench_ops, .appetite = 64};
	return (struct irq_line){&b->chip, 0};
}

static uint64_t uart_read(struct pl011 *uart, unsigned offset)
{
	return pl011_ops.read(uart, offset, 4);
}

static void uart_write(struct pl011 *uart, unsigned offset, uint64_t value)
{
	pl011_ops.write(uart, offset, 4, value);
}

static void uart_transmits_and_waits_for_a_slow_console(void **state)
{
	struct bench b;
	struct pl011 *uart = pl011_create(bench_init(&b), &bench_backend, &b);
	assert_int_equal(uart_read(uart, 0x18), 0x90);
	assert_int_equal(uart_read(uart, 0x30), 0x300);
	uart_write(uart, 0x2c, 0x70); /* FIFOs on */
	b.appetite = 3;
	for (unsigned i = 0; i < 19; i++) {
		assert_int_equal(uart_read(uart, 0x18) & 0x20, 0);
		uart_write(uart, 0, 'a' + i);
	}
	assert_int_equal(uart_read(uart, 0x18) & 0xa8, 0x28); /* full and busy */
	b.appetite = 64;
	pl011_tx_ready(uart);
	assert_int_equal(b.out_len, 19);
	assert_memory_equal(b.out, "abcdefghijklmnopqrs", 19);
	assert_int_equal(uart_read(uart, 0x18), 0x90);
	pl011_ops.write(uart, 0, 1, 'z');
	pl011_ops.write(uart, 0, 2, 'y');
	pl011_ops.write(uart, 1, 1, 'x'); /* not the data byte */
	assert_memory_equal(b.out + 19, "zy", 2);
	assert_int_equal(b.out_len, 21);
	pl011_destroy(uart);
}

static void uart_transmit_interrupt_is_latched(void **state)
{
	struct bench b;
	struct pl011 *uart = pl011_create(bench_init(&b), &bench_backend, &b);
	uart_write(uart, 0x38, 0x20);
	assert_false(b.level);
	uart_write(uart, 0, 'a');
	assert_true(b.level);
	assert_int_equal(uart_read(uart, 0x40), 0x20);
	uart_write(uart, 0x44, 0x20);
	assert_false(b.level);
	pl011_destroy(uart);
}

static void uart_receives_with_flow_control(void **state)
{
	struct bench b;
	struct pl011 *uart = pl011_create(bench_init(&b), &bench_backend, &b);
	uart_write(uart, 0x2c, 0x70);
	b.rooms = 0;
	uart_write(uart, 0x38, 0x50);
	assert_int_equal(pl011_receive(uart, (const uint8_t *)"x", 1), 1);
	assert_true(b.level);
	assert_int_equal(uart_read(uart, 0x40), 0x40); /* time-out: under the trigger level */
	assert_int_equal(pl011_receive(uart, (const uint8_t *)"0123456789abcdefgh", 18), 15);
	assert_int_equal(uart_read(uart, 0x40), 0x50);
	assert_int_equal(uart_read(uart, 0x18) & 0x50, 0x40); /* full */
	assert_int_equal(uart_read(uart, 0), 'x');
	assert_int_equal(b.rooms, 1);
	for (unsigned i = 0; i < 15; i++) {
		assert_int_equal(uart_read(uart, 0), "0123456789abcde"[i]);
	}
	assert_int_equal(b.rooms, 1);
	assert_false(b.level);
	assert_int_equal(uart_read(uart, 0), 0);
	pl011_destroy(uart);
}

static void uart_loops_back(void **state)
{
	struct bench b;
	struct pl011 *uart = pl011_create(bench_init(&b), &bench_backend, &b);
	uart_write(uart, 0x30, 0x381);
	uart_write(uart, 0, 'q');
	assert_int_equal(b.out_len, 0);
	assert_int_equal(uart_read(uart, 0), 'q');
	pl011_destroy(uart);
}

static void uart_survives_all_widths(void **state)
{
	struct bench b;
	struct pl011 *uart = pl011_create(bench_init(&b), &bench_backend, &b);
	for (unsigned size = 1; size <= 8; size++) {
		for (unsigned offset = 0; offset + size <= 0x1000; offset++) {
			b.out_len = 0;
			b.appetite = offset % 3;
			pl011_ops.write(uart, offset, size, UINT64_C(0x1122334455667788) * size);
			(void)pl011_ops.read(uart, offset, size);
		}
	}
	assert_int_equal(pl011_ops.read(uart, 0xfe0, 8), 0x1000000011);
	assert_int_equal(pl011_ops.read(uart, 0xff0, 4), 0x0d);
	assert_int_equal(pl011_ops.read(uart, 0xffc, 4), 0xb1);
	pl011_destroy(uart);
}

static uint64_t fake_clock(void)
{
	return 1000000000ull * 1700000000 + 999000000; /* a millisecond before the next second */
}

static void stop_loop(void *opaque)
{
	loop_stop(((struct bench *)opaque)->loop);
}

static void rtc_counts_and_alarms(void **state)
{
	struct bench b;
	struct irq_line line = bench_init(&b);
	b.loop = loop_create(NULL);
	struct pl031 *rtc = pl031_create(b.loop, fake_clock, line);
	assert_int_equal(pl031_ops.read(rtc, 0, 4), 1700000000);
	pl031_ops.write(rtc, 8, 4, 1000);
	assert_int_equal(pl031_ops.read(rtc, 0, 4), 1000);
	pl031_ops.write(rtc, 0x10, 4, 1);
	pl031_ops.write(rtc, 4, 4, 1000); /* matches at once */
	assert_false(b.level);
	loop_post(b.loop, stop_loop, &b);
	loop_run(b.loop);
	assert_true(b.level);
	assert_int_equal(pl031_ops.read(rtc, 0x18, 1), 1);
	pl031_ops.write(rtc, 0x1c, 4, 1);
	assert_false(b.level);
	for (unsigned i = 0; i < 100000; i++) { /* a guest that does nothing else: one job at most */
		pl031_ops.write(rtc, 4, 4, i);
	}
	assert_int_equal(pl031_ops.read(rtc, 0xfe0, 4), 0x31);
	pl031_destroy(rtc);
	loop_destroy(b.loop);
}

static void gpio_masks_by_address_and_interrupts(void **state)
{
	struct bench b;
	struct pl061 *gpio = pl061_create(bench_init(&b));
	pl061_ops.write(gpio, 0x400, 4, 0xf0); /* upper half out */
	pl061_ops.write(gpio, 0x3fc, 4, 0xff);
	assert_int_equal(pl061_ops.read(gpio, 0x3fc, 4), 0xf0);
	pl061_ops.write(gpio, 0x10 << 2, 4, 0);
	assert_int_equal(pl061_ops.read(gpio, 0x3fc, 1), 0xe0);
	assert_int_equal(pl061_ops.read(gpio, 0x20 << 2, 4), 0x20);
	pl061_ops.write(gpio, 0x408, 4, 8); /* both edges of line 3 */
	pl061_ops.write(gpio, 0x410, 4, 8);
	pl061_set_input(gpio, 3, true);
	assert_true(b.level);
	assert_int_equal(pl061_ops.read(gpio, 0x418, 4), 8);
	pl061_ops.write(gpio, 0x41c, 4, 8);
	assert_false(b.level);
	pl061_set_input(gpio, 3, false);
	assert_true(b.level);
	pl061_ops.write(gpio, 0x41c, 4, 8);
	pl061_ops.write(gpio, 0x404, 4, 8); /* low level now */
	assert_true(b.level);
	pl061_ops.write(gpio, 0x40c, 4, 8); /* high level */
	assert_false(b.level);
	assert_int_equal(pl061_ops.read(gpio, 0xfe0, 4), 0x61);
	pl061_destroy(gpio);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uart_transmits_and_waits_for_a_slow_console),
		cmocka_unit_test(uart_transmit_interrupt_is_latched),
		cmocka_unit_test(uart_receives_with_flow_control),
		cmocka_unit_test(uart_loops_back),
		cmocka_unit_test(uart_survives_all_widths),
		cmocka_unit_test(rtc_counts_and_alarms),
		cmocka_unit_test(gpio_masks_by_address_and_interrupts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
