/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode.c - C structs -> wire, along the generated lists: replies
 *
 * How it works: the full form of every output follows in order, whether the call succeeded or not,
 * since the guest's decoder knows no lengths.  Structs that were kept from the driver are still in
 * their place here (zeros).
 *
 * Invariants: output counts never exceed what the request had room for (clamped by the dispatcher
 * before this). Threads: the decoder's.
 */
#include "venus/codec.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

struct writer {
	uint8_t *cur, *end;
	struct venus_call *call;
	bool bad;
};

static void encode_list(struct writer *writer, const struct venus_op *op, const void *base);

/* Room for @len bytes, padded with zeros to 4; NULL after failure. */
static uint8_t *encode_room(struct writer *writer, size_t len)
{
	size_t padded = (len + 3) & ~(size_t)3;
	if ((size_t)(writer->end - writer->cur) < padded || writer->bad) {
		if (!writer->bad) {
			venus_decoder_fail(writer->call->decoder, "no room for the reply");
		}
		writer->bad = true;
		return NULL;
	}
	uint8_t *room = writer->cur;
	memset(room + (padded > 4 ? padded - 4 : 0), 0, padded ? 4 : 0);
	writer->cur += padded;
	return room;
}

static void encode_bytes(struct writer *writer, const void *bytes, size_t len)
{
	uint8_t *room = encode_room(writer, len);
	if (room && len) {
		memcpy(room, bytes, len);
	}
}

static void encode_u32(struct writer *writer, uint32_t value)
{
	encode_bytes(writer, &value, sizeof(value));
}

static void encode_u64(struct writer *writer, uint64_t value)
{
	encode_bytes(writer, &value, sizeof(value));
}

/* What the guest had chained behind @node: the driver may have seen less. */
static const uint8_t *encode_next(struct writer *writer, const uint8_t *node)
{
	const struct venus_log *log = writer->call->decoder->log;
	for (size_t i = 0; i < log->hidden_count; i++) {
		if (log->hidden[i].parent == node) {
			return log->hidden[i].child;
		}
	}
	return *(const uint8_t *const *)(node + offsetof(VkBaseInStructure, pNext));
}

static const struct venus_struct *encode_find_child(const struct venus_struct *head,
						    const uint8_t *node)
{
	uint32_t stype;
	memcpy(&stype, node, sizeof(stype));
	for (uint32_t i = 0; i < head->child_count; i++) {
		const struct venus_child *child = &venus_children[head->child + i];
		if ((uint32_t)child->stype == stype) {
			return &venus_structs[child->index];
		}
	}
	return NULL;
}

/* Own chain first, then the members: see the decoder.  Bounded, since the decoder made the chain.
 */
static void encode_chain(struct writer *writer, const struct venus_struct *head,
			 const uint8_t *parent)
{
	const uint8_t *node = encode_next(writer, parent);
	const struct venus_struct *info = node ? encode_find_child(head, node) : NULL;
	if (node && !info) {
		venus_decoder_fail(writer->call->decoder,
				   "a hook left a foreign struct in an output chain");
		writer->bad = true;
		return;
	}
	encode_u64(writer, node != NULL);
	if (node) {
		encode_u32(writer, (uint32_t)info->stype);
		encode_chain(writer, head, node);
		encode_list(writer, &venus_ops[info->full] + 1, node);
	}
}

static void encode_structs(struct writer *writer, uint32_t index, const uint8_t *first,
			   uint64_t count)
{
	for (uint64_t i = 0; i < count && !writer->bad; i++) {
		encode_list(writer, &venus_ops[venus_structs[index].full],
			    first + i * venus_structs[index].size);
	}
}

/* Handles inside outputs: only physical devices, which the table can name. */
static void encode_fixed_handle(struct writer *writer, const struct venus_op *op,
				const uint8_t *member)
{
	struct venus_call *call = writer->call;
	encode_u64(writer, op->b);
	for (uint32_t i = 0; i < op->b && !writer->bad; i++) {
		uint64_t handle;
		memcpy(&handle, member + i * sizeof(handle), sizeof(handle));
		encode_u64(writer,
			   handle ? venus_objects_id_of(&call->dispatch->objects, call->object,
							(VkObjectType)op->a, handle)
				  : 0);
	}
}

/* The guest's ids of what the driver made; 0 for what it did not make: of several pipelines some may fail. */
static void encode_ids(struct writer *writer, const struct venus_op *op, const void *base,
		       const uint64_t *handles, uint64_t count)
{
	const uint64_t *ids = *(const uint64_t *const *)((const uint8_t *)base + op->c);
	for (uint64_t i = 0; i < count && !writer->bad; i++) {
		encode_u64(writer, handles[i] ? ids[i] : 0);
	}
}

static void encode_pointer(struct writer *writer, const struct venus_op *op, const void *base)
{
	const uint8_t *target = *(const uint8_t *const *)((const uint8_t *)base + op->off);
	uint64_t count = target ? codec_length(op->len, base) : 0;
	encode_u64(writer, count);
	switch (op->kind) {
	case OP_ARRAY_COPY:
	case OP_OUT_COPY: encode_bytes(writer, target, count * op->a); break;
	case OP_ARRAY_STRUCT:
	case OP_OUT_STRUCT: encode_structs(writer, op->a, target, count); break;
	case OP_OUT_HANDLE: encode_ids(writer, op, base, (const uint64_t *)(const void *)target, count); break;
	default: assert(!"the generator put an input into a reply");
	}
}

static void encode_list(struct writer *writer, const struct venus_op *op, const void *base)
{
	for (; op->kind != OP_END && !writer->bad; op++) {
		const uint8_t *member = (const uint8_t *)base + op->off;
		switch (op->kind) {
		case OP_COPY: encode_bytes(writer, member, op->a); break;
		case OP_U8: encode_u32(writer, *member); break;
		case OP_U16: encode_u32(writer, *(const uint16_t *)member); break;
		case OP_FIXED_COPY:
			encode_u64(writer, op->b);
			encode_bytes(writer, member, op->a);
			break;
		case OP_FIXED_STRUCT:
			encode_u64(writer, op->b);
			encode_structs(writer, op->a, member, op->b);
			break;
		case OP_FIXED_HANDLE: encode_fixed_handle(writer, op, member); break;
		case OP_STRUCT: encode_structs(writer, op->a, member, 1); break;
		case OP_CHAIN:
			encode_u32(writer, (uint32_t)venus_structs[op->a].stype);
			encode_chain(writer, &venus_structs[op->a], member);
			break;
		default: encode_pointer(writer, op, base); break;
		}
	}
}

int encode_reply(struct venus_call *call)
{
	struct venus_reply *reply = &call->decoder->reply;
	struct writer writer = {.cur = reply->cur, .end = reply->end, .call = call};
	if (!reply->cur) {
		return venus_decoder_fail(call->decoder, "reply wanted, but no reply stream set");
	}
	encode_u32(&writer, call->command);
	if (call->info->ret_size) {
		encode_bytes(&writer, (const uint8_t *)call->args + call->info->ret_off,
			     call->info->ret_size);
	}
	for (const struct venus_op *op = &venus_ops[call->info->ops];
	     op->kind != OP_END && !writer.bad; op++) {
		if (op->flags & OP_OUT) {
			encode_pointer(&writer, op, call->args);
		}
	}
	reply->cur = writer.cur;
	return writer.bad ? -EPROTO : 0;
}
