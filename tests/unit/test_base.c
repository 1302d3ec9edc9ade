/* SPDX-License-Identifier: Apache-2.0 */
/* test_base.c - errors, spans, arenas, the event loop, descriptor passing */
#include "base/arena.h"
#include "base/error.h"
#include "base/loop.h"
#include "base/own.h"
#include "base/sock.h"
#include "base/span.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

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
	seen.reader = loop_add_fd(seen.loop, pipe_fds[0], EPOLLIN, on_readable, &seen);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_context_goes_in_front),
		cmocka_unit_test(span_rejects_what_leaves_its_parent),
		cmocka_unit_test(arena_stops_at_its_ceiling),
		cmocka_unit_test(loop_runs_fds_jobs_and_timers),
		cmocka_unit_test(sock_passes_descriptors_and_refuses_cut_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
