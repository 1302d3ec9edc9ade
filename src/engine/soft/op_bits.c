/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_bits.c - bit fields, shifts, bit counting, multiplication, division
 *
 * How it works: decode.c reduces UBFM and BFM to "shift one way, then mask" (op_extract, op_insert, op_bfi_*) and SBFM to a left
 * and an arithmetic right shift, so the immr/imms cases are gone when code runs.
 * Threads: the vCPU thread.
 */
#include "engine/soft/flags.h"
#include "engine/soft/ops.h"
#include "engine/soft/run.h"

#define OP(name) void op_##name(struct cpu *cpu, const struct insn *i)
#define RN cpu->x[i->rn]
#define RM cpu->x[i->rm]
#define RA cpu->x[i->ra]
#define RD cpu->x[i->rd]

/* UBFM with imms >= immr (UBFX, LSR, UXTB): rm is the shift, imm the mask.  Serves both widths. */
OP(extract)
{
	RD = RN >> i->rm & i->imm;
	NEXT(cpu, i);
}

/* UBFM with imms < immr (UBFIZ, LSL). */
OP(insert)
{
	RD = RN << i->rm & i->imm;
	NEXT(cpu, i);
}

/* BFM: ra is a left shift, rm a right shift (one of them is 0), imm the bits of the target to replace. */
OP(bfi_w)
{
	RD = (uint32_t)((RD & ~i->imm) | (RN << i->ra >> i->rm & i->imm));
	NEXT(cpu, i);
}

OP(bfi_x)
{
	RD = (RD & ~i->imm) | (RN << i->ra >> i->rm & i->imm);
	NEXT(cpu, i);
}

/* SBFM: left by rm, then arithmetically right by ra, in 64 bits for both widths. */
OP(SBFM_w)
{
	RD = (uint32_t)((int64_t)(RN << i->rm) >> i->ra);
	NEXT(cpu, i);
}

OP(SBFM_x)
{
	RD = (uint64_t)((int64_t)(RN << i->rm) >> i->ra);
	NEXT(cpu, i);
}

OP(EXTR_w)
{
	RD = (uint32_t)((RN << 32 | (uint32_t)RM) >> i->imm);
	NEXT(cpu, i);
}

OP(EXTR_x)
{
	RD = (uint64_t)(((__uint128_t)RN << 64 | RM) >> i->imm);
	NEXT(cpu, i);
}

OP(LSLV_w)
{
	RD = (uint32_t)RN << (RM & 31);
	NEXT(cpu, i);
}

OP(LSLV_x)
{
	RD = RN << (RM & 63);
	NEXT(cpu, i);
}

OP(LSRV_w)
{
	RD = (uint32_t)RN >> (RM & 31);
	NEXT(cpu, i);
}

OP(LSRV_x)
{
	RD = RN >> (RM & 63);
	NEXT(cpu, i);
}

OP(ASRV_w)
{
	RD = (uint32_t)((int32_t)RN >> (RM & 31));
	NEXT(cpu, i);
}

OP(ASRV_x)
{
	RD = (uint64_t)((int64_t)RN >> (RM & 63));
	NEXT(cpu, i);
}

OP(RORV_w)
{
	uint32_t v = (uint32_t)RN;
	RD = v >> (RM & 31) | v << (-RM & 31);
	NEXT(cpu, i);
}

OP(RORV_x)
{
	uint64_t v = RN;
	RD = v >> (RM & 63) | v << (-RM & 63);
	NEXT(cpu, i);
}

/* Reverse the bits of each byte. */
FLAGS_INLINE uint64_t reverse_in_bytes(uint64_t v)
{
	v = (v >> 4 & 0x0f0f0f0f0f0f0f0f) | (v & 0x0f0f0f0f0f0f0f0f) << 4;
	v = (v >> 2 & 0x3333333333333333) | (v & 0x3333333333333333) << 2;
	return (v >> 1 & 0x5555555555555555) | (v & 0x5555555555555555) << 1;
}

OP(RBIT_w)
{
	RD = __builtin_bswap32((uint32_t)reverse_in_bytes(RN));
	NEXT(cpu, i);
}

OP(RBIT_x)
{
	RD = __builtin_bswap64(reverse_in_bytes(RN));
	NEXT(cpu, i);
}

OP(REV16_w)
{
	uint32_t v = (uint32_t)RN;
	RD = (v >> 8 & 0x00ff00ff) | (v & 0x00ff00ff) << 8;
	NEXT(cpu, i);
}

OP(REV16_x)
{
	uint64_t v = RN;
	RD = (v >> 8 & 0x00ff00ff00ff00ff) | (v & 0x00ff00ff00ff00ff) << 8;
	NEXT(cpu, i);
}

OP(REV_w)
{
	RD = __builtin_bswap32((uint32_t)RN);
	NEXT(cpu, i);
}

OP(REV32_x)
{
	uint64_t v = __builtin_bswap64(RN);
	RD = v >> 32 | v << 32;
	NEXT(cpu, i);
}

OP(REV_x)
{
	RD = __builtin_bswap64(RN);
	NEXT(cpu, i);
}

FLAGS_INLINE unsigned leading_zeros(uint64_t v, unsigned width)
{
	return v ? (unsigned)__builtin_clzll(v) - (64 - width) : width;
}

OP(CLZ_w)
{
	RD = leading_zeros((uint32_t)RN, 32);
	NEXT(cpu, i);
}

OP(CLZ_x)
{
	RD = leading_zeros(RN, 64);
	NEXT(cpu, i);
}

OP(CLS_w)
{
	uint32_t v = (uint32_t)RN;
	RD = leading_zeros((v ^ (uint32_t)((int32_t)v >> 1)), 32) - 1;
	NEXT(cpu, i);
}

OP(CLS_x)
{
	uint64_t v = RN;
	RD = leading_zeros(v ^ (uint64_t)((int64_t)v >> 1), 64) - 1;
	NEXT(cpu, i);
}

OP(MADD_w)
{
	RD = (uint32_t)(RA + RN * RM);
	NEXT(cpu, i);
}

OP(MADD_x)
{
	RD = RA + RN * RM;
	NEXT(cpu, i);
}

OP(MSUB_w)
{
	RD = (uint32_t)(RA - RN * RM);
	NEXT(cpu, i);
}

OP(MSUB_x)
{
	RD = RA - RN * RM;
	NEXT(cpu, i);
}

OP(SMADDL)
{
	RD = RA + (uint64_t)((int64_t)(int32_t)RN * (int32_t)RM);
	NEXT(cpu, i);
}

OP(SMSUBL)
{
	RD = RA - (uint64_t)((int64_t)(int32_t)RN * (int32_t)RM);
	NEXT(cpu, i);
}

OP(UMADDL)
{
	RD = RA + (uint64_t)(uint32_t)RN * (uint32_t)RM;
	NEXT(cpu, i);
}

OP(UMSUBL)
{
	RD = RA - (uint64_t)(uint32_t)RN * (uint32_t)RM;
	NEXT(cpu, i);
}

OP(SMULH)
{
	RD = (uint64_t)(((__int128_t)(int64_t)RN * (int64_t)RM) >> 64);
	NEXT(cpu, i);
}

OP(UMULH)
{
	RD = (uint64_t)(((__uint128_t)RN * RM) >> 64);
	NEXT(cpu, i);
}

/* Division: by zero gives 0; the most negative number by -1 gives itself. */
OP(UDIV_w)
{
	uint32_t divisor = (uint32_t)RM;
	RD = divisor ? (uint32_t)RN / divisor : 0;
	NEXT(cpu, i);
}

OP(UDIV_x)
{
	uint64_t divisor = RM;
	RD = divisor ? RN / divisor : 0;
	NEXT(cpu, i);
}

OP(SDIV_w)
{
	int32_t divisor = (int32_t)RM;
	uint32_t v = (uint32_t)RN;
	if (divisor == -1) {
		RD = (uint32_t)-v;
	} else {
		RD = divisor ? (uint32_t)((int32_t)v / divisor) : 0;
	}
	NEXT(cpu, i);
}

OP(SDIV_x)
{
	int64_t divisor = (int64_t)RM;
	uint64_t v = RN;
	if (divisor == -1) {
		RD = -v;
	} else {
		RD = divisor ? (uint64_t)((int64_t)v / divisor) : 0;
	}
	NEXT(cpu, i);
}

/* Never chosen by decode.c: UBFM, BFM run as the forms above. */
OP(UBFM_w)
{
	cpu_undefined(cpu, i);
}
OP(UBFM_x)
{
	cpu_undefined(cpu, i);
}
OP(BFM_w)
{
	cpu_undefined(cpu, i);
}
OP(BFM_x)
{
	cpu_undefined(cpu, i);
}
