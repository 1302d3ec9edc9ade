/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edid.c - one EDID base block: identity, sRGB, one detailed timing, range limits, name
 * Offsets are those of VESA E-EDID 1.4, section 3.
 * Threads: pure.
 */
#include "gpu/edid.h"

#include <string.h>

enum { EDID_DPI = 96, EDID_HZ = 60, EDID_DESCRIPTOR_BYTES = 18 };

static uint32_t edid_mm(uint32_t pixels)
{
	return pixels * 254 / (EDID_DPI * 10);
}

static void edid_put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

/* 3.10.2: blanking like reduced blanking timings have it. */
static void edid_timing(uint8_t *d, uint32_t width, uint32_t height)
{
	const uint32_t hblank = 160, hfront = 48, hsync = 32, vblank = 35, vfront = 3, vsync = 6;
	uint32_t clock_10khz =
		(uint32_t)((uint64_t)(width + hblank) * (height + vblank) * EDID_HZ / 10000);
	uint32_t mm_x = edid_mm(width), mm_y = edid_mm(height);
	edid_put16(d, clock_10khz > 0xffff ? 0xffff : clock_10khz);
	d[2] = (uint8_t)width;
	d[3] = (uint8_t)hblank;
	d[4] = (uint8_t)(width >> 8 << 4 | hblank >> 8);
	d[5] = (uint8_t)height;
	d[6] = (uint8_t)vblank;
	d[7] = (uint8_t)(height >> 8 << 4 | vblank >> 8);
	d[8] = (uint8_t)hfront;
	d[9] = (uint8_t)hsync;
	d[10] = (uint8_t)((vfront & 15) << 4 | (vsync & 15));
	d[11] = 0;
	d[12] = (uint8_t)mm_x;
	d[13] = (uint8_t)mm_y;
	d[14] = (uint8_t)(mm_x >> 8 << 4 | mm_y >> 8);
	d[17] = 0x1e; /* not interlaced, digital separate sync, both positive */
}

/* 3.10.3: a display descriptor of @tag with 13 bytes of text, ended by a newline. */
static void edid_text(uint8_t *d, uint8_t tag, const char *text)
{
	d[3] = tag;
	size_t len = strlen(text);
	memset(d + 5, ' ', 13);
	memcpy(d + 5, text, len);
	d[5 + len] = '\n';
}

void edid_make(uint8_t edid[EDID_BYTES], uint32_t width, uint32_t height)
{
	static const uint8_t magic[8] = {0, 255, 255, 255, 255, 255, 255, 0};
	/* The sRGB primaries, 3.7. */
	static const uint8_t colours[10] = {0xee, 0x91, 0xa3, 0x54, 0x4c,
					    0x99, 0x26, 0x0f, 0x50, 0x54};
	width = width > EDID_MAX_SIDE ? EDID_MAX_SIDE : width;
	height = height > EDID_MAX_SIDE ? EDID_MAX_SIDE : height;
	memset(edid, 0, EDID_BYTES);
	memcpy(edid, magic, sizeof(magic));
	/* Manufacturer "ORL": three letters of five bits, big endian. */
	uint32_t maker = ('O' - 64) << 10 | ('R' - 64) << 5 | ('L' - 64);
	edid[8] = (uint8_t)(maker >> 8);
	edid[9] = (uint8_t)maker;
	edid_put16(edid + 10, 1); /* product */
	edid[12] = 1;		  /* serial number */
	edid[16] = 1;		  /* week */
	edid[17] = 2024 - 1990;	  /* year */
	edid[18] = 1;		  /* EDID 1.4 */
	edid[19] = 4;
	edid[20] = 0xa0; /* digital, 8 bits a colour */
	edid[21] = (uint8_t)(edid_mm(width) / 10);
	edid[22] = (uint8_t)(edid_mm(height) / 10);
	edid[23] = 120;	 /* gamma 2.2 */
	edid[24] = 0x06; /* sRGB; the first timing is the native one */
	memcpy(edid + 25, colours, sizeof(colours));
	memset(edid + 38, 1, 16); /* no standard timings */
	edid_timing(edid + 54, width, height);
	edid_text(edid + 54 + EDID_DESCRIPTOR_BYTES, 0xfc, "Oriel");
	edid_text(edid + 54 + 2 * EDID_DESCRIPTOR_BYTES, 0xfe, "virtual");
	edid[54 + 3 * EDID_DESCRIPTOR_BYTES + 3] = 0x10; /* unused */
	uint8_t sum = 0;
	for (unsigned i = 0; i < EDID_BYTES - 1; i++) {
		sum = (uint8_t)(sum + edid[i]);
	}
	edid[EDID_BYTES - 1] = (uint8_t)-sum;
}
