/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scene.c - the moving scene of vkscene
 *
 * How it works: the CPU side computes with integers only, from tables and the frame number, so that every
 * architecture hands the driver the same bytes; all floating point happens in shaders or is a literal.
 */
#include "scene.h"

#include "pipelines.h"

#include <string.h>

enum { FLOOR_VERTICES = 4, CUBE_VERTICES = 36, TEXTURE_SIZE = 64 };

struct frame_uniforms {
	int32_t camera[4], spin[4], light[4];
};

/* sin(2 pi i / 256) * 16384 by Bhaskara's rational approximation, in integers. */
static int32_t scene_sin(uint32_t i)
{
	int32_t half = (int32_t)(i & 127);
	int32_t p = half * (128 - half); /* 0..4096 */
	int32_t value = (int32_t)((int64_t)16384 * 16 * p / (5 * 16384 - 4 * p));
	return i & 128 ? -value : value;
}

static int32_t scene_cos(uint32_t i)
{
	return scene_sin(i + 64);
}

/* Integer noise for the textures. */
static uint32_t scene_noise(uint32_t x, uint32_t y)
{
	uint32_t h = x * 0x9e3779b1u ^ y * 0x85ebca77u;
	h ^= h >> 15;
	h *= 0xc2b2ae3du;
	return h >> 24;
}

static uint32_t scene_rgba(uint32_t r, uint32_t g, uint32_t b)
{
	return r | g << 8 | b << 16 | 0xff000000u;
}

static void scene_paint_tiles(uint32_t *texels)
{
	for (uint32_t y = 0; y < TEXTURE_SIZE; y++) {
		for (uint32_t x = 0; x < TEXTURE_SIZE; x++) {
			uint32_t n = scene_noise(x, y) >> 3;
			uint32_t seam = (x & 31) < 2 || (y & 31) < 2;
			uint32_t dark = ((x >> 5) ^ (y >> 5)) & 1;
			uint32_t base = seam ? 40 : dark ? 80 : 150;
			texels[y * TEXTURE_SIZE + x] = scene_rgba(base + n, base + n, base + n + 20);
		}
	}
}

static void scene_paint_crate(uint32_t *texels)
{
	for (uint32_t y = 0; y < TEXTURE_SIZE; y++) {
		for (uint32_t x = 0; x < TEXTURE_SIZE; x++) {
			uint32_t n = scene_noise(x >> 1, y * 7) >> 2;
			uint32_t edge = x < 6 || y < 6 || x >= 58 || y >= 58 || (x + 64 - y) % 64 < 5;
			uint32_t base = edge ? 200 : 130;
			texels[y * TEXTURE_SIZE + x] = scene_rgba(base + n * 3 / 4, base - 20 + n / 2, base - 60);
		}
	}
}

static void scene_make_vertices(struct scene *scene)
{
	struct scene_vertex all[FLOOR_VERTICES + CUBE_VERTICES] = {
		{{-7, 0, -7}, {0, 0}, {0, 1, 0}},
		{{-7, 0, 7}, {0, 7}, {0, 1, 0}},
		{{7, 0, -7}, {7, 0}, {0, 1, 0}},
		{{7, 0, 7}, {7, 7}, {0, 1, 0}},
	};
	static const int8_t corners[6][2] = {{-1, -1}, {1, -1}, {1, 1}, {-1, -1}, {1, 1}, {-1, 1}};
	struct scene_vertex *v = all + FLOOR_VERTICES;
	for (int face = 0; face < 6; face++) {
		int axis = face / 2, side = face & 1 ? 1 : -1;
		for (int i = 0; i < 6; i++, v++) {
			int a = corners[i][0], b = corners[i][1] * side;
			v->position[axis] = (float)side;
			v->position[(axis + 1) % 3] = (float)a;
			v->position[(axis + 2) % 3] = (float)b;
			v->normal[axis] = (float)side;
			v->uv[0] = a > 0;
			v->uv[1] = b > 0;
		}
	}
	scene->vertices = gpu_buffer_create(scene->gpu, sizeof(all),
					    VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT, false);
	gpu_upload(scene->gpu, &scene->vertices, all, sizeof(all));
}

static void scene_make_slot(struct scene *scene, struct scene_slot *slot)
{
	struct gpu *gpu = scene->gpu;
	slot->uniforms = gpu_buffer_create(gpu, sizeof(struct frame_uniforms), VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT, true);
	slot->pixels = gpu_buffer_create(gpu, (VkDeviceSize)SCENE_WIDTH * SCENE_HEIGHT * 4,
					 VK_BUFFER_USAGE_TRANSFER_DST_BIT, true);
	VkCommandBufferAllocateInfo cmd = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandPool = gpu->pool,
					   .commandBufferCount = 1};
	GPU_CHECK(vkAllocateCommandBuffers(gpu->device, &cmd, &slot->cmd));
	VkFenceCreateInfo fence = {VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
	GPU_CHECK(vkCreateFence(gpu->device, &fence, NULL, &slot->fence));
	VkQueryPoolCreateInfo times = {VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP,
				       .queryCount = 2};
	if (gpu->timestamp_bits) {
		GPU_CHECK(vkCreateQueryPool(gpu->device, &times, NULL, &slot->times));
	}
	VkQueryPoolCreateInfo samples = {VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
					 .queryType = VK_QUERY_TYPE_OCCLUSION, .queryCount = 1};
	GPU_CHECK(vkCreateQueryPool(gpu->device, &samples, NULL, &slot->samples));
}

static void scene_make_sampler(struct scene *scene)
{
	VkSamplerCreateInfo info = {VK_STRUCTURE_TYPE_SAMPLER_CREATE_INFO, .magFilter = VK_FILTER_LINEAR,
				    .minFilter = VK_FILTER_LINEAR, .mipmapMode = VK_SAMPLER_MIPMAP_MODE_LINEAR,
				    .addressModeU = VK_SAMPLER_ADDRESS_MODE_REPEAT,
				    .addressModeV = VK_SAMPLER_ADDRESS_MODE_REPEAT, .maxLod = VK_LOD_CLAMP_NONE};
	GPU_CHECK(vkCreateSampler(scene->gpu->device, &info, NULL, &scene->sampler));
}

void scene_create(struct scene *scene, struct gpu *gpu)
{
	uint32_t texels[TEXTURE_SIZE * TEXTURE_SIZE];
	*scene = (struct scene){.gpu = gpu};
	scene->color = gpu_image_create(gpu, VK_FORMAT_B8G8R8A8_UNORM, SCENE_WIDTH, SCENE_HEIGHT, 1,
					VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT);
	scene->depth = gpu_image_create(gpu, VK_FORMAT_D32_SFLOAT, SCENE_WIDTH, SCENE_HEIGHT, 1,
					VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT);
	scene_paint_tiles(texels);
	scene->tiles = gpu_texture_create(gpu, texels, TEXTURE_SIZE);
	scene_paint_crate(texels);
	scene->crate = gpu_texture_create(gpu, texels, TEXTURE_SIZE);
	scene_make_vertices(scene);
	scene->bodies = gpu_buffer_create(gpu, (SCENE_CUBES + SCENE_SPARKS) * 32, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
					  false);
	scene_make_sampler(scene);
	pipelines_create(scene);
	for (unsigned i = 0; i < GPU_FRAMES; i++) {
		scene_make_slot(scene, &scene->slots[i]);
	}
	pipelines_bind_sets(scene);
}

void scene_destroy(struct scene *scene)
{
	struct gpu *gpu = scene->gpu;
	GPU_CHECK(vkDeviceWaitIdle(gpu->device));
	for (unsigned i = 0; i < GPU_FRAMES; i++) {
		struct scene_slot *slot = &scene->slots[i];
		gpu_buffer_destroy(gpu, &slot->uniforms);
		gpu_buffer_destroy(gpu, &slot->pixels);
		vkDestroyFence(gpu->device, slot->fence, NULL);
		vkDestroyQueryPool(gpu->device, slot->times, NULL);
		vkDestroyQueryPool(gpu->device, slot->samples, NULL);
	}
	pipelines_destroy(scene);
	vkDestroySampler(gpu->device, scene->sampler, NULL);
	gpu_buffer_destroy(gpu, &scene->vertices);
	gpu_buffer_destroy(gpu, &scene->bodies);
	gpu_image_destroy(gpu, &scene->color);
	gpu_image_destroy(gpu, &scene->depth);
	gpu_image_destroy(gpu, &scene->tiles);
	gpu_image_destroy(gpu, &scene->crate);
}

static void scene_record_compute(struct scene *scene, struct scene_slot *slot)
{
	VkCommandBuffer cmd = slot->cmd;
	gpu_memory_barrier(cmd, VK_PIPELINE_STAGE_2_VERTEX_SHADER_BIT, VK_ACCESS_2_SHADER_STORAGE_READ_BIT,
			   VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT, VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT);
	vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, scene->place);
	vkCmdBindDescriptorSets(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, scene->layout, 0, 1, &slot->set, 0, NULL);
	vkCmdDispatch(cmd, (SCENE_CUBES + SCENE_SPARKS + 63) / 64, 1, 1);
	gpu_memory_barrier(cmd, VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT, VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT,
			   VK_PIPELINE_STAGE_2_VERTEX_SHADER_BIT, VK_ACCESS_2_SHADER_STORAGE_READ_BIT);
}

static void scene_begin_rendering(struct scene *scene, VkCommandBuffer cmd)
{
	gpu_image_barrier(cmd, scene->color.image, VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, VK_IMAGE_LAYOUT_UNDEFINED,
			  VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL, VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT,
			  VK_ACCESS_2_TRANSFER_READ_BIT, VK_PIPELINE_STAGE_2_COLOR_ATTACHMENT_OUTPUT_BIT,
			  VK_ACCESS_2_COLOR_ATTACHMENT_WRITE_BIT);
	gpu_image_barrier(cmd, scene->depth.image, VK_IMAGE_ASPECT_DEPTH_BIT, 0, 1, VK_IMAGE_LAYOUT_UNDEFINED,
			  VK_IMAGE_LAYOUT_DEPTH_ATTACHMENT_OPTIMAL, VK_PIPELINE_STAGE_2_LATE_FRAGMENT_TESTS_BIT,
			  VK_ACCESS_2_DEPTH_STENCIL_ATTACHMENT_WRITE_BIT, VK_PIPELINE_STAGE_2_EARLY_FRAGMENT_TESTS_BIT,
			  VK_ACCESS_2_DEPTH_STENCIL_ATTACHMENT_WRITE_BIT);
	VkRenderingAttachmentInfo color = {VK_STRUCTURE_TYPE_RENDERING_ATTACHMENT_INFO, .imageView = scene->color.view,
					   .imageLayout = VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL,
					   .loadOp = VK_ATTACHMENT_LOAD_OP_CLEAR,
					   .storeOp = VK_ATTACHMENT_STORE_OP_STORE};
	VkRenderingAttachmentInfo depth = {VK_STRUCTURE_TYPE_RENDERING_ATTACHMENT_INFO, .imageView = scene->depth.view,
					   .imageLayout = VK_IMAGE_LAYOUT_DEPTH_ATTACHMENT_OPTIMAL,
					   .loadOp = VK_ATTACHMENT_LOAD_OP_CLEAR,
					   .storeOp = VK_ATTACHMENT_STORE_OP_DONT_CARE,
					   .clearValue.depthStencil.depth = 1.0f};
	VkRenderingInfo info = {VK_STRUCTURE_TYPE_RENDERING_INFO, .renderArea = {{0, 0}, {SCENE_WIDTH, SCENE_HEIGHT}},
				.layerCount = 1, .colorAttachmentCount = 1, .pColorAttachments = &color,
				.pDepthAttachment = &depth};
	vkCmdBeginRendering(cmd, &info);
}

static void scene_record_draws(struct scene *scene, struct scene_slot *slot)
{
	VkCommandBuffer cmd = slot->cmd;
	VkDeviceSize zero = 0;
	int32_t first_spark = SCENE_CUBES;
	vkCmdSetViewport(cmd, 0, 1, &(VkViewport){0, 0, SCENE_WIDTH, SCENE_HEIGHT, 0, 1});
	vkCmdSetScissor(cmd, 0, 1, &(VkRect2D){{0, 0}, {SCENE_WIDTH, SCENE_HEIGHT}});
	vkCmdBindDescriptorSets(cmd, VK_PIPELINE_BIND_POINT_GRAPHICS, scene->layout, 0, 1, &slot->set, 0, NULL);
	vkCmdBindVertexBuffers(cmd, 0, 1, &scene->vertices.buffer, &zero);
	vkCmdPushConstants(cmd, scene->layout, VK_SHADER_STAGE_VERTEX_BIT, 0, 4, &first_spark);
	vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_GRAPHICS, scene->pipelines[0]);
	vkCmdDraw(cmd, 3, 1, 0, 0);
	vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_GRAPHICS, scene->pipelines[1]);
	vkCmdDraw(cmd, FLOOR_VERTICES, 1, 0, 0);
	vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_GRAPHICS, scene->pipelines[2]);
	vkCmdBeginQuery(cmd, slot->samples, 0, 0);
	vkCmdDraw(cmd, CUBE_VERTICES, SCENE_CUBES, FLOOR_VERTICES, 0);
	vkCmdEndQuery(cmd, slot->samples, 0);
	vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_GRAPHICS, scene->pipelines[3]);
	vkCmdDraw(cmd, 4, SCENE_SPARKS, 0, 0);
}

static void scene_record_read_back(struct scene *scene, struct scene_slot *slot)
{
	VkCommandBuffer cmd = slot->cmd;
	gpu_image_barrier(cmd, scene->color.image, VK_IMAGE_ASPECT_COLOR_BIT, 0, 1,
			  VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
			  VK_PIPELINE_STAGE_2_COLOR_ATTACHMENT_OUTPUT_BIT, VK_ACCESS_2_COLOR_ATTACHMENT_WRITE_BIT,
			  VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT, VK_ACCESS_2_TRANSFER_READ_BIT);
	VkBufferImageCopy copy = {.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
				  .imageExtent = {SCENE_WIDTH, SCENE_HEIGHT, 1}};
	vkCmdCopyImageToBuffer(cmd, scene->color.image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, slot->pixels.buffer, 1,
			       &copy);
	gpu_memory_barrier(cmd, VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT, VK_ACCESS_2_TRANSFER_WRITE_BIT,
			   VK_PIPELINE_STAGE_2_HOST_BIT, VK_ACCESS_2_HOST_READ_BIT);
}

static void scene_update(struct scene_slot *slot, uint32_t number)
{
	struct frame_uniforms uniforms = {
		.camera = {scene_sin(number), scene_cos(number), 7 * 256 / 2 + scene_sin(number * 2) / 64, 10 * 256},
		.spin = {scene_sin(number * 3), scene_cos(number * 3), (int32_t)number, SCENE_CUBES},
		.light = {scene_sin(number + 30) / 2, 12000, scene_cos(number + 30) / 2, 0},
	};
	memcpy(slot->uniforms.mapped, &uniforms, sizeof(uniforms));
}

void scene_submit(struct scene *scene, unsigned slot_number, uint32_t number)
{
	struct gpu *gpu = scene->gpu;
	struct scene_slot *slot = &scene->slots[slot_number];
	scene_update(slot, number);
	VkCommandBufferBeginInfo begin = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
					  .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
	GPU_CHECK(vkBeginCommandBuffer(slot->cmd, &begin));
	vkCmdResetQueryPool(slot->cmd, slot->samples, 0, 1);
	if (slot->times) {
		vkCmdResetQueryPool(slot->cmd, slot->times, 0, 2);
		vkCmdWriteTimestamp2(slot->cmd, VK_PIPELINE_STAGE_2_TOP_OF_PIPE_BIT, slot->times, 0);
	}
	scene_record_compute(scene, slot);
	scene_begin_rendering(scene, slot->cmd);
	scene_record_draws(scene, slot);
	vkCmdEndRendering(slot->cmd);
	scene_record_read_back(scene, slot);
	if (slot->times) {
		vkCmdWriteTimestamp2(slot->cmd, VK_PIPELINE_STAGE_2_BOTTOM_OF_PIPE_BIT, slot->times, 1);
	}
	GPU_CHECK(vkEndCommandBuffer(slot->cmd));
	VkCommandBufferSubmitInfo info = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO, .commandBuffer = slot->cmd};
	VkSubmitInfo2 submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO_2, .commandBufferInfoCount = 1,
				.pCommandBufferInfos = &info};
	GPU_CHECK(vkQueueSubmit2(gpu->queue, 1, &submit, slot->fence));
}

const uint32_t *scene_wait(struct scene *scene, unsigned slot_number, uint64_t *gpu_ns, uint64_t *samples)
{
	struct gpu *gpu = scene->gpu;
	struct scene_slot *slot = &scene->slots[slot_number];
	GPU_CHECK(vkWaitForFences(gpu->device, 1, &slot->fence, VK_TRUE, UINT64_MAX));
	GPU_CHECK(vkResetFences(gpu->device, 1, &slot->fence));
	*gpu_ns = 0;
	if (slot->times) {
		uint64_t times[2];
		GPU_CHECK(vkGetQueryPoolResults(gpu->device, slot->times, 0, 2, sizeof(times), times, 8,
						VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT));
		*gpu_ns = (uint64_t)((double)(times[1] - times[0]) * gpu->properties.limits.timestampPeriod);
	}
	GPU_CHECK(vkGetQueryPoolResults(gpu->device, slot->samples, 0, 1, 8, samples, 8,
					VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT));
	return slot->pixels.mapped;
}
