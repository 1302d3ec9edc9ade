/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.c - system calls, signals, processes, pipes
 *
 * Threads: the main thread; some lines fork.
 */
#include "bench.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static uint64_t run_getppid(unsigned work)
{
	uint64_t same = 0;
	long first = syscall(SYS_getppid);
	for (unsigned i = 0; i < work; i++) {
		same += syscall(SYS_getppid) == first;
	}
	return same;
}

static uint64_t run_read_write(unsigned work)
{
	int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
	NEED(zero >= 0 && null >= 0);
	char block[512];
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		result += (uint64_t)read(zero, block, sizeof(block));
		result += (uint64_t)write(null, block, sizeof(block)) +
			  (unsigned char)block[i % sizeof(block)];
	}
	close(zero);
	close(null);
	return result;
}

static uint64_t run_files(unsigned work)
{
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		char name[64];
		snprintf(name, sizeof(name), "/tmp/bench-file-%u", i & 31);
		int fd = open(name, O_CREAT | O_RDWR | O_TRUNC, 0600);
		NEED(fd >= 0 && pwrite(fd, name, sizeof(name), i % 5000) == sizeof(name));
		struct stat st;
		NEED(fstat(fd, &st) == 0);
		result += (uint64_t)st.st_size;
		close(fd);
		NEED(stat(name, &st) == 0 && unlink(name) == 0);
	}
	return result;
}

static volatile unsigned caught;

static void on_signal(int number)
{
	caught++;
}

static uint64_t run_signals(unsigned work)
{
	NEED(signal(SIGUSR1, on_signal) != SIG_ERR);
	caught = 0;
	for (unsigned i = 0; i < work; i++) {
		raise(SIGUSR1);
	}
	return caught;
}

/* A handler that steps over the load which faulted, by the saved registers. */
static void on_fault(int number, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
#ifdef __aarch64__
	uc->uc_mcontext.pc += 4;
#else
	uc->uc_mcontext.gregs[16] += 2; /* REG_RIP; movb (%rax), %al is two bytes */
#endif
	caught++;
}

static uint64_t run_faults(unsigned work)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	NEED(sigaction(SIGSEGV, &action, NULL) == 0);
	caught = 0;
	for (unsigned i = 0; i < work; i++) {
#ifdef __aarch64__
		__asm__ volatile("ldrb w0, [%0]" : : "r"(8ul) : "w0", "memory");
#else
		__asm__ volatile("movb (%%rax), %%al" : : "a"(8ul) : "memory");
#endif
	}
	signal(SIGSEGV, SIG_DFL);
	return caught;
}

static void wait_for(pid_t child, uint64_t *result)
{
	int status = 0;
	NEED(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
	*result += (uint64_t)WEXITSTATUS(status);
}

static uint64_t run_fork(unsigned work)
{
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		pid_t child = fork();
		if (child == 0) {
			_exit((int)(i & 63));
		}
		wait_for(child, &result);
	}
	return result;
}

static uint64_t run_exec(unsigned work)
{
	posix_spawn_file_actions_t quiet;
	NEED(posix_spawn_file_actions_init(&quiet) == 0);
	NEED(posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) ==
	     0);
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		char *arguments[] = {"zstd", "-q", "-V", NULL};
		pid_t child = 0;
		NEED(posix_spawn(&child, "/usr/bin/zstd", &quiet, NULL, arguments, NULL) == 0);
		wait_for(child, &result);
	}
	NEED(result == 0);
	return work;
}

static uint64_t run_shell_commands(unsigned work)
{
	char command[200];
	snprintf(command, sizeof(command),
		 "i=0; while [ $i -lt %u ]; do i=$((i+1)); /usr/bin/busybox true | "
		 "/usr/bin/busybox cat; done; exit 7",
		 work);
	pid_t child = fork();
	if (child == 0) {
		execl("/usr/bin/dash", "dash", "-c", command, (char *)NULL);
		_exit(127);
	}
	uint64_t result = 0;
	wait_for(child, &result);
	NEED(result == 7);
	return work;
}

/* Two processes on one CPU that answer each other through pipes. */
static uint64_t run_switch(unsigned work)
{
	int there[2], back[2];
	NEED(pipe(there) == 0 && pipe(back) == 0);
	pid_t child = fork();
	uint64_t value = 0, result = 0;
	if (child == 0) {
		for (unsigned i = 0; i < work; i++) {
			NEED(read(there[0], &value, sizeof(value)) == sizeof(value));
			value = mix(value, i);
			NEED(write(back[1], &value, sizeof(value)) == sizeof(value));
		}
		_exit(0);
	}
	for (unsigned i = 0; i < work; i++) {
		NEED(write(there[1], &value, sizeof(value)) == sizeof(value));
		NEED(read(back[0], &value, sizeof(value)) == sizeof(value));
	}
	wait_for(child, &result);
	return value + result;
}

static uint64_t stream_through(int from, int to, unsigned blocks, size_t block)
{
	pid_t child = fork();
	uint64_t result = 0;
	unsigned char *data = random_bytes(block);
	if (child == 0) {
		for (unsigned i = 0; i < blocks; i++) {
			data[i % block]++;
			for (size_t done = 0; done < block;) {
				ssize_t n = write(to, data + done, block - done);
				NEED(n > 0);
				done += (size_t)n;
			}
		}
		_exit(0);
	}
	for (size_t left = blocks * block; left > 0;) {
		ssize_t n = read(from, data, left < block ? left : block);
		NEED(n > 0);
		left -= (size_t)n;
	}
	result = data[0];
	free(data);
	wait_for(child, &result);
	return result + blocks;
}

static uint64_t run_pipe(unsigned work)
{
	int ends[2];
	NEED(pipe(ends) == 0);
	return stream_through(ends[0], ends[1], work, 65536);
}

static uint64_t run_socket(unsigned work)
{
	int ends[2];
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	return stream_through(ends[0], ends[1], work, 1024);
}

static uint64_t run_epoll(unsigned work)
{
	int epoll = epoll_create1(0);
	int fds[16];
	for (unsigned i = 0; i < 16; i++) {
		fds[i] = eventfd(0, EFD_NONBLOCK);
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
		NEED(fds[i] >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) == 0);
	}
	uint64_t result = 0;
	for (unsigned i = 0; i < work; i++) {
		uint64_t one = i + 1;
		NEED(write(fds[i * 7 & 15], &one, 8) == 8);
		struct epoll_event events[16];
		NEED(epoll_wait(epoll, events, 16, -1) == 1 &&
		     read(fds[events[0].data.u32], &one, 8) == 8);
		result = mix(result, one + events[0].data.u32);
	}
	return result;
}

static uint64_t run_yield(unsigned work)
{
	uint64_t result = 0;
	pid_t child = fork();
	for (unsigned i = 0; i < work; i++) {
		sched_yield();
	}
	if (child == 0) {
		_exit(3);
	}
	wait_for(child, &result);
	return result;
}

static const struct line lines[] = {
	{"syscalls", run_getppid, 300000},
	{"read-write", run_read_write, 120000},
	{"files", run_files, 4000},
	{"signals", run_signals, 30000},
	{"fault-signals", run_faults, 30000},
	{"fork", run_fork, 300},
	{"exec", run_exec, 60},
	{"shell-commands", run_shell_commands, 60},
	{"context-switch", run_switch, 5000},
	{"yield", run_yield, 10000},
	{"pipe", run_pipe, 2500},
	{"socket", run_socket, 20000},
	{"epoll", run_epoll, 40000},
};

const struct group kernel_group = GROUP("kernel", lines);
