/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nisv.c - accesses to devices which hardware does not describe (ISV=0), done by hand
 *
 * Invariants: all parts are translated before the first byte moves; registers change only when all
 * bytes have moved. Threads: as nisv.h says.
 */
#include "engine/soft/nisv.h"

#include "engine/soft/exception.h"
#include "engine/soft/pauth.h"
#include "engine/soft/soft.h"

#define ISS_WNR (1u << 6)
#define ISS_FNV (1u << 10) /* FAR_EL1 says nothing */
/* PSTATE that the built-in engine does not have: exceptions keep the first two and set the last. */
#define PSTATE_SSBS    (UINT64_C(1) << 12)
#define PSTATE_DIT     (UINT64_C(1) << 24)
#define PSTATE_TCO     (UINT64_C(1) << 25)
#define PSTATE_STEPPED (UINT64_C(1) << 21 | UINT64_C(3) << 10) /* SS, BTYPE */

enum { MOST_PARTS = 2 };

/* The bytes of an access that lie in one page. */
struct part {
	uint64_t va, gpa;
	uint8_t *host; /* NULL: a device */
	unsigned size;
};

struct access {
	struct cpu *cpu;
	uint64_t pc;
	struct a64_access a;
	struct part parts[MOST_PARTS];
	unsigned count;
};

/* Memory copy and set: never described, and not done by hand. */
static bool is_memory_operation(uint32_t word)
{
	return a64_infos[a64_decode(word)].format == A64_FORMAT_mops;
}

bool nisv_is_described(uint32_t word)
{
	static const struct a64_registers none;
	struct a64_access a;
	return a64_access_decode(&a, word, &none, 0, 0) ? a.syndrome : !is_memory_operation(word);
}

static bool fetch(struct cpu *cpu, uint64_t pc, uint32_t *word)
{
	struct mmu_page page;
	uint8_t *hva;
	enum mmu_regime regime = cpu->el ? MMU_EL1 : MMU_EL0;
	if (mmu_walk(cpu, pc, regime, MMU_EXEC, false, true, &page) != MMU_OK) {
		return false;
	}
	enum memory_kind kind = memory_find(&cpu->vcpu->engine->memory, page.pa, &hva);
	if (kind != MEMORY_RAM && kind != MEMORY_ROM) {
		return false;
	}
	*word = __atomic_load_n((const uint32_t *)hva, __ATOMIC_RELAXED);
	return true;
}

static void read_registers(const struct cpu *cpu, struct a64_registers *regs)
{
	memcpy(regs->x, cpu->x, sizeof(regs->x));
	memcpy(regs->v, cpu->v, sizeof(regs->v));
}

static void write_registers(struct cpu *cpu, const struct a64_registers *regs)
{
	memcpy(cpu->x, regs->x, sizeof(regs->x));
	memcpy(cpu->v, regs->v, sizeof(regs->v));
}

static bool decode(struct access *s, uint32_t word, struct a64_registers *regs)
{
	uint64_t *base = &regs->x[A64_Rn(word)], kept = *base;
	if (a64_access_signed_base(word)) {
		*base = pauth_strip(s->cpu, kept, true);
	}
	bool known = a64_access_decode(&s->a, word, regs, s->pc, 4u << (s->cpu->sys->dczid & 0xf));
	*base = kept;
	return known;
}

/* Take the abort of an access at @va. */
static void take_abort(struct access *s, int fault, uint64_t va)
{
	bool write = s->a.kind == A64_ACCESS_STORE;
	exception_take(s->cpu, EC_DATA_ABORT_EL0, (uint32_t)fault | (write ? ISS_WNR : 0), s->pc,
		       true, va);
}

static bool translate(struct access *s, struct part *part)
{
	struct cpu *cpu = s->cpu;
	struct mmu_page page;
	bool reads = s->a.kind != A64_ACCESS_STORE, writes = s->a.kind != A64_ACCESS_LOAD;
	enum mmu_regime regime = mmu_regime(cpu, s->a.user);
	int fault = reads ? mmu_walk(cpu, part->va, regime, MMU_READ, false, true, &page) : MMU_OK;
	if (writes && fault == MMU_OK) {
		fault = mmu_walk(cpu, part->va, regime, MMU_WRITE, false, true, &page);
	}
	if (fault != MMU_OK) {
		take_abort(s, fault, part->va);
		return false;
	}
	part->gpa = page.pa;
	enum memory_kind kind = memory_find(&cpu->vcpu->engine->memory, page.pa, &part->host);
	if (kind == MEMORY_DEVICE || kind == MEMORY_WINDOW_GAP || (kind == MEMORY_ROM && writes)) {
		part->host = NULL;
	}
	return true;
}

/* Split at the page boundary. */
static bool split(struct access *s)
{
	unsigned here = GUEST_PAGE - s->a.va % GUEST_PAGE;
	here = here < s->a.bytes ? here : s->a.bytes;
	s->parts[0] = (struct part){.va = s->a.va, .size = here};
	s->parts[1] = (struct part){.va = s->a.va + here, .size = s->a.bytes - here};
	s->count = here < s->a.bytes ? 2 : 1;
	for (unsigned n = 0; n < s->count; n++) {
		if (!translate(s, &s->parts[n])) {
			return false;
		}
	}
	return true;
}

static bool is_the_fault(const struct access *s, uint64_t fault_gpa)
{
	for (unsigned n = 0; n < s->count; n++) {
		const struct part *part = &s->parts[n];
		if (fault_gpa == NISV_ANY_GPA ? !part->host : fault_gpa - part->gpa < part->size) {
			return true;
		}
	}
	return false;
}

/* A device sees naturally aligned pieces of at most an element, and 8 bytes. */
static bool move_device(struct access *s, const struct part *part, uint8_t *bytes, bool write)
{
	const struct engine_config *config = &s->cpu->vcpu->engine->config;
	unsigned most = s->a.element < 8 ? s->a.element : 8, index = s->cpu->vcpu->base.index,
		 piece;
	for (unsigned done = 0; done < part->size; done += piece) {
		uint64_t value = 0, gpa = part->gpa + done;
		for (piece = most; piece > part->size - done || gpa % piece; piece /= 2) {
		}
		bool good;
		if (write) {
			memcpy(&value, bytes + done, piece);
			good = config->host_ops->mmio_write(config->host, index, gpa, piece, value);
		} else {
			good = config->host_ops->mmio_read(config->host, index, gpa, piece, &value);
			memcpy(bytes + done, &value, piece);
		}
		if (!good) {
			take_abort(s, MMU_FAULT_EXTERNAL, part->va + done);
			return false;
		}
	}
	return true;
}

static bool move(struct access *s, uint8_t *bytes, bool write)
{
	for (unsigned n = 0; n < s->count; n++) {
		const struct part *part = &s->parts[n];
		if (!part->host) {
			if (!move_device(s, part, bytes, write)) {
				return false;
			}
		} else if (write) {
			memcpy(part->host, bytes, part->size);
		} else {
			memcpy(bytes, part->host, part->size);
		}
		bytes += part->size;
	}
	return true;
}

/* False: a device did not answer, the abort was taken. */
static bool perform(struct access *s, const struct a64_registers *regs, uint8_t *bytes)
{
	uint8_t new[A64_ACCESS_MAX];
	switch ((enum a64_access_kind)s->a.kind) {
	case A64_ACCESS_STORE: a64_access_gather(&s->a, regs, bytes); return move(s, bytes, true);
	case A64_ACCESS_LOAD: return move(s, bytes, false);
	case A64_ACCESS_MODIFY:
		return move(s, bytes, false) &&
		       (!a64_access_modify(&s->a, regs, bytes, new) || move(s, new, true));
	}
	return false;
}

enum nisv_result nisv_complete(struct cpu *cpu, uint64_t pc, uint64_t fault_gpa)
{
	struct access s = {.cpu = cpu, .pc = pc};
	struct a64_registers regs;
	uint8_t bytes[A64_ACCESS_MAX];
	uint32_t word;
	read_registers(cpu, &regs);
	bool fetched = fetch(cpu, pc, &word), known = fetched && decode(&s, word, &regs);
	if (known && !split(&s)) {
		return NISV_FAULT;
	}
	if (!fetched && fault_gpa == NISV_ANY_GPA) { /* then it was the fetch that found nothing */
		exception_take(cpu, EC_INSN_ABORT_EL0, MMU_FAULT_EXTERNAL, pc, true, pc);
		return NISV_UNDECODED;
	}
	if (!known || !is_the_fault(&s, fault_gpa)) {
		exception_take(cpu, EC_DATA_ABORT_EL0, MMU_FAULT_EXTERNAL | ISS_FNV, pc, true, 0);
		return NISV_UNDECODED;
	}
	if (!perform(&s, &regs, bytes)) {
		return NISV_FAULT;
	}
	a64_access_commit(&s.a, &regs, bytes);
	write_registers(cpu, &regs);
	cpu->pc = pc + 4;
	cpu->next = NULL;
	return NISV_DONE;
}

/* ----- for other engines ----- */

bool nisv_is_wide(uint64_t mmfr0, uint64_t mmfr2)
{
	return (mmfr0 >> 28 & 0xf) == 1 || (mmfr0 >> 20 & 0xf) == 2 || (mmfr2 >> 16 & 0xf) == 1;
}

static void load_state(struct cpu *cpu, const struct nisv_state *state)
{
	struct sysregs *sys = cpu->sys;
	sys->sctlr = state->sctlr;
	sys->tcr = state->tcr;
	sys->ttbr0 = state->ttbr0;
	sys->ttbr1 = state->ttbr1;
	sys->mair = state->mair;
	sys->vbar = state->vbar;
	sys->wide = state->wide;
	sys->dczid = (unsigned)__builtin_ctz(state->zva_bytes | 1u << 31) - 2;
	cpu->nzcv = state->pstate & 0xf0000000;
	cpu->pan = state->pstate >> 22 & 1;
	cpu->ss = state->pstate >> 21 & 1;
	cpu->il = state->pstate >> 20 & 1;
	cpu->btype = state->pstate >> 10 & 3;
	cpu->daif = state->pstate & 0x3c0;
	cpu->el = state->pstate >> 2 & 1;
	cpu->spsel = state->pstate & 1;
	memcpy(cpu->x, state->regs.x, sizeof(state->regs.x));
	memcpy(cpu->v, state->regs.v, sizeof(state->regs.v));
	memcpy(cpu->sp_el, state->sp_el, sizeof(cpu->sp_el));
	cpu->x[CPU_SP] = state->sp_el[cpu->el & cpu->spsel];
	cpu->pc = state->pc;
}

static void store_state(const struct cpu *cpu, struct nisv_state *state)
{
	memcpy(state->regs.x, cpu->x, sizeof(state->regs.x));
	memcpy(state->regs.v, cpu->v, sizeof(state->regs.v));
	memcpy(state->sp_el, cpu->sp_el, sizeof(cpu->sp_el));
	state->sp_el[cpu->el & cpu->spsel] = cpu->x[CPU_SP];
	state->pc = cpu->pc;
}

/* Behind an exception. */
static void store_exception(const struct cpu *cpu, struct nisv_state *state)
{
	const struct sysregs *sys = cpu->sys;
	state->spsr = state->pstate;
	state->pstate =
		exception_pstate(cpu) | PSTATE_TCO | (state->pstate & (PSTATE_SSBS | PSTATE_DIT));
	state->elr = sys->elr;
	state->esr = sys->esr;
	state->far = sys->far;
}

void nisv_raise(struct engine_vcpu *shadow, struct nisv_state *state, unsigned ec, uint32_t iss,
		bool has_far, uint64_t far)
{
	struct cpu *cpu = &soft_vcpu(shadow)->cpu;
	cpu->sys->far = state->far;
	load_state(cpu, state);
	exception_take(cpu, ec, iss, state->pc, has_far, far);
	store_state(cpu, state);
	store_exception(cpu, state);
}

enum nisv_result nisv_assist(struct engine_vcpu *shadow, struct nisv_state *state,
			     uint64_t fault_gpa)
{
	struct cpu *cpu = &soft_vcpu(shadow)->cpu;
	cpu->sys->far = state->far;
	load_state(cpu, state);
	enum nisv_result result = nisv_complete(cpu, state->pc, fault_gpa);
	store_state(cpu, state);
	if (result == NISV_DONE) {
		state->pstate &=
			~PSTATE_STEPPED; /* a software step is done: its exception comes next */
	} else {
		store_exception(cpu, state);
	}
	return result;
}
