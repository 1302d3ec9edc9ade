/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vksync.c - sync files between two contexts: who waits for one sees what was done before it
 *
 * How it works: one instance submits work that cannot begin, since it waits for a timeline, and
 * exports the fence that signals its end as a file, which must be pending.  It shares the buffer
 * that the work writes to.  The other instance, a context of its own, imports both, the file as a
 * semaphore, and waits.  Only then a second thread lets the work begin.  (A semaphore could not be
 * exported: all that it depends on must have been submitted.)
 * Threads: the second one signals the timeline and does nothing else.
 */
#include "gpu.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { SYNC_BYTES = 4096, SYNC_HOLD_MS = 200 };

#define SYNC_FN(gpu, name) ((PFN_##name)vkGetDeviceProcAddr((gpu)->device, #name))

static const VkExternalMemoryHandleTypeFlagBits sync_memory =
	VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT;
static const VkExternalSemaphoreHandleTypeFlagBits sync_file =
	VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT;

static void sync_open(struct gpu *gpu)
{
	static const char *const names[] = {
		"VK_KHR_external_memory_fd", "VK_EXT_external_memory_dma_buf",
		"VK_KHR_external_semaphore_fd", "VK_KHR_external_fence_fd"};
	VkPhysicalDeviceVulkan12Features timelines = {
		VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
		.timelineSemaphore = VK_TRUE};
	gpu_open_with(gpu, 0, names, 4, &timelines);
}

/* A buffer whose memory others can have: exported if *@fd is -1, which is then set; else imported
 * from it. */
static VkBuffer sync_share(struct gpu *gpu, int *fd)
{
	VkExternalMemoryBufferCreateInfo external = {
		VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO, NULL, sync_memory};
	VkBufferCreateInfo info = {
		VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, &external, .size = SYNC_BYTES,
		.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT};
	VkExportMemoryAllocateInfo export = {VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO, NULL,
					     sync_memory};
	VkImportMemoryFdInfoKHR import = {VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR, NULL,
					  sync_memory, *fd};
	VkBuffer buffer;
	VkDeviceMemory memory;
	VkMemoryRequirements needs;
	GPU_CHECK(vkCreateBuffer(gpu->device, &info, NULL, &buffer));
	vkGetBufferMemoryRequirements(gpu->device, buffer, &needs);
	VkMemoryAllocateInfo allocate = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
					 *fd < 0 ? (void *)&export : (void *)&import, needs.size,
					 (uint32_t)__builtin_ctz(needs.memoryTypeBits)};
	GPU_CHECK(vkAllocateMemory(gpu->device, &allocate, NULL, &memory));
	GPU_CHECK(vkBindBufferMemory(gpu->device, buffer, memory, 0));
	VkMemoryGetFdInfoKHR get = {VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR, NULL, memory,
				    sync_memory};
	if (*fd < 0) {
		GPU_CHECK(SYNC_FN(gpu, vkGetMemoryFdKHR)(gpu->device, &get, fd));
	}
	return buffer;
}

static void sync_barrier(VkCommandBuffer cmd)
{
	gpu_memory_barrier(cmd, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, VK_ACCESS_2_MEMORY_WRITE_BIT,
			   VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT,
			   VK_ACCESS_2_MEMORY_READ_BIT | VK_ACCESS_2_MEMORY_WRITE_BIT);
}

static VkCommandBuffer sync_record(struct gpu *gpu)
{
	VkCommandBufferAllocateInfo info = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
					    .commandPool = gpu->pool, .commandBufferCount = 1};
	VkCommandBufferBeginInfo begin = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
	VkCommandBuffer cmd;
	GPU_CHECK(vkAllocateCommandBuffers(gpu->device, &info, &cmd));
	GPU_CHECK(vkBeginCommandBuffer(cmd, &begin));
	return cmd;
}

static bool sync_is_done(int fd)
{
	return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 1;
}

static VkSemaphore sync_semaphore(struct gpu *gpu, const void *next)
{
	VkSemaphoreCreateInfo info = {VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, next};
	VkSemaphore semaphore;
	GPU_CHECK(vkCreateSemaphore(gpu->device, &info, NULL, &semaphore));
	return semaphore;
}

/* Will write @value into @shared when @timeline is 1; the file that says so. */
static int sync_produce(struct gpu *gpu, VkBuffer shared, uint32_t value, VkSemaphore timeline)
{
	const VkExternalFenceHandleTypeFlagBits type = VK_EXTERNAL_FENCE_HANDLE_TYPE_SYNC_FD_BIT;
	VkExportFenceCreateInfo export = {VK_STRUCTURE_TYPE_EXPORT_FENCE_CREATE_INFO, NULL, type};
	VkFenceCreateInfo info = {VK_STRUCTURE_TYPE_FENCE_CREATE_INFO, &export};
	VkFence fence;
	GPU_CHECK(vkCreateFence(gpu->device, &info, NULL, &fence));
	VkCommandBuffer cmd = sync_record(gpu);
	vkCmdFillBuffer(cmd, shared, 0, VK_WHOLE_SIZE, value);
	sync_barrier(cmd);
	GPU_CHECK(vkEndCommandBuffer(cmd));
	VkTimelineSemaphoreSubmitInfo values = {VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
						NULL, 1, &(uint64_t){1}};
	VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	VkSubmitInfo submit = {
		VK_STRUCTURE_TYPE_SUBMIT_INFO, &values, 1, &timeline, &stage, 1, &cmd};
	GPU_CHECK(vkQueueSubmit(gpu->queue, 1, &submit, fence));
	VkFenceGetFdInfoKHR get = {VK_STRUCTURE_TYPE_FENCE_GET_FD_INFO_KHR, NULL, fence, type};
	int file = -1;
	GPU_CHECK(SYNC_FN(gpu, vkGetFenceFdKHR)(gpu->device, &get, &file));
	return file;
}

/* Waits for @file on the GPU, then reads.  Takes @file. */
static uint32_t sync_consume(struct gpu *gpu, VkBuffer shared, struct gpu_buffer *own, int file)
{
	VkSemaphore semaphore = sync_semaphore(gpu, NULL);
	VkImportSemaphoreFdInfoKHR import = {VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
					     NULL,
					     semaphore,
					     VK_SEMAPHORE_IMPORT_TEMPORARY_BIT,
					     sync_file,
					     file};
	GPU_CHECK(SYNC_FN(gpu, vkImportSemaphoreFdKHR)(gpu->device, &import));
	VkCommandBuffer cmd = sync_record(gpu);
	vkCmdCopyBuffer(cmd, shared, own->buffer, 1, &(VkBufferCopy){.size = SYNC_BYTES});
	sync_barrier(cmd);
	GPU_CHECK(vkEndCommandBuffer(cmd));
	VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	VkSubmitInfo submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO, .waitSemaphoreCount = 1,
			       .pWaitSemaphores = &semaphore, .pWaitDstStageMask = &stage,
			       .commandBufferCount = 1,	      .pCommandBuffers = &cmd};
	GPU_CHECK(vkQueueSubmit(gpu->queue, 1, &submit, VK_NULL_HANDLE));
	GPU_CHECK(vkQueueWaitIdle(gpu->queue));
	return ((uint32_t *)own->mapped)[SYNC_BYTES / 4 - 1];
}

struct sync_start {
	struct gpu *gpu;
	VkSemaphore timeline;
};

/* Lets the work begin, when the consumer waits for it if all goes well. */
static void *sync_begin(void *opaque)
{
	struct sync_start *start = opaque;
	VkSemaphoreSignalInfo signal = {VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO, NULL,
					start->timeline, 1};
	nanosleep(&(struct timespec){.tv_nsec = SYNC_HOLD_MS * 1000000}, NULL);
	GPU_CHECK(vkSignalSemaphore(start->gpu->device, &signal));
	return NULL;
}

int main(void)
{
	const uint32_t value = 0x5ca1ab1e;
	struct gpu producer = {0}, consumer = {0};
	int memory = -1;
	sync_open(&producer);
	sync_open(&consumer);
	VkBuffer shared = sync_share(&producer, &memory), same = sync_share(&consumer, &memory);
	struct gpu_buffer own =
		gpu_buffer_create(&consumer, SYNC_BYTES, VK_BUFFER_USAGE_TRANSFER_DST_BIT, true);
	VkSemaphoreTypeCreateInfo timeline = {VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO, NULL,
					      VK_SEMAPHORE_TYPE_TIMELINE, 0};
	struct sync_start start = {&producer, sync_semaphore(&producer, &timeline)};
	int file = sync_produce(&producer, shared, value, start.timeline);
	if (file < 0 || sync_is_done(file)) {
		gpu_die("the file says that the work is done");
	}
	pthread_t thread;
	if (pthread_create(&thread, NULL, sync_begin, &start)) {
		gpu_die("no thread");
	}
	uint32_t seen = sync_consume(&consumer, same, &own, file);
	if (seen != value) {
		gpu_die("%08x was read, not %08x", seen, value);
	}
	pthread_join(thread, NULL);
	printf("what was waited for is there\n");
	return 0;
}
