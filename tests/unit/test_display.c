/* SPDX-License-Identifier: Apache-2.0 */
/* test_display.c - scanouts, formats, consumers, screenshots */
#include "unit.h"

#include "display/display.h"
#include "display/screenshot.h"

#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct listener {
	struct display_consumer consumer;
	unsigned changed, cursor;
};

static void on_changed(struct display_consumer *consumer, unsigned scanout)
{
	((struct listener *)consumer)->changed++;
}

static void on_cursor(struct display_consumer *consumer, unsigned scanout)
{
	((struct listener *)consumer)->cursor++;
}

static struct display_frame frame_of(struct display_pages *pages, uint32_t width, uint32_t height)
{
	return (struct display_frame){.pages = pages,
				      .stride = width * 4,
				      .width = width,
				      .height = height,
				      .format = PIXEL_BGRX};
}

static void every_format_becomes_rgba(void **state)
{
	static const struct {
		uint32_t format;
		uint8_t in[4], out[4];
	} cases[] = {
		{PIXEL_BGRA, {3, 2, 1, 4}, {1, 2, 3, 4}},
		{PIXEL_BGRX, {3, 2, 1, 4}, {1, 2, 3, 255}},
		{PIXEL_ARGB, {4, 1, 2, 3}, {1, 2, 3, 4}},
		{PIXEL_XRGB, {4, 1, 2, 3}, {1, 2, 3, 255}},
		{PIXEL_RGBA, {1, 2, 3, 4}, {1, 2, 3, 4}},
		{PIXEL_XBGR, {4, 3, 2, 1}, {1, 2, 3, 255}},
		{PIXEL_ABGR, {4, 3, 2, 1}, {1, 2, 3, 4}},
		{PIXEL_RGBX, {1, 2, 3, 4}, {1, 2, 3, 255}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t out[4];
		assert_true(pixel_format_is_known(cases[i].format));
		pixels_to_rgba(out, cases[i].in, 1, cases[i].format);
		assert_memory_equal(out, cases[i].out, 4);
	}
	assert_false(pixel_format_is_known(0));
	assert_false(pixel_format_is_known(5));
}

static void frames_outside_their_pages_are_refused(void **state)
{
	struct display *display = display_create(1, 640, 480);
	uint8_t *bytes;
	struct display_pages *pages = display_pages_host(64 * 64 * 4, &bytes);
	struct display_frame frame = frame_of(pages, 64, 64);
	assert_int_equal(display_show(display, 0, &frame), 0);
	frame.offset = 4;
	assert_int_equal(display_show(display, 0, &frame), -EINVAL);
	frame.offset = UINT64_MAX - 8;
	assert_int_equal(display_show(display, 0, &frame), -EINVAL);
	frame = frame_of(pages, 64, 65);
	assert_int_equal(display_show(display, 0, &frame), -EINVAL);
	frame = frame_of(pages, 64, 64);
	frame.stride = 63 * 4;
	assert_int_equal(display_show(display, 0, &frame), -EINVAL);
	frame.stride = UINT32_MAX;
	assert_int_equal(display_show(display, 0, &frame), -EINVAL);
	frame = frame_of(pages, 0, 64);
	assert_int_equal(display_show(display, 0, &frame), -EINVAL);
	frame = frame_of(pages, 64, 64);
	frame.format = 7;
	assert_int_equal(display_show(display, 0, &frame), -EINVAL);
	display_pages_put(pages);
	display_destroy(display);
}

static void taken_frames_outlive_the_scanout(void **state)
{
	struct display *display = display_create(1, 640, 480);
	uint8_t *bytes;
	struct display_pages *pages = display_pages_host(4 * 4 * 4, &bytes);
	bytes[0] = 77;
	struct display_frame frame = frame_of(pages, 4, 4), taken;
	assert_int_equal(display_show(display, 0, &frame), 0);
	display_pages_put(pages); /* the guest drops the resource */
	assert_true(display_take(display, 0, &taken));
	display_off(display, 0);
	uint8_t row[16], raw[16];
	assert_int_equal(display_frame_row(&taken, 0, row, raw), 0);
	assert_int_equal(row[2], 77);
	assert_int_equal(display_frame_row(&taken, 4, row, raw), -EINVAL);
	display_frame_put(&taken);
	assert_false(display_take(display, 0, &taken));
	display_destroy(display);
}

static void damage_adds_up_until_taken(void **state)
{
	struct display *display = display_create(1, 640, 480);
	struct listener listener = {.consumer = {.changed = on_changed, .cursor = on_cursor}};
	assert_int_equal(display_attach(display, &listener.consumer), 0);
	uint8_t *bytes;
	struct display_pages *pages = display_pages_host(64 * 64 * 4, &bytes);
	struct display_frame frame = frame_of(pages, 64, 64), taken;
	assert_int_equal(display_show(display, 0, &frame), 0);
	display_take(display, 0, &taken);
	display_frame_put(&taken);
	display_damage(display, 0, (struct display_rect){4, 8, 2, 2});
	display_damage(display, 0, (struct display_rect){60, 60, 100, UINT32_MAX});
	display_damage(display, 0, (struct display_rect){64, 0, 1, 1}); /* outside: nothing */
	assert_int_equal(listener.changed, 3);
	display_take(display, 0, &taken);
	assert_int_equal(taken.damage.x, 4);
	assert_int_equal(taken.damage.y, 8);
	assert_int_equal(taken.damage.width, 60);
	assert_int_equal(taken.damage.height, 56);
	display_frame_put(&taken);
	display_move_cursor(display, 0, 3, 4);
	assert_int_equal(listener.cursor, 1);
	display_detach(display, &listener.consumer);
	display_off(display, 0);
	assert_int_equal(listener.changed, 3);
	display_pages_put(pages);
	display_destroy(display);
}

/* Reads the file back with libpng's simplified interface. */
static uint8_t *read_png(const char *path, uint32_t *width, uint32_t *height)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	assert_true(png_image_begin_read_from_file(&image, path));
	image.format = PNG_FORMAT_RGB;
	uint8_t *pixels = malloc(PNG_IMAGE_SIZE(image));
	assert_true(png_image_finish_read(&image, NULL, pixels, 0, NULL));
	*width = image.width;
	*height = image.height;
	return pixels;
}

static void screenshots_keep_the_last_picture(void **state)
{
	char folder[] = "/tmp/oriel-display-XXXXXX", path[64];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/frame.png", folder);
	struct display *display = display_create(1, 640, 480);
	struct error err = {0};
	struct screenshot *shot = screenshot_create(display, 0, path, &err);
	assert_non_null(shot);
	assert_int_equal(screenshot_write(shot, &err), -ENODATA);
	uint8_t *bytes;
	struct display_pages *pages = display_pages_host(8 * 8 * 4, &bytes);
	for (unsigned i = 0; i < 8 * 8; i++) {
		memcpy(bytes + 4 * i, (uint8_t[]){(uint8_t)i, 100, 200, 0}, 4);
	}
	struct display_frame frame = frame_of(pages, 8, 4);
	frame.stride = 32;
	frame.offset = 2 * 32;
	assert_int_equal(display_show(display, 0, &frame), 0);
	display_off(display, 0);
	display_pages_put(pages);
	assert_int_equal(screenshot_write(shot, &err), 0);
	uint32_t width, height;
	uint8_t *pixels = read_png(path, &width, &height);
	assert_int_equal(width, 8);
	assert_int_equal(height, 4);
	assert_memory_equal(pixels + 3, ((uint8_t[]){200, 100, 17}), 3);
	free(pixels);
	screenshot_destroy(shot);
	display_destroy(display);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0); /* and no temporary file is left */
}

static void screenshots_need_a_writable_folder(void **state)
{
	struct display *display = display_create(1, 640, 480);
	struct error err = {0};
	assert_null(screenshot_create(display, 0, "/nonexistent/frame.png", &err));
	assert_non_null(strstr(err.text, "/nonexistent/frame.png"));
	display_destroy(display);
}

static void mapped_pages_are_bounded(void **state)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 8192), 0);
	struct display_pages *pages = display_pages_map(fd, 5000);
	close(fd);
	uint8_t bytes[16];
	assert_int_equal(display_pages_read(pages, 4984, bytes, 16), 0);
	assert_int_equal(display_pages_read(pages, 4985, bytes, 16), -EFAULT);
	assert_int_equal(display_pages_read(pages, UINT64_MAX, bytes, 16), -EFAULT);
	display_pages_put(pages);
}

static void mapped_pages_that_go_read_as_zero(void **state)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	uint8_t bytes[16] = {7}, zeros[16] = {0};
	assert_int_equal(ftruncate(fd, 16384), 0);
	assert_int_equal(pwrite(fd, bytes, 1, 0), 1);
	struct display_pages *pages = display_pages_map(fd, 16384);
	assert_int_equal(display_pages_read(pages, 0, bytes, 16), 0);
	assert_int_equal(bytes[0], 7);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_false(display_pages_are_lost(pages));
	memset(bytes, 1, sizeof(bytes));
	assert_int_equal(display_pages_read(pages, 8184, bytes, 16), 0);
	assert_memory_equal(bytes, zeros, 16);
	assert_true(display_pages_are_lost(pages));
	assert_int_equal(display_pages_read(pages, 0, bytes, 16), 0); /* all of it went */
	assert_memory_equal(bytes, zeros, 16);
	display_pages_put(pages);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format_becomes_rgba),
		cmocka_unit_test(frames_outside_their_pages_are_refused),
		cmocka_unit_test(taken_frames_outlive_the_scanout),
		cmocka_unit_test(damage_adds_up_until_taken),
		cmocka_unit_test(screenshots_keep_the_last_picture),
		cmocka_unit_test(screenshots_need_a_writable_folder),
		cmocka_unit_test(mapped_pages_are_bounded),
		cmocka_unit_test(mapped_pages_that_go_read_as_zero),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
