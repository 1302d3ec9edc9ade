/* SPDX-License-Identifier: Apache-2.0 */
/*
 * priv.h - what the parts of the translator share
 *
 * How it works: a block is translated in one pass; each row of the encoding tables has an emitter (jit_emitters) or
 * none, then the interpreter's handler is called.  Emitters find their operands decoded in t->i.
 *
 * Where guest state is while translated code runs:
 *  - x0-x4, x19-x22 and SP in host registers, the same in all blocks; all other registers in cpu->x[].
 *  - NZCV in EAX as LAHF and SETO leave it after an x86 subtraction: AH has N (SF), Z (ZF) and the inverse of C (CF), AL is
 *    V.  Inside a block also, or only, in the host's flags (t->flags).
 *  - V registers in cpu->v[]; inside a block also in XMM registers (vreg.c).
 *  - RBP points at cpu->x[16], so that all of cpu->x[] has one-byte displacements.
 *  - RCX, RDX, RSI are free inside an instruction.
 *
 * An emitter checks everything first and changes guest state last.  What it does not want to do itself (TLB miss,
 * NaN, division by zero...) goes by jit_slow() to the interpreter's handler of the whole instruction.
 * Threads: the vCPU thread.
 */
#ifndef ORIEL_ENGINE_SOFT_JIT_PRIV_H
#define ORIEL_ENGINE_SOFT_JIT_PRIV_H

#include "a64/a64.h"
#include "a64_handlers_gen.h"
#include "engine/soft/jit/half.h"
#include "engine/soft/jit/jit.h"
#include "engine/soft/jit/store.h"
#include "engine/soft/soft.h"
#include "engine/soft/jit/x86.h"

/* An instruction for the interpreter's handler; what lies behind it, as the handler sees it, comes back here. */
struct jit_record {
	struct insn i;
	insn_fn stop; /* i[1].fn */
};

enum { JIT_PAGES = 4096, JIT_BUCKETS = 4096 };

struct jit_page {
	uint32_t entry[PAGE_INSNS]; /* where words run; the stub `untranslated` for those that were not translated */
	uint64_t gpa;
	const uint32_t *words; /* the guest's memory */
	struct jit_page *next; /* in the bucket */
	bool has_code;
};

/* Pieces of code that all blocks use. */
struct jit_stubs {
	const uint8_t *enter;	     /* C: void (*)(void *base, const uint8_t *code) */
	const uint8_t *exit_pc;	     /* all state in registers, the address in RCX */
	const uint8_t *exit_offset;  /* the same with the offset in the page in RCX */
	const uint8_t *handler;	     /* call the handler of the record in RSI; comes back if the next instruction follows */
	const uint8_t *group;	     /* the same for EDX instructions of the page, from the record's on */
	const uint8_t *link;	     /* as exit_offset, and RDX is a rel32 to be linked to there */
	const uint8_t *copy_bytes, *set_bytes; /* mops.c */
	const uint8_t *tiny_s, *tiny_d; /* fp.c */
	const uint8_t *half[HALF_STUBS]; /* half_stubs.c */
	const uint8_t *untranslated; /* entry of what is not translated: as exit_offset */
};

struct jit {
	uint8_t *write;	     /* writable view */
	const uint8_t *code; /* executable view, below 2 GiB */
	size_t size;
	uint8_t *start, *at; /* writable view: behind the stubs; first free byte */
	struct jit_record *records; /* below 2 GiB */
	size_t record_count, records_used;
	struct jit_stubs stubs;
	struct jit_page *pool;
	unsigned pages_used;
	struct jit_page *buckets[JIT_BUCKETS];
	struct jit_stats stats;
	unsigned host; /* enum jit_host */
	int perf_map; /* file descriptor, or -1 */
	struct jit_store *store; /* NULL: nothing is kept */
	const struct jit_packed *last_placed; /* or NULL */
	uint8_t *journal;	 /* for the blocks in the code: what keeping them takes (place.c) */
	size_t journal_len, journal_size;
};

/* What the host's flags hold. */
enum jit_flags {
	JIT_FLAGS_NONE,	 /* nothing of the guest */
	JIT_FLAGS_SUB,	 /* NZCV, CF inverted */
	JIT_FLAGS_ADD,	 /* NZCV */
	JIT_FLAGS_LOGIC, /* N and Z; C and V are 0 and so are CF and OF */
	JIT_FLAGS_FP,	 /* of UCOMISD without NaNs: CF is N and the inverse of C, ZF is Z; V is 0 */
};

enum {
	JIT_BLOCK_INSNS = 128,
	JIT_BLOCK_ROOM = 128 * 1024,
	JIT_BLOCK_WORDS = JIT_BLOCK_INSNS + 32, /* that it may look at */
	JIT_HOLES = 6, /* jumps to one slow path */
	JIT_XMM = 16,
	JIT_EXCHANGES = 9, /* all but SP */
	JIT_NOTES = 2048,
	JIT_BLOCK_RECORDS = JIT_BLOCK_INSNS * 4,
	JIT_PACKED_ROOM = JIT_BLOCK_ROOM + 32 * 1024, /* a block with its notes */
	JIT_STUB_ROOM = 4096, /* all stubs */
};

/* What in a block's code depends on where code, records and pages lie. */
enum jit_note_kind {
	JIT_STUB,    /* rel32 to what lies @target bytes behind the start of all code (the stubs are the same in each run) */
	JIT_LINK,    /* rel32 to word @target of the page; if that is not translated, to the landing in the next note */
	JIT_LANDING, /* no field: a place in the block */
	JIT_RECORD,  /* imm32, address of the block's record @target */
	JIT_PAGE,    /* imm32, index of the page */
};

/* Which guest register is in which XMM register at some point; see vreg.c. */
struct jit_vregs {
	int8_t guest[JIT_XMM]; /* -1: none */
	uint8_t bytes[JIT_XMM]; /* 4, 8, 16: so many are right, those above stand for zeros */
	uint32_t dirty;	       /* a bit for each XMM register */
};

/* Accesses that share a probe (group.c). */
struct jit_group {
	unsigned count;	   /* words */
	unsigned base;	   /* register */
	int32_t low, high; /* bytes from the base register's first value */
	int32_t delta[16]; /* what was added to the base register before each instruction */
	unsigned access;   /* enum jit_access */
};

/* A path out of line: emitted behind the block. */
struct jit_late {
	enum { LATE_SLOW, LATE_NEXT, LATE_LINK, LATE_GROUP, LATE_BRANCH, LATE_LEAVE, LATE_TINY, LATE_PROBE } kind;
	uint8_t *holes[JIT_HOLES];
	unsigned hole_count;
	const uint8_t *resume; /* slow, group, tiny, probe: where the code goes on (executable view) */
	unsigned record;       /* slow, next */
	struct jit_vregs before, after; /* slow, next: at the holes; slow: where it goes on */
	unsigned target;       /* next, link, leave: word */
	int64_t distance;      /* branch: from the page's start, in bytes */
	unsigned count;	       /* group: instructions; tiny: lanes; probe: bytes */
	bool is_wide;	       /* tiny */
};

/* A word of a region that others of it branch to. */
struct jit_label {
	bool used;
	const uint8_t *code; /* executable view; NULL: not placed yet */
	uint8_t *hole;	     /* the last jump that waits for it; its rel32 is the distance to the one before, or 0 */
};

/* Guest register @in lives in host register @host inside the block, @out in its slot. */
struct jit_exchange {
	uint8_t out, in, host;
};

struct jit_block {
	struct x86 x;
	struct cpu *cpu;
	struct jit *jit;
	struct jit_page *page;
	unsigned first, n; /* index of the first instruction in the page, and of this one */
	unsigned last;	   /* of a region only */
	bool is_region;	   /* a loop from first to last (region.c) */
	struct jit_vregs kept; /* of a region: what XMM registers hold at its labels */
	int8_t map[CPU_SINK + 1]; /* host registers of guest registers in this block; -1: in the slot */
	unsigned exchange_count;
	struct jit_exchange exchanges[JIT_EXCHANGES];
	uint8_t *start; /* of its code, writable view */
	unsigned first_record;
	uint32_t raw;
	enum a64_op op;
	struct insn i; /* its operands as decode_insn() reads them */
	enum jit_flags flags;
	bool flags_saved; /* EAX is right */
	bool ended;	  /* nothing follows the instruction */
	bool sp_aligned;  /* SP is known to be aligned to 16 */
	bool fp_checked;  /* FP is known to be enabled */
	unsigned fp_known; /* a bit for each enum jit_fp_need that is known to be so */
	struct jit_vregs vregs;
	unsigned vreg_age[JIT_XMM], vreg_clock;
	bool in_group; /* RSI is the host address of the group's base register as it was first */
	int32_t group_delta;
	unsigned late_count, note_count;
	unsigned words_read, word_count; /* from @first on: in words[]; that the code depends on */
	bool is_bound; /* there were too many notes: the code can not be moved */
	/* Not cleared for each block. */
	struct jit_late late[JIT_BLOCK_INSNS * 4];
	uint16_t ops[JIT_BLOCK_WORDS]; /* enum a64_op of these: */
	uint32_t words[JIT_BLOCK_WORDS]; /* of the page, from @first on, as they were read */
	uint32_t notes[JIT_NOTES];
	struct jit_label labels[JIT_BLOCK_INSNS];
};

typedef void (*jit_emit_fn)(struct jit_block *t);

/* What an emitter does for a row.  The tables in gen/a64 say pure, reads, sets, rsi behind its name. */
enum {
	JIT_SETS = 1,  /* writes all of NZCV */
	JIT_READS = 2, /* reads NZCV */
	JIT_PURE = 4,  /* no slow path, no exit: nobody can look at the state in between */
	JIT_USES_RSI = 8,
};

struct jit_emitter {
	jit_emit_fn emit; /* NULL: the handler is called */
	unsigned char properties;
};

extern const struct jit_emitter jit_emitters[A64_OPS];
/* The one for @op on this block's CPU, which may not have the row's feature. */
const struct jit_emitter *jit_emitter_of(const struct jit_block *t, enum a64_op op);

/*
 * ----- code that can be moved (place.c) -----
 *
 * Blocks are kept on disk and placed elsewhere in another run.  So a block's code depends on nothing but the words that
 * jit_word() gave (never read page->words: they may have changed since), the CPU's features, the engine's configuration and
 * the host's features; and all that depends on where something lies is noted: what leads out of the block by the functions here,
 * addresses as immediates by jit_note().  x86_rel32() refuses what leads out.  A unit test translates blocks at two
 * places and compares them.
 */

/*
 * Word @n of the page, as the whole block sees it: @n is from the block's first on, less than JIT_BLOCK_WORDS behind it.
 * The block is good only for pages that have that word.
 */
uint32_t jit_word(struct jit_block *t, unsigned n);
enum a64_op jit_op_of(struct jit_block *t, unsigned n);
/* The same, to choose among translations that are all right whatever the word is. */
uint32_t jit_peek(struct jit_block *t, unsigned n);
enum a64_op jit_peek_op(struct jit_block *t, unsigned n);
/* The 4 bytes at @field (writable view) are to be changed when the block is placed. */
void jit_note(struct jit_block *t, enum jit_note_kind kind, const uint8_t *field, unsigned target);
/* Jump to or call @stub, and note it; @stub is one of t->jit->stubs. */
void jit_jmp_stub(struct jit_block *t, const uint8_t *stub);
void jit_jcc_stub(struct jit_block *t, enum x86_cc cc, const uint8_t *stub);
void jit_call_stub(struct jit_block *t, const uint8_t *stub);

/* Does a block start at word @n? */
static inline bool jit_is_translated(const struct jit *jit, const struct jit_page *page, unsigned n)
{
	return page->entry[n] != (uint32_t)(uintptr_t)jit->stubs.untranslated;
}

/* Let the rel32 at @hole (writable view) lead to word @n of @page, which is translated. */
static inline void jit_link(struct jit *jit, const struct jit_page *page, unsigned n, uint8_t *hole)
{
	x86_patch(hole, jit->write + (page->entry[n] - (uintptr_t)jit->code));
}

/* A note is a word: kind, target, offset of the field in the block. */
enum { JIT_OFFSET_BITS = 17, JIT_TARGET_BITS = 12 };

static inline unsigned jit_note_offset(uint32_t note)
{
	return note & ((1u << JIT_OFFSET_BITS) - 1);
}

static inline unsigned jit_note_target(uint32_t note)
{
	return note >> JIT_OFFSET_BITS & ((1u << JIT_TARGET_BITS) - 1);
}

static inline enum jit_note_kind jit_note_kind(uint32_t note)
{
	return (enum jit_note_kind)(note >> (JIT_OFFSET_BITS + JIT_TARGET_BITS));
}

/* What a handler goes on with: back to translated code. */
void jit_stop(struct cpu *cpu, const struct insn *i);
/* The block is complete: enter it in the journal. */
void jit_keep(struct jit_block *t);
/* All blocks of the journal go to the store; before their code is forgotten. */
void jit_keep_all(struct jit *jit);
/* Place the block for word @n of @page from the store, and those that it leads to.  There is room for one.  False: none. */
bool jit_place(struct cpu *cpu, struct jit_page *page, unsigned n);

/* ----- places of guest state ----- */

/* @field of struct cpu. */
#define JIT_CPU(field)                                                                             \
	x86_at(RBP, (int32_t)offsetof(struct cpu, field) - (int32_t)offsetof(struct cpu, x[16]))

/* RBP points into the struct cpu of a struct soft_vcpu, all of which translated code may access. */
enum {
	JIT_RBP_LOW = -(int32_t)offsetof(struct soft_vcpu, cpu.x[16]),
	JIT_RBP_HIGH = (int32_t)sizeof(struct soft_vcpu) - (int32_t)offsetof(struct soft_vcpu, cpu.x[16]),
};

/* Memory slot of guest register @n (0..33, as struct insn has it). */
static inline struct x86_mem jit_slot(unsigned n)
{
	return x86_at(RBP, ((int)n - 16) * 8);
}

/* Host register of guest register @n between blocks, or -1: it lives in its slot. */
int jit_home(unsigned n);
/* The same in this block. */
static inline int jit_pinned(const struct jit_block *t, unsigned n)
{
	return t->map[n];
}

/* A host register with the value of guest register @n (as struct insn numbers them): its own, or @temp loaded from the slot. */
unsigned jit_read(struct jit_block *t, unsigned n, unsigned temp);
/* Load guest register @n into host register @to. */
void jit_load(struct jit_block *t, unsigned n, unsigned to, bool wide);
/* The host register to compute guest register @n in: its own or @temp; jit_write() must follow. */
unsigned jit_target(const struct jit_block *t, unsigned n, unsigned temp);
/* Guest register @n gets host register @from (all 64 bits).  Nothing to do if it is its own. */
void jit_write(struct jit_block *t, unsigned n, unsigned from);
/* @op of host register @reg with guest register @n, wherever it is.  Leaves no register changed but @reg. */
void jit_op(struct jit_block *t, unsigned op, bool wide, unsigned reg, unsigned n);

/* ----- flags ----- */

/* The host's flags now hold the instruction's NZCV; EAX no longer does. */
void jit_flags_set(struct jit_block *t, enum jit_flags form);
/* NZCV into EAX; host flags keep the guest's.  RDX may change. */
void jit_flags_save(struct jit_block *t);
/* Before anything that changes the host's flags: saves them if anyone may want them. */
void jit_flags_clobber(struct jit_block *t);
/* Make the host's flags those of the guest, and return the x86 condition for A64 @cond (0..13). */
enum x86_cc jit_flags_test(struct jit_block *t, unsigned cond);

/* EAX for @nzcv (4 bits). */
static inline uint32_t jit_flags_word(unsigned nzcv)
{
	return (nzcv & 1) | (nzcv & 2 ? 0 : 0x100) | (nzcv & 4) << 12 | (nzcv & 8) << 12;
}

/* ----- the way to the interpreter ----- */

/* @hole leads to the handler of this instruction.  Flags must be saved before the first jump (jit_flags_clobber()). */
void jit_slow(struct jit_block *t, uint8_t *hole);
/* As jit_slow(), but go on with a new block behind this instruction: what this block knows does not hold there. */
void jit_slow_next(struct jit_block *t, uint8_t *hole);
/*
 * @hole: of the low @count lanes of T0, a result, one is tiny, infinite or a NaN.  To the handler only if that has something
 * to add to FPSR.
 */
void jit_slow_unless_tiny(struct jit_block *t, uint8_t *hole, bool is_wide, unsigned count);
/*
 * Here RCX is the host address of @size bytes to be read.  Jumps in @holes (2), with the guest's address in RCX, come here after
 * a probe of it.
 */
void jit_probe_later(struct jit_block *t, uint8_t *holes[2], unsigned size);
/* Here the instruction's slow path comes back.  Call once, at the end of an emitter that used jit_slow(). */
void jit_slow_end(struct jit_block *t);
/* Do the instruction by its handler. */
void jit_call_handler(struct jit_block *t);
/* @hole: a jump to word @target of this page, which was not translated yet. */
void jit_link_later(struct jit_block *t, uint8_t *hole, unsigned target);
/* End the block: go on with word @n (<= PAGE_INSNS) of this page. */
void jit_go(struct jit_block *t, unsigned n);
/* End the block: leave to the run loop with the address of word @n of this page. */
void jit_leave(struct jit_block *t, unsigned n);

/* ----- what a block covers (region.c) ----- */

/* Where the direct branch @raw, at word @n, leads; false: it is none, or leaves the page. */
bool jit_branch_target(uint32_t raw, enum a64_op op, unsigned n, unsigned *target);
/* Fill in last, is_region, labels and exchanges for the block that starts at t->first. */
void jit_choose_region(struct jit_block *t);
/* Exchange registers, or exchange them back: on every way in and out of the block.  Nothing else changes, flags neither. */
void jit_take_registers(struct jit_block *t);
void jit_give_registers(struct jit_block *t);
/* The label at word @n, or NULL. */
struct jit_label *jit_label_at(struct jit_block *t, unsigned n);
/* If t->n is a label: it is here. */
void jit_place_label(struct jit_block *t);
/* A late path that branches to @distance bytes from the page's start, or leaves for word @n. */
struct jit_late *jit_late_branch(struct jit_block *t, int64_t distance);
struct jit_late *jit_late_leave(struct jit_block *t, unsigned n);
/* Go to @distance bytes from the page's start, from a late path. */
void jit_go_distance(struct jit_block *t, int64_t distance);

/* ----- SIMD&FP registers (vreg.c) ----- */

enum { JIT_XMM_TEMP0 = 13, JIT_XMM_TEMP1, JIT_XMM_TEMP2 }; /* free inside an instruction */

/* Forget what XMM registers hold, after storing what changed. */
void jit_vregs_flush(struct jit_block *t);
/* Load and store until XMM registers hold what @want says.  No flags change. */
void jit_vregs_match(struct jit_block *t, const struct jit_vregs *want);
/* Forget them without storing. */
void jit_vregs_forget(struct jit_block *t);
/* Store what changed; it stays known. */
void jit_vregs_clean(struct jit_block *t);
/* Store for @vregs, or load again, out of line. */
void jit_vregs_store(struct x86 *x, const struct jit_vregs *vregs);
void jit_vregs_reload(struct x86 *x, const struct jit_vregs *vregs);
/* XMM register with the low @bytes (4, 8, 16) of V register @n; stays valid until the end of the instruction. */
unsigned jit_vread(struct jit_block *t, unsigned n, unsigned bytes);
/*
 * XMM register to compute V register @n in, of which the low @bytes are computed and the rest becomes 0.  After all
 * checks and reads of the instruction.  May be one that jit_vread() gave if it is the same register.
 */
unsigned jit_vwrite(struct jit_block *t, unsigned n, unsigned bytes);
/* First thing in an emitter for SIMD&FP: CPACR_EL1.FPEN; NULL or a jump for jit_slow(). */
void jit_fp_enter(struct jit_block *t);
/* What FPCR or FPSR must be for an instruction to be right here. */
enum jit_fp_need {
	JIT_FP_KEPT,	/* FPCR.FZ is 0: the host would not tell of its subnormal operands */
	JIT_FP_NEAREST, /* FPCR.RMode is 0 */
	JIT_FP_HALF,	/* FPCR.FZ16 and AHP are 0: half precision */
	JIT_FP_INEXACT, /* FPSR.IXC is set: it rounds */
};
/* If it is not so when this instruction runs, this one goes to its handler. */
void jit_fp_need(struct jit_block *t, enum jit_fp_need what);

/* ----- parts ----- */

/* Set-up: fill in all stubs, and those of mops.c, fp.c and half_stubs.c. */
void jit_emit_stubs(struct jit *jit);
void jit_emit_byte_stubs(struct x86 *x, struct jit_stubs *stubs);
void jit_emit_fp_stubs(struct x86 *x, struct jit_stubs *stubs);
void jit_emit_half_stubs(struct x86 *x, struct jit_stubs *stubs);
/* Translate the instruction at t->n. */
void jit_insn(struct jit_block *t);
/* Translate the group that starts at t->n, if there is one; t->n is behind it then. */
bool jit_group(struct jit_block *t);
/* Do the cpu->result[0] instructions from @first on by their handlers, as a group whose probe missed. */
void jit_group_by_hand(struct cpu *cpu, const struct insn *first);
/* A late path that does @count instructions from t->n on by hand.  Set its `after` and `resume` behind them. */
struct jit_late *jit_late_group(struct jit_block *t, unsigned count);
/* @hole leads to @late.  At most JIT_HOLES. */
void jit_late_hole(struct jit_late *late, uint8_t *hole);
/* Translate from word @n of @page.  There is room. */
void jit_translate(struct cpu *cpu, struct jit_page *page, unsigned n);

/* The emitters: each translates the instruction at t->n. */
#define JIT_DECLARE(emitter) void jit_##emitter(struct jit_block *t);
A64_EMITTERS(JIT_DECLARE)

#endif
