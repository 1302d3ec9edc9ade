/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_crc.c - CRC32 and CRC32C
 *
 * How it works: one table look-up a byte; the tables are written out by the linearity of the code (entry n is the sum of the
 * entries of n's bits).  CRC32C uses the host's instruction where decode.c finds it.
 * Threads: the vCPU thread.
 */
#include "engine/soft/ops.h"
#include "engine/soft/run.h"

#define OP(name) void op_##name(struct cpu *cpu, const struct insn *i)
#define RN cpu->x[i->rn]
#define RM cpu->x[i->rm]
#define RD cpu->x[i->rd]

#define ENTRY(n, b0, b1, b2, b3, b4, b5, b6, b7)                                                   \
	(((n) & 1 ? b0 : 0) ^ ((n) & 2 ? b1 : 0) ^ ((n) & 4 ? b2 : 0) ^ ((n) & 8 ? b3 : 0) ^       \
	 ((n) & 16 ? b4 : 0) ^ ((n) & 32 ? b5 : 0) ^ ((n) & 64 ? b6 : 0) ^ ((n) & 128 ? b7 : 0))
/* Entries 1, 2, 4 ... 128 of the reflected polynomials 0x04c11db7 and 0x1edc6f41. */
#define PLAIN(n)                                                                                   \
	ENTRY(n, 0x77073096u, 0xee0e612cu, 0x076dc419u, 0x0edb8832u, 0x1db71064u, 0x3b6e20c8u,     \
	      0x76dc4190u, 0xedb88320u)
#define CASTAGNOLI(n)                                                                              \
	ENTRY(n, 0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, 0x105ec76fu, 0x20bd8edeu,     \
	      0x417b1dbcu, 0x82f63b78u)
#define FOUR(F, n)    F(n), F((n) + 1), F((n) + 2), F((n) + 3)
#define SIXTEEN(F, n) FOUR(F, n), FOUR(F, (n) + 4), FOUR(F, (n) + 8), FOUR(F, (n) + 12)
#define SIXTYFOUR(F, n)                                                                            \
	SIXTEEN(F, n), SIXTEEN(F, (n) + 16), SIXTEEN(F, (n) + 32), SIXTEEN(F, (n) + 48)
#define TABLE(F) { SIXTYFOUR(F, 0), SIXTYFOUR(F, 64), SIXTYFOUR(F, 128), SIXTYFOUR(F, 192) }

static const uint32_t plain_table[256] = TABLE(PLAIN);
static const uint32_t castagnoli_table[256] = TABLE(CASTAGNOLI);

SOFT_INLINE uint32_t crc_bytes(const uint32_t table[256], uint32_t crc, uint64_t value, unsigned bytes)
{
	for (unsigned n = 0; n < bytes; n++) {
		crc = crc >> 8 ^ table[(crc ^ value) & 0xff];
		value >>= 8;
	}
	return crc;
}

#define CRC(name, table, bytes)                                                                    \
	OP(name)                                                                                   \
	{                                                                                          \
		RD = crc_bytes(table, (uint32_t)RN, RM, bytes);                                    \
		NEXT(cpu, i);                                                                      \
	}
CRC(CRC32B, plain_table, 1)
CRC(CRC32H, plain_table, 2)
CRC(CRC32W, plain_table, 4)
CRC(CRC32X, plain_table, 8)
CRC(CRC32CB, castagnoli_table, 1)
CRC(CRC32CH, castagnoli_table, 2)
CRC(CRC32CW, castagnoli_table, 4)
CRC(CRC32CX, castagnoli_table, 8)

#ifdef __x86_64__
#define CRC_HOST(name, bits, type)                                                                 \
	__attribute__((target("sse4.2"))) OP(name##_host)                                          \
	{                                                                                          \
		RD = (uint32_t)__builtin_ia32_crc32##bits((uint32_t)RN, (type)RM);                 \
		NEXT(cpu, i);                                                                      \
	}
CRC_HOST(CRC32CB, qi, uint8_t)
CRC_HOST(CRC32CH, hi, uint16_t)
CRC_HOST(CRC32CW, si, uint32_t)
CRC_HOST(CRC32CX, di, uint64_t)
#endif
