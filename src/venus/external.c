/* SPDX-License-Identifier: Apache-2.0 */
/*
 * external.c - memory and images that leave a context
 *
 * How it works: what the guest takes for a dma-buf is a resource of its own GPU.  Emulated, that is
 * made of our pages, so any driver that imports host pointers can share it: an image that leaves
 * has the one layout everybody knows, the linear modifier stands for linear tiling, and structs of
 * modifiers never reach the driver; the decoder keeps them aside (venus_call_hidden()).  Where the
 * driver has dma-bufs and modifiers of its own (probe.h), it is asked instead.  Either way what is
 * shared lies in memory that we can map, and an import whose layout is not what the driver uses is
 * refused, since it would show wrong pixels. Threads: the lane's.
 */
#include "venus/external.h"

#include "venus/backing.h"
#include "venus/chain.h"
#include "venus/context.h"
#include "venus/device.h"
#include "venus/physical.h"
#include "venus/twin.h"
#include "venus_args.h"

#include <errno.h>

enum { EXTERNAL_MAX_PLANES = 4 };

/* Data of images and buffers that may be bound to shared memory; images of two have data of their
 * own. */
static char external_mark;
/* Data of images that keep out of memory that we can map, see backing.h. */
static char external_apart;

bool external_is_marked(const struct venus_object *object)
{
	return object && (object->data == &external_mark || object->data == &external_apart);
}

const char *const external_emulated[] = {
	VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
	VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
	VK_EXT_IMAGE_DRM_FORMAT_MODIFIER_EXTENSION_NAME,
	VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME,
	NULL,
};

bool external_is_emulated(const struct physical *physical)
{
	return !physical->probe->shared_types;
}

const struct physical *external_physical(const struct venus_call *call)
{
	const struct venus_object *object = call->object;
	while (object && object->type != VK_OBJECT_TYPE_DEVICE &&
	       object->type != VK_OBJECT_TYPE_PHYSICAL_DEVICE) {
		object = object->parent;
	}
	if (!object || !object->data) {
		return NULL;
	}
	return object->type == VK_OBJECT_TYPE_DEVICE
		       ? ((const struct device *)object->data)->physical
		       : object->data;
}

bool external_is_ours(const struct venus_call *call)
{
	const struct physical *physical = external_physical(call);
	return physical && external_is_emulated(physical);
}

bool external_has_one_plane(VkFormat format)
{
	return format < VK_FORMAT_G8B8G8R8_422_UNORM ||
	       format > VK_FORMAT_G16_B16_R16_3PLANE_444_UNORM;
}

/* --- images --- */

/* What the guest said of an image beyond what the driver is told. */
struct external_image {
	bool shared;		 /* bound to memory that leaves or came in */
	VkImageUsageFlags drawn; /* usage of another that is drawn to, see twin.h; 0: none */
	const VkSubresourceLayout *expected; /* layouts of an import, or NULL */
	uint32_t planes;		     /* how many layouts; 0: one, of the colour aspect */
};

/*
 * Whoever shares a linear image must have it laid out the same, and drivers may align rows by what
 * an image is used for.  So it is made for all that is usual.
 */
static void external_settle_usage(const struct venus_call *call, VkImageCreateInfo *info,
				  struct external_image *image)
{
	static const struct {
		VkFormatFeatureFlags feature;
		VkImageUsageFlags usage;
	} usual[] = {
		{VK_FORMAT_FEATURE_TRANSFER_SRC_BIT, VK_IMAGE_USAGE_TRANSFER_SRC_BIT},
		{VK_FORMAT_FEATURE_TRANSFER_DST_BIT, VK_IMAGE_USAGE_TRANSFER_DST_BIT},
		{VK_FORMAT_FEATURE_SAMPLED_IMAGE_BIT, VK_IMAGE_USAGE_SAMPLED_BIT},
		{VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BIT, VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT},
	};
	if (!image->shared || info->tiling != VK_IMAGE_TILING_LINEAR) {
		return;
	}
	if (!image->expected && twin_is_needed(external_physical(call), info)) {
		image->drawn = info->usage;
	}
	info->usage = external_linear_usage(external_physical(call), info->usage);
	VkFormatFeatureFlags features = external_linear_features(call, info->format);
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		info->usage |= features & usual[i].feature ? usual[i].usage : 0;
	}
}

/* Turns the guest's request into the driver's. */
static VkResult external_adapt_image(struct venus_call *call, VkImageCreateInfo *info,
				     struct external_image *image)
{
	const VkExternalMemoryImageCreateInfo *external =
		chain_unlink(info, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO);
	*image = (struct external_image){.shared = external && external->handleTypes};
	if (info->tiling != VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT) {
		external_settle_usage(call, info, image);
		return VK_SUCCESS;
	}
	const VkImageDrmFormatModifierExplicitCreateInfoEXT *import = venus_call_hidden(
		call, VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_EXPLICIT_CREATE_INFO_EXT);
	const VkImageDrmFormatModifierListCreateInfoEXT *list = venus_call_hidden(
		call, VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_LIST_CREATE_INFO_EXT);
	bool linear = import && import->drmFormatModifier == EXTERNAL_LINEAR &&
		      import->drmFormatModifierPlaneCount == 1 && import->pPlaneLayouts;
	for (uint32_t i = 0; list && list->pDrmFormatModifiers && i < list->drmFormatModifierCount;
	     i++) {
		linear |= list->pDrmFormatModifiers[i] == EXTERNAL_LINEAR;
	}
	if (!linear || !external_has_one_plane(info->format)) {
		return VK_ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT;
	}
	info->tiling = VK_IMAGE_TILING_LINEAR;
	image->shared = true;
	image->expected = import ? import->pPlaneLayouts : NULL;
	external_settle_usage(call, info, image);
	return VK_SUCCESS;
}

/* True if the driver lays plane @aspect out as its importer said.  Where there is one row or layer
 * its pitch says nothing. */
static bool external_plane_fits(struct venus_call *call, VkImage handle,
				const VkImageCreateInfo *info, VkImageAspectFlags aspect,
				const VkSubresourceLayout *expected)
{
	PFN_vkGetImageSubresourceLayout ask = (PFN_vkGetImageSubresourceLayout)venus_driver_fn(
		call->dispatch, call->object, VENUS_vkGetImageSubresourceLayout);
	const VkImageSubresource first = {.aspectMask = aspect};
	VkSubresourceLayout layout = {0};
	ask((VkDevice)(uintptr_t)call->object->handle, handle, &first, &layout);
	return layout.offset == expected->offset &&
	       (layout.rowPitch == expected->rowPitch || info->extent.height == 1) &&
	       (layout.arrayPitch == expected->arrayPitch || info->arrayLayers == 1);
}

static bool external_layout_fits(struct venus_call *call, VkImage handle,
				 const VkImageCreateInfo *info, const struct external_image *image)
{
	if (image->expected && !image->planes) {
		return external_plane_fits(call, handle, info, VK_IMAGE_ASPECT_COLOR_BIT,
					   image->expected);
	}
	for (uint32_t i = 0; image->expected && i < image->planes; i++) {
		if (!external_plane_fits(call, handle, info,
					 VK_IMAGE_ASPECT_MEMORY_PLANE_0_BIT_EXT << i,
					 &image->expected[i])) {
			return false;
		}
	}
	return true;
}

/* What the driver is told as it is.  Drivers need not compare layouts: we do. */
static VkResult external_see_image(const VkImageCreateInfo *info, struct external_image *image)
{
	const VkExternalMemoryImageCreateInfo *external =
		chain_find(info, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO);
	const VkImageDrmFormatModifierExplicitCreateInfoEXT *import = chain_find(
		info, VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_EXPLICIT_CREATE_INFO_EXT);
	*image = (struct external_image){.shared = external && external->handleTypes};
	if (import && import->pPlaneLayouts) {
		image->planes = import->drmFormatModifierPlaneCount;
		image->expected = import->pPlaneLayouts;
	}
	return image->planes <= EXTERNAL_MAX_PLANES
		       ? VK_SUCCESS
		       : VK_ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT;
}

/* The new image's object knows where it may lie.  0, or -EPROTO without an image. */
static int external_mark_image(struct venus_call *call, bool shared, struct twin *twin)
{
	const struct vkCreateImage_args *args = call->args;
	struct venus_object *object = venus_call_register(call, 0);
	if (object) {
		object->data = twin ? (void *)twin : shared ? &external_mark : &external_apart;
	} else if (twin) {
		twin_destroy(call, twin, *args->pImage);
	}
	return object ? 0 : -EPROTO;
}

int external_create_image(struct venus_call *call)
{
	struct vkCreateImage_args *args = call->args;
	VkImageCreateInfo *info = (VkImageCreateInfo *)args->pCreateInfo;
	struct external_image image;
	struct twin *twin = NULL;
	int status = 0;
	if (!info || !args->pImage || !external_physical(call)) {
		return venus_call_driver(call);
	}
	args->ret = external_is_ours(call) ? external_adapt_image(call, info, &image)
					   : external_see_image(info, &image);
	if (args->ret != VK_SUCCESS) {
		return 0;
	}
	backing_name_image(call, info);
	if (image.drawn) {
		args->ret = twin_create(call, info, image.drawn, args->pImage, &twin);
	} else {
		status = venus_call_driver(call);
	}
	if (status || args->ret != VK_SUCCESS) {
		return status;
	}
	if (!external_layout_fits(call, *args->pImage, info, &image)) {
		((PFN_vkDestroyImage)venus_driver_fn(call->dispatch, call->object,
						     VENUS_vkDestroyImage))(
			(VkDevice)(uintptr_t)call->object->handle, *args->pImage, NULL);
		args->ret = VK_ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT;
		return 0;
	}
	return image.shared || backing_keeps_apart(call, info)
		       ? external_mark_image(call, image.shared, twin)
		       : 0;
}

/* True if the buffer is shared; a driver whose sharing is emulated does not hear of it. */
static bool external_adapt_buffer(struct venus_call *call, VkBufferCreateInfo *info)
{
	const VkStructureType type = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO;
	const VkExternalMemoryBufferCreateInfo *external =
		external_is_ours(call) ? chain_unlink(info, type) : chain_find(info, type);
	bool shared = external && external->handleTypes;
	backing_name_buffer(call, info);
	return shared;
}

int external_create_buffer(struct venus_call *call)
{
	struct vkCreateBuffer_args *args = call->args;
	VkBufferCreateInfo *info = (VkBufferCreateInfo *)args->pCreateInfo;
	bool shared = info && external_adapt_buffer(call, info);
	int status = venus_call_driver(call);
	if (!status && shared && args->ret == VK_SUCCESS) {
		struct venus_object *object = venus_call_register(call, 0);
		if (!object) {
			return -EPROTO;
		}
		object->data = &external_mark;
	}
	return status;
}

int external_get_image_modifier(struct venus_call *call)
{
	struct vkGetImageDrmFormatModifierPropertiesEXT_args *args = call->args;
	if (!args->pProperties || !external_is_ours(call)) {
		return venus_call_driver(call);
	}
	args->pProperties->drmFormatModifier = EXTERNAL_LINEAR;
	args->ret = VK_SUCCESS;
	return 0;
}

/* --- memory that fits --- */

/* What is shared lies in memory that we can map. */
static void external_limit_types(const struct venus_call *call, VkMemoryRequirements2 *requirements)
{
	if (requirements) {
		uint32_t *types = &requirements->memoryRequirements.memoryTypeBits;
		*types = physical_shared_types(external_physical(call), *types);
	}
}

int external_get_image_requirements(struct venus_call *call)
{
	struct vkGetImageMemoryRequirements2_args *args = call->args;
	VkImageMemoryRequirementsInfo2 *info = (VkImageMemoryRequirementsInfo2 *)args->pInfo;
	const struct venus_object *image = info ? venus_call_object_at(call, &info->image) : NULL;
	bool shared = image && image->data && image->data != &external_apart;
	if (shared) {
		info->image = twin_shared_image(image, info->image);
	}
	int status = venus_call_driver(call);
	if (!status && shared) {
		external_limit_types(call, args->pMemoryRequirements);
	} else if (!status && image && image->data) {
		backing_limit_types(call, args->pMemoryRequirements);
	}
	return status;
}

int external_get_buffer_requirements(struct venus_call *call)
{
	struct vkGetBufferMemoryRequirements2_args *args = call->args;
	const struct venus_object *buffer =
		args->pInfo ? venus_call_object_at(call, &args->pInfo->buffer) : NULL;
	int status = venus_call_driver(call);
	if (!status && external_is_marked(buffer)) {
		external_limit_types(call, args->pMemoryRequirements);
	}
	return status;
}

/* Of an image that is not made, what its creation would tell the driver. */
static void external_ask_image(struct venus_call *call, const VkImageCreateInfo *wanted,
			       struct external_image *image)
{
	VkImageCreateInfo *info = (VkImageCreateInfo *)wanted;
	if (!external_is_ours(call)) {
		(void)external_see_image(info, image);
	} else if (external_adapt_image(call, info, image) != VK_SUCCESS) {
		/* It needs what a linear one would need: its creation fails. */
		info->tiling = VK_IMAGE_TILING_LINEAR;
	}
	backing_name_image(call, info);
}

int external_get_device_image_requirements(struct venus_call *call)
{
	struct vkGetDeviceImageMemoryRequirements_args *args = call->args;
	struct external_image image = {0};
	const VkImageCreateInfo *wanted = args->pInfo ? args->pInfo->pCreateInfo : NULL;
	if (wanted) {
		external_ask_image(call, wanted, &image);
	}
	int status = venus_call_driver(call);
	if (!status && image.shared) {
		external_limit_types(call, args->pMemoryRequirements);
	} else if (!status && wanted && backing_keeps_apart(call, wanted)) {
		backing_limit_types(call, args->pMemoryRequirements);
	}
	return status;
}

int external_get_device_buffer_requirements(struct venus_call *call)
{
	struct vkGetDeviceBufferMemoryRequirements_args *args = call->args;
	VkBufferCreateInfo *info =
		args->pInfo ? (VkBufferCreateInfo *)args->pInfo->pCreateInfo : NULL;
	bool shared = info && external_adapt_buffer(call, info);
	int status = venus_call_driver(call);
	if (!status && shared) {
		external_limit_types(call, args->pMemoryRequirements);
	}
	return status;
}

int external_get_device_sparse_requirements(struct venus_call *call)
{
	struct vkGetDeviceImageSparseMemoryRequirements_args *args = call->args;
	struct external_image image;
	if (args->pInfo && args->pInfo->pCreateInfo) {
		external_ask_image(call, args->pInfo->pCreateInfo, &image);
	}
	return venus_call_driver(call);
}

/* --- layouts: the one memory plane is the colour aspect --- */

static void external_name_plane(const struct venus_call *call, VkImageSubresource *subresource)
{
	if (subresource->aspectMask == VK_IMAGE_ASPECT_MEMORY_PLANE_0_BIT_EXT &&
	    external_is_ours(call)) {
		subresource->aspectMask = VK_IMAGE_ASPECT_COLOR_BIT;
	}
}

int external_get_subresource_layout(struct venus_call *call)
{
	struct vkGetImageSubresourceLayout_args *args = call->args;
	VkImageSubresource subresource;
	args->image = twin_shared_image(args->image_obj, args->image);
	if (args->pSubresource) {
		subresource = *args->pSubresource;
		external_name_plane(call, &subresource);
		args->pSubresource = &subresource;
	}
	return venus_call_driver(call);
}

#ifdef VK_KHR_maintenance5
int external_get_subresource_layout2(struct venus_call *call)
{
	struct vkGetImageSubresourceLayout2KHR_args *args = call->args;
	args->image = twin_shared_image(args->image_obj, args->image);
	if (args->pSubresource) {
		external_name_plane(call,
				    (VkImageSubresource *)&args->pSubresource->imageSubresource);
	}
	return venus_call_driver(call);
}

int external_get_device_subresource_layout(struct venus_call *call)
{
	struct vkGetDeviceImageSubresourceLayoutKHR_args *args = call->args;
	struct external_image image;
	if (args->pInfo && args->pInfo->pCreateInfo) {
		external_ask_image(call, args->pInfo->pCreateInfo, &image);
	}
	if (args->pInfo && args->pInfo->pSubresource) {
		external_name_plane(
			call, (VkImageSubresource *)&args->pInfo->pSubresource->imageSubresource);
	}
	return venus_call_driver(call);
}
#endif
