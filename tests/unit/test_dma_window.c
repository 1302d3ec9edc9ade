/* SPDX-License-Identifier: Apache-2.0 */
/* test_dma_window.c - sharing of windows, limits, and a host that chooses addresses and fails */
#include "passthrough/dma_window.h"
#include "unit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define START  UINT64_C(0x40000000)
#define LEN    (UINT64_C(256) << 20)
#define WINDOW (UINT64_C(256) << 10)

struct host {
	unsigned maps, unmaps;
	uint64_t bytes, last_gpa, last_len;
	uint64_t next; /* addresses it gives: descending, without alignment */
	bool fails;
};

static int host_map(void *opaque, uint64_t gpa, uint64_t len, uint64_t *iova)
{
	struct host *h = opaque;
	if (h->fails) {
		return -EIO;
	}
	h->next -= len + 4096;
	*iova = h->next;
	h->maps++;
	h->bytes += len;
	h->last_gpa = gpa;
	h->last_len = len;
	return 0;
}

static void host_unmap(void *opaque, uint64_t iova, uint64_t len)
{
	struct host *h = opaque;
	h->unmaps++;
	h->bytes -= len;
}

static struct dma_windows *make(struct host *h, uint64_t window, uint64_t max_bytes,
				size_t max_mappings)
{
	static const struct dma_window_ops ops = {host_map, host_unmap};
	*h = (struct host){.next = UINT64_C(1) << 40};
	const struct dma_window_config config = {window,       START, LEN, max_bytes,
						 max_mappings, &ops,  h};
	struct dma_windows *w = dma_windows_create(&config);
	assert_non_null(w);
	return w;
}

static void small_pieces_share_their_window(void **state)
{
	struct host h;
	uint64_t a, b, c;
	struct dma_windows *w = make(&h, WINDOW, UINT64_MAX, 64);
	assert_int_equal(dma_windows_map(w, START + 0x3000, 0x1000, &a), 0);
	assert_int_equal(h.last_gpa, START);
	assert_int_equal(h.last_len, WINDOW);
	assert_int_equal(dma_windows_map(w, START + 0x8000, 0x2000, &b), 0);
	assert_int_equal(b - a, 0x5000);
	assert_int_equal(dma_windows_map(w, START + 0x3000, 0x1000, &c),
			 0); /* the same piece twice */
	assert_int_equal(c, a);
	assert_int_equal(h.maps, 1);
	assert_int_equal(dma_windows_unmap(w, a, 0x1000), 0);
	assert_int_equal(dma_windows_unmap(w, b, 0x2000), 0);
	assert_int_equal(h.unmaps, 0);
	assert_int_equal(dma_windows_unmap(w, c, 0x1000), 0);
	assert_int_equal(h.unmaps, 1);
	assert_int_equal(dma_windows_unmap(w, a, 0x1000), -ENOENT);
	dma_windows_destroy(w);
}

static void large_and_crossing_pieces_are_exact(void **state)
{
	struct host h;
	uint64_t a, b;
	struct dma_windows *w = make(&h, WINDOW, UINT64_MAX, 64);
	assert_int_equal(dma_windows_map(w, START + WINDOW - 0x1000, 0x2000, &a), 0);
	assert_int_equal(h.last_len, 0x2000);
	assert_int_equal(dma_windows_map(w, START + 0x1000, 2 * WINDOW, &b), 0);
	assert_int_equal(h.last_len, 2 * WINDOW);
	assert_int_equal(dma_windows_unmap(w, a, 0x1000), -ENOENT); /* a part of an exact one */
	assert_int_equal(dma_windows_unmap(w, a + 0x1000, 0x1000), -ENOENT);
	assert_int_equal(dma_windows_unmap(w, a, 0x2000), 0);
	assert_int_equal(dma_windows_unmap(w, b, 2 * WINDOW), 0);
	assert_int_equal(h.bytes, 0);
	dma_windows_destroy(w);
}

static void windows_end_where_memory_ends(void **state)
{
	struct host h;
	uint64_t iova;
	struct dma_windows *w = make(&h, UINT64_C(1) << 29, UINT64_MAX, 64);
	assert_int_equal(dma_windows_map(w, START + 0x5000, 0x1000, &iova), 0);
	assert_int_equal(h.last_gpa, START);
	assert_int_equal(h.last_len, LEN);
	assert_int_equal(dma_windows_map(w, START - 0x1000, 0x1000, &iova), -EFAULT);
	assert_int_equal(dma_windows_map(w, START + LEN - 0x1000, 0x2000, &iova), -EFAULT);
	assert_int_equal(dma_windows_map(w, START, 0, &iova), -EFAULT);
	assert_int_equal(dma_windows_map(w, UINT64_MAX - 0xfff, 0x1000, &iova), -EFAULT);
	dma_windows_destroy(w);
	assert_int_equal(h.bytes, 0);
}

static void limits_hold_and_room_comes_back(void **state)
{
	struct host h;
	uint64_t iova[5];
	struct dma_window_usage usage;
	struct dma_windows *w = make(&h, WINDOW, 2 * WINDOW + 0x1000, 3);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(dma_windows_map(w, START + i * WINDOW, 0x1000, &iova[i]), 0);
	}
	assert_int_equal(dma_windows_map(w, START + 2 * WINDOW, 0x1000, &iova[2]),
			 0); /* no window more, but the page */
	assert_int_equal(h.last_len, 0x1000);
	assert_int_equal(dma_windows_map(w, START + 3 * WINDOW, 0x1000, &iova[3]), -ENOSPC);
	assert_int_equal(dma_windows_map(w, START + 0x7000, 0x1000, &iova[3]), 0); /* shares */
	dma_windows_usage(w, &usage);
	assert_int_equal(usage.mappings, 3);
	assert_int_equal(usage.bytes, 2 * WINDOW + 0x1000);
	assert_int_equal(usage.pieces, 4);
	assert_int_equal(usage.refused, 1);
	assert_int_equal(dma_windows_unmap(w, iova[1], 0x1000), 0);
	assert_int_equal(dma_windows_map(w, START + 3 * WINDOW, 0x1000, &iova[4]), 0);
	dma_windows_destroy(w);
	assert_int_equal(h.bytes, 0);
}

static void failing_host_leaves_nothing(void **state)
{
	struct host h;
	uint64_t iova;
	struct dma_window_usage usage;
	struct dma_windows *w = make(&h, WINDOW, UINT64_MAX, 64);
	h.fails = true;
	assert_int_equal(dma_windows_map(w, START, 0x1000, &iova), -EIO);
	dma_windows_usage(w, &usage);
	assert_int_equal(usage.mappings + usage.pieces + usage.bytes, 0);
	h.fails = false;
	assert_int_equal(dma_windows_map(w, START, 0x1000, &iova), 0);
	dma_windows_destroy(w);
	assert_int_equal(h.maps, h.unmaps);
}

/* Pages all over memory, as a driver maps them; each must stay reachable at the address that was
 * said. */
static void random_pieces_come_and_go(void **state)
{
	enum { PIECES = 2000, ROUNDS = 40000 };
	static struct {
		uint64_t gpa, len, iova;
	} out[PIECES];
	struct host h;
	struct dma_window_usage usage;
	struct dma_windows *w = make(&h, WINDOW, UINT64_C(1536) << 20, 65536);
	srandom(4);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned i = (unsigned)random() % PIECES;
		if (out[i].len) {
			assert_int_equal(dma_windows_unmap(w, out[i].iova, out[i].len), 0);
			out[i].len = 0;
			continue;
		}
		out[i].len = random() % 10 ? 4096 : 4096 * (1 + (unsigned)random() % 200);
		out[i].gpa = START + (uint64_t)random() % (LEN / 4096 - 256) * 4096;
		assert_int_equal(dma_windows_map(w, out[i].gpa, out[i].len, &out[i].iova), 0);
	}
	dma_windows_usage(w, &usage);
	assert_true(usage.mappings < usage.pieces && usage.bytes == h.bytes &&
		    h.maps - h.unmaps == usage.mappings);
	dma_windows_destroy(w);
	assert_int_equal(h.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_pieces_share_their_window),
		cmocka_unit_test(large_and_crossing_pieces_are_exact),
		cmocka_unit_test(windows_end_where_memory_ends),
		cmocka_unit_test(limits_hold_and_room_comes_back),
		cmocka_unit_test(failing_host_leaves_nothing),
		cmocka_unit_test(random_pieces_come_and_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
