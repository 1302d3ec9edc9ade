/* SPDX-License-Identifier: Apache-2.0 */
/*
 * screenshot.h - a display consumer that keeps the last picture of one scanout and writes it as a
 * PNG file
 *
 * The picture stays the last one shown even after the guest switched the scanout off (as its kernel
 * does when the machine powers down). Threads: the producer's.
 */
#ifndef ORIEL_DISPLAY_SCREENSHOT_H
#define ORIEL_DISPLAY_SCREENSHOT_H

#include "display/display.h"

struct screenshot;

/* Watch @scanout of @display (borrowed) for the file @path.  Nothing is written yet; the folder
 * must be writable. */
struct screenshot *screenshot_create(struct display *display, unsigned scanout, const char *path,
				     struct error *err) MUST_CHECK;
/* Detach; writes nothing.  Accepts NULL. */
void screenshot_destroy(struct screenshot *shot);
/*
 * Write the last picture: whole, under a temporary name beside the file, then renamed over it.
 * -ENODATA if nothing was ever shown; the file is untouched after every error.
 */
int screenshot_write(struct screenshot *shot, struct error *err) MUST_CHECK;

#endif
