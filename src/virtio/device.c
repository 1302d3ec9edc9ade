/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.c - the virtio status machine and the doorbell between vCPU threads and the device's loop
 *
 * How it works: vCPU threads change the driver-visible state under device->lock and leave work for the loop as bits in
 * device->pending; whoever makes it non-zero rings the bell.  The loop takes all bits at once: activation first, then
 * reset, then queues.  Setup and features are frozen by DRIVER_OK, so the loop may read them after that; they thaw when
 * the reset is complete.
 * Invariants: `live` work happens on the loop between ops->activate and ops->reset only.
 * Threads: see device.h.
 */
#include "base/os.h"
#include "base/wait.h"
#include "virtio/virtq_priv.h"

#include "base/log.h"
#include "base/own.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#define VIRTIO_PENDING_ACTIVATE (UINT64_C(1) << 62)
#define VIRTIO_PENDING_RESET	(UINT64_C(1) << 63)

/* The doorbell of a queue, rung by an engine's kernel. */
struct virtio_bell {
	struct virtio_device *device;
	unsigned index;
	int fd;
	struct loop_source *source;
};

static uint64_t virtio_all_offered(const struct virtio_device *device)
{
	return device->features | VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC;
}

static void virtio_post(struct virtio_device *device, uint64_t work)
{
	if (atomic_fetch_or(&device->pending, work) == 0) {
		os_bell_ring(device->bell);
	}
}

/* As after power-on. */
static void virtio_forget_driver_locked(struct virtio_device *device)
{
	device->status = 0;
	device->activated = false;
	device->resetting = false;
	device->driver_features = 0;
	for (unsigned i = 0; i < device->queue_count; i++) {
		device->setup[i] = (struct virtio_queue_setup){.size = device->queue_size};
	}
	atomic_store(&device->broken, false);
}

/* Take over the queues that the driver enabled; a nonsensical one breaks the device. */
static uint64_t virtio_start_queues(struct virtio_device *device)
{
	uint64_t ready = 0;
	for (unsigned i = 0; i < device->queue_count; i++) {
		const struct virtio_queue_setup *setup = &device->setup[i];
		if (!setup->enabled) {
			continue;
		}
		if (virtq_start(&device->queues[i], setup, device->driver_features) < 0) {
			virtio_device_break(device, "queue of a bad size, or outside of memory");
			return 0;
		}
		ready |= UINT64_C(1) << i;
	}
	return ready;
}

static uint64_t virtio_activate(struct virtio_device *device)
{
	uint64_t ready = virtio_start_queues(device);
	device->live = true;
	if (device->ops->activate) {
		device->ops->activate(device);
	}
	return ready;
}

static void virtio_reset(struct virtio_device *device)
{
	bool was_live = device->live;
	device->live = false;
	atomic_store(&device->broken, true);
	if (was_live && device->ops->reset) {
		device->ops->reset(device);
	} else {
		virtio_device_reset_done(device);
	}
}

static void virtio_work(struct virtio_device *device)
{
	uint64_t work = atomic_exchange(&device->pending, 0);
	if (work & VIRTIO_PENDING_RESET) {
		virtio_reset(device);
		return;
	}
	if (work & VIRTIO_PENDING_ACTIVATE) {
		work |= virtio_activate(device);
	}
	for (unsigned i = 0; i < device->queue_count; i++) {
		if ((work >> i & 1) && device->live && virtq_is_ready(&device->queues[i])) {
			device->ops->notify(device, i);
		}
	}
}

/* The doorbell rang. */
static void virtio_on_bell(void *opaque, uint32_t events)
{
	struct virtio_device *device = opaque;
	(void)os_bell_clear(device->bell);
	virtio_work(device);
}

static void virtio_on_queue_bell(void *opaque, uint32_t events)
{
	struct virtio_bell *bell = opaque;
	(void)os_bell_clear(bell->fd);
	atomic_fetch_or(&bell->device->pending, UINT64_C(1) << bell->index);
	virtio_work(bell->device);
}

static int virtio_make_bells(struct virtio_device *device, struct error *err)
{
	device->bells = calloc(device->queue_count, sizeof(device->bells[0]));
	for (unsigned i = 0; device->bells && i < device->queue_count; i++) {
		device->bells[i] = (struct virtio_bell){device, i, .fd = -1};
	}
	for (unsigned i = 0; device->bells && i < device->queue_count; i++) {
		struct virtio_bell *bell = &device->bells[i];
		bell->fd = os_bell();
		if (bell->fd < 0) {
			return error_errno(err, "%s: doorbell", device->name);
		}
		bell->source = loop_add_fd(device->loop, bell->fd, LOOP_IN, virtio_on_queue_bell, bell);
		if (!bell->source) {
			return error_set(err, -ENOMEM, "%s: cannot watch a doorbell", device->name);
		}
	}
	return device->bells ? 0 : error_set(err, -ENOMEM, "%s: out of memory", device->name);
}

static void virtio_free_bells(struct virtio_device *device)
{
	for (unsigned i = 0; device->bells && i < device->queue_count; i++) {
		loop_remove(device->bells[i].source);
		own_close(&device->bells[i].fd);
	}
	free(device->bells);
	device->bells = NULL;
}

static int virtio_device_alloc(struct virtio_device *device, struct error *err)
{
	device->setup = calloc(device->queue_count, sizeof(device->setup[0]));
	device->queues = calloc(device->queue_count, sizeof(device->queues[0]));
	if (!device->setup || !device->queues) {
		return error_set(err, -ENOMEM, "%s: out of memory", device->name);
	}
	for (unsigned i = 0; i < device->queue_count; i++) {
		device->queues[i].device = device;
		device->queues[i].index = i;
	}
	device->bell = os_bell();
	if (device->bell < 0) {
		return error_errno(err, "%s: doorbell", device->name);
	}
	device->bell_source = loop_add_fd(device->loop, device->bell, LOOP_IN, virtio_on_bell, device);
	if (!device->bell_source) {
		return error_set(err, -ENOMEM, "%s: cannot watch the doorbell", device->name);
	}
	return virtio_make_bells(device, err);
}

int virtio_device_init(struct virtio_device *device, struct error *err)
{
	assert(device->name && device->ops && device->ops->notify && device->ops->destroy && device->loop);
	assert(device->queue_count && device->queue_count <= VIRTIO_MAX_QUEUES);
	assert(device->queue_size && device->queue_size <= VIRTIO_MAX_QUEUE_SIZE);
	assert(!(device->queue_size & (device->queue_size - 1)));
	assert(device->config_len <= VIRTIO_MAX_CONFIG);
	assert(!device->config_len || device->ops->config_read);
	assert(!device->shm.len || device->shm.place);
	pthread_cond_init(&device->reset_finished, NULL);
	pthread_mutex_init(&device->lock, NULL);
	device->bell = -1;
	device->initialised = true;
	int ret = virtio_device_alloc(device, err);
	if (ret < 0) {
		virtio_device_finish(device);
		return ret;
	}
	virtio_forget_driver_locked(device); /* nobody else knows the device yet */
	return 0;
}

void virtio_device_finish(struct virtio_device *device)
{
	if (!device->initialised) {
		return;
	}
	virtio_free_bells(device);
	loop_remove(device->bell_source);
	device->bell_source = NULL;
	own_close(&device->bell);
	free(device->setup);
	free(device->queues);
	device->setup = NULL;
	device->queues = NULL;
	pthread_mutex_destroy(&device->lock);
	pthread_cond_destroy(&device->reset_finished);
	device->initialised = false;
}

void virtio_device_destroy(struct virtio_device *device)
{
	if (device) {
		atomic_store(&device->broken, true); /* what is still in flight must not reach the driver */
		device->ops->destroy(device);
	}
}

struct virtq *virtio_device_queue(struct virtio_device *device, unsigned index)
{
	assert(index < device->queue_count);
	return &device->queues[index];
}

bool virtio_device_negotiated(const struct virtio_device *device, uint64_t features)
{
	return (device->driver_features & features) == features;
}

void virtio_device_reset_done(struct virtio_device *device)
{
	for (unsigned i = 0; i < device->queue_count; i++) {
		virtq_stop(&device->queues[i]);
	}
	LOCKED(&device->lock);
	virtio_forget_driver_locked(device);
	pthread_cond_broadcast(&device->reset_finished);
}

void virtio_device_config_changed(struct virtio_device *device)
{
	LOCKED(&device->lock);
	device->config_generation++;
	if ((device->status & VIRTIO_STATUS_DRIVER_OK) && device->transport_ops) {
		device->transport_ops->config_interrupt(device->transport);
	}
}

void virtio_device_break(struct virtio_device *device, const char *why)
{
	log_limited(LOG_WARN, "%s: the guest's driver broke the rules: %s; stopped until it resets the device",
		    device->name, why);
	LOCKED(&device->lock);
	if (device->resetting || (device->status & VIRTIO_STATUS_NEEDS_RESET)) {
		return;
	}
	atomic_store(&device->broken, true);
	device->status |= VIRTIO_STATUS_NEEDS_RESET;
	if ((device->status & VIRTIO_STATUS_DRIVER_OK) && device->transport_ops) {
		device->transport_ops->config_interrupt(device->transport);
	}
}

void virtio_device_kick(struct virtio_device *device, unsigned index)
{
	assert(index < device->queue_count);
	virtio_post(device, UINT64_C(1) << index);
}

uint64_t virtio_config_load(const void *config, size_t config_len, unsigned offset, unsigned size)
{
	uint64_t value = 0;
	if (offset <= config_len && size <= config_len - offset && size <= sizeof(value)) {
		memcpy(&value, (const uint8_t *)config + offset, size);
	}
	return value;
}

void virtio_transport_connect(struct virtio_device *device, const struct virtio_transport_ops *ops,
			      void *transport)
{
	device->transport_ops = ops;
	device->transport = transport;
}

uint8_t virtio_transport_status(struct virtio_device *device)
{
	LOCKED(&device->lock);
	return device->status;
}

uint8_t virtio_transport_generation(struct virtio_device *device)
{
	LOCKED(&device->lock);
	return (uint8_t)device->config_generation;
}

/* Wait for the loop to finish a reset.  Drops the lock meanwhile. */
static void virtio_await_reset_locked(struct virtio_device *device, unsigned patience_ms)
{
	uint64_t deadline_ns = loop_now_ns() + (uint64_t)patience_ms * 1000000u;
	while (device->resetting &&
	       wait_until(&device->reset_finished, &device->lock, deadline_ns) != ETIMEDOUT) {
	}
}

static void virtio_request_reset_locked(struct virtio_device *device, unsigned patience_ms)
{
	if (!device->activated) {
		virtio_forget_driver_locked(device);
		return;
	}
	if (!device->resetting) {
		device->resetting = true;
		virtio_post(device, VIRTIO_PENDING_RESET);
	}
	virtio_await_reset_locked(device, patience_ms);
}

static bool virtio_features_are_acceptable(const struct virtio_device *device)
{
	return (device->driver_features & VIRTIO_F_VERSION_1) &&
	       !(device->driver_features & ~virtio_all_offered(device));
}

void virtio_transport_set_status(struct virtio_device *device, uint8_t status, unsigned patience_ms)
{
	LOCKED(&device->lock);
	if (!status) {
		virtio_request_reset_locked(device, patience_ms);
		return;
	}
	uint8_t added = status & ~device->status;
	if (device->resetting) {
		return; /* a driver that does not wait for its reset (virtio 1.2, 4.1.4.3.2) */
	}
	if ((added & VIRTIO_STATUS_FEATURES_OK) && !virtio_features_are_acceptable(device)) {
		added &= ~VIRTIO_STATUS_FEATURES_OK;
	}
	bool ready = (device->status | added) & VIRTIO_STATUS_FEATURES_OK;
	if ((added & VIRTIO_STATUS_DRIVER_OK) && !ready) {
		added &= ~VIRTIO_STATUS_DRIVER_OK;
	}
	device->status |= added & ~VIRTIO_STATUS_NEEDS_RESET;
	if (added & VIRTIO_STATUS_DRIVER_OK) {
		device->activated = true;
		virtio_post(device, VIRTIO_PENDING_ACTIVATE);
	}
}

uint32_t virtio_transport_offered(struct virtio_device *device, uint32_t word)
{
	return word < 2 ? (uint32_t)(virtio_all_offered(device) >> (word * 32)) : 0;
}

uint32_t virtio_transport_accepted(struct virtio_device *device, uint32_t word)
{
	LOCKED(&device->lock);
	return word < 2 ? (uint32_t)(device->driver_features >> (word * 32)) : 0;
}

void virtio_transport_accept(struct virtio_device *device, uint32_t word, uint32_t bits)
{
	LOCKED(&device->lock);
	if (word >= 2 || (device->status & VIRTIO_STATUS_FEATURES_OK)) {
		return;
	}
	unsigned shift = word * 32;
	device->driver_features &= ~((uint64_t)UINT32_MAX << shift);
	device->driver_features |= (uint64_t)bits << shift;
}

struct virtio_queue_setup virtio_transport_queue(struct virtio_device *device, unsigned index)
{
	assert(index < device->queue_count);
	LOCKED(&device->lock);
	return device->setup[index];
}

void virtio_transport_set_queue(struct virtio_device *device, unsigned index,
				const struct virtio_queue_setup *setup)
{
	assert(index < device->queue_count);
	LOCKED(&device->lock);
	if (!device->activated) {
		device->setup[index] = *setup;
	}
}

uint64_t virtio_transport_config_read(struct virtio_device *device, uint64_t offset, unsigned size)
{
	uint64_t value = 0;
	LOCKED(&device->lock);
	if (offset <= device->config_len && size <= device->config_len - offset) {
		return device->ops->config_read(device, (unsigned)offset, size);
	}
	for (unsigned i = 0; i < size && offset + i < device->config_len; i++) {
		value |= device->ops->config_read(device, (unsigned)offset + i, 1) << (i * 8);
	}
	return value;
}

void virtio_transport_config_write(struct virtio_device *device, uint64_t offset, unsigned size,
				   uint64_t value)
{
	LOCKED(&device->lock);
	if (device->ops->config_write && offset <= device->config_len &&
	    size <= device->config_len - offset) {
		device->ops->config_write(device, (unsigned)offset, size, value);
	}
}

int virtio_transport_bell(struct virtio_device *device, unsigned index)
{
	return index < device->queue_count ? device->bells[index].fd : -1;
}

void virtio_transport_notify(struct virtio_device *device, unsigned index)
{
	if (index < device->queue_count) {
		virtio_post(device, UINT64_C(1) << index);
	}
}
