/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gic_lines.c - wired interrupts of KVM's GICv3, and their ends
 *
 * How it works: a line is one call into the kernel when its level changes.  A watched line has an
 * eventfd of the kernel's "resample" kind.  When the guest ends the interrupt, the kernel lowers
 * the line and signals it; a thread of ours tells the device then, and raises the line again if it
 * is still high for us.  Devices outside of this process raise lines by eventfds of that kind, too.
 * The kernel knows one level for a line, whoever set it: so after we have lowered it for ours,
 * those others are told that it ended, and raise it again if they want. Threads: watching before
 * vCPUs run; the thread calls the devices; lines from any.
 */
#include "base/log.h"
#include "base/own.h"
#include "engine/kvm/kvm.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

int kvm_gic_irqfd(struct kvm_gic *gic, const struct kvm_irqfd *irqfd)
{
	return ioctl(kvm_engine_of(gic)->vm, KVM_IRQFD, irqfd) < 0 ? -errno : 0;
}

static bool is_high_locked(const struct kvm_gic *gic, unsigned line)
{
	return gic->levels[line / 64] >> line % 64 & 1;
}

/* Let the kernel's line be as set_line() wants it. */
static void drive_locked(struct kvm_gic *gic, unsigned line)
{
	bool level = is_high_locked(gic, line);
	const struct kvm_irq_level request = {
		.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (KVM_FIRST_INTID + line),
		.level = level};
	if (ioctl(kvm_engine_of(gic)->vm, KVM_IRQ_LINE, &request) < 0) {
		log_limited(LOG_WARN, "KVM: interrupt line %u: %s", line, strerror(errno));
	}
	for (unsigned n = 0; !level && n < gic->bound_count; n++) {
		if (gic->bound[n].line == line) {
			(void)!write(gic->bound[n].ended, &(uint64_t){1}, sizeof(uint64_t));
		}
	}
}

void kvm_gic_set_line(struct irq_chip *chip, unsigned line, bool level)
{
	struct kvm_gic *gic = (struct kvm_gic *)chip;
	LOCKED(&gic->lock);
	if (is_high_locked(gic, line) != level) {
		gic->levels[line / 64] ^= 1ul << line % 64;
		drive_locked(gic, line);
	}
}

int kvm_gic_bind_line(struct irq_chip *chip, unsigned line, int fd, int ended)
{
	struct kvm_gic *gic = (struct kvm_gic *)chip;
	const struct kvm_irqfd bind = {.fd = (uint32_t)fd,
				       .resamplefd = (uint32_t)ended,
				       .flags = KVM_IRQFD_FLAG_RESAMPLE,
				       .gsi = line};
	LOCKED(&gic->lock);
	if (gic->bound_count == KVM_MOST_BOUND) {
		return -ENOSPC;
	}
	int rc = kvm_gic_irqfd(gic, &bind);
	if (rc == 0) {
		gic->bound[gic->bound_count++] = (struct kvm_bound_line){line, fd, ended};
	}
	return rc;
}

void kvm_gic_unbind_line(struct irq_chip *chip, unsigned line, int fd)
{
	struct kvm_gic *gic = (struct kvm_gic *)chip;
	const struct kvm_irqfd unbind = {
		.fd = (uint32_t)fd, .flags = KVM_IRQFD_FLAG_DEASSIGN, .gsi = line};
	LOCKED(&gic->lock);
	(void)!kvm_gic_irqfd(gic, &unbind); /* it was bound */
	for (unsigned n = 0; n < gic->bound_count; n++) {
		if (gic->bound[n].fd == fd) {
			gic->bound[n] = gic->bound[--gic->bound_count];
			break;
		}
	}
	drive_locked(gic, line);
}

static void end_line(struct kvm_gic *gic, const struct kvm_line_watch *watch)
{
	watch->fn(watch->opaque, watch->line);
	LOCKED(&gic->lock);
	if (is_high_locked(gic, watch->line)) {
		drive_locked(gic, watch->line);
	}
}

static void *listen_for_ends(void *opaque)
{
	struct kvm_gic *gic = opaque;
	struct epoll_event event;
	for (;;) {
		if (epoll_wait(gic->ends_poll, &event, 1, -1) < 1) {
			continue; /* EINTR */
		}
		struct kvm_line_watch *watch = event.data.ptr;
		uint64_t times;
		if (!watch) {
			return NULL;
		}
		if (read(watch->ended, &times, sizeof(times)) == sizeof(times)) {
			end_line(gic, watch);
		}
	}
}

/* Once: the thread, and its bell. */
static int start_listening(struct kvm_gic *gic)
{
	struct epoll_event bell = {.events = EPOLLIN};
	gic->ends_poll = epoll_create1(EPOLL_CLOEXEC);
	gic->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (gic->ends_poll < 0 || gic->stop < 0 ||
	    epoll_ctl(gic->ends_poll, EPOLL_CTL_ADD, gic->stop, &bell) < 0) {
		return -errno;
	}
	/* Kicks and the program's signals are for other threads. */
	sigset_t all, kept;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &kept);
	int rc = -pthread_create(&gic->ends, NULL, listen_for_ends, gic);
	pthread_sigmask(SIG_SETMASK, &kept, NULL);
	gic->has_ends = rc == 0;
	return rc;
}

int kvm_gic_watch_end(struct irq_chip *chip, unsigned line, irq_end_fn fn, void *opaque)
{
	struct kvm_gic *gic = (struct kvm_gic *)chip;
	if (gic->watch_count == KVM_MOST_WATCHES) {
		return -ENOSPC;
	}
	int rc = gic->watch_count ? 0 : start_listening(gic);
	if (rc < 0) {
		return rc;
	}
	struct kvm_line_watch *watch = &gic->watches[gic->watch_count++];
	*watch = (struct kvm_line_watch){.line = line,
					 .raise = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
					 .ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
					 .fn = fn,
					 .opaque = opaque};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
	const struct kvm_irqfd bind = {.fd = (uint32_t)watch->raise,
				       .resamplefd = (uint32_t)watch->ended,
				       .flags = KVM_IRQFD_FLAG_RESAMPLE,
				       .gsi = line};
	if (watch->raise < 0 || watch->ended < 0 ||
	    epoll_ctl(gic->ends_poll, EPOLL_CTL_ADD, watch->ended, &event) < 0) {
		return -errno;
	}
	return kvm_gic_irqfd(gic, &bind);
}

void kvm_gic_unwatch(struct kvm_gic *gic)
{
	if (gic->has_ends) {
		(void)!write(gic->stop, &(uint64_t){1}, sizeof(uint64_t));
		pthread_join(gic->ends, NULL);
	}
	own_close(&gic->stop);
	own_close(&gic->ends_poll);
	for (unsigned n = 0; n < gic->watch_count; n++) {
		own_close(&gic->watches[n].raise);
		own_close(&gic->watches[n].ended);
	}
}
