/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfio_host.h - PCI devices of this host, by the kernel's VFIO (linux/vfio.h, type 1 IOMMU)
 *
 * One container for all devices of a VM: guest memory is pinned and mapped once, however many
 * devices reach it.  A group is opened with its first device and closed with its last. Threads:
 * set-up, and the threads that attach and detach devices, one at a time; devices as in backend.h.
 */
#ifndef ORIEL_PASSTHROUGH_VFIO_HOST_H
#define ORIEL_PASSTHROUGH_VFIO_HOST_H

#include "base/loop.h"
#include "passthrough/backend.h"

struct vfio_host;

struct vfio_host *vfio_host_create(void);
/* Accepts NULL.  No device may be left. */
void vfio_host_destroy(struct vfio_host *host);

/*
 * Open device @bdf (DDDD:BB:DD.F).  @loop is borrowed and not running yet.  NULL with one line in
 * @err that says what is in the way and what to do.
 */
struct backend *vfio_open(struct vfio_host *host, const char *bdf, struct loop *loop,
			  backend_gone_fn on_gone, void *opaque, struct error *err) MUST_CHECK;

#endif
