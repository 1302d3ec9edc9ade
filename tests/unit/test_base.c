/* SPDX-License-Identifier: Apache-2.0 */
/* test_base.c - errors, spans, arenas, the event loop, descriptor passing, the platform layer */
#include "base/arena.h"
#include "base/error.h"
#include "base/loop.h"
#include "base/os.h"
#include "base/own.h"
#include "base/sock.h"
#include "base/span.h"
#include "base/wait.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static void error_context_goes_in_front(void **state)
{
	struct error err = {0};
	errno = ENOENT;
	assert_int_equal(error_errno(&err, "open %s", "x"), -ENOENT);
	error_context(&err, "disk %d", 1);
	assert_string_equal(err.text, "disk 1: open x: No such file or directory");
	assert_int_equal(error_set(NULL, -EINVAL, "nobody listens"), -EINVAL);
}

static void span_rejects_what_leaves_its_parent(void **state)
{
	struct span parent = {100, 50}, out = {0};
	assert_true(span_make(&out, parent, 50, 0));
	assert_true(span_make(&out, parent, 10, 40));
	assert_int_equal(out.start, 110);
	assert_false(span_make(&out, parent, 10, 41));
	assert_false(span_make(&out, parent, 51, 0));
	assert_false(span_make(&out, parent, 10, UINT64_MAX));
}

static void arena_stops_at_its_ceiling(void **state)
{
	struct arena arena;
	arena_init(&arena, 100000);
	char *big = arena_alloc(&arena, 90000);
	assert_non_null(big);
	assert_int_equal(big[89999], 0);
	big[0] = 1;
	assert_null(arena_alloc(&arena, 10001));
	assert_null(arena_array(&arena, SIZE_MAX / 2, 4));
	arena_reset(&arena);
	char *again = arena_alloc(&arena, 100000);
	assert_non_null(again);
	assert_int_equal(again[0], 0);
	arena_finish(&arena);
}

struct loop_seen {
	struct loop *loop;
	struct loop_source *timer, *reader;
	int jobs, timeouts, reads;
};

static void on_job(void *opaque)
{
	struct loop_seen *seen = opaque;
	seen->jobs++;
	loop_timer_set(seen->timer, loop_now_ns() + 1000000);
}

static void on_timeout(void *opaque)
{
	struct loop_seen *seen = opaque;
	seen->timeouts++;
	loop_stop(seen->loop);
}

static void on_readable(void *opaque, uint32_t events)
{
	struct loop_seen *seen = opaque;
	seen->reads++;
	loop_remove(seen->reader); /* inside its own callback */
	loop_post(seen->loop, on_job, seen);
}

static void loop_runs_fds_jobs_and_timers(void **state)
{
	struct loop_seen seen = {.loop = loop_create(NULL)};
	int pipe_fds[2];
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	seen.timer = loop_add_timer(seen.loop, on_timeout, &seen);
	seen.reader = loop_add_fd(seen.loop, pipe_fds[0], LOOP_IN, on_readable, &seen);
	assert_int_equal(write(pipe_fds[1], "x", 1), 1);
	loop_run(seen.loop);
	assert_int_equal(seen.reads, 1);
	assert_int_equal(seen.jobs, 1);
	assert_int_equal(seen.timeouts, 1);
	loop_destroy(seen.loop);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void sock_passes_descriptors_and_refuses_cut_messages(void **state)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	int sent[2] = {pair[0], pair[1]};
	assert_int_equal(sock_send(pair[0], "hello", 5, sent, 2), 5);
	char buffer[8];
	int fds[4];
	size_t count = 4;
	assert_int_equal(sock_recv(pair[1], buffer, sizeof(buffer), fds, &count), 5);
	assert_int_equal(count, 2);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(sock_send(pair[0], "longer than eight", 17, sent, 1), 17);
	count = 4;
	assert_int_equal(sock_recv(pair[1], buffer, sizeof(buffer), fds, &count), -EMSGSIZE);
	assert_int_equal(count, 0);
	close(pair[0]);
	close(pair[1]);
}

static void bell_is_readable_until_cleared(void **state)
{
	int bell = os_bell();
	struct pollfd watched = {.fd = bell, .events = POLLIN};
	assert_true(bell >= 0 && fcntl(bell, F_GETFD) & FD_CLOEXEC);
	assert_false(os_bell_clear(bell));
	os_bell_ring(bell);
	os_bell_ring(bell);
	assert_int_equal(poll(&watched, 1, 0), 1);
	assert_true(os_bell_clear(bell));
	assert_int_equal(poll(&watched, 1, 0), 0);
	close(bell);
}

static void memory_keeps_its_seals(void **state)
{
	int fd = os_memory("test"), file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_true(os_is_memory(fd));
	assert_false(os_is_memory(file));
	assert_int_equal(os_seals(fd), 0);
	assert_int_equal(os_seals(file), -1);
	assert_false(os_is_sealed(file, OS_SEAL_SHRINK));
	assert_int_equal(os_seal(fd, OS_SEAL_SHRINK | OS_SEAL_WRITE), 0);
	assert_int_equal(os_seals(fd), OS_SEAL_SHRINK | OS_SEAL_WRITE);
	assert_true(os_is_sealed(fd, OS_SEAL_SHRINK | OS_SEAL_WRITE));
	assert_true(os_is_sealed(fd, OS_SEAL_SHRINK));
	assert_false(os_is_sealed(fd, OS_SEAL_SHRINK | OS_SEAL_GROW));
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(os_seal(fd, OS_SEAL_SEALS), 0);
	assert_int_equal(os_seal(fd, OS_SEAL_GROW), -1);
	close(fd);
	close(file);
}

static void files_end_where_they_end(void **state)
{
	int fd = os_memory("test"), pipe[2];
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_true(os_file_has(fd, 0, 4096));
	assert_true(os_file_has(fd, 4095, 1));
	assert_true(os_file_has(fd, 4096, 0));
	assert_false(os_file_has(fd, 0, 4097));
	assert_false(os_file_has(fd, 4096, 1));
	assert_false(os_file_has(fd, UINT64_MAX, 2));
	assert_false(os_file_has(fd, 2, UINT64_MAX - 1));
	assert_int_equal(os_pipe(pipe), 0);
	assert_false(os_file_has(pipe[0], 0, 1));
	assert_false(os_file_has(-1, 0, 0));
	close(pipe[0]);
	close(pipe[1]);
	close(fd);
}

static void signals_come_by_descriptor(void **state)
{
	sigset_t set, old;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, &old);
	int fd = os_signals(&set);
	assert_int_equal(os_take_signal(fd), 0);
	raise(SIGUSR2);
	assert_int_equal(os_take_signal(fd), SIGUSR2);
	assert_int_equal(os_take_signal(fd), 0);
	close(fd);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void sockets_and_pipes_close_on_exec(void **state)
{
	int pair[2], ends[2], plain = os_socket(SOCK_STREAM, true);
	assert_int_equal(os_socketpair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(os_pipe(ends), 0);
	const int fds[] = {plain, pair[0], pair[1], ends[0], ends[1]};
	for (size_t n = 0; n < sizeof(fds) / sizeof(fds[0]); n++) {
		assert_true(fcntl(fds[n], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(!!(fcntl(fds[n], F_GETFL) & O_NONBLOCK), n == 0);
		close(fds[n]);
	}
}

static void zeroed_ranges_read_as_zero(void **state)
{
	char bytes[8192];
	int fd = os_memory("test");
	memset(bytes, 'x', sizeof(bytes));
	const struct iovec iov = {bytes, sizeof(bytes)};
	assert_int_equal(os_pwritev(fd, &iov, 1, 0, true), sizeof(bytes));
	assert_int_equal(os_sync_data(fd), 0);
	assert_int_equal(os_zero(fd, 0, 4096, false), 0);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(bytes[0] | bytes[4095], 0);
	assert_int_equal(bytes[4096], 'x');
	close(fd);
}

static void waits_end_at_their_time(void **state)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
	uint64_t deadline_ns = wait_now_ns() + 5000000;
	pthread_mutex_lock(&mutex);
	while (wait_until(&cond, &mutex, deadline_ns) == 0) {
	}
	pthread_mutex_unlock(&mutex);
	assert_true(wait_now_ns() >= deadline_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_context_goes_in_front),
		cmocka_unit_test(span_rejects_what_leaves_its_parent),
		cmocka_unit_test(arena_stops_at_its_ceiling),
		cmocka_unit_test(loop_runs_fds_jobs_and_timers),
		cmocka_unit_test(sock_passes_descriptors_and_refuses_cut_messages),
		cmocka_unit_test(bell_is_readable_until_cleared),
		cmocka_unit_test(memory_keeps_its_seals),
		cmocka_unit_test(files_end_where_they_end),
		cmocka_unit_test(signals_come_by_descriptor),
		cmocka_unit_test(sockets_and_pipes_close_on_exec),
		cmocka_unit_test(zeroed_ranges_read_as_zero),
		cmocka_unit_test(waits_end_at_their_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
