/* SPDX-License-Identifier: Apache-2.0 */
/*
 * venus_world.h - what tests of the Venus decoder share: a wire writer of its own, and a fake
 * driver
 *
 * The writer is written from the protocol's rules, without the generated tables.  The fake driver
 * records what it was called with. Threads: one.
 */
#ifndef ORIEL_TESTS_VENUS_WORLD_H
#define ORIEL_TESTS_VENUS_WORLD_H

#include "venus/call.h"
#include "venus/dispatch.h"
#include "venus_args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct wire {
	uint8_t bytes[16384];
	size_t len;
};

static inline void put_bytes(struct wire *wire, const void *bytes, size_t len)
{
	memcpy(wire->bytes + wire->len, bytes, len);
	memset(wire->bytes + wire->len + len, 0xee, -len & 3); /* padding may be anything */
	wire->len += (len + 3) & ~(size_t)3;
}

static inline void put_u32(struct wire *wire, uint32_t value)
{
	put_bytes(wire, &value, 4);
}

static inline void put_u64(struct wire *wire, uint64_t value)
{
	put_bytes(wire, &value, 8);
}

static inline void put_f32(struct wire *wire, float value)
{
	put_bytes(wire, &value, 4);
}

static inline void put_string(struct wire *wire, const char *text)
{
	put_u64(wire, strlen(text) + 1);
	put_bytes(wire, text, strlen(text) + 1);
}

static inline void put_command(struct wire *wire, uint32_t command, uint32_t flags)
{
	put_u32(wire, command);
	put_u32(wire, flags);
}

/* A struct's head without a chain. */
static inline void put_stype(struct wire *wire, uint32_t stype)
{
	put_u32(wire, stype);
	put_u64(wire, 0);
}

/* Ids used by all tests. */
enum {
	ID_INSTANCE = 1,
	ID_PHYSICAL = 2,
	ID_PHYSICAL_2 = 3,
	ID_DEVICE = 4,
	ID_QUEUE = 5,
	ID_FIRST = 100
};

struct world {
	struct venus_dispatch dispatch;
	struct venus_decoder decoder;
	uint8_t reply[16384];
};

/* Run @wire in @world.  The bytes are copied to exact size, so that tools see every read beyond the
 * end. */
static inline int world_run_bytes(struct world *world, const void *bytes, size_t len)
{
	void *copy = malloc(len ? len : 1);
	memcpy(copy, bytes, len);
	world->decoder.reply =
		(struct venus_reply){world->reply, world->reply + sizeof(world->reply)};
	int err = venus_decoder_run(&world->decoder, copy, len);
	free(copy);
	return err;
}

static inline int world_run(struct world *world, const struct wire *wire)
{
	return world_run_bytes(world, wire->bytes, wire->len);
}

static inline size_t world_reply_len(const struct world *world)
{
	return (size_t)(world->decoder.reply.cur - world->reply);
}

/* Instance, two physical devices, one device and its queue, as a guest makes them. */
static inline void put_world(struct wire *wire)
{
	put_command(wire, VENUS_vkCreateInstance, 0);
	put_u64(wire, 1);
	put_stype(wire, VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO);
	put_u32(wire, 0);
	put_u64(wire, 0);		    /* pApplicationInfo */
	put_u32(wire, 0), put_u64(wire, 0); /* layers */
	put_u32(wire, 0), put_u64(wire, 0); /* extensions */
	put_u64(wire, 0);		    /* pAllocator */
	put_u64(wire, 1), put_u64(wire, ID_INSTANCE);

	put_command(wire, VENUS_vkEnumeratePhysicalDevices, 0);
	put_u64(wire, ID_INSTANCE);
	put_u64(wire, 1), put_u32(wire, 2);
	put_u64(wire, 2), put_u64(wire, ID_PHYSICAL), put_u64(wire, ID_PHYSICAL_2);

	put_command(wire, VENUS_vkCreateDevice, 0);
	put_u64(wire, ID_PHYSICAL);
	put_u64(wire, 1);
	put_stype(wire, VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO);
	put_u32(wire, 0);
	put_u32(wire, 1), put_u64(wire, 1); /* one queue */
	put_stype(wire, VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO);
	put_u32(wire, 0), put_u32(wire, 0), put_u32(wire, 1), put_u64(wire, 1), put_f32(wire, 1.0f);
	put_u32(wire, 0), put_u64(wire, 0); /* layers */
	put_u32(wire, 1), put_u64(wire, 1), put_string(wire, "VK_EXT_robustness2");
	put_u64(wire, 0); /* pEnabledFeatures */
	put_u64(wire, 0); /* pAllocator */
	put_u64(wire, 1), put_u64(wire, ID_DEVICE);
}

#endif
