/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysfs.h - what the kernel says about the PCI devices of this host
 *
 * @root is "/sys" but for tests.  Missing files read as empty: kernels differ.
 * Threads: any.
 */
#ifndef ORIEL_PASSTHROUGH_SYSFS_H
#define ORIEL_PASSTHROUGH_SYSFS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SYSFS_BDF_LEN = 13, SYSFS_BARS = 6 };

struct sysfs_device {
	char bdf[SYSFS_BDF_LEN];
	uint16_t vendor, device;
	uint32_t class_code; /* 24 bits */
	int group;	     /* of the IOMMU; -1: none (yet, see sysfs_may_get_group()) */
	char driver[32];     /* empty: none */
	char resets[64];     /* as in reset_method: "flr bus"; empty: none */
	uint64_t bars[SYSFS_BARS];
	bool boot_display;
};

/* False if there is no such device. */
bool sysfs_read_device(const char *root, const char *bdf, struct sysfs_device *out);
/* All devices, sorted by address; *out is to be freed.  -errno with @err. */
int sysfs_list_devices(const char *root, struct sysfs_device **out, size_t *count,
		       struct error *err) MUST_CHECK;
/*
 * True if @device has no group only because it never had a driver: on Arm hosts up to Linux 6.14
 * the kernel asks for one when a driver comes.
 */
bool sysfs_may_get_group(const char *root, const struct sysfs_device *device);
/* Call @fn with each range of addresses that some IOMMU group of this host keeps from devices. */
void sysfs_each_reserved(const char *root, void (*fn)(void *opaque, uint64_t first, uint64_t last),
			 void *opaque);
/* Bridges do not count as members of a group. */
bool sysfs_is_bridge(const struct sysfs_device *device);
/* May stay in a group that is handed over: bound to vfio-pci or to nothing. */
bool sysfs_is_free(const struct sysfs_device *device);
/* The line that a file holds, without its end; empty if it can not be read.  @path is below @root.
 */
void sysfs_read_line(const char *root, const char *path, char *out, size_t room);

#endif
