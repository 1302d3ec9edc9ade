/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.c - loads and stores done by hand
 *
 * How it works: the format of the instruction's row in gen/a64 chooses how its fields are read. See
 * access.h. Threads: any.
 */
#include "a64/access.h"

#include <string.h>

enum {
	CODE_ADD,
	CODE_CLR,
	CODE_EOR,
	CODE_SET,
	CODE_SMAX,
	CODE_SMIN,
	CODE_UMAX,
	CODE_UMIN,
	CODE_SWP,
	CODE_CAS
};

/* Fields that mean the same in every load and store. */
static unsigned size_of(uint32_t w)
{
	return w >> 30;
}

static unsigned opc_of(uint32_t w)
{
	return w >> 22 & 3;
}

static bool is_load(uint32_t w)
{
	return w >> 22 & 1;
}

static uint64_t read_x(const struct a64_registers *regs, unsigned n)
{
	return n == 31 ? 0 : regs->x[n];
}

/* ----- decoding ----- */

/* One general register; opc says direction and extension. */
static void one_general(struct a64_access *a)
{
	unsigned opc = opc_of(a->word);
	a->kind = opc == 0 ? A64_ACCESS_STORE : A64_ACCESS_LOAD;
	a->sign = opc == 2 ? 64 : opc == 3 ? 32 : 0;
	a->element = (uint8_t)(1 << size_of(a->word));
	a->bytes = a->element;
	a->layout = A64_LAYOUT_GENERAL;
	a->syndrome = true;
}

/* One SIMD&FP register. */
static void one_vector(struct a64_access *a)
{
	unsigned opc = opc_of(a->word);
	a->kind = opc & 1 ? A64_ACCESS_LOAD : A64_ACCESS_STORE;
	a->element = (uint8_t)(1 << ((opc & 2) << 1 | size_of(a->word)));
	a->bytes = a->element;
	a->layout = A64_LAYOUT_VECTOR;
	a->regs = 1;
}

static void scaled_offset(struct a64_access *a)
{
	a->va += (uint64_t)A64_imm12(a->word) * a->element;
}

static void unscaled_offset(struct a64_access *a)
{
	a->va += (uint64_t)a64_sign(A64_imm9(a->word), 9);
	a->user = (a->word >> 27 & 7) == 7 && (a->word >> 10 & 3) == 2;
}

/* Pre- and post-index by imm9. */
static void indexed(struct a64_access *a)
{
	a->base = a->va + (uint64_t)a64_sign(A64_imm9(a->word), 9);
	a->va = a->word & 1u << 11 ? a->base : a->va;
	a->writes_base = true;
	a->syndrome = false;
}

static void register_offset(struct a64_access *a, const struct a64_registers *regs)
{
	uint64_t offset = read_x(regs, A64_Rm(a->word));
	switch (A64_option(a->word)) {
	case 2: offset = (uint32_t)offset; break;
	case 6: offset = (uint64_t)(int32_t)offset; break;
	default: break;
	}
	a->va += A64_S(a->word) ? offset * a->element : offset;
}

static void literal(struct a64_access *a, uint64_t pc, bool vector)
{
	unsigned opc = size_of(a->word);
	a->kind = A64_ACCESS_LOAD;
	a->va = pc + (uint64_t)(a64_sign(A64_imm19(a->word), 19) * 4);
	if (vector) {
		a->layout = A64_LAYOUT_VECTOR;
		a->regs = 1;
		a->element = (uint8_t)(4 << opc);
	} else {
		a->layout = A64_LAYOUT_GENERAL;
		a->sign = opc == 2 ? 64 : 0;
		a->element = opc == 1 ? 8 : 4;
		a->syndrome = true;
	}
	a->bytes = a->element;
}

static void pair(struct a64_access *a, bool vector)
{
	uint32_t w = a->word;
	unsigned opc = size_of(w), mode = w >> 23 & 3; /* no-allocate, post, offset, pre */
	a->kind = is_load(w) ? A64_ACCESS_LOAD : A64_ACCESS_STORE;
	a->layout = vector ? A64_LAYOUT_VECTOR : A64_LAYOUT_GENERAL;
	a->element = vector ? (uint8_t)(4 << opc) : opc == 2 ? 8 : 4;
	a->sign = !vector && opc == 1 ? 64 : 0;
	a->second = (uint8_t)A64_Rt2(w);
	a->regs = 2;
	a->bytes = (uint16_t)(2 * a->element);
	uint64_t moved = a->va + (uint64_t)(a64_sign(A64_imm7(w), 7) * a->element);
	a->writes_base = mode & 1;
	a->base = moved;
	a->va = mode == 1 ? a->va : moved;
}

/* Exclusives, ordered accesses, compare and swap; o2 is bit 23, o1 bit 21. */
static void exclusive(struct a64_access *a)
{
	uint32_t w = a->word;
	bool o2 = w >> 23 & 1, o1 = w >> 21 & 1, paired = o1 && !o2;
	bool compares = o1 && (o2 || size_of(w) < 2);
	a->layout = A64_LAYOUT_GENERAL;
	a->element = (uint8_t)(1 << (compares && !o2 ? size_of(w) + 2 : size_of(w)));
	a->bytes = (uint16_t)(paired ? 2 * a->element : a->element);
	a->regs = paired ? 2 : 1;
	a->kind = compares ? A64_ACCESS_MODIFY : is_load(w) ? A64_ACCESS_LOAD : A64_ACCESS_STORE;
	a->op = CODE_CAS;
	a->second = (uint8_t)(compares ? A64_Rs(w) : A64_Rt2(w));
	a->status = !o2 && !compares && !is_load(w);
	a->syndrome = o2 && !o1;
}

/* The class of exclusives and ordered accesses; the other rows of its format are atomics. */
static bool is_exclusive(uint32_t w)
{
	return (w >> 24 & 0x3f) == 8;
}

/* LDADD and the like; LDAPR is a load with opcode 12. */
static void atomic(struct a64_access *a)
{
	unsigned code = a->word >> 12 & 0xf;
	a->layout = A64_LAYOUT_GENERAL;
	a->regs = 1;
	a->element = (uint8_t)(1 << size_of(a->word));
	a->bytes = a->element;
	a->kind = code == 12 ? A64_ACCESS_LOAD : A64_ACCESS_MODIFY;
	a->syndrome = code == 12;
	a->op = (uint8_t)code;
	a->second = (uint8_t)A64_Rs(a->word);
}

/* LDRAA, LDRAB. */
static void authenticated(struct a64_access *a)
{
	uint32_t w = a->word;
	a->base = a->va + (uint64_t)(a64_sign(A64_s10(w) << 9 | A64_imm9(w), 10) * 8);
	a->va = a->base;
	a->kind = A64_ACCESS_LOAD;
	a->layout = A64_LAYOUT_GENERAL;
	a->element = 8;
	a->bytes = 8;
	a->writes_base = A64_wback(w);
	a->syndrome = !a->writes_base;
}

/* Post-index of the structure forms: Rm is 31 for the number of bytes. */
static void structure_base(struct a64_access *a, const struct a64_registers *regs)
{
	unsigned rm = A64_Rm(a->word);
	a->kind = is_load(a->word) ? A64_ACCESS_LOAD : A64_ACCESS_STORE;
	a->writes_base = a->word & 1u << 23;
	a->base = a->va + (rm == 31 ? a->bytes : regs->x[rm]);
}

static void multiple(struct a64_access *a, const struct a64_registers *regs, bool structs)
{
	static const uint8_t counts[16] = {
		[0] = 4, [2] = 4, [4] = 3, [6] = 3, [7] = 1, [8] = 2, [10] = 2};
	uint32_t w = a->word;
	a->regs = counts[w >> 12 & 0xf];
	a->element = (uint8_t)(1 << A64_esz(w));
	a->bytes = (uint16_t)(a->regs * (A64_Q(w) ? 16 : 8));
	a->layout = structs ? A64_LAYOUT_STRUCTS : A64_LAYOUT_ROWS;
	structure_base(a, regs);
}

/* To or from one lane, or replicated.  Q:S:size is the index of a byte, of which larger elements
 * use the upper bits. */
static void single(struct a64_access *a, const struct a64_registers *regs, bool replicate)
{
	uint32_t w = a->word;
	unsigned log2 = replicate ? A64_esz(w) : w >> 14 & 3;
	if (!replicate && log2 == 2 && A64_esz(w) == 1) {
		log2 = 3;
	}
	a->regs = (uint8_t)((A64_op0(w) << 1 | A64_R(w)) + 1);
	a->element = (uint8_t)(1 << log2);
	a->bytes = (uint16_t)(a->regs << log2);
	a->lane = (uint8_t)((A64_Q(w) << 3 | (w >> 10 & 7)) >> log2);
	a->layout = replicate ? A64_LAYOUT_REPLICATE : A64_LAYOUT_LANE;
	structure_base(a, regs);
}

/* DC ZVA alone of SYS. */
static bool zero(struct a64_access *a, const struct a64_registers *regs, unsigned zva_bytes)
{
	uint32_t w = a->word;
	if (A64_op1(w) != 3 || A64_CRn(w) != 7 || A64_CRm(w) != 4 || A64_op2(w) != 1 ||
	    !zva_bytes || zva_bytes > A64_ACCESS_MAX) {
		return false;
	}
	a->kind = A64_ACCESS_STORE;
	a->layout = A64_LAYOUT_ZERO;
	a->element = 8;
	a->bytes = (uint16_t)zva_bytes;
	a->va = read_x(regs, A64_Rt(w)) & ~(uint64_t)(zva_bytes - 1);
	return true;
}

bool a64_access_signed_base(uint32_t word)
{
	return a64_decode(word) == A64_LDRA;
}

/* Formats with one register.  False: another format. */
static bool read_one(struct a64_access *a, const struct a64_registers *regs, uint64_t pc,
		     enum a64_format format)
{
	switch (format) {
	case A64_FORMAT_ldst_ui:
	case A64_FORMAT_ldst_ur:
	case A64_FORMAT_ldst_wb:
	case A64_FORMAT_ldst_reg: one_general(a); break;
	case A64_FORMAT_v_ui:
	case A64_FORMAT_v_ur:
	case A64_FORMAT_v_wb:
	case A64_FORMAT_v_reg: one_vector(a); break;
	default: break;
	}
	switch (format) {
	case A64_FORMAT_ldr_lit: literal(a, pc, false); return true;
	case A64_FORMAT_v_lit: literal(a, pc, true); return true;
	case A64_FORMAT_ldst_ui:
	case A64_FORMAT_v_ui: scaled_offset(a); return true;
	case A64_FORMAT_ldst_ur:
	case A64_FORMAT_v_ur: unscaled_offset(a); return true;
	case A64_FORMAT_ldst_wb:
	case A64_FORMAT_v_wb: indexed(a); return true;
	case A64_FORMAT_ldst_reg:
	case A64_FORMAT_v_reg: register_offset(a, regs); return true;
	default: return false;
	}
}

/* Formats with several registers or operands. */
static bool read_several(struct a64_access *a, const struct a64_registers *regs,
			 enum a64_format format)
{
	switch (format) {
	case A64_FORMAT_pair:
	case A64_FORMAT_pair_wb: pair(a, false); return true;
	case A64_FORMAT_v_pair: pair(a, true); return true;
	case A64_FORMAT_v_rows: multiple(a, regs, false); return true;
	case A64_FORMAT_v_structs: multiple(a, regs, true); return true;
	case A64_FORMAT_v_lane: single(a, regs, false); return true;
	case A64_FORMAT_v_replicate: single(a, regs, true); return true;
	case A64_FORMAT_excl: is_exclusive(a->word) ? exclusive(a) : atomic(a); return true;
	default: return false;
	}
}

bool a64_access_decode(struct a64_access *a, uint32_t word, const struct a64_registers *regs,
		       uint64_t pc, unsigned zva_bytes)
{
	enum a64_op op = a64_decode(word);
	*a = (struct a64_access){.word = word,
				 .va = regs->x[A64_Rn(word)],
				 .first = (uint8_t)A64_Rt(word),
				 .regs = 1};
	if (read_one(a, regs, pc, (enum a64_format)a64_infos[op].format) ||
	    read_several(a, regs, (enum a64_format)a64_infos[op].format)) {
		return true;
	}
	if (op == A64_LDRA) {
		authenticated(a);
		return true;
	}
	return op == A64_SYS && zero(a, regs, zva_bytes);
}

/* ----- bytes and registers ----- */

/* Register and lane of element @k of the SIMD&FP layouts. */
static uint64_t *place(const struct a64_access *a, struct a64_registers *regs, unsigned k,
		       unsigned *lane)
{
	unsigned lanes = a->bytes / a->element / a->regs, reg = k;
	*lane = 0;
	if (a->layout == A64_LAYOUT_ROWS) {
		reg = k / lanes;
		*lane = k % lanes;
	} else if (a->layout == A64_LAYOUT_STRUCTS) {
		reg = k % a->regs;
		*lane = k / a->regs;
	} else if (a->layout == A64_LAYOUT_LANE) {
		*lane = a->lane;
	}
	if (a->layout == A64_LAYOUT_VECTOR && k == 1) {
		return regs->v[a->second];
	}
	return regs->v[(a->first + reg) % 32];
}

static unsigned general(const struct a64_access *a, unsigned k)
{
	return k ? a->second : a->first;
}

void a64_access_gather(const struct a64_access *a, const struct a64_registers *regs, uint8_t *bytes)
{
	if (a->layout == A64_LAYOUT_ZERO) {
		memset(bytes, 0, a->bytes);
		return;
	}
	for (unsigned k = 0; k < a->bytes / a->element; k++) {
		uint8_t *to = bytes + k * a->element;
		if (a->layout == A64_LAYOUT_GENERAL) {
			uint64_t value = read_x(regs, general(a, k));
			memcpy(to, &value, a->element);
		} else {
			unsigned lane;
			/* Only read: place() serves both directions. */
			const uint64_t *v = place(a, (struct a64_registers *)regs, k, &lane);
			memcpy(to, (const uint8_t *)v + lane * a->element, a->element);
		}
	}
}

static uint64_t element_value(const struct a64_access *a, const uint8_t *bytes, unsigned k)
{
	uint64_t value = 0;
	memcpy(&value, bytes + k * a->element, a->element);
	return value;
}

static int64_t as_signed(uint64_t value, unsigned bytes)
{
	unsigned shift = 64 - 8 * bytes;
	return (int64_t)(value << shift) >> shift;
}

static bool compare_and_swap(const struct a64_access *a, const struct a64_registers *regs,
			     const uint8_t *old, uint8_t *bytes)
{
	bool equal = true;
	for (unsigned k = 0; k < a->regs; k++) {
		uint64_t wanted = read_x(regs, a->second + k), new = read_x(regs, a->first + k);
		equal &= !memcmp(&wanted, old + k * a->element, a->element);
		memcpy(bytes + k * a->element, &new, a->element);
	}
	return equal;
}

bool a64_access_modify(const struct a64_access *a, const struct a64_registers *regs,
		       const uint8_t *old, uint8_t *bytes)
{
	if (a->op == CODE_CAS) {
		return compare_and_swap(a, regs, old, bytes);
	}
	uint64_t is = element_value(a, old, 0), with = read_x(regs, a->second), value = 0;
	int64_t is_s = as_signed(is, a->element), with_s = as_signed(with, a->element);
	with &= ~UINT64_C(0) >> (64 - 8 * a->element);
	switch (a->op) {
	case CODE_ADD: value = is + with; break;
	case CODE_CLR: value = is & ~with; break;
	case CODE_EOR: value = is ^ with; break;
	case CODE_SET: value = is | with; break;
	case CODE_SMAX: value = is_s > with_s ? is : with; break;
	case CODE_SMIN: value = is_s < with_s ? is : with; break;
	case CODE_UMAX: value = is > with ? is : with; break;
	case CODE_UMIN: value = is < with ? is : with; break;
	case CODE_SWP: value = with; break;
	}
	memcpy(bytes, &value, a->element);
	return true;
}

static void write_x(struct a64_registers *regs, unsigned n, uint64_t value)
{
	if (n != 31) {
		regs->x[n] = value;
	}
}

static void commit_general(const struct a64_access *a, struct a64_registers *regs,
			   const uint8_t *bytes)
{
	if (a->kind == A64_ACCESS_STORE) {
		if (a->status) {
			write_x(regs, A64_Rs(a->word), 0);
		}
		return;
	}
	for (unsigned k = 0; k < a->bytes / a->element; k++) {
		uint64_t value = element_value(a, bytes, k);
		if (a->sign) {
			value = (uint64_t)as_signed(value, a->element);
			value = a->sign == 32 ? (uint32_t)value : value;
		}
		bool compares = a->kind == A64_ACCESS_MODIFY && a->op == CODE_CAS;
		write_x(regs, compares ? a->second + k : general(a, k), value);
	}
}

static void commit_vector(const struct a64_access *a, struct a64_registers *regs,
			  const uint8_t *bytes)
{
	unsigned lane;
	for (unsigned k = 0; a->layout != A64_LAYOUT_LANE && k < a->bytes / a->element; k++) {
		memset(place(a, regs, k, &lane), 0, 16);
	}
	for (unsigned k = 0; k < a->bytes / a->element; k++) {
		uint8_t *v = (uint8_t *)place(a, regs, k, &lane);
		unsigned copies = a->layout != A64_LAYOUT_REPLICATE
					  ? 1
					  : (A64_Q(a->word) ? 16 : 8) / a->element;
		for (unsigned copy = 0; copy < copies; copy++) {
			memcpy(v + (lane + copy) * a->element, bytes + k * a->element, a->element);
		}
	}
}

void a64_access_commit(const struct a64_access *a, struct a64_registers *regs, const uint8_t *bytes)
{
	if (a->layout == A64_LAYOUT_GENERAL) {
		commit_general(a, regs, bytes);
	} else if (a->kind == A64_ACCESS_LOAD) {
		commit_vector(a, regs, bytes);
	}
	if (a->writes_base) {
		regs->x[A64_Rn(a->word)] = a->base;
	}
}
