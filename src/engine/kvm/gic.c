/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gic.c - KVM's GICv3, as devices see an interrupt controller
 *
 * How it works: a message is a write to an eventfd which the kernel turns into a pulse of the
 * shared interrupt (GSI n is shared interrupt n, the kernel's default routing); it is made when the
 * interrupt is first used.  Devices outside of this process bring eventfds of their own.  Lines:
 * gic_lines.c.  Threads: messages from any thread.
 */
#include "base/log.h"
#include "base/own.h"
#include "engine/kvm/kvm.h"

#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { GICD_CTLR = 0, BLOCK_LINES = 32, REDIST_SGI = 0x10000 };

static int set_attr(const struct kvm_gic *gic, uint32_t group, uint64_t attr, const void *value)
{
	const struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)value};
	return ioctl(gic->fd, KVM_SET_DEVICE_ATTR, &a) < 0 ? -errno : 0;
}

/* ----- what devices do ----- */

/* The shared interrupt of a message, as a GSI; -1: it is none. */
static int gsi_of(const struct kvm_gic *gic, uint64_t address, uint32_t data)
{
	const struct engine_gic_config *config = &gic->config;
	bool good = address == config->msi_address && data >= config->msi_first &&
		    data - config->msi_first < config->msi_count;
	return good ? (int)(data - KVM_FIRST_INTID) : -1;
}

static int gic_bind_msi(struct irq_chip *chip, int fd, uint64_t address, uint32_t data)
{
	struct kvm_gic *gic = (struct kvm_gic *)chip;
	int gsi = gsi_of(gic, address, data);
	const struct kvm_irqfd bind = {.fd = (uint32_t)fd, .gsi = (uint32_t)gsi};
	return gsi < 0 ? -EINVAL : kvm_gic_irqfd(gic, &bind);
}

static void gic_unbind_msi(struct irq_chip *chip, int fd, uint32_t data)
{
	const struct kvm_irqfd unbind = {.fd = (uint32_t)fd,
					 .gsi = data - KVM_FIRST_INTID,
					 .flags = KVM_IRQFD_FLAG_DEASSIGN};
	(void)!kvm_gic_irqfd((struct kvm_gic *)chip, &unbind); /* it was bound */
}

/* The eventfd of message @n; -1 if there can be none. */
static int bind_message(struct kvm_gic *gic, unsigned n)
{
	LOCKED(&gic->lock);
	if (atomic_load(&gic->msi[n])) {
		return atomic_load(&gic->msi[n]) - 1;
	}
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const struct kvm_irqfd bind = {.fd = (uint32_t)fd,
				       .gsi = gic->config.msi_first - KVM_FIRST_INTID + n};
	if (fd < 0 || kvm_gic_irqfd(gic, &bind) < 0) {
		log_limited(LOG_WARN, "KVM: message interrupt %u: %s", n, strerror(errno));
		own_close(&fd);
		return -1;
	}
	atomic_store(&gic->msi[n], fd + 1);
	return fd;
}

static void gic_send_msi(struct irq_chip *chip, uint64_t address, uint32_t data,
			 uint16_t requester_id)
{
	struct kvm_gic *gic = (struct kvm_gic *)chip;
	if (gsi_of(gic, address, data) < 0) {
		atomic_fetch_add(&gic->msis_dropped, 1);
		return;
	}
	unsigned n = data - gic->config.msi_first;
	int fd = atomic_load(&gic->msi[n]) - 1;
	fd = fd < 0 ? bind_message(gic, n) : fd;
	if (fd >= 0) {
		(void)!write(fd, &(uint64_t){1}, sizeof(uint64_t));
	}
}

/* ----- life ----- */

static int place_frames(struct kvm_gic *gic, unsigned vcpus, struct error *err)
{
	/* count | base | index, Linux Documentation/virt/kvm/devices/arm-vgic-v3.rst */
	uint64_t region = (uint64_t)vcpus << 52 | gic->config.redist;
	uint32_t lines = KVM_FIRST_INTID + gic->config.spis;
	int rc = set_attr(gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &lines);
	if (rc == 0) {
		rc = set_attr(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST,
			      &gic->config.dist);
	}
	if (rc == 0) {
		rc = set_attr(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
			      &region);
	}
	if (rc == -ENXIO || rc == -ENODEV) {
		return error_set(err, rc,
				 "KVM of this kernel lacks regions of redistributors (Linux 4.18)");
	}
	return rc < 0 ? error_set(err, rc, "KVM: can not place the GICv3: %s", strerror(-rc)) : 0;
}

struct irq_chip *kvm_gic_create(struct engine *base, const struct engine_gic_config *config,
				struct error *err)
{
	static const struct irq_chip_ops ops = {
		.set_line = kvm_gic_set_line,
		.send_msi = gic_send_msi,
		.watch_end = kvm_gic_watch_end,
		.bind_msi = gic_bind_msi,
		.unbind_msi = gic_unbind_msi,
		.bind_line = kvm_gic_bind_line,
		.unbind_line = kvm_gic_unbind_line,
	};
	struct kvm_engine *engine = kvm_engine(base);
	struct kvm_gic *gic = &engine->gic;
	struct kvm_create_device create = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	gic->chip.ops = &ops;
	gic->config = *config;
	if (config->msi_count > KVM_MOST_MSIS || config->spis > 64 * 16) {
		error_set(err, -EINVAL, "KVM: too many interrupts");
		return NULL;
	}
	if (ioctl(engine->vm, KVM_CREATE_DEVICE, &create) < 0) {
		error_errno(err, "KVM has no GICv3 on this host, which the board needs");
		return NULL;
	}
	gic->fd = (int)create.fd;
	return place_frames(gic, engine->config.vcpus, err) < 0 ? NULL : &gic->chip;
}

int kvm_gic_start(struct kvm_engine *engine, struct error *err)
{
	int rc =
		set_attr(&engine->gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	return rc < 0 ? error_set(err, rc, "KVM: can not start the GICv3: %s", strerror(-rc)) : 0;
}

void kvm_gic_destroy(struct kvm_gic *gic)
{
	kvm_gic_unwatch(gic);
	for (unsigned n = 0; n < KVM_MOST_MSIS; n++) {
		int fd = atomic_load(&gic->msi[n]) - 1;
		own_close(&fd);
	}
	own_close(&gic->fd);
	pthread_mutex_destroy(&gic->lock);
}

/* ----- reset ----- */

static void put(const struct kvm_gic *gic, uint32_t group, uint64_t attr, uint32_t value)
{
	(void)set_attr(gic, group, attr, &value);
}

/* The 32 interrupts of one block: off, not pending, not active, priority 0, level. */
static void reset_block(const struct kvm_gic *gic, uint32_t group, uint64_t frame, unsigned block)
{
	put(gic, group, frame + 0x180 + block * 4, UINT32_MAX); /* ICENABLER */
	put(gic, group, frame + 0x200 + block * 4, 0); /* ISPENDR: sets all bits as written */
	put(gic, group, frame + 0x380 + block * 4, UINT32_MAX); /* ICACTIVER */
	put(gic, group, frame + 0x080 + block * 4, 0);		/* IGROUPR */
	for (unsigned n = 0; n < 8; n++) {
		put(gic, group, frame + 0x400 + block * 32 + n * 4, 0); /* IPRIORITYR */
	}
	for (unsigned n = block ? 0 : 1; n < 2; n++) {
		put(gic, group, frame + 0xc00 + block * 8 + n * 4, 0); /* ICFGR */
	}
}

static void reset_cpu(const struct kvm_gic *gic, uint64_t mpidr)
{
	static const uint32_t regs[] = {
		ENGINE_SYSREG(3, 0, 4, 6, 0),	/* ICC_PMR_EL1 */
		ENGINE_SYSREG(3, 0, 12, 8, 3),	/* ICC_BPR0_EL1 */
		ENGINE_SYSREG(3, 0, 12, 8, 4),	/* ICC_AP0R0_EL1 */
		ENGINE_SYSREG(3, 0, 12, 9, 0),	/* ICC_AP1R0_EL1 */
		ENGINE_SYSREG(3, 0, 12, 12, 3), /* ICC_BPR1_EL1 */
		ENGINE_SYSREG(3, 0, 12, 12, 6), /* ICC_IGRPEN0_EL1 */
		ENGINE_SYSREG(3, 0, 12, 12, 7), /* ICC_IGRPEN1_EL1 */
	};
	const uint64_t zero = 0;
	for (size_t n = 0; n < sizeof(regs) / sizeof(regs[0]); n++) {
		(void)set_attr(gic, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, mpidr << 32 | regs[n], &zero);
	}
	reset_block(gic, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, mpidr << 32 | REDIST_SGI, 0);
}

void kvm_gic_reset(struct engine *base)
{
	struct kvm_engine *engine = kvm_engine(base);
	const struct kvm_gic *gic = &engine->gic;
	put(gic, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_CTLR, 0);
	for (unsigned block = 1; block <= gic->config.spis / BLOCK_LINES; block++) {
		reset_block(gic, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, block);
	}
	for (unsigned n = 0; n < engine->vcpu_count; n++) {
		reset_cpu(gic, kvm_gic_affinity(n));
	}
}
