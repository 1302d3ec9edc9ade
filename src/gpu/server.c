/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - client of one oriel-gpu process
 *
 * How it works: a non-blocking SOCK_SEQPACKET pair made here; the other end goes to the spawner.
 * The state page is a memfd made here too, sealed, so that reading it can never fault. Threads: the
 * device's loop.
 */
#include "gpu/server.h"
#include "base/os.h"
#include "base/own.h"
#include "base/sock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SERVER_BATCH = 64, SERVER_MAX_STRAY_FDS = SOCK_MAX_FDS };

struct gpu_server {
	struct gpu_server_config config;
	int socket;
	struct loop_source *source;
	struct wire_state *state; /* MAP_SHARED of a sealed memfd */
	bool welcomed, lost, wants_room;
	bool in_event, stopped; /* stopped inside an event: freed when that is over */
};

union server_message {
	struct wire_header header;
	struct wire_welcome welcome;
	struct wire_blob blob;
	struct wire_submitted submitted;
	struct wire_fence fence;
	struct wire_fatal fatal;
	struct wire_arbiter arbiter;
};

static void server_report_lost(struct gpu_server *server, const char *why)
{
	if (server->lost) {
		return;
	}
	server->lost = true;
	loop_mod_fd(server->source, 0);
	server->config.events->lost(server->config.opaque, why);
}

/* Text of the server, for a message: cut at the first byte that is not printable ASCII. */
static void server_clean_text(char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (i == size - 1 || text[i] < ' ' || text[i] > '~') {
			text[i] = 0;
			return;
		}
	}
}

/* A sealed memfd, or a dma-buf, which neither shrinks nor grows by definition: 0, else -EINVAL and
 * *why. */
static int server_check_kind(int fd, const char **why)
{
	struct stat status;
	if (os_is_dma_buf(fd)) {
		return 0;
	}
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		*why = "not a memory file";
		return -EINVAL;
	}
	/* Seals exist on tmpfs and hugetlbfs only; the latter has pages of another size. */
	if (!os_is_memory(fd)) {
		*why = "not ordinary shared memory";
		return -EINVAL;
	}
	int seals = os_seals(fd);
	int need = OS_SEAL_SHRINK | OS_SEAL_GROW;
	if (seals < 0 || (seals & need) != need) {
		*why = "not sealed against shrinking and growing";
		return -EINVAL;
	}
	if (seals & (OS_SEAL_WRITE | OS_SEAL_FUTURE_WRITE)) {
		*why = "not writable";
		return -EINVAL;
	}
	return 0;
}

int gpu_server_check_fd(int fd, uint64_t size, uint64_t *actual, const char **why)
{
	int status = server_check_kind(fd, why);
	if (status < 0) {
		return status;
	}
	int mode = fcntl(fd, F_GETFL);
	if (mode < 0 || (mode & O_ACCMODE) != O_RDWR) {
		*why = "not writable";
		return -EINVAL;
	}
	/* The size can not change from here on: read it after the seals. */
	off_t bytes = lseek(fd, 0, SEEK_END);
	if (bytes <= 0 || (uint64_t)bytes < size || bytes % 4096) {
		*why = "of the wrong size";
		return -EINVAL;
	}
	*actual = (uint64_t)bytes;
	return 0;
}

static bool server_take_welcome(struct gpu_server *server, struct wire_welcome *welcome)
{
	server_clean_text(welcome->text, sizeof(welcome->text));
	server_clean_text(welcome->driver, sizeof(welcome->driver));
	if (server->welcomed) {
		return false;
	}
	if (welcome->status != 0 || welcome->version != WIRE_VERSION) {
		char why[sizeof(welcome->text)];
		memcpy(why, welcome->text, sizeof(why));
		server_report_lost(server,
				   welcome->status && *why ? why : "it speaks another version");
		return true;
	}
	server->welcomed = true;
	if (server->config.events->welcome) {
		server->config.events->welcome(server->config.opaque, welcome);
	}
	return true;
}

/* Takes *fd if it passes on. */
static bool server_take_blob(struct gpu_server *server, struct wire_blob *blob, int *fd)
{
	if (blob->status != 0) {
		return server->config.events->blob(server->config.opaque, blob, -1);
	}
	const char *why = "missing";
	uint64_t actual = 0;
	if (*fd < 0 || gpu_server_check_fd(*fd, blob->size, &actual, &why) < 0) {
		char text[96];
		snprintf(text, sizeof(text), "it sent memory that is %s", why);
		server_report_lost(server, text);
		return true;
	}
	blob->size = actual;
	return server->config.events->blob(server->config.opaque, blob, fd_take(fd));
}

/* Everything is granted at once; if the socket is full the server asks again. */
static bool server_take_arbiter(struct gpu_server *server, struct wire_arbiter *request)
{
	request->header.kind = WIRE_ARBITER_GRANT;
	ssize_t sent = sock_send(server->socket, request, sizeof(*request), NULL, 0);
	return sent == (ssize_t)sizeof(*request) || sent == -EAGAIN;
}

static size_t server_message_size(uint32_t kind)
{
	switch (kind) {
	case WIRE_WELCOME: return sizeof(struct wire_welcome);
	case WIRE_BLOB: return sizeof(struct wire_blob);
	case WIRE_SUBMITTED: return sizeof(struct wire_submitted);
	case WIRE_FENCE: return sizeof(struct wire_fence);
	case WIRE_FATAL: return sizeof(struct wire_fatal);
	case WIRE_ARBITER_REQUEST: return sizeof(struct wire_arbiter);
	case WIRE_UNREFERENCED: return sizeof(struct wire_header);
	default: return 0;
	}
}

/* False if the message breaks the rules.  After this the server may be stopped. */
static bool server_take_message(struct gpu_server *server, union server_message *message, int *fd)
{
	const struct gpu_server_events *events = server->config.events;
	if (!server->welcomed && message->header.kind != WIRE_WELCOME &&
	    message->header.kind != WIRE_FATAL) {
		return false;
	}
	switch (message->header.kind) {
	case WIRE_WELCOME: return server_take_welcome(server, &message->welcome);
	case WIRE_BLOB: return server_take_blob(server, &message->blob, fd);
	case WIRE_SUBMITTED: return events->submitted(server->config.opaque, &message->submitted);
	case WIRE_FENCE: return events->fence(server->config.opaque, &message->fence);
	case WIRE_ARBITER_REQUEST: return server_take_arbiter(server, &message->arbiter);
	case WIRE_UNREFERENCED:
		return events->unreferenced(server->config.opaque, message->header.seq);
	case WIRE_FATAL:
		server_clean_text(message->fatal.text, sizeof(message->fatal.text));
		server_report_lost(server, message->fatal.text);
		return true;
	default: return false;
	}
}

/* Receives and handles one message.  False when there is nothing more to do now. */
static bool server_receive(struct gpu_server *server)
{
	union server_message message;
	int fds[SERVER_MAX_STRAY_FDS];
	size_t count = SERVER_MAX_STRAY_FDS;
	ssize_t got = sock_recv(server->socket, &message, sizeof(message), fds, &count);
	if (got == -EAGAIN) {
		return false;
	}
	if (got <= 0) {
		/* A reset tells that it had not read all that was sent. */
		server_report_lost(server, got == 0 || got == -ECONNRESET ? "it ended" : strerror((int)-got));
		return false;
	}
	AUTO_FD int fd = count ? fds[0] : -1;
	for (size_t i = 1; i < count; i++) {
		close(fds[i]);
	}
	if ((size_t)got < sizeof(message.header) || message.header.len != (size_t)got ||
	    server_message_size(message.header.kind) != (size_t)got ||
	    !server_take_message(server, &message, &fd)) {
		if (!server->stopped) {
			server_report_lost(server, "it sent a message that makes no sense");
		}
		return false;
	}
	return !server->stopped && !server->lost;
}

static void server_free(struct gpu_server *server)
{
	munmap(server->state, sizeof(*server->state));
	free(server);
}

static void server_on_socket(void *opaque, uint32_t events)
{
	struct gpu_server *server = opaque;
	server->in_event = true;
	if ((events & LOOP_OUT) && server->wants_room) {
		server->wants_room = false;
		loop_mod_fd(server->source, LOOP_IN);
		server->config.events->room(server->config.opaque);
	}
	if (!server->stopped && (events & (LOOP_IN | LOOP_HUP | LOOP_ERR))) {
		for (unsigned i = 0; i < SERVER_BATCH && server_receive(server); i++) {
		}
	}
	server->in_event = false;
	if (server->stopped) {
		server_free(server);
	}
}

/* The page in which the server keeps what outlives it. */
static int server_make_state(struct wire_state **state, struct error *err)
{
	AUTO_FD int fd = os_memory("oriel-gpu-state");
	if (fd < 0 || ftruncate(fd, sizeof(**state)) < 0 ||
	    os_seal(fd, OS_SEAL_SHRINK | OS_SEAL_GROW | OS_SEAL_SEALS) < 0) {
		return error_errno(err, "gpu: can not make shared memory");
	}
	void *map = mmap(NULL, sizeof(**state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		return error_errno(err, "gpu: can not map shared memory");
	}
	*state = map;
	(*state)->version = WIRE_VERSION;
	return fd_take(&fd);
}

static int server_send_hello(int socket, const struct gpu_server_config *config, bool query_only,
			     int state_fd)
{
	struct wire_hello hello = {
		.header = {.kind = WIRE_HELLO, .len = sizeof(hello)},
		.version = WIRE_VERSION,
		.ctx_id = config->ctx_id,
		.max_blob_bytes = config->max_blob_bytes,
		.blob_alignment = config->blob_alignment,
		.query_only = query_only,
		.ledger_slot = config->ledger_slot,
	};
	int fds[] = {state_fd, config->ledger_fd};
	snprintf(hello.name, sizeof(hello.name), "%s", config->name ? config->name : "");
	ssize_t sent = sock_send(socket, &hello, sizeof(hello), fds, query_only ? 1 : 2);
	return sent < 0 ? (int)sent : 0;
}

/* Makes the pair, gives one end away, says hello.  Returns our end or -errno. */
static int server_connect(const struct gpu_server_config *config, bool query_only, int state_fd,
			  struct error *err)
{
	int pair[2];
	if (os_socketpair(SOCK_SEQPACKET, pair) < 0) {
		return error_errno(err, "gpu: can not make a socket");
	}
	AUTO_FD int ours = pair[0];
	AUTO_FD int theirs = pair[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0) {
		return error_errno(err, "gpu: can not make a socket");
	}
	int status = server_send_hello(ours, config, query_only, state_fd);
	if (status == 0) {
		status = config->spawner->start(config->spawner->opaque, config->token, theirs);
	}
	if (status < 0) {
		return error_set(err, status, "gpu: can not start a server: %s", strerror(-status));
	}
	return fd_take(&ours);
}

struct gpu_server *gpu_server_start(const struct gpu_server_config *config, struct error *err)
{
	struct gpu_server *server = calloc(1, sizeof(*server));
	if (!server) {
		error_set(err, -ENOMEM, "gpu: out of memory");
		return NULL;
	}
	server->config = *config;
	server->config.name = NULL; /* borrowed for this call only */
	server->socket = -1;
	AUTO_FD int state_fd = server_make_state(&server->state, err);
	if (state_fd < 0) {
		free(server);
		return NULL;
	}
	server->socket = server_connect(config, false, state_fd, err);
	if (server->socket >= 0) {
		server->source = loop_add_fd(config->loop, server->socket, LOOP_IN,
					     server_on_socket, server);
	}
	if (!server->source) {
		if (server->socket >= 0) {
			error_set(err, -ENOMEM, "gpu: can not watch a server");
		}
		gpu_server_stop(server);
		return NULL;
	}
	return server;
}

void gpu_server_stop(struct gpu_server *server)
{
	if (!server) {
		return;
	}
	loop_remove(server->source);
	if (server->socket >= 0) {
		close(server->socket);
		server->config.spawner->end(server->config.spawner->opaque, server->config.token);
	}
	server->stopped = true;
	if (!server->in_event) {
		server_free(server);
	}
}

static int server_send(struct gpu_server *server, const void *data, size_t len, int fd)
{
	if (server->lost) {
		return -EPIPE;
	}
	ssize_t sent = sock_send(server->socket, data, len, &fd, fd >= 0 ? 1 : 0);
	if (sent == -EAGAIN && !server->wants_room) {
		server->wants_room = true;
		loop_mod_fd(server->source, LOOP_IN | LOOP_OUT);
	}
	return sent < 0 ? (int)sent : 0;
}

int gpu_server_create_blob(struct gpu_server *server, const struct wire_create_blob *request)
{
	return server_send(server, request, sizeof(*request), -1);
}

/* A sealed copy, so that the server can decode it in place. */
static int server_stream_fd(const void *stream, size_t len)
{
	AUTO_FD int fd = os_memory("oriel-gpu-stream");
	if (fd < 0) {
		return -errno;
	}
	for (size_t done = 0; done < len;) {
		ssize_t put = write(fd, (const char *)stream + done, len - done);
		if (put < 0) {
			return -errno;
		}
		done += (size_t)put;
	}
	if (os_seal(fd, OS_SEAL_SHRINK | OS_SEAL_GROW | OS_SEAL_WRITE | OS_SEAL_SEALS) < 0) {
		return -errno;
	}
	return fd_take(&fd);
}

int gpu_server_submit(struct gpu_server *server, const struct wire_submit *request,
		      const void *stream)
{
	if (request->bytes > WIRE_MAX_INLINE) {
		AUTO_FD int fd = server_stream_fd(stream, request->bytes);
		return fd < 0 ? fd : server_send(server, request, sizeof(*request), fd);
	}
	struct {
		struct wire_submit submit;
		uint8_t bytes[WIRE_MAX_INLINE];
	} message;
	message.submit = *request;
	message.submit.header.len = (uint32_t)(sizeof(*request) + request->bytes);
	if (request->bytes) {
		memcpy(message.bytes, stream, request->bytes);
	}
	return server_send(server, &message, message.submit.header.len, -1);
}

static struct wire_resource server_resource(enum wire_kind kind, uint32_t resource_id,
					    uint64_t size)
{
	return (struct wire_resource){
		.header = {.kind = kind, .len = sizeof(struct wire_resource)},
		.resource_id = resource_id,
		.size = size,
	};
}

int gpu_server_unref(struct gpu_server *server, uint32_t resource_id, uint64_t seq)
{
	struct wire_resource message = server_resource(WIRE_UNREF_RESOURCE, resource_id, 0);
	message.header.seq = seq;
	return server_send(server, &message, sizeof(message), -1);
}

int gpu_server_attach(struct gpu_server *server, uint32_t resource_id, int fd, uint64_t size)
{
	assert(fd >= 0);
	struct wire_resource message = server_resource(WIRE_ATTACH_RESOURCE, resource_id, size);
	return server_send(server, &message, sizeof(message), fd);
}

bool gpu_server_is_welcomed(const struct gpu_server *server)
{
	return server->welcomed;
}

void gpu_server_read_counters(const struct gpu_server *server, struct gpu_server_counters *counters)
{
	const struct wire_state *state = server->state;
	counters->commands = __atomic_load_n(&state->commands, __ATOMIC_RELAXED);
	counters->draws = __atomic_load_n(&state->draws, __ATOMIC_RELAXED);
	counters->dispatches = __atomic_load_n(&state->dispatches, __ATOMIC_RELAXED);
	counters->submits = __atomic_load_n(&state->submits, __ATOMIC_RELAXED);
	counters->record_bytes = __atomic_load_n(&state->record_bytes, __ATOMIC_RELAXED);
}

pid_t gpu_server_pid(const struct gpu_server *server)
{
	return server->config.spawner->pid(server->config.spawner->opaque, server->config.token);
}

/* Waits for the answer to a query.  Returns 0 with *welcome filled as received. */
static int server_await_welcome(int socket, unsigned limit_ms, struct wire_welcome *welcome,
				struct error *err)
{
	uint64_t deadline = loop_now_ns() + (uint64_t)limit_ms * 1000000;
	for (;;) {
		uint64_t now = loop_now_ns();
		struct pollfd poll_fd = {.fd = socket, .events = POLLIN};
		int ready = now < deadline
				    ? poll(&poll_fd, 1, (int)((deadline - now) / 1000000) + 1)
				    : 0;
		if (ready == 0) {
			return error_set(err, -ETIMEDOUT,
					 "gpu: the Vulkan server did not answer within %u ms",
					 limit_ms);
		}
		if (ready > 0) {
			break;
		}
	}
	ssize_t got = sock_recv(socket, welcome, sizeof(*welcome), NULL, NULL);
	if (got != (ssize_t)sizeof(*welcome) || welcome->header.kind != WIRE_WELCOME ||
	    welcome->header.len != sizeof(*welcome)) {
		return error_set(err, -EPROTO,
				 got == 0 ? "gpu: the Vulkan server ended while starting"
					  : "gpu: the Vulkan server sent nonsense");
	}
	return 0;
}

int gpu_server_query(const struct gpu_spawner *spawner, uint32_t token, unsigned limit_ms,
		     struct wire_welcome *welcome, struct error *err)
{
	struct wire_state *state;
	AUTO_FD int state_fd = server_make_state(&state, err);
	if (state_fd < 0) {
		return state_fd;
	}
	munmap(state, sizeof(*state));
	struct gpu_server_config config = {.spawner = spawner, .token = token, .name = "query"};
	AUTO_FD int socket = server_connect(&config, true, state_fd, err);
	if (socket < 0) {
		return socket;
	}
	int status = server_await_welcome(socket, limit_ms, welcome, err);
	own_close(&socket);
	spawner->end(spawner->opaque, token);
	if (status < 0) {
		return status;
	}
	server_clean_text(welcome->text, sizeof(welcome->text));
	server_clean_text(welcome->driver, sizeof(welcome->driver));
	if (welcome->status != 0) {
		return error_set(err, -ENODEV, "%s",
				 *welcome->text ? welcome->text : "no usable Vulkan driver");
	}
	if (welcome->version != WIRE_VERSION) {
		return error_set(err, -EPROTO,
				 "gpu: oriel-gpu belongs to another version of oriel");
	}
	return 0;
}
