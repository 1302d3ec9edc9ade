/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - VkDeviceMemory that guests can map
 *
 * How it works: memory of a mappable type is made of a memfd of its own, which the driver imports as a host pointer; where the
 * driver cannot do that it allocates, and exports a dma-buf when the guest maps.  Other types are left to the driver.
 * Sizes are rounded up to what guest, host and driver need; the guest sees only what it asked for.
 *
 * Invariants: pages are freed when both the VkDeviceMemory and the resource made of it are gone, never while the driver
 * knows them.
 * Threads: the lane's; memory_export() the front end's.
 */
#include "venus/memory.h"

#include "venus/chain.h"
#include "venus/context.h"
#include "venus/device.h"
#include "venus/lane.h"
#include "venus/physical.h"
#include "venus_args.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	MEMORY_SPARE_DESCRIPTORS = 512,
	MEMORY_MIN_ALLOCATIONS = 64,
	MEMORY_PATIENCE_MS = 100, /* for memory on its way back */
	MEMORY_MAX_ALLOCATIONS = 32 * 1024, /* each is a mapping too: half of what Linux allows by default */
};

/* Data of a VkDeviceMemory object. */
struct memory {
	struct pages *pages; /* NULL: not mappable, or a dma-buf not exported yet */
	struct device *device;
	VkDeviceMemory handle;
	uint64_t bytes; /* as allocated */
	bool exportable; /* as a dma-buf */
};

static void memory_destroy(struct memory *memory)
{
	pages_put(memory->pages);
	free(memory);
}

void memory_free(struct venus_object *object)
{
	/* The table has let go of it under its lock: nobody can be exporting it on another lane any more. */
	memory_destroy(object->data);
}

uint32_t memory_max_allocations(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur < MEMORY_SPARE_DESCRIPTORS + MEMORY_MIN_ALLOCATIONS) {
		return MEMORY_MIN_ALLOCATIONS;
	}
	rlim_t most = limit.rlim_cur - MEMORY_SPARE_DESCRIPTORS;
	return most > MEMORY_MAX_ALLOCATIONS ? MEMORY_MAX_ALLOCATIONS : (uint32_t)most;
}

/* Size of an allocation of @bytes as the driver gets it; 0 if too large. */
static uint64_t memory_round(const struct device *device, uint64_t bytes)
{
	uint64_t granule = (uint64_t)sysconf(_SC_PAGESIZE);
	uint32_t guest = context_config(device->context)->granule;
	granule = granule > guest ? granule : guest;
	granule = granule > device->physical->probe->alignment ? granule
							      : device->physical->probe->alignment;
	return pages_round(bytes, granule);
}

/* The pages of the resource that the guest imports; *pages is counted. */
static VkResult memory_find_import(struct venus_call *call, uint32_t resource_id,
				   struct pages **pages)
{
	struct resource_view view;
	if (!resource_find(context_resources(context_of(call)), resource_id, &view)) {
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
	if (!view.pages->map) {
		pages_put(view.pages);
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
	*pages = view.pages;
	return VK_SUCCESS;
}

/* Points the allocation at the pages. */
static VkResult memory_chain_pages(struct venus_call *call, VkMemoryAllocateInfo *info,
				   const struct pages *pages)
{
	VkImportMemoryHostPointerInfoEXT *import = arena_alloc(call->arena, sizeof(*import));
	if (!import) {
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	*import = (VkImportMemoryHostPointerInfoEXT){
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
		.pHostPointer = pages->map,
	};
	/* A dedicated allocation must have exactly the required size, which rounding changes. */
	chain_unlink(info, VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO);
	chain_push(info, import);
	info->allocationSize = pages->bytes;
	return VK_SUCCESS;
}

/*
 * What the guest has freed is not all given back yet: the resource made of it goes by the virtqueue, which this ring may be ahead of.
 * So a full context waits a little; the virtqueue's own thread, which would wait for itself, does not.
 */
static int memory_create_pages(struct venus_call *call, struct device *device, uint64_t bytes, struct pages **pages)
{
	struct budget *budget = context_budget(device->context);
	int status = pages_create(pages, budget, bytes);
	for (int i = 0; status == -EDQUOT && lane_of(call)->ring && bytes <= budget->limit && i < MEMORY_PATIENCE_MS; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
		status = pages_create(pages, budget, bytes);
	}
	return status;
}

/* Prepares mappable memory: fresh pages, or an export if that is how this driver does it. */
static VkResult memory_prepare_mappable(struct venus_call *call, struct device *device,
					VkMemoryAllocateInfo *info, struct memory *memory)
{
	uint64_t bytes = memory_round(device, info->allocationSize);
	if (!bytes) {
		return VK_ERROR_OUT_OF_DEVICE_MEMORY;
	}
	if (device->physical->probe->backing == WIRE_BACKING_DMA_BUF) {
		VkExportMemoryAllocateInfo *export = arena_alloc(call->arena, sizeof(*export));
		if (!export) {
			return VK_ERROR_OUT_OF_HOST_MEMORY;
		}
		*export = (VkExportMemoryAllocateInfo){
			.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
			.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
		};
		chain_push(info, export);
		memory->exportable = true;
		return VK_SUCCESS;
	}
	int status = memory_create_pages(call, device, bytes, &memory->pages);
	if (status) {
		return status == -EMFILE || status == -ENFILE ? VK_ERROR_TOO_MANY_OBJECTS
							      : VK_ERROR_OUT_OF_DEVICE_MEMORY;
	}
	return memory_chain_pages(call, info, memory->pages);
}

/* Turns the guest's request into the driver's. */
static VkResult memory_prepare(struct venus_call *call, struct device *device,
			       VkMemoryAllocateInfo *info, struct memory *memory)
{
	const struct physical *physical = device->physical;
	if (info->memoryTypeIndex >= physical->memory.memoryTypeCount || !info->allocationSize) {
		return VK_ERROR_OUT_OF_DEVICE_MEMORY;
	}
	chain_unlink(info, VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO);
	const VkImportMemoryResourceInfoMESA *import =
		chain_unlink(info, VK_STRUCTURE_TYPE_IMPORT_MEMORY_RESOURCE_INFO_MESA);
	if (import) {
		VkResult result = memory_find_import(call, import->resourceId, &memory->pages);
		if (result == VK_SUCCESS && info->allocationSize > memory->pages->bytes) {
			return VK_ERROR_INVALID_EXTERNAL_HANDLE;
		}
		return result == VK_SUCCESS ? memory_chain_pages(call, info, memory->pages) : result;
	}
	if (physical_type_is_visible(physical, info->memoryTypeIndex)) {
		return memory_prepare_mappable(call, device, info, memory);
	}
	return VK_SUCCESS;
}

int memory_allocate_hook(struct venus_call *call)
{
	struct vkAllocateMemory_args *args = call->args;
	struct device *device = call->object ? call->object->data : NULL;
	VkMemoryAllocateInfo *info = (VkMemoryAllocateInfo *)args->pAllocateInfo;
	if (!device || !info || !args->pMemory) {
		return venus_decoder_fail(call->decoder, "allocation without a size");
	}
	struct memory *memory = calloc(1, sizeof(*memory));
	if (!memory) {
		args->ret = VK_ERROR_OUT_OF_HOST_MEMORY;
		return 0;
	}
	memory->device = device;
	args->ret = memory_prepare(call, device, info, memory);
	memory->bytes = info->allocationSize;
	int status = args->ret == VK_SUCCESS ? venus_call_driver(call) : 0;
	if (status || args->ret != VK_SUCCESS) {
		memory_destroy(memory);
		return status;
	}
	memory->handle = *args->pMemory;
	struct venus_object *object = venus_call_register(call, 0);
	if (!object) {
		return -EPROTO; /* the driver knows the pages: they stay until the process ends */
	}
	__atomic_store_n(&object->data, memory, __ATOMIC_RELEASE);
	return 0;
}

/* Locked by the table: the memory cannot go meanwhile. */
struct memory_request {
	uint64_t bytes;
	struct pages *pages;
};

static int memory_export_locked(struct venus_object *object, void *opaque)
{
	struct memory_request *request = opaque;
	struct memory *memory = __atomic_load_n(&object->data, __ATOMIC_ACQUIRE);
	if (object->failed) {
		return -ENOMEM; /* the guest has not heard of it yet */
	}
	if (!memory || request->bytes > memory->bytes) {
		return -EINVAL;
	}
	if (!memory->pages && memory->exportable) {
		VkMemoryGetFdInfoKHR info = {
			.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
			.memory = memory->handle,
			.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
		};
		int fd;
		if (memory->device->get_memory_fd(memory->device->handle, &info, &fd) != VK_SUCCESS) {
			return -EIO;
		}
		int status = pages_wrap(&memory->pages, context_budget(memory->device->context), fd,
					memory->bytes);
		if (status) {
			return status;
		}
	}
	if (!memory->pages) {
		return -EINVAL;
	}
	request->pages = pages_get(memory->pages);
	return 0;
}

int memory_export(struct context *context, uint64_t id, uint64_t bytes, struct pages **pages)
{
	struct memory_request request = {.bytes = bytes};
	int status = venus_objects_with(&context_dispatch(context)->objects, id,
					VK_OBJECT_TYPE_DEVICE_MEMORY, memory_export_locked, &request);
	*pages = request.pages;
	return status;
}

int memory_get_resource_properties(struct venus_call *call)
{
	struct vkGetMemoryResourcePropertiesMESA_args *args = call->args;
	struct device *device = call->object ? call->object->data : NULL;
	struct pages *pages = NULL;
	if (!device || !args->pMemoryResourceProperties) {
		return venus_decoder_fail(call->decoder, "query without a question");
	}
	args->ret = memory_find_import(call, args->resourceId, &pages);
	if (args->ret != VK_SUCCESS) {
		return 0;
	}
	VkMemoryResourceAllocationSizePropertiesMESA *size =
		chain_find(args->pMemoryResourceProperties,
			   VK_STRUCTURE_TYPE_MEMORY_RESOURCE_ALLOCATION_SIZE_PROPERTIES_MESA);
	if (size) {
		size->allocationSize = pages->bytes;
	}
	args->pMemoryResourceProperties->memoryTypeBits =
		device->physical->probe->backing == WIRE_BACKING_HOST_POINTER
			? device->physical->probe->backed_types
			: 0;
	pages_put(pages);
	return 0;
}
