/* SPDX-License-Identifier: Apache-2.0 */
/*
 * screenshot.c - screenshots
 *
 * How it works: each change only swaps a counted reference; rows are read and converted when the
 * file is written. Threads: the producer's.
 */
#include "display/screenshot.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct screenshot {
	struct display_consumer consumer; /* first: callbacks cast it */
	struct display *display;
	unsigned scanout;
	char *path, *temporary;
	struct display_frame last;
};

static void screenshot_changed(struct display_consumer *consumer, unsigned scanout)
{
	struct screenshot *shot = (struct screenshot *)consumer;
	struct display_frame frame;
	if (scanout != shot->scanout || !display_take(shot->display, scanout, &frame)) {
		return;
	}
	display_frame_put(&shot->last);
	shot->last = frame;
}

struct screenshot *screenshot_create(struct display *display, unsigned scanout, const char *path,
				     struct error *err)
{
	struct screenshot *shot = calloc(1, sizeof(*shot));
	if (!shot) {
		error_set(err, -ENOMEM, "screenshot: out of memory");
		return NULL;
	}
	shot->consumer.changed = screenshot_changed;
	shot->display = display;
	shot->scanout = scanout;
	shot->path = strdup(path);
	if (!shot->path || asprintf(&shot->temporary, "%s.%ld.tmp", path, (long)getpid()) < 0) {
		shot->temporary = NULL;
		error_set(err, -ENOMEM, "screenshot: out of memory");
		screenshot_destroy(shot);
		return NULL;
	}
	AUTO_FD int fd = open(shot->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0) {
		error_errno(err, "can not write screenshot %s", path);
		screenshot_destroy(shot);
		return NULL;
	}
	unlink(shot->temporary);
	if (display_attach(display, &shot->consumer) < 0) {
		error_set(err, -ENOSPC, "screenshot: too many displays");
		screenshot_destroy(shot);
		return NULL;
	}
	return shot;
}

void screenshot_destroy(struct screenshot *shot)
{
	if (!shot) {
		return;
	}
	display_detach(shot->display, &shot->consumer);
	display_frame_put(&shot->last);
	free(shot->path);
	free(shot->temporary);
	free(shot);
}

static void screenshot_on_error(png_structp writer, png_const_charp text)
{
	longjmp(png_jmpbuf(writer), 1);
}

static void screenshot_on_warning(png_structp writer, png_const_charp text)
{
}

/* libpng reports by longjmp: nothing here is allocated after setjmp, locals that change are not
 * used after it. */
static int screenshot_encode(FILE *file, const struct display_frame *frame, uint8_t *rgba,
			     uint8_t *raw)
{
	png_structp writer = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL,
						     screenshot_on_error, screenshot_on_warning);
	png_infop info = writer ? png_create_info_struct(writer) : NULL;
	if (!info || setjmp(png_jmpbuf(writer))) {
		png_destroy_write_struct(&writer, &info);
		return info ? -EIO : -ENOMEM;
	}
	png_init_io(writer, file);
	png_set_compression_level(writer, 3);
	png_set_IHDR(writer, info, frame->width, frame->height, 8, PNG_COLOR_TYPE_RGB,
		     PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(writer, info);
	png_set_filler(writer, 0, PNG_FILLER_AFTER); /* a screen is opaque: drop the fourth byte */
	for (uint32_t y = 0; y < frame->height; y++) {
		if (display_frame_row(frame, y, rgba, raw) < 0) {
			memset(rgba, 0, (size_t)frame->width * PIXEL_BYTES);
		}
		png_write_row(writer, rgba);
	}
	png_write_end(writer, info);
	png_destroy_write_struct(&writer, &info);
	return 0;
}

static int screenshot_write_temporary(struct screenshot *shot, struct error *err)
{
	size_t row = (size_t)shot->last.width * PIXEL_BYTES;
	AUTO_FREE uint8_t *rgba = malloc(row);
	AUTO_FREE uint8_t *raw = malloc(row);
	if (!rgba || !raw) {
		return error_set(err, -ENOMEM, "screenshot %s: out of memory", shot->path);
	}
	FILE *file = fopen(shot->temporary, "wbxe");
	if (!file) {
		return error_errno(err, "can not write screenshot %s", shot->path);
	}
	display_pages_begin(shot->last.pages);
	int status = screenshot_encode(file, &shot->last, rgba, raw);
	display_pages_end(shot->last.pages);
	if (fflush(file) != 0 && status == 0) {
		status = -errno;
	}
	if (fclose(file) != 0 && status == 0) {
		status = -errno;
	}
	return status < 0 ? error_set(err, status, "can not write screenshot %s: %s", shot->path,
				      strerror(-status))
			  : 0;
}

int screenshot_write(struct screenshot *shot, struct error *err)
{
	if (!shot->last.pages) {
		return error_set(err, -ENODATA, "screenshot %s: the guest has shown nothing",
				 shot->path);
	}
	int status = screenshot_write_temporary(shot, err);
	if (status == 0 && rename(shot->temporary, shot->path) < 0) {
		status = error_errno(err, "can not write screenshot %s", shot->path);
	}
	if (status < 0) {
		unlink(shot->temporary);
	}
	return status;
}
