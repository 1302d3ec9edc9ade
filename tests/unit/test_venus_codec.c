/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_venus_codec.c - the Venus decoder, dispatcher and encoder against a fake driver
 *
 * Streams are written by hand (venus_world.h), so that a mistake in the generator cannot hide in the test.
 */
#include "unit.h"
#include "venus_world.h"

/* --- the fake driver: what it was asked, and what it shall answer --- */

static struct fake {
	unsigned calls, destroyed[8], destroyed_count, waits_idle, drawn;
	VkResult answer; /* of creations */
	uint64_t next_handle;
	float clear_color[4];
	float clear_depth;
	uint32_t rect_width;
	char shader_entry[16];
	uint32_t spec_value, sample_mask, viewport_count, attribute_format;
	uint64_t module, layout, render_pass;
	float blend;
	uint64_t write_set, write_sampler, write_buffer, copy_set;
	uint32_t write_layout;
	VkDeviceSize write_range;
	bool saw_hidden;
} fake;

static VkResult fake_vkCreateInstance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *a, VkInstance *out)
{
	*out = (VkInstance)0x1000;
	return info && !a ? VK_SUCCESS : VK_ERROR_UNKNOWN;
}

static VkResult fake_vkEnumeratePhysicalDevices(VkInstance instance, uint32_t *count, VkPhysicalDevice *out)
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

static VkResult fake_vkEnumerateDeviceExtensionProperties(VkPhysicalDevice physical, const char *layer, uint32_t *count,
							  VkExtensionProperties *out)
{
	*count = 1;
	if (out) {
		strcpy(out->extensionName, "VK_EXT_robustness2");
	}
	return VK_SUCCESS;
}

static void fake_vkGetPhysicalDeviceProperties(VkPhysicalDevice physical, VkPhysicalDeviceProperties *out)
{
	*out = (VkPhysicalDeviceProperties){.apiVersion = VK_API_VERSION_1_1, .vendorID = 7};
}

static void fake_vkGetPhysicalDeviceProperties2(VkPhysicalDevice physical, VkPhysicalDeviceProperties2 *out)
{
	strcpy(out->properties.deviceName, "fake");
	out->properties.limits.maxImageDimension1D = 4096;
	out->properties.limits.lineWidthRange[1] = 8.0f;
	for (VkBaseOutStructure *s = out->pNext; s; s = s->pNext) {
		if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES) {
			((VkPhysicalDeviceSubgroupProperties *)(void *)s)->subgroupSize = 32;
		} else if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ROBUSTNESS_2_PROPERTIES_EXT) {
			((VkPhysicalDeviceRobustness2PropertiesEXT *)(void *)s)->robustUniformBufferAccessSizeAlignment = 16;
		} else {
			fake.saw_hidden = true;
		}
	}
}

static VkResult fake_vkCreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
				    const VkAllocationCallbacks *a, VkDevice *out)
{
	*out = (VkDevice)0x3000;
	return info->pQueueCreateInfos[0].pQueuePriorities[0] == 1.0f ? VK_SUCCESS : VK_ERROR_UNKNOWN;
}

static VkResult fake_create(VkDevice device, const void *info, const VkAllocationCallbacks *a, uint64_t *out)
{
	fake.calls++;
	*out = fake.answer < 0 ? 0xbad : ++fake.next_handle;
	return fake.answer;
}

static VkResult fake_vkAllocateCommandBuffers(VkDevice device, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *out)
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
	fake.destroyed[fake.destroyed_count++] = (unsigned)(uintptr_t)object;
}

static VkResult fake_vkDeviceWaitIdle(VkDevice device)
{
	fake.waits_idle++;
	return VK_SUCCESS;
}

static VkResult fake_vkCreateGraphicsPipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
					       const VkGraphicsPipelineCreateInfo *info, const VkAllocationCallbacks *a,
					       VkPipeline *out)
{
	const VkPipelineShaderStageCreateInfo *stage = &info->pStages[0];
	strncpy(fake.shader_entry, stage->pName, sizeof(fake.shader_entry) - 1);
	memcpy(&fake.spec_value, (const char *)stage->pSpecializationInfo->pData +
	       stage->pSpecializationInfo->pMapEntries[1].offset, 4);
	fake.module = (uint64_t)(uintptr_t)stage->module;
	fake.attribute_format = info->pVertexInputState->pVertexAttributeDescriptions[0].format;
	fake.viewport_count = info->pViewportState->viewportCount + !!info->pViewportState->pViewports * 100;
	fake.sample_mask = info->pMultisampleState->pSampleMask[0];
	fake.blend = info->pColorBlendState->blendConstants[3];
	fake.layout = (uint64_t)(uintptr_t)info->layout;
	fake.render_pass = (uint64_t)(uintptr_t)info->renderPass;
	for (uint32_t i = 0; i < count; i++) {
		out[i] = (VkPipeline)(uintptr_t)(i == 0 ? ++fake.next_handle : 0);
	}
	return count > 1 ? VK_ERROR_INVALID_SHADER_NV : VK_SUCCESS;
}

static void fake_vkUpdateDescriptorSets(VkDevice device, uint32_t writes, const VkWriteDescriptorSet *write, uint32_t copies,
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

static void fake_vkCmdBeginRenderPass(VkCommandBuffer cmd, const VkRenderPassBeginInfo *info, VkSubpassContents contents)
{
	memcpy(fake.clear_color, info->pClearValues[0].color.float32, sizeof(fake.clear_color));
	fake.clear_depth = info->pClearValues[1].depthStencil.depth;
	fake.rect_width = info->renderArea.extent.width;
}

static void fake_vkCmdDraw(VkCommandBuffer cmd, uint32_t vertices, uint32_t instances, uint32_t first, uint32_t first_instance)
{
	fake.drawn += vertices + 10 * instances + 100 * first + 1000 * first_instance;
}

static VkResult fake_vkGetPipelineCacheData(VkDevice device, VkPipelineCache cache, size_t *size, void *data)
{
	if (data) {
		memcpy(data, "abcdefg", 7);
		*size = 1000000; /* a driver that is wrong about what it wrote */
	}
	return VK_SUCCESS;
}

static PFN_vkVoidFunction fake_get_device_proc(VkDevice device, const char *name);

static PFN_vkVoidFunction fake_get_proc(VkInstance instance, const char *name)
{
#define FN(name) {"vk" #name, (PFN_vkVoidFunction)fake_vk##name}
#define AS(name, fn) {"vk" #name, (PFN_vkVoidFunction)(fn)}
	static const struct {
		const char *name;
		PFN_vkVoidFunction fn;
	} table[] = {
		FN(CreateInstance), FN(EnumeratePhysicalDevices), FN(EnumeratePhysicalDeviceGroups),
		FN(EnumerateDeviceExtensionProperties), FN(GetPhysicalDeviceProperties), FN(GetPhysicalDeviceProperties2),
		FN(CreateDevice), FN(DeviceWaitIdle), FN(CreateGraphicsPipelines), FN(UpdateDescriptorSets),
		FN(CmdBeginRenderPass), FN(CmdDraw), FN(AllocateCommandBuffers), FN(GetPipelineCacheData),
		AS(GetDeviceProcAddr, fake_get_device_proc), AS(DestroyInstance, fake_destroy_root),
		AS(DestroyDevice, fake_destroy_root), AS(CreateFence, fake_create), AS(DestroyFence, fake_destroy),
		AS(CreateBuffer, fake_create), AS(DestroyBuffer, fake_destroy), AS(CreateBufferView, fake_create),
		AS(DestroyBufferView, fake_destroy), AS(CreateCommandPool, fake_create),
		AS(DestroyCommandPool, fake_destroy), AS(FreeCommandBuffers, fake_free_many), AS(DestroyPipeline, fake_destroy),
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

static void world_add(struct world *world, uint64_t id, VkObjectType type, uint64_t handle, uint64_t pool, VkObjectType pool_type)
{
	struct venus_object *device = venus_objects_find(&world->dispatch.objects, ID_DEVICE, VK_OBJECT_TYPE_DEVICE);
	struct venus_object *parent = pool ? venus_objects_find(&world->dispatch.objects, pool, pool_type) : NULL;
	assert_non_null(venus_objects_add(&world->dispatch.objects, id, type, handle, device, parent));
}

static void world_open(struct world *world, const struct venus_hook *hooks)
{
	fake = (struct fake){.next_handle = 0x5000};
	assert_int_equal(venus_dispatch_init(&world->dispatch, fake_get_proc, hooks, NULL), 0);
	venus_decoder_init(&world->decoder, &world->dispatch, NULL, 1 << 20);
	struct wire wire = {0};
	put_world(&wire);
	assert_int_equal(world_run(world, &wire), 0);
}

static void world_close(struct world *world)
{
	venus_decoder_finish(&world->decoder);
	venus_dispatch_finish(&world->dispatch);
}

static void expect_reply(struct world *world, const struct wire *wire)
{
	assert_int_equal(world_reply_len(world), wire->len);
	assert_memory_equal(world->reply, wire->bytes, wire->len);
}

/* --- streams used by several tests --- */

static void put_create_fence(struct wire *wire, uint32_t flags, uint64_t id)
{
	put_command(wire, VENUS_vkCreateFence, flags);
	put_u64(wire, ID_DEVICE);
	put_u64(wire, 1);
	put_stype(wire, VK_STRUCTURE_TYPE_FENCE_CREATE_INFO);
	put_u32(wire, 0);
	put_u64(wire, 0);
	put_u64(wire, 1), put_u64(wire, id);
}

static void put_destroy(struct wire *wire, uint32_t command, uint64_t id)
{
	put_command(wire, command, 0);
	put_u64(wire, ID_DEVICE), put_u64(wire, id), put_u64(wire, 0);
}

static void put_draw(struct wire *wire, uint64_t cmd)
{
	put_command(wire, VENUS_vkCmdDraw, 0);
	put_u64(wire, cmd);
	put_u32(wire, 3), put_u32(wire, 1), put_u32(wire, 0), put_u32(wire, 2);
}

static void put_begin_render_pass(struct wire *wire, uint64_t cmd, uint64_t pass, uint64_t framebuffer)
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

static void put_update_sets(struct wire *wire)
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
	put_u64(wire, 110), put_u32(wire, 0), put_u32(wire, 0), put_u64(wire, 114), put_u32(wire, 0), put_u32(wire, 0);
	put_u32(wire, 1);
}

static void put_graphics_pipeline(struct wire *wire)
{
	put_stype(wire, VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO);
	put_u32(wire, 0);
	put_u32(wire, 1), put_u64(wire, 1);
	put_stype(wire, VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO);
	put_u32(wire, 0), put_u32(wire, VK_SHADER_STAGE_VERTEX_BIT), put_u64(wire, 120), put_string(wire, "main_vs");
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
	put_u64(wire, 121), put_u64(wire, 122), put_u32(wire, 0), put_u64(wire, 0), put_u32(wire, 0xffffffff);
}

static void put_create_pipelines(struct wire *wire, uint32_t flags, uint32_t count, uint64_t first_id)
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

static void put_properties2(struct wire *wire)
{
	put_command(wire, VENUS_vkGetPhysicalDeviceProperties2, VENUS_FLAG_REPLY);
	put_u64(wire, ID_PHYSICAL);
	put_u64(wire, 1);
	put_u32(wire, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2);
	put_u64(wire, 1), put_u32(wire, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TRANSFORM_FEEDBACK_PROPERTIES_EXT);
	put_u64(wire, 1), put_u32(wire, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES);
	put_u64(wire, 1), put_u32(wire, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_LINE_RASTERIZATION_PROPERTIES_EXT);
	put_u64(wire, 1), put_u32(wire, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ROBUSTNESS_2_PROPERTIES_EXT);
	put_u64(wire, 0);
}

static void world_add_drawing(struct world *world)
{
	world_add(world, 100, VK_OBJECT_TYPE_COMMAND_POOL, 0x700, 0, 0);
	world_add(world, 101, VK_OBJECT_TYPE_COMMAND_BUFFER, 0x701, 100, VK_OBJECT_TYPE_COMMAND_POOL);
	world_add(world, 102, VK_OBJECT_TYPE_RENDER_PASS, 0x702, 0, 0);
	world_add(world, 103, VK_OBJECT_TYPE_FRAMEBUFFER, 0x703, 0, 0);
	world_add(world, 109, VK_OBJECT_TYPE_DESCRIPTOR_POOL, 0x709, 0, 0);
	world_add(world, 110, VK_OBJECT_TYPE_DESCRIPTOR_SET, 0x710, 109, VK_OBJECT_TYPE_DESCRIPTOR_POOL);
	world_add(world, 111, VK_OBJECT_TYPE_SAMPLER, 0x711, 0, 0);
	world_add(world, 112, VK_OBJECT_TYPE_SAMPLER, 0x712, 0, 0);
	world_add(world, 113, VK_OBJECT_TYPE_BUFFER, 0x713, 0, 0);
	world_add(world, 114, VK_OBJECT_TYPE_DESCRIPTOR_SET, 0x714, 109, VK_OBJECT_TYPE_DESCRIPTOR_POOL);
	world_add(world, 120, VK_OBJECT_TYPE_SHADER_MODULE, 0x720, 0, 0);
	world_add(world, 121, VK_OBJECT_TYPE_PIPELINE_LAYOUT, 0x721, 0, 0);
	world_add(world, 122, VK_OBJECT_TYPE_RENDER_PASS, 0x722, 0, 0);
	world_add(world, 123, VK_OBJECT_TYPE_PIPELINE_CACHE, 0x723, 0, 0);
}

/* --- tests --- */

static VkRingCreateInfoMESA golden_ring;
static VkRingMonitorInfoMESA golden_monitor;
static uint64_t golden_id;

static int golden_hook(struct venus_call *call)
{
	struct vkCreateRingMESA_args *args = call->args;
	golden_id = args->ring;
	golden_ring = *args->pCreateInfo;
	golden_monitor = *(const VkRingMonitorInfoMESA *)args->pCreateInfo->pNext;
	return 0;
}

static void test_golden_ring(void **state)
{
	/* What a stock guest sends first. */
	static const uint32_t words[] = {0xbc, 0, 0xb007df30, 0x55e5, 1, 0, 0x3ba0a600, 1, 0, 0x3ba0a606, 0, 0, 0x2dc6c0,
		0, 1, 0, 0, 0x200c4, 0, 0xf4240, 0, 0, 0, 0x40, 0, 0x80, 0, 0xc0, 0, 0x20000, 0, 0x200c0, 0, 4, 0};
	static const struct venus_hook hooks[] = {{VENUS_vkCreateRingMESA, golden_hook}, {0, NULL}};
	struct world world;
	world_open(&world, hooks);
	assert_int_equal(sizeof(words), 140);
	assert_int_equal(world_run_bytes(&world, words, sizeof(words)), 0);
	assert_int_equal(golden_id, 0x55e5b007df30);
	assert_int_equal(golden_monitor.maxReportingPeriodMicroseconds, 3000000);
	assert_int_equal(golden_ring.resourceId, 1);
	assert_int_equal(golden_ring.size, 131268);
	assert_int_equal(golden_ring.idleTimeout, 1000000);
	assert_int_equal(golden_ring.tailOffset, 64);
	assert_int_equal(golden_ring.bufferSize, 131072);
	assert_int_equal(golden_ring.extraSize, 4);
	world_close(&world);
}

static void test_enumerate_twice(void **state)
{
	struct world world;
	world_open(&world, NULL);
	struct wire wire = {0}, expected = {0};
	put_command(&wire, VENUS_vkEnumeratePhysicalDevices, VENUS_FLAG_REPLY);
	put_u64(&wire, ID_INSTANCE), put_u64(&wire, 1), put_u32(&wire, 0), put_u64(&wire, 0);
	put_command(&wire, VENUS_vkEnumeratePhysicalDevices, VENUS_FLAG_REPLY);
	put_u64(&wire, ID_INSTANCE), put_u64(&wire, 1), put_u32(&wire, 2);
	put_u64(&wire, 2), put_u64(&wire, ID_PHYSICAL), put_u64(&wire, ID_PHYSICAL_2);
	assert_int_equal(world_run(&world, &wire), 0);
	put_u32(&expected, VENUS_vkEnumeratePhysicalDevices), put_u32(&expected, VK_SUCCESS);
	put_u64(&expected, 1), put_u32(&expected, 2), put_u64(&expected, 0);
	put_u32(&expected, VENUS_vkEnumeratePhysicalDevices), put_u32(&expected, VK_SUCCESS);
	put_u64(&expected, 1), put_u32(&expected, 2);
	put_u64(&expected, 2), put_u64(&expected, ID_PHYSICAL), put_u64(&expected, ID_PHYSICAL_2);
	expect_reply(&world, &expected);
	world_close(&world);
}

static void test_groups_name_physical_devices(void **state)
{
	struct world world;
	world_open(&world, NULL);
	struct wire wire = {0}, expected = {0};
	put_command(&wire, VENUS_vkEnumeratePhysicalDeviceGroups, VENUS_FLAG_REPLY);
	put_u64(&wire, ID_INSTANCE), put_u64(&wire, 1), put_u32(&wire, 1), put_u64(&wire, 1);
	put_stype(&wire, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_GROUP_PROPERTIES);
	put_u64(&wire, VK_MAX_DEVICE_GROUP_SIZE);
	put_u32(&expected, VENUS_vkEnumeratePhysicalDeviceGroups), put_u32(&expected, VK_SUCCESS);
	put_u64(&expected, 1), put_u32(&expected, 1), put_u64(&expected, 1);
	put_stype(&expected, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_GROUP_PROPERTIES);
	put_u32(&expected, 2), put_u64(&expected, VK_MAX_DEVICE_GROUP_SIZE);
	put_u64(&expected, ID_PHYSICAL_2), put_u64(&expected, ID_PHYSICAL);
	for (uint32_t i = 0; i < VK_MAX_DEVICE_GROUP_SIZE; i++) {
		put_u64(&wire, 7777);
		if (i >= 2) {
			put_u64(&expected, 0);
		}
	}
	put_u32(&expected, VK_TRUE);
	assert_int_equal(world_run(&world, &wire), 0);
	expect_reply(&world, &expected);
	world_close(&world);
}

static uint32_t reply_u32(const struct world *world, size_t at)
{
	uint32_t value;
	memcpy(&value, world->reply + at, sizeof(value));
	return value;
}

static void test_properties2_chain(void **state)
{
	struct world world;
	world_open(&world, NULL);
	struct wire wire = {0};
	put_properties2(&wire);
	assert_int_equal(world_run(&world, &wire), 0);
	assert_false(fake.saw_hidden);
	/* command, pointer, then heads of the chain in the order asked, its end, and the members from the back. */
	assert_int_equal(reply_u32(&world, 0), VENUS_vkGetPhysicalDeviceProperties2);
	assert_int_equal(reply_u32(&world, 12), VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2);
	assert_int_equal(reply_u32(&world, 24), VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TRANSFORM_FEEDBACK_PROPERTIES_EXT);
	assert_int_equal(reply_u32(&world, 36), VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES);
	assert_int_equal(reply_u32(&world, 48), VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_LINE_RASTERIZATION_PROPERTIES_EXT);
	assert_int_equal(reply_u32(&world, 60), VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ROBUSTNESS_2_PROPERTIES_EXT);
	assert_int_equal(reply_u32(&world, 64), 0);
	size_t at = 72;
	assert_int_equal(reply_u32(&world, at + 8), 16); /* robustUniformBufferAccessSizeAlignment */
	at += 16;
	assert_int_equal(reply_u32(&world, at), 0); /* lineSubPixelPrecisionBits: kept from the driver */
	at += 4;
	assert_int_equal(reply_u32(&world, at), 32); /* subgroupSize */
	at += 16 + 44; /* and the whole transform feedback struct */
	at += 5 * 4; /* apiVersion .. deviceType */
	assert_int_equal(reply_u32(&world, at), VK_MAX_PHYSICAL_DEVICE_NAME_SIZE);
	assert_string_equal((char *)world.reply + at + 8, "fake");
	at += 8 + 256 + 8 + 16;
	assert_int_equal(reply_u32(&world, at), 4096);
	assert_int_equal(world_reply_len(&world) % 4, 0);
	world_close(&world);
}

static void test_graphics_pipelines(void **state)
{
	struct world world;
	world_open(&world, NULL);
	world_add_drawing(&world);
	struct wire wire = {0}, expected = {0};
	put_create_pipelines(&wire, VENUS_FLAG_REPLY, 1, 200);
	assert_int_equal(world_run(&world, &wire), 0);
	assert_string_equal(fake.shader_entry, "main_vs");
	assert_int_equal(fake.spec_value, 2);
	assert_int_equal(fake.module, 0x720);
	assert_int_equal(fake.attribute_format, VK_FORMAT_R32_SFLOAT);
	assert_int_equal(fake.viewport_count, 1);
	assert_int_equal(fake.sample_mask, 0xf0f0);
	assert_true(fake.blend == 4.0f);
	assert_int_equal(fake.layout, 0x721);
	assert_int_equal(fake.render_pass, 0x722);
	put_u32(&expected, VENUS_vkCreateGraphicsPipelines), put_u32(&expected, VK_SUCCESS);
	put_u64(&expected, 1), put_u64(&expected, 200);
	expect_reply(&world, &expected);
	assert_non_null(venus_objects_find(&world.dispatch.objects, 200, VK_OBJECT_TYPE_PIPELINE)->record);
	world_close(&world);
}

static void test_half_failed_pipelines(void **state)
{
	struct world world;
	world_open(&world, NULL);
	world_add_drawing(&world);
	struct wire wire = {0};
	put_create_pipelines(&wire, 0, 2, 200);
	assert_int_equal(world_run(&world, &wire), 0);
	assert_false(venus_objects_find(&world.dispatch.objects, 200, VK_OBJECT_TYPE_PIPELINE)->failed);
	assert_true(venus_objects_find(&world.dispatch.objects, 201, VK_OBJECT_TYPE_PIPELINE)->failed);
	world_close(&world);
}

static void test_update_descriptor_sets(void **state)
{
	struct world world;
	world_open(&world, NULL);
	world_add_drawing(&world);
	struct wire wire = {0};
	put_update_sets(&wire);
	assert_int_equal(world_run(&world, &wire), 0);
	assert_int_equal(fake.write_set, 0x710);
	assert_int_equal(fake.write_sampler, 0x712);
	assert_int_equal(fake.write_layout, 5);
	assert_int_equal(fake.write_buffer, 0x713);
	assert_true(fake.write_range == VK_WHOLE_SIZE);
	assert_int_equal(fake.copy_set, 0x714);
	world_close(&world);
}

static void test_render_pass_and_draw(void **state)
{
	struct world world;
	world_open(&world, NULL);
	world_add_drawing(&world);
	struct wire wire = {0};
	put_begin_render_pass(&wire, 101, 102, 103);
	put_draw(&wire, 101);
	assert_int_equal(world_run(&world, &wire), 0);
	assert_true(fake.clear_color[2] == 0.75f);
	assert_true(fake.clear_depth == 0.5f);
	assert_int_equal(fake.rect_width, 640);
	assert_int_equal(fake.drawn, 2013);
	assert_int_equal(world_reply_len(&world), 0);
	world_close(&world);
}

static void test_create_and_destroy(void **state)
{
	struct world world;
	world_open(&world, NULL);
	struct wire wire = {0}, expected = {0};
	put_create_fence(&wire, VENUS_FLAG_REPLY, 300);
	assert_int_equal(world_run(&world, &wire), 0);
	put_u32(&expected, VENUS_vkCreateFence), put_u32(&expected, 0), put_u64(&expected, 1), put_u64(&expected, 300);
	expect_reply(&world, &expected);
	struct venus_object *fence = venus_objects_find(&world.dispatch.objects, 300, VK_OBJECT_TYPE_FENCE);
	assert_int_equal(fence->handle, 0x5001);
	assert_int_equal(fence->record->len, wire.len);
	assert_memory_equal(fence->record->bytes, wire.bytes, wire.len);
	wire.len = 0;
	put_destroy(&wire, VENUS_vkDestroyFence, 300);
	put_destroy(&wire, VENUS_vkDestroyFence, 0);
	assert_int_equal(world_run(&world, &wire), 0);
	assert_null(venus_objects_find(&world.dispatch.objects, 300, VK_OBJECT_TYPE_FENCE));
	assert_int_equal(fake.destroyed[0], 0x5001);
	assert_int_equal(fake.destroyed_count, 1);
	world_close(&world);
}

static void test_failed_creation_is_remembered(void **state)
{
	struct world world;
	world_open(&world, NULL);
	struct wire wire = {0}, expected = {0};
	fake.answer = VK_ERROR_OUT_OF_DEVICE_MEMORY;
	put_create_fence(&wire, 0, 300);
	put_create_fence(&wire, VENUS_FLAG_REPLY, 301);
	assert_int_equal(world_run(&world, &wire), 0);
	put_u32(&expected, VENUS_vkCreateFence), put_u32(&expected, (uint32_t)VK_ERROR_OUT_OF_DEVICE_MEMORY);
	put_u64(&expected, 1), put_u64(&expected, 301);
	expect_reply(&world, &expected);
	assert_true(venus_objects_find(&world.dispatch.objects, 300, VK_OBJECT_TYPE_FENCE)->failed);
	assert_null(venus_objects_find(&world.dispatch.objects, 301, VK_OBJECT_TYPE_FENCE));
	wire.len = expected.len = 0;
	put_command(&wire, VENUS_vkGetFenceStatus, VENUS_FLAG_REPLY);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 300);
	put_destroy(&wire, VENUS_vkDestroyFence, 300);
	assert_int_equal(world_run(&world, &wire), 0);
	put_u32(&expected, VENUS_vkGetFenceStatus), put_u32(&expected, (uint32_t)VK_ERROR_OUT_OF_HOST_MEMORY);
	expect_reply(&world, &expected);
	assert_null(venus_objects_find(&world.dispatch.objects, 300, VK_OBJECT_TYPE_FENCE));
	assert_int_equal(fake.destroyed_count, 0);
	world_close(&world);
}

static void test_pool_frees_children(void **state)
{
	struct world world;
	world_open(&world, NULL);
	struct wire wire = {0};
	put_command(&wire, VENUS_vkCreateCommandPool, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 1), put_stype(&wire, VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO);
	put_u32(&wire, 0), put_u32(&wire, 0), put_u64(&wire, 0), put_u64(&wire, 1), put_u64(&wire, 300);
	put_command(&wire, VENUS_vkAllocateCommandBuffers, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 1), put_stype(&wire, VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO);
	put_u64(&wire, 300), put_u32(&wire, 0), put_u32(&wire, 3);
	put_u64(&wire, 3), put_u64(&wire, 301), put_u64(&wire, 302), put_u64(&wire, 303);
	put_command(&wire, VENUS_vkFreeCommandBuffers, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 300), put_u32(&wire, 2), put_u64(&wire, 2);
	put_u64(&wire, 302), put_u64(&wire, 0);
	assert_int_equal(world_run(&world, &wire), 0);
	struct venus_objects *objects = &world.dispatch.objects;
	struct venus_object *cmd = venus_objects_find(objects, 303, VK_OBJECT_TYPE_COMMAND_BUFFER);
	assert_int_equal(cmd->pool->id, 300);
	assert_int_equal(cmd->record_index, 2);
	assert_null(venus_objects_find(objects, 302, VK_OBJECT_TYPE_COMMAND_BUFFER));
	wire.len = 0;
	put_destroy(&wire, VENUS_vkDestroyCommandPool, 300);
	put_draw(&wire, 301);
	assert_int_equal(world_run(&world, &wire), -EPROTO);
	assert_null(venus_objects_find(objects, 301, VK_OBJECT_TYPE_COMMAND_BUFFER));
	assert_string_equal(world.decoder.fatal, "no such object of that type");
	world_close(&world);
}

static void test_teardown_order(void **state)
{
	struct world world;
	world_open(&world, NULL);
	world_add(&world, 300, VK_OBJECT_TYPE_BUFFER, 0x30, 0, 0);
	world_add(&world, 301, VK_OBJECT_TYPE_BUFFER_VIEW, 0x31, 0, 0);
	world_close(&world);
	assert_int_equal(fake.waits_idle, 1);
	assert_int_equal(fake.destroyed_count, 4);
	assert_int_equal(fake.destroyed[0], 0x31);
	assert_int_equal(fake.destroyed[1], 0x30);
	assert_int_equal(fake.destroyed[2], 0x3000);
	assert_int_equal(fake.destroyed[3], 0x1000);
}

static void test_destroy_device_takes_leftovers(void **state)
{
	struct world world;
	world_open(&world, NULL);
	world_add_drawing(&world);
	struct wire wire = {0};
	put_command(&wire, VENUS_vkDestroyDevice, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 0);
	assert_int_equal(world_run(&world, &wire), 0);
	assert_null(venus_objects_find(&world.dispatch.objects, 101, VK_OBJECT_TYPE_COMMAND_BUFFER));
	assert_int_equal(world.dispatch.objects.count, 3);
	world_close(&world);
}

static void expect_fatal(const struct wire *wire, const char *reason)
{
	struct world world;
	world_open(&world, NULL);
	world_add_drawing(&world);
	assert_int_equal(world_run(&world, wire), -EPROTO);
	assert_string_equal(world.decoder.fatal, reason);
	struct wire good = {0};
	put_draw(&good, 101);
	assert_int_equal(world_run(&world, &good), -EPROTO); /* sticky */
	assert_int_equal(fake.drawn, 0);
	world_close(&world);
}

static void test_rules_are_enforced(void **state)
{
	struct wire wire = {0};
	put_command(&wire, 195, 0);
	expect_fatal(&wire, "unknown command");
	wire.len = 0;
	put_command(&wire, 0x7fffffff, 0);
	expect_fatal(&wire, "unknown command");
	wire.len = 0;
	put_draw(&wire, 102); /* a render pass */
	expect_fatal(&wire, "no such object of that type");
	wire.len = 0;
	put_draw(&wire, 0);
	expect_fatal(&wire, "command on no object");
	wire.len = 0;
	put_create_fence(&wire, 0, 101); /* in use */
	expect_fatal(&wire, "object id is in use, or too many objects");
	wire.len = 0;
	put_command(&wire, VENUS_vkCreateFence, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 0), put_u64(&wire, 0), put_u64(&wire, 1), put_u64(&wire, 300);
	expect_fatal(&wire, "NULL where something is needed");
	wire.len = 0;
	put_create_fence(&wire, 0, 0);
	expect_fatal(&wire, "object id is in use, or too many objects");
}

static void test_counts_and_chains_are_checked(void **state)
{
	struct wire wire = {0};
	put_command(&wire, VENUS_vkCreateFence, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 1);
	put_u32(&wire, VK_STRUCTURE_TYPE_FENCE_CREATE_INFO);
	put_u64(&wire, 1), put_u32(&wire, VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO);
	expect_fatal(&wire, "struct is not accepted in this chain");
	wire.len = 0;
	put_command(&wire, VENUS_vkCreateFence, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 1), put_stype(&wire, VK_STRUCTURE_TYPE_EVENT_CREATE_INFO);
	expect_fatal(&wire, "wrong struct type");
	wire.len = 0;
	put_command(&wire, VENUS_vkUpdateDescriptorSets, 0);
	put_u64(&wire, ID_DEVICE), put_u32(&wire, 2), put_u64(&wire, 3);
	expect_fatal(&wire, "count differs from length member");
	wire.len = 0;
	put_command(&wire, VENUS_vkUpdateDescriptorSets, 0);
	put_u64(&wire, ID_DEVICE), put_u32(&wire, 0x10000000), put_u64(&wire, 0x10000000);
	expect_fatal(&wire, "count is larger than the command");
	wire.len = 0;
	put_command(&wire, VENUS_vkGetPipelineCacheData, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 123), put_u64(&wire, 1), put_u64(&wire, 1ull << 40);
	put_u64(&wire, 1ull << 40);
	expect_fatal(&wire, "command needs too much memory");
}

static void test_output_counts_are_clamped(void **state)
{
	struct world world;
	world_open(&world, NULL);
	world_add_drawing(&world);
	struct wire wire = {0}, expected = {0};
	put_command(&wire, VENUS_vkGetPipelineCacheData, VENUS_FLAG_REPLY);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 123), put_u64(&wire, 1), put_u64(&wire, 7), put_u64(&wire, 7);
	assert_int_equal(world_run(&world, &wire), 0);
	put_u32(&expected, VENUS_vkGetPipelineCacheData), put_u32(&expected, 0);
	put_u64(&expected, 1), put_u64(&expected, 7), put_u64(&expected, 7), put_bytes(&expected, "abcdefg\0", 8);
	expect_reply(&world, &expected);
	world_close(&world);
}

static void test_reply_needs_room(void **state)
{
	struct world world;
	world_open(&world, NULL);
	struct wire wire = {0};
	put_create_fence(&wire, VENUS_FLAG_REPLY, 300);
	world.decoder.reply = (struct venus_reply){world.reply, world.reply + 20};
	memset(world.reply, 0x55, sizeof(world.reply));
	assert_int_equal(venus_decoder_run(&world.decoder, wire.bytes, wire.len), -EPROTO);
	assert_string_equal(world.decoder.fatal, "no room for the reply");
	assert_int_equal(world.reply[20], 0x55);
	venus_decoder_finish(&world.decoder);
	venus_decoder_init(&world.decoder, &world.dispatch, NULL, 1 << 20);
	wire.len = 0;
	put_create_fence(&wire, VENUS_FLAG_REPLY, 301);
	assert_int_equal(venus_decoder_run(&world.decoder, wire.bytes, wire.len), -EPROTO);
	assert_string_equal(world.decoder.fatal, "reply wanted, but no reply stream set");
	world_close(&world);
}

/* A hook that runs a stream, as vkExecuteCommandStreamsMESA does. */
static struct wire nested_wire;

static int nested_hook(struct venus_call *call)
{
	return venus_decoder_run(call->decoder, nested_wire.bytes, nested_wire.len);
}

static size_t progress_sum;

static void nested_progress(struct venus_decoder *decoder, size_t done)
{
	progress_sum += done;
}

static void test_nested_streams(void **state)
{
	static const struct venus_hook hooks[] = {{VENUS_vkExecuteCommandStreamsMESA, nested_hook}, {0, NULL}};
	struct world world;
	world_open(&world, hooks);
	world_add_drawing(&world);
	nested_wire.len = 0;
	put_draw(&nested_wire, 101);
	put_draw(&nested_wire, 101);
	struct wire wire = {0};
	put_command(&wire, VENUS_vkExecuteCommandStreamsMESA, 0);
	put_u32(&wire, 1), put_u64(&wire, 1), put_u32(&wire, 5), put_u64(&wire, 0), put_u64(&wire, 64);
	put_u64(&wire, 0), put_u32(&wire, 0), put_u64(&wire, 0), put_u32(&wire, 0);
	size_t first = wire.len;
	put_draw(&wire, 101);
	progress_sum = 0;
	world.decoder.progress = nested_progress;
	assert_int_equal(world_run(&world, &wire), 0);
	assert_int_equal(fake.drawn, 3 * 2013);
	assert_int_equal(progress_sum, first + wire.len);
	nested_wire = wire; /* a stream that executes streams */
	assert_int_equal(world_run(&world, &wire), -EPROTO);
	assert_string_equal(world.decoder.fatal, "streams are nested too deep");
	world_close(&world);
}

static struct venus_object *seen_fence;

static int wait_hook(struct venus_call *call)
{
	struct vkWaitForFences_args *args = call->args;
	seen_fence = venus_call_object_at(call, &args->pFences[1]);
	assert_null(venus_call_object_at(call, args));
	assert_int_equal(args->device_obj->id, ID_DEVICE);
	args->ret = VK_TIMEOUT;
	return 0;
}

static void test_hooks_see_objects(void **state)
{
	static const struct venus_hook hooks[] = {{VENUS_vkWaitForFences, wait_hook}, {0, NULL}};
	struct world world;
	world_open(&world, hooks);
	world_add(&world, 300, VK_OBJECT_TYPE_FENCE, 0x30, 0, 0);
	world_add(&world, 301, VK_OBJECT_TYPE_FENCE, 0x31, 0, 0);
	struct wire wire = {0};
	put_command(&wire, VENUS_vkWaitForFences, VENUS_FLAG_REPLY);
	put_u64(&wire, ID_DEVICE), put_u32(&wire, 2), put_u64(&wire, 2), put_u64(&wire, 300), put_u64(&wire, 301);
	put_u32(&wire, 1), put_u64(&wire, 5);
	assert_int_equal(world_run(&world, &wire), 0);
	assert_int_equal(seen_fence->id, 301);
	assert_int_equal(reply_u32(&world, 4), VK_TIMEOUT);
	world_close(&world);
}

static void put_everything(struct wire *wire)
{
	put_properties2(wire);
	put_create_pipelines(wire, VENUS_FLAG_REPLY, 1, 200);
	put_update_sets(wire);
	put_begin_render_pass(wire, 101, 102, 103);
	put_draw(wire, 101);
	put_create_fence(wire, VENUS_FLAG_REPLY, 300);
	put_destroy(wire, VENUS_vkDestroyFence, 300);
}

static void test_truncation_everywhere(void **state)
{
	struct wire wire = {0};
	put_everything(&wire);
	struct world world;
	for (size_t len = 0; len < wire.len; len++) {
		world_open(&world, NULL);
		world_add_drawing(&world);
		/* Whole commands before the cut are fine; a cut one is fatal. */
		int err = world_run_bytes(&world, wire.bytes, len);
		assert_true(err == 0 || world.decoder.fatal);
		world_close(&world);
	}
	world_open(&world, NULL);
	world_add_drawing(&world);
	assert_int_equal(world_run(&world, &wire), 0);
	world_close(&world);
}

static VkResult fake_anything(void)
{
	return VK_SUCCESS;
}

static PFN_vkVoidFunction fake_get_anything(VkInstance instance, const char *name)
{
	bool real = !strcmp(name, "vkCreateInstance") || !strcmp(name, "vkCreateDevice") ||
		    !strcmp(name, "vkEnumeratePhysicalDevices") || !strcmp(name, "vkGetDeviceProcAddr");
	return real ? fake_get_proc(instance, name) : (PFN_vkVoidFunction)fake_anything;
}

static void test_bytes_changed_at_random(void **state)
{
	struct wire good = {0};
	put_everything(&good);
	uint32_t seed = 1;
	for (int round = 0; round < 3000; round++) {
		struct world world;
		fake = (struct fake){.next_handle = 0x5000};
		assert_int_equal(venus_dispatch_init(&world.dispatch, fake_get_anything, NULL, NULL), 0);
		venus_decoder_init(&world.decoder, &world.dispatch, NULL, 1 << 20);
		struct wire wire = {0};
		put_world(&wire);
		assert_int_equal(world_run(&world, &wire), 0);
		world_add_drawing(&world);
		wire = good;
		for (int i = 0; i < 1 + round % 4; i++) {
			seed = seed * 1664525 + 1013904223;
			wire.bytes[(seed >> 8) % wire.len & ~3u] = (uint8_t)(seed >> 2);
		}
		(void)!world_run(&world, &wire);
		world_close(&world);
	}
}

static void test_capset(void **state)
{
	uint8_t capset[160];
	venus_capset_fill(capset);
	uint32_t words[40];
	memcpy(words, capset, sizeof(words));
	assert_int_equal(words[0], 1);
	assert_in_range(words[1], VK_API_VERSION_1_1, VK_MAKE_API_VERSION(0, 1, 3, 269));
	assert_int_equal(words[5] & 1, 1);
	assert_true(words[5 + 288 / 32] >> 288 % 32 & 1); /* custom border color */
	assert_int_equal(words[37], 1);
	assert_int_equal(words[38], 1);
	assert_int_equal(words[39], 0);
	uint32_t spec = 0;
	assert_true(venus_extension_known("VK_EXT_robustness2", &spec));
	assert_int_equal(spec, 1);
	assert_false(venus_extension_known("VK_KHR_ray_query", &spec));
	assert_string_equal(venus_command_name(VENUS_vkQueueSubmit), "vkQueueSubmit");
	assert_string_equal(venus_command_name(195), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_ring),
		cmocka_unit_test(test_enumerate_twice),
		cmocka_unit_test(test_groups_name_physical_devices),
		cmocka_unit_test(test_properties2_chain),
		cmocka_unit_test(test_graphics_pipelines),
		cmocka_unit_test(test_half_failed_pipelines),
		cmocka_unit_test(test_update_descriptor_sets),
		cmocka_unit_test(test_render_pass_and_draw),
		cmocka_unit_test(test_create_and_destroy),
		cmocka_unit_test(test_failed_creation_is_remembered),
		cmocka_unit_test(test_pool_frees_children),
		cmocka_unit_test(test_teardown_order),
		cmocka_unit_test(test_destroy_device_takes_leftovers),
		cmocka_unit_test(test_rules_are_enforced),
		cmocka_unit_test(test_counts_and_chains_are_checked),
		cmocka_unit_test(test_output_counts_are_clamped),
		cmocka_unit_test(test_reply_needs_room),
		cmocka_unit_test(test_nested_streams),
		cmocka_unit_test(test_hooks_see_objects),
		cmocka_unit_test(test_truncation_everywhere),
		cmocka_unit_test(test_bytes_changed_at_random),
		cmocka_unit_test(test_capset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
