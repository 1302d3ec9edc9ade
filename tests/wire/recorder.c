/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorder.c - a Vulkan driver that offers everything, does nothing, and writes down what it is
 * asked
 *
 * How it works: RECORDER_DIR names a folder; each process writes its calls to a file called by its
 * number there.  The extension that RECORDER_WITHOUT names is not offered.  With RECORDER_DMA_BUFS
 * memory can be exported, by descriptors of other memory.  With RECORDER_LINEAR linear images are
 * drawn to by VK_NV_linear_color_attachment only.  Outputs are filled with
 * noise that a reader can compute.  Only what the loader and the server need to go on is written by
 * hand here.
 * Threads: any; a mutex is held from rec_begin() to rec_finish().
 */
#include "recorder.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vulkan/vk_icd.h>

enum { REC_FD_BYTES = 64 * 1024 };

static struct {
	pthread_mutex_t lock;
	FILE *file;
	pid_t owner;
	uint64_t count; /* of noise */
	uint64_t handles;
	uint64_t made[64];
	size_t made_count;
} rec = {.lock = PTHREAD_MUTEX_INITIALIZER, .handles = 0x1000};

static FILE *rec_file(void)
{
	const char *folder = getenv("RECORDER_DIR");
	if (folder && rec.owner != getpid()) { /* the first call, or the first one after a fork */
		char path[4096];
		rec.owner = getpid();
		snprintf(path, sizeof(path), "%s/%d", folder, (int)rec.owner);
		rec.file = fopen(path, "w");
	}
	return rec.file;
}

void rec_begin(const char *name, uint32_t number)
{
	pthread_mutex_lock(&rec.lock);
	rec.count = (uint64_t)number << 16;
	rec.made_count = 0;
	rec_text(name);
}

void rec_finish(void)
{
	FILE *file = rec_file();
	if (file) {
		for (size_t i = 0; i < rec.made_count; i++) {
			fprintf(file, "%s%llx", i ? " " : " -> ", (unsigned long long)rec.made[i]);
		}
		fputc('\n', file);
		fflush(file);
	}
	pthread_mutex_unlock(&rec.lock);
}

VkResult rec_result(const char *command)
{
	char name[128] = "";
	const char *path = getenv("RECORDER_FAIL");
	FILE *file = path ? fopen(path, "r") : NULL;
	if (file) {
		name[fread(name, 1, sizeof(name) - 1, file)] = '\0';
		fclose(file);
	}
	return strcmp(name, command) ? VK_SUCCESS : VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

void rec_text(const char *text)
{
	FILE *file = rec_file();
	if (file) {
		fputs(text, file);
	}
}

void rec_number(const void *bits, size_t size)
{
	uint64_t value = 0;
	char text[32];
	memcpy(&value, bits, size);
	snprintf(text, sizeof(text), "%llx", (unsigned long long)value);
	rec_text(text);
}

void rec_handle(VkObjectType type, uint64_t handle)
{
	/* The loader wraps these, so the server's value is another. */
	if (type == VK_OBJECT_TYPE_INSTANCE || type == VK_OBJECT_TYPE_PHYSICAL_DEVICE) {
		rec_text(type == VK_OBJECT_TYPE_INSTANCE ? "@VK_OBJECT_TYPE_INSTANCE"
							 : "@VK_OBJECT_TYPE_PHYSICAL_DEVICE");
		return;
	}
	rec_text("@");
	rec_number(&handle, sizeof(handle));
}

void rec_bytes(const void *bytes, size_t len)
{
	char text[3];
	if (!bytes) {
		rec_text("~");
		return;
	}
	rec_text("\"");
	for (size_t i = 0; i < len; i++) {
		snprintf(text, sizeof(text), "%02x", ((const uint8_t *)bytes)[i]);
		rec_text(text);
	}
	rec_text("\"");
}

/* Used as a driver may use it. */
void rec_allocator(const VkAllocationCallbacks *allocator)
{
	rec_text(allocator ? "!" : "~");
	if (allocator) {
		void *own = allocator->pUserData;
		VkSystemAllocationScope scope = VK_SYSTEM_ALLOCATION_SCOPE_OBJECT;
		char *first = allocator->pfnAllocation(own, 100, 8, scope);
		char *second = allocator->pfnAllocation(own, 100, 8, scope);
		memset(first, 1, 100), memset(second, 2, 100);
		first = allocator->pfnReallocation(own, first, 100000, 8, scope);
		rec_text(first[99] == 1 && second[99] == 2 ? "" : " wrong memory");
		allocator->pfnFree(own, first);
		allocator->pfnFree(own, second);
	}
}

void rec_string(const char *text)
{
	rec_bytes(text, text ? strlen(text) + 1 : 0);
}

void rec_list(bool present)
{
	rec_text(present ? "[" : "~");
}

void rec_next(size_t index)
{
	if (index) {
		rec_text(" ");
	}
}

void rec_end(bool present)
{
	if (present) {
		rec_text("]");
	}
}

void rec_unknown(VkStructureType type)
{
	rec_text("unknown ");
	rec_number(&type, sizeof(type));
}

uint64_t rec_new(VkObjectType type)
{
	uint64_t handle = ++rec.handles;
	if (type == VK_OBJECT_TYPE_INSTANCE || type == VK_OBJECT_TYPE_PHYSICAL_DEVICE ||
	    type == VK_OBJECT_TYPE_DEVICE || type == VK_OBJECT_TYPE_QUEUE ||
	    type == VK_OBJECT_TYPE_COMMAND_BUFFER) {
		VK_LOADER_DATA *data = calloc(1, sizeof(*data)); /* never freed: a test's driver */
		set_loader_magic_value(data);
		handle = (uintptr_t)data;
	}
	if (rec.made_count < sizeof(rec.made) / sizeof(rec.made[0])) {
		rec.made[rec.made_count++] = handle;
	}
	return handle;
}

void rec_noise(void *bits, size_t size)
{
	uint64_t value = ++rec.count * 0x9e3779b97f4a7c15u;
	value >>= 64 - 8 * size;
	memcpy(bits, &value, size);
}

void rec_noise_text(char *text, size_t size)
{
	memset(text, 0, size);
	snprintf(text, size, "noise %llu", (unsigned long long)++rec.count);
}

/* --- what the loader and the server's own calls need --- */

static VKAPI_ATTR VkResult VKAPI_CALL rec_vkEnumerateInstanceVersion(uint32_t *version)
{
	*version = VK_API_VERSION_1_3;
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL rec_vkEnumerateInstanceExtensionProperties(
	const char *layer, uint32_t *count, VkExtensionProperties *properties)
{
	*count = 0;
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL rec_vkCreateInstance(const VkInstanceCreateInfo *info,
							   const VkAllocationCallbacks *allocator,
							   VkInstance *instance)
{
	rec_begin("vkCreateInstance", 0);
	rec_text(" ");
	rec_write_create_instance(info);
	*instance = (VkInstance)(uintptr_t)rec_new(VK_OBJECT_TYPE_INSTANCE);
	rec_finish();
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL rec_vkEnumeratePhysicalDevices(VkInstance instance,
								     uint32_t *count,
								     VkPhysicalDevice *devices)
{
	static VK_LOADER_DATA device;
	set_loader_magic_value(&device);
	if (devices && *count) {
		devices[0] = (VkPhysicalDevice)(uintptr_t)&device;
	}
	*count = 1;
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL
rec_vkEnumerateDeviceExtensionProperties(VkPhysicalDevice physical, const char *layer,
					 uint32_t *count, VkExtensionProperties *properties)
{
	const char *without = getenv("RECORDER_WITHOUT");
	uint32_t given = 0;
	for (uint32_t i = 0; i < rec_extension_count; i++) {
		if (without && !strcmp(without, rec_extensions[i].extensionName)) {
			continue;
		}
		if (properties && given == *count) {
			return VK_INCOMPLETE;
		}
		if (properties) {
			properties[given] = rec_extensions[i];
		}
		given++;
	}
	if (getenv("RECORDER_LINEAR")) {
		if (properties && given == *count) {
			return VK_INCOMPLETE;
		}
		if (properties) {
			properties[given] = (VkExtensionProperties){
				VK_NV_LINEAR_COLOR_ATTACHMENT_EXTENSION_NAME, 1};
		}
		given++;
	}
	*count = given;
	return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL rec_vkGetPhysicalDeviceQueueFamilyProperties(
	VkPhysicalDevice physical, uint32_t *count, VkQueueFamilyProperties *families)
{
	*count = families && *count < 2 ? *count : 2;
	rec_begin("vkGetPhysicalDeviceQueueFamilyProperties", 0);
	if (families) {
		rec_fill_families(families, *count);
	}
	rec_finish();
}

static VKAPI_ATTR void VKAPI_CALL rec_vkGetPhysicalDeviceMemoryProperties(
	VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties *memory)
{
	rec_begin("vkGetPhysicalDeviceMemoryProperties", 0);
	rec_fill_memory(memory);
	rec_finish();
}

static VKAPI_ATTR void VKAPI_CALL
rec_vkGetPhysicalDeviceFeatures(VkPhysicalDevice physical, VkPhysicalDeviceFeatures *features)
{
	memset(features, 0, sizeof(*features));
}

static VKAPI_ATTR VkResult VKAPI_CALL rec_vkGetMemoryHostPointerPropertiesEXT(
	VkDevice device, VkExternalMemoryHandleTypeFlagBits type, const void *pointer,
	VkMemoryHostPointerPropertiesEXT *properties)
{
	properties->memoryTypeBits = 3;
	return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL rec_vkGetPhysicalDeviceExternalBufferProperties(
	VkPhysicalDevice physical, const VkPhysicalDeviceExternalBufferInfo *info,
	VkExternalBufferProperties *properties)
{
	properties->externalMemoryProperties = (VkExternalMemoryProperties){0};
	if (info->handleType == VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT) {
		properties->externalMemoryProperties = (VkExternalMemoryProperties){
			VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT, 0, info->handleType};
	} else if (getenv("RECORDER_DMA_BUFS")) {
		properties->externalMemoryProperties = (VkExternalMemoryProperties){
			VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT |
				VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT,
			info->handleType, info->handleType};
	}
}

static VKAPI_ATTR VkResult VKAPI_CALL rec_vkGetMemoryFdKHR(VkDevice device,
							   const VkMemoryGetFdInfoKHR *info,
							   int *fd)
{
	*fd = memfd_create("recorder", MFD_CLOEXEC);
	return *fd < 0 || ftruncate(*fd, REC_FD_BYTES) < 0 ? VK_ERROR_UNKNOWN : VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL
rec_vkGetMemoryFdPropertiesKHR(VkDevice device, VkExternalMemoryHandleTypeFlagBits type, int fd,
			       VkMemoryFdPropertiesKHR *properties)
{
	properties->memoryTypeBits = 3;
	return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL rec_vkGetDeviceQueue(VkDevice device, uint32_t family,
						       uint32_t index, VkQueue *queue)
{
	rec_begin("vkGetDeviceQueue", 0);
	rec_text(" ");
	rec_number(&family, sizeof(family));
	rec_text(" ");
	rec_number(&index, sizeof(index));
	*queue = (VkQueue)(uintptr_t)rec_new(VK_OBJECT_TYPE_QUEUE);
	rec_finish();
}

/* Loaders want these to be there; guests never send them. */
static VKAPI_ATTR void VKAPI_CALL rec_nothing(void)
{
}

static VKAPI_ATTR VkResult VKAPI_CALL rec_vkDeviceWaitIdle(VkDevice device)
{
	return VK_SUCCESS;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL rec_vkGetInstanceProcAddr(VkInstance instance,
									  const char *name);
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL rec_vkGetDeviceProcAddr(VkDevice device,
									const char *name);

#define REC_OWN(name)                                                                              \
	{                                                                                          \
#name, (PFN_vkVoidFunction)rec_##name                                              \
	}
static const struct rec_entry rec_own[] = {
	REC_OWN(vkEnumerateInstanceVersion),
	REC_OWN(vkEnumerateInstanceExtensionProperties),
	REC_OWN(vkCreateInstance),
	REC_OWN(vkEnumeratePhysicalDevices),
	REC_OWN(vkEnumerateDeviceExtensionProperties),
	REC_OWN(vkGetPhysicalDeviceQueueFamilyProperties),
	REC_OWN(vkGetPhysicalDeviceMemoryProperties),
	REC_OWN(vkGetPhysicalDeviceFeatures),
	REC_OWN(vkGetMemoryHostPointerPropertiesEXT),
	REC_OWN(vkGetPhysicalDeviceExternalBufferProperties),
	REC_OWN(vkGetMemoryFdKHR),
	REC_OWN(vkGetMemoryFdPropertiesKHR),
	REC_OWN(vkGetDeviceQueue),
	REC_OWN(vkDeviceWaitIdle),
	REC_OWN(vkGetInstanceProcAddr),
	REC_OWN(vkGetDeviceProcAddr),
	{"vkGetPhysicalDeviceFormatProperties", rec_nothing},
	{"vkGetPhysicalDeviceImageFormatProperties", rec_nothing},
	{"vkGetPhysicalDeviceSparseImageFormatProperties", rec_nothing},
	{NULL, NULL},
};

static PFN_vkVoidFunction rec_find(const struct rec_entry *entry, const char *name)
{
	while (entry->name && strcmp(entry->name, name)) {
		entry++;
	}
	return entry->fn;
}

/* Where the server makes images of its own, they need what it can have. */
static VKAPI_ATTR void VKAPI_CALL
rec_vkGetImageMemoryRequirements2(VkDevice device, const VkImageMemoryRequirementsInfo2 *info,
				  VkMemoryRequirements2 *needs)
{
	needs->memoryRequirements = (VkMemoryRequirements){REC_FD_BYTES, 1, 3};
}

static PFN_vkVoidFunction rec_lookup(const char *name)
{
	if (getenv("RECORDER_LINEAR") && !strcmp(name, "vkGetImageMemoryRequirements2")) {
		return (PFN_vkVoidFunction)rec_vkGetImageMemoryRequirements2;
	}
	PFN_vkVoidFunction fn = rec_find(rec_own, name);
	return fn ? fn : rec_find(rec_generated, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL rec_vkGetInstanceProcAddr(VkInstance instance,
									  const char *name)
{
	return rec_lookup(name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL rec_vkGetDeviceProcAddr(VkDevice device,
									const char *name)
{
	return rec_lookup(name);
}

VKAPI_ATTR VkResult VKAPI_CALL vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version);
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vk_icdGetInstanceProcAddr(VkInstance instance,
								   const char *name);
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vk_icdGetPhysicalDeviceProcAddr(VkInstance instance,
									 const char *name);

VKAPI_ATTR VkResult VKAPI_CALL vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version)
{
	*version = *version < 5 ? *version : 5;
	return VK_SUCCESS;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vk_icdGetInstanceProcAddr(VkInstance instance,
								   const char *name)
{
	return rec_lookup(name);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vk_icdGetPhysicalDeviceProcAddr(VkInstance instance,
									 const char *name)
{
	return strstr(name, "PhysicalDevice") ? rec_lookup(name) : NULL;
}
