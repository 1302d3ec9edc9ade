/* SPDX-License-Identifier: Apache-2.0 */
/* invalidate.c - see invalidate.h */
#include "engine/soft/invalidate.h"

#include "base/own.h"
#include "engine/soft/soft.h"

#include <sched.h>

void invalidate_init(struct invalidate_box *box)
{
	pthread_mutex_init(&box->lock, NULL);
}

void invalidate_finish(struct invalidate_box *box)
{
	pthread_mutex_destroy(&box->lock);
}

static void do_op(struct cpu *cpu, const struct invalidate_op *op)
{
	switch (op->kind) {
	case INVALIDATE_TLB: mmu_flush_all(cpu); break;
	case INVALIDATE_TLB_ASID: mmu_flush_asid(cpu, op->asid); break;
	case INVALIDATE_TLB_RANGE:
		mmu_flush_range(cpu, op->start, op->len, op->asid, op->any_asid);
		break;
	case INVALIDATE_WINDOW: mmu_flush_window(cpu, (const uint8_t *)(uintptr_t)op->start, op->len); break;
	case INVALIDATE_CODE_LINE: code_drop_line(cpu, op->start); break;
	case INVALIDATE_CODE: code_drop_all(cpu); break;
	}
}

static void add_line(struct invalidate_box *box, uint64_t gpa)
{
	uint64_t page = gpa & ~(uint64_t)(GUEST_PAGE - 1), bit = UINT64_C(1)
								 << (gpa % GUEST_PAGE / 64);
	struct invalidate_code *last = box->code_count ? &box->code[box->code_count - 1] : NULL;
	if (last && last->page == page) {
		last->lines |= bit;
	} else if (box->code_count < INVALIDATE_PAGES) {
		box->code[box->code_count++] = (struct invalidate_code){page, bit};
	} else {
		box->code_overflow = true;
	}
}

static void add_op(struct invalidate_box *box, const struct invalidate_op *op)
{
	if (op->kind == INVALIDATE_CODE_LINE) {
		add_line(box, op->start);
	} else if (op->kind == INVALIDATE_CODE) {
		box->code_overflow = true;
	} else if (box->count < INVALIDATE_BOX) {
		box->ops[box->count++] = *op;
	} else {
		box->overflow = true;
	}
}

/* A sleeper is left alone until its list of code gets long: what does not fit costs it all of its code. */
static void post(struct soft_vcpu *vcpu, const struct invalidate_op *op)
{
	struct invalidate_box *box = &vcpu->invalidate;
	bool long_list;
	{
		LOCKED(&box->lock);
		add_op(box, op);
		atomic_fetch_add(&box->posted, 1);
		long_list = box->code_count > INVALIDATE_PAGES / 2;
	}
	if (long_list) {
		run_request(&vcpu->cpu, RUN_WORK);
	} else {
		run_note(&vcpu->cpu, RUN_WORK);
	}
}

void invalidate_do(struct cpu *cpu, const struct invalidate_op *op, bool broadcast)
{
	struct soft_vcpu *self = cpu->vcpu;
	struct soft_engine *engine = self->engine;
	do_op(cpu, op);
	for (unsigned n = 0; broadcast && n < engine->vcpu_count; n++) {
		if (engine->vcpus[n] != self) {
			post(engine->vcpus[n], op);
			self->invalidate.waits = true;
		}
	}
}

void invalidate_post_all(struct soft_engine *engine, const struct invalidate_op *op)
{
	for (unsigned n = 0; n < engine->vcpu_count; n++) {
		post(engine->vcpus[n], op);
	}
}

static void drop_lines(struct cpu *cpu, const struct invalidate_code *code)
{
	for (uint64_t lines = code->lines; lines; lines &= lines - 1) {
		code_drop_line(cpu, code->page + (uint64_t)__builtin_ctzll(lines) * 64);
	}
}

static void work_on_code(struct cpu *cpu, struct invalidate_box *box)
{
	if (box->code_overflow) {
		code_drop_all(cpu);
	}
	for (unsigned n = 0; n < box->code_count && !box->code_overflow; n++) {
		drop_lines(cpu, &box->code[n]);
	}
	box->code_count = 0;
	box->code_overflow = false;
}

void invalidate_work(struct cpu *cpu)
{
	struct invalidate_box *box = &cpu->vcpu->invalidate;
	LOCKED(&box->lock);
	if (box->overflow) {
		mmu_flush_all(cpu);
	}
	for (unsigned n = 0; n < box->count && !box->overflow; n++) {
		do_op(cpu, &box->ops[n]);
	}
	box->count = 0;
	box->overflow = false;
	work_on_code(cpu, box);
	atomic_store(&box->done, atomic_load(&box->posted));
}

/* Waiting vCPUs empty their own boxes, so two that wait for each other both go on. */
static void wait_for(struct cpu *cpu, struct soft_vcpu *other)
{
	uint64_t target = atomic_load(&other->invalidate.posted);
	while (atomic_load(&other->running) && atomic_load(&other->invalidate.done) < target) {
		invalidate_work(cpu);
		sched_yield();
	}
}

void invalidate_wait(struct cpu *cpu)
{
	struct soft_vcpu *self = cpu->vcpu;
	if (!self->invalidate.waits) {
		return;
	}
	self->invalidate.waits = false;
	for (unsigned n = 0; n < self->engine->vcpu_count; n++) {
		if (self->engine->vcpus[n] != self) {
			wait_for(cpu, self->engine->vcpus[n]);
		}
	}
}
