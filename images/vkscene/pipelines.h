/* SPDX-License-Identifier: Apache-2.0 */
/* pipelines.h - layouts, pipelines and descriptor sets of the scene */
#ifndef VKSCENE_PIPELINES_H
#define VKSCENE_PIPELINES_H

#include "scene.h"

struct scene_vertex {
	float position[3], uv[2], normal[3];
};

/* Make layouts, the compute pipeline and the graphics pipelines.  The sampler must exist. */
void pipelines_create(struct scene *scene);
void pipelines_destroy(struct scene *scene);
/* Make the descriptor pool and a set for each slot.  Buffers and textures must exist. */
void pipelines_bind_sets(struct scene *scene);

#endif
