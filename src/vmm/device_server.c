/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_server.c - one of our PCI devices, served to another VMM over vfio-user
 *
 * How it works: the device sits on a PCI host of its own, whose registers and BARs are read and
 * written for the client.  The client keeps the MSI-X table that its guest fills; ours holds vector
 * n at entry n, so that a message says which eventfd to signal.  Guest memory is what the client
 * maps; before some of it is taken away the device is reset, so nothing points there any more.
 * Threads: the server's loop on the caller's thread, the device's loop on its own.
 */
#include "vmm/device_server.h"

#include "base/log.h"
#include "base/loop.h"
#include "bus/bus.h"
#include "bus/irq.h"
#include "display/display.h"
#include "display/screenshot.h"
#include "gpu/virtio_gpu.h"
#include "mem/gmem.h"
#include "passthrough/vfu_server.h"
#include "pci/pci.h"
#include "virtio/pci_transport.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	DEVICE_SLOT = 1,
	CONFIG_LEN = 256,
	CAP_MSIX = 0x11,
	MSIX_TABLE_LEN = 4096,
	MAX_VECTORS = 64,
};

struct device_server {
	struct irq_chip chip;
	struct loop *loop, *device_loop;
	pthread_t device_thread;
	bool has_thread;
	struct bus *bus;
	struct gmem *gmem;
	struct pci_host *host;
	struct pci_device *device;
	struct display *display;
	struct screenshot *screenshot;
	const char *png;
	struct vfu_server *server;
	unsigned vectors, msix_bar;
	atomic_bool level; /* of INTA */
};

/* ----- interrupts ----- */

static void on_line(struct irq_chip *chip, unsigned line, bool level)
{
	struct device_server *s = (struct device_server *)chip;
	atomic_store(&s->level, level);
	if (level) {
		vfu_server_trigger(s->server, BACKEND_INTX, 0);
	}
}

static void on_message(struct irq_chip *chip, uint64_t address, uint32_t data, uint16_t requester)
{
	vfu_server_trigger(((struct device_server *)chip)->server, BACKEND_MSIX, data);
}

static const struct irq_chip_ops chip_ops = {on_line, on_message, NULL};

static void on_unmask(void *opaque)
{
	struct device_server *s = opaque;
	if (atomic_load(&s->level)) { /* still wanted */
		vfu_server_trigger(s->server, BACKEND_INTX, 0);
	}
}

/* Vector n sends n, unmasked: which of them may reach the guest is the client's affair. */
static void fill_table(struct device_server *s)
{
	for (unsigned i = 0; i < s->vectors; i++) {
		pci_device_msix_table_write(s->device, i * 16, 8, 0);
		pci_device_msix_table_write(s->device, i * 16 + 8, 8, i);
	}
}

/* ----- what the client asks for ----- */

static void on_region(void *opaque, unsigned index, struct backend_region *out)
{
	const struct device_server *s = opaque;
	out->readable = out->writable = true;
	out->size = index == BACKEND_CONFIG ? CONFIG_LEN
		    : index < PCI_BAR_COUNT ? pci_device_bar_len(s->device, index)
					    : 0;
}

static uint64_t read_piece(struct device_server *s, unsigned region, uint64_t offset, unsigned size)
{
	return region == BACKEND_CONFIG ? pci_device_config_read(s->device, (unsigned)offset, size)
					: pci_device_bar_read(s->device, region, offset, size);
}

static void write_piece(struct device_server *s, unsigned region, uint64_t offset, unsigned size,
			uint64_t value)
{
	if (region == BACKEND_CONFIG) {
		bool before = pci_device_msix_enabled(s->device);
		pci_device_config_write(s->device, (unsigned)offset, size, (uint32_t)value);
		if (!before && pci_device_msix_enabled(s->device)) {
			fill_table(s);
		}
	} else if (region != s->msix_bar || offset >= MSIX_TABLE_LEN) {
		pci_device_bar_write(s->device, region, offset, size, value);
	}
}

/* The largest naturally aligned access at @offset of at most @left bytes. */
static unsigned piece_at(unsigned region, uint64_t offset, size_t left)
{
	unsigned piece = region == BACKEND_CONFIG ? 4 : 8;
	while (piece > left || offset % piece) {
		piece /= 2;
	}
	return piece;
}

static int on_read(void *opaque, unsigned region, uint64_t offset, void *to, size_t len)
{
	for (size_t done = 0, piece; done < len; done += piece) {
		piece = piece_at(region, offset + done, len - done);
		uint64_t value = read_piece(opaque, region, offset + done, (unsigned)piece);
		memcpy((uint8_t *)to + done, &value, piece);
	}
	return 0;
}

static int on_write(void *opaque, unsigned region, uint64_t offset, const void *from, size_t len)
{
	for (size_t done = 0, piece; done < len; done += piece) {
		uint64_t value = 0;
		piece = piece_at(region, offset + done, len - done);
		memcpy(&value, (const uint8_t *)from + done, piece);
		write_piece(opaque, region, offset + done, (unsigned)piece, value);
	}
	return 0;
}

static unsigned on_irqs(void *opaque, unsigned index)
{
	const struct device_server *s = opaque;
	return index == BACKEND_MSIX ? s->vectors : index == BACKEND_INTX;
}

static int on_reset(void *opaque)
{
	pci_host_reset(((struct device_server *)opaque)->host);
	return 0;
}

static int on_memory(void *opaque, const struct vfu_server_map *map, bool added)
{
	struct device_server *s = opaque;
	if (added) {
		return gmem_add_borrowed(s->gmem, map->iova, map->len, map->hva, !map->writable);
	}
	pci_host_reset(s->host);
	gmem_remove(s->gmem, map->iova);
	return 0;
}

static const struct vfu_server_ops server_ops = {
	.region = on_region,
	.read = on_read,
	.write = on_write,
	.irqs = on_irqs,
	.reset = on_reset,
	.memory = on_memory,
	.unmask_intx = on_unmask,
};

/* ----- life ----- */

static void *device_main(void *opaque)
{
	loop_run(opaque);
	return NULL;
}

static int create_host(struct device_server *s, struct error *err)
{
	const struct pci_host_config config = {
		.bus = s->bus,
		.irq = &s->chip,
		.ecam = {0, 1 << 20},
		.memory32 = {UINT64_C(0x10000000), UINT64_C(0x10000000)},
		.memory64 = {UINT64_C(1) << 40, UINT64_C(1) << 40},
		.msi_vector_budget = MAX_VECTORS,
	};
	s->host = pci_host_create(&config, err);
	return s->host ? 0 : -EINVAL;
}

static int create_gpu(struct device_server *s, const struct device_server_config *config,
		      struct error *err)
{
	const struct virtio_gpu_config gpu = {.shared = false};
	const struct virtio_gpu_parts parts = {
		.loop = s->device_loop, .gmem = s->gmem, .display = s->display};
	struct virtio_device *device = virtio_gpu_create(&gpu, &parts, err);
	int status = device ? virtio_pci_attach(s->host, DEVICE_SLOT, device, err) : -EINVAL;
	if (status < 0) {
		return status;
	}
	s->device = pci_host_device(s->host, DEVICE_SLOT);
	for (unsigned at = pci_device_config_read(s->device, 0x34, 1); at;
	     at = pci_device_config_read(s->device, at + 1, 1)) {
		if (pci_device_config_read(s->device, at, 1) == CAP_MSIX) {
			s->vectors = (pci_device_config_read(s->device, at + 2, 2) & 0x7ff) + 1;
			s->msix_bar = pci_device_config_read(s->device, at + 4, 1) & 7;
		}
	}
	return 0;
}

static int create_parts(struct device_server *s, const struct device_server_config *config,
			struct error *err)
{
	s->loop = loop_create(err);
	s->device_loop = s->loop ? loop_create(err) : NULL;
	if (!s->device_loop) {
		return -ENOMEM;
	}
	s->bus = bus_create();
	s->gmem = gmem_create();
	s->display = display_create(1, config->width, config->height);
	if (!s->bus || !s->gmem || !s->display) {
		return error_set(err, -ENOMEM, "out of memory");
	}
	if (config->png) {
		s->screenshot = screenshot_create(s->display, 0, config->png, err);
		if (!s->screenshot) {
			return -EINVAL;
		}
	}
	int status = create_host(s, err);
	return status == 0 ? create_gpu(s, config, err) : status;
}

static int start(struct device_server *s, const char *socket, struct error *err)
{
	s->server = vfu_server_create(s->loop, socket, &server_ops, s, err);
	if (!s->server) {
		return -EINVAL;
	}
	int rc = pthread_create(&s->device_thread, NULL, device_main, s->device_loop);
	if (rc != 0) {
		return error_set(err, -rc, "can not start a thread: %s", strerror(rc));
	}
	s->has_thread = true;
	return 0;
}

struct device_server *device_server_create(const struct device_server_config *config,
					   struct error *err)
{
	struct device_server *s = calloc(1, sizeof(*s));
	if (!s) {
		error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	s->chip.ops = &chip_ops;
	s->png = config->png;
	if (create_parts(s, config, err) < 0 || start(s, config->socket, err) < 0) {
		s->png = NULL;
		device_server_destroy(s);
		return NULL;
	}
	return s;
}

void device_server_run(struct device_server *s)
{
	loop_run(s->loop);
}

void device_server_stop(struct device_server *s)
{
	loop_stop(s->loop);
}

static void write_png(struct device_server *s)
{
	struct error err = {0};
	int status = s->png ? screenshot_write(s->screenshot, &err) : 0;
	if (status == -ENODATA) {
		log_warn("the guest never showed anything, %s was not written", s->png);
	} else if (status < 0) {
		log_error("%s", err.text);
	}
}

void device_server_destroy(struct device_server *s)
{
	if (!s) {
		return;
	}
	write_png(s);
	vfu_server_destroy(s->server); /* resets the device, which needs its loop */
	if (s->has_thread) {
		loop_stop(s->device_loop);
		pthread_join(s->device_thread, NULL);
	}
	pci_host_destroy(s->host);
	screenshot_destroy(s->screenshot);
	display_destroy(s->display);
	gmem_destroy(s->gmem);
	bus_destroy(s->bus);
	loop_destroy(s->device_loop);
	loop_destroy(s->loop);
	free(s);
}
