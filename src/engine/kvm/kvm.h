/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm.h - the KVM engine's objects (arm64 Linux hosts)
 *
 * How it works: KVM has the CPUs, the interrupt controller, the timers and PSCI; what leaves it are
 * accesses to devices, the end of the system, and what it can not describe.  See docs/engines.md.
 * Threads: fields of a vCPU belong to its thread unless marked.
 */
#ifndef ORIEL_ENGINE_KVM_KVM_H
#define ORIEL_ENGINE_KVM_KVM_H

#include "engine/engine.h"
#include "engine/soft/shadow.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
	KVM_MOST_VCPUS = 64,
	KVM_MOST_MSIS = 512,
	KVM_MOST_WATCHES = 8,
	KVM_MOST_BOUND = 64,  /* lines that devices raise by eventfd */
	KVM_MOST_PARTS = 256, /* of devices, that guests reach by themselves */
	KVM_FIRST_INTID = 32, /* of shared interrupts */
	KVM_IPA_BITS = 40,    /* what the board's memory map needs */
};

/* Newer than the oldest kernel headers that we build with. */
#ifndef KVM_ARM_VM_SMCCC_CTRL
#define KVM_ARM_VM_SMCCC_CTRL	0
#define KVM_ARM_VM_SMCCC_FILTER 0
enum { KVM_SMCCC_FILTER_FWD_TO_USER = 2 };
struct kvm_smccc_filter {
	uint32_t base, nr_functions;
	uint8_t action, pad[15];
};
#endif

/* Counters of what left the kernel. */
struct kvm_exits {
	atomic_ulong mmio_reads, mmio_writes, undescribed, faults, calls, signals;
};

struct kvm_vcpu {
	struct engine_vcpu base;
	struct kvm_engine *engine;
	int fd;
	struct kvm_run *run; /* shared with the kernel */
	struct kvm_vcpu_init init;
	struct kvm_exits exits;

	pthread_mutex_t lock; /* guards the two below */
	bool running;
	pthread_t thread;
	atomic_bool kicked; /* any thread */
	atomic_bool inside; /* KVM_RUN; see kvm_gate_close().  Any thread reads */
};

struct kvm_range {
	uint64_t offset, len;
};

/* Parts of devices, each with a memory slot of its own. */
struct kvm_parts {
	pthread_mutex_t lock;		     /* guards the rest */
	struct kvm_range at[KVM_MOST_PARTS]; /* guest addresses; len 0: the slot is free */
};

/* The GPU window: one reserved range behind one memory slot; only mapped pages can be accessed. */
struct kvm_window {
	pthread_mutex_t lock; /* guards all below */
	uint64_t gpa, len;    /* ~0: nowhere; 0: none */
	uint8_t *hva;
	struct kvm_range *mapped; /* in no order */
	size_t count, room;
};

/* A line whose end the kernel tells. */
struct kvm_line_watch {
	unsigned line;
	int raise, ended; /* eventfds; the first only because the kernel wants one */
	irq_end_fn fn;
	void *opaque;
};

/* A line that somebody raises by eventfd. */
struct kvm_bound_line {
	unsigned line;
	int fd, ended; /* borrowed */
};

struct kvm_gic {
	struct irq_chip chip;
	int fd; /* -1: none */
	struct engine_gic_config config;
	pthread_mutex_t lock;	  /* guards levels, bound, and making of the descriptors below */
	unsigned long levels[16]; /* of the lines, a bit each, as set_line() wants them */
	struct kvm_bound_line bound[KVM_MOST_BOUND];
	unsigned bound_count;
	atomic_int msi[KVM_MOST_MSIS]; /* eventfd bound to the interrupt, plus one; 0: none yet */
	atomic_ulong msis_dropped;
	/* gic_lines.c; constant while vCPUs run */
	struct kvm_line_watch watches[KVM_MOST_WATCHES];
	unsigned watch_count;
	pthread_t ends; /* the thread that calls them, if has_ends */
	bool has_ends;
	int ends_poll, stop; /* what it waits with; eventfd: it shall end */
};

struct kvm_engine {
	struct engine base;
	struct engine_config config;
	int dev, vm; /* /dev/kvm, the VM */
	size_t run_len;
	unsigned slots;
	struct kvm_gic gic;
	struct kvm_window window;
	struct kvm_parts parts;
	struct kvm_vcpu *vcpus[KVM_MOST_VCPUS];
	unsigned vcpu_count;
	bool shows_pauth, shows_sve;

	atomic_bool closed; /* the gate */
	pthread_mutex_t gate_lock;
	pthread_cond_t gate; /* it opened, or a vCPU left the kernel before it */

	struct shadow shadow;
	struct kvm_ram {
		uint64_t gpa, len;
		void *hva;
		uint32_t flags; /* of its memory slot, which has its index */
	} ram[SHADOW_MOST_RAMS];
	unsigned rams;
};

static inline struct kvm_engine *kvm_engine(struct engine *engine)
{
	return (struct kvm_engine *)engine; /* base is the first member */
}

static inline struct kvm_engine *kvm_engine_of(struct kvm_gic *gic)
{
	return (struct kvm_engine *)((char *)gic - offsetof(struct kvm_engine, gic));
}

static inline struct kvm_vcpu *kvm_vcpu(struct engine_vcpu *vcpu)
{
	return (struct kvm_vcpu *)vcpu;
}

/* ----- vcpu.c: engine_ops, and what the others need ----- */

struct engine_vcpu *kvm_vcpu_create(struct engine *engine, unsigned index, uint64_t mpidr,
				    struct error *err);
/* Accepts NULL. */
void kvm_vcpu_destroy(struct kvm_vcpu *vcpu);
void kvm_vcpu_reset(struct engine_vcpu *vcpu, uint64_t pc, uint64_t x0);
enum engine_exit kvm_vcpu_run(struct engine_vcpu *vcpu);
void kvm_vcpu_kick(struct engine_vcpu *vcpu);

/* ----- registers.c: engine_ops, and what the others need ----- */

void kvm_vcpu_registers(struct engine_vcpu *vcpu, uint64_t x[31], uint64_t *sp, uint64_t *pc,
			uint64_t *pstate);
bool kvm_vcpu_set_key(struct engine_vcpu *vcpu, enum engine_key key, uint64_t low, uint64_t high);
/* 0 or negative errno; @id as KVM_GET_ONE_REG wants it, @to as large as it says. */
int kvm_get(const struct kvm_vcpu *vcpu, uint64_t id, void *to);
int kvm_set(const struct kvm_vcpu *vcpu, uint64_t id, const void *from);
/* A field of struct kvm_regs: 64 bits, at the byte offset @at. */
uint64_t kvm_core_id(size_t at);
/* A system register; @reg is ENGINE_SYSREG(). */
uint64_t kvm_sysreg_id(uint32_t reg);

/* ----- gate.c ----- */

/* Out of KVM_RUN, or not into it.  Its lock is held. */
void kvm_vcpu_interrupt(struct kvm_vcpu *vcpu);
/* The vCPU's thread, around KVM_RUN; the first waits while the gate is closed. */
void kvm_gate_enter(struct kvm_vcpu *vcpu);
void kvm_gate_leave(struct kvm_vcpu *vcpu);
/*
 * Wait until no vCPU is inside KVM_RUN, and keep it so until kvm_gate_open(): the guest stands
 * still, except for the caller.  From a vCPU thread that is not inside and holds the shadow's lock;
 * vCPUs that are created already.
 */
void kvm_gate_close(struct kvm_engine *engine);
void kvm_gate_open(struct kvm_engine *engine);

/* ----- exits.c: what a vCPU left the kernel for ----- */

/* After KVM_RUN returned 0.  False: the engine can not go on, reported. */
bool kvm_handle_exit(struct kvm_vcpu *vcpu) MUST_CHECK;
/* After KVM_RUN failed with @error other than EINTR. */
bool kvm_handle_failure(struct kvm_vcpu *vcpu, int error) MUST_CHECK;

/* ----- assist.c: accesses done by hand, with the built-in engine's help ----- */

/* What the helper's accesses reach before the machine: a shadow_move_fn. */
bool kvm_shadow_move(void *engine, uint64_t gpa, unsigned size, uint64_t *value, bool write);
/* @fault_gpa: what the kernel says, or ~0 for any address in the GPU window.  False: not done, and
 * the VM can not go on; @why says what. */
bool kvm_assist(struct kvm_vcpu *vcpu, uint64_t fault_gpa, const char **why) MUST_CHECK;

/* ----- gic.c: engine_ops, and what the others need ----- */

struct irq_chip *kvm_gic_create(struct engine *engine, const struct engine_gic_config *config,
				struct error *err);
/* All vCPUs exist now. */
int kvm_gic_start(struct kvm_engine *engine, struct error *err) MUST_CHECK;
void kvm_gic_reset(struct engine *engine);
/* Aff3 to Aff0 of vCPU @index in 32 bits, as the board made them, and as KVM does. */
static inline uint64_t kvm_gic_affinity(unsigned index)
{
	return (uint64_t)(index / 16) << 8 | index % 16;
}
/* gic_lines.c: irq_chip_ops, and what the others need. */
/* Connect or (KVM_IRQFD_FLAG_DEASSIGN) disconnect an eventfd.  -errno. */
int kvm_gic_irqfd(struct kvm_gic *gic, const struct kvm_irqfd *irqfd) MUST_CHECK;
void kvm_gic_set_line(struct irq_chip *chip, unsigned line, bool level);
int kvm_gic_watch_end(struct irq_chip *chip, unsigned line, irq_end_fn fn, void *opaque) MUST_CHECK;
int kvm_gic_bind_line(struct irq_chip *chip, unsigned line, int fd, int ended) MUST_CHECK;
void kvm_gic_unbind_line(struct irq_chip *chip, unsigned line, int fd);
/* Ends the thread behind kvm_gic_watch_end(), if there is one. */
void kvm_gic_unwatch(struct kvm_gic *gic);
/* gic_frames.c: an access by hand of @size bytes (1, 2, 4, 8, aligned) to a register of the
 * controller.  False: none is there.  The shadow's lock is held. */
bool kvm_gic_move(struct kvm_engine *engine, uint64_t gpa, unsigned size, uint64_t *value,
		  bool write) MUST_CHECK;
/* Also of one that was only initialised.  No vCPU runs any more. */
void kvm_gic_destroy(struct kvm_gic *gic);

/* ----- memory.c: engine_ops, and what the others need ----- */

int kvm_map_ram(struct engine *engine, uint64_t gpa, uint64_t len, void *hva, bool read_only,
		struct error *err);
int kvm_log_writes(struct engine *engine, uint64_t gpa, bool on, struct error *err);
int kvm_take_writes(struct engine *engine, uint64_t gpa, unsigned long *pages, struct error *err);
int kvm_window_place(struct engine *engine, uint64_t gpa, uint64_t len, struct error *err);
int kvm_window_map(struct engine *engine, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
		   struct error *err);
void kvm_window_unmap(struct engine *engine, uint64_t offset, uint64_t len);
/*
 * An access by hand of @size bytes (1, 2, 4, 8, aligned) at @gpa.  Parts without pages read as zero
 * and forget; if the host has none any more for a mapped range, that becomes zero pages, and
 * host_ops' window_lost() hears of it. False: not in the window now.
 */
bool kvm_window_move(struct kvm_engine *engine, uint64_t gpa, unsigned size, uint64_t *value,
		     bool write) MUST_CHECK;
/* No vCPU runs any more. */
void kvm_window_finish(struct kvm_window *window);
void kvm_device_memory(struct engine *engine, uint64_t gpa, uint64_t len, void *hva, bool on);
void kvm_doorbell(struct engine *engine, uint64_t gpa, int fd, bool on);

#endif
