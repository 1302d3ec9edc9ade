/* SPDX-License-Identifier: Apache-2.0 */
/* debug.c - see debug.h */
#include "engine/soft/debug.h"

#include "engine/soft/exception.h"
#include "engine/soft/sysreg.h"

/* Fields that DBGBCR and DBGWCR share. */
#define CONTROL_E(v)   ((v)&1)
#define CONTROL_EL(v)  ((v) >> 1 & 3) /* PMC, PAC: bit 0 EL1, bit 1 EL0 */
#define CONTROL_SSC(v) ((v) >> 14 & 3)
#define CONTROL_LBN(v) ((v) >> 16 & 0xf)

/* Addresses are compared without tag; bit 48 and what extends it. */
#define ADDRESS_BITS ((UINT64_C(1) << 49) - 1)

enum { SSC_SECURE = 2, DAIF_D = 1 << 9 };

/* DBGBCR.BT without its lowest bit, which says that others are linked to it or it to another. */
enum { BT_ADDRESS = 0, BT_CONTEXT = 2 };

static bool is_enabled(const struct cpu *cpu)
{
	const struct sysregs *sys = cpu->sys;
	return (sys->mdscr & MDSCR_MDE) && !sys->oslar_locked && !(sys->osdlr & 1);
}

/* Are debug exceptions other than BRK taken from this EL? */
static bool is_allowed(const struct cpu *cpu)
{
	return is_enabled(cpu) && (!cpu->el || ((cpu->sys->mdscr & MDSCR_KDE) && !(cpu->daif & DAIF_D)));
}

/* There is one security state, Non-secure. */
static bool matches_level(uint64_t control, unsigned el)
{
	return CONTROL_E(control) && CONTROL_SSC(control) != SSC_SECURE && (CONTROL_EL(control) >> (el ? 0 : 1) & 1);
}

static bool any_enabled(const uint64_t *control, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		if (CONTROL_E(control[n])) {
			return true;
		}
	}
	return false;
}

bool debug_is_active(const struct cpu *cpu)
{
	return is_allowed(cpu) && any_enabled(cpu->sys->dbgbcr, SYSREG_BREAKPOINTS);
}

bool debug_withholds(const struct cpu *cpu, enum mmu_regime regime)
{
	const struct sysregs *sys = cpu->sys;
	return is_enabled(cpu) && (regime == MMU_EL0 || (sys->mdscr & MDSCR_KDE)) &&
	       any_enabled(sys->dbgwcr, SYSREG_WATCHPOINTS);
}

void debug_update(struct cpu *cpu)
{
	if (debug_withholds(cpu, MMU_EL0)) {
		mmu_flush_all(cpu);
	}
	exception_update_step(cpu);
}

static unsigned type_of(uint64_t bcr)
{
	return bcr >> 20 & 0xf;
}

static bool matches_context(const struct cpu *cpu, unsigned n)
{
	return (uint32_t)cpu->sys->contextidr == (uint32_t)cpu->sys->dbgbvr[n];
}

/* What a breakpoint or watchpoint is linked to: a context breakpoint, the last SYSREG_CONTEXTS of them. */
static bool matches_link(const struct cpu *cpu, unsigned n)
{
	uint64_t bcr = n < SYSREG_BREAKPOINTS ? cpu->sys->dbgbcr[n] : 0;
	return n >= SYSREG_BREAKPOINTS - SYSREG_CONTEXTS && CONTROL_E(bcr) && type_of(bcr) == (BT_CONTEXT | 1) &&
	       matches_context(cpu, n);
}

static bool matches_breakpoint(const struct cpu *cpu, unsigned n, uint64_t pc)
{
	uint64_t bcr = cpu->sys->dbgbcr[n];
	if (!matches_level(bcr, cpu->el)) {
		return false;
	}
	bool same = ((cpu->sys->dbgbvr[n] ^ pc) & ADDRESS_BITS & ~UINT64_C(3)) == 0;
	switch (type_of(bcr)) {
	case BT_ADDRESS: return same;
	case BT_ADDRESS | 1: return same && matches_link(cpu, CONTROL_LBN(bcr));
	case BT_CONTEXT: return matches_context(cpu, n);
	default: return false;
	}
}

bool debug_has_breakpoint(const struct cpu *cpu, uint64_t pc)
{
	for (unsigned n = 0; is_allowed(cpu) && n < SYSREG_BREAKPOINTS; n++) {
		if (matches_breakpoint(cpu, n, pc)) {
			return true;
		}
	}
	return false;
}

/* The bytes that a watchpoint watches: up to eight by BAS, or a power of two by MASK. */
static bool watches_byte(uint64_t wvr, uint64_t wcr, uint64_t va)
{
	unsigned mask = wcr >> 24 & 0x1f, bas = wcr >> 5 & 0xff;
	uint64_t differs = (wvr ^ va) & ADDRESS_BITS;
	if (mask >= 3) {
		return differs >> mask == 0;
	}
	if (wvr & 4) { /* a word address: four bytes */
		return differs >> 2 == 0 && (bas >> (va & 3) & 1) && (bas & 0xf);
	}
	return differs >> 3 == 0 && (bas >> (va & 7) & 1);
}

static bool matches_watchpoint(const struct cpu *cpu, unsigned n, uint64_t va, unsigned size, bool write, unsigned el,
			       uint64_t *far)
{
	uint64_t wvr = cpu->sys->dbgwvr[n], wcr = cpu->sys->dbgwcr[n];
	bool wanted = wcr >> (write ? 4 : 3) & 1, linked = wcr >> 20 & 1;
	if (!wanted || !matches_level(wcr, el) || (linked && !matches_link(cpu, CONTROL_LBN(wcr)))) {
		return false;
	}
	for (unsigned byte = 0; byte < size; byte++) {
		if (watches_byte(wvr, wcr, va + byte)) {
			*far = va + byte;
			return true;
		}
	}
	return false;
}

bool debug_has_watchpoint(const struct cpu *cpu, uint64_t va, unsigned size, bool write, enum mmu_regime regime,
			  uint64_t *far)
{
	unsigned el = regime == MMU_EL0 ? 0 : 1;
	for (unsigned n = 0; is_allowed(cpu) && n < SYSREG_WATCHPOINTS; n++) {
		if (matches_watchpoint(cpu, n, va, size, write, el, far)) {
			return true;
		}
	}
	return false;
}
