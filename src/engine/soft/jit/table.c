/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.c - which emitter translates which row of the encoding tables
 *
 * How it works: the tables in gen/a64 say it, by `jit=`.  Rows that say nothing are done by the
 * interpreter's handler.  Threads: constant data.
 */
#include "engine/soft/jit/priv.h"

#include "engine/soft/sysreg.h"

const struct jit_emitter jit_emitters[A64_OPS] = {
#define ROW(name, emitter, properties) [A64_##name] = {jit_##emitter, properties},
	A64_EACH_TRANSLATED(ROW)};

const struct jit_emitter *jit_emitter_of(const struct jit_block *t, enum a64_op op)
{
	static const struct jit_emitter none = {NULL, 0};
	const struct a64_info *info = &a64_infos[op];
	if (sysreg_has_feature(t->cpu->sys, info->feature)) {
		return &jit_emitters[op];
	}
	return info->flags & A64_HINT ? &jit_emitters[A64_NOP] : &none;
}
