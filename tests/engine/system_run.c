/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system_run.c - a machine that stops at every synchronous exception (system.h)
 *
 * How it works: each vector is HVC, ERET.  The hypercall kicks the vCPU, so engine_run() returns
 * with the whole state in struct cpu; registers, ELR and SPSR are changed there, and ERET goes on.
 * Interrupts are not shown: where they are taken is the engine's choice, so the line is lowered and
 * the program goes on.  They must change nothing. Threads: the caller's runs the vCPU; one per
 * machine kicks it when it does not stop or sleeps.
 */
#include "host.h"
#include "system.h"

#include "base/own.h"
#include "base/wait.h"
#include "engine/soft/run.h"
#include "engine/soft/soft.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SYSTEM_VA(page) (SYSTEM_RAM + (page)*SYSTEM_PAGE)
#define CONTROL_OFFSET	0x800
#define MSR(op1, crn, crm, op2, rt)                                                                \
	(0xd5180000 | (op1) << 16 | (crn) << 12 | (crm) << 8 | (op2) << 5 | (rt))
#define HVC	  0xd4000002
#define ERET	  0xd69f03e0
#define SECOND_NS 1000000000ull

enum { INTERRUPTS = 10000 };  /* more of them on the way to a stop: a loop */
enum { REST = -1, END = -2 }; /* in place of seconds that are left: nothing runs, nothing will */

struct system_machine {
	struct engine *engine;
	struct engine_vcpu *vcpu;
	uint8_t *ram;
	uint64_t log, interrupts;
	unsigned seconds;
	struct sysregs control; /* what the control registers became */
	bool has_lines;		/* the program expects interrupts */
	bool stopped;
	pthread_t watcher;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int left; /* under lock: seconds for the run, or what stands in place of them */
};

static struct cpu *cpu_of(const struct system_machine *m)
{
	return &soft_vcpu(m->vcpu)->cpu;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

static bool aborts(uint64_t offset)
{
	return offset >= DEVICE_LEN || (offset & 0xf00) == DEVICE_ABORTS;
}

static bool on_read(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t *value)
{
	struct system_machine *m = host;
	m->log = mix(m->log, gpa * 16 + size);
	*value = m->log;
	return !aborts(gpa - SYSTEM_DEVICE);
}

static bool on_write(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	struct system_machine *m = host;
	uint64_t offset = gpa - SYSTEM_DEVICE;
	m->log = mix(mix(m->log, gpa * 16 + size), value);
	if (aborts(offset)) {
		return false;
	}
	if (!m->has_lines) {
		return true;
	}
	if ((offset & 0xfff) == DEVICE_IRQ || (offset & 0xfff) == DEVICE_FIQ) {
		engine_vcpu_set_line(
			m->vcpu, (offset & 0xfff) == DEVICE_IRQ ? ENGINE_IRQ : ENGINE_FIQ, true);
	}
	return true;
}

static bool on_icc_read(void *host, unsigned vcpu, uint32_t reg, uint64_t *value)
{
	*value = reg;
	return reg & 1;
}

static bool on_icc_write(void *host, unsigned vcpu, uint32_t reg, uint64_t value)
{
	struct system_machine *m = host;
	m->log = mix(mix(m->log, reg), value);
	return reg & 1;
}

static void on_hypercall(void *host, unsigned vcpu, uint64_t x[8])
{
	struct system_machine *m = host;
	if (cpu_of(m)->pc - 4 - SYSTEM_VA(SYSTEM_VECTORS) < SYSTEM_PAGE) {
		m->stopped = true;
		engine_vcpu_kick(m->vcpu);
		return;
	}
	for (unsigned n = 0; n < 8; n++) {
		m->log = mix(m->log, x[n]);
		x[n] ^= m->log;
	}
}

static const struct engine_host host_ops = {
	.mmio_read = on_read,
	.mmio_write = on_write,
	.icc_read = on_icc_read,
	.icc_write = on_icc_write,
	.hypercall = on_hypercall,
	.timer_line = host_no_timer_line,
};

/* Seconds as this thread sees them: a process that is stopped for a while is not late. */
static void *watch(void *opaque)
{
	struct system_machine *m = opaque;
	LOCKED(&m->lock);
	while (m->left != END) {
		if (wait_until(&m->changed, &m->lock, wait_now_ns() + SECOND_NS) == 0) {
			continue;
		}
		m->left -= m->left > 0;
		bool asleep = atomic_load(&soft_vcpu(m->vcpu)->sleep.asleep);
		if (m->left == 0 || (m->left > 0 && asleep)) {
			engine_vcpu_kick(m->vcpu);
		}
	}
	return NULL;
}

static void set_left(struct system_machine *m, int left)
{
	LOCKED(&m->lock);
	m->left = left;
}

static bool is_late(struct system_machine *m)
{
	LOCKED(&m->lock);
	return m->left == 0;
}

/*
 * The vectors, and behind them what visits start with: control registers from x0 on, everything
 * cached forgotten.
 */
static void write_vectors(uint8_t *ram)
{
	static const uint32_t control[] = {
		MSR(0, 12, 0, 0, 0),
		MSR(0, 10, 2, 0, 1),
		MSR(0, 2, 0, 2, 2),
		MSR(0, 2, 0, 0, 3),
		MSR(0, 2, 0, 1, 4),
		MSR(0, 1, 0, 2, 5),
		0xd5100247 /* mdscr_el1, x7 */,
		0xd510109f /* oslar_el1, xzr */,
		0xd508871f /* tlbi vmalle1 */,
		0xd508751f /* ic iallu */,
		0xd5033f9f /* dsb sy */,
		0xd5033fdf /* isb */,
		MSR(0, 1, 0, 0, 6),
		0xd5033fdf,
		HVC,
		ERET,
	};
	uint32_t *words = (uint32_t *)(ram + SYSTEM_VECTORS * SYSTEM_PAGE);
	for (unsigned n = 0; n < 16; n++) {
		words[n * 32] = HVC;
		words[n * 32 + 1] = ERET;
	}
	memcpy((uint8_t *)words + CONTROL_OFFSET, control, sizeof(control));
}

struct system_machine *system_machine_create(bool interpreter, bool features, bool plain,
					     unsigned seconds, const char *cache_folder)
{
	struct error err = {0};
	struct system_machine *m = calloc(1, sizeof(*m));
	if (!m) {
		return NULL;
	}
	m->seconds = seconds;
	m->left = REST;
	struct engine_config config = {.host_ops = &host_ops,
				       .host = m,
				       .vcpus = 1,
				       .interp = interpreter,
				       .plain_host = plain,
				       .cpu = features ? ENGINE_CPU_MAX : ENGINE_CPU_DEFAULT,
				       .cache_folder = cache_folder};
	m->ram = mmap(NULL, SYSTEM_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	m->engine = m->ram == MAP_FAILED ? NULL : soft_engine_create(&config, &err);
	if (!m->engine ||
	    engine_map_ram(m->engine, SYSTEM_RAM, SYSTEM_RAM_BYTES, m->ram, false, &err)) {
		return NULL;
	}
	m->vcpu = engine_vcpu_create(m->engine, 0, 0, &err);
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	if (!m->vcpu || pthread_create(&m->watcher, NULL, watch, m)) {
		return NULL;
	}
	write_vectors(m->ram);
	return m;
}

void system_machine_destroy(struct system_machine *m)
{
	set_left(m, END);
	pthread_cond_signal(&m->changed);
	pthread_join(m->watcher, NULL);
	engine_destroy(m->engine);
	munmap(m->ram, SYSTEM_RAM_BYTES);
	free(m);
}

static uint32_t *word_in_ram(struct system_machine *m, const struct system_program *p,
			     unsigned word)
{
	unsigned at = p->code_offset + word;
	uint64_t page = p->code_pages[at / (SYSTEM_PAGE / 4)];
	return (uint32_t *)(m->ram + page * SYSTEM_PAGE) + at % (SYSTEM_PAGE / 4);
}

void system_machine_damage(struct system_machine *m, const struct system_program *p, unsigned word,
			   uint32_t value)
{
	*word_in_ram(m, p, word) = value;
}

/* Have the next run set the control registers before anything else. */
static void start_with_control(struct system_machine *m, const struct system_program *p)
{
	const struct system_control *control = &p->control;
	const uint64_t x[] = {control->vbar,  control->mair,  control->tcr,   control->ttbr0[0],
			      control->ttbr1, control->cpacr, control->sctlr, control->mdscr};
	struct cpu *cpu = cpu_of(m);
	memcpy(cpu->x, x, sizeof(x));
	for (unsigned n = 0; n < 2; n++) { /* MSR MDSCR_EL1 has them looked at */
		cpu->sys->dbgbvr[n] = control->bvr[n];
		cpu->sys->dbgbcr[n] = control->bcr[n];
		cpu->sys->dbgwvr[n] = control->wvr[n];
		cpu->sys->dbgwcr[n] = control->wcr[n];
	}
	cpu->pc = SYSTEM_VA(SYSTEM_VECTORS) + CONTROL_OFFSET;
}

/* Did the vector of an interrupt stop it? */
static bool is_interrupt(const struct system_machine *m)
{
	uint64_t offset = cpu_of(m)->pc - 4 - SYSTEM_VA(SYSTEM_VECTORS);
	return offset < CONTROL_OFFSET && ((offset & 0x180) == 0x80 || (offset & 0x180) == 0x100);
}

/*
 * Go on behind a WFI.  Programs raise a line before they wait, but what stands between may be left
 * out after an exception, and then the interrupt comes before the WFI.  A WFI may end for any
 * reason (Arm ARM D1.7.2). False: a line is high and it slept all the same.
 */
static bool wake(struct system_machine *m)
{
	struct soft_vcpu *vcpu = soft_vcpu(m->vcpu);
	unsigned pending = atomic_fetch_and(&vcpu->cpu.pending, ~(unsigned)RUN_WFI);
	return !(pending & RUN_WFI) || !atomic_load(&vcpu->lines);
}

bool system_machine_run(struct system_machine *m)
{
	unsigned interrupts = 0;
	bool good = true;
	set_left(m, (int)m->seconds);
	do {
		m->stopped = false;
		engine_run(m->vcpu);
		if (m->stopped) {
			good = !is_interrupt(m) || ++interrupts < INTERRUPTS;
		} else {
			good = wake(m) && !is_late(m);
		}
		engine_vcpu_set_line(m->vcpu, ENGINE_IRQ, false);
		engine_vcpu_set_line(m->vcpu, ENGINE_FIQ, false);
	} while (good && (!m->stopped || is_interrupt(m)));
	set_left(m, REST);
	m->interrupts += interrupts;
	return good;
}

/* Did the program leave the control registers alone? */
static bool has_control(const struct system_machine *m)
{
	const struct sysregs *sys = cpu_of(m)->sys, *set = &m->control;
	return sys->vbar == set->vbar && sys->mair == set->mair && sys->tcr == set->tcr &&
	       sys->ttbr0 == set->ttbr0 && sys->ttbr1 == set->ttbr1 && sys->cpacr == set->cpacr &&
	       sys->sctlr == set->sctlr && sys->mdscr == set->mdscr;
}

/* False: it hangs. */
static bool set_control(struct system_machine *m, const struct system_program *p)
{
	start_with_control(m, p);
	if (!system_machine_run(m)) {
		return false;
	}
	m->control = *cpu_of(m)->sys;
	return true;
}

bool system_machine_load(struct system_machine *m, const struct system_program *p)
{
	memset(m->ram + SYSTEM_CODE * SYSTEM_PAGE, 0, SYSTEM_CODE_PAGES * SYSTEM_PAGE);
	memcpy(m->ram + SYSTEM_TABLES * SYSTEM_PAGE, p->tables, sizeof(p->tables));
	memcpy(m->ram + SYSTEM_MOVING * SYSTEM_PAGE, p->moving, sizeof(p->moving));
	memcpy(m->ram + SYSTEM_DATA * SYSTEM_PAGE, p->data, sizeof(p->data));
	for (unsigned n = 0; n < p->words; n++) {
		*word_in_ram(m, p, n) = p->code[n];
	}
	m->log = p->seed;
	m->has_lines = p->interrupts;
	engine_vcpu_set_line(m->vcpu, ENGINE_IRQ, false);
	engine_vcpu_set_line(m->vcpu, ENGINE_FIQ, false);
	engine_vcpu_reset(m->vcpu, 0, 0);
	return set_control(m, p);
}

/* Exceptions take the place of what sets the counter of a loop; it ends all the same. */
static void bound_loop(struct cpu *cpu)
{
	if (cpu->x[SYSTEM_LOOP_X] - 1 >= SYSTEM_LOOP_TIMES) {
		cpu->x[SYSTEM_LOOP_X] = 1;
	}
}

bool system_machine_visit(struct system_machine *m, const struct system_program *p,
			  const struct system_visit *visit)
{
	struct cpu *cpu = cpu_of(m);
	if (!has_control(m) && !set_control(m, p)) {
		return false;
	}
	struct random random = {visit->seed};
	for (unsigned n = 0; n < 31; n++) {
		cpu->x[n] = random_integer(&random);
	}
	bound_loop(cpu);
	for (unsigned n = 0; n < 64; n++) {
		cpu->v[n / 2].d[n & 1] = random_lanes(&random);
	}
	cpu->x[CPU_SP] = random_integer(&random) & ~15ull;
	cpu->sp_el[0] = random_integer(&random) & ~15ull;
	cpu->sp_el[1] = 0;
	cpu->fpcr = random_below(&random, 2) ? 0 : random_next(&random) & 0x07c80000;
	cpu->fpsr = random_below(&random, 2) ? 0 : random_next(&random) & 0x0800009f;
	cpu->sys->spsr = visit->spsr;
	cpu->sys->elr = visit->elr;
	return true;
}

void system_machine_resume(struct system_machine *m, uint64_t pc)
{
	cpu_of(m)->sys->elr = pc;
	cpu_of(m)->sys->spsr &= ~SPSR_IL;
	bound_loop(cpu_of(m));
}

const struct cpu *system_machine_cpu(const struct system_machine *m)
{
	return cpu_of(m);
}

uint64_t system_machine_log(const struct system_machine *m)
{
	return m->log;
}

uint64_t system_machine_interrupts(const struct system_machine *m)
{
	return m->interrupts;
}

const uint8_t *system_machine_ram(const struct system_machine *m)
{
	return m->ram;
}
