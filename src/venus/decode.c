/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode.c - wire -> C structs, along the generated lists
 *
 * How it works: a reader takes bytes off the stream; the first thing that does not fit makes the
 * decoder fatal and every later read returns zeros, so walkers need no checks of their own beyond
 * counts, which are compared with the length member and with what the stream could still hold
 * before anything is allocated.  decode_step.h has the steps that most operations are; hot commands
 * and their structs come as generated code that does the same steps in a row.
 *
 * Invariants: a count read is used only after codec checks; memory comes from the call's arena,
 * which has a ceiling; recursion ends at DECODE_DEPTH. Threads: the decoder's.
 */
#include "venus/decode_step.h"
#include "venus/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DECODE_DEPTH = 192 };

static void decode_list(struct venus_reader *reader, const struct venus_op *op, void *base);

bool decode_fail(struct venus_reader *reader, const char *reason)
{
	venus_decoder_fail(reader->call->decoder, reason);
	reader->bad = true;
	reader->cur = reader->end;
	return false;
}

/* The next @len bytes, @len a multiple of 4; NULL after failure. */
static inline const uint8_t *decode_take(struct venus_reader *reader, size_t len)
{
	if (__builtin_expect((size_t)(reader->end - reader->cur) < len, 0)) {
		decode_fail(reader, "command is cut short");
		return NULL;
	}
	const uint8_t *bytes = reader->cur;
	reader->cur += len;
	return bytes;
}

static inline uint32_t decode_u32(struct venus_reader *reader)
{
	uint32_t value = 0;
	const uint8_t *bytes = decode_take(reader, sizeof(value));
	if (bytes) {
		memcpy(&value, bytes, sizeof(value));
	}
	return value;
}

static inline uint64_t decode_u64(struct venus_reader *reader)
{
	uint64_t value = 0;
	const uint8_t *bytes = decode_take(reader, sizeof(value));
	if (bytes) {
		memcpy(&value, bytes, sizeof(value));
	}
	return value;
}

/* Zeroed arena memory for @count elements; NULL (and fatal) if there is too much of it. */
static inline void *decode_alloc(struct venus_reader *reader, uint64_t count, size_t size)
{
	size_t len;
	void *memory = __builtin_mul_overflow(count, size, &len)
			       ? NULL
			       : arena_alloc(reader->call->arena, len);
	if (__builtin_expect(!memory, 0)) {
		decode_fail(reader, "command needs too much memory");
	}
	return memory;
}

static inline size_t decode_padded(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

/* Read an array's count: the length or 0.  @smallest: bytes that each element takes on the wire at
 * least. */
static uint64_t decode_count(struct venus_reader *reader, const struct venus_op *op,
			     const void *base, size_t smallest)
{
	uint64_t count;
	return decode_step_count(reader, &reader->cur, op, base, smallest, &count) ? count : 0;
}

void decode_note_failed(struct venus_reader *reader, VkObjectType type)
{
	const struct venus_hook *hook = reader->call->dispatch->hooks[reader->call->command];
	if (!hook || hook->optional != type) {
		reader->call->poisoned = true;
	}
}

void decode_log_handle(struct venus_reader *reader, const void *slot, struct venus_object *object,
		       uint64_t id)
{
	struct venus_log *log = reader->log;
	if (log->handle_count == log->handle_room) {
		size_t room = log->handle_room ? log->handle_room * 2 : 64;
		void *grown = realloc(log->handles, room * sizeof(*log->handles));
		if (!grown) {
			decode_fail(reader, "out of memory");
			return;
		}
		log->handles = grown;
		log->handle_room = room;
	}
	log->handles[log->handle_count++] = (struct venus_log_handle){slot, object, id};
}

struct venus_object *decode_look_up(struct venus_reader *reader, uint64_t id, VkObjectType type)
{
	struct venus_object *object =
		venus_objects_find(&reader->call->dispatch->objects, id, type);
	if (!object) {
		decode_fail(reader, "no such object of that type");
		return NULL;
	}
	return reader->call->decoder->recent[id % VENUS_RECENT] = object;
}

static void decode_handle(struct venus_reader *reader, VkObjectType type, uint64_t *slot)
{
	struct venus_object *object;
	decode_step_handle(reader, &reader->cur, type, slot, &object);
}

static void decode_fixed_count(struct venus_reader *reader, uint64_t expected)
{
	if (decode_u64(reader) != expected && !reader->bad) {
		decode_fail(reader, "fixed array of wrong size");
	}
}

static void decode_fixed_copy(struct venus_reader *reader, const struct venus_op *op,
			      uint8_t *member)
{
	decode_fixed_count(reader, op->b);
	const uint8_t *bytes = decode_take(reader, decode_padded(op->a));
	if (bytes) {
		memcpy(member, bytes, op->a);
	}
}

static void decode_structs(struct venus_reader *reader, uint32_t index, bool partial,
			   uint8_t *first, uint64_t count)
{
	const struct venus_struct *info = &venus_structs[index];
	if (++reader->depth > DECODE_DEPTH) {
		decode_fail(reader, "structs are nested too deep");
	}
	for (uint64_t i = 0; i < count && !reader->bad; i++) {
		if (info->decode && !partial) {
			info->decode(reader, first + i * info->size);
		} else {
			decode_list(reader, &venus_ops[partial ? info->partial : info->full],
				    first + i * info->size);
		}
	}
	reader->depth--;
}

void *decode_structs_of(struct venus_reader *reader, uint32_t index, uint64_t count)
{
	const struct venus_struct *info = &venus_structs[index];
	uint8_t *first = decode_alloc(reader, count, info->size);
	if (first && info->decode && count == 1 && reader->depth < DECODE_DEPTH) {
		reader->depth++;
		info->decode(reader, first);
		reader->depth--;
	} else if (first) {
		decode_structs(reader, index, false, first, count);
	}
	return first;
}

void *decode_handles_of(struct venus_reader *reader, uint32_t type, uint64_t count)
{
	uint64_t *handles = decode_alloc(reader, count, sizeof(*handles));
	for (uint64_t i = 0; handles && i < count && !reader->bad; i++) {
		decode_handle(reader, (VkObjectType)type, &handles[i]);
	}
	return handles;
}

static void decode_union(struct venus_reader *reader, uint32_t index, uint8_t *member)
{
	uint32_t tag = decode_u32(reader);
	const struct venus_op *op = &venus_ops[venus_structs[index].full];
	for (uint32_t i = 0; i < tag && op->kind != OP_END; i++) {
		op++;
	}
	if (op->kind == OP_END || reader->bad) {
		decode_fail(reader, "no such union member");
		return;
	}
	struct venus_op one[2] = {*op, {0}};
	decode_list(reader, one, member);
}

static void decode_unions(struct venus_reader *reader, const struct venus_op *op, uint8_t *first,
			  uint64_t count)
{
	for (uint64_t i = 0; i < count && !reader->bad; i++) {
		decode_union(reader, op->a, first + i * venus_structs[op->a].size);
	}
}

void *decode_copy(struct venus_reader *reader, const uint8_t *cur, size_t len)
{
	uint8_t *copy = decode_alloc(reader, 1, len);
	return copy ? memcpy(copy, cur, len) : NULL;
}

static void *decode_array_union(struct venus_reader *reader, const struct venus_op *op,
				const void *base)
{
	uint64_t count = decode_count(reader, op, base, venus_structs[op->a].smallest);
	void *first = count ? decode_alloc(reader, count, venus_structs[op->a].size) : NULL;
	if (first) {
		decode_unions(reader, op, first, count);
	}
	return first;
}

static void *decode_out_struct(struct venus_reader *reader, const struct venus_op *op,
			       const void *base)
{
	uint64_t count = decode_count(reader, op, base, 0);
	void *first = count ? decode_alloc(reader, count, venus_structs[op->a].size) : NULL;
	reader->call->capacity = count;
	if (first) {
		decode_structs(reader, op->a, true, first, count);
	}
	return first;
}

static char *decode_string(struct venus_reader *reader)
{
	uint64_t len = decode_u64(reader);
	if (!len || reader->bad) {
		return NULL;
	}
	if (len > (size_t)(reader->end - reader->cur)) {
		decode_fail(reader, "string is longer than the command");
		return NULL;
	}
	const uint8_t *bytes = decode_take(reader, decode_padded(len));
	char *copy = bytes ? decode_alloc(reader, 1, len) : NULL;
	if (copy) {
		memcpy(copy, bytes,
		       len - 1); /* the arena gave zeros: it ends with NUL whatever came */
	}
	return copy;
}

static char **decode_array_string(struct venus_reader *reader, const struct venus_op *op,
				  const void *base)
{
	uint64_t count = decode_count(reader, op, base, sizeof(uint64_t));
	char **strings = count ? decode_alloc(reader, count, sizeof(*strings)) : NULL;
	for (uint64_t i = 0; strings && i < count && !reader->bad; i++) {
		strings[i] = decode_string(reader);
		if (!strings[i] && !reader->bad) {
			decode_fail(reader, "NULL in an array of strings");
		}
	}
	return strings;
}

static void *decode_out_copy(struct venus_reader *reader, const struct venus_op *op,
			     const void *base)
{
	uint64_t count = decode_count(reader, op, base, 0);
	reader->call->capacity = count;
	return count ? decode_alloc(reader, count, op->a) : NULL;
}

/* Ids of objects to be made: kept apart, the handles start as VK_NULL_HANDLE. */
static void *decode_out_handle(struct venus_reader *reader, const struct venus_op *op,
			       uint8_t *base)
{
	uint64_t count = decode_count(reader, op, base, sizeof(uint64_t));
	uint64_t *handles = count ? decode_alloc(reader, count, sizeof(*handles)) : NULL;
	reader->call->capacity = count;
	uint64_t *ids = handles ? decode_alloc(reader, count, sizeof(*ids)) : NULL;
	for (uint64_t i = 0; ids && i < count; i++) {
		ids[i] = decode_u64(reader);
	}
	*(uint64_t **)(base + op->c) = ids;
	return handles;
}

static const struct venus_child *decode_find_child(const struct venus_struct *parent,
						   uint32_t stype)
{
	const struct venus_child *child = &venus_children[parent->child];
	for (uint32_t i = 0; i < parent->child_count; i++, child++) {
		if ((uint32_t)child->stype == stype) {
			return child;
		}
	}
	return NULL;
}

/* The driver does not know the struct at @child: unhook it from @parent's chain, but remember it
 * for the reply. */
static void decode_hide(struct venus_reader *reader, uint8_t *parent, void *child, void *rest)
{
	struct venus_log *log = reader->call->decoder->log;
	if (log->hidden_count == log->hidden_room) {
		size_t room = log->hidden_room ? log->hidden_room * 2 : 16;
		void *grown = realloc(log->hidden, room * sizeof(*log->hidden));
		if (!grown) {
			decode_fail(reader, "out of memory");
			return;
		}
		log->hidden = grown;
		log->hidden_room = room;
	}
	log->hidden[log->hidden_count++] = (struct venus_log_hidden){parent, child};
	*(void **)(parent + offsetof(VkBaseInStructure, pNext)) = rest;
}

static void decode_chain(struct venus_reader *reader, const struct venus_struct *head,
			 uint8_t *parent, bool partial)
{
	void **next = (void **)(parent + offsetof(VkBaseInStructure, pNext));
	*next = NULL;
	if (!decode_u64(reader)) {
		return;
	}
	uint32_t stype = decode_u32(reader);
	const struct venus_child *child = decode_find_child(head, stype);
	if (!child || reader->bad || ++reader->depth > DECODE_DEPTH) {
		decode_fail(reader, "struct is not accepted in this chain");
		return;
	}
	const struct venus_struct *info = &venus_structs[child->index];
	if (partial && !info->partial) {
		decode_fail(reader, "struct is not accepted in an output chain");
		return;
	}
	uint8_t *node = decode_alloc(reader, 1, info->size);
	if (node) {
		memcpy(node, &stype, sizeof(stype));
		decode_chain(reader, head, node, partial);
		decode_list(reader, &venus_ops[partial ? info->partial : info->full] + 1, node);
		*next = node;
		if (reader->driver && !venus_driver_knows(reader->driver, child->index)) {
			decode_hide(reader, parent, node,
				    *(void **)(node + offsetof(VkBaseInStructure, pNext)));
		}
	}
	reader->depth--;
}

static void decode_head(struct venus_reader *reader, const struct venus_op *op, uint8_t *member)
{
	uint32_t stype = decode_u32(reader);
	const struct venus_struct *info = &venus_structs[op->a];
	if (stype != (uint32_t)info->stype) {
		if (!reader->bad) {
			decode_fail(reader, "wrong struct type");
		}
		return;
	}
	memcpy(member, &stype, sizeof(stype));
	decode_chain(reader, info, member, op->flags & OP_PARTIAL);
}

static void decode_fixed_handle(struct venus_reader *reader, const struct venus_op *op,
				uint8_t *member)
{
	decode_fixed_count(reader, op->b);
	for (uint32_t i = 0; i < op->b && !reader->bad; i++) {
		if (op->flags & OP_PARTIAL) {
			decode_u64(reader); /* an output: what is there now means nothing */
		} else {
			decode_handle(reader, (VkObjectType)op->a, (uint64_t *)member + i);
		}
	}
}

/* An operation whose member is a pointer. */
static const void *decode_pointer(struct venus_reader *reader, const struct venus_op *op,
				  void *base)
{
	switch (op->kind) {
	case OP_ARRAY_UNION: return decode_array_union(reader, op, base);
	case OP_OUT_STRUCT: return decode_out_struct(reader, op, base);
	case OP_STRING: return decode_string(reader);
	case OP_ARRAY_STRING: return decode_array_string(reader, op, base);
	case OP_OUT_COPY: return decode_out_copy(reader, op, base);
	case OP_OUT_HANDLE: return decode_out_handle(reader, op, base);
	default: /* OP_NULL */
		if (decode_u64(reader)) {
			decode_fail(reader, "pointer that must be NULL");
		}
		return NULL;
	}
}

void decode_other(struct venus_reader *reader, const struct venus_op *op, uint8_t *base)
{
	uint8_t *member = base + op->off;
	switch (op->kind) {
	case OP_U8: *member = (uint8_t)decode_u32(reader); break;
	case OP_U16: *(uint16_t *)member = (uint16_t)decode_u32(reader); break;
	case OP_CHAIN: decode_head(reader, op, member); break;
	case OP_FIXED_COPY: decode_fixed_copy(reader, op, member); break;
	case OP_FIXED_SKIP: decode_fixed_count(reader, op->b); break;
	case OP_FIXED_STRUCT:
		decode_fixed_count(reader, op->b);
		decode_structs(reader, op->a, op->flags & OP_PARTIAL, member, op->b);
		break;
	case OP_FIXED_HANDLE: decode_fixed_handle(reader, op, member); break;
	case OP_STRUCT: decode_structs(reader, op->a, op->flags & OP_PARTIAL, member, 1); break;
	case OP_UNION: decode_union(reader, op->a, member); break;
	default: *(const void **)member = decode_pointer(reader, op, base); break;
	}
}

static void decode_list(struct venus_reader *reader, const struct venus_op *op, void *base)
{
	while (op->kind != OP_END && decode_step(reader, &reader->cur, op, base)) {
		op++;
	}
}

int decode_args(struct venus_call *call, bool keep_handles)
{
	struct venus_decoder *decoder = call->decoder;
	struct venus_log *log = decoder->log;
	struct venus_reader reader = {
		.cur = call->stream.cur,
		.end = call->stream.end,
		.call = call,
		.recent = decoder->recent,
		.log = keep_handles ? log : NULL,
	};
	log->handle_count = log->handle_hint = 0;
	log->hidden_count = 0;
	if (call->info->decode) {
		call->info->decode(&reader, call->args);
	} else {
		decode_list(&reader, &venus_ops[call->info->ops], call->args);
	}
	call->stream.cur = reader.cur;
	return reader.bad ? -EPROTO : 0;
}
