/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.h - memory access for instruction handlers
 *
 * How it works: a direct-mapped table for each translation regime turns a virtual page into a host address.  The tag compares
 * the page of the access's *last* byte with the entry chosen by its first byte, so an access that crosses a page never
 * hits.  Misses, MMIO, Device memory, alignment checks and crossings go to the slow functions in mem.c.
 * All take a guest virtual address as the program uses it (with its tag byte).  When a call returns false (or NULL) the
 * exception was taken and cpu->pc set: the handler returns and must have changed nothing before.
 * Invariants: every write is all or nothing, also across pages; values are little endian; loads of up to 8 bytes are single-copy
 * atomic when aligned.  No address of a handler's local may escape here (see cpu.h): all wrappers inline.
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_MEM_H
#define ORIEL_ENGINE_SOFT_MEM_H

#include "engine/soft/run.h"

#include <string.h>

enum { TLB_ENTRIES = 1024, TLB_PAGE_SHIFT = 12 };

/* Tags are page addresses; TLB_NONE never matches.  Host address = virtual address + addend. */
struct tlb_entry {
	uint64_t read, write;
	uintptr_t addend;
	uint64_t pad;
};

/* Bit 11 is in no tag that is looked for: those of misaligned addresses (of at most 64 bytes) have only lower ones. */
#define TLB_NONE ((uint64_t)0x800)

/* How a slow access behaves. */
enum mem_flags {
	MEM_USER = 1 << 0,    /* as from EL0, whatever the EL (LDTR, STTR) */
	MEM_ALIGNED = 1 << 1, /* misaligned is an alignment fault: ordered, exclusive and atomic accesses */
	MEM_PAIR = 1 << 2,    /* two elements of half the size: each is aligned by itself */
	MEM_RMW = 1 << 3,     /* mem_slow_pointer(): read, then written */
	MEM_READ = 1 << 4,    /* mem_slow_pointer(): only read */
	MEM_ZVA = 1 << 5,     /* mem_slow_pointer(): DC ZVA */
};

#define SOFT_COLD __attribute__((cold, noinline))

/* Slow paths.  The value read is left in cpu->result. */
SOFT_COLD bool mem_slow_read(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size, unsigned flags);
SOFT_COLD bool mem_slow_write(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size, unsigned flags,
		    uint64_t low, uint64_t high);
/* Host address of naturally aligned @size bytes; never MMIO (that is an abort). */
SOFT_COLD void *mem_slow_pointer(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size, unsigned flags);
/* SP is misaligned: takes the SP alignment fault if SCTLR_EL1.SA(0) asks for it, and then returns true. */
SOFT_COLD bool mem_sp_fault(struct cpu *cpu, const struct insn *i);

/*
 * Loads and stores with base register @i->rn must call this first; true: SP was misaligned and the exception was
 * taken.
 */
SOFT_INLINE bool mem_sp_misaligned(struct cpu *cpu, const struct insn *i)
{
	return UNLIKELY(i->rn == CPU_SP && (cpu->x[CPU_SP] & 15)) && mem_sp_fault(cpu, i);
}

SOFT_INLINE struct tlb_entry *mem_entry(struct tlb_entry *table, uint64_t va)
{
	return &table[(va >> TLB_PAGE_SHIFT) % TLB_ENTRIES];
}

/* What the tag of @size bytes at @va must be.  @aligned: misaligned accesses must miss. */
SOFT_INLINE uint64_t mem_tag(uint64_t va, unsigned size, bool aligned)
{
	if (aligned) {
		return va & (~(uint64_t)(GUEST_PAGE - 1) | (size - 1));
	}
	return (va + (size - 1)) & ~(uint64_t)(GUEST_PAGE - 1);
}

/* Never NULL, and the compiler knows. */
SOFT_INLINE void *mem_host(const struct tlb_entry *e, uint64_t va)
{
	uintptr_t host = va + e->addend;
	if (!host) {
		__builtin_unreachable();
	}
	return (void *)host;
}

SOFT_INLINE void *mem_hit_read(struct tlb_entry *table, uint64_t va, unsigned size, bool aligned)
{
	const struct tlb_entry *e = mem_entry(table, va);
	return LIKELY(e->read == mem_tag(va, size, aligned)) ? mem_host(e, va) : NULL;
}

SOFT_INLINE void *mem_hit_write(struct tlb_entry *table, uint64_t va, unsigned size, bool aligned)
{
	const struct tlb_entry *e = mem_entry(table, va);
	return LIKELY(e->write == mem_tag(va, size, aligned)) ? mem_host(e, va) : NULL;
}

/* mem_readN(): zero-extended into *out.  mem_readN_user(): LDTR.  mem_readN_acquire(): LDAR, LDAPR. */
#define MEM_DEFINE_READ(bits, suffix, table, flags, LOAD)                                          \
	SOFT_INLINE bool mem_read##bits##suffix(struct cpu *cpu, const struct insn *i,             \
						uint64_t va, uint64_t *out)                        \
	{                                                                                          \
		const void *p = mem_hit_read((table), va, bits / 8, (flags) & MEM_ALIGNED);        \
		if (LIKELY(p != NULL)) {                                                           \
			LOAD(bits, p, out);                                                        \
			return true;                                                               \
		}                                                                                  \
		if (!mem_slow_read(cpu, i, va, bits / 8, (flags))) {                               \
			return false;                                                              \
		}                                                                                  \
		*out = cpu->result[0];                                                             \
		return true;                                                                       \
	}

/* mem_writeN(): the low N bits.  mem_writeN_user(): STTR.  mem_writeN_release(): STLR. */
#define MEM_DEFINE_WRITE(bits, suffix, table, flags, STORE)                                        \
	SOFT_INLINE bool mem_write##bits##suffix(struct cpu *cpu, const struct insn *i,            \
						 uint64_t va, uint64_t value)                      \
	{                                                                                          \
		void *p = mem_hit_write((table), va, bits / 8, (flags) & MEM_ALIGNED);             \
		if (LIKELY(p != NULL)) {                                                           \
			STORE(bits, p, value);                                                     \
			return true;                                                               \
		}                                                                                  \
		return mem_slow_write(cpu, i, va, bits / 8, (flags), value, 0);                    \
	}

#define MEM_LOAD_PLAIN(bits, p, out)                                                               \
	do {                                                                                       \
		uint##bits##_t mem_v_;                                                             \
		memcpy(&mem_v_, (p), sizeof(mem_v_));                                              \
		*(out) = mem_v_;                                                                   \
	} while (0)
#define MEM_LOAD_ACQUIRE(bits, p, out)                                                             \
	(*(out) = __atomic_load_n((const uint##bits##_t *)(p), __ATOMIC_ACQUIRE))
#define MEM_STORE_PLAIN(bits, p, value)                                                            \
	do {                                                                                       \
		uint##bits##_t mem_v_ = (uint##bits##_t)(value);                                   \
		memcpy((p), &mem_v_, sizeof(mem_v_));                                              \
	} while (0)
#define MEM_STORE_RELEASE(bits, p, value)                                                          \
	__atomic_store_n((uint##bits##_t *)(p), (uint##bits##_t)(value), __ATOMIC_SEQ_CST)

#define MEM_DEFINE_SIZE(bits)                                                                      \
	MEM_DEFINE_READ(bits, , cpu->tlb, 0, MEM_LOAD_PLAIN)                                       \
	MEM_DEFINE_READ(bits, _user, cpu->tlb_user, MEM_USER, MEM_LOAD_PLAIN)                      \
	MEM_DEFINE_READ(bits, _acquire, cpu->tlb, MEM_ALIGNED, MEM_LOAD_ACQUIRE)                   \
	MEM_DEFINE_WRITE(bits, , cpu->tlb, 0, MEM_STORE_PLAIN)                                     \
	MEM_DEFINE_WRITE(bits, _user, cpu->tlb_user, MEM_USER, MEM_STORE_PLAIN)                    \
	MEM_DEFINE_WRITE(bits, _release, cpu->tlb, MEM_ALIGNED, MEM_STORE_RELEASE)

MEM_DEFINE_SIZE(8)
MEM_DEFINE_SIZE(16)
MEM_DEFINE_SIZE(32)
MEM_DEFINE_SIZE(64)

/*
 * 16 bytes as two halves in memory order (low address first).  @flags: 0 for a SIMD&FP Q register, MEM_PAIR for two
 * 64-bit registers.
 */
SOFT_INLINE bool mem_read128(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned flags,
			     uint64_t *low, uint64_t *high)
{
	const uint8_t *p = mem_hit_read(cpu->tlb, va, 16, false);
	if (LIKELY(p != NULL)) {
		uint64_t v[2];
		memcpy(v, p, 16);
		*low = v[0];
		*high = v[1];
		return true;
	}
	if (!mem_slow_read(cpu, i, va, 16, flags)) {
		return false;
	}
	*low = cpu->result[0];
	*high = cpu->result[1];
	return true;
}

SOFT_INLINE bool mem_write128(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned flags,
			      uint64_t low, uint64_t high)
{
	uint8_t *p = mem_hit_write(cpu->tlb, va, 16, false);
	if (LIKELY(p != NULL)) {
		uint64_t v[2] = {low, high};
		memcpy(p, v, 16);
		return true;
	}
	return mem_slow_write(cpu, i, va, 16, flags, low, high);
}

/* Two 32-bit registers (LDP/STP W). */
SOFT_INLINE bool mem_read_pair32(struct cpu *cpu, const struct insn *i, uint64_t va, uint64_t *first,
				 uint64_t *second)
{
	const uint8_t *p = mem_hit_read(cpu->tlb, va, 8, false);
	uint64_t both;
	if (LIKELY(p != NULL)) {
		memcpy(&both, p, 8);
	} else if (mem_slow_read(cpu, i, va, 8, MEM_PAIR)) {
		both = cpu->result[0];
	} else {
		return false;
	}
	*first = (uint32_t)both;
	*second = both >> 32;
	return true;
}

SOFT_INLINE bool mem_write_pair32(struct cpu *cpu, const struct insn *i, uint64_t va, uint64_t first,
				  uint64_t second)
{
	uint64_t both = (uint32_t)first | second << 32;
	uint8_t *p = mem_hit_write(cpu->tlb, va, 8, false);
	if (LIKELY(p != NULL)) {
		memcpy(p, &both, 8);
		return true;
	}
	return mem_slow_write(cpu, i, va, 8, MEM_PAIR, both, 0);
}

/*
 * Check that @size bytes (<= 64) at @va can be accessed, without accessing: for handlers with several accesses that must be
 * all or nothing (LD4, STP Q, CASP...).  MMIO counts as accessible.  False: exception taken.
 */
SOFT_COLD bool mem_probe_slow(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size, bool write);
SOFT_INLINE bool mem_probe(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size, bool write)
{
	const void *p = write ? mem_hit_write(cpu->tlb, va, size, false)
			      : mem_hit_read(cpu->tlb, va, size, false);
	return LIKELY(p != NULL) || mem_probe_slow(cpu, i, va, size, write);
}

/*
 * For accesses that go byte by byte (FEAT_MOPS): where the byte at @va is on the host, and *size bytes from there on (or down to
 * there, if @backwards) in its page; *size becomes less where watchpoints want it.  @flags: MEM_READ (else it is to be written),
 * MEM_USER.  *host is NULL where no memory is: then mem_slow_read() or mem_slow_write().  False: exception taken.
 */
SOFT_COLD bool mem_slow_bytes(struct cpu *cpu, const struct insn *i, uint64_t va, bool backwards, unsigned flags,
			      uint8_t **host, uint64_t *size);

/*
 * Host address of @size (1..16, power of two) bytes at @va for an atomic read-modify-write: aligned, and
 * writable.  NULL: exception taken (misaligned, no permission, or MMIO, which supports no atomics).
 * Use __atomic builtins; for 16 bytes mem_cas128().
 */
SOFT_INLINE void *mem_rmw_ptr(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size)
{
	struct tlb_entry *e = mem_entry(cpu->tlb, va);
	uint64_t tag = mem_tag(va, size, true);
	if (LIKELY(e->write == tag && e->read == tag)) {
		return mem_host(e, va);
	}
	return mem_slow_pointer(cpu, i, va, size, MEM_ALIGNED | MEM_RMW);
}

/* Compare 16 aligned bytes with *expected and exchange; *expected becomes what was there.  True if exchanged. */
SOFT_INLINE bool mem_cas128(void *p, uint64_t expected[2], const uint64_t wanted[2])
{
	__uint128_t old = (__uint128_t)expected[1] << 64 | expected[0];
	__uint128_t new = (__uint128_t)wanted[1] << 64 | wanted[0];
	__uint128_t seen = __sync_val_compare_and_swap((__uint128_t *)p, old, new);
	expected[0] = (uint64_t)seen;
	expected[1] = (uint64_t)(seen >> 64);
	return seen == old;
}

/*
 * Load-exclusive of @size bytes in all (1, 2, 4, 8; 16 for a pair of 64-bit registers; LDXP of W registers is size 8).
 * Opens the monitor.  Acquire semantics are included.
 */
SOFT_INLINE bool mem_load_exclusive(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size,
				    uint64_t *low, uint64_t *high)
{
	void *p = mem_hit_read(cpu->tlb, va, size, true);
	if (UNLIKELY(!p)) {
		p = mem_slow_pointer(cpu, i, va, size, MEM_ALIGNED | MEM_READ);
		if (!p) {
			return false;
		}
	}
	uint64_t second = 0, first;
	switch (size) {
	case 1:
		first = __atomic_load_n((uint8_t *)p, __ATOMIC_ACQUIRE);
		break;
	case 2:
		first = __atomic_load_n((uint16_t *)p, __ATOMIC_ACQUIRE);
		break;
	case 4:
		first = __atomic_load_n((uint32_t *)p, __ATOMIC_ACQUIRE);
		break;
	case 8:
		first = __atomic_load_n((uint64_t *)p, __ATOMIC_ACQUIRE);
		break;
	default:
		first = __atomic_load_n((uint64_t *)p, __ATOMIC_ACQUIRE);
		second = __atomic_load_n((uint64_t *)p + 1, __ATOMIC_ACQUIRE);
		break;
	}
	cpu->ex_ptr = p;
	cpu->ex_size = size;
	*low = cpu->ex_value[0] = first;
	*high = cpu->ex_value[1] = second;
	return true;
}

/*
 * Store-exclusive; *status is 0 if stored, 1 if the monitor was lost.  False: exception taken.  Release semantics are
 * included.
 */
SOFT_INLINE bool mem_store_exclusive(struct cpu *cpu, const struct insn *i, uint64_t va, unsigned size,
				     uint64_t low, uint64_t high, uint64_t *status)
{
	void *p = mem_hit_write(cpu->tlb, va, size, true);
	if (UNLIKELY(!p)) {
		p = mem_slow_pointer(cpu, i, va, size, MEM_ALIGNED);
		if (!p) {
			return false;
		}
	}
	bool stored = false;
	if (LIKELY(cpu->ex_ptr == p && cpu->ex_size == size)) {
		uint64_t old = cpu->ex_value[0];
		switch (size) {
		case 1:
			stored = __sync_bool_compare_and_swap((uint8_t *)p, (uint8_t)old, (uint8_t)low);
			break;
		case 2:
			stored = __sync_bool_compare_and_swap((uint16_t *)p, (uint16_t)old,
							      (uint16_t)low);
			break;
		case 4:
			stored = __sync_bool_compare_and_swap((uint32_t *)p, (uint32_t)old,
							      (uint32_t)low);
			break;
		case 8:
			stored = __sync_bool_compare_and_swap((uint64_t *)p, old, low);
			break;
		default: {
			uint64_t expected[2] = {old, cpu->ex_value[1]}, wanted[2] = {low, high};
			stored = mem_cas128(p, expected, wanted);
			break;
		}
		}
	}
	cpu->ex_ptr = NULL;
	*status = !stored;
	return true;
}

/* CLREX. */
SOFT_INLINE void mem_clear_exclusive(struct cpu *cpu)
{
	cpu->ex_ptr = NULL;
}

#endif
