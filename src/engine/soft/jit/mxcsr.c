/* SPDX-License-Identifier: Apache-2.0 */
/* mxcsr.c - see mxcsr.h */
#include "engine/soft/jit/mxcsr.h"

#include "base/guard.h"
#include "engine/soft/cpu.h"

#include <signal.h>
#include <stddef.h>
#include <ucontext.h>

enum {
	MXCSR_DE = 1 << 1,
	MXCSR_DAZ = 1 << 6,
	MXCSR_MASKS = 7, /* an exception's flag, shifted so far, is its mask */
	MXCSR_RC_SHIFT = 13,
	MXCSR_FTZ = 1 << 15,
	TRAP_SIMD_FP = 19, /* #XM */
};

uint32_t mxcsr_of(uint32_t fpcr, uint32_t fpsr)
{
	static const uint32_t rc[] = {0, 2, 1, 3}; /* nearest, up, down, to zero */
	uint32_t mxcsr = MXCSR_DEFAULT | rc[(fpcr & FPCR_RMODE) >> FPCR_RMODE_SHIFT]
						 << MXCSR_RC_SHIFT;
	if (fpcr & FPCR_FZ) {
		mxcsr |= MXCSR_FTZ;
		mxcsr ^= fpsr & FPSR_IDC ? MXCSR_DAZ : MXCSR_DE << MXCSR_MASKS;
		mxcsr ^= fpsr & FPSR_UFC ? 0 : MXCSR_UE << MXCSR_MASKS;
	}
	return mxcsr;
}

static void on_exception(int number, siginfo_t *info, void *context)
{
	ucontext_t *host = context;
	if (host->uc_mcontext.gregs[REG_TRAPNO] != TRAP_SIMD_FP) {
		guard_refuse(number, info);
		return;
	}
	struct cpu *cpu = (struct cpu *)((uint8_t *)host->uc_mcontext.gregs[REG_RBP] -
					 offsetof(struct cpu, x[16]));
	uint32_t mxcsr = host->uc_mcontext.fpregs->mxcsr, raised = mxcsr & ~(mxcsr >> MXCSR_MASKS);
	cpu->fpsr |= raised & MXCSR_DE ? FPSR_IDC : 0;
	cpu->fpsr |= raised & MXCSR_UE ? FPSR_UFC : 0;
	cpu->mxcsr = host->uc_mcontext.fpregs->mxcsr = mxcsr_of(cpu->fpcr, cpu->fpsr);
}

void mxcsr_catch_exceptions(void)
{
	struct sigaction action = {.sa_sigaction = on_exception, .sa_flags = SA_SIGINFO};
	sigaction(SIGFPE, &action, NULL);
}
