/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_access.c - loads and stores done by hand do what the engine does: every encoding, on a
 * device and on memory
 *
 * How it works: each row of the encoding tables that is a load or store is run with many fields,
 * all base registers, all alignments and across a page boundary, at one virtual address: first with
 * memory there, then with a device that behaves as memory, for which isv=strict gives up the
 * engine's own way.  Registers, memory and exceptions must be equal afterwards. The two pages there
 * are swapped in physical memory, so that an access across them is two.
 */
#include "a64/access.h"
#include "engine/soft/code.h"
#include "engine/soft/nisv.h"
#include "engine/soft/pauth.h"
#include "engine/soft/soft.h"
#include "host.h"
#include "unit.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
	RAM = 0x40000000,
	RAM_LEN = 0x200000,
	TABLES = 0x100000, /* offsets in RAM */
	VECTORS = 0x110000,
	MIRROR = 0x120000, /* what stands for the device */
	CODE_LEN = 0x80000,
	SCRATCH = 0x8000000, /* the device */
	SCRATCH_LEN = 2 * GUEST_PAGE,
	WINDOW = RAM + 0xc0000, /* virtual: memory or device */
	ALIGNMENTS = 16,
	CROSSINGS = 24,
	HVC = (int)0xd4000002,
};

#define NORMAL_PAGE                                                                                \
	UINT64_C(0x60000000000743) /* UXN, PXN, AF, inner shareable, EL0 may, attribute 0 */
#define BLOCK UINT64_C(0x701)	   /* code and tables: EL1 only */

struct bench {
	struct engine *engine;
	struct engine_vcpu *vcpu;
	struct cpu *cpu;
	uint8_t *ram, device[SCRATCH_LEN];
	uint64_t random;
	uint64_t next_code;
	unsigned done_by_hand, faults;
	bool stray; /* an access that the device must never see */
};

struct outcome {
	uint64_t x[32], pc, nzcv, esr, far;
	union vreg v[32];
	uint8_t memory[SCRATCH_LEN];
};

static uint64_t draw(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random;
}

static bool device_access(struct bench *b, uint64_t gpa, unsigned size)
{
	b->stray |= gpa < SCRATCH || gpa + size > SCRATCH + SCRATCH_LEN || gpa % size || size > 8;
	return !b->stray;
}

static bool on_read(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t *value)
{
	struct bench *b = host;
	*value = 0;
	if (!device_access(b, gpa, size)) {
		return false;
	}
	memcpy(value, b->device + (gpa - SCRATCH), size);
	return true;
}

static bool on_write(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	struct bench *b = host;
	if (!device_access(b, gpa, size)) {
		return false;
	}
	memcpy(b->device + (gpa - SCRATCH), &value, size);
	return true;
}

/* Behind each case, and in each vector. */
static void on_hypercall(void *host, unsigned vcpu, uint64_t x[8])
{
	engine_vcpu_kick(((struct bench *)host)->vcpu);
}

static const struct engine_host host_ops = {on_read,	       on_write,     host_no_icc_read,
					    host_no_icc_write, on_hypercall, host_no_timer_line};

static void put64(struct bench *b, uint64_t offset, uint64_t value)
{
	memcpy(b->ram + offset, &value, 8);
}

/*
 * Two sets of tables (39 bits, 4K): a gigabyte of RAM in blocks of 2 MiB, the first of which is
 * split into pages, where the window's two pages are the mirror's (set 0) or the device's (set 1),
 * swapped.
 */
static void make_tables(struct bench *b)
{
	for (unsigned set = 0; set < 2; set++) {
		uint64_t level1 = TABLES + set * 3 * GUEST_PAGE, level2 = level1 + GUEST_PAGE,
			 level3 = level2 + GUEST_PAGE;
		uint64_t target = set ? SCRATCH : RAM + MIRROR;
		put64(b, level1 + RAM / 0x40000000 * 8, (RAM + level2) | 3);
		put64(b, level2, (RAM + level3) | 3);
		for (uint64_t page = 0; page < 512; page++) {
			put64(b, level3 + page * 8, (RAM + page * GUEST_PAGE) | BLOCK | 2);
		}
		uint64_t slot = level3 + (WINDOW - RAM) / GUEST_PAGE * 8;
		put64(b, slot, (target + GUEST_PAGE) | NORMAL_PAGE);
		put64(b, slot + 8, target | NORMAL_PAGE);
	}
}

static void use_tables(struct bench *b, unsigned set)
{
	struct cpu *cpu = b->cpu;
	cpu->sys->ttbr0 = RAM + TABLES + set * 3 * GUEST_PAGE;
	cpu->sys->tcr =
		25 | 1 << 8 | 1 << 10 | 3 << 12 | UINT64_C(1) << 23 | UINT64_C(2) << 32; /* EPD1 */
	cpu->sys->mair = 0xff;
	cpu->sys->sctlr |= SCTLR_M | SCTLR_C | SCTLR_I | SCTLR_SPAN;
	cpu->sys->sctlr &= ~(SCTLR_A | SCTLR_SA);
	cpu->sys->vbar = RAM + VECTORS;
	cpu->sys->cpacr = 3 << 20;
	sysreg_update_traps(cpu);
	mmu_flush_all(cpu);
	mmu_select_asid(cpu);
	mmu_select(cpu);
}

static struct bench *bench_create(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct error err = {0};
	const struct engine_config config = {.host_ops = &host_ops,
					     .host = b,
					     .vcpus = 1,
					     .interp = true,
					     .isv_strict = true,
					     .cpu = ENGINE_CPU_MAX};
	b->random = 0x9e3779b97f4a7c15;
	b->ram = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	b->engine = soft_engine_create(&config, &err);
	assert_non_null(b->engine);
	assert_int_equal(engine_map_ram(b->engine, RAM, RAM_LEN, b->ram, false, &err), 0);
	b->vcpu = engine_vcpu_create(b->engine, 0, 0, &err);
	b->cpu = &soft_vcpu(b->vcpu)->cpu;
	b->cpu->sys->isar1 |= UINT64_C(2) << 20; /* LRCPC2 */
	b->cpu->sys->mmfr1 |= UINT64_C(1) << 16; /* LOR */
	engine_vcpu_reset(b->vcpu, RAM, 0);
	for (unsigned slot = 0; slot < 16; slot++) {
		put64(b, VECTORS + slot * 0x80, (uint32_t)HVC);
	}
	make_tables(b);
	return b;
}

static void bench_destroy(struct bench *b)
{
	engine_destroy(b->engine);
	munmap(b->ram, RAM_LEN);
	free(b);
}

/* ----- one case ----- */

struct access_case {
	uint32_t words[2]; /* the last one is tested */
	unsigned count;
	struct a64_registers regs;
	uint64_t sctlr_bits;
};

static uint64_t code_place(struct bench *b, const struct access_case *c)
{
	if (b->next_code + 16 > CODE_LEN) {
		b->next_code = 0;
		code_drop_all(b->cpu);
	}
	uint64_t offset = b->next_code;
	b->next_code += 16;
	uint32_t words[4] = {c->words[0], c->words[1], (uint32_t)HVC, (uint32_t)HVC};
	if (c->count == 1) {
		words[1] = (uint32_t)HVC;
	}
	memcpy(b->ram + offset, words, sizeof(words));
	return RAM + offset;
}

static void run_case(struct bench *b, const struct access_case *c, unsigned set, uint64_t pc,
		     const uint8_t *memory, struct outcome *out)
{
	struct cpu *cpu = b->cpu;
	uint8_t *backing = set ? b->device : b->ram + MIRROR;
	memcpy(backing, memory, SCRATCH_LEN);
	use_tables(b, set);
	cpu->sys->sctlr |= c->sctlr_bits;
	cpu->sys->esr = cpu->sys->far = 0;
	memcpy(cpu->x, c->regs.x, sizeof(c->regs.x));
	memcpy(cpu->v, c->regs.v, sizeof(cpu->v));
	cpu->pc = pc;
	cpu->nzcv = 0;
	cpu->ex_ptr = NULL;
	(void)engine_run(b->vcpu);
	cpu->sys->sctlr &= ~c->sctlr_bits;
	memcpy(out->x, cpu->x, sizeof(out->x));
	memcpy(out->v, cpu->v, sizeof(out->v));
	out->pc = cpu->pc;
	out->nzcv = cpu->nzcv;
	out->esr = cpu->sys->esr;
	out->far = cpu->sys->far;
	memcpy(out->memory, backing, SCRATCH_LEN);
}

static void compare(const struct outcome *ram, const struct outcome *device, const char *name,
		    uint32_t word)
{
	if (!memcmp(ram, device, sizeof(*ram))) {
		return;
	}
	for (unsigned n = 0; n < 32; n++) {
		if (ram->x[n] != device->x[n]) {
			print_message("# x%u: memory %#lx, device %#lx\n", n,
				      (unsigned long)ram->x[n], (unsigned long)device->x[n]);
		}
		if (memcmp(&ram->v[n], &device->v[n], 16)) {
			print_message("# v%u: memory %#lx %#lx, device %#lx %#lx\n", n,
				      (unsigned long)ram->v[n].d[1], (unsigned long)ram->v[n].d[0],
				      (unsigned long)device->v[n].d[1],
				      (unsigned long)device->v[n].d[0]);
		}
	}
	fail_msg("%s %08x: pc %#lx %#lx, esr %#lx %#lx, far %#lx %#lx, bytes %s", name, word,
		 (unsigned long)ram->pc, (unsigned long)device->pc, (unsigned long)ram->esr,
		 (unsigned long)device->esr, (unsigned long)ram->far, (unsigned long)device->far,
		 memcmp(ram->memory, device->memory, SCRATCH_LEN) ? "differ" : "equal");
}

/* ----- making cases ----- */

/* A register from @n on that @word does not use. */
static unsigned free_register(uint32_t word, unsigned n)
{
	while (n == A64_Rn(word) || n == A64_Rt(word) || n == A64_Rs(word) || n == A64_Rt2(word)) {
		n++;
	}
	return n;
}

/* LDXR or LDXP before STXR or STXP: the same base and size. */
static void prepend_load(struct access_case *c)
{
	uint32_t store = c->words[0];
	unsigned first = free_register(store, 0), second = free_register(store, first + 1);
	c->words[1] = store;
	c->words[0] = (store & 0xffe083e0) | 1u << 22 | 0x1fu << 16 | first;
	c->words[0] |= (store >> 21 & 1 ? second : 0x1f) << 10;
	c->count = 2;
}

/* CONSTRAINED UNPREDICTABLE: a store-exclusive's status over data or base; LDRAA with write-back
 * over its target. */
static bool is_unpredictable(const struct a64_access *a)
{
	uint32_t w = a->word;
	if (a64_access_signed_base(w)) {
		return a->writes_base && A64_Rn(w) == A64_Rt(w) && A64_Rn(w) != 31;
	}
	return a->status &&
	       (A64_Rs(w) == A64_Rt(w) || (A64_Rs(w) == A64_Rn(w) && A64_Rn(w) != 31) ||
		((w >> 21 & 1) && A64_Rs(w) == A64_Rt2(w)));
}

/* LDRAA or LDRAB of an authenticated base; it is not where it was decoded to be. */
static bool sign_base(struct bench *b, struct access_case *c, const struct a64_access *a,
		      uint64_t target)
{
	uint64_t *base = &c->regs.x[A64_Rn(a->word)];
	use_tables(b, 0);
	c->sctlr_bits = SCTLR_ENDA | SCTLR_ENDB;
	b->cpu->sys->sctlr |= c->sctlr_bits;
	*base = pauth_sign(b->cpu, *base + target - a->va, 0, A64_pm(a->word) ? KEY_DB : KEY_DA);
	b->cpu->sys->sctlr &= ~c->sctlr_bits;
	return *base >> 48; /* else the code is zero by chance */
}

/*
 * Fill @c with an access by @op whose first byte is at @target, with base register @rn and all else
 * at random.  False: this draw gives none.
 */
static bool make_case(struct bench *b, struct access_case *c, enum a64_op op, unsigned rn,
		      uint64_t pc, uint64_t target)
{
	const struct a64_info *info = &a64_infos[op];
	struct a64_access a;
	uint32_t word = info->value | ((uint32_t)draw(b) & ~info->mask);
	bool is_literal = info->format == A64_FORMAT_ldr_lit || info->format == A64_FORMAT_v_lit;
	if (is_literal) {
		word = (word & ~(0x7ffffu << 5)) | ((uint32_t)((target - pc) / 4) & 0x7ffff) << 5;
	} else if (op == A64_SYS) {
		word = 0xd50b7420 | (uint32_t)draw(b) % 31; /* DC ZVA */
	} else {
		word = (word & ~(0x1fu << 5)) | rn << 5;
	}
	if (a64_decode(word) != op) {
		return false;
	}
	c->words[0] = word;
	c->count = 1;
	c->sctlr_bits = 0;
	for (unsigned n = 0; n < 32; n++) {
		c->regs.x[n] =
			draw(b) >> draw(b) % 64; /* also small ones, for compares and offsets */
		c->regs.v[n][0] = draw(b);
		c->regs.v[n][1] = draw(b);
	}
	unsigned base = op == A64_SYS ? A64_Rt(word) : rn;
	c->regs.x[base] = target;
	if (!a64_access_decode(&a, word, &c->regs, pc, 64) || is_unpredictable(&a)) {
		return false;
	}
	if (op == A64_LDRA && draw(b) & 1) {
		return sign_base(b, c, &a, target);
	}
	c->regs.x[base] += is_literal || op == A64_SYS ? 0 : target - a.va;
	if (!a64_access_decode(&a, word, &c->regs, pc, 64) || (op != A64_SYS && a.va != target)) {
		return false; /* the offset is the base register, or the literal would be misaligned
			       */
	}
	if (a.status) {
		prepend_load(c);
	}
	return true;
}

static bool is_access(enum a64_op op)
{
	switch ((enum a64_format)a64_infos[op].format) {
	case A64_FORMAT_ldr_lit:
	case A64_FORMAT_ldst_ui:
	case A64_FORMAT_ldst_ur:
	case A64_FORMAT_ldst_wb:
	case A64_FORMAT_ldst_reg:
	case A64_FORMAT_pair:
	case A64_FORMAT_pair_wb:
	case A64_FORMAT_excl:
	case A64_FORMAT_v_lit:
	case A64_FORMAT_v_ui:
	case A64_FORMAT_v_ur:
	case A64_FORMAT_v_wb:
	case A64_FORMAT_v_reg:
	case A64_FORMAT_v_pair:
	case A64_FORMAT_v_rows:
	case A64_FORMAT_v_structs:
	case A64_FORMAT_v_lane:
	case A64_FORMAT_v_replicate: return true;
	default: return op == A64_LDRA || op == A64_SYS;
	}
}

/* Half of the CAS find what they look for. */
static void let_compare_succeed(struct bench *b, const struct access_case *c, uint8_t *memory)
{
	struct a64_access a;
	bool known = a64_access_decode(&a, c->words[0], &c->regs, 0, 64);
	uint64_t offset = (a.va - WINDOW) ^ GUEST_PAGE;
	if (!known || a.kind != A64_ACCESS_MODIFY || a.va % a.bytes || draw(b) & 1) {
		return;
	}
	for (unsigned k = 0; k < a.regs; k++) {
		unsigned n = a.second + k;
		uint64_t value = n == 31 ? 0 : c->regs.x[n];
		memcpy(memory + offset + k * a.element, &value, a.element);
	}
}

static void run_both(struct bench *b, const struct access_case *c, uint64_t pc, const char *name)
{
	static struct outcome ram, device;
	uint8_t memory[SCRATCH_LEN];
	for (unsigned n = 0; n < SCRATCH_LEN; n += 8) {
		uint64_t value = draw(b);
		memcpy(memory + n, &value, 8);
	}
	let_compare_succeed(b, c, memory);
	memset(&ram, 0, sizeof(ram));
	memset(&device, 0, sizeof(device));
	run_case(b, c, 0, pc, memory, &ram);
	run_case(b, c, 1, pc, memory, &device);
	assert_false(b->stray);
	compare(&ram, &device, name, c->words[c->count - 1]);
	if (ram.esr) {
		/* Misaligned atomics fault before anything else; nothing else does. */
		assert_int_equal(ram.esr & 0x3f, 0x21);
		b->faults++;
	} else {
		b->done_by_hand += !nisv_is_described(c->words[c->count - 1]);
	}
}

static unsigned run_row(struct bench *b, enum a64_op op)
{
	unsigned made = 0;
	for (unsigned rn = 0; rn < 32; rn++) {
		for (unsigned n = 0; n < ALIGNMENTS + CROSSINGS; n++) {
			struct access_case c;
			uint64_t middle = WINDOW + GUEST_PAGE;
			uint64_t target = n < ALIGNMENTS ? middle - 512 + n
							 : middle - 8 - draw(b) % 56 + draw(b) % 8;
			if (op == A64_SYS) {
				target = middle - 512 + n * 8;
			}
			uint64_t pc = RAM + (b->next_code + 16 > CODE_LEN ? 0 : b->next_code);
			for (unsigned tries = 0; tries < 8; tries++) {
				if (make_case(b, &c, op, rn, pc, target)) {
					assert_int_equal(code_place(b, &c), pc);
					run_both(b, &c, pc, a64_infos[op].name);
					made++;
					break;
				}
			}
		}
	}
	return made;
}

static void every_access_on_a_device_equals_memory(void **state)
{
	struct bench *b = bench_create();
	unsigned rows = 0, cases = 0;
	for (enum a64_op op = 0; op < A64_OPS; op++) {
		if (is_access(op)) {
			unsigned made = run_row(b, op);
			if (made < 100) {
				fail_msg("%s: only %u cases", a64_infos[op].name, made);
			}
			rows++;
			cases += made;
		}
	}
	print_message("# %u encodings, %u cases, %u of them done by hand, %u alignment faults\n",
		      rows, cases, b->done_by_hand, b->faults);
	assert_true(rows > 250 && b->done_by_hand > 100000);
	bench_destroy(b);
}

/* ----- what fails ----- */

static struct access_case case_of(struct bench *b, uint32_t word, uint64_t base)
{
	struct access_case c = {.words = {word}, .count = 1};
	for (unsigned n = 0; n < 31; n++) {
		c.regs.x[n] = n;
	}
	c.regs.x[2] = base;
	b->cpu->sys->esr = 0;
	return c;
}

/* The second half of a pair lies in a page that is not mapped: its own fault, and no register has
 * changed. */
static void a_fault_of_the_second_half_changes_nothing(void **state)
{
	struct bench *b = bench_create();
	static struct outcome out;
	uint8_t memory[SCRATCH_LEN] = {0};
	put64(b, TABLES + 5 * GUEST_PAGE + (WINDOW - RAM) / GUEST_PAGE * 8 + 8, 0);
	struct access_case c = case_of(b, 0xa8c88440, WINDOW + GUEST_PAGE - 8);
	run_case(b, &c, 1, code_place(b, &c), memory, &out);
	assert_int_equal(out.esr, 0x96000007);
	assert_int_equal(out.far, WINDOW + GUEST_PAGE);
	assert_memory_equal(out.x, c.regs.x, sizeof(out.x));
	c = case_of(b, 0xa8888440,
		    WINDOW + GUEST_PAGE - 8); /* stp: not even the first half is stored */
	run_case(b, &c, 1, code_place(b, &c), memory, &out);
	assert_int_equal(out.esr, 0x96000047);
	assert_memory_equal(out.x, c.regs.x, sizeof(out.x));
	assert_memory_equal(out.memory, memory, sizeof(memory));
	bench_destroy(b);
}

static void nothing_there_is_an_external_abort(void **state)
{
	struct bench *b = bench_create();
	static struct outcome out;
	uint8_t memory[SCRATCH_LEN] = {0};
	put64(b, TABLES + 5 * GUEST_PAGE + (WINDOW - RAM) / GUEST_PAGE * 8,
	      (SCRATCH + 0x100000) | NORMAL_PAGE);
	struct access_case c = case_of(b, 0xa8c88440, WINDOW + 16);
	run_case(b, &c, 1, code_place(b, &c), memory, &out);
	assert_true(b->stray);
	assert_int_equal(out.esr, 0x96000010);
	assert_int_equal(out.far, WINDOW + 16);
	assert_memory_equal(out.x, c.regs.x, sizeof(out.x));
	bench_destroy(b);
}

/* As if the instruction had been changed since it faulted. */
static void another_address_than_the_fault_is_an_external_abort(void **state)
{
	struct bench *b = bench_create();
	struct access_case c = case_of(b, 0xa8c88440, WINDOW + 16);
	uint64_t pc = code_place(b, &c);
	use_tables(b, 1);
	memcpy(b->cpu->x, c.regs.x, sizeof(c.regs.x));
	assert_int_equal(nisv_complete(b->cpu, pc, SCRATCH + GUEST_PAGE + 32), NISV_UNDECODED);
	assert_int_equal(b->cpu->sys->esr, 0x96000410);
	assert_int_equal(b->cpu->sys->elr, pc);
	assert_int_equal(b->cpu->pc, RAM + VECTORS + 0x200);
	assert_int_equal(b->cpu->x[2], WINDOW + 16);
	bench_destroy(b);
}

/* A word that is no load or store, and one that can not be fetched. */
static void what_is_no_access_is_an_external_abort(void **state)
{
	struct bench *b = bench_create();
	struct access_case c = case_of(b, 0xd503201f, WINDOW);
	uint64_t pc = code_place(b, &c);
	use_tables(b, 1);
	assert_int_equal(nisv_complete(b->cpu, pc, SCRATCH), NISV_UNDECODED);
	assert_int_equal(b->cpu->sys->esr, 0x96000410);
	assert_int_equal(nisv_complete(b->cpu, UINT64_C(0x123456789000), SCRATCH), NISV_UNDECODED);
	bench_destroy(b);
}

/* A hypervisor that only says that there is no page: the instruction tells where.  If there is no
 * instruction, it was the fetch. */
static void an_address_that_is_not_told_is_found(void **state)
{
	struct bench *b = bench_create();
	struct access_case c = case_of(b, 0xa8c88440, WINDOW + 16); /* ldp x0, x1, [x2], #136 */
	uint64_t pc = code_place(b, &c);
	use_tables(b, 1);
	memset(b->device, 0x5a, sizeof(b->device));
	memcpy(b->cpu->x, c.regs.x, sizeof(c.regs.x));
	assert_int_equal(nisv_complete(b->cpu, pc, NISV_ANY_GPA), NISV_DONE);
	assert_int_equal(b->cpu->x[0], 0x5a5a5a5a5a5a5a5a);
	assert_false(b->stray);
	use_tables(b, 0); /* memory alone is no reason */
	memcpy(b->cpu->x, c.regs.x, sizeof(c.regs.x));
	assert_int_equal(nisv_complete(b->cpu, pc, NISV_ANY_GPA), NISV_UNDECODED);
	assert_int_equal(b->cpu->sys->esr, 0x96000410);
	use_tables(b, 1);
	assert_int_equal(nisv_complete(b->cpu, WINDOW, NISV_ANY_GPA), NISV_UNDECODED);
	assert_int_equal(b->cpu->sys->esr, 0x86000010);
	assert_int_equal(b->cpu->sys->far, WINDOW);
	bench_destroy(b);
}

/* Hardware does not describe memory copy and set, and they are not done by hand: SETP, and CPYP
 * from a device and to it. */
static void memory_operations_on_a_device_are_external_aborts(void **state)
{
	static const struct {
		uint32_t word;
		uint64_t to, from;
	} cases[] = {
		{0x19c30444, WINDOW, 0},		    /* setp [x4]!, x2!, x3 */
		{0x1d030444, WINDOW, RAM + MIRROR + 0x100}, /* cpyp [x4]!, [x3]!, x2! */
		{0x1d030444, RAM + MIRROR + 0x100, WINDOW},
	};
	static struct outcome out;
	uint8_t memory[SCRATCH_LEN] = {0};
	for (unsigned n = 0; n < 3; n++) {
		struct bench *b = bench_create();
		struct access_case c = case_of(b, cases[n].word, 64);
		c.regs.x[4] = cases[n].to;
		c.regs.x[3] = cases[n].from;
		b->cpu->mops_off = false;
		uint64_t pc = code_place(b, &c);
		run_case(b, &c, 1, pc, memory, &out);
		assert_int_equal(out.esr & ~0x40u, 0x96000410);
		assert_int_equal(b->cpu->sys->elr, pc);
		assert_memory_equal(out.memory, memory, sizeof(memory));
		bench_destroy(b);
	}
}

/* State of a vCPU of another engine goes in and comes out. */
static void another_engine_is_helped(void **state)
{
	struct bench *b = bench_create();
	struct access_case c = case_of(b, 0xb8080d09, 0); /* str w9, [x8, #128]! */
	uint64_t pc = code_place(b, &c);
	use_tables(b, 1);
	const struct sysregs *sys = b->cpu->sys;
	struct nisv_state s = {.regs = c.regs,
			       .sp_el = {0x1000, 0x2000},
			       .pc = pc,
			       .pstate = UINT64_C(1) << 24 | 1 << 21 | 0x3c5,
			       .sctlr = sys->sctlr,
			       .tcr = sys->tcr,
			       .ttbr0 = sys->ttbr0,
			       .mair = sys->mair,
			       .vbar = 0x8000,
			       .elr = 1,
			       .spsr = 2,
			       .esr = 3,
			       .far = 4,
			       .zva_bytes = 64};
	s.regs.x[8] = WINDOW + 0x80;
	s.regs.x[9] = 0x12345678;
	engine_vcpu_reset(b->vcpu, 0, 0);
	assert_int_equal(nisv_assist(b->vcpu, &s, SCRATCH + GUEST_PAGE + 0x100), NISV_DONE);
	assert_int_equal(*(uint32_t *)(b->device + GUEST_PAGE + 0x100), 0x12345678);
	assert_int_equal(s.regs.x[8], WINDOW + 0x100);
	assert_int_equal(s.pc, pc + 4);
	assert_int_equal(s.pstate, UINT64_C(1) << 24 | 0x3c5);
	assert_int_equal(s.sp_el[1], 0x2000);
	assert_int_equal(s.elr, 1);
	/* And not: the exception is entered. */
	s.pc = pc;
	s.pstate = UINT64_C(1) << 24 | 0x3c0; /* EL0 */
	assert_int_equal(nisv_assist(b->vcpu, &s, SCRATCH), NISV_UNDECODED);
	assert_int_equal(s.pc, 0x8400);
	assert_int_equal(s.elr, pc);
	assert_int_equal(s.spsr, UINT64_C(1) << 24 | 0x3c0);
	assert_int_equal(s.esr, 0x92000410);
	assert_int_equal(s.pstate & 0x10003cf, 0x10003c5 & 0xffffffff);
	assert_int_equal(s.sp_el[0], 0x1000);
	bench_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_access_on_a_device_equals_memory),
		cmocka_unit_test(a_fault_of_the_second_half_changes_nothing),
		cmocka_unit_test(nothing_there_is_an_external_abort),
		cmocka_unit_test(another_address_than_the_fault_is_an_external_abort),
		cmocka_unit_test(what_is_no_access_is_an_external_abort),
		cmocka_unit_test(an_address_that_is_not_told_is_found),
		cmocka_unit_test(memory_operations_on_a_device_are_external_aborts),
		cmocka_unit_test(another_engine_is_helped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
