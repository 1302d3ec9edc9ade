/* SPDX-License-Identifier: Apache-2.0 */
/* lines.c - vkbench's lines: what is timed */
#include "bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_WARM = 20, LINES_BIG = 1 << 20 };

/* The middle of @count timed runs of @fn, in microseconds. */
static double lines_time(struct bench *bench, void (*fn)(struct bench *bench), size_t count)
{
	double values[2048];
	for (size_t i = 0; i < LINES_WARM; i++) {
		fn(bench);
	}
	for (size_t i = 0; i < count; i++) {
		double start = bench_now_s();
		fn(bench);
		values[i] = (bench_now_s() - start) * 1e6;
	}
	return bench_median(values, count);
}

/* --- synchronization --- */

static void line_submit_wait(struct bench *bench)
{
	bench_submit_wait(bench, NULL);
}

static void line_fence_status(struct bench *bench)
{
	vkGetFenceStatus(bench->gpu.device, bench->fence);
}

void bench_lines_sync(struct bench *bench)
{
	bench_print("submit-wait", "us", lines_time(bench, line_submit_wait, 1000));
	VkSubmitInfo submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO};
	double start = bench_now_s();
	for (int i = 0; i < 2000; i++) {
		GPU_CHECK(vkQueueSubmit(bench->gpu.queue, 1, &submit, VK_NULL_HANDLE));
	}
	bench_print("submit", "us", (bench_now_s() - start) / 2000 * 1e6);
	GPU_CHECK(vkQueueWaitIdle(bench->gpu.queue));
	start = bench_now_s();
	for (int i = 0; i < 2000; i++) {
		line_fence_status(bench);
	}
	bench_print("fence-status", "us", (bench_now_s() - start) / 2000 * 1e6);
}

/* --- memory --- */

static VkDeviceMemory lines_allocate(struct bench *bench, VkDeviceSize bytes)
{
	static uint32_t type = UINT32_MAX;
	if (type == UINT32_MAX) {
		const VkMemoryPropertyFlags want =
			VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
		VkPhysicalDeviceMemoryProperties memory;
		vkGetPhysicalDeviceMemoryProperties(bench->gpu.physical, &memory);
		for (type = 0; (memory.memoryTypes[type].propertyFlags & want) != want; type++) {
		}
	}
	VkMemoryAllocateInfo info = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = bytes,
				     .memoryTypeIndex = type};
	VkDeviceMemory memory;
	GPU_CHECK(vkAllocateMemory(bench->gpu.device, &info, NULL, &memory));
	return memory;
}

static void lines_touch(struct bench *bench, VkDeviceMemory memory, size_t bytes)
{
	volatile char *map;
	GPU_CHECK(vkMapMemory(bench->gpu.device, memory, 0, VK_WHOLE_SIZE, 0, (void **)&map));
	for (size_t i = 0; i < bytes; i += 4096) {
		map[i] = 1;
	}
}

static void lines_allocation(struct bench *bench)
{
	enum { COUNT = 200 };
	VkDeviceMemory memory[COUNT];
	double allocate[COUNT], release[COUNT];
	for (int i = 0; i < COUNT; i++) {
		double start = bench_now_s();
		memory[i] = lines_allocate(bench, LINES_BIG);
		lines_touch(bench, memory[i], 1);
		allocate[i] = (bench_now_s() - start) * 1e6;
	}
	bench_print("allocate-map-1M", "us", bench_median(allocate, COUNT));
	for (int i = 0; i < COUNT; i++) {
		vkFreeMemory(bench->gpu.device, memory[i], NULL);
	}
	for (int i = 0; i < COUNT; i++) {
		double start = bench_now_s();
		memory[i] = lines_allocate(bench, LINES_BIG);
		lines_touch(bench, memory[i], LINES_BIG);
		allocate[i] = (bench_now_s() - start) * 1e6;
	}
	bench_print("allocate-map-touch-1M", "us", bench_median(allocate, COUNT));
	for (int i = 0; i < COUNT; i++) {
		double start = bench_now_s();
		vkFreeMemory(bench->gpu.device, memory[i], NULL);
		bench_submit_wait(bench, NULL);
		release[i] = (bench_now_s() - start) * 1e6;
	}
	bench_print("free-submit-wait", "us", bench_median(release, COUNT));
	for (int i = 0; i < COUNT; i++) {
		memory[i] = lines_allocate(bench, LINES_BIG);
		lines_touch(bench, memory[i], LINES_BIG);
	}
	VkCommandBuffer cmd = bench_begin(bench);
	vkCmdCopyBuffer(cmd, bench->visible.buffer, bench->copy.buffer, 1,
			&(VkBufferCopy){.size = BENCH_COPY_BYTES});
	GPU_CHECK(vkEndCommandBuffer(cmd));
	bench_submit_wait(bench, cmd);
	double start = bench_now_s();
	for (int i = 0; i < COUNT; i++) {
		vkFreeMemory(bench->gpu.device, memory[i], NULL);
	}
	bench_submit_wait(bench, cmd);
	bench_print("200-frees-copy-64M", "us", (bench_now_s() - start) * 1e6);
	for (int i = 0; i < COUNT; i++) {
		start = bench_now_s();
		memory[0] = lines_allocate(bench, LINES_BIG);
		lines_touch(bench, memory[0], LINES_BIG);
		vkFreeMemory(bench->gpu.device, memory[0], NULL);
		allocate[i] = (bench_now_s() - start) * 1e6;
	}
	bench_print("allocate-touch-free-1M", "us", bench_median(allocate, COUNT));
}

void bench_lines_memory(struct bench *bench)
{
	lines_allocation(bench);
	memset(bench->visible.mapped, 1, BENCH_COPY_BYTES);
	double start = bench_now_s();
	for (int i = 0; i < 4; i++) {
		memset(bench->visible.mapped, i, BENCH_COPY_BYTES);
	}
	bench_print("mapped-write", "MB/s", 4 * BENCH_COPY_BYTES / (bench_now_s() - start) / 1e6);
	char *to = malloc(LINES_BIG);
	memset(to, 1, LINES_BIG);
	start = bench_now_s();
	for (size_t i = 0; i < BENCH_COPY_BYTES; i += LINES_BIG) {
		memcpy(to, (char *)bench->visible.mapped + i, LINES_BIG);
		__asm__ volatile("" ::"r"(to) : "memory");
	}
	bench_print("mapped-read", "MB/s", BENCH_COPY_BYTES / (bench_now_s() - start) / 1e6);
	free(to);
}

/* --- recording --- */

/* The word that all shaders look at, which has to have a value. */
static void record_word(struct bench *bench, VkCommandBuffer cmd, uint32_t word)
{
	vkCmdPushConstants(cmd, bench->layout, VK_SHADER_STAGE_COMPUTE_BIT | VK_SHADER_STAGE_VERTEX_BIT, 0, 4,
			   &word);
}

static void record_compute(struct bench *bench, VkCommandBuffer cmd)
{
	vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, bench->compute);
	vkCmdBindDescriptorSets(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, bench->layout, 0, 1, &bench->set, 0, NULL);
	record_word(bench, cmd, 1);
}

static void record_dispatches(struct bench *bench, VkCommandBuffer cmd, int count)
{
	record_compute(bench, cmd);
	for (int i = 0; i < count; i++) {
		vkCmdDispatch(cmd, 1, 1, 1);
	}
}

static void record_draws(struct bench *bench, VkCommandBuffer cmd, int count)
{
	static uint32_t frame;
	VkClearValue clear = {0};
	VkRenderPassBeginInfo pass = {VK_STRUCTURE_TYPE_RENDER_PASS_BEGIN_INFO, .renderPass = bench->pass,
				      .framebuffer = bench->framebuffer,
				      .renderArea = {{0, 0}, {BENCH_TARGET, BENCH_TARGET}},
				      .clearValueCount = 1, .pClearValues = &clear};
	vkCmdBeginRenderPass(cmd, &pass, VK_SUBPASS_CONTENTS_INLINE);
	vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_GRAPHICS, bench->triangle);
	record_word(bench, cmd, frame++);
	for (int i = 0; i < count; i++) {
		vkCmdDraw(cmd, 3, 1, 0, 0);
	}
	vkCmdEndRenderPass(cmd);
}

static void record_copies(struct bench *bench, VkCommandBuffer cmd, int count)
{
	for (int i = 0; i < count; i++) {
		vkCmdCopyBuffer(cmd, bench->visible.buffer, bench->copy.buffer, 1,
				&(VkBufferCopy){.dstOffset = (VkDeviceSize)i * 256 % BENCH_COPY_BYTES, .size = 256});
	}
}

static void record_pushes(struct bench *bench, VkCommandBuffer cmd, int count)
{
	VkDescriptorBufferInfo words = {bench->words.buffer, 0, VK_WHOLE_SIZE};
	VkWriteDescriptorSet write = {VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, .descriptorCount = 1,
				      .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
				      .pBufferInfo = &words};
	for (int i = 0; i < count; i++) {
		bench->push(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, bench->push_layout, 0, 1, &write);
	}
}

/* Not recorded in a command buffer, but as many and as small. */
static void record_writes(struct bench *bench, VkCommandBuffer cmd, int count)
{
	VkDescriptorBufferInfo words = {bench->words.buffer, 0, VK_WHOLE_SIZE};
	VkWriteDescriptorSet write = {VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, .dstSet = bench->set,
				      .descriptorCount = 1, .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
				      .pBufferInfo = &words};
	for (int i = 0; i < count; i++) {
		vkUpdateDescriptorSets(bench->gpu.device, 1, &write, 0, NULL);
	}
}

/*
 * Commands in a second, until the driver has taken the last one: an empty submission is waited for.
 * A program records again and again: by the tenth time nothing touches new memory any more.
 */
static void lines_record(struct bench *bench, const char *name,
			 void (*record)(struct bench *bench, VkCommandBuffer cmd, int count))
{
	enum { COUNT = 20000, TIMES = 31 };
	double values[TIMES];
	for (int i = 0; i < TIMES; i++) {
		double start = bench_now_s();
		VkCommandBuffer cmd = bench_begin(bench);
		record(bench, cmd, COUNT);
		GPU_CHECK(vkEndCommandBuffer(cmd));
		bench_submit_wait(bench, NULL);
		values[i] = COUNT / (bench_now_s() - start) / 1e3;
	}
	bench_print(name, "k/s", bench_median(values, TIMES));
}

void bench_lines_record(struct bench *bench)
{
	lines_record(bench, "record-dispatch", record_dispatches);
	lines_record(bench, "record-draw", record_draws);
	lines_record(bench, "record-copy", record_copies);
	if (bench->push_layout) {
		lines_record(bench, "record-push", record_pushes);
	}
	lines_record(bench, "descriptor-write", record_writes);
}

/* --- pipelines --- */

struct lines_thread {
	struct bench *bench;
	uint32_t first;
	pthread_t thread;
};

enum { LINES_PIPELINES = 16, LINES_THREADS = 4 };

static void *lines_make_pipelines(void *opaque)
{
	struct lines_thread *work = opaque;
	for (uint32_t i = 0; i < LINES_PIPELINES; i++) {
		vkDestroyPipeline(work->bench->gpu.device,
				  bench_pipeline(work->bench, VK_NULL_HANDLE, work->first + i), NULL);
	}
	return NULL;
}

void bench_lines_pipeline(struct bench *bench)
{
	VkPipelineCacheCreateInfo info = {VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
	VkPipelineCache cache;
	GPU_CHECK(vkCreatePipelineCache(bench->gpu.device, &info, NULL, &cache));
	for (int pass = 0; pass < 2; pass++) {
		double start = bench_now_s();
		for (uint32_t i = 0; i < LINES_PIPELINES; i++) {
			vkDestroyPipeline(bench->gpu.device, bench_pipeline(bench, cache, 1000 + i), NULL);
		}
		bench_submit_wait(bench, NULL);
		bench_print(pass ? "pipeline-again" : "pipeline-cold", "us",
			    (bench_now_s() - start) / LINES_PIPELINES * 1e6);
	}
	vkDestroyPipelineCache(bench->gpu.device, cache, NULL);
	struct lines_thread threads[LINES_THREADS];
	double start = bench_now_s();
	for (uint32_t i = 0; i < LINES_THREADS; i++) {
		threads[i] = (struct lines_thread){bench, 2000 + i * LINES_PIPELINES, 0};
		if (pthread_create(&threads[i].thread, NULL, lines_make_pipelines, &threads[i])) {
			gpu_die("no thread");
		}
	}
	for (uint32_t i = 0; i < LINES_THREADS; i++) {
		pthread_join(threads[i].thread, NULL);
	}
	bench_submit_wait(bench, NULL);
	bench_print("pipeline-4-threads", "us",
		    (bench_now_s() - start) / (LINES_PIPELINES * LINES_THREADS) * 1e6);
}

/* --- work --- */

static uint32_t lines_groups;

static void line_dispatch(struct bench *bench)
{
	VkCommandBuffer cmd = bench_begin(bench);
	record_compute(bench, cmd);
	vkCmdDispatch(cmd, lines_groups, 1, 1);
	GPU_CHECK(vkEndCommandBuffer(cmd));
	bench_submit_wait(bench, cmd);
}

/* One triangle, read back. */
static void line_frame(struct bench *bench)
{
	VkCommandBuffer cmd = bench_begin(bench);
	record_draws(bench, cmd, 1);
	VkBufferImageCopy copy = {.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
				  .imageExtent = {BENCH_TARGET, BENCH_TARGET, 1}};
	vkCmdCopyImageToBuffer(cmd, bench->target.image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
			       bench->visible.buffer, 1, &copy);
	GPU_CHECK(vkEndCommandBuffer(cmd));
	bench_submit_wait(bench, cmd);
}

void bench_lines_draw(struct bench *bench)
{
	lines_groups = 1;
	bench_print("dispatch-64", "us", lines_time(bench, line_dispatch, 300));
	lines_groups = (1 << 20) / 64;
	bench_print("dispatch-1M", "us", lines_time(bench, line_dispatch, 30));
	bench_print("triangle-256x256", "/s", 1e6 / lines_time(bench, line_frame, 500));
}
