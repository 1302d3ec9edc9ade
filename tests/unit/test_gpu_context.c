/* SPDX-License-Identifier: Apache-2.0 */
/* test_gpu_context.c - contexts, blobs, fences and the wire, with the test in the place of the
 * servers */
#include "unit.h"

#include "gpu_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW };

static int open_shared(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error err = {0};
	*state = f;
	return fixture_open(f, true, &err) ? 0 : -1;
}

static int close_any(void **state)
{
	fixture_close(*state);
	free(*state);
	return 0;
}

static void send_ctx_create(struct fixture *f, uintptr_t tag, uint32_t ctx)
{
	struct gpu_ctx_create m = {
		{.type = GPU_CTX_CREATE, .ctx_id = ctx}, 4, GPU_CAPSET_VENUS, "vk\033test"};
	fixture_send(f, tag, &m, sizeof(m));
}

/* A context whose server (number *server) is up. */
static unsigned context(struct fixture *f, uint32_t ctx)
{
	unsigned server = f->server_count;
	send_ctx_create(f, 0x1000 + ctx, ctx);
	fixture_welcome(f, server);
	assert_int_equal(fixture_type(f, 0x1000 + ctx), GPU_OK_NODATA);
	return server;
}

static void send_simple(struct fixture *f, uintptr_t tag, uint32_t type, uint32_t ctx,
			uint32_t resource)
{
	struct gpu_resource_ref m = {{.type = type, .ctx_id = ctx}, resource, 0};
	fixture_send(f, tag, &m, sizeof(m));
}

static void send_blob(struct fixture *f, uintptr_t tag, uint32_t ctx, uint32_t resource,
		      uint64_t size)
{
	struct gpu_create_blob m = {{.type = GPU_RESOURCE_CREATE_BLOB, .ctx_id = ctx},
				    resource,
				    GPU_BLOB_MEM_HOST3D,
				    GPU_BLOB_MAPPABLE | GPU_BLOB_SHAREABLE,
				    0,
				    0,
				    size};
	fixture_send(f, tag, &m, sizeof(m));
}

static void send_map(struct fixture *f, uintptr_t tag, uint32_t resource, uint64_t offset)
{
	struct gpu_map_blob m = {{.type = GPU_RESOURCE_MAP_BLOB}, resource, 0, offset};
	fixture_send(f, tag, &m, sizeof(m));
}

static void send_submit(struct fixture *f, uintptr_t tag, uint32_t ctx, int ring, uint64_t fence,
			uint32_t size)
{
	uint32_t flags = ring >= 0 ? GPU_FLAG_FENCE | GPU_FLAG_RING_IDX : 0;
	struct gpu_submit_3d *m = calloc(1, sizeof(*m) + size);
	m->header = (struct gpu_header){GPU_SUBMIT_3D, flags, fence, ctx, (uint8_t)ring, {0}};
	m->size = size;
	memset(m + 1, 0x5a, size);
	fixture_send(f, tag, m, sizeof(*m) + size);
	free(m);
}

/* The next request of a server, which must be of @kind; returns its sequence number. */
static uint64_t expect(struct fixture *f, unsigned server, uint32_t kind)
{
	static uint8_t bytes[sizeof(struct wire_submit) + WIRE_MAX_INLINE];
	ssize_t got = fixture_receive(f, server, bytes, sizeof(bytes), NULL);
	struct wire_header header;
	assert_true(got >= (ssize_t)sizeof(header));
	memcpy(&header, bytes, sizeof(header));
	assert_int_equal(header.kind, kind);
	assert_int_equal(header.len, got);
	return header.seq;
}

static void expect_nothing(struct fixture *f, unsigned server)
{
	uint8_t byte;
	assert_int_equal(fixture_receive(f, server, &byte, 1, NULL), -EAGAIN);
}

static void reply_blob(struct fixture *f, unsigned server, uint64_t seq, uint64_t size, int fd)
{
	struct wire_blob m = {{WIRE_BLOB, sizeof(m), seq}, fd < 0 ? -ENOMEM : 0, 1, size};
	fixture_reply(f, server, &m, sizeof(m), fd);
	if (fd >= 0) {
		close(fd);
	}
}

static void reply_submitted(struct fixture *f, unsigned server, uint64_t seq, int status)
{
	struct wire_submitted m = {{WIRE_SUBMITTED, sizeof(m), seq}, status, 0};
	fixture_reply(f, server, &m, sizeof(m), -1);
}

static void reply_fence(struct fixture *f, unsigned server, uint32_t ring, uint64_t fence)
{
	struct wire_fence m = {{WIRE_FENCE, sizeof(m), 0}, ring, 0, fence};
	fixture_reply(f, server, &m, sizeof(m), -1);
}

/* A ready blob resource. */
static void blob(struct fixture *f, unsigned server, uint32_t ctx, uint32_t resource, uint64_t size)
{
	send_blob(f, 0x2000 + resource, ctx, resource, size);
	uint64_t rounded = (size + 4095) / 4096 * 4096;
	reply_blob(f, server, expect(f, server, WIRE_CREATE_BLOB), rounded,
		   fixture_memfd(rounded, SEALS));
	assert_int_equal(fixture_type(f, 0x2000 + resource), GPU_OK_NODATA);
}

static void the_capset_is_the_servers(void **state)
{
	struct fixture *f = *state;
	struct gpu_get_capset_info info = {{.type = GPU_GET_CAPSET_INFO}, 0, 0};
	fixture_send(f, 1, &info, sizeof(info));
	struct gpu_capset_info answer;
	memcpy(&answer, fixture_answer(f, 1)->bytes, sizeof(answer));
	assert_int_equal(answer.header.type, GPU_OK_CAPSET_INFO);
	assert_int_equal(answer.id, 4);
	assert_int_equal(answer.max_size, 160);
	struct gpu_get_capset get = {{.type = GPU_GET_CAPSET}, 4, 0};
	fixture_send(f, 2, &get, sizeof(get));
	assert_int_equal(fixture_type(f, 2), GPU_OK_CAPSET);
	assert_int_equal(fixture_answer(f, 2)->len, sizeof(struct gpu_header) + 160);
	assert_int_equal(fixture_answer(f, 2)->bytes[24 + 159], 0xc5);
	get.id = 1;
	fixture_send(f, 3, &get, sizeof(get));
	assert_int_equal(fixture_type(f, 3), GPU_ERR_INVALID_PARAMETER);
	info.index = 1;
	fixture_send(f, 4, &info, sizeof(info));
	assert_int_equal(fixture_type(f, 4), GPU_ERR_INVALID_PARAMETER);
}

static void a_context_is_ready_when_its_server_is(void **state)
{
	struct fixture *f = *state;
	send_ctx_create(f, 1, 5);
	send_submit(f, 2, 5, -1, 0, 8);
	fixture_settle(f);
	assert_int_equal(fixture_type(f, 1), 0);
	assert_int_equal(f->servers[0].hello.ctx_id, 5);
	assert_string_equal(f->servers[0].hello.name, "vk?test");
	uint64_t seq = expect(f, 0, WIRE_SUBMIT); /* sent before the welcome */
	fixture_welcome(f, 0);
	assert_int_equal(fixture_type(f, 1), GPU_OK_NODATA);
	reply_submitted(f, 0, seq, 0);
	assert_int_equal(fixture_type(f, 2), GPU_OK_NODATA);
	send_ctx_create(f, 3, 5);
	assert_int_equal(fixture_type(f, 3), GPU_ERR_INVALID_CONTEXT_ID);
	send_ctx_create(f, 4, 0);
	assert_int_equal(fixture_type(f, 4), GPU_ERR_INVALID_CONTEXT_ID);
	struct gpu_ctx_create virgl = {{.type = GPU_CTX_CREATE, .ctx_id = 6}, 0, 1, ""};
	fixture_send(f, 5, &virgl, sizeof(virgl));
	assert_int_equal(fixture_type(f, 5), GPU_ERR_INVALID_PARAMETER);
}

static void a_context_without_capset_needs_no_server(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1);
	struct gpu_ctx_create plain = {{.type = GPU_CTX_CREATE, .ctx_id = 7}, 0, 0, "dumb"};
	fixture_send(f, 1, &plain, sizeof(plain));
	assert_int_equal(fixture_type(f, 1), GPU_OK_NODATA);
	assert_int_equal(f->server_count, a + 1);
	blob(f, a, 1, 10, 4096);
	send_simple(f, 2, GPU_CTX_ATTACH_RESOURCE, 7, 10);
	assert_int_equal(fixture_type(f, 2), GPU_OK_NODATA);
	send_submit(f, 3, 7, -1, 0, 8);
	assert_int_equal(fixture_type(f, 3), GPU_ERR_INVALID_PARAMETER);
	send_blob(f, 4, 7, 11, 4096);
	assert_int_equal(fixture_type(f, 4), GPU_ERR_UNSPEC);
	send_simple(f, 5, GPU_CTX_DETACH_RESOURCE, 7, 10);
	assert_int_equal(fixture_type(f, 5), GPU_OK_NODATA);
	gpu_context_watch(f->gpu);
	struct gpu_header destroy = {.type = GPU_CTX_DESTROY, .ctx_id = 7};
	fixture_send(f, 6, &destroy, sizeof(destroy));
	assert_int_equal(fixture_type(f, 6), GPU_OK_NODATA);
	expect_nothing(f, a);
}

static void map_waits_for_create_and_nobody_else(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1), b = context(f, 2);
	send_submit(f, 1, 1, -1, 0, 4); /* as if the server blocked in it */
	send_blob(f, 2, 1, 10, 5000);
	send_map(f, 3, 10, 0x10000);
	send_simple(f, 4, GPU_CTX_ATTACH_RESOURCE, 1, 10);
	assert_int_equal(fixture_type(f, 4), GPU_OK_NODATA);
	/* Another context and the display go on. */
	blob(f, b, 2, 20, 4096);
	send_map(f, 5, 20, 0);
	assert_int_equal(fixture_type(f, 5), GPU_OK_MAP_INFO);
	struct gpu_header info = {.type = GPU_GET_DISPLAY_INFO};
	fixture_send(f, 6, &info, sizeof(info));
	assert_int_equal(fixture_type(f, 6), GPU_OK_DISPLAY_INFO);
	assert_int_equal(fixture_type(f, 2) | fixture_type(f, 3), 0);
	reply_submitted(f, a, expect(f, a, WIRE_SUBMIT), 0);
	reply_blob(f, a, expect(f, a, WIRE_CREATE_BLOB), 8192, fixture_memfd(8192, SEALS));
	assert_int_equal(fixture_type(f, 2), GPU_OK_NODATA);
	assert_int_equal(fixture_type(f, 3), GPU_OK_MAP_INFO);
	struct gpu_map_info answer;
	memcpy(&answer, fixture_answer(f, 3)->bytes, sizeof(answer));
	assert_int_equal(answer.map_info, 1);
	assert_int_equal(f->last_offset, 0x10000);
	assert_int_equal(f->last_len, 8192);
}

static void unref_of_a_pending_blob_takes_effect_in_order(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1);
	send_blob(f, 1, 1, 10, 4096);
	send_map(f, 2, 10, 0);
	send_simple(f, 3, GPU_RESOURCE_UNMAP_BLOB, 0, 10);
	send_simple(f, 4, GPU_RESOURCE_UNREF, 0, 10);
	send_map(f, 5, 10, 0);
	reply_blob(f, a, expect(f, a, WIRE_CREATE_BLOB), 4096, fixture_memfd(4096, SEALS));
	assert_int_equal(fixture_type(f, 2), GPU_OK_MAP_INFO);
	assert_int_equal(fixture_type(f, 3), GPU_OK_NODATA);
	assert_int_equal(fixture_type(f, 4), GPU_OK_NODATA);
	assert_int_equal(fixture_type(f, 5), GPU_ERR_INVALID_RESOURCE_ID);
	expect(f, a, WIRE_UNREF_RESOURCE);
	assert_int_equal(f->gpu->bytes_blob, 0);
	assert_int_equal(f->gpu->bytes_mapped, 0);
}

static void maps_are_checked_against_the_window(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1);
	blob(f, a, 1, 10, 3 * 4096);
	blob(f, a, 1, 11, 4096);
	send_map(f, 1, 10, 4);
	assert_int_equal(fixture_type(f, 1), GPU_ERR_INVALID_PARAMETER);
	send_map(f, 2, 10, FIXTURE_WINDOW - 2 * 4096);
	assert_int_equal(fixture_type(f, 2), GPU_ERR_INVALID_PARAMETER);
	send_map(f, 3, 10, UINT64_MAX - 4095);
	assert_int_equal(fixture_type(f, 3), GPU_ERR_INVALID_PARAMETER);
	send_map(f, 4, 10, FIXTURE_WINDOW - 3 * 4096);
	assert_int_equal(fixture_type(f, 4), GPU_OK_MAP_INFO);
	send_map(f, 5, 10, 0); /* mapped already */
	assert_int_equal(fixture_type(f, 5), GPU_ERR_INVALID_PARAMETER);
	send_map(f, 6, 11, FIXTURE_WINDOW - 4096); /* over it */
	assert_int_equal(fixture_type(f, 6), GPU_ERR_INVALID_PARAMETER);
	send_map(f, 7, 11, FIXTURE_WINDOW - 4 * 4096);
	assert_int_equal(fixture_type(f, 7), GPU_OK_MAP_INFO);
	send_simple(f, 8, GPU_RESOURCE_UNREF, 0, 10); /* unmaps too */
	expect(f, a, WIRE_UNREF_RESOURCE);
	assert_int_equal(f->last_len, 3 * 4096);
	send_simple(f, 9, GPU_RESOURCE_UNMAP_BLOB, 0, 11);
	assert_int_equal(fixture_type(f, 9), GPU_OK_NODATA);
	send_simple(f, 10, GPU_RESOURCE_UNMAP_BLOB, 0, 11);
	assert_int_equal(fixture_type(f, 10), GPU_ERR_INVALID_PARAMETER);
	send_map(f, 11, 11, FIXTURE_WINDOW - 4096);
	assert_int_equal(fixture_type(f, 11), GPU_OK_MAP_INFO);
	assert_int_equal(f->gpu->bytes_mapped, 4096);
	f->map_status = -ENOMEM;
	blob(f, a, 1, 12, 4096);
	send_map(f, 12, 12, 0);
	assert_int_equal(fixture_type(f, 12), GPU_ERR_INVALID_PARAMETER);
}

/* A host with 16 or 64 KiB pages: only whole ones are mapped, and no two blobs share one. */
static void large_granules_are_never_shared(void **state)
{
	static const uint32_t sizes[] = {1, 4095, 4097, 131268};
	for (uint32_t granule = 16384; granule <= 65536; granule *= 4) {
		struct fixture *f = calloc(1, sizeof(*f));
		f->granule = granule;
		assert_true(fixture_open(f, true, &(struct error){0}));
		unsigned a = context(f, 1);
		assert_int_equal(f->servers[a].hello.blob_alignment, granule);
		uint64_t at = 0;
		for (uint32_t i = 0; i < 4; i++) {
			uint64_t len = (sizes[i] + granule - 1) / granule * granule;
			uint32_t id = 10 + i, tag = 100 + 10 * i;
			send_blob(f, tag, 1, id, sizes[i]);
			reply_blob(f, a, expect(f, a, WIRE_CREATE_BLOB), len,
				   fixture_memfd(len, SEALS));
			assert_int_equal(fixture_type(f, tag), GPU_OK_NODATA);
			if (at) {
				send_map(f, tag + 1, id,
					 at - granule); /* the end of the one before */
				assert_int_equal(fixture_type(f, tag + 1),
						 GPU_ERR_INVALID_PARAMETER);
			}
			for (uint64_t off = 4096; off < granule; off += 4096) {
				send_map(f, tag + 2, id, at + off);
				assert_int_equal(fixture_type(f, tag + 2),
						 GPU_ERR_INVALID_PARAMETER);
			}
			send_map(f, tag + 3, id, at);
			assert_int_equal(fixture_type(f, tag + 3), GPU_OK_MAP_INFO);
			assert_int_equal(f->last_offset, at);
			assert_int_equal(f->last_len, len);
			at += len;
		}
		assert_int_equal(f->gpu->bytes_mapped, at);
		/* A server whose blob is not whole granules is not believed. */
		send_blob(f, 200, 1, 20, 4096);
		reply_blob(f, a, expect(f, a, WIRE_CREATE_BLOB), 4096, fixture_memfd(4096, SEALS));
		assert_int_equal(fixture_type(f, 200), GPU_ERR_OUT_OF_MEMORY);
		f->gpu->blobs_aligned = true; /* the driver promised */
		send_blob(f, 201, 1, 21, 4096);
		assert_int_equal(fixture_type(f, 201), GPU_ERR_INVALID_PARAMETER);
		fixture_close(f);
		free(f);
	}
}

static void the_windows_users_are_known(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1), b = context(f, 2);
	blob(f, a, 1, 10, 3 * 4096);
	blob(f, b, 2, 11, 4096);
	send_map(f, 1, 10, 0);
	struct virtio_gpu_stats stats;
	gpu_copy_stats(f->gpu, &stats);
	assert_int_equal(stats.window_bytes, FIXTURE_WINDOW);
	assert_int_equal(stats.mapped_bytes, 3 * 4096);
	for (unsigned i = 0; i < 2; i++) {
		const struct virtio_gpu_context_stats *c = &stats.contexts[i];
		assert_int_equal(c->blob_bytes, c->ctx_id == 1 ? 3 * 4096 : 4096);
		assert_int_equal(c->mapped_bytes, c->ctx_id == 1 ? 3 * 4096 : 0);
	}
}

static uint64_t held(struct fixture *f)
{
	struct virtio_gpu_stats stats;
	gpu_copy_stats(f->gpu, &stats);
	assert_int_equal(stats.memory_limit, 8 << 20);
	return stats.memory_bytes;
}

/* What a server says of itself, until it has ended; then what is left of it. */
static void memory_is_counted_as_long_as_it_is_there(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1), b = context(f, 2);
	struct ledger mine;
	assert_int_equal(f->servers[b].hello.max_blob_bytes, 8 << 20);
	assert_int_not_equal(f->servers[a].hello.ledger_slot, f->servers[b].hello.ledger_slot);
	assert_int_equal(ledger_open(&mine, f->servers[a].ledger, f->servers[a].hello.ledger_slot),
			 0);
	blob(f, a, 1, 10, 3 * 4096);
	assert_int_equal(held(f), 0); /* blobs are their server's to count */
	ledger_store(&mine, f->servers[a].hello.ledger_slot, 5 << 20);
	assert_int_equal(held(f), 5 << 20);
	struct virtio_gpu_stats stats;
	gpu_copy_stats(f->gpu, &stats);
	assert_int_equal(stats.contexts[0].memory_bytes, 5 << 20);
	assert_int_equal(stats.contexts[1].memory_bytes, 0);
	f->lingers = true;
	send_simple(f, 1, GPU_CTX_DESTROY, 1, 0);
	assert_int_equal(held(f), (5 << 20) + 3 * 4096);
	assert_int_not_equal(f->servers[context(f, 3)].hello.ledger_slot,
			     f->servers[a].hello.ledger_slot);
	f->ended(f->ended_opaque, f->servers[a].token);
	assert_int_equal(held(f), 3 * 4096);
	assert_int_equal(f->servers[context(f, 4)].hello.ledger_slot,
			 f->servers[a].hello.ledger_slot);
	send_simple(f, 2, GPU_RESOURCE_UNREF, 0, 10);
	assert_int_equal(held(f), 0);
	ledger_finish(&mine);
}

/* Another server may still have what is gone, and says when it has counted it. */
static void memory_of_a_resource_that_is_gone_is_owed_until_others_answer(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1), b = context(f, 2);
	uint64_t asked[3];
	for (uint32_t id = 10; id < 13; id++) {
		blob(f, a, 1, id, 4096);
		send_simple(f, 1, GPU_CTX_ATTACH_RESOURCE, 2, id);
		expect(f, b, WIRE_ATTACH_RESOURCE);
		send_simple(f, 2, GPU_RESOURCE_UNREF, 0, id);
		assert_int_equal(expect(f, a, WIRE_UNREF_RESOURCE),
				 0); /* the maker counts it anyhow */
		asked[id - 10] = expect(f, b, WIRE_UNREF_RESOURCE);
		assert_int_not_equal(asked[id - 10], 0);
		assert_int_equal(held(f), (id - 9) * 4096);
	}
	struct wire_header done = {WIRE_UNREFERENCED, sizeof(done), 0};
	for (unsigned i = 0; i < 2; i++) {
		done.seq = asked[i];
		fixture_reply(f, b, &done, sizeof(done), -1);
		assert_int_equal(held(f), (2 - i) * 4096);
	}
	for (unsigned i = 0; i < 4; i++) { /* one that does not answer owes no more than that */
		blob(f, a, 1, 20, 4 << 20);
		send_simple(f, 1, GPU_CTX_ATTACH_RESOURCE, 2, 20);
		expect(f, b, WIRE_ATTACH_RESOURCE);
		send_simple(f, 2, GPU_RESOURCE_UNREF, 0, 20);
		expect(f, a, WIRE_UNREF_RESOURCE);
		asked[i % 3] = expect(f, b, WIRE_UNREF_RESOURCE);
	}
	assert_int_equal(asked[0], 0);
	assert_int_equal(held(f), (8 << 20) + 4096);
	f->lingers = true;
	fixture_reply(f, b, &done, sizeof(done), -1); /* twice */
	assert_int_equal(f->gpu->contexts_lost, 1);
	assert_int_equal(held(f), (8 << 20) + 4096);
	f->ended(f->ended_opaque, f->servers[b].token);
	assert_int_equal(held(f), 0);
}

/* What a server has that nobody can tell any more goes with its process. */
static void memory_that_an_ending_server_may_have_is_counted(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1), b = context(f, 2);
	blob(f, a, 1, 10, 4096);
	blob(f, a, 1, 11, 4096);
	send_simple(f, 1, GPU_CTX_ATTACH_RESOURCE, 2, 10);
	send_simple(f, 2, GPU_CTX_ATTACH_RESOURCE, 2, 11);
	f->lingers = true;
	send_simple(f, 3, GPU_CTX_DESTROY, 2, 0);
	assert_int_equal(held(f), 0);
	send_simple(f, 4, GPU_RESOURCE_UNREF, 0, 10);
	assert_int_equal(held(f), 4096);
	f->ended(f->ended_opaque, f->servers[b].token);
	assert_int_equal(held(f), 0);
	send_simple(f, 5, GPU_RESOURCE_UNREF, 0, 11);
	assert_int_equal(held(f), 0);
}

/* The end of a process is heard before its last words. */
static void a_slot_is_its_servers_until_its_messages_are_through(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1), b = context(f, 2);
	blob(f, a, 1, 10, 4096);
	send_simple(f, 1, GPU_CTX_ATTACH_RESOURCE, 2, 10);
	expect(f, b, WIRE_ATTACH_RESOURCE);
	send_simple(f, 2, GPU_RESOURCE_UNREF, 0, 10);
	struct wire_header done = {WIRE_UNREFERENCED, sizeof(done),
				   expect(f, b, WIRE_UNREF_RESOURCE)};
	f->ended(f->ended_opaque, f->servers[b].token);
	assert_int_equal(held(f), 4096);
	assert_int_not_equal(f->servers[context(f, 3)].hello.ledger_slot,
			     f->servers[b].hello.ledger_slot);
	fixture_reply(f, b, &done, sizeof(done), -1);
	assert_int_equal(held(f), 0);
	f->lingers = true; /* it has ended already */
	close(f->servers[b].socket);
	f->servers[b].socket = -1;
	fixture_settle(f);
	assert_int_equal(f->gpu->contexts_lost, 1);
	assert_int_equal(f->servers[context(f, 4)].hello.ledger_slot,
			 f->servers[b].hello.ledger_slot);
}

static void a_context_waits_for_no_place_among_servers_that_do_not_end(void **state)
{
	struct fixture *f = *state;
	for (unsigned slot; (slot = ledger_find_free(&f->gpu->ledger));) {
		ledger_give(&f->gpu->ledger, slot, 0x1000 + slot);
	}
	send_ctx_create(f, 1, 1);
	assert_int_equal(fixture_type(f, 1), GPU_ERR_OUT_OF_MEMORY);
	f->ended(f->ended_opaque, 0x1000 + GPU_LEDGER_SLOTS);
	context(f, 1);
}

static void blobs_are_checked_and_charged(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1);
	send_blob(f, 1, 2, 10, 4096);
	assert_int_equal(fixture_type(f, 1), GPU_ERR_INVALID_CONTEXT_ID);
	send_blob(f, 2, 1, 0, 4096);
	assert_int_equal(fixture_type(f, 2), GPU_ERR_INVALID_RESOURCE_ID);
	send_blob(f, 3, 1, 10, 0);
	assert_int_equal(fixture_type(f, 3), GPU_ERR_INVALID_PARAMETER);
	send_blob(f, 4, 1, 10, UINT64_MAX);
	assert_int_equal(fixture_type(f, 4), GPU_ERR_OUT_OF_MEMORY);
	send_blob(f, 5, 1, 10, 7 << 20);
	send_blob(f, 6, 1, 11, 2 << 20); /* the limit is 8 MiB */
	assert_int_equal(fixture_type(f, 6), GPU_ERR_OUT_OF_MEMORY);
	send_blob(f, 7, 1, 10, 4096);
	assert_int_equal(fixture_type(f, 7), GPU_ERR_INVALID_RESOURCE_ID);
	/* More than was asked for, and more than there may be. */
	reply_blob(f, a, expect(f, a, WIRE_CREATE_BLOB), 7 << 20, fixture_memfd(9 << 20, SEALS));
	assert_int_equal(fixture_type(f, 5), GPU_ERR_OUT_OF_MEMORY);
	assert_int_equal(f->gpu->bytes_blob, 0);
	/* The server could not. */
	send_blob(f, 8, 1, 10, 4096);
	send_map(f, 9, 10, 0);
	reply_blob(f, a, expect(f, a, WIRE_CREATE_BLOB), 0, -1);
	assert_int_equal(fixture_type(f, 8), GPU_ERR_OUT_OF_MEMORY);
	assert_int_equal(fixture_type(f, 9), GPU_ERR_INVALID_RESOURCE_ID);
	assert_int_equal(f->gpu->contexts_lost, 0);
	struct gpu_create_blob odd = {
		{.type = GPU_RESOURCE_CREATE_BLOB, .ctx_id = 1}, 12, 3, 1, 0, 0, 4096};
	fixture_send(f, 10, &odd, sizeof(odd));
	assert_int_equal(fixture_type(f, 10), GPU_ERR_INVALID_PARAMETER);
	odd.blob_mem = GPU_BLOB_MEM_HOST3D;
	odd.blob_flags = 8;
	fixture_send(f, 11, &odd, sizeof(odd));
	assert_int_equal(fixture_type(f, 11), GPU_ERR_INVALID_PARAMETER);
}

static void bad_descriptors_end_the_context(void **state)
{
	struct fixture *f = *state;
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	close(pipes[1]);
	int fds[] = {
		fixture_memfd(4096, 0),		fixture_memfd(4096, F_SEAL_SHRINK),
		fixture_memfd(4096, SEALS),	pipes[0],
		fixture_memfd(8192 + 1, SEALS), fixture_memfd(8192, SEALS | F_SEAL_WRITE),
		open("/dev/zero", O_RDWR),
	};
	for (uint32_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		unsigned server = context(f, i + 1);
		send_blob(f, i + 1, i + 1, 100 + i, 8192);
		reply_blob(f, server, expect(f, server, WIRE_CREATE_BLOB), 8192, fds[i]);
		assert_int_equal(fixture_type(f, i + 1), GPU_ERR_UNSPEC);
		assert_int_equal(f->gpu->contexts_lost, i + 1);
		assert_true(f->servers[server].ended);
	}
}

static void fences_complete_in_order_within_a_timeline_only(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1);
	uint64_t seq[6];
	send_submit(f, 1, 1, 1, 101, 0);
	send_submit(f, 2, 1, 1, 102, 4);
	send_submit(f, 3, 1, 2, 103, 4);
	send_submit(f, 4, 1, 0, 104, 0);
	send_submit(f, 5, 1, -1, 0, 4);
	for (unsigned i = 1; i <= 5; i++) {
		seq[i] = expect(f, a, WIRE_SUBMIT);
		if (i != 4) {
			reply_submitted(f, a, seq[i], 0);
		}
	}
	assert_int_equal(fixture_type(f, 5), GPU_OK_NODATA);
	reply_fence(f, a, 0, 104); /* before its SUBMITTED */
	assert_int_equal(fixture_type(f, 4), 0);
	reply_submitted(f, a, seq[4], 0);
	assert_int_equal(fixture_type(f, 4), GPU_OK_NODATA);
	reply_fence(f, a, 2, 103); /* the other timeline overtakes */
	assert_int_equal(fixture_type(f, 3), GPU_OK_NODATA);
	assert_int_equal(fixture_answer(f, 3)->header.ring_idx, 2);
	reply_fence(f, a, 1, 102); /* early in its own: waits */
	assert_int_equal(fixture_type(f, 1) | fixture_type(f, 2), 0);
	reply_fence(f, a, 1, 101);
	assert_int_equal(fixture_type(f, 1), GPU_OK_NODATA);
	assert_int_equal(fixture_type(f, 2), GPU_OK_NODATA);
	unsigned last = f->answer_count;
	assert_int_equal(f->answers[last - 2].tag, 1);
	assert_int_equal(f->answers[last - 1].tag, 2);
	assert_int_equal(f->gpu->held, 0);
	/* A stream that failed still has its place in the timeline. */
	send_submit(f, 6, 1, 1, 106, 4);
	reply_submitted(f, a, expect(f, a, WIRE_SUBMIT), -EINVAL);
	assert_int_equal(fixture_type(f, 6), 0);
	reply_fence(f, a, 1, 106);
	assert_int_equal(fixture_type(f, 6), GPU_ERR_UNSPEC);
}

static void streams_are_checked_and_large_ones_travel_in_memory(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1);
	struct gpu_submit_3d lie = {{.type = GPU_SUBMIT_3D, .ctx_id = 1}, 4, 0};
	fixture_send(f, 1, &lie, sizeof(lie));
	assert_int_equal(fixture_type(f, 1), GPU_ERR_INVALID_PARAMETER);
	lie.size = UINT32_MAX;
	fixture_send(f, 2, &lie, sizeof(lie));
	assert_int_equal(fixture_type(f, 2), GPU_ERR_INVALID_PARAMETER);
	send_submit(f, 3, 1, 64, 1, 0); /* no such timeline */
	assert_int_equal(fixture_type(f, 3), GPU_ERR_INVALID_PARAMETER);
	send_submit(f, 4, 9, -1, 0, 0);
	assert_int_equal(fixture_type(f, 4), GPU_ERR_INVALID_CONTEXT_ID);
	send_submit(f, 5, 1, -1, 0, 100000);
	struct wire_submit message;
	int fd = -1;
	assert_int_equal(fixture_receive(f, a, &message, sizeof(message), &fd), sizeof(message));
	assert_int_equal(message.bytes, 100000);
	uint8_t byte;
	assert_int_equal(pread(fd, &byte, 1, 99999), 1);
	assert_int_equal(byte, 0x5a);
	assert_true(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE);
	close(fd);
	reply_submitted(f, a, message.header.seq, 0);
	assert_int_equal(fixture_type(f, 5), GPU_OK_NODATA);
}

static void a_full_socket_keeps_the_order(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1);
	for (unsigned i = 0; i < 40; i++) {
		send_submit(f, 100 + i, 1, -1, 0, WIRE_MAX_INLINE);
	}
	send_blob(f, 200, 1, 10, 4096);
	assert_false(TAILQ_EMPTY(&gpu_context_find(f->gpu, 1)->waiting));
	for (unsigned i = 0; i < 40; i++) {
		reply_submitted(f, a, expect(f, a, WIRE_SUBMIT), 0);
		assert_int_equal(fixture_type(f, 100 + i), GPU_OK_NODATA);
	}
	reply_blob(f, a, expect(f, a, WIRE_CREATE_BLOB), 4096, fixture_memfd(4096, SEALS));
	assert_int_equal(fixture_type(f, 200), GPU_OK_NODATA);
}

static void a_flood_in_one_context_leaves_room_for_others(void **state)
{
	struct fixture *f = *state;
	context(f, 1);
	unsigned refused = 0;
	for (unsigned i = 0; i < 2000; i++) {
		send_submit(f, 10000 + i, 1, 1, i + 1, 0);
		refused += fixture_type(f, 10000 + i) == GPU_ERR_OUT_OF_MEMORY;
	}
	assert_int_equal(2000 - refused, GPU_QUEUE_SIZE / GPU_HELD_CONTEXT_DIVISOR);
	assert_true(f->gpu->held < GPU_QUEUE_SIZE / 2);
	for (uint32_t ctx = 2; ctx < 60; ctx++) {
		context(f, ctx);
		for (unsigned i = 0; i < 300; i++) {
			send_submit(f, 1, ctx, 1, i, 0);
		}
	}
	assert_true(f->gpu->held < GPU_QUEUE_SIZE);
	unsigned b = context(f, 70);
	send_submit(f, 2, 70, -1, 0, 0);
	reply_submitted(f, b, expect(f, b, WIRE_SUBMIT), 0);
	assert_int_equal(fixture_type(f, 2), GPU_OK_NODATA);
}

static void a_dead_server_answers_everything_and_leaves_its_memory(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1), b = context(f, 2);
	blob(f, a, 1, 10, 4096);
	send_map(f, 1, 10, 0);
	send_submit(f, 2, 1, 1, 5, 0);
	send_submit(f, 3, 1, -1, 0, 8);
	send_blob(f, 4, 1, 11, 4096);
	send_map(f, 5, 11, 0x8000);
	unsigned unmaps = f->unmaps;
	close(f->servers[a].socket);
	f->servers[a].socket = -1;
	fixture_settle(f);
	assert_int_equal(fixture_type(f, 2), GPU_ERR_UNSPEC);
	assert_int_equal(fixture_answer(f, 2)->header.flags, GPU_FLAG_FENCE | GPU_FLAG_RING_IDX);
	assert_int_equal(fixture_type(f, 3), GPU_ERR_UNSPEC);
	assert_int_equal(fixture_type(f, 4), GPU_ERR_UNSPEC);
	assert_int_equal(fixture_type(f, 5), GPU_ERR_INVALID_RESOURCE_ID);
	assert_int_equal(f->gpu->held, 0);
	assert_int_equal(f->gpu->contexts_lost, 1);
	/* What was mapped stays, further work fails, taking things down works. */
	assert_int_equal(f->unmaps, unmaps);
	send_submit(f, 6, 1, 1, 6, 0);
	assert_int_equal(fixture_type(f, 6), GPU_ERR_UNSPEC);
	send_blob(f, 7, 1, 12, 4096);
	assert_int_equal(fixture_type(f, 7), GPU_ERR_UNSPEC);
	send_simple(f, 8, GPU_RESOURCE_UNMAP_BLOB, 0, 10);
	send_simple(f, 9, GPU_RESOURCE_UNREF, 0, 10);
	send_simple(f, 10, GPU_CTX_DESTROY, 1, 0);
	for (uintptr_t tag = 8; tag <= 10; tag++) {
		assert_int_equal(fixture_type(f, tag), GPU_OK_NODATA);
	}
	blob(f, b, 2, 20, 4096); /* the other one lives */
	assert_int_equal(context(f, 1), 2);
}

static void a_context_whose_mapped_memory_is_gone_is_ended(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1), b = context(f, 2);
	blob(f, a, 1, 10, 8192);
	blob(f, b, 2, 20, 4096);
	send_map(f, 1, 10, 0x4000);
	send_map(f, 2, 20, 0x6000);
	unsigned unmaps = f->unmaps;
	gpu_blob_lost(f->gpu, 0x3000); /* nothing is there */
	gpu_blob_lost(f->gpu, 0x7000);
	assert_int_equal(f->gpu->contexts_lost, 0);
	gpu_blob_lost(f->gpu, 0x5000);
	assert_int_equal(f->gpu->contexts_lost, 1);
	gpu_blob_lost(f->gpu, 0x4000); /* told twice */
	assert_int_equal(f->gpu->contexts_lost, 1);
	send_submit(f, 3, 1, 1, 6, 0);
	assert_int_equal(fixture_type(f, 3), GPU_ERR_UNSPEC);
	send_submit(f, 4, 2, 1, 6, 0);
	reply_submitted(f, b, expect(f, b, WIRE_SUBMIT), 0);
	assert_int_equal(fixture_type(f, 4), 0); /* its fence is awaited: the other one lives */
	assert_int_equal(f->unmaps, unmaps);
	send_simple(f, 5, GPU_RESOURCE_UNMAP_BLOB, 0, 10);
	assert_int_equal(fixture_type(f, 5), GPU_OK_NODATA);
	assert_int_equal(f->last_offset, 0x4000);
}

/* What a display reads is mapped by its own: nothing of it is in the window. */
static void a_context_whose_shown_memory_is_gone_is_ended(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1), b = context(f, 2);
	blob(f, a, 1, 10, 64 * 64 * 4);
	int fd = fixture_memfd(64 * 64 * 4, 0); /* no seals: it can be cut */
	gpu_resource_find(f->gpu, 10)->pages = display_pages_map(fd, 64 * 64 * 4);
	struct gpu_set_scanout_blob show = {.header = {.type = GPU_SET_SCANOUT_BLOB},
					    .rect = {0, 0, 64, 64},
					    .resource_id = 10,
					    .width = 64,
					    .height = 64,
					    .format = PIXEL_BGRX,
					    .strides = {256}};
	fixture_send(f, 1, &show, sizeof(show));
	assert_int_equal(fixture_type(f, 1), GPU_OK_NODATA);
	struct gpu_flush flush = {
		.header = {.type = GPU_RESOURCE_FLUSH}, .rect = {0, 0, 64, 64}, .resource_id = 10};
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	fixture_send(f, 2, &flush, sizeof(flush));
	assert_int_equal(f->gpu->contexts_lost, 0); /* nobody has looked */
	struct display_frame frame;
	uint8_t rgba[256], raw[256];
	assert_true(display_take(f->display, 0, &frame));
	assert_int_equal(display_frame_row(&frame, 63, rgba, raw), 0);
	assert_memory_equal(rgba, ((uint8_t[]){0, 0, 0, 255}), 4);
	display_frame_put(&frame);
	fixture_send(f, 3, &flush, sizeof(flush));
	assert_int_equal(f->gpu->contexts_lost, 1);
	assert_int_equal(fixture_type(f, 3), GPU_OK_NODATA);
	send_submit(f, 4, 1, 1, 6, 0);
	assert_int_equal(fixture_type(f, 4), GPU_ERR_UNSPEC);
	fixture_send(f, 5, &flush, sizeof(flush)); /* told twice */
	assert_int_equal(f->gpu->contexts_lost, 1);
	blob(f, b, 2, 20, 4096); /* the other one lives */
}

static void a_server_that_breaks_the_rules_is_ended(void **state)
{
	struct fixture *f = *state;
	struct wire_submitted unasked = {{WIRE_SUBMITTED, sizeof(unasked), 77}, 0, 0};
	struct wire_blob stray = {{WIRE_BLOB, sizeof(stray), 77}, -1, 0, 0};
	struct wire_fence fence = {{WIRE_FENCE, sizeof(fence), 0}, 1, 0, 9};
	struct wire_header short_length = {WIRE_FENCE, 8, 0}, unknown = {0x999, sizeof(unknown), 0};
	struct wire_hello wrong_way = {{WIRE_HELLO, sizeof(wrong_way), 0}};
	struct wire_welcome again = {{WIRE_WELCOME, sizeof(again), 0}, 0, WIRE_VERSION};
	struct wire_fatal fatal = {{WIRE_FATAL, sizeof(fatal), 0}, "bad\ncommand"};
	struct {
		const void *bytes;
		size_t len;
	} messages[] = {
		{&unasked, sizeof(unasked)},
		{&stray, sizeof(stray)},
		{&fence, sizeof(fence)},
		{&unknown, sizeof(unknown)},
		{&short_length, 16},
		{&wrong_way, sizeof(wrong_way)},
		{&again, sizeof(again)},
		{&unasked, sizeof(unasked) - 4},
		{"x", 1},
		{&fatal, sizeof(fatal)},
	};
	for (uint32_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		unsigned server = context(f, i + 1);
		fixture_reply(f, server, messages[i].bytes, messages[i].len, -1);
		assert_int_equal(f->gpu->contexts_lost, i + 1);
		assert_true(f->servers[server].ended);
	}
	/* Also one that says something before it says welcome. */
	unsigned early = f->server_count;
	send_ctx_create(f, 1, 50);
	fixture_reply(f, early, &fence, sizeof(fence), -1);
	assert_int_equal(fixture_type(f, 1), GPU_ERR_UNSPEC);
}

static void the_arbiter_grants_at_once(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1);
	struct wire_arbiter ask = {{WIRE_ARBITER_REQUEST, sizeof(ask), 42}, 3, 0, 1000};
	fixture_reply(f, a, &ask, sizeof(ask), -1);
	struct wire_arbiter grant;
	assert_int_equal(fixture_receive(f, a, &grant, sizeof(grant), NULL), sizeof(grant));
	assert_int_equal(grant.header.kind, WIRE_ARBITER_GRANT);
	assert_int_equal(grant.header.seq, 42);
	assert_int_equal(grant.ring_idx, 3);
	assert_int_equal(grant.gpu_time_ns, 1000);
}

static void sharing_passes_the_memory_on_in_order(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1), b = context(f, 2);
	send_blob(f, 1, 1, 10, 4096);
	send_simple(f, 2, GPU_CTX_ATTACH_RESOURCE, 2,
		    10); /* not ready: waits, and so does what follows */
	send_submit(f, 3, 2, -1, 0, 4);
	expect_nothing(f, b);
	reply_blob(f, a, expect(f, a, WIRE_CREATE_BLOB), 4096, fixture_memfd(4096, SEALS));
	assert_int_equal(fixture_type(f, 2), GPU_OK_NODATA);
	struct wire_resource attach;
	int fd = -1;
	assert_int_equal(fixture_receive(f, b, &attach, sizeof(attach), &fd), sizeof(attach));
	assert_int_equal(attach.header.kind, WIRE_ATTACH_RESOURCE);
	assert_int_equal(attach.resource_id, 10);
	assert_int_equal(attach.size, 4096);
	assert_true(fd >= 0);
	close(fd);
	expect(f, b, WIRE_SUBMIT);
	send_simple(f, 4, GPU_CTX_ATTACH_RESOURCE, 2, 10); /* known already */
	expect_nothing(f, b);
	send_simple(f, 5, GPU_CTX_DETACH_RESOURCE, 2, 10);
	send_simple(f, 6, GPU_RESOURCE_UNREF, 0, 10);
	expect(f, a, WIRE_UNREF_RESOURCE);
	expect(f, b, WIRE_UNREF_RESOURCE);
	send_simple(f, 7, GPU_CTX_ATTACH_RESOURCE, 2, 10);
	assert_int_equal(fixture_type(f, 7), GPU_ERR_INVALID_RESOURCE_ID);
	/* Memory that was not made to be shared is not. */
	struct gpu_create_blob private = {{.type = GPU_RESOURCE_CREATE_BLOB, .ctx_id = 1},
					  11,
					  GPU_BLOB_MEM_HOST3D,
					  GPU_BLOB_MAPPABLE,
					  0,
					  0,
					  4096};
	fixture_send(f, 8, &private, sizeof(private));
	reply_blob(f, a, expect(f, a, WIRE_CREATE_BLOB), 4096, fixture_memfd(4096, SEALS));
	send_simple(f, 9, GPU_CTX_ATTACH_RESOURCE, 2, 11);
	assert_int_equal(fixture_type(f, 9), GPU_ERR_INVALID_PARAMETER);
}

static void a_destroyed_context_still_completes_its_fences(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1);
	blob(f, a, 1, 10, 4096);
	send_submit(f, 1, 1, 1, 5, 0);
	send_blob(f, 2, 1, 11, 4096);
	uint64_t submit = expect(f, a, WIRE_SUBMIT), create = expect(f, a, WIRE_CREATE_BLOB);
	send_simple(f, 3, GPU_CTX_DESTROY, 1, 0);
	assert_int_equal(fixture_type(f, 3), GPU_OK_NODATA);
	assert_int_equal(fixture_type(f, 2), GPU_ERR_UNSPEC);
	assert_int_equal(fixture_type(f, 1), 0);
	unsigned again = context(f, 1); /* the id is free at once */
	assert_int_not_equal(again, a);
	reply_submitted(f, a, submit, 0);
	reply_blob(f, a, create, 4096, fixture_memfd(4096, SEALS)); /* nobody wants it any more */
	assert_false(f->servers[a].ended);
	reply_fence(f, a, 1, 5);
	assert_int_equal(fixture_type(f, 1), GPU_OK_NODATA);
	assert_true(f->servers[a].ended);
	send_simple(f, 4, GPU_RESOURCE_UNREF, 0, 10); /* outlived its context */
	assert_int_equal(fixture_type(f, 4), GPU_OK_NODATA);
}

static void blobs_of_both_kinds_can_be_shown(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1);
	send_blob(f, 1, 1, 10, 64 * 64 * 4);
	int fd = fixture_memfd(64 * 64 * 4, SEALS);
	uint32_t pixel = 0x11223344;
	assert_int_equal(pwrite(fd, &pixel, 4, (5 * 64 + 3) * 4), 4);
	reply_blob(f, a, expect(f, a, WIRE_CREATE_BLOB), 64 * 64 * 4, fd);
	struct gpu_set_scanout_blob show = {.header = {.type = GPU_SET_SCANOUT_BLOB},
					    .rect = {3, 5, 61, 59},
					    .resource_id = 10,
					    .width = 64,
					    .height = 64,
					    .format = PIXEL_BGRX,
					    .strides = {256}};
	fixture_send(f, 2, &show, sizeof(show));
	assert_int_equal(fixture_type(f, 2), GPU_OK_NODATA);
	struct display_frame frame;
	uint8_t rgba[256], raw[256];
	assert_true(display_take(f->display, 0, &frame));
	send_simple(f, 3, GPU_RESOURCE_UNREF, 0, 10);
	assert_int_equal(display_frame_row(&frame, 0, rgba, raw), 0);
	assert_memory_equal(rgba, ((uint8_t[]){0x22, 0x33, 0x44, 255}), 4);
	display_frame_put(&frame);

	struct {
		struct gpu_create_blob head;
		struct gpu_mem_entry entry;
	} guest = {
		{{.type = GPU_RESOURCE_CREATE_BLOB}, 11, GPU_BLOB_MEM_GUEST, 1, 1, 0, 64 * 64 * 4},
		{FIXTURE_RAM_GPA, 64 * 64 * 4, 0}};
	fixture_send(f, 4, &guest, sizeof(guest));
	assert_int_equal(fixture_type(f, 4), GPU_OK_NODATA);
	show.resource_id = 11;
	show.offsets[0] = 4;
	fixture_send(f, 5, &show, sizeof(show));
	assert_int_equal(fixture_type(f, 5), GPU_ERR_INVALID_PARAMETER); /* one pixel too far */
	show.offsets[0] = 0;
	fixture_send(f, 6, &show, sizeof(show));
	assert_int_equal(fixture_type(f, 6), GPU_OK_NODATA);
	assert_int_equal(gmem_write(f->gmem, FIXTURE_RAM_GPA + (5 * 64 + 3) * 4, &pixel, 4), 0);
	assert_true(display_take(f->display, 0, &frame));
	assert_int_equal(display_frame_row(&frame, 0, rgba, raw), 0);
	assert_memory_equal(rgba, ((uint8_t[]){0x22, 0x33, 0x44, 255}), 4);
	send_simple(f, 7, GPU_RESOURCE_UNREF, 0, 11);
	assert_int_equal(display_frame_row(&frame, 0, rgba, raw),
			 0); /* the taken frame stays readable */
	display_frame_put(&frame);
	guest.head.size++;
	fixture_send(f, 8, &guest, sizeof(guest));
	assert_int_equal(fixture_type(f, 8), GPU_ERR_INVALID_PARAMETER);
	assert_null(gpu_resource_find(f->gpu, 11));
}

static void counters_come_from_the_servers_also_ended_ones(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1);
	struct wire_state *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED,
					 f->servers[a].state, 0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	shared->draws = 12;
	shared->submits = 3;
	struct virtio_gpu_stats stats;
	gpu_copy_stats(f->gpu, &stats);
	assert_int_equal(stats.draws, 12);
	assert_int_equal(stats.context_count, 1);
	assert_true(stats.contexts[0].live && stats.contexts[0].pid > 1000);
	send_simple(f, 1, GPU_CTX_DESTROY, 1, 0);
	context(f, 2);
	gpu_copy_stats(f->gpu, &stats);
	assert_int_equal(stats.draws, 12);
	assert_int_equal(stats.submits, 3);
	assert_int_equal(stats.context_count, 2);
	assert_false(stats.contexts[1].live);
	assert_string_equal(stats.contexts[1].name, "vk?test");
	assert_string_equal(stats.driver, "fake driver");
	munmap(shared, sizeof(*shared));
}

static void a_reset_forgets_everything(void **state)
{
	struct fixture *f = *state;
	unsigned a = context(f, 1);
	blob(f, a, 1, 10, 4096);
	send_map(f, 1, 10, 0);
	send_submit(f, 2, 1, 1, 5, 0);
	send_blob(f, 3, 1, 11, 4096);
	send_map(f, 4, 11, 0x8000);
	gpu_reset(f->gpu);
	for (uintptr_t tag = 1; tag <= 4; tag++) {
		assert_true(fixture_type(f, tag)); /* no chain stays behind */
	}
	assert_int_equal(f->gpu->resource_count, 0);
	assert_int_equal(f->gpu->context_count, 0);
	assert_int_equal(f->gpu->held, 0);
	assert_int_equal(f->gpu->bytes_blob, 0);
	assert_true(f->servers[a].ended);
	context(f, 1);
}

static void a_context_whose_server_can_not_start_is_refused(void **state)
{
	struct fixture *f = *state;
	f->start_status = -EAGAIN;
	send_ctx_create(f, 1, 1);
	assert_int_equal(fixture_type(f, 1), GPU_ERR_OUT_OF_MEMORY);
	f->start_status = 0;
	/* One that starts, and says that it can not. */
	send_ctx_create(f, 2, 1);
	struct wire_welcome sorry = {{WIRE_WELCOME, sizeof(sorry), 0}, -ENODEV, WIRE_VERSION};
	fixture_reply(f, 0, &sorry, sizeof(sorry), -1);
	assert_int_equal(fixture_type(f, 2), GPU_ERR_UNSPEC);
	assert_int_equal(f->gpu->contexts_lost, 1);
}

static void only_so_many_contexts(void **state)
{
	struct fixture *f = *state;
	for (uint32_t i = 1; i <= GPU_MAX_CONTEXTS; i++) {
		context(f, i);
	}
	send_ctx_create(f, 1, 1000);
	assert_int_equal(fixture_type(f, 1), GPU_ERR_OUT_OF_MEMORY);
	send_simple(f, 2, GPU_CTX_DESTROY, 3, 0);
	context(f, 1000);
}

static void the_start_fails_with_the_servers_words(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error err = {0};
	f->welcome_status = -ENODEV;
	assert_false(fixture_open(f, true, &err));
	assert_string_equal(err.text, "no Vulkan driver");
	fixture_close(f);
	memset(f, 0, sizeof(*f));
	f->mute_query = true;
	assert_false(fixture_open(f, true, &err));
	assert_non_null(strstr(err.text, "did not answer within 300 ms"));
	close(f->servers[0].socket);
	fixture_close(f);
	free(f);
}

int main(void)
{
#define SHARED(name) cmocka_unit_test_setup_teardown(name, open_shared, close_any)
	const struct CMUnitTest tests[] = {
		SHARED(the_capset_is_the_servers),
		SHARED(a_context_is_ready_when_its_server_is),
		SHARED(a_context_without_capset_needs_no_server),
		SHARED(map_waits_for_create_and_nobody_else),
		SHARED(unref_of_a_pending_blob_takes_effect_in_order),
		SHARED(maps_are_checked_against_the_window),
		SHARED(the_windows_users_are_known),
		SHARED(memory_is_counted_as_long_as_it_is_there),
		SHARED(memory_of_a_resource_that_is_gone_is_owed_until_others_answer),
		SHARED(memory_that_an_ending_server_may_have_is_counted),
		SHARED(a_slot_is_its_servers_until_its_messages_are_through),
		SHARED(a_context_waits_for_no_place_among_servers_that_do_not_end),
		cmocka_unit_test(large_granules_are_never_shared),
		SHARED(blobs_are_checked_and_charged),
		SHARED(bad_descriptors_end_the_context),
		SHARED(fences_complete_in_order_within_a_timeline_only),
		SHARED(streams_are_checked_and_large_ones_travel_in_memory),
		SHARED(a_full_socket_keeps_the_order),
		SHARED(a_flood_in_one_context_leaves_room_for_others),
		SHARED(a_dead_server_answers_everything_and_leaves_its_memory),
		SHARED(a_context_whose_mapped_memory_is_gone_is_ended),
		SHARED(a_context_whose_shown_memory_is_gone_is_ended),
		SHARED(a_server_that_breaks_the_rules_is_ended),
		SHARED(the_arbiter_grants_at_once),
		SHARED(sharing_passes_the_memory_on_in_order),
		SHARED(a_destroyed_context_still_completes_its_fences),
		SHARED(blobs_of_both_kinds_can_be_shown),
		SHARED(counters_come_from_the_servers_also_ended_ones),
		SHARED(a_reset_forgets_everything),
		SHARED(a_context_whose_server_can_not_start_is_refused),
		SHARED(only_so_many_contexts),
		cmocka_unit_test(the_start_fails_with_the_servers_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
