/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfu_proto.h - the vfio-user protocol as it is on the wire, version 0.1 (QEMU
 * docs/interop/vfio-user)
 *
 * All numbers are in host byte order; structures are laid out naturally, without padding.
 * Threads: values.
 */
#ifndef ORIEL_PASSTHROUGH_VFU_PROTO_H
#define ORIEL_PASSTHROUGH_VFU_PROTO_H

#include <assert.h>
#include <stdint.h>

enum vfu_command {
	VFU_VERSION = 1,
	VFU_DMA_MAP,
	VFU_DMA_UNMAP,
	VFU_DEVICE_GET_INFO,
	VFU_DEVICE_GET_REGION_INFO,
	VFU_DEVICE_GET_REGION_IO_FDS,
	VFU_DEVICE_GET_IRQ_INFO,
	VFU_DEVICE_SET_IRQS,
	VFU_REGION_READ,
	VFU_REGION_WRITE,
	VFU_DMA_READ,  /* from the server */
	VFU_DMA_WRITE, /* from the server */
	VFU_DEVICE_RESET,
};

enum {
	VFU_MAJOR = 0,
	VFU_MINOR = 1,

	VFU_TYPE_MASK = 0xf, /* of header flags: 0 command, 1 reply */
	VFU_REPLY = 1,
	VFU_NO_REPLY = 0x10,
	VFU_ERROR = 0x20,

	VFU_DATA_LIMIT = 1 << 20, /* max_data_xfer_size: what we take, and what we assume */
	VFU_BODY_LIMIT = VFU_DATA_LIMIT + 4096, /* of any message */
	VFU_MAX_FDS = 16,			/* max_msg_fds: what we take */
};

struct vfu_header {
	uint16_t id, command;
	uint32_t size; /* with this header */
	uint32_t flags, error;
};
static_assert(sizeof(struct vfu_header) == 16, "vfio-user header");

struct vfu_version {
	uint16_t major, minor; /* then JSON with a NUL */
};

struct vfu_dma_map {
	uint32_t argsz, flags;
	uint64_t offset, address, size;
};
static_assert(sizeof(struct vfu_dma_map) == 32, "DMA_MAP");

struct vfu_dma_unmap {
	uint32_t argsz, flags;
	uint64_t address, size;
};

enum { VFU_DMA_READABLE = 1, VFU_DMA_WRITABLE = 2 };

struct vfu_device_info {
	uint32_t argsz, flags, regions, irqs;
};

enum { VFU_DEVICE_RESETS = 1, VFU_DEVICE_PCI = 2 };

struct vfu_region_info {
	uint32_t argsz, flags, index, cap_offset;
	uint64_t size, offset;
};
static_assert(sizeof(struct vfu_region_info) == 32, "REGION_INFO");

enum {
	VFU_REGION_HAS_READ = 1,
	VFU_REGION_HAS_WRITE = 2,
	VFU_REGION_HAS_MMAP = 4,
	VFU_REGION_HAS_CAPS = 8,
	VFU_CAP_SPARSE = 1,
};

struct vfu_cap {
	uint16_t id, version;
	uint32_t next; /* from the start of the region info; 0: last */
};

struct vfu_sparse {
	uint32_t count, reserved; /* then struct vfu_area each */
};

struct vfu_area {
	uint64_t offset, size;
};

struct vfu_irq_info {
	uint32_t argsz, flags, index, count;
};

struct vfu_irq_set {
	uint32_t argsz, flags, index, start, count;
};
static_assert(sizeof(struct vfu_irq_set) == 20, "SET_IRQS");

enum {
	VFU_IRQ_NONE = 1,
	VFU_IRQ_BOOL = 2,
	VFU_IRQ_EVENTFD = 4,
	VFU_IRQ_MASK = 8,
	VFU_IRQ_UNMASK = 16,
	VFU_IRQ_TRIGGER = 32,
};

struct vfu_region_access {
	uint64_t offset;
	uint32_t region, count; /* then the data */
};

struct vfu_dma_access {
	uint64_t address, count; /* then the data */
};

#endif
