/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.c - accesses that the tables could not answer: misses, MMIO, alignment, page crossings
 *
 * How it works: an access is split at the page boundary into at most two parts.  All parts are resolved (translated, checked)
 * before the first byte is written; parts that are memory also enter the table.
 * Threads: the vCPU thread.
 */
#include "engine/soft/mem.h"

#include "engine/soft/debug.h"
#include "engine/soft/exception.h"
#include "engine/soft/mmu.h"
#include "engine/soft/nisv.h"
#include "engine/soft/soft.h"

/* Where a part of an access goes. */
struct part {
	uint64_t va, gpa;
	uint8_t *host; /* NULL: MMIO, or a gap of the window */
	bool gap;
	unsigned size;
};

#define ISS_WNR (1u << 6)

static bool data_abort(struct cpu *cpu, const struct insn *i, uint64_t va, int fault, bool write)
{
	exception_take(cpu, EC_DATA_ABORT_EL0, (uint32_t)fault | (write ? ISS_WNR : 0), insn_pc(cpu, i), true,
		       va);
	return false;
}

SOFT_COLD bool mem_sp_fault(struct cpu *cpu, const struct insn *i)
{
	if (!(cpu->sys->sctlr & (cpu->el ? SCTLR_SA : SCTLR_SA0))) {
		return false;
	}
	exception_take(cpu, EC_SP_ALIGN, 0, insn_pc(cpu, i), false, 0);
	return true;
}

/* True: a watchpoint matched, and its exception was taken, or the debugger of the host has the vCPU. */
static bool is_watched(struct cpu *cpu, const struct insn *i, const struct part *part, bool write,
		       enum mmu_regime regime)
{
	uint64_t far;
	const struct engine_point *point = debugger_find_watched(cpu, part->va, part->size, write, &far);
	if (point) {
		debugger_stop_at_access(cpu, i, point, far);
		return true;
	}
	if (!debug_has_watchpoint(cpu, part->va, part->size, write, regime, &far)) {
		return false;
	}
	exception_take(cpu, EC_WATCHPOINT_EL0, MMU_FAULT_DEBUG | (write ? ISS_WNR : 0), insn_pc(cpu, i), true, far);
	return true;
}

/* Translate one part.  @write: MMU_WRITE rights are needed.  On false the abort was taken. */
static bool resolve(struct cpu *cpu, const struct insn *i, struct part *part, bool write, bool misaligned,
		    unsigned flags)
{
	enum mmu_regime regime = mmu_regime(cpu, flags & MEM_USER);
	struct mmu_page page;
	int fault = mmu_walk(cpu, part->va, regime, write ? MMU_WRITE : MMU_READ, misaligned, true, &page);
	if (fault != MMU_OK) {
		return data_abort(cpu, i, part->va, fault, write);
	}
	bool withheld = debug_withholds(cpu, regime) || debugger_withholds_data(cpu, part->va);
	if (withheld && is_watched(cpu, i, part, write, regime)) {
		return false;
	}
	part->gpa = page.pa;
	part->host = NULL;
	uint8_t *hva;
	enum memory_kind kind = memory_find(&cpu->vcpu->engine->memory, page.pa, &hva);
	part->gap = kind == MEMORY_WINDOW_GAP;
	if (kind == MEMORY_DEVICE || part->gap || (kind == MEMORY_ROM && write)) {
		return true;
	}
	part->host = hva;
	/* Device memory and SCTLR_EL1.A need each access looked at for alignment. */
	if (!page.device && !(cpu->sys->sctlr & SCTLR_A) && !withheld) {
		struct mmu_space *space = mmu_space(cpu, regime);
		mmu_fill_data(space, part->va, &page, hva, kind != MEMORY_ROM);
		space->has_window |= kind == MEMORY_WINDOW;
	}
	return true;
}

static bool is_misaligned(uint64_t va, unsigned size, unsigned flags)
{
	unsigned element = flags & MEM_PAIR ? size / 2 : size;
	return va & (element - 1);
}

/* Alignment that is checked before translation. */
static bool must_align(const struct cpu *cpu, unsigned flags)
{
	return (flags & MEM_ALIGNED) || (cpu->sys->sctlr & SCTLR_A);
}

/* Split and resolve; returns the number of parts, 0: abort taken. */
static unsigned resolve_all(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size,
			    unsigned flags, bool write, struct part parts[2])
{
	bool misaligned = is_misaligned(va, size, flags);
	if (misaligned && must_align(cpu, flags)) {
		data_abort(cpu, i, va, MMU_FAULT_ALIGNMENT, write);
		return 0;
	}
	unsigned here = GUEST_PAGE - va % GUEST_PAGE;
	here = here < size ? here : size;
	parts[0] = (struct part){.va = va, .size = here};
	parts[1] = (struct part){.va = va + here, .size = size - here};
	unsigned count = here < size ? 2 : 1;
	for (unsigned n = 0; n < count; n++) {
		if (!resolve(cpu, i, &parts[n], write, misaligned, flags)) {
			return 0;
		}
	}
	return count;
}

/* The largest piece of an MMIO access: naturally aligned, at most 8 bytes, and not more than an element of a pair. */
static unsigned piece_size(uint64_t gpa, unsigned left, unsigned flags, unsigned size)
{
	unsigned most = flags & MEM_PAIR ? size / 2 : 8;
	unsigned piece = most < 8 ? most : 8;
	while (piece > left || gpa % piece) {
		piece /= 2;
	}
	return piece;
}

/* isv=strict: hardware would not describe this access.  True: the instruction was done by hand, or an exception taken. */
static bool is_done_by_hand(struct cpu *cpu, const struct insn *i, const struct part *part)
{
	if (!cpu->vcpu->engine->config.isv_strict || part->gap || nisv_is_described(i->raw)) {
		return false;
	}
	(void)nisv_complete(cpu, insn_pc(cpu, i), part->gpa);
	return true;
}

static bool read_device(struct cpu *cpu, const struct insn *i, const struct part *part, unsigned flags,
			unsigned size, uint8_t *out)
{
	const struct engine_config *config = &cpu->vcpu->engine->config;
	if (trap_access(cpu, i, part->va, part->gpa, false, part->size == size) || is_done_by_hand(cpu, i, part)) {
		return false;
	}
	for (unsigned done = 0, piece; done < part->size; done += piece) {
		uint64_t value = 0, gpa = part->gpa + done;
		piece = piece_size(gpa, part->size - done, flags, size);
		if (!part->gap && !config->host_ops->mmio_read(config->host, cpu->vcpu->base.index, gpa,
							       piece, &value)) {
			return data_abort(cpu, i, part->va + done, MMU_FAULT_EXTERNAL, false);
		}
		memcpy(out + done, &value, piece);
	}
	return true;
}

static bool write_device(struct cpu *cpu, const struct insn *i, const struct part *part, unsigned flags,
			 unsigned size, const uint8_t *in)
{
	const struct engine_config *config = &cpu->vcpu->engine->config;
	if (trap_access(cpu, i, part->va, part->gpa, true, part->size == size) || is_done_by_hand(cpu, i, part)) {
		return false;
	}
	for (unsigned done = 0, piece; done < part->size; done += piece) {
		uint64_t value = 0, gpa = part->gpa + done;
		piece = piece_size(gpa, part->size - done, flags, size);
		memcpy(&value, in + done, piece);
		if (!part->gap && !config->host_ops->mmio_write(config->host, cpu->vcpu->base.index, gpa,
								piece, value)) {
			return data_abort(cpu, i, part->va + done, MMU_FAULT_EXTERNAL, true);
		}
	}
	/* The device may have moved the window: that has to be seen by the next instruction. */
	if (atomic_load(&cpu->pending) & RUN_WORK) {
		invalidate_work(cpu);
	}
	return true;
}

/* Copy with one access where the size is a power of two, so that aligned accesses stay single-copy atomic. */
static void copy_part(void *to, const void *from, unsigned size)
{
	switch (size) {
	case 1:
		memcpy(to, from, 1);
		break;
	case 2:
		memcpy(to, from, 2);
		break;
	case 4:
		memcpy(to, from, 4);
		break;
	case 8:
		memcpy(to, from, 8);
		break;
	default:
		memcpy(to, from, size);
		break;
	}
}

SOFT_COLD bool mem_slow_read(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size,
			     unsigned flags)
{
	struct part parts[2];
	unsigned count = resolve_all(cpu, i, va, size, flags, false, parts);
	cpu->result[0] = cpu->result[1] = 0;
	uint8_t *out = (uint8_t *)cpu->result;
	for (unsigned n = 0; n < count; n++) {
		if (parts[n].host) {
			copy_part(out, parts[n].host, parts[n].size);
		} else if (!read_device(cpu, i, &parts[n], flags, size, out)) {
			return false;
		}
		out += parts[n].size;
	}
	if (flags & MEM_ALIGNED) {
		atomic_thread_fence(memory_order_seq_cst);
	}
	return count != 0;
}

SOFT_COLD bool mem_slow_write(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size,
			      unsigned flags, uint64_t low, uint64_t high)
{
	struct part parts[2];
	uint64_t value[2] = {low, high};
	const uint8_t *in = (const uint8_t *)value;
	unsigned count = resolve_all(cpu, i, va, size, flags, true, parts);
	if (flags & MEM_ALIGNED) {
		atomic_thread_fence(memory_order_seq_cst);
	}
	for (unsigned n = 0; n < count; n++) {
		if (parts[n].host) {
			copy_part(parts[n].host, in, parts[n].size);
		} else if (!write_device(cpu, i, &parts[n], flags, size, in)) {
			return false;
		}
		in += parts[n].size;
	}
	if (flags & MEM_ALIGNED) {
		atomic_thread_fence(memory_order_seq_cst);
	}
	return count != 0;
}

/* A gap of the window behaves as memory that forgets. */
static void *scratch(struct cpu *cpu)
{
	memset(cpu->vcpu->scratch, 0, sizeof(cpu->vcpu->scratch));
	return cpu->vcpu->scratch;
}

static void *zero_device(struct cpu *cpu, const struct insn *i, const struct part *part)
{
	static const uint8_t zeros[64];
	return write_device(cpu, i, part, 0, 8, zeros) ? scratch(cpu) : NULL;
}

SOFT_COLD void *mem_slow_pointer(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size,
				 unsigned flags)
{
	bool write = !(flags & MEM_READ), zva = flags & MEM_ZVA;
	struct part part;
	if (is_misaligned(va, size, flags)) {
		data_abort(cpu, i, va, MMU_FAULT_ALIGNMENT, write && !(flags & MEM_RMW));
		return NULL;
	}
	part = (struct part){.va = va, .size = size};
	if ((flags & MEM_RMW) && !resolve(cpu, i, &part, false, false, flags)) {
		return NULL;
	}
	if (!resolve(cpu, i, &part, write, zva, flags)) {
		return NULL; /* DC ZVA counts as misaligned: Device memory refuses it */
	}
	if (part.host) {
		return part.host;
	}
	if (part.gap) {
		return scratch(cpu);
	}
	if (trap_access(cpu, i, part.va, part.gpa, write, true) || is_done_by_hand(cpu, i, &part)) {
		return NULL;
	}
	if (zva) {
		return zero_device(cpu, i, &part);
	}
	data_abort(cpu, i, va, MMU_FAULT_EXCLUSIVE, write && !(flags & MEM_RMW));
	return NULL;
}

/* The most of *size bytes from @va on that no watchpoint stops; the first one was asked for already. */
static void stop_before_watched(struct cpu *cpu, uint64_t va, bool backwards, bool write, enum mmu_regime regime,
				uint64_t *size)
{
	enum { MOST = 64 }; /* asking costs time for each byte */
	uint64_t far;
	*size = *size < MOST ? *size : MOST;
	uint64_t start = backwards ? va + 1 - *size : va;
	if (debug_has_watchpoint(cpu, start, (unsigned)*size, write, regime, &far) ||
	    debugger_find_watched(cpu, start, (unsigned)*size, write, &far)) {
		*size = 1;
	}
}

SOFT_COLD bool mem_slow_bytes(struct cpu *cpu, const struct insn *i, uint64_t va, bool backwards, unsigned flags,
			      uint8_t **host, uint64_t *size)
{
	struct part part = {.va = va, .size = 1};
	bool write = !(flags & MEM_READ);
	if (!resolve(cpu, i, &part, write, false, flags)) {
		return false;
	}
	enum mmu_regime regime = mmu_regime(cpu, flags & MEM_USER);
	if (debug_withholds(cpu, regime) || debugger_withholds_data(cpu, va)) {
		stop_before_watched(cpu, va, backwards, write, regime, size);
	}
	*host = part.host;
	return true;
}

SOFT_COLD bool mem_probe_slow(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size, bool write)
{
	struct part parts[2];
	unsigned here = GUEST_PAGE - va % GUEST_PAGE;
	here = here < size ? here : size;
	parts[0] = (struct part){.va = va, .size = here};
	parts[1] = (struct part){.va = va + here, .size = size - here};
	return resolve(cpu, i, &parts[0], write, false, 0) &&
	       (here == size || resolve(cpu, i, &parts[1], write, false, 0));
}
