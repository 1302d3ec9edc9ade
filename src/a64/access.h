/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.h - loads and stores done by hand: what an instruction would read, write and change
 *
 * Hypervisors describe an access to a device only if it is a plain load or store of one general
 * register (ISV in the syndrome, Arm ARM D24.2.40).  For all others the instruction itself has to
 * be read and done here.
 *
 * How it works: every access is one run of bytes, made of equal elements in memory order.
 * a64_access_decode() says which; whoever asks moves the bytes and calls back: a store's bytes come
 * from a64_access_gather(), a load's go to a64_access_commit(), an atomic's through
 * a64_access_modify().  Registers change in a64_access_commit() alone, the base register last, so
 * an access that fails on the way changes nothing. Threads: any; all functions are pure.
 */
#ifndef ORIEL_A64_ACCESS_H
#define ORIEL_A64_ACCESS_H

#include "a64/a64.h"
#include "base/error.h"

enum { A64_ACCESS_MAX = 2048 }; /* bytes: the largest DC ZVA */

/* What an access reads and writes; x[31] is the stack pointer in use. */
struct a64_registers {
	uint64_t x[32];
	uint64_t v[32][2];
};

enum a64_access_kind {
	A64_ACCESS_LOAD,
	A64_ACCESS_STORE,
	A64_ACCESS_MODIFY, /* read, then maybe written: atomics, not atomic here */
};

/* How the elements lie in registers. */
enum a64_access_layout {
	A64_LAYOUT_GENERAL,   /* one or two general registers */
	A64_LAYOUT_VECTOR,    /* one or two SIMD&FP registers, the rest of each is zeroed */
	A64_LAYOUT_ROWS,      /* LD1: register after register */
	A64_LAYOUT_STRUCTS,   /* LD2 to LD4: an element of each register in turn */
	A64_LAYOUT_LANE,      /* one lane of each register */
	A64_LAYOUT_REPLICATE, /* LDnR: all lanes of each register */
	A64_LAYOUT_ZERO,      /* DC ZVA: no register */
};

struct a64_access {
	uint32_t word;
	uint8_t op; /* of MODIFY: enum in access.c */
	uint8_t kind, layout;
	bool syndrome; /* hardware describes this access itself */
	bool user;     /* with the rights of EL0 (LDTR, STTR) */
	bool status;   /* a store-exclusive: Rs becomes 0, stored */
	bool writes_base;
	uint8_t sign;	 /* general loads: 0, or bits of the register that the sign fills: 32, 64 */
	uint8_t first;	 /* number of the first register */
	uint8_t second;	 /* general pairs: the other one; CAS, atomics: operand Rs */
	uint8_t lane;	 /* A64_LAYOUT_LANE */
	uint8_t element; /* bytes, 1 to 16 */
	uint8_t regs;	 /* SIMD&FP registers in all */
	uint16_t bytes;	 /* in all, up to A64_ACCESS_MAX */
	uint64_t va;	 /* of the first byte */
	uint64_t base;	 /* what the base register becomes, if writes_base */
};

/*
 * What @word at address @pc does.  @zva_bytes: the block of DC ZVA (DCZID_EL0).  The base of LDRAA
 * and LDRAB must have its authentication code taken off already.  False: no load or store, or one
 * that can not reach a device (prefetches, tags).
 */
bool a64_access_decode(struct a64_access *a, uint32_t word, const struct a64_registers *regs,
		       uint64_t pc, unsigned zva_bytes) MUST_CHECK;
/* LDRAA, LDRAB: the base register has an authentication code. */
bool a64_access_signed_base(uint32_t word);
/* Bytes that a STORE writes. */
void a64_access_gather(const struct a64_access *a, const struct a64_registers *regs,
		       uint8_t *bytes);
/* MODIFY: what is written over @old.  False: nothing is (compare failed). */
bool a64_access_modify(const struct a64_access *a, const struct a64_registers *regs,
		       const uint8_t *old, uint8_t *bytes) MUST_CHECK;
/* The access is done: registers become what they are then.  @bytes: what was read (STORE: unused).
 */
void a64_access_commit(const struct a64_access *a, struct a64_registers *regs,
		       const uint8_t *bytes);

#endif
