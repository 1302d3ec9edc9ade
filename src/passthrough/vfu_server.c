/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfu_server.c - the server's end of a vfio-user connection
 *
 * How it works: commands are answered one by one, in order, on the loop's thread.  The client may
 * be another VMM with a hostile guest: sizes and counts are checked before they are used, and a
 * broken stream closes the connection. Threads: see vfu_server.h.  irq_lock guards the eventfds.
 */
#include "passthrough/vfu_server.h"

#include "base/log.h"
#include "base/os.h"
#include "base/own.h"
#include "passthrough/vfu_caps.h"
#include "passthrough/vfu_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	SERVER_SEND_TIMEOUT_MS = 5000,
	SERVER_BATCH = 64,
	SERVER_REGIONS = 9, /* with VGA, which is never there */
	SERVER_IRQS = 5,
};

struct vfu_server {
	struct loop *loop;
	const struct vfu_server_ops *ops;
	void *opaque;
	char path[108];
	int listener, socket; /* socket: -1 while nobody is connected */
	struct loop_source *listener_source, *source;
	struct vfu_reader reader;
	bool greeted;
	uint32_t max_fds; /* the client's */
	struct vfu_server_map maps[VFU_SERVER_MAX_MAPS];
	unsigned map_count;
	uint8_t *buffer; /* VFU_BODY_LIMIT bytes: replies */
	pthread_mutex_t irq_lock;
	int *eventfds[BACKEND_IRQS]; /* VFU_SERVER_MAX_VECTORS each, -1: none */
};

/* ----- interrupts ----- */

void vfu_server_trigger(struct vfu_server *server, unsigned index, unsigned vector)
{
	LOCKED(&server->irq_lock);
	if (index < BACKEND_IRQS && vector < VFU_SERVER_MAX_VECTORS &&
	    server->eventfds[index][vector] >= 0) {
		os_bell_ring(server->eventfds[index][vector]);
	}
}

static void server_drop_irqs(struct vfu_server *server, unsigned index)
{
	LOCKED(&server->irq_lock);
	for (unsigned i = 0; i < VFU_SERVER_MAX_VECTORS; i++) {
		own_close(&server->eventfds[index][i]);
	}
}

static int server_assign_irqs(struct vfu_server *server, const struct vfu_irq_set *set,
			      struct vfu_message *message)
{
	LOCKED(&server->irq_lock);
	for (unsigned i = 0; i < set->count; i++) {
		int *at = &server->eventfds[set->index][set->start + i];
		own_close(at);
		*at = vfu_message_take_fd(message, i);
		if (*at >= 0 &&
		    fcntl(*at, F_SETFL, O_NONBLOCK) < 0) { /* a full one must not stop us */
			own_close(at);
		}
	}
	return 0;
}

static int server_set_irqs(struct vfu_server *server, struct vfu_message *message)
{
	struct vfu_irq_set set;
	if (message->len < sizeof(set)) {
		return -EINVAL;
	}
	memcpy(&set, message->body, sizeof(set));
	if (set.index >= BACKEND_IRQS) {
		return set.count ? -EINVAL : 0;
	}
	unsigned have = server->ops->irqs(server->opaque, set.index);
	if (set.start > have || set.count > have - set.start || have > VFU_SERVER_MAX_VECTORS) {
		return -EINVAL;
	}
	switch (set.flags) {
	case VFU_IRQ_EVENTFD | VFU_IRQ_TRIGGER:
		if (message->fd_count != set.count && message->fd_count) {
			return -EINVAL;
		}
		return server_assign_irqs(server, &set, message);
	case VFU_IRQ_NONE | VFU_IRQ_TRIGGER:
		if (!set.count) {
			server_drop_irqs(server, set.index);
		}
		return 0;
	case VFU_IRQ_NONE | VFU_IRQ_UNMASK:
		if (set.index == BACKEND_INTX && server->ops->unmask_intx) {
			server->ops->unmask_intx(server->opaque);
		}
		return 0;
	case VFU_IRQ_NONE | VFU_IRQ_MASK: return 0;
	default: return -EINVAL;
	}
}

/* ----- memory ----- */

static int server_map_overlaps(const struct vfu_server *server, uint64_t iova, uint64_t len)
{
	for (unsigned i = 0; i < server->map_count; i++) {
		const struct vfu_server_map *m = &server->maps[i];
		if (iova < m->iova + m->len && m->iova < iova + len) {
			return -EEXIST;
		}
	}
	return 0;
}

static int server_dma_map(struct vfu_server *server, struct vfu_message *message)
{
	struct vfu_dma_map want;
	uint64_t end;
	if (message->len < sizeof(want)) {
		return -EINVAL;
	}
	memcpy(&want, message->body, sizeof(want));
	AUTO_FD int fd = vfu_message_take_fd(message, 0);
	if (!want.size || __builtin_add_overflow(want.address, want.size, &end) ||
	    (want.size | want.offset) % 4096) {
		return -EINVAL;
	}
	if (fd < 0) {
		return -EOPNOTSUPP; /* memory that can not be shared */
	}
	int status = server_map_overlaps(server, want.address, want.size);
	if (status < 0 || server->map_count == VFU_SERVER_MAX_MAPS) {
		return status < 0 ? status : -ENOSPC;
	}
	bool writable = want.flags & VFU_DMA_WRITABLE;
	void *hva = os_file_has(fd, want.offset, want.size)
			    ? mmap(NULL, want.size, PROT_READ | (writable ? PROT_WRITE : 0),
				   MAP_SHARED | MAP_NORESERVE, fd, (off_t)want.offset)
			    : MAP_FAILED;
	if (hva == MAP_FAILED) {
		return -EINVAL;
	}
	struct vfu_server_map *map = &server->maps[server->map_count];
	*map = (struct vfu_server_map){want.address, want.size, hva, fd, want.offset, writable};
	status = server->ops->memory ? server->ops->memory(server->opaque, map, true) : 0;
	if (status < 0) {
		munmap(hva, want.size);
		return status;
	}
	fd_take(&fd);
	server->map_count++;
	return 0;
}

static void server_drop_map(struct vfu_server *server, unsigned index)
{
	struct vfu_server_map *map = &server->maps[index];
	if (server->ops->memory) {
		(void)!server->ops->memory(server->opaque, map, false);
	}
	munmap(map->hva, map->len);
	close(map->fd);
	*map = server->maps[--server->map_count];
}

static int server_dma_unmap(struct vfu_server *server, const struct vfu_message *message)
{
	struct vfu_dma_unmap want;
	if (message->len < sizeof(want)) {
		return -EINVAL;
	}
	memcpy(&want, message->body, sizeof(want));
	for (unsigned i = 0; i < server->map_count; i++) {
		if (server->maps[i].iova == want.address && server->maps[i].len == want.size) {
			server_drop_map(server, i);
			memcpy(server->buffer, &want, sizeof(want));
			return sizeof(want);
		}
	}
	return -ENOENT;
}

/* ----- the device ----- */

static int server_version(struct vfu_server *server, const struct vfu_message *message)
{
	struct vfu_version version;
	struct vfu_caps caps;
	struct error err = {0};
	if (message->len < sizeof(version)) {
		return -EINVAL;
	}
	memcpy(&version, message->body, sizeof(version));
	if (version.major != VFU_MAJOR ||
	    vfu_caps_parse(&caps, message->body + sizeof(version), message->len - sizeof(version),
			   &err) < 0) {
		log_warn("%s: the client's version: %s", server->path,
			 err.text[0] ? err.text : "not 0.x");
		return -EINVAL;
	}
	server->max_fds = caps.max_fds;
	const struct vfu_caps ours = {VFU_MAX_FDS, VFU_DATA_LIMIT, VFU_SERVER_MAX_MAPS};
	AUTO_FREE char *text = vfu_caps_print(&ours);
	if (!text) {
		return -ENOMEM;
	}
	version.minor = version.minor < VFU_MINOR ? version.minor : VFU_MINOR;
	memcpy(server->buffer, &version, sizeof(version));
	memcpy(server->buffer + sizeof(version), text, strlen(text) + 1);
	server->greeted = true;
	return (int)(sizeof(version) + strlen(text) + 1);
}

static int server_device_info(struct vfu_server *server)
{
	const struct vfu_device_info info = {
		.argsz = sizeof(info),
		.flags = VFU_DEVICE_PCI | (server->ops->reset ? VFU_DEVICE_RESETS : 0),
		.regions = SERVER_REGIONS,
		.irqs = SERVER_IRQS,
	};
	memcpy(server->buffer, &info, sizeof(info));
	return sizeof(info);
}

/* The region's description with its areas; cut to what the client takes.  *fd is borrowed. */
static int server_region_info(struct vfu_server *server, const struct vfu_message *message, int *fd)
{
	struct vfu_region_info info;
	struct backend_region region = {.fd = -1};
	if (message->len < sizeof(info)) {
		return -EINVAL;
	}
	memcpy(&info, message->body, sizeof(info));
	if (info.index >= SERVER_REGIONS) {
		return -EINVAL;
	}
	if (info.index < BACKEND_REGIONS) {
		server->ops->region(server->opaque, info.index, &region);
	}
	uint32_t room = info.argsz, len = sizeof(info);
	bool maps = region.size && region.fd >= 0 && region.area_count;
	info.flags = (region.readable ? VFU_REGION_HAS_READ : 0) |
		     (region.writable ? VFU_REGION_HAS_WRITE : 0) |
		     (maps ? VFU_REGION_HAS_MMAP | VFU_REGION_HAS_CAPS : 0);
	info.size = region.size;
	info.offset = region.fd_offset;
	info.cap_offset = 0;
	if (maps) {
		const struct vfu_cap cap = {.id = VFU_CAP_SPARSE, .version = 1};
		const struct vfu_sparse sparse = {.count = region.area_count};
		info.cap_offset = len;
		memcpy(server->buffer + len, &cap, sizeof(cap));
		memcpy(server->buffer + len + sizeof(cap), &sparse, sizeof(sparse));
		memcpy(server->buffer + len + sizeof(cap) + sizeof(sparse), region.areas,
		       region.area_count * sizeof(region.areas[0]));
		len += (uint32_t)(sizeof(cap) + sizeof(sparse) +
				  region.area_count * sizeof(region.areas[0]));
		*fd = region.fd;
	}
	info.argsz = len;
	if (room < len) { /* the client asks again with more room; until then there is no list */
		len = sizeof(info);
		info.flags &= ~(uint32_t)VFU_REGION_HAS_CAPS;
		info.cap_offset = 0;
		*fd = -1;
	}
	memcpy(server->buffer, &info, sizeof(info));
	return (int)len;
}

static int server_irq_info(struct vfu_server *server, const struct vfu_message *message)
{
	struct vfu_irq_info info;
	if (message->len < sizeof(info)) {
		return -EINVAL;
	}
	memcpy(&info, message->body, sizeof(info));
	if (info.index >= SERVER_IRQS) {
		return -EINVAL;
	}
	info.argsz = sizeof(info);
	info.flags = 1; /* by eventfd */
	info.count = info.index < BACKEND_IRQS ? server->ops->irqs(server->opaque, info.index) : 0;
	memcpy(server->buffer, &info, sizeof(info));
	return sizeof(info);
}

static int server_access(struct vfu_server *server, const struct vfu_message *message, bool write)
{
	struct vfu_region_access access;
	struct backend_region region = {.fd = -1};
	if (message->len < sizeof(access)) {
		return -EINVAL;
	}
	memcpy(&access, message->body, sizeof(access));
	size_t data_len = message->len - sizeof(access);
	if (access.region >= BACKEND_REGIONS || access.count > VFU_DATA_LIMIT ||
	    data_len != (write ? access.count : 0)) {
		return -EINVAL;
	}
	server->ops->region(server->opaque, access.region, &region);
	if (access.offset > region.size || access.count > region.size - access.offset) {
		return -EINVAL;
	}
	uint8_t *data = server->buffer + sizeof(access);
	int status = write ? server->ops->write(server->opaque, access.region, access.offset,
						message->body + sizeof(access), access.count)
			   : server->ops->read(server->opaque, access.region, access.offset, data,
					       access.count);
	memcpy(server->buffer, &access, sizeof(access));
	return status < 0 ? status : (int)(sizeof(access) + (write ? 0 : access.count));
}

static int server_reset(struct vfu_server *server)
{
	for (unsigned i = 0; i < BACKEND_IRQS; i++) {
		server_drop_irqs(server, i);
	}
	return server->ops->reset ? server->ops->reset(server->opaque) : -EOPNOTSUPP;
}

/* Returns the length of the reply in the buffer, or -errno for an error reply. */
static int server_dispatch(struct vfu_server *server, struct vfu_message *message, int *fd)
{
	if (!server->greeted && message->header.command != VFU_VERSION) {
		return -EINVAL;
	}
	switch (message->header.command) {
	case VFU_VERSION: return server_version(server, message);
	case VFU_DMA_MAP: return server_dma_map(server, message);
	case VFU_DMA_UNMAP: return server_dma_unmap(server, message);
	case VFU_DEVICE_GET_INFO: return server_device_info(server);
	case VFU_DEVICE_GET_REGION_INFO: return server_region_info(server, message, fd);
	case VFU_DEVICE_GET_IRQ_INFO: return server_irq_info(server, message);
	case VFU_DEVICE_SET_IRQS: return server_set_irqs(server, message);
	case VFU_REGION_READ: return server_access(server, message, false);
	case VFU_REGION_WRITE: return server_access(server, message, true);
	case VFU_DEVICE_RESET: return server_reset(server);
	default: return -EOPNOTSUPP;
	}
}

static int server_take(struct vfu_server *server, struct vfu_message *message)
{
	int fd = -1;
	if ((message->header.flags & VFU_TYPE_MASK) != 0) {
		return -EPROTO; /* nobody asked */
	}
	int len = server_dispatch(server, message, &fd);
	if (message->header.flags & VFU_NO_REPLY) {
		return 0;
	}
	struct vfu_header header = {
		.id = message->header.id,
		.command = message->header.command,
		.flags = VFU_REPLY | (len < 0 ? VFU_ERROR : 0),
		.error = len < 0 ? (uint32_t)-len : 0,
	};
	const struct vfu_part part = {server->buffer, len > 0 ? (size_t)len : 0};
	return vfu_send(server->socket, &header, &part, 1, &fd, len >= 0 && fd >= 0 ? 1 : 0,
			SERVER_SEND_TIMEOUT_MS);
}

/* ----- connections ----- */

static void server_disconnect(struct vfu_server *server)
{
	if (server->socket < 0) {
		return;
	}
	loop_remove(server->source);
	server->source = NULL;
	own_close(&server->socket);
	vfu_reader_finish(&server->reader);
	for (unsigned i = 0; i < BACKEND_IRQS; i++) {
		server_drop_irqs(server, i);
	}
	while (server->map_count) {
		server_drop_map(server, server->map_count - 1);
	}
	if (server->ops->connected) {
		server->ops->connected(server->opaque, false);
	}
}

static void server_on_readable(void *opaque, uint32_t events)
{
	struct vfu_server *server = opaque;
	int status = 1;
	for (unsigned i = 0; status > 0 && i < SERVER_BATCH; i++) {
		struct vfu_message *message;
		status = vfu_reader_pull(&server->reader, server->socket, &message);
		if (status > 0) {
			int taken = server_take(server, message);
			status = taken < 0 ? taken : status;
		}
	}
	if (status < 0) {
		if (status != -ENODATA) {
			log_warn("%s: the client broke the protocol or stopped reading: %s",
				 server->path, strerror(-status));
		}
		server_disconnect(server);
	}
}

static void server_on_connect(void *opaque, uint32_t events)
{
	struct vfu_server *server = opaque;
	AUTO_FD int fd = os_accept(server->listener, true);
	if (fd < 0 || server->socket >= 0) { /* one at a time: the second is closed */
		return;
	}
	server->source = loop_add_fd(server->loop, fd, LOOP_IN, server_on_readable, server);
	if (!server->source) {
		return;
	}
	server->socket = fd_take(&fd);
	server->greeted = false;
	vfu_reader_init(&server->reader);
	if (server->ops->connected) {
		server->ops->connected(server->opaque, true);
	}
}

static int server_listen(struct vfu_server *server, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", server->path);
	server->listener = os_socket(SOCK_STREAM, true);
	if (server->listener >= 0 &&
	    connect(server->listener, (struct sockaddr *)&address, sizeof(address)) == 0) {
		return error_set(err, -EADDRINUSE, "vfio-user socket %s: another server is there",
				 server->path);
	}
	if (errno == ECONNREFUSED) {
		unlink(server->path); /* left behind */
	}
	own_close(&server->listener);
	server->listener = os_socket(SOCK_STREAM, true);
	if (server->listener < 0 ||
	    bind(server->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(server->listener, 4) < 0) {
		return error_errno(err, "vfio-user socket %s", server->path);
	}
	server->listener_source =
		loop_add_fd(server->loop, server->listener, LOOP_IN, server_on_connect, server);
	return server->listener_source ? 0 : error_errno(err, "vfio-user socket %s", server->path);
}

static int server_alloc(struct vfu_server *server)
{
	server->buffer = malloc(VFU_BODY_LIMIT);
	bool complete = server->buffer != NULL;
	for (unsigned i = 0; i < BACKEND_IRQS; i++) {
		server->eventfds[i] = malloc(VFU_SERVER_MAX_VECTORS * sizeof(int));
		complete = complete && server->eventfds[i];
		for (unsigned v = 0; server->eventfds[i] && v < VFU_SERVER_MAX_VECTORS; v++) {
			server->eventfds[i][v] = -1;
		}
	}
	return complete ? 0 : -ENOMEM;
}

struct vfu_server *vfu_server_create(struct loop *loop, const char *path,
				     const struct vfu_server_ops *ops, void *opaque,
				     struct error *err)
{
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		error_set(err, -ENAMETOOLONG, "vfio-user socket %s: the path is too long", path);
		return NULL;
	}
	struct vfu_server *server = calloc(1, sizeof(*server));
	if (!server) {
		error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	server->loop = loop;
	server->ops = ops;
	server->opaque = opaque;
	server->listener = server->socket = -1;
	snprintf(server->path, sizeof(server->path), "%s", path);
	pthread_mutex_init(&server->irq_lock, NULL);
	int status = server_alloc(server);
	if (status < 0) {
		error_set(err, status, "out of memory");
	} else {
		status = server_listen(server, err);
	}
	if (status < 0) {
		vfu_server_destroy(server);
		return NULL;
	}
	return server;
}

void vfu_server_destroy(struct vfu_server *server)
{
	if (!server) {
		return;
	}
	server_disconnect(server);
	if (server->listener_source) {
		loop_remove(server->listener_source);
		unlink(server->path);
	}
	own_close(&server->listener);
	for (unsigned i = 0; i < BACKEND_IRQS; i++) {
		free(server->eventfds[i]);
	}
	free(server->buffer);
	pthread_mutex_destroy(&server->irq_lock);
	free(server);
}
