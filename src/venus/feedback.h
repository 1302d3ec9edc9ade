/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feedback.h - what is known of command buffers: those that only fill words of memory which the
 * guest sees, and those that could not be recorded
 *
 * Guests' drivers append one to each submission that signals a fence, and poll its word instead of
 * asking for the fence.  A submission of nothing else, on a queue that has nothing else to do,
 * needs no driver: the words are written here.
 *
 * Guests' drivers do not wait to hear that recording failed, so what is left of it is never run:
 * submissions and other command buffers go without.
 *
 * Threads: the lane's.
 */
#ifndef ORIEL_VENUS_FEEDBACK_H
#define ORIEL_VENUS_FEEDBACK_H

#include <stdbool.h>
#include <stdint.h>
#include <vulkan/vulkan_core.h>

struct venus_call;
struct venus_object;

struct feedback_word {
	uint64_t memory; /* id of the VkDeviceMemory */
	uint64_t offset; /* in it; a multiple of 4 */
	uint32_t value;
};

/* What a lane knows of the command buffer that is being recorded. */
struct feedback_tape {
	const struct venus_object *commands; /* NULL: it is not of this kind */
	uint64_t next; /* number of the lane's next command if nothing else comes between */
	bool filled;
	struct feedback_word word;
};

/* What a submission is found to be. */
struct feedback_list {
	const struct feedback_word *words[8];
	uint32_t count;
	bool others; /* there is work for the driver */
};

/* Hooks: the driver does all this as well. */
int feedback_bind_buffers(struct venus_call *call);
int feedback_begin(struct venus_call *call);
int feedback_fill(struct venus_call *call);
int feedback_end(struct venus_call *call);
int feedback_execute(struct venus_call *call);
/* A barrier is recorded. */
void feedback_barrier(struct venus_call *call);
/* Frees the data of a VkBuffer or VkCommandBuffer object. */
void feedback_free_data(struct venus_object *object);

/* Adds the command buffer whose handle is at @slot in the call's arguments.  False if it could not
 * be recorded. */
bool feedback_add(struct feedback_list *list, struct venus_call *call, const VkCommandBuffer *slot);
/* Writes the words, all or none.  False if one is in memory that is not here. */
bool feedback_write(const struct feedback_list *list, struct venus_call *call);

#endif
