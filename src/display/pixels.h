/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixels.h - the 32-bit pixel formats of virtio-gpu, and their conversion
 * Threads: pure functions.
 */
#ifndef ORIEL_DISPLAY_PIXELS_H
#define ORIEL_DISPLAY_PIXELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of virtio 1.2, 5.7.6.8 (struct virtio_gpu_resource_create_2d).  Names give the order of
 * bytes in memory. */
enum pixel_format {
	PIXEL_BGRA = 1,
	PIXEL_BGRX = 2,
	PIXEL_ARGB = 3,
	PIXEL_XRGB = 4,
	PIXEL_RGBA = 67,
	PIXEL_XBGR = 68,
	PIXEL_ABGR = 121,
	PIXEL_RGBX = 134,
};

enum { PIXEL_BYTES = 4 };

bool pixel_format_is_known(uint32_t format);
/* True if the fourth byte is opacity. */
bool pixel_format_has_alpha(enum pixel_format format);
/* Convert @count pixels to bytes R, G, B, A; A is 255 where the format has none.  @to and @from do
 * not overlap. */
void pixels_to_rgba(uint8_t *to, const uint8_t *from, size_t count, enum pixel_format format);

#endif
