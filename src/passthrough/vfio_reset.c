/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfio_reset.c - the ways in which the kernel resets a device
 *
 * How it works: the kernel resets a function by the methods that the device's reset_method names,
 * so the wanted one is put there for the call.  The bus is reset by a call of its own, which also
 * does for devices of several functions, provided that everything on the bus is ours.
 * Threads: see vfio_host.h.
 */
#include "passthrough/vfio_priv.h"

#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MAX_ON_BUS = 64 };

/* The kernel's words for its ways, in the order of enum backend_reset. */
static const char *const reset_words[BACKEND_RESET_COUNT] = {
	[BACKEND_RESET_FLR] = "flr",
	[BACKEND_RESET_PM] = "pm",
	[BACKEND_RESET_DEVICE] = "device_specific",
};

/* The open group @number, or NULL. */
static const struct vfio_group *own_group(const struct vfio_host *host, unsigned number)
{
	for (unsigned i = 0; i < VFIO_MAX_GROUPS; i++) {
		if (host->groups[i].fd >= 0 && (unsigned)host->groups[i].number == number) {
			return &host->groups[i];
		}
	}
	return NULL;
}

/*
 * Descriptors of all groups that a reset of the device's bus would touch; returns how many.
 * -EBUSY if one of them is not ours.
 */
static int groups_on_bus(const struct vfio_device *device, int fds[VFIO_MAX_GROUPS])
{
	size_t len = sizeof(struct vfio_pci_hot_reset_info) +
		     MAX_ON_BUS * sizeof(struct vfio_pci_dependent_device);
	AUTO_FREE struct vfio_pci_hot_reset_info *info = calloc(1, len);
	int count = 0;
	if (!info) {
		return -ENOMEM;
	}
	info->argsz = (uint32_t)len;
	if (ioctl(device->fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info) < 0) {
		return -errno;
	}
	for (unsigned i = 0; i < info->count && i < MAX_ON_BUS; i++) {
		const struct vfio_group *group = own_group(device->host, info->devices[i].group_id);
		bool known = false;
		for (int n = 0; group && n < count; n++) {
			known = known || fds[n] == group->fd;
		}
		if (!group) {
			return -EBUSY;
		}
		if (!known) {
			fds[count++] = group->fd;
		}
	}
	return count;
}

static int reset_bus(const struct vfio_device *device)
{
	int fds[VFIO_MAX_GROUPS], count = groups_on_bus(device, fds);
	if (count < 0) {
		return count;
	}
	size_t len = sizeof(struct vfio_pci_hot_reset) + (size_t)count * sizeof(int32_t);
	AUTO_FREE struct vfio_pci_hot_reset *reset = calloc(1, len);
	if (!reset) {
		return -ENOMEM;
	}
	reset->argsz = (uint32_t)len;
	reset->count = (uint32_t)count;
	memcpy(reset->group_fds, fds, (size_t)count * sizeof(int32_t));
	return ioctl(device->fd, VFIO_DEVICE_PCI_HOT_RESET, reset) < 0 ? -errno : 0;
}

unsigned vfio_resets(struct backend *backend)
{
	const struct vfio_device *device = vfio_device(backend);
	struct sysfs_device found;
	int fds[VFIO_MAX_GROUPS];
	unsigned bus = groups_on_bus(device, fds) > 0 ? 1u << BACKEND_RESET_BUS : 0, ways = 0;
	if (!device->has_function_reset || !sysfs_read_device("/sys", device->bdf, &found)) {
		return bus;
	}
	for (unsigned way = 1; way < BACKEND_RESET_COUNT; way++) {
		ways |= reset_words[way] && strstr(found.resets, reset_words[way])
				? 1u << way
				: 0; /* af_flr counts as flr */
	}
	/* Old kernels do not say. */
	return bus | (found.resets[0] ? ways : 1u << BACKEND_RESET_FLR);
}

/* Let the kernel try only @words; -errno if it does not want to. */
static int choose_reset(const struct vfio_device *device, const char *words)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset_method", device->bdf);
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, words, strlen(words)) >= 0 ? 0 : -errno;
}

int vfio_reset(struct backend *backend, enum backend_reset method)
{
	const struct vfio_device *device = vfio_device(backend);
	struct sysfs_device found;
	if (method == BACKEND_RESET_BUS) {
		return reset_bus(device);
	}
	const char *word = reset_words[method];
	bool known = sysfs_read_device("/sys", device->bdf, &found) && found.resets[0];
	if (method == BACKEND_RESET_FLR && known && strstr(found.resets, "af_flr")) {
		word = "af_flr";
	}
	int chosen = known ? choose_reset(device, word) : 0;
	if (chosen < 0 && strncmp(found.resets, word, strlen(word)) != 0) {
		return chosen; /* not root: only the first one can be had */
	}
	int status = ioctl(device->fd, VFIO_DEVICE_RESET) < 0 ? -errno : 0;
	if (known && chosen == 0) {
		(void)!choose_reset(device, found.resets);
	}
	return status;
}
