/* SPDX-License-Identifier: Apache-2.0 */
/* gpu.c - the Vulkan device, buffers, images and pipelines of vkscene */
#include "gpu.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gpu_die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("vkscene: error: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

void gpu_check(VkResult result, const char *what)
{
	if (result != VK_SUCCESS) {
		gpu_die("%.*s failed with VkResult %d", (int)strcspn(what, "("), what, result);
	}
}

static void gpu_pick_family(struct gpu *gpu)
{
	uint32_t count = 16;
	VkQueueFamilyProperties families[16];
	vkGetPhysicalDeviceQueueFamilyProperties(gpu->physical, &count, families);
	VkQueueFlags wanted = VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT;
	for (uint32_t i = 0; i < count; i++) {
		if ((families[i].queueFlags & wanted) == wanted) {
			gpu->family = i;
			gpu->timestamp_bits = families[i].timestampValidBits;
			return;
		}
	}
	gpu_die("%s has no queue family with graphics and compute", gpu->properties.deviceName);
}

static void gpu_pick_device(struct gpu *gpu, unsigned index)
{
	VkPhysicalDevice devices[16];
	uint32_t count = 16;
	vkEnumeratePhysicalDevices(gpu->instance, &count, devices);
	if (index >= count) {
		gpu_die("no Vulkan device number %u (there are %u)", index, count);
	}
	gpu->physical = devices[index];
	VkPhysicalDeviceDriverProperties driver = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
	VkPhysicalDeviceProperties2 properties = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &driver};
	vkGetPhysicalDeviceProperties2(gpu->physical, &properties);
	gpu->properties = properties.properties;
	memcpy(gpu->driver, driver.driverName, sizeof(gpu->driver));
	memcpy(gpu->driver_info, driver.driverInfo, sizeof(gpu->driver_info));
	if (gpu->properties.apiVersion < VK_API_VERSION_1_3) {
		gpu_die("%s offers only Vulkan %u.%u, 1.3 is needed", gpu->properties.deviceName,
			VK_API_VERSION_MAJOR(gpu->properties.apiVersion),
			VK_API_VERSION_MINOR(gpu->properties.apiVersion));
	}
}

void gpu_open(struct gpu *gpu, unsigned index)
{
	gpu_open_with(gpu, index, NULL, 0, NULL);
}

void gpu_open_with(struct gpu *gpu, unsigned index, const char *const *extensions, uint32_t count, void *features)
{
	VkApplicationInfo app = {VK_STRUCTURE_TYPE_APPLICATION_INFO, .pApplicationName = "vkscene",
				 .apiVersion = VK_API_VERSION_1_3};
	VkInstanceCreateInfo instance = {VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app};
	GPU_CHECK(vkCreateInstance(&instance, NULL, &gpu->instance));
	gpu_pick_device(gpu, index);
	gpu_pick_family(gpu);
	float priority = 1.0f;
	VkDeviceQueueCreateInfo queue = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
					 .queueFamilyIndex = gpu->family,
					 .queueCount = 1,
					 .pQueuePriorities = &priority};
	VkPhysicalDeviceVulkan13Features all = {
		VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES, features,
		.synchronization2 = VK_TRUE, .dynamicRendering = VK_TRUE};
	VkDeviceCreateInfo device = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, &all,
				     .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue,
				     .enabledExtensionCount = count, .ppEnabledExtensionNames = extensions};
	GPU_CHECK(vkCreateDevice(gpu->physical, &device, NULL, &gpu->device));
	vkGetDeviceQueue(gpu->device, gpu->family, 0, &gpu->queue);
	VkCommandPoolCreateInfo pool = {VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
					.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
					.queueFamilyIndex = gpu->family};
	GPU_CHECK(vkCreateCommandPool(gpu->device, &pool, NULL, &gpu->pool));
}

void gpu_close(struct gpu *gpu)
{
	vkDestroyCommandPool(gpu->device, gpu->pool, NULL);
	vkDestroyDevice(gpu->device, NULL);
	vkDestroyInstance(gpu->instance, NULL);
}

static VkDeviceMemory gpu_allocate(struct gpu *gpu, const VkMemoryRequirements *need, VkMemoryPropertyFlags want)
{
	VkPhysicalDeviceMemoryProperties memory;
	vkGetPhysicalDeviceMemoryProperties(gpu->physical, &memory);
	for (uint32_t i = 0; i < memory.memoryTypeCount; i++) {
		if ((need->memoryTypeBits >> i & 1) && (memory.memoryTypes[i].propertyFlags & want) == want) {
			VkMemoryAllocateInfo info = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
						     .allocationSize = need->size, .memoryTypeIndex = i};
			VkDeviceMemory out;
			GPU_CHECK(vkAllocateMemory(gpu->device, &info, NULL, &out));
			return out;
		}
	}
	gpu_die("no memory type with properties 0x%x", want);
}

struct gpu_buffer gpu_buffer_create(struct gpu *gpu, VkDeviceSize size, VkBufferUsageFlags usage, bool mapped)
{
	struct gpu_buffer out = {.size = size};
	VkBufferCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = size, .usage = usage};
	GPU_CHECK(vkCreateBuffer(gpu->device, &info, NULL, &out.buffer));
	VkMemoryRequirements need;
	vkGetBufferMemoryRequirements(gpu->device, out.buffer, &need);
	out.memory = gpu_allocate(gpu, &need,
				  mapped ? VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
						   VK_MEMORY_PROPERTY_HOST_COHERENT_BIT
					 : VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
	GPU_CHECK(vkBindBufferMemory(gpu->device, out.buffer, out.memory, 0));
	if (mapped) {
		GPU_CHECK(vkMapMemory(gpu->device, out.memory, 0, VK_WHOLE_SIZE, 0, &out.mapped));
	}
	return out;
}

void gpu_buffer_destroy(struct gpu *gpu, struct gpu_buffer *buffer)
{
	vkDestroyBuffer(gpu->device, buffer->buffer, NULL);
	vkFreeMemory(gpu->device, buffer->memory, NULL);
}

struct gpu_image gpu_image_create(struct gpu *gpu, VkFormat format, uint32_t width, uint32_t height, uint32_t levels,
				  VkImageUsageFlags usage)
{
	struct gpu_image out = {.levels = levels};
	VkImageCreateInfo info = {VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO, .imageType = VK_IMAGE_TYPE_2D,
				  .format = format, .extent = {width, height, 1}, .mipLevels = levels,
				  .arrayLayers = 1, .samples = VK_SAMPLE_COUNT_1_BIT, .usage = usage};
	GPU_CHECK(vkCreateImage(gpu->device, &info, NULL, &out.image));
	VkMemoryRequirements need;
	vkGetImageMemoryRequirements(gpu->device, out.image, &need);
	out.memory = gpu_allocate(gpu, &need, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
	GPU_CHECK(vkBindImageMemory(gpu->device, out.image, out.memory, 0));
	VkImageAspectFlags aspect = usage & VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT ? VK_IMAGE_ASPECT_DEPTH_BIT
											: VK_IMAGE_ASPECT_COLOR_BIT;
	VkImageViewCreateInfo view = {VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO, .image = out.image,
				      .viewType = VK_IMAGE_VIEW_TYPE_2D, .format = format,
				      .subresourceRange = {aspect, 0, levels, 0, 1}};
	GPU_CHECK(vkCreateImageView(gpu->device, &view, NULL, &out.view));
	return out;
}

void gpu_image_destroy(struct gpu *gpu, struct gpu_image *image)
{
	vkDestroyImageView(gpu->device, image->view, NULL);
	vkDestroyImage(gpu->device, image->image, NULL);
	vkFreeMemory(gpu->device, image->memory, NULL);
}

VkCommandBuffer gpu_begin_once(struct gpu *gpu)
{
	VkCommandBufferAllocateInfo allocate = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
						.commandPool = gpu->pool, .commandBufferCount = 1};
	VkCommandBufferBeginInfo begin = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
					  .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
	VkCommandBuffer cmd;
	GPU_CHECK(vkAllocateCommandBuffers(gpu->device, &allocate, &cmd));
	GPU_CHECK(vkBeginCommandBuffer(cmd, &begin));
	return cmd;
}

void gpu_end_once(struct gpu *gpu, VkCommandBuffer cmd)
{
	GPU_CHECK(vkEndCommandBuffer(cmd));
	VkCommandBufferSubmitInfo info = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO, .commandBuffer = cmd};
	VkSubmitInfo2 submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO_2, .commandBufferInfoCount = 1,
				.pCommandBufferInfos = &info};
	GPU_CHECK(vkQueueSubmit2(gpu->queue, 1, &submit, VK_NULL_HANDLE));
	GPU_CHECK(vkQueueWaitIdle(gpu->queue));
	vkFreeCommandBuffers(gpu->device, gpu->pool, 1, &cmd);
}

void gpu_upload(struct gpu *gpu, struct gpu_buffer *to, const void *data, VkDeviceSize size)
{
	struct gpu_buffer staging = gpu_buffer_create(gpu, size, VK_BUFFER_USAGE_TRANSFER_SRC_BIT, true);
	memcpy(staging.mapped, data, size);
	VkCommandBuffer cmd = gpu_begin_once(gpu);
	vkCmdCopyBuffer(cmd, staging.buffer, to->buffer, 1, &(VkBufferCopy){.size = size});
	gpu_end_once(gpu, cmd);
	gpu_buffer_destroy(gpu, &staging);
}

void gpu_image_barrier(VkCommandBuffer cmd, VkImage image, VkImageAspectFlags aspect, uint32_t level, uint32_t levels,
		       VkImageLayout from, VkImageLayout to, VkPipelineStageFlags2 src_stage, VkAccessFlags2 src,
		       VkPipelineStageFlags2 dst_stage, VkAccessFlags2 dst)
{
	VkImageMemoryBarrier2 barrier = {
		VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER_2, NULL, src_stage, src, dst_stage, dst, from, to,
		VK_QUEUE_FAMILY_IGNORED, VK_QUEUE_FAMILY_IGNORED, image, {aspect, level, levels, 0, 1}};
	VkDependencyInfo dependency = {VK_STRUCTURE_TYPE_DEPENDENCY_INFO, .imageMemoryBarrierCount = 1,
				       .pImageMemoryBarriers = &barrier};
	vkCmdPipelineBarrier2(cmd, &dependency);
}

void gpu_memory_barrier(VkCommandBuffer cmd, VkPipelineStageFlags2 src_stage, VkAccessFlags2 src,
			VkPipelineStageFlags2 dst_stage, VkAccessFlags2 dst)
{
	VkMemoryBarrier2 barrier = {VK_STRUCTURE_TYPE_MEMORY_BARRIER_2, NULL, src_stage, src, dst_stage, dst};
	VkDependencyInfo dependency = {VK_STRUCTURE_TYPE_DEPENDENCY_INFO, .memoryBarrierCount = 1,
				       .pMemoryBarriers = &barrier};
	vkCmdPipelineBarrier2(cmd, &dependency);
}

/* Blit each level from the one above; all levels end in SHADER_READ_ONLY. */
static void gpu_make_mips(VkCommandBuffer cmd, struct gpu_image *image, int32_t size)
{
	const VkPipelineStageFlags2 copy = VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT;
	const VkPipelineStageFlags2 read = VK_PIPELINE_STAGE_2_FRAGMENT_SHADER_BIT;
	for (uint32_t level = 0; level < image->levels; level++, size /= 2) {
		if (level) {
			VkImageBlit blit = {
				.srcSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, level - 1, 0, 1},
				.srcOffsets = {{0}, {size * 2, size * 2, 1}},
				.dstSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, level, 0, 1},
				.dstOffsets = {{0}, {size, size, 1}},
			};
			vkCmdBlitImage(cmd, image->image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, image->image,
				       VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &blit, VK_FILTER_LINEAR);
		}
		gpu_image_barrier(cmd, image->image, VK_IMAGE_ASPECT_COLOR_BIT, level, 1,
				  VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, copy,
				  VK_ACCESS_2_TRANSFER_WRITE_BIT, copy, VK_ACCESS_2_TRANSFER_READ_BIT);
	}
	gpu_image_barrier(cmd, image->image, VK_IMAGE_ASPECT_COLOR_BIT, 0, image->levels,
			  VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL, copy,
			  VK_ACCESS_2_TRANSFER_READ_BIT, read, VK_ACCESS_2_SHADER_SAMPLED_READ_BIT);
}

struct gpu_image gpu_texture_create(struct gpu *gpu, const uint32_t *texels, uint32_t size)
{
	uint32_t levels = 1;
	while (size >> levels) {
		levels++;
	}
	struct gpu_image image = gpu_image_create(gpu, VK_FORMAT_R8G8B8A8_UNORM, size, size, levels,
						  VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT |
							  VK_IMAGE_USAGE_TRANSFER_SRC_BIT);
	VkDeviceSize bytes = (VkDeviceSize)size * size * 4;
	struct gpu_buffer staging = gpu_buffer_create(gpu, bytes, VK_BUFFER_USAGE_TRANSFER_SRC_BIT, true);
	memcpy(staging.mapped, texels, bytes);
	VkCommandBuffer cmd = gpu_begin_once(gpu);
	gpu_image_barrier(cmd, image.image, VK_IMAGE_ASPECT_COLOR_BIT, 0, levels, VK_IMAGE_LAYOUT_UNDEFINED,
			  VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, VK_PIPELINE_STAGE_2_NONE, VK_ACCESS_2_NONE,
			  VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT, VK_ACCESS_2_TRANSFER_WRITE_BIT);
	VkBufferImageCopy copy = {.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
				  .imageExtent = {size, size, 1}};
	vkCmdCopyBufferToImage(cmd, staging.buffer, image.image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &copy);
	gpu_make_mips(cmd, &image, (int32_t)size);
	gpu_end_once(gpu, cmd);
	gpu_buffer_destroy(gpu, &staging);
	return image;
}

VkShaderModule gpu_shader(struct gpu *gpu, const uint32_t *code, size_t bytes)
{
	VkShaderModuleCreateInfo info = {VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = bytes,
					 .pCode = code};
	VkShaderModule module;
	GPU_CHECK(vkCreateShaderModule(gpu->device, &info, NULL, &module));
	return module;
}
