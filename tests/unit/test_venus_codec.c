/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_venus_codec.c - Venus commands and replies, byte for byte, against a fake driver
 */
#include "venus_fake.h"

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
	static const uint32_t words[] = {
		0xbc,	    0,	     0xb007df30, 0x55e5,   1,	    0,	  0x3ba0a600, 1,    0,
		0x3ba0a606, 0,	     0,		 0x2dc6c0, 0,	    1,	  0,	      0,    0x200c4,
		0,	    0xf4240, 0,		 0,	   0,	    0x40, 0,	      0x80, 0,
		0xc0,	    0,	     0x20000,	 0,	   0x200c0, 0,	  4,	      0};
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

static void test_properties2_chain(void **state)
{
	struct world world;
	world_open(&world, NULL);
	struct wire wire = {0};
	put_properties2(&wire);
	assert_int_equal(world_run(&world, &wire), 0);
	assert_false(fake.saw_hidden);
	/* command, pointer, then heads of the chain in the order asked, its end, and the members
	 * from the back. */
	assert_int_equal(reply_u32(&world, 0), VENUS_vkGetPhysicalDeviceProperties2);
	assert_int_equal(reply_u32(&world, 12), VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2);
	assert_int_equal(reply_u32(&world, 24),
			 VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TRANSFORM_FEEDBACK_PROPERTIES_EXT);
	assert_int_equal(reply_u32(&world, 36),
			 VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES);
	assert_int_equal(reply_u32(&world, 48),
			 VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_LINE_RASTERIZATION_PROPERTIES_EXT);
	assert_int_equal(reply_u32(&world, 60),
			 VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ROBUSTNESS_2_PROPERTIES_EXT);
	assert_int_equal(reply_u32(&world, 64), 0);
	size_t at = 72;
	assert_int_equal(reply_u32(&world, at + 8),
			 16); /* robustUniformBufferAccessSizeAlignment */
	at += 16;
	assert_int_equal(reply_u32(&world, at),
			 0); /* lineSubPixelPrecisionBits: kept from the driver */
	at += 4;
	assert_int_equal(reply_u32(&world, at), 32); /* subgroupSize */
	at += 16 + 44;				     /* and the whole transform feedback struct */
	at += 5 * 4;				     /* apiVersion .. deviceType */
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
	assert_non_null(
		venus_objects_find(&world.dispatch.objects, 200, VK_OBJECT_TYPE_PIPELINE)->record);
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

static void test_output_counts_are_clamped(void **state)
{
	struct world world;
	world_open(&world, NULL);
	world_add_drawing(&world);
	struct wire wire = {0}, expected = {0};
	put_command(&wire, VENUS_vkGetPipelineCacheData, VENUS_FLAG_REPLY);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 123), put_u64(&wire, 1), put_u64(&wire, 7),
		put_u64(&wire, 7);
	assert_int_equal(world_run(&world, &wire), 0);
	put_u32(&expected, VENUS_vkGetPipelineCacheData), put_u32(&expected, 0);
	put_u64(&expected, 1), put_u64(&expected, 7), put_u64(&expected, 7),
		put_bytes(&expected, "abcdefg\0", 8);
	expect_reply(&world, &expected);
	world_close(&world);
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
		cmocka_unit_test(test_update_descriptor_sets),
		cmocka_unit_test(test_render_pass_and_draw),
		cmocka_unit_test(test_output_counts_are_clamped),
		cmocka_unit_test(test_capset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
