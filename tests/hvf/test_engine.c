/* SPDX-License-Identifier: Apache-2.0 */
/* test_engine.c - the engine over Hypervisor.framework, with the stand-in: threads, memory, exits,
 * timer, kicks */
#include "engine/engine.h"

#include "base/wait.h"
#include "standin.h"
#include "unit.h"
#include "world.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW	   UINT64_C(0x8000000000)
#define WINDOW_LEN (4u * PAGE)
#define ROM	   0x20000000u
#define NS_PER_MS  UINT64_C(1000000)

/* A VM of bare programs: a write to DEVICE ends the run, writes behind it are counted. */
struct world {
	struct engine *engine;
	struct engine_vcpu *vcpu[2];
	uint32_t *code;
	uint64_t last_gpa, last_value, answer;
	unsigned accesses, calls, icc_writes, timer_changes;
	uint64_t call_id;
	bool timer_level;
};

static bool on_read(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t *value)
{
	struct world *w = host;
	w->accesses++;
	w->last_gpa = gpa;
	*value = w->answer;
	return gpa - DEVICE < 0x100;
}

static bool on_write(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	struct world *w = host;
	w->accesses++;
	w->last_gpa = gpa;
	w->last_value = value;
	if (gpa == DEVICE) {
		engine_vcpu_kick(w->vcpu[vcpu]);
	}
	return gpa - DEVICE < 0x100 || gpa - ROM < PAGE;
}

static bool on_icc_read(void *host, unsigned vcpu, uint32_t reg, uint64_t *value)
{
	*value = 0xf8;
	return reg == ENGINE_SYSREG(3, 0, 4, 6, 0);
}

static bool on_icc_write(void *host, unsigned vcpu, uint32_t reg, uint64_t value)
{
	struct world *w = host;
	w->icc_writes++;
	w->last_value = value;
	return reg == ENGINE_SYSREG(3, 0, 4, 6, 0);
}

static void on_call(void *host, unsigned vcpu, uint64_t x[8])
{
	struct world *w = host;
	w->calls++;
	w->call_id = x[0];
	x[0] = 77;
}

static void on_timer_line(void *host, unsigned vcpu, enum engine_ppi ppi, bool level)
{
	struct world *w = host;
	w->timer_changes++;
	w->timer_level = level;
	engine_vcpu_set_line(w->vcpu[vcpu], ENGINE_IRQ, level);
}

static const struct engine_host host_ops = {.mmio_read = on_read,
					    .mmio_write = on_write,
					    .icc_read = on_icc_read,
					    .icc_write = on_icc_write,
					    .hypercall = on_call,
					    .timer_line = on_timer_line};

static struct world *set_up_model(unsigned vcpus, enum engine_cpu_model cpu)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct engine_config config = {
		.host_ops = &host_ops, .host = w, .vcpus = vcpus, .cpu = cpu};
	struct error err = {0};
	w->engine = hvf_engine_create(&config, &err);
	assert_string_equal(err.text, "");
	w->code = pages(RAM_LEN);
	assert_int_equal(engine_map_ram(w->engine, RAM, RAM_LEN, w->code, false, &err), 0);
	for (unsigned n = 0; n < vcpus; n++) {
		w->vcpu[n] = engine_vcpu_create(w->engine, n, n, &err);
		assert_non_null(w->vcpu[n]);
	}
	return w;
}

static struct world *set_up(unsigned vcpus)
{
	return set_up_model(vcpus, ENGINE_CPU_DEFAULT);
}

static void tear_down(struct world *w)
{
	engine_vcpu_leave(w->vcpu[0]);
	engine_destroy(w->engine);
	assert_int_equal(standin_vcpus(), 0);
	munmap(w->code, RAM_LEN);
	free(w);
}

static void put(struct world *w, unsigned offset, const uint32_t *words, size_t bytes)
{
	memcpy((char *)w->code + offset, words, bytes);
}

/* Run a program on vCPU 0 from reset until it writes to the device; returns x[@reg]. */
static uint64_t run(struct world *w, const uint32_t *words, size_t bytes, unsigned reg)
{
	uint64_t x[31], sp, pc, pstate;
	put(w, 0, words, bytes);
	engine_vcpu_reset(w->vcpu[0], RAM, DEVICE);
	assert_int_equal(engine_run(w->vcpu[0]), ENGINE_EXIT_KICKED);
	assert_int_equal(w->last_gpa, DEVICE);
	engine_vcpu_registers(w->vcpu[0], x, &sp, &pc, &pstate);
	return x[reg];
}

#define RUN(w, reg, ...)                                                                           \
	run(w, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}), reg)

/* x0 holds DEVICE at reset. */
#define END STR_W(31, 0)

/* What an exception handler at EL1 does: x20 = ESR, x21 = FAR, the end. */
static void catch_exceptions(struct world *w)
{
	const uint32_t handler[] = {GET_ESR(20), GET_FAR(21), MOVZ(0, DEVICE), END};
	put(w, VECTORS + 0x200, handler, sizeof(handler));
}

#define CATCH MOVZ16(19, RAM >> 16), MOVZ(18, VECTORS), ADD(19, 19, 18), SET_VBAR(19)

/* ----- creation ----- */

static void refuses_what_the_host_can_not_do(void **state)
{
	struct engine_config config = {.host_ops = &host_ops, .vcpus = 1};
	struct error err = {0};
	standin_refuse(HV_DENIED);
	assert_null(hvf_engine_create(&config, &err));
	assert_non_null(strstr(err.text, "com.apple.security.hypervisor"));
	standin_refuse(HV_SUCCESS);
	standin_limit_ipa(36);
	assert_null(hvf_engine_create(&config, &err));
	assert_non_null(strstr(err.text, "36 bits; the board needs 40"));
	standin_limit_ipa(0);
	config.vcpus = STANDIN_VCPUS + 1;
	assert_null(hvf_engine_create(&config, &err));
	assert_non_null(strstr(err.text, "1 to 8 CPUs, not 9"));
}

static void a_second_vm_is_refused(void **state)
{
	struct world *w = set_up(1);
	const struct engine_config config = {.host_ops = &host_ops, .vcpus = 1};
	struct error err = {0};
	assert_null(hvf_engine_create(&config, &err));
	assert_non_null(strstr(err.text, "has a VM already"));
	assert_null(engine_vcpu_create(w->engine, 2, 2, &err));
	tear_down(w);
}

/* ----- threads ----- */

struct meeting {
	struct world *world;
	pthread_barrier_t barrier;
	enum engine_exit exit;
};

static void *run_and_leave(void *opaque)
{
	struct meeting *m = opaque;
	m->exit = engine_run(m->world->vcpu[0]);
	pthread_barrier_wait(&m->barrier);
	pthread_barrier_wait(&m->barrier); /* the other thread has tried */
	engine_vcpu_leave(m->world->vcpu[0]);
	return NULL;
}

static void another_thread_is_refused_until_the_vcpu_is_left(void **state)
{
	const uint32_t words[] = {END, B_SELF};
	struct world *w = set_up(1);
	struct meeting m = {.world = w};
	pthread_t thread;
	put(w, 0, words, sizeof(words));
	engine_vcpu_reset(w->vcpu[0], RAM, DEVICE);
	pthread_barrier_init(&m.barrier, NULL, 2);
	pthread_create(&thread, NULL, run_and_leave, &m);
	pthread_barrier_wait(&m.barrier);
	assert_int_equal(m.exit, ENGINE_EXIT_KICKED);
	assert_int_equal(engine_run(w->vcpu[0]), ENGINE_EXIT_ERROR);
	pthread_barrier_wait(&m.barrier);
	pthread_join(thread, NULL);
	assert_int_equal(standin_vcpus(), 0);
	assert_int_equal(engine_run(w->vcpu[0]), ENGINE_EXIT_ERROR); /* not reset yet */
	RUN(w, 0, END);
	pthread_barrier_destroy(&m.barrier);
	tear_down(w);
}

static void a_reset_forgets_all_state(void **state)
{
	struct world *w = set_up(1);
	RUN(w, 0, MOVZ(5, 9), MSR(0, 13, 0, 4, 5), SET_VBAR(5), END);
	assert_int_equal(RUN(w, 6, ADD(6, 5, 7), END), 0);
	assert_int_equal(RUN(w, 6, MRS(0, 12, 0, 0, 6), END), 0);
	tear_down(w);
}

/* ----- memory ----- */

static void memory_must_be_in_pages_of_16k(void **state)
{
	struct world *w = set_up(1);
	struct error err = {0};
	assert_int_equal(engine_map_ram(w->engine, 0x10000000, 4096, w->code, false, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "bad argument"));
	assert_int_equal(engine_map_ram(w->engine, 0x10001000, PAGE, w->code, false, &err),
			 -EINVAL);
	assert_int_equal(engine_map_ram(w->engine, RAM, PAGE, w->code, false, &err), -EINVAL);
	tear_down(w);
}

static void writes_to_rom_are_the_machines(void **state)
{
	struct world *w = set_up(1);
	struct error err = {0};
	uint32_t *rom = pages(PAGE);
	rom[0] = 0x1234;
	assert_int_equal(engine_map_ram(w->engine, ROM, PAGE, rom, true, &err), 0);
	assert_int_equal(RUN(w, 6, MOVZ16(5, ROM >> 16), STR_W(0, 5), LDR_W(6, 5), END), 0x1234);
	assert_int_equal(w->accesses, 2);
	assert_int_equal(rom[0], 0x1234);
	tear_down(w);
	munmap(rom, PAGE);
}

/* Puts the window's address into x5, plus @offset. */
#define TO_WINDOW(offset) (0xd2c00000u | 0x80u << 5 | 5), MOVZ(4, offset), ADD(5, 5, 4)

static void window_shows_pages_and_reads_as_zero_elsewhere(void **state)
{
	struct world *w = set_up(1);
	struct error err = {0};
	int fd = memfd_create("test", MFD_CLOEXEC);
	const uint64_t marks[2] = {0x1111, 0x2222};
	assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
	assert_int_equal(pwrite(fd, &marks[0], 8, 0), 8);
	assert_int_equal(pwrite(fd, &marks[1], 8, PAGE), 8);
	assert_int_equal(engine_window_place(w->engine, WINDOW, WINDOW_LEN, &err), 0);
	assert_int_equal(RUN(w, 6, TO_WINDOW(PAGE), LDR_X(6, 5), END), 0);
	assert_int_equal(w->accesses, 1); /* the gap is not the machine's */
	assert_int_equal(engine_window_map(w->engine, PAGE, fd, 0, 2 * PAGE, &err), 0);
	assert_int_equal(RUN(w, 6, TO_WINDOW(PAGE), LDR_X(6, 5), END), 0x1111);
	assert_int_equal(RUN(w, 6, TO_WINDOW(2 * PAGE), STR_X(0, 5), LDR_X(6, 5), END), DEVICE);
	assert_int_equal(pread(fd, (void *)&marks[1], 8, PAGE), 8);
	assert_int_equal(marks[1], DEVICE);
	/* By hand, from a gap: two registers that read as zero. */
	assert_int_equal(
		RUN(w, 6, MOVZ(6, 5), TO_WINDOW(0), 0xa9401ca6 /* LDP x6, x7, [x5] */, END), 0);
	engine_window_unmap(w->engine, PAGE, PAGE);
	assert_int_equal(RUN(w, 6, TO_WINDOW(PAGE), LDR_X(6, 5), END), 0);
	assert_int_equal(RUN(w, 6, TO_WINDOW(2 * PAGE), LDR_X(6, 5), END), DEVICE);
	/* Somewhere else, and nowhere. */
	assert_int_equal(engine_window_place(w->engine, 0x50000000, WINDOW_LEN, &err), 0);
	assert_int_equal(
		RUN(w, 6, MOVZ16(5, 0x5000), MOVZ(4, 2 * PAGE), ADD(5, 5, 4), LDR_X(6, 5), END),
		DEVICE);
	unsigned before = standin_mappings();
	assert_int_equal(engine_window_place(w->engine, UINT64_MAX, WINDOW_LEN, &err), 0);
	assert_int_equal(standin_mappings(), before - 1);
	close(fd);
	tear_down(w);
}

static void window_refuses_what_the_host_has_no_pages_for(void **state)
{
	struct world *w = set_up(1);
	struct error err = {0};
	int fd = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, WINDOW_LEN), 0);
	assert_int_equal(engine_window_map(w->engine, 0, fd, 0, PAGE, &err), -EINVAL);
	assert_int_equal(engine_window_place(w->engine, WINDOW + 4096, WINDOW_LEN, &err), -EINVAL);
	assert_int_equal(engine_window_place(w->engine, WINDOW, WINDOW_LEN, &err), 0);
	assert_int_equal(engine_window_place(w->engine, WINDOW, 2 * WINDOW_LEN, &err), -EINVAL);
	assert_int_equal(engine_window_map(w->engine, 4096, fd, 0, PAGE, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no multiple of this host's page size, 16384"));
	assert_int_equal(engine_window_map(w->engine, 0, fd, 4096, PAGE, &err), -EINVAL);
	assert_int_equal(engine_window_map(w->engine, WINDOW_LEN, fd, 0, PAGE, &err), -EINVAL);
	engine_window_unmap(w->engine, WINDOW_LEN, PAGE);
	close(fd);
	tear_down(w);
}

/* ----- exits ----- */

static void described_accesses_reach_the_machine(void **state)
{
	struct world *w = set_up(1);
	w->answer = 0xfedcba98765432f0;
	assert_true(RUN(w, 6, MOVZ(5, DEVICE + 8), LDR_X(6, 5), END) == w->answer);
	assert_int_equal(RUN(w, 6, MOVZ(5, DEVICE + 8), LDR_W(6, 5), END), 0x765432f0);
	assert_true(RUN(w, 6, MOVZ(5, DEVICE + 8), LDRSB_X(6, 5), END) ==
		    UINT64_C(0xfffffffffffffff0));
	RUN(w, 6, MOVZ(5, DEVICE + 8), STR_X(5, 5), END);
	assert_int_equal(w->accesses, 8);
	tear_down(w);
}

static void undescribed_accesses_are_done_by_hand(void **state)
{
	struct world *w = set_up(1);
	w->answer = 0x55;
	assert_int_equal(RUN(w, 5, MOVZ(5, DEVICE + 8), STR_W_PRE(0, 5), END), DEVICE + 12);
	assert_int_equal(RUN(w, 7, MOVZ(5, DEVICE + 8), 0xa9401ca6, END), 0x55);
	tear_down(w);
}

static void nothing_there_is_an_external_abort(void **state)
{
	struct world *w = set_up(1);
	catch_exceptions(w);
	assert_int_equal(RUN(w, 20, CATCH, MOVZ(5, 0x3000), LDR_W(6, 5), B_SELF), 0x96000010);
	assert_int_equal(RUN(w, 21, CATCH, MOVZ(5, 0x3000), LDR_W(6, 5), B_SELF), 0x3000);
	assert_int_equal(RUN(w, 20, CATCH, MOVZ(5, 0x3000), STR_W(6, 5), B_SELF), 0x96000050);
	assert_int_equal(RUN(w, 20, CATCH, MOVZ(5, 0x3000), BR(5)), 0x86000010);
	assert_int_equal(RUN(w, 21, CATCH, MOVZ(5, 0x3000), BR(5)), 0x3000);
	tear_down(w);
}

static void firmware_calls_come_back_behind_the_instruction(void **state)
{
	struct world *w = set_up(1);
	assert_int_equal(RUN(w, 1, MOVZ(2, DEVICE), HVC, ADD(1, 0, 31), ADD(0, 2, 31), END), 77);
	assert_int_equal(w->call_id, DEVICE);
	assert_int_equal(RUN(w, 1, MOVZ(2, DEVICE), SMC, ADD(1, 0, 31), ADD(0, 2, 31), END), 77);
	assert_int_equal(w->calls, 2);
	tear_down(w);
}

static void calls_for_keys_are_the_frameworks(void **state)
{
	struct world *w = set_up_model(1, ENGINE_CPU_MAX);
	assert_true(RUN(w, 1, MOVZ16(3, 0xc100), MOVZ(4, 1), ADD(0, 3, 4), HVC, MOVZ(0, DEVICE),
			END) == UINT64_C(0xfeedfacefeedfacf));
	assert_int_equal(w->calls, 0);
	tear_down(w);
}

static void registers_of_the_interrupt_controller_are_the_machines(void **state)
{
	struct world *w = set_up(1);
	catch_exceptions(w);
	assert_int_equal(RUN(w, 6, MRS(0, 4, 6, 0, 6), END), 0xf8);
	RUN(w, 6, MSR(0, 4, 6, 0, 31), END);
	assert_int_equal(w->icc_writes, 1);
	/* ICC_SRE_EL1 is refused by this machine: UNDEFINED. */
	assert_int_equal(RUN(w, 20, CATCH, MRS(0, 12, 12, 5, 6), B_SELF), 0x02000000);
	/* The physical timer never runs, the OS lock is open. */
	assert_int_equal(RUN(w, 6, MOVZ(6, 1), MSR(3, 14, 2, 1, 6), MRS(3, 14, 2, 1, 6), END), 0);
	assert_int_equal(RUN(w, 6, 0xd5301186 /* MRS x6, OSLSR_EL1 */, END), 8);
	/* MSR OSLAR_EL1, x6; MSR OSDLR_EL1, x6; MRS x6, OSDLR_EL1 */
	assert_int_equal(RUN(w, 6, CATCH, MOVZ(6, 1), 0xd5101086, 0xd5101386, 0xd5301386, END), 0);
	tear_down(w);
}

static uint64_t sysreg_syndrome(unsigned op0, unsigned op1, unsigned crn, unsigned crm,
				unsigned op2, unsigned rt, bool read)
{
	return UINT64_C(0x18) << 26 | op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 |
	       crm << 1 | read;
}

static void forged_exits_are_handled(void **state)
{
	struct world *w = set_up(1);
	hv_vcpu_exit_t exit = {.reason = HV_EXIT_REASON_EXCEPTION};
	catch_exceptions(w);
	/* Cache maintenance on a device, and WFE: over it. */
	exit.exception = (hv_vcpu_exit_exception_t){0x92000107, DEVICE, DEVICE};
	standin_forge(&exit);
	RUN(w, 0, B_SELF, END);
	exit.exception = (hv_vcpu_exit_exception_t){0x05e00001, 0, 0};
	standin_forge(&exit);
	RUN(w, 0, B_SELF, END);
	/* A walk of the guest's that met no memory: an external abort on it. */
	RUN(w, 0, CATCH, END, B_SELF);
	exit.exception = (hv_vcpu_exit_exception_t){0x92000087, 0x7000, 0x3000};
	standin_forge(&exit);
	assert_int_equal(engine_run(w->vcpu[0]), ENGINE_EXIT_KICKED);
	uint64_t x[31], sp, pc, pstate;
	engine_vcpu_registers(w->vcpu[0], x, &sp, &pc, &pstate);
	assert_int_equal(x[20], 0x96000017);
	assert_int_equal(x[21], 0x7000);
	/* MSR PMUSERENR_EL0, x6 and MRS x6, MDSCR_EL1, which some hosts trap: idle.  S3_0_C15_C0_0:
	 * UNDEFINED. */
	exit.exception.syndrome = sysreg_syndrome(3, 3, 9, 14, 0, 6, false);
	standin_forge(&exit);
	RUN(w, 0, B_SELF, END);
	exit.exception.syndrome = sysreg_syndrome(2, 0, 0, 2, 2, 6, true);
	standin_forge(&exit);
	assert_int_equal(RUN(w, 6, B_SELF, END), 0);
	RUN(w, 0, CATCH, END, B_SELF);
	exit.exception.syndrome = sysreg_syndrome(3, 0, 15, 0, 0, 6, true);
	standin_forge(&exit);
	assert_int_equal(engine_run(w->vcpu[0]), ENGINE_EXIT_KICKED);
	engine_vcpu_registers(w->vcpu[0], x, &sp, &pc, &pstate);
	assert_int_equal(x[20], 0x02000000);
	/* What is not known ends the VM. */
	exit.exception = (hv_vcpu_exit_exception_t){UINT64_C(0x3f) << 26, 0, 0};
	standin_forge(&exit);
	assert_int_equal(engine_run(w->vcpu[0]), ENGINE_EXIT_ERROR);
	exit.reason = HV_EXIT_REASON_UNKNOWN;
	standin_forge(&exit);
	assert_int_equal(engine_run(w->vcpu[0]), ENGINE_EXIT_ERROR);
	tear_down(w);
}

static void baseline_hides_what_armv8_0_has_not(void **state)
{
	struct world *w = set_up_model(1, ENGINE_CPU_BASELINE);
	assert_int_equal(RUN(w, 6, MRS(0, 0, 6, 0, 6), END), 0x11120);
	assert_int_equal(RUN(w, 6, MRS(0, 0, 6, 1, 6), END), 0);
	tear_down(w);
	w = set_up(1);
	assert_int_equal(RUN(w, 6, MRS(0, 0, 4, 0, 6), END) >> 24 & 0xf, 1); /* GICv3 registers */
	assert_int_equal(RUN(w, 6, MRS(0, 0, 6, 1, 6), END) & 0xff0,
			 0); /* no pointer authentication */
	assert_int_equal(RUN(w, 6, MRS(0, 0, 7, 0, 6), END) & 0xf, 2); /* 40 bits */
	tear_down(w);
}

/* ----- timer, interrupts, sleep, kicks ----- */

static void the_timer_interrupts_and_its_line_falls(void **state)
{
	/* The handler stops the timer, tells it, and then ends: between the two the line falls. */
	const uint32_t handler[] = {SET_V_CTL(31), STR_W(31, 1), END, B_SELF};
	struct world *w = set_up(1);
	put(w, VECTORS + 0x280, handler, sizeof(handler));
	RUN(w, 0, MOVZ(1, DEVICE + 8), CATCH, GET_VCT(5), MOVZ(6, 0xffff), ADD(5, 5, 6),
	    SET_V_CVAL(5), MOVZ(7, 1), SET_V_CTL(7), IRQS_ON, B_SELF);
	assert_int_equal(w->timer_changes, 2);
	assert_false(w->timer_level);
	/* And again: the framework's mask was lifted. */
	RUN(w, 0, MOVZ(1, DEVICE + 8), CATCH, MOVZ(7, 1), SET_V_CTL(7), IRQS_ON, B_SELF);
	assert_int_equal(w->timer_changes, 4);
	tear_down(w);
}

static void wfi_sleeps_until_the_timer(void **state)
{
	struct world *w = set_up(1);
	uint64_t start = wait_now_ns();
	/* 20 ms of 62.5 MHz; interrupts stay masked. */
	RUN(w, 0, GET_VCT(5), MOVZ16(6, 1250000 >> 16), ADD(5, 5, 6), SET_V_CVAL(5), MOVZ(7, 1),
	    SET_V_CTL(7), WFI, END);
	assert_true(wait_now_ns() - start >= 19 * NS_PER_MS);
	tear_down(w);
}

static void *after_a_moment(void *opaque)
{
	struct world *w = opaque;
	const struct timespec moment = {.tv_nsec = 20000000};
	nanosleep(&moment, NULL);
	if (w->answer) {
		engine_vcpu_set_line(w->vcpu[0], ENGINE_IRQ, true);
	} else {
		engine_vcpu_kick(w->vcpu[0]);
	}
	return NULL;
}

static void wfi_sleeps_until_a_line_or_a_kick(void **state)
{
	struct world *w = set_up(1);
	pthread_t thread;
	const uint32_t words[] = {WFI, END, B_SELF};
	put(w, 0, words, sizeof(words));
	for (w->answer = 0; w->answer < 2; w->answer++) {
		engine_vcpu_reset(w->vcpu[0], RAM, DEVICE);
		pthread_create(&thread, NULL, after_a_moment, w);
		assert_int_equal(engine_run(w->vcpu[0]), ENGINE_EXIT_KICKED);
		pthread_join(thread, NULL);
		assert_int_equal(w->accesses,
				 w->answer); /* the kick alone ends no WFI that goes on */
	}
	tear_down(w);
}

static void lines_are_seen_by_a_vcpu_that_spins(void **state)
{
	const uint32_t irq[] = {MOVZ(9, 1), END, B_SELF}, fiq[] = {MOVZ(9, 2), END, B_SELF};
	struct world *w = set_up(1);
	pthread_t thread;
	put(w, VECTORS + 0x280, irq, sizeof(irq));
	put(w, VECTORS + 0x300, fiq, sizeof(fiq));
	w->answer = 1;
	pthread_create(&thread, NULL, after_a_moment, w);
	assert_int_equal(RUN(w, 9, CATCH, IRQS_ON, B_SELF), 1);
	pthread_join(thread, NULL);
	engine_vcpu_set_line(w->vcpu[0], ENGINE_IRQ, false);
	engine_vcpu_set_line(w->vcpu[0], ENGINE_FIQ, true);
	assert_int_equal(RUN(w, 9, CATCH, 0xd50341ff /* MSR DAIFClr, #1 */, B_SELF), 2);
	tear_down(w);
}

static void *kick_often(void *opaque)
{
	struct world *w = opaque;
	for (unsigned n = 0; n < 2000; n++) {
		engine_vcpu_kick(w->vcpu[0]);
		while (!__atomic_load_n(&w->answer, __ATOMIC_ACQUIRE)) {
		}
		__atomic_store_n(&w->answer, 0, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void no_kick_is_lost(void **state)
{
	const uint32_t words[] = {B_SELF};
	struct world *w = set_up(1);
	pthread_t thread;
	put(w, 0, words, sizeof(words));
	engine_vcpu_reset(w->vcpu[0], RAM, DEVICE);
	pthread_create(&thread, NULL, kick_often, w);
	for (unsigned n = 0; n < 2000; n++) {
		assert_int_equal(engine_run(w->vcpu[0]), ENGINE_EXIT_KICKED);
		__atomic_store_n(&w->answer, 1, __ATOMIC_RELEASE);
	}
	pthread_join(thread, NULL);
	/* Also one that comes just before. */
	engine_vcpu_kick(w->vcpu[0]);
	assert_int_equal(engine_run(w->vcpu[0]), ENGINE_EXIT_KICKED);
	tear_down(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_the_host_can_not_do),
		cmocka_unit_test(a_second_vm_is_refused),
		cmocka_unit_test(another_thread_is_refused_until_the_vcpu_is_left),
		cmocka_unit_test(a_reset_forgets_all_state),
		cmocka_unit_test(memory_must_be_in_pages_of_16k),
		cmocka_unit_test(writes_to_rom_are_the_machines),
		cmocka_unit_test(window_shows_pages_and_reads_as_zero_elsewhere),
		cmocka_unit_test(window_refuses_what_the_host_has_no_pages_for),
		cmocka_unit_test(described_accesses_reach_the_machine),
		cmocka_unit_test(undescribed_accesses_are_done_by_hand),
		cmocka_unit_test(nothing_there_is_an_external_abort),
		cmocka_unit_test(firmware_calls_come_back_behind_the_instruction),
		cmocka_unit_test(calls_for_keys_are_the_frameworks),
		cmocka_unit_test(registers_of_the_interrupt_controller_are_the_machines),
		cmocka_unit_test(forged_exits_are_handled),
		cmocka_unit_test(baseline_hides_what_armv8_0_has_not),
		cmocka_unit_test(the_timer_interrupts_and_its_line_falls),
		cmocka_unit_test(wfi_sleeps_until_the_timer),
		cmocka_unit_test(wfi_sleeps_until_a_line_or_a_kick),
		cmocka_unit_test(lines_are_seen_by_a_vcpu_that_spins),
		cmocka_unit_test(no_kick_is_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
