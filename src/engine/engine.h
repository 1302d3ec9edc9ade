/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - what runs guest instructions: the built-in engine, KVM, Hypervisor.framework
 *
 * Shaped like a hypervisor: create, map memory, create vCPUs, run them on threads of the caller.  While a vCPU runs, its
 * accesses that are no memory come out through struct engine_host, on the vCPU's thread.
 * The board never knows which engine runs it.
 * Threads: said at each call.  "vCPU thread" is the one inside engine_run() for that vCPU.
 */
#ifndef ORIEL_ENGINE_ENGINE_H
#define ORIEL_ENGINE_ENGINE_H

#include "base/error.h"
#include "bus/irq.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;
struct engine_vcpu;

enum engine_line {
	ENGINE_IRQ,
	ENGINE_FIQ,
};

/* Private peripheral interrupts which the engine itself produces; the values are INTIDs. */
enum engine_ppi {
	ENGINE_PPI_VTIMER = 27, /* CNTV, level */
	ENGINE_PPI_PTIMER = 30, /* CNTP, level */
};

/* Keys of pointer authentication. */
enum engine_key {
	ENGINE_KEY_IA,
	ENGINE_KEY_IB,
	ENGINE_KEY_DA,
	ENGINE_KEY_DB,
	ENGINE_KEY_GA,
	ENGINE_KEY_DIVERSIFIER, /* not architectural: mixed into the first four, see engine_vcpu_set_diversified() */
};

/* A system register as MRS/MSR name it. */
#define ENGINE_SYSREG(op0, op1, crn, crm, op2)                                                     \
	((uint32_t)((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2)))

/*
 * What the machine around the engine provides.  All on a vCPU thread (timer_line: any thread), several vCPUs at once.
 * @vcpu is the index given at engine_vcpu_create().
 */
struct engine_host {
	/* Access to a GPA that is no memory.  False: nothing there, and the guest gets a synchronous external abort. */
	bool (*mmio_read)(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t *value);
	bool (*mmio_write)(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t value);
	/*
	 * ICC_* system registers (GICv3 CPU interface), for engines without their own GIC; @reg is ENGINE_SYSREG().
	 * False: the register does not exist and the access is UNDEFINED.
	 */
	bool (*icc_read)(void *host, unsigned vcpu, uint32_t reg, uint64_t *value);
	bool (*icc_write)(void *host, unsigned vcpu, uint32_t reg, uint64_t value);
	/*
	 * HVC or SMC by SMCCC: x[0..7] in and out.  It may kick its own vCPU (power-off) and
	 * reset vCPUs that do not run (CPU_ON).
	 */
	void (*hypercall)(void *host, unsigned vcpu, uint64_t x[8]);
	/* Level of one of the vCPU's own timers changed.  For engines without their own interrupt controller. */
	void (*timer_line)(void *host, unsigned vcpu, enum engine_ppi ppi, bool level);
	/* The guest asked the engine's own firmware (struct engine: has_firmware) for power-off or @reset. */
	void (*system_end)(void *host, unsigned vcpu, bool reset);
	/*
	 * The host has no pages any more for what is mapped at @offset of the GPU window (its file was cut, its memory is
	 * broken): the whole range reads as zero from now on.  Must not block.
	 */
	void (*window_lost)(void *host, uint64_t offset);
};

/* What the CPU shows to the guest.  docs/engine.md says which features each model has. */
enum engine_cpu_model {
	ENGINE_CPU_DEFAULT,  /* what makes guests fast */
	ENGINE_CPU_MAX,	     /* everything that is there, pointer authentication and BTI too */
	ENGINE_CPU_BASELINE, /* Armv8.0 and what Debian needs; the same in every version */
	ENGINE_CPU_HOST,     /* what this host runs best */
};

struct engine_config {
	const struct engine_host *host_ops;
	void *host;
	unsigned vcpus;
	bool interp;	 /* soft: interpret only, never translate */
	bool perf_map;	 /* soft: name translated code for perf, in /tmp/perf-PID.map */
	bool plain_host; /* soft: translate as for an x86-64-v3 host, whatever this one has */
	bool isv_strict; /* soft: describe accesses to devices as hardware does, do the others by hand */
	uint32_t psci_version; /* of has_firmware engines: major << 16 | minor */
	enum engine_cpu_model cpu;
	uint32_t window_granule; /* soft: as if the host's pages were that large (a power of two, 4096 or more); 0: as they are */
	const char *cache_folder; /* soft: keep translations in it between runs; NULL: keep none.  Read at creation only */
};

/* Why engine_run() returned. */
enum engine_exit {
	ENGINE_EXIT_KICKED, /* engine_vcpu_kick() */
	ENGINE_EXIT_DEBUG,  /* what a debugger of the host waits for: engine_debug_stop() */
	ENGINE_EXIT_ERROR,  /* the engine can not go on; reported by log_error() */
};

struct engine_ops;

/* Where the interrupt controller of an engine that has one shall be: a GICv3, MSIs as writes of INTIDs. */
struct engine_gic_config {
	uint64_t dist, redist; /* GPAs of the frames */
	unsigned spis;	       /* multiple of 32 */
	uint64_t msi_address;  /* GPA that messages are written to */
	unsigned msi_first, msi_count; /* INTIDs of messages */
};

/* Base of every engine. */
struct engine {
	const struct engine_ops *ops;
	/*
	 * It answers PSCI itself: all vCPUs run from the start, and those that were reset with pc ENGINE_OFF sleep
	 * until the guest starts them.
	 */
	bool has_firmware;
	uint32_t window_granule; /* window_map() takes multiples of it: a page of the host; a power of two, 4096 or more */
};

#define ENGINE_OFF UINT64_MAX

/*
 * Debugging from outside, for engines that can.  Guests see nothing of it: their memory and debug registers stay theirs.
 */
enum engine_point_kind {
	ENGINE_POINT_BREAK, /* before the instruction at this virtual address, whatever is mapped there */
	ENGINE_POINT_WRITE,
	ENGINE_POINT_READ,
	ENGINE_POINT_ACCESS,
};

/* Where vCPUs stop.  Watchpoints see accesses of instructions to these virtual addresses: no table walks, no devices. */
struct engine_point {
	enum engine_point_kind kind;
	uint64_t address;
	uint64_t len; /* bytes; of watchpoints */
};

struct engine_stop {
	enum { ENGINE_STOP_NONE, ENGINE_STOP_STEP, ENGINE_STOP_POINT } why;
	struct engine_point point; /* that was met; the instruction did not execute */
	uint64_t address;	   /* first byte accessed that is watched */
};

struct engine_registers {
	uint64_t x[31], sp, pc, pstate; /* pstate as SPSR_EL1 would show it */
	__uint128_t v[32];
	uint32_t fpsr, fpcr;
};

/* All only while no vCPU of the engine runs. */
struct engine_debug_ops {
	int (*set_point)(struct engine *engine, const struct engine_point *point, bool on);
	void (*resume)(struct engine_vcpu *vcpu, bool step);
	struct engine_stop (*stop)(struct engine_vcpu *vcpu);
	void (*registers)(struct engine_vcpu *vcpu, struct engine_registers *registers);
	bool (*set_registers)(struct engine_vcpu *vcpu, const struct engine_registers *registers);
	size_t (*memory)(struct engine_vcpu *vcpu, uint64_t va, void *buffer, size_t len, bool write);
};

/* Receives one counter: a name in lower case with underscores, valid for ever. */
typedef void engine_stat_fn(void *opaque, const char *name, uint64_t value);

/* What an engine does for the engine_*() function of the same name below, whose contract it is. */
struct engine_ops {
	const char *name;
	void (*destroy)(struct engine *engine);
	int (*map_ram)(struct engine *engine, uint64_t gpa, uint64_t len, void *hva, bool read_only,
		       struct error *err);
	int (*window_place)(struct engine *engine, uint64_t gpa, uint64_t len, struct error *err);
	int (*window_map)(struct engine *engine, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
			  struct error *err);
	void (*window_unmap)(struct engine *engine, uint64_t offset, uint64_t len);
	struct engine_vcpu *(*vcpu_create)(struct engine *engine, unsigned index, uint64_t mpidr,
					   struct error *err);
	void (*vcpu_reset)(struct engine_vcpu *vcpu, uint64_t pc, uint64_t x0);
	enum engine_exit (*run)(struct engine_vcpu *vcpu);
	void (*vcpu_kick)(struct engine_vcpu *vcpu);
	/* Optional, for engines whose vCPUs belong to a thread. */
	void (*vcpu_leave)(struct engine_vcpu *vcpu);
	void (*vcpu_set_line)(struct engine_vcpu *vcpu, enum engine_line line, bool level);
	void (*vcpu_registers)(struct engine_vcpu *vcpu, uint64_t x[31], uint64_t *sp, uint64_t *pc,
			       uint64_t *pstate);
	bool (*vcpu_set_key)(struct engine_vcpu *vcpu, enum engine_key key, uint64_t low, uint64_t high);
	bool (*vcpu_set_diversified)(struct engine_vcpu *vcpu, unsigned levels);
	/* Optional, for engines with their own interrupt controller. */
	struct irq_chip *(*gic_create)(struct engine *engine, const struct engine_gic_config *config,
				       struct error *err);
	void (*gic_reset)(struct engine *engine);
	/* Optional: writes of a guest that only wake someone. */
	void (*doorbell)(struct engine *engine, uint64_t gpa, int fd, bool on);
	/* Optional: parts of devices that a guest may reach by itself. */
	void (*device_memory)(struct engine *engine, uint64_t gpa, uint64_t len, void *hva, bool on);
	/* Optional: which pages of RAM the guest writes. */
	int (*log_writes)(struct engine *engine, uint64_t gpa, bool on, struct error *err);
	int (*take_writes)(struct engine *engine, uint64_t gpa, unsigned long *pages, struct error *err);
	/* Optional: counters. */
	void (*stats)(struct engine *engine, engine_stat_fn *put, void *opaque);
	/* Optional. */
	const struct engine_debug_ops *debug;
};

struct engine_vcpu {
	struct engine *engine;
	unsigned index;
};

/* The built-in engine (src/engine/soft).  NULL and @err on failure. */
struct engine *soft_engine_create(const struct engine_config *config, struct error *err) MUST_CHECK;

#if defined(__aarch64__) && defined(__linux__)
#define ENGINE_HAS_KVM 1
/* Linux's KVM (src/engine/kvm).  NULL and @err on failure, which says what is missing. */
struct engine *kvm_engine_create(const struct engine_config *config, struct error *err) MUST_CHECK;
#else
#define ENGINE_HAS_KVM 0
static inline struct engine *MUST_CHECK kvm_engine_create(const struct engine_config *config, struct error *err)
{
	error_set(err, -EOPNOTSUPP, "KVM can not run Arm guests on a host of another architecture");
	return NULL;
}
#endif

/*
 * Apple's Hypervisor.framework (src/engine/hvf), on Apple-silicon Macs.  NULL and @err on failure, elsewhere always: programs link
 * hvf_dep or hvf_absent_dep.
 */
#ifdef __APPLE__
#define ENGINE_HAS_HVF 1
#else
#define ENGINE_HAS_HVF 0
#endif
struct engine *hvf_engine_create(const struct engine_config *config, struct error *err) MUST_CHECK;

/* Accepts NULL.  No vCPU may be running. */
static inline void engine_destroy(struct engine *engine)
{
	if (engine) {
		engine->ops->destroy(engine);
	}
}

/* Give every counter of the engine's own work, sums over all vCPUs, to @put.  No vCPU may be running. */
static inline void engine_stats(struct engine *engine, engine_stat_fn *put, void *opaque)
{
	if (engine->ops->stats) {
		engine->ops->stats(engine, put, opaque);
	}
}

/* Show @len bytes at @hva (borrowed, outlives the engine) to the guest at @gpa.  Before the first run. */
static inline int MUST_CHECK engine_map_ram(struct engine *engine, uint64_t gpa, uint64_t len, void *hva,
					    bool read_only, struct error *err)
{
	return engine->ops->map_ram(engine, gpa, len, hva, read_only, err);
}

/*
 * The host-visible GPU window: one reserved range, at first without pages, which a guest may move (it is a BAR): @gpa is where
 * it starts now, ~0 for nowhere.  @len never changes after the first call.  Any thread; takes effect before return
 * for the calling vCPU, soon for others.
 */
static inline int MUST_CHECK engine_window_place(struct engine *engine, uint64_t gpa, uint64_t len,
						 struct error *err)
{
	return engine->ops->window_place(engine, gpa, len, err);
}

/*
 * Map pages of @fd (borrowed, must be sealed against shrinking) at @offset of the window.  All multiples of window_granule.  Any thread.
 * Unmapped parts read as zero and ignore writes.  -EINVAL for a range outside the window or not aligned.
 */
static inline int MUST_CHECK engine_window_map(struct engine *engine, uint64_t offset, int fd,
					       uint64_t fd_offset, uint64_t len, struct error *err)
{
	return engine->ops->window_map(engine, offset, fd, fd_offset, len, err);
}

/* Take the pages away again.  Never waits for a vCPU.  Any thread. */
static inline void engine_window_unmap(struct engine *engine, uint64_t offset, uint64_t len)
{
	engine->ops->window_unmap(engine, offset, len);
}

/* vCPU @index with MPIDR_EL1 @mpidr.  Owned by the engine.  Before the first run. */
static inline struct engine_vcpu *MUST_CHECK engine_vcpu_create(struct engine *engine, unsigned index,
								uint64_t mpidr, struct error *err)
{
	return engine->ops->vcpu_create(engine, index, mpidr, err);
}

/*
 * The engine's interrupt controller, owned by it; before the first vCPU.  NULL without filling @err: the engine has none, the
 * host_ops' ICC registers and timer lines are used.
 */
static inline struct irq_chip *MUST_CHECK engine_gic_create(struct engine *engine,
							    const struct engine_gic_config *config,
							    struct error *err)
{
	return engine->ops->gic_create ? engine->ops->gic_create(engine, config, err) : NULL;
}

/* System reset of the engine's interrupt controller, if it has one.  No vCPU may be running. */
static inline void engine_gic_reset(struct engine *engine)
{
	if (engine->ops->gic_reset) {
		engine->ops->gic_reset(engine);
	}
}

/*
 * @on: let writes of up to 8 bytes at @gpa signal the eventfd @fd (borrowed until off) without leaving the engine, where it can.
 * Where not, they go on to mmio_write().  Any thread.
 */
static inline void engine_doorbell(struct engine *engine, uint64_t gpa, int fd, bool on)
{
	if (engine->ops->doorbell) {
		engine->ops->doorbell(engine, gpa, fd, on);
	}
}

/*
 * @on: let the guest's loads and stores reach @len bytes of a device at @hva (borrowed until off) without leaving the engine,
 * where it can: never its instructions.  Where not, they go on to mmio_read() and mmio_write(), as do those that find no page
 * there any more.  After off no vCPU reaches it.  Any thread.
 */
static inline void engine_device_memory(struct engine *engine, uint64_t gpa, uint64_t len, void *hva, bool on)
{
	if (engine->ops->device_memory) {
		engine->ops->device_memory(engine, gpa, len, hva, on);
	}
}

/*
 * @on: from now on, keep a log of the pages that the guest writes in the RAM which engine_map_ram() put at @gpa.  One
 * thread; vCPUs may run.  -ENOTSUP: this engine has none.
 */
static inline int MUST_CHECK engine_log_writes(struct engine *engine, uint64_t gpa, bool on, struct error *err)
{
	return engine->ops->log_writes
		       ? engine->ops->log_writes(engine, gpa, on, err)
		       : error_set(err, -ENOTSUP, "this CPU engine keeps no log of written memory");
}

/*
 * Take the log: bit n of @pages (a bit for each page of the host, in whole 64 bits) is set if page n was written since it was
 * last taken.  After engine_log_writes(); the same thread.
 */
static inline int MUST_CHECK engine_take_writes(struct engine *engine, uint64_t gpa, unsigned long *pages,
						struct error *err)
{
	return engine->ops->take_writes
		       ? engine->ops->take_writes(engine, gpa, pages, err)
		       : error_set(err, -ENOTSUP, "this CPU engine keeps no log of written memory");
}

/* Reset to EL1h, MMU off, DAIF masked, with @pc and x0 = @x0 (or off: ENGINE_OFF, has_firmware).  Only while that vCPU does not run. */
static inline void engine_vcpu_reset(struct engine_vcpu *vcpu, uint64_t pc, uint64_t x0)
{
	vcpu->engine->ops->vcpu_reset(vcpu, pc, x0);
}

/* Run on the calling thread until kicked.  WFI sleeps inside.  Always the same thread, until engine_vcpu_leave(). */
static inline enum engine_exit engine_run(struct engine_vcpu *vcpu)
{
	return vcpu->engine->ops->run(vcpu);
}

/* The thread that ran the vCPU, the caller, will do so no more: before it ends.  Its state is lost but for a reset. */
static inline void engine_vcpu_leave(struct engine_vcpu *vcpu)
{
	if (vcpu->engine->ops->vcpu_leave) {
		vcpu->engine->ops->vcpu_leave(vcpu);
	}
}

/* Make engine_run() return soon, also out of WFI and also if called just before it.  Any thread. */
static inline void engine_vcpu_kick(struct engine_vcpu *vcpu)
{
	vcpu->engine->ops->vcpu_kick(vcpu);
}

/* Drive the vCPU's interrupt input; wakes WFI.  Any thread. */
static inline void engine_vcpu_set_line(struct engine_vcpu *vcpu, enum engine_line line, bool level)
{
	vcpu->engine->ops->vcpu_set_line(vcpu, line, level);
}

/* Registers for messages and debuggers.  Only while that vCPU does not run. */
static inline void engine_vcpu_registers(struct engine_vcpu *vcpu, uint64_t x[31], uint64_t *sp,
					 uint64_t *pc, uint64_t *pstate)
{
	vcpu->engine->ops->vcpu_registers(vcpu, x, sp, pc, pstate);
}

/* Set a key of pointer authentication.  From the vCPU's own hypercall.  False: this engine or CPU model has no such key. */
static inline bool MUST_CHECK engine_vcpu_set_key(struct engine_vcpu *vcpu, enum engine_key key, uint64_t low,
						  uint64_t high)
{
	return vcpu->engine->ops->vcpu_set_key(vcpu, key, low, high);
}

/* Mix the diversifier into the keys of the levels in @levels, bit n for ELn.  As engine_vcpu_set_key(). */
static inline bool MUST_CHECK engine_vcpu_set_diversified(struct engine_vcpu *vcpu, unsigned levels)
{
	return vcpu->engine->ops->vcpu_set_diversified(vcpu, levels);
}

/* Can a debugger of the host work with this engine?  If not, no engine_debug_*() may be called. */
static inline bool engine_can_debug(const struct engine *engine)
{
	return engine->ops->debug != NULL;
}

/*
 * Set or clear a point for all vCPUs.  Setting one that is set changes nothing.  -ENOSPC: no room, -EINVAL: an empty or
 * endless range, -ENOENT: it was not set.  @point NULL: clear all.
 */
static inline int MUST_CHECK engine_debug_set_point(struct engine *engine, const struct engine_point *point, bool on)
{
	return engine->ops->debug->set_point(engine, point, on);
}

/*
 * How the next engine_run() goes on; forgets why the vCPU stopped.  @step: one instruction, or the exception that it takes,
 * without interrupts between, and as a matter of course if a breakpoint is here.  WFI does not sleep then.
 */
static inline void engine_debug_resume(struct engine_vcpu *vcpu, bool step)
{
	vcpu->engine->ops->debug->resume(vcpu, step);
}

/* Why engine_run() returned ENGINE_EXIT_DEBUG. */
static inline struct engine_stop engine_debug_stop(struct engine_vcpu *vcpu)
{
	return vcpu->engine->ops->debug->stop(vcpu);
}

/* What the vCPU would go on with. */
static inline void engine_debug_registers(struct engine_vcpu *vcpu, struct engine_registers *registers)
{
	vcpu->engine->ops->debug->registers(vcpu, registers);
}

/* False, with nothing changed: of PSTATE only NZCV and DAIF can be set. */
static inline bool MUST_CHECK engine_debug_set_registers(struct engine_vcpu *vcpu,
							 const struct engine_registers *registers)
{
	return vcpu->engine->ops->debug->set_registers(vcpu, registers);
}

/*
 * Read or write @len bytes of memory at @va as this vCPU's tables map it for EL1, whatever the rights.  Returns how many bytes
 * could be; it ends where nothing is mapped, and at devices, which are never touched.
 */
static inline size_t MUST_CHECK engine_debug_memory(struct engine_vcpu *vcpu, uint64_t va, void *buffer, size_t len,
						    bool write)
{
	return vcpu->engine->ops->debug->memory(vcpu, va, buffer, len, write);
}

#endif
