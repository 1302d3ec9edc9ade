/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote_adapter.c - a vfio-user server in front of one device of QEMU's `-machine x-remote`
 *
 * usage: remote-adapter SOCKET FD
 *
 * FD is the stream socket of an x-remote-object: commands of 16 bytes (number, padding, size) and a
 * body, one at a time.  Devices there know INTx only.  What the private protocol does not tell
 * (sizes of BARs) is found out by sizing them. Threads: one.
 */
#include "base/log.h"
#include "base/own.h"
#include "passthrough/vfu_server.h"
#include "passthrough/vfu_stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	CMD_SYNC_SYSMEM,
	CMD_RET,
	CMD_CFG_WRITE,
	CMD_CFG_READ,
	CMD_BAR_WRITE,
	CMD_BAR_READ,
	CMD_SET_IRQFD,
	CMD_RESET
};
enum { MAX_RAM = 8, CONFIG_BYTES = 256 };

struct remote_header {
	int32_t command, padding;
	uint64_t size;
};

struct remote_config {
	uint32_t address, value;
	int32_t len;
};

struct remote_bar {
	uint64_t address, value;
	uint32_t size;
	uint8_t memory, padding[3];
};

struct remote_memory {
	uint64_t gpa[MAX_RAM], size[MAX_RAM];
	int64_t offset[MAX_RAM];
};

struct adapter {
	int remote;
	struct vfu_server *server;
	uint64_t bar_size[6];
	bool bar_io[6];
	struct vfu_server_map ram[MAX_RAM];
	unsigned ram_count;
	int irq, resample;
};

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "remote-adapter: %s: %s\n", what, strerror(errno));
		exit(1);
	}
}

static void remote_send(struct adapter *a, int command, const void *body, size_t size,
			const int *fds, size_t fd_count)
{
	struct remote_header header = {.command = command, .size = size};
	struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)body, size}};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * MAX_RAM)];
	} control = {0};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 1};
	if (fd_count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		*CMSG_FIRSTHDR(&message) =
			(struct cmsghdr){CMSG_LEN(sizeof(int) * fd_count), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, sizeof(int) * fd_count);
	}
	must(sendmsg(a->remote, &message, MSG_NOSIGNAL) == sizeof(header), "send to QEMU");
	must(!size || send(a->remote, body, size, MSG_NOSIGNAL) == (ssize_t)size, "send to QEMU");
}

/* A command with a RET answer; returns its number. */
static uint64_t remote_call(struct adapter *a, int command, const void *body, size_t size)
{
	struct remote_header header;
	uint64_t value = 0;
	remote_send(a, command, body, size, NULL, 0);
	must(recv(a->remote, &header, sizeof(header), MSG_WAITALL) == sizeof(header),
	     "QEMU is gone");
	must(header.size <= sizeof(value), "QEMU's answer");
	must(!header.size ||
		     recv(a->remote, &value, header.size, MSG_WAITALL) == (ssize_t)header.size,
	     "QEMU is gone");
	return value;
}

static uint32_t config_get(struct adapter *a, uint32_t address, int len)
{
	const struct remote_config access = {address, 0, len};
	return (uint32_t)remote_call(a, CMD_CFG_READ, &access, sizeof(access));
}

static void config_set(struct adapter *a, uint32_t address, uint32_t value, int len)
{
	const struct remote_config access = {address, value, len};
	remote_call(a, CMD_CFG_WRITE, &access, sizeof(access));
}

static void size_bars(struct adapter *a)
{
	for (unsigned i = 0; i < 6; i++) {
		uint32_t reg = 0x10 + 4 * i, low = config_get(a, reg, 4);
		bool wide = (low & 7) == 4;
		a->bar_io[i] = low & 1;
		config_set(a, reg, UINT32_MAX, 4);
		uint64_t mask = config_get(a, reg, 4) & (low & 1 ? ~UINT32_C(3) : ~UINT32_C(15));
		config_set(a, reg, 0, 4);
		if (wide) {
			config_set(a, reg + 4, UINT32_MAX, 4);
			mask |= (uint64_t)config_get(a, reg + 4, 4) << 32;
			config_set(a, reg + 4, 0, 4);
		} else if (mask) {
			mask |= UINT64_C(0xffffffff00000000);
		}
		a->bar_size[i] = mask ? ~mask + 1 : 0;
		i += wide;
	}
}

/* QEMU resets its machine once more when it is up, maybe between two of our messages: until two
 * rounds agree. */
static void find_bars(struct adapter *a)
{
	uint64_t before[6];
	do {
		memcpy(before, a->bar_size, sizeof(before));
		size_bars(a);
	} while (memcmp(before, a->bar_size, sizeof(before)) != 0);
}

/* ----- vfio-user's side ----- */

static void on_region(void *opaque, unsigned index, struct backend_region *out)
{
	const struct adapter *a = opaque;
	out->readable = out->writable = true;
	out->size = index == BACKEND_CONFIG ? CONFIG_BYTES : index < 6 ? a->bar_size[index] : 0;
}

static uint64_t bar_address(struct adapter *a, unsigned bar)
{
	uint64_t low = config_get(a, 0x10 + 4 * bar, 4);
	uint64_t high = (low & 7) == 4 ? config_get(a, 0x14 + 4 * bar, 4) : 0;
	return (low & ~UINT64_C(15)) | high << 32;
}

static uint64_t access_piece(struct adapter *a, bool write, unsigned region, uint64_t offset,
			     uint64_t value, unsigned len)
{
	if (region == BACKEND_CONFIG) {
		const struct remote_config config = {(uint32_t)offset, (uint32_t)value,
						     (int32_t)len};
		return remote_call(a, write ? CMD_CFG_WRITE : CMD_CFG_READ, &config,
				   sizeof(config));
	}
	const struct remote_bar bar = {
		bar_address(a, region) + offset, value, len, !a->bar_io[region], {0}};
	return remote_call(a, write ? CMD_BAR_WRITE : CMD_BAR_READ, &bar, sizeof(bar));
}

/* In naturally aligned pieces. */
static int access_region(struct adapter *a, bool write, unsigned region, uint64_t offset,
			 uint8_t *data, size_t len)
{
	unsigned most = region == BACKEND_CONFIG ? 4 : 8;
	for (size_t done = 0; done < len;) {
		unsigned piece = most;
		uint64_t value = 0;
		while (piece > len - done || (offset + done) % piece) {
			piece /= 2;
		}
		memcpy(&value, data + done, piece);
		value = access_piece(a, write, region, offset + done, value, piece);
		if (!write) {
			memcpy(data + done, &value, piece);
		}
		done += piece;
	}
	return 0;
}

static int on_read(void *opaque, unsigned region, uint64_t offset, void *to, size_t len)
{
	memset(to, 0, len);
	return access_region(opaque, false, region, offset, to, len);
}

static int on_write(void *opaque, unsigned region, uint64_t offset, const void *from, size_t len)
{
	return access_region(opaque, true, region, offset, (uint8_t *)from, len);
}

static unsigned on_irqs(void *opaque, unsigned index)
{
	return index == BACKEND_INTX;
}

static int on_reset(void *opaque)
{
	remote_call(opaque, CMD_RESET, NULL, 0);
	return 0;
}

static void on_irq(void *opaque, uint32_t events)
{
	struct adapter *a = opaque;
	uint64_t count;
	if (read(a->irq, &count, sizeof(count)) == sizeof(count)) {
		vfu_server_trigger(a->server, BACKEND_INTX, 0);
	}
}

static void on_unmask(void *opaque)
{
	struct adapter *a = opaque;
	uint64_t one = 1;
	must(write(a->resample, &one, sizeof(one)) == sizeof(one), "resample");
}

/* The private protocol takes all memory at once. */
static void sync_memory(struct adapter *a)
{
	struct remote_memory memory = {0};
	int fds[MAX_RAM];
	for (unsigned i = 0; i < a->ram_count; i++) {
		memory.gpa[i] = a->ram[i].iova;
		memory.size[i] = a->ram[i].len;
		memory.offset[i] = (int64_t)a->ram[i].offset;
		fds[i] = a->ram[i].fd;
	}
	remote_send(a, CMD_SYNC_SYSMEM, &memory, sizeof(memory), fds, a->ram_count);
}

static int on_memory(void *opaque, const struct vfu_server_map *map, bool added)
{
	struct adapter *a = opaque;
	if (added) {
		if (a->ram_count == MAX_RAM) {
			return -ENOSPC;
		}
		a->ram[a->ram_count++] = *map;
		sync_memory(a);
		return 0;
	}
	for (unsigned i = 0; i < a->ram_count; i++) {
		if (a->ram[i].iova == map->iova) {
			a->ram[i] = a->ram[--a->ram_count];
		}
	}
	if (a->ram_count) { /* QEMU does not take an empty list; the device is in reset when the
			       last one goes */
		sync_memory(a);
	}
	return 0;
}

static void on_connected(void *opaque, bool connected)
{
	if (!connected) {
		remote_call(opaque, CMD_RESET, NULL, 0);
		config_set(opaque, 4, 0, 2);
	}
}

static const struct vfu_server_ops ops = {
	.region = on_region,
	.read = on_read,
	.write = on_write,
	.irqs = on_irqs,
	.reset = on_reset,
	.memory = on_memory,
	.unmask_intx = on_unmask,
	.connected = on_connected,
};

int main(int argc, char **argv)
{
	struct error err = {0};
	if (argc != 3) {
		fprintf(stderr, "usage: remote-adapter SOCKET FD\n");
		return 2;
	}
	struct adapter a = {.remote = atoi(argv[2])};
	log_set_name("remote-adapter");
	a.irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	a.resample = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(a.irq >= 0 && a.resample >= 0, "eventfd");
	remote_send(&a, CMD_SET_IRQFD, NULL, 0, (int[]){a.irq, a.resample}, 2);
	find_bars(&a);
	struct loop *loop = loop_create(&err);
	must(loop && loop_add_fd(loop, a.irq, LOOP_IN, on_irq, &a), "loop");
	a.server = vfu_server_create(loop, argv[1], &ops, &a, &err);
	if (!a.server) {
		log_error("%s", err.text);
		return 1;
	}
	loop_run(loop);
	vfu_server_destroy(a.server);
	loop_destroy(loop);
	return 0;
}
