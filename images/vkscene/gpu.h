/* SPDX-License-Identifier: Apache-2.0 */
/* gpu.h - the Vulkan device, buffers, images and pipelines of vkscene; any failure ends the program with one line */
#ifndef VKSCENE_GPU_H
#define VKSCENE_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vulkan/vulkan.h>

enum { GPU_FRAMES = 2 }; /* frames in flight */

struct gpu {
	VkInstance instance;
	VkPhysicalDevice physical;
	VkPhysicalDeviceProperties properties;
	char driver[VK_MAX_DRIVER_NAME_SIZE];
	char driver_info[VK_MAX_DRIVER_INFO_SIZE];
	uint32_t family, timestamp_bits;
	VkDevice device;
	VkQueue queue;
	VkCommandPool pool;
};

struct gpu_buffer {
	VkBuffer buffer;
	VkDeviceMemory memory;
	void *mapped; /* NULL unless asked for */
	VkDeviceSize size;
};

struct gpu_image {
	VkImage image;
	VkDeviceMemory memory;
	VkImageView view;
	uint32_t levels;
};

#define GPU_CHECK(call) gpu_check((call), #call)
void gpu_check(VkResult result, const char *what);
_Noreturn void gpu_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Open device number @index of the loader's list, Vulkan 1.3 with dynamic rendering and synchronization2. */
void gpu_open(struct gpu *gpu, unsigned index);
/* The same with @count device extensions and, unless NULL, more features: structs of Vulkan, linked. */
void gpu_open_with(struct gpu *gpu, unsigned index, const char *const *extensions, uint32_t count, void *features);
void gpu_close(struct gpu *gpu);

/* @mapped: host visible and coherent, mapped for its whole life; else device local. */
struct gpu_buffer gpu_buffer_create(struct gpu *gpu, VkDeviceSize size, VkBufferUsageFlags usage, bool mapped);
void gpu_buffer_destroy(struct gpu *gpu, struct gpu_buffer *buffer);

struct gpu_image gpu_image_create(struct gpu *gpu, VkFormat format, uint32_t width, uint32_t height, uint32_t levels,
				  VkImageUsageFlags usage);
/* RGBA8 texture with all mip levels, uploaded through a staging buffer, in SHADER_READ_ONLY layout. */
struct gpu_image gpu_texture_create(struct gpu *gpu, const uint32_t *texels, uint32_t size);
void gpu_image_destroy(struct gpu *gpu, struct gpu_image *image);
/* Fill a device-local buffer through a staging buffer. */
void gpu_upload(struct gpu *gpu, struct gpu_buffer *to, const void *data, VkDeviceSize size);

VkShaderModule gpu_shader(struct gpu *gpu, const uint32_t *code, size_t bytes);

void gpu_image_barrier(VkCommandBuffer cmd, VkImage image, VkImageAspectFlags aspect, uint32_t level, uint32_t levels,
		       VkImageLayout from, VkImageLayout to, VkPipelineStageFlags2 src_stage, VkAccessFlags2 src,
		       VkPipelineStageFlags2 dst_stage, VkAccessFlags2 dst);
void gpu_memory_barrier(VkCommandBuffer cmd, VkPipelineStageFlags2 src_stage, VkAccessFlags2 src,
			VkPipelineStageFlags2 dst_stage, VkAccessFlags2 dst);
VkCommandBuffer gpu_begin_once(struct gpu *gpu);
void gpu_end_once(struct gpu *gpu, VkCommandBuffer cmd);

#endif
