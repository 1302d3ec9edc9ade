/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feedback.c - command buffers that only fill words of memory which the guest sees
 *
 * How it works: a lane follows what is recorded from vkBeginCommandBuffer on.  As long as its
 * commands come one after the other and are barriers and one fill of a word in a buffer bound to
 * pages of ours, the command buffer gets that word as its data when it ends.
 *
 * Invariants: what is kept are ids, looked up again when the word is written; a guest that breaks
 * the rules spoils its own memory only. Threads: the lane's.
 */
#include "venus/feedback.h"

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
	bool valid;
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

int feedback_begin(struct venus_call *call)
{
	struct feedback_commands *commands = call->object ? call->object->data : NULL;
	if (commands) {
		commands->valid = false;
	}
	lane_of(call)->tape =
		(struct feedback_tape){.commands = call->object, .next = call->decoder->count + 1};
	return venus_call_driver(call);
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
	if (status || args->ret != VK_SUCCESS || !only_fills) {
		return status;
	}
	struct feedback_commands *commands = call->object->data;
	if (!commands) {
		call->object->data = commands = malloc(sizeof(*commands));
	}
	if (commands) {
		*commands = (struct feedback_commands){true, tape->word};
	}
	return 0;
}

void feedback_add(struct feedback_list *list, struct venus_call *call, const VkCommandBuffer *slot)
{
	struct venus_object *object = venus_call_object_at(call, slot);
	const struct feedback_commands *commands = object ? object->data : NULL;
	if (!commands || !commands->valid ||
	    list->count == sizeof(list->words) / sizeof(list->words[0])) {
		list->others = true;
		return;
	}
	list->words[list->count++] = &commands->word;
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
