/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_venus_server.c - contexts of the Vulkan server against a fake driver: what it is told, and what guests see
 *
 * Streams come by the virtqueue, as the front ends pass them on; replies go to a shared resource.
 */
#include "unit.h"
#include "venus_world.h"

#include "venus/context.h"
#include "venus/device.h"
#include "venus/memory.h"
#include "venus/physical.h"
#include "venus/probe.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ID_QUEUE_2 = 6,
	ID_MEMORY = 50,
	ID_SEMAPHORE = 60,
	ID_SEMAPHORE_2,
	ID_FENCE = 70,
	ID_FENCE_2,
	ID_BUFFER = 80,
	ID_POOL,
	ID_COMMANDS,
};
enum { PAGE = 4096, LIMIT = 1 << 20, MAX_SUBMITS = 32, QUICK_MS = 10 };

/* --- the fake driver --- */

struct fake_fence {
	bool signalled;
	uint32_t queue;
};

struct fake_submit {
	uint32_t queue, waits, signals;
	uint64_t wait[4];
	uint64_t stages[4];
	bool fenced;
};

static struct fake {
	pthread_mutex_t lock;
	/* What it is like: */
	bool has_host_pointer, has_dma_buf, has_modifiers, has_protected, has_budget;
	uint32_t refused_types; /* imports and exports of these fail */
	bool held[2];		/* queues whose fences do not signal */
	VkResult answer;	/* of allocations */
	bool lost;		/* submissions fail */
	bool dies;		/* all but the next one do */
	bool fences_lost;	/* questions about fences do */
	/* What it was told: */
	char extensions[512];
	unsigned devices, allocations, memories;
	VkDeviceSize size;
	uint32_t type; /* of the last allocation */
	void *pointer;
	bool saw_export, saw_dedicated, saw_flags, saw_semaphore_export;
	int imported; /* descriptor, -1: none */
	struct fake_submit submits[MAX_SUBMITS];
	unsigned submit_count, resets;
	struct fake_fence *last[2];
	unsigned looks;	     /* at fences */
	unsigned sleeps;     /* for fences */
	unsigned signals_at; /* the look by which it is signalled; 0: none */
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

static VkResult fake_vkEnumerateInstanceExtensionProperties(const char *layer, uint32_t *count, VkExtensionProperties *out)
{
	*count = 0;
	return VK_SUCCESS;
}

static VkResult fake_vkCreateInstance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *a, VkInstance *out)
{
	*out = (VkInstance)0x1000;
	return info->enabledExtensionCount ? VK_ERROR_EXTENSION_NOT_PRESENT : VK_SUCCESS;
}

static void fake_destroy(void *object, const VkAllocationCallbacks *a)
{
}

/* The second device is too old for guests. */
static VkResult fake_vkEnumeratePhysicalDevices(VkInstance instance, uint32_t *count, VkPhysicalDevice *out)
{
	for (uint32_t i = 0; out && i < 2 && i < *count; i++) {
		out[i] = (VkPhysicalDevice)(uintptr_t)(0x2000 + i);
	}
	*count = 2;
	return VK_SUCCESS;
}

static void fake_vkGetPhysicalDeviceProperties(VkPhysicalDevice physical, VkPhysicalDeviceProperties *out)
{
	memset(out, 0, sizeof(*out));
	out->apiVersion = physical == (VkPhysicalDevice)0x2000 ? VK_MAKE_API_VERSION(0, 1, 4, 300) : VK_API_VERSION_1_0;
	strcpy(out->deviceName, "fake");
}

static void fake_vkGetPhysicalDeviceProperties2(VkPhysicalDevice physical, VkPhysicalDeviceProperties2 *out)
{
	fake_vkGetPhysicalDeviceProperties(physical, &out->properties);
	for (VkBaseOutStructure *s = out->pNext; s; s = s->pNext) {
		if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT) {
			((VkPhysicalDeviceExternalMemoryHostPropertiesEXT *)(void *)s)->minImportedHostPointerAlignment =
				4 * PAGE;
		}
	}
}

/* Type 0 is local, 1 coherent, 2 cached as well. */
static void fake_vkGetPhysicalDeviceMemoryProperties(VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties *out)
{
	const VkMemoryPropertyFlags visible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
	*out = (VkPhysicalDeviceMemoryProperties){
		.memoryTypeCount = 3,
		.memoryTypes = {{VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0},
				{visible, 1},
				{visible | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 1}},
		.memoryHeapCount = 2,
		.memoryHeaps = {{1ull << 40, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT}, {1ull << 41, 0}},
	};
}

static void fake_vkGetPhysicalDeviceMemoryProperties2(VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties2 *out)
{
	VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget = out->pNext;
	fake_vkGetPhysicalDeviceMemoryProperties(physical, &out->memoryProperties);
	budget->heapBudget[0] = 1ull << 39;
	budget->heapBudget[1] = PAGE;
}

/* Family 1 can do nothing but sparse binding: Venus would drop it and shift those behind it. */
static void fake_vkGetPhysicalDeviceQueueFamilyProperties(VkPhysicalDevice physical, uint32_t *count,
							  VkQueueFamilyProperties *out)
{
	const VkQueueFlags flags[3] = {VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT, VK_QUEUE_SPARSE_BINDING_BIT,
				       VK_QUEUE_TRANSFER_BIT};
	for (uint32_t i = 0; out && i < 3 && i < *count; i++) {
		out[i] = (VkQueueFamilyProperties){.queueFlags = flags[i], .queueCount = 2};
		out[i].queueFlags |= fake.has_protected && i == 0 ? VK_QUEUE_PROTECTED_BIT : 0;
	}
	*count = 3;
}

static VkResult fake_vkEnumerateDeviceExtensionProperties(VkPhysicalDevice physical, const char *layer, uint32_t *count,
							  VkExtensionProperties *out)
{
	const char *names[7] = {"VK_EXT_robustness2", "VK_KHR_ray_query", "VK_KHR_external_memory_fd"};
	uint32_t total = 3;
	if (fake.has_host_pointer) {
		names[total++] = "VK_EXT_external_memory_host";
	}
	if (fake.has_dma_buf) {
		names[total++] = "VK_EXT_external_memory_dma_buf";
	}
	if (fake.has_modifiers) {
		names[total++] = "VK_EXT_image_drm_format_modifier";
	}
	if (fake.has_budget) {
		names[total++] = "VK_EXT_memory_budget";
	}
	for (uint32_t i = 0; out && i < total && i < *count; i++) {
		out[i] = (VkExtensionProperties){.specVersion = 9};
		strcpy(out[i].extensionName, names[i]);
	}
	*count = total;
	return VK_SUCCESS;
}

static void fake_vkGetPhysicalDeviceExternalBufferProperties(VkPhysicalDevice physical,
							     const VkPhysicalDeviceExternalBufferInfo *info,
							     VkExternalBufferProperties *out)
{
	out->externalMemoryProperties.externalMemoryFeatures =
		VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT | VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT;
}

static VkResult fake_vkCreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
				    const VkAllocationCallbacks *a, VkDevice *out)
{
	fake.extensions[0] = 0;
	for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
		strcat(strcat(fake.extensions, info->ppEnabledExtensionNames[i]), " ");
	}
	fake.devices++;
	*out = (VkDevice)0x3000;
	return VK_SUCCESS;
}

static void fake_vkGetDeviceQueue(VkDevice device, uint32_t family, uint32_t index, VkQueue *out)
{
	*out = (VkQueue)(uintptr_t)(0x5000 + index);
}

static void fake_vkGetDeviceQueue2(VkDevice device, const VkDeviceQueueInfo2 *info, VkQueue *out)
{
	assert_int_equal(info->flags, VK_DEVICE_QUEUE_CREATE_PROTECTED_BIT);
	*out = (VkQueue)(uintptr_t)(0x5800 + info->queueIndex);
}

static VkResult fake_vkAllocateMemory(VkDevice device, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *a,
				      VkDeviceMemory *out)
{
	fake.saw_export = fake.saw_dedicated = fake.saw_flags = false;
	fake.pointer = NULL;
	fake.imported = -1;
	fake.size = info->allocationSize;
	fake.type = info->memoryTypeIndex;
	fake.allocations++;
	for (const VkBaseInStructure *s = info->pNext; s; s = s->pNext) {
		switch (s->sType) {
		case VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT:
			fake.pointer = ((const VkImportMemoryHostPointerInfoEXT *)(const void *)s)->pHostPointer;
			break;
		case VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO: fake.saw_export = true; break;
		case VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR:
			fake.imported = ((const VkImportMemoryFdInfoKHR *)(const void *)s)->fd;
			break;
		case VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO: fake.saw_dedicated = true; break;
		case VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO: fake.saw_flags = true; break;
		default: return VK_ERROR_UNKNOWN;
		}
	}
	if ((fake.refused_types & 1u << info->memoryTypeIndex) && (fake.pointer || fake.saw_export)) {
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
	if (fake.answer == VK_SUCCESS) {
		close(fake.imported); /* the driver's own now */
		fake.memories++;
		*out = (VkDeviceMemory)(uintptr_t)(0x6000 + fake.allocations);
	}
	return fake.answer;
}

static void fake_vkFreeMemory(VkDevice device, VkDeviceMemory memory, const VkAllocationCallbacks *a)
{
	fake.memories -= memory != VK_NULL_HANDLE;
}

static VkResult fake_vkGetMemoryHostPointerPropertiesEXT(VkDevice device, VkExternalMemoryHandleTypeFlagBits type,
							 const void *pointer, VkMemoryHostPointerPropertiesEXT *out)
{
	out->memoryTypeBits = 6;
	return VK_SUCCESS;
}

static VkResult fake_vkGetMemoryFdKHR(VkDevice device, const VkMemoryGetFdInfoKHR *info, int *fd)
{
	*fd = memfd_create("dma-buf", MFD_CLOEXEC);
	return ftruncate(*fd, (off_t)pages_round(fake.size, PAGE)) < 0 ? VK_ERROR_UNKNOWN : VK_SUCCESS;
}

static VkResult fake_vkCreateFence(VkDevice device, const VkFenceCreateInfo *info, const VkAllocationCallbacks *a,
				   VkFence *out)
{
	*out = (VkFence)calloc(1, sizeof(struct fake_fence));
	return info->pNext ? VK_ERROR_UNKNOWN : VK_SUCCESS;
}

static void fake_vkDestroyFence(VkDevice device, VkFence fence, const VkAllocationCallbacks *a)
{
	free((void *)fence);
}

static VkResult fake_vkCreateSemaphore(VkDevice device, const VkSemaphoreCreateInfo *info, const VkAllocationCallbacks *a,
				       VkSemaphore *out)
{
	static uintptr_t next = 0x7000;
	fake.saw_semaphore_export |= info->pNext != NULL;
	*out = (VkSemaphore)next++;
	return VK_SUCCESS;
}

static void fake_vkDestroySemaphore(VkDevice device, VkSemaphore semaphore, const VkAllocationCallbacks *a)
{
}

/* VK_SUCCESS, VK_NOT_READY or VK_ERROR_DEVICE_LOST. */
static VkResult fake_look(struct fake_fence *fence)
{
	pthread_mutex_lock(&fake.lock);
	fence->signalled |= ++fake.looks == fake.signals_at;
	VkResult result = fake.fences_lost ? VK_ERROR_DEVICE_LOST : fence->signalled ? VK_SUCCESS : VK_NOT_READY;
	pthread_mutex_unlock(&fake.lock);
	return result;
}

static VkResult fake_vkGetFenceStatus(VkDevice device, VkFence fence)
{
	return fake_look((struct fake_fence *)fence);
}

static VkResult fake_vkWaitForFences(VkDevice device, uint32_t count, const VkFence *fences, VkBool32 all, uint64_t timeout)
{
	VkResult result;
	pthread_mutex_lock(&fake.lock);
	fake.sleeps += timeout != 0;
	pthread_mutex_unlock(&fake.lock);
	for (uint64_t slept = 0; (result = fake_look((struct fake_fence *)fences[0])) == VK_NOT_READY; slept += 1000000) {
		if (slept >= timeout) {
			return VK_TIMEOUT;
		}
		usleep(1000);
	}
	return result;
}

static VkResult fake_vkResetFences(VkDevice device, uint32_t count, const VkFence *fences)
{
	pthread_mutex_lock(&fake.lock);
	for (uint32_t i = 0; i < count; i++) {
		((struct fake_fence *)fences[i])->signalled = false;
	}
	fake.resets++;
	pthread_mutex_unlock(&fake.lock);
	return VK_SUCCESS;
}

static VkResult fake_vkQueueSubmit(VkQueue queue, uint32_t count, const VkSubmitInfo *batches, VkFence handle)
{
	uint32_t index = (uint32_t)(uintptr_t)queue - 0x5000;
	struct fake_fence *fence = (struct fake_fence *)handle;
	pthread_mutex_lock(&fake.lock);
	if (fake.submit_count < MAX_SUBMITS) {
		struct fake_submit *submit = &fake.submits[fake.submit_count++];
		*submit = (struct fake_submit){.queue = index, .fenced = fence != NULL};
		if (count) {
			submit->waits = batches->waitSemaphoreCount;
			submit->signals = batches->signalSemaphoreCount;
		}
		for (uint32_t i = 0; i < submit->waits && i < 4; i++) {
			submit->wait[i] = (uintptr_t)batches->pWaitSemaphores[i];
			submit->stages[i] = batches->pWaitDstStageMask[i];
		}
	}
	if (fence) {
		fence->signalled = !fake.held[index];
		fake.last[index] = fence;
	}
	VkResult result = fake.lost ? VK_ERROR_DEVICE_LOST : VK_SUCCESS;
	fake.lost |= fake.dies;
	pthread_mutex_unlock(&fake.lock);
	return result;
}

/* Lets a queue go on. */
static void fake_release(uint32_t index)
{
	pthread_mutex_lock(&fake.lock);
	fake.held[index] = false;
	fake.last[index]->signalled = true;
	pthread_mutex_unlock(&fake.lock);
}

static VkResult fake_vkCreateBuffer(VkDevice device, const VkBufferCreateInfo *info, const VkAllocationCallbacks *a, VkBuffer *out)
{
	*out = (VkBuffer)0xb000;
	return VK_SUCCESS;
}

static void fake_vkDestroyBuffer(VkDevice device, VkBuffer buffer, const VkAllocationCallbacks *a)
{
}

static VkResult fake_vkBindBufferMemory2(VkDevice device, uint32_t count, const VkBindBufferMemoryInfo *infos)
{
	return VK_SUCCESS;
}

static VkResult fake_vkCreateCommandPool(VkDevice device, const VkCommandPoolCreateInfo *info, const VkAllocationCallbacks *a,
					 VkCommandPool *out)
{
	*out = (VkCommandPool)0xc000;
	return VK_SUCCESS;
}

static void fake_vkDestroyCommandPool(VkDevice device, VkCommandPool pool, const VkAllocationCallbacks *a)
{
}

static VkResult fake_vkAllocateCommandBuffers(VkDevice device, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *out)
{
	*out = (VkCommandBuffer)0xc100;
	return VK_SUCCESS;
}

static VkResult fake_vkBeginCommandBuffer(VkCommandBuffer commands, const VkCommandBufferBeginInfo *info)
{
	return VK_SUCCESS;
}

static VkResult fake_vkEndCommandBuffer(VkCommandBuffer commands)
{
	return VK_SUCCESS;
}

static void fake_vkCmdPipelineBarrier(VkCommandBuffer commands, VkPipelineStageFlags from, VkPipelineStageFlags to,
				      VkDependencyFlags flags, uint32_t count, const VkMemoryBarrier *barriers,
				      uint32_t buffer_count, const VkBufferMemoryBarrier *buffers, uint32_t image_count,
				      const VkImageMemoryBarrier *images)
{
}

static void fake_vkCmdFillBuffer(VkCommandBuffer commands, VkBuffer buffer, VkDeviceSize offset, VkDeviceSize size,
				 uint32_t data)
{
}

static void fake_vkCmdDispatch(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z)
{
}

static VkResult fake_vkDeviceWaitIdle(VkDevice device)
{
	return VK_SUCCESS;
}

static PFN_vkVoidFunction fake_get_device_proc(VkDevice device, const char *name);

#define FAKE(name) {#name, (PFN_vkVoidFunction)fake_##name}
static PFN_vkVoidFunction fake_find(const char *name)
{
	static const struct {
		const char *name;
		PFN_vkVoidFunction fn;
	} table[] = {
		FAKE(vkEnumerateInstanceExtensionProperties), FAKE(vkCreateInstance), FAKE(vkEnumeratePhysicalDevices),
		FAKE(vkGetPhysicalDeviceProperties), FAKE(vkGetPhysicalDeviceProperties2),
		FAKE(vkGetPhysicalDeviceMemoryProperties), FAKE(vkGetPhysicalDeviceMemoryProperties2), FAKE(vkGetPhysicalDeviceQueueFamilyProperties),
		FAKE(vkEnumerateDeviceExtensionProperties), FAKE(vkGetPhysicalDeviceExternalBufferProperties),
		FAKE(vkCreateDevice), FAKE(vkGetDeviceQueue), FAKE(vkGetDeviceQueue2), FAKE(vkAllocateMemory), FAKE(vkFreeMemory),
		FAKE(vkGetMemoryHostPointerPropertiesEXT), FAKE(vkGetMemoryFdKHR), FAKE(vkCreateFence),
		FAKE(vkDestroyFence), FAKE(vkCreateSemaphore), FAKE(vkDestroySemaphore), FAKE(vkWaitForFences),
		FAKE(vkGetFenceStatus), FAKE(vkResetFences), FAKE(vkQueueSubmit), FAKE(vkDeviceWaitIdle), FAKE(vkCreateBuffer),
		FAKE(vkDestroyBuffer), FAKE(vkBindBufferMemory2), FAKE(vkCreateCommandPool), FAKE(vkDestroyCommandPool),
		FAKE(vkAllocateCommandBuffers), FAKE(vkBeginCommandBuffer), FAKE(vkEndCommandBuffer),
		FAKE(vkCmdPipelineBarrier), FAKE(vkCmdFillBuffer), FAKE(vkCmdDispatch),
		{"vkDestroyInstance", (PFN_vkVoidFunction)fake_destroy},
		{"vkDestroyDevice", (PFN_vkVoidFunction)fake_destroy},
		{"vkGetDeviceProcAddr", (PFN_vkVoidFunction)fake_get_device_proc},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (!strcmp(table[i].name, name)) {
			return table[i].fn;
		}
	}
	return NULL;
}

static PFN_vkVoidFunction fake_get_device_proc(VkDevice device, const char *name)
{
	return fake_find(name);
}

static PFN_vkVoidFunction fake_get_proc(VkInstance instance, const char *name)
{
	return fake_find(name);
}

/* --- one context over it --- */

static struct server {
	struct probe probe;
	struct wire_state state;
	struct context *context;
	pthread_mutex_t lock;
	uint64_t fences[16];
	unsigned fence_count;
	const char *fatal;
} server = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_fence(void *opaque, uint32_t ring_idx, uint64_t fence_id)
{
	pthread_mutex_lock(&server.lock);
	server.fences[server.fence_count++ % 16] = (uint64_t)ring_idx << 32 | fence_id;
	pthread_mutex_unlock(&server.lock);
}

static void on_fatal(void *opaque, const char *text)
{
	pthread_mutex_lock(&server.lock);
	server.fatal = text;
	pthread_mutex_unlock(&server.lock);
}

static const struct context_ops ops = {on_fence, on_fatal};

static unsigned fences_done(void)
{
	pthread_mutex_lock(&server.lock);
	unsigned count = server.fence_count;
	pthread_mutex_unlock(&server.lock);
	return count;
}

static void wait_for_fences(unsigned count)
{
	for (int i = 0; i < 5000 && fences_done() < count; i++) {
		usleep(1000);
	}
	assert_int_equal(fences_done(), count);
}

static void probe_fake(void)
{
	struct probe_choice any = {.index = -1};
	struct error err = {0};
	assert_int_equal(probe_run(&server.probe, fake_get_proc, &any, &err), 0);
}

/* @ask_ms: as struct context_config says. */
static int server_open_asking(uint32_t ask_ms)
{
	memset(&fake.has_host_pointer, 0, sizeof(fake) - offsetof(struct fake, has_host_pointer));
	fake.has_host_pointer = true;
	probe_fake();
	memset(&server.state, 0, sizeof(server.state));
	server.fence_count = 0;
	server.fatal = NULL;
	struct context_config config = {
		.max_bytes = LIMIT, .granule = PAGE, .ask_ms = ask_ms, .probe = &server.probe, .state = &server.state, .ops = &ops};
	struct error err;
	server.context = context_create(&config, &err);
	return server.context ? 0 : -1;
}

static int server_open(void **state)
{
	return server_open_asking(0);
}

/* Queues are silent for long soon. */
static int server_open_quick(void **state)
{
	return server_open_asking(QUICK_MS);
}

static int server_close(void **state)
{
	context_destroy(server.context);
	return fake.memories ? -1 : 0;
}

static int run(const struct wire *wire)
{
	return context_submit(server.context, wire->bytes, wire->len);
}

/* What the front end does while nobody asks for anything. */
static void rest(void)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	context_await(server.context, pair[0]);
	close(pair[0]), close(pair[1]);
}

static struct venus_object *object_of(uint64_t id, VkObjectType type)
{
	return venus_objects_find(&context_dispatch(server.context)->objects, id, type);
}

static void put_instance(struct wire *wire)
{
	put_command(wire, VENUS_vkCreateInstance, 0);
	put_u64(wire, 1), put_stype(wire, VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO);
	put_u32(wire, 0), put_u64(wire, 0), put_u32(wire, 0), put_u64(wire, 0), put_u32(wire, 0), put_u64(wire, 0);
	put_u64(wire, 0), put_u64(wire, 1), put_u64(wire, ID_INSTANCE);
	put_command(wire, VENUS_vkEnumeratePhysicalDevices, 0);
	put_u64(wire, ID_INSTANCE), put_u64(wire, 1), put_u32(wire, 2);
	put_u64(wire, 2), put_u64(wire, ID_PHYSICAL), put_u64(wire, ID_PHYSICAL_2);
}

static void put_device_of(struct wire *wire, const char *extension, uint32_t family, uint32_t queues, uint32_t flags)
{
	put_command(wire, VENUS_vkCreateDevice, 0);
	put_u64(wire, ID_PHYSICAL), put_u64(wire, 1), put_stype(wire, VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO);
	put_u32(wire, 0), put_u32(wire, 1), put_u64(wire, 1), put_stype(wire, VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO);
	put_u32(wire, flags), put_u32(wire, family), put_u32(wire, queues), put_u64(wire, queues);
	for (uint32_t i = 0; i < queues; i++) {
		put_f32(wire, 1.0f);
	}
	put_u32(wire, 0), put_u64(wire, 0);
	put_u32(wire, 1), put_u64(wire, 1), put_string(wire, extension);
	put_u64(wire, 0), put_u64(wire, 0), put_u64(wire, 1), put_u64(wire, ID_DEVICE);
}

static void put_device(struct wire *wire, const char *extension, uint32_t family, uint32_t queues)
{
	put_device_of(wire, extension, family, queues, 0);
}

static void put_queue_of(struct wire *wire, uint64_t id, uint32_t index, uint32_t ring_idx, uint32_t flags)
{
	put_command(wire, VENUS_vkGetDeviceQueue2, 0);
	put_u64(wire, ID_DEVICE), put_u64(wire, 1), put_u32(wire, VK_STRUCTURE_TYPE_DEVICE_QUEUE_INFO_2);
	put_u64(wire, 1), put_stype(wire, VK_STRUCTURE_TYPE_DEVICE_QUEUE_TIMELINE_INFO_MESA), put_u32(wire, ring_idx);
	put_u32(wire, flags), put_u32(wire, 0), put_u32(wire, index), put_u64(wire, 1), put_u64(wire, id);
}

static void put_queue(struct wire *wire, uint64_t id, uint32_t index, uint32_t ring_idx)
{
	put_queue_of(wire, id, index, ring_idx, 0);
}

/* A device with two queues on timelines 1 and 2. */
static void make_device(void)
{
	struct wire wire = {.len = 0};
	put_instance(&wire);
	put_device(&wire, "VK_EXT_robustness2", 0, 2);
	put_queue(&wire, ID_QUEUE, 0, 1);
	put_queue(&wire, ID_QUEUE_2, 1, 2);
	assert_int_equal(run(&wire), 0);
	fake.allocations = 0;
}

/* Begins an allocation with a chain: @chain structs of one u32 or u64 each are up to the caller. */
static void put_allocation(struct wire *wire, uint64_t id, uint64_t size, uint32_t type, uint32_t import)
{
	put_command(wire, VENUS_vkAllocateMemory, 0);
	put_u64(wire, ID_DEVICE), put_u64(wire, 1), put_u32(wire, VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO);
	if (import) {
		put_u64(wire, 1), put_stype(wire, VK_STRUCTURE_TYPE_IMPORT_MEMORY_RESOURCE_INFO_MESA);
		put_u32(wire, import);
	} else {
		/* Export and dedicated: the members come innermost first. */
		put_u64(wire, 1), put_u32(wire, VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO);
		put_u64(wire, 1), put_stype(wire, VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO);
		put_u64(wire, 0), put_u64(wire, 0);
		put_u32(wire, VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT);
	}
	put_u64(wire, size), put_u32(wire, type), put_u64(wire, 0), put_u64(wire, 1), put_u64(wire, id);
}

static void allocate(uint64_t id, uint64_t size, uint32_t type)
{
	struct wire wire = {.len = 0};
	put_allocation(&wire, id, size, type, 0);
	assert_int_equal(run(&wire), 0);
}

static void free_memory(uint64_t id)
{
	struct wire wire = {.len = 0};
	put_command(&wire, VENUS_vkFreeMemory, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, id), put_u64(&wire, 0);
	assert_int_equal(run(&wire), 0);
}

/* --- probe and physical devices --- */

static void test_ladder_of_backings(void **state)
{
	assert_int_equal(server.probe.count, 2);
	assert_int_equal(server.probe.devices[0].backing, WIRE_BACKING_HOST_POINTER);
	assert_int_equal(server.probe.devices[0].backed_types, 6);
	assert_int_equal(server.probe.devices[0].alignment, 4 * PAGE);
	assert_non_null(strstr(server.probe.devices[1].problem, "Vulkan 1.1"));
	fake.refused_types = 2;
	probe_fake();
	assert_int_equal(server.probe.devices[0].backed_types, 4);
	fake.refused_types = 0;
	fake.has_host_pointer = false;
	fake.has_dma_buf = true;
	probe_fake();
	assert_int_equal(server.probe.devices[0].backing, WIRE_BACKING_DMA_BUF);
	assert_int_equal(server.probe.devices[0].backed_types, 6);
	fake.has_dma_buf = false;
	probe_fake();
	assert_int_equal(server.probe.devices[0].backing, WIRE_BACKING_NONE);
	assert_non_null(strstr(server.probe.devices[0].problem, "no memory"));
	assert_null(probe_first(&server.probe));
	assert_int_equal(fake.memories, 0);
}

static void test_guests_see_usable_devices_memory_and_queues(void **state)
{
	server.probe.devices[0].backed_types = 4;
	struct wire wire = {.len = 0};
	put_instance(&wire);
	assert_int_equal(run(&wire), 0);
	assert_null(object_of(ID_PHYSICAL_2, VK_OBJECT_TYPE_PHYSICAL_DEVICE));
	const struct physical *physical = object_of(ID_PHYSICAL, VK_OBJECT_TYPE_PHYSICAL_DEVICE)->data;
	assert_int_equal(physical->family_count, 1);
	assert_false(physical_type_is_visible(physical, 0) || physical_type_is_visible(physical, 1));
	assert_int_equal(physical->memory.memoryTypes[1].propertyFlags, 0);
	assert_true(physical_type_is_visible(physical, 2));
	assert_int_equal(physical->memory.memoryHeaps[0].size, LIMIT);
	bool pass;
	assert_true(physical_offers_extension(physical, "VK_EXT_robustness2", &pass) && pass);
	assert_true(physical_offers_extension(physical, "VK_KHR_external_semaphore_fd", &pass) && !pass);
	assert_false(physical_offers_extension(physical, "VK_KHR_ray_query", &pass)); /* not decoded */
	assert_true(physical_offers_extension(physical, "VK_KHR_external_memory_fd", &pass) && !pass);
	assert_true(physical_offers_extension(physical, "VK_EXT_image_drm_format_modifier", &pass) && !pass);
	assert_false(physical_offers_extension(physical, "VK_EXT_external_memory_acquire_unmodified", &pass));
	assert_false(physical_offers_extension(physical, "VK_EXT_external_memory_host", &pass));
	assert_false(physical_offers_extension(physical, "VK_KHR_push_descriptor", &pass)); /* the host lacks it */
}

static void test_extensions_are_listed_with_the_lower_version(void **state)
{
	struct context_blob blob;
	struct wire wire = {.len = 0};
	assert_int_equal(context_create_blob(server.context, 9, 1, 0, PAGE, &blob), 0);
	put_instance(&wire);
	put_command(&wire, VENUS_vkSetReplyCommandStreamMESA, 0);
	put_u64(&wire, 1), put_u32(&wire, 9), put_u64(&wire, 0), put_u64(&wire, PAGE);
	put_command(&wire, VENUS_vkEnumerateDeviceExtensionProperties, VENUS_FLAG_REPLY);
	put_u64(&wire, ID_PHYSICAL), put_u64(&wire, 0), put_u64(&wire, 1), put_u32(&wire, 2), put_u64(&wire, 2);
	assert_int_equal(run(&wire), 0);
	uint32_t *words = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, blob.fd, 0);
	assert_int_equal(words[0], VENUS_vkEnumerateDeviceExtensionProperties);
	assert_int_equal((int)words[1], VK_INCOMPLETE); /* robustness2, semaphore_fd, fence_fd */
	assert_int_equal(words[4], 2);
	assert_string_equal((char *)&words[9], "VK_EXT_robustness2");
	assert_int_equal(words[9 + 64], 1); /* the host has 9 */
	assert_string_equal((char *)&words[9 + 64 + 1 + 2], "VK_KHR_external_semaphore_fd");
	munmap(words, PAGE);
}

/* --- devices --- */

static void test_driver_is_told_its_own_extensions(void **state)
{
	struct wire wire = {.len = 0};
	put_instance(&wire);
	put_device(&wire, "VK_KHR_external_semaphore_fd", 0, 1);
	assert_int_equal(run(&wire), 0);
	assert_string_equal(fake.extensions, "VK_EXT_external_memory_host ");
	assert_non_null(object_of(ID_DEVICE, VK_OBJECT_TYPE_DEVICE)->data);
}

static void test_devices_that_cannot_be_are_refused_softly(void **state)
{
	const struct {
		const char *extension;
		uint32_t family, queues;
	} cases[] = {{"VK_KHR_ray_query", 0, 1},   {"VK_EXT_robustness2", 1, 1}, {"VK_EXT_robustness2", 2, 1},
		     {"VK_EXT_robustness2", 0, 3}, {"VK_EXT_robustness2", 99, 1}};
	unsigned devices = fake.devices;
	struct wire wire = {.len = 0};
	put_instance(&wire);
	assert_int_equal(run(&wire), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		wire.len = 0;
		put_device(&wire, cases[i].extension, cases[i].family, cases[i].queues);
		size_t id = wire.len - 8; /* each its own id: failed ones are remembered */
		uint64_t value = 1000 + i;
		memcpy(wire.bytes + id, &value, sizeof(value));
		assert_int_equal(run(&wire), 0);
	}
	assert_int_equal(fake.devices, devices);
}

static void test_timelines_belong_to_one_queue(void **state)
{
	struct wire wire = {.len = 0};
	make_device();
	put_queue(&wire, 77, 0, 3); /* bound to 1 already */
	assert_true(run(&wire) < 0);
	assert_string_equal(server.fatal, "queue timeline in use");
}

static void test_protected_queues_are_refused_where_the_family_has_none(void **state)
{
	struct wire wire = {.len = 0};
	put_instance(&wire);
	put_device_of(&wire, "VK_EXT_robustness2", 0, 1, VK_DEVICE_QUEUE_CREATE_PROTECTED_BIT);
	assert_int_equal(run(&wire), 0);
	assert_true(object_of(ID_DEVICE, VK_OBJECT_TYPE_DEVICE)->failed);
}

static void test_protected_queues_are_queues_of_their_own(void **state)
{
	struct wire wire = {.len = 0};
	fake.has_protected = true;
	put_instance(&wire);
	put_device_of(&wire, "VK_EXT_robustness2", 0, 1, VK_DEVICE_QUEUE_CREATE_PROTECTED_BIT);
	put_queue_of(&wire, ID_QUEUE, 0, 1, VK_DEVICE_QUEUE_CREATE_PROTECTED_BIT);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(object_of(ID_QUEUE, VK_OBJECT_TYPE_QUEUE)->handle, 0x5800);
	wire.len = 0;
	put_queue_of(&wire, ID_QUEUE_2, 0, 2, 0); /* an unprotected one was not asked for */
	assert_true(run(&wire) < 0);
	assert_string_equal(server.fatal, "no such queue");
}

/* --- memory --- */

static void test_mappable_memory_is_imported_pages(void **state)
{
	struct context_blob blob;
	make_device();
	allocate(ID_MEMORY, 5000, 2);
	assert_int_equal(fake.size, 4 * PAGE); /* what this driver's imports need */
	assert_non_null(fake.pointer);
	assert_false(fake.saw_export || fake.saw_dedicated);
	assert_int_equal(context_budget(server.context)->used, 4 * PAGE);
	((char *)fake.pointer)[4999] = 42;
	assert_int_equal(context_create_blob(server.context, 1, 1, ID_MEMORY, 4 * PAGE + 1, &blob), -EINVAL);
	assert_int_equal(context_create_blob(server.context, 1, 1, ID_MEMORY + 1, 5000, &blob), -ENOENT);
	assert_int_equal(context_create_blob(server.context, 1, 1, ID_MEMORY, 2 * PAGE, &blob), 0);
	char *map = mmap(NULL, blob.bytes, PROT_READ, MAP_SHARED, blob.fd, 0);
	assert_int_equal(map[4999], 42);
	free_memory(ID_MEMORY);
	assert_int_equal(fake.memories, 0);
	assert_int_equal(map[4999], 42);
	assert_int_equal(context_budget(server.context)->used, 4 * PAGE); /* the resource holds the pages */
	assert_int_equal(context_unref(server.context, 1), 0);
	rest();
	assert_int_equal(context_budget(server.context)->used, 0);
	munmap(map, blob.bytes);
}

/* Memory that is not to leave. */
static void allocate_own(uint64_t id, uint64_t size, uint32_t type)
{
	struct wire wire = {.len = 0};
	put_command(&wire, VENUS_vkAllocateMemory, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 1), put_stype(&wire, VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO);
	put_u64(&wire, size), put_u32(&wire, type), put_u64(&wire, 0), put_u64(&wire, 1), put_u64(&wire, id);
	assert_int_equal(run(&wire), 0);
}

static void test_other_memory_is_the_drivers(void **state)
{
	struct context_blob blob;
	make_device();
	allocate_own(ID_MEMORY, 5000, 0);
	assert_int_equal(fake.size, 5000);
	assert_int_equal(fake.type, 0);
	assert_null(fake.pointer);
	assert_false(fake.saw_export);
	assert_int_equal(context_create_blob(server.context, 1, 1, ID_MEMORY, 5000, &blob), -EINVAL);
	assert_int_equal(context_budget(server.context)->used, 5000);
	allocate_own(ID_MEMORY + 1, LIMIT - 4999, 0);
	assert_int_equal(fake.memories, 1); /* beyond the limit */
	free_memory(ID_MEMORY + 1);
	free_memory(ID_MEMORY);
	assert_int_equal(context_budget(server.context)->used, 0);
	allocate_own(ID_MEMORY, LIMIT, 0);
	assert_int_equal(fake.memories, 1);
	free_memory(ID_MEMORY);
}

static void test_shared_memory_that_is_to_be_the_devices_own_is_of_pages(void **state)
{
	struct context_blob blob;
	make_device();
	const struct physical *physical = object_of(ID_PHYSICAL, VK_OBJECT_TYPE_PHYSICAL_DEVICE)->data;
	assert_int_equal(physical_shared_types(physical, 7), 7);
	assert_int_equal(physical_shared_types(physical, 6), 6);
	assert_int_equal(physical_shared_types(physical, 5), 4); /* type 1, which stands in, would not do */
	assert_int_equal(physical_shared_types(physical, 1), 1); /* cannot be shared at all */
	allocate(ID_MEMORY, 5000, 0);
	assert_int_equal(fake.type, 1);
	assert_non_null(fake.pointer);
	assert_int_equal(context_create_blob(server.context, 1, 1, ID_MEMORY, 5000, &blob), 0);
	struct wire wire = {.len = 0};
	put_allocation(&wire, ID_MEMORY + 1, 5000, 0, 1);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(fake.memories, 2);
	assert_int_equal(fake.type, 1);
	free_memory(ID_MEMORY + 1), free_memory(ID_MEMORY);
}

static void test_a_heaps_budget_is_what_others_leave(void **state)
{
	struct context_blob blob;
	struct wire wire = {.len = 0};
	struct ledger ledger;
	struct error err;
	assert_int_equal(ledger_create(&ledger, 1, &err), 0);
	budget_join(context_budget(server.context), &ledger, 1);
	fake.has_budget = true;
	assert_int_equal(context_create_blob(server.context, 9, 1, 0, PAGE, &blob), 0);
	put_instance(&wire);
	assert_int_equal(run(&wire), 0);
	uint32_t *words = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, blob.fd, 0);
	const uint64_t others[] = {0, LIMIT / 4, LIMIT, UINT64_MAX}, left[] = {LIMIT, LIMIT - LIMIT / 4, 1, 1};
	for (unsigned i = 0; i < 4; i++) {
		uint64_t budget[2];
		ledger_store(&ledger, LEDGER_PARENT, others[i]);
		wire.len = 0;
		put_command(&wire, VENUS_vkSetReplyCommandStreamMESA, 0);
		put_u64(&wire, 1), put_u32(&wire, 9), put_u64(&wire, 0), put_u64(&wire, PAGE);
		put_command(&wire, VENUS_vkGetPhysicalDeviceMemoryProperties2, VENUS_FLAG_REPLY);
		put_u64(&wire, ID_PHYSICAL), put_u64(&wire, 1);
		put_u32(&wire, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2), put_u64(&wire, 1);
		put_stype(&wire, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT);
		put_u64(&wire, VK_MAX_MEMORY_TYPES), put_u64(&wire, VK_MAX_MEMORY_HEAPS);
		assert_int_equal(run(&wire), 0);
		memcpy(budget, words + 11, sizeof(budget)); /* behind the chain and the array's length */
		assert_int_equal(budget[0], left[i]);
		assert_int_equal(budget[1], left[i] < PAGE ? left[i] : PAGE); /* the driver knows of less */
	}
	munmap(words, PAGE);
	budget_join(context_budget(server.context), NULL, 0);
	ledger_finish(&ledger);
}

static void test_failed_allocations_cost_nothing(void **state)
{
	make_device();
	fake.answer = VK_ERROR_OUT_OF_DEVICE_MEMORY;
	allocate(ID_MEMORY, PAGE, 1);
	assert_int_equal(context_budget(server.context)->used, 0);
	fake.answer = VK_SUCCESS;
	unsigned before = fake.allocations;
	allocate(ID_MEMORY + 1, LIMIT + 1, 1);	    /* beyond the guest's limit */
	allocate(ID_MEMORY + 2, UINT64_MAX, 1);	    /* rounds to nothing */
	allocate(ID_MEMORY + 3, 0, 1);
	allocate(ID_MEMORY + 4, PAGE, 32);	    /* no such type */
	assert_int_equal(fake.allocations, before);
	assert_true(object_of(ID_MEMORY + 1, VK_OBJECT_TYPE_DEVICE_MEMORY)->failed);
	allocate(ID_MEMORY + 5, LIMIT, 1);
	assert_int_equal(fake.allocations, before + 1);
}

static void test_resources_are_imported_by_their_pages(void **state)
{
	struct context_blob blob;
	struct wire wire = {.len = 0};
	make_device();
	assert_int_equal(context_create_blob(server.context, 3, 1, 0, 8 * PAGE, &blob), 0);
	put_allocation(&wire, ID_MEMORY, 7 * PAGE, 1, 3);
	put_allocation(&wire, ID_MEMORY + 1, 9 * PAGE, 1, 3); /* longer than the resource */
	put_allocation(&wire, ID_MEMORY + 2, PAGE, 1, 4);     /* no such resource */
	assert_int_equal(run(&wire), 0);
	assert_int_equal(fake.allocations, 1);
	assert_int_equal(fake.size, 8 * PAGE);
	struct pages *pages;
	unsigned char *memory;
	assert_true(resource_find_shmem(context_resources(server.context), 3, 0, 4, &pages, &memory));
	assert_ptr_equal(fake.pointer, memory);
	pages_put(pages);
	assert_int_equal(context_unref(server.context, 3), 0);
	assert_int_equal(context_budget(server.context)->used, 8 * PAGE);
}

static void test_dma_bufs_are_exported_and_charged_at_once(void **state)
{
	struct context_blob blob;
	fake.has_host_pointer = false;
	fake.has_dma_buf = true;
	probe_fake();
	make_device();
	assert_string_equal(fake.extensions, "VK_EXT_robustness2 VK_KHR_external_memory_fd VK_EXT_external_memory_dma_buf ");
	allocate(ID_MEMORY, 5000, 1);
	assert_true(fake.saw_export && !fake.pointer);
	assert_int_equal(fake.size, 5000); /* a dedicated one has the size that it needs */
	assert_int_equal(context_budget(server.context)->used, 2 * PAGE);
	assert_int_equal(context_create_blob(server.context, 1, 1, ID_MEMORY, 2 * PAGE, &blob), 0);
	assert_true(blob.fd >= 0 && blob.bytes == 2 * PAGE);
	assert_int_equal(blob.map_info, 3); /* of this type the host has no caches */
	allocate(ID_MEMORY + 1, LIMIT, 2);
	assert_true(object_of(ID_MEMORY + 1, VK_OBJECT_TYPE_DEVICE_MEMORY)->failed);
	assert_int_equal(fake.memories, 1);
	free_memory(ID_MEMORY);
	assert_int_equal(context_unref(server.context, 1), 0);
	rest();
	assert_int_equal(context_budget(server.context)->used, 0);
}

/* A driver with modifiers makes what is shared itself; the rest stays imported pages. */
static void test_shared_memory_is_the_drivers_own_dma_buf(void **state)
{
	struct context_blob blob;
	struct wire wire = {.len = 0};
	fake.has_dma_buf = fake.has_modifiers = true;
	probe_fake();
	assert_int_equal(server.probe.devices[0].backing, WIRE_BACKING_HOST_POINTER);
	assert_int_equal(server.probe.devices[0].shared_types, 6);
	make_device();
	allocate(ID_MEMORY, 5000, 2);
	assert_true(fake.saw_export && fake.saw_dedicated && !fake.pointer);
	assert_int_equal(context_create_blob(server.context, 1, 1, ID_MEMORY, 5000, &blob), 0);
	assert_int_equal(blob.map_info, 1);
	put_allocation(&wire, ID_MEMORY + 1, 5000, 2, 1);
	assert_int_equal(run(&wire), 0);
	assert_true(fake.imported >= 0 && fake.imported != blob.fd && !fake.saw_export && !fake.pointer);
	wire.len = 0;
	fake.answer = VK_ERROR_INVALID_EXTERNAL_HANDLE;
	put_allocation(&wire, ID_MEMORY + 2, 5000, 2, 1);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(fcntl(fake.imported, F_GETFD), -1); /* not kept by anybody */
	fake.answer = VK_SUCCESS;
	wire.len = 0;
	put_allocation(&wire, ID_MEMORY + 3, 3 * PAGE, 2, 1);
	assert_int_equal(run(&wire), 0);
	assert_true(object_of(ID_MEMORY + 3, VK_OBJECT_TYPE_DEVICE_MEMORY)->failed);
	free_memory(ID_MEMORY);
	free_memory(ID_MEMORY + 1);
}

/* --- synchronization --- */

static void put_submit(struct wire *wire, uint64_t queue, uint64_t wait, uint64_t wait_2, uint64_t signal, uint64_t fence)
{
	uint32_t waits = (wait != 0) + (wait_2 != 0);
	put_command(wire, VENUS_vkQueueSubmit, 0);
	put_u64(wire, queue), put_u32(wire, 1), put_u64(wire, 1), put_stype(wire, VK_STRUCTURE_TYPE_SUBMIT_INFO);
	put_u32(wire, waits), put_u64(wire, waits);
	if (wait) {
		put_u64(wire, wait);
	}
	if (wait_2) {
		put_u64(wire, wait_2);
	}
	put_u64(wire, waits);
	for (uint32_t i = 0; i < waits; i++) {
		put_u32(wire, 0x100 << i);
	}
	put_u32(wire, 0), put_u64(wire, 0);
	put_u32(wire, signal != 0), put_u64(wire, signal != 0);
	if (signal) {
		put_u64(wire, signal);
	}
	put_u64(wire, fence);
}

static void put_semaphore(struct wire *wire, uint64_t id)
{
	put_command(wire, VENUS_vkCreateSemaphore, 0);
	put_u64(wire, ID_DEVICE), put_u64(wire, 1), put_u32(wire, VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO);
	put_u64(wire, 1), put_stype(wire, VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO);
	put_u32(wire, VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT);
	put_u32(wire, 0), put_u64(wire, 0), put_u64(wire, 1), put_u64(wire, id);
}

static void put_fence(struct wire *wire, uint64_t id)
{
	put_command(wire, VENUS_vkCreateFence, 0);
	put_u64(wire, ID_DEVICE), put_u64(wire, 1), put_u32(wire, VK_STRUCTURE_TYPE_FENCE_CREATE_INFO);
	put_u64(wire, 1), put_stype(wire, VK_STRUCTURE_TYPE_EXPORT_FENCE_CREATE_INFO);
	put_u32(wire, VK_EXTERNAL_FENCE_HANDLE_TYPE_SYNC_FD_BIT);
	put_u32(wire, 0), put_u64(wire, 0), put_u64(wire, 1), put_u64(wire, id);
}

static void put_import(struct wire *wire, uint64_t semaphore)
{
	put_command(wire, VENUS_vkImportSemaphoreResourceMESA, 0);
	put_u64(wire, ID_DEVICE), put_u64(wire, 1);
	put_stype(wire, VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_RESOURCE_INFO_MESA), put_u64(wire, semaphore), put_u32(wire, 0);
}

static void put_pair(struct wire *wire, uint32_t command, uint64_t id)
{
	put_command(wire, command, 0), put_u64(wire, ID_DEVICE), put_u64(wire, id);
}

static void test_imported_payloads_are_consumed_once(void **state)
{
	struct wire wire = {.len = 0};
	make_device();
	put_semaphore(&wire, ID_SEMAPHORE), put_semaphore(&wire, ID_SEMAPHORE_2);
	put_import(&wire, ID_SEMAPHORE);
	put_submit(&wire, ID_QUEUE, ID_SEMAPHORE, ID_SEMAPHORE_2, 0, 0);
	put_submit(&wire, ID_QUEUE, ID_SEMAPHORE, 0, 0, 0);
	assert_int_equal(run(&wire), 0);
	assert_false(fake.saw_semaphore_export);
	assert_int_equal(fake.submit_count, 2);
	assert_int_equal(fake.submits[0].waits, 1);
	assert_int_equal(fake.submits[0].wait[0], object_of(ID_SEMAPHORE_2, VK_OBJECT_TYPE_SEMAPHORE)->handle);
	assert_int_equal(fake.submits[0].stages[0], 0x200); /* its stage moved along */
	assert_int_equal(fake.submits[1].waits, 1);
	assert_int_equal(server.state.submits, 2);
}

static void test_exported_signals_are_consumed_where_they_come_from(void **state)
{
	struct wire wire = {.len = 0};
	make_device();
	put_semaphore(&wire, ID_SEMAPHORE);
	put_submit(&wire, ID_QUEUE_2, 0, 0, ID_SEMAPHORE, 0);
	put_pair(&wire, VENUS_vkWaitSemaphoreResourceMESA, ID_SEMAPHORE);
	put_import(&wire, ID_SEMAPHORE);
	put_pair(&wire, VENUS_vkWaitSemaphoreResourceMESA, ID_SEMAPHORE); /* the imported one: no work for the host */
	assert_int_equal(run(&wire), 0);
	assert_int_equal(fake.submit_count, 2);
	assert_int_equal(fake.submits[1].queue, 1);
	assert_int_equal(fake.submits[1].waits, 1);
	assert_int_equal(fake.submits[1].signals, 0);
}

static void test_exported_fences_are_reset_before_their_next_use(void **state)
{
	struct wire wire = {.len = 0};
	make_device();
	put_fence(&wire, ID_FENCE), put_semaphore(&wire, ID_SEMAPHORE);
	put_submit(&wire, ID_QUEUE, 0, 0, ID_SEMAPHORE, ID_FENCE);
	put_pair(&wire, VENUS_vkResetFenceResourceMESA, ID_FENCE);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(fake.resets, 0);
	wire.len = 0;
	put_submit(&wire, ID_QUEUE, ID_SEMAPHORE, 0, 0, ID_FENCE);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(fake.resets, 1);
	wire.len = 0;
	put_submit(&wire, ID_QUEUE, 0, 0, 0, 0);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(fake.resets, 1);
}

/* How often the driver is asked when the guest asks once. */
static unsigned looks_of_a_question(unsigned signals_at)
{
	struct wire wire = {.len = 0};
	fake.looks = 0;
	fake.signals_at = signals_at;
	put_pair(&wire, VENUS_vkGetFenceStatus, ID_FENCE);
	assert_int_equal(run(&wire), 0);
	return fake.looks;
}

static void test_who_asks_for_a_fence_is_answered_when_it_signals_soon(void **state)
{
	enum { MANY = 8 };
	struct wire wire = {.len = 0};
	make_device();
	put_fence(&wire, ID_FENCE), put_semaphore(&wire, ID_SEMAPHORE);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(looks_of_a_question(0), 1); /* not submitted */
	fake.held[0] = true;
	wire.len = 0;
	put_submit(&wire, ID_QUEUE, 0, 0, ID_SEMAPHORE, ID_FENCE);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(looks_of_a_question(2), 2);
	assert_int_equal(looks_of_a_question(0), 1); /* it is signalled */
	assert_int_equal(run(&wire), 0);
	for (int i = 0; i < MANY; i++) {
		assert_true(looks_of_a_question(0) > 1);
	}
	usleep(2000); /* on a slow machine the work is old by now, and who asks in haste is held */
	assert_int_equal(looks_of_a_question(0), 1); /* not soon, it seems */
}

/* --- submissions that only write words --- */

enum { WORD_AT = 24, WORD_BOUND_AT = 256, WORD_VALUE = 77 };

/* A mapped buffer at @bound_at, and a pool.  The memory as the guest sees it. */
static uint32_t *make_words_at(uint64_t bound_at)
{
	struct wire wire = {.len = 0};
	struct context_blob blob;
	make_device();
	allocate(ID_MEMORY, PAGE, 2);
	assert_int_equal(context_create_blob(server.context, 1, 1, ID_MEMORY, PAGE, &blob), 0);
	put_command(&wire, VENUS_vkCreateBuffer, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 1), put_stype(&wire, VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO);
	put_u32(&wire, 0), put_u64(&wire, PAGE / 2), put_u32(&wire, VK_BUFFER_USAGE_TRANSFER_DST_BIT), put_u32(&wire, 0);
	put_u32(&wire, 0), put_u64(&wire, 0), put_u64(&wire, 0), put_u64(&wire, 1), put_u64(&wire, ID_BUFFER);
	put_command(&wire, VENUS_vkBindBufferMemory2, 0);
	put_u64(&wire, ID_DEVICE), put_u32(&wire, 1), put_u64(&wire, 1);
	put_stype(&wire, VK_STRUCTURE_TYPE_BIND_BUFFER_MEMORY_INFO);
	put_u64(&wire, ID_BUFFER), put_u64(&wire, ID_MEMORY), put_u64(&wire, bound_at);
	put_command(&wire, VENUS_vkCreateCommandPool, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 1), put_stype(&wire, VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO);
	put_u32(&wire, 0), put_u32(&wire, 0), put_u64(&wire, 0), put_u64(&wire, 1), put_u64(&wire, ID_POOL);
	put_command(&wire, VENUS_vkAllocateCommandBuffers, 0);
	put_u64(&wire, ID_DEVICE), put_u64(&wire, 1), put_stype(&wire, VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO);
	put_u64(&wire, ID_POOL), put_u32(&wire, 0), put_u32(&wire, 1), put_u64(&wire, 1), put_u64(&wire, ID_COMMANDS);
	put_fence(&wire, ID_FENCE), put_fence(&wire, ID_FENCE_2), put_semaphore(&wire, ID_SEMAPHORE);
	assert_int_equal(run(&wire), 0);
	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, blob.fd, 0);
}

static uint32_t *make_words(void)
{
	return make_words_at(WORD_BOUND_AT);
}

static void put_barrier(struct wire *wire)
{
	put_command(wire, VENUS_vkCmdPipelineBarrier, 0);
	put_u64(wire, ID_COMMANDS), put_u32(wire, 1), put_u32(wire, 1), put_u32(wire, 0);
	for (int i = 0; i < 3; i++) {
		put_u32(wire, 0), put_u64(wire, 0);
	}
}

static void put_fill(struct wire *wire, uint64_t offset, uint64_t size)
{
	put_command(wire, VENUS_vkCmdFillBuffer, 0);
	put_u64(wire, ID_COMMANDS), put_u64(wire, ID_BUFFER), put_u64(wire, offset), put_u64(wire, size);
	put_u32(wire, WORD_VALUE);
}

static void put_begin(struct wire *wire)
{
	put_command(wire, VENUS_vkBeginCommandBuffer, 0);
	put_u64(wire, ID_COMMANDS), put_u64(wire, 1), put_stype(wire, VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO);
	put_u32(wire, 0), put_u64(wire, 0);
}

static void put_end(struct wire *wire)
{
	put_command(wire, VENUS_vkEndCommandBuffer, 0), put_u64(wire, ID_COMMANDS);
}

/* Records as guests' drivers do. */
static void record_word(uint64_t offset)
{
	struct wire wire = {.len = 0};
	put_begin(&wire), put_barrier(&wire), put_fill(&wire, offset, 4), put_barrier(&wire), put_end(&wire);
	assert_int_equal(run(&wire), 0);
}

/* Submits the commands; what reached the driver. */
static unsigned submit_commands(uint64_t fence)
{
	struct wire wire = {.len = 0};
	unsigned before = fake.submit_count;
	put_command(&wire, VENUS_vkQueueSubmit, 0);
	put_u64(&wire, ID_QUEUE), put_u32(&wire, 1), put_u64(&wire, 1), put_stype(&wire, VK_STRUCTURE_TYPE_SUBMIT_INFO);
	put_u32(&wire, 0), put_u64(&wire, 0), put_u64(&wire, 0), put_u32(&wire, 1), put_u64(&wire, 1);
	put_u64(&wire, ID_COMMANDS), put_u32(&wire, 0), put_u64(&wire, 0), put_u64(&wire, fence);
	assert_int_equal(run(&wire), 0);
	return fake.submit_count - before;
}

static void wait_for(uint64_t fence)
{
	struct wire wire = {.len = 0};
	put_command(&wire, VENUS_vkWaitForFences, 0);
	put_u64(&wire, ID_DEVICE), put_u32(&wire, 1), put_u64(&wire, 1), put_u64(&wire, fence), put_u32(&wire, 1);
	put_u64(&wire, UINT64_MAX);
	put_command(&wire, VENUS_vkResetFences, 0);
	put_u64(&wire, ID_DEVICE), put_u32(&wire, 1), put_u64(&wire, 1), put_u64(&wire, fence);
	assert_int_equal(run(&wire), 0);
}

static void test_words_are_written_where_there_is_nothing_else_to_do(void **state)
{
	uint32_t *memory = make_words(), *word = memory + (WORD_BOUND_AT + WORD_AT) / 4;
	record_word(WORD_AT);
	for (int i = 0; i < 3; i++) {
		*word = 1;
		assert_int_equal(submit_commands(ID_FENCE), 0);
		assert_int_equal(*word, WORD_VALUE);
		wait_for(ID_FENCE); /* which the driver has never seen */
	}
	assert_int_equal(fake.resets, 0);
	assert_int_equal(server.state.submits, 3);
	munmap(memory, PAGE);
}

static void test_words_after_work_are_the_drivers(void **state)
{
	struct wire wire = {.len = 0};
	uint32_t *memory = make_words(), *word = memory + (WORD_BOUND_AT + WORD_AT) / 4;
	record_word(WORD_AT);
	fake.held[0] = true;
	put_submit(&wire, ID_QUEUE, 0, 0, ID_SEMAPHORE, 0);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(submit_commands(ID_FENCE), 1);
	assert_int_equal(submit_commands(ID_FENCE_2), 1);
	assert_int_equal(*word, 0);
	fake_release(0); /* the second */
	wait_for(ID_FENCE_2);
	assert_int_equal(submit_commands(ID_FENCE_2), 0); /* all is done: the queue is idle */
	assert_int_equal(*word, WORD_VALUE);
	munmap(memory, PAGE);
}

static void test_other_commands_are_the_drivers(void **state)
{
	struct wire wire = {.len = 0};
	uint32_t *memory = make_words();
	record_word(WORD_AT);
	put_begin(&wire), put_fill(&wire, 0, 4), put_fill(&wire, 4, 4), put_end(&wire);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(submit_commands(0), 1);
	wire.len = 0;
	put_begin(&wire), put_fill(&wire, 0, 8), put_end(&wire);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(submit_commands(0), 1);
	wire.len = 0;
	put_begin(&wire), put_fill(&wire, 0, 4);
	put_command(&wire, VENUS_vkCmdDispatch, 0);
	put_u64(&wire, ID_COMMANDS), put_u32(&wire, 1), put_u32(&wire, 1), put_u32(&wire, 1);
	put_end(&wire);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(submit_commands(0), 1);
	wire.len = 0;
	put_begin(&wire), put_barrier(&wire), put_end(&wire);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(submit_commands(0), 1);
	munmap(memory, PAGE);
}

static void test_words_outside_memory_are_the_drivers(void **state)
{
	uint32_t *memory = make_words();
	record_word(4 * PAGE - WORD_BOUND_AT); /* what allocations are rounded up to */
	assert_int_equal(submit_commands(ID_FENCE), 1);
	wait_for(ID_FENCE);
	record_word(UINT64_MAX - 3);
	assert_int_equal(submit_commands(ID_FENCE), 1);
	wait_for(ID_FENCE);
	record_word(4 * PAGE - WORD_BOUND_AT - 4);
	assert_int_equal(submit_commands(ID_FENCE), 0);
	munmap(memory, PAGE);
}

static void test_words_between_words_are_the_drivers(void **state)
{
	uint32_t *memory = make_words_at(WORD_BOUND_AT + 2);
	record_word(WORD_AT);
	assert_int_equal(submit_commands(ID_FENCE), 1);
	wait_for(ID_FENCE);
	munmap(memory, PAGE);
}

static void test_words_in_memory_that_is_gone_are_the_drivers(void **state)
{
	uint32_t *memory = make_words();
	record_word(WORD_AT);
	free_memory(ID_MEMORY);
	assert_int_equal(submit_commands(ID_FENCE), 1);
	wait_for(ID_FENCE);
	munmap(memory, PAGE);
}

static void test_exports_of_fences_that_are_ours_are_forgotten(void **state)
{
	struct wire wire = {.len = 0};
	uint32_t *memory = make_words();
	record_word(WORD_AT);
	assert_int_equal(submit_commands(ID_FENCE), 0);
	put_pair(&wire, VENUS_vkResetFenceResourceMESA, ID_FENCE);
	put_submit(&wire, ID_QUEUE, 0, 0, ID_SEMAPHORE, ID_FENCE);
	assert_int_equal(run(&wire), 0);
	assert_int_equal(fake.resets, 0);
	assert_int_equal(fake.submit_count, 1);
	wait_for(ID_FENCE);
	munmap(memory, PAGE);
}

static void test_fences_keep_their_timelines_order_and_no_other(void **state)
{
	make_device();
	fake.held[0] = true;
	context_fence(server.context, 1, 100);
	context_fence(server.context, 1, 101);
	context_fence(server.context, 2, 200);
	context_fence(server.context, 0, 300);
	wait_for_fences(2);
	fake_release(0);
	usleep(20000);
	assert_int_equal(fences_done(), 2); /* the second of timeline 1 is done, the first is not */
	pthread_mutex_lock(&fake.lock);
	fake.held[0] = false;
	pthread_mutex_unlock(&fake.lock);
	uint64_t sum = server.fences[0] + server.fences[1];
	assert_int_equal(sum, (2ull << 32 | 200) + 300);
}

static void test_ending_lets_go_of_fences_that_never_signal(void **state)
{
	make_device();
	fake.held[1] = true;
	context_fence(server.context, 2, 1);
	usleep(5000);
	assert_int_equal(fences_done(), 0);
	context_end(server.context); /* the teardown, which would hang, is the test */
}

static void test_a_lost_device_that_nobody_is_told_of_is_the_end(void **state)
{
	struct wire wire = {.len = 0};
	make_device();
	put_semaphore(&wire, ID_SEMAPHORE);
	put_submit(&wire, ID_QUEUE, 0, 0, ID_SEMAPHORE, 0);
	assert_int_equal(run(&wire), 0);
	fake.lost = true;
	wire.len = 0;
	put_submit(&wire, ID_QUEUE, ID_SEMAPHORE, 0, 0, 0);
	assert_int_equal(run(&wire), -EPROTO);
	assert_string_equal(server.fatal, "the host's driver has lost its device");
}

/* --- devices that are lost while guests look at words only --- */

static const char *fatal_text(void)
{
	pthread_mutex_lock(&server.lock);
	const char *text = server.fatal;
	pthread_mutex_unlock(&server.lock);
	return text;
}

static unsigned looks_so_far(void)
{
	pthread_mutex_lock(&fake.lock);
	unsigned looks = fake.looks;
	pthread_mutex_unlock(&fake.lock);
	return looks;
}

static unsigned submits_so_far(void)
{
	pthread_mutex_lock(&fake.lock);
	unsigned count = fake.submit_count;
	pthread_mutex_unlock(&fake.lock);
	return count;
}

static void wait_for_looks(unsigned count)
{
	for (int i = 0; i < 20000 && looks_so_far() < count; i++) {
		usleep(1000);
	}
	assert_true(looks_so_far() >= count);
}

static void expect_the_loss(void)
{
	for (int i = 0; i < 20000 && !fatal_text(); i++) {
		usleep(1000);
	}
	assert_non_null(fatal_text());
	assert_string_equal(fatal_text(), "the host's driver has lost its device");
	assert_true(context_is_over(server.context));
}

/* True if the driver is asked nothing for many periods, once all that was begun is over. */
static bool comes_to_rest(void)
{
	for (int i = 0; i < 50; i++) {
		unsigned looks = looks_so_far(), submits = submits_so_far();
		usleep(20 * QUICK_MS * 1000);
		if (looks == looks_so_far() && submits == submits_so_far()) {
			return true;
		}
	}
	return false;
}

/* Work that takes until fake_release(), of which no fence tells. */
static void submit_silently(void)
{
	struct wire wire = {.len = 0};
	if (!object_of(ID_SEMAPHORE, VK_OBJECT_TYPE_SEMAPHORE)) {
		put_semaphore(&wire, ID_SEMAPHORE);
	}
	put_submit(&wire, ID_QUEUE, 0, 0, ID_SEMAPHORE, 0);
	fake.held[0] = true;
	assert_int_equal(run(&wire), 0);
}

static void test_a_loss_that_only_fences_tell_of_is_found_out(void **state)
{
	make_device();
	submit_silently();
	wait_for_looks(3);
	assert_null(fatal_text());
	pthread_mutex_lock(&fake.lock);
	fake.fences_lost = true;
	pthread_mutex_unlock(&fake.lock);
	expect_the_loss();
}

static void test_a_loss_that_only_submissions_tell_of_is_found_out(void **state)
{
	make_device();
	fake.dies = true;
	submit_silently();
	expect_the_loss();
}

static void test_long_work_is_no_loss(void **state)
{
	enum { PERIODS = 50 };
	uint32_t *memory = make_words();
	record_word(WORD_AT);
	submit_silently();
	wait_for_looks(PERIODS);
	assert_null(fatal_text());
	assert_int_equal(submits_so_far(), 2); /* the work and one question */
	assert_int_equal(server.state.submits, 1);
	fake_release(0);
	assert_true(comes_to_rest());
	assert_int_equal(submits_so_far(), 2);
	assert_int_equal(submit_commands(ID_FENCE), 0); /* the answer told that all is done */
	munmap(memory, PAGE);
}

static void test_a_context_without_work_asks_nothing(void **state)
{
	struct wire wire = {.len = 0};
	make_device();
	assert_true(comes_to_rest());
	assert_int_equal(looks_so_far() + submits_so_far(), 0);
	put_fence(&wire, ID_FENCE), put_semaphore(&wire, ID_SEMAPHORE);
	put_submit(&wire, ID_QUEUE, 0, 0, ID_SEMAPHORE, ID_FENCE);
	assert_int_equal(run(&wire), 0);
	wait_for(ID_FENCE);
	assert_true(comes_to_rest());
	submit_silently(); /* after the rest it wakes up again */
	wait_for_looks(looks_so_far() + 2);
	fake_release(0);
	assert_true(comes_to_rest());
	assert_null(fatal_text());
}

static void test_who_is_told_of_a_loss_goes_on(void **state)
{
	struct context_blob blob;
	struct wire wire = {.len = 0};
	make_device();
	assert_int_equal(context_create_blob(server.context, 9, 1, 0, PAGE, &blob), 0);
	fake.fences_lost = true;
	put_fence(&wire, ID_FENCE);
	put_command(&wire, VENUS_vkSetReplyCommandStreamMESA, 0);
	put_u64(&wire, 1), put_u32(&wire, 9), put_u64(&wire, 0), put_u64(&wire, PAGE);
	put_command(&wire, VENUS_vkGetFenceStatus, VENUS_FLAG_REPLY), put_u64(&wire, ID_DEVICE), put_u64(&wire, ID_FENCE);
	assert_int_equal(run(&wire), 0);
	submit_silently();
	assert_true(comes_to_rest());
	assert_null(fatal_text());
}

/* @count questions for the fence in one stream; returns how often the driver was told to sleep meanwhile. */
static unsigned sleeps_of_questions(unsigned count)
{
	struct wire wire = {.len = 0};
	unsigned before = fake.sleeps;
	put_command(&wire, VENUS_vkSetReplyCommandStreamMESA, 0);
	put_u64(&wire, 1), put_u32(&wire, 9), put_u64(&wire, 0), put_u64(&wire, PAGE);
	for (unsigned i = 0; i < count; i++) {
		put_command(&wire, VENUS_vkGetFenceStatus, VENUS_FLAG_REPLY);
		put_u64(&wire, ID_DEVICE), put_u64(&wire, ID_FENCE);
	}
	assert_int_equal(run(&wire), 0);
	return fake.sleeps - before;
}

static void test_who_waits_for_long_work_by_questions_is_held(void **state)
{
	struct context_blob blob;
	struct wire wire = {.len = 0};
	make_device();
	assert_int_equal(context_create_blob(server.context, 9, 1, 0, PAGE, &blob), 0);
	fake.held[0] = true;
	put_fence(&wire, ID_FENCE), put_semaphore(&wire, ID_SEMAPHORE);
	put_submit(&wire, ID_QUEUE, 0, 0, ID_SEMAPHORE, ID_FENCE);
	assert_int_equal(run(&wire), 0);
	sleeps_of_questions(8); /* which may look again instead */
	for (int i = 0; i < 5; i++) {
		usleep(2000);
		assert_int_equal(sleeps_of_questions(1), 0); /* who comes by now and then is not */
	}
	unsigned sleeps = 0;
	for (int i = 0; i < 1000 && !sleeps; i++) { /* a busy machine may come between two questions */
		sleeps = sleeps_of_questions(2);
	}
	assert_true(sleeps);
	assert_null(fatal_text());
	fake_release(0);
}

static void test_questions_end_with_their_device(void **state)
{
	struct wire wire = {.len = 0};
	make_device();
	submit_silently();
	wait_for_looks(1);
	put_command(&wire, VENUS_vkDestroyDevice, 0), put_u64(&wire, ID_DEVICE), put_u64(&wire, 0);
	assert_int_equal(run(&wire), 0);
	unsigned looks = looks_so_far();
	usleep(5 * QUICK_MS * 1000);
	assert_int_equal(looks_so_far(), looks);
}

static void test_questions_end_with_their_context(void **state)
{
	make_device();
	submit_silently();
	wait_for_looks(1);
	context_end(server.context);
	assert_true(comes_to_rest());
}

static void test_a_fatal_stream_is_the_end(void **state)
{
	struct wire wire = {.len = 0};
	put_u32(&wire, 195), put_u32(&wire, 0);
	assert_int_equal(run(&wire), -EPROTO);
	assert_string_equal(server.fatal, "unknown command");
	assert_true(context_is_over(server.context));
	wire.len = 0;
	assert_int_equal(run(&wire), -EPROTO);
	context_fence(server.context, 0, 5);
	assert_int_equal(fences_done(), 1);
}

#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, server_open, server_close)
#define QUICK_TEST(name) cmocka_unit_test_setup_teardown(name, server_open_quick, server_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_ladder_of_backings),
		SERVER_TEST(test_guests_see_usable_devices_memory_and_queues),
		SERVER_TEST(test_extensions_are_listed_with_the_lower_version),
		SERVER_TEST(test_driver_is_told_its_own_extensions),
		SERVER_TEST(test_devices_that_cannot_be_are_refused_softly),
		SERVER_TEST(test_timelines_belong_to_one_queue),
		SERVER_TEST(test_mappable_memory_is_imported_pages),
		SERVER_TEST(test_other_memory_is_the_drivers),
		SERVER_TEST(test_shared_memory_that_is_to_be_the_devices_own_is_of_pages),
		SERVER_TEST(test_a_heaps_budget_is_what_others_leave),
		SERVER_TEST(test_failed_allocations_cost_nothing),
		SERVER_TEST(test_resources_are_imported_by_their_pages),
		SERVER_TEST(test_dma_bufs_are_exported_and_charged_at_once),
		SERVER_TEST(test_shared_memory_is_the_drivers_own_dma_buf),
		SERVER_TEST(test_protected_queues_are_refused_where_the_family_has_none),
		SERVER_TEST(test_protected_queues_are_queues_of_their_own),
		SERVER_TEST(test_imported_payloads_are_consumed_once),
		SERVER_TEST(test_exported_signals_are_consumed_where_they_come_from),
		SERVER_TEST(test_exported_fences_are_reset_before_their_next_use),
		SERVER_TEST(test_who_asks_for_a_fence_is_answered_when_it_signals_soon),
		SERVER_TEST(test_words_are_written_where_there_is_nothing_else_to_do),
		SERVER_TEST(test_words_after_work_are_the_drivers),
		SERVER_TEST(test_other_commands_are_the_drivers),
		SERVER_TEST(test_words_outside_memory_are_the_drivers),
		SERVER_TEST(test_words_between_words_are_the_drivers),
		SERVER_TEST(test_words_in_memory_that_is_gone_are_the_drivers),
		SERVER_TEST(test_exports_of_fences_that_are_ours_are_forgotten),
		SERVER_TEST(test_fences_keep_their_timelines_order_and_no_other),
		SERVER_TEST(test_ending_lets_go_of_fences_that_never_signal),
		SERVER_TEST(test_a_lost_device_that_nobody_is_told_of_is_the_end),
		QUICK_TEST(test_a_loss_that_only_fences_tell_of_is_found_out),
		QUICK_TEST(test_a_loss_that_only_submissions_tell_of_is_found_out),
		QUICK_TEST(test_long_work_is_no_loss),
		QUICK_TEST(test_a_context_without_work_asks_nothing),
		QUICK_TEST(test_who_is_told_of_a_loss_goes_on),
		QUICK_TEST(test_questions_end_with_their_device),
		QUICK_TEST(test_questions_end_with_their_context),
		SERVER_TEST(test_who_waits_for_long_work_by_questions_is_held),
		SERVER_TEST(test_a_fatal_stream_is_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
