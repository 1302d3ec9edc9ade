/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorder.h - what the generated functions of the recording driver need
 *
 * A call is one line: name, then each argument; structs as NAME{<chain>members}, arrays as [a b],
 * handles as @hex, numbers as the hex of their bits, bytes as "hex", NULL as ~, an output that is
 * there as ?.  Objects made follow behind "->". Threads: any; one call is recorded at a time.
 */
#ifndef RECORDER_H
#define RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vulkan/vulkan_core.h>

struct rec_entry {
	const char *name;
	PFN_vkVoidFunction fn;
};

/* Generated. */
extern const struct rec_entry rec_generated[];
extern const VkExtensionProperties rec_extensions[];
extern const uint32_t rec_extension_count;
void rec_write_create_instance(const VkInstanceCreateInfo *info);
void rec_fill_families(VkQueueFamilyProperties *families, uint32_t count);
void rec_fill_memory(VkPhysicalDeviceMemoryProperties *memory);

/* Begins the line of a call; noise starts at a value that the command's number gives. */
void rec_begin(const char *name, uint32_t number);
void rec_finish(void);

/* What @command returns: VK_SUCCESS, or an error if the file RECORDER_FAIL holds its name. */
VkResult rec_result(const char *command);

void rec_text(const char *text);
void rec_number(const void *bits, size_t size);
void rec_handle(VkObjectType type, uint64_t handle);
void rec_string(const char *text);
void rec_bytes(const void *bytes, size_t len);
/* Whether the caller has one of its own. */
void rec_allocator(const VkAllocationCallbacks *allocator);
void rec_list(bool present);
void rec_next(size_t index);
void rec_end(bool present);
void rec_unknown(VkStructureType type);

/* A new object, named behind the line. */
uint64_t rec_new(VkObjectType type);
void rec_noise(void *bits, size_t size);
void rec_noise_text(char *text, size_t size);

#endif
