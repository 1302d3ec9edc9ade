/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feedback.c - command buffers that only fill words of memory which the guest sees, and those that
 * could not be recorded
 *
 * How it works: a lane follows what is recorded from vkBeginCommandBuffer on.  As long as its
 * commands come one after the other and are barriers and one fill of a word in a buffer bound to
 * pages of ours, the command buffer gets that word as its data when it ends.
 *
 * Invariants: what is kept are ids, looked up again when the word is written; a guest that breaks
 * the rules spoils its own memory only.
 *
 * Threads: the lane's.
 */
#include "venus/feedback.h"

#include "base/log.h"
#include "venus/context.h"
#include "venus/external.h"
#include "venus/lane.h"
#include "venus/memory.h"
#include "venus_args.h"

#include <stdlib.h>

/* Data of a VkBuffer object. */
struct feedback_binding {
	uint64_t memory, offset;
};

/* Data of a VkCommandBuffer object. */
struct feedback_commands {
	bool only_word;
	bool broken; /* since it was begun */
	struct feedback_word word;
};

int feedback_bind_buffers(struct venus_call *call)
{
	struct vkBindBufferMemory2_args *args = call->args;
	int status = venus_call_driver(call);
	for (uint32_t i = 0; !status && args->ret == VK_SUCCESS && i < args->bindInfoCount; i++) {
		struct venus_object *buffer =
			venus_call_object_at(call, &args->pBindInfos[i].buffer);
		struct venus_object *memory =
			venus_call_object_at(call, &args->pBindInfos[i].memory);
		struct feedback_binding *binding =
			buffer && memory && !buffer->data ? malloc(sizeof(*binding)) : NULL;
		if (binding) {
			*binding = (struct feedback_binding){memory->id,
							     args->pBindInfos[i].memoryOffset};
			buffer->data = binding;
		}
	}
	return status;
}

void feedback_free_data(struct venus_object *object)
{
	if (!external_is_marked(object)) {
		free(object->data);
	}
}

/* True if the call is the next command of what is followed. */
static bool feedback_follows(struct venus_call *call)
{
	struct feedback_tape *tape = &lane_of(call)->tape;
	bool follows = tape->commands && tape->commands == call->object &&
		       tape->next == call->decoder->count;
	tape->next = call->decoder->count + 1;
	if (!follows) {
		tape->commands = NULL;
	}
	return follows;
}

/* What the call's command buffer is known to be from now on. */
static int feedback_know(struct venus_call *call, const struct feedback_commands *known)
{
	struct feedback_commands *commands = call->object->data;
	if (!commands) {
		call->object->data = commands = malloc(sizeof(*commands));
	}
	if (!commands) {
		return venus_decoder_fail(call->decoder, "out of memory");
	}
	*commands = *known;
	return 0;
}

static int feedback_break(struct venus_call *call, VkResult why)
{
	log_limited(
		LOG_WARN,
		"submissions go without commands that the driver could not record (VkResult %d)",
		why);
	return feedback_know(call, &(struct feedback_commands){.broken = true});
}

int feedback_begin(struct venus_call *call)
{
	struct vkBeginCommandBuffer_args *args = call->args;
	struct feedback_commands *commands = call->object ? call->object->data : NULL;
	if (commands) {
		commands->only_word = commands->broken = false;
	}
	lane_of(call)->tape =
		(struct feedback_tape){.commands = call->object, .next = call->decoder->count + 1};
	int status = venus_call_driver(call);
	return status || args->ret == VK_SUCCESS ? status : feedback_break(call, args->ret);
}

void feedback_barrier(struct venus_call *call)
{
	feedback_follows(call);
}

int feedback_fill(struct venus_call *call)
{
	const struct vkCmdFillBuffer_args *args = call->args;
	struct feedback_tape *tape = &lane_of(call)->tape;
	struct venus_object *buffer = args->dstBuffer_obj;
	if (!feedback_follows(call) || tape->filled || args->size != sizeof(uint32_t) ||
	    args->dstOffset % 4 || !buffer || !buffer->data || external_is_marked(buffer)) {
		tape->commands = NULL;
		return venus_call_driver(call);
	}
	const struct feedback_binding *binding = buffer->data;
	/* the buffer lies anywhere for a guest that breaks the rules */
	tape->filled =
		!__builtin_add_overflow(binding->offset, args->dstOffset, &tape->word.offset) &&
		tape->word.offset % sizeof(tape->word.value) == 0;
	tape->word.memory = binding->memory;
	tape->word.value = args->data;
	return venus_call_driver(call);
}

int feedback_end(struct venus_call *call)
{
	struct vkEndCommandBuffer_args *args = call->args;
	struct feedback_tape *tape = &lane_of(call)->tape;
	bool only_fills = feedback_follows(call) && tape->filled;
	tape->commands = NULL;
	int status = venus_call_driver(call);
	if (status) {
		return status;
	}
	if (args->ret != VK_SUCCESS) {
		return feedback_break(call, args->ret);
	}
	return only_fills ? feedback_know(call, &(struct feedback_commands){.only_word = true,
									    .word = tape->word})
			  : 0;
}

/* What is known of the command buffer at @slot, or NULL.  *broken: it is not to be run. */
static const struct feedback_commands *feedback_at(struct venus_call *call,
						   const VkCommandBuffer *slot, bool *broken)
{
	const struct venus_object *object = venus_call_object_at(call, slot);
	const struct feedback_commands *commands = object ? object->data : NULL;
	*broken = !object || object->failed || (commands && commands->broken);
	return commands;
}

bool feedback_add(struct feedback_list *list, struct venus_call *call, const VkCommandBuffer *slot)
{
	bool broken;
	const struct feedback_commands *commands = feedback_at(call, slot, &broken);
	if (broken) {
		return false;
	}
	if (!commands || !commands->only_word ||
	    list->count == sizeof(list->words) / sizeof(list->words[0])) {
		list->others = true;
	} else {
		list->words[list->count++] = &commands->word;
	}
	return true;
}

int feedback_execute(struct venus_call *call)
{
	struct vkCmdExecuteCommands_args *args = call->args;
	VkCommandBuffer *commands = (VkCommandBuffer *)args->pCommandBuffers;
	uint32_t kept = 0;
	for (uint32_t i = 0; commands && i < args->commandBufferCount; i++) {
		bool broken;
		feedback_at(call, &commands[i], &broken);
		if (!broken) {
			commands[kept++] = commands[i];
		}
	}
	args->commandBufferCount = kept;
	return kept && !call->object->failed ? venus_call_driver(call) : 0;
}

bool feedback_write(const struct feedback_list *list, struct venus_call *call)
{
	struct pages *pages[sizeof(list->words) / sizeof(list->words[0])];
	uint32_t found = 0;
	for (bool here = true; here && found < list->count; found += here) {
		const struct feedback_word *word = list->words[found];
		here = word->offset <= UINT32_MAX &&
		       !memory_export(context_of(call), word->memory,
				      word->offset + sizeof(word->value), &pages[found]);
		if (here && !pages[found]->map) {
			pages_put(pages[found]);
			here = false;
		}
	}
	for (uint32_t i = 0; found == list->count && i < found; i++) {
		uint32_t *at = (uint32_t *)((uint8_t *)pages[i]->map + list->words[i]->offset);
		__atomic_store_n(at, list->words[i]->value, __ATOMIC_RELEASE);
	}
	for (uint32_t i = 0; i < found; i++) {
		pages_put(pages[i]);
	}
	return found == list->count;
}
