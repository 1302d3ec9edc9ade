/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mxcsr.h - the host's FP mode while translated code runs
 *
 * How it works: MXCSR is cpu->mxcsr in translated code and the default one in all other code; the
 * stubs change it, if they differ, where one calls or leaves the other (stubs.c).  FPCR.RMode is
 * MXCSR.RC.  FPCR.FZ is MXCSR.FTZ and DAZ, which do not tell of what they flush.  So while FPSR.IDC
 * or UFC still have to be set, the host's exceptions for subnormal operands and tiny results are
 * not masked: the first one is a SIGFPE, whose handler sets the bit in FPSR, masks the exception,
 * and the instruction runs again.  Nothing else in the process unmasks exceptions, so a SIGFPE of
 * this kind always comes from translated code. An instruction must see no lanes but those that it
 * works on, then: what lies in others is no operand. Source: Intel SDM volume 1, 10.2.3 and 11.5;
 * Arm ARM, FPCR and FPSR. Threads: a vCPU thread for its own cpu; the handler runs on it.
 */
#ifndef ORIEL_ENGINE_SOFT_JIT_MXCSR_H
#define ORIEL_ENGINE_SOFT_JIT_MXCSR_H

#include <stdint.h>

enum { MXCSR_UE = 1 << 4, MXCSR_DEFAULT = 0x1f80 };

/* MXCSR for code of a guest with these. */
uint32_t mxcsr_of(uint32_t fpcr, uint32_t fpsr);
/* Have SIGFPE handled, in the whole process.  Any thread, any number of times. */
void mxcsr_catch_exceptions(void);

#endif
