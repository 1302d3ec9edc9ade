/* SPDX-License-Identifier: Apache-2.0 */
/*
 * venus_fake.h - a Vulkan driver that records what it was asked, worlds made with it, and streams
 * for them
 *
 * The world knows, besides what put_world() makes, only one extension (VK_EXT_robustness2) and
 * Vulkan 1.1. Threads: one.
 */
#ifndef ORIEL_TESTS_VENUS_FAKE_H
#define ORIEL_TESTS_VENUS_FAKE_H

#include "unit.h"
#include "venus_world.h"

/* What the driver saw, and what it shall answer. */
struct fake {
	unsigned calls, destroyed[8], destroyed_count, waits_idle, drawn;
	VkResult answer; /* of creations */
	uint64_t next_handle;
	float clear_color[4];
	float clear_depth;
	uint32_t rect_width;
	char shader_entry[16];
	uint32_t spec_value, sample_mask, viewport_count, attribute_format;
	uint64_t module, layout, render_pass;
	float blend;
	uint64_t write_set, write_sampler, write_buffer, copy_set;
	uint32_t write_layout;
	VkDeviceSize write_range;
	bool saw_hidden;
};
extern struct fake fake;

/* The driver. */
PFN_vkVoidFunction fake_get_proc(VkInstance instance, const char *name);
/* Forget what the driver saw, make a world and run put_world() in it. */
void world_open(struct world *world, const struct venus_hook *hooks);
void world_close(struct world *world);
/* Put an object with @handle into the table; @pool is an id, or 0. */
void world_add(struct world *world, uint64_t id, VkObjectType type, uint64_t handle, uint64_t pool,
	       VkObjectType pool_type);
/* Objects with ids from 100 that the streams below name. */
void world_add_drawing(struct world *world);
/* The last run replied exactly @wire. */
void expect_reply(struct world *world, const struct wire *wire);
/* Word of the last reply at byte @at. */
uint32_t reply_u32(const struct world *world, size_t at);
/* One command each, in worlds with world_add_drawing(). */
void put_create_fence(struct wire *wire, uint32_t flags, uint64_t id);
void put_destroy(struct wire *wire, uint32_t command, uint64_t id);
void put_draw(struct wire *wire, uint64_t cmd);
void put_begin_render_pass(struct wire *wire, uint64_t cmd, uint64_t pass, uint64_t framebuffer);
void put_update_sets(struct wire *wire);
void put_create_pipelines(struct wire *wire, uint32_t flags, uint32_t count, uint64_t first_id);
void put_properties2(struct wire *wire);
/* All of them. */
void put_everything(struct wire *wire);

#endif
