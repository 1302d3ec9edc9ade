/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86.h - an assembler for x86-64: instructions as bytes
 *
 * How it works: an operation is a number, X86(map, prefix, opcode) as the manuals write it; its operands choose among a few forms
 * (register and register, register and memory, VEX with three operands).  Memory is always [base + displacement] or
 * [base + index * scale + displacement].  Nothing is checked here but the room: the caller makes sure that X86_ROOM bytes are left.
 * Source: Intel SDM volume 2, chapters 2.1 to 2.3 (formats) and the pages of the instructions.
 * Threads: pure apart from *x.
 */
#ifndef ORIEL_ENGINE_SOFT_X86_H
#define ORIEL_ENGINE_SOFT_X86_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Bytes are written to @at; they will run at @at + @bias (the executable view of the same pages). */
struct x86 {
	uint8_t *at, *end;
	intptr_t bias;
};

enum { X86_ROOM = 16 }; /* no instruction is longer */

enum x86_reg {
	RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15,
};

/* Condition codes as in Jcc, SETcc, CMOVcc; the lowest bit inverts. */
enum x86_cc {
	CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G,
};

/* map: 0 one byte, 1 0F, 2 0F38, 3 0F3A; prefix: 0 none, 1 66, 2 F3, 3 F2. */
#define X86(map, prefix, opcode) ((map) << 12 | (prefix) << 8 | (opcode))

enum x86_op {
	/* reg, r/m */
	X_ADD = X86(0, 0, 0x03), X_OR = X86(0, 0, 0x0b), X_ADC = X86(0, 0, 0x13), X_SBB = X86(0, 0, 0x1b),
	X_AND = X86(0, 0, 0x23), X_SUB = X86(0, 0, 0x2b), X_XOR = X86(0, 0, 0x33), X_CMP = X86(0, 0, 0x3b),
	X_TEST = X86(0, 0, 0x85), X_MOV = X86(0, 0, 0x8b), X_LEA = X86(0, 0, 0x8d), X_MOVSXD = X86(0, 0, 0x63),
	X_IMUL = X86(1, 0, 0xaf), X_MOVZX8 = X86(1, 0, 0xb6), X_MOVZX16 = X86(1, 0, 0xb7),
	X_MOVSX8 = X86(1, 0, 0xbe), X_MOVSX16 = X86(1, 0, 0xbf), X_CMOV = X86(1, 0, 0x40),
	X_LZCNT = X86(1, 2, 0xbd), X_TZCNT = X86(1, 2, 0xbc), X_POPCNT = X86(1, 2, 0xb8),
	X_CRC32 = X86(2, 3, 0xf1), X_CRC32_8 = X86(2, 3, 0xf0),
	/* r/m, reg (stores) */
	X_STORE = X86(0, 0, 0x89), X_STORE8 = X86(0, 0, 0x88), X_STORE16 = X86(0, 1, 0x89),
	X_CMPXCHG = X86(1, 0, 0xb1), X_CMPXCHG8 = X86(1, 0, 0xb0), X_XADD = X86(1, 0, 0xc1), X_XADD8 = X86(1, 0, 0xc0),
	X_XCHG = X86(0, 0, 0x87), X_XCHG8 = X86(0, 0, 0x86),
	/* r/m with an extension in the reg field: X86_GROUP() */
};

/* Extensions of group opcodes. */
enum x86_alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP }; /* 81/83 */
enum x86_shift { SH_ROL, SH_ROR, SH_SHL = 4, SH_SHR, SH_SAR = 7 };			 /* C1, D3 */
enum x86_unary { UN_NOT = 2, UN_NEG, UN_MUL, UN_IMUL, UN_DIV, UN_IDIV };		 /* F7 */

/* Memory operand. */
struct x86_mem {
	uint8_t base, index, scale; /* scale: log2; index RSP: none */
	int32_t disp;
};

static inline struct x86_mem x86_at(unsigned base, int32_t disp)
{
	return (struct x86_mem){.base = (uint8_t)base, .index = RSP, .disp = disp};
}

static inline struct x86_mem x86_indexed(unsigned base, unsigned index, unsigned scale, int32_t disp)
{
	return (struct x86_mem){(uint8_t)base, (uint8_t)index, (uint8_t)scale, disp};
}

static inline void x86_byte(struct x86 *x, unsigned byte)
{
	*x->at++ = (uint8_t)byte;
}

static inline void x86_u32(struct x86 *x, uint32_t value)
{
	memcpy(x->at, &value, 4);
	x->at += 4;
}

static inline void x86_u64(struct x86 *x, uint64_t value)
{
	memcpy(x->at, &value, 8);
	x->at += 8;
}

/* Where the next byte will run. */
static inline const uint8_t *x86_here(const struct x86 *x)
{
	return x->at + x->bias;
}

static inline void x86_modrm_mem(struct x86 *x, unsigned reg, struct x86_mem m)
{
	bool short_disp = m.disp == (int8_t)m.disp, none = !m.disp && (m.base & 7) != RBP;
	unsigned mod = none ? 0 : short_disp ? 1 : 2;
	bool sib = m.index != RSP || (m.base & 7) == RSP;
	x86_byte(x, mod << 6 | (reg & 7) << 3 | (sib ? RSP : m.base & 7));
	if (sib) {
		x86_byte(x, (unsigned)m.scale << 6 | (m.index & 7u) << 3 | (m.base & 7));
	}
	if (mod == 1) {
		x86_byte(x, (uint8_t)m.disp);
	} else if (mod == 2) {
		x86_u32(x, (uint32_t)m.disp);
	}
}

/* Prefixes and opcode; @byte_reg: the registers are named as bytes, so 4..7 need a REX. */
static inline void x86_opcode(struct x86 *x, unsigned op, bool wide, unsigned reg, unsigned index, unsigned rm,
			      bool byte_reg)
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};
	unsigned rex = (unsigned)wide << 3 | (reg & 8) >> 1 | (index & 8) >> 2 | (rm & 8) >> 3;
	if (op >> 8 & 3) {
		x86_byte(x, prefixes[op >> 8 & 3]);
	}
	if (rex || byte_reg) {
		x86_byte(x, 0x40 | rex);
	}
	unsigned map = op >> 12;
	if (map) {
		x86_byte(x, 0x0f);
	}
	if (map > 1) {
		x86_byte(x, map == 2 ? 0x38 : 0x3a);
	}
	x86_byte(x, op & 0xff);
}

static inline bool x86_is_byte_op(unsigned op)
{
	return op == X_MOVZX8 || op == X_MOVSX8 || op == X_STORE8 || op == X_CMPXCHG8 || op == X_XADD8 ||
	       op == X_XCHG8 || op == X_CRC32_8;
}

static inline void x86_rr(struct x86 *x, unsigned op, bool wide, unsigned reg, unsigned rm)
{
	x86_opcode(x, op, wide, reg, 0, rm, x86_is_byte_op(op) && (rm > 3 || reg > 3));
	x86_byte(x, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline void x86_rm(struct x86 *x, unsigned op, bool wide, unsigned reg, struct x86_mem m)
{
	x86_opcode(x, op, wide, reg, m.index == RSP ? 0 : m.index, m.base, x86_is_byte_op(op) && reg > 3);
	x86_modrm_mem(x, reg, m);
}

static inline void x86_lock(struct x86 *x)
{
	x86_byte(x, 0xf0);
}

/* Opcode with an extension, on a register. */
static inline void x86_group(struct x86 *x, unsigned opcode, unsigned ext, bool wide, unsigned rm)
{
	x86_opcode(x, opcode, wide, 0, 0, rm, false);
	x86_byte(x, 0xc0 | ext << 3 | (rm & 7));
}

static inline void x86_alu_imm(struct x86 *x, enum x86_alu alu, bool wide, unsigned rm, int32_t imm)
{
	bool is_short = imm == (int8_t)imm;
	x86_group(x, is_short ? 0x83 : 0x81, alu, wide, rm);
	if (is_short) {
		x86_byte(x, (uint8_t)imm);
	} else {
		x86_u32(x, (uint32_t)imm);
	}
}

static inline void x86_alu_imm_mem(struct x86 *x, enum x86_alu alu, bool wide, struct x86_mem m, int32_t imm)
{
	bool is_short = imm == (int8_t)imm;
	x86_opcode(x, is_short ? 0x83 : 0x81, wide, 0, m.index == RSP ? 0 : m.index, m.base, false);
	x86_modrm_mem(x, alu, m);
	if (is_short) {
		x86_byte(x, (uint8_t)imm);
	} else {
		x86_u32(x, (uint32_t)imm);
	}
}

/* cmp byte [m], imm */
static inline void x86_cmp8_mem(struct x86 *x, struct x86_mem m, uint8_t imm)
{
	x86_opcode(x, 0x80, false, 0, m.index == RSP ? 0 : m.index, m.base, false);
	x86_modrm_mem(x, ALU_CMP, m);
	x86_byte(x, imm);
}

/* test r32, imm */
static inline void x86_test_imm(struct x86 *x, bool wide, unsigned rm, uint32_t imm)
{
	x86_group(x, 0xf7, 0, wide, rm);
	x86_u32(x, imm);
}

/* bt rm, bit */
static inline void x86_bt_imm(struct x86 *x, unsigned rm, unsigned bit)
{
	x86_opcode(x, X86(1, 0, 0xba), true, 0, 0, rm, false);
	x86_byte(x, 0xc0 | 4 << 3 | (rm & 7));
	x86_byte(x, bit);
}

static inline void x86_shift_imm(struct x86 *x, enum x86_shift shift, bool wide, unsigned rm, unsigned amount)
{
	x86_group(x, 0xc1, shift, wide, rm);
	x86_byte(x, amount);
}

static inline void x86_shift_cl(struct x86 *x, enum x86_shift shift, bool wide, unsigned rm)
{
	x86_group(x, 0xd3, shift, wide, rm);
}

static inline void x86_unary(struct x86 *x, enum x86_unary op, bool wide, unsigned rm)
{
	x86_group(x, 0xf7, op, wide, rm);
}

static inline void x86_mov(struct x86 *x, bool wide, unsigned to, unsigned from)
{
	if (to != from || !wide) {
		x86_rr(x, X_MOV, wide, to, from);
	}
}

/* Any constant, in the shortest form that leaves the flags alone. */
static inline void x86_mov_imm(struct x86 *x, unsigned reg, uint64_t value)
{
	if (value <= UINT32_MAX) {
		x86_opcode(x, 0xb8 + (reg & 7), false, 0, 0, reg, false);
		x86_u32(x, (uint32_t)value);
	} else if ((int64_t)value == (int32_t)value) {
		x86_group(x, 0xc7, 0, true, reg);
		x86_u32(x, (uint32_t)value);
	} else {
		x86_opcode(x, 0xb8 + (reg & 7), true, 0, 0, reg, false);
		x86_u64(x, value);
	}
}

static inline void x86_bswap(struct x86 *x, bool wide, unsigned reg)
{
	x86_opcode(x, X86(1, 0, 0xc8 + (reg & 7)), wide, 0, 0, reg, false);
}

static inline void x86_setcc(struct x86 *x, enum x86_cc cc, unsigned reg)
{
	x86_opcode(x, X86(1, 0, 0x90 + cc), false, 0, 0, reg, reg > 3);
	x86_byte(x, 0xc0 | (reg & 7));
}

static inline void x86_cmov(struct x86 *x, enum x86_cc cc, bool wide, unsigned to, unsigned from)
{
	x86_rr(x, X_CMOV + cc, wide, to, from);
}

/* ----- VEX: BMI and AVX ----- */

/* @reg, @vvvv, @rm as the manual orders them for the form; @l: 256 bits. */
static inline void x86_vex(struct x86 *x, unsigned op, bool wide, unsigned reg, unsigned vvvv, unsigned index,
			   unsigned rm, bool l)
{
	unsigned map = op >> 12 & 3, prefix = op >> 8 & 3;
	if (map == 1 && !wide && rm < 8 && index < 8) {
		x86_byte(x, 0xc5);
		x86_byte(x, (reg < 8) << 7 | (~vvvv & 15) << 3 | (unsigned)l << 2 | prefix);
	} else {
		x86_byte(x, 0xc4);
		x86_byte(x, (reg < 8) << 7 | (index < 8) << 6 | (rm < 8) << 5 | map);
		x86_byte(x, (unsigned)wide << 7 | (~vvvv & 15) << 3 | (unsigned)l << 2 | prefix);
	}
	x86_byte(x, op & 0xff);
}

static inline void x86_vrr(struct x86 *x, unsigned op, bool wide, unsigned reg, unsigned vvvv, unsigned rm)
{
	x86_vex(x, op, wide, reg, vvvv, 0, rm, false);
	x86_byte(x, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline void x86_vrm(struct x86 *x, unsigned op, bool wide, unsigned reg, unsigned vvvv, struct x86_mem m)
{
	x86_vex(x, op, wide, reg, vvvv, m.index == RSP ? 0 : m.index, m.base, false);
	x86_modrm_mem(x, reg, m);
}

/* BMI2; none touches the flags (Intel SDM 2B/2C). */
enum {
	V_SHLX = X86(2, 1, 0xf7), V_SARX = X86(2, 2, 0xf7), V_SHRX = X86(2, 3, 0xf7), /* reg = rm shifted by vvvv */
	V_RORX = X86(3, 3, 0xf0), /* reg = rm rotated by an immediate */
	V_PDEP = X86(2, 3, 0xf5), V_PEXT = X86(2, 2, 0xf5), /* reg = vvvv by mask rm */
	V_MULX = X86(2, 3, 0xf6), /* reg:vvvv = rdx * rm */
	V_ANDN = X86(2, 0, 0xf2), /* reg = ~vvvv & rm; sets flags */
};

static inline void x86_rorx(struct x86 *x, bool wide, unsigned to, unsigned from, unsigned amount)
{
	x86_vrr(x, V_RORX, wide, to, 0, from);
	x86_byte(x, amount);
}

/* Moves of XMM registers. */
enum {
	V_MOVDQA = X86(1, 1, 0x6f), V_MOVDQA_STORE = X86(1, 1, 0x7f), V_PXOR = X86(1, 1, 0xef),
};

/* ----- flow ----- */

static inline void x86_rel32(struct x86 *x, const uint8_t *target)
{
	intptr_t distance = target - (x86_here(x) + 4);
	assert(distance == (int32_t)distance);
	x86_u32(x, (uint32_t)distance);
}

static inline void x86_jmp(struct x86 *x, const uint8_t *target)
{
	x86_byte(x, 0xe9);
	x86_rel32(x, target);
}

static inline void x86_jcc(struct x86 *x, enum x86_cc cc, const uint8_t *target)
{
	x86_byte(x, 0x0f);
	x86_byte(x, 0x80 + cc);
	x86_rel32(x, target);
}

static inline void x86_call(struct x86 *x, const uint8_t *target)
{
	x86_byte(x, 0xe8);
	x86_rel32(x, target);
}

static inline void x86_jmp_reg(struct x86 *x, unsigned reg)
{
	x86_group(x, 0xff, 4, false, reg);
}

static inline void x86_call_mem(struct x86 *x, struct x86_mem m)
{
	x86_opcode(x, 0xff, false, 0, 0, m.base, false);
	x86_modrm_mem(x, 2, m);
}

static inline void x86_ret(struct x86 *x)
{
	x86_byte(x, 0xc3);
}

static inline void x86_push(struct x86 *x, unsigned reg)
{
	x86_opcode(x, 0x50 + (reg & 7), false, 0, 0, reg, false);
}

static inline void x86_pop(struct x86 *x, unsigned reg)
{
	x86_opcode(x, 0x58 + (reg & 7), false, 0, 0, reg, false);
}

/* A forward jump whose target is not known yet: returns where its rel32 lies. */
static inline uint8_t *x86_jcc_later(struct x86 *x, enum x86_cc cc)
{
	x86_byte(x, 0x0f);
	x86_byte(x, 0x80 + cc);
	x86_u32(x, 0);
	return x->at - 4;
}

static inline uint8_t *x86_jmp_later(struct x86 *x)
{
	x86_byte(x, 0xe9);
	x86_u32(x, 0);
	return x->at - 4;
}

/* Let the rel32 at @hole (writable view) lead to @target (either view, the same as @hole's). */
static inline void x86_patch(uint8_t *hole, const uint8_t *target)
{
	int32_t distance = (int32_t)(target - (hole + 4));
	memcpy(hole, &distance, 4);
}

static inline void x86_land(struct x86 *x, uint8_t *hole)
{
	x86_patch(hole, x->at);
}

/* LAHF, SAHF, CMC, STC. */
static inline void x86_lahf(struct x86 *x)
{
	x86_byte(x, 0x9f);
}

static inline void x86_sahf(struct x86 *x)
{
	x86_byte(x, 0x9e);
}

static inline void x86_cmc(struct x86 *x)
{
	x86_byte(x, 0xf5);
}

static inline void x86_stc(struct x86 *x)
{
	x86_byte(x, 0xf9);
}

#endif
