/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker.c - starting and ending helpers: oriel's side
 * The process itself is in broker_process.c.
 * Threads: as in broker.h.
 */
#include "base/os.h"
#include "vmm/broker.h"
#include "base/log.h"
#include "base/own.h"
#include "base/sock.h"
#include "vmm/broker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

enum { BROKER_STOP_LIMIT_MS = 4000, BROKER_SEND_LIMIT_MS = 1000, BROKER_PASST_TOKEN = 0x80000000 };

/* A helper that was reported to run. */
struct broker_helper {
	uint32_t token;
	pid_t pid;
	bool ending; /* its end was asked for */
};

struct broker {
	pid_t pid;
	int socket;
	struct loop_source *source;
	struct gpu_spawner spawner;
	void (*ended)(void *opaque, uint32_t token); /* of servers, or NULL */
	void *ended_opaque;
	uint32_t passt_count;
	struct broker_helper helpers[BROKER_MAX_HELPERS];
};

/* Never waits for long: the broker reads at once whatever it does. */
static int broker_send(struct broker *broker, enum broker_kind kind, uint32_t token, int fd)
{
	struct broker_request request = {.kind = kind, .token = token};
	ssize_t sent = sock_send(broker->socket, &request, sizeof(request), &fd, fd >= 0 ? 1 : 0);
	if (sent == -EAGAIN) {
		struct pollfd room = {.fd = broker->socket, .events = POLLOUT};
		if (poll(&room, 1, BROKER_SEND_LIMIT_MS) > 0) {
			sent = sock_send(broker->socket, &request, sizeof(request), &fd,
					 fd >= 0 ? 1 : 0);
		}
	}
	return sent < 0 ? (int)sent : 0;
}

static struct broker_helper *broker_find(struct broker *broker, uint32_t token)
{
	for (unsigned i = 0; i < BROKER_MAX_HELPERS; i++) {
		if (broker->helpers[i].token == token) {
			return &broker->helpers[i];
		}
	}
	return NULL;
}

static int broker_gpu_start(void *opaque, uint32_t token, int socket)
{
	struct broker *broker = opaque;
	struct broker_helper *helper = broker_find(broker, 0);
	if (!helper) {
		return -EAGAIN;
	}
	int status = broker_send(broker, BROKER_START_GPU_SERVER, token, socket);
	if (status == 0) {
		*helper = (struct broker_helper){.token = token};
	}
	return status;
}

static void broker_gpu_end(void *opaque, uint32_t token)
{
	struct broker *broker = opaque;
	struct broker_helper *helper = broker_find(broker, token);
	if (helper) {
		helper->ending = true;
	}
	if (broker_send(broker, BROKER_END, token, -1) < 0) {
		log_limited(LOG_WARN, "broker: can not end a server");
	}
}

static void broker_gpu_watch(void *opaque, void (*ended)(void *ended_opaque, uint32_t token),
			     void *ended_opaque)
{
	struct broker *broker = opaque;
	broker->ended = ended;
	broker->ended_opaque = ended_opaque;
}

static pid_t broker_gpu_pid(void *opaque, uint32_t token)
{
	struct broker_helper *helper = broker_find(opaque, token);
	return helper ? helper->pid : 0;
}

const struct gpu_spawner *broker_gpu_spawner(struct broker *broker)
{
	return &broker->spawner;
}

int broker_start_passt(struct broker *broker, int socket, struct error *err)
{
	struct broker_helper *helper = broker_find(broker, 0);
	uint32_t token = BROKER_PASST_TOKEN + ++broker->passt_count;
	int status = helper ? broker_send(broker, BROKER_START_PASST, token, socket) : -EAGAIN;
	if (status < 0) {
		return error_set(err, status, "can not start passt: %s", strerror(-status));
	}
	*helper = (struct broker_helper){.token = token};
	return 0;
}

static void broker_report_end(const struct broker_helper *helper, int status)
{
	const char *name = helper->token >= BROKER_PASST_TOKEN ? "passt" : "oriel-gpu";
	if (helper->ending || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
		log_debug("broker: %s (process %d) ended", name, (int)helper->pid);
	} else if (WIFSIGNALED(status)) {
		log_warn("%s (process %d) was ended by signal %d", name, (int)helper->pid,
			 WTERMSIG(status));
	} else if (WEXITSTATUS(status) == BROKER_EXIT_NO_EXEC) {
		log_error("%s can not be executed", name);
	} else {
		log_warn("%s (process %d) ended with status %d", name, (int)helper->pid,
			 WEXITSTATUS(status));
	}
}

static void broker_forget(struct broker *broker, struct broker_helper *helper)
{
	uint32_t token = helper->token;
	helper->token = 0;
	if (broker->ended && token < BROKER_PASST_TOKEN) {
		broker->ended(broker->ended_opaque, token);
	}
}

static void broker_take_event(struct broker *broker, const struct broker_event *event)
{
	struct broker_helper *helper = event->token ? broker_find(broker, event->token) : NULL;
	if (!helper) {
		return;
	}
	switch (event->kind) {
	case BROKER_STARTED: helper->pid = event->pid; break;
	case BROKER_FAILED:
		log_error("broker: can not start a helper: %s", strerror(event->status));
		broker_forget(broker, helper);
		break;
	case BROKER_EXITED:
		broker_report_end(helper, event->status);
		broker_forget(broker, helper);
		break;
	}
}

static void broker_on_socket(void *opaque, uint32_t epoll_events)
{
	struct broker *broker = opaque;
	for (;;) {
		struct broker_event event;
		ssize_t got = sock_recv(broker->socket, &event, sizeof(event), NULL, NULL);
		if (got == (ssize_t)sizeof(event)) {
			broker_take_event(broker, &event);
			continue;
		}
		if (got != -EAGAIN) {
			log_error("broker: it is gone; no helper can be started any more");
			loop_remove(broker->source);
			broker->source = NULL;
		}
		return;
	}
}

struct broker *broker_start(const struct broker_config *config, struct error *err)
{
	struct broker *broker = calloc(1, sizeof(*broker));
	if (!broker) {
		error_set(err, -ENOMEM, "broker: out of memory");
		return NULL;
	}
	int pair[2];
	if (os_socketpair(SOCK_SEQPACKET, pair) < 0) {
		error_errno(err, "broker: can not make a socket");
		free(broker);
		return NULL;
	}
	fflush(NULL);
	broker->pid = fork();
	if (broker->pid == 0) {
		close(pair[0]);
		broker_process_run(pair[1], config->gpu_server, config->passt);
	}
	close(pair[1]);
	broker->socket = pair[0];
	if (broker->pid < 0 || fcntl(broker->socket, F_SETFL, O_NONBLOCK) < 0) {
		error_errno(err, "broker: can not fork");
		broker_stop(broker);
		return NULL;
	}
	broker->spawner = (struct gpu_spawner){
		.start = broker_gpu_start,
		.end = broker_gpu_end,
		.watch = broker_gpu_watch,
		.pid = broker_gpu_pid,
		.opaque = broker,
	};
	return broker;
}

int broker_watch(struct broker *broker, struct loop *loop, struct error *err)
{
	broker->source = loop_add_fd(loop, broker->socket, LOOP_IN, broker_on_socket, broker);
	return broker->source ? 0 : error_set(err, -ENOMEM, "broker: can not watch it");
}

void broker_unwatch(struct broker *broker)
{
	loop_remove(broker->source);
	broker->source = NULL;
}

void broker_stop(struct broker *broker)
{
	if (!broker) {
		return;
	}
	loop_remove(broker->source);
	close(broker->socket);
	/* It ends by itself when its socket does; the bound is for a broker that was stopped by a
	 * signal, say. */
	for (int waited = 0; broker->pid > 0; waited += 10) {
		if (waitpid(broker->pid, NULL, WNOHANG) != 0) {
			break;
		}
		if (waited >= BROKER_STOP_LIMIT_MS) {
			kill(broker->pid, SIGKILL);
			waitpid(broker->pid, NULL, 0);
			break;
		}
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000000}, NULL);
	}
	free(broker);
}

/* @folder/@name if it can be executed, else NULL. */
static char *broker_try_program(const char *folder, size_t folder_len, const char *name)
{
	char *path;
	if (asprintf(&path, "%.*s/%s", (int)folder_len, folder, name) < 0) {
		return NULL;
	}
	if (access(path, X_OK) == 0) {
		return path;
	}
	free(path);
	return NULL;
}

char *broker_find_program(const char *name, const char *given, struct error *err)
{
	if (given) {
		char *path = access(given, X_OK) == 0 ? realpath(given, NULL) : NULL;
		if (!path) {
			error_errno(err, "can not execute %s", given);
		}
		return path;
	}
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self));
	char *slash = len > 0 ? memrchr(self, '/', (size_t)len) : NULL;
	char *found = slash ? broker_try_program(self, (size_t)(slash - self), name) : NULL;
	const char *folders = getenv("PATH");
	while (!found && folders && *folders) {
		size_t folder_len = strcspn(folders, ":");
		if (*folders == '/') {
			found = broker_try_program(folders, folder_len, name);
		}
		folders += folder_len + (folders[folder_len] == ':');
	}
	if (!found) {
		error_set(err, -ENOENT, "%s is neither beside oriel nor in PATH", name);
	}
	return found;
}
