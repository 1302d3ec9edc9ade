/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_atomic.c - exclusives, ordered loads and stores, LSE atomics
 *
 * How it works: operands of the format `excl`: rd = Rt, rn = base, rm = Rs (status or operand), ra = Rt2.  All atomics run with
 * full ordering on the host, whatever ordering bits the instruction has.
 * Threads: the vCPU thread; memory is shared with other vCPUs, hence the builtins.
 */
#include "engine/soft/mem.h"
#include "engine/soft/ops.h"
#include "engine/soft/run.h"

#define OP(name) void op_##name(struct cpu *cpu, const struct insn *i)
#define RN cpu->x[i->rn]
#define RS cpu->x[i->rm]
#define RT cpu->x[i->rd]
#define RT2 cpu->x[i->ra]

#define CHECK_SP                                                                                   \
	if (mem_sp_misaligned(cpu, i)) {                                                           \
		return;                                                                            \
	}

/* For each access size: suffix, bits, type. */
#define SIZES(X) X(b, 8, uint8_t) X(h, 16, uint16_t) X(w, 32, uint32_t) X(x, 64, uint64_t)

#define ALIAS(name, of)                                                                            \
	OP(name)                                                                                   \
	{                                                                                          \
		op_##of(cpu, i);                                                                   \
	}

#define LOAD_EXCLUSIVE(s, bits, type)                                                              \
	OP(LDXR_##s)                                                                               \
	{                                                                                          \
		CHECK_SP uint64_t value, unused;                                                   \
		if (!mem_load_exclusive(cpu, i, RN, bits / 8, &value, &unused)) {                  \
			return;                                                                    \
		}                                                                                  \
		RT = value;                                                                        \
		NEXT(cpu, i);                                                                      \
	}                                                                                          \
	ALIAS(LDAXR_##s, LDXR_##s)
SIZES(LOAD_EXCLUSIVE)

#define STORE_EXCLUSIVE(s, bits, type)                                                             \
	OP(STXR_##s)                                                                               \
	{                                                                                          \
		CHECK_SP uint64_t status;                                                          \
		if (!mem_store_exclusive(cpu, i, RN, bits / 8, (type)RT, 0, &status)) {            \
			return;                                                                    \
		}                                                                                  \
		RS = status;                                                                       \
		NEXT(cpu, i);                                                                      \
	}                                                                                          \
	ALIAS(STLXR_##s, STXR_##s)
SIZES(STORE_EXCLUSIVE)

OP(LDXP_w)
{
	CHECK_SP uint64_t both, unused;
	if (!mem_load_exclusive(cpu, i, RN, 8, &both, &unused)) {
		return;
	}
	RT = (uint32_t)both;
	RT2 = both >> 32;
	NEXT(cpu, i);
}
ALIAS(LDAXP_w, LDXP_w)

OP(LDXP_x)
{
	CHECK_SP uint64_t first, second;
	if (!mem_load_exclusive(cpu, i, RN, 16, &first, &second)) {
		return;
	}
	RT = first;
	RT2 = second;
	NEXT(cpu, i);
}
ALIAS(LDAXP_x, LDXP_x)

OP(STXP_w)
{
	CHECK_SP uint64_t status;
	if (!mem_store_exclusive(cpu, i, RN, 8, (uint32_t)RT | RT2 << 32, 0, &status)) {
		return;
	}
	RS = status;
	NEXT(cpu, i);
}
ALIAS(STLXP_w, STXP_w)

OP(STXP_x)
{
	CHECK_SP uint64_t status;
	if (!mem_store_exclusive(cpu, i, RN, 16, RT, RT2, &status)) {
		return;
	}
	RS = status;
	NEXT(cpu, i);
}
ALIAS(STLXP_x, STXP_x)

#define ORDERED(s, bits, type)                                                                     \
	OP(LDAR_##s)                                                                               \
	{                                                                                          \
		CHECK_SP uint64_t value;                                                           \
		if (!mem_read##bits##_acquire(cpu, i, RN, &value)) {                               \
			return;                                                                    \
		}                                                                                  \
		RT = value;                                                                        \
		NEXT(cpu, i);                                                                      \
	}                                                                                          \
	ALIAS(LDLAR_##s, LDAR_##s)                                                                 \
	ALIAS(LDAPR_##s, LDAR_##s)                                                                 \
	OP(STLR_##s)                                                                               \
	{                                                                                          \
		CHECK_SP if (!mem_write##bits##_release(cpu, i, RN, RT)) {                         \
			return;                                                                    \
		}                                                                                  \
		NEXT(cpu, i);                                                                      \
	}                                                                                          \
	ALIAS(STLLR_##s, STLR_##s)
SIZES(ORDERED)

/* FEAT_LRCPC2. */
#define UNSCALED_LOAD(name, bits, type, ...)                                                       \
	OP(name)                                                                                   \
	{                                                                                          \
		CHECK_SP uint64_t value;                                                           \
		if (!mem_read##bits##_acquire(cpu, i, RN + i->imm, &value)) {                      \
			return;                                                                    \
		}                                                                                  \
		RT = (type)(__VA_ARGS__ value);                                                    \
		NEXT(cpu, i);                                                                      \
	}
UNSCALED_LOAD(LDAPUR_b, 8, uint64_t)
UNSCALED_LOAD(LDAPUR_h, 16, uint64_t)
UNSCALED_LOAD(LDAPUR_w, 32, uint64_t)
UNSCALED_LOAD(LDAPUR_x, 64, uint64_t)
UNSCALED_LOAD(LDAPURS_b_x, 8, uint64_t, (int64_t)(int8_t))
UNSCALED_LOAD(LDAPURS_b_w, 8, uint32_t, (int32_t)(int8_t))
UNSCALED_LOAD(LDAPURS_h_x, 16, uint64_t, (int64_t)(int16_t))
UNSCALED_LOAD(LDAPURS_h_w, 16, uint32_t, (int32_t)(int16_t))
UNSCALED_LOAD(LDAPURS_w_x, 32, uint64_t, (int64_t)(int32_t))

#define UNSCALED_STORE(s, bits, type)                                                              \
	OP(STLUR_##s)                                                                              \
	{                                                                                          \
		CHECK_SP if (!mem_write##bits##_release(cpu, i, RN + i->imm, RT)) {                \
			return;                                                                    \
		}                                                                                  \
		NEXT(cpu, i);                                                                      \
	}
SIZES(UNSCALED_STORE)

/* Read-modify-write: OLD is an expression over p and operand that leaves the former value. */
#define RMW(name, bits, type, OLD)                                                                 \
	OP(name)                                                                                   \
	{                                                                                          \
		CHECK_SP type *p = mem_rmw_ptr(cpu, i, RN, bits / 8);                              \
		if (UNLIKELY(!p)) {                                                                \
			return;                                                                    \
		}                                                                                  \
		type operand = (type)RS;                                                           \
		RT = OLD;                                                                          \
		NEXT(cpu, i);                                                                      \
	}
/* The same by a compare-and-swap loop; WANTED is over old and operand. */
#define RMW_LOOP(name, bits, type, number, WANTED)                                                 \
	OP(name)                                                                                   \
	{                                                                                          \
		CHECK_SP type *p = mem_rmw_ptr(cpu, i, RN, bits / 8);                              \
		if (UNLIKELY(!p)) {                                                                \
			return;                                                                    \
		}                                                                                  \
		number operand = (number)RS, old = (number)__atomic_load_n(p, __ATOMIC_RELAXED);   \
		for (;;) {                                                                         \
			type seen = __sync_val_compare_and_swap(p, (type)old, (type)(WANTED));     \
			if (seen == (type)old) {                                                   \
				break;                                                             \
			}                                                                          \
			old = (number)seen;                                                        \
		}                                                                                  \
		RT = (type)old;                                                                    \
		NEXT(cpu, i);                                                                      \
	}
#define LSE(s, bits, type)                                                                         \
	RMW(LDADD_##s, bits, type, __atomic_fetch_add(p, operand, __ATOMIC_SEQ_CST))               \
	RMW(LDCLR_##s, bits, type, __atomic_fetch_and(p, (type)~operand, __ATOMIC_SEQ_CST))        \
	RMW(LDEOR_##s, bits, type, __atomic_fetch_xor(p, operand, __ATOMIC_SEQ_CST))               \
	RMW(LDSET_##s, bits, type, __atomic_fetch_or(p, operand, __ATOMIC_SEQ_CST))                \
	RMW(SWP_##s, bits, type, __atomic_exchange_n(p, operand, __ATOMIC_SEQ_CST))                \
	RMW_LOOP(LDSMAX_##s, bits, type, int##bits##_t, old > operand ? old : operand)             \
	RMW_LOOP(LDSMIN_##s, bits, type, int##bits##_t, old < operand ? old : operand)             \
	RMW_LOOP(LDUMAX_##s, bits, type, type, old > operand ? old : operand)                      \
	RMW_LOOP(LDUMIN_##s, bits, type, type, old < operand ? old : operand)
SIZES(LSE)

#define COMPARE_SWAP(s, bits, type)                                                                \
	OP(CAS_##s)                                                                                \
	{                                                                                          \
		CHECK_SP type *p = mem_rmw_ptr(cpu, i, RN, bits / 8);                              \
		if (UNLIKELY(!p)) {                                                                \
			return;                                                                    \
		}                                                                                  \
		/* Rs is decoded as a target: number 31 is still 0 when read. */                   \
		type expected = i->rm == CPU_SINK ? 0 : (type)RS;                                  \
		RS = __sync_val_compare_and_swap(p, expected, (type)RT);                           \
		NEXT(cpu, i);                                                                      \
	}
SIZES(COMPARE_SWAP)

/* The register after an even one: 31 is ZR when read and nothing when written. */
static uint64_t second_value(const struct cpu *cpu, unsigned even)
{
	return cpu->x[even == 30 ? CPU_ZR : even + 1];
}

OP(CASP_w)
{
	CHECK_SP uint64_t *p = mem_rmw_ptr(cpu, i, RN, 8);
	if (UNLIKELY(!p)) {
		return;
	}
	unsigned s = A64_Rs(i->raw), t = A64_Rt(i->raw);
	uint64_t expected = (uint32_t)cpu->x[s] | second_value(cpu, s) << 32;
	uint64_t wanted = (uint32_t)cpu->x[t] | second_value(cpu, t) << 32;
	uint64_t old = __sync_val_compare_and_swap(p, expected, wanted);
	cpu->x[s] = (uint32_t)old;
	cpu->x[s == 30 ? CPU_SINK : s + 1] = old >> 32;
	NEXT(cpu, i);
}

/* A 16-byte compare-and-swap whose locals do not outlive it (see cpu.h on tail calls). */
static __attribute__((noinline)) void casp_x(struct cpu *cpu, void *p, unsigned s, unsigned t)
{
	uint64_t expected[2] = { cpu->x[s], second_value(cpu, s) };
	uint64_t wanted[2] = { cpu->x[t], second_value(cpu, t) };
	(void)mem_cas128(p, expected, wanted);
	cpu->x[s] = expected[0];
	cpu->x[s == 30 ? CPU_SINK : s + 1] = expected[1];
}

OP(CASP_x)
{
	CHECK_SP void *p = mem_rmw_ptr(cpu, i, RN, 16);
	if (UNLIKELY(!p)) {
		return;
	}
	casp_x(cpu, p, A64_Rs(i->raw), A64_Rt(i->raw));
	NEXT(cpu, i);
}
