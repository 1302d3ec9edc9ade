/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysfs.c - what the kernel says about the PCI devices of this host
 * Threads: any.
 */
#include "passthrough/sysfs.h"

#include "base/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

void sysfs_read_line(const char *root, const char *path, char *out, size_t room)
{
	char full[PATH_MAX];
	snprintf(full, sizeof(full), "%s/%s", root, path);
	AUTO_FD int fd = open(full, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd >= 0 ? read(fd, out, room - 1) : 0;
	out[got > 0 ? got : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

static void read_of(const char *root, const char *bdf, const char *file, char *out, size_t room)
{
	char path[128];
	snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", bdf, file);
	sysfs_read_line(root, path, out, room);
}

static unsigned long number_of(const char *root, const char *bdf, const char *file)
{
	char line[64];
	read_of(root, bdf, file, line, sizeof(line));
	return strtoul(line, NULL, 0);
}

/* Last part of what a link points to; empty if there is none. */
static void link_of(const char *root, const char *bdf, const char *name, char *out, size_t room)
{
	char path[PATH_MAX], target[PATH_MAX];
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/%s", root, bdf, name);
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	target[len > 0 ? len : 0] = '\0';
	const char *slash = strrchr(target, '/');
	snprintf(out, room, "%.*s", (int)room - 1, slash ? slash + 1 : target);
}

/* Lines of "start end flags", the BARs first. */
static void read_bars(const char *root, struct sysfs_device *device)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/resource", root, device->bdf);
	FILE *file = fopen(path, "re");
	for (unsigned i = 0; file && i < SYSFS_BARS; i++) {
		uint64_t start, end, flags;
		if (fscanf(file, "%" SCNx64 " %" SCNx64 " %" SCNx64, &start, &end, &flags) != 3) {
			break;
		}
		device->bars[i] = end > start ? end - start + 1 : 0;
	}
	if (file) {
		fclose(file);
	}
}

bool sysfs_read_device(const char *root, const char *bdf, struct sysfs_device *out)
{
	char path[PATH_MAX], group[32];
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s", root, bdf);
	if (strlen(bdf) >= sizeof(out->bdf) || access(path, F_OK) < 0) {
		return false;
	}
	*out = (struct sysfs_device){.group = -1};
	snprintf(out->bdf, sizeof(out->bdf), "%s", bdf);
	out->vendor = (uint16_t)number_of(root, bdf, "vendor");
	out->device = (uint16_t)number_of(root, bdf, "device");
	out->class_code = (uint32_t)number_of(root, bdf, "class");
	out->boot_display = number_of(root, bdf, "boot_vga") == 1;
	read_of(root, bdf, "reset_method", out->resets, sizeof(out->resets));
	link_of(root, bdf, "driver", out->driver, sizeof(out->driver));
	link_of(root, bdf, "iommu_group", group, sizeof(group));
	if (group[0]) {
		out->group = atoi(group);
	}
	read_bars(root, out);
	return true;
}

static int by_address(const void *a, const void *b)
{
	return strcmp(((const struct sysfs_device *)a)->bdf, ((const struct sysfs_device *)b)->bdf);
}

int sysfs_list_devices(const char *root, struct sysfs_device **out, size_t *count,
		       struct error *err)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/bus/pci/devices", root);
	*out = NULL;
	*count = 0;
	DIR *dir = opendir(path);
	if (!dir) {
		return error_errno(err, "%s (has this host PCI?)", path);
	}
	int status = 0;
	for (struct dirent *entry; status == 0 && (entry = readdir(dir));) {
		if (entry->d_name[0] == '.') {
			continue;
		}
		struct sysfs_device *more = realloc(*out, (*count + 1) * sizeof(**out));
		status = more ? 0 : error_set(err, -ENOMEM, "out of memory");
		*out = more ? more : *out;
		*count += more && sysfs_read_device(root, entry->d_name, &more[*count]);
	}
	closedir(dir);
	if (*count) {
		qsort(*out, *count, sizeof(**out), by_address);
	}
	return status;
}

bool sysfs_may_get_group(const char *root, const struct sysfs_device *device)
{
	char path[PATH_MAX];
	bool has_iommu = false;
	snprintf(path, sizeof(path), "%s/class/iommu", root);
	DIR *dir = device->group < 0 && !device->driver[0] ? opendir(path) : NULL;
	for (struct dirent *entry; dir && !has_iommu && (entry = readdir(dir));) {
		has_iommu = entry->d_name[0] != '.';
	}
	if (dir) {
		closedir(dir);
	}
	return has_iommu;
}

/* Lines of "first last kind" (Linux Documentation/ABI/testing/sysfs-kernel-iommu_groups); VFIO lets
 * devices have the relaxable ones. */
static void read_reserved(const char *path, void (*fn)(void *opaque, uint64_t first, uint64_t last),
			  void *opaque)
{
	uint64_t first, last;
	char kind[32];
	FILE *file = fopen(path, "re");
	while (file && fscanf(file, "%" SCNx64 " %" SCNx64 " %31s", &first, &last, kind) == 3) {
		if (first <= last && strcmp(kind, "direct-relaxable") != 0) {
			fn(opaque, first, last);
		}
	}
	if (file) {
		fclose(file);
	}
}

void sysfs_each_reserved(const char *root, void (*fn)(void *opaque, uint64_t first, uint64_t last),
			 void *opaque)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/kernel/iommu_groups", root);
	DIR *dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		snprintf(path, sizeof(path), "%s/kernel/iommu_groups/%s/reserved_regions", root,
			 entry->d_name);
		read_reserved(path, fn, opaque);
	}
	if (dir) {
		closedir(dir);
	}
}

bool sysfs_is_bridge(const struct sysfs_device *device)
{
	return device->class_code >> 16 == 0x06;
}

bool sysfs_is_free(const struct sysfs_device *device)
{
	return !device->driver[0] || !strcmp(device->driver, "vfio-pci") || sysfs_is_bridge(device);
}
