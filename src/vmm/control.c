/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - the control socket of a VM
 *
 * How it works: a client has a line buffer and at most one request under way; what it sends
 * meanwhile waits in the socket.  A client that leaves early is kept until its answer comes.
 * Threads: the loop's.
 */
#include "vmm/control.h"

#include "base/os.h"
#include "base/own.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { CONTROL_LINE_ROOM = 4096 };

struct control_request {
	struct control *control;
	int fd; /* -1: free, unless busy */
	struct loop_source *source;
	bool busy; /* an answer is awaited */
	size_t got;
	char line[CONTROL_LINE_ROOM];
};

struct control {
	struct loop *loop;
	char path[CONTROL_PATH_ROOM];
	int listener;
	struct loop_source *source;
	control_fn fn;
	void *opaque;
	struct control_request clients[CONTROL_MAX_CLIENTS];
};

static int control_folder(char *folder, size_t room)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int len = runtime && runtime[0] == '/' ? snprintf(folder, room, "%s/oriel", runtime)
		  : geteuid() == 0	       ? snprintf(folder, room, "/run/oriel")
				   : snprintf(folder, room, "/tmp/oriel-%u", (unsigned)geteuid());
	return len < 0 || (size_t)len >= room ? -ENAMETOOLONG : 0;
}

int control_path(const char *name, char path[CONTROL_PATH_ROOM])
{
	char folder[CONTROL_PATH_ROOM];
	int status = control_folder(folder, sizeof(folder));
	if (status == 0 && (strchr(name, '/') || snprintf(path, CONTROL_PATH_ROOM, "%s/%s.sock",
							  folder, name) >= CONTROL_PATH_ROOM)) {
		status = -ENAMETOOLONG;
	}
	return status;
}

static void client_close(struct control_request *client)
{
	loop_remove(client->source);
	client->source = NULL;
	own_close(&client->fd);
	client->got = 0;
}

/* One line of the buffer, if there is a whole one and nothing is under way. */
static void client_next(struct control_request *client)
{
	char *end = client->busy ? NULL : memchr(client->line, '\n', client->got);
	if (!end) {
		return;
	}
	json_error_t why;
	json_t *body = json_loadb(client->line, (size_t)(end - client->line), 0, &why);
	client->got -= (size_t)(end + 1 - client->line);
	memmove(client->line, end + 1, client->got);
	client->busy = true;
	if (json_is_object(body)) {
		client->control->fn(client->control->opaque, client, body);
	} else {
		control_answer(client, json_pack("{s:b,s:s}", "ok", 0, "error",
						 "a line must be a JSON object"));
	}
	json_decref(body);
}

void control_answer(struct control_request *request, json_t *answer)
{
	AUTO_FREE char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	const char *line = text ? text : "{\"ok\":false,\"error\":\"out of memory\"}";
	request->busy = false;
	if (request->fd >= 0 &&
	    (send(request->fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ||
	     send(request->fd, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)) {
		client_close(request); /* who does not read its answers */
	}
	json_decref(answer);
	if (request->fd >= 0) {
		loop_mod_fd(request->source, LOOP_IN);
		client_next(request);
	}
}

void control_refuse(struct control_request *request, const char *why)
{
	control_answer(request, json_pack("{s:b,s:s}", "ok", 0, "error", why));
}

static void client_on_readable(void *opaque, uint32_t events)
{
	struct control_request *client = opaque;
	ssize_t got = recv(client->fd, client->line + client->got,
			   sizeof(client->line) - client->got, MSG_DONTWAIT);
	if (got < 0 && errno == EAGAIN) {
		return;
	}
	if (got <= 0 || (client->got + (size_t)got == sizeof(client->line) &&
			 !memchr(client->line, '\n', client->got))) {
		client_close(client); /* gone, or a line without end */
		return;
	}
	client->got += (size_t)got;
	client_next(client);
	if (client->busy && client->source) {
		loop_mod_fd(client->source, 0); /* not before its answer; a hang-up is still seen */
	}
}

static void control_on_connect(void *opaque, uint32_t events)
{
	struct control *control = opaque;
	AUTO_FD int fd = os_accept(control->listener, true);
	for (unsigned i = 0; fd >= 0 && i < CONTROL_MAX_CLIENTS; i++) {
		struct control_request *client = &control->clients[i];
		if (client->fd >= 0 || client->busy) {
			continue;
		}
		*client = (struct control_request){.control = control, .fd = fd};
		client->source =
			loop_add_fd(control->loop, fd, LOOP_IN, client_on_readable, client);
		client->fd = client->source ? fd_take(&fd) : -1;
		return;
	}
}

static int control_listen(struct control *control, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char folder[CONTROL_PATH_ROOM];
	int status = control_folder(folder, sizeof(folder));
	if (status < 0) {
		return error_set(err, status, "control socket: the path is too long");
	}
	struct stat st;
	if ((mkdir(folder, 0700) < 0 && errno != EEXIST) || lstat(folder, &st) < 0) {
		return error_errno(err, "control socket: %s", folder);
	}
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022)) {
		return error_set(err, -EPERM,
				 "control socket: %s is not a folder that only you can write to",
				 folder);
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", control->path);
	AUTO_FD int old = os_socket(SOCK_STREAM, false);
	if (old >= 0 && connect(old, (struct sockaddr *)&address, sizeof(address)) == 0) {
		return error_set(err, -EADDRINUSE,
				 "control socket %s: another VM of that name runs (--name)",
				 control->path);
	}
	unlink(control->path);
	control->listener = os_socket(SOCK_STREAM, true);
	if (control->listener < 0 ||
	    bind(control->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(control->path, 0600) < 0 || listen(control->listener, CONTROL_MAX_CLIENTS) < 0) {
		return error_errno(err, "control socket %s", control->path);
	}
	control->source =
		loop_add_fd(control->loop, control->listener, LOOP_IN, control_on_connect, control);
	return control->source ? 0 : error_errno(err, "control socket %s", control->path);
}

struct control *control_create(struct loop *loop, const char *name, control_fn fn, void *opaque,
			       struct error *err)
{
	struct control *control = calloc(1, sizeof(*control));
	if (!control) {
		error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	control->loop = loop;
	control->fn = fn;
	control->opaque = opaque;
	control->listener = -1;
	for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		control->clients[i].fd = -1;
	}
	if (control_path(name, control->path) < 0) {
		error_set(err, -ENAMETOOLONG, "--name: '%s' can not name a control socket", name);
		control_destroy(control);
		return NULL;
	}
	if (control_listen(control, err) < 0) {
		control_destroy(control);
		return NULL;
	}
	return control;
}

void control_destroy(struct control *control)
{
	if (!control) {
		return;
	}
	for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		client_close(&control->clients[i]);
	}
	if (control->source) {
		loop_remove(control->source);
		unlink(control->path);
	}
	own_close(&control->listener);
	free(control);
}
