/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.h - the tables made by gen/venus.py, and the walkers over them
 *
 * How it works: a list of operations describes the wire form of one C struct, in order; the args of
 * a command are such a struct.  The decoder reads the wire along a list and fills the struct, the
 * encoder does the reverse.  Packed numbers that lie together on both sides are one COPY. "Partial"
 * lists say what a request tells about an output. Threads: the tables are constant; walkers belong
 * to their decoder's thread.
 */
#ifndef ORIEL_VENUS_CODEC_H
#define ORIEL_VENUS_CODEC_H

#include "venus/call.h"

#include <string.h>

/* Letters: off = C offset of the member, a/b/len/c as said.  "length" = venus_lens[len]. */
enum venus_op_kind {
	OP_END,
	OP_COPY,	 /* a bytes, as they are */
	OP_U8,		 /* 4 bytes on the wire, 1 in C */
	OP_U16,		 /* 4 bytes on the wire, 2 in C */
	OP_FIXED_COPY,	 /* u64 = b, then a bytes in all, padded to 4 */
	OP_FIXED_SKIP,	 /* u64 = b and nothing else: array of structs without a partial form */
	OP_FIXED_STRUCT, /* u64 = b, then b structs a */
	OP_FIXED_HANDLE, /* u64 = b, then b ids of type a */
	OP_HANDLE,	 /* id of type a; c: where args keep the object, or 0 */
	OP_STRUCT,	 /* struct a with sType, by value */
	OP_UNION,	 /* u32 tag, then the tag-th operation of union a */
	OP_CHAIN,	 /* sType at off, then the chain for pNext at off + 8 */
	OP_ARRAY_COPY,	 /* u64 = length or 0, then elements of a bytes, all padded to 4; pointer */
	OP_ARRAY_STRUCT, /* u64 = length or 0, then structs a; pointer */
	OP_ARRAY_UNION,	 /* the same with unions a */
	OP_ARRAY_HANDLE, /* u64 = length or 0, then ids of type a; pointer */
	OP_STRING,	 /* u64 = bytes with NUL or 0, then bytes padded to 4; pointer */
	OP_ARRAY_STRING, /* u64 = length or 0, then strings; pointer */
	OP_NULL,	 /* u64 = 0; pointer */
	OP_OUT_COPY,	 /* request: u64 = length or 0 only; reply: as ARRAY_COPY */
	OP_OUT_STRUCT,	 /* request: with partial structs; reply: as ARRAY_STRUCT */
	OP_OUT_HANDLE,	 /* ids on both ways; c: where args keep the ids */
};

enum {
	OP_PARTIAL = 1,	 /* nested structs and chains are partial */
	OP_OUT = 2,	 /* goes into the reply */
	OP_WRITABLE = 4, /* the driver writes: needs memory of its own */
	OP_REQUIRED = 8, /* may be NULL only if the length is 0 */
	OP_ALIGN_SHIFT = 4,
};

struct venus_op {
	uint8_t kind, flags;
	uint16_t off;
	uint32_t a;
	uint16_t b, len;
	uint32_t c;
};
_Static_assert(sizeof(struct venus_op) == 16, "ops are small");

/* (value at off + add) / div, where value is `width` bytes; through: at offset off2 behind the
 * pointer at off.  0: 1. */
struct venus_len {
	uint16_t off, off2;
	uint8_t width, through, add, div;
};

struct venus_child {
	VkStructureType stype;
	uint16_t index; /* in venus_structs */
	uint16_t gate;	/* extension number whose mask bit allows it, or 0 */
};

struct venus_reader; /* private, see decode_step.h */

struct venus_struct {
	void (*decode)(struct venus_reader *reader, uint8_t *base); /* the full list in code, or NULL */
	VkStructureType stype;
	uint16_t size;
	uint16_t full, partial; /* first operation */
	uint16_t child, child_count;
	uint16_t smallest;     /* fewest bytes of the full form on the wire */
	uint32_t core;	       /* first API version that has it, or UINT32_MAX */
	uint16_t extension[3]; /* numbers of extensions that have it, 0: none */
};

enum venus_effect {
	EFFECT_NONE,
	EFFECT_CREATE,	/* OUT_HANDLE operation `effect_op`; pool at args' pointer effect_a, member
			   effect_b, if effect_a */
	EFFECT_DESTROY, /* HANDLE or ARRAY_HANDLE operation `effect_op` */
	EFFECT_RESET,	/* HANDLE operation `effect_op` is a pool: its children go */
};

struct venus_command {
	const char *names; /* each NUL-terminated, an empty one ends; the first is the protocol's
			      usual name */
	void (*thunk)(PFN_vkVoidFunction fn, void *args);
	void (*decode)(struct venus_reader *reader, uint8_t *args); /* the list in code, or NULL */
	uint16_t args_size, ret_off, ret_size;
	bool ret_result; /* returns VkResult */
	uint16_t ops;
	uint8_t tally;	/* enum venus_tally */
	uint8_t effect; /* enum venus_effect */
	uint8_t effect_op;
	uint16_t effect_a, effect_b;
};

struct venus_extension {
	uint16_t number, spec_version;
	bool decodable;
	const char *name;
};

/* Generated. */
extern const struct venus_op venus_ops[];
extern const struct venus_len venus_lens[];
extern const struct venus_child venus_children[];
extern const struct venus_struct venus_structs[];
extern const uint32_t venus_struct_count;
extern const struct venus_command venus_commands[]; /* names is NULL where nothing is decoded */
extern const uint32_t venus_command_count;
extern const struct venus_extension venus_extensions[];
extern const uint32_t venus_extension_count;
extern const uint32_t venus_xml_version;
extern const uint32_t venus_extension_mask[32];

enum { VENUS_STRUCT_WORDS = 8 }; /* bitmap of structs: 512 */

/* Where the decoder put handles, and which structs it kept from the driver. */
struct venus_log_handle {
	const void *slot;
	struct venus_object *object;
	uint64_t id; /* tells whether the object still is the one that was meant */
};
struct venus_log_hidden {
	const void *parent; /* struct whose pNext was shortened */
	void *child;	    /* what the guest had chained there */
};
struct venus_log {
	struct venus_log_handle *handles;
	size_t handle_count, handle_room, handle_hint;
	struct venus_log_hidden *hidden;
	size_t hidden_count, hidden_room;
};

/* The same, for lengths that need arithmetic or lie behind a pointer. */
uint64_t codec_length_slowly(const struct venus_len *len, const void *base);

/* Value of length @index for the struct at @base.  Every array asks: a word that needs no
 * arithmetic is the common case. */
static inline uint64_t codec_length(uint32_t index, const void *base)
{
	static const uint8_t word[4] = {sizeof(uint32_t), 0, 0, 1}; /* width, through, add, div */
	const struct venus_len *len = &venus_lens[index];
	uint32_t value;
	if (memcmp(&len->width, word, sizeof(word))) {
		return codec_length_slowly(len, base);
	}
	memcpy(&value, (const uint8_t *)base + len->off, sizeof(value));
	return value;
}

/*
 * Read one command's parameters into call->args.  `keep_handles`: log every handle (for hooks and
 * pools).  0 or -EPROTO (decoder failed).  Sets call->object, call->poisoned.
 */
int decode_args(struct venus_call *call, bool keep_handles) MUST_CHECK;

/* Write the reply of an executed call to the decoder's reply position.  0 or -EPROTO. */
int encode_reply(struct venus_call *call) MUST_CHECK;

#endif
