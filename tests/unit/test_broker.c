/* SPDX-License-Identifier: Apache-2.0 */
/* test_broker.c - helpers are started bare, reported, and leave nothing behind; argv[1] is
 * broker_helper */
#include "unit.h"

#include "base/log.h"
#include "vmm/broker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *helper_path;

struct bench {
	struct loop *loop;
	struct broker *broker;
	const struct gpu_spawner *spawner;
};

static void bench_open(struct bench *b, const char *program)
{
	struct error err = {0};
	struct broker_config config = {.gpu_server = program};
	b->loop = loop_create(&err);
	b->broker = broker_start(&config, &err);
	assert_non_null(b->broker);
	assert_int_equal(broker_watch(b->broker, b->loop, &err), 0);
	b->spawner = broker_gpu_spawner(b->broker);
}

static void bench_close(struct bench *b)
{
	broker_stop(b->broker);
	loop_destroy(b->loop);
}

/* Starts a helper; returns our end of its socket. */
static int start(struct bench *b, uint32_t token)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(b->spawner->start(b->spawner->opaque, token, pair[1]), 0);
	close(pair[1]);
	return pair[0];
}

/* Waits up to 5 s for an answer or the end of the stream. */
static ssize_t hear(int socket, void *to, size_t len)
{
	struct pollfd watched = {.fd = socket, .events = POLLIN};
	assert_int_equal(poll(&watched, 1, 5000), 1);
	return read(socket, to, len);
}

static void stop_loop(void *opaque)
{
	loop_stop(opaque);
}

/* Lets the loop hear the broker for a while, until pid(token) is (@known: not) 0. */
static pid_t await_pid(struct bench *b, uint32_t token, bool known)
{
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(loop_post(b->loop, stop_loop, b->loop), 0);
		loop_run(b->loop);
		pid_t pid = b->spawner->pid(b->spawner->opaque, token);
		if ((pid != 0) == known) {
			return pid;
		}
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000000}, NULL);
	}
	fail_msg("helper %u: %s", token, known ? "never started" : "never ended");
	return 0;
}

static bool is_gone(pid_t pid)
{
	for (unsigned i = 0; i < 500; i++) {
		if (kill(pid, 0) < 0 && errno == ESRCH) {
			return true;
		}
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000000}, NULL);
	}
	return false;
}

static void helpers_get_four_descriptors_and_fixed_words(void **state)
{
	struct bench b;
	int stray = open("/dev/null", O_RDONLY); /* inheritable: no close-on-exec */
	bench_open(&b, helper_path);
	int socket = start(&b, 1), second = start(&b, 2);
	uint32_t answer[2];
	assert_int_equal(write(second, "f", 1), 1);
	assert_int_equal(hear(second, answer, sizeof(answer)), sizeof(answer));
	assert_int_equal(answer[0], 0xf);
	assert_int_equal(answer[1], 2);
	pid_t pid = await_pid(&b, 1, true);
	close(socket); /* end of stream ends it */
	assert_true(is_gone(pid));
	await_pid(&b, 1, false);
	close(second);
	close(stray);
	bench_close(&b);
}

static void an_exit_frees_the_token(void **state)
{
	struct bench b;
	bench_open(&b, helper_path);
	int socket = start(&b, 1);
	await_pid(&b, 1, true);
	assert_int_equal(write(socket, "x", 1), 1);
	await_pid(&b, 1, false);
	close(socket);
	socket = start(&b, 1);
	await_pid(&b, 1, true);
	close(socket);
	bench_close(&b);
}

static void what_does_not_end_is_killed(void **state)
{
	struct bench b;
	bench_open(&b, helper_path);
	int socket = start(&b, 1);
	pid_t pid = await_pid(&b, 1, true);
	assert_int_equal(write(socket, "s", 1), 1);
	close(socket);
	b.spawner->end(b.spawner->opaque, 1);
	assert_true(is_gone(pid));
	await_pid(&b, 1, false);
	bench_close(&b);
}

static void a_program_that_is_missing_ends_the_stream(void **state)
{
	struct bench b;
	uint8_t byte;
	bench_open(&b, "/nonexistent/oriel-gpu");
	int socket = start(&b, 1);
	assert_int_equal(hear(socket, &byte, 1), 0);
	close(socket);
	bench_close(&b);
	bench_open(&b, NULL);
	socket = start(&b, 1);
	assert_int_equal(hear(socket, &byte, 1), 0);
	close(socket);
	bench_close(&b);
}

static void stopping_ends_everything(void **state)
{
	struct bench b;
	bench_open(&b, helper_path);
	int one = start(&b, 1), two = start(&b, 2);
	pid_t first = await_pid(&b, 1, true), second = await_pid(&b, 2, true);
	assert_int_equal(write(two, "s", 1), 1);
	bench_close(&b);
	assert_true(is_gone(first) && is_gone(second));
	close(one);
	close(two);
}

/* oriel is killed: nobody calls broker_stop(). */
static void sudden_death_of_oriel_leaves_no_process(void **state)
{
	int report[2];
	assert_int_equal(pipe(report), 0);
	pid_t oriel = fork();
	if (oriel == 0) {
		struct bench b;
		bench_open(&b, helper_path);
		int socket = start(&b, 1);
		(void)!write(socket, "s", 1);
		pid_t pid = await_pid(&b, 1, true);
		(void)!write(report[1], &pid, sizeof(pid));
		raise(SIGKILL);
	}
	pid_t helper;
	assert_int_equal(read(report[0], &helper, sizeof(helper)), sizeof(helper));
	assert_int_equal(waitpid(oriel, NULL, 0), oriel);
	assert_true(is_gone(helper));
	close(report[0]);
	close(report[1]);
}

static void programs_are_found_or_named(void **state)
{
	struct error err = {0};
	char *path = broker_find_program("sh", NULL, &err);
	assert_non_null(path);
	assert_int_equal(path[0], '/');
	free(path);
	assert_null(broker_find_program("no-such-program", NULL, &err));
	assert_non_null(strstr(err.text, "no-such-program"));
	assert_null(broker_find_program("oriel-gpu", "/nonexistent/oriel-gpu", &err));
	assert_non_null(strstr(err.text, "/nonexistent/oriel-gpu"));
}

int main(int argc, char **argv)
{
	assert(argc == 2);
	helper_path = argv[1];
	log_set_level(LOG_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(helpers_get_four_descriptors_and_fixed_words),
		cmocka_unit_test(an_exit_frees_the_token),
		cmocka_unit_test(what_does_not_end_is_killed),
		cmocka_unit_test(a_program_that_is_missing_ends_the_stream),
		cmocka_unit_test(stopping_ends_everything),
		cmocka_unit_test(sudden_death_of_oriel_leaves_no_process),
		cmocka_unit_test(programs_are_found_or_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
