/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_alu.c - addition, subtraction and logic
 *
 * How it works: immediates are complete in i->imm.  Shifted rows have a form for each kind of shift, with the amount in
 * i->imm.
 * Threads: the vCPU thread.
 */
#include "engine/soft/flags.h"
#include "engine/soft/ops.h"
#include "engine/soft/run.h"

#define OP(name) void op_##name(struct cpu *cpu, const struct insn *i)
#define RN cpu->x[i->rn]
#define RM cpu->x[i->rm]
#define RD cpu->x[i->rd]

/* ADR: imm includes the offset in the page. */
OP(ADR)
{
	RD = cpu->block_pc + i->imm;
	NEXT(cpu, i);
}

OP(ADRP)
{
	RD = cpu->block_pc + i->imm;
	NEXT(cpu, i);
}

OP(ADD_imm_w)
{
	RD = (uint32_t)(RN + i->imm);
	NEXT(cpu, i);
}

OP(ADD_imm_x)
{
	RD = RN + i->imm;
	NEXT(cpu, i);
}

OP(SUB_imm_w)
{
	RD = (uint32_t)(RN - i->imm);
	NEXT(cpu, i);
}

OP(SUB_imm_x)
{
	RD = RN - i->imm;
	NEXT(cpu, i);
}

OP(ADDS_imm_w)
{
	RD = flags_add32((uint32_t)RN, (uint32_t)i->imm, &cpu->nzcv);
	NEXT(cpu, i);
}

OP(ADDS_imm_x)
{
	RD = flags_add64(RN, i->imm, &cpu->nzcv);
	NEXT(cpu, i);
}

OP(SUBS_imm_w)
{
	RD = flags_sub32((uint32_t)RN, (uint32_t)i->imm, &cpu->nzcv);
	NEXT(cpu, i);
}

OP(SUBS_imm_x)
{
	RD = flags_sub64(RN, i->imm, &cpu->nzcv);
	NEXT(cpu, i);
}

OP(cmp_imm_w)
{
	(void)flags_sub32((uint32_t)RN, (uint32_t)i->imm, &cpu->nzcv);
	NEXT(cpu, i);
}

OP(cmp_imm_x)
{
	(void)flags_sub64(RN, i->imm, &cpu->nzcv);
	NEXT(cpu, i);
}

/* Logic with an immediate: the 32-bit masks have no high bits, so AND needs no cut. */
#define LOGIC_IMM(name, operator)                                                                  \
	OP(name##_imm_w)                                                                           \
	{                                                                                          \
		RD = (uint32_t)(RN operator i->imm);                                               \
		NEXT(cpu, i);                                                                      \
	}                                                                                          \
	OP(name##_imm_x)                                                                           \
	{                                                                                          \
		RD = RN operator i->imm;                                                           \
		NEXT(cpu, i);                                                                      \
	}
LOGIC_IMM(AND, &)
LOGIC_IMM(ORR, |)
LOGIC_IMM(EOR, ^)

OP(ANDS_imm_w)
{
	uint32_t r = (uint32_t)(RN & i->imm);
	cpu->nzcv = flags_logical32(r);
	RD = r;
	NEXT(cpu, i);
}

OP(ANDS_imm_x)
{
	uint64_t r = RN & i->imm;
	cpu->nzcv = flags_logical64(r);
	RD = r;
	NEXT(cpu, i);
}

/* MOVZ, MOVN and MOV of a logical immediate. */
OP(mov_imm)
{
	RD = i->imm;
	NEXT(cpu, i);
}

OP(MOVZ_w)
{
	RD = i->imm;
	NEXT(cpu, i);
}

OP(MOVZ_x)
{
	RD = i->imm;
	NEXT(cpu, i);
}

OP(MOVN_w)
{
	RD = i->imm;
	NEXT(cpu, i);
}

OP(MOVN_x)
{
	RD = i->imm;
	NEXT(cpu, i);
}

/* MOVK: ra is the position of the 16 bits. */
OP(MOVK_w)
{
	RD = (uint32_t)((RD & ~(0xffffull << i->ra)) | i->imm);
	NEXT(cpu, i);
}

OP(MOVK_x)
{
	RD = (RD & ~(0xffffull << i->ra)) | i->imm;
	NEXT(cpu, i);
}

OP(mov_reg_w)
{
	RD = (uint32_t)RM;
	NEXT(cpu, i);
}

OP(mov_reg_x)
{
	RD = RM;
	NEXT(cpu, i);
}

/* ShiftReg(), @amount < width. */
#define lsl64(v, amount) ((v) << (amount))
#define lsl32(v, amount) ((v) << (amount))
#define lsr64(v, amount) ((v) >> (amount))
#define lsr32(v, amount) ((v) >> (amount))
#define asr64(v, amount) ((uint64_t)((int64_t)(v) >> (amount)))
#define asr32(v, amount) ((uint32_t)((int32_t)(v) >> (amount)))
#define ror64(v, amount) ((v) >> (amount) | (v) << (-(amount)&63))
#define ror32(v, amount) ((v) >> (amount) | (v) << (-(amount)&31))
#define same64(v, amount) (v)
#define same32(v, amount) (v)

/* One form of a shifted-register row; BODY computes from a and b.  decode.c never chooses the row's own name. */
#define FORM(name, SHIFT, bits, type, BODY)                                                        \
	OP(name)                                                                                   \
	{                                                                                          \
		type m = (type)RM, a = (type)RN, b = SHIFT##bits(m, (unsigned)i->imm);             \
		BODY;                                                                              \
		NEXT(cpu, i);                                                                      \
	}
#define SUM(name, bits, type, BODY)                                                                \
	OP(name)                                                                                   \
	{                                                                                          \
		cpu_undefined(cpu, i);                                                             \
	}                                                                                          \
	FORM(name##_0, same, bits, type, BODY)                                                     \
	FORM(name##_lsl, lsl, bits, type, BODY)                                                    \
	FORM(name##_lsr, lsr, bits, type, BODY)                                                    \
	FORM(name##_asr, asr, bits, type, BODY)
#define LOGIC(name, bits, type, BODY)                                                              \
	SUM(name, bits, type, BODY)                                                                \
	FORM(name##_ror, ror, bits, type, BODY)
#define BOTH(KIND, name, BODY) KIND(name##_w, 32, uint32_t, BODY) KIND(name##_x, 64, uint64_t, BODY)
BOTH(LOGIC, AND_reg, RD = a & b)
BOTH(LOGIC, BIC_reg, RD = a & ~b)
BOTH(LOGIC, ORR_reg, RD = a | b)
BOTH(LOGIC, ORN_reg, RD = a | ~b)
BOTH(LOGIC, EOR_reg, RD = a ^ b)
BOTH(LOGIC, EON_reg, RD = a ^ ~b)
BOTH(SUM, ADD_reg, RD = a + b)
BOTH(SUM, SUB_reg, RD = a - b)
LOGIC(ANDS_reg_w, 32, uint32_t, a &= b; cpu->nzcv = flags_logical32(a); RD = a)
LOGIC(ANDS_reg_x, 64, uint64_t, a &= b; cpu->nzcv = flags_logical64(a); RD = a)
LOGIC(BICS_reg_w, 32, uint32_t, a &= ~b; cpu->nzcv = flags_logical32(a); RD = a)
LOGIC(BICS_reg_x, 64, uint64_t, a &= ~b; cpu->nzcv = flags_logical64(a); RD = a)
SUM(ADDS_reg_w, 32, uint32_t, RD = flags_add32(a, b, &cpu->nzcv))
SUM(ADDS_reg_x, 64, uint64_t, RD = flags_add64(a, b, &cpu->nzcv))
SUM(SUBS_reg_w, 32, uint32_t, RD = flags_sub32(a, b, &cpu->nzcv))
SUM(SUBS_reg_x, 64, uint64_t, RD = flags_sub64(a, b, &cpu->nzcv))

/* ExtendReg(): @option UXTB..SXTX. */
FLAGS_INLINE uint64_t extend(uint64_t v, unsigned option)
{
	switch (option) {
	case 0: return (uint8_t)v;
	case 1: return (uint16_t)v;
	case 2: return (uint32_t)v;
	case 4: return (uint64_t)(int8_t)v;
	case 5: return (uint64_t)(int16_t)v;
	case 6: return (uint64_t)(int32_t)v;
	default: return v;
	}
}

#define EXTENDED(name, type, BODY)                                                                 \
	OP(name)                                                                                   \
	{                                                                                          \
		type a = (type)RN, b = (type)(extend(RM, i->ra) << i->imm);                        \
		BODY;                                                                              \
		NEXT(cpu, i);                                                                      \
	}
EXTENDED(ADD_ext_w, uint32_t, RD = a + b)
EXTENDED(ADD_ext_x, uint64_t, RD = a + b)
EXTENDED(SUB_ext_w, uint32_t, RD = a - b)
EXTENDED(SUB_ext_x, uint64_t, RD = a - b)
EXTENDED(ADDS_ext_w, uint32_t, RD = flags_add32(a, b, &cpu->nzcv))
EXTENDED(ADDS_ext_x, uint64_t, RD = flags_add64(a, b, &cpu->nzcv))
EXTENDED(SUBS_ext_w, uint32_t, RD = flags_sub32(a, b, &cpu->nzcv))
EXTENDED(SUBS_ext_x, uint64_t, RD = flags_sub64(a, b, &cpu->nzcv))

#define CARRY ((bool)(cpu->nzcv & FLAG_C))

OP(ADC_w)
{
	RD = (uint32_t)(RN + RM + CARRY);
	NEXT(cpu, i);
}

OP(ADC_x)
{
	RD = RN + RM + CARRY;
	NEXT(cpu, i);
}

OP(SBC_w)
{
	RD = (uint32_t)(RN + ~RM + CARRY);
	NEXT(cpu, i);
}

OP(SBC_x)
{
	RD = RN + ~RM + CARRY;
	NEXT(cpu, i);
}

OP(ADCS_w)
{
	RD = flags_adc32((uint32_t)RN, (uint32_t)RM, CARRY, &cpu->nzcv);
	NEXT(cpu, i);
}

OP(ADCS_x)
{
	RD = flags_adc64(RN, RM, CARRY, &cpu->nzcv);
	NEXT(cpu, i);
}

OP(SBCS_w)
{
	RD = flags_adc32((uint32_t)RN, ~(uint32_t)RM, CARRY, &cpu->nzcv);
	NEXT(cpu, i);
}

OP(SBCS_x)
{
	RD = flags_adc64(RN, ~RM, CARRY, &cpu->nzcv);
	NEXT(cpu, i);
}

/* Conditional compare: imm is the condition mask, with the other flags in bits 19:16; rm's value or ra as operand. */
#define CCMP(name, bits, type, B, function)                                                        \
	OP(name)                                                                                   \
	{                                                                                          \
		uint32_t flags;                                                                    \
		(void)function##bits((type)RN, (type)(B), &flags);                                 \
		bool holds = flags_test_mask(cpu->nzcv, i->imm & 0xffff);                          \
		cpu->nzcv = holds ? flags : (uint32_t)(i->imm >> 16) << 28;                        \
		NEXT(cpu, i);                                                                      \
	}
CCMP(CCMN_reg_w, 32, uint32_t, RM, flags_add)
CCMP(CCMN_reg_x, 64, uint64_t, RM, flags_add)
CCMP(CCMP_reg_w, 32, uint32_t, RM, flags_sub)
CCMP(CCMP_reg_x, 64, uint64_t, RM, flags_sub)
CCMP(CCMN_imm_w, 32, uint32_t, i->ra, flags_add)
CCMP(CCMN_imm_x, 64, uint64_t, i->ra, flags_add)
CCMP(CCMP_imm_w, 32, uint32_t, i->ra, flags_sub)
CCMP(CCMP_imm_x, 64, uint64_t, i->ra, flags_sub)

/* Conditional select: imm is the condition mask. */
#define CSEL(name, OTHER)                                                                          \
	OP(name##_w)                                                                               \
	{                                                                                          \
		uint64_t a = RN, b = OTHER;                                                        \
		RD = (uint32_t)(flags_test_mask(cpu->nzcv, i->imm) ? a : b);                       \
		NEXT(cpu, i);                                                                      \
	}                                                                                          \
	OP(name##_x)                                                                               \
	{                                                                                          \
		uint64_t a = RN, b = OTHER;                                                        \
		RD = flags_test_mask(cpu->nzcv, i->imm) ? a : b;                                   \
		NEXT(cpu, i);                                                                      \
	}
CSEL(CSEL, RM)
CSEL(CSINC, RM + 1)
CSEL(CSINV, ~RM)
CSEL(CSNEG, -RM)

/* FEAT_FlagM. */
OP(CFINV)
{
	cpu->nzcv ^= FLAG_C;
	NEXT(cpu, i);
}

OP(RMIF)
{
	uint64_t v = cpu->x[A64_Rn(i->raw) == 31 ? CPU_ZR : A64_Rn(i->raw)];
	uint32_t mask = A64_nzcv(i->raw) << 28;
	cpu->nzcv = (cpu->nzcv & ~mask) | ((uint32_t)ror64(v, A64_rot6(i->raw)) << 28 & mask);
	NEXT(cpu, i);
}

#define SETF(bits)                                                                                 \
	OP(SETF##bits)                                                                             \
	{                                                                                          \
		uint32_t v = (uint32_t)cpu->x[A64_Rn(i->raw) == 31 ? CPU_ZR : A64_Rn(i->raw)];     \
		cpu->nzcv = (cpu->nzcv & FLAG_C) | (v >> (bits - 1) & 1) << 31 |                   \
			    (uint32_t)((uint##bits##_t)v == 0) << 30 |                             \
			    ((v >> bits ^ v >> (bits - 1)) & 1) << 28;                             \
		NEXT(cpu, i);                                                                      \
	}
SETF(8)
SETF(16)
