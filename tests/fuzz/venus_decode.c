/* SPDX-License-Identifier: Apache-2.0 */
/*
 * venus_decode.c - fuzz target: any bytes as a Venus stream, in a world with an object of every
 * type
 *
 * The driver answers every call with 0 and touches nothing, so what is under test is ours alone.
 * Threads: one.
 */
#include "../unit/venus_world.h"

#include "fuzz.h"

#include <stdio.h>

static VkResult nothing(void)
{
	return VK_SUCCESS;
}

static VkResult make_handle(void *a, const void *b, const void *c, uint64_t *out)
{
	static uint64_t next = 0x1000;
	*out = ++next;
	return VK_SUCCESS;
}

static VkResult make_instance(const void *b, const void *c, uint64_t *out)
{
	*out = 0x10;
	return VK_SUCCESS;
}

static VkResult list_devices(VkInstance instance, uint32_t *count, uint64_t *out)
{
	for (uint32_t i = 0; out && i < *count && i < 2; i++) {
		out[i] = 0x20 + i;
	}
	*count = 2;
	return VK_SUCCESS;
}

static PFN_vkVoidFunction get_proc(VkInstance instance, const char *name);

static PFN_vkVoidFunction get_device_proc(VkDevice device, const char *name)
{
	return get_proc(NULL, name);
}

static PFN_vkVoidFunction get_proc(VkInstance instance, const char *name)
{
	if (strcmp(name, "vkGetDeviceProcAddr") == 0) {
		return (PFN_vkVoidFunction)get_device_proc;
	}
	if (strcmp(name, "vkCreateInstance") == 0) {
		return (PFN_vkVoidFunction)make_instance;
	}
	if (strcmp(name, "vkEnumeratePhysicalDevices") == 0) {
		return (PFN_vkVoidFunction)list_devices;
	}
	bool creates = strncmp(name, "vkCreate", 8) == 0 && !strstr(name, "Pipelines");
	return creates ? (PFN_vkVoidFunction)make_handle : (PFN_vkVoidFunction)nothing;
}

/* The front end's commands: there is none here. */
static int accept(struct venus_call *call)
{
	return 0;
}

/* Run a stream made of the guest's own bytes. */
static int nest(struct venus_call *call)
{
	struct vkExecuteCommandStreamsMESA_args *args = call->args;
	struct wire wire = {0};
	put_command(&wire, args->pStreams ? args->pStreams[0].resourceId : 0, 0);
	put_bytes(&wire, call->bytes, call->len);
	return args->streamCount > 1 ? venus_decoder_run(call->decoder, wire.bytes, wire.len) : 0;
}

static void add_objects(struct world *world)
{
	static const VkObjectType types[] = {VK_OBJECT_TYPE_QUEUE,
					     VK_OBJECT_TYPE_SEMAPHORE,
					     VK_OBJECT_TYPE_FENCE,
					     VK_OBJECT_TYPE_DEVICE_MEMORY,
					     VK_OBJECT_TYPE_BUFFER,
					     VK_OBJECT_TYPE_IMAGE,
					     VK_OBJECT_TYPE_EVENT,
					     VK_OBJECT_TYPE_QUERY_POOL,
					     VK_OBJECT_TYPE_BUFFER_VIEW,
					     VK_OBJECT_TYPE_IMAGE_VIEW,
					     VK_OBJECT_TYPE_SHADER_MODULE,
					     VK_OBJECT_TYPE_PIPELINE_CACHE,
					     VK_OBJECT_TYPE_PIPELINE_LAYOUT,
					     VK_OBJECT_TYPE_RENDER_PASS,
					     VK_OBJECT_TYPE_PIPELINE,
					     VK_OBJECT_TYPE_DESCRIPTOR_SET_LAYOUT,
					     VK_OBJECT_TYPE_SAMPLER,
					     VK_OBJECT_TYPE_FRAMEBUFFER,
					     VK_OBJECT_TYPE_SAMPLER_YCBCR_CONVERSION,
					     VK_OBJECT_TYPE_DESCRIPTOR_POOL,
					     VK_OBJECT_TYPE_COMMAND_POOL};
	struct venus_objects *objects = &world->dispatch.objects;
	struct venus_object *device = venus_objects_find(objects, ID_DEVICE, VK_OBJECT_TYPE_DEVICE);
	struct venus_object *last = NULL, *sets = NULL;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		sets = last;
		last = venus_objects_add(objects, 10 + i, types[i], 0x100 + i, device, NULL);
	}
	venus_objects_add(objects, 40, VK_OBJECT_TYPE_COMMAND_BUFFER, 0x200, device, last);
	venus_objects_add(objects, 41, VK_OBJECT_TYPE_DESCRIPTOR_SET, 0x201, device, sets);
	venus_objects_add(objects, 42, VK_OBJECT_TYPE_FENCE, 0, device, NULL); /* failed */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct venus_hook hooks[] = {
		{VENUS_vkExecuteCommandStreamsMESA, nest},
		{VENUS_vkSetReplyCommandStreamMESA, accept},
		{VENUS_vkSeekReplyCommandStreamMESA, accept},
		{VENUS_vkCreateRingMESA, accept},
		{VENUS_vkDestroyRingMESA, accept},
		{VENUS_vkNotifyRingMESA, accept},
		{VENUS_vkWriteRingExtraMESA, accept},
		{VENUS_vkGetMemoryResourcePropertiesMESA, accept},
		{VENUS_vkResetFenceResourceMESA, accept},
		{VENUS_vkWaitSemaphoreResourceMESA, accept},
		{VENUS_vkImportSemaphoreResourceMESA, accept},
		{VENUS_vkSubmitVirtqueueSeqnoMESA, accept},
		{VENUS_vkWaitVirtqueueSeqnoMESA, accept},
		{VENUS_vkWaitRingSeqnoMESA, accept},
		{0, NULL},
	};
	struct world *world = malloc(sizeof(*world));
	struct wire wire = {0};
	if (venus_dispatch_init(&world->dispatch, get_proc, hooks, NULL) < 0) {
		abort();
	}
	venus_decoder_init(&world->decoder, &world->dispatch, NULL, 1 << 20);
	put_world(&wire);
	if (world_run(world, &wire) < 0) {
		abort();
	}
	add_objects(world);
	int err = world_run_bytes(world, data, size);
	if (err < 0 && getenv("FUZZ_EXPECT_ACCEPTED")) { /* the seeds: each is a good command */
		fprintf(stderr, "%s: %s\n", venus_command_name(world->decoder.fatal_command),
			world->decoder.fatal);
		abort();
	}
	venus_decoder_finish(&world->decoder);
	venus_dispatch_finish(&world->dispatch);
	free(world);
	return 0;
}
