/* SPDX-License-Identifier: Apache-2.0 */
/*
 * twin.h - images that are drawn to where the GPU likes it, and shared from where others read it
 * Threads: the lane's.
 */
#ifndef ORIEL_VENUS_TWIN_H
#define ORIEL_VENUS_TWIN_H

#include <stdbool.h>
#include <vulkan/vulkan_core.h>

struct physical;
struct twin;
struct venus_call;
struct venus_object;

/* Copies that a barrier makes necessary. */
struct twin_copies {
	struct twin_copy *list; /* in the call's arena */
	uint32_t count;
};

/* True if what @info describes, a linear image that the guest makes and shares, cannot be drawn to
 * in every way that the guest may. */
bool twin_is_needed(const struct physical *physical, const VkImageCreateInfo *info);
/*
 * Makes two of @info's linear image: *image gets the one that the guest's commands use, of optimal
 * tiling and for @drawn.  Its memory is charged to the context.  @info is changed.
 */
VkResult twin_create(struct venus_call *call, VkImageCreateInfo *info, VkImageUsageFlags drawn,
		     VkImage *image, struct twin **twin);
/* For an image that nobody knows: both are destroyed. */
void twin_destroy(struct venus_call *call, struct twin *twin, VkImage image);
/* Data of a VkImage object, whose own handle is destroyed. */
void twin_free(struct venus_object *object);

/* Where @image's memory counts: the linear image of the two; any other is what it is. */
VkImage twin_shared_image(const struct venus_object *object, VkImage image);
int twin_bind_images(struct venus_call *call);

/*
 * What hands shared images over between this device and others is taken from the barriers, and
 * copied after them, by twin_record().  @from, @to: the command's stages.
 */
int twin_take_barriers(struct venus_call *call, VkImageMemoryBarrier *barriers, uint32_t count,
		       VkPipelineStageFlags *from, VkPipelineStageFlags *to,
		       struct twin_copies *copies);
int twin_take_dependency(struct venus_call *call, const VkDependencyInfo *info,
			 struct twin_copies *copies);
void twin_record(struct venus_call *call, const struct twin_copies *copies);

#endif
