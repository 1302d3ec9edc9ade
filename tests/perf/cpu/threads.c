/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads.c - atomics, mutexes and parallel work on two CPUs; and short sleeps
 *
 * Threads: the main thread and one more.
 */
#include "bench.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct shared {
	_Alignas(64) atomic_ulong counter;
	_Alignas(64) pthread_mutex_t mutex;
	pthread_cond_t cond;
	_Alignas(64) atomic_uint turn;
	unsigned work, workers;
	uint64_t guarded;
	void (*body)(struct shared *shared, unsigned number);
};

struct worker {
	struct shared *shared;
	unsigned number;
};

static void pin(unsigned cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set); /* on one CPU the scheduler decides */
}

static void *start_worker(void *argument)
{
	struct worker *worker = argument;
	pin(worker->number);
	worker->shared->body(worker->shared, worker->number);
	return NULL;
}

/* Runs @body as two threads on CPUs 0 and 1. */
static uint64_t pair(void (*body)(struct shared *, unsigned), unsigned work)
{
	struct shared shared = {.work = work,
				.body = body,
				.mutex = PTHREAD_MUTEX_INITIALIZER,
				.cond = PTHREAD_COND_INITIALIZER};
	struct worker workers[2] = {{&shared, 0}, {&shared, 1}};
	pthread_t other;
	NEED(pthread_create(&other, NULL, start_worker, &workers[1]) == 0);
	start_worker(&workers[0]);
	NEED(pthread_join(other, NULL) == 0);
	return shared.guarded + shared.counter;
}

static void body_atomic(struct shared *s, unsigned number)
{
	for (unsigned i = 0; i < s->work; i++) {
		atomic_fetch_add(&s->counter, i & 3);
	}
}

static void body_cas(struct shared *s, unsigned number)
{
	for (unsigned i = 0; i < s->work; i++) {
		unsigned long seen = atomic_load_explicit(&s->counter, memory_order_relaxed);
		while (!atomic_compare_exchange_weak(&s->counter, &seen, seen + (i & 7))) {
		}
	}
}

static void body_mutex(struct shared *s, unsigned number)
{
	for (unsigned i = 0; i < s->work; i++) {
		pthread_mutex_lock(&s->mutex);
		s->guarded += i & 1;
		pthread_mutex_unlock(&s->mutex);
	}
}

/* The turn passes from one CPU to the other by memory alone; with fewer free CPUs on the host, by
 * chance. */
static void body_handoff(struct shared *s, unsigned number)
{
	for (unsigned i = 0; i < s->work; i++) {
		unsigned spins = 0;
		while (atomic_load_explicit(&s->turn, memory_order_acquire) % 2 != number) {
			if (++spins > 10000) {
				sched_yield(); /* the other may wait for a CPU of the host */
			}
		}
		s->guarded++;
		atomic_fetch_add_explicit(&s->turn, 1, memory_order_release);
	}
}

/* The turn passes by futex: an interrupt to the other CPU each time. */
static void body_cond(struct shared *s, unsigned number)
{
	for (unsigned i = 0; i < s->work; i++) {
		pthread_mutex_lock(&s->mutex);
		while (s->guarded % 2 != number) {
			pthread_cond_wait(&s->cond, &s->mutex);
		}
		s->guarded++;
		pthread_cond_signal(&s->cond);
		pthread_mutex_unlock(&s->mutex);
	}
}

/* The atomics that a program with one thread uses. */
static uint64_t run_uncontended(unsigned work)
{
	atomic_ulong a = 0, b = 1;
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	unsigned long result = 0;
	for (unsigned i = 0; i < work; i++) {
		atomic_fetch_add(&a, i);
		atomic_fetch_or(&b, i & 0xff);
		result += atomic_exchange(&a, result & 0xffff);
		pthread_mutex_lock(&mutex);
		result++;
		pthread_mutex_unlock(&mutex);
		atomic_store_explicit(&b, result & 0xff, memory_order_release);
		result += atomic_load_explicit(&b, memory_order_acquire);
	}
	return result;
}

static uint64_t run_atomic(unsigned work)
{
	return pair(body_atomic, work);
}
static uint64_t run_cas(unsigned work)
{
	return pair(body_cas, work);
}
static uint64_t run_mutex(unsigned work)
{
	return pair(body_mutex, work);
}
static uint64_t run_handoff(unsigned work)
{
	return pair(body_handoff, work);
}
static uint64_t run_cond(unsigned work)
{
	return pair(body_cond, work);
}

/* Work that shares nothing: the same amount by one thread and by two. */
static uint64_t parallel_part(unsigned from, unsigned to)
{
	uint64_t result = 0;
	for (unsigned i = from; i < to; i++) {
		uint64_t state = i + 1;
		for (unsigned j = 0; j < 1000; j++) {
			result += next_random(&state) % 1021;
		}
	}
	return result;
}

static void body_parallel(struct shared *s, unsigned number)
{
	uint64_t sum = parallel_part(number * s->work / 2, (number + 1) * s->work / 2);
	atomic_fetch_add(&s->counter, sum);
}

static uint64_t run_parallel_1(unsigned work)
{
	return parallel_part(0, work);
}
static uint64_t run_parallel_2(unsigned work)
{
	return pair(body_parallel, work);
}

static const struct line thread_lines[] = {
	{"atomics", run_uncontended, 3000000},
	{"atomic-add-2", run_atomic, 12000000, true},
	{"cas-2", run_cas, 6000000, true},
	{"mutex-2", run_mutex, 800000, true},
	{"cond-2", run_cond, 3000, true},
	{"parallel-1", run_parallel_1, 160000},
	{"parallel-2", run_parallel_2, 160000, true},
};

static int by_value(const void *a, const void *b)
{
	double one = *(const double *)a, two = *(const double *)b;
	return (one > two) - (one < two);
}

/* Many sleeps of 50 us, each with what the timer, the interrupt and the wake-up add to it: lines of
 * their own say how much that is in the middle, and for the slowest of 100, of 1000 and of all. */
static uint64_t run_sleeps(unsigned work)
{
	static const struct {
		const char *name;
		unsigned above; /* one of so many takes longer */
	} shares[] = {
		{"wake-p50", 2}, {"wake-p99", 100}, {"wake-p99.9", 1000}, {"wake-max", UINT_MAX}};
	double *late = calloc(work, sizeof(*late));
	NEED(late && prctl(PR_SET_TIMERSLACK, 1) == 0);
	for (unsigned i = 0; i < work; i++) {
		double start = now_s();
		NEED(clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = 50000},
				     NULL) == 0);
		late[i] = now_s() - start - 50e-6;
	}
	qsort(late, work, sizeof(*late), by_value);
	for (unsigned i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		printf("@line latency %s %.7f %x\n", shares[i].name,
		       late[work - 1 - work / shares[i].above], work);
	}
	free(late);
	return work;
}

static const struct line latency_lines[] = {
	{"sleep-50us", run_sleeps, 4000},
	{"handoff-2", run_handoff, 300000, true},
};

const struct group thread_group = GROUP("threads", thread_lines);
const struct group latency_group = GROUP("latency", latency_lines);
