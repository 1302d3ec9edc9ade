/* SPDX-License-Identifier: Apache-2.0 */
/* flat.c - see flat.h */
#include "flat.h"

#include "a64/a64.h"
#include "engine/soft/decode.h"
#include "engine/soft/exception.h"
#include "engine/soft/mem.h"
#include "engine/soft/run.h"
#include "engine/soft/sysreg.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { STOPPED_UNDEFINED = 4, STOPPED_TRAP = 5, STOPPED_FAULT = 11, STOPPED_END = 0x1000 };

enum { CODE_PAGES = DIFF_CODE_BYTES / GUEST_PAGE, MEMORY_BYTES = 8192 };

struct flat {
	struct cpu cpu; /* first: handlers get its address */
	struct sysregs sys;
	uint64_t stopped, stopped_at;
	struct tlb_entry tlb[TLB_ENTRIES];
	struct exec_entry exec[EXEC_ENTRIES];
	struct insn insns[CODE_PAGES][PAGE_INSNS + 1];
	_Alignas(GUEST_PAGE) uint8_t memory[MEMORY_BYTES];
	_Alignas(GUEST_PAGE) uint8_t code[DIFF_CODE_BYTES];
};

static struct flat *flat_of(struct cpu *cpu)
{
	return (struct flat *)cpu;
}

static void stop(struct cpu *cpu, const struct insn *i, uint64_t why)
{
	flat_of(cpu)->stopped = why;
	flat_of(cpu)->stopped_at = insn_pc(cpu, i);
	cpu->pc = insn_pc(cpu, i);
}

/* What the handlers need of the engine. */
void cpu_exception(struct cpu *cpu, const struct insn *i, unsigned ec, uint32_t iss)
{
	stop(cpu, i, STOPPED_TRAP);
}

void cpu_undefined(struct cpu *cpu, const struct insn *i)
{
	stop(cpu, i, STOPPED_UNDEFINED);
}

bool cpu_fp_trap(struct cpu *cpu, const struct insn *i)
{
	stop(cpu, i, STOPPED_TRAP);
	return false;
}

static void *flat_host(struct cpu *cpu, uint64_t va, unsigned size)
{
	struct flat *flat = flat_of(cpu);
	if (va >= DIFF_MEMORY && va + size <= DIFF_MEMORY + MEMORY_BYTES) {
		return flat->memory + (va - DIFF_MEMORY);
	}
	if (va >= DIFF_CODE && va + size <= DIFF_CODE + DIFF_CODE_BYTES) {
		return flat->code + (va - DIFF_CODE);
	}
	return NULL;
}

bool mem_slow_read(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size, unsigned flags)
{
	void *p = flat_host(cpu, va, size);
	if (!p || ((flags & MEM_ALIGNED) && va % size)) {
		stop(cpu, i, STOPPED_FAULT);
		return false;
	}
	cpu->result[0] = cpu->result[1] = 0;
	memcpy(cpu->result, p, size);
	return true;
}

bool mem_slow_write(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size, unsigned flags,
		    uint64_t low, uint64_t high)
{
	void *p = flat_host(cpu, va, size);
	uint64_t value[2] = { low, high };
	if (!p || ((flags & MEM_ALIGNED) && va % size)) {
		stop(cpu, i, STOPPED_FAULT);
		return false;
	}
	memcpy(p, value, size);
	return true;
}

void *mem_slow_pointer(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size, unsigned flags)
{
	void *p = flat_host(cpu, va, size);
	if (!p || va % size) {
		stop(cpu, i, STOPPED_FAULT);
		return NULL;
	}
	return p;
}

bool mem_probe_slow(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size, bool write)
{
	if (!flat_host(cpu, va, size)) {
		stop(cpu, i, STOPPED_FAULT);
		return false;
	}
	return true;
}

bool mem_slow_bytes(struct cpu *cpu, const struct insn *i, uint64_t va, bool backwards, unsigned flags,
		    uint8_t **host, uint64_t *size)
{
	*host = flat_host(cpu, va, 1);
	if (!*host) {
		stop(cpu, i, STOPPED_FAULT);
	}
	return *host != NULL;
}

bool mem_sp_fault(struct cpu *cpu, const struct insn *i)
{
	return false;
}

bool run_is_guarded(struct cpu *cpu)
{
	return false;
}

static void clear_fpsr(struct cpu *cpu, const struct insn *i)
{
	cpu->fpsr = 0;
	NEXT(cpu, i);
}

void sysreg_decode(struct cpu *cpu, struct insn *i)
{
	i->rd = CPU_ZR;
	i->fn = i->raw == DIFF_CLEAR_FPSR ? clear_fpsr : cpu_undefined;
}

void exception_return(struct cpu *cpu, const struct insn *i, uint64_t target)
{
	stop(cpu, i, STOPPED_TRAP);
}

#define TRAPS(name)                                                                                \
	void name(struct cpu *cpu, const struct insn *i)                                           \
	{                                                                                          \
		stop(cpu, i, STOPPED_TRAP);                                                        \
	}
TRAPS(exception_op_svc)
TRAPS(exception_op_hvc)
TRAPS(exception_op_smc)
TRAPS(exception_op_brk)
TRAPS(exception_op_hlt)
TRAPS(exception_op_eret)

#define DOES_NOTHING(name)                                                                         \
	void name(struct cpu *cpu, const struct insn *i)                                           \
	{                                                                                          \
		LEAVE(cpu, i);                                                                     \
	}
DOES_NOTHING(run_op_wfi)
DOES_NOTHING(run_op_wfe)
DOES_NOTHING(run_op_yield)
DOES_NOTHING(run_op_sev)
DOES_NOTHING(run_op_sevl)
DOES_NOTHING(run_op_isb)
DOES_NOTHING(run_op_dsb)

/* End of the stream. */
static void end_of_stream(struct cpu *cpu, const struct insn *i)
{
	stop(cpu, i, STOPPED_END);
}

/* End of a page. */
static void next_page(struct cpu *cpu, const struct insn *i)
{
	cpu->pc = cpu->block_pc + GUEST_PAGE;
}

/* The host address that goes with every page: two entries of the table for the window, two for the code. */
static void map_page(struct flat *flat, uint64_t va, uint8_t *host)
{
	struct tlb_entry *e = mem_entry(flat->tlb, va);
	assert(e->read == TLB_NONE);
	e->read = e->write = va;
	e->addend = (uintptr_t)host - va;
}

/* ID registers that show everything. */
static void show_all_features(struct sysregs *sys)
{
	for (unsigned f = A64_FEATURE_BASE + 1; f < A64_FEATURES; f++) {
		const struct a64_feature_info *info = &a64_feature_infos[f];
		uint64_t *const registers[A64_IDS] = { &sys->pfr0, &sys->pfr1, &sys->isar0, &sys->isar1,
						       &sys->isar2, &sys->mmfr0, &sys->mmfr1, &sys->mmfr2 };
		uint64_t *value = registers[info->id];
		if ((*value >> info->low & 0xf) < info->minimum) {
			*value &= ~(0xfull << info->low);
			*value |= (uint64_t)info->minimum << info->low;
		}
	}
	sys->pfr1 = 0; /* no BTYPE here */
}

struct flat *flat_create(void)
{
	struct flat *flat = aligned_alloc(GUEST_PAGE, (sizeof(struct flat) + GUEST_PAGE - 1) & ~(size_t)4095);
	if (!flat) {
		return NULL;
	}
	memset(flat, 0, sizeof(*flat));
	for (unsigned n = 0; n < TLB_ENTRIES; n++) {
		flat->tlb[n].read = flat->tlb[n].write = TLB_NONE;
	}
	for (unsigned n = 0; n < EXEC_ENTRIES; n++) {
		flat->exec[n].tag = TLB_NONE;
	}
	for (unsigned page = 0; page < 2; page++) {
		uint64_t offset = page * GUEST_PAGE;
		map_page(flat, DIFF_MEMORY + offset, flat->memory + offset);
		/* Code goes through the slow path. */
		struct exec_entry *e = run_exec_slot(flat->exec, DIFF_CODE + offset);
		e->tag = DIFF_CODE + offset;
		e->insns = flat->insns[page];
		flat->insns[page][PAGE_INSNS].fn = next_page;
	}
	show_all_features(&flat->sys);
	return flat;
}

void flat_destroy(struct flat *flat)
{
	free(flat);
}

struct sysregs *flat_sysregs(struct flat *flat)
{
	return &flat->sys;
}

static void load_code(struct flat *flat, const struct diff_case *c)
{
	memcpy(flat->code + c->code_offset, c->insns, c->count * 4);
	memset(flat->code + c->code_offset + c->count * 4, 0, 4); /* UDF: stops translated code */
	for (unsigned n = 0; n <= c->count; n++) {
		unsigned offset = c->code_offset + n * 4;
		struct insn *i = &flat->insns[offset / GUEST_PAGE][offset % GUEST_PAGE / 4];
		i->raw = n < c->count ? c->insns[n] : 0;
		i->offset = (uint16_t)(offset % GUEST_PAGE);
		if (n + 1 < c->count && offset % 64 != 60) {
			decode_pair(&flat->cpu, i, c->insns[n + 1]);
		} else if (n < c->count) {
			decode_insn(&flat->cpu, i);
		} else {
			i->fn = end_of_stream;
		}
	}
}

static void load_state(struct flat *flat, const struct diff_case *c)
{
	struct cpu *cpu = &flat->cpu;
	memset(cpu, 0, sizeof(*cpu));
	cpu->sys = &flat->sys;
	cpu->tlb = cpu->tlb_user = flat->tlb;
	cpu->exec = flat->exec;
	memcpy(cpu->x, c->start.x, sizeof(c->start.x));
	cpu->x[CPU_SP] = c->start.sp;
	memcpy(cpu->v, c->start.v, sizeof(c->start.v));
	cpu->nzcv = (uint32_t)c->start.nzcv;
	cpu->fpcr = (uint32_t)c->start.fpcr;
	cpu->fpsr = (uint32_t)c->start.fpsr;
	memcpy(flat->memory + (DIFF_WINDOW - DIFF_MEMORY), c->start.memory, DIFF_WINDOW_BYTES);
	flat->stopped = 0;
	cpu->pc = DIFF_CODE + c->code_offset;
}

struct cpu *flat_load(struct flat *flat, const struct diff_case *c)
{
	load_state(flat, c);
	load_code(flat, c);
	return &flat->cpu;
}

const uint8_t *flat_code(const struct flat *flat)
{
	return flat->code;
}

bool flat_has_stopped(const struct flat *flat)
{
	return flat->stopped;
}

void flat_store(struct flat *flat, const struct diff_case *c, struct diff_state *result)
{
	struct cpu *cpu = &flat->cpu;
	uint64_t end = DIFF_CODE + c->code_offset + c->count * 4;
	assert(cpu->x[CPU_ZR] == 0);
	memcpy(result->x, cpu->x, sizeof(result->x));
	result->sp = cpu->x[CPU_SP];
	memcpy(result->v, cpu->v, sizeof(result->v));
	result->nzcv = cpu->nzcv;
	result->fpcr = cpu->fpcr;
	result->fpsr = cpu->fpsr;
	memcpy(result->memory, flat->memory + (DIFF_WINDOW - DIFF_MEMORY), DIFF_WINDOW_BYTES);
	bool ended = flat->stopped == STOPPED_END || (flat->stopped && flat->stopped_at == end);
	result->stopped = ended ? 0 : flat->stopped;
	result->stopped_at = result->stopped ? flat->stopped_at : 0;
}

void flat_run(struct flat *flat, const struct diff_case *c, struct diff_state *result)
{
	struct cpu *cpu = flat_load(flat, c);
	while (!flat->stopped) {
		const struct insn *i = run_find(cpu, cpu->pc);
		if (!i) {
			flat->stopped = STOPPED_FAULT;
			flat->stopped_at = cpu->pc;
			break;
		}
		do {
			cpu->next = NULL;
			i->fn(cpu, i);
			i = cpu->next;
		} while (i && !flat->stopped);
	}
	flat_store(flat, c, result);
}
