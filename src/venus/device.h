/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h - a VkDevice of the guest: its queues and what emulation has to remember
 * Threads: the lane's; what several lanes use is atomic or locked.
 */
#ifndef ORIEL_VENUS_DEVICE_H
#define ORIEL_VENUS_DEVICE_H

#include "venus/queue.h"

#include <stdatomic.h>

struct context;
struct physical;
struct venus_call;

/* Data of a VkDevice object. */
struct device {
	struct device *next; /* list of the context */
	struct context *context;
	const struct physical *physical;
	VkDevice handle;
	struct queue_driver driver; /* for the queues */
	PFN_vkDeviceWaitIdle wait_idle;
	PFN_vkGetMemoryFdKHR get_memory_fd; /* this and the next: NULL unless memory may be dma-bufs */
	PFN_vkGetMemoryFdPropertiesKHR get_fd_properties;
	struct queue **queues;
	uint32_t queue_count;
	atomic_uint imported; /* semaphores with a signalled payload that we keep, see sync.c */
	atomic_uint resetting; /* fences to be reset before their next use, see fence.c */
	atomic_uint signalled; /* fences that we have signalled, see fence.c */
	atomic_uint tracked;   /* semaphores whose last signalling queue is noted */
};

/* Ends the threads and fences of the queues, waits until the device is idle; before the driver destroys the device. */
void device_quiet(struct device *device);
void device_free(struct device *device);
/* A call told the guest that the device is lost. */
void device_note_told(struct device *device);

int device_create(struct venus_call *call);
int device_destroy(struct venus_call *call);
int device_destroy_instance(struct venus_call *call);
int device_get_queue2(struct venus_call *call);

#endif
