/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_oriel_gpu.c - the GPU device with real servers: broker, oriel-gpu, the host's Vulkan driver
 *
 * argv[1] is oriel-gpu.  The test plays the guest's kernel and its Venus driver, byte by byte.
 */
#include "../unit/unit.h"

#include "../unit/gpu_fixture.h"
#include "vmm/broker.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	LIMIT_MS = 30000,
	RING_BYTES = 131268,
	RING_HEAD = 0,
	RING_TAIL = 64,
	RING_STATUS = 128,
	RING_BUFFER = 192
};

static const char *server_path;

struct bench {
	struct fixture f; /* first */
	struct broker *broker;
};

static int open_bench(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct error err = {0};
	struct broker_config config = {.gpu_server = server_path};
	*state = b;
	b->broker = broker_start(&config, &err);
	b->f.real = b->broker ? broker_gpu_spawner(b->broker) : NULL;
	b->f.keep_maps = true;
	if (!b->broker || !fixture_open(&b->f, true, &err) ||
	    broker_watch(b->broker, b->f.loop, &err) < 0) {
		print_error("%s\n", err.text);
		return -1;
	}
	return 0;
}

static int close_bench(void **state)
{
	struct bench *b = *state;
	gpu_destroy(b->f.gpu);
	b->f.gpu = NULL;
	broker_unwatch(b->broker);
	broker_stop(b->broker);
	fixture_close(&b->f);
	free(b);
	return 0;
}

static uint32_t create_context(struct fixture *f, uintptr_t tag, uint32_t id)
{
	struct gpu_ctx_create m = {
		{.type = GPU_CTX_CREATE, .ctx_id = id}, 4, GPU_CAPSET_VENUS, "wiretest"};
	fixture_send(f, tag, &m, sizeof(m));
	return fixture_await(f, tag, LIMIT_MS);
}

/* As the guest's kernel does it: CREATE and MAP at once.  Returns the memory. */
static uint8_t *map_shmem(struct fixture *f, uintptr_t tag, uint32_t ctx, uint32_t resource,
			  uint64_t size, uint64_t offset)
{
	struct gpu_create_blob create = {{.type = GPU_RESOURCE_CREATE_BLOB, .ctx_id = ctx},
					 resource,
					 GPU_BLOB_MEM_HOST3D,
					 GPU_BLOB_MAPPABLE,
					 0,
					 0,
					 size};
	struct gpu_map_blob map = {{.type = GPU_RESOURCE_MAP_BLOB}, resource, 0, offset};
	fixture_send(f, tag, &create, sizeof(create));
	fixture_send(f, tag + 1, &map, sizeof(map));
	assert_int_equal(fixture_await(f, tag, LIMIT_MS), GPU_OK_NODATA);
	assert_int_equal(fixture_await(f, tag + 1, LIMIT_MS), GPU_OK_MAP_INFO);
	assert_ptr_not_equal(f->last_map, (void *)-1);
	return f->last_map;
}

struct stream {
	uint32_t words[64];
	uint32_t count;
};

static void put32(struct stream *s, uint32_t value)
{
	s->words[s->count++] = value;
}

static void put64(struct stream *s, uint64_t value)
{
	put32(s, (uint32_t)value);
	put32(s, (uint32_t)(value >> 32));
}

static void submit(struct fixture *f, uintptr_t tag, uint32_t ctx, int ring, uint64_t fence,
		   const struct stream *s)
{
	struct {
		struct gpu_submit_3d head;
		uint32_t words[64];
	} m = {{{.type = GPU_SUBMIT_3D, .ctx_id = ctx}, s->count * 4, 0}};
	if (ring >= 0) {
		m.head.header.flags = GPU_FLAG_FENCE | GPU_FLAG_RING_IDX;
		m.head.header.fence_id = fence;
		m.head.header.ring_idx = (uint8_t)ring;
	}
	memcpy(m.words, s->words, s->count * 4);
	fixture_send(f, tag, &m, sizeof(m.head) + s->count * 4);
}

/* vkCreateRingMESA as Mesa sends it, ring id 0x55; the server polls for @idle_ms before it sleeps.
 */
static struct stream create_ring(uint32_t resource, uint32_t idle_ms)
{
	struct stream s = {0};
	put32(&s, 188);
	put32(&s, 0);
	put64(&s, 0x55);
	put64(&s, 1);
	put32(&s, 1000384000);
	put64(&s, 1);
	put32(&s, 1000384006); /* monitor */
	put64(&s, 0);
	put32(&s, 3000000);
	put32(&s, 0);
	put32(&s, resource);
	put64(&s, 0);
	put64(&s, RING_BYTES);
	put64(&s, idle_ms * UINT64_C(1000000));
	put64(&s, RING_HEAD);
	put64(&s, RING_TAIL);
	put64(&s, RING_STATUS);
	put64(&s, RING_BUFFER);
	put64(&s, 131072);
	put64(&s, RING_BUFFER + 131072);
	put64(&s, 4);
	return s;
}

/* Puts commands in the ring and waits until the server has taken them. */
static bool run_in_ring(struct fixture *f, uint8_t *ring, const struct stream *s)
{
	_Atomic uint32_t *head = (void *)(ring + RING_HEAD), *tail = (void *)(ring + RING_TAIL);
	uint32_t at = atomic_load(tail);
	memcpy(ring + RING_BUFFER + at, s->words, s->count * 4);
	atomic_store(tail, at + s->count * 4);
	struct stream notify = {0};
	put32(&notify, 190);
	put32(&notify, 0);
	put64(&notify, 0x55);
	put32(&notify, at + s->count * 4);
	put32(&notify, 0);
	submit(f, 0x9000 + at, 1, -1, 0, &notify);
	for (unsigned i = 0; i < LIMIT_MS && atomic_load(head) != at + s->count * 4; i++) {
		fixture_settle(f);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return atomic_load(head) == at + s->count * 4;
}

static void the_capset_is_venus_one(void **state)
{
	struct fixture *f = *state;
	struct gpu_get_capset get = {{.type = GPU_GET_CAPSET}, 4, 0};
	fixture_send(f, 1, &get, sizeof(get));
	uint32_t words[40];
	assert_int_equal(fixture_type(f, 1), GPU_OK_CAPSET);
	memcpy(words, fixture_answer(f, 1)->bytes + sizeof(struct gpu_header), sizeof(words));
	assert_int_equal(words[0], 1);
	assert_true(words[1] >= (1 << 22 | 1 << 12));
	assert_int_equal(words[4], 1);
	assert_true(words[5] & 1);
	struct virtio_gpu_stats stats;
	gpu_copy_stats(f->gpu, &stats);
	assert_true(stats.driver[0] && stats.api_version);
}

static void a_ring_answers_through_the_window(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create_context(f, 1, 1), GPU_OK_NODATA);
	uint8_t *ring = map_shmem(f, 10, 1, 1, RING_BYTES, 0);
	assert_int_equal(*(uint32_t *)(ring + RING_TAIL), 0);
	struct stream create = create_ring(1, 1);
	submit(f, 20, 1, -1, 0, &create);
	assert_int_equal(fixture_await(f, 20, LIMIT_MS), GPU_OK_NODATA);
	uint8_t *reply = map_shmem(f, 30, 1, 2, 4096, 1 << 20);
	struct stream ask = {0};
	put32(&ask, 178); /* vkSetReplyCommandStreamMESA */
	put32(&ask, 0);
	put64(&ask, 1);
	put32(&ask, 2);
	put64(&ask, 64);
	put64(&ask, 1024);
	put32(&ask, 137); /* vkEnumerateInstanceVersion, with reply */
	put32(&ask, 1);
	put64(&ask, 1);
	assert_true(run_in_ring(f, ring, &ask));
	uint32_t answer[5];
	memcpy(answer, reply + 64, sizeof(answer));
	assert_int_equal(answer[0], 137);
	assert_int_equal(answer[1], 0);
	assert_int_equal(answer[2], 1);
	assert_int_equal(answer[4] >> 22, 1);
	assert_int_equal(*(uint32_t *)(ring + RING_STATUS) & 2, 0);
	/* The statistics know the process and its work. */
	struct virtio_gpu_stats stats;
	gpu_copy_stats(f->gpu, &stats);
	assert_true(stats.commands >= 2);
	assert_true(stats.contexts[0].pid > 0);
	assert_int_equal(kill(stats.contexts[0].pid, 0), 0);
}

static void empty_fenced_streams_complete_on_every_timeline(void **state)
{
	struct fixture *f = *state;
	struct stream nothing = {0};
	assert_int_equal(create_context(f, 1, 1), GPU_OK_NODATA);
	submit(f, 2, 1, 0, 100, &nothing);
	submit(f, 3, 1, 7, 101, &nothing);
	assert_int_equal(fixture_await(f, 2, LIMIT_MS), GPU_OK_NODATA);
	assert_int_equal(fixture_await(f, 3, LIMIT_MS), GPU_OK_NODATA);
	assert_true(fixture_answer(f, 3)->header.fence_id == 101);
}

static void a_blocked_context_blocks_nobody(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create_context(f, 1, 1), GPU_OK_NODATA);
	assert_int_equal(create_context(f, 2, 2), GPU_OK_NODATA);
	uint8_t *ring = map_shmem(f, 10, 1, 1, RING_BYTES, 0);
	struct stream create = create_ring(1, LIMIT_MS), wait = {0}, nothing = {0};
	submit(f, 20, 1, -1, 0, &create);
	put32(&wait, 253); /* vkWaitRingSeqnoMESA: until 32 bytes of the ring are done */
	put32(&wait, 0);
	put64(&wait, 0x55);
	put64(&wait, 32);
	submit(f, 21, 1, -1, 0, &wait);
	struct gpu_create_blob blob = {{.type = GPU_RESOURCE_CREATE_BLOB, .ctx_id = 1},
				       5,
				       GPU_BLOB_MEM_HOST3D,
				       GPU_BLOB_MAPPABLE,
				       0,
				       0,
				       4096};
	fixture_send(f, 22, &blob, sizeof(blob));
	submit(f, 23, 2, 0, 1, &nothing);
	assert_int_equal(fixture_await(f, 23, LIMIT_MS), GPU_OK_NODATA);
	map_shmem(f, 30, 2, 40, 4096, 1 << 20);
	assert_int_equal(fixture_type(f, 21) | fixture_type(f, 22), 0);
	/* What is awaited: vkEnumerateInstanceVersion without reply, twice. */
	uint32_t commands[8] = {137, 0, 1, 0, 137, 0, 1, 0};
	memcpy(ring + RING_BUFFER, commands, sizeof(commands));
	atomic_store((_Atomic uint32_t *)(ring + RING_TAIL), 32);
	assert_int_equal(fixture_await(f, 21, LIMIT_MS), GPU_OK_NODATA);
	assert_int_equal(fixture_await(f, 22, LIMIT_MS), GPU_OK_NODATA);
}

static void a_killed_server_costs_its_context_only(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create_context(f, 1, 1), GPU_OK_NODATA);
	assert_int_equal(create_context(f, 2, 2), GPU_OK_NODATA);
	uint8_t *memory = map_shmem(f, 10, 1, 1, 4096, 0);
	memory[5] = 55;
	struct virtio_gpu_stats stats;
	gpu_copy_stats(f->gpu, &stats);
	assert_int_equal(kill(stats.contexts[0].pid, SIGKILL), 0);
	for (unsigned i = 0; i < LIMIT_MS && f->gpu->contexts_lost == 0; i++) {
		fixture_settle(f);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	assert_int_equal(f->gpu->contexts_lost, 1);
	assert_int_equal(memory[5], 55);
	struct stream nothing = {0};
	submit(f, 20, 1, 0, 1, &nothing);
	assert_int_equal(fixture_await(f, 20, LIMIT_MS), GPU_ERR_UNSPEC);
	submit(f, 21, 2, 0, 1, &nothing);
	assert_int_equal(fixture_await(f, 21, LIMIT_MS), GPU_OK_NODATA);
}

static uint32_t make_blob(struct fixture *f, uintptr_t tag, uint32_t ctx, uint32_t resource,
			  uint64_t size)
{
	struct gpu_create_blob create = {{.type = GPU_RESOURCE_CREATE_BLOB, .ctx_id = ctx},
					 resource,
					 GPU_BLOB_MEM_HOST3D,
					 GPU_BLOB_MAPPABLE,
					 0,
					 0,
					 size};
	fixture_send(f, tag, &create, sizeof(create));
	return fixture_await(f, tag, LIMIT_MS);
}

static uint64_t held(struct fixture *f)
{
	struct virtio_gpu_stats stats;
	gpu_copy_stats(f->gpu, &stats);
	return stats.memory_bytes;
}

/* The fixture's VM may have 8 MiB. */
static void what_a_killed_server_had_is_counted_until_the_guest_drops_it(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create_context(f, 1, 1), GPU_OK_NODATA);
	assert_int_equal(create_context(f, 2, 2), GPU_OK_NODATA);
	uint8_t *ring = map_shmem(f, 10, 1, 1, RING_BYTES, 0);
	struct stream create = create_ring(1, 1);
	submit(f, 20, 1, -1, 0, &create);
	assert_int_equal(fixture_await(f, 20, LIMIT_MS), GPU_OK_NODATA);
	assert_non_null(ring);
	assert_int_equal(make_blob(f, 21, 1, 2, 5 << 20), GPU_OK_NODATA);
	uint64_t blobs = (5 << 20) + (RING_BYTES + 4095) / 4096 * 4096;
	assert_int_equal(held(f), blobs + 131072); /* the server has a copy of the ring's buffer */
	assert_int_equal(make_blob(f, 22, 2, 3, 3 << 20), GPU_ERR_OUT_OF_MEMORY);
	struct virtio_gpu_stats stats;
	gpu_copy_stats(f->gpu, &stats);
	assert_int_equal(kill(stats.contexts[0].pid, SIGKILL), 0);
	for (unsigned i = 0; i < LIMIT_MS && held(f) != blobs; i++) {
		fixture_settle(f);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	assert_int_equal(held(f), blobs);
	assert_int_equal(make_blob(f, 23, 2, 4, 3 << 20), GPU_ERR_OUT_OF_MEMORY);
	struct gpu_resource_ref drop = {{.type = GPU_RESOURCE_UNREF}, 2, 0};
	fixture_send(f, 24, &drop, sizeof(drop));
	assert_int_equal(fixture_await(f, 24, LIMIT_MS), GPU_OK_NODATA);
	assert_int_equal(make_blob(f, 25, 2, 5, 7 << 20), GPU_OK_NODATA);
	assert_int_equal(held(f), blobs + (2 << 20));
}

static void nonsense_in_a_stream_ends_the_context_only(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create_context(f, 1, 1), GPU_OK_NODATA);
	struct stream nonsense = {0}, nothing = {0};
	put32(&nonsense, 0xdeadbeef);
	put32(&nonsense, 0);
	submit(f, 2, 1, 0, 1, &nonsense);
	assert_true(fixture_await(f, 2, LIMIT_MS) != 0);
	assert_int_equal(create_context(f, 3, 2), GPU_OK_NODATA);
	submit(f, 4, 2, 0, 1, &nothing);
	assert_int_equal(fixture_await(f, 4, LIMIT_MS), GPU_OK_NODATA);
}

static void no_driver_is_one_clear_line(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct error err = {0};
	struct broker_config config = {.gpu_server = server_path};
	setenv("VK_ICD_FILENAMES", "/nonexistent/driver.json", 1);
	setenv("VK_DRIVER_FILES", "/nonexistent/driver.json", 1);
	b->broker = broker_start(&config, &err);
	unsetenv("VK_ICD_FILENAMES");
	unsetenv("VK_DRIVER_FILES");
	b->f.real = broker_gpu_spawner(b->broker);
	assert_false(fixture_open(&b->f, true, &err));
	if (!strstr(err.text, "Vulkan")) {
		fail_msg("unclear: %s", err.text);
	}
	broker_stop(b->broker);
	fixture_close(&b->f);
	free(b);
}

int main(int argc, char **argv)
{
	assert(argc == 2);
	server_path = argv[1];
#define REAL(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)
	const struct CMUnitTest tests[] = {
		REAL(the_capset_is_venus_one),
		REAL(a_ring_answers_through_the_window),
		REAL(empty_fenced_streams_complete_on_every_timeline),
		REAL(a_blocked_context_blocks_nobody),
		REAL(a_killed_server_costs_its_context_only),
		REAL(what_a_killed_server_had_is_counted_until_the_guest_drops_it),
		REAL(nonsense_in_a_stream_ends_the_context_only),
		cmocka_unit_test(no_driver_is_one_clear_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
