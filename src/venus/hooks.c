/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hooks.c - the one list of commands that need more than being passed to the driver
 * Threads: constant.
 */
#include "venus/hooks.h"

#include "venus/command_pool.h"
#include "venus/context.h"
#include "venus/device.h"
#include "venus/external.h"
#include "venus/feedback.h"
#include "venus/fence.h"
#include "venus/foreign.h"
#include "venus/memory.h"
#include "venus/physical.h"
#include "venus/sync.h"
#include "venus/transport.h"
#include "venus/twin.h"
#include "venus_args.h"

const struct venus_hook hooks_table[] = {
	{VENUS_vkSetReplyCommandStreamMESA, transport_set_reply_stream},
	{VENUS_vkSeekReplyCommandStreamMESA, transport_seek_reply_stream},
	{VENUS_vkExecuteCommandStreamsMESA, transport_execute_streams},
	{VENUS_vkCreateRingMESA, transport_create_ring},
	{VENUS_vkDestroyRingMESA, transport_destroy_ring},
	{VENUS_vkNotifyRingMESA, transport_notify_ring},
	{VENUS_vkWriteRingExtraMESA, transport_write_ring_extra},
	{VENUS_vkSubmitVirtqueueSeqnoMESA, transport_submit_virtqueue_seqno},
	{VENUS_vkWaitVirtqueueSeqnoMESA, transport_wait_virtqueue_seqno},
	{VENUS_vkWaitRingSeqnoMESA, transport_wait_ring_seqno},

	{VENUS_vkEnumerateInstanceVersion, physical_enumerate_version},
	{VENUS_vkCreateInstance, physical_create_instance},
	{VENUS_vkDestroyInstance, device_destroy_instance},
	{VENUS_vkEnumeratePhysicalDevices, physical_enumerate},
	{VENUS_vkEnumeratePhysicalDeviceGroups, physical_enumerate_groups},
	{VENUS_vkGetPhysicalDeviceProperties, physical_get_properties},
	{VENUS_vkGetPhysicalDeviceProperties2, physical_get_properties2},
	{VENUS_vkGetPhysicalDeviceMemoryProperties2, physical_get_memory_properties2},
	{VENUS_vkGetPhysicalDeviceQueueFamilyProperties2, physical_get_queue_families2},
	{VENUS_vkEnumerateDeviceExtensionProperties, physical_enumerate_extensions},
	{VENUS_vkGetPhysicalDeviceExternalSemaphoreProperties, physical_get_external_semaphore},
	{VENUS_vkGetPhysicalDeviceExternalFenceProperties, physical_get_external_fence},

	{VENUS_vkCreateDevice, device_create},
	{VENUS_vkDestroyDevice, device_destroy},
	{VENUS_vkGetDeviceQueue2, device_get_queue2},

	{VENUS_vkAllocateMemory, memory_allocate_hook},
	{VENUS_vkGetMemoryResourcePropertiesMESA, memory_get_resource_properties},

	{VENUS_vkGetPhysicalDeviceFormatProperties2, external_get_format_properties},
	{VENUS_vkGetPhysicalDeviceImageFormatProperties2, external_get_image_format_properties},
	{VENUS_vkGetPhysicalDeviceExternalBufferProperties, external_get_buffer_properties},
	{VENUS_vkCreateImage, external_create_image},
	{VENUS_vkCreateBuffer, external_create_buffer},
	{VENUS_vkGetImageDrmFormatModifierPropertiesEXT, external_get_image_modifier},
	{VENUS_vkGetImageMemoryRequirements2, external_get_image_requirements},
	{VENUS_vkGetBufferMemoryRequirements2, external_get_buffer_requirements},
	{VENUS_vkGetDeviceImageMemoryRequirements, external_get_device_image_requirements},
	{VENUS_vkGetDeviceBufferMemoryRequirements, external_get_device_buffer_requirements},
	{VENUS_vkGetDeviceImageSparseMemoryRequirements, external_get_device_sparse_requirements},
	{VENUS_vkGetImageSubresourceLayout, external_get_subresource_layout},
#ifdef VK_KHR_maintenance5
	{VENUS_vkGetImageSubresourceLayout2KHR, external_get_subresource_layout2},
	{VENUS_vkGetDeviceImageSubresourceLayoutKHR, external_get_device_subresource_layout},
#endif
	{VENUS_vkBindImageMemory2, twin_bind_images},
	{VENUS_vkBindBufferMemory2, feedback_bind_buffers},
	{VENUS_vkCreateCommandPool, command_pool_create_hook},
	{VENUS_vkDestroyCommandPool, command_pool_destroy_hook},
	{VENUS_vkBeginCommandBuffer, feedback_begin},
	{VENUS_vkCmdFillBuffer, feedback_fill},
	{VENUS_vkEndCommandBuffer, feedback_end},
	{VENUS_vkCmdExecuteCommands, feedback_execute, VK_OBJECT_TYPE_COMMAND_BUFFER},
	{VENUS_vkCmdPipelineBarrier, foreign_pipeline_barrier},
	{VENUS_vkCmdPipelineBarrier2, foreign_pipeline_barrier2},
	{VENUS_vkCmdWaitEvents, foreign_wait_events},
	{VENUS_vkCmdWaitEvents2, foreign_wait_events2},
	{VENUS_vkCmdSetEvent2, foreign_set_event2},

	{VENUS_vkCreateSemaphore, sync_create_semaphore},
	{VENUS_vkCreateFence, fence_create},
	{VENUS_vkQueueSubmit, sync_queue_submit, VK_OBJECT_TYPE_COMMAND_BUFFER},
	{VENUS_vkQueueSubmit2, sync_queue_submit2, VK_OBJECT_TYPE_COMMAND_BUFFER},
	{VENUS_vkQueueBindSparse, sync_queue_bind_sparse},
	{VENUS_vkWaitForFences, fence_wait},
	{VENUS_vkWaitSemaphores, sync_wait_semaphores},
	{VENUS_vkGetFenceStatus, fence_get_status},
	{VENUS_vkResetFences, fence_reset},
	{VENUS_vkImportSemaphoreResourceMESA, sync_import_semaphore_resource},
	{VENUS_vkWaitSemaphoreResourceMESA, sync_wait_semaphore_resource},
	{VENUS_vkResetFenceResourceMESA, fence_reset_resource},
	{0, NULL},
};

void hooks_free_data(struct venus_dispatch *dispatch, struct venus_object *object)
{
	switch (object->type) {
	case VK_OBJECT_TYPE_PHYSICAL_DEVICE: physical_free(object->data); break;
	case VK_OBJECT_TYPE_DEVICE: device_free(object->data); break;
	case VK_OBJECT_TYPE_DEVICE_MEMORY: memory_free(object); break;
	case VK_OBJECT_TYPE_IMAGE: twin_free(object); break;
	case VK_OBJECT_TYPE_COMMAND_POOL: command_pool_destroy(object->data); break;
	case VK_OBJECT_TYPE_BUFFER:
	case VK_OBJECT_TYPE_COMMAND_BUFFER: feedback_free_data(object); break;
	case VK_OBJECT_TYPE_SEMAPHORE: sync_free_data(object); break;
	case VK_OBJECT_TYPE_FENCE: fence_free_data(object); break;
	default: break; /* queues belong to their device */
	}
	object->data = NULL;
}

void hooks_note_told(const struct venus_call *call)
{
	const struct venus_object *object = call->object;
	while (object && object->type != VK_OBJECT_TYPE_DEVICE) {
		object = object->parent;
	}
	if (object && object->data) {
		device_note_told(object->data);
	}
}
