/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trap.c - leave a vCPU where hardware would leave it for a hypervisor
 *
 * Threads: see trap.h.
 */
#include "engine/soft/trap.h"

#include "a64/access.h"
#include "engine/soft/exception.h"
#include "engine/soft/soft.h"

/* Arm ARM D24.2.40, ISS of a data abort. */
#define ISS_ISV		 (1u << 24)
#define ISS_SAS_SHIFT	 22
#define ISS_SSE		 (1u << 21)
#define ISS_SRT_SHIFT	 16
#define ISS_SF		 (1u << 15)
#define ISS_WNR		 (1u << 6)
#define ISS_TRANSLATION3 7u

#define ESR_IL (UINT64_C(1) << 25)

void trap_enable(struct engine *base, trap_fn *fn, void *opaque)
{
	struct soft_engine *engine = soft_engine(base);
	engine->trap = fn;
	engine->trap_opaque = opaque;
}

static bool leave(struct cpu *cpu, uint64_t pc, const struct trap *trap)
{
	const struct soft_engine *engine = cpu->vcpu->engine;
	if (LIKELY(!engine->trap)) {
		return false;
	}
	cpu->pc = pc;
	cpu->next = NULL;
	engine->trap(engine->trap_opaque, &cpu->vcpu->base, trap);
	atomic_fetch_or(&cpu->pending, RUN_KICK);
	return true;
}

bool trap_take(struct cpu *cpu, unsigned ec, uint32_t iss, uint64_t pc)
{
	return leave(cpu, pc, &(struct trap){.syndrome = (uint64_t)ec << 26 | ESR_IL | iss});
}

/* What hardware says of a load or store of one general register without write-back. */
static uint32_t describe(uint32_t word)
{
	static const struct a64_registers none;
	struct a64_access a;
	if (!a64_access_decode(&a, word, &none, 0, 0) || !a.syndrome) {
		return 0;
	}
	bool wide = a.sign == 64 || (!a.sign && a.bytes == 8);
	return ISS_ISV | (uint32_t)__builtin_ctz(a.bytes) << ISS_SAS_SHIFT |
	       (a.sign ? ISS_SSE : 0) | (uint32_t)a.first << ISS_SRT_SHIFT | (wide ? ISS_SF : 0);
}

bool trap_access(struct cpu *cpu, const struct insn *i, uint64_t va, uint64_t gpa, bool write,
		 bool whole)
{
	uint32_t iss = ISS_TRANSLATION3 | (write ? ISS_WNR : 0) | (whole ? describe(i->raw) : 0);
	const struct trap trap = {(uint64_t)EC_DATA_ABORT_EL0 << 26 | ESR_IL | iss, va, gpa};
	return leave(cpu, insn_pc(cpu, i), &trap);
}

bool trap_fetch(struct cpu *cpu, uint64_t gpa)
{
	const struct trap trap = {(uint64_t)EC_INSN_ABORT_EL0 << 26 | ESR_IL | ISS_TRANSLATION3,
				  cpu->pc, gpa};
	return leave(cpu, cpu->pc, &trap);
}

bool trap_has_register(const struct cpu *cpu, uint32_t number)
{
	static const uint32_t kept[] = {
		ENGINE_SYSREG(2, 0, 1, 0, 4),  /* OSLAR_EL1 */
		ENGINE_SYSREG(2, 0, 1, 1, 4),  /* OSLSR_EL1 */
		ENGINE_SYSREG(2, 0, 1, 3, 4),  /* OSDLR_EL1 */
		ENGINE_SYSREG(3, 3, 14, 0, 1), /* CNTPCT_EL0 */
		ENGINE_SYSREG(3, 3, 14, 2, 0), /* CNTP_TVAL_EL0 */
		ENGINE_SYSREG(3, 3, 14, 2, 1), /* CNTP_CTL_EL0 */
		ENGINE_SYSREG(3, 3, 14, 2, 2), /* CNTP_CVAL_EL0 */
	};
	for (size_t n = 0; cpu->vcpu->engine->trap && n < sizeof(kept) / sizeof(kept[0]); n++) {
		if (kept[n] == number) {
			return true;
		}
	}
	return false;
}
