/* SPDX-License-Identifier: Apache-2.0 */
/*
 * venus_fake.c - see venus_fake.h
 *
 * Streams are written by hand, so that a mistake in the generator cannot hide in a test.
 * Threads: one.
 */
#include "venus_fake.h"

/* --- the fake driver: what it was asked, and what it shall answer --- */

struct fake fake;

static VkResult fake_vkCreateInstance(const VkInstanceCreateInfo *info,
				      const VkAllocationCallbacks *a, VkInstance *out)
{
	*out = (VkInstance)0x1000;
	return info && !a ? VK_SUCCESS : VK_ERROR_UNKNOWN;
}

static VkResult fake_vkEnumeratePhysicalDevices(VkInstance instance, uint32_t *count,
						VkPhysicalDevice *out)
{
	uint32_t room = *count;
	for (uint32_t i = 0; out && i < 2 && i < room; i++) {
		out[i] = (VkPhysicalDevice)(uintptr_t)(0x2000 + i);
	}
	*count = !out || room > 2 ? 2 : room;
	return out && room < 2 ? VK_INCOMPLETE : VK_SUCCESS;
}

static VkResult fake_vkEnumeratePhysicalDeviceGroups(VkInstance instance, uint32_t *count,
						     VkPhysicalDeviceGroupProperties *out)
{
	*count = 1;
	if (out) {
		out->physicalDeviceCount = 2;
		out->physicalDevices[0] = (VkPhysicalDevice)0x2001;
		out->physicalDevices[1] = (VkPhysicalDevice)0x2000;
		out->subsetAllocation = VK_TRUE;
	}
	return VK_SUCCESS;
}

static VkResult fake_vkEnumerateDeviceExtensionProperties(VkPhysicalDevice physical,
							  const char *layer, uint32_t *count,
							  VkExtensionProperties *out)
{
	*count = 1;
	if (out) {
		strcpy(out->extensionName, "VK_EXT_robustness2");
	}
	return VK_SUCCESS;
}

static void fake_vkGetPhysicalDeviceProperties(VkPhysicalDevice physical,
					       VkPhysicalDeviceProperties *out)
{
	*out = (VkPhysicalDeviceProperties){.apiVersion = VK_API_VERSION_1_1, .vendorID = 7};
}

static void fake_vkGetPhysicalDeviceProperties2(VkPhysicalDevice physical,
						VkPhysicalDeviceProperties2 *out)
{
	strcpy(out->properties.deviceName, "fake");
	out->properties.limits.maxImageDimension1D = 4096;
	out->properties.limits.lineWidthRange[1] = 8.0f;
	for (VkBaseOutStructure *s = out->pNext; s; s = s->pNext) {
		if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES) {
			((VkPhysicalDeviceSubgroupProperties *)(void *)s)->subgroupSize = 32;
		} else if (s->sType ==
			   VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ROBUSTNESS_2_PROPERTIES_EXT) {
			((VkPhysicalDeviceRobustness2PropertiesEXT *)(void *)s)
				->robustUniformBufferAccessSizeAlignment = 16;
		} else {
			fake.saw_hidden = true;
		}
	}
}

static VkResult fake_vkCreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
				    const VkAllocationCallbacks *a, VkDevice *out)
{
	*out = (VkDevice)0x3000;
	return info->pQueueCreateInfos[0].pQueuePriorities[0] == 1.0f ? VK_SUCCESS
								      : VK_ERROR_UNKNOWN;
}

static VkResult fake_create(VkDevice device, const void *info, const VkAllocationCallbacks *a,
			    uint64_t *out)
{
	fake.calls++;
	*out = fake.answer < 0 ? 0xbad : ++fake.next_handle;
	return fake.answer;
}

static VkResult fake_vkAllocateCommandBuffers(VkDevice device,
					      const VkCommandBufferAllocateInfo *info,
					      VkCommandBuffer *out)
{
	for (uint32_t i = 0; i < info->commandBufferCount; i++) {
		out[i] = (VkCommandBuffer)(uintptr_t)++fake.next_handle;
	}
	return VK_SUCCESS;
}

static void fake_free_many(VkDevice device, uint64_t pool, uint32_t count, const uint64_t *handles)
{
	fake.calls++;
}

static void fake_destroy(VkDevice device, uint64_t handle, const VkAllocationCallbacks *a)
{
	if (handle && fake.destroyed_count < 8) {
		fake.destroyed[fake.destroyed_count++] = (unsigned)handle;
	}
}

static void fake_destroy_root(void *object, const VkAllocationCallbacks *a)
{
	fake_destroy(NULL, (uintptr_t)object, a);
}

static VkResult fake_vkDeviceWaitIdle(VkDevice device)
{
	fake.waits_idle++;
	return VK_SUCCESS;
}

static VkResult fake_vkCreateGraphicsPipelines(VkDevice device, VkPipelineCache cache,
					       uint32_t count,
					       const VkGraphicsPipelineCreateInfo *info,
					       const VkAllocationCallbacks *a, VkPipeline *out)
{
	const VkPipelineShaderStageCreateInfo *stage = &info->pStages[0];
	strncpy(fake.shader_entry, stage->pName, sizeof(fake.shader_entry) - 1);
	memcpy(&fake.spec_value,
	       (const char *)stage->pSpecializationInfo->pData +
		       stage->pSpecializationInfo->pMapEntries[1].offset,
	       4);
	fake.module = (uint64_t)(uintptr_t)stage->module;
	fake.attribute_format = info->pVertexInputState->pVertexAttributeDescriptions[0].format;
	fake.viewport_count =
		info->pViewportState->viewportCount + !!info->pViewportState->pViewports * 100;
	fake.sample_mask = info->pMultisampleState->pSampleMask[0];
	fake.blend = info->pColorBlendState->blendConstants[3];
	fake.layout = (uint64_t)(uintptr_t)info->layout;
	fake.render_pass = (uint64_t)(uintptr_t)info->renderPass;
	for (uint32_t i = 0; i < count; i++) {
		out[i] = (VkPipeline)(uintptr_t)(i == 0 ? ++fake.next_handle : 0);
	}
	return count > 1 ? VK_ERROR_INVALID_SHADER_NV : VK_SUCCESS;
}

static void fake_vkUpdateDescriptorSets(VkDevice device, uint32_t writes,
					const VkWriteDescriptorSet *write, uint32_t copies,
					const VkCopyDescriptorSet *copy)
{
	fake.calls++;
	fake.write_set = (uint64_t)(uintptr_t)write[0].dstSet;
	fake.write_sampler = (uint64_t)(uintptr_t)write[0].pImageInfo[1].sampler;
	fake.write_layout = write[0].pImageInfo[1].imageLayout;
	fake.write_buffer = (uint64_t)(uintptr_t)write[1].pBufferInfo->buffer;
	fake.write_range = write[1].pBufferInfo->range;
	fake.copy_set = copies ? (uint64_t)(uintptr_t)copy->dstSet : 0;
}

static void fake_vkCmdBeginRenderPass(VkCommandBuffer cmd, const VkRenderPassBeginInfo *info,
				      VkSubpassContents contents)
{
	memcpy(fake.clear_color, info->pClearValues[0].color.float32, sizeof(fake.clear_color));
	fake.clear_depth = info->pClearValues[1].depthStencil.depth;
	fake.rect_width = info->renderArea.extent.width;
}

static void fake_vkCmdDraw(VkCommandBuffer cmd, uint32_t vertices, uint32_t instances,
			   uint32_t first, uint32_t first_instance)
{
	fake.drawn += vertices + 10 * instances + 100 * first + 1000 * first_instance;
}

static VkResult fake_vkGetPipelineCacheData(VkDevice device, VkPipelineCache cache, size_t *size,
					    void *data)
{
	if (data) {
		memcpy(data, "abcdefg", 7);
		*size = 1000000; /* a driver that is wrong about what it wrote */
	}
	return VK_SUCCESS;
}

static PFN_vkVoidFunction fake_get_device_proc(VkDevice device, const char *name);

PFN_vkVoidFunction fake_get_proc(VkInstance instance, const char *name)
{
#define FN(name)                                                                                   \
	{                                                                                          \
		"vk" #name, (PFN_vkVoidFunction)fake_vk##name                                      \
	}
#define AS(name, fn)                                                                               \
	{                                                                                          \
		"vk" #name, (PFN_vkVoidFunction)(fn)                                               \
	}
	static const struct {
		const char *name;
		PFN_vkVoidFunction fn;
	} table[] = {
		FN(CreateInstance),
		FN(EnumeratePhysicalDevices),
		FN(EnumeratePhysicalDeviceGroups),
		FN(EnumerateDeviceExtensionProperties),
		FN(GetPhysicalDeviceProperties),
		FN(GetPhysicalDeviceProperties2),
		FN(CreateDevice),
		FN(DeviceWaitIdle),
		FN(CreateGraphicsPipelines),
		FN(UpdateDescriptorSets),
		FN(CmdBeginRenderPass),
		FN(CmdDraw),
		FN(AllocateCommandBuffers),
		FN(GetPipelineCacheData),
		AS(GetDeviceProcAddr, fake_get_device_proc),
		AS(DestroyInstance, fake_destroy_root),
		AS(DestroyDevice, fake_destroy_root),
		AS(CreateFence, fake_create),
		AS(DestroyFence, fake_destroy),
		AS(CreateBuffer, fake_create),
		AS(DestroyBuffer, fake_destroy),
		AS(CreateBufferView, fake_create),
		AS(DestroyBufferView, fake_destroy),
		AS(CreateCommandPool, fake_create),
		AS(DestroyCommandPool, fake_destroy),
		AS(FreeCommandBuffers, fake_free_many),
		AS(DestroyPipeline, fake_destroy),
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (strcmp(table[i].name, name) == 0) {
			return table[i].fn;
		}
	}
	return NULL;
}

static PFN_vkVoidFunction fake_get_device_proc(VkDevice device, const char *name)
{
	return fake_get_proc(NULL, name);
}

/* --- a world for each test --- */

void world_add(struct world *world, uint64_t id, VkObjectType type, uint64_t handle, uint64_t pool,
	       VkObjectType pool_type)
{
	struct venus_object *device =
		venus_objects_find(&world->dispatch.objects, ID_DEVICE, VK_OBJECT_TYPE_DEVICE);
	struct venus_object *parent =
		pool ? venus_objects_find(&world->dispatch.objects, pool, pool_type) : NULL;
	assert_non_null(
		venus_objects_add(&world->dispatch.objects, id, type, handle, device, parent));
}

void world_open(struct world *world, const struct venus_hook *hooks)
{
	fake = (struct fake){.next_handle = 0x5000};
	assert_int_equal(venus_dispatch_init(&world->dispatch, fake_get_proc, hooks, NULL), 0);
	venus_decoder_init(&world->decoder, &world->dispatch, NULL, 1 << 20);
	struct wire wire = {0};
	put_world(&wire);
	assert_int_equal(world_run(world, &wire), 0);
}

void world_close(struct world *world)
{
	venus_decoder_finish(&world->decoder);
	venus_dispatch_finish(&world->dispatch);
}

void expect_reply(struct world *world, const struct wire *wire)
{
	assert_int_equal(world_reply_len(world), wire->len);
	assert_memory_equal(world->reply, wire->bytes, wire->len);
}

/* --- streams used by several tests --- */

void put_create_fence(struct wire *wire, uint32_t flags, uint64_t id)
{
	put_command(wire, VENUS_vkCreateFence, flags);
	put_u64(wire, ID_DEVICE);
	put_u64(wire, 1);
	put_stype(wire, VK_STRUCTURE_TYPE_FENCE_CREATE_INFO);
	put_u32(wire, 0);
	put_u64(wire, 0);
	put_u64(wire, 1), put_u64(wire, id);
}

void put_destroy(struct wire *wire, uint32_t command, uint64_t id)
{
	put_command(wire, command, 0);
	put_u64(wire, ID_DEVICE), put_u64(wire, id), put_u64(wire, 0);
}

void put_draw(struct wire *wire, uint64_t cmd)
{
	put_command(wire, VENUS_vkCmdDraw, 0);
	put_u64(wire, cmd);
	put_u32(wire, 3), put_u32(wire, 1), put_u32(wire, 0), put_u32(wire, 2);
}

void put_begin_render_pass(struct wire *wire, uint64_t cmd, uint64_t pass, uint64_t framebuffer)
{
	put_command(wire, VENUS_vkCmdBeginRenderPass, 0);
	put_u64(wire, cmd);
	put_u64(wire, 1);
	put_stype(wire, VK_STRUCTURE_TYPE_RENDER_PASS_BEGIN_INFO);
	put_u64(wire, pass), put_u64(wire, framebuffer);
	put_u32(wire, 0), put_u32(wire, 0), put_u32(wire, 640), put_u32(wire, 480);
	put_u32(wire, 2), put_u64(wire, 2);
	const float color[4] = {0.25f, 0.5f, 0.75f, 1.0f};
	put_u32(wire, 0), put_u32(wire, 2), put_u64(wire, 4), put_bytes(wire, color, sizeof(color));
	put_u32(wire, 1), put_f32(wire, 0.5f), put_u32(wire, 9);
	put_u32(wire, VK_SUBPASS_CONTENTS_INLINE);
}

void put_update_sets(struct wire *wire)
{
	put_command(wire, VENUS_vkUpdateDescriptorSets, 0);
	put_u64(wire, ID_DEVICE);
	put_u32(wire, 2), put_u64(wire, 2);
	put_stype(wire, VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET);
	put_u64(wire, 110), put_u32(wire, 0), put_u32(wire, 0), put_u32(wire, 2);
	put_u32(wire, VK_DESCRIPTOR_TYPE_SAMPLER);
	put_u64(wire, 2);
	put_u64(wire, 111), put_u64(wire, 0), put_u32(wire, 1);
	put_u64(wire, 112), put_u64(wire, 0), put_u32(wire, 5);
	put_u64(wire, 0), put_u64(wire, 0);
	put_stype(wire, VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET);
	put_u64(wire, 110), put_u32(wire, 1), put_u32(wire, 0), put_u32(wire, 1);
	put_u32(wire, VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER);
	put_u64(wire, 0);
	put_u64(wire, 1), put_u64(wire, 113), put_u64(wire, 0), put_u64(wire, VK_WHOLE_SIZE);
	put_u64(wire, 0);
	put_u32(wire, 1), put_u64(wire, 1);
	put_stype(wire, VK_STRUCTURE_TYPE_COPY_DESCRIPTOR_SET);
	put_u64(wire, 110), put_u32(wire, 0), put_u32(wire, 0), put_u64(wire, 114),
		put_u32(wire, 0), put_u32(wire, 0);
	put_u32(wire, 1);
}

static void put_graphics_pipeline(struct wire *wire)
{
	put_stype(wire, VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO);
	put_u32(wire, 0);
	put_u32(wire, 1), put_u64(wire, 1);
	put_stype(wire, VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO);
	put_u32(wire, 0), put_u32(wire, VK_SHADER_STAGE_VERTEX_BIT), put_u64(wire, 120),
		put_string(wire, "main_vs");
	put_u64(wire, 1); /* specialization */
	put_u32(wire, 2), put_u64(wire, 2);
	put_u32(wire, 0), put_u32(wire, 0), put_u64(wire, 4);
	put_u32(wire, 1), put_u32(wire, 4), put_u64(wire, 4);
	put_u64(wire, 10), put_u64(wire, 10), put_bytes(wire, "\1\0\0\0\2\0\0\0\3\3", 10);
	put_u64(wire, 1); /* vertex input */
	put_stype(wire, VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO);
	put_u32(wire, 0);
	put_u32(wire, 0), put_u64(wire, 0);
	put_u32(wire, 1), put_u64(wire, 1);
	put_u32(wire, 0), put_u32(wire, 0), put_u32(wire, VK_FORMAT_R32_SFLOAT), put_u32(wire, 0);
	put_u64(wire, 0); /* input assembly */
	put_u64(wire, 0); /* tessellation */
	put_u64(wire, 1); /* viewport: a count without an array */
	put_stype(wire, VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO);
	put_u32(wire, 0), put_u32(wire, 1), put_u64(wire, 0), put_u32(wire, 1), put_u64(wire, 0);
	put_u64(wire, 0); /* rasterization */
	put_u64(wire, 1); /* multisample */
	put_stype(wire, VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO);
	put_u32(wire, 0), put_u32(wire, 4), put_u32(wire, 0), put_f32(wire, 0.0f);
	put_u64(wire, 1), put_u32(wire, 0xf0f0);
	put_u32(wire, 0), put_u32(wire, 0);
	put_u64(wire, 0); /* depth stencil */
	put_u64(wire, 1); /* color blend */
	put_stype(wire, VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO);
	put_u32(wire, 0), put_u32(wire, 0), put_u32(wire, 0), put_u32(wire, 0), put_u64(wire, 0);
	const float blend[4] = {1, 2, 3, 4};
	put_u64(wire, 4), put_bytes(wire, blend, sizeof(blend));
	put_u64(wire, 0); /* dynamic */
	put_u64(wire, 121), put_u64(wire, 122), put_u32(wire, 0), put_u64(wire, 0),
		put_u32(wire, 0xffffffff);
}

void put_create_pipelines(struct wire *wire, uint32_t flags, uint32_t count, uint64_t first_id)
{
	put_command(wire, VENUS_vkCreateGraphicsPipelines, flags);
	put_u64(wire, ID_DEVICE), put_u64(wire, 0);
	put_u32(wire, count), put_u64(wire, count);
	for (uint32_t i = 0; i < count; i++) {
		put_graphics_pipeline(wire);
	}
	put_u64(wire, 0);
	put_u64(wire, count);
	for (uint32_t i = 0; i < count; i++) {
		put_u64(wire, first_id + i);
	}
}

void put_properties2(struct wire *wire)
{
	put_command(wire, VENUS_vkGetPhysicalDeviceProperties2, VENUS_FLAG_REPLY);
	put_u64(wire, ID_PHYSICAL);
	put_u64(wire, 1);
	put_u32(wire, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2);
	put_u64(wire, 1),
		put_u32(wire, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TRANSFORM_FEEDBACK_PROPERTIES_EXT);
	put_u64(wire, 1), put_u32(wire, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES);
	put_u64(wire, 1),
		put_u32(wire, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_LINE_RASTERIZATION_PROPERTIES_EXT);
	put_u64(wire, 1),
		put_u32(wire, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ROBUSTNESS_2_PROPERTIES_EXT);
	put_u64(wire, 0);
}

void world_add_drawing(struct world *world)
{
	world_add(world, 100, VK_OBJECT_TYPE_COMMAND_POOL, 0x700, 0, 0);
	world_add(world, 101, VK_OBJECT_TYPE_COMMAND_BUFFER, 0x701, 100,
		  VK_OBJECT_TYPE_COMMAND_POOL);
	world_add(world, 102, VK_OBJECT_TYPE_RENDER_PASS, 0x702, 0, 0);
	world_add(world, 103, VK_OBJECT_TYPE_FRAMEBUFFER, 0x703, 0, 0);
	world_add(world, 109, VK_OBJECT_TYPE_DESCRIPTOR_POOL, 0x709, 0, 0);
	world_add(world, 110, VK_OBJECT_TYPE_DESCRIPTOR_SET, 0x710, 109,
		  VK_OBJECT_TYPE_DESCRIPTOR_POOL);
	world_add(world, 111, VK_OBJECT_TYPE_SAMPLER, 0x711, 0, 0);
	world_add(world, 112, VK_OBJECT_TYPE_SAMPLER, 0x712, 0, 0);
	world_add(world, 113, VK_OBJECT_TYPE_BUFFER, 0x713, 0, 0);
	world_add(world, 114, VK_OBJECT_TYPE_DESCRIPTOR_SET, 0x714, 109,
		  VK_OBJECT_TYPE_DESCRIPTOR_POOL);
	world_add(world, 120, VK_OBJECT_TYPE_SHADER_MODULE, 0x720, 0, 0);
	world_add(world, 121, VK_OBJECT_TYPE_PIPELINE_LAYOUT, 0x721, 0, 0);
	world_add(world, 122, VK_OBJECT_TYPE_RENDER_PASS, 0x722, 0, 0);
	world_add(world, 123, VK_OBJECT_TYPE_PIPELINE_CACHE, 0x723, 0, 0);
}

uint32_t reply_u32(const struct world *world, size_t at)
{
	uint32_t value;
	memcpy(&value, world->reply + at, sizeof(value));
	return value;
}

void put_everything(struct wire *wire)
{
	put_properties2(wire);
	put_create_pipelines(wire, VENUS_FLAG_REPLY, 1, 200);
	put_update_sets(wire);
	put_begin_render_pass(wire, 101, 102, 103);
	put_draw(wire, 101);
	put_create_fence(wire, VENUS_FLAG_REPLY, 300);
	put_destroy(wire, VENUS_vkDestroyFence, 300);
}
