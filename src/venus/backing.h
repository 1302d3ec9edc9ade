/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backing.h - images and buffers tell the driver what mappable memory is made of
 *
 * Vulkan wants it said when they are created: memory that is imported, or made to be exported,
 * takes only those that name its type of handle (VUID-VkBindBufferMemoryInfo-memory-02726, 02727
 * and -VkBindImageMemoryInfo-memory-02728, 02729).
 *
 * Threads: backing_probe() the probe's, the others the lane's.
 */
#ifndef ORIEL_VENUS_BACKING_H
#define ORIEL_VENUS_BACKING_H

#include <stdbool.h>
#include <vulkan/vulkan_core.h>

struct probe_device;
struct venus_call;

/* A device of the probe's, and who knows its functions. */
struct backing_try {
	PFN_vkGetInstanceProcAddr get_proc;
	PFN_vkGetDeviceProcAddr get_device_proc;
	VkInstance instance;
	VkPhysicalDevice physical;
	VkDevice handle;
};

/* Finds out who may name the handle without losing types of memory: fills @device's named_*, its
 * backing is known. */
void backing_probe(struct probe_device *device, const struct backing_try *work);

/*
 * Names the handle in what is told the driver of an image or buffer of the device @call is for,
 * where that is possible; a handle that the guest has named stays.  What is added lives as long as
 * the call.
 */
void backing_name_image(struct venus_call *call, VkImageCreateInfo *info);
void backing_name_buffer(struct venus_call *call, VkBufferCreateInfo *info);

/* True if such an image, which is not shared, names no handle and has memory beside that which we
 * can map: then it may only lie there, which backing_limit_types() says.  @requirements may be
 * NULL.
 */
bool backing_keeps_apart(const struct venus_call *call, const VkImageCreateInfo *info);
void backing_limit_types(const struct venus_call *call, VkMemoryRequirements2 *requirements);

#endif
