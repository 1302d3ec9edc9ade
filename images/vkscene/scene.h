/* SPDX-License-Identifier: Apache-2.0 */
/* scene.h - the moving scene of vkscene: what is drawn, from integers and the frame number alone */
#ifndef VKSCENE_SCENE_H
#define VKSCENE_SCENE_H

#include "gpu.h"

enum {
	SCENE_WIDTH = 640,
	SCENE_HEIGHT = 480,
	SCENE_CUBES = 36,
	SCENE_SPARKS = 96,
	SCENE_PIPELINES = 4, /* sky, floor, cubes, sparks; the compute pass is apart */
	SCENE_DRAWS = 4,     /* draw commands a frame */
};

struct scene_slot {
	struct gpu_buffer uniforms, pixels; /* mapped */
	VkDescriptorSet set;
	VkCommandBuffer cmd;
	VkFence fence;
	VkQueryPool times, samples;
};

struct scene {
	struct gpu *gpu;
	struct gpu_image color, depth, tiles, crate;
	struct gpu_buffer vertices, bodies;
	VkSampler sampler;
	VkDescriptorSetLayout set_layout;
	VkDescriptorPool sets;
	VkPipelineLayout layout;
	VkPipeline place; /* compute */
	VkPipeline pipelines[SCENE_PIPELINES];
	struct scene_slot slots[GPU_FRAMES];
};

void scene_create(struct scene *scene, struct gpu *gpu);
void scene_destroy(struct scene *scene);
/* Record and submit frame @number in slot @slot, whose previous frame must have been waited for. */
void scene_submit(struct scene *scene, unsigned slot, uint32_t number);
/*
 * Wait for the frame of @slot.  Returns its SCENE_WIDTH x SCENE_HEIGHT pixels (bytes B, G, R, A; valid until the slot
 * is used again); @gpu_ns and @samples get the timestamps' difference (0 if not offered) and the cubes' samples.
 */
const uint32_t *scene_wait(struct scene *scene, unsigned slot, uint64_t *gpu_ns, uint64_t *samples);

#endif
