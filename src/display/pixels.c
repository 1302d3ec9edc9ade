/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixels.c - conversion by one table: where in a pixel each colour lies
 * Threads: pure functions.
 */
#include "display/pixels.h"

struct pixel_layout {
	uint32_t format;
	uint8_t r, g, b, a; /* byte index in the pixel */
	bool has_alpha;
};

static const struct pixel_layout pixel_layouts[] = {
	{PIXEL_BGRA, 2, 1, 0, 3, true}, {PIXEL_BGRX, 2, 1, 0, 3, false},
	{PIXEL_ARGB, 1, 2, 3, 0, true}, {PIXEL_XRGB, 1, 2, 3, 0, false},
	{PIXEL_RGBA, 0, 1, 2, 3, true}, {PIXEL_XBGR, 3, 2, 1, 0, false},
	{PIXEL_ABGR, 3, 2, 1, 0, true}, {PIXEL_RGBX, 0, 1, 2, 3, false},
};

static const struct pixel_layout *pixel_layout(uint32_t format)
{
	for (size_t i = 0; i < sizeof(pixel_layouts) / sizeof(pixel_layouts[0]); i++) {
		if (pixel_layouts[i].format == format) {
			return &pixel_layouts[i];
		}
	}
	return NULL;
}

bool pixel_format_is_known(uint32_t format)
{
	return pixel_layout(format) != NULL;
}

bool pixel_format_has_alpha(enum pixel_format format)
{
	const struct pixel_layout *layout = pixel_layout(format);
	return layout && layout->has_alpha;
}

void pixels_to_rgba(uint8_t *to, const uint8_t *from, size_t count, enum pixel_format format)
{
	const struct pixel_layout *layout = pixel_layout(format);
	if (!layout) {
		return;
	}
	struct pixel_layout l = *layout;
	for (size_t i = 0; i < count; i++, to += PIXEL_BYTES, from += PIXEL_BYTES) {
		to[0] = from[l.r];
		to[1] = from[l.g];
		to[2] = from[l.b];
		to[3] = l.has_alpha ? from[l.a] : 255;
	}
}
