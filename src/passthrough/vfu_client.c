/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfu_client.c - the client's end of a vfio-user connection
 *
 * How it works: callers put a struct vfu_call on their stack into a list, send, and sleep until the
 * service thread has filled it from the reply with the same id; so several vCPUs may wait at once.
 * The service thread also serves the server's DMA messages, against the table of what was mapped.
 * Whatever is wrong with the stream ends the connection for good. Invariants: every reply belongs
 * to a waiting call; a call leaves the list before its caller goes on. Threads: see backend.h.
 * Locks: send_lock (order on the socket), lock (all else); never both.
 */
#include "passthrough/vfu_client.h"

#include "base/log.h"
#include "base/os.h"
#include "base/own.h"
#include "base/wait.h"
#include "passthrough/vfu_caps.h"
#include "passthrough/vfu_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

enum { CLIENT_MAX_MAPS = 64 };

struct vfu_map {
	uint64_t iova, len;
	uint8_t *hva;
	bool writable;
};

struct vfu_call {
	struct vfu_call *next;
	uint16_t id, command;
	void *reply; /* room for the reply's body */
	size_t room, len;
	int fd;	    /* the first descriptor of the reply, or -1; the caller owns it */
	int status; /* 1: waiting; 0 or -errno */
};

struct vfu_client {
	struct backend base;
	struct vfu_client_config config;
	char path[108];
	int socket;
	struct loop_source *source;
	struct vfu_reader reader;
	struct vfu_caps caps; /* the server's */
	uint32_t device_flags, region_count, irq_kinds;
	int region_fds[BACKEND_REGIONS];
	pthread_mutex_t send_lock;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t answered;
	atomic_bool timed_out;
	uint16_t next_id;
	struct vfu_call *calls;
	bool gone;
	struct vfu_map maps[CLIENT_MAX_MAPS];
	unsigned map_count;
};

static struct vfu_client *vfu_client(struct backend *backend)
{
	return (struct vfu_client *)backend;
}

/* ----- the end of a connection ----- */

/* From here on every call fails; the service thread will see the end of the stream.  Any thread. */
static void client_mark_gone(struct vfu_client *client)
{
	LOCKED(&client->lock);
	client->gone = true;
	for (struct vfu_call *call = client->calls; call; call = call->next) {
		call->status = call->status > 0 ? -ENODEV : call->status;
	}
	pthread_cond_broadcast(&client->answered);
	shutdown(client->socket, SHUT_RDWR);
}

/* Service thread: tell the owner, and stop listening. */
static void client_end(struct vfu_client *client, const char *why)
{
	client_mark_gone(client);
	if (client->source) {
		loop_remove(client->source);
		client->source = NULL;
		client->config.on_gone(client->config.opaque, why);
	}
}

static int client_send(struct vfu_client *client, struct vfu_header *header,
		       const struct vfu_part *parts, size_t count, const int *fds, size_t fd_count)
{
	LOCKED(&client->send_lock);
	return vfu_send(client->socket, header, parts, count, fds, fd_count,
			client->config.timeout_ms);
}

/* ----- calls ----- */

static int client_enter(struct vfu_client *client, struct vfu_call *call)
{
	call->fd = -1;
	LOCKED(&client->lock);
	if (client->gone) {
		return -ENODEV;
	}
	call->id = client->next_id++;
	call->status = 1;
	call->next = client->calls;
	client->calls = call;
	return 0;
}

static void client_leave_locked(struct vfu_client *client, const struct vfu_call *call)
{
	struct vfu_call **link = &client->calls;
	while (*link != call) {
		link = &(*link)->next;
	}
	*link = call->next;
}

/* Sleep until the call is answered; leaves the list in any case. */
static int client_wait(struct vfu_client *client, struct vfu_call *call)
{
	uint64_t deadline_ns = wait_now_ns() + client->config.timeout_ms * UINT64_C(1000000);
	LOCKED(&client->lock);
	int late = 0;
	while (call->status > 0 && !late) {
		late = wait_until(&client->answered, &client->lock, deadline_ns);
	}
	client_leave_locked(client, call);
	return call->status > 0 ? -ETIMEDOUT : call->status;
}

/* Send a command and wait for its reply.  The parts and descriptors are borrowed. */
static int client_call(struct vfu_client *client, struct vfu_call *call,
		       const struct vfu_part *parts, size_t count, const int *fds, size_t fd_count)
{
	int status = client_enter(client, call);
	if (status < 0) {
		return status;
	}
	struct vfu_header header = {.id = call->id, .command = call->command};
	status = client_send(client, &header, parts, count, fds, fd_count);
	if (status < 0) {
		client_mark_gone(client);
	}
	int answer = client_wait(client, call);
	if (answer == -ETIMEDOUT) {
		client->timed_out = true;
		client_mark_gone(client);
	}
	return status == -ETIMEDOUT ? status : answer;
}

/* A command whose reply must have exactly @room bytes. */
static int client_exchange(struct vfu_client *client, enum vfu_command command,
			   const struct vfu_part *parts, size_t count, void *reply, size_t room)
{
	struct vfu_call call = {.command = command, .reply = reply, .room = room};
	int status = client_call(client, &call, parts, count, NULL, 0);
	own_close(&call.fd);
	return status == 0 && call.len != room ? -EPROTO : status;
}

/* A command that nobody waits for. */
static int client_post(struct vfu_client *client, enum vfu_command command,
		       const struct vfu_part *parts, size_t count)
{
	struct vfu_header header = {.command = command, .flags = VFU_NO_REPLY};
	{
		LOCKED(&client->lock);
		if (client->gone) {
			return -ENODEV;
		}
		header.id = client->next_id++;
	}
	int status = client_send(client, &header, parts, count, NULL, 0);
	if (status < 0) {
		client_mark_gone(client);
	}
	return status;
}

/* ----- the service thread ----- */

/* Fill the call that @message answers.  -EPROTO if nobody waits for it. */
static int client_take_reply(struct vfu_client *client, struct vfu_message *message)
{
	const struct vfu_header *header = &message->header;
	LOCKED(&client->lock);
	struct vfu_call *call = client->calls;
	while (call && (call->id != header->id || call->status <= 0)) {
		call = call->next;
	}
	if (!call || call->command != header->command) {
		return -EPROTO;
	}
	if (header->flags & VFU_ERROR) {
		bool sane = header->error > 0 && header->error < 4096;
		call->status = sane ? -(int)header->error : -EIO;
	} else if (message->len > call->room) {
		call->status = -EPROTO;
	} else {
		if (message->len) {
			memcpy(call->reply, message->body, message->len);
		}
		call->len = message->len;
		call->fd = vfu_message_take_fd(message, 0);
		call->status = 0;
	}
	pthread_cond_broadcast(&client->answered);
	return 0;
}

/* Copy @len bytes between the guest and @data; the range must lie in one mapping.  -EFAULT,
 * -EACCES. */
static int client_dma(struct vfu_client *client, uint64_t iova, uint64_t len, void *data,
		      bool to_guest)
{
	LOCKED(&client->lock);
	for (unsigned i = 0; i < client->map_count; i++) {
		const struct vfu_map *map = &client->maps[i];
		uint64_t offset = iova - map->iova;
		if (offset >= map->len || len > map->len - offset) {
			continue;
		}
		if (to_guest && !map->writable) {
			return -EACCES;
		}
		memcpy(to_guest ? map->hva + offset : data, to_guest ? data : map->hva + offset,
		       len);
		return 0;
	}
	return -EFAULT;
}

static int client_answer(struct vfu_client *client, const struct vfu_header *command, int status,
			 const struct vfu_part *parts, size_t count)
{
	struct vfu_header header = {
		.id = command->id,
		.command = command->command,
		.flags = VFU_REPLY | (status < 0 ? VFU_ERROR : 0),
		.error = (uint32_t)-status,
	};
	if (command->flags & VFU_NO_REPLY) {
		return 0;
	}
	return client_send(client, &header, parts, status < 0 ? 0 : count, NULL, 0);
}

/* DMA_READ and DMA_WRITE of the server. */
static int client_serve(struct vfu_client *client, const struct vfu_message *message)
{
	struct vfu_dma_access access;
	bool write = message->header.command == VFU_DMA_WRITE;
	if ((!write && message->header.command != VFU_DMA_READ) || message->len < sizeof(access)) {
		return -EPROTO;
	}
	memcpy(&access, message->body, sizeof(access));
	size_t data_len = message->len - sizeof(access);
	if (access.count > VFU_DATA_LIMIT || data_len != (write ? access.count : 0)) {
		return -EPROTO;
	}
	if (write) {
		int status = client_dma(client, access.address, access.count,
					(void *)(message->body + sizeof(access)), true);
		return client_answer(client, &message->header, status,
				     (struct vfu_part[]){{&access, sizeof(access)}}, 1);
	}
	AUTO_FREE uint8_t *data = malloc(access.count + 1);
	int status = data ? client_dma(client, access.address, access.count, data, false) : -ENOMEM;
	return client_answer(client, &message->header, status,
			     (struct vfu_part[]){{&access, sizeof(access)}, {data, access.count}},
			     2);
}

static int client_take(struct vfu_client *client, struct vfu_message *message)
{
	switch (message->header.flags & VFU_TYPE_MASK) {
	case 0: return client_serve(client, message);
	case VFU_REPLY: return client_take_reply(client, message);
	default: return -EPROTO;
	}
}

/* At most this many messages before other work of the loop gets its turn. */
enum { CLIENT_BATCH = 64 };

static void client_on_readable(void *opaque, uint32_t events)
{
	struct vfu_client *client = opaque;
	int status = 1;
	for (unsigned i = 0; status > 0 && i < CLIENT_BATCH; i++) {
		struct vfu_message *message;
		status = vfu_reader_pull(&client->reader, client->socket, &message);
		if (status > 0) {
			int taken = client_take(client, message);
			status = taken < 0 ? taken : status;
		}
	}
	if (status == -EPROTO) {
		client_end(client, "the server broke the protocol");
	} else if (status < 0) {
		client_end(client,
			   client->timed_out ? "the server does not answer" : "the server is gone");
	}
}

/* ----- the device ----- */

static int client_refused(const struct vfu_client *client, int status, const char *what,
			  struct error *err)
{
	switch (status) {
	case -ETIMEDOUT:
		return error_set(err, status, "%s: the server did not answer within %u ms",
				 client->path, client->config.timeout_ms);
	case -ENODEV:
		return error_set(err, status,
				 "%s: the server closed the connection or broke the protocol",
				 client->path);
	case -EPROTO:
		return error_set(err, status, "%s: the server's answer to %s makes no sense",
				 client->path, what);
	default:
		return error_set(err, status, "%s: the server refused %s: %s", client->path, what,
				 strerror(-status));
	}
}

static int client_say_version(struct vfu_client *client, struct error *err)
{
	const struct vfu_version version = {VFU_MAJOR, VFU_MINOR};
	const struct vfu_caps ours = {VFU_MAX_FDS, VFU_DATA_LIMIT, 65535};
	AUTO_FREE char *text = vfu_caps_print(&ours);
	AUTO_FREE uint8_t *reply = malloc(VFU_BODY_LIMIT);
	if (!text || !reply) {
		return error_set(err, -ENOMEM, "%s: out of memory", client->path);
	}
	struct vfu_call call = {.command = VFU_VERSION, .reply = reply, .room = VFU_BODY_LIMIT};
	const struct vfu_part parts[] = {{&version, sizeof(version)}, {text, strlen(text) + 1}};
	int status = client_call(client, &call, parts, 2, NULL, 0);
	own_close(&call.fd);
	if (status == 0 && call.len < sizeof(version)) {
		status = -EPROTO;
	}
	if (status < 0) {
		return client_refused(client, status, "the version", err);
	}
	struct vfu_version theirs;
	memcpy(&theirs, reply, sizeof(theirs));
	if (theirs.major != VFU_MAJOR) {
		return error_set(err, -EPROTO, "%s: the server speaks vfio-user %u.%u, not %d.x",
				 client->path, theirs.major, theirs.minor, VFU_MAJOR);
	}
	status = vfu_caps_parse(&client->caps, reply + sizeof(theirs), call.len - sizeof(theirs),
				err);
	if (status < 0) {
		error_context(err, "%s", client->path);
	}
	return status;
}

int vfu_client_negotiate(struct backend *backend, struct error *err)
{
	struct vfu_client *client = vfu_client(backend);
	int status = client_say_version(client, err);
	if (status < 0) {
		return status;
	}
	struct vfu_device_info info = {.argsz = sizeof(info)};
	status =
		client_exchange(client, VFU_DEVICE_GET_INFO,
				(struct vfu_part[]){{&info, sizeof(info)}}, 1, &info, sizeof(info));
	if (status < 0) {
		return client_refused(client, status, "the device's description", err);
	}
	if (!(info.flags & VFU_DEVICE_PCI) || info.regions <= BACKEND_CONFIG) {
		return error_set(err, -ENODEV, "%s: the server's device is not a PCI device",
				 client->path);
	}
	client->device_flags = info.flags;
	client->region_count = info.regions;
	client->irq_kinds = info.irqs;
	return 0;
}

/* The areas of a sparse region.  @len bytes of reply, of which the chain may point only inside. */
static int client_parse_areas(const uint8_t *reply, size_t len, uint32_t at,
			      struct backend_region *out)
{
	for (unsigned hops = 0; at && hops < 16; hops++) {
		struct vfu_cap cap;
		struct vfu_sparse sparse;
		if (at > len || len - at < sizeof(cap)) {
			return -EPROTO;
		}
		memcpy(&cap, reply + at, sizeof(cap));
		if (cap.id == VFU_CAP_SPARSE) {
			size_t start = at + sizeof(cap) + sizeof(sparse);
			if (start > len) {
				return -EPROTO;
			}
			memcpy(&sparse, reply + at + sizeof(cap), sizeof(sparse));
			if (sparse.count > BACKEND_MAX_AREAS ||
			    sparse.count * sizeof(struct vfu_area) > len - start) {
				return -EPROTO;
			}
			out->area_count = sparse.count;
			memcpy(out->areas, reply + start, sparse.count * sizeof(struct vfu_area));
			return 0;
		}
		at = cap.next;
	}
	return at ? -EPROTO : 0;
}
static_assert(sizeof(struct vfu_area) == sizeof(struct backend_area),
	      "areas are copied as they are");

static int client_region(struct backend *backend, unsigned index, struct backend_region *out,
			 struct error *err)
{
	struct vfu_client *client = vfu_client(backend);
	uint8_t reply[sizeof(struct vfu_region_info) + 1024];
	struct vfu_region_info info = {.argsz = sizeof(reply), .index = index};
	struct vfu_call call = {
		.command = VFU_DEVICE_GET_REGION_INFO, .reply = reply, .room = sizeof(reply)};
	*out = (struct backend_region){.fd = -1};
	int status =
		client_call(client, &call, (struct vfu_part[]){{&info, sizeof(info)}}, 1, NULL, 0);
	AUTO_FD int fd = status == 0 ? fd_take(&call.fd) : -1;
	if (status == 0 && call.len < sizeof(info)) {
		status = -EPROTO;
	}
	if (status == 0) {
		memcpy(&info, reply, sizeof(info));
		status = info.index != index ? -EPROTO : 0;
		out->size = info.size;
		out->readable = info.flags & VFU_REGION_HAS_READ;
		out->writable = info.flags & VFU_REGION_HAS_WRITE;
	}
	if (status == 0 && info.size && (info.flags & VFU_REGION_HAS_MMAP) && fd >= 0) {
		out->area_count = 1;
		out->areas[0] = (struct backend_area){0, info.size};
		out->fd_offset = info.offset;
		status = info.flags & VFU_REGION_HAS_CAPS
				 ? client_parse_areas(reply, call.len, info.cap_offset, out)
				 : 0;
		if (client->region_fds[index] <
		    0) { /* the first one stays, others are of the same file */
			client->region_fds[index] = fd_take(&fd);
		}
		out->fd = client->region_fds[index];
	}
	return status < 0 ? client_refused(client, status, "the description of a region", err) : 0;
}

static int client_read(struct backend *backend, unsigned region, uint64_t offset, void *to,
		       size_t len)
{
	struct vfu_client *client = vfu_client(backend);
	uint8_t reply[sizeof(struct vfu_region_access) + 4096];
	size_t head = sizeof(struct vfu_region_access),
	       step = client->caps.max_data < 4096 ? client->caps.max_data : 4096;
	for (size_t done = 0; done < len;) {
		size_t now = len - done < step ? len - done : step;
		const struct vfu_region_access access = {offset + done, region, (uint32_t)now};
		int status = client_exchange(client, VFU_REGION_READ,
					     (struct vfu_part[]){{&access, sizeof(access)}}, 1,
					     reply, head + now);
		if (status < 0) {
			return status;
		}
		memcpy((uint8_t *)to + done, reply + head, now);
		done += now;
	}
	return 0;
}

static int client_write(struct backend *backend, unsigned region, uint64_t offset, const void *from,
			size_t len, bool posted)
{
	struct vfu_client *client = vfu_client(backend);
	struct vfu_region_access access = {offset, region, (uint32_t)len};
	const struct vfu_part parts[] = {{&access, sizeof(access)}, {from, len}};
	if (posted) {
		return client_post(client, VFU_REGION_WRITE, parts, 2);
	}
	struct vfu_region_access reply;
	return client_exchange(client, VFU_REGION_WRITE, parts, 2, &reply, sizeof(reply));
}

static int client_irqs(struct backend *backend, unsigned index, unsigned *count, struct error *err)
{
	struct vfu_client *client = vfu_client(backend);
	*count = 0;
	if (index >= client->irq_kinds) {
		return 0;
	}
	struct vfu_irq_info info = {.argsz = sizeof(info), .index = index};
	int status =
		client_exchange(client, VFU_DEVICE_GET_IRQ_INFO,
				(struct vfu_part[]){{&info, sizeof(info)}}, 1, &info, sizeof(info));
	if (status < 0) {
		return client_refused(client, status, "the description of an interrupt", err);
	}
	*count = info.count;
	return 0;
}

static int client_irq_chunk(struct vfu_client *client, unsigned index, unsigned start,
			    const int *eventfds, unsigned count)
{
	const struct vfu_irq_set set = {
		.argsz = sizeof(set),
		.flags = (count ? VFU_IRQ_EVENTFD : VFU_IRQ_NONE) | VFU_IRQ_TRIGGER,
		.index = index,
		.start = start,
		.count = count,
	};
	struct vfu_call call = {.command = VFU_DEVICE_SET_IRQS};
	int status = client_call(client, &call, (struct vfu_part[]){{&set, sizeof(set)}}, 1,
				 eventfds, count);
	own_close(&call.fd);
	return status;
}

/* A message carries only as many descriptors as the server takes. */
static int client_set_irqs(struct backend *backend, unsigned index, const int *eventfds,
			   unsigned count)
{
	struct vfu_client *client = vfu_client(backend);
	if (!count) {
		return client_irq_chunk(client, index, 0, NULL, 0);
	}
	for (unsigned start = 0; start < count; start += client->caps.max_fds) {
		unsigned left = count - start;
		int status =
			client_irq_chunk(client, index, start, eventfds + start,
					 left < client->caps.max_fds ? left : client->caps.max_fds);
		if (status < 0) {
			return status;
		}
	}
	return 0;
}

static int client_unmask_intx(struct backend *backend)
{
	const struct vfu_irq_set set = {.argsz = sizeof(set),
					.flags = VFU_IRQ_NONE | VFU_IRQ_UNMASK,
					.index = BACKEND_INTX,
					.count = 1};
	return client_post(vfu_client(backend), VFU_DEVICE_SET_IRQS,
			   (struct vfu_part[]){{&set, sizeof(set)}}, 1);
}

static int client_remember_map(struct vfu_client *client, const struct vfu_map *map)
{
	LOCKED(&client->lock);
	if (client->map_count == CLIENT_MAX_MAPS || client->map_count >= client->caps.max_maps) {
		return -ENOSPC;
	}
	client->maps[client->map_count++] = *map;
	return 0;
}

static void client_forget_map(struct vfu_client *client, uint64_t iova)
{
	LOCKED(&client->lock);
	for (unsigned i = 0; i < client->map_count; i++) {
		if (client->maps[i].iova == iova) {
			client->maps[i] = client->maps[--client->map_count];
			return;
		}
	}
}

static int client_dma_map(struct backend *backend, uint64_t iova, uint64_t len, void *hva, int fd,
			  uint64_t fd_offset, bool writable, struct error *err)
{
	struct vfu_client *client = vfu_client(backend);
	const struct vfu_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFU_DMA_READABLE | (writable ? VFU_DMA_WRITABLE : 0),
		.offset = fd_offset,
		.address = iova,
		.size = len,
	};
	struct vfu_call call = {.command = VFU_DMA_MAP};
	int status = client_remember_map(client, &(struct vfu_map){iova, len, hva, writable});
	if (status < 0) {
		return error_set(err, status, "%s: the server takes no more than %u DMA mappings",
				 client->path, client->map_count);
	}
	status = client_call(client, &call, (struct vfu_part[]){{&map, sizeof(map)}}, 1, &fd,
			     fd >= 0 ? 1 : 0);
	own_close(&call.fd);
	if (status < 0) {
		client_forget_map(client, iova);
		return client_refused(client, status, "a DMA mapping", err);
	}
	return 0;
}

static int client_dma_unmap(struct backend *backend, uint64_t iova, uint64_t len)
{
	struct vfu_client *client = vfu_client(backend);
	struct vfu_dma_unmap unmap = {.argsz = sizeof(unmap), .address = iova, .size = len};
	int status =
		client_exchange(client, VFU_DMA_UNMAP, (struct vfu_part[]){{&unmap, sizeof(unmap)}},
				1, &unmap, sizeof(unmap));
	client_forget_map(client, iova);
	return status;
}

static unsigned client_resets(struct backend *backend)
{
	return vfu_client(backend)->device_flags & VFU_DEVICE_RESETS ? 1u << BACKEND_RESET_FLR : 0;
}

static int client_reset(struct backend *backend, enum backend_reset method)
{
	struct vfu_call call = {.command = VFU_DEVICE_RESET};
	int status = client_call(vfu_client(backend), &call, NULL, 0, NULL, 0);
	own_close(&call.fd);
	return status;
}

static void client_destroy(struct backend *backend)
{
	struct vfu_client *client = vfu_client(backend);
	loop_remove(client->source);
	vfu_reader_finish(&client->reader);
	for (unsigned i = 0; i < BACKEND_REGIONS; i++) {
		own_close(&client->region_fds[i]);
	}
	own_close(&client->socket);
	pthread_mutex_destroy(&client->lock);
	pthread_mutex_destroy(&client->send_lock);
	pthread_cond_destroy(&client->answered);
	free(client);
}

static const struct backend_ops client_ops = {
	.kind = "vfio-user",
	.destroy = client_destroy,
	.region = client_region,
	.read = client_read,
	.write = client_write,
	.irqs = client_irqs,
	.set_irqs = client_set_irqs,
	.unmask_intx = client_unmask_intx,
	.dma_map = client_dma_map,
	.dma_unmap = client_dma_unmap,
	.resets = client_resets,
	.reset = client_reset,
};

static void client_init_locks(struct vfu_client *client)
{
	pthread_cond_init(&client->answered, NULL);
	pthread_mutex_init(&client->lock, NULL);
	pthread_mutex_init(&client->send_lock, NULL);
}

struct backend *vfu_client_create(const struct vfu_client_config *config, int socket,
				  struct error *err)
{
	struct vfu_client *client = calloc(1, sizeof(*client));
	if (!client) {
		close(socket);
		error_set(err, -ENOMEM, "%s: out of memory", config->path);
		return NULL;
	}
	client->base = (struct backend){.ops = &client_ops, .raw = true};
	client->config = *config;
	client->config.timeout_ms = config->timeout_ms ? config->timeout_ms : VFU_CLIENT_TIMEOUT_MS;
	snprintf(client->path, sizeof(client->path), "%s", config->path);
	client->socket = socket;
	client->caps = (struct vfu_caps){1, VFU_DATA_LIMIT, 65535};
	for (unsigned i = 0; i < BACKEND_REGIONS; i++) {
		client->region_fds[i] = -1;
	}
	client_init_locks(client);
	vfu_reader_init(&client->reader);
	if (fcntl(socket, F_SETFL, O_NONBLOCK) == 0) {
		client->source =
			loop_add_fd(config->loop, socket, LOOP_IN, client_on_readable, client);
	}
	if (!client->source) {
		error_errno(err, "%s", config->path);
		client_destroy(&client->base);
		return NULL;
	}
	return &client->base;
}

struct backend *vfu_client_connect(const struct vfu_client_config *config, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(config->path) >= sizeof(address.sun_path)) {
		error_set(err, -ENAMETOOLONG, "vfio-user socket %s: the path is too long",
			  config->path);
		return NULL;
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", config->path);
	AUTO_FD int fd = os_socket(SOCK_STREAM, false);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		error_errno(err, "vfio-user socket %s (is the server running?)", config->path);
		return NULL;
	}
	return vfu_client_create(config, fd_take(&fd), err);
}
