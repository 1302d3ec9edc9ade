/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_venus_dispatch.c - objects, rules, hooks and hostile streams of the Venus dispatcher
 */
#include "venus_fake.h"

static void test_half_failed_pipelines(void **state)
{
	struct world world;
	world_open(&world, NULL);
	world_add_drawing(&world);
	struct wire wire = {0};
	put_create_pipelines(&wire, 0, 2, 200);
	assert_int_equal(world_run(&world, &wire), 0);
	assert_false(
		venus_objects_find(&world.dispatch.objects, 200, VK_OBJECT_TYPE_PIPELINE)->failed);
	assert_true(
		venus_objects_find(&world.dispatch.objects, 201, VK_OBJECT_TYPE_PIPELINE)->failed);
	world_close(&world);
}

/* Else it would use them. */
static void test_the_guest_is_told_which_pipelines_there_are(void **state)
{
	struct world world;
	world_open(&world, NULL);
	world_add_drawing(&world);
	struct wire wire = {0}, expected = {0};
	put_create_pipelines(&wire, VENUS_FLAG_REPLY, 2, 200);
	assert_int_equal(world_run(&world, &wire), 0);
	put_u32(&expected, VENUS_vkCreateGraphicsPipelines);
	put_u32(&expected, (uint32_t)VK_ERROR_INVALID_SHADER_NV);
	put_u64(&expected, 2), put_u64(&expected, 200), put_u64(&expected, 0);
	expect_reply(&world, &expected);
	assert_null(venus_objects_find(&world.dispatch.objects, 201, VK_OBJECT_TYPE_PIPELINE));
	world_close(&world);
}

static void test_create_and_destroy(void **state)
{
	struct world world;
	world_open(&world, NULL);
	struct wire wire = {0}, expected = {0};
	put_create_fence(&wire, VENUS_FLAG_REPLY, 300);
	assert_int_equal(world_run(&world, &wire), 0);
	put_u32(&expected, VENUS_vkCreateFence), put_u32(&expected, 0), put_u64(&expected, 1),
		put_u64(&expected, 300);
	expect_reply(&world, &expected);
	struct venus_object *fence =
		venus_objects_find(&world.dispatch.objects, 300, VK_OBJECT_TYPE_FENCE);
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
	put_u32(&expected, VENUS_vkCreateFence),
		put_u32(&expected, (uint32_t)VK_ERROR_OUT_OF_DEVICE_MEMORY);
	put_u64(&expected, 1), put_u64(&expected, 301);
	expect_reply(&world, &expected);
	assert_true(venus_objects_find(&world.dispatch.objects, 300, VK_OBJECT_TYPE_FENCE)->failed);
	assert_null(venus_objects_find(&world.dispatch.objects, 301, VK_OBJECT_TYPE_FENCE));
	wire.len = expected.len = 0;
	put_command(&wire, VENUS_vkGetFenceStatus, VENUS_FLAG_REPLY);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 300);
	put_destroy(&wire, VENUS_vkDestroyFence, 300);
	assert_int_equal(world_run(&world, &wire), 0);
	put_u32(&expected, VENUS_vkGetFenceStatus),
		put_u32(&expected, (uint32_t)VK_ERROR_OUT_OF_HOST_MEMORY);
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
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 1),
		put_stype(&wire, VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO);
	put_u32(&wire, 0), put_u32(&wire, 0), put_u64(&wire, 0), put_u64(&wire, 1),
		put_u64(&wire, 300);
	put_command(&wire, VENUS_vkAllocateCommandBuffers, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 1),
		put_stype(&wire, VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO);
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
	assert_null(
		venus_objects_find(&world.dispatch.objects, 101, VK_OBJECT_TYPE_COMMAND_BUFFER));
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
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 0), put_u64(&wire, 0), put_u64(&wire, 1),
		put_u64(&wire, 300);
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
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 1),
		put_stype(&wire, VK_STRUCTURE_TYPE_EVENT_CREATE_INFO);
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
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 123), put_u64(&wire, 1),
		put_u64(&wire, 1ull << 40);
	put_u64(&wire, 1ull << 40);
	expect_fatal(&wire, "command needs too much memory");
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
	static const struct venus_hook hooks[] = {{VENUS_vkExecuteCommandStreamsMESA, nested_hook},
						  {0, NULL}};
	struct world world;
	world_open(&world, hooks);
	world_add_drawing(&world);
	nested_wire.len = 0;
	put_draw(&nested_wire, 101);
	put_draw(&nested_wire, 101);
	struct wire wire = {0};
	put_command(&wire, VENUS_vkExecuteCommandStreamsMESA, 0);
	put_u32(&wire, 1), put_u64(&wire, 1), put_u32(&wire, 5), put_u64(&wire, 0),
		put_u64(&wire, 64);
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
	put_u64(&wire, ID_DEVICE), put_u32(&wire, 2), put_u64(&wire, 2), put_u64(&wire, 300),
		put_u64(&wire, 301);
	put_u32(&wire, 1), put_u64(&wire, 5);
	assert_int_equal(world_run(&world, &wire), 0);
	assert_int_equal(seen_fence->id, 301);
	assert_int_equal(reply_u32(&world, 4), VK_TIMEOUT);
	world_close(&world);
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
		    !strcmp(name, "vkEnumeratePhysicalDevices") ||
		    !strcmp(name, "vkGetDeviceProcAddr");
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
		assert_int_equal(
			venus_dispatch_init(&world.dispatch, fake_get_anything, NULL, NULL), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_failed_pipelines),
		cmocka_unit_test(test_the_guest_is_told_which_pipelines_there_are),
		cmocka_unit_test(test_create_and_destroy),
		cmocka_unit_test(test_failed_creation_is_remembered),
		cmocka_unit_test(test_pool_frees_children),
		cmocka_unit_test(test_teardown_order),
		cmocka_unit_test(test_destroy_device_takes_leftovers),
		cmocka_unit_test(test_rules_are_enforced),
		cmocka_unit_test(test_counts_and_chains_are_checked),
		cmocka_unit_test(test_reply_needs_room),
		cmocka_unit_test(test_nested_streams),
		cmocka_unit_test(test_hooks_see_objects),
		cmocka_unit_test(test_truncation_everywhere),
		cmocka_unit_test(test_bytes_changed_at_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
