/* SPDX-License-Identifier: Apache-2.0 */
/* setup.c - the device and objects that vkbench's lines use */
#include "bench.h"

#include "triangle.frag.h"
#include "triangle.vert.h"
#include "work.comp.h"

#include <string.h>

static bool setup_has(VkPhysicalDevice physical, const char *extension)
{
	VkExtensionProperties all[512];
	uint32_t count = 512;
	if (vkEnumerateDeviceExtensionProperties(physical, NULL, &count, all) < 0) {
		return false;
	}
	while (count && strcmp(all[count - 1].extensionName, extension)) {
		count--;
	}
	return count;
}

bool bench_open(struct gpu *gpu)
{
	const char *push = VK_KHR_PUSH_DESCRIPTOR_EXTENSION_NAME;
	VkApplicationInfo app = {VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_1};
	VkInstanceCreateInfo instance = {VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app};
	GPU_CHECK(vkCreateInstance(&instance, NULL, &gpu->instance));
	uint32_t count = 1;
	VkResult result = vkEnumeratePhysicalDevices(gpu->instance, &count, &gpu->physical);
	if (result < 0 || !count) {
		gpu_die("no Vulkan device");
	}
	vkGetPhysicalDeviceProperties(gpu->physical, &gpu->properties);
	float priority = 1.0f;
	VkDeviceQueueCreateInfo queue = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
					 .queueCount = 1,
					 .pQueuePriorities = &priority};
	bool pushes = setup_has(gpu->physical, push);
	VkDeviceCreateInfo device = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
				     .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue,
				     .enabledExtensionCount = pushes, .ppEnabledExtensionNames = &push};
	GPU_CHECK(vkCreateDevice(gpu->physical, &device, NULL, &gpu->device));
	vkGetDeviceQueue(gpu->device, 0, 0, &gpu->queue);
	VkCommandPoolCreateInfo pool = {VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
					.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT};
	GPU_CHECK(vkCreateCommandPool(gpu->device, &pool, NULL, &gpu->pool));
	return pushes;
}

VkPipeline bench_pipeline(struct bench *bench, VkPipelineCache cache, uint32_t seed)
{
	VkSpecializationMapEntry entry = {0, 0, sizeof(seed)};
	VkSpecializationInfo constants = {1, &entry, sizeof(seed), &seed};
	VkComputePipelineCreateInfo info = {
		VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
		.stage = {VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
			  .stage = VK_SHADER_STAGE_COMPUTE_BIT, .module = bench->work, .pName = "main",
			  .pSpecializationInfo = &constants},
		.layout = bench->layout,
	};
	VkPipeline pipeline;
	GPU_CHECK(vkCreateComputePipelines(bench->gpu.device, cache, 1, &info, NULL, &pipeline));
	return pipeline;
}

static void setup_layouts(struct bench *bench)
{
	VkDevice device = bench->gpu.device;
	VkDescriptorSetLayoutBinding binding = {0, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1,
						VK_SHADER_STAGE_COMPUTE_BIT, NULL};
	VkDescriptorSetLayoutCreateInfo sets = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
						.bindingCount = 1, .pBindings = &binding};
	GPU_CHECK(vkCreateDescriptorSetLayout(device, &sets, NULL, &bench->set_layout));
	VkPushConstantRange push = {VK_SHADER_STAGE_COMPUTE_BIT | VK_SHADER_STAGE_VERTEX_BIT, 0, 4};
	VkPipelineLayoutCreateInfo layout = {VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
					     .setLayoutCount = 1, .pSetLayouts = &bench->set_layout,
					     .pushConstantRangeCount = 1, .pPushConstantRanges = &push};
	GPU_CHECK(vkCreatePipelineLayout(device, &layout, NULL, &bench->layout));
	VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1};
	VkDescriptorPoolCreateInfo pool = {VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = 1,
					   .poolSizeCount = 1, .pPoolSizes = &size};
	GPU_CHECK(vkCreateDescriptorPool(device, &pool, NULL, &bench->pool));
	VkDescriptorSetAllocateInfo set = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
					   .descriptorPool = bench->pool, .descriptorSetCount = 1,
					   .pSetLayouts = &bench->set_layout};
	GPU_CHECK(vkAllocateDescriptorSets(device, &set, &bench->set));
}

static void setup_push(struct bench *bench)
{
	VkDevice device = bench->gpu.device;
	VkDescriptorSetLayoutBinding binding = {0, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1,
						VK_SHADER_STAGE_COMPUTE_BIT, NULL};
	VkDescriptorSetLayoutCreateInfo sets = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
						.flags = VK_DESCRIPTOR_SET_LAYOUT_CREATE_PUSH_DESCRIPTOR_BIT_KHR,
						.bindingCount = 1, .pBindings = &binding};
	VkDescriptorSetLayout set;
	GPU_CHECK(vkCreateDescriptorSetLayout(device, &sets, NULL, &set));
	VkPipelineLayoutCreateInfo layout = {VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
					     .setLayoutCount = 1, .pSetLayouts = &set};
	GPU_CHECK(vkCreatePipelineLayout(device, &layout, NULL, &bench->push_layout));
	bench->push = (PFN_vkCmdPushDescriptorSetKHR)vkGetDeviceProcAddr(device, "vkCmdPushDescriptorSetKHR");
}

static void setup_target(struct bench *bench)
{
	bench->target = gpu_image_create(&bench->gpu, VK_FORMAT_R8G8B8A8_UNORM, BENCH_TARGET, BENCH_TARGET, 1,
					 VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT);
	VkAttachmentDescription attachment = {
		.format = VK_FORMAT_R8G8B8A8_UNORM, .samples = VK_SAMPLE_COUNT_1_BIT,
		.loadOp = VK_ATTACHMENT_LOAD_OP_CLEAR, .storeOp = VK_ATTACHMENT_STORE_OP_STORE,
		.finalLayout = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL};
	VkAttachmentReference reference = {0, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL};
	VkSubpassDescription subpass = {.colorAttachmentCount = 1, .pColorAttachments = &reference};
	VkSubpassDependency after = {0, VK_SUBPASS_EXTERNAL, VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT,
				     VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT,
				     VK_ACCESS_TRANSFER_READ_BIT, 0};
	VkRenderPassCreateInfo pass = {VK_STRUCTURE_TYPE_RENDER_PASS_CREATE_INFO, .attachmentCount = 1,
				       .pAttachments = &attachment, .subpassCount = 1, .pSubpasses = &subpass,
				       .dependencyCount = 1, .pDependencies = &after};
	GPU_CHECK(vkCreateRenderPass(bench->gpu.device, &pass, NULL, &bench->pass));
	VkFramebufferCreateInfo framebuffer = {VK_STRUCTURE_TYPE_FRAMEBUFFER_CREATE_INFO,
					       .renderPass = bench->pass, .attachmentCount = 1,
					       .pAttachments = &bench->target.view, .width = BENCH_TARGET,
					       .height = BENCH_TARGET, .layers = 1};
	GPU_CHECK(vkCreateFramebuffer(bench->gpu.device, &framebuffer, NULL, &bench->framebuffer));
}

static void setup_triangle(struct bench *bench)
{
	struct gpu *gpu = &bench->gpu;
	VkShaderModule vertex = gpu_shader(gpu, triangle_vert, sizeof(triangle_vert));
	VkShaderModule fragment = gpu_shader(gpu, triangle_frag, sizeof(triangle_frag));
	VkPipelineShaderStageCreateInfo stages[2] = {
		{VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, .stage = VK_SHADER_STAGE_VERTEX_BIT,
		 .module = vertex, .pName = "main"},
		{VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, .stage = VK_SHADER_STAGE_FRAGMENT_BIT,
		 .module = fragment, .pName = "main"}};
	VkPipelineVertexInputStateCreateInfo vertices = {VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO};
	VkPipelineInputAssemblyStateCreateInfo assembly = {
		VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO,
		.topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_LIST};
	VkViewport viewport = {0, 0, BENCH_TARGET, BENCH_TARGET, 0, 1};
	VkRect2D scissor = {{0, 0}, {BENCH_TARGET, BENCH_TARGET}};
	VkPipelineViewportStateCreateInfo view = {VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO,
						  .viewportCount = 1, .pViewports = &viewport,
						  .scissorCount = 1, .pScissors = &scissor};
	VkPipelineRasterizationStateCreateInfo raster = {
		VK_STRUCTURE_TYPE_PIPELINE_RASTERIZATION_STATE_CREATE_INFO, .lineWidth = 1.0f};
	VkPipelineMultisampleStateCreateInfo samples = {VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO,
							.rasterizationSamples = VK_SAMPLE_COUNT_1_BIT};
	VkPipelineColorBlendAttachmentState attachment = {.colorWriteMask = 15};
	VkPipelineColorBlendStateCreateInfo blend = {VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO,
						     .attachmentCount = 1, .pAttachments = &attachment};
	VkGraphicsPipelineCreateInfo info = {
		VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO, .stageCount = 2, .pStages = stages,
		.pVertexInputState = &vertices, .pInputAssemblyState = &assembly, .pViewportState = &view,
		.pRasterizationState = &raster, .pMultisampleState = &samples, .pColorBlendState = &blend,
		.layout = bench->layout, .renderPass = bench->pass};
	GPU_CHECK(vkCreateGraphicsPipelines(gpu->device, VK_NULL_HANDLE, 1, &info, NULL, &bench->triangle));
	vkDestroyShaderModule(gpu->device, vertex, NULL);
	vkDestroyShaderModule(gpu->device, fragment, NULL);
}

void bench_setup(struct bench *bench)
{
	struct gpu *gpu = &bench->gpu;
	bool pushes = bench_open(gpu);
	setup_layouts(bench);
	if (pushes) {
		setup_push(bench);
	}
	bench->words = gpu_buffer_create(gpu, 1 << 20, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
						       VK_BUFFER_USAGE_TRANSFER_DST_BIT, false);
	bench->visible = gpu_buffer_create(gpu, BENCH_COPY_BYTES, VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
								  VK_BUFFER_USAGE_TRANSFER_DST_BIT, true);
	bench->copy = gpu_buffer_create(gpu, BENCH_COPY_BYTES, VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
							       VK_BUFFER_USAGE_TRANSFER_DST_BIT, false);
	VkDescriptorBufferInfo words = {bench->words.buffer, 0, VK_WHOLE_SIZE};
	VkWriteDescriptorSet write = {VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, .dstSet = bench->set,
				      .descriptorCount = 1, .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
				      .pBufferInfo = &words};
	vkUpdateDescriptorSets(gpu->device, 1, &write, 0, NULL);
	bench->work = gpu_shader(gpu, work_comp, sizeof(work_comp));
	bench->compute = bench_pipeline(bench, VK_NULL_HANDLE, 1);
	setup_target(bench);
	setup_triangle(bench);
	VkFenceCreateInfo fence = {VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
	GPU_CHECK(vkCreateFence(gpu->device, &fence, NULL, &bench->fence));
	VkCommandBufferAllocateInfo cmd = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
					   .commandPool = gpu->pool, .commandBufferCount = 1};
	GPU_CHECK(vkAllocateCommandBuffers(gpu->device, &cmd, &bench->cmd));
}

VkCommandBuffer bench_begin(struct bench *bench)
{
	VkCommandBufferBeginInfo begin = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
	GPU_CHECK(vkBeginCommandBuffer(bench->cmd, &begin));
	return bench->cmd;
}

void bench_submit_wait(struct bench *bench, VkCommandBuffer cmd)
{
	VkSubmitInfo submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = cmd != NULL,
			       .pCommandBuffers = &cmd};
	GPU_CHECK(vkQueueSubmit(bench->gpu.queue, 1, &submit, bench->fence));
	GPU_CHECK(vkWaitForFences(bench->gpu.device, 1, &bench->fence, VK_TRUE, UINT64_MAX));
	GPU_CHECK(vkResetFences(bench->gpu.device, 1, &bench->fence));
}
