/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.c - what the generated tables say: names, the capability set
 * Threads: any; everything is constant.
 */
#include "venus/codec.h"

#include <string.h>

const char *venus_command_name(uint32_t command)
{
	return command < venus_command_count && venus_commands[command].names
		       ? venus_commands[command].names
		       : "?";
}

bool venus_extension_known(const char *name, uint32_t *spec_version)
{
	for (uint32_t i = 0; i < venus_extension_count; i++) {
		if (strcmp(venus_extensions[i].name, name) == 0 && venus_extensions[i].decodable) {
			*spec_version = venus_extensions[i].spec_version;
			return true;
		}
	}
	return false;
}

uint64_t codec_length_slowly(const struct venus_len *len, const void *base)
{
	const uint8_t *at = (const uint8_t *)base + len->off;
	if (len->through) {
		at = *(const uint8_t *const *)at;
		if (!at) {
			return 0;
		}
		at += len->off2;
	}
	uint64_t value = 0, sum;
	memcpy(&value, at, len->width); /* none for the constant 1 */
	if (__builtin_add_overflow(value, len->add, &sum)) {
		return UINT64_MAX;
	}
	return len->div == 1 ? sum : sum / len->div;
}

static void codec_put(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++) {
		at[i] = (uint8_t)(value >> 8 * i);
	}
}

void venus_capset_fill(uint8_t capset[160])
{
	memset(capset, 0, 160);
	codec_put(capset + 0, 1); /* wire format */
	codec_put(capset + 4, venus_xml_version);
	codec_put(capset + 8, 1);  /* VK_EXT_command_serialization */
	codec_put(capset + 12, 2); /* VK_MESA_venus_protocol */
	codec_put(capset + 16, 1); /* blob id 0 is plain shared memory */
	for (int i = 0; i < 32; i++) {
		codec_put(capset + 20 + 4 * i, venus_extension_mask[i]);
	}
	codec_put(capset + 148, 1); /* waits may block a ring */
	codec_put(capset + 152, 1); /* a timeline for each queue */
	codec_put(capset + 156, 0); /* no guest VRAM */
}
