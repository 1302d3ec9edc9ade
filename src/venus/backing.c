/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backing.c - images and buffers tell the driver what mappable memory is made of
 *
 * How it works: when an image or buffer is made nobody knows where it will lie, so all name the
 * handle that can.  Drivers may take that for a reason to allow fewer types of memory, or to leave
 * optimal images uncompressed.  So the probe makes a pair of each kind, with and without; only a
 * kind that keeps its types names the handle, and optimal images do only where all memory for them
 * can be mapped: elsewhere they keep out of that.  For each image and buffer the driver is asked
 * whether it can be.
 * Threads: see backing.h.
 */
#include "venus/backing.h"

#include "venus/chain.h"
#include "venus/context.h"
#include "venus/external.h"
#include "venus/physical.h"
#include "venus_args.h"

enum { BACKING_PIXELS = 64, BACKING_BYTES = 64 * 1024 };

static VkExternalMemoryHandleTypeFlagBits backing_handle(const struct probe_device *device)
{
	return device->backing == WIRE_BACKING_HOST_POINTER
		       ? VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT
		       : VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT;
}

/* True if the driver can do with the handle what memory.c does, and without dedicated memory. */
static bool backing_suits(const struct probe_device *device,
			  const VkExternalMemoryProperties *properties)
{
	VkExternalMemoryFeatureFlags features = properties->externalMemoryFeatures;
	VkExternalMemoryFeatureFlags wanted = device->backing == WIRE_BACKING_HOST_POINTER
						      ? VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT
						      : VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT;
	return features & wanted && !(features & VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT);
}

static bool backing_takes_buffer(const struct probe_device *device, VkPhysicalDevice physical,
				 PFN_vkGetPhysicalDeviceExternalBufferProperties ask,
				 const VkBufferCreateInfo *buffer)
{
	const VkPhysicalDeviceExternalBufferInfo info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
		.flags = buffer->flags,
		.usage = buffer->usage,
		.handleType = backing_handle(device),
	};
	VkExternalBufferProperties answer = {.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES};
	ask(physical, &info, &answer);
	return backing_suits(device, &answer.externalMemoryProperties);
}

/* True if the image is within what the driver says of images like it. */
static bool backing_fits(const VkImageCreateInfo *image, const VkImageFormatProperties *most)
{
	return image->extent.width <= most->maxExtent.width &&
	       image->extent.height <= most->maxExtent.height &&
	       image->extent.depth <= most->maxExtent.depth &&
	       image->mipLevels <= most->maxMipLevels &&
	       image->arrayLayers <= most->maxArrayLayers && image->samples & most->sampleCounts;
}

static bool backing_takes_image(const struct probe_device *device, VkPhysicalDevice physical,
				PFN_vkGetPhysicalDeviceImageFormatProperties2 ask,
				const VkImageCreateInfo *image)
{
	VkPhysicalDeviceExternalImageFormatInfo external = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO,
		.handleType = backing_handle(device),
	};
	VkPhysicalDeviceImageFormatInfo2 info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_FORMAT_INFO_2,
		.pNext = &external,
		.format = image->format,
		.type = image->imageType,
		.tiling = image->tiling,
		.usage = image->usage,
		.flags = image->flags,
	};
	VkImageFormatListCreateInfo formats;
	VkImageStencilUsageCreateInfo stencil;
	const void *chained = chain_find(image, VK_STRUCTURE_TYPE_IMAGE_FORMAT_LIST_CREATE_INFO);
	if (chained) {
		formats = *(const VkImageFormatListCreateInfo *)chained;
		chain_push(&info, &formats);
	}
	chained = chain_find(image, VK_STRUCTURE_TYPE_IMAGE_STENCIL_USAGE_CREATE_INFO);
	if (chained) {
		stencil = *(const VkImageStencilUsageCreateInfo *)chained;
		chain_push(&info, &stencil);
	}
	VkExternalImageFormatProperties properties = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES};
	VkImageFormatProperties2 answer = {.sType = VK_STRUCTURE_TYPE_IMAGE_FORMAT_PROPERTIES_2,
					   .pNext = &properties};
	return ask && ask(physical, &info, &answer) == VK_SUCCESS &&
	       backing_suits(device, &properties.externalMemoryProperties) &&
	       backing_fits(image, &answer.imageFormatProperties);
}

/* --- the probe --- */

#define BACKING_FN(work, name)	      ((PFN_##name)(work)->get_proc((work)->instance, #name))
#define BACKING_DEVICE_FN(work, name) ((PFN_##name)(work)->get_device_proc((work)->handle, #name))

/* Types of memory such a buffer may lie in; 0: it cannot be made. */
static uint32_t backing_buffer_types(const struct backing_try *work, const VkBufferCreateInfo *info)
{
	VkBufferMemoryRequirementsInfo2 question = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2};
	VkMemoryRequirements2 answer = {.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2};
	PFN_vkCreateBuffer create = BACKING_DEVICE_FN(work, vkCreateBuffer);
	PFN_vkGetBufferMemoryRequirements2 ask =
		BACKING_DEVICE_FN(work, vkGetBufferMemoryRequirements2);
	PFN_vkDestroyBuffer destroy = BACKING_DEVICE_FN(work, vkDestroyBuffer);
	if (create && ask && destroy &&
	    create(work->handle, info, NULL, &question.buffer) == VK_SUCCESS) {
		ask(work->handle, &question, &answer);
		destroy(work->handle, question.buffer, NULL);
	}
	return answer.memoryRequirements.memoryTypeBits;
}

static uint32_t backing_image_types(const struct backing_try *work, const VkImageCreateInfo *info)
{
	VkImageMemoryRequirementsInfo2 question = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2};
	VkMemoryRequirements2 answer = {.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2};
	PFN_vkCreateImage create = BACKING_DEVICE_FN(work, vkCreateImage);
	PFN_vkGetImageMemoryRequirements2 ask =
		BACKING_DEVICE_FN(work, vkGetImageMemoryRequirements2);
	PFN_vkDestroyImage destroy = BACKING_DEVICE_FN(work, vkDestroyImage);
	if (create && ask && destroy &&
	    create(work->handle, info, NULL, &question.image) == VK_SUCCESS) {
		ask(work->handle, &question, &answer);
		destroy(work->handle, question.image, NULL);
	}
	return answer.memoryRequirements.memoryTypeBits;
}

static bool backing_try_buffer(const struct probe_device *device, const struct backing_try *work)
{
	const VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = backing_handle(device),
	};
	VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = BACKING_BYTES,
		.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_VERTEX_BUFFER_BIT,
	};
	if (!backing_takes_buffer(device, work->physical,
				  BACKING_FN(work, vkGetPhysicalDeviceExternalBufferProperties),
				  &info)) {
		return false;
	}
	uint32_t plain = backing_buffer_types(work, &info);
	info.pNext = &external;
	return plain && backing_buffer_types(work, &info) == plain;
}

/* True if memory that cannot be mapped is among @types, and for everything. */
static bool backing_has_other(const struct probe_device *device, uint32_t types)
{
	return types & ~(device->backed_types | device->special_types);
}

static bool backing_try_image(const struct probe_device *device, const struct backing_try *work,
			      VkImageTiling tiling)
{
	const VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		.handleTypes = backing_handle(device),
	};
	VkImageCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = VK_FORMAT_R8G8B8A8_UNORM,
		.extent = {BACKING_PIXELS, BACKING_PIXELS, 1},
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = tiling,
		.usage = VK_IMAGE_USAGE_TRANSFER_DST_BIT | VK_IMAGE_USAGE_SAMPLED_BIT,
	};
	if (!backing_takes_image(device, work->physical,
				 BACKING_FN(work, vkGetPhysicalDeviceImageFormatProperties2),
				 &info)) {
		return false;
	}
	uint32_t plain = backing_image_types(work, &info);
	info.pNext = &external;
	return plain && backing_image_types(work, &info) == plain &&
	       (tiling == VK_IMAGE_TILING_LINEAR || !backing_has_other(device, plain));
}

void backing_probe(struct probe_device *device, const struct backing_try *work)
{
	device->named_buffers = backing_try_buffer(device, work);
	device->named_linear = backing_try_image(device, work, VK_IMAGE_TILING_LINEAR);
	device->named_optimal = backing_try_image(device, work, VK_IMAGE_TILING_OPTIMAL);
}

/* --- the guest's --- */

#define BACKING_CALL_FN(call, name)                                                                \
	((PFN_##name)venus_driver_fn((call)->dispatch, (call)->object->parent, VENUS_##name))

static bool backing_is_named(const struct probe_device *device, const VkImageCreateInfo *info)
{
	switch ((uint32_t)info->tiling) {
	case VK_IMAGE_TILING_OPTIMAL: return device->named_optimal;
	case VK_IMAGE_TILING_LINEAR: return device->named_linear;
	default: return false; /* what is made by modifiers is shared, and says so itself */
	}
}

void backing_name_image(struct venus_call *call, VkImageCreateInfo *info)
{
	const struct physical *physical = external_physical(call);
	VkExternalMemoryImageCreateInfo *external =
		chain_find(info, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO);
	/* An image that is filled before its first use may not come from elsewhere
	 * (VUID-VkImageCreateInfo-pNext-01443). */
	if (!physical || !backing_is_named(physical->probe, info) ||
	    (external && external->handleTypes) ||
	    info->initialLayout != VK_IMAGE_LAYOUT_UNDEFINED ||
	    !backing_takes_image(physical->probe, physical->handle,
				 BACKING_CALL_FN(call, vkGetPhysicalDeviceImageFormatProperties2),
				 info)) {
		return;
	}
	if (!external) {
		external = arena_alloc(call->arena, sizeof(*external));
		if (!external) {
			return;
		}
		external->sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO;
		chain_push(info, external);
	}
	external->handleTypes = backing_handle(physical->probe);
}

void backing_name_buffer(struct venus_call *call, VkBufferCreateInfo *info)
{
	const struct physical *physical = external_physical(call);
	VkExternalMemoryBufferCreateInfo *external =
		chain_find(info, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO);
	if (!physical || !physical->probe->named_buffers || (external && external->handleTypes) ||
	    !backing_takes_buffer(
		    physical->probe, physical->handle,
		    BACKING_CALL_FN(call, vkGetPhysicalDeviceExternalBufferProperties), info)) {
		return;
	}
	if (!external) {
		external = arena_alloc(call->arena, sizeof(*external));
		if (!external) {
			return;
		}
		external->sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO;
		chain_push(info, external);
	}
	external->handleTypes = backing_handle(physical->probe);
}

bool backing_keeps_apart(const struct venus_call *call, const VkImageCreateInfo *info)
{
	const struct physical *physical = external_physical(call);
	return physical && info->tiling == VK_IMAGE_TILING_OPTIMAL &&
	       !physical->probe->named_optimal;
}

void backing_limit_types(const struct venus_call *call, VkMemoryRequirements2 *requirements)
{
	const struct probe_device *device = external_physical(call)->probe;
	uint32_t *types = requirements ? &requirements->memoryRequirements.memoryTypeBits : NULL;
	if (types && backing_has_other(device, *types)) {
		*types &= ~device->backed_types;
	}
}
