/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discrete_layer.c - a Vulkan layer that makes a driver with one type of memory look like a GPU
 * of its own, with memory of its own
 *
 * How it works: programs see three types instead.  They are all the driver's only one below, and
 * what the driver says of its own stands for all three; but only type 1 can be imported from host
 * pointers.
 *   0: the device's, not mappable    1: the host's    2: the device's, mappable
 * When a device is destroyed, "device memory: N" says on standard error how often type 0 or 2 was
 * allocated.
 * Linear images can be drawn to only as on NVIDIA's GPUs: if the device was made with
 * VK_NV_linear_color_attachment, without a depth buffer, and not read at the same time.  The
 * process ends where one is viewed that was made to be drawn to, without the first, where one is to
 * be drawn to with the second, or made for the third.
 * Threads: one instance; devices are created and destroyed by one thread, memory is allocated by
 * any.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { DISCRETE_TYPES = 7, DISCRETE_HOST = 1, DISCRETE_EXTENSIONS = 256, DISCRETE_LINEAR = 256 };

#define LAYER_INSTANCE(X)                                                                          \
	X(vkCreateDevice);                                                                         \
	X(vkGetPhysicalDeviceProperties);                                                          \
	X(vkGetPhysicalDeviceProperties2);                                                         \
	X(vkEnumerateDeviceExtensionProperties);                                                   \
	X(vkGetPhysicalDeviceImageFormatProperties2);                                              \
	X(vkGetPhysicalDeviceFeatures2);                                                           \
	X(vkGetPhysicalDeviceFormatProperties);                                                    \
	X(vkGetPhysicalDeviceFormatProperties2);                                                   \
	X(vkGetPhysicalDeviceMemoryProperties);                                                    \
	X(vkGetPhysicalDeviceMemoryProperties2)
#define LAYER_DEVICE(X)                                                                            \
	X(vkDestroyDevice);                                                                        \
	X(vkAllocateMemory);                                                                       \
	X(vkCreateImage);                                                                          \
	X(vkDestroyImage);                                                                         \
	X(vkCreateImageView);                                                                      \
	X(vkDestroyImageView);                                                                     \
	X(vkCreateFramebuffer);                                                                    \
	X(vkCmdBeginRendering);                                                                    \
	X(vkGetMemoryHostPointerPropertiesEXT);                                                    \
	X(vkGetBufferMemoryRequirements);                                                          \
	X(vkGetImageMemoryRequirements);                                                           \
	X(vkGetBufferMemoryRequirements2);                                                         \
	X(vkGetImageMemoryRequirements2);                                                          \
	X(vkGetDeviceBufferMemoryRequirements);                                                    \
	X(vkGetDeviceImageMemoryRequirements)
#include "layer.h"

static atomic_uint discrete_allocations;
static atomic_bool discrete_draws_linear; /* the device was made so */
static struct discrete_list {
	_Atomic uint64_t handles[DISCRETE_LINEAR]; /* 0: none */
} discrete_images, discrete_views;

static _Noreturn void discrete_die(const char *what)
{
	fprintf(stderr, "discrete: %s\n", what);
	abort();
}

static void discrete_types(VkPhysicalDeviceMemoryProperties *memory)
{
	const VkMemoryPropertyFlags device = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
				    mapped = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
					     VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
	if (memory->memoryTypeCount != 1 || memory->memoryHeapCount != 1) {
		discrete_die("this driver has several types of memory");
	}
	memory->memoryTypeCount = 3;
	memory->memoryTypes[0] = (VkMemoryType){device, 0};
	memory->memoryTypes[1] = (VkMemoryType){mapped | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 1};
	memory->memoryTypes[2] = (VkMemoryType){device | mapped, 0};
	memory->memoryHeapCount = 2;
	memory->memoryHeaps[1] = (VkMemoryHeap){memory->memoryHeaps[0].size, 0};
}

static VKAPI_ATTR void VKAPI_CALL layer_vkGetPhysicalDeviceProperties(
	VkPhysicalDevice physical, VkPhysicalDeviceProperties *properties)
{
	next.vkGetPhysicalDeviceProperties(physical, properties);
	properties->deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
}

static VKAPI_ATTR void VKAPI_CALL layer_vkGetPhysicalDeviceProperties2(
	VkPhysicalDevice physical, VkPhysicalDeviceProperties2 *properties)
{
	next.vkGetPhysicalDeviceProperties2(physical, properties);
	properties->properties.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
}

static VKAPI_ATTR void VKAPI_CALL layer_vkGetPhysicalDeviceMemoryProperties(
	VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties *memory)
{
	next.vkGetPhysicalDeviceMemoryProperties(physical, memory);
	discrete_types(memory);
}

static VKAPI_ATTR void VKAPI_CALL layer_vkGetPhysicalDeviceMemoryProperties2(
	VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties2 *memory)
{
	next.vkGetPhysicalDeviceMemoryProperties2(physical, memory);
	discrete_types(&memory->memoryProperties);
}

/* The struct of @type behind @head. */
static void *discrete_chained(const void *head, VkStructureType type)
{
	const VkBaseOutStructure *at = head;
	while (at && at->sType != type) {
		at = at->pNext;
	}
	return (void *)at;
}

/* The driver's and one more, last. */
static VKAPI_ATTR VkResult VKAPI_CALL layer_vkEnumerateDeviceExtensionProperties(
	VkPhysicalDevice physical, const char *layer, uint32_t *count, VkExtensionProperties *list)
{
	uint32_t room = *count;
	VkResult result = next.vkEnumerateDeviceExtensionProperties(physical, layer, count, list);
	if (result != VK_SUCCESS || (list && *count == room)) {
		return result == VK_SUCCESS ? VK_INCOMPLETE : result;
	}
	if (list) {
		list[*count] =
			(VkExtensionProperties){VK_NV_LINEAR_COLOR_ATTACHMENT_EXTENSION_NAME, 1};
	}
	(*count)++;
	return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL
layer_vkGetPhysicalDeviceFeatures2(VkPhysicalDevice physical, VkPhysicalDeviceFeatures2 *features)
{
	VkPhysicalDeviceLinearColorAttachmentFeaturesNV *linear = discrete_chained(
		features, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_LINEAR_COLOR_ATTACHMENT_FEATURES_NV);
	next.vkGetPhysicalDeviceFeatures2(physical, features);
	if (linear) {
		linear->linearColorAttachment = VK_TRUE;
	}
}

static VKAPI_ATTR void VKAPI_CALL layer_vkGetPhysicalDeviceFormatProperties(
	VkPhysicalDevice physical, VkFormat format, VkFormatProperties *properties)
{
	next.vkGetPhysicalDeviceFormatProperties(physical, format, properties);
	properties->linearTilingFeatures &= ~(VkFlags)VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BIT;
}

static VKAPI_ATTR void VKAPI_CALL layer_vkGetPhysicalDeviceFormatProperties2(
	VkPhysicalDevice physical, VkFormat format, VkFormatProperties2 *properties)
{
	VkFormatProperties3 *more =
		discrete_chained(properties, VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_3);
	VkFlags *features = &properties->formatProperties.linearTilingFeatures;
	next.vkGetPhysicalDeviceFormatProperties2(physical, format, properties);
	if (more && *features & VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BIT) {
		more->linearTilingFeatures &= ~VK_FORMAT_FEATURE_2_COLOR_ATTACHMENT_BIT;
		more->linearTilingFeatures |= VK_FORMAT_FEATURE_2_LINEAR_COLOR_ATTACHMENT_BIT_NV;
	}
	*features &= ~(VkFlags)VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BIT;
}

/* Linear images cannot be read as what they are drawn to. */
static bool discrete_refuses(VkImageTiling tiling, VkImageUsageFlags usage)
{
	return tiling == VK_IMAGE_TILING_LINEAR &&
	       usage & (VK_IMAGE_USAGE_INPUT_ATTACHMENT_BIT |
			VK_IMAGE_USAGE_ATTACHMENT_FEEDBACK_LOOP_BIT_EXT);
}

static VKAPI_ATTR VkResult VKAPI_CALL layer_vkGetPhysicalDeviceImageFormatProperties2(
	VkPhysicalDevice physical, const VkPhysicalDeviceImageFormatInfo2 *info,
	VkImageFormatProperties2 *properties)
{
	return discrete_refuses(info->tiling, info->usage)
		       ? VK_ERROR_FORMAT_NOT_SUPPORTED
		       : next.vkGetPhysicalDeviceImageFormatProperties2(physical, info, properties);
}

/* Replaces @from by @to in the list of what is linear and can be drawn to.  False: it is not there.
 */
static bool discrete_note(struct discrete_list *list, void *from, void *to)
{
	for (size_t i = 0; i < DISCRETE_LINEAR; i++) {
		uint64_t expected = (uint64_t)(uintptr_t)from;
		if (atomic_compare_exchange_strong(&list->handles[i], &expected,
						   (uint64_t)(uintptr_t)to)) {
			return true;
		}
	}
	return false;
}

static bool discrete_is_linear(struct discrete_list *list, void *handle)
{
	return handle && discrete_note(list, handle, handle);
}

static VKAPI_ATTR VkResult VKAPI_CALL layer_vkCreateImage(VkDevice device,
							  const VkImageCreateInfo *info,
							  const VkAllocationCallbacks *allocator,
							  VkImage *image)
{
	if (discrete_refuses(info->tiling, info->usage)) {
		discrete_die("a linear image is made to be read as what it is drawn to");
	}
	VkResult result = next.vkCreateImage(device, info, allocator, image);
	if (result == VK_SUCCESS && info->tiling == VK_IMAGE_TILING_LINEAR &&
	    info->usage & VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT) {
		discrete_note(&discrete_images, NULL, *image);
	}
	return result;
}

static VKAPI_ATTR void VKAPI_CALL layer_vkDestroyImage(VkDevice device, VkImage image,
						       const VkAllocationCallbacks *allocator)
{
	if (image) {
		discrete_note(&discrete_images, image, NULL);
	}
	next.vkDestroyImage(device, image, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL
layer_vkCreateImageView(VkDevice device, const VkImageViewCreateInfo *info,
			const VkAllocationCallbacks *allocator, VkImageView *view)
{
	bool linear = discrete_is_linear(&discrete_images, info->image);
	if (linear && !discrete_draws_linear) {
		discrete_die("a linear image cannot be drawn to by this device");
	}
	VkResult result = next.vkCreateImageView(device, info, allocator, view);
	if (linear && result == VK_SUCCESS) {
		discrete_note(&discrete_views, NULL, *view);
	}
	return result;
}

static VKAPI_ATTR void VKAPI_CALL layer_vkDestroyImageView(VkDevice device, VkImageView view,
							   const VkAllocationCallbacks *allocator)
{
	if (view) {
		discrete_note(&discrete_views, view, NULL);
	}
	next.vkDestroyImageView(device, view, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL
layer_vkCreateFramebuffer(VkDevice device, const VkFramebufferCreateInfo *info,
			  const VkAllocationCallbacks *allocator, VkFramebuffer *framebuffer)
{
	uint32_t linear = 0;
	bool known = !(info->flags & VK_FRAMEBUFFER_CREATE_IMAGELESS_BIT);
	for (uint32_t i = 0; known && i < info->attachmentCount; i++) {
		linear += discrete_is_linear(&discrete_views, info->pAttachments[i]);
	}
	if (linear && linear < info->attachmentCount) {
		discrete_die("a frame buffer has linear images and others");
	}
	return next.vkCreateFramebuffer(device, info, allocator, framebuffer);
}

static VKAPI_ATTR void VKAPI_CALL layer_vkCmdBeginRendering(VkCommandBuffer commands,
							    const VkRenderingInfo *info)
{
	bool depth = (info->pDepthAttachment && info->pDepthAttachment->imageView) ||
		     (info->pStencilAttachment && info->pStencilAttachment->imageView);
	for (uint32_t i = 0; depth && i < info->colorAttachmentCount; i++) {
		if (discrete_is_linear(&discrete_views, info->pColorAttachments[i].imageView)) {
			discrete_die("a linear image is drawn to with a depth buffer");
		}
	}
	next.vkCmdBeginRendering(commands, info);
}

static VKAPI_ATTR VkResult VKAPI_CALL layer_vkAllocateMemory(VkDevice device,
							     const VkMemoryAllocateInfo *info,
							     const VkAllocationCallbacks *allocator,
							     VkDeviceMemory *memory)
{
	VkMemoryAllocateInfo below = *info;
	below.memoryTypeIndex = 0;
	if (info->memoryTypeIndex != DISCRETE_HOST) {
		atomic_fetch_add(&discrete_allocations, 1);
	}
	return next.vkAllocateMemory(device, &below, allocator, memory);
}

static VKAPI_ATTR VkResult VKAPI_CALL layer_vkGetMemoryHostPointerPropertiesEXT(
	VkDevice device, VkExternalMemoryHandleTypeFlagBits type, const void *pointer,
	VkMemoryHostPointerPropertiesEXT *properties)
{
	VkResult result =
		next.vkGetMemoryHostPointerPropertiesEXT(device, type, pointer, properties);
	properties->memoryTypeBits = properties->memoryTypeBits ? 1u << DISCRETE_HOST : 0;
	return result;
}

#define REQUIREMENTS(name, Input, Output, bits)                                                    \
	static VKAPI_ATTR void VKAPI_CALL layer_##name(VkDevice device, Input of, Output *out)     \
	{                                                                                          \
		next.name(device, of, out);                                                        \
		out->bits = DISCRETE_TYPES;                                                        \
	}
REQUIREMENTS(vkGetBufferMemoryRequirements, VkBuffer, VkMemoryRequirements, memoryTypeBits)
REQUIREMENTS(vkGetImageMemoryRequirements, VkImage, VkMemoryRequirements, memoryTypeBits)
REQUIREMENTS(vkGetBufferMemoryRequirements2, const VkBufferMemoryRequirementsInfo2 *,
	     VkMemoryRequirements2, memoryRequirements.memoryTypeBits)
REQUIREMENTS(vkGetImageMemoryRequirements2, const VkImageMemoryRequirementsInfo2 *,
	     VkMemoryRequirements2, memoryRequirements.memoryTypeBits)
REQUIREMENTS(vkGetDeviceBufferMemoryRequirements, const VkDeviceBufferMemoryRequirements *,
	     VkMemoryRequirements2, memoryRequirements.memoryTypeBits)
REQUIREMENTS(vkGetDeviceImageMemoryRequirements, const VkDeviceImageMemoryRequirements *,
	     VkMemoryRequirements2, memoryRequirements.memoryTypeBits)

static VKAPI_ATTR void VKAPI_CALL layer_vkDestroyDevice(VkDevice device,
							const VkAllocationCallbacks *allocator)
{
	fprintf(stderr, "device memory: %u\n", atomic_exchange(&discrete_allocations, 0));
	next.vkDestroyDevice(device, allocator);
}

/* Takes the extension off the list, which moves to @names, and its feature out of the chain. */
static bool discrete_take_linear(VkDeviceCreateInfo *info, const char *names[])
{
	VkPhysicalDeviceLinearColorAttachmentFeaturesNV *linear = discrete_chained(
		info, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_LINEAR_COLOR_ATTACHMENT_FEATURES_NV);
	uint32_t count = 0;
	if (info->enabledExtensionCount > DISCRETE_EXTENSIONS) {
		return false;
	}
	for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
		const char *name = info->ppEnabledExtensionNames[i];
		if (strcmp(name, VK_NV_LINEAR_COLOR_ATTACHMENT_EXTENSION_NAME)) {
			names[count++] = name;
		}
	}
	discrete_draws_linear =
		count < info->enabledExtensionCount && linear && linear->linearColorAttachment;
	if (linear) {
		/* The struct is the server's, and used once. */
		linear->linearColorAttachment = VK_FALSE;
	}
	info->ppEnabledExtensionNames = names;
	info->enabledExtensionCount = count;
	return true;
}

static VKAPI_ATTR VkResult VKAPI_CALL layer_vkCreateDevice(VkPhysicalDevice physical,
							   const VkDeviceCreateInfo *info,
							   const VkAllocationCallbacks *allocator,
							   VkDevice *device)
{
	const char *names[DISCRETE_EXTENSIONS];
	VkDeviceCreateInfo below = *info;
	if (!discrete_take_linear(&below, names)) {
		return VK_ERROR_EXTENSION_NOT_PRESENT;
	}
	return layer_create_device(physical, &below, allocator, device);
}
