/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch.c - execute a stream of commands: decode, hook or driver, object table, reply
 *
 * How it works: one pass per command.  Created handles are registered after the call and before the
 * reply; destroyed ones are forgotten after the call.  A creation without reply that fails leaves
 * failed objects: commands that name one are not executed, so that one failed allocation does not
 * end the guest's program.
 *
 * Invariants: a fatal decoder executes nothing any more; the reply is complete whatever the call
 * returned. Threads: see call.h.
 */
#include "venus/dispatch.h"
#include "venus_args.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	DISPATCH_UNTOLD = 2048
}; /* bytes of plain commands executed before the owner hears of them */

static void dispatch_free(struct venus_dispatch *dispatch)
{
	free(dispatch->hooks);
	free(dispatch->plain);
	free(dispatch->global);
	*dispatch = (struct venus_dispatch){0};
}

int venus_dispatch_init(struct venus_dispatch *dispatch, PFN_vkGetInstanceProcAddr get_proc,
			const struct venus_hook *hooks, void *context)
{
	*dispatch = (struct venus_dispatch){.context = context, .get_proc = get_proc};
	dispatch->hooks = calloc(VENUS_COMMANDS, sizeof(*dispatch->hooks));
	dispatch->plain = calloc(VENUS_COMMANDS, sizeof(*dispatch->plain));
	dispatch->global = venus_driver_create(get_proc, VK_NULL_HANDLE);
	if (!dispatch->hooks || !dispatch->plain || !dispatch->global ||
	    venus_objects_init(&dispatch->objects) < 0) {
		dispatch_free(dispatch);
		return -ENOMEM;
	}
	for (; hooks && hooks->fn; hooks++) {
		assert(hooks->command < VENUS_COMMANDS);
		dispatch->hooks[hooks->command] = hooks;
	}
	for (uint32_t i = 0; i < VENUS_COMMANDS; i++) {
		dispatch->plain[i] = !dispatch->hooks[i] && venus_commands[i].thunk &&
				     venus_commands[i].effect == EFFECT_NONE;
	}
	return 0;
}

/* --- tear-down --- */

static bool dispatch_owns_driver(VkObjectType type)
{
	return type == VK_OBJECT_TYPE_INSTANCE || type == VK_OBJECT_TYPE_PHYSICAL_DEVICE ||
	       type == VK_OBJECT_TYPE_DEVICE;
}

/* The command that destroys one object of @type, or NULL (queues; children of pools). */
static PFN_vkVoidFunction dispatch_destroyer(const struct venus_object *object)
{
	for (uint32_t i = 0; object->driver && i < VENUS_COMMANDS; i++) {
		const struct venus_command *command = &venus_commands[i];
		const struct venus_op *op = &venus_ops[command->ops + command->effect_op];
		if (command->effect == EFFECT_DESTROY && op->kind == OP_HANDLE &&
		    op->a == object->type) {
			return object->driver->fn[i];
		}
	}
	return NULL;
}

static void dispatch_destroy_handle(struct venus_dispatch *dispatch, const struct venus_object *object)
{
	PFN_vkVoidFunction fn = dispatch_destroyer(object);
	if (object->failed || !fn) {
		return;
	}
	if (object->type == VK_OBJECT_TYPE_DEVICE) {
		((PFN_vkDestroyDevice)fn)((VkDevice)(uintptr_t)object->handle, NULL);
	} else if (object->type == VK_OBJECT_TYPE_INSTANCE) {
		((PFN_vkDestroyInstance)fn)((VkInstance)(uintptr_t)object->handle, NULL);
	} else {
		/* All others have one shape; handles have the size of pointers here (asserted in
		 * venus_tables.c). */
		((PFN_vkDestroyFence)fn)(object->driver->device, (VkFence)(uintptr_t)object->handle,
					 dispatch->allocator ? dispatch->allocator(object) : NULL);
	}
}

/*
 * Take the object out of the table, then whatever hangs on it.  @destroy: its host handle still
 * exists.  Nothing happens if another ring was faster.
 */
static void dispatch_forget(struct venus_dispatch *dispatch, struct venus_object *object,
			    uint64_t id, bool destroy)
{
	struct venus_object gone = {0};
	if (!venus_objects_take(&dispatch->objects, object, id, &gone)) {
		return;
	}
	if (destroy) {
		dispatch_destroy_handle(dispatch, &gone);
	}
	if (gone.data && dispatch->data_free) {
		dispatch->data_free(dispatch, &gone);
	}
	if (dispatch_owns_driver(gone.type) && !gone.failed) {
		free(gone.driver);
	}
}

/* The same for all below @object (NULL: everything), newest first. */
static void dispatch_forget_below(struct venus_dispatch *dispatch, struct venus_object *object,
				  bool destroy)
{
	if (destroy && object && object->type == VK_OBJECT_TYPE_DEVICE && object->driver &&
	    object->driver->wait_idle) {
		object->driver->wait_idle(object->driver->device);
	}
	struct venus_object *child;
	while ((child = venus_objects_newest(&dispatch->objects, object)) != NULL) {
		uint64_t id = child->id;
		dispatch_forget_below(dispatch, child, destroy);
		dispatch_forget(dispatch, child, id, destroy);
	}
}

void venus_dispatch_finish(struct venus_dispatch *dispatch)
{
	if (!dispatch->hooks) {
		return;
	}
	dispatch_forget_below(dispatch, NULL, true);
	venus_objects_finish(&dispatch->objects);
	dispatch_free(dispatch);
}

/* --- the driver --- */

PFN_vkVoidFunction venus_driver_fn(const struct venus_dispatch *dispatch,
				   const struct venus_object *object, uint32_t command)
{
	const struct venus_driver *driver = object ? object->driver : dispatch->global;
	return driver && command < VENUS_COMMANDS ? driver->fn[command] : NULL;
}

PFN_vkVoidFunction venus_driver_proc(const struct venus_dispatch *dispatch,
				     const struct venus_object *object, const char *name)
{
	const struct venus_driver *driver = object ? object->driver : dispatch->global;
	return driver ? venus_driver_lookup(driver, name) : NULL;
}

int venus_call_driver(struct venus_call *call)
{
	PFN_vkVoidFunction fn = venus_driver_fn(call->dispatch, call->object, call->command);
	if (!fn || !call->info->thunk) {
		return -ENOSYS;
	}
	if (call->command == VENUS_vkDestroyDevice || call->command == VENUS_vkDestroyInstance) {
		dispatch_forget_below(call->dispatch, call->object, true);
	}
	call->info->thunk(fn, call->args);
	return 0;
}

/* --- which object was meant where --- */

static const struct venus_log_handle *dispatch_log_at(struct venus_call *call, const void *slot)
{
	struct venus_log *log = call->decoder->log;
	for (size_t i = 0; i < log->handle_count; i++) {
		size_t at = (log->handle_hint + i) % log->handle_count;
		if (log->handles[at].slot == slot) {
			log->handle_hint = at + 1;
			return &log->handles[at];
		}
	}
	return NULL;
}

/* --- creation --- */

static const struct venus_op *dispatch_effect_op(const struct venus_call *call)
{
	return &venus_ops[call->info->ops + call->info->effect_op];
}

static VkResult dispatch_result(const struct venus_call *call)
{
	VkResult result = VK_SUCCESS;
	if (call->info->ret_result) {
		memcpy(&result, (const uint8_t *)call->args + call->info->ret_off, sizeof(result));
	}
	return result;
}

static struct venus_object *dispatch_pool(struct venus_call *call)
{
	if (!call->info->effect_a) {
		return NULL;
	}
	const uint8_t *info =
		*(const uint8_t *const *)((const uint8_t *)call->args + call->info->effect_a);
	return info ? venus_call_object_at(call, info + call->info->effect_b) : NULL;
}

/* Entry points that come with an instance, physical device or device.  Returns false if they cannot
 * be had. */
static bool dispatch_attach_driver(struct venus_call *call, struct venus_object *object)
{
	struct venus_dispatch *dispatch = call->dispatch;
	void *handle = (void *)(uintptr_t)object->handle;
	if (!dispatch_owns_driver(object->type) || object->failed) {
		return true;
	}
	if (object->type == VK_OBJECT_TYPE_INSTANCE) {
		object->driver = venus_driver_create(dispatch->get_proc, handle);
	} else if (object->type == VK_OBJECT_TYPE_PHYSICAL_DEVICE) {
		object->driver = venus_driver_for_physical(object->parent->driver, handle);
	} else {
		const struct vkCreateDevice_args *args = call->args;
		object->driver =
			venus_driver_for_device(object->parent->driver, handle, args->pCreateInfo);
	}
	return object->driver != NULL;
}

static struct venus_object *dispatch_register(struct venus_call *call, uint32_t index,
					      uint64_t handle)
{
	struct venus_objects *objects = &call->dispatch->objects;
	const struct venus_op *op = dispatch_effect_op(call);
	const uint64_t *ids = *(uint64_t *const *)((const uint8_t *)call->args + op->c);
	VkObjectType type = (VkObjectType)op->a;
	struct venus_object *object = venus_objects_find(objects, ids[index], type);
	if (object && object->handle == handle && handle &&
	    (call->registered > index || type == VK_OBJECT_TYPE_PHYSICAL_DEVICE)) {
		return object; /* enumerated again, or a hook was first */
	}
	object = venus_objects_add(objects, ids[index], type, handle, call->object,
				   dispatch_pool(call));
	if (!object) {
		return NULL;
	}
	if (!dispatch_attach_driver(call, object)) {
		object->failed = true; /* makes dispatch_forget() leave the parent's driver alone */
		dispatch_forget(call->dispatch, object, ids[index], false);
		return NULL;
	}
	struct venus_object *first = index ? venus_objects_find(objects, ids[0], type) : NULL;
	venus_objects_record(objects, object, call->bytes, call->len, first, index);
	return object;
}

static const uint64_t *dispatch_handles(const struct venus_call *call)
{
	return *(uint64_t *const *)((const uint8_t *)call->args + dispatch_effect_op(call)->off);
}

struct venus_object *venus_call_register(struct venus_call *call, uint32_t index)
{
	const uint64_t *handles =
		call->info->effect == EFFECT_CREATE ? dispatch_handles(call) : NULL;
	if (!handles || index >= call->capacity || !handles[index]) {
		return NULL;
	}
	struct venus_object *object = dispatch_register(call, index, handles[index]);
	if (object && call->registered <= index) {
		call->registered = index + 1;
	}
	return object;
}

static int dispatch_created(struct venus_call *call)
{
	const uint64_t *handles = dispatch_handles(call);
	VkResult result = dispatch_result(call);
	bool some = result >= 0 || dispatch_effect_op(call)->a == VK_OBJECT_TYPE_PIPELINE;
	uint64_t count = handles ? codec_length(dispatch_effect_op(call)->len, call->args) : 0;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t handle = some && !call->poisoned ? handles[i] : 0;
		if (!handle && call->flags & VENUS_FLAG_REPLY) {
			continue; /* the guest will see that there is none */
		}
		if (!dispatch_register(call, i, handle)) {
			return venus_decoder_fail(call->decoder,
						  "object id is in use, or too many objects");
		}
	}
	return 0;
}

/* --- destruction --- */

static void dispatch_destroyed(struct venus_call *call)
{
	const struct venus_op *op = dispatch_effect_op(call);
	const uint8_t *args = call->args;
	bool one = op->kind == OP_HANDLE;
	const uint64_t *handles =
		one ? (const uint64_t *)(args + op->off) : *(uint64_t *const *)(args + op->off);
	uint64_t count = one ? 1 : handles ? codec_length(op->len, args) : 0;
	for (uint64_t i = 0; i < count; i++) {
		const struct venus_log_handle *entry = dispatch_log_at(call, &handles[i]);
		if (entry) {
			dispatch_forget_below(call->dispatch, entry->object, false);
			dispatch_forget(call->dispatch, entry->object, entry->id, false);
		}
	}
}

static int dispatch_effects(struct venus_call *call)
{
	if (call->keep_objects) {
		return 0;
	}
	switch ((enum venus_effect)call->info->effect) {
	case EFFECT_CREATE: return dispatch_created(call);
	case EFFECT_DESTROY: dispatch_destroyed(call); return 0;
	case EFFECT_RESET: {
		const struct venus_op *op = dispatch_effect_op(call);
		struct venus_object *pool =
			*(struct venus_object *const *)((const uint8_t *)call->args + op->c);
		if (pool && dispatch_result(call) >= 0) {
			dispatch_forget_below(call->dispatch, pool, false);
		}
		return 0;
	}
	default: return 0;
	}
}

/* --- one command --- */

struct venus_object *venus_call_object_at(struct venus_call *call, const void *slot)
{
	const struct venus_log_handle *entry = dispatch_log_at(call, slot);
	return entry ? entry->object : NULL;
}

void *venus_call_hidden(struct venus_call *call, VkStructureType type)
{
	const struct venus_log *log = call->decoder->log;
	for (size_t i = 0; i < log->hidden_count; i++) {
		if (((const VkBaseInStructure *)log->hidden[i].child)->sType == type) {
			return log->hidden[i].child;
		}
	}
	return NULL;
}

/* Destroying several where some failed is fine: drivers ignore VK_NULL_HANDLE there. */
static bool dispatch_may_run_poisoned(const struct venus_call *call)
{
	if (call->info->effect != EFFECT_DESTROY ||
	    dispatch_effect_op(call)->kind != OP_ARRAY_HANDLE) {
		return false;
	}
	const struct venus_op *op = &venus_ops[call->info->ops];
	for (; op->kind != OP_END; op++) {
		if (op->kind == OP_HANDLE && op->c) {
			const struct venus_object *object = *(
				struct venus_object *const *)((const uint8_t *)call->args + op->c);
			if (object && object->failed) {
				return false;
			}
		}
	}
	return true;
}

static int dispatch_execute(struct venus_call *call)
{
	const struct venus_hook *hook = call->dispatch->hooks[call->command];
	if (call->poisoned && !dispatch_may_run_poisoned(call)) {
		VkResult failed = VK_ERROR_OUT_OF_HOST_MEMORY;
		if (call->info->ret_result) {
			memcpy((uint8_t *)call->args + call->info->ret_off, &failed,
			       sizeof(failed));
		}
		return 0;
	}
	int err = hook ? hook->fn(call) : venus_call_driver(call);
	if (err < 0) {
		return venus_decoder_fail(call->decoder,
					  err == -ENOSYS ? "the host driver has no such command"
							 : "the command breaks a rule");
	}
	return call->decoder->fatal ? -EPROTO : 0;
}

/* The driver cannot have written more than it was given room for. */
static void dispatch_clamp(struct venus_call *call)
{
	for (const struct venus_op *op = &venus_ops[call->info->ops]; op->kind != OP_END; op++) {
		const struct venus_len *len = &venus_lens[op->len];
		uint8_t *args = call->args;
		if (!(op->flags & OP_OUT) || !op->len || !len->through || len->off2 ||
		    !*(void **)(args + op->off) || codec_length(op->len, args) <= call->capacity) {
			continue;
		}
		memcpy(*(void **)(args + len->off), &call->capacity, len->width);
	}
}

/* The owner of the outermost stream learns how far it is. */
static void dispatch_tell(struct venus_decoder *decoder, const uint8_t *done)
{
	if (decoder->progress && done != decoder->told) {
		decoder->told = done;
		decoder->progress(decoder, (size_t)(done - decoder->first));
	}
}

/*
 * A command that passes through to the driver and is done: most of what there is.  False if it
 * needs more than that.
 */
static bool dispatch_plain(struct venus_call *call)
{
	struct venus_object *object = call->object;
	if (call->poisoned || !object || call->flags & VENUS_FLAG_REPLY) {
		return false;
	}
	PFN_vkVoidFunction fn = object->driver ? object->driver->fn[call->command] : NULL;
	if (!fn) {
		return false;
	}
	call->info->thunk(fn, call->args);
	return true;
}

/* Everything after decoding, for the others. */
static int dispatch_fully(struct venus_call *call)
{
	if (call->decoder->nesting == 1) {
		dispatch_tell(call->decoder, call->bytes);
	}
	if (dispatch_execute(call) < 0) {
		return -EPROTO;
	}
	if (dispatch_result(call) == VK_ERROR_DEVICE_LOST) {
		if (!(call->flags & VENUS_FLAG_REPLY)) {
			/* The guest would wait for ever: it polls words that nobody will write. */
			return venus_decoder_fail(call->decoder, VENUS_DEVICE_LOST);
		}
		if (call->dispatch->told_lost) {
			call->dispatch->told_lost(call);
		}
	}
	if (call->capacity) {
		dispatch_clamp(call);
	}
	if (dispatch_effects(call) < 0) {
		return -EPROTO;
	}
	return call->flags & VENUS_FLAG_REPLY ? encode_reply(call) : 0;
}

/* 0; 1 if nobody waits to hear of it; -EPROTO. */
static int dispatch_command(struct venus_decoder *decoder, struct venus_stream *stream)
{
	uint32_t header[2];
	if ((size_t)(stream->end - stream->cur) < sizeof(header)) {
		return venus_decoder_fail(decoder, "command is cut short");
	}
	memcpy(header, stream->cur, sizeof(header));
	decoder->fatal_command = header[0];
	decoder->count++;
	if (header[0] >= VENUS_COMMANDS || !venus_commands[header[0]].names) {
		return venus_decoder_fail(decoder, "unknown command");
	}
	struct venus_call call = {
		.decoder = decoder,
		.dispatch = decoder->dispatch,
		.info = &venus_commands[header[0]],
		.command = header[0],
		.flags = header[1],
		.arena = &decoder->arena[decoder->nesting - 1],
		.bytes = stream->cur,
		.stream = {stream->cur + sizeof(header), stream->end},
	};
	bool plain = call.dispatch->plain[call.command];
	call.args = arena_alloc(call.arena, call.info->args_size ? call.info->args_size : 1);
	if (!call.args) {
		return venus_decoder_fail(decoder, "out of memory");
	}
	if (decode_args(&call, !plain) < 0) {
		return -EPROTO;
	}
	call.len = (size_t)(call.stream.cur - call.bytes);
	stream->cur = call.stream.cur;
	if (plain && dispatch_plain(&call)) {
		decoder->tally[call.info->tally]++;
		return 1;
	}
	int status = dispatch_fully(&call);
	decoder->tally[call.info->tally] += !status;
	return status;
}

/* --- decoders --- */

void venus_decoder_init(struct venus_decoder *decoder, struct venus_dispatch *dispatch, void *owner,
			size_t ceiling)
{
	*decoder = (struct venus_decoder){.dispatch = dispatch, .owner = owner};
	for (int i = 0; i < VENUS_MAX_NESTING; i++) {
		arena_init(&decoder->arena[i], ceiling);
	}
	decoder->log = calloc(1, sizeof(*decoder->log));
	if (!decoder->log) {
		venus_decoder_fail(decoder, "out of memory");
	}
}

void venus_decoder_finish(struct venus_decoder *decoder)
{
	for (int i = 0; i < VENUS_MAX_NESTING; i++) {
		arena_finish(&decoder->arena[i]);
	}
	if (decoder->log) {
		free(decoder->log->handles);
		free(decoder->log->hidden);
		free(decoder->log);
		decoder->log = NULL;
	}
}

int venus_decoder_fail(struct venus_decoder *decoder, const char *reason)
{
	if (!decoder->fatal) {
		decoder->fatal = reason;
	}
	return -EPROTO;
}

/* True if the decoder is to execute nothing more. */
static bool dispatch_is_over(struct venus_decoder *decoder)
{
	const char *end = atomic_load_explicit(&decoder->dispatch->end, memory_order_relaxed);
	if (__builtin_expect(end != NULL, 0)) {
		venus_decoder_fail(decoder, end);
	}
	return decoder->fatal;
}

/* True if the owner is to hear of plain commands. */
static bool dispatch_is_due(const struct venus_decoder *decoder, const struct venus_stream *stream)
{
	return stream->cur == stream->end || stream->cur - decoder->told >= DISPATCH_UNTOLD;
}

int venus_decoder_run(struct venus_decoder *decoder, const void *bytes, size_t len)
{
	if (decoder->nesting >= VENUS_MAX_NESTING) {
		return venus_decoder_fail(decoder, "streams are nested too deep");
	}
	struct venus_stream stream = {bytes, (const uint8_t *)bytes + len};
	if (!decoder->nesting++) {
		decoder->first = decoder->told = bytes;
	}
	while (!dispatch_is_over(decoder) && stream.cur < stream.end) {
		int status = dispatch_command(decoder, &stream);
		arena_reset(&decoder->arena[decoder->nesting - 1]);
		decoder->unheard = status > 0;
		if (decoder->nesting == 1 &&
		    (!status || (status > 0 && dispatch_is_due(decoder, &stream)))) {
			dispatch_tell(decoder, stream.cur);
		}
	}
	decoder->nesting--;
	return decoder->fatal ? -EPROTO : 0;
}
