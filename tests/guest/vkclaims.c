/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vkclaims.c - is what a device says of sparse binding, protected memory and external handles true?
 *
 * Each claim is tried: what is offered must work, what is not must be refused (which a guest can
 * count on, but programs of a native driver can not).  One line for each. Threads: one.
 */
#include "gpu.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLAIM_BYTES = 256 * 1024, CLAIM_WORD = 0x600dbeef };

struct claims {
	VkInstance instance;
	VkPhysicalDevice physical;
	VkQueueFamilyProperties family; /* the first one */
	VkPhysicalDeviceFeatures2 features;
	VkPhysicalDeviceProtectedMemoryFeatures protected;
	VkPhysicalDeviceMemoryProperties memory;
};

static void claims_open(struct claims *claims)
{
	VkApplicationInfo app = {VK_STRUCTURE_TYPE_APPLICATION_INFO,
				 .apiVersion = VK_API_VERSION_1_3};
	VkInstanceCreateInfo info = {VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
				     .pApplicationInfo = &app};
	uint32_t count = 1;
	GPU_CHECK(vkCreateInstance(&info, NULL, &claims->instance));
	if (vkEnumeratePhysicalDevices(claims->instance, &count, &claims->physical) < 0 || !count) {
		gpu_die("no device");
	}
	count = 1;
	vkGetPhysicalDeviceQueueFamilyProperties(claims->physical, &count, &claims->family);
	claims->protected.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROTECTED_MEMORY_FEATURES;
	claims->features = (VkPhysicalDeviceFeatures2){VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
						       &claims->protected};
	vkGetPhysicalDeviceFeatures2(claims->physical, &claims->features);
	vkGetPhysicalDeviceMemoryProperties(claims->physical, &claims->memory);
}

static bool claims_has(const struct claims *claims, const char *name)
{
	VkExtensionProperties list[512];
	uint32_t count = 512;
	vkEnumerateDeviceExtensionProperties(claims->physical, NULL, &count, list);
	for (uint32_t i = 0; i < count; i++) {
		if (!strcmp(list[i].extensionName, name)) {
			return true;
		}
	}
	return false;
}

/* A device of one queue with these flags, features and extensions. */
static VkResult claims_device(const struct claims *claims, VkDeviceQueueCreateFlags flags,
			      const void *features, uint32_t count, const char *const *names,
			      struct gpu *gpu)
{
	float priority = 1.0f;
	VkDeviceQueueCreateInfo queue = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .flags = flags,
					 .queueCount = 1, .pQueuePriorities = &priority};
	VkDeviceCreateInfo info = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
				   features,
				   .queueCreateInfoCount = 1,
				   .pQueueCreateInfos = &queue,
				   .enabledExtensionCount = count,
				   .ppEnabledExtensionNames = names};
	VkDeviceQueueInfo2 place = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_INFO_2, .flags = flags};
	*gpu = (struct gpu){.instance = claims->instance, .physical = claims->physical};
	VkResult result = vkCreateDevice(claims->physical, &info, NULL, &gpu->device);
	if (result == VK_SUCCESS) {
		VkCommandPoolCreateInfo pool = {
			VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
			.flags = flags ? VK_COMMAND_POOL_CREATE_PROTECTED_BIT : 0};
		vkGetDeviceQueue2(gpu->device, &place, &gpu->queue);
		GPU_CHECK(vkCreateCommandPool(gpu->device, &pool, NULL, &gpu->pool));
	}
	return result;
}

static void claims_close(struct gpu *gpu)
{
	vkDestroyCommandPool(gpu->device, gpu->pool, NULL);
	vkDestroyDevice(gpu->device, NULL);
}

/* --- protected memory --- */

/* A buffer in protected memory is filled by a protected queue. */
static void use_protected(struct gpu *gpu, const struct claims *claims)
{
	VkBufferCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
				   .flags = VK_BUFFER_CREATE_PROTECTED_BIT, .size = CLAIM_BYTES,
				   .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT};
	VkBuffer buffer;
	VkMemoryRequirements need;
	VkDeviceMemory memory;
	uint32_t type = 0;
	GPU_CHECK(vkCreateBuffer(gpu->device, &info, NULL, &buffer));
	vkGetBufferMemoryRequirements(gpu->device, buffer, &need);
	while (type < claims->memory.memoryTypeCount &&
	       !(need.memoryTypeBits >> type & 1 && claims->memory.memoryTypes[type].propertyFlags &
							    VK_MEMORY_PROPERTY_PROTECTED_BIT)) {
		type++;
	}
	VkMemoryAllocateInfo allocate = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
					 .allocationSize = need.size, .memoryTypeIndex = type};
	GPU_CHECK(vkAllocateMemory(gpu->device, &allocate, NULL, &memory));
	GPU_CHECK(vkBindBufferMemory(gpu->device, buffer, memory, 0));
	VkCommandBuffer cmd = gpu_begin_once(gpu);
	vkCmdFillBuffer(cmd, buffer, 0, VK_WHOLE_SIZE, CLAIM_WORD);
	GPU_CHECK(vkEndCommandBuffer(cmd));
	VkProtectedSubmitInfo guarded = {VK_STRUCTURE_TYPE_PROTECTED_SUBMIT_INFO, NULL, VK_TRUE};
	VkSubmitInfo submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO, &guarded, .commandBufferCount = 1,
			       .pCommandBuffers = &cmd};
	GPU_CHECK(vkQueueSubmit(gpu->queue, 1, &submit, VK_NULL_HANDLE));
	GPU_CHECK(vkQueueWaitIdle(gpu->queue));
	vkDestroyBuffer(gpu->device, buffer, NULL);
	vkFreeMemory(gpu->device, memory, NULL);
}

static void try_protected(struct claims *claims)
{
	struct gpu gpu;
	bool offered = claims->protected.protectedMemory;
	bool family = claims->family.queueFlags & VK_QUEUE_PROTECTED_BIT;
	claims->protected.pNext = NULL;
	VkResult result = claims_device(claims, VK_DEVICE_QUEUE_CREATE_PROTECTED_BIT,
					offered ? &claims->protected : NULL, 0, NULL, &gpu);
	if ((result == VK_SUCCESS) != (offered && family)) {
		gpu_die("protected memory is %soffered, and a device gave VkResult %d",
			offered ? "" : "not ", result);
	}
	if (result == VK_SUCCESS) {
		use_protected(&gpu, claims);
		claims_close(&gpu);
	}
	printf("protected memory: %s\n", offered ? "offered, works" : "not offered, refused");
}

/* --- sparse binding --- */

/* Memory is bound by the queue; what is filled is there. */
static void use_sparse(struct gpu *gpu)
{
	VkBufferCreateInfo info = {
		VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .flags = VK_BUFFER_CREATE_SPARSE_BINDING_BIT,
		.size = CLAIM_BYTES,
		.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT};
	VkBuffer buffer;
	VkMemoryRequirements need;
	VkDeviceMemory memory;
	GPU_CHECK(vkCreateBuffer(gpu->device, &info, NULL, &buffer));
	vkGetBufferMemoryRequirements(gpu->device, buffer, &need);
	VkMemoryAllocateInfo allocate = {
		VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = need.size,
		.memoryTypeIndex = (uint32_t)__builtin_ctz(need.memoryTypeBits)};
	GPU_CHECK(vkAllocateMemory(gpu->device, &allocate, NULL, &memory));
	VkSparseMemoryBind bind = {.size = need.size, .memory = memory};
	VkSparseBufferMemoryBindInfo binds = {buffer, 1, &bind};
	VkBindSparseInfo sparse = {VK_STRUCTURE_TYPE_BIND_SPARSE_INFO, .bufferBindCount = 1,
				   .pBufferBinds = &binds};
	GPU_CHECK(vkQueueBindSparse(gpu->queue, 1, &sparse, VK_NULL_HANDLE));
	GPU_CHECK(vkQueueWaitIdle(gpu->queue));
	struct gpu_buffer seen =
		gpu_buffer_create(gpu, CLAIM_BYTES, VK_BUFFER_USAGE_TRANSFER_DST_BIT, true);
	VkCommandBuffer cmd = gpu_begin_once(gpu);
	vkCmdFillBuffer(cmd, buffer, 0, VK_WHOLE_SIZE, CLAIM_WORD);
	VkMemoryBarrier barrier = {VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL,
				   VK_ACCESS_TRANSFER_WRITE_BIT, VK_ACCESS_TRANSFER_READ_BIT};
	vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0,
			     1, &barrier, 0, NULL, 0, NULL);
	vkCmdCopyBuffer(cmd, buffer, seen.buffer, 1, &(VkBufferCopy){.size = CLAIM_BYTES});
	GPU_CHECK(vkEndCommandBuffer(cmd));
	VkSubmitInfo submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1,
			       .pCommandBuffers = &cmd};
	GPU_CHECK(vkQueueSubmit(gpu->queue, 1, &submit, VK_NULL_HANDLE));
	GPU_CHECK(vkQueueWaitIdle(gpu->queue));
	for (uint32_t i = 0; i < CLAIM_BYTES / 4; i++) {
		if (((uint32_t *)seen.mapped)[i] != CLAIM_WORD) {
			gpu_die("a sparse buffer has %x at word %u", ((uint32_t *)seen.mapped)[i],
				i);
		}
	}
	gpu_buffer_destroy(gpu, &seen);
	vkDestroyBuffer(gpu->device, buffer, NULL);
	vkFreeMemory(gpu->device, memory, NULL);
}

static void try_sparse(struct claims *claims)
{
	struct gpu gpu;
	/* Guests' drivers take it away from CPUs, but leave the queue family's flag. */
	bool offered = claims->features.features.sparseBinding;
	VkPhysicalDeviceFeatures2 wanted = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
					    .features.sparseBinding = VK_TRUE};
	VkResult result = claims_device(claims, 0, &wanted, 0, NULL, &gpu);
	if ((result == VK_SUCCESS) != offered) {
		gpu_die("sparse binding is %soffered, and a device gave VkResult %d",
			offered ? "" : "not ", result);
	}
	if (result == VK_SUCCESS) {
		use_sparse(&gpu);
		claims_close(&gpu);
	}
	printf("sparse binding: %s\n", offered ? "offered, works" : "not offered, refused");
}

/* --- external handles --- */

static const VkExternalMemoryHandleTypeFlagBits memory_handles[] = {
	VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT,
	VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
	VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_MAPPED_FOREIGN_MEMORY_BIT_EXT};

/* Memory of a buffer is exported, and imported again if that is offered too. */
static void use_memory_handle(struct gpu *gpu, VkExternalMemoryHandleTypeFlagBits handle,
			      bool importable)
{
	PFN_vkGetMemoryFdKHR get_fd =
		(PFN_vkGetMemoryFdKHR)vkGetDeviceProcAddr(gpu->device, "vkGetMemoryFdKHR");
	VkExternalMemoryBufferCreateInfo external = {
		VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO, NULL, handle};
	VkBufferCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, &external,
				   .size = CLAIM_BYTES, .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT};
	VkBuffer buffer;
	VkMemoryRequirements need;
	GPU_CHECK(vkCreateBuffer(gpu->device, &info, NULL, &buffer));
	vkGetBufferMemoryRequirements(gpu->device, buffer, &need);
	VkExportMemoryAllocateInfo export = {VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO, NULL,
					     handle};
	VkMemoryAllocateInfo allocate = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, &export, need.size,
					 (uint32_t)__builtin_ctz(need.memoryTypeBits)};
	VkDeviceMemory memory, again;
	GPU_CHECK(vkAllocateMemory(gpu->device, &allocate, NULL, &memory));
	VkMemoryGetFdInfoKHR get = {VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR, NULL, memory, handle};
	int fd;
	GPU_CHECK(get_fd(gpu->device, &get, &fd));
	VkImportMemoryFdInfoKHR import = {VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR, NULL, handle,
					  fd};
	allocate.pNext = &import;
	if (importable) {
		GPU_CHECK(vkAllocateMemory(gpu->device, &allocate, NULL, &again));
		vkFreeMemory(gpu->device, again, NULL);
	} else {
		close(fd);
	}
	vkFreeMemory(gpu->device, memory, NULL);
	vkDestroyBuffer(gpu->device, buffer, NULL);
}

static void try_memory_handles(struct claims *claims)
{
	static const char *const names[] = {"VK_KHR_external_memory_fd",
					    "VK_EXT_external_memory_dma_buf"};
	struct gpu gpu;
	uint32_t count = !claims_has(claims, names[0]) ? 0 : claims_has(claims, names[1]) ? 2 : 1;
	GPU_CHECK(claims_device(claims, 0, NULL, count, names, &gpu));
	for (size_t i = 0; i < sizeof(memory_handles) / sizeof(memory_handles[0]); i++) {
		VkPhysicalDeviceExternalBufferInfo ask = {
			VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
			.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT, .handleType = memory_handles[i]};
		VkExternalBufferProperties can = {VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES};
		vkGetPhysicalDeviceExternalBufferProperties(claims->physical, &ask, &can);
		VkExternalMemoryFeatureFlags features =
			can.externalMemoryProperties.externalMemoryFeatures;
		bool by_fd = memory_handles[i] == VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT ||
			     memory_handles[i] == VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT;
		if (features & VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT && by_fd) {
			if (!count) {
				gpu_die("memory handle 0x%x without its extension",
					memory_handles[i]);
			}
			use_memory_handle(&gpu, memory_handles[i],
					  features & VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT);
		}
		printf("memory handle 0x%x: %s\n", memory_handles[i],
		       !features ? "not offered"
		       : by_fd	 ? "offered, works"
				 : "offered");
	}
	claims_close(&gpu);
}

/* A signalled semaphore's payload goes out as a file and comes back in. */
static void use_sync_file(struct gpu *gpu)
{
	PFN_vkGetSemaphoreFdKHR get_fd =
		(PFN_vkGetSemaphoreFdKHR)vkGetDeviceProcAddr(gpu->device, "vkGetSemaphoreFdKHR");
	PFN_vkImportSemaphoreFdKHR import_fd = (PFN_vkImportSemaphoreFdKHR)vkGetDeviceProcAddr(
		gpu->device, "vkImportSemaphoreFdKHR");
	const VkExternalSemaphoreHandleTypeFlagBits handle =
		VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT;
	VkExportSemaphoreCreateInfo export = {VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO, NULL,
					      handle};
	VkSemaphoreCreateInfo info = {VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, &export};
	VkSemaphore out, in;
	GPU_CHECK(vkCreateSemaphore(gpu->device, &info, NULL, &out));
	info.pNext = NULL;
	GPU_CHECK(vkCreateSemaphore(gpu->device, &info, NULL, &in));
	VkSubmitInfo signal = {VK_STRUCTURE_TYPE_SUBMIT_INFO, .signalSemaphoreCount = 1,
			       .pSignalSemaphores = &out};
	GPU_CHECK(vkQueueSubmit(gpu->queue, 1, &signal, VK_NULL_HANDLE));
	VkSemaphoreGetFdInfoKHR get = {VK_STRUCTURE_TYPE_SEMAPHORE_GET_FD_INFO_KHR, NULL, out,
				       handle};
	int fd;
	GPU_CHECK(get_fd(gpu->device, &get, &fd));
	VkImportSemaphoreFdInfoKHR import = {VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
					     NULL,
					     in,
					     VK_SEMAPHORE_IMPORT_TEMPORARY_BIT,
					     handle,
					     fd};
	GPU_CHECK(import_fd(gpu->device, &import));
	VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	VkSubmitInfo wait = {VK_STRUCTURE_TYPE_SUBMIT_INFO, .waitSemaphoreCount = 1,
			     .pWaitSemaphores = &in, .pWaitDstStageMask = &stage};
	GPU_CHECK(vkQueueSubmit(gpu->queue, 1, &wait, VK_NULL_HANDLE));
	GPU_CHECK(vkQueueWaitIdle(gpu->queue));
	vkDestroySemaphore(gpu->device, out, NULL);
	vkDestroySemaphore(gpu->device, in, NULL);
}

static void try_semaphore_handles(struct claims *claims)
{
	static const char *const name = "VK_KHR_external_semaphore_fd";
	const VkExternalSemaphoreHandleTypeFlagBits handles[] = {
		VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT,
		VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT};
	const VkExternalSemaphoreFeatureFlags both = VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT |
						     VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT;
	bool has = claims_has(claims, name);
	struct gpu gpu;
	GPU_CHECK(claims_device(claims, 0, NULL, has, &name, &gpu));
	for (int i = 0; i < 2; i++) {
		VkPhysicalDeviceExternalSemaphoreInfo ask = {
			VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_SEMAPHORE_INFO,
			.handleType = handles[i]};
		VkExternalSemaphoreProperties can = {
			VK_STRUCTURE_TYPE_EXTERNAL_SEMAPHORE_PROPERTIES};
		vkGetPhysicalDeviceExternalSemaphoreProperties(claims->physical, &ask, &can);
		bool offered = has && (can.externalSemaphoreFeatures & both) == both;
		if (offered && i == 1) {
			use_sync_file(&gpu);
		}
		printf("semaphore handle 0x%x: %s\n", handles[i],
		       !offered ? "not offered"
		       : i == 1 ? "offered, works"
				: "offered");
	}
	claims_close(&gpu);
}

int main(void)
{
	struct claims claims = {0};
	claims_open(&claims);
	try_protected(&claims);
	try_sparse(&claims);
	try_memory_handles(&claims);
	try_semaphore_handles(&claims);
	puts("all claims are true");
	vkDestroyInstance(claims.instance, NULL);
	return 0;
}
