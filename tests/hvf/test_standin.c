/* SPDX-License-Identifier: Apache-2.0 */
/* test_standin.c - the stand-in keeps the framework's rules */
#include "standin.h"

#include "engine/engine.h"
#include "engine/soft/exception.h"
#include "unit.h"
#include "world.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

struct guest {
	hv_vcpu_t id;
	hv_vcpu_exit_t *exit;
	uint32_t *code;
};

static void start(struct guest *g, const uint32_t *words, size_t bytes)
{
	assert_int_equal(hv_vm_create(NULL), HV_SUCCESS);
	g->code = pages(RAM_LEN);
	memcpy(g->code, words, bytes);
	assert_int_equal(
		hv_vm_map(g->code, RAM, RAM_LEN, HV_MEMORY_READ | HV_MEMORY_WRITE | HV_MEMORY_EXEC),
		HV_SUCCESS);
	assert_int_equal(hv_vcpu_create(&g->id, &g->exit, NULL), HV_SUCCESS);
	assert_int_equal(hv_vcpu_set_reg(g->id, HV_REG_PC, RAM), HV_SUCCESS);
}

static void finish(struct guest *g)
{
	assert_int_equal(hv_vcpu_destroy(g->id), HV_SUCCESS);
	assert_int_equal(hv_vm_destroy(), HV_SUCCESS);
	munmap(g->code, RAM_LEN);
}

static uint64_t reg(const struct guest *g, hv_reg_t number)
{
	uint64_t value = 0;
	assert_int_equal(hv_vcpu_get_reg(g->id, number, &value), HV_SUCCESS);
	return value;
}

/* Run to an exception; returns its class. */
static unsigned run_to_exception(struct guest *g)
{
	assert_int_equal(hv_vcpu_run(g->id), HV_SUCCESS);
	assert_int_equal(g->exit->reason, HV_EXIT_REASON_EXCEPTION);
	return g->exit->exception.syndrome >> 26;
}

static void skip_insn(struct guest *g)
{
	hv_vcpu_set_reg(g->id, HV_REG_PC, reg(g, HV_REG_PC) + 4);
}

static void a_process_has_one_vm(void **state)
{
	assert_int_equal(hv_vm_create(NULL), HV_SUCCESS);
	assert_int_equal(hv_vm_create(NULL), HV_BUSY);
	assert_int_equal(hv_vm_destroy(), HV_SUCCESS);
	assert_int_equal(hv_vm_destroy(), HV_NO_DEVICE);
	assert_int_equal(hv_vm_map(NULL, 0, PAGE, HV_MEMORY_READ), HV_NO_DEVICE);
}

static void mappings_are_in_pages_of_16k(void **state)
{
	uint8_t *memory = pages(4 * PAGE);
	const hv_memory_flags_t rw = HV_MEMORY_READ | HV_MEMORY_WRITE;
	assert_int_equal(hv_vm_create(NULL), HV_SUCCESS);
	assert_int_equal(hv_vm_map(memory + 4096, RAM, PAGE, rw), HV_BAD_ARGUMENT);
	assert_int_equal(hv_vm_map(memory, RAM + 4096, PAGE, rw), HV_BAD_ARGUMENT);
	assert_int_equal(hv_vm_map(memory, RAM, 4096, rw), HV_BAD_ARGUMENT);
	assert_int_equal(hv_vm_map(memory, RAM, 0, rw), HV_BAD_ARGUMENT);
	assert_int_equal(hv_vm_map(memory, UINT64_C(1) << 36, PAGE, rw),
			 HV_BAD_ARGUMENT); /* the default has 36 bits */
	assert_int_equal(hv_vm_map(memory, RAM, 3 * PAGE, rw), HV_SUCCESS);
	assert_int_equal(hv_vm_map(memory, RAM + 2 * PAGE, 2 * PAGE, rw), HV_ERROR);
	assert_int_equal(hv_vm_unmap(RAM + 4096, PAGE), HV_BAD_ARGUMENT);
	assert_int_equal(hv_vm_unmap(RAM, 4 * PAGE), HV_ERROR);
	assert_int_equal(hv_vm_unmap(RAM + PAGE, PAGE), HV_SUCCESS);
	assert_int_equal(standin_mappings(), 2);
	assert_int_equal(hv_vm_unmap(RAM + PAGE, PAGE), HV_ERROR);
	assert_int_equal(hv_vm_destroy(), HV_SUCCESS);
	munmap(memory, 4 * PAGE);
}

static void *use_from_elsewhere(void *opaque)
{
	struct guest *g = opaque;
	uint64_t value;
	assert_int_equal(hv_vcpu_run(g->id), HV_BAD_ARGUMENT);
	assert_int_equal(hv_vcpu_get_reg(g->id, HV_REG_PC, &value), HV_BAD_ARGUMENT);
	assert_int_equal(hv_vcpu_set_reg(g->id, HV_REG_PC, 0), HV_BAD_ARGUMENT);
	assert_int_equal(hv_vcpu_set_sys_reg(g->id, ENGINE_SYSREG(3, 0, 12, 0, 0), 0),
			 HV_BAD_ARGUMENT);
	assert_int_equal(hv_vcpu_set_pending_interrupt(g->id, HV_INTERRUPT_TYPE_IRQ, true),
			 HV_BAD_ARGUMENT);
	assert_int_equal(hv_vcpu_set_vtimer_mask(g->id, true), HV_BAD_ARGUMENT);
	assert_int_equal(hv_vcpu_destroy(g->id), HV_BAD_ARGUMENT);
	assert_int_equal(hv_vcpus_exit(&g->id, 1), HV_SUCCESS);
	return NULL;
}

static void a_vcpu_answers_to_its_thread_alone(void **state)
{
	const uint32_t words[] = {B_SELF};
	struct guest g;
	pthread_t thread;
	start(&g, words, sizeof(words));
	assert_int_equal(pthread_create(&thread, NULL, use_from_elsewhere, &g), 0);
	pthread_join(thread, NULL);
	/* hv_vcpus_exit() of a vCPU that did not run ends its next run. */
	assert_int_equal(hv_vcpu_run(g.id), HV_SUCCESS);
	assert_int_equal(g.exit->reason, HV_EXIT_REASON_CANCELED);
	finish(&g);
}

static void the_vm_outlives_its_vcpus(void **state)
{
	const uint32_t words[] = {B_SELF};
	struct guest g;
	hv_vcpu_t second;
	hv_vcpu_exit_t *exit;
	start(&g, words, sizeof(words));
	assert_int_equal(hv_vcpu_create(&second, &exit, NULL), HV_BUSY);
	assert_int_equal(hv_vm_destroy(), HV_BUSY);
	finish(&g);
}

static void accesses_are_described_as_hardware_does(void **state)
{
	const uint32_t words[] = {STR_W(3, 1), LDRSB_X(2, 1), LDR_X(2, 1), STR_W_PRE(3, 1)};
	/* ISV, size, sign, register, 64 bits, write, level 3 translation fault */
	const uint64_t wanted[] = {
		1 << 24 | 2 << 22 | 3 << 16 | 1 << 6 | 7,
		1 << 24 | 0 << 22 | 1 << 21 | 2 << 16 | 1 << 15 | 7,
		1 << 24 | 3 << 22 | 2 << 16 | 1 << 15 | 7,
		1 << 6 | 7,
	};
	struct guest g;
	start(&g, words, sizeof(words));
	hv_vcpu_set_reg(g.id, 1, DEVICE);
	for (unsigned n = 0; n < 4; n++) {
		assert_int_equal(run_to_exception(&g), EC_DATA_ABORT_EL0);
		assert_int_equal(g.exit->exception.syndrome & 0x1ffffff, wanted[n]);
		assert_int_equal(g.exit->exception.physical_address, n == 3 ? DEVICE + 4 : DEVICE);
		assert_int_equal(g.exit->exception.virtual_address, n == 3 ? DEVICE + 4 : DEVICE);
		assert_int_equal(reg(&g, HV_REG_PC), RAM + 4 * n);
		skip_insn(&g);
	}
	assert_int_equal(reg(&g, 1), DEVICE); /* nothing was done */
	finish(&g);
}

static void calls_and_waits_leave_where_hardware_does(void **state)
{
	const uint32_t words[] = {HVC, SMC, WFI, MRS(3, 14, 2, 1, 5)};
	struct guest g;
	start(&g, words, sizeof(words));
	assert_int_equal(run_to_exception(&g), EC_HVC);
	assert_int_equal(reg(&g, HV_REG_PC), RAM + 4);
	assert_int_equal(run_to_exception(&g), EC_SMC);
	assert_int_equal(reg(&g, HV_REG_PC), RAM + 4);
	skip_insn(&g);
	assert_int_equal(run_to_exception(&g), EC_WFX);
	assert_int_equal(reg(&g, HV_REG_PC), RAM + 8);
	skip_insn(&g);
	assert_int_equal(run_to_exception(&g), EC_SYSREG);
	/* CNTP_CTL_EL0 into x5: op0 3, op2 1, op1 3, CRn 14, CRm 2, read */
	assert_int_equal(g.exit->exception.syndrome & 0x1ffffff,
			 3 << 20 | 1 << 17 | 3 << 14 | 14 << 10 | 5 << 5 | 2 << 1 | 1);
	finish(&g);
}

static void calls_for_keys_never_leave(void **state)
{
	const uint32_t words[] = {HVC, STR_W(0, 9)};
	struct guest g;
	start(&g, words, sizeof(words));
	hv_vcpu_set_reg(g.id, 0, 0xc1000001);
	hv_vcpu_set_reg(g.id, 9, DEVICE);
	assert_int_equal(run_to_exception(&g), EC_DATA_ABORT_EL0);
	assert_int_equal(reg(&g, 0), 0);
	assert_true(reg(&g, 1) == UINT64_C(0xfeedfacefeedfacf));
	finish(&g);
}

static void an_interrupt_is_pending_for_one_run(void **state)
{
	const uint32_t words[] = {IRQS_ON, HVC};
	const uint32_t vector[] = {HVC, HVC};
	struct guest g;
	start(&g, words, sizeof(words));
	memcpy(g.code + (VECTORS + 0x280) / 4, vector, sizeof(vector));
	hv_vcpu_set_sys_reg(g.id, ENGINE_SYSREG(3, 0, 12, 0, 0), RAM + VECTORS);
	hv_vcpu_set_pending_interrupt(g.id, HV_INTERRUPT_TYPE_IRQ, true);
	assert_int_equal(run_to_exception(&g), EC_HVC);
	assert_int_equal(reg(&g, HV_REG_PC), RAM + VECTORS + 0x284);
	hv_vcpu_set_reg(g.id, HV_REG_PC, RAM);
	assert_int_equal(run_to_exception(&g), EC_HVC);
	assert_int_equal(reg(&g, HV_REG_PC), RAM + 8);
	finish(&g);
}

static void the_timer_is_masked_by_its_exit(void **state)
{
	const uint32_t words[] = {MOVZ(0, 1), SET_V_CTL(0), B_SELF, B_SELF};
	struct guest g;
	start(&g, words, sizeof(words));
	assert_int_equal(hv_vcpu_run(g.id), HV_SUCCESS);
	assert_int_equal(g.exit->reason, HV_EXIT_REASON_VTIMER_ACTIVATED);
	hv_vcpus_exit(&g.id, 1);
	assert_int_equal(hv_vcpu_run(g.id), HV_SUCCESS);
	assert_int_equal(g.exit->reason, HV_EXIT_REASON_CANCELED);
	hv_vcpu_set_vtimer_mask(g.id, false);
	assert_int_equal(hv_vcpu_run(g.id), HV_SUCCESS);
	assert_int_equal(g.exit->reason, HV_EXIT_REASON_VTIMER_ACTIVATED);
	finish(&g);
}

static void the_counter_is_the_hosts_less_the_offset(void **state)
{
	const uint32_t words[] = {GET_VCT(0), HVC};
	struct guest g;
	start(&g, words, sizeof(words));
	uint64_t offset = mach_absolute_time() - 1000000000;
	assert_int_equal(hv_vcpu_set_vtimer_offset(g.id, offset), HV_SUCCESS);
	assert_int_equal(run_to_exception(&g), EC_HVC);
	assert_in_range(reg(&g, 0), 1000000000, mach_absolute_time() - offset);
	finish(&g);
}

static void a_vcpu_loses_what_is_unmapped(void **state)
{
	const uint32_t words[] = {LDR_W(0, 1), HVC, LDR_W(0, 1), HVC};
	struct guest g;
	uint32_t *more = pages(PAGE);
	more[0] = 77;
	start(&g, words, sizeof(words));
	hv_vcpu_set_reg(g.id, 1, 0x80000000);
	assert_int_equal(hv_vm_map(more, 0x80000000, PAGE, HV_MEMORY_READ), HV_SUCCESS);
	assert_int_equal(run_to_exception(&g), EC_HVC);
	assert_int_equal(reg(&g, 0), 77);
	assert_int_equal(hv_vm_unmap(0x80000000, PAGE), HV_SUCCESS);
	assert_int_equal(run_to_exception(&g), EC_DATA_ABORT_EL0);
	finish(&g);
	munmap(more, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_has_one_vm),
		cmocka_unit_test(mappings_are_in_pages_of_16k),
		cmocka_unit_test(a_vcpu_answers_to_its_thread_alone),
		cmocka_unit_test(the_vm_outlives_its_vcpus),
		cmocka_unit_test(accesses_are_described_as_hardware_does),
		cmocka_unit_test(calls_and_waits_leave_where_hardware_does),
		cmocka_unit_test(calls_for_keys_never_leave),
		cmocka_unit_test(an_interrupt_is_pending_for_one_run),
		cmocka_unit_test(the_timer_is_masked_by_its_exit),
		cmocka_unit_test(the_counter_is_the_hosts_less_the_offset),
		cmocka_unit_test(a_vcpu_loses_what_is_unmapped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
