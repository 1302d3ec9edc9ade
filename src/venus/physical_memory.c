/* SPDX-License-Identifier: Apache-2.0 */
/*
 * physical_memory.c - the heaps and types of memory as guests see them, and which of them shared
 * memory has Threads: any.
 */
#include "venus/physical.h"

void physical_limit_memory(struct physical *physical, uint64_t max_bytes)
{
	VkPhysicalDeviceMemoryProperties *memory = &physical->memory;
	const VkMemoryPropertyFlags mapped = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
					     VK_MEMORY_PROPERTY_HOST_COHERENT_BIT |
					     VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
	for (uint32_t i = 0; i < memory->memoryTypeCount; i++) {
		VkMemoryType *type = &memory->memoryTypes[i];
		if (!(physical->probe->backed_types & (1u << i))) {
			type->propertyFlags &= ~mapped;
		}
	}
	for (uint32_t i = 0; i < memory->memoryHeapCount; i++) {
		if (memory->memoryHeaps[i].size > max_bytes) {
			memory->memoryHeaps[i].size = max_bytes;
		}
	}
}

void physical_limit_budget(const struct physical *physical, uint64_t share,
			   VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget)
{
	for (uint32_t i = 0; budget && i < physical->memory.memoryHeapCount; i++) {
		uint64_t size = physical->memory.memoryHeaps[i].size,
			 most = share < size ? share : size;
		if (budget->heapBudget[i] > most) {
			budget->heapBudget[i] =
				most ? most : 1; /* none is against the specification */
		}
	}
}

bool physical_type_is_visible(const struct physical *physical, uint32_t type)
{
	return physical->memory.memoryTypes[type].propertyFlags &
	       VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
}

/* Types of the device's own memory that nobody can map. */
static uint32_t physical_own_types(const struct physical *physical)
{
	const VkMemoryPropertyFlags telling =
		VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
		VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT;
	uint32_t types = 0;
	for (uint32_t i = 0; i < physical->memory.memoryTypeCount; i++) {
		VkMemoryPropertyFlags flags = physical->memory.memoryTypes[i].propertyFlags;
		if ((flags & telling) == VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) {
			types |= 1u << i;
		}
	}
	return types;
}

static bool physical_has_local(const struct physical *physical, uint32_t types)
{
	for (uint32_t i = 0; i < physical->memory.memoryTypeCount; i++) {
		if (types & (1u << i) && physical->memory.memoryTypes[i].propertyFlags &
						 VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) {
			return true;
		}
	}
	return false;
}

/* The type, as a bit, that memory of another is made of if it is shared; 0: there is none, or the
 * driver shares memory itself. */
static uint32_t physical_shareable(const struct physical *physical)
{
	const struct probe_device *probe = physical->probe;
	return probe->shared_types ? 0 : probe->backed_types & -probe->backed_types;
}

uint32_t physical_shared_types(const struct physical *physical, uint32_t types)
{
	const struct probe_device *probe = physical->probe;
	uint32_t shared = types & (probe->shared_types ? probe->shared_types : probe->backed_types);
	if (!shared) {
		return types;
	}
	if (!(shared & physical_shareable(physical)) || physical_has_local(physical, shared)) {
		return shared;
	}
	return shared | (types & physical_own_types(physical));
}

uint32_t physical_stand_in(const struct physical *physical, uint32_t type)
{
	uint32_t shareable = physical_shareable(physical);
	bool replace = shareable && physical_own_types(physical) & (1u << type);
	return replace ? (uint32_t)__builtin_ctz(shareable) : type;
}
