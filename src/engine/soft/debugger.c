/* SPDX-License-Identifier: Apache-2.0 */
/* debugger.c - see debugger.h */
#include "engine/soft/debugger.h"

#include "engine/soft/exception.h"
#include "engine/soft/soft.h"

#include <string.h>

/* Addresses are compared without tag. */
#define ADDRESS_BITS ((UINT64_C(1) << 56) - 1)
#define PSTATE_NZCV  (UINT64_C(0xf) << 28)
#define PSTATE_DAIF  (UINT64_C(0xf) << 6)

/* Bytes from @from on to @to. */
static uint64_t distance(uint64_t from, uint64_t to)
{
	return (to - from) & ADDRESS_BITS;
}

static bool overlaps(const struct engine_point *point, uint64_t va, uint64_t size)
{
	uint64_t len = point->kind == ENGINE_POINT_BREAK ? 1 : point->len;
	return distance(va, point->address) < size || distance(point->address, va) < len;
}

static bool withholds(const struct cpu *cpu, uint64_t va, bool code)
{
	const struct debugger *debugger = &cpu->vcpu->engine->debugger;
	for (unsigned n = 0; n < debugger->count; n++) {
		const struct engine_point *point = &debugger->points[n];
		if ((point->kind == ENGINE_POINT_BREAK) == code &&
		    overlaps(point, va & ~(uint64_t)(GUEST_PAGE - 1), GUEST_PAGE)) {
			return true;
		}
	}
	return false;
}

bool debugger_withholds_code(const struct cpu *cpu, uint64_t va)
{
	return withholds(cpu, va, true);
}

bool debugger_withholds_data(const struct cpu *cpu, uint64_t va)
{
	return withholds(cpu, va, false);
}

bool debugger_is_active(const struct cpu *cpu)
{
	return cpu->vcpu->debugger.step || debugger_withholds_code(cpu, cpu->pc);
}

static void stop(struct cpu *cpu, const struct engine_stop *why)
{
	struct debugger_vcpu *self = &cpu->vcpu->debugger;
	self->stop = *why;
	self->step = false;
	/* Interrupts may have come that a step did not look at. */
	atomic_fetch_or(&cpu->pending, RUN_KICK | RUN_IRQ);
}

bool debugger_stops(struct cpu *cpu)
{
	const struct debugger *debugger = &cpu->vcpu->engine->debugger;
	for (unsigned n = 0; n < debugger->count && !cpu->vcpu->debugger.step; n++) {
		const struct engine_point *point = &debugger->points[n];
		if (point->kind == ENGINE_POINT_BREAK && !distance(point->address, cpu->pc)) {
			stop(cpu, &(struct engine_stop){.why = ENGINE_STOP_POINT, .point = *point});
			return true;
		}
	}
	return false;
}

void debugger_stepped(struct cpu *cpu)
{
	if (cpu->vcpu->debugger.step) {
		stop(cpu, &(struct engine_stop){.why = ENGINE_STOP_STEP});
	}
}

const struct engine_point *debugger_find_watched(const struct cpu *cpu, uint64_t va, unsigned size,
						 bool write, uint64_t *first)
{
	const struct debugger *debugger = &cpu->vcpu->engine->debugger;
	for (unsigned n = 0; n < debugger->count; n++) {
		const struct engine_point *point = &debugger->points[n];
		if (point->kind == ENGINE_POINT_ACCESS ||
		    point->kind == (write ? ENGINE_POINT_WRITE : ENGINE_POINT_READ)) {
			if (overlaps(point, va, size)) {
				*first = distance(va, point->address) < size ? point->address : va;
				return point;
			}
		}
	}
	return NULL;
}

void debugger_stop_at_access(struct cpu *cpu, const struct insn *i,
			     const struct engine_point *point, uint64_t address)
{
	stop(cpu,
	     &(struct engine_stop){.why = ENGINE_STOP_POINT, .point = *point, .address = address});
	cpu->pc = insn_pc(cpu, i);
	cpu->next = NULL;
}

/* ----- what engine.h offers ----- */

static struct engine_point *find_point(struct debugger *debugger, const struct engine_point *point)
{
	for (unsigned n = 0; n < debugger->count; n++) {
		struct engine_point *p = &debugger->points[n];
		if (p->kind == point->kind && p->address == point->address &&
		    (p->kind == ENGINE_POINT_BREAK || p->len == point->len)) {
			return p;
		}
	}
	return NULL;
}

static int set_point(struct engine *base, const struct engine_point *point, bool on)
{
	struct soft_engine *engine = soft_engine(base);
	struct debugger *debugger = &engine->debugger;
	if (!point) {
		debugger->count = 0;
		return 0;
	}
	struct engine_point *known = find_point(debugger, point);
	if (!on) {
		if (known) {
			*known = debugger->points[--debugger->count];
		}
		return known ? 0 : -ENOENT;
	}
	if (point->kind != ENGINE_POINT_BREAK && (!point->len || point->len > ADDRESS_BITS)) {
		return -EINVAL;
	}
	if (!known && debugger->count == DEBUGGER_POINTS) {
		return -ENOSPC;
	}
	if (!known) {
		debugger->points[debugger->count++] = *point;
		const struct invalidate_op op = {.kind = INVALIDATE_TLB};
		invalidate_post_all(engine, &op);
	}
	return 0;
}

static void resume(struct engine_vcpu *base, bool step)
{
	struct soft_vcpu *vcpu = soft_vcpu(base);
	vcpu->debugger.stop.why = ENGINE_STOP_NONE;
	vcpu->debugger.step = step;
	if (step) {
		atomic_fetch_and(&vcpu->cpu.pending,
				 ~(unsigned)RUN_WFI); /* it may end at any time */
	}
}

static struct engine_stop get_stop(struct engine_vcpu *vcpu)
{
	return soft_vcpu(vcpu)->debugger.stop;
}

static void registers(struct engine_vcpu *vcpu, struct engine_registers *r)
{
	const struct cpu *cpu = &soft_vcpu(vcpu)->cpu;
	memcpy(r->x, cpu->x, sizeof(r->x));
	r->sp = cpu->x[CPU_SP];
	r->pc = cpu->pc;
	r->pstate = exception_pstate(cpu);
	for (unsigned n = 0; n < 32; n++) {
		r->v[n] = cpu->v[n].q;
	}
	r->fpcr = cpu->fpcr;
	r->fpsr = cpu->fpsr;
}

static bool set_registers(struct engine_vcpu *base, const struct engine_registers *r)
{
	struct soft_vcpu *vcpu = soft_vcpu(base);
	struct cpu *cpu = &vcpu->cpu;
	if ((r->pstate ^ exception_pstate(cpu)) & ~(PSTATE_NZCV | PSTATE_DAIF)) {
		return false;
	}
	memcpy(cpu->x, r->x, sizeof(r->x));
	cpu->x[CPU_SP] = r->sp;
	if (cpu->pc != r->pc) {
		atomic_fetch_and(&cpu->pending, ~(unsigned)RUN_WFI);
		cpu->btype = 0;
	}
	cpu->pc = r->pc;
	cpu->nzcv = (uint32_t)(r->pstate & PSTATE_NZCV);
	cpu->daif = (uint32_t)(r->pstate & PSTATE_DAIF);
	for (unsigned n = 0; n < 32; n++) {
		cpu->v[n].q = r->v[n];
	}
	cpu->fpcr = r->fpcr;
	cpu->fpsr = r->fpsr;
	exception_update_step(cpu);
	atomic_fetch_or(&cpu->pending, RUN_IRQ);
	return true;
}

/* Code that lies there changed without the guest's IC. */
static void drop_code(struct soft_engine *engine, uint64_t gpa, size_t len)
{
	for (uint64_t line = gpa & ~UINT64_C(63); line < gpa + len; line += 64) {
		const struct invalidate_op op = {.kind = INVALIDATE_CODE_LINE, .start = line};
		invalidate_post_all(engine, &op);
	}
}

/* Bytes of one page, 0 if they are not memory. */
static size_t access_page(struct soft_vcpu *vcpu, uint64_t va, void *buffer, size_t len, bool write)
{
	struct mmu_page page;
	uint8_t *hva;
	size_t here = GUEST_PAGE - va % GUEST_PAGE;
	here = here < len ? here : len;
	if (mmu_walk(&vcpu->cpu, va, MMU_EL1, MMU_READ, false, false, &page) != MMU_OK) {
		return 0;
	}
	enum memory_kind kind = memory_find(&vcpu->engine->memory, page.pa, &hva);
	if (kind == MEMORY_DEVICE || kind == MEMORY_WINDOW_GAP || (write && kind == MEMORY_ROM)) {
		return 0;
	}
	memcpy(write ? hva : buffer, write ? buffer : hva, here);
	if (write) {
		drop_code(vcpu->engine, page.pa, here);
	}
	return here;
}

static size_t access_memory(struct engine_vcpu *vcpu, uint64_t va, void *buffer, size_t len,
			    bool write)
{
	size_t done = 0, here = 1;
	while (done < len && here) {
		here = access_page(soft_vcpu(vcpu), va + done, (uint8_t *)buffer + done, len - done,
				   write);
		done += here;
	}
	return done;
}

const struct engine_debug_ops debugger_ops = {
	.set_point = set_point,
	.resume = resume,
	.stop = get_stop,
	.registers = registers,
	.set_registers = set_registers,
	.memory = access_memory,
};
