/* SPDX-License-Identifier: Apache-2.0 */
/* test_driver_memory.c - what drivers keep for a context in the server's own memory */
#include "unit.h"

#include "base/os.h"
#include "venus/driver_memory.h"
#include "venus/pages.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/mman.h>

enum { MIB = 1024 * 1024, LIMIT = 96 * MIB, PART = 64 * MIB, PATIENCE_MS = 20000 };

struct fixture {
	struct shelf shelf;
	atomic_uint busy;
	atomic_bool beyond;
	struct driver_memory memory;
};

static void on_beyond(void *opaque)
{
	struct fixture *fixture = opaque;
	atomic_store(&fixture->beyond, true);
}

static int start(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	shelf_init(&fixture->shelf, LIMIT);
	fixture->memory = (struct driver_memory){.budget = &fixture->shelf.budget, .busy = &fixture->busy,
						 .beyond = on_beyond, .opaque = fixture};
	*state = fixture;
	return driver_memory_start(&fixture->memory);
}

static int finish(void **state)
{
	struct fixture *fixture = *state;
	driver_memory_finish(&fixture->memory);
	uint64_t used = fixture->shelf.budget.used;
	shelf_finish(&fixture->shelf);
	free(fixture);
	return used ? -1 : 0;
}

static void begin(struct fixture *fixture)
{
	atomic_fetch_add(&fixture->busy, 1);
	driver_memory_wake(&fixture->memory);
}

static void end(struct fixture *fixture)
{
	atomic_fetch_sub(&fixture->busy, 1);
}

/* Memory that is there. */
static void *take(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(at, MAP_FAILED);
	memset(at, 1, bytes);
	return at;
}

static uint64_t charged(const struct fixture *fixture)
{
	return atomic_load(&fixture->shelf.budget.used);
}

static bool is_asleep(const struct fixture *fixture)
{
	return atomic_load(&fixture->memory.asleep);
}

static bool has_part(const struct fixture *fixture)
{
	return charged(fixture) >= PART && charged(fixture) < LIMIT;
}

static bool has_nothing(const struct fixture *fixture)
{
	return charged(fixture) < PART / 2;
}

static bool is_beyond(const struct fixture *fixture)
{
	return atomic_load(&fixture->beyond);
}

static void await(const struct fixture *fixture, bool (*is)(const struct fixture *))
{
	for (int i = 0; i < PATIENCE_MS && !is(fixture); i++) {
		nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
	}
	assert_true(is(fixture));
}

static void what_is_kept_is_charged_while_it_is_there(void **state)
{
	struct fixture *fixture = *state;
	begin(fixture);
	void *at = take(DRIVER_MEMORY_FREE + PART);
	await(fixture, has_part);
	munmap(at, DRIVER_MEMORY_FREE + PART);
	await(fixture, has_nothing);
	end(fixture);
	assert_false(is_beyond(fixture));
}

static void what_is_charged_already_is_not_charged_twice(void **state)
{
	struct fixture *fixture = *state;
	begin(fixture);
	void *at = take(DRIVER_MEMORY_FREE + PART);
	await(fixture, has_part);
	atomic_fetch_add(&fixture->shelf.budget.inside, PART);
	await(fixture, has_nothing);
	atomic_fetch_sub(&fixture->shelf.budget.inside, PART);
	await(fixture, has_part);
	munmap(at, DRIVER_MEMORY_FREE + PART);
	end(fixture);
}

/* The driver's own threads may go on when no thread of ours works. */
static void nobody_looks_at_what_does_not_change(void **state)
{
	struct fixture *fixture = *state;
	await(fixture, is_asleep);
	begin(fixture);
	void *at = take(DRIVER_MEMORY_FREE);
	end(fixture);
	void *more = take(PART);
	await(fixture, has_part);
	await(fixture, is_asleep);
	munmap(at, DRIVER_MEMORY_FREE);
	munmap(more, PART);
	assert_true(is_asleep(fixture)); /* it has not been told */
	begin(fixture);
	await(fixture, has_nothing);
	end(fixture);
}

static void there_is_an_end(void **state)
{
	struct fixture *fixture = *state;
	begin(fixture);
	size_t bytes = (size_t)DRIVER_MEMORY_FREE + LIMIT + BUDGET_RESERVE;
	void *at = take(bytes);
	await(fixture, is_beyond);
	munmap(at, bytes);
	end(fixture);
}

#ifndef __SANITIZE_ADDRESS__ /* whose malloc() is another */
/* malloc() keeps what is freed below a piece that is not. */
static void what_nobody_uses_is_given_back_first(void **state)
{
	enum { PIECE = 1024, PIECES = (DRIVER_MEMORY_FREE + LIMIT + BUDGET_RESERVE) / PIECE };
	struct fixture *fixture = *state;
	void **pieces = calloc(PIECES, sizeof(*pieces));
	await(fixture, is_asleep);
	for (int i = 0; i < PIECES; i++) {
		pieces[i] = malloc(PIECE);
		memset(pieces[i], 1, PIECE);
	}
	for (int i = 0; i < PIECES - 1; i++) {
		free(pieces[i]);
	}
	uint64_t held = os_own_memory();
	assert_true(held > (uint64_t)DRIVER_MEMORY_FREE + LIMIT + BUDGET_RESERVE);
	begin(fixture);
	end(fixture);
	await(fixture, is_asleep);
	assert_true(os_own_memory() < held / 2);
	assert_true(has_nothing(fixture) && !is_beyond(fixture));
	free(pieces[PIECES - 1]);
	free(pieces);
}
#endif

/* Memory that the driver keeps, and pages of ours, which are nobody's alone. */
static void what_lies_inside_is_counted(void **state)
{
	struct fixture *fixture = *state;
	struct pages *kept, *ours;
	assert_int_equal(pages_count(&kept, &fixture->shelf, MIB), 0);
	assert_int_equal(pages_create(&ours, &fixture->shelf, MIB), 0);
	assert_int_equal(fixture->shelf.budget.inside, MIB);
	pages_put(kept);
	assert_int_equal(fixture->shelf.budget.inside, 0);
	pages_put(ours);
	assert_int_equal(fixture->shelf.budget.inside, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_kept_is_charged_while_it_is_there),
		TEST(what_is_charged_already_is_not_charged_twice),
		TEST(nobody_looks_at_what_does_not_change),
		TEST(there_is_an_end),
#ifndef __SANITIZE_ADDRESS__
		TEST(what_nobody_uses_is_given_back_first),
#endif
		TEST(what_lies_inside_is_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
