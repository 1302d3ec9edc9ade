/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_process.c - the broker itself
 *
 * How it works: one poll() over the socket and a signalfd.  A helper that shall end has a moment to
 * do so by itself, since its own socket is closed by then; then it is killed.  Helpers die with the
 * broker (PR_SET_PDEATHSIG). Invariants: nothing of a request but its kind, its token and its one
 * descriptor is ever used. Threads: one.
 */
#include "vmm/broker_process.h"
#include "base/loop.h"
#include "base/own.h"
#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

enum { HELPER_SOCKET = 3, HELPER_GRACE_MS = 1000, LAST_GRACE_MS = 500 };

struct helper {
	uint32_t token; /* 0: free */
	pid_t pid;
	uint64_t kill_ns; /* to be killed then; 0: not */
};

struct process {
	int socket, signals;
	sigset_t inherited;			      /* signal mask that helpers get */
	const char *programs[BROKER_START_PASST + 1]; /* by request kind */
	struct helper helpers[BROKER_MAX_HELPERS];
};

static char *const gpu_server_arguments[] = {"oriel-gpu", "--wire", NULL};
static char *const passt_arguments[] = {"passt", "--foreground", "--quiet", "--fd", "3", NULL};
/* What it would do by itself, but with a complaint on stderr each time. */
static char *const passt_arguments_as_root[] = {"passt", "--foreground", "--quiet", "--fd",
						"3",	 "--runas",	 "nobody",  NULL};

static char *const *helper_arguments(uint32_t kind)
{
	if (kind != BROKER_START_PASST) {
		return gpu_server_arguments;
	}
	return geteuid() == 0 ? passt_arguments_as_root : passt_arguments;
}

/* Room or not: oriel only uses these for messages and statistics. */
static void process_tell(struct process *process, enum broker_kind kind, uint32_t token, pid_t pid,
			 int status)
{
	struct broker_event event = {.kind = kind, .token = token, .pid = pid, .status = status};
	(void)!sock_send(process->socket, &event, sizeof(event), NULL, 0);
}

/* In the child: only what is safe after fork; ends in exec. */
static noreturn void helper_exec(struct process *process, uint32_t kind, int socket)
{
	pid_t broker = getppid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (getppid() != broker || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0) {
		_exit(BROKER_EXIT_NO_EXEC);
	}
	/* dup2() of a number onto itself would keep close-on-exec. */
	if (socket == HELPER_SOCKET ? fcntl(socket, F_SETFD, 0) < 0
				    : dup2(socket, HELPER_SOCKET) < 0) {
		_exit(BROKER_EXIT_NO_EXEC);
	}
	if (close_range(HELPER_SOCKET + 1, ~0u, 0) < 0) {
		_exit(BROKER_EXIT_NO_EXEC);
	}
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &process->inherited, NULL);
	execv(process->programs[kind], helper_arguments(kind));
	_exit(BROKER_EXIT_NO_EXEC);
}

static struct helper *process_find(struct process *process, uint32_t token)
{
	for (unsigned i = 0; i < BROKER_MAX_HELPERS; i++) {
		if (process->helpers[i].token == token) {
			return &process->helpers[i];
		}
	}
	return NULL;
}

static void process_start(struct process *process, const struct broker_request *request, int socket)
{
	struct helper *helper = process_find(process, 0);
	if (!helper || !process->programs[request->kind] || socket < 0 || !request->token ||
	    process_find(process, request->token)) {
		process_tell(process, BROKER_FAILED, request->token, 0, EINVAL);
		return;
	}
	pid_t pid = fork();
	if (pid == 0) {
		helper_exec(process, request->kind, socket);
	}
	if (pid < 0) {
		process_tell(process, BROKER_FAILED, request->token, 0, errno);
		return;
	}
	*helper = (struct helper){.token = request->token, .pid = pid};
	process_tell(process, BROKER_STARTED, helper->token, pid, 0);
}

static void process_end(struct process *process, uint32_t token, unsigned grace_ms)
{
	struct helper *helper = token ? process_find(process, token) : NULL;
	if (helper && !helper->kill_ns) {
		helper->kill_ns = loop_now_ns() + grace_ms * UINT64_C(1000000);
	}
}

/* False at the end of the socket. */
static bool process_take_request(struct process *process)
{
	struct broker_request request;
	int received = -1;
	size_t count = 1;
	ssize_t got = sock_recv(process->socket, &request, sizeof(request), &received, &count);
	AUTO_FD int fd = got > 0 && count ? received : -1;
	if (got != (ssize_t)sizeof(request)) {
		return got == -EAGAIN || got == -EINTR;
	}
	switch (request.kind) {
	case BROKER_START_GPU_SERVER:
	case BROKER_START_PASST: process_start(process, &request, fd); break;
	case BROKER_END: process_end(process, request.token, HELPER_GRACE_MS); break;
	default: break;
	}
	return true;
}

static void process_reap(struct process *process)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (unsigned i = 0; i < BROKER_MAX_HELPERS; i++) {
			struct helper *helper = &process->helpers[i];
			if (helper->token && helper->pid == pid) {
				process_tell(process, BROKER_EXITED, helper->token, pid, status);
				helper->token = 0;
			}
		}
	}
}

/* Kills what is due.  Returns milliseconds until the next is, -1 if none. */
static int process_kill_due(struct process *process)
{
	uint64_t now = loop_now_ns(), next = UINT64_MAX;
	for (unsigned i = 0; i < BROKER_MAX_HELPERS; i++) {
		struct helper *helper = &process->helpers[i];
		if (!helper->token || !helper->kill_ns) {
			continue;
		}
		if (helper->kill_ns <= now) {
			kill(helper->pid, SIGKILL);
			helper->kill_ns = now + HELPER_GRACE_MS * UINT64_C(1000000);
		}
		next = helper->kill_ns < next ? helper->kill_ns : next;
	}
	return next == UINT64_MAX ? -1 : (int)((next - now) / 1000000) + 1;
}

static bool process_has_helpers(const struct process *process)
{
	for (unsigned i = 0; i < BROKER_MAX_HELPERS; i++) {
		if (process->helpers[i].token) {
			return true;
		}
	}
	return false;
}

/* Waits for signals and, while @listening, requests.  Returns false if oriel is gone. */
static bool process_step(struct process *process, bool listening)
{
	struct pollfd watched[] = {
		{.fd = process->signals, .events = POLLIN},
		{.fd = listening ? process->socket : -1, .events = POLLIN},
	};
	bool present = listening;
	if (poll(watched, 2, process_kill_due(process)) > 0) {
		struct signalfd_siginfo info;
		if ((watched[0].revents & POLLIN) &&
		    read(process->signals, &info, sizeof(info)) == sizeof(info) &&
		    info.ssi_signo != SIGCHLD) {
			present = false;
		}
		if (watched[1].revents) {
			present = process_take_request(process) && present;
		}
	}
	process_reap(process);
	return present;
}

/* A child of oriel keeps nothing of it but the socket and stderr. */
static void process_shed(struct process *process)
{
	setsid(); /* signals of the terminal are for oriel */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_NAME, "oriel-broker");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0) {
		_exit(1);
	}
	if (process->socket != HELPER_SOCKET &&
	    dup3(process->socket, HELPER_SOCKET, O_CLOEXEC) < 0) {
		_exit(1);
	}
	process->socket = HELPER_SOCKET;
	close_range(HELPER_SOCKET + 1, ~0u, 0);
	fcntl(process->socket, F_SETFL, O_NONBLOCK);
}

noreturn void broker_process_run(int socket, const char *gpu_server, const char *passt)
{
	struct process process = {.socket = socket};
	process.programs[BROKER_START_GPU_SERVER] = gpu_server;
	process.programs[BROKER_START_PASST] = passt;
	process_shed(&process);
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, &process.inherited);
	signal(SIGPIPE, SIG_IGN);
	process.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (process.signals < 0) {
		_exit(1);
	}
	while (process_step(&process, true)) {
	}
	for (unsigned i = 0; i < BROKER_MAX_HELPERS; i++) {
		process_end(&process, process.helpers[i].token, LAST_GRACE_MS);
	}
	while (process_has_helpers(&process)) {
		process_step(&process, false);
	}
	_exit(0);
}
