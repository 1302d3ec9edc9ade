/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - what the host's Vulkan devices can do for a guest, found out before the guest says a word
 *
 * How it works: each physical device gets a throw-away VkDevice, on which the ladder of backings is tried with one
 * scratch page: host pointer (VK_EXT_external_memory_host on a memfd), then dma-buf export.  Whatever the backing, a driver
 * whose dma-bufs can be mapped and that knows modifiers shares memory by its own dma-bufs.  Loading and trying the drivers
 * here also means that they need no more files later.
 * Threads: one at a time; a finished probe is read-only.
 */
#ifndef ORIEL_VENUS_PROBE_H
#define ORIEL_VENUS_PROBE_H

#include "base/error.h"
#include "wire/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vulkan/vulkan_core.h>

enum { PROBE_MAX_DEVICES = 16 };

/* Which physical devices guests may see. */
struct probe_choice {
	int index;	  /* -1: any */
	const char *name; /* part of the device's name, or NULL for any */
};

/* One physical device. */
struct probe_device {
	char name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];
	char driver[VK_MAX_DRIVER_NAME_SIZE], driver_info[VK_MAX_DRIVER_INFO_SIZE];
	uint32_t index; /* in the loader's list */
	uint32_t api_version;
	uint32_t type; /* VkPhysicalDeviceType */
	uint8_t uuid[VK_UUID_SIZE];
	enum wire_backing backing;
	uint64_t alignment;	/* of imported host pointers; 4096 for other backings */
	uint32_t visible_types; /* HOST_VISIBLE memory types of the host, as bits */
	uint32_t backed_types;	/* those of them that can be mapped into a guest */
	uint32_t shared_types;	/* those that are shared as dma-bufs of the driver; 0: sharing is emulated (external.c) */
	uint32_t special_types; /* protected and lazily allocated ones: not for everything */
	bool named_buffers, named_linear, named_optimal; /* kinds that name the backing's handle, see backing.h */
	bool has_external_semaphores, has_portability_subset;
	char problem[128]; /* why it cannot be used, or empty */
};

struct probe {
	PFN_vkGetInstanceProcAddr get_proc; /* the loader's, or a test's */
	struct probe_device devices[PROBE_MAX_DEVICES];
	size_t count;
};

/*
 * Probe every device of the loader that @choice allows.  -ENODEV with one line in @err if there is none; devices that
 * have a problem are in the list too.
 */
int probe_run(struct probe *probe, PFN_vkGetInstanceProcAddr get_proc,
	      const struct probe_choice *choice, struct error *err) MUST_CHECK;
/* Probe one device of @instance.  Always fills @device; problem says why it cannot be used. */
void probe_physical_device(struct probe_device *device, PFN_vkGetInstanceProcAddr get_proc,
			   VkInstance instance, VkPhysicalDevice physical);
/* True if @choice allows @device. */
bool probe_choice_allows(const struct probe_choice *choice, const struct probe_device *device);
/* True if memory of @device may be dma-bufs of its driver. */
bool probe_has_dma_bufs(const struct probe_device *device);
/* The first device guests can use, or NULL. */
const struct probe_device *probe_first(const struct probe *probe);
/* "host pointer", "dma-buf", "none". */
const char *probe_backing_name(enum wire_backing backing);
/* JSON on stdout. */
void probe_print_json(const struct probe *probe);

#endif
