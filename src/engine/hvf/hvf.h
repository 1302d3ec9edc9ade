/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hvf.h - the engine over Apple's Hypervisor.framework
 *
 * How it works: the framework has the CPUs and the virtual timer.  The interrupt controller is the
 * board's and PSCI our firmware, as for the built-in engine, so that every macOS since 13 will do;
 * the framework's own controller came with 15.  What leaves a vCPU: accesses to devices, system
 * registers of the interrupt controller, firmware calls, WFI, the timer, kicks.  See
 * docs/engines.md. Invariants: a vCPU of the framework belongs to the thread that made it, so it is
 * made by the first engine_run() after a reset; a reset is a new one. Threads: fields of a vCPU
 * belong to its thread unless marked.
 */
#ifndef ORIEL_ENGINE_HVF_HVF_H
#define ORIEL_ENGINE_HVF_HVF_H

#include "engine/engine.h"
#include "engine/hvf/api.h"
#include "engine/soft/nisv.h"
#include "engine/soft/shadow.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	HVF_PAGE = 16384,  /* of the host, and so of what can be mapped */
	HVF_IPA_BITS = 40, /* what the board's memory map needs */
};

/* Counters of what left a vCPU. */
struct hvf_exits {
	atomic_ulong reads, writes, undescribed, registers, calls, waits, timers, cancels;
};

struct hvf_vcpu {
	struct engine_vcpu base;
	struct hvf_engine *engine;
	uint64_t mpidr;
	struct hvf_exits exits;

	bool exists; /* in the framework, as: */
	hv_vcpu_t id;
	hv_vcpu_exit_t *exit;
	pthread_t owner;
	bool timer_masked; /* after its exit; its line follows by polling then */
	bool timer_level;

	/* What a reset asks for, and what engine_vcpu_registers() sees: no other thread looks while
	 * it runs. */
	bool reset;
	uint64_t x[31], sp, pc, pstate;

	/* Any thread: */
	atomic_uint lines; /* a bit for each enum engine_line */
	atomic_bool kicked;
	atomic_bool inside;   /* in hv_vcpu_run(), or about to be */
	pthread_mutex_t lock; /* with `wake`: sleep of WFI */
	pthread_cond_t wake;
};

/* The GPU window: one reserved range, of which the pages marked are in the guest. */
struct hvf_window {
	pthread_mutex_t lock; /* guards all below */
	uint64_t gpa, len;    /* ~0: nowhere; 0: none */
	void *range;	      /* what was reserved, a page more than: */
	uint8_t *hva;
	uint8_t *mapped; /* a byte for each page of HVF_PAGE */
};

struct hvf_engine {
	struct engine base;
	struct engine_config config;
	bool has_vm;
	uint64_t timer_offset; /* the guest's counter is Mach's less this */
	struct mach_timebase_info timebase;
	struct hvf_window window;
	struct shadow shadow;
	struct hvf_vcpu *vcpus[SHADOW_MOST_VCPUS];
	unsigned vcpu_count;
};

static inline struct hvf_engine *hvf_engine(struct engine *engine)
{
	return (struct hvf_engine *)engine; /* base is the first member */
}

static inline struct hvf_vcpu *hvf_vcpu(struct engine_vcpu *vcpu)
{
	return (struct hvf_vcpu *)vcpu;
}

static inline void hvf_count(atomic_ulong *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ----- errors.c ----- */

/* What @rc of the framework means, in words. */
const char *hvf_text(hv_return_t rc);
/* What can only fail for a register or thread of our own mistake: says so, if it did.  @what: "read
 * a register". */
void hvf_must(const struct hvf_vcpu *vcpu, hv_return_t rc, const char *what);

/* ----- vcpu.c: engine_ops, and what the others need ----- */

struct engine_vcpu *hvf_vcpu_create(struct engine *engine, unsigned index, uint64_t mpidr,
				    struct error *err);
/* Accepts NULL.  Its thread has left it. */
void hvf_vcpu_destroy(struct hvf_vcpu *vcpu);
void hvf_vcpu_reset(struct engine_vcpu *vcpu, uint64_t pc, uint64_t x0);
enum engine_exit hvf_vcpu_run(struct engine_vcpu *vcpu);
void hvf_vcpu_kick(struct engine_vcpu *vcpu);
void hvf_vcpu_leave(struct engine_vcpu *vcpu);
void hvf_vcpu_set_line(struct engine_vcpu *vcpu, enum engine_line line, bool level);

/* ----- registers.c: engine_ops, and what the others need ----- */

void hvf_vcpu_registers(struct engine_vcpu *vcpu, uint64_t x[31], uint64_t *sp, uint64_t *pc,
			uint64_t *pstate);
bool hvf_vcpu_set_key(struct engine_vcpu *vcpu, enum engine_key key, uint64_t low, uint64_t high);
/* For hvf_vcpu_registers(), which may come from another thread. */
void hvf_keep_registers(struct hvf_vcpu *vcpu);
/* Registers of a vCPU that exists; @reg as the framework numbers them, ENGINE_SYSREG() for the last
 * two. */
uint64_t hvf_get(const struct hvf_vcpu *vcpu, hv_reg_t reg);
void hvf_set(const struct hvf_vcpu *vcpu, hv_reg_t reg, uint64_t value);
uint64_t hvf_get_sysreg(const struct hvf_vcpu *vcpu, uint32_t reg);
void hvf_set_sysreg(const struct hvf_vcpu *vcpu, uint32_t reg, uint64_t value);

/* ----- vtimer.c ----- */

void hvf_set_timer_line(struct hvf_vcpu *vcpu, bool level);
/* Before it runs or sleeps: after its exit the framework says nothing more of the timer, so its
 * level is asked for until it is low. */
void hvf_follow_timer(struct hvf_vcpu *vcpu);
/* Sleep until an interrupt, a kick or the virtual timer. */
void hvf_wait(struct hvf_vcpu *vcpu);

/* ----- model.c ----- */

/* Show the CPU model of the configuration: of a vCPU that was just made. */
void hvf_model_apply(const struct hvf_vcpu *vcpu);

/* ----- exits.c: what a vCPU left the guest for ----- */

/* False: the engine can not go on, reported. */
bool hvf_handle_exit(struct hvf_vcpu *vcpu) MUST_CHECK;

/* ----- sysreg.c: trapped system registers ----- */

/* The access that @syndrome describes.  False: there is no such register. */
bool hvf_access_sysreg(struct hvf_vcpu *vcpu, uint64_t syndrome) MUST_CHECK;

/* ----- assist.c: what the framework leaves to us, with the built-in engine's help ----- */

/* Do the load or store at pc, of which the framework says no more than that it wanted @gpa.  False:
 * no memory for that. */
bool hvf_assist(struct hvf_vcpu *vcpu, uint64_t gpa) MUST_CHECK;
/* Give the guest a synchronous exception; @ec is that from EL0. */
bool hvf_raise(struct hvf_vcpu *vcpu, unsigned ec, uint32_t iss, bool has_far,
	       uint64_t far) MUST_CHECK;

/* ----- memory.c: engine_ops, and what the others need ----- */

int hvf_map_ram(struct engine *engine, uint64_t gpa, uint64_t len, void *hva, bool read_only,
		struct error *err);
int hvf_window_place(struct engine *engine, uint64_t gpa, uint64_t len, struct error *err);
int hvf_window_map(struct engine *engine, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
		   struct error *err);
void hvf_window_unmap(struct engine *engine, uint64_t offset, uint64_t len);
/* True if [gpa, gpa + size) is in the window now. */
bool hvf_window_has(struct hvf_engine *engine, uint64_t gpa, unsigned size);
/* The same as a shadow_move_fn: only parts without pages come here, they read as zero and forget.
 */
bool hvf_window_move(void *engine, uint64_t gpa, unsigned size, uint64_t *value, bool write);
/* True if the page of @gpa is in the window and has pages now. */
bool hvf_window_is_mapped(struct hvf_engine *engine, uint64_t gpa);
/* No vCPU runs any more. */
void hvf_window_finish(struct hvf_engine *engine);

#endif
