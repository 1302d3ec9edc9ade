/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vkdisplay.c - a swapchain on a display without a window system (VK_KHR_display), filled with one
 * colour
 *
 *   vkdisplay /dev/dri/card0 RRGGBB
 *
 * Venus finds no display by itself: the program names it by its DRM connector
 * (VK_EXT_acquire_drm_display). Threads: one.
 */
#include <drm/drm.h>
#include <drm/drm_mode.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <vulkan/vulkan.h>

enum { DISPLAY_FRAMES = 5, DISPLAY_MOST = 8 };

static void check(long long result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "vkdisplay: error: %s: %lld\n", what, result);
		exit(1);
	}
}

/* The first connected connector of @card. */
static uint32_t connector_of(int card)
{
	uint32_t ids[DISPLAY_MOST];
	struct drm_mode_card_res all = {.connector_id_ptr = (uintptr_t)ids,
					.count_connectors = DISPLAY_MOST};
	check(ioctl(card, DRM_IOCTL_MODE_GETRESOURCES, &all), "connectors");
	for (uint32_t i = 0; i < all.count_connectors; i++) {
		struct drm_mode_get_connector one = {.connector_id = ids[i]};
		check(ioctl(card, DRM_IOCTL_MODE_GETCONNECTOR, &one), "connector");
		if (one.connection == 1) {
			return ids[i];
		}
	}
	check(-1, "nothing is connected");
	return 0;
}

static VkInstance make_instance(void)
{
	static const char *const names[] = {"VK_KHR_surface", "VK_KHR_display",
					    "VK_EXT_direct_mode_display",
					    "VK_EXT_acquire_drm_display"};
	VkInstanceCreateInfo info = {VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
				     .enabledExtensionCount = 4, .ppEnabledExtensionNames = names};
	VkInstance instance;
	check(vkCreateInstance(&info, NULL, &instance), "vkCreateInstance");
	return instance;
}

static VkDisplayKHR take_display(VkInstance instance, VkPhysicalDevice physical, int card)
{
	PFN_vkGetDrmDisplayEXT get =
		(PFN_vkGetDrmDisplayEXT)vkGetInstanceProcAddr(instance, "vkGetDrmDisplayEXT");
	PFN_vkAcquireDrmDisplayEXT acquire = (PFN_vkAcquireDrmDisplayEXT)vkGetInstanceProcAddr(
		instance, "vkAcquireDrmDisplayEXT");
	VkDisplayKHR display;
	check(get(physical, card, connector_of(card), &display), "vkGetDrmDisplayEXT");
	check(acquire(physical, card, display), "vkAcquireDrmDisplayEXT");
	return display;
}

static VkSurfaceKHR make_surface(VkInstance instance, VkPhysicalDevice physical,
				 VkDisplayKHR display, VkExtent2D *size)
{
	VkDisplayModePropertiesKHR modes[1];
	uint32_t count = 1;
	check(vkGetDisplayModePropertiesKHR(physical, display, &count, modes), "modes");
	check(count ? 0 : -1, "no mode");
	*size = modes[0].parameters.visibleRegion;
	VkDisplaySurfaceCreateInfoKHR info = {VK_STRUCTURE_TYPE_DISPLAY_SURFACE_CREATE_INFO_KHR,
					      .displayMode = modes[0].displayMode,
					      .transform = VK_SURFACE_TRANSFORM_IDENTITY_BIT_KHR,
					      .globalAlpha = 1.0f,
					      .alphaMode = VK_DISPLAY_PLANE_ALPHA_OPAQUE_BIT_KHR,
					      .imageExtent = *size};
	VkSurfaceKHR surface;
	check(vkCreateDisplayPlaneSurfaceKHR(instance, &info, NULL, &surface), "surface");
	return surface;
}

static VkDevice make_device(VkPhysicalDevice physical)
{
	static const char *const names[] = {"VK_KHR_swapchain"};
	float priority = 1.0f;
	VkDeviceQueueCreateInfo queue = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
					 .queueCount = 1, .pQueuePriorities = &priority};
	VkDeviceCreateInfo info = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = 1,
				   .pQueueCreateInfos = &queue, .enabledExtensionCount = 1,
				   .ppEnabledExtensionNames = names};
	VkDevice device;
	check(vkCreateDevice(physical, &info, NULL, &device), "vkCreateDevice");
	return device;
}

static VkSwapchainKHR make_swapchain(VkDevice device, VkSurfaceKHR surface, VkExtent2D size)
{
	VkSwapchainCreateInfoKHR info = {VK_STRUCTURE_TYPE_SWAPCHAIN_CREATE_INFO_KHR,
					 .surface = surface,
					 .minImageCount = 3,
					 .imageFormat = VK_FORMAT_B8G8R8A8_UNORM,
					 .imageExtent = size,
					 .imageArrayLayers = 1,
					 .imageUsage = VK_IMAGE_USAGE_TRANSFER_DST_BIT,
					 .preTransform = VK_SURFACE_TRANSFORM_IDENTITY_BIT_KHR,
					 .compositeAlpha = VK_COMPOSITE_ALPHA_OPAQUE_BIT_KHR,
					 .presentMode = VK_PRESENT_MODE_FIFO_KHR};
	VkSwapchainKHR swapchain;
	check(vkCreateSwapchainKHR(device, &info, NULL, &swapchain), "vkCreateSwapchainKHR");
	return swapchain;
}

static void record(VkCommandBuffer cmd, VkImage image, uint32_t colour)
{
	VkCommandBufferBeginInfo begin = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
	VkImageSubresourceRange all = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
	VkClearColorValue value = {{(float)(colour >> 16 & 255) / 255,
				    (float)(colour >> 8 & 255) / 255, (float)(colour & 255) / 255,
				    1}};
	VkImageMemoryBarrier barrier = {VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
					.dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
					.newLayout = VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
					.image = image, .subresourceRange = all};
	check(vkBeginCommandBuffer(cmd, &begin), "record");
	vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT,
			     0, 0, NULL, 0, NULL, 1, &barrier);
	vkCmdClearColorImage(cmd, image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, &value, 1, &all);
	barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
	barrier.dstAccessMask = 0;
	barrier.oldLayout = VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
	barrier.newLayout = VK_IMAGE_LAYOUT_PRESENT_SRC_KHR;
	vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_TRANSFER_BIT,
			     VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, NULL, 0, NULL, 1,
			     &barrier);
	check(vkEndCommandBuffer(cmd), "record");
}

static void show(VkDevice device, VkQueue queue, VkSwapchainKHR swapchain, VkCommandBuffer cmd,
		 uint32_t colour)
{
	VkImage images[DISPLAY_MOST];
	uint32_t count = DISPLAY_MOST, index;
	VkSemaphoreCreateInfo info = {VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO};
	VkSemaphore ready, drawn;
	check(vkGetSwapchainImagesKHR(device, swapchain, &count, images), "images");
	check(vkCreateSemaphore(device, &info, NULL, &ready), "semaphore");
	check(vkCreateSemaphore(device, &info, NULL, &drawn), "semaphore");
	check(vkAcquireNextImageKHR(device, swapchain, UINT64_MAX, ready, VK_NULL_HANDLE, &index),
	      "vkAcquireNextImageKHR");
	record(cmd, images[index], colour);
	VkPipelineStageFlags stage = VK_PIPELINE_STAGE_TRANSFER_BIT;
	VkSubmitInfo submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO, .waitSemaphoreCount = 1,
			       .pWaitSemaphores = &ready,     .pWaitDstStageMask = &stage,
			       .commandBufferCount = 1,	      .pCommandBuffers = &cmd,
			       .signalSemaphoreCount = 1,     .pSignalSemaphores = &drawn};
	check(vkQueueSubmit(queue, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit");
	VkPresentInfoKHR present = {VK_STRUCTURE_TYPE_PRESENT_INFO_KHR, .waitSemaphoreCount = 1,
				    .pWaitSemaphores = &drawn,		.swapchainCount = 1,
				    .pSwapchains = &swapchain,		.pImageIndices = &index};
	check(vkQueuePresentKHR(queue, &present), "vkQueuePresentKHR");
	check(vkQueueWaitIdle(queue), "vkQueueWaitIdle");
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("usage: vkdisplay CARD RRGGBB\n", stderr);
		return 2;
	}
	int card = open(argv[1], O_RDWR | O_CLOEXEC);
	check(card, argv[1]);
	VkInstance instance = make_instance();
	VkPhysicalDevice physical;
	uint32_t count = 1;
	check(vkEnumeratePhysicalDevices(instance, &count, &physical), "devices");
	VkExtent2D size;
	VkSurfaceKHR surface =
		make_surface(instance, physical, take_display(instance, physical, card), &size);
	VkBool32 supported = VK_FALSE;
	check(vkGetPhysicalDeviceSurfaceSupportKHR(physical, 0, surface, &supported),
	      "surface support");
	check(supported ? 0 : -1, "the queue can not present there");
	VkDevice device = make_device(physical);
	VkQueue queue;
	vkGetDeviceQueue(device, 0, 0, &queue);
	VkSwapchainKHR swapchain = make_swapchain(device, surface, size);
	VkCommandPoolCreateInfo pool = {VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
					.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT};
	VkCommandBufferAllocateInfo one = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
					   .commandBufferCount = 1};
	VkCommandBuffer cmd;
	check(vkCreateCommandPool(device, &pool, NULL, &one.commandPool), "pool");
	check(vkAllocateCommandBuffers(device, &one, &cmd), "command buffer");
	for (int i = 0; i < DISPLAY_FRAMES; i++) {
		show(device, queue, swapchain, cmd,
		     (uint32_t)strtoul(argv[2], NULL, 16) ^
			     (i + 1 < DISPLAY_FRAMES ? 0xffffff : 0));
	}
	printf("shown %ux%u\n", size.width, size.height);
	fflush(stdout);
	for (;;) {
		getchar(); /* the picture stays as long as the program */
	}
}
