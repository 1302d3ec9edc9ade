/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h - what the GPU servers of one VM hold together: a counter for each, in memory that all
 * of them map
 *
 * How it works: the parent (oriel; the listener of vtest) makes the ledger and gives each server a
 * slot.  A server stores in its own slot what it wants to have, and then reads the others': all in
 * one total order, so of two that race at least one sees both.  Who sees more than the limit takes
 * back what it stored (budget_charge()).  Nobody waits for another, and the slot of a server that
 * died is all there is to clear.  Slot 0 is the parent's own.
 *
 * Trust: whoever has the descriptor can write all of it.  So each process keeps its number itself
 * and stores it whole, which repairs it; the parent clears what is nobody's; and a sum saturates.
 * Threads: any for counters; slots are given and ended by one thread of the parent.
 */
#ifndef ORIEL_WIRE_LEDGER_H
#define ORIEL_WIRE_LEDGER_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdint.h>

enum { LEDGER_PARENT = 0, LEDGER_MAX_SLOTS = 8192 };

struct ledger {
	int fd;		/* a sealed memfd, or -1 if it is another's */
	unsigned slots; /* 0: none, all calls but ledger_create() and ledger_open() are harmless */
	_Atomic uint64_t *bytes; /* shared; one for each slot */
	uint32_t *owners;	 /* parent: whose a slot is, 0: nobody's */
};

/* Parent: a new one with @slots of servers beside the parent's own. */
int ledger_create(struct ledger *ledger, unsigned slots, struct error *err) MUST_CHECK;
/* A server's view of what its parent made; @fd is borrowed.  -EINVAL if that is no ledger, or there
 * is no @slot in it. */
int ledger_open(struct ledger *ledger, int fd, uint32_t slot) MUST_CHECK;
void ledger_finish(struct ledger *ledger);

/* Parent: a slot that is nobody's, or 0. */
unsigned ledger_find_free(const struct ledger *ledger);
/* Parent: the slot is @owner's (not 0) from here on. */
void ledger_give(struct ledger *ledger, unsigned slot, uint32_t owner);
/* Parent: @owner has ended, and nothing of what it had is left.  Its slot, or 0 if it had none. */
unsigned ledger_end(struct ledger *ledger, uint32_t owner);

/* A slot is its owner's to store. */
void ledger_store(struct ledger *ledger, unsigned slot, uint64_t bytes);
uint64_t ledger_load(const struct ledger *ledger, unsigned slot);
/* What all have but @slot; UINT64_MAX if it is more than that. */
uint64_t ledger_others(const struct ledger *ledger, unsigned slot);

#endif
