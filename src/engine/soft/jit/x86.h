/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86.h - an assembler for x86-64: instructions as bytes
 *
 * How it works: an operation is a number, X86(map, prefix, opcode) as the manuals write it; its operands choose among a few forms
 * (register and register, register and memory, VEX or EVEX with three operands).  Memory is always [base + displacement] or
 * [base + index * scale + displacement].  The caller makes sure that X86_ROOM bytes are left.
 * Every access to memory is checked while it is emitted: its base is RSP, or RBP with a displacement into what RBP points at, or a
 * register that was declared a pointer (x86_point()) and not written since, with no jump that lands in between.  So no
 * value of a guest becomes an address except where x86_point() says why it may.
 * Source: Intel SDM volume 2, chapters 2.1 to 2.3, 2.7 (formats) and the pages of the instructions.
 * Threads: pure apart from *x.
 */
#ifndef ORIEL_ENGINE_SOFT_JIT_X86_H
#define ORIEL_ENGINE_SOFT_JIT_X86_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Bytes are written to @at; they will run at @at + @bias (the executable view of the same pages). */
struct x86 {
	uint8_t *at, *end;
	intptr_t bias;
	int32_t rbp_low, rbp_high; /* displacements from RBP that may be accessed: low <= d < high */
	uint16_t pointers;	   /* registers that hold checked addresses, a bit each */
	const uint8_t *floor; /* x86_rel32() leads to nothing below: where the code that moves as one begins */
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

/* @reg is the address of something that may be accessed. */
static inline void x86_point(struct x86 *x, unsigned reg)
{
	x->pointers |= (uint16_t)(1u << reg);
}

/* @reg is written. */
static inline void x86_wrote(struct x86 *x, unsigned reg)
{
	x->pointers &= (uint16_t) ~(1u << reg);
}

static inline void x86_check(const struct x86 *x, struct x86_mem m)
{
	bool inside = m.base == RBP && m.disp >= x->rbp_low && m.disp < x->rbp_high && m.index == RSP;
	assert(inside || m.base == RSP || x->pointers >> m.base & 1);
}

/* ModRM, SIB and displacement of an address that is only computed (LEA); @may_be_short: the displacement as a byte. */
static inline void x86_modrm_form(struct x86 *x, unsigned reg, struct x86_mem m, bool may_be_short)
{
	bool short_disp = may_be_short && m.disp == (int8_t)m.disp, none = !m.disp && (m.base & 7) != RBP;
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

static inline void x86_modrm_address(struct x86 *x, unsigned reg, struct x86_mem m)
{
	x86_modrm_form(x, reg, m, true);
}

static inline void x86_modrm_mem(struct x86 *x, unsigned reg, struct x86_mem m)
{
	x86_check(x, m);
	x86_modrm_address(x, reg, m);
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
	if (op != X_CMP && op != X_TEST) {
		x86_wrote(x, reg);
	}
}

static inline void x86_rm(struct x86 *x, unsigned op, bool wide, unsigned reg, struct x86_mem m)
{
	x86_opcode(x, op, wide, reg, m.index == RSP ? 0 : m.index, m.base, x86_is_byte_op(op) && reg > 3);
	if (op == X_LEA) {
		x86_modrm_address(x, reg, m);
	} else {
		x86_modrm_mem(x, reg, m);
	}
	if (op != X_CMP && op != X_STORE && op != X_STORE8 && op != X_STORE16) {
		x86_wrote(x, reg);
	}
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
	x86_wrote(x, rm); /* those that only read it are no harm */
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

/* test dword [m], imm */
static inline void x86_test_imm_mem(struct x86 *x, struct x86_mem m, uint32_t imm)
{
	x86_opcode(x, 0xf7, false, 0, m.index == RSP ? 0 : m.index, m.base, false);
	x86_modrm_mem(x, 0, m);
	x86_u32(x, imm);
}

/* STMXCSR, LDMXCSR */
static inline void x86_mxcsr(struct x86 *x, bool store, struct x86_mem m)
{
	x86_opcode(x, X86(1, 0, 0xae), false, 0, m.index == RSP ? 0 : m.index, m.base, false);
	x86_modrm_mem(x, store ? 3 : 2, m);
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
	if (op >= UN_MUL) {
		x86_wrote(x, RDX);
	}
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
	x86_wrote(x, reg);
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
	x86_wrote(x, reg);
}

static inline void x86_setcc(struct x86 *x, enum x86_cc cc, unsigned reg)
{
	x86_wrote(x, reg);
	x86_opcode(x, X86(1, 0, 0x90 + cc), false, 0, 0, reg, reg > 3);
	x86_byte(x, 0xc0 | (reg & 7));
}

static inline void x86_cmov(struct x86 *x, enum x86_cc cc, bool wide, unsigned to, unsigned from)
{
	x86_rr(x, X_CMOV + cc, wide, to, from);
}

/* ----- VEX: BMI and AVX; EVEX: AVX-512 ----- */

#define X86_W	 (1 << 16) /* the form has VEX.W or EVEX.W set */
#define X86_EVEX (1 << 17)

/* As x86_vex(), 128 bits, without a mask, XMM0 to XMM15.  SDM 2A, 2.7 (2.6 in older ones). */
static inline void x86_evex(struct x86 *x, unsigned op, bool wide, unsigned reg, unsigned vvvv, unsigned index,
			    unsigned rm)
{
	x86_byte(x, 0x62);
	x86_byte(x, (reg < 8) << 7 | (index < 8) << 6 | (rm < 8) << 5 | 1 << 4 | (op >> 12 & 3));
	x86_byte(x, (unsigned)wide << 7 | (~vvvv & 15) << 3 | 1 << 2 | (op >> 8 & 3));
	x86_byte(x, 1 << 3); /* V' inverted */
	x86_byte(x, op & 0xff);
}

/* @reg, @vvvv, @rm as the manual orders them for the form; @l: 256 bits. */
static inline void x86_vex(struct x86 *x, unsigned op, bool wide, unsigned reg, unsigned vvvv, unsigned index,
			   unsigned rm, bool l)
{
	unsigned map = op >> 12 & 3, prefix = op >> 8 & 3;
	if (op & X86_EVEX) {
		x86_evex(x, op, wide, reg, vvvv, index, rm);
		return;
	}
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

/* BMI2; none touches the flags (Intel SDM 2B/2C). */
enum {
	V_SHLX = X86(2, 1, 0xf7), V_SARX = X86(2, 2, 0xf7), V_SHRX = X86(2, 3, 0xf7), /* reg = rm shifted by vvvv */
	V_RORX = X86(3, 3, 0xf0), /* reg = rm rotated by an immediate */
	V_PDEP = X86(2, 3, 0xf5), V_PEXT = X86(2, 2, 0xf5), /* reg = vvvv by mask rm */
	V_MULX = X86(2, 3, 0xf6), /* reg:vvvv = rdx * rm */
	V_ANDN = X86(2, 0, 0xf2), /* reg = ~vvvv & rm; sets flags */
};

/* ----- AVX ----- */

enum {
	/* moves; STORE: from reg to r/m; MOVD and MOVQ between an XMM register (reg) and a general one or memory (r/m) */
	V_MOVDQA = X86(1, 1, 0x6f), V_MOVDQA_STORE = X86(1, 1, 0x7f),
	V_MOVDQU = X86(1, 2, 0x6f), V_MOVDQU_STORE = X86(1, 2, 0x7f),
	V_MOVQ = X86(1, 2, 0x7e), V_MOVQ_STORE = X86(1, 1, 0xd6), /* XMM or memory */
	V_MOVD_IN = X86(1, 1, 0x6e), V_MOVD_OUT = X86(1, 1, 0x7e),
	V_MOVQ_IN = X86_W | X86(1, 1, 0x6e), V_MOVQ_OUT = X86_W | X86(1, 1, 0x7e),
	V_MOVSS = X86(1, 2, 0x10), V_MOVSS_STORE = X86(1, 2, 0x11), /* memory */
	V_MOVSHDUP = X86(1, 2, 0x16), V_MOVDDUP = X86(1, 3, 0x12),
	V_MOVHLPS = X86(1, 0, 0x12), V_MOVLHPS = X86(1, 0, 0x16),
	V_INSERTPS = X86(3, 1, 0x21), V_BLENDPS = X86(3, 1, 0x0c), V_PBLENDW = X86(3, 1, 0x0e),
	V_PBROADCASTB = X86(2, 1, 0x78), V_PBROADCASTW = X86(2, 1, 0x79), V_PBROADCASTD = X86(2, 1, 0x58),
	V_PBROADCASTQ = X86(2, 1, 0x59),
	V_PINSRB = X86(3, 1, 0x20), V_PINSRW = X86(1, 1, 0xc4), V_PINSRD = X86(3, 1, 0x22),
	V_PINSRQ = X86_W | X86(3, 1, 0x22),
	V_PEXTRB = X86(3, 1, 0x14), V_PEXTRW = X86(3, 1, 0x15), V_PEXTRD = X86(3, 1, 0x16), /* reg to r/m */
	V_PEXTRQ = X86_W | X86(3, 1, 0x16),
	V_PMOVMSKB = X86(1, 1, 0xd7), V_MOVMSKPS = X86(1, 0, 0x50), V_MOVMSKPD = X86(1, 1, 0x50),

	/* logic; ANDN: ~vvvv & rm */
	V_PAND = X86(1, 1, 0xdb), V_PANDN = X86(1, 1, 0xdf), V_POR = X86(1, 1, 0xeb), V_PXOR = X86(1, 1, 0xef),
	V_PTEST = X86(2, 1, 0x17), V_TESTPS = X86(2, 1, 0x0e), V_TESTPD = X86(2, 1, 0x0f),

	/* integers: the last letters are the element */
	V_PADDB = X86(1, 1, 0xfc), V_PADDW = X86(1, 1, 0xfd), V_PADDD = X86(1, 1, 0xfe), V_PADDQ = X86(1, 1, 0xd4),
	V_PSUBB = X86(1, 1, 0xf8), V_PSUBW = X86(1, 1, 0xf9), V_PSUBD = X86(1, 1, 0xfa), V_PSUBQ = X86(1, 1, 0xfb),
	V_PADDSB = X86(1, 1, 0xec), V_PADDSW = X86(1, 1, 0xed), V_PADDUSB = X86(1, 1, 0xdc), V_PADDUSW = X86(1, 1, 0xdd),
	V_PSUBSB = X86(1, 1, 0xe8), V_PSUBSW = X86(1, 1, 0xe9), V_PSUBUSB = X86(1, 1, 0xd8), V_PSUBUSW = X86(1, 1, 0xd9),
	V_PCMPEQB = X86(1, 1, 0x74), V_PCMPEQW = X86(1, 1, 0x75), V_PCMPEQD = X86(1, 1, 0x76), V_PCMPEQQ = X86(2, 1, 0x29),
	V_PCMPGTB = X86(1, 1, 0x64), V_PCMPGTW = X86(1, 1, 0x65), V_PCMPGTD = X86(1, 1, 0x66), V_PCMPGTQ = X86(2, 1, 0x37),
	V_PMAXSB = X86(2, 1, 0x3c), V_PMAXSW = X86(1, 1, 0xee), V_PMAXSD = X86(2, 1, 0x3d),
	V_PMAXUB = X86(1, 1, 0xde), V_PMAXUW = X86(2, 1, 0x3e), V_PMAXUD = X86(2, 1, 0x3f),
	V_PMINSB = X86(2, 1, 0x38), V_PMINSW = X86(1, 1, 0xea), V_PMINSD = X86(2, 1, 0x39),
	V_PMINUB = X86(1, 1, 0xda), V_PMINUW = X86(2, 1, 0x3a), V_PMINUD = X86(2, 1, 0x3b),
	V_PMULLW = X86(1, 1, 0xd5), V_PMULLD = X86(2, 1, 0x40), V_PMULHW = X86(1, 1, 0xe5), V_PMULHUW = X86(1, 1, 0xe4),
	V_PMULDQ = X86(2, 1, 0x28), V_PMULUDQ = X86(1, 1, 0xf4), V_PMADDWD = X86(1, 1, 0xf5), V_PMADDUBSW = X86(2, 1, 0x04),
	V_PMULHRSW = X86(2, 1, 0x0b),
	V_PABSB = X86(2, 1, 0x1c), V_PABSW = X86(2, 1, 0x1d), V_PABSD = X86(2, 1, 0x1e),
	V_PAVGB = X86(1, 1, 0xe0), V_PAVGW = X86(1, 1, 0xe3), V_PSADBW = X86(1, 1, 0xf6),
	V_PSLLVD = X86(2, 1, 0x47), V_PSLLVQ = X86_W | X86(2, 1, 0x47), V_PSRLVD = X86(2, 1, 0x45),
	V_PSRLVQ = X86_W | X86(2, 1, 0x45), V_PSRAVD = X86(2, 1, 0x46),
	/* shifts by an immediate: x86_vshift() with the extension in bits 20:18 */
	V_PSRLW = 2 << 18 | X86(1, 1, 0x71), V_PSRAW = 4 << 18 | X86(1, 1, 0x71), V_PSLLW = 6 << 18 | X86(1, 1, 0x71),
	V_PSRLD = 2 << 18 | X86(1, 1, 0x72), V_PSRAD = 4 << 18 | X86(1, 1, 0x72), V_PSLLD = 6 << 18 | X86(1, 1, 0x72),
	V_PSRLQ = 2 << 18 | X86(1, 1, 0x73), V_PSLLQ = 6 << 18 | X86(1, 1, 0x73), V_PSRLDQ = 3 << 18 | X86(1, 1, 0x73),
	V_PSLLDQ = 7 << 18 | X86(1, 1, 0x73),

	/* permutations */
	V_PSHUFB = X86(2, 1, 0x00), V_PSHUFD = X86(1, 1, 0x70), V_PSHUFLW = X86(1, 3, 0x70), V_PSHUFHW = X86(1, 2, 0x70),
	V_SHUFPS = X86(1, 0, 0xc6), V_SHUFPD = X86(1, 1, 0xc6), V_PALIGNR = X86(3, 1, 0x0f),
	V_PUNPCKLBW = X86(1, 1, 0x60), V_PUNPCKLWD = X86(1, 1, 0x61), V_PUNPCKLDQ = X86(1, 1, 0x62),
	V_PUNPCKLQDQ = X86(1, 1, 0x6c), V_PUNPCKHBW = X86(1, 1, 0x68), V_PUNPCKHWD = X86(1, 1, 0x69),
	V_PUNPCKHDQ = X86(1, 1, 0x6a), V_PUNPCKHQDQ = X86(1, 1, 0x6d),
	V_PACKSSWB = X86(1, 1, 0x63), V_PACKSSDW = X86(1, 1, 0x6b), V_PACKUSWB = X86(1, 1, 0x67), V_PACKUSDW = X86(2, 1, 0x2b),
	V_PMOVSXBW = X86(2, 1, 0x20), V_PMOVSXWD = X86(2, 1, 0x23), V_PMOVSXDQ = X86(2, 1, 0x25),
	V_PMOVZXBW = X86(2, 1, 0x30), V_PMOVZXWD = X86(2, 1, 0x33), V_PMOVZXDQ = X86(2, 1, 0x35),
	V_PHADDW = X86(2, 1, 0x01), V_PHADDD = X86(2, 1, 0x02), V_PHMINPOSUW = X86(2, 1, 0x41),
	V_PBLENDVB = X86(3, 1, 0x4c), V_BLENDVPS = X86(3, 1, 0x4a),
	V_BLENDVPD = X86(3, 1, 0x4b), /* the mask's number in the upper half of the immediate */

	/* floating point */
	V_ADDSS = X86(1, 2, 0x58), V_ADDSD = X86(1, 3, 0x58), V_ADDPS = X86(1, 0, 0x58), V_ADDPD = X86(1, 1, 0x58),
	V_SUBSS = X86(1, 2, 0x5c), V_SUBSD = X86(1, 3, 0x5c), V_SUBPS = X86(1, 0, 0x5c), V_SUBPD = X86(1, 1, 0x5c),
	V_MULSS = X86(1, 2, 0x59), V_MULSD = X86(1, 3, 0x59), V_MULPS = X86(1, 0, 0x59), V_MULPD = X86(1, 1, 0x59),
	V_DIVSS = X86(1, 2, 0x5e), V_DIVSD = X86(1, 3, 0x5e), V_DIVPS = X86(1, 0, 0x5e), V_DIVPD = X86(1, 1, 0x5e),
	V_MAXSS = X86(1, 2, 0x5f), V_MAXSD = X86(1, 3, 0x5f), V_MAXPS = X86(1, 0, 0x5f), V_MAXPD = X86(1, 1, 0x5f),
	V_MINSS = X86(1, 2, 0x5d), V_MINSD = X86(1, 3, 0x5d), V_MINPS = X86(1, 0, 0x5d), V_MINPD = X86(1, 1, 0x5d),
	V_SQRTSS = X86(1, 2, 0x51), V_SQRTSD = X86(1, 3, 0x51), V_SQRTPS = X86(1, 0, 0x51), V_SQRTPD = X86(1, 1, 0x51),
	V_UCOMISS = X86(1, 0, 0x2e), V_UCOMISD = X86(1, 1, 0x2e),
	V_CMPSS = X86(1, 2, 0xc2), V_CMPSD = X86(1, 3, 0xc2), V_CMPPS = X86(1, 0, 0xc2), V_CMPPD = X86(1, 1, 0xc2),
	V_ROUNDSS = X86(3, 1, 0x0a), V_ROUNDSD = X86(3, 1, 0x0b), V_ROUNDPS = X86(3, 1, 0x08), V_ROUNDPD = X86(3, 1, 0x09),
	V_CVTSS2SD = X86(1, 2, 0x5a), V_CVTSD2SS = X86(1, 3, 0x5a), V_CVTPS2PD = X86(1, 0, 0x5a), V_CVTPD2PS = X86(1, 1, 0x5a),
	V_CVTTSS2SI = X86(1, 2, 0x2c), V_CVTTSD2SI = X86(1, 3, 0x2c), V_CVTSI2SS = X86(1, 2, 0x2a), V_CVTSI2SD = X86(1, 3, 0x2a),
	V_CVTTPS2DQ = X86(1, 2, 0x5b), V_CVTDQ2PS = X86(1, 0, 0x5b), V_CVTDQ2PD = X86(1, 2, 0xe6),
	V_CVTPH2PS = X86(2, 1, 0x13), V_CVTPS2PH = X86(3, 1, 0x1d), V_EXTRACTI128 = X86(3, 1, 0x39), /* the last two: reg to r/m */
	/* reg = vvvv * rm +- reg: the 231 forms; packed, and scalar as the opcode's neighbour */
	V_FMADDPS = X86(2, 1, 0xb8), V_FMADDPD = X86_W | X86(2, 1, 0xb8), V_FMADDSS = X86(2, 1, 0xb9),
	V_FMADDSD = X86_W | X86(2, 1, 0xb9), V_FMSUBSS = X86(2, 1, 0xbb), V_FMSUBSD = X86_W | X86(2, 1, 0xbb),
	V_FNMADDPS = X86(2, 1, 0xbc), V_FNMADDPD = X86_W | X86(2, 1, 0xbc), V_FNMADDSS = X86(2, 1, 0xbd),
	V_FNMADDSD = X86_W | X86(2, 1, 0xbd), V_FNMSUBSS = X86(2, 1, 0xbf), V_FNMSUBSD = X86_W | X86(2, 1, 0xbf),

	/* cryptography */
	V_AESENC = X86(2, 1, 0xdc), V_AESENCLAST = X86(2, 1, 0xdd), V_AESDEC = X86(2, 1, 0xde),
	V_AESDECLAST = X86(2, 1, 0xdf), V_AESIMC = X86(2, 1, 0xdb), V_PCLMULQDQ = X86(3, 1, 0x44),
	/* without VEX: reg and r/m */
	X_SHA256RNDS2 = X86(2, 0, 0xcb), X_SHA256MSG1 = X86(2, 0, 0xcc), X_SHA256MSG2 = X86(2, 0, 0xcd),
	X_SHA1RNDS4 = X86(3, 0, 0xcc), X_SHA1NEXTE = X86(2, 0, 0xc8), X_SHA1MSG1 = X86(2, 0, 0xc9), X_SHA1MSG2 = X86(2, 0, 0xca),
};

/*
 * AVX-512 (F, BW, CD, DQ, VL) and what is named; every form is on XMM registers.  jit_host_features() says whether the
 * host has them.
 */
#define E66(map, opcode)  (X86_EVEX | X86(map, 1, opcode))
#define E66W(map, opcode) (X86_EVEX | X86_W | X86(map, 1, opcode))
#define EF3(map, opcode)  (X86_EVEX | X86(map, 2, opcode))
#define EF2(map, opcode)  (X86_EVEX | X86(map, 3, opcode))

enum {
	/* any function of the old reg, vvvv and rm: the immediate has its value at (reg << 2 | vvvv << 1 | rm) */
	E_PTERNLOGD = E66(3, 0x25),
	E_PMAXSQ = E66W(2, 0x3d), E_PMINSQ = E66W(2, 0x39), E_PMAXUQ = E66W(2, 0x3f), E_PMINUQ = E66W(2, 0x3b),
	E_PABSQ = E66W(2, 0x1f), E_PMULLQ = E66W(2, 0x40),
	E_PLZCNTD = E66(2, 0x44), E_PLZCNTQ = E66W(2, 0x44),
	E_PSLLVW = E66W(2, 0x12), E_PSRLVW = E66W(2, 0x10), E_PSRAVW = E66W(2, 0x11), E_PSRAVQ = E66W(2, 0x46),
	/* by an immediate: x86_vshift() */
	E_PSRAQ = 4 << 18 | E66W(1, 0x72), E_PROLD = 1 << 18 | E66(1, 0x72), E_PROLQ = 1 << 18 | E66W(1, 0x72),
	E_PRORD = E66(1, 0x72), E_PRORQ = E66W(1, 0x72),
	/* narrowing, cut off or saturated: from reg to r/m */
	E_PMOVQD = EF3(2, 0x35), E_PMOVSQD = EF3(2, 0x25), E_PMOVUSQD = EF3(2, 0x15),
	E_PERMI2W = E66W(2, 0x75), E_PERMT2W = E66W(2, 0x7d), /* I2: reg has the indexes; T2: vvvv has them */
	/* VBMI, BITALG, VNNI */
	E_PERMB = E66(2, 0x8d), E_PERMI2B = E66(2, 0x75), E_PERMT2B = E66(2, 0x7d),
	E_POPCNTB = E66(2, 0x54), E_POPCNTW = E66W(2, 0x54),
	E_PDPBUSD = E66(2, 0x50), /* reg += vvvv (unsigned) * rm (signed) */

	/* conversions; U: unsigned, TT: towards zero, otherwise as MXCSR rounds */
	E_CVTPS2UDQ = X86_EVEX | X86(1, 0, 0x79), E_CVTTPS2UDQ = X86_EVEX | X86(1, 0, 0x78),
	E_CVTPD2QQ = E66W(1, 0x7b), E_CVTTPD2QQ = E66W(1, 0x7a),
	E_CVTPD2UQQ = E66W(1, 0x79), E_CVTTPD2UQQ = E66W(1, 0x78),
	E_CVTUDQ2PS = EF2(1, 0x7a), E_CVTQQ2PD = X86_W | EF3(1, 0xe6), E_CVTUQQ2PD = X86_W | EF3(1, 0x7a),
	/* with a general register or memory; wide or not, as x86_vrr() is told */
	E_CVTTSS2USI = EF3(1, 0x78), E_CVTTSD2USI = EF2(1, 0x78), E_CVTUSI2SS = EF3(1, 0x7b), E_CVTUSI2SD = EF2(1, 0x7b),
};

/* Those of the forms above that write general registers. */
static inline void x86_vector_wrote(struct x86 *x, unsigned op, unsigned reg, unsigned vvvv, unsigned rm)
{
	switch (op) {
	case V_MULX: x86_wrote(x, vvvv); __attribute__((fallthrough));
	case V_SHLX:
	case V_SARX:
	case V_SHRX:
	case V_RORX:
	case V_PDEP:
	case V_PEXT:
	case V_ANDN:
	case V_PMOVMSKB:
	case V_MOVMSKPS:
	case V_MOVMSKPD:
	case V_CVTTSS2SI:
	case V_CVTTSD2SI:
	case E_CVTTSS2USI:
	case E_CVTTSD2USI: x86_wrote(x, reg); break;
	case V_MOVD_OUT:
	case V_MOVQ_OUT:
	case V_PEXTRB:
	case V_PEXTRW:
	case V_PEXTRD:
	case V_PEXTRQ: x86_wrote(x, rm); break;
	default: break;
	}
}

static inline void x86_vrr(struct x86 *x, unsigned op, bool wide, unsigned reg, unsigned vvvv, unsigned rm)
{
	x86_vex(x, op, wide, reg, vvvv, 0, rm, false);
	x86_byte(x, 0xc0 | (reg & 7) << 3 | (rm & 7));
	x86_vector_wrote(x, op, reg, vvvv, rm);
}

static inline void x86_vrm(struct x86 *x, unsigned op, bool wide, unsigned reg, unsigned vvvv, struct x86_mem m)
{
	x86_vex(x, op, wide, reg, vvvv, m.index == RSP ? 0 : m.index, m.base, false);
	x86_check(x, m);
	x86_modrm_form(x, reg, m, !(op & X86_EVEX)); /* a byte there would count operands */
}

static inline void x86_rorx(struct x86 *x, bool wide, unsigned to, unsigned from, unsigned amount)
{
	x86_vrr(x, V_RORX, wide, to, 0, from);
	x86_byte(x, amount);
}

/* The form of @op with W in the number, on registers or memory, with an immediate or not. */
static inline void x86_v(struct x86 *x, unsigned op, unsigned reg, unsigned vvvv, unsigned rm)
{
	x86_vrr(x, op, op & X86_W, reg, vvvv, rm);
}

static inline void x86_vm(struct x86 *x, unsigned op, unsigned reg, unsigned vvvv, struct x86_mem m)
{
	x86_vrm(x, op, op & X86_W, reg, vvvv, m);
}

static inline void x86_vrr_imm(struct x86 *x, unsigned op, unsigned reg, unsigned vvvv, unsigned rm, uint8_t imm)
{
	x86_vrr(x, op, op & X86_W, reg, vvvv, rm);
	x86_byte(x, imm);
}

static inline void x86_vrm_imm(struct x86 *x, unsigned op, unsigned reg, unsigned vvvv, struct x86_mem m, uint8_t imm)
{
	x86_vrm(x, op, op & X86_W, reg, vvvv, m);
	x86_byte(x, imm);
}

/* The same with 256 bits: YMM registers. */
static inline void x86_y(struct x86 *x, unsigned op, unsigned reg, unsigned vvvv, unsigned rm)
{
	x86_vex(x, op, op & X86_W, reg, vvvv, 0, rm, true);
	x86_byte(x, 0xc0 | (reg & 7) << 3 | (rm & 7));
	x86_vector_wrote(x, op, reg, vvvv, rm);
}

static inline void x86_ym(struct x86 *x, unsigned op, unsigned reg, unsigned vvvv, struct x86_mem m)
{
	x86_vex(x, op, op & X86_W, reg, vvvv, m.index == RSP ? 0 : m.index, m.base, true);
	x86_modrm_mem(x, reg, m);
}

static inline void x86_y_imm(struct x86 *x, unsigned op, unsigned reg, unsigned vvvv, unsigned rm, uint8_t imm)
{
	x86_y(x, op, reg, vvvv, rm);
	x86_byte(x, imm);
}

static inline void x86_ym_imm(struct x86 *x, unsigned op, unsigned reg, unsigned vvvv, struct x86_mem m, uint8_t imm)
{
	x86_ym(x, op, reg, vvvv, m);
	x86_byte(x, imm);
}

static inline void x86_yshift(struct x86 *x, unsigned op, unsigned to, unsigned from, unsigned amount)
{
	x86_y_imm(x, op, op >> 18, to, from, (uint8_t)amount);
}

/* Upper halves of all YMM registers = 0; the host's code runs slower if there is something. */
static inline void x86_vzeroupper(struct x86 *x)
{
	x86_byte(x, 0xc5);
	x86_byte(x, 0xf8);
	x86_byte(x, 0x77);
}

/* @to = @from shifted by @amount: bits of an element, or bytes of all. */
static inline void x86_vshift(struct x86 *x, unsigned op, unsigned to, unsigned from, unsigned amount)
{
	x86_vrr_imm(x, op, op >> 18 & 7, to, from, (uint8_t)amount);
}

/* ----- flow ----- */

static inline void x86_rel32_anywhere(struct x86 *x, const uint8_t *target)
{
	intptr_t distance = target - (x86_here(x) + 4);
	assert(distance == (int32_t)distance);
	x86_u32(x, (uint32_t)distance);
}

static inline void x86_rel32(struct x86 *x, const uint8_t *target)
{
	assert(target >= x->floor);
	x86_rel32_anywhere(x, target);
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

static inline void x86_call_reg(struct x86 *x, unsigned reg)
{
	x86_group(x, 0xff, 2, false, reg);
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
	x86_wrote(x, reg);
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
	x->pointers = 0;
	x86_patch(hole, x->at);
}

/* lea reg, [rip + ...]: the address of @target, which lies near. */
static inline void x86_lea_near(struct x86 *x, unsigned reg, const uint8_t *target)
{
	x86_opcode(x, X_LEA, true, reg, 0, 0, false);
	x86_byte(x, (reg & 7) << 3 | 5);
	x86_rel32(x, target);
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
