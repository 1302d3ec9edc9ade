/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp.c - translate scalar floating point
 *
 * How it works: the host rounds and flushes as FPCR says (mxcsr.h).  While FPSR.IXC is set, a
 * result of the host that is a normal number above the smallest ones is Arm's, with nothing to add
 * to FPSR.  The smallest binade counts as too small, which makes the test one comparison of the
 * exponent; those are looked at once more out of line.  A sum can not be tiny and inexact, so only
 * what is too large is looked at.  That begins with the largest binade, whose last number is what
 * an overflow gives when rounding towards zero.  All else goes to the handler. Threads: the vCPU
 * thread.
 */
#include "engine/soft/jit/fp.h"
#include "engine/soft/jit/mxcsr.h"

static unsigned fp_bytes(const struct jit_block *t)
{
	return fp_is_double(t) ? 8 : 4;
}

static unsigned read_fp(struct jit_block *t, unsigned n)
{
	return jit_vread(t, n, fp_bytes(t));
}

/* T0, checked, is the result. */
static void put(struct jit_block *t, unsigned bytes)
{
	x86_v(&t->x, V_MOVDQA, jit_vwrite(t, A64_Rd(t->raw), bytes), 0, T0);
}

void jit_fp_check(struct jit_block *t, bool is_wide, bool is_sum)
{
	struct x86 *x = &t->x;
	unsigned shift = is_wide ? 21 : 24; /* of the exponent, in a word without its sign */
	uint32_t end = is_wide ? 0x7fe : 0xfe;
	if (is_wide) {
		x86_v(x, V_MOVQ_OUT, T0, 0, RDX);
		x86_shift_imm(x, SH_SHR, true, RDX, 32);
	} else {
		x86_v(x, V_MOVD_OUT, T0, 0, RDX);
	}
	x86_rr(x, X_ADD, false, RDX, RDX);
	if (!is_sum) {
		x86_alu_imm(x, ALU_SUB, false, RDX, 2 << shift);
		end -= 2;
	}
	x86_alu_imm(x, ALU_CMP, false, RDX, (int32_t)(end << shift));
	if (is_sum) {
		jit_slow(t, x86_jcc_later(x, CC_AE));
	} else {
		jit_slow_unless_tiny(t, x86_jcc_later(x, CC_AE), is_wide, 1);
	}
}

/* RDX: which of the lanes in RCX's mask are set in T1.  NE: some. */
static uint8_t *any_lane(struct x86 *x, bool is_wide)
{
	x86_v(x, is_wide ? V_MOVMSKPD : V_MOVMSKPS, RDX, 0, T1);
	x86_rr(x, X_AND, false, RDX, RCX);
	return x86_jcc_later(x, CC_NE);
}

/*
 * NE if the handler must look at T0, a result with a lane (RCX: their mask) that is not well above
 * the smallest normal number: it is too large, or FPSR.UFC may have to be set.  Arm's underflow is
 * that the result was inexact and, before it was rounded, below the normal numbers; the host's is
 * the same after rounding, which differs where the smallest normal number comes out (and is flushed
 * by Arm alone).  MXCSR.UE tells whether there was one since it was cleared.  RDX and T1 change.
 */
static const uint8_t *emit_tiny(struct x86 *x, bool is_wide)
{
	const struct x86_mem normal =
		is_wide ? JIT_CPU(jit_constants.normal_d) : JIT_CPU(jit_constants.normal_s);
	const uint8_t *here = x86_here(x);
	x86_vm(x, V_PAND, T1, T0,
	       is_wide ? JIT_CPU(jit_constants.abs_d) : JIT_CPU(jit_constants.abs_s));
	x86_v(x, V_MOVDQA, T2, 0, T1);
	x86_vm(x, is_wide ? V_PCMPGTQ : V_PCMPGTD, T1, T1,
	       is_wide ? JIT_CPU(jit_constants.large_d) : JIT_CPU(jit_constants.large_s));
	uint8_t *large = any_lane(x, is_wide);
	x86_test_imm_mem(x, JIT_CPU(fpsr), FPSR_UFC);
	uint8_t *unknown = x86_jcc_later(x, CC_E);
	x86_test_imm_mem(x, JIT_CPU(fpcr), FPCR_FZ);
	uint8_t *kept = x86_jcc_later(x, CC_E);
	x86_land(x, unknown);
	x86_vm(x, is_wide ? V_PCMPEQQ : V_PCMPEQD, T1, T2, normal);
	uint8_t *smallest = any_lane(x, is_wide);
	x86_test_imm_mem(x, JIT_CPU(fpsr), FPSR_UFC);
	uint8_t *known = x86_jcc_later(x, CC_NE);
	x86_mxcsr(x, true, JIT_CPU(result));
	x86_test_imm_mem(x, JIT_CPU(result), MXCSR_UE);
	uint8_t *exact = x86_jcc_later(x, CC_E);
	x86_alu_imm_mem(x, ALU_AND, false, JIT_CPU(result), ~MXCSR_UE);
	x86_mxcsr(x, false, JIT_CPU(result));
	x86_alu_imm(x, ALU_OR, false, RDX, 1);
	uint8_t *const ways[] = {large, kept, smallest, exact};
	for (unsigned n = 0; n < sizeof(ways) / sizeof(ways[0]); n++) {
		x86_land(x, ways[n]);
	}
	x86_ret(x);
	x86_land(x, known);
	x86_rr(x, X_CMP, false, RDX, RDX);
	x86_ret(x);
	return here;
}

void jit_emit_fp_stubs(struct x86 *x, struct jit_stubs *stubs)
{
	stubs->tiny_s = emit_tiny(x, false);
	stubs->tiny_d = emit_tiny(x, true);
}

enum fp_operation fp_operation(const struct jit_block *t)
{
	static const uint8_t general[16] = {
		FP_MUL, FP_DIV, FP_ADD, FP_SUB, [8] = FP_MUL, [12] = FP_SQRT}; /* by bits 15:12 */
	if (fp_is_general(t)) {
		return (enum fp_operation)general[t->raw >> 12 & 15];
	}
	switch (t->raw >> 10 & 15) {
	case 5: return t->raw >> 23 & 1 ? FP_SUB : FP_ADD;
	case 7: return FP_MUL;
	case 15: return FP_DIV;
	default: return FP_SQRT;
	}
}

/* FADD, FSUB, FMUL, FDIV, FNMUL, FSQRT. */
void jit_fp_arithmetic(struct jit_block *t)
{
	static const unsigned ops[][2] = {[FP_ADD] = {V_ADDSS, V_ADDSD},
					  [FP_SUB] = {V_SUBSS, V_SUBSD},
					  [FP_MUL] = {V_MULSS, V_MULSD},
					  [FP_DIV] = {V_DIVSS, V_DIVSD},
					  [FP_SQRT] = {V_SQRTSS, V_SQRTSD}};
	struct x86 *x = &t->x;
	enum fp_operation operation = fp_operation(t);
	bool root = operation == FP_SQRT, negates = (t->raw >> 12 & 15) == 8;
	jit_fp_enter(t);
	jit_fp_need(t, JIT_FP_INEXACT);
	jit_flags_clobber(t);
	unsigned n = read_fp(t, A64_Rn(t->raw)), m = root ? n : read_fp(t, A64_Rm(t->raw));
	x86_v(x, ops[operation][fp_is_double(t)], T0, n, m);
	jit_fp_check(t, fp_is_double(t), operation <= FP_SUB);
	if (negates) {
		x86_vm(x, V_PXOR, T0, T0,
		       fp_is_double(t) ? JIT_CONSTANT(t, sign_d) : JIT_CONSTANT(t, sign_s));
	}
	put(t, fp_bytes(t));
}

/* FMADD, FMSUB, FNMADD, FNMSUB. */
void jit_fp_fuse(struct jit_block *t)
{
	static const unsigned ops[][2] = {{V_FMADDSS, V_FMADDSD},
					  {V_FNMADDSS, V_FNMADDSD},
					  {V_FNMSUBSS, V_FNMSUBSD},
					  {V_FMSUBSS, V_FMSUBSD}};
	struct x86 *x = &t->x;
	unsigned kind = (t->raw >> 21 & 1) << 1 | (t->raw >> 15 & 1);
	jit_fp_enter(t);
	jit_fp_need(t, JIT_FP_INEXACT);
	jit_flags_clobber(t);
	unsigned n = read_fp(t, A64_Rn(t->raw)), m = read_fp(t, A64_Rm(t->raw)),
		 a = read_fp(t, A64_Ra(t->raw));
	x86_v(x, V_MOVDQA, T0, 0, a);
	x86_v(x, ops[kind][fp_is_double(t)], T0, n, m);
	jit_fp_check(t, fp_is_double(t), false);
	put(t, fp_bytes(t));
}

/* FMOV, FABS, FNEG. */
void jit_fp_sign(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned opcode = t->raw >> 15 & 3;
	jit_fp_enter(t);
	unsigned n = read_fp(t, A64_Rn(t->raw)), to = jit_vwrite(t, A64_Rd(t->raw), fp_bytes(t));
	if (opcode == 0) {
		x86_v(x, V_MOVDQA, to, 0, n);
	} else if (opcode == 1) {
		x86_vm(x, V_PAND, to, n,
		       fp_is_double(t) ? JIT_CONSTANT(t, abs_d) : JIT_CONSTANT(t, abs_s));
	} else {
		x86_vm(x, V_PXOR, to, n,
		       fp_is_double(t) ? JIT_CONSTANT(t, sign_d) : JIT_CONSTANT(t, sign_s));
	}
}

void jit_fp_imm(struct jit_block *t)
{
	uint64_t imm = A64_imm8(t->raw), sign = imm >> 7, high = imm >> 6 & 1, rest = imm & 0x3f;
	uint64_t single = sign << 31 | (high ? 0x3e000000 : 0x40000000) | rest << 19;
	uint64_t twice = sign << 63 |
			 (high ? UINT64_C(0x3fc0000000000000) : UINT64_C(0x4000000000000000)) |
			 rest << 48;
	uint64_t half = sign << 15 | (high ? 0x3000 : 0x4000) | rest << 6;
	jit_fp_enter(t);
	x86_mov_imm(&t->x, RDX, fp_is_half(t) ? half : fp_is_double(t) ? twice : single);
	x86_v(&t->x, V_MOVQ_IN, jit_vwrite(t, A64_Rd(t->raw), 16), 0, RDX);
}

/* ----- comparisons ----- */

/* V register @n, or @temp if that is half precision: made single precision there. */
static unsigned read_number(struct jit_block *t, unsigned n, unsigned temp)
{
	if (!fp_is_half(t)) {
		return read_fp(t, n);
	}
	x86_v(&t->x, V_CVTPH2PS, temp, 0, jit_vread(t, n, 4));
	return temp;
}

/* The host's flags as JIT_FLAGS_FP; NaNs leave for the handler and go on behind. */
static void compare(struct jit_block *t, bool with_zero)
{
	struct x86 *x = &t->x;
	bool half = fp_is_half(t);
	unsigned n = read_number(t, A64_Rn(t->raw), T1), m = T0;
	if (with_zero) {
		simd_zero(t, T0);
	} else {
		m = read_number(t, A64_Rm(t->raw), T0);
	}
	x86_v(x, fp_is_double(t) && !half ? V_UCOMISD : V_UCOMISS, n, 0, m);
	jit_slow_next(t, x86_jcc_later(x, CC_P));
	jit_flags_set(t, JIT_FLAGS_FP);
}

/* FCMP, FCMPE. */
void jit_fp_compare(struct jit_block *t)
{
	jit_fp_enter(t);
	if (fp_is_half(t)) {
		jit_fp_need(t, JIT_FP_HALF);
	}
	jit_flags_clobber(t);
	compare(t, t->raw >> 3 & 1);
}

/* FCCMP, FCCMPE. */
void jit_fp_compare_cond(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned cond = A64_cc(t->raw), nzcv = A64_nzcv(t->raw);
	jit_fp_enter(t);
	jit_fp_need(t, JIT_FP_KEPT); /* the host compares whatever the condition says */
	if (fp_is_half(t)) {
		jit_fp_need(t, JIT_FP_HALF);
	}
	jit_flags_save(t);
	if (cond < COND_ALWAYS) {
		enum x86_cc cc = jit_flags_test(t, cond);
		x86_setcc(x, cc, RSI);
		x86_rr(x, X_MOVZX8, false, RSI, RSI);
	}
	t->flags = JIT_FLAGS_NONE;
	compare(t, false);
	if (cond >= COND_ALWAYS) {
		return;
	}
	jit_flags_save(t);
	x86_mov_imm(x, RDX, jit_flags_word(nzcv));
	x86_rr(x, X_TEST, false, RSI, RSI);
	t->flags = JIT_FLAGS_NONE;
	x86_cmov(x, CC_E, false, RAX, RDX);
}

void jit_fp_select(struct jit_block *t)
{
	struct x86 *x = &t->x;
	unsigned cond = A64_cc(t->raw);
	bool wide = fp_is_double(t);
	jit_fp_enter(t);
	unsigned n = read_fp(t, A64_Rn(t->raw)), m = read_fp(t, A64_Rm(t->raw));
	x86_v(x, wide ? V_MOVQ_OUT : V_MOVD_OUT, n, 0, RCX);
	x86_v(x, wide ? V_MOVQ_OUT : V_MOVD_OUT, m, 0, RDX);
	if (cond < COND_ALWAYS) {
		x86_cmov(x, jit_flags_test(t, cond), wide, RDX, RCX);
	} else {
		x86_mov(x, true, RDX, RCX);
	}
	if (fp_is_half(t)) {
		x86_rr(x, X_MOVZX16, false, RDX, RDX);
	}
	x86_v(x, wide ? V_MOVQ_IN : V_MOVD_IN, jit_vwrite(t, A64_Rd(t->raw), 16), 0, RDX);
}
