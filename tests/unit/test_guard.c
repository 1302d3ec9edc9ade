/* SPDX-License-Identifier: Apache-2.0 */
/* test_guard.c - memory whose pages are taken away, and signals that are none of that */
#include "base/guard.h"
#include "base/os.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEN = 0x10000, THREADS = 4, ROUNDS = 200 };

struct range {
	struct guard guard;
	uint8_t *at;
	int fd;
	atomic_uint losses;
	const uint8_t *last;
	bool stubborn;
};

static bool range_lost(struct guard *guard, const uint8_t *at)
{
	struct range *range = (struct range *)guard;
	atomic_fetch_add(&range->losses, 1);
	range->last = at;
	errno = ENOENT; /* must not be seen */
	return !range->stubborn && guard_renew(range->at, LEN) == 0;
}

static void range_open(struct range *range)
{
	*range = (struct range){.fd = os_memory("range")};
	assert_int_equal(ftruncate(range->fd, LEN), 0);
	range->at = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, range->fd, 0);
	assert_ptr_not_equal(range->at, MAP_FAILED);
	memset(range->at, 0x55, LEN);
	range->guard = (struct guard){.start = range->at, .len = LEN, .lost = range_lost};
	guard_add(&range->guard);
}

static void range_cut(struct range *range)
{
	assert_int_equal(ftruncate(range->fd, 0), 0);
}

static void range_close(struct range *range)
{
	guard_remove(&range->guard);
	munmap(range->at, LEN);
	close(range->fd);
}

static uint8_t touch(const uint8_t *at)
{
	return *(const volatile uint8_t *)at;
}

static void a_cut_range_goes_on_with_other_pages(void **state)
{
	struct range other, range;
	static uint8_t copy[LEN];
	range_open(&other);
	range_open(&range);
	range_cut(&range);
	errno = EIO;
	assert_int_equal(touch(range.at + 0x8123), 0);
	assert_int_equal(errno, EIO);
	assert_int_equal(range.losses, 1);
	assert_ptr_equal(range.last, range.at + 0x8123);
	memset(range.at, 1, LEN);
	memcpy(copy, range.at, LEN);
	assert_int_equal(copy[LEN - 1], 1);
	assert_int_equal(range.losses, 1);
	assert_int_equal(touch(other.at + LEN - 1), 0x55);
	assert_int_equal(other.losses, 0);
	range_close(&range);
	range_cut(&other);
	assert_int_equal(touch(other.at), 0);
	assert_int_equal(other.losses, 1);
	range_close(&other);
}

static void system_calls_fail_and_raise_nothing(void **state)
{
	struct range range;
	int ends[2];
	range_open(&range);
	range_cut(&range);
	assert_int_equal(os_pipe(ends), 0);
	assert_int_equal(write(ends[1], range.at, 16), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(range.losses, 0);
	close(ends[0]);
	close(ends[1]);
	range_close(&range);
}

struct crowd {
	struct range range;
	pthread_barrier_t start;
};

static void *touch_all(void *opaque)
{
	struct crowd *crowd = opaque;
	unsigned wrong = 0;
	pthread_barrier_wait(&crowd->start);
	for (unsigned n = 0; n < LEN; n += 64) {
		wrong += touch(crowd->range.at + n) != 0;
	}
	return (void *)(uintptr_t)wrong;
}

static void several_threads_meet_one_loss(void **state)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct crowd crowd;
		pthread_t threads[THREADS];
		range_open(&crowd.range);
		range_cut(&crowd.range);
		pthread_barrier_init(&crowd.start, NULL, THREADS);
		for (unsigned n = 0; n < THREADS; n++) {
			assert_int_equal(pthread_create(&threads[n], NULL, touch_all, &crowd), 0);
		}
		for (unsigned n = 0; n < THREADS; n++) {
			void *wrong;
			pthread_join(threads[n], &wrong);
			assert_null(wrong);
		}
		pthread_barrier_destroy(&crowd.start);
		assert_in_range(crowd.range.losses, 1, THREADS);
		range_close(&crowd.range);
	}
}

/* The signal that ends a process which does this; 0: none did. */
static int ends_with(void (*act)(struct range *range), bool stubborn)
{
	struct range range;
	range_open(&range);
	range.stubborn = stubborn;
	range_cut(&range);
	pid_t child = fork();
	if (child == 0) {
		act(&range);
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	range_close(&range);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void touch_guarded(struct range *range)
{
	touch(range->at);
}

static void touch_another(struct range *range)
{
	int fd = os_memory("unguarded");
	if (ftruncate(fd, LEN) == 0) {
		const uint8_t *at = mmap(NULL, LEN, PROT_READ, MAP_SHARED, fd, 0);
		touch(ftruncate(fd, 0) == 0 ? at : NULL);
	}
}

static void touch_removed(struct range *range)
{
	guard_remove(&range->guard);
	touch(range->at);
}

static void send_one(struct range *range)
{
	kill(getpid(), SIGBUS);
}

static void all_else_ends_the_process_as_ever(void **state)
{
	assert_int_equal(ends_with(touch_guarded, false), 0);
	assert_int_equal(ends_with(touch_guarded, true), SIGBUS);
	assert_int_equal(ends_with(touch_another, false), SIGBUS);
	assert_int_equal(ends_with(touch_removed, false), SIGBUS);
	assert_int_equal(ends_with(send_one, false), SIGBUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cut_range_goes_on_with_other_pages),
		cmocka_unit_test(system_calls_fail_and_raise_nothing),
		cmocka_unit_test(several_threads_meet_one_loss),
		cmocka_unit_test(all_else_ends_the_process_as_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
