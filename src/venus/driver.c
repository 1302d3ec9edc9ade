/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.c - entry points of one instance, physical device or device, and what it understands
 *
 * How it works: a command is looked up under all its names (extensions were promoted under new
 * ones).  A struct is known if the API version has it, or an extension that is supported (physical
 * device) or enabled (device). Threads: see dispatch.h.
 */
#include "venus/dispatch.h"
#include "venus_args.h"

#include <stdlib.h>
#include <string.h>

enum { DRIVER_EXTENSION_WORDS = 16 }; /* bitmap of extension numbers: 1024 */

struct driver_extensions {
	uint64_t bits[DRIVER_EXTENSION_WORDS];
};

static void driver_add_extension(struct driver_extensions *set, const char *name)
{
	for (uint32_t i = 0; i < venus_extension_count; i++) {
		if (strcmp(venus_extensions[i].name, name) == 0) {
			set->bits[venus_extensions[i].number / 64] |=
				1ull << venus_extensions[i].number % 64;
		}
	}
}

static bool driver_has_extension(const struct driver_extensions *set, uint32_t number)
{
	return number && set->bits[number / 64] >> number % 64 & 1;
}

static void driver_learn(struct venus_driver *driver, const struct driver_extensions *set)
{
	memset(driver->known, 0, sizeof(driver->known));
	for (uint32_t i = 0; i < venus_struct_count; i++) {
		const struct venus_struct *info = &venus_structs[i];
		if (driver->api_version >= info->core ||
		    driver_has_extension(set, info->extension[0]) ||
		    driver_has_extension(set, info->extension[1]) ||
		    driver_has_extension(set, info->extension[2])) {
			driver->known[i / 64] |= 1ull << i % 64;
		}
	}
}

static struct venus_driver *driver_alloc(const struct venus_driver *like)
{
	size_t size = sizeof(struct venus_driver) + VENUS_COMMANDS * sizeof(PFN_vkVoidFunction);
	struct venus_driver *driver = calloc(1, size);
	if (driver && like) {
		memcpy(driver, like, size);
	} else if (driver) {
		memset(driver->known, 0xff, sizeof(driver->known));
	}
	return driver;
}

PFN_vkVoidFunction venus_driver_lookup(const struct venus_driver *driver, const char *name)
{
	PFN_vkVoidFunction fn = NULL;
	if (driver->device && driver->get_device_proc) {
		fn = driver->get_device_proc(driver->device, name);
	}
	return fn ? fn : driver->get_instance_proc(driver->instance, name);
}

/* What an object of this type can be asked: instance level, or device level. */
static bool driver_is_device_level(const struct venus_command *command)
{
	const struct venus_op *first = &venus_ops[command->ops];
	return first->kind == OP_HANDLE && first->a != VK_OBJECT_TYPE_INSTANCE &&
	       first->a != VK_OBJECT_TYPE_PHYSICAL_DEVICE;
}

static PFN_vkVoidFunction driver_find(const struct venus_driver *driver,
				      const struct venus_command *command)
{
	for (const char *name = command->names; *name; name += strlen(name) + 1) {
		PFN_vkVoidFunction fn = driver->device
						? driver->get_device_proc(driver->device, name)
						: driver->get_instance_proc(driver->instance, name);
		if (fn) {
			return fn;
		}
	}
	return NULL;
}

static void driver_load(struct venus_driver *driver)
{
	for (uint32_t i = 0; i < VENUS_COMMANDS; i++) {
		const struct venus_command *command = &venus_commands[i];
		if (command->thunk &&
		    driver_is_device_level(command) == (driver->device != VK_NULL_HANDLE)) {
			driver->fn[i] = driver_find(driver, command);
		}
	}
}

struct venus_driver *venus_driver_create(PFN_vkGetInstanceProcAddr get_proc, VkInstance instance)
{
	struct venus_driver *driver = driver_alloc(NULL);
	if (!driver) {
		return NULL;
	}
	driver->get_instance_proc = get_proc;
	driver->instance = instance;
	driver_load(driver);
	return driver;
}

/* Names of what @physical supports; false if it cannot say. */
static bool driver_ask_extensions(const struct venus_driver *driver, VkPhysicalDevice physical,
				  struct driver_extensions *set)
{
	PFN_vkEnumerateDeviceExtensionProperties ask =
		(PFN_vkEnumerateDeviceExtensionProperties)
			driver->fn[VENUS_vkEnumerateDeviceExtensionProperties];
	uint32_t count = 0;
	if (!ask || ask(physical, NULL, &count, NULL) < 0) {
		return false;
	}
	VkExtensionProperties *list = calloc(count + 1, sizeof(*list));
	bool good = list && ask(physical, NULL, &count, list) >= 0;
	for (uint32_t i = 0; good && i < count; i++) {
		driver_add_extension(set, list[i].extensionName);
	}
	free(list);
	return good;
}

struct venus_driver *venus_driver_for_physical(const struct venus_driver *instance,
					       VkPhysicalDevice physical)
{
	struct venus_driver *driver = driver_alloc(instance);
	PFN_vkGetPhysicalDeviceProperties ask =
		(PFN_vkGetPhysicalDeviceProperties)
			instance->fn[VENUS_vkGetPhysicalDeviceProperties];
	struct driver_extensions set = {0};
	if (!driver || !ask || !driver_ask_extensions(driver, physical, &set)) {
		return driver; /* knows everything */
	}
	VkPhysicalDeviceProperties properties = {0};
	ask(physical, &properties);
	driver->api_version = properties.apiVersion;
	driver_learn(driver, &set);
	return driver;
}

void venus_driver_hide(struct venus_driver *driver, const char *name)
{
	struct driver_extensions set = {0};
	driver_add_extension(&set, name);
	for (uint32_t i = 0; i < venus_struct_count; i++) {
		if (driver_has_extension(&set, venus_structs[i].extension[0])) {
			driver->known[i / 64] &= ~(1ull << i % 64);
		}
	}
}

struct venus_driver *venus_driver_for_device(const struct venus_driver *physical, VkDevice device,
					     const VkDeviceCreateInfo *info)
{
	PFN_vkGetDeviceProcAddr get_proc =
		(PFN_vkGetDeviceProcAddr)venus_driver_lookup(physical, "vkGetDeviceProcAddr");
	struct venus_driver *driver = get_proc ? driver_alloc(physical) : NULL;
	if (!driver) {
		return NULL;
	}
	driver->get_device_proc = get_proc;
	driver->device = device;
	driver_load(driver);
	driver->wait_idle = (PFN_vkDeviceWaitIdle)get_proc(device, "vkDeviceWaitIdle");
	if (driver->api_version) {
		struct driver_extensions set = {0};
		for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
			driver_add_extension(&set, info->ppEnabledExtensionNames[i]);
		}
		driver_learn(driver, &set);
	}
	return driver;
}
