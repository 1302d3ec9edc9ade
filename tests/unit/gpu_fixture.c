/* SPDX-License-Identifier: Apache-2.0 */
/* gpu_fixture.c - see gpu_fixture.h */
#include "gpu_fixture.h"
#include "base/sock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static struct fixture *fixture_of_engine(struct engine *engine)
{
	return (struct fixture *)((char *)engine - offsetof(struct fixture, engine));
}

static int engine_map(struct engine *engine, uint64_t offset, int fd, uint64_t fd_offset,
		      uint64_t len, struct error *err)
{
	struct fixture *f = fixture_of_engine(engine);
	if (f->map_status) {
		return error_set(err, f->map_status, "fake engine refuses");
	}
	f->maps++;
	if (f->keep_maps) {
		f->last_map =
			mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)fd_offset);
	}
	f->last_offset = offset;
	f->last_len = len;
	return 0;
}

static void engine_unmap(struct engine *engine, uint64_t offset, uint64_t len)
{
	struct fixture *f = fixture_of_engine(engine);
	f->unmaps++;
	f->last_offset = offset;
	f->last_len = len;
}

static const struct engine_ops engine_ops = {.window_map = engine_map,
					     .window_unmap = engine_unmap};

static struct wire_welcome fixture_make_welcome(int status)
{
	struct wire_welcome welcome = {
		.header = {.kind = WIRE_WELCOME, .len = sizeof(welcome)},
		.status = status,
		.version = WIRE_VERSION,
		.driver = "fake driver",
		.text = "no Vulkan driver",
	};
	memset(welcome.capset, 0xc5, sizeof(welcome.capset));
	return welcome;
}

static int spawner_start(void *opaque, uint32_t token, int socket)
{
	struct fixture *f = opaque;
	if (f->start_status || f->server_count == FIXTURE_SERVERS) {
		return f->start_status ? f->start_status : -EAGAIN;
	}
	struct fixture_server *server = &f->servers[f->server_count];
	server->token = token;
	server->socket = fcntl(socket, F_DUPFD_CLOEXEC, 0);
	server->ended = false;
	fcntl(server->socket, F_SETFL, O_NONBLOCK);
	int fds[2] = {-1, -1};
	size_t count = 2;
	ssize_t got = sock_recv(server->socket, &server->hello, sizeof(server->hello), fds, &count);
	assert(got == (ssize_t)sizeof(server->hello) &&
	       count == (server->hello.query_only ? 1 : 2));
	server->state = fds[0];
	server->ledger = fds[1];
	if (!server->hello.query_only) {
		f->server_count++;
		return 0;
	}
	struct wire_welcome welcome = fixture_make_welcome(f->welcome_status);
	if (!f->mute_query) {
		(void)!sock_send(server->socket, &welcome, sizeof(welcome), NULL, 0);
	}
	close(server->state);
	if (!f->mute_query) {
		close(server->socket);
	}
	return 0;
}

static void spawner_end(void *opaque, uint32_t token)
{
	struct fixture *f = opaque;
	for (unsigned i = 0; i < f->server_count; i++) {
		if (f->servers[i].token == token) {
			f->servers[i].ended = true;
			if (!f->lingers) {
				f->ended(f->ended_opaque, token);
			}
		}
	}
}

static void spawner_watch(void *opaque, void (*ended)(void *, uint32_t), void *ended_opaque)
{
	struct fixture *f = opaque;
	f->ended = ended;
	f->ended_opaque = ended_opaque;
}

static pid_t spawner_pid(void *opaque, uint32_t token)
{
	return (pid_t)(1000 + token);
}

static void on_answer(struct gpu *gpu, struct gpu_command *command, const void *answer, size_t len)
{
	struct fixture *f = gpu->owner;
	struct fixture_answer *to = &f->answers[f->answer_count++ % FIXTURE_ANSWERS];
	to->tag = (uintptr_t)command->chain;
	to->len = len;
	assert(len <= sizeof(to->bytes) && len >= sizeof(to->header));
	memcpy(to->bytes, answer, len);
	memcpy(&to->header, answer, sizeof(to->header));
}

bool fixture_open(struct fixture *f, bool shared, struct error *err)
{
	f->loop = loop_create(err);
	f->gmem = gmem_create();
	f->display = display_create(2, 640, 480);
	f->answers = calloc(FIXTURE_ANSWERS, sizeof(*f->answers));
	assert(f->loop && f->gmem && f->display && f->answers);
	int status = gmem_add_ram(f->gmem, FIXTURE_RAM_GPA, FIXTURE_RAM, err);
	assert(status == 0);
	gmem_seal(f->gmem);
	f->engine.ops = &engine_ops;
	f->engine.window_granule = f->granule ? f->granule : 4096;
	f->spawner =
		(struct gpu_spawner){spawner_start, spawner_end, spawner_watch, spawner_pid, f};
	struct virtio_gpu_config config = {
		.shared = shared,
		.window_bytes = FIXTURE_WINDOW,
		.memory_limit = 8 << 20,
		.limit_2d = 8 << 20,
		.start_limit_ms = f->real ? 30000 : 300,
	};
	struct virtio_gpu_parts parts = {f->loop, f->gmem, &f->engine, f->display,
					 f->real ? f->real : &f->spawner};
	f->gpu = gpu_create(&config, &parts, err);
	if (f->gpu) {
		f->gpu->owner = f;
		f->gpu->answer = on_answer;
	}
	return f->gpu != NULL;
}

void fixture_close(struct fixture *f)
{
	gpu_destroy(f->gpu);
	for (unsigned i = 0; i < f->server_count; i++) {
		if (f->servers[i].socket >= 0) {
			close(f->servers[i].socket);
		}
		close(f->servers[i].state);
		close(f->servers[i].ledger);
	}
	display_destroy(f->display);
	gmem_destroy(f->gmem);
	loop_destroy(f->loop);
	free(f->answers);
}

static struct gpu_command *fixture_command(uintptr_t tag, const void *bytes, size_t len)
{
	struct gpu_command *command = gpu_command_create(len);
	if (command) {
		memcpy(command->bytes, bytes, len);
		command->chain = (struct virtq_chain *)tag;
	}
	return command;
}

void fixture_send(struct fixture *f, uintptr_t tag, const void *bytes, size_t len)
{
	struct gpu_command *command = fixture_command(tag, bytes, len);
	if (command) {
		gpu_execute(f->gpu, command);
	}
}

void fixture_send_cursor(struct fixture *f, uintptr_t tag, const void *bytes, size_t len)
{
	struct gpu_command *command = fixture_command(tag, bytes, len);
	if (command) {
		gpu_execute_cursor(f->gpu, command);
	}
}

static void fixture_stop(void *opaque)
{
	loop_stop(opaque);
}

void fixture_settle(struct fixture *f)
{
	for (unsigned i = 0; i < 3; i++) {
		int status = loop_post(f->loop, fixture_stop, f->loop);
		assert(status == 0);
		loop_run(f->loop);
	}
}

uint32_t fixture_await(struct fixture *f, uintptr_t tag, unsigned limit_ms)
{
	uint64_t end = loop_now_ns() + limit_ms * UINT64_C(1000000);
	while (!fixture_type(f, tag) && loop_now_ns() < end) {
		fixture_settle(f);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return fixture_type(f, tag);
}

const struct fixture_answer *fixture_answer(const struct fixture *f, uintptr_t tag)
{
	unsigned kept = f->answer_count < FIXTURE_ANSWERS ? f->answer_count : FIXTURE_ANSWERS;
	for (unsigned i = 0; i < kept; i++) {
		if (f->answers[i].tag == tag) {
			return &f->answers[i];
		}
	}
	return NULL;
}

uint32_t fixture_type(const struct fixture *f, uintptr_t tag)
{
	const struct fixture_answer *answer = fixture_answer(f, tag);
	return answer ? answer->header.type : 0;
}

ssize_t fixture_receive(struct fixture *f, unsigned server, void *message, size_t size, int *fd)
{
	int received = -1;
	size_t count = 1;
	ssize_t got = sock_recv(f->servers[server].socket, message, size, &received, &count);
	if (got > 0 && count) {
		if (fd) {
			*fd = received;
		} else {
			close(received);
		}
	}
	return got;
}

void fixture_reply(struct fixture *f, unsigned server, const void *message, size_t len, int fd)
{
	(void)!sock_send(f->servers[server].socket, message, len, &fd, fd >= 0 ? 1 : 0);
	fixture_settle(f);
}

void fixture_welcome(struct fixture *f, unsigned server)
{
	struct wire_welcome welcome = fixture_make_welcome(0);
	fixture_reply(f, server, &welcome, sizeof(welcome), -1);
}

int fixture_memfd(uint64_t size, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert(fd >= 0 && ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}
