/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_venus_parts.c - the parts of the Vulkan server that know no Vulkan: ids, pages, resources, ring layouts, syncs
 */
#include "unit.h"

#include "base/loop.h"
#include "venus/idmap.h"
#include "venus/pages.h"
#include "venus/resource.h"
#include "venus/ring_layout.h"
#include "venus/vtest_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void test_idmap_keeps_what_a_plain_array_keeps(void **state)
{
	enum { KEYS = 512 };
	static int values[KEYS];
	bool present[KEYS] = {false};
	struct idmap map = {0};
	uint32_t seed = 1;
	size_t count = 0;
	for (int round = 0; round < 20000; round++) {
		seed = seed * 1664525 + 1013904223;
		uint32_t index = (seed >> 8) % KEYS;
		uint64_t key = (uint64_t)(index + 1) << (index % 3 * 20); /* dense and sparse keys */
		if (seed >> 31) {
			assert_int_equal(idmap_put(&map, key, &values[index]), present[index] ? -EEXIST : 0);
			count += !present[index];
			present[index] = true;
		} else {
			void *taken = idmap_take(&map, key);
			assert_ptr_equal(taken, present[index] ? &values[index] : NULL);
			count -= present[index];
			present[index] = false;
		}
		assert_ptr_equal(idmap_get(&map, key), present[index] ? &values[index] : NULL);
		assert_int_equal(map.count, count);
	}
	for (; count; count--) {
		assert_non_null(idmap_take_any(&map));
	}
	assert_null(idmap_take_any(&map));
	assert_int_equal(idmap_put(&map, 0, &values[0]), -EINVAL);
	assert_int_equal(idmap_put(&map, 1, NULL), -EINVAL);
	idmap_finish(&map);
}

static bool make_room(struct shelf *shelf)
{
	return shelf->budget.make_room(&shelf->budget);
}

static void test_pages_are_sealed_counted_and_charged(void **state)
{
	struct shelf shelf;
	struct pages *pages, *more;
	shelf_init(&shelf, 64 * 1024);
	assert_int_equal(pages_create(&pages, &shelf, 48 * 1024), 0);
	assert_int_equal(pages_create(&more, &shelf, 20 * 1024), -EDQUOT);
	assert_int_equal(pages_create(&more, &shelf, 0), -EINVAL);
	assert_int_equal(pages_create(&more, &shelf, UINT64_MAX - 4095), -EDQUOT);
	assert_int_equal(shelf.budget.used, 48 * 1024);
	assert_true(ftruncate(pages->fd, 4096) < 0 && errno == EPERM);
	assert_true(ftruncate(pages->fd, 1 << 20) < 0 && errno == EPERM);
	unsigned char *second = mmap(NULL, pages->bytes, PROT_READ, MAP_SHARED, pages->fd, 0);
	assert_int_equal(second[48 * 1024 - 1], 0);
	((unsigned char *)pages->map)[48 * 1024 - 1] = 7;
	assert_int_equal(second[48 * 1024 - 1], 7);
	munmap(second, pages->bytes);
	pages_put(pages_get(pages));
	assert_int_equal(shelf.budget.used, 48 * 1024);
	pages_put(pages);
	assert_int_equal(shelf.budget.used, 0);
	pages_put(NULL);
	shelf_finish(&shelf);
}

static void test_pages_that_are_left_are_given_back_when_needed(void **state)
{
	struct shelf shelf;
	struct pages *pages[3], *more;
	shelf_init(&shelf, 16 * 1024);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pages_create(&pages[i], &shelf, 4096), 0);
	}
	pages_leave(pages_get(pages[0])); /* not the last reference */
	assert_false(make_room(&shelf));
	pages_leave(pages[0]), pages_leave(pages[1]), pages_leave(pages[2]), pages_leave(NULL);
	assert_int_equal(shelf.budget.used, 12 * 1024);
	assert_int_equal(pages_create(&more, &shelf, 8192), 0); /* takes one of them */
	assert_int_equal(shelf.budget.used, 16 * 1024);
	assert_true(make_room(&shelf) && make_room(&shelf));
	assert_false(make_room(&shelf));
	assert_int_equal(shelf.budget.used, 8192);
	pages_leave(more);
	shelf_finish(&shelf);
	assert_int_equal(shelf.budget.used, 0);
}

static void test_not_too_many_pages_rest(void **state)
{
	enum { MANY = 300, MOST = 256 };
	struct shelf shelf;
	struct pages *pages[MANY];
	shelf_init(&shelf, MANY * 4096);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(pages_create(&pages[i], &shelf, 4096), 0);
	}
	for (int i = 0; i < MANY; i++) {
		pages_leave(pages[i]);
	}
	assert_int_equal(shelf.budget.used, MOST * 4096);
	shelf_finish(&shelf);
	assert_int_equal(shelf.budget.used, 0);
}

/* Leaves 128 KiB, of which the middle was never touched.  How many bites it takes; *@seen: what another mapping shows after the first. */
static int leave_and_tidy(bool shared, unsigned char *seen)
{
	struct shelf shelf;
	struct pages *pages;
	shelf_init(&shelf, 128 * 1024);
	assert_int_equal(pages_create(&pages, &shelf, 128 * 1024), 0);
	unsigned char *other = mmap(NULL, 128 * 1024, PROT_READ, MAP_SHARED, pages->fd, 0);
	memset(pages->map, 5, 4096);
	memset((unsigned char *)pages->map + 120 * 1024, 6, 8192);
	pages->shared = shared;
	uint64_t now = loop_now_ns();
	assert_int_equal(shelf_due_ns(&shelf, now), UINT64_MAX);
	pages_leave(pages);
	assert_in_range(shelf_due_ns(&shelf, now), SHELF_REST_MS * 1000000, SHELF_REST_MS * 1000000 + 1000000000);
	assert_false(shelf_tidy_some(&shelf, now + SHELF_REST_MS * 1000000 - 1));
	now = loop_now_ns() + SHELF_REST_MS * 1000000;
	int bites = 0;
	while (shelf_tidy_some(&shelf, now)) {
		bites++;
		if (bites == 1) {
			*seen = other[0];
			assert_int_equal(other[120 * 1024], 6);
		}
		assert_int_equal(shelf_due_ns(&shelf, now), shelf.budget.used ? 0 : UINT64_MAX);
	}
	assert_int_equal(shelf.budget.used, 0);
	munmap(other, 128 * 1024);
	shelf_finish(&shelf);
	return bites;
}

static void test_pages_are_given_back_in_bites_unless_others_may_look(void **state)
{
	unsigned char seen;
	assert_int_equal(leave_and_tidy(false, &seen), 3); /* two with data, then the rest */
	assert_int_equal(seen, 0);
	assert_int_equal(leave_and_tidy(true, &seen), 1);
	assert_int_equal(seen, 5);
}

static void test_new_memory_is_made_of_what_rests_if_nobody_else_may_look(void **state)
{
	struct shelf shelf;
	struct pages *mine, *shared, *more;
	shelf_init(&shelf, 64 * 1024);
	assert_int_equal(pages_create(&mine, &shelf, 16 * 1024), 0);
	assert_int_equal(pages_create(&shared, &shelf, 16 * 1024), 0);
	struct pages *was = mine;
	unsigned char *bytes = mine->map;
	memset(bytes, 5, 16 * 1024);
	shared->shared = true;
	pages_leave(mine), pages_leave(shared);
	assert_int_equal(pages_create_dirty(&more, &shelf, 8 * 1024), 0); /* of another size */
	assert_ptr_not_equal(more, was);
	pages_put(more);
	assert_int_equal(pages_create(&more, &shelf, 16 * 1024), 0); /* whoever wants zeros gets them */
	assert_ptr_not_equal(more, was);
	assert_int_equal(((unsigned char *)more->map)[0], 0);
	assert_int_equal(shelf.budget.used, 48 * 1024);
	assert_int_equal(pages_create_dirty(&mine, &shelf, 16 * 1024), 0);
	assert_ptr_equal(mine, was);
	assert_true(mine->map == bytes && bytes[0] == 5 && mine->references == 1);
	assert_int_equal(shelf.budget.used, 48 * 1024);
	pages_leave(mine);
	assert_true(shelf_tidy_some(&shelf, UINT64_MAX)); /* the shared ones, whole */
	assert_true(shelf_tidy_some(&shelf, UINT64_MAX)); /* a bite of ours */
	assert_int_equal(pages_create_dirty(&mine, &shelf, 16 * 1024), 0);
	assert_ptr_equal(mine, was);
	memset(bytes, 6, 16 * 1024); /* what was given back once is so again */
	pages_leave(mine);
	assert_true(shelf_tidy_some(&shelf, UINT64_MAX));
	assert_true(shelf_tidy_some(&shelf, UINT64_MAX));
	pages_put(more);
	assert_int_equal(shelf.budget.used, 0);
	shelf_finish(&shelf);
}

static void test_pages_of_others_must_be_sealed_and_long_enough(void **state)
{
	struct pages *pages;
	int fd = memfd_create("t", MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(pages_adopt(&pages, dup(fd), 8192), -EINVAL);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(pages_adopt(&pages, dup(fd), 12288), -EINVAL);
	assert_int_equal(pages_adopt(&pages, dup(fd), 0), -EINVAL);
	assert_int_equal(pages_adopt(&pages, dup(fd), 8192), 0);
	pages_put(pages);
	close(fd);
}

static void test_rounding_never_wraps(void **state)
{
	assert_int_equal(pages_round(1, 4096), 4096);
	assert_int_equal(pages_round(4096, 16384), 16384);
	assert_int_equal(pages_round(UINT64_MAX, 4096), 0);
	assert_int_equal(pages_round(UINT64_MAX - 4095, 4096), UINT64_MAX - 4095);
}

static void test_resources_check_ranges_and_live_while_used(void **state)
{
	struct shelf shelf;
	struct resource_table table;
	struct pages *pages, *found;
	unsigned char *memory;
	shelf_init(&shelf, 1 << 20);
	resource_table_init(&table, 2, &shelf);
	assert_int_equal(pages_create(&pages, &shelf, 8192), 0);
	assert_int_equal(resource_add(&table, 0, RESOURCE_SHMEM, pages_get(pages), 5000), -EINVAL);
	assert_int_equal(resource_add(&table, 5, RESOURCE_SHMEM, pages_get(pages), 5000), 0);
	assert_int_equal(resource_add(&table, 5, RESOURCE_SHMEM, pages_get(pages), 5000), -EEXIST);
	assert_int_equal(resource_add(&table, 6, RESOURCE_MEMORY, pages_get(pages), 8192), 0);
	assert_int_equal(resource_add(&table, 7, RESOURCE_SHMEM, pages_get(pages), 8192), -ENOSPC);
	assert_false(resource_find_shmem(&table, 5, 4996, 8, &found, &memory)); /* beyond what the guest has */
	assert_false(resource_find_shmem(&table, 5, UINT64_MAX, 2, &found, &memory));
	assert_false(resource_find_shmem(&table, 6, 0, 4, &found, &memory)); /* not shared memory */
	assert_false(resource_find_shmem(&table, 9, 0, 0, &found, &memory));
	assert_true(resource_find_shmem(&table, 5, 4996, 4, &found, &memory));
	assert_ptr_equal(memory, (unsigned char *)pages->map + 4996);
	pages_put(pages);
	assert_int_equal(resource_remove(&table, 5), 0);
	assert_int_equal(resource_remove(&table, 5), -ENOENT);
	memory[0] = 1; /* found still holds it */
	pages_put(found);
	resource_table_finish(&table);
	shelf_finish(&shelf);
	assert_int_equal(shelf.budget.used, 0);
}

static const struct ring_request mesa_ring = {
	.size = 131268,
	.tail_offset = 64,
	.status_offset = 128,
	.buffer_offset = 192,
	.buffer_size = 131072,
	.extra_offset = 131264,
	.extra_size = 4,
};

static void test_ring_layout_of_mesa(void **state)
{
	struct ring_layout layout;
	struct ring_request request = mesa_ring;
	request.offset = 4096;
	assert_null(ring_layout_check(&layout, &request, 4096 + 131268));
	assert_int_equal(layout.head, 4096);
	assert_int_equal(layout.tail, 4096 + 64);
	assert_int_equal(layout.buffer, 4096 + 192);
	assert_int_equal(layout.buffer_size, 131072);
	assert_string_equal(ring_layout_check(&layout, &request, 4096 + 131267), "ring outside its resource");
}

/* Whatever is accepted lies inside, aligned and disjoint: checked by painting it. */
static void test_ring_layouts_at_random(void **state)
{
	enum { RESOURCE = 16384 };
	static unsigned char paint[RESOURCE];
	uint32_t seed = 7;
	unsigned accepted = 0;
	for (int round = 0; round < 200000; round++) {
		uint64_t v[9];
		for (int i = 0; i < 9; i++) {
			seed = seed * 1664525 + 1013904223;
			v[i] = (seed >> 10) % (RESOURCE / 4) * 4 + (seed >> 28 == 0 ? 2 : 0);
			v[i] |= seed >> 20 == 5 ? 1ull << 63 : 0;
		}
		seed = seed * 1664525 + 1013904223;
		struct ring_request request = {v[0] % 64, RESOURCE - v[1] % 4096, v[2] % 512, v[3] % 512,
					       v[4] % 512, v[5], seed >> 31 ? 4096 : v[6], v[7], v[8] % 512};
		struct ring_layout layout;
		if (ring_layout_check(&layout, &request, RESOURCE)) {
			continue;
		}
		accepted++;
		memset(paint, 0, sizeof(paint));
		const uint64_t parts[5][2] = {{layout.head, 4}, {layout.tail, 4}, {layout.status, 4},
					      {layout.buffer, layout.buffer_size}, {layout.extra, layout.extra_size}};
		for (int i = 0; i < 5; i++) {
			for (uint64_t at = parts[i][0]; at < parts[i][0] + parts[i][1]; at++) {
				assert_in_range(at, 0, RESOURCE - 1);
				assert_int_equal(paint[at]++, 0);
			}
			assert_int_equal(parts[i][0] % 4, 0);
		}
		assert_int_equal(layout.buffer_size & (layout.buffer_size - 1), 0);
	}
	assert_true(accepted > 100);
}

static bool is_readable(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	return poll(&poll_fd, 1, 0) == 1;
}

static void test_syncs_wake_waits_once_reached(void **state)
{
	struct vtest_syncs syncs;
	vtest_syncs_init(&syncs);
	uint32_t a = vtest_sync_create(&syncs, 0), b = vtest_sync_create(&syncs, 9);
	const struct vtest_sync_item items[] = {{a, 5}, {b, 10}};
	int both = vtest_sync_wait(&syncs, items, 2, false, UINT32_MAX);
	int either = vtest_sync_wait(&syncs, items, 2, true, UINT32_MAX);
	int nothing = vtest_sync_wait(&syncs, NULL, 0, false, UINT32_MAX);
	assert_true(is_readable(nothing));
	assert_true(vtest_sync_write(&syncs, a, 4));
	assert_false(is_readable(either));
	assert_true(vtest_sync_write(&syncs, a, 6));
	assert_true(is_readable(either) && !is_readable(both));
	assert_true(vtest_sync_write(&syncs, b, UINT64_MAX));
	assert_true(is_readable(both));
	uint64_t value = 0;
	assert_true(vtest_sync_read(&syncs, b, &value));
	assert_true(value == UINT64_MAX);
	assert_int_equal(syncs.wait_count, 0);
	assert_true(vtest_sync_unref(&syncs, a));
	assert_false(vtest_sync_unref(&syncs, a));
	assert_int_equal(vtest_sync_wait(&syncs, items, 2, true, 0), -EINVAL);
	close(both), close(either), close(nothing);
	vtest_syncs_finish(&syncs);
}

static void test_waits_that_timed_out_make_room(void **state)
{
	struct vtest_syncs syncs;
	vtest_syncs_init(&syncs);
	const struct vtest_sync_item item = {vtest_sync_create(&syncs, 0), 1};
	for (int i = 0; i < VTEST_MAX_WAITS * 3; i++) {
		int fd = vtest_sync_wait(&syncs, &item, 1, false, 0);
		assert_true(fd >= 0);
		assert_false(is_readable(fd));
		close(fd);
	}
	for (int i = 0; i < VTEST_MAX_WAITS; i++) {
		int fd = vtest_sync_wait(&syncs, &item, 1, false, UINT32_MAX);
		assert_true(fd >= 0);
		close(fd);
	}
	assert_int_equal(vtest_sync_wait(&syncs, &item, 1, false, UINT32_MAX), -ENOSPC);
	vtest_syncs_finish(&syncs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idmap_keeps_what_a_plain_array_keeps),
		cmocka_unit_test(test_pages_are_sealed_counted_and_charged),
		cmocka_unit_test(test_pages_that_are_left_are_given_back_when_needed),
		cmocka_unit_test(test_not_too_many_pages_rest),
		cmocka_unit_test(test_pages_are_given_back_in_bites_unless_others_may_look),
		cmocka_unit_test(test_new_memory_is_made_of_what_rests_if_nobody_else_may_look),
		cmocka_unit_test(test_pages_of_others_must_be_sealed_and_long_enough),
		cmocka_unit_test(test_rounding_never_wraps),
		cmocka_unit_test(test_resources_check_ranges_and_live_while_used),
		cmocka_unit_test(test_ring_layout_of_mesa),
		cmocka_unit_test(test_ring_layouts_at_random),
		cmocka_unit_test(test_syncs_wake_waits_once_reached),
		cmocka_unit_test(test_waits_that_timed_out_make_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
