/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_venus_objects.c - the Venus object table: ids, growth, limits, records, several threads
 */
#include "unit.h"

#include "venus/objects.h"

#include <string.h>

static void drop(struct venus_objects *table, struct venus_object *object)
{
	struct venus_object gone = {0};
	uint64_t id = object->id;
	assert_true(venus_objects_take(table, object, id, &gone));
	assert_int_equal(gone.id, id);
	assert_false(venus_objects_take(table, object, id, &gone)); /* somebody was faster */
}

static void test_ids_and_types(void **state)
{
	struct venus_objects table;
	assert_int_equal(venus_objects_init(&table), 0);
	struct venus_object *device =
		venus_objects_add(&table, 5, VK_OBJECT_TYPE_DEVICE, 0x50, NULL, NULL);
	struct venus_object *buffer =
		venus_objects_add(&table, 6, VK_OBJECT_TYPE_BUFFER, 0x60, device, NULL);
	assert_null(venus_objects_add(&table, 6, VK_OBJECT_TYPE_IMAGE, 0x61, device,
				      NULL)); /* over all types */
	assert_null(venus_objects_add(&table, 0, VK_OBJECT_TYPE_IMAGE, 0x61, device, NULL));
	assert_ptr_equal(venus_objects_find(&table, 6, VK_OBJECT_TYPE_BUFFER), buffer);
	assert_null(venus_objects_find(&table, 6, VK_OBJECT_TYPE_IMAGE));
	assert_null(venus_objects_find(&table, 0, VK_OBJECT_TYPE_BUFFER));
	assert_int_equal(venus_objects_id_of(&table, device, VK_OBJECT_TYPE_BUFFER, 0x60), 6);
	assert_int_equal(venus_objects_id_of(&table, device, VK_OBJECT_TYPE_BUFFER, 0x61), 0);
	assert_true(venus_objects_add(&table, 7, VK_OBJECT_TYPE_FENCE, 0, device, NULL)->failed);
	drop(&table, buffer);
	assert_null(venus_objects_find(&table, 6, VK_OBJECT_TYPE_BUFFER));
	assert_non_null(venus_objects_add(&table, 6, VK_OBJECT_TYPE_IMAGE, 0x62, device, NULL));
	venus_objects_finish(&table);
}

static void test_children_come_newest_first(void **state)
{
	struct venus_objects table;
	assert_int_equal(venus_objects_init(&table), 0);
	struct venus_object *device =
		venus_objects_add(&table, 1, VK_OBJECT_TYPE_DEVICE, 1, NULL, NULL);
	struct venus_object *pool =
		venus_objects_add(&table, 2, VK_OBJECT_TYPE_COMMAND_POOL, 2, device, NULL);
	struct venus_object *middle =
		venus_objects_add(&table, 3, VK_OBJECT_TYPE_FENCE, 3, device, NULL);
	struct venus_object *fence =
		venus_objects_add(&table, 4, VK_OBJECT_TYPE_FENCE, 4, device, NULL);
	struct venus_object *cmd =
		venus_objects_add(&table, 5, VK_OBJECT_TYPE_COMMAND_BUFFER, 5, device, pool);
	assert_ptr_equal(venus_objects_newest(&table, NULL), device);
	assert_ptr_equal(venus_objects_newest(&table, device), fence);
	assert_ptr_equal(venus_objects_newest(&table, pool), cmd);
	drop(&table, middle);
	drop(&table, fence);
	assert_ptr_equal(venus_objects_newest(&table, device), pool);
	assert_ptr_equal(cmd->parent, device);
	venus_objects_finish(&table);
}

static void test_growth_and_limit(void **state)
{
	struct venus_objects table;
	assert_int_equal(venus_objects_init(&table), 0);
	table.max = 20000;
	for (uint64_t id = 1; id <= 20000; id++) {
		assert_non_null(
			venus_objects_add(&table, id << 32, VK_OBJECT_TYPE_BUFFER, id, NULL, NULL));
	}
	assert_null(venus_objects_add(&table, 1, VK_OBJECT_TYPE_BUFFER, 1, NULL, NULL));
	for (uint64_t id = 1; id <= 20000; id++) {
		assert_int_equal(
			venus_objects_find(&table, id << 32, VK_OBJECT_TYPE_BUFFER)->handle, id);
	}
	venus_objects_finish(&table);
}

static void test_records_are_shared_and_bounded(void **state)
{
	struct venus_objects table;
	uint64_t report = 1;
	assert_int_equal(venus_objects_init(&table), 0);
	venus_objects_report(&table, &report);
	assert_int_equal(report, 0);
	struct venus_object *one =
		venus_objects_add(&table, 1, VK_OBJECT_TYPE_BUFFER, 1, NULL, NULL);
	struct venus_object *two =
		venus_objects_add(&table, 2, VK_OBJECT_TYPE_BUFFER, 2, NULL, NULL);
	venus_objects_record(&table, one, "abcd", 4, NULL, 0);
	venus_objects_record(&table, two, "abcd", 4, one, 1);
	assert_ptr_equal(one->record, two->record);
	assert_int_equal(two->record_index, 1);
	assert_int_equal(table.record_bytes, sizeof(struct venus_record) + 4);
	assert_int_equal(report, table.record_bytes);
	drop(&table, one);
	assert_memory_equal(two->record->bytes, "abcd", 4);
	drop(&table, two);
	assert_int_equal(table.record_bytes, 0);
	assert_int_equal(report, 0);
	struct venus_object *big =
		venus_objects_add(&table, 3, VK_OBJECT_TYPE_BUFFER, 3, NULL, NULL);
	static uint8_t bytes[VENUS_RECORD_MAX + 4];
	venus_objects_record(&table, big, bytes, sizeof(bytes), NULL, 0);
	assert_null(big->record);
	assert_int_equal(table.unrecorded, 1);
	venus_objects_finish(&table);
}

static int read_handle(struct venus_object *object, void *opaque)
{
	*(uint64_t *)opaque = object->handle;
	return 3;
}

static void test_with_holds_the_object(void **state)
{
	struct venus_objects table;
	uint64_t handle = 0;
	assert_int_equal(venus_objects_init(&table), 0);
	venus_objects_add(&table, 1, VK_OBJECT_TYPE_DEVICE_MEMORY, 0x99, NULL, NULL);
	assert_int_equal(
		venus_objects_with(&table, 1, VK_OBJECT_TYPE_DEVICE_MEMORY, read_handle, &handle),
		3);
	assert_int_equal(handle, 0x99);
	assert_true(venus_objects_with(&table, 1, VK_OBJECT_TYPE_BUFFER, read_handle, &handle) < 0);
	assert_true(venus_objects_with(&table, 2, VK_OBJECT_TYPE_DEVICE_MEMORY, read_handle,
				       &handle) < 0);
	venus_objects_finish(&table);
}

struct worker {
	struct venus_objects *table;
	uint64_t first;
	unsigned misses;
};

enum { WORKERS = 4, EACH = 300, ROUNDS = 20 };

static void *work(void *opaque)
{
	struct worker *worker = opaque;
	for (int round = 0; round < ROUNDS; round++) {
		struct venus_object *mine[EACH];
		for (uint64_t i = 0; i < EACH; i++) {
			mine[i] = venus_objects_add(worker->table, worker->first + i,
						    VK_OBJECT_TYPE_BUFFER, i + 1, NULL, NULL);
		}
		for (uint64_t i = 0; i < EACH; i++) {
			worker->misses += venus_objects_find(worker->table, worker->first + i,
							     VK_OBJECT_TYPE_BUFFER) != mine[i];
			worker->misses +=
				!venus_objects_find(worker->table, 7, VK_OBJECT_TYPE_IMAGE);
		}
		for (uint64_t i = 0; i < EACH; i++) {
			drop(worker->table, mine[i]);
		}
	}
	return NULL;
}

/* Run under ThreadSanitizer it also shows that readers need no lock. */
static void test_threads_find_what_they_added(void **state)
{
	struct venus_objects table;
	assert_int_equal(venus_objects_init(&table), 0);
	venus_objects_add(&table, 7, VK_OBJECT_TYPE_IMAGE, 7, NULL, NULL);
	struct worker workers[WORKERS];
	pthread_t threads[WORKERS];
	for (uint64_t i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){&table, (i + 1) * 100000, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].misses, 0);
	}
	assert_int_equal(table.count, 1);
	venus_objects_finish(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids_and_types),
		cmocka_unit_test(test_children_come_newest_first),
		cmocka_unit_test(test_growth_and_limit),
		cmocka_unit_test(test_records_are_shared_and_bounded),
		cmocka_unit_test(test_with_holds_the_object),
		cmocka_unit_test(test_threads_find_what_they_added),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
