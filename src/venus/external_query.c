/* SPDX-License-Identifier: Apache-2.0 */
/*
 * external_query.c - what guests are told can be shared: formats with modifiers, images, buffers
 *
 * Only where sharing is emulated, see external.c: else the driver is asked.
 * Threads: the lane's.
 */
#include "venus/external.h"

#include "venus/chain.h"
#include "venus/context.h"
#include "venus/physical.h"
#include "venus_args.h"

static void external_fill_memory(VkExternalMemoryProperties *properties, bool possible)
{
	*properties = (VkExternalMemoryProperties){0};
	if (possible) {
		properties->externalMemoryFeatures = VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT |
						     VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT;
		properties->exportFromImportedHandleTypes =
			VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT;
		properties->compatibleHandleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT;
	}
}

/* The entry of the linear modifier into both kinds of lists. */
static void external_fill_modifiers(struct venus_call *call, VkFormat format,
				    VkFormatFeatureFlags features)
{
	VkDrmFormatModifierPropertiesListEXT *list =
		venus_call_hidden(call, VK_STRUCTURE_TYPE_DRM_FORMAT_MODIFIER_PROPERTIES_LIST_EXT);
	VkDrmFormatModifierPropertiesList2EXT *list2 = venus_call_hidden(
		call, VK_STRUCTURE_TYPE_DRM_FORMAT_MODIFIER_PROPERTIES_LIST_2_EXT);
	bool possible = features && external_has_one_plane(format);
	if (list && list->pDrmFormatModifierProperties && list->drmFormatModifierCount &&
	    possible) {
		list->pDrmFormatModifierProperties[0] = (VkDrmFormatModifierPropertiesEXT){
			.drmFormatModifier = EXTERNAL_LINEAR,
			.drmFormatModifierPlaneCount = 1,
			.drmFormatModifierTilingFeatures = features,
		};
	}
	if (list2 && list2->pDrmFormatModifierProperties && list2->drmFormatModifierCount &&
	    possible) {
		list2->pDrmFormatModifierProperties[0] = (VkDrmFormatModifierProperties2EXT){
			.drmFormatModifier = EXTERNAL_LINEAR,
			.drmFormatModifierPlaneCount = 1,
			.drmFormatModifierTilingFeatures = features,
		};
	}
	if (list && (!list->pDrmFormatModifierProperties || list->drmFormatModifierCount)) {
		list->drmFormatModifierCount = possible;
	}
	if (list2 && (!list2->pDrmFormatModifierProperties || list2->drmFormatModifierCount)) {
		list2->drmFormatModifierCount = possible;
	}
}

static void external_ask_format(const struct venus_call *call, VkFormat format,
				VkFormatProperties2 *properties)
{
	const struct venus_object *object = call->object;
	while (object->type != VK_OBJECT_TYPE_PHYSICAL_DEVICE) {
		object = object->parent;
	}
	((PFN_vkGetPhysicalDeviceFormatProperties2)venus_driver_fn(
		call->dispatch, object, VENUS_vkGetPhysicalDeviceFormatProperties2))(
		external_physical(call)->handle, format, properties);
}

/* Drivers may tell apart that linear images are drawn to. */
static VkFormatFeatureFlags external_linear_drawing(const struct venus_call *call, VkFormat format)
{
	VkFormatProperties3 more = {.sType = VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_3};
	VkFormatProperties2 properties = {.sType = VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_2,
					  .pNext = &more};
	if (external_physical(call)->draws_linear) {
		external_ask_format(call, format, &properties);
	}
	return more.linearTilingFeatures & VK_FORMAT_FEATURE_2_LINEAR_COLOR_ATTACHMENT_BIT_NV
		       ? VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BIT
		       : 0;
}

VkImageUsageFlags external_linear_usage(const struct physical *physical, VkImageUsageFlags usage)
{
	const VkImageUsageFlags while_drawn = VK_IMAGE_USAGE_INPUT_ATTACHMENT_BIT |
					      VK_IMAGE_USAGE_ATTACHMENT_FEEDBACK_LOOP_BIT_EXT;
	return physical->draws_linear ? usage & ~while_drawn : usage;
}

VkFormatFeatureFlags external_linear_features(const struct venus_call *call, VkFormat format)
{
	VkFormatProperties2 properties = {.sType = VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_2};
	external_ask_format(call, format, &properties);
	return properties.formatProperties.linearTilingFeatures |
	       external_linear_drawing(call, format);
}

int external_get_format_properties(struct venus_call *call)
{
	struct vkGetPhysicalDeviceFormatProperties2_args *args = call->args;
	int status = venus_call_driver(call);
	if (!status && external_is_ours(call) && args->pFormatProperties) {
		const VkFormatProperties *properties = &args->pFormatProperties->formatProperties;
		external_fill_modifiers(call, args->format,
					properties->linearTilingFeatures |
						external_linear_drawing(call, args->format));
	}
	return status;
}

int external_get_image_format_properties(struct venus_call *call)
{
	struct vkGetPhysicalDeviceImageFormatProperties2_args *args = call->args;
	VkPhysicalDeviceImageFormatInfo2 *info =
		(VkPhysicalDeviceImageFormatInfo2 *)args->pImageFormatInfo;
	if (!info || !args->pImageFormatProperties || !external_is_ours(call)) {
		return venus_call_driver(call);
	}
	const VkPhysicalDeviceExternalImageFormatInfo *external =
		chain_unlink(info, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO);
	const VkPhysicalDeviceImageDrmFormatModifierInfoEXT *modifier = venus_call_hidden(
		call, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_DRM_FORMAT_MODIFIER_INFO_EXT);
	bool shared = external && external->handleType;
	bool linear = info->tiling == VK_IMAGE_TILING_LINEAR;
	if (info->tiling == VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT) {
		linear = modifier && modifier->drmFormatModifier == EXTERNAL_LINEAR &&
			 external_has_one_plane(info->format);
		info->tiling = VK_IMAGE_TILING_LINEAR;
		if (!linear) {
			args->ret = VK_ERROR_FORMAT_NOT_SUPPORTED;
			return 0;
		}
	}
	if (shared &&
	    (external->handleType != VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT || !linear)) {
		args->ret = VK_ERROR_FORMAT_NOT_SUPPORTED;
		return 0;
	}
	if (shared || modifier) {
		info->usage = external_linear_usage(external_physical(call), info->usage);
	}
	int status = venus_call_driver(call);
	VkExternalImageFormatProperties *properties = chain_find(
		args->pImageFormatProperties, VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES);
	if (properties) {
		external_fill_memory(&properties->externalMemoryProperties, shared);
	}
	return status;
}

int external_get_buffer_properties(struct venus_call *call)
{
	struct vkGetPhysicalDeviceExternalBufferProperties_args *args = call->args;
	const VkPhysicalDeviceExternalBufferInfo *info = args->pExternalBufferInfo;
	if (!info || !args->pExternalBufferProperties || !external_is_ours(call)) {
		return venus_call_driver(call);
	}
	external_fill_memory(&args->pExternalBufferProperties->externalMemoryProperties,
			     info->handleType == VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT);
	return 0;
}
