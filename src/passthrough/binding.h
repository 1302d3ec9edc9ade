/* SPDX-License-Identifier: Apache-2.0 */
/*
 * binding.h - which devices of this host may be handed over, and taking them from their drivers and
 * back
 *
 * Whole IOMMU groups move, since that is what an IOMMU can keep apart.  What a device was bound to
 * is recorded before it is touched, so that it can be given back after a crash. Threads: the
 * command line's.
 */
#ifndef ORIEL_PASSTHROUGH_BINDING_H
#define ORIEL_PASSTHROUGH_BINDING_H

#include "passthrough/sysfs.h"

/* Where the kernel's files and our records are; tests have others. */
struct binding_paths {
	const char *sysfs;   /* "/sys" */
	const char *records; /* "/run/oriel/passthrough" */
	const char *proc;    /* "/proc" */
};

/* Why @device can not be handed over as things are, with the command that helps, in @why; true if
 * it can. */
bool binding_is_ready(const struct binding_paths *paths, const struct sysfs_device *device,
		      const struct sysfs_device *all, size_t count, char *why, size_t room);

/* Asked for each device of the group beyond those named; true: go on. */
typedef bool (*binding_ask_fn)(void *opaque, const struct sysfs_device *device);

/* Bind @bdf and all of its group to vfio-pci.  Nothing is changed if something is in the way. */
int binding_bind(const struct binding_paths *paths, const char *bdf, binding_ask_fn ask,
		 void *opaque, struct error *err) MUST_CHECK;
/* Give @bdf back to the driver that it had; -ENOENT with @err if nothing is recorded. */
int binding_restore(const struct binding_paths *paths, const char *bdf,
		    struct error *err) MUST_CHECK;
/* Call fn for each recorded device, until it returns non-zero. */
int binding_each_record(const struct binding_paths *paths, int (*fn)(void *opaque, const char *bdf),
			void *opaque);

#endif
