/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtest_client.c - a vtest client says anything, in any order
 *
 * The input is a list of steps, each a request that mostly makes sense; ids, lengths, ring layouts and offsets sometimes do not.  There is no driver: what is tried is the front end, the transport commands,
 * resources, rings and syncs.
 * Threads: the client is served by the caller's; rings have theirs.
 */
#include "base/log.h"
#include "fuzz.h"
#include "venus/vtest.h"
#include "venus_args.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { MAX_STEPS = 64, MAX_WORDS = 64 };

struct input {
	const uint8_t *at, *end;
};

static uint32_t take8(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* Mostly small, sometimes at an edge. */
static uint32_t take_number(struct input *in)
{
	uint32_t how = take8(in);
	switch (how & 15) {
	case 0: return UINT32_MAX - (how >> 4);
	case 1: return 1u << (how >> 3);
	case 2: return take8(in) * 4096;
	case 3: return take8(in) * 4;
	default: return how >> 4;
	}
}

struct message {
	uint32_t words[2 + 7 + MAX_WORDS];
	uint32_t count; /* of body */
};

static void put(struct message *message, uint32_t word)
{
	if (message->count < 7 + MAX_WORDS) {
		message->words[2 + message->count++] = word;
	}
}

static void put64(struct message *message, uint64_t value)
{
	put(message, (uint32_t)value);
	put(message, (uint32_t)(value >> 32));
}

/* What the client believes to have: anything wrong ends it, so most steps must make sense. */
struct client {
	struct input in;
	uint32_t resources, syncs, rings;
};

/* An id out of 1..@count, rarely another. */
static uint32_t take_id(struct client *client, uint32_t count)
{
	uint32_t value = take8(&client->in);
	return value % 32 == 31 || !count ? take_number(&client->in) : 1 + value % count;
}

/* vkCreateRingMESA of Mesa's shape, often with one number changed. */
static void put_ring(struct message *message, struct client *client)
{
	struct input *in = &client->in;
	uint64_t fields[10] = {0, 131268, 1000000, 0, 64, 128, 192, 131072, 131264, 4};
	if (take8(in) % 4 == 3) {
		fields[take8(in) % 10] = take_number(in) | (uint64_t)(take8(in) == 9) << 40;
	}
	put(message, VENUS_vkCreateRingMESA), put(message, 0), put64(message, ++client->rings);
	put64(message, 1), put(message, 1000384000);
	if (take8(in) % 2) {
		put64(message, 1), put(message, 1000384006), put64(message, 0), put(message, take_number(in));
	} else {
		put64(message, 0);
	}
	put(message, 0), put(message, take_id(client, client->resources));
	for (int i = 0; i < 10; i++) {
		put64(message, fields[i]);
	}
}

static void put_transport(struct message *message, struct client *client)
{
	struct input *in = &client->in;
	switch (take8(in) % 9) {
	case 0:
		put(message, VENUS_vkDestroyRingMESA), put(message, 0), put64(message, take_id(client, client->rings));
		break;
	case 1:
		put(message, VENUS_vkNotifyRingMESA), put(message, 0), put64(message, take_id(client, client->rings));
		put(message, take8(in)), put(message, 0);
		break;
	case 2:
		put(message, VENUS_vkWriteRingExtraMESA), put(message, 0), put64(message, take_id(client, client->rings));
		put64(message, take8(in) % 8 ? 0 : take_number(in)), put(message, 5);
		break;
	case 3:
		put(message, VENUS_vkSubmitVirtqueueSeqnoMESA), put(message, 0);
		put64(message, take_id(client, client->rings)), put64(message, take_number(in));
		break;
	case 4:
		put(message, VENUS_vkWaitRingSeqnoMESA), put(message, 0), put64(message, take_id(client, client->rings));
		put64(message, 0);
		break;
	case 5:
	case 6:
		put(message, VENUS_vkSetReplyCommandStreamMESA), put(message, 0), put64(message, 1);
		put(message, take_id(client, client->resources)), put64(message, take_number(in) & ~3u);
		put64(message, take_number(in) & ~3u);
		break;
	case 7:
		put(message, VENUS_vkSeekReplyCommandStreamMESA), put(message, 0), put64(message, take8(in) & ~3u);
		break;
	default:
		for (uint32_t left = 2 + take8(in) % 16; left; left--) {
			put(message, take_number(in));
		}
	}
}

static void put_submission(struct message *message, struct client *client)
{
	struct input *in = &client->in;
	uint32_t syncs = client->syncs ? take8(in) % 3 : 0;
	put(message, 1), put(message, 1), put(message, 7), put(message, 0), put(message, 0), put(message, syncs);
	put(message, take8(in) % 4);
	if (take8(in) % 4 == 0) {
		put_ring(message, client);
	} else {
		put_transport(message, client);
	}
	message->words[2 + 3] = message->count - 7;
	message->words[2 + 4] = message->count;
	for (uint32_t i = 0; i < syncs; i++) {
		put(message, take_id(client, client->syncs)), put64(message, take8(in));
	}
	if (take8(in) % 32 == 31) {
		message->words[2 + take8(in) % 7] = take_number(in);
	}
}

static void put_request(struct message *message, struct client *client, uint32_t kind)
{
	struct input *in = &client->in;
	switch (kind) {
	case 3: put(message, take_id(client, client->resources)); break;
	case 7: put64(message, 0); break;
	case 11:
	case 15: put(message, take_number(in)); break;
	case 16: put(message, 4), put(message, take8(in) % 2); break;
	case 18:
		client->resources++;
		put(message, 2), put(message, 1), put(message, take8(in) % 2 ? 131268 : 1 + take_number(in) % 70000);
		put(message, take8(in) == 1), put(message, take8(in) == 1), put(message, 0);
		break;
	case 19: client->syncs++, put64(message, take_number(in)); break;
	case 20:
	case 21: put(message, take_id(client, client->syncs)); break;
	case 22: put(message, take_id(client, client->syncs)), put64(message, take_number(in)); break;
	case 23:
		put(message, take8(in) % 2), put(message, take_number(in));
		for (uint32_t left = take8(in) % 3; left; left--) {
			put(message, take_id(client, client->syncs)), put64(message, take8(in));
		}
		break;
	default: put_submission(message, client);
	}
}

static void make_message(struct message *message, struct client *client)
{
	static const uint8_t kinds[] = {3, 7, 10, 11, 15, 16, 18, 18, 18, 19, 19, 20, 21, 22, 22, 23, 23,
					24, 24, 24, 24, 24, 24, 24, 24};
	uint32_t kind = kinds[take8(&client->in) % sizeof(kinds)];
	if (take8(&client->in) == 255) {
		kind = take8(&client->in);
	}
	message->count = 0;
	if (kind != 10) {
		put_request(message, client, kind);
	}
	message->words[0] = message->count;
	message->words[1] = kind;
	if (take8(&client->in) == 255) {
		message->words[0] = take_number(&client->in);
	}
}

static void send_all(int socket, const void *bytes, size_t len)
{
	ssize_t sent = send(socket, bytes, len, MSG_NOSIGNAL);
	(void)sent; /* a full socket ends the input */
}

static PFN_vkVoidFunction no_driver(VkInstance instance, const char *name)
{
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t greeting[] = {4, 8, 0, 1, 17, 4};
	static const struct vtest_config config = {.max_bytes = 4 << 20};
	const struct probe probe = {.get_proc = no_driver};
	struct client client = {.in = {data, data + size}};
	int pair[2];
	log_set_level(LOG_ERROR);
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	send_all(pair[0], greeting, sizeof(greeting));
	for (int step = 0; step < MAX_STEPS && client.in.at < client.in.end; step++) {
		struct message message;
		make_message(&message, &client);
		send_all(pair[0], message.words, (2 + message.count) * sizeof(uint32_t));
	}
	/* The end: a request that is none, and a time limit where a wrong length swallowed it. */
	static const uint32_t last[] = {0, 99};
	const struct timeval limit = {.tv_usec = 20000};
	send_all(pair[0], last, sizeof(last));
	assert(setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
	vtest_serve_client(pair[1], &config, &probe, NULL, 0);
	close(pair[0]);
	return 0;
}
