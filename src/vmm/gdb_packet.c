/* SPDX-License-Identifier: Apache-2.0 */
/* gdb_packet.c - see gdb_packet.h */
#include "vmm/gdb_packet.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

int gdb_hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum gdb_event decode_outside(struct gdb_decoder *decoder, uint8_t byte)
{
	switch (byte) {
	case '$':
		decoder->state = GDB_INSIDE;
		decoder->len = decoder->sum = 0;
		return GDB_NOTHING;
	case '+': return GDB_ACK;
	case '-': return GDB_NACK;
	case 3: return GDB_INTERRUPT;
	default: return GDB_NOTHING;
	}
}

static enum gdb_event add(struct gdb_decoder *decoder, uint8_t byte)
{
	if (decoder->len == GDB_PACKET_ROOM) {
		decoder->state = GDB_OUTSIDE;
		return GDB_TOO_LONG;
	}
	decoder->text[decoder->len++] = (char)byte;
	decoder->state = GDB_INSIDE;
	return GDB_NOTHING;
}

static enum gdb_event decode_inside(struct gdb_decoder *decoder, uint8_t byte)
{
	if (byte == '#') {
		decoder->state = GDB_SUM_HIGH;
		return GDB_NOTHING;
	}
	if (byte == '$') { /* the sender began anew */
		return decode_outside(decoder, byte);
	}
	decoder->sum = (uint8_t)(decoder->sum + byte);
	if (byte == '}') {
		decoder->state = GDB_ESCAPED;
		return GDB_NOTHING;
	}
	return add(decoder, byte);
}

enum gdb_event gdb_decode(struct gdb_decoder *decoder, uint8_t byte)
{
	int digit = gdb_hex_digit((char)byte);
	switch (decoder->state) {
	case GDB_OUTSIDE: return decode_outside(decoder, byte);
	case GDB_INSIDE: return decode_inside(decoder, byte);
	case GDB_ESCAPED:
		decoder->sum = (uint8_t)(decoder->sum + byte);
		return add(decoder, byte ^ 0x20);
	case GDB_SUM_HIGH:
		decoder->claimed = (uint8_t)((unsigned)digit << 4);
		decoder->state = digit < 0 ? GDB_OUTSIDE : GDB_SUM_LOW;
		return digit < 0 ? GDB_DAMAGED : GDB_NOTHING;
	case GDB_SUM_LOW: break;
	}
	decoder->state = GDB_OUTSIDE;
	decoder->text[decoder->len] = '\0';
	return digit >= 0 && (decoder->claimed | digit) == decoder->sum ? GDB_PACKET : GDB_DAMAGED;
}

size_t gdb_encode(const char *text, size_t len, char *out)
{
	char *to = out;
	uint8_t sum = 0;
	*to++ = '$';
	for (size_t i = 0; i < len; i++) {
		if (memchr("$#}*", text[i], 4)) {
			*to++ = '}';
			sum = (uint8_t)(sum + '}');
			*to++ = (char)(text[i] ^ 0x20);
		} else {
			*to++ = text[i];
		}
		sum = (uint8_t)(sum + (uint8_t)to[-1]);
	}
	*to++ = '#';
	*to++ = digits[sum >> 4];
	*to++ = digits[sum & 15];
	return (size_t)(to - out);
}

char *gdb_put_hex(char *to, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;
	for (size_t i = 0; i < len; i++) {
		*to++ = digits[from[i] >> 4];
		*to++ = digits[from[i] & 15];
	}
	*to = '\0';
	return to;
}

const char *gdb_take_hex(const char *from, void *bytes, size_t len)
{
	uint8_t *to = bytes;
	for (size_t i = 0; i < len; i++, from += 2) {
		int high = gdb_hex_digit(from[0]);
		int low = high < 0 ? -1 : gdb_hex_digit(from[1]);
		if (low < 0) {
			return NULL;
		}
		to[i] = (uint8_t)(high << 4 | low);
	}
	return from;
}

const char *gdb_take_number(const char *from, uint64_t *value)
{
	const char *start = from;
	*value = 0;
	for (int digit; (digit = gdb_hex_digit(*from)) >= 0 && from - start < 16; from++) {
		*value = *value << 4 | (unsigned)digit;
	}
	return from == start || gdb_hex_digit(*from) >= 0 ? NULL : from;
}
