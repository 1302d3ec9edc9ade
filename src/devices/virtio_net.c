/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_net.c - a network card whose cable is a stream socket (virtio 1.2, 5.1)
 *
 * How it works: to the peer, a frame goes straight from guest memory into the socket; what the socket does not take is copied to
 * `rest`, and the transmit queue stays alone until that is gone.  From the peer, bytes are read into `inbox`; each
 * complete frame is copied into receive buffers; when the inbox is full the socket stays alone until the guest offers
 * buffers.
 * Invariants: a frame is sent whole or not at all, or the length prefixes would lose their meaning.
 * Threads: the device's loop; `link_up` is read by vCPU threads.
 */
#include "devices/virtio_net.h"

#include "base/log.h"
#include "base/os.h"
#include "base/own.h"
#include "virtio/virtq.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Feature bits: 5.1.3 */
#define NET_F_MTU	(UINT64_C(1) << 3)
#define NET_F_MAC	(UINT64_C(1) << 5)
#define NET_F_MRG_RXBUF (UINT64_C(1) << 15)
#define NET_F_STATUS	(UINT64_C(1) << 16)

enum {
	NET_RX = 0,
	NET_TX = 1,
	NET_QUEUE_SIZE = 256,
	NET_MIN_FRAME = 14,
	NET_MTU = 65520, /* passt's; few large frames are cheaper than many small ones */
	NET_MAX_FRAME = NET_MTU + 14 + 4,
	NET_PREFIX = 4,
	NET_INBOX = 2 << 20, /* passt drops what we do not take at once; its TCP then waits for long timeouts */
	NET_CABLE = 4 << 20, /* for the same reason, the socket buffers we ask for */
	NET_LINK_UP = 1,
};

/* 5.1.6 */
struct net_header {
	uint8_t flags, gso_type;
	uint16_t header_len, gso_size, checksum_start, checksum_offset, buffer_count;
};
static_assert(sizeof(struct net_header) == 12, "layout of the frame header");

/* 5.1.4 */
struct net_config {
	uint8_t mac[6];
	uint16_t status, max_queue_pairs, mtu;
};
static_assert(sizeof(struct net_config) == 12, "layout of the network configuration");

struct net {
	struct virtio_device base;
	char *name;
	uint8_t mac[6];
	int peer; /* -1: no cable */
	struct loop_source *source;
	atomic_bool link_up;
	uint32_t watched;  /* events */
	bool rx_starved;   /* a frame in the inbox waits for buffers */
	size_t inbox_start, inbox_end;
	size_t rest_start, rest_end;
	uint8_t inbox[NET_INBOX];
	uint8_t rest[NET_PREFIX + NET_MAX_FRAME];
};

static void net_watch(struct net *net)
{
	bool full = net->inbox_end - net->inbox_start > NET_INBOX - NET_PREFIX - NET_MAX_FRAME;
	uint32_t events = (net->rx_starved && full ? 0u : LOOP_IN) | (net->rest_end ? LOOP_OUT : 0u);
	if (net->source && events != net->watched) {
		net->watched = events;
		loop_mod_fd(net->source, events);
	}
}

static void net_hang_up(struct net *net, const char *why)
{
	if (net->peer < 0) {
		return;
	}
	log_warn("%s: %s; the link is down", net->name, why);
	loop_remove(net->source);
	net->source = NULL;
	own_close(&net->peer);
	net->inbox_start = net->inbox_end = net->rest_start = net->rest_end = 0;
	net->rx_starved = false;
	atomic_store(&net->link_up, false);
	virtio_device_config_changed(&net->base);
	virtio_device_kick(&net->base, NET_TX); /* throw away what waits */
}

/* ---- guest to peer ---- */

/* Keep what the socket did not take of the prefix and the frame. */
static void net_keep_rest(struct net *net, const struct virtq_chain *chain, const uint8_t *prefix, size_t len,
			  size_t sent)
{
	memcpy(net->rest, prefix, NET_PREFIX);
	size_t copied = virtq_chain_read(chain, sizeof(struct net_header), net->rest + NET_PREFIX, len);
	net->rest_start = sent;
	net->rest_end = NET_PREFIX + copied;
	net_watch(net);
}

static void net_send(struct net *net, const struct virtq_chain *chain, size_t len)
{
	struct iovec iov[64];
	uint32_t prefix = htonl((uint32_t)len);
	ssize_t sent = 0;
	unsigned count = chain->readable_count < 63 ?
				 virtq_slice(chain->readable, chain->readable_count, sizeof(struct net_header), len,
					     iov + 1) :
				 0;
	iov[0] = (struct iovec){&prefix, sizeof(prefix)};
	if (count) { /* a frame of too many pieces goes by way of the rest */
		struct msghdr message = {.msg_iov = iov, .msg_iovlen = count + 1};
		sent = sendmsg(net->peer, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	if (sent < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
		net_hang_up(net, "the network peer is gone");
	} else if (sent < (ssize_t)(len + NET_PREFIX)) {
		net_keep_rest(net, chain, (const uint8_t *)&prefix, len, sent < 0 ? 0 : (size_t)sent);
	}
}

static bool net_on_tx(void *opaque, struct virtq *queue, struct virtq_chain *chain)
{
	struct net *net = opaque;
	if (net->rest_end) {
		virtq_unpop(queue, chain);
		return false;
	}
	uint64_t len = chain->readable_len - sizeof(struct net_header);
	bool good = chain->readable_len >= sizeof(struct net_header) + NET_MIN_FRAME && len <= NET_MAX_FRAME;
	if (good && net->peer >= 0) {
		net_send(net, chain, (size_t)len);
	}
	virtq_push(queue, chain, 0);
	return true;
}

static void net_send_rest(struct net *net)
{
	ssize_t sent = send(net->peer, net->rest + net->rest_start, net->rest_end - net->rest_start,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		net_hang_up(net, "the network peer is gone");
		return;
	}
	net->rest_start += sent < 0 ? 0 : (size_t)sent;
	if (net->rest_start == net->rest_end) {
		net->rest_start = net->rest_end = 0;
		virtq_drain(virtio_device_queue(&net->base, NET_TX), net_on_tx, net);
	}
}

/* ---- peer to guest ---- */

/* Pop buffers for @len bytes.  NULL, and nothing popped, if the guest has too few; *@hopeless if it never can have enough. */
static struct virtq_chain *net_pop_buffers(struct net *net, struct virtq *queue, size_t len, bool *hopeless)
{
	bool merge = virtio_device_negotiated(&net->base, NET_F_MRG_RXBUF);
	struct virtq_chain *popped[NET_QUEUE_SIZE], *chain;
	unsigned count = 0;
	uint64_t room = 0;
	assert(virtq_size(queue) <= NET_QUEUE_SIZE);
	*hopeless = false;
	while (room < len && count < virtq_size(queue) && (merge || !count) && (chain = virtq_pop(queue))) {
		popped[count++] = chain;
		room += chain->writable_len;
	}
	if (room >= len && count && popped[0]->writable_len >= sizeof(struct net_header)) {
		for (unsigned i = 0; i < count; i++) {
			popped[i]->next = i + 1 < count ? popped[i + 1] : NULL;
		}
		return popped[0];
	}
	*hopeless = count && (!merge || count == virtq_size(queue) || room >= len);
	while (count) {
		virtq_unpop(queue, popped[--count]);
	}
	return NULL;
}

static void net_fill(struct virtq_chain *chains, const uint8_t *frame, size_t len)
{
	struct net_header header = {0};
	for (struct virtq_chain *chain = chains; chain; chain = chain->next) {
		header.buffer_count++;
	}
	virtq_chain_write(chains, 0, &header, sizeof(header));
	size_t done = 0, at = sizeof(header);
	for (struct virtq_chain *chain = chains; chain; chain = chain->next) {
		size_t part = virtq_chain_write(chain, at, frame + done, len - done);
		chain->written = (uint32_t)(at + part);
		done += part;
		at = 0;
	}
}

/* False if the guest has no room now (then a kick is asked for). */
static bool net_receive(struct net *net, const uint8_t *frame, size_t len)
{
	struct virtq *queue = virtio_device_queue(&net->base, NET_RX);
	struct virtq_chain *chains;
	bool hopeless;
	do {
		chains = net_pop_buffers(net, queue, sizeof(struct net_header) + len, &hopeless);
	} while (!chains && !hopeless && virtq_want_kicks(queue));
	if (chains) {
		net_fill(chains, frame, len);
		virtq_push_list(queue, chains);
	}
	return chains || hopeless; /* a frame that never fits is dropped */
}

/* Length of the complete frame at the start of the inbox, 0 if there is none yet, or more than NET_MAX_FRAME. */
static size_t net_next_frame(const struct net *net)
{
	size_t have = net->inbox_end - net->inbox_start;
	uint32_t len;
	if (have < NET_PREFIX) {
		return 0;
	}
	memcpy(&len, net->inbox + net->inbox_start, sizeof(len));
	len = ntohl(len);
	if (!len) {
		return NET_MAX_FRAME + 1;
	}
	return len > NET_MAX_FRAME || have >= NET_PREFIX + len ? len : 0;
}

/* Hand complete frames of the inbox to the guest. */
static void net_empty_inbox(struct net *net)
{
	struct virtq *queue = virtio_device_queue(&net->base, NET_RX);
	size_t len;
	net->rx_starved = false;
	virtq_stop_kicks(queue);
	while (!net->rx_starved && (len = net_next_frame(net)) && len <= NET_MAX_FRAME) {
		if (len >= NET_MIN_FRAME && !net_receive(net, net->inbox + net->inbox_start + NET_PREFIX, len)) {
			net->rx_starved = true;
		} else {
			net->inbox_start += NET_PREFIX + len;
		}
	}
	virtq_interrupt(queue);
	if (net_next_frame(net) > NET_MAX_FRAME) {
		net_hang_up(net, "the network peer sent nonsense");
		return;
	}
	net_watch(net);
}

/* Move what is in the inbox to its start if the room behind it gets short. */
static void net_pack_inbox(struct net *net)
{
	if (net->inbox_start == net->inbox_end) {
		net->inbox_start = net->inbox_end = 0;
	} else if (net->inbox_end > NET_INBOX / 2 && net->inbox_start) {
		memmove(net->inbox, net->inbox + net->inbox_start, net->inbox_end - net->inbox_start);
		net->inbox_end -= net->inbox_start;
		net->inbox_start = 0;
	}
}

static void net_read_peer(struct net *net)
{
	net_pack_inbox(net);
	size_t room = sizeof(net->inbox) - net->inbox_end;
	if (!room) {
		return;
	}
	ssize_t got = recv(net->peer, net->inbox + net->inbox_end, room, MSG_DONTWAIT);
	if (got > 0) {
		net->inbox_end += (size_t)got;
		net_empty_inbox(net);
	} else if (got == 0) {
		net_hang_up(net, "the network peer ended");
	} else if (errno != EAGAIN && errno != EINTR) {
		net_hang_up(net, "the network peer is gone");
	}
}

static void net_on_peer(void *opaque, uint32_t events)
{
	struct net *net = opaque;
	if (events & LOOP_OUT) {
		net_send_rest(net);
		net_watch(net);
	}
	if (net->peer >= 0 && (events & LOOP_IN)) {
		net_read_peer(net);
	} else if (net->peer >= 0 && (events & (LOOP_HUP | LOOP_ERR))) {
		net_hang_up(net, "the network peer ended");
	}
}

/* ---- device ---- */

static void net_widen(int fd)
{
	static const int options[] = {SO_SNDBUF, SO_RCVBUF, SO_SNDBUFFORCE, SO_RCVBUFFORCE};
	const int bytes = NET_CABLE;
	for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		(void)setsockopt(fd, SOL_SOCKET, options[i], &bytes, sizeof(bytes));
	}
}

int virtio_net_cable(int ends[2], struct error *err)
{
	if (os_socketpair(SOCK_STREAM, ends) < 0) {
		return error_errno(err, "network: socket pair");
	}
	net_widen(ends[0]);
	net_widen(ends[1]);
	return 0;
}

static void net_notify(struct virtio_device *device, unsigned index)
{
	struct net *net = (struct net *)device;
	if (index == NET_TX) {
		virtq_drain(virtio_device_queue(device, NET_TX), net_on_tx, net);
	} else if (net->rx_starved) {
		net_empty_inbox(net);
	}
}

static uint64_t net_config_read(struct virtio_device *device, unsigned offset, unsigned size)
{
	struct net *net = (struct net *)device;
	struct net_config config = {
		.status = atomic_load(&net->link_up) ? NET_LINK_UP : 0, .max_queue_pairs = 1, .mtu = NET_MTU};
	memcpy(config.mac, net->mac, sizeof(config.mac));
	return virtio_config_load(&config, sizeof(config), offset, size);
}

static void net_destroy(struct virtio_device *device)
{
	struct net *net = (struct net *)device;
	virtio_device_finish(device);
	loop_remove(net->source);
	own_close(&net->peer);
	free(net->name);
	free(net);
}

static const struct virtio_device_ops net_ops = {
	.config_read = net_config_read,
	.notify = net_notify,
	.destroy = net_destroy,
};

static int net_init(struct net *net, const struct virtio_net_config *config, struct error *err)
{
	net->name = strdup(config->name);
	if (!net->name) {
		return error_set(err, -ENOMEM, "%s: out of memory", config->name);
	}
	net->base.name = net->name;
	memcpy(net->mac, config->mac, sizeof(net->mac));
	if (net->peer >= 0) {
		net->watched = LOOP_IN;
		net->source = loop_add_fd(net->base.loop, net->peer, LOOP_IN, net_on_peer, net);
		if (!net->source) {
			return error_set(err, -EINVAL, "%s: cannot watch the peer's socket", config->name);
		}
		atomic_store(&net->link_up, true);
	}
	return virtio_device_init(&net->base, err);
}

struct virtio_device *virtio_net_create(const struct virtio_net_config *config, const struct gmem *gmem,
					struct loop *loop, struct error *err)
{
	AUTO_FD int peer = config->peer;
	struct net *net = calloc(1, sizeof(*net));
	if (!net) {
		error_set(err, -ENOMEM, "%s: out of memory", config->name);
		return NULL;
	}
	net->peer = fd_take(&peer);
	net->base = (struct virtio_device){
		.ops = &net_ops,
		.loop = loop,
		.gmem = gmem,
		.id = VIRTIO_ID_NET,
		.pci_class = 0x020000,
		.features = NET_F_MAC | NET_F_STATUS | NET_F_MTU | NET_F_MRG_RXBUF,
		.queue_count = 2,
		.queue_size = NET_QUEUE_SIZE,
		.config_len = sizeof(struct net_config),
	};
	if (net_init(net, config, err) < 0) {
		virtio_device_destroy(&net->base);
		return NULL;
	}
	return &net->base;
}
