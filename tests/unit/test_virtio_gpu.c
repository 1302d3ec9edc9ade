/* SPDX-License-Identifier: Apache-2.0 */
/* test_virtio_gpu.c - the GPU device behind real virtqueues: configuration, chains of all shapes,
 * late answers, reset */
#include "unit.h"

#include "fake_driver.h"
#include "gpu/gpu.h"

#include "base/sock.h"
#include "virtio/virtq.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { TEST_QUEUE = 64, TEST_WINDOW = 4 << 20 };

struct rig {
	struct fake_driver driver; /* first */
	struct display *display;
	struct engine engine;
	struct gpu_spawner spawner;
	int server; /* the last one's end of the wire */
	uint64_t placed;
};

static int rig_place(struct engine *engine, uint64_t gpa, uint64_t len, struct error *err)
{
	struct rig *rig = (struct rig *)((char *)engine - offsetof(struct rig, engine));
	assert_int_equal(len, TEST_WINDOW);
	rig->placed = gpa;
	return 0;
}

static void rig_unmap(struct engine *engine, uint64_t offset, uint64_t len)
{
}

static const struct engine_ops rig_engine_ops = {.window_place = rig_place,
						 .window_unmap = rig_unmap};

static void rig_welcome(struct rig *rig)
{
	struct wire_welcome welcome = {{WIRE_WELCOME, sizeof(welcome), 0}, 0, WIRE_VERSION};
	assert_int_equal(sock_send(rig->server, &welcome, sizeof(welcome), NULL, 0),
			 sizeof(welcome));
}

static int rig_start(void *opaque, uint32_t token, int socket)
{
	struct rig *rig = opaque;
	if (rig->server >= 0) {
		close(rig->server);
	}
	rig->server = fcntl(socket, F_DUPFD_CLOEXEC, 0);
	struct wire_hello hello;
	assert_int_equal(sock_recv(rig->server, &hello, sizeof(hello), &(int){-1}, &(size_t){0}),
			 -EMSGSIZE);
	if (token == 1) {
		rig_welcome(rig); /* the query */
	}
	return 0;
}

static void rig_end(void *opaque, uint32_t token)
{
}

static void rig_watch(void *opaque, void (*ended)(void *, uint32_t), void *ended_opaque)
{
}

static pid_t rig_pid(void *opaque, uint32_t token)
{
	return 0;
}

static int open_granule(void **state, uint32_t granule)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct error err = {0};
	*state = rig;
	fake_init(&rig->driver);
	rig->display = display_create(1, 1024, 768);
	rig->engine.ops = &rig_engine_ops;
	rig->engine.window_granule = granule;
	rig->spawner = (struct gpu_spawner){rig_start, rig_end, rig_watch, rig_pid, rig};
	rig->server = -1;
	struct virtio_gpu_config config = {.shared = true, .window_bytes = TEST_WINDOW};
	struct virtio_gpu_parts parts = {rig->driver.loop, rig->driver.gmem, &rig->engine,
					 rig->display, &rig->spawner};
	struct virtio_device *device = virtio_gpu_create(&config, &parts, &err);
	assert_non_null(device);
	fake_start(&rig->driver, device,
		   (GPU_F_VIRGL | GPU_F_EDID | GPU_F_RESOURCE_BLOB | GPU_F_CONTEXT_INIT |
		    GPU_F_BLOB_ALIGNMENT) &
			   device->features,
		   TEST_QUEUE);
	return 0;
}

static int open_rig(void **state)
{
	return open_granule(state, 4096);
}

static int open_rig_16k(void **state)
{
	return open_granule(state, 16384);
}

static int close_rig(void **state)
{
	struct rig *rig = *state;
	fake_finish(&rig->driver);
	display_destroy(rig->display);
	close(rig->server);
	free(rig);
	return 0;
}

/* Sends @message in pieces of @piece bytes with @room for the answer; returns where the answer will
 * be. */
static uint8_t *send_pieces(struct rig *rig, unsigned queue, const void *message, uint32_t len,
			    uint32_t piece, uint32_t room)
{
	struct fake_driver *d = &rig->driver;
	uint64_t gpa = fake_alloc(d, len + 1), answer = fake_alloc(d, room + 1);
	memcpy(fake_ptr(d, gpa), message, len);
	struct fake_buffer buffers[16];
	unsigned count = 0;
	for (uint32_t at = 0; at < len; at += piece) {
		buffers[count++] =
			(struct fake_buffer){gpa + at, len - at < piece ? len - at : piece, false};
	}
	if (room) {
		buffers[count++] = (struct fake_buffer){answer, room, true};
	}
	fake_offer_chain(d, queue, buffers, count);
	fake_kick(d, queue);
	return fake_ptr(d, answer);
}

static uint32_t used_len(struct rig *rig, unsigned queue)
{
	uint32_t id, len = ~0u;
	assert_true(fake_take_used(&rig->driver.queues[queue], &id, &len));
	return len;
}

static void the_configuration_says_what_there_is(void **state)
{
	struct rig *rig = *state;
	struct virtio_device *device = rig->driver.device;
	assert_int_equal(virtio_transport_config_read(device, 8, 4), 1);  /* scanouts */
	assert_int_equal(virtio_transport_config_read(device, 12, 4), 1); /* capsets */
	assert_int_equal(device->shm.id, 1);
	assert_int_equal(device->shm.len, TEST_WINDOW);
	device->shm.place(device, 0x8000000000);
	assert_true(rig->placed == 0x8000000000);
	virtio_transport_config_write(device, 4, 4, 1);
	assert_int_equal(virtio_transport_config_read(device, 0, 4), 0);
}

static void an_alignment_is_offered_where_one_is_needed(void **state)
{
	struct rig *rig = *state;
	struct virtio_device *device = rig->driver.device;
	bool large = rig->engine.window_granule > 4096;
	assert_int_equal(!!(device->features & GPU_F_BLOB_ALIGNMENT), large);
	assert_int_equal(device->config_len, large ? 20 : 16);
	assert_int_equal(virtio_transport_config_read(device, 16, 4), large ? 16384 : 0);
	struct gpu_create_blob create = {
		{.type = GPU_RESOURCE_CREATE_BLOB}, 5, GPU_BLOB_MEM_GUEST, 0, 1, 0, 4096};
	struct {
		struct gpu_create_blob create;
		uint64_t address;
		uint32_t len, padding;
	} message = {create, fake_alloc(&rig->driver, 4096), 4096, 0};
	uint8_t *answer = send_pieces(rig, 0, &message, sizeof(message), 200, 24);
	used_len(rig, 0);
	assert_int_equal(answer[0] | answer[1] << 8,
			 large ? GPU_ERR_INVALID_PARAMETER : GPU_OK_NODATA);
}

static void commands_may_come_in_pieces(void **state)
{
	struct rig *rig = *state;
	struct gpu_header ask = {.type = GPU_GET_DISPLAY_INFO};
	uint8_t *answer =
		send_pieces(rig, 0, &ask, sizeof(ask), 5, sizeof(struct gpu_display_info));
	struct gpu_display_info info;
	memcpy(&info, answer, sizeof(info));
	assert_int_equal(used_len(rig, 0), sizeof(info));
	assert_int_equal(info.header.type, GPU_OK_DISPLAY_INFO);
	assert_int_equal(info.modes[0].rect.width, 1024);
	assert_true(rig->driver.queues[0].interrupts > 0);
}

static void answers_never_leave_their_room(void **state)
{
	struct rig *rig = *state;
	struct gpu_header ask = {.type = GPU_GET_DISPLAY_INFO};
	uint8_t *answer = send_pieces(rig, 0, &ask, sizeof(ask), 24, 30);
	assert_int_equal(used_len(rig, 0), 30);
	assert_int_equal(answer[30], 0);
	send_pieces(rig, 0, &ask, sizeof(ask), 24, 0);
	assert_int_equal(used_len(rig, 0), 0);
	/* Too short for a header: there is nothing to be answered but that. */
	answer = send_pieces(rig, 0, &ask, 23, 24, 24);
	assert_int_equal(used_len(rig, 0), 24);
	assert_int_equal(answer[0] | answer[1] << 8, GPU_ERR_UNSPEC);
	assert_false(fake_is_broken(&rig->driver));
}

static void oversized_commands_are_refused_with_their_fence(void **state)
{
	struct rig *rig = *state;
	struct fake_driver *d = &rig->driver;
	uint64_t gpa = fake_alloc(d, GPU_MAX_REQUEST + 1), answer = fake_alloc(d, 24);
	struct gpu_header header = {
		GPU_SUBMIT_3D, GPU_FLAG_FENCE | GPU_FLAG_RING_IDX, 9, 1, 3, {0}};
	memcpy(fake_ptr(d, gpa), &header, sizeof(header));
	fake_offer_chain(
		d, 0, (struct fake_buffer[]){{gpa, GPU_MAX_REQUEST + 1, false}, {answer, 24, true}},
		2);
	fake_kick(d, 0);
	memcpy(&header, fake_ptr(d, answer), sizeof(header));
	assert_int_equal(header.type, GPU_ERR_OUT_OF_MEMORY);
	assert_true(header.fence_id == 9 && header.ring_idx == 3);
}

static void the_cursor_queue_needs_no_room_for_answers(void **state)
{
	struct rig *rig = *state;
	struct gpu_cursor move = {.header = {.type = GPU_MOVE_CURSOR}, .pos = {0, 7, 8, 0}};
	send_pieces(rig, 1, &move, sizeof(move), 100, 0);
	assert_int_equal(used_len(rig, 1), 0);
	struct display_cursor cursor;
	display_take_cursor(rig->display, 0, &cursor);
	assert_int_equal(cursor.x, 7);
}

static void late_answers_find_their_chain_out_of_order(void **state)
{
	struct rig *rig = *state;
	struct gpu_ctx_create create = {{.type = GPU_CTX_CREATE, .ctx_id = 1}, 0, 4, "test"};
	uint8_t *late = send_pieces(rig, 0, &create, sizeof(create), 200, 24);
	struct gpu_header ask = {.type = GPU_GET_DISPLAY_INFO};
	uint8_t *early = send_pieces(rig, 0, &ask, sizeof(ask), 24, 24);
	assert_int_equal(used_len(rig, 0), 24);
	assert_int_equal(early[0] | early[1] << 8, GPU_OK_DISPLAY_INFO);
	assert_int_equal(late[0], 0);
	rig_welcome(rig);
	fake_pump(&rig->driver);
	assert_int_equal(used_len(rig, 0), 24);
	assert_int_equal(late[0] | late[1] << 8, GPU_OK_NODATA);
}

static void a_reset_gives_every_chain_back(void **state)
{
	struct rig *rig = *state;
	struct gpu_ctx_create create = {{.type = GPU_CTX_CREATE, .ctx_id = 1}, 0, 4, "test"};
	send_pieces(rig, 0, &create, sizeof(create), 200, 24);
	assert_int_equal(virtq_in_flight(virtio_device_queue(rig->driver.device, 0)), 1);
	fake_reset(&rig->driver);
	assert_int_equal(virtio_transport_status(rig->driver.device), 0);
	fake_start(&rig->driver, rig->driver.device, 0, TEST_QUEUE);
	send_pieces(rig, 0, &create, sizeof(create), 200, 24);
	rig_welcome(rig);
	fake_pump(&rig->driver);
	assert_int_equal(used_len(rig, 0), 24);
}

static void a_stuck_context_does_not_stop_a_small_queue(void **state)
{
	struct rig *rig = *state;
	struct gpu_ctx_create create = {{.type = GPU_CTX_CREATE, .ctx_id = 1}, 0, 4, "test"};
	send_pieces(rig, 0, &create, sizeof(create), 200, 24);
	/* One descriptor each: the header and an empty stream, no room for an answer. */
	struct gpu_submit_3d submit = {{.type = GPU_SUBMIT_3D, .ctx_id = 1}, 0, 0};
	for (unsigned i = 0; i < 10 * TEST_QUEUE; i++) {
		if (i >= TEST_QUEUE / 4) {
			rig->driver.queues[0].next_desc =
				TEST_QUEUE / 2; /* the others are not back */
		}
		send_pieces(rig, 0, &submit, sizeof(submit), 100, 0);
	}
	assert_true(virtq_in_flight(virtio_device_queue(rig->driver.device, 0)) <= TEST_QUEUE / 4);
	while (fake_used_idx(&rig->driver.queues[0]) != rig->driver.queues[0].last_used) {
		used_len(rig, 0);
	}
	struct gpu_header ask = {.type = GPU_GET_DISPLAY_INFO};
	send_pieces(rig, 0, &ask, sizeof(ask), 24, 24);
	assert_int_equal(used_len(rig, 0), 24);
}

int main(void)
{
#define RIG(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
	const struct CMUnitTest tests[] = {
		RIG(the_configuration_says_what_there_is),
		RIG(an_alignment_is_offered_where_one_is_needed),
		cmocka_unit_test_setup_teardown(an_alignment_is_offered_where_one_is_needed,
						open_rig_16k, close_rig),
		RIG(commands_may_come_in_pieces),
		RIG(answers_never_leave_their_room),
		RIG(oversized_commands_are_refused_with_their_fence),
		RIG(the_cursor_queue_needs_no_room_for_answers),
		RIG(late_answers_find_their_chain_out_of_order),
		RIG(a_reset_gives_every_chain_back),
		RIG(a_stuck_context_does_not_stop_a_small_queue),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
