/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpu_fixture.h - the GPU device with everything around it faked: guest, engine, servers
 *
 * The test plays the guest (send()) and the servers (the other ends of their sockets).
 * Threads: one.
 */
#ifndef ORIEL_TESTS_GPU_FIXTURE_H
#define ORIEL_TESTS_GPU_FIXTURE_H

#include "gpu/gpu.h"

enum {
	FIXTURE_SERVERS = 80,
	FIXTURE_ANSWERS = 4096,
	FIXTURE_RAM = 1 << 20,
	FIXTURE_WINDOW = 4 << 20
};
#define FIXTURE_RAM_GPA UINT64_C(0x40000000)

struct fixture_answer {
	uintptr_t tag;
	struct gpu_header header;
	uint8_t bytes[1200];
	size_t len;
};

struct fixture_server {
	uint32_t token;
	int socket; /* the server's end; -1: not started, or closed by the test */
	int state;  /* its wire_state */
	int ledger; /* what all servers hold */
	bool ended;
	struct wire_hello hello;
};

struct fixture {
	struct loop *loop;
	struct gmem *gmem;
	struct display *display;
	struct engine engine;
	uint32_t granule; /* of the engine; 0: 4096.  Before fixture_open() */
	struct gpu_spawner spawner;
	const struct gpu_spawner *real; /* set before fixture_open(): used instead of the fake */
	struct gpu *gpu;
	int welcome_status; /* what the query is answered with */
	bool mute_query;
	int start_status; /* what spawner.start returns */
	void (*ended)(void *opaque, uint32_t token); /* as the device wants to be told */
	void *ended_opaque;
	bool lingers; /* processes do not end when they are asked to */
	struct fixture_server servers[FIXTURE_SERVERS];
	unsigned server_count;
	struct fixture_answer *answers; /* in the order given, FIXTURE_ANSWERS of them */
	unsigned answer_count;
	unsigned maps, unmaps;
	uint64_t last_offset, last_len;
	uint8_t *last_map; /* what was mapped last; set keep_maps before */
	bool keep_maps;
	int map_status;
};

/* With or without Vulkan.  False (and err) if gpu_create() failed; fixture_close() is to be called
 * anyhow. */
bool fixture_open(struct fixture *f, bool shared, struct error *err);
void fixture_close(struct fixture *f);
/* Send a control command; its answer will carry @tag. */
void fixture_send(struct fixture *f, uintptr_t tag, const void *bytes, size_t len);
void fixture_send_cursor(struct fixture *f, uintptr_t tag, const void *bytes, size_t len);
/* Let the loop handle what is there. */
void fixture_settle(struct fixture *f);
/* Let the loop work until the answer with @tag is there, at most @limit_ms.  Its type, 0 if it
 * never came. */
uint32_t fixture_await(struct fixture *f, uintptr_t tag, unsigned limit_ms);
/* The answer with @tag, or NULL. */
const struct fixture_answer *fixture_answer(const struct fixture *f, uintptr_t tag);
/* Type of the answer with @tag; 0 if there is none yet. */
uint32_t fixture_type(const struct fixture *f, uintptr_t tag);

/* As a server: the next request of @server, at most @size bytes.  -EAGAIN if there is none. */
ssize_t fixture_receive(struct fixture *f, unsigned server, void *message, size_t size, int *fd);
void fixture_reply(struct fixture *f, unsigned server, const void *message, size_t len, int fd);
void fixture_welcome(struct fixture *f, unsigned server);
/* A memfd of @size bytes with @seals. */
int fixture_memfd(uint64_t size, int seals);

#endif
