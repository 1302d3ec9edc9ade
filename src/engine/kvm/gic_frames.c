/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gic_frames.c - registers of KVM's GICv3 accessed by hand, for accesses that KVM can not describe
 *
 * How it works: the kernel hands such an access over before it asks its own controller, so the
 * registers are reached through the device's attributes, which need all vCPUs out of the kernel
 * (kvm_gate_close()).  Attributes move words and are made for saved state: what a guest's access
 * does differently is done here (pending bits).  Facts: Linux
 * Documentation/virt/kvm/devices/arm-vgic-v3.rst.
 * Threads: a vCPU thread that holds the shadow's lock.
 */
#include "base/log.h"
#include "engine/kvm/kvm.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

enum {
	DIST_LEN = 0x10000,
	REDIST_LEN = 0x20000,
	SGI_FRAME =
		0x10000, /* of a redistributor: where its registers look like the distributor's */
	IIDR = 0x8,
	ISPENDR = 0x200,
	ICPENDR = 0x280,
	ISACTIVER = 0x300,
	IPRIORITYR = 0x400,
	ICFGR = 0x800,
	BUSY_TRIES = 200, /* of 0.1 ms: another thread asks for a register of its vCPU */
};

/* One frame's words as attributes. */
struct frame {
	const struct kvm_gic *gic;
	uint32_t group;
	uint64_t attr;	 /* upper half: whose redistributor */
	uint64_t offset; /* of the access in the frame */
	unsigned banked; /* what offset is to be lessened by so that 0x80 is IGROUPR */
	unsigned first;	 /* INTID of the first interrupt there */
};

static int move_attr(const struct frame *f, uint32_t group, uint64_t attr, uint32_t *value,
		     bool write)
{
	const struct kvm_device_attr a = {
		.group = group, .attr = f->attr | attr, .addr = (uintptr_t)value};
	const struct timespec pause = {.tv_nsec = 100000};
	int rc = -EBUSY;
	for (unsigned n = 0; rc == -EBUSY && n < BUSY_TRIES; n++) {
		if (n) {
			(void)nanosleep(&pause, NULL);
		}
		rc = ioctl(f->gic->fd, write ? KVM_SET_DEVICE_ATTR : KVM_GET_DEVICE_ATTR, &a) < 0
			     ? -errno
			     : 0;
	}
	return rc;
}

static int move_word(const struct frame *f, uint64_t offset, uint32_t *value, bool write)
{
	return move_attr(f, f->group, offset, value, write);
}

/* Levels of the lines of 32 interrupts that are level-triggered. */
static int read_levels(const struct frame *f, unsigned intid, uint32_t *levels)
{
	uint64_t info = (uint64_t)VGIC_LEVEL_INFO_LINE_LEVEL
			<< KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT;
	return move_attr(f, KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, info | intid, levels, false);
}

/* ISPENDR and ICPENDR: the attribute is the latch alone, written as a whole. */
static int move_pending(const struct frame *f, uint64_t offset, uint32_t *value, bool write)
{
	unsigned at = (unsigned)(offset - f->banked);
	bool clears = at >= ICPENDR;
	uint64_t latch = f->banked + ISPENDR + at % 0x80;
	uint32_t old = 0, lines = 0;
	int rc = move_word(f, latch, &old, false);
	if (rc == 0 && write) {
		uint32_t new = clears ? old & ~*value : old | *value;
		return move_word(f, latch, &new, true);
	}
	rc = rc < 0 ? rc : read_levels(f, f->first + at % 0x80 * 8, &lines);
	*value = old | lines;
	return rc;
}

static bool is_pending(const struct frame *f, uint64_t offset)
{
	return offset >= f->banked + ISPENDR && offset < f->banked + ISACTIVER;
}

static int move_register(const struct frame *f, uint64_t offset, uint32_t *value, bool write)
{
	if (is_pending(f, offset)) {
		return move_pending(f, offset, value, write);
	}
	if (write && f->group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS && offset == IIDR) {
		return 0; /* read-only, but not for those who restore it */
	}
	return move_word(f, offset, value, write);
}

/* Less than a word: only priorities may be written so (GICv3 specification, IHI 0069H 12.1.3). */
static int move_part(const struct frame *f, unsigned size, uint64_t *value, bool write)
{
	uint64_t offset = f->offset & ~UINT64_C(3);
	unsigned shift = f->offset % 4 * 8, at = (unsigned)(offset - f->banked);
	uint32_t mask = ((1u << size * 8) - 1) << shift, word = 0;
	if (write && (at < IPRIORITYR || at >= ICFGR)) {
		return 0;
	}
	int rc = move_register(f, offset, &word, false);
	if (rc == 0 && write) {
		word = (word & ~mask) | ((uint32_t)*value << shift & mask);
		return move_register(f, offset, &word, true);
	}
	*value = (word & mask) >> shift;
	return rc;
}

static int move_words(const struct frame *f, unsigned size, uint64_t *value, bool write)
{
	int rc = 0;
	for (unsigned done = 0; rc == 0 && done < size; done += 4) {
		uint32_t word = (uint32_t)(*value >> done * 8);
		rc = move_register(f, f->offset + done, &word, write);
		*value = (*value & ~((uint64_t)UINT32_MAX << done * 8)) | (uint64_t)word
										  << done * 8;
	}
	return rc;
}

/* False: no frame of the controller is there. */
static bool find_frame(const struct kvm_engine *engine, uint64_t gpa, struct frame *f)
{
	const struct kvm_gic *gic = &engine->gic;
	uint64_t in_dist = gpa - gic->config.dist, in_redists = gpa - gic->config.redist;
	*f = (struct frame){.gic = gic, .group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS, .offset = in_dist};
	if (gic->fd < 0 || in_dist < DIST_LEN) {
		return gic->fd >= 0;
	}
	f->group = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;
	f->offset = in_redists % REDIST_LEN;
	f->banked = SGI_FRAME;
	f->attr = kvm_gic_affinity((unsigned)(in_redists / REDIST_LEN)) << 32;
	return in_redists / REDIST_LEN < engine->vcpu_count;
}

bool kvm_gic_move(struct kvm_engine *engine, uint64_t gpa, unsigned size, uint64_t *value,
		  bool write)
{
	struct frame f;
	if (!find_frame(engine, gpa, &f)) {
		return false;
	}
	kvm_gate_close(engine);
	*value = write ? *value : 0;
	int rc = size < 4 ? move_part(&f, size, value, write) : move_words(&f, size, value, write);
	kvm_gate_open(engine);
	if (rc < 0) {
		log_limited(LOG_WARN,
			    "KVM: the GIC's register at %#" PRIx64
			    " can not be accessed by hand: %s",
			    gpa, strerror(-rc));
	}
	return rc == 0;
}
