/* SPDX-License-Identifier: Apache-2.0 */
/*
 * invalidate.h - TLB and instruction cache maintenance that reaches other vCPUs
 *
 * How it works: each vCPU has a box of operations that others posted; its run loop does them before the next instruction after
 * RUN_WORK is seen.  DSB waits until every vCPU that may be using tables has done what this one posted.  A vCPU that sleeps or
 * is outside engine_run() needs no waiting and is not woken: it empties its box before it goes on.
 * Threads: invalidate_post_all() any; the rest on the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_INVALIDATE_H
#define ORIEL_ENGINE_SOFT_INVALIDATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cpu;
struct soft_engine;

enum invalidate_kind {
	INVALIDATE_TLB,	      /* everything */
	INVALIDATE_TLB_ASID,
	INVALIDATE_TLB_RANGE, /* @start, @len of @asid, or of all if @any_asid */
	INVALIDATE_WINDOW,    /* what lies at host address @start, @len, in the GPU window */
	INVALIDATE_CODE_LINE, /* the 64 bytes at physical @start */
	INVALIDATE_CODE,      /* everything */
};

struct invalidate_op {
	enum invalidate_kind kind;
	uint16_t asid;
	bool any_asid;
	uint64_t start, len;
};

enum { INVALIDATE_BOX = 64, INVALIDATE_PAGES = 1024 };

/* Lines of a page whose code changed: a bit for each 64 bytes. */
struct invalidate_code {
	uint64_t page, lines;
};

/* Kernels drop code line by line, page after page, while another vCPU may sleep for long: code has a list of its own. */
struct invalidate_box {
	pthread_mutex_t lock;
	struct invalidate_op ops[INVALIDATE_BOX]; /* of TLBs */
	struct invalidate_code code[INVALIDATE_PAGES];
	unsigned count, code_count;
	bool overflow, code_overflow; /* some were lost: all translations, or all code, have to go */
	_Atomic uint64_t posted, done; /* sequence numbers */
	bool waits; /* own vCPU thread only: something was posted to others since the last DSB */
};

/* Of a vCPU that does not run. */
void invalidate_init(struct invalidate_box *box);
void invalidate_finish(struct invalidate_box *box);
/* Do @op on this vCPU now, and if @broadcast post it to the others. */
void invalidate_do(struct cpu *cpu, const struct invalidate_op *op, bool broadcast);
/* Post @op to every vCPU.  Any thread; does not wait. */
void invalidate_post_all(struct soft_engine *engine, const struct invalidate_op *op);
/* RUN_WORK: do what others posted. */
void invalidate_work(struct cpu *cpu);
/* DSB: wait for the others to do what this vCPU posted. */
void invalidate_wait(struct cpu *cpu);

#endif
