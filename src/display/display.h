/* SPDX-License-Identifier: Apache-2.0 */
/*
 * display.h - what the guest shows: a number of scanouts, and the consumers that look at them
 *
 * How it works: the GPU device publishes frames (a counted buffer and how to read it) and says when
 * their content changed; attached consumers are told and take the frame when they want to.  Without
 * a consumer nothing is copied or converted. Invariants: a published frame lies inside its buffer,
 * row by row; display_show() refuses any other. Threads: producers' calls on one loop;
 * display_take() and display_mode() on any thread.
 */
#ifndef ORIEL_DISPLAY_DISPLAY_H
#define ORIEL_DISPLAY_DISPLAY_H

#include "base/error.h"
#include "display/pages.h"
#include "display/pixels.h"

#include <stdbool.h>
#include <stdint.h>

enum { DISPLAY_MAX_SCANOUTS = 16, DISPLAY_MAX_CONSUMERS = 4, DISPLAY_MAX_SIDE = 16384 };

struct display_rect {
	uint32_t x, y, width, height; /* pixels */
};

/* A picture.  Whoever holds a frame from display_take() owns one reference of pages:
 * display_frame_put(). */
struct display_frame {
	struct display_pages *pages; /* NULL: the scanout is off */
	uint64_t offset;	     /* of the first pixel, bytes */
	uint32_t stride;	     /* bytes from row to row */
	uint32_t width, height;	     /* pixels */
	enum pixel_format format;
	struct display_rect damage; /* changed since the frame taken before (by anybody) */
	uint64_t sequence;	    /* grows with every change of the scanout */
};

struct display_cursor {
	struct display_frame image; /* pages NULL: hidden */
	int32_t x, y;		    /* of the hot spot, pixels of the scanout */
	uint32_t hot_x, hot_y;
};

/* Calls come on the producer's thread and should only note that something is to be taken. */
struct display_consumer {
	/* The picture of @scanout changed, or went off. */
	void (*changed)(struct display_consumer *consumer, unsigned scanout);
	/* The pointer moved or changed.  Optional. */
	void (*cursor)(struct display_consumer *consumer, unsigned scanout);
};

struct display;

/* @count scanouts (1..DISPLAY_MAX_SCANOUTS), of preferred size @width x @height pixels.  NULL if
 * out of memory. */
struct display *display_create(unsigned count, uint32_t width, uint32_t height) MUST_CHECK;
/* Accepts NULL.  No consumer may be attached. */
void display_destroy(struct display *display);
unsigned display_count(const struct display *display);
/* The size a scanout should best have. */
void display_mode(const struct display *display, uint32_t *width, uint32_t *height);

/* @consumer is borrowed until display_detach().  Producer's thread.  -ENOSPC. */
int display_attach(struct display *display, struct display_consumer *consumer) MUST_CHECK;
void display_detach(struct display *display, struct display_consumer *consumer);

/*
 * Show @frame (a reference is taken; damage and sequence are ignored) on @scanout from now on.
 * -EINVAL if any row would lie outside the pages, or sides are 0 or above DISPLAY_MAX_SIDE.
 */
int display_show(struct display *display, unsigned scanout,
		 const struct display_frame *frame) MUST_CHECK;
/* Nothing is shown on @scanout. */
void display_off(struct display *display, unsigned scanout);
/* The content of @scanout changed in @damage (clipped here). */
void display_damage(struct display *display, unsigned scanout, struct display_rect damage);
/* As display_show(), for the pointer.  image.pages NULL hides it. */
int display_set_cursor(struct display *display, unsigned scanout,
		       const struct display_cursor *cursor) MUST_CHECK;
void display_move_cursor(struct display *display, unsigned scanout, int32_t x, int32_t y);

/* The frame of @scanout; false (and pages NULL) if it is off.  The damage starts anew.  Any thread.
 */
bool display_take(struct display *display, unsigned scanout, struct display_frame *frame);
/* Like display_take() for the pointer: image.pages to be put. */
bool display_take_cursor(struct display *display, unsigned scanout, struct display_cursor *cursor);
void display_frame_put(struct display_frame *frame);
/* Row @y of @frame as R, G, B, A bytes into @rgba (4 * width bytes), through @raw (as large).  Any
 * thread. */
int display_frame_row(const struct display_frame *frame, uint32_t y, uint8_t *rgba,
		      uint8_t *raw) MUST_CHECK;

/* How often each scanout was changed, for statistics.  Any thread. */
uint64_t display_sequence(struct display *display, unsigned scanout);

#endif
