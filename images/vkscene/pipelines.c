/* SPDX-License-Identifier: Apache-2.0 */
/* pipelines.c - layouts, pipelines and descriptor sets of the scene */
#include "pipelines.h"

#include "bodies.comp.h"
#include "cube.frag.h"
#include "cube.vert.h"
#include "floor.frag.h"
#include "floor.vert.h"
#include "sky.frag.h"
#include "sky.vert.h"
#include "spark.frag.h"
#include "spark.vert.h"

struct recipe {
	const uint32_t *vert, *frag;
	size_t vert_bytes, frag_bytes;
	VkBool32 vertices, depth_test, depth_write, additive;
	VkPrimitiveTopology topology;
	VkCullModeFlags cull;
};

#define CODE(v, f) .vert = v, .vert_bytes = sizeof(v), .frag = f, .frag_bytes = sizeof(f)
static const struct recipe recipes[SCENE_PIPELINES] = {
	{CODE(sky_vert, sky_frag), .topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_LIST},
	{CODE(floor_vert, floor_frag), .vertices = 1, .depth_test = 1, .depth_write = 1,
	 .topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_STRIP},
	{CODE(cube_vert, cube_frag), .vertices = 1, .depth_test = 1, .depth_write = 1,
	 .topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_LIST, .cull = VK_CULL_MODE_BACK_BIT},
	{CODE(spark_vert, spark_frag), .depth_test = 1, .additive = 1,
	 .topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_STRIP},
};

static void pipelines_make_layouts(struct scene *scene)
{
	const VkShaderStageFlags all = VK_SHADER_STAGE_VERTEX_BIT | VK_SHADER_STAGE_COMPUTE_BIT;
	const VkDescriptorSetLayoutBinding bindings[] = {
		{0, VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, 1, all, NULL},
		{1, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, all, NULL},
		{2, VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, 1, VK_SHADER_STAGE_FRAGMENT_BIT, &scene->sampler},
		{3, VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, 1, VK_SHADER_STAGE_FRAGMENT_BIT, NULL},
	};
	VkDescriptorSetLayoutCreateInfo set = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
					       .bindingCount = 4, .pBindings = bindings};
	VkDevice device = scene->gpu->device;
	GPU_CHECK(vkCreateDescriptorSetLayout(device, &set, NULL, &scene->set_layout));
	VkPushConstantRange push = {VK_SHADER_STAGE_VERTEX_BIT, 0, 4};
	VkPipelineLayoutCreateInfo layout = {VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
					     .setLayoutCount = 1, .pSetLayouts = &scene->set_layout,
					     .pushConstantRangeCount = 1, .pPushConstantRanges = &push};
	GPU_CHECK(vkCreatePipelineLayout(device, &layout, NULL, &scene->layout));
}

static void pipelines_make_compute(struct scene *scene)
{
	VkShaderModule module = gpu_shader(scene->gpu, bodies_comp, sizeof(bodies_comp));
	VkComputePipelineCreateInfo info = {
		VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
		.stage = {VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, .stage = VK_SHADER_STAGE_COMPUTE_BIT,
			  .module = module, .pName = "main"},
		.layout = scene->layout,
	};
	GPU_CHECK(vkCreateComputePipelines(scene->gpu->device, VK_NULL_HANDLE, 1, &info, NULL, &scene->place));
	vkDestroyShaderModule(scene->gpu->device, module, NULL);
}

static VkPipeline pipelines_make_one(struct scene *scene, const struct recipe *r)
{
	VkShaderModule vert = gpu_shader(scene->gpu, r->vert, r->vert_bytes);
	VkShaderModule frag = gpu_shader(scene->gpu, r->frag, r->frag_bytes);
	const VkPipelineShaderStageCreateInfo stages[] = {
		{VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, .stage = VK_SHADER_STAGE_VERTEX_BIT,
		 .module = vert, .pName = "main"},
		{VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, .stage = VK_SHADER_STAGE_FRAGMENT_BIT,
		 .module = frag, .pName = "main"},
	};
	const VkVertexInputBindingDescription binding = {0, sizeof(struct scene_vertex), VK_VERTEX_INPUT_RATE_VERTEX};
	const VkVertexInputAttributeDescription attributes[] = {
		{0, 0, VK_FORMAT_R32G32B32_SFLOAT, offsetof(struct scene_vertex, position)},
		{1, 0, VK_FORMAT_R32G32_SFLOAT, offsetof(struct scene_vertex, uv)},
		{2, 0, VK_FORMAT_R32G32B32_SFLOAT, offsetof(struct scene_vertex, normal)},
	};
	VkPipelineVertexInputStateCreateInfo input = {
		VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO, NULL, 0,
		r->vertices ? 1 : 0, &binding, r->vertices ? 3 : 0, attributes};
	VkPipelineInputAssemblyStateCreateInfo assembly = {
		VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO, .topology = r->topology};
	VkPipelineViewportStateCreateInfo viewport = {VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO,
						      .viewportCount = 1, .scissorCount = 1};
	VkPipelineRasterizationStateCreateInfo raster = {
		VK_STRUCTURE_TYPE_PIPELINE_RASTERIZATION_STATE_CREATE_INFO, .polygonMode = VK_POLYGON_MODE_FILL,
		.cullMode = r->cull, .frontFace = VK_FRONT_FACE_COUNTER_CLOCKWISE, .lineWidth = 1.0f};
	VkPipelineMultisampleStateCreateInfo samples = {VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO,
							.rasterizationSamples = VK_SAMPLE_COUNT_1_BIT};
	VkPipelineDepthStencilStateCreateInfo depth = {
		VK_STRUCTURE_TYPE_PIPELINE_DEPTH_STENCIL_STATE_CREATE_INFO, .depthTestEnable = r->depth_test,
		.depthWriteEnable = r->depth_write, .depthCompareOp = VK_COMPARE_OP_LESS};
	VkPipelineColorBlendAttachmentState blend = {
		r->additive, VK_BLEND_FACTOR_ONE, VK_BLEND_FACTOR_ONE, VK_BLEND_OP_ADD,
		VK_BLEND_FACTOR_ZERO, VK_BLEND_FACTOR_ONE, VK_BLEND_OP_ADD, 0xf};
	VkPipelineColorBlendStateCreateInfo blends = {VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO,
						      .attachmentCount = 1, .pAttachments = &blend};
	const VkDynamicState states[] = {VK_DYNAMIC_STATE_VIEWPORT, VK_DYNAMIC_STATE_SCISSOR};
	VkPipelineDynamicStateCreateInfo dynamic = {VK_STRUCTURE_TYPE_PIPELINE_DYNAMIC_STATE_CREATE_INFO,
						    .dynamicStateCount = 2, .pDynamicStates = states};
	const VkFormat format = VK_FORMAT_B8G8R8A8_UNORM;
	VkPipelineRenderingCreateInfo rendering = {VK_STRUCTURE_TYPE_PIPELINE_RENDERING_CREATE_INFO,
						   .colorAttachmentCount = 1, .pColorAttachmentFormats = &format,
						   .depthAttachmentFormat = VK_FORMAT_D32_SFLOAT};
	VkGraphicsPipelineCreateInfo info = {
		VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO, &rendering, .stageCount = 2, .pStages = stages,
		.pVertexInputState = &input, .pInputAssemblyState = &assembly, .pViewportState = &viewport,
		.pRasterizationState = &raster, .pMultisampleState = &samples, .pDepthStencilState = &depth,
		.pColorBlendState = &blends, .pDynamicState = &dynamic, .layout = scene->layout};
	VkPipeline pipeline;
	GPU_CHECK(vkCreateGraphicsPipelines(scene->gpu->device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline));
	vkDestroyShaderModule(scene->gpu->device, vert, NULL);
	vkDestroyShaderModule(scene->gpu->device, frag, NULL);
	return pipeline;
}

void pipelines_create(struct scene *scene)
{
	pipelines_make_layouts(scene);
	pipelines_make_compute(scene);
	for (unsigned i = 0; i < SCENE_PIPELINES; i++) {
		scene->pipelines[i] = pipelines_make_one(scene, &recipes[i]);
	}
}

void pipelines_destroy(struct scene *scene)
{
	VkDevice device = scene->gpu->device;
	for (unsigned i = 0; i < SCENE_PIPELINES; i++) {
		vkDestroyPipeline(device, scene->pipelines[i], NULL);
	}
	vkDestroyPipeline(device, scene->place, NULL);
	vkDestroyPipelineLayout(device, scene->layout, NULL);
	vkDestroyDescriptorPool(device, scene->sets, NULL);
	vkDestroyDescriptorSetLayout(device, scene->set_layout, NULL);
}

static void pipelines_write_set(struct scene *scene, struct scene_slot *slot)
{
	VkDescriptorBufferInfo uniforms = {slot->uniforms.buffer, 0, VK_WHOLE_SIZE};
	VkDescriptorBufferInfo bodies = {scene->bodies.buffer, 0, VK_WHOLE_SIZE};
	VkDescriptorImageInfo tiles = {scene->sampler, scene->tiles.view, VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL};
	VkDescriptorImageInfo crate = {scene->sampler, scene->crate.view, VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL};
	const VkWriteDescriptorSet writes[] = {
		{VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, NULL, slot->set, 0, 0, 1, VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER,
		 NULL, &uniforms, NULL},
		{VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, NULL, slot->set, 1, 0, 1, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
		 NULL, &bodies, NULL},
		{VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, NULL, slot->set, 2, 0, 1,
		 VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, &tiles, NULL, NULL},
		{VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, NULL, slot->set, 3, 0, 1,
		 VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, &crate, NULL, NULL},
	};
	vkUpdateDescriptorSets(scene->gpu->device, 4, writes, 0, NULL);
}

void pipelines_bind_sets(struct scene *scene)
{
	const VkDescriptorPoolSize sizes[] = {
		{VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, GPU_FRAMES},
		{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, GPU_FRAMES},
		{VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, 2 * GPU_FRAMES},
	};
	VkDescriptorPoolCreateInfo pool = {VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = GPU_FRAMES,
					   .poolSizeCount = 3, .pPoolSizes = sizes};
	GPU_CHECK(vkCreateDescriptorPool(scene->gpu->device, &pool, NULL, &scene->sets));
	for (unsigned i = 0; i < GPU_FRAMES; i++) {
		VkDescriptorSetAllocateInfo info = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
						    .descriptorPool = scene->sets, .descriptorSetCount = 1,
						    .pSetLayouts = &scene->set_layout};
		GPU_CHECK(vkAllocateDescriptorSets(scene->gpu->device, &info, &scene->slots[i].set));
		pipelines_write_set(scene, &scene->slots[i]);
	}
}
