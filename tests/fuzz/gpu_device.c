/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpu_device.c - a guest and its servers say anything, in any order
 *
 * The input is a list of steps: a control or cursor command of the guest, a message (with or
 * without a descriptor) or the death of a server, a reset.  Ids and sizes are mostly small, so that
 * steps meet.  Checked besides memory safety: each command is answered exactly once, and a reset
 * leaves nothing counted. Threads: one.
 */
#include "../unit/gpu_fixture.h"
#include "base/log.h"
#include "fuzz.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct input {
	const uint8_t *at, *end;
};

static uint8_t take8(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* Mostly small, sometimes at an edge of 32 or 64 bits. */
static uint64_t take_number(struct input *in)
{
	uint8_t how = take8(in);
	switch (how & 15) {
	case 0: return UINT64_MAX - (how >> 4);
	case 1: return UINT32_MAX - (how >> 4);
	case 2: return UINT64_C(1) << (how >> 2);
	case 3: return (uint64_t)take8(in) * 4096;
	case 4: return FIXTURE_RAM_GPA + (uint64_t)take8(in) * 4096;
	default: return how >> 4;
	}
}

static const uint32_t fuzz_types[] = {
	GPU_GET_DISPLAY_INFO,
	GPU_RESOURCE_CREATE_2D,
	GPU_RESOURCE_UNREF,
	GPU_SET_SCANOUT,
	GPU_RESOURCE_FLUSH,
	GPU_TRANSFER_TO_HOST_2D,
	GPU_RESOURCE_ATTACH_BACKING,
	GPU_RESOURCE_DETACH_BACKING,
	GPU_GET_CAPSET_INFO,
	GPU_GET_CAPSET,
	GPU_GET_EDID,
	GPU_RESOURCE_CREATE_BLOB,
	GPU_RESOURCE_CREATE_BLOB,
	GPU_SET_SCANOUT_BLOB,
	GPU_CTX_CREATE,
	GPU_CTX_CREATE,
	GPU_CTX_DESTROY,
	GPU_CTX_ATTACH_RESOURCE,
	GPU_CTX_DETACH_RESOURCE,
	GPU_SUBMIT_3D,
	GPU_SUBMIT_3D,
	GPU_RESOURCE_MAP_BLOB,
	GPU_RESOURCE_UNMAP_BLOB,
	GPU_UPDATE_CURSOR,
	GPU_MOVE_CURSOR,
	0,
};

/* A command of some type whose words come from the input: 32-bit ones, or 64-bit ones where the
 * input wants. */
static void step_command(struct fixture *f, struct input *in, bool cursor)
{
	uint8_t bytes[sizeof(struct gpu_header) + 0x7f * 4] = {0};
	uint32_t type = fuzz_types[take8(in) % (sizeof(fuzz_types) / sizeof(fuzz_types[0]))];
	struct gpu_header header = {
		.type = type,
		.flags = take8(in) & 3,
		.fence_id = take8(in),
		.ctx_id = take8(in) & 3,
		.ring_idx = take8(in) & 0x43,
	};
	memcpy(bytes, &header, sizeof(header));
	size_t len = sizeof(header) + (take8(in) & 0x7f) * 4u;
	for (size_t at = sizeof(header); at + 8 <= len && at < 128;) {
		uint64_t number = take_number(in);
		size_t width = number > UINT32_MAX ? 8 : 4;
		memcpy(bytes + at, &number, width);
		at += width;
	}
	if (type == GPU_CTX_CREATE) {
		bytes[28] = take8(in) % 8 ? GPU_CAPSET_VENUS : 0;
	}
	(cursor ? fixture_send_cursor : fixture_send)(f, 1, bytes, len);
}

/* Something a server may have been asked for last: answers that fit are found by small sequence
 * numbers. */
static void step_server(struct fixture *f, struct input *in)
{
	static const uint32_t kinds[] = {
		WIRE_WELCOME,	   WIRE_BLOB,  WIRE_BLOB,  WIRE_SUBMITTED,
		WIRE_FENCE,	   WIRE_FENCE, WIRE_FATAL, WIRE_ARBITER_REQUEST,
		WIRE_UNREFERENCED, 0};
	static const uint32_t sizes[] = {sizeof(struct wire_welcome), sizeof(struct wire_blob),
					 sizeof(struct wire_blob),    sizeof(struct wire_submitted),
					 sizeof(struct wire_fence),   sizeof(struct wire_fence),
					 sizeof(struct wire_fatal),   sizeof(struct wire_arbiter),
					 sizeof(struct wire_header),  sizeof(struct wire_header)};
	uint8_t bytes[sizeof(struct wire_welcome)] = {0};
	if (!f->server_count) {
		return;
	}
	unsigned server = take8(in) % f->server_count, kind = take8(in) % 10;
	if (f->servers[server].socket < 0) {
		return;
	}
	while (fixture_receive(f, server, bytes, sizeof(bytes), NULL) != -EAGAIN) {
		if (f->servers[server].ended) {
			break;
		}
	}
	memset(bytes, 0, sizeof(bytes));
	struct wire_header header = {kinds[kind], sizes[kind] - (take8(in) % 16 == 1),
				     take8(in) & 7};
	memcpy(bytes, &header, sizeof(header));
	for (size_t at = sizeof(header); at < sizes[kind] && at < 40; at += 4) {
		uint32_t number =
			kinds[kind] == WIRE_WELCOME ? at == 20 : (uint32_t)take_number(in);
		memcpy(bytes + at, &number, 4);
	}
	int fd = kinds[kind] == WIRE_BLOB && take8(in) % 8
			 ? fixture_memfd(take8(in) * UINT64_C(1024),
					 take8(in) % 4 ? F_SEAL_SHRINK | F_SEAL_GROW : 0)
			 : -1;
	fixture_reply(f, server, bytes, sizes[kind], fd);
	if (fd >= 0) {
		close(fd);
	}
}

static void step_kill(struct fixture *f, struct input *in)
{
	unsigned server = f->server_count ? take8(in) % f->server_count : 0;
	if (f->server_count && f->servers[server].socket >= 0) {
		if (server % 2) { /* its end is heard before its last words */
			f->ended(f->ended_opaque, f->servers[server].token);
		}
		close(f->servers[server].socket);
		f->servers[server].socket = -1;
		fixture_settle(f);
	}
}

static void check_empty(const struct fixture *f, unsigned sent)
{
	const struct gpu *gpu = f->gpu;
	assert(f->answer_count == sent);
	assert(!gpu->resource_count && !gpu->context_count && !gpu->held && !gpu->held_bytes);
	assert(!gpu->bytes_2d && !gpu->bytes_blob && !gpu->bytes_mapped && !gpu->bytes_orphan);
	for (unsigned i = 0; i < 1 + GPU_LEDGER_SLOTS && !f->lingers; i++) {
		assert(!gpu->owed[i] && !ledger_load(&gpu->ledger, i));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	struct fixture *f = calloc(1, sizeof(*f));
	struct error err = {0};
	unsigned sent = 0;
	log_set_level(LOG_ERROR);
	unsigned kind = take8(&in);
	if (!f || !fixture_open(f, kind != 0, &err)) {
		abort();
	}
	f->lingers = kind & 2;
	while (in.at < in.end && sent < FIXTURE_ANSWERS) {
		switch (take8(&in) % 16) {
		case 0: step_kill(f, &in); break;
		case 1:
			gpu_reset(f->gpu);
			check_empty(f, sent);
			break;
		case 2:
			step_command(f, &in, true);
			sent++;
			break;
		case 3:
		case 4:
		case 5:
		case 6:
		case 7: step_server(f, &in); break;
		default: step_command(f, &in, false); sent++;
		}
	}
	gpu_reset(f->gpu);
	check_empty(f, sent);
	fixture_close(f);
	free(f);
	return 0;
}
