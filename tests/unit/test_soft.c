/* SPDX-License-Identifier: Apache-2.0 */
/* test_soft.c - the built-in engine from the outside: memory map, window, kicks, lines, sleeping, two vCPUs; its TLBs */
#include "base/loop.h"
#include "engine/engine.h"
#include "engine/soft/mmu.h"
#include "host.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RAM = 0x40000000, RAM_LEN = 0x10000, DEVICE = 0x1000, WINDOW = 0x80000000 };

/* How often a thread of this process has let others run. */
static atomic_uint yields;

int sched_yield(void)
{
	atomic_fetch_add(&yields, 1);
	return (int)syscall(SYS_sched_yield);
}

struct fixture {
	struct engine *engine;
	struct engine_vcpu *vcpu[2];
	uint32_t *code;
	atomic_int writes, hypercalls;
	uint64_t last_value;
	bool hypercall_raises; /* the interrupt line too */
	int hypercalls_wanted; /* kick only then, and lower the line each time */
};

/* A write to the device ends the run. */
static bool device_write(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	struct fixture *f = host;
	if (gpa != DEVICE) {
		return false;
	}
	f->last_value = value;
	atomic_fetch_add(&f->writes, 1);
	engine_vcpu_kick(f->vcpu[vcpu]);
	return true;
}

static void hypercall(void *host, unsigned vcpu, uint64_t x[8])
{
	struct fixture *f = host;
	x[0] = x[1] + x[7];
	if (f->hypercalls_wanted) {
		engine_vcpu_set_line(f->vcpu[vcpu], ENGINE_IRQ, false); /* before who raises it hears of it */
	}
	if (atomic_fetch_add(&f->hypercalls, 1) + 1 < f->hypercalls_wanted) {
		return;
	}
	if (f->hypercall_raises) {
		engine_vcpu_set_line(f->vcpu[vcpu], ENGINE_IRQ, true);
	}
	engine_vcpu_kick(f->vcpu[vcpu]);
}

static void timer_line(void *host, unsigned vcpu, enum engine_ppi ppi, bool level)
{
	struct fixture *f = host;
	if (f->vcpu[vcpu]) {
		engine_vcpu_set_line(f->vcpu[vcpu], ENGINE_IRQ, level);
	}
}

static const struct engine_host host_ops = {host_no_read, device_write, host_no_icc_read, host_no_icc_write, hypercall, timer_line};

static struct fixture *set_up_with(unsigned vcpus, bool interp)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct engine_config config = {.host_ops = &host_ops, .host = f, .vcpus = vcpus, .interp = interp};
	struct error err = {0};
	f->engine = soft_engine_create(&config, &err);
	assert_non_null(f->engine);
	f->code = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(engine_map_ram(f->engine, RAM, RAM_LEN, f->code, false, &err), 0);
	for (unsigned n = 0; n < vcpus; n++) {
		f->vcpu[n] = engine_vcpu_create(f->engine, n, n, &err);
		assert_non_null(f->vcpu[n]);
	}
	return f;
}

static struct fixture *set_up(unsigned vcpus)
{
	return set_up_with(vcpus, false);
}

static void tear_down(struct fixture *f)
{
	engine_destroy(f->engine);
	munmap(f->code, RAM_LEN);
	free(f);
}

static void load(struct fixture *f, const uint32_t *words, size_t bytes)
{
	memcpy(f->code, words, bytes);
	engine_vcpu_reset(f->vcpu[0], RAM, 0);
}

static void refuses_bad_configurations(void **state)
{
	struct error err = {0};
	struct engine_config config = {.host_ops = &host_ops, .vcpus = 0};
	assert_null(soft_engine_create(&config, &err));
	config.vcpus = 1000;
	assert_null(soft_engine_create(&config, &err));
	struct fixture *f = set_up(1);
	assert_int_equal(engine_map_ram(f->engine, RAM + 0x8000, 0x10000, f->code, false, &err), -EEXIST);
	assert_int_equal(engine_map_ram(f->engine, 0x123, 0x1000, f->code, false, &err), -EINVAL);
	assert_null(engine_vcpu_create(f->engine, 1, 1, &err));
	tear_down(f);
}

static void window_refuses_what_is_outside(void **state)
{
	struct fixture *f = set_up(1);
	struct error err = {0};
	int fd = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 0x4000), 0);
	assert_int_equal(engine_window_map(f->engine, 0, fd, 0, 0x1000, &err), -EINVAL);
	assert_int_equal(engine_window_place(f->engine, WINDOW, 0x10000, &err), 0);
	assert_int_equal(engine_window_place(f->engine, WINDOW, 0x20000, &err), -EINVAL);
	assert_int_equal(engine_window_map(f->engine, 0xf000, fd, 0, 0x2000, &err), -EINVAL);
	assert_int_equal(engine_window_map(f->engine, 0x10, fd, 0, 0x1000, &err), -EINVAL);
	assert_int_equal(engine_window_map(f->engine, 0x1000, fd, 0, 0, &err), -EINVAL);
	assert_int_equal(engine_window_map(f->engine, UINT64_MAX - 0xfff, fd, 0, 0x1000, &err), -EINVAL);
	assert_int_equal(engine_window_map(f->engine, 0xf000, fd, 0x3000, 0x1000, &err), 0);
	assert_int_equal(engine_window_map(f->engine, 0, fd, 0x3000, 0x2000, &err), -EINVAL);
	assert_int_equal(engine_window_map(f->engine, 0, fd, UINT64_MAX - 0xfff, 0x1000, &err), -EINVAL);
	engine_window_unmap(f->engine, 0x20000, 0x1000); /* ignored */
	engine_window_unmap(f->engine, 0xf000, 0x1000);
	close(fd);
	tear_down(f);
}

/* A translation in a TLB, and whether it is there. */
static void remember(struct mmu_space *space, uint64_t va, uint8_t *hva, bool writable)
{
	const struct mmu_page page = {.size = 0x1000, .read = true, .write = writable};
	mmu_fill_data(space, va, &page, hva, writable);
}

static bool remembers(struct mmu_space *space, uint64_t va)
{
	const struct tlb_entry *e = mem_entry(space->data, va);
	return e->read == va || e->write == va;
}

static void window_pages_are_forgotten_and_no_others(void **state)
{
	struct cpu cpu = {.mmu = mmu_create()};
	struct mmu_space *spaces[] = {&cpu.mmu->el1, &cpu.mmu->el1_pan, &cpu.mmu->el0[3]};
	static uint8_t window[0x4000], ram[0x1000];
	for (unsigned n = 0; n < 3; n++) {
		remember(spaces[n], 0x10000, window, true);
		remember(spaces[n], 0x21000, window + 0x1000, true);
		remember(spaces[n], 0x42000, window + 0x2000, false);
		remember(spaces[n], 0x53000, window + 0x3000, true);
		remember(spaces[n], 0x64000, ram, true);
		spaces[n]->has_window = true;
	}
	mmu_flush_window(&cpu, window + 0x1000, 0x2000);
	for (unsigned n = 0; n < 3; n++) {
		assert_true(remembers(spaces[n], 0x10000));
		assert_false(remembers(spaces[n], 0x21000));
		assert_false(remembers(spaces[n], 0x42000));
		assert_true(remembers(spaces[n], 0x53000));
		assert_true(remembers(spaces[n], 0x64000));
	}
	free(cpu.mmu);
}

/* Store to the device, then loop. */
static const uint32_t store_and_loop[] = {
	0xd2820001, /* mov x1, #0x1000 */
	0xd2800542, /* mov x2, #42 */
	0xf9000022, /* str x2, [x1] */
	0x91000463, /* add x3, x3, #1 */
	0x17ffffff, /* b .-4 */
};

static void kick_leaves_loops_and_devices(void **state)
{
	struct fixture *f = set_up(1);
	load(f, store_and_loop, sizeof(store_and_loop));
	assert_int_equal(engine_run(f->vcpu[0]), ENGINE_EXIT_KICKED);
	assert_int_equal(f->last_value, 42);
	assert_int_equal(atomic_load(&f->writes), 1);
	uint64_t x[31], sp, pc, pstate;
	engine_vcpu_registers(f->vcpu[0], x, &sp, &pc, &pstate);
	assert_int_equal(x[2], 42);
	assert_int_equal(pstate, 0x3c5);
	/* A kick before the run counts. */
	engine_vcpu_kick(f->vcpu[0]);
	assert_int_equal(engine_run(f->vcpu[0]), ENGINE_EXIT_KICKED);
	tear_down(f);
}

static void hypercalls_pass_registers(void **state)
{
	static const uint32_t code[] = {
		0xd2800061, /* mov x1, #3 */
		0xd28000a7, /* mov x7, #5 */
		0xd4000002, /* hvc #0 */
		0x14000000, /* b . */
	};
	struct fixture *f = set_up(1);
	load(f, code, sizeof(code));
	engine_run(f->vcpu[0]);
	uint64_t x[31], sp, pc, pstate;
	engine_vcpu_registers(f->vcpu[0], x, &sp, &pc, &pstate);
	assert_int_equal(x[0], 8);
	assert_int_equal(pc, RAM + 12);
	assert_int_equal(atomic_load(&f->hypercalls), 1);
	tear_down(f);
}

static void *kick_later(void *vcpu)
{
	usleep(20000);
	engine_vcpu_kick(vcpu);
	return NULL;
}

static void *kick_late(void *vcpu)
{
	usleep(300000);
	engine_vcpu_kick(vcpu);
	return NULL;
}

static void *raise_later(void *vcpu)
{
	usleep(20000);
	engine_vcpu_set_line(vcpu, ENGINE_IRQ, true);
	return NULL;
}

static void wfi_sleeps_until_kicked_or_interrupted(void **state)
{
	static const uint32_t code[] = {
		0xd503207f, /* wfi */
		0xd4000002, /* hvc #0 */
		0x14000000, /* b . */
	};
	struct fixture *f = set_up(1);
	pthread_t thread;
	load(f, code, sizeof(code));
	uint64_t start = loop_now_ns();
	pthread_create(&thread, NULL, kick_later, f->vcpu[0]);
	engine_run(f->vcpu[0]);
	pthread_join(thread, NULL);
	assert_true(loop_now_ns() - start >= 19000000);
	assert_int_equal(atomic_load(&f->hypercalls), 0);
	/* The sleep goes on, and a masked interrupt ends it. */
	pthread_create(&thread, NULL, raise_later, f->vcpu[0]);
	engine_run(f->vcpu[0]);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&f->hypercalls), 1);
	tear_down(f);
}

static void kick_does_not_lose_an_interrupt(void **state)
{
	static const uint32_t code[] = {
		0xd2a80000, /* mov x0, #RAM */
		0xd518c000, /* msr vbar_el1, x0 */
		0xd50342ff, /* msr daifclr, #2 */
		0xd4000002, /* hvc #0: raises the line and kicks */
		0x14000000, /* b . */
	};
	struct fixture *f = set_up(1);
	pthread_t thread;
	f->hypercall_raises = true;
	f->code[0x280 / 4] = 0xd4000002; /* IRQ vector: hvc #0 */
	load(f, code, sizeof(code));
	assert_int_equal(engine_run(f->vcpu[0]), ENGINE_EXIT_KICKED);
	assert_int_equal(atomic_load(&f->hypercalls), 1);
	pthread_create(&thread, NULL, kick_later, f->vcpu[0]);
	engine_run(f->vcpu[0]);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&f->hypercalls), 2);
	tear_down(f);
}

/* Raise the line again as soon as the interrupt before was taken. */
static void *raise_often(void *opaque)
{
	struct fixture *f = opaque;
	for (int n = 0; n < f->hypercalls_wanted; n++) {
		engine_vcpu_set_line(f->vcpu[0], ENGINE_IRQ, true);
		while (atomic_load(&f->hypercalls) <= n) {
			if (n % 64) {
				sched_yield();
			}
		}
	}
	return NULL;
}

static void wfi_never_misses_an_interrupt(void **state)
{
	static const uint32_t code[] = {
		0xd2a80000, /* mov x0, #RAM */
		0xd518c000, /* msr vbar_el1, x0 */
		0xd50342ff, /* msr daifclr, #2 */
		0xd503207f, /* wfi */
		0x17ffffff, /* b .-4 */
	};
	struct fixture *f = set_up(1);
	pthread_t thread;
	f->hypercalls_wanted = 20000;
	f->code[0x280 / 4] = 0xd4000002; /* IRQ vector: hvc #0, which lowers the line; eret */
	f->code[0x284 / 4] = 0xd69f03e0;
	load(f, code, sizeof(code));
	pthread_create(&thread, NULL, raise_often, f);
	assert_int_equal(engine_run(f->vcpu[0]), ENGINE_EXIT_KICKED);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&f->hypercalls), 20000);
	tear_down(f);
}

static void *run_vcpu(void *vcpu)
{
	engine_run(vcpu);
	return NULL;
}

/* Two vCPUs hand a number at RAM + 0x8000 to each other, 4000 times; x0 says who counts when it is even, who when odd. */
static const uint32_t ping_pong[] = {
	0xaa0003e2, /* mov x2, x0 */
	0xd2a80001, /* mov x1, #RAM */
	0x91402021, /* add x1, x1, #0x8000 */
	0xd281f403, /* mov x3, #4000 */
	0xd503205f, /* 1: wfe */
	0xf9400024, /* ldr x4, [x1] */
	0x92400085, /* and x5, x4, #1 */
	0xeb0200bf, /* cmp x5, x2 */
	0x54ffff81, /* b.ne 1b */
	0x91000484, /* add x4, x4, #1 */
	0xf9000024, /* str x4, [x1] */
	0xd5033f9f, /* dsb sy */
	0xd503209f, /* sev */
	0xeb03009f, /* cmp x4, x3 */
	0x54fffecb, /* b.lt 1b */
	0xd4000002, /* hvc #0 */
	0x14000000, /* b . */
};

static void wfe_and_sev_hand_over(void **state)
{
	struct fixture *f = set_up(2);
	pthread_t thread;
	memcpy(f->code, ping_pong, sizeof(ping_pong));
	for (unsigned n = 0; n < 2; n++) {
		engine_vcpu_reset(f->vcpu[n], RAM, n);
	}
	pthread_create(&thread, NULL, run_vcpu, f->vcpu[1]);
	engine_run(f->vcpu[0]);
	pthread_join(thread, NULL);
	assert_in_range(((uint64_t *)f->code)[0x8000 / 8], 4000, 4001);
	tear_down(f);
}

/* A long wait by WFE takes little of a core. */
static void wfe_sleeps(void **state)
{
	static const uint32_t code[] = {
		0xd503205f, /* wfe */
		0x17ffffff, /* b .-4 */
	};
	struct fixture *f = set_up(1);
	pthread_t thread;
	struct timespec before, after;
	load(f, code, sizeof(code));
	pthread_create(&thread, NULL, kick_late, f->vcpu[0]);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	engine_run(f->vcpu[0]);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	pthread_join(thread, NULL);
	int64_t used_ns = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
	assert_true(used_ns < 150000000); /* of 300 ms */
	tear_down(f);
}

/* At EL0, @number in x8, 3000 system calls and nothing else; the handler is at VBAR + 0x400, 0xc00. */
static const uint32_t polling[] = {
	0xd2a80001, /* mov x1, #RAM */
	0x91200021, /* add x1, x1, #0x800 */
	0xd518c001, /* msr vbar_el1, x1 */
	0xd518401f, /* msr spsr_el1, xzr */
	0x10000102, /* adr x2, 1f */
	0xd5184022, /* msr elr_el1, x2 */
	0xaa0003e8, /* mov x8, x0 */
	0xd2817703, /* mov x3, #3000 */
	0xd5033fdf, /* isb */
	0xd69f03e0, /* eret */
	0xd503201f, /* nop */
	0xd503201f, /* nop */
	0xd4000001, /* 1: svc #0 */
	0x17ffffff, /* b 1b */
};

static const uint32_t polling_handler[] = {
	0xd1000463, /* sub x3, x3, #1 */
	0xb4000043, /* cbz x3, 1f */
	0xd69f03e0, /* eret */
	0xd4000002, /* 1: hvc #0 */
	0x17ffffff, /* b 1b */
};

/* How often the vCPU lets the host's threads run meanwhile. */
static unsigned yields_of(bool interp, uint64_t number)
{
	struct fixture *f = set_up_with(1, interp);
	memcpy(f->code, polling, sizeof(polling));
	memcpy(f->code + 0xc00 / 4, polling_handler, sizeof(polling_handler));
	engine_vcpu_reset(f->vcpu[0], RAM, number);
	atomic_store(&yields, 0);
	engine_run(f->vcpu[0]);
	assert_int_equal(atomic_load(&f->hypercalls), 1);
	tear_down(f);
	return atomic_load(&yields);
}

static void programs_that_poll_let_the_host_run(void **state)
{
	for (int interp = 0; interp < 2; interp++) {
		assert_true(yields_of(interp, 124) > 0);
		assert_int_equal(yields_of(interp, 123), 0);
	}
}

static void rom_is_read_only(void **state)
{
	static const uint32_t code[] = {
		0xf9400001, /* ldr x1, [x0] */
		0xf9000001, /* str x1, [x0]: to ROM, so to the bus, where nothing is: abort to VBAR = 0 */
		0xd4000002, /* hvc #0 */
	};
	struct fixture *f = set_up(1);
	struct error err = {0};
	uint64_t *rom = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	rom[0] = 0x1234;
	assert_int_equal(engine_map_ram(f->engine, 0x50000000, 0x1000, rom, true, &err), 0);
	load(f, code, sizeof(code));
	engine_vcpu_reset(f->vcpu[0], RAM, 0x50000000);
	pthread_t thread;
	pthread_create(&thread, NULL, kick_later, f->vcpu[0]);
	engine_run(f->vcpu[0]);
	pthread_join(thread, NULL);
	uint64_t x[31], sp, pc, pstate;
	engine_vcpu_registers(f->vcpu[0], x, &sp, &pc, &pstate);
	assert_int_equal(x[1], 0x1234);
	assert_int_equal(atomic_load(&f->hypercalls), 0);
	munmap(rom, 0x1000);
	tear_down(f);
}

/* Both add to one word with exclusives, and broadcast a TLB flush after each. */
static const uint32_t contend[] = {
	0xd2a80001, /* mov x1, #0x40000000 */
	0xd284e202, /* mov x2, #10000 */
	0x91402021, /* add x1, x1, #8, lsl #12 */
	0xc85f7c23, /* 0: ldxr x3, [x1] */
	0x91000463, /* add x3, x3, #1 */
	0xc8047c23, /* stxr w4, x3, [x1] */
	0x35ffffa4, /* cbnz w4, 0b */
	0xd508831f, /* tlbi vmalle1is */
	0xd5033b9f, /* dsb ish */
	0xf1000442, /* subs x2, x2, #1 */
	0x54ffff21, /* b.ne 0b */
	0xd4000002, /* hvc #0 */
};

static void two_vcpus_share_memory_and_flush_each_other(void **state)
{
	struct fixture *f = set_up(2);
	pthread_t thread[2];
	memcpy(f->code, contend, sizeof(contend));
	for (unsigned n = 0; n < 2; n++) {
		engine_vcpu_reset(f->vcpu[n], RAM, n);
		pthread_create(&thread[n], NULL, run_vcpu, f->vcpu[n]);
	}
	for (unsigned n = 0; n < 2; n++) {
		pthread_join(thread[n], NULL);
	}
	assert_int_equal(atomic_load(&f->hypercalls), 2);
	assert_int_equal(((uint64_t *)f->code)[0x8000 / 8], 20000);
	tear_down(f);
}

/* ----- a debugger of the host ----- */

enum { LOOP_BODY = RAM + 8, LOOP_END = RAM + 20, STORE = RAM + 28, HVC = RAM + 32, STORED = RAM + 0x8010 };

/* Add 10 to 1, store the sum, call the host. */
static const uint32_t debugged[] = {
	0xd2800000, /* mov x0, #0 */
	0xd2800141, /* mov x1, #10 */
	0x8b010000, /* 0: add x0, x0, x1 */
	0xf1000421, /* subs x1, x1, #1 */
	0x54ffffc1, /* b.ne 0b */
	0xd2a80002, /* mov x2, #0x40000000 */
	0x91402042, /* add x2, x2, #8, lsl #12 */
	0xf9000840, /* str x0, [x2, #16] */
	0xd4000002, /* hvc #0 */
	0xd503207f, /* wfi */
	0xd4000001, /* svc #0 */
};

static void point(struct fixture *f, enum engine_point_kind kind, uint64_t address, uint64_t len, bool on)
{
	assert_int_equal(engine_debug_set_point(f->engine, &(struct engine_point){kind, address, len}, on), 0);
}

static struct engine_registers stopped_at(struct fixture *f, bool step, int why, uint64_t pc)
{
	struct engine_registers r;
	engine_debug_resume(f->vcpu[0], step);
	assert_int_equal(engine_run(f->vcpu[0]), ENGINE_EXIT_DEBUG);
	assert_int_equal(engine_debug_stop(f->vcpu[0]).why, why);
	engine_debug_registers(f->vcpu[0], &r);
	assert_int_equal(r.pc, pc);
	return r;
}

static void breakpoint_stops_each_time(bool interp)
{
	struct fixture *f = set_up_with(1, interp);
	load(f, debugged, sizeof(debugged));
	assert_true(engine_can_debug(f->engine));
	point(f, ENGINE_POINT_BREAK, LOOP_BODY, 4, true);
	point(f, ENGINE_POINT_BREAK, LOOP_BODY, 4, true);
	for (uint64_t left = 10, sum = 0; left; sum += left--) {
		struct engine_registers r = stopped_at(f, false, ENGINE_STOP_POINT, LOOP_BODY);
		assert_int_equal(r.x[0], sum);
		assert_int_equal(r.x[1], left);
		stopped_at(f, true, ENGINE_STOP_STEP, LOOP_BODY + 4);
	}
	/* The guest's code is as it was. */
	assert_memory_equal(f->code, debugged, sizeof(debugged));
	point(f, ENGINE_POINT_BREAK, LOOP_BODY, 4, false);
	assert_int_equal(engine_debug_set_point(f->engine, &(struct engine_point){ENGINE_POINT_BREAK, LOOP_BODY, 4}, false),
			 -ENOENT);
	engine_debug_resume(f->vcpu[0], false);
	assert_int_equal(engine_run(f->vcpu[0]), ENGINE_EXIT_KICKED);
	assert_int_equal(atomic_load(&f->hypercalls), 1);
	tear_down(f);
}

static void debugger_breaks_interpreted_code(void **state)
{
	breakpoint_stops_each_time(true);
}

static void debugger_breaks_translated_code(void **state)
{
	struct fixture *f = set_up(1);
	load(f, debugged, sizeof(debugged));
	/* Code that was translated and linked before the breakpoint was set. */
	engine_run(f->vcpu[0]);
	engine_vcpu_reset(f->vcpu[0], RAM, 0);
	point(f, ENGINE_POINT_BREAK, LOOP_END, 4, true);
	assert_int_equal(stopped_at(f, false, ENGINE_STOP_POINT, LOOP_END).x[0], 55);
	tear_down(f);
	breakpoint_stops_each_time(false);
}

static void debugger_stops_before_watched_accesses(void **state)
{
	struct fixture *f = set_up(1);
	load(f, debugged, sizeof(debugged));
	point(f, ENGINE_POINT_WRITE, STORED + 8, 4, true);
	point(f, ENGINE_POINT_READ, STORED, 8, true);
	engine_debug_resume(f->vcpu[0], false);
	assert_int_equal(engine_run(f->vcpu[0]), ENGINE_EXIT_KICKED); /* the neighbour, or the wrong kind */
	load(f, debugged, sizeof(debugged));
	point(f, ENGINE_POINT_ACCESS, STORED + 7, 1, true);
	f->code[0x8010 / 4] = 0;
	stopped_at(f, false, ENGINE_STOP_POINT, STORE);
	struct engine_stop stop = engine_debug_stop(f->vcpu[0]);
	assert_int_equal(stop.address, STORED + 7);
	assert_int_equal(stop.point.kind, ENGINE_POINT_ACCESS);
	assert_int_equal(f->code[0x8010 / 4], 0);
	point(f, ENGINE_POINT_ACCESS, STORED + 7, 1, false);
	stopped_at(f, true, ENGINE_STOP_STEP, HVC);
	assert_int_equal(f->code[0x8010 / 4], 55);
	assert_int_equal(engine_debug_set_point(f->engine, &(struct engine_point){ENGINE_POINT_READ, RAM, 0}, true), -EINVAL);
	tear_down(f);
}

static void debugger_steps_calls_sleep_and_exceptions(void **state)
{
	struct fixture *f = set_up(1);
	load(f, debugged, sizeof(debugged));
	engine_vcpu_reset(f->vcpu[0], HVC, 0);
	engine_vcpu_set_line(f->vcpu[0], ENGINE_IRQ, false);
	stopped_at(f, true, ENGINE_STOP_STEP, HVC + 4);
	stopped_at(f, true, ENGINE_STOP_STEP, HVC + 8);
	stopped_at(f, true, ENGINE_STOP_STEP, 0x200); /* the vector of SVC, at VBAR_EL1 = 0 */
	stopped_at(f, true, ENGINE_STOP_STEP, 0x200); /* where no memory is */
	tear_down(f);
}

static void debugger_changes_registers_and_memory(void **state)
{
	struct fixture *f = set_up(1);
	struct engine_registers r;
	load(f, debugged, sizeof(debugged));
	engine_run(f->vcpu[0]);
	engine_debug_registers(f->vcpu[0], &r);
	r.pc = LOOP_BODY;
	r.x[0] = 100;
	r.x[1] = 1;
	r.v[31] = (__uint128_t)7 << 64 | 9;
	assert_true(engine_debug_set_registers(f->vcpu[0], &r));
	/* Translated code has to see a changed instruction: add x0, x0, #2 */
	uint32_t word = 0x91000800, back = 0;
	assert_int_equal(engine_debug_memory(f->vcpu[0], LOOP_BODY, &word, 4, true), 4);
	assert_int_equal(engine_debug_memory(f->vcpu[0], LOOP_BODY, &back, 4, false), 4);
	assert_int_equal(back, word);
	point(f, ENGINE_POINT_BREAK, LOOP_END, 4, true);
	r = stopped_at(f, false, ENGINE_STOP_POINT, LOOP_END);
	assert_int_equal(r.x[0], 102);
	assert_true(r.v[31] == ((__uint128_t)7 << 64 | 9));
	r.pstate ^= 4; /* EL0 */
	assert_false(engine_debug_set_registers(f->vcpu[0], &r));
	uint8_t bytes[64];
	assert_int_equal(engine_debug_memory(f->vcpu[0], RAM + RAM_LEN - 16, bytes, 64, false), 16);
	assert_int_equal(engine_debug_memory(f->vcpu[0], DEVICE, bytes, 4, true), 0);
	assert_int_equal(atomic_load(&f->writes), 0);
	tear_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_bad_configurations),
		cmocka_unit_test(window_refuses_what_is_outside),
		cmocka_unit_test(window_pages_are_forgotten_and_no_others),
		cmocka_unit_test(kick_leaves_loops_and_devices),
		cmocka_unit_test(hypercalls_pass_registers),
		cmocka_unit_test(wfi_sleeps_until_kicked_or_interrupted),
		cmocka_unit_test(kick_does_not_lose_an_interrupt),
		cmocka_unit_test(wfi_never_misses_an_interrupt),
		cmocka_unit_test(wfe_and_sev_hand_over),
		cmocka_unit_test(wfe_sleeps),
		cmocka_unit_test(programs_that_poll_let_the_host_run),
		cmocka_unit_test(rom_is_read_only),
		cmocka_unit_test(debugger_breaks_interpreted_code),
		cmocka_unit_test(debugger_breaks_translated_code),
		cmocka_unit_test(debugger_stops_before_watched_accesses),
		cmocka_unit_test(debugger_steps_calls_sleep_and_exceptions),
		cmocka_unit_test(debugger_changes_registers_and_memory),
		cmocka_unit_test(two_vcpus_share_memory_and_flush_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
