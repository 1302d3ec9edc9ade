/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h - one decoded Venus command, and how hooks take part in its execution
 *
 * How it works: a venus_dispatch serves one context (its objects, its hooks, the driver's entry
 * points); a venus_decoder serves one ring or the context's virtqueue (arena, reply position,
 * sticky error).  venus_decoder_run() takes whole commands out of private memory, decodes each into
 * struct NAME_args (generated "venus_args.h": members are called as in the Vulkan specification),
 * calls the hook or the driver, registers what was created, forgets what was destroyed and writes
 * the reply.
 *
 * What a hook finds in the args of command NAME (`struct NAME_args *args = call->args;`):
 *  - every parameter with its C type; handles are host handles.  Structs may be changed, pointers
 *    replaced; arrays of numbers may lie in the command's own bytes: replace those, never change
 *    them in place;
 *  - `ret` (unless void): what the reply says; the driver's thunk sets it, a hook may;
 *  - for a handle parameter `device` also `struct venus_object *device_obj` (NULL for
 *    VK_NULL_HANDLE);
 *  - for created handles `pFence` also `const uint64_t *pFence_ids`, the guest's ids, as many as
 *    handles.
 *
 * For handles deep in structs: venus_call_object_at(call, &submit->pWaitSemaphores[i]).
 *
 * Threads: a decoder and its calls belong to one thread at a time; a dispatch and its objects are
 * shared by all.
 */
#ifndef ORIEL_VENUS_CALL_H
#define ORIEL_VENUS_CALL_H

#include "base/arena.h"
#include "base/error.h"
#include "venus/objects.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vulkan/vulkan_core.h>

struct venus_call;
struct venus_command; /* private description, see codec.h */

/* Why a context ends when the guest would not hear of it otherwise. */
#define VENUS_DEVICE_LOST "the host's driver has lost its device"

/* Overrides one command.  Returns 0, or a negative errno that makes the stream fatal (rule broken,
 * not "call failed"). */
struct venus_hook {
	uint32_t command; /* VENUS_vkCreateDevice..., from venus_args.h */
	int (*fn)(struct venus_call *call);
	/* Failed objects of this type do not poison the call: the hook leaves them out.  0: none. */
	VkObjectType optional;
};

enum {
	VENUS_FLAG_REPLY = 1,  /* in a command's flags */
	VENUS_MAX_NESTING = 2, /* a ring's own bytes, and streams it executes */
	VENUS_RECENT = 64,     /* objects that a decoder finds without the table */
};

/* What a decoder counts apart. */
enum venus_tally { VENUS_TALLY_OTHERS, VENUS_TALLY_DRAWS, VENUS_TALLY_DISPATCHES, VENUS_TALLIES };

/* Private bytes still to be decoded: copied out of shared memory before decoding. */
struct venus_stream {
	const uint8_t *cur, *end;
};

/* Where the next reply goes: memory the guest sees.  Both NULL while the guest has set none (a
 * reply is then fatal). */
struct venus_reply {
	uint8_t *cur, *end;
};

/* One context. */
struct venus_dispatch {
	void *context; /* the front end's, borrowed */
	struct venus_objects objects;
	struct venus_driver *global; /* entry points without an instance */
	PFN_vkGetInstanceProcAddr get_proc;
	/*
	 * Called when an object with data was forgotten; its host handle is gone already.  @object
	 * is a copy of what the table had.  May be NULL.
	 */
	void (*data_free)(struct venus_dispatch *dispatch, struct venus_object *object);
	void (*told_lost)(const struct venus_call *call); /* the reply says that the device is lost; may be NULL */
	const char *_Atomic end; /* why no decoder goes on; static text, NULL while all do */
	/* What a hook made the object with, or NULL.  May be NULL. */
	const VkAllocationCallbacks *(*allocator)(const struct venus_object *object);
	const struct venus_hook *
		*hooks; /* by command number, NULL where the driver is called directly */
	bool *plain;	/* by command number: neither a hook nor a change of the object table */
};

/* @hooks (borrowed) ends with fn NULL.  @get_proc: the loader's or a fake.  0 or -ENOMEM. */
int venus_dispatch_init(struct venus_dispatch *dispatch, PFN_vkGetInstanceProcAddr get_proc,
			const struct venus_hook *hooks, void *context) MUST_CHECK;
/* Destroys every object through the driver (devices idle first, newest first), then itself.  No
 * decoder may run. */
void venus_dispatch_finish(struct venus_dispatch *dispatch);

/* One ring, or the context's virtqueue. */
struct venus_decoder {
	struct venus_dispatch *dispatch;
	void *owner; /* the front end's ring, borrowed; NULL for the virtqueue, as you like */
	struct venus_reply
		reply; /* set by the hook of vkSetReplyCommandStreamMESA; advances with replies */
	/*
	 * Called with the bytes of the outermost stream executed so far: before and after each command that may
	 * take its time or has a reply, else every few kilobytes, and at the end.  May be NULL.
	 */
	void (*progress)(struct venus_decoder *decoder, size_t done);
	const char *fatal;	/* NULL, or why nothing will be decoded any more (static text) */
	uint32_t fatal_command; /* the command that was being decoded then */
	uint32_t nesting;	/* streams being run, 0 outside venus_decoder_run() */
	bool unheard;		/* nobody waits to hear of the last command executed */
	uint64_t count;		       /* commands begun */
	uint64_t tally[VENUS_TALLIES]; /* commands executed; the owner may take from it */
	struct arena arena[VENUS_MAX_NESTING];
	const uint8_t *first, *told; /* private: outermost stream, and how far progress() knows of it */
	struct venus_log *log;	     /* private: where handles were put */
	struct venus_object
		*recent[VENUS_RECENT]; /* private: found last, by id modulo their number */
};

/* @ceiling: bytes that one command may need in decoded form. */
void venus_decoder_init(struct venus_decoder *decoder, struct venus_dispatch *dispatch, void *owner,
			size_t ceiling);
void venus_decoder_finish(struct venus_decoder *decoder);

/*
 * Execute the whole commands in @bytes, which nobody else may change meanwhile.  A hook may call it
 * once more on its own decoder (vkExecuteCommandStreamsMESA); deeper is fatal.  Returns 0, or
 * -EPROTO once the decoder is fatal.
 */
int venus_decoder_run(struct venus_decoder *decoder, const void *bytes, size_t len) MUST_CHECK;

/* Make the decoder fatal (first reason stays).  @reason: static text without guest data.  Returns
 * -EPROTO. */
int venus_decoder_fail(struct venus_decoder *decoder, const char *reason);

struct venus_call {
	struct venus_decoder *decoder;
	struct venus_dispatch *dispatch;
	const struct venus_command *info;
	uint32_t command, flags;
	void *args;		     /* struct NAME_args */
	struct arena *arena;	     /* for temporaries: valid until the command is finished */
	struct venus_object *object; /* of the first parameter; NULL for commands without one */
	/*
	 * A parameter names an object whose creation failed unnoticed: the hook is not called,
	 * `ret` becomes an error.
	 */
	bool poisoned;
	bool keep_objects; /* a hook sets it: do not register or forget anything after me, I did */
	const uint8_t *bytes; /* the command as it came, header included */
	size_t len;
	struct venus_stream stream; /* private: what follows what was decoded */
	uint64_t capacity;	    /* private: elements of the output array */
	uint32_t registered;	    /* private: created handles that are in the table */
};

/*
 * Call the host driver's function with the args as they are now; sets `ret`.  For vkDestroyDevice
 * and vkDestroyInstance what is left below the object is destroyed first.  0, or -ENOSYS if the
 * driver has no such function (fatal if returned).
 */
int venus_call_driver(struct venus_call *call) MUST_CHECK;

/* The driver's entry point for @command at @object's level (NULL: global), or NULL.  Cast it to the
 * PFN_ type. */
PFN_vkVoidFunction venus_driver_fn(const struct venus_dispatch *dispatch,
				   const struct venus_object *object, uint32_t command);

/* Any function of the driver by name, at @object's level (NULL: global), or NULL.  Slow: keep what
 * you need. */
PFN_vkVoidFunction venus_driver_proc(const struct venus_dispatch *dispatch,
				     const struct venus_object *object, const char *name);

/*
 * Put the @index-th handle the call created under its guest id in the object table now, to set
 * ->data; otherwise the dispatcher does it after the hook.  NULL if that is impossible (id in use,
 * table full): return -EPROTO then.
 */
struct venus_object *venus_call_register(struct venus_call *call, uint32_t index);

/* The object whose handle the decoder put at @slot (an address inside args' data), NULL for
 * VK_NULL_HANDLE. */
struct venus_object *venus_call_object_at(struct venus_call *call, const void *slot);

/*
 * The struct of type @type that the guest chained somewhere and that was kept from the driver,
 * which does not know it; it still goes into the reply.  NULL if there is none.
 */
void *venus_call_hidden(struct venus_call *call, VkStructureType type);

/* Name of a command number ("vkQueueSubmit"), or "?". */
const char *venus_command_name(uint32_t command);

/* True if every struct and command of the device extension @name can be decoded; *spec_version as
 * the protocol has it. */
bool venus_extension_known(const char *name, uint32_t *spec_version);

/* Capset 4 as this build can serve it: all 160 bytes (reference: capset layout, little endian). */
void venus_capset_fill(uint8_t capset[160]);

#endif
