/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - what the host's Vulkan devices can do for a guest
 * Threads: one at a time.
 */
#include "venus/probe.h"

#include "base/os.h"
#include "base/own.h"
#include "venus/backing.h"
#include "venus/instance.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PROBE_DMA_BUF_BYTES = 64 * 1024 };

/* A throw-away device of one physical device, with the functions the probe calls. */
struct probe_work {
	struct probe_device *device;
	VkInstance instance;
	VkPhysicalDevice physical;
	VkDevice handle;
	PFN_vkGetInstanceProcAddr get_proc;
	PFN_vkGetDeviceProcAddr get_device_proc;
	PFN_vkAllocateMemory allocate;
	PFN_vkFreeMemory free;
	bool has_host_pointer, has_dma_buf, has_modifiers;
};

#define PROBE_FN(work, name) ((PFN_##name)(work)->get_proc((work)->instance, #name))
#define PROBE_DEVICE_FN(work, name) ((PFN_##name)(work)->get_device_proc((work)->handle, #name))

const char *probe_backing_name(enum wire_backing backing)
{
	switch (backing) {
	case WIRE_BACKING_HOST_POINTER:
		return "host pointer";
	case WIRE_BACKING_DMA_BUF:
		return "dma-buf";
	case WIRE_BACKING_NONE:
		break;
	}
	return "none";
}

bool probe_choice_allows(const struct probe_choice *choice, const struct probe_device *device)
{
	if (choice->index >= 0 && (uint32_t)choice->index != device->index) {
		return false;
	}
	return !choice->name || strcasestr(device->name, choice->name);
}

static void probe_fill_properties(struct probe_work *work)
{
	struct probe_device *device = work->device;
	VkPhysicalDeviceExternalMemoryHostPropertiesEXT host = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT};
	VkPhysicalDeviceDriverProperties driver = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES, .pNext = &host};
	VkPhysicalDeviceIDProperties ids = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES, .pNext = &driver};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &ids};
	PROBE_FN(work, vkGetPhysicalDeviceProperties2)(work->physical, &properties);
	snprintf(device->name, sizeof(device->name), "%s", properties.properties.deviceName);
	snprintf(device->driver, sizeof(device->driver), "%s", driver.driverName);
	snprintf(device->driver_info, sizeof(device->driver_info), "%s", driver.driverInfo);
	memcpy(device->uuid, ids.deviceUUID, sizeof(device->uuid));
	device->api_version = properties.properties.apiVersion;
	device->type = properties.properties.deviceType;
	device->alignment = host.minImportedHostPointerAlignment;

	VkPhysicalDeviceMemoryProperties memory;
	PROBE_FN(work, vkGetPhysicalDeviceMemoryProperties)(work->physical, &memory);
	for (uint32_t i = 0; i < memory.memoryTypeCount; i++) {
		VkMemoryPropertyFlags flags = memory.memoryTypes[i].propertyFlags;
		if (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) {
			device->visible_types |= 1u << i;
		}
		if (flags & (VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT)) {
			device->special_types |= 1u << i;
		}
	}
}

/* Looks the extensions of interest up; adds those to enable to @names.  Returns their number. */
static uint32_t probe_pick_extensions(struct probe_work *work, const char *names[8])
{
	struct instance_extensions extensions;
	uint32_t count = 0;
	if (!instance_list_extensions(&extensions, work->get_proc, work->instance, work->physical)) {
		return 0;
	}
	bool fd = instance_has_extension(&extensions, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME);
	work->has_host_pointer =
		instance_has_extension(&extensions, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
	work->has_dma_buf = fd && instance_has_extension(&extensions,
							 VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME);
	work->has_modifiers = instance_has_extension(&extensions, VK_EXT_IMAGE_DRM_FORMAT_MODIFIER_EXTENSION_NAME);
	work->device->has_external_semaphores =
		instance_has_extension(&extensions, VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME);
	work->device->has_portability_subset =
		instance_has_extension(&extensions, "VK_KHR_portability_subset");
	if (work->has_host_pointer) {
		names[count++] = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
	}
	if (work->has_dma_buf) {
		names[count++] = VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME;
		names[count++] = VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME;
	}
	if (work->device->has_portability_subset) {
		names[count++] = "VK_KHR_portability_subset";
	}
	instance_free_extensions(&extensions);
	return count;
}

static VkResult probe_create_device(struct probe_work *work)
{
	const char *names[8];
	const float priority = 1.0f;
	VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.ppEnabledExtensionNames = names,
	};
	info.enabledExtensionCount = probe_pick_extensions(work, names);
	VkResult result =
		PROBE_FN(work, vkCreateDevice)(work->physical, &info, NULL, &work->handle);
	if (result == VK_SUCCESS) {
		work->allocate = PROBE_DEVICE_FN(work, vkAllocateMemory);
		work->free = PROBE_DEVICE_FN(work, vkFreeMemory);
	}
	return result;
}

/* True if memory type @type can be made of the @bytes at @page. */
static bool probe_import_type(struct probe_work *work, void *page, uint64_t bytes, uint32_t type)
{
	VkImportMemoryHostPointerInfoEXT import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
		.pHostPointer = page,
	};
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &import,
		.allocationSize = bytes,
		.memoryTypeIndex = type,
	};
	VkDeviceMemory memory;
	if (work->allocate(work->handle, &info, NULL, &memory) != VK_SUCCESS) {
		return false;
	}
	work->free(work->handle, memory, NULL);
	return true;
}

/* The visible types that can be imported from a memfd. */
static uint32_t probe_host_pointer(struct probe_work *work)
{
	PFN_vkGetMemoryHostPointerPropertiesEXT properties_of =
		PROBE_DEVICE_FN(work, vkGetMemoryHostPointerPropertiesEXT);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t bytes = work->device->alignment > page ? work->device->alignment : page;
	AUTO_FD int fd = os_memory("oriel-probe");
	if (!properties_of || fd < 0 || ftruncate(fd, (off_t)bytes) < 0) {
		return 0;
	}
	void *scratch = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (scratch == MAP_FAILED) {
		return 0;
	}
	VkMemoryHostPointerPropertiesEXT properties = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
	uint32_t types = 0;
	if (properties_of(work->handle, VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
			  scratch, &properties) == VK_SUCCESS) {
		types = properties.memoryTypeBits & work->device->visible_types;
	}
	for (uint32_t i = 0; i < VK_MAX_MEMORY_TYPES; i++) {
		if ((types & (1u << i)) && !probe_import_type(work, scratch, bytes, i)) {
			types &= ~(1u << i);
		}
	}
	munmap(scratch, bytes);
	return types;
}

/* True if memory of type @type can be exported as a dma-buf that can be mapped. */
static bool probe_export_type(struct probe_work *work, uint32_t type)
{
	VkExportMemoryAllocateInfo export = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &export,
		.allocationSize = PROBE_DMA_BUF_BYTES,
		.memoryTypeIndex = type,
	};
	VkDeviceMemory memory;
	if (work->allocate(work->handle, &info, NULL, &memory) != VK_SUCCESS) {
		return false;
	}
	VkMemoryGetFdInfoKHR get = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.memory = memory,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	AUTO_FD int fd = -1;
	PFN_vkGetMemoryFdKHR get_fd = PROBE_DEVICE_FN(work, vkGetMemoryFdKHR);
	void *map = MAP_FAILED;
	if (get_fd && get_fd(work->handle, &get, &fd) == VK_SUCCESS && fd >= 0) {
		map = mmap(NULL, PROBE_DMA_BUF_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	if (map != MAP_FAILED) {
		munmap(map, PROBE_DMA_BUF_BYTES);
	}
	work->free(work->handle, memory, NULL);
	return map != MAP_FAILED;
}

/* What can be done with dma-bufs, VkExternalMemoryFeatureFlags. */
static uint32_t probe_dma_buf_features(struct probe_work *work)
{
	VkPhysicalDeviceExternalBufferInfo info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
		.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	VkExternalBufferProperties properties = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES};
	PROBE_FN(work, vkGetPhysicalDeviceExternalBufferProperties)(work->physical, &info,
								     &properties);
	return properties.externalMemoryProperties.externalMemoryFeatures;
}

/* The visible types that can be exported. */
static uint32_t probe_dma_buf(struct probe_work *work)
{
	uint32_t types = 0;
	for (uint32_t i = 0; i < VK_MAX_MEMORY_TYPES; i++) {
		if ((work->device->visible_types & (1u << i)) && probe_export_type(work, i)) {
			types |= 1u << i;
		}
	}
	return types;
}

/* Climbs the ladder of backings. */
static void probe_find_backing(struct probe_work *work)
{
	struct probe_device *device = work->device;
	uint64_t alignment = device->alignment;
	bool sane = alignment && !(alignment & (alignment - 1)) && alignment <= 2 * 1024 * 1024;
	if (work->has_host_pointer && sane) {
		device->backed_types = probe_host_pointer(work);
		device->backing = device->backed_types ? WIRE_BACKING_HOST_POINTER
						       : WIRE_BACKING_NONE;
	}
	uint32_t features = work->has_dma_buf ? probe_dma_buf_features(work) : 0;
	uint32_t exported = features & VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT ? probe_dma_buf(work) : 0;
	if (!device->backed_types) {
		device->backed_types = exported;
		device->backing = exported ? WIRE_BACKING_DMA_BUF : WIRE_BACKING_NONE;
	}
	if (work->has_modifiers && features & VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT) {
		device->shared_types = exported;
	}
	if (device->backing != WIRE_BACKING_HOST_POINTER) {
		device->alignment = 4096;
	}
}

void probe_physical_device(struct probe_device *device, PFN_vkGetInstanceProcAddr get_proc,
			   VkInstance instance, VkPhysicalDevice physical)
{
	struct probe_work work = {
		.device = device, .instance = instance, .physical = physical, .get_proc = get_proc};
	VkPhysicalDeviceProperties old;
	PROBE_FN(&work, vkGetPhysicalDeviceProperties)(physical, &old);
	snprintf(device->name, sizeof(device->name), "%s", old.deviceName);
	device->api_version = old.apiVersion;
	if (old.apiVersion < VK_API_VERSION_1_1) {
		snprintf(device->problem, sizeof(device->problem), "Vulkan 1.1 or later is needed");
		return;
	}
	probe_fill_properties(&work);
	work.get_device_proc = PROBE_FN(&work, vkGetDeviceProcAddr);
	VkResult result = probe_create_device(&work);
	if (result != VK_SUCCESS) {
		snprintf(device->problem, sizeof(device->problem), "no device: VkResult %d",
			 result);
		return;
	}
	probe_find_backing(&work);
	if (device->backed_types) {
		backing_probe(device, &(struct backing_try){work.get_proc, work.get_device_proc,
							    instance, physical, work.handle});
	} else {
		snprintf(device->problem, sizeof(device->problem),
			 "no memory that can be mapped into a guest");
	}
	PROBE_DEVICE_FN(&work, vkDestroyDevice)(work.handle, NULL);
}

static int probe_no_device(struct error *err, VkResult result)
{
	return error_set(err, -ENODEV,
			 "no Vulkan device (VkResult %d): install a driver, e.g. mesa-vulkan-drivers, "
			 "or check VK_DRIVER_FILES",
			 result);
}

/* Probes all devices of @instance. */
static int probe_all(struct probe *probe, PFN_vkGetInstanceProcAddr get_proc, VkInstance instance,
		     const struct probe_choice *choice, struct error *err)
{
	PFN_vkEnumeratePhysicalDevices enumerate =
		(PFN_vkEnumeratePhysicalDevices)get_proc(instance, "vkEnumeratePhysicalDevices");
	VkPhysicalDevice physical[PROBE_MAX_DEVICES];
	uint32_t count = PROBE_MAX_DEVICES;
	VkResult result = enumerate(instance, &count, physical);
	if ((result != VK_SUCCESS && result != VK_INCOMPLETE) || !count) {
		return probe_no_device(err, result);
	}
	for (uint32_t i = 0; i < count; i++) {
		struct probe_device *device = &probe->devices[probe->count];
		*device = (struct probe_device){.index = i};
		probe_physical_device(device, get_proc, instance, physical[i]);
		probe->count += probe_choice_allows(choice, device);
	}
	if (!probe->count) {
		return error_set(err, -ENODEV,
				 "no Vulkan device is the chosen one: see oriel-gpu --probe");
	}
	return 0;
}

int probe_run(struct probe *probe, PFN_vkGetInstanceProcAddr get_proc,
	      const struct probe_choice *choice, struct error *err)
{
	VkInstance instance;
	*probe = (struct probe){.get_proc = get_proc};
	VkResult result = instance_create_plain(get_proc, &instance);
	if (result != VK_SUCCESS) {
		return probe_no_device(err, result);
	}
	int status = probe_all(probe, get_proc, instance, choice, err);
	((PFN_vkDestroyInstance)get_proc(instance, "vkDestroyInstance"))(instance, NULL);
	return status;
}

bool probe_has_dma_bufs(const struct probe_device *device)
{
	return device->backing == WIRE_BACKING_DMA_BUF || device->shared_types;
}

const struct probe_device *probe_first(const struct probe *probe)
{
	for (size_t i = 0; i < probe->count; i++) {
		if (!probe->devices[i].problem[0]) {
			return &probe->devices[i];
		}
	}
	return NULL;
}

void probe_print_json(const struct probe *probe)
{
	json_t *list = json_array();
	for (size_t i = 0; i < probe->count; i++) {
		const struct probe_device *device = &probe->devices[i];
		char version[32];
		snprintf(version, sizeof(version), "%u.%u.%u",
			 VK_API_VERSION_MAJOR(device->api_version),
			 VK_API_VERSION_MINOR(device->api_version),
			 VK_API_VERSION_PATCH(device->api_version));
		json_array_append_new(
			list, json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:I, s:i, s:i, s:i, s:{s:b, s:b, s:b}, s:s}",
					"index", (int)device->index, "name", device->name, "driver",
					device->driver, "driver_info", device->driver_info,
					"api_version", version, "type", (int)device->type, "backing",
					probe_backing_name(device->backing), "alignment",
					(json_int_t)device->alignment, "visible_types",
					(int)device->visible_types, "backed_types",
					(int)device->backed_types, "shared_types",
					(int)device->shared_types, "named", "buffers",
					device->named_buffers, "linear_images", device->named_linear,
					"optimal_images", device->named_optimal, "problem", device->problem));
	}
	json_t *root = json_pack("{s:i, s:o}", "page_size", (int)sysconf(_SC_PAGESIZE), "devices",
				 list);
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
}
