/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer.h - what makes a source file a Vulkan layer
 *
 * How it works: before the file includes this it lists the functions that it takes over, of
 * instances and of devices, as LAYER_INSTANCE(X) and LAYER_DEVICE(X).  For each NAME of them it
 * defines layer_NAME(), and finds what is below at next.NAME.  That is reached by NAMEKHR, too:
 * extensions of the core's functions are the same functions.
 * Loader and Layer Interface, version 2 (Vulkan-Loader documentation).
 * Threads: one instance; devices are created by one thread.
 */
#ifndef LAYER_H
#define LAYER_H

#include <stdbool.h>
#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#define LAYER_DECLARE(name) static __typeof__(name) layer_##name
LAYER_INSTANCE(LAYER_DECLARE);
LAYER_DEVICE(LAYER_DECLARE);

/* The next layer's, looked up at creation: later the loader gives ours. */
#define LAYER_MEMBER(name) PFN_##name name
static struct {
	PFN_vkGetInstanceProcAddr instance_proc;
	PFN_vkGetDeviceProcAddr device_proc;
	PFN_vkCreateDevice create_device;
	LAYER_INSTANCE(LAYER_MEMBER);
	LAYER_DEVICE(LAYER_MEMBER);
} next;

/* The link of @type's chain that names the next layer, or NULL. */
static void *layer_link(const void *chain, VkStructureType type)
{
	const VkLayerInstanceCreateInfo *link = chain;
	while (link && (link->sType != type || link->function != VK_LAYER_LINK_INFO)) {
		link = link->pNext;
	}
	return (void *)link;
}

/* vkCreateInstance. */
static VKAPI_ATTR VkResult VKAPI_CALL layer_create_instance(const VkInstanceCreateInfo *info,
							    const VkAllocationCallbacks *allocator,
							    VkInstance *instance)
{
	VkLayerInstanceCreateInfo *link =
		layer_link(info->pNext, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
	if (!link) {
		return VK_ERROR_INITIALIZATION_FAILED;
	}
	next.instance_proc = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	PFN_vkCreateInstance create =
		(PFN_vkCreateInstance)next.instance_proc(NULL, "vkCreateInstance");
	VkResult result = create(info, allocator, instance);
	if (result == VK_SUCCESS) {
#define LAYER_FIND(name) next.name = (PFN_##name)next.instance_proc(*instance, #name)
		LAYER_INSTANCE(LAYER_FIND);
#undef LAYER_FIND
		next.create_device =
			(PFN_vkCreateDevice)next.instance_proc(*instance, "vkCreateDevice");
	}
	return result;
}

/* vkCreateDevice, unless the layer takes that over; it calls this. */
static VKAPI_ATTR VkResult VKAPI_CALL layer_create_device(VkPhysicalDevice physical,
							  const VkDeviceCreateInfo *info,
							  const VkAllocationCallbacks *allocator,
							  VkDevice *device)
{
	VkLayerDeviceCreateInfo *link =
		layer_link(info->pNext, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
	if (!link) {
		return VK_ERROR_INITIALIZATION_FAILED;
	}
	next.device_proc = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	VkResult result = next.create_device(physical, info, allocator, device);
	if (result == VK_SUCCESS) {
#define LAYER_FIND(name) next.name = (PFN_##name)next.device_proc(*device, #name)
		LAYER_DEVICE(LAYER_FIND);
#undef LAYER_FIND
	}
	return result;
}

static bool layer_is(const char *name, const char *core)
{
	size_t length = strlen(core);
	return !strncmp(name, core, length) && (!name[length] || !strcmp(name + length, "KHR"));
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL layer_device_proc(VkDevice device,
								  const char *name);

/* What the layer has itself, or NULL. */
static PFN_vkVoidFunction layer_own(const char *name)
{
#define LAYER_OWN(core)                                                                            \
	if (layer_is(name, #core)) {                                                               \
		return (PFN_vkVoidFunction)layer_##core;                                           \
	}
	LAYER_INSTANCE(LAYER_OWN);
	LAYER_DEVICE(LAYER_OWN);
	return !strcmp(name, "vkCreateInstance")      ? (PFN_vkVoidFunction)layer_create_instance
	       : !strcmp(name, "vkCreateDevice")      ? (PFN_vkVoidFunction)layer_create_device
	       : !strcmp(name, "vkGetDeviceProcAddr") ? (PFN_vkVoidFunction)layer_device_proc
						      : NULL;
}

/* vkGetDeviceProcAddr: a device has only what it has below. */
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL layer_device_proc(VkDevice device, const char *name)
{
	PFN_vkVoidFunction own = layer_own(name), below = next.device_proc(device, name);
	return own && below ? own : below;
}

/* vkGetInstanceProcAddr. */
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL layer_instance_proc(VkInstance instance,
								    const char *name)
{
	PFN_vkVoidFunction own = layer_own(name);
	return own ? own : next.instance_proc ? next.instance_proc(instance, name) : NULL;
}

__attribute__((visibility("default"))) VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *interface);
VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *interface)
{
	interface->loaderLayerInterfaceVersion = 2;
	interface->pfnGetInstanceProcAddr = layer_instance_proc;
	interface->pfnGetDeviceProcAddr = layer_device_proc;
	interface->pfnGetPhysicalDeviceProcAddr = NULL;
	return VK_SUCCESS;
}

#endif
