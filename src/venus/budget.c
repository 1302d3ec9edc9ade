/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget.c - bytes of memory that one context holds
 * Threads: any.
 */
#include "venus/budget.h"

#include "base/own.h"

#include <sched.h>
#include <time.h>

enum {
	BUDGET_PATIENCE_MS = 250, /* others let pages rest for 100, and their guests' kernels take their time */
	BUDGET_TRIES = 64,	  /* against others that want the same bytes at the same time */
};

/* What others leave of @most. */
static uint64_t budget_share_of(const struct budget *budget, uint64_t most)
{
	uint64_t others = budget->ledger ? ledger_others(budget->ledger, budget->slot) : 0;
	return others < most ? most - others : 0;
}

uint64_t budget_share(const struct budget *budget)
{
	return budget_share_of(budget, budget->limit);
}

/* Locked. */
static void budget_set(struct budget *budget, uint64_t used)
{
	atomic_store_explicit(&budget->used, used, memory_order_relaxed);
	if (budget->ledger) {
		ledger_store(budget->ledger, budget->slot, used);
	}
}

/* Others may store theirs between our look and our store, so we look again; what does not fit at first disturbs nobody. */
static bool budget_take(struct budget *budget, uint64_t bytes, uint64_t most)
{
	LOCKED(&budget->lock);
	uint64_t before = budget->used, after;
	if (__builtin_add_overflow(before, bytes, &after)) {
		return false;
	}
	for (int i = 0; i < BUDGET_TRIES && after <= budget_share_of(budget, most); i++) {
		budget_set(budget, after);
		if (!budget->ledger || after <= budget_share_of(budget, most)) {
			return true;
		}
		budget_set(budget, before);
		sched_yield();
	}
	return false;
}

static bool budget_make_room(struct budget *budget)
{
	return budget->make_room && budget->make_room(budget);
}

/* So that all together have @most. */
static bool budget_charge_to(struct budget *budget, uint64_t bytes, uint64_t most)
{
	while (!budget_take(budget, bytes, most)) {
		if (bytes > budget_share_of(budget, most) || !budget_make_room(budget)) {
			return false;
		}
	}
	return true;
}

bool budget_charge(struct budget *budget, uint64_t bytes)
{
	return budget_charge_to(budget, bytes, budget->limit);
}

bool budget_charge_anyway(struct budget *budget, uint64_t bytes)
{
	uint64_t most;
	if (__builtin_add_overflow(budget->limit, (uint64_t)BUDGET_RESERVE, &most)) {
		most = UINT64_MAX;
	}
	if (budget_charge_to(budget, bytes, most)) {
		return true;
	}
	LOCKED(&budget->lock);
	budget_set(budget, budget->used + bytes);
	return false;
}

/* Would all be within @most? */
static bool budget_is_within(const struct budget *budget, uint64_t bytes, uint64_t most)
{
	uint64_t after;
	return !__builtin_add_overflow(budget->used, bytes, &after) && after <= most;
}

bool budget_fits_alone(const struct budget *budget, uint64_t bytes)
{
	return budget_is_within(budget, bytes, budget->limit);
}

void budget_await_room(struct budget *budget, uint64_t bytes)
{
	for (int i = 0; bytes <= budget->limit && i < BUDGET_PATIENCE_MS &&
			!budget_is_within(budget, bytes, budget_share(budget));
	     i++) {
		if (!budget_make_room(budget)) {
			nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
		}
	}
}

void budget_release(struct budget *budget, uint64_t bytes)
{
	LOCKED(&budget->lock);
	budget_set(budget, budget->used - bytes);
}

void budget_init(struct budget *budget, uint64_t limit, bool (*make_room)(struct budget *budget))
{
	*budget = (struct budget){.limit = limit, .make_room = make_room};
	pthread_mutex_init(&budget->lock, NULL);
}

void budget_join(struct budget *budget, struct ledger *ledger, unsigned slot)
{
	budget->ledger = ledger;
	budget->slot = slot;
}

void budget_finish(struct budget *budget)
{
	pthread_mutex_destroy(&budget->lock);
}
