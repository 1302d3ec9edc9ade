/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench.h - what vkbench's lines are made of
 *
 * Needs Vulkan 1.1 only, so that it runs on what any GPU stack shows.  Failures end the program with one line.
 * Threads: the first, but for pipelines made by several.
 */
#ifndef VKBENCH_H
#define VKBENCH_H

#include "gpu.h"

struct bench {
	struct gpu gpu;
	VkPipelineLayout layout;	 /* a storage buffer, 4 bytes of push constants */
	VkDescriptorSetLayout set_layout;
	VkDescriptorPool pool;
	VkDescriptorSet set;
	VkPipelineLayout push_layout;	 /* the same buffer, pushed; VK_NULL_HANDLE: no VK_KHR_push_descriptor */
	PFN_vkCmdPushDescriptorSetKHR push;
	struct gpu_buffer words;	 /* device local, bound in set */
	struct gpu_buffer visible, copy; /* 64 MiB each, mapped and not */
	VkShaderModule work;
	VkPipeline compute;
	VkRenderPass pass;
	VkPipeline triangle;
	struct gpu_image target;
	VkFramebuffer framebuffer;
	VkFence fence;
	VkCommandBuffer cmd;
};

enum { BENCH_TARGET = 256, BENCH_COPY_BYTES = 64 * 1024 * 1024 };

double bench_now_s(void);
/* Instance, device and one command pool, for Vulkan 1.1.  True if descriptors can be pushed. */
bool bench_open(struct gpu *gpu);
/* Everything else. */
void bench_setup(struct bench *bench);
/* A compute pipeline that was never made before if @seed is new. */
VkPipeline bench_pipeline(struct bench *bench, VkPipelineCache cache, uint32_t seed);
/* Submits @cmd (or nothing if NULL) and waits for it. */
void bench_submit_wait(struct bench *bench, VkCommandBuffer cmd);
VkCommandBuffer bench_begin(struct bench *bench);

/* The lines.  Each prints "NAME UNIT VALUE". */
void bench_lines_sync(struct bench *bench);
void bench_lines_memory(struct bench *bench);
void bench_lines_record(struct bench *bench);
void bench_lines_pipeline(struct bench *bench);
void bench_lines_draw(struct bench *bench);

void bench_print(const char *name, const char *unit, double value);
/* Smallest sensible summary: the middle of @count values, which it sorts. */
double bench_median(double *values, size_t count);

#endif
