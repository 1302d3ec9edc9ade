/* SPDX-License-Identifier: Apache-2.0 */
/*
 * external.h - memory and images that leave a context: dma-bufs and DRM format modifiers, real or
 * emulated Threads: the lane's.
 */
#ifndef ORIEL_VENUS_EXTERNAL_H
#define ORIEL_VENUS_EXTERNAL_H

#include <stdbool.h>
#include <vulkan/vulkan_core.h>

enum { EXTERNAL_LINEAR = 0 /* DRM_FORMAT_MOD_LINEAR */ };

struct physical;
struct venus_call;
struct venus_object;

/* Extensions that we do ourselves where the driver does not have them all, ends with NULL. */
extern const char *const external_emulated[];

/* True if what guests share is not made of the driver's own dma-bufs and modifiers. */
bool external_is_emulated(const struct physical *physical);
/* Of a command on a physical device, or on an object of a device; NULL for neither. */
const struct physical *external_physical(const struct venus_call *call);

/* True if that is emulated. */
bool external_is_ours(const struct venus_call *call);
/* Formats of several planes (ycbcr) are not shared: their planes would need layouts of their own.
 */
bool external_has_one_plane(VkFormat format);

/* True if the data of the image or buffer is a mark of ours, and nothing to free: that it may be
 * shared, or where it may lie. */
bool external_is_marked(const struct venus_object *object);

/*
 * What shared linear images that the guest wants for @usage are made for.  Drivers that draw to
 * them apart (NVIDIA's) know none that are read as what they are drawn to; they can be read like
 * any other.
 */
VkImageUsageFlags external_linear_usage(const struct physical *physical, VkImageUsageFlags usage);
/* What can be done with linear images of the format; what is drawn to at once has to be linear all
 * of it. */
VkFormatFeatureFlags external_linear_features(const struct venus_call *call, VkFormat format);

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

#endif
