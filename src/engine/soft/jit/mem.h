/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.h - addresses and TLB probes, for all emitters that touch memory
 *
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_JIT_MEM_H
#define ORIEL_ENGINE_SOFT_JIT_MEM_H

#include "engine/soft/jit/priv.h"

enum jit_access {
	JIT_READ = 1,
	JIT_WRITE = 2,
	JIT_USER = 4,	 /* as from EL0 */
	JIT_ALIGNED = 8, /* misaligned addresses go to the handler */
};

/* Base SP must be aligned to 16, else the handler looks.  First thing after jit_flags_clobber(). */
void jit_check_sp(struct jit_block *t);
/* RCX = x[rn] + @imm. */
void jit_base_address(struct jit_block *t, int32_t imm);
/* RCX = x[rn] + extended x[rm] << @shift; @option as encoded. */
void jit_indexed_address(struct jit_block *t, unsigned option, unsigned shift);
/* RCX: guest virtual address in, host address of @size bytes out.  RDX and RSI change.  A miss is a slow path. */
void jit_probe(struct jit_block *t, unsigned size, enum jit_access access);
/* The same, but jumps to be taken on a miss are left in @holes (2); returns how many. */
unsigned jit_probe_holes(struct x86 *x, unsigned size, enum jit_access access, uint8_t *holes[2]);
/*
 * First thing in an emitter of an access to x[rn] + @imm that groups can hold (group.c): where its @size bytes are on the
 * host.  RCX, RDX and the host's flags may change, RSI only outside of groups.
 */
struct x86_mem jit_locate(struct jit_block *t, int32_t imm, unsigned size, enum jit_access access);
/* x[rn] += @imm, after the access. */
void jit_write_base(struct jit_block *t, int32_t imm);

#endif
