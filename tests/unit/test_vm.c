/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_vm.c - assembly, vCPU power states, reset, every way to end, statistics
 *
 * The engine is a fake: a "guest" is a C function that talks to the machine through engine_host, on the vCPU's thread.
 */
#include "base/own.h"
#include "unit.h"
#include "vmm/broker.h"
#include "vmm/vm.h"

#include "board/board.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* ----- fake engine ----- */

struct fake_vcpu {
	struct engine_vcpu base;
	pthread_mutex_t lock; /* guards the two below */
	pthread_cond_t changed;
	bool kicked;
	uint64_t pc, x0;
};

struct fake_engine {
	struct engine base;
	struct engine_config config;
	struct fake_vcpu vcpu[CONFIG_MAX_CPUS];
	const void *ram;
};

/* What runs: called at each engine_run(); true to leave with an error. */
static struct {
	bool (*run)(struct fake_vcpu *vcpu);
	unsigned boots;
	uint64_t secondary_entry, secondary_context, affinity_before, affinity_after;
} guest;

static struct fake_engine *engine_of(struct fake_vcpu *vcpu)
{
	return (struct fake_engine *)vcpu->base.engine;
}

static uint64_t call(struct fake_vcpu *vcpu, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3)
{
	const struct engine_config *config = &engine_of(vcpu)->config;
	uint64_t x[8] = {x0, x1, x2, x3};
	config->host_ops->hypercall(config->host, vcpu->base.index, x);
	return x[0];
}

static void say(struct fake_vcpu *vcpu, const char *text)
{
	const struct engine_config *config = &engine_of(vcpu)->config;
	for (; *text; text++) {
		config->host_ops->mmio_write(config->host, vcpu->base.index, BOARD_UART_BASE, 1, (uint8_t)*text);
	}
}

static void wait_for_kick(struct fake_vcpu *vcpu)
{
	LOCKED(&vcpu->lock);
	while (!vcpu->kicked) {
		pthread_cond_wait(&vcpu->changed, &vcpu->lock);
	}
	vcpu->kicked = false;
}

static void fake_destroy(struct engine *engine)
{
	free(engine);
}

static int fake_map_ram(struct engine *engine, uint64_t gpa, uint64_t len, void *hva, bool read_only,
			struct error *err)
{
	((struct fake_engine *)engine)->ram = hva;
	return 0;
}

static struct engine_vcpu *fake_vcpu_create(struct engine *engine, unsigned index, uint64_t mpidr, struct error *err)
{
	struct fake_vcpu *vcpu = &((struct fake_engine *)engine)->vcpu[index];
	vcpu->base = (struct engine_vcpu){engine, index};
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_cond_init(&vcpu->changed, NULL);
	return &vcpu->base;
}

static void fake_reset(struct engine_vcpu *base, uint64_t pc, uint64_t x0)
{
	struct fake_vcpu *vcpu = (struct fake_vcpu *)base;
	vcpu->pc = pc;
	vcpu->x0 = x0;
}

static enum engine_exit fake_run(struct engine_vcpu *base)
{
	struct fake_vcpu *vcpu = (struct fake_vcpu *)base;
	if (guest.run(vcpu)) {
		return ENGINE_EXIT_ERROR;
	}
	wait_for_kick(vcpu);
	return ENGINE_EXIT_KICKED;
}

static void fake_kick(struct engine_vcpu *base)
{
	struct fake_vcpu *vcpu = (struct fake_vcpu *)base;
	LOCKED(&vcpu->lock);
	vcpu->kicked = true;
	pthread_cond_broadcast(&vcpu->changed);
}

static void fake_set_line(struct engine_vcpu *base, enum engine_line line, bool level)
{
}

static void fake_registers(struct engine_vcpu *base, uint64_t x[31], uint64_t *sp, uint64_t *pc, uint64_t *pstate)
{
	memset(x, 0, 31 * sizeof(x[0]));
	*sp = *pc = *pstate = 0;
}

static const struct engine_ops fake_ops = {
	.name = "fake",
	.destroy = fake_destroy,
	.map_ram = fake_map_ram,
	.vcpu_create = fake_vcpu_create,
	.vcpu_reset = fake_reset,
	.run = fake_run,
	.vcpu_kick = fake_kick,
	.vcpu_set_line = fake_set_line,
	.vcpu_registers = fake_registers,
};

struct engine *soft_engine_create(const struct engine_config *config, struct error *err)
{
	struct fake_engine *engine = calloc(1, sizeof(*engine));
	engine->base.ops = &fake_ops;
	engine->config = *config;
	return &engine->base;
}

#if ENGINE_HAS_KVM
/* Not in a unit test. */
struct engine *kvm_engine_create(const struct engine_config *config, struct error *err)
{
	error_set(err, -ENOENT, "no KVM here");
	return NULL;
}
#endif

/* ----- a VM around it ----- */

struct bench {
	struct vm_config config;
	struct broker *broker;
	char kernel[40], console[40], stats[40];
};

static void temporary(char *path, size_t len, const void *bytes, size_t count)
{
	snprintf(path, len, "/tmp/oriel-test-XXXXXX");
	AUTO_FD int fd = mkstemp(path);
	assert_int_equal(write(fd, bytes, count), count);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	uint8_t image[4096] = {[0x38] = 'A', 'R', 'M', 0x64, [0x12] = 1};
	const struct broker_config nothing = {0};
	temporary(b->kernel, sizeof(b->kernel), image, sizeof(image));
	temporary(b->console, sizeof(b->console), "", 0);
	temporary(b->stats, sizeof(b->stats), "", 0);
	config_init(&b->config);
	b->config.translation_cache = false;
	b->config.kernel = strdup(b->kernel);
	b->config.memory_bytes = 64 << 20;
	b->config.console = CONFIG_CONSOLE_FILE;
	b->config.console_file = strdup(b->console);
	b->config.gpu = CONFIG_GPU_NONE;
	b->config.rng = false;
	b->config.net = CONFIG_NET_NONE;
	b->config.cpus = 2;
	b->broker = broker_start(&nothing, NULL);
	memset(&guest, 0, sizeof(guest));
	*state = b;
	return b->broker ? 0 : -1;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	broker_stop(b->broker);
	config_finish(&b->config);
	unlink(b->kernel);
	unlink(b->console);
	unlink(b->stats);
	free(b);
	return 0;
}

static enum vm_end run(struct bench *b)
{
	struct error err = {0};
	struct vm *vm = vm_create(&b->config, b->broker, &err);
	if (!vm) {
		fail_msg("%s", err.text);
	}
	enum vm_end end = vm_run(vm);
	assert_int_equal(vm_write_stats(vm, b->stats, &err), 0);
	vm_destroy(vm);
	return end;
}

static bool guest_says_hello(struct fake_vcpu *vcpu)
{
	assert_int_equal(vcpu->base.index, 0);
	assert_int_equal(vcpu->pc, BOARD_RAM_BASE + (2 << 20));
	assert_int_equal(vcpu->x0, BOARD_RAM_BASE);
	assert_memory_equal(engine_of(vcpu)->ram, "\xd0\x0d\xfe\xed", 4);
	say(vcpu, "hello");
	call(vcpu, 0x84000008, 0, 0, 0);
	return false;
}

static void guest_boots_speaks_and_powers_off(void **state)
{
	struct bench *b = *state;
	char text[16] = "";
	guest.run = guest_says_hello;
	assert_int_equal(run(b), VM_POWERED_OFF);
	FILE *console = fopen(b->console, "r");
	assert_non_null(fgets(text, sizeof(text), console));
	fclose(console);
	assert_string_equal(text, "hello");
	json_t *stats = json_load_file(b->stats, 0, NULL);
	assert_true(json_is_real(json_object_get(stats, "run_s")));
	assert_int_equal(json_integer_value(json_object_get(stats, "resets")), 0);
	json_decref(stats);
}

static bool guest_starts_second_cpu(struct fake_vcpu *vcpu)
{
	if (vcpu->base.index == 1) {
		guest.secondary_entry = vcpu->pc;
		guest.secondary_context = vcpu->x0;
		assert_int_equal((int64_t)call(vcpu, 0xc4000003, 1, 0x40000000, 0), -4); /* already on */
		call(vcpu, 0x84000002, 0, 0, 0);					/* CPU_OFF */
		return false;
	}
	guest.affinity_before = call(vcpu, 0xc4000004, 1, 0, 0);
	assert_int_equal(call(vcpu, 0xc4000003, 1, 0x40300000, 77), 0);
	while (call(vcpu, 0xc4000004, 1, 0, 0) != 1) {
		usleep(100);
	}
	guest.affinity_after = call(vcpu, 0xc4000004, 1, 0, 0);
	call(vcpu, 0x84000008, 0, 0, 0);
	return false;
}

static void second_cpu_starts_and_stops(void **state)
{
	guest.run = guest_starts_second_cpu;
	assert_int_equal(run(*state), VM_POWERED_OFF);
	assert_int_equal(guest.affinity_before, 1);
	assert_int_equal(guest.affinity_after, 1);
	assert_int_equal(guest.secondary_entry, 0x40300000);
	assert_int_equal(guest.secondary_context, 77);
}

static bool guest_resets_twice(struct fake_vcpu *vcpu)
{
	assert_int_equal(vcpu->x0, BOARD_RAM_BASE);
	call(vcpu, guest.boots++ < 2 ? 0x84000009 : 0x84000008, 0, 0, 0);
	return false;
}

static void reset_boots_again_in_place(void **state)
{
	struct bench *b = *state;
	guest.run = guest_resets_twice;
	assert_int_equal(run(b), VM_POWERED_OFF);
	assert_int_equal(guest.boots, 3);
}

static void reset_ends_without_reboot(void **state)
{
	struct bench *b = *state;
	b->config.reboot = false;
	guest.run = guest_resets_twice;
	assert_int_equal(run(b), VM_RESET);
	assert_int_equal(guest.boots, 1);
}

static bool guest_breaks_the_engine(struct fake_vcpu *vcpu)
{
	return true;
}

static void engine_error_ends_the_vm(void **state)
{
	guest.run = guest_breaks_the_engine;
	assert_int_equal(run(*state), VM_FAILED);
}

static bool guest_is_silent(struct fake_vcpu *vcpu)
{
	return false;
}

static void silent_guest_times_out(void **state)
{
	struct bench *b = *state;
	b->config.boot_timeout_s = 1;
	guest.run = guest_is_silent;
	assert_int_equal(run(b), VM_BOOT_TIMEOUT);
}

static void *stop_soon(void *vm)
{
	usleep(20000);
	vm_stop(vm);
	return NULL;
}

static void stop_from_another_thread(void **state)
{
	struct bench *b = *state;
	pthread_t thread;
	guest.run = guest_is_silent;
	struct vm *vm = vm_create(&b->config, b->broker, NULL);
	pthread_create(&thread, NULL, stop_soon, vm);
	assert_int_equal(vm_run(vm), VM_STOPPED);
	pthread_join(thread, NULL);
	vm_destroy(vm);
	vm = vm_create(&b->config, b->broker, NULL);
	vm_stop(vm); /* before it runs */
	assert_int_equal(vm_run(vm), VM_STOPPED);
	vm_destroy(vm);
}

static void expect_refusal(struct bench *b, const char *text)
{
	struct error err = {0};
	assert_null(vm_create(&b->config, b->broker, &err));
	if (!strstr(err.text, text)) {
		fail_msg("'%s' has no '%s'", err.text, text);
	}
}

static void bad_configuration_is_one_clear_line(void **state)
{
	struct bench *b = *state;
	b->config.memory_bytes = UINT64_C(200) << 30;
	expect_refusal(b, "available (--memory)");
	b->config.memory_bytes = 2 << 20;
	expect_refusal(b, "the kernel needs");
	b->config.memory_bytes = 64 << 20;
	b->config.engine = CONFIG_ENGINE_KVM;
	expect_refusal(b, "KVM");
	b->config.engine = CONFIG_ENGINE_AUTO;
	b->config.gdb = strdup("1234");
	expect_refusal(b, "--gdb: the CPU engine fake can not be debugged");
	free(b->config.gdb);
	b->config.gdb = NULL;
	b->config.initrd = strdup("/nonexistent/initrd");
	expect_refusal(b, "initrd /nonexistent/initrd: No such file");
	unlink(b->kernel);
	expect_refusal(b, "No such file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(guest_boots_speaks_and_powers_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(second_cpu_starts_and_stops, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reset_boots_again_in_place, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reset_ends_without_reboot, set_up, tear_down),
		cmocka_unit_test_setup_teardown(engine_error_ends_the_vm, set_up, tear_down),
		cmocka_unit_test_setup_teardown(silent_guest_times_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stop_from_another_thread, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_configuration_is_one_clear_line, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
