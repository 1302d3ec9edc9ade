/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfio_priv.h - what the vfio_*.c files share
 *
 * Threads: see vfio_host.h.
 */
#ifndef ORIEL_PASSTHROUGH_VFIO_PRIV_H
#define ORIEL_PASSTHROUGH_VFIO_PRIV_H

#include "base/loop.h"
#include "passthrough/backend.h"
#include "passthrough/sysfs.h"
#include "passthrough/vfio_host.h"

enum { VFIO_MAX_GROUPS = 16, VFIO_MAX_MAPS = 64 };

struct vfio_group {
	int number, fd; /* fd -1: free */
	unsigned users;
};

struct vfio_mapping {
	uint64_t iova, len;
	unsigned users;
};

struct vfio_host {
	int container; /* -1 until the first group */
	bool has_iommu;
	struct vfio_group groups[VFIO_MAX_GROUPS];
	struct vfio_mapping maps[VFIO_MAX_MAPS];
	unsigned map_count;
};

struct vfio_device {
	struct backend base;
	struct vfio_host *host;
	struct vfio_group *group;
	char bdf[SYSFS_BDF_LEN];
	int fd;
	uint64_t offsets[BACKEND_REGIONS];
	bool has_function_reset;
	int wanted_back; /* eventfd: the host wants the device back */
	struct loop_source *source;
	backend_gone_fn on_gone;
	void *opaque;
};

static inline struct vfio_device *vfio_device(struct backend *backend)
{
	return (struct vfio_device *)backend;
}

/* vfio_reset.c: backend_resets() and backend_reset(). */
unsigned vfio_resets(struct backend *backend);
int vfio_reset(struct backend *backend, enum backend_reset method) MUST_CHECK;

#endif
