/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto.c - translate AES, SHA-1, SHA-256, SHA-512, SHA-3 and carry-less products
 *
 * How it works: a host without the extension calls the handler.  The host's AES rounds end with the
 * key where Arm's begin with it: the key is added before, and 0 in the round; AESE and AESMC of the
 * same register in a row are one round. The host's SHA instructions have the words of a register
 * the other way round. Source: Intel SDM volume 2, AESENC, SHA256RNDS2, SHA1RNDS4; Arm ARM C7.2.
 * Threads: the vCPU thread.
 */
#include "engine/soft/jit/simd.h"

#include <cpuid.h>

static bool host_has_sha(void)
{
	enum { FEATURES = 7, SHA = 1 << 29 };
	unsigned a, b, c, d;
	return __get_cpuid_count(FEATURES, 0, &a, &b, &c, &d) && (b & SHA);
}

enum { REVERSED = 0x1b }; /* PSHUFD: the words the other way round */

static unsigned read_whole(struct jit_block *t, unsigned n)
{
	return jit_vread(t, n, 16);
}

static unsigned write_whole(struct jit_block *t)
{
	return jit_vwrite(t, A64_Rd(t->raw), 16);
}

/* ----- AES ----- */

/* Is the next instruction @op of this one's destination, in place, and reached from here only? */
static bool is_followed_by(struct jit_block *t, enum a64_op op)
{
	unsigned rd = A64_Rd(t->raw);
	uint32_t next;
	return simd_next(t, &next) && a64_decode(next) == op && A64_Rd(next) == rd &&
	       A64_Rn(next) == rd;
}

/* AESE, AESD. */
void jit_aes_round(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool decrypts = t->op == A64_AESD;
	if (!__builtin_cpu_supports("aes")) {
		jit_call_handler(t);
		return;
	}
	jit_fp_enter(t);
	bool mixes = is_followed_by(t, decrypts ? A64_AESIMC : A64_AESMC);
	static const unsigned ops[2][2] = {{V_AESENCLAST, V_AESENC}, {V_AESDECLAST, V_AESDEC}};
	unsigned d = read_whole(t, A64_Rd(t->raw)), n = read_whole(t, A64_Rn(t->raw));
	x86_v(x, V_PXOR, T0, d, n);
	simd_zero(t, T1);
	x86_v(x, ops[decrypts][mixes], write_whole(t), T0, T1);
	t->n += mixes;
}

/* AESMC: a last round back and a round. */
void jit_aes_mix(struct jit_block *t)
{
	struct x86 *x = &t->x;
	if (!__builtin_cpu_supports("aes")) {
		jit_call_handler(t);
		return;
	}
	jit_fp_enter(t);
	unsigned n = read_whole(t, A64_Rn(t->raw));
	if (t->op == A64_AESIMC) {
		x86_v(x, V_AESIMC, write_whole(t), 0, n);
		return;
	}
	simd_zero(t, T1);
	x86_v(x, V_AESDECLAST, T0, n, T1);
	x86_v(x, V_AESENC, write_whole(t), T0, T1);
}

void jit_polynomial_long(struct jit_block *t)
{
	if (!__builtin_cpu_supports("pclmul")) {
		jit_call_handler(t);
		return;
	}
	jit_fp_enter(t);
	unsigned n = read_whole(t, A64_Rn(t->raw)), m = read_whole(t, A64_Rm(t->raw));
	x86_vrr_imm(&t->x, V_PCLMULQDQ, write_whole(t), n, m, A64_Q(t->raw) ? 0x11 : 0);
}

/* ----- SHA-256 ----- */

/* SHA256H, SHA256H2: four rounds on a..d and e..h. */
void jit_sha256_rounds(struct jit_block *t)
{
	struct x86 *x = &t->x;
	bool second = t->op == A64_SHA256H2;
	if (!host_has_sha()) {
		jit_call_handler(t);
		return;
	}
	jit_fp_enter(t);
	unsigned d = read_whole(t, A64_Rd(t->raw)), n = read_whole(t, A64_Rn(t->raw)),
		 w = read_whole(t, A64_Rm(t->raw));
	unsigned abcd = second ? n : d, efgh = second ? d : n;
	x86_vrr_imm(x, V_PSHUFD, T1, 0, abcd, REVERSED);
	x86_vrr_imm(x, V_PSHUFD, T2, 0, efgh, REVERSED);
	x86_v(x, V_PUNPCKLQDQ, T0, T2, T1); /* c, d, g, h as the host wants them */
	x86_v(x, V_PUNPCKHQDQ, T1, T2, T1); /* a, b, e, f */
	x86_v(x, V_MOVDQA, T2, 0, 0);	    /* the host takes the message from XMM0 */
	x86_v(x, V_MOVDQA, 0, 0, w);
	x86_rr(x, X_SHA256RNDS2, false, T0, T1);
	x86_vrr_imm(x, V_PSHUFD, 0, 0, 0, 0x0e);
	x86_rr(x, X_SHA256RNDS2, false, T1, T0); /* T1: a, b, e, f; T0: c, d, g, h */
	x86_v(x, V_MOVDQA, 0, 0, T2);
	x86_v(x, second ? V_PUNPCKLQDQ : V_PUNPCKHQDQ, T0, T0, T1);
	x86_vrr_imm(x, V_PSHUFD, write_whole(t), 0, T0, REVERSED);
}

/* SHA256SU0, SHA256SU1: the message schedule. */
void jit_sha256_schedule(struct jit_block *t)
{
	struct x86 *x = &t->x;
	if (!host_has_sha()) {
		jit_call_handler(t);
		return;
	}
	jit_fp_enter(t);
	unsigned d = read_whole(t, A64_Rd(t->raw)), n = read_whole(t, A64_Rn(t->raw));
	if (t->op == A64_SHA256SU0) {
		x86_v(x, V_MOVDQA, T0, 0, d);
		x86_rr(x, X_SHA256MSG1, false, T0, n);
	} else {
		unsigned m = read_whole(t, A64_Rm(t->raw));
		x86_vrr_imm(x, V_PALIGNR, T0, m, n, 4);
		x86_v(x, V_PADDD, T0, T0, d);
		x86_rr(x, X_SHA256MSG2, false, T0, m);
	}
	x86_v(x, V_MOVDQA, write_whole(t), 0, T0);
}

/* ----- SHA-1 ----- */

/* SHA1C, SHA1P, SHA1M: the host adds the round constant, which the guest added already. */
void jit_sha1_rounds(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned kind = t->op == A64_SHA1C ? 0 : t->op == A64_SHA1P ? 1 : 2;
	struct x86_mem constant = JIT_CONSTANT(t, sha1_k);
	constant.disp += (int32_t)(kind * sizeof(t->cpu->jit_constants.sha1_k[0]));
	if (!host_has_sha()) {
		jit_call_handler(t);
		return;
	}
	jit_fp_enter(t);
	unsigned d = read_whole(t, A64_Rd(t->raw)), e = jit_vread(t, A64_Rn(t->raw), 4);
	unsigned w = read_whole(t, A64_Rm(t->raw));
	x86_vm(x, V_PSUBD, T1, w, constant);
	x86_vrr_imm(x, V_INSERTPS, T0, e, e, 0xe);
	x86_v(x, V_PADDD, T1, T1, T0);
	x86_vrr_imm(x, V_PSHUFD, T1, 0, T1, REVERSED);
	x86_vrr_imm(x, V_PSHUFD, T0, 0, d, REVERSED);
	x86_rr(x, X_SHA1RNDS4, false, T0, T1);
	x86_byte(x, kind);
	x86_vrr_imm(x, V_PSHUFD, write_whole(t), 0, T0, REVERSED);
}

/* @to = @from, words or (@wide) doublewords turned left by @amount, which is not 0; T2 changes. */
static void turn(struct jit_block *t, bool wide, unsigned to, unsigned from, unsigned amount)
{
	if (t->jit->host & JIT_HOST_AVX512) {
		x86_vshift(&t->x, wide ? E_PROLQ : E_PROLD, to, from, amount);
		return;
	}
	x86_vshift(&t->x, wide ? V_PSRLQ : V_PSRLD, T2, from, (wide ? 64 : 32) - amount);
	x86_vshift(&t->x, wide ? V_PSLLQ : V_PSLLD, to, from, amount);
	x86_v(&t->x, V_POR, to, to, T2);
}

void jit_sha1_turn(struct jit_block *t)
{
	jit_fp_enter(t);
	unsigned n = jit_vread(t, A64_Rn(t->raw), 4);
	turn(t, false, T0, n, 30);
	x86_v(&t->x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), 4), 0, T0);
}

/* SHA1SU0, SHA1SU1. */
void jit_sha1_schedule(struct jit_block *t)
{
	struct x86 *x = &t->x;
	jit_fp_enter(t);
	unsigned d = read_whole(t, A64_Rd(t->raw)), n = read_whole(t, A64_Rn(t->raw));
	if (t->op == A64_SHA1SU0) {
		unsigned m = read_whole(t, A64_Rm(t->raw));
		x86_vrr_imm(x, V_PALIGNR, T0, n, d, 8);
		x86_v(x, V_PXOR, T0, T0, d);
		x86_v(x, V_PXOR, write_whole(t), T0, m);
		return;
	}
	x86_vshift(x, V_PSRLDQ, T0, n, 4);
	x86_v(x, V_PXOR, T0, T0, d);
	turn(t, false, T0, T0, 1);
	x86_vshift(x, V_PSLLDQ, T1, T0, 12);
	turn(t, false, T1, T1, 1);
	x86_v(x, V_PXOR, write_whole(t), T0, T1);
}

/* ----- SHA-512 ----- */

/* @to ^= @from with doublewords turned right by @amount; @temp changes. */
static void add_turned(struct jit_block *t, unsigned to, unsigned from, unsigned temp,
		       unsigned amount)
{
	struct x86 *x = &t->x;
	if (t->jit->host & JIT_HOST_AVX512) {
		x86_vshift(x, E_PRORQ, temp, from, amount);
		x86_v(x, V_PXOR, to, to, temp);
		return;
	}
	x86_vshift(x, V_PSRLQ, temp, from, amount);
	x86_v(x, V_PXOR, to, to, temp);
	x86_vshift(x, V_PSLLQ, temp, from, 64 - amount);
	x86_v(x, V_PXOR, to, to, temp);
}

static void turn_thrice(struct jit_block *t, unsigned to, unsigned from, unsigned temp,
			const uint8_t amounts[3])
{
	simd_zero(t, to);
	for (unsigned k = 0; k < 3; k++) {
		add_turned(t, to, from, temp, amounts[k]);
	}
}

enum { SWAPPED = 0x4e, BOTH_LOW = 0x44, BOTH_HIGH = 0xee }; /* PSHUFD: the doublewords */

/*
 * Two half rounds, as the pages of the instructions have them: the first makes the upper doubleword
 * of T0, and the second, with that, the lower one of T1.  Bits of a choice never meet, so their
 * parts can be added.
 */
static void sha512_first(struct jit_block *t, unsigned d, unsigned n, unsigned m)
{
	static const uint8_t sigma1[3] = {14, 18, 41};
	struct x86 *x = &t->x;
	turn_thrice(t, T0, m, T1, sigma1);
	x86_vrr_imm(x, V_PSHUFD, T1, 0, n, SWAPPED);
	x86_v(x, V_PAND, T1, T1, m);
	x86_v(x, V_PANDN, T2, m, n);
	x86_v(x, V_PADDQ, T0, T0, T1);
	x86_v(x, V_PADDQ, T0, T0, T2);
	x86_v(x, V_PADDQ, T0, T0, d);
	x86_vrr_imm(x, V_PSHUFD, T0, 0, T0, BOTH_HIGH); /* and with m's lower one below */
	x86_v(x, V_MOVQ, T1, 0, m);
	x86_v(x, V_PADDQ, T0, T0, T1);
	turn_thrice(t, T1, T0, T2, sigma1);
	x86_vrr_imm(x, V_PSHUFD, T2, 0, m, BOTH_HIGH);
	x86_v(x, V_PAND, T2, T2, T0);
	x86_v(x, V_PADDQ, T1, T1, T2);
	x86_v(x, V_PANDN, T2, T0, n);
	x86_v(x, V_PADDQ, T1, T1, T2);
	x86_v(x, V_PADDQ, T1, T1, d);
}

/* Majorities: a & (b ^ c), or b & c. */
static void sha512_second(struct jit_block *t, unsigned d, unsigned n, unsigned m)
{
	static const uint8_t sigma0[3] = {28, 34, 39};
	struct x86 *x = &t->x;
	turn_thrice(t, T0, m, T1, sigma0);
	x86_vrr_imm(x, V_PSHUFD, T0, 0, T0, BOTH_LOW);
	x86_v(x, V_PADDQ, T0, T0, d);
	x86_vrr_imm(x, V_PSHUFD, T1, 0, m, SWAPPED);
	x86_v(x, V_PXOR, T2, T1, m);
	x86_v(x, V_PAND, T1, T1, m);
	x86_v(x, V_PADDQ, T0, T0, T1);
	x86_vrr_imm(x, V_PSHUFD, T1, 0, n, BOTH_LOW);
	x86_v(x, V_PAND, T1, T1, T2);
	x86_v(x, V_PADDQ, T0, T0, T1);
	x86_vrr_imm(x, V_PSHUFD, T0, 0, T0, BOTH_HIGH);
	turn_thrice(t, T1, T0, T2, sigma0);
	x86_v(x, V_PADDQ, T1, T1, d);
	x86_vrr_imm(x, V_PSHUFD, T2, 0, m, SWAPPED);
	x86_v(x, V_PXOR, T2, T2, m);
	x86_v(x, V_PAND, T2, T2, T0);
	x86_v(x, V_PADDQ, T1, T1, T2);
	x86_vrr_imm(x, V_PSHUFD, T2, 0, m, SWAPPED);
	x86_v(x, V_PAND, T2, T2, m);
	x86_v(x, V_PADDQ, T1, T1, T2);
}

/* SHA512H, SHA512H2. */
void jit_sha512_rounds(struct jit_block *t)
{
	jit_fp_enter(t);
	unsigned d = read_whole(t, A64_Rd(t->raw)), n = read_whole(t, A64_Rn(t->raw)),
		 m = read_whole(t, A64_Rm(t->raw));
	if (t->op == A64_SHA512H) {
		sha512_first(t, d, n, m);
	} else {
		sha512_second(t, d, n, m);
	}
	x86_vrr_imm(&t->x, V_PBLENDW, write_whole(t), T0, T1, 0x0f);
}

/* SHA512SU0, SHA512SU1: the message schedule. */
void jit_sha512_schedule(struct jit_block *t)
{
	struct x86 *x = &t->x;
	jit_fp_enter(t);
	unsigned d = read_whole(t, A64_Rd(t->raw)), n = read_whole(t, A64_Rn(t->raw));
	if (t->op == A64_SHA512SU0) {
		x86_vrr_imm(x, V_PALIGNR, T2, n, d, 8);
		x86_vshift(x, V_PSRLQ, T0, T2, 7);
		add_turned(t, T0, T2, T1, 1);
		add_turned(t, T0, T2, T1, 8);
	} else {
		x86_vshift(x, V_PSRLQ, T0, n, 6);
		add_turned(t, T0, n, T1, 19);
		add_turned(t, T0, n, T1, 61);
		x86_v(x, V_PADDQ, T0, T0, read_whole(t, A64_Rm(t->raw)));
	}
	x86_v(x, V_PADDQ, write_whole(t), d, T0);
}

/* ----- SHA-3 ----- */

/* EOR3, BCAX, RAX1, XAR. */
void jit_sha3(struct jit_block *t)
{
	struct x86 *x = &t->x;
	uint32_t w = t->raw;
	jit_fp_enter(t);
	unsigned n = read_whole(t, A64_Rn(w)), m = read_whole(t, A64_Rm(w));
	if (t->op == A64_RAX1) {
		turn(t, true, T0, m, 1);
		x86_v(x, V_PXOR, write_whole(t), n, T0);
	} else if (t->op == A64_XAR) {
		x86_v(x, V_PXOR, T0, n, m);
		if (A64_imm6(w)) {
			turn(t, true, T0, T0, 64 - A64_imm6(w));
		}
		x86_v(x, V_MOVDQA, write_whole(t), 0, T0);
	} else {
		unsigned a = read_whole(t, A64_Ra(w));
		x86_v(x, t->op == A64_EOR3 ? V_PXOR : V_PANDN, T0, a, m);
		x86_v(x, V_PXOR, write_whole(t), n, T0);
	}
}
