/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtest.c - the listening process of the vtest front end
 *
 * How it works: one forked process for each connection, so that no client can harm another.  The listener itself never
 * loads a driver: a forked process tries that at start-up and reports.  Clients' processes end with the listener.
 * Threads: one.
 */
#include "venus/vtest.h"

#include "base/log.h"
#include "base/os.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { VTEST_BACKLOG = 16 };

/* Runs in a process of its own; tells through @pipe.  Never returns. */
static void vtest_try_driver(const struct vtest_config *config, int pipe)
{
	struct probe probe;
	struct error err = {0};
	int status = probe_run(&probe, vkGetInstanceProcAddr, &config->choice, &err);
	if (!status && !probe_first(&probe)) {
		status = error_set(&err, -ENODEV, "no usable Vulkan device: %s: %s",
				   probe.devices[0].name, probe.devices[0].problem);
	}
	ssize_t put = write(pipe, err.text, strlen(err.text));
	_exit(status || put < 0);
}

/* Finds out in another process whether there is a driver. */
static int vtest_check_driver(const struct vtest_config *config, struct error *err)
{
	int ends[2];
	if (os_pipe(ends) < 0) {
		return error_errno(err, "cannot try the driver");
	}
	AUTO_FD int reader = ends[0];
	pid_t pid = fork();
	if (pid == 0) {
		vtest_try_driver(config, ends[1]);
	}
	close(ends[1]);
	if (pid < 0) {
		return error_errno(err, "cannot try the driver");
	}
	char text[sizeof(err->text)] = {0};
	size_t len = 0;
	ssize_t got;
	while (len < sizeof(text) - 1 &&
	       (got = read(reader, text + len, sizeof(text) - 1 - len)) > 0) {
		len += (size_t)got;
	}
	int status;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return 0;
	}
	return error_set(err, -ENODEV, "%s", len ? text : "the Vulkan driver crashed when it was tried");
}

/* A path nobody listens at any more is free for us. */
static int vtest_remove_stale(const struct sockaddr_un *address, struct error *err)
{
	struct stat stat;
	if (lstat(address->sun_path, &stat) < 0) {
		return errno == ENOENT ? 0 : error_errno(err, "socket %s", address->sun_path);
	}
	if (!S_ISSOCK(stat.st_mode)) {
		return error_set(err, -EEXIST, "socket %s: there is a file of that name",
				 address->sun_path);
	}
	AUTO_FD int probe = os_socket(SOCK_STREAM, true);
	if (probe < 0) {
		return error_errno(err, "socket %s", address->sun_path);
	}
	if (connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno != ECONNREFUSED) {
		return error_set(err, -EADDRINUSE, "socket %s: in use by another server",
				 address->sun_path);
	}
	return unlink(address->sun_path) < 0 ? error_errno(err, "socket %s", address->sun_path) : 0;
}

/* A listening socket at @path, or a negative errno with @err. */
static int vtest_listen(const char *path, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (!*path || strlen(path) >= sizeof(address.sun_path)) {
		return error_set(err, -ENAMETOOLONG,
				 "socket path must have 1 to %zu characters: %s",
				 sizeof(address.sun_path) - 1, path);
	}
	memcpy(address.sun_path, path, strlen(path));
	int status = vtest_remove_stale(&address, err);
	if (status) {
		return status;
	}
	AUTO_FD int listener = os_socket(SOCK_STREAM, false);
	if (listener < 0 || bind(listener, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, VTEST_BACKLOG) < 0) {
		return error_errno(err, "socket %s", path);
	}
	return fd_take(&listener);
}

/* Signals that end the server or tell of ended clients, as a descriptor. */
static int vtest_signals(sigset_t *old, struct error *err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, old);
	int fd = os_signals(&set);
	return fd < 0 ? error_errno(err, "cannot watch signals") : fd;
}

struct vtest_server {
	const struct vtest_config *config;
	int listener, signals;
	sigset_t old_signals;
	unsigned clients;
	struct ledger ledger; /* owners are process ids */
};

/* The client's process.  Never returns. */
static void vtest_client_main(struct vtest_server *server, int socket, unsigned slot, pid_t parent)
{
	os_die_with_parent(SIGKILL);
	os_end_me_first();
	if (getppid() != parent) {
		_exit(0);
	}
	close(server->listener);
	close(server->signals);
	sigprocmask(SIG_SETMASK, &server->old_signals, NULL);
	struct probe probe;
	struct error err = {0};
	if (probe_run(&probe, vkGetInstanceProcAddr, &server->config->choice, &err)) {
		log_error("%s", err.text);
		_exit(1);
	}
	vtest_serve_client(socket, server->config, &probe, &server->ledger, slot);
	_exit(0);
}

static void vtest_accept(struct vtest_server *server)
{
	AUTO_FD int socket = os_accept(server->listener, false);
	if (socket < 0) {
		return;
	}
	if (server->clients >= server->config->max_clients) {
		log_limited(LOG_WARN, "client refused: %u are connected", server->clients);
		return;
	}
	unsigned slot = ledger_find_free(&server->ledger); /* there are as many as clients */
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		vtest_client_main(server, fd_take(&socket), slot, parent);
	}
	if (pid < 0) {
		log_limited(LOG_WARN, "client refused: %s", strerror(errno));
		return;
	}
	ledger_give(&server->ledger, slot, (uint32_t)pid);
	server->clients++;
}

static void vtest_reap(struct vtest_server *server)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		server->clients--;
		ledger_end(&server->ledger, (uint32_t)pid);
		if (WIFSIGNALED(status)) {
			log_warn("the process of a client ended with signal %d", WTERMSIG(status));
		}
	}
}

/* False if the server is to end. */
static bool vtest_take_signals(struct vtest_server *server)
{
	bool go_on = true;
	for (int number; (number = os_take_signal(server->signals));) {
		go_on = go_on && number == SIGCHLD;
	}
	vtest_reap(server);
	return go_on;
}

static void vtest_loop(struct vtest_server *server)
{
	struct pollfd fds[2] = {
		{.fd = server->signals, .events = POLLIN},
		{.fd = server->listener, .events = POLLIN},
	};
	for (;;) {
		if (poll(fds, 2, -1) < 0) {
			continue;
		}
		if (fds[0].revents && !vtest_take_signals(server)) {
			return;
		}
		if (fds[1].revents) {
			vtest_accept(server);
		}
	}
}

static int vtest_run(struct vtest_server *server, struct error *err)
{
	AUTO_FD int signals = vtest_signals(&server->old_signals, err);
	if (signals < 0) {
		return signals;
	}
	AUTO_FD int listener = vtest_listen(server->config->path, err);
	if (listener < 0) {
		return listener;
	}
	server->signals = signals;
	server->listener = listener;
	vtest_loop(server);
	unlink(server->config->path);
	return 0;
}

int vtest_serve(const struct vtest_config *config, struct error *err)
{
	struct vtest_server server = {.config = config};
	int status = vtest_check_driver(config, err);
	if (!status) {
		status = ledger_create(&server.ledger, config->max_clients, err);
	}
	if (!status) {
		status = vtest_run(&server, err);
		ledger_finish(&server.ledger);
	}
	return status;
}
