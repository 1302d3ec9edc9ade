/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_mops.c - memory copy and memory set (FEAT_MOPS, Arm ARM C6.2 CPYFP..., SETP...)
 *
 * How it works: this is an option A implementation: what is left after a prologue is a negative
 * number of bytes below the ends in Xd and Xs, or, when copying backwards, a positive number above
 * the starts.  So only Xn changes from then on. A prologue of a forward copy does the whole work,
 * unless something is pending: then it puts the registers back into the form it takes, with what is
 * done taken off, and runs again; after it, main and epilogue find Xn = 0.  It can not do so
 * backwards: what is left may overlap no more, and would be copied forward.  There main finds all
 * of it.  Bytes move in pieces that lie in one page on both sides, so host functions do the work;
 * where no memory is, in accesses of up to 8 bytes. Invariants: pieces depend on addresses and
 * sizes only, so neither interrupts nor the translator change what overlapping copies in the wrong
 * direction give.  Each run makes progress by a piece. Threads: the vCPU thread.
 */
#include "engine/soft/exception.h"
#include "engine/soft/mem.h"
#include "engine/soft/ops.h"
#include "engine/soft/soft.h"

/* Saturated sizes (Arm ARM, pseudocode of the prologues). */
#define SIZE_MOST      (UINT64_MAX >> 1)
#define SIZE_MOST_CPYP (UINT64_MAX >> 9)
#define ADDRESS_BITS   (UINT64_MAX >> 8) /* direction ignores tags */

enum {
	ISS_SET = 1 << 24,
	ISS_OPTIONS = 19,
	ISS_EPILOGUE = 1 << 18,
	ISS_WRONG_OPTION = 1 << 17,
	ISS_OPTION_A = 1 << 16,
	CPY_WRITE_USER = 1, /* options in the encoding */
	CPY_READ_USER = 2,
	SET_USER = 1,
	SET_AT_ONCE = 16 * GUEST_PAGE, /* interrupts wait as long */
};

/* What moves: [to, to + left), and for copies the same from @from. */
struct job {
	uint64_t to, from, left;
	unsigned write_flags, read_flags;
	bool copies, backwards;
};

static bool is_set(uint32_t raw)
{
	return (raw >> 22 & 3) == 3;
}

/* CPYP, CPYM, CPYE: either direction. */
static bool has_direction(uint32_t raw)
{
	return raw >> 26 & 1;
}

static bool is_epilogue(uint32_t raw)
{
	return (is_set(raw) ? raw >> 14 : raw >> 22) & 2;
}

static unsigned options(uint32_t raw)
{
	return is_set(raw) ? A64_set_options(raw) : A64_cpy_options(raw);
}

static struct job make_job(const struct cpu *cpu, const struct insn *i)
{
	struct job job = {.to = cpu->x[i->rd],
			  .from = cpu->x[i->rm],
			  .left = cpu->x[i->rn],
			  .copies = !is_set(i->raw)};
	unsigned bits = options(i->raw);
	job.write_flags = bits & (job.copies ? CPY_WRITE_USER : SET_USER) ? MEM_USER : 0;
	job.read_flags = MEM_READ | (job.copies && (bits & CPY_READ_USER) ? MEM_USER : 0);
	return job;
}

/* ----- moving bytes ----- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Bytes from @va to the end of its page, or from its page's start to @va (exclusive) for the other
 * direction. */
static uint64_t page_rest(uint64_t va, bool backwards)
{
	return backwards ? (va - 1) % GUEST_PAGE + 1 : GUEST_PAGE - va % GUEST_PAGE;
}

typedef uint8_t chunk __attribute__((vector_size(16), aligned(1), may_alias));

/*
 * memmove().  The C library's REP MOVSB takes ten times as long on some hosts if source and target
 * differ in alignment, which is what most pieces do.  All that a step stores was loaded before, so
 * a target below the source may overlap.
 */
static void copy(uint8_t *to, const uint8_t *from, uint64_t size)
{
	enum { CHUNK = sizeof(chunk) };
	if (size < CHUNK || (uint64_t)(to - from) < size) {
		memmove(to, from, size);
		return;
	}
	const chunk *in = (const chunk *)from;
	chunk *out = (chunk *)to, last = *(const chunk *)(from + size - CHUNK);
	for (uint64_t left = size / CHUNK / 4; left; left--, in += 4, out += 4) {
		chunk a = in[0], b = in[1], c = in[2], d = in[3];
		out[0] = a;
		out[1] = b;
		out[2] = c;
		out[3] = d;
	}
	for (uint64_t left = size / CHUNK % 4; left; left--, in++, out++) {
		*out = *in;
		__asm__("" ::: "memory"); /* not to become a call of memmove() */
	}
	*(chunk *)(to + size - CHUNK) = last;
}

/* Where the piece of *size bytes is that starts with the byte at @va, in the direction of @back;
 * see mem_slow_bytes(). */
static bool locate(struct cpu *cpu, const struct insn *i, uint64_t va, bool back, unsigned flags,
		   uint8_t **host, uint64_t *size)
{
	struct tlb_entry *table = flags & MEM_USER ? cpu->tlb_user : cpu->tlb;
	*host = flags & MEM_READ ? mem_hit_read(table, va, 1, false)
				 : mem_hit_write(table, va, 1, false);
	return LIKELY(*host != NULL) || mem_slow_bytes(cpu, i, va, back, flags, host, size);
}

/*
 * Of @left bytes to set from @va on, so many lie behind each other at @host: the first @size, and
 * neighbours that the TLB knows.  Setting has no pieces that show.
 */
static uint64_t join_pages(struct cpu *cpu, uint64_t va, unsigned flags, uint8_t *host,
			   uint64_t size, uint64_t left)
{
	struct tlb_entry *table = flags & MEM_USER ? cpu->tlb_user : cpu->tlb;
	left = least(left, SET_AT_ONCE);
	while (size < left && mem_hit_write(table, va + size, 1, false) == host + size) {
		size = least(left, size + GUEST_PAGE);
	}
	return size;
}

/* The largest access of at most @most bytes that is aligned at @to and @from. */
static unsigned device_size(uint64_t to, uint64_t from, uint64_t most)
{
	unsigned size = 8;
	while (size > most || (to | from) % size) {
		size /= 2;
	}
	return size;
}

/* @size bytes where at least one side is no memory.  False: exception taken. */
SOFT_COLD static bool move_device(struct cpu *cpu, const struct insn *i, const struct job *job,
				  uint64_t to, uint64_t from, unsigned size, uint8_t *host_to,
				  const uint8_t *host_from)
{
	uint64_t value = 0;
	if (!job->copies) {
		value = (uint8_t)cpu->x[i->rm] * UINT64_C(0x0101010101010101);
	} else if (host_from) {
		memcpy(&value, host_from, size);
	} else if (mem_slow_read(cpu, i, from, size, job->read_flags & MEM_USER)) {
		value = cpu->result[0];
	} else {
		return false;
	}
	if (host_to) {
		memcpy(host_to, &value, size);
		return true;
	}
	return mem_slow_write(cpu, i, to, size, job->write_flags, value, 0);
}

/* Move the next piece: how many bytes, 0: exception taken. */
static uint64_t move_piece(struct cpu *cpu, const struct insn *i, const struct job *job)
{
	bool back = job->backwards;
	uint64_t to = job->to + (back ? job->left : 0), from = job->from + (back ? job->left : 0);
	uint64_t size = least(job->left, page_rest(to, back));
	uint8_t *host_to, *host_from = NULL;
	if (job->copies) {
		size = least(size, page_rest(from, back));
		if (!locate(cpu, i, from - back, back, job->read_flags, &host_from, &size)) {
			return 0;
		}
	}
	if (!locate(cpu, i, to - back, back, job->write_flags, &host_to, &size)) {
		return 0;
	}
	bool device = !host_to || (job->copies && !host_from);
	if (UNLIKELY(device)) {
		size = device_size(to, job->copies ? from : 0, size);
	}
	uint64_t below = back ? size : 0; /* from the ends that were located to the piece's start */
	host_to = host_to ? host_to + back - below : NULL;
	host_from = host_from ? host_from + back - below : NULL;
	if (UNLIKELY(device)) {
		return move_device(cpu, i, job, to - below, from - below, (unsigned)size, host_to,
				   host_from)
			       ? size
			       : 0;
	}
	if (job->copies) {
		copy(host_to, host_from, size);
	} else {
		size = join_pages(cpu, to, job->write_flags, host_to, size, job->left);
		memset(host_to, (uint8_t)cpu->x[i->rm], size);
	}
	return size;
}

enum outcome { DONE, INTERRUPTED, FAULTED };

/* Until nothing is left or something else has to be done.  @job says what is left. */
static enum outcome move_all(struct cpu *cpu, const struct insn *i, struct job *job)
{
	while (job->left) {
		uint64_t size = move_piece(cpu, i, job);
		if (!size) {
			return FAULTED;
		}
		job->left -= size;
		if (!job->backwards) {
			job->to += size;
			job->from += size;
		}
		if (job->left && (atomic_load_explicit(&cpu->pending, memory_order_relaxed) &
				  ~(unsigned)RUN_STEP)) {
			cpu->pc = insn_pc(cpu, i);
			return INTERRUPTED;
		}
	}
	return DONE;
}

/* ----- stages ----- */

/* Overlapping so that a forward copy would read what it wrote. */
static bool must_go_back(const struct job *job)
{
	uint64_t from = job->from & ADDRESS_BITS, to = job->to & ADDRESS_BITS;
	return from < to && ((job->from + job->left) & ADDRESS_BITS) > to;
}

static __attribute__((noinline)) bool begin(struct cpu *cpu, const struct insn *i)
{
	if (UNLIKELY(cpu->mops_off)) {
		cpu_undefined(cpu, i);
		return false;
	}
	struct job job = make_job(cpu, i);
	job.left = least(job.left, has_direction(i->raw) ? SIZE_MOST_CPYP : SIZE_MOST);
	if (has_direction(i->raw) && must_go_back(&job)) {
		cpu->x[i->rn] = job.left;
		cpu->nzcv = 0;
		return true;
	}
	enum outcome outcome = move_all(cpu, i, &job);
	cpu->x[i->rd] = job.to;
	if (job.copies) {
		cpu->x[i->rm] = job.from;
	}
	cpu->x[i->rn] = job.left;
	if (outcome == DONE) {
		cpu->nzcv = 0;
	}
	return outcome == DONE;
}

/* Memory Copy or Memory Set exception: not the state that our prologue leaves. */
static bool refuse(struct cpu *cpu, const struct insn *i, uint32_t why)
{
	uint32_t raw = i->raw;
	uint32_t iss = ISS_OPTION_A | why | options(raw) << ISS_OPTIONS | A64_Rd(raw) << 10 |
		       A64_Rs(raw) << 5 | A64_Rn(raw);
	iss |= (is_set(raw) ? ISS_SET : 0) | (is_epilogue(raw) ? ISS_EPILOGUE : 0);
	cpu_exception(cpu, i, EC_MOPS, iss);
	return false;
}

static __attribute__((noinline)) bool go_on(struct cpu *cpu, const struct insn *i)
{
	if (UNLIKELY(cpu->mops_off)) {
		cpu_undefined(cpu, i);
		return false;
	}
	struct job job = make_job(cpu, i);
	bool above = (int64_t)job.left > 0;
	if (!job.left) {
		return true;
	}
	if (cpu->nzcv & 1u << 29) {
		return refuse(cpu, i, ISS_WRONG_OPTION);
	}
	if (above && !has_direction(i->raw)) {
		return refuse(cpu, i, 0);
	}
	job.backwards = above;
	if (!above) {
		job.to += job.left;
		job.from += job.left;
		job.left = -job.left;
	}
	enum outcome outcome = move_all(cpu, i, &job);
	cpu->x[i->rn] = above ? job.left : -job.left;
	return outcome == DONE;
}

#define STAGE(name, function)                                                                      \
	void op_##name(struct cpu *cpu, const struct insn *i)                                      \
	{                                                                                          \
		if (function(cpu, i)) {                                                            \
			NEXT(cpu, i);                                                              \
		}                                                                                  \
	}
STAGE(CPYFP, begin)
STAGE(CPYFM, go_on)
STAGE(CPYFE, go_on)
STAGE(CPYP, begin)
STAGE(CPYM, go_on)
STAGE(CPYE, go_on)
STAGE(SETP, begin)
STAGE(SETM, go_on)
STAGE(SETE, go_on)
