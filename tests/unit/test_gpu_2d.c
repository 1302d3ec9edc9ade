/* SPDX-License-Identifier: Apache-2.0 */
/* test_gpu_2d.c - the GPU device without Vulkan: resources, backing, scanouts, cursor, EDID, bad
 * commands */
#include "unit.h"

#include "gpu/edid.h"
#include "gpu_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int open_2d(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error err = {0};
	*state = f;
	return fixture_open(f, false, &err) ? 0 : -1;
}

static int close_any(void **state)
{
	fixture_close(*state);
	free(*state);
	return 0;
}

/* Sends a struct and returns the type of its answer, which must come at once. */
#define DO(f, message) do_now(f, &(message), sizeof(message))
static uint32_t do_now(struct fixture *f, const void *message, size_t len)
{
	static uintptr_t tag = 1 << 20;
	fixture_send(f, ++tag, message, len);
	return fixture_type(f, tag);
}

static uint32_t create_2d(struct fixture *f, uint32_t id, uint32_t width, uint32_t height)
{
	struct gpu_create_2d m = {{.type = GPU_RESOURCE_CREATE_2D}, id, PIXEL_BGRX, width, height};
	return DO(f, m);
}

struct attach_two {
	struct gpu_attach_backing head;
	struct gpu_mem_entry entries[2];
};

static uint32_t attach(struct fixture *f, uint32_t id, uint64_t a, uint32_t a_len, uint64_t b,
		       uint32_t b_len)
{
	struct attach_two m = {{{.type = GPU_RESOURCE_ATTACH_BACKING}, id, 2},
			       {{a, a_len, 0}, {b, b_len, 0}}};
	return DO(f, m);
}

static uint32_t reference(struct fixture *f, uint32_t type, uint32_t id)
{
	struct gpu_resource_ref m = {{.type = type}, id, 0};
	return DO(f, m);
}

static void pictures_travel_from_guest_pages_to_the_display(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create_2d(f, 1, 16, 16), GPU_OK_NODATA);
	/* Two ranges in reverse order, the first one odd. */
	assert_int_equal(attach(f, 1, FIXTURE_RAM_GPA + 0x2000, 500, FIXTURE_RAM_GPA, 600),
			 GPU_OK_NODATA);
	uint8_t picture[1100];
	for (unsigned i = 0; i < sizeof(picture); i++) {
		picture[i] = (uint8_t)(i * 7);
	}
	assert_int_equal(gmem_write(f->gmem, FIXTURE_RAM_GPA + 0x2000, picture, 500), 0);
	assert_int_equal(gmem_write(f->gmem, FIXTURE_RAM_GPA, picture + 500, 600), 0);
	struct gpu_transfer_2d transfer = {
		{.type = GPU_TRANSFER_TO_HOST_2D}, {0, 0, 16, 16}, 0, 1, 0};
	assert_int_equal(DO(f, transfer), GPU_OK_NODATA);
	struct gpu_set_scanout show = {{.type = GPU_SET_SCANOUT}, {2, 3, 8, 4}, 1, 1};
	assert_int_equal(DO(f, show), GPU_OK_NODATA);
	struct display_frame frame;
	assert_true(display_take(f->display, 1, &frame));
	uint8_t rgba[32], raw[32];
	assert_int_equal(display_frame_row(&frame, 1, rgba, raw), 0);
	assert_memory_equal(raw, picture + (4 * 16 + 2) * 4, 32);
	/* A part of it, from an offset of its own. */
	assert_int_equal(gmem_zero(f->gmem, FIXTURE_RAM_GPA, 600), 0);
	transfer.rect = (struct gpu_rect){2, 12, 3, 2};
	transfer.offset = (12 * 16 + 2) * 4;
	assert_int_equal(DO(f, transfer), GPU_OK_NODATA);
	display_frame_put(&frame);
	struct gpu_resource *resource = gpu_resource_find(f->gpu, 1);
	assert_int_equal(resource->bytes[(12 * 16 + 2) * 4], 0);
	assert_int_equal(resource->bytes[(12 * 16 + 5) * 4], picture[(12 * 16 + 5) * 4]);
}

static void flush_reports_the_part_that_is_shown(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create_2d(f, 1, 64, 64), GPU_OK_NODATA);
	struct gpu_set_scanout show = {{.type = GPU_SET_SCANOUT}, {16, 16, 32, 32}, 0, 1};
	assert_int_equal(DO(f, show), GPU_OK_NODATA);
	struct display_frame frame;
	display_take(f->display, 0, &frame);
	display_frame_put(&frame);
	struct gpu_flush flush = {{.type = GPU_RESOURCE_FLUSH}, {8, 20, 10, UINT32_MAX}, 1, 0};
	assert_int_equal(DO(f, flush), GPU_OK_NODATA);
	display_take(f->display, 0, &frame);
	assert_int_equal(frame.damage.x, 0);
	assert_int_equal(frame.damage.y, 4);
	assert_int_equal(frame.damage.width, 2);
	assert_int_equal(frame.damage.height, 28);
	display_frame_put(&frame);
	flush.resource_id = 2;
	assert_int_equal(DO(f, flush), GPU_ERR_INVALID_RESOURCE_ID);
}

static void a_resource_that_goes_takes_its_scanout_along(void **state)
{
	struct fixture *f = *state;
	struct display_frame frame;
	assert_int_equal(create_2d(f, 1, 64, 64), GPU_OK_NODATA);
	struct gpu_set_scanout show = {{.type = GPU_SET_SCANOUT}, {0, 0, 64, 64}, 0, 1};
	assert_int_equal(DO(f, show), GPU_OK_NODATA);
	assert_int_equal(reference(f, GPU_RESOURCE_UNREF, 1), GPU_OK_NODATA);
	assert_false(display_take(f->display, 0, &frame));
	assert_int_equal(reference(f, GPU_RESOURCE_UNREF, 1), GPU_ERR_INVALID_RESOURCE_ID);
	assert_int_equal(f->gpu->bytes_2d, 0);
}

static void every_number_is_checked(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create_2d(f, 0, 16, 16), GPU_ERR_INVALID_RESOURCE_ID);
	assert_int_equal(create_2d(f, 1, 0, 16), GPU_ERR_INVALID_PARAMETER);
	assert_int_equal(create_2d(f, 1, UINT32_MAX, UINT32_MAX), GPU_ERR_INVALID_PARAMETER);
	assert_int_equal(create_2d(f, 1, 4096, 4096),
			 GPU_ERR_OUT_OF_MEMORY); /* the limit is 8 MiB */
	assert_int_equal(create_2d(f, 1, 16, 16), GPU_OK_NODATA);
	assert_int_equal(create_2d(f, 1, 16, 16), GPU_ERR_INVALID_RESOURCE_ID);

	uint64_t end = FIXTURE_RAM_GPA + FIXTURE_RAM;
	assert_int_equal(attach(f, 2, FIXTURE_RAM_GPA, 64, FIXTURE_RAM_GPA, 64),
			 GPU_ERR_INVALID_RESOURCE_ID);
	assert_int_equal(attach(f, 1, FIXTURE_RAM_GPA, 64, end - 32, 64),
			 GPU_ERR_INVALID_PARAMETER);
	assert_int_equal(attach(f, 1, FIXTURE_RAM_GPA, 0, FIXTURE_RAM_GPA, 64),
			 GPU_ERR_INVALID_PARAMETER);
	assert_int_equal(attach(f, 1, UINT64_MAX - 3, 8, FIXTURE_RAM_GPA, 64),
			 GPU_ERR_INVALID_PARAMETER);
	struct gpu_transfer_2d transfer = {
		{.type = GPU_TRANSFER_TO_HOST_2D}, {0, 0, 16, 16}, 0, 1, 0};
	assert_int_equal(DO(f, transfer), GPU_ERR_INVALID_PARAMETER); /* no backing */
	assert_int_equal(reference(f, GPU_RESOURCE_DETACH_BACKING, 1), GPU_ERR_INVALID_PARAMETER);
	assert_int_equal(attach(f, 1, FIXTURE_RAM_GPA, 512, FIXTURE_RAM_GPA, 512), GPU_OK_NODATA);
	assert_int_equal(attach(f, 1, FIXTURE_RAM_GPA, 512, FIXTURE_RAM_GPA, 512),
			 GPU_ERR_INVALID_PARAMETER);
	assert_int_equal(DO(f, transfer), GPU_OK_NODATA);
	transfer.offset = 4;
	assert_int_equal(DO(f, transfer), GPU_ERR_INVALID_PARAMETER);
	transfer.offset = UINT64_MAX;
	assert_int_equal(DO(f, transfer), GPU_ERR_INVALID_PARAMETER);
	transfer.offset = 0;
	transfer.rect = (struct gpu_rect){1, 0, 16, 16};
	assert_int_equal(DO(f, transfer), GPU_ERR_INVALID_PARAMETER);
	transfer.rect = (struct gpu_rect){8, 8, UINT32_MAX - 7, UINT32_MAX - 7};
	assert_int_equal(DO(f, transfer), GPU_ERR_INVALID_PARAMETER);

	struct gpu_set_scanout show = {{.type = GPU_SET_SCANOUT}, {0, 0, 16, 16}, 2, 1};
	assert_int_equal(DO(f, show), GPU_ERR_INVALID_SCANOUT_ID);
	show.scanout_id = 0;
	show.resource_id = 9;
	assert_int_equal(DO(f, show), GPU_ERR_INVALID_RESOURCE_ID);
	show.resource_id = 1;
	show.rect = (struct gpu_rect){0, 0, 17, 16};
	assert_int_equal(DO(f, show), GPU_ERR_INVALID_PARAMETER);
	show.rect = (struct gpu_rect){16, 0, 0, 16};
	assert_int_equal(DO(f, show), GPU_ERR_INVALID_PARAMETER);
}

static void short_commands_and_wild_counts_are_refused(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create_2d(f, 1, 16, 16), GPU_OK_NODATA);
	struct gpu_attach_backing wild = {{.type = GPU_RESOURCE_ATTACH_BACKING}, 1, 0x10000000};
	assert_int_equal(
		DO(f, wild),
		GPU_ERR_INVALID_PARAMETER); /* entries that are not there, times 16 is 2^32 */
	wild.nr_entries = 1;
	assert_int_equal(DO(f, wild), GPU_ERR_INVALID_PARAMETER);
	for (uint32_t type = 0; type < 0x400; type++) {
		struct gpu_header only = {.type = type};
		uint32_t answer = DO(f, only);
		assert_true(type == GPU_GET_DISPLAY_INFO ? answer == GPU_OK_DISPLAY_INFO
							 : answer >= GPU_ERR_UNSPEC);
	}
	assert_null(gpu_command_create(23));
	assert_null(gpu_command_create(GPU_MAX_REQUEST + 1));
}

static void resources_and_entries_are_limited(void **state)
{
	struct fixture *f = *state;
	uint32_t made = 0;
	while (create_2d(f, made + 1, 1, 1) == GPU_OK_NODATA && made <= GPU_MAX_RESOURCES) {
		made++;
	}
	assert_int_equal(made, GPU_MAX_RESOURCES);
	size_t len = sizeof(struct gpu_attach_backing) +
		     GPU_BACKING_MAX_ENTRIES * sizeof(struct gpu_mem_entry);
	struct gpu_attach_backing *m = calloc(1, len);
	struct gpu_mem_entry *entries = (void *)(m + 1);
	m->header.type = GPU_RESOURCE_ATTACH_BACKING;
	m->nr_entries = GPU_BACKING_MAX_ENTRIES;
	for (unsigned i = 0; i < GPU_BACKING_MAX_ENTRIES; i++) {
		entries[i] = (struct gpu_mem_entry){FIXTURE_RAM_GPA, 4, 0};
	}
	uint32_t attached = 0;
	while (m->resource_id = attached + 1, do_now(f, m, len) == GPU_OK_NODATA) {
		attached++;
	}
	assert_int_equal(attached, GPU_BACKING_MAX_TOTAL / GPU_BACKING_MAX_ENTRIES);
	assert_int_equal(reference(f, GPU_RESOURCE_DETACH_BACKING, 1), GPU_OK_NODATA);
	assert_int_equal(do_now(f, m, len), GPU_OK_NODATA);
	free(m);
}

static void fences_are_echoed_also_by_errors(void **state)
{
	struct fixture *f = *state;
	struct gpu_resource_ref m = {{.type = GPU_RESOURCE_UNREF,
				      .flags = 0xff,
				      .fence_id = 0x123456789,
				      .ctx_id = 7,
				      .ring_idx = 5},
				     99,
				     0};
	fixture_send(f, 1, &m, sizeof(m));
	const struct gpu_header *answer = &fixture_answer(f, 1)->header;
	assert_int_equal(answer->type, GPU_ERR_INVALID_RESOURCE_ID);
	assert_int_equal(answer->flags, GPU_FLAG_FENCE | GPU_FLAG_RING_IDX);
	assert_true(answer->fence_id == 0x123456789);
	assert_int_equal(answer->ctx_id, 7);
	assert_int_equal(answer->ring_idx, 5);
}

static void modes_and_edid_name_the_preferred_size(void **state)
{
	struct fixture *f = *state;
	struct gpu_header ask = {.type = GPU_GET_DISPLAY_INFO};
	fixture_send(f, 1, &ask, sizeof(ask));
	struct gpu_display_info info;
	assert_int_equal(fixture_answer(f, 1)->len, sizeof(info));
	memcpy(&info, fixture_answer(f, 1)->bytes, sizeof(info));
	assert_int_equal(info.modes[1].rect.width, 640);
	assert_int_equal(info.modes[1].rect.height, 480);
	assert_true(info.modes[1].enabled && !info.modes[2].enabled);
	struct gpu_get_edid get = {{.type = GPU_GET_EDID}, 0, 0};
	fixture_send(f, 2, &get, sizeof(get));
	struct gpu_edid edid;
	memcpy(&edid, fixture_answer(f, 2)->bytes, sizeof(edid));
	assert_int_equal(edid.header.type, GPU_OK_EDID);
	assert_int_equal(edid.size, 128);
	uint8_t sum = 0;
	for (unsigned i = 0; i < 128; i++) {
		sum = (uint8_t)(sum + edid.edid[i]);
	}
	assert_int_equal(sum, 0);
	const uint8_t *timing = edid.edid + 54;
	assert_int_equal(timing[2] | timing[4] >> 4 << 8, 640);
	assert_int_equal(timing[5] | timing[7] >> 4 << 8, 480);
	get.scanout = 2;
	fixture_send(f, 3, &get, sizeof(get));
	assert_int_equal(fixture_type(f, 3), GPU_ERR_INVALID_SCANOUT_ID);
}

static void the_cursor_has_its_own_queue(void **state)
{
	struct fixture *f = *state;
	struct display_cursor cursor;
	assert_int_equal(create_2d(f, 1, 64, 64), GPU_OK_NODATA);
	struct gpu_cursor m = {.header = {.type = GPU_UPDATE_CURSOR},
			       .pos = {1, 30, 40, 0},
			       .resource_id = 1,
			       .hot_x = 2,
			       .hot_y = 3};
	fixture_send_cursor(f, 1, &m, sizeof(m));
	assert_int_equal(fixture_type(f, 1), GPU_OK_NODATA);
	assert_true(display_take_cursor(f->display, 1, &cursor));
	assert_int_equal(cursor.x, 30);
	assert_int_equal(cursor.hot_y, 3);
	display_frame_put(&cursor.image);
	m.header.type = GPU_MOVE_CURSOR;
	m.pos.x = (uint32_t)-5;
	fixture_send_cursor(f, 2, &m, sizeof(m));
	assert_true(display_take_cursor(f->display, 1, &cursor));
	assert_int_equal(cursor.x, -5);
	display_frame_put(&cursor.image);
	m.header.type = GPU_UPDATE_CURSOR;
	m.resource_id = 0;
	fixture_send_cursor(f, 3, &m, sizeof(m));
	assert_false(display_take_cursor(f->display, 1, &cursor));
	m.pos.scanout_id = 2;
	fixture_send_cursor(f, 4, &m, sizeof(m));
	assert_int_equal(fixture_type(f, 4), GPU_ERR_INVALID_SCANOUT_ID);
	fixture_send_cursor(f, 5, &m, sizeof(m.header));
	assert_int_equal(fixture_type(f, 5), GPU_ERR_INVALID_PARAMETER);
	m.header.type = GPU_RESOURCE_UNREF;
	fixture_send_cursor(f, 6, &m, sizeof(m));
	assert_int_equal(fixture_type(f, 6), GPU_ERR_UNSPEC);
}

static void large_edids_are_cut_not_wrong(void **state)
{
	uint8_t edid[EDID_BYTES];
	edid_make(edid, 100000, 1);
	assert_int_equal(edid[54 + 2] | edid[54 + 4] >> 4 << 8, 4095);
	assert_int_equal(virtio_gpu_default_window(3) >> 20, 512);
	assert_int_equal(virtio_gpu_default_window(UINT64_C(3) << 30) >> 30, 8);
	assert_int_equal(virtio_gpu_default_window(UINT64_C(4) << 30) >> 30, 8);
	assert_int_equal(virtio_gpu_default_window(UINT64_C(1) << 40) >> 30, 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pictures_travel_from_guest_pages_to_the_display,
						open_2d, close_any),
		cmocka_unit_test_setup_teardown(flush_reports_the_part_that_is_shown, open_2d,
						close_any),
		cmocka_unit_test_setup_teardown(a_resource_that_goes_takes_its_scanout_along,
						open_2d, close_any),
		cmocka_unit_test_setup_teardown(every_number_is_checked, open_2d, close_any),
		cmocka_unit_test_setup_teardown(short_commands_and_wild_counts_are_refused, open_2d,
						close_any),
		cmocka_unit_test_setup_teardown(resources_and_entries_are_limited, open_2d,
						close_any),
		cmocka_unit_test_setup_teardown(fences_are_echoed_also_by_errors, open_2d,
						close_any),
		cmocka_unit_test_setup_teardown(modes_and_edid_name_the_preferred_size, open_2d,
						close_any),
		cmocka_unit_test_setup_teardown(the_cursor_has_its_own_queue, open_2d, close_any),
		cmocka_unit_test(large_edids_are_cut_not_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
