/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_engine.c - the KVM engine by itself, on a host with KVM
 *
 * How it works: small pieces of code run on real vCPUs against a window, interrupts and a log of
 * writes that are made here; one of them fails on purpose where a real host would only by bad luck:
 * memory that is gone. Prints one line for each check, "ok NAME" or "bad NAME: got X, wanted Y".
 * Exit status 1 if one is bad.
 */
#include "base/own.h"
#include "engine/engine.h"
#include "engine/kvm/kvm.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RAM	   UINT64_C(0x40000000)
#define RAM_LEN	   UINT64_C(0x800000)
#define BLOCK(n)   (0x10000 + (uint64_t)(n)*0x1000) /* of vCPU n, in RAM */
#define TABLES	   UINT64_C(0x20000)
#define DATA	   UINT64_C(0x200000)
#define WINDOW	   UINT64_C(0x100000000)
#define WINDOW_VA  UINT64_C(0x200000000) /* where stage 1 has it */
#define WINDOW_LEN UINT64_C(0x400000)
#define DONE	   UINT64_C(0x09000000)
#define GICD	   UINT64_C(0x08000000)
#define GICR	   UINT64_C(0x080a0000)
#define PART	   UINT64_C(0x20000) /* a range of the window, whole pages of every host */

enum { LINE = 5, WORDS = 16, NO_LOSS = -1, MSI_FRAME = 0x8020040, MSI_FIRST = 64 };

extern const uint8_t guest_begin[], guest_end[];
extern const uint8_t guest_load[], guest_pair[], guest_vector[], guest_store[], guest_jump[];
extern const uint8_t guest_count[], guest_touch[], guest_enable[], guest_take[];

struct vm {
	struct engine *engine;
	struct engine_vcpu *vcpus[2];
	struct irq_chip *chip;
	uint8_t *ram;
	int64_t lost; /* offset of the last loss */
	unsigned losses;
	atomic_uint ends;
	unsigned lower_at; /* that end lowers the line */
};

static unsigned bad;

static void check(const char *name, uint64_t got, uint64_t wanted)
{
	if (got == wanted) {
		printf("ok %s\n", name);
		return;
	}
	printf("bad %s: got %#" PRIx64 ", wanted %#" PRIx64 "\n", name, got, wanted);
	bad++;
}

static void must(int rc, const struct error *err)
{
	if (rc < 0) {
		printf("bad set-up: %s\n", err->text);
		exit(1);
	}
}

/* ----- the machine ----- */

static bool on_read(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t *value)
{
	*value = 0;
	return false;
}

static bool on_write(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	struct vm *vm = host;
	if (gpa == DONE) {
		engine_vcpu_kick(vm->vcpus[vcpu]);
	}
	return gpa == DONE;
}

static void on_loss(void *host, uint64_t offset)
{
	struct vm *vm = host;
	vm->lost = (int64_t)offset;
	vm->losses++;
}

static void on_end(void *opaque, unsigned line)
{
	struct vm *vm = opaque;
	if (atomic_fetch_add(&vm->ends, 1) + 1 >= vm->lower_at && line == LINE) {
		vm->chip->ops->set_line(vm->chip, LINE, false);
	}
}

static uint64_t *block(struct vm *vm, unsigned vcpu)
{
	return (uint64_t *)(vm->ram + BLOCK(vcpu));
}

/* Stage 1: RAM and devices as they are, the window elsewhere; blocks of 1 GiB, 39 bits. */
static void make_tables(struct vm *vm)
{
	uint64_t *table = (uint64_t *)(vm->ram + TABLES);
	table[0] = 0x401 | UINT64_C(1) << 54;
	table[RAM >> 30] = RAM | 0x705;
	table[WINDOW_VA >> 30] = WINDOW | 0x705;
}

static void vm_open(struct vm *vm, unsigned vcpus)
{
	static const struct engine_host host_ops = {
		.mmio_read = on_read, .mmio_write = on_write, .window_lost = on_loss};
	const struct engine_config config = {
		.host_ops = &host_ops, .host = vm, .vcpus = vcpus, .psci_version = 0x10001};
	const struct engine_gic_config gic = {.dist = GICD,
					      .redist = GICR,
					      .spis = 64,
					      .msi_address = MSI_FRAME,
					      .msi_first = MSI_FIRST,
					      .msi_count = 32};
	struct error err = {0};
	*vm = (struct vm){.lost = NO_LOSS, .lower_at = 1};
	vm->ram = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	vm->engine = kvm_engine_create(&config, &err);
	must(vm->engine ? 0 : -1, &err);
	must(engine_map_ram(vm->engine, RAM, RAM_LEN, vm->ram, false, &err), &err);
	vm->chip = engine_gic_create(vm->engine, &gic, &err);
	must(vm->chip ? 0 : -1, &err);
	for (unsigned n = 0; n < vcpus; n++) {
		vm->vcpus[n] = engine_vcpu_create(vm->engine, n, n | UINT64_C(1) << 31, &err);
		must(vm->vcpus[n] ? 0 : -1, &err);
	}
	must(engine_window_place(vm->engine, WINDOW, WINDOW_LEN, &err), &err);
	memcpy(vm->ram, guest_begin, (size_t)(guest_end - guest_begin));
	make_tables(vm);
}

static void vm_close(struct vm *vm)
{
	engine_destroy(vm->engine);
	munmap(vm->ram, RAM_LEN);
}

static void prepare(struct vm *vm, unsigned vcpu, const uint8_t *code, uint64_t address, bool mmu)
{
	uint64_t *b = block(vm, vcpu);
	memset(b, 0, WORDS * sizeof(*b));
	b[0] = address;
	if (mmu) {
		b[8] = RAM + TABLES;
		b[9] = 25 | 1 << 8 | 1 << 10 | 3 << 12 | UINT64_C(1) << 23 | UINT64_C(2) << 32;
		b[10] = 0xff04; /* MAIR: device, memory */
	}
	engine_vcpu_reset(vm->vcpus[vcpu], RAM + (uint64_t)(code - guest_begin), RAM + BLOCK(vcpu));
}

/* Run @code on vCPU 0; its block. */
static uint64_t *run(struct vm *vm, const uint8_t *code, uint64_t address, bool mmu)
{
	prepare(vm, 0, code, address, mmu);
	check("... runs to its end", engine_run(vm->vcpus[0]), ENGINE_EXIT_KICKED);
	return block(vm, 0);
}

/* ----- the window ----- */

/* A file of PART bytes, each 8 of which hold @first and numbers on. */
static int make_file(uint64_t first)
{
	int fd = memfd_create("part", MFD_CLOEXEC);
	uint64_t *words = malloc(PART);
	for (size_t n = 0; n < PART / 8; n++) {
		words[n] = first + n;
	}
	if (fd < 0 || pwrite(fd, words, PART, 0) != (ssize_t)PART) {
		printf("bad set-up: memfd\n");
		exit(1);
	}
	free(words);
	return fd;
}

static void map_part(struct vm *vm, uint64_t offset, int fd)
{
	struct error err = {0};
	must(engine_window_map(vm->engine, offset, fd, 0, PART, &err), &err);
}

static void gaps_read_as_zero(struct vm *vm, bool mmu)
{
	uint64_t at = (mmu ? WINDOW_VA : WINDOW) + 0x100;
	vm->losses = 0;
	check("a load from a part without pages", run(vm, guest_load, at, mmu)[1], 0);
	uint64_t *b = run(vm, guest_pair, at, mmu);
	check("a pair from it", b[1] | b[2], 0);
	check("... moves its base", b[3], at + 16);
	b = run(vm, guest_store, at, mmu);
	check("a store to it is forgotten", b[1], 0);
	check("... moves its base", b[3], at + 4);
	check("... is no loss", vm->losses, 0);
}

static void pages_change_under_the_slot(struct vm *vm, bool mmu)
{
	uint64_t at = mmu ? WINDOW_VA : WINDOW, word = 0;
	AUTO_FD int first = make_file(0x1000), second = make_file(0x2000);
	map_part(vm, 0, first);
	check("mapped pages are read", run(vm, guest_load, at + 8, mmu)[1], 0x1001);
	(void)run(vm, guest_store, at + 0x4000, mmu);
	check("... and written", pread(first, &word, 4, 0x4000) == 4 ? word : 0, 0x1234);
	engine_window_unmap(vm->engine, 0, PART);
	check("... and gone", run(vm, guest_load, at + 8, mmu)[1], 0);
	map_part(vm, 0, second);
	check("others come in their place", run(vm, guest_load, at + 8, mmu)[1], 0x2001);
	engine_window_unmap(vm->engine, 0, PART);
}

/* Each access first touches memory that is gone. */
static void lost_memory_becomes_zeros(struct vm *vm, bool mmu)
{
	static const struct {
		const char *name;
		const uint8_t *code;
	} accesses[] = {{"a load from memory that is gone", guest_load},
			{"a pair from it", guest_pair},
			{"a vector from it", guest_vector}};
	uint64_t at = mmu ? WINDOW_VA : WINDOW;
	AUTO_FD int healthy = make_file(0x3000);
	map_part(vm, 0, healthy);
	for (unsigned n = 0; n < 3; n++) {
		AUTO_FD int cut = make_file(0x4000);
		map_part(vm, PART, cut);
		check("before it is cut", run(vm, guest_load, at + PART, mmu)[1], 0x4000);
		check("... (cut)", (uint64_t)ftruncate(cut, 0), 0);
		vm->lost = NO_LOSS;
		vm->losses = 0;
		uint64_t *b = run(vm, accesses[n].code, at + PART + 0x40, mmu);
		check(accesses[n].name, b[1] | b[2], 0);
		check("... is told", (uint64_t)vm->lost, PART);
		check("... no exception", b[15], 0);
		b = run(vm, guest_store, at + PART + 0x8000, mmu);
		check("... all of it is zeros that hold what is stored", b[1], 0x1234);
		check("... is told once", vm->losses, 1);
		check("... its neighbour stays", run(vm, guest_load, at + 8, mmu)[1], 0x3001);
		engine_window_unmap(vm->engine, PART, PART);
	}
	AUTO_FD int cut = make_file(0x5000);
	map_part(vm, PART, cut);
	check("... (cut)", (uint64_t)ftruncate(cut, 0), 0);
	vm->losses = 0;
	uint64_t *b = run(vm, guest_store, at + PART + 0x10, mmu);
	check("a store to it stays", b[1], 0x1234);
	check("... moves its base", b[3], at + PART + 0x14);
	check("... is told", vm->losses, 1);
	engine_window_unmap(vm->engine, 0, 2 * PART);
}

static void an_access_across_reads_what_is_there(struct vm *vm)
{
	AUTO_FD int healthy = make_file(0x6000), cut = make_file(0x7000);
	map_part(vm, 0, healthy);
	map_part(vm, PART, cut);
	check("(cut)", (uint64_t)ftruncate(cut, 0), 0);
	uint64_t *b = run(vm, guest_pair, WINDOW_VA + PART - 8, true);
	check("a pair across, its healthy half", b[1], 0x6000 + PART / 8 - 1);
	check("a pair across, its other half", b[2], 0);
	engine_window_unmap(vm->engine, 0, 2 * PART);
}

/* The instruction itself is not there: the guest gets an external abort, and the VM lives. */
static void what_can_not_be_decoded_is_an_external_abort(struct vm *vm)
{
	uint64_t *b = run(vm, guest_jump, WINDOW_VA + 0x100, true);
	check("an instruction that can not be decoded", b[15] >> 26, 0x21);
	check("... is an external abort", b[15] & 0x3f, 0x10);
}

static void take_losses(void *opaque, const char *name, uint64_t value)
{
	if (!strcmp(name, "exits_lost_memory")) {
		*(uint64_t *)opaque = value;
	}
}

static void test_window(void)
{
	struct vm vm;
	vm_open(&vm, 1);
	for (unsigned mmu = 0; mmu < 2; mmu++) {
		printf("# stage 1 %s\n", mmu ? "on" : "off");
		gaps_read_as_zero(&vm, mmu);
		pages_change_under_the_slot(&vm, mmu);
		lost_memory_becomes_zeros(&vm, mmu);
	}
	an_access_across_reads_what_is_there(&vm);
	what_can_not_be_decoded_is_an_external_abort(&vm);
	uint64_t losses = 0;
	engine_stats(vm.engine, take_losses, &losses);
	check("the counters have some losses", losses >= 6, true);
	vm_close(&vm);
}

/* ----- interrupts ----- */

static void *run_other(void *opaque)
{
	struct vm *vm = opaque;
	(void)engine_run(vm->vcpus[1]);
	return NULL;
}

static void wait_ms(unsigned ms)
{
	const struct timespec time = {.tv_nsec = ms * 1000000L};
	(void)nanosleep(&time, NULL);
}

/* Does the other vCPU count on, within 10 s? */
static bool counts(struct vm *vm)
{
	volatile uint64_t *word = block(vm, 1) + 1;
	uint64_t before = *word;
	for (unsigned n = 0; n < 1000 && *word < before + 1000; n++) {
		wait_ms(10);
	}
	return *word >= before + 1000;
}

/* The controller's registers by hand, which stops a vCPU that never leaves by itself. */
static void test_stopping_of_vcpus(void)
{
	struct vm vm;
	pthread_t thread;
	vm_open(&vm, 2);
	prepare(&vm, 1, guest_count, 0, true);
	check("a thread", (uint64_t)pthread_create(&thread, NULL, run_other, &vm), 0);
	check("the other vCPU counts", counts(&vm), true);
	for (unsigned n = 0; n < 3; n++) {
		check("a register of the controller by hand", run(&vm, guest_enable, 0, true)[1],
		      1 << LINE);
		check("... and the other vCPU goes on", counts(&vm), true);
	}
	engine_vcpu_kick(vm.vcpus[1]);
	pthread_join(thread, NULL);
	vm_close(&vm);
}

/* Let the guest take the interrupt @times times. */
static void take_raised(struct vm *vm, unsigned times)
{
	atomic_store(&vm->ends, 0);
	vm->lower_at = times;
	prepare(vm, 0, guest_take, 0, true);
	block(vm, 0)[2] = times;
	check("... runs to its end", engine_run(vm->vcpus[0]), ENGINE_EXIT_KICKED);
	for (unsigned n = 0; n < 500 && atomic_load(&vm->ends) < times; n++) {
		wait_ms(10);
	}
	check("... each end is told", atomic_load(&vm->ends), times);
	check("... it was that interrupt", block(vm, 0)[3], 32 + LINE);
}

/* The line stays high until the device lowers it at the @times-th end: it is taken that often. */
static void take(struct vm *vm, unsigned times)
{
	vm->chip->ops->set_line(vm->chip, LINE, true);
	take_raised(vm, times);
}

static bool was_rung(int fd)
{
	uint64_t times;
	return read(fd, &times, sizeof(times)) == sizeof(times);
}

static void test_lines_raised_by_eventfd(void)
{
	struct vm vm;
	int fd = eventfd(0, EFD_NONBLOCK), ended = eventfd(0, EFD_NONBLOCK);
	vm_open(&vm, 1);
	const struct irq_chip_ops *ops = vm.chip->ops;
	check("a line is watched", (uint64_t)ops->watch_end(vm.chip, LINE, on_end, &vm), 0);
	check("and bound", (uint64_t)ops->bind_line(vm.chip, LINE, fd, ended), 0);
	check("... once for an eventfd", ops->bind_line(vm.chip, LINE, fd, ended) < 0, true);
	printf("# raised by its eventfd\n");
	(void)!write(fd, &(uint64_t){1}, sizeof(uint64_t));
	take_raised(&vm, 1);
	check("... and its owner is told the end", was_rung(ended), true);
	ops->set_line(vm.chip, LINE, true);
	check("a device of ours raises it, too", was_rung(ended), false);
	ops->set_line(vm.chip, LINE, false);
	check("... and when it lets go the owner is asked", was_rung(ended), true);
	printf("# raised by its eventfd, after ours let go\n");
	(void)!write(fd, &(uint64_t){1}, sizeof(uint64_t));
	take_raised(&vm, 1);
	ops->unbind_line(vm.chip, LINE, fd);
	(void)was_rung(ended);
	(void)!write(fd, &(uint64_t){1}, sizeof(uint64_t));
	check("a signal after unbinding is left in the eventfd", was_rung(fd), true);
	printf("# raised by ours, unbound\n");
	take(&vm, 1);
	check("... and nobody else is told", was_rung(ended), false);
	vm_close(&vm);
	close(fd);
	close(ended);
}

static void test_messages_by_eventfd(void)
{
	struct vm vm;
	int fd = eventfd(0, EFD_NONBLOCK);
	vm_open(&vm, 1);
	const struct irq_chip_ops *ops = vm.chip->ops;
	check("data of no message", ops->bind_msi(vm.chip, fd, MSI_FRAME, 32 + LINE) < 0, true);
	check("an address of no message", ops->bind_msi(vm.chip, fd, MSI_FRAME + 4, MSI_FIRST) < 0,
	      true);
	check("a message is bound", (uint64_t)ops->bind_msi(vm.chip, fd, MSI_FRAME, MSI_FIRST), 0);
	(void)!write(fd, &(uint64_t){1}, sizeof(uint64_t));
	check("... its signal goes to the kernel", was_rung(fd), false);
	ops->unbind_msi(vm.chip, fd, MSI_FIRST);
	(void)!write(fd, &(uint64_t){1}, sizeof(uint64_t));
	check("... and after unbinding is left", was_rung(fd), true);
	check("bound anew", (uint64_t)ops->bind_msi(vm.chip, fd, MSI_FRAME, MSI_FIRST + 1), 0);
	vm_close(&vm);
	close(fd);
}

static void test_ends_of_lines(void)
{
	struct vm vm;
	vm_open(&vm, 1);
	check("a line is watched", (uint64_t)vm.chip->ops->watch_end(vm.chip, LINE, on_end, &vm),
	      0);
	check("another one, too", (uint64_t)vm.chip->ops->watch_end(vm.chip, LINE + 1, on_end, &vm),
	      0);
	printf("# a level that is lowered at its first end\n");
	take(&vm, 1);
	printf("# a level that stays\n");
	take(&vm, 3);
	vm_close(&vm);
}

/* ----- the log of writes ----- */

static void test_log_of_writes(void)
{
	struct vm vm;
	struct error err = {0};
	unsigned long pages[RAM_LEN / 4096 / 64] = {0};
	uint64_t host_page = (uint64_t)sysconf(_SC_PAGESIZE), wanted = 0;
	unsigned first = (unsigned)(DATA / host_page);
	vm_open(&vm, 1);
	must(engine_log_writes(vm.engine, RAM, true, &err), &err);
	must(engine_take_writes(vm.engine, RAM, pages, &err), &err);
	(void)run(&vm, guest_touch, RAM + DATA, true);
	must(engine_take_writes(vm.engine, RAM, pages, &err), &err);
	for (unsigned n = 0; n < 3; n++) {
		wanted |= UINT64_C(1) << (unsigned[]){0x1000, 0x3000, 0x40000}[n] / host_page % 64;
	}
	uint64_t got = pages[first / 64] | (host_page == 4096 ? pages[first / 64 + 1] : 0);
	check("written pages are in the log", got, wanted);
	must(engine_take_writes(vm.engine, RAM, pages, &err), &err);
	check("... once", pages[first / 64], 0);
	must(engine_log_writes(vm.engine, RAM, false, &err), &err);
	(void)run(&vm, guest_touch, RAM + DATA, true);
	check("... and not without it", engine_take_writes(vm.engine, RAM, pages, &err) < 0, true);
	vm_close(&vm);
}

/* ----- what is missing ----- */

static unsigned hidden; /* capability */

int __real_ioctl(int fd, unsigned long request, unsigned long argument);
int __wrap_ioctl(int fd, unsigned long request, unsigned long argument);
int __wrap_ioctl(int fd, unsigned long request, unsigned long argument)
{
	return hidden && request == KVM_CHECK_EXTENSION && argument == hidden
		       ? 0
		       : __real_ioctl(fd, request, argument);
}

/* A capability that this kernel has is hidden: the line says what is missing, and since when Linux
 * has it. */
static void test_missing_capabilities(void)
{
	static const unsigned all[] = {KVM_CAP_USER_MEMORY,   KVM_CAP_ONE_REG,
				       KVM_CAP_ARM_PSCI_0_2,  KVM_CAP_DEVICE_CTRL,
				       KVM_CAP_IRQFD,	      KVM_CAP_IRQFD_RESAMPLE,
				       KVM_CAP_IMMEDIATE_EXIT};
	const struct engine_config config = {.vcpus = 1};
	for (size_t n = 0; n < sizeof(all) / sizeof(all[0]); n++) {
		struct error err = {0};
		hidden = all[n];
		check("a kernel without a capability", kvm_engine_create(&config, &err) == NULL,
		      true);
		check("... is named with a version",
		      strstr(err.text, "KVM of this kernel lacks") && strstr(err.text, "(Linux "),
		      true);
	}
	hidden = 0;
}

/* What a user other than root is told, in group @group or not. */
static void create_as_user(const char *name, const gid_t *group, const char *wanted)
{
	const struct engine_config config = {.vcpus = 1};
	struct error err = {0};
	(void)fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		bool good = setgroups(group ? 1 : 0, group) == 0 && setgid(65534) == 0 &&
			    setuid(65534) == 0;
		struct engine *engine = kvm_engine_create(&config, &err);
		good = good && (wanted ? !engine && strstr(err.text, wanted) : engine != NULL);
		if (!good) {
			printf("# %s\n", err.text);
			(void)fflush(stdout);
		}
		_exit(!good);
	}
	int status = -1;
	(void)waitpid(child, &status, 0);
	check(name, (uint64_t)status, 0);
}

static void test_permissions(void)
{
	const gid_t group = 1234;
	check("a device of a group", (uint64_t)chown("/dev/kvm", 0, group), 0);
	check("... which may use it", (uint64_t)chmod("/dev/kvm", 0660), 0);
	create_as_user("who is not in it is told to be", NULL,
		       "its group is one without name (1234); add this user");
	create_as_user("who is in it has KVM", &group, NULL);
	check("... which may not use it", (uint64_t)chmod("/dev/kvm", 0600), 0);
	create_as_user("who is in it is told of that", &group, "it has no access either");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_window();
	test_stopping_of_vcpus();
	test_ends_of_lines();
	test_lines_raised_by_eventfd();
	test_messages_by_eventfd();
	test_log_of_writes();
	test_missing_capabilities();
	test_permissions();
	printf("end\n");
	return bad != 0;
}
