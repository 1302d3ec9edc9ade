/* SPDX-License-Identifier: Apache-2.0 */
/*
 * display.c - scanouts and their consumers
 *
 * How it works: one lock guards the scanouts' frames; consumers are called without it, on the
 * producer's thread, from a list which only that thread changes. Threads: as in display.h.
 */
#include "display/display.h"
#include "base/own.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct scanout {
	struct display_frame frame;
	struct display_cursor cursor;
};

struct display {
	unsigned count;
	uint32_t width, height;
	struct display_consumer *consumers[DISPLAY_MAX_CONSUMERS]; /* producer's thread only */
	pthread_mutex_t lock;					   /* guards scanouts */
	struct scanout scanouts[DISPLAY_MAX_SCANOUTS];
};

struct display *display_create(unsigned count, uint32_t width, uint32_t height)
{
	assert(count >= 1 && count <= DISPLAY_MAX_SCANOUTS);
	struct display *display = calloc(1, sizeof(*display));
	if (display) {
		display->count = count;
		display->width = width;
		display->height = height;
		pthread_mutex_init(&display->lock, NULL);
	}
	return display;
}

void display_destroy(struct display *display)
{
	if (!display) {
		return;
	}
	for (unsigned i = 0; i < display->count; i++) {
		display_pages_put(display->scanouts[i].frame.pages);
		display_pages_put(display->scanouts[i].cursor.image.pages);
	}
	pthread_mutex_destroy(&display->lock);
	free(display);
}

unsigned display_count(const struct display *display)
{
	return display->count;
}

void display_mode(const struct display *display, uint32_t *width, uint32_t *height)
{
	*width = display->width;
	*height = display->height;
}

int display_attach(struct display *display, struct display_consumer *consumer)
{
	assert(consumer->changed);
	for (unsigned i = 0; i < DISPLAY_MAX_CONSUMERS; i++) {
		if (!display->consumers[i]) {
			display->consumers[i] = consumer;
			return 0;
		}
	}
	return -ENOSPC;
}

void display_detach(struct display *display, struct display_consumer *consumer)
{
	for (unsigned i = 0; i < DISPLAY_MAX_CONSUMERS; i++) {
		if (display->consumers[i] == consumer) {
			display->consumers[i] = NULL;
		}
	}
}

static void display_tell(struct display *display, unsigned scanout)
{
	for (unsigned i = 0; i < DISPLAY_MAX_CONSUMERS; i++) {
		if (display->consumers[i]) {
			display->consumers[i]->changed(display->consumers[i], scanout);
		}
	}
}

static void display_tell_cursor(struct display *display, unsigned scanout)
{
	for (unsigned i = 0; i < DISPLAY_MAX_CONSUMERS; i++) {
		if (display->consumers[i] && display->consumers[i]->cursor) {
			display->consumers[i]->cursor(display->consumers[i], scanout);
		}
	}
}

/* Every row inside the pages; no sum here can overflow since all factors are below 2^32. */
static bool display_frame_fits(const struct display_frame *frame)
{
	uint64_t row = (uint64_t)frame->width * PIXEL_BYTES;
	if (!frame->width || !frame->height || frame->width > DISPLAY_MAX_SIDE ||
	    frame->height > DISPLAY_MAX_SIDE || frame->stride < row ||
	    !pixel_format_is_known(frame->format)) {
		return false;
	}
	uint64_t bytes = (uint64_t)frame->stride * (frame->height - 1) + row;
	return frame->offset <= frame->pages->size && bytes <= frame->pages->size - frame->offset;
}

int display_show(struct display *display, unsigned scanout, const struct display_frame *frame)
{
	assert(scanout < display->count);
	if (!display_frame_fits(frame)) {
		return -EINVAL;
	}
	struct display_pages *old;
	{
		LOCKED(&display->lock);
		struct display_frame *shown = &display->scanouts[scanout].frame;
		uint64_t sequence = shown->sequence;
		old = shown->pages;
		*shown = *frame;
		display_pages_get(shown->pages);
		shown->sequence = sequence + 1;
		shown->damage = (struct display_rect){0, 0, frame->width, frame->height};
	}
	display_pages_put(old);
	display_tell(display, scanout);
	return 0;
}

void display_off(struct display *display, unsigned scanout)
{
	assert(scanout < display->count);
	struct display_pages *old;
	{
		LOCKED(&display->lock);
		struct display_frame *shown = &display->scanouts[scanout].frame;
		old = shown->pages;
		*shown = (struct display_frame){.sequence = shown->sequence + 1};
	}
	if (old) {
		display_pages_put(old);
		display_tell(display, scanout);
	}
}

static uint32_t display_clip(uint32_t start, uint32_t len, uint32_t room)
{
	uint32_t left = start < room ? room - start : 0;
	return len < left ? len : left;
}

static struct display_rect display_rect_union(struct display_rect a, struct display_rect b)
{
	if (!a.width || !a.height) {
		return b;
	}
	uint32_t x = a.x < b.x ? a.x : b.x, y = a.y < b.y ? a.y : b.y;
	uint32_t ax = a.x + a.width, bx = b.x + b.width, ay = a.y + a.height, by = b.y + b.height;
	return (struct display_rect){x, y, (ax > bx ? ax : bx) - x, (ay > by ? ay : by) - y};
}

void display_damage(struct display *display, unsigned scanout, struct display_rect damage)
{
	assert(scanout < display->count);
	{
		LOCKED(&display->lock);
		struct display_frame *shown = &display->scanouts[scanout].frame;
		damage.width = display_clip(damage.x, damage.width, shown->width);
		damage.height = display_clip(damage.y, damage.height, shown->height);
		if (!shown->pages || !damage.width || !damage.height) {
			return;
		}
		shown->damage = display_rect_union(shown->damage, damage);
		shown->sequence++;
	}
	display_tell(display, scanout);
}

int display_set_cursor(struct display *display, unsigned scanout,
		       const struct display_cursor *cursor)
{
	assert(scanout < display->count);
	if (cursor->image.pages && !display_frame_fits(&cursor->image)) {
		return -EINVAL;
	}
	struct display_pages *old;
	{
		LOCKED(&display->lock);
		struct display_cursor *shown = &display->scanouts[scanout].cursor;
		uint64_t sequence = shown->image.sequence;
		old = shown->image.pages;
		*shown = *cursor;
		shown->image.sequence = sequence + 1;
		if (shown->image.pages) {
			display_pages_get(shown->image.pages);
		}
	}
	display_pages_put(old);
	display_tell_cursor(display, scanout);
	return 0;
}

void display_move_cursor(struct display *display, unsigned scanout, int32_t x, int32_t y)
{
	assert(scanout < display->count);
	{
		LOCKED(&display->lock);
		display->scanouts[scanout].cursor.x = x;
		display->scanouts[scanout].cursor.y = y;
	}
	display_tell_cursor(display, scanout);
}

bool display_take(struct display *display, unsigned scanout, struct display_frame *frame)
{
	assert(scanout < display->count);
	LOCKED(&display->lock);
	struct display_frame *shown = &display->scanouts[scanout].frame;
	*frame = *shown;
	if (frame->pages) {
		display_pages_get(frame->pages);
	}
	shown->damage = (struct display_rect){0};
	return frame->pages != NULL;
}

bool display_take_cursor(struct display *display, unsigned scanout, struct display_cursor *cursor)
{
	assert(scanout < display->count);
	LOCKED(&display->lock);
	*cursor = display->scanouts[scanout].cursor;
	if (cursor->image.pages) {
		display_pages_get(cursor->image.pages);
	}
	return cursor->image.pages != NULL;
}

void display_frame_put(struct display_frame *frame)
{
	display_pages_put(frame->pages);
	frame->pages = NULL;
}

int display_frame_row(const struct display_frame *frame, uint32_t y, uint8_t *rgba, uint8_t *raw)
{
	if (!frame->pages || y >= frame->height) {
		return -EINVAL;
	}
	int status = display_pages_read(frame->pages, frame->offset + (uint64_t)y * frame->stride,
					raw, (size_t)frame->width * PIXEL_BYTES);
	if (status < 0) {
		return status;
	}
	pixels_to_rgba(rgba, raw, frame->width, frame->format);
	return 0;
}

uint64_t display_sequence(struct display *display, unsigned scanout)
{
	assert(scanout < display->count);
	LOCKED(&display->lock);
	return display->scanouts[scanout].frame.sequence;
}
