/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp.c - the exact arithmetic of fp.h: unpack, compute wide, round once
 *
 * How it works: see fp_priv.h for the number forms.  Sums and fused products keep 128 bits plus a sticky bit, which is
 * enough: bits are lost below only when the operands are so far apart that at most one leading bit can cancel.
 * Tininess is detected before rounding, as Arm requires.
 * Threads: any.
 */
#include "engine/soft/fp_priv.h"

const struct fp_format fp_formats[4] = {
	[FP_H] = {10, 15, 0x1f},
	[FP_S] = {23, 127, 0xff},
	[FP_D] = {52, 1023, 0x7ff},
};

/* Do subnormals of this format count as zero? */
static bool fp_flushes(const struct fp_env *e, unsigned size, bool convert)
{
	if (size == FP_H) {
		return !convert && (e->cr & FPCR_FZ16);
	}
	return e->cr & FPCR_FZ;
}

struct fp_num fp_unpack(struct fp_env *e, unsigned size, uint64_t bits, bool convert)
{
	const struct fp_format *f = &fp_formats[size];
	uint64_t exp = bits >> f->mant & f->exp_mask;
	uint64_t frac = bits & ((1ull << f->mant) - 1);
	struct fp_num n = {.class = FP_CLASS_NUMBER, .sign = (bits & fp_sign_bit(size)) != 0};
	if (exp == f->exp_mask && !(convert && size == FP_H && (e->cr & FPCR_AHP))) {
		if (!frac) {
			n.class = FP_CLASS_INF;
		} else {
			n.class = frac >> (f->mant - 1) ? FP_CLASS_QNAN : FP_CLASS_SNAN;
		}
		return n;
	}
	if (exp) {
		n.exp = (int)exp - f->bias;
		n.frac = 1ull << 63 | frac << (63 - f->mant);
		return n;
	}
	if (frac && fp_flushes(e, size, convert)) {
		e->sr |= size == FP_H ? 0 : FPSR_IDC;
		frac = 0;
	}
	if (!frac) {
		n.class = FP_CLASS_ZERO;
		return n;
	}
	int shift = __builtin_clzll(frac);
	n.frac = frac << shift;
	n.exp = 64 - f->bias - f->mant - shift;
	return n;
}

void fp_normalise(struct fp_wide *w)
{
	uint64_t high = (uint64_t)(w->frac >> 64);
	int shift = high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)w->frac);
	w->frac <<= shift;
	w->exp -= shift;
}

static uint64_t fp_overflow(struct fp_env *e, unsigned size, bool sign, enum fp_round mode)
{
	e->sr |= FPSR_OFC | FPSR_IXC;
	bool to_inf = mode == FP_TIES_EVEN || mode == FP_TIES_AWAY || mode == (sign ? FP_MINUS_INF : FP_PLUS_INF);
	return to_inf ? fp_infinity(size, sign) : fp_max_normal(size, sign);
}

static bool fp_rounds_up(enum fp_round mode, bool sign, bool odd, fp_u128 rest, fp_u128 half)
{
	switch (mode) {
	case FP_TIES_EVEN: return rest > half || (rest == half && odd);
	case FP_TIES_AWAY: return rest >= half;
	case FP_PLUS_INF: return rest && !sign;
	case FP_MINUS_INF: return rest && sign;
	case FP_TO_ODD: return rest && !odd;
	case FP_TO_ZERO: break;
	}
	return false;
}

uint64_t fp_pack(struct fp_env *e, unsigned size, const struct fp_wide *w, enum fp_round mode, bool convert)
{
	const struct fp_format *f = &fp_formats[size];
	bool alternative = convert && size == FP_H && (e->cr & FPCR_AHP);
	uint64_t exp_limit = f->exp_mask + alternative;
	int biased = w->exp + f->bias;
	fp_u128 frac = w->frac;
	if (biased < 1) {
		if (fp_flushes(e, size, convert)) {
			e->sr |= FPSR_UFC;
			return fp_zero(size, w->sign);
		}
		frac = fp_shift_jam(frac, 1 - biased);
		biased = 0;
	}
	int drop = 127 - f->mant;
	uint64_t mant = (uint64_t)(frac >> drop);
	fp_u128 rest = frac & (((fp_u128)1 << drop) - 1);
	mant += fp_rounds_up(mode, w->sign, mant & 1, rest, (fp_u128)1 << (drop - 1));
	if (rest && biased == 0) {
		e->sr |= FPSR_UFC;
	}
	/* The hidden bit and a carry out of the fraction both add to the exponent. */
	uint64_t packed = mant + (biased ? (uint64_t)(biased - 1) << f->mant : 0);
	if (biased >= (int)exp_limit || packed >> f->mant >= exp_limit) {
		if (alternative) {
			e->sr |= FPSR_IOC;
			return fp_zero(size, w->sign) | 0x7fff;
		}
		return fp_overflow(e, size, w->sign, mode);
	}
	e->sr |= rest ? FPSR_IXC : 0;
	return packed | fp_zero(size, w->sign);
}

uint64_t fp_process_nan(struct fp_env *e, unsigned size, enum fp_class class, uint64_t bits)
{
	if (class == FP_CLASS_SNAN) {
		bits |= 1ull << (fp_formats[size].mant - 1);
		e->sr |= FPSR_IOC;
	}
	return e->cr & FPCR_DN ? fp_default_nan(size) : bits;
}

uint64_t fp_convert_nan(unsigned to, unsigned from, uint64_t a)
{
	const struct fp_format *f = &fp_formats[from], *t = &fp_formats[to];
	uint64_t payload = a << (64 - f->mant + 1) >> (64 - t->mant + 1); /* below the quiet bit */
	return fp_zero(to, (a & fp_sign_bit(from)) != 0) | fp_default_nan(to) | payload;
}

bool fp_process_nans(struct fp_env *e, unsigned size, enum fp_class class_a, enum fp_class class_b,
		     uint64_t a, uint64_t b, uint64_t *out)
{
	if (!fp_is_nan(class_a) && !fp_is_nan(class_b)) {
		return false;
	}
	/* Signalling before quiet, then first before second. */
	bool first = class_a == FP_CLASS_SNAN || (class_b != FP_CLASS_SNAN && fp_is_nan(class_a));
	*out = first ? fp_process_nan(e, size, class_a, a) : fp_process_nan(e, size, class_b, b);
	return true;
}

static struct fp_wide fp_widen(const struct fp_num *n)
{
	return (struct fp_wide){n->sign, n->exp, (fp_u128)n->frac << 64};
}

struct fp_wide fp_product(const struct fp_num *a, const struct fp_num *b)
{
	struct fp_wide w = {a->sign ^ b->sign, a->exp + b->exp + 1, (fp_u128)a->frac * b->frac};
	if (w.frac && !(w.frac >> 127)) {
		w.frac <<= 1;
		w.exp--;
	}
	return w;
}

struct fp_wide fp_sum(struct fp_wide a, struct fp_wide b)
{
	if (!b.frac || (a.frac && (a.exp > b.exp || (a.exp == b.exp && a.frac >= b.frac)))) {
		struct fp_wide swap = a;
		a = b;
		b = swap;
	}
	/* b is the larger one now; one bit of room for the carry (nobody uses the lowest bits yet). */
	if (!b.frac) {
		return b;
	}
	struct fp_wide sum = {b.sign, b.exp + 1, b.frac >> 1};
	fp_u128 small = a.frac ? fp_shift_jam(a.frac >> 1, b.exp - a.exp) : 0;
	sum.frac = a.sign == b.sign ? sum.frac + small : sum.frac - small;
	if (sum.frac) {
		fp_normalise(&sum);
	}
	return sum;
}

/* Round a sum; an exact zero has the sign the rounding mode asks for. */
static uint64_t fp_pack_sum(struct fp_env *e, unsigned size, const struct fp_wide *w)
{
	enum fp_round mode = fp_rmode(e);
	if (!w->frac) {
		return fp_zero(size, mode == FP_MINUS_INF);
	}
	return fp_pack(e, size, w, mode, false);
}

static uint64_t fp_add_signed(struct fp_env *e, unsigned size, uint64_t a, uint64_t b, bool subtract)
{
	struct fp_num na = fp_unpack(e, size, a, false), nb = fp_unpack(e, size, b, false);
	uint64_t out;
	if (fp_process_nans(e, size, na.class, nb.class, a, b, &out)) {
		return out;
	}
	nb.sign ^= subtract;
	if (na.class == FP_CLASS_INF || nb.class == FP_CLASS_INF) {
		if (na.class == nb.class && na.sign != nb.sign) {
			return fp_invalid(e, size);
		}
		return fp_infinity(size, na.class == FP_CLASS_INF ? na.sign : nb.sign);
	}
	if (na.class == FP_CLASS_ZERO && nb.class == FP_CLASS_ZERO && na.sign == nb.sign) {
		return fp_zero(size, na.sign);
	}
	struct fp_wide sum = fp_sum(fp_widen(&na), fp_widen(&nb));
	return fp_pack_sum(e, size, &sum);
}

uint64_t fp_add(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_add_signed(e, size, a, b, false);
}

uint64_t fp_sub(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_add_signed(e, size, a, b, true);
}

uint64_t fp_abd(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_abs(size, fp_sub(e, size, a, b));
}

/* FPMul, or FPMulX (@extended), which makes 2 of infinity times zero. */
static uint64_t fp_multiply(struct fp_env *e, unsigned size, uint64_t a, uint64_t b, bool extended)
{
	struct fp_num na = fp_unpack(e, size, a, false), nb = fp_unpack(e, size, b, false);
	uint64_t out;
	if (fp_process_nans(e, size, na.class, nb.class, a, b, &out)) {
		return out;
	}
	bool sign = na.sign ^ nb.sign;
	bool zero = na.class == FP_CLASS_ZERO || nb.class == FP_CLASS_ZERO;
	if (na.class == FP_CLASS_INF || nb.class == FP_CLASS_INF) {
		if (!zero) {
			return fp_infinity(size, sign);
		}
		uint64_t two = (uint64_t)(fp_formats[size].bias + 1) << fp_formats[size].mant;
		return extended ? fp_zero(size, sign) | two : fp_invalid(e, size);
	}
	if (zero) {
		return fp_zero(size, sign);
	}
	struct fp_wide w = fp_product(&na, &nb);
	return fp_pack(e, size, &w, fp_rmode(e), false);
}

uint64_t fp_mul(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_multiply(e, size, a, b, false);
}

uint64_t fp_mulx(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_multiply(e, size, a, b, true);
}

uint64_t fp_nmul(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_neg(size, fp_mul(e, size, a, b));
}

uint64_t fp_div(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	struct fp_num na = fp_unpack(e, size, a, false), nb = fp_unpack(e, size, b, false);
	uint64_t out;
	if (fp_process_nans(e, size, na.class, nb.class, a, b, &out)) {
		return out;
	}
	bool sign = na.sign ^ nb.sign;
	if (na.class == nb.class && na.class != FP_CLASS_NUMBER) {
		return fp_invalid(e, size); /* 0/0 or inf/inf */
	}
	if (na.class == FP_CLASS_INF || nb.class == FP_CLASS_ZERO) {
		e->sr |= na.class == FP_CLASS_INF ? 0 : FPSR_DZC;
		return fp_infinity(size, sign);
	}
	if (na.class == FP_CLASS_ZERO || nb.class == FP_CLASS_INF) {
		return fp_zero(size, sign);
	}
	fp_u128 dividend = (fp_u128)na.frac << 63;
	uint64_t quotient = (uint64_t)(dividend / nb.frac);
	bool rest = (fp_u128)quotient * nb.frac != dividend;
	struct fp_wide w = {sign, na.exp - nb.exp, (fp_u128)quotient << 64 | rest};
	fp_normalise(&w);
	return fp_pack(e, size, &w, fp_rmode(e), false);
}

uint64_t fp_sqrt(struct fp_env *e, unsigned size, uint64_t a)
{
	struct fp_num n = fp_unpack(e, size, a, false);
	if (fp_is_nan(n.class)) {
		return fp_process_nan(e, size, n.class, a);
	}
	if (n.class == FP_CLASS_ZERO) {
		return fp_zero(size, n.sign);
	}
	if (n.sign) {
		return fp_invalid(e, size);
	}
	if (n.class == FP_CLASS_INF) {
		return fp_infinity(size, false);
	}
	fp_u128 rest = (fp_u128)n.frac << (n.exp & 1 ? 64 : 63);
	uint64_t root = 0;
	for (uint64_t bit = 1ull << 63; bit; bit >>= 1) {
		uint64_t with = root | bit;
		root = (fp_u128)with * with <= rest ? with : root;
	}
	bool inexact = (fp_u128)root * root != rest;
	struct fp_wide w = {false, n.exp >> 1, (fp_u128)root << 64 | inexact};
	return fp_pack(e, size, &w, fp_rmode(e), false);
}

/* FPMulAdd after NaNs: the factors and the addend are unpacked, @size is the result's. */
static uint64_t fp_fuse(struct fp_env *e, unsigned size, const struct fp_num *c, const struct fp_num *a,
			const struct fp_num *b)
{
	bool sign = a->sign ^ b->sign;
	bool inf = a->class == FP_CLASS_INF || b->class == FP_CLASS_INF;
	bool zero = a->class == FP_CLASS_ZERO || b->class == FP_CLASS_ZERO;
	if (inf || c->class == FP_CLASS_INF) {
		if ((inf && zero) || (inf && c->class == FP_CLASS_INF && c->sign != sign)) {
			return fp_invalid(e, size);
		}
		return fp_infinity(size, inf ? sign : c->sign);
	}
	if (zero && c->class == FP_CLASS_ZERO && c->sign == sign) {
		return fp_zero(size, sign);
	}
	struct fp_wide sum = fp_sum(fp_product(a, b), fp_widen(c));
	return fp_pack_sum(e, size, &sum);
}

/* Infinity times zero: no NaN addend survives that. */
static bool fp_is_invalid_product(const struct fp_num *a, const struct fp_num *b)
{
	return (a->class == FP_CLASS_INF && b->class == FP_CLASS_ZERO) ||
	       (a->class == FP_CLASS_ZERO && b->class == FP_CLASS_INF);
}

uint64_t fp_muladd(struct fp_env *e, unsigned size, uint64_t addend, uint64_t a, uint64_t b)
{
	struct fp_num nc = fp_unpack(e, size, addend, false);
	struct fp_num na = fp_unpack(e, size, a, false), nb = fp_unpack(e, size, b, false);
	uint64_t out;
	if (nc.class == FP_CLASS_QNAN && fp_is_invalid_product(&na, &nb)) {
		return fp_invalid(e, size);
	}
	if (nc.class == FP_CLASS_SNAN ||
	    (nc.class == FP_CLASS_QNAN && na.class != FP_CLASS_SNAN && nb.class != FP_CLASS_SNAN)) {
		return fp_process_nan(e, size, nc.class, addend);
	}
	if (fp_process_nans(e, size, na.class, nb.class, a, b, &out)) {
		return out;
	}
	return fp_fuse(e, size, &nc, &na, &nb);
}

uint64_t fp_muladd_half(struct fp_env *e, uint64_t addend, uint64_t a, uint64_t b)
{
	struct fp_num nc = fp_unpack(e, FP_S, addend, false);
	struct fp_num na = fp_unpack(e, FP_H, a, false), nb = fp_unpack(e, FP_H, b, false);
	uint64_t out;
	if (nc.class == FP_CLASS_QNAN && fp_is_invalid_product(&na, &nb)) {
		return fp_invalid(e, FP_S);
	}
	if (nc.class == FP_CLASS_SNAN ||
	    (nc.class == FP_CLASS_QNAN && na.class != FP_CLASS_SNAN && nb.class != FP_CLASS_SNAN)) {
		return fp_process_nan(e, FP_S, nc.class, addend);
	}
	if (fp_process_nans(e, FP_H, na.class, nb.class, a, b, &out)) {
		return e->cr & FPCR_DN ? fp_default_nan(FP_S) : fp_convert_nan(FP_S, FP_H, out);
	}
	return fp_fuse(e, FP_S, &nc, &na, &nb);
}

/* FRECPS and FRSQRTS: @constant - a*b, times 2^@scale; infinity times zero counts as 0 there. */
static uint64_t fp_step(struct fp_env *e, unsigned size, uint64_t a, uint64_t b, struct fp_wide constant,
			int scale)
{
	a = fp_neg(size, a);
	struct fp_num na = fp_unpack(e, size, a, false), nb = fp_unpack(e, size, b, false);
	uint64_t out;
	if (fp_process_nans(e, size, na.class, nb.class, a, b, &out)) {
		return out;
	}
	struct fp_wide product = {0};
	if (!fp_is_invalid_product(&na, &nb)) {
		if (na.class == FP_CLASS_INF || nb.class == FP_CLASS_INF) {
			return fp_infinity(size, na.sign ^ nb.sign);
		}
		product = fp_product(&na, &nb);
	}
	struct fp_wide sum = fp_sum(product, constant);
	sum.exp += scale;
	return fp_pack_sum(e, size, &sum);
}

uint64_t fp_recps(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_step(e, size, a, b, (struct fp_wide){false, 1, (fp_u128)1 << 127}, 0);
}

uint64_t fp_rsqrts(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_step(e, size, a, b, (struct fp_wide){false, 1, (fp_u128)3 << 126}, -1);
}

/* -1, 0, 1 as a is less than, equal to, greater than b; no NaNs. */
static int fp_order(const struct fp_num *a, const struct fp_num *b)
{
	if (a->class == FP_CLASS_ZERO && b->class == FP_CLASS_ZERO) {
		return 0;
	}
	if (a->class == FP_CLASS_ZERO || (b->class != FP_CLASS_ZERO && a->sign != b->sign)) {
		return b->sign ? 1 : -1;
	}
	int above = a->sign ? -1 : 1;
	if (b->class == FP_CLASS_ZERO) {
		return above;
	}
	if (a->class != b->class) { /* one is infinite */
		return a->class == FP_CLASS_INF ? above : -above;
	}
	if (a->exp != b->exp) {
		return a->exp > b->exp ? above : -above;
	}
	return a->frac == b->frac ? 0 : a->frac > b->frac ? above : -above;
}

/* FPMax (@want 1), FPMin (@want -1). */
static uint64_t fp_select(struct fp_env *e, unsigned size, uint64_t a, uint64_t b, int want)
{
	struct fp_num na = fp_unpack(e, size, a, false), nb = fp_unpack(e, size, b, false);
	uint64_t out;
	if (fp_process_nans(e, size, na.class, nb.class, a, b, &out)) {
		return out;
	}
	if (na.class == FP_CLASS_ZERO && nb.class == FP_CLASS_ZERO) {
		return fp_zero(size, want > 0 ? na.sign && nb.sign : na.sign || nb.sign);
	}
	bool first = fp_order(&na, &nb) == want;
	const struct fp_num *n = first ? &na : &nb;
	return n->class == FP_CLASS_ZERO ? fp_zero(size, n->sign) : first ? a : b;
}

uint64_t fp_max(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_select(e, size, a, b, 1);
}

uint64_t fp_min(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_select(e, size, a, b, -1);
}

/* FPMaxNum, FPMinNum: a quiet NaN loses against a number. */
static uint64_t fp_select_number(struct fp_env *e, unsigned size, uint64_t a, uint64_t b, int want)
{
	enum fp_class class_a = fp_unpack(e, size, a, false).class, class_b = fp_unpack(e, size, b, false).class;
	if (class_a == FP_CLASS_QNAN && class_b != FP_CLASS_QNAN) {
		a = fp_infinity(size, want > 0);
	} else if (class_b == FP_CLASS_QNAN && class_a != FP_CLASS_QNAN) {
		b = fp_infinity(size, want > 0);
	}
	return fp_select(e, size, a, b, want);
}

uint64_t fp_maxnm(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_select_number(e, size, a, b, 1);
}

uint64_t fp_minnm(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_select_number(e, size, a, b, -1);
}

/* Order of a and b, or 2 if unordered. */
static int fp_relation(struct fp_env *e, unsigned size, uint64_t a, uint64_t b, bool signalling)
{
	struct fp_num na = fp_unpack(e, size, a, false), nb = fp_unpack(e, size, b, false);
	if (!fp_is_nan(na.class) && !fp_is_nan(nb.class)) {
		return fp_order(&na, &nb);
	}
	if (signalling || na.class == FP_CLASS_SNAN || nb.class == FP_CLASS_SNAN) {
		e->sr |= FPSR_IOC;
	}
	return 2;
}

uint32_t fp_compare(struct fp_env *e, unsigned size, uint64_t a, uint64_t b, bool signalling)
{
	static const uint8_t nzcv[4] = {0x8, 0x6, 0x2, 0x3}; /* less, equal, greater, unordered */
	return (uint32_t)nzcv[fp_relation(e, size, a, b, signalling) + 1] << 28;
}

bool fp_eq(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_relation(e, size, a, b, false) == 0;
}

bool fp_ge(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	int relation = fp_relation(e, size, a, b, true);
	return relation == 0 || relation == 1;
}

bool fp_gt(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_relation(e, size, a, b, true) == 1;
}

bool fp_abs_ge(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_ge(e, size, fp_abs(size, a), fp_abs(size, b));
}

bool fp_abs_gt(struct fp_env *e, unsigned size, uint64_t a, uint64_t b)
{
	return fp_gt(e, size, fp_abs(size, a), fp_abs(size, b));
}
