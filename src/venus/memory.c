/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - VkDeviceMemory that guests can map
 *
 * How it works: memory of a mappable type is made of a memfd of its own, which the driver imports
 * as a host pointer; where the driver cannot do that it allocates, and exports a dma-buf at once.
 * So it does for memory that the guest wants to share, if that is not emulated.  Memory of other
 * types is the driver's, and only charged: it may be the host's, too.  Sizes are rounded up to what
 * guest, host and driver need; the guest sees only what it asked for.
 *
 * Invariants: pages are freed when both the VkDeviceMemory and the resource made of it are gone,
 * never while the driver knows them. Threads: the lane's; memory_export() the front end's.
 */
#include "venus/memory.h"

#include "venus/chain.h"
#include "venus/context.h"
#include "venus/device.h"
#include "venus/lane.h"
#include "venus/physical.h"
#include "venus/twin.h"
#include "venus_args.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	MEMORY_SPARE_DESCRIPTORS = 512,
	MEMORY_MIN_ALLOCATIONS = 64,
	MEMORY_MAX_ALLOCATIONS =
		32 * 1024, /* each is a mapping too: half of what Linux allows by default */
};

/* Data of a VkDeviceMemory object are its pages; NULL: its allocation failed. */
void memory_free(struct venus_object *object)
{
	/* The table has let go of it under its lock: nobody can be exporting it on another lane any
	 * more. */
	pages_leave(object->data);
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

/* Points the allocation at a dma-buf; *fd is the driver's once that has succeeded. */
static VkResult memory_chain_dma_buf(struct venus_call *call, const struct device *device,
				     VkMemoryAllocateInfo *info, const struct pages *pages, int *fd)
{
	VkImportMemoryFdInfoKHR *import = arena_alloc(call->arena, sizeof(*import));
	if (!device->get_memory_fd) {
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
	*fd = fcntl(pages->fd, F_DUPFD_CLOEXEC, 0);
	if (!import || *fd < 0) {
		return import ? VK_ERROR_TOO_MANY_OBJECTS : VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	*import = (VkImportMemoryFdInfoKHR){
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
		.fd = *fd,
	};
	chain_push(info, import);
	return VK_SUCCESS;
}

/*
 * What the guest has freed is not all given back yet: the resource made of it goes by the
 * virtqueue, which this ring may be ahead of. So a full context waits a little; the virtqueue's own
 * thread, which would wait for itself, only for other contexts.
 */
static void memory_await_room(struct venus_call *call, const struct device *device, uint64_t bytes)
{
	struct budget *budget = context_budget(device->context);
	if (lane_of(call)->ring || budget_fits_alone(budget, bytes)) {
		budget_await_room(budget, bytes);
	}
}

static VkResult memory_result(int status)
{
	return status == -EMFILE || status == -ENFILE ? VK_ERROR_TOO_MANY_OBJECTS
						      : VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

/* One request, while it is turned into the driver's. */
struct memory_request {
	struct pages *pages; /* what the memory is made of, or NULL so far */
	bool exported;	     /* as a dma-buf, once allocated */
	bool combined;	     /* see struct pages */
	int fd;		     /* given to a driver that imports, or -1 */
};

/* The driver's own memory, to leave it as a dma-buf. */
static VkResult memory_prepare_export(struct venus_call *call, const struct device *device,
				      VkMemoryAllocateInfo *info, struct memory_request *request)
{
	VkExportMemoryAllocateInfo *export = arena_alloc(call->arena, sizeof(*export));
	uint64_t bytes = memory_round(device, info->allocationSize);
	if (!export || !bytes) {
		return export ? VK_ERROR_OUT_OF_DEVICE_MEMORY : VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	*export = (VkExportMemoryAllocateInfo){
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	/* A dedicated allocation must have exactly the required size. */
	if (!chain_find(info, VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO)) {
		info->allocationSize = bytes;
	}
	chain_push(info, export);
	request->exported = true;
	memory_await_room(call, device, bytes);
	return VK_SUCCESS;
}

/* Makes the request's pages by @make, also once there is room. */
static int memory_make_pages(struct venus_call *call, const struct device *device, uint64_t bytes,
			     int (*make)(struct pages **, struct shelf *, uint64_t),
			     struct memory_request *request)
{
	struct shelf *shelf = context_shelf(device->context);
	int status = make(&request->pages, shelf, bytes);
	if (status == -EDQUOT) {
		memory_await_room(call, device, bytes);
		status = make(&request->pages, shelf, bytes);
	}
	return status;
}

/* Pages of our own, which the driver imports. */
static VkResult memory_prepare_pages(struct venus_call *call, const struct device *device,
				     VkMemoryAllocateInfo *info, struct memory_request *request)
{
	uint64_t bytes = memory_round(device, info->allocationSize);
	if (!bytes) {
		return VK_ERROR_OUT_OF_DEVICE_MEMORY;
	}
	int status = memory_make_pages(call, device, bytes, pages_create_dirty, request);
	return status ? memory_result(status) : memory_chain_pages(call, info, request->pages);
}

/* The driver's own memory, of the GPU or the host, which nobody maps. */
static VkResult memory_prepare_own(struct venus_call *call, const struct device *device,
				   const VkMemoryAllocateInfo *info, struct memory_request *request)
{
	int status = memory_make_pages(call, device, info->allocationSize, pages_count, request);
	return status ? memory_result(status) : VK_SUCCESS;
}

static VkResult memory_prepare_import(struct venus_call *call, const struct device *device,
				      VkMemoryAllocateInfo *info, uint32_t resource_id,
				      struct memory_request *request)
{
	VkResult result = memory_find_import(call, resource_id, &request->pages);
	if (result != VK_SUCCESS) {
		return result;
	}
	const struct pages *pages = request->pages;
	if (info->allocationSize > pages->bytes) {
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
	if (!pages->map) {
		return memory_chain_dma_buf(call, device, info, pages, &request->fd);
	}
	info->memoryTypeIndex = physical_stand_in(device->physical, info->memoryTypeIndex);
	return memory_chain_pages(call, info, pages);
}

/* Turns the guest's request into the driver's. */
static VkResult memory_prepare(struct venus_call *call, const struct device *device,
			       VkMemoryAllocateInfo *info, struct memory_request *request)
{
	const struct physical *physical = device->physical;
	if (info->memoryTypeIndex >= physical->memory.memoryTypeCount || !info->allocationSize) {
		return VK_ERROR_OUT_OF_DEVICE_MEMORY;
	}
	const VkExportMemoryAllocateInfo *export =
		chain_unlink(info, VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO);
	bool leaves = export && export->handleTypes;
	const VkImportMemoryResourceInfoMESA *import =
		chain_unlink(info, VK_STRUCTURE_TYPE_IMPORT_MEMORY_RESOURCE_INFO_MESA);
	if (import) {
		return memory_prepare_import(call, device, info, import->resourceId, request);
	}
	if (leaves) {
		info->memoryTypeIndex = physical_stand_in(physical, info->memoryTypeIndex);
	}
	uint32_t type = info->memoryTypeIndex;
	bool visible = physical_type_is_visible(physical, type);
	bool shared = leaves && physical->probe->shared_types & (1u << type);
	if (shared || (visible && physical->probe->backing == WIRE_BACKING_DMA_BUF)) {
		request->combined = !(physical->memory.memoryTypes[type].propertyFlags &
				      VK_MEMORY_PROPERTY_HOST_CACHED_BIT);
		return memory_prepare_export(call, device, info, request);
	}
	return visible ? memory_prepare_pages(call, device, info, request)
		       : memory_prepare_own(call, device, info, request);
}

/* The allocated memory as pages.  VK_SUCCESS, or why it cannot be kept. */
static VkResult memory_export_handle(const struct device *device, VkDeviceMemory handle,
				     uint64_t bytes, struct memory_request *request)
{
	const VkMemoryGetFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.memory = handle,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	int fd;
	VkResult result = device->get_memory_fd(device->handle, &info, &fd);
	if (result != VK_SUCCESS) {
		return result;
	}
	int status = pages_wrap(&request->pages, context_shelf(device->context), fd, bytes);
	if (status) {
		return memory_result(status);
	}
	request->pages->combined = request->combined;
	return VK_SUCCESS;
}

/* The driver's call, with what goes before and after it.  0 or -EPROTO; the guest's answer is in
 * args->ret. */
static int memory_allocate(struct venus_call *call, const struct device *device,
			   VkMemoryAllocateInfo *info, struct memory_request *request)
{
	struct vkAllocateMemory_args *args = call->args;
	args->ret = memory_prepare(call, device, info, request);
	int status = args->ret == VK_SUCCESS ? venus_call_driver(call) : 0;
	if (request->fd >= 0 && (status || args->ret != VK_SUCCESS)) {
		close(request->fd);
	}
	if (status || args->ret != VK_SUCCESS || !request->exported) {
		return status;
	}
	args->ret = memory_export_handle(device, *args->pMemory, info->allocationSize, request);
	if (args->ret != VK_SUCCESS) {
		((PFN_vkFreeMemory)venus_driver_fn(call->dispatch, call->object,
						   VENUS_vkFreeMemory))(device->handle,
									*args->pMemory, NULL);
	}
	return 0;
}

int memory_allocate_hook(struct venus_call *call)
{
	struct vkAllocateMemory_args *args = call->args;
	struct device *device = call->object ? call->object->data : NULL;
	VkMemoryAllocateInfo *info = (VkMemoryAllocateInfo *)args->pAllocateInfo;
	if (!device || !info || !args->pMemory) {
		return venus_decoder_fail(call->decoder, "allocation without a size");
	}
	struct memory_request request = {.fd = -1};
	VkMemoryDedicatedAllocateInfo *dedicated =
		chain_find(info, VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO);
	if (dedicated) {
		dedicated->image = twin_shared_image(venus_call_object_at(call, &dedicated->image),
						     dedicated->image);
	}
	int status = memory_allocate(call, device, info, &request);
	if (status || args->ret != VK_SUCCESS) {
		pages_put(request.pages);
		return status;
	}
	struct venus_object *object = venus_call_register(call, 0);
	if (!object) {
		return -EPROTO; /* the driver knows the pages: they stay until the process ends */
	}
	__atomic_store_n(&object->data, request.pages, __ATOMIC_RELEASE);
	return 0;
}

/* Locked by the table: the memory cannot go meanwhile. */
struct memory_look {
	uint64_t bytes;
	struct pages *pages;
};

static int memory_export_locked(struct venus_object *object, void *opaque)
{
	struct memory_look *look = opaque;
	struct pages *pages = __atomic_load_n(&object->data, __ATOMIC_ACQUIRE);
	if (object->failed) {
		return -ENOMEM; /* the guest has not heard of it yet */
	}
	if (!pages || pages->fd < 0 || look->bytes > pages->bytes) {
		return -EINVAL;
	}
	look->pages = pages_get(pages);
	return 0;
}

int memory_export(struct context *context, uint64_t id, uint64_t bytes, struct pages **pages)
{
	struct memory_look look = {.bytes = bytes};
	int status = venus_objects_with(&context_dispatch(context)->objects, id,
					VK_OBJECT_TYPE_DEVICE_MEMORY, memory_export_locked, &look);
	*pages = look.pages;
	return status;
}

/* Memory types that can be made of @pages. */
static uint32_t memory_types_of(const struct device *device, const struct pages *pages)
{
	VkMemoryFdPropertiesKHR properties = {.sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR};
	const struct probe_device *probe = device->physical->probe;
	if (pages->map) {
		return probe->backing == WIRE_BACKING_HOST_POINTER
			       ? physical_shared_types(device->physical, UINT32_MAX)
			       : 0;
	}
	if (!device->get_fd_properties ||
	    device->get_fd_properties(device->handle,
				      VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT, pages->fd,
				      &properties) != VK_SUCCESS) {
		return 0;
	}
	return properties.memoryTypeBits;
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
	args->pMemoryResourceProperties->memoryTypeBits = memory_types_of(device, pages);
	pages_put(pages);
	return 0;
}
