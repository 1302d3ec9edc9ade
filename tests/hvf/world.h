/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.h - bare programs for the tests of Hypervisor.framework's engine and stand-in
 *
 * Threads: the test's.
 */
#ifndef ORIEL_TESTS_HVF_WORLD_H
#define ORIEL_TESTS_HVF_WORLD_H

#include <stdint.h>
#include <sys/mman.h>

enum { RAM = 0x40000000, RAM_LEN = 0x10000, DEVICE = 0x1000, VECTORS = 0x800, PAGE = 16384 };

/* Instructions. */
#define MOVZ(rd, value)	  (0xd2800000u | (value) << 5 | (rd))
#define MOVZ16(rd, value) (0xd2a00000u | (value) << 5 | (rd)) /* LSL #16 */
#define ADD(rd, rn, rm)	  (0x8b000000u | (rm) << 16 | (rn) << 5 | (rd))
#define STR_W(rt, rn)	  (0xb9000000u | (rn) << 5 | (rt))
#define STR_X(rt, rn)	  (0xf9000000u | (rn) << 5 | (rt))
#define LDR_W(rt, rn)	  (0xb9400000u | (rn) << 5 | (rt))
#define LDR_X(rt, rn)	  (0xf9400000u | (rn) << 5 | (rt))
#define LDRSB_X(rt, rn)	  (0x39800000u | (rn) << 5 | (rt))
#define STR_W_PRE(rt, rn) (0xb8004c00u | (rn) << 5 | (rt)) /* [rn, #4]! */
#define MSR(op1, crn, crm, op2, rt)                                                                \
	(0xd5180000u | (op1) << 16 | (crn) << 12 | (crm) << 8 | (op2) << 5 | (rt))
#define MRS(op1, crn, crm, op2, rt) (MSR(op1, crn, crm, op2, rt) | 0x200000u)
#define BR(rn)			    (0xd61f0000u | (rn) << 5)
#define HVC			    0xd4000002u
#define SMC			    0xd4000003u
#define WFI			    0xd503207fu
#define NOP			    0xd503201fu
#define B_SELF			    0x14000000u
#define IRQS_ON			    0xd50342ffu /* MSR DAIFClr, #2 */

/* Registers. */
#define SET_VBAR(rt)   MSR(0, 12, 0, 0, rt)
#define GET_ESR(rt)    MRS(0, 5, 2, 0, rt)
#define GET_FAR(rt)    MRS(0, 6, 0, 0, rt)
#define GET_VCT(rt)    MRS(3, 14, 0, 2, rt)
#define SET_V_CTL(rt)  MSR(3, 14, 3, 1, rt)
#define SET_V_CVAL(rt) MSR(3, 14, 3, 2, rt)

/* Memory that begins a page of PAGE bytes; never freed by name: give it back with its length. */
static inline void *pages(uint64_t len)
{
	uint8_t *range =
		mmap(NULL, len + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return range == MAP_FAILED
		       ? NULL
		       : (void *)(((uintptr_t)range + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
}

#endif
