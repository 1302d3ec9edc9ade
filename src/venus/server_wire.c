/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_wire.c - front end for oriel
 *
 * How it works: requests are taken one after the other by the process's first thread; answers and fences, which come from
 * any thread, are sent under one lock.  Every message is checked as if its sender were hostile, though oriel is not.
 * Threads: the first one; callbacks of the context any.
 */
#include "venus/server_wire.h"

#include "base/log.h"
#include "base/os.h"
#include "base/own.h"
#include "base/sock.h"
#include "venus/context.h"
#include "venus/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct server_wire {
	int socket;
	pthread_mutex_t send_lock;
	struct wire_state *state;
	struct ledger ledger;
	struct probe probe;
	struct context *context;
	struct wire_hello hello;
	struct watch watch;
	bool watched;
};

union server_wire_message {
	struct wire_header header;
	struct wire_hello hello;
	struct wire_create_blob create_blob;
	struct wire_resource resource;
	struct wire_submit submit;
	struct wire_arbiter arbiter;
	uint8_t bytes[sizeof(struct wire_submit) + WIRE_MAX_INLINE];
};

static void server_wire_send(struct server_wire *server, void *message, size_t len, uint32_t kind,
			     uint64_t seq, int fd)
{
	struct wire_header header = {.kind = kind, .len = (uint32_t)len, .seq = seq};
	memcpy(message, &header, sizeof(header));
	LOCKED(&server->send_lock);
	ssize_t sent = sock_send(server->socket, message, len, &fd, fd >= 0 ? 1 : 0);
	if (sent < 0 && sent != -EPIPE && sent != -ECONNRESET) {
		log_limited(LOG_WARN, "cannot answer oriel: %s", strerror((int)-sent));
	}
}

static void server_wire_on_fence(void *opaque, uint32_t ring_idx, uint64_t fence_id)
{
	struct wire_fence fence = {.ring_idx = ring_idx, .fence_id = fence_id};
	server_wire_send(opaque, &fence, sizeof(fence), WIRE_FENCE, 0, -1);
}

static void server_wire_on_fatal(void *opaque, const char *text)
{
	struct wire_fatal fatal = {0};
	snprintf(fatal.text, sizeof(fatal.text), "%s", text);
	server_wire_send(opaque, &fatal, sizeof(fatal), WIRE_FATAL, 0, -1);
}

static const struct context_ops server_wire_ops = {
	.fence = server_wire_on_fence,
	.fatal = server_wire_on_fatal,
};

/* Hello */

static int server_wire_map_state(struct server_wire *server, int fd)
{
	if (!os_is_sealed(fd, OS_SEAL_SHRINK) || !os_file_has(fd, 0, sizeof(*server->state))) {
		return -EINVAL;
	}
	void *map = mmap(NULL, sizeof(*server->state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		return -errno;
	}
	server->state = map;
	server->state->version = WIRE_VERSION;
	server->state->pid = (uint32_t)getpid();
	return 0;
}

static int server_wire_start_context(struct server_wire *server, struct error *err)
{
	struct context_config config = {
		.max_bytes = server->hello.max_blob_bytes,
		.ledger = &server->ledger,
		.ledger_slot = server->hello.ledger_slot,
		.granule = server->hello.blob_alignment,
		.probe = &server->probe,
		.state = server->state,
		.ops = &server_wire_ops,
		.opaque = server,
	};
	if (config.granule & (config.granule - 1) || config.granule < 4096) {
		config.granule = 4096;
	}
	server->context = context_create(&config, err);
	if (!server->context) {
		return -ENOMEM;
	}
	int status = watch_start(&server->watch, server->context, server->socket);
	server->watched = !status;
	return status ? error_set(err, status, "no thread for a context") : 0;
}

static void server_wire_fill_driver(struct wire_welcome *welcome, const struct probe *probe)
{
	const struct probe_device *device = probe_first(probe);
	if (!device) {
		snprintf(welcome->text, sizeof(welcome->text), "no usable Vulkan device: %.60s: %.100s",
			 probe->devices[0].name, probe->devices[0].problem);
		welcome->status = -ENODEV;
		return;
	}
	welcome->backing = device->backing;
	welcome->api_version = device->api_version;
	snprintf(welcome->driver, sizeof(welcome->driver), "%.60s (%.60s)", device->name,
		 device->driver_info[0] ? device->driver_info : device->driver);
}

/* Maps what came with HELLO.  0, or a negative errno and a line for the answer. */
static int server_wire_map(struct server_wire *server, int state_fd, int ledger_fd, struct error *err)
{
	int status = server_wire_map_state(server, state_fd);
	if (status) {
		return error_set(err, status, "hello without a state page");
	}
	status = server->hello.query_only ? 0 : ledger_open(&server->ledger, ledger_fd, server->hello.ledger_slot);
	return status ? error_set(err, status, "hello without a ledger") : 0;
}

/* Answers HELLO.  False if the process is to end, which is no failure for a query. */
static bool server_wire_welcome(struct server_wire *server, int state_fd, int ledger_fd,
				const struct probe_choice *choice)
{
	struct wire_welcome welcome = {.version = WIRE_VERSION};
	struct error err = {0};
	venus_capset_fill(welcome.capset);
	welcome.status = server_wire_map(server, state_fd, ledger_fd, &err);
	if (!welcome.status) {
		welcome.status = probe_run(&server->probe, vkGetInstanceProcAddr, choice, &err);
	}
	if (!welcome.status) {
		server_wire_fill_driver(&welcome, &server->probe);
	}
	if (!welcome.status && !server->hello.query_only) {
		welcome.status = server_wire_start_context(server, &err);
	}
	if (err.text[0]) {
		snprintf(welcome.text, sizeof(welcome.text), "%.255s", err.text);
	}
	server_wire_send(server, &welcome, sizeof(welcome), WIRE_WELCOME, server->hello.header.seq, -1);
	return !welcome.status && !server->hello.query_only;
}

static bool server_wire_hello(struct server_wire *server, const struct probe_choice *choice)
{
	int fds[SOCK_MAX_FDS];
	size_t count = SOCK_MAX_FDS;
	struct wire_hello *hello = &server->hello;
	ssize_t got = sock_recv(server->socket, hello, sizeof(*hello), fds, &count);
	AUTO_FD int state_fd = got > 0 && count ? fds[0] : -1;
	AUTO_FD int ledger_fd = got > 0 && count > 1 ? fds[1] : -1;
	for (size_t i = 2; got > 0 && i < count; i++) {
		close(fds[i]);
	}
	if (got != (ssize_t)sizeof(*hello) || hello->header.kind != WIRE_HELLO ||
	    hello->header.len != sizeof(*hello) || hello->version != WIRE_VERSION) {
		log_error("no greeting of version %d on the socket", WIRE_VERSION);
		return false;
	}
	return server_wire_welcome(server, state_fd, ledger_fd, choice);
}

/* Requests */

static void server_wire_create_blob(struct server_wire *server,
				    const struct wire_create_blob *request)
{
	struct context_blob blob = {.fd = -1};
	struct wire_blob answer = {
		.status = context_create_blob(server->context, request->resource_id,
					      request->blob_flags, request->blob_id, request->size,
					      &blob),
	};
	if (!answer.status) {
		answer.map_info = blob.map_info;
		answer.size = blob.bytes;
	}
	server_wire_send(server, &answer, sizeof(answer), WIRE_BLOB, request->header.seq,
			 answer.status ? -1 : blob.fd);
}

/* Executes a stream that came in a sealed memfd. */
static int server_wire_submit_fd(struct server_wire *server, uint32_t bytes, int fd)
{
	if (!os_is_sealed(fd, OS_SEAL_SHRINK | OS_SEAL_WRITE) || !os_file_has(fd, 0, bytes)) {
		return -EINVAL;
	}
	void *map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED) {
		return -errno;
	}
	int status = context_submit(server->context, map, bytes);
	munmap(map, bytes);
	return status;
}

/* False if the message makes no sense. */
static bool server_wire_submit(struct server_wire *server, const struct wire_submit *request, int fd)
{
	struct wire_submitted answer = {0};
	uint64_t follows = request->header.len - sizeof(*request);
	if (follows != (fd >= 0 ? 0 : request->bytes)) {
		return false;
	}
	answer.status = fd >= 0 ? server_wire_submit_fd(server, request->bytes, fd)
				: context_submit(server->context, request + 1, request->bytes);
	if (request->fenced) {
		context_fence(server->context, request->ring_idx, request->fence_id);
	}
	server_wire_send(server, &answer, sizeof(answer), WIRE_SUBMITTED, request->header.seq, -1);
	return true;
}

static void server_wire_unref(struct server_wire *server, const struct wire_resource *request)
{
	struct wire_header answer;
	context_unref(server->context, request->resource_id);
	if (request->header.seq) {
		server_wire_send(server, &answer, sizeof(answer), WIRE_UNREFERENCED, request->header.seq, -1);
	}
}

static size_t server_wire_message_size(uint32_t kind)
{
	switch (kind) {
	case WIRE_CREATE_BLOB:
		return sizeof(struct wire_create_blob);
	case WIRE_UNREF_RESOURCE:
	case WIRE_ATTACH_RESOURCE:
		return sizeof(struct wire_resource);
	case WIRE_SUBMIT:
		return sizeof(struct wire_submit);
	case WIRE_ARBITER_GRANT:
		return sizeof(struct wire_arbiter);
	default:
		return 0;
	}
}

/* False if the message makes no sense. */
static bool server_wire_take(struct server_wire *server, union server_wire_message *message,
			     size_t len, int *fd)
{
	size_t least = server_wire_message_size(message->header.kind);
	if (!least || len < least || (len > least && message->header.kind != WIRE_SUBMIT)) {
		return false;
	}
	switch (message->header.kind) {
	case WIRE_CREATE_BLOB:
		server_wire_create_blob(server, &message->create_blob);
		return true;
	case WIRE_UNREF_RESOURCE:
		server_wire_unref(server, &message->resource);
		return true;
	case WIRE_ATTACH_RESOURCE:
		/* A resource that cannot be used is missing, which its user will notice. */
		return *fd >= 0 && context_attach(server->context, message->resource.resource_id,
						  fd_take(fd), message->resource.size) <= 0;
	case WIRE_SUBMIT:
		return server_wire_submit(server, &message->submit, *fd);
	default:
		return true; /* grants: nobody waits for one yet */
	}
}

/* Takes one message.  False at the end of the stream or of sense. */
static bool server_wire_receive(struct server_wire *server, union server_wire_message *message)
{
	int fds[SOCK_MAX_FDS];
	size_t count = SOCK_MAX_FDS;
	ssize_t got = sock_recv(server->socket, message, sizeof(*message), fds, &count);
	AUTO_FD int fd = got > 0 && count ? fds[0] : -1;
	for (size_t i = 1; got > 0 && i < count; i++) {
		close(fds[i]);
	}
	if (got <= 0) {
		return false;
	}
	if ((size_t)got < sizeof(message->header) || message->header.len != (size_t)got ||
	    !server_wire_take(server, message, (size_t)got, &fd)) {
		log_error("a message on the socket makes no sense");
		return false;
	}
	return true;
}

int server_wire_run(int socket, const struct probe_choice *choice)
{
	struct server_wire *server = calloc(1, sizeof(*server));
	union server_wire_message *message = malloc(sizeof(*message));
	if (!server || !message) {
		log_error("no memory for a server");
		return 1;
	}
	server->socket = socket;
	pthread_mutex_init(&server->send_lock, NULL);
	if (server_wire_hello(server, choice)) {
		do {
			context_await(server->context, server->socket);
		} while (server_wire_receive(server, message));
	}
	if (server->watched) {
		watch_finish(&server->watch);
		context_destroy(server->context);
		watch_release();
	}
	ledger_finish(&server->ledger);
	close(socket);
	free(message);
	free(server);
	return 0;
}
