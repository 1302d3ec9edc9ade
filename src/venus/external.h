/* SPDX-License-Identifier: Apache-2.0 */
/*
 * external.h - memory and images that leave a context: dma-bufs and DRM format modifiers, real or
 * emulated Threads: the lane's.
 */
#ifndef ORIEL_VENUS_EXTERNAL_H
#define ORIEL_VENUS_EXTERNAL_H

#include <stdbool.h>

struct physical;
struct venus_call;
struct venus_object;

/* Extensions that we do ourselves where memory is made of host pointers, ends with NULL. */
extern const char *const external_emulated[];

/* True if guests may share memory of @physical. */
bool external_is_emulated(const struct physical *physical);

/* True if the image or buffer is one that guests may share. */
bool external_is_marked(const struct venus_object *object);

int external_get_format_properties(struct venus_call *call);
int external_get_image_format_properties(struct venus_call *call);
int external_get_buffer_properties(struct venus_call *call);
int external_create_image(struct venus_call *call);
int external_create_buffer(struct venus_call *call);
int external_get_image_modifier(struct venus_call *call);
int external_get_image_requirements(struct venus_call *call);
int external_get_buffer_requirements(struct venus_call *call);
int external_get_device_image_requirements(struct venus_call *call);
int external_get_device_buffer_requirements(struct venus_call *call);
int external_get_device_sparse_requirements(struct venus_call *call);
int external_get_subresource_layout(struct venus_call *call);
int external_get_subresource_layout2(struct venus_call *call);
int external_get_device_subresource_layout(struct venus_call *call);
int external_pipeline_barrier(struct venus_call *call);
int external_pipeline_barrier2(struct venus_call *call);
int external_wait_events(struct venus_call *call);
int external_wait_events2(struct venus_call *call);
int external_set_event2(struct venus_call *call);

#endif
