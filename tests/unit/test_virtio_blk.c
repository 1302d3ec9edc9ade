/* SPDX-License-Identifier: Apache-2.0 */
/* test_virtio_blk.c - the disk over temporary files, with io_uring and with threads */
#include "fake_driver.h"
#include "unit.h"

#include "base/log.h"
#include "devices/virtio_blk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	IMAGE_LEN = 1 << 20,
	T_IN = 0,
	T_OUT = 1,
	T_FLUSH = 4,
	T_GET_ID = 8,
	T_DISCARD = 11,
	T_ZEROES = 13,
	F_RO = 1 << 5,
	F_FLUSH = 1 << 9,
	F_WCE = 1 << 11,
	F_DISCARD = 1 << 13,
	F_ZEROES = 1 << 14,
	S_NONE = 0xaa,
};

struct disk {
	struct fake_driver d;
	char path[64];
	uint64_t header, data, status; /* gpa */
	uint32_t used_len;
};

static void image_make(struct disk *disk, size_t len)
{
	snprintf(disk->path, sizeof(disk->path), "/tmp/oriel-test-blk-XXXXXX");
	int fd = mkstemp(disk->path);
	assert_true(fd >= 0);
	uint8_t *bytes = malloc(len + 1);
	for (size_t i = 0; i < len; i++) {
		bytes[i] = (uint8_t)(i / 512 + i);
	}
	assert_int_equal(write(fd, bytes, len), len);
	free(bytes);
	close(fd);
}

static uint8_t image_byte(const struct disk *disk, off_t at)
{
	uint8_t byte = 0;
	int fd = open(disk->path, O_RDONLY);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	close(fd);
	return byte;
}

static struct virtio_device *blk_open(struct disk *disk, bool read_only, bool threads, struct error *err)
{
	const struct virtio_blk_config config = {
		.name = "disk0", .path = disk->path, .read_only = read_only, .force_threads = threads};
	return virtio_blk_create(&config, disk->d.gmem, disk->d.loop, err);
}

static void disk_start(struct disk *disk, bool read_only, bool threads, uint64_t features)
{
	fake_init(&disk->d);
	image_make(disk, IMAGE_LEN);
	fake_start(&disk->d, blk_open(disk, read_only, threads, NULL), features, 64);
	disk->header = fake_alloc(&disk->d, 4096);
	disk->status = fake_alloc(&disk->d, 4096);
	disk->data = fake_alloc(&disk->d, 1 << 20);
}

static void disk_finish(struct disk *disk)
{
	fake_finish(&disk->d);
	unlink(disk->path);
}

/* One request with @len bytes of data in two buffers.  Returns the status byte. */
static uint8_t disk_do(struct disk *disk, uint32_t type, uint64_t sector, uint32_t len, bool device_writes)
{
	uint8_t *status = fake_ptr(&disk->d, disk->status);
	*status = S_NONE;
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header = {type, 0, sector};
	memcpy(fake_ptr(&disk->d, disk->header), &header, sizeof(header));
	struct fake_buffer buffers[] = {
		{disk->header, 16, false},
		{disk->data, len / 2, device_writes},
		{disk->data + len / 2, len - len / 2, device_writes},
		{disk->status, 1, true},
	};
	fake_offer_chain(&disk->d, 0, buffers, 4);
	fake_kick(&disk->d, 0);
	assert_true(fake_wait(&disk->d, 0));
	uint32_t id;
	assert_true(fake_take_used(&disk->d.queues[0], &id, &disk->used_len));
	return *status;
}

static uint8_t disk_range(struct disk *disk, uint32_t type, uint64_t sector, uint32_t count, uint32_t flags)
{
	struct {
		uint64_t sector;
		uint32_t count, flags;
	} range = {sector, count, flags};
	memcpy(fake_ptr(&disk->d, disk->data), &range, sizeof(range));
	return disk_do(disk, type, 0, sizeof(range), false);
}

static void reads_and_writes_with(bool threads)
{
	struct disk disk;
	disk_start(&disk, false, threads, F_FLUSH);
	assert_int_equal(disk_do(&disk, T_IN, 3, 1536, true), 0);
	assert_int_equal(disk.used_len, 1537);
	uint8_t *data = fake_ptr(&disk.d, disk.data);
	assert_int_equal(data[0], 3);
	assert_int_equal(data[1535], (uint8_t)(5 + 511));
	memset(data, 0x5a, 1024);
	assert_int_equal(disk_do(&disk, T_OUT, 10, 1024, false), 0);
	assert_int_equal(image_byte(&disk, 10 * 512), 0x5a);
	assert_int_equal(image_byte(&disk, 12 * 512 - 1), 0x5a);
	assert_int_equal(image_byte(&disk, 12 * 512), 12);
	assert_int_equal(disk_do(&disk, T_FLUSH, 0, 0, false), 0);
	assert_int_equal(disk.d.queues[0].interrupts, 3);
	disk_finish(&disk);
}

static void reads_and_writes(void **state)
{
	reads_and_writes_with(false);
	reads_and_writes_with(true);
}

static void without_flush_writes_go_through(void **state)
{
	struct disk disk;
	disk_start(&disk, false, true, 0);
	memset(fake_ptr(&disk.d, disk.data), 1, 512);
	assert_int_equal(disk_do(&disk, T_OUT, 0, 512, false), 0);
	assert_int_equal(disk_range(&disk, T_DISCARD, 8, 8, 0), 0);
	disk_finish(&disk);
	disk_start(&disk, false, false, F_FLUSH | F_WCE);
	assert_int_equal(virtio_transport_config_read(disk.d.device, 32, 1), 1);
	virtio_transport_config_write(disk.d.device, 32, 1, 0);
	assert_int_equal(virtio_transport_config_read(disk.d.device, 32, 1), 0);
	assert_int_equal(disk_do(&disk, T_OUT, 0, 512, false), 0);
	fake_reset(&disk.d);
	assert_int_equal(virtio_transport_config_read(disk.d.device, 32, 1), 1);
	disk_finish(&disk);
}

static void requests_outside_of_the_disk_fail(void **state)
{
	struct disk disk;
	disk_start(&disk, false, false, F_FLUSH);
	uint64_t end = IMAGE_LEN / 512;
	assert_int_equal(virtio_transport_config_read(disk.d.device, 0, 8), end);
	assert_int_equal(disk_do(&disk, T_IN, end - 1, 512, true), 0);
	assert_int_equal(disk_do(&disk, T_IN, end - 1, 1024, true), 1);
	assert_int_equal(disk_do(&disk, T_IN, end, 512, true), 1);
	assert_int_equal(disk_do(&disk, T_OUT, UINT64_MAX, 512, false), 1);
	assert_int_equal(disk_do(&disk, T_OUT, UINT64_MAX / 512, 512, false), 1);
	assert_int_equal(disk_do(&disk, T_IN, 0, 511, true), 1);
	assert_int_equal(disk_do(&disk, T_IN, 0, 0, true), 0);
	assert_int_equal(disk_do(&disk, 99, 0, 512, true), 2);
	assert_false(fake_is_broken(&disk.d));
	struct stat st;
	assert_int_equal(stat(disk.path, &st), 0);
	assert_int_equal(st.st_size, IMAGE_LEN);
	disk_finish(&disk);
}

static void discards_and_zeroes_with(bool threads)
{
	struct disk disk;
	disk_start(&disk, false, threads, F_FLUSH | F_DISCARD | F_ZEROES);
	assert_int_equal(disk_range(&disk, T_DISCARD, 16, 16, 0), 0);
	assert_int_equal(image_byte(&disk, 15 * 512), 15);
	assert_int_equal(image_byte(&disk, 16 * 512 + 1), 0);
	assert_int_equal(image_byte(&disk, 32 * 512), 32);
	assert_int_equal(disk_range(&disk, T_ZEROES, 101, 3, 0), 0);
	assert_int_equal(image_byte(&disk, 101 * 512 - 1), (uint8_t)(100 + 511));
	assert_int_equal(image_byte(&disk, 101 * 512 + 1), 0);
	assert_int_equal(image_byte(&disk, 104 * 512 - 1), 0);
	assert_int_equal(image_byte(&disk, 104 * 512), 104);
	assert_int_equal(disk_range(&disk, T_ZEROES, 200, 1, 1), 0);
	assert_int_equal(disk_range(&disk, T_DISCARD, 0, 8, 1), 2);
	assert_int_equal(disk_range(&disk, T_ZEROES, 0, 8, 2), 2);
	assert_int_equal(disk_range(&disk, T_ZEROES, 2040, 100, 0), 1);
	assert_int_equal(disk_range(&disk, T_DISCARD, UINT64_MAX, 8, 0), 1);
	assert_int_equal(disk_range(&disk, T_DISCARD, 0, UINT32_MAX, 0), 1);
	assert_int_equal(disk_do(&disk, T_DISCARD, 0, 15, false), 2);
	assert_int_equal(disk_do(&disk, T_DISCARD, 0, 32, false), 2);
	disk_finish(&disk);
}

static void discards_and_zeroes(void **state)
{
	discards_and_zeroes_with(false);
	discards_and_zeroes_with(true);
}

static void read_only_disk_is_not_written(void **state)
{
	struct disk disk;
	disk_start(&disk, true, false, F_RO);
	assert_false(virtio_transport_offered(disk.d.device, 0) & (F_FLUSH | F_DISCARD));
	assert_int_equal(disk_do(&disk, T_OUT, 0, 512, false), 1);
	assert_int_equal(disk_range(&disk, T_ZEROES, 0, 8, 0), 1);
	assert_int_equal(disk_do(&disk, T_IN, 0, 512, true), 0);
	assert_int_equal(image_byte(&disk, 0), 0);
	assert_int_equal(image_byte(&disk, 1), 1);
	disk_finish(&disk);
}

static void id_is_the_name(void **state)
{
	struct disk disk;
	disk_start(&disk, true, false, 0);
	assert_int_equal(disk_do(&disk, T_GET_ID, 0, 20, true), 0);
	assert_string_equal(fake_ptr(&disk.d, disk.data), "disk0");
	disk_finish(&disk);
}

static void malformed_requests_stop_the_device(void **state)
{
	struct disk disk;
	disk_start(&disk, false, false, F_FLUSH);
	struct fake_buffer no_status = {disk.header, 16, false};
	fake_offer_chain(&disk.d, 0, &no_status, 1);
	fake_kick(&disk.d, 0);
	assert_true(fake_is_broken(&disk.d));
	disk_finish(&disk);
	disk_start(&disk, false, false, F_FLUSH);
	struct fake_buffer short_header[] = {{disk.header, 15, false}, {disk.status, 1, true}};
	fake_offer_chain(&disk.d, 0, short_header, 2);
	fake_kick(&disk.d, 0);
	assert_true(fake_is_broken(&disk.d));
	fake_reset(&disk.d);
	fake_start(&disk.d, disk.d.device, F_FLUSH, 64);
	assert_int_equal(disk_do(&disk, T_IN, 0, 512, true), 0);
	disk_finish(&disk);
}

static void reset_waits_for_requests_in_flight_with(bool threads)
{
	struct disk disk;
	disk_start(&disk, false, threads, F_FLUSH);
	struct fake_buffer buffers[] = {{disk.header, 16, false}, {disk.data, 65536, true}, {disk.status, 1, true}};
	memset(fake_ptr(&disk.d, disk.header), 0, 16);
	for (int i = 0; i < 20; i++) {
		fake_offer_chain(&disk.d, 0, buffers, 3);
	}
	virtio_transport_notify(disk.d.device, 0);
	fake_pump(&disk.d);
	fake_reset(&disk.d);
	assert_int_equal(virtio_transport_status(disk.d.device), 0);
	fake_start(&disk.d, disk.d.device, F_FLUSH, 64);
	assert_int_equal(disk_do(&disk, T_IN, 3, 512, true), 0);
	for (int i = 0; i < 20; i++) {
		fake_offer_chain(&disk.d, 0, buffers, 3);
	}
	virtio_transport_notify(disk.d.device, 0);
	fake_pump(&disk.d);
	disk_finish(&disk); /* with requests in flight */
}

static void reset_waits_for_requests_in_flight(void **state)
{
	reset_waits_for_requests_in_flight_with(false);
	reset_waits_for_requests_in_flight_with(true);
}

static void a_cut_image_gives_errors(void **state)
{
	struct disk disk;
	disk_start(&disk, false, false, F_FLUSH);
	assert_int_equal(truncate(disk.path, 1000), 0);
	assert_int_equal(disk_do(&disk, T_IN, 100, 512, true), 1);
	assert_int_equal(disk_do(&disk, T_IN, 0, 1024, true), 1);
	assert_int_equal(disk_do(&disk, T_IN, 0, 512, true), 0);
	disk_finish(&disk);
}

/* A file size limit stands in for a full file system: the write fails half-way. */
static void a_failing_write_is_an_error_of_the_guest_only(void **state)
{
	struct disk disk;
	disk_start(&disk, false, true, F_FLUSH);
	struct rlimit before, small = {.rlim_cur = 4096};
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small.rlim_max = before.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	uint8_t beyond = disk_do(&disk, T_OUT, 100, 512, false), across = disk_do(&disk, T_OUT, 7, 1024, false),
		below = disk_do(&disk, T_OUT, 0, 512, false);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(beyond, 1);
	assert_int_equal(across, 1);
	assert_int_equal(below, 0);
	assert_false(fake_is_broken(&disk.d));
	disk_finish(&disk);
}

static void images_are_locked(void **state)
{
	struct disk disk;
	struct error err = {0};
	disk_start(&disk, false, false, F_FLUSH);
	assert_null(blk_open(&disk, false, false, &err));
	assert_non_null(strstr(err.text, "in use by another VM"));
	assert_null(blk_open(&disk, true, false, &err));
	assert_non_null(strstr(err.text, "another VM"));
	virtio_device_destroy(disk.d.device);
	struct virtio_device *one = blk_open(&disk, true, false, NULL), *two = blk_open(&disk, true, false, NULL);
	assert_non_null(one);
	assert_non_null(two);
	assert_null(blk_open(&disk, false, false, &err));
	virtio_device_destroy(one);
	virtio_device_destroy(two);
	disk.d.device = blk_open(&disk, false, false, NULL);
	assert_non_null(disk.d.device);
	disk_finish(&disk);
}

static void bad_images_have_one_clear_line(void **state)
{
	struct disk disk;
	struct error err = {0};
	fake_init(&disk.d);
	strcpy(disk.path, "/nonexistent/disk.img");
	assert_null(blk_open(&disk, false, false, &err));
	assert_string_equal(err.text, "disk image /nonexistent/disk.img does not exist");
	strcpy(disk.path, "/tmp");
	assert_null(blk_open(&disk, false, false, &err));
	assert_string_equal(err.text, "disk image /tmp is a directory");
	assert_null(blk_open(&disk, true, false, &err));
	assert_non_null(strstr(err.text, "neither a file nor a block device"));
	strcpy(disk.path, "/dev/null");
	assert_null(blk_open(&disk, false, false, &err));
	image_make(&disk, 0);
	assert_null(blk_open(&disk, false, false, &err));
	assert_non_null(strstr(err.text, "is empty"));
	unlink(disk.path);
	image_make(&disk, 1000);
	assert_null(blk_open(&disk, false, false, &err));
	assert_non_null(strstr(err.text, "not a multiple of 512"));
	const struct virtio_blk_config config = {.name = "disk0", .path = disk.path, .block_size = 1000};
	assert_null(virtio_blk_create(&config, disk.d.gmem, disk.d.loop, &err));
	assert_non_null(strstr(err.text, "neither 512 nor 4096"));
	unlink(disk.path);
	fake_finish(&disk.d);
}

static void blocks_of_4096_bytes(void **state)
{
	struct disk disk;
	fake_init(&disk.d);
	image_make(&disk, IMAGE_LEN);
	const struct virtio_blk_config config = {.name = "disk0", .path = disk.path, .block_size = 4096};
	fake_start(&disk.d, virtio_blk_create(&config, disk.d.gmem, disk.d.loop, NULL), F_FLUSH, 64);
	disk.header = fake_alloc(&disk.d, 4096);
	disk.status = fake_alloc(&disk.d, 4096);
	disk.data = fake_alloc(&disk.d, 1 << 20);
	assert_int_equal(virtio_transport_config_read(disk.d.device, 20, 4), 4096);
	assert_int_equal(disk_do(&disk, T_IN, 8, 4096, true), 0);
	assert_int_equal(disk_do(&disk, T_IN, 8, 512, true), 1);
	assert_int_equal(disk_do(&disk, T_IN, 1, 4096, true), 1);
	disk_finish(&disk);
}

int main(void)
{
	log_set_level(LOG_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes),
		cmocka_unit_test(without_flush_writes_go_through),
		cmocka_unit_test(requests_outside_of_the_disk_fail),
		cmocka_unit_test(discards_and_zeroes),
		cmocka_unit_test(read_only_disk_is_not_written),
		cmocka_unit_test(id_is_the_name),
		cmocka_unit_test(malformed_requests_stop_the_device),
		cmocka_unit_test(reset_waits_for_requests_in_flight),
		cmocka_unit_test(a_cut_image_gives_errors),
		cmocka_unit_test(a_failing_write_is_an_error_of_the_guest_only),
		cmocka_unit_test(images_are_locked),
		cmocka_unit_test(bad_images_have_one_clear_line),
		cmocka_unit_test(blocks_of_4096_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
