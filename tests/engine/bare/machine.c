/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.c - the smallest machine that bare-metal tests can run on: RAM, a test device, a GPU window
 *
 * Usage: machine PROGRAM [--features] [--gic] [--strict] [--interp].  Runs test 0, 1, ... of the program, each from reset, until it says that there are no more; prints TAP.
 * --features shows FEAT_PAuth and FEAT_BTI to the program.  --gic puts the board's interrupt controller between lines and vCPU;
 * without it the test device and the virtual timer drive IRQ, the physical timer FIQ.  --strict: isv=strict.  --interp: nothing is translated.
 * A test that does not end within ten seconds fails.
 * Threads: one runs the vCPU, a timer thread kicks it when time is up.
 */
#include "base/error.h"
#include "base/own.h"
#include "board/smccc.h"
#include "devices/gicv2m.h"
#include "devices/gicv3.h"
#include "engine/engine.h"

#include "bare.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { GICD = 0x08000000, V2M = 0x08020000, GICR = 0x080a0000, LINE_SPI = 5, MSI_SPI = 64 };

struct machine {
	struct engine *engine;
	struct engine_vcpu *vcpu;
	struct gicv3 *gic; /* NULL without --gic */
	struct gicv2m v2m;
	struct smccc smccc;
	uint8_t *ram;
	char name[128], comments[8192];
	uint64_t status, scratch, accesses;
	bool ended, named;
	int window_fd, next_fd;
	uint64_t losses, lost;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool running; /* under lock */
	time_t deadline;
	bool late;
};

static void take_char(struct machine *m, char c)
{
	char *to = m->named ? m->comments : m->name;
	size_t room = m->named ? sizeof(m->comments) : sizeof(m->name), len = strlen(to);
	if (!m->named && c == '\n') {
		m->named = true;
	} else if (len + 1 < room) {
		to[len] = c;
		to[len + 1] = 0;
	}
}

static void set_window(struct machine *m, bool mapped)
{
	struct error err = {0};
	if (!mapped) {
		engine_window_unmap(m->engine, 0, 4096);
	} else if (engine_window_map(m->engine, 0, m->window_fd, 0, 4096, &err)) {
		printf("Bail out! %s\n", err.text);
	}
}

static void set_next(struct machine *m, bool mapped)
{
	struct error err = {0};
	engine_window_unmap(m->engine, NEXT - WINDOW, NEXT_LEN);
	if (mapped && (ftruncate(m->next_fd, 0) || ftruncate(m->next_fd, NEXT_LEN) ||
		       engine_window_map(m->engine, NEXT - WINDOW, m->next_fd, 0, NEXT_LEN, &err))) {
		printf("Bail out! %s\n", err.text);
	}
}

static void on_loss(void *host, uint64_t offset)
{
	struct machine *m = host;
	m->losses++;
	m->lost = offset;
}

struct frame {
	uint64_t base, len;
	const struct bus_ops *ops;
};

/* The frame of the interrupt controller that @gpa is in. */
static const struct frame *find_frame(const struct machine *m, uint64_t gpa)
{
	static const struct frame frames[] = {
		{GICD, GICV3_DIST_BYTES, &gicv3_dist_ops},
		{V2M, GICV2M_BYTES, &gicv2m_ops},
		{GICR, GICV3_REDIST_BYTES, &gicv3_redist_ops},
	};
	for (unsigned n = 0; m->gic && n < sizeof(frames) / sizeof(frames[0]); n++) {
		if (gpa - frames[n].base < frames[n].len) {
			return &frames[n];
		}
	}
	return NULL;
}

static void *frame_device(struct machine *m, const struct frame *frame)
{
	return frame->ops == &gicv2m_ops ? (void *)&m->v2m : m->gic;
}

static void drive_line(struct machine *m, bool level)
{
	if (m->gic) {
		struct irq_line line = {gicv3_irq_chip(m->gic), LINE_SPI};
		irq_line_set(&line, level);
	} else {
		engine_vcpu_set_line(m->vcpu, ENGINE_IRQ, level);
	}
}

static bool on_read(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t *value)
{
	struct machine *m = host;
	const struct frame *frame = find_frame(m, gpa);
	if (frame) {
		*value = frame->ops->read(frame_device(m, frame), gpa - frame->base, size);
		return true;
	}
	switch (gpa - DEVICE) {
	case DEVICE_ACCESSES:
		*value = m->accesses;
		return true;
	case DEVICE_LOSSES:
		*value = m->losses;
		return true;
	case DEVICE_LOST:
		*value = m->lost;
		return true;
	default:
		if (gpa - DEVICE - DEVICE_SCRATCH < 8) {
			m->accesses = (m->accesses & ~UINT64_C(0xff)) + 0x100 + size;
			*value = m->scratch >> (gpa & 7) * 8;
			return true;
		}
		return false;
	}
}

static bool on_write(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	struct machine *m = host;
	struct error err = {0};
	const struct frame *frame = find_frame(m, gpa);
	if (frame) {
		frame->ops->write(frame_device(m, frame), gpa - frame->base, size, value);
		return true;
	}
	switch (gpa - DEVICE) {
	case DEVICE_CHAR:
		take_char(m, (char)value);
		return true;
	case DEVICE_END:
		m->status = value;
		m->ended = true;
		engine_vcpu_kick(m->vcpu);
		return true;
	case DEVICE_LINE:
		drive_line(m, value & 1);
		return true;
	case DEVICE_WINDOW:
		set_window(m, value & 1);
		return true;
	case DEVICE_PLACE:
		return engine_window_place(m->engine, value, 0x10000, &err) == 0;
	case DEVICE_NEXT:
		set_next(m, value & 1);
		return true;
	case DEVICE_CUT:
		return ftruncate(m->next_fd, (off_t)value) == 0;
	case DEVICE_SCRATCH:
		m->accesses = (m->accesses & ~UINT64_C(0xff)) + 0x100 + size;
		m->scratch = value;
		return true;
	default:
		return false;
	}
}

/* Without interrupt controller ICC_PMR_EL1 exists, as a constant; the others are UNDEFINED. */
static bool on_icc_read(void *host, unsigned vcpu, uint32_t reg, uint64_t *value)
{
	struct machine *m = host;
	if (m->gic) {
		return gicv3_icc_read(m->gic, vcpu, reg, value);
	}
	*value = 0xa5;
	return reg == ENGINE_SYSREG(3, 0, 4, 6, 0);
}

static bool on_icc_write(void *host, unsigned vcpu, uint32_t reg, uint64_t value)
{
	struct machine *m = host;
	if (m->gic) {
		return gicv3_icc_write(m->gic, vcpu, reg, value);
	}
	return reg == ENGINE_SYSREG(3, 0, 4, 6, 0);
}

static void on_hypercall(void *host, unsigned vcpu, uint64_t x[8])
{
	struct machine *m = host;
	if (x[0] >> 31) {
		smccc_call(&m->smccc, m->vcpu, x);
	} else {
		x[0] += x[7];
	}
}

static void on_timer_line(void *host, unsigned vcpu, enum engine_ppi ppi, bool level)
{
	struct machine *m = host;
	if (m->gic) {
		gicv3_set_ppi(m->gic, vcpu, ppi, level);
	} else if (m->vcpu) {
		engine_vcpu_set_line(m->vcpu, ppi == ENGINE_PPI_VTIMER ? ENGINE_IRQ : ENGINE_FIQ, level);
	}
}

static const struct engine_host host_ops = {
	.mmio_read = on_read,
	.mmio_write = on_write,
	.icc_read = on_icc_read,
	.icc_write = on_icc_write,
	.hypercall = on_hypercall,
	.timer_line = on_timer_line,
	.window_lost = on_loss,
};

static void set_line(void *opaque, unsigned vcpu, enum engine_line line, bool level)
{
	struct machine *m = opaque;
	engine_vcpu_set_line(m->vcpu, line, level);
}

static const struct gicv3_cpu_ops cpu_ops = {set_line};

struct options {
	bool features, gic, strict, interp;
};

static bool parse(struct options *options, int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		bool *option = !strcmp(argv[i], "--features") ? &options->features
			       : !strcmp(argv[i], "--gic")    ? &options->gic
			       : !strcmp(argv[i], "--strict") ? &options->strict
			       : !strcmp(argv[i], "--interp") ? &options->interp
							      : NULL;
		if (!option) {
			return false;
		}
		*option = true;
	}
	return argc >= 2;
}

static void *watch(void *opaque)
{
	struct machine *m = opaque;
	LOCKED(&m->lock);
	while (m->running) {
		struct timespec until = {.tv_sec = m->deadline};
		pthread_cond_timedwait(&m->changed, &m->lock, &until);
		if (m->running && time(NULL) >= m->deadline) {
			m->late = true;
			engine_vcpu_kick(m->vcpu);
			m->deadline = time(NULL) + 10;
		}
	}
	return NULL;
}

static int set_up(struct machine *m, const struct options *options, struct error *err)
{
	struct engine_config config = {.host_ops = &host_ops, .host = m, .vcpus = 1, .isv_strict = options->strict,
				       .interp = options->interp, .cpu = options->features ? ENGINE_CPU_MAX : ENGINE_CPU_DEFAULT};
	m->ram = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	m->window_fd = memfd_create("window", MFD_CLOEXEC);
	m->next_fd = memfd_create("next", MFD_CLOEXEC);
	if (m->ram == MAP_FAILED || m->window_fd < 0 || m->next_fd < 0 || ftruncate(m->window_fd, 4096)) {
		return error_errno(err, "memory");
	}
	smccc_init(&m->smccc, &(struct psci){.vcpus = 1, .version = 0x10001}, options->features);
	m->engine = soft_engine_create(&config, err);
	if (!m->engine || engine_map_ram(m->engine, RAM_BASE, RAM_LEN, m->ram, false, err) ||
	    engine_window_place(m->engine, WINDOW, 0x10000, err)) {
		return -1;
	}
	m->vcpu = engine_vcpu_create(m->engine, 0, 0, err);
	if (!m->vcpu || !options->gic) {
		return m->vcpu ? 0 : -1;
	}
	const struct gicv3_config gic_config = {
		.vcpus = 1, .spis = 256, .v2m_base = V2M, .v2m_first_spi = MSI_SPI, .v2m_spi_count = 64,
		.cpu_ops = &cpu_ops, .cpu_opaque = m};
	m->gic = gicv3_create(&gic_config);
	m->v2m = (struct gicv2m){m->gic ? gicv3_irq_chip(m->gic) : NULL, V2M, 32 + MSI_SPI, 64};
	return m->gic ? 0 : error_set(err, -1, "interrupt controller");
}

static bool load(struct machine *m, const char *path)
{
	madvise(m->ram, RAM_LEN, MADV_DONTNEED);
	FILE *file = fopen(path, "rb");
	bool good = file && fread(m->ram, 1, RAM_LEN, file) > 0;
	if (file) {
		fclose(file);
	}
	return good;
}

/* One test; false if there is no such test. */
static bool run_test(struct machine *m, unsigned number, bool *passed)
{
	struct error err = {0};
	m->ended = m->named = m->late = false;
	m->accesses = m->scratch = m->losses = 0;
	memset(m->name, 0, sizeof(m->name));
	memset(m->comments, 0, sizeof(m->comments));
	drive_line(m, false);
	if (m->gic) {
		gicv3_reset(m->gic);
	}
	engine_vcpu_set_line(m->vcpu, ENGINE_IRQ, false);
	engine_vcpu_set_line(m->vcpu, ENGINE_FIQ, false);
	engine_window_unmap(m->engine, 0, 4096);
	set_next(m, false);
	if (engine_window_place(m->engine, WINDOW, 0x10000, &err)) {
		return false;
	}
	engine_vcpu_reset(m->vcpu, RAM_BASE, number);
	m->running = true;
	m->deadline = time(NULL) + 10;
	pthread_t watcher;
	pthread_create(&watcher, NULL, watch, m);
	while (!m->ended && !m->late) {
		if (engine_run(m->vcpu) != ENGINE_EXIT_KICKED) {
			break;
		}
	}
	pthread_mutex_lock(&m->lock);
	m->running = false;
	pthread_cond_signal(&m->changed);
	pthread_mutex_unlock(&m->lock);
	pthread_join(watcher, NULL);
	if (m->late) {
		uint64_t x[31], sp, pc, pstate;
		engine_vcpu_registers(m->vcpu, x, &sp, &pc, &pstate);
		printf("# did not end: pc 0x%llx pstate 0x%llx\n", (unsigned long long)pc,
		       (unsigned long long)pstate);
	}
	*passed = m->ended && m->status == STATUS_PASS;
	return !(m->ended && m->status == STATUS_NO_SUCH_TEST);
}

int main(int argc, char **argv)
{
	struct machine m = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	struct error err = {0};
	struct options options = {0};
	if (!parse(&options, argc, argv) || set_up(&m, &options, &err)) {
		printf("Bail out! %s\n", err.text);
		return 1;
	}
	unsigned number = 0, failed = 0;
	for (;; number++) {
		bool passed;
		if (!load(&m, argv[1])) {
			printf("Bail out! no program %s\n", argv[1]);
			return 1;
		}
		if (!run_test(&m, number, &passed)) {
			break;
		}
		printf("%s%s %u - %s\n", m.comments, passed ? "ok" : "not ok", number + 1, m.name);
		failed += !passed;
	}
	printf("1..%u\n", number);
	engine_destroy(m.engine);
	gicv3_destroy(m.gic);
	smccc_finish(&m.smccc);
	munmap(m.ram, RAM_LEN);
	close(m.window_fd);
	close(m.next_fd);
	return failed != 0;
}
