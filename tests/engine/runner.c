/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runner.c - AArch64 program that runs cases on a reference implementation (see diff.h)
 *
 * How it works: reads cases from descriptor 0, writes a state for each to descriptor 1.  A stream is preceded by code that
 * loads the last two registers and followed by code that saves x30 in TPIDR_EL0 and jumps back.  A signal ends the stream.
 * Built freestanding; no C library, so that the tests need only a compiler.
 */
#include "diff.h"

#include <stdbool.h>
#include <stddef.h>

#define CONTEXT 0x30000000ull

/* At CONTEXT.  The assembly knows the offsets. */
struct context {
	struct diff_state state;
	uint64_t host_sp;
	uint64_t leave;
};

_Static_assert(offsetof(struct diff_state, sp) == 248, "assembly");
_Static_assert(offsetof(struct diff_state, v) == 256, "assembly");
_Static_assert(offsetof(struct diff_state, nzcv) == 768, "assembly");
_Static_assert(offsetof(struct context, host_sp) == 768 + 24 + DIFF_WINDOW_BYTES + 16, "assembly");

void enter(uint64_t preamble);
extern char leave[], preamble[], preamble_end[], epilogue[], epilogue_end[];

__asm__(
	".text\n"
	"enter:\n"
	"	stp x29, x30, [sp, #-16]!\n stp x27, x28, [sp, #-16]!\n stp x25, x26, [sp, #-16]!\n"
	"	stp x23, x24, [sp, #-16]!\n stp x21, x22, [sp, #-16]!\n stp x19, x20, [sp, #-16]!\n"
	"	stp d8, d9, [sp, #-16]!\n stp d10, d11, [sp, #-16]!\n"
	"	stp d12, d13, [sp, #-16]!\n stp d14, d15, [sp, #-16]!\n"
	"	mov x29, x0\n"
	"	mov x30, #0x30000000\n"
	"	mov x0, sp\n str x0, [x30, #1320]\n"
	"	clrex\n"
	"	ldr x0, [x30, #768]\n msr nzcv, x0\n"
	"	ldr x0, [x30, #776]\n msr fpcr, x0\n"
	"	ldr x0, [x30, #784]\n msr fpsr, x0\n"
	"	ldr x0, [x30, #248]\n mov sp, x0\n"
	"	.irp n, 0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30\n"
	"	ldr q\\n, [x30, #256 + 16 * \\n]\n"
	"	.endr\n"
	"	.irp n, 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31\n"
	"	ldr q\\n, [x30, #256 + 16 * \\n]\n"
	"	.endr\n"
	"	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28\n"
	"	ldr x\\n, [x30, #8 * \\n]\n"
	"	.endr\n"
	"	br x29\n"
	"preamble:\n"
	"	ldr x29, [x30, #8 * 29]\n"
	"	ldr x30, [x30, #8 * 30]\n"
	"preamble_end:\n"
	"epilogue:\n"
	"	msr tpidr_el0, x30\n"
	"	mov x30, #0x30000000\n"
	"	str x29, [x30, #8 * 29]\n"
	"	ldr x29, [x30, #1328]\n"
	"	br x29\n"
	"epilogue_end:\n"
	"leave:\n"
	"	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28\n"
	"	str x\\n, [x30, #8 * \\n]\n"
	"	.endr\n"
	"	mrs x0, tpidr_el0\n str x0, [x30, #8 * 30]\n"
	"	mov x0, sp\n str x0, [x30, #248]\n"
	"	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
	"	str q\\n, [x30, #256 + 16 * \\n]\n"
	"	.endr\n"
	"	mrs x0, nzcv\n str x0, [x30, #768]\n"
	"	mrs x0, fpcr\n str x0, [x30, #776]\n"
	"	mrs x0, fpsr\n str x0, [x30, #784]\n"
	"	msr fpcr, xzr\n"
	"	ldr x0, [x30, #1320]\n mov sp, x0\n"
	"	ldp d14, d15, [sp], #16\n ldp d12, d13, [sp], #16\n"
	"	ldp d10, d11, [sp], #16\n ldp d8, d9, [sp], #16\n"
	"	ldp x19, x20, [sp], #16\n ldp x21, x22, [sp], #16\n ldp x23, x24, [sp], #16\n"
	"	ldp x25, x26, [sp], #16\n ldp x27, x28, [sp], #16\n ldp x29, x30, [sp], #16\n"
	"	ret\n"
	".globl _start\n"
	"_start:\n"
	"	bl run\n"
	".globl enter, leave, preamble, preamble_end, epilogue, epilogue_end\n");

enum { SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT = 93, SYS_SIGALTSTACK = 132, SYS_SIGACTION = 134, SYS_MMAP = 222 };

static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

void *memcpy(void *to, const void *from, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		((volatile char *)to)[k] = ((const char *)from)[k];
	}
	return to;
}

void *memset(void *to, int value, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		((volatile char *)to)[k] = (char)value;
	}
	return to;
}

static void map(uint64_t address, uint64_t bytes)
{
	/* Read, write, execute; private, anonymous, fixed. */
	if (call(SYS_MMAP, (long)address, (long)bytes, 7, 0x32, -1, 0) != (long)address) {
		call(SYS_EXIT, 2, 0, 0, 0, 0, 0);
	}
}

static bool transfer(long number, int fd, void *at, size_t bytes)
{
	while (bytes) {
		long done = call(number, fd, (long)at, (long)bytes, 0, 0, 0);
		if (done <= 0) {
			return false;
		}
		at = (char *)at + done;
		bytes -= (size_t)done;
	}
	return true;
}

static uint64_t epilogue_at;

/* struct ucontext of Linux on AArch64: the PC is at byte 440. */
static void on_signal(int signal, void *info, char *ucontext)
{
	struct context *context = (struct context *)CONTEXT;
	uint64_t *pc = (uint64_t *)(ucontext + 440);
	context->state.stopped = (uint64_t)signal;
	context->state.stopped_at = *pc;
	*pc = epilogue_at;
}

static void catch_signals(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	struct {
		void *base;
		int flags;
		size_t size;
	} altstack = { stack, 0, sizeof(stack) };
	struct {
		void (*handler)(int, void *, char *);
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} action = { on_signal, 0x08000004, 0, 0 }; /* SA_ONSTACK | SA_SIGINFO */
	static const int signals[] = { 4, 5, 7, 8, 11 };
	call(SYS_SIGALTSTACK, (long)&altstack, 0, 0, 0, 0, 0);
	for (unsigned n = 0; n < sizeof(signals) / sizeof(signals[0]); n++) {
		call(SYS_SIGACTION, signals[n], (long)&action, 0, 8, 0, 0);
	}
}

static void run_case(const struct diff_case *c)
{
	struct context *context = (struct context *)CONTEXT;
	char *code = (char *)(DIFF_CODE + c->code_offset);
	size_t before = (size_t)(preamble_end - preamble);
	memcpy(code - before, preamble, before);
	memcpy(code, c->insns, c->count * 4);
	epilogue_at = (uint64_t)code + c->count * 4;
	memcpy((void *)epilogue_at, epilogue, (size_t)(epilogue_end - epilogue));
	__builtin___clear_cache(code - before, code + c->count * 4 + 32);
	context->state = c->start;
	context->state.stopped = 0;
	context->leave = (uint64_t)leave;
	memcpy((void *)DIFF_WINDOW, c->start.memory, DIFF_WINDOW_BYTES);
	enter((uint64_t)code - before);
	memcpy(context->state.memory, (void *)DIFF_WINDOW, DIFF_WINDOW_BYTES);
}

__attribute__((used, noreturn)) void run(void)
{
	static struct diff_case c;
	map(DIFF_MEMORY, 8192);
	map(DIFF_CODE, DIFF_CODE_BYTES);
	map(CONTEXT, 4096);
	catch_signals();
	while (transfer(SYS_READ, 0, &c, sizeof(c))) {
		run_case(&c);
		if (!transfer(SYS_WRITE, 1, (void *)CONTEXT, sizeof(struct diff_state))) {
			break;
		}
	}
	call(SYS_EXIT, 0, 0, 0, 0, 0, 0);
	__builtin_unreachable();
}
