/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff.h - what the differential test sends to the program under qemu-aarch64 and gets back
 *
 * How it works: a case is a machine state and a stream of instructions at DIFF_CODE.  Both sides load the state, run the stream and
 * dump the state.  Memory is a window across a page boundary, at the same address on both sides.
 * Shared with runner.c, which is built for AArch64 without a C library.
 */
#ifndef ORIEL_TESTS_ENGINE_DIFF_H
#define ORIEL_TESTS_ENGINE_DIFF_H

#include <stdint.h>

#define DIFF_INSNS	  64
#define DIFF_WINDOW_BYTES 512
#define DIFF_MEMORY	  0x10000000ull /* two pages; the window is in the middle */
#define DIFF_WINDOW	  (DIFF_MEMORY + 4096 - DIFF_WINDOW_BYTES / 2)
#define DIFF_CODE	  0x20000000ull /* two pages; streams start at DIFF_CODE + code_offset */
#define DIFF_CODE_BYTES	  8192

/* MSR FPSR, XZR: the one system register access in streams, so that each flag has to be set anew. */
#define DIFF_CLEAR_FPSR 0xd51b443f

struct diff_state {
	uint64_t x[31];
	uint64_t sp;
	uint64_t v[32][2];
	uint64_t nzcv, fpcr, fpsr;
	uint8_t memory[DIFF_WINDOW_BYTES];
	/* Results only: why the stream stopped (0: at its end, else a signal's number) and where. */
	uint64_t stopped, stopped_at;
};

struct diff_case {
	struct diff_state start;
	uint32_t code_offset; /* bytes, at least 16 */
	uint32_t count;
	uint32_t insns[DIFF_INSNS];
};

#endif
