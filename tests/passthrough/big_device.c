/* SPDX-License-Identifier: Apache-2.0 */
/*
 * big_device.c - a vfio-user device with one large memory BAR, which may be mapped whole
 *
 * usage: big-device SOCKET BYTES
 *
 * Prints the number of the descriptor behind the BAR, so that a test can look into it.
 * Threads: one.
 */
#include "base/log.h"
#include "passthrough/vfu_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct device {
	uint8_t config[4096];
	uint64_t size;
	int fd;
};

static void put32(struct device *d, unsigned at, uint32_t value)
{
	memcpy(d->config + at, &value, sizeof(value));
}

static void on_region(void *opaque, unsigned index, struct backend_region *out)
{
	const struct device *d = opaque;
	out->readable = out->writable = true;
	if (index == BACKEND_CONFIG) {
		out->size = sizeof(d->config);
	} else if (index == 0) {
		*out = (struct backend_region){d->size, true, true, d->fd, 0, 1, {{0, d->size}}};
	}
}

static int on_read(void *opaque, unsigned region, uint64_t offset, void *to, size_t len)
{
	struct device *d = opaque;
	if (region == BACKEND_CONFIG) {
		memcpy(to, d->config + offset, len);
		return 0;
	}
	fprintf(stderr, "trapped read at %llx\n", (unsigned long long)offset);
	return pread(d->fd, to, len, (off_t)offset) == (ssize_t)len ? 0 : -EIO;
}

static int on_write(void *opaque, unsigned region, uint64_t offset, const void *from, size_t len)
{
	struct device *d = opaque;
	if (region != BACKEND_CONFIG) {
		fprintf(stderr, "trapped write at %llx\n", (unsigned long long)offset);
		return pwrite(d->fd, from, len, (off_t)offset) == (ssize_t)len ? 0 : -EIO;
	}
	if (offset >= 4 && offset < 0x10) {
		memcpy(d->config + offset, from, len);
	}
	return 0;
}

static unsigned on_irqs(void *opaque, unsigned index)
{
	return 0;
}

static int on_reset(void *opaque)
{
	return 0;
}

static const struct vfu_server_ops ops = {
	.region = on_region,
	.read = on_read,
	.write = on_write,
	.irqs = on_irqs,
	.reset = on_reset,
};

int main(int argc, char **argv)
{
	struct error err = {0};
	struct device d = {.size = argc == 3 ? strtoull(argv[2], NULL, 0) : 0};
	log_set_name("big-device");
	d.fd = memfd_create("bar", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (!d.size || d.fd < 0 || ftruncate(d.fd, (off_t)d.size) < 0) {
		fprintf(stderr, "usage: big-device SOCKET BYTES\n");
		return 2;
	}
	put32(&d, 0x00, 0x0b161234);
	put32(&d, 0x04, 0x00100000);
	put32(&d, 0x08, 0x12000001); /* a processing accelerator */
	put32(&d, 0x10, 0x0000000c);
	put32(&d, 0x34, 0x40);
	put32(&d, 0x40, 0x00020010);
	struct loop *loop = loop_create(&err);
	struct vfu_server *server = loop ? vfu_server_create(loop, argv[1], &ops, &d, &err) : NULL;
	if (!server) {
		log_error("%s", err.text);
		return 1;
	}
	printf("%d\n", d.fd);
	fflush(stdout);
	loop_run(loop);
	vfu_server_destroy(server);
	loop_destroy(loop);
	return 0;
}
