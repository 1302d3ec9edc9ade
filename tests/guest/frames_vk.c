/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frames_vk.c - keeps the frames of a program that presents by Vulkan and is linked with its loader
 *
 * Vulkan 1.3, 34.10.
 * Threads: one device, one swapchain at a time, one thread that presents on the first queue family.
 */
#include "frames.h"

#include <vulkan/vulkan.h>

enum { VK_IMAGES_MOST = 16, VK_WAITS_MOST = 8 };

static struct {
	VkPhysicalDevice physical;
	VkDevice device;
	uint32_t family;
	VkSwapchainCreateInfoKHR info;
	VkImage images[VK_IMAGES_MOST];
} presenting;

VkResult vkCreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
			const VkAllocationCallbacks *allocator, VkDevice *device)
{
	VkResult result = ((PFN_vkCreateDevice)frames_real("vkCreateDevice"))(physical, info,
									      allocator, device);
	if (result == VK_SUCCESS) {
		presenting.physical = physical;
		presenting.device = *device;
		presenting.family = info->pQueueCreateInfos[0].queueFamilyIndex;
	}
	return result;
}

VkResult vkCreateSwapchainKHR(VkDevice device, const VkSwapchainCreateInfoKHR *info,
			      const VkAllocationCallbacks *allocator, VkSwapchainKHR *chain)
{
	presenting.info = *info;
	presenting.info.imageUsage |= VK_IMAGE_USAGE_TRANSFER_SRC_BIT;
	VkResult result = ((PFN_vkCreateSwapchainKHR)frames_real("vkCreateSwapchainKHR"))(
		device, &presenting.info, allocator, chain);
	uint32_t count = VK_IMAGES_MOST;
	if (result == VK_SUCCESS &&
	    vkGetSwapchainImagesKHR(device, *chain, &count, presenting.images)) {
		frames_die("there are too many images");
	}
	return result;
}

/* A buffer that can be mapped; never freed, like all that one kept frame needs. */
static VkBuffer present_buffer(VkDeviceSize size, void **mapped)
{
	VkBufferCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = size,
				   .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT};
	const VkMemoryPropertyFlags want =
		VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
	VkBuffer buffer;
	VkDeviceMemory memory;
	VkMemoryRequirements needs;
	VkPhysicalDeviceMemoryProperties types;
	vkCreateBuffer(presenting.device, &info, NULL, &buffer);
	vkGetBufferMemoryRequirements(presenting.device, buffer, &needs);
	vkGetPhysicalDeviceMemoryProperties(presenting.physical, &types);
	uint32_t type = 0;
	while (!(needs.memoryTypeBits >> type & 1) ||
	       (types.memoryTypes[type].propertyFlags & want) != want) {
		type++;
	}
	VkMemoryAllocateInfo allocate = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
					 .allocationSize = needs.size, .memoryTypeIndex = type};
	if (vkAllocateMemory(presenting.device, &allocate, NULL, &memory) ||
	    vkBindBufferMemory(presenting.device, buffer, memory, 0) ||
	    vkMapMemory(presenting.device, memory, 0, VK_WHOLE_SIZE, 0, mapped)) {
		frames_die("no memory for a frame");
	}
	return buffer;
}

static void present_barrier(VkCommandBuffer commands, VkImage image, VkImageLayout from,
			    VkImageLayout to)
{
	VkImageMemoryBarrier barrier = {
		VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT,
		.oldLayout = from,
		.newLayout = to,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.image = image,
		.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1}};
	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
			     VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
}

/* Copies the image once @present's semaphores are signalled, which takes them away from it. */
static void present_keep(VkQueue queue, VkPresentInfoKHR *present)
{
	if (present->waitSemaphoreCount > VK_WAITS_MOST) {
		frames_die("a frame waits for too much");
	}
	VkExtent2D size = presenting.info.imageExtent;
	VkImage image = presenting.images[present->pImageIndices[0]];
	void *mapped;
	VkBuffer buffer = present_buffer((VkDeviceSize)size.width * size.height * 4, &mapped);
	VkCommandPoolCreateInfo pool_info = {VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
					     .queueFamilyIndex = presenting.family};
	VkCommandPool pool;
	VkCommandBuffer commands;
	vkCreateCommandPool(presenting.device, &pool_info, NULL, &pool);
	VkCommandBufferAllocateInfo allocate = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
						.commandPool = pool, .commandBufferCount = 1};
	vkAllocateCommandBuffers(presenting.device, &allocate, &commands);
	VkCommandBufferBeginInfo begin = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
	vkBeginCommandBuffer(commands, &begin);
	present_barrier(commands, image, VK_IMAGE_LAYOUT_PRESENT_SRC_KHR,
			VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
	VkBufferImageCopy all = {.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
				 .imageExtent = {size.width, size.height, 1}};
	vkCmdCopyImageToBuffer(commands, image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, buffer, 1,
			       &all);
	present_barrier(commands, image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
			VK_IMAGE_LAYOUT_PRESENT_SRC_KHR);
	vkEndCommandBuffer(commands);
	VkPipelineStageFlags stages[VK_WAITS_MOST];
	for (uint32_t i = 0; i < present->waitSemaphoreCount; i++) {
		stages[i] = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	}
	VkSubmitInfo submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO,
			       NULL,
			       present->waitSemaphoreCount,
			       present->pWaitSemaphores,
			       stages,
			       1,
			       &commands};
	if (vkQueueSubmit(queue, 1, &submit, VK_NULL_HANDLE) || vkQueueWaitIdle(queue)) {
		frames_die("a frame can not be copied");
	}
	present->waitSemaphoreCount = 0;
	bool blue_first = presenting.info.imageFormat == VK_FORMAT_B8G8R8A8_UNORM ||
			  presenting.info.imageFormat == VK_FORMAT_B8G8R8A8_SRGB;
	if (!blue_first && presenting.info.imageFormat != VK_FORMAT_R8G8B8A8_UNORM &&
	    presenting.info.imageFormat != VK_FORMAT_R8G8B8A8_SRGB) {
		frames_die("the frame's format is not known");
	}
	frames_write(mapped, (ptrdiff_t)size.width * 4, size.width, size.height,
		     blue_first ? 2 : 0);
}

VkResult vkQueuePresentKHR(VkQueue queue, const VkPresentInfoKHR *info)
{
	VkPresentInfoKHR present = *info;
	if (frames_wanted()) {
		present_keep(queue, &present);
	}
	VkResult result =
		((PFN_vkQueuePresentKHR)frames_real("vkQueuePresentKHR"))(queue, &present);
	frames_next();
	return result;
}
