/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget.h - bytes of memory that one context holds, and what it may hold with all others
 *
 * Threads: any.
 */
#ifndef ORIEL_VENUS_BUDGET_H
#define ORIEL_VENUS_BUDGET_H

#include "wire/ledger.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <pthread.h>

enum {
	BUDGET_RESERVE = 64 * 1024 * 1024, /* bytes beyond the limit, of all together, for what cannot be refused */
};

/* In messages. */
#define BUDGET_LIMIT "the limit of GPU memory (oriel run --gpu-memory, oriel-gpu --memory-limit)"

struct budget {
	pthread_mutex_t lock;
	_Atomic uint64_t used;	    /* changed under lock */
	_Atomic uint64_t inside;    /* of these, what lies in the server's own memory or in its GPU's */
	uint64_t limit;
	struct ledger *ledger;	    /* of all contexts, borrowed; NULL: there is no other */
	unsigned slot;		    /* of this one in the ledger */
	/* Gives back some of what is charged and not needed.  False if there is nothing.  No lock is held.  NULL: there never is. */
	bool (*make_room)(struct budget *budget);
};

void budget_init(struct budget *budget, uint64_t limit, bool (*make_room)(struct budget *budget));
/* From now on the limit is for all who share @ledger (borrowed).  Before anything is charged. */
void budget_join(struct budget *budget, struct ledger *ledger, unsigned slot);
void budget_finish(struct budget *budget);
/* True if @bytes were charged, false if that would pass the limit even when there is no more room to make. */
bool budget_charge(struct budget *budget, uint64_t bytes);
/* Charges @bytes of memory that is there in any case.  False if the limit and the reserve do not have them. */
bool budget_charge_anyway(struct budget *budget, uint64_t bytes);
void budget_release(struct budget *budget, uint64_t bytes);
/* What this context may hold, all it has included, while others keep what they have. */
uint64_t budget_share(const struct budget *budget);
/* Would @bytes fit if there were no others? */
bool budget_fits_alone(const struct budget *budget, uint64_t bytes);
/* Wait until @bytes fit, for as long as what was freed, by others too, may take to be given back. */
void budget_await_room(struct budget *budget, uint64_t bytes);

#endif
