/* SPDX-License-Identifier: Apache-2.0 */
/*
 * debugger.c - does a kernel's use of debug registers work: what debuggers in the guest ask
 * ptrace(2) for
 *
 * How it works: each test forks a child that is traced and runs a few instructions written below in
 * assembly, so all addresses are known.  The parent sets breakpoints and watchpoints
 * (NT_ARM_HW_BREAK, NT_ARM_HW_WATCH) or steps, and compares where the child stops.  As debuggers
 * do, it goes on from a stop by one step without the debug registers.  TAP on standard output.
 *
 * Threads: one for each process.
 */
#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef NT_ARM_HW_BREAK
#define NT_ARM_HW_BREAK 0x402
#define NT_ARM_HW_WATCH 0x403
#endif

enum { SLOTS = 16, LEN_4 = 0xf, BREAK = 0, READ = 1, WRITE = 2 };

/* struct user_hwdebug_state of the kernel's asm/ptrace.h, with room for all slots. */
struct debug_state {
	uint32_t info, pad;
	struct {
		uint64_t address;
		uint32_t control, pad;
	} slot[SLOTS];
};

/* struct user_pt_regs */
struct registers {
	uint64_t x[31], sp, pc, pstate;
};

#define CODE(name) extern const char name[] __attribute__((visibility("hidden")))
CODE(count_loop);
CODE(count_body);
CODE(count_end);
CODE(store_each);
CODE(store_byte);
CODE(load_byte);
CODE(wide);
CODE(wide_first);
CODE(wide_end);
CODE(exclusive);
CODE(exclusive_load);
CODE(exclusive_end);
CODE(calls);
CODE(call_svc);
CODE(call_done);
CODE(branches);
CODE(faults);
CODE(fault_load);

/* x0 and x1 are the arguments. */
__asm__(".text\n .arch armv8.1-a\n"
	/* Add 1 to 10 into x0. */
	"count_loop: mov x0, #0\n mov x1, #10\n"
	"count_body: add x0, x0, x1\n sub x1, x1, #1\n cbnz x1, count_body\n"
	"count_end: ret\n"
	/* Write and read each of the x1 bytes at x0; x2 is the byte's number. */
	"store_each: mov x2, #0\n"
	"store_byte: strb w2, [x0, x2]\n"
	"load_byte: ldrb w3, [x0, x2]\n add x2, x2, #1\n cmp x2, x1\n b.ne store_byte\n"
	"mov x0, #0\n ret\n"
	/* Accesses of all kinds that touch [x0, x0 + 64), and first and last one that do not. */
	"wide: add x2, x0, #8\n add x3, x0, #64\n mov x4, #0\n"
	"wide_first: str x4, [x0, #-8]\n"
	"str x4, [x0, #-4]\n stur x4, [x0, #57]\n stp x4, x4, [x0, #-8]\n str q0, [x0, #48]\n"
	"st1 {v0.16b, v1.16b}, [x0]\n swpal x4, x5, [x2]\n ldaddal x4, x5, [x2]\n"
	"casal x4, x4, [x2]\n ldr x5, [x2]\n ldp q0, q1, [x0, #-16]\n ldaxr x5, [x2]\n"
	"stlr x4, [x2]\n dc zva, x0\n str x4, [x3]\n"
	"wide_end: mov x0, #0\n ret\n"
	/* Add one to [x0] by a loop of exclusives. */
	"exclusive: mov x3, #1\n"
	"exclusive_load: ldxr x1, [x0]\n add x1, x1, x3\n stxr w2, x1, [x0]\n"
	"cbnz w2, exclusive_load\n"
	"exclusive_end: ldr x0, [x0]\n ret\n"
	/* getppid(), with a call around it. */
	"calls: mov x9, x30\n bl call_svc\n b call_done\n nop\n"
	"call_svc: mov x8, #173\n svc #0\n ret\n"
	"call_done: mov x30, x9\n ret\n"
	/* Taken: 0 b, 8 cbz, 20 b.eq, 36 br, 52 blr, 60 and 64 ret; not: 12 cbnz, 28 tbnz. */
	"branches: b 1f\n nop\n"
	"1: cbz xzr, 2f\n"
	"2: cbnz xzr, branches\n cmp x0, x0\n b.eq 3f\n nop\n"
	"3: tbnz xzr, #3, branches\n adr x2, 4f\n br x2\n nop\n"
	"4: adr x2, 5f\n mov x3, x30\n blr x2\n mov x30, x3\n ret\n"
	"5: ret\n"
	/* Read address 8. */
	"faults: mov x1, #8\n"
	"fault_load: ldr x0, [x1]\n ret\n");

static unsigned tests_run, tests_failed;
static char why[256];

#define CHECK(condition, ...)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			snprintf(why, sizeof(why), __VA_ARGS__);                                   \
			return false;                                                              \
		}                                                                                  \
	} while (0)

/* ----- a traced child ----- */

/* A child that stopped itself and then runs @code(@a, @b), whose result is its exit status. */
static pid_t start(const char *code, uint64_t a, uint64_t b)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit((int)((uint64_t(*)(uint64_t, uint64_t))(uintptr_t)code)(a, b));
	}
	int status;
	waitpid(pid, &status, 0);
	return pid;
}

static struct registers registers(pid_t pid)
{
	struct registers r = {0};
	struct iovec io = {&r, sizeof(r)};
	ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &io);
	return r;
}

/* Slot @n of @kind: @control 0 turns it off.  False: the kernel refuses. */
static bool set_slot(pid_t pid, unsigned kind, unsigned n, uint64_t address, uint32_t control)
{
	struct debug_state state = {0};
	struct iovec io = {&state, sizeof(state)};
	void *set = (void *)(uintptr_t)(kind == BREAK ? NT_ARM_HW_BREAK : NT_ARM_HW_WATCH);
	if (ptrace(PTRACE_GETREGSET, pid, set, &io) < 0) {
		return false;
	}
	state.slot[n].address = address;
	state.slot[n].control = control;
	io.iov_len = offsetof(struct debug_state, slot[n + 1]);
	return ptrace(PTRACE_SETREGSET, pid, set, &io) == 0;
}

/* BAS, LSC or breakpoint, EL0, enabled. */
static uint32_t control(unsigned kind, unsigned bas)
{
	return bas << 5 | kind << 3 | 2 << 1 | 1;
}

static bool breakpoint(pid_t pid, unsigned n, const char *at)
{
	return set_slot(pid, BREAK, n, (uint64_t)(uintptr_t)at, at ? control(BREAK, LEN_4) : 0);
}

/* Watch @len bytes that do not cross a multiple of 8. */
static bool watchpoint(pid_t pid, unsigned n, unsigned kind, uint64_t address, unsigned len)
{
	unsigned bas = ((1u << len) - 1) << (address & 7);
	return set_slot(pid, kind, n, address & ~UINT64_C(7), len ? control(kind, bas) : 0);
}

/* Go on; the signal that it stops with, or 0 if it ended. */
static int go_on(pid_t pid, int request)
{
	int status;
	ptrace((enum __ptrace_request)request, pid, NULL, NULL);
	waitpid(pid, &status, 0);
	return WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
}

static siginfo_t signal_info(pid_t pid)
{
	siginfo_t info = {0};
	ptrace(PTRACE_GETSIGINFO, pid, NULL, &info);
	return info;
}

static bool is_hardware_stop(pid_t pid, uint64_t address)
{
	siginfo_t info = signal_info(pid);
	return info.si_code == TRAP_HWBKPT && (uint64_t)(uintptr_t)info.si_addr == address;
}

static void stop_child(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) == pid) {
	}
}

/* To @code's start, by a breakpoint that is gone afterwards. */
static bool run_to(pid_t pid, const char *code)
{
	return breakpoint(pid, 0, code) && go_on(pid, PTRACE_CONT) == SIGTRAP &&
	       registers(pid).pc == (uintptr_t)code && breakpoint(pid, 0, NULL);
}

/* ----- tests: true, or why[] ----- */

static bool test_slots(pid_t *pid)
{
	struct debug_state state = {0};
	struct iovec io = {&state, sizeof(state)};
	*pid = start(count_loop, 0, 0);
	ptrace(PTRACE_GETREGSET, *pid, (void *)NT_ARM_HW_BREAK, &io);
	CHECK((state.info & 0xff) == 6, "breakpoints: %u", state.info & 0xff);
	io.iov_len = sizeof(state);
	ptrace(PTRACE_GETREGSET, *pid, (void *)NT_ARM_HW_WATCH, &io);
	CHECK((state.info & 0xff) == 4, "watchpoints: %u", state.info & 0xff);
	return true;
}

/* Stops before the instruction, each time it comes round. */
static bool test_breakpoint_in_loop(pid_t *pid)
{
	*pid = start(count_loop, 0, 0);
	uint64_t sum = 0;
	for (uint64_t left = 10; left; left--) {
		CHECK(breakpoint(*pid, 0, count_body), "refused: %s", strerror(errno));
		CHECK(go_on(*pid, PTRACE_CONT) == SIGTRAP, "no stop with %d left", (int)left);
		struct registers r = registers(*pid);
		CHECK(r.pc == (uintptr_t)count_body, "pc %#lx", (long)r.pc);
		CHECK(is_hardware_stop(*pid, r.pc), "si_code %d", signal_info(*pid).si_code);
		CHECK(r.x[0] == sum && r.x[1] == left, "x0 %ld x1 %ld", (long)r.x[0], (long)r.x[1]);
		sum += left;
		CHECK(breakpoint(*pid, 0, NULL) && go_on(*pid, PTRACE_SINGLESTEP) == SIGTRAP,
		      "step");
		CHECK(registers(*pid).pc == (uintptr_t)count_body + 4, "stepped to %#lx",
		      (long)registers(*pid).pc);
	}
	CHECK(breakpoint(*pid, 0, count_body) && go_on(*pid, PTRACE_CONT) == 0,
	      "one stop too much");
	return true;
}

static bool test_six_breakpoints(pid_t *pid)
{
	static const uint8_t path[] = {0, 12, 28, 44, 64, 56};
	*pid = start(branches, 0, 0);
	for (unsigned n = 0; n < sizeof(path); n++) {
		CHECK(breakpoint(*pid, n, branches + path[n]), "slot %u: %s", n, strerror(errno));
	}
	for (unsigned n = 0; n < sizeof(path); n++) {
		CHECK(go_on(*pid, PTRACE_CONT) == SIGTRAP, "no stop at %u", path[n]);
		uint64_t offset = registers(*pid).pc - (uintptr_t)branches;
		CHECK(offset == path[n], "stop at %ld instead of %u", (long)offset, path[n]);
		CHECK(breakpoint(*pid, n, NULL), "slot %u can not be cleared", n);
	}
	return true;
}

/* Bytes written and read in turn: exactly those that are watched stop, by the right kind of access.
 */
static bool try_watchpoint(pid_t *pid, uint8_t *buffer, unsigned kind, unsigned offset,
			   unsigned len)
{
	*pid = start(store_each, (uintptr_t)buffer, 24);
	uint64_t address = (uintptr_t)buffer + 8 + offset;
	unsigned hits = 0;
	for (;;) {
		CHECK(watchpoint(*pid, 2, kind, address, len), "%u at %u refused: %s", len, offset,
		      strerror(errno));
		if (go_on(*pid, PTRACE_CONT) != SIGTRAP) {
			break;
		}
		struct registers r = registers(*pid);
		bool write = r.pc == (uintptr_t)store_byte;
		CHECK(write || r.pc == (uintptr_t)load_byte, "%u at %u: pc %#lx", len, offset,
		      (long)r.pc);
		CHECK(kind & (write ? WRITE : READ), "%u at %u: wrong kind", len, offset);
		CHECK(r.x[2] == 8 + offset + hits / (kind == (READ | WRITE) ? 2 : 1),
		      "%u at %u: byte %d", len, offset, (int)r.x[2] - 8);
		CHECK(signal_info(*pid).si_code == TRAP_HWBKPT, "si_code");
		hits++;
		CHECK(watchpoint(*pid, 2, kind, 0, 0) && go_on(*pid, PTRACE_SINGLESTEP) == SIGTRAP,
		      "step");
		CHECK(registers(*pid).pc == r.pc + 4, "stepped to %#lx", (long)registers(*pid).pc);
	}
	CHECK(hits == len * (kind == (READ | WRITE) ? 2 : 1), "%u at %u: %u hits", len, offset,
	      hits);
	stop_child(*pid);
	return true;
}

static bool test_watched_bytes(pid_t *pid)
{
	static _Alignas(64) uint8_t buffer[64];
	static const uint8_t lens[] = {1, 2, 4, 8};
	for (unsigned n = 0; n < sizeof(lens); n++) {
		for (unsigned offset = 0; offset + lens[n] <= 8; offset += lens[n] == 1 ? 3 : 1) {
			if (!try_watchpoint(pid, buffer, WRITE, offset, lens[n])) {
				return false;
			}
		}
	}
	return try_watchpoint(pid, buffer, READ, 3, 2) &&
	       try_watchpoint(pid, buffer, READ | WRITE, 5, 3);
}

/* Every access that overlaps a watched line of 64 bytes stops once, whatever its size; its
 * neighbours do not. */
static bool test_watched_accesses(pid_t *pid)
{
	static _Alignas(128) uint8_t buffer[256];
	uint64_t line = (uintptr_t)buffer + 128;
	for (unsigned place = 0; place < 8; place += 7) { /* its first and its last eight bytes */
		unsigned writes = 0, reads = 0;
		*pid = start(wide, line, 0);
		for (;;) {
			CHECK(watchpoint(*pid, 0, READ | WRITE, line + 8 * place, 8), "refused");
			if (go_on(*pid, PTRACE_CONT) != SIGTRAP) {
				break;
			}
			uint64_t pc = registers(*pid).pc;
			CHECK(pc >= (uintptr_t)wide_first && pc < (uintptr_t)wide_end, "pc %#lx",
			      (long)pc);
			unsigned number = (unsigned)(pc - (uintptr_t)wide_first) / 4;
			*(number >= 9 && number <= 11 ? &reads : &writes) |= 1u << number;
			CHECK(watchpoint(*pid, 0, READ, 0, 0) &&
				      go_on(*pid, PTRACE_SINGLESTEP) == SIGTRAP,
			      "step");
		}
		/* Numbers of the instructions behind wide_first. */
		unsigned want_writes = place == 0 ? 1u << 1 | 1u << 3 | 1u << 5 | 1u << 13
						  : 1u << 2 | 1u << 4 | 1u << 13;
		unsigned want_reads = place == 0 ? 1u << 10 : 0;
		CHECK(writes == want_writes && reads == want_reads,
		      "place %u: writes %#x reads %#x", place, writes, reads);
		stop_child(*pid);
	}
	return true;
}

/* Atomics, exclusives and DC ZVA, with a watched word inside of what they touch. */
static bool test_watched_atomics(pid_t *pid)
{
	static _Alignas(128) uint8_t buffer[256];
	uint64_t line = (uintptr_t)buffer + 128;
	*pid = start(wide, line, 0);
	for (unsigned n = 5; n <= 13; n++) {
		CHECK(watchpoint(*pid, 3, READ | WRITE, line + 12, 4), "refused");
		CHECK(go_on(*pid, PTRACE_CONT) == SIGTRAP, "no stop at instruction %u", n);
		uint64_t pc = registers(*pid).pc;
		CHECK(pc == (uintptr_t)wide_first + 4 * n, "at %#lx instead of instruction %u",
		      (long)pc, n);
		CHECK(watchpoint(*pid, 3, READ, 0, 0) && go_on(*pid, PTRACE_SINGLESTEP) == SIGTRAP,
		      "step");
	}
	return true;
}

/* Other processes with the same addresses, and the kernel's own accesses, do not stop. */
static bool test_only_its_process(pid_t *pid)
{
	static _Alignas(64) uint8_t buffer[64];
	cpu_set_t first;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
	*pid = start(store_each, (uintptr_t)buffer, 24);
	CHECK(watchpoint(*pid, 0, WRITE, (uintptr_t)buffer + 8, 1), "refused");
	pid_t other = fork();
	if (other == 0) {
		for (unsigned n = 0; n < 20000; n++) {
			*(volatile uint8_t *)&buffer[8] = (uint8_t)n;
			if (n % 64 == 0) {
				sched_yield();
			}
		}
		_exit(7);
	}
	CHECK(go_on(*pid, PTRACE_CONT) == SIGTRAP && registers(*pid).x[2] == 8,
	      "the watched one did not stop");
	int status;
	waitpid(other, &status, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "the other process ended with %#x",
	      status);
	return true;
}

/* Steps of @pid from @code on, as offsets; ends at @count of them. */
static bool expect_steps(pid_t pid, const char *code, const uint8_t *offsets, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		CHECK(go_on(pid, PTRACE_SINGLESTEP) == SIGTRAP, "step %u: no trap", n);
		/* Behind a system call the kernel itself reports the step
		 * (user_single_step_report()). */
		int reason = signal_info(pid).si_code;
		CHECK(reason == TRAP_TRACE || reason == SI_USER, "step %u: si_code %d", n, reason);
		uint64_t offset = registers(pid).pc - (uintptr_t)code;
		CHECK(offset == offsets[n], "step %u: at %ld instead of %u", n, (long)offset,
		      offsets[n]);
	}
	return true;
}

static bool test_step_branches(pid_t *pid)
{
	static const uint8_t path[] = {8, 12, 16, 20, 28, 32, 36, 44, 48, 52, 64, 56, 60};
	*pid = start(branches, 0, 0);
	return run_to(*pid, branches) && expect_steps(*pid, branches, path, sizeof(path));
}

static bool test_step_system_call(pid_t *pid)
{
	static const uint8_t path[] = {4, 16, 20, 24, 24, 8, 28, 32};
	*pid = start(calls, 0, 0);
	CHECK(run_to(*pid, calls), "breakpoint");
	if (!expect_steps(*pid, calls, path, sizeof(path))) {
		return false;
	}
	CHECK(registers(*pid).x[0] == (uint64_t)getpid(), "getppid() gave %ld",
	      (long)registers(*pid).x[0]);
	return true;
}

/* The exception between the steps opens the monitor each time; the loop ends when it runs freely.
 */
static bool test_step_exclusives(pid_t *pid)
{
	static _Alignas(8) uint64_t counter = 41;
	static const uint8_t path[] = {4, 8, 12, 16, 4, 8, 12, 16, 4, 8};
	*pid = start(exclusive, (uintptr_t)&counter, 0);
	CHECK(run_to(*pid, exclusive), "breakpoint");
	if (!expect_steps(*pid, exclusive, path, sizeof(path))) {
		return false;
	}
	CHECK(breakpoint(*pid, 1, exclusive_end) && go_on(*pid, PTRACE_CONT) == SIGTRAP,
	      "no stop behind the loop");
	CHECK(registers(*pid).pc == (uintptr_t)exclusive_end, "pc %#lx", (long)registers(*pid).pc);
	CHECK(ptrace(PTRACE_PEEKDATA, *pid, &counter, NULL) == 42, "the sum is wrong");
	return true;
}

static bool test_step_fault(pid_t *pid)
{
	static const uint8_t path[] = {4};
	*pid = start(faults, 0, 0);
	CHECK(run_to(*pid, faults), "breakpoint");
	if (!expect_steps(*pid, faults, path, sizeof(path))) {
		return false;
	}
	CHECK(go_on(*pid, PTRACE_SINGLESTEP) == SIGSEGV, "no SIGSEGV");
	CHECK(registers(*pid).pc == (uintptr_t)fault_load, "pc %#lx", (long)registers(*pid).pc);
	CHECK((uintptr_t)signal_info(*pid).si_addr == 8, "si_addr");
	return true;
}

static void run_test(const char *name, bool (*test)(pid_t *pid))
{
	pid_t pid = 0;
	bool good = test(&pid);
	stop_child(pid);
	printf("%sok %u - debugger: %s%s%s\n", good ? "" : "not ", ++tests_run, name,
	       good ? "" : ": ", good ? "" : why);
	fflush(stdout);
	tests_failed += !good;
}

int main(void)
{
	run_test("slots", test_slots);
	run_test("breakpoint_in_loop", test_breakpoint_in_loop);
	run_test("six_breakpoints", test_six_breakpoints);
	run_test("watched_bytes", test_watched_bytes);
	run_test("watched_accesses", test_watched_accesses);
	run_test("watched_atomics", test_watched_atomics);
	run_test("only_its_process", test_only_its_process);
	run_test("step_branches", test_step_branches);
	run_test("step_system_call", test_step_system_call);
	run_test("step_exclusives", test_step_exclusives);
	run_test("step_fault", test_step_fault);
	printf("1..%u\n", tests_run);
	return tests_failed != 0;
}
