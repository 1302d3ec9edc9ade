/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_console.c - one console port (virtio 1.2, 5.3)
 *
 * How it works: queue 0 takes typed bytes to the guest, queue 1 brings printed ones.  A printed chain that the other side did
 * not take whole is kept with its position until there is room.
 * Threads: the device's loop; `size` is read by vCPU threads.
 */
#include "devices/virtio_console.h"

#include "virtio/virtq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONSOLE_F_SIZE (UINT64_C(1) << 0)

enum { CONSOLE_RX = 0, CONSOLE_TX = 1, CONSOLE_QUEUE_SIZE = 128 };

/* 5.3.4 */
struct console_config {
	uint16_t columns, rows;
	uint32_t port_count, emergency_write;
};

struct console {
	struct virtio_device base;
	char *name;
	struct virtio_console_config config;
	_Atomic uint32_t size;	  /* columns | rows << 16 */
	bool is_starved;	  /* input was refused for lack of buffers */
	struct virtq_chain *kept; /* printed, from byte kept_offset on not taken yet */
	uint64_t kept_offset;
};

static struct console *console_of(struct virtio_device *device)
{
	return (struct console *)device;
}

/* Print from @offset on.  Returns where the other side stopped. */
static uint64_t console_print(struct console *console, const struct virtq_chain *chain, uint64_t offset)
{
	uint8_t bytes[4096];
	while (offset < chain->readable_len) {
		size_t len = virtq_chain_read(chain, offset, bytes, sizeof(bytes));
		size_t taken = console->config.output(console->config.opaque, bytes, len);
		offset += taken;
		if (taken < len) {
			break;
		}
	}
	return offset;
}

static bool console_on_output(void *opaque, struct virtq *queue, struct virtq_chain *chain)
{
	struct console *console = opaque;
	uint64_t end = console_print(console, chain, 0);
	if (end < chain->readable_len) {
		console->kept = chain;
		console->kept_offset = end;
		return false;
	}
	virtq_push(queue, chain, 0);
	return true;
}

void virtio_console_output_ready(struct virtio_device *device)
{
	struct console *console = console_of(device);
	struct virtq *queue = virtio_device_queue(device, CONSOLE_TX);
	struct virtq_chain *chain = console->kept;
	if (chain) {
		console->kept_offset = console_print(console, chain, console->kept_offset);
		if (console->kept_offset < chain->readable_len) {
			return;
		}
		console->kept = NULL;
		virtq_push(queue, chain, 0);
	}
	virtq_drain(queue, console_on_output, console);
}

/* Next buffer for input; asks for a kick if there is none. */
static struct virtq_chain *console_pop_input(struct virtq *queue)
{
	struct virtq_chain *chain;
	while (!(chain = virtq_pop(queue)) && virtq_want_kicks(queue)) {
	}
	return chain;
}

size_t virtio_console_input(struct virtio_device *device, const void *data, size_t len)
{
	struct virtq *queue = virtio_device_queue(device, CONSOLE_RX);
	size_t done = 0;
	virtq_stop_kicks(queue);
	while (done < len) {
		struct virtq_chain *chain = console_pop_input(queue);
		if (!chain) {
			console_of(device)->is_starved = true;
			break;
		}
		size_t part = virtq_chain_write(chain, 0, (const uint8_t *)data + done, len - done);
		virtq_push(queue, chain, (uint32_t)part);
		done += part;
	}
	virtq_interrupt(queue);
	return done;
}

static void console_notify(struct virtio_device *device, unsigned index)
{
	struct console *console = console_of(device);
	if (index == CONSOLE_TX) {
		if (!console->kept) {
			virtq_drain(virtio_device_queue(device, index), console_on_output, console);
		}
	} else if (console->is_starved && virtq_has_next(virtio_device_queue(device, index))) {
		console->is_starved = false;
		if (console->config.input_ready) {
			console->config.input_ready(console->config.opaque);
		}
	}
}

static void console_drop_kept(struct console *console)
{
	if (console->kept) {
		virtq_drop(virtio_device_queue(&console->base, CONSOLE_TX), console->kept);
		console->kept = NULL;
	}
}

static void console_reset(struct virtio_device *device)
{
	console_drop_kept(console_of(device));
	virtio_device_reset_done(device);
}

static uint64_t console_config_read(struct virtio_device *device, unsigned offset, unsigned size)
{
	uint32_t now = atomic_load(&console_of(device)->size);
	struct console_config config = {
		.columns = (uint16_t)now, .rows = (uint16_t)(now >> 16), .port_count = 1};
	return virtio_config_load(&config, sizeof(config), offset, size);
}

void virtio_console_resize(struct virtio_device *device, uint16_t columns, uint16_t rows)
{
	uint32_t size = columns | (uint32_t)rows << 16;
	if (atomic_exchange(&console_of(device)->size, size) != size) {
		virtio_device_config_changed(device);
	}
}

static void console_destroy(struct virtio_device *device)
{
	struct console *console = console_of(device);
	console_drop_kept(console);
	virtio_device_finish(device);
	free(console->name);
	free(console);
}

static const struct virtio_device_ops console_ops = {
	.config_read = console_config_read,
	.notify = console_notify,
	.reset = console_reset,
	.destroy = console_destroy,
};

struct virtio_device *virtio_console_create(const struct virtio_console_config *config,
					    const struct gmem *gmem, struct loop *loop, struct error *err)
{
	struct console *console = calloc(1, sizeof(*console));
	char *name = strdup(config->name);
	if (!console || !name) {
		error_set(err, -ENOMEM, "%s: out of memory", config->name);
		free(console);
		free(name);
		return NULL;
	}
	console->name = name;
	console->config = *config;
	console->size = config->columns | (uint32_t)config->rows << 16;
	console->is_starved = true; /* tell the caller when the guest comes up */
	console->base = (struct virtio_device){
		.name = name,
		.ops = &console_ops,
		.loop = loop,
		.gmem = gmem,
		.id = VIRTIO_ID_CONSOLE,
		.pci_class = 0x078000,
		.features = config->columns && config->rows ? CONSOLE_F_SIZE : 0,
		.queue_count = 2,
		.queue_size = CONSOLE_QUEUE_SIZE,
		.config_len = sizeof(struct console_config),
	};
	if (virtio_device_init(&console->base, err) < 0) {
		virtio_device_destroy(&console->base);
		return NULL;
	}
	return &console->base;
}
