/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.h - what a transport calls: the guest's register accesses in terms of virtio 1.2, 2 and 3
 *
 * Threads: any vCPU; each call takes the device's lock.
 */
#ifndef ORIEL_VIRTIO_TRANSPORT_H
#define ORIEL_VIRTIO_TRANSPORT_H

#include "virtio/device.h"

/* Device status bits: virtio 1.2, 2.1 */
enum virtio_status {
	VIRTIO_STATUS_ACKNOWLEDGE = 0x01,
	VIRTIO_STATUS_DRIVER = 0x02,
	VIRTIO_STATUS_DRIVER_OK = 0x04,
	VIRTIO_STATUS_FEATURES_OK = 0x08,
	VIRTIO_STATUS_NEEDS_RESET = 0x40,
	VIRTIO_STATUS_FAILED = 0x80,
};

/* A queue as the driver set it up. */
struct virtio_queue_setup {
	uint16_t size;
	bool enabled;
	uint64_t descriptors, driver_area, device_area; /* gpa */
};

/* @ops and @transport stay valid as long as the device.  Once, during assembly. */
void virtio_transport_connect(struct virtio_device *device, const struct virtio_transport_ops *ops,
			      void *transport);

uint8_t virtio_transport_status(struct virtio_device *device);
/*
 * The driver writes the status.  0 asks for a reset, and waits for it up to @patience_ms: if that is not enough, the
 * status reads as non-zero until the device is done.
 */
void virtio_transport_set_status(struct virtio_device *device, uint8_t status, unsigned patience_ms);
uint8_t virtio_transport_generation(struct virtio_device *device);

/* Feature bits [32*word, 32*word+31]; words beyond the second are 0. */
uint32_t virtio_transport_offered(struct virtio_device *device, uint32_t word);
uint32_t virtio_transport_accepted(struct virtio_device *device, uint32_t word);
/* Ignored once FEATURES_OK is set. */
void virtio_transport_accept(struct virtio_device *device, uint32_t word, uint32_t bits);

/* @index must be below device->queue_count.  Changes are ignored once DRIVER_OK is set. */
struct virtio_queue_setup virtio_transport_queue(struct virtio_device *device, unsigned index);
void virtio_transport_set_queue(struct virtio_device *device, unsigned index,
				const struct virtio_queue_setup *setup);

/* Bytes outside of the device's configuration read as 0 and ignore writes. */
uint64_t virtio_transport_config_read(struct virtio_device *device, uint64_t offset, unsigned size);
void virtio_transport_config_write(struct virtio_device *device, uint64_t offset, unsigned size,
				   uint64_t value);

/* An eventfd whose signal notifies queue @index too, or -1 if there is no such queue.  It lives as long as the device. */
int virtio_transport_bell(struct virtio_device *device, unsigned index);

/* The driver notifies queue @index (any number).  Only rings the doorbell. */
void virtio_transport_notify(struct virtio_device *device, unsigned index);

#endif
