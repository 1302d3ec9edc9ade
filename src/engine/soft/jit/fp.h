/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp.h - what the emitters of floating point share
 *
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_JIT_FP_H
#define ORIEL_ENGINE_SOFT_JIT_FP_H

#include "engine/soft/jit/simd.h"

enum { COND_ALWAYS = 14 };

/*
 * T0 holds a result, single or double (@is_wide): what is not a normal number well above the
 * smallest goes to the handler; of a sum only infinities and NaNs.  The host's flags and RDX
 * change: jit_flags_clobber() must come first.
 */
void jit_fp_check(struct jit_block *t, bool is_wide, bool is_sum);
/* The same of all lanes that the instruction works on.  T1 changes. */
void jit_fp_check_lanes(struct jit_block *t, bool is_wide, bool is_sum);
/* Lanes of T1 with the top bit set go to the handler. */
void jit_fp_check_signs(struct jit_block *t, bool is_wide);

#endif
