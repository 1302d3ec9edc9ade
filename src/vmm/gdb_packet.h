/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gdb_packet.h - packets of the GDB remote serial protocol (GDB manual, appendix E.1)
 *
 * $TEXT#SUM, + and -, and the byte 3 for an interrupt.  TEXT is escaped by '}'.
 * Threads: the caller's.
 */
#ifndef ORIEL_VMM_GDB_PACKET_H
#define ORIEL_VMM_GDB_PACKET_H

#include <stddef.h>
#include <stdint.h>

enum { GDB_PACKET_ROOM = 4096 }; /* of TEXT, in both directions */

enum gdb_event {
	GDB_NOTHING,
	GDB_PACKET,  /* text and len are a packet's, until the next byte; a zero follows */
	GDB_DAMAGED, /* a packet with a wrong sum */
	GDB_TOO_LONG,
	GDB_INTERRUPT,
	GDB_ACK,
	GDB_NACK,
};

/* All zero at first. */
struct gdb_decoder {
	enum { GDB_OUTSIDE, GDB_INSIDE, GDB_ESCAPED, GDB_SUM_HIGH, GDB_SUM_LOW } state;
	uint8_t sum, claimed;
	size_t len;
	char text[GDB_PACKET_ROOM + 1];
};

/* Take one byte.  Bytes outside of packets that mean nothing are ignored. */
enum gdb_event gdb_decode(struct gdb_decoder *decoder, uint8_t byte);

/* Write a packet of @len bytes of @text to @out; returns its length.  @out needs 2 * @len + 4
 * bytes. */
size_t gdb_encode(const char *text, size_t len, char *out);

/* Value of a hexadecimal digit, -1 if it is none. */
int gdb_hex_digit(char c);
/* Write @len bytes as digits and a zero; returns what is behind the digits. */
char *gdb_put_hex(char *to, const void *bytes, size_t len);
/* Read exactly @len bytes of digits; returns what is behind them, NULL if there are fewer. */
const char *gdb_take_hex(const char *from, void *bytes, size_t len);
/* Read a number of 1 to 16 digits; returns what is behind it, NULL if there is none. */
const char *gdb_take_number(const char *from, uint64_t *value);

#endif
