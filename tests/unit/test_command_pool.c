/* SPDX-License-Identifier: Apache-2.0 */
/* test_command_pool.c - the memory in which drivers keep what they record */
#include "unit.h"

#include "venus/call.h"
#include "venus/command_pool.h"
#include "venus/budget.h"

#include <stdlib.h>
#include <string.h>

enum { LIMIT = 64 * COMMAND_POOL_BLOCK, PIECES = 500, ROUNDS = 200000 };

struct fixture {
	struct budget budget;
	struct venus_dispatch dispatch;
	struct command_store store;
	VkAllocationCallbacks *pool;
};

static int open_pool(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	budget_init(&fixture->budget, LIMIT, NULL);
	command_store_init(&fixture->store, &fixture->budget, &fixture->dispatch);
	fixture->pool = command_pool_create(&fixture->store);
	*state = fixture;
	return fixture->pool ? 0 : -1;
}

/* Whatever was done, nothing is left that somebody pays for. */
static int close_pool(void **state)
{
	struct fixture *fixture = *state;
	command_pool_destroy(fixture->pool);
	command_store_finish(&fixture->store);
	uint64_t used = fixture->budget.used;
	budget_finish(&fixture->budget);
	free(fixture);
	return used ? -1 : 0;
}

static void *take(struct fixture *fixture, size_t bytes, size_t align)
{
	return fixture->pool->pfnAllocation(fixture->pool->pUserData, bytes, align,
					    VK_SYSTEM_ALLOCATION_SCOPE_OBJECT);
}

static void *retake(struct fixture *fixture, void *piece, size_t bytes)
{
	return fixture->pool->pfnReallocation(fixture->pool->pUserData, piece, bytes, 8,
					      VK_SYSTEM_ALLOCATION_SCOPE_OBJECT);
}

static void give(struct fixture *fixture, void *piece)
{
	fixture->pool->pfnFree(fixture->pool->pUserData, piece);
}

struct piece {
	unsigned char *at;
	size_t bytes;
};

static void check(const struct piece *piece, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (piece->at[i] != (unsigned char)((uintptr_t)piece / sizeof(*piece))) {
			fail_msg("byte %zu of %zu is not what was written", i, piece->bytes);
		}
	}
}

static void fill(struct piece *piece)
{
	memset(piece->at, (unsigned char)((uintptr_t)piece / sizeof(*piece)), piece->bytes);
}

/* Most are as short as commands are, some as long as what is copied into them. */
static size_t some_bytes(void)
{
	return (size_t)rand() % (rand() % 50 ? 300 : 60000);
}

static void pieces_are_whole_whatever_comes_and_goes(void **state)
{
	struct fixture *fixture = *state;
	struct piece pieces[PIECES] = {0};
	srand(4);
	for (int i = 0; i < ROUNDS; i++) {
		struct piece *piece = &pieces[rand() % PIECES];
		size_t bytes = some_bytes(), align = (size_t)1 << rand() % 9;
		if (!piece->at) {
			*piece = (struct piece){take(fixture, bytes, align), bytes};
			assert_true(piece->at && (uintptr_t)piece->at % align == 0);
		} else if (rand() % 4) {
			check(piece, piece->bytes);
			give(fixture, piece->at);
			piece->at = NULL;
		} else {
			unsigned char *moved = retake(fixture, piece->at, bytes);
			piece->at = moved;
			assert_int_equal(!moved, !bytes);
			check(piece, bytes < piece->bytes ? bytes : piece->bytes);
			piece->bytes = bytes;
		}
		if (piece->at) {
			fill(piece);
		}
	}
	for (int i = 0; i < PIECES; i++) {
		give(fixture, pieces[i].at); /* NULL is fine */
	}
}

/* As many pieces as a block has, and some. */
static uint64_t record_and_reset(struct fixture *fixture)
{
	enum { COMMANDS = 2000 };
	void *pieces[COMMANDS];
	for (int i = 0; i < COMMANDS; i++) {
		assert_non_null(pieces[i] = take(fixture, 200, 8));
	}
	uint64_t used = fixture->budget.used;
	for (int i = 0; i < COMMANDS; i++) {
		give(fixture, pieces[i]);
	}
	return used;
}

static void what_is_recorded_again_lies_in_the_same_blocks(void **state)
{
	struct fixture *fixture = *state;
	uint64_t used = record_and_reset(fixture);
	assert_true(used >= 2000 * 200 && used < 2 * 2000 * 200);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(record_and_reset(fixture), used);
	}
}

/* A pool's own object stays when its commands are reset. */
static void one_piece_that_stays_keeps_one_block(void **state)
{
	struct fixture *fixture = *state;
	void *object = take(fixture, 100, 8);
	for (int i = 0; i < 100; i++) {
		record_and_reset(fixture);
	}
	command_store_trim(&fixture->store);
	assert_int_equal(fixture->budget.used,
			 2 * COMMAND_POOL_BLOCK); /* and the one that is handed out */
	give(fixture, object);
}

static void pools_pass_blocks_on(void **state)
{
	struct fixture *fixture = *state, other = {.pool = command_pool_create(&fixture->store)};
	uint64_t used = record_and_reset(fixture);
	void *piece = take(&other, 100, 8);
	assert_int_equal(fixture->budget.used, used);
	give(&other, piece);
	command_pool_destroy(other.pool);
	command_store_trim(&fixture->store);
	assert_int_equal(fixture->budget.used, COMMAND_POOL_BLOCK);
}

/* Pieces of 1000 bytes, each leading to the one before, until @end_at are charged. */
static void **take_until(struct fixture *fixture, uint64_t end_at)
{
	void **first = NULL, **piece;
	while (fixture->budget.used < end_at) {
		assert_non_null(piece = take(fixture, 1000, 8));
		*piece = first;
		first = piece;
	}
	return first;
}

static void who_records_beyond_the_limit_is_ended(void **state)
{
	struct fixture *fixture = *state;
	void **first = take_until(fixture, LIMIT + BUDGET_RESERVE), **piece;
	assert_null(fixture->dispatch.end); /* programs that have all memory can still record */
	assert_false(budget_charge(&fixture->budget, 1));
	void *more = take(fixture, COMMAND_POOL_BLOCK, 8);
	assert_non_null(more);
	assert_non_null(fixture->dispatch.end);
	assert_true(fixture->budget.used > LIMIT + BUDGET_RESERVE);
	give(fixture, more);
	for (; first; first = piece) {
		piece = *first;
		give(fixture, first);
	}
}

static void what_nobody_has_is_refused(void **state)
{
	struct fixture *fixture = *state;
	assert_null(take(fixture, SIZE_MAX, 8));
	assert_null(take(fixture, SIZE_MAX - COMMAND_POOL_BLOCK, 8));
	assert_null(take(fixture, (size_t)2 << 30, 8));
	assert_null(take(fixture, 8, COMMAND_POOL_BLOCK));
	assert_int_equal(fixture->budget.used, 0);
	assert_null(fixture->dispatch.end);
}

static void long_pieces_go_back_at_once(void **state)
{
	struct fixture *fixture = *state;
	for (size_t bytes = 1; bytes < LIMIT / 2; bytes = bytes * 3 + 1) {
		for (size_t align = 1; align <= COMMAND_POOL_BLOCK / 2; align *= 2) {
			unsigned char *piece = take(fixture, bytes, align);
			assert_true(piece && (uintptr_t)piece % align == 0);
			memset(piece, 1, bytes);
			give(fixture, piece);
		}
	}
	command_store_trim(&fixture->store);
	assert_int_equal(fixture->budget.used, COMMAND_POOL_BLOCK);
}

static void few_empty_blocks_are_kept(void **state)
{
	struct fixture *fixture = *state;
	enum { MANY = 2 * COMMAND_POOL_SPARES, EIGHTH = COMMAND_POOL_BLOCK / 8 };
	void *pieces[4 * MANY];
	fixture->budget.limit = (uint64_t)MANY * 2 * COMMAND_POOL_BLOCK;
	for (int i = 0; i < 4 * MANY; i++) {
		assert_non_null(pieces[i] = take(fixture, EIGHTH, 8));
	}
	for (int i = 0; i < 4 * MANY; i++) {
		give(fixture, pieces[i]);
	}
	assert_int_equal(fixture->budget.used, (COMMAND_POOL_SPARES + 1) * COMMAND_POOL_BLOCK);
}

#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, open_pool, close_pool)

int main(void)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(pieces_are_whole_whatever_comes_and_goes),
		POOL_TEST(what_is_recorded_again_lies_in_the_same_blocks),
		POOL_TEST(one_piece_that_stays_keeps_one_block),
		POOL_TEST(pools_pass_blocks_on),
		POOL_TEST(who_records_beyond_the_limit_is_ended),
		POOL_TEST(what_nobody_has_is_refused),
		POOL_TEST(long_pieces_go_back_at_once),
		POOL_TEST(few_empty_blocks_are_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
