/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fence.h - VkFence: waits, exports on drivers that have none, submissions done as they came
 *
 * Threads: the lane's.
 */
#ifndef ORIEL_VENUS_FENCE_H
#define ORIEL_VENUS_FENCE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <vulkan/vulkan_core.h>

struct device;
struct queue;
struct venus_call;
struct venus_object;

int fence_create(struct venus_call *call);
int fence_wait(struct venus_call *call);
int fence_get_status(struct venus_call *call);
int fence_reset(struct venus_call *call);
int fence_reset_resource(struct venus_call *call);
/* Frees the data of a VkFence object. */
void fence_free_data(struct venus_object *object);

/* Before the fence at @object (may be NULL) goes to the driver with a submission: carries out what
 * is still to be done with it. */
void fence_prepare(struct device *device, struct venus_object *object);
/* It has gone to @queue as number @seqno of its submissions. */
void fence_submitted(struct device *device, struct venus_object *object, struct queue *queue,
		     uint64_t seqno);
/* Signal it without the driver.  False if out of memory. */
bool fence_signal(struct device *device, struct venus_object *object) MUST_CHECK;

/* Waits in slices for @fences, all or any, up to @timeout ns.  VK_ERROR_DEVICE_LOST when the
 * context ends first. */
VkResult fence_wait_driver(struct device *device, uint32_t count, const VkFence *fences,
			   VkBool32 all, uint64_t timeout);

#endif
