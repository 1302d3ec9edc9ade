/* SPDX-License-Identifier: Apache-2.0 */
/* gdb_server.c - see gdb_server.h */
#include "vmm/gdb_server.h"

#include "base/log.h"
#include "base/os.h"
#include "base/own.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct gdb_server {
	struct loop *loop;
	const struct gdb_server_events *events;
	const struct gdb_target_ops *target;
	void *opaque;
	unsigned cpus;
	int listener, client; /* -1: none */
	struct loop_source *listener_source, *client_source;
	char *path;  /* of a UNIX socket that is ours */
	bool broken; /* the client does not read what it is sent */
	struct gdb_session session;
};

/* ----- the client ----- */

/* Answers are short and asked for one by one, so a socket that can not take one is a client that
 * reads nothing. */
void gdb_server_send(struct gdb_server *server, const char *bytes, size_t len)
{
	if (server->client >= 0 &&
	    send(server->client, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len) {
		server->broken = true;
	}
}

static void close_client(struct gdb_server *server)
{
	loop_remove(server->client_source);
	server->client_source = NULL;
	own_close(&server->client);
}

static void on_readable(void *opaque, uint32_t events)
{
	struct gdb_server *server = opaque;
	char bytes[4096];
	ssize_t got = recv(server->client, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (got <= 0 || !gdb_session_input(&server->session, bytes, (size_t)got) ||
	    server->broken) {
		log_info("gdb: the debugger left");
		close_client(server);
		server->events->left(server->opaque);
	}
}

static void on_connect(void *opaque, uint32_t events)
{
	struct gdb_server *server = opaque;
	AUTO_FD int fd = os_accept(server->listener, true);
	const int on = 1;
	if (fd < 0 || server->client >= 0) {
		return; /* one at a time */
	}
	server->client_source = loop_add_fd(server->loop, fd, LOOP_IN, on_readable, server);
	if (!server->client_source) {
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	server->client = fd_take(&fd);
	server->broken = false;
	log_info("gdb: a debugger is connected");
	server->events->connected(server->opaque);
	gdb_session_init(&server->session, server->target, server->opaque, server->cpus);
}

struct gdb_session *gdb_server_waiting(struct gdb_server *server)
{
	return server && server->client >= 0 && server->session.running ? &server->session : NULL;
}

/* ----- the address ----- */

static int listen_unix(struct gdb_server *server, const char *path, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	if (!path[0] || strlen(path) >= sizeof(address.sun_path)) {
		return error_set(err, -EINVAL, "--gdb: '%s' can not be the path of a socket", path);
	}
	strcpy(address.sun_path, path);
	AUTO_FD int old = os_socket(SOCK_STREAM, false);
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode) ||
		    connect(old, (struct sockaddr *)&address, sizeof(address)) == 0) {
			return error_set(err, -EADDRINUSE, "--gdb: %s is in use", path);
		}
		unlink(path); /* left over */
	}
	server->listener = os_socket(SOCK_STREAM, true);
	if (server->listener < 0 || fchmod(server->listener, 0600) < 0 ||
	    bind(server->listener, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return error_errno(err, "--gdb: %s", path);
	}
	server->path = strdup(path);
	if (chmod(path, 0600) < 0 || listen(server->listener, 1) < 0) {
		return error_errno(err, "--gdb: %s", path);
	}
	return 0;
}

static bool is_loopback(const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	return address->sa_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 24 == 127
					     : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static int listen_at(struct gdb_server *server, const struct addrinfo *info, const char *address,
		     struct error *err)
{
	const int on = 1;
	server->listener = os_socket_of(info->ai_family, SOCK_STREAM, true);
	if (server->listener < 0 ||
	    setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(server->listener, info->ai_addr, info->ai_addrlen) < 0 ||
	    listen(server->listener, 1) < 0) {
		return error_errno(err, "--gdb: %s", address);
	}
	if (!is_loopback(info->ai_addr)) {
		log_warn("gdb: whoever can reach %s controls the guest", address);
	}
	return 0;
}

/* [HOST:]PORT, with an IPv6 address in brackets. */
static int listen_tcp(struct gdb_server *server, const char *address, struct error *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	const char *colon = strrchr(address, ':'), *port = colon ? colon + 1 : address;
	AUTO_FREE char *host = colon && colon > address
				       ? strndup(address, (size_t)(colon - address))
				       : strdup("127.0.0.1");
	char *name = host;
	struct addrinfo *info;
	char *end;
	unsigned long number = strtoul(port, &end, 10);
	if (!host || *end || port[0] < '0' || port[0] > '9' || number < 1 || number > 65535) {
		return error_set(err, -EINVAL, "--gdb: '%s' is not [HOST:]PORT or unix:PATH",
				 address);
	}
	size_t len = strlen(host);
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		name = host + 1;
	}
	int rc = getaddrinfo(name, port, &hints, &info);
	if (rc) {
		return error_set(err, -EINVAL, "--gdb: %s: %s", address, gai_strerror(rc));
	}
	rc = listen_at(server, info, address, err);
	freeaddrinfo(info);
	return rc;
}

struct gdb_server *gdb_server_create(struct loop *loop, const char *address,
				     const struct gdb_server_events *events,
				     const struct gdb_target_ops *target, void *opaque,
				     unsigned cpus, struct error *err)
{
	struct gdb_server *server = calloc(1, sizeof(*server));
	if (!server) {
		error_set(err, -ENOMEM, "--gdb: out of memory");
		return NULL;
	}
	*server = (struct gdb_server){.loop = loop,
				      .events = events,
				      .target = target,
				      .opaque = opaque,
				      .cpus = cpus,
				      .listener = -1,
				      .client = -1};
	bool is_unix = !strncmp(address, "unix:", 5);
	int rc = is_unix ? listen_unix(server, address + 5, err) : listen_tcp(server, address, err);
	if (rc == 0) {
		server->listener_source =
			loop_add_fd(loop, server->listener, LOOP_IN, on_connect, server);
		rc = server->listener_source ? 0 : error_errno(err, "--gdb: %s", address);
	}
	if (rc < 0) {
		gdb_server_destroy(server);
		return NULL;
	}
	log_info("gdb: waiting for a debugger at %s", address);
	return server;
}

void gdb_server_destroy(struct gdb_server *server)
{
	if (!server) {
		return;
	}
	if (server->client >= 0) {
		gdb_session_exited(&server->session);
		close_client(server);
	}
	loop_remove(server->listener_source);
	own_close(&server->listener);
	if (server->path) {
		unlink(server->path);
		free(server->path);
	}
	free(server);
}
