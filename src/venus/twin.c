/* SPDX-License-Identifier: Apache-2.0 */
/*
 * twin.c - images that are drawn to where the GPU likes it, and shared from where others read it
 *
 * How it works: where sharing is emulated, what is shared is linear.  NVIDIA's GPUs draw to linear
 * images, but not if there is a depth buffer: the device is lost.  So an image that a guest makes
 * to be drawn to and shared is two there.  The guest's commands use one of optimal tiling, in
 * memory of ours; the linear one is bound to what the guest allocates and shares.  A guest has to
 * hand over ownership of an image before others use it, and to take it back: that is when the one
 * is copied to the other.  An image that a guest imports stays one, as programs do not take over
 * what they only read, each time; with depth it cannot be drawn to.
 * Threads: the lane's.
 */
#include "venus/twin.h"

#include "venus/chain.h"
#include "venus/context.h"
#include "venus/device.h"
#include "venus/dispatch.h"
#include "venus/external.h"
#include "venus/physical.h"
#include "venus_args.h"

#include <errno.h>
#include <stdlib.h>

/* Data of a VkImage object. */
struct twin {
	VkImage linear;
	VkDeviceMemory memory; /* of the one that is drawn to */
	struct pages *charge;
	VkExtent3D extent;
	uint32_t layers;
};

struct twin_copy {
	const struct twin *twin;
	VkImage drawn;
	VkImageLayout then; /* what the guest wants */
	bool out;	    /* to the linear one */
};

/* The driver's function of a command in @call's device. */
#define TWIN_FN(call, name)                                                                        \
	((PFN_##name)venus_driver_fn((call)->dispatch, (call)->object, VENUS_##name))

static const VkAccessFlags twin_any = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT;

bool twin_is_needed(const struct physical *physical, const VkImageCreateInfo *info)
{
	return physical->draws_linear && info->usage & VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT;
}

static struct twin *twin_of(const struct venus_object *object)
{
	return object && !external_is_marked(object) ? object->data : NULL;
}

/* --- creation --- */

/* The device's own type among @types, or any. */
static uint32_t twin_memory_type(const struct physical *physical, uint32_t types)
{
	for (uint32_t i = 0; i < physical->memory.memoryTypeCount; i++) {
		if (types & 1u << i && physical->memory.memoryTypes[i].propertyFlags &
					       VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) {
			return i;
		}
	}
	return (uint32_t)__builtin_ctz(types);
}

static VkResult twin_back(struct venus_call *call, VkImage drawn, struct twin *twin)
{
	struct device *device = call->object->data;
	const VkImageMemoryRequirementsInfo2 which = {
		VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2, NULL, drawn};
	VkMemoryRequirements2 needs = {.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2};
	TWIN_FN(call, vkGetImageMemoryRequirements2)(device->handle, &which, &needs);
	const VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.allocationSize = needs.memoryRequirements.size,
		.memoryTypeIndex =
			twin_memory_type(device->physical, needs.memoryRequirements.memoryTypeBits),
	};
	if (pages_count(&twin->charge, context_shelf(device->context), info.allocationSize)) {
		return VK_ERROR_OUT_OF_DEVICE_MEMORY;
	}
	VkResult result =
		TWIN_FN(call, vkAllocateMemory)(device->handle, &info, NULL, &twin->memory);
	const VkBindImageMemoryInfo bind = {VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_INFO, NULL, drawn,
					    twin->memory, 0};
	return result == VK_SUCCESS ? TWIN_FN(call, vkBindImageMemory2)(device->handle, 1, &bind)
				    : result;
}

VkResult twin_create(struct venus_call *call, VkImageCreateInfo *info, VkImageUsageFlags drawn,
		     VkImage *image, struct twin **twin)
{
	VkDevice device = (VkDevice)(uintptr_t)call->object->handle;
	struct twin *made = calloc(1, sizeof(*made));
	if (!made) {
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	made->extent = info->extent;
	made->layers = info->arrayLayers;
	*image = VK_NULL_HANDLE;
	VkResult result = TWIN_FN(call, vkCreateImage)(device, info, NULL, &made->linear);
	chain_unlink(info, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO);
	info->tiling = VK_IMAGE_TILING_OPTIMAL;
	info->usage = drawn | VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
	if (result == VK_SUCCESS) {
		result = TWIN_FN(call, vkCreateImage)(device, info, NULL, image);
	}
	if (result == VK_SUCCESS) {
		result = twin_back(call, *image, made);
	}
	if (result != VK_SUCCESS) {
		twin_destroy(call, made, *image);
		return result;
	}
	*twin = made;
	return VK_SUCCESS;
}

static void twin_release(const struct venus_driver *driver, struct twin *twin)
{
	((PFN_vkDestroyImage)driver->fn[VENUS_vkDestroyImage])(driver->device, twin->linear, NULL);
	((PFN_vkFreeMemory)driver->fn[VENUS_vkFreeMemory])(driver->device, twin->memory, NULL);
	pages_put(twin->charge);
	free(twin);
}

void twin_destroy(struct venus_call *call, struct twin *twin, VkImage image)
{
	TWIN_FN(call, vkDestroyImage)((VkDevice)(uintptr_t)call->object->handle, image, NULL);
	twin_release(call->object->driver, twin);
}

void twin_free(struct venus_object *object)
{
	struct twin *twin = twin_of(object);
	if (twin) {
		twin_release(object->driver, twin);
	}
}

VkImage twin_shared_image(const struct venus_object *object, VkImage image)
{
	const struct twin *twin = twin_of(object);
	return twin ? twin->linear : image;
}

int twin_bind_images(struct venus_call *call)
{
	struct vkBindImageMemory2_args *args = call->args;
	VkBindImageMemoryInfo *binds = (VkBindImageMemoryInfo *)args->pBindInfos;
	for (uint32_t i = 0; binds && i < args->bindInfoCount; i++) {
		const struct venus_object *object = venus_call_object_at(call, &binds[i].image);
		binds[i].image = twin_shared_image(object, binds[i].image);
	}
	return venus_call_driver(call);
}

/* --- handing over --- */

static bool twin_is_outside(uint32_t family)
{
	return family == VK_QUEUE_FAMILY_EXTERNAL || family == VK_QUEUE_FAMILY_FOREIGN_EXT;
}

/* What both kinds of barriers say of an image. */
struct twin_barrier {
	const VkImage *image;
	uint32_t *src, *dst;
	VkImageLayout *before, *after;
};

/* The barrier becomes one of the image that is drawn to.  True if a copy has to follow. */
static bool twin_take(struct venus_call *call, const struct twin_barrier *barrier,
		      struct twin_copies *copies)
{
	bool in = twin_is_outside(*barrier->src), out = twin_is_outside(*barrier->dst);
	const struct twin *twin =
		in != out ? twin_of(venus_call_object_at(call, barrier->image)) : NULL;
	if (!twin) {
		return false;
	}
	*barrier->src = *barrier->dst = VK_QUEUE_FAMILY_IGNORED;
	if (*barrier->before == VK_IMAGE_LAYOUT_UNDEFINED) {
		return false; /* nobody wants what is in it */
	}
	copies->list[copies->count++] =
		(struct twin_copy){twin, *barrier->image, *barrier->after, out};
	*barrier->after =
		out ? VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL : VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
	if (in) {
		*barrier->before = VK_IMAGE_LAYOUT_UNDEFINED;
	}
	return true;
}

/* Room for a copy for each of @count barriers.  0 or -EPROTO. */
static int twin_reserve(struct venus_call *call, uint32_t count, struct twin_copies *copies)
{
	*copies = (struct twin_copies){0};
	const struct physical *physical = external_physical(call);
	if (!count || !physical || !physical->draws_linear) {
		return 0;
	}
	copies->list = arena_array(call->arena, count, sizeof(*copies->list));
	return copies->list ? 0 : venus_decoder_fail(call->decoder, "no memory for barriers");
}

int twin_take_barriers(struct venus_call *call, VkImageMemoryBarrier *barriers, uint32_t count,
		       VkPipelineStageFlags *from, VkPipelineStageFlags *to,
		       struct twin_copies *copies)
{
	int status = twin_reserve(call, barriers ? count : 0, copies);
	for (uint32_t i = 0; copies->list && i < count; i++) {
		VkImageMemoryBarrier *it = &barriers[i];
		const struct twin_barrier barrier = {&it->image, &it->srcQueueFamilyIndex,
						     &it->dstQueueFamilyIndex, &it->oldLayout,
						     &it->newLayout};
		if (twin_take(call, &barrier, copies)) {
			it->dstAccessMask =
				VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
			*from |= VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
			*to |= VK_PIPELINE_STAGE_TRANSFER_BIT;
		}
	}
	return status;
}

int twin_take_dependency(struct venus_call *call, const VkDependencyInfo *info,
			 struct twin_copies *copies)
{
	VkImageMemoryBarrier2 *barriers =
		info ? (VkImageMemoryBarrier2 *)info->pImageMemoryBarriers : NULL;
	uint32_t count = barriers ? info->imageMemoryBarrierCount : 0;
	int status = twin_reserve(call, count, copies);
	for (uint32_t i = 0; copies->list && i < count; i++) {
		VkImageMemoryBarrier2 *it = &barriers[i];
		const struct twin_barrier barrier = {&it->image, &it->srcQueueFamilyIndex,
						     &it->dstQueueFamilyIndex, &it->oldLayout,
						     &it->newLayout};
		if (twin_take(call, &barrier, copies)) {
			it->srcStageMask |= VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT;
			it->dstStageMask = VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT;
			it->dstAccessMask =
				VK_ACCESS_2_TRANSFER_READ_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT;
		}
	}
	return status;
}

static VkImageMemoryBarrier twin_barrier(VkImage image, VkImageLayout before, VkImageLayout after,
					 VkAccessFlags src, VkAccessFlags dst)
{
	return (VkImageMemoryBarrier){
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.srcAccessMask = src,
		.dstAccessMask = dst,
		.oldLayout = before,
		.newLayout = after,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.image = image,
		.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, VK_REMAINING_ARRAY_LAYERS},
	};
}

static void twin_record_copy(struct venus_call *call, const struct twin_copy *copy)
{
	VkCommandBuffer commands = (VkCommandBuffer)(uintptr_t)call->object->handle;
	PFN_vkCmdPipelineBarrier barrier = TWIN_FN(call, vkCmdPipelineBarrier);
	const VkImageLayout drawn = copy->out ? VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL
					      : VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
	const VkImageLayout linear = copy->out ? VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL
					       : VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
	/* Between copies the linear one is in the general layout, like what others make of it. */
	VkImageMemoryBarrier open = twin_barrier(
		copy->twin->linear, copy->out ? VK_IMAGE_LAYOUT_UNDEFINED : VK_IMAGE_LAYOUT_GENERAL,
		linear, twin_any, VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
	barrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0,
		NULL, 0, NULL, 1, &open);
	const VkImageSubresourceLayers whole = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0,
						copy->twin->layers};
	const VkImageCopy region = {
		.srcSubresource = whole, .dstSubresource = whole, .extent = copy->twin->extent};
	TWIN_FN(call, vkCmdCopyImage)
	(commands, copy->out ? copy->drawn : copy->twin->linear,
	 VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, copy->out ? copy->twin->linear : copy->drawn,
	 VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &region);
	const VkImageMemoryBarrier close[] = {
		twin_barrier(copy->twin->linear, linear, VK_IMAGE_LAYOUT_GENERAL,
			     VK_ACCESS_TRANSFER_WRITE_BIT, twin_any | VK_ACCESS_HOST_READ_BIT),
		twin_barrier(copy->drawn, drawn, copy->then, VK_ACCESS_TRANSFER_WRITE_BIT,
			     twin_any),
	};
	barrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
		VK_PIPELINE_STAGE_ALL_COMMANDS_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 0, NULL, 0,
		NULL, 2, close);
}

void twin_record(struct venus_call *call, const struct twin_copies *copies)
{
	for (uint32_t i = 0; i < copies->count; i++) {
		twin_record_copy(call, &copies->list[i]);
	}
}
