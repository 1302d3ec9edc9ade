/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proto.h - numbers and layouts of the virtio GPU device (virtio 1.2, 5.7)
 *
 * All little endian; every struct has the layout of the wire, without hidden padding.
 * Threads: values.
 */
#ifndef ORIEL_GPU_PROTO_H
#define ORIEL_GPU_PROTO_H

#include <stdint.h>

/* Features: 5.7.3 */
#define GPU_F_VIRGL	    (UINT64_C(1) << 0)
#define GPU_F_EDID	    (UINT64_C(1) << 1)
#define GPU_F_RESOURCE_BLOB (UINT64_C(1) << 3)
#define GPU_F_CONTEXT_INIT  (UINT64_C(1) << 4)
#define GPU_F_BLOB_ALIGNMENT                                                                       \
	(UINT64_C(1) << 5) /* virtio 1.4: the device names an alignment of blobs and their places  \
			    */

enum gpu_queue { GPU_QUEUE_CONTROL, GPU_QUEUE_CURSOR, GPU_QUEUE_COUNT };

enum { GPU_SHM_HOST_VISIBLE = 1, GPU_MAX_SCANOUTS = 16, GPU_CAPSET_VENUS = 4 };

/* Commands and answers: 5.7.6.7 */
enum gpu_type {
	GPU_GET_DISPLAY_INFO = 0x0100,
	GPU_RESOURCE_CREATE_2D,
	GPU_RESOURCE_UNREF,
	GPU_SET_SCANOUT,
	GPU_RESOURCE_FLUSH,
	GPU_TRANSFER_TO_HOST_2D,
	GPU_RESOURCE_ATTACH_BACKING,
	GPU_RESOURCE_DETACH_BACKING,
	GPU_GET_CAPSET_INFO,
	GPU_GET_CAPSET,
	GPU_GET_EDID,
	GPU_RESOURCE_ASSIGN_UUID,
	GPU_RESOURCE_CREATE_BLOB,
	GPU_SET_SCANOUT_BLOB,

	GPU_CTX_CREATE = 0x0200,
	GPU_CTX_DESTROY,
	GPU_CTX_ATTACH_RESOURCE,
	GPU_CTX_DETACH_RESOURCE,
	GPU_RESOURCE_CREATE_3D,
	GPU_TRANSFER_TO_HOST_3D,
	GPU_TRANSFER_FROM_HOST_3D,
	GPU_SUBMIT_3D,
	GPU_RESOURCE_MAP_BLOB,
	GPU_RESOURCE_UNMAP_BLOB,

	GPU_UPDATE_CURSOR = 0x0300,
	GPU_MOVE_CURSOR,

	GPU_OK_NODATA = 0x1100,
	GPU_OK_DISPLAY_INFO,
	GPU_OK_CAPSET_INFO,
	GPU_OK_CAPSET,
	GPU_OK_EDID,
	GPU_OK_RESOURCE_UUID,
	GPU_OK_MAP_INFO,

	GPU_ERR_UNSPEC = 0x1200,
	GPU_ERR_OUT_OF_MEMORY,
	GPU_ERR_INVALID_SCANOUT_ID,
	GPU_ERR_INVALID_RESOURCE_ID,
	GPU_ERR_INVALID_CONTEXT_ID,
	GPU_ERR_INVALID_PARAMETER,
};

enum { GPU_FLAG_FENCE = 1, GPU_FLAG_RING_IDX = 2 };

struct gpu_header {
	uint32_t type, flags;
	uint64_t fence_id;
	uint32_t ctx_id;
	uint8_t ring_idx, padding[3];
};

struct gpu_rect {
	uint32_t x, y, width, height;
};

struct gpu_config {
	uint32_t events_read, events_clear, num_scanouts, num_capsets;
	uint32_t blob_alignment; /* exists with GPU_F_BLOB_ALIGNMENT */
};

struct gpu_display_info {
	struct gpu_header header;
	struct {
		struct gpu_rect rect;
		uint32_t enabled, flags;
	} modes[GPU_MAX_SCANOUTS];
};

struct gpu_get_edid {
	struct gpu_header header;
	uint32_t scanout, padding;
};

struct gpu_edid {
	struct gpu_header header;
	uint32_t size, padding;
	uint8_t edid[1024];
};

struct gpu_create_2d {
	struct gpu_header header;
	uint32_t resource_id, format, width, height;
};

/* UNREF, DETACH_BACKING, CTX_ATTACH_RESOURCE, CTX_DETACH_RESOURCE, UNMAP_BLOB */
struct gpu_resource_ref {
	struct gpu_header header;
	uint32_t resource_id, padding;
};

struct gpu_set_scanout {
	struct gpu_header header;
	struct gpu_rect rect;
	uint32_t scanout_id, resource_id;
};

struct gpu_flush {
	struct gpu_header header;
	struct gpu_rect rect;
	uint32_t resource_id, padding;
};

struct gpu_transfer_2d {
	struct gpu_header header;
	struct gpu_rect rect;
	uint64_t offset;
	uint32_t resource_id, padding;
};

struct gpu_mem_entry {
	uint64_t addr;
	uint32_t length, padding;
};

struct gpu_attach_backing {
	struct gpu_header header;
	uint32_t resource_id, nr_entries; /* the entries follow */
};

struct gpu_get_capset_info {
	struct gpu_header header;
	uint32_t index, padding;
};

struct gpu_capset_info {
	struct gpu_header header;
	uint32_t id, max_version, max_size, padding;
};

struct gpu_get_capset {
	struct gpu_header header;
	uint32_t id, version;
};

enum { GPU_BLOB_MEM_GUEST = 1, GPU_BLOB_MEM_HOST3D, GPU_BLOB_MEM_HOST3D_GUEST };
enum { GPU_BLOB_MAPPABLE = 1, GPU_BLOB_SHAREABLE = 2, GPU_BLOB_CROSS_DEVICE = 4 };

struct gpu_create_blob {
	struct gpu_header header;
	uint32_t resource_id, blob_mem, blob_flags, nr_entries;
	uint64_t blob_id, size; /* the entries follow */
};

struct gpu_set_scanout_blob {
	struct gpu_header header;
	struct gpu_rect rect;
	uint32_t scanout_id, resource_id, width, height, format, padding, strides[4], offsets[4];
};

struct gpu_ctx_create {
	struct gpu_header header;
	uint32_t nlen, context_init; /* low 8 bits: capset */
	char debug_name[64];
};

struct gpu_submit_3d {
	struct gpu_header header;
	uint32_t size, padding; /* the stream follows */
};

struct gpu_map_blob {
	struct gpu_header header;
	uint32_t resource_id, padding;
	uint64_t offset;
};

struct gpu_map_info {
	struct gpu_header header;
	uint32_t map_info, padding;
};

struct gpu_cursor {
	struct gpu_header header;
	struct {
		uint32_t scanout_id, x, y, padding;
	} pos;
	uint32_t resource_id, hot_x, hot_y, padding;
};

#endif
