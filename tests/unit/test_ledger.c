/* SPDX-License-Identifier: Apache-2.0 */
/* test_ledger.c - one limit for several servers: the ledger, and budgets that share it */
#include "unit.h"

#include "venus/pages.h"
#include "venus/resource.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KIB = 1024, LIMIT = 64 * KIB, ROUNDS = 500000 };

/* A ledger of two servers, and a shelf with a budget for each. */
struct two {
	struct ledger ledger;
	struct shelf a, b;
	_Atomic uint64_t *truth; /* shared with children: what is charged now */
};

static int open_two(void **state)
{
	struct two *two = calloc(1, sizeof(*two));
	struct error err;
	*state = two;
	two->truth = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(two->truth != MAP_FAILED);
	assert_int_equal(ledger_create(&two->ledger, 2, &err), 0);
	ledger_give(&two->ledger, 1, 101);
	ledger_give(&two->ledger, 2, 102);
	shelf_init(&two->a, LIMIT);
	shelf_init(&two->b, LIMIT);
	budget_join(&two->a.budget, &two->ledger, 1);
	budget_join(&two->b.budget, &two->ledger, 2);
	return 0;
}

static int close_two(void **state)
{
	struct two *two = *state;
	shelf_finish(&two->a);
	shelf_finish(&two->b);
	ledger_finish(&two->ledger);
	munmap((void *)two->truth, 4096);
	free(two);
	return 0;
}

static void slots_are_given_and_cleared_at_their_owners_end(void **state)
{
	struct ledger *ledger = &((struct two *)*state)->ledger;
	assert_int_equal(ledger_find_free(ledger), 0);
	ledger_store(ledger, 1, 5);
	ledger_store(ledger, 2, 7);
	ledger_store(ledger, LEDGER_PARENT, 1);
	assert_int_equal(ledger_others(ledger, 1), 8);
	assert_int_equal(ledger_end(ledger, 999), 0);
	assert_int_equal(ledger_end(ledger, 101), 1);
	assert_int_equal(ledger_find_free(ledger), 1);
	assert_int_equal(ledger_load(ledger, 1), 0);
	assert_int_equal(ledger_others(ledger, LEDGER_PARENT), 7);
	/* What a hostile server wrote into a slot of nobody's goes with the next that ends. */
	ledger_store(ledger, 1, UINT64_MAX);
	assert_true(ledger_others(ledger, 3) == UINT64_MAX);
	assert_int_equal(ledger_end(ledger, 102), 2);
	assert_int_equal(ledger_others(ledger, LEDGER_PARENT), 0);
}

static void a_server_opens_only_what_is_a_ledger(void **state)
{
	struct two *two = *state;
	struct ledger view;
	int open = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(open, 4096), 0);
	assert_int_equal(ledger_open(&view, open, 1), -EINVAL);
	assert_int_equal(ledger_open(&view, -1, 1), -EINVAL);
	assert_int_equal(ledger_open(&view, two->ledger.fd, LEDGER_PARENT), -EINVAL);
	assert_int_equal(ledger_open(&view, two->ledger.fd, 3), -EINVAL);
	assert_int_equal(ftruncate(open, 1 << 20), 0);
	assert_int_equal(fcntl(open, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(ledger_open(&view, open, 1), -EINVAL); /* too many slots */
	assert_int_equal(ledger_open(&view, two->ledger.fd, 2), 0);
	ledger_store(&view, 2, 77);
	assert_int_equal(ledger_load(&two->ledger, 2), 77);
	ledger_finish(&view);
	ledger_finish(&view);
	close(open);
}

static void two_budgets_have_one_limit(void **state)
{
	struct two *two = *state;
	struct pages *mine, *others;
	assert_int_equal(pages_create(&mine, &two->a, 40 * KIB), 0);
	assert_int_equal(budget_share(&two->b.budget), 24 * KIB);
	assert_int_equal(budget_share(&two->a.budget), LIMIT);
	assert_int_equal(pages_count(&others, &two->b, 25 * KIB), -EDQUOT);
	assert_int_equal(pages_count(&others, &two->b, UINT64_MAX), -EDQUOT);
	assert_true(budget_fits_alone(&two->b.budget, LIMIT) && !budget_fits_alone(&two->b.budget, LIMIT + 1));
	assert_int_equal(pages_count(&others, &two->b, 24 * KIB), 0);
	assert_false(budget_charge(&two->a.budget, 1));
	assert_int_equal(ledger_others(&two->ledger, LEDGER_PARENT), LIMIT);
	pages_put(mine);
	assert_int_equal(budget_share(&two->b.budget), LIMIT);
	pages_put(others);
	assert_int_equal(ledger_others(&two->ledger, LEDGER_PARENT), 0);
}

static void *leave_soon(void *opaque)
{
	usleep(20000);
	pages_put(opaque);
	return NULL;
}

static void who_waits_gets_what_others_give_back(void **state)
{
	struct two *two = *state;
	struct pages *mine;
	pthread_t thread;
	assert_int_equal(pages_create(&mine, &two->a, 40 * KIB), 0);
	assert_int_equal(pthread_create(&thread, NULL, leave_soon, mine), 0);
	budget_await_room(&two->b.budget, 40 * KIB);
	assert_true(budget_charge(&two->b.budget, 40 * KIB));
	assert_int_equal(pthread_join(thread, NULL), 0);
	budget_await_room(&two->a.budget, 40 * KIB); /* not for ever */
	assert_false(budget_charge(&two->a.budget, 40 * KIB));
	budget_release(&two->b.budget, 40 * KIB);
}

/* Each stores what it knows of itself. */
static void a_counter_that_another_wrote_into_is_repaired_by_its_owner(void **state)
{
	struct two *two = *state;
	assert_true(budget_charge(&two->a.budget, KIB));
	ledger_store(&two->ledger, 1, UINT64_MAX);
	assert_false(budget_charge(&two->b.budget, KIB));
	assert_true(budget_charge(&two->a.budget, KIB)); /* our own is not looked up */
	assert_int_equal(ledger_load(&two->ledger, 1), 2 * KIB);
	assert_true(budget_charge(&two->b.budget, KIB));
	budget_release(&two->b.budget, KIB);
	budget_release(&two->a.budget, 2 * KIB);
}

/* Charges and releases at random; true if what all had was never above the limit. */
static bool race(struct two *two, struct budget *budget, unsigned *served)
{
	unsigned seed = 1;
	bool kept = true;
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t bytes = (uint64_t)(rand_r(&seed) % 60 + 1) * KIB;
		if (budget_charge(budget, bytes)) {
			kept = kept && atomic_fetch_add(two->truth, bytes) + bytes <= LIMIT;
			++*served;
			atomic_fetch_sub(two->truth, bytes);
			budget_release(budget, bytes);
		}
	}
	return kept;
}

static void processes_that_race_never_pass_the_limit(void **state)
{
	struct two *two = *state;
	unsigned served = 0;
	pid_t child = fork();
	if (child == 0) {
		_exit(race(two, &two->b.budget, &served) && served ? 0 : 1);
	}
	int status;
	bool kept = race(two, &two->a.budget, &served);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(kept && served && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(ledger_others(&two->ledger, LEDGER_PARENT), 0);
}

static void what_does_not_fit_disturbs_nobody(void **state)
{
	struct two *two = *state;
	pid_t child = fork();
	if (child == 0) {
		bool refused = budget_charge(&two->b.budget, KIB);
		for (int i = 0; i < ROUNDS; i++) {
			refused = refused && !budget_charge(&two->b.budget, LIMIT);
		}
		_exit(refused ? 0 : 1);
	}
	int status;
	bool served = true;
	while (waitpid(child, &status, WNOHANG) == 0) {
		served = served && budget_charge(&two->a.budget, 60 * KIB);
		budget_release(&two->a.budget, 60 * KIB);
	}
	assert_true(served && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void the_charge_of_a_killed_process_returns(void **state)
{
	struct two *two = *state;
	pid_t child = fork();
	if (child == 0) {
		atomic_store(two->truth, budget_charge(&two->b.budget, 60 * KIB));
		pause();
	}
	while (!atomic_load(two->truth)) {
		usleep(1000);
	}
	assert_false(budget_charge(&two->a.budget, 8 * KIB));
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_false(budget_charge(&two->a.budget, 8 * KIB)); /* its parent has not heard of it */
	assert_int_equal(ledger_end(&two->ledger, 102), 2);
	assert_true(budget_charge(&two->a.budget, LIMIT));
	budget_release(&two->a.budget, LIMIT);
}

/* Memory of another context is its maker's while there is a resource, then whose who still has it.
 */
static void memory_that_outlives_its_resource_is_its_users(void **state)
{
	struct two *two = *state;
	struct resource_table table;
	struct resource_view view;
	struct pages *made, *pages;
	assert_int_equal(pages_create(&made, &two->a, 16 * KIB), 0);
	resource_table_init(&table, 4, &two->b);
	for (uint32_t id = 5; id <= 6; id++) {
		assert_int_equal(pages_adopt(&pages, dup(made->fd), 16 * KIB), 0);
		assert_int_equal(resource_add(&table, id, RESOURCE_FOREIGN, pages, 16 * KIB), 0);
	}
	assert_true(resource_find(&table, 5, &view)); /* as a VkDeviceMemory holds it */
	assert_int_equal(two->b.budget.used, 0);
	assert_int_equal(resource_remove(&table, 6), 0); /* nobody has it */
	assert_int_equal(two->b.budget.used, 0);
	assert_int_equal(resource_remove(&table, 5), 0);
	assert_int_equal(two->b.budget.used, 16 * KIB);
	pages_put(made);
	assert_int_equal(ledger_others(&two->ledger, LEDGER_PARENT), 16 * KIB);
	pages_leave(view.pages);
	assert_int_equal(pages_create_dirty(&pages, &two->b, 16 * KIB), 0);
	assert_ptr_not_equal(pages, view.pages); /* another may look at those */
	pages_put(pages);
	while (two->b.budget.make_room(&two->b.budget)) {
	}
	assert_int_equal(ledger_others(&two->ledger, LEDGER_PARENT), 0);
	resource_table_finish(&table);
}

int main(void)
{
#define TWO(name) cmocka_unit_test_setup_teardown(name, open_two, close_two)
	const struct CMUnitTest tests[] = {
		TWO(slots_are_given_and_cleared_at_their_owners_end),
		TWO(a_server_opens_only_what_is_a_ledger),
		TWO(two_budgets_have_one_limit),
		TWO(who_waits_gets_what_others_give_back),
		TWO(a_counter_that_another_wrote_into_is_repaired_by_its_owner),
		TWO(processes_that_race_never_pass_the_limit),
		TWO(what_does_not_fit_disturbs_nobody),
		TWO(the_charge_of_a_killed_process_returns),
		TWO(memory_that_outlives_its_resource_is_its_users),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
