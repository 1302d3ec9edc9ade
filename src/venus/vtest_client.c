/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtest_client.c - one connection of the vtest protocol
 *
 * How it works: requests are read one by one.  The last byte of each stays in the socket until the request has been carried
 * out: when a client breaks a rule the socket is closed with that byte unread, which the client sees as a reset connection.
 * (An orderly end of stream makes Mesa's client wait for ever.)
 * Threads: the process's first; fences complete on any.
 */
#include "venus/vtest.h"

#include "base/log.h"
#include "base/own.h"
#include "base/sock.h"
#include "venus/context.h"
#include "venus/idmap.h"
#include "venus/vtest_sync.h"
#include "venus/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

enum {
	VTEST_RESOURCE_UNREF = 3,
	VTEST_RESOURCE_BUSY_WAIT = 7,
	VTEST_CREATE_RENDERER = 8,
	VTEST_PING_PROTOCOL_VERSION = 10,
	VTEST_PROTOCOL_VERSION = 11,
	VTEST_GET_PARAM = 15,
	VTEST_GET_CAPSET = 16,
	VTEST_CONTEXT_INIT = 17,
	VTEST_RESOURCE_CREATE_BLOB = 18,
	VTEST_SYNC_CREATE = 19,
	VTEST_SYNC_UNREF = 20,
	VTEST_SYNC_READ = 21,
	VTEST_SYNC_WRITE = 22,
	VTEST_SYNC_WAIT = 23,
	VTEST_SUBMIT_CMD2 = 24,
};

enum {
	VTEST_VERSION = 3,
	VTEST_PARAM_MAX_TIMELINES = 1,
	VTEST_CAPSET_VENUS = 4,
	VTEST_BLOB_HOST3D = 2,
	VTEST_BLOB_FLAGS = 7,
	VTEST_MAX_BODY = 64 * 1024 * 1024,
	VTEST_MAX_NAME = 4096,
	VTEST_BATCH_WORDS = 6,
	VTEST_SYNC_WORDS = 3,
	VTEST_GRANULE = 4096,
	VTEST_MAX_UNBACKED = 16384,
};

struct vtest_client {
	int socket;
	const struct vtest_config *config;
	const struct probe *probe;
	struct ledger *ledger;
	unsigned slot;
	struct wire_state state; /* for nobody: no stand-in serves vtest */
	struct context *context; /* NULL before CONTEXT_INIT */
	struct watch watch;
	struct vtest_syncs syncs;
	uint32_t next_resource;
	struct idmap unbacked; /* resources that could not be made: any value */
	bool named;
	bool gone; /* an answer could not be sent */
	bool told; /* why it is dropped */
	uint32_t *body; /* of the request being carried out */
	size_t body_room;
	uint32_t words; /* of body */
};

/* What a fence sets when it completes. */
struct vtest_fence {
	uint32_t count;
	struct vtest_sync_item items[];
};

static uint64_t vtest_u64(const uint32_t *words)
{
	return words[0] | (uint64_t)words[1] << 32;
}

/* Reads exactly @len bytes.  False at the end of the stream. */
static bool vtest_read(struct vtest_client *client, void *data, size_t len, int flags)
{
	for (size_t done = 0; done < len;) {
		ssize_t got = recv(client->socket, (uint8_t *)data + done, len - done, flags);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			return false;
		}
		done += (size_t)got;
	}
	return true;
}

static bool vtest_send(struct vtest_client *client, const void *data, size_t len, int fd)
{
	client->gone = sock_send(client->socket, data, len, &fd, fd >= 0 ? 1 : 0) != (ssize_t)len;
	return !client->gone;
}

static bool vtest_reply(struct vtest_client *client, uint32_t command, const uint32_t *words,
			uint32_t count)
{
	uint32_t message[2 + 2 + WIRE_CAPSET_BYTES / 4] = {count, command};
	if (count) {
		memcpy(message + 2, words, count * sizeof(*words));
	}
	return vtest_send(client, message, (2 + count) * sizeof(*words), -1);
}

static bool vtest_reply_u32(struct vtest_client *client, uint32_t command, uint32_t value)
{
	return vtest_reply(client, command, &value, 1);
}

static bool vtest_send_fd(struct vtest_client *client, int fd)
{
	return vtest_send(client, &(uint8_t){0}, 1, fd);
}

/* Context */

static void vtest_on_fence(void *opaque, uint32_t ring_idx, uint64_t fence_id)
{
	struct vtest_client *client = opaque;
	struct vtest_fence *fence = (struct vtest_fence *)(uintptr_t)fence_id;
	(void)ring_idx;
	for (uint32_t i = 0; i < fence->count; i++) {
		vtest_sync_write(&client->syncs, fence->items[i].id, fence->items[i].value);
	}
	free(fence);
}

static void vtest_on_fatal(void *opaque, const char *text)
{
	(void)opaque;
	(void)text; /* the ring's FATAL bit tells the client; its next request is refused */
}

static const struct context_ops vtest_ops = {.fence = vtest_on_fence, .fatal = vtest_on_fatal};

/* For those that break no rule.  False. */
static bool vtest_drop(struct vtest_client *client, const char *what, const char *why)
{
	client->told = true;
	log_limited(LOG_WARN, "client dropped: %s%s", what, why);
	return false;
}

static bool vtest_context_init(struct vtest_client *client)
{
	struct error err = {0};
	struct context_config config = {
		.max_bytes = client->config->max_bytes,
		.ledger = client->ledger,
		.ledger_slot = client->slot,
		.granule = VTEST_GRANULE,
		.probe = client->probe,
		.state = &client->state,
		.ops = &vtest_ops,
		.opaque = client,
	};
	if (client->words != 1 || client->body[0] != VTEST_CAPSET_VENUS || client->context) {
		return false;
	}
	client->context = context_create(&config, &err);
	if (!client->context) {
		return vtest_drop(client, "", err.text);
	}
	if (watch_start(&client->watch, client->context, client->socket)) {
		context_destroy(client->context);
		client->context = NULL;
		return vtest_drop(client, "no thread for a context", "");
	}
	return true;
}

/* Requests: each returns false if the client breaks a rule or the connection fails. */

static bool vtest_get_param(struct vtest_client *client)
{
	uint32_t reply[2] = {0, 0};
	if (client->words != 1) {
		return false;
	}
	if (client->body[0] == VTEST_PARAM_MAX_TIMELINES) {
		reply[0] = 1;
		reply[1] = WIRE_MAX_TIMELINES;
	}
	return vtest_reply(client, VTEST_GET_PARAM, reply, 2);
}

static bool vtest_get_capset(struct vtest_client *client)
{
	uint32_t reply[1 + WIRE_CAPSET_BYTES / 4] = {1};
	if (client->words != 2) {
		return false;
	}
	if (client->body[0] != VTEST_CAPSET_VENUS || client->body[1] != 0) {
		return vtest_reply_u32(client, VTEST_GET_CAPSET, 0);
	}
	venus_capset_fill((uint8_t *)(reply + 1));
	return vtest_reply(client, VTEST_GET_CAPSET, reply, 1 + WIRE_CAPSET_BYTES / 4);
}

/* The protocol has no word for failure.  What can not be mapped is an error that the client's program sees when it maps. */
static bool vtest_answer_unbacked(struct vtest_client *client, uint32_t id)
{
	AUTO_FD int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0 || client->unbacked.count >= VTEST_MAX_UNBACKED || idmap_put(&client->unbacked, id, client) < 0) {
		return vtest_drop(client, "too much of what it wants fails", "");
	}
	return vtest_reply_u32(client, VTEST_RESOURCE_CREATE_BLOB, id) && vtest_send_fd(client, fd);
}

static bool vtest_create_blob(struct vtest_client *client)
{
	const uint32_t *body = client->body;
	struct context_blob blob;
	if (client->words != 6 || !client->context || body[0] != VTEST_BLOB_HOST3D ||
	    body[1] & ~(uint32_t)VTEST_BLOB_FLAGS) {
		return false;
	}
	uint32_t id = ++client->next_resource;
	int status = context_create_blob(client->context, id, body[1], vtest_u64(body + 4),
					 vtest_u64(body + 2), &blob);
	if ((status == -ENOMEM || status == -EDQUOT) && vtest_u64(body + 4)) {
		return vtest_answer_unbacked(client, id);
	}
	switch (status) {
	case 0: break;
	case -EDQUOT: return vtest_drop(client, "no memory for it: ", BUDGET_LIMIT " is reached");
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE: return vtest_drop(client, "no memory for it: ", strerror(-status));
	default: return false;
	}
	return vtest_reply_u32(client, VTEST_RESOURCE_CREATE_BLOB, id) &&
	       vtest_send_fd(client, blob.fd);
}

static bool vtest_unref(struct vtest_client *client)
{
	return client->words == 1 && client->context &&
	       (idmap_take(&client->unbacked, client->body[0]) ||
		!context_unref(client->context, client->body[0]));
}

static bool vtest_do_sync_create(struct vtest_client *client)
{
	uint32_t id = client->words == 2
			      ? vtest_sync_create(&client->syncs, vtest_u64(client->body))
			      : 0;
	return id && vtest_reply_u32(client, VTEST_SYNC_CREATE, id);
}

static bool vtest_do_sync_read(struct vtest_client *client)
{
	uint64_t value;
	if (client->words != 1 || !vtest_sync_read(&client->syncs, client->body[0], &value)) {
		return false;
	}
	uint32_t reply[2] = {(uint32_t)value, (uint32_t)(value >> 32)};
	return vtest_reply(client, VTEST_SYNC_READ, reply, 2);
}

/* @count syncs at @words as items; the caller frees them.  NULL if out of memory. */
static struct vtest_sync_item *vtest_items(const uint32_t *words, uint32_t count)
{
	struct vtest_sync_item *items = calloc(count + 1u, sizeof(*items));
	for (uint32_t i = 0; items && i < count; i++) {
		items[i].id = words[i * VTEST_SYNC_WORDS];
		items[i].value = vtest_u64(words + i * VTEST_SYNC_WORDS + 1);
	}
	return items;
}

static bool vtest_do_sync_wait(struct vtest_client *client)
{
	if (client->words < 2 || (client->words - 2) % VTEST_SYNC_WORDS) {
		return false;
	}
	uint32_t count = (client->words - 2) / VTEST_SYNC_WORDS;
	if (count > VTEST_MAX_WAIT_ITEMS) {
		return false;
	}
	AUTO_FREE struct vtest_sync_item *items = vtest_items(client->body + 2, count);
	AUTO_FD int fd = items ? vtest_sync_wait(&client->syncs, items, count, client->body[0] & 1,
						 client->body[1])
			       : -1;
	return fd >= 0 && vtest_reply(client, VTEST_SYNC_WAIT, NULL, 0) &&
	       vtest_send_fd(client, fd);
}

/* One batch of a submission, with its parts checked. */
struct vtest_batch {
	const uint32_t *commands, *syncs;
	uint32_t command_words, sync_count, ring_idx;
};

/* False if a part lies outside the body. */
static bool vtest_batch_check(const struct vtest_client *client, uint32_t index,
			      struct vtest_batch *batch)
{
	const uint32_t *words = client->body + 1 + index * VTEST_BATCH_WORDS;
	uint64_t sync_words = (uint64_t)words[4] * VTEST_SYNC_WORDS;
	if (words[1] > client->words || words[2] > client->words - words[1] ||
	    words[3] > client->words || sync_words > client->words - words[3]) {
		return false;
	}
	*batch = (struct vtest_batch){
		.commands = client->body + words[1],
		.command_words = words[2],
		.syncs = client->body + words[3],
		.sync_count = words[4],
		.ring_idx = words[0] & 1 ? words[5] : 0,
	};
	return true;
}

static bool vtest_run_batch(struct vtest_client *client, const struct vtest_batch *batch)
{
	if (context_submit(client->context, batch->commands,
			   batch->command_words * sizeof(uint32_t))) {
		return false;
	}
	if (!batch->sync_count) {
		return true;
	}
	AUTO_FREE struct vtest_sync_item *items = vtest_items(batch->syncs, batch->sync_count);
	struct vtest_fence *fence =
		calloc(1, sizeof(*fence) + batch->sync_count * sizeof(*fence->items));
	if (!items || !fence) {
		free(fence);
		return false;
	}
	fence->count = batch->sync_count;
	memcpy(fence->items, items, batch->sync_count * sizeof(*items));
	context_fence(client->context, batch->ring_idx, (uintptr_t)fence);
	return true;
}

static bool vtest_submit(struct vtest_client *client)
{
	if (!client->context || !client->words) {
		return false;
	}
	uint32_t count = client->body[0];
	if (count > (client->words - 1) / VTEST_BATCH_WORDS) {
		return false;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct vtest_batch batch;
		if (!vtest_batch_check(client, i, &batch) || !vtest_run_batch(client, &batch)) {
			return false;
		}
	}
	return true;
}

static bool vtest_handle(struct vtest_client *client, uint32_t command)
{
	const uint32_t *body = client->body;
	switch (command) {
	case VTEST_PING_PROTOCOL_VERSION:
		return !client->words && vtest_reply(client, command, NULL, 0);
	case VTEST_RESOURCE_BUSY_WAIT:
		return client->words == 2 && vtest_reply_u32(client, command, 0);
	case VTEST_PROTOCOL_VERSION:
		return client->words == 1 &&
		       vtest_reply_u32(client, command,
				       body[0] < VTEST_VERSION ? body[0] : VTEST_VERSION);
	case VTEST_GET_PARAM:
		return vtest_get_param(client);
	case VTEST_GET_CAPSET:
		return vtest_get_capset(client);
	case VTEST_CONTEXT_INIT:
		return vtest_context_init(client);
	case VTEST_RESOURCE_CREATE_BLOB:
		return vtest_create_blob(client);
	case VTEST_RESOURCE_UNREF:
		return vtest_unref(client);
	case VTEST_SYNC_CREATE:
		return vtest_do_sync_create(client);
	case VTEST_SYNC_UNREF:
		return client->words == 1 && vtest_sync_unref(&client->syncs, body[0]);
	case VTEST_SYNC_READ:
		return vtest_do_sync_read(client);
	case VTEST_SYNC_WRITE:
		return client->words == 3 &&
		       vtest_sync_write(&client->syncs, body[0], vtest_u64(body + 1));
	case VTEST_SYNC_WAIT:
		return vtest_do_sync_wait(client);
	case VTEST_SUBMIT_CMD2:
		return vtest_submit(client);
	default:
		return false;
	}
}

/* Framing */

/* Reads @bytes of body, the last one only as a look; true also for 0.  Makes room. */
static bool vtest_read_body(struct vtest_client *client, size_t bytes)
{
	if (bytes > client->body_room) {
		free(client->body);
		client->body_room = 0;
		client->body = malloc(bytes);
		if (!client->body) {
			return false;
		}
		client->body_room = bytes;
	}
	uint8_t *body = (uint8_t *)client->body;
	return !bytes || (vtest_read(client, body, bytes - 1, 0) &&
			  vtest_read(client, body + bytes - 1, 1, MSG_PEEK));
}

/* The client's first words.  False if they are no greeting. */
static bool vtest_check_first(const struct vtest_client *client, const uint32_t header[2])
{
	return client->named ? header[1] != VTEST_CREATE_RENDERER
			     : header[1] == VTEST_CREATE_RENDERER && header[0] &&
				       header[0] <= VTEST_MAX_NAME;
}

/* It hung up, or was told why already. */
static bool vtest_is_over(const struct vtest_client *client)
{
	return client->gone || (client->context && context_is_over(client->context));
}

/* Handles one request.  False at the end of the stream, or of the client's good behaviour. */
static bool vtest_receive(struct vtest_client *client)
{
	uint32_t header[2];
	uint8_t last;
	ssize_t got;
	if (client->context) {
		context_await(client->context, client->socket);
	}
	do {
		got = recv(client->socket, header, sizeof(header), MSG_PEEK | MSG_WAITALL);
	} while (got < 0 && errno == EINTR);
	if (got < (ssize_t)sizeof(header)) {
		return false;
	}
	/* CREATE_RENDERER alone counts in bytes. */
	uint64_t bytes = header[1] == VTEST_CREATE_RENDERER ? header[0] : header[0] * 4ull;
	if (vtest_is_over(client)) {
		return false;
	}
	if (!vtest_check_first(client, header) || bytes > VTEST_MAX_BODY) {
		log_limited(LOG_WARN, "client dropped: request %u not allowed here", header[1]);
		return false;
	}
	size_t head = bytes ? sizeof(header) : sizeof(header) - 1;
	if (!vtest_read(client, header, head, 0) || !vtest_read_body(client, bytes)) {
		return false;
	}
	client->words = (uint32_t)(bytes / 4);
	if (client->named && !vtest_handle(client, header[1])) {
		if (!client->told && !vtest_is_over(client)) {
			log_limited(LOG_WARN, "client dropped: request %u breaks a rule", header[1]);
		}
		return false;
	}
	client->named = true;
	return vtest_read(client, &last, 1, 0);
}

void vtest_serve_client(int socket, const struct vtest_config *config, const struct probe *probe, struct ledger *ledger,
			unsigned slot)
{
	struct vtest_client *client = calloc(1, sizeof(*client));
	if (!client) {
		log_error("no memory for a client");
		close(socket);
		return;
	}
	client->socket = socket;
	client->config = config;
	client->probe = probe;
	client->ledger = ledger;
	client->slot = slot;
	vtest_syncs_init(&client->syncs);
	while (vtest_receive(client)) {
	}
	if (client->context) {
		watch_finish(&client->watch);
	}
	close(socket);
	if (client->context) {
		context_destroy(client->context);
		watch_release();
	}
	vtest_syncs_finish(&client->syncs);
	idmap_finish(&client->unbacked);
	free(client->body);
	free(client);
}
