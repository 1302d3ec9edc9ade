/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pauth.c - computing, inserting and checking pointer authentication codes
 *
 * Threads: the vCPU thread.
 */
#include "engine/soft/pauth.h"

enum { TBI_TOP = 55, PLAIN_TOP = 63, SELECT = 55 };

/* Bits high..low set. */
static uint64_t ones(unsigned high, unsigned low)
{
	return high < low ? 0 : ~0ull >> (63 - high) & ~0ull << low;
}

/* One round of mixing: multiply spreads upwards, the rotation brings the top back down. */
static uint64_t mix(uint64_t v, uint64_t with)
{
	v = (v ^ with) * 0x9e3779b97f4a7c15ull;
	return v ^ v >> 29 ^ v << 37;
}

static uint64_t compute(uint64_t value, uint64_t modifier, const uint64_t key[2])
{
	uint64_t v = mix(value, key[0]);
	v = mix(v, modifier ^ key[1]);
	v = mix(v, key[0] << 32 | key[0] >> 32);
	v = mix(v, key[1]);
	return v ^ v >> 32;
}

/* Is the top byte of such a pointer ignored, so that no code is put there? */
static bool has_tag(uint64_t tcr, bool high_half, bool data)
{
	bool tbi = tcr & (high_half ? TCR_TBI1 : TCR_TBI0);
	bool tbid = tcr & (high_half ? TCR_TBID1 : TCR_TBID0);
	return tbi && (data || !tbid);
}

/* CalculateBottomPACBit() for stage 1 of EL1&0. */
static unsigned bottom_bit(uint64_t tcr, bool high_half)
{
	unsigned tsz = tcr >> (high_half ? 16 : 0) & 0x3f;
	if (tsz < 16) {
		tsz = 16;
	}
	return tsz > 39 ? 64 - 39 : 64 - tsz;
}

static bool is_on(const struct cpu *cpu, enum sysreg_key key)
{
	static const uint64_t bits[] = { SCTLR_ENIA, SCTLR_ENIB, SCTLR_ENDA, SCTLR_ENDB };
	return cpu->sys->sctlr & bits[key];
}

/* Sign extension of the pointer from its selection bit, tag left alone. */
static uint64_t canonical(uint64_t pointer, bool high_half, bool tagged, unsigned bottom)
{
	uint64_t field = ones(tagged ? TBI_TOP : PLAIN_TOP, bottom);
	return high_half ? pointer | field : pointer & ~field;
}

/* The bits of a pointer that hold the code: all above the address but the tag and bit 55. */
static uint64_t code_bits(bool tagged, unsigned bottom)
{
	return ones(SELECT - 1, bottom) | (tagged ? 0 : ones(63, 56));
}

/* The code of @plain under @key as it is at this exception level. */
static uint64_t code_of(const struct cpu *cpu, uint64_t plain, uint64_t modifier, enum sysreg_key key)
{
	const struct sysregs *sys = cpu->sys;
	if (!(sys->diversified >> cpu->el & 1)) {
		return compute(plain, modifier, sys->apkey[key]);
	}
	const uint64_t mixed[2] = { sys->apkey[key][0] ^ sys->diversifier[0],
				    sys->apkey[key][1] ^ sys->diversifier[1] };
	return compute(plain, modifier, mixed);
}

uint64_t pauth_sign(const struct cpu *cpu, uint64_t pointer, uint64_t modifier, enum sysreg_key key)
{
	if (!is_on(cpu, key)) {
		return pointer;
	}
	uint64_t tcr = cpu->sys->tcr;
	bool data = key >= KEY_DA;
	bool any_tag = has_tag(tcr, false, data) || has_tag(tcr, true, data);
	bool high_half = pointer >> (any_tag ? SELECT : 63) & 1;
	bool tagged = has_tag(tcr, high_half, data);
	unsigned bottom = bottom_bit(tcr, high_half);
	uint64_t plain = canonical(pointer, high_half, tagged, bottom);
	uint64_t code = code_of(cpu, plain, modifier, key);
	/* A pointer that was not canonical must not authenticate later. */
	if (pointer != plain && pointer != canonical(pointer, !high_half, tagged, bottom)) {
		code ^= 1ull << ((tagged ? TBI_TOP : PLAIN_TOP) - 1);
	}
	uint64_t field = code_bits(tagged, bottom);
	return (plain & ~field & ~(1ull << SELECT)) | (code & field) | (uint64_t)high_half << SELECT;
}

uint64_t pauth_check(const struct cpu *cpu, uint64_t pointer, uint64_t modifier, enum sysreg_key key)
{
	if (!is_on(cpu, key)) {
		return pointer;
	}
	uint64_t tcr = cpu->sys->tcr;
	bool data = key >= KEY_DA, high_half = pointer >> SELECT & 1;
	bool tagged = has_tag(tcr, high_half, data);
	unsigned bottom = bottom_bit(tcr, high_half);
	uint64_t plain = canonical(pointer, high_half, tagged, bottom);
	uint64_t code = code_of(cpu, plain, modifier, key);
	if (!((code ^ pointer) & code_bits(tagged, bottom))) {
		return plain;
	}
	/* Error code 01 for an A key, 10 for a B key, below the top bit of the address. */
	unsigned at = tagged ? 53 : 61;
	uint64_t error = key == KEY_IA || key == KEY_DA ? 1 : 2;
	return (plain & ~(3ull << at)) | error << at;
}

uint64_t pauth_strip(const struct cpu *cpu, uint64_t pointer, bool data)
{
	uint64_t tcr = cpu->sys->tcr;
	bool high_half = pointer >> SELECT & 1;
	return canonical(pointer, high_half, has_tag(tcr, high_half, data), bottom_bit(tcr, high_half));
}

uint64_t pauth_generic(const struct cpu *cpu, uint64_t value, uint64_t modifier)
{
	return compute(value, modifier, cpu->sys->apkey[KEY_GA]) & 0xffffffff00000000ull;
}
