/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.c - see guard.h
 *
 * Signals are the process's, so the list of what is guarded is, too.
 */
#include "base/guard.h"

#include "base/own.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

static struct {
	pthread_mutex_t lock; /* no guarded memory is touched under it */
	struct guard *first;
} guards = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct guard *find(const uint8_t *at)
{
	LOCKED(&guards.lock);
	struct guard *guard = guards.first;
	while (guard && (uintptr_t)at - (uintptr_t)guard->start >= guard->len) {
		guard = guard->next;
	}
	return guard;
}

static bool is_sent(const siginfo_t *info)
{
	return info->si_code <= 0 || info->si_code == SI_USER;
}

void guard_refuse(int number, const siginfo_t *info)
{
	signal(number, SIG_DFL);
	if (is_sent(info)) {
		raise(number);
	}
}

/* Broken memory that nobody has touched yet: told to any thread, whatever it does just now. */
static bool is_early(const siginfo_t *info)
{
#ifdef BUS_MCEERR_AO
	return info->si_code == BUS_MCEERR_AO;
#else
	return false;
#endif
}

static void on_loss(int number, siginfo_t *info, void *context)
{
	const int kept = errno;
	if (is_early(info)) {
		return; /* who touches it will hear of it */
	}
	struct guard *guard = is_sent(info) ? NULL : find(info->si_addr);
	if (!guard || !guard->lost(guard, info->si_addr)) {
		guard_refuse(number, info);
	}
	errno = kept;
}

void guard_add(struct guard *guard)
{
	const struct sigaction action = {.sa_sigaction = on_loss, .sa_flags = SA_SIGINFO};
	LOCKED(&guards.lock);
	guard->next = guards.first;
	guards.first = guard;
	sigaction(SIGBUS, &action, NULL);
}

void guard_remove(struct guard *guard)
{
	LOCKED(&guards.lock);
	struct guard **at = &guards.first;
	while (*at && *at != guard) {
		at = &(*at)->next;
	}
	if (*at) {
		*at = guard->next;
	}
}

int guard_renew(const uint8_t *at, size_t len)
{
	void *renewed = mmap((void *)at, len, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	return renewed == MAP_FAILED ? -errno : 0;
}
