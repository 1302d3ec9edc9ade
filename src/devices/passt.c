/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passt.c - start passt, the program that connects a guest to the host's network without privileges
 *
 * How it works: passt gets one end of a socket pair and serves it in the foreground; it ends when we close ours.  Started
 * as root it becomes the user nobody by itself.  Ports of the host's loopback are not reachable from the guest, and no
 * port of the guest is from the host.
 * Threads: any.
 */
#include "devices/passt.h"

#include "base/own.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>

extern char **environ;

void passt_command(const char *argv[PASST_MAX_ARGS])
{
	static const char *const args[] = {
		"passt", "--foreground", "--quiet", "--no-map-gw", "--fd", "3", NULL,
	};
	static_assert(PASST_SOCKET_FD == 3, "the number in the arguments");
	static_assert(sizeof(args) / sizeof(args[0]) <= PASST_MAX_ARGS, "room for the arguments");
	memcpy(argv, args, sizeof(args));
}

/* posix_spawn with @socket as PASST_SOCKET_FD, no other descriptor, and no ^C from the terminal. */
static int passt_spawn(pid_t *pid, int socket)
{
	const char *argv[PASST_MAX_ARGS];
	passt_command(argv);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, 0, 1);
	posix_spawn_file_actions_adddup2(&actions, 0, 2);
	posix_spawn_file_actions_adddup2(&actions, socket, PASST_SOCKET_FD);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	int code = posix_spawnp(pid, "passt", &actions, &attr, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return code;
}

int passt_start(struct passt *passt, struct error *err)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		return error_errno(err, "network: socket pair");
	}
	AUTO_FD int ours = pair[0];
	/* not 3 itself: then the duplicate in the child would be close-on-exec */
	AUTO_FD int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, PASST_SOCKET_FD + 1);
	close(pair[1]);
	if (theirs < 0) {
		return error_errno(err, "network: socket pair");
	}
	int code = passt_spawn(&passt->pid, theirs);
	if (code == ENOENT) {
		return error_set(err, -ENOENT, "network: passt is not installed (apt install passt, or --net none)");
	}
	if (code) {
		return error_set(err, -code, "network: cannot start passt: %s", strerror(code));
	}
	passt->socket = fd_take(&ours);
	return 0;
}
