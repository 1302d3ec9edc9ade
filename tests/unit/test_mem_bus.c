/* SPDX-License-Identifier: Apache-2.0 */
/* test_mem_bus.c - guest memory bounds, bus routing and changes under way */
#include "bus/bus.h"
#include "mem/gmem.h"
#include "unit.h"

#include <errno.h>
#include <string.h>

static void gmem_refuses_ranges_outside_ram(void **state)
{
	struct gmem *gmem = gmem_create();
	struct error err = {0};
	assert_int_equal(gmem_add_ram(gmem, 0x40000000, 0x20000, &err), 0);
	assert_int_equal(gmem_add_ram(gmem, 0x40010000, 0x20000, &err), -EEXIST);
	gmem_seal(gmem);
	char bytes[4] = "abc", back[4] = "";
	assert_int_equal(gmem_write(gmem, 0x4001fffc, bytes, 4), 0);
	assert_int_equal(gmem_read(gmem, 0x4001fffc, back, 4), 0);
	assert_string_equal(back, "abc");
	assert_int_equal(gmem_write(gmem, 0x4001fffd, bytes, 4), -EFAULT);
	assert_int_equal(gmem_read(gmem, 0x3fffffff, back, 4), -EFAULT);
	assert_int_equal(gmem_read(gmem, 0x40000000, back, SIZE_MAX), -EFAULT);
	struct iovec iov;
	assert_int_equal(gmem_iov(gmem, 0x40000000, 0x20000, true, &iov), 0);
	assert_int_equal(gmem_iov(gmem, 0x40000000, 0x20001, true, &iov), -EFAULT);
	gmem_destroy(gmem);
}

static void gmem_holes_are_skipped(void **state)
{
	struct gmem *gmem = gmem_create();
	size_t count;
	uint64_t at = 0;
	assert_int_equal(gmem_add_ram(gmem, 0x40000000, 0x100000, NULL), 0);
	const struct gmem_region *ram = gmem_region(gmem, 0);
	assert_true(gmem_skip_holes(gmem, ram, &at) == 0x100000);
	assert_int_equal(gmem_add_hole(gmem, 0, 0x3fffffff), 0); /* before RAM */
	assert_int_equal(gmem_add_hole(gmem, 0x40100000, UINT64_MAX), 0);
	(void)gmem_holes(gmem, &count);
	assert_int_equal(count, 0);
	assert_int_equal(gmem_add_hole(gmem, 0x40080000, 0x40080fff), 0);
	assert_int_equal(gmem_add_hole(gmem, 0x40020000, 0x4002ffff), 0);
	assert_int_equal(gmem_add_hole(gmem, 0x400f0001, UINT64_MAX), 0); /* its end */
	assert_int_equal(gmem_add_hole(gmem, 0x40085000, 0x40090000), 0); /* grows one */
	const struct gmem_hole *holes = gmem_holes(gmem, &count);
	assert_int_equal(count, 3);
	assert_int_equal(holes[0].gpa, 0x40020000);
	assert_int_equal(holes[1].gpa, 0x40080000);
	assert_int_equal(holes[1].len, 0x20000);
	assert_int_equal(holes[2].len, 0x10000);
	static const uint64_t parts[][2] = {{0, 0x20000}, {0x30000, 0x50000}, {0xa0000, 0x50000}};
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(gmem_skip_holes(gmem, ram, &at), parts[i][1]);
		assert_int_equal(at, parts[i][0]);
		at += parts[i][1];
	}
	assert_int_equal(gmem_skip_holes(gmem, ram, &at), 0);
	assert_int_equal(gmem_add_hole(gmem, 0, UINT64_MAX), 0);
	at = 0;
	assert_int_equal(gmem_skip_holes(gmem, ram, &at), 0);
	gmem_destroy(gmem);
}

static void gmem_takes_only_so_many_holes(void **state)
{
	struct gmem *gmem = gmem_create();
	assert_int_equal(gmem_add_ram(gmem, 0x40000000, 0x1000000, NULL), 0);
	for (unsigned i = 0; i < GMEM_MAX_HOLES; i++) {
		assert_int_equal(gmem_add_hole(gmem, 0x40000000 + i * 0x20000, 0x40000000 + i * 0x20000), 0);
	}
	assert_int_equal(gmem_add_hole(gmem, 0x40fe0000, 0x40fe0000), -ENOSPC);
	assert_int_equal(gmem_add_hole(gmem, 0x40010000, 0x4001ffff), 0); /* joins two */
	gmem_destroy(gmem);
}

struct scratch {
	struct bus *bus;
	uint64_t last_offset, last_value;
	unsigned last_size;
};

static uint64_t scratch_read(void *device, uint64_t offset, unsigned size)
{
	struct scratch *s = device;
	s->last_offset = offset;
	s->last_size = size;
	return 0x1122334455667788;
}

/* Moves itself on the bus while it is being accessed, as a BAR does. */
static void scratch_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	static const struct bus_ops ops = {scratch_read, scratch_write};
	struct scratch *s = device;
	s->last_value = value;
	bus_remove(s->bus, 0x1000, s);
	assert_int_equal(bus_add(s->bus, 0x5000, 0x100, &ops, s, "scratch"), 0);
}

static const struct bus_ops scratch_ops = {scratch_read, scratch_write};

static void bus_routes_by_offset_and_size(void **state)
{
	struct scratch a = {.bus = bus_create()};
	struct scratch b = {0};
	uint64_t value;
	assert_int_equal(bus_add(a.bus, 0x1000, 0x100, &scratch_ops, &a, "a"), 0);
	assert_int_equal(bus_add(a.bus, 0x2000, 0x100, &scratch_ops, &b, "b"), 0);
	assert_int_equal(bus_add(a.bus, 0x10ff, 0x10, &scratch_ops, &b, "c"), -EEXIST);
	assert_true(bus_read(a.bus, 0x2010, 4, &value));
	assert_int_equal(value, 0x55667788);
	assert_int_equal(b.last_offset, 0x10);
	assert_int_equal(b.last_size, 4);
	assert_false(bus_read(a.bus, 0x20fd, 4, &value));
	assert_int_equal(value, 0xffffffff);
	assert_false(bus_write(a.bus, 0x900, 8, 1));
	bus_destroy(a.bus);
}

static void bus_handler_may_move_itself(void **state)
{
	struct scratch s = {.bus = bus_create()};
	uint64_t value;
	assert_int_equal(bus_add(s.bus, 0x1000, 0x100, &scratch_ops, &s, "s"), 0);
	assert_true(bus_write(s.bus, 0x1000, 8, 7));
	assert_int_equal(s.last_value, 7);
	assert_false(bus_read(s.bus, 0x1000, 1, &value));
	assert_true(bus_read(s.bus, 0x5000, 1, &value));
	bus_destroy(s.bus);
}

struct bells {
	uint64_t gpa[4];
	int fd[4];
	unsigned on, off;
};

static int two_bells(void *device, unsigned n, uint64_t *offset)
{
	*offset = 0x40 + n * 4;
	return n < 2 ? 100 + (int)n : -1;
}

static void on_bell(void *opaque, uint64_t gpa, int fd, bool on)
{
	struct bells *b = opaque;
	if (on) {
		b->gpa[b->on] = gpa;
		b->fd[b->on++] = fd;
	} else {
		b->off++;
	}
}

static void bus_tells_of_doorbells_that_come_and_go(void **state)
{
	static const struct bus_ops ops = {scratch_read, scratch_write, two_bells};
	struct bells b = {0};
	struct bus *bus = bus_create();
	bus_set_doorbells(bus, on_bell, &b);
	assert_int_equal(bus_add(bus, 0x1000, 0x100, &scratch_ops, &b, "none"), 0);
	assert_int_equal(b.on, 0);
	assert_int_equal(bus_add(bus, 0x8000, 0x100, &ops, &b, "two"), 0);
	assert_int_equal(b.on, 2);
	assert_int_equal(b.gpa[1], 0x8044);
	assert_int_equal(b.fd[1], 101);
	assert_int_equal(bus_add(bus, 0x8080, 0x100, &ops, &b, "overlap"), -EEXIST);
	assert_int_equal(b.on, 2);
	bus_remove(bus, 0x8000, &b);
	assert_int_equal(b.off, 2);
	bus_destroy(bus);
}

struct parts {
	uint64_t gpa, len;
	void *hva;
	unsigned on, off;
};

static void *two_parts(void *device, unsigned n, uint64_t *offset, uint64_t *len)
{
	*offset = n * 0x2000;
	*len = 0x1000;
	return n < 2 ? (char *)device + n : NULL;
}

static void on_part(void *opaque, uint64_t gpa, uint64_t len, void *hva, bool on)
{
	struct parts *p = opaque;
	*p = (struct parts){gpa, len, hva, p->on + on, p->off + !on};
}

static void bus_tells_of_memory_that_comes_and_goes(void **state)
{
	static const struct bus_ops ops = {.read = scratch_read, .write = scratch_write, .memory = two_parts};
	struct parts p = {0};
	struct bus *bus = bus_create();
	bus_set_memory(bus, on_part, &p);
	assert_int_equal(bus_add(bus, 0x1000, 0x100, &scratch_ops, &p, "none"), 0);
	assert_int_equal(p.on, 0);
	assert_int_equal(bus_add(bus, 0x8000, 0x4000, &ops, &p, "two"), 0);
	assert_int_equal(p.on, 2);
	assert_int_equal(p.gpa, 0xa000);
	assert_int_equal(p.len, 0x1000);
	assert_ptr_equal(p.hva, (char *)&p + 1);
	assert_int_equal(bus_add(bus, 0x9000, 0x4000, &ops, &p, "overlap"), -EEXIST);
	assert_int_equal(p.on, 2);
	bus_remove(bus, 0x8000, &p);
	assert_int_equal(p.off, 2);
	bus_destroy(bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gmem_refuses_ranges_outside_ram),
		cmocka_unit_test(gmem_holes_are_skipped),
		cmocka_unit_test(gmem_takes_only_so_many_holes),
		cmocka_unit_test(bus_routes_by_offset_and_size),
		cmocka_unit_test(bus_handler_may_move_itself),
		cmocka_unit_test(bus_tells_of_doorbells_that_come_and_go),
		cmocka_unit_test(bus_tells_of_memory_that_comes_and_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
