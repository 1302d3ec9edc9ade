/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode_step.h - one operation of a list: what decode.c does in a loop, and generated code for hot
 * commands in a row
 *
 * How it works: decode_step() is inlined in both.  Given a constant operation it shrinks to a few
 * instructions; the position in the stream stays in a register, and is in the reader only while
 * others need it. Threads: the decoder's.
 */
#ifndef ORIEL_VENUS_DECODE_STEP_H
#define ORIEL_VENUS_DECODE_STEP_H

#include "venus/codec.h"

#ifdef __SANITIZE_ADDRESS__ /* inlined with its checks, the compiler would need minutes */
#define VENUS_INLINE static inline
#else
#define VENUS_INLINE static inline __attribute__((always_inline))
#endif

struct venus_reader {
	const uint8_t *cur, *end;
	struct venus_call *call;
	struct venus_object **recent; /* the decoder's */
	struct venus_log *log;	      /* NULL: handles are not logged */
	const struct venus_driver *driver;
	uint32_t depth;
	bool bad;
};

/* Make the decoder fatal and every later read fail.  False. */
bool decode_fail(struct venus_reader *reader, const char *reason);
/* Whatever decode_step() has no short way for; reads from reader->cur. */
void decode_other(struct venus_reader *reader, const struct venus_op *op, uint8_t *base);
/* An object that is not among the recent ones; NULL (and fatal) if there is none. */
struct venus_object *decode_look_up(struct venus_reader *reader, uint64_t id, VkObjectType type);
/* A handle of @type is one that could not be made. */
void decode_note_failed(struct venus_reader *reader, VkObjectType type);
void decode_log_handle(struct venus_reader *reader, const void *slot, struct venus_object *object,
		       uint64_t id);
/* @count structs of that index, handles of that type.  NULL (and fatal) if they break a rule. */
void *decode_structs_of(struct venus_reader *reader, uint32_t index, uint64_t count);
void *decode_handles_of(struct venus_reader *reader, uint32_t type, uint64_t count);
/* @len bytes at @cur that the driver must not have where they lie.  NULL (and fatal) if there is no
 * memory. */
void *decode_copy(struct venus_reader *reader, const uint8_t *cur, size_t len);

/* memcpy() of few bytes, a multiple of 4, without a call. */
VENUS_INLINE void decode_move(uint8_t *to, const uint8_t *from, size_t len)
{
	if (len == 4) {
		memcpy(to, from, 4);
	} else if (len == 8) {
		memcpy(to, from, 8);
	} else if (len <= 16) {
		uint64_t first, last; /* the same bytes twice where they overlap */
		memcpy(&first, from, 8);
		memcpy(&last, from + len - 8, 8);
		memcpy(to, &first, 8);
		memcpy(to + len - 8, &last, 8);
	} else {
		memcpy(to, from, len);
	}
}

VENUS_INLINE bool decode_has(struct venus_reader *reader, const uint8_t *cur, size_t len)
{
	if (__builtin_expect((size_t)(reader->end - cur) < len, 0)) {
		return decode_fail(reader, "command is cut short");
	}
	return true;
}

/*
 * A stream names the same few objects again and again: the decoder remembers the last one of each
 * residue.  Objects stay readable as long as their table, and one that is gone or used anew has
 * another id.
 */
VENUS_INLINE bool decode_step_handle(struct venus_reader *reader, const uint8_t **cur,
				     VkObjectType type, uint64_t *slot, struct venus_object **found)
{
	uint64_t id;
	if (!decode_has(reader, *cur, sizeof(id))) {
		return false;
	}
	memcpy(&id, *cur, sizeof(id));
	*cur += sizeof(id);
	*found = NULL;
	if (!id) {
		*slot = 0;
		return true;
	}
	struct venus_object *object = reader->recent[id % VENUS_RECENT];
	if (__builtin_expect(!object || __atomic_load_n(&object->id, __ATOMIC_ACQUIRE) != id ||
				     object->type != type,
			     0)) {
		object = decode_look_up(reader, id, type);
		if (!object) {
			return false;
		}
	}
	if (__builtin_expect(object->failed, 0)) {
		decode_note_failed(reader, type);
	}
	*slot = object->handle;
	if (reader->log) {
		decode_log_handle(reader, slot, object, id);
	}
	*found = object;
	return true;
}

/* A handle among the parameters: the args keep its object, the call the first one. */
VENUS_INLINE bool decode_step_param(struct venus_reader *reader, const struct venus_op *op,
				    uint8_t *base, struct venus_object *object)
{
	if (!op->c) {
		return true;
	}
	*(struct venus_object **)(base + op->c) = object;
	if (!reader->call->object) {
		if (!object) {
			return decode_fail(reader, "command on no object");
		}
		reader->call->object = object;
		reader->driver = object->driver;
	}
	return true;
}

/* Read an array's count: the length or 0, and at least @smallest bytes for each are there. */
VENUS_INLINE bool decode_step_count(struct venus_reader *reader, const uint8_t **cur,
				    const struct venus_op *op, const uint8_t *base, size_t smallest,
				    uint64_t *count)
{
	if (!decode_has(reader, *cur, sizeof(*count))) {
		return false;
	}
	memcpy(count, *cur, sizeof(*count));
	*cur += sizeof(*count);
	if (!*count) {
		return !(op->flags & OP_REQUIRED) || !codec_length(op->len, base) ||
		       decode_fail(reader, "NULL where something is needed");
	}
	if (op->len == 0) {
		*count = 1; /* anything but 0 means present */
	} else if (*count != codec_length(op->len, base)) {
		return decode_fail(reader, "count differs from length member");
	}
	size_t left = (size_t)(reader->end - *cur);
	if (smallest && (*count > left || *count * smallest > left + smallest)) {
		return decode_fail(reader, "count is larger than the command");
	}
	return true;
}

/* Packed numbers: used where they lie if their alignment allows, since nobody else can change them
 * there. */
VENUS_INLINE bool decode_step_array(struct venus_reader *reader, const uint8_t **cur,
				    const struct venus_op *op, uint8_t *base)
{
	uint64_t count;
	size_t len;
	const void **member = (const void **)(base + op->off);
	*member = NULL;
	if (!decode_step_count(reader, cur, op, base, 0, &count) || !count) {
		return !reader->bad;
	}
	if (__builtin_mul_overflow(count, (size_t)op->a, &len) || len > SIZE_MAX - 3) {
		return decode_fail(reader, "count is larger than the command");
	}
	const uint8_t *bytes = *cur;
	size_t padded = (len + 3) & ~(size_t)3;
	if (!decode_has(reader, bytes, padded)) {
		return false;
	}
	*cur += padded;
	uintptr_t align = (uintptr_t)1 << (op->flags >> OP_ALIGN_SHIFT);
	bool in_place = !((uintptr_t)bytes & (align - 1)) && !(op->flags & OP_WRITABLE);
	*member = in_place ? bytes : decode_copy(reader, bytes, len);
	return *member != NULL;
}

/* Elements that need to be looked at one by one: counted here, since most arrays of most structs
 * are not there. */
VENUS_INLINE bool decode_step_elements(struct venus_reader *reader, const uint8_t **cur,
				       const struct venus_op *op, uint8_t *base)
{
	bool structs = op->kind == OP_ARRAY_STRUCT;
	uint64_t count;
	*(void **)(base + op->off) = NULL;
	if (!decode_step_count(reader, cur, op, base,
			       structs ? venus_structs[op->a].smallest : sizeof(uint64_t),
			       &count)) {
		return false;
	}
	if (count) {
		reader->cur = *cur;
		*(void **)(base + op->off) = structs ? decode_structs_of(reader, op->a, count)
						     : decode_handles_of(reader, op->a, count);
		*cur = reader->cur;
	}
	return !reader->bad;
}

/* The start of a struct with a type and, mostly, an empty chain. */
VENUS_INLINE bool decode_step_head(struct venus_reader *reader, const uint8_t **cur,
				   const struct venus_op *op, uint8_t *base)
{
	uint32_t stype;
	uint64_t chain;
	uint8_t *member = base + op->off;
	if ((size_t)(reader->end - *cur) >= sizeof(stype) + sizeof(chain)) {
		memcpy(&stype, *cur, sizeof(stype));
		memcpy(&chain, *cur + sizeof(stype), sizeof(chain));
		if (stype == (uint32_t)venus_structs[op->a].stype && !chain) {
			memcpy(member, &stype, sizeof(stype));
			*(void **)(member + offsetof(VkBaseInStructure, pNext)) = NULL;
			*cur += sizeof(stype) + sizeof(chain);
			return true;
		}
	}
	reader->cur = *cur;
	decode_other(reader, op, base);
	*cur = reader->cur;
	return !reader->bad;
}

/* One operation on the struct at @base.  False once the reader is bad. */
VENUS_INLINE bool decode_step(struct venus_reader *reader, const uint8_t **cur,
			      const struct venus_op *op, uint8_t *base)
{
	struct venus_object *object;
	switch (op->kind) {
	case OP_COPY:
		if (!decode_has(reader, *cur, op->a)) {
			return false;
		}
		decode_move(base + op->off, *cur, op->a);
		*cur += op->a;
		return true;
	case OP_HANDLE:
		return decode_step_handle(reader, cur, (VkObjectType)op->a,
					  (uint64_t *)(base + op->off), &object) &&
		       decode_step_param(reader, op, base, object);
	case OP_ARRAY_COPY: return decode_step_array(reader, cur, op, base);
	case OP_ARRAY_STRUCT:
	case OP_ARRAY_HANDLE: return decode_step_elements(reader, cur, op, base);
	case OP_CHAIN: return decode_step_head(reader, cur, op, base);
	default:
		reader->cur = *cur;
		decode_other(reader, op, base);
		*cur = reader->cur;
		return !reader->bad;
	}
}

#endif
