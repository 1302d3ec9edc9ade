/* SPDX-License-Identifier: Apache-2.0 */
/* test_x86_check.c - the assembler refuses accesses to memory through values that nobody checked */
#include "engine/soft/jit/x86.h"
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

typedef void emit_fn(struct x86 *x);

/* Does @emit end in an assertion? */
static bool is_refused(emit_fn *emit)
{
	fflush(stdout);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		uint8_t room[64];
		struct x86 x = {.at = room, .end = room + sizeof(room), .rbp_low = -256, .rbp_high = 1024};
		(void)!freopen("/dev/null", "w", stderr);
		emit(&x);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void load_by_guest_register(struct x86 *x)
{
	x86_rm(x, X_MOV, true, RDX, x86_at(RBX, 0));
}

static void store_by_unchecked_address(struct x86 *x)
{
	x86_rm(x, X_LEA, true, RCX, x86_at(RBX, 8));
	x86_rm(x, X_STORE, true, RDX, x86_at(RCX, 0));
}

static void vector_store_by_unchecked_address(struct x86 *x)
{
	x86_vrm(x, V_MOVDQA_STORE, false, 1, 0, x86_at(RCX, 0));
}

static void pointer_that_was_overwritten(struct x86 *x)
{
	x86_point(x, RCX);
	x86_rm(x, X_LEA, true, RCX, x86_at(RCX, 64));
	x86_rm(x, X_MOV, true, RDX, x86_at(RCX, 0));
}

static void pointer_behind_a_landing(struct x86 *x)
{
	uint8_t *hole = x86_jcc_later(x, CC_E);
	x86_point(x, RCX);
	x86_land(x, hole);
	x86_rm(x, X_MOV, true, RDX, x86_at(RCX, 0));
}

static void beyond_the_vcpu(struct x86 *x)
{
	x86_rm(x, X_STORE, true, RDX, x86_at(RBP, 1024));
}

static void indexed_by_guest_register(struct x86 *x)
{
	x86_rm(x, X_MOV, true, RDX, x86_indexed(RBP, RBX, 3, 0));
}

static void what_blocks_do(struct x86 *x)
{
	x86_rm(x, X_MOV, true, RDX, x86_at(RBP, -128));
	x86_rm(x, X_LEA, true, RDX, x86_indexed(RBX, RDX, 2, 4));
	x86_point(x, RCX);
	x86_rm(x, X_STORE, true, RDX, x86_at(RCX, 0));
	x86_alu_imm_mem(x, ALU_OR, false, x86_at(RSP, 0), 0);
}

static void unchecked_addresses_are_refused(void **state)
{
	assert_true(is_refused(load_by_guest_register));
	assert_true(is_refused(store_by_unchecked_address));
	assert_true(is_refused(vector_store_by_unchecked_address));
	assert_true(is_refused(pointer_that_was_overwritten));
	assert_true(is_refused(pointer_behind_a_landing));
	assert_true(is_refused(beyond_the_vcpu));
	assert_true(is_refused(indexed_by_guest_register));
}

static void checked_addresses_are_emitted(void **state)
{
	assert_false(is_refused(what_blocks_do));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unchecked_addresses_are_refused),
		cmocka_unit_test(checked_addresses_are_emitted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
